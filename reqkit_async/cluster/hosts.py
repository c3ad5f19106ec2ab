"""Which worker a host belongs to, where hosts have limits.

Each worker keeps the limits (`per_host`, `rate`, `delay`, `Retry-After`) of its hosts by itself;
they are those of the whole run because a host belongs to one worker at a time. It stays there, and
changes hands only when nothing of it is with its worker: then the next one is told how long the
host still has to be left alone.

No clock and no waiting in here: times are given, in seconds of one monotonic clock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

__all__ = ["HostTable"]

T = TypeVar("T")
#: Hosts that are kept without being looked at for whether that is still needed.
_FEW: Final = 256


class _Host(Generic[T]):
    """One host: whose it is, what waits for it, and when it may be asked again."""

    __slots__ = ("line", "listed", "name", "out", "owner", "target", "until")

    def __init__(self, name: str) -> None:
        self.name = name
        self.owner: _Owner[T] | None = None
        #: Who gets it as soon as nothing of it is out.
        self.target: _Owner[T] | None = None
        self.line: deque[T] = deque()
        self.out = 0
        #: Whether its owner has it in the row of those to be looked at.
        self.listed = False
        self.until = -math.inf


class _Owner(Generic[T]):
    """One worker: its hosts, and those of them that something may be given out for."""

    __slots__ = ("hosts", "load", "row", "worker")

    def __init__(self, worker: Hashable) -> None:
        self.worker = worker
        self.hosts: dict[str, _Host[T]] = {}
        self.row: deque[_Host[T]] = deque()
        #: How many of its hosts' wait or are out.
        self.load = 0


class HostTable(Generic[T]):
    """Hosts and their workers; and, for each host, what waits to be given out, first come first.

    Args:
        most: how many of one host's may be with its worker at a time: enough for it to be never
            idle, and few enough for the others to come in, too.
        spacing: seconds that a host may have to be left alone after one of its requests has begun.
    """

    def __init__(self, most: int, spacing: float) -> None:
        self._most = most
        self._spacing = spacing
        self._hosts: dict[str, _Host[T]] = {}
        self._owners: dict[Hashable, _Owner[T]] = {}
        #: Those that wait for a worker to be there.
        self._orphans: deque[_Host[T]] = deque()
        self._size = 0
        self._sweep_at = _FEW

    def __len__(self) -> int:
        """Return how many wait."""
        return self._size

    def add(self, worker: Hashable) -> None:
        """Let a worker have hosts."""
        self._owners[worker] = _Owner(worker)
        while self._orphans:
            self._assign(self._orphans.popleft())
        self.share(worker)

    def remove(self, worker: Hashable, now: float) -> None:
        """Give the hosts of a worker that is lost to the others. What it had of them is over."""
        owner = self._owners.pop(worker, None)
        if owner is None:
            return
        for host in owner.hosts.values():
            host.out = 0
            host.listed = False
            host.owner = host.target = None
            # Nobody knows when it began its last one.
            host.until = max(host.until, now + self._spacing)
            if host.line:
                self._assign(host)
        for host in self._hosts.values():
            if host.target is owner:
                host.target = None
                self._list(host)

    def push(self, name: str, item: T, now: float) -> Hashable | None:
        """Have an item wait for its host.

        Args:
            name: the host's.
            item: the item.
            now: the time.

        Returns:
            the host's worker; None where there is none yet.
        """
        host = self._named(name, now)
        host.line.append(item)
        self._size += 1
        if host.owner is None:
            if len(host.line) == 1:
                self._assign(host)
        else:
            host.owner.load += 1
            self._list(host)
        return None if host.owner is None else host.owner.worker

    def pop(self, worker: Hashable, now: float) -> tuple[T, str, float] | None:
        """Take what is to be given to a worker next: its hosts in turn.

        Returns:
            the item, its host, and the seconds that the worker has to leave the host alone, 0 for
            most; None where there is nothing for it now.
        """
        owner = self._owners[worker]
        while owner.row:
            host = owner.row.popleft()
            host.listed = False
            if host.owner is not owner or not self._may_start(host):
                continue
            pause = 0.0
            if not host.out:
                pause = max(host.until - now, 0.0)
            host.out += 1
            item = host.line.popleft()
            self._size -= 1
            self._list(host)
            return item, host.name, pause
        return None

    def ended(self, name: str, now: float) -> Hashable | None:
        """Count one that was given out and has ended.

        Returns:
            the worker that may get something for this host now.
        """
        host = self._hosts.get(name)
        if host is None or not host.out:
            return None  # its worker was lost meanwhile
        host.out -= 1
        if host.owner is not None:
            host.owner.load -= 1
        if not host.out:
            host.until = max(host.until, now + self._spacing)
            if host.target is not None:
                self._move(host, host.target)
        self._list(host)
        return None if host.owner is None else host.owner.worker

    def borrow(self, name: str, worker: Hashable, now: float) -> tuple[Hashable, float]:
        """Have a worker's message, which is under way, go to a host that may be another's.

        It counts as one that was given out: `ended` is to be called for it.

        Returns:
            the worker whose limits it has to keep: the host's, or, where it has none, this one;
            and the seconds that this has to leave the host alone.
        """
        host = self._named(name, now)
        if host.owner is None:
            self._move(host, self._owners[worker])
        assert host.owner is not None
        pause = 0.0 if host.out else max(host.until - now, 0.0)
        host.out += 1
        host.owner.load += 1
        return host.owner.worker, pause

    def hold(self, name: str, until: float) -> None:
        """Remember that a host has to be left alone until a moment."""
        host = self._hosts.get(name)
        if host is not None:
            host.until = max(host.until, until)

    def share(self, worker: Hashable) -> bool:
        """Let a worker that has nothing to do have hosts of the one that has most.

        They are its own once nothing of them is with the other.

        Returns:
            whether there were any.
        """
        owner = self._owners[worker]
        if owner.load or any(host.target is owner for host in self._hosts.values()):
            return False
        busiest: list[_Host[T]] = []
        for other in self._owners.values():
            if other is not owner:
                waiting = [
                    host for host in other.hosts.values() if host.line and host.target is None
                ]
                if len(waiting) > len(busiest):
                    busiest = waiting
        for host in busiest[1::2]:  # one who has a single host keeps it
            if host.out:
                host.target = owner
            else:
                self._move(host, owner)
                self._list(host)
        return len(busiest) > 1

    def take_out(self, wanted: Callable[[T], bool]) -> list[T]:
        """Remove waiting items, and return them."""
        out: list[T] = []
        for host in self._hosts.values():
            if host.line:
                before = len(host.line)
                out += [item for item in host.line if wanted(item)]
                host.line = deque(item for item in host.line if not wanted(item))
                if host.owner is not None:
                    host.owner.load -= before - len(host.line)
        self._size -= len(out)
        return out

    def _named(self, name: str, now: float) -> _Host[T]:
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= self._sweep_at:
                self._sweep(now)
            host = self._hosts[name] = _Host(name)
        return host

    def _may_start(self, host: _Host[T]) -> bool:
        return bool(host.line) and host.out < self._most and host.target is None

    def _list(self, host: _Host[T]) -> None:
        """Have a host looked at by its owner, where something may be given out for it."""
        if host.owner is not None and not host.listed and self._may_start(host):
            host.listed = True
            host.owner.row.append(host)

    def _assign(self, host: _Host[T]) -> None:
        if not self._owners:
            self._orphans.append(host)
            return
        owner = min(self._owners.values(), key=lambda owner: (owner.load, len(owner.hosts)))
        self._move(host, owner)
        self._list(host)

    def _move(self, host: _Host[T], owner: _Owner[T]) -> None:
        load = host.out + len(host.line)
        if host.owner is not None:
            host.owner.hosts.pop(host.name, None)
            host.owner.load -= load
        owner.load += load
        host.owner = owner
        host.target = None
        host.listed = False
        owner.hosts[host.name] = host

    def _sweep(self, now: float) -> None:
        """Forget the hosts that nothing waits for, is out for, or is to be remembered of."""
        idle = [
            host
            for host in self._hosts.values()
            if not host.line and not host.out and host.until <= now
        ]
        for host in idle:
            del self._hosts[host.name]
            if host.owner is not None:
                host.owner.hosts.pop(host.name, None)
        self._sweep_at = max(_FEW, 2 * len(self._hosts))
