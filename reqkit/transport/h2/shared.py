"""A connection that greenlets share: the loop that they wait in moves its bytes.

It calls when some are there, these are taken in, and those whom they concern are called. Whoever
sends adds frames and asks for one call soon, so what many send goes out in one write. No greenlet
owns the socket: none has to be started, switched to or ended, and a connection that nobody uses is
watched by nobody; it lies among the pool's idle ones as any other does, and what has come meanwhile
is looked at before it is lent again.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Hashable, Iterable
from math import inf
from typing import Any, ClassVar, Final, final

from ...network import Network, Waiter, forks
from ...timeouts import Deadline, clock
from ...wire.h2.streams import Stream
from .connection import READ, Multiplexed, Owner
from .exchange import Exchange

__all__ = ["BUFFER", "SharedConnection"]

#: Bytes of a place to receive into: after a frame that is not whole yet, as much as keeps the steps
#: of taking it in few, and is still in the processor's cache when they are taken.
BUFFER: Final = 131_072 + 16_384 + 9
#: Bytes that are taken in before others get their turn.
_TURN: Final = 1_048_576
#: Seconds for which the loop is kept by those whom it lets go on, before others get their turn:
#: what gevent's own loop takes.
_TURN_SECONDS: Final = 0.005


@final
class SharedConnection(Multiplexed):
    """A connection that several use at a time, of one loop: see `Multiplexed`."""

    __slots__ = ("_buffer", "_draining", "_due", "_left", "_unsent", "_waiters", "_writes")

    shared: ClassVar[bool] = True
    error: OSError | None
    users: int

    def __init__(self, stream: Any, key: Hashable, network: Network, pool: Owner) -> None:
        super().__init__(stream, key, network, pool)
        self._buffer = pool.buffer()
        #: A call was asked for and has not come yet.
        self._due: Any = None
        #: The socket is watched for taking more.
        self._writes = False
        self._unsent: memoryview | None = None
        #: Exchanges that were given up, perhaps by a finalizer: that may come at any moment and in
        #: any thread, so it only leaves word.
        self._left: list[Exchange] = []
        #: Those who wait until less is waiting to be sent.
        self._draining: list[Waiter] = []
        #: Places to wait in, for the next exchanges.
        self._waiters: list[Waiter] = []

    # -- lending ----------------------------------------------------------------------------

    def lend(self) -> Exchange:
        """Return the place for one more exchange."""
        if not self.users:
            self.stream.watch(self._arrived)
        waiter = self._waiters.pop() if self._waiters else self._network.waiter()
        waiter.called = False
        self.users += 1
        return Exchange(self, waiter)

    def is_live(self) -> bool:
        """Look, without waiting, at what has come while nobody used it."""
        self._take_in()
        return self.is_reusable()

    def give_back(self, exchange: Exchange) -> None:
        """Take an exchange back that has come to its end."""
        waiter, exchange.waiter = exchange.waiter, None
        if waiter is not None:
            self._waiters.append(waiter)
        self.users -= 1
        if self.users:
            return
        if not self._closed:
            self.stream.unwatch()
            self._writes = False
            if self.wire.pending or self._unsent is not None:
                self._send()
        self._come_back()

    def leave(self, exchange: Exchange, now: bool) -> None:
        """Take an exchange back that was given up: at once, or soon."""
        if self._generation != forks.count:
            return
        self._left.append(exchange)
        if now and self.stream.is_here():
            self._turn()
        else:
            self.kick()

    def close(self) -> None:
        """Close it; those who use it get an error."""
        if not self._closed:
            self._closed = True
            if self.users:
                self.stream.soon(self._end)
            self.stream.close()

    # -- moving bytes -----------------------------------------------------------------------

    def kick(self) -> None:
        """Have what is pending sent, soon."""
        due = self._due
        # One that was to come, and has failed before its first line, would be waited for for ever.
        if due is None or not due.pending:
            self._due = self.stream.soon(self._turn)
            self.stream.soon(self._make_up)

    def _make_up(self) -> None:
        """Send what was added, where a signal's handler has raised before the turn's first line.

        All may wait by then for the answers to what was never sent, and nobody kicks again.
        """
        if self._due is not None:
            self._turn()

    def _turn(self) -> None:
        """Send what was added. Called by the loop."""
        self._due = None
        if self._generation != forks.count:
            return
        left = self._left
        while left:
            exchange = left.pop()
            stream = exchange.stream
            if stream is not None:
                stream.waiter = None
                stream.drop()
                self.wire.reset(stream)
            waiter, exchange.waiter = exchange.waiter, None
            if waiter is not None:
                waiter.call()  # another greenlet may have closed what one waits for
            self.give_back(exchange)
        if not self._closed:
            self._send()

    def _send(self) -> None:
        """Send what is pending as far as it can be at once; the rest when the socket takes more."""
        if self._generation != forks.count:
            self.stream.unwatch()
            return
        try:
            done = self._flush()
            if done is self._writes:
                self._writes = not done
                self.stream.watch_writable(None if done else self._send)
        except OSError as error:
            self._break(error)
            return
        if done and self._draining:
            draining, self._draining = self._draining, []
            for waiter in draining:
                waiter.call()
        if self.wire.error is not None:
            self._end()

    def _flush(self) -> bool:
        """Send what can be sent at once; tell whether that was all."""
        stream, wire = self.stream, self.wire
        unsent = self._unsent
        while unsent is not None or wire.pending:
            if unsent is None:
                unsent = memoryview(wire.take())
            taken = stream.send_now(unsent)
            unsent = unsent[taken:] if taken < len(unsent) else None
            self._unsent = unsent
            if not taken:
                return False
        return bool(stream.flush_now())

    def _arrived(self) -> None:
        """Take in what is there, and let those go on whom it concerns. Called by the loop."""
        try:
            self._take_in(clock() + _TURN_SECONDS)
        except BaseException:
            # Of a signal's handler, amid the frames: nobody knows what of them was taken in.
            self.error = ConnectionAbortedError(
                errno.ECONNABORTED, "a signal's handler has raised while an answer was read"
            )
            self._call(self.wire.end("the connection was broken off on this side"))
            self._end()
            raise

    def _take_in(self, until: float = 0.0) -> None:
        """Take in what is there, and call those whom it concerns.

        Args:
            until: when those whom it concerns go on one after another while this runs, which is
                sooner done: the moment from which on they wait for the loop to call them. For the
                loop alone.
        """
        if self._closed:
            return
        if self._generation != forks.count:
            self.stream.unwatch()  # a copy of the parent's loop, whose bytes these are
            return
        receive, wire, buffer = self.stream.receive_now, self.wire, self._buffer
        taken = 0
        try:
            while self.is_open():  # those who go on may close it
                kept = wire.rest_into(buffer)
                count = receive(buffer[kept:])
                if count is None:
                    break
                if not count:
                    self._call(wire.end())
                    break
                self._heard = now = clock()
                stirred = wire.receive_buffer(buffer[: kept + count], now)
                if until > now:
                    self._go_on(stirred, until)
                else:
                    self._call(stirred)
                taken += count
                if taken >= _TURN or clock() > until > 0.0:
                    # What TLS has taken from the socket already, the loop does not see.
                    self.stream.soon(self._arrived)
                    break
        except OSError as error:
            self._break(error)
        else:
            if not self.is_open():
                return
            if wire.pending and self._due is None:
                self._send()
            elif wire.error is not None:
                self._end()

    @staticmethod
    def _go_on(stirred: Iterable[Stream], until: float) -> None:
        """Let those go on who wait for streams; from some moment on, in turn with all others."""
        for stream in stirred:
            waiter = stream.waiter
            if waiter is not None:
                if clock() < until:
                    waiter.call_now()
                else:
                    waiter.call()

    @staticmethod
    def _call(stirred: Iterable[Stream]) -> None:
        for stream in stirred:
            waiter = stream.waiter
            if waiter is not None:
                waiter.call()

    def _break(self, error: OSError) -> None:
        """Take note that the stream below has failed."""
        wire = self.wire
        try:
            # What came before that counts: answers, and which requests were not acted on.
            while wire.error is None and (data := self.stream.receive_some(READ)):
                self._call(wire.receive(data))
        except ssl.SSLError as alert:
            if not isinstance(error, ssl.SSLError):
                error = alert  # tells more than that the server has closed
        except OSError:
            pass
        self.error = error
        self._call(wire.end("the connection broke"))
        self._end()

    def _end(self) -> None:
        """Close what cannot be used any more, and have the pool forget it."""
        self._closed = True
        if self.wire.streams:
            self._call(self.wire.end("the connection was closed on this side"))
        draining, self._draining = self._draining, []
        for waiter in draining:
            waiter.call()
        pool = self._pool()
        if pool is not None:
            pool.forget(self)
        self.stream.close()

    # -- waiting ----------------------------------------------------------------------------

    def wait(
        self, exchange: Exchange, limit: float | None, deadline: Deadline | None, phase: str
    ) -> None:
        """Wait until something new is known of an exchange's stream, or more can be sent."""
        timeout = limit if deadline is None else deadline.left(limit, phase)
        waiter = exchange.waiter
        if waiter is None:
            raise OSError(errno.EBADF, "the answer was closed on this side")
        asked = clock()
        while not waiter.wait(timeout, inf if deadline is None else deadline.at):
            # What has arrived in time counts, however long the loop was kept from looking.
            self._take_in()
            if waiter.called:
                waiter.called = False
                return
            if self._heard < asked:
                self._retired = True  # nothing at all has come: others are to try another one
            timeout = self._extended(exchange, asked, limit, deadline, phase)
            asked = clock()

    def drain(self, exchange: Exchange, limit: float | None, deadline: Deadline | None) -> None:
        """Wait until less is waiting to be sent."""
        waiter = exchange.waiter
        if waiter is not None:
            self._draining.append(waiter)
            self.kick()
        self.wait(exchange, limit, deadline, "send")
