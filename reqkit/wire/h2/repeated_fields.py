"""Heads that are mostly as the one before, but for a date or an identifier. Pure; never blocks.

Where a peer's encoder uses no dynamic table, a field says all by itself, and what its bytes say is
found by them.

Source: RFC 7541 section 6.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ...status_codes import reason_phrase
from ..h1.head import LOOKED_FOR, AnswerHead
from .fields import HTTP2, LINES, NOT_REMEMBERED, REMEMBERED_LENGTH, Line
from .hpack import Decoder, HpackError
from .huffman import HuffmanError, decode

__all__ = ["HeadReader"]

#: Decodes a field at a time; it has no table, so it may be shared.
_ONE: Final = Decoder(0)
#: Fields of one answer that are expected in the next one.
_MOST_EXPECTED: Final = 64
#: Fields that a connection remembers the bytes of.
_MOST_KNOWN: Final = 256
#: The statuses that one byte says (RFC 7541 appendix A), and the line that each begins a head with.
_STATUSES: Final = {
    bytes((0x80 | index,)): (code, reason_phrase(code), f"HTTP/2 {code} {reason_phrase(code)}\r\n")
    for index, code in zip(range(8, 15), (200, 204, 206, 304, 400, 404, 500), strict=True)
}


class _Unusual(Exception):
    """It is for the `Decoder` to have a look."""


class _Field(NamedTuple):
    """A field of the answer before.

    Its bytes, how many, what they say, those before its value (none where that is not among them),
    and its name.
    """

    key: bytes
    size: int
    line: Line
    begins: bytes
    name: str


class _Run(NamedTuple):
    """What the last two answers began with, and what that says."""

    key: bytes
    status: int
    reason: str
    text: str
    names: tuple[str, ...]
    watched: dict[str, str]


class HeadReader:
    """Reads heads whose encoder uses no dynamic table, field by field, by what is remembered.

    The fields that were equal at the beginning of the last two are read all at once. Whatever is
    not usual is left to the `Decoder`, and so is all that is wrong.

    Args:
        most: bytes of a head's fields, counted as RFC 9113 section 10.5.1 does.
    """

    __slots__ = ("_before", "_known", "_most", "_once", "_run")

    def __init__(self, most: int) -> None:
        self._known: dict[bytes, Line] = {}
        #: The fields of the answers before, in their order.
        self._before: list[_Field] = []
        #: Values that came in another's place, by how many fields came before.
        self._once: dict[int, bytes] = {}
        self._run: _Run | None = None
        self._most = most

    def read(self, block: bytes) -> AnswerHead | None:
        """Return the head, or None where the `Decoder` is to have a look.

        Raises:
            ProtocolError: a rule for fields is broken.
        """
        run = self._run
        if run is not None and block.startswith(run.key):
            begun, code, reason, text, known_names, known_watched = run
            at = len(begun)
            lines, names, watched = [text], [*known_names], {**known_watched}
        else:
            status = _STATUSES.get(block[:1])
            if status is None:
                return None
            code, reason, text = status
            run, at = None, 1
            lines, names, watched = [text], [], {}
        before = self._before
        expected = len(before)
        fresh: _Run | None = None
        alike = True
        count, end = len(names), len(block)
        try:
            while at < end:
                if count < expected and block.startswith(before[count][0], at):
                    _, size, (line, looked_for), _, name = before[count]  # as in the one before
                    at += size
                else:
                    if alike:
                        alike = False
                        if run is None or at != len(run.key):
                            text = "".join(lines)
                            fresh = _Run(block[:at], code, reason, text, (*names,), {**watched})
                    (line, looked_for), name, at = self._changed(block, at, count)
                names.append(name)
                count += 1
                lines.append(line)
                if looked_for is not None:
                    name, value = looked_for
                    watched[name] = f"{watched[name]}, {value}" if name in watched else value
        except (_Unusual, IndexError, HpackError, HuffmanError):
            return None
        if len(set(names)) != count:
            return None  # which may be one field, or an error
        lines.append("\r\n")
        text = "".join(lines)
        if len(text) + 32 * (count + 2) > self._most:
            return None
        if fresh is not None:
            self._run = fresh
        return AnswerHead(HTTP2, code, reason, text, watched)

    def _changed(self, block: bytes, at: int, count: int) -> tuple[Line, str, int]:
        """Read a field that is not as in the answer before.

        Args:
            block: the answer's.
            at: where the field begins.
            count: how many fields come before it.

        Returns:
            What it says, its name, and where it ends.
        """
        before = self._before
        expected = before[count] if count < len(before) else None
        if expected is not None and expected.begins and block.startswith(expected.begins, at):
            # The same field with another value: an identifier, which never comes again. Where it
            # does, it is a date or the like, and expected from then on.
            value_at = at + len(expected.begins)
            size = block[value_at] & 0x7F
            stop = value_at + 1 + size
            if size == 0x7F or stop > len(block):
                raise _Unusual
            key = block[at:stop]
            name = expected.name
            if self._once.get(count) != key and name not in LOOKED_FOR:
                self._once[count] = key
                data = block[value_at + 1 : stop]
                value = decode(data) if block[value_at] & 0x80 else str(data, "latin-1")
                if value.isprintable():
                    return (f"{name}: {value}\r\n", None), name, stop
        else:
            value_at, stop = _bounds(block, at)
            key = block[at:stop]
        line = self._known.get(key)
        if line is None:
            line = self._learn(key)
        name = line[0].partition(":")[0]
        begins = block[at:value_at] if value_at < stop else b""
        found = _Field(key, stop - at, line, begins, name)
        if expected is not None:
            before[count] = found
        elif count < _MOST_EXPECTED:
            before.append(found)
        return line, name, stop

    def _learn(self, key: bytes) -> Line:
        [pair] = _ONE.decode(key)
        line = LINES[pair]
        if len(key) <= REMEMBERED_LENGTH and pair[0] not in NOT_REMEMBERED:
            known = self._known
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known[key] = line
        return line


def _bounds(block: bytes, at: int) -> tuple[int, int]:
    """Return where a field's value begins (its length, that is), and where the field ends.

    The two are the same where the value is in the static table, too.

    Raises:
        _Unusual: it is no field, or one of a length that takes several bytes.
        IndexError: it is cut off.
    """
    byte = block[at]
    at += 1
    if byte & 0x80:
        if byte == 0xFF:
            raise _Unusual
        return at, at
    mask = 0x3F if byte & 0x40 else 0x0F
    if byte & 0x60 == 0x20:
        raise _Unusual
    index = byte & mask
    if index == mask:
        at += 1
        if block[at - 1] & 0x80:
            raise _Unusual
    elif not index:
        size = block[at] & 0x7F
        if size == 0x7F:
            raise _Unusual
        at += 1 + size
    size = block[at] & 0x7F
    stop = at + 1 + size
    if size == 0x7F or stop > len(block):
        raise _Unusual
    return at, stop
