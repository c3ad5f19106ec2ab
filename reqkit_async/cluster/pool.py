"""A pool whose requests are sent by the workers of an executor.

A `Spread` takes the place of a pool's own greenlets. Its runs begin with the first call that needs
one and end with the last: nothing listens, and no task runs on, after that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from greenlet import getcurrent

from reqkit import Session
from reqkit.timeouts import clock

from ..pool.batch import Batch, Job, ListBatch, Reason
from ..pool.iterated import IteratedBatch
from ..pool.pool import Pool
from ..pool.sending import Sender
from ..pool.size import slots_for
from ..pool.spawned import SpawnedBatch
from ..pool.stop_reasons import expired
from ..pool.stopping import Shutdown
from .executors import open_executor
from .remote import WINDOW
from .run import LAST_WORDS, Run
from .settings import Settings

__all__ = ["Spread", "spread_pool", "time_to_end"]

#: Seconds that workers may take to end, after those that what they had may take to be stopped; and
#: at least.
_AFTER_STOP: Final = 0.1
_LEAST: Final = 0.02


class Spread:
    """Has the requests of a pool sent by workers, one run after the other.

    Args:
        executor: whose workers.
        workers: how many of them; None for all.
        settings: the pool's.
        sender: makes entries here.
        stats: the pool's.

    Raises:
        TypeError, ValueError: it is no executor, or no number of workers.
    """

    def __init__(
        self, executor: Any, workers: int | None, settings: Settings, sender: Sender, stats: Any
    ) -> None:
        self._executor = executor
        self._workers = workers
        self._settings = settings
        self._sender = sender
        self._stats = stats
        self.batches: deque[Batch] = deque()
        self._kept_open = 0
        self._run: Run | None = None
        tasks = open_executor(executor, workers)
        size = slots_for(None) if settings.size is None else settings.size
        #: Requests in flight at most, as far as one knows: half of what may be pulled ahead.
        self.most: int = WINDOW * size * tasks.count // 2

    @property
    def session(self) -> Session | None:
        """The session of requests that have none of their own."""
        return self._sender.session

    @session.setter
    def session(self, value: Session | None) -> None:
        if self._run is not None:
            self._run.use_session(value)
        self._sender.session = value

    # -- what a pool asks of its greenlets --------------------------------------------------

    def __contains__(self, greenlet: Any) -> bool:
        """Tell whether a greenlet is one of the pool's: it has none here."""
        return False

    @property
    def active(self) -> int:
        """Requests that are with workers."""
        run = self._run
        return 0 if run is None else run.active

    @property
    def held(self) -> dict[str, float]:
        """The hosts that a Retry-After holds back, and for how many seconds."""
        return {} if self._run is None else self._run.held()

    def add(self, batch: Batch) -> None:
        """Take requests from a batch, too.

        Raises:
            WorkerLost: the executor takes no tasks.
            UnpicklableError: the pool's session cannot travel.
        """
        run = self._run
        if run is None or run.dead:
            if run is not None:
                run.end()
            run = self._begin()
        self.batches.append(batch)
        run.add(batch)

    def remove(self, batch: Batch) -> None:
        """Take no more requests from a batch. The last one ends the run."""
        if batch in self.batches:
            self.batches.remove(batch)
        run = self._run
        if run is None:
            return
        run.remove(batch)
        if self.batches or self._kept_open:
            return
        self._end(time_to_end(batch))
        # Not where somebody else clears a generator away.
        if isinstance(batch, ListBatch) or (
            isinstance(batch, IteratedBatch) and batch.consumer is getcurrent()
        ):
            run.wait()

    def arrange(self) -> None:
        """See to it that what may start starts."""
        if self._run is not None:
            self._run.deal()

    def take_out(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Remove jobs from wherever they wait here, and return them."""
        return [] if self._run is None else self._run.take_out(wanted)

    def lend(self) -> bool:
        """Tell that who calls holds no place."""
        return False

    def take_back(self) -> None:
        """Do nothing: no place was lent."""

    # -- runs -------------------------------------------------------------------------------

    def keep_open(self) -> None:
        """Let a run outlast its calls, until `let_end`."""
        self._kept_open += 1

    def let_end(self) -> None:
        """Let a run end with its calls again. Blocks for a moment."""
        self._kept_open -= 1
        if not self._kept_open and not self.batches and (run := self._run) is not None:
            self._end()
            run.wait()

    def _begin(self) -> Run:
        tasks = open_executor(self._executor, self._workers)
        run = Run(tasks, self._settings, self._sender, self._stats)
        try:
            run.start()
        except BaseException:  # an interrupt, too, leaves nothing open
            run.end()
            raise
        self._run = run
        return run

    def _end(self, within: float = LAST_WORDS) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.end(within)

    def stop(self, batch: Batch, reason: str, everything: bool) -> None:
        """Have workers stop what they have of a batch. Never blocks."""
        if self._run is not None:
            self._run.stop(batch, reason, everything)

    def cancel(self, wanted: Callable[[Job], bool]) -> None:
        """Have workers stop single requests. Never blocks."""
        if self._run is not None:
            self._run.cancel(wanted)


def time_to_end(batch: Batch) -> float:
    """Return the seconds that workers may take to end after a batch.

    Half a second is all that stopping may take, and workers that do not answer have had most of it.
    """
    if not batch.stopped:
        return LAST_WORDS
    return min(max(batch.stop_by + _AFTER_STOP - clock(), _LEAST), LAST_WORDS)


class _SpreadShutdown(Shutdown):
    """Stops batches, and what workers have of them."""

    def __init__(self, spread: Spread, sender: Sender) -> None:
        super().__init__(spread, sender)  # type: ignore[arg-type]
        self._spread = spread

    def begin(self, batch: Batch, reason: Reason, everything: bool) -> None:
        """As `Shutdown.begin`."""
        if not batch.stopped:
            super().begin(batch, reason, everything)
            self._spread.stop(batch, "expired" if reason is expired else "cancelled", everything)

    def stop(self, batch: SpawnedBatch, handle: object) -> None:
        """As `Shutdown.stop`."""
        super().stop(batch, handle)
        self._spread.cancel(lambda job: job.handle is handle)


def spread_pool(
    pool: Pool, executor: Any, workers: int | None, per_host: Any, rate: Any, delay: Any
) -> Spread:
    """Have a pool's requests sent by an executor's workers.

    Args:
        pool: one that has sent nothing yet.
        executor: see `open_executor`.
        workers: see `open_executor`.
        per_host: the pool's.
        rate: the pool's.
        delay: the pool's.

    Raises:
        TypeError, ValueError: it is no executor, or no number of workers.
    """
    settings = Settings(pool.size, per_host, rate, delay, pool._options.policy)
    sender = Sender(pool.session, pool.stats, None)
    spread = Spread(executor, workers, settings, sender, pool.stats)
    pool._use(spread, sender, _SpreadShutdown(spread, sender))  # type: ignore[arg-type]
    return spread
