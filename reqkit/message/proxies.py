"""Which proxy a URL is asked for through, of those given and of the environment's."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ..base.hostnames import ascii_name
from .environment import ENCODED, ENVIRON, POSIX, Variables

__all__ = ["bypasses", "names_proxies", "proxies_for", "select_proxy"]

_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


_IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def names_proxies() -> bool:
    """Tell whether there may be a proxy for http or https: `proxies_for` tells which."""
    data = ENCODED
    return (
        data is None
        or os.environ is not ENVIRON
        # One by one: a set of them takes half as long again.
        or b"http_proxy" in data or b"HTTP_PROXY" in data
        or b"https_proxy" in data or b"HTTPS_PROXY" in data
        or b"all_proxy" in data or b"ALL_PROXY" in data
    )  # fmt: skip


_NO_PROXY: Final = Variables("no_proxy", "NO_PROXY")


_IN_CGI: Final = Variables("REQUEST_METHOD")


@lru_cache(maxsize=64)
def _proxy_variables(scheme: str, in_cgi: bool) -> Variables:
    names = [f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"]
    # A CGI server puts a request's header "Proxy" into HTTP_PROXY: there, it is the client's word
    # (httpoxy, CVE-2016-5385). Where names have no case, http_proxy is the same variable.
    if in_cgi and scheme == "http":
        names = [names[0], *names[2:]] if POSIX else names[2:]
    return Variables(*names)


def proxies_for(url_scheme: str, host: str, port: int) -> str | None:
    """Return the proxy that the environment names for a URL, or None to go without one.

    ``http_proxy``, ``https_proxy`` and else ``all_proxy``, in either case (lower case first), but
    for the hosts in ``no_proxy``. What is empty counts as not set.

    Args:
        url_scheme: the URL's scheme, in lower case.
        host: the URL's host; an IPv6 address with or without its brackets.
        port: the URL's port, or its scheme's default.

    Returns:
        The proxy as it stands there: it may lack a scheme.
    """
    proxy = _proxy_variables(url_scheme, False).get()
    if proxy is not None and _IN_CGI.get():
        proxy = _proxy_variables(url_scheme, True).get()
    if proxy is None:
        return None
    no_proxy = _NO_PROXY.get()
    return None if no_proxy and bypasses(no_proxy, host, port) else proxy


def select_proxy(proxies: Mapping[str, Any], scheme: str, host: str, port: int) -> str | None:
    """Choose the proxy for a URL among those given.

    The keys are tried from the narrow to the wide: ``scheme://host``, ``scheme``, ``all://host``,
    ``all``. The key ``no_proxy`` has the hosts that go without.

    Args:
        proxies: proxies by key, as ``proxies=`` has them.
        scheme: the URL's scheme, in lower case.
        host: the URL's host; an IPv6 address with or without its brackets.
        port: the URL's port, or its scheme's default.

    Returns:
        The proxy as it was given; ``""`` where these say to go without one (a key that has None
        or nothing, or ``no_proxy``); None where they say nothing, and others may be asked.
    """
    if not proxies:
        return None
    no_proxy = proxies.get("no_proxy")
    if no_proxy and bypasses(no_proxy, host, port):
        return ""
    name = f"[{host}]" if ":" in host and not host.startswith("[") else host
    for key in (f"{scheme}://{name}", scheme, f"all://{name}", "all"):
        if key in proxies:
            return proxies[key] or ""
    return None


#: Characters that a name may have (RFC 1035 section 3.1), with the dots around it.
_LONGEST_NAME: Final = 255


class _Bypass(NamedTuple):
    """What a ``no_proxy`` means, read once.

    ``names`` and ``addresses`` have the ports that an entry counts for; None is any.
    """

    everything: bool
    names: dict[str, set[int | None]]
    addresses: dict[_IPAddress, set[int | None]]
    networks: list[_IPNetwork]


# [::1]:80, [fd00::]/8
_BRACKETED: Final = re.compile(r"\[([^\]]*)\](/\d+)?(?::(\d+))?")


# example.org:80, 10.0.0.1:80
_WITH_PORT: Final = re.compile(r"([^:]*):(\d+)")


@lru_cache(maxsize=32)
def _read_no_proxy(text: str) -> _Bypass:
    found = _Bypass("*" in re.split(r"[\s,]+", text), {}, {}, [])
    for entry in re.split(r"[\s,]+", text):
        name, port = entry, None
        match = _BRACKETED.fullmatch(entry)
        if match:
            name, port = match[1] + (match[2] or ""), match[3]
        else:
            match = _WITH_PORT.fullmatch(entry)
            if match:
                name, port = match[1], match[2]
        ports = int(port) if port else None
        if "/" in name:
            # A network that is none, as 10.0.0.0/99, has no hosts.
            with contextlib.suppress(ValueError):
                found.networks.append(ipaddress.ip_network(name, strict=False))
            continue
        address = _address(name)
        if address is not None:
            found.addresses.setdefault(address, set()).add(ports)
            continue
        name = _plain_name(name.removeprefix("*").lstrip("."))
        if name:
            found.names.setdefault(name, set()).add(ports)
    return found


def bypasses(no_proxy: str, host: str, port: int) -> bool:
    """Tell whether a host goes without a proxy. Pure.

    Args:
        no_proxy: entries between commas or spaces: ``*``; a name, with or without a leading dot,
            which counts for what is below it too; an address; a network (``10.0.0.0/8``). A name
            or an address may have a port (``example.org:8080``, ``[::1]:80``), and then counts
            for that one alone. Case does not count; what cannot be read is passed over.
        host: as the URL has it; an IPv6 address with or without its brackets. It is not resolved,
            so a network holds hosts that are given by address alone.
        port: the URL's port, or its scheme's default.
    """
    rules = _read_no_proxy(no_proxy)
    if rules.everything:
        return True
    address = _address(host)
    if address is not None:
        ports = rules.addresses.get(address, ())
        return None in ports or port in ports or any(address in net for net in rules.networks)
    for name in _suffixes(_plain_name(host)):
        ports = rules.names.get(name, ())
        if None in ports or port in ports:
            return True
    return False


def _suffixes(name: str) -> Iterator[str]:
    """Yield a.b.c, b.c, c; of what is too long for a name the ends that are not."""
    if len(name) > _LONGEST_NAME:
        name = name[-_LONGEST_NAME:].partition(".")[2]
    while name:
        yield name
        name = name.partition(".")[2]


def _plain_name(name: str) -> str:
    """Return a host's name in the one form that compares: lower case, IDNA, no final dot."""
    name = name.rstrip(".").lower()
    if not name.isascii():
        with contextlib.suppress(UnicodeError):
            return ascii_name(name)
    return name


def _address(host: str) -> _IPAddress | None:
    """Return the address that a host is, if it is one: without zone, IPv4 as IPv4."""
    host = host.strip("[]")
    # Most hosts are names, and an exception costs more than this look at the last character.
    if ":" not in host and not host[-1:].isdigit():
        return None
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
