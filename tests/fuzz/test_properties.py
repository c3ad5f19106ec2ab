"""The targets as properties: data of the right kind, put together, spoilt and taken to the edges.

Fuzzing starts from bytes; this starts from what a server may mean. Where another reader is at hand,
what both take must be the same.
"""

from __future__ import annotations

import gzip
import zlib
from datetime import datetime, timezone
from email.utils import format_datetime, parsedate_to_datetime
from encodings.aliases import aliases
from http.cookiejar import http2time  # type: ignore[attr-defined]
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fuzz.session_targets import NEXT
from fuzz.targets import TARGETS, holds
from reqkit.auth.challenges import Challenge, parse_challenges, quote
from reqkit.cookies import CookieJar, parse_date
from reqkit.cookies.parsing import parse_set_cookie
from reqkit.message.content.charsets import decode_as, text_codec
from reqkit.message.content.lines import LineCutter, decode_pieces
from reqkit.message.links import parse_links
from reqkit.message.urls import prepare_url

several = settings(max_examples=100)

TOKEN = "!#$&'*+-.^_`|~09AZaz"


def soup(*scraps: bytes, most: int = 12) -> st.SearchStrategy[bytes]:
    """Draw scraps in a row, some of them bytes that nobody thought of."""
    part = st.one_of(st.sampled_from(scraps), st.sampled_from(scraps), st.binary(max_size=3))
    return st.lists(part, max_size=most).map(b"".join)


fields = soup(
    b"Content-Length: 5\r\n", b"Content-Length: ", b"5", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"A: b\r\n", b"\r\n", b"\n", b"\r", b": ", b" ", b",", b"\t", b"\0",
)  # fmt: skip
chunks = soup(
    b"5\r\nhello\r\n", b"0\r\n\r\n", b"0\r\n", b"\r\n", b"5", b"A\r\n", b"0123456789", b";a=b",
    b"X: y\r\n", b"\n", b"\r", b" ", b"+", b"0x", b"fffffffffffffffff",
)  # fmt: skip
bodies = st.one_of(
    st.just(b"Content-Length: 5\r\n\r\nhello"),
    chunks.map(lambda data: b"Transfer-Encoding: chunked\r\n\r\n" + data),
    st.binary(max_size=20).map(lambda data: b"\r\n" + data),
    st.binary(max_size=40).map(
        lambda data: b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(data) + data
    ),
)
starts = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.1 204 No\r\n",
        b"HTTP/1.1 304 \r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 Up\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /x\r\n",
        b"HTTP/1.1 307 T\r\nLocation: //other.example/\r\n",
        b"HTTP/1.1 301 M\r\nLocation: \r\n",
        b"HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm=r,nonce=n,qop=auth\r\n",
        b"HTTP/1.1 200 OK\r\nSet-Cookie: c=d; Path=/\r\n",
    ]
)
answers = st.builds(
    lambda start, more, body: start + more + body, starts, st.one_of(st.just(b""), fields), bodies
)


@st.composite
def spoilt(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Draw something with a few bytes put in, or in the place of others."""
    raw = draw(whole)
    at = draw(st.integers(0, len(raw)))
    return raw[:at] + draw(st.binary(max_size=2)) + raw[at + draw(st.integers(0, 2)) :]


encoded = st.builds(
    lambda name, body, cut, more: name + (body[:cut] + more),
    st.integers(0, 12).map(lambda number: bytes([number])),
    st.one_of(
        st.binary(max_size=60).map(lambda data: gzip.compress(data * 5, mtime=0)),
        st.binary(max_size=60).map(lambda data: zlib.compress(data * 5)),
        st.binary(max_size=60),
    ),
    st.integers(0, 200),
    st.binary(max_size=4),
)

INPUTS: dict[str, st.SearchStrategy[bytes]] = {
    "head": fields,
    "readers": fields,
    "http2": st.lists(
        st.builds(
            lambda kind, flags, stream, payload: (
                len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream + payload
            ),
            st.integers(0, 11), st.integers(0, 255),
            st.sampled_from([b"\0\0\0\0", b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\3"]),
            st.binary(max_size=40),
        ),
        max_size=6,
    ).map(b"".join) | st.binary(max_size=80),
    "hpack": st.binary(max_size=80),
    "chunks": st.one_of(chunks, spoilt(chunks)),
    "answer": st.one_of(answers, spoilt(answers)),
    "session": st.lists(st.one_of(answers, spoilt(answers)), max_size=4).map(NEXT.join),
    "set_cookie": soup(
        b"a=b", b"; ", b"Path=/x", b"Domain=", b"example.com", b".com", b"Max-Age=-1", b"=", b'"',
        b"Expires=Wed, 21 Oct 2065 07:28:00 GMT", b"Secure", b"__Host-", b"\n", b"\t", b"\0", b",",
    ),
    "cookie_date": soup(
        b"Wed, ", b"21", b" Oct ", b"2015", b"69", b"0", b"07:28:00", b"24:00:60", b"-", b" ",
        b"feb",
    ),
    "links": soup(b"<", b">", b"/a", b";", b"rel=", b'"', b"next", b",", b" ", b"\\", b"'", b"="),
    "challenges": soup(
        b"Digest ", b"Basic ", b"realm=", b'"a b"', b"nonce=n", b", ", b"qop=auth", b"auth-int",
        b"algorithm=", b"SHA-256", b"-sess", b"userhash=true", b"opaque=", b'"', b"\\", b"\n", b"=",
    ),
    "url": soup(
        b"http://", b"https:", b"//", b"/", b"user", b":", b"pa%20ss", b"@", b"example.org",
        b"[::1]",
        b"%25", b"8080", b"..", b"?", b"#", b"%", b"\xc3\xa9", b" ", b"\\", b"\r", b"\xed\xb0\x80",
    ),
    "location": soup(
        b"http:", b"//", b"/", b"..", b"@", b"h.example", b":", b"80", b"?q", b"#f", b"%",
        b"\xc3\xa9",
        b" ", b"\\", b"\n", b"javascript:", b"\t",
    ),
    "content_type": soup(b"text/html", b";", b" charset=", b'"', b"utf-8", b"\\", b"'", b"=", b" "),
    "codings": encoded,
    "charsets": st.builds(
        lambda name, content: b"text/html; charset=" + name + b"\n" + content,
        st.sampled_from([b"utf-8", b"utf-16", b"utf-32", b"utf-7", b"latin-1", b"hz", b"none",
        b""]),
        soup(b"\xff\xfe", b"\xfe\xff", b"\0\0", b"\xef\xbb\xbf", b"<meta charset=", b">", b"+",
        b"~{"),
    ),
    "guesses": st.binary(max_size=40),
    "lines": soup(b"\n", b"\r", b"\r\n", b"a", b"ab", b"\xe2\x80\xa8", b"\x85", most=20),
}  # fmt: skip


@pytest.mark.parametrize("name", TARGETS)
@several
@given(st.data())
def test_the_property_of_a_target(name: str, data: st.DataObject) -> None:
    assert holds(name, data.draw(INPUTS[name]))


@several
@given(st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31, 23, 59, 59)))
def test_dates_are_what_the_stdlib_reads(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=timezone.utc)
    seconds = int(moment.timestamp())
    text = format_datetime(moment, usegmt=True)
    assert parse_date(text) == seconds
    assert int(parsedate_to_datetime(text).timestamp()) == seconds
    assert http2time(text) == seconds
    # The other two forms of RFC 9110 section 5.6.7.
    assert parse_date(moment.strftime("%a %b %d %H:%M:%S ") + f"{moment.year:04}") == seconds
    if 1970 <= moment.year < 2070:
        assert parse_date(moment.strftime("%A, %d-%b-%y %H:%M:%S GMT")) == seconds


names = st.text(TOKEN, min_size=1, max_size=8)
cookie_values = st.text("".join(map(chr, range(0x21, 0x7F))), max_size=12).filter(
    lambda value: ";" not in value
)


@several
@given(names, cookie_values, st.sampled_from(["", "/", "/a/b"]), st.booleans(), st.booleans())
def test_a_cookie_comes_back_as_it_was_set(
    name: str, value: str, path: str, secure: bool, http_only: bool
) -> None:
    text = f"{name}={value}" + f"; Path={path}" * bool(path) + "; Secure" * secure
    text += "; HttpOnly" * http_only
    parsed = parse_set_cookie(text, 0)
    assert parsed is not None
    assert (parsed.name, parsed.value, parsed.path, parsed.secure) == (name, value, path, secure)
    assert ("HttpOnly" in parsed.rest) is http_only
    jar = CookieJar()
    jar.store([text], "https://example.org/a/b/c")
    assert jar.header_for("https://example.org/a/b/c") == f"{name}={value}"
    # The other spellings of a request that must not carry it.
    assert jar.header_for("https://example.com/a/b/c") is None
    assert (jar.header_for("http://example.org/a/b/c") is None) is secure


parameter = st.tuples(
    names.map(str.lower), st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=8)
)


@several
@given(st.lists(parameter, min_size=1, max_size=4, unique_by=lambda pair: pair[0]), names)
def test_a_challenge_that_is_written_is_read(pairs: list[tuple[str, str]], scheme: str) -> None:
    pairs = [(name, "".join(c for c in value if c.isprintable())) for name, value in pairs]
    text = f"{scheme} " + ", ".join(f"{name}={quote(value)}" for name, value in pairs)
    assert parse_challenges([text]) == [Challenge(scheme.lower(), None, dict(pairs))]
    # Two in one field, and two fields, are the same two.
    twice = parse_challenges([f"{text}, {text}"])
    assert twice == parse_challenges([text, text])
    assert len(twice) == 2


@several
@given(
    st.lists(
        st.tuples(st.text("abc/?=;,%", max_size=8), st.lists(parameter, max_size=3)), max_size=4
    )
)
def test_links_that_are_written_are_read(links: list[tuple[str, list[tuple[str, str]]]]) -> None:
    text = ", ".join(
        f"<{url}>" + "".join(f'; {name}="{_escaped(value)}"' for name, value in pairs)
        for url, pairs in links
    )
    expected = []
    for url, pairs in links:
        link = {"url": url}
        for name, value in pairs:
            link.setdefault(name, value)
        expected.append(link)
    assert parse_links(text) == expected


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"')


@several
@given(st.text(st.characters(exclude_characters="\r\n\0\\"), max_size=20), st.text(max_size=10))
@example("/%2e%2e/a", "")
@example("/a//../b?", "#")
def test_a_prepared_url_stays_as_it_is(rest: str, value: str) -> None:
    target = prepare_url("http://example.org/" + rest, {"q": value} if value else None)
    assert prepare_url(target.url) == target
    assert target.path.isascii() and target.path.isprintable() and " " not in target.path
    assert target.origin == ("http", "example.org", 80)


@pytest.mark.parametrize("text", [False, True], ids=["bytes", "text"])
@several
@given(st.lists(st.text("ab\r\n", max_size=4), max_size=12), st.sampled_from(["", "\r\n", "aba"]))
def test_lines_follow_from_the_whole_alone(text: bool, pieces: list[str], ends: str) -> None:
    cut = LineCutter(ends or None, text=text)
    lone = LineCutter(ends or None, text=text)
    fed: list[Any] = [piece if text else piece.encode() for piece in pieces]
    found = [line for piece in fed for line in cut.feed(piece)] + cut.finish()
    at_once = lone.feed(fed[0][:0].join(fed) if fed else "") + lone.finish()
    assert found == at_once


CODECS = sorted({codec for name in aliases.values() if (codec := text_codec(name)) is not None})


@pytest.mark.parametrize("codec", CODECS)
@settings(max_examples=12)
@given(pieces=st.lists(st.binary(max_size=6), max_size=4))
@example(pieces=[b"\xff\xfeh\0", b"\xe9\0"])
@example(pieces=[b"\0\0\xfe\xff"])
def test_no_charset_fails(codec: str, pieces: list[bytes]) -> None:
    assert decode_as(b"".join(pieces), codec) is not None
    assert all(decode_pieces(pieces, codec))
