"""robots.txt: what an origin allows, as RFC 9309 says it is to be read.

Parsing and matching are protego's; here is what is made of an answer that is none, how long a file
counts, and which name a crawler has in it.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from typing import Any, Final

import gevent

from reqkit.base.importing import import_late

__all__ = ["LARGEST", "Robots", "Rules", "product_token", "robots_parser"]

#: Bytes of a file that count (RFC 9309 section 2.5: "at least 500 kibibytes").
LARGEST: Final = 500 * 1024
#: Bytes of a file that takes so long to parse (some 10 ms) that others should run meanwhile.
_LARGE: Final = 16 * 1024
#: Seconds that a file counts (RFC 9309 section 2.4).
KEPT: Final = 86400.0
#: Origins whose rules are at hand.
_MOST: Final = 2000

_product = re.compile(r"[A-Za-z_-]+").match


def product_token(agent: str) -> str:
    """Return a crawler's name as robots files have it: the letters that its User-Agent begins with.

    Source: RFC 9309 section 2.2.1
    """
    found = _product(agent)
    return found.group() if found is not None else agent


class Rules:
    """What one origin says of one crawler.

    Attributes:
        expires: until when that counts, in seconds of ``time.time()``.
        error: why the file could not be had; nothing may be asked for then.
        retry_at: when it is worth another try, in monotonic seconds; infinity where it is not.
        tries: how often that was tried.
    """

    __slots__ = ("_agent", "_parsed", "_text", "error", "expires", "retry_at", "tries")

    def __init__(self, agent: str, text: bytes | None, expires: float) -> None:
        self._agent = agent
        self._text = text
        self._parsed: Any = None
        self.expires: float = expires
        self.error: str | None = None
        self.retry_at: float = math.inf
        self.tries: int = 0

    def _rules(self) -> Any:
        if self._parsed is None and self._text:
            self._parsed = _parse(self._text)
            self._text = b"-"  # that there is one
        return self._parsed

    @property
    def unread(self) -> bool:
        """Whether there is a file that takes long to parse, and nobody has."""
        return self._parsed is None and self._text is not None and len(self._text) > _LARGE

    def read(self) -> None:
        """Parse a file that takes long in another thread; others run meanwhile."""
        if self.unread:
            self._parsed = gevent.get_hub().threadpool.apply(_parse, (self._text,))
            self._text = b"-"

    def allows(self, url: str) -> bool:
        """Tell whether a page may be asked for. What is no 200 allows all."""
        rules = self._rules()
        return rules is None or bool(rules.can_fetch(url, self._agent))

    @property
    def delay(self) -> float:
        """Seconds between two requests that it asks for; 0 where it does not."""
        rules = self._rules()
        delay = None if rules is None else rules.crawl_delay(self._agent)
        return float(delay) if delay and delay > 0 and math.isfinite(delay) else 0.0

    @property
    def sitemaps(self) -> list[str]:
        """The sitemaps that it names."""
        rules = self._rules()
        return [] if rules is None else list(rules.sitemaps)


class Robots:
    """The rules of origins that were asked lately.

    Args:
        agent: the crawler's name in these files.
        store: where files are kept.
    """

    def __init__(self, agent: str, store: Any) -> None:
        self._agent = agent
        self._store = store
        self._rules: OrderedDict[str, Rules] = OrderedDict()

    def of(self, origin: str, wall: float) -> Rules | None:
        """Return an origin's rules; None where its file has to be asked for first."""
        rules = self._rules.get(origin)
        if rules is None:
            kept = self._store.robots(origin)
            if kept is None or kept[2] is not None or kept[0] + KEPT <= wall:
                return None
            rules = self._put(origin, Rules(self._agent, kept[3], kept[0] + KEPT))
        return rules if rules.expires > wall else None

    def answered(self, origin: str, status: int, text: bytes | None, wall: float) -> Rules:
        """Take what came: a file, or an answer that says there is none (then all is allowed)."""
        self._store.put_robots(origin, status, None, text)
        return self._put(origin, Rules(self._agent, text, wall + KEPT))

    def failed(
        self, origin: str, status: int | None, error: str, wall: float, retry_at: float | None
    ) -> Rules:
        """Take that it could not be had: the origin is left alone, or an older file counts.

        Args:
            origin: whose file it is.
            status: of the answer, if there was one.
            error: what was wrong.
            wall: the time as of ``time.time()``.
            retry_at: when it is tried again, in monotonic seconds; None for not in this run.

        Source: RFC 9309 sections 2.3.1.4 and 2.4
        """
        before = self._rules.get(origin)
        kept = self._store.robots(origin)
        if kept is not None and kept[2] is None:
            return self._put(origin, Rules(self._agent, kept[3], wall + KEPT / 24))
        rules = Rules(self._agent, None, math.inf)
        rules.error = error
        rules.tries = 1 if before is None else before.tries + 1
        if retry_at is not None:
            rules.retry_at = retry_at
        else:
            self._store.put_robots(origin, status, error, None)
        return self._put(origin, rules)

    def tries(self, origin: str) -> int:
        """Return how often an origin's file could not be had."""
        rules = self._rules.get(origin)
        return 0 if rules is None else rules.tries

    def _put(self, origin: str, rules: Rules) -> Rules:
        self._rules[origin] = rules
        self._rules.move_to_end(origin)
        while len(self._rules) > _MOST:
            self._rules.popitem(last=False)
        return rules


def _parse(text: bytes) -> Any:
    return robots_parser().parse(text[:LARGEST].decode("utf-8", "replace").removeprefix("\ufeff"))


def robots_parser() -> Any:
    """Return what parses these files.

    Raises:
        ImportError: it is not installed.
    """
    try:
        return import_late("protego").Protego
    except ImportError as error:
        raise ImportError(
            "reading robots.txt needs protego: pip install 'reqkit[crawl]', or say robots=False"
        ) from error
