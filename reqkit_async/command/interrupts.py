"""Ctrl-C and SIGTERM: the first one ends what is in flight in order, the second one at once."""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import gevent

__all__ = ["Interrupts"]


class Interrupts:
    """While it is entered, a first signal calls a function in a greenlet; a second one raises.

    Args:
        stop: ends the work; may wait.

    Attributes:
        signal: the signal that came, or None.
    """

    def __init__(self, stop: Callable[[], Any]) -> None:
        self.signal: int | None = None
        self._stop = stop
        self._hub = gevent.get_hub()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        for number in (signal.SIGINT, signal.SIGTERM):
            # What a shell has its background programs ignore stays ignored.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._interrupted)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _interrupted(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        self._hub.loop.run_callback(gevent.spawn, self._stop)

    @property
    def status(self) -> int:
        """The exit status that shells give to a signal: 130 for SIGINT."""
        return 128 + (self.signal or 0)
