"""A body as a file: what `Response.raw` gives, with the methods that users of urllib3 know."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

from urllib3 import HTTPHeaderDict

from .content.decoders import make_decoder

__all__ = ["RawBody"]

_STEP = 64 * 1024


class RawBody(io.RawIOBase):
    """A file that reads a body from its connection, still encoded unless asked otherwise.

    Attributes:
        status, reason, version: the answer's.
        ended: whether the last byte was read.
    """

    def __init__(self, source: Any, head: Any, encoding: str | None) -> None:
        super().__init__()
        self._source = source
        self._head = head
        self._encoding = encoding
        self._decoder: Any = None
        self._rest = b""
        self.ended = False
        self.decode_content = False
        self.status: int | None = None if head is None else head.status
        self.reason: str | None = None if head is None else head.reason
        self.version: int | None = None if head is None else head.version

    @property
    def headers(self) -> HTTPHeaderDict:
        """The answer's fields, as urllib3 gives them."""
        return HTTPHeaderDict(self._head.fields if self._head is not None else ())

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """Return one field's value."""
        value: str | None = self.headers.get(name, default)
        return value

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def _more(self, decode: bool) -> bytes:
        if self.ended:
            return b""
        data: bytes = self._source.read(_STEP)
        self.ended = not data
        if not decode or self._encoding is None:
            return data
        if self._decoder is None:
            self._decoder = make_decoder(self._encoding)
            if self._decoder is None:
                self._encoding = None
                return data
        if self.ended:
            finished: bytes = self._decoder.finish()
            return finished
        decoded: bytes = self._decoder.decode(data, _STEP)
        while not decoded and not self.ended:
            data = self._source.read(_STEP)
            self.ended = not data
            decoded = self._decoder.decode(data, _STEP) if data else self._decoder.finish()
        return decoded

    def read(self, amt: int | None = -1, decode_content: bool | None = None) -> bytes:
        """Read up to ``amt`` bytes, or all. Blocks.

        Args:
            amt: bytes; None or a negative number reads to the end.
            decode_content: undo the Content-Encoding; None takes the attribute's value.

        Raises:
            RequestException: as `Response.content`.
        """
        decode = self.decode_content if decode_content is None else decode_content
        everything = amt is None or amt < 0
        parts = [self._rest]
        size = len(self._rest)
        while everything or (amt is not None and size < amt):
            if self._decoder is not None and self._decoder.pending:
                piece = self._decoder.decode(b"", _STEP)
            else:
                piece = self._more(decode)
            if not piece:
                if self.ended:
                    break
                continue
            parts.append(piece)
            size += len(piece)
        data = b"".join(parts)
        if everything or amt is None:
            self._rest = b""
            return data
        self._rest = data[amt:]
        return data[:amt]

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return how many bytes."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        """Read to the end."""
        return self.read()

    def stream(self, amt: int = _STEP, decode_content: bool | None = None) -> Iterator[bytes]:
        """Yield the body in pieces of up to ``amt`` bytes."""
        while True:
            piece = self.read(amt, decode_content)
            if not piece:
                return
            yield piece

    def isclosed(self) -> bool:
        """Tell whether nothing is left to read."""
        return self.closed or self.ended

    def release_conn(self) -> None:
        """Give the connection back: it was at the body's end; before that it is closed."""
        if not self.ended:
            self._source.close()

    def drain_conn(self) -> None:
        """Read what is left, so that the connection can be used again."""
        self.read()

    def close(self) -> None:
        """Let go of the connection."""
        if not self.closed:
            self._source.close()
        super().close()
