"""Tables for framing: where bodies end, and what makes it ambiguous."""

from __future__ import annotations

import re
from typing import Any

import pytest

from reqkit.exceptions import ChunkedEncodingError, ProtocolError
from reqkit.wire.h1.answer import (
    MAX_FIELDS,
    MAX_HEAD,
    MAX_LINE,
    STRICT_FIELDS,
    STRICT_HEAD,
    AnswerHead,
)
from reqkit.wire.h1.framing import MAX_CHUNK_LINE, ChunkedReader, Framing, framing_of, keeps_alive
from reqkit.wire.h1.head import parse_head

CHUNKED = b"Transfer-Encoding: chunked"


def answer(
    *lines: bytes, status: int = 200, version: bytes = b"1.1", strict: bool = False
) -> AnswerHead:
    first = b"HTTP/%s %d x" % (version, status)
    return parse_head(b"\r\n".join((first, *lines, b"", b"")), strict)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], (Framing.UNTIL_CLOSE, -1)),
        ([b"Content-Length: 0"], (Framing.LENGTH, 0)),
        ([b"Content-Length: 5"], (Framing.LENGTH, 5)),
        ([b"Content-Length: 007"], (Framing.LENGTH, 7)),
        ([b"Content-Length:   5 \t"], (Framing.LENGTH, 5)),
        ([b"Content-Length: " + b"9" * 19], (Framing.LENGTH, 10**19 - 1)),
        ([b"Content-Length: 5", b"content-length: 5"], (Framing.LENGTH, 5)),
        ([b"Content-Length: 5, 5,5"], (Framing.LENGTH, 5)),
        ([b"Content-Length: %s" % (b"9" * 19)] * 2, (Framing.LENGTH, 10**19 - 1)),
        ([CHUNKED], (Framing.CHUNKED, -1)),
        ([b"transfer-encoding: Chunked "], (Framing.CHUNKED, -1)),
    ],
)
def test_framing(lines: list[bytes], expected: tuple[int, int]) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "get"):
        assert framing_of(method, answer(*lines)) == expected


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"Content-Length: 5"],
        [CHUNKED],
        [b"Content-Length: x"],
        [b"Content-Length: 5", CHUNKED],
    ],
)
@pytest.mark.parametrize(
    ("method", "status"),
    [
        ("HEAD", 200),
        ("HEAD", 404),
        ("GET", 100),
        ("GET", 101),
        ("GET", 103),
        ("GET", 204),
        ("GET", 304),
        ("CONNECT", 200),
        ("CONNECT", 299),
    ],
)
def test_answers_without_a_body(method: str, status: int, lines: list[bytes]) -> None:
    assert framing_of(method, answer(*lines, status=status)) == (Framing.NONE, 0)


@pytest.mark.parametrize(
    ("method", "status"), [("CONNECT", 407), ("CONNECT", 302), ("GET", 205), ("GET", 999)]
)
def test_answers_with_a_body(method: str, status: int) -> None:
    assert framing_of(method, answer(CHUNKED, status=status)) == (Framing.CHUNKED, -1)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([CHUNKED, b"Content-Length: 5"], "both Transfer-Encoding and Content-Length"),
        ([b"Content-Length: 5", CHUNKED], "both Transfer-Encoding and Content-Length"),
        ([b"Content-Length: 5", b"Transfer-Encoding: identity"], "both"),
        ([b"Content-Length:", CHUNKED], "both"),
        ([b"Content-Length: 5", b"Content-Length: 6"], "differing Content-Lengths: '5, 6'"),
        ([b"Content-Length: 5, 6"], "differing Content-Lengths: '5, 6'"),
        ([b"Content-Length: 5, 05"], "differing Content-Lengths"),
        ([b"Content-Length: 5", b"Content-Length:"], "plain number"),
        ([b"Content-Length: 5,"], "plain number"),
        ([b"Content-Length:"], "'': expected a plain number"),
        ([b"Content-Length: +5"], "'+5': expected a plain number"),
        ([b"Content-Length: -1"], "plain number"),
        ([b"Content-Length: 0x5"], "plain number"),
        ([b"Content-Length: 5.0"], "plain number"),
        ([b"Content-Length: 5_0"], "plain number"),
        ([b"Content-Length: 5 0"], "plain number"),
        ([b"Content-Length: 1e3"], "plain number"),
        ([b"Content-Length: 5;6"], "plain number"),
        ([b"Content-Length: \xb2"], "plain number"),
        ([b"Content-Length: \xe0\xa5\xab"], "plain number"),
        ([b"Content-Length: 5\xa0"], "plain number"),
        ([b"Content-Length: " + b"1" * 20], "more than 19 digits"),
        ([b"Content-Length: " + b"0" * 20], "more than 19 digits"),
        ([b"Content-Length: " + b"1" * 9000], "more than 19 digits"),
        ([b"Transfer-Encoding:"], "expected 'chunked'"),
        ([b"Transfer-Encoding: identity"], "expected 'chunked'"),
        ([b"Transfer-Encoding: gzip"], "expected 'chunked'"),
        ([b"Transfer-Encoding: chunked, gzip"], "expected 'chunked'"),
        ([b"Transfer-Encoding: chunked,"], "expected 'chunked'"),
        ([b"Transfer-Encoding: xchunked"], "expected 'chunked'"),
        ([b"Transfer-Encoding: chunked;a=b"], "expected 'chunked'"),
        ([b"Transfer-Encoding: chunked\xa0"], "expected 'chunked'"),
        ([b'Transfer-Encoding: "chunked"'], "expected 'chunked'"),
        ([b"Transfer-Encoding: gzip, chunked"], "only chunked is supported"),
        ([b"Transfer-Encoding: gzip", CHUNKED], "only chunked is supported"),
        ([b"Transfer-Encoding: , chunked"], "only chunked is supported"),
        ([b"Transfer-Encoding: chunked, chunked"], "only once"),
        ([CHUNKED, CHUNKED], "only once"),
        ([CHUNKED, b"Transfer-Encoding: identity"], "expected 'chunked'"),
    ],
)
def test_ambiguous_framing(lines: list[bytes], message: str) -> None:
    with pytest.raises(ProtocolError, match=re.escape(message)) as caught:
        framing_of("GET", answer(*lines), strict=True)
    assert len(str(caught.value)) < 160


IDENTITY = b"Transfer-Encoding: identity"

# What the widely used clients read in one way.
DOUBTFUL = [
    ([CHUNKED, b"Content-Length: 5"], b"1.1", (Framing.CHUNKED, -1)),
    ([b"Content-Length: 5", CHUNKED], b"1.1", (Framing.CHUNKED, -1)),
    ([b"Content-Length:", b"transfer-encoding: Chunked"], b"1.1", (Framing.CHUNKED, -1)),
    ([b"Content-Length: 5", b"Content-Length: 6", CHUNKED], b"1.1", (Framing.CHUNKED, -1)),
    ([CHUNKED], b"1.0", (Framing.CHUNKED, -1)),
    ([CHUNKED, b"Connection: keep-alive"], b"1.0", (Framing.CHUNKED, -1)),
    ([IDENTITY], b"1.1", (Framing.UNTIL_CLOSE, -1)),
    ([b"Transfer-Encoding: IDENTITY", b"Content-Length: 5"], b"1.1", (Framing.LENGTH, 5)),
]


@pytest.mark.parametrize(("lines", "version", "expected"), DOUBTFUL)
def test_doubtful_framing(lines: list[bytes], version: bytes, expected: tuple[int, int]) -> None:
    head = answer(*lines, version=version)
    assert framing_of("GET", head) == expected
    assert not keeps_alive(head)
    with pytest.raises(ProtocolError):
        framing_of("GET", answer(*lines, version=version, strict=True), strict=True)


@pytest.mark.parametrize(
    "lines",
    [
        [b"Transfer-Encoding:"],
        [b"Transfer-Encoding: gzip"],
        [b"Transfer-Encoding: gzip, chunked"],
        [b"Transfer-Encoding: chunked, chunked"],
        [CHUNKED, CHUNKED],
        [IDENTITY, CHUNKED],
        [IDENTITY, IDENTITY],
        [CHUNKED, IDENTITY, b"Content-Length: 5"],
        [b"Content-Length: 5", b"Content-Length: 6"],
        [b"Content-Length: 5", b"Content-Length: 6", IDENTITY],
    ],
)
def test_what_nobody_agrees_on_stays_an_error(lines: list[bytes]) -> None:
    with pytest.raises(ProtocolError):
        framing_of("GET", answer(*lines))


def test_a_head_that_was_odd_ends_its_connection() -> None:
    assert not keeps_alive(answer(b"Content-Length: 5", b"Content-Length: 5"))
    assert not keeps_alive(answer(b"A: b\nC: d"))
    assert keeps_alive(answer(b"Content-Length: 5, 5"))
    assert keeps_alive(answer(b"Date: a", b"Date: b", b"A: b", b"A: b"))


@pytest.mark.parametrize(
    ("version", "lines", "expected"),
    [
        (b"1.1", [], True),
        (b"1.1", [b"Connection: keep-alive"], True),
        (b"1.1", [b"Connection: close"], False),
        (b"1.1", [b"Connection: Close"], False),
        (b"1.1", [b"Connection: foo,\tclose , bar"], False),
        (b"1.1", [b"Connection: keep-alive, close"], False),
        (b"1.1", [b"Connection: keep-alive", b"Connection: close"], False),
        (b"1.1", [b"Connection: upgrade"], True),
        (b"1.1", [b"Connection: closed"], True),
        (b"1.1", [b"Connection:"], True),
        (b"1.0", [], False),
        (b"1.0", [b"Connection: close"], False),
        (b"1.0", [b"Connection: Keep-Alive"], True),
        (b"1.0", [b"Connection: foo, keep-alive"], True),
        (b"1.0", [b"Connection: keep-alive, close"], False),
        (b"1.0", [b"Connection: foo"], False),
    ],
)
def test_keeps_alive(version: bytes, lines: list[bytes], expected: bool) -> None:
    assert keeps_alive(answer(*lines, version=version)) is expected


def decode(encoded: bytes, cut: int) -> tuple[bytes, ChunkedReader]:
    reader = ChunkedReader()
    body = b"".join(reader.feed(encoded[at : at + cut]) for at in range(0, len(encoded), cut))
    return body, reader


CUTS = [1, 2, 3, 7, 100_000_000]


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("encoded", "body"),
    [
        (b"0\r\n\r\n", b""),
        (b"000\r\n\r\n", b""),
        (b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"0005\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"0000000000000005\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"hello world"),
        (b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
        (b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789"),
        (b"1F\r\n" + b"x" * 31 + b"\r\n0\r\n\r\n", b"x" * 31),
        (b'5;a;b=c;d="e f"\r\nhello\r\n0;z\r\n\r\n', b"hello"),
        (b"5 ; a\t=b\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5;\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5;\xe9\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"5   \r\nhello\r\n0  \r\n\r\n", b"hello"),
    ],
)
def test_chunks(encoded: bytes, body: bytes, cut: int) -> None:
    read, reader = decode(encoded, cut)
    assert read == body
    assert reader.ended
    assert (reader.rest, reader.trailers) == (b"", [])
    reader.finish()


@pytest.mark.parametrize("cut", CUTS)
def test_trailers_and_rest(cut: int) -> None:
    encoded = b"1\r\na\r\n0\r\nX-Sum: 1\r\nX-Two:\t2 \r\n\r\nHTTP/1.1 200"
    body, reader = decode(encoded, cut)
    assert body == b"a"
    assert reader.trailers == [("X-Sum", "1"), ("X-Two", "2")]
    assert reader.rest == b"HTTP/1.1 200"
    reader.finish()


def test_feeding_nothing_changes_nothing() -> None:
    reader = ChunkedReader()
    assert reader.feed(b"") == b""
    assert reader.feed(b"5\r\nhel") == b"hel"
    assert reader.feed(b"") == b""
    assert reader.feed(b"lo\r\n0\r\n\r\n") == b"lo"
    assert reader.feed(b"") == b""
    assert reader.ended and reader.rest == b""


def test_the_end_is_known_with_its_last_byte() -> None:
    reader = ChunkedReader()
    reader.feed(b"0\r\n\r")
    assert not reader.ended
    reader.feed(b"\n")
    assert reader.ended


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (b"\r\n", r"b'\r\n': expected its size"),
        (b"\n", "expected its size"),
        (b"5\nhello\n0\n\n", "expected its size"),
        (b"5\rhello\r\n", "expected its size"),
        (b" 5\r\n", "expected its size"),
        (b"\t5\r\n", "expected its size"),
        (b"+5\r\n", "b'+5\\r\\n'"),
        (b"-5\r\n", "expected its size"),
        (b"-0\r\n", "expected its size"),
        (b"0x5\r\n", "expected its size"),
        (b"1_0\r\n", "expected its size"),
        (b"5g\r\n", "expected its size"),
        (b"5 5\r\n", "expected its size"),
        (b"5,\r\n", "expected its size"),
        (b"\xef\xbc\x95\r\n", "expected its size"),
        (b"00000000000000005\r\n", "expected its size"),
        (b"5;a\nb\r\n", "expected its size"),
        (b"5;a\rb\r\n", "expected its size"),
        (b"5;a\x00\r\n", "expected its size"),
        (b"5;a\x7f\r\n", "expected its size"),
        (b"5\x0b\r\n", "expected its size"),
        (b";a\r\n", "expected its size"),
        (b"5\r\nhelloworld\r\n", "followed by b'w"),
        (b"5\r\nhello\n0\r\n", "followed by b'\\n"),
        (b"5\r\nhello\rX", "followed by b'\\rX'"),
        (b"5\r\nhello0\r\n\r\n", "not CR LF"),
        (b"5;" + b"a" * MAX_CHUNK_LINE + b"\r\n", "longer than 4,096 bytes"),
        (b"5" * (MAX_CHUNK_LINE + 1), "longer than 4,096 bytes"),
        (b"0\r\n\n", "ends in LF"),
        (b"0\r\nA: b\n\r\n", "ends in LF"),
        (b"0\r\nA: b\r\n c\r\n\r\n", "folded"),
        (b"0\r\nA : b\r\n\r\n", "white space between"),
        (b"0\r\nA: b\rc\r\n\r\n", "a CR without its LF"),
        (b"0\r\nA: \x00\r\n\r\n", "a NUL"),
        (b"0\r\nA\r\n\r\n", "no colon"),
        (b"0\r\n" + b"A: b\r\n" * (STRICT_FIELDS + 1), "more than 256 trailer fields"),
        (b"0\r\nA: " + b"b" * STRICT_HEAD, "trailers are larger than 65,536 bytes"),
        (b"0\r\n" + (b"A: " + b"b" * 9000 + b"\r\n") * 8, "larger than 65,536"),
    ],
)
def test_broken_chunks(encoded: bytes, message: str, cut: int) -> None:
    reader = ChunkedReader(strict=True)
    with pytest.raises(ChunkedEncodingError, match=re.escape(message)) as caught:
        for at in range(0, len(encoded), cut):
            reader.feed(encoded[at : at + cut])
    assert len(str(caught.value)) < 160
    assert not reader.ended
    with pytest.raises(ChunkedEncodingError):
        reader.feed(b"0\r\n\r\n")
    with pytest.raises(ChunkedEncodingError):
        reader.finish()


@pytest.mark.parametrize("cut", CUTS)
def test_the_longest_lines_allowed(cut: int) -> None:
    line = b"1;" + b"a" * (MAX_CHUNK_LINE - 4) + b"\r\n"
    assert len(line) == MAX_CHUNK_LINE
    trailer = b"A: " + b"b" * (MAX_LINE - 5) + b"\r\n"
    body, reader = decode(line + b"x\r\n0\r\n" + trailer + b"\r\n", cut)
    assert (body, reader.ended) == (b"x", True)
    assert len(reader.trailers[0][1]) == MAX_LINE - 5


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("section", "expected"),
    [
        (b"\n", []),
        (b"A: b\n\r\n", [("A", "b")]),
        (b"A: b\n\n", [("A", "b")]),
        (b"A: b\r\n c\r\n\td\r\n \t\r\n\r\n", [("A", "b c d")]),
        (b"A : b\r\n\r\n", [("A", "b")]),
        (b"A\r\n goes on\r\nB: c\r\n\r\n", [("B", "c")]),
        (b"A B: c\r\n\xe9: d\r\n: e\r\n\r\n", []),
        (b"A: \x01\x7f\r\n\r\n", [("A", "\x01\x7f")]),
        (b"ETag: a\r\netag:a\r\n\r\n", [("ETag", "a")]),
        (b"A: b\r\n" * 300 + b"\r\n", [("A", "b")] * 300),
    ],
)
def test_odd_trailers(section: bytes, expected: list[tuple[str, str]], cut: int) -> None:
    body, reader = decode(b"1\r\nx\r\n0\r\n" + section + b"rest", cut)
    assert (body, reader.ended, reader.rest) == (b"x", True, b"rest"[: len(reader.rest)])
    assert reader.trailers == expected
    assert reader.oddity or len(expected) == 300


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize(
    ("section", "message"),
    [
        (b"A: b\rc\r\n\r\n", "a CR without its LF"),
        (b"A: \x00\r\n\r\n", "a NUL"),
        (b" A: b\r\n\r\n", "folded"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "no colon: 'HTTP/1.1 200 OK'"),
        (b"A: b\r\n" * (MAX_FIELDS + 1), "more than 1,000 trailer fields"),
        (b"A: " + b"b" * MAX_LINE, "longer than 102,400 bytes"),
        ((b"A: " + b"b" * 9000 + b"\r\n") * (MAX_HEAD // 9000 + 1), "larger than 307,200"),
    ],
)
def test_trailers_that_stay_errors(section: bytes, message: str, cut: int) -> None:
    reader = ChunkedReader()
    encoded = b"0\r\n" + section
    with pytest.raises(ChunkedEncodingError, match=re.escape(message)):
        for at in range(0, len(encoded), cut):
            reader.feed(encoded[at : at + cut])
    assert not reader.ended


@pytest.mark.parametrize(
    "feeds",
    [
        (b"5\r\nhello\r", b"\r\n0\r\n\r\n"),
        (b"5\r", b"5\r\nhello\r\n0\r\n\r\n"),
        (b"0\r\n\r", b"\r\n"),
        (b"0\r\nA: b\r", b"\r\n\r\n"),
    ],
)
def test_a_cut_line_is_not_forgotten(feeds: tuple[bytes, bytes]) -> None:
    reader = ChunkedReader(strict=True)
    reader.feed(feeds[0])
    with pytest.raises(ChunkedEncodingError):
        reader.feed(feeds[1])


def test_a_flood_of_extensions_is_refused() -> None:
    reader = ChunkedReader()
    chunk = b"1;" + b"a" * 1000 + b"\r\nx\r\n"
    with pytest.raises(ChunkedEncodingError, match="chunk extensions"):
        for _ in range(100):
            reader.feed(chunk)


def test_extensions_in_proportion_are_accepted() -> None:
    signed = b"400;chunk-signature=" + b"a" * 64 + b"\r\n" + b"x" * 1024 + b"\r\n"
    body, reader = decode(signed * 2000 + b"0\r\n\r\n", 65536)
    assert (len(body), reader.ended) == (2_048_000, True)


def test_padded_sizes_are_no_flood() -> None:
    body, reader = decode(b"1       \r\nx\r\n" * 20_000 + b"0\r\n\r\n", 65536)
    assert (len(body), reader.ended) == (20_000, True)


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        (b"", "the last chunk is missing"),
        (b"5", "the last chunk is missing"),
        (b"5\r\nhel", "2 bytes of a chunk"),
        (b"5\r\nhello", "the last chunk is missing"),
        (b"5\r\nhello\r\n", "the last chunk is missing"),
        (b"5\r\nhello\r\n0", "the last chunk is missing"),
        (b"0\r\n", "the empty line after the last chunk is missing"),
        (b"0\r\nA: b\r\n", "the empty line after the last chunk is missing"),
    ],
)
def test_a_connection_that_ends_early(encoded: bytes, message: str) -> None:
    reader = ChunkedReader()
    reader.feed(encoded)
    with pytest.raises(ChunkedEncodingError, match=message):
        reader.finish()


def test_large_chunks_are_handed_on_uncopied() -> None:
    reader = ChunkedReader()
    reader.feed(b"100000\r\n")
    data = b"x" * 65536
    assert reader.feed(data) is data


class CountingBytes(bytes):
    """Bytes that count how much of them is cut out."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if isinstance(part, bytes):
            CountingBytes.copied += len(part)
        return part


def test_each_byte_is_copied_about_once() -> None:
    encoded = b"10\r\n0123456789abcdef\r\n" * 5000 + b"0\r\nA: " + b"b" * 60_000 + b"\r\n\r\n"
    CountingBytes.copied = 0
    reader = ChunkedReader()
    for byte in encoded:
        reader.feed(CountingBytes(bytes((byte,))))
    assert reader.ended
    reader = ChunkedReader()
    reader.feed(CountingBytes(encoded))
    assert reader.ended
    assert CountingBytes.copied <= 2 * len(encoded)
