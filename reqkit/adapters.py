"""Transport adapters: what a session mounts for a prefix of URLs, and sends messages through.

An adapter takes its sockets from the network of the code that calls it (`reqkit.network`), and
keeps a pool of connections for each network and scope: threads share theirs, a gevent hub has its
own, and a forked process starts anew.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from .base.locks import IMPORTING
from .base.logs import DEBUG, logger
from .exceptions import ConnectTimeout, InvalidSchema, RequestException
from .message.environment import select_proxy
from .message.prepare import Policy
from .message.response import Times
from .message.urls import Target, without_password
from .network import Semaphore, current
from .network import network as seam
from .timeouts import Deadline, Timeouts, clock
from .transport.exchange import Body, answer_of, answer_with, exchange, failure, head_of, times_of
from .transport.multiplex import Exchange, OlderWanted
from .transport.opening import Opener, offers_http2
from .transport.overrides import (
    OVERRIDABLE,
    URLLIB3_OVERRIDABLE,
    OverridableAdapter,
    is_plain_manager,
)
from .transport.pools import ONLY_11, PoolManager
from .transport.retrying import send_again
from .transport.routes import Proxy, Route, parse_proxy
from .transport.tls.contexts import TlsSettings, check_cert, check_verify
from .transport.tracing import log_exchange, log_failure, trace_received, trace_sent
from .wire.h1.connection import Connection, ConnectionGone
from .wire.h1.head import check_field

if TYPE_CHECKING:
    from urllib3.util import Retry as Retry

    from .message.prepare import PreparedRequest
    from .message.response import Response

__all__ = [
    "DEFAULT_POOLBLOCK", "DEFAULT_POOLSIZE", "DEFAULT_RETRIES", "BaseAdapter", "HTTPAdapter",
    "Retry",
]  # fmt: skip

#: How many hosts' connections, and connections of each, an adapter keeps unless told otherwise.
DEFAULT_POOLSIZE = 10
DEFAULT_POOLBLOCK = False
#: How often a failed connection is tried again, unless told otherwise.
DEFAULT_RETRIES = 0

#: How often a message is sent again that servers of HTTP/2 have surely not acted on.
_MOST_UNSENT: Final = 10
#: RFC 9110 section 9.2.2: sending one of these twice does what sending it once does.
_MADE_ANEW = ("poolmanager", "proxy_manager", "max_retries", "config", "allow_address")
_IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))


class BaseAdapter:
    """What a session can mount."""

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a message and return its answer. Blocks."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of all that the adapter keeps."""
        raise NotImplementedError


class HTTPAdapter(OverridableAdapter, BaseAdapter):
    """Sends messages over HTTP/1.1 and HTTP/2, http and https, directly or through proxies.

    A subclass may have `init_poolmanager`, `send` and the steps of `OverridableAdapter` of its own.

    Args:
        pool_connections: how many hosts' connections are kept.
        pool_maxsize: how many connections are kept for each host.
        max_retries: failed connections tried again: an int, or a `urllib3.util.Retry`.
        pool_block: never use more than ``pool_maxsize`` connections to one host at once: wait.
    """

    #: The steps that a subclass has of its own: asked only then.
    _overridden: ClassVar[frozenset[str]] = frozenset()

    #: What counts for messages that come with no filter of addresses of their own: that of the
    #: session which made the adapter for itself.
    allow_address: Any = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._overridden = frozenset(
            name
            for name in (*OVERRIDABLE, *URLLIB3_OVERRIDABLE)
            if getattr(cls, name) is not getattr(HTTPAdapter, name)
        )

    def __init__(
        self,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: Any = 0,
        pool_block: bool = DEFAULT_POOLBLOCK,
    ) -> None:
        self.max_retries = max_retries
        self.config: dict[str, Any] = {}
        self._pool_connections = pool_connections
        self._pool_maxsize = pool_maxsize
        self._pool_block = pool_block
        self.poolmanager: Any = None
        self.proxy_manager = {}
        self._routes: dict[Hashable, Route] = {}
        #: The pool manager's keywords when the routes were made; looked at in subclasses alone.
        self._pool_keywords: dict[str, Any] | None = None
        self.init_poolmanager(pool_connections, pool_maxsize, block=pool_block)

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = DEFAULT_POOLBLOCK, **pool_kwargs: Any
    ) -> None:
        """Make the pools. A subclass may add keywords: see `PoolManager`."""
        self.poolmanager = PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, **pool_kwargs
        )

    def resize(self, pool_connections: int, pool_maxsize: int) -> None:
        """Change how many connections are kept, from now on."""
        if (pool_connections, pool_maxsize) != (self._pool_connections, self._pool_maxsize):
            self._pool_connections = pool_connections
            self._pool_maxsize = pool_maxsize
            self._manager().resize(pool_connections, pool_maxsize)

    def _manager(self) -> PoolManager:
        manager = self.poolmanager
        if type(manager) is not PoolManager and not isinstance(manager, PoolManager):
            # A subclass made another library's: what it says of connections counts.
            keywords = {
                "maxsize": self._pool_maxsize,
                "block": self._pool_block,
                **getattr(manager, "connection_pool_kw", {}),
            }
            manager = self.poolmanager = PoolManager(self._pool_connections, **keywords)
        return manager

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a message and return its answer, whose body may still be on its way. Blocks.

        Args:
            request: the message.
            stream: leave the body on its way.
            timeout: as in `reqkit.request`.
            verify: True, False, a CA file or a folder.
            cert: a client certificate's file, or ``(cert, key)``.
            proxies: scheme to proxy.

        Returns:
            the `Response`; whoever gets it reads or closes it.

        Raises:
            RequestException: the request failed; `ConnectTimeout` and `ConnectionError` before
                sending are safe to retry.
        """
        policy = request._policy
        allow = self.allow_address
        if allow is not None and (policy is None or policy.allow_address is not allow):
            policy = request._policy = Policy() if policy is None else copy.copy(policy)
            policy.allow_address = allow
        if type(timeout) is Timeouts:
            limits = timeout
        elif timeout is None and policy is not None and policy.timeouts is not None:
            limits = policy.timeouts  # a subclass was told of none, and has passed that on
        else:
            limits = Timeouts.of(timeout)
        deadline = policy.deadline if policy is not None else None
        if deadline is None and limits.total is not None:
            deadline = Deadline(limits.total, current().clock)
        retries = policy.retries if policy is not None and policy.retries else self.max_retries
        if retries:
            send = self._send if type(self) is HTTPAdapter else self._send_overridden
            response = send_again(
                lambda: send(request, limits, deadline, verify, cert, proxies),
                request,
                retries,
                deadline,
            )
        elif type(self) is HTTPAdapter:
            response = self._send(request, limits, deadline, verify, cert, proxies)
        else:
            response = self._send_overridden(request, limits, deadline, verify, cert, proxies)
        if not stream:
            response.content  # noqa: B018 reads it
        return response

    def _send_overridden(
        self,
        request: PreparedRequest,
        limits: Timeouts,
        deadline: Deadline | None,
        verify: Any,
        cert: Any,
        proxies: Mapping[str, str] | None,
    ) -> Response:
        """Send a message with what a subclass has to say to it."""
        overridden = self._overridden
        if "add_headers" in overridden:
            self.add_headers(
                request, stream=True, timeout=limits, verify=verify, cert=cert, proxies=proxies
            )
        manager = self.poolmanager
        by_urllib3 = not isinstance(manager, PoolManager) and not is_plain_manager(manager)
        if by_urllib3 or not overridden.isdisjoint(URLLIB3_OVERRIDABLE):
            pool = self._pool_of(overridden, request, verify, cert, proxies)
            response = self._send_by_urllib3(pool, request, limits, deadline, proxies)
            response.connection = self
            return response
        keywords = {**self._manager().connection_pool_kw}
        if keywords != self._pool_keywords:  # some change it from message to message
            self._pool_keywords = keywords
            self._routes.clear()
        if "request_url" in overridden:
            path = self.request_url(request, proxies or {})
            if path != OverridableAdapter.request_url(self, request, proxies):
                request._target = request.target.with_path(request.target.url, path)
        response = self._send(request, limits, deadline, verify, cert, proxies)
        if "build_response" in overridden:
            times = response._times
            response = self.build_response(request, response.raw)
            response._times = times
        return response

    # -- where to ---------------------------------------------------------------------------

    def _route(
        self,
        request: PreparedRequest,
        verify: Any,
        cert: Any,
        proxies: Mapping[str, str] | None,
        target: Target,
        offer: bool = False,
    ) -> tuple[Hashable, Route | None]:
        """Return the pool's key for a message, and its route (None: a plain origin).

        ``offer`` says that HTTP/2 is offered to the server.
        """
        policy = request._policy
        allow = None if policy is None else policy.allow_address
        proxy: str | None = None
        if proxies:
            proxy = select_proxy(proxies, target.scheme, target.host, target.port) or None
        if target.scheme == "http":
            if proxy is None and allow is None:
                return (("h2", *target.origin) if offer else target.origin), None
        elif target.scheme != "https":
            raise InvalidSchema(
                f"{without_password(request.url or '')}: there is no adapter for"
                f" {target.scheme!r}; use http:// or https://",
                request=request,
            )
        if isinstance(cert, list):
            cert = tuple(cert)
        authorization = None
        if proxy is not None and "proxy-authorization" in request.headers:
            authorization = request.headers["proxy-authorization"]
        key = (target.origin, verify, cert, proxy, authorization, allow, offer)
        route = self._routes.get(key)
        if route is None:
            route = self._new_route(key)
        if allow is not None and route.proxy is not None and not route.proxy.looks_up_here:
            url = without_password(target.url)
            allow.check_behind(route.proxy, target.host, target.port, url)
        return route, route

    def _new_route(self, key: Any) -> Route:
        (scheme, host, port), verify, cert, proxy_url, authorization, allow, offer = key
        proxy: Proxy | None = None
        if proxy_url is not None:
            proxy = parse_proxy(proxy_url)
            if authorization is not None:
                check_field("Proxy-Authorization", authorization)  # before a tunnel is dug
                proxy = proxy._replace(given=authorization)
        keywords = self._manager().connection_pool_kw
        headers: Mapping[str, str] = {}
        if proxy is not None and self._overridden:
            if "proxy_manager_for" in self._overridden:
                manager = self.proxy_manager_for(proxy_url)
                keywords = {**keywords, **manager.connection_pool_kw}
            if "proxy_headers" in self._overridden:
                headers = dict(self.proxy_headers(proxy_url))
                given = headers.pop("Proxy-Authorization", None)
                if given is not None and authorization is None:
                    proxy = proxy._replace(given=given)
        route = Route.to(
            scheme,
            host,
            port,
            _tls_settings(keywords, verify, cert, offer),
            proxy,
            source=_as_key(keywords.get("source_address")),
            options=_as_key(keywords.get("socket_options")),
            proxy_headers=headers.items(),
            allow_address=allow,
        )
        if len(self._routes) >= 1000:
            self._routes.clear()
        self._routes[key] = route
        return route

    # -- there and back ---------------------------------------------------------------------

    def _send(
        self,
        request: PreparedRequest,
        limits: Timeouts,
        deadline: Deadline | None,
        verify: Any,
        cert: Any,
        proxies: Mapping[str, str] | None,
    ) -> Response:
        target = request._target
        if target is None or target.url is not request.url:
            target = request.target
        key: Hashable = target.origin
        route: Route | None = None
        proxy = forwarded = None
        policy = request._policy
        strict = policy is not None and policy.strict
        trace = None if policy is None else policy.trace
        network = current()
        if seam.stand_in is not None:
            network = seam.stand_in.network(network)
        manager = self.poolmanager
        if type(manager) is not PoolManager:
            manager = self._manager()
        pool = manager.pool(network)
        offer = False
        if (
            proxies
            or target.scheme != "http"
            or (
                policy is not None and (policy.allow_address is not None or policy.http2 == "prior")
            )
        ):
            offer = offers_http2(request, target, network)
            key, route = self._route(request, verify, cert, proxies, target, offer)
            if offer and (pool.version(key) == ONLY_11 or (route is not None and route.forwarding)):
                offer = False
                key, route = self._route(request, verify, cert, proxies, target, False)
            if route is not None:
                proxy = route.proxy
                forwarded = proxy if route.forwarding else None
        head, block = (b"", None) if offer else head_of(request, target, forwarded)
        started = clock()
        times: Times | None = None
        slot: Semaphore | None = None
        if pool.blocks:
            slot = pool.slot(key)
            _wait_for(slot, request, limits, deadline)
        connection: Connection | Exchange | None = None
        lost: ConnectionGone | None = None
        anew = False
        repeats = 0
        try:
            while True:
                if not anew:
                    connection = pool.acquire(key, started if slot is None else clock())
                if connection is None:
                    if block is None:
                        head, block = head_of(request, target, forwarded)  # errors come before
                    times = Times(started)
                    connection = Opener(
                        self._route_to(route, request), key, request, network, pool, limits,
                        deadline, times,
                    ).open(offer)  # fmt: skip
                try:
                    if trace is not None:
                        trace_sent(trace, request, target, b"" if offer else head)
                    if type(connection) is Exchange:
                        answer = exchange(
                            connection, request, connection.head_of(request, target), False,
                            limits, deadline, strict,
                        )  # fmt: skip
                    else:
                        if block is None:
                            head, block = head_of(request, target, forwarded)
                        answer = exchange(
                            connection, request, head, block.closes, limits, deadline, strict
                        )
                    break
                except ConnectionGone as gone:
                    connection.close()
                    repeats += 1
                    if not _may_repeat(request, gone, connection, times, repeats):
                        raise
                    # RFC 9112 section 9.3.1: the server had closed the kept connection. RFC 9113
                    # section 8.7: it has surely not acted on the request.
                    if type(gone) is OlderWanted:
                        pool.learn(key, ONLY_11)
                        offer = False
                        key, route = self._route(request, verify, cert, proxies, target, False)
                    # What else is kept of HTTP/1.1 may be as dead.
                    anew = type(connection) is Connection
                    connection, lost = None, gone
            if policy is not None:
                connection.beside = policy.kept
        except BaseException as error:
            phase = "connect"
            if connection is not None:
                phase = connection.phase
                connection.close()
            if slot is not None:
                slot.release()
            ours = failure(error, phase, request, proxy, deadline, limits.read)
            if logger.isEnabledFor(DEBUG):
                log_failure(request, ours, started)
            if connection is None and isinstance(ours, RequestException):
                ours.before_sending = lost is None or lost.unsent
            if isinstance(ours, RequestException):
                if connection is not None:
                    times = times_of(connection, started, times)
                ours.times = times or Times(started)
            if ours is error:
                raise
            raise ours from error
        answer_head, whole = answer
        if trace is not None:
            trace_received(trace, answer_head)
        if whole is not None:
            response = answer_of(request, answer_head, whole, connection, started, times)
            pool.release(connection)
            if slot is not None:
                slot.release()
        else:
            times = times_of(connection, started, times)
            body = Body(connection, pool, slot, request, limits.read, deadline, times)
            response = answer_with(request, answer_head, body, times)
        response.connection = self
        if logger.isEnabledFor(DEBUG):
            log_exchange(
                request, response, started, times is not None and times.connect is not None
            )
        return response

    def _route_to(self, route: Route | None, request: PreparedRequest) -> Route:
        """Return the route of a message that has none of its own yet: a plain origin's."""
        if route is not None:
            return route
        scheme, host, port = request.target.origin
        keywords = self._manager().connection_pool_kw
        return Route.to(
            scheme,
            host,
            port,
            None,
            None,
            source=_as_key(keywords.get("source_address")),
            options=_as_key(keywords.get("socket_options")),
        )

    def close(self) -> None:
        """Close the idle connections, and those in use when they come back."""
        own = self.__dict__.get("_urllib3_managers", {})
        for manager in (self.poolmanager, *self.proxy_manager.values(), *own.values()):
            manager.clear()

    def __getstate__(self) -> dict[str, Any]:
        # Connections stay behind: they belong to this process.
        return {
            "max_retries": self.max_retries,
            "config": self.config,
            "_pool_connections": self._pool_connections,
            "_pool_maxsize": self._pool_maxsize,
            "_pool_block": self._pool_block,
            "extra": {
                name: value
                for name, value in self.__dict__.items()
                if not name.startswith("_") and name not in _MADE_ANEW
            },
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state.pop("extra"))
        self.__dict__.update(state)
        self._routes = {}
        self._pool_keywords = None
        self.proxy_manager = {}
        self.init_poolmanager(self._pool_connections, self._pool_maxsize, block=self._pool_block)


def _as_key(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _tls_settings(keywords: Mapping[str, Any], verify: Any, cert: Any, http2: bool) -> TlsSettings:
    """Return the TLS settings of a pool manager's keywords, with a call's."""
    return TlsSettings(
        verify=check_verify(verify),
        cert=check_cert(cert),
        context=keywords.get("ssl_context"),
        server_hostname=keywords.get("server_hostname"),
        assert_hostname=keywords.get("assert_hostname"),
        assert_fingerprint=keywords.get("assert_fingerprint"),
        minimum_version=keywords.get("ssl_minimum_version"),
        maximum_version=keywords.get("ssl_maximum_version"),
        ciphers=keywords.get("ciphers"),
        http2=http2,
    )


def _may_repeat(
    request: PreparedRequest,
    gone: ConnectionGone,
    connection: Connection | Exchange,
    times: Times | None,
    repeats: int,
) -> bool:
    """Tell whether a message may be sent once more, that a connection has not answered.

    Args:
        request: the message.
        gone: how it ended.
        connection: what it was sent on.
        times: how that was opened; None where it was there already.
        repeats: how often it has ended so, this time too.
    """
    if type(connection) is Exchange and gone.unsent:
        if repeats > _MOST_UNSENT:
            return False
    elif repeats > 1 or (times is not None and type(connection) is Connection):
        return False
    if not gone.unsent and request.method not in _IDEMPOTENT:
        return False
    request.rewind()
    return True


def _wait_for(
    slot: Semaphore, request: PreparedRequest, limits: Timeouts, deadline: Deadline | None
) -> None:
    try:
        limit = limits.connect if deadline is None else deadline.left(limits.connect, "connect")
        if not slot.acquire(timeout=limit):
            if deadline is not None and deadline.passed():
                raise deadline.expired("connect")
            raise ConnectTimeout(
                f"no connection to {request.target.host!r} came free within {limit:g} s;"
                " raise pool_maxsize, or read responses sooner"
            )
    except RequestException as error:
        failure(error, "connect", request, None, deadline)
        error.before_sending = True
        raise


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Return ``Retry``, which programs take from here: not imported before."""
        if name == "Retry":
            with IMPORTING:
                from urllib3.util import Retry
            return Retry
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
