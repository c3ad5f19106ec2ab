"""Cookies made by the user's words, and the header that cookies are written as."""

from __future__ import annotations

import http.cookiejar
import time
from http.cookies import Morsel
from typing import TYPE_CHECKING, Any

from ..base.deferred import DeferredModule
from ..exceptions import InvalidHeader
from .cookie import Cookie
from .parsing import UNSENDABLE, parse_date
from .scope import ascii_host

if TYPE_CHECKING:
    import difflib
else:
    difflib = DeferredModule("difflib")

__all__ = ["cookie_header", "create_cookie", "morsel_to_cookie"]

_BAD_VALUE = (
    "control characters and ';' are not allowed in a cookie's name or value;"
    " quote them, for example with urllib.parse.quote()"
)


def create_cookie(name: str, value: Any, **kwargs: Any) -> Cookie:
    """Make a cookie, unbound where no domain is given.

    Args:
        name: its name.
        value: text, or a number that is written as text; None for a cookie without a value.
        **kwargs: ``version port domain path secure expires discard comment comment_url rest
            rfc2109``. A domain counts for the hosts below it too; ``expires`` is in seconds since
            1970.

    Raises:
        InvalidHeader: the name or the value cannot be sent. The value is not in the message.
        TypeError: a keyword is unknown, or the name or the value is of another type.
    """
    fields: dict[str, Any] = {
        "version": 0,
        "port": None,
        "domain": "",
        "path": "/",
        "secure": False,
        "expires": None,
        "discard": True,
        "comment": None,
        "comment_url": None,
        "rest": {"HttpOnly": None},
        "rfc2109": False,
    }
    for key in kwargs:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f": expected {', '.join(fields)}"
            raise TypeError(f"create_cookie() got an unexpected keyword argument {key!r}{hint}")
    fields.update(kwargs)
    domain, path = fields["domain"] or "", fields["path"] or "/"
    if not domain.isascii():
        domain = "." * domain.startswith(".") + ascii_host(domain.removeprefix("."))
    fields["domain"], fields["path"] = domain, path
    return Cookie(
        name=_checked_name(name),
        value=_checked_value(name, value),
        port_specified=bool(fields["port"]),
        domain_specified=bool(domain),
        domain_initial_dot=domain.startswith("."),
        path_specified=bool(path),
        **fields,
    )


def _checked_name(name: Any) -> str:
    if not isinstance(name, str):
        raise TypeError(f"a cookie's name is {name!r}: expected a str")
    if not name or "=" in name or not _is_sendable(name, 0):
        raise InvalidHeader(
            f"a cookie cannot be named {name!r}: expected a name without '=', ';' and control"
            " characters"
        )
    return name


def _checked_value(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, (int, float)):
        return str(value)
    if not isinstance(value, str):
        raise TypeError(
            f"the value of the cookie {name!r} is of type {type(value).__name__}: expected a str,"
            " or a number"
        )
    if not _is_sendable(value, 0):
        raise InvalidHeader(f"the cookie {name!r} cannot be sent: {_BAD_VALUE}")
    return value


def morsel_to_cookie(morsel: Morsel[Any]) -> Cookie:
    """Make a cookie of one of `http.cookies`.

    One that was never given a name makes a cookie without one, which no jar takes.

    Raises:
        InvalidHeader: it cannot be sent.
        TypeError: its Max-Age is no number, or its Expires no text.
        ValueError: its Expires is no date.
    """
    expires: int | None = None
    if morsel["max-age"]:
        try:
            expires = int(time.time() + int(morsel["max-age"]))
        except ValueError as error:
            raise TypeError(
                f"the cookie {morsel.key!r}: max-age is {morsel['max-age']!r}: expected seconds"
            ) from error
    elif morsel["expires"]:
        expires = parse_date(str(morsel["expires"]))
        if expires is None:
            wrong = ValueError if isinstance(morsel["expires"], str) else TypeError
            raise wrong(
                f"the cookie {morsel.key!r}: expires is {morsel['expires']!r}: expected a date"
                " such as 'Wed, 01 Jan 2031 00:00:00 GMT'"
            )
    # The coded value is the one made to be sent, where the plain one cannot be.
    value = morsel.value
    if isinstance(value, str) and not _is_sendable(value, 0):
        value = morsel.coded_value
    cookie = create_cookie(
        "unnamed" if morsel.key is None else morsel.key,
        value,
        comment=morsel["comment"] or None,
        discard=expires is None,
        domain=morsel["domain"],
        expires=expires,
        path=morsel["path"],
        rest={"HttpOnly": None} if morsel["httponly"] else {},
        secure=bool(morsel["secure"]),
    )
    cookie.name = morsel.key
    return cookie


def cookie_header(cookies: list[http.cookiejar.Cookie]) -> str:
    """Return the value of a Cookie header, the values as they were set or received.

    A cookie beyond latin-1 goes as UTF-8, the others as latin-1, so that a received value goes
    back as the same bytes. The result can be encoded as latin-1.

    Raises:
        InvalidHeader: a cookie has a control character or a ``;``. The message has its name only.
    """
    parts = [c.name if c.value is None else f"{c.name}={c.value}" for c in cookies]
    header = "; ".join(parts)
    if _is_sendable(header, len(parts) - 1) and header.isascii():
        return header
    for index, part in enumerate(parts):
        name = cookies[index].name
        if not _is_sendable(part, 0):
            raise InvalidHeader(f"the cookie {name!r} cannot be sent: {_BAD_VALUE}")
        try:
            part.encode("latin-1")
        except UnicodeEncodeError:
            parts[index] = _as_utf8(name, part)
    return "; ".join(parts)


def _as_utf8(name: str, part: str) -> str:
    try:
        return part.encode("utf-8").decode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidHeader(f"the cookie {name!r} cannot be encoded as UTF-8") from error


def _is_sendable(text: str, semicolons: int) -> bool:
    return text.count(";") == semicolons and UNSENDABLE.search(text) is None
