"""From a route to an open connection: names, sockets, proxies, TLS, each within its limit.

Every step is bounded by the connect limit and by what is left of the total one, and is timed.
Whatever was opened is closed when a step fails, or when the greenlet that waits in it is killed.
"""

from __future__ import annotations

import contextlib
import re
import socket
from collections.abc import Callable, Iterator
from typing import Final

from . import failures, proxying
from .exceptions import ConnectionError, ConnectTimeout, InvalidURL, RequestException
from .network import Address, Network, Stream
from .routes import Marks, Proxy, Route
from .timeouts import Deadline, Timeouts, clock
from .tls import TlsSettings, client_for, secure

__all__ = ["Marks", "open_stream"]

#: A head and a body's last piece go out when they are written, not when the last answer is
#: acknowledged (RFC 896).
_OPTIONS: Final = ((socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),)

_UNFIT: Final = re.compile(r"[\x00-\x20\x7f/?#@\\]")

#: Timers may fire this much early, in seconds.
_SLACK: Final = 0.02


def open_stream(
    route: Route,
    network: Network,
    timeouts: Timeouts,
    deadline: Deadline | None,
    marks: Marks,
    url: str | None = None,
) -> Stream:
    """Open a connection along a route. Blocks.

    Args:
        route: where to, and through what.
        network: whose sockets are used.
        timeouts: ``connect`` bounds each step: the look-up, connecting, each handshake.
        deadline: the whole exchange's.
        marks: gets the seconds spent on each phase, also where it fails.
        url: what is asked for, without its password: for the errors.

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
    for settings in (route.proxy_tls, route.tls):
        if settings is not None:
            client_for(settings)  # files that cannot be used are found before anything is opened
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
                stream = opening.secure(stream, route.proxy_tls, proxy.host, proxy.port, proxy)
            if not route.forwarding:
                opening.pass_through(stream, proxy, asked)
        if route.tls is not None:
            stream = opening.secure(stream, route.tls, host, port, None)
    except BaseException:  # a killed greenlet's too
        stream.close()
        raise
    return stream


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

    @contextlib.contextmanager
    def step(
        self, phase: str, host: str, port: int, proxy: Proxy | None
    ) -> Iterator[Callable[[], float | None]]:
        """Bound and time a step, and put its errors in our words.

        Gives a function that returns the seconds left of the step.
        """
        limit = self.timeouts.connect
        deadline = self.deadline
        by_total = False
        if deadline is not None:
            allowed = deadline.left(limit, phase)
            by_total = limit is None or allowed < limit
            limit = allowed
        started = clock()
        ends = None if limit is None else started + limit

        def left() -> float | None:
            if ends is None:
                return None
            seconds = ends - clock()
            if seconds <= 0:
                raise TimeoutError("the step's limit ran out")
            return seconds

        try:
            yield left
        except RequestException:
            raise
        except Exception as error:
            late = ends is not None and clock() >= ends - _SLACK
            if by_total and late and deadline is not None and isinstance(error, TimeoutError):
                raise deadline.expired(phase) from error
            ours = failures.translate(
                error, phase=phase, host=host, port=port, url=self.url, proxy=proxy,
                limit=self.timeouts.connect,
            )  # fmt: skip
            if ours is None:
                raise
            raise ours from error
        finally:
            self.marks.add(phase, clock() - started)

    def resolve(self, host: str, port: int, proxy: Proxy | None) -> list[Address]:
        """Look a name up; return the addresses that may be connected to."""
        with self.step("dns", host, port, proxy) as left:
            addresses = self.network.resolve(host, port, left())
        allow = self.route.allow_address
        if allow is not None:
            addresses = allow.allowed(addresses, host, port, self.url, proxy)
        return addresses

    def dial(self, host: str, port: int, proxy: Proxy | None) -> Stream:
        """Connect to a host: the server, or the proxy."""
        addresses = self.resolve(host, port, proxy)
        options = self.route.socket_options
        with self.step("connect", host, port, proxy) as left:
            return self.network.connect(
                addresses,
                left(),
                _OPTIONS if options is None else options,
                self.route.source_address,
            )

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
        self, stream: Stream, settings: TlsSettings, host: str, port: int, proxy: Proxy | None
    ) -> Stream:
        """Begin TLS, with the server or with the proxy itself."""
        with self.step("tls", host, port, proxy) as left:
            return secure(stream, settings, host, port, left(), self.route.proxy)

    def pass_through(self, stream: Stream, proxy: Proxy, asked: str) -> None:
        """Have the proxy connect to the server."""
        port = self.route.port
        with self.step("connect", proxy.host, proxy.port, proxy) as left:
            if proxy.is_socks:
                proxying.socks(stream, proxy, asked, port, self.url, left)
            else:
                headers = self.route.proxy_headers
                proxying.tunnel(stream, proxy, asked, port, headers, self.url, left)
