"""Reading the heads that nearly all answers have: sound ones of a usual size. Sans-IO.

What is not such a head is left to `lenient`, which reads it or says what is wrong with it.
`read_sound` and `read_next` here and those in C (`_head.c`) give the same for any bytes, but that
those in C may tell of a plain length, too.
"""

from __future__ import annotations

import re
from itertools import repeat
from typing import Final, Union

from .answer import LOOKED_FOR, ONCE, STRICT_FIELDS, STRICT_HEAD, AnswerHead
from .errors import TOKEN

__all__ = ["STATUS_LINE", "read_next", "read_sound"]

# RFC 9112 section 4: a status line; the space before a missing reason is often left out.
STATUS_LINE: Final = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: (.*))?")

# RFC 9110 section 5.5: what no value may hold: all controls but HTAB. CR and LF are among them, so
# a sound head has two of these for each of its lines, and no more.
_CONTROLS: Final = bytes(code for code in range(256) if (code < 32 and code != 9) or code == 127)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

_WATCHED: Final = LOOKED_FOR | ONCE


# Lines repeat from answer to answer: looking one up that is known to be sound is several times
# faster than checking it. The bounds keep what a server can fill small.
_REMEMBERED: Final = 1024
_REMEMBERED_LENGTH: Final = 64
_REMEMBERED_LINE: Final = 128
# Secrets, and what never comes again.
_NOT_REMEMBERED: Final = frozenset(("set-cookie", "location"))

#: A watched field's name, in lower case, and whether its value is looked for.
_Kind = tuple[str, bool]
#: The same name, and the value that was looked for; the name alone where it was not.
_Field = Union[str, "tuple[str, str]"]


class _Unsound(Exception):
    """A line is no field."""


class _Names(dict[str, "_Kind | None"]):
    """Sound names of watched fields to their kinds, and of others to nothing.

    One that is not known yet is checked and learned.
    """

    __slots__ = ()

    def __missing__(self, name: str) -> _Kind | None:
        if not TOKEN.fullmatch(name):
            raise _Unsound
        lower = name.lower()
        kind = (lower, lower in LOOKED_FOR) if lower in _WATCHED else None
        if len(name) <= _REMEMBERED_LENGTH:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[name] = kind
        return kind


class _Lines(dict[str, "_Field | None"]):
    """Field lines to their name, in lower case, and value; learned as `_Names` are.

    The name is alone where only it counts, for it may stand once. None stands for a sound line of
    a field that is not watched.
    """

    __slots__ = ("new",)

    def __init__(self) -> None:
        self.new = 0  # lines that were not known, since it was last looked at

    def __missing__(self, line: str) -> _Field | None:
        name, colon, value = line.partition(":")
        if not colon or (not value.isprintable() and _CONTROL.search(value)):
            raise _Unsound
        field: _Field | None
        kind = _NAMES[name]
        self.new += 1
        if kind is None:
            field = None
        else:
            name, wanted = kind
            field = (name, value.strip(" \t")) if wanted else name
            if name in _NOT_REMEMBERED:
                return field
        if len(line) <= _REMEMBERED_LINE:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[line] = field
        return field


class _StatusLines(dict[str, tuple[int, int, str]]):
    """Status lines to version, status and reason; learned as `_Names` are."""

    __slots__ = ()

    def __missing__(self, line: str) -> tuple[int, int, str]:
        match = STATUS_LINE.fullmatch(line)
        if match is None or _CONTROL.search(line):
            raise _Unsound
        facts = (10 + int(match[1]), int(match[2]), match[3] or "")
        if len(line) <= _REMEMBERED_LENGTH:
            if len(self) >= _REMEMBERED:
                self.clear()
            self[line] = facts
        return facts


class _WatchedFields(dict["tuple[_Field, ...]", "dict[str, str]"]):
    """The watched fields of a head to what they say; learned as `_Names` are.

    Most heads of a server have the same ones, but for fields of which only the name counts.
    """

    __slots__ = ()

    def __missing__(self, found: tuple[_Field, ...]) -> dict[str, str]:
        known: dict[str, str] = {}
        once: set[str] = set()
        for field in found:
            name, value = (field, None) if isinstance(field, str) else field
            if name in ONCE:
                if name in once:
                    raise _Unsound
                once.add(name)
            if value is not None:  # a list's are joined
                known[name] = f"{known[name]}, {value}" if name in known else value
        if _NOT_REMEMBERED.isdisjoint(known):
            if len(self) >= _REMEMBERED:
                self.clear()
            self[found] = known
        return known


_NAMES: Final = _Names()
_LINES: Final = _Lines()
_STATUS_LINES: Final = _StatusLines()
_WATCHED_FIELDS: Final = _WatchedFields()
_partition: Final = str.partition
_field_of: Final = _LINES.__getitem__

#: Heads on end of which most lines were new. Where there are many, the memory is asked only now and
#: then: it does not pay.
_strange = 0
_MANY_STRANGE: Final = 8
_ASKED_EACH: Final = 128


def read_sound(block: bytes) -> AnswerHead | None:
    """Read a head.

    Args:
        block: the bytes from the status line through the empty line.

    Returns:
        what it says, or None where it is not sound in every line, is large, or has a field twice
        that may stand once.

    Source: RFC 9112 sections 2 to 5; RFC 9110 section 5.
    """
    global _strange
    if len(block) > STRICT_HEAD or block[-4:] != b"\r\n\r\n":
        return None
    text = block.decode("latin-1")
    lines = text[:-4].split("\r\n")
    first = lines[0]
    del lines[0]
    if len(lines) > STRICT_FIELDS:
        return None
    known: dict[str, str] | None = None
    try:
        strange = _strange  # read and set in one go: threads share it
        if strange > _MANY_STRANGE and strange % _ASKED_EACH:
            _strange = strange + 1
            known = _by_names(block, lines)
        if known is None:
            found: tuple[_Field, ...] = tuple(filter(None, map(_field_of, lines)))
            new = _LINES.new
            if new:
                _LINES.new = 0
                _strange = strange + 1 if 2 * new > len(lines) else 0
            known = _WATCHED_FIELDS[found]
        version, status, reason = _STATUS_LINES[first]
    except _Unsound:
        return None
    return AnswerHead(version, status, reason, text, known)


def read_next(data: bytes) -> AnswerHead | None:
    """Read the head that bytes begin with.

    Args:
        data: the bytes from the status line on.

    Returns:
        what it says, or None where it is not whole, or as `read_sound` has it.
    """
    end = data.find(b"\r\n\r\n") + 4
    return read_sound(data if end == len(data) else data[:end])


def _by_names(block: bytes, lines: list[str]) -> dict[str, str] | None:
    """Check the lines without remembering them, and return the values that are looked for.

    Returns:
        None where a field stands more than once.
    """
    # Each line has the CR LF that was cut off, as have the first one and the empty one.
    if len(block.translate(None, _CONTROLS)) + 2 * len(lines) + 4 != len(block):
        raise _Unsound
    known: dict[str, str] = {}
    kinds: list[_Kind] = []
    for name, colon, value in map(_partition, lines, repeat(":")):
        kind = _NAMES[name]
        if kind is not None:
            kinds.append(kind)
            if kind[1]:
                known[kind[0]] = value.strip(" \t")
        if not colon:
            raise _Unsound
    return known if len(set(kinds)) == len(kinds) else None
