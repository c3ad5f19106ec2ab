"""How many URLs are in which state, and the like: counted as things change, never by looking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .schema import DONE, FAILED

__all__ = ["UPDATE_TOTALS", "Totals"]

#: Writes them; takes `Totals.values`.
UPDATE_TOTALS: Final = (
    "UPDATE totals SET queued=?, done=?, failed=?, refused=?, items=?, bytes=?, archive_length=?,"
    " seconds=?"
)


class Totals:
    """The row of the table of that name. What is in flight counts as queued."""

    __slots__ = (
        "archive_length", "bytes", "done", "failed", "items", "queued", "refused", "seconds",
    )  # fmt: skip

    queued: int
    done: int
    failed: int
    refused: int
    items: int
    bytes: int
    archive_length: int
    seconds: float

    def __init__(self, values: Sequence[Any]) -> None:
        (
            self.queued, self.done, self.failed, self.refused, self.items, self.bytes,
            self.archive_length, self.seconds,
        ) = values  # fmt: skip

    def values(self) -> tuple[Any, ...]:
        """Return them in the table's order."""
        return (
            self.queued, self.done, self.failed, self.refused, self.items, self.bytes,
            self.archive_length, self.seconds,
        )  # fmt: skip

    @property
    def known(self) -> int:
        """How many URLs there are."""
        return self.queued + self.done + self.failed + self.refused

    def ended(self, state: int, count: int = 1) -> None:
        """Count URLs that were queued and have ended in a state; a negative number undoes it."""
        self.queued -= count
        if state == DONE:
            self.done += count
        elif state == FAILED:
            self.failed += count
        else:
            self.refused += count
