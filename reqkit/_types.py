"""Shapes that several floors share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypedDict

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Keywords", "SharedStream", "Stream"]


class Keywords(TypedDict, total=False):
    """What every call takes beside ``params``, ``data`` and ``json``, for type checkers."""

    headers: Any
    cookies: Any
    files: Any
    auth: tuple[str | bytes, str | bytes] | Callable[[Any], Any] | None
    timeout: Any
    allow_redirects: bool | None
    proxies: Mapping[str, str | None] | None
    hooks: Mapping[str, Callable[..., Any] | Iterable[Callable[..., Any]] | None] | None
    verify: bool | str | PathLike[str] | None
    cert: str | PathLike[str] | tuple[str | PathLike[str], str | PathLike[str]] | None
    config: Mapping[str, Any] | None
    prefetch: bool | None
    stream: bool | None
    context: Any
    session: Any  #: a `Session`; of one-shot functions only


class Stream(Protocol):
    """A connected stream of bytes. Every limit is in seconds; None waits without limit.

    A limit that runs out is a ``TimeoutError``; what the peer or the network does wrong is another
    ``OSError``.
    """

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        """Send all of it. The limit is for each wait until the peer takes more."""

    def wait_readable(self, timeout: float | None) -> None:
        """Wait, where it is cheaper than to try first, until `receive` has something to give."""

    def receive_next(self, most: int, timeout: float | None) -> bytes:
        """As `wait_readable` and then `receive`: for what cannot be there yet."""

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Wait for bytes and return up to ``most`` of them; none mean that the peer has ended."""

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """As `receive`, into a buffer; return how many."""

    def is_readable(self) -> bool:
        """Tell, without waiting, whether bytes or an end are there to be read."""

    def close(self) -> None:
        """Close it. Never raises and may be called again."""


class SharedStream(Stream, Protocol):
    """A stream that many share: its scope's scheduler calls, and nobody waits in it."""

    def watch(self, call: Callable[[], Any]) -> None:
        """Have something called whenever bytes are there, until `unwatch`. It must not wait."""

    def unwatch(self) -> None:
        """Take `watch` and `watch_writable` back."""

    def watch_writable(self, call: Callable[[], Any] | None) -> None:
        """Have something called whenever more can be sent; None takes that back."""

    def soon(self, call: Callable[[], Any]) -> None:
        """Have something called once, after what runs now; from anywhere."""

    def receive_now(self, most: int) -> bytes | None:
        """Return bytes that are there, none at the end; None where nothing is. Never blocks."""

    def send_now(self, data: bytes | memoryview) -> int:
        """Take bytes to be sent; return how many. Never blocks."""

    def flush_now(self) -> bool:
        """Send on what was taken; tell whether all of it is gone. Never blocks."""
