"""Answers that others made: urllib3's, and those of adapters that build their own. Pure.

An adapter may give back a `Response` that it filled in by hand, with a file as its ``raw``, or the
response of another library with the same attributes (that of ``requests``, say).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..structures import CaseInsensitiveDict
from .response import Response

if TYPE_CHECKING:
    from .prepare import PreparedRequest

__all__ = ["adopted_response", "response_from_urllib3"]

#: What is kept of another library's response as it is.
_SAME = ("status_code", "reason", "url", "elapsed", "history", "raw")


def response_from_urllib3(request: PreparedRequest, raw: Any) -> Response:
    """Make a response of the request and of a urllib3 response, or one that looks like it.

    Args:
        request: what it answers.
        raw: has ``status``, ``reason`` and ``headers``, and gives the body.
    """
    response = Response()
    response.status_code = getattr(raw, "status", None)
    response.reason = getattr(raw, "reason", None)
    response.headers = joined_headers(getattr(raw, "headers", None) or {})
    response.url = request.url
    response.request = request
    response.raw = raw
    return response


def joined_headers(headers: Any) -> CaseInsensitiveDict:
    """Return headers of any kind, those that came more than once joined by ', '."""
    made = CaseInsensitiveDict()
    for name in headers:  # the items of urllib3's give each value by itself
        made[name] = headers[name]
    return made


def adopted_response(response: Any, request: PreparedRequest, adapter: Any) -> Response:
    """Return what an adapter of another's gave, as a response of ours with what it left out.

    Raises:
        TypeError: it is no response.
    """
    if not isinstance(response, Response):
        if not hasattr(response, "status_code") or not hasattr(response, "headers"):
            raise TypeError(
                f"the adapter {type(adapter).__name__} returned a {type(response).__name__}:"
                " expected a Response"
            )
        response = _adopted(response)
    ours: Response = response
    if not hasattr(ours.request, "target"):
        ours.request = request
    if ours.url is None:
        ours.url = request.url
    return ours


def _adopted(given: Any) -> Response:
    response = Response()
    for name in _SAME:
        value = getattr(given, name, None)
        if value is not None:
            setattr(response, name, value)
    response.headers = joined_headers(given.headers)
    content = getattr(given, "_content", False)
    if content is not False:
        response._content = content
    encoding = getattr(given, "encoding", None)
    # What requests says of any text without a charset is no more than a guess.
    if encoding is not None and encoding != "ISO-8859-1":
        response.encoding = encoding
    cookies = getattr(given, "cookies", None)
    if cookies is not None and len(cookies):
        response.cookies = cookies
    response.adopted = given  # type: ignore[attr-defined]  # it may close its file when it goes
    return response
