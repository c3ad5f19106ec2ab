"""Streams on sockets of the standard library: what waits keeps its thread, unless it is patched."""

from __future__ import annotations

import contextlib
import errno
import select
import socket
import struct
import sys
import weakref
from typing import Any, Final

__all__ = ["PLAIN", "KernelTimedStream", "StdlibStream", "stream_on"]

#: The class of sockets that block their thread alone; None where it was replaced before.
PLAIN: Final = socket.socket if socket.socket.__module__ == "socket" else None

# A struct timeval is two longs there; elsewhere its layout, and what a limit means, differ.
_KERNEL_KEEPS_LIMITS: Final = sys.platform == "linux" and struct.calcsize("l") == 8
#: Seconds that stand for a limit too large to be told.
_LONGEST: Final = 10.0**9


def stream_on(sock: socket.socket) -> StdlibStream:
    """Return the stream on a connected socket, which closes it."""
    if _KERNEL_KEEPS_LIMITS and type(sock) is PLAIN:
        return KernelTimedStream(sock)
    return StdlibStream(sock)


class StdlibStream:
    """A stream on a socket of the standard library."""

    __slots__ = ("__weakref__", "_poller", "_timeout", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._timeout: float | None = sock.gettimeout()
        self._poller: Any = None
        # A response or session dropped unclosed is no reason for a ResourceWarning. Held from
        # outside, the socket is not finalized before this: the collector keeps to no order.
        weakref.finalize(self, sock.close)

    def _limit(self, timeout: float | None) -> None:
        # settimeout is a system call: most of the time the limit is the last one's.
        if timeout != self._timeout:
            self.sock.settimeout(timeout)
            self._timeout = timeout

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        """Send all of it."""
        if timeout != self._timeout:
            self._limit(timeout)
        sent = self.sock.send(data)
        if sent < len(data):
            view = memoryview(data)
            while sent < len(view):
                sent += self.sock.send(view[sent:])

    def wait_readable(self, timeout: float | None) -> None:
        """Do nothing: ``recv`` waits by itself."""

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Wait for bytes and return up to ``most`` of them."""
        if timeout != self._timeout:
            self._limit(timeout)
        return self.sock.recv(most)

    receive_next = receive

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """As `receive`, into a buffer."""
        if timeout != self._timeout:
            self._limit(timeout)
        return self.sock.recv_into(buffer)

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
        with contextlib.suppress(OSError):
            self.sock.close()


class KernelTimedStream(StdlibStream):
    """A stream on a plain socket, whose limits on receiving the kernel keeps (``SO_RCVTIMEO``).

    A socket with a timeout of Python's is polled before each call of its, which doubles the system
    calls. This one blocks, and needs one for each. See socket(7).
    """

    __slots__ = ()

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(None)
        super().__init__(sock)

    def _limit(self, timeout: float | None) -> None:
        limit = b"\0" * 16  # no limit
        if timeout is not None:
            # Zero would be no limit: the shortest one is a microsecond.
            microseconds = max(int(min(timeout, _LONGEST) * 1e6), 1)
            limit = struct.pack("ll", *divmod(microseconds, 1_000_000))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._timeout = timeout

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        """Send all of it. The limit is for each wait until the peer takes more."""
        # A blocking send waits until all is taken, under one limit: this one takes what fits.
        try:
            sent = self.sock.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send_rest(memoryview(data).cast("B"), sent, timeout)

    def _send_rest(self, view: memoryview, sent: int, timeout: float | None) -> None:
        number = self.sock.fileno()
        if number < 0:
            raise OSError(errno.EBADF, "the connection is closed")
        poller = select.poll()
        poller.register(number, select.POLLOUT)
        limit = None if timeout is None else max(timeout, 0.0) * 1000
        while sent < len(view):
            if not poller.poll(limit):
                raise _timed_out()
            with contextlib.suppress(BlockingIOError):
                sent += self.sock.send(view[sent:], socket.MSG_DONTWAIT)

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Wait for bytes and return up to ``most`` of them."""
        if timeout != self._timeout:
            self._limit(timeout)
        try:
            return self.sock.recv(most)
        except BlockingIOError:
            raise _timed_out() from None

    receive_next = receive

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """As `receive`, into a buffer."""
        if timeout != self._timeout:
            self._limit(timeout)
        try:
            return self.sock.recv_into(buffer)
        except BlockingIOError:
            raise _timed_out() from None


def _timed_out() -> TimeoutError:
    return TimeoutError(errno.ETIMEDOUT, "timed out")
