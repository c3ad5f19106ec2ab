"""Stopping all that comes of a call: nothing new starts, what runs ends in its own greenlet.

Stopping has two halves. `Shutdown.begin` never blocks, so that a timer may call it from the hub:
whatever its caller is doing, a deadline is kept. `Shutdown.wait` then waits for the connections to
be closed and the hooks to have run, for as long as that may take, and no longer.
"""

from __future__ import annotations

from typing import Any, Final

import gevent
from greenlet import getcurrent

from reqkit.network import use
from reqkit.timeouts import clock

from ..network import GEVENT
from ..network.hubs import next_turn
from .batch import Batch, Job, ListBatch, Reason
from .exits import SYSTEM_ERRORS
from .interruption import interrupt
from .sending import Sender
from .spawned import SpawnedBatch
from .stop_reasons import GRACE, Stop, TimeLimit, cancelled
from .workers import Workers

__all__ = ["Shutdown"]

#: Seconds that are waited for what was stopped after its time is up.
_SLACK: Final = 0.1
#: Greenlets that run the hooks of what was not sent, at most.
_MOST: Final = 64
#: Seconds after which these let others run, and entries without hooks after which they do.
_TURN: Final = 0.005
_AT_ONCE: Final = 1000


class Shutdown:
    """Stops the batches of a pool.

    Args:
        workers: the pool's greenlets.
        sender: makes entries.
    """

    def __init__(self, workers: Workers, sender: Sender) -> None:
        self._workers = workers
        self._sender = sender

    def begin(self, batch: Batch, reason: Reason, everything: bool) -> None:
        """Start nothing more of a batch, and stop what is in flight. Never blocks.

        Args:
            batch: the batch.
            reason: makes the error of each request.
            everything: whether what was never started gets its hooks and an entry, too.
        """
        if batch.stopped:
            return
        batch.stopped = True
        batch.reason = reason
        batch.stop_by = clock() + GRACE
        running = list(batch.running)
        jobs = self._workers.take_out(lambda job: job.batch is batch)
        if everything:
            batch.keep_rest()
        else:
            batch.drop_rest()
        self._conclude_or_drop(batch, jobs, everything)
        current = getcurrent()
        call_soon = batch.hub.loop.run_callback
        for job in running:
            if job.greenlet is not current:  # who stops the batch from a hook ends as it does
                call_soon(_throw, job)
        if batch.puller is not None and batch.puller is not current:
            call_soon(_throw_into_iterable, batch, batch.puller)
        batch.changed.set()

    def wait(self, batch: Batch) -> None:
        """Wait until all that was stopped has ended. Blocks for less than half a second."""
        ends = batch.stop_by + _SLACK
        while _is_busy(batch) and clock() < ends:
            batch.changed.clear()
            batch.changed.wait(max(ends - clock(), 0.001))
        # What is left is held up by the user's own code.
        with TimeLimit(ends) as time_limit:
            for job in list(batch.running):
                if job.greenlet is not getcurrent():
                    self._conclude(job, time_limit)
        while self._conclude_some(batch, ends):
            pass  # not letting others run, who may take any time

    def wait_alone(self, batch: Batch) -> None:
        """As `wait`, in a greenlet of its own."""
        try:
            self.wait(batch)
        except SYSTEM_ERRORS as error:
            interrupt(batch, error)

    def stop(self, batch: SpawnedBatch, handle: object) -> None:
        """Stop one request. Never blocks."""

        def wanted(job: Job) -> bool:
            return job.handle is handle

        for job in batch.running:
            if wanted(job):
                self.throw(job)
        jobs = batch.take_out(wanted) + self._workers.take_out(wanted)
        self._conclude_or_drop(batch, jobs, everything=False)

    def throw(self, job: Job) -> None:
        """Stop a job that runs. Never blocks."""
        job.batch.hub.loop.run_callback(_throw, job)

    def _conclude_or_drop(self, batch: Batch, jobs: list[Job], everything: bool) -> None:
        """Have the hooks run of those jobs that get theirs; let go of the others."""
        for job in jobs:
            if everything or job.started:
                batch.unsent.append(job)
            else:
                batch.drop(job)
        if batch.has_unsent:
            for _ in range(min(self._workers.most, _MOST)):
                gevent.spawn(self._conclude_unsent, batch)

    def _conclude_unsent(self, batch: Batch) -> None:
        ends = batch.stop_by if batch.stopped else clock() + GRACE
        try:
            with use(GEVENT):
                while self._conclude_some(batch, ends):
                    next_turn()
        except SYSTEM_ERRORS as error:
            interrupt(batch, error)
        finally:
            batch.changed.set()

    def _conclude_some(self, batch: Batch, ends: float) -> bool:
        """Make entries of what is not to be sent for a short while, with what hooks there are.

        Args:
            batch: where it comes from.
            ends: the moment by which hooks have to end.

        Returns:
            whether there may be more.
        """
        if isinstance(batch, ListBatch) and not batch.unsent:  # noqa: SIM102 too long for one
            if self._sender.fail_rest(batch, _AT_ONCE):
                return True
        current = getcurrent()
        until = clock() + _TURN
        with TimeLimit(ends) as time_limit:
            while (job := batch.next_unsent()) is not None:
                job.greenlet = current
                batch.running.add(job)
                try:
                    self._conclude(job, time_limit)
                finally:
                    batch.running.discard(job)
                if clock() > until:
                    return True
        return False

    def _conclude(self, job: Job, time_limit: TimeLimit) -> None:
        """Make the entry of one. The user's progress is on the time_limit, too."""
        reason = job.batch.reason or cancelled
        try:
            self._sender.conclude_unsent(job, reason(job.request, job.started, None), time_limit)
        except gevent.Timeout as raised:
            if not time_limit.holds(raised):
                raise


def _is_busy(batch: Batch) -> bool:
    current = getcurrent()
    return bool(
        batch.has_unsent
        or (batch.puller is not None and batch.puller is not current)
        or any(job.greenlet is not current for job in batch.running)
    )


def _throw(job: Job) -> None:
    """Stop a job, if it still runs. Runs in the hub."""
    greenlet = job.greenlet
    if greenlet is not None and not job.done and job.stop is None:
        job.stop = Stop()
        greenlet.throw(job.stop)


def _throw_into_iterable(batch: Batch, puller: Any) -> None:
    """Stop the caller's iterable, if it still runs. Runs in the hub."""
    if batch.puller is puller:
        puller.throw(Stop())
