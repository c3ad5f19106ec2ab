"""What a program adds and keeps outside of the loop: many at a time are written together."""

from __future__ import annotations

from typing import Final

from reqkit.timeouts import clock

from .loop import OpenTurn
from .runtime import Runtime
from .turns import Turn

__all__ = ["Gathering"]

#: URLs that are gathered before they are written.
_MOST: Final = 50_000
#: Seconds after which they are written in any case, as soon as another one comes.
_LONGEST: Final = 1.0


class Gathering:
    """Gathers what belongs to no page's turn.

    Args:
        runtime: the crawl's parts.
        current: the page's turn, if there is one.

    Attributes:
        turn: what was gathered.
    """

    def __init__(self, runtime: Runtime, current: OpenTurn) -> None:
        self._runtime = runtime
        self._current = current
        self._since = 0.0
        self.turn: Turn = Turn(None)

    def begin(self) -> Turn:
        """Return what something can be added to, once the crawl is seen to be usable.

        Raises:
            StoreError: it is closed, or cannot be written.
            RuntimeError: this is not its thread.
        """
        self._runtime.check()
        self._current.settle(None)
        now = clock()
        if not self.turn:
            self._since = now
        elif now - self._since > _LONGEST:
            self.write()
            self._since = now
        return self.turn

    def write_if_many(self) -> None:
        """Write what was gathered, where it is much."""
        if len(self.turn.adds) >= _MOST:
            self.write()

    def write(self) -> None:
        """Write what was gathered.

        Raises:
            StoreError: it cannot be written.
        """
        if self._current.left_open:
            self._current.settle(None)
        turn = self.turn
        if turn:
            self.turn = Turn(None)  # others may run meanwhile, and add something
            try:
                self._runtime.committer.commit(turn, None)
            except BaseException:  # a full disk, an interrupt: it is for the next time
                turn.extend(self.turn)
                self.turn = turn
                raise
            self._runtime.driver.wake()
