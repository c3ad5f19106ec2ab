"""The moments of an exchange, and the seconds that its phases took."""

from __future__ import annotations

from typing import Any

__all__ = ["Times"]


class Times:
    """Moments and spans of an exchange, in seconds of the monotonic clock."""

    __slots__ = ("connect", "dns", "headed", "received", "sent", "started", "tls")

    def __init__(self, started: float) -> None:
        self.started: float = started
        self.sent: float | None = None
        self.headed: float | None = None
        self.received: float | None = None
        self.dns: float | None = None
        self.connect: float | None = None
        self.tls: float | None = None

    def values(self) -> tuple[float | None, ...]:
        """Return all of them; `of` makes one of them again."""
        return (
            self.started, self.sent, self.headed, self.received, self.dns, self.connect, self.tls,
        )  # fmt: skip

    @classmethod
    def of(cls, values: tuple[Any, ...]) -> Times:
        """Make one of what `values` has returned."""
        times = cls(values[0])
        (_, times.sent, times.headed, times.received, times.dns, times.connect, times.tls) = values
        return times

    def __reduce__(self) -> tuple[Any, ...]:
        return Times.of, (self.values(),)
