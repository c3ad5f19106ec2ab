"""Which proxy counts for a URL, and who goes without one."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlparse
from urllib.request import getproxies, proxy_bypass

from ..message import proxies as settings

__all__ = [
    "address_in_network",
    "dotted_netmask",
    "get_environ_proxies",
    "is_ipv4_address",
    "is_valid_cidr",
    "resolve_proxies",
    "select_proxy",
    "set_environ",
    "should_bypass_proxies",
]

_PORTS: Final = {"http": 80, "https": 443}


def select_proxy(url: str, proxies: Mapping[str, Any] | None) -> str | None:
    """Return the proxy for a URL among those given, or None."""
    parts = urlparse(url)
    host = parts.hostname
    scheme = parts.scheme
    given = proxies or {}
    if host is None:
        proxy: str | None = given.get(scheme, given.get("all"))
        return proxy
    return settings.select_proxy(given, scheme, host, _PORTS.get(scheme, 0)) or None


def should_bypass_proxies(url: str, no_proxy: str | None) -> bool:
    """Tell whether a URL goes without a proxy.

    Args:
        url: the URL; one without a host goes without.
        no_proxy: what counts instead of the environment's.
    """
    parts = urlparse(url)
    host = parts.hostname
    if host is None:
        return True
    rules = no_proxy
    if rules is None:
        rules = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    port = parts.port or _PORTS.get(parts.scheme, 0)
    if rules and settings.bypasses(rules, host, port):
        return True
    with set_environ("no_proxy", rules):
        try:  # the settings of Windows and macOS
            return bool(proxy_bypass(host))
        except (TypeError, socket.gaierror):
            return False


def get_environ_proxies(url: str, no_proxy: str | None = None) -> dict[str, str]:
    """Return the environment's proxies by scheme; none for a URL that goes without."""
    return {} if should_bypass_proxies(url, no_proxy) else getproxies()


def resolve_proxies(
    request: Any, proxies: Mapping[str, str | None] | None, trust_env: bool = True
) -> dict[str, str | None]:
    """Return the proxies given, with the environment's for the request's scheme.

    Args:
        request: what has a ``url``.
        proxies: proxies by scheme; ``no_proxy`` among them has the hosts that go without.
        trust_env: whether to look into the environment.
    """
    found = dict(proxies or {})
    scheme = urlparse(request.url).scheme
    if trust_env and not should_bypass_proxies(request.url, found.get("no_proxy")):
        named = get_environ_proxies(request.url, found.get("no_proxy"))
        proxy = named.get(scheme, named.get("all"))
        if proxy:
            found.setdefault(scheme, proxy)
    return found


@contextlib.contextmanager
def set_environ(env_name: str, value: str | None) -> Iterator[None]:
    """Set a variable of the environment for a while; None leaves it as it is."""
    before = os.environ.get(env_name)
    if value is not None:
        os.environ[env_name] = value
    try:
        yield
    finally:
        if value is not None:
            if before is None:
                del os.environ[env_name]
            else:
                os.environ[env_name] = before


def is_ipv4_address(string_ip: str) -> bool:
    """Tell whether a text is an IPv4 address."""
    try:
        ipaddress.IPv4Address(string_ip)
    except ValueError:
        return False
    return True


def is_valid_cidr(string_network: str) -> bool:
    """Tell whether a text is an IPv4 network with 1 to 32 bits (``10.0.0.0/8``)."""
    address, slash, bits = string_network.partition("/")
    return bool(slash) and is_ipv4_address(address) and bits.isdecimal() and 1 <= int(bits) <= 32


def address_in_network(ip: str, net: str) -> bool:
    """Tell whether an IPv4 address is of a network."""
    return ipaddress.IPv4Address(ip) in ipaddress.IPv4Network(net, strict=False)


def dotted_netmask(mask: int) -> str:
    """Return a number of bits as a mask: 24 is ``255.255.255.0``."""
    return socket.inet_ntoa(struct.pack(">I", 0xFFFFFFFF ^ (1 << 32 - mask) - 1))
