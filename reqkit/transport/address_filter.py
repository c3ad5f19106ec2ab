"""Which addresses may be connected to: a user's filter, asked once names are looked up.

A check of the URL alone is no protection: ``http://0x7f000001/`` is 127.0.0.1, a name may lead to
any address, to another one the next time, and a redirect to another name. So the filter is asked
about the very addresses that sockets are then given.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Any, Final

from ..base.slotted import Slotted
from ..exceptions import AddressNotAllowed
from ..hooks import takes_keywords
from ..network import Address, numeric_address
from .routes import Proxy

__all__ = ["AddressFilter", "IPAddress"]

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: Prefixes of IPv6 whose addresses carry one of IPv4, and at which bit from the right it ends:
#: NAT64 (RFC 6052 section 2.1), 6to4 (RFC 3056), IPv4-compatible (RFC 4291 section 2.5.5.1),
#: IPv4-translated (RFC 2765 section 2.1), Teredo's server (RFC 4380 section 4).
_CARRIERS: Final = (
    (ipaddress.IPv6Network("64:ff9b::/96"), 0),
    (ipaddress.IPv6Network("2002::/16"), 80),
    (ipaddress.IPv6Network("::/96"), 0),
    (ipaddress.IPv6Network("::ffff:0:0:0/96"), 0),
    (ipaddress.IPv6Network("2001::/32"), 64),
)
_THIS_MACHINE: Final[dict[int, IPAddress]] = {
    4: ipaddress.IPv4Address("127.0.0.1"),
    6: ipaddress.IPv6Address("::1"),
}
#: NAT64 of one's own network (RFC 8215): its prefix is any in this one, of any length.
_LOCAL_NAT64: Final = ipaddress.IPv6Network("64:ff9b:1::/48")
_TEREDO: Final = ipaddress.IPv6Network("2001::/32")
#: What an ISATAP address has before its IPv4 address (RFC 5214 section 6.1), but for the bit that
#: says whether that one is unique in the world.
_ISATAP: Final = 0x00005EFE


class AddressFilter(Slotted):
    """A user's filter, as routes have it: connections made under one serve no other.

    Equal to itself alone, so that what is asked may be unhashable, and hashing it costs nothing.

    Args:
        ask: gets an address and returns True or False; one that takes ``**kwargs`` also gets
            ``host``, ``port`` and ``proxy``.
    """

    __slots__ = ("ask",)
    __module__ = "reqkit.sessions"  # as `reqkit` is pickled: by names that stay

    def __init__(self, ask: Callable[..., bool]) -> None:
        self.ask: Callable[..., bool] = ask

    def allowed(
        self,
        addresses: Sequence[Address],
        host: str,
        port: int,
        url: str,
        proxy: Proxy | None = None,
    ) -> list[Address]:
        """Return the addresses of a host that may be connected to. Runs the user's code.

        Args:
            addresses: all that the host has.
            host: whose they are.
            port: the port that is connected to.
            url: what is asked for, without its password: for the errors.
            proxy: where the host is a proxy's.

        Raises:
            AddressNotAllowed: none may, or the filter failed.
        """
        good = []
        refused = []
        for address in addresses:
            text = str(address.sockaddr[0])
            if self._allows(text, host, port, url, proxy):
                good.append(address)
            elif text not in refused:
                refused.append(text)
        if not good:
            whose = f"the host {host!r}" if proxy is None else f"the proxy {proxy.url}"
            what = "address" if len(refused) == 1 else "addresses"
            raise AddressNotAllowed(
                f"{url}: allow_address refuses the {what} of {whose}: {', '.join(refused)}"
            )
        return good

    def check_behind(self, proxy: Proxy, host: str, port: int, url: str) -> None:
        """Refuse a host that a proxy would look up by itself, unless it is an allowed address.

        Raises:
            AddressNotAllowed: it is a name, or an address that may not be connected to.
        """
        address = numeric_address(host, port)
        if address is None:
            raise AddressNotAllowed(
                f"{url}: the proxy {proxy.url} would look up {host!r} by itself, and allow_address"
                " would never see the address: use a socks5:// proxy, or no proxy, or set"
                " allow_address to None where the proxy's own rules are enough"
            )
        self.allowed([address], host, port, url)

    def _allows(self, text: str, host: str, port: int, url: str, proxy: Proxy | None) -> bool:
        """Tell whether the filter allows an address, in each form that it has."""
        about: dict[str, Any] = {}
        if takes_keywords(self.ask):
            about = {"host": host, "port": port, "proxy": None if proxy is None else proxy.url}
        try:
            for address in _forms(text):
                answer = self.ask(address, **about)
                # Nothing else: what an async function returns is true, whatever it would say.
                if answer is not True and answer is not False:
                    raise TypeError(
                        f"allow_address returned a {type(answer).__name__}: expected True or False"
                    )
                if not answer:
                    return False
        except Exception as error:  # who cannot say yes says no
            raise AddressNotAllowed(
                f"{url}: the address {text} of {host!r} is refused, since asking allow_address"
                f" failed with {type(error).__name__}"
            ) from error
        return True


def _forms(text: str) -> list[IPAddress]:
    """Return what an address means: itself, or the one of IPv4 that it maps; or both."""
    address: IPAddress = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    forms: list[IPAddress] = [address]
    if address.is_unspecified:
        # No host's, but who connects to it gets to this machine.
        forms.append(_THIS_MACHINE[address.version])
        return forms
    number = int(address)
    # Not ``::1``, which is an address of its own.
    if isinstance(address, ipaddress.IPv4Address) or number == 1:
        return forms
    carried = [number >> shift for network, shift in _CARRIERS if address in network]
    if address in _TEREDO:
        carried.append(~number)  # the client's, with its bits turned (RFC 4380 section 4)
    if address in _LOCAL_NAT64:
        carried += _by_local_nat64(number)
    if (number >> 32) & 0xFDFFFFFF == _ISATAP:
        carried.append(number)
    forms += [ipaddress.IPv4Address(one & 0xFFFFFFFF) for one in carried]
    return forms


def _by_local_nat64(number: int) -> list[int]:
    """Return the addresses of IPv4 that one may carry, by the lengths that a prefix may have.

    Where one is read with the wrong length, zeros of the prefix come first: no host has these.

    Source: RFC 6052 section 2.2.
    """
    without_gap = (number >> 64 << 56) | (number & ((1 << 56) - 1))  # bits 64 to 71 are none of it
    found = [number]
    for length in (48, 56, 64):
        carried = without_gap >> (120 - length - 32) & 0xFFFFFFFF
        if carried >> 24:
            found.append(carried)
    return found
