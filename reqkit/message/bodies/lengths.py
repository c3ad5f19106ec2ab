"""How many bytes of a body are to be sent.

A file's length is known if it can be sought. One opened in text mode is sent as UTF-8; it is read
through once to find out how many bytes that makes.
"""

from __future__ import annotations

import codecs
import io
import os
import stat
from typing import Any

from .positions import ReadOnce, announced_length, locked, seekable, tell
from .sources import PIECE, Restartable

__all__ = ["content_length"]


def content_length(body: Any, start: int | ReadOnce | None = None) -> int | None:
    """Return how many bytes of a body are to be sent, or None where that is not known.

    A file counts from its position, and is left where it is. A compressed one that is read
    through (``gzip.open()``) is decompressed once to find out, and one opened in text mode is read
    once, as servers that do not take chunked bodies are many. One byte may be read of a file that
    says it is empty, since those of ``/proc`` do.

    Args:
        body: whatever a body may be. An object that tells its length by ``len()`` or by a number
            ``len`` is taken at its word; collections count items, not bytes, and are not.
        start: what `position` said of it, where it counts from; None for where a file stands.
    """
    if body is None:
        return 0
    if isinstance(body, (bytes, bytearray)):
        return len(body)
    if isinstance(body, memoryview):
        return body.nbytes
    if isinstance(body, str):
        return len(body.encode("utf-8"))
    length = announced_length(body)
    if length is not None:
        # Of those that are files too, a part may have been read.
        start = tell(body) or 0
        return max(0, length - start)
    if isinstance(body, Restartable) or not hasattr(body, "read"):
        return None
    with locked(body):
        at = start if isinstance(start, int) else tell(body)
        return _text_length(body, at) if _is_text(body) else _file_length(body, at)


def _is_text(body: Any) -> bool:
    if isinstance(body, (io.TextIOBase, codecs.StreamReader, codecs.StreamReaderWriter)):
        return True
    mode = getattr(body, "mode", None)
    # Wrappers of files (tempfile) are no TextIOBase, but have one's encoding.
    return isinstance(mode, str) and "b" not in mode and hasattr(body, "encoding")


def _text_length(body: Any, start: int | None) -> int | None:
    if not isinstance(body, io.TextIOBase) or not seekable(body) or start is None:
        return None
    length = 0
    try:
        if body.tell() != start:
            body.seek(start)
        while text := body.read(PIECE):
            length += len(text.encode("utf-8", "surrogatepass"))
        body.seek(start)
    except (OSError, ValueError):  # sending it will say what is wrong with it
        return None
    return length


def _file_length(body: Any, start: int | None) -> int | None:
    if start is None or not seekable(body):
        return _size_of_descriptor(body, start)
    try:
        # Not fstat(): the descriptor of a GzipFile, for one, is that of the compressed file.
        body.seek(0, os.SEEK_END)
        end = body.tell()
        body.seek(start)
        if end <= start and body.read(1):
            body.seek(start)
            return None
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    return end - start if end > start else 0


def _size_of_descriptor(body: Any, start: int | None) -> int | None:
    """Return the length of what has a descriptor and cannot be sought by its own methods."""
    try:
        state = os.fstat(body.fileno())
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    # A pipe or a socket has no size, and 0 may stand for not known.
    if not stat.S_ISREG(state.st_mode) or not state.st_size:
        return None
    return max(0, state.st_size - (start or 0))
