"""The files of a download that is under way: the part, and a note of what it is a part of.

They lie beside the file that is to be, as ``NAME.part`` and ``NAME.part.version``, in a folder
where other files may have such names: a server names its files as it likes, and two URLs may be
downloaded to one place. So a part is gone on with only where its note says that it is of the same
URL and version, and a note counts only if it is one of ours: it holds the numbers (inodes) that the
file system has given to the note itself and to the part, which nobody can have put into a file that
was downloaded. What is not ours is left alone, and another name taken: ``NAME.1.part``.

A note also says how large the part was, and when it was last written, when it was left in good
order: one that somebody has written over since then is begun anew.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

from ...base.file_descriptors import SHORTAGES, with_room
from ...base.locks import native_rlock

_fcntl: Any = None
with contextlib.suppress(ImportError):  # Windows has none
    _fcntl = importlib.import_module("fcntl")

__all__ = ["Found", "Partial", "part_of"]

#: How many names are tried for a part.
_MOST_NAMES: Final = 1000
_FIRST_LINE: Final = "reqkit download 2"
_LARGEST_NOTE: Final = 16384
#: What a note says of how its part was left: always as long, so that it is written at one go.
_STATE_SIZE: Final = 64

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
        whole: whether it had all that is to be in its file.
    """

    __slots__ = (
        "_file", "_finished", "_head", "_key", "_note", "_noted", "_what", "path", "size",
        "version", "whole",
    )  # fmt: skip

    path: Path

    def __init__(self, target: Path, what: str) -> None:
        self._what = what
        self.size: int = 0
        self.version: str | None = None
        self.whole: bool = False
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
        self.whole = False
        self._write_note(version)

    def end(self) -> None:
        """Note that the part has all of its file, before that is looked into."""
        self._file.flush()
        self.whole = True
        self._write_state()

    def go_on(self) -> None:
        """Note that the part is written to, before it is."""
        self.whole = False
        self._write_state("open")

    def finish(self, target: Path) -> None:
        """Have the part, which is whole, take its file's name."""
        try:
            self._file.flush()
            if _fcntl is None:  # Windows renames nothing that is open
                self._file.close()
            os.replace(self.path, target)
            self._finished = True
            with contextlib.suppress(OSError):
                # Another one may have found that there is no part, and have begun one.
                if self._note.lstat().st_ino == self._noted:
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
        # What a full disk has not taken fails once more here, and was said already.
        with contextlib.suppress(OSError):
            if not self._finished and not self._file.seek(0, os.SEEK_END):
                for path in (self.path, self._note):
                    with contextlib.suppress(OSError):
                        path.unlink()
            elif not self._finished:
                self._write_state()
        with contextlib.suppress(OSError):
            _unlock(self._file.fileno())  # a child process has its own copy of what is open
        with contextlib.suppress(OSError):
            self._file.close()

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
                path.unlink(missing_ok=True)
        part, note = _state(self.path), _state(self._note)
        if note is not None:
            noted = _read_note(self._note, note.st_ino)
            if noted is None:
                return False
            if part is not None:
                return part.st_ino == noted.part and self._open_again(noted)
            with contextlib.suppress(FileNotFoundError):
                self._note.unlink()  # of a part that somebody has removed
        elif part is not None:
            return False
        descriptor = _opened(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
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

    def _open_again(self, noted: _Noted) -> bool:
        """Open a part that its note vouches for."""
        try:
            descriptor = _opened(self.path, os.O_RDWR)
        except FileNotFoundError:  # it has taken its file's name just now
            return False
        file = os.fdopen(descriptor, "r+b")
        state = os.fstat(descriptor)
        ours = state.st_ino == noted.part and stat.S_ISREG(state.st_mode) and _lock(descriptor)
        # Who had the lock may have had the part take its file's name, or removed it.
        now = _state(self.path) if ours else None
        if now is None or now.st_ino != noted.part:
            file.close()
            return False
        self._file = file
        self._noted, self._head = noted.note, noted.head
        state = os.fstat(descriptor)
        if noted.what == self._what and noted.fits(state):
            self.size = state.st_size
            self.version = noted.version
            self.whole = noted.whole_at(state)
        return True

    def _write_note(self, version: str | None) -> None:
        if version is not None and (not version.isprintable() or len(version) > 4096):
            version = None  # what cannot be asked for
        with contextlib.suppress(FileNotFoundError):
            self._note.unlink()
        with open(_opened(self._note, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            self._noted = os.fstat(file.fileno()).st_ino
            lines = [
                _FIRST_LINE,
                f"note {self._noted}",
                f"part {os.fstat(self._file.fileno()).st_ino}",
                self._what,
                "",
            ]
            head = "\n".join(lines)
            self._head = len(head)
            lines = ["open".ljust(_STATE_SIZE), *([] if version is None else [version]), ""]
            file.write((head + "\n".join(lines)).encode("latin-1"))

    def _write_state(self, name: str = "") -> None:
        """Note how the part is now."""
        if not name:
            state = os.fstat(self._file.fileno())
            name = "whole" if self.whole else "left"
            name = f"{name} {state.st_size} {state.st_mtime_ns}"
        try:
            descriptor = _opened(self._note, os.O_WRONLY)
        except FileNotFoundError:  # somebody has removed it, and nobody will go on with the part
            return
        with open(descriptor, "wb", buffering=0) as file:
            if os.fstat(file.fileno()).st_ino == self._noted:
                file.seek(self._head)
                file.write(name.ljust(_STATE_SIZE).encode("latin-1"))


class _Noted(NamedTuple):
    """What a note says.

    Attributes:
        note: its own number.
        part: its part's.
        what: what that is a part of.
        state: how it was left.
        version: what told its version.
        head: how many bytes there are before the state.
    """

    note: int
    part: int
    what: str
    state: str
    version: str | None
    head: int

    def fits(self, state: Any) -> bool:
        """Tell whether a part may be what was left.

        One of another size may have grown before a crash, or have lost its end in one; one of the
        same size that was written since then has other bytes.
        """
        _, size, when = (*self.state.split(" "), "", "")[:3]
        return size != str(state.st_size) or when == str(state.st_mtime_ns)

    def whole_at(self, state: Any) -> bool:
        """Tell whether the part has all of its file."""
        return self.state == f"whole {state.st_size} {state.st_mtime_ns}"


class Found(NamedTuple):
    """A part that is there: its bytes, what tells their version, and whether these are all."""

    size: int
    version: str | None
    whole: bool


def part_of(target: Path, what: str) -> Found | None:
    """Look for a part that a download could go on with, and leave it as it is.

    Args:
        target: the file that it is to become.
        what: what is downloaded, as for `Partial`.

    Returns:
        what is known of it; None where there is none.
    """
    for number in range(_MOST_NAMES):
        between = f".{number}" if number else ""
        path = target.with_name(f"{target.name}{between}.part")
        beside = path.with_name(path.name + ".version")
        part, note = _state(path), _state(beside)
        if part is None and note is None:
            break
        noted = None if note is None else _read_note(beside, note.st_ino)
        if part is None or noted is None or part.st_ino != noted.part:
            continue
        if noted.what != what or not part.st_size or not noted.fits(part):
            break
        return Found(part.st_size, noted.version, noted.whole_at(part))
    return None


def _read_note(path: Path, number: int) -> _Noted | None:
    """Return what a note says; None if it is no note of ours.

    Args:
        path: the note.
        number: its own.
    """
    try:
        with open(_opened(path, os.O_RDONLY), "rb") as file:
            lines = file.read(_LARGEST_NOTE).decode("latin-1").split("\n")
    except OSError as error:
        if error.errno in SHORTAGES:
            raise  # it may be one of ours
        return None
    if len(lines) not in (6, 7) or lines[0] != _FIRST_LINE or lines[-1]:
        return None
    if lines[1] != f"note {number}" or len(lines[4]) != _STATE_SIZE:
        return None
    name, _, digits = lines[2].partition(" ")
    if name != "part" or not digits.isdecimal() or len(digits) > 40:
        return None
    head = sum(len(line) + 1 for line in lines[:4])
    version = lines[5] if len(lines) == 7 else None
    return _Noted(number, int(digits), lines[3], lines[4].rstrip(), version, head)


#: Neither through a link nor waiting for somebody at a FIFO's other end.
_SAFELY: Final = (
    getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
)


def _opened(path: Path, flags: int) -> int:
    """Open a file here, and return its descriptor. May wait until there is one."""
    return with_room(lambda: os.open(path, flags | _SAFELY, 0o666))


class _NoFile:
    """Stands for what is there and is no file: a folder, a FIFO, a socket."""

    st_ino = -1
    st_size = 0
    st_mtime_ns = 0


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


def _unlock(descriptor: int) -> None:
    if _fcntl is not None:
        _fcntl.flock(descriptor, _fcntl.LOCK_UN)
