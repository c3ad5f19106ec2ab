"""Unsent requests, and how one of them is sent."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import AsyncResult

from reqkit import Request
from reqkit._types import Keywords
from reqkit.base.signatures import explicit_signature
from reqkit.hooks import Hook
from reqkit.message.keywords import UNSET
from reqkit.sessions.unsent import request_of

from ._types import Sending
from .pool.options import check_switch
from .pool.pool import Pool
from .pool.requests import as_request
from .pool.sending import send_here
from .pool.spawned import SendingGreenlet

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from reqkit._types import Data, Params, Url

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "request", "send"]


class UnsentKeywords(Keywords, total=False):
    """What an unsent request of a batch takes, beside its URL, ``params``, ``data``, ``json``."""

    #: One more response hook, after the request's and the session's.
    callback: Hook | None
    #: Called with the request and its error where it fails: what it returns is the entry.
    exception_handler: Callable[[Any, Exception], Any] | None


_explicit = explicit_signature(UnsentKeywords, defaults={"timeout": UNSET})


def _made(
    method: str, url: Any, keywords: Any, params: Any, data: Any = None, json: Any = None
) -> Request:
    if params is not None:
        keywords["params"] = params
    if data is not None:
        keywords["data"] = data
    if json is not None:
        keywords["json"] = json
    return request_of(method, url, keywords)


@_explicit
def request(
    method: str,
    url: Url,
    *,
    params: Params = None,
    data: Data = None,
    json: Any = None,
    **keywords: Unpack[UnsentKeywords],
) -> Request:
    """Make an unsent request. Costs next to nothing; nothing is looked at before it is sent.

    Args:
        method: ``GET``, ``POST``, ….
        url: where to, with its scheme.
        params: as for `reqkit.request`.
        data: as for `reqkit.request`.
        json: as for `reqkit.request`.
        **keywords: as for `reqkit.request`; ``session`` (whose defaults, cookies and connections
            count; requests without one share connections with each other, never cookies),
            ``callback`` (one more ``response`` hook, after the request's and the session's),
            ``exception_handler`` (in place of the batch's).

    Raises:
        TypeError: an argument that does not exist, with the nearest one named; a session or a
            callback that is none.
        ValueError: a hook that does not exist.
    """
    return _made(method, url, keywords, params, data, json)


@_explicit
def get(
    url: Url,
    params: Params = None,
    *,
    data: Data = None,
    json: Any = None,
    **keywords: Unpack[UnsentKeywords],
) -> Request:
    """Make an unsent GET; see `request`."""
    given: Any = keywords
    if params is None and data is None and json is None:  # a call less for what most are
        return request_of("GET", url, given)
    return _made("GET", url, keywords, params, data, json)


@_explicit
def options(
    url: Url,
    *,
    params: Params = None,
    data: Data = None,
    json: Any = None,
    **keywords: Unpack[UnsentKeywords],
) -> Request:
    """Make an unsent OPTIONS; see `request`."""
    return _made("OPTIONS", url, keywords, params, data, json)


@_explicit
def head(
    url: Url,
    *,
    params: Params = None,
    data: Data = None,
    json: Any = None,
    **keywords: Unpack[UnsentKeywords],
) -> Request:
    """Make an unsent HEAD, which follows no redirects unless told to; see `request`."""
    return _made("HEAD", url, keywords, params, data, json)


@_explicit
def post(
    url: Url,
    data: Data = None,
    json: Any = None,
    *,
    params: Params = None,
    **keywords: Unpack[UnsentKeywords],
) -> Request:
    """Make an unsent POST; see `request`."""
    return _made("POST", url, keywords, params, data, json)


@_explicit
def put(
    url: Url,
    data: Data = None,
    *,
    params: Params = None,
    json: Any = None,
    **keywords: Unpack[UnsentKeywords],
) -> Request:
    """Make an unsent PUT; see `request`."""
    return _made("PUT", url, keywords, params, data, json)


@_explicit
def patch(
    url: Url,
    data: Data = None,
    *,
    params: Params = None,
    json: Any = None,
    **keywords: Unpack[UnsentKeywords],
) -> Request:
    """Make an unsent PATCH; see `request`."""
    return _made("PATCH", url, keywords, params, data, json)


@_explicit
def delete(
    url: Url,
    *,
    params: Params = None,
    data: Data = None,
    json: Any = None,
    **keywords: Unpack[UnsentKeywords],
) -> Request:
    """Make an unsent DELETE; see `request`."""
    return _made("DELETE", url, keywords, params, data, json)


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
        failed. Killing it stops the request. Waiting for it in another thread is a RuntimeError.
        What a hook raises to end the program (`sys.exit`) is raised by who waits for the greenlet,
        and told of on standard error where nobody has.
    """
    check_switch("prefetch", prefetch)
    check_switch("stream", stream)
    if stream is not None:
        prefetch = not stream
    request = as_request(request)
    if isinstance(pool, Pool):
        handle = pool.spawn(request, prefetch)
        waiter = SendingGreenlet.spawn(_wait_for, request, handle)
        # Also where it is killed before it ran.
        waiter.rawlink(lambda ended: None if handle.ready() else pool.stop(handle))
        queued: Sending = waiter
        return queued
    if pool is not None and getattr(pool, "greenlet_class", None) is not gevent.Greenlet:
        started: Sending = pool.spawn(send_here, request, bool(prefetch))
        return started
    sending: Sending = SendingGreenlet(send_here, request, bool(prefetch))
    start: Callable[..., Any] = SendingGreenlet.start if pool is None else pool.start
    start(sending)
    return sending


def _wait_for(request: Request, handle: AsyncResult) -> Any:
    return handle.get()
