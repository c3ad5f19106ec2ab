"""Tables for heads: what is read, what is written, and what is refused."""

from __future__ import annotations

import pickle
import re
from typing import Any

import pytest

from reqkit.exceptions import InvalidHeader, InvalidURL, ProtocolError
from reqkit.wire.h1 import well_formed
from reqkit.wire.h1.head import (
    MAX_FIELDS,
    MAX_HEAD,
    MAX_LINE,
    STRICT_FIELDS,
    STRICT_HEAD,
    check_field,
    check_method,
    check_target,
    find_end,
    parse_head,
    write_head,
)
from reqkit.wire.h1.lenient import read_lenient_trailers

PLAIN = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Type: text/html\r\nContent-Length: 612\r\n"
    b"Set-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\nX-Empty:\r\nVia:a\r\n\r\n"
)


def answer(*lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"", b""))


def test_reads_a_plain_head() -> None:
    read = parse_head(PLAIN)
    assert (read.version, read.status, read.reason) == (11, 200, "OK")
    assert read.fields == [
        ("Server", "nginx"),
        ("Content-Type", "text/html"),
        ("Content-Length", "612"),
        ("Set-Cookie", "a=1; Path=/"),
        ("set-cookie", "b=2"),
        ("X-Empty", ""),
        ("Via", "a"),
    ]
    assert read.get("content-length") == "612"
    assert read.get("x-empty") == ""
    assert read.get("location") is None
    assert read.get("set-cookie") == "a=1; Path=/, b=2"
    assert read.get_all("set-cookie") == ["a=1; Path=/", "b=2"]
    assert read.get_all("via") == ["a"]
    assert read.get_all("location") == []


def test_reads_a_head_without_fields() -> None:
    read = parse_head(b"HTTP/1.0 404 Not Found\r\n\r\n")
    assert (read.version, read.status, read.fields) == (10, 404, [])


def test_get_all_without_repeats() -> None:
    assert parse_head(answer(b"A: 1", b"B: 2")).get_all("b") == ["2"]


def test_a_head_pickles_and_its_repr_has_no_values() -> None:
    read = pickle.loads(pickle.dumps(parse_head(PLAIN)))
    assert read.fields == parse_head(PLAIN).fields
    assert repr(read) == "<AnswerHead 200, 7 fields>"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"HTTP/1.1 200 OK", (11, 200, "OK")),
        (b"HTTP/1.0 200 OK", (10, 200, "OK")),
        (b"HTTP/1.1 200", (11, 200, "")),
        (b"HTTP/1.1 200 ", (11, 200, "")),
        (b"HTTP/1.1 404 Not Found", (11, 404, "Not Found")),
        (b"HTTP/1.1 404 Nicht gefunden \xfc\t!", (11, 404, "Nicht gefunden \xfc\t!")),
        (b"HTTP/1.1 100 Continue", (11, 100, "Continue")),
        (b"HTTP/1.1 599 x", (11, 599, "x")),
        (b"HTTP/1.1 999 Request denied", (11, 999, "Request denied")),
    ],
)
def test_status_lines(line: bytes, expected: tuple[int, int, str]) -> None:
    for _ in range(2):  # checked, then remembered
        read = parse_head(line + b"\r\n\r\n")
        assert (read.version, read.status, read.reason) == expected


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\r\nHTTP/1.1 200 OK",
        b" HTTP/1.1 200 OK",
        b"HTTP/1.1  200 OK",
        b"HTTP/1.1\t200 OK",
        b"HTTP/1.1 20 OK",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 +20 OK",
        b"HTTP/1.1 2\xb20 OK",
        b"HTTP/1.1 200OK",
        b"HTTP/1.1 200\tOK",
        b"HTTP/1.1 abc OK",
        b"HTTP/1.1",
        b"HTTP/1.2 200 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/2 200",
        b"HTTP/11 200 OK",
        b"http/1.1 200 OK",
        b"ICY 200 OK",
        b"Server: nginx",
        b"x" * 5000,
    ],
)
def test_faulty_status_lines(line: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_head(line + b"\r\nA: b\r\n\r\n", strict=True)
    assert len(str(caught.value)) < 160


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"A: b", ("A", "b")),
        (b"A:b", ("A", "b")),
        (b"A:  \t b \t ", ("A", "b")),
        (b"A:", ("A", "")),
        (b"A: \t ", ("A", "")),
        (b"A: b: c", ("A", "b: c")),
        (b"A: b\tc", ("A", "b\tc")),
        (b"A: \xe9\xa0", ("A", "\xe9\xa0")),
        (b"A: \x85", ("A", "\x85")),
        (b"!#$%&'*+-.^_`|~09azAZ: x", ("!#$%&'*+-.^_`|~09azAZ", "x")),
        (b"X" * 100 + b": y", ("X" * 100, "y")),
    ],
)
def test_fields(line: bytes, expected: tuple[str, str]) -> None:
    read = parse_head(answer(line))
    assert read.fields == [expected]
    assert read.get(expected[0].lower()) == expected[1]
    assert read_lenient_trailers(line + b"\r\n", True) == ([expected], "")


FAULTY_FIELDS = [
    (b"A : b", "white space between the field name 'A' and its colon"),
    (b"A\t: b", "white space between"),
    (b" A: b", "folded"),
    (b"\tb", "folded"),
    (b"A: b\r\n c", "folded"),
    (b"A: b\r\n\tc: d", "folded"),
    (b": b", "begins with a colon"),
    (b"A b: c", "the field name 'A b'"),
    (b"A(b): c", "the field name"),
    (b"\xc4: b", "the field name"),
    (b"A", "no colon: 'A'"),
    (b"Server", "no colon: 'Server'"),
    (b"A: b\r\n\r\nC: d", "an empty line"),
    (b"A: b\nC: d", "an LF without its CR at byte 21, in field 'A'"),
    (b"A: b\rC: d", "a CR without its LF at byte 21"),
    (b"A: b\r\r", "a CR without its LF"),
    (b"A: b\n\n", "an LF without its CR"),
    (b"A: b\x00", "a NUL at byte 21, in field 'A'"),
    (b"A\x00: b", "a NUL"),
    (b"A: \x01", "the character U+0001"),
    (b"A: \x0b", "the character U+000B"),
    (b"A: \x0c", "the character U+000C"),
    (b"A: \x1f", "the character U+001F"),
    (b"A: \x7f", "the character U+007F"),
    (b"\rA: b", "a CR without its LF"),
]


@pytest.mark.parametrize(("line", "message"), FAULTY_FIELDS)
def test_faulty_fields(line: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=re.escape(message)):
        parse_head(answer(b"Known: x", line).replace(b"Known: x\r\n", b""), strict=True)


@pytest.mark.parametrize("line", [line for line, _ in FAULTY_FIELDS if line != b"\rA: b"])
def test_faulty_trailers(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        read_lenient_trailers(line + b"\r\n", True)


@pytest.mark.parametrize(
    "lines",
    [
        (b"Set-Cookie: sid=hunter2\x00",),
        (b"Set-Cookie: a=b", b" hunter2"),
        (b"Set-Cookie sid=hunter2",),
        (b"Set-Cookie sid=hunter2: x",),
        (b"Authorization=hunter2",),
        (b"WWW-Authenticate: x\nhunter2",),
    ],
)
def test_errors_hide_secrets(lines: tuple[bytes, ...]) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_head(answer(*lines), strict=True)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("line", [b"A" * 9000, b"A" * 9000 + b" : b", b"\xff" * 9000 + b": b"])
def test_errors_are_short(line: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_head(answer(line), strict=True)
    assert len(str(caught.value)) < 160


@pytest.mark.parametrize("block", [b"", b"\r\n", b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n", PLAIN[:-2]])
def test_incomplete_blocks_are_refused(block: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_head(block)


def test_bytes_after_the_empty_line_are_refused() -> None:
    with pytest.raises(ProtocolError):
        parse_head(PLAIN + b"x")
    with pytest.raises(ProtocolError):
        parse_head(PLAIN + b"\r\n")


@pytest.mark.parametrize(
    ("strict", "fields", "size"),
    [(True, STRICT_FIELDS, STRICT_HEAD), (False, MAX_FIELDS, MAX_HEAD)],
)
def test_limits(strict: bool, fields: int, size: int) -> None:
    assert len(parse_head(answer(*[b"A: b"] * fields), strict).fields) == fields
    with pytest.raises(ProtocolError, match=f"more than {fields:,} fields"):
        parse_head(answer(*[b"A: b"] * (fields + 1)), strict)
    lines = [b"A: " + b"x" * (size // 4)] * 3
    lines.append(b"B: " + b"x" * (size - len(answer(*lines, b"B: "))))
    assert len(parse_head(answer(*lines), strict).text) == size
    with pytest.raises(ProtocolError, match=f"larger than {size:,} bytes"):
        parse_head(answer(*lines, b""), strict)


def test_the_limit_of_a_line() -> None:
    line = b"A: " + b"x" * (MAX_LINE - 3)
    assert len(parse_head(answer(line)).fields[0][1]) == MAX_LINE - 3
    for faulty in (line + b"x", b"A: b\r\n " + line):
        with pytest.raises(ProtocolError, match="longer than 102,400 bytes"):
            parse_head(answer(faulty))
    assert find_end(b"HTTP/1.1 200 OK\r\n" + line, 0) == -1
    with pytest.raises(ProtocolError, match="longer than 102,400 bytes"):
        find_end(b"HTTP/1.1 200 OK\r\n" + line + b"xx", 0)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    names, lines, firsts = well_formed._Names(), well_formed._Lines(), well_formed._StatusLines()
    monkeypatch.setattr(well_formed, "_NAMES", names)
    monkeypatch.setattr(well_formed, "_LINES", lines)
    monkeypatch.setattr(well_formed, "_field_of", lines.__getitem__)
    monkeypatch.setattr(well_formed, "_STATUS_LINES", firsts)
    monkeypatch.setattr(well_formed, "_strange", 0)
    for number in range(3000):
        # Every other line is the same, so that the memory is asked.
        block = b"HTTP/1.1 200 r%d\r\nX-%d: y\r\nA: b\r\n\r\n" % (number, number)
        read = well_formed.read_sound(block)
        assert read is not None
        assert read.reason == f"r{number}"
        assert read.get(f"x-{number}") == "y"
    assert 0 < len(names) <= 1024
    assert 0 < len(lines) <= 1024
    assert 0 < len(firsts) <= 1024
    names.clear()
    lines.clear()
    firsts.clear()
    well_formed.read_sound(b"HTTP/1.1 200 " + b"r" * 100 + b"\r\n" + b"X" * 200 + b": y\r\n\r\n")
    well_formed.read_sound(
        b"HTTP/1.1 302 Found\r\nLocation: /?secret\r\nSet-Cookie: secret\r\n\r\n"
    )
    assert not lines
    assert list(firsts) == ["HTTP/1.1 302 Found"]
    assert list(names) == ["Location", "Set-Cookie"]


def test_heads_that_are_new_in_every_line_read_as_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(well_formed, "_strange", 0)
    for number in range(300):
        block = answer(
            b"Date: %d" % number, b"Set-Cookie: a=%d" % number, b"X: %d" % number,
            b"Content-Length: \t%d \t" % number,
        )  # fmt: skip
        read = well_formed.read_sound(block)
        assert read is not None
        assert read.known == {"set-cookie": f"a={number}", "content-length": str(number)}
    assert well_formed._strange > 8
    for faulty in (b"X", b"X : y", b"X: \0", b"X: \n", b"X: \r", b"Date: 1", b": y"):
        monkeypatch.setattr(well_formed, "_strange", 9)
        assert well_formed.read_sound(block[:-2] + faulty + b"\r\n\r\n") is None
    monkeypatch.setattr(well_formed, "_strange", 9)
    read = well_formed.read_sound(block[:-2] + b"Set-Cookie:b \r\n\r\n")
    assert read is not None
    assert read.get("set-cookie") == f"a={number}, b"


@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_find_end_in_pieces(kind: Any) -> None:
    whole = kind(PLAIN + b"body")
    searched = 0
    for length in range(len(PLAIN)):
        assert find_end(whole[:length], searched) == -1
        searched = length
    assert find_end(whole[: len(PLAIN)], searched) == len(PLAIN)
    assert find_end(whole, 0) == len(PLAIN)


@pytest.mark.parametrize(
    ("buffer", "message"),
    [
        (b"x", "begins with 'x': expected 'HTTP/1.'"),
        (b"\r\n", "expected 'HTTP/1.'"),
        (b"HTTP/2", "expected"),
        (b"HTTP/0.9 200", "expected"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0"),
        (b"<html>", "<html>"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "https"),
        (b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64", "HTTP/2: config={'http2': 'prior'}"),
        (b"HTTP/1.1 200 OK\n", "LF instead of CR LF"),
        (b"HTTP/1.1 200 OK\r\nA: b\n\n", "LF instead of CR LF"),
        (b"HTTP/1.1 200 OK\n\nbody", "LF instead of CR LF"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * STRICT_HEAD, "larger than 65,536 bytes"),
    ],
)
def test_find_end_refuses_early(buffer: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=re.escape(message)):
        find_end(buffer, 0, strict=True)


def test_find_end_sees_a_line_end_across_two_calls() -> None:
    assert find_end(b"HTTP/1.1 200 OK\r", 0) == -1
    assert find_end(b"HTTP/1.1 200 OK\r\n", 16) == -1
    with pytest.raises(ProtocolError):
        find_end(b"HTTP/1.1 200 OK\r\nA\n", 18, strict=True)


def test_find_end_allows_the_largest_head() -> None:
    largest = answer(b"A: " + b"x" * (MAX_HEAD - len(answer(b"A: "))))
    assert find_end(largest[:-1], 0) == -1
    assert find_end(largest, MAX_HEAD - 1) == MAX_HEAD


def test_writes_a_head() -> None:
    fields = [("Host", "example.com"), ("X-Empty", ""), ("X-Latin", "caf\xe9"), ("X-Tab", "a\tb")]
    expected = (
        b"POST /a?b=c HTTP/1.1\r\nHost: example.com\r\nX-Empty: \r\nX-Latin: caf\xe9\r\n"
        b"X-Tab: a\tb\r\n\r\n"
    )
    for _ in range(2):  # checked, then remembered
        assert write_head("POST", "/a?b=c", fields) == expected
    assert write_head("POST", "/a?b=c", iter(fields)) == expected


def test_writes_a_head_without_fields() -> None:
    assert write_head("OPTIONS", "*", []) == b"OPTIONS * HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("value", ["a:  b", "a: \tb", "trailing ", "a", "\xff"])
def test_values_that_can_be_sent(value: str) -> None:
    check_field("X", value)
    expected = f"GET / HTTP/1.1\r\nX: {value}\r\n\r\n".encode("latin-1")
    assert write_head("GET", "/", [("X", value)]) == expected


FAULTY_HEADERS = [
    ("", "x", "name ''"),
    ("A B", "x", "name 'A B'"),
    ("A:", "x", "name 'A:'"),
    (" A", "x", "name ' A'"),
    ("A\r\nB", "x", r"name 'A\r\nB'"),
    ("A\n", "x", r"name 'A\n'"),
    ("\xc4", "x", "name"),
    ("€", "x", "name"),
    (b"A", "x", "name of type bytes"),
    (None, "x", "name of type NoneType"),
    ("A", "b\r\nC: d", "'A' has a CR at position 1"),
    ("A", "b\n", "'A' has an LF at position 1"),
    ("A", "b\r", "'A' has a CR at position 1"),
    ("A", "b\x00c", "'A' has a NUL at position 1"),
    ("A", "\x1b", "'A' has the character U+001B"),
    ("A", "\x7f", "'A' has the character U+007F"),
    ("A", " b", "'A' begins with a space: strip"),
    ("A", "\tb", "'A' begins with a tab: strip"),
    ("A", " ", "'A' begins with a space"),
    ("A", "b€", "'€' (U+20AC) at position 1"),
    ("A", "\udc80", "U+DC80"),
    ("A", 5, "'A' is of type int: expected a str"),
    ("A", None, "'A' is of type NoneType: expected a str"),
    ("A", b"b", "'A' is of type bytes: expected a str"),
]


@pytest.mark.parametrize(("name", "value", "message"), FAULTY_HEADERS)
def test_headers_that_cannot_be_sent(name: Any, value: Any, message: str) -> None:
    with pytest.raises(InvalidHeader, match=re.escape(message)):
        check_field(name, value)
    # Once the names are known to be sound, the text as a whole must give the fault away.
    write_head("GET", "/", [("Host", "h"), ("A", "b"), ("Accept", "*/*")])
    with pytest.raises(InvalidHeader, match=re.escape(message)):
        write_head("GET", "/", [("Host", "h"), (name, value), ("Accept", "*/*")])


@pytest.mark.parametrize("value", ["hunter2\n", " hunter2", "hunter2€", "hunter2\x00"])
def test_errors_never_show_a_value(value: str) -> None:
    with pytest.raises(InvalidHeader) as caught:
        write_head("GET", "/", [("Authorization", value)])
    assert "hunter2" not in str(caught.value)
    assert "Authorization" in str(caught.value)


@pytest.mark.parametrize("method", ["", "G T", "GET ", "GET\r\nA: b", "G\x00", "GÉT", "€", b"GET"])
def test_methods_that_cannot_be_sent(method: Any) -> None:
    with pytest.raises(InvalidHeader, match="the method is"):
        check_method(method)
    write_head("GET", "/", [("Host", "h")])
    with pytest.raises(InvalidHeader, match="the method is"):
        write_head(method, "/", [("Host", "h")])


@pytest.mark.parametrize("method", ["GET", "get", "M-SEARCH", "X!"])
def test_methods_are_sent_as_given(method: str) -> None:
    check_method(method)
    assert write_head(method, "/", []) == f"{method} / HTTP/1.1\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("", "empty"),
        ("/a b", "'/a b' has a space at position 2"),
        ("/a\r\nHost: b", "a CR at position 2"),
        ("/a\n", "an LF"),
        ("/\x00", "a NUL"),
        ("/\t", "a tab"),
        ("/\x7f", "U+007F"),
        ("/\xe9", "U+00E9"),
        ("/€", "U+20AC"),
        ("/a?key=hunter2 ", "a space at position 14"),
        ("http://u:hunter2@h/ ", "'http://h/ ' has a space"),
    ],
)
def test_targets_that_cannot_be_sent(target: str, message: str) -> None:
    with pytest.raises(InvalidURL, match=re.escape(message)) as caught:
        check_target(target)
    assert "hunter2" not in str(caught.value)
    write_head("GET", "/", [("Host", "h")])
    with pytest.raises(InvalidURL, match=re.escape(message)):
        write_head("GET", target, [("Host", "h")])


@pytest.mark.parametrize("target", ["/", "*", "h:443", "http://h/a?b#c", "/%20?a=[b]|{c}\"'<>"])
def test_targets_that_can_be_sent(target: str) -> None:
    check_target(target)
    assert write_head("GET", target, []).startswith(b"GET " + target.encode() + b" HTTP/1.1\r\n")
