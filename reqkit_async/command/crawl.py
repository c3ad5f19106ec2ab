"""A call of ``reqkit crawl``: the loop over a `Crawl`, and an item for each page."""

from __future__ import annotations

import sys
from typing import Any, Final

import click
import gevent

from reqkit import Response
from reqkit.exceptions import RequestException

from ..crawl import Crawl, StoreError
from ..crawl.exporting import check_export
from ..crawl.links import html_parser
from ..crawl.robots import robots_parser
from .interrupts import Interrupts
from .journal import Output
from .options import check_report, session_of
from .records import line_of
from .screen import Screen, is_terminal

__all__ = ["CrawlCommand", "item_of"]

#: Characters of a title.
_LONGEST: Final = 500


class CrawlCommand:
    """A call of ``reqkit crawl``: its arguments checked, and what they ask for done."""

    def __init__(self, urls: tuple[str, ...], options: dict[str, Any]) -> None:
        self.urls = urls
        self.options = options
        try:
            html_parser()
            if not options["no_robots"]:
                robots_parser()
        except ImportError as error:
            raise click.UsageError(str(error)) from error
        if options["export"] not in (None, "-"):
            try:
                check_export(options["export"])
            except (ValueError, ImportError) as error:
                raise click.UsageError(f"--export {options['export']}: {error}") from error
        check_report(options["report"])
        options["total"] = None
        self._settings = {
            "size": options["size"],
            "agent": options["agent"],
            "within": None if options["within"] == "any" else options["within"],
            "allow": list(options["allow"]) or None,
            "deny": list(options["deny"]) or None,
            "depth": options["depth"],
            "pages": options["pages"],
            "pages_per_host": options["pages_per_host"],
            "max_content_size": options["max_size"],
            "robots": not options["no_robots"],
            "per_host": options["per_host"],
            "delay": _delay(options["delay"]),
            "retries": options["retries"],
            "revisit": options["revisit"],
            "archive": options["archive"],
            "page_timeout": options["timeout"],
        }

    def run(self) -> int:
        """Crawl until nothing is left, and return the exit status."""
        options = self.options
        screen = Screen(None, options["quiet"], results=is_terminal(sys.stdout))
        interrupts = Interrupts(_stop_main)
        status = 0
        try:
            with (
                session_of({**options, "timeout": None}) as session,
                Crawl(options["store"], session=session, **self._settings) as crawl,
            ):
                self._add(crawl)
                with interrupts:
                    _loop(crawl, screen)
                status = 1 if crawl.stats.failed else 0
                status = self._write(crawl, screen, status)
                what = _left(crawl)
        except Stopped:
            status = interrupts.status
            with Crawl(options["store"]) as crawl:  # closed by what has stopped it, in order
                self._write(crawl, screen, status)
                what = _left(crawl)
        except (StoreError, ValueError, RequestException, ImportError) as error:
            raise click.UsageError(str(error)) from error
        screen.summary(what, interrupted=status > 128)
        return status

    def _add(self, crawl: Crawl) -> None:
        for url in self.urls:
            crawl.add(url)
        if self.options["sitemaps"]:
            crawl.add_sitemap()
        if self.options["failed"]:
            crawl.again("failed")

    def _write(self, crawl: Crawl, screen: Screen, status: int) -> int:
        """Write what was asked for; return the exit status, 1 where it could not be written."""
        export, report = self.options["export"], self.options["report"]
        try:
            self._write_all(crawl, export, report)
        except BrokenPipeError:
            raise
        except OSError as error:
            name = error.filename or export or report
            screen.say(f"reqkit: {name} cannot be written: {error.strerror}")
            return status or 1
        return status

    def _write_all(self, crawl: Crawl, export: str | None, report: Any) -> None:
        if export == "-":
            output = Output(1)
            for item in crawl.items():
                output.write(line_of(item))
        elif export is not None:
            crawl.export(export)
        if report is not None:
            crawl.report(report)


class Stopped(BaseException):
    """A signal has stopped the loop, where it waited: in no page's turn."""


def _stop_main() -> None:
    """End the loop. A signal's handler cannot: it runs in any greenlet, and in a page's turn."""
    hub = gevent.get_hub()
    hub.loop.run_callback(hub.parent.throw, Stopped())


def _loop(crawl: Crawl, screen: Screen) -> None:
    with screen.watching(_Watched(crawl)):
        for response in crawl:
            item = item_of(crawl, response)
            if not crawl.visit(response).unchanged:  # else what was kept of it counts still
                crawl.keep(item)
            if response.error is None:
                crawl.follow(response)
            screen.tell(_shown(item))


def _left(crawl: Crawl) -> str:
    stats = crawl.stats
    text = f"of {stats.known:,} known {stats.done:,} are done"
    if stats.failed:
        text += f", {stats.failed:,} failed"
    text += f", {stats.queued:,} are still to do"
    for name, (count, _) in stats.bounds.items():
        text += f"; kept out by {name}: {count:,}"
    return text


def _delay(text: str) -> float | str:
    if text == "auto":
        return text
    try:
        return float(text)
    except ValueError:
        raise click.UsageError(f"--delay {text!r}: expected seconds, or auto") from None


class _Watched:
    """What a `Screen` asks of a pool, of a crawl."""

    def __init__(self, crawl: Crawl) -> None:
        self._crawl = crawl

    @property
    def held(self) -> dict[str, float]:
        """The hosts that are held back, and for how many seconds."""
        return self._crawl.stats.held

    @property
    def known(self) -> int:
        """URLs that are known."""
        return self._crawl.stats.known


def item_of(crawl: Crawl, response: Response) -> dict[str, Any]:
    """Return what is kept of a page: URL, status, title, depth, type, bytes, links, error."""
    visit = crawl.visit(response)
    error = response.error
    item: dict[str, Any] = {
        "url": visit.url,
        "status": response.status_code,
        "title": None,
        "depth": visit.depth,
        "type": None if response.status_code is None else response.headers.get("content-type"),
        "bytes": 0,
        "links": 0,
        "error": None if error is None else f"{type(error).__name__}: {error}",
    }
    if error is None:
        item["bytes"] = len(response.content)
        item["links"] = len(crawl.links(response, nofollow=False))
        item["title"] = _title(crawl, response)
    return item


def _title(crawl: Crawl, response: Response) -> str | None:
    kind = (response.headers.get("content-type") or "").lower()
    if "html" not in kind:
        return None
    found = crawl.tree(response).css_first("title")
    text = "" if found is None else " ".join(found.text().split())
    return text[:_LONGEST] or None


def _shown(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item as a `Screen` is told of it."""
    error, status = item["error"], item["status"]
    kind, _, message = (error or "").partition(": ")
    return {
        "url": item["url"],
        "input": item["url"],
        "status": status,
        "ok": error is None and status is not None and status < 400,
        "error": {"type": kind, "message": message} if error else None,
        "seconds": None,
        "bytes": item["bytes"],
    }
