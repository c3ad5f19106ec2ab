"""Sitemaps, read as they come: XML, text and feeds, compressed or not, in memory that stays flat.

Pure: bytes in, URLs out. Entities are off: a document that declares some is refused, so that a
small one cannot become a large one, or read files.

Source: https://www.sitemaps.org/protocol.html
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final
from xml.parsers import expat

from reqkit.message.content.charsets import text_codec
from reqkit.message.content.labels import errors_for

__all__ = ["SitemapError", "read_sitemap"]

#: Bytes of a sitemap, once decompressed (the protocol has 50 MB).
LARGEST: Final = 256 << 20
#: URLs of one sitemap (the protocol has 50,000).
MOST: Final = 1_000_000
#: Characters of a URL.
_LONGEST: Final = 4096
#: Bytes of a tag or a comment.
_LONGEST_TAG: Final = 1 << 20
_STEP: Final = 64 * 1024
#: Bytes that show what a sitemap is.
_FIRST: Final = 512
_encoding = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([^"'>]*)""").match
#: Encodings that expat reads by itself.
_EXPATS: Final = frozenset(("utf-8", "utf-16", "iso-8859-1", "us-ascii"))
#: What the links of a feed's entry are that lead to its page.
_PAGES: Final = (None, "alternate")


class SitemapError(ValueError):
    """A sitemap cannot be read further; what was read before counts."""


def read_sitemap(pieces: Iterable[bytes]) -> Iterator[tuple[bool, str]]:
    """Yield what a sitemap names.

    Args:
        pieces: its bytes, as they come.

    Returns: pairs: whether it is a further sitemap, and its URL, as it is written.

    Raises:
        SitemapError: it is none, or too large, or declares entities.
    """
    reader: Any = None
    size = 0
    for piece in _gathered(_decompressed(_gathered(pieces))):
        size += len(piece)
        if size > LARGEST:
            raise SitemapError(f"it has more than {LARGEST >> 20} MB")
        if reader is None:
            if piece[:2] not in (b"\xff\xfe", b"\xfe\xff"):
                piece = piece.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
            head = piece.lstrip(b"\xff\xfe\0 \t\r\n")
            if not head:
                continue
            reader = _XML(_declared(piece)) if head[:1] == b"<" else _Text()
        yield from reader.feed(piece)
    if reader is not None:
        yield from reader.end()


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the pieces, those at the beginning as one, so that it shows what they are."""
    first: bytes | None = b""
    for piece in pieces:
        if first is not None:
            first += piece
            if len(first) < _FIRST:
                continue
            piece, first = first, None
        yield piece
    if first:
        yield first


def _decompressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield bytes in small pieces, decompressed where the first ones say gzip."""
    decoder: Any = None
    first = True
    for piece in pieces:
        if first and piece:
            first = False
            if piece[:2] == b"\x1f\x8b":
                decoder = zlib.decompressobj(31)
        if decoder is None:
            yield piece
            continue
        rest = piece
        while rest or decoder.unused_data:
            try:
                if decoder.eof:
                    rest = decoder.unused_data + rest
                    if rest[:2] != b"\x1f\x8b":
                        return  # what follows the last member is padding
                    decoder = zlib.decompressobj(31)
                out = decoder.decompress(rest, _STEP)
            except zlib.error as error:
                raise SitemapError(f"its gzip is broken: {error}") from error
            rest = decoder.unconsumed_tail
            if out:
                yield out
            if decoder.eof and not decoder.unused_data:
                break


def _declared(head: bytes) -> str | None:
    """Return Python's name of the encoding that XML declares; None for one that expat reads.

    Raises:
        SitemapError: it is none that is known.
    """
    found = _encoding(head[:_FIRST])
    if found is None:
        return None
    label = found.group(1).decode("ascii", "replace")
    if label.lower() in _EXPATS:
        return None
    codec = text_codec(label)
    if codec is None:
        raise SitemapError(f"its encoding {label[:40]!r} is not known")
    return codec


class _Text:
    """URLs, one a line."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[tuple[bool, str]]:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LONGEST:
            raise SitemapError("it is neither XML nor lines with URLs")
        for line in lines:
            yield from _line(line)

    def end(self) -> Iterator[tuple[bool, str]]:
        yield from _line(self._rest)


def _line(line: bytes) -> Iterator[tuple[bool, str]]:
    text = line.decode("utf-8", "replace").strip("\ufeff \t\r")
    if text.startswith(("http://", "https://")) and len(text) <= _LONGEST:
        yield False, text


class _XML:
    """``urlset``, ``sitemapindex``, RSS and Atom.

    Args:
        codec: what decodes it; None where expat does.
    """

    def __init__(self, codec: str | None) -> None:
        self._decoder: codecs.IncrementalDecoder | None = None
        if codec is not None:
            self._decoder = codecs.getincrementaldecoder(codec)(errors_for(codec))
        self._parser = parser = expat.ParserCreate(
            None if codec is None else "utf-8", namespace_separator=" "
        )
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._stop
        parser.CharacterDataHandler = self._data
        parser.EntityDeclHandler = self._refuse
        parser.UnparsedEntityDeclHandler = self._refuse
        parser.ExternalEntityRefHandler = self._refuse
        self._found: list[tuple[bool, str]] = []
        self._above: list[str] = []
        self._text: list[str] | None = None
        self._length = 0
        self._count = 0
        self._fed = 0

    def _refuse(self, *_: Any) -> Any:
        raise SitemapError("it declares entities, which are not read")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(" ")[2].lower()
        above = self._above[-1] if self._above else ""
        if len(self._above) > 100:
            raise SitemapError("its elements are nested more than 100 times")
        self._above.append(name)
        if (name == "loc" and above in ("url", "sitemap")) or (name == "link" and above == "item"):
            self._text = []
            self._length = 0
        elif name == "link" and above == "entry" and attributes.get("rel") in _PAGES:
            self._take(False, attributes.get("href", ""))

    def _data(self, text: str) -> None:
        if self._text is not None and self._length <= _LONGEST:
            self._length += len(text)
            self._text.append(text)

    def _stop(self, name: str) -> None:
        self._above.pop()
        if self._text is not None and name.rpartition(" ")[2].lower() in ("loc", "link"):
            text, self._text = "".join(self._text), None
            self._take(bool(self._above) and self._above[-1] == "sitemap", text)

    def _take(self, further: bool, text: str) -> None:
        text = text.strip()
        if text and len(text) <= _LONGEST:
            self._count += 1
            if self._count > MOST:
                raise SitemapError(f"it has more than {MOST:,} URLs")
            self._found.append((further, text))

    def _given(self) -> list[tuple[bool, str]]:
        found, self._found = self._found, []
        return found

    def feed(self, piece: bytes) -> Iterator[tuple[bool, str]]:
        fault: Exception | None = None
        for start in range(0, len(piece), _STEP):
            some = piece[start : start + _STEP]
            try:
                if self._decoder is not None:
                    some = self._decoder.decode(some).encode("utf-8", "replace")
                self._parser.Parse(some, False)
                self._fed += len(some)
                # expat looks at an unfinished tag from its beginning each time that more comes.
                if self._fed - self._parser.CurrentByteIndex > _LONGEST_TAG:
                    fault = SitemapError(f"a tag of it has more than {_LONGEST_TAG >> 20} MB")
            except SitemapError as error:
                fault = error
            except (expat.ExpatError, LookupError, ValueError) as error:
                fault = SitemapError(f"its XML is broken: {error}")
            yield from self._given()
            if fault is not None:
                raise fault

    def end(self) -> Iterator[tuple[bool, str]]:
        try:
            self._parser.Parse(b"", True)
        except (expat.ExpatError, LookupError, ValueError) as error:
            raise SitemapError(f"its XML is broken: {error}") from error
        yield from self._given()
