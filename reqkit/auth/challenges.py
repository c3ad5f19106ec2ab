"""What a server asks for: the fields of HTTP authentication, read and written.

Sans-IO: text in, facts out. A reader of these fields meets whatever servers write, so it takes
what it can make out and leaves the rest; it never raises, and its time is linear in the text.

Source: RFC 9110 sections 11.2 to 11.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from ..exceptions import InvalidHeader

__all__ = ["Challenge", "parse_challenges", "parse_params", "quote"]


class Challenge(NamedTuple):
    """One challenge: a scheme, and either one token68 or parameters.

    ``scheme`` and the names of ``params`` are in lower case; the values are unquoted.
    """

    scheme: str
    token68: str | None
    params: dict[str, str]


_BETWEEN: Final = re.compile(r"[\s,]*")
_TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_EQUALS: Final = re.compile(r"[ \t]*=[ \t]*")
_QUOTED: Final = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?\Z)', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)

# RFC 9110 section 11.2: a value without quotes is a token. Servers leave the quotes away around
# base64 and paths too, so it goes on to the next comma or space.
_BARE: Final = re.compile(r'[^\s,"]+')

# A token68 fills its place: what comes after it is the next challenge, or nothing.
_TOKEN68: Final = re.compile(r"[ \t]+([A-Za-z0-9\-._~+/]+=*)[ \t]*(?=,|\Z)")

_UNWRITABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def parse_challenges(values: Iterable[str]) -> list[Challenge]:
    """Read the challenges of WWW-Authenticate or Proxy-Authenticate, in the server's order.

    An Authorization header has the form of one challenge, and can be read by this too.

    Args:
        values: the field's values; each may hold several challenges. A challenge does not go on
            from one value to the next.

    Returns:
        The challenges; what is none is left out. Of a parameter given twice the first counts.
    Source: RFC 9110 section 11.6.1.
    """
    found: list[Challenge] = []
    for value in values:
        _read(value, found, None)
    return found


def parse_params(value: str) -> dict[str, str]:
    """Read a field of parameters without a scheme, as Authentication-Info is.

    Source: RFC 9110 section 11.6.3.
    """
    params: dict[str, str] = {}
    _read(value, [], params)
    return params


def quote(value: str) -> str:
    """Return the value as a quoted-string.

    Raises:
        InvalidHeader: it has a CR, LF, NUL or another control character. It is a ``ValueError``.
    Source: RFC 9110 section 5.6.4.
    """
    if _UNWRITABLE.search(value):
        raise InvalidHeader(
            f"{value!r} cannot stand in a header: expected no line's end or control character"
        )
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read(value: str, found: list[Challenge], params: dict[str, str] | None) -> None:
    """Read a field into ``found``. Params before the first scheme go to ``params``, if any."""
    at, end = 0, len(value)
    while True:
        at = _skip(value, at)
        if at >= end:
            return
        name = _TOKEN.match(value, at)
        if name is None:
            at += 1
            continue
        at = name.end()
        equals = _EQUALS.match(value, at)
        if equals is not None:
            text, at = _value(value, equals.end())
            if params is not None:
                params.setdefault(name[0].lower(), text)
            continue
        # RFC 9110 section 11.3: a token without "=" begins the next challenge.
        params = {}
        token68 = _TOKEN68.match(value, at)
        if token68 is not None:
            at = token68.end()
        found.append(Challenge(name[0].lower(), token68[1] if token68 else None, params))


def _skip(value: str, at: int) -> int:
    """Return where the next name may begin: past commas, spaces and strings without a name."""
    while True:
        between = _BETWEEN.match(value, at)
        at = between.end() if between else at
        stray = _QUOTED.match(value, at)
        if stray is None:
            return at
        at = stray.end()


def _value(value: str, at: int) -> tuple[str, int]:
    quoted = _QUOTED.match(value, at)
    if quoted is not None:
        return _ESCAPED.sub(r"\1", quoted[1]), quoted.end()
    bare = _BARE.match(value, at)
    if bare is not None:
        return bare[0], bare.end()
    return "", at
