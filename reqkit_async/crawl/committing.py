"""Where turns take effect: archive, store and frontier, in this order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from gevent.event import Event

from .frontier import Frontier
from .inserting import AT_ONCE
from .pausing import let_others_run
from .store import Store
from .syncing import Checkpointer
from .turns import End, Turn

__all__ = ["Committer"]


class Committer:
    """Has turns take effect, each as a whole.

    Args:
        store: the store.
        frontier: hears of what was queued.
        archive: gets the pages' records, or None.
    """

    def __init__(self, store: Store, frontier: Frontier, archive: Any) -> None:
        self.store = store
        self._frontier = frontier
        self.archive = archive
        self._writing: Any = None
        self._checkpointer = (
            None if store.path is None else Checkpointer(store.path, self._sync_archive)
        )

    def start(self) -> None:
        """Have what is written kept by the disk, from now on."""
        if self._checkpointer is not None:
            self._checkpointer.start()

    def wait(self) -> None:
        """Wait until the store can be written; others run meanwhile."""
        checkpointer = self._checkpointer
        while True:
            if self._writing is not None:
                self._writing.wait()
            elif checkpointer is not None and not checkpointer.writable.is_set():
                checkpointer.writable.wait()
            else:
                return

    def commit(self, turn: Turn, end: End | None) -> None:
        """Have all of a turn take effect, or, where this raises, nothing of it.

        Others may run before it begins to write, and while it writes very much; none of them
        writes meanwhile.

        Raises:
            StoreError: the store or the archive cannot be written.
        """
        self.wait()
        if len(turn.adds) <= AT_ONCE:
            self._commit(turn, end)
        else:
            with self._in_pieces():
                self._commit(turn, end)
        self._changed()
        if turn.hosts:
            self._frontier.added(turn.hosts)

    def again(self, state: int, older: float | None) -> int:
        """Queue all pages of a state once more, as `Store.again`; others may run meanwhile.

        Raises:
            StoreError: the store cannot be written; nothing of it was.
        """
        self.wait()
        with self._in_pieces():
            count = self.store.again(state, older)
        self._changed()
        self._frontier.reopen()
        return count

    @contextlib.contextmanager
    def _in_pieces(self) -> Iterator[None]:
        """Have others run while much is written; none of them writes."""
        self._writing = writing = Event()
        self.store.breathe = let_others_run
        try:
            yield
        finally:
            self.store.breathe = self._writing = None
            writing.set()

    def _changed(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.changes += 1

    def _commit(self, turn: Turn, end: End | None) -> None:
        archive = self.archive
        if end is None or archive is None or end.page.record is None:
            self.store.commit(turn, end)
        else:
            before = archive.length
            end.archived = archive.append(end.page.record)
            try:
                self.store.commit(turn, end)
            except BaseException:  # an interrupt, too: both have it, or none
                end.archived = None
                archive.cut(before)
                raise

    def _sync_archive(self) -> None:
        if self.archive is not None:
            self.archive.sync()

    def close(self) -> None:
        """Let go of all."""
        if self._checkpointer is not None:
            self._checkpointer.stop()
        if self.archive is not None:
            self.archive.close()
        self.store.close()
