"""What to say about a broken head. Only run once a head is known to be broken.

Values of fields never show: they may be cookies or credentials.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["TOKEN", "character", "control_fault", "excerpt", "line_fault", "name_fault"]

# RFC 9110 section 5.6.2: the characters of a token (a method, a field's name).
TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

_FAULTY_CONTROL: Final = re.compile(r"\r(?!\n)|(?<!\r)\n|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SECRET: Final = re.compile(r"cookie|auth|token|secret|key|passw|session|credential", re.I)


def excerpt(text: object, *, secret: bool = True) -> str:
    """Return a short repr, or a mere description of what may hold a secret."""
    if not isinstance(text, str):
        return f"of type {type(text).__name__}"
    if secret and _SECRET.search(text, 0, 80):
        return f"(hidden, {len(text)} characters)"
    # A repr takes up to four characters for each one here.
    shown = repr(text if len(text) <= 40 else text[:40])
    return (shown if len(shown) <= 60 else shown[:60]) + ("..." if len(text) > 40 else "")


def character(char: str) -> str:
    """Name a character as a message does: ``a CR``, ``the character U+007F``."""
    names = {"\0": "a NUL", "\t": "a tab", "\n": "an LF", "\r": "a CR", " ": "a space"}
    if char in names:
        return names[char]
    if char.isprintable():
        return f"{char!r} (U+{ord(char):04X})"
    return f"the character U+{ord(char):04X}"


def name_fault(name: str) -> str:
    """Say what is wrong with a received field name."""
    if name[:1] in (" ", "\t"):
        # RFC 9112 section 5.2: folding is obsolete, and read differently by different parsers.
        return "a field line begins with white space: folded fields are not accepted"
    if not name:
        return "a field line begins with a colon: expected a field name"
    if name.rstrip(" \t") != name:
        # RFC 9112 section 5.1: this has been used to slip a field past a proxy.
        return f"white space between the field name {excerpt(name.rstrip())} and its colon"
    return f"the field name {excerpt(name)} has a character that none may have"


def line_fault(line: str) -> str:
    """Say what is wrong with a received line that has no colon."""
    if not line:
        return "an empty line before the end of the head"
    if line[0] in " \t":
        return name_fault(line)
    return f"a field line has no colon: {excerpt(line)}"


def control_fault(text: str, faulty: re.Pattern[str] = _FAULTY_CONTROL) -> str:
    """Say which control stands where in received text that is known to have one too many."""
    match = faulty.search(text)
    assert match is not None
    at = match.start()
    name = text[text.rfind("\n", 0, at) + 1 : at].partition(":")[0]
    where = f", in field {excerpt(name, secret=False)}" if TOKEN.fullmatch(name) else ""
    kind = {"\r": "a CR without its LF", "\n": "an LF without its CR"}.get(match[0])
    return f"{kind or character(match[0])} at byte {at}{where}"
