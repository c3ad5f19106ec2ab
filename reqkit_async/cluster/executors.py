"""What users give as ``executor=``: how many workers it has, and how each gets its one long task.

Whatever has ``submit(function, *arguments)`` will do. What it returns is asked for its end by
``add_done_callback``, where it has that; nobody ever waits for it.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import gevent

__all__ = ["Tasks", "open_executor"]

#: Hosts that are this machine.
_HERE = frozenset(("", "127.0.0.1", "localhost", "::1"))


class Tasks:
    """The long tasks of one run. This kind asks nothing but ``submit`` of its executor.

    Args:
        executor: whose workers they are for.
        count: how many.

    Attributes:
        executor, count: as above.
        toward: where the workers are: None on this machine, else a host in that direction, or
            "" for anywhere.
        by_value: whether the workers' ``__main__`` is another program than the caller's.
    """

    toward: str | None = ""
    by_value: bool = True

    def __init__(self, executor: Any, count: int) -> None:
        self.executor = executor
        self.count = count
        self._futures: dict[int, Any] = {}
        self._pending: set[int] = set()
        #: Whether one hears of the tasks' ends.
        self.tells: bool = True

    def start(
        self, function: Any, ticket: Any, ended: Callable[[BaseException | None], None]
    ) -> None:
        """Submit the tasks.

        Args:
            function: what each does.
            ticket: its argument.
            ended: called in this thread's hub when one has ended, with what it raised.

        Raises:
            Exception: the executor takes none.
        """
        loop = gevent.get_hub().loop
        for number in range(self.count):
            future = self._submit(number, function, ticket)
            self._futures[number] = future
            self._pending.add(number)
            if hasattr(future, "add_done_callback"):
                future.add_done_callback(self._when_done(number, loop, ended))
            else:
                self.tells = False

    def _submit(self, number: int, function: Any, ticket: Any) -> Any:
        return self.executor.submit(function, ticket)

    def _when_done(
        self, number: int, loop: Any, ended: Callable[[BaseException | None], None]
    ) -> Callable[[Any], None]:
        def tell(error: BaseException | None) -> None:
            self._pending.discard(number)
            ended(error)

        def done(future: Any) -> None:
            # In whatever thread the executor likes; and the loop may be gone.
            with contextlib.suppress(Exception):
                loop.run_callback_threadsafe(tell, _error_of(future))

        return done

    @property
    def pending(self) -> bool:
        """Whether a worker may still come: not all tasks have ended, as far as one can know."""
        return bool(self._pending)

    def close(self) -> None:
        """Have those that were not begun never begin. Never blocks."""
        for future in self._futures.values():
            self._let_go(future)
        self._futures.clear()

    def _let_go(self, future: Any) -> None:
        cancel = getattr(future, "cancel", None)
        if cancel is not None:
            with contextlib.suppress(Exception):
                cancel()


class _LocalTasks(Tasks):
    """Those of the standard library's executors: threads and processes of this machine."""

    toward = None
    by_value = False


class _DaskTasks(Tasks):
    """Those of a Dask client: its scheduler spreads them, and begins one anew whose worker died.

    They say nothing of where they want to run: one that is bound to a worker, however loosely,
    waits for that very worker once no other is there.
    """

    def __init__(self, client: Any, count: int) -> None:
        super().__init__(client, count)
        scheduler = urlsplit(str(getattr(client.scheduler, "address", "")))
        if scheduler.scheme == "inproc":
            self.toward = None
            self.by_value = False
        else:
            host = scheduler.hostname or ""
            self.toward = None if host in _HERE else host

    def _submit(self, number: int, function: Any, ticket: Any) -> Any:
        # Impure: else one task would do for all of them.
        return self.executor.submit(function, ticket, pure=False)

    def _let_go(self, future: Any) -> None:
        # To cancel waits for the scheduler; what nobody holds any more is let go of anyway.
        release = getattr(future, "release", None)
        if release is not None:
            with contextlib.suppress(Exception):
                release()


def _error_of(future: Any) -> BaseException | None:
    try:
        if future.cancelled():
            return None
        # Dask's says what it was by a method that waits; it has ended, so it does not.
        error: BaseException | None = future.exception()
    except BaseException as error:  # what the task has raised, an exit too, as it is told here
        return error
    return error


def open_executor(executor: Any, workers: int | None) -> Tasks:
    """Return the tasks of a run on an executor; none is submitted yet.

    Args:
        executor: what the user gave.
        workers: how many are wanted; None for as many as it has.

    Raises:
        TypeError: it is no executor.
        ValueError: ``workers`` is no number, or nobody knows how many there are.
    """
    if workers is not None and (
        isinstance(workers, bool) or not isinstance(workers, int) or workers < 1
    ):
        raise ValueError(
            f"workers is {workers!r}: expected how many of the executor's workers take part, a"
            " whole number above 0, or None for all of them"
        )
    if isinstance(executor, type) or not callable(getattr(executor, "submit", None)):
        raise TypeError(
            f"executor is {executor!r}: expected a concurrent.futures.Executor, a Dask Client, or"
            " whatever has submit(function, *arguments)"
        )
    if type(executor).__module__.partition(".")[0] == "distributed" and hasattr(
        executor, "scheduler"
    ):
        if getattr(executor, "asynchronous", False):
            raise TypeError(
                "executor is an asynchronous Dask Client: expected one made with asynchronous=False"
            )
        return _DaskTasks(executor, workers or max(len(executor.nthreads()), 1))
    if workers is None:
        # The standard library's, and those made in its image.
        workers = getattr(executor, "_max_workers", None)
        if not isinstance(workers, int) or workers < 1:
            raise ValueError(
                f"workers is None, and a {type(executor).__name__} does not say how many it has:"
                " expected workers="
            )
    if isinstance(
        executor,
        (concurrent.futures.ThreadPoolExecutor, concurrent.futures.ProcessPoolExecutor),
    ):
        return _LocalTasks(executor, workers)
    return Tasks(executor, workers)
