"""Where sockets, names, sleeping and waiting come from: the seam that makes reqkit cooperative.

Whatever can wait goes through a `Network`. The one here is the standard library's, looked up when
called (``socket.socket``, never ``from socket import socket``), so that a later
``gevent.monkey.patch_all()`` takes effect. Another package may bring its own, and have it used by
all that runs in its context with `use`.

TLS needs nothing of a network: it is spoken over any `Stream` (see `reqkit.transport.tls`).
"""

from __future__ import annotations

import contextlib
import contextvars
import errno
import os
import socket
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, ClassVar, Final, Protocol

from .._types import SharedStream, Stream
from ..base.descriptors import look_up
from ..base.locks import native_local
from .addresses import Address, SocketOptions, interleave, numeric_address
from .lookups import Remembered, SharedLookUps
from .racing import has_connected, new_socket, race
from .signals import NativeSignal, SocketSignal
from .streams import PLAIN, bounded, stream_on

__all__ = [
    "Network",
    "Semaphore",
    "SharedStream",
    "Signal",
    "StdlibNetwork",
    "Stream",
    "Waiter",
    "current",
    "use",
]


#: Seconds that are as good as none, and yet are waited for.
_MOMENT: Final = 1e-6

#: Look-ups of blocking code that run at a time.
_LOOK_UPS: Final = 32


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


class _Forks:
    """Counts the forks between this process and the first one."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count: int = 0


#: Counted in a child process, so that no connection of its parent's is used there.
forks: Final = _Forks()


def _forked() -> None:
    forks.count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class _ThreadScope:
    """The name of the scope of a native thread whose sockets are patched; ends with the thread."""

    __slots__ = ("generation", "kind", "tended", "token")

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.generation = forks.count
        self.token = object()
        self.tended: weakref.WeakSet[Any] = weakref.WeakSet()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):
            for tended in list(self.tended):
                tended.close()


class StdlibNetwork:
    """The standard library's sockets; in threads, or patched by gevent."""

    most_idle: int | None = None
    multiplexes: bool = False

    #: Of all networks of this class: a subclass need not call `__init__`.
    _threads: ClassVar[Any] = native_local()
    _no_names: ClassVar[Remembered] = Remembered()

    def scope(self) -> Hashable:
        """Return the fork generation: threads of one process share connections.

        But not once gevent has patched sockets: what was made before would block all greenlets,
        and what is made from then on belongs to the native thread whose hub it waits in.
        """
        if socket.socket is PLAIN:
            return forks.count
        return self._thread_scope().token

    def _thread_scope(self) -> _ThreadScope:
        kind = socket.socket
        scope: _ThreadScope | None = getattr(self._threads, "scope", None)
        if scope is None or scope.kind is not kind or scope.generation != forks.count:
            scope = self._threads.scope = _ThreadScope(kind)
        return scope

    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        """Look a name up, in another thread where a limit is set (getaddrinfo has none).

        What does not exist is remembered for a short while.
        """
        address = numeric_address(host, port)
        if address is not None:
            return [address]
        if socket.socket is PLAIN:
            key = (socket.getaddrinfo, host.lower(), port)
            self._no_names.check(key)
            try:
                if timeout is None:
                    return _getaddrinfo(host, port)
                return list(
                    _look_ups().call(key, lambda: _getaddrinfo(host, port), max(timeout, 0.0))
                )
            except socket.gaierror as error:
                self._no_names.add(key, error)
                raise
        if timeout is None:
            return _getaddrinfo(host, port)
        outcome: list[Any] = []
        done = threading.Event()

        def look_up() -> None:
            try:
                outcome.append(_getaddrinfo(host, port))
            except BaseException as error:  # handed to the caller below
                outcome.append(error)
            finally:
                done.set()

        # Daemonic: a look-up that outlives its limit must not hold up the process's end.
        threading.Thread(target=look_up, name=f"resolve {host}", daemon=True).start()
        if not done.wait(timeout):
            raise TimeoutError(errno.ETIMEDOUT, f"looking up {host!r} took too long")
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        result: list[Address] = outcome[0]
        return result

    def connect(
        self,
        addresses: Sequence[Address],
        timeout: float | None,
        options: SocketOptions,
        source: tuple[str, int] | None,
    ) -> Stream:
        """Connect to the first address that answers."""
        if len(addresses) == 1:
            sock = new_socket(addresses[0], options, source)
            try:
                sock.settimeout(None if timeout is None else bounded(timeout))
                try:
                    sock.connect(addresses[0].sockaddr)
                except TimeoutError:
                    # A patched socket's limit may run out while the loop is kept from the network.
                    if type(sock) is PLAIN or not has_connected(sock, addresses[0]):
                        raise
            except BaseException:
                sock.close()
                raise
            return stream_on(sock)
        return stream_on(race(interleave(addresses), timeout, options, source))

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def semaphore(self, places: int) -> Semaphore:
        """Make a semaphore."""
        return threading.BoundedSemaphore(places)

    def waiter(self) -> Waiter:
        """Refuse: each thread has its connection for itself."""
        raise NotImplementedError

    def signal(self) -> Signal:
        """Make a place to wait in: a lock, or a pair of sockets where these are patched."""
        return NativeSignal() if socket.socket is PLAIN else SocketSignal()

    def clock(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def pause(self) -> None:
        """Let other threads, or greenlets where it is patched, run."""
        # Patched, no time at all would let only greenlets run that are ready, and no timer.
        time.sleep(_MOMENT)

    def lag(self) -> float:
        """Return 0: nobody keeps the system from the network."""
        return 0.0

    def tend(self, tended: Any) -> bool:
        """Return False: threads have no scheduler. What is a patched thread's ends with it."""
        if socket.socket is not PLAIN:
            self._thread_scope().tended.add(tended)
        return False


_shared: tuple[int, SharedLookUps] | None = None


def _look_ups() -> SharedLookUps:
    global _shared
    shared = _shared
    if (
        shared is None or shared[0] != forks.count
    ):  # a forked process has no threads of its parent's
        shared = _shared = forks.count, SharedLookUps(_LOOK_UPS)
    return shared[1]


def _getaddrinfo(host: str, port: int) -> list[Address]:
    found = look_up(socket.getaddrinfo, host, port, _LOOK_UPS)
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]


STDLIB: Final = StdlibNetwork()

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


@contextlib.contextmanager
def use(network: Network) -> Iterator[Network]:
    """Send all that runs in this context (this thread, task or greenlet) over another network."""
    token = _current.set(network)
    try:
        yield network
    finally:
        _current.reset(token)
