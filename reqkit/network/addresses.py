"""Addresses as look-ups give them, and the order to try them in (RFC 8305 section 4)."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

__all__ = ["Address", "SocketOptions", "interleave", "numeric_address"]

#: ``(level, option, value)`` triples for ``setsockopt``.
SocketOptions = Sequence[tuple[int, int, Any]]


class Address(NamedTuple):
    """One address of a host, as a socket takes it."""

    family: int
    sockaddr: Any


def numeric_address(host: str, port: int) -> Address | None:
    """Return the address that a host written in numbers is, or None for a name."""
    if ":" in host:
        bare, _, zone = host.partition("%")
        try:
            socket.inet_pton(socket.AF_INET6, bare)
        except OSError:
            return None
        if not zone:
            return Address(socket.AF_INET6, (host, port, 0, 0))
        return None  # a zone has to be turned into an index by the resolver
    try:
        socket.inet_pton(socket.AF_INET, host)
    except OSError:
        return None
    return Address(socket.AF_INET, (host, port))


def interleave(addresses: Sequence[Address]) -> list[Address]:
    """Order addresses so that the families alternate (RFC 8305 section 4)."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        rows = families.setdefault(address.family, [])
        if address not in rows:
            rows.append(address)
    ordered: list[Address] = []
    while families:
        for family in list(families):
            ordered.append(families[family].pop(0))
            if not families[family]:
                del families[family]
    return ordered
