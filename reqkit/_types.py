"""Shapes that several floors share, and what the functions take: the one source of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol, TypedDict

__all__ = ["ConfigDict", "HooksDict", "Keywords", "SessionKeywords", "SessionLike", "Stream"]


class HasUrl(Protocol):
    """An object whose text is a URL."""

    @property
    def host(self) -> Any:
        """The URL's host."""

    def __str__(self) -> str: ...


if TYPE_CHECKING:
    from http.cookiejar import CookieJar
    from os import PathLike

    from urllib3.util import Retry
    from urllib3.util import Timeout as Urllib3Timeout

    from .timeouts import Timeouts

    Text = str | bytes
    Path = str | PathLike[str]
    #: A URL, or what has one as its text (``yarl.URL``, ``httpx.URL``, ``furl``).
    Url = str | bytes | HasUrl
    Params = Mapping[Any, Any] | Iterable[tuple[Any, Any]] | Text | None
    Data = Mapping[Any, Any] | Iterable[Any] | Text | bytearray | memoryview | IO[Any] | None
    Headers = Mapping[str, Text | None] | Mapping[str, str] | Iterable[tuple[Text, Text]] | None
    Cookies = Mapping[str, str | None] | Mapping[str, str] | CookieJar | None
    #: A file's content, or ``(filename, content[, type[, headers]])``.
    File = (
        Text
        | IO[Any]
        | PathLike[str]
        | tuple[str | None, Any]
        | tuple[str | None, Any, str | None]
        | tuple[str | None, Any, str | None, Mapping[str, str]]
    )
    Files = Mapping[str, File] | Mapping[str, Any] | Iterable[tuple[str, Any]] | None
    Auth = tuple[Text, Text] | Callable[[Any], Any] | None
    Timeout = float | tuple[float | None, float | None] | Timeouts | Urllib3Timeout | None
    Proxies = Mapping[str, str | None] | Mapping[str, str] | None
    Verify = bool | Path | None
    Cert = Path | tuple[Path, Path] | None
    Hook = Callable[..., Any]
    HookOrHooks = Hook | Iterable[Hook] | None


class SessionLike(Protocol):
    """A `reqkit.Session`, as the floors below it see one."""

    def prepare_request(self, request: Any) -> Any:
        """Return the message of an unsent request."""

    def close(self) -> None:
        """Close the connections."""


class ConfigDict(TypedDict, total=False):
    """What ``config`` may say; see the documentation's table."""

    base_headers: Headers
    verbose: Any
    max_redirects: int
    keep_alive: bool
    max_retries: int | Retry
    danger_mode: bool
    safe_mode: bool
    pool_connections: int
    pool_maxsize: int
    encode_uri: bool
    store_cookies: bool
    trust_env: bool
    retry_after_max: float
    http2: bool | Literal["auto", "prior"]
    max_content_size: int | None
    strict: bool
    trace: Any


class HooksDict(TypedDict, total=False):
    """What ``hooks`` may say: a function or several for each name."""

    args: HookOrHooks
    pre_request: HookOrHooks
    post_request: HookOrHooks
    response: HookOrHooks


class Keywords(TypedDict, total=False):
    """What every call takes beside its URL, ``params``, ``data`` and ``json``."""

    headers: Headers
    cookies: Cookies
    files: Files
    auth: Auth
    timeout: Timeout
    allow_redirects: bool | None
    proxies: Proxies
    hooks: HooksDict | None
    verify: Verify
    cert: Cert
    config: ConfigDict | None
    prefetch: bool | None
    stream: bool | None
    context: Any
    session: SessionLike | None  #: of one-shot functions and unsent requests


class SessionKeywords(TypedDict, total=False):
    """The defaults that a session may have."""

    headers: Headers
    cookies: Cookies
    auth: Auth
    timeout: Timeout
    proxies: Proxies
    hooks: HooksDict | None
    params: Params
    config: ConfigDict | None
    verify: Verify
    cert: Cert
    prefetch: bool
    base_url: Url | None
    allow_address: Callable[..., bool] | None


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

    def is_here(self) -> bool:
        """Tell whether what runs now may call the others of these, but for `soon`."""

    def soon(self, call: Callable[[], Any]) -> Any:
        """Have something called once, after what runs now; from anywhere."""

    def receive_now(self, buffer: memoryview) -> int | None:
        """Take what is there into a buffer; return how many bytes, 0 at the end; None: nothing.

        Never blocks.
        """

    def receive_some(self, most: int) -> bytes | None:
        """Return bytes that are there, none at the end; None where nothing is. Never blocks."""

    def send_now(self, data: bytes | memoryview) -> int:
        """Take bytes to be sent; return how many. Never blocks."""

    def flush_now(self) -> bool:
        """Send on what was taken; tell whether all of it is gone. Never blocks."""
