"""The scheme of a name and a password, readable to who sees them: Basic (RFC 7617)."""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final

from ..exceptions import InvalidHeader
from .base import MessageT, PasswordAuth

__all__ = ["HTTPBasicAuth", "HTTPProxyAuth", "basic_header"]

_CONTROL: Final = re.compile(rb"[\x00-\x1f\x7f]")


def basic_header(user: str | bytes, password: str | bytes) -> str:
    """Return the value of an Authorization header for Basic.

    Text goes as Latin-1 where all of it fits, else as UTF-8; bytes go as they are.

    Raises:
        InvalidHeader: a colon in the user's name, or a control character in either. It is a
            ``ValueError``, and does not show the password.
    Source: RFC 7617 section 2.
    """
    charset = "latin-1"
    try:
        for part in (user, password):
            if isinstance(part, str):
                part.encode("latin-1")
    except UnicodeEncodeError:
        charset = "utf-8"
    name, secret = _octets(user, charset, "user name"), _octets(password, charset, "password")
    if b":" in name:
        raise InvalidHeader(
            f"the user name {user!r} has a colon: Basic auth ends the name at the first one,"
            " so the server would read another name and password"
        )
    if _CONTROL.search(name):
        raise InvalidHeader(
            f"the user name {user!r} has a control character (a line's end?): expected none"
        )
    if _CONTROL.search(secret):
        raise InvalidHeader(
            f"the password of {user!r} has a control character (a line's end?): expected none"
        )
    return "Basic " + b64encode(name + b":" + secret).decode("ascii")


def _octets(value: str | bytes, charset: str, what: str) -> bytes:
    if isinstance(value, bytes):
        return value
    try:
        return value.encode(charset)
    except UnicodeEncodeError:
        # The error shows the text, and is not chained for that.
        raise InvalidHeader(
            f"the {what} has half of a surrogate pair: expected text that has a UTF-8 form"
        ) from None


class HTTPBasicAuth(PasswordAuth):
    """Basic auth: the name and password go with each request, readable to who sees it.

    Args:
        username: str or bytes, without a colon.
        password: str or bytes.

    Raises:
        InvalidHeader: see `basic_header`.
        TypeError: neither str nor bytes.
    Source: RFC 7617.
    """

    __module__ = "reqkit.auth"

    def __init__(self, username: str | bytes, password: str | bytes) -> None:
        super().__init__(username, password)
        basic_header(username, password)

    def __call__(self, r: MessageT) -> MessageT:
        """Set the Authorization header. Never blocks."""
        r.headers["Authorization"] = basic_header(self.username, self.password)
        return r


class HTTPProxyAuth(HTTPBasicAuth):
    """Basic auth for the proxy: as `HTTPBasicAuth`, in the Proxy-Authorization header."""

    __module__ = "reqkit.auth"

    def __call__(self, r: MessageT) -> MessageT:
        """Set the Proxy-Authorization header. Never blocks."""
        r.headers["Proxy-Authorization"] = basic_header(self.username, self.password)
        return r
