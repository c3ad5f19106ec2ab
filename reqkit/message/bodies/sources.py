"""What a body may be made of: files, paths, what starts anew; and what cannot be read."""

from __future__ import annotations

import io
import os
import stat
import types
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

from ...base.file_descriptors import with_room
from ...exceptions import UnrewindableBodyError

__all__ = [
    "PIECE", "Body", "FileAt", "Readable", "Restartable", "is_streamed", "refuse_unreadable",
]  # fmt: skip

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
                os.close(with_room(lambda: os.open(path, os.O_RDONLY)))
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
        with with_room(lambda: open(self.path, "rb")) as file:
            return file.read()

    def __iter__(self) -> Iterator[bytes]:
        """Open it, and iterate over its pieces."""
        with with_room(lambda: open(self.path, "rb")) as file:
            while piece := file.read(PIECE):
                yield piece


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
