"""The answer: its head at once, its body when it is asked for."""

from __future__ import annotations

import datetime
import io
import json as _json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .content import charsets
from .content.decoders import Decoder, decode_whole, make_decoder
from .content.lines import LineCutter, decode_pieces, exact_pieces
from .cookies import CookieJar, store
from .exceptions import (
    ContentTooLarge,
    HTTPError,
    JSONDecodeError,
    RequestException,
    StreamConsumedError,
)
from .links import links_by_rel
from .raw import RawBody
from .status_codes import reason_phrase
from .structures import CaseInsensitiveDict
from .urls import without_password

if TYPE_CHECKING:
    from .prepare import PreparedRequest

__all__ = ["BodySource", "Response"]

#: Bytes that `Response.iter_content` yields at a time unless told otherwise.
CONTENT_CHUNK_SIZE = 10 * 1024
#: Bytes that `Response.iter_lines` decodes at a time unless told otherwise.
ITER_CHUNK_SIZE = 512
#: Bytes that are decoded at a time where nobody says how many.
_DECODE_STEP = 64 * 1024

_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class BodySource(Protocol):
    """Where a body comes from, without its framing but still encoded.

    Its errors are reqkit's own.
    """

    def read(self, most: int) -> bytes:
        """Wait for some bytes; none mean that the body has ended."""

    def close(self) -> None:
        """Let go of the connection. Never raises and may be called again."""


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


class Times:
    """Moments and spans of an exchange, in seconds of the monotonic clock."""

    __slots__ = ("connect", "dns", "headed", "received", "sent", "started", "tls")

    def __init__(self, started: float) -> None:
        self.started = started
        self.sent: float | None = None
        self.headed: float | None = None
        self.received: float | None = None
        self.dns: float | None = None
        self.connect: float | None = None
        self.tls: float | None = None


class Response:
    """An answer, or, where ``error`` is set, the lack of one.

    The head is there; the body is read when ``content``, ``text``, ``json()`` or an iterator
    asks for it (unless it was prefetched), once, and kept. True in a condition where ``ok`` is.

    Attributes:
        status_code: the status, or None where the request failed.
        reason: the reason phrase.
        url: where the answer came from, after redirects.
        request: the `PreparedRequest` that it answers.
        history: the redirects and auth challenges on the way, oldest first.
        error: why the request failed (in safe mode, or in a batch), or None.
        connection: sends a prepared request the way that this one went, for auth handlers.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_content",
        "_cookies",
        "_encoding",
        "_found_encoding",
        "_head",
        "_headers",
        "_hook_errors",
        "_next",
        "_raw",
        "_received",
        "_source",
        "_streamed",
        "_text",
        "_times",
        "_whole",
        "connection",
        "error",
        "history",
        "max_content_size",
        "reason",
        "request",
        "status_code",
        "url",
    )

    status_code: int | None
    reason: str | None
    url: str | None
    request: PreparedRequest | Any
    history: list[Response]
    error: Exception | None
    connection: Any

    def __init__(self) -> None:
        self.status_code = None
        self.reason = None
        self.url = None
        self.request = None
        self.history = []
        self.error = None
        self.connection = None
        self.max_content_size: int | None = None
        self._head: AnswerFacts | None = None
        self._headers: CaseInsensitiveDict | None = None
        self._cookies: Any = None
        self._encoding: str | None = None
        self._found_encoding = False
        self._text: str | None = None
        #: The body, decoded, once it was read.
        self._content: Any = False
        #: The body, still encoded, where it came whole with the head.
        self._whole: bytes | None = None
        self._source: BodySource | None = None
        self._raw: Any = None
        self._streamed = False
        self._received = 0
        self._times: Times | None = None
        self._next: Callable[[Response], Any] | None = None
        self._hook_errors: list[Exception] | None = None

    # -- the head ---------------------------------------------------------------------------

    @property
    def headers(self) -> CaseInsensitiveDict:
        """The answer's fields; one that came more than once has its values joined by ', '."""
        if self._headers is None:
            headers = CaseInsensitiveDict()
            if self._head is not None:
                for name, value in self._head.fields:
                    before = headers.get(name)
                    headers[name] = value if before is None else f"{before}, {value}"
            self._headers = headers
        return self._headers

    @headers.setter
    def headers(self, value: Any) -> None:
        if not isinstance(value, CaseInsensitiveDict):
            value = CaseInsensitiveDict(value)
        self._headers = value

    def _field(self, lower_name: str) -> str | None:
        if self._headers is not None:
            given: str | None = self._headers.get(lower_name)
            return given
        head = self._head
        value: str | None = None if head is None else head.get(lower_name)
        return value

    def set_cookies(self) -> list[str]:
        """Return the values of the answer's Set-Cookie fields."""
        if self._head is not None:
            return self._head.get_all("set-cookie")
        value = self._field("set-cookie")
        return [] if value is None else [value]

    @property
    def cookies(self) -> Any:
        """The cookies that this answer set, a jar."""
        if self._cookies is None:
            jar = CookieJar()
            values = self.set_cookies()
            if values and self.request is not None:
                store(jar, values, self.request.target)
            self._cookies = jar
        return self._cookies

    @cookies.setter
    def cookies(self, value: Any) -> None:
        self._cookies = value

    @property
    def hook_errors(self) -> list[Exception]:
        """What hooks raised, in the order in which they did."""
        if self._hook_errors is None:
            self._hook_errors = []
        return self._hook_errors

    @property
    def ok(self) -> bool:
        """Whether there is an answer, and its status is below 400."""
        return self.error is None and self.status_code is not None and self.status_code < 400

    @property
    def is_redirect(self) -> bool:
        """Whether this is a redirect that can be followed."""
        return self.status_code in _REDIRECTS and self._field("location") is not None

    @property
    def is_permanent_redirect(self) -> bool:
        """Whether this is a redirect that holds for good (301 or 308)."""
        return self.status_code in (301, 308) and self._field("location") is not None

    @property
    def next(self) -> PreparedRequest | None:
        """The next message of a chain that was not followed, or None."""
        if self._next is None or not self.is_redirect:
            return None
        prepared: PreparedRequest = self._next(self)
        return prepared

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """The Link field's links, by ``rel`` or else by URL (RFC 8288)."""
        value = self._field("link")
        return links_by_rel(value) if value else {}

    @property
    def elapsed(self) -> datetime.timedelta:
        """The time from the start of sending the last message to the end of its answer's head."""
        given = self.__dict__.get("_elapsed")
        if given is not None:
            return given  # type: ignore[no-any-return]
        times = self._times
        if times is None or times.headed is None:
            return datetime.timedelta(0)
        return datetime.timedelta(seconds=times.headed - times.started)

    @elapsed.setter
    def elapsed(self, value: datetime.timedelta) -> None:
        self.__dict__["_elapsed"] = value

    @property
    def timings(self) -> dict[str, float | None]:
        """Seconds spent on each phase of the last message: ``dns connect tls send wait receive``.

        ``wait`` ends with the head. None is for what did not happen: a connection that was there
        already, a body that was not read yet.
        """
        spans: dict[str, float | None] = dict.fromkeys(
            ("dns", "connect", "tls", "send", "wait", "receive")
        )
        times = self._times
        if times is not None:
            spans.update(dns=times.dns, connect=times.connect, tls=times.tls)
            if times.sent is not None:
                opened = (times.dns or 0.0) + (times.connect or 0.0) + (times.tls or 0.0)
                spans["send"] = max(times.sent - times.started - opened, 0.0)
                if times.headed is not None:
                    spans["wait"] = times.headed - times.sent
                    if times.received is not None:
                        spans["receive"] = times.received - times.headed
        return spans

    # -- the body ---------------------------------------------------------------------------

    @property
    def raw(self) -> Any:
        """The body as a file, still encoded (gzip and so on)."""
        if self._raw is None and (self._head is not None or self._source is not None):
            source = self._take_source()
            self._streamed = True
            self._raw = RawBody(source, self._head, self._field("content-encoding"))
        return self._raw

    @raw.setter
    def raw(self, value: Any) -> None:
        self._raw = value

    def _take_source(self) -> BodySource:
        if self._whole is not None:
            whole, self._whole = self._whole, None
            return _Whole(whole)
        source = self._source
        return source if source is not None else _Whole(b"")

    def _consumed(self) -> StreamConsumedError:
        return StreamConsumedError(
            f"the body of {without_password(self.url or 'this response')} was streamed already and"
            " not kept: read .content first where it is needed twice",
            request=self.request,
            response=self,
        )

    def _refuse_larger(self, size: int) -> None:
        limit = self.max_content_size
        if limit is not None and size > limit:
            self.close()
            raise ContentTooLarge(
                f"the body of {without_password(self.url or '')} is larger than max_content_size"
                f" ({limit} bytes); the connection was closed",
                request=self.request,
                response=self,
            )

    def _pieces(self, most: int) -> Iterator[bytes]:
        """Yield the decoded body as it arrives, at most ``most`` bytes at a time."""
        source: Any = self._take_source() if self._raw is None else _Foreign(self._raw)
        ended = False
        try:
            encoding = self._field("content-encoding")
            decoder = make_decoder(encoding) if encoding else None
            while not ended:
                data = source.read(_DECODE_STEP if decoder else most)
                ended = not data
                for piece in _decoded(decoder, data, most, ended):
                    self._received += len(piece)
                    self._refuse_larger(self._received)
                    yield piece
        except RequestException as error:
            self._name(error)
            raise
        finally:
            # Left early, or failed: what is still under way must not be read by another.
            if not ended:
                source.close()

    def _name(self, error: RequestException) -> None:
        if error.response is None:
            error.response = self
        if error.request is None:
            error.request = self.request

    @property
    def content(self) -> bytes:
        """The body, decoded. Blocks until it is whole, the first time.

        Raises:
            ChunkedEncodingError: it broke off.
            ContentDecodingError: it is not what its Content-Encoding says.
            ContentTooLarge: it is larger than ``max_content_size``.
            ReadTimeout: it stopped coming; `TotalTimeout` where the total limit ran out.
            StreamConsumedError: it was streamed already.
        """
        if self._content is False:
            whole = self._whole
            if self._streamed:
                if self._raw is None or self._raw_ended():
                    raise self._consumed()
                self._content = b"".join(self._pieces(_DECODE_STEP))
            elif whole is not None and self._raw is None:
                self._content = self._decode_whole(whole)
                self._whole = None
            elif self._source is None and self._raw is None:
                self._content = b"" if self._head is not None else None
            else:
                self._content = self._join()
        content: bytes = self._content
        return content

    def _join(self) -> bytes:
        self._streamed = True  # what broke off is not read on
        content = b"".join(self._pieces(_DECODE_STEP))
        self._streamed = False
        return content

    def _raw_ended(self) -> bool:
        return isinstance(self._raw, RawBody) and self._raw.ended

    def _decode_whole(self, whole: bytes) -> bytes:
        encoding = self._field("content-encoding")
        if encoding is None or not whole:
            self._refuse_larger(len(whole))
            self._received = len(whole)
            return whole
        try:
            content = decode_whole(encoding, whole, self.max_content_size)
        except RequestException as error:
            self._name(error)
            self.close()
            raise
        self._received = len(content)
        return content

    @property
    def body_size(self) -> int:
        """Bytes of the decoded body read so far, without reading any."""
        return self._received

    def iter_content(
        self, chunk_size: int | None = CONTENT_CHUNK_SIZE, decode_unicode: bool = False
    ) -> Iterator[Any]:
        """Yield the decoded body piece by piece, keeping none of it. Blocks for each.

        Args:
            chunk_size: bytes in each piece but the last; None yields them as they arrive.
            decode_unicode: yield str, where an encoding is known.

        Raises:
            StreamConsumedError: it was streamed already.
            ValueError: ``chunk_size`` is not a number above 0.
            RequestException: as `content`.
        """
        if chunk_size is not None:
            if isinstance(chunk_size, bool) or not isinstance(chunk_size, int):
                raise TypeError(
                    f"chunk_size is {chunk_size!r}: expected a number of bytes, or None"
                )
            if chunk_size < 1:
                raise ValueError(f"chunk_size is {chunk_size}: expected 1 or more, or None")
        pieces = self._raw_pieces(chunk_size)
        if decode_unicode and self.encoding is not None:
            return iter(decode_pieces(pieces, self.encoding))
        return pieces

    def _raw_pieces(self, chunk_size: int | None) -> Iterator[bytes]:
        if self._content is not False:
            return _slices(self._content or b"", chunk_size)
        if self._streamed:
            raise self._consumed()
        self._streamed = True
        if chunk_size is None:
            return self._pieces(_DECODE_STEP)
        return _closing(self._pieces(max(chunk_size, _DECODE_STEP)), chunk_size)

    def iter_lines(
        self,
        chunk_size: int = ITER_CHUNK_SIZE,
        decode_unicode: bool = False,
        delimiter: Any = None,
    ) -> Iterator[Any]:
        """Yield the body line by line, each as soon as it is complete. Blocks for each.

        Args:
            chunk_size: bytes decoded at a time; the lines are the same whatever it is.
            decode_unicode: yield str, where an encoding is known.
            delimiter: what ends a line, in place of LF, CRLF and CR.

        Raises:
            StreamConsumedError: it was streamed already.
            RequestException: as `content`.
        """
        if delimiter is not None and not delimiter:
            raise ValueError("delimiter is empty: expected one character or more, or None")
        pieces: Iterator[Any] = self._raw_pieces(None)
        as_text = decode_unicode and self.encoding is not None
        if as_text:
            assert self.encoding is not None
            pieces = decode_pieces(pieces, self.encoding)
            if isinstance(delimiter, bytes):
                delimiter = delimiter.decode(self.encoding)
        elif isinstance(delimiter, str):
            delimiter = delimiter.encode()
        return _lines(pieces, LineCutter(delimiter, text=as_text))

    def __iter__(self) -> Iterator[bytes]:
        return self.iter_content(128)

    @property
    def encoding(self) -> str | None:
        """The charset that ``text`` is decoded with; None where Content-Type names none."""
        if not self._found_encoding:
            self._found_encoding = True
            value = self._field("content-type")
            self._encoding = charsets.charset_from_content_type(value) if value else None
        return self._encoding

    @encoding.setter
    def encoding(self, value: str | None) -> None:
        self._found_encoding = True
        self._encoding = value
        self._text = None

    @property
    def apparent_encoding(self) -> str | None:
        """The charset that the body looks like."""
        return charsets.apparent_encoding(self.content or b"")

    @property
    def text(self) -> str:
        """The body as str. Never fails on bytes that do not fit the charset: they are replaced.

        The charset is Content-Type's, else a byte order mark's, an HTML ``meta``'s, JSON's, UTF-8
        where it fits, else `apparent_encoding`. Found once and kept.

        Raises:
            RequestException: as `content`.
        """
        if self._text is None:
            content = self.content or b""
            declared = self.encoding
            self._text = charsets.decode_text(content, self._field("content-type"), declared)
        return self._text

    def json(self, **keywords: Any) -> Any:
        """Read the body as JSON.

        Args:
            **keywords: passed to `json.loads`.

        Raises:
            JSONDecodeError: it is not JSON.
            RequestException: as `content`.
        """
        content = self.content or b""
        try:
            if self._found_encoding and self._encoding is not None:
                try:
                    return _json.loads(content.decode(self._encoding), **keywords)
                except (UnicodeDecodeError, LookupError):
                    pass  # JSON's own rule knows better than a wrong charset
            return _json.loads(content, **keywords)
        except _json.JSONDecodeError as error:
            raise JSONDecodeError(
                error.msg, error.doc, error.pos, request=self.request, response=self
            ) from error
        except UnicodeDecodeError as error:
            raise JSONDecodeError(
                f"the body is not JSON: {error}", "", 0, request=self.request, response=self
            ) from error

    def download(
        self,
        path: Any,
        *,
        resume: bool = False,
        progress: Callable[[int, int | None], Any] | None = None,
    ) -> Path:
        """Write the body to a file, with constant memory; see `reqkit.download`."""
        from .download import download

        return download(self, path, resume=resume, progress=progress)

    def raise_for_status(self) -> None:
        """Raise where the request failed or the status is an error.

        Raises:
            HTTPError: the status is 4xx or 5xx.
            RequestException: the request failed: its ``error``.
        """
        if self.error is not None:
            raise self.error
        status = self.status_code
        if status is not None and 400 <= status < 600:
            side = "Client" if status < 500 else "Server"
            reason: Any = self.reason or reason_phrase(status)
            if isinstance(reason, bytes):
                try:
                    reason = reason.decode("utf-8")
                except UnicodeDecodeError:
                    reason = reason.decode("latin-1")
            raise HTTPError(
                f"{status} {side} Error: {reason} for url: {without_password(self.url or '')}",
                response=self,
            )

    def close(self) -> None:
        """Let go of the connection; one whose body was not read whole is closed."""
        if self._source is not None:
            self._source.close()
        raw = self._raw
        if raw is not None and not isinstance(raw, RawBody):
            release = getattr(raw, "release_conn", None)
            raw.close()
            if release is not None:
                release()

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        if self.error is not None:
            return f"<Response [{type(self.error).__name__}]>"
        return f"<Response [{self.status_code}]>"

    def __getstate__(self) -> dict[str, Any]:
        content = self._content if self._streamed and self._content is False else self.content
        return {
            "_content": content,
            "status_code": self.status_code,
            "reason": self.reason,
            "url": self.url,
            "headers": self.headers,
            "history": self.history,
            "encoding": self.encoding,
            "elapsed": self.elapsed,
            "request": self.request,
            "cookies": self.cookies,
            "error": self.error,
            "hook_errors": [repr(error) for error in self.hook_errors],
            "_times": self._times,
            "extra": self.__dict__,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        Response.__init__(self)
        self.__dict__.update(state.pop("extra", {}))
        errors = state.pop("hook_errors", [])
        self._hook_errors = [RuntimeError(text) for text in errors] or None
        times = state.pop("_times", None)
        for name, value in state.items():
            setattr(self, name, value)
        self._times = times
        self._streamed = self._content is False
        self._received = len(self._content) if self._content else 0


class _Whole:
    """A body that is there already."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def read(self, most: int) -> bytes:
        piece = self._data[self._at : self._at + most]
        self._at += len(piece)
        return piece

    def close(self) -> None:
        self._data = b""


class _Foreign:
    """A body that somebody put in ``raw``: any file, urllib3's response among them."""

    __slots__ = ("_file", "_generator")

    def __init__(self, file: Any) -> None:
        self._file = file
        stream = getattr(file, "stream", None)
        self._generator = None
        if stream is not None and not isinstance(file, (RawBody, io.IOBase)):
            self._generator = stream(_DECODE_STEP, decode_content=False)

    def read(self, most: int) -> bytes:
        if self._generator is not None:
            return next(self._generator, b"")
        data: bytes = self._file.read(most)
        return data

    def close(self) -> None:
        self._file.close()


def _decoded(decoder: Decoder | None, data: bytes, most: int, ended: bool) -> Iterator[bytes]:
    if decoder is None:
        if data:
            yield data
        return
    if not ended:
        piece = decoder.decode(data, most)
        if piece:
            yield piece
        while decoder.pending:
            piece = decoder.decode(b"", most)
            if not piece:
                break
            yield piece
        return
    piece = decoder.finish()
    if piece:
        yield piece


def _slices(content: bytes, size: int | None) -> Iterator[bytes]:
    if size is None:
        size = max(len(content), 1)
    for start in range(0, len(content), size):
        yield content[start : start + size]


def _closing(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Cut pieces to a size; close what they come from when this is left early."""
    try:
        yield from exact_pieces(pieces, size)
    finally:
        pieces.close()  # type: ignore[attr-defined]


def _lines(pieces: Iterator[Any], cutter: LineCutter) -> Iterator[Any]:
    for piece in pieces:
        yield from cutter.feed(piece)
    yield from cutter.finish()
