"""Bodies that are read while they are sent: how long they are, their pieces, and once more.

What is asked of a file is ``read(size)``. Its length is known if it can be sought, and so is how to
send it again. It is sent from where it stood when the request was made, each time that it is sent:
what reads it meanwhile (a hook, another message that is sent at the same time) changes nothing. A
file opened in text mode is sent as UTF-8; it is read through once to find out how many bytes that
makes.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import stat
import types
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Collection, Iterable, Iterator
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from ...base.locks import native_rlock
from ...exceptions import RequestException, UnrewindableBodyError

__all__ = [
    "PIECE",
    "Body",
    "FileAt",
    "Positions",
    "ReadOnce",
    "Readable",
    "Restartable",
    "content_length",
    "is_streamed",
    "locked",
    "pieces",
    "position",
    "refuse_unreadable",
    "rewind",
]

#: How many bytes of a file are read at a time.
PIECE: Final = 64 * 1024


@runtime_checkable
class Readable(Protocol):
    """What can be read like a file."""

    def read(self, size: int, /) -> Any:
        """Return up to ``size`` bytes (or characters); none at the end."""


class Restartable(ABC):
    """A body of ours that starts anew whenever it is iterated over."""

    @property
    @abstractmethod
    def len(self) -> int | None:
        """Its length in bytes, or None where that is not known."""

    @property
    @abstractmethod
    def restarts(self) -> bool:
        """Whether it can be iterated over a second time."""

    @abstractmethod
    def __iter__(self) -> Iterator[bytes]:
        """Iterate over its pieces, from the start."""


class FileAt(Restartable):
    """The file at a path: opened whenever it is to be read, and closed whatever ends that.

    Args:
        path: where it is.
        argument: what the user calls it, for the text of errors.

    Raises:
        OSError: there is none, or it cannot be opened.
        ValueError: it is no file: a folder, a device, a pipe.
    """

    def __init__(self, path: str | bytes, argument: str) -> None:
        self.path: str | bytes = path
        try:
            state = os.stat(path)
            if stat.S_ISREG(state.st_mode):
                os.close(os.open(path, os.O_RDONLY))
        except OSError as error:
            text = f"{argument}: it cannot be read ({error.strerror}), and nothing was sent"
            raise type(error)(error.errno, text, os.fsdecode(path)) from error
        if not stat.S_ISREG(state.st_mode):
            what = "a folder" if stat.S_ISDIR(state.st_mode) else "neither a file nor a folder"
            raise ValueError(
                f"{argument}: {os.fsdecode(path)!r} is {what}: expected the path of a file, or an"
                " open one"
            )
        self._len: int = state.st_size

    @property
    def len(self) -> int:
        """Its length when this was made."""
        return self._len

    @property
    def restarts(self) -> bool:
        """True: it is opened anew."""
        return True

    def content(self) -> bytes:
        """Read all of it."""
        with open(self.path, "rb") as file:
            return file.read()

    def __iter__(self) -> Iterator[bytes]:
        """Open it, and iterate over its pieces."""
        with open(self.path, "rb") as file:
            while piece := file.read(PIECE):
                yield piece


class ReadOnce:
    """The position of a body that can be read but once. Shared by all messages that have the body.

    Attributes:
        begun: whether some of it may have been read.
    """

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun: bool = False


Body: TypeAlias = "bytes | str | Readable | Restartable | Iterable[bytes | str] | None"


def is_streamed(data: Any) -> bool:
    """Tell whether data is read while it is sent, rather than at hand as a whole.

    Raises:
        TypeError: it is an async iterable, which nothing here could wait for.
    """
    if hasattr(data, "read") or isinstance(data, Iterable):
        return not isinstance(data, (str, bytes, bytearray, memoryview))
    if isinstance(data, AsyncIterable):
        raise TypeError(
            f"data is a {type(data).__name__}, an async iterable: expected a plain iterable of"
            " bytes, or a file"
        )
    return False


def refuse_unreadable(file: Any, argument: str) -> None:
    """Find out now, rather than in the middle of sending, that a file cannot be read.

    Args:
        file: a file, or what is none and has nothing to refuse.
        argument: what the user calls it, for the error's text.

    Raises:
        ValueError: it is closed, or was opened for writing only.
    """
    if getattr(file, "closed", False) is True:
        raise ValueError(f"{argument} is a closed {type(file).__name__}: keep it open until sent")
    readable = getattr(file, "readable", None)
    if isinstance(file, io.IOBase) and callable(readable) and not readable():
        raise ValueError(
            f"{argument} is a {type(file).__name__} opened for writing only: open it with 'rb'"
        )
    if isinstance(file, types.GeneratorType) and file.gi_frame is None:
        raise UnrewindableBodyError(
            f"{argument} is a generator that was read to its end already: make a new one for each"
            " request, or give bytes"
        )


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
    length = _announced_length(body)
    if length is not None:
        # Of those that are files too, a part may have been read.
        start = _tell(body) or 0
        return max(0, length - start)
    if isinstance(body, Restartable) or not hasattr(body, "read"):
        return None
    with locked(body):
        at = start if isinstance(start, int) else _tell(body)
        return _text_length(body, at) if _is_text(body) else _file_length(body, at)


def _announced_length(body: Any) -> int | None:
    length = getattr(body, "len", None)
    if hasattr(body, "__len__") and (hasattr(body, "read") or not isinstance(body, Collection)):
        length = len(body)
    return length if isinstance(length, int) and length >= 0 else None


def _is_text(body: Any) -> bool:
    if isinstance(body, (io.TextIOBase, codecs.StreamReader, codecs.StreamReaderWriter)):
        return True
    mode = getattr(body, "mode", None)
    # Wrappers of files (tempfile) are no TextIOBase, but have one's encoding.
    return isinstance(mode, str) and "b" not in mode and hasattr(body, "encoding")


def _text_length(body: Any, start: int | None) -> int | None:
    if not isinstance(body, io.TextIOBase) or not _seekable(body) or start is None:
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
    if start is None or not _seekable(body):
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


def _tell(body: Any) -> int | None:
    try:
        start = body.tell()
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    return start if isinstance(start, int) else None


def _seekable(body: Any) -> bool:
    if not hasattr(body, "seek"):
        return False
    seekable = getattr(body, "seekable", None)
    try:
        return bool(seekable()) if callable(seekable) else True
    except (OSError, ValueError):
        return False


def position(body: Any) -> int | ReadOnce | None:
    """Return what `rewind` needs to know to have a body sent again.

    Returns: a file's position; None for what starts anew by itself (bytes, collections); a
        `ReadOnce` for what can be read but once.
    """
    if type(body) is bytes:  # as most are
        return None
    if isinstance(body, Restartable):
        return None if body.restarts else ReadOnce()
    if hasattr(body, "read"):
        start = _tell(body)
        return ReadOnce() if start is None or not _seekable(body) else start
    if body is None or isinstance(body, (str, memoryview, Collection)):
        return None
    # An iterable of a known length may start anew; if it does not, `pieces` finds it too short.
    again = not hasattr(body, "__next__") and _announced_length(body) is not None
    return None if again else ReadOnce()


class Positions:
    """Where the bodies of one request stood when it was first prepared.

    A request that is prepared again has them where they were, and not where sending has left them.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: list[tuple[Any, int | ReadOnce | None]] = []

    def of(self, body: Any) -> int | ReadOnce | None:
        """Return a body's position, and have the body stand there.

        Raises:
            UnrewindableBodyError: it was sent already, and cannot be read again.
        """
        with locked(body):
            for known, start in self._known:
                if known is body:
                    rewind(body, start)
                    return start
            start = position(body)
            self._known.append((body, start))
            return start


def rewind(body: Any, position: int | ReadOnce | None) -> None:
    """Make a body ready to be sent again.

    Args:
        body: the body.
        position: what `position` said before it was sent.

    Raises:
        UnrewindableBodyError: it cannot be; the text says why, and what to do.
    """
    if position is None:
        return
    kind = type(body).__name__
    if isinstance(position, ReadOnce):
        if not position.begun:
            return
        if isinstance(body, Restartable):
            why = "a part of it can be read only once"
        elif hasattr(body, "read"):
            why = "it cannot be sought (no seek(), or a pipe)"
        else:
            why = "an iterable can be read only once"
        raise UnrewindableBodyError(
            f"the body (a {kind}) was sent already, must be sent again (for a redirect, an auth"
            " challenge or a retry, or since the request is), and"
            f" {why}: give bytes, or a file that can be sought; or do without the redirect"
            " (allow_redirects=False)"
        )
    try:
        with locked(body):
            if _tell(body) != position:
                body.seek(position)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UnrewindableBodyError(
            f"the body (a {kind}) must be sent again, and going back to {position} in it failed:"
            f" {error}: keep the file open, or give bytes"
        ) from error


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


#: Files that are read just now, with a lock for each and how many want it: one message's position
#: must not become another's between a seek and a read. Its holder's greenlets may pass.
_being_read: Final[dict[int, list[Any]]] = {}
_guard: Final[Any] = native_rlock()


@contextlib.contextmanager
def locked(body: Any) -> Iterator[None]:
    """Have a file to oneself: no other thread seeks or reads it here meanwhile."""
    key = id(body)
    with _guard:
        entry = _being_read.setdefault(key, [native_rlock(), 0])
        entry[1] += 1
    try:
        with entry[0]:
            yield
    finally:
        with _guard:
            entry[1] -= 1
            if not entry[1]:
                _being_read.pop(key, None)


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
