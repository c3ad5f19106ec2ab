"""The dispatcher: a pool of greenlets that send requests, many at a time, and lose none.

A worker is a greenlet that takes one request after the other until none may start; workers are
there only while there is something to do. Whatever is stopped is stopped in its own greenlet: its
connection is closed there, its response hooks run there, and its entry is made there.
"""

from __future__ import annotations

import heapq
import itertools
import math
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any, Final

import gevent
from gevent import getcurrent

from reqkit import Request, Session
from reqkit.exceptions import RequestCancelled, RequestException, TotalTimeout
from reqkit.network import use
from reqkit.sessions import Outcome, failed_response
from reqkit.settings import UNSET
from reqkit.timeouts import Deadline, Timeouts, clock
from reqkit.urls import prepare_url, without_password

from .feeds import Feed, Job, Listed, Ordered, Spawned, Unordered
from .limits import HostLimits, HostQueue, retry_after
from .network import GEVENT
from .places import places_for
from .progress import SILENT, Reporter, open_progress
from .retries import policy_of
from .stats import Stats

__all__ = ["Pool", "Stop"]

#: Seconds that what is stopped may take to close its connection and run its hooks.
_GRACE: Final = 0.3
#: Requests in flight and, as many again, waiting, where `imap` is not told a size.
_IMAP_SIZE: Final = 10


class Stop(gevent.GreenletExit):  # type: ignore[misc]
    """Thrown into a worker to stop the request that it sends.

    Attributes:
        error: what the request's entry says.
    """

    def __init__(self, error: RequestException) -> None:
        super().__init__(str(error))
        self.error = error


class Pool:
    """A number of places for requests in flight, and limits for each host.

    What `map` and the others are made of, to be used again, and to be added to while it runs. It
    belongs to the thread that made it. As a context manager: leaving it waits for what was
    spawned; leaving it by an exception stops it.

    Args:
        size: requests in flight at most; None for as many as there are descriptors for.
        per_host: requests in flight for one host at most.
        rate: requests a second for one host, evenly spaced: a number, or text as ``"30/min"``.
        delay: seconds at least between two starts to one host.
        session: for requests that have none of their own.
        retries: how often a failed request is sent again: a number, or a `urllib3.util.Retry`.
        prefetch: read each body before its entry is handed over.
        exception_handler: called with a failed request and its error; what it returns, None too,
            is the entry.
        timeout: seconds for each call of `map` or `imap` as a whole.
        raise_errors: raise the first failure, and stop the rest.
        progress: True, ``"always"``, a function ``progress(done, total)``, or a tqdm-like object.

    Attributes:
        stats: what was done so far, live.

    Raises:
        ValueError: one of them is no such thing.
    """

    def __init__(
        self,
        size: int | None = None,
        *,
        per_host: int | None = None,
        rate: float | str | None = None,
        delay: float | None = None,
        session: Session | None = None,
        retries: Any = None,
        prefetch: bool = True,
        exception_handler: Callable[[Any, Any], Any] | None = None,
        timeout: float | None = None,
        raise_errors: bool = False,
        progress: Any = None,
    ) -> None:
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise ValueError(
                f"size is {size!r}: expected how many requests are in flight at most, a whole"
                " number above 0, or None for as many as possible"
            )
        if exception_handler is not None and not callable(exception_handler):
            raise ValueError(f"exception_handler is {exception_handler!r}: expected a function")
        self.size = size
        self.session = session
        self.prefetch = prefetch
        self.exception_handler = exception_handler
        self.timeout = _seconds(timeout)
        self.raise_errors = raise_errors
        self.progress = progress
        self.stats = Stats()
        self._most = places_for(size)
        self._policy = policy_of(retries)
        limits = HostLimits(per_host, rate, delay)
        limited = per_host is not None or rate is not None or bool(delay)
        #: Jobs by host, where hosts have limits (from the first Retry-After on, too).
        self._queue: HostQueue[Job] | None = HostQueue(limits) if limited else None
        self._limits = limits
        #: Jobs whose back-off is over.
        self._again: deque[Job] = deque()
        #: Jobs that wait for the end of their back-off.
        self._later: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._feeds: deque[Feed] = deque()
        self._workers: set[Any] = set()
        self._active = 0
        self._timer: Any = None
        self._timer_at = math.inf
        self._spawned = Spawned(prefetch, exception_handler, self._policy)
        self._spawned_reporter: Reporter | None = None
        self._first_failure: BaseException | None = None

    # -- the calls --------------------------------------------------------------------------

    def map(self, requests: Iterable[Any], **settings: Any) -> list[Any]:
        """Send all, and return one entry for each, in their order. Blocks, others run meanwhile.

        Args:
            requests: unsent requests.
            **settings: ``prefetch exception_handler timeout raise_errors progress`` for this call.

        Returns:
            responses; one that failed has its ``error`` set (or is what ``exception_handler``
            returned). What had not ended by the deadline has a `TotalTimeout`.

        Raises:
            RequestException: the first failure, with ``raise_errors``.
        """
        call = self._call(settings)
        todo = list(requests)
        feed = Listed(todo, call.prefetch, call.exception_handler, self._policy)
        if not todo:
            return []
        feed.ends = None if call.timeout is None else clock() + call.timeout
        reporter = open_progress(call.progress, len(todo))
        feed_entry = feed.put

        def put(job: Job, entry: Any) -> None:
            feed_entry(job, entry)
            reporter.step()
            if call.raise_errors and getattr(entry, "error", None) is not None:
                feed.changed.set()

        if reporter is not SILENT or call.raise_errors:
            feed.put = put  # type: ignore[method-assign]
        self._begin(feed)
        try:
            while feed.outstanding or not feed.exhausted:
                if call.raise_errors:
                    _raise_first(feed.entries)
                feed.changed.clear()
                if not feed.changed.wait(_left(feed.ends)) and _passed(feed.ends):
                    self._expire(feed)
                    break
            if call.raise_errors:
                _raise_first(feed.entries)
            return feed.entries
        finally:
            self._end(feed)
            reporter.close()

    def imap(self, requests: Iterable[Any], **settings: Any) -> Iterator[Any]:
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
        call = self._call(settings)
        return self._iterate(Ordered, requests, call, numbered=False)

    def imap_unordered(self, requests: Iterable[Any], **settings: Any) -> Iterator[Any]:
        """Send all as there is room, and yield entries as they end; else as `imap`."""
        call = self._call(settings)
        return self._iterate(Unordered, requests, call, numbered=False)

    def imap_enumerated(
        self, requests: Iterable[Any], **settings: Any
    ) -> Iterator[tuple[int, Any]]:
        """Yield pairs of a request's index and its entry, as they end; else as `imap`."""
        call = self._call(settings)
        return self._iterate(Unordered, requests, call, numbered=True)

    def spawn(self, request: Any, prefetch: bool | None = None) -> Any:
        """Queue a request; it is sent when there is room. Never blocks.

        May be called while the pool runs, from a response hook too.

        Args:
            request: an unsent request.
            prefetch: read its body before it counts as ended; None leaves it to the pool.

        Returns:
            a `gevent.event.AsyncResult`: ``get()`` waits for the entry.

        Raises:
            TypeError: it is no request.
        """
        if not isinstance(request, Request):
            raise _no_request(request)
        if self._spawned not in self._feeds:
            self.stats.start()
            self._feeds.append(self._spawned)
            self._first_failure = None
        if self._spawned_reporter is None and self.progress:
            self._spawned_reporter = open_progress(self.progress, None)
        handle = self._spawned.add(request, prefetch)
        self._pump()
        return handle

    def run(self, request: Any) -> Any:
        """Send a request in the greenlet that calls, now, and return its entry. Blocks.

        Takes no place of the pool's. Stopping the greenlet stops the request.
        """
        if not isinstance(request, Request):
            raise _no_request(request)
        feed = Listed([request], self.prefetch, self.exception_handler, self._policy)
        job = feed.pull()
        assert job is not None
        job.greenlet = getcurrent()
        with use(GEVENT):
            self._run(job)
        return feed.entries[0]

    def stop(self, handle: Any) -> None:
        """Stop a request that was spawned; ``handle`` is what `spawn` returned. Never blocks."""
        spawned = self._spawned
        for job in spawned.running:
            if job.handle is handle:
                gevent.get_hub().loop.run_callback(_throw, job, Stop(_cancelled(job)))
        for job in [job for job in spawned.queue if job.handle is handle]:
            spawned.queue.remove(job)
            self._finish_unstarted(job)

    def join(self, timeout: float | None = None) -> bool:
        """Wait for all that was spawned, and for what that spawns.

        Args:
            timeout: seconds at most; None waits without limit.

        Returns:
            whether all has ended.

        Raises:
            RequestException: the first failure, with ``raise_errors``; the rest is stopped.
            RuntimeError: it is called from one of the pool's own greenlets, which it waits for.
        """
        if getcurrent() in self._workers:
            raise RuntimeError("join() is called from one of the pool's own hooks: it would wait"
                               " for itself")  # fmt: skip
        ends = None if timeout is None else clock() + timeout
        spawned = self._spawned
        while not spawned.over:
            if self.raise_errors and self._first_failure is not None:
                break
            spawned.changed.clear()
            if not spawned.changed.wait(_left(ends)) and _passed(ends):
                return False
        if self.raise_errors and self._first_failure is not None:
            error, self._first_failure = self._first_failure, None
            self.kill()
            raise error
        self._settle_spawned()
        return True

    def _settle_spawned(self) -> None:
        if self._spawned in self._feeds:
            self._feeds.remove(self._spawned)
            self.stats.stop()
        if self._spawned_reporter is not None:
            self._spawned_reporter.close()
            self._spawned_reporter = None

    def kill(self) -> None:
        """Stop all that is in flight or waits, within half a second. The pool can be used again.

        What was started gets its response hooks and its entry, with a `RequestCancelled`; what
        was not is not sent, and has an entry without hooks where it was spawned.
        """
        feeds = list(self._feeds)
        for feed in feeds:
            feed.exhausted = True
            self._halt(feed, _cancelled)
        spawned = self._spawned
        for job in list(spawned.queue):
            self._finish_unstarted(job)
        spawned.queue.clear()
        spawned.stopped = spawned.exhausted = False
        spawned.changed.set()
        self._settle_spawned()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: Any, *exception: object) -> None:
        if kind is None:
            try:
                self.join()
            except BaseException:
                self.kill()
                raise
        else:
            self.kill()

    def __repr__(self) -> str:
        waiting = sum(feed.outstanding - len(feed.running) for feed in self._feeds)
        failed = sum(self.stats.errors.values())
        return (
            f"<Pool size={self.size} active={self._active} waiting={waiting}"
            f" done={self.stats.requests} failed={failed}>"
        )

    # -- one call ---------------------------------------------------------------------------

    def _call(self, settings: dict[str, Any]) -> _Call:
        call = _Call(self)
        for name, value in settings.items():
            if name not in _Call.__slots__:
                from reqkit.settings import unknown

                raise unknown("map", [name], _Call.__slots__)
            setattr(call, name, _seconds(value) if name == "timeout" else value)
        return call

    def _begin(self, feed: Feed) -> None:
        self.stats.start()
        self._feeds.append(feed)
        self._pump()

    def _end(self, feed: Feed) -> None:
        """Let go of a call's feed: whatever is left of it is stopped."""
        if feed.outstanding or not feed.exhausted:
            self._halt(feed, _cancelled)
        if feed in self._feeds:
            self._feeds.remove(feed)
            self.stats.stop()

    def _expire(self, feed: Listed) -> None:
        """Stop what the deadline has caught, and make the entries that are missing."""
        self._halt(feed, _expired)
        for job in feed.missing():
            self._settle(job, self._failed(job, _expired(job)))

    def _iterate(
        self, kind: Any, requests: Iterable[Any], call: _Call, numbered: bool
    ) -> Iterator[Any]:
        feed = kind(requests, 2 * self._most, call.prefetch, call.exception_handler, self._policy)
        total = len(requests) if isinstance(requests, Sized) else None
        reporter = open_progress(call.progress, total)
        feed.ends = None if call.timeout is None else clock() + call.timeout
        expired = False
        self._begin(feed)
        try:
            while True:
                taken = feed.take()
                if taken is None:
                    if feed.over:
                        break
                    feed.changed.clear()
                    if not feed.changed.wait(_left(feed.ends)) and _passed(feed.ends):
                        if expired:
                            break
                        expired = True
                        self._halt(feed, _expired)
                        feed.exhausted = True
                        feed.ends = None
                    continue
                index, entry = taken
                self._pump()  # there is room for one more
                reporter.step()
                if call.raise_errors and getattr(entry, "error", None) is not None:
                    raise entry.error
                yield (index, entry) if numbered else entry
            if feed.error is not None:
                raise feed.error
        finally:
            self._end(feed)
            reporter.close()

    # -- stopping ---------------------------------------------------------------------------

    def _halt(self, feed: Feed, reason: Callable[[Job], RequestException]) -> None:
        """Start nothing more of a feed, stop what is in flight, and wait until it has ended."""
        feed.stopped = feed.exhausted = True
        hub = gevent.get_hub()
        for job in list(feed.running):
            hub.loop.run_callback(_throw, job, Stop(reason(job)))
        current = getcurrent()
        mine = {job for job in feed.running if job.greenlet is current}
        if current is not hub:
            ends = clock() + _GRACE + 0.1
            while feed.running - mine and clock() < ends:
                feed.changed.clear()
                feed.changed.wait(max(ends - clock(), 0.001))
        for job in list(feed.running):  # what the user's own code holds up
            if job.greenlet is not current and not job.done:
                feed.finish(job, self._handled(job, failed_response(job.request, reason(job))))
        for job in self._take_out(feed):
            if not isinstance(feed, Listed):
                feed.outstanding -= 1
                job.done = True
                if job.handle is not None:
                    feed.outstanding += 1
                    job.done = False
                    self._finish_unstarted(job)
            else:
                feed.outstanding -= 1
                job.done = True
        feed.changed.set()

    def _take_out(self, feed: Feed) -> list[Job]:
        """Remove a feed's jobs from wherever they wait."""
        out = [job for job in self._again if job.feed is feed]
        self._again = deque(job for job in self._again if job.feed is not feed)
        out += [entry[2] for entry in self._later if entry[2].feed is feed]
        self._later = [entry for entry in self._later if entry[2].feed is not feed]
        heapq.heapify(self._later)
        queue = self._queue
        if queue is not None and len(queue):
            kept: list[Job] = []
            for job in queue.drain():
                (out if job.feed is feed else kept).append(job)
            for job in kept:
                queue.push(job.host or "", job)
        return out

    def _finish_unstarted(self, job: Job) -> None:
        """Make the entry of a spawned request that was not sent: no hook runs."""
        job.feed.finish(job, failed_response(job.request, _cancelled(job)))

    # -- workers ----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Start a worker where there is a place and something to do. Never blocks."""
        if len(self._workers) < self._most and self._has_work():
            worker = gevent.Greenlet(self._work)
            self._workers.add(worker)
            # Not in the worker's own code: that does not run where it is killed before it starts.
            worker.rawlink(self._worker_ended)
            worker.start()

    def _worker_ended(self, worker: Any) -> None:
        self._workers.discard(worker)
        if worker.exception is not None and not isinstance(worker.exception, gevent.GreenletExit):
            return
        self._pump()

    def _has_work(self) -> bool:
        if self._again:
            return True
        if any(feed.ready for feed in self._feeds):
            return True
        queue = self._queue
        return queue is not None and queue.next_time() <= clock()

    def _work(self) -> None:
        """Take one request after the other until none may start."""
        me = getcurrent()
        GEVENT.most_idle = max(GEVENT.most_idle or 0, self._most if self.size else 0)
        with use(GEVENT):
            while True:
                job = self._take()
                if job is None:
                    break
                if len(self._workers) < self._most:
                    self._pump()
                job.greenlet = me
                feed = job.feed
                feed.running.add(job)
                self._active += 1
                try:
                    self._run(job)
                finally:
                    self._active -= 1
                    feed.running.discard(job)
                    job.greenlet = None
                    if feed.stopped:
                        feed.changed.set()
                    if job.host is not None and self._queue is not None:
                        self._queue.ended(job.host)
                        job.host = None
                        self._pump()
        self._wake_later()

    def _take(self) -> Job | None:
        """Return the next job that may start now. Runs the user's iterable, which may switch."""
        now = clock()
        while self._later and self._later[0][0] <= now:
            self._put_back(heapq.heappop(self._later)[2])
        queue = self._queue
        if queue is None:
            return self._again.popleft() if self._again else self._pull()
        while True:
            popped = queue.pop_ready(clock())
            if popped is not None:
                popped[1].host = popped[0]  # type: ignore[assignment]
                return popped[1]
            job = self._pull()
            if job is None:
                return None
            queue.push(_host_of(job.request), job)

    def _pull(self) -> Job | None:
        feeds = self._feeds
        for _ in range(len(feeds)):
            feed = feeds[0]
            if len(feeds) > 1:
                feeds.rotate(-1)
            job = feed.pull()
            if job is not None:
                return job
        return None

    def _put_back(self, job: Job) -> None:
        if self._queue is None:
            self._again.append(job)
        else:
            self._queue.push(_host_of(job.request), job)

    def _wake_later(self) -> None:
        """Have the hub start a worker when the next job may start."""
        when = self._later[0][0] if self._later else math.inf
        if self._queue is not None:
            when = min(when, self._queue.next_time())
        if when == math.inf or when >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.close()
        self._timer_at = when
        self._timer = gevent.get_hub().loop.timer(max(when - clock(), 0.0))
        self._timer.start(self._woken)

    def _woken(self) -> None:
        self._timer.close()
        self._timer = None
        self._timer_at = math.inf
        now = clock()
        while self._later and self._later[0][0] <= now:
            self._put_back(heapq.heappop(self._later)[2])
        self._pump()
        self._wake_later()

    # -- one request ------------------------------------------------------------------------

    def _run(self, job: Job) -> None:
        """Send a job's request, and settle what becomes of it; or put it off to be sent again."""
        request: Any = job.request
        if not isinstance(request, Request):
            error = _no_request(request)
            entry = failed_response(Request(url=str(request)[:200]), error)
            self._settle(job, self._handled(job, entry))
            return
        session = self._session_for(request)
        outcome = job.outcome = Outcome(request)
        outcome.as_failure = True
        job.started = True
        if job.policy is not None and job.deadline is None:
            job.deadline = _deadline_of(request, session)
        prefetch = job.prefetch if request.prefetch is None else None
        try:
            session.attempt(outcome, prefetch, job.deadline)
            self._heed(job, outcome)
            if job.policy is not None and self._put_off(job, outcome):
                return
            entry = session.conclude(outcome)
        except BaseException as stop:
            self._stopped(job, outcome, session, stop)
            if not isinstance(stop, Stop):
                raise
            return
        self._settle(job, entry if outcome.error is None else self._handled(job, entry))

    def _session_for(self, request: Request) -> Session:
        session = request.session
        if session is None:
            session = self.session
            if session is None:
                session = Request.fresh_session()
        made: Session = session
        return made

    def _heed(self, job: Job, outcome: Outcome) -> None:
        """Hold a host back where its answer asks for that (RFC 9110 section 10.2.3)."""
        response = outcome.response
        if response is None or response.status_code not in (429, 503):
            return
        wait = retry_after(response.headers.get("retry-after"), time.time())
        if wait:
            if self._queue is None:
                self._queue = HostQueue(self._limits)
                while self._again:
                    waiting = self._again.popleft()
                    self._queue.push(_host_of(waiting.request), waiting)
            now = clock()
            self._queue.hold(_host_of(job.request), now + wait, now)

    def _put_off(self, job: Job, outcome: Outcome) -> bool:
        """Have a request sent again later, where its retries allow that; give its place back."""
        request = job.request
        again = job.policy.after(
            str(request.method).upper(), str(request.url), outcome.response, outcome.error,
            time.time(),
        )  # fmt: skip
        if again is None or job.feed.stopped or isinstance(outcome.error, TotalTimeout):
            return False
        wait, policy = again
        when = clock() + wait
        ends = job.feed.ends
        if (ends is not None and when >= ends) or (
            job.deadline is not None and when >= job.deadline.at
        ):
            return False  # waiting could only end in the deadline's error
        prepared = outcome.chain.prepared if outcome.chain is not None else None
        if prepared is not None and prepared.body is not None:
            try:
                prepared.rewind()
            except RequestException:
                return False
        if outcome.response is not None:
            outcome.response.close()
        job.policy = policy
        self.stats.retries += 1
        heapq.heappush(self._later, (when, next(self._numbers), job))
        self._wake_later()
        return True

    def _stopped(self, job: Job, outcome: Outcome, session: Session, stop: BaseException) -> None:
        """Settle a request whose greenlet was stopped: its hooks run, for a short while."""
        error: RequestException
        if isinstance(stop, Stop):
            error = stop.error
        else:
            error = _cancelled(job)
            error.__cause__ = stop
        if outcome.response is not None:
            outcome.response.close()
        hooked = outcome.hooked
        outcome.error, outcome.response = error, None
        chain = outcome.chain
        error.request = chain.prepared if chain and chain.prepared else job.request
        entry: Any = failed_response(job.request, error, chain)
        if not hooked:
            timer = gevent.Timeout(_GRACE)
            timer.start()
            try:
                entry = session.conclude(outcome)
            except BaseException as again:
                # The hook took too long, or was stopped a second time: the entry is made anyway.
                if again is not timer and not isinstance(again, (Stop, Exception)):
                    self._settle(job, self._handled(job, entry))
                    raise
            finally:
                timer.close()
        self._settle(job, self._handled(job, entry))

    def _failed(self, job: Job, error: RequestException) -> Any:
        """Return the entry of a request that was never sent, its hooks run."""
        request: Any = job.request
        if not isinstance(request, Request):
            return self._handled(job, failed_response(Request(), error))
        outcome = Outcome(request)
        outcome.as_failure = True
        outcome.error = error
        error.request = request
        return self._handled(job, self._session_for(request).conclude(outcome))

    def _handled(self, job: Job, entry: Any) -> Any:
        """Ask the exception handler for the entry of a failed request."""
        error = getattr(entry, "error", None)
        handler = job.feed.exception_handler
        if error is None:
            return entry
        if handler is not None:
            self._count(entry)
            try:
                return _Counted(handler(job.request, error))
            except Exception as raised:
                warnings.warn(
                    f"exception_handler raised {type(raised).__name__}: {raised}; the entry is the"
                    " failed response",
                    RuntimeWarning,
                    stacklevel=2,
                )
                return _Counted(entry)
        return entry

    def _settle(self, job: Job, entry: Any) -> None:
        """Hand an entry over, and count it."""
        if job.done:
            return
        if isinstance(entry, _Counted):
            entry = entry.entry
        else:
            self._count(entry)
        feed = job.feed
        feed.finish(job, entry)
        if feed is self._spawned:
            if self._spawned_reporter is not None:
                self._spawned_reporter.step()
            if self.raise_errors and self._first_failure is None:
                self._first_failure = getattr(entry, "error", None)
                if self._first_failure is not None:
                    feed.changed.set()

    def _count(self, response: Any) -> None:
        try:
            self.stats.add(response)
        except Exception:  # an entry that a hook made may be anything
            self.stats.record(None, type(response).__name__)


class _Counted:
    """An entry that the statistics know of already."""

    __slots__ = ("entry",)

    def __init__(self, entry: Any) -> None:
        self.entry = entry


class _Call:
    """The settings of one call."""

    __slots__ = ("exception_handler", "prefetch", "progress", "raise_errors", "timeout")

    def __init__(self, pool: Pool) -> None:
        self.prefetch: bool | None = pool.prefetch
        self.exception_handler = pool.exception_handler
        self.timeout = pool.timeout
        self.raise_errors = pool.raise_errors
        self.progress = pool.progress


def _throw(job: Job, stop: Stop) -> None:
    """Stop a job, if its worker still runs it."""
    greenlet = job.greenlet
    if greenlet is not None and not job.done:
        greenlet.throw(stop)


def _cancelled(job: Job) -> RequestException:
    return RequestCancelled(
        f"{_describe(job)}: stopped before it ended; the batch was left, killed or interrupted"
    )


def _expired(job: Job) -> RequestException:
    phase = "wait"
    if not job.started:
        return TotalTimeout(
            f"{_describe(job)}: the batch's timeout ran out before its turn came", phase=phase
        )
    return TotalTimeout(
        f"{_describe(job)}: the batch's timeout ran out before it ended", phase=phase
    )


def _describe(job: Job) -> str:
    request: Any = job.request
    return request.describe() if isinstance(request, Request) else repr(request)[:100]


def _no_request(given: Any) -> TypeError:
    return TypeError(
        f"{without_password(repr(given))[:100]} is no request: make one with"
        " reqkit_async.get(url) and the like"
    )


def _host_of(request: Any) -> str:
    """Return the host's name: what limits are counted by. Never raises."""
    try:
        return prepare_url(request.url).host
    except Exception:  # its entry will say what is wrong with it
        return ""


def _deadline_of(request: Request, session: Session) -> Deadline | None:
    timeout = request.timeout
    try:
        limits = session._timeouts if timeout is UNSET else Timeouts.of(timeout)
    except ValueError:
        return None  # its entry will say so
    return None if limits.total is None else Deadline(limits.total)


def _seconds(timeout: Any) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise ValueError(
            f"timeout is {timeout!r}: expected the seconds that the whole batch may take, a number"
            " above 0, or None for no limit"
        )
    return None if math.isinf(timeout) else float(timeout)


def _left(ends: float | None) -> float | None:
    return None if ends is None else max(ends - clock(), 0.0)


def _passed(ends: float | None) -> bool:
    return ends is not None and clock() >= ends


def _raise_first(entries: list[Any]) -> None:
    for entry in entries:
        error = getattr(entry, "error", None)
        if error is not None:
            raise error
