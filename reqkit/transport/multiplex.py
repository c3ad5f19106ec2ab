"""A connection of HTTP/2: lent stream by stream, and what moves its bytes.

Where greenlets share connections (`Network.multiplexes`), the loop they wait in moves the bytes: it
calls when some are there, these are taken in, and those whom they concern are called. Whoever sends
adds frames and asks for one call soon, so what many send goes out in one write. No greenlet owns
the socket: none has to be started, switched to or ended, and a connection that nobody uses is
watched by nobody; it lies among the pool's idle ones as any other does, and what has come meanwhile
is looked at before it is lent again.

Where they do not share, in blocking code, whoever was lent the one stream moves the bytes while
waiting for its answer.

What is lent is an `Exchange` (`stream_exchange`).
"""

from __future__ import annotations

import errno
import ssl
import weakref
from collections.abc import Hashable, Iterable
from math import inf
from typing import Any, Final, Protocol, final

from ..network import Network, Waiter, forks
from ..timeouts import Deadline, clock
from ..wire.h2.connection import Connection as Wire
from ..wire.h2.streams import Stream
from .stream_exchange import Exchange

__all__ = ["BUFFER", "Multiplexed"]

#: Asked of the stream at once.
_READ: Final = 65_536
#: Bytes of a place to receive into: after a frame that is not whole yet, as much as keeps the steps
#: of taking it in few, and is still in the processor's cache when they are taken.
BUFFER: Final = 131_072 + 16_384 + 9
#: Bytes that are taken in before others get their turn.
_TURN: Final = 1_048_576
#: Seconds for which the loop is kept by those whom it lets go on, before others get their turn:
#: what gevent's own loop takes.
_TURN_SECONDS: Final = 0.005


class Owner(Protocol):
    """The pool that a connection comes back to."""

    def take_back(self, connection: Multiplexed) -> None:
        """Keep a connection that nobody uses any more, or close it."""

    def forget(self, connection: Multiplexed) -> None:
        """Lend a connection no more."""

    def buffer(self) -> memoryview:
        """Return a place to receive into."""


@final
class Multiplexed:
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
        "__weakref__", "_amid", "_buffer", "_closed", "_draining", "_due", "_generation", "_heard",
        "_left", "_network", "_pool", "_retired", "_unsent", "_waiters", "_writes", "beside",
        "error", "idle_since", "key", "shared", "stream", "users", "wire",
    )  # fmt: skip

    def __init__(self, stream: Any, key: Hashable, network: Network, pool: Owner) -> None:
        self.stream: Any = stream
        self.key: Hashable = key
        self.shared: bool = network.multiplexes
        self.users: int = 0
        self.idle_since: float = 0.0
        self.beside: tuple[int, int] | None = None
        self.wire: Wire = Wire()
        self._buffer = pool.buffer() if self.shared else memoryview(b"")
        self.error: OSError | None = None
        self._network = network
        #: The forks before it: a child process has a copy, and must not write to what its parent
        #: goes on with.
        self._generation = forks.count
        self._pool = weakref.ref(pool)
        self._retired = False
        self._closed = False
        #: In blocking code, whoever was lent the stream moves bytes. Where that was interrupted,
        #: some may be lost: it stays so.
        self._amid = False
        #: When bytes came last.
        self._heard = clock()
        #: A call was asked for and has not come yet.
        self._due = False
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

    def __repr__(self) -> str:
        return f"<Multiplexed, {self.users} users, {self.wire!r}>"

    # -- lending ----------------------------------------------------------------------------

    def room(self) -> int:
        """Return how many more may use it now."""
        if not self.is_reusable():
            return 0
        if not self.shared:
            return 1 - self.users
        return self.wire.most_streams - self.users

    def lend(self) -> Exchange:
        """Return the place for one more exchange.

        Raises:
            OSError: the connection is closed.
        """
        waiter: Waiter | None = None
        if self.shared:
            if not self.users:
                self.stream.watch(self._arrived)
            waiter = self._waiters.pop() if self._waiters else self._network.waiter()
            waiter.called = False
        self.users += 1
        return Exchange(self, waiter)

    def is_reusable(self) -> bool:
        """Tell whether further exchanges may use it."""
        return not (self._retired or self._closed or self.wire.leaving)

    def is_open(self) -> bool:
        """Tell whether it was not closed on this side yet."""
        return not self._closed

    def is_live(self) -> bool:
        """Look, without waiting, at what has come while nobody used it."""
        if self.shared:
            self._take_in()
        else:
            self._look()
        return self.is_reusable()

    def give_back(self, exchange: Exchange) -> None:
        """Take an exchange back that has come to its end."""
        waiter, exchange.waiter = exchange.waiter, None
        if waiter is not None:
            self._waiters.append(waiter)
        self.users -= 1
        if self.users:
            return
        if self.shared and not self._closed:
            self.stream.unwatch()
            self._writes = False
            if self.wire.pending or self._unsent is not None:
                self._send()
        pool = self._pool()
        if pool is None:
            self.close()
        else:
            pool.take_back(self)

    def leave(self, exchange: Exchange, now: bool) -> None:
        """Take an exchange back that was given up. Never raises; from anywhere.

        Args:
            exchange: whose.
            now: have the server told at once, where this is called by what may do so. A finalizer
                may not: it may come in the middle of anything.
        """
        if self._generation != forks.count:
            if not self.shared:
                self.close()  # the parent process's stream goes on
            return
        if self.shared:
            self._left.append(exchange)
            if now and self.stream.is_here():
                self._turn()
            else:
                self.kick()
            return
        if not self._amid and self.error is None and self.is_reusable():
            try:
                self._end_alone(exchange)
            except Exception:  # whatever it is: what was sent of the connection, nobody knows now
                self.close()
        else:
            self.close()

    def close(self) -> None:
        """Close it; those who use it get an error. Never raises, and may be called again."""
        if not self._closed:
            self._closed = True
            if self.users and self.shared:
                self.stream.soon(self._end)
            self.stream.close()

    # -- moving bytes -----------------------------------------------------------------------

    def kick(self) -> None:
        """Have what is pending sent, soon."""
        if not self._due:
            self._due = True
            self.stream.soon(self._turn)

    def _turn(self) -> None:
        """Send what was added. Called by the loop."""
        self._due = False
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
        self._take_in(clock() + _TURN_SECONDS)

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
            if wire.pending and not self._due:
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
            while wire.error is None and (data := self.stream.receive_some(_READ)):
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
        timeout = limit if deadline is None else deadline.left(limit, phase)
        waiter = exchange.waiter
        if waiter is None:
            self._wait_alone(exchange, timeout, limit, deadline, phase)
            return
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

    def _wait_alone(
        self,
        exchange: Exchange,
        timeout: float | None,
        limit: float | None,
        deadline: Deadline | None,
        phase: str,
    ) -> None:
        """Move bytes until something new is known, for so many seconds: in blocking code."""
        asked = begun = clock()
        ends = None if timeout is None else asked + timeout
        left = timeout
        silent = timeout == limit  # it is the read limit that may run out, and not the deadline
        self._begin_alone(exchange)
        while True:
            try:
                if self.error is None:
                    self._send_alone(left)
                data = self.stream.receive_next(_READ, left)
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

    def _begin_alone(self, exchange: Exchange) -> None:
        """Take note that bytes are moved for an exchange, unless another thread has given it up."""
        self._amid = True
        if exchange.over:
            self._amid = False
            raise OSError(errno.EBADF, "the answer was closed on this side")

    def _end_alone(self, exchange: Exchange) -> None:
        """Take the one exchange of blocking code back: its stream ends, and the connection goes on.

        Others are told at once, as far as the socket takes it without waiting.
        """
        stream = exchange.stream
        if stream is not None:
            stream.drop()
            self.wire.reset(stream)
        self._amid = True
        self._send_alone(0.0)
        self._amid = False
        self.give_back(exchange)

    def _look(self) -> None:
        """Take in what has come for a connection that one uses at a time."""
        try:
            while self.wire.error is None and self.stream.is_readable():
                data = self.stream.receive(_READ, 0.0)
                if not data:
                    self.wire.end()
                else:
                    self.wire.receive(data, clock())
        except TimeoutError:
            pass  # a part of a record
        except OSError as error:
            self.error = error
            self.wire.end("the connection broke")

    def _send_alone(self, timeout: float | None) -> None:
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

    def drain(self, exchange: Exchange, limit: float | None, deadline: Deadline | None) -> None:
        """Wait until less is waiting to be sent, or (in blocking code) nothing is.

        Raises:
            TimeoutError, TotalTimeout: as `wait`.
        """
        waiter = exchange.waiter
        if waiter is None:
            left = limit if deadline is None else deadline.left(limit, "send")
            self._begin_alone(exchange)
            self._send_alone(left)
            self._amid = False
        else:
            self._draining.append(waiter)
            self.kick()
            self.wait(exchange, limit, deadline, "send")
