"""What a crawl tells of a page: at its turn (`Visit`), and afterwards (`Known`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .links import Document
from .schema import STATES, Page
from .store import Store

__all__ = ["Known", "Visit"]


class Visit:
    """What is known of a page that the loop has handed over.

    Attributes:
        depth: how many links it is from the first page.
        attempts: how often it was asked for, in all runs.
        number: 1 at the first visit, 2 when it is asked for again later, and so on.
        redirects: how many redirects led to it.
    """

    def __init__(self, page: Page, document: Document, store: Store) -> None:
        self._page = page
        self._document = document
        self._store = store
        self.depth: int = page.depth
        self.attempts: int = page.attempts
        self.number: int = page.visits + 1
        self.redirects: int = page.redirects

    @property
    def url(self) -> str:
        """The page's canonical URL."""
        return self._page.url

    @property
    def found_on(self) -> str | None:
        """The URL of the page that it was first found on; None for what was added by hand."""
        return self._store.url_of(self._page.found_on)

    @property
    def noindex(self) -> bool:
        """Whether it asks not to be kept: in a ``<meta name="robots">``, or as X-Robots-Tag."""
        return "noindex" in self._document.tags

    @property
    def nofollow(self) -> bool:
        """Whether it asks that its links be not followed."""
        return "nofollow" in self._document.tags

    @property
    def unchanged(self) -> bool:
        """Whether it was asked for again and is as it was (304)."""
        response = self._document._response
        return response is not None and response.status_code == 304

    def __repr__(self) -> str:
        return f"<Visit {self.url} depth={self.depth} attempts={self.attempts}>"


_SELECT = (
    "SELECT p.id, p.url, p.state, p.depth, p.priority, p.context, p.attempts, p.visits, p.status,"
    " p.error, f.url, l.url, p.type, p.size, p.added, p.ended FROM page p LEFT JOIN page f ON"
    " f.id = p.found_on LEFT JOIN page l ON l.id = p.leads_to WHERE p.id > ?"
)


class Known:
    """A URL of a store, with what has become of it.

    Attributes:
        url, state, depth, priority, context, attempts, visits, status, error: as in the store.
        found_on: the URL of the page that it was first found on, or None.
        leads_to: the URL that it redirects to, or None.
        type: its Content-Type; size: bytes.
        added, ended: when, in seconds of ``time.time()``, or None.
    """

    __slots__ = (
        "added", "attempts", "context", "depth", "ended", "error", "found_on", "leads_to",
        "priority", "size", "state", "status", "type", "url", "visits",
    )  # fmt: skip

    added: Any
    attempts: Any
    depth: Any
    ended: Any
    error: Any
    found_on: Any
    leads_to: Any
    priority: Any
    size: Any
    state: str
    status: Any
    type: Any
    url: Any
    visits: Any

    def __init__(self, row: Any) -> None:
        (
            _, self.url, state, self.depth, self.priority, context, self.attempts, self.visits,
            self.status, self.error, self.found_on, self.leads_to, self.type, self.size, self.added,
            self.ended,
        ) = row  # fmt: skip
        self.state = STATES[state]
        self.context: Any | None = None if context is None else json.loads(context)

    @classmethod
    def read(cls, store: Store, state: int | None) -> Iterator[Known]:
        """Yield those of a state, or all, some at a time, so that others may write meanwhile."""
        where = "" if state is None else f" AND p.state={state}"
        for row in store.in_pieces(f"{_SELECT}{where}"):
            yield cls(row)

    def __repr__(self) -> str:
        end = self.error or self.status
        return f"<Known {self.url} {self.state}{'' if end is None else f' {end}'}>"
