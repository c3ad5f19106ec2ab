"""Transport adapters: what a session mounts for a prefix of URLs, and sends messages through.

An adapter takes its sockets from the network of the code that calls it (`reqkit.network`), and
keeps a pool of connections for each network and scope: threads share theirs, a gevent hub has its
own, and a forked process starts anew.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final

from .base.importing import import_late
from .base.redact import redacted
from .exceptions import ConfigError
from .message.policy import Policy
from .network import current
from .network import network as seam
from .timeouts import Deadline, Timeouts
from .transport.delivery import deliver
from .transport.opening import offers_http2
from .transport.overrides import OverridableAdapter
from .transport.pool_manager import PoolManager
from .transport.pools import ONLY_11
from .transport.retrying import send_again
from .transport.routes import Route
from .transport.routing import without_http2

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

#: What an adapter that comes out of a pickle makes anew.
_MADE_ANEW: Final = ("poolmanager", "proxy_manager", "max_retries", "config", "allow_address")


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

    Raises:
        ConfigError: there would never be a connection to wait for.
    """

    #: What counts for messages that come with no filter of addresses of their own: that of the
    #: session which made the adapter for itself.
    allow_address: Any = None

    def __init__(
        self,
        pool_connections: int = DEFAULT_POOLSIZE,
        pool_maxsize: int = DEFAULT_POOLSIZE,
        max_retries: Any = 0,
        pool_block: bool = DEFAULT_POOLBLOCK,
    ) -> None:
        if pool_block and not pool_maxsize > 0:
            raise ConfigError(
                f"pool_maxsize is {redacted(pool_maxsize)}, with pool_block: expected 1 or more,"
                " for nobody would ever get a connection"
            )
        self.max_retries = max_retries
        self.config: dict[str, Any] = {}
        self._pool_connections = pool_connections
        self._pool_maxsize = pool_maxsize
        self._pool_block = pool_block
        self.poolmanager: Any = None
        self.proxy_manager: dict[str, Any] = {}
        self._routes: dict[Hashable, Route] = {}
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
            self._own_manager().resize(pool_connections, pool_maxsize)

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
            response = send_again(
                lambda: self._exchange(request, limits, deadline, verify, cert, proxies),
                request,
                retries,
                deadline,
            )
        else:
            response = self._exchange(request, limits, deadline, verify, cert, proxies)
        if not stream:
            response.content  # noqa: B018 reads it
        return response

    def _deliver(
        self,
        request: PreparedRequest,
        limits: Timeouts,
        deadline: Deadline | None,
        verify: Any,
        cert: Any,
        proxies: Mapping[str, str] | None,
    ) -> Response:
        """Find a message's way and send it there. Blocks."""
        target = request._target
        if target is None or target.url is not request.url:
            target = request.target
        network = current()
        if seam.stand_in is not None:
            network = seam.stand_in.network(network)
        manager = self.poolmanager
        if type(manager) is not PoolManager:
            manager = self._own_manager()
        pool = manager.pools.get(network.scope())
        if pool is None:
            pool = manager.pool(network)
        keywords = manager.connection_pool_kw
        policy = request._policy
        key: Hashable = target.origin
        route: Route | None = None
        http2 = False
        if (
            proxies
            or target.scheme != "http"
            or (
                policy is not None and (policy.allow_address is not None or policy.http2 == "prior")
            )
        ):
            http2 = offers_http2(request, target, network)
            key, route = self._route(request, target, verify, cert, proxies, keywords, http2)
            if http2 and (
                pool.version(key) == ONLY_11
                or (route is not None and route.proxy is not None and route.forwarding)
            ):
                http2 = False
                key, route = without_http2(target, route)
        response = deliver(
            request, target, key, route, http2, keywords, pool, network, limits, deadline
        )
        response.connection = self
        return response

    _exchange = _deliver

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
        self.proxy_manager = {}
        self.init_poolmanager(self._pool_connections, self._pool_maxsize, block=self._pool_block)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Return ``Retry``, which programs take from here: not imported before."""
        if name == "Retry":
            return import_late("urllib3.util").Retry
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
