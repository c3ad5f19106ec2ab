"""Long work in small pieces: others run between them.

What reads, joins or writes very much would keep the event loop from its sockets and timers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

import gevent

__all__ = ["let_others_run", "with_pauses"]

T = TypeVar("T")


def let_others_run() -> None:
    """Have the event loop look at its sockets and timers, and other greenlets run."""
    # No sleep of 0: that lets greenlets run, but has the loop look at neither.
    gevent.sleep(1e-6)


def with_pauses(items: Iterable[T], most: int) -> Iterator[T]:
    """Yield items; others run after so many of them.

    Args:
        items: any.
        most: how many are yielded between two pauses.
    """
    for number, item in enumerate(items):
        if number and not number % most:
            let_others_run()
        yield item
