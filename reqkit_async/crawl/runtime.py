"""What an open crawl consists of, and how that is opened and closed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from reqkit import Session

from .admission import Admission
from .archive import Archive, Recorder, archive_path
from .canonical import Joiner
from .committing import Committer
from .driver import Driver
from .errors import StoreError
from .frontier import Frontier
from .robots import Robots, product_token
from .scope import Scope
from .settings import Settings
from .stats import CrawlStats
from .store import Store

__all__ = ["Runtime"]


class Runtime:
    """The parts of an open crawl.

    Args:
        settings: the crawl's.
        scope: where links may lead; it is told where the crawl began in earlier runs.
        store: the store's file; None keeps all in memory.
        archive: the archive's file; None for none.
        session: sends; None for one of the crawl's own.
        canonical: makes one URL of those that mean the same; None for no more than usual.

    Raises:
        ValueError: the archive's name is none.
        StoreError: the store or the archive cannot be opened, and was not changed.
    """

    def __init__(
        self,
        settings: Settings,
        scope: Scope,
        store: str | os.PathLike[str] | None,
        archive: str | os.PathLike[str] | None,
        session: Session | None,
        canonical: Callable[[str], str] | None,
    ) -> None:
        self._thread = threading.get_ident()
        self.settings = settings
        self.closed: bool = False
        self.agent: str = product_token(settings.agent)
        if archive is not None:
            archive = archive_path(archive)  # it may be wrong: before a store is made
        self.store: Store = Store(store)
        try:
            kept = None if archive is None else Archive(archive, self.store)
        except BaseException:  # an interrupt, too, must not leave it locked
            self.store.close()
            raise
        self.session: Session = Session() if session is None else session
        self._own_session = session is None
        self.admission: Admission = Admission(
            self.store, Joiner(canonical), scope, settings.depth, settings.max_url_length
        )
        for origin, trusted in self.store.starts():
            scope.begin_at(f"{origin}/", trusted)
        if scope.needs_pages:
            scope.begin_anew(self.store.seeds())
        self.frontier: Frontier = Frontier(
            self.store, 1 if settings.auto_delay else settings.per_host, settings.delay
        )
        self.committer: Committer = Committer(self.store, self.frontier, kept)
        recorder = None if kept is None else Recorder(kept.compressed, settings.max_content_size)
        self.driver: Driver = Driver(
            settings, self.session, self.store, self.frontier, self.committer, self.admission,
            Robots(self.agent, self.store), recorder,
        )  # fmt: skip
        self.store.run_counts = self.driver.counts
        self.stats: CrawlStats = CrawlStats(self.store, self.frontier, self.driver)
        self.committer.start()

    def check(self) -> None:
        """See that the crawl is open, and this is its thread.

        Raises:
            StoreError: it is closed.
            RuntimeError: it is another one.
        """
        if self.closed:
            raise StoreError("this crawl is closed: make another one on the same store")
        if threading.get_ident() != self._thread:
            raise RuntimeError(
                "a crawl belongs to the thread that made it, and is used in another one"
            )

    def is_mine(self, thread: int) -> bool:
        """Tell whether the crawl belongs to a thread."""
        return thread == self._thread

    def close(self) -> None:
        """Let go of all; what is in flight is queued."""
        self.store.release()
        self.committer.close()
        if self._own_session:
            self.session.close()
