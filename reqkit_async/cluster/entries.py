"""Entries as their caller gets them: what workers answer, and what is made of requests here."""

from __future__ import annotations

from typing import Any

import gevent

from reqkit import Response
from reqkit.base.tracebacks import forget_frames
from reqkit.exceptions import UnpicklableError, WorkerLost
from reqkit.network import use
from reqkit.sessions.outcome import failed_response
from reqkit.timeouts import clock

from ..network import GEVENT
from ..pool.batch import Job
from ..pool.exits import SYSTEM_ERRORS
from ..pool.interruption import interrupt
from ..pool.sending import Sender, handler_of
from ..pool.stop_reasons import GRACE, TimeLimit
from .pickling import unpack_entry
from .remote import Remote

__all__ = ["Entries", "lost_error"]


class Entries:
    """Makes the entries of a run, and hands them over to its batches.

    Args:
        sender: asks exception handlers, and makes the entries of what no worker answers.
    """

    def __init__(self, sender: Sender) -> None:
        self._sender = sender

    def take(self, job: Job, packed: Any) -> None:
        """Hand over what a worker answered. Never blocks."""
        request = job.request
        entry: Any
        try:
            entry = unpack_entry(packed, request._arguments.context)
        except UnpicklableError as unknown:
            unknown.request = request
            entry = failed_response(request, unknown)
        if isinstance(entry, Response):
            request.response = entry
        error = getattr(entry, "error", None)
        if error is not None:
            job.error = error
            if handler_of(job) is not None and not job.batch.options.raise_errors:
                # It may take any time, and others wait for what else this worker says.
                gevent.spawn(self._handle, job, entry, error)
                return
        self._finish(job, entry)

    def _finish(self, job: Job, entry: Any) -> None:
        """Hand an entry over to its call. The caller's progress is told of it."""
        batch = job.batch
        batch.running.discard(job)
        try:
            batch.finish(job, entry)
        except SYSTEM_ERRORS as raised:
            interrupt(batch, raised, job)
        except BaseException as raised:
            # Somebody's timer that has hit the progress: the job has its entry, and what else its
            # worker says is to be heard.
            forget_frames(raised)
        if batch.stopped:
            batch.changed.set()

    def _handle(self, job: Job, entry: Any, error: Any) -> None:
        """Ask the exception handler for an entry."""
        job.greenlet = gevent.getcurrent()
        try:
            with use(GEVENT):
                entry = self._sender._ask_handler(job, entry, error)
        except SYSTEM_ERRORS as raised:
            interrupt(job.batch, raised, job)
        finally:
            job.greenlet = None
            self._finish(job, entry)

    def fail(self, job: Job, error: Any) -> None:
        """Have an entry be made of a request that no worker will answer. Never blocks."""
        job.batch.running.add(job)
        gevent.spawn(self.conclude, job, error)

    def give_up(self, job: Job, remote: Remote | None = None, twice: bool = False) -> None:
        """End a request that no worker is left for. None of its hooks run.

        Args:
            job: the request's.
            remote: the worker that had it last; None where there was none.
            twice: whether another had it before.
        """
        job.pending = []
        self.fail(job, lost_error(job, remote, twice))

    def conclude(self, job: Job, error: Any) -> None:
        """Make the entry of a request that no worker will answer. Runs its hooks, and may block."""
        batch = job.batch
        job.greenlet = gevent.getcurrent()
        try:
            with use(GEVENT), TimeLimit(clock() + GRACE) as time_limit:
                self._sender.conclude_unsent(job, error, time_limit)
        except SYSTEM_ERRORS as raised:
            interrupt(batch, raised, job)
        finally:
            job.greenlet = None
            batch.running.discard(job)
            batch.changed.set()


def lost_error(job: Job, remote: Remote | None, twice: bool) -> WorkerLost:
    """Return the error of a request whose worker is gone."""
    where = "its workers" if remote is None else f"its worker ({remote.place})"
    again = "; it was sent twice" if twice else ""
    error = WorkerLost(
        f"{job.request.describe()}: {where} died before it was answered{again}; it may have"
        " reached the server"
    )
    error.request = job.request
    return error
