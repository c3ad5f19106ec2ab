"""What the functions take and return, as a type checker sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from reqkit import Request, Response

__all__ = ["Handler", "Sending"]

T = TypeVar("T")
Handler = Callable[[Request, Exception], T]


class Sending(Protocol):
    """What `send` returns, as a type checker sees it: a `gevent.Greenlet` of a `Response`.

    Attributes:
        value: the response, once there is one.
        dead: whether it has ended.
    """

    value: Response | None
    dead: bool

    def get(self, block: bool = True, timeout: float | None = None) -> Response:
        """Wait for the response."""

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end."""

    def kill(self, exception: Any = ..., block: bool = True, timeout: float | None = None) -> None:
        """Stop the request."""

    def ready(self) -> bool:
        """Tell whether it has ended."""

    def successful(self) -> bool:
        """Tell whether it has ended with a value."""

    def link(self, callback: Callable[[Any], Any]) -> None:
        """Have a function called with the greenlet when it has ended."""

    def rawlink(self, callback: Callable[[Any], Any]) -> None:
        """As `link`, called in the hub: the function may not wait."""
