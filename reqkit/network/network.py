"""Where sockets, names, sleeping and waiting come from: the seam that makes reqkit cooperative.

Whatever can wait goes through a `Network`. What counts where nothing else is said is the standard
library's (`stdlib`). Another package may bring its own, and have it used by all that runs in its
context with `use`; tests may put one in place of all.

TLS needs nothing of a network: it is spoken over any `Stream` (see `reqkit.transport.tls`).
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, Protocol

from .._types import SharedStream, Stream
from .addresses import Address, SocketOptions
from .stdlib import STDLIB

__all__ = [
    "Network",
    "Semaphore",
    "SharedStream",
    "Signal",
    "StandIn",
    "Stream",
    "Waiter",
    "current",
    "put_in_place",
    "take_away",
    "use",
]


class Semaphore(Protocol):
    """A number of places that can be waited for."""

    def acquire(self, blocking: bool = True, timeout: float | None = None) -> bool:
        """Take a place; False where none came free in time."""

    def release(self) -> None:
        """Give the place back."""


class Waiter(Protocol):
    """A place for one to wait in until another calls it.

    Attributes:
        called: whether it was called since the last wait, which then does not wait.
    """

    called: bool

    def wait(self, timeout: float | None, ends: float = ...) -> bool:
        """Wait to be called; False where that took longer than ``timeout`` seconds.

        Time in which nobody could call (`Network.lag`) does not count, but for ``ends``: the moment
        of the network's clock after which nothing is waited for.
        """

    def call(self) -> None:
        """Have the wait end, or the next one. Never blocks."""

    def call_now(self) -> None:
        """As `call`; where a loop calls, whoever waits goes on before this returns."""


class Signal(Protocol):
    """A place for one to wait in, once, until another calls it, from whichever thread.

    Attributes:
        blocks: whether all that runs in this native thread waits meanwhile.
    """

    blocks: bool

    def wait(self, timeout: float | None) -> bool:
        """Wait to be called; False where that took longer than ``timeout`` seconds."""

    def call(self) -> None:
        """Have the wait end. Never blocks; not after `close`."""

    def close(self) -> None:
        """Let go of it: nobody waits any more."""


class Network(Protocol):
    """The way to the network, and all else that waits.

    Attributes:
        multiplexes: whether those who share a scope share a connection that takes many requests at
            a time: the streams are `reqkit.network.SharedStream`, and there is `waiter`.
        most_idle: how many idle connections a pool keeps in all, whatever adapters say; None
            leaves it to them.
    """

    most_idle: int | None
    multiplexes: bool

    def scope(self) -> Hashable:
        """Name the part of the process whose code may use a connection made now.

        A connection made under one scope never serves another: a gevent socket belongs to its
        hub, and a forked process must not write to its parent's sockets.
        """

    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        """Look a name up.

        Raises:
            socket.gaierror: there is no such name.
            TimeoutError: the look-up took longer than ``timeout`` seconds.
        """

    def connect(
        self,
        addresses: Sequence[Address],
        timeout: float | None,
        options: SocketOptions,
        source: tuple[str, int] | None,
    ) -> Stream:
        """Connect to the first address that answers (RFC 8305 section 5).

        Raises:
            TimeoutError: none answered within ``timeout`` seconds.
            OSError: all failed; the last one's error.
        """

    def sleep(self, seconds: float) -> None:
        """Wait."""

    def semaphore(self, places: int) -> Semaphore:
        """Make a semaphore whose waiters let others run."""

    def waiter(self) -> Waiter:
        """Make a place to wait in. Only where the network multiplexes."""

    def signal(self) -> Signal:
        """Make a place to wait in that other threads may call."""

    def clock(self) -> float:
        """Return monotonic seconds."""

    def pause(self) -> None:
        """Let others run, if there are any who wait for this."""

    def lag(self) -> float:
        """Return for how many seconds, so far, the scope's scheduler was kept from the network.

        By code that runs, and lets nothing else run meanwhile. A limit that measures the peer is
        longer by what this has grown; 0 where there is no scheduler.
        """

    def tend(self, tended: Any) -> bool:
        """Have something's ``sweep()`` called now and then, and ``close()`` when its scope ends.

        Returns:
            whether there is somebody who does so.
        """


_current: contextvars.ContextVar[Network] = contextvars.ContextVar("reqkit_network", default=STDLIB)


#: Return the network of the code that runs now.
current: Final[Callable[[], Network]] = _current.get


class StandIn(Protocol):
    """What tests put in place of all networks of the process."""

    def network(self, real: Network) -> Network:
        """Return what stands in for a network; the same one each time."""

    def opened(self, stream: Stream, route: Any) -> Stream:
        """Return what is used in place of a stream that was opened along a route."""


_stand_ins: list[StandIn] = []
#: The one that counts, which was put in place last; None outside tests.
stand_in: StandIn | None = None


def put_in_place(new: StandIn) -> None:
    """Have all exchanges of the process begin with what stands in for its networks."""
    global stand_in
    _stand_ins.append(new)
    stand_in = new


def take_away(old: StandIn) -> None:
    """Have what was there before count again."""
    global stand_in
    _stand_ins.remove(old)
    stand_in = _stand_ins[-1] if _stand_ins else None


class use:
    """Sends all that runs in this context (this thread, task or greenlet) over another network.

    A context manager, which gives the network. Never raises.
    """

    __slots__ = ("_before", "_network")

    def __init__(self, network: Network) -> None:
        self._network = network

    def __enter__(self) -> Network:
        self._before = _current.get()
        _current.set(self._network)
        return self._network

    def __exit__(self, *exception: object) -> None:
        _current.set(self._before)
