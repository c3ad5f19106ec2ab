"""What a crawl's pages and robots files are asked for with, and the asking for the latter."""

from __future__ import annotations

import time
from typing import Any, Final

import gevent

from reqkit import Response, Session
from reqkit.exceptions import RequestException, TooManyRedirects
from reqkit.sessions.unsent import request_of
from reqkit.timeouts import clock

from ..pool.limits import retry_after
from ..pool.pool import Pool
from .robots import LARGEST, Robots, Rules
from .schema import Page
from .scope import Scope
from .settings import Settings

__all__ = ["LONGEST_HOLD", "RequestArguments", "ask_robots"]

#: Seconds that a host is asked to wait for at most, by Retry-After or by failing.
LONGEST_HOLD: Final = 300.0
#: Redirects of a robots.txt (RFC 9309 section 2.3.1.2).
_ROBOTS_REDIRECTS: Final = 5
#: Fields that are for those alone that the crawl begins with.
_SECRET: Final = frozenset(("authorization", "cookie", "proxy-authorization"))


def _no_credentials(prepared: Any) -> Any:
    """Stand in the place of a session's auth."""
    return prepared


class RequestArguments:
    """What requests are made with.

    Args:
        settings: the crawl's.
        session: sends; strangers get none of its credentials.
        scope: knows who is none.
    """

    def __init__(self, settings: Settings, session: Session, scope: Scope) -> None:
        self._session = session
        self._scope = scope
        self._usual: dict[str, Any] = {
            "session": session,
            "allow_redirects": False,
            "timeout": settings.page_timeout,
        }
        if settings.names_agent:
            self._usual["headers"] = {"User-Agent": settings.agent}
        if settings.max_content_size is not None:
            self._usual["config"] = {"max_content_size": settings.max_content_size}

    def of_url(self, url: str) -> dict[str, Any]:
        """Return those for a URL; they are not to be changed."""
        if self._scope.trusts(url):
            return self._usual
        session = self._session
        arguments = dict(self._usual)
        secret = [name for name in session.headers if name.lower() in _SECRET]
        if secret:
            arguments["headers"] = {
                **arguments.get("headers", {}), **dict.fromkeys(secret),
            }  # fmt: skip
        if session.auth is not None:
            arguments["auth"] = _no_credentials
        loose = [cookie.name for cookie in session.cookies if not cookie.domain]
        if loose:
            arguments["cookies"] = dict.fromkeys(loose)
        return arguments

    def of_page(self, page: Page) -> dict[str, Any]:
        """Return those for a page, with its validators where it was visited before."""
        arguments = self.of_url(page.url)
        if not page.visits or not (page.etag or page.modified):
            return arguments
        headers = dict(arguments.get("headers") or {})
        if page.etag:
            headers["If-None-Match"] = page.etag
        if page.modified:
            headers["If-Modified-Since"] = page.modified
        return {**arguments, "headers": headers}


def ask_robots(
    pool: Pool, robots: Robots, origin: str, arguments: dict[str, Any], retries: int
) -> Rules:
    """Fetch an origin's robots.txt, as often as it takes, and return its rules. Blocks.

    Args:
        pool: sends.
        robots: keeps the rules.
        origin: scheme, host and port.
        arguments: as `RequestArguments` has them for the origin.
        retries: how often it is asked for again where there is no answer, or 5xx or 429.
    """
    config = {**arguments.get("config", {}), "max_redirects": _ROBOTS_REDIRECTS}
    config["max_content_size"] = None
    arguments = {**arguments, "allow_redirects": True, "config": config}
    while True:
        tries = robots.tries(origin) + 1
        request = request_of("GET", f"{origin}/robots.txt", arguments)
        response: Response = pool.spawn(request, False).get()
        status, error = response.status_code, response.error
        text: bytes | None = None
        wall = time.time()
        if error is None and status is not None and status < 300:
            try:
                text = _first_bytes(response, LARGEST)
            except RequestException as broken:
                error = broken
        response.close()
        if isinstance(error, TooManyRedirects):
            return robots.answered(origin, 310, None, wall)
        if error is None and status is not None and status < 500 and status != 429:
            return robots.answered(origin, status, text, wall)
        wait = 0.5 * 2**tries
        if status is not None:
            asked = retry_after(response.headers.get("retry-after"), wall)
            wait = wait if asked is None else asked
        reason = f"status {status}" if error is None else f"{type(error).__name__}: {error}"
        last = tries > retries or wait > LONGEST_HOLD
        rules = robots.failed(origin, status, reason, wall, None if last else clock() + wait)
        if rules.error is None or last:
            return rules
        gevent.sleep(wait)


def _first_bytes(response: Response, most: int) -> bytes:
    """Read the beginning of a body."""
    pieces = []
    size = 0
    for piece in response.iter_content(65536):
        pieces.append(piece)
        size += len(piece)
        if size >= most:
            break
    return b"".join(pieces)[:most]
