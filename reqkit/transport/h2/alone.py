"""A connection that has one user at a time, as in blocking code: whoever it is moves its bytes.

They are moved while that one waits for an answer, or sends; nobody else looks at them.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Hashable
from typing import Any, ClassVar, final

from ...network import Network, forks
from ...timeouts import Deadline, clock
from .connection import READ, Multiplexed, Owner
from .exchange import Exchange

__all__ = ["LoneConnection"]


@final
class LoneConnection(Multiplexed):
    """A connection that one uses at a time: see `Multiplexed`."""

    __slots__ = ("_amid",)

    shared: ClassVar[bool] = False
    error: OSError | None
    users: int

    def __init__(self, stream: Any, key: Hashable, network: Network, pool: Owner) -> None:
        super().__init__(stream, key, network, pool)
        #: Bytes are being moved. Where that was interrupted, some may be lost: it stays so.
        self._amid = False

    # -- lending ----------------------------------------------------------------------------

    def lend(self) -> Exchange:
        """Return the place for the one exchange."""
        self.users += 1
        return Exchange(self, None)

    def is_live(self) -> bool:
        """Look, without waiting, at what has come while nobody used it."""
        self._look()
        return self.is_reusable()

    def give_back(self, exchange: Exchange) -> None:
        """Take the exchange back: it has come to its end."""
        self.users -= 1
        if not self.users:
            self._come_back()

    def leave(self, exchange: Exchange, now: bool) -> None:
        """Take the exchange back, which was given up."""
        if self._generation != forks.count:
            self.close()  # the parent process's stream goes on
        elif not self._amid and self.error is None and self.is_reusable():
            try:
                self._end_exchange(exchange)
            except Exception:  # whatever it is: what was sent of the connection, nobody knows now
                self.close()
        else:
            self.close()

    def close(self) -> None:
        """Close it; whoever uses it gets an error."""
        if not self._closed:
            self._closed = True
            self.stream.close()

    # -- moving bytes -----------------------------------------------------------------------

    def kick(self) -> None:
        """Leave what is pending to whoever waits next."""

    def wait(
        self, exchange: Exchange, limit: float | None, deadline: Deadline | None, phase: str
    ) -> None:
        """Move bytes until something new is known of the exchange's stream."""
        timeout = limit if deadline is None else deadline.left(limit, phase)
        asked = begun = clock()
        ends = None if timeout is None else asked + timeout
        left = timeout
        silent = timeout == limit  # it is the read limit that may run out, and not the deadline
        self._begin(exchange)
        while True:
            try:
                if self.error is None:
                    self._send(left)
                data = self.stream.receive_next(READ, left)
            except TimeoutError:
                if self._heard < (begun if silent else exchange.sent or begun):
                    self._retired = True  # nothing at all has come
                self._amid = False
                left = self._extended(exchange, asked, limit, deadline, phase)
                asked = clock()
                ends = None if left is None else asked + left
                self._amid = True
                continue
            except OSError as error:
                if not isinstance(self.error, ssl.SSLError):
                    # TLS's alert tells more than that sending failed.
                    self.error = error if isinstance(error, ssl.SSLError) else self.error or error
                self.wire.end("the connection broke")
                break
            self._heard = now = clock()
            stirred = self.wire.receive(data, now) if data else self.wire.end()
            if exchange.stream in stirred:
                break
            if ends is not None:
                left = ends - now
                if left <= 0:
                    self._amid = False
                    left = self._extended(exchange, asked, limit, deadline, phase)
                    asked = now
                    ends = None if left is None else asked + left
                    self._amid = True
        self._amid = False

    def drain(self, exchange: Exchange, limit: float | None, deadline: Deadline | None) -> None:
        """Wait until nothing is waiting to be sent."""
        left = limit if deadline is None else deadline.left(limit, "send")
        self._begin(exchange)
        self._send(left)
        self._amid = False

    def _begin(self, exchange: Exchange) -> None:
        """Take note that bytes are moved for an exchange, unless another thread has given it up."""
        self._amid = True
        if exchange.over:
            self._amid = False
            raise OSError(errno.EBADF, "the answer was closed on this side")

    def _end_exchange(self, exchange: Exchange) -> None:
        """Take the one exchange of blocking code back: its stream ends, and the connection goes on.

        Others are told at once, as far as the socket takes it without waiting.
        """
        stream = exchange.stream
        if stream is not None:
            stream.drop()
            self.wire.reset(stream)
        self._amid = True
        self._send(0.0)
        self._amid = False
        self.give_back(exchange)

    def _look(self) -> None:
        """Take in what has come for a connection that one uses at a time."""
        try:
            while self.wire.error is None and self.stream.is_readable():
                data = self.stream.receive(READ, 0.0)
                if not data:
                    self.wire.end()
                else:
                    self.wire.receive(data, clock())
        except TimeoutError:
            pass  # a part of a record
        except OSError as error:
            self.error = error
            self.wire.end("the connection broke")

    def _send(self, timeout: float | None) -> None:
        """Send what is pending, here and at once: in blocking code."""
        if self.wire.pending:
            try:
                self.stream.send_all(self.wire.take(), timeout)
            except TimeoutError:
                raise
            except OSError as error:
                # The server may have answered before it closed: that is read on.
                self.error = error
                self._retired = True
