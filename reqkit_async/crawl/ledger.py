"""Where turns take effect: archive, store and frontier, in this order."""

from __future__ import annotations

from typing import Any

from .frontier import Frontier
from .keeping import Keeper
from .store import Store
from .turns import End, Turn

__all__ = ["Ledger"]


class Ledger:
    """Writes turns down.

    Args:
        store: the store.
        frontier: hears of what was queued.
        archive: gets the pages' records, or None.
    """

    def __init__(self, store: Store, frontier: Frontier, archive: Any) -> None:
        self.store = store
        self._frontier = frontier
        self.archive = archive
        self._keeper = None if store.path is None else Keeper(store.path, self._sync_archive)

    def start(self) -> None:
        """Have what is written kept by the disk, from now on."""
        if self._keeper is not None:
            self._keeper.start()

    def wait(self) -> None:
        """Wait until the store can be written; others run meanwhile."""
        if self._keeper is not None and not self._keeper.writable.is_set():
            self._keeper.writable.wait()

    def commit(self, turn: Turn, end: End | None) -> None:
        """Have all of a turn take effect, or, where this raises, nothing of it.

        Others may run before it begins to write; none while it does.

        Raises:
            StoreError: the store or the archive cannot be written.
        """
        self.wait()
        archive = self.archive
        if end is None or archive is None or end.page.record is None:
            self.store.commit(turn, end)
        else:
            before = archive.length
            end.archived = archive.append(end.page.record)
            try:
                self.store.commit(turn, end)
            except BaseException:
                end.archived = None
                archive.cut(before)
                raise
        if self._keeper is not None:
            self._keeper.changes += 1
        if turn.hosts:
            self._frontier.added(turn.hosts)

    def _sync_archive(self) -> None:
        if self.archive is not None:
            self.archive.sync()

    def close(self) -> None:
        """Let go of all."""
        if self._keeper is not None:
            self._keeper.stop()
        if self.archive is not None:
            self.archive.close()
        self.store.close()
