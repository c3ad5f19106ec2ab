"""The body of an answer: read when it is asked for, decoded, cut and kept."""

from __future__ import annotations

import contextlib
import json as _json
import time
from collections.abc import Iterator
from typing import Any, Final, Literal, overload

from ..exceptions import ContentTooLarge, JSONDecodeError, RequestException, StreamConsumedError
from .content import charsets
from .content.decoders import decode_whole, make_decoder
from .content.lines import LineCutter, decode_pieces
from .content.pace import Pace
from .content.pieces import check_size, cut_closing, decoded, lines_of, slices
from .raw import AdoptedBody, AnswerFacts, BodySource, PeekedBody, RawBody, WholeBody, too_large
from .urls import without_secrets

__all__ = ["ReadableBody"]

#: Bytes that `Response.iter_content` yields at a time unless told otherwise.
CONTENT_CHUNK_SIZE = 10 * 1024
#: Bytes that `Response.iter_lines` decodes at a time unless told otherwise.
ITER_CHUNK_SIZE = 512
#: Stands for the file of a body that was closed before anybody asked for it as a file.
_CLOSED: Final[Any] = object()
#: Bytes that are decoded at a time where nobody says how many.
_DECODE_STEP = 64 * 1024
#: Seconds that are as good as none, and yet are waited for.
_MOMENT: Final = 1e-6


class ReadableBody:
    """What a `Response` has of its body; the head is the subclass's.

    Attributes:
        max_content_size: bytes, after decoding, past which reading fails; None is no limit.
    """

    __slots__ = (
        "_content",
        "_encoding",
        "_fields",
        "_found_encoding",
        "_raw",
        "_received",
        "_source",
        "_streamed",
        "_text",
        "_whole",
        "max_content_size",
        "request",
        "url",
    )

    request: Any
    url: str | None
    max_content_size: int | None
    #: What the head says that nearly every reader asks for; None where there is none.
    _fields: dict[str, str] | None
    #: The body, decoded, once it was read; False before that.
    _content: Any
    #: The body, still encoded, where it came whole with the head.
    _whole: bytes | None
    _source: BodySource | None
    _raw: Any
    _streamed: bool
    _received: int
    _headers: Any
    _encoding: str | None
    _found_encoding: bool
    _text: str | None

    def _field(self, lower_name: str) -> str | None:
        """Return a field of the head, or None."""
        raise NotImplementedError

    def _facts(self) -> AnswerFacts | None:
        """Return the head as it was received; None where there is none."""
        raise NotImplementedError

    @property
    def raw(self) -> Any:
        """The body as a file, still encoded (gzip and so on)."""
        if self._raw is None and (self._fields is not None or self._source is not None):
            source = self._take_source()
            coding = self._field("content-encoding")
            self._raw = RawBody(
                source, self._facts(), coding, self.url, self._received,
                self._pace() if coding else None, self.max_content_size,
            )  # fmt: skip
            self._raw.used_up = self._content is not False
        elif self._raw is _CLOSED:
            self._raw = RawBody(WholeBody(b""), self._facts(), None, self.url)
            self._raw.close()
        return self._raw

    @raw.setter
    def raw(self, value: Any) -> None:
        self._raw = value
        self._whole = None

    def _take_source(self) -> BodySource:
        if self._whole is not None:
            whole, self._whole = self._whole, None
            return WholeBody(whole)
        source = self._source
        return source if source is not None else WholeBody(b"")

    def _consumed(self) -> StreamConsumedError:
        return StreamConsumedError(
            f"the body of {without_secrets(self.url or 'this response')} was streamed already (or"
            " closed unread) and not kept: read .content first where it is needed twice",
            request=self.request,
            response=self,
        )

    def _pace(self) -> Pace:
        """Return what is called between the steps of work on the body."""
        policy = getattr(self.request, "_policy", None)
        # The network of those who wait meanwhile, wherever the body is read.
        network = getattr(getattr(self, "connection", None), "network", None)
        pause = getattr(network, "pause", _pause)
        return Pace(None if policy is None else policy.deadline, pause)

    def _refuse_larger(self, size: int) -> None:
        limit = self.max_content_size
        if limit is not None and size > limit:
            self.close()
            raise ContentTooLarge(too_large(self.url, limit), request=self.request, response=self)

    @property
    def was_decoded(self) -> bool:
        """Whether the body was read and decoded already, and not kept as it came."""
        return self._content is not False

    def look_ahead(self, size: int) -> bytes:
        """Return how the body begins, still encoded, and leave it unread. Blocks.

        Args:
            size: how many bytes, if there are as many.

        Raises:
            RequestException: as `content`.
        """
        if self._whole is not None:
            return self._whole[:size]
        source = self._source
        if source is None or self._raw is not None or self._streamed:
            return b""
        ahead = b""
        while len(ahead) < size:
            data = source.read(_DECODE_STEP)
            if not data:
                break
            ahead += data
        self._source = PeekedBody(ahead, source)
        return ahead[:size]

    def iter_whole(self, decode: bool) -> Iterator[bytes]:
        """Yield all of the body as it arrives, keeping none of it. Blocks.

        Args:
            decode: undo its Content-Encoding.

        Raises:
            StreamConsumedError: it was streamed already.
            RequestException: as `content`; also where it is closed before its end.
        """
        if self._content is not False:
            return slices(self._content or b"", None)
        if self._streamed or self._raw_ended():
            raise self._consumed()
        self._streamed = True
        return self._pieces(_DECODE_STEP, decode)

    def _pieces(self, most: int, decode: bool = True, watched: bool = False) -> Iterator[bytes]:
        """Yield the body as it arrives, at most ``most`` bytes at a time.

        Args:
            most: how many.
            decode: undo its Content-Encoding.
            watched: somebody sees each piece, and may close the response at one: that is its end.
                Else what was closed meanwhile is an error, for the rest is missing.
        """
        adopted = self._raw is not None and self._whole is None
        source: Any = AdoptedBody(self._raw) if adopted else self._take_source()
        ended = False
        try:
            encoding = self._field("content-encoding")
            decoder = make_decoder(encoding, self._pace()) if encoding and decode else None
            if decoder is None:
                # Up to where a piece of that size ends: the next ones need not be put together.
                while data := source.read(most - self._received % most):
                    self._received += len(data)
                    self._refuse_larger(self._received)
                    yield data
                    if watched and source.closed:
                        return
                ended = True
            while not ended:
                assert decoder is not None
                data = source.read(_DECODE_STEP)
                ended = not data
                for piece in decoded(decoder, data, most, ended):
                    self._received += len(piece)
                    self._refuse_larger(self._received)
                    yield piece
                    if watched and source.closed:
                        return
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
            error._about(without_secrets(self.url or ""))

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
            self._load()
        content: bytes = self._content
        return content

    def _load(self) -> None:
        """Read the body to its end, decode it, and keep it; what was read is left as it is."""
        # Before the next line: what another thread has read meanwhile is no empty body.
        whole = self._whole
        if self._content is not False:
            return
        if self._streamed or (self._raw is not None and self._raw_ended()):
            raise self._consumed()
        if whole is not None:
            fields = self._fields
            if (
                fields is not None
                and "content-encoding" not in fields
                and self._headers is None  # which may have been changed
                and self.max_content_size is None
            ):
                self._received = len(whole)
            else:
                whole = self._decode_whole(whole)
            self._content = whole
            self._whole = None
        elif self._source is None and self._raw is None:
            self._content = b"" if self._fields is not None else None
        else:
            self._content = self._join()

    def _join(self) -> bytes:
        self._streamed = True  # what broke off is not read on
        if self._source is not None:
            self._source.expect_all(
                self.max_content_size is None and self._field("content-encoding") is None
            )
        content = b"".join(self._pieces(_DECODE_STEP))
        self._streamed = False
        if isinstance(self._raw, RawBody):
            self._raw.used_up = True
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
            content = decode_whole(encoding, whole, self.max_content_size, self._pace())
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

    @overload
    def iter_content(
        self, chunk_size: int | None = ..., decode_unicode: Literal[False] = ...
    ) -> Iterator[bytes]: ...
    @overload
    def iter_content(
        self, chunk_size: int | None = ..., decode_unicode: bool = ...
    ) -> Iterator[Any]: ...
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
        check_size(chunk_size)
        pieces = self._raw_pieces(chunk_size)
        if decode_unicode and self.encoding is not None:
            return iter(decode_pieces(pieces, self.encoding))
        return pieces

    def _raw_pieces(self, chunk_size: int | None) -> Iterator[bytes]:
        if self._content is not False:
            return slices(self._content or b"", chunk_size)
        if self._streamed or self._raw_ended():
            raise self._consumed()
        self._streamed = True
        if chunk_size is None:
            return self._pieces(_DECODE_STEP, watched=True)
        most = max(chunk_size, _DECODE_STEP)
        if self.max_content_size is not None:
            most = min(most, max(self.max_content_size + 1, _DECODE_STEP))
        return cut_closing(self._pieces(most, watched=True), chunk_size)

    @overload
    def iter_lines(
        self,
        chunk_size: int = ...,
        decode_unicode: Literal[False] = ...,
        delimiter: str | bytes | None = ...,
    ) -> Iterator[bytes]: ...
    @overload
    def iter_lines(
        self, chunk_size: int = ..., decode_unicode: bool = ..., delimiter: str | bytes | None = ...
    ) -> Iterator[Any]: ...
    def iter_lines(
        self,
        chunk_size: int = ITER_CHUNK_SIZE,
        decode_unicode: bool = False,
        delimiter: str | bytes | None = None,
    ) -> Iterator[Any]:
        """Yield the body line by line, each as soon as it is complete. Blocks for each.

        Args:
            chunk_size: bytes decoded at a time; the lines are the same whatever it is.
            decode_unicode: yield str, where an encoding is known.
            delimiter: what ends a line, in place of LF, CRLF and CR.

        Raises:
            StreamConsumedError: it was streamed already.
            ValueError: ``chunk_size`` is not a number above 0, or ``delimiter`` is empty.
            RequestException: as `content`.
        """
        check_size(chunk_size)
        if delimiter is not None and not delimiter:
            raise ValueError("delimiter is empty: expected one character or more, or None")
        pieces: Iterator[Any] = self._raw_pieces(None)
        as_text = decode_unicode and self.encoding is not None
        if as_text:
            assert self.encoding is not None
            pieces = decode_pieces(pieces, self.encoding)
            if isinstance(delimiter, bytes):
                delimiter = _delimiter_text(delimiter, self.encoding)
        elif isinstance(delimiter, str):
            delimiter = delimiter.encode()
        return lines_of(pieces, LineCutter(delimiter, text=as_text))

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
        """Read the body as JSON: in the charset that Content-Type names, or by JSON's own rule.

        Args:
            **keywords: passed to `json.loads`.

        Raises:
            JSONDecodeError: it is not JSON.
            RequestException: as `content`.
        """
        error: Exception | None = getattr(self, "error", None)
        if error is not None:  # that there is no body is not what went wrong
            raise error.with_traceback(None)  # of the time before
        content = self.content or b""
        declared = self.encoding
        try:
            if declared is not None and declared.lower() not in ("utf-8", "utf8"):
                # JSON's own rule knows better than a charset that does not fit.
                with contextlib.suppress(UnicodeError, LookupError, _json.JSONDecodeError):
                    codec = charsets.text_codec(declared) or declared
                    if declared.lower() in ("ascii", "us-ascii"):
                        codec = "ascii"  # and not what browsers read such a page as
                    return _json.loads(content.decode(codec), **keywords)
            return _json.loads(content, **keywords)
        except RecursionError as error:
            raise self._no_json("nested too deeply to be read") from error
        except _json.JSONDecodeError as error:
            raise self._no_json(error.msg, error.doc, error.pos) from error
        except UnicodeDecodeError as error:
            raise self._no_json(f"the body is not JSON: {error}", self.text) from error
        except ValueError as error:
            if "integer string conversion" not in str(error):
                raise  # the user's own functions among the keywords raised it
            raise self._no_json(
                "a number has more digits than Python reads (sys.set_int_max_str_digits)"
            ) from error

    def _no_json(self, why: str, text: str = "", position: int = 0) -> JSONDecodeError:
        error = JSONDecodeError(why, text, position, request=self.request, response=self)
        error._about(without_secrets(self.url or ""))
        return error

    def close(self) -> None:
        """Let go of the connection; one whose body was not read whole is closed."""
        if self._source is not None:
            self._source.close()
            self._streamed = True  # what was not read by now is no empty body
        raw = self._raw
        if raw is None:
            if self._source is not None or self._whole is not None:
                self._raw = _CLOSED
        elif raw is not _CLOSED:
            raw.close()
            if not isinstance(raw, RawBody):
                release = getattr(raw, "release_conn", None)
                if release is not None:
                    release()


def _delimiter_text(delimiter: bytes, encoding: str) -> str:
    """Return what ends a line as the text is: in its charset, or (ASCII in UTF-16) in UTF-8."""
    try:
        return delimiter.decode(charsets.text_codec(encoding) or "utf-8")
    except UnicodeError:
        return delimiter.decode("utf-8", "replace")


def _pause() -> None:
    # Looked up now: gevent's patch may have put its own there, which lets timers run only where
    # it is asked for more than no time at all.
    time.sleep(_MOMENT)
