"""Reading heads and trailers as the web has them, or saying what a strict reader minds. Sans-IO.

Servers send lines that end in LF alone, fields over several lines, names that are none, and other
things that RFC 9112 forbids. Where all of the widely used clients read such bytes in one way, they
are read in that way here. The result is sound: what comes after knows nothing of it, but for the
`oddity`, for which the connection is not to be used again. What could be read in two ways stays an
error (NUL, a bare CR, a first line that continues nothing).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from ...exceptions import ProtocolError
from .answer import (
    LOOKED_FOR,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_LINE,
    ONCE,
    STRICT_FIELDS,
    STRICT_HEAD,
    AnswerHead,
)
from .errors import TOKEN, control_fault, excerpt, line_fault, name_fault
from .well_formed import STATUS_LINE

__all__ = [
    "MOST_EMPTY",
    "check_location",
    "leading",
    "merged",
    "read_lenient",
    "read_lenient_trailers",
]

#: Bytes of empty lines before a status line that are passed over (RFC 9112 section 2.2 asks it of
#: servers; some clients do it, too).
MOST_EMPTY: Final = 16

# Nobody agrees on what these mean. All other controls are bytes of a value as any other.
_DANGEROUS: Final = re.compile(r"\r(?!\n)|\x00")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BARE_LF: Final = re.compile(r"(?<!\r)\n")

_LONG: Final = f"a line is longer than {MAX_LINE:,} bytes"

_REDIRECTS: Final = frozenset((301, 302, 303, 307, 308))


class _Section:
    """Field lines, what they mean, and the first thing that a strict reader minds.

    Attributes:
        fields: names as received and values, those that mean something.
        oddity: what is odd.
    """

    def __init__(self, text: str, strict: bool) -> None:
        self.fields: list[tuple[str, str]] = []
        self.oddity = ""
        self._strict = strict
        fault = _DANGEROUS.search(text)
        if fault or (strict and (_CONTROL.search(text) or _BARE_LF.search(text))):
            raise ProtocolError(control_fault(text) if strict else control_fault(text, _DANGEROUS))
        if _CONTROL.search(text) or _BARE_LF.search(text):
            self.minds(control_fault(text))

    def minds(self, fault: str) -> None:
        """Note something odd.

        Raises:
            ProtocolError: oddities are refused.
        """
        if self._strict:
            raise ProtocolError(fault)
        if not self.oddity:
            self.oddity = fault

    def read(self, lines: list[str]) -> None:
        """Read the lines, without their ends.

        Raises:
            ProtocolError: one is too long, or means nothing that all agree on.
        """
        name = ""
        parts: list[str] | None = None  # of the value that the next line may go on with
        for line in lines:
            if len(line) > MAX_LINE:
                raise ProtocolError(_LONG)
            if line[:1] not in (" ", "\t"):
                if parts is not None:
                    self._add(name, parts)
                name, value = self._cut(line)
                parts = [value]
            elif parts is None:
                # RFC 9112 section 2.2: some skip such a line, some take it for a field.
                raise ProtocolError(name_fault(line))
            else:
                # RFC 9112 section 5.2: joined to the line before it by a space.
                self.minds(name_fault(line))
                parts.append(line.strip(" \t"))
        if parts is not None:
            self._add(name, parts)

    def _add(self, name: str, parts: list[str]) -> None:
        if name:
            self.fields.append(
                (name, parts[0] if len(parts) == 1 else " ".join(filter(None, parts)))
            )

    def _cut(self, line: str) -> tuple[str, str]:
        """Return the name and value of a line; no name where it is to be passed over."""
        name, colon, value = line.partition(":")
        if not colon:
            if not line:
                raise ProtocolError(line_fault(line))
            self.minds(line_fault(line))
            return "", ""
        if not TOKEN.fullmatch(name):
            self.minds(name_fault(name))
            # RFC 9112 section 5.1: white space before the colon is taken away by whoever does
            # not refuse it.
            name = name.rstrip(" \t")
            if not TOKEN.fullmatch(name):
                name = ""
        return name, value.strip(" \t")

    def merge(self) -> None:
        """Take a field that may stand once, and stands several times with one value, for one."""
        self.fields, oddity = merged(self.fields)
        if oddity:
            self.minds(oddity)


def merged(fields: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], str]:
    """Take fields that may stand once, and stand several times with one value, for one.

    Returns:
        the fields that are left, and what is odd about them.
    """
    names = [name.lower() for name, _ in fields]
    repeated = {
        name
        for name in ONCE.intersection(names)
        if names.count(name) > 1 and len(_values(fields, name)) == 1
    }
    if not repeated:
        return list(fields), ""
    firsts = {name: names.index(name) for name in repeated}
    left = [
        field
        for at, (name, field) in enumerate(zip(names, fields, strict=True))
        if firsts.get(name, at) == at
    ]
    return left, f"the field {excerpt(min(repeated), secret=False)} stands more than once"


def check_location(status: int, fields: Sequence[tuple[str, str]]) -> None:
    """Refuse a redirect to several places: which one is followed, nobody agrees on.

    Raises:
        ProtocolError: it is one.
    """
    if status in _REDIRECTS and len(_values(fields, "location")) > 1:
        raise ProtocolError("the answer redirects to several places: its Locations differ")


def leading(buffer: bytes | bytearray) -> int:
    """Count the bytes of the empty lines at the beginning, as far as they are whole."""
    at = 0
    while at <= MOST_EMPTY:
        if buffer.startswith(b"\r\n", at):
            at += 2
        elif buffer.startswith(b"\n", at):
            at += 1
        else:
            break
    return at


def read_lenient(block: bytes, strict: bool) -> AnswerHead:
    """Read a head that is not a usual one.

    Args:
        block: the bytes through the empty line, with the empty lines before the status line.
        strict: whether to refuse whatever RFC 9112 forbids.

    Raises:
        ProtocolError: it breaks a rule or a limit; the message says which.

    Source: RFC 9112 sections 2 to 5; RFC 9110 section 5.5.
    """
    size = len(block)
    most = STRICT_HEAD if strict else MAX_HEAD
    if size > most:
        raise ProtocolError(f"the answer's head is larger than {most:,} bytes")
    if not block.endswith((b"\r\n\r\n", b"\n\n", b"\n\r\n")[: 1 if strict else 3]):
        raise ProtocolError("the answer's head does not end with an empty line")
    skipped = 0 if strict else leading(block)
    text = block[skipped:].decode("latin-1")
    first, _, rest = text.replace("\r\n", "\n").partition("\n")
    match = STATUS_LINE.fullmatch(first)
    try:
        section = _Section(text, strict)
    except ProtocolError as error:
        raise ProtocolError(f"the answer's head has {error}") from None
    if match is None or skipped > MOST_EMPTY:
        raise ProtocolError(
            f"the answer begins with {excerpt(first)}: expected a status line such as"
            " 'HTTP/1.1 200 OK'"
        )
    if skipped:
        section.minds("an empty line before the status line")
    if len(first) > MAX_LINE:
        raise ProtocolError(_LONG)
    lines = rest[:-2].split("\n") if len(rest) > 1 else []
    most = STRICT_FIELDS if strict else MAX_FIELDS
    count = _count(lines)
    if count > most:
        raise ProtocolError(f"the answer's head has more than {most:,} fields")
    if size > STRICT_HEAD or count > STRICT_FIELDS:
        section.minds(f"more than {STRICT_FIELDS} fields, or {STRICT_HEAD:,} bytes")
    section.read(lines)
    section.merge()
    status = int(match[2])
    fields = section.fields
    check_location(status, fields)
    if section.oddity:
        lines = [first, *(f"{name}: {value}" for name, value in fields), "\r\n"]
        text = "\r\n".join(lines)
    known: dict[str, str] = {}
    for name, value in fields:
        name = name.lower()
        if name in LOOKED_FOR:
            known[name] = f"{known[name]}, {value}" if name in known else value
    return AnswerHead(10 + int(match[1]), status, match[3] or "", text, known, section.oddity)


def read_lenient_trailers(block: bytes, strict: bool) -> tuple[list[tuple[str, str]], str]:
    """Read the trailer section of a chunked body, by the same rules as a head's fields.

    Args:
        block: the lines of the section with their ends, the empty line left out, not too many.
        strict: whether to refuse whatever RFC 9112 forbids.

    Returns:
        the fields, and what is odd about them.

    Raises:
        ProtocolError: it breaks a rule or a limit.

    Source: RFC 9112 section 7.1.2.
    """
    text = block.decode("latin-1")
    section = _Section(text, strict)
    lines = text.replace("\r\n", "\n").split("\n")[:-1]
    for line in lines:
        # The empty line was left out: this is the next answer, and none of the trailers.
        if line.startswith("HTTP/1."):
            raise ProtocolError(line_fault(line))
    section.read(lines)
    section.merge()
    return section.fields, section.oddity


def _count(lines: list[str]) -> int:
    """Count the fields."""
    return sum(line[:1] not in (" ", "\t") for line in lines)


def _values(fields: Sequence[tuple[str, str]], lower_name: str) -> set[str]:
    return {value for name, value in fields if name.lower() == lower_name}
