"""A worker's part in a run: it takes requests from its caller until that says stop.

The requests are sent by a `Pool` of the worker's own, so that all that is promised of one holds
here: limits, retries, hooks, stopping. What becomes of them goes back as it comes.
"""

from __future__ import annotations

import os
import pickle
import platform
import socket
from collections.abc import Callable
from functools import partial
from time import monotonic as clock
from typing import Any, Final

import gevent

from reqkit import Request, Response
from reqkit._version import __version__
from reqkit.exceptions import RequestException, UnpicklableError
from reqkit.network import use
from reqkit.sessions.outcome import failed_response

from ..network import GEVENT
from ..pool.batch import Job, QueuedBatch
from ..pool.exits import SYSTEM_ERRORS
from ..pool.interruption import interrupt
from ..pool.options import BatchOptions
from ..pool.pool import Pool, let_go
from ..pool.stop_reasons import GRACE, TimeLimit, cancelled, expired
from .channel import Channel
from .lending import Lending
from .pickling import Unpacker, cannot_travel, pack_entry
from .stats import Recorder, take_figures

__all__ = ["Worker", "whatever_exits"]

#: Seconds after which what waits for a host that is held back has been sorted out.
_SOON: Final = 0.01
_REASONS: Final = {"expired": expired, "cancelled": cancelled}


class _Incoming(QueuedBatch):
    """The requests of one call of the caller's, as they come."""

    def __init__(self, worker: Worker, number: int, options: BatchOptions) -> None:
        super().__init__(options)
        self.number = number
        self._worker = worker
        self.on_interruption = partial(worker.tell_exit, number)

    @property
    def ready(self) -> bool:
        return not self.stopped and super().ready

    def pull(self) -> Job | None:
        return None if self.stopped else super().pull()

    def finish(self, job: Job, entry: Any) -> None:
        if not job.done:
            job.done = True
            self.outstanding -= 1
            self._worker.hand_over(job, entry)
            if self.stopped:
                self.changed.set()


class Worker:
    """A worker's part in a run.

    Args:
        channel: leads to the caller.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._unpacker = Unpacker()
        self._batches: dict[int, _Incoming] = {}
        self._entries: list[tuple[int, Any]] = []
        #: Requests that the caller wants to know of before they are sent.
        self._marked: set[int] = set()
        self._recorder = Recorder()
        self._pool: Any = None
        self._lending: Lending | None = None
        self._shift = 0.0
        channel.before_sending = self._add_entries

    def run(self) -> None:
        """Take messages until the caller says that it is over, or is gone."""
        self._channel.post(
            (
                "hello", __version__, platform.python_version(), socket.gethostname(), os.getpid(),
                clock(),
            )
        )  # fmt: skip
        self._channel.send_now()
        try:
            self._take_all()
        except SYSTEM_ERRORS as error:
            self.tell_exit(None, error)
        finally:
            whatever_exits(self._channel.wait_sent)
            whatever_exits(self._stop_all)

    def _take_all(self) -> None:
        for messages in self._channel.receive():
            for message in messages:
                if message[0] == "end":
                    return
                getattr(self, "_" + message[0])(*message[1:])
            if self._pool is not None:
                self._pool._workers.arrange()

    # -- what the caller says ---------------------------------------------------------------

    def _setup(self, shared: dict[int, bytes], settings: dict[str, Any]) -> None:
        for number, blob in shared.items():
            self._unpacker.add(number, blob)
        pool = self._pool = Pool(
            settings["size"],
            per_host=settings["per_host"],
            rate=settings["rate"],
            delay=settings["delay"],
            session=self._unpacker.known(settings["session"]),
        )
        pool.stats._traffic = self._recorder  # type: ignore[assignment]
        self._policy = self._unpacker.known(settings["policy"])
        self._shift = settings["shift"]
        sender = pool._sender
        self._send = sender.send
        pool._workers.send = self._send_marked
        pool._workers.on_hold = self._tell_hold
        if pool._workers.limited:
            self._lending = pool._workers.lender = Lending(pool._workers, self._tell_now)
        self._channel.post(("ready", pool._workers.most))

    def _batch(self, number: int, prefetch: bool, left: float | None) -> None:
        options = BatchOptions(prefetch, self._policy)
        batch = self._batches[number] = _Incoming(self, number, options)
        self._pool._begin(batch, None)
        if left is not None:
            # The caller keeps the deadline; retries must know of it.
            batch.ends = clock() + left

    def _share(self, number: int, blob: bytes) -> None:
        self._unpacker.add(number, blob)

    def _use_session(self, number: int) -> None:
        self._pool.session = self._unpacker.known(number)

    def _give(
        self, number: int, items: list[tuple[int, tuple[Any, ...], bool | None, bool]]
    ) -> None:
        batch = self._batches[number]
        for index, packed, prefetch, marked in items:
            try:
                request = self._unpacker.unpack(packed)
            except UnpicklableError as error:
                self._entries.append((index, pack_entry(failed_response(Request(), error))))
                self._channel.send_soon()
                continue
            except SYSTEM_ERRORS as error:  # of code that runs where an object is made
                self.tell_exit(number, error)
                self._channel.post(("dropped", index))
                continue
            job = Job(request, index, batch)
            if prefetch is not None:
                job.prefetch = prefetch
            if marked:
                self._marked.add(index)
            batch.put(job)

    def _fail(self, number: int, index: int, packed: tuple[Any, ...], pickled: bytes) -> None:
        """Have the hooks of a request run whose worker was lost."""
        error = pickle.loads(pickled)
        try:
            request = self._unpacker.unpack(packed)
        except UnpicklableError as unknown:
            request, error = Request(), unknown
        batch = self._batches[number]
        job = Job(request, index, batch)
        batch.outstanding += 1
        gevent.spawn(self._conclude, job, error)

    def _conclude(self, job: Job, error: Any) -> None:
        job.batch.running.add(job)
        try:
            with use(GEVENT), TimeLimit(clock() + GRACE) as time_limit:
                self._pool._sender.conclude_unsent(job, error, time_limit)
        except SYSTEM_ERRORS as raised:
            interrupt(job.batch, raised, job)
        finally:
            job.batch.running.discard(job)

    def _hold(self, host: str, seconds: float) -> None:
        self._pool._workers.hold_host(host, seconds)
        gevent.spawn_later(_SOON, self._tell_held_back)

    def _lend(self, number: int, host: str, begun: bool) -> None:
        if self._lending is not None:
            self._lending.wanted(number, host, begun)

    def _granted(self, number: int, own: bool) -> None:
        if self._lending is not None:
            self._lending.granted(number, own)

    def _set_out(self, number: int) -> None:
        if self._lending is not None:
            self._lending.begun(number)

    def _give_back(self, number: int) -> None:
        if self._lending is not None:
            self._lending.given_back(number)

    def _stop(self, number: int, reason: str, everything: bool) -> None:
        batch = self._batches.get(number)
        if batch is None:
            self._channel.post(("stopped", number))
            return
        self._pool._shutdown.begin(batch, _REASONS[reason], everything)
        gevent.spawn(self._stopped, batch)

    def _stopped(self, batch: _Incoming) -> None:
        try:
            self._pool._shutdown.wait(batch)
        except SYSTEM_ERRORS as raised:
            interrupt(batch, raised)
        finally:
            self._add_entries()  # they come first
            self._channel.post(("stopped", batch.number))
            self._channel.send_now()

    def _cancel(self, number: int, index: int) -> None:
        """Stop one request."""
        batch = self._batches[number]

        def wanted(job: Job) -> bool:
            return job.index == index

        for job in batch.running:
            if wanted(job):
                self._pool._shutdown.throw(job)
        waiting = batch.take_out(wanted) + self._pool._workers.take_out(wanted)
        for job in waiting:
            if job.started:
                gevent.spawn(self._conclude, job, cancelled(job.request))
            else:
                batch.drop(job)
                self._channel.post(("dropped", index))

    def _forget(self, number: int) -> None:
        batch = self._batches.pop(number, None)
        if batch is not None:
            let_go(self._pool._workers, self._pool.stats, batch)

    def _stop_all(self) -> None:
        if self._pool is None:
            return
        batches = list(self._batches.values())
        for batch in batches:
            self._pool._shutdown.begin(batch, cancelled, False)
        for batch in batches:
            self._pool._shutdown.wait(batch)
            let_go(self._pool._workers, self._pool.stats, batch)
        if self._lending is not None:
            self._lending.close()

    # -- what the caller hears --------------------------------------------------------------

    def tell_exit(self, number: int | None, error: BaseException, job: Job | None = None) -> None:
        """Have the caller hear what is to end a call, as where its hooks run there.

        Args:
            number: the call's batch; None where this worker ends, too.
            error: what was raised.
            job: what the code ran for, where that is known. Its entry comes after.
        """
        code = getattr(error, "code", None)
        index = None if job is None else job.index
        own = [entry for entry in self._entries if entry[0] == index]
        if own:
            self._entries = [entry for entry in self._entries if entry[0] != index]
        self._add_entries()
        self._channel.post(
            (
                "exited", number, code if isinstance(code, (int, str)) else None,
                isinstance(error, KeyboardInterrupt), index,
            )
        )  # fmt: skip
        if own:
            self._entries += own
            self._channel.send_soon()

    def _tell_hold(self, host: str, seconds: float) -> None:
        self._channel.post(("hold", host, seconds))
        gevent.spawn_later(_SOON, self._tell_held_back)

    def _tell_held_back(self) -> None:
        """Have the caller know how many wait here, so that others can come in their place."""
        self._channel.post(("held_back", self._held_back()))

    def _held_back(self) -> int:
        held: int = self._pool._workers.held_back()
        return held if self._lending is None else held + self._lending.waiting

    def _tell_now(self, *message: Any) -> None:
        self._channel.post(message)
        self._channel.send_now()

    def _send_marked(self, job: Job) -> None:
        if job.index in self._marked:
            self._marked.discard(job.index)
            self._channel.post(("began", job.index))
            self._channel.wait_sent()
        self._send(job)

    def hand_over(self, job: Job, entry: Any) -> None:
        """Have an entry go to the caller. May wait for the rest of its body."""
        try:
            if isinstance(entry, Response):
                if entry.error is None and not entry._streamed:
                    entry.content  # noqa: B018 reads it: nothing of it can be read elsewhere
                if self._shift:
                    _shift_times(entry, self._shift)
            packed = pack_entry(entry, job.request._arguments.context)
        except BaseException as raised:  # the entry says what it was: none is lost by it
            if isinstance(entry, Response):
                entry.close()
            error = _failure_of(job, raised)
            errors = self._pool.stats.errors
            errors[type(error).__name__] = errors.get(type(error).__name__, 0) + 1
            packed = pack_entry(failed_response(job.request, error))
        self._entries.append((job.index, packed))
        self._channel.send_soon()

    def _add_entries(self) -> None:
        entries = self._entries
        if entries:
            self._entries = []
            figures = take_figures(self._pool.stats, self._recorder, self._shift)
            self._channel.post(("entries", entries, figures, self._held_back()))


def _failure_of(job: Job, raised: BaseException) -> RequestException:
    """Return the error of a request whose entry could not be packed."""
    if isinstance(raised, Exception):
        error = raised
        if not isinstance(error, RequestException):
            error = cannot_travel(f"the entry of {job.request.describe()}", error)
        if error.request is None:
            error.request = job.request
        return error
    reason = job.batch.reason or cancelled
    error = reason(job.request, True, None)
    error.__cause__ = raised
    return error


def whatever_exits(step: Callable[[], None]) -> None:
    """Do something that further hooks, which want to exit, may interrupt."""
    while True:
        try:
            return step()
        except SYSTEM_ERRORS:
            continue


def _shift_times(entry: Response, shift: float) -> None:
    """Have a response's moments be those of the caller's clock, which is another machine's."""
    for response in (*entry.history, entry):
        response._shift_times(shift)
