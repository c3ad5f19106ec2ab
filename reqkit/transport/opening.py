"""From no connection to one that a message can be sent on: over HTTP/1.1, or HTTP/2.

What a server speaks is found out in the TLS handshake (ALPN, RFC 7301). Until it is known, and
where it is HTTP/2, one opens the connection and all others who would use it wait for what comes of
that, in place of fifty handshakes with one server.
"""

from __future__ import annotations

from collections.abc import Hashable
from math import inf
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import ConnectTimeout, TotalTimeout
from ..message.times import Times
from ..message.urls import without_secrets
from ..network import Network
from ..network import network as seam
from ..timeouts import Deadline, Timeouts, clock
from ..wire.h1.connection import Connection
from ..wire.h1.head import block_of
from . import failures
from .connecting import open_stream
from .h2.alone import LoneConnection
from .h2.exchange import Exchange
from .h2.shared import SharedConnection
from .pools import ConnectionPool, Opening
from .routes import Marks, Route

if TYPE_CHECKING:
    from ..message.prepare import PreparedRequest
    from ..message.urls import Target

__all__ = ["Opener", "offers_http2"]

#: The part of a connect limit that one has to have waited for another, to take its failure for
#: one's own.
_ALIKE: Final = 0.9


def offers_http2(request: PreparedRequest, target: Target, network: Network) -> bool:
    """Tell whether a message may go by HTTP/2.

    Args:
        request: the message; its policy says what the user wants, ``"auto"`` without one.
        target: where it goes.
        network: ``"auto"`` is for those where connections are shared.
    """
    policy = request._policy
    http2: Any = "auto" if policy is None else policy.http2
    if not http2 or (http2 == "auto" and not network.multiplexes) or seam.stand_in is not None:
        return False  # what stands in for networks speaks HTTP/1.1
    if target.scheme != "https" and http2 != "prior":
        return False
    # Connection: close is said by HTTP/1.1 alone: whoever wants it shares no connection.
    headers = request._headers
    return not block_of(request._pairs if headers is None else headers.pairs()).closes


class Opener:
    """Makes a connection for one message.

    Args:
        route: where to, and through what.
        key: what the connection may serve.
        request: the message.
        network: whose sockets are used.
        pool: where connections are kept.
        limits, deadline: time limits.
        times: gets the seconds spent.
    """

    __slots__ = ("_deadline", "_key", "_limits", "_network", "_oddity", "_pool", "_request",
                 "_route", "_times")  # fmt: skip

    def __init__(
        self,
        route: Route,
        key: Hashable,
        request: PreparedRequest,
        network: Network,
        pool: ConnectionPool,
        limits: Timeouts,
        deadline: Deadline | None,
        times: Times,
    ) -> None:
        self._route = route
        self._key = key
        self._request = request
        self._network = network
        self._pool = pool
        self._limits = limits
        self._deadline = deadline
        self._times = times
        #: What was odd about the answer of the proxy that has opened a tunnel.
        self._oddity = ""

    def open(self, offer: bool) -> Connection | Exchange:
        """Return a connection that is fresh, or that another has just opened. Blocks.

        Args:
            offer: offer HTTP/2 to the server.

        Raises:
            RequestException: as `reqkit.transport.connecting.open_stream` has it.
        """
        if not offer:
            return self._connection(self._connect())
        pool, key = self._pool, self._key
        if self._network.multiplexes:
            while pool.version(key) != 11:
                opening = pool.opening(key)
                if opening is None:
                    return self._lead()
                self._wait_for(opening)
                found = pool.acquire(key, clock())
                if found is not None:
                    return found
                if opening.failure is not None:
                    break  # all try by themselves, and at the same time
        return self._begin(self._connect())

    def _lead(self) -> Connection | Exchange:
        """Open a connection that others wait for."""
        pool, key = self._pool, self._key
        failure: Exception | None = None
        try:
            return self._begin(self._connect())
        except Exception as error:
            # A deadline is this message's own: the next one tries.
            failure = None if isinstance(error, TotalTimeout) else error
            raise
        finally:
            pool.opened_for(key, failure)

    def _wait_for(self, opening: Opening) -> None:
        limits, deadline = self._limits, self._deadline
        asked = clock() - self._network.lag()
        limit = limits.connect
        timeout = limit if deadline is None else deadline.left(limit, "connect")
        ends = inf if deadline is None else deadline.at
        called = opening.wait(self._network.waiter(), timeout, ends)
        waited = clock() - self._network.lag() - asked
        if not called and deadline is not None and deadline.passed():
            raise deadline.expired("connect")
        if limit is not None and (
            not called or (isinstance(opening.failure, ConnectTimeout) and waited >= limit * _ALIKE)
        ):
            target = self._request.target
            error = failures.translate(
                TimeoutError(), phase="connect", host=target.host, port=target.port,
                url=without_secrets(self._request.url or ""), limit=limit,
            )  # fmt: skip
            assert error is not None
            raise error

    def _connect(self) -> Any:
        marks = Marks()
        times = self._times
        policy = self._request._policy
        try:
            stream = open_stream(
                self._route, self._network, self._limits, self._deadline, marks,
                without_secrets(self._request.url or ""),
                policy is not None and policy.strict,
            )  # fmt: skip
        finally:
            times.dns, times.connect, times.tls = marks.dns, marks.connect, marks.tls
        self._oddity = marks.oddity
        self._pool.opened += 1
        if seam.stand_in is not None:
            stream = seam.stand_in.opened(stream, self._route)
        return stream

    def _begin(self, stream: Any) -> Connection | Exchange:
        """Return what speaks the protocol that the two have settled on."""
        if self._route.tls is not None and getattr(stream, "protocol", None) != "h2":
            self._pool.learn(self._key, 11)
            return self._connection(stream)
        self._pool.learn(self._key, 20)
        kind = SharedConnection if self._network.multiplexes else LoneConnection
        connection = kind(stream, self._key, self._network, self._pool)
        try:
            return self._pool.lend(connection)
        except BaseException:  # a greenlet's kill, too
            connection.close()
            raise

    def _connection(self, stream: Any) -> Connection:
        connection = Connection(stream, self._key)
        if self._oddity:
            connection.serve_no_more()
        return connection
