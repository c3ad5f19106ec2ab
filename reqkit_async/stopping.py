"""Why a request is stopped, and what stops it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import gevent
from greenlet import getcurrent

from reqkit import Request
from reqkit.exceptions import RequestCancelled, RequestException, TotalTimeout

if TYPE_CHECKING:
    from .feeds import Job

__all__ = [
    "GRACE", "SYSTEM_ERRORS", "Stop", "at_the_end", "cancelled", "expired", "within",
]  # fmt: skip

T = TypeVar("T")

#: Seconds that what is stopped may take to close its connection and run its hooks.
GRACE: Final = 0.3
#: What ends the program, and is nobody's to swallow.
SYSTEM_ERRORS: Final = (KeyboardInterrupt, SystemExit)


class Stop(gevent.GreenletExit):  # type: ignore[misc]
    """Thrown into a greenlet of a pool's, to stop what it does.

    Attributes:
        phase: of the exchange that it has stopped; the exchange writes it down.
    """

    def __init__(self) -> None:
        super().__init__("stopped")
        self.phase: str | None = None


def cancelled(job: Job, phase: str | None = None) -> RequestException:
    """Return the error of what was killed or left."""
    return RequestCancelled(
        f"{_describe(job)}: stopped before it ended; the batch was left, killed or interrupted"
    )


def expired(job: Job, phase: str | None = None) -> RequestException:
    """Return the error of what the deadline has caught."""
    when = "it ended" if job.started else "its turn came"
    return TotalTimeout(
        f"{_describe(job)}: the batch's timeout ran out before {when}", phase=phase or "wait"
    )


def _describe(job: Job) -> str:
    request: Any = job.request
    return request.describe() if isinstance(request, Request) else repr(request)[:100]


def within(seconds: float, default: T, function: Callable[..., T], *arguments: Any) -> T:
    """Call a function of the user's that may not take longer; return its result, or a default.

    It is stopped where it lets others run for too long; what it raises is dropped.

    Raises:
        KeyboardInterrupt, SystemExit: as they come.
    """
    timer = gevent.Timeout(max(seconds, 0.001))
    timer.start()
    try:
        return function(*arguments)
    except SYSTEM_ERRORS:
        raise
    except BaseException:
        return default
    finally:
        timer.close()


def at_the_end(
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
