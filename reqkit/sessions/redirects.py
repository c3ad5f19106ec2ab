"""Which message comes next when an answer sends the client elsewhere."""

from __future__ import annotations

from typing import Final

from ..exceptions import (
    InvalidSchema,
    InvalidURL,
    RequestException,
    TotalTimeout,
    UnrewindableBodyError,
)
from ..message import urls
from ..message.prepare import PreparedRequest
from ..message.response import Response
from ..message.urls import Target, without_secrets
from ..timeouts import clock

__all__ = [
    "drain",
    "forsake",
    "may_keep_auth",
    "next_message",
    "redirect_location",
    "redirect_method",
]

#: Set by hand, these are meant for the host that they were given for.
_HOST_BOUND = ("host", "authorization", "cookie", "proxy-authorization")
#: What describes a body that is not sent again (RFC 9110 section 15.4).
#: ``Content-*`` besides.
_BODY_HEADERS = frozenset(("transfer-encoding", "digest", "repr-digest", "expect", "trailer"))

#: Bytes of a redirect's body that are read so that its connection can be kept.
_MOST_DRAINED: Final = 256 * 1024
#: Seconds after which that is given up: a new connection is made sooner.
_LONGEST_DRAIN: Final = 1.0


def redirect_location(response: Response) -> str | None:
    """Return where an answer points to, or None where it is no redirect."""
    if not response.is_redirect:
        return None
    location: str = response.headers["location"]
    # Servers send raw UTF-8 in a field that is read as Latin-1.
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return location


def redirect_method(method: str | None, status: int | None) -> str | None:
    """Return the method of the next message, as browsers have it (RFC 9110 section 15.4)."""
    if status == 303 and method != "HEAD":
        return "GET"
    if status == 302 and method != "HEAD":
        return "GET"
    if status == 301 and method == "POST":
        return "GET"
    return method


def may_keep_auth(before: Target, after: Target) -> bool:
    """Tell whether what was meant for one origin may go to another.

    It may to the same origin, and from http to https of one host on default ports.
    """
    if before.origin == after.origin:
        return True
    return before.host == after.host and (before.scheme, before.port, after.scheme, after.port) == (
        "http",
        80,
        "https",
        443,
    )


def next_message(
    response: Response, sent: PreparedRequest, location: str | None = None
) -> PreparedRequest | None:
    """Make the message that an answer asks for, without auth and cookies, or None.

    Args:
        response: the answer.
        sent: the message that it answers.
        location: where it points to, where somebody else has found that.

    Raises:
        InvalidURL, InvalidSchema: Location is not an http(s) URL.
        UnrewindableBodyError: the body must be sent again and cannot be.
    """
    if location is None:
        if not response.is_redirect:
            return None
        location = response.headers["location"]
    before = sent.target
    after = _place_to_go(response, before, location)
    message = sent.copy()
    message.url = after.url
    message._target = after
    message._encode = True
    _take_off_auth_and_cookies(message, sent)
    _leave_behind(message, before, after)
    _repeat_or_get(message, sent, response)
    return message


def _place_to_go(response: Response, before: Target, location: str) -> Target:
    """Return where a Location leads from a URL (RFC 9110 section 10.2.2)."""
    try:
        url = urls.join(before.url, location)
        after = urls.prepare_url(url)
    except InvalidSchema:
        raise
    except ValueError as error:
        raise InvalidURL(
            f"{without_secrets(before.url)} redirects to {without_secrets(location)[:200]!r},"
            f" which is no URL to go to: {error}",
            response=response,
        ) from error
    if after.scheme not in ("http", "https"):
        raise InvalidSchema(
            f"{without_secrets(before.url)} redirects to {without_secrets(url)[:200]!r}:"
            " only http and https are followed",
            response=response,
        )
    return after


def _take_off_auth_and_cookies(message: PreparedRequest, sent: PreparedRequest) -> None:
    """Take off what was written for one message alone: it is written anew, or not at all."""
    if message._credentials is None:
        return
    credentials = message._credentials
    for hook in credentials.auth_hooks or ():
        message.hooks.deregister("response", hook)
    credentials.auth = None
    credentials.auth_hooks = None
    if credentials.bare is not None:
        keep = {name: sent.headers[name] for name in ("content-length", "transfer-encoding")
                if name in sent.headers}  # fmt: skip
        message.headers = credentials.bare
        message.headers.update(keep)
        credentials.bare = None
    if credentials.wrote_cookies:
        message.headers.pop("Cookie", None)
        credentials.wrote_cookies = False


def _leave_behind(message: PreparedRequest, before: Target, after: Target) -> None:
    """Take off what was set by hand for a host that the message does not go to."""
    headers = message.headers
    if not may_keep_auth(before, after):
        # `Host` set by hand names a host of the first server's.
        for name in _HOST_BOUND:
            headers.pop(name, None)
    elif before.host != after.host or before.port != after.port:
        headers.pop("Host", None)


def _repeat_or_get(message: PreparedRequest, sent: PreparedRequest, response: Response) -> None:
    """Set the method, and have the body repeated or dropped (RFC 9110 section 15.4)."""
    repeats = response.status_code in (307, 308)
    method = redirect_method(sent.method, response.status_code)
    if not repeats:
        message.method = method
    if not repeats and (method != sent.method or response.status_code == 303):
        message.body = None
        message._length = None
        for name in list(message.headers):
            lower = name.lower()
            if lower in _BODY_HEADERS or lower.startswith("content-"):
                del message.headers[name]
    elif message.body is not None:
        try:
            message.rewind()
        except UnrewindableBodyError as error:
            error.response = response
            raise


def drain(response: Response) -> None:
    """Read the body of a redirect or a challenge, so that the connection is kept. Blocks.

    It is not decoded, and a large or slow one is not worth it: its connection is closed.
    """
    source = response._source
    if response._whole is not None or source is None:
        return
    parts: list[bytes] = []
    size = 0
    ends = clock() + _LONGEST_DRAIN
    try:
        while size <= _MOST_DRAINED and (left := ends - clock()) > 0:
            data = source.read(65536, left)
            if not data:
                response._whole = b"".join(parts)
                response._source = None
                return
            parts.append(data)
            size += len(data)
    except TotalTimeout:
        raise  # the next message would have no time either
    except RequestException:
        pass  # its head has said where to go
    response.close()
    response._streamed = True


def forsake(response: Response, error: BaseException) -> None:
    """Close an answer that nobody gets, since an error has ended what it was for.

    Else it keeps its connection, and its place in a pool that blocks, for as long as somebody keeps
    the error: the frames of its traceback hold the answer. One that the error itself has is the
    user's to read.
    """
    if getattr(error, "response", None) is not response:
        response.close()
