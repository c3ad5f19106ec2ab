"""From a route to an open connection: names, sockets, proxies, TLS, each within its limit.

Every step is bounded by the connect limit and by what is left of the total one, and is timed.
Whatever was opened is closed when a step fails, or when the greenlet that waits in it is killed.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from typing import Final, TypeVar

from ..base.file_descriptors import room, to_close, with_room
from ..exceptions import ConnectionError, ConnectTimeout, InvalidURL, RequestException
from ..network import Address, Network, Stream, current
from ..timeouts import Deadline, Timeouts, clock
from . import failures, proxying
from .pools import give_way
from .routes import Marks, Proxy, Route
from .tls.client import TlsClient
from .tls.contexts import client_for
from .tls.handshake import secure
from .tls.settings import TlsSettings

__all__ = ["Marks", "open_stream"]

#: A head and a body's last piece go out when they are written, not when the last answer is
#: acknowledged (RFC 896).
_OPTIONS: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)

_UNFIT: Final = re.compile(r"[\x00-\x20\x7f/?#@\\]")

T = TypeVar("T")

#: Seconds after which there has to be a descriptor, where there is no connect limit.
_PATIENCE: Final = 60.0
#: How often a name that was not found is looked up again, where there were few descriptors.
_SUSPICIONS: Final = 50

#: Timers may fire this much early, in seconds.
_SLACK: Final = 0.02


def open_stream(
    route: Route,
    network: Network,
    timeouts: Timeouts,
    deadline: Deadline | None,
    marks: Marks,
    url: str | None = None,
    strict: bool = False,
) -> Stream:
    """Open a connection along a route. Blocks.

    Args:
        route: where to, and through what.
        network: whose sockets are used.
        timeouts: ``connect`` bounds each step: the look-up, connecting, each handshake.
        deadline: the whole exchange's.
        marks: gets the seconds spent on each phase, also where it fails.
        url: what is asked for, without its password: for the errors.
        strict: whether to refuse a proxy's answer for whatever HTTP's rules forbid.

    Returns:
        the stream; the caller closes it.

    Raises:
        ConnectionError: the name is not known, or nobody answers; a retry is safe.
        ConnectTimeout: a step took longer than the connect limit; a retry is safe.
        TotalTimeout: the total limit ran out in this phase.
        ProxyError: the proxy failed or refused; a retry is safe.
        SSLError: TLS failed, or the certificate is not good.
        InvalidSchema: a SOCKS proxy is asked for, and its extra is not installed.
        InvalidURL: the host cannot be one.
        AddressNotAllowed: the route's filter refuses all addresses.
    """
    opening = _Opening(route, network, timeouts, deadline, marks, url or route.origin)
    proxy = route.proxy
    host, port = route.host, route.port
    opening.check_host(host)
    # Files that cannot be used are found before anything is opened.
    proxy_client = opening.client(route.proxy_tls)
    client = opening.client(route.tls)
    if proxy is None:
        stream = opening.dial(host, port, None)
    else:
        asked = host
        if proxy.is_socks:
            proxying.require_socks(proxy)
            if proxy.looks_up_here:
                asked = opening.address_for(proxy)
        opening.check_host(proxy.host)
        stream = opening.dial(proxy.host, proxy.port, proxy)
    try:
        if proxy is not None:
            if route.proxy_tls is not None:
                stream = opening.secure(
                    stream, route.proxy_tls, proxy_client, proxy.host, proxy.port, proxy
                )
            if not route.forwarding:
                opening.pass_through(stream, proxy, asked, strict)
        if route.tls is not None:
            stream = opening.secure(stream, route.tls, client, host, port, None)
    except BaseException:  # a killed greenlet's too
        stream.close()
        raise
    return stream


# Files are opened on the floors below, which have no connections.
room.give_way = give_way
room.sleep = lambda seconds: current().sleep(seconds)


class _Opening:
    """The steps of opening one connection."""

    __slots__ = ("deadline", "marks", "network", "route", "timeouts", "url")

    def __init__(
        self,
        route: Route,
        network: Network,
        timeouts: Timeouts,
        deadline: Deadline | None,
        marks: Marks,
        url: str,
    ) -> None:
        self.route = route
        self.network = network
        self.timeouts = timeouts
        self.deadline = deadline
        self.marks = marks
        self.url = url

    def check_host(self, host: str) -> None:
        """Refuse a host that would be more than a host where it is written."""
        if not host or _UNFIT.search(host):
            raise InvalidURL(f"{self.url!r}: the host is {host!r}: expected a name or an address")

    def client(self, settings: TlsSettings | None) -> TlsClient | None:
        """Return what TLS is begun with, its files read."""
        if settings is None:
            return None
        with _Step(self, "tls", self.route.host, self.route.port, None) as step:
            return self.with_room(step, lambda: client_for(settings))

    def resolve(self, host: str, port: int, proxy: Proxy | None) -> list[Address]:
        """Look a name up; return the addresses that may be connected to."""
        with _Step(self, "dns", host, port, proxy) as step:
            addresses = self.with_room(step, lambda: self.network.resolve(host, port, step.left()))
        allow = self.route.allow_address
        if allow is not None:
            addresses = allow.allowed(addresses, host, port, self.url, proxy)
        return addresses

    def dial(self, host: str, port: int, proxy: Proxy | None) -> Stream:
        """Connect to a host: the server, or the proxy."""
        addresses = self.resolve(host, port, proxy)
        options = self.route.socket_options
        with _Step(self, "connect", host, port, proxy) as step:
            stream = self.with_room(
                step,
                lambda: self.network.connect(
                    addresses,
                    step.left(),
                    _OPTIONS if options is None else options,
                    self.route.source_address,
                ),
            )
        sock = getattr(stream, "sock", None)
        if sock is not None and (few := to_close(sock.fileno())):
            give_way(few)
        return stream

    def with_room(self, step: _Step, attempt: Callable[[], T]) -> T:
        """Do what needs a descriptor: where there is none, for as long as the connect limit allows.

        Raises:
            OSError: there is none left; as ``attempt`` raises.
        """
        suspected = 0

        def tried() -> T:
            step.restart()  # of a try before
            return attempt()

        def failed(error: OSError) -> None:
            nonlocal suspected
            if isinstance(error.__cause__, socket.gaierror):
                # Found by looking afterwards: it may be the name after all.
                suspected += 1
                if suspected > _SUSPICIONS:
                    raise error.__cause__ from None

        return with_room(tried, self.timeouts.connect or _PATIENCE, failed)

    def address_for(self, proxy: Proxy) -> str:
        """Look the server up here, for a proxy that is to be told its address."""
        host, port = self.route.host, self.route.port
        there = "socks4a" if proxy.scheme == "socks4" else "socks5h"
        try:
            addresses = self.resolve(host, port, None)
        except (ConnectionError, ConnectTimeout) as error:
            raise type(error)(
                f"{error} (this machine looked it up, before the proxy {proxy.url} was asked:"
                f" {there}:// has the proxy do so)"
            ) from error.__cause__
        if proxy.scheme == "socks4":
            addresses = [one for one in addresses if one.family == socket.AF_INET]
        if not addresses:
            raise ConnectionError(
                f"{self.url}: {host!r} has no IPv4 address, and SOCKS 4 knows no other:"
                " use socks5:// or socks4a://"
            )
        address: str = addresses[0].sockaddr[0]
        return address.partition("%")[0]

    def secure(
        self,
        stream: Stream,
        settings: TlsSettings,
        client: TlsClient | None,
        host: str,
        port: int,
        proxy: Proxy | None,
    ) -> Stream:
        """Begin TLS, with the server or with the proxy itself."""
        begin = getattr(stream, "begin_tls", None)
        if begin is not None:  # in memory, in tests: there is nobody to shake hands with
            begun: Stream = begin(settings)
            return begun
        with _Step(self, "tls", host, port, proxy) as step:
            via = self.route.proxy
            return secure(stream, settings, host, port, step.left(), via, client)

    def pass_through(self, stream: Stream, proxy: Proxy, asked: str, strict: bool) -> None:
        """Have the proxy connect to the server."""
        port = self.route.port
        with _Step(self, "connect", proxy.host, proxy.port, proxy) as step:
            if proxy.is_socks:
                proxying.socks(stream, proxy, asked, port, self.url, step.left)
            else:
                headers = self.route.proxy_headers
                self.marks.oddity = proxying.tunnel(
                    stream, proxy, asked, port, headers, self.url, step.left, strict
                )


class _Step:
    """Bounds and times a step, and puts its errors in our words.

    The connect limit measures the other side: while the caller's own code keeps the scheduler from
    the network, it does not run. The total one does.
    """

    __slots__ = ("host", "lag", "limit", "opening", "phase", "port", "proxy", "since", "started")

    def __init__(
        self, opening: _Opening, phase: str, host: str, port: int, proxy: Proxy | None
    ) -> None:
        self.opening = opening
        self.phase = phase
        self.host = host
        self.port = port
        self.proxy = proxy

    def __enter__(self) -> _Step:
        opening = self.opening
        self.limit = opening.timeouts.connect
        if opening.deadline is not None:
            opening.deadline.left(None, self.phase)
        self.lag = opening.network.lag()
        self.started = self.since = clock()
        return self

    def restart(self) -> None:
        """Let the limit begin anew: what went by was this machine's own."""
        self.lag = self.opening.network.lag()
        self.since = clock()

    def left(self) -> float | None:
        """Return the seconds left of the step."""
        seconds: float | None = None
        if self.limit is not None:
            spent = clock() - self.since - (self.opening.network.lag() - self.lag)
            seconds = self.limit - spent
            if seconds <= 0:
                raise TimeoutError("the step's limit ran out")
        deadline = self.opening.deadline
        return seconds if deadline is None else deadline.left(seconds, self.phase)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        opening = self.opening
        opening.marks.add(self.phase, clock() - self.started)
        if not isinstance(error, Exception) or isinstance(error, RequestException):
            return
        deadline = opening.deadline
        if deadline is not None and isinstance(error, TimeoutError) and deadline.passed(_SLACK):
            raise deadline.expired(self.phase) from error
        ours = failures.translate(
            error, phase=self.phase, host=self.host, port=self.port, url=opening.url,
            proxy=self.proxy, limit=opening.timeouts.connect,
        )  # fmt: skip
        if ours is not None:
            raise ours from error
