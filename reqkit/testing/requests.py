"""The server's side of the wire: requests out of the bytes that a client sends. Pure."""

from __future__ import annotations

from ..wire.h1.framing import ChunkedReader

__all__ = ["RequestReader", "SentRequest"]


class SentRequest:
    """A request as it came over the wire."""

    __slots__ = ("body", "method", "pairs", "target")

    def __init__(self, method: str, target: str, pairs: list[tuple[str, str]]) -> None:
        self.method: str = method
        self.target: str = target
        self.pairs: list[tuple[str, str]] = pairs
        self.body: bytes = b""

    def get(self, lower_name: str) -> str | None:
        """Return the first value of a field."""
        for name, value in self.pairs:
            if name.lower() == lower_name:
                return value
        return None


class RequestReader:
    """Cuts what a client sends into requests (RFC 9112). The client is ours and keeps the rules."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._request: SentRequest | None = None
        self._left = 0
        self._chunks: ChunkedReader | None = None
        self._body = bytearray()

    def feed(self, data: bytes | bytearray | memoryview) -> list[SentRequest]:
        """Take bytes as they arrive, and return the requests that are whole now."""
        self._buffer += data
        found = []
        while (request := self._next()) is not None:
            found.append(request)
        return found

    def _next(self) -> SentRequest | None:
        request = self._request
        if request is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return None
            request = self._request = _parsed(bytes(self._buffer[:end]))
            del self._buffer[: end + 4]
            self._body = bytearray()
            if "chunked" in (request.get("transfer-encoding") or "").lower():
                self._chunks = ChunkedReader()
                self._left = 0
            else:
                self._chunks = None
                self._left = int(request.get("content-length") or 0)
        chunks = self._chunks
        if chunks is not None:
            if self._buffer:
                self._body += chunks.feed(bytes(self._buffer))
                self._buffer.clear()
            if not chunks.ended:
                return None
            self._buffer += chunks.rest
        else:
            taken = bytes(self._buffer[: self._left])
            self._body += taken
            del self._buffer[: len(taken)]
            self._left -= len(taken)
            if self._left:
                return None
        request.body = bytes(self._body)
        self._request = None
        return request


def _parsed(block: bytes) -> SentRequest:
    lines = block.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    pairs = []
    for line in lines[1:]:
        name, _, value = line.partition(":")
        pairs.append((name, value.strip(" \t")))
    return SentRequest(method, target, pairs)
