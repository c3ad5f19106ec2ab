"""The JSONL that results go to: each line whole, and a file that says what is done already."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import stat
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from hashlib import blake2b
from types import NoneType
from typing import Any, Final

from gevent.socket import wait_write

__all__ = [
    "Done", "Journal", "JournalError", "Output", "ended_at", "final_records", "key_of",
]  # fmt: skip

#: So much can be written into a pipe that is ready without waiting (POSIX's PIPE_BUF on Linux).
_AT_ONCE: Final = 4096
#: Seconds that no request has taken.
_AGE: Final = 1e9
_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, sort_keys=True, default=str)


class JournalError(Exception):
    """The file cannot be what results go to; says why and what to do."""


def key_of(fields: dict[str, Any]) -> bytes:
    """Return what tells one input from others, in as little as very many ask for."""
    return blake2b(_ENCODER.encode(fields).encode("ascii"), digest_size=8).digest()


class Output:
    """Writes lines to a descriptor: a pipe or a terminal holds back nobody but who writes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        mode = os.fstat(descriptor).st_mode
        waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
        self._poll = select.poll() if waits else None
        if self._poll is not None:
            self._poll.register(descriptor, select.POLLOUT)

    def write(self, line: bytes) -> None:
        """Write a line. May switch greenlets.

        Raises:
            BrokenPipeError: nobody reads any more.
            OSError: it cannot be written, such as for lack of space.
        """
        view = memoryview(line)
        while view:
            if self._poll is not None:
                while not self._poll.poll(0):
                    wait_write(self._descriptor)
                view = view[os.write(self._descriptor, view[:_AT_ONCE]) :]
            else:
                view = view[os.write(self._descriptor, view) :]

    def close(self) -> None:
        """End; the descriptor is somebody else's."""


class Journal:
    """A JSONL file that results are added to, by one process at a time.

    Args:
        path: the file; it is made where there is none.
        resume: go on with what is in it; else it must be empty.
        overwrite: begin anew with what is there.

    Raises:
        JournalError: it is there already, is written by another process, or cannot be opened.

    Attributes:
        written: lines that `write` has added.
    """

    def __init__(self, path: str, resume: bool = False, overwrite: bool = False) -> None:
        self.path = path
        self.written: int = 0
        #: The file's size, at the end of its last whole line; None where it is no file.
        self._end: int | None = None
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, 0o666)
        except OSError as error:
            raise JournalError(f"{path} cannot be written: {error.strerror}") from error
        try:
            self._begin(resume, overwrite)
        except BaseException:  # an interrupt, too
            os.close(self._descriptor)
            raise

    def _begin(self, resume: bool, overwrite: bool) -> None:
        facts = os.fstat(self._descriptor)
        if not stat.S_ISREG(facts.st_mode):
            if resume:
                raise JournalError(f"{self.path} is no file, so nothing can be resumed from it")
            return
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                raise JournalError(f"another process writes to {self.path}") from error
            # A file system without locks.
        self._end = facts.st_size
        if resume:
            self._drop_half_line()
        elif overwrite:
            os.ftruncate(self._descriptor, 0)
            self._end = 0
        elif facts.st_size:
            raise JournalError(
                f"{self.path} is there already: --resume goes on with it, --overwrite begins anew"
            )

    def _drop_half_line(self) -> None:
        """Cut off what a crash or a full disk has left of a line."""
        assert self._end is not None
        at = self._end
        while at > 0:
            begin = max(at - 65536, 0)
            piece = os.pread(self._descriptor, at - begin, begin)
            found = piece.rfind(b"\n")
            if found >= 0:
                at = begin + found + 1
                break
            at = begin
        if at != self._end:
            os.ftruncate(self._descriptor, at)
            self._end = at

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield what is in it, one after the other.

        Raises:
            JournalError: a line is no record of ours.
        """
        with open(self.path, "rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    record = json.loads(line)
                    if not _is_record(record):
                        raise ValueError
                except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
                    raise JournalError(
                        f"{self.path}: line {number} is no result of reqkit fetch; give a file of"
                        " its own"
                    ) from error
                yield record

    def write(self, lines: bytes) -> None:
        """Add lines: each whole, or not at all.

        Raises:
            OSError: it cannot be written; what was written of a line is taken back.
        """
        view = memoryview(lines)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            whole = lines.rfind(b"\n", 0, len(lines) - len(view)) + 1
            self.written += lines.count(b"\n", 0, whole)
            if self._end is not None:
                self._end += whole
                os.ftruncate(self._descriptor, self._end)
            raise
        self.written += lines.count(b"\n")
        if self._end is not None:
            self._end += len(lines)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _is_record(record: Any) -> bool:
    """Tell whether what a line has is a record of ours, in all that is read of it again.

    Raises:
        ValueError, KeyError, TypeError, OverflowError: it is none.
    """
    error, seconds = record["error"], record["seconds"]
    ended_at(record)
    return (
        isinstance(record["input"], dict)
        and isinstance(record["ok"], bool)
        and isinstance(record["bytes"], int)
        and isinstance(record["status"], (int, NoneType))
        and isinstance(record["url"], (str, NoneType))
        and isinstance(record.get("file"), (str, NoneType))
        and (seconds is None or 0 <= float(seconds) < _AGE)
        and (error is None or isinstance(error["type"] + error["message"], str))
    )


def ended_at(record: dict[str, Any]) -> float:
    """Return when a record's request has ended, in seconds of ``time.time()``."""
    return datetime.fromisoformat(record["ended"][:-1] + "+00:00").timestamp()


class Done:
    """Which inputs need not be fetched any more, by the records of earlier runs.

    An input may be there several times: each record stands for one of them. A record of an input
    that was fetched once more has ``again``, and takes the place of a failed one.

    Args:
        failed: have failures fetched once more.
    """

    def __init__(self, failed: bool) -> None:
        self._failed = failed
        self._good: Counter[bytes] = Counter()
        self._bad: Counter[bytes] = Counter()

    def add(self, record: dict[str, Any]) -> None:
        """Count a record."""
        key = key_of(record["input"])
        if record.get("again"):
            self._bad[key] -= 1
        if record["ok"]:
            self._good[key] += 1
        else:
            self._bad[key] += 1

    def take(self, fields: dict[str, Any]) -> bool | None:
        """Ask whether an input is done.

        Returns:
            True: it is; None: it is to be fetched; False: it is to be fetched again.
        """
        if not self._good and not self._bad:
            return None
        key = key_of(fields)
        if self._good[key] > 0:
            self._good[key] -= 1
            return True
        if self._bad[key] > 0:
            self._bad[key] -= 1
            return not self._failed
        return None


def final_records(journal: Journal) -> Iterator[dict[str, Any]]:
    """Yield the records that stand: without the failures that others have taken the place of."""
    replaced: Counter[bytes] = Counter()
    for record in journal.records():
        if record.get("again"):
            replaced[key_of(record["input"])] += 1
    for record in journal.records():
        if replaced and not record["ok"]:
            key = key_of(record["input"])
            if replaced[key] > 0:
                replaced[key] -= 1
                continue
        yield record
