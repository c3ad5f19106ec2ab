"""Writing URLs down that were added: each of a million takes its time here."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Final

from .canonical import host_of
from .turns import Add, Shape, Turn

__all__ = ["MASK", "Inserter"]

#: Bytes of the filter that tells most unknown URLs from known ones without looking them up.
_FILTER: Final = 1 << 24
MASK: Final = _FILTER - 1
#: A store with more URLs does without: reading all of their keys takes too long.
_MOST_FILTERED: Final = 2_000_000
#: URLs that are written before others may run.
_AT_ONCE: Final = 1000
#: URLs alike from which it pays to have a statement made for them.
_MANY: Final = 16
#: A number that is less is the same in SQL's text.
_PLAIN: Final = 1 << 53
#: Names of hosts that are remembered with their numbers.
_MOST_HOSTS: Final = 50_000

_START: Final = (
    "INSERT INTO start VALUES (?,?) ON CONFLICT (origin) DO UPDATE SET trusted ="
    " max(trusted, excluded.trusted)"
)
_INSERT: Final = (
    "INSERT INTO page (fingerprint, url, host, added, kind, priority, depth, seed, redirects,"
    " context, found_on) VALUES (?,?,?,?,?,?,?,?,?,?,?)"
)


class Inserter:
    """Writes new URLs, with their hosts and where a crawl begins.

    Args:
        db: the store's connection.
        known: how many URLs are in it.

    Attributes:
        filter: tells most unknown URLs from known ones; None where there are too many.
    """

    def __init__(self, db: sqlite3.Connection, known: int) -> None:
        self._db = db
        #: Numbers of hosts, by name and by origin.
        self._hosts: dict[str, int] = {}
        self._origins: dict[str, int] = {}
        #: Origins that the crawl is known to begin at.
        self._seeded: set[str] = set()
        self.filter: bytearray | None = None
        if known <= _MOST_FILTERED:
            self.filter = bits = bytearray(_FILTER)
            for (key,) in db.execute("SELECT fingerprint FROM page"):
                bits[key >> 3 & MASK] |= 1 << (key & 7)

    def forget(self) -> None:
        """Look hosts up anew: the transaction that has added some was undone."""
        self._hosts.clear()
        self._origins.clear()
        self._seeded.clear()

    def host_id(self, name: str) -> int:
        """Return the number of a host; a new one gets one with the next transaction."""
        found = self._hosts.get(name)
        if found is None:
            row = self._db.execute("SELECT id FROM host WHERE name=?", (name,)).fetchone()
            if row is None:
                found = self._db.execute("INSERT INTO host (name) VALUES (?)", (name,)).lastrowid
                assert found is not None
            else:
                found = row[0]
            if len(self._hosts) >= _MOST_HOSTS:
                self._hosts.clear()
                self._origins.clear()
            self._hosts[name] = found
        return found

    def insert(self, turn: Turn, breathe: Callable[[], None] | None) -> None:
        """Write what was added, in a transaction that is open.

        Args:
            turn: what was added; its hosts are filled in.
            breathe: called now and then while much is written; None for nothing.
        """
        rows = list(turn.adds.values())
        for start in range(0, len(rows), _AT_ONCE):
            for shape, alike in groupby(rows[start : start + _AT_ONCE], itemgetter(3)):
                self._insert_alike(turn, shape, alike)
            if breathe is not None:
                breathe()

    def _insert_alike(self, turn: Turn, shape: Shape, adds: Iterable[Add]) -> None:
        """Write URLs that were added one after the other, and have all but themselves alike."""
        kind, priority, depth, seed, redirects, context, found_on = shape
        known, origins = self.filter, self._origins
        added = time.time()
        rows = []
        last, host = "", 0
        for key, url, origin, _ in adds:
            if origin != last:
                last = origin
                found = origins.get(origin)
                if found is None:
                    found = origins[origin] = self.host_id(host_of(url))
                host = found
                if priority > turn.hosts.get(host, -math.inf):
                    turn.hosts[host] = priority
                if seed and origin not in self._seeded:
                    self._db.execute(_START, (origin, not redirects))
                    self._seeded.add(origin)
            if known is not None:
                known[key >> 3 & MASK] |= 1 << (key & 7)
            rows.append((key, url, host, added))
        # What is a number and nobody's text may stand in the statement: fewer values to be bound.
        if context is None and -_PLAIN < priority < _PLAIN and len(rows) >= _MANY:
            statement = (
                "INSERT INTO page (fingerprint, url, host, added, kind, priority, depth, seed,"
                f" redirects, found_on) VALUES (?,?,?,?,{int(kind)},{priority!r},{int(depth)},"
                f"{int(seed)},{int(redirects)},"
            )
            if found_on is None:
                self._db.executemany(statement + "NULL)", rows)
            else:  # another one for each page
                self._db.executemany(statement + "?)", [(*row, found_on) for row in rows])
        else:
            rest = (kind, priority, depth, seed, redirects, context, found_on)
            self._db.executemany(_INSERT, [row + rest for row in rows])
