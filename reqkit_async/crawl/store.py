"""The store: one SQLite file that holds all a crawl knows, whatever happens to the process.

What counts is written in one transaction for each turn of the loop (`Store.commit`); what is only
useful (which pages are in flight, robots files) waits for the next one. Writing goes to SQLite's
write-ahead log, which takes some tens of microseconds; what may take longer, moving the log into
the file and having the disk keep it, is done by `syncing.Checkpointer` in another thread.

Another process may read the file meanwhile. A second crawl may not: `locking` sees to that.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import gevent

from reqkit.timeouts import clock

from .bloom import MOST, BloomFilter
from .canonical import fingerprint
from .errors import StoreError
from .inserting import AT_ONCE
from .locking import Lock
from .opening import connect, opened
from .pausing import let_others_run, with_pauses
from .schema import COLUMNS, DONE, FAILED, IN_FLIGHT, PAGE, QUEUED, REFUSED, SCHEMA, Page
from .totals import UPDATE_TOTALS, Totals
from .turns import End, Turn
from .writing import TurnWriter, requeue

__all__ = ["Store"]

#: URLs that are remembered as known, so that a link that every page has is not looked up each time.
_RECENT: Final = 20_000

#: Rows that are read before others run.
_LOOKED_AT: Final = 5000
#: Rows that are read by a statement before others run.
_READ_AT_ONCE: Final = 500
#: Pages by number that are queued again before others run.
_QUEUED_AT_ONCE: Final = 5000
#: Name of the setting that has `Store.counts`.
_COUNTS: Final = "counts"

_LIKE: Final = "SELECT url, kind FROM page WHERE fingerprint=?"
_QUEUE: Final = (
    f"SELECT {COLUMNS} FROM page WHERE host=? AND state=0 ORDER BY priority DESC, id LIMIT ?"
)


class Store:
    """An open store.

    Args:
        path: the file; None keeps all in memory.

    Attributes:
        path: the file, or None.
        totals: what is in it; what waits to be written is counted already.
        changes: counts what was committed, so that others see whether there is something new.
        additions: counts the commits that have added URLs: a turn that was open meanwhile may have
            one of these, too.
        busy_since: when the last page has ended, while a loop runs; else None.
        recent: URLs of pages that were seen lately, and are known.
        filter: what URLs are added to when they are admitted, and tells most unknown ones; None
            where there are too many.
        breathe: called now and then while much is written; None for nothing.
        run_counts: tells what has happened in this run that no page tells of (connections, errors
            of hooks), by name; None for nothing.

    Raises:
        NotAStore, StoreTooNew, StoreInUse, StoreError: it cannot be opened; it was not changed.
    """

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self.path: Path | None = None if path is None else Path(os.path.abspath(os.fspath(path)))
        self.changes: int = 0
        self.additions: int = 0
        self.busy_since: float | None = None
        self.breathe: Callable[[], None] | None = None
        self.run_counts: Callable[[], dict[str, int]] | None = None
        self._lock: Lock | None = None
        self._marks: dict[int, tuple[int, float]] = {}
        self._refusals: list[tuple[Any, ...]] = []
        self._robots: list[tuple[Any, ...]] = []
        self.recent: set[str] = set()
        if self.path is None:
            self._db = connect(":memory:")
            self._db.executescript(SCHEMA)
        else:
            self._lock = Lock(self.path)
            try:
                self._db = opened(self.path)
            except BaseException:  # an interrupt, too
                self._lock.release()
                raise
        try:
            self._begin()
        except sqlite3.Error as error:
            self.close()
            raise self._failed("read", error) from error
        except BaseException:  # likewise
            self.close()
            raise

    def _begin(self) -> None:
        db = self._db
        db.execute("PRAGMA synchronous=NORMAL")
        db.execute("PRAGMA wal_autocheckpoint=0")  # `Checkpointer` does it, in another thread
        db.execute("PRAGMA cache_size=-32768")
        db.execute("PRAGMA temp_store=MEMORY")
        # What was in flight when the last process ended is to be asked for again.
        db.execute(f"UPDATE page SET state={QUEUED} WHERE state={IN_FLIGHT}")
        self._counts_before: dict[str, int] = self.setting(_COUNTS) or {}
        self._counts_written = self._counts_before
        self.totals: Totals = Totals(db.execute("SELECT * FROM totals").fetchone()[1:])
        self._writer = TurnWriter(db, self.find)
        self.filter: BloomFilter | None = None
        if self.known <= MOST:
            keys = with_pauses(db.execute("SELECT fingerprint FROM page"), _LOOKED_AT)
            self.filter = BloomFilter(key for (key,) in keys)

    @property
    def known(self) -> int:
        """How many URLs are in it."""
        return self.totals.known

    # -- what is known ----------------------------------------------------------------------

    def has(self, key: int, url: str, kind: int = PAGE) -> bool:
        """Tell whether a URL is known, by its fingerprint; `filter` is quick to say no."""
        for found, its in self._db.execute(_LIKE, (key,)):
            if found == url and its == kind:
                if kind == PAGE:
                    self._know(url)
                return True
        return False

    def _know(self, url: str) -> None:
        if len(self.recent) >= _RECENT:
            self.recent.clear()
        self.recent.add(url)

    def find(self, url: str, kind: int = PAGE) -> tuple[int, int, int | None] | None:
        """Return the id, state and redirection's end of a URL; None where it is not known."""
        for id, state, leads_to, found, its in self._db.execute(
            "SELECT id, state, leads_to, url, kind FROM page WHERE fingerprint=?",
            (fingerprint(url, kind),),
        ):
            if found == url and its == kind:
                return id, state, leads_to
        return None

    def leads_to(self, id: int) -> int | None:
        """Return the id of the page that one redirects to."""
        row = self._db.execute("SELECT leads_to FROM page WHERE id=?", (id,)).fetchone()
        return None if row is None else row[0]

    def url_of(self, id: int | None) -> str | None:
        """Return a page's URL."""
        row = self._db.execute("SELECT url FROM page WHERE id=?", (id,)).fetchone()
        return None if row is None else row[0]

    def host(self, id: int) -> tuple[str, int]:
        """Return a host's name, and how many of its pages have ended."""
        found: tuple[str, int] = self._db.execute(
            "SELECT name, ended FROM host WHERE id=?", (id,)
        ).fetchone()
        return found

    def seeds(self) -> Iterator[str]:
        """Yield the URLs that a crawl began with; takes a look at each page."""
        for (url,) in self._db.execute("SELECT url FROM page WHERE seed=1"):
            yield url

    def starts(self) -> Iterator[tuple[str, bool]]:
        """Yield scheme, host and port of these, and whether a user gave them (or a redirect)."""
        for origin, trusted in self._db.execute("SELECT origin, trusted FROM start"):
            yield origin, bool(trusted)

    # -- the queue --------------------------------------------------------------------------

    def queued(self, host: int, most: int) -> list[Page]:
        """Return the next pages of a host that are to be asked for."""
        if self._marks or self._refusals:
            self.flush()  # else these would be among them
        return [Page(*row) for row in self._db.execute(_QUEUE, (host, most))]

    def next_host(self, after: int) -> int | None:
        """Return the next host, by number, that has queued pages."""
        row = self._db.execute(
            "SELECT host FROM page WHERE state=0 AND host>? ORDER BY host LIMIT 1", (after,)
        ).fetchone()
        return None if row is None else row[0]

    def hosts_ahead(self, most: int) -> list[int]:
        """Return the hosts of the pages with the highest priorities."""
        return [
            row[0]
            for row in self._db.execute(
                "SELECT DISTINCT host FROM (SELECT host FROM page WHERE state=0 AND priority>0"
                " ORDER BY priority DESC, id LIMIT ?)",
                (most,),
            )
        ]

    def mark(self, page: Page) -> None:
        """Write down, with the next transaction, that a page is in flight."""
        self._marks[page.id] = (page.attempts, page.started)

    def refuse(self, page: Page, reason: str) -> None:
        """Write down, with the next transaction, that a page may not be asked for."""
        self._marks.pop(page.id, None)
        self._refusals.append((reason, time.time(), page.id))
        self.totals.ended(REFUSED)

    def put_robots(
        self, origin: str, status: int | None, error: str | None, text: bytes | None
    ) -> None:
        """Keep a robots file with the next transaction."""
        self._robots.append((origin, time.time(), status, error, text))

    def robots(self, origin: str) -> tuple[float, int | None, str | None, bytes | None] | None:
        """Return a robots file that was kept: when it was fetched, status, error, text."""
        for row in reversed(self._robots):
            if row[0] == origin:
                found: Any = row[1:]
                return found  # type: ignore[no-any-return]
        found = self._db.execute(
            "SELECT fetched, status, error, text FROM robots WHERE origin=?", (origin,)
        ).fetchone()
        return found  # type: ignore[no-any-return]

    @property
    def pending(self) -> bool:
        """Whether something waits for the next transaction."""
        return bool(self._marks or self._refusals or self._robots)

    # -- writing ----------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what waits."""
        if self.pending:
            self.commit(None, None)

    def commit(self, turn: Turn | None, end: End | None) -> None:
        """Write all that a turn has brought, in one transaction, and what waits.

        Args:
            turn: what was added and kept; its pages are given their numbers' order.
            end: how its page has ended; None where there is none.

        Raises:
            StoreError: it cannot be written; nothing of it was.
        """
        db = self._db
        before = self.totals.values()
        robots = len(self._robots)  # while much is written, others come
        mark = None if end is None else self._marks.pop(end.page.id, None)
        try:
            db.execute("BEGIN IMMEDIATE")
            self._write_pending()
            if turn is not None:
                if turn.since != self.additions:
                    self._drop_known(turn)
                self._writer.write_turn(turn, end, self.totals, self.breathe)
            if end is not None:
                self._write_end(end)
            db.execute(UPDATE_TOTALS, self.totals.values())
            counts = self._write_counts()
            db.execute("COMMIT")
        except BaseException as error:  # an interrupt, too, undoes all of it
            self.totals = Totals(before)
            self._writer.forget()
            self.recent.clear()  # it may have been looked at meanwhile
            if end is not None and mark is not None:
                self._marks[end.page.id] = mark
            with contextlib.suppress(sqlite3.Error):
                if db.in_transaction:
                    db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise self._failed("written", error) from error
            raise
        self._counts_written = counts
        self._marks.clear()
        self._refusals.clear()
        del self._robots[:robots]
        self.changes += 1
        if turn is not None and turn.adds:
            self.additions += 1
        if turn is not None and turn.page is not None:
            for key in turn.adds:
                if isinstance(key, str):
                    self._know(key)

    def _drop_known(self, turn: Turn) -> None:
        """Leave out of a turn what others have added since it began."""
        for number, (key, add) in enumerate(list(turn.adds.items()), 1):
            if self.has(add[0], add[1], add[3][0]):
                del turn.adds[key]
            if self.breathe is not None and not number % AT_ONCE:
                self.breathe()

    def _write_pending(self) -> None:
        db = self._db
        if self._marks:
            db.executemany(
                f"UPDATE page SET state={IN_FLIGHT}, attempts=?, started=? WHERE id=?",
                [(*mark, id) for id, mark in self._marks.items()],
            )
        if self._refusals:
            db.executemany(
                f"UPDATE page SET state={REFUSED}, error=?, ended=? WHERE id=?", self._refusals
            )
        if self._robots:
            db.executemany("INSERT OR REPLACE INTO robots VALUES (?,?,?,?,?)", self._robots)

    def _write_end(self, end: End) -> None:
        since = self.busy_since
        if since is not None:
            self.busy_since = now = clock()
            self.totals.seconds += now - since
        self._writer.write_end(end, self.totals)

    @property
    def counts(self) -> dict[str, int]:
        """What no page tells, in all runs: `run_counts` of this one, and those of the others."""
        found = dict(self._counts_before)
        if self.run_counts is not None:
            for name, count in self.run_counts().items():
                found[name] = found.get(name, 0) + count
        return found

    def _write_counts(self) -> dict[str, int]:
        counts = self.counts
        if counts != self._counts_written:
            self._db.execute(
                "INSERT OR REPLACE INTO settings VALUES (?,?)", (_COUNTS, json.dumps(counts))
            )
        return counts

    def again(self, state: int, older: float | None) -> int:
        """Queue all pages of a state once more; return how many.

        Args:
            state: `DONE`, `FAILED` or `REFUSED`.
            older: only those that have ended before this moment; None for all.
        """
        self.flush()
        db = self._db
        where = f"state={int(state)}" + ("" if older is None else f" AND ended<{float(older)!r}")
        with self.transaction():
            count = 0
            last = db.execute("SELECT coalesce(max(id), 0) FROM page").fetchone()[0]
            for first in range(1, last + 1, _QUEUED_AT_ONCE):
                some = f"{where} AND id>={first} AND id<{first + _QUEUED_AT_ONCE}"
                if state in (DONE, FAILED):
                    counts = db.execute(
                        f"SELECT count(*), host FROM page WHERE {some} GROUP BY host"
                    ).fetchall()
                    db.executemany("UPDATE host SET ended = ended - ? WHERE id=?", counts)
                count += db.execute(f"UPDATE page SET state={QUEUED} WHERE {some}").rowcount
                if self.breathe is not None:
                    self.breathe()
            name = {DONE: "done", FAILED: "failed", REFUSED: "refused"}[state]
            db.execute(f"UPDATE totals SET queued = queued + {count}, {name} = {name} - {count}")
        self.totals = Totals(db.execute("SELECT * FROM totals").fetchone()[1:])
        self.changes += 1
        return count

    def undo_after(self, length: int) -> int:
        """Queue those pages once more whose records an archive has lost, and undo their turns.

        A power failure may take the end of an archive away that the store knows of.

        Args:
            length: bytes of the archive that are there.

        Returns: where the last record ends that is there.
        """
        lost = [
            row[0] for row in self._db.execute("SELECT id FROM page WHERE archived>?", (length,))
        ]
        with self.transaction():
            for id in lost:
                state, visits = self._db.execute(
                    "SELECT state, visits FROM page WHERE id=?", (id,)
                ).fetchone()
                if state in (DONE, FAILED, REFUSED):
                    requeue(self._db, self.totals, id, state)
                self.totals.items -= self._db.execute(
                    "DELETE FROM item WHERE page=? AND visit=?", (id, visits)
                ).rowcount
                self._db.execute(
                    f"UPDATE page SET state={QUEUED}, archived=NULL, visits=visits-1 WHERE id=?",
                    (id,),
                )
            (length,) = self._db.execute("SELECT max(archived) FROM page").fetchone()
            self.totals.archive_length = length = length or 0
            self._db.execute(UPDATE_TOTALS, self.totals.values())
        return length

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Have what is written inside count together, or not at all."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield
            self._db.execute("COMMIT")
        except BaseException as error:  # likewise
            with contextlib.suppress(sqlite3.Error):
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise self._failed("written", error) from error
            raise

    # -- reading ----------------------------------------------------------------------------

    def rows(self, statement: str, arguments: Iterable[Any] = ()) -> Iterator[Any]:
        """Yield what a statement finds."""
        try:
            yield from self._db.execute(statement, tuple(arguments))
        except sqlite3.Error as error:
            raise self._failed("read", error) from error

    def summary(self, statement: str, arguments: Iterable[Any] = ()) -> list[Any]:
        """Return what one statement finds that looks at very many rows: others run meanwhile.

        It sees what was committed before.
        """
        path = self.path
        if path is None:
            return list(self.rows(statement, arguments))

        def read() -> list[Any]:
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
                return db.execute(statement, tuple(arguments)).fetchall()

        try:
            found: list[Any] = gevent.get_hub().threadpool.apply(read)
        except sqlite3.Error as error:
            raise self._failed("read", error) from error
        return found

    def items(self, every: bool) -> Iterator[str]:
        """Yield what was kept, as JSON, some at a time, so that others may run and write meanwhile.

        Args:
            every: that of earlier visits of a page, too.
        """
        view = "every_item" if every else "items"
        for _, item in self.in_pieces(f"SELECT id, item FROM {view} WHERE id>?"):
            yield item

    def in_pieces(self, statement: str) -> Iterator[Any]:
        """Yield what a statement finds, some rows at a time: others may run and write meanwhile.

        Args:
            statement: ends in a condition that the id is more than a parameter; the id is the first
                column.
        """
        statement = f"{statement} ORDER BY 1 LIMIT {_READ_AT_ONCE}"
        last = 0
        while rows := list(self.rows(statement, (last,))):
            yield from rows
            last = rows[-1][0]
            let_others_run()

    def setting(self, name: str) -> Any:
        """Return a setting that was kept; None where there is none."""
        row = self._db.execute("SELECT value FROM settings WHERE name=?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def set(self, name: str, value: Any) -> None:
        """Keep a setting."""
        with self.transaction():
            self._db.execute(
                "INSERT OR REPLACE INTO settings VALUES (?,?)", (name, json.dumps(value))
            )

    def release(self) -> None:
        """Queue what is in flight, as nothing of it will be waited for."""
        with contextlib.suppress(StoreError):
            self.flush()
        with contextlib.suppress(StoreError), self.transaction():
            self._db.execute(f"UPDATE page SET state={QUEUED} WHERE state={IN_FLIGHT}")
            self._counts_written = self._write_counts()

    def close(self) -> None:
        """Let go of the file. What was not committed is not there."""
        with contextlib.suppress(sqlite3.Error):
            self._db.close()
        if self._lock is not None:
            self._lock.release()

    def _failed(self, what: str, error: sqlite3.Error) -> StoreError:
        name = self.path or "in memory"
        text = str(error)
        advice = "what was committed before is there: mend the cause and begin again"
        if "full" in text:
            advice = "make room on the disk and begin again: what was committed before is there"
        elif "readonly" in text:
            advice = "give it write permission, and its folder, too"
        return StoreError(f"the store {name} cannot be {what}: {text}; {advice}")
