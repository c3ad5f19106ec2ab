"""One-shot functions: a request without a session of the user's."""

from __future__ import annotations

from typing import Any

from .sessions import one_shot

__all__ = ["delete", "get", "head", "options", "patch", "post", "put", "request"]


def request(method: str, url: Any, *, session: Any = None, **keywords: Any) -> Any:
    """Send a request. Blocks until the head of the answer is there.

    One-shot calls share connections with each other, never cookies.

    Args:
        method: ``GET``, ``POST``, ….
        url: where to, with its scheme.
        session: the `Session` to send it through, in place of a fresh one.
        **keywords: ``params`` (dictionary, pairs or str, added to the query), ``data`` (a form's
            dictionary or pairs, str, bytes, a file, an iterable of bytes), ``json``, ``headers``,
            ``cookies``, ``files`` (name to file, bytes, or ``(filename, file[, type[,
            headers]])``), ``auth`` (a pair for Basic, or a callable), ``timeout`` (seconds,
            ``(connect, read)``, `Timeouts`, or None for no limit), ``allow_redirects``,
            ``proxies``, ``hooks``, ``verify`` (True, False, a CA file or folder), ``cert`` (a file
            or ``(cert, key)``), ``config``, ``prefetch`` (True reads the body before this
            returns; ``stream=`` is its contrary), ``return_response`` (False gives the unsent
            `Request`).

    Returns:
        the `Response`; whoever gets it reads or closes it.

    Raises:
        RequestException: the root of all errors: `URLRequired`, `MissingSchema`, `InvalidURL`,
            `InvalidSchema`, `InvalidHeader` before anything is sent; `ConnectTimeout`, `SSLError`,
            `ProxyError`, `ConnectionError` where no connection could be made (a retry is safe) or
            it broke; `ReadTimeout`, `TotalTimeout`, `TooManyRedirects`, and, once the body is
            read, `ChunkedEncodingError`, `ContentDecodingError`, `ContentTooLarge`.
        TypeError: an argument that does not exist; the text has the nearest one.
    """
    sender = one_shot() if session is None else session
    return sender.request(method, url, **keywords)


def get(url: Any, params: Any = None, **keywords: Any) -> Any:
    """Send a GET; see `request`."""
    return request("GET", url, params=params, **keywords)


def options(url: Any, **keywords: Any) -> Any:
    """Send an OPTIONS; see `request`."""
    return request("OPTIONS", url, **keywords)


def head(url: Any, **keywords: Any) -> Any:
    """Send a HEAD, which follows no redirects unless told to; see `request`."""
    return request("HEAD", url, **keywords)


def post(url: Any, data: Any = None, json: Any = None, **keywords: Any) -> Any:
    """Send a POST; see `request`."""
    return request("POST", url, data=data, json=json, **keywords)


def put(url: Any, data: Any = None, **keywords: Any) -> Any:
    """Send a PUT; see `request`."""
    return request("PUT", url, data=data, **keywords)


def patch(url: Any, data: Any = None, **keywords: Any) -> Any:
    """Send a PATCH; see `request`."""
    return request("PATCH", url, data=data, **keywords)


def delete(url: Any, **keywords: Any) -> Any:
    """Send a DELETE; see `request`."""
    return request("DELETE", url, **keywords)
