"""A connection of HTTP/2: what it is that a pool lends stream by stream.

There are two kinds. Where greenlets share connections (`Network.multiplexes`) it is a `shared` one,
whose bytes the loop moves that they all wait in; in blocking code it is one that has one user at a
time, who moves them while waiting: see `alone`. What is lent is an `Exchange`.
"""

from __future__ import annotations

import errno
import weakref
from abc import ABC, abstractmethod
from collections.abc import Hashable
from typing import Any, ClassVar, Final, Protocol

from ...network import Network, forks
from ...timeouts import Deadline, clock
from ...wire.h2.connection import Connection as Wire
from .exchange import Exchange

__all__ = ["READ", "Multiplexed", "Owner"]

#: Asked of the stream at once.
READ: Final = 65_536


class Owner(Protocol):
    """The pool that a connection comes back to."""

    def take_back(self, connection: Multiplexed) -> None:
        """Keep a connection that nobody uses any more, or close it."""

    def forget(self, connection: Multiplexed) -> None:
        """Lend a connection no more."""

    def buffer(self) -> memoryview:
        """Return a place to receive into."""


class Multiplexed(ABC):
    """A connection of HTTP/2.

    Args:
        stream: connected, the handshake done.
        key: what it may serve, for the pool.
        network: whose stream it is.
        pool: what it comes back to; held weakly.

    Attributes:
        shared: whether several may use it at a time.
        users: how many use it.
        idle_since, beside: as a `reqkit.wire.h1.connection.Connection` has them.
        error: why the stream below failed, or None.
    """

    __slots__ = (
        "__weakref__", "_closed", "_generation", "_heard", "_network", "_pool", "_retired",
        "beside", "error", "idle_since", "key", "stream", "users", "wire",
    )  # fmt: skip

    shared: ClassVar[bool]

    def __init__(self, stream: Any, key: Hashable, network: Network, pool: Owner) -> None:
        self.stream: Any = stream
        self.key: Hashable = key
        self.users: int = 0
        self.idle_since: float = 0.0
        self.beside: tuple[int, int] | None = None
        self.wire: Wire = Wire()
        self.error: OSError | None = None
        self._network = network
        #: The forks before it: a child process has a copy, and must not write to what its parent
        #: goes on with.
        self._generation = forks.count
        self._pool = weakref.ref(pool)
        self._retired = False
        self._closed = False
        #: When bytes came last.
        self._heard = clock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}, {self.users} users, {self.wire!r}>"

    @abstractmethod
    def lend(self) -> Exchange:
        """Return the place for one more exchange.

        Raises:
            OSError: the connection is closed.
        """

    def is_reusable(self) -> bool:
        """Tell whether further exchanges may use it."""
        return not (self._retired or self._closed or self.wire.leaving)

    def is_open(self) -> bool:
        """Tell whether it was not closed on this side yet."""
        return not self._closed

    @abstractmethod
    def is_live(self) -> bool:
        """Look, without waiting, at what has come while nobody used it."""

    @abstractmethod
    def give_back(self, exchange: Exchange) -> None:
        """Take an exchange back that has come to its end."""

    def _come_back(self) -> None:
        """Go back to the pool: nobody uses it any more."""
        pool = self._pool()
        if pool is None:
            self.close()
        else:
            pool.take_back(self)

    @abstractmethod
    def leave(self, exchange: Exchange, now: bool) -> None:
        """Take an exchange back that was given up. Never raises; from anywhere.

        Args:
            exchange: whose.
            now: have the server told at once, where this is called by what may do so. A finalizer
                may not: it may come in the middle of anything.
        """

    @abstractmethod
    def close(self) -> None:
        """Close it; those who use it get an error. Never raises, and may be called again."""

    @abstractmethod
    def kick(self) -> None:
        """Have what is pending sent, soon."""

    @abstractmethod
    def wait(
        self, exchange: Exchange, limit: float | None, deadline: Deadline | None, phase: str
    ) -> None:
        """Wait until something new is known of an exchange's stream, or more can be sent.

        Args:
            exchange: whose.
            limit: seconds that this may take.
            deadline: of the whole exchange.
            phase: what the exchange is at.

        Raises:
            TimeoutError: it took longer.
            TotalTimeout: the deadline has passed.
        """

    @abstractmethod
    def drain(self, exchange: Exchange, limit: float | None, deadline: Deadline | None) -> None:
        """Wait until less is waiting to be sent, or (in blocking code) nothing is.

        Raises:
            TimeoutError, TotalTimeout: as `wait`.
        """

    def _extended(
        self,
        exchange: Exchange,
        asked: float,
        limit: float | None,
        deadline: Deadline | None,
        phase: str,
    ) -> float | None:
        """Return what is left of a limit that has run out, but for a part of a frame that has come.

        On a slow line a frame takes longer than a read may: while its bytes come, the server is not
        silent, as on HTTP/1.1.

        Raises:
            TimeoutError: nothing of the exchange's has come.
            TotalTimeout: the deadline has passed.
        """
        stream, heard = exchange.stream, self._heard
        if limit is not None and stream is not None and heard > asked and self.wire.amid(stream):
            left = heard + limit - clock()
            if left > 0:
                return left if deadline is None else deadline.left(left, phase)
        raise TimeoutError(errno.ETIMEDOUT, f"nothing happened for {limit or 0:g} s")
