"""What the disk is asked to keep: in another thread, so that the loop never waits for it.

A commit puts its pages at the end of SQLite's write-ahead log, in the system's memory: the death of
a process takes nothing away. For the death of the machine, the log and the archive are synced once
a second. The log's pages are moved into the file ("checkpointed") when there are many.

Source: https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.event import Event

from reqkit.base.file_descriptors import with_room

__all__ = ["Checkpointer"]

#: Seconds between two syncs.
_EVERY: Final = 1.0
#: Bytes of the log from which it is moved into the file.
_LOG: Final = 16 << 20
#: Bytes of the log from which writing waits until it can be begun anew.
_LONG_LOG: Final = 64 << 20


class Checkpointer:
    """Syncs and checkpoints a store, as long as it is open.

    Args:
        path: the store's file.
        sync_first: what must be on the disk before the log is: called in the thread.

    Attributes:
        writable: cleared for the short time that nothing may be written.
    """

    def __init__(self, path: Path, sync_first: Any) -> None:
        self._path = path
        self._log = path.with_name(path.name + "-wal")
        self._sync_first = sync_first
        self._synced = -1
        self._greenlet: Any = None
        self.changes = 0
        self.writable: Event = Event()
        self.writable.set()

    def start(self) -> None:
        """Begin; the calling thread's hub does it."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._keep)

    def stop(self) -> None:
        """End, when what it does now has ended, and leave little for the store's closing to do."""
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()
            with contextlib.suppress(OSError, sqlite3.Error):
                gevent.get_hub().threadpool.apply(self._checkpoint, ("PASSIVE",))

    def _keep(self) -> None:
        pool = gevent.get_hub().threadpool
        while True:
            gevent.sleep(_EVERY)
            if self._synced == self.changes:
                continue
            self._synced = self.changes
            try:
                size = pool.apply(self._sync)
                if size > _LOG:
                    pool.apply(self._checkpoint, ("PASSIVE",))
                if size > _LONG_LOG:
                    self.writable.clear()
                    try:
                        pool.apply(self._checkpoint, ("RESTART",))
                    finally:
                        self.writable.set()
            except (OSError, sqlite3.Error):
                # A full disk, say: the next commit will say so, and nothing is lost by waiting.
                self._synced = -1

    def _sync(self) -> int:
        self._sync_first()
        try:
            log = with_room(lambda: os.open(self._log, os.O_RDONLY | os.O_CLOEXEC))
        except FileNotFoundError:
            return 0
        try:
            os.fsync(log)
            return os.fstat(log).st_size
        finally:
            os.close(log)

    def _checkpoint(self, how: str) -> None:
        db = sqlite3.connect(str(self._path), isolation_level=None, timeout=0.05)
        with contextlib.closing(db):
            db.execute("PRAGMA synchronous=NORMAL")
            db.execute(f"PRAGMA wal_checkpoint({how})").fetchone()
