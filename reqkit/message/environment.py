"""What the machine's environment says: proxies, the CA bundle, netrc.

Asked for each message, with ``trust_env``, and so it costs next to nothing where nothing is set.
Reads variables and small files; never the network. The files are local, and so nothing here
switches greenlets.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ..base.hostnames import ascii_name
from ..base.warn import warn
from ..exceptions import RequestsWarning
from .netrc_file import Netrc, parse_netrc

__all__ = [
    "bypasses", "ca_bundle", "has_netrc", "names_proxies", "netrc_credentials", "proxies_for",
    "select_proxy",
]  # fmt: skip

_POSIX: Final = os.name == "posix"

_IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
_IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def _variables() -> dict[bytes, bytes] | None:
    """Return the dictionary behind ``os.environ``, or None where it has no such one.

    To look up there what is not set takes a small part of the time that ``os.environ`` takes.
    """
    data = getattr(os.environ, "_data", None)
    return data if _POSIX and type(data) is dict else None


class _Variables:
    """Some variables of which the first one counts that is set, and not empty."""

    __slots__ = ("names", "octets")

    def __init__(self, *names: str) -> None:
        self.names = names
        self.octets = tuple(name.encode("utf-8", "surrogateescape") for name in names)

    def get(self) -> str | None:
        data = _variables()
        if data is None:
            for name in self.names:
                value = os.environ.get(name, "").strip()
                if value:
                    return value
            return None
        if data.keys().isdisjoint(self.octets):
            return None
        for octets in self.octets:
            raw = data.get(octets)
            if raw and not raw.isspace():
                return os.fsdecode(raw).strip()
        return None


def names_proxies() -> bool:
    """Tell whether there may be a proxy for http or https: `proxies_for` tells which."""
    try:
        data: Any = os.environ._data  # type: ignore[attr-defined]
    except AttributeError:
        return True
    return (
        type(data) is not dict
        or not _POSIX
        # One by one: a set of them takes half as long again.
        or b"http_proxy" in data or b"HTTP_PROXY" in data
        or b"https_proxy" in data or b"HTTPS_PROXY" in data
        or b"all_proxy" in data or b"ALL_PROXY" in data
    )  # fmt: skip


# --- Proxies -----------------------------------------------------------------------------------


_NO_PROXY: Final = _Variables("no_proxy", "NO_PROXY")
_IN_CGI: Final = _Variables("REQUEST_METHOD")


@lru_cache(maxsize=64)
def _proxy_variables(scheme: str, in_cgi: bool) -> _Variables:
    names = [f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"]
    # A CGI server puts a request's header "Proxy" into HTTP_PROXY: there, it is the client's word
    # (httpoxy, CVE-2016-5385). Where names have no case, http_proxy is the same variable.
    if in_cgi and scheme == "http":
        names = [names[0], *names[2:]] if _POSIX else names[2:]
    return _Variables(*names)


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
    """Yield a.b.c, b.c, c."""
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


# --- The CA bundle -----------------------------------------------------------------------------


_CA_BUNDLE: Final = _Variables("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def names_ca_bundle(path: str) -> str | None:
    """Return the variable that names a CA file or folder, where one does: to be blamed for it."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        if os.environ.get(name) == path:
            return name
    return None


def ca_bundle() -> str | None:
    """Return the CA file or folder that the environment names, or None.

    ``REQUESTS_CA_BUNDLE``, else ``CURL_CA_BUNDLE``; what is empty counts as not set.
    """
    return _CA_BUNDLE.get()


# --- netrc -------------------------------------------------------------------------------------


class _Read(NamedTuple):
    """A netrc file as it was read."""

    version: tuple[int, int, int]
    entries: Netrc


_NETRC: Final = _Variables("NETRC")
_MOST_FILES: Final = 8
_read_files: dict[str, _Read] = {}
#: Seconds for which it is not looked again whether there is a netrc: to look for the files costs as
#: much as a good part of a request, and would be done for each.
_PAUSE: Final = 0.1
#: A home that had no netrc, and until when that counts; read and set in one go.
_none_there: tuple[Any, float] = (None, 0.0)


def has_netrc() -> bool:
    """Tell whether there may be a netrc. Costs next to nothing where there is none.

    A netrc that comes into being counts after a tenth of a second.
    """
    global _none_there
    try:
        data: Any = os.environ._data  # type: ignore[attr-defined]
    except AttributeError:
        return True
    if type(data) is not dict or not _POSIX or b"NETRC" in data:
        return True
    home, until = _none_there
    if time.monotonic() < until and home == data.get(b"HOME"):
        return False
    if _netrc_path() is not None:
        return True
    _none_there = (data.get(b"HOME"), time.monotonic() + _PAUSE)
    return False


def netrc_credentials(
    host: str, user: str | None = None, default: bool = True
) -> tuple[str, str] | None:
    """Return the login and password that netrc has for a host, or None.

    The file is ``NETRC``'s where that is set, else ``~/.netrc`` or ``~/_netrc``. It is read when
    it has changed. A file that cannot be opened is as none; words in it that netrc does not know
    are passed over, with a `RequestsWarning` when it is read, which has nothing of the file's text.
    The entry ``default`` counts for hosts that have none.

    Args:
        host: the host's name alone, parsed from the URL: no port, no user.
        user: whose password it is to be, where the URL says so.
        default: False leaves the entry ``default`` out.
    """
    path = _netrc_path()
    if path is None:
        return None
    entries = _netrc_entries(path)
    return None if entries is None else entries.find(host.strip("[]").lower(), user, default)


def _netrc_path() -> str | None:
    """Return where netrc is, or None where there is none."""
    named = _NETRC.get()
    if named is not None:
        return os.path.expanduser(named)
    for path in _usual_files(_home()):
        if os.access(path, os.F_OK):
            return path
    return None


def _home() -> Any:
    """Return what the environment says of the home folder."""
    data = _variables()
    return os.environ.get("USERPROFILE") if data is None else data.get(b"HOME")


@lru_cache(maxsize=8)
def _usual_files(home: str | bytes | None) -> tuple[str, ...]:
    """Return where netrc may be; kept by the home that the environment names."""
    folder = os.path.expanduser("~")
    return os.path.join(folder, ".netrc"), os.path.join(folder, "_netrc")


def _netrc_entries(path: str) -> Netrc | None:
    # A netrc that may not be read, or went away meanwhile, is as none.
    try:
        status = os.stat(path)
        version = (status.st_mtime_ns, status.st_size, status.st_ino)
        kept = _read_files.get(path)
        if kept is not None and kept.version == version:
            return kept.entries
        with open(path, "rb") as file:
            octets = file.read()
    except OSError:
        return None
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    entries = parse_netrc(text.replace("\r\n", "\n"))
    if len(_read_files) >= _MOST_FILES:
        _read_files.clear()
    _read_files[path] = _Read(version, entries)
    if entries.odd is not None:
        # Nothing of the file's text is shown: it may be a piece of a password.
        warn(
            f"{path} is malformed at line {entries.odd}: a word there is none of netrc's, and is"
            " passed over. Mend it, or name another file in NETRC",
            RequestsWarning,
        )
    return entries
