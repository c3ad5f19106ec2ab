"""Hosts that a Retry-After holds back for a whole run, and what waits for them at the caller."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import gevent

from reqkit.timeouts import clock

from ..pool.batch import Job

__all__ = ["Holds"]

#: Hosts that are kept without being looked at for whether that is still needed.
_FEW = 1000


class Holds:
    """Which hosts are to be left alone, and until when.

    Args:
        release: given the jobs whose host may be asked again.
    """

    def __init__(self, release: Callable[[deque[Job]], None]) -> None:
        self._release = release
        self._until: dict[str, float] = {}
        self._waiting: dict[str, deque[Job]] = {}
        #: What will release them.
        self._waits: list[Any] = []

    def __bool__(self) -> bool:
        """Tell whether any host was ever held back."""
        return bool(self._until)

    def hold(self, host: str, seconds: float) -> float:
        """Leave a host alone; return the moment until which."""
        now = clock()
        if len(self._until) > _FEW:
            self._until = {name: until for name, until in self._until.items() if until > now}
        self._until[host] = max(self._until.get(host, 0.0), now + seconds)
        return now + seconds

    def left(self) -> dict[str, float]:
        """Return the hosts that are held back, and for how many seconds."""
        now = clock()
        return {name: until - now for name, until in self._until.items() if until > now}

    def keep_waiting(self, job: Job, host: str) -> bool:
        """Have a job wait here for its host, where that is held back; tell whether it is."""
        left = self._until.get(host, 0.0) - clock()
        if left <= 0:
            return False
        if host not in self._waiting:
            self._waiting[host] = deque()
            self._waits.append(gevent.spawn_later(left, self._over, host))
        self._waiting[host].append(job)
        return True

    def _over(self, host: str) -> None:
        self._waits = [wait for wait in self._waits if not wait.dead]
        self._release(self._waiting.pop(host, deque()))

    def take_out(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Remove jobs that wait here, and return them."""
        out: list[Job] = []
        for host, waiting in self._waiting.items():
            out += [job for job in waiting if wanted(job)]
            self._waiting[host] = deque(job for job in waiting if not wanted(job))
        return out

    def close(self) -> None:
        """Release nothing more. Never blocks."""
        gevent.killall(self._waits, block=False)
