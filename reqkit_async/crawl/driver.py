"""Fetching: pages leave the frontier, and come back as answers, redirects and failures.

One greenlet, the driver, decides all of it; the pool's greenlets only send. So nothing in here has
to be guarded against itself. The loop's body runs in the user's greenlet, and may take its time: at
most `size` pages are in flight, or wait for the body, or are in it.
"""

from __future__ import annotations

import math
import time
import weakref
from collections import deque
from functools import partial
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.hub import get_hub

from reqkit import Request, Response, Session
from reqkit.exceptions import RequestException
from reqkit.sessions.outcome import failed_response
from reqkit.sessions.unsent import request_of
from reqkit.timeouts import clock

from ..pool.exits import is_signals
from ..pool.pool import Pool
from .admission import Admission
from .canonical import origin_of
from .committing import Committer
from .errors import RobotsUnreachable
from .frontier import PAGES_PER_HOST, Frontier, Line
from .pausing import let_others_run
from .redirecting import Redirects, redirects
from .requests import RequestArguments, ask_robots
from .robots import Robots, Rules
from .schema import PAGE, ROBOTS_SITEMAPS, SITEMAP, Page
from .settings import Settings
from .sitemap_reading import SitemapReader
from .store import Store
from .throttling import Throttle

__all__ = ["Driver"]

#: Pages that are looked at before others run.
_AT_ONCE: Final = 200


class Driver:
    """Asks for the pages of a store.

    Args:
        settings: the crawl's.
        session: sends.
        store, frontier, committer, admission, robots: the crawl's.
        recorder: makes archive records of answers, or None.

    Attributes:
        ready: pages and their answers, for the loop.
        news: set whenever there is something new in `ready`, or the end.
        fault: what went wrong in the driver itself, for the loop to raise.
        over: whether nothing is left that could be asked for.
        reached: bounds of the whole crawl that were reached, with an example.
        out: how many pages are in flight, wait for the loop, or are in it.
    """

    def __init__(
        self,
        settings: Settings,
        session: Session,
        store: Store,
        frontier: Frontier,
        committer: Committer,
        admission: Admission,
        robots: Robots,
        recorder: Any,
    ) -> None:
        self._settings = settings
        self._session = session
        self._store = store
        self._frontier = frontier
        self._committer = committer
        self._robots = robots
        self._recorder = recorder
        self.pool: Pool = Pool(settings.size, session=session)
        ended = weakref.WeakMethod(self._interrupted)
        self.pool._spawned.on_interruption = lambda *what: (call := ended()) and call(*what)
        self.ready: deque[tuple[Page, Response]] = deque()
        self.news: Event = Event()
        self.fault: BaseException | None = None
        self.over: bool = False
        self.out: int = 0
        self.reached: dict[str, str] = {}
        self._ended: deque[tuple[Page, Request, Any]] = deque()
        self._answers: deque[tuple[str, Line, Rules]] = deque()
        #: Origins whose robots.txt is asked for, with the lines that wait for it.
        self._asking: dict[str, list[Line]] = {}
        #: Requests whose hooks have ended the loop: their pages are asked for once more.
        self._exited: set[int] = set()
        self._wake = Event()
        self._greenlet: Any = None
        self._others: set[Any] = set()
        self._closing = False
        self._arguments = RequestArguments(settings, session, admission.scope)
        self._throttle = Throttle(settings, frontier)
        self._redirects = Redirects(store, admission, committer)
        self._sitemaps = SitemapReader(admission, committer)

    # -- its life ---------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, or go on. Never blocks."""
        if self._greenlet is None or self._greenlet.ready():  # a fault of before has ended it
            self._greenlet = gevent.spawn(self._drive)
        self.over = False
        self._wake.set()

    def wake(self) -> None:
        """Look whether something may start. Never blocks."""
        self._wake.set()

    def counts(self) -> dict[str, int]:
        """Return what has happened in this run that no page of the store tells of."""
        stats = self.pool.stats
        return {"connections": stats.connections, "hook_errors": stats.hook_errors}

    def stop(self) -> None:
        """Stop all that is in flight, within half a second, and hear of nothing more."""
        self._closing = True
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
        for greenlet in list(self._others):
            greenlet.kill(block=False)
        self.pool.kill()

    def _drive(self) -> None:
        try:
            while not self._closing:
                self._wake.clear()
                self._committer.wait()
                while self._answers:
                    self._robots_came(*self._answers.popleft())
                while self._ended:
                    self._came(*self._ended.popleft())
                busy = self._start_some()
                if busy:
                    let_others_run()
                    continue
                self._look_whether_over()
                wait = self._frontier.next_time() - clock()
                self._wake.wait(None if wait == math.inf else max(wait, 0.0))
        except gevent.GreenletExit:
            raise
        except BaseException as error:  # nobody waits for this greenlet: the loop has to raise it
            self.fault = error
            self.news.set()

    def _interrupted(self, error: BaseException, job: Any) -> None:
        """Have the loop end by what a hook has raised to end the program."""
        if is_signals(error):
            get_hub().handle_system_error(type(error), error)
            return
        if job is not None:
            self._exited.add(id(job.request))  # which is kept until its page has come
        if self.fault is None:
            self.fault = error
            self.news.set()

    def _look_whether_over(self) -> None:
        idle = not (self.out or self._ended or self._answers or self._asking)
        self.over = idle and (self._frontier.empty or bool(self.reached))
        if self.over:
            self._store.flush()
            self.news.set()

    # -- what goes out ----------------------------------------------------------------------

    def _start_some(self) -> bool:
        """Start what may start; return whether there is more to look at, at once."""
        frontier, settings, store = self._frontier, self._settings, self._store
        for _ in range(_AT_ONCE):
            if self.out >= settings.size or self._bound_reached():
                return False
            now = clock()
            found = frontier.next(now)
            if found is None:
                return False
            line, page = found
            if self._blocked(line):
                continue
            if page.kind == ROBOTS_SITEMAPS:
                self._name_sitemaps(line, page, now)
                continue
            if settings.robots and page.kind == PAGE:
                rules = self._rules_of(line, page.url, now)
                if rules is None:
                    continue
                if rules.error is not None:
                    self._unreachable(line, page, rules)
                    continue
                if not rules.allows(page.url):
                    frontier.take(line, page)
                    store.refuse(page, "robots.txt")
                    continue
            frontier.take(line, page)
            frontier.started(line, now)
            self._send(page)
        return True

    def _bound_reached(self) -> bool:
        pages = self._settings.pages
        totals = self._store.totals
        if pages is not None and totals.done + totals.failed + self.out >= pages:
            if not self.out and totals.queued:
                self.reached["pages"] = f"{pages} pages"
                return True
            return bool(self.out)
        return False

    def _blocked(self, line: Line) -> bool:
        """Tell whether a host has had its pages; whatever was begun of it goes on."""
        most = self._settings.pages_per_host
        if most is None or line.again or line.begun < most:
            return False
        self._frontier.block(line, PAGES_PER_HOST)
        return True

    def _send(self, page: Page) -> None:
        arguments = self._arguments.of_page(page)
        prefetch = self._recorder is None
        if page.kind == SITEMAP:
            arguments = {**arguments, "allow_redirects": True, "config": {}}
            prefetch = False
        elif not prefetch:
            arguments = {**arguments, "callback": partial(self._recorder.take, page)}
        request = request_of("GET", page.url, arguments)
        self.out += 1
        page.attempts += 1
        page.tries += 1
        page.started = time.time()
        self._store.mark(page)
        self.pool.spawn(request, prefetch).rawlink(partial(self._hear, page, request))

    def _hear(self, page: Page, request: Request, handle: Any) -> None:
        """Take an entry from the pool. Runs in the hub."""
        self._ended.append((page, request, handle.value))
        self._wake.set()

    # -- what comes back --------------------------------------------------------------------

    def _came(self, page: Page, request: Request, entry: Any) -> None:
        """See what has become of a page."""
        if self._closing:
            return
        response = entry if isinstance(entry, Response) else request.response
        if response is None:
            response = failed_response(request, RequestException(f"no answer: {entry!r}"))
        line = self._frontier.line(page.host)
        self._frontier.ended(line)
        if self._recorder is not None and (fault := self._recorder.fault) is not None:
            self._recorder.fault = None
            self._put_back(page)
            raise fault
        exited = id(request) in self._exited
        self._exited.discard(id(request))
        again = 0.0 if exited else self._throttle.answered(line, page, response)
        if again is not None:
            response.close()
            self._put_back(page, again)
        elif page.kind != PAGE:
            line.owed += 1
            self._spawn(self._sitemap, page, response)
        elif redirects(response):
            self._follow(page, response)
        else:
            self._hand_over(page, response)

    def _follow(self, page: Page, response: Response) -> None:
        """Queue what a page redirects to."""
        try:
            error = self._redirects.follow(page, response)
        except BaseException:  # it goes on to the loop; the page is not to be lost by it
            self._put_back(page)
            raise
        if error is None:
            self._page_ended(page)
        else:
            self._fail(page, response, error)

    def _put_back(self, page: Page, wait: float = 0.0) -> None:
        """Have a page asked for once more, after some seconds."""
        self.out -= 1
        self._frontier.later(page, clock() + wait)

    def _hand_over(self, page: Page, response: Response) -> None:
        """Have the caller's loop get an entry, in its turn."""
        self._frontier.line(page.host).owed += 1
        self.ready.append((page, response))
        self.news.set()

    def _page_ended(self, page: Page) -> None:
        """Count a page that has ended without a turn of the caller's loop."""
        self._frontier.line(page.host).ended += 1
        self.out -= 1
        self.news.set()

    def _fail(self, page: Page, response: Response, error: RequestException) -> None:
        """Hand a page over as failed, though it was answered."""
        error.response = response
        failed = failed_response(request_of("GET", page.url, {}), error)
        self._hand_over(page, failed)

    # -- robots.txt -------------------------------------------------------------------------

    def _rules_of(self, line: Line, url: str, now: float) -> Rules | None:
        """Return what an origin says; None where it has to be asked, and the line waits."""
        robots = self._robots
        origin = origin_of(url)
        rules = robots.of(origin, time.time())
        if rules is not None and not rules.unread and (
            rules.error is None or rules.retry_at == math.inf
        ):  # fmt: skip
            if line.crawl_delay == 0.0 and rules.error is None:
                self._throttle.heed(line, rules)
            return rules
        self._frontier.wait(line)
        waiting = self._asking.get(origin)
        if waiting is not None:
            waiting.append(line)
        else:
            self._asking[origin] = [line]
            self._frontier.started(line, now)
            self.out += 1
            self._spawn(self._ask_robots, origin, line)
        return None

    def _ask_robots(self, origin: str, line: Line) -> None:
        """Have a robots.txt fetched, unless it is kept, and read. Runs in a greenlet of its own."""
        robots = self._robots
        try:
            rules = robots.of(origin, time.time())
            if rules is None or rules.error is not None:
                arguments = self._arguments.of_url(f"{origin}/")
                rules = ask_robots(self.pool, robots, origin, arguments, self._settings.retries)
            rules.read()
        except BaseException:  # likewise: who waits for it asks anew
            self._robots_ended(origin, line)
            raise
        self._answers.append((origin, line, rules))
        self._wake.set()

    def _robots_came(self, origin: str, line: Line, rules: Rules) -> None:
        self._robots_ended(origin, line)
        if rules.error is None:
            self._throttle.heed(line, rules)

    def _robots_ended(self, origin: str, line: Line) -> None:
        """Have those go on that wait for a robots.txt: it came, or is to be asked for again."""
        self.out -= 1
        self._frontier.ended(line)
        for waiting in self._asking.pop(origin, ()):
            self._frontier.go_on(waiting)

    def _unreachable(self, line: Line, page: Page, rules: Rules) -> None:
        """Hand a page over as failed, as nothing may be asked for before its robots.txt is read."""
        self._frontier.take(line, page)
        self.out += 1
        page.started = time.time()
        self._store.mark(page)
        error = RobotsUnreachable.of_text(
            f"{page.url} was not asked for, as the robots.txt of its host could not be had"
            f" ({rules.error}): again(state='failed') queues it once more"
        )
        self._hand_over(page, failed_response(request_of("GET", page.url, {}), error))

    # -- others -----------------------------------------------------------------------------

    def _spawn(self, function: Any, *arguments: Any) -> None:
        """Run something in a greenlet of its own; what it raises, the loop raises."""
        greenlet = gevent.Greenlet(self._guarded, function, *arguments)
        self._others.add(greenlet)
        greenlet.rawlink(self._others.discard)
        greenlet.start()

    def _guarded(self, function: Any, *arguments: Any) -> None:
        try:
            function(*arguments)
        except gevent.GreenletExit:
            raise
        except BaseException as error:  # as above
            if not self._closing:
                self.fault = error
                self.news.set()

    def _name_sitemaps(self, line: Line, page: Page, now: float) -> None:
        """Queue the sitemaps that a robots.txt names."""
        rules = self._rules_of(line, page.url, now)
        if rules is None:
            return
        self._frontier.take(line, page)
        self._sitemaps.name(page, rules)
        line.ended += 1

    def _sitemap(self, page: Page, response: Response) -> None:
        """Queue what a sitemap names. Runs in a greenlet of its own."""
        try:
            self._sitemaps.read(page, response, self.wake)
        except BaseException:  # likewise: what was read of it is known by now
            self._put_back(page)
            raise
        finally:
            self._frontier.line(page.host).owed -= 1
        self._page_ended(page)
        self._wake.set()
