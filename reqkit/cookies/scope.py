"""Which cookies are taken from whom, and where they may go (RFC 6265 sections 5.1 and 5.3).

These rules are always kept, whatever a jar's policy says.
"""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache
from typing import Any, Final, NamedTuple, Protocol, cast
from urllib.parse import urlsplit

from ..base.hostnames import ascii_name
from ..base.importing import import_late
from ..exceptions import InvalidURL
from .cookie import Cookie
from .parsing import parse_set_cookie

__all__ = [
    "Origin",
    "Place",
    "Target",
    "ascii_host",
    "default_path",
    "domains_of",
    "path_matches",
    "place_of",
    "read_cookie",
]

#: Scheme, host and port.
Origin = tuple[str, str, int]

SECURE_SCHEMES: Final = frozenset(("https", "wss"))
_DEFAULT_PORTS: Final = {"http": 80, "ws": 80, "https": 443, "wss": 443}
#: A host whose last label is a number is an IPv4 address, however odd (the URL standard's rule).
_NUMBER_LAST: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9a-fA-F]*)\.?")


class Target(Protocol):
    """What cookies need to know of a URL: `reqkit.message.urls.Target` has it."""

    @property
    def url(self) -> str:
        """The whole URL."""

    @property
    def scheme(self) -> str:
        """In lower case."""

    @property
    def host(self) -> str:
        """In lower case, in ASCII; an IPv6 address with its brackets or without."""

    @property
    def port(self) -> int:
        """The scheme's own where the URL has none."""

    @property
    def path(self) -> str:
        """As it is sent, with its query or without."""

    @property
    def origin(self) -> Origin:
        """Scheme, host and port."""


class Place(NamedTuple):
    """A URL taken apart: a `Target` for those who have only its text."""

    url: str
    scheme: str
    host: str
    port: int
    path: str
    origin: Origin


def place_of(target: str | Target) -> Target:
    """Return what is known of a URL, given as text or taken apart already.

    Raises:
        InvalidURL: the text is no URL with a host.
    """
    if isinstance(target, str):
        return _read_place(target)
    if target.host:
        return target
    # Of a scheme that is an adapter's own affair: the text may have a host all the same.
    with contextlib.suppress(InvalidURL):
        return _read_place(target.url)._replace(origin=target.origin)
    return target


def _read_place(url: str) -> Place:
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = parts.port
    except ValueError as error:
        raise InvalidURL(f"cookies: not a URL that has cookies: {error}") from error
    if not host:
        raise InvalidURL(f"cookies: {url!r} has no host, so it has no cookies")
    if port is None:
        port = _DEFAULT_PORTS.get(parts.scheme, 0)
    host = ascii_host(host)
    path = parts.path or "/"
    return Place(url, parts.scheme, host, port, path, (parts.scheme, host, port))


def ascii_host(host: str) -> str:
    """Return a host as it is compared: lower case, in its ASCII form where it has one."""
    if host.isascii():
        return host.lower()
    with contextlib.suppress(UnicodeError):
        # Header text is latin-1; what servers write there beyond ASCII is UTF-8.
        host = host.encode("latin-1").decode("utf-8")
    try:
        return ascii_name(host)
    except UnicodeError:
        return host.lower()


def is_address(host: str) -> bool:
    """Tell whether a host is an IP address, so that nothing is below it."""
    return ":" in host or _NUMBER_LAST.fullmatch(host) is not None


def is_one_label(domain: str) -> bool:
    """Tell whether a domain is a single label, such as ``com`` or ``localhost``."""
    return "." not in domain.strip(".")


@lru_cache(maxsize=1024)
def is_public_suffix(domain: str) -> bool:
    """Tell whether anybody can have a name below a domain, such as ``com`` or ``co.uk``.

    Those of one label are always known; the others where the package publicsuffixlist is installed
    (the extra ``crawl``).

    Source: RFC 6265 section 5.3 step 5; https://publicsuffix.org
    """
    if is_one_label(domain):
        return True
    known = _suffixes()
    return known is not None and bool(known.is_public(domain))


@lru_cache(maxsize=1)
def _suffixes() -> Any:
    try:
        return import_late("publicsuffixlist").PublicSuffixList(accept_unknown=False)
    except ImportError:
        return None


@lru_cache(maxsize=1024)
def domains_of(host: str) -> tuple[tuple[str, bool], ...]:
    """Return the domains that cookies for a host may be kept under.

    Returns:
        pairs of the domain as it is spelled in a jar, and whether it is the host itself: a cookie
        without Domain counts only there. "" is that of the unbound cookies.

    Source: RFC 6265 section 5.1.3.
    """
    host = host.strip("[]").lower()
    if not host:
        return (("", True),)
    found = [("", True), (host, True), ("." + host, True)]
    if ":" in host:
        host = f"[{host}]"
        found.append((host, True))
    if "." not in host:
        # http.cookiejar's name for a host without dots, in jars that it has filled.
        found.append((host + ".local", True))
    if not is_address(host):
        _, dot, parent = host.partition(".")
        while dot and not is_one_label(parent):
            found += [(parent, False), ("." + parent, False)]
            _, dot, parent = parent.partition(".")
    return tuple(found)


def path_matches(path: str, cookie_path: str) -> bool:
    """Tell whether a cookie's path covers a request's path, given without its query.

    Source: RFC 6265 section 5.1.4.
    """
    if cookie_path == "/" or path == cookie_path:
        return True
    if not path.startswith(cookie_path):
        return False
    return cookie_path.endswith("/") or path[len(cookie_path)] == "/"


def default_path(path: str) -> str:
    """Return the path of a cookie that was set without one.

    Source: RFC 6265 section 5.1.4.
    """
    path = path.partition("?")[0]
    return path[: path.rfind("/")] or "/" if path.startswith("/") else "/"


def read_cookie(text: str, place: Target, now: float) -> Cookie | None:
    """Make a cookie of one Set-Cookie, if the answer's URL may set it.

    Args:
        text: the field's value, decoded as latin-1.
        place: the URL that was answered.
        now: seconds since 1970.

    Returns:
        the cookie, one that has ended already where the server deletes it; None where it is bad or
        not allowed. Never raises for what a server may send.

    Source: RFC 6265 section 5.3; the prefixes are RFC 6265bis section 4.1.3.
    """
    attributes = parse_set_cookie(text, now)
    if attributes is None:
        return None
    # A secure cookie is set over a secure connection only (RFC 6265bis section 5.7).
    if attributes.secure and place.scheme not in SECURE_SCHEMES:
        return None
    domain = _scope(attributes.domain, place.host.strip("[]").lower())
    if not domain:
        return None
    if attributes.name.startswith("__"):
        prefix = attributes.name[:9].lower()
        if prefix == "__secure-" and not attributes.secure:
            return None
        if prefix.startswith("__host-") and not (
            attributes.secure and attributes.path == "/" and not attributes.domain
        ):
            return None
    has_path = attributes.path.startswith("/")
    return Cookie(
        version=0,
        name=attributes.name,
        value=attributes.value,
        port=None,
        port_specified=False,
        domain=domain,
        domain_specified=domain.startswith("."),
        domain_initial_dot=attributes.domain.startswith("."),
        path=attributes.path if has_path else default_path(place.path),
        path_specified=has_path,
        secure=attributes.secure,
        expires=attributes.expires,
        discard=attributes.expires is None,
        comment=None,
        comment_url=None,
        # HttpOnly has no value: None, as http.cookiejar has it.
        rest=cast("dict[str, str]", attributes.rest),
    )


def _scope(attribute: str, host: str) -> str | None:
    """Return the domain of a cookie: with a dot in front it goes to what is below it too."""
    domain = ascii_host(attribute.removeprefix("."))
    if not domain:
        return host
    if domain == host:
        # A public suffix, or an address: for the host alone (RFC 6265 section 5.3 step 5).
        return host if is_public_suffix(host) or is_address(host) else "." + host
    if domain.endswith(".") or is_address(host) or not host.endswith("." + domain):
        return None
    return None if is_public_suffix(domain) else "." + domain
