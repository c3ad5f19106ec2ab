"""Time limits: what a user may ask for, and the deadline that an exchange runs against."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic as clock
from typing import Any, Final

from .base.numbers import as_float
from .base.redact import redacted
from .base.slotted import Slotted
from .exceptions import TotalTimeout

__all__ = ["DEFAULT_TIMEOUTS", "Deadline", "Timeouts", "clock"]


def _seconds(value: Any, name: str) -> float | None:
    if value is None:
        return None
    number = as_float(value)
    if number is None:
        raise ValueError(
            f"timeout: {name} is {redacted(value)}: expected seconds as a number, or None for no"
            " limit"
        )
    if not number > 0:  # nor is NaN
        raise ValueError(
            f"timeout: {name} is {redacted(value)}: expected more than 0 seconds, or None for no"
            " limit"
        )
    return None if number > _LONGEST else number


#: Seconds, some thirty years, past which a limit is none: locks and timers do not take much more.
_LONGEST: Final = 1e9


class Timeouts(Slotted):
    """Time limits of an exchange, in seconds; None is no limit.

    Args:
        connect: for DNS and connecting, each address tried, and for the TLS handshake.
        read: the longest silence: between two reads, or two writes, on the socket.
        total: the whole exchange: DNS, connecting, TLS, sending, redirects, retries, the body.

    Raises:
        ValueError: a limit is not a number above 0.
    """

    __slots__ = ("connect", "read", "total")

    connect: float | None
    read: float | None
    total: float | None

    def __init__(
        self,
        connect: float | None = None,
        read: float | None = None,
        total: float | None = None,
    ) -> None:
        self.connect = _seconds(connect, "connect")
        self.read = _seconds(read, "read")
        self.total = _seconds(total, "total")

    @classmethod
    def of(cls, value: Any) -> Timeouts:
        """Make a `Timeouts` of whatever ``timeout=`` may be given.

        Args:
            value: None (no limit), a number (connect and read), a ``(connect, read)`` pair, a
                `Timeouts`, or a `urllib3.util.Timeout`.

        Raises:
            ValueError: it is none of these.
        """
        if isinstance(value, Timeouts):
            return value
        if value is None:
            return NO_TIMEOUTS
        if isinstance(value, (int, float)):
            return cls(value, value)
        if isinstance(value, (tuple, list)):
            if len(value) != 2:
                raise ValueError(
                    f"timeout is {redacted(value)}: expected a number of seconds, a (connect, read)"
                    " pair, or reqkit.Timeouts(connect=, read=, total=)"
                )
            return cls(value[0], value[1])
        return cls._of_urllib3(value)

    @classmethod
    def _of_urllib3(cls, value: Any) -> Timeouts:
        from urllib3.util import Timeout

        if not isinstance(value, Timeout):
            raise ValueError(
                f"timeout is {redacted(value)}: expected a number of seconds, a (connect, read)"
                " pair, or reqkit.Timeouts(connect=, read=, total=)"
            )
        limits: list[float | None] = []
        for part in (value._connect, value._read):
            limits.append(part if isinstance(part, (int, float)) else None)
        total = value.total
        return cls(limits[0], limits[1], total if isinstance(total, (int, float)) else None)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Timeouts):
            return NotImplemented
        return (self.connect, self.read, self.total) == (other.connect, other.read, other.total)

    def __hash__(self) -> int:
        return hash((self.connect, self.read, self.total))

    def __repr__(self) -> str:
        return f"Timeouts(connect={self.connect}, read={self.read}, total={self.total})"


NO_TIMEOUTS: Final = Timeouts()

#: What counts where neither the call nor the session says anything.
DEFAULT_TIMEOUTS: Final = Timeouts(connect=10.0, read=60.0)


class Deadline:
    """The moment at which an exchange must have ended, and how far it has come.

    ``left(limit)`` gives the seconds that the next step may wait: the step's own limit or what
    is left of the total, whichever is less.
    """

    __slots__ = ("at", "now", "total")

    def __init__(self, total: float, now: Callable[[], float] = clock) -> None:
        self.now: Callable[[], float] = now
        self.total: float = total
        self.at: float = now() + total

    def left(self, limit: float | None, phase: str) -> float:
        """Return the seconds that a step of this phase may wait.

        Raises:
            TotalTimeout: nothing is left.
        """
        left = self.at - self.now()
        if left <= 0:
            raise self.expired(phase)
        return left if limit is None or left < limit else limit

    def expired(self, phase: str) -> TotalTimeout:
        """Return the error that says in which phase the time ran out."""
        return TotalTimeout(
            f"the total limit of {self.total:g} s ran out ({phase});"
            " allow more with timeout=reqkit.Timeouts(total=...)",
            phase=phase,
        )

    def passed(self, slack: float = 0.0) -> bool:
        """Tell whether the moment has passed, or will within ``slack`` seconds."""
        return self.now() >= self.at - slack
