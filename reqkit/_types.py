"""Shapes that several floors share."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Stream"]


class Stream(Protocol):
    """A connected stream of bytes. Every limit is in seconds; None waits without limit.

    A limit that runs out is a ``TimeoutError``; what the peer or the network does wrong is another
    ``OSError``.
    """

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        """Send all of it. The limit is for each wait until the peer takes more."""

    def wait_readable(self, timeout: float | None) -> None:
        """Wait, where it is cheaper than to try first, until `receive` has something to give."""

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Wait for bytes and return up to ``most`` of them; none mean that the peer has ended."""

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """As `receive`, into a buffer; return how many."""

    def is_readable(self) -> bool:
        """Tell, without waiting, whether bytes or an end are there to be read."""

    def close(self) -> None:
        """Close it. Never raises and may be called again."""
