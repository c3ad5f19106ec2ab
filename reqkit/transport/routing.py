"""Which way a message takes: its route, found once and kept for those that come after.

What a user says of TLS, proxies and addresses, and what an adapter's pool manager makes each
connection with, come together here. `routes` says what a route is.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ..exceptions import InvalidSchema
from ..message.proxies import select_proxy
from ..message.urls import without_secrets
from ..wire.h1.head import check_field
from .routes import Proxy, Route, parse_proxy
from .tls.settings import TlsSettings, check_cert, check_verify

if TYPE_CHECKING:
    from ..message.prepare import PreparedRequest
    from ..message.urls import Target

__all__ = ["Routing", "direct_route", "without_http2"]

#: Routes that an adapter remembers.
_MOST_REMEMBERED: Final = 1000


def direct_route(target: Target, keywords: Mapping[str, Any]) -> Route:
    """Return the route to an origin without TLS, proxy or filter of addresses.

    Args:
        target: where to.
        keywords: what the pool manager makes each connection with: see `PoolManager`.
    """
    scheme, host, port = target.origin
    return Route.to(
        scheme,
        host,
        port,
        source=_as_key(keywords.get("source_address")),
        options=_as_key(keywords.get("socket_options")),
    )


def without_http2(target: Target, route: Route | None) -> tuple[Hashable, Route | None]:
    """Return what `Routing._route` does where HTTP/2 is not offered, for a way where it was."""
    if route is None:
        return target.origin, None
    route = route.without_http2()
    return route, route


class Routing:
    """Finds the routes of an adapter's messages."""

    _routes: dict[Hashable, Route]

    def _route(
        self,
        request: PreparedRequest,
        target: Target,
        verify: Any,
        cert: Any,
        proxies: Mapping[str, str] | None,
        keywords: Mapping[str, Any],
        http2: bool,
    ) -> tuple[Hashable, Route | None]:
        """Return what a message's connection has to serve, and its route.

        The route is None, and needs no looking up, where it is `direct_route`.

        Args:
            request: the message.
            target: where it goes.
            verify: as in `HTTPAdapter.send`.
            cert: likewise.
            proxies: likewise.
            keywords: what the pool manager makes each connection with: see `PoolManager`.
            http2: whether the server is offered HTTP/2.
        """
        policy = request._policy
        allow = None if policy is None else policy.allow_address
        proxy: str | None = None
        if proxies:
            proxy = select_proxy(proxies, target.scheme, target.host, target.port) or None
        if target.scheme == "http":
            if proxy is None and allow is None:
                return (("h2", *target.origin) if http2 else target.origin), None
        elif target.scheme != "https":
            raise InvalidSchema(
                f"{without_secrets(request.url or '')}: there is no adapter for"
                f" {target.scheme!r}; use http:// or https://",
                request=request,
            )
        if isinstance(cert, list):
            cert = tuple(cert)
        authorization = None
        if proxy is not None and "proxy-authorization" in request.headers:
            authorization = request.headers["proxy-authorization"]
        asked = (target.origin, verify, cert, proxy, authorization, allow, http2)
        route = self._routes.get(asked)
        if route is None:
            route = self._new_route(asked, keywords)
        if allow is not None and route.proxy is not None and not route.proxy.looks_up_here:
            url = without_secrets(target.url)
            allow.check_behind(route.proxy, target.host, target.port, url)
        if http2 and route.tls is None:
            # What is known beforehand is no part of the way, as what TLS offers is.
            return ("h2", route), route
        return route, route

    def _new_route(self, asked: Any, keywords: Mapping[str, Any]) -> Route:
        (scheme, host, port), verify, cert, proxy_url, authorization, allow, http2 = asked
        proxy: Proxy | None = None
        headers: Mapping[str, str] = {}
        if proxy_url is not None:
            proxy = parse_proxy(proxy_url)
            proxy, headers, keywords = self._by_way_of(proxy_url, proxy, keywords)
            if authorization is not None:
                check_field("Proxy-Authorization", authorization)  # before a tunnel is dug
                proxy = proxy._replace(given=authorization)
        route = Route.to(
            scheme,
            host,
            port,
            _tls_settings(keywords, verify, cert, http2),
            proxy,
            source=_as_key(keywords.get("source_address")),
            options=_as_key(keywords.get("socket_options")),
            proxy_headers=headers.items(),
            allow_address=allow,
        )
        if len(self._routes) >= _MOST_REMEMBERED:
            self._routes.clear()
        self._routes[asked] = route
        return route

    def _by_way_of(
        self, url: str, proxy: Proxy, keywords: Mapping[str, Any]
    ) -> tuple[Proxy, Mapping[str, str], Mapping[str, Any]]:
        """Return a proxy, what is sent to it with CONNECT, and what connections are made with."""
        return proxy, {}, keywords


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
