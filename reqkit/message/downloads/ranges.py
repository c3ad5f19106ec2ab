"""Parts of a file: what a ``Range`` asks for, and which part a 206 says that it has.

Source: RFC 9110 sections 14.1.2, 14.2 and 14.4.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["Asked", "ContentRange", "asked_for", "content_range"]

_CONTENT_RANGE: Final = re.compile(
    r"bytes[ =](?:([0-9]{1,19})-([0-9]{1,19})|\*)/([0-9]{1,19}|\*)", re.IGNORECASE
)
_ONE_RANGE: Final = re.compile(
    r"bytes=[ \t]*(?:([0-9]{1,19})-([0-9]{0,19})|-([0-9]{1,19}))[ \t]*", re.IGNORECASE
)


class ContentRange(NamedTuple):
    """Which bytes an answer has, counted from 0, both included, and of how many; None: not told."""

    first: int | None
    last: int | None
    size: int | None

    @property
    def is_whole(self) -> bool:
        """Whether these are all bytes of the file."""
        return self.first == 0 and self.last is not None and self.last + 1 == self.size


def content_range(value: str | None) -> ContentRange | None:
    """Read a Content-Range; None where there is none, or none that makes sense."""
    match = _CONTENT_RANGE.fullmatch(value.strip()) if value else None
    if match is None:
        return None
    first, last, size = (None if one in (None, "*") else int(one) for one in match.groups())
    if (first is not None and last is not None) and (
        last < first or (size is not None and size <= last)
    ):
        return None
    return ContentRange(first, last, size)


class Asked(NamedTuple):
    """What a ``Range`` asks for.

    Attributes:
        text: the field's value.
        first: the first byte; None for the last ``suffix`` bytes.
        last: the last byte, and None for all that come.
        suffix: how many of the last bytes.
    """

    text: str
    first: int | None
    last: int | None
    suffix: int | None

    def fits(self, found: ContentRange) -> bool:
        """Tell whether a 206 has all that was asked for, as far as the file goes."""
        if found.first is None or found.last is None:
            return False
        if self.first is None and self.suffix is None:
            return False  # of several parts, or of what is no bytes
        if self.first is None:
            assert self.suffix is not None
            if found.size is None:
                return found.last - found.first + 1 == self.suffix
            return found.last == found.size - 1 and found.first == max(found.size - self.suffix, 0)
        if found.first != self.first:
            return False
        if found.size is None:
            return found.last == self.last  # of an open end nobody could tell
        end = found.size - 1
        return found.last == (end if self.last is None else min(self.last, end))

    def bounds(self, size: int | None) -> tuple[int, int | None] | None:
        """Return the first and the last byte of it in a file; None where that cannot be told.

        Args:
            size: the file's, None where it is not known.
        """
        if self.first is not None:
            if size is None:
                return self.first, self.last
            end = size - 1
            last = end if self.last is None else min(self.last, end)
            return (self.first, last) if self.first <= last else None
        if self.suffix is None:
            return None
        return None if not size or not self.suffix else (max(size - self.suffix, 0), size - 1)


def asked_for(value: str | None) -> Asked | None:
    """Read a ``Range``; None where there is none.

    One that is not understood, or asks for several parts, fits no answer.
    """
    if value is None:
        return None
    text = value[:100]
    match = _ONE_RANGE.fullmatch(value.strip())
    if match is None:
        return Asked(text, None, None, None)
    first, last, count = (int(one) if one else None for one in match.groups())
    if first is not None and last is not None and last < first:
        return Asked(text, None, None, None)
    return Asked(text, first, last, count)
