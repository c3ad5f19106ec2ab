"""Where a body comes from, and a body as a file: `Response.raw`, as users of urllib3 know it."""

from __future__ import annotations

import builtins
import functools
import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final, Protocol

from ..base.deferred import DeferredModule, is_imported
from ..exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    ContentDecodingError,
    ContentTooLarge,
    RequestException,
    SSLError,
)
from .content.decoders import make_decoder
from .urls import without_secrets

if TYPE_CHECKING:
    import urllib3
    import urllib3.exceptions
else:
    urllib3 = DeferredModule("urllib3")

__all__ = [
    "AdoptedBody",
    "AnswerFacts",
    "BodySource",
    "PeekedBody",
    "RawBody",
    "WholeBody",
    "too_large",
]

_STEP = 64 * 1024

#: What an adopted body's own errors are here, as in requests. Subclasses come first.
_Faults = tuple[tuple[type[Exception], type[RequestException], str], ...]
_FAULTS: Final[_Faults] = (
    (TimeoutError, ConnectionError, "stopped coming"),
    (builtins.ConnectionError, ChunkedEncodingError, "broke off before its end"),
)


@functools.cache
def _urllib3_faults() -> _Faults:
    return (
        (
            urllib3.exceptions.DecodeError,
            ContentDecodingError,
            "is not what its Content-Encoding says",
        ),
        (urllib3.exceptions.SSLError, SSLError, "broke off: TLS failed"),
        (urllib3.exceptions.TimeoutError, ConnectionError, "stopped coming"),
        (urllib3.exceptions.HTTPError, ChunkedEncodingError, "broke off before its end"),
    )


def too_large(url: str | None, limit: int) -> str:
    """Say that a body is larger than ``max_content_size``."""
    return (
        f"the body of {without_secrets(url or '')} is larger than max_content_size ({limit} bytes);"
        " the connection was closed"
    )


class AnswerFacts(Protocol):
    """The head of an answer, as the wire read it."""

    version: int
    status: int
    reason: str

    @property
    def fields(self) -> list[tuple[str, str]]:
        """The fields as they were received."""

    def get(self, lower_name: str) -> str | None:
        """A field's value, joined where it came more than once."""

    def get_all(self, lower_name: str) -> list[str]:
        """A field's values."""


class BodySource(Protocol):
    """Where a body comes from, without its framing but still encoded.

    Its errors are reqkit's own.
    """

    @property
    def closed(self) -> bool:
        """Whether it was closed before its end."""

    def read(self, most: int, within: float | None = None) -> bytes:
        """Wait for some bytes, so many seconds at most; none mean that the body has ended."""

    def expect_all(self, whole: bool) -> None:
        """Take note that all of the body is waited for.

        Args:
            whole: `read` may return more than was asked for, all at once: it is kept undecoded.
        """

    def close(self) -> None:
        """Let go of the connection. Never raises and may be called again."""


class RawBody(io.RawIOBase):
    """A file that reads a body from its connection, still encoded unless asked otherwise.

    Attributes:
        status, reason, version: the answer's.
        ended: whether the last byte was read.
        used_up: whether the reader was told of the end: it is closed then, as urllib3's is.
    """

    def __init__(
        self,
        source: Any,
        head: Any,
        encoding: str | None,
        url: str | None = None,
        read: int = 0,
        pace: Callable[[], Any] | None = None,
        limit: int | None = None,
    ) -> None:
        super().__init__()
        #: ``max_content_size``, and how many bytes were read here, as they were given.
        self._limit = limit
        self._read = 0
        self.used_up: bool = False
        self._url = url
        self._pulled = read
        self._source = source
        self._head = head
        self._encoding = encoding
        self._pace = pace
        self._decoder: Any = None
        self._rest = b""
        self.ended: bool = False
        self.decode_content = False
        self.status: int | None = None if head is None else head.status
        self.reason: str | None = None if head is None else head.reason
        self.version: int | None = None if head is None else head.version

    @property
    def headers(self) -> urllib3.HTTPHeaderDict:
        """The answer's fields, as urllib3 gives them."""
        return urllib3.HTTPHeaderDict(self._head.fields if self._head is not None else ())

    def getheaders(self) -> urllib3.HTTPHeaderDict:
        """Return the answer's fields."""
        return self.headers

    def info(self) -> urllib3.HTTPHeaderDict:
        """Return the answer's fields, as `urllib.request` calls them."""
        return self.headers

    def geturl(self) -> str | None:
        """Return where the answer came from."""
        return self._url

    @property
    def url(self) -> str | None:
        """Where the answer came from."""
        return self._url

    @property
    def closed(self) -> bool:
        """Whether there is nothing more to be had: it was closed, or read to its end."""
        return self.used_up or super().closed

    def tell(self) -> int:
        """Return how many bytes came from the connection so far, still encoded."""
        return self._pulled

    def getheader(self, name: str, default: str | None = None) -> str | None:
        """Return one field's value."""
        value: str | None = self.headers.get(name, default)
        return value

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def write(self, data: Any) -> int:
        """Refuse: nothing can be written to a body.

        Raises:
            io.UnsupportedOperation: always, as it does for any file that is only read.
        """
        raise io.UnsupportedOperation("write")

    def _more(self, decode: bool) -> bytes:
        if self.ended:
            return b""
        data: bytes = self._source.read(_STEP)
        self._pulled += len(data)
        self.ended = not data
        if not decode or self._encoding is None:
            return data
        if self._decoder is None:
            self._decoder = make_decoder(self._encoding, self._pace)
            if self._decoder is None:
                self._encoding = None
                return data
        if self.ended:
            finished: bytes = self._decoder.finish()
            return finished
        decoded: bytes = self._decoder.decode(data, _STEP)
        while not decoded and not self.ended:
            data = self._source.read(_STEP)
            self._pulled += len(data)
            self.ended = not data
            decoded = self._decoder.decode(data, _STEP) if data else self._decoder.finish()
        return decoded

    def read(self, amt: int | None = -1, decode_content: bool | None = None) -> bytes:
        """Read up to ``amt`` bytes, or all. Blocks.

        Args:
            amt: bytes; None or a negative number reads to the end.
            decode_content: undo the Content-Encoding; None takes the attribute's value.

        Raises:
            ContentTooLarge: it is larger than ``max_content_size``, as it is read here.
            RequestException: as `Response.content`.
        """
        data = self._up_to(amt, decode_content)
        if self.ended and not self._rest and (amt is None or amt < 0 or (amt and not data)):
            self.used_up = True  # the reader knows now
        return data

    def _up_to(self, amt: int | None, decode_content: bool | None = None) -> bytes:
        if super().closed:
            return b""
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
            self._read += len(piece)
            if self._limit is not None and self._read > self._limit:
                self._source.close()
                raise ContentTooLarge(too_large(self._url, self._limit))
        data = b"".join(parts)
        if everything or amt is None:
            self._rest = b""
            return data
        self._rest = data[amt:]
        return data[:amt]

    def read1(self, amt: int = -1) -> bytes:
        """Read what comes next, still encoded: up to ``amt`` bytes, without waiting for more."""
        if super().closed:
            return b""
        data = self._rest or self._more(self.decode_content)
        if 0 <= amt < len(data):
            data, self._rest = data[:amt], data[amt:]
        else:
            self._rest = b""
        return data

    def peek(self, size: int = 0) -> bytes:
        """Return some bytes that come next, and leave them to be read; none at the end. Blocks.

        Lines are looked for in them: without it, `readline` asks for each byte by itself.
        """
        if not self._rest:
            self._rest = self._up_to(1) + self._rest
        return self._rest

    def readinto(self, buffer: Any) -> int:
        """Read into a buffer; return how many bytes."""
        view = memoryview(buffer).cast("B")
        data = self._up_to(len(view))  # a buffer around this one asks on before it says so
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
        if not super().closed:
            self._source.close()
        super().close()

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the lines that are left."""
        while line := self.readline():
            yield line


class WholeBody:
    """A body that is there already."""

    __slots__ = ("_at", "_data")

    closed = False

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read(self, most: int, within: float | None = None) -> bytes:
        """Return the next bytes."""
        piece = self._data[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def expect_all(self, whole: bool) -> None:
        """Do nothing: it is here."""

    def close(self) -> None:
        """Let go of them."""
        self._data = b""


class PeekedBody:
    """A body of which something was read, and is to be read again."""

    __slots__ = ("_ahead", "_source")

    def __init__(self, ahead: bytes, source: BodySource) -> None:
        self._ahead = ahead
        self._source = source

    @property
    def closed(self) -> bool:
        """Whether it was closed before its end."""
        return self._source.closed

    def read(self, most: int, within: float | None = None) -> bytes:
        """Return the next bytes."""
        if self._ahead:
            piece, self._ahead = self._ahead[:most], self._ahead[most:]
            return piece
        return self._source.read(most, within)

    def expect_all(self, whole: bool) -> None:
        """Take note that all of the body is waited for."""
        self._source.expect_all(whole)

    def close(self) -> None:
        """Let go of them, and of the connection."""
        self._ahead = b""
        self._source.close()


class AdoptedBody:
    """A body that somebody put in ``raw``: any file, urllib3's response among them."""

    __slots__ = ("_file", "_generator", "_live")

    closed = False

    def __init__(self, file: Any) -> None:
        self._file = file
        self._live = isinstance(file, RawBody)
        self._generator: Any = None

    def read(self, most: int) -> bytes:
        """Read on; blocks as the file does.

        Raises:
            RequestException: in place of an error of urllib3's or a socket's.
        """
        try:
            return self._next(most)
        except RequestException:
            raise
        except Exception as error:  # the file is somebody's: named where it can be
            known = _urllib3_faults() if is_imported("urllib3.exceptions") else ()
            for kind, ours, text in (*known, *_FAULTS):
                if isinstance(error, kind):
                    raise ours(f"the body {text}: {error}") from error
            raise

    def _next(self, most: int) -> bytes:
        if self._live:
            # Of a live stream what is there, not what would fill the buffer.
            data: bytes = self._file.read1(most)
            return data
        if self._generator is None:
            # urllib3's: its read() would decode, and so be decoded twice.
            stream = getattr(self._file, "stream", None)
            if stream is None:
                given: Any = self._file.read(most)
                if isinstance(given, bytes):
                    return given
                return given.encode() if isinstance(given, str) else bytes(given or b"")
            self._generator = iter(stream(_STEP, decode_content=False))
        return next(self._generator, b"")

    def close(self) -> None:
        """Close the file."""
        self._file.close()
