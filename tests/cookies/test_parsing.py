"""Set-Cookie as text: names, values, attributes, dates."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reqkit.cookies.parsing import MAX_EXPIRES, parse_date, parse_set_cookie

NOW = 1_000_000.0


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("a=b", "a", "b"),
        ("  a \t=\t b ; Path=/", "a", "b"),
        ("a=", "a", ""),
        ("a", "a", None),
        ("a; Secure", "a", None),
        ("a=b=c==", "a", "b=c=="),
        ("a=b,c d", "a", "b,c d"),
        ('a="b c"', "a", '"b c"'),
        ('a="b;c"', "a", '"b'),
        ("a=\xe9\xff", "a", "\xe9\xff"),
        ("a=\xa0b\xa0", "a", "\xa0b\xa0"),
        ("a[0]{}@:/?=1", "a[0]{}@:/?", "1"),
        ("$Version=1", "$Version", "1"),
        ("expires=x", "expires", "x"),
        ("a=b\tc", "a", "b\tc"),
        ("a=" + "x" * 4095, "a", "x" * 4095),
    ],
)
def test_name_and_value_are_kept_as_received(text: str, name: str, value: str | None) -> None:
    parsed = parse_set_cookie(text, NOW)
    assert parsed is not None
    assert (parsed.name, parsed.value) == (name, value)


@pytest.mark.parametrize(
    "text",
    ["", " ", ";", "; Path=/", "=", "=b", " \t=b", "a=" + "x" * 4096, "x" * 4097]
    + [f"a=b{bad}c" for bad in "\x00\x01\x08\n\r\x0b\x1f\x7f"]
    + ["a\r=b", "a=b; Path=/\r\nSet-Cookie: c=d", "a=b; Domain=x\x00"],
)
def test_bad_cookies_are_none(text: str) -> None:
    assert parse_set_cookie(text, NOW) is None


@pytest.mark.parametrize(
    ("attributes", "field", "expected"),
    [
        ("Path=/x", "path", "/x"),
        ("pAtH = /x ", "path", "/x"),
        ("Path=/x; Path=/y", "path", "/y"),
        ("Path=/" + "x" * 1024, "path", ""),
        ("Domain=Example.com", "domain", "Example.com"),
        ("Secure", "secure", True),
        ("SECURE=no", "secure", True),
        ("NotSecure", "secure", False),
        ("", "expires", None),
        ("Max-Age=10", "expires", 1_000_010),
        ("Max-Age=0", "expires", 0),
        ("Max-Age=-1", "expires", 0),
        ("Max-Age=1e3", "expires", None),
        ("Max-Age=+5", "expires", None),
        ("Max-Age=", "expires", None),
        ("Max-Age=\u0665", "expires", None),
        ("Max-Age=" + "9" * 1000, "expires", MAX_EXPIRES),
        ("Max-Age=" + "9" * 1025, "expires", None),
        ("Max-Age=10; Expires=Thu, 01 Jan 1970 00:00:05 GMT", "expires", 1_000_010),
        ("Expires=Thu, 01 Jan 1970 00:00:05 GMT; Max-Age=10", "expires", 1_000_010),
        ("Expires=Thu, 01 Jan 1970 00:00:05 GMT; Max-Age=x", "expires", 5),
        ("Expires=Thu, 01 Jan 1970 00:00:05 GMT; Expires=never", "expires", 5),
        ("Expires=0", "expires", None),
        ("HttpOnly", "rest", {"HttpOnly": None}),
        ("httponly; samesite=Lax", "rest", {"HttpOnly": None, "SameSite": "Lax"}),
        ("Version=1; Foo=", "rest", {"Version": "1", "Foo": ""}),
    ],
)
def test_attributes(attributes: str, field: str, expected: object) -> None:
    parsed = parse_set_cookie(f"a=b; {attributes}", NOW)
    assert parsed is not None
    assert getattr(parsed, field) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Wed, 21 Oct 2015 07:28:00 GMT",
        "Wed, 21-Oct-2015 07:28:00 GMT",
        "Wednesday, 21-Oct-15 07:28:00 GMT",
        "Wed Oct 21 07:28:00 2015",
        "21 oct 2015 7:28:0",
        "2015 October 21 07:28:00",
        "07:28:00 21 OCT 2015 +0200",
        "Wed,21/Oct/2015 07:28:00",
    ],
)
def test_dates_in_many_ways(text: str) -> None:
    assert parse_date(text) == 1445412480


@pytest.mark.parametrize(
    ("text", "year"),
    [("1 Jan 69 00:00:00", 2069), ("1 Jan 70 00:00:00", 1970), ("1 Jan 99 00:00:00", 1999)],
)
def test_years_of_two_digits(text: str, year: int) -> None:
    seconds = parse_date(text)
    assert seconds is not None
    assert time.gmtime(seconds).tm_year == year


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "21 Oct 2015",
        "Oct 2015 07:28:00",
        "21 2015 07:28:00",
        "21 Oct 07:28:00",
        "30 Feb 2015 07:28:00",
        "21 Oct 1600 07:28:00",
        "21 Oct 2015 24:28:00",
        "21 Oct 2015 07:60:00",
        "32 Oct 2015 07:28:00",
        "21 Oct 20155 07:28:00",
        "21 Oct 2015 07:28:000",
    ],
)
def test_no_dates(text: str) -> None:
    assert parse_date(text) is None


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_never_raises_for_any_header_text(text: str) -> None:
    parsed = parse_set_cookie(text, NOW)
    assert parsed is None or parsed.name
    parse_date(text)
