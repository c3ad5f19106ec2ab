"""One exchange on its way over a real connection, kept for a recording."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..exceptions import RequestException
from ..message.content.decoders import decode_whole
from ..wire.h1.framing import ChunkedReader
from ..wire.h1.head import parse_head
from .requests import RequestReader, SentRequest

if TYPE_CHECKING:
    from ..network import Stream

__all__ = ["Exchange", "RecordingStream"]

_FRAMING = frozenset(("content-length", "transfer-encoding", "content-encoding", "connection"))


class Exchange:
    """A request and its answer, decoded."""

    __slots__ = ("answer_body", "fields", "reason", "request", "status", "url", "whole")

    def __init__(self, request: SentRequest, url: str) -> None:
        self.request: SentRequest = request
        self.url: str = url
        self.status: int = 0
        self.reason: str = ""
        self.fields: list[tuple[str, str]] = []
        self.answer_body: bytes = b""
        #: Whether the body was read to its end.
        self.whole: bool = True

    def take(self, raw: bytes, ended: bool) -> bool:
        """Read the answer; tell whether there is one.

        Args:
            raw: what came over the wire.
            ended: whether the server has closed the connection after it.
        """
        while True:
            at = raw.find(b"\r\n\r\n")
            if at < 0:
                return False
            head = parse_head(raw[: at + 4])
            raw = raw[at + 4 :]
            if head.status >= 200:
                break
        self.status, self.reason = head.status, head.reason
        length = head.get("content-length")
        if self.request.method == "HEAD" or head.status in (204, 304):
            body = b""
        elif "chunked" in (head.get("transfer-encoding") or ""):
            chunks = ChunkedReader()
            body = chunks.feed(raw)
            self.whole = chunks.ended
        elif length is not None:
            body = raw
            self.whole = len(body) >= int(length)
        else:
            body = raw
            self.whole = ended
        coding = head.get("content-encoding")
        if coding and body:  # half a body cannot be decoded, and nobody has asked for it
            body = decode_whole(coding, body) if self.whole else b""
        self.answer_body = body
        self.fields = [pair for pair in head.fields if pair[0].lower() not in _FRAMING]
        return True


class RecordingStream:
    """A stream that keeps what passes, and hands over each exchange as it ends."""

    def __init__(self, stream: Stream, origin: str, keep: Callable[[Exchange], Any]) -> None:
        self._stream = stream
        self._origin = origin
        self._keep = keep
        self._reader = RequestReader()
        self._exchange: Exchange | None = None
        self._received = bytearray()

    def _end(self, closed: bool) -> None:
        exchange, self._exchange = self._exchange, None
        received, self._received = bytes(self._received), bytearray()
        if exchange is None:
            return
        # An answer that breaks the rules is an error for who reads it, and is left out here.
        with contextlib.suppress(RequestException):
            if exchange.take(received, closed):
                self._keep(exchange)

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        """Send all of it."""
        requests = self._reader.feed(data)
        if requests:
            self._end(False)
            request = requests[-1]
            target = request.target
            url = f"{self._origin}{target}" if target.startswith("/") else target
            self._exchange = Exchange(request, url)
        self._stream.send_all(data, timeout)

    def wait_readable(self, timeout: float | None) -> None:
        """Wait as the stream does."""
        self._stream.wait_readable(timeout)

    def _received_now(self, data: bytes) -> bytes:
        if data:
            self._received += data
        else:
            self._end(True)
        return data

    def receive_next(self, most: int, timeout: float | None) -> bytes:
        """Receive as the stream does."""
        return self._received_now(self._stream.receive_next(most, timeout))

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Receive as the stream does."""
        return self._received_now(self._stream.receive(most, timeout))

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """Receive as the stream does."""
        size = self._stream.receive_into(buffer, timeout)
        self._received_now(bytes(buffer[:size]))
        return size

    def is_readable(self) -> bool:
        """Tell whether bytes or an end are there."""
        return self._stream.is_readable()

    def close(self) -> None:
        """Close the stream."""
        try:
            self._end(False)
        finally:
            self._stream.close()
