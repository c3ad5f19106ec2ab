"""Heads as the web has them: what is read, what they are made of, and what stays an error."""

from __future__ import annotations

import re

import pytest

from reqkit.exceptions import ProtocolError
from reqkit.wire.h1.answer import fields_of
from reqkit.wire.h1.framing import keeps_alive
from reqkit.wire.h1.head import find_end, parse_head

FIRST = b"HTTP/1.1 200 OK"

#: Lines after the status line with their ends, and the fields that they mean.
ODD = [
    (b"A: b\nC: d\n\n", [("A", "b"), ("C", "d")]),
    (b"A: b\r\nC: d\n\r\n", [("A", "b"), ("C", "d")]),
    (b"A: b\nC: d\r\n\n", [("A", "b"), ("C", "d")]),
    (b"A: b\r\n c\r\n\r\n", [("A", "b c")]),
    (b"A: b \t\r\n\t \tc: d\r\n e\r\nF: g\r\n\r\n", [("A", "b c: d e"), ("F", "g")]),
    (b"A:\r\n b\r\n\r\n", [("A", "b")]),
    (b"A: b\r\n \r\n\r\n", [("A", "b")]),
    (b"A: b\n \n c\n\n", [("A", "b c")]),
    (b"A: \x01\x08\x0b\x0c\x1b\x1f\x7f\r\n\r\n", [("A", "\x01\x08\x0b\x0c\x1b\x1f\x7f")]),
    (b"A : b\r\n\r\n", [("A", "b")]),
    (b"A \t : b\r\n\r\n", [("A", "b")]),
    (b": b\r\nC: d\r\n\r\n", [("C", "d")]),
    (b"A b: c\r\nC: d\r\n\r\n", [("C", "d")]),
    (b"A(b): c\r\nC: d\r\n\r\n", [("C", "d")]),
    (b"\xc4: b\r\nC: d\r\n\r\n", [("C", "d")]),
    (b"A\x01: b\r\nC: d\r\n\r\n", [("C", "d")]),
    (b"\x0b: b\r\nC: d\r\n\r\n", [("C", "d")]),
    (b"hello\r\nC: d\r\n\r\n", [("C", "d")]),
    (b"hello\r\n A: b\r\nC: d\r\n\r\n", [("C", "d")]),
    (b"a b: c\r\n\tA: b\r\nC: d\r\n\r\n", [("C", "d")]),
    (b"HTTP/1.1 404 Not Found\r\nC: d\r\n\r\n", [("C", "d")]),
    (b"Location: /a\r\nlocation:/a \r\nC: d\r\n\r\n", [("Location", "/a"), ("C", "d")]),
    (b"ETag: a\r\nC: d\r\nETag: a\r\nETag: a\r\n\r\n", [("ETag", "a"), ("C", "d")]),
    (b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", [("Content-Length", "5")]),
    (b"A: b\r\n" * 300 + b"\r\n", [("A", "b")] * 300),
    (b"A: b\r\n" * 1000 + b"\r\n", [("A", "b")] * 1000),
    (b"A: %b\r\nC: d\r\n\r\n" % (b"b" * 90_000), [("A", "b" * 90_000), ("C", "d")]),
    (b"A: %b\r\n" % (b"b" * 99_000) * 3 + b"\r\n", [("A", "b" * 99_000)] * 3),
    (b"A: b\r\n" + b" c\r\n" * 40_000 + b"\r\n", [("A", "b" + " c" * 40_000)]),
]
SMALL = ODD[:24]


@pytest.mark.parametrize("empty", [b"", b"\r\n", b"\n", b"\r\n\r\n", b"\r\n" * 8])
@pytest.mark.parametrize(("section", "expected"), ODD, ids=range(len(ODD)))
def test_odd_heads(section: bytes, expected: list[tuple[str, str]], empty: bytes) -> None:
    block = empty + FIRST + b"\r\n" + section
    assert find_end(block + b"\r\n\r\nbody\n\n", 0) == len(block)
    head = parse_head(block)
    assert (head.version, head.status, head.reason) == (11, 200, "OK")
    assert head.fields == expected
    assert head.oddity
    assert not keeps_alive(head)
    # What was understood is a head by itself, and means the same.
    again = parse_head(head.text.encode("latin-1"))
    assert (fields_of(again.text), again.known) == (expected, head.known)
    with pytest.raises(ProtocolError):
        parse_head(block, strict=True)


@pytest.mark.parametrize("empty", [b"", b"\r\n", b"\n\r\n"])
@pytest.mark.parametrize(("section", "expected"), SMALL, ids=range(len(SMALL)))
def test_odd_heads_end_alike_however_they_are_cut(
    section: bytes, expected: list[tuple[str, str]], empty: bytes
) -> None:
    block = empty + FIRST + b"\n" + section
    whole = block + b"\nHTTP/1.1 200 OK\r\n\r\n"
    for size in (1, 2, 3, 7):
        searched, length = 0, size
        while (end := find_end(bytearray(whole[:length]), searched)) < 0:
            searched = length
            length += size
        assert end == len(block), size
    assert parse_head(block).fields == expected


@pytest.mark.parametrize(
    "block",
    [
        b"HTTP/1.1 200 O\x01K\r\n\r\n",
        b"HTTP/1.1 200 OK\n\n",
        b"HTTP/1.1 200\n\r\n",
        b"\nHTTP/1.1 200 OK\r\n\r\n",
    ],
)
def test_odd_status_lines(block: bytes) -> None:
    head = parse_head(block)
    assert (head.status, head.fields, bool(head.oddity)) == (200, [], True)
    with pytest.raises(ProtocolError):
        parse_head(block, strict=True)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (FIRST + b"\r\nA: b\0\r\n\r\n", "a NUL at byte 21, in field 'A'"),
        (FIRST + b"\r\nA\0: b\r\n\r\n", "a NUL"),
        (FIRST + b"\r\nhello\0\r\n\r\n", "a NUL"),
        (b"HTTP/1.1 200 O\0K\r\n\r\n", "a NUL"),
        (FIRST + b"\r\nA: b\rC: d\r\n\r\n", "a CR without its LF"),
        (FIRST + b"\r\nA: b\nC: \x01\r\r\n\r\n", "a CR without its LF"),
        (FIRST + b"\r\r\nA: b\r\n\r\n", "a CR without its LF"),
        (FIRST + b"\r\n A: b\r\n\r\n", "folded"),
        (FIRST + b"\n\tA: b\n\n", "folded"),
        (FIRST + b"\r\n \r\n\r\n", "folded"),
        (FIRST + b"\r\nA: b\r\n\r\nC: d\r\n\r\n", "an empty line"),
        (FIRST + b"\nA: b\n\nC: d\n\n", "an empty line"),
        (FIRST + b"\r\nA: b\r\n", "does not end with an empty line"),
        (b"\r\n" * 9 + FIRST + b"\r\n\r\n", "begins with"),
        (b"\r\n\r\n", "begins with ''"),
        (b" " + FIRST + b"\r\n\r\n", "begins with"),
        (b"\r" + FIRST + b"\r\n\r\n", "a CR without its LF"),
    ],
)
def test_what_nobody_agrees_on_stays_an_error(block: bytes, message: str) -> None:
    for strict in (False, True):
        with pytest.raises(ProtocolError) as caught:
            parse_head(block, strict)
        assert strict or message in str(caught.value)
        assert len(str(caught.value)) < 160


@pytest.mark.parametrize(
    ("status", "allowed"), [(200, True), (201, True), (301, False), (302, False), (308, False)]
)
def test_locations_that_differ(status: int, allowed: bool) -> None:
    block = b"HTTP/1.1 %d x\r\nLocation: /a\r\nLocation: /b\r\n\r\n" % status
    if allowed:
        assert parse_head(block).get("location") == "/a, /b"
    else:
        with pytest.raises(ProtocolError, match="several places"):
            parse_head(block)


def test_what_may_stand_several_times_is_not_odd() -> None:
    block = FIRST + b"\r\nVia: a\r\nVia: a\r\nSet-Cookie: b\r\nSet-Cookie: b\r\n"
    block += b"Date: c\r\nDate: d\r\n\r\n"
    for strict in (False, True):
        head = parse_head(block, strict)
        assert head.get("via") == "a, a"
        assert head.get_all("set-cookie") == ["b", "b"]
        assert head.get("date") == "c, d"
        assert not head.oddity
        assert keeps_alive(head)


def test_a_value_is_kept_secret_in_what_is_odd() -> None:
    head = parse_head(FIRST + b"\r\nSet-Cookie: hunter2\x01\n x\nCookie hunter2\n\n")
    assert head.get("set-cookie") == "hunter2\x01 x"
    assert "hunter2" not in head.oddity


@pytest.mark.parametrize(
    ("buffer", "message"),
    [
        (b"x", "begins with 'x'"),
        (b"\r\nx", "expected 'HTTP/1.'"),
        (b"\rH", "expected 'HTTP/1.'"),
        (b"\r\n" * 10, "expected 'HTTP/1.'"),
        (b"\r\n" * 8 + b"\n\r", "expected 'HTTP/1.'"),
        (b"\n\nHTTP/2", "expected"),
        (b"\x15\x03\x01", "https"),
        (FIRST + b"\nA: " + b"b" * 110_000, "a line longer than 102,400 bytes"),
        (FIRST + b"\n" + b"A: bcd\n" * 50_000, "larger than 307,200 bytes"),
    ],
)
def test_find_end_refuses_early(buffer: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=re.escape(message)):
        find_end(buffer, 0)


@pytest.mark.parametrize("buffer", [b"", b"\r", b"\r\n", b"\n\r", b"\r\n" * 8, b"\r\nHT", b"H"])
def test_find_end_waits(buffer: bytes) -> None:
    assert find_end(buffer, 0) == -1
