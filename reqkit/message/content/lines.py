"""Cutting a stream anew: into lines, into pieces of one size, into text. Nothing here waits.

What comes out depends on the bytes alone, never on how they were cut on the way.
"""

from __future__ import annotations

import codecs
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, AnyStr, Final

from .charsets import text_codec
from .escapes import EscapeReader, has_escapes
from .labels import JAPANESE, errors_for

__all__ = ["LineCutter", "decode_pieces", "exact_pieces"]

#: Charsets of runs in base 64, and what these are made of (RFC 2152).
_SHIFTED: Final = frozenset(("utf-7", "utf7", "utf_7"))
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

#: Python's decoders of these leave out what follows the first error of a character that the end has
#: cut.
_LOSING: Final = frozenset(("gb18030", "euc_jp"))

# By charset: the byte order marks without which an incremental decoder refuses a body.
_MARKS: Final = {
    "utf-16": (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE),
    "utf-32": (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE),
}


class LineCutter:
    r"""Cuts pieces into lines, each as soon as it is complete.

    A line ends at LF, CRLF or CR, and at nothing else. One that ends in CR is complete at once,
    and an LF that follows belongs to it, in the next piece too: so a live stream can be followed.
    The time is linear in what is fed, however long the lines and small the pieces.

    Args:
        delimiter: what ends a line instead, of any length; it may come as bytes or as text
            (UTF-8). None or an empty one: the line ends above.
        text: str is fed and given, not bytes.

    Raises:
        TypeError: the delimiter is neither bytes nor str.
    """

    __slots__ = ("_after_cr", "_cr", "_crlf", "_delimiter", "_empty", "_held", "_lf", "_tail")

    def __init__(self, delimiter: bytes | str | None = None, *, text: bool = False) -> None:
        # Bytes or str throughout: what is said here of one holds for the other.
        self._empty: Any = "" if text else b""
        self._lf: Any = "\n" if text else b"\n"
        self._cr: Any = "\r" if text else b"\r"
        self._crlf: Any = "\r\n" if text else b"\r\n"
        self._delimiter: Any = _as_fed(delimiter, text) if delimiter else None
        # The pieces of a line that is not complete, and (for a delimiter) their last characters.
        self._held: list[Any] = []
        self._tail: Any = self._empty
        self._after_cr = False

    def feed(self, piece: AnyStr) -> list[AnyStr]:
        """Take a piece and return the lines that it completes, without their ends."""
        if not piece:
            return []
        if self._delimiter is None:
            return self._feed_lines(piece)
        return self._feed_delimited(piece, self._delimiter)

    def _feed_lines(self, piece: Any) -> list[Any]:
        if self._after_cr and piece.startswith(self._lf):
            piece = piece[1:]
        if piece:
            self._after_cr = piece.endswith(self._cr)
        else:
            self._after_cr = False
            return []
        if self._cr in piece:
            piece = piece.replace(self._crlf, self._lf).replace(self._cr, self._lf)
        lines: list[Any] = piece.split(self._lf)
        last = lines.pop()
        if lines and self._held:
            self._held.append(lines[0])
            lines[0] = self._empty.join(self._held)
            self._held = []
        if last:
            self._held.append(last)
        return lines

    def _feed_delimited(self, piece: Any, delimiter: Any) -> list[Any]:
        # The delimiter may begin in what is held: not in more than all but one of its characters.
        overlap = len(delimiter) - 1
        window = self._tail + piece
        lines: list[Any] = window.split(delimiter)
        if len(lines) == 1:
            self._held.append(piece)
            self._tail = window[-overlap:] if overlap else self._empty
            return []
        last = lines.pop()
        if self._held:
            before = self._empty.join(self._held)
            lines[0] = before[: len(before) - len(self._tail)] + lines[0]
        self._held = [last] if last else []
        self._tail = last[-overlap:] if overlap else self._empty
        return lines

    def finish(self) -> list[Any]:
        """Return the last line where it has no end; a stream that ends in one has no more."""
        held, self._held, self._tail = self._held, [], self._empty
        self._after_cr = False
        return [self._empty.join(held)] if held else []


def _as_fed(delimiter: Any, text: bool) -> bytes | str:
    """Return the delimiter as bytes or as text, as the pieces are."""
    if isinstance(delimiter, str):
        return delimiter if text else delimiter.encode("utf-8")
    if isinstance(delimiter, (bytes, bytearray)):
        return delimiter.decode("utf-8") if text else bytes(delimiter)
    raise TypeError(f"delimiter is {delimiter!r}: expected bytes or str, or None for line ends")


def exact_pieces(pieces: Iterable[AnyStr], size: int) -> Iterator[AnyStr]:
    """Cut pieces anew so that each but the last is of exactly this size.

    Args:
        pieces: bytes or text; taken as they are needed, so this waits where they do.
        size: bytes, or characters of text.

    Raises:
        ValueError: the size is below 1.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"chunk_size is {size!r}: expected a whole number above 0")
    return _exact_pieces(pieces, size)


def _exact_pieces(pieces: Iterable[AnyStr], size: int) -> Iterator[AnyStr]:
    held: list[AnyStr] = []
    missing = size
    for piece in pieces:
        length = len(piece)
        if length < missing:
            if length:
                held.append(piece)
                missing -= length
            continue
        if not held and length == size:
            yield piece
            continue
        held.append(piece[:missing])
        yield piece[:0].join(held)
        at = missing
        while length - at >= size:
            yield piece[at : at + size]
            at += size
        held = [piece[at:]] if at < length else []
        missing = size - (length - at)
    if held:
        yield held[0][:0].join(held)


def _whole_runs(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut UTF-7 anew, so that no run of its base 64 is cut.

    Python's decoder begins a run that is not whole from its start with each piece: one that goes
    on for ever would take the square of its length.
    """
    held: list[bytes] = []
    for piece in pieces:
        end = len(piece.rstrip(_BASE64))
        if end:
            yield b"".join((*held, piece[:end]))
            held = []
        if end < len(piece):
            held.append(piece[end:])
    if held:
        yield b"".join(held)


def _whole_escapes(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Cut a text with escape sequences anew, so that none of them is cut."""
    reader = EscapeReader()
    for piece in pieces:
        yield reader.feed(piece)
    yield reader.feed(b"", final=True)


def decode_pieces(pieces: Iterable[bytes], encoding: str | None) -> Iterator[str]:
    """Decode pieces one by one, putting characters together that were cut.

    Args:
        pieces: taken as they are needed, so this waits where they do.
        encoding: the charset; one that Python has no text codec for, or None, is read as UTF-8.

    Returns:
        Text, never empty; a byte order mark is left out, and bytes that cannot be decoded are
        replaced.
    """
    codec = text_codec(encoding) or "utf-8"
    marks = _MARKS.get(codec)
    if marks is not None:
        pieces = iter(pieces)
        first = b""
        while len(first) < 4 and (piece := next(pieces, None)) is not None:
            first += piece
        # Without a byte order mark an incremental decoder refuses what the whole one takes.
        if not first.startswith(marks):
            codec += "-le"
        pieces = itertools.chain((first,), pieces)
    if codec in _SHIFTED:
        pieces = _whole_runs(pieces)
    elif has_escapes(codec):
        pieces = _whole_escapes(pieces)
    errors = errors_for(codec)
    decoder = codecs.getincrementaldecoder(codec)(errors)
    table = JAPANESE.get(codec)
    # The first character may be a byte order mark, which is no text.
    mark = codec.startswith("utf")
    for piece in pieces:
        text = decoder.decode(piece)
        if text:
            if table is not None:
                text = text.translate(table)
            if mark:
                mark = False
                if text[0] == "\ufeff":
                    text = text[1:]
                    if not text:
                        continue
            yield text
    if codec in _LOSING:
        held, _ = decoder.getstate()
        text = held.decode(codec, errors)
    else:
        text = decoder.decode(b"", True)
    if table is not None:
        text = text.translate(table)
    if mark and text[:1] == "\ufeff":
        text = text[1:]
    if text:
        yield text
