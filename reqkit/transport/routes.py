"""Ways to a server: what a connection goes through, as a key for the pools. Pure: no sockets.

Two requests may share a connection exactly where their routes are equal. So whatever makes
connections not interchangeable (the TLS settings, the proxy and its credentials, the socket's
options) is a part of the route.
"""

from __future__ import annotations

import base64
import functools
import re
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from urllib.parse import unquote

from ..base.deferred import DeferredModule
from ..base.hostnames import ascii_name
from ..base.redact import redacted
from ..exceptions import InvalidProxyURL
from .tls.settings import TlsSettings

if TYPE_CHECKING:
    import difflib
else:
    difflib = DeferredModule("difflib")

__all__ = ["Marks", "Proxy", "Route", "authority", "check_proxies", "parse_proxy"]

#: Schemes of proxies and the ports where none is given.
_PORTS: Final = {
    "http": 80,
    "https": 443,
    "socks4": 1080,
    "socks4a": 1080,
    "socks5": 1080,
    "socks5h": 1080,
}

_FORMS: Final = (
    "expected HOST:PORT or SCHEME://[USER:PASSWORD@]HOST[:PORT], with the scheme one of"
    f" {', '.join(_PORTS)}"
)

_CONTROL_OR_SPACE: Final = re.compile(r"[\x00-\x20\x7f]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_HOST_PORT: Final = re.compile(
    r"(?: \[ (?P<literal> [0-9A-Fa-f:.]+ (?: %[0-9A-Za-z._~-]+ )? ) \]"
    r"  | (?P<name> [^][:/?\#@%\\]+ ) )"
    r"(?: : (?P<port> [0-9]{0,5} ) )?",
    re.VERBOSE,
)

#: RFC 1929 section 2: one byte tells the length.
_MOST_SOCKS_CREDENTIAL: Final = 255


class Proxy(NamedTuple):
    """A proxy, and who one is to it. No password shows in its ``repr``, ``str`` or ``url``.

    Attributes:
        scheme: ``http https socks4 socks4a socks5 socks5h``.
        host: in lower case, without brackets.
        port: a number always.
        user: None where there are no credentials.
        password: as it is, not percent-encoded.
        given: a value for Proxy-Authorization that goes before the credentials.
    """

    scheme: str
    host: str
    port: int
    user: str | None = None
    password: str | None = None
    given: str | None = None

    @property
    def url(self) -> str:
        """The proxy's URL without its password, as errors show it."""
        user = ""
        if self.user is not None:
            user = self.user.encode("utf-8", "backslashreplace").decode() + ":***@"
        return f"{self.scheme}://{user}{authority(self.host, self.port)}"

    @property
    def is_socks(self) -> bool:
        """Whether it speaks SOCKS rather than HTTP."""
        return self.scheme.startswith("socks")

    @property
    def looks_up_here(self) -> bool:
        """Whether it is told the server's address, and not the name: names are looked up here."""
        return self.scheme in ("socks4", "socks5")

    @property
    def authorization(self) -> str | None:
        """The value of Proxy-Authorization (RFC 7617), or None without credentials."""
        if self.given is not None or self.user is None:
            return self.given
        text = f"{self.user}:{self.password or ''}"
        # The octets that the URL spelled, whatever their charset.
        return "Basic " + base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()

    def __repr__(self) -> str:
        """Show the URL without the password."""
        return f"<Proxy {self.url}>"

    def __str__(self) -> str:
        """Return the URL without the password."""
        return self.url


_Parts: TypeAlias = tuple[
    str, str, int, TlsSettings | None, "Proxy | None", TlsSettings | None,
    tuple[str, int] | None, tuple[tuple[int, int, Any], ...] | None,
    tuple[tuple[str, str], ...], Any,
]  # fmt: skip


class Route:
    """The way to a server; a key: connections of one route are interchangeable.

    Made with `Route.to`, which returns the same object for the same way as long as somebody has it,
    so that keys are told apart by their identity; and which lets all requests that a proxy forwards
    share a route. Immutable.

    Attributes:
        scheme: ``http`` or ``https``: of what is asked for, not of the proxy.
        host: in lower case, without brackets; for a forwarding route, the proxy's.
        port: a number always.
        tls: for https.
        proxy: what the connection goes through, or None.
        proxy_tls: for an https proxy.
        source_address: ``(address, port)`` to connect from.
        socket_options: ``(level, option, value)`` triples; None: TCP_NODELAY alone.
        proxy_headers: sent with CONNECT, besides Host and Proxy-Authorization.
        allow_address: the `addresses.AddressFilter` that the connection is made under.
        forwarding: whether the proxy forwards the request itself: the target is the whole URL
            (RFC 9112 section 3.2.2).
    """

    # No named tuple: its hash, asked for several times with each message, is that of all in it.
    __slots__ = (
        "__weakref__", "_parts", "allow_address", "forwarding", "host", "port", "proxy",
        "proxy_headers", "proxy_tls", "scheme", "socket_options", "source_address", "tls",
    )  # fmt: skip

    scheme: str
    host: str
    port: int
    tls: TlsSettings | None
    proxy: Proxy | None
    proxy_tls: TlsSettings | None
    source_address: tuple[str, int] | None
    socket_options: tuple[tuple[int, int, Any], ...] | None
    proxy_headers: tuple[tuple[str, str], ...]
    allow_address: Any

    def __init__(self, parts: _Parts) -> None:
        self._parts = parts
        (
            self.scheme, self.host, self.port, self.tls, self.proxy, self.proxy_tls,
            self.source_address, self.socket_options, self.proxy_headers, self.allow_address,
        ) = parts  # fmt: skip
        self.forwarding: bool = (
            self.scheme == "http" and self.proxy is not None and not self.proxy.is_socks
        )

    def __repr__(self) -> str:
        return f"<Route {self.origin} tls={self.tls!r} proxy={self.proxy!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _only_one, (self._parts,)

    def without_http2(self) -> Route:
        """Return the route by which HTTP/2 is not offered."""
        if self.tls is None:
            return self
        return _only_one((*self._parts[:3], self.tls._replace(http2=False), *self._parts[4:]))

    @staticmethod
    def to(
        scheme: str,
        host: str,
        port: int,
        tls: TlsSettings | None = None,
        proxy: Proxy | None = None,
        proxy_tls: TlsSettings | None = None,
        source: tuple[str, int] | None = None,
        options: Iterable[tuple[int, int, Any]] | None = None,
        proxy_headers: Iterable[tuple[str, str]] = (),
        allow_address: Any = None,
    ) -> Route:
        """Make the route of an origin, without what does not count for it.

        Args:
            scheme: ``http`` or ``https``.
            host: the URL's.
            port: the URL's, or the scheme's.
            tls: kept for https only; None: the default settings.
            proxy: from `parse_proxy`.
            proxy_tls: for an https proxy; None: as for the server, but for a client certificate
                and names, which are the server's.
            source: the ``source_address``.
            options: the ``socket_options``.
            proxy_headers: as in the attributes.
            allow_address: as in the attributes.
        """
        secure = scheme == "https"
        if tls is None:
            tls = TlsSettings()
        if proxy is not None:
            if proxy.scheme != "https":
                proxy_tls = None
            elif proxy_tls is None:
                proxy_tls = TlsSettings(tls.verify, minimum_version=tls.minimum_version)
            if not secure and not proxy.is_socks:
                # The proxy is sent the whole URL: where it goes is no matter of the connection.
                host, port, proxy_headers = proxy.host, proxy.port, ()
        return _only_one(
            (
                scheme,
                host,
                port,
                tls if secure else None,
                proxy,
                None if proxy is None else proxy_tls,
                source,
                None if options is None else tuple(options),
                () if proxy is None or proxy.is_socks else tuple(proxy_headers),
                allow_address,
            )
        )

    @property
    def origin(self) -> str:
        """``scheme://host:port``, as errors show it."""
        return f"{self.scheme}://{authority(self.host, self.port)}"


#: The routes that somebody has, by their parts.
_routes: weakref.WeakValueDictionary[_Parts, Route] = weakref.WeakValueDictionary()


def _only_one(parts: _Parts) -> Route:
    """Return the route of these parts: one object for all who ask for it."""
    route = _routes.get(parts)
    if route is None:
        route = _routes.setdefault(parts, Route(parts))
    return route


class Marks:
    """Seconds that opening a connection took, by phase; None for what did not happen.

    Attributes:
        oddity: what was odd about a proxy's answer, for which the tunnel is to be used once.
    """

    __slots__ = ("connect", "dns", "oddity", "tls")

    dns: float | None
    connect: float | None
    tls: float | None

    def __init__(self) -> None:
        self.dns = self.connect = self.tls = None
        self.oddity: str = ""

    def add(self, phase: str, seconds: float) -> None:
        """Count time for a phase, which may come more than once: a proxy's, the server's."""
        setattr(self, phase, (getattr(self, phase) or 0.0) + seconds)


def authority(host: str, port: int) -> str:
    """Join host and port as URLs and CONNECT do: an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_proxy(value: str) -> Proxy:
    """Read a proxy's URL.

    Args:
        value: ``host:port`` (an http proxy), or ``scheme://user:password@host:port`` with the
            credentials percent-encoded where they hold ``@ : / ? #``.

    Raises:
        InvalidProxyURL: it is neither. The password never shows.
    """
    if not isinstance(value, str):
        raise InvalidProxyURL(f"the proxy is a {type(value).__name__}: {_FORMS}")
    return _parsed(value)


_KEYS: Final = ("http", "https", "all", "no_proxy")


def check_proxies(proxies: Any) -> None:
    """Check what ``proxies=`` was given, whichever of them a URL is going to take.

    Keys of schemes that nothing here speaks (``ftp``) are passed over; one that is all but a known
    one is not, for what was meant to go by the proxy would go directly.

    Raises:
        InvalidProxyURL: it is no dictionary, or a key or a proxy in it cannot be right.
    """
    if not isinstance(proxies, Mapping):
        # Not its value, which may have a password.
        raise InvalidProxyURL(
            f"proxies is a {type(proxies).__name__}: expected a dictionary such as"
            " {'http': 'PROXY', 'https': 'PROXY'}"
        )
    for key, proxy in proxies.items():
        name = key.partition("://")[0] if isinstance(key, str) else ""
        shown = repr(_masked(key)) if isinstance(key, str) else redacted(key)
        if name not in _KEYS:
            near = difflib.get_close_matches(name.lower(), _KEYS, 1)
            if near or not name:
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise InvalidProxyURL(
                    f"proxies has the key {shown}: expected 'http', 'https' or 'all', with or"
                    f" without ://HOST, or 'no_proxy'{hint}"
                )
            continue
        if name == "no_proxy" and not (proxy is None or isinstance(proxy, str)):
            raise InvalidProxyURL(
                f"proxies['no_proxy'] is a {type(proxy).__name__}: expected a str of hosts between"
                " commas, such as 'localhost,10.0.0.0/8'"
            )
        _, mark, host = key.partition("://")
        if mark and (not host or "*" in host):
            raise InvalidProxyURL(
                f"proxies has the key {shown}: expected {name!r} for all hosts, or"
                f" {name + '://HOST'!r} for one"
            )
        if proxy is not None and name != "no_proxy" and proxy != "":
            parse_proxy(proxy)


@functools.lru_cache(maxsize=256)
def _parsed(value: str) -> Proxy:
    text = value.strip()
    if not text or _CONTROL_OR_SPACE.search(text):
        raise _invalid(text, "is empty" if not text else "holds a space or a control character")
    head, mark, rest = text.partition("://")
    scheme, rest = (head.lower(), rest) if mark else ("http", text.removeprefix("//"))
    if scheme not in _PORTS:
        near = difflib.get_close_matches(scheme, _PORTS, 1)
        hint = f" (did you mean {near[0]}://?)" if near else ""
        raise _invalid(text, f"has a scheme that no proxy is spoken to by{hint}")
    place, _, path = rest.partition("/")
    credentials, at, place = place.rpartition("@")
    if path:
        # A slash in a password would end the host too early, and name another one.
        raise _invalid(text, "has a path (a / in a password is written %2F)")
    match = _HOST_PORT.fullmatch(place)
    if match is None:
        raise _invalid(text, "has no host and port that can be read")
    port = int(match["port"] or _PORTS[scheme])
    if not 0 < port < 65536:
        raise _invalid(text, f"has the port {port}, and ports are 1 to 65535")
    user, password = _credentials(text, scheme, credentials) if at else (None, None)
    return Proxy(scheme, _host(text, match), port, user, password)


def _host(text: str, match: re.Match[str]) -> str:
    literal: str | None = match["literal"]
    if literal is not None:
        if ":" not in literal:
            raise _invalid(text, "has no IPv6 address in its brackets")
        return literal.lower()
    name: str = match["name"].lower()
    if name.isascii():
        return name
    try:
        return ascii_name(name)
    except UnicodeError as error:
        raise _invalid(text, "has a host that is no international domain name") from error


def _credentials(text: str, scheme: str, credentials: str) -> tuple[str, str]:
    user, _, password = credentials.partition(":")
    # Octets that are no UTF-8 are kept as they are: see Proxy.authorization.
    user, password = (
        unquote(user, errors="surrogateescape"),
        unquote(password, errors="surrogateescape"),
    )
    if _CONTROL.search(user) or _CONTROL.search(password):
        raise _invalid(text, "has a control character in its credentials")
    if scheme.startswith("socks") and any(
        len(part.encode("utf-8", "surrogateescape")) > _MOST_SOCKS_CREDENTIAL
        for part in (user, password)
    ):
        raise _invalid(text, "has credentials of more than 255 bytes, and SOCKS takes no more")
    return user, password


def _invalid(text: str, why: str) -> InvalidProxyURL:
    return InvalidProxyURL(f"the proxy {_masked(text)!r} {why}: {_FORMS}")


def _masked(text: str) -> str:
    """Return what was given with all that may be a password left out."""
    head, mark, rest = text.partition("://")
    if not mark:
        head, rest = "", text
    # The last one: an @ may stand in a password that was not percent-encoded.
    credentials, at, place = rest.rpartition("@")
    if at:
        rest = f"{credentials.partition(':')[0]}:***@{place}"
    return f"{head}{mark}{rest}"
