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
from .errors import TOKEN, character, control_fault, excerpt, line_fault, name_fault

__all__ = [
    "MAX_FIELDS",
    "MAX_HEAD",
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
    "parse_trailers",
    "write_head",
    "write_request",
]

# Bytes of a head, from the status line through the empty line. Others allow 16 KiB (Node, h11),
# 64 KiB for each line (http.client), 256 KiB (Chrome), 300 KiB (curl), 10 MiB (Go).
MAX_HEAD: Final = 65536

# Fields of a head. Others allow 100 (http.client, Apache httpd), which real sites with many
# cookies and policies have gone past.
MAX_FIELDS: Final = 256

# RFC 9112 section 4: a status line; the space before a missing reason is often left out.
_STATUS_LINE: Final = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: (.*))?")

# RFC 9110 section 5.5: what no value may hold: all controls but HTAB. CR and LF are among them,
# so a sound head has two of these for each of its lines, and no more.
_CONTROLS: Final = bytes(code for code in range(256) if (code < 32 and code != 9) or code == 127)

_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_BARE_LF: Final = re.compile(rb"(?<!\r)\n")

# Names and status lines repeat from answer to answer: looking one up that is known to be sound
# is several times faster than checking it. The bounds keep what a server can fill small.
_REMEMBERED: Final = 1024
_REMEMBERED_LENGTH: Final = 64
_REMEMBERED_BLOCK: Final = 1024
_REMEMBERED_LINE: Final = 128
# Secrets, and what never comes again.
_NOT_REMEMBERED: Final = frozenset(("set-cookie", "location", "x-request-id"))

#: What is looked for in each answer: the other fields are cut out of the text when asked for.
LOOKED_FOR: Final = frozenset((
    "connection", "content-encoding", "content-length", "location", "retry-after", "set-cookie",
    "transfer-encoding",
))  # fmt: skip


class _Names(dict[str, str]):
    """Sound field names to their lower case; one that is not known yet is checked and learned."""

    __slots__ = ()

    def __missing__(self, name: str) -> str:
        if not TOKEN.fullmatch(name):
            raise ProtocolError(name_fault(name))
        lower = name.lower()
        if len(name) <= _REMEMBERED_LENGTH:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[name] = lower
        return lower


class _StatusLines(dict[str, tuple[int, int, str]]):
    """Status lines to version, status and reason; learned as `_Names` are."""

    __slots__ = ()

    def __missing__(self, line: str) -> tuple[int, int, str]:
        match = _STATUS_LINE.fullmatch(line)
        if match is None or _CONTROL.search(line):
            raise ProtocolError(
                f"the answer begins with {excerpt(line)}: expected a status line such as"
                " 'HTTP/1.1 200 OK'"
            )
        facts = (10 + int(match[1]), int(match[2]), match[3] or "")
        if len(line) <= _REMEMBERED_LENGTH:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[line] = facts
        return facts


class _Lines(dict[str, "tuple[str, str] | None"]):
    """Field lines to their name, in lower case, and value; learned as `_Names` are.

    None stands for a sound line of a field that is not `LOOKED_FOR`. A server says much the same
    in each answer: most lines were read before.
    """

    __slots__ = ()

    def __missing__(self, line: str) -> tuple[str, str] | None:
        name, colon, value = line.partition(":")
        if not colon:
            raise ProtocolError(line_fault(line))
        if not value.isprintable() and _CONTROL.search(value):
            raise ProtocolError(f"a value with {control_fault(line)}")
        name = _NAMES[name]
        field = (name, value.strip(" \t")) if name in LOOKED_FOR else None
        if len(line) <= _REMEMBERED_LINE and name not in _NOT_REMEMBERED:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[line] = field
        return field


_NAMES: Final = _Names()
_LINES: Final = _Lines()
_STATUS_LINES: Final = _StatusLines()
_field_of: Final = _LINES.__getitem__


class AnswerHead:
    """The head of an answer.

    Keeps the text and what nearly every reader asks for; all else is cut out of the text when
    somebody asks.

    Attributes:
        version: 10 or 11.
        status: 100 to 999.
        reason: the text after the status, often empty.
        text: all of it.
        said: those of the `LOOKED_FOR` names that are there, in lower case, with their values as
            `get` gives them. Not to be changed.
    """

    __slots__ = ("reason", "said", "status", "text", "version")

    def __init__(
        self, version: int, status: int, reason: str, text: str, said: dict[str, str]
    ) -> None:
        self.version = version
        self.status = status
        self.reason = reason
        self.text = text
        self.said = said

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Names and values as received, in order; a new list each time."""
        return fields_of(self.text)

    def get(self, lower_name: str) -> str | None:
        """Return the value of a field, or None where there is none.

        Args:
            lower_name: the name in lower case.

        Returns:
            The value; repeated fields joined by ``", "`` in their order (RFC 9110 section 5.3).
        """
        return field_of(self.text, self.said, lower_name)

    def get_all(self, lower_name: str) -> list[str]:
        """Return the values of all fields of a name (in lower case), in their order.

        This is the way to read Set-Cookie, whose values cannot be joined.
        """
        return [value for name, value in self.fields if name.lower() == lower_name]

    def __repr__(self) -> str:
        return f"<AnswerHead {self.status}, {self.text.count(chr(10)) - 2} fields>"


def fields_of(text: str) -> list[tuple[str, str]]:
    """Return the names and values of a sound head as received, in order."""
    return _pairs(text[:-4].split("\r\n")[1:])


def field_of(text: str, said: dict[str, str], lower_name: str) -> str | None:
    """Return the value of a field of a sound head: see `AnswerHead.get`.

    Args:
        text: the head.
        said: as the head has it.
        lower_name: the name in lower case.
    """
    if lower_name in LOOKED_FOR:
        return said.get(lower_name)
    values = [value for name, value in fields_of(text) if name.lower() == lower_name]
    return ", ".join(values) if values else None


def find_end(buffer: bytes | bytearray, searched: int) -> int:
    """Find where the head ends.

    What can never become a head is refused at once instead of waited for: another protocol,
    lines that end in bare LF.

    Args:
        buffer: all that has arrived so far.
        searched: how many of these bytes an earlier call has seen.

    Returns:
        The index just past the empty line, or -1 where more bytes are needed.

    Raises:
        ProtocolError: the head is larger than `MAX_HEAD`, or is none.
    """
    end = buffer.find(b"\r\n\r\n", searched - 3 if searched > 3 else 0)
    if end >= 0:
        return end + 4
    if not buffer.startswith(b"HTTP/1.") and not b"HTTP/1.".startswith(buffer[:7]):
        hint = "; this looks like TLS: is the URL to be https?" if buffer[:1] in b"\x15\x16" else ""
        shown = excerpt(bytes(buffer[:40]).decode("latin-1"))
        raise ProtocolError(f"the answer begins with {shown}: expected 'HTTP/1.'{hint}")
    # RFC 9112 section 2.2 lets a recipient take a bare LF as a line's end. Those that do and
    # those that do not see different messages, so this one does not.
    if _BARE_LF.search(buffer, searched):
        raise ProtocolError("the answer's head has a line that ends in LF instead of CR LF")
    if len(buffer) > MAX_HEAD:
        raise ProtocolError(f"the answer's head is larger than {MAX_HEAD:,} bytes")
    return -1


def parse_head(block: bytes) -> AnswerHead:
    """Read an answer's head.

    Args:
        block: the bytes from the status line through the empty line.

    Raises:
        ProtocolError: it breaks a rule or a limit; the message says which.

    Source: RFC 9112 sections 2 to 5; RFC 9110 section 5.5.
    """
    size = len(block)
    if size > MAX_HEAD:
        raise ProtocolError(f"the answer's head is larger than {MAX_HEAD:,} bytes")
    if not block.endswith(b"\r\n\r\n"):
        raise ProtocolError("the answer's head does not end with an empty line")
    text = block.decode("latin-1")
    lines = text[:-4].split("\r\n")
    count = len(lines)
    try:
        version, status, reason = _STATUS_LINES[lines[0]]
        if count > MAX_FIELDS + 1:
            raise ProtocolError(f"the answer's head has more than {MAX_FIELDS} fields")
        del lines[0]
        found = list(filter(None, map(_field_of, lines)))
    except ProtocolError:
        # Two readers may differ about where a line with one of these ends: that is said first.
        if len(block.translate(None, _CONTROLS)) + 2 * count + 2 != size:
            raise ProtocolError(f"the answer's head has {control_fault(text)}") from None
        raise
    said = dict(found)
    if len(said) != len(found):
        said = {}
        for name, value in found:
            said[name] = f"{said[name]}, {value}" if name in said else value
    return AnswerHead(version, status, reason, text, said)


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
        # Written with a line before them, which is then cut off, by the code that checks all.
        self.octets = write_head("GET", "/", pairs)[len("GET / HTTP/1.1\r\n") :]
        # Plain text from here on, whatever classes of the user's have to say of theirs.
        self.pairs = tuple([(str.__str__(name), str.__str__(value)) for name, value in pairs])
        fields: dict[str, str] = {}
        for name, value in self.pairs:
            lower = name.lower()
            fields[lower] = f"{fields[lower]}, {value}" if lower in fields else value
        self.plain = fields.keys().isdisjoint(("host", "proxy-authorization"))
        self.closes = "close" in fields.get("connection", "").lower()
        self.length = fields.get("content-length")
        self.coding = fields.get("transfer-encoding")


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
        block = _last_block = _BLOCKS[pairs]
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
    if method not in _NAMES:
        check_method(method)
    line = f"{method} {path} HTTP/1.1\r\nHost: {authority}\r\n"
    return line.encode("latin-1") + block.octets


def parse_trailers(block: bytes) -> list[tuple[str, str]]:
    """Read the trailer section of a chunked body, by the same rules as a head's fields.

    Args:
        block: the lines of the section with their line ends, the empty line left out.

    Raises:
        ProtocolError: it breaks a rule or a limit.

    Source: RFC 9112 section 7.1.2.
    """
    if not block:
        return []
    text = block.decode("latin-1")
    lines = text[:-2].split("\r\n")
    if len(block) > MAX_HEAD or len(lines) > MAX_FIELDS:
        raise ProtocolError(f"more than {MAX_FIELDS} trailer fields, or {MAX_HEAD:,} bytes of them")
    if len(block.translate(None, _CONTROLS)) + 2 * len(lines) != len(block):
        raise ProtocolError(control_fault(text))
    for line in lines:
        name, colon, _ = line.partition(":")
        if not colon:
            raise ProtocolError(line_fault(line))
        _NAMES[name]
    return _pairs(lines)


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
    known = _NAMES
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


def _check_request(method: str, target: str, fields: list[tuple[str, str]]) -> None:
    """Check each part by itself, and remember the names found sound."""
    check_method(method)
    check_target(target)
    for name, value in fields:
        check_field(name, value)
        _NAMES[name]
    # A method is a token as a field's name is, so the one memory serves both.
    _NAMES[method]


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


def _pairs(lines: list[str]) -> list[tuple[str, str]]:
    pairs = []
    for line in lines:
        name, _, value = line.partition(":")
        # RFC 9110 section 5.5: white space around a value is no part of it.
        pairs.append((name, value.strip(" \t")))
    return pairs


_last_block = FieldBlock(())
