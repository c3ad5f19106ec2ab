"""gevent's way to the network, with nothing patched: what makes the core cooperative.

Given to the core with `reqkit.network.use`, it makes all that waits in a request (names,
connecting, sending, receiving, pauses, places in a pool) wait in gevent's loop, so that the other
greenlets of the thread run meanwhile. It works in any thread, each with its own hub, and after a
fork; a connection never leaves the hub that made it (`GeventNetwork.scope`).
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Hashable, Sequence
from time import monotonic as clock
from typing import Any

import gevent
from gevent._hub_local import get_hub_if_exists  # which makes none, as `get_hub` does
from gevent.lock import BoundedSemaphore
from greenlet import getcurrent

from reqkit.network import (
    ATTEMPT_DELAY,
    Address,
    Semaphore,
    Signal,
    SocketOptions,
    Stream,
    Waiter,
    interleave,
    numeric_address,
)

from .dns import DNSCache, Resolver
from .hubs import Tended, current_hub, current_scope, next_turn
from .signals import GeventSignal, GeventWaiter
from .streams import GeventStream, plain_socket

__all__ = ["GEVENT", "GeventNetwork", "GeventStream"]


class GeventNetwork:
    """Sockets, names, sleeping and waiting that let other greenlets run.

    Args:
        resolver: what looks names up; None takes the one that `dns.set_resolver`
            set, or the system's (see `dns`).
    """

    most_idle: int | None
    #: Greenlets share a connection that takes many requests at a time.
    multiplexes = True

    def __init__(self, resolver: Resolver | None = None) -> None:
        self.dns: DNSCache = DNSCache(resolver)
        #: Whatever adapters say: a batch over many hosts reuses what it has.
        self.most_idle = 100

    #: Names this thread's hub in this process: a connection serves no other.
    scope: Callable[[], Hashable] = staticmethod(current_scope)

    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        """Look a name up; look-ups of one name are shared and kept for a short while."""
        address = numeric_address(host, port)
        if address is not None:
            return [address]
        return self.dns.resolve(host, port, timeout)

    def connect(
        self,
        addresses: Sequence[Address],
        timeout: float | None,
        options: SocketOptions,
        source: tuple[str, int] | None,
    ) -> Stream:
        """Connect to the first address that answers (RFC 8305 section 5)."""
        if len(addresses) == 1:
            address = addresses[0]
            stream = GeventStream(plain_socket(address, options, source))
            stream.connect(address, timeout)
            return stream
        return _Race(interleave(addresses), options, source).run(timeout)

    def sleep(self, seconds: float) -> None:
        """Let others run for so long."""
        gevent.sleep(max(seconds, 0.0))

    def semaphore(self, places: int) -> Semaphore:
        """Make a semaphore whose waiters let others run."""
        semaphore: Semaphore = BoundedSemaphore(places)
        return semaphore

    def waiter(self) -> Waiter:
        """Make a place to wait in for another greenlet's call."""
        return GeventWaiter()

    def signal(self) -> Signal:
        """Make a place to wait in that other threads, and other hubs, may call."""
        return GeventSignal()

    def clock(self) -> float:
        """Return monotonic seconds."""
        return clock()

    def pause(self) -> None:
        """Let the other greenlets of this thread run, if it has any."""
        hub = get_hub_if_exists()
        if hub is not None and getcurrent() is not hub:
            next_turn()

    def lag(self) -> float:
        """Return for how many seconds, so far, running code has kept the loop from the network."""
        return current_hub().lag()

    def tend(self, tended: Tended) -> bool:
        """Have the hub call something's `sweep` now and then, and `close` it when its thread ends.

        Neither keeps the process alive.
        """
        current_hub().tend(tended)
        return True


class _Race:
    """Attempts to connect, started a quarter of a second apart; the first to succeed wins.

    No greenlet of its own: the caller's waits for whatever comes first, a socket that is done
    or the time for the next step. However it ends, also killed, only the winner stays open.
    """

    def __init__(
        self,
        addresses: list[Address],
        options: SocketOptions,
        source: tuple[str, int] | None,
    ) -> None:
        self.hub = current_hub().hub
        self.waiting = addresses
        self.options = options
        self.source = source
        self.running: dict[GeventStream, Address] = {}
        self.done: list[GeventStream] = []
        self.failure: OSError | None = None
        self.greenlet: Any = None

    def run(self, timeout: float | None) -> GeventStream:
        """Return the winner.

        Raises:
            TimeoutError: none connected in time.
            OSError: all failed; the last one's error.
        """
        ends = None if timeout is None else clock() + timeout
        next_start = clock()
        won: GeventStream | None = None
        try:
            while won is None:
                now = clock()
                if ends is not None and now >= ends:
                    # The loop may have been kept from seeing who has answered in time.
                    self.done = [stream for stream in self.running if stream.has_connected()]
                    won = self._take()
                    if won is not None:
                        break
                    raise TimeoutError(
                        errno.ETIMEDOUT, f"connecting took longer than {timeout:g} s"
                    )
                if self.waiting and (now >= next_start or not self.running):
                    won = self._start(self.waiting.pop(0))
                    next_start = now + ATTEMPT_DELAY
                    continue
                if not self.running:
                    raise self.failure or OSError(errno.EHOSTUNREACH, "no address to connect to")
                steps = [] if ends is None else [ends]
                if self.waiting:
                    steps.append(next_start)
                self._wait(min(steps) - now if steps else None)
                failed = len(self.running)
                won = self._take()
                if len(self.running) < failed:
                    next_start = now  # a failed attempt makes way for the next one at once
            return won
        finally:
            for stream in self.running:
                if stream is not won:
                    stream.close()

    def _start(self, address: Address) -> GeventStream | None:
        stream: GeventStream | None = None
        try:
            stream = GeventStream(plain_socket(address, self.options, self.source))
            self.running[stream] = address
            if stream.begin_connect(address):
                return stream
            stream.when_writable(self._wake, stream)
        except OSError as error:
            self._fail(stream, error)
        return None

    def _fail(self, stream: GeventStream | None, error: OSError) -> None:
        self.failure = error
        if stream is not None:
            self.running.pop(stream, None)
            stream.close()

    def _take(self) -> GeventStream | None:
        """Sort what is done: return the first that has connected, close those that failed."""
        done, self.done = self.done, []
        for stream in done:
            try:
                stream.end_connect(self.running[stream])
            except OSError as error:
                self._fail(stream, error)
            else:
                return stream
        return None

    def _wait(self, pause: float | None) -> None:
        """Wait until `_wake` is called, or for so many seconds."""
        timer = None if pause is None else self.hub.loop.timer(max(pause, 0.0))
        try:
            self.greenlet = getcurrent()
            if timer is not None:
                timer.start(self._wake, None, update=True)
            while self.hub.switch() is not self:
                pass  # woken by something else's mistake: not by ours
        finally:
            self.greenlet = None
            if timer is not None:
                timer.stop()
                timer.close()

    def _wake(self, stream: GeventStream | None) -> None:
        """Note what is done and wake the greenlet. Runs in the hub."""
        if stream is not None:
            stream.cancel_when_writable()
            self.done.append(stream)
        greenlet, self.greenlet = self.greenlet, None
        if greenlet is not None:
            greenlet.switch(self)


#: The one that `reqkit_async` uses.
GEVENT = GeventNetwork()
