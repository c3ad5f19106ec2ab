"""The files of a download that is under way: the part, and a note of what it is a part of.

They lie beside the file that is to be, as ``NAME.part`` and ``NAME.part.version``, in a folder
where other files may have such names: a server names its files as it likes, and two URLs may be
downloaded to one place. So a part is gone on with only where its note says that it is of the same
URL and version, and a note counts only if it is one of ours: it holds the numbers (inodes) that the
file system has given to the note itself and to the part, which nobody can have put into a file that
was downloaded. What is not ours is left alone, and another name taken: ``NAME.1.part``.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
from pathlib import Path
from typing import IO, Any, Final

from ...base.locks import native_rlock

_fcntl: Any = None
with contextlib.suppress(ImportError):  # Windows has none
    _fcntl = importlib.import_module("fcntl")

__all__ = ["Partial", "part_of"]

#: How many names are tried for a part.
_MOST_NAMES: Final = 1000
_FIRST_LINE: Final = "reqkit download 1"
_LARGEST_NOTE: Final = 16384

#: The parts that this process writes now.
_under_way: Final[set[str]] = set()
_guard: Final[Any] = native_rlock()


class Partial:
    """A part that is being written: nobody else's meanwhile.

    Args:
        target: the file that it is to become.
        what: what is downloaded: one line; a part of something else is never gone on with.

    Raises:
        OSError: there is no place for it.

    Attributes:
        path: the part.
        size: how many bytes it had.
        version: what told the version that these are of, or None.
    """

    __slots__ = ("_file", "_finished", "_key", "_note", "_what", "path", "size", "version")

    path: Path

    def __init__(self, target: Path, what: str) -> None:
        self._what = what
        self.size: int = 0
        self.version: str | None = None
        self._finished = False
        for number in range(_MOST_NAMES):
            between = f".{number}" if number else ""
            self.path = target.with_name(f"{target.name}{between}.part")
            self._note = self.path.with_name(self.path.name + ".version")
            self._key = os.path.realpath(self.path.parent) + os.sep + self.path.name
            if self._take():
                return
        raise FileExistsError(
            f"{target}: there are {_MOST_NAMES} files named {target.name}.N.part, none of them of"
            " this download: remove them"
        )

    @property
    def file(self) -> IO[bytes]:
        """The part, open for writing."""
        file: IO[bytes] = self._file
        return file

    def begin(self, version: str | None) -> None:
        """Throw away what is there, and note of which version the part is to be."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0
        self._write_note(version)

    def finish(self, target: Path) -> None:
        """Have the part, which is whole, take its file's name."""
        try:
            self._file.flush()
            if _fcntl is None:  # Windows renames nothing that is open
                self._file.close()
            os.replace(self.path, target)
            self._finished = True
            with contextlib.suppress(OSError):
                self._note.unlink()
        finally:
            self.close()

    def close(self) -> None:
        """Leave the part to whoever goes on with it; one with nothing in it is removed."""
        try:
            if not self._file.closed:
                self._leave()
        finally:
            with _guard:
                _under_way.discard(self._key)

    def _leave(self) -> None:
        if self._finished:
            self._file.close()
            return
        # What a full disk has not taken fails once more here, and was said already.
        with contextlib.suppress(OSError):
            if not self._file.seek(0, os.SEEK_END):
                for path in (self.path, self._note):
                    with contextlib.suppress(OSError):
                        path.unlink()
        with contextlib.suppress(OSError):
            self._file.close()  # which unlocks it

    # -- whose it is ------------------------------------------------------------------------

    def _take(self) -> bool:
        """Take the part of this name, if it is free or of ours and nobody writes it."""
        with _guard:
            if self._key in _under_way:
                return False
            _under_way.add(self._key)
        taken = False
        try:
            taken = self._open()
        except FileExistsError:  # by another process, just now
            pass
        finally:
            if not taken:
                with _guard:
                    _under_way.discard(self._key)
        return taken

    def _open(self) -> bool:
        """Open the part; tell whether it may be written."""
        for path in (self.path, self._note):
            if path.is_symlink():  # never followed: anybody may have put one there
                path.unlink()
        part, note = _state(self.path), _state(self._note)
        if note is not None:
            noted = _read_note(self._note, note.st_ino)
            if noted is None:
                return False
            number, what, version = noted
            if part is not None:
                return part.st_ino == number and self._go_on(number, what, version)
            self._note.unlink()  # of a part that somebody has removed
        elif part is not None:
            return False
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFELY, 0o666)
        self._file = os.fdopen(descriptor, "r+b")
        if not _lock(descriptor):
            self._file.close()
            return False
        try:
            self._write_note(None)
        except BaseException:  # a full disk, say: without its note nobody could tell whose it is
            self._leave()
            raise
        return True

    def _go_on(self, number: int, what: str, version: str | None) -> bool:
        """Open a part that its note vouches for."""
        descriptor = os.open(self.path, os.O_RDWR | _SAFELY)
        file = os.fdopen(descriptor, "r+b")
        state = os.fstat(descriptor)
        if state.st_ino != number or not stat.S_ISREG(state.st_mode) or not _lock(descriptor):
            file.close()
            return False
        self._file = file
        if what == self._what:
            self.size = state.st_size
            self.version = version
        return True

    def _write_note(self, version: str | None) -> None:
        if version is not None and (not version.isprintable() or len(version) > 4096):
            version = None  # what cannot be asked for
        with contextlib.suppress(FileNotFoundError):
            self._note.unlink()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY
        with open(os.open(self._note, flags, 0o666), "wb") as file:
            lines = [
                _FIRST_LINE,
                f"note {os.fstat(file.fileno()).st_ino}",
                f"part {os.fstat(self._file.fileno()).st_ino}",
                self._what,
                *([] if version is None else [version]),
                "",
            ]
            file.write("\n".join(lines).encode("latin-1"))


def part_of(target: Path, what: str) -> tuple[int, str] | None:
    """Look for a part that a download could go on with, and leave it as it is.

    Args:
        target: the file that it is to become.
        what: what is downloaded, as for `Partial`.

    Returns:
        how many bytes it has, and of which version; None where there is none.
    """
    for number in range(_MOST_NAMES):
        between = f".{number}" if number else ""
        path = target.with_name(f"{target.name}{between}.part")
        beside = path.with_name(path.name + ".version")
        part, note = _state(path), _state(beside)
        if part is None and note is None:
            break
        noted = None if note is None else _read_note(beside, note.st_ino)
        if part is None or noted is None or part.st_ino != noted[0]:
            continue
        _, mine, version = noted
        if mine != what or version is None or not part.st_size:
            break
        return part.st_size, version
    return None


def _read_note(path: Path, number: int) -> tuple[int, str, str | None] | None:
    """Return the part's number, what it is of, and its version; None if it is no note of ours.

    Args:
        path: the note.
        number: its own.
    """
    try:
        with open(os.open(path, os.O_RDONLY | _SAFELY), "rb") as file:
            lines = file.read(_LARGEST_NOTE).decode("latin-1").split("\n")
    except OSError:
        return None
    if len(lines) not in (5, 6) or lines[0] != _FIRST_LINE or lines[-1]:
        return None
    if lines[1] != f"note {number}":
        return None
    name, _, digits = lines[2].partition(" ")
    if name != "part" or not digits.isdecimal() or len(digits) > 40:
        return None
    return int(digits), lines[3], (lines[4] if len(lines) == 6 else None)


#: Neither through a link nor waiting for somebody at a FIFO's other end.
_SAFELY: Final = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


class _NoFile:
    """Stands for what is there and is no file: a folder, a FIFO, a socket."""

    st_ino = -1
    st_size = 0


def _state(path: Path) -> Any:
    """Return what is known of a file, None where there is none."""
    try:
        state = os.lstat(path)
    except FileNotFoundError:
        return None
    return state if stat.S_ISREG(state.st_mode) else _NoFile


def _lock(descriptor: int) -> bool:
    """Keep other processes from writing it; tell whether none does."""
    if _fcntl is None:
        return True
    try:
        _fcntl.flock(descriptor, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True
