"""One connection: a message out, an answer's head in, a body in. HTTP/1.1, one at a time.

Knows a `reqkit.network.Stream` and bytes; not hosts, pools or retries. Its faults are
`ProtocolError` and `ChunkedEncodingError` where the peer breaks HTTP's rules, and the stream's
``OSError`` and ``TimeoutError`` for all else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from ..._types import Stream
from ...exceptions import ChunkedEncodingError, IncompleteHead, ProtocolError
from ...timeouts import Deadline
from .answer import AnswerHead
from .exchange import ConnectionGone
from .framing import ChunkedReader, Framing, framing_of, keeps_alive
from .head import find_end, parse_head
from .reader import read_next

__all__ = ["Connection"]

_BY_LENGTH: Final = Framing.LENGTH
#: Bytes asked of the stream at once.
_READ: Final = 65536
#: A body up to this size goes out in one write with the head.
_JOINED: Final = 65536
#: Bytes of a larger body handed to the stream at once, so that a time limit counts for each.
_PIECE: Final = 262144
#: The same where a deadline runs: small enough to be taken in one go.
_TIMED: Final = 16384
#: Interim answers (RFC 9110 section 15.2) that are skipped before the peer is taken for hostile.
_MOST_INTERIM: Final = 32


#: Methods whose answers' bodies do not end as their lengths say.
_NO_LENGTH: Final = frozenset(("HEAD", "CONNECT"))

_NO_HEAD: Final = AnswerHead(11, 0, "", "", {})


class Connection:
    """A connection, what is known of its state, and the exchange that runs on it.

    Attributes:
        key: what it may serve, for the pool.
        served: answers whose head came over it.
        phase, sent, headed, ended, beside: as `Exchanging` has them.
        idle_since: when it came back to the pool.
    """

    __slots__ = (
        "_block",
        "_chunks",
        "_fault",
        "_head",
        "_keep",
        "_kind",
        "_left",
        "_length",
        "_method",
        "_rest",
        "beside",
        "ended",
        "headed",
        "idle_since",
        "key",
        "phase",
        "sent",
        "served",
        "stream",
    )

    def __init__(self, stream: Stream, key: Any) -> None:
        self.stream: Stream = stream
        self.key: Any = key
        self.served: int = 0
        self.phase: str = "send"
        self.sent: float | None = None
        self.headed: float | None = None
        self.ended: bool = True
        self.idle_since: float = 0.0
        self.beside: tuple[int, int] | None = None
        self._keep = True
        self._kind = Framing.NONE
        self._left = 0
        self._length = 0
        #: The last head: its bytes, what they say, and the method that it answered.
        self._block = b""
        self._head: AnswerHead = _NO_HEAD
        self._method = ""
        self._fault = ""
        self._rest = b""
        self._chunks: ChunkedReader | None = None

    def is_reusable(self) -> bool:
        """Tell whether another message may be sent: the answer was read to its end and no more."""
        return self.ended and self._keep and not self._rest

    def serve_no_more(self) -> None:
        """Let the next answer be the last: the peer was told so (``Connection: close``)."""
        self._keep = False

    def close(self) -> None:
        """Close it. Never raises and may be called again."""
        self._keep = False
        self.stream.close()

    # -- out --------------------------------------------------------------------------------

    def send(
        self,
        head: bytes,
        body: bytes | Iterable[bytes] | None,
        chunked: bool,
        limit: float | None,
        deadline: Deadline | None,
    ) -> None:
        """Send a message, its head written by `reqkit.wire.h1.head.write_head`. Blocks."""
        self.phase = "send"
        self.ended = False
        started = False
        try:
            if body is None and deadline is None:
                self.stream.send_all(head, limit)
                return
            send_all = self.stream.send_all if deadline is None else self._sender(deadline)
            if body is None or (isinstance(body, bytes) and len(body) <= _JOINED):
                send_all(head if not body else head + body, limit)
                return
            pieces = _cut(body) if isinstance(body, bytes) else body
            pending = head
            for piece in pieces:
                if chunked:
                    piece = b"%x\r\n%b\r\n" % (len(piece), piece)
                if pending and len(piece) <= _JOINED:
                    piece = pending + piece  # one packet for the head and the first of the body
                elif pending:
                    send_all(pending, limit)
                    started = True
                pending = b""
                send_all(piece, limit)
                started = True
            if chunked:
                pending += b"0\r\n\r\n"
            if pending:
                send_all(pending, limit)
        except (BrokenPipeError, ConnectionResetError) as error:
            if self.served and not started:
                raise ConnectionGone(unsent=not isinstance(error, ConnectionResetError)) from error
            self._keep = False
            raise

    def _sender(self, deadline: Deadline) -> Callable[[bytes, float | None], None]:
        """Return what sends within a deadline, however slowly the peer takes it."""
        send_all = self.stream.send_all

        def send(data: bytes, limit: float | None) -> None:
            if len(data) <= _TIMED:
                send_all(data, deadline.left(limit, "send"))
                return
            view = memoryview(data)
            for start in range(0, len(data), _TIMED):
                send_all(view[start : start + _TIMED], deadline.left(limit, "send"))

        return send

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
        timeout = limit if deadline is None else deadline.left(limit, "wait")
        try:
            data = self.stream.receive_next(_READ, timeout)
        except ConnectionResetError as error:
            if self.served:
                raise ConnectionGone(unsent=False) from error
            raise
        if not data:
            if self.served:
                raise ConnectionGone(unsent=False)
            silent = ProtocolError(
                "the server closed the connection without an answer; is it an HTTP server?"
            )
            silent.no_answer = True
            raise silent
        block = self._block
        if block and method == self._method and data.startswith(block):
            # Said once more, which is not read again. That it may be kept was found then, too.
            end = len(block)
            head = self._head
            kind = self._kind
            length = self._length
        else:
            usual = read_next(data)
            if usual is None:
                # Not whole, or odd: then it may end elsewhere.
                head, data, end = self._next_head(data, limit, deadline, strict)
                block = b""
            else:
                head = usual
                end = len(head.text)
                block = data[:end]
            length = head.length
            if length >= 0 and method not in _NO_LENGTH:
                kind = _BY_LENGTH
            else:
                if head.status < 200:
                    head, data, end = self._skip_interim(head, data, end, limit, deadline, strict)
                    block = b""
                kind, length = framing_of(method, head, strict)
                if self._keep:
                    self._keep = keeps_alive(head)
            self._head = head
            self._kind = kind
            self._length = length
            self._block = block
            self._method = method
        self.served += 1
        if kind == _BY_LENGTH:
            have = len(data) - end
            if have >= length:
                self.ended = True
                stop = end + length
                self._rest = data[stop:] if have > length else b""
                return head, (data[end:stop] if length else b"")
            self._left = length
        elif kind == Framing.NONE:
            self.ended = True
            self._rest = data[end:]
            return head, b""
        elif kind == Framing.CHUNKED:
            self._chunks = chunks = ChunkedReader(strict)
            try:
                body = chunks.feed(data[end:])
            except ChunkedEncodingError as error:
                # The head is sound, whatever came along with it: this is for who reads the body.
                # Its text alone, for the error would hold on to this connection.
                self._fault = str(error)
                return head, None
            if chunks.ended:
                self._end_chunks(chunks)
                return head, body
            self._rest = body
            return head, None
        else:
            self._keep = False
        self._rest = data[end:]
        return head, None

    def _next_head(
        self, data: bytes, limit: float | None, deadline: Deadline | None, strict: bool
    ) -> tuple[AnswerHead, bytes, int]:
        """Read until a head is whole; return it, all that came, and where in that it ends."""
        end = find_end(data, 0, strict)
        buffer = data
        if end < 0:
            gathered = bytearray(data)
            while end < 0:
                searched = len(gathered)
                timeout = limit if deadline is None else deadline.left(limit, "wait")
                more = self.stream.receive(_READ, timeout)
                if not more:
                    raise IncompleteHead(
                        "the server closed the connection in the middle of the answer's head"
                    )
                gathered += more
                end = find_end(gathered, searched, strict)
            buffer = bytes(gathered)
        head = parse_head(buffer[:end], strict)
        if head.oddity:
            self._keep = False
        return head, buffer, end

    def _skip_interim(
        self,
        head: AnswerHead,
        data: bytes,
        end: int,
        limit: float | None,
        deadline: Deadline | None,
        strict: bool,
    ) -> tuple[AnswerHead, bytes, int]:
        """Pass over 1xx answers (RFC 9110 section 15.2)."""
        for _ in range(_MOST_INTERIM):
            # RFC 9110 section 15.2.2: 101 only ever answers an Upgrade field.
            if head.status == 101:
                raise ProtocolError("the server switched protocols (101), unasked")
            head, data, end = self._next_head(data[end:], limit, deadline, strict)
            if head.status >= 200:
                return head, data, end
        raise ProtocolError(f"the server sent more than {_MOST_INTERIM} interim (1xx) answers")

    def read_body(self, most: int, limit: float | None, deadline: Deadline | None) -> bytes:
        """Wait for some bytes of the body; more than that where a chunk came whole. Blocks."""
        if self.ended:
            return b""
        self.phase = "receive"
        data = self._rest
        if self._kind == Framing.CHUNKED:
            return self._read_chunks(limit, deadline)
        if data:
            if len(data) > most:
                data, self._rest = data[:most], data[most:]
            else:
                self._rest = b""
        else:
            timeout = limit if deadline is None else deadline.left(limit, "receive")
            if self._kind == Framing.LENGTH and self._left < most:
                most = self._left
            data = self.stream.receive(most, timeout)
        if self._kind == Framing.LENGTH:
            if not data:
                got = self._length - self._left
                raise ChunkedEncodingError(
                    f"the body broke off: {got} of {self._length} bytes came before the server"
                    " closed the connection"
                )
            self._left -= len(data)
            self.ended = not self._left
        elif not data:
            self.ended = True
        return data

    def _read_chunks(self, limit: float | None, deadline: Deadline | None) -> bytes:
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        if self._fault:
            raise ChunkedEncodingError(self._fault)
        chunks = self._chunks
        assert chunks is not None
        while True:
            timeout = limit if deadline is None else deadline.left(limit, "receive")
            raw = self.stream.receive(_READ, timeout)
            if not raw:
                chunks.finish()  # raises: the last chunk is missing
            data = chunks.feed(raw)
            if chunks.ended:
                self._end_chunks(chunks)
                return data
            if data:
                return data

    def _end_chunks(self, chunks: ChunkedReader) -> None:
        self.ended = True
        self._rest = chunks.rest
        if chunks.oddity:
            self._keep = False


def _cut(body: bytes) -> Iterable[bytes]:
    """Cut bytes, so that the time limit of a write counts for each piece."""
    view = memoryview(body)
    for start in range(0, len(body), _PIECE):
        yield view[start : start + _PIECE]  # type: ignore[misc]
