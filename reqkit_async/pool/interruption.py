"""`sys.exit` and interrupts in code of the user's: they end the call that it belongs to."""

from __future__ import annotations

from typing import Any

from greenlet import getcurrent

from .batch import Batch, Job
from .exits import Exit, is_signals
from .iterated import IteratedBatch
from .spawned import Handle

__all__ = ["interrupt", "interrupted", "raise_interruption", "waiting"]


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


def interrupt(batch: Batch, error: BaseException, job: Job | None = None) -> None:
    """End a batch's call with what its code has raised to end the program: the first of them does.

    gevent would throw each into the main greenlet, whatever that is doing when its turn comes. That
    happens only to what a signal's handler has raised, where nobody waits for the batch. Of what
    was spawned it is who waits for the very request that gets it, or who joins the pool, sooner
    or later.

    Args:
        batch: where the code belongs to.
        error: what was raised.
        job: what it ran for, where that is known.
    """
    if batch.on_interruption is not None:
        batch.on_interruption(error, job)
        return
    handle = None if job is None else job.handle
    first, batch.interrupted = not batch.interrupted, True
    if not first and handle is None:
        return
    if first and batch.waiter is None:
        consumer = batch.consumer if isinstance(batch, IteratedBatch) and not batch.closed else None
        if consumer is not None and consumer is not getcurrent():
            # In the body of its loop, maybe for long.
            batch.interruption = Exit(error, waited_for=True)
            batch.hub.loop.run_callback(_throw, batch, consumer)
            return
        if is_signals(error):
            batch.hub.handle_system_error(type(error), error)
            return
    waited_for = first and batch.waiter is not None
    told = Exit(error, None if job is None else job.request, not first, waited_for)
    if isinstance(handle, Handle):
        handle.exit = told
    if first:
        batch.interruption = told
        batch.changed.set()


def interrupted(batch: Batch) -> bool:
    """Tell whether something is to end a batch's call that nobody has raised yet."""
    told = batch.interruption
    return told is not None and not told.taken


def raise_interruption(batch: Batch) -> None:
    """Raise what is to end a batch's call, if anything."""
    told, batch.interruption = batch.interruption, None
    if told is not None and not told.taken:
        raise told.take()


def _throw(batch: IteratedBatch, consumer: Any) -> None:
    """Throw an interruption into the loop that takes a batch's entries. Runs in the hub."""
    told, batch.interruption = batch.interruption, None
    if told is not None and not batch.closed:
        consumer.throw(told.take())
