"""The time limits of all that waits in a hub, on one timer."""

from __future__ import annotations

import math
import sys
import weakref
from heapq import heapify, heappop, heappush
from time import monotonic as clock
from typing import Any, Final, Protocol

__all__ = ["AGAIN", "EXPIRED", "NEVER", "Expiries", "Expiring"]

NEVER: Final = math.inf
#: Seconds after which a timer rings again that was not heard.
AGAIN: Final = 0.1

#: What a waiting greenlet is woken with when its time is up.
EXPIRED: Final = object()


class Expiring(Protocol):
    """What `Expiries` looks after.

    Attributes:
        waiter: the greenlet that waits, or None.
        expires: when it has waited too long; `NEVER` where it may wait for ever.
        entry, entry_at: kept by `Expiries`.
    """

    def has_come(self) -> bool:
        """Tell whether what it waits for is there, and the loop has not looked since it came."""

    waiter: Any
    expires: float
    entry: list[Any] | None
    entry_at: float


class Expiries:
    """The time limits of all waits of one hub, on one timer.

    A stream has at most one entry that counts, and it is looked at only when it is due; most of
    the time the stream has waited anew since, and the entry moves on. So thousands of short waits
    under a long limit cost one entry. A wait ends up to a few milliseconds after its limit, never
    before it.
    """

    __slots__ = ("_count", "_dropped", "_heap", "_hub", "_timer", "_timer_at")

    #: Seconds that the timer waits longer, so that limits close to one another are seen to in one.
    SLACK: Final = 0.002

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._heap: list[list[Any]] = []  # [when, number, reference to a stream or None]
        self._count = 0
        self._dropped = 0
        self._timer: Any = None
        self._timer_at = NEVER

    def __len__(self) -> int:
        """Return how many entries there are, dropped ones too."""
        return len(self._heap)

    def add(self, stream: Expiring, when: float) -> None:
        """Look at a stream at a time of the monotonic clock."""
        self._put(stream, when)
        if when < self._timer_at:
            self._start_timer()

    def _put(self, stream: Expiring, when: float) -> None:
        if stream.entry is not None:
            self._drop(stream.entry)
        self._count += 1
        # Weak: a limit far away must not keep what nobody has any more.
        entry = [when, self._count, weakref.ref(stream)]
        stream.entry = entry
        stream.entry_at = when
        heappush(self._heap, entry)

    def remove(self, stream: Expiring) -> None:
        """Forget a stream."""
        entry = stream.entry
        stream.entry = None
        stream.entry_at = NEVER
        if entry is not None:
            self._drop(entry)

    def _drop(self, entry: list[Any]) -> None:
        # Taking an entry out of a heap's middle is dear: it is emptied, and cleared away with
        # others once they are most of the heap.
        entry[2] = None
        self._dropped += 1
        if self._dropped > 100 and self._dropped * 2 > len(self._heap):
            self._heap = [kept for kept in self._heap if kept[2] is not None and kept[2]()]
            heapify(self._heap)
            self._dropped = 0

    def _start_timer(self) -> None:
        self._stop_timer()
        if self._heap:
            self._timer_at = self._heap[0][0]
            pause = max(self._timer_at - clock(), 0.0) + self.SLACK
            # Not a reason for the loop to go on: what waits has a watcher of its own.
            # It rings until it was heard: a signal's handler may raise just as it does.
            self._timer = self._hub.loop.timer(pause, AGAIN, ref=False)
            self._timer.start(self._look, update=True)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        self._timer_at = NEVER

    def _look(self) -> None:
        """Wake what has waited too long. Runs in the hub."""
        try:
            while self._heap and self._heap[0][0] <= clock():
                entry = heappop(self._heap)
                if entry[2] is None:
                    self._dropped -= 1
                    continue
                stream: Expiring | None = entry[2]()
                if stream is None:
                    continue
                stream.entry = None
                stream.entry_at = NEVER
                greenlet = stream.waiter
                if greenlet is None or stream.expires == NEVER:
                    continue
                if stream.expires > clock():
                    self._put(stream, stream.expires)
                    continue
                try:
                    # Whatever kept the loop busy until now, what came in time has come.
                    greenlet.switch(stream if stream.has_come() else EXPIRED)
                except BaseException:  # a greenlet's own: the others' time is up, too
                    self._hub.handle_error(greenlet, *sys.exc_info())
        finally:
            self._start_timer()
