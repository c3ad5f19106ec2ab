"""Writing URLs down that were added: each of a million takes its time here."""

from __future__ import annotations

import math
import sqlite3
import time
from collections.abc import Callable
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from .canonical import host_of
from .turns import Add, Shape, Turn

__all__ = ["Inserter"]

#: URLs that are written before others may run.
AT_ONCE: Final = 1000
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
_COLUMNS: Final = (
    "INSERT INTO page (fingerprint, url, host, added, kind, priority, depth, seed, redirects,"
    " context, found_on) VALUES"
)
_INSERT: Final = f"{_COLUMNS} (?,?,?,?,?,?,?,?,?,?,?)"

# Of an `Add`.
_likeness = itemgetter(2, 3)
_itself = itemgetter(0, 1)


class Inserter:
    """Writes new URLs, with their hosts and where a crawl begins.

    Args:
        db: the store's connection.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        #: Numbers of hosts, by name and by origin.
        self._hosts: dict[str, int] = {}
        self._origins: dict[str, int] = {}
        #: Origins that the crawl is known to begin at.
        self._seeded: set[str] = set()

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
        added = time.time()
        adds = list(turn.adds.values())
        for start in range(0, len(adds), AT_ONCE):
            self._insert_some(turn, adds[start : start + AT_ONCE], added)
            if breathe is not None:
                breathe()

    def _insert_some(self, turn: Turn, adds: list[Add], added: float) -> None:
        """Write URLs in their order; those that follow each other and are alike all at once."""
        others: list[tuple[Any, ...]] = []
        for (origin, shape), group in groupby(adds, _likeness):
            alike = list(map(_itself, group))
            host = self._host_of(turn, origin, alike[0][1], shape)
            # What is a number and nobody's text may stand in the statement: fewer values to bind.
            if len(alike) < _MANY or shape[5] is not None or not -_PLAIN < shape[1] < _PLAIN:
                others += [(*add, host, added, *shape) for add in alike]
                continue
            if others:
                self._db.executemany(_INSERT, others)
                others = []
            kind, priority, depth, seed, redirects, _, found_on = shape
            if found_on is None:
                self._db.executemany(
                    f"{_COLUMNS} (?,?,{int(host)},{float(added)!r},{int(kind)},{priority!r},"
                    f"{int(depth)},{int(seed)},{int(redirects)},NULL,NULL)",
                    alike,
                )
            else:  # another statement for each page would have to be prepared
                self._db.executemany(
                    f"{_COLUMNS} (?,?,?,?,{int(kind)},{priority!r},{int(depth)},{int(seed)},"
                    f"{int(redirects)},NULL,?)",
                    [(*add, host, added, found_on) for add in alike],
                )
        if others:
            self._db.executemany(_INSERT, others)

    def _host_of(self, turn: Turn, origin: str, url: str, shape: Shape) -> int:
        """Return the number of an origin's host; the turn hears of it, and the store of a start."""
        host = self._origins.get(origin)
        if host is None:
            host = self._origins[origin] = self.host_id(host_of(url))
        if shape[1] > turn.hosts.get(host, -math.inf):
            turn.hosts[host] = shape[1]
        if shape[3] and origin not in self._seeded:
            self._db.execute(_START, (origin, not shape[4]))
            self._seeded.add(origin)
        return host
