"""What routers and recordings have in common: they stand in for all networks of the process."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from ..base.locks import native_rlock
from ..network import network as seam
from .answers import Step
from .calls import Call
from .network import StandInNetwork
from .streams import MemoryStream

if TYPE_CHECKING:
    from ..network import Network, Stream
    from ..transport.routes import Route as TransportRoute

__all__ = ["StandIn"]


class StandIn:
    """Stands in for networks, answers calls from memory, and knows the streams in use."""

    def __init__(self) -> None:
        #: Held for a few steps: a signal's handler that interrupts them may send a request, too.
        self._lock: Any = native_rlock()
        self._networks: dict[int, tuple[Network, StandInNetwork]] = {}
        self._streams: weakref.WeakSet[Any] = weakref.WeakSet()

    def _answer(self, call: Call) -> list[Step]:
        """Return what a call is answered with."""
        raise NotImplementedError

    def _address(self, host: str) -> str | None:
        """Return the address of a name, or None for any."""
        return None

    def _passes(self, host: str, port: int) -> bool:
        """Tell whether the real network is used for a host."""
        raise NotImplementedError

    def network(self, real: Network) -> Network:
        """Return what stands in for a network."""
        with self._lock:
            kept = self._networks.get(id(real))
            if kept is None:
                made = StandInNetwork(real, self._connect, self._address, self._passes)
                kept = self._networks[id(real)] = (real, made)
        return kept[1]

    def _connect(self, real: Network, host: str, port: int) -> Stream | None:
        """Return a stream in memory to a host; None where the real network is used."""
        stream: Stream = self._known(MemoryStream(self._answer, real, host, port))
        return stream

    def _known(self, stream: Any) -> Any:
        """Take note of a stream, which is closed at the end."""
        with self._lock:
            self._streams.add(stream)
        return stream

    def opened(self, stream: Stream, route: TransportRoute) -> Stream:
        """Return what is used of a stream that was opened: itself."""
        return stream

    def _take_away(self) -> None:
        """Have what was there before count again, and close the streams in use."""
        seam.take_away(self)
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            stream.close()
