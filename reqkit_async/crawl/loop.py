"""The loop over a crawl, and the turn whose body runs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, Final

from reqkit import Response
from reqkit.timeouts import clock

from .errors import StoreError
from .links import Document
from .loop_exit import left_without_error, position
from .pausing import let_others_run
from .progress import Reporter
from .runtime import Runtime
from .schema import Page
from .turns import End, Turn

__all__ = ["Loop", "OpenTurn"]

#: Seconds that the loop's bodies may take together before others run.
_TURN: Final = 0.01


class OpenTurn:
    """The turn whose body runs now, and how it ends.

    Args:
        runtime: the crawl's parts.
        reporter: hears of each turn that has ended.

    Attributes:
        turn: what the body has brought; None between two bodies.
        open: the same, but None while it is written, too: what comes then is no part of it.
        response: what was handed over.
        left_open: whether the turn's loop is gone, and the turn is not: the next call ends it.
        loops: how many loops were begun; the last one counts.
    """

    def __init__(self, runtime: Runtime, reporter: Reporter) -> None:
        self._runtime = runtime
        self.reporter: Reporter = reporter
        self.turn: Turn | None = None
        self.open: Turn | None = None
        self._ending = False
        self.response: Response | None = None
        self._document: Document | None = None
        #: Whether the body has ended, and its effect is still to be written.
        self.body_ended: bool = False
        self.left_open: bool = False
        self.loops: int = 0

    def begin(self, page: Page, response: Response) -> None:
        """Begin a turn."""
        self.turn = self.open = Turn(page)
        self.response = response
        self._document = None
        response._crawled = page  # type: ignore[attr-defined]
        response.context = None if page.context is None else json.loads(page.context)

    def page_of(self, response: Any) -> Page | None:
        """Return the page that a response is of; None where this crawl has not handed it over."""
        turn = self.turn
        if turn is not None and response is self.response:
            return turn.page
        page = getattr(response, "_crawled", None)
        return page if isinstance(page, Page) else None

    def document_of(self, response: Any) -> Document:
        """Return a page as it can be read; that of the turn is read once."""
        if self._document is not None and response is self.response:
            return self._document
        page = self.page_of(response)
        joiner = self._runtime.admission.joiner
        if page is None and not isinstance(getattr(response, "url", None), str):
            raise TypeError(f"response is {response!r}: expected what the loop has handed over")
        url = joiner.canonical(response.url) if page is None else page.url
        made = Document(response, url, self._runtime.agent)
        if response is self.response:
            self._document = made
        return made

    def settle(self, exception: Any) -> None:
        """End a turn that is open still, as the loop was left.

        Args:
            exception: what the loop was left by, if that is known.
        """
        if self.turn is not None and not self._ending:  # others may run while it is written
            if exception is None or self.body_ended:
                self.end()
            else:
                self.undo()

    def end(self) -> None:
        """Have the turn take effect.

        Raises:
            StoreError: it cannot be written; the next call tries again.
        """
        turn, response = self.turn, self.response
        assert turn is not None
        assert turn.page is not None
        assert response is not None
        page = turn.page
        self.body_ended = True
        self.open = None
        self._ending = True
        try:
            self._runtime.committer.commit(turn, End.of(page, response))
        finally:
            self._ending = False
        self._runtime.frontier.line(page.host).ended += 1
        self._drop()
        self.reporter.step(self._runtime.stats)

    def undo(self) -> None:
        """Let go of what the turn has brought; its page is handed over once more."""
        turn = self.turn
        assert turn is not None
        assert turn.page is not None
        self._runtime.frontier.later(turn.page, clock())
        self._drop()

    def _drop(self) -> None:
        assert self.turn is not None
        assert self.turn.page is not None
        self._runtime.frontier.line(self.turn.page.host).owed -= 1
        self.turn = self.open = self.response = self._document = None
        self.body_ended = self.left_open = False
        self._runtime.driver.out -= 1
        self._runtime.driver.wake()


class Loop(Iterator[Response]):
    """One loop over a crawl.

    Args:
        runtime: the crawl's parts.
        current: the turn.
    """

    def __init__(self, runtime: Runtime, current: OpenTurn) -> None:
        self._runtime = runtime
        self._current = current
        current.loops += 1
        self._number = current.loops
        self._ends: float | None = None
        self._over = False
        self._at: Any = None
        self._others_ran = clock()

    def __iter__(self) -> Loop:
        return self

    def __next__(self) -> Response:
        runtime, current = self._runtime, self._current
        driver = runtime.driver
        if self._over or current.loops != self._number:
            raise StopIteration
        runtime.check()
        if current.turn is not None:
            current.end()
        if self._ends is None:
            timeout = runtime.settings.timeout
            runtime.store.busy_since = clock()
            self._ends = math.inf if timeout is None else clock() + timeout
        driver.start()
        if clock() - self._others_ran > _TURN:
            # Else nobody reads what has come, as long as there are pages ready.
            let_others_run()
            self._others_ran = clock()
        while True:
            if driver.fault is not None:
                fault, driver.fault = driver.fault, None
                self._over = True
                raise fault
            left = self._ends - clock()
            if left <= 0:
                break
            if driver.ready:
                page, response = driver.ready.popleft()
                self._at = position()
                current.begin(page, response)
                return response
            if driver.over:
                break
            driver.news.clear()
            driver.news.wait(None if left == math.inf else left)
            self._others_ran = clock()
        self._over = True
        runtime.store.busy_since = None
        runtime.store.flush()
        current.reporter.close(runtime.stats)
        raise StopIteration

    def close(self) -> None:
        """End the loop, as ``break`` does."""
        if self._current.loops == self._number and not self._over:
            self._over = True
            self._current.settle(None)

    def __del__(self) -> None:
        current = self._current
        if current.turn is None or current.loops != self._number or self._runtime.closed:
            return
        if current.body_ended:
            current.left_open = True  # it could not be written: the next call tries again
        elif left_without_error():
            try:
                current.settle(None)
            except StoreError:
                current.left_open = True
        elif position() == self._at:
            current.left_open = True  # as by ``next(iter(crawl))``: its body is yet to come
        else:
            current.undo()
