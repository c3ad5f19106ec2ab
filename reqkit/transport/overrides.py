"""The steps of an adapter that subclasses written for ``requests`` have a say in.

`HTTPAdapter` sends messages by its own wire and asks none of these, unless a subclass has one of
its own. What concerns the message, the proxy and the answer then counts for the wire. What
concerns urllib3's pools (`URLLIB3_OVERRIDABLE`, or a pool manager of an unusual kind) has the
message sent through these pools: over a Unix socket, say. That way urllib3 waits, with the
standard library's sockets: it is cooperative under gevent only where these are patched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..base.deferred import DeferredModule
from ..exceptions import AddressNotAllowed, InvalidSchema
from ..message.conversion import response_from_urllib3
from ..message.framing import frame, outgoing
from ..message.prepare import PreparedRequest
from ..message.proxies import select_proxy
from ..message.urls import without_secrets
from ..timeouts import Deadline, Timeouts
from ..wire.h1.head import block_of
from .exchange import failure
from .pool_manager import PoolManager
from .routes import Proxy, parse_proxy
from .routing import Routing

if TYPE_CHECKING:
    import certifi
    import urllib3
    import urllib3.poolmanager

    from ..message.response import Response
else:
    certifi = DeferredModule("certifi")
    urllib3 = DeferredModule("urllib3")

__all__ = ["OverridableAdapter"]

#: Those that count for the wire.
OVERRIDABLE: Final = (
    "add_headers", "build_response", "proxy_headers", "proxy_manager_for", "request_url",
)  # fmt: skip
#: Those that have to do with urllib3's pools.
URLLIB3_OVERRIDABLE: Final = (
    "build_connection_pool_key_attributes", "cert_verify", "get_connection",
    "get_connection_with_tls_context",
)  # fmt: skip


def _is_plain(manager: Any) -> bool:
    """Tell whether a pool manager is urllib3's own kind: what it says is in its keywords."""
    return type(manager) is urllib3.PoolManager and (
        manager.pool_classes_by_scheme == urllib3.poolmanager.pool_classes_by_scheme
    )


class OverridableAdapter(Routing):
    """The steps, as they are where nobody overrides them."""

    poolmanager: Any
    #: What `proxy_manager_for` has made, by the proxy's URL.
    proxy_manager: dict[str, Any]
    _pool_connections: int
    _pool_maxsize: int
    _pool_block: bool
    #: The steps that a subclass has of its own: asked only then.
    _overridden: ClassVar[frozenset[str]] = frozenset()
    #: Sends a message as an adapter does that nobody has changed.
    _deliver: Callable[..., Response]
    #: Sends a message: `_deliver`, or `_exchange_overridden` in a subclass.
    _exchange: Callable[..., Response]
    #: The pool manager's keywords when the routes were made.
    _pool_keywords: dict[str, Any] | None = None

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if OverridableAdapter in cls.__bases__:
            return  # the adapter itself
        cls._exchange = cls._exchange_overridden
        overridden = cls._overridden = frozenset(
            name
            for name in (*OVERRIDABLE, *URLLIB3_OVERRIDABLE)
            if getattr(cls, name) is not getattr(OverridableAdapter, name)
        )
        if not overridden.isdisjoint(("proxy_headers", "proxy_manager_for")):
            cls._by_way_of = cls._by_way_overridden  # type: ignore[assignment,method-assign]

    def add_headers(self, request: PreparedRequest, **kwargs: Any) -> None:
        """Add headers to a message before it is sent. Does nothing; for subclasses.

        Args:
            request: the message.
            **kwargs: ``stream timeout verify cert proxies``.
        """

    def request_url(self, request: PreparedRequest, proxies: Mapping[str, str] | None) -> str:
        """Return what the request line asks for: path and query, or all for a forwarding proxy."""
        target = request.target
        proxy = _proxy_for(request, proxies)
        if proxy is None or proxy.is_socks or target.scheme != "http":
            return target.path
        return f"{target.scheme}://{target.authority}{target.path}"

    def proxy_headers(self, proxy: str) -> dict[str, str]:
        """Return the headers for a proxy: its credentials."""
        authorization = parse_proxy(proxy).authorization
        return {} if authorization is None else {"Proxy-Authorization": authorization}

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Return what connections through a proxy are made with: see `PoolManager`."""
        manager = self.proxy_manager.get(proxy)
        if manager is None:
            given = {"maxsize": self._pool_maxsize, "block": self._pool_block, **proxy_kwargs}
            manager = self.proxy_manager[proxy] = PoolManager(self._pool_connections, **given)
        return manager

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """Make a `Response` of a message and a urllib3 response, or one that looks like it."""
        response = response_from_urllib3(req, resp)
        response.connection = self
        return response

    # -- by the steps that a subclass has of its own ------------------------------------------

    def _exchange_overridden(
        self,
        request: PreparedRequest,
        limits: Timeouts,
        deadline: Deadline | None,
        verify: Any,
        cert: Any,
        proxies: Mapping[str, str] | None,
    ) -> Response:
        """Send a message with what a subclass has to say to it. Blocks."""
        overridden = self._overridden
        if "add_headers" in overridden:
            self.add_headers(
                request, stream=True, timeout=limits, verify=verify, cert=cert, proxies=proxies
            )
        manager = self.poolmanager
        by_urllib3 = not isinstance(manager, PoolManager) and not _is_plain(manager)
        if by_urllib3 or not overridden.isdisjoint(URLLIB3_OVERRIDABLE):
            pool = self._pool_of(overridden, request, verify, cert, proxies)
            response: Response = self._send_by_urllib3(pool, request, limits, deadline, proxies)
            response.connection = self
            return response
        keywords = {**self._own_manager().connection_pool_kw}
        if keywords != self._pool_keywords:  # some change it from message to message
            self._pool_keywords = keywords
            self._routes.clear()
        if "request_url" in overridden:
            path = self.request_url(request, proxies or {})
            if path != OverridableAdapter.request_url(self, request, proxies):
                request._target = request.target.with_path(request.target.url, path)
        response = self._deliver(request, limits, deadline, verify, cert, proxies)
        if "build_response" in overridden:
            times = response._times
            response = self.build_response(request, response.raw)
            response._times = times
        return response

    def _by_way_overridden(
        self, url: str, proxy: Proxy, keywords: Mapping[str, Any]
    ) -> tuple[Proxy, Mapping[str, str], Mapping[str, Any]]:
        """Return what a subclass says of a proxy: see `Routing._by_way_of`."""
        headers: dict[str, str] = {}
        if "proxy_manager_for" in self._overridden:
            keywords = {**keywords, **self.proxy_manager_for(url).connection_pool_kw}
        if "proxy_headers" in self._overridden:
            headers = dict(self.proxy_headers(url))
            given = headers.pop("Proxy-Authorization", None)
            if given is not None:
                proxy = proxy._replace(given=given)
        return proxy, headers, keywords

    def _own_manager(self) -> PoolManager:
        """Return the pools' manager, of our kind."""
        manager = self.poolmanager
        if not isinstance(manager, PoolManager):
            # A subclass made another library's: what it says of connections counts.
            keywords = {
                "maxsize": self._pool_maxsize,
                "block": self._pool_block,
                **getattr(manager, "connection_pool_kw", {}),
            }
            manager = self.poolmanager = PoolManager(self._pool_connections, **keywords)
        return manager

    # -- through urllib3's pools ------------------------------------------------------------

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return where a pool leads to, and what its connections are made with, for urllib3."""
        target = request.target
        where = {"scheme": target.scheme, "host": target.host, "port": target.port or None}
        keywords: dict[str, Any] = {}
        if target.scheme == "https":
            keywords["cert_reqs"] = "CERT_REQUIRED" if verify else "CERT_NONE"
            if verify:
                keywords.update(_authorities(verify))
            if cert:
                keywords.update(_client_certificate(cert))
        return where, keywords

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Have a urllib3 pool verify certificates, or not, and send the client's."""
        if url.lower().startswith("https"):
            conn.cert_reqs = "CERT_REQUIRED" if verify else "CERT_NONE"
            for name, value in (_authorities(verify) if verify else {}).items():
                setattr(conn, name, value)
        for name, value in (_client_certificate(cert) if cert else {}).items():
            setattr(conn, name, value)

    def get_connection_with_tls_context(
        self,
        request: PreparedRequest,
        verify: Any,
        proxies: Mapping[str, str] | None = None,
        cert: Any = None,
    ) -> Any:
        """Return the urllib3 pool for a message.

        Raises:
            InvalidSchema: a SOCKS proxy, which this way does not go through.
        """
        where, keywords = self.build_connection_pool_key_attributes(request, verify, cert)
        manager = self._urllib3_manager(_proxy_for(request, proxies))
        return manager.connection_from_host(**where, pool_kwargs=keywords)

    def get_connection(self, url: str, proxies: Mapping[str, str] | None = None) -> Any:
        """Return the urllib3 pool for a URL."""
        request = PreparedRequest()
        request.prepare_url(url)
        return OverridableAdapter.get_connection_with_tls_context(self, request, True, proxies)

    def _urllib3_manager(self, proxy: Proxy | None) -> urllib3.PoolManager:
        """Return the subclass's own manager, or one like ours of urllib3's kind."""
        given = self.poolmanager
        if proxy is None and isinstance(given, urllib3.PoolManager):
            return given
        name = "" if proxy is None else f"{proxy!r}{proxy.authorization}"
        kept: dict[str, urllib3.PoolManager] = self.__dict__.setdefault("_urllib3_managers", {})
        if name not in kept:
            keywords: dict[str, Any] = {"maxsize": self._pool_maxsize, "block": self._pool_block}
            keywords.update(given.connection_pool_kw)
            if proxy is None:
                kept[name] = urllib3.PoolManager(self._pool_connections, **keywords)
            elif proxy.is_socks:
                raise InvalidSchema(
                    f"{proxy}: the adapter {type(self).__name__} sends through urllib3's pools,"
                    " which do not lead through SOCKS here: use an http proxy, or mount an"
                    " HTTPAdapter without such steps"
                )
            else:
                headers: dict[str, str] = {}
                if proxy.authorization is not None:
                    headers["Proxy-Authorization"] = proxy.authorization
                url = f"{proxy.scheme}://{proxy.host}:{proxy.port}"
                kept[name] = urllib3.ProxyManager(
                    url, self._pool_connections, proxy_headers=headers, **keywords
                )
        return kept[name]

    def _pool_of(
        self,
        overridden: frozenset[str],
        request: PreparedRequest,
        verify: Any,
        cert: Any,
        proxies: Any,
    ) -> Any:
        """Return the urllib3 pool that a subclass has a message sent through."""
        if "get_connection" in overridden and "get_connection_with_tls_context" not in overridden:
            pool = self.get_connection(request.url or "", proxies or {})
        else:
            pool = self.get_connection_with_tls_context(
                request, verify, proxies=proxies or {}, cert=cert
            )
        if "cert_verify" in overridden:
            self.cert_verify(pool, request.url or "", verify, cert)
        return pool

    def _send_by_urllib3(
        self,
        pool: Any,
        request: PreparedRequest,
        limits: Timeouts,
        deadline: Deadline | None,
        proxies: Mapping[str, str] | None,
    ) -> Response:
        """Send a message through a urllib3 pool. Blocks."""
        if request._policy is not None and request._policy.allow_address is not None:
            raise AddressNotAllowed(
                f"{without_secrets(request.url or '')}: the adapter {type(self).__name__} connects"
                " by urllib3, where allow_address is not asked: mount an HTTPAdapter without such"
                " steps, or set allow_address to None"
            )
        frame(request)
        body, chunked = outgoing(request)
        fields = urllib3.HTTPHeaderDict()
        for name, value in block_of(request.headers.pairs()).pairs:
            fields.add(name, value)
        left = None if deadline is None else deadline.left(None, "connect")
        try:
            answer = pool.urlopen(
                method=request.method,
                url=self.request_url(request, proxies),
                body=body,
                headers=fields,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
                decode_content=False,
                retries=urllib3.Retry(0, read=False),
                timeout=urllib3.Timeout(total=left, connect=limits.connect, read=limits.read),
                chunked=chunked,
            )
        except Exception as error:  # of urllib3, or of a pool of the user's
            ours = failure(error, "wait", request, None, deadline)
            if ours is error:
                raise
            raise ours from error
        return self.build_response(request, answer)


def _proxy_for(request: PreparedRequest, proxies: Mapping[str, str] | None) -> Proxy | None:
    if not proxies:
        return None
    target = request.target
    url = select_proxy(proxies, target.scheme, target.host, target.port)
    return parse_proxy(url) if url else None


def _authorities(verify: Any) -> dict[str, str]:
    path = certifi.where() if verify is True else os.fsdecode(verify)
    return {"ca_cert_dir": path} if os.path.isdir(path) else {"ca_certs": path}


def _client_certificate(cert: Any) -> dict[str, Any]:
    if isinstance(cert, (str, bytes, os.PathLike)):
        return {"cert_file": os.fsdecode(cert)}
    return dict(zip(("cert_file", "key_file", "key_password"), cert, strict=False))
