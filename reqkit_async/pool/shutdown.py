"""Stopping all that comes of a call: nothing new starts, what runs ends in its own greenlet.

Stopping has two halves. `Halter.begin` never blocks, so that a timer may call it from the hub:
whatever its caller is doing, a deadline is kept. `Halter.wait` then waits for the connections to
be closed and the hooks to have run, for as long as that may take, and no longer.
"""

from __future__ import annotations

from typing import Any, Final

import gevent
from greenlet import getcurrent

from reqkit.network import use
from reqkit.timeouts import clock

from ..network import GEVENT
from .cancellation import GRACE, Leash, Stop, cancelled
from .feeds import Feed, Job, Listed, Reason, Spawned
from .sending import Sender
from .workers import Workers

__all__ = ["Halter"]

#: Seconds that are waited for what was stopped after its time is up.
_SLACK: Final = 0.1
#: Greenlets that run the hooks of what was not sent, at most.
_MOST: Final = 64
#: Seconds after which these let others run, and entries without hooks after which they do.
_TURN: Final = 0.005
_AT_ONCE: Final = 1000


class Halter:
    """Stops the feeds of a pool.

    Args:
        workers: the pool's greenlets.
        sender: makes entries.
    """

    def __init__(self, workers: Workers, sender: Sender) -> None:
        self._workers = workers
        self._sender = sender

    def begin(self, feed: Feed, reason: Reason, everything: bool) -> None:
        """Start nothing more of a feed, and stop what is in flight. Never blocks.

        Args:
            feed: the feed.
            reason: makes the error of each request.
            everything: whether what was never started gets its hooks and an entry, too.
        """
        if feed.stopped:
            return
        feed.stopped = True
        feed.reason = reason
        feed.stop_by = clock() + GRACE
        running = list(feed.running)
        jobs = self._workers.take_out(lambda job: job.feed is feed)
        if everything:
            feed.keep_rest()
        else:
            feed.drop_rest()
        self._conclude_or_drop(feed, jobs, everything)
        current = getcurrent()
        call_soon = feed.hub.loop.run_callback
        for job in running:
            if job.greenlet is not current:  # who stops the batch from a hook ends as it does
                call_soon(_throw, job)
        if feed.puller is not None and feed.puller is not current:
            call_soon(_throw_into_iterable, feed, feed.puller)
        feed.changed.set()

    def wait(self, feed: Feed) -> None:
        """Wait until all that was stopped has ended. Blocks for less than half a second."""
        ends = feed.stop_by + _SLACK
        while _is_busy(feed) and clock() < ends:
            feed.changed.clear()
            feed.changed.wait(max(ends - clock(), 0.001))
        # What is left is held up by the user's own code.
        with Leash(ends) as leash:
            for job in list(feed.running):
                if job.greenlet is not getcurrent():
                    self._conclude(job, leash)
        while self._conclude_some(feed, ends):
            pass  # not letting others run, who may take any time

    def stop(self, feed: Spawned, handle: object) -> None:
        """Stop one request. Never blocks."""

        def wanted(job: Job) -> bool:
            return job.handle is handle

        for job in feed.running:
            if wanted(job):
                feed.hub.loop.run_callback(_throw, job)
        jobs = feed.take_out(wanted) + self._workers.take_out(wanted)
        self._conclude_or_drop(feed, jobs, everything=False)

    def _conclude_or_drop(self, feed: Feed, jobs: list[Job], everything: bool) -> None:
        """Have the hooks run of those jobs that get theirs; let go of the others."""
        for job in jobs:
            if everything or job.started:
                feed.unsent.append(job)
            else:
                feed.drop(job)
        if feed.has_unsent:
            for _ in range(min(self._workers.most, _MOST)):
                gevent.spawn(self._conclude_unsent, feed)

    def _conclude_unsent(self, feed: Feed) -> None:
        ends = feed.stop_by if feed.stopped else clock() + GRACE
        try:
            with use(GEVENT):
                while self._conclude_some(feed, ends):
                    gevent.sleep(0)
        finally:
            feed.changed.set()

    def _conclude_some(self, feed: Feed, ends: float) -> bool:
        """Make entries of what is not to be sent for a short while, with what hooks there are.

        Args:
            feed: where it comes from.
            ends: the moment by which hooks have to end.

        Returns:
            whether there may be more.
        """
        if isinstance(feed, Listed) and not feed.unsent and self._sender.fail_rest(feed, _AT_ONCE):
            return True
        current = getcurrent()
        until = clock() + _TURN
        with Leash(ends) as leash:
            while (job := feed.next_unsent()) is not None:
                job.greenlet = current
                feed.running.add(job)
                try:
                    self._conclude(job, leash)
                finally:
                    feed.running.discard(job)
                if clock() > until:
                    return True
        return False

    def _conclude(self, job: Job, leash: Leash) -> None:
        """Make the entry of one. The user's progress is on the leash, too."""
        reason = job.feed.reason or cancelled
        try:
            self._sender.conclude_unsent(job, reason(job.request, job.started, None), leash)
        except gevent.Timeout as raised:
            if not leash.holds(raised):
                raise


def _is_busy(feed: Feed) -> bool:
    current = getcurrent()
    return bool(
        feed.has_unsent
        or (feed.puller is not None and feed.puller is not current)
        or any(job.greenlet is not current for job in feed.running)
    )


def _throw(job: Job) -> None:
    """Stop a job, if it still runs. Runs in the hub."""
    greenlet = job.greenlet
    if greenlet is not None and not job.done and job.stop is None:
        job.stop = Stop()
        greenlet.throw(job.stop)


def _throw_into_iterable(feed: Feed, puller: Any) -> None:
    """Stop the caller's iterable, if it still runs. Runs in the hub."""
    if feed.puller is puller:
        puller.throw(Stop())
