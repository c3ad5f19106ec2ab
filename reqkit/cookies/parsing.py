"""Set-Cookie as text: its name, its value and its attributes (RFC 6265 section 5.2).

Pure and linear in the length of the text. Nothing here raises: what cannot be read is None, and
what cannot be read of an attribute leaves only that attribute out.
"""

from __future__ import annotations

import re
from datetime import datetime, timezone
from typing import Final, NamedTuple

__all__ = [
    "MAX_ATTRIBUTE",
    "MAX_EXPIRES",
    "MAX_OTHERS",
    "MAX_PAIR",
    "UNSENDABLE",
    "SetCookie",
    "parse_date",
    "parse_set_cookie",
]

#: Characters of a name and a value together, past which a cookie is refused (RFC 6265bis 5.6).
MAX_PAIR: Final = 4096
#: Characters of an attribute's value, past which the attribute is left out.
MAX_ATTRIBUTE: Final = 1024
#: Attributes that mean nothing here, past which they are left out: the jar keeps them.
MAX_OTHERS: Final = 16
#: The last second of the year 9999: a later end is clamped to it, so that it has a date.
MAX_EXPIRES: Final = 253402300799

#: Control characters, but for the tab: no cookie has them.
UNSENDABLE: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

#: HTTP's white space. `str.strip` alone would take the no-break space of latin-1 too.
_BLANK: Final = " \t"
_MAX_AGE: Final = re.compile(r"-?[0-9]+")
#: Attributes without a field of their own in `http.cookiejar.Cookie`, as they are usually spelled.
_SPELLING: Final = {
    "httponly": "HttpOnly",
    "samesite": "SameSite",
    "partitioned": "Partitioned",
    "priority": "Priority",
}

_DATE_DELIMITERS: Final = re.compile(r"[\t\x20-\x2f\x3b-\x40\x5b-\x60\x7b-\x7e]+")
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY: Final = re.compile(r"([0-9]{1,2})(?![0-9])")
_YEAR: Final = re.compile(r"([0-9]{2,4})(?![0-9])")
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}


class SetCookie(NamedTuple):
    """What one Set-Cookie says, before anything is asked about who says it.

    Attributes:
        name: the cookie's name, never empty.
        value: as received, quotes included; None where there is no ``=``.
        domain: the Domain attribute, "" where there is none.
        path: the Path attribute, "" where there is none.
        secure: whether there is a Secure attribute.
        expires: when it ends, in seconds since 1970; None for the end of the session.
        rest: the other attributes (``HttpOnly``, ``SameSite``, ...), None for one without a value.
    """

    name: str
    value: str | None
    domain: str
    path: str
    secure: bool
    expires: int | None
    rest: dict[str, str | None]


def parse_set_cookie(text: str, now: float) -> SetCookie | None:
    """Read the value of one Set-Cookie field.

    Args:
        text: the field's value, decoded as latin-1.
        now: seconds since 1970, that a Max-Age counts from.

    Returns:
        None for what is to be ignored: no name, control characters, a name and value that are too
        long. A name without ``=`` is a cookie without a value, as in `http.cookiejar`.

    Source: RFC 6265 section 5.2; the limits are RFC 6265bis section 5.6.
    """
    if UNSENDABLE.search(text):
        return None
    pair, _, tail = text.partition(";")
    name, equals, raw = pair.partition("=")
    name = name.strip(_BLANK)
    value = raw.strip(_BLANK) if equals else None
    if not name or len(name) + len(value or "") > MAX_PAIR:
        return None
    if not tail:
        return SetCookie(name, value, "", "", False, None, {})
    return _with_attributes(name, value, tail, now)


def _with_attributes(name: str, value: str | None, tail: str, now: float) -> SetCookie:
    domain = path = ""
    secure = False
    expires: int | None = None
    max_age: int | None = None
    rest: dict[str, str | None] = {}
    # The last one counts where an attribute comes twice (RFC 6265 section 5.3).
    for part in tail.split(";"):
        key, equals, raw = part.partition("=")
        key, given = key.strip(_BLANK), raw.strip(_BLANK)
        if not key or len(given) > MAX_ATTRIBUTE or len(key) > MAX_ATTRIBUTE:
            continue
        lower = key.lower()
        if lower == "domain":
            domain = given
        elif lower == "path":
            path = given
        elif lower == "secure":
            secure = True
        elif lower == "expires":
            date = parse_date(given)
            expires = expires if date is None else date
        elif lower == "max-age":
            if _MAX_AGE.fullmatch(given):
                max_age = int(given)
        elif lower in _SPELLING or len(rest) < MAX_OTHERS:
            rest[_SPELLING.get(lower, key)] = given if equals else None
    # RFC 6265 section 5.3 step 3: Max-Age counts before Expires, wherever it stands.
    if max_age is not None:
        # Section 5.2.2: zero or less is the earliest time there is.
        expires = int(now) + max_age if max_age > 0 else 0
    if expires is not None:
        expires = min(expires, MAX_EXPIRES)
    return SetCookie(name, value, domain, path, secure, expires, rest)


def parse_date(text: str) -> int | None:
    """Read a cookie's date, in any of the many ways that servers write it.

    Returns:
        seconds since 1970 (below 0 for an earlier date), or None where it is no date.

    Source: RFC 6265 section 5.1.1.
    """
    time: tuple[int, int, int] | None = None
    day = month = year = None
    for token in _DATE_DELIMITERS.split(text):
        if time is None and (found := _TIME.match(token)):
            time = int(found[1]), int(found[2]), int(found[3])
        elif day is None and (found := _DAY.match(token)):
            day = int(found[1])
        elif month is None and (number := _MONTHS.get(token[:3].lower())):
            month = number
        elif year is None and (found := _YEAR.match(token)):
            year = int(found[1])
    if time is None or day is None or month is None or year is None:
        return None
    if year < 70:
        year += 2000
    elif year < 100:
        year += 1900
    if year < 1601:
        return None
    try:
        moment = datetime(year, month, day, *time, tzinfo=timezone.utc)
    except ValueError:  # a 30th of February, an hour 25
        return None
    return int(moment.timestamp())
