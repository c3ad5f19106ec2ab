"""The store's tables, and what a page is in memory. docs/crawl.md promises the schema."""

from __future__ import annotations

from typing import Any, Final

__all__ = [
    "APPLICATION_ID",
    "COLUMNS",
    "DONE",
    "FAILED",
    "IN_FLIGHT",
    "PAGE",
    "QUEUED",
    "REFUSED",
    "ROBOTS_SITEMAPS",
    "SCHEMA",
    "SITEMAP",
    "STATES",
    "UPGRADE",
    "VERSION",
    "Page",
]

#: ``PRAGMA application_id`` of a store: "rqkc".
APPLICATION_ID: Final = 0x72716B63
#: ``PRAGMA user_version``: the schema's.
VERSION: Final = 2

QUEUED, IN_FLIGHT, DONE, FAILED, REFUSED = range(5)
#: The states' names, by their number.
STATES: Final = ("queued", "in flight", "done", "failed", "refused")

#: What a URL is asked for as: a page, a sitemap, or the sitemaps that a robots.txt names.
PAGE, SITEMAP, ROBOTS_SITEMAPS = range(3)

_URLS: Final = """CREATE VIEW urls AS
    SELECT p.id, p.url,
        CASE p.kind WHEN 0 THEN 'page' WHEN 1 THEN 'sitemap' ELSE 'robots sitemaps' END AS kind,
        CASE p.state WHEN 0 THEN 'queued' WHEN 1 THEN 'in flight' WHEN 2 THEN 'done'
            WHEN 3 THEN 'failed' ELSE 'refused' END AS state,
        h.name AS host, p.depth, p.priority, p.context, p.attempts, p.visits, p.status, p.error,
        f.url AS found_on, l.url AS leads_to, p.redirects, p.type, p.size, p.etag, p.modified,
        p.seconds,
        datetime(p.added, 'unixepoch') AS added, datetime(p.started, 'unixepoch') AS started,
        datetime(p.ended, 'unixepoch') AS ended
    FROM page p JOIN host h ON h.id = p.host
        LEFT JOIN page f ON f.id = p.found_on LEFT JOIN page l ON l.id = p.leads_to;
"""

SCHEMA: Final = f"""
CREATE TABLE host (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    ended INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE page (
    id INTEGER PRIMARY KEY,
    fingerprint INTEGER NOT NULL,
    url TEXT NOT NULL,
    kind INTEGER NOT NULL DEFAULT 0,
    host INTEGER NOT NULL REFERENCES host (id),
    state INTEGER NOT NULL DEFAULT 0,
    priority NOT NULL DEFAULT 0,
    depth INTEGER NOT NULL DEFAULT 0,
    seed INTEGER NOT NULL DEFAULT 0,
    redirects INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    visits INTEGER NOT NULL DEFAULT 0,
    added REAL NOT NULL,
    found_on INTEGER REFERENCES page (id),
    context TEXT,
    started REAL,
    ended REAL,
    status INTEGER,
    error TEXT,
    leads_to INTEGER REFERENCES page (id),
    type TEXT,
    size INTEGER,
    etag TEXT,
    modified TEXT,
    archived INTEGER,
    seconds REAL
);
CREATE INDEX page_by_fingerprint ON page (fingerprint);
CREATE INDEX queue ON page (host, priority DESC, id) WHERE state = 0;
CREATE INDEX ahead ON page (priority DESC, id) WHERE state = 0 AND priority > 0;
CREATE INDEX in_flight ON page (id) WHERE state = 1;
CREATE TABLE item (
    id INTEGER PRIMARY KEY,
    page INTEGER REFERENCES page (id),
    visit INTEGER NOT NULL,
    kept REAL NOT NULL,
    item TEXT NOT NULL
);
CREATE INDEX item_by_page ON item (page, visit);
CREATE TABLE robots (
    origin TEXT PRIMARY KEY,
    fetched REAL NOT NULL,
    status INTEGER,
    error TEXT,
    text BLOB
) WITHOUT ROWID;
CREATE TABLE bounds (
    name TEXT PRIMARY KEY,
    count INTEGER NOT NULL,
    example TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE start (
    origin TEXT PRIMARY KEY,
    trusted INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE settings (
    name TEXT PRIMARY KEY,
    value TEXT
) WITHOUT ROWID;
CREATE TABLE totals (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    queued INTEGER NOT NULL,
    done INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    refused INTEGER NOT NULL,
    items INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    archive_length INTEGER NOT NULL,
    seconds REAL NOT NULL DEFAULT 0
);
INSERT INTO totals VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0);
{_URLS}CREATE VIEW every_item AS
    SELECT i.id, p.url, i.visit, datetime(i.kept, 'unixepoch') AS kept, i.item, i.page
    FROM item i LEFT JOIN page p ON p.id = i.page;
CREATE VIEW items AS
    SELECT id, url, visit, kept, item FROM every_item e
    WHERE page IS NULL OR visit = (SELECT max(visit) FROM item WHERE page = e.page);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
"""

#: What makes a store of version 1 one of this version.
UPGRADE: Final = f"""
ALTER TABLE page ADD COLUMN seconds REAL;
ALTER TABLE totals ADD COLUMN seconds REAL NOT NULL DEFAULT 0;
DROP VIEW urls;
{_URLS}
PRAGMA user_version = {VERSION};
"""

#: What is read of a page that is to be asked for, in the order of `Page`'s arguments.
COLUMNS: Final = (
    "id, url, kind, host, priority, depth, seed, redirects, attempts, visits, found_on, context,"
    " etag, modified, status"
)


class Page:
    """A URL that is asked for now, with what the store says of it.

    Attributes:
        tries: how often it was asked for since this process began with it.
        started: when it was asked for last, in seconds of ``time.time()``.
        record: what goes into the archive when its turn ends, or None.
    """

    __slots__ = (
        "attempts", "context", "depth", "etag", "found_on", "host", "id", "kind", "modified",
        "priority", "record", "redirects", "seed", "started", "status", "tries", "url", "visits",
    )  # fmt: skip

    def __init__(
        self,
        id: int,
        url: str,
        kind: int,
        host: int,
        priority: Any,
        depth: int,
        seed: int,
        redirects: int,
        attempts: int,
        visits: int,
        found_on: int | None,
        context: str | None,
        etag: str | None,
        modified: str | None,
        status: int | None,
    ) -> None:
        self.id: int = id
        self.url: str = url
        self.kind: int = kind
        self.host: int = host
        self.priority: Any = priority
        self.depth: int = depth
        self.seed: int = seed
        self.redirects: int = redirects
        self.attempts: int = attempts
        self.visits: int = visits
        self.found_on: int | None = found_on
        self.context: str | None = context
        self.etag: str | None = etag
        self.modified: str | None = modified
        self.status: int | None = status
        self.tries: int = 0
        self.started: float = 0.0
        self.record: bytes | None = None
