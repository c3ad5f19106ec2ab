"""Escape sequences of ISO 2022, which begin another charset, and those that are none. Pure.

Python's decoders look for the end of a sequence in what follows, and take all of it for one; where
it comes in pieces, they give up. A browser takes the escape character alone for the error, and
goes on with what follows it.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["EscapeReader", "has_escapes"]

#: What a sequence looks like, if not which charset it means, and how one may begin.
_SEQUENCE: Final = rb"(?:[()][@A-Z]|\$(?:[@A-Z]|[()][@A-Z])|&@|\.[A-Z]|N)"
_NO_SEQUENCE: Final = re.compile(rb"\x1b(?!" + _SEQUENCE + rb")")
_BEGUN: Final = re.compile(rb"\x1b(?:[()&.]|\$[()]?)?\Z")

#: In none of these charsets a byte.
_NO_BYTE: Final = b"\x80"


def has_escapes(codec: str) -> bool:
    """Tell whether a codec of Python's has charsets begin by escape sequences."""
    return codec.startswith("iso2022")


class EscapeReader:
    """Takes what is no escape sequence for an error of one byte, however the bytes are cut."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes, final: bool = False) -> bytes:
        """Return bytes that a decoder reads as a browser does; the last ones may be held back."""
        if self._held:
            piece = self._held + piece
            self._held = b""
        if not final and b"\x1b" in piece[-3:]:
            begun = _BEGUN.search(piece, max(0, len(piece) - 3))
            if begun is not None:
                self._held = begun[0]
                piece = piece[: begun.start()]
        return _NO_SEQUENCE.sub(_NO_BYTE, piece) if b"\x1b" in piece else piece
