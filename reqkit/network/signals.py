"""Places for one to wait in until another thread, or another greenlet, calls."""

from __future__ import annotations

import contextlib
import socket

from ..base.locks import native_lock

__all__ = ["NativeSignal", "SocketSignal"]

#: What `lock.acquire` takes at most.
_LONGEST = 1e6


class NativeSignal:
    """Blocks the native thread that waits."""

    __slots__ = ("_lock", "blocks")

    def __init__(self) -> None:
        self.blocks: bool = True
        self._lock = native_lock()
        self._lock.acquire()

    def wait(self, timeout: float | None) -> bool:
        """Wait to be called; False where that took longer than ``timeout`` seconds."""
        if timeout is None:
            return bool(self._lock.acquire())
        return bool(self._lock.acquire(timeout=min(timeout, _LONGEST)))

    def call(self) -> None:
        """Have the wait end."""
        with contextlib.suppress(RuntimeError):  # it was called before
            self._lock.release()

    def close(self) -> None:
        """Do nothing: a lock is memory."""


class SocketSignal:
    """Waits for a byte: where sockets are patched, in whatever patched them."""

    __slots__ = ("_reader", "_writer", "blocks")

    def __init__(self) -> None:
        self.blocks: bool = False
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)  # who calls may be in another loop, or in none

    def wait(self, timeout: float | None) -> bool:
        """Wait to be called; False where that took longer than ``timeout`` seconds."""
        self._reader.settimeout(timeout)
        try:
            return bool(self._reader.recv(1))
        except TimeoutError:
            return False

    def call(self) -> None:
        """Have the wait end."""
        with contextlib.suppress(OSError):
            self._writer.send(b"!")

    def close(self) -> None:
        """Close both ends."""
        self._reader.close()
        self._writer.close()
