"""How often a host is asked: learned from how it answers, and from its robots.txt."""

from __future__ import annotations

import time
from typing import Final

from reqkit import Response
from reqkit.exceptions import ConnectionError, Timeout
from reqkit.timeouts import clock

from ..pool.limits import retry_after
from ..pool.retries import BackOff
from .frontier import UNREACHABLE, Frontier, Line
from .requests import LONGEST_HOLD
from .robots import Rules
from .schema import Page
from .settings import Settings

__all__ = ["Throttle"]

#: Seconds between two starts to a host in trouble, at most.
_LONGEST_GAP: Final = 60.0
_SLOW_DOWN: Final = frozenset((429, 503))


class Throttle:
    """Sets what the frontier's hosts are allowed.

    Args:
        settings: the crawl's.
        frontier: has the hosts.
    """

    def __init__(self, settings: Settings, frontier: Frontier) -> None:
        self._settings = settings
        self._frontier = frontier

    def answered(self, line: Line, page: Page, response: Response) -> float | None:
        """Learn from an answer how its host is; return the seconds to the next attempt, or None."""
        self._learn(line, response)
        error, status = response.error, response.status_code
        policy = BackOff(self._settings.retries - page.tries + 1, page.tries - 1)
        wall = time.time()
        found = policy.after("GET", page.url, None if error else response, error, wall)
        if status in _SLOW_DOWN:
            asked = retry_after(response.headers.get("retry-after"), wall)
            wait = asked if asked is not None else (found[0] if found else 1.0)
            if wait > LONGEST_HOLD:
                found = None
                wait = LONGEST_HOLD
            self._frontier.hold(line, clock() + wait)
        return None if found is None or line.blocked == UNREACHABLE else found[0]

    def _learn(self, line: Line, response: Response) -> None:
        settings = self._settings
        error, status = response.error, response.status_code
        if error is not None or status in _SLOW_DOWN or (status or 0) >= 500:
            if settings.auto_delay:
                line.gap = min(max(2 * line.gap, 1.0), _LONGEST_GAP)
            if status is None and isinstance(error, (ConnectionError, Timeout)):
                line.failures += 1
                most = settings.host_failures
                if most is not None and line.failures >= most and line.blocked is None:
                    self._frontier.block(line, UNREACHABLE)
            return
        line.failures = 0
        took = response.elapsed.total_seconds()
        before = line.latency
        line.latency = took if before is None else (before + took) / 2
        if settings.auto_delay:
            line.gap = max(line.latency, line.crawl_delay)
        line.most = settings.per_host

    def heed(self, line: Line, rules: Rules) -> None:
        """Keep to a Crawl-delay, up to a bound."""
        settings = self._settings
        line.crawl_delay = min(rules.delay, settings.max_crawl_delay)
        line.gap = max(line.gap, line.crawl_delay, settings.delay)
        line.next_start = max(line.next_start, clock() + line.gap if line.crawl_delay else 0.0)
