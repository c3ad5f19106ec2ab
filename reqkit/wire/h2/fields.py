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
from .hpack import Pair, encode_fields, encode_integer

__all__ = [
    "HTTP2",
    "LINES",
    "NEVER_INDEXED",
    "NOT_REMEMBERED",
    "REMEMBERED_LENGTH",
    "Line",
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

_PORT: Final = re.compile(r":[0-9]+\Z")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_REMEMBERED: Final = 1024
REMEMBERED_LENGTH: Final = 128
# Secrets, and what never comes again.
NOT_REMEMBERED: Final = frozenset(("set-cookie", "location", "x-request-id"))

#: A field as a line, and its pair where it is `LOOKED_FOR`.
Line = tuple[str, "Pair | None"]


class _Lines(dict[Pair, Line]):
    """Fields that are sound to their line, and the pair where it is `LOOKED_FOR`."""

    __slots__ = ()

    def __missing__(self, pair: Pair) -> Line:
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
        if len(line[0]) <= REMEMBERED_LENGTH and name not in NOT_REMEMBERED:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[pair] = line
        return line


LINES: Final = _Lines()
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
    if len(name) <= REMEMBERED_LENGTH:
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
    known = LINES
    for pair in rest:
        line, looked_for = known[pair]
        lines.append(line)
        if looked_for is not None:
            name, value = looked_for
            joined[name] = f"{joined[name]}, {value}" if name in joined else value
    lines.append("\r\n")
    return AnswerHead(HTTP2, code, reason, "".join(lines), joined, oddity)


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
        LINES[pair]


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
    if TOKEN.fullmatch(name):
        return (
            f"the field name {excerpt(name)} has capital letters, which HTTP/2 does not allow"
            " (RFC 9113 section 8.2.1)"
        )
    return f"the field name {excerpt(name)} has a character that none may have, or is empty"


# -- requests

#: Fields, and who asks whom by what, to the bytes before the path and after it. Most messages of a
#: program to a host have the same.
_BLOCKS: Final[dict[tuple[FieldBlock, str, str, str], tuple[bytes, bytes]]] = {}
#: Lengths of paths as HPACK has them.
_LENGTHS: Final = [bytes((size,)) for size in range(127)]
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

    Source: RFC 9113 sections 8.3.1 and 8.5.
    """
    kept = _BLOCKS.get((block, method, scheme, authority))
    if kept is None:
        if method == "CONNECT":
            return _connect_block(scheme, authority, block)
        kept = _around_path(block, method, scheme, authority)
    before, after = kept
    if not path.isascii() or not path.isprintable() or " " in path or not path:
        check_target(path)
    size = len(path)
    length = _LENGTHS[size] if size < 127 else encode_integer(size, 7)
    return b"".join((before, length, path.encode(), after))


def _around_path(
    block: FieldBlock, method: str, scheme: str, authority: str
) -> tuple[bytes, bytes]:
    """Encode what comes before a path and after it, and remember that."""
    check_method(method)
    fields, host = _encoded(block)
    key = (method, scheme, authority if host is None else host)
    prefix = encode_fields(zip((":method", ":scheme", ":authority"), key, strict=True))
    kept = (prefix + b"\x04", fields)
    if len(fields) <= _BLOCK_LENGTH:
        if len(_BLOCKS) >= _MOST_BLOCKS:
            _BLOCKS.clear()
        _BLOCKS[block, method, scheme, authority] = kept
    return kept


def _connect_block(scheme: str, authority: str, block: FieldBlock) -> bytes:
    """Encode a CONNECT, which has neither scheme nor path, and always a port (section 8.5)."""
    fields, host = _encoded(block)
    asked = authority if host is None else host
    if not _PORT.search(asked):
        asked += ":443" if scheme == "https" else ":80"
    return encode_fields(((":method", "CONNECT"), (":authority", asked))) + fields


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
