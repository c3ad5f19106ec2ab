"""The bytes of a body, piece by piece, as they are sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ...exceptions import RequestException
from .positions import ReadOnce, locked, rewind
from .sources import PIECE, Restartable

__all__ = ["pieces"]


def pieces(
    body: Any, length: int | None = None, start: int | ReadOnce | None = None
) -> Iterator[bytes]:
    """Iterate over a body's bytes, as they are to be sent. Empty pieces are left out.

    Blocks as long as reading the file, or the iterable, does.

    Args:
        body: bytes come whole; files in pieces of 64 KiB; iterables item by item, str as UTF-8.
        length: how many bytes were announced; None if none were. Never more are given: what a file
            has grown by is left out.
        start: what `position` said of it; None reads a file from where it stands.

    Raises:
        UnrewindableBodyError: it can be read but once, and was begun before.
        RequestException: the body is shorter than announced, an iterable is longer, or reading it
            failed. Nobody but the user knows whether a retry is safe.
        TypeError: an item is neither bytes nor str.
    """
    if isinstance(start, ReadOnce):
        rewind(body, start)
        start.begun = True
    if body is None:
        source: Iterator[Any] = iter(())
    elif isinstance(body, (bytes, bytearray, memoryview, str)):
        source = iter((body,))
    elif hasattr(body, "read") and not isinstance(body, Restartable):
        source = _reads(body, length, start if isinstance(start, int) else None)
    elif isinstance(body, Iterable):
        source = iter(body)
    else:
        raise TypeError(
            f"the body is a {type(body).__name__}: expected bytes, str, a file, or an iterable of"
            " bytes"
        )
    sent = 0
    while True:
        try:
            item = next(source)
        except StopIteration:
            break
        except RequestException:
            raise
        except OSError as error:
            # As it is, it would be taken for a fault of the connection.
            raise RequestException(
                f"reading the body (a {type(body).__name__}) failed after {sent} bytes:"
                f" {type(error).__name__}: {error}"
            ) from error
        piece = item if type(item) is bytes else _as_bytes(item, body)
        if not piece:
            continue
        sent += len(piece)
        if length is not None and sent > length:
            raise RequestException(
                f"the body (a {type(body).__name__}) has more than the {length} bytes that were"
                " announced: correct its length, or leave it out to send it chunked"
            )
        yield piece
    if length is not None and sent < length:
        raise RequestException(
            f"the body (a {type(body).__name__}) ended after {sent} of the {length} bytes that were"
            " announced: it was changed, or read elsewhere, while it was sent"
        )


def _reads(body: Any, length: int | None, at: int | None) -> Iterator[Any]:
    left = length
    while left is None or left > 0:
        size = PIECE if left is None else min(PIECE, left)
        if at is None:
            data = body.read(size)
        else:
            data, at = _read_at(body, size, at)
        if data is None:
            raise RequestException(
                f"the body (a {type(body).__name__}) is a non-blocking file with nothing to read"
                " yet: give one that waits"
            )
        if not data:
            return
        if isinstance(data, str):
            data = _as_bytes(data, body)
            if left is not None and len(data) > left:
                # Characters were counted, bytes were announced: as many as there is room for.
                data = data[:left]
        yield data
        if left is not None:
            left -= len(data)


def _read_at(body: Any, size: int, at: int) -> tuple[Any, int]:
    """Read a file on from a position, wherever others have left it; return where that ended."""
    with locked(body):
        if body.tell() != at:
            body.seek(at)
        data = body.read(size)
        after = body.tell()
    if isinstance(data, bytes) and after != at + len(data):
        raise RequestException(
            f"the body (a {type(body).__name__}) was read elsewhere while it was sent: give each"
            " request a file of its own, or bytes"
        )
    return data, after


def _as_bytes(item: Any, body: Any) -> bytes:
    if isinstance(item, str):
        try:
            return item.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"the body (a {type(body).__name__}) gave text with a lone surrogate, which UTF-8"
                " cannot express: give bytes"
            ) from error
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    raise TypeError(
        f"the body (a {type(body).__name__}) gave a {type(item).__name__}: expected bytes or str"
    )
