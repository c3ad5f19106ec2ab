"""A pool of greenlets that send requests, many at a time, and lose none.

`batch` says where requests come from and where entries go, `workers` what starts when, `sending`
what becomes of one request, and `stopping` how all of it is stopped. This is what users see of it.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Iterator, Sized
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import gevent
from gevent._hub_local import get_hub_if_exists  # which makes none, as `get_hub` does
from gevent.exceptions import LoopExit
from greenlet import getcurrent

from reqkit import Request, Response, Session
from reqkit.base.signatures import explicit_signature
from reqkit.message.keywords import unknown
from reqkit.network import forks
from reqkit.timeouts import clock

from .._types import CallKeywords, PoolKeywords
from ..network import GEVENT
from ..network.expiries import AGAIN
from ..progress import SILENT, open_progress
from ..stats import Stats
from .batch import Batch, Failed, ListBatch
from .interruption import interrupted, raise_interruption, waiting
from .iterated import IteratedBatch, OrderedBatch, UnorderedBatch
from .limits import HostLimits
from .options import BatchOptions
from .requests import as_request, as_requests
from .retries import policy_of
from .sending import Sender
from .size import slots_for
from .spawned import SpawnedBatch, would_wait_forever, wrong_process, wrong_thread
from .stop_reasons import cancelled, expired, interpreter_is_ending
from .stopping import Shutdown
from .workers import Workers

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Pool", "let_go"]

#: Has signatures list what a call may say by itself; None leaves it to the pool.
_explicit: Final = explicit_signature(CallKeywords)


class Pool:
    """A number of slots for requests in flight, and limits for each host.

    What `map` and the others are made of, to be used again, and to be added to while it runs. It
    belongs to the thread that uses it. As a context manager: leaving it waits for what was
    spawned; leaving it by an exception stops it.

    Args:
        size: requests in flight at most; None for 100, or fewer where there are not descriptors for
            as many.
        **settings: what `reqkit_async.Pool` takes, but an executor.

    Attributes:
        stats: what was done so far, live.

    Raises:
        TypeError: one has no such name, or is given by two.
        ValueError: one of them is no such thing.
    """

    #: What it may be given, for the error where there is no such name.
    _KEYWORDS: tuple[str, ...] = ("size", *PoolKeywords.__annotations__)

    @explicit_signature(PoolKeywords, defaults={"prefetch": True, "raise_errors": False})
    def __init__(self, size: int | None = None, **settings: Unpack[PoolKeywords]) -> None:
        if wrong := [name for name in settings if name not in self._KEYWORDS]:
            raise unknown("Pool", wrong, self._KEYWORDS)
        per_host, rate = settings.pop("per_host", None), settings.pop("rate", None)
        delay = settings.pop("delay", None)
        session, retries = settings.pop("session", None), settings.pop("retries", None)
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise ValueError(
                f"size is {size!r}: expected how many requests are in flight at most, a whole"
                " number above 0, or None for 100"
            )
        _check_session(session)
        self.size = size
        self._hub: weakref.ref[Any] | None = None
        self._generation = forks.count
        self.stats: Stats = Stats()
        self._options = BatchOptions(policy=policy_of(retries)).with_settings(settings, "Pool")
        limited = per_host is not None or rate is not None or bool(delay)
        self._workers = Workers(slots_for(size), HostLimits(per_host, rate, delay), limited)
        self._sender = Sender(session, self.stats, self._workers)
        self._workers.send = self._sender.send
        self._workers.session = session
        self._use(self._workers, self._sender, Shutdown(self._workers, self._sender))

    def _use(self, workers: Workers, sender: Sender, shutdown: Shutdown) -> None:
        """Have requests be sent by these; only while there are none."""
        self._workers = workers
        self._sender = sender
        self._shutdown = shutdown
        # Nothing here holds the pool itself: one that is dropped goes at once.
        self._spawned = SpawnedBatch(self._options, partial(reset_spawned, workers, self.stats))

    @property
    def session(self) -> Session | None:
        """The session of requests that have none of their own; counts for all that are not begun.

        Raises:
            ValueError: it is set to what is none.
            UnpicklableError: it cannot travel to the workers of an executor that run now.
        """
        return self._sender.session

    @session.setter
    def session(self, value: Session | None) -> None:
        _check_session(value)
        self._workers.session = value
        self._sender.session = value

    @property
    def held(self) -> dict[str, float]:
        """The hosts that are held back by a Retry-After, and for how many seconds more."""
        return self._workers.held

    # -- the calls --------------------------------------------------------------------------

    @_explicit
    def map(self, requests: Iterable[Request | str], **settings: Unpack[CallKeywords]) -> list[Any]:
        """Send all, and return one entry for each, in their order. Blocks, others run meanwhile.

        Args:
            requests: unsent requests.
            **settings: ``prefetch exception_handler timeout raise_errors progress total`` for this
                call.

        Returns:
            responses; one that failed has its ``error`` set (or is what ``exception_handler``
            returned). What had not ended by the deadline has a `TotalTimeout`.

        Raises:
            RequestException: the first failure, with ``raise_errors``.
        """
        options = self._options.with_settings(settings)
        ends = None if options.timeout is None else clock() + options.timeout
        todo = as_requests(list(_several(requests)))
        if not todo:
            return []
        reporter = open_progress(options.progress, len(todo))
        batch = ListBatch(options, todo, reporter)
        lent = self._workers.lend()
        try:
            self._begin(batch, ends)
            with waiting(batch):
                while not (batch.over or batch.failure or interrupted(batch)):
                    if batch.stopped:
                        self._shutdown.wait(batch)
                        break
                    _wait_for(batch)
            raise_interruption(batch)
            if batch.failure is not None:
                raise batch.failure
            return batch.entries
        finally:
            if lent:
                self._workers.take_back()
            self._end(batch)
            reporter.close()

    @_explicit
    def imap(
        self, requests: Iterable[Request | str], **settings: Unpack[CallKeywords]
    ) -> Iterator[Any]:
        """Send all as there is room, and yield entries in the order of the requests.

        Pulls from ``requests`` only as entries are taken: at most ``size`` are in flight and
        ``size`` wait. Leaving the loop early stops what is in flight. Blocks, others run meanwhile.

        Args:
            requests: unsent requests; may be endless.
            **settings: as for `map`.

        Raises:
            RequestException: the first failure, with ``raise_errors``.
            Exception: what ``requests`` raised, after all that was sent before was handed over.
        """
        return self._iterate("imap", OrderedBatch, requests, settings)

    @_explicit
    def imap_unordered(
        self, requests: Iterable[Request | str], **settings: Unpack[CallKeywords]
    ) -> Iterator[Any]:
        """Send all as there is room, and yield entries as they end; else as `imap`."""
        return self._iterate("imap_unordered", UnorderedBatch, requests, settings)

    @_explicit
    def imap_enumerated(
        self, requests: Iterable[Request | str], **settings: Unpack[CallKeywords]
    ) -> Iterator[tuple[int, Any]]:
        """Yield pairs of a request's index and its entry, as they end; else as `imap`."""
        return self._iterate("imap_enumerated", UnorderedBatch, requests, settings)

    def _iterate(
        self, name: str, kind: Any, requests: Iterable[Any], settings: Any
    ) -> Iterator[Any]:
        self._own_hub()
        options = self._options.with_settings(settings, name)
        numbered = name == "imap_enumerated"
        total = len(requests) if isinstance(requests, Sized) else options.total
        return self._iterated(
            kind(options, iter(_several(requests)), 2 * self._workers.most), total, numbered
        )

    def _iterated(self, batch: IteratedBatch, total: int | None, numbered: bool) -> Iterator[Any]:
        options = batch.options
        reporter = open_progress(options.progress, total)
        lent = self._workers.lend()
        try:
            self._begin(batch, None if options.timeout is None else clock() + options.timeout)
            while True:
                batch.consumer = getcurrent()
                taken = batch.take()
                if taken is None:
                    if batch.over:
                        break
                    with waiting(batch):
                        if batch.stopped:
                            self._shutdown.wait(batch)
                        else:
                            _wait_for(batch)
                    raise_interruption(batch)
                    continue
                workers = self._workers
                if workers.active < workers.most:
                    workers.arrange()  # there is room for one more
                if reporter is not SILENT:
                    reporter.step()
                entry = taken[1]
                if isinstance(entry, Failed):
                    raise entry.error
                yield taken if numbered else entry
                if batch.interruption is not None:
                    raise_interruption(batch)
            if batch.error is not None:
                raise batch.error
        finally:
            if not interpreter_is_ending():
                if lent:
                    self._workers.take_back()
                self._end(batch)
                reporter.close()

    # -- what is added while it runs --------------------------------------------------------

    def spawn(self, request: Request | str, prefetch: bool | None = None) -> Any:
        """Queue a request; it is sent when there is room. Never blocks.

        May be called while the pool runs, from a response hook too.

        Args:
            request: an unsent request, or a URL.
            prefetch: read its body before it counts as ended; None leaves it to the pool.

        Returns:
            a `gevent.event.AsyncResult`: ``get()`` waits for the entry.

        Raises:
            TypeError: it is no request.
            WorkerLost: the pool's executor takes no tasks.
        """
        self._own_hub()
        request = as_request(request)
        spawned = self._spawned
        job = spawned.add(request, prefetch)
        if spawned.stopped:
            spawned.drop_rest()
        elif spawned in self._workers.batches:
            self._workers.arrange()
        else:
            try:
                self._begin_spawned()
            except BaseException:  # no bar, no worker: who joins must not wait for it
                spawned.take_back(job)
                raise
        return job.handle

    def _begin_spawned(self) -> None:
        """Have what was spawned be sent: it is the first, or all before it has ended."""
        spawned, options = self._spawned, self._options
        # Not when the last of those before had its entry: what it raises comes after that.
        spawned.interrupted = False
        if spawned.reporter is SILENT and options.progress is not None:
            spawned.reporter = open_progress(options.progress, options.total)
        self._begin(spawned, None if options.timeout is None else clock() + options.timeout)

    def stop(self, handle: Any) -> None:
        """Stop a request that was spawned; ``handle`` is what `spawn` returned. Never blocks."""
        self._own_hub()
        self._shutdown.stop(self._spawned, handle)

    def join(self, timeout: float | None = None) -> bool:
        """Wait for all that was spawned, and for what that spawns.

        Args:
            timeout: seconds at most; None waits without limit.

        Returns:
            whether all has ended.

        Raises:
            RequestException: the first failure, with ``raise_errors``; the rest is stopped.
            SystemExit, KeyboardInterrupt: the first that code which ran for these has raised, and
                that nobody has who waits for the request.
            RuntimeError: it is called from one of the pool's own greenlets, which it waits for.
        """
        self._own_hub()
        if getcurrent() in self._workers:
            raise RuntimeError(
                "join() is called from one of the pool's own hooks: it would wait for itself"
            )
        ends = None if timeout is None else clock() + timeout
        spawned = self._spawned
        with waiting(spawned):
            while not (spawned.over or spawned.failure or interrupted(spawned)):
                left = None if ends is None else ends - clock()
                if left is not None and left <= 0:
                    return False
                _wait_for(spawned, left)
        raise_interruption(spawned)
        if spawned.failure is not None:
            error = spawned.failure
            self._kill()
            raise error
        self._close_reporter()
        return True

    def kill(self) -> None:
        """Stop all that is in flight or waits, within half a second. The pool can be used again.

        What was started gets its response hooks and its entry, with a `RequestCancelled`; what
        was not is not sent, and its hooks run only where it has an entry in a `map`'s list.
        """
        self._kill()
        raise_interruption(self._spawned)

    def _kill(self) -> None:
        self._own_hub()
        spawned, workers = self._spawned, self._workers
        spawned.interruption = None  # of before: it is told of, and does not come out of this
        batches = list(workers.batches)
        for batch in batches:
            self._shutdown.begin(batch, cancelled, everything=isinstance(batch, ListBatch))
        with waiting(spawned):
            for batch in batches:
                self._shutdown.wait(batch)
        spawned.failure = None
        self._close_reporter()

    def _close_reporter(self) -> None:
        reporter, self._spawned.reporter = self._spawned.reporter, SILENT
        reporter.close()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: Any, *exception: object) -> None:
        if kind is None:
            try:
                self.join()
            except BaseException:  # a kill or an interrupt, too
                self._kill()
                raise
        elif self._generation == forks.count:
            self._kill()
        # Else what it does goes on in the parent process, and this one is about to end.

    def _repr_html_(self) -> str:
        from ..report.notebook import stats_html

        return stats_html(self.stats.as_dict(), repr(self))

    def __repr__(self) -> str:
        waiting = sum(batch.waiting for batch in self._workers.batches)
        failed = sum(self.stats.errors.values())
        return (
            f"<Pool size={self.size} active={self._workers.active} waiting={waiting}"
            f" done={self.stats.requests} failed={failed}>"
        )

    def _own_hub(self) -> Any:
        """Return the hub of the pool's thread: that of who uses it first.

        Raises:
            RuntimeError: this is another thread's, or what it does is the parent process's.
        """
        hub = gevent.get_hub()
        own = None if self._hub is None else self._hub()
        if own is None:
            self._hub = weakref.ref(hub)
        elif own is not hub:
            raise wrong_thread()
        if self._generation != forks.count:
            if self._workers.batches:
                raise wrong_process()
            self._generation = forks.count
        return hub

    # -- the beginning and the end of a call ------------------------------------------------

    def _begin(self, batch: Batch, ends: float | None) -> None:
        """Have a batch's requests sent, until its deadline."""
        batch.hub = self._own_hub()
        batch.generation = forks.count
        batch.ends = ends
        if self.size is not None and self.size > (GEVENT.most_idle or 0):
            GEVENT.most_idle = self.size
        self.stats.start()
        if ends is not None:
            batch.timer = batch.hub.loop.timer(max(ends - clock(), 0.0), AGAIN)
            batch.timer.start(self._expire, batch, update=True)
        try:
            self._workers.add(batch)
        except BaseException:  # whatever it is, the clock of the figures is to stop
            if batch not in self._workers.batches:
                self.stats.stop()  # else `let_go` does
            raise

    def _expire(self, batch: Batch) -> None:
        """Stop a batch at its deadline. Runs in the hub."""
        if batch.generation != forks.count:
            batch.timer.stop()
            return
        iterated = isinstance(batch, IteratedBatch)
        self._shutdown.begin(batch, expired, everything=not iterated)
        # Whoever takes its entries may be busy elsewhere.
        gevent.spawn(self._shutdown.wait_alone, batch)
        # Until here it rings again: a signal's handler may raise just as it does.
        if batch.timer is not None:
            batch.timer.stop()

    def _end(self, batch: Batch) -> None:
        """Let go of a call's batch: whatever is left of it is stopped, and waited for."""
        hub = batch.hub
        batch.closed = True
        if hub is None:
            return  # it never began
        try:
            if not batch.over:
                if get_hub_if_exists() is not hub:
                    # A generator dropped in another thread.
                    loop, hub = hub.loop, None
                    if loop is not None and loop.ptr:  # else the batch's own thread has ended
                        loop.run_callback_threadsafe(self._end, batch)
                    return
                self._shutdown.begin(batch, cancelled, everything=False)
                # A generator may be dropped anywhere, also where nothing can wait.
                if not isinstance(batch, IteratedBatch) or batch.consumer is getcurrent():
                    with waiting(batch):
                        self._shutdown.wait(batch)
                    if not isinstance(sys.exc_info()[1], GeneratorExit):
                        raise_interruption(batch)
        finally:
            if hub is not None:
                let_go(self._workers, self.stats, batch)
                if isinstance(batch, IteratedBatch):
                    for entry in batch.unread():
                        if isinstance(entry, Response):
                            entry.close()


def _wait_for(batch: Batch, timeout: float | None = None) -> None:
    """Wait until there is something new to see of a batch."""
    if batch.hub is not None and get_hub_if_exists() is not batch.hub:
        raise wrong_thread()
    if batch.generation != forks.count:
        raise wrong_process()
    batch.changed.clear()
    try:
        batch.changed.wait(timeout)
    except LoopExit:
        raise would_wait_forever() from None


def reset_spawned(workers: Workers, stats: Stats, spawned: SpawnedBatch) -> None:
    """See that nothing that was spawned is left."""
    let_go(workers, stats, spawned)
    spawned.stopped = False
    spawned.reason = None


def let_go(workers: Workers, stats: Stats, batch: Batch) -> None:
    """Take no more requests from a batch."""
    if batch.timer is not None:
        batch.timer.stop()
        batch.timer.close()
        batch.timer = None
    if batch in workers.batches:
        workers.remove(batch)
        stats.stop()


def _check_session(session: Any) -> None:
    if session is not None and not isinstance(session, Session):
        raise ValueError(f"session is {session!r}: expected a reqkit.Session")


def _several(requests: Any) -> Iterable[Any]:
    """Return what can be taken requests from.

    Raises:
        TypeError: it is one request, or one URL, or nothing of the kind.
    """
    if isinstance(requests, (str, bytes, Request)) or not isinstance(requests, Iterable):
        raise TypeError(
            f"expected an iterable of requests, not one {type(requests).__name__}; for example"
            " reqkit_async.map([reqkit_async.get(url) for url in urls])"
        )
    return requests
