"""Requests whose worker was lost: one of them may be what has killed it.

They are sent again a few at a time at first, so that the one that did it takes few others along,
and more as they do no harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..pool.batch import Job

__all__ = ["Suspects"]


class Suspects:
    """Which requests were lost with a worker, and when each may be sent again."""

    def __init__(self) -> None:
        self._waiting: deque[Job] = deque()
        self._lost_once: set[Job] = set()
        self._out: set[Job] = set()
        self._cleared = 0

    def __bool__(self) -> bool:
        """Tell whether there are any: most runs have none."""
        return bool(self._lost_once)

    def __contains__(self, job: Job) -> bool:
        """Tell whether a request was lost with a worker, and has no entry yet."""
        return job in self._lost_once

    def add(self, job: Job) -> None:
        """Have a request wait to be sent again."""
        self._lost_once.add(job)
        self._waiting.append(job)

    def ready(self) -> bool:
        """Tell whether one may be sent now."""
        return bool(self._waiting) and len(self._out) < 1 + self._cleared // 8

    def pop(self) -> Job:
        """Take the one that is sent now."""
        job = self._waiting.popleft()
        self._out.add(job)
        return job

    def answered(self, job: Job) -> None:
        """Note that a request has its entry: it has killed nobody this time."""
        self._lost_once.discard(job)
        if job in self._out:
            self._out.discard(job)
            self._cleared += 1

    def returned(self, job: Job) -> None:
        """Note that one is not with a worker any more, and was not answered."""
        self._out.discard(job)

    def worker_lost(self) -> None:
        """Be careful again: a worker has died that had some."""
        self._cleared = 0

    def take_out(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Remove waiting ones, and return them."""
        out = [job for job in self._waiting if wanted(job)]
        self._waiting = deque(job for job in self._waiting if not wanted(job))
        return out
