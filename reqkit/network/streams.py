"""Streams on sockets of the standard library: what waits keeps its thread, unless it is patched."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar

from .forking import forks

__all__ = ["PLAIN", "PolledStream", "StdlibStream", "bounded", "close_socket", "stream_on"]

T = TypeVar("T")

#: The class of sockets that block their thread alone; None where it was replaced before.
PLAIN: Final = socket.socket if socket.socket.__module__ == "socket" else None

#: Seconds that stand for a limit too large to be told: poll() counts milliseconds in 31 bits.
_LONGEST: Final = 2_000_000.0


def stream_on(sock: socket.socket) -> StdlibStream:
    """Return the stream on a connected socket, which closes it."""
    if type(sock) is PLAIN and hasattr(select, "poll"):
        return PolledStream(sock)
    return StdlibStream(sock)


class StdlibStream:
    """A stream on a socket of the standard library."""

    __slots__ = ("__weakref__", "_poller", "_timeout", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock: socket.socket = sock
        self._timeout: float | None = sock.gettimeout()
        self._poller: Any = None
        # A response or session dropped unclosed is no reason for a ResourceWarning. Held from
        # outside, the socket is not finalized before this: the collector keeps to no order.
        weakref.finalize(self, close_socket, sock)

    def _limit(self, timeout: float | None) -> None:
        # settimeout is a system call: most of the time the limit is the last one's.
        if timeout != self._timeout:
            self.sock.settimeout(None if timeout is None else bounded(timeout))
            self._timeout = timeout

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        """Send all of it."""
        if timeout != self._timeout:
            self._limit(timeout)
        sent = self._in_time(self.sock.send, data)
        if sent < len(data):
            view = memoryview(data)
            while sent < len(view):
                if timeout != self._timeout:
                    self._limit(timeout)
                sent += self._in_time(self.sock.send, view[sent:])

    def _in_time(self, call: Callable[[Any], T], argument: Any) -> T:
        """Send or receive once; what came in time counts, however late it is seen.

        A patched socket's limit may run out while other greenlets keep the loop from the network.
        """
        try:
            return call(argument)
        except TimeoutError:
            if type(self.sock) is PLAIN:
                raise
            self._limit(0.0)
            try:
                return call(argument)
            except (BlockingIOError, TimeoutError):
                raise TimeoutError(errno.ETIMEDOUT, "timed out") from None

    def wait_readable(self, timeout: float | None) -> None:
        """Do nothing: ``recv`` waits by itself."""

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Wait for bytes and return up to ``most`` of them."""
        if timeout != self._timeout:
            self._limit(timeout)
        return self._in_time(self.sock.recv, most)

    receive_next = receive

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """As `receive`, into a buffer."""
        if timeout != self._timeout:
            self._limit(timeout)
        return self._in_time(self.sock.recv_into, buffer)

    def is_readable(self) -> bool:
        """Tell, without waiting, whether bytes or an end are there to be read."""
        poller = self._poller
        if poller is None:
            if self.sock.fileno() < 0:
                return True
            if not hasattr(select, "poll"):  # Windows
                return bool(select.select([self.sock], [], [], 0)[0])
            poller = self._poller = select.poll()
            poller.register(self.sock.fileno(), select.POLLIN)
        return bool(poller.poll(0))

    def close(self) -> None:
        """Close the socket."""
        self._poller = None
        close_socket(self.sock)


class PolledStream(StdlibStream):
    """A stream on a plain socket that does not block, and is waited for where there is need.

    A socket with a timeout of Python's is polled before each call of its. This one is tried first,
    but for an answer, which cannot be there yet: what is sent, and most of a large body, takes one
    system call instead of two.
    """

    __slots__ = ("_waits_in",)

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        super().__init__(sock)
        #: The process in which a thread waits for it, by the count of forks.
        self._waits_in: int | None = None

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        """Send all of it. The limit is for each wait until the peer takes more."""
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send_rest(memoryview(data).cast("B"), sent, timeout)

    def _send_rest(self, view: memoryview, sent: int, timeout: float | None) -> None:
        poller = self._polled(select.POLLOUT)
        while sent < len(view):
            self._wait(poller, timeout)
            with contextlib.suppress(BlockingIOError):
                sent += self.sock.send(view[sent:])

    def _polled(self, event: int) -> Any:
        number = self.sock.fileno()
        if number < 0:
            raise OSError(errno.EBADF, "the connection is closed")
        poller = select.poll()
        poller.register(number, event)
        return poller

    def wait_readable(self, timeout: float | None) -> None:
        """Wait until `receive` has something to give."""
        poller = self._poller
        if poller is None:
            poller = self._poller = self._polled(select.POLLIN)
        self._wait(poller, timeout)
        if self._poller is not poller:
            raise OSError(errno.EBADF, "the connection is closed")  # by another thread

    def _wait(self, poller: Any, timeout: float | None) -> None:
        """Wait for what a poller looks at; signals that come meanwhile do not extend the limit."""
        self._waits_in = forks.count
        try:
            if not poller.poll(None if timeout is None else max(bounded(timeout), 0.0) * 1000):
                raise TimeoutError(errno.ETIMEDOUT, "timed out")
        finally:
            self._waits_in = None

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Wait for bytes and return up to ``most`` of them."""
        while True:
            try:
                return self.sock.recv(most)
            except BlockingIOError:
                self.wait_readable(timeout)

    def receive_next(self, most: int, timeout: float | None) -> bytes:
        """As `receive`, where nothing can be there yet: waits first."""
        self.wait_readable(timeout)
        return self.receive(most, timeout)

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """As `receive`, into a buffer."""
        while True:
            try:
                return self.sock.recv_into(buffer)
            except BlockingIOError:
                self.wait_readable(timeout)

    def close(self) -> None:
        """Close the socket; a thread that waits on it gets an ``OSError``."""
        self._poller = None  # first: what that thread sees then is no end of the answer
        if self._waits_in == forks.count:
            # Closing alone wakes nobody. In a forked child, this would end its parent's connection.
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        close_socket(self.sock)


def close_socket(sock: Any) -> None:
    """Close a socket, whatever has become of its thread. Never raises.

    A patched one is gevent's, and asks its hub first: in a thread whose hub was destroyed, as one
    of gevent's thread pool has it at its end, that fails, and leaves the descriptor open.
    """
    try:
        sock.close()
    except OSError:
        pass
    except Exception:  # of gevent's hub
        inner: Any = getattr(sock, "_sock", None)
        with contextlib.suppress(Exception):
            inner.close()


def bounded(timeout: float) -> float:
    """Return a limit that the system can be told: some three weeks at most."""
    return min(timeout, _LONGEST)
