"""What a turn has brought, written down: in a transaction that the store has opened."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final

from .canonical import host_of
from .inserting import Inserter
from .schema import DONE, FAILED, IN_FLIGHT, QUEUED
from .totals import Totals
from .turns import End, Turn

__all__ = ["TurnWriter", "requeue"]

_END: Final = (
    "UPDATE page SET state=?, attempts=?, visits=?, started=?, ended=?, status=?, error=?,"
    " leads_to=?, type=?, size=?, etag=?, modified=?, archived=?, seconds=? WHERE id=?"
)
_QUEUE_AGAIN: Final = (
    "UPDATE page SET state=0, priority=?, depth=?, context=?, redirects=? WHERE id=?"
)

Find = Callable[[str, int], "tuple[int, int, int | None] | None"]


class TurnWriter:
    """Writes turns and the ends of their pages.

    Args:
        db: the store's connection.
        find: returns id, state and redirection's end of a URL.
    """

    def __init__(self, db: sqlite3.Connection, find: Find) -> None:
        self._db = db
        self._find = find
        self._inserter = Inserter(db)

    def forget(self) -> None:
        """Remember nothing of a transaction that was undone."""
        self._inserter.forget()

    def write_turn(
        self, turn: Turn, end: End | None, totals: Totals, breathe: Callable[[], None] | None
    ) -> None:
        """Write what was added and kept.

        Args:
            turn: has it; its hosts are filled in.
            end: how its page has ended; None where there is none.
            totals: are changed with it.
            breathe: called now and then while much is written; None for nothing.
        """
        db = self._db
        if turn.adds:
            self._inserter.insert(turn, breathe)
            totals.queued += len(turn.adds)
        for url, kind, *rest in turn.again:
            self._queue_again(turn, url, kind, tuple(rest), end, totals)
        if turn.items:
            page, visit = (None, 0) if end is None else (end.page.id, end.page.visits + 1)
            now = time.time()
            db.executemany(
                "INSERT INTO item (page, visit, kept, item) VALUES (?,?,?,?)",
                [(page, visit, now, item) for item in turn.items],
            )
            totals.items += len(turn.items)
        if turn.bounds:
            db.executemany(
                "INSERT INTO bounds VALUES (?,?,?) ON CONFLICT (name) DO UPDATE SET"
                " count = count + excluded.count",
                [(name, count, url) for name, (count, url) in turn.bounds.items()],
            )

    def _queue_again(
        self, turn: Turn, url: str, kind: int, rest: tuple[Any, ...], end: End | None,
        totals: Totals,
    ) -> None:  # fmt: skip
        found = self._find(url, kind)
        assert found is not None
        id, state, _ = found
        if end is not None and end.page.id == id:
            end.again = rest
            turn.hosts[end.page.host] = rest[0]
            return
        if state in (QUEUED, IN_FLIGHT):
            return
        requeue(self._db, totals, id, state)
        self._db.execute(_QUEUE_AGAIN, (*rest, id))
        turn.hosts[self._inserter.host_id(host_of(url))] = rest[0]

    def write_end(self, end: End, totals: Totals) -> None:
        """Write how a page has ended.

        Args:
            end: tells it.
            totals: are changed with it.
        """
        page = end.page
        leads_to = None
        if end.leads_to is not None:
            found = self._find(end.leads_to, 0)
            leads_to = None if found is None else found[0]
        self._db.execute(
            _END,
            (
                end.state, page.attempts, page.visits + 1, page.started, time.time(), end.status,
                end.error, leads_to, end.type, end.size, end.etag, end.modified, end.archived,
                end.seconds, page.id,
            ),
        )  # fmt: skip
        if end.archived is not None:
            totals.archive_length = end.archived
        totals.bytes += end.size or 0
        if end.again is not None:
            self._db.execute(_QUEUE_AGAIN, (*end.again, page.id))
            return
        totals.ended(end.state)
        self._db.execute("UPDATE host SET ended = ended + 1 WHERE id=?", (page.host,))


def requeue(db: sqlite3.Connection, totals: Totals, id: int, state: int) -> None:
    """Count a page that has ended in a state as queued; the page itself is not written."""
    totals.ended(state, -1)
    if state in (DONE, FAILED):
        db.execute(
            "UPDATE host SET ended = ended - 1 WHERE id = (SELECT host FROM page WHERE id=?)", (id,)
        )
