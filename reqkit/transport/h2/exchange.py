"""A request and its answer on one stream of a connection of HTTP/2.

An `Exchange` is to its user what a `reqkit.wire.h1.connection.Connection` is: whoever sends a
message and reads its answer need not know which of the two it is. Of the connection that has lent
it the stream it knows a `Carrier`: see `connection`.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar, Final, Protocol, final

from ...message.framing import framed_block
from ...network import Waiter
from ...timeouts import Deadline
from ...wire.h1.exchange import ConnectionGone
from ...wire.h1.head import AnswerHead
from ...wire.h2.connection import Connection as Wire
from ...wire.h2.fields import check_strictly, request_block
from ...wire.h2.frames import ErrorCode
from ...wire.h2.streams import Stream

if TYPE_CHECKING:
    from ...message.prepare import PreparedRequest
    from ...message.urls import Target

__all__ = ["Carrier", "Exchange", "OlderWanted"]

#: Bytes that wait to be sent before uploads wait for them.
_MOST_PENDING: Final = 262_144
#: Bytes of a body that are framed at once.
_PIECE: Final = 65_536


class OlderWanted(ConnectionGone):
    """The server asks for HTTP/1.1 for this origin (RFC 9113 section 9.2.2); nothing was done."""


class Carrier(Protocol):
    """The connection that an exchange is on.

    Attributes:
        wire: what its bytes mean.
        shared: whether others may be on it at the same time.
        error: what it has ended with, or None.
        users: how many are on it.
        beside: as a `reqkit.wire.h1.connection.Connection` has it.
    """

    wire: Wire
    shared: ClassVar[bool]
    error: OSError | None
    users: int
    beside: tuple[int, int] | None

    def give_back(self, exchange: Exchange) -> None:
        """Take an exchange back whose answer has come to its end."""

    def leave(self, exchange: Exchange, now: bool) -> None:
        """Take an exchange back that is given up; tell the server at once, or soon."""

    def kick(self) -> None:
        """Have sent, soon, what is to be sent."""

    def drain(self, exchange: Exchange, limit: float | None, deadline: Deadline | None) -> None:
        """Wait until what is to be sent is out, or nearly."""

    def wait(
        self, exchange: Exchange, limit: float | None, deadline: Deadline | None, phase: str
    ) -> None:
        """Wait until something has happened to an exchange."""


@final
class Exchange:
    """A request and its answer on a connection of HTTP/2, as a connection of its own.

    Attributes:
        stream: the wire's, once the request was sent.
        over: it was given back, or given up.
        waiter: where its user waits; None in blocking code, and once it has come to its end.
        phase, sent, headed, ended, beside: as `reqkit.wire.h1.exchange.Exchanging` has them.
    """

    __slots__ = (
        "_connection", "_method", "beside", "ended", "headed", "over", "phase", "sent", "stream",
        "waiter",
    )  # fmt: skip

    def __init__(self, connection: Carrier, waiter: Waiter | None) -> None:
        self._connection = connection
        self._method = ""
        self.over: bool = False
        self.stream: Stream | None = None
        self.waiter: Waiter | None = waiter
        self.phase: str = "send"
        self.sent: float | None = None
        self.headed: float | None = None
        self.ended: bool = False
        self.beside: tuple[int, int] | None = None

    def serve_no_more(self) -> None:
        """Do nothing: a message that asks for this goes by HTTP/1.1."""

    def release(self) -> None:
        """Give it back: the answer has come to its end."""
        if not self.over:
            self.over = True
            if self.beside is not None:
                self._connection.beside = self.beside
            self._connection.give_back(self)

    def close(self) -> None:
        """Give it up: the stream ends, and the connection goes on. Never raises."""
        if not self.over:
            self.over = True
            self._connection.leave(self, True)

    def drop(self) -> None:
        """As `close`, for a finalizer: the stream ends soon."""
        if not self.over:
            self.over = True
            self._connection.leave(self, False)

    # -- out --------------------------------------------------------------------------------

    def head_of(self, request: PreparedRequest, target: Target) -> bytes:
        """Encode a message's fields.

        Raises:
            InvalidHeader, InvalidURL: it cannot be sent.
        """
        block = framed_block(request)
        method = request.method or "GET"
        if type(method) is not str and isinstance(method, str):
            method = str.__str__(method)
        self._method = method
        return request_block(method, target.scheme, target.authority, target.path, block)

    def send(
        self,
        head: bytes,
        body: bytes | Iterable[bytes] | None,
        chunked: bool,
        limit: float | None,
        deadline: Deadline | None,
    ) -> None:
        """Send a message, its head by `head_of`. Blocks while the peer's windows are full."""
        connection = self._connection
        wire = connection.wire
        self.phase = "send"
        stream = wire.open(self._method, head, not body) if connection.error is None else None
        if stream is None:
            # The server has left, or allows fewer streams than it did.
            raise ConnectionGone(unsent=True)
        self.stream = stream
        stream.waiter = self.waiter
        if connection.shared:
            connection.kick()
        if body:
            if isinstance(body, bytes):
                self._send_piece(body, True, limit, deadline)
            else:
                for piece in body:
                    if stream.over:
                        break  # the server has answered, and wants no more
                    self._send_piece(piece, False, limit, deadline)
                self._send_piece(b"", True, limit, deadline)
        if not connection.shared:
            connection.drain(self, limit, deadline)

    def _send_piece(
        self, data: bytes, ends: bool, limit: float | None, deadline: Deadline | None
    ) -> None:
        connection, stream = self._connection, self.stream
        assert stream is not None
        wire = connection.wire
        view = memoryview(data)
        while not stream.over and not stream.sent:
            if wire.pending > _MOST_PENDING:
                connection.drain(self, limit, deadline)
                continue
            taken = wire.send_data(stream, view[:_PIECE], ends and len(view) <= _PIECE)
            if connection.shared and wire.pending:
                connection.kick()
            if taken == len(view):
                return
            view = view[taken:]
            if not taken:
                connection.wait(self, limit, deadline, "send")
            elif deadline is not None:
                deadline.left(None, "send")

    # -- in ---------------------------------------------------------------------------------

    def read_head(
        self,
        method: str,
        limit: float | None,
        deadline: Deadline | None,
        strict: bool = False,
    ) -> tuple[AnswerHead, bytes | None]:
        """Wait for the answer's head. Blocks."""
        self.phase = "wait"
        connection, stream = self._connection, self.stream
        assert stream is not None
        while (head := stream.head) is None:
            if stream.error is not None:
                raise self._failure(stream, stream.error)
            connection.wait(self, limit, deadline, "wait")
        if strict:
            check_strictly(head)
        if not stream.ended or stream.error is not None:
            return head, None
        self.ended = True
        if not stream.sent:
            connection.wire.reset(stream)  # an answer before the request's end
        return head, stream.take_all()

    def read_body(self, most: int, limit: float | None, deadline: Deadline | None) -> bytes:
        """Wait for some bytes of the body: for all, where `expect_all` has said so. Blocks."""
        if self.ended:
            return b""
        self.phase = "receive"
        connection, stream = self._connection, self.stream
        assert stream is not None
        wire = connection.wire
        while stream.whole and not stream.over:
            connection.wait(self, limit, deadline, "receive")
        if stream.whole and stream.error is None:
            most = stream.held
        while True:
            if self.over:
                raise OSError(errno.EBADF, "the answer was closed on this side")
            data = wire.read(stream, most)
            if connection.shared and wire.pending:
                connection.kick()
            if not stream.held:
                if stream.error is not None:
                    if not data:
                        raise self._failure(stream, stream.error)
                elif stream.ended:
                    self.ended = True
                    if not stream.sent:
                        wire.reset(stream)
                    return data
            if data:
                return data
            connection.wait(self, limit, deadline, "receive")

    def expect_all(self, whole: bool) -> None:
        """Let the server send on: all of the body is waited for, and (``whole``) kept till then."""
        stream, connection = self.stream, self._connection
        if stream is not None and not stream.over:
            connection.wire.widen(stream, whole)
            if connection.shared:
                connection.kick()

    def _failure(self, stream: Stream, error: Exception) -> Exception:
        """Return the error that an exchange has ended with."""
        connection = self._connection
        below = connection.error
        if stream.head is None and stream.lost:
            if stream.code == ErrorCode.HTTP_1_1_REQUIRED:
                return OlderWanted(unsent=True)
            wire = connection.wire
            if stream.code == ErrorCode.REFUSED_STREAM and connection.users > 1:
                # More than it takes: the next ones are to try another connection.
                wire.most_streams = min(wire.most_streams, connection.users - 1)
            if stream.unprocessed or (stream.code is None and (wire.served or wire.leaves)):
                gone = ConnectionGone(stream.unprocessed, wire.goodbye)
                gone.__cause__ = below or error
                return gone
            if below is not None and stream.code is None:
                return _again(below)
        return error


def _again(error: OSError) -> OSError:
    """Return an error like one that others get, too."""
    try:
        made = type(error)(*error.args)
        made.__dict__.update(error.__dict__)  # of TLS's: the alert
    except Exception:  # a class of anybody's, which takes other arguments
        made = ConnectionResetError(*error.args)
    made.__cause__ = error
    return made
