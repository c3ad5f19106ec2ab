"""How much of a batch may go to one host, and when: slots, rate, delay, Retry-After.

No clock and no waiting in here: times are given, in seconds of one monotonic clock, and the times
returned are of the same. So all of it can be tested with made-up times.

A host is its name, whatever the port and scheme.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import deque
from collections.abc import Hashable, Iterator
from heapq import heappop, heappush
from typing import Any, Final, Generic, TypeVar

from reqkit.base.numbers import as_float
from reqkit.message.retryafter import LONGEST_RETRY_AFTER, retry_after

__all__ = ["LONGEST_RETRY_AFTER", "HostLimits", "HostQueue", "parse_rate", "retry_after"]

T = TypeVar("T")

_UNITS: Final = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
_RATE: Final = re.compile(
    r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*/\s*([0-9]+(?:\.[0-9]*)?)?\s*([a-z]+)\s*", re.ASCII | re.I
)

# A start that comes late by no more than this does not move the ones after it, so that a rate is
# kept on average although timers are late. No gap gets shorter by more.
_LATE_PART: Final = 0.1
_LATE_SECONDS: Final = 0.005


def parse_rate(rate: float | str) -> float:
    """Return how many requests a second a rate allows.

    Args:
        rate: a number of requests a second, or text: ``"30/min"``, ``"100/h"``, ``"2/10s"``.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(rate, str):
        found = _RATE.fullmatch(rate)
        unit = _UNITS.get(found[3].lower()) if found else None
        if found and unit and float(found[1]) > 0 and float(found[2] or 1) > 0:
            return float(found[1]) / (float(found[2] or 1) * unit)
    elif _is_number(rate) and rate > 0:
        return float(rate)
    raise ValueError(
        f"rate is {rate!r}: expected requests a second as a number above 0, or text such as"
        " '30/min', '100/h', '5/s', '2/10s' (units: s, sec, min, h, hour, day)"
    )


def _is_number(value: Any) -> bool:
    number = as_float(value)
    return number is not None and math.isfinite(number)


class _Host:
    """Where one host stands."""

    __slots__ = ("active", "held_until", "next_start", "planned")

    def __init__(self) -> None:
        self.active = 0
        #: Infinity while somebody has a turn and has not begun.
        self.next_start = -math.inf
        #: What it is then.
        self.planned = -math.inf
        self.held_until = -math.inf


class HostLimits:
    """What the limits allow for each host. Keeps nothing of hosts that are idle and free.

    Args:
        per_host: requests at a time for one host; None for any number.
        rate: requests a second for one host, evenly spaced (see `parse_rate`); None for any.
        delay: seconds at least between two starts to one host; None for none.

    Raises:
        ValueError: one of them is no such thing.
    """

    def __init__(
        self,
        per_host: int | None = None,
        rate: float | str | None = None,
        delay: float | None = None,
    ) -> None:
        if per_host is not None and (
            isinstance(per_host, bool) or not isinstance(per_host, int) or per_host < 1
        ):
            raise ValueError(
                f"per_host is {per_host!r}: expected how many requests at a time one host gets,"
                " a whole number above 0, or None for any number"
            )
        if delay is not None and (not _is_number(delay) or delay < 0):
            raise ValueError(
                f"delay is {delay!r}: expected the seconds between two requests to one host,"
                " a number not below 0, or None"
            )
        self.per_host = per_host
        self.delay: float = float(delay or 0.0)
        self.interval: float = 0.0 if rate is None else 1 / parse_rate(rate)
        self._hosts: dict[Hashable, _Host] = {}
        self._sweep_at = 128

    def __len__(self) -> int:
        """Return how many hosts something is kept of."""
        return len(self._hosts)

    def ready_at(self, host: Hashable, now: float) -> float:
        """Return when the next request to a host may start.

        Returns:
            ``now`` where it may at once, infinity where one has to end first (`per_host`).
        """
        state = self._hosts.get(host)
        if state is None:
            return now
        if self.per_host is not None and state.active >= self.per_host:
            return math.inf
        return max(now, state.next_start, state.held_until)

    def started(self, host: Hashable, now: float) -> None:
        """Count a request that starts."""
        state = self._state(host, now)
        state.active += 1
        if self.interval or self.delay:
            late = now - state.next_start
            planned = now
            if 0 < late <= min(self.interval * _LATE_PART, _LATE_SECONDS):
                planned = state.next_start
            state.next_start = max(planned + self.interval, now + self.delay)

    def reserved(self, host: Hashable, now: float) -> None:
        """Count a request that is to start elsewhere: no other does before `set_out`."""
        if not self.interval and not self.delay:
            self.started(host, now)
            return
        state = self._state(host, now)
        state.active += 1
        state.planned, state.next_start = state.next_start, math.inf

    def set_out(self, host: Hashable, now: float) -> None:
        """Count the start of what was `reserved`."""
        state = self._hosts.get(host)
        if state is not None and state.next_start == math.inf:
            state.next_start = state.planned
            state.active -= 1
            self.started(host, now)

    def ended(self, host: Hashable) -> None:
        """Count a request that has ended, however."""
        state = self._hosts[host]
        state.active -= 1
        if state.next_start == math.inf:
            state.next_start = state.planned  # one that was reserved, and has not begun
        if not state.active and state.next_start == state.held_until == -math.inf:
            del self._hosts[host]

    def hold(self, host: Hashable, until: float, now: float) -> None:
        """Start nothing to a host before a time, as its Retry-After says."""
        state = self._state(host, now)
        state.held_until = max(state.held_until, until)

    def held(self, now: float) -> dict[Hashable, float]:
        """Return the hosts that are held back, and for how many seconds."""
        return {
            host: state.held_until - now
            for host, state in self._hosts.items()
            if state.held_until > now
        }

    def next_message_at(self, host: Hashable, now: float) -> float:
        """Return when one that is under way may send its next message to a host."""
        state = self._hosts.get(host)
        return now if state is None else max(now, state.next_start, state.held_until)

    def next_message(self, host: Hashable, now: float) -> None:
        """Count the next message of one that is under way."""
        self._hosts[host].active -= 1
        self.started(host, now)

    def _state(self, host: Hashable, now: float) -> _Host:
        state = self._hosts.get(host)
        if state is None:
            if len(self._hosts) >= self._sweep_at:
                self._sweep(now)
            state = self._hosts[host] = _Host()
        return state

    def _sweep(self, now: float) -> None:
        self._hosts = {
            host: state
            for host, state in self._hosts.items()
            if state.active or state.next_start > now or state.held_until > now
        }
        # Twice what is needed: so a sweep costs each host that comes a little.
        self._sweep_at = max(128, 2 * len(self._hosts))


# Where a host with waiting items stands.
_READY: Final = "ready"
_TIMED: Final = "timed"
_FULL: Final = "full"


class _Line(Generic[T]):
    """The items that wait for one host."""

    __slots__ = ("host", "items", "state")

    def __init__(self, host: Hashable) -> None:
        self.host = host
        self.items: deque[T] = deque()
        self.state = ""


class HostQueue(Generic[T]):
    """Items that wait for their host: first in, first out for each, the hosts in turn.

    A host that may not start anything now is not looked at until it may, however many items wait
    for it. Each operation takes O(log hosts) or less.

    Args:
        limits: what is allowed; the queue counts there what it gives out.
    """

    def __init__(self, limits: HostLimits) -> None:
        self.limits = limits
        self._lines: dict[Hashable, _Line[T]] = {}
        self._ready: deque[_Line[T]] = deque()
        self._timed: list[tuple[float, int, _Line[T]]] = []
        self._numbers = itertools.count()
        self._size = 0

    def __len__(self) -> int:
        """Return how many items wait."""
        return self._size

    def push(self, host: Hashable, item: T) -> None:
        """Add an item at the end of its host's line."""
        line = self._lines.get(host)
        if line is None:
            line = self._lines[host] = _Line(host)
            self._make_ready(line)  # whether it may start is asked when its turn comes
        line.items.append(item)
        self._size += 1

    def push_front(self, host: Hashable, item: T) -> None:
        """Add an item before all that wait for its host: it is under way already."""
        self.push(host, item)
        items = self._lines[host].items
        items.rotate(1)

    def remove(self, host: Hashable, item: T) -> bool:
        """Take an item out; tell whether it was there."""
        line = self._lines.get(host)
        if line is None or item not in line.items:
            return False
        line.items.remove(item)
        self._size -= 1
        if not line.items:
            del self._lines[host]  # where it stands, it is passed over
        return True

    def holds(self, item: T) -> bool:
        """Tell whether an item waits. Looks at all of them."""
        return any(item in line.items for line in self._lines.values())

    def pop_ready(self, now: float) -> tuple[Hashable, T] | None:
        """Take the next item that may start now, and count it as started.

        Returns:
            its host and the item (give the host back with `ended`); None where nothing may start.
        """
        while self._timed and self._timed[0][0] <= now:
            self._make_ready(heappop(self._timed)[2])
        while self._ready:
            line = self._ready.popleft()
            if not line.items:
                continue
            when = self.limits.ready_at(line.host, now)
            if when > now:
                self._put_off(line, when)
                continue
            item = line.items.popleft()
            self._size -= 1
            self.limits.started(line.host, now)
            if not line.items:
                del self._lines[line.host]
            elif (when := self.limits.ready_at(line.host, now)) > now:
                self._put_off(line, when)
            else:
                self._make_ready(line)
            return line.host, item
        return None

    def next_time(self) -> float:
        """Return when `pop_ready` is worth its call.

        Returns:
            minus infinity for now, infinity for not before `ended` or `push`.
        """
        if self._ready:
            return -math.inf
        return self._timed[0][0] if self._timed else math.inf

    def ended(self, host: Hashable) -> None:
        """Count a request that was given out and has ended."""
        self.limits.ended(host)
        line = self._lines.get(host)
        if line is not None and line.state is _FULL:
            self._make_ready(line)

    def set_out(self, host: Hashable, now: float) -> None:
        """Count the start of one that was reserved."""
        self.limits.set_out(host, now)
        line = self._lines.get(host)
        if line is not None and line.state is _FULL:
            self._make_ready(line)

    def hold(self, host: Hashable, until: float, now: float) -> None:
        """Start nothing to a host before a time, as its Retry-After says."""
        self.limits.hold(host, until, now)

    def drain(self) -> Iterator[T]:
        """Take all items out, host by host, without counting them as started."""
        while self._lines:
            line = self._lines.pop(next(iter(self._lines)))
            self._ready.clear()
            self._timed.clear()
            while line.items:
                self._size -= 1
                yield line.items.popleft()

    def _make_ready(self, line: _Line[T]) -> None:
        line.state = _READY
        self._ready.append(line)

    def _put_off(self, line: _Line[T], when: float) -> None:
        if when == math.inf:
            line.state = _FULL
        else:
            line.state = _TIMED
            heappush(self._timed, (when, next(self._numbers), line))
