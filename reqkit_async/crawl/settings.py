"""What a crawl was told, checked when it is made."""

from __future__ import annotations

import math
import re
from typing import Any

from reqkit import Timeouts, __version__

__all__ = ["Settings"]

_control = re.compile(r"[\x00-\x1f\x7f]").search


class Settings:
    """A crawl's settings; each is as `Crawl` has it.

    Raises:
        ValueError: one of them is no such thing.
    """

    def __init__(
        self,
        *,
        size: Any,
        agent: Any,
        robots: Any,
        per_host: Any,
        delay: Any,
        max_crawl_delay: Any,
        retries: Any,
        depth: Any,
        pages: Any,
        pages_per_host: Any,
        max_content_size: Any,
        max_url_length: Any,
        host_failures: Any,
        revisit: Any,
        timeout: Any,
        page_timeout: Any,
    ) -> None:
        self.size: int = _count("size", size, "requests in flight at most")
        self.agent = f"reqkit/{__version__}" if agent is None else _agent(agent)
        self.names_agent: bool = agent is not None
        self.robots: bool = bool(robots)
        self.per_host: int = _count("per_host", per_host, "requests in flight for one host at most")
        self.auto_delay: Any = delay == "auto"
        self.delay: float = 0.0 if self.auto_delay or delay is None else _seconds("delay", delay)
        self.max_crawl_delay: float = _seconds("max_crawl_delay", max_crawl_delay)
        self.retries: int = _count("retries", retries, "how often a failed page is tried again", 0)
        self.depth: int | None = _maybe("depth", depth, "links from the first page at most", 0)
        self.pages: int | None = _maybe("pages", pages, "pages at most")
        self.pages_per_host: int | None = _maybe(
            "pages_per_host", pages_per_host, "pages of a host at most"
        )
        self.max_content_size: int | None = _maybe(
            "max_content_size", max_content_size, "bytes at most"
        )
        self.max_url_length: int = _count(
            "max_url_length", max_url_length, "characters at most", 10
        )
        self.host_failures: int | None = _maybe(
            "host_failures", host_failures, "failures in a row after which a host is given up"
        )
        self.revisit: float | None = None if revisit is None else _seconds("revisit", revisit)
        self.timeout: float | None = None if timeout is None else _seconds("timeout", timeout)
        self.page_timeout: Timeouts = _limits(page_timeout)


def _count(name: str, value: Any, what: str, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} is {value!r}: expected {what}, a whole number of {least} or more")
    return value


def _maybe(name: str, value: Any, what: str, least: int = 1) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(
            f"{name} is {value!r}: expected {what}, a whole number of {least} or more, or None for"
            " no limit"
        )
    return value


def _seconds(name: str, value: Any) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or value < 0
    ):
        also = ', "auto" for as long as the host takes to answer,' if name == "delay" else ""
        raise ValueError(
            f"{name} is {value!r}: expected seconds, a number not below 0{also} or None"
        )
    return float(value)


def _agent(agent: Any) -> str:
    if not isinstance(agent, str) or not agent.strip():
        raise ValueError(
            f"agent is {agent!r}: expected the crawler's name, its version and where to read of it,"
            " as 'my-bot/1.0 (+https://example.org/bot)'"
        )
    found = _control(agent)
    if found is not None or not agent.isascii():
        bad = found.group() if found is not None else next(c for c in agent if not c.isascii())
        raise ValueError(
            f"agent is {agent!r}, which has a {bad!r}: a User-Agent has visible ASCII and spaces"
        )
    return agent


def _limits(given: Any) -> Timeouts:
    if isinstance(given, (int, float)) and not isinstance(given, bool):
        seconds = _seconds("page_timeout", given)
        return Timeouts(connect=min(seconds, 10.0), read=min(seconds, 30.0), total=seconds)
    try:
        return Timeouts.of(given)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"page_timeout is {given!r}: expected the seconds that a page may take in all, or a"
            " reqkit.Timeouts"
        ) from error
