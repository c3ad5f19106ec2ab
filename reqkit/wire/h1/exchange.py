"""What one message and its answer are to whoever sends it, over HTTP/1.1 or HTTP/2.

Whatever takes an `Exchanging` need not know which of the two it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from ...timeouts import Deadline
from .answer import AnswerHead

__all__ = ["ConnectionGone", "Exchanging"]


class ConnectionGone(ConnectionResetError):
    """The peer had closed a kept connection before a byte of the answer came.

    Attributes:
        unsent: whether nothing of the message can have been received, or acted on.
        times: how often the message was sent in vain.
        why: what the peer has said of it, where it has.
    """

    times: int = 1

    def __init__(self, unsent: bool, why: str = "") -> None:
        super().__init__("the server closed the connection without an answer")
        self.unsent = unsent
        self.why = why


class Exchanging(Protocol):
    """What a message is sent on, and its answer read from.

    Attributes:
        phase: ``send wait receive``, for messages.
        sent: when the last message was out, in monotonic seconds; set by who has it sent.
        headed: when the head of its answer was there; set likewise.
        ended: whether the answer's last byte was read.
        beside: as the one request that it serves has it: how many hosts' connections are kept, and
            how many of each; None leaves it to the pool.
    """

    phase: str
    sent: float | None
    headed: float | None
    ended: bool
    beside: tuple[int, int] | None

    def serve_no_more(self) -> None:
        """Let the next answer be the last: the peer was told so (``Connection: close``)."""

    def close(self) -> None:
        """Give it up. Never raises and may be called again."""

    def send(
        self,
        head: bytes,
        body: bytes | Iterable[bytes] | None,
        chunked: bool,
        limit: float | None,
        deadline: Deadline | None,
    ) -> None:
        """Send a message. Blocks while the peer does not take it.

        Args:
            head: written, as the wire has it.
            body: bytes, or pieces of a stream.
            chunked: frame each piece as a chunk (RFC 9112 section 7.1); of no matter to HTTP/2,
                which frames all bodies alike.
            limit: seconds that each wait may take.
            deadline: of the whole exchange.

        Raises:
            ConnectionGone: the peer has closed the connection meanwhile, or takes no more requests.
            OSError, TimeoutError: sending failed.
        """

    def read_head(
        self,
        method: str,
        limit: float | None,
        deadline: Deadline | None,
        strict: bool = False,
    ) -> tuple[AnswerHead, bytes | None]:
        """Wait for the answer's head. Blocks.

        Args:
            method: the request's.
            limit: seconds that each wait may take.
            deadline: of the whole exchange.
            strict: whether to refuse whatever HTTP's rules forbid.

        Returns:
            the head, and the whole body where that came along with it (None: it is to be read).

        Raises:
            ProtocolError: the answer breaks HTTP's rules; `IncompleteHead` where it was cut off.
            ConnectionGone: the connection has ended, or the peer has not acted on the request.
            TimeoutError, TotalTimeout, OSError: as the stream and the deadline have it.
        """

    def read_body(self, most: int, limit: float | None, deadline: Deadline | None) -> bytes:
        """Wait for some bytes of the body, without its framing. Blocks.

        Returns:
            up to ``most`` bytes (more where they came as a whole); none at the end.

        Raises:
            ChunkedEncodingError: the body broke off, or its framing is wrong.
            TimeoutError, TotalTimeout, OSError: as the stream and the deadline have it.
        """
