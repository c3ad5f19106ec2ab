"""What a peer may have us do for nothing: a balance that frames without use are paid from.

A frame that brings an answer on costs nothing, and earns something. All others cost: a peer that
sends nothing but pings, settings, empty frames, window updates, interim answers, or frames that
nobody knows, runs out of its balance long before it has kept us busy. Time earns, too: who pings
once a minute never does.
"""

from __future__ import annotations

from typing import Final

__all__ = ["Balance", "Flood"]

#: What a connection begins with, and the most that it can have.
_MOST: Final = 1000
#: What a second earns.
_BY_SECOND: Final = 10.0


class Flood(Exception):
    """The balance is used up; the text names what most of it went for."""


class Balance:
    """What is left to a peer.

    Args:
        most: what it begins with, and the most that it can earn.
    """

    __slots__ = ("_left", "_most", "_spent", "_time")

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._left = most
        self._spent: dict[str, int] = {}
        self._time: float | None = None

    @property
    def left(self) -> int:
        """What is left."""
        return self._left

    def spend(self, what: str, cost: int = 1) -> None:
        """Pay for a frame.

        Args:
            what: what it is, in the plural, for the error.
            cost: how dear it is.

        Raises:
            Flood: nothing is left.
        """
        spent = self._spent
        spent[what] = spent.get(what, 0) + 1
        self._left -= cost
        if self._left < 0:
            most = max(spent, key=spent.__getitem__)
            raise Flood(f"{spent[most]} {most}")

    def earn(self, gain: int) -> None:
        """Take note of something useful."""
        left = self._left + gain
        if left >= self._most:
            left = self._most
            if self._spent:
                self._spent.clear()
        self._left = left

    def pass_time(self, now: float) -> None:
        """Take note of the time, in seconds of any clock."""
        before = self._time
        if before is None:
            self._time = now
        elif now - before >= 1.0:
            self._time = now
            self.earn(int(min((now - before) * _BY_SECOND, self._most)))
