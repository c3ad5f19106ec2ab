"""Work on a body that lasts: it keeps the time limit, and lets others run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ...timeouts import Deadline, clock

__all__ = ["Pace"]

#: Seconds of work after which others get their turn.
_TURN: Final = 0.01


class Pace:
    """Called between two steps of some work.

    Args:
        deadline: of the exchange, or None.
        pause: lets others run, whoever they are.
    """

    __slots__ = ("_deadline", "_pause", "_since")

    def __init__(self, deadline: Deadline | None, pause: Callable[[], Any]) -> None:
        self._deadline = deadline
        self._pause = pause
        self._since = clock()

    def __call__(self) -> None:
        """Let others run, where it is their turn.

        Raises:
            TotalTimeout: the time is up.
        """
        if clock() - self._since < _TURN:
            return
        self._pause()
        if self._deadline is not None:
            self._deadline.left(None, "receive")
        self._since = clock()
