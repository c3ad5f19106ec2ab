"""What `Pool.spawn` queues: requests that come one at a time, from anywhere, without end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import gevent
from gevent.event import AsyncResult
from gevent.exceptions import LoopExit
from gevent.hub import Waiter, get_hub
from greenlet import getcurrent

from reqkit import Request
from reqkit.network import forks
from reqkit.sessions.outcome import failed_response

from ..progress import SILENT, Reporter
from .batch import Job, QueuedBatch, failure_of
from .exits import SYSTEM_ERRORS, Exit, is_signals
from .options import BatchOptions
from .stop_reasons import cancelled

__all__ = ["Handle", "SendingGreenlet", "SpawnedBatch", "would_wait_forever",
           "wrong_process", "wrong_thread"]  # fmt: skip

if TYPE_CHECKING:  # they take no parameters when the program runs
    _Result: TypeAlias = AsyncResult[Any]
    _Greenlet: TypeAlias = gevent.Greenlet[..., Any]
else:
    _Result, _Greenlet = AsyncResult, gevent.Greenlet


class Handle(_Result):  # type: ignore[misc]
    """What `Pool.spawn` returns; to be waited for in the pool's own thread.

    Attributes:
        exit: what code of the user's has raised there to end the program, if anything: who waits
            raises it, unless who joins the pool has done so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.exit: Exit | None = None
        self._pools_hub = get_hub()
        self._generation = forks.count

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Wait for the entry, and return it."""
        return self._wait_checked(block, super().get, block, timeout)

    def wait(self, timeout: float | None = None) -> Any:
        """Wait for the entry; return it, or None where it took longer."""
        return self._wait_checked(True, super().wait, timeout)

    def _wait_checked(self, blocks: bool, wait: Callable[..., Any], *arguments: Any) -> Any:
        if blocks and not self.ready() and get_hub() is not self._pools_hub:
            raise wrong_thread()
        if blocks and not self.ready() and self._generation != forks.count:
            raise wrong_process()
        try:
            entry = wait(*arguments)
        except LoopExit:
            raise would_wait_forever() from None
        if self.exit is not None and not self.exit.taken:
            raise self.exit.take()
        return entry


class _Link:
    """Tells who waits for several greenlets at once of one that has ended, or throws its exit."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self._call = call

    def __call__(self, ended: SendingGreenlet) -> None:
        told = ended.exit
        if told is None or told.taken or getattr(self._waiter, "greenlet", None) is None:
            self._call(ended)
        else:
            self._waiter.throw(told.take())

    @property
    def _waiter(self) -> Any:
        return self._call.__self__  # type: ignore[attr-defined]

    def __eq__(self, other: object) -> bool:
        return bool(self._call == (other._call if isinstance(other, _Link) else other))

    def __hash__(self) -> int:
        return hash(self._call)


class SendingGreenlet(_Greenlet):  # type: ignore[misc]
    """What `send` starts; to be waited for in its own thread.

    What code of the user's raises in it to end the program is raised by who waits for it, as all
    errors of greenlets are by ``get``, and by nobody else.

    Args:
        function: sends, or waits for what is sent, and returns the entry.
        request: the request.
        *arguments: further ones of the function's.
    """

    def __init__(self, function: Callable[..., Any], request: Any, *arguments: Any) -> None:
        super().__init__(_sent, function, request, *arguments)
        self.exit: Exit | None = None
        self._generation = forks.count

    @property
    def exception(self) -> BaseException | None:
        """What it has raised."""
        error: BaseException | None = super().exception if self.exit is None else self.exit.error
        return error

    @property
    def exc_info(self) -> Any:
        """What it has raised: type, value and traceback."""
        if self.exit is None:
            return super().exc_info
        return type(self.exit.error), self.exit.error, self.exit.error.__traceback__

    def successful(self) -> bool:
        """Tell whether it has ended with an entry."""
        return self.exit is None and bool(super().successful())

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """As gevent's own."""
        is_waiter = isinstance(getattr(callback, "__self__", None), Waiter)
        super().rawlink(_Link(callback) if is_waiter else callback)

    def _raise_exception(self) -> None:
        if self.exit is None:
            super()._raise_exception()
        else:
            raise self.exit.take()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Wait for the response, and return it."""
        return self._wait_checked(block, super().get, block, timeout)

    def join(self, timeout: float | None = None) -> Any:
        """Wait for the end."""
        self._wait_checked(True, super().join, timeout)
        if self.exit is not None and not self.exit.taken:
            raise self.exit.take()

    def _wait_checked(self, blocks: bool, wait: Callable[..., Any], *arguments: Any) -> Any:
        if blocks and not self.ready() and get_hub() is not self.parent:
            raise RuntimeError(
                "this request was sent in another thread, whose greenlets alone can wait for it:"
                " wait there, and hand the response over (queue.Queue)"
            )
        if blocks and not self.ready() and self._generation != forks.count:
            raise RuntimeError(
                "this request was sent by the process that has forked this one, and its answer is"
                " for that one: send it again here"
            )
        try:
            return wait(*arguments)
        except LoopExit:
            raise would_wait_forever() from None


def _sent(function: Callable[..., Any], request: Any, *arguments: Any) -> Any:
    """Run what a greenlet of `send` is for, and keep what is to end the program."""
    try:
        return function(request, *arguments)
    except SYSTEM_ERRORS as error:
        me: Any = getcurrent()
        if is_signals(error):
            me.exit = Exit(error, quiet=True)
            me.parent.handle_system_error(type(error), error)
        else:
            me.exit = Exit(error, request)
        return None
    except BaseException:
        # A killed greenlet keeps what has killed it, and by its traceback all that is here.
        request = arguments = None  # type: ignore[assignment]
        raise


def wrong_thread() -> RuntimeError:
    """Return the error for a pool that is used in another thread than its own."""
    return RuntimeError(
        "this pool is another thread's: a Pool belongs to the thread that uses it first. Make one"
        " for each thread; a Session may be shared by all"
    )


def wrong_process() -> RuntimeError:
    """Return the error for a pool that was at work when this process was forked off."""
    return RuntimeError(
        "this pool is at work in the process that has forked this one, and what it sends is for"
        " that one: make another pool here; a Session may be used in both"
    )


def would_wait_forever() -> RuntimeError:
    """Return the error for waiting where nothing can end it."""
    return RuntimeError(
        "this would wait for ever: nothing is in flight, and what is left waits for what never"
        " comes (a hook, or the iterable, that waits for something that nobody does)"
    )


class SpawnedBatch(QueuedBatch):
    """What `Pool.spawn` queues: any time, from anywhere, without end.

    Args:
        options: the settings.
        idle: called with this when the last one has its entry.
    """

    failure: BaseException | None
    outstanding: int

    def __init__(self, options: BatchOptions, idle: Callable[[SpawnedBatch], None]) -> None:
        super().__init__(options)
        #: Told of each entry.
        self.reporter: Reporter = SILENT
        self._idle = idle
        self._pulled = 0

    def add(self, request: Request, prefetch: bool | None) -> Job:
        """Queue a request."""
        job = Job(request, self._pulled, self)
        if prefetch is not None:
            job.prefetch = prefetch
        job.handle = Handle()
        self._pulled += 1
        self.put(job)
        return job

    def take_back(self, job: Job) -> None:
        """Forget a request whose queueing has failed, as if it had never been there."""
        self.take_out(lambda queued: queued is job)
        job.done = True
        self.outstanding -= 1
        if not self.outstanding:
            self._idle(self)

    def drop(self, job: Job) -> None:
        """Let go of a job that was never started: it gets no hooks, but who waits for it hears."""
        reason = self.reason or cancelled
        self.finish(job, failed_response(job.request, reason(job.request, False, None)))

    def _put(self, job: Job, entry: Any) -> None:
        assert job.handle is not None
        if self.options.raise_errors and self.failure is None:
            self.failure = failure_of(job, entry)
        reporter = self.reporter
        job.done = True
        self.outstanding -= 1
        try:
            job.handle.set(entry)
            if not self.outstanding:
                self._idle(self)
        finally:
            if not self.outstanding or self.failure is not None:
                self.changed.set()
        if reporter is not SILENT:
            reporter.step()
