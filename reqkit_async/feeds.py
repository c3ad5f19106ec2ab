"""Where a pool's requests come from, and where what becomes of them goes.

A `Feed` is one call of `map` or `imap`, or the queue of what was spawned. It is pulled from by the
pool's workers, one at a time, and only as there is room for what comes of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from gevent.event import AsyncResult, Event

from reqkit import Request
from reqkit.timeouts import Deadline

__all__ = ["Feed", "Job", "Listed", "Ordered", "Spawned", "Unordered"]

_NOTHING: Final = object()


class Job:
    """One request in a pool.

    Attributes:
        request: what is sent.
        index: its place in its feed.
        feed: where it came from.
        host: its host's name, where it takes a place of the host's.
        policy: what is left of its retries.
        prefetch: whether its body is read, unless the request says otherwise.
        deadline: of the request itself, over all its attempts.
        greenlet: the worker that runs it now.
        outcome: of the attempt that runs, or ran last.
        started: whether it was ever sent.
        done: whether its entry was made.
    """

    __slots__ = (
        "deadline", "done", "feed", "greenlet", "handle", "host", "index", "outcome", "policy",
        "prefetch", "request", "started",
    )  # fmt: skip

    def __init__(self, request: Request, index: int, feed: Feed) -> None:
        self.request = request
        self.index = index
        self.feed = feed
        self.host: str | None = None
        self.policy = feed.policy
        self.prefetch = feed.prefetch
        self.deadline: Deadline | None = None
        self.greenlet: Any = None
        self.outcome: Any = None
        self.handle: AsyncResult | None = None
        self.started = False
        self.done = False


class Feed:
    """Requests, and what becomes of them.

    Args:
        requests: what is pulled from.
        bound: how many may be pulled and not handed over; None for any number.
        prefetch, exception_handler, policy: as the call has it.

    Attributes:
        exhausted: whether nothing more comes of it.
        stopped: whether what is left of it is not to be started.
        error: what the caller's iterable raised.
        ends: the moment of the call's deadline, in monotonic seconds, or None.
        running: the jobs that workers run now.
        outstanding: jobs pulled whose entry was not made.
    """

    def __init__(
        self,
        requests: Iterable[Any],
        bound: int | None,
        prefetch: bool | None,
        exception_handler: Callable[[Any, Any], Any] | None,
        policy: Any,
    ) -> None:
        self._iterator: Iterator[Any] = iter(requests)
        self.bound = bound
        self.prefetch = prefetch
        self.exception_handler = exception_handler
        self.policy = policy
        self.exhausted = False
        self.stopped = False
        self.error: Exception | None = None
        self.ends: float | None = None
        self.running: set[Job] = set()
        self.outstanding = 0
        self.pulled = 0
        self.handed = 0
        self._pulling = False
        #: Set whenever there is something new to see for who waits for this feed.
        self.changed = Event()

    @property
    def ready(self) -> bool:
        """Whether a request can be pulled now."""
        return not (
            self.exhausted
            or self._pulling
            or (self.bound is not None and self.pulled - self.handed >= self.bound)
        )

    def pull(self) -> Job | None:
        """Take the next request; None where there is none, or no room. Runs the user's code."""
        if not self.ready:
            return None
        self._pulling = True
        try:
            request = next(self._iterator, _NOTHING)
        except Exception as error:
            self.error = error
            request = _NOTHING
        finally:
            self._pulling = False
        if self.stopped:
            return None
        if request is _NOTHING:
            self.exhausted = True
            self.changed.set()
            return None
        job = Job(request, self.pulled, self)  # type: ignore[arg-type]
        self.pulled += 1
        self.outstanding += 1
        return job

    def finish(self, job: Job, entry: Any) -> bool:
        """Take a job's entry; False where it had one already."""
        if job.done:
            return False
        job.done = True
        self.outstanding -= 1
        self.put(job, entry)
        return True

    def put(self, job: Job, entry: Any) -> None:
        """Keep an entry for who waits for it."""
        raise NotImplementedError

    @property
    def over(self) -> bool:
        """Whether nothing is left to be waited for."""
        return self.exhausted and not self.outstanding


class Listed(Feed):
    """The requests of `map`: all known, all entries wanted, in order."""

    def __init__(self, requests: list[Any], *settings: Any) -> None:
        super().__init__(requests, None, *settings)
        self.requests = requests
        self.entries: list[Any] = [_NOTHING] * len(requests)

    def put(self, job: Job, entry: Any) -> None:
        """Keep an entry; wake the caller with the last one."""
        self.entries[job.index] = entry
        if not self.outstanding:
            self.changed.set()

    def missing(self) -> list[Job]:
        """Return jobs for the requests that have no entry."""
        left = [index for index, entry in enumerate(self.entries) if entry is _NOTHING]
        jobs = []
        for index in left:
            job = Job(self.requests[index], index, self)
            self.outstanding += 1
            jobs.append(job)
        return jobs


class Unordered(Feed):
    """The requests of `imap_unordered`: entries as they end."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self._entries: deque[tuple[int, Any]] = deque()

    def put(self, job: Job, entry: Any) -> None:
        """Keep an entry."""
        self._entries.append((job.index, entry))
        self.changed.set()

    def take(self) -> tuple[int, Any] | None:
        """Hand over the next entry with its index, or None where there is none yet."""
        if not self._entries:
            return None
        self.handed += 1
        return self._entries.popleft()


class Ordered(Feed):
    """The requests of `imap`: entries in the order of the requests."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self._entries: dict[int, Any] = {}

    def put(self, job: Job, entry: Any) -> None:
        """Keep an entry."""
        self._entries[job.index] = entry
        if job.index == self.handed:
            self.changed.set()

    def take(self) -> tuple[int, Any] | None:
        """Hand over the next entry with its index, or None where there is none yet."""
        entry = self._entries.pop(self.handed, _NOTHING)
        if entry is _NOTHING:
            # After a stop there are gaps: what was never started has no entry.
            if not (self.stopped and self._entries and not self.outstanding):
                return None
            self.handed = min(self._entries)
            entry = self._entries.pop(self.handed)
        self.handed += 1
        return self.handed - 1, entry


class Spawned(Feed):
    """What `Pool.spawn` queues: any time, from anywhere, without end."""

    def __init__(self, *settings: Any) -> None:
        super().__init__((), None, *settings)
        self.queue: deque[Job] = deque()

    @property
    def ready(self) -> bool:
        """Whether something is queued."""
        return bool(self.queue)

    def pull(self) -> Job | None:
        """Take the next request."""
        return self.queue.popleft() if self.queue else None

    def add(self, request: Request, prefetch: bool | None) -> AsyncResult:
        """Queue a request; return what gets its entry."""
        job = Job(request, self.pulled, self)
        if prefetch is not None:
            job.prefetch = prefetch
        self.pulled += 1
        self.outstanding += 1
        job.handle = AsyncResult()
        self.changed.clear()
        self.queue.append(job)
        return job.handle

    def put(self, job: Job, entry: Any) -> None:
        """Hand an entry to who waits for it."""
        assert job.handle is not None
        job.handle.set(entry)
        if not self.outstanding:
            self.changed.set()

    @property
    def over(self) -> bool:
        """Whether nothing is left to be waited for."""
        return not self.outstanding
