"""Figures of a crawl."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reqkit.timeouts import clock

from .driver import Driver
from .frontier import Frontier
from .store import Store

if TYPE_CHECKING:
    from ..stats import Stats

__all__ = ["CrawlStats"]


class CrawlStats:
    """What a crawl has done, live.

    Attributes:
        requests: the `Stats` of what this run has sent: statuses, errors, latency, bytes and so on;
            robots files and sitemaps are among them.
    """

    def __init__(self, store: Store, frontier: Frontier, driver: Driver) -> None:
        self._store = store
        self._frontier = frontier
        self._driver = driver
        self.requests: Stats = driver.pool.stats
        self._started = clock()
        self._at_start = store.totals.done + store.totals.failed

    @property
    def known(self) -> int:
        """URLs in the store."""
        return self._store.known

    @property
    def done(self) -> int:
        """Pages that were answered; redirects too."""
        return self._store.totals.done

    @property
    def failed(self) -> int:
        """Pages that were not, or with 4xx or 5xx."""
        return self._store.totals.failed

    @property
    def refused(self) -> int:
        """Pages that robots.txt does not allow."""
        return self._store.totals.refused

    @property
    def queued(self) -> int:
        """Pages that are still to be asked for, those in flight among them."""
        return self._store.totals.queued

    @property
    def in_flight(self) -> int:
        """Pages that are asked for now, or wait for the loop, or are in it."""
        return self._driver.out

    @property
    def items(self) -> int:
        """Items kept, in all visits."""
        return self._store.totals.items

    @property
    def bytes(self) -> int:
        """Bytes of pages, decoded, in all runs."""
        return self._store.totals.bytes

    @property
    def seconds(self) -> float:
        """Since this crawl was opened."""
        return clock() - self._started

    @property
    def busy_seconds(self) -> float:
        """Of the loops of all runs, up to their last pages."""
        return float(self._store.totals.seconds)

    @property
    def rate(self) -> float:
        """Pages a second, in this run."""
        totals = self._store.totals
        seconds = self.seconds
        return (totals.done + totals.failed - self._at_start) / seconds if seconds else 0.0

    @property
    def held(self) -> dict[str, float]:
        """Hosts that are held back now, by 429, 503 or failures, and for how many seconds."""
        now = clock()
        return {
            line.name: line.held_until - now
            for line in self._frontier.lines()
            if line.held_until > now
        }

    @property
    def bounds(self) -> dict[str, tuple[int, str]]:
        """What bounds have kept out, by their names: how many URLs or hosts, and an example."""
        found = {
            name: (count, example)
            for name, count, example in self._store.rows("SELECT * FROM bounds ORDER BY name")
        }
        for host, name in self._frontier.blocked.items():
            count, example = found.get(name, (0, self._store.host(host)[0]))
            found[name] = (count + 1, example)
        for name, example in self._driver.reached.items():
            found[name] = (self.queued, example)
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return all figures."""
        names = ("known", "done", "failed", "refused", "queued", "in_flight", "items", "bytes",
                 "seconds", "rate", "held", "bounds")  # fmt: skip
        found = {name: getattr(self, name) for name in names}
        found["requests"] = self.requests.as_dict()
        return found

    def line(self) -> str:
        """Return one line for a terminal."""
        held = len(self.held)
        return (
            f"{self.done} done, {self.queued} queued, {self.known} known, {self.failed} failed,"
            f" {self.rate:.1f}/s" + (f", {held} hosts held" if held else "")
        )

    def __str__(self) -> str:
        rows = [
            ("known", self.known), ("done", self.done), ("failed", self.failed),
            ("refused", self.refused), ("queued", self.queued), ("items", self.items),
            ("bytes", self.bytes), ("seconds", f"{self.seconds:.1f}"),
            ("a second", f"{self.rate:.1f}"),
        ]  # fmt: skip
        rows += [(f"kept out: {name}", count) for name, (count, _) in self.bounds.items()]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)
