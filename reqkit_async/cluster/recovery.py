"""What becomes of requests whose worker is gone: sent again where that does no harm, or ended."""

from __future__ import annotations

import pickle
from typing import Final

import gevent

from reqkit.exceptions import WorkerLost
from reqkit.message.request import NO_ARGUMENTS
from reqkit.timeouts import clock

from ..network.hubs import next_turn
from ..pool.batch import Batch, Job
from ..pool.iterated import IteratedBatch
from ..pool.stop_reasons import cancelled
from .dispatch import Dispatcher, is_idempotent
from .entries import Entries, lost_error
from .remote import Remote

__all__ = ["Recovery"]

#: Seconds after which making many entries lets others run.
_TURN: Final = 0.005


class Recovery:
    """Sees to what was with workers that are gone.

    Args:
        dispatcher: gives out what is sent again.
        entries: makes those of the others.
        has_session: whether the pool has a session, whose hooks are to run.

    Attributes:
        has_session: as above.
    """

    def __init__(self, dispatcher: Dispatcher, entries: Entries, has_session: bool) -> None:
        self._dispatcher = dispatcher
        self._entries = entries
        self.has_session: bool = has_session

    def recover(self, remote: Remote) -> None:
        """See to all that a worker had that is gone."""
        out, remote.out = remote.out, {}
        for number, job in out.items():
            self._dispatcher.suspects.returned(job)
            job.batch.running.discard(job)
            if not job.done:
                self._recover(job, remote, number)
        if out:
            self._dispatcher.suspects.worker_lost()

    def _recover(self, job: Job, remote: Remote, number: int) -> None:
        """Have a request sent elsewhere whose worker is gone, or end."""
        batch = job.batch
        suspects = self._dispatcher.suspects
        if batch.stopped:
            reason = batch.reason or cancelled
            self._entries.fail(job, reason(job.request, True, None))
            return
        idempotent = is_idempotent(job.request)
        began = number in remote.began
        if not idempotent and not remote.channel.local:
            began = True  # its machine may be gone, with what it was about to say
        if number in remote.only_hooks:
            self._entries.give_up(job, remote)
        elif job in suspects:
            if began:  # its hooks may be what has killed them
                suspects.answered(job)
                self._entries.give_up(job, remote, twice=True)
            else:
                suspects.add(job)
        elif idempotent:
            suspects.add(job)
        elif began:
            self._fail_elsewhere(job, remote)
        else:
            self._dispatcher.put_back((job,))

    def _fail_elsewhere(self, job: Job, remote: Remote) -> None:
        """End a request that was lost with its worker; its hooks run in another one."""
        error = lost_error(job, remote, False)
        request = job.request
        others = [other for other in self._dispatcher.remotes if other.size]
        has_hooks = (
            self.has_session
            or request.session is not None
            or request._arguments is not NO_ARGUMENTS
        )
        if others and has_hooks:
            other = min(others, key=lambda remote: len(remote.out))
            self._dispatcher.give_failed(job, other, pickle.dumps(error, 5))
        else:
            self._entries.fail(job, error)

    def fail_all(self, error: WorkerLost, any_came: bool) -> None:
        """End all that is left: no worker is.

        Args:
            error: what iterators raise, when they have handed over what they have.
            any_came: whether there ever was one; if not, `map` raises the error, too.
        """
        dispatcher = self._dispatcher
        dispatcher.dead = True
        for job in dispatcher.take_out(lambda job: True):
            self._entries.give_up(job)
        for batch in list(dispatcher.batches):
            if isinstance(batch, IteratedBatch):
                # What was given out has its entries, then this comes out.
                batch.error = error
                batch._iterator = None
                batch.changed.set()
                continue
            if not any_came:
                batch.failure = error
                batch.changed.set()
            gevent.spawn(self._give_up_rest, batch, error)

    def _give_up_rest(self, batch: Batch, error: WorkerLost) -> None:
        """Make the entries of what was never pulled."""
        until = clock() + _TURN
        while batch in self._dispatcher.batches and (job := batch.pull()) is not None:
            batch.taken = None
            job.pending = []
            lost = WorkerLost(f"{job.request.describe()}: not sent: {error}")
            lost.request = job.request
            batch.running.add(job)
            self._entries.conclude(job, lost)
            if clock() > until:
                next_turn()
                until = clock() + _TURN
