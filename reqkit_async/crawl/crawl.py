"""`Crawl`: a loop over the pages of a site, that may be killed at any moment."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from reqkit import Response, Session
from reqkit.base.numbers import as_float

from .errors import StoreError
from .exporting import export
from .figures import figures_of
from .gathering import Gathering
from .loop import Loop, OpenTurn
from .progress import open_progress
from .runtime import Runtime
from .schema import DONE, FAILED, PAGE, REFUSED, ROBOTS_SITEMAPS, SITEMAP, STATES
from .scope import Scope
from .settings import Settings
from .stats import CrawlStats
from .turns import Turn
from .visits import Known, Visit

__all__ = ["Crawl"]

_thread: Final = threading.get_ident
#: A whole number that is less can be counted on from in a store.
_LARGEST: Final = 1 << 62


class Crawl:
    """A crawl, and the file that it lives in.

    A loop over it hands over pages as they end. What the loop's body adds and keeps takes effect
    together with the page's being done, when the body ends. Killed at any moment, the same program
    goes on where it was.

    It belongs to the thread that made it. As a context manager: leaving it stops what is in flight,
    which is asked for again the next time.

    Args:
        store: the file, made where it is not there; None keeps all in memory.
        size: pages at most that are in flight, or wait for the loop, or are in it.
        agent: the crawler's name, version and page: its User-Agent, and whose rules in robots.txt
            count.
        within: where links may lead: ``"host"``, ``"site"``, ``"path"``, a function of a URL, or
            None for anywhere.
        allow: regular expressions; links that none is found in are left out.
        deny: regular expressions; links that one is found in are left out.
        depth: links from the first pages at most.
        pages: pages at most, in all.
        pages_per_host: pages of one host at most.
        max_content_size: bytes of a page at most, after decoding.
        max_url_length: characters of a URL at most.
        canonical: makes one URL of those that mean the same, beyond what is always done.
        robots: keep to robots.txt.
        max_crawl_delay: seconds that a Crawl-delay counts at most.
        per_host: requests in flight for one host at most.
        delay: seconds between two starts to one host; ``"auto"`` for as long as it takes to answer.
        retries: how often a failed page is asked for again.
        host_failures: failures in a row after which a host is left alone in this run.
        revisit: seconds after which pages that are done are asked for again; None for never.
        archive: a file that gets requests and answers, in WARC's format (``.warc`` or
            ``.warc.gz``).
        session: sends the requests; its headers, cookies, auth, hooks and proxies count.
        page_timeout: seconds for one page in all, or a `reqkit.Timeouts`.
        timeout: seconds for each loop as a whole; it ends then, and what is left is for the next.
        progress: True for a line on stderr, where that is a terminal; ``"always"``; or a function
            of the crawl's ``stats``.

    Raises:
        ValueError: an argument cannot have that value; nothing was opened.
        StoreError: the store cannot be opened, and was not changed.
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | None = None,
        size: int = 50,
        *,
        agent: str | None = None,
        within: str | Callable[[str], Any] | None = "host",
        allow: Any = None,
        deny: Any = None,
        depth: int | None = None,
        pages: int | None = None,
        pages_per_host: int | None = None,
        max_content_size: int | None = 10 * 1024 * 1024,
        max_url_length: int = 2000,
        canonical: Callable[[str], str] | None = None,
        robots: bool = True,
        max_crawl_delay: float = 30.0,
        per_host: int = 2,
        delay: float | str | None = "auto",
        retries: int = 2,
        host_failures: int | None = 25,
        revisit: float | None = None,
        archive: str | os.PathLike[str] | None = None,
        session: Session | None = None,
        page_timeout: Any = 60.0,
        timeout: float | None = None,
        progress: Any = None,
    ) -> None:
        settings = Settings(
            size=size, agent=agent, robots=robots, per_host=per_host, delay=delay,
            max_crawl_delay=max_crawl_delay, retries=retries, depth=depth, pages=pages,
            pages_per_host=pages_per_host, max_content_size=max_content_size,
            max_url_length=max_url_length, host_failures=host_failures, revisit=revisit,
            timeout=timeout, page_timeout=page_timeout,
        )  # fmt: skip
        if session is not None and not isinstance(session, Session):
            raise ValueError(f"session is {session!r}: expected a reqkit.Session")
        if canonical is not None and not callable(canonical):
            raise ValueError(f"canonical is {canonical!r}: expected a function of a URL")
        reporter = open_progress(progress)
        scope = Scope(within, allow, deny)
        runtime = self._runtime = Runtime(settings, scope, store, archive, session, canonical)
        self._settings = settings
        self._store = runtime.store
        self._frontier = runtime.frontier
        self._admission = runtime.admission
        self._current = OpenTurn(runtime, reporter)
        self._gathering = Gathering(runtime, self._current)
        self.stats: CrawlStats = runtime.stats

    # -- adding -----------------------------------------------------------------------------

    def add(
        self,
        url: str,
        depth: int | None = None,
        priority: float = 0,
        context: Any = None,
        again: bool = False,
    ) -> bool:
        """Add a URL, unless it is known. Never waits for the network.

        What is added outside of the loop is where the crawl begins: ``within`` counts from there.
        What is added in the loop's body takes effect with its turn.

        Args:
            url: the URL, with its scheme.
            depth: how many links it is from the first; None for 0 outside of the loop, and for one
                more than the page in it.
            priority: those with a higher one come first.
            context: anything that JSON has: ``response.context`` later on.
            again: ask for a known one once more.

        Returns: whether it is asked for (once more).

        Raises:
            InvalidURL: it cannot be crawled; MissingSchema, URLRequired.
            ValueError: depth, priority or context cannot be such a thing.
            StoreError: the store cannot be written.
        """
        turn = self._current.open
        outside = turn is None
        if turn is None:
            turn = self._gathering.turn
            # Now and then what was gathered has to be written, and a call from elsewhere refused.
            if not len(turn.adds) & 63 or not self._runtime.is_mine(_thread()):
                turn = self._gathering.begin()
        admission = self._admission
        if outside and not again and depth is None and context is None and priority == 0:
            added = admission.admit_plain(turn, url)
            if added is not None:
                if added:
                    self._gathering.write_if_many()
                return added
        url = admission.joiner.canonical(url)
        page = turn.page
        if depth is None:
            depth = 0 if page is None else page.depth + 1
        stored = _checked(depth, priority, context)
        if outside and url[: url.index("/", 8)] not in admission.scope.begun:
            admission.scope.begin_at(url)
        if admission.admit(
            turn, url, PAGE, priority, depth, outside, 0, stored, None if page is None else page.id
        ):
            if outside:
                self._gathering.write_if_many()
            return True
        if not again or url in turn.adds or self._store.find(url) is None:
            return False
        turn.again.append((url, PAGE, priority, depth, stored, 0))
        return True

    def follow(
        self,
        response: Any,
        css: str = "a[href]",
        *,
        depth: int | None = None,
        priority: float = 0,
        context: Any = None,
        nofollow: bool = True,
    ) -> int:
        """Add a page's links that are in scope.

        Args:
            response: the page.
            css: selects the elements whose ``href`` or ``src`` counts.
            depth: as for `add`.
            priority: as for `add`.
            context: as for `add`.
            nofollow: leave out what is marked so; see `links`.

        Returns: how many of them were new.

        Raises:
            ValueError: the selector is none; depth, priority or context cannot be such a thing.
            StoreError: the store cannot be written (outside of the loop).
        """
        turn = self._turn()
        page = self._current.page_of(response)
        if depth is None:
            depth = 1 if page is None else page.depth + 1
        stored = _checked(depth, priority, context)
        found_on = None if page is None else page.id
        admit = self._admission.admit
        recent = self._store.recent
        count = 0
        links = self._current.document_of(response).links(self._admission.joiner, css, nofollow)
        for url in links:
            if url not in recent:
                count += admit(turn, url, PAGE, priority, depth, False, 0, stored, found_on, True)
        return count

    def add_sitemap(self, url: str | None = None) -> bool:
        """Add the pages of a sitemap that are in scope; it is read in the loop.

        It may be XML, an index of further ones, a feed, or text, compressed or not.

        Args:
            url: the sitemap's; None for those that the robots.txt of each host names that the crawl
                begins at, or ``/sitemap.xml`` where it names none.

        Returns: whether it is new.

        Raises:
            InvalidURL: it cannot be asked for; MissingSchema, URLRequired.
            ValueError: there is no URL, and nothing was added before.
            StoreError: the store cannot be written.
        """
        admission = self._admission
        turn = self._turn()
        if url is not None:
            url = admission.joiner.canonical(url)
            admission.scope.begin_at(url)
            return admission.admit(turn, url, SITEMAP, seed=True)
        self._gathering.write()
        origins = {origin for origin, _ in self._store.starts()}
        if not origins:
            raise ValueError("add_sitemap() without a URL: add a page first, for its host")
        if self._current.open is None:
            turn = self._gathering.begin()
        found = [
            admission.admit(turn, f"{origin}/robots.txt", ROBOTS_SITEMAPS) for origin in origins
        ]
        return any(found)

    def links(self, response: Any, css: str = "a[href]", *, nofollow: bool = True) -> list[str]:
        """Return a page's links: absolute, canonical, each once, in the page's order.

        ``<base>`` counts. What is not a page of HTML has none.

        Args:
            response: the page.
            css: selects the elements whose ``href`` or ``src`` counts.
            nofollow: leave out links with ``rel="nofollow"``, and all where the page says so, in a
                ``<meta name="robots">`` or as ``X-Robots-Tag``.

        Raises:
            ValueError: the selector is none.
        """
        document = self._current.document_of(response)
        return list(document.links(self._admission.joiner, css, nofollow))

    def tree(self, response: Any) -> Any:
        """Return a page as a tree, a ``selectolax.lexbor.LexborHTMLParser``; parsed only once."""
        return self._current.document_of(response).tree

    def keep(self, item: Any) -> None:
        """Keep an item: anything that JSON has. It takes effect with the page's turn.

        Where a page is asked for again later, and keeps items again, these take the place of the
        ones before (which `items` gives with ``every=True``).

        Raises:
            ValueError: it is no JSON.
        """
        turn = self._turn()
        turn.items.append(_json("item", item))

    def _turn(self) -> Turn:
        """Return what something is added to now: the turn of the loop's body, or the gathering."""
        turn = self._current.open
        return self._gathering.begin() if turn is None else turn

    def visit(self, response: Any) -> Visit:
        """Return what is known of a page that the loop has handed over."""
        page = self._current.page_of(response)
        if page is None:
            raise ValueError(f"{response!r} was not handed over by this crawl")
        return Visit(page, self._current.document_of(response), self._store)

    # -- the loop ---------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Response]:
        """Hand over pages as they end, failures too, until nothing is left."""
        self._runtime.check()
        self._current.settle(None)
        self._gathering.write()
        if self._settings.revisit is not None:
            self._runtime.committer.again(DONE, time.time() - self._settings.revisit)
        return Loop(self._runtime, self._current)

    # -- what is known ----------------------------------------------------------------------

    def urls(self, state: str | None = None) -> Iterator[Known]:
        """Yield what is known, in the order in which it was added.

        Args:
            state: ``queued``, ``in flight``, ``done``, ``failed`` or ``refused``; None for all.
        """
        number = None if state is None else _state(state)
        self._gathering.write()
        self._store.flush()
        yield from Known.read(self._store, number)

    def failed(self) -> Iterator[Known]:
        """Yield the pages that have failed: no answer, or one that says so (4xx, 5xx)."""
        return self.urls("failed")

    def again(self, state: str = "failed") -> int:
        """Queue all pages of a state once more: ``failed``, ``refused`` or ``done``.

        Returns: how many.
        """
        number = _state(state)
        if number not in (DONE, FAILED, REFUSED):
            raise ValueError(f"state is {state!r}: expected 'failed', 'refused' or 'done'")
        self._gathering.begin()
        self._gathering.write()
        count = self._runtime.committer.again(number, None)
        self._runtime.driver.wake()
        return count

    def items(self, every: bool = False) -> Iterator[Any]:
        """Yield what was kept, in the order in which it was.

        Args:
            every: those of earlier visits of a page, too.
        """
        self._gathering.write()
        for text in self._store.items(every):
            yield json.loads(text)

    def export(self, path: str | os.PathLike[str]) -> int:
        """Write the items to a file: ``.jsonl``, ``.csv`` or ``.parquet`` (extra ``parquet``).

        A table has a column for each key of the items; what is no text or number is JSON in it.

        Args:
            path: the file; it is replaced when the new one is whole.

        Returns: how many items there were.

        Raises:
            ValueError: the name ends otherwise; an item is no dictionary, and a table wants one.
            OSError: it cannot be written; what was there is as it was.
        """
        return export(self.items, path)

    # -- its end ----------------------------------------------------------------------------

    def close(self) -> None:
        """Stop what is in flight, within half a second, and close the store."""
        if self._runtime.closed:
            return
        self._runtime.closed = True
        try:
            try:
                self._runtime.driver.stop()
            finally:  # an interrupt, too, loses nothing that was added
                self._gathering.write()
        finally:
            self._runtime.close()

    def __enter__(self) -> Crawl:
        return self

    def __exit__(self, kind: Any, *exception: object) -> None:
        try:
            try:
                if not self._runtime.closed:
                    self._current.settle(kind)
            finally:
                self.close()
        except StoreError:
            if kind is None:
                raise  # else the first error says it

    # -- what came of it --------------------------------------------------------------------

    def figures(self) -> dict[str, Any]:
        """Return what a report tells, as what JSON can hold: the store's of all runs, in bounds.

        Raises:
            StoreError: the store cannot be read.
        """
        self._gathering.write()
        return figures_of(self._store, self.stats)

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write an HTML page with figures and pictures, which needs nothing else; return its path.

        Raises:
            ImportError: the extra ``cli`` is not installed.
            StoreError: the store cannot be read.
            OSError: the file cannot be written.
        """
        from ..report import write_crawl_report

        return write_crawl_report(self.figures(), path)

    def _repr_html_(self) -> str:
        from ..report.notebook import crawl_html

        return crawl_html(repr(self), self.stats.as_dict())

    def __repr__(self) -> str:
        totals = self._store.totals
        return (
            f"<Crawl {str(self._store.path) if self._store.path else 'in memory'!r}"
            f" done={totals.done} queued={totals.queued} failed={totals.failed}>"
        )


def _state(name: str) -> int:
    try:
        return STATES.index(name)
    except ValueError:
        raise ValueError(
            f"state is {name!r}: expected one of {', '.join(map(repr, STATES))}"
        ) from None


def _checked(depth: Any, priority: Any, context: Any) -> str | None:
    """See that a store can have what is said of a URL; return its context as the store has it.

    Raises:
        ValueError: it cannot.
    """
    if isinstance(depth, bool) or not isinstance(depth, int) or not 0 <= depth < _LARGEST:
        raise ValueError(f"depth is {depth!r}: expected links from the first page, 0 or more")
    number = as_float(priority)
    if number is None or not math.isfinite(number):
        raise ValueError(f"priority is {priority!r}: expected a number")
    if isinstance(priority, int) and not -_LARGEST < priority < _LARGEST:
        raise ValueError(
            f"priority is {priority!r}: expected a whole number of 63 bits, or a float"
        )
    return None if context is None else _json("context", context)


def _json(name: str, value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        try:
            text.encode()
        except UnicodeEncodeError:  # half of a surrogate pair, out of somebody's JSON
            return json.dumps(value, allow_nan=False, separators=(",", ":"))
        return text
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{name} is {str(type(value).__name__)!r} with something that JSON has not: {error};"
            " expected dictionaries, lists, text, numbers, True, False and None"
        ) from error
