"""`sys.exit` and interrupts in code of the user's: they end the call that it belongs to."""

from __future__ import annotations

from typing import Any

from greenlet import getcurrent

from .batch import Batch
from .iterated import IteratedBatch

__all__ = ["interrupt", "waiting"]


class waiting:
    """Says, as a context manager, that who waits for a batch raises what interrupts it."""

    __slots__ = ("_batch", "_before")

    def __init__(self, batch: Batch) -> None:
        self._batch = batch

    def __enter__(self) -> None:
        self._before = self._batch.waiter
        self._batch.waiter = getcurrent()

    def __exit__(self, *exception: object) -> None:
        self._batch.waiter = self._before


def interrupt(batch: Batch, error: BaseException) -> None:
    """End a batch's call with what its code has raised to end the program: the first of them does.

    gevent would throw each into the main greenlet, whatever that is doing when its turn comes.
    """
    if batch.on_interruption is not None:
        batch.on_interruption(error)
        return
    if batch.interrupted:
        return
    batch.interrupted = True
    if batch.waiter is not None:
        batch.interruption = error
        batch.changed.set()
        return
    consumer = batch.consumer if isinstance(batch, IteratedBatch) and not batch.closed else None
    if consumer is None or consumer is getcurrent():
        batch.hub.handle_system_error(type(error), error)
        return
    # In the body of its loop, maybe for long.
    batch.interruption = error
    batch.hub.loop.run_callback(_throw, batch, consumer)


def _throw(batch: IteratedBatch, consumer: Any) -> None:
    """Throw an interruption into the loop that takes a batch's entries. Runs in the hub."""
    error, batch.interruption = batch.interruption, None
    if error is not None and not batch.closed:
        consumer.throw(error)
