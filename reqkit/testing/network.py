"""The network that stands in for the real one: connections in memory, all else as it was."""

from __future__ import annotations

import socket
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from ..network import (
    Address,
    Network,
    Semaphore,
    Signal,
    SocketOptions,
    Stream,
    Waiter,
    numeric_address,
)

__all__ = ["StandInNetwork"]

#: What a name has where nobody says: an address that is set aside for documentation (RFC 5737).
_ANY_ADDRESS = "203.0.113.1"


class _Place(tuple[Any, ...]):
    """A socket's address that still knows the name that was looked up."""

    host: str
    port: int


class StandInNetwork:
    """Connects in memory where it is told to, and by the real network otherwise.

    Args:
        real: the network that it stands in for: its way of waiting is kept.
        connect: makes the stream to a host and port; None lets the real network do so.
        address: the address of a name, or None for any.
    """

    def __init__(
        self,
        real: Network,
        connect: Callable[[Network, str, int], Stream | None],
        address: Callable[[str], str | None],
        passes: Callable[[str, int], bool],
    ) -> None:
        self._real = real
        self._connect = connect
        self._address = address
        self._passes = passes
        self.most_idle: int | None = real.most_idle
        self.multiplexes = False  # what is answered from memory is HTTP/1.1

    def scope(self) -> Hashable:
        """Keep what is stood in for apart from real connections."""
        return "stood in", self._real.scope()

    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        """Return one address, without asking anybody."""
        if self._passes(host, port):
            return self._real.resolve(host, port, timeout)
        given = self._address(host)
        address = numeric_address(given or host, port) or Address(
            socket.AF_INET, (_ANY_ADDRESS, port)
        )
        place = _Place(address.sockaddr)
        place.host, place.port = host, port
        return [Address(address.family, place)]

    def connect(
        self,
        addresses: Sequence[Address],
        timeout: float | None,
        options: SocketOptions,
        source: tuple[str, int] | None,
    ) -> Stream:
        """Connect in memory, or by the real network."""
        for address in addresses:
            place = address.sockaddr
            if isinstance(place, _Place):
                stream = self._connect(self._real, place.host, place.port)
                if stream is not None:
                    return stream
        return self._real.connect(addresses, timeout, options, source)

    def sleep(self, seconds: float) -> None:
        """Wait as the real network does."""
        self._real.sleep(seconds)

    def semaphore(self, places: int) -> Semaphore:
        """Make a semaphore of the real network's."""
        return self._real.semaphore(places)

    def waiter(self) -> Waiter:
        """Make a place to wait in, as the real network does."""
        return self._real.waiter()

    def signal(self) -> Signal:
        """Make a place to wait in, as the real network does."""
        return self._real.signal()

    def clock(self) -> float:
        """Return the real network's seconds."""
        return self._real.clock()

    def pause(self) -> None:
        """Leave it to the real network."""
        self._real.pause()

    def lag(self) -> float:
        """Return the real network's seconds."""
        return self._real.lag()

    def tend(self, tended: Any) -> bool:
        """Leave it to the real network."""
        return self._real.tend(tended)
