"""What a report tells of a crawl: of all runs, from its store."""

from __future__ import annotations

from typing import Any, Final

from ..stats import Stats
from .schema import DONE, FAILED, PAGE
from .stats import CrawlStats
from .store import Store

__all__ = ["figures_of"]

#: Of content types, depths and examples, as many.
_TYPES: Final = 12
_DEPTHS: Final = 32
_EXAMPLES: Final = 50


def figures_of(store: Store, stats: CrawlStats) -> dict[str, Any]:
    """Return a crawl's figures as what JSON can hold, in bounded size.

    ``pages`` are all that have ended, in all runs, as `Stats.as_dict` tells them.
    """
    read = store.summary
    states = dict(read("SELECT state, count(*) FROM urls WHERE kind='page' GROUP BY state"))
    depths = dict(
        read(
            "SELECT depth, count(*) FROM urls WHERE kind='page' GROUP BY depth ORDER BY depth"
            f" LIMIT {_DEPTHS}"
        )
    )
    types = [
        {"type": kind, "pages": pages, "bytes": size or 0}
        for kind, pages, size in read(
            "SELECT lower(trim(substr(type, 1, instr(type || ';', ';') - 1))) AS plain, count(*),"
            " sum(size) FROM page WHERE kind=? AND state=? AND type IS NOT NULL"
            f" GROUP BY plain ORDER BY count(*) DESC LIMIT {_TYPES}",
            (PAGE, DONE),
        )
    ]
    broken = [
        {"url": url, "status": status, "error": error, "found_on": found_on}
        for url, status, error, found_on in read(
            "SELECT p.url, p.status, p.error, f.url FROM page p LEFT JOIN page f"
            " ON f.id = p.found_on WHERE p.state=? AND p.kind=?"
            f" ORDER BY p.id LIMIT {_EXAMPLES}",
            (FAILED, PAGE),
        )
    ]
    return {
        "store": None if store.path is None else str(store.path),
        "known": stats.known,
        "done": stats.done,
        "failed": stats.failed,
        "refused": stats.refused,
        "queued": stats.queued,
        "items": stats.items,
        "bytes": stats.bytes,
        "held": stats.held,
        "bounds": {
            name: {"times": count, "example": example}
            for name, (count, example) in stats.bounds.items()
        },
        "states": states,
        "depths": depths,
        "types": types,
        "broken": broken,
        "pages": _pages(store, stats),
    }


def _pages(store: Store, stats: CrawlStats) -> dict[str, Any]:
    """Return the figures of pages that have ended, in all runs, at their last visit."""
    ended = Stats()
    for _, url, status, error, size, when, seconds in store.in_pieces(
        "SELECT id, url, status, error, size, ended, seconds FROM page"
        f" WHERE kind={PAGE} AND state IN ({DONE}, {FAILED}) AND ended IS NOT NULL AND id>?"
    ):
        kind, _, message = (error or "").partition(": ")
        ended.record(
            status, kind or None, seconds, size or 0, url=url, message=message or kind, when=when
        )
    figures = ended.as_dict()
    figures["seconds"] = seconds = stats.busy_seconds
    figures["rate"] = ended.requests / seconds if seconds else 0.0
    ((figures["retries"],),) = store.summary(
        "SELECT coalesce(sum(max(attempts - visits, 0)), 0) FROM page WHERE state IN (?, ?)",
        (DONE, FAILED),
    )
    figures.update(store.counts)
    return figures
