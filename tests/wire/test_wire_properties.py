"""Properties of the wire: nothing but the named errors, and agreement with other readers."""

from __future__ import annotations

import http.client
import io
import re
from itertools import pairwise

import h11
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fuzz.feeding import h11_answer
from reqkit.exceptions import ChunkedEncodingError, InvalidHeader, InvalidURL, ProtocolError
from reqkit.wire.h1.framing import ChunkedReader, Framing, framing_of, keeps_alive
from reqkit.wire.h1.head import AnswerHead, find_end, parse_head, write_head

several = settings(max_examples=300)

TOKEN = "!#$%&'*+-.^_`|~0123456789abcXYZ"
VALUE = "".join(map(chr, [*range(0x20, 0x7F), *range(0x80, 0x100)]))

names = st.text(TOKEN, min_size=1, max_size=12)
values = st.text(VALUE + "\t", max_size=30).map(lambda text: text.strip(" \t"))
fields = st.lists(st.tuples(names, values), max_size=8)

# Pieces out of which heads, and all that is nearly one, are put together.
scraps = st.sampled_from(
    [
        b"HTTP/1.1 200 OK", b"HTTP/1.0 200", b"HTTP/1.1 404 Not Found", b"HTTP/1.1 204 ",
        b"HTTP/1.", b"\r\n", b"\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"\t", b":", b": ",
        b"\x00", b"\x7f", b"\xe9", b",", b"A", b"b", b"Content-Length: ", b"content-length: 5",
        b"Content-Length: 5, 5", b"Transfer-Encoding: ", b"Transfer-Encoding: chunked", b"chunked",
        b"gzip", b"5", b"0", b"+5", b"0x5", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n", b";a=b",
        b"Connection: close", b"Connection: keep-alive", b"X-A: b\r\n",
    ]
)  # fmt: skip
bodies = st.sampled_from(
    [
        ([], b"hello"),
        ([b"Content-Length: 5"], b"hello"),
        ([b"Content-Length: 5", b"content-length:5"], b"hello"),
        ([b"Content-Length: 0"], b""),
        ([b"Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
        ([b"transfer-encoding:Chunked"], b"2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nX: y\r\n\r\n"),
    ]
)
status_lines = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 200 ok\xe9", b"HTTP/1.1 404 Not Found ", b"HTTP/1.1 500 "]
)
lines = st.tuples(names, values).map(lambda pair: f"{pair[0]}: {pair[1]}".encode("latin-1"))


@st.composite
def sound_answers(draw: st.DrawFn) -> bytes:
    """Draw an answer that is as it should be."""
    framing, body = draw(bodies)
    head = [draw(status_lines), *draw(st.permutations([*draw(st.lists(lines)), *framing]))]
    return b"\r\n".join([*head, b"", body])


@st.composite
def spoilt_answers(draw: st.DrawFn) -> bytes:
    """Draw an answer with something put in, or in the place of something."""
    raw = draw(sound_answers())
    start = draw(st.integers(0, len(raw)))
    stop = start + draw(st.integers(0, 2))
    return raw[:start] + draw(st.one_of(scraps, st.binary(max_size=2))) + raw[stop:]


soups = st.one_of(
    st.binary(max_size=200),
    st.lists(scraps, max_size=14).map(lambda parts: b"HTTP/1.1 200 OK\r\n" + b"".join(parts)),
    sound_answers(),
    spoilt_answers(),
    spoilt_answers(),
)


def read_answer(raw: bytes, method: str = "GET") -> tuple[AnswerHead, bytes, bytes] | None:
    """Read head, body and what is left, as a connection that ends after these bytes does."""
    end = find_end(raw, 0)
    if end < 0:
        return None
    head = parse_head(raw[:end])
    kind, length = framing_of(method, head)
    keeps_alive(head)
    rest = raw[end:]
    if kind == Framing.NONE:
        return head, b"", rest
    if kind == Framing.LENGTH:
        return (head, rest[:length], rest[length:]) if len(rest) >= length else None
    if kind == Framing.UNTIL_CLOSE:
        return head, rest, b""
    reader = ChunkedReader()
    body = reader.feed(rest)
    reader.finish()
    return head, body, reader.rest


class FakeSocket:
    """What http.client needs of a socket."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the bytes as a file."""
        return io.BufferedReader(io.BytesIO(self.raw))


def stdlib_answer(raw: bytes) -> tuple[int, str, list[tuple[str, str]], bytes] | None:
    """Read an answer with http.client, or return None where it refuses."""
    answer = http.client.HTTPResponse(FakeSocket(raw), method="GET")  # type: ignore[arg-type]
    try:
        answer.begin()
        body = answer.read()
    except (http.client.HTTPException, ValueError):
        return None
    finally:
        answer.close()
    return answer.status, answer.reason, answer.getheaders(), body


@several
@given(soups)
@example(b"HTTP/1.1 200 OK\r\n\r\n")
@example(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n")
def test_any_bytes_are_an_answer_or_a_named_error(raw: bytes) -> None:
    try:
        answer = read_answer(raw)
    except (ProtocolError, ChunkedEncodingError) as error:
        assert str(error)
        return
    if answer is not None:
        assert all(re.fullmatch(r"[^\x00\r\n]*", value) for _, value in answer[0].fields)


@several
@given(st.binary(max_size=120))
def test_any_block_is_a_head_or_a_named_error(raw: bytes) -> None:
    for block in (raw, b"HTTP/1.1 200 OK\r\n" + raw + b"\r\n\r\n"):
        try:
            head = parse_head(block)
        except ProtocolError:
            continue
        for name, _ in head.fields:
            assert head.get(name.lower()) == ", ".join(head.get_all(name.lower()))


@several
@given(soups)
def test_agrees_with_h11(raw: bytes) -> None:
    try:
        ours = read_answer(raw)
    except (ProtocolError, ChunkedEncodingError):
        return
    if ours is None or ours[0].status < 200:
        return
    theirs = h11_answer(raw)
    if theirs is None:
        return
    head, body, _ = ours
    status, reason, headers, their_body = theirs
    assert head.status == status
    assert head.reason.encode("latin-1") == reason
    # h11 joins equal Content-Lengths into one and writes chunked in lower case.
    framing = (b"content-length", b"transfer-encoding")
    assert [
        (name.encode("latin-1"), value.encode("latin-1"))
        for name, value in head.fields
        if name.lower().encode("latin-1") not in framing
    ] == [pair for pair in headers if pair[0].lower() not in framing]
    assert body == their_body


@several
@given(soups)
def test_agrees_with_the_stdlib(raw: bytes) -> None:
    try:
        ours = read_answer(raw)
    except (ProtocolError, ChunkedEncodingError):
        return
    # http.client skips 100 Continue by itself and has no notion of bodies after 1xx.
    if ours is None or ours[0].status < 200:
        return
    head, body, _ = ours
    # It takes a listed Content-Length for none, and the first of several fields.
    if "," in (head.get("content-length") or ""):
        return
    # After a line that is no field it takes the other lines for none.
    if head.oddity:
        return
    theirs = stdlib_answer(raw)
    if theirs is None:
        return
    status, reason, headers, their_body = theirs
    assert head.status == status
    # It strips the reason and the values of more than the white space of HTTP.
    assert head.reason.strip() == reason
    # It takes an odd name (such as "!") for the end of the head, so only usual ones compare.
    if all(re.fullmatch("[A-Za-z-]+", name) for name, _ in head.fields):
        assert [(n, v.strip()) for n, v in head.fields] == [(n, v.strip()) for n, v in headers]
        # Of a status that has no body, it reads one where chunks are announced.
        if head.status not in (204, 304):
            assert body == their_body


@several
@given(
    fields,
    st.integers(200, 599).filter(lambda status: status not in (204, 304)),
    st.text(VALUE + "\t", max_size=20),
    st.lists(st.binary(max_size=40), max_size=5),
    st.booleans(),
    st.integers(1, 50),
)
def test_round_trip_with_h11_as_the_server(
    extra: list[tuple[str, str]],
    status: int,
    reason: str,
    pieces: list[bytes],
    chunked: bool,
    cut: int,
) -> None:
    reserved = ("content-length", "transfer-encoding", "connection")
    sent = [
        (name.encode(), value.encode("latin-1"))
        for name, value in extra
        if name.lower() not in reserved
    ]
    framing = (
        (b"Transfer-Encoding", b"chunked")
        if chunked
        else (b"Content-Length", b"%d" % sum(map(len, pieces)))
    )
    server = h11.Connection(h11.SERVER)
    request = write_head("GET", "/a?b", [("Host", "example.com"), ("X-A", "b")])
    server.receive_data(request)
    received = server.next_event()
    assert isinstance(received, h11.Request)
    assert (received.method, received.target) == (b"GET", b"/a?b")
    assert list(received.headers) == [(b"host", b"example.com"), (b"x-a", b"b")]
    assert isinstance(server.next_event(), h11.EndOfMessage)
    raw = server.send(
        h11.Response(status_code=status, reason=reason.encode("latin-1"), headers=[*sent, framing])
    )
    assert raw is not None
    for piece in pieces:
        raw += server.send(h11.Data(data=piece)) or b""
    raw += server.send(h11.EndOfMessage()) or b""

    buffer = bytearray()
    end, at = -1, 0
    while end < 0:
        searched = len(buffer)
        buffer += raw[at : at + cut]
        at += cut
        end = find_end(buffer, searched)
    assert end == raw.index(b"\r\n\r\n") + 4
    answer = read_answer(raw)
    assert answer is not None
    head, body, rest = answer
    assert (head.version, head.status, head.reason) == (11, status, reason)
    kept = [pair for pair in head.fields if pair[0].lower() not in reserved]
    assert kept == [(n.decode(), v.decode("latin-1")) for n, v in sent]
    assert (body, rest) == (b"".join(pieces), b"")


chunk_soups = st.one_of(
    st.lists(
        st.sampled_from(
            [b"5\r\nhello\r\n", b"5;a=b\r\nhello\r\n", b"A\r\n0123456789\r\n", b"0\r\n", b"\r\n",
             b"X: y\r\n", b"0\r\n\r\n", b"5", b"\r", b"\n", b";", b" ", b"\x00", b"rest"]
        ),
        max_size=8,
    ).map(b"".join),
    st.binary(max_size=30),
)  # fmt: skip


def decoded(raw: bytes, cuts: list[int]) -> tuple[bytes, bool, bytes, list[tuple[str, str]]] | str:
    """Decode chunks cut at these places; all faults are the same fault here."""
    reader = ChunkedReader()
    body = b""
    edges = [0, *sorted(cut for cut in cuts if cut <= len(raw)), len(raw)]
    try:
        for start, stop in pairwise(edges):
            body += reader.feed(raw[start:stop])
    except ChunkedEncodingError:
        return "fault"
    return body, reader.ended, reader.rest, reader.trailers


@several
@given(chunk_soups, st.lists(st.integers(0, 120), max_size=12))
def test_chunks_read_the_same_however_they_are_cut(raw: bytes, cuts: list[int]) -> None:
    whole = decoded(raw, [])
    assert decoded(raw, cuts) == whole
    assert decoded(raw, list(range(len(raw)))) == whole


@several
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=10), st.integers(1, 64))
def test_chunks_round_trip(pieces: list[bytes], cut: int) -> None:
    encoded = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    body = decoded(encoded, list(range(0, len(encoded), cut)))
    assert body == (b"".join(pieces), True, b"", [])


@several
@given(
    st.text(max_size=6) | st.just("GET"),
    st.text(max_size=8) | st.just("/"),
    st.lists(st.tuples(st.text(max_size=6) | names, st.text(max_size=10) | values), max_size=4),
)
def test_what_is_written_is_one_head(
    method: str, target: str, pairs: list[tuple[str, str]]
) -> None:
    try:
        raw = write_head(method, target, pairs)
    except (InvalidHeader, InvalidURL):
        return
    assert raw.count(b"\r\n\r\n") == 1 and raw.endswith(b"\r\n\r\n")
    lines = raw.decode("latin-1")[:-4].split("\r\n")
    assert lines[0] == f"{method} {target} HTTP/1.1"
    assert lines[0].count(" ") == 2
    assert lines[1:] == [f"{name}: {value}" for name, value in pairs]
    assert not re.search(r"[\x00-\x08\n-\x1f\x7f]", "".join(lines))
