"""How far a crawl is: a line on a terminal that is written anew, or a function that is called."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from typing import Any, Final, Protocol

from reqkit.base.warn import warn
from reqkit.timeouts import clock

__all__ = ["Reporter", "open_progress"]

#: Seconds between two lines.
_EVERY: Final = 0.25


class Reported(Protocol):
    """What is reported."""

    def line(self) -> str:
        """Return one line for a terminal."""


class Reporter:
    """Hears of each turn; this one reports to nobody."""

    def step(self, stats: Reported) -> None:
        """Count a turn."""

    def close(self, stats: Reported) -> None:
        """End a loop."""


class _Line(Reporter):
    """Keeps one line of stderr."""

    def __init__(self) -> None:
        self._next = 0.0
        self._width = 0

    def step(self, stats: Reported) -> None:
        if clock() >= self._next:
            self._next = clock() + _EVERY
            self._write(stats, "")

    def close(self, stats: Reported) -> None:
        self._write(stats, "\n")

    def _write(self, stats: Reported, end: str) -> None:
        line = stats.line()
        try:
            sys.stderr.write("\r" + line.ljust(self._width) + end)
            sys.stderr.flush()
        except (OSError, ValueError, AttributeError):
            pass  # nobody is there to read it
        self._width = len(line)


class _Call(Reporter):
    """Calls a function of the user's; what it raises is a warning."""

    def __init__(self, call: Callable[[Any], Any]) -> None:
        self._call = call

    def step(self, stats: Reported) -> None:
        try:
            self._call(stats)
        except Exception as error:  # somebody's function
            name = getattr(self._call, "__qualname__", None) or type(self._call).__name__
            text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
            warn(f"progress {name} raised:\n{text}", RuntimeWarning, self._call)


def open_progress(progress: Any) -> Reporter:
    """Return what is to be told of each turn.

    Raises:
        ValueError: it is none of what `Crawl` takes.
    """
    if progress is None or progress is False:
        return Reporter()
    if progress is True or progress == "always":
        terminal = getattr(sys.stderr, "isatty", None)
        return _Line() if progress == "always" or (terminal and terminal()) else Reporter()
    if callable(progress):
        return _Call(progress)
    raise ValueError(
        f"progress is {progress!r}: expected True, 'always', False, None, or a function of stats"
    )
