"""What is kept for each gevent hub: the scope of its connections, their time limits, its turns.

A hub is a thread's: it runs the loop that its greenlets wait in. Importing this makes none.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import weakref
from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from time import monotonic as clock
from typing import Any, Final, Protocol

import gevent
from gevent._hub_local import get_hub_if_exists  # which makes none, as `get_hub` does
from gevent.hub import get_hub
from gevent.monkey import get_original
from greenlet import getcurrent

from reqkit.network import forks

__all__ = [
    "EXPIRED", "LIBEV_LOOPS", "NEVER", "Ending", "Expiries", "Expiring", "Hub", "Tended",
    "current_hub", "current_scope", "next_turn",
]  # fmt: skip

NEVER: Final = math.inf

#: What a waiting greenlet is woken with when its time is up.
EXPIRED: Final = object()

#: gevent's loop in C, where the platform has it.
LIBEV_LOOPS: tuple[type, ...] = ()
with contextlib.suppress(ImportError):
    from gevent.libev.corecext import loop as _libev_loop

    LIBEV_LOOPS = (_libev_loop,)


#: Seconds between two looks at what is idle.
_TENDING: Final = 15.0
#: Descriptors that a loop takes, at most.
_LOOP_DESCRIPTORS: Final = 4
#: Seconds without a turn of the loop from which on it counts as kept from the network.
_LONG: Final = 0.01


class Hub:
    """What is kept for one gevent hub: the name of its scope, its time limits, its idle things.

    Attributes:
        hub: gevent's own.
        scope: a token for connections made here. It is never used again, not even for a hub
            that comes to lie at the same address, nor in a forked process.
        turns: how often the loop has looked at the network so far.
        lagged: seconds, so far, between two looks at the network that running code took, where
            it took long.
    """

    __slots__ = (
        "__weakref__", "_since", "_tended", "_tending", "_watchers", "expiries",
        "generation", "hub", "lagged", "scope", "streams", "turns",
    )  # fmt: skip

    def __init__(self, hub: Any) -> None:
        self.hub: Any = hub
        self.generation: int = forks.count
        self.scope: object = object()
        self.expiries: Expiries = Expiries(hub)
        self.turns: int = 0
        self.lagged: float = 0.0
        #: When the loop last had looked at the network.
        self._since = clock()
        self._tended: weakref.WeakSet[Tended] = weakref.WeakSet()
        #: Streams that something may be waiting for.
        self.streams: weakref.WeakSet[Ending] = weakref.WeakSet()
        self._tending: Any = None
        self._watchers: list[Any] = []
        self._watch()

    def _watch(self) -> None:
        """Have the loop tell when it has looked at the network, and when it is about to."""
        # Weakly: a hub that somebody destroys leaves its watchers started for ever.
        me = weakref.ref(self)

        def looked() -> None:
            if (kept := me()) is not None:
                kept.turns += 1
                kept._since = clock()

        def looks() -> None:
            if (kept := me()) is not None:
                busy = clock() - kept._since
                if busy >= _LONG:
                    kept.lagged += busy

        loop: Any = self.hub.loop
        libev = isinstance(loop, LIBEV_LOOPS)
        watchers = [(loop.check(ref=False), looked)]
        if libev:
            # After all else that runs before a turn; libuv knows no such order, and so no lag.
            watchers.append((loop.prepare(ref=False, priority=loop.MINPRI), looks))
        for watcher, call in watchers:
            watcher.start(call)
            self._watchers.append(watcher)

    def lag(self) -> float:
        """Return for how many seconds, so far, running code has kept the loop from the network.

        Of what runs for less than a hundredth of a second nothing is counted. Called by what runs.
        """
        if len(self._watchers) < 2:
            return 0.0
        busy = clock() - self._since
        return self.lagged + busy if busy >= _LONG else self.lagged

    def tend(self, tended: Tended) -> None:
        """Have something's `sweep` called now and then, and `close` when the thread ends.

        To be called again once nothing was left.
        """
        self._tended.add(tended)
        if self._tending is None:
            # No reason for the loop, and so for the process, to go on.
            self._tending = self.hub.loop.timer(_TENDING, ref=False)
            me = weakref.ref(self)
            self._tending.start(lambda: None if (kept := me()) is None else kept._sweep())

    def _sweep(self) -> None:
        self._stop_tending()
        left = [tended for tended in list(self._tended) if tended.sweep()]
        if left:
            self.tend(left[0])

    def _stop_tending(self) -> None:
        timer, self._tending = self._tending, None
        _close(self.hub.loop, timer)

    def end(self) -> None:
        """Close what is kept for the hub, whose thread ends. Never raises."""
        self.stop()
        for tended in list(self._tended):
            with contextlib.suppress(Exception):
                tended.close()
        # What greenlets wait for that never run again, and what the loop moved the bytes of.
        for stream in list(self.streams):
            with contextlib.suppress(Exception):
                stream.end()

    def stop(self) -> None:
        """Take back all that the loop was asked for."""
        self._stop_tending()
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            _close(self.hub.loop, watcher)


def _close(loop: Any, watcher: Any) -> None:
    # In a loop that was destroyed it is gone already. Who destroys a hub, as a thread of gevent's
    # thread pool does at its end, leaves it none.
    if watcher is not None and loop is not None and loop.ptr:
        with contextlib.suppress(Exception):
            watcher.stop()
            watcher.close()


# Patched ones would be each greenlet's own.
_ThreadLocal: Any = get_original("_thread", "_local")
_get_ident: Any = get_original("_thread", "get_ident")


class _Local(_ThreadLocal):  # type: ignore[misc]
    current: Hub | None = None
    ender: _Ender | None = None


class _Ender:
    """Lets go of all that is kept for a thread that ends, and destroys its hub.

    gevent leaves its loop's descriptors open.
    """

    __slots__ = ("kept",)

    def __init__(self, kept: Hub) -> None:
        self.kept: Hub | None = kept

    def __del__(self) -> None:
        global _last
        kept = self.kept
        if kept is None:
            return
        hub = kept.hub
        last = _last  # read once: another thread may set it meanwhile
        if last is not None and last.hub is hub:
            _last = None
        # What else clears a thread's locals, a fork or the interpreter's end, is another thread.
        if hub.thread_ident != _get_ident():
            return
        with contextlib.suppress(Exception):
            kept.end()
            if isinstance(hub.loop, LIBEV_LOOPS):  # libuv's waits for all that waits in it
                hub.destroy(destroy_loop=True)


_local = _Local()
#: What `current_hub` returned last, in whichever thread: read and set in one go.
_last: Hub | None = None


def next_turn() -> None:
    """Wait for the loop's next turn, so that its timers and sockets are looked at meanwhile.

    ``gevent.sleep(0)`` lets only greenlets run that are ready: up to fifty calls of it are answered
    before the loop looks at anything else, which is half a second where each follows some work.
    Not for the hub itself.
    """
    hub = get_hub()
    with hub.loop.idle() as watcher:
        # Above all else, or what comes without a pause would keep this waiting for ever.
        watcher.priority = hub.loop.MAXPRI
        hub.wait(watcher)


def current_hub() -> Hub:
    """Return what is kept for the hub of this thread, and of this process after a fork."""
    global _last
    kept: Hub | None = _last
    # Most greenlets have their hub for a parent, which is sooner asked than what a thread's is.
    if kept is not None and kept.hub is getcurrent().parent and kept.generation == forks.count:
        return kept
    if get_hub_if_exists() is None:
        _see_descriptors()
    hub = get_hub()
    kept = _local.current
    if kept is not None and kept.hub is hub and kept.generation == forks.count:
        _last = kept
        return kept
    if forks.count:
        # A plain os.fork(), as multiprocessing does it, tells gevent's loop nothing. To tell it
        # twice does no harm.
        gevent.reinit(hub)
    if kept is not None and kept.hub is hub:
        kept.stop()  # a copy of the parent process's
    kept = _local.current = _last = Hub(hub)
    if not hub.main_hub:
        if _local.ender is not None:
            _local.ender.kept = None
        _local.ender = _Ender(kept)
    return kept


def _see_descriptors() -> None:
    """See that a loop can be made: libev would ask for ever for descriptors that are lacking.

    Raises:
        OSError: they are.
    """
    pairs: list[tuple[int, int]] = []
    try:
        for _ in range(_LOOP_DESCRIPTORS // 2):
            pairs.append(os.pipe())
    except OSError as error:
        raise OSError(
            error.errno, f"{error.strerror}: a thread's first batch takes {_LOOP_DESCRIPTORS} file"
            " descriptors; close some, or raise the limit"
        ) from error  # fmt: skip
    finally:
        for pair in pairs:
            for descriptor in pair:
                os.close(descriptor)


def current_scope() -> Hashable:
    """Return the scope of connections made now: that of `current_hub`."""
    kept = _last
    if kept is not None and kept.hub is getcurrent().parent and kept.generation == forks.count:
        return kept.scope
    return current_hub().scope


class Tended(Protocol):
    """What keeps things for a while, and is a hub's."""

    def sweep(self) -> int:
        """Let go of what was kept for too long; return how much is left. Never blocks."""

    def close(self) -> None:
        """Let go of all of it."""


class Ending(Protocol):
    """What greenlets of one hub wait for, or the hub itself."""

    def end(self) -> None:
        """Close it where something waits for it: the thread ends, which calls this."""


class Expiring(Protocol):
    """What `Expiries` looks after.

    Attributes:
        waiter: the greenlet that waits, or None.
        expires: when it has waited too long; `NEVER` where it may wait for ever.
        entry, entry_at: kept by `Expiries`.
    """

    def has_come(self) -> bool:
        """Tell whether what it waits for is there, and the loop has not looked since it came."""

    waiter: Any
    expires: float
    entry: list[Any] | None
    entry_at: float


class Expiries:
    """The time limits of all waits of one hub, on one timer.

    A stream has at most one entry that counts, and it is looked at only when it is due; most of
    the time the stream has waited anew since, and the entry moves on. So thousands of short waits
    under a long limit cost one entry. A wait ends up to a few milliseconds after its limit, never
    before it.
    """

    __slots__ = ("_count", "_dropped", "_heap", "_hub", "_timer", "_timer_at")

    #: Seconds that the timer waits longer, so that limits close to one another are seen to in one.
    SLACK: Final = 0.002

    def __init__(self, hub: Any) -> None:
        self._hub = hub
        self._heap: list[list[Any]] = []  # [when, number, reference to a stream or None]
        self._count = 0
        self._dropped = 0
        self._timer: Any = None
        self._timer_at = NEVER

    def __len__(self) -> int:
        """Return how many entries there are, dropped ones too."""
        return len(self._heap)

    def add(self, stream: Expiring, when: float) -> None:
        """Look at a stream at a time of the monotonic clock."""
        if stream.entry is not None:
            self._drop(stream.entry)
        self._count += 1
        # Weak: a limit far away must not keep what nobody has any more.
        entry = [when, self._count, weakref.ref(stream)]
        stream.entry = entry
        stream.entry_at = when
        heappush(self._heap, entry)
        if when < self._timer_at:
            self._start_timer()

    def remove(self, stream: Expiring) -> None:
        """Forget a stream."""
        entry = stream.entry
        stream.entry = None
        stream.entry_at = NEVER
        if entry is not None:
            self._drop(entry)

    def _drop(self, entry: list[Any]) -> None:
        # Taking an entry out of a heap's middle is dear: it is emptied, and cleared away with
        # others once they are most of the heap.
        entry[2] = None
        self._dropped += 1
        if self._dropped > 100 and self._dropped * 2 > len(self._heap):
            self._heap = [kept for kept in self._heap if kept[2] is not None and kept[2]()]
            heapify(self._heap)
            self._dropped = 0

    def _start_timer(self) -> None:
        self._stop_timer()
        if self._heap:
            self._timer_at = self._heap[0][0]
            pause = max(self._timer_at - clock(), 0.0) + self.SLACK
            # Not a reason for the loop to go on: what waits has a watcher of its own.
            self._timer = self._hub.loop.timer(pause, ref=False)
            self._timer.start(self._look, update=True)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        self._timer_at = NEVER

    def _look(self) -> None:
        """Wake what has waited too long. Runs in the hub."""
        try:
            while self._heap and self._heap[0][0] <= clock():
                entry = heappop(self._heap)
                if entry[2] is None:
                    self._dropped -= 1
                    continue
                stream: Expiring | None = entry[2]()
                if stream is None:
                    continue
                stream.entry = None
                stream.entry_at = NEVER
                greenlet = stream.waiter
                if greenlet is None or stream.expires == NEVER:
                    continue
                if stream.expires > clock():
                    self.add(stream, stream.expires)
                    continue
                try:
                    # Whatever kept the loop busy until now, what came in time has come.
                    greenlet.switch(stream if stream.has_come() else EXPIRED)
                except BaseException:
                    self._hub.handle_error(greenlet, *sys.exc_info())
        finally:
            self._start_timer()
