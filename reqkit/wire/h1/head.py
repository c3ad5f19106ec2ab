"""Heads of HTTP/1.1 messages: writing a request's, reading an answer's. Sans-IO; never blocks.

Both ways are checked in full, for who controls a line break in a head controls the message that
follows it. The checks run at C speed on the whole text; what exactly is wrong is looked for only
once something is known to be. Values never show in an error: they may be cookies or credentials.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from ...exceptions import InvalidHeader, InvalidURL, ProtocolError
from .answer import (
    LOOKED_FOR,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_LINE,
    STRICT_FIELDS,
    STRICT_HEAD,
    AnswerHead,
    field_of,
    fields_of,
)
from .errors import TOKEN, character, excerpt
from .lenient import MOST_EMPTY, leading, read_lenient
from .reader import read_sound

__all__ = [
    "LOOKED_FOR",
    "MAX_FIELDS",
    "MAX_HEAD",
    "MAX_LINE",
    "STRICT_FIELDS",
    "STRICT_HEAD",
    "AnswerHead",
    "FieldBlock",
    "block_of",
    "check_field",
    "check_method",
    "check_target",
    "field_of",
    "fields_of",
    "find_end",
    "parse_head",
    "write_head",
    "write_request",
]

# RFC 9110 section 5.5: what no value may hold: all controls but HTAB. CR and LF are among them,
# so a sound head has two of these for each of its lines, and no more.
_CONTROLS: Final = bytes(code for code in range(256) if (code < 32 and code != 9) or code == 127)

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")
_EMPTY_LINE: Final = re.compile(rb"\n\r?\n")

# Names repeat from request to request: looking one up that is known to be sound is several times
# faster than checking it. The bounds keep this small.
_REMEMBERED: Final = 1024
_REMEMBERED_LENGTH: Final = 64
_REMEMBERED_BLOCK: Final = 1024

#: Names that were checked. A method is a token as a field's name is, so this serves both.
_SOUND_NAMES: Final[set[str]] = set()


def find_end(buffer: bytes | bytearray, searched: int, strict: bool = False) -> int:
    """Find where the head ends, however the bytes were cut.

    What can never become a head is refused at once instead of waited for: another protocol, a line
    without end, or, where strict, lines that end in bare LF.

    Args:
        buffer: all that has arrived so far.
        searched: how many of these bytes an earlier call has seen.
        strict: whether to refuse whatever RFC 9112 forbids.

    Returns:
        The index just past the empty line, or -1 where more bytes are needed.

    Raises:
        ProtocolError: the head is larger than the limits, or is none.
    """
    start = 0
    if strict:
        end = buffer.find(b"\r\n\r\n", searched - 3 if searched > 3 else 0)
        if end >= 0:
            return end + 4
    else:
        start = leading(buffer)
        # RFC 9112 section 2.2 lets a recipient take a bare LF as a line's end. As those that do
        # and those that do not see different messages, the connection is then not used again.
        match = _EMPTY_LINE.search(buffer, max(start, searched - 2))
        if match and start <= MOST_EMPTY:
            return match.end()
    begins = buffer[start : start + 7]
    begun = b"HTTP/1.".startswith(begins) or (begins == b"\r" and not strict)
    if start > MOST_EMPTY or not begun:
        hint = ""
        if buffer[:1] in b"\x15\x16":
            hint = "; this looks like TLS: is the URL to be https?"
        elif buffer[3:5] == b"\x04\0" and buffer[5:9] == bytes(4):  # SETTINGS
            hint = "; this looks like HTTP/2: config={'http2': 'prior'}"
        shown = excerpt(bytes(buffer[:40]).decode("latin-1"))
        raise ProtocolError(f"the answer begins with {shown}: expected 'HTTP/1.'{hint}")
    if strict and _BARE_LF.search(buffer, searched):
        raise ProtocolError("the answer's head has a line that ends in LF instead of CR LF")
    most = STRICT_HEAD if strict else MAX_HEAD
    if len(buffer) > most:
        raise ProtocolError(f"the answer's head is larger than {most:,} bytes")
    if len(buffer) > MAX_LINE and buffer.find(b"\n", -MAX_LINE - 2) < 0:
        raise ProtocolError(f"the answer's head has a line longer than {MAX_LINE:,} bytes")
    return -1


def parse_head(block: bytes, strict: bool = False) -> AnswerHead:
    """Read an answer's head.

    Args:
        block: the bytes from the status line through the empty line.
        strict: whether to refuse whatever RFC 9112 forbids.

    Raises:
        ProtocolError: it breaks a rule or a limit; the message says which.

    Source: RFC 9112 sections 2 to 5; RFC 9110 section 5.5.
    """
    return read_sound(block) or read_lenient(block, strict)


class FieldBlock:
    """The fields of a request, written and looked through once.

    Attributes:
        pairs: names and values, in their order.
        octets: their lines, and the empty one.
        plain: whether neither Host nor Proxy-Authorization is among them.
        closes: whether Connection says that this is the last request (RFC 9112 section 9.6).
        length: what Content-Length says, and None without one; of several, all.
        coding: what Transfer-Encoding says, likewise.
    """

    __slots__ = ("closes", "coding", "length", "octets", "pairs", "plain")

    def __init__(self, pairs: tuple[tuple[str, str], ...]) -> None:
        if not all(type(name) is str and type(value) is str for name, value in pairs):
            pairs = tuple([(_plain(name), _plain(value)) for name, value in pairs])
        # Written with a line before them, which is then cut off, by the code that checks all.
        self.octets: bytes = write_head("GET", "/", pairs)[len("GET / HTTP/1.1\r\n") :]
        self.pairs: tuple[tuple[str, str], ...] = pairs
        fields: dict[str, str] = {}
        for name, value in self.pairs:
            lower = name.lower()
            fields[lower] = f"{fields[lower]}, {value}" if lower in fields else value
        self.plain: bool = fields.keys().isdisjoint(("host", "proxy-authorization"))
        self.closes: bool = "close" in fields.get("connection", "").lower()
        self.length: str | None = fields.get("content-length")
        self.coding: str | None = fields.get("transfer-encoding")


class _Blocks(dict[tuple[tuple[str, str], ...], FieldBlock]):
    """Fields to their blocks: most messages of a program have the same."""

    __slots__ = ()

    def __missing__(self, pairs: tuple[tuple[str, str], ...]) -> FieldBlock:
        block = FieldBlock(pairs)
        if len(block.octets) <= _REMEMBERED_BLOCK:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[pairs] = block
        return block


_BLOCKS: Final = _Blocks()


def block_of(pairs: tuple[tuple[str, str], ...]) -> FieldBlock:
    """Return a request's fields as they are written.

    Raises:
        InvalidHeader: a name or a value cannot be sent.
    """
    global _last_block
    block = _last_block  # read and set in one go: threads share it
    if pairs is not block.pairs:
        try:
            block = _BLOCKS[pairs]
        except TypeError:  # a value that is no text, and cannot be looked up either
            for name, value in pairs:
                check_field(name, value)
            raise
        _last_block = block
    return block


def write_request(method: str, path: str, authority: str, block: FieldBlock) -> bytes:
    """Write the head of a message in origin form, its Host field first.

    Args:
        method: as it shall go out.
        path: the request target, as `reqkit.message.urls.prepare_url` has checked it.
        authority: the Host field's value, likewise.
        block: the other fields.

    Raises:
        InvalidHeader: the method cannot be sent.

    Source: RFC 9112 section 3.2.1, RFC 9110 section 7.2.
    """
    if type(method) is not str:
        method = _plain(method)
    if method not in _SOUND_NAMES:
        check_method(method)
    line = f"{method} {path} HTTP/1.1\r\nHost: {authority}\r\n"
    return line.encode("latin-1") + block.octets


def write_head(method: str, target: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Write a request's head, through the empty line.

    Args:
        method: as it shall go out; methods are case-sensitive (RFC 9110 section 9.1).
        target: the request target: a path with its query, or another form (RFC 9112 section 3.2).
        fields: names and values, written in their order.

    Raises:
        InvalidHeader: the method, a name or a value cannot be sent.
        InvalidURL: the target cannot be sent.
    """
    if type(fields) is not list:
        fields = list(fields)
    known = _SOUND_NAMES
    lines = [f"{method} {target} HTTP/1.1"]
    sound = method in known and target.isascii() and target.isprintable()
    sound = sound and " " not in target and target != ""
    try:
        for name, value in fields:
            if name not in known:
                sound = False
            lines.append(name + ": " + value)
        lines.append("\r\n")
        text = "\r\n".join(lines)
        head = text.encode("latin-1")
    except (TypeError, UnicodeEncodeError):
        _check_request(method, target, fields)
        raise
    # One CR LF for each line and one for the empty line: any other control came in from outside.
    if (
        not sound
        or len(head.translate(None, _CONTROLS)) + 2 * len(lines) != len(head)
        or ":  " in text
        or ": \t" in text
    ):
        _check_request(method, target, fields)
    return head


def _plain(text: str) -> str:
    """Return text as it is, without what a class of the user's makes of it when it is written.

    What is checked is then what is sent.
    """
    return text if type(text) is str or not isinstance(text, str) else str.__str__(text)


def _check_request(method: str, target: str, fields: list[tuple[str, str]]) -> None:
    """Check each part by itself, and remember the names found sound."""
    check_method(method)
    check_target(target)
    for name, value in fields:
        check_field(name, value)
        _remember(name)
    _remember(method)


def _remember(name: str) -> None:
    if len(name) <= _REMEMBERED_LENGTH:
        if len(_SOUND_NAMES) >= _REMEMBERED:
            _SOUND_NAMES.clear()
        _SOUND_NAMES.add(name)


def check_method(method: str) -> None:
    """Check that a method can be sent.

    Raises:
        InvalidHeader: it is not a token (RFC 9110 section 9.1).
    """
    if not isinstance(method, str) or not TOKEN.fullmatch(method):
        raise InvalidHeader(
            f"the method is {excerpt(method)}: expected a word of letters, digits and"
            " !#$%&'*+-.^_`|~, such as 'GET'"
        )


def check_target(target: str) -> None:
    """Check that a request target can be sent.

    Raises:
        InvalidURL: it is empty, or has a space, a control or a character that is not ASCII.
    """
    if not target:
        raise InvalidURL("the request target is empty: expected a path such as '/'")
    if target.isascii() and target.isprintable() and " " not in target:
        return
    at = next(i for i, char in enumerate(target) if not "!" <= char <= "~")
    # A query may carry keys, and an absolute form a password.
    shown = re.sub(r"//[^/?#]*@", "//", target.partition("?")[0])
    raise InvalidURL(
        f"the request target {excerpt(shown)} has {character(target[at])} at position {at}:"
        " percent-encode it"
    )


def check_field(name: str, value: str) -> None:
    """Check that a header field can be sent. The value never shows in the error.

    Raises:
        InvalidHeader: the name is no token; the value is no str, begins with white space, or has
            a control (HTAB excepted) or a character outside of latin-1.

    Source: RFC 9110 section 5.
    """
    if not isinstance(name, str) or not TOKEN.fullmatch(name):
        raise InvalidHeader(
            f"the header name {excerpt(name)} cannot be sent: expected letters, digits and"
            " !#$%&'*+-.^_`|~, without spaces or a colon"
        )
    shown = excerpt(name, secret=False)
    if not isinstance(value, str):
        raise InvalidHeader(
            f"the value of header {shown} is of type {type(value).__name__}: expected a str"
        )
    control = _CONTROL.search(value)
    if control:
        raise InvalidHeader(
            f"the value of header {shown} has {character(control[0])} at position"
            f" {control.start()}: take it out, for it could begin another header or request"
        )
    if value[:1] in (" ", "\t"):
        raise InvalidHeader(
            f"the value of header {shown} begins with {character(value[0])}: strip the value"
        )
    try:
        value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidHeader(
            f"the value of header {shown} has {character(value[error.start])} at position"
            f" {error.start}, which latin-1 does not have: percent-encode the value, or give"
            " value.encode('utf-8').decode('latin-1') where the server wants UTF-8"
        ) from None


_last_block = FieldBlock(())
