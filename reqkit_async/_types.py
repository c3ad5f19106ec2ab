"""What the functions take and return, as a type checker sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, TypeVar

from reqkit import Request, Response, Session

if TYPE_CHECKING:
    from urllib3.util import Retry

__all__ = [
    "BatchKeywords", "CallKeywords", "Handler", "PoolKeywords", "Progress", "Sending", "Submitter",
]  # fmt: skip

T = TypeVar("T")
Handler = Callable[[Request, Exception], T]


class Bar(Protocol):
    """What shows how far a batch is: tqdm's bars, and what is like them."""

    def update(self, n: int = 1, /) -> Any:
        """Go on by so many."""

    def close(self) -> Any:
        """Show that it has ended."""


class Submitter(Protocol):
    """What runs functions elsewhere: a ``concurrent.futures.Executor``, a Dask ``Client``."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Have a function run, and return its future."""


Progress = bool | Literal["always"] | Callable[[int, "int | None"], Any] | Bar | None


class _OfBatches(TypedDict, total=False):
    raise_errors: bool
    progress: Progress
    total: int | None


class _OfPools(TypedDict, total=False):
    per_host: int | None
    rate: float | str | None
    delay: float | None
    session: Session | None
    retries: int | Retry | None


class CallKeywords(_OfBatches, total=False):
    """What one call of a pool's methods may say by itself."""

    prefetch: bool
    stream: bool | None
    exception_handler: Callable[[Any, Any], Any] | None
    timeout: float | None
    gtimeout: float | None


class PoolKeywords(CallKeywords, _OfPools, total=False):
    """What a pool on this thread takes beside its size."""


class BatchKeywords(_OfBatches, _OfPools, total=False):
    """What `map` and the others take beside what they name themselves."""

    executor: Submitter | None
    workers: int | None


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
