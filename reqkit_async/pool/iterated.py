"""The batches of `imap`: pulled from the caller's iterable, and handed over one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Final

from greenlet import getcurrent

from reqkit import Request

from .batch import Batch, Failed, Job, failure_of
from .exits import SYSTEM_ERRORS
from .options import BatchOptions
from .requests import as_request

__all__ = ["IteratedBatch", "OrderedBatch", "UnorderedBatch"]

_NOTHING: Final = object()


class IteratedBatch(Batch):
    """The requests of `imap`: pulled from an iterable of the caller's.

    Args:
        options: the settings.
        iterator: what is pulled from.
        bound: how many may be pulled and not handed over.

    Attributes:
        consumer: the greenlet that takes the entries.
    """

    error: BaseException | None
    outstanding: int
    puller: Any
    taken: Job | None

    def __init__(self, options: BatchOptions, iterator: Iterator[Any], bound: int) -> None:
        super().__init__(options)
        self.consumer: Any = None
        #: Whether `sys.exit` or an interrupt has come out of the iterable.
        self.over_by_error: bool = False
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
            and not self.interrupted
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
            or self.interrupted
        ):
            return None
        self.puller = getcurrent()
        try:
            request = next(iterator, _NOTHING)
            if request is not _NOTHING:
                if type(request) is not Request:
                    request = as_request(request)
                job = Job(request, self._pulled, self)
        except BaseException as error:  # of the user's code: a timer or a kill that hit it, too
            request = _NOTHING
            if isinstance(error, SYSTEM_ERRORS):
                self._iterator = None
                self.over_by_error = True
                self.changed.set()
                raise  # which ends the call at once
            if not self.stopped:
                self.error = error
        finally:
            self.puller = None
        if self.stopped or request is _NOTHING:
            self._iterator = None
            self.changed.set()
            return None
        self.taken = job
        self._pulled += 1
        self.outstanding += 1
        return job

    def _raised(self, job: Job, entry: Any) -> Any:
        """Return an entry, or what says that it is to be raised."""
        failure = failure_of(job, entry) if self.options.raise_errors else None
        return entry if failure is None else Failed(failure)

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


class UnorderedBatch(IteratedBatch):
    """The requests of `imap_unordered`: entries as they end."""

    outstanding: int

    def __init__(self, options: BatchOptions, iterator: Iterator[Any], bound: int) -> None:
        super().__init__(options, iterator, bound)
        self._entries: deque[tuple[int, Any]] = deque()

    def finish(self, job: Job, entry: Any) -> None:
        """Take a job's entry; the first one counts."""
        if not job.done:
            if self.options.raise_errors:
                entry = self._raised(job, entry)
            taken = job.index, entry
            job.done = True
            self.outstanding -= 1
            try:
                self._entries.append(taken)
            finally:
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


class OrderedBatch(IteratedBatch):
    """The requests of `imap`: entries in the order of the requests."""

    outstanding: int

    def __init__(self, options: BatchOptions, iterator: Iterator[Any], bound: int) -> None:
        super().__init__(options, iterator, bound)
        self._entries: dict[int, Any] = {}

    def _put(self, job: Job, entry: Any) -> None:
        entry = self._raised(job, entry)
        job.done = True
        self.outstanding -= 1
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
