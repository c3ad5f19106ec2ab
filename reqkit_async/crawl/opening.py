"""Opening a store's file, making one, and bringing an older one up to date.

What is no store, or one of a newer version, is left as it is.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

from reqkit.base.file_descriptors import TOO_MANY, shortage, with_room

from .errors import NotAStore, StoreError, StoreTooNew
from .schema import APPLICATION_ID, SCHEMA, UPGRADE, VERSION

__all__ = ["connect", "opened"]

_MAGIC: Final = b"SQLite format 3\0"


def connect(path: str) -> sqlite3.Connection:
    """Open a file of SQLite's; whoever calls begins and ends transactions."""
    return sqlite3.connect(path, isolation_level=None, cached_statements=256, timeout=5.0)


def opened(path: Path) -> sqlite3.Connection:
    """Open a store's file, or make one. Whatever is not a store is not touched.

    Where there is no descriptor left, idle connections give way.
    """
    try:
        return with_room(lambda: _opened(path))
    except OSError as error:
        raise StoreError(f"the store {path} cannot be opened: {error}") from error


def _opened(path: Path) -> sqlite3.Connection:
    try:
        _check(path)
        if not path.exists() or not path.stat().st_size:
            _make(path)
        if not os.access(path, os.W_OK):
            raise StoreError(
                f"the store {path} cannot be written: it is read-only; give it write permission"
            )
        db = connect(str(path))
    except sqlite3.Error as error:
        _check_descriptors(error)
        raise StoreError(
            f"the store {path} cannot be made: {error}; make room on its disk, or take another"
        ) from error
    try:
        db.execute("PRAGMA journal_mode=WAL")
        if db.execute("PRAGMA user_version").fetchone()[0] < VERSION:
            db.executescript(f"BEGIN IMMEDIATE;{UPGRADE}COMMIT;")
        return db
    except sqlite3.Error as error:
        db.close()
        _check_descriptors(error)
        raise StoreError(f"the store {path} cannot be opened: {error}") from error


def _check_descriptors(error: sqlite3.Error) -> None:
    """See that there is a descriptor left: SQLite does not say so where there is none.

    Raises:
        OSError: there is none.
    """
    short = shortage(error)
    if short is not None:
        raise OSError(short.errno, TOO_MANY) from error


def _check(path: Path) -> None:
    """See that a file is a store, by its first bytes: SQLite would change what it opens.

    Source: https://www.sqlite.org/fileformat2.html section 1.3
    """
    if path.is_dir():
        raise NotAStore(f"{path} is a folder: expected the name of a file for the store")
    try:
        with path.open("rb") as file:
            head = file.read(100)
    except FileNotFoundError:
        return
    if not head:
        return
    application = int.from_bytes(head[68:72], "big")
    version = int.from_bytes(head[60:64], "big")
    if len(head) < 100 or head[:16] != _MAGIC or application != APPLICATION_ID:
        raise NotAStore(
            f"{path} is no store of a crawl: it was left as it is; give the name of another file"
        )
    if version > VERSION:
        raise StoreTooNew(
            f"the store {path} has version {version}, and this reqkit knows {VERSION} at most: it"
            " was left as it is; take a newer reqkit, or another file"
        )


def _make(path: Path) -> None:
    """Make an empty store, whole or not at all."""
    new = path.with_name(path.name + "-new")
    new.unlink(missing_ok=True)
    try:
        db = connect(str(new))
        try:
            db.executescript(f"BEGIN;{SCHEMA}COMMIT;")
        finally:
            db.close()
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)
        new.with_name(new.name + "-journal").unlink(missing_ok=True)
