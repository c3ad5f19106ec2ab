"""Which page is asked for next: by priority, then first come first served, the hosts in turn.

Pure but for the store that it reads: times are given, in seconds of one monotonic clock.

Memory is bounded, however many URLs are queued: of each host a few pages are here, and of hosts as
many as fit into a window. A host that has had its share leaves the window when others wait outside.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from typing import Any, Final, Protocol

from .schema import Page

__all__ = ["PAGES_PER_HOST", "UNREACHABLE", "Frontier", "Line"]

#: Names of the bounds that keep the pages of a host from being asked for.
PAGES_PER_HOST: Final = "pages per host"
UNREACHABLE: Final = "unreachable host"

#: Hosts that are here at a time.
_WINDOW: Final = 2000
#: Pages that a host is given before another takes its place in the window.
_SHARE: Final = 64
#: Pages that are here, of all hosts together, at most (and one of each).
_PAGES: Final = 20_000

# Where a host stands.
_OUTSIDE, _READY, _TIMED, _FULL, _WAITING = range(5)


class Queue(Protocol):
    """What the frontier reads of the store."""

    def queued(self, host: int, most: int) -> list[Page]:
        """Return the next pages of a host."""

    def next_host(self, after: int) -> int | None:
        """Return the next host with queued pages, by number."""

    def hosts_ahead(self, most: int) -> list[int]:
        """Return the hosts of the pages with the highest priorities."""

    def host(self, id: int) -> tuple[str, int]:
        """Return a host's name, and how many of its pages have ended."""


class Line:
    """One host: its next pages, and what it is allowed.

    Attributes:
        id, name: the host's.
        active: how many of its pages are asked for now.
        next_start, held_until: moments before which nothing starts.
        gap: seconds between two starts.
        crawl_delay: what its robots.txt wants them to be.
        most: how many may be asked for at a time.
        ended: how many of its pages have ended, in all.
        latency: how long it takes to answer, in seconds, smoothed; None before the first answer.
        failures: how often in a row it could not be reached.
        later: how many of its pages wait for their next attempt, and are not in `again` yet.
        blocked: the name of the bound that keeps its pages from being asked for, or None.
    """

    __slots__ = (
        "active", "again", "blocked", "crawl_delay", "ended", "failures", "gap", "held_until", "id",
        "latency", "later", "most", "name", "next_start", "owed", "pages", "place", "served", "top",
        "turn",
    )  # fmt: skip

    crawl_delay: float
    gap: float
    held_until: float
    next_start: float

    def __init__(self, id: int, name: str, ended: int) -> None:
        self.id: int = id
        self.name: str = name
        self.ended: int = ended
        self.pages: deque[Page] = deque()
        #: Pages that are asked for once more; the store has them as in flight.
        self.again: deque[Page] = deque()
        self.later: int = 0
        self.active: int = 0
        #: Pages that have come, and whose turn in the caller's loop has not ended.
        self.owed: int = 0
        self.next_start = self.held_until = -math.inf
        self.gap = self.crawl_delay = 0.0
        self.most: int = 1
        self.latency: float | None = None
        self.failures: int = 0
        self.blocked: str | None = None
        self.place: int = _OUTSIDE
        self.served: int = 0
        self.top: Any = 0
        self.turn: int = 0

    @property
    def begun(self) -> int:
        """How many of its pages have ended or will, as they were asked for."""
        return self.ended + self.active + self.owed + self.later + len(self.again)

    def ready_at(self, now: float) -> float:
        """Return when the next page may start: now, later, or when one has ended (infinity)."""
        if self.active >= self.most:
            return math.inf
        return max(now, self.next_start, self.held_until)


class Frontier:
    """The queued pages of a store, in the order in which they are asked for.

    Args:
        store: where they are.
        most: pages of a host at a time, before anything is known of it.
        gap: seconds between two starts, then.
    """

    def __init__(self, store: Queue, most: int = 1, gap: float = 0.0) -> None:
        self._store = store
        self._gap = gap
        self._most = most
        self._lines: dict[int, Line] = {}
        self._inside = 0
        #: Lines that may start a page, by the priority of their first one.
        self._ready: dict[Any, deque[tuple[int, Line]]] = {}
        self._priorities: list[Any] = []  # a heap of these, the highest first
        self._timed: list[tuple[float, int, Line]] = []
        #: Pages that wait for their next attempt.
        self._later: list[tuple[float, int, Page]] = []
        self._numbers = itertools.count()
        #: Whether hosts outside of the window may have pages.
        self._outside = True
        self._cursor = 0
        self._blocked: dict[int, str] = {}
        self._sweep_at = 2 * _WINDOW

    @property
    def waiting(self) -> int:
        """How many pages wait for their next attempt."""
        return len(self._later) + sum(len(line.again) for line in self._lines.values())

    def line(self, host: int) -> Line:
        """Return a host's line."""
        line = self._lines.get(host)
        if line is None:
            if len(self._lines) >= self._sweep_at:
                self._sweep()
            line = self._lines[host] = Line(host, *self._store.host(host))
            line.most = self._most
            line.gap = self._gap
            line.blocked = self._blocked.get(host)
        return line

    def lines(self) -> list[Line]:
        """Return the hosts that something is known of."""
        return list(self._lines.values())

    def _sweep(self) -> None:
        self._lines = {
            host: line
            for host, line in self._lines.items()
            if line.place != _OUTSIDE
            or line.active
            or line.owed
            or line.again
            or line.later
            or line.next_start > 0
        }
        for line in self._lines.values():
            if line.place == _OUTSIDE and not (line.active or line.owed):
                line.next_start = min(line.next_start, 0.0)  # goes with the next sweep
        self._sweep_at = max(2 * _WINDOW, 2 * len(self._lines))

    # -- what comes in ----------------------------------------------------------------------

    def added(self, hosts: dict[int, Any]) -> None:
        """Hear that pages were queued: their hosts, with the highest priority of each."""
        for host, priority in hosts.items():
            if host in self._blocked:
                continue
            line = self._lines.get(host)
            if line is None or line.place == _OUTSIDE:
                if self._inside < _WINDOW:
                    self._enter(self.line(host), priority)
                else:
                    self._outside = True
            elif line.pages and priority > line.pages[-1].priority:
                line.pages.clear()  # they are read again, with the new ones before them
                if line.place == _READY:
                    self._make_ready(line, priority)

    def later(self, page: Page, when: float) -> None:
        """Have a page asked for once more, not before a moment."""
        self.line(page.host).later += 1
        heapq.heappush(self._later, (when, next(self._numbers), page))

    def reopen(self) -> None:
        """Look for queued pages anew, of hosts that were given up, too.

        Some were queued behind the frontier's back.
        """
        self._outside = True
        self._blocked.clear()
        for line in self._lines.values():
            line.blocked = None
            line.failures = 0
            line.ended = self._store.host(line.id)[1]

    def _enter(self, line: Line, priority: Any) -> None:
        self._inside += 1
        line.served = 0
        self._make_ready(line, priority)

    def _leave(self, line: Line) -> None:
        line.place = _OUTSIDE
        line.pages.clear()
        self._inside -= 1

    def _make_ready(self, line: Line, priority: Any) -> None:
        line.place = _READY
        line.top = priority
        line.turn += 1  # where it stood before does not count any more
        ready = self._ready.get(priority)
        if ready is None:
            ready = self._ready[priority] = deque()
            heapq.heappush(self._priorities, _Descending(priority))
        ready.append((line.turn, line))

    # -- what goes out ----------------------------------------------------------------------

    def next(self, now: float) -> tuple[Line, Page] | None:
        """Return the page that is asked for next; None where none may start now.

        It stays where it is: `take` takes it, and `wait` or `hold` puts its host off.
        """
        while self._later and self._later[0][0] <= now:
            page = heapq.heappop(self._later)[2]
            line = self.line(page.host)
            line.later -= 1
            line.again.append(page)
            if line.place == _OUTSIDE:
                self._enter(line, page.priority)
        while self._timed and self._timed[0][0] <= now:
            line = heapq.heappop(self._timed)[2]
            if line.place == _TIMED:
                self._make_ready(line, line.top)
        while True:
            if self._outside and self._inside <= _WINDOW * 3 // 4:
                self._fill()
            found = self._first(now)
            if found is not None or not (self._outside and self._inside <= _WINDOW * 3 // 4):
                return found

    def _first(self, now: float) -> tuple[Line, Page] | None:
        while self._priorities:
            priority = self._priorities[0].value
            ready = self._ready[priority]
            while ready:
                turn, line = ready[0]
                if line.place != _READY or line.turn != turn:
                    ready.popleft()  # it has moved since
                    continue
                when = line.ready_at(now)
                if when > now:
                    ready.popleft()
                    self._put_off(line, when)
                    continue
                page = self._page_of(line)
                if page is None:
                    ready.popleft()
                    self._leave(line)
                elif page.priority != priority:
                    ready.popleft()
                    self._make_ready(line, page.priority)
                    if page.priority > priority:
                        break
                else:
                    return line, page
            if not ready and self._ready.get(priority) is ready:
                del self._ready[priority]
                self._priorities.remove(_Descending(priority))
                heapq.heapify(self._priorities)
        return None

    def _page_of(self, line: Line) -> Page | None:
        if line.again:
            return line.again[0]
        if line.blocked is not None:
            return None
        if not line.pages:
            most = max(4, min(_SHARE, _PAGES // max(self._inside, 1)))
            line.pages.extend(self._store.queued(line.id, most))
        return line.pages[0] if line.pages else None

    def take(self, line: Line, page: Page) -> None:
        """Take a page out; it is not asked for, unless `started` says so. Its host's turn ends."""
        (line.again if line.again and line.again[0] is page else line.pages).popleft()
        line.served += 1
        if self._outside and line.served >= _SHARE and not line.again:
            self._leave(line)
        else:
            self._make_ready(line, line.top)

    def started(self, line: Line, now: float) -> None:
        """Count something that is asked of a host."""
        line.active += 1
        line.next_start = now + line.gap

    def ended(self, line: Line) -> None:
        """Count something that was asked of a host and has ended, however."""
        line.active -= 1
        if line.place == _FULL:
            self._make_ready(line, line.top)

    def wait(self, line: Line) -> None:
        """Start nothing of a host before `go_on`."""
        line.place = _WAITING

    def go_on(self, line: Line) -> None:
        """End what `wait` has begun."""
        if line.place == _WAITING:
            self._make_ready(line, line.top)

    def hold(self, line: Line, until: float) -> None:
        """Start nothing of a host before a moment."""
        line.held_until = max(line.held_until, until)

    def block(self, line: Line, bound: str) -> None:
        """Ask for no more pages of a host in this run; those that are queued stay so."""
        line.blocked = self._blocked[line.id] = bound
        line.pages.clear()

    @property
    def blocked(self) -> dict[int, str]:
        """The hosts that no more pages are asked for of, with the name of the bound."""
        return self._blocked

    def _put_off(self, line: Line, when: float) -> None:
        if when == math.inf:
            line.place = _FULL
        else:
            line.place = _TIMED
            heapq.heappush(self._timed, (when, next(self._numbers), line))

    def next_time(self) -> float:
        """Return when `next` is worth its call: infinity for not before something has happened."""
        when = self._later[0][0] if self._later else math.inf
        return min(when, self._timed[0][0]) if self._timed else when

    @property
    def empty(self) -> bool:
        """Whether nothing is left that could ever start."""
        return not (self._later or self._inside or self._outside)

    # -- the window -------------------------------------------------------------------------

    def _fill(self) -> None:
        """Let hosts with queued pages in, those with high priorities first, then in turn."""
        for host in self._store.hosts_ahead(_WINDOW):
            self._let_in(host)
        wrapped = False
        start = self._cursor
        while self._inside < _WINDOW:
            found = self._store.next_host(self._cursor)
            if found is not None and not (wrapped and found > start):
                self._cursor = found
                self._let_in(found)
            elif wrapped or start == 0:
                self._outside = False
                self._cursor = 0
                return
            else:
                wrapped = True
                self._cursor = 0

    def _let_in(self, host: int) -> None:
        if host not in self._blocked and self._inside < _WINDOW:
            line = self.line(host)
            if line.place == _OUTSIDE:
                page = self._page_of(line)
                if page is not None:
                    self._enter(line, page.priority)


class _Descending:
    """A priority, for a heap whose first is the highest."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Descending) -> bool:
        return bool(self.value > other.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]
