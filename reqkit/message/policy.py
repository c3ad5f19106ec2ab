"""What counts for one exchange beyond its message."""

from __future__ import annotations

from typing import Any

__all__ = ["Policy"]


class Policy:
    """What counts for one exchange beyond the message itself: set by the session that sends it.

    Attributes:
        deadline: the `reqkit.timeouts.Deadline` of the whole exchange, or None.
        retries: how often a failed connection is tried again: an int or a urllib3 Retry.
        max_content_size: bytes of the decoded body, or None.
        timeouts: the `reqkit.timeouts.Timeouts` that count where a user's adapter sets none.
        kept: how many hosts' connections, and how many of each, are kept when this one's comes
            back; None leaves it to the session.
        http2: what ``config['http2']`` says.
        retry_after_max: seconds that a Retry-After may hold a retry back.
        allow_address: the session's `reqkit.transport.address_filter.AddressFilter`, or None.
        strict: whether an answer is refused for whatever HTTP's rules forbid.
        trace: a stream for heads as they go over the wire, or None.
    """

    __slots__ = (
        "allow_address", "deadline", "http2", "kept", "max_content_size", "retries",
        "retry_after_max", "strict", "timeouts", "trace",
    )  # fmt: skip

    def __init__(
        self,
        deadline: Any = None,
        retries: Any = None,
        max_content_size: int | None = None,
        timeouts: Any = None,
        kept: tuple[int, int] | None = None,
        allow_address: Any = None,
        strict: bool = False,
        http2: Any = "auto",
        trace: Any = None,
        retry_after_max: float = 300.0,
    ) -> None:
        self.trace: Any = trace
        self.retry_after_max: float = retry_after_max
        self.http2: Any = http2
        self.deadline: Any = deadline
        self.kept: tuple[int, int] | None = kept
        self.retries: Any = retries
        self.max_content_size: int | None = max_content_size
        self.timeouts: Any = timeouts
        self.allow_address: Any = allow_address
        self.strict: bool = strict
