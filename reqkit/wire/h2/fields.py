"""Fields of HTTP/2 messages: a request's written, an answer's read. Pure; never blocks.

An answer's head becomes what the floors above know of one of HTTP/1.1: the same `AnswerHead`,
with a text of the same form, so that all that asks for fields needs not know which wire it came
by.

Source: RFC 9113 sections 8.2 and 8.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from ...exceptions import ProtocolError
from ...status_codes import reason_phrase
from ..h1.errors import TOKEN, character, excerpt
from ..h1.head import LOOKED_FOR, AnswerHead, FieldBlock, check_method, check_target
from ..h1.lenient import check_location, merged
from .hpack import Decoder, HpackError, Pair, encode_fields, encode_integer
from .huffman import HuffmanError, decode

__all__ = [
    "HTTP2",
    "NEVER_INDEXED",
    "check_strictly",
    "check_trailers",
    "head_of_fields",
    "request_block",
]

#: The version of an answer's head, as urllib3 has it.
HTTP2: Final = 20

#: RFC 7541 section 7.1.3: what nobody may keep in a table, where its length could be probed.
NEVER_INDEXED: Final = frozenset(("authorization", "cookie"))

#: RFC 9113 section 8.2.2: these speak of a connection, and have no meaning here.
_OF_CONNECTION: Final = frozenset((
    "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade",
))  # fmt: skip
#: Of a request's fields these are left out: `:authority` says what Host does.
_LEFT_OUT: Final = _OF_CONNECTION | {"host", "http2-settings", "proxy-authorization"}

_STATUS: Final = re.compile(r"[1-9][0-9]{2}")
# RFC 9113 section 8.2.1: what no value may hold. Other controls are passed on, as HTTP/1.1's are.
_FORBIDDEN: Final = re.compile(r"[\x00\r\n]")

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_REMEMBERED: Final = 1024
_REMEMBERED_LENGTH: Final = 128
# Secrets, and what never comes again.
_NOT_REMEMBERED: Final = frozenset(("set-cookie", "location", "x-request-id"))

_Line = tuple[str, "Pair | None"]


class _Lines(dict[Pair, _Line]):
    """Fields that are sound to their line, and the pair where it is `LOOKED_FOR`."""

    __slots__ = ()

    def __missing__(self, pair: Pair) -> _Line:
        name, value = pair
        if name not in _NAMES:
            _check_name(name)
        if not value.isprintable():
            found = _FORBIDDEN.search(value)
            if found:
                raise ProtocolError(
                    f"the value of field {excerpt(name, secret=False)} has {character(found[0])}"
                )
        line = (f"{name}: {value}\r\n", (name, value.strip(" \t")) if name in LOOKED_FOR else None)
        if len(line[0]) <= _REMEMBERED_LENGTH and name not in _NOT_REMEMBERED:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[pair] = line
        return line


_LINES: Final = _Lines()
#: Names that are sound.
_NAMES: Final[set[str]] = set()


def _check_name(name: str) -> None:
    if not TOKEN.fullmatch(name) or name != name.lower():
        raise ProtocolError(_name_fault(name))
    if name in _OF_CONNECTION:
        raise ProtocolError(
            f"the answer has the field {name!r}, which HTTP/2 does not have (RFC 9113 section"
            " 8.2.2)"
        )
    if len(name) <= _REMEMBERED_LENGTH:
        if len(_NAMES) >= _REMEMBERED:
            _NAMES.clear()
        _NAMES.add(name)


def head_of_fields(fields: Sequence[Pair]) -> AnswerHead:
    """Make the head of an answer.

    Raises:
        ProtocolError: a rule for fields is broken (a malformed message, RFC 9113 section 8.1.1).
    """
    if not fields or fields[0][0] != ":status":
        raise ProtocolError(_status_fault(fields))
    status = fields[0][1]
    if not _STATUS.fullmatch(status):
        raise ProtocolError(
            f"the answer's :status is {excerpt(status)}: expected three digits, such as '200'"
        )
    code = int(status)
    # A phrase as HTTP/1.1 has it: HTTP/2 sends none (RFC 9113 section 8.3.2).
    reason = reason_phrase(code)
    oddity = ""
    rest: Sequence[Pair] = fields[1:]
    if len({name for name, _ in rest}) != len(rest):
        rest, oddity = merged(rest)
        check_location(code, rest)
    lines = [f"HTTP/2 {status} {reason}\r\n"]
    joined: dict[str, str] = {}
    known = _LINES
    for pair in rest:
        line, looked_for = known[pair]
        lines.append(line)
        if looked_for is not None:
            name, value = looked_for
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    lines.append("\r\n")
    return AnswerHead(HTTP2, code, reason, "".join(lines), joined, oddity)


class HeadReader:
    """Reads heads whose encoder uses no dynamic table, field by field, by what is remembered.

    An answer is mostly the same as the one before, but for a date or an identifier: what the bytes
    of a field say is then found by them. Whatever is not usual is left to the `Decoder`, and so is
    all that is wrong.
    """

    __slots__ = ("_before", "_known", "_most")

    def __init__(self, most: int) -> None:
        self._known: dict[bytes, _Line] = {}
        #: The fields of the answers before, in their order: the bytes, how many, what they say, the
        #: bytes before the value, and the name.
        self._before: list[tuple[bytes, int, _Line, bytes, str]] = []
        self._most = most

    def read(self, block: bytes) -> AnswerHead | None:
        """Return the head, or None where the `Decoder` is to have a look.

        Raises:
            ProtocolError: a rule for fields is broken.
        """
        status = _STATUSES.get(block[:1])
        if status is None:
            return None
        code, reason, first = status
        known = self._known
        before = self._before
        count, expected = 0, len(before)
        lines = [first]
        add = lines.append
        names: list[str] = []
        watched: dict[str, str] = {}
        at, end = 1, len(block)
        try:
            while at < end:
                if count < expected:
                    key, size, found, _, name = before[count]
                    if block.startswith(key, at):  # as in the answer before
                        names.append(name)
                        count += 1
                        at += size
                        add(found[0])
                        looked_for = found[1]
                        if looked_for is not None:
                            name, value = looked_for
                            watched[name] = (
                                f"{watched[name]}, {value}" if name in watched else value
                            )
                        continue
                start = value_at = at
                byte = block[at]
                at += 1
                if byte & 0x80:
                    if byte == 0xFF:
                        return None
                    value_at = at
                else:
                    mask = 0x3F if byte & 0x40 else 0x0F
                    if byte & 0x60 == 0x20:
                        return None
                    index = byte & mask
                    if index == mask:
                        at += 1
                        if block[at - 1] & 0x80:
                            return None
                    elif not index:
                        size = block[at] & 0x7F
                        if size == 0x7F:
                            return None
                        at += 1 + size
                    value_at = at
                    size = block[at] & 0x7F
                    if size == 0x7F:
                        return None
                    at += 1 + size
                    if at > end:
                        return None
                    if count < expected and block.startswith(before[count][3], start):
                        # The same field with another value, which may never come again.
                        name = before[count][4]
                        data = block[value_at + 1 : at]
                        value = decode(data) if block[value_at] & 0x80 else str(data, "latin-1")
                        if value.isprintable() and name not in LOOKED_FOR:
                            names.append(name)
                            count += 1
                            add(f"{name}: {value}\r\n")
                            continue
                key = block[start:at]
                line = known.get(key)
                if line is None:
                    line = self._learn(key)
                found = line
                here = (key, at - start, found, block[start:value_at], found[0].partition(":")[0])
                if count < expected:
                    before[count] = here
                elif count < _MOST_EXPECTED:
                    before.append(here)
                names.append(here[4])
                count += 1
                add(found[0])
                looked_for = found[1]
                if looked_for is not None:
                    name, value = looked_for
                    watched[name] = f"{watched[name]}, {value}" if name in watched else value
        except (IndexError, HpackError, HuffmanError):
            return None
        if len(set(names)) != len(names):
            return None  # which may be one field, or an error
        add("\r\n")
        text = "".join(lines)
        if len(text) + 32 * len(lines) > self._most:
            return None
        return AnswerHead(HTTP2, code, reason, text, watched)

    def _learn(self, key: bytes) -> _Line:
        [pair] = _ONE.decode(key)
        line = _LINES[pair]
        if len(key) <= _REMEMBERED_LENGTH and pair[0] not in _NOT_REMEMBERED:
            known = self._known
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known[key] = line
        return line


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


def check_strictly(head: AnswerHead) -> None:
    """Refuse what is passed on otherwise (RFC 9113 section 8.2.1).

    Raises:
        ProtocolError: a value begins or ends with white space, or has a control character, or a
            field that may stand once is repeated.
    """
    if head.oddity:
        raise ProtocolError(head.oddity)
    for line in head.text[:-4].split("\r\n")[1:]:
        name, _, value = line.partition(": ")
        if value != value.strip(" \t") or _CONTROL.search(value):
            raise ProtocolError(
                f"the value of field {excerpt(name, secret=False)} has white space around it, or"
                " a control character"
            )


def check_trailers(fields: Iterable[Pair]) -> None:
    """Check the fields that end a body (RFC 9113 section 8.1).

    Raises:
        ProtocolError: a rule for fields is broken.
    """
    for pair in fields:
        _LINES[pair]


def _status_fault(fields: Sequence[Pair]) -> str:
    if any(name == ":status" for name, _ in fields):
        return "the answer's :status does not come before its fields (RFC 9113 section 8.3)"
    return "the answer has no :status (RFC 9113 section 8.3.2)"


def _name_fault(name: str) -> str:
    if name.startswith(":"):
        return (
            f"the answer has the pseudo-field {excerpt(name)} where only fields may be"
            " (RFC 9113 section 8.3)"
        )
    if name != name.lower():
        return (
            f"the field name {excerpt(name)} has capital letters, which HTTP/2 does not allow"
            " (RFC 9113 section 8.2.1)"
        )
    return f"the field name {excerpt(name)} has a character that none may have, or is empty"


# -- requests

#: Who asks whom by what, to the bytes that each of its requests begins with.
_PREFIXES: Final[dict[tuple[str, str, str], bytes]] = {}
#: Fields to their bytes. Most messages of a program have the same.
_BLOCKS: Final[dict[FieldBlock, tuple[bytes, str | None]]] = {}
_MOST_BLOCKS: Final = 512
_BLOCK_LENGTH: Final = 1024


def request_block(
    method: str,
    scheme: str,
    authority: str,
    path: str,
    block: FieldBlock,
) -> bytes:
    """Encode the fields of a request.

    Args:
        method: as it shall go out.
        scheme: ``https`` or ``http``.
        authority: host and port, where no Host field among the others says another.
        path: the request target, as `reqkit.message.urls.prepare_url` has checked it; ``*`` for
            OPTIONS.
        block: the other fields, checked. What speaks of the connection, or to a proxy, is left
            out.

    Raises:
        InvalidHeader, InvalidURL: the method or the path cannot be sent.

    Source: RFC 9113 section 8.3.1.
    """
    kept = _BLOCKS.get(block)
    if kept is None:
        kept = _encoded(block)
        if len(kept[0]) <= _BLOCK_LENGTH:
            if len(_BLOCKS) >= _MOST_BLOCKS:
                _BLOCKS.clear()
            _BLOCKS[block] = kept
    fields, host = kept
    key = (method, scheme, authority if host is None else host)
    prefix = _PREFIXES.get(key)
    if prefix is None:
        check_method(method)
        prefix = encode_fields(zip((":method", ":scheme", ":authority"), key, strict=True))
        if len(_PREFIXES) >= _REMEMBERED:
            _PREFIXES.clear()
        _PREFIXES[key] = prefix
    if not path.isascii() or not path.isprintable() or " " in path or not path:
        check_target(path)
    size = len(path)
    if size < 127:
        return b"%b\x04%c%b%b" % (prefix, size, path.encode(), fields)
    return b"%b\x04%b%b%b" % (prefix, encode_integer(size, 7), path.encode(), fields)


def _encoded(block: FieldBlock) -> tuple[bytes, str | None]:
    """Encode a message's own fields; return its Host field, too."""
    fields = []
    host = None
    options = {
        option.strip().lower()
        for name, value in block.pairs
        if name.lower() == "connection"
        for option in value.split(",")
    }
    for name, value in block.pairs:
        lower = name.lower()
        if lower == "host":
            host = value
        elif lower == "te":
            # RFC 9113 section 8.2.2: nothing but this may be sent in it.
            if "trailers" in value.lower():
                fields.append((lower, "trailers"))
        elif lower not in _LEFT_OUT and lower not in options:
            fields.append((lower, value.rstrip(" \t")))
    return encode_fields(fields, NEVER_INDEXED), host
