"""Content codings: gzip, deflate, br, zstd, and stacks of them, never more than was asked for.

A `Decoder` is fed what arrived, and gives at most as many bytes as it is asked for; the rest waits
inside as it came, compressed. So a small body that unfolds into gigabytes costs no more memory
than its reader wants to spend, at every level of a stack.

The codings themselves are in `reqkit.message.content.codings`.

Source: RFC 9110 section 8.4
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

from ...exceptions import ContentDecodingError, ContentTooLarge
from .codings import MAKERS, PORTION, Coding, brotli_module, zstd_module

__all__ = ["MAX_CODINGS", "Decoder", "accepted_encodings", "decode_whole", "make_decoder"]

#: How many codings one body may be wrapped in.
MAX_CODINGS: Final = 5

# The least that a library is handed at once, however little is wanted of it.
_SMALL: Final = 1024

# What is unfolded at once where it is not much.
_AT_ONCE: Final = 262144

# So many members of a coding (RFC 1952 section 2.2) may follow one another and hold nothing.
_MOST_EMPTY: Final = 10_000


class Decoder(Protocol):
    """Takes the encoded bytes as they arrive and gives the decoded ones as they are wanted."""

    @property
    def pending(self) -> bool:
        """Whether more may come out without more going in."""

    def decode(self, data: bytes, most: int = -1) -> bytes:
        """Feed some bytes (maybe none) and take at most ``most`` decoded ones; -1 is no bound.

        Raises:
            ContentDecodingError: the bytes are not what the coding says. A retry rarely helps.
        """

    def finish(self) -> bytes:
        """Say that the body has ended, and take all that is still inside, without a bound.

        To keep to a bound, call ``decode(b"", most)`` while `pending` is true, then this.

        Raises:
            ContentDecodingError: the body broke off, or is not what the coding says.
        """


class _Layer:
    """One coding of a body: takes its input from the layer below, or is fed."""

    __slots__ = (
        "_at", "_below", "_coding", "_data", "_empty", "_fed", "_from", "_pace", "_portion",
    )  # fmt: skip

    def __init__(
        self, coding: Coding, below: _Layer | None, pace: Callable[[], Any] | None = None
    ) -> None:
        self._pace = pace
        self._coding = coding
        self._below = below
        self._data = b""
        # Where the input that the engine was given last begins, and where the unused part does.
        self._from = 0
        self._at = 0
        self._fed = False
        self._empty = 0
        self._portion = coding.portion

    @property
    def pending(self) -> bool:
        return (
            self._coding.held
            or self._at < len(self._data)
            or (self._below is not None and self._below.pending)
        )

    def feed(self, data: bytes) -> None:
        # An engine that holds something may yet find that it had no use for all it was given.
        keep = self._from if self._coding.held else self._at
        self._data = self._data[keep:] + data if keep < len(self._data) else data
        self._from = 0
        self._at -= keep

    def take(self, most: int) -> bytes:
        """Give at most ``most`` bytes; fewer only where no more can be had for now."""
        coding = self._coding
        chunks: list[bytes] = []
        got = 0
        try:
            while got != most:
                room = most - got if most >= 0 else -1
                data = b""
                if not coding.held:
                    data = self._input(room)
                    if not data:
                        break
                chunk = coding.step(data, room)
                self._used(len(data))
                if self._pace is not None:
                    self._pace()
                if chunk:
                    chunks.append(chunk)
                    got += len(chunk)
                    self._empty = 0
                elif coding.complete:
                    self._count_empty()
        except coding.errors as error:
            raise _broken(coding.name, error) from error
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _count_empty(self) -> None:
        # What gives nothing is bounded by no size: a few kilobytes, coded twice, can hold millions
        # of members, and would be worked on for seconds without a pause.
        self._empty += 1
        if self._empty > _MOST_EMPTY:
            raise ContentDecodingError(
                f"the body has more than {_MOST_EMPTY} empty members in a row"
                f" ({self._coding.name}): expected some content"
            )

    def _input(self, room: int) -> bytes:
        """Return the bytes for the next step; they are still ours until `_used`."""
        if self._at >= len(self._data):
            if self._below is None:
                self._data = b""
            else:
                self._data = self._below.take(PORTION)
            self._at = 0
            if not self._data:
                return b""
        self._fed = True
        self._from = self._at
        size = self._portion
        if room >= 0:
            size = min(size, max(_SMALL, min(room, PORTION)))
        if self._at == 0 and len(self._data) <= size:
            return self._data
        return self._data[self._at : self._at + size]

    def _used(self, given: int) -> None:
        coding = self._coding
        left = coding.left
        self._at += given - left
        if not left:
            self._portion = min(self._portion * 2, coding.portion)
        elif coding.complete:
            # A member has ended and more follow. Its library has copied what it was given too
            # much of: with thousands of tiny members that must not be the whole rest each time.
            self._portion = min(_SMALL, coding.portion)

    def check_end(self) -> None:
        if self._below is not None:
            self._below.check_end()
        if self._fed and not self._coding.complete:
            raise ContentDecodingError(
                f"the body broke off: its {self._coding.name} coding has no end"
            )


class _Stack:
    """The decoder of one coding or several: the last layer asks the one below, and so on."""

    __slots__ = ("_first", "_last")

    def __init__(self, codings: list[Coding], pace: Callable[[], Any] | None) -> None:
        self._first = self._last = _Layer(codings[0], None, pace)
        for coding in codings[1:]:
            self._last = _Layer(coding, self._last, pace)

    @property
    def pending(self) -> bool:
        return self._last.pending

    def decode(self, data: bytes, most: int = -1) -> bytes:
        if data:
            self._first.feed(data)
        return self._last.take(most)

    def finish(self) -> bytes:
        rest = self._last.take(-1)
        self._last.check_end()
        return rest


def _broken(name: str, error: BaseException) -> ContentDecodingError:
    return ContentDecodingError(f"the body is not what its Content-Encoding says ({name}): {error}")


def make_decoder(content_encoding: str, pace: Callable[[], Any] | None = None) -> Decoder | None:
    """Make the decoder for a Content-Encoding.

    Args:
        content_encoding: the header's value: one coding, or several in the order in which they
            were applied.
        pace: called between the steps, which are short; what it raises ends the decoding.

    Returns:
        A decoder for one body; None where there is nothing to decode, or a coding is not known
        here (brotli and zstd without their packages too), and the body is to be taken as it is.

    Raises:
        ContentDecodingError: there are more than `MAX_CODINGS`.
    """
    names = [name.strip() for name in content_encoding.lower().split(",")]
    names = [name for name in names if name and name != "identity"]
    if len(names) > MAX_CODINGS:
        raise ContentDecodingError(
            f"the body is wrapped in {len(names)} content codings: expected at most {MAX_CODINGS}"
        )
    codings: list[Coding] = []
    for name in reversed(names):
        maker = MAKERS.get(name)
        coding = None if maker is None else maker()
        if coding is None:
            return None
        codings.append(coding)
    return _Stack(codings, pace) if codings else None


def decode_whole(
    content_encoding: str,
    data: bytes,
    limit: int | None = None,
    pace: Callable[[], Any] | None = None,
) -> bytes:
    """Decode a body that is there as a whole.

    Args:
        content_encoding: the header's value.
        data: the whole body as it came.
        limit: the most bytes that it may unfold to; None is no limit.
        pace: as for `make_decoder`.

    Raises:
        ContentTooLarge: it is larger than the limit; hardly more than that was decoded.
        ContentDecodingError: it broke off, or is not what the coding says.
    """
    if content_encoding in ("gzip", "GZIP") and 0 < len(data) <= PORTION:
        # Nearly every encoded body is this: one member, not large, and nothing after it.
        engine = zlib.decompressobj(31)
        try:
            content = engine.decompress(data, _AT_ONCE)
        except zlib.error as error:
            raise _broken("gzip", error) from error
        if engine.eof and not engine.unused_data:
            return _within(content, limit)
    decoder = make_decoder(content_encoding, pace)
    if decoder is None:
        return _within(data, limit)
    pieces: list[bytes] = []
    size = 0
    while piece := decoder.decode(data, PORTION):
        pieces.append(piece)
        size += len(piece)
        if limit is not None and size > limit:
            raise _too_large(limit)
        data = b""
    # All that was asked for did not come, so nothing is left: this only checks the end.
    pieces.append(decoder.finish())
    return b"".join(pieces)


def _within(content: bytes, limit: int | None) -> bytes:
    if limit is not None and len(content) > limit:
        raise _too_large(limit)
    return content


def _too_large(limit: int) -> ContentTooLarge:
    return ContentTooLarge(f"the decoded body is larger than max_content_size ({limit} bytes)")


@functools.cache
def accepted_encodings() -> str:
    """Return what Accept-Encoding should say: the codings that can be decoded here."""
    names = ["gzip", "deflate"]
    if brotli_module() is not None:
        names.append("br")
    if zstd_module() is not None:
        names.append("zstd")
    return ", ".join(names)
