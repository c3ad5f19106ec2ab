"""What is kept for each gevent hub: the scope of its connections, their time limits, its turns.

A hub is a thread's: it runs the loop that its greenlets wait in. Importing this makes none.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Hashable, Iterable, Iterator
from time import monotonic as clock
from typing import Any, Final, Protocol, TypeVar

import gevent
from gevent._hub_local import get_hub_if_exists  # which makes none, as `get_hub` does
from gevent.hub import get_hub
from gevent.monkey import get_original
from greenlet import getcurrent

from reqkit.network import forks

from .expiries import Expiries

__all__ = [
    "LIBEV_LOOPS", "Ending", "Hub", "Tended", "current_hub", "current_scope", "in_turns",
    "next_turn", "wrong_thread",
]  # fmt: skip

T = TypeVar("T")

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
        waits: whether the loop is looking at the network, or waits for it; never with libuv.
        ended: whether its thread is over, and nothing runs in it any more.
    """

    __slots__ = (
        "__weakref__", "_since", "_tended", "_tending", "_watchers", "ended", "expiries",
        "generation", "hub", "lagged", "scope", "streams", "turns", "waits",
    )  # fmt: skip

    def __init__(self, hub: Any) -> None:
        self.hub: Any = hub
        self.generation: int = forks.count
        self.scope: object = object()
        self.expiries: Expiries = Expiries(hub)
        self.turns: int = 0
        self.lagged: float = 0.0
        self.waits: bool = False
        self.ended: bool = False
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
                kept.waits = False
                kept._since = clock()

        def looks() -> None:
            if (kept := me()) is not None:
                kept.waits = True
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

    def runs(self) -> bool:
        """Tell whether the thread whose loop it is lives on, in this process.

        The interpreter could say which threads there are, but an ended one's number is used again,
        and asking is no small matter: see `reqkit_async.network.frames`.
        """
        return not self.ended and self.generation == forks.count

    def tend(self, tended: Tended) -> None:
        """Have something's `sweep` called now and then, and `close` when the thread ends.

        To be called again once nothing was left.
        """
        self._tended.add(tended)
        if self._tending is None:
            # No reason for the loop, and so for the process, to go on.
            self._tending = self.hub.loop.timer(_TENDING, _TENDING, ref=False)
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
        self.ended = True
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


def in_turns(items: Iterable[T], seconds: float = 0.005) -> Iterator[T]:
    """Yield items; others run each time that what is done with them has taken so many seconds."""
    until = clock() + seconds
    for item in items:
        yield item
        if clock() > until:
            next_turn()
            until = clock() + seconds


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


def wrong_thread() -> RuntimeError:
    """Return the error for a connection that is used in another thread than its hub's."""
    return RuntimeError(
        "this connection belongs to another thread's gevent hub (or to one that was"
        " destroyed), and can be used only there"
    )
