"""Where a pool's requests come from, and where what becomes of them goes.

A `Feed` is one call of `map` or `imap`, or the queue of what was spawned. It is pulled from by the
pool's workers, one at a time, and only as there is room for what comes of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from gevent.event import AsyncResult, Event
from greenlet import getcurrent

from reqkit import Request, Response
from reqkit.exceptions import RequestException
from reqkit.sessions.result import Outcome, failed_response
from reqkit.timeouts import Deadline

from ..progress import SILENT, Reporter
from .cancellation import SYSTEM_ERRORS, cancelled
from .options import Call

__all__ = ["Feed", "Iterated", "Job", "Listed", "Ordered", "Reason", "Spawned", "Unordered"]

#: Makes the error of a request that is stopped: of the request, whether it was ever sent, and the
#: phase that it was in.
Reason = Callable[[Any, bool, "str | None"], RequestException]

_NOTHING: Final = object()


class Job(Outcome):
    """One request in a pool, and how its attempt that runs, or ran last, has ended.

    Attributes:
        request: what is sent; whatever was given, until it is known to be a request.
        index: its place in its feed.
        feed: where it came from.
        host: its host's name, where hosts have limits.
        placed: whether it holds a place of its host's.
        policy: what is left of its retries.
        retries: how often it was sent again.
        prefetch: whether its body is read, unless the request says otherwise.
        deadline: of the request itself, over all its attempts.
        greenlet: the one that runs it now.
        stop: what was thrown into it.
        handle: gets the entry, where it was spawned.
        started: whether it was ever sent.
        done: whether its entry was made.
        handled: whether the exception handler was asked for its entry.
    """

    __slots__ = (
        "deadline", "done", "feed", "greenlet", "handle", "handled", "host", "index", "placed",
        "policy", "prefetch", "retries", "started", "stop",
    )  # fmt: skip

    #: Shadows the slot: always so in a batch.
    as_failure = True

    def __init__(self, request: Request, index: int, feed: Feed) -> None:
        # What an outcome has, set here: one call less for each request.
        self.request = request
        self.response = self.error = self.chain = self.errors = self.pending = None
        self.safe = False
        self.index = index
        self.feed = feed
        call = feed.call
        self.policy = call.policy
        self.prefetch: bool = call.prefetch
        self.host: str | None = None
        self.deadline: Deadline | None = None
        self.greenlet: Any = None
        self.stop: BaseException | None = None
        self.handle: AsyncResult | None = None
        self.retries = 0
        self.placed = self.started = self.done = self.handled = False


class Feed:
    """Requests, and what becomes of them.

    Attributes:
        call: the settings.
        error: what the caller's iterable raised.
        failure: the first failure, where it is to be raised.
        ends: the moment of the call's deadline, in monotonic seconds, or None.
        hub: the gevent hub that the call belongs to.
        timer: the deadline's.
        stopped: whether nothing more of it is to be started.
        reason: makes the error of what is stopped.
        stop_by: the moment by which what was stopped has to have ended.
        running: the jobs that greenlets run now.
        unsent: jobs that get hooks and an entry, and are not to be sent any more.
        puller: the greenlet that runs the caller's iterable now.
        outstanding: jobs pulled whose entry was not made.
        changed: set whenever there is something new to see for who waits for this feed.
    """

    def __init__(self, call: Call) -> None:
        self.call = call
        self.error: BaseException | None = None
        self.failure: BaseException | None = None
        self.ends: float | None = None
        self.hub: Any = None
        self.timer: Any = None
        self.stopped = False
        self.reason: Reason | None = None
        self.stop_by = 0.0
        self.running: set[Job] = set()
        self.unsent: deque[Job] = deque()
        self.puller: Any = None
        self.outstanding = 0
        self.changed = Event()

    @property
    def ready(self) -> bool:
        """Whether a request can be pulled now."""
        raise NotImplementedError

    def pull(self) -> Job | None:
        """Take the next request; None where there is none, or no room."""
        raise NotImplementedError

    @property
    def over(self) -> bool:
        """Whether nothing is left to be waited for."""
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """How many known requests are not in flight and have no entry."""
        return self.outstanding - len(self.running)

    def keep_rest(self) -> None:
        """Have the known requests that were never pulled get hooks and an entry."""

    def drop_rest(self) -> None:
        """Let go of the known requests that were never pulled: they get no hooks, and no entry."""

    @property
    def has_unsent(self) -> bool:
        """Whether there are requests that get hooks and an entry, and are not to be sent."""
        return bool(self.unsent)

    def next_unsent(self) -> Job | None:
        """Take one of these."""
        return self.unsent.popleft() if self.unsent else None

    def finish(self, job: Job, entry: Any) -> None:
        """Take a job's entry; the first one counts."""
        if not job.done:
            job.done = True
            self.outstanding -= 1
            self._put(job, entry)

    def drop(self, job: Job) -> None:
        """Let go of a job that was never started: it gets no hooks, and no entry."""
        job.done = True
        self.outstanding -= 1
        if not self.outstanding:
            self.changed.set()

    def _put(self, job: Job, entry: Any) -> None:
        raise NotImplementedError


class Listed(Feed):
    """The requests of `map`: all known, all entries wanted, in order."""

    def __init__(self, call: Call, requests: list[Any], reporter: Reporter) -> None:
        super().__init__(call)
        #: Whether code of the user's learns of each failure, beside hooks.
        self.tells_of_failures = reporter is not SILENT or call.exception_handler is not None
        self.entries: list[Any] = [None] * len(requests)
        self._requests = requests
        self._pulled = 0
        self._left = len(requests)
        self._raising = call.raise_errors
        self._reporter = reporter

    @property
    def ready(self) -> bool:
        """Whether a request can be pulled now."""
        return self._pulled < len(self._requests) and not self.stopped

    def pull(self) -> Job | None:
        """Take the next request."""
        index = self._pulled
        if self.stopped or index >= len(self._requests):
            return None
        self._pulled = index + 1
        return Job(self._requests[index], index, self)

    @property
    def over(self) -> bool:
        """Whether all have their entries."""
        return not self._left

    @property
    def waiting(self) -> int:
        """How many are not in flight and have no entry."""
        return self._left - len(self.running)

    def drop_rest(self) -> None:
        """Let go of the requests that were never pulled."""
        self._left -= len(self._requests) - self._pulled
        self._pulled = len(self._requests)

    def drop(self, job: Job) -> None:
        """Let go of a job that was never started: it gets no hooks, and no entry."""
        job.done = True
        self._left -= 1

    @property
    def has_unsent(self) -> bool:
        """Whether there are requests that get hooks and an entry, and are not to be sent."""
        return bool(self.unsent) or (self.stopped and self._pulled < len(self._requests))

    def next_unsent(self) -> Job | None:
        """Take one of these: what was never pulled comes last."""
        if self.unsent:
            return self.unsent.popleft()
        index = self._pulled
        if not self.stopped or index >= len(self._requests):
            return None
        self._pulled = index + 1
        return Job(self._requests[index], index, self)

    def fail_rest(
        self, fail: Callable[[Any], Response | None], most: int
    ) -> tuple[int, Response | None]:
        """Take the entries of requests that were never pulled, one after the other.

        Args:
            fail: returns a request's entry, or None: no further ones, then.
            most: how many, at most.

        Returns:
            how many there were, and the last one.
        """
        first = index = self._pulled
        requests, entries = self._requests, self.entries
        end = min(first + most, len(requests))
        last: Response | None = None
        try:
            while index < end:
                entry = fail(requests[index])
                if entry is None:
                    break
                entries[index] = last = entry
                index += 1
        finally:
            self._pulled = index
            self._left -= index - first
        if last is not None and self._raising and self.failure is None:
            self.failure = entries[first].error
        if not self._left or self.failure is not None:
            self.changed.set()
        return index - first, last

    def finish(self, job: Job, entry: Any) -> None:
        """Take a job's entry; the first one counts."""
        if job.done:
            return
        job.done = True
        self.entries[job.index] = entry
        left = self._left = self._left - 1
        if self._raising and self.failure is None:
            self.failure = getattr(entry, "error", None)
        if not left or self.failure is not None:
            self.changed.set()
        # Last: it is the user's code, and whatever it raises must not keep the caller waiting.
        reporter = self._reporter
        if reporter is not SILENT:
            reporter.step()


class Iterated(Feed):
    """The requests of `imap`: pulled from an iterable of the caller's.

    Args:
        call: the settings.
        iterator: what is pulled from.
        bound: how many may be pulled and not handed over.

    Attributes:
        consumer: the greenlet that takes the entries.
    """

    def __init__(self, call: Call, iterator: Iterator[Any], bound: int) -> None:
        super().__init__(call)
        self.consumer: Any = None
        self._iterator: Iterator[Any] | None = iterator
        self._bound = bound
        self._pulled = 0
        self._handed = 0

    @property
    def ready(self) -> bool:
        """Whether a request can be pulled now."""
        return (
            self._iterator is not None
            and self.puller is None
            and self._pulled - self._handed < self._bound
            and not self.stopped
        )

    def pull(self) -> Job | None:
        """Take the next request; None where there is none, or no room.

        Runs the caller's iterable, which may switch greenlets.
        """
        iterator = self._iterator
        if (  # as `ready` has it
            iterator is None
            or self.puller is not None
            or self._pulled - self._handed >= self._bound
            or self.stopped
        ):
            return None
        self.puller = getcurrent()
        try:
            request = next(iterator, _NOTHING)
        except BaseException as error:
            if not self.stopped:
                self.error = error
            request = _NOTHING
            if isinstance(error, SYSTEM_ERRORS):
                self._iterator = None
                self.changed.set()
                raise  # these are the main greenlet's
        finally:
            self.puller = None
        if self.stopped or request is _NOTHING:
            self._iterator = None
            self.changed.set()
            return None
        job = Job(request, self._pulled, self)  # type: ignore[arg-type]
        self._pulled += 1
        self.outstanding += 1
        return job

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return (self._iterator is None or self.stopped) and not self.outstanding

    def take(self) -> tuple[int, Any] | None:
        """Hand over the next entry with its index, or None where there is none yet."""
        raise NotImplementedError

    def unread(self) -> Iterable[Any]:
        """Take out the entries that nobody will ask for any more."""
        raise NotImplementedError


class Unordered(Iterated):
    """The requests of `imap_unordered`: entries as they end."""

    def __init__(self, call: Call, iterator: Iterator[Any], bound: int) -> None:
        super().__init__(call, iterator, bound)
        self._entries: deque[tuple[int, Any]] = deque()

    def finish(self, job: Job, entry: Any) -> None:
        """Take a job's entry; the first one counts."""
        if not job.done:
            job.done = True
            self.outstanding -= 1
            self._entries.append((job.index, entry))
            self.changed.set()

    def take(self) -> tuple[int, Any] | None:
        """Hand over the next entry with its index, or None where there is none yet."""
        if not self._entries:
            return None
        self._handed += 1
        return self._entries.popleft()

    def unread(self) -> Iterable[Any]:
        """Take out the entries that nobody will ask for any more."""
        while self._entries:
            yield self._entries.popleft()[1]


class Ordered(Iterated):
    """The requests of `imap`: entries in the order of the requests."""

    def __init__(self, call: Call, iterator: Iterator[Any], bound: int) -> None:
        super().__init__(call, iterator, bound)
        self._entries: dict[int, Any] = {}

    def _put(self, job: Job, entry: Any) -> None:
        self._entries[job.index] = entry
        if job.index == self._handed or not self.outstanding:
            self.changed.set()

    def take(self) -> tuple[int, Any] | None:
        """Hand over the next entry with its index, or None where there is none yet."""
        index = self._handed
        entry = self._entries.pop(index, _NOTHING)
        if entry is _NOTHING:
            # After a stop there are gaps: what was never started has no entry.
            if not (self.stopped and self._entries and not self.outstanding):
                return None
            index = min(self._entries)
            entry = self._entries.pop(index)
        self._handed = index + 1
        return index, entry

    def unread(self) -> Iterable[Any]:
        """Take out the entries that nobody will ask for any more."""
        while self._entries:
            yield self._entries.popitem()[1]


class Spawned(Feed):
    """What `Pool.spawn` queues: any time, from anywhere, without end.

    Args:
        call: the settings.
        idle: called when the last one has its entry.
    """

    def __init__(self, call: Call, idle: Callable[[], None]) -> None:
        super().__init__(call)
        #: Told of each entry.
        self.reporter: Reporter = SILENT
        self._idle = idle
        self._queue: deque[Job] = deque()
        self._pulled = 0

    @property
    def ready(self) -> bool:
        """Whether something is queued."""
        return bool(self._queue)

    def pull(self) -> Job | None:
        """Take the next request."""
        return self._queue.popleft() if self._queue else None

    def add(self, request: Request, prefetch: bool | None) -> Job:
        """Queue a request."""
        job = Job(request, self._pulled, self)
        if prefetch is not None:
            job.prefetch = prefetch
        job.handle = AsyncResult()
        self._pulled += 1
        self.outstanding += 1
        self._queue.append(job)
        return job

    def keep_rest(self) -> None:
        """Have all that is queued get hooks and an entry."""
        self.unsent.extend(self._queue)
        self._queue.clear()

    def drop_rest(self) -> None:
        """Let go of all that is queued."""
        queue, self._queue = self._queue, deque()
        for job in queue:
            self.drop(job)

    def take_out(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Remove jobs from the queue, and return them."""
        out = [job for job in self._queue if wanted(job)]
        self._queue = deque(job for job in self._queue if not wanted(job))
        return out

    @property
    def over(self) -> bool:
        """Whether nothing is left to be waited for."""
        return not self.outstanding

    def drop(self, job: Job) -> None:
        """Let go of a job that was never started: it gets no hooks, but who waits for it hears."""
        reason = self.reason or cancelled
        self.finish(job, failed_response(job.request, reason(job.request, False, None)))

    def _put(self, job: Job, entry: Any) -> None:
        assert job.handle is not None
        job.handle.set(entry)
        if self.call.raise_errors and self.failure is None:
            self.failure = getattr(entry, "error", None)
        reporter = self.reporter
        if not self.outstanding:
            self._idle()
        if not self.outstanding or self.failure is not None:
            self.changed.set()
        if reporter is not SILENT:
            reporter.step()
