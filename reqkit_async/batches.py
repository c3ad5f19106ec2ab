"""The functions that send many requests, each with a `Pool` of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, TypeVar, overload

from reqkit import Request, Response
from reqkit.message.settings import unknown

from ._types import Handler
from .pool.options import BATCH_OPTIONS
from .pool.pool import Pool

__all__ = ["imap", "imap_enumerated", "imap_unordered", "map"]

T = TypeVar("T")


@overload
def map(
    requests: Iterable[Request | str],
    size: int | None = None,
    prefetch: bool = True,
    exception_handler: None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> list[Response]: ...


@overload
def map(
    requests: Iterable[Request | str],
    size: int | None = None,
    prefetch: bool = True,
    *,
    exception_handler: Handler[T],
    timeout: float | None = None,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> list[Response | T]: ...


@overload
def map(
    requests: Iterable[Request | str],
    size: int | None,
    prefetch: bool,
    exception_handler: Handler[T],
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> list[Response | T]: ...


def map(
    requests: Iterable[Request | str],
    size: int | None = None,
    prefetch: bool = True,
    exception_handler: Handler[Any] | None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> list[Any]:
    """Send all requests, at most ``size`` at a time; return one entry for each, in their order.

    Blocks until all have ended, while other greenlets run.

    Args:
        requests: unsent requests.
        size: how many are in flight at most; None for as many as there are descriptors for, but no
            more than a thousand.
        prefetch: read each body before this returns; a request's own setting comes first.
        exception_handler: called with a failed request and its error; what it returns, None too,
            is the entry.
        timeout: seconds for the whole call; what has not ended by then is stopped.
        gtimeout: another name for ``timeout``.
        stream: the contrary of ``prefetch``.
        **settings: ``raise_errors per_host rate delay retries progress session``: see `Pool`.

    Returns:
        responses; one that failed has its ``error`` set.

    Raises:
        RequestException: the first failure, with ``raise_errors``.
    """
    pool = _pool(
        "map", size, exception_handler, timeout, gtimeout,
        prefetch if stream is None else not stream, settings,
    )  # fmt: skip
    return pool.map(requests)


@overload
def imap(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[Response]: ...


@overload
def imap(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    *,
    exception_handler: Handler[T],
    timeout: float | None = None,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[Response | T]: ...


@overload
def imap(
    requests: Iterable[Request | str],
    size: int | None,
    prefetch: bool,
    exception_handler: Handler[T],
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[Response | T]: ...


def imap(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: Handler[Any] | None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[Any]:
    """Yield entries in the order of the requests, while others are on their way.

    Takes any iterable, an endless one too, and pulls from it only as there is room: at most
    ``size`` are in flight and ``size`` wait. Leaving the loop early stops what is in flight.

    Args:
        requests: unsent requests.
        size: how many are in flight at most.
        prefetch: as for `map`, and so are all the others.
        exception_handler: see `map`.
        timeout: see `map`.
        gtimeout: see `map`.
        stream: see `map`.
        **settings: see `map`.

    Raises:
        RequestException: the first failure, with ``raise_errors``.
        Exception: what ``requests`` raised, after what was sent before was handed over.
    """
    pool = _pool(
        "imap", size, exception_handler, timeout, gtimeout,
        prefetch if stream is None else not stream, settings,
    )  # fmt: skip
    return pool.imap(requests)


@overload
def imap_unordered(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[Response]: ...


@overload
def imap_unordered(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    *,
    exception_handler: Handler[T],
    timeout: float | None = None,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[Response | T]: ...


@overload
def imap_unordered(
    requests: Iterable[Request | str],
    size: int | None,
    prefetch: bool,
    exception_handler: Handler[T],
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[Response | T]: ...


def imap_unordered(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: Handler[Any] | None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[Any]:
    """Yield entries as they end; else as `imap`."""
    pool = _pool(
        "imap_unordered", size, exception_handler, timeout, gtimeout,
        prefetch if stream is None else not stream, settings,
    )  # fmt: skip
    return pool.imap_unordered(requests)


@overload
def imap_enumerated(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[tuple[int, Response]]: ...


@overload
def imap_enumerated(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    *,
    exception_handler: Handler[T],
    timeout: float | None = None,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[tuple[int, Response | T]]: ...


@overload
def imap_enumerated(
    requests: Iterable[Request | str],
    size: int | None,
    prefetch: bool,
    exception_handler: Handler[T],
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[tuple[int, Response | T]]: ...


def imap_enumerated(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: Handler[Any] | None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[tuple[int, Any]]:
    """Yield pairs of a request's index and its entry, as they end; else as `imap`."""
    pool = _pool(
        "imap_enumerated", size, exception_handler, timeout, gtimeout,
        prefetch if stream is None else not stream, settings,
    )  # fmt: skip
    return pool.imap_enumerated(requests)


def _pool(
    function: str,
    size: int | None,
    exception_handler: Any,
    timeout: Any,
    gtimeout: Any,
    prefetch: bool,
    settings: dict[str, Any],
) -> Pool:
    for name in settings:
        if name not in _SETTINGS:
            raise unknown(function, [name], dict.fromkeys(_KNOWN))
    return Pool(
        size,
        exception_handler=exception_handler,
        timeout=timeout,
        gtimeout=gtimeout,
        prefetch=prefetch,
        **settings,
    )


_SETTINGS = ("per_host", "rate", "delay", "session", "retries", "raise_errors", "progress")
_KNOWN = ("size", "gtimeout", "stream", *BATCH_OPTIONS, *_SETTINGS)
