"""HPACK (RFC 7541): blocks of header fields, decoded and encoded. Pure; never blocks.

Decoding keeps to the dynamic table's rules whatever its size. As long as no block changes the
table, equal bytes are equal fields, and may be remembered (`Decoder.repeatable`): always, where
the table's size is 0.

Encoding uses the static table alone. What it costs in bytes is little beside a kilobyte of
answer; what it saves is that a request's fields are encoded once for all requests that have them,
in whatever order these go out, and that nothing of one request is to be seen in the size of
another's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from . import huffman

__all__ = [
    "ENTRY_OVERHEAD", "MAX_TABLE", "NO_TABLE", "Decoder", "HpackError", "ListTooLarge", "Pair",
    "encode_fields", "encode_integer", "encode_string",
]  # fmt: skip

Pair = tuple[str, str]

#: RFC 7541 section 4.1: what an entry takes beside its name and value.
ENTRY_OVERHEAD: Final = 32
#: The dynamic table's size where nobody says another (RFC 9113 section 6.5.2).
MAX_TABLE: Final = 4096
#: A dynamic table size update to 0: the first block that is sent begins with it.
NO_TABLE: Final = b"\x20"

#: RFC 7541 appendix A.
_STATIC: Final[tuple[Pair, ...]] = (
    (":authority", ""), (":method", "GET"), (":method", "POST"), (":path", "/"),
    (":path", "/index.html"), (":scheme", "http"), (":scheme", "https"), (":status", "200"),
    (":status", "204"), (":status", "206"), (":status", "304"), (":status", "400"),
    (":status", "404"), (":status", "500"), ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"), ("accept-language", ""), ("accept-ranges", ""),
    ("accept", ""), ("access-control-allow-origin", ""), ("age", ""), ("allow", ""),
    ("authorization", ""), ("cache-control", ""), ("content-disposition", ""),
    ("content-encoding", ""), ("content-language", ""), ("content-length", ""),
    ("content-location", ""), ("content-range", ""), ("content-type", ""), ("cookie", ""),
    ("date", ""), ("etag", ""), ("expect", ""), ("expires", ""), ("from", ""), ("host", ""),
    ("if-match", ""), ("if-modified-since", ""), ("if-none-match", ""), ("if-range", ""),
    ("if-unmodified-since", ""), ("last-modified", ""), ("link", ""), ("location", ""),
    ("max-forwards", ""), ("proxy-authenticate", ""), ("proxy-authorization", ""), ("range", ""),
    ("referer", ""), ("refresh", ""), ("retry-after", ""), ("server", ""), ("set-cookie", ""),
    ("strict-transport-security", ""), ("transfer-encoding", ""), ("user-agent", ""),
    ("vary", ""), ("via", ""), ("www-authenticate", ""),
)  # fmt: skip

_STATIC_COUNT: Final = len(_STATIC)
#: Index to entry; there is no entry 0.
_ENTRIES: Final = (("", ""), *_STATIC)
_INDEX_OF_PAIR: Final = {pair: index for index, pair in enumerate(_STATIC, 1)}
_INDEX_OF_NAME: Final = {name: index for index, (name, _) in reversed(list(enumerate(_STATIC, 1)))}

#: Integers of more bytes than these are refused: 35 bits are more than any length may be.
_MOST_CONTINUED: Final = 5

_CUT: Final = "it ends in the middle of a string"

# Encoded strings that repeat are not decoded again. The bounds keep what a server can fill small.
_REMEMBERED: Final = 1024
_REMEMBERED_LENGTH: Final = 64


class HpackError(ValueError):
    """A block breaks HPACK's rules: the connection cannot be used any more."""


class ListTooLarge(HpackError):
    """A block's fields are larger than is accepted."""


class _Texts(dict[bytes, str]):
    """Huffman codes to their text."""

    __slots__ = ()

    def __missing__(self, data: bytes) -> str:
        try:
            text = huffman.decode(data)
        except huffman.HuffmanError as error:
            raise HpackError(f"a Huffman code is broken: {error}") from None
        if len(data) <= _REMEMBERED_LENGTH:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[data] = text
        return text


class Decoder:
    """Decodes the blocks of one direction of one connection, in their order.

    Args:
        max_table: bytes that the peer's encoder may use of the dynamic table: our
            SETTINGS_HEADER_TABLE_SIZE.
        max_list: bytes of a block's fields, counted as RFC 9113 section 10.5.1 does.
        max_fields: fields of a block.

    Attributes:
        repeatable: whether the last block left the dynamic table as it was: until another block
            changes that, the same bytes mean the same.
    """

    __slots__ = ("_entries", "_limit", "_most", "_size", "_texts", "max_fields", "max_list",
                 "repeatable")  # fmt: skip

    def __init__(
        self, max_table: int = MAX_TABLE, max_list: int = 65536, max_fields: int = 256
    ) -> None:
        self._limit = max_table
        self._most = max_table  # what the encoder has said that it uses
        self._size = 0
        self._entries: deque[Pair] = deque()
        self._texts = _Texts()
        self.max_list: int = max_list
        self.max_fields: int = max_fields
        self.repeatable: bool = False

    @property
    def table(self) -> list[Pair]:
        """The dynamic table, the newest entry first."""
        return list(self._entries)

    @property
    def has_table(self) -> bool:
        """Whether the encoder may use the dynamic table: else a field says all by itself."""
        return self._most > 0 or self._size > 0

    @property
    def table_size(self) -> int:
        """Bytes that the dynamic table's entries take (RFC 7541 section 4.1)."""
        return self._size

    def decode(self, block: bytes) -> list[Pair]:
        """Return a block's fields.

        Raises:
            HpackError: the block breaks a rule; `ListTooLarge` where it is only too large.
        """
        fields: list[Pair] = []
        append = fields.append
        texts = self._texts
        self.repeatable = True
        at, end = 0, len(block)
        left = self.max_list
        try:
            while at < end:
                byte = block[at]
                at += 1
                if byte & 0x80:  # an indexed field
                    index = byte & 0x7F
                    if index == 0x7F:
                        index, at = _integer(block, at, 0x7F)
                    name, value = self._entry(index)
                    left -= len(name) + len(value) + ENTRY_OVERHEAD
                    if left < 0:
                        break
                    append((name, value))
                    continue
                if byte & 0x40:  # a literal that becomes an entry
                    mask = 0x3F
                elif byte & 0x20:  # a new size of the table
                    if fields:
                        raise HpackError("the table's size changes within a block")
                    at = self._resize(block, at, byte & 0x1F)
                    continue
                else:  # a literal that does not, or never may
                    mask = 0x0F
                index = byte & mask
                if index == mask:
                    index, at = _integer(block, at, mask)
                if index:
                    name = _ENTRIES[index][0] if index <= _STATIC_COUNT else self._entry(index)[0]
                else:
                    name, at = self._string(block, at)
                first = block[at]
                length = first & 0x7F
                if length != 0x7F:  # as `_string`, which most values are too short for
                    stop = at + 1 + length
                    if stop > end:
                        raise HpackError(_CUT)
                    data = block[at + 1 : stop]
                    value = texts[data] if first & 0x80 else str(data, "latin-1")
                    at = stop
                else:
                    value, at = self._string(block, at)
                if byte & 0x40:
                    self._add(name, value)
                left -= len(name) + len(value) + ENTRY_OVERHEAD
                if left < 0:
                    break
                append((name, value))
        except IndexError:
            raise HpackError("it ends in the middle of a field") from None
        if left < 0:
            raise ListTooLarge(f"its fields take more than {self.max_list:,} bytes")
        if len(fields) > self.max_fields:
            raise ListTooLarge(f"it has more than {self.max_fields:,} fields")
        return fields

    def _entry(self, index: int) -> Pair:
        if 0 < index <= _STATIC_COUNT:
            return _ENTRIES[index]
        index -= _STATIC_COUNT + 1
        if not 0 <= index < len(self._entries):
            raise HpackError("an index is of no entry")
        return self._entries[index]

    def _string(self, block: bytes, at: int) -> tuple[str, int]:
        first = block[at]
        length = first & 0x7F
        at += 1
        if length == 0x7F:
            length, at = _integer(block, at, 0x7F)
        stop = at + length
        if stop > len(block):
            raise HpackError(_CUT)
        data = block[at:stop]
        if first & 0x80:
            return self._texts[data], stop
        return data.decode("latin-1"), stop

    def _resize(self, block: bytes, at: int, size: int) -> int:
        """Take a new size of the table (RFC 7541 section 6.3)."""
        if size == 0x1F:
            size, at = _integer(block, at, 0x1F)
        if size > self._limit:
            raise HpackError(f"the table's size is set to {size}: {self._limit} is allowed")
        if size != self._most:
            self._most = size
            self._evict(size)
            self.repeatable = False
        return at

    def _add(self, name: str, value: str) -> None:
        """Add an entry; one that is larger than the table empties it (RFC 7541 section 4.4)."""
        if not self._most and not self._size:
            return
        self.repeatable = False
        size = len(name) + len(value) + ENTRY_OVERHEAD
        self._evict(self._most - size)
        if size <= self._most:
            self._entries.appendleft((name, value))
            self._size += size

    def _evict(self, room: int) -> None:
        while self._size > room and self._entries:
            name, value = self._entries.pop()
            self._size -= len(name) + len(value) + ENTRY_OVERHEAD


def _integer(block: bytes, at: int, value: int) -> tuple[int, int]:
    """Return an integer that did not fit in its prefix, and the index after it (section 5.1)."""
    shift = 0
    for _ in range(_MOST_CONTINUED):
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
    raise HpackError("an integer is too long")


def encode_integer(value: int, bits: int, flags: int = 0) -> bytes:
    """Encode an integer with a prefix of so many bits, after the flags (section 5.1)."""
    mask = (1 << bits) - 1
    if value < mask:
        return bytes((flags | value,))
    out = bytearray((flags | mask,))
    value -= mask
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def encode_string(text: str) -> bytes:
    """Encode a string: by Huffman's code where that is shorter (section 5.2)."""
    data = text.encode("latin-1")
    if huffman.encoded_length(data) < len(data):
        coded = huffman.encode(data)
        return encode_integer(len(coded), 7, 0x80) + coded
    return encode_integer(len(data), 7) + data


def encode_fields(fields: Iterable[Pair], never_indexed: frozenset[str] = frozenset()) -> bytes:
    """Encode fields, whose names are in lower case, without the dynamic table.

    Args:
        fields: names and values.
        never_indexed: names whose values nobody on the way may put into a table (section 7.1.3).
    """
    out = []
    for name, value in fields:
        if name in never_indexed:
            kind = 0x10
        else:
            index = _INDEX_OF_PAIR.get((name, value))
            if index is not None:
                out.append(encode_integer(index, 7, 0x80))
                continue
            kind = 0
        index = _INDEX_OF_NAME.get(name, 0)
        out.append(encode_integer(index, 4, kind))
        if not index:
            out.append(encode_string(name))
        out.append(encode_string(value))
    return b"".join(out)
