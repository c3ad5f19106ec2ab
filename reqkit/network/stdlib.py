"""The standard library's sockets, names, sleeping and waiting: the network of blocking code.

Looked up when called (``socket.socket``, never ``from socket import socket``), so that a later
``gevent.monkey.patch_all()`` takes effect.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
import weakref
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Final, NoReturn

from .._types import Stream
from ..base.file_descriptors import look_up
from ..base.locks import native_local
from .addresses import Address, SocketOptions, interleave, numeric_address
from .forking import PerProcess, forks
from .lookups import Remembered, SharedLookUps
from .racing import has_connected, new_socket, race
from .signals import NativeSignal, SocketSignal
from .streams import PLAIN, bounded, stream_on

__all__ = ["STDLIB", "StdlibNetwork"]

#: Seconds that are as good as none, and yet are waited for.
_MOMENT: Final = 1e-6

#: Look-ups of blocking code that run at a time.
_LOOK_UPS: Final = 32


class _ThreadScope:
    """The name of the scope of a native thread whose sockets are patched; ends with the thread."""

    __slots__ = ("generation", "kind", "tended", "token")

    def __init__(self, kind: Any) -> None:
        self.kind = kind
        self.generation = forks.count
        self.token = object()
        self.tended: weakref.WeakSet[Any] = weakref.WeakSet()

    def __del__(self) -> None:
        with contextlib.suppress(Exception):  # nobody could be told here
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
            sock = new_socket(socket.socket, addresses[0], options, source)
            try:
                sock.settimeout(None if timeout is None else bounded(timeout))
                try:
                    sock.connect(addresses[0].sockaddr)
                except TimeoutError:
                    # A patched socket's limit may run out while the loop is kept from the network.
                    if type(sock) is PLAIN or not has_connected(sock, addresses[0]):
                        raise
            except BaseException:  # a greenlet's kill, too
                sock.close()
                raise
            return stream_on(sock)
        return stream_on(race(interleave(addresses), timeout, options, source))

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def semaphore(self, places: int) -> threading.BoundedSemaphore:
        """Make a semaphore."""
        return threading.BoundedSemaphore(places)

    def waiter(self) -> NoReturn:
        """Refuse: each thread has its connection for itself."""
        raise NotImplementedError

    def signal(self) -> NativeSignal | SocketSignal:
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


_look_ups: Final = PerProcess(lambda: SharedLookUps(_LOOK_UPS))


def _getaddrinfo(host: str, port: int) -> list[Address]:
    found = look_up(socket.getaddrinfo, host, port, _LOOK_UPS)
    return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]


STDLIB: Final = StdlibNetwork()
