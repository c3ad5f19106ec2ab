"""One crawl at a time for a store, by a lock that ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from reqkit.base.file_descriptors import SHORTAGES, TOO_MANY, with_room

from .errors import StoreError, StoreInUse

__all__ = ["Lock", "lock_now"]


class Lock:
    """A lock on a store; ``STORE-lock`` beside it is the file that carries it.

    It is no lock on the store itself: SQLite has its own there, which closing the file would end.

    Args:
        path: the store's.

    Raises:
        StoreInUse: another process, or another crawl of this one, has it.
        StoreError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + "-lock")
        while True:
            try:
                self._file = with_room(self._open)
            except OSError as error:
                if error.errno in SHORTAGES:
                    raise StoreError(f"the store {path} cannot be locked: {TOO_MANY}") from error
                raise StoreError(
                    f"the store {path} cannot be locked: {error}; it needs a folder that can be"
                    " written to"
                ) from error
            try:
                lock_now(self._file)
            except BlockingIOError as error:
                owner = _owner(self._file)
                os.close(self._file)
                raise StoreInUse(
                    f"the store {path} is in use by another crawl{owner}: end that one first, or"
                    " take another file"
                ) from error
            except OSError as error:
                os.close(self._file)
                raise StoreError(
                    f"the store {path} cannot be locked: {error}; take a file system that has locks"
                ) from error
            if self._is_there():
                break
            os.close(self._file)  # who had it took it away when it ended
        with contextlib.suppress(OSError):  # a full disk: it is only for those who read it
            os.ftruncate(self._file, 0)
            os.write(self._file, f"{os.getpid()}\n".encode())

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Let go of it. May be called again."""
        if self._file >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._file)
            self._file = -1


def lock_now(file: int) -> None:
    """Lock an open file for this process, until it is closed.

    Raises:
        BlockingIOError: another one has it.
        OSError: it cannot be locked at all.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except PermissionError as error:  # as some file systems say it
        raise BlockingIOError(error.errno, error.strerror) from error


def _owner(file: int) -> str:
    try:
        number = os.pread(file, 20, 0).decode("ascii", "replace").strip()
    except OSError:
        return ""
    return f" (process {number})" if number.isdigit() else ""
