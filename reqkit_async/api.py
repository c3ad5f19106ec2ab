"""Unsent requests, and how one of them is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent.event import AsyncResult

from reqkit import Request, Session
from reqkit.hooks import Hook
from reqkit.sessions.unsent import request_of

from ._types import Sending
from .pool.given import as_request
from .pool.pool import Pool
from .pool.sending import send_here

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "request", "send"]


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
        TypeError: an argument that does not exist, with the nearest one named; a session or a
            callback that is none.
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
    request: Request | str,
    pool: Any = None,
    prefetch: bool | None = True,
    stream: bool | None = None,
) -> Sending:
    """Start one greenlet that sends a request, and return it.

    Blocks only where ``pool`` is a full `gevent.pool.Pool`.

    Args:
        request: an unsent request, or a URL.
        pool: a `gevent.pool.Pool` to start the greenlet in, or a `Pool` to queue the request in.
        prefetch: read the body before the greenlet ends, unless the request says otherwise.
        stream: the contrary of ``prefetch``.

    Returns:
        a greenlet whose value is the `Response`: one with its ``error`` set where the request
        failed. Killing it stops the request.
    """
    if stream is not None:
        prefetch = not stream
    request = as_request(request)
    if isinstance(pool, Pool):
        handle = pool.spawn(request, prefetch)
        waiter = gevent.spawn(_wait_for, handle)
        # Also where it is killed before it ran.
        waiter.rawlink(lambda ended: None if handle.ready() else pool.stop(handle))
        queued: Sending = waiter
        return queued
    starter: Callable[..., Sending] = gevent.spawn if pool is None else pool.spawn
    return starter(send_here, request, bool(prefetch))


def _wait_for(handle: AsyncResult) -> Any:
    return handle.get()
