"""Names, looked up once for all who ask, and kept for a short while.

Look-ups run in native threads of their own (`SystemResolver`), many enough that a slow name holds
back nothing but its own requests; gevent's own threads, ten for each hub, would all be taken by
ten slow names. Where ``GEVENT_RESOLVER`` names another resolver (``ares``, ``dnspython``), that
one is asked.

The resolver can be replaced: for one network (``GeventNetwork(resolver=...)``), or for all that
have none of their own (`set_resolver`).
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from time import monotonic as clock
from typing import Any, Final, Protocol

import gevent
from gevent import socket as gevent_socket
from gevent.event import Event
from gevent.hub import get_hub
from gevent.monkey import get_original
from gevent.resolver.thread import Resolver as GeventThreadResolver

from reqkit.base.file_descriptors import SHORTAGES, look_up
from reqkit.base.locks import IMPORTING
from reqkit.network import Address, PerProcess, numeric_address
from reqkit.network.lookups import LookUpThreads, Remembered

from .hubs import Hub, current_hub

__all__ = ["DNSCache", "Resolver", "SystemResolver", "get_resolver", "set_resolver"]


class Resolver(Protocol):
    """What looks names up."""

    def resolve(self, host: str, port: int) -> Sequence[Address | str]:
        """Return the addresses of a host; best first.

        Called in a greenlet of its own, once for all who ask for the host at the same time. It
        may wait as gevent does; what would block the thread belongs into one of
        `gevent.threadpool`.

        Args:
            host: the name, in ASCII.
            port: the port of who asked first. The answer serves the other ports of the host too.

        Returns:
            `reqkit.network.Address` pairs of family and socket address, or addresses in numbers
            as text (``"192.0.2.1"``).

        Raises:
            socket.gaierror: there is no such name (``EAI_NONAME``, ``EAI_NODATA``: remembered for a
                short while). So is an empty answer.
        """


class SystemResolver:
    """The system's ``getaddrinfo`` in native threads, or what ``GEVENT_RESOLVER`` names."""

    def resolve(self, host: str, port: int) -> list[Address]:
        """Look a name up; the other greenlets run meanwhile."""
        with IMPORTING:  # it is, with gevent's threads, when a hub is first asked for it
            resolver = get_hub().resolver
        if isinstance(resolver, GeventThreadResolver):
            found = _call(look_up, _getaddrinfo(), host, port, _LOOK_UPS)
        else:
            found = resolver.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        return [Address(family, sockaddr) for family, _, _, _, sockaddr in found]


def _getaddrinfo() -> Callable[..., Any]:
    # Looked up when called, as the core does it; gevent's own would ask its few threads.
    found: Callable[..., Any] = socket.getaddrinfo
    if found is gevent_socket.getaddrinfo:
        found = get_original("socket", "getaddrinfo")
    return found


_default: Resolver = SystemResolver()


def set_resolver(resolver: Resolver | None) -> None:
    """Have names looked up by another resolver, in all of the process, from now on.

    Args:
        resolver: see `Resolver`; None gives the system's back.

    Raises:
        TypeError: it has no ``resolve``.
    """
    global _default
    _default = SystemResolver() if resolver is None else _checked(resolver)


def get_resolver() -> Resolver:
    """Return the resolver in use where a network has none of its own."""
    return _default


def _checked(resolver: Resolver) -> Resolver:
    if not callable(getattr(resolver, "resolve", None)):
        raise TypeError(
            f"resolver is {resolver!r}: expected an object with a method resolve(host, port)"
            " that returns a list of reqkit.network.Address"
        )
    return resolver


class _LookUp:
    """A look-up that runs, and those who wait for it."""

    __slots__ = ("addresses", "error", "event", "greenlet")

    def __init__(self) -> None:
        self.event = Event()
        self.addresses: list[Address] = []
        self.error: OSError | None = None
        #: What asks.
        self.greenlet: Any = None

    def ended(self) -> bool:
        """Tell whether nothing asks: a signal's handler has raised in it before its first line."""
        return self.greenlet is None or bool(self.greenlet.ready())


class _Names:
    """What one hub knows: the answers, oldest use first, and the look-ups that run."""

    __slots__ = ("answers", "hub", "no_names", "resolver", "running")

    def __init__(self, hub: Hub, resolver: Resolver) -> None:
        self.hub = hub
        self.resolver = resolver
        self.answers: dict[str, tuple[float, int, list[Address]]] = {}
        self.running: dict[str, _LookUp] = {}
        self.no_names = Remembered()


class DNSCache:
    """Look-ups that are shared, and whose answers are kept for a short while.

    All who ask one hub for one name at the same time wait for one look-up; one who is killed or
    has waited long enough leaves it to the others.
    What does not exist is remembered for a shorter while still; no other failure is.

    Args:
        resolver: what is asked; None for the process's (`set_resolver`).
        keep: seconds that an answer is good for.
        most: so many answers are kept for each hub; the least recently used goes first.
    """

    def __init__(
        self,
        resolver: Resolver | None = None,
        *,
        keep: float = 60.0,
        most: int = 1000,
        clock: Callable[[], float] = clock,
    ) -> None:
        self.resolver: Resolver | None = None if resolver is None else _checked(resolver)
        self.keep = keep
        self.most = most
        self._clock = clock
        # By thread: a hub's events are not another's to wait for.
        self._local = _native_local()

    def clear(self) -> None:
        """Forget this thread's answers. Look-ups that run are not stopped."""
        self._local.names = None

    def __len__(self) -> int:
        """Return how many answers are kept for this thread's hub."""
        return len(self._names().answers)

    def _names(self) -> _Names:
        hub = current_hub()
        resolver = self.resolver or _default
        names: _Names | None = getattr(self._local, "names", None)
        if names is None or names.hub is not hub or names.resolver is not resolver:
            names = self._local.names = _Names(hub, resolver)
        return names

    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        """Return a name's addresses; may wait, others run meanwhile.

        Raises:
            socket.gaierror: there is no such name, or the resolver failed.
            TimeoutError: it took longer than ``timeout`` seconds.
        """
        names = self._names()
        key = host.lower()
        kept = names.answers.pop(key, None)
        if kept is not None and kept[0] > self._clock():
            names.answers[key] = kept  # used last
            return _for_port(kept[2], kept[1], port)
        names.no_names.check(key)
        look_up = names.running.get(key)
        if look_up is None or look_up.ended():
            look_up = names.running[key] = _LookUp()
            look_up.greenlet = gevent.spawn(self._look_up, names, look_up, host, port)
        _wait_for(look_up.event, names.hub, timeout, f"looking up {host!r}")
        if look_up.error is not None:
            # One each: a raised error gathers its own traceback.
            kind = socket.gaierror if isinstance(look_up.error, socket.gaierror) else OSError
            raise kind(*look_up.error.args) from look_up.error.__cause__
        return _for_port(look_up.addresses, look_up.addresses[0].sockaddr[1], port)

    def _look_up(self, names: _Names, look_up: _LookUp, host: str, port: int) -> None:
        """Ask, in a greenlet of its own."""
        key = host.lower()
        try:
            try:
                found = names.resolver.resolve(host, port)
            except socket.gaierror as error:
                names.no_names.add(key, error)
                raise
            look_up.addresses = _addresses(found, host, port)
            names.answers.pop(key, None)
            names.answers[key] = (self._clock() + self.keep, port, look_up.addresses)
            while len(names.answers) > self.most:
                del names.answers[next(iter(names.answers))]
        except socket.gaierror as error:
            look_up.error = error
        except BaseException as error:
            # Whatever it is, those who wait hear of it: a label that is too long (UnicodeError),
            # what a resolver of the user's does, a kill of this greenlet.
            if isinstance(error, OSError) and error.errno in SHORTAGES:
                look_up.error = error
                return
            look_up.error = socket.gaierror(
                socket.EAI_FAIL, f"looking up {host!r} failed: {type(error).__name__}: {error}"
            )
            look_up.error.__cause__ = error
            if isinstance(error, KeyboardInterrupt):
                raise  # Ctrl-C, which has hit this greenlet: the program is meant
        finally:
            if names.running.get(key) is look_up:
                del names.running[key]
            look_up.event.set()


def _wait_for(event: Event, hub: Hub, timeout: float | None, what: str) -> None:
    """Wait for an event; the time in which nobody could see it come does not count.

    Raises:
        TimeoutError: it did not come.
    """
    if timeout is None:
        event.wait()
        return
    ends = clock() + timeout - hub.lag()
    left = timeout
    while not event.wait(left):
        left = ends + hub.lag() - clock()
        if left <= 0:
            raise TimeoutError(errno.ETIMEDOUT, f"{what} took longer than {timeout:g} s")


def _addresses(found: Sequence[Address | str], host: str, port: int) -> list[Address]:
    addresses = []
    for one in found:
        address = numeric_address(one, port) if isinstance(one, str) else Address(*one)
        if address is None:
            raise ValueError(f"the resolver returned {one!r}: expected an address in numbers")
        addresses.append(address)
    if not addresses:
        raise socket.gaierror(socket.EAI_NONAME, f"the name {host!r} has no address")
    return addresses


def _for_port(addresses: list[Address], asked: int, port: int) -> list[Address]:
    """Return the addresses for a port other than the one that was asked for."""
    if asked == port:
        return list(addresses)
    return [
        # A resolver that answers with a port of its own means that one.
        Address(family, (sockaddr[0], port, *sockaddr[2:])) if sockaddr[1] == asked else one
        for one in addresses
        for family, sockaddr in (one,)
    ]


def _native_local() -> Any:
    return get_original("_thread", "_local")()


class _Job:
    """A call that a native thread makes for a greenlet."""

    __slots__ = ("_wake", "args", "error", "function", "value")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], wake: Any) -> None:
        self.function = function
        self.args = args
        self.value: Any = None
        self.error: BaseException | None = None
        self._wake = wake

    def run(self) -> None:
        try:
            self.value = self.function(*self.args)
        except BaseException as error:  # raised in the hub's thread
            self.error = error
        try:
            if self._wake.loop.ptr:
                self._wake.send()
        except Exception:
            pass  # the hub that asked is gone, and nobody waits any more


def _call(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function in a native thread; the other greenlets run meanwhile."""
    threads = _threads()
    done = Event()
    wake = get_hub().loop.async_()  # what keeps the loop from ending, too
    wake.start(done.set)
    job = _Job(function, args, wake)
    try:
        threads.submit(job)
        done.wait()
    finally:
        threads.take_back(job)
        wake.stop()
        wake.close()
    if job.error is not None:
        raise job.error
    return job.value


#: Look-ups that run at a time, for all hubs of the process.
_LOOK_UPS: Final = 256
_threads: Final = PerProcess(lambda: LookUpThreads(_LOOK_UPS))
