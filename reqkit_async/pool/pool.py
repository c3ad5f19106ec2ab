"""The dispatcher: a pool of greenlets that send requests, many at a time, and lose none.

`feeds` says where requests come from and where entries go, `workers` what starts when, `sending`
what becomes of one request, and `halting` how all of it is stopped. This is what users see of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import Any

import gevent
from gevent._hub_local import get_hub_if_exists  # which makes none, as `get_hub` does
from greenlet import getcurrent

from reqkit import Request, Response, Session
from reqkit.timeouts import clock

from ..network import GEVENT
from ..progress import SILENT, open_progress
from ..stats import Stats
from .cancellation import at_the_end, cancelled, expired
from .feeds import Feed, Iterated, Listed, Ordered, Spawned, Unordered
from .limits import HostLimits
from .options import Call
from .retries import policy_of
from .sending import Sender, check_request
from .shutdown import Halter
from .size import places_for
from .workers import Workers

__all__ = ["Pool"]


class Pool:
    """A number of places for requests in flight, and limits for each host.

    What `map` and the others are made of, to be used again, and to be added to while it runs. It
    belongs to the thread that uses it. As a context manager: leaving it waits for what was
    spawned; leaving it by an exception stops it.

    Args:
        size: requests in flight at most; None for as many as there are descriptors for, but no
            more than a thousand.
        per_host: requests in flight for one host at most.
        rate: requests a second for one host, evenly spaced: a number, or text as ``"30/min"``.
        delay: seconds at least between two starts to one host.
        session: for requests that have none of their own.
        retries: how often a failed request is sent again: a number, or a `urllib3.util.Retry`.
        prefetch: read each body before its entry is handed over.
        exception_handler: called with a failed request and its error; what it returns, None too,
            is the entry.
        timeout: seconds for each call of `map` or `imap` as a whole, and for what is spawned
            from the first until all has ended.
        raise_errors: raise the first failure, and stop the rest.
        progress: True, ``"always"``, a function ``progress(done, total)``, or a tqdm-like object.
        gtimeout: another name for ``timeout``.
        stream: the contrary of ``prefetch``.

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
        gtimeout: float | None = None,
        stream: bool | None = None,
    ) -> None:
        if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
            raise ValueError(
                f"size is {size!r}: expected how many requests are in flight at most, a whole"
                " number above 0, or None for as many as possible"
            )
        if session is not None and not isinstance(session, Session):
            raise ValueError(f"session is {session!r}: expected a reqkit.Session")
        self.size = size
        self.stats = Stats()
        self._call = Call(policy=policy_of(retries)).with_settings(
            {
                "prefetch": prefetch, "exception_handler": exception_handler, "timeout": timeout,
                "raise_errors": raise_errors, "progress": progress, "gtimeout": gtimeout,
                "stream": stream,
            }
        )  # fmt: skip
        limited = per_host is not None or rate is not None or bool(delay)
        self._workers = Workers(places_for(size), HostLimits(per_host, rate, delay), limited)
        self._sender = Sender(session, self.stats, self._workers)
        self._workers.send = self._sender.send
        self._halter = Halter(self._workers, self._sender)
        self._spawned = Spawned(self._call, self._rest)

    @property
    def session(self) -> Session | None:
        """The session of requests that have none of their own."""
        return self._sender.session

    @session.setter
    def session(self, value: Session | None) -> None:
        self._sender.session = value

    @property
    def held(self) -> dict[str, float]:
        """The hosts that are held back by a Retry-After, and for how many seconds more."""
        return self._workers.held

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
        call = self._call.with_settings(settings)
        ends = None if call.timeout is None else clock() + call.timeout
        todo = list(_several(requests))
        if not todo:
            return []
        reporter = open_progress(call.progress, len(todo))
        feed = Listed(call, todo, reporter)
        lent = self._workers.lend()
        try:
            self._begin(feed, ends)
            while not feed.over and feed.failure is None:
                if feed.stopped:
                    self._halter.wait(feed)
                    break
                feed.changed.clear()
                feed.changed.wait()
            if feed.failure is not None:
                raise feed.failure
            return feed.entries
        finally:
            if lent:
                self._workers.take_back()
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
        return self._iterate("imap", Ordered, requests, settings)

    def imap_unordered(self, requests: Iterable[Any], **settings: Any) -> Iterator[Any]:
        """Send all as there is room, and yield entries as they end; else as `imap`."""
        return self._iterate("imap_unordered", Unordered, requests, settings)

    def imap_enumerated(
        self, requests: Iterable[Any], **settings: Any
    ) -> Iterator[tuple[int, Any]]:
        """Yield pairs of a request's index and its entry, as they end; else as `imap`."""
        return self._iterate("imap_enumerated", Unordered, requests, settings)

    def _iterate(
        self, name: str, kind: Any, requests: Iterable[Any], settings: dict[str, Any]
    ) -> Iterator[Any]:
        call = self._call.with_settings(settings, name)
        numbered = name == "imap_enumerated"
        total = len(requests) if isinstance(requests, Sized) else None
        return self._iterated(
            kind(call, iter(_several(requests)), 2 * self._workers.most), total, numbered
        )

    def _iterated(self, feed: Iterated, total: int | None, numbered: bool) -> Iterator[Any]:
        call = feed.call
        reporter = open_progress(call.progress, total)
        lent = self._workers.lend()
        try:
            self._begin(feed, None if call.timeout is None else clock() + call.timeout)
            while True:
                feed.consumer = getcurrent()
                taken = feed.take()
                if taken is None:
                    if feed.over:
                        break
                    if feed.stopped:
                        self._halter.wait(feed)
                    else:
                        feed.changed.clear()
                        feed.changed.wait()
                    continue
                self._workers.arrange()  # there is room for one more
                if reporter is not SILENT:
                    reporter.step()
                entry = taken[1]
                if call.raise_errors and getattr(entry, "error", None) is not None:
                    raise entry.error
                yield taken if numbered else entry
            if feed.error is not None:
                raise feed.error
        finally:
            if not at_the_end():
                if lent:
                    self._workers.take_back()
                self._end(feed)
                reporter.close()

    # -- what is added while it runs --------------------------------------------------------

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
            raise check_request(request)
        spawned = self._spawned
        job = spawned.add(request, prefetch)
        if spawned.stopped:
            spawned.drop_rest()
        elif spawned in self._workers.feeds:
            self._workers.arrange()
        else:
            if spawned.reporter is SILENT and self._call.progress:
                spawned.reporter = open_progress(self._call.progress, None)
            timeout = self._call.timeout
            self._begin(spawned, None if timeout is None else clock() + timeout)
        return job.handle

    def stop(self, handle: Any) -> None:
        """Stop a request that was spawned; ``handle`` is what `spawn` returned. Never blocks."""
        self._halter.stop(self._spawned, handle)

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
            raise RuntimeError(
                "join() is called from one of the pool's own hooks: it would wait for itself"
            )
        ends = None if timeout is None else clock() + timeout
        spawned = self._spawned
        while not spawned.over and spawned.failure is None:
            left = None if ends is None else ends - clock()
            if left is not None and left <= 0:
                return False
            spawned.changed.clear()
            spawned.changed.wait(left)
        if spawned.failure is not None:
            error = spawned.failure
            self.kill()
            raise error
        self._close_reporter()
        return True

    def kill(self) -> None:
        """Stop all that is in flight or waits, within half a second. The pool can be used again.

        What was started gets its response hooks and its entry, with a `RequestCancelled`; what
        was not is not sent, and its hooks run only where it has an entry in a `map`'s list.
        """
        feeds = list(self._workers.feeds)
        for feed in feeds:
            self._halter.begin(feed, cancelled, everything=isinstance(feed, Listed))
        for feed in feeds:
            self._halter.wait(feed)
        self._spawned.failure = None
        self._close_reporter()

    def _rest(self) -> None:
        """See that nothing that was spawned is left."""
        self._let_go(self._spawned)
        self._spawned.stopped = False
        self._spawned.reason = None

    def _close_reporter(self) -> None:
        reporter, self._spawned.reporter = self._spawned.reporter, SILENT
        reporter.close()

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
        waiting = sum(feed.waiting for feed in self._workers.feeds)
        failed = sum(self.stats.errors.values())
        return (
            f"<Pool size={self.size} active={self._workers.active} waiting={waiting}"
            f" done={self.stats.requests} failed={failed}>"
        )

    # -- the beginning and the end of a call ------------------------------------------------

    def _begin(self, feed: Feed, ends: float | None) -> None:
        """Have a feed's requests sent, until its deadline."""
        feed.hub = gevent.get_hub()
        feed.ends = ends
        if self.size is not None and self.size > (GEVENT.most_idle or 0):
            GEVENT.most_idle = self.size
        self.stats.start()
        if ends is not None:
            feed.timer = feed.hub.loop.timer(max(ends - clock(), 0.0))
            feed.timer.start(self._expire, feed, update=True)
        self._workers.add(feed)

    def _expire(self, feed: Feed) -> None:
        """Stop a feed at its deadline. Runs in the hub."""
        iterated = isinstance(feed, Iterated)
        self._halter.begin(feed, expired, everything=not iterated)
        # Whoever takes its entries may be busy elsewhere.
        gevent.spawn(self._halter.wait, feed)

    def _end(self, feed: Feed) -> None:
        """Let go of a call's feed: whatever is left of it is stopped, and waited for."""
        hub = feed.hub
        if hub is None:
            return  # it never began
        try:
            if not feed.over:
                if get_hub_if_exists() is not hub:
                    # A generator dropped in another thread.
                    hub.loop.run_callback_threadsafe(self._end, feed)
                    hub = None
                    return
                self._halter.begin(feed, cancelled, everything=False)
                # A generator may be dropped anywhere, also where nothing can wait.
                if not isinstance(feed, Iterated) or feed.consumer is getcurrent():
                    self._halter.wait(feed)
        finally:
            if hub is not None:
                self._let_go(feed)
                if isinstance(feed, Iterated):
                    for entry in feed.unread():
                        if isinstance(entry, Response):
                            entry.close()

    def _let_go(self, feed: Feed) -> None:
        if feed.timer is not None:
            feed.timer.stop()
            feed.timer.close()
            feed.timer = None
        if feed in self._workers.feeds:
            self._workers.remove(feed)
            self.stats.stop()


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
