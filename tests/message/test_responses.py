"""Responses: the head at once, the body when it is asked for, and the connection given back."""

from __future__ import annotations

import datetime
import gc
import io
import json
import os
import pickle
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reqkit
from reqkit.message.content import charsets
from reqkit.message.content.decoders import accepted_encodings
from servers.messages import answer, chunks
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]
Handler = Callable[[Connection], None]

BODY = bytes(range(256)) * 400  # 102,400 bytes: more than comes with the head


def head(*lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"", b""))


def apart(lines: list[bytes], *pieces: bytes, close: bool = False) -> Handler:
    """Send the head alone, then the body piece by piece, each after a moment."""

    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(head(*lines))
            for piece in pieces:
                connection.pause(0.005)
                connection.send(piece)
            if close:
                return

    return handler


@pytest.fixture(autouse=True)
def no_garbage() -> Iterator[None]:
    """Drop what a test has dropped now, so that no later one is blamed."""
    gc.freeze()  # what was there before is not looked through each time
    yield
    gc.collect()


# -- the head


def test_what_the_head_says(scripted: Scripted) -> None:
    fields = [
        ("Content-Type", "text/plain; charset=utf-8"), ("X-Two", "1"), ("x-two", "2"),
        ("Link", '</next>; rel="next", </last>; rel=last'), ("Set-Cookie", "a=1; Path=/"),
        ("Set-Cookie", "b=2"),
    ]  # fmt: skip
    server = scripted([answer(203, "é".encode(), fields, reason="As It Were")])
    response = reqkit.get(server("/x"), params={"q": "1"})
    assert (response.status_code, response.reason) == (203, "As It Were")
    assert response.url == server("/x?q=1")
    assert response.headers["x-TWO"] == "1, 2"
    assert response.headers["Content-Length"] == "2"
    assert response.links["next"]["url"] == "/next"
    assert response.links["last"]["url"] == "/last"
    assert response.cookies.get_dict() == {"a": "1", "b": "2"}
    assert (response.encoding, response.apparent_encoding) == ("utf-8", "utf-8")
    assert (response.ok, response.error, response.history) == (True, None, [])
    assert (response.is_redirect, response.is_permanent_redirect) == (False, False)
    assert isinstance(response.request, reqkit.PreparedRequest)
    assert response.request.url == response.url
    assert isinstance(response.elapsed, datetime.timedelta)
    assert datetime.timedelta(0) < response.elapsed < datetime.timedelta(seconds=20)
    assert repr(response) == "<Response [203]>"
    assert (response.text, response.content) == ("é", "é".encode())


@pytest.mark.parametrize("status", [200, 204, 304, 399, 400, 404, 500, 599])
def test_truth_is_ok(scripted: Scripted, status: int) -> None:
    response = reqkit.get(scripted([answer(status, reason="R")])())
    assert bool(response) is response.ok is (status < 400)
    if status < 400:
        response.raise_for_status()
        return
    side = "Client" if status < 500 else "Server"
    expected_text = f"{status} {side} Error: R for url: {response.url}"
    with pytest.raises(reqkit.HTTPError, match=expected_text) as got:
        response.raise_for_status()
    assert got.value.response is response
    assert got.value.request is response.request


def test_the_password_is_in_no_error(scripted: Scripted) -> None:
    server = scripted([answer(404)])
    response = reqkit.get(server().replace("//", "//user:secret@"))
    with pytest.raises(reqkit.HTTPError) as got:
        response.raise_for_status()
    assert "secret" not in str(got.value)


# -- lazy, and prefetched


def test_only_the_head_is_read_until_the_body_is_asked_for(scripted: Scripted) -> None:
    go_on = threading.Event()

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(head(b"Content-Length: 4"))
        connection.wait(go_on)
        connection.send(b"body")

    response = reqkit.get(scripted(handler)())
    assert response.status_code == 200
    assert response.timings["receive"] is None
    assert response.body_size == 0
    go_on.set()
    assert response.text == "body"
    assert response.body_size == 4
    assert response.timings["receive"] is not None


@pytest.mark.parametrize("keywords", [{"prefetch": True}, {"stream": False}])
def test_prefetch_reads_the_body_before_the_call_returns(
    scripted: Scripted, keywords: dict[str, bool]
) -> None:
    server = scripted(apart([b"Content-Length: 102400"], BODY))
    response = reqkit.get(server(), **keywords)  # type: ignore[arg-type]
    assert response.timings["receive"] is not None
    assert response.body_size == len(BODY)
    assert response.content == BODY


def test_content_is_read_once_and_kept(scripted: Scripted) -> None:
    response = reqkit.get(scripted(apart([b"Content-Length: 4"], b"bo", b"dy"))())
    assert response.content is response.content
    assert response.text is response.text
    assert list(response.iter_content(3)) == [b"bod", b"y"]
    assert list(response.iter_content(3)) == [b"bod", b"y"]
    assert list(response.iter_lines()) == [b"body"]


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ([b"Content-Length: 102400"], BODY),
        ([b"Transfer-Encoding: chunked"], chunks([BODY[:100], BODY[100:]])),
    ],
)
@pytest.mark.parametrize("how", ["content", "iter_content", "iter_lines", "raw", "text", "iter"])
def test_the_connection_is_given_back_at_the_last_byte(
    scripted: Scripted, lines: list[bytes], body: bytes, how: str
) -> None:
    server = scripted(apart(lines, body))
    session = reqkit.Session()
    for _ in range(3):
        response = session.get(server())
        if how == "content":
            assert response.content == BODY
        elif how == "text":
            assert len(response.text) == len(BODY)
        elif how == "raw":
            assert response.raw.read() == BODY
        elif how == "iter":
            assert b"".join(response) == BODY
        else:
            list(getattr(response, how)())
    assert server.connections_opened == 1
    session.close()


def test_the_connection_is_given_back_though_the_iterator_is_not_exhausted(
    scripted: Scripted,
) -> None:
    server = scripted(apart([b"Content-Length: 102400"], BODY))
    session = reqkit.Session()
    response = session.get(server())
    pieces = response.iter_content(102400)
    assert next(pieces) == BODY
    session.get(server()).close()
    assert server.connections_opened == 1


@pytest.mark.parametrize("body", [b"", b"short", b"x" * 10_000])
def test_a_body_that_came_with_the_head_counts_as_read(scripted: Scripted, body: bytes) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, body))

    server = scripted(handler)
    kept = [reqkit.get(server()) for _ in range(5)]
    assert [response.status_code for response in kept] == [200] * 5
    assert server.connections_opened == 1
    assert [response.content for response in kept] == [body] * 5


@pytest.mark.parametrize("status", [204, 304, 200])
def test_answers_without_a_body_keep_the_connection(scripted: Scripted, status: int) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            length = b"Content-Length: 7\r\n" if request.method == "HEAD" else b""
            connection.send(b"HTTP/1.1 %d X\r\n%b\r\n" % (status, length))

    server = scripted(handler)
    session = reqkit.Session()
    for _ in range(3):
        request = session.head if status == 200 else session.get
        assert request(server()).content == b""
    assert server.connections_opened == 1


def test_responses_that_are_closed_or_dropped_unread_close_their_connection(
    scripted: Scripted,
) -> None:
    server = scripted(apart([b"Content-Length: 1000000"], b"part"))
    session = reqkit.Session()
    session.get(server()).close()
    server.wait_for_no_connections()
    with session.get(server()) as response:
        assert response.status_code == 200
    server.wait_for_no_connections()
    session.get(server())
    server.wait_for_no_connections()
    for _ in session.get(server()).iter_content(2):
        break
    server.wait_for_no_connections()
    lines = session.get(server()).iter_lines()
    del lines
    server.wait_for_no_connections()
    raw = session.get(server()).raw
    assert raw.read(2) == b"pa"
    raw.close()
    server.wait_for_no_connections()
    assert server.connections_opened == 6


def test_no_descriptor_is_leaked(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            connection.send(answer(200, b"x" * 10, length=request.target == "/")
                            if request.target == "/" else head(b"Content-Length: 999"))  # fmt: skip

    server = scripted(handler)

    def work() -> int:
        with reqkit.Session() as session:
            for _ in range(20):
                session.get(server())
                session.get(server("/unread"))
                session.get(server("/unread")).close()
                dropped = reqkit.Session().get(server())
                assert dropped.status_code == 200
                del dropped
        server.wait_for_no_connections()
        return len(os.listdir("/proc/self/fd"))

    gc.collect()
    assert work() == work()


def test_a_closed_response_is_not_an_empty_one(scripted: Scripted) -> None:
    server = scripted(apart([b"Content-Length: 9"], b"half"))
    response = reqkit.get(server())
    response.close()
    response.close()
    with pytest.raises(reqkit.StreamConsumedError, match="closed unread"):
        response.content  # noqa: B018
    with pytest.raises(reqkit.StreamConsumedError):
        response.iter_content()


# -- iterating


@pytest.mark.parametrize("size", [1, 7, 512, 10240, 102400, 1_000_000])
@pytest.mark.parametrize("whole", [True, False])
def test_pieces_are_of_exactly_that_size(scripted: Scripted, size: int, whole: bool) -> None:
    body = BODY[:5000] if whole else BODY
    handler: Any = [answer(200, body)] if whole else apart(
        [b"Transfer-Encoding: chunked"], chunks([BODY[:3], BODY[3:60000], BODY[60000:]])
    )  # fmt: skip
    pieces = list(reqkit.get(scripted(handler)()).iter_content(size))
    assert b"".join(pieces) == body
    assert {len(piece) for piece in pieces[:-1]} <= {size}
    assert 0 < len(pieces[-1]) <= size


def test_the_default_size_is_ten_kilobytes(scripted: Scripted) -> None:
    response = reqkit.get(scripted([answer(200, BODY)])())
    assert [len(piece) for piece in response.iter_content()] == [10240] * 10


def test_iterating_over_a_response(scripted: Scripted) -> None:
    response = reqkit.get(scripted([answer(200, BODY)])())
    assert b"".join(response) == BODY


def test_none_gives_pieces_as_they_arrive(scripted: Scripted) -> None:
    got = [threading.Event() for _ in range(3)]

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(head(b"Transfer-Encoding: chunked"))
        for number, event in enumerate(got):
            connection.send(b"4\r\npc %d\r\n" % number)
            connection.wait(event)
        connection.send(b"0\r\n\r\n")

    pieces = reqkit.get(scripted(handler)()).iter_content(None)
    for number, event in enumerate(got):
        assert next(pieces) == b"pc %d" % number
        event.set()
    assert list(pieces) == []


@pytest.mark.parametrize("size", [0, -1])
def test_a_size_below_one_is_refused(scripted: Scripted, size: int) -> None:
    response = reqkit.get(scripted([answer(200, b"x")])())
    with pytest.raises(ValueError, match=f"chunk_size is {size}"):
        response.iter_content(size)
    with pytest.raises(ValueError, match=f"chunk_size is {size}"):
        response.iter_lines(size)
    for wrong in ("1", 1.5, True):
        with pytest.raises(TypeError, match="chunk_size is"):
            response.iter_content(wrong)  # type: ignore[arg-type]
    assert response.content == b"x"


def test_decode_unicode_puts_characters_together(scripted: Scripted) -> None:
    text = "aé€😀" * 10
    fields = [("Content-Type", "text/plain; charset=UTF-8")]
    for size in (1, 2, 3, 5, None):
        response = reqkit.get(scripted([answer(200, text.encode(), fields)])())
        pieces = list(response.iter_content(size, decode_unicode=True))
        assert all(isinstance(piece, str) for piece in pieces)
        assert "".join(pieces) == text
    response = reqkit.get(scripted([answer(200, b"x")])())
    assert list(response.iter_content(1, decode_unicode=True)) == [b"x"]  # no encoding is known


@pytest.mark.parametrize("whole", [True, False])
def test_a_second_iteration_raises(scripted: Scripted, whole: bool) -> None:
    handler: Any = [answer(200, b"body")] if whole else apart([b"Content-Length: 4"], b"body")
    response = reqkit.get(scripted(handler)())
    assert b"".join(response.iter_content(2)) == b"body"
    for again in (
        response.iter_content,
        response.iter_lines,
        lambda: response.content,
        lambda: response.text,
        response.json,
        lambda: list(response),
    ):
        with pytest.raises(reqkit.StreamConsumedError, match="streamed already") as got:
            again()
        assert got.value.response is response
        assert isinstance(got.value, TypeError)


# -- lines


def test_lines_of_a_live_stream_come_as_soon_as_they_are_complete(scripted: Scripted) -> None:
    got = [threading.Event() for _ in range(4)]
    sent = [b"one\n", b"two\r\n", b"three\r", b"fo"]

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(head(b"Transfer-Encoding: chunked"))
        for line, event in zip(sent, got, strict=True):
            connection.send(b"%x\r\n%b\r\n" % (len(line), line))
            if line != b"fo":
                connection.wait(event)
        connection.send(b"2\r\nur\r\n0\r\n\r\n")

    lines = reqkit.get(scripted(handler)()).iter_lines()
    for expected, event in zip([b"one", b"two", b"three", b"four"], got, strict=True):
        assert next(lines) == expected
        event.set()
    assert list(lines) == []


def test_a_live_stream_can_be_followed_after_raw_was_looked_at(scripted: Scripted) -> None:
    got = threading.Event()

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(head(b"Connection: close"))
        connection.send(b"one\n")
        connection.wait(got)
        connection.send(b"two\n")

    response = reqkit.get(scripted(handler)())
    assert response.raw.version == 11
    lines = response.iter_lines()
    assert next(lines) == b"one"
    got.set()
    assert list(lines) == [b"two"]


LINES = "one\r\ntwo\rthree\n\nf\u2028ive\x0b\x0c\x1c€\r\n\r\nlast".encode()
CUT = ["one", "two", "three", "", "f\u2028ive\x0b\x0c\x1c€", "", "last"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
@pytest.mark.parametrize("decode", [True, False])
def test_lines_are_the_same_however_the_bytes_were_cut(
    scripted: Scripted, size: int, decode: bool
) -> None:
    pieces = [LINES[start : start + size] for start in range(0, len(LINES), size)]

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(head(b"Transfer-Encoding: chunked", b"Content-Type: text/x; charset=utf-8"))
        for piece in pieces:
            connection.send(chunks([piece]).removesuffix(b"0\r\n\r\n"))
        connection.send(b"0\r\n\r\n")

    response = reqkit.get(scripted(handler)())
    expected = CUT if decode else [line.encode() for line in CUT]
    assert list(response.iter_lines(size, decode_unicode=decode)) == expected


@pytest.mark.parametrize(
    ("body", "delimiter", "expected"),
    [
        (b"a--b--c", b"--", [b"a", b"b", b"c"]),
        (b"a--b--", "--", [b"a", b"b"]),
        (b"a--\nb--", b"--", [b"a", b"\nb"]),
        (b"", b"--", []),
        (b"a\0b\0", b"\0", [b"a", b"b"]),
    ],
)
def test_a_delimiter(
    scripted: Scripted, body: bytes, delimiter: Any, expected: list[bytes]
) -> None:
    response = reqkit.get(scripted([answer(200, body)])())
    assert list(response.iter_lines(delimiter=delimiter)) == expected
    with pytest.raises(ValueError, match="delimiter is empty"):
        response.iter_lines(delimiter=b"")


# -- text and json


@pytest.mark.parametrize(
    ("kind", "body", "encoding", "text"),
    [
        ("text/plain; charset=latin-1", b"\xe9", "latin-1", "é"),
        ("text/plain; charset=utf-8", b"\xef\xbb\xbfx", "utf-8", "x"),
        ("text/plain; charset=utf-8", b"\xff!", "utf-8", "\ufffd!"),
        ("text/plain; charset=no-such", "é".encode(), "no-such", "é"),
        ("text/plain", "é".encode(), None, "é"),
        (None, "é".encode(), None, "é"),
        ("text/plain", "é".encode("utf-16"), None, "é"),
        ("text/html", b'<meta charset="koi8-r">\xd1', None, '<meta charset="koi8-r">я'),
        ("text/html", b"x" * 1024 + b'<meta charset="koi8-r">' + "é".encode(), None,
         "x" * 1024 + '<meta charset="koi8-r">é'),
        ("application/json", '"é"'.encode("utf-16-le"), None, '"é"'),
        ("text/plain", b"", None, ""),
    ],
)  # fmt: skip
def test_text(
    scripted: Scripted, kind: str | None, body: bytes, encoding: str | None, text: str
) -> None:
    fields = [] if kind is None else [("Content-Type", kind)]
    response = reqkit.get(scripted([answer(200, body, fields)])())
    assert response.encoding == encoding
    assert response.text == text
    assert response.encoding == encoding


def test_the_encoding_can_be_set(scripted: Scripted) -> None:
    response = reqkit.get(scripted([answer(200, b"\xe9", [("Content-Type", "x/y")])])())
    response.encoding = "latin-1"
    assert response.text == "é"
    response.encoding = "cp437"
    assert response.text == "Θ"


def test_what_text_found_is_found_once(scripted: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    real = charsets.decode_text

    def counted(*args: Any) -> str:
        calls.append(1)
        return real(*args)

    monkeypatch.setattr(charsets, "decode_text", counted)
    response = reqkit.get(scripted([answer(200, b"\xe9" * 10)])())
    assert [response.text for _ in range(3)] == [response.text] * 3
    assert calls == [1]


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        ("application/json", b'{"a": [1, null]}', {"a": [1, None]}),
        ("application/json; charset=utf-8", '"é"'.encode(), "é"),
        ("application/json; charset=latin-1", b'"\xe9"', "é"),
        ("application/json; charset=latin-1", b"[1]", [1]),
        ("application/json; charset=ascii", '"é"'.encode(), "é"),
        ("application/json; charset=no-such", '"é"'.encode(), "é"),
        ("text/plain", b'\xef\xbb\xbf"x"', "x"),
        ("application/json", '"é"'.encode("utf-16"), "é"),
        (None, b"5", 5),
    ],
)
@pytest.mark.parametrize("look_first", [True, False])
def test_json(
    scripted: Scripted, kind: str | None, body: bytes, expected: Any, look_first: bool
) -> None:
    fields = [] if kind is None else [("Content-Type", kind)]
    response = reqkit.get(scripted([answer(200, body, fields)])())
    if look_first:
        assert response.encoding in (None, "utf-8", "latin-1", "ascii", "no-such")
    assert response.json() == expected


@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'"\xff"', b"9" * 5000])
def test_what_is_no_json_is_an_error_of_ours(scripted: Scripted, body: bytes) -> None:
    response = reqkit.get(scripted([answer(200, body)])())
    with pytest.raises(reqkit.JSONDecodeError) as got:
        response.json()
    assert isinstance(got.value, json.JSONDecodeError)
    assert isinstance(got.value, reqkit.InvalidJSONError)
    assert isinstance(got.value, ValueError)
    assert got.value.response is response


def test_json_passes_keywords_on(scripted: Scripted) -> None:
    response = reqkit.get(scripted([answer(200, b"1.5")])())
    assert response.json(parse_float=str) == "1.5"


def test_an_error_of_what_json_was_given_stays_what_it_is(scripted: Scripted) -> None:
    def refuse(text: str) -> Any:
        raise ValueError(f"no floats: {text}")

    kind = ("Content-Type", "application/json; charset=latin-1")
    for fields in ([], [kind]):
        response = reqkit.get(scripted([answer(200, b"1.5", fields)])())
        with pytest.raises(ValueError, match=r"^no floats: 1\.5$"):
            response.json(parse_float=refuse)


# -- content codings


def gzipped(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def deflated(data: bytes, wbits: int = 15) -> bytes:
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(data) + packer.flush()


CODED = [
    ("gzip", gzipped(BODY)),
    ("x-gzip", gzipped(BODY)),
    ("deflate", deflated(BODY)),
    ("deflate", deflated(BODY, -15)),
    ("identity", BODY),
    ("gzip, deflate", deflated(gzipped(BODY))),
    ("deflate,gzip , gzip", gzipped(gzipped(deflated(BODY)))),
    ("gzip, gzip, gzip, gzip, gzip", gzipped(gzipped(gzipped(gzipped(gzipped(BODY)))))),
]


@pytest.mark.parametrize(("coding", "coded"), CODED)
@pytest.mark.parametrize("whole", [True, False])
def test_codings_are_undone(scripted: Scripted, coding: str, coded: bytes, whole: bool) -> None:
    length = b"Content-Length: %d" % len(coded)
    handler: Any = [answer(200, coded, [("Content-Encoding", coding)])] * 3
    if not whole:
        handler = apart([length, b"Content-Encoding: " + coding.encode()], coded[:50], coded[50:])
    server = scripted(handler)
    assert reqkit.get(server()).content == BODY
    pieces = list(reqkit.get(server()).iter_content(1000))
    assert b"".join(pieces) == BODY
    assert {len(piece) for piece in pieces[:-1]} == {1000}
    assert reqkit.get(server()).raw.read() == coded


def test_brotli_and_zstd_are_undone_where_they_are_installed(scripted: Scripted) -> None:
    brotli = pytest.importorskip("brotli")
    response = reqkit.get(
        scripted([answer(200, brotli.compress(BODY), [("Content-Encoding", "br")])])()
    )
    assert response.content == BODY
    assert "br" in accepted_encodings().split(", ")
    zstd = pytest.importorskip("backports.zstd")
    response = reqkit.get(
        scripted([answer(200, zstd.compress(BODY), [("Content-Encoding", "zstd")])])()
    )
    assert response.content == BODY
    assert "zstd" in accepted_encodings().split(", ")


@pytest.mark.parametrize(
    ("coding", "coded"),
    [
        ("gzip", b"no gzip at all"),
        ("gzip", gzipped(BODY)[:-9]),
        ("deflate", b"\x00\x01no"),
        ("gzip, gzip, gzip, gzip, gzip, gzip", gzipped(b"six of them")),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_what_cannot_be_decoded_is_an_error(
    scripted: Scripted, coding: str, coded: bytes, whole: bool
) -> None:
    handler: Any = [answer(200, coded, [("Content-Encoding", coding)])]
    if not whole:
        length = b"Content-Length: %d" % len(coded)
        handler = apart([length, b"Content-Encoding: " + coding.encode()], coded)
    response = reqkit.get(scripted(handler)())
    with pytest.raises(reqkit.ContentDecodingError) as got:
        response.content  # noqa: B018
    assert got.value.response is response
    assert got.value.request is response.request


def test_iterating_over_a_bomb_takes_no_more_than_is_asked_for(scripted: Scripted) -> None:
    bomb = gzipped(gzipped(bytes(200_000_000)))
    response = reqkit.get(
        scripted([answer(200, bomb, [("Content-Encoding", "gzip, gzip")])])(), stream=True
    )
    tracemalloc.start()
    try:
        pieces = response.iter_content(1000)
        assert [next(pieces) for _ in range(3)] == [bytes(1000)] * 3
        assert tracemalloc.get_traced_memory()[1] < 3_000_000
    finally:
        tracemalloc.stop()


# -- raw


def test_raw_is_a_file(scripted: Scripted) -> None:
    coded = gzipped(BODY)
    server = scripted([answer(200, coded, [("Content-Encoding", "gzip"), ("X-A", "1")])] * 6)
    raw = reqkit.get(server()).raw
    assert (raw.status, raw.reason, raw.version) == (200, "OK", 11)
    assert raw.headers["x-a"] == "1"
    assert raw.readable()
    assert raw.read(3) + raw.read() == coded
    assert reqkit.get(server()).raw.read(decode_content=True) == BODY
    raw = reqkit.get(server()).raw
    raw.decode_content = True
    assert b"".join(raw.stream(1000)) == BODY
    assert b"".join(reqkit.get(server()).raw.stream(7, decode_content=False)) == coded
    buffered = io.BufferedReader(reqkit.get(server()).raw, 100)
    assert buffered.read() == coded
    response = reqkit.get(server())
    assert response.raw.status == 200  # looking at it takes nothing away
    assert response.content == BODY


def test_what_raw_has_read_is_gone(scripted: Scripted) -> None:
    response = reqkit.get(scripted([answer(200, b"body")])())
    assert response.raw.read() == b"body"
    for again in (lambda: response.content, response.iter_content):
        with pytest.raises(reqkit.StreamConsumedError):
            again()


# -- broken bodies


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        ([b"Content-Length: 9"], b"half"),
        ([b"Transfer-Encoding: chunked"], b"4\r\nhalf\r\n"),
        ([b"Transfer-Encoding: chunked"], b"9\r\nhalf"),
        ([b"Transfer-Encoding: chunked"], b"zz\r\nhalf"),
    ],
)
def test_a_body_that_breaks_off_is_an_error(
    scripted: Scripted, lines: list[bytes], body: bytes
) -> None:
    server = scripted(apart(lines, body, close=True))
    response = reqkit.get(server())
    with pytest.raises(reqkit.ChunkedEncodingError) as got:
        response.content  # noqa: B018
    assert got.value.response is response
    with pytest.raises(reqkit.StreamConsumedError):
        response.content  # noqa: B018
    with pytest.raises(reqkit.ChunkedEncodingError):
        list(reqkit.get(server()).iter_lines())
    with pytest.raises(reqkit.ChunkedEncodingError):
        reqkit.get(server(), prefetch=True)
    server.wait_for_no_connections()


# -- timings


def test_timings(scripted: Scripted) -> None:
    server = scripted(apart([b"Content-Length: 4"], b"body"))
    session = reqkit.Session()
    first = session.get(server())
    names = ["dns", "connect", "tls", "send", "wait", "receive"]
    assert list(first.timings) == names
    spans = first.timings
    assert [name for name in names if spans[name] is None] == ["tls", "receive"]
    assert first.content == b"body"
    assert first.timings["receive"] is not None
    assert all(value >= 0 for value in first.timings.values() if value is not None)
    second = session.get(server())
    spans = second.timings
    assert [name for name in names if spans[name] is None] == ["dns", "connect", "tls", "receive"]
    spans["wait"] = None
    assert second.timings["wait"] is not None
    second.close()
    assert second.timings["receive"] is None


def test_timings_of_tls(echo_secure: ScriptedServer, ca_bundle: str) -> None:
    spans = reqkit.Session(verify=ca_bundle).get(echo_secure()).timings
    assert all(spans[name] is not None for name in spans)


def test_timings_tell_where_the_time_went(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.pause(0.1)
        connection.send(head(b"Content-Length: 1"))
        connection.pause(0.2)
        connection.send(b"x")

    server = scripted(handler)
    found = []
    for _ in range(5):
        response = reqkit.get(server(), prefetch=True)
        spans = {name: value or 0.0 for name, value in response.timings.items()}
        # To the end of the head, whatever the body took.
        to_head = sum(spans.values()) - spans["receive"]
        assert response.elapsed.total_seconds() == pytest.approx(to_head, abs=1e-3)
        found.append((spans["wait"] >= 0.09, spans["receive"] >= 0.19))
        # A busy machine may keep the client from looking at its clock, but not each time.
        if found[-1] == (True, True):
            break
    assert (True, True) in found


# -- pickling


def test_a_response_is_pickled_with_its_body(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            to = [("Location", "/end"), ("Set-Cookie", "a=1")]
            at_end = request.target == "/end"
            connection.send(
                answer(200, "é".encode(), [("Content-Type", "text/plain; charset=utf-8")])
                if at_end
                else answer(302, b"", to)
            )

    server = scripted(handler)
    response = reqkit.get(server(), auth=("u", "p"))
    copied = pickle.loads(pickle.dumps(response))
    for name in ("status_code", "reason", "url", "text", "content", "encoding", "ok", "elapsed"):
        assert getattr(copied, name) == getattr(response, name)
    assert copied.headers == response.headers
    assert copied.timings == response.timings
    assert [one.status_code for one in copied.history] == [302]
    assert copied.history[0].cookies.get_dict() == {"a": "1"}
    assert copied.request.url == response.request.url
    assert list(copied.iter_content(1)) == [b"\xc3", b"\xa9"]
    assert pickle.loads(pickle.dumps(copied)).text == "é"


def test_pickling_reads_the_body(scripted: Scripted) -> None:
    response = reqkit.get(scripted(apart([b"Content-Length: 4"], b"body"))())
    assert pickle.loads(pickle.dumps(response)).content == b"body"
    assert response.content == b"body"


def test_a_failed_response_can_be_pickled() -> None:
    with ScriptedServer.answers([]) as server:
        url = server()
    response = reqkit.get(url, config={"safe_mode": True})
    copied = pickle.loads(pickle.dumps(response))
    assert type(copied.error) is reqkit.ConnectionError
    assert str(copied.error) == str(response.error)
    assert (copied.ok, copied.status_code, copied.content) == (False, None, None)
