"""Why a request is stopped, and what stops it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import gevent
from greenlet import getcurrent

from reqkit import Request
from reqkit.exceptions import RequestCancelled, RequestException, TotalTimeout
from reqkit.timeouts import clock

from .exits import SYSTEM_ERRORS

__all__ = [
    "GRACE",
    "Stop",
    "TimeLimit",
    "cancelled",
    "expired",
    "interpreter_is_ending",
]  # fmt: skip

T = TypeVar("T")

#: Seconds that what is stopped may take to close its connection and run its hooks.
GRACE: Final = 0.3
#: Seconds that each function of the user's may take when that time is over.
_SHORTEST: Final = 0.001


class Stop(gevent.GreenletExit):  # type: ignore[misc]
    """Thrown into a greenlet of a pool's, to stop what it does.

    Attributes:
        phase: of the exchange that it has stopped; the exchange writes it down.
    """

    def __init__(self) -> None:
        super().__init__("stopped")
        self.phase: str | None = None


def cancelled(request: Any, started: bool = True, phase: str | None = None) -> RequestException:
    """Return the error of what was killed or left."""
    return RequestCancelled.of_text(
        f"{_describe(request)}: stopped before it ended; the batch was left, killed or interrupted"
    )


def expired(request: Any, started: bool = True, phase: str | None = None) -> RequestException:
    """Return the error of what the deadline has caught."""
    when = "it ended" if started else "its turn came"
    error = TotalTimeout.of_text(f"{_describe(request)}: the batch's timeout ran out before {when}")
    if phase is not None:
        error.phase = phase
    return error


def _describe(request: Any) -> str:
    return request.describe() if isinstance(request, Request) else repr(request)[:100]


class TimeLimit:
    """Lets functions of the user's run, one after the other, until a moment.

    One that lets others run for longer is stopped, and those after it have a thousandth of a
    second each. All of them share one timer, until it has rung.

    Args:
        ends: the moment, in monotonic seconds.
    """

    __slots__ = ("_ends", "_timer")

    def __init__(self, ends: float) -> None:
        self._ends = ends
        self._timer: Any = None

    def run(self, default: T, function: Callable[..., T], *arguments: Any) -> T:
        """Call a function; return its result, or a default where it raises or is stopped.

        Raises:
            KeyboardInterrupt, SystemExit: as they come.
        """
        timer = self._timer
        if timer is None or not timer.pending:
            self._start_timer()
        try:
            return function(*arguments)
        except SYSTEM_ERRORS:
            raise
        except BaseException:  # the time's end, or another timer's; what is left has its turn
            return default

    def holds(self, raised: BaseException) -> bool:
        """Tell whether this is what stops a function here."""
        return raised is self._timer

    def _start_timer(self) -> None:
        self.__exit__()
        # The loop's own time may be that before much work: the timer would ring too early.
        gevent.get_hub().loop.update_now()
        self._timer = gevent.Timeout(max(self._ends - clock(), _SHORTEST))
        self._timer.start()

    def __enter__(self) -> TimeLimit:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._timer is not None:
            self._timer.close()


def interpreter_is_ending(
    # Bound now: at the interpreter's end the names of a module may be gone.
    finalizing: Callable[[], bool] = sys.is_finalizing,
    current: Callable[[], Any] = getcurrent,
) -> bool:
    """Tell whether the interpreter is ending: no greenlet runs any more, and none can be asked."""
    if finalizing():
        return True
    try:
        current()
    except RuntimeError:  # greenlet has ended before the interpreter does
        return True
    return False
