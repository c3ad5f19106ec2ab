"""Sites: what a URL has before its path, ``scheme://user:password@host:port``.

They are parsed by urllib3's RFC 3986 parser, checked beyond it where a host could be read in more
than one way or could never be connected to, and remembered.

Hosts written as numbers (``127.1``, ``2130706433``, ``0x7f000001``) are names for the resolver,
and kept as they are.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote_to_bytes

from ...base.deferred import DeferredModule
from ...base.hostnames import ascii_name
from .text import plain_escapes

if TYPE_CHECKING:
    import urllib3
    import urllib3.exceptions
    import urllib3.util
else:
    urllib3 = DeferredModule("urllib3")

__all__ = ["DEFAULT_PORTS", "Site", "UnusableSite", "decoded_userinfo", "fault", "site_of"]

DEFAULT_PORTS: Final = {"http": 80, "https": 443}

#: A name or an IPv4 address, and a port: read at once, as urllib3 would read it.
_PLAIN_PLACE: Final = re.compile(r"([0-9A-Za-z._-]+)(?::([0-9]{1,5}))?").fullmatch
_FORBIDDEN_IN_HOST: Final = re.compile(r'[\x00-\x20\x7f"<>\\^`{|}%]')


class UnusableSite(ValueError):
    """Says what is wrong with a site, in words that repeat nothing of its userinfo."""


class Site(NamedTuple):
    """What a `Target` has from before its path, and how its URL starts (``prefix``)."""

    prefix: str
    scheme: str
    host: str
    port: int
    authority: str
    userinfo: tuple[str, str] | None
    origin: tuple[str, str, int]


@lru_cache(maxsize=1024)
def site_of(prefix: str) -> Site:
    """Read the start of an http(s) URL, up to but without its path. Never blocks.

    Raises:
        UnusableSite: it has no host that can be connected to, or a bad port.

    Source: RFC 3986 section 3.2; RFC 9110 section 4.2.
    """
    scheme, _, given = prefix.partition("://")
    userinfo, at, place = given.rpartition("@")
    if not place.isascii():
        place = _ascii_place(place)
    if "%" in place and place[:1] != "[":  # where an IPv6 zone has one
        # Parsers differ about it (urllib3 decodes some escapes since 2.8): nobody needs it.
        raise UnusableSite("a host cannot have '%'")
    auth: str | None = None
    plain = _PLAIN_PLACE(place) if not at else None
    if plain is not None and int(plain[2] or 0) <= 65535:
        host, given_port = plain[1].lower(), None if plain[2] is None else int(plain[2])
    else:
        try:
            parsed = urllib3.util.parse_url(f"{scheme}://{userinfo}{at}{place}")
        except urllib3.exceptions.LocationParseError:
            # Not chained: its text may have the whole URL, with the password.
            raise UnusableSite(fault(place)) from None
        host, given_port, auth = parsed.host or "", parsed.port, parsed.auth
    if not host:
        raise UnusableSite("it has no host: expected one such as 'https://example.org/'")
    if host[0] == "[":
        in_url, in_field, host = _ipv6(host)
    else:
        _check_name(host)
        in_url = in_field = host
    scheme = scheme.lower()
    default = DEFAULT_PORTS[scheme]
    port = default if given_port is None else given_port
    if given_port is not None:
        in_url += f":{port}"
    # The default port is not named (RFC 9110 section 4.2.3).
    if port != default:
        in_field += f":{port}"
    shown = plain_escapes(auth) + "@" if auth else ""
    return Site(
        f"{scheme}://{shown}{in_url}",
        scheme,
        host,
        port,
        in_field,
        decoded_userinfo(auth),
        (scheme, host, port),
    )


def fault(place: str) -> str:
    """Say why a ``host[:port]`` that urllib3 refused is none.

    What should be a host may be a piece of a password, so it is not repeated.
    """
    if place.startswith("["):
        if "]" not in place:
            return "the IPv6 address in its host has no closing bracket"
        return "expected an IPv6 address in brackets, then a port from 0 to 65535 if any"
    host, _, port = place.rpartition(":")
    if ":" in host:
        return "its host has colons: write an IPv6 address in brackets, as in 'http://[::1]/'"
    if ":" in place and not (re.fullmatch("[0-9]*", port) and int(port or 0) <= 65535):
        return (
            "its port is no number from 0 to 65535; if it is a part of a password,"
            " percent-encode '/', '?', '#' and '@' in it"
        )
    bad = _FORBIDDEN_IN_HOST.search(place)
    return f"a host cannot have {bad.group()!r}" if bad else "it has no host and port"


def _ipv6(literal: str) -> tuple[str, str, str]:
    """Return a bracketed address as the URL, as the Host field, and as the resolver has it."""
    address, percent, zone = literal[1:-1].partition("%")
    try:
        ipaddress.IPv6Address(address)
    except ValueError as error:
        raise UnusableSite(f"{address!r} is not an IPv6 address") from error
    in_field = f"[{address}]"
    if not percent:
        return in_field, in_field, address
    # The zone means something on this machine only: it is not sent (RFC 6874 section 4).
    return f"[{address}%25{zone}]", in_field, f"{address}%{zone}"


def _check_name(host: str) -> None:
    bad = _FORBIDDEN_IN_HOST.search(host)
    if bad:
        raise UnusableSite(f"a host cannot have {bad.group()!r}")
    if host[0] in "*.":
        raise UnusableSite(f"a host cannot start with {host[0]!r}: give the full name")
    labels = host.removesuffix(".").split(".")
    if "" in labels:
        raise UnusableSite("its host has an empty label ('..')")
    # RFC 1035 section 2.3.4, in characters as people count them.
    if max(map(len, labels)) > 63 or len(host.removesuffix(".")) > 253:
        raise UnusableSite(
            "its host is too long: a name has at most 253 characters, 63 between two dots"
        )


def _ascii_place(place: str) -> str:
    """Return a ``host[:port]`` with the host in ASCII."""
    host, colon, port = place.partition(":")
    try:
        return ascii_name(host) + colon + port
    except UnicodeError as error:
        raise UnusableSite(f"its host is not a name that IDNA can express: {error}") from error


def decoded_userinfo(auth: str | None) -> tuple[str, str] | None:
    """Return user and password without escapes; None where there is neither.

    Escaped bytes are taken for UTF-8, else for Latin-1.
    """
    if not auth or auth == ":":
        return None
    user, _, password = auth.partition(":")
    return _decoded(user), _decoded(password)


def _decoded(text: str) -> str:
    # A lone surrogate is written as it is in the rest of a URL (`text.requote`).
    octets = unquote_to_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        return octets.decode("latin-1")
