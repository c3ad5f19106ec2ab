"""Unsent requests, and the functions that send many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent
from gevent.event import AsyncResult

from reqkit import Request, Session
from reqkit.arguments import request_of
from reqkit.hooks import Hook
from reqkit.settings import unknown

from .calls import OF_CALLS
from .dispatch import Pool
from .sending import check_request, send_here

__all__ = [
    "delete", "get", "head", "imap", "imap_enumerated", "imap_unordered", "map", "options",
    "patch", "post", "put", "request", "send",
]  # fmt: skip


def request(
    method: str,
    url: Any,
    *,
    session: Session | None = None,
    callback: Hook | None = None,
    **keywords: Any,
) -> Request:
    """Make an unsent request. Costs next to nothing; nothing is looked at before it is sent.

    Args:
        method: ``GET``, ``POST``, ….
        url: where to, with its scheme.
        session: whose defaults, cookies and connections count; requests without one share
            connections with each other, never cookies.
        callback: one more ``response`` hook, after the request's and the session's.
        **keywords: as for `reqkit.request`.

    Raises:
        TypeError: an argument that does not exist; the text has the nearest one.
        ValueError: a hook that does not exist.
    """
    if session is not None:
        keywords["session"] = session
    if callback is not None:
        keywords["callback"] = callback
    return request_of(method, url, keywords)


def get(url: Any, params: Any = None, **keywords: Any) -> Request:
    """Make an unsent GET; see `request`."""
    if params is not None:
        keywords["params"] = params
    return request_of("GET", url, keywords)


def options(url: Any, **keywords: Any) -> Request:
    """Make an unsent OPTIONS; see `request`."""
    return request_of("OPTIONS", url, keywords)


def head(url: Any, **keywords: Any) -> Request:
    """Make an unsent HEAD, which follows no redirects unless told to; see `request`."""
    return request_of("HEAD", url, keywords)


def post(url: Any, data: Any = None, json: Any = None, **keywords: Any) -> Request:
    """Make an unsent POST; see `request`."""
    if data is not None:
        keywords["data"] = data
    if json is not None:
        keywords["json"] = json
    return request_of("POST", url, keywords)


def put(url: Any, data: Any = None, **keywords: Any) -> Request:
    """Make an unsent PUT; see `request`."""
    if data is not None:
        keywords["data"] = data
    return request_of("PUT", url, keywords)


def patch(url: Any, data: Any = None, **keywords: Any) -> Request:
    """Make an unsent PATCH; see `request`."""
    if data is not None:
        keywords["data"] = data
    return request_of("PATCH", url, keywords)


def delete(url: Any, **keywords: Any) -> Request:
    """Make an unsent DELETE; see `request`."""
    return request_of("DELETE", url, keywords)


def send(
    request: Request, pool: Any = None, prefetch: bool | None = True, stream: bool | None = None
) -> gevent.Greenlet:
    """Start one greenlet that sends a request, and return it.

    Blocks only where ``pool`` is a full `gevent.pool.Pool`.

    Args:
        request: an unsent request.
        pool: a `gevent.pool.Pool` to start the greenlet in, or a `Pool` to queue the request in.
        prefetch: read the body before the greenlet ends, unless the request says otherwise.
        stream: the contrary of ``prefetch``.

    Returns:
        a greenlet whose value is the `Response`: one with its ``error`` set where the request
        failed. Killing it stops the request.
    """
    if stream is not None:
        prefetch = not stream
    if not isinstance(request, Request):
        raise check_request(request)
    if isinstance(pool, Pool):
        handle = pool.spawn(request, prefetch)
        waiter = gevent.spawn(_wait_for, handle)
        # Also where it is killed before it ran.
        waiter.rawlink(lambda ended: None if handle.ready() else pool.stop(handle))
        return waiter
    starter: Callable[..., gevent.Greenlet] = gevent.spawn if pool is None else pool.spawn
    return starter(send_here, request, bool(prefetch))


def _wait_for(handle: AsyncResult) -> Any:
    return handle.get()


def map(
    requests: Iterable[Any],
    size: int | None = None,
    prefetch: bool = True,
    exception_handler: Callable[[Any, Any], Any] | None = None,
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
        size, exception_handler, timeout if gtimeout is None else gtimeout,
        prefetch if stream is None else not stream, settings,
    )  # fmt: skip
    return pool.map(requests)


def imap(
    requests: Iterable[Any],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: Callable[[Any, Any], Any] | None = None,
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
        size, exception_handler, timeout if gtimeout is None else gtimeout,
        prefetch if stream is None else not stream, settings,
    )  # fmt: skip
    return pool.imap(requests)


def imap_unordered(
    requests: Iterable[Any],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: Callable[[Any, Any], Any] | None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[Any]:
    """Yield entries as they end; else as `imap`."""
    pool = _pool(
        size, exception_handler, timeout if gtimeout is None else gtimeout,
        prefetch if stream is None else not stream, settings,
    )  # fmt: skip
    return pool.imap_unordered(requests)


def imap_enumerated(
    requests: Iterable[Any],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: Callable[[Any, Any], Any] | None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Any,
) -> Iterator[tuple[int, Any]]:
    """Yield pairs of a request's index and its entry, as they end; else as `imap`."""
    pool = _pool(
        size, exception_handler, timeout if gtimeout is None else gtimeout,
        prefetch if stream is None else not stream, settings,
    )  # fmt: skip
    return pool.imap_enumerated(requests)


def _pool(
    size: int | None, exception_handler: Any, timeout: Any, prefetch: bool, settings: dict[str, Any]
) -> Pool:
    for name in settings:
        if name not in _SETTINGS:
            known = dict.fromkeys(("size", "gtimeout", "stream", *OF_CALLS, *_SETTINGS))
            raise unknown("map", [name], tuple(known))
    return Pool(
        size, exception_handler=exception_handler, timeout=timeout, prefetch=prefetch, **settings
    )


_SETTINGS = ("per_host", "rate", "delay", "session", "retries", "raise_errors", "progress")
