"""Connections kept for the next request, by what they may serve.

A pool belongs to one network and scope (see `reqkit.network`). It is the only thing that several
threads share on the way of a request: its lock is held for a few dictionary operations, never
while anything waits.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from typing import Any, Final

from ..base.locks import native_rlock
from ..network import Network, Semaphore, Waiter
from ..timeouts import clock
from ..wire.h1.connection import Connection
from .h2.connection import Multiplexed
from .h2.exchange import Exchange
from .h2.shared import BUFFER

__all__ = ["IDLE_SECONDS", "ONLY_11", "ConnectionPool", "Opening", "give_way"]

#: What an origin speaks that has asked for HTTP/1.1 where it had agreed on HTTP/2.
ONLY_11: Final = -11

#: Origins whose protocol is remembered.
_MOST_REMEMBERED: Final = 1000

#: Seconds after which an unused connection is closed: servers do so themselves after about as long.
IDLE_SECONDS: Final = 60.0


#: All pools of the process, by their identity.
_pools: dict[int, weakref.ref[ConnectionPool]] = {}


class ConnectionPool:
    """Idle connections, the most recently used first.

    Args:
        network: whose connections they are; its ``most_idle`` goes before the next two.
        most_keys: how many keys (hosts) have connections kept.
        most_each: how many connections are kept for each key.
        block: never use more than ``most_each`` connections for one key at once: wait.
        forget: called with it, once it is closed.

    Attributes:
        opened: how many connections were made.
        blocks: whether slots for connections are counted: see `slot`.
    """

    def __init__(
        self,
        network: Network,
        most_keys: int,
        most_each: int,
        block: bool = False,
        forget: Callable[[ConnectionPool], Any] | None = None,
    ) -> None:
        self.most_keys = most_keys
        self.most_each = most_each
        self.opened = 0
        self.closed: bool = False
        self._idle: dict[Hashable, list[Connection | Multiplexed]] = {}
        #: How many are idle, until threads or an interrupt have made it wrong: `sweep` counts anew.
        self._count = 0
        self._swept = 0.0
        self._lock = native_rlock()
        #: Whether its holder is in the middle of something: a signal's handler, which interrupts
        #: that in the same thread, does without what is kept.
        self._busy = False
        self._network = network
        self.blocks = block
        #: Whether somebody sweeps it for as long as it keeps anything.
        self._tended = False
        self._forget = forget
        #: Those in use: of what nobody holds, all slots are free.
        self._slots: weakref.WeakValueDictionary[Hashable, Semaphore] = (
            weakref.WeakValueDictionary()
        )
        #: Connections of HTTP/2 that are lent, by what they may serve.
        self._lent: dict[Hashable, list[Multiplexed]] = {}
        #: Origins that are being connected to, and what is known of others: see `opening`.
        self._opening: dict[Hashable, Opening] = {}
        #: What connections of HTTP/2 that are shared receive into: one at a time.
        self._buffer: memoryview | None = None
        self._speaks: dict[Hashable, int] = {}
        self._streams: dict[Hashable, int] = {}
        # A session may be dropped without being closed, in a circle with an error too.
        weakref.finalize(self, _close_all, self._idle).atexit = False
        number = id(self)
        _pools[number] = weakref.ref(self, lambda _: _pools.pop(number, None))

    def __len__(self) -> int:
        return sum([len(kept) for kept in list(self._idle.values())])

    def acquire(self, key: Hashable, now: float) -> Connection | Exchange | None:
        """Return a kept connection that is still good, or None. Never blocks.

        One of HTTP/2 is lent for one exchange.

        Args:
            key: what it may serve.
            now: the time, in monotonic seconds.
        """
        if self._lent:
            for shared in self._lent.get(key, ()):
                wire = shared.wire
                if shared.users < wire.most_streams and shared.is_reusable():
                    return shared.lend()
        idle = self._idle
        while True:
            kept = idle.get(key)
            if not kept:
                return None
            # Without the lock: of those who take one at once, threads or a signal's handler, each
            # gets another.
            try:
                connection = kept.pop()
            except IndexError:
                return None
            self._count -= 1
            if not kept and len(idle) > 1:
                self._drop_empty(key)
            # Bytes on an idle connection are nobody's answer, and an end is an end.
            if isinstance(connection, Multiplexed):
                if (
                    now - connection.idle_since < IDLE_SECONDS
                    and connection.is_live()
                    and connection.wire.most_streams > 0  # some take none for a while
                ):
                    return self.lend(connection)
            elif now - connection.idle_since < IDLE_SECONDS and not connection.stream.is_readable():
                return connection
            connection.close()

    def _drop_empty(self, key: Hashable) -> None:
        """Forget a key that has no connections left, unless it has got one meanwhile."""
        with self._lock:
            if not self._busy and not self._idle.get(key, True):
                del self._idle[key]

    def lend(self, connection: Multiplexed) -> Exchange:
        """Return the place for an exchange on a connection that nobody uses yet."""
        wire = connection.wire
        if not wire.ready:
            # Until the server has said how many streams it allows: what it said before. Where that
            # was none, whether it takes one by now.
            others = self._lent.get(connection.key, ())
            known = [other.wire.most_streams for other in others if other.wire.ready]
            before = self._streams.get(connection.key, wire.most_streams)
            wire.most_streams = max(1, max(known, default=before))
        if connection.shared:
            self._lent.setdefault(connection.key, []).append(connection)
        return connection.lend()

    def buffer(self) -> memoryview:
        """Return what a connection that is shared may receive into: only while nothing waits."""
        if self._buffer is None:
            self._buffer = memoryview(bytearray(BUFFER))
        return self._buffer

    def forget(self, connection: Multiplexed) -> None:
        """Lend a connection no more."""
        if connection.wire.ready and connection.key in self._speaks:
            self._streams[connection.key] = connection.wire.most_streams
        shared = self._lent.get(connection.key)
        if shared is not None and connection in shared:
            shared.remove(connection)
            if not shared:
                del self._lent[connection.key]

    def take_back(self, connection: Multiplexed) -> None:
        """Keep a connection of HTTP/2 that nobody uses any more, or close it. Never blocks."""
        self.forget(connection)
        self.release(connection)

    def release(self, connection: Connection | Multiplexed | Exchange) -> None:
        """Keep a connection for the next request, or close it. Never blocks."""
        if type(connection) is Exchange:
            connection.release()
            return
        if self.closed or not connection.is_reusable():
            connection.close()
            return
        connection.idle_since = now = clock()
        idle = self._idle
        key = connection.key
        kept = idle.get(key)
        if (
            kept is None
            or len(idle) > 1
            or len(kept) >= self.most_each
            or connection.beside is not None
        ):
            self._keep(connection)
        else:
            # The usual case, without the lock: one key alone, and room for it.
            kept.append(connection)
            self._count += 1
            if idle.get(key) is not kept:
                self._keep_again(connection, kept)
        if not self._tended:
            self._tended = self._network.tend(self)
            if not self._tended and now - self._swept > 1.0:
                self.sweep(now)

    def _keep_again(
        self, connection: Connection | Multiplexed, kept: list[Connection | Multiplexed]
    ) -> None:
        """Keep a connection that was put into a list which another thread has let go of."""
        try:
            kept.remove(connection)
        except ValueError:
            return  # whoever let go of it has closed it, or somebody has taken it
        self._count -= 1
        self._keep(connection)

    def _keep(self, connection: Connection | Multiplexed) -> None:
        """Keep a connection, and close those that are too many with it."""
        surplus: list[Connection | Multiplexed] | None = None
        key = connection.key
        with self._lock:
            if self._busy or self.closed:  # closed meanwhile, by another thread
                connection.close()
                return
            try:
                self._busy = True
                idle = self._idle
                kept = idle.get(key)
                if kept is None:
                    kept = idle[key] = []
                elif len(idle) > 1:
                    # Put back at the end: the first key is the one that was idle for longest.
                    # A signal's handler may have cleared the pool since the line above.
                    idle[key] = idle.pop(key, kept)
                kept.append(connection)
                self._count += 1
                most = self._network.most_idle
                if most is None:
                    if connection.beside is not None:  # a call's own limits
                        surplus = self._surplus(kept, *connection.beside)
                        connection.beside = None
                    elif len(kept) > self.most_each or len(idle) > self.most_keys:
                        surplus = self._surplus(kept, self.most_keys, self.most_each)
                elif self._count > most:
                    oldest = self._oldest()
                    if oldest is not None:
                        surplus = [oldest]
            finally:
                self._busy = False
        if surplus is not None:
            for extra in surplus:
                extra.close()

    def _oldest(self) -> Connection | Multiplexed | None:
        """Take out the least recently used connection of the key that was idle for longest."""
        for key, kept in self._idle.items():
            try:
                connection = kept.pop(0)
            except IndexError:  # whoever takes one does so without the lock
                continue
            self._count -= 1
            if not kept:
                del self._idle[key]
            return connection
        return None

    def _take_oldest(self) -> Connection | Multiplexed | None:
        """As `_oldest`, for who holds the lock, and does nothing else under it."""
        if self._busy:
            return None
        try:
            self._busy = True
            return self._oldest()
        finally:
            self._busy = False

    def give_way(self) -> bool:
        """Close the connection that was idle for longest; tell whether there was one."""
        with self._lock:
            connection = self._take_oldest()
        if connection is None:
            return False
        connection.close()
        return True

    def _surplus(
        self, kept: list[Connection | Multiplexed], most_keys: int, most_each: int
    ) -> list[Connection | Multiplexed]:
        """Take out what is more than is kept for one key, and for how many keys."""
        out: list[Connection | Multiplexed] = []
        while len(kept) > most_each:
            try:
                out.append(kept.pop(0))
            except IndexError:
                break
        while len(self._idle) > most_keys:
            _take_all(self._idle.pop(next(iter(self._idle))), out)
        self._count -= len(out)
        return out

    def sweep(self, now: float | None = None) -> int:
        """Close what was idle for too long; return how many are left. Never blocks."""
        if now is None:
            now = clock()
        self._swept = now
        limit = now - IDLE_SECONDS
        while True:
            with self._lock:
                if self._busy:
                    return self._count
                # Counted anew: threads may have counted at once.
                self._count = len(self)
                if not self._count:
                    self._tended = False
                    return 0
                kept = next(filter(None, self._idle.values()), ())
                if not all(first.idle_since <= limit for first in kept[:1]):
                    return self._count
                connection = self._take_oldest()
            if connection is not None:
                connection.close()

    def slot(self, key: Hashable) -> Semaphore:
        """Return what must be acquired before a connection is taken, where slots are counted."""
        with self._lock:
            semaphore = self._slots.get(key)
            if semaphore is None:
                semaphore = self._slots[key] = self._network.semaphore(self.most_each)
            return semaphore

    # -- which origin speaks what -----------------------------------------------------------

    def version(self, key: Hashable) -> int:
        """Return what an origin speaks: 20, 11, `ONLY_11`, or 0 where that is not known."""
        return self._speaks.get(key, 0)

    def learn(self, key: Hashable, version: int) -> None:
        """Take note of what an origin speaks; the oldest notes go first."""
        speaks = self._speaks
        if speaks.get(key) != version:
            with self._lock:
                speaks.pop(key, None)
                speaks[key] = version
                if len(speaks) > _MOST_REMEMBERED:
                    oldest = next(iter(speaks))
                    del speaks[oldest]
                    self._streams.pop(oldest, None)

    def opening(self, key: Hashable) -> Opening | None:
        """Return the connection that somebody else is making, which may serve others, too.

        Whoever gets None is the first, and is to call `opened_for` however it ends.
        """
        opening = self._opening.get(key)
        if opening is None:
            self._opening[key] = Opening()
        return opening

    def opened_for(self, key: Hashable, failure: Exception | None = None) -> None:
        """Let those go on who wait for a connection to be made."""
        opening = self._opening.pop(key, None)
        if opening is not None:
            opening.end(failure)

    def clear(self) -> None:
        """Close all idle connections; those in use go on and come back."""
        connections: list[Connection | Multiplexed] = []
        with self._lock:
            for kept in self._idle.values():
                _take_all(kept, connections)
            self._idle.clear()
            self._count = 0
        for connection in connections:
            connection.close()

    def close(self) -> None:
        """Close all idle connections, and those in use when they come back."""
        self.closed = True
        self.clear()
        forget, self._forget = self._forget, None
        if forget is not None:
            forget(self)


def _take_all(kept: list[Connection | Multiplexed], into: list[Connection | Multiplexed]) -> None:
    """Take all out of a list, one by one: what another thread takes meanwhile is its own."""
    try:
        while kept:
            into.append(kept.pop(0))
    except IndexError:
        pass


def _close_all(idle: dict[Hashable, list[Connection | Multiplexed]]) -> None:
    for kept in idle.values():
        for connection in kept:
            connection.close()


class Opening:
    """A connection that is being made, by one for all who would use it.

    Attributes:
        failure: why it could not be made, or None.
    """

    __slots__ = ("_waiters", "failure")

    def __init__(self) -> None:
        self._waiters: list[Waiter] = []
        self.failure: Exception | None = None

    def wait(self, waiter: Waiter, timeout: float | None, ends: float) -> bool:
        """Wait until it is made, or has failed; False where that took longer: see `Waiter.wait`."""
        self._waiters.append(waiter)
        return waiter.wait(timeout, ends)

    def end(self, failure: Exception | None) -> None:
        """Call all who wait."""
        self.failure = failure
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            waiter.call()


def give_way(count: int) -> int:
    """Close idle connections of this process's, where descriptors are needed for others.

    Args:
        count: how many, at most.

    Returns:
        how many there were. Never blocks.
    """
    closed = 0
    pools = [pool for kept in list(_pools.values()) if (pool := kept()) is not None]
    while pools and closed < count:
        # One of each in turn: none loses all that it has.
        pools = [pool for pool in pools if pool.give_way()]
        closed += len(pools)
    return closed
