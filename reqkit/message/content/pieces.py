"""A body in pieces: decoded, cut to a size, or to lines. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .decoders import Decoder
from .lines import LineCutter, exact_pieces

__all__ = ["check_size", "cut_closing", "decoded", "lines_of", "slices"]


def decoded(decoder: Decoder, data: bytes, most: int, ended: bool) -> Iterator[bytes]:
    """Decode some of a body, or, where it has ended, what is left: at most so much at a time."""
    if not ended:
        piece = decoder.decode(data, most)
        if piece:
            yield piece
        while decoder.pending:
            piece = decoder.decode(b"", most)
            if not piece:
                break
            yield piece
        return
    piece = decoder.finish()
    if piece:
        yield piece


def slices(content: bytes, size: int | None) -> Iterator[bytes]:
    """Cut bytes to a size; None: leave them whole."""
    if size is None:
        size = max(len(content), 1)
    for start in range(0, len(content), size):
        yield content[start : start + size]


def check_size(chunk_size: Any) -> None:
    """Refuse a size of pieces that is none.

    Raises:
        TypeError, ValueError: it is no number of bytes.
    """
    if chunk_size is None:
        return
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int):
        raise TypeError(f"chunk_size is {chunk_size!r}: expected a number of bytes, or None")
    if chunk_size < 1:
        raise ValueError(f"chunk_size is {chunk_size}: expected 1 or more, or None")


def cut_closing(pieces: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Cut pieces to a size; close what they come from when this is left early."""
    try:
        yield from exact_pieces(pieces, size)
    finally:
        pieces.close()  # type: ignore[attr-defined]


def lines_of(pieces: Iterator[Any], cutter: LineCutter) -> Iterator[Any]:
    """Cut pieces to lines."""
    for piece in pieces:
        yield from cutter.feed(piece)
    yield from cutter.finish()
