"""A client's connection, from bytes to facts: frames made by hand, and `h2` as the peer."""

from __future__ import annotations

import random
from collections.abc import Callable

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.settings
import pytest

from reqkit.exceptions import ChunkedEncodingError, ProtocolError
from reqkit.wire.h1.head import block_of
from reqkit.wire.h2 import frames
from reqkit.wire.h2.connection import MAX_INTERIM, Connection
from reqkit.wire.h2.fields import head_of_fields, request_block
from reqkit.wire.h2.frames import ErrorCode, Flag, Kind, Setting, frame
from reqkit.wire.h2.hpack import Decoder, encode_fields
from reqkit.wire.h2.streams import NARROW, WIDE, Stream

SETTINGS = frames.settings(())
FIELDS = block_of((("User-Agent", "x"), ("Accept", "*/*")))


def get(connection: Connection, method: str = "GET", ends: bool = True) -> Stream:
    return connection.open(method, request_block(method, "https", "a.test", "/", FIELDS), ends)


def head(number: int, *fields: tuple[str, str], status: str = "200", ends: bool = False) -> bytes:
    flags = Flag.END_HEADERS | (Flag.END_STREAM if ends else 0)
    block = encode_fields(((":status", status), *fields))
    return frame(Kind.HEADERS, flags, number, block)


def data(number: int, body: bytes, ends: bool = False) -> bytes:
    return frame(Kind.DATA, Flag.END_STREAM if ends else 0, number, body)


def opened() -> tuple[Connection, Stream]:
    connection = Connection()
    connection.receive(SETTINGS)
    stream = get(connection)
    connection.take()
    return connection, stream


def sent(connection: Connection) -> list[tuple[int, int, int, bytes]]:
    """Return kind, flags, stream and payload of the frames that are to be sent."""
    octets = connection.take().removeprefix(frames.PREFACE)
    found = []
    while octets:
        high, low, kind, flags, number = frames.HEAD.unpack_from(octets)
        stop = 9 + (high << 8 | low)
        found.append((kind, flags, number, octets[9:stop]))
        octets = octets[stop:]
    return found


# -- an exchange


def test_an_answer_in_one_go() -> None:
    connection, stream = opened()
    stirred = connection.receive(head(1, ("content-length", "2")) + data(1, b"ok", True))
    assert stirred == [stream]
    assert stream.head is not None
    assert (stream.head.version, stream.head.status, stream.head.reason) == (20, 200, "OK")
    assert stream.head.fields == [("content-length", "2")]
    assert stream.head.get("content-length") == "2"
    assert stream.ended
    assert connection.read(stream, 100) == b"ok"
    assert connection.streams == {}


def test_an_answer_byte_by_byte() -> None:
    connection, stream = opened()
    octets = head(1, ("x", "y")) + data(1, b"abc") + data(1, b"de", True)
    for at in range(len(octets)):
        connection.receive(octets[at : at + 1])
    assert stream.ended
    assert connection.read(stream, 4) == b"abcd"
    assert connection.read(stream, 4) == b"e"
    assert connection.read(stream, 4) == b""


def test_equal_heads_are_read_once_and_differing_ones_each() -> None:
    connection, first = opened()
    second, third = get(connection), get(connection)
    connection.receive(
        head(1, ("date", "a"), ends=True)
        + head(3, ("date", "a"), ends=True)
        + head(5, ("date", "b"), ends=True)
    )
    assert first.head is second.head
    assert third.head is not None
    assert third.head.get("date") == "b"


def test_heads_that_differ_in_some_fields() -> None:
    """Those that a connection knows by their bytes say what any other decoder would."""
    connection = Connection()
    connection.receive(frames.settings([(Setting.MAX_CONCURRENT_STREAMS, 1000)]))
    # A server that does without the table says so first.
    connection.receive(frame(Kind.HEADERS, 5, get(connection).id, b"\x20\x88"))
    rows = [
        [("server", "x"), ("date", f"d{number // 7}"), ("content-length", "0"),
         ("x-id", f"{number * 7919:08x}"), ("etag", "\x80"), ("vary", "a" * (number % 200)),
         *([("x-odd", str(number))] if number % 3 else []), ("set-cookie", f"a={number}"),
         *([("via", "one")] * (number % 5))]
        for number in range(300)
    ]  # fmt: skip
    for fields in rows:
        stream = get(connection)
        connection.receive(head(stream.id, *fields, ends=True))
        assert stream.head is not None
        alone = head_of_fields([(":status", "200"), *fields])
        assert (stream.head.text, stream.head.reason) == (alone.text, "OK")
        assert [stream.head.get(name) for name, _ in fields] == [
            alone.get(name) for name, _ in fields
        ]


def test_heads_that_begin_alike() -> None:
    """Whatever was equal so far, and in whatever order answers of different kinds come."""
    connection = Connection()
    connection.receive(frames.settings([(Setting.MAX_CONCURRENT_STREAMS, 1000)]))
    connection.receive(frame(Kind.HEADERS, 5, get(connection).id, b"\x20\x88"))
    random.seed(7)
    for number in range(400):
        fields = [("server", "x"), ("content-length", "0"), ("date", f"d{number // 50}")]
        kind = random.randrange(6)
        if kind == 1:
            fields = fields[:2]
        elif kind == 2:
            fields.reverse()
        elif kind == 3:
            fields = [("server", "x"), ("set-cookie", f"s={number}"), *fields[1:]]
        elif kind == 4:
            fields.append(("content-type", "text/plain"))
        elif kind == 5:
            fields.append(("content-length", "0"))
        status = random.choice(["200", "404", "200", "304", "418"])
        stream = get(connection)
        connection.receive(head(stream.id, *fields, status=status, ends=True))
        assert stream.head is not None
        alone = head_of_fields([(":status", status), *fields])
        assert (stream.head.status, stream.head.text) == (alone.status, alone.text)
        for name, _ in fields:
            assert stream.head.get(name) == alone.get(name)


def test_a_head_is_read_anew_where_the_table_has_changed() -> None:
    """A server that uses the dynamic table in spite of the setting."""
    connection, first = opened()
    streams = [first, *(get(connection) for _ in range(4))]
    entry = b"\x40\x01x\x01"
    blocks = [b"\x88" + entry + b"a", b"\x88\xbe", b"\x88\xbe", b"\x88" + entry + b"b",
              b"\x88\xbe"]  # fmt: skip
    for number, block in enumerate(blocks):
        connection.receive(frame(1, 5, 2 * number + 1, block))
    heads = [stream.head for stream in streams]
    assert [head.get("x") for head in heads if head is not None] == ["a", "a", "a", "b", "b"]
    assert heads[1] is heads[2]
    assert heads[1] is not heads[4]


def test_fields_in_continuations() -> None:
    connection, stream = opened()
    block = encode_fields([(":status", "200"), ("x", "y" * 50)])
    connection.receive(
        frame(Kind.HEADERS, Flag.END_STREAM, 1, block[:5])
        + frame(Kind.CONTINUATION, 0, 1, block[5:9])
        + frame(Kind.CONTINUATION, Flag.END_HEADERS, 1, block[9:])
    )
    assert stream.ended
    assert stream.head is not None
    assert stream.head.get("x") == "y" * 50


def test_padding_and_priority_are_taken_off_and_counted() -> None:
    connection, stream = opened()
    block = encode_fields([(":status", "200")])
    flags = Flag.END_HEADERS | Flag.PADDED | Flag.PRIORITY
    connection.receive(frame(Kind.HEADERS, flags, 1, b"\x03" + bytes(5) + block + bytes(3)))
    room = stream.room
    connection.receive(frame(Kind.DATA, Flag.PADDED, 1, b"\x05" + b"ab" + bytes(5)))
    assert connection.read(stream, 9) == b"ab"
    assert stream.room == room - 8


def test_interim_answers_are_passed_over() -> None:
    connection, stream = opened()
    assert connection.receive(head(1, ("link", "x"), status="103")) == []
    connection.receive(head(1, ends=True))
    assert stream.ended
    assert stream.head is not None
    assert stream.head.status == 200


def test_trailers_end_a_body() -> None:
    connection, stream = opened()
    flags = Flag.END_HEADERS | Flag.END_STREAM
    connection.receive(
        head(1) + data(1, b"ok") + frame(Kind.HEADERS, flags, 1, encode_fields([("x", "y")]))
    )
    assert stream.ended
    assert stream.error is None
    assert connection.read(stream, 9) == b"ok"


def test_heads_of_no_body() -> None:
    connection = Connection()
    connection.receive(SETTINGS)
    stream = get(connection, "HEAD")
    connection.receive(head(1, ("content-length", "100"), ends=True))
    assert stream.ended
    assert stream.error is None


# -- windows


def test_a_window_is_given_back_as_it_is_read() -> None:
    connection, stream = opened()
    connection.receive(head(1))
    for _ in range(3):
        connection.receive(data(1, bytes(16_000)))
    assert stream.room == NARROW - 48_000
    assert sent(connection) == []  # nobody has read anything
    assert len(connection.read(stream, 32_000)) == 32_000
    assert sent(connection) == []  # too little to be worth a frame
    connection.read(stream, 8_000)
    assert sent(connection) == [(Kind.WINDOW_UPDATE, 0, 1, (40_000).to_bytes(4, "big"))]
    assert stream.room == NARROW - 8_000


def test_the_connection_s_window_is_given_back_unread() -> None:
    connection, _ = opened()
    connection.receive(head(1))
    streams = [get(connection) for _ in range(90)]
    connection.take()
    for stream in streams:
        connection.receive(head(stream.id) + data(stream.id, bytes(16_000)) * 4)
    updates = [one for one in sent(connection) if one[0] == Kind.WINDOW_UPDATE]
    assert updates
    assert all(number == 0 for _, _, number, _ in updates)


def test_a_window_is_widened_for_a_body_that_is_waited_for() -> None:
    connection, stream = opened()
    connection.receive(head(1))
    connection.widen(stream)
    connection.widen(stream)
    assert sent(connection) == [(Kind.WINDOW_UPDATE, 0, 1, (WIDE - NARROW).to_bytes(4, "big"))]
    assert stream.room == WIDE


def test_too_much_for_a_window_is_a_fault() -> None:
    connection, stream = opened()
    connection.receive(head(1) + data(1, bytes(16_384)) * 4)
    assert "window" in str(connection.error)
    assert isinstance(stream.error, ChunkedEncodingError)
    assert sent(connection)[-1][3][4:] == ErrorCode.FLOW_CONTROL_ERROR.to_bytes(4, "big")


def whole(size: int) -> tuple[Connection, Stream]:
    """A stream whose body is waited for as a whole, and its head is there."""
    connection, stream = opened()
    connection.receive(head(1, ("content-length", str(size))))
    connection.widen(stream, whole=True)
    return connection, stream


@pytest.mark.parametrize("step", [1000, 8192, 16_384])
@pytest.mark.parametrize("at_once", [1, 5, 40])
def test_a_large_body_that_is_kept_until_it_is_whole(step: int, at_once: int) -> None:
    body = bytes(range(256)) * 4096
    connection, stream = whole(len(body))
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    all_frames = [data(1, piece, piece is pieces[-1]) for piece in pieces]
    for at in range(0, len(all_frames), at_once):
        connection.receive(b"".join(all_frames[at : at + at_once]))
        assert stream.error is None
        assert 0 < stream.room <= WIDE
    assert stream.ended
    assert stream.take_all() == body
    assert (stream.held, stream.pieces, stream.gathered) == (0, [], None)


def test_two_large_bodies_at_a_time() -> None:
    connection, one = whole(200_000)
    other = get(connection)
    connection.receive(head(other.id, ("content-length", "200000")))
    connection.widen(other, whole=True)
    for _ in range(10):
        connection.receive(data(1, b"1" * 10_000) * 2 + data(other.id, b"3" * 10_000) * 2)
    assert one.take_all() == b"1" * 200_000
    assert other.take_all() == b"3" * 200_000


def test_a_large_body_that_breaks_off_is_handed_out_as_far_as_it_came() -> None:
    connection, stream = whole(1_000_000)
    body = bytes(range(250)) * 40
    for _ in range(30):
        connection.receive(data(1, body))
    connection.end()
    assert "300000 of 1000000" in str(stream.error)
    taken = b""
    while piece := connection.read(stream, 65_536):
        assert len(piece) <= 65_536
        taken += piece
    assert taken == body * 30


def test_no_memory_is_given_for_a_length_alone() -> None:
    connection, stream = whole(60_000_000)
    connection.receive(data(1, bytes(10_000)) * 10)
    assert stream.gathered is None
    assert len(stream.pieces) == 10


def test_a_large_body_that_is_given_up_is_forgotten() -> None:
    connection, stream = whole(100_000)
    connection.receive(data(1, bytes(10_000)) * 5)
    assert stream.gathered is not None
    stream.drop()
    connection.reset(stream)
    assert (stream.held, stream.gathered) == (0, None)
    connection.receive(data(1, bytes(10_000)) * 5)  # was under way
    assert connection.error is None


@pytest.mark.parametrize("whole_", [True, False])
def test_frames_alike_are_no_way_past_the_length(whole_: bool) -> None:
    connection, stream = opened()
    connection.receive(head(1, ("content-length", "45000")))
    if whole_:
        connection.widen(stream, whole=True)
    connection.receive(data(1, bytes(10_000)) * 5)
    assert "more than the 45000 bytes" in str(stream.error)
    assert connection.error is None


def test_frames_alike_are_no_way_past_the_window() -> None:
    connection, stream = opened()
    connection.receive(head(1))
    connection.receive(data(1, bytes(10_000)) * 6)
    assert (stream.held, stream.room) == (60_000, NARROW - 60_000)
    connection.receive(data(1, bytes(2_000)) * 3)
    assert "window" in str(connection.error)


def test_an_upload_keeps_to_the_windows() -> None:
    connection = Connection()
    connection.receive(frames.settings([(Setting.INITIAL_WINDOW_SIZE, 10)]))
    stream = get(connection, "POST", ends=False)
    connection.take()
    assert connection.send_data(stream, b"x" * 25, True) == 10
    assert connection.send_data(stream, b"x" * 15, True) == 0
    assert connection.receive(frames.window_update(1, 10)) == [stream]
    assert connection.send_data(stream, b"x" * 15, True) == 10
    # RFC 9113 section 6.9.2: the streams that are open follow the setting, below 0 too.
    connection.receive(frames.settings([(Setting.INITIAL_WINDOW_SIZE, 0)]))
    assert stream.window == -10
    connection.receive(frames.window_update(1, 15))
    assert connection.send_data(stream, b"x" * 5, True) == 5
    assert stream.sent
    assert [one[1] for one in sent(connection) if one[0] == Kind.DATA] == [0, 0, Flag.END_STREAM]


def test_an_upload_waits_for_the_connection_s_window() -> None:
    connection = Connection()
    connection.receive(frames.settings([(Setting.INITIAL_WINDOW_SIZE, 1 << 20)]))
    first, second = (get(connection, "POST", ends=False) for _ in range(2))
    assert connection.send_data(first, bytes(100_000), True) == NARROW
    assert connection.send_data(second, b"x", True) == 0
    assert connection.receive(frames.window_update(0, 10)) == [first, second]
    assert connection.send_data(second, b"x", True) == 1


def test_the_end_of_a_body_needs_no_window() -> None:
    connection = Connection()
    connection.receive(frames.settings([(Setting.INITIAL_WINDOW_SIZE, 0)]))
    stream = get(connection, "POST", ends=False)
    assert connection.send_data(stream, b"", True) == 0
    assert stream.sent


# -- ends


def test_what_was_not_processed_when_the_server_leaves() -> None:
    connection, first = opened()
    second = get(connection)
    connection.take()
    connection.receive(frames.go_away(1, 0, b"bye"))
    assert second.unprocessed
    assert second.lost
    assert "bye" in str(second.error)
    assert connection.room() == 0
    connection.receive(head(1, ends=True))
    assert first.ended
    assert first.error is None


def test_a_refused_stream_was_not_processed() -> None:
    connection, stream = opened()
    connection.receive(frames.reset(1, ErrorCode.REFUSED_STREAM))
    assert stream.unprocessed
    assert connection.error is None


def test_a_reset_stream_costs_itself_alone() -> None:
    connection, first = opened()
    second = get(connection)
    connection.receive(head(1) + frames.reset(1, ErrorCode.INTERNAL_ERROR))
    assert isinstance(first.error, ChunkedEncodingError)
    assert not first.unprocessed
    connection.receive(head(3, ends=True))
    assert second.ended


def test_an_answer_before_the_request_s_end() -> None:
    connection = Connection()
    connection.receive(SETTINGS)
    stream = get(connection, "POST", ends=False)
    connection.receive(head(1, status="413", ends=True) + frames.reset(1, ErrorCode.NO_ERROR))
    assert stream.ended
    assert stream.error is None
    assert connection.streams == {}


def test_fields_of_a_stream_that_was_stopped_change_the_table_for_all() -> None:
    """RFC 9113 section 4.3: blocks are decoded for whoever they are."""
    connection, first = opened()
    second = get(connection)
    connection.reset(first)
    connection.receive(frame(Kind.HEADERS, 4, 1, b"\x88\x40\x03x-a\x01b"))
    connection.receive(frame(Kind.HEADERS, 5, 3, b"\x88\xbe"))
    assert connection.error is None
    assert "x-a: b\r\n" in second.head.text


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        (frames.window_update(1, 2**31 - 1), ErrorCode.FLOW_CONTROL_ERROR),
        (head(1, ends=True) + head(1, ("x", "y"), ends=True), ErrorCode.STREAM_CLOSED),
        (head(1, ends=True) + data(1, b"x"), ErrorCode.STREAM_CLOSED),
        (head(1) + data(1, b"", True) + data(1, b"x", True), ErrorCode.STREAM_CLOSED),
    ],
)
def test_the_code_that_a_fault_has_of_its_own(octets: bytes, code: int) -> None:
    """RFC 9113 sections 5.1 and 6.9.1: while the request is still being sent."""
    connection = Connection()
    connection.receive(SETTINGS)
    get(connection, "POST", ends=False)
    connection.receive(octets)
    resets = [one for one in sent(connection) if one[0] == Kind.RST_STREAM]
    assert resets == [(Kind.RST_STREAM, 0, 1, code.to_bytes(4, "big"))]
    assert connection.error is None


@pytest.mark.parametrize("code", [ErrorCode.NO_ERROR, ErrorCode.ENHANCE_YOUR_CALM])
def test_a_goodbye_with_an_error_is_what_the_end_is_told_by(code: int) -> None:
    connection, stream = opened()
    connection.receive(frames.go_away(1, code, b"too much"))
    assert stream.error is None
    connection.end()
    said = "ENHANCE_YOUR_CALM), saying 'too much'"
    assert (said in str(stream.error)) is (said in connection.goodbye) is bool(code)


@pytest.mark.parametrize(
    ("scheme", "authority", "fields", "asked"),
    [
        ("https", "a.test", (), "a.test:443"),
        ("http", "a.test", (), "a.test:80"),
        ("https", "a.test:8443", (), "a.test:8443"),
        ("https", "[::1]", (), "[::1]:443"),
        ("https", "a.test", (("Host", "b.test"),), "b.test:443"),
    ],
)
def test_connect_has_neither_scheme_nor_path(
    scheme: str, authority: str, fields: tuple[tuple[str, str], ...], asked: str
) -> None:
    """RFC 9113 section 8.5."""
    block = block_of((*fields, ("X", "y")))
    coded = request_block("CONNECT", scheme, authority, "/x", block)
    assert Decoder().decode(coded) == [(":method", "CONNECT"), (":authority", asked), ("x", "y")]


def test_what_was_never_sent_was_not_processed() -> None:
    connection, first = opened()
    second = get(connection)
    assert connection.end() == [first, second]
    assert (first.unprocessed, second.unprocessed) == (False, True)


def test_a_body_that_breaks_off() -> None:
    connection, stream = opened()
    connection.receive(head(1, ("content-length", "10")) + data(1, b"abc"))
    connection.end()
    assert isinstance(stream.error, ChunkedEncodingError)
    assert "3 of 10 bytes" in str(stream.error)
    assert connection.read(stream, 10) == b"abc"


def test_a_body_that_is_shorter_than_it_says() -> None:
    connection, stream = opened()
    connection.receive(head(1, ("content-length", "10")) + data(1, b"abc", True))
    assert isinstance(stream.error, ChunkedEncodingError)
    assert stream.head is not None
    assert connection.error is None


def test_what_comes_for_a_stream_that_was_ended_is_thrown_away() -> None:
    connection, stream = opened()
    other = get(connection)
    connection.receive(head(1) + data(1, bytes(10_000)))
    connection.reset(stream)
    assert sent(connection)[-1] == (Kind.RST_STREAM, 0, 1, ErrorCode.CANCEL.to_bytes(4, "big"))
    assert connection.receive(data(1, bytes(16_000)) * 3) == []
    connection.receive(head(3, ends=True))
    assert other.ended
    assert connection.error is None


def test_a_thousand_streams_that_are_ended_cost_nothing() -> None:
    connection = Connection()
    connection.receive(frames.settings([(Setting.MAX_CONCURRENT_STREAMS, 2000)]))
    streams = [get(connection) for _ in range(2000)]
    for stream in streams[::2]:
        connection.reset(stream)
    for stream in streams:
        connection.receive(head(stream.id) + data(stream.id, b"x") * 20)
        connection.receive(data(stream.id, b"", True))
    assert connection.error is None
    assert all(stream.ended for stream in streams[1::2])
    assert connection.streams == {}


def test_the_size_of_fields_that_are_sent_in_parts() -> None:
    connection = Connection()
    block = request_block("GET", "https", "a", "/", block_of((("x", "\x80" * 20_000),)))
    connection.open("GET", block, True)
    kinds = [(kind, flags) for kind, flags, number, _ in sent(connection) if number]
    assert kinds == [(Kind.HEADERS, Flag.END_STREAM), (Kind.CONTINUATION, Flag.END_HEADERS)]


# -- malformed answers: the stream's fault

MALFORMED: dict[str, tuple[bytes, str]] = {
    "no status": (frame(1, 5, 1, encode_fields([("x", "y")])), ":status"),
    "no fields": (frame(1, 5, 1), ":status"),
    "two statuses": (head(1, (":status", "200")), "pseudo-field"),
    "a status after fields": (
        frame(1, 5, 1, encode_fields([("x", "y"), (":status", "200")])), "before"),
    "a pseudo-field of requests": (head(1, (":path", "/")), "pseudo-field"),
    "a status of two digits": (head(1, status="20"), "three digits"),
    "a status with a sign": (head(1, status="+20"), "three digits"),
    "capital letters": (head(1, ("X-Y", "z")), "capital"),
    "a space in a name": (head(1, ("x y", "z")), "character"),
    "a colon in a name": (head(1, ("x:y", "z")), "character"),
    "an empty name": (head(1, ("", "z")), "empty"),
    "NUL": (head(1, ("x", "a\0b")), "NUL"),
    "CR": (head(1, ("x", "a\rb")), "CR"),
    "LF": (head(1, ("x", "a\nset-cookie: b=c")), "LF"),
    "connection": (head(1, ("connection", "close")), "connection"),
    "keep-alive": (head(1, ("keep-alive", "5")), "keep-alive"),
    "transfer-encoding": (head(1, ("transfer-encoding", "chunked")), "transfer-encoding"),
    "upgrade": (head(1, ("upgrade", "h2c")), "upgrade"),
    "differing lengths": (head(1, ("content-length", "1"), ("content-length", "2")), "differing"),
    "a length that is no number": (head(1, ("content-length", "1x")), "plain number"),
    "101": (head(1, status="101"), "101"),
    "an interim answer that ends": (head(1, status="100", ends=True), "interim"),
    "too many interim answers": (head(1, status="100") * (MAX_INTERIM + 1), "interim"),
    "a body before the head": (data(1, b"x"), "before the answer's head"),
    "a window by 0": (frames.window_update(1, 0), "WINDOW_UPDATE"),
}  # fmt: skip

BROKEN_BODIES: dict[str, tuple[bytes, str]] = {
    "more than it says": (head(1, ("content-length", "1")) + data(1, b"ab", True), "more than"),
    "a body of 204": (head(1, status="204") + data(1, b"x", True), "no body"),
    "fields in the middle": (head(1) + data(1, b"a") + head(1), "middle"),
    "trailers with a pseudo-field": (head(1) + head(1, ends=True), "pseudo-field"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_answer_costs_its_stream(name: str) -> None:
    octets, words = MALFORMED[name]
    connection, stream = opened()
    other = get(connection)
    connection.receive(octets)
    assert type(stream.error) is ProtocolError
    assert words in str(stream.error)
    assert not stream.lost
    resets = [one for one in sent(connection) if one[0] == Kind.RST_STREAM]
    assert resets == [(Kind.RST_STREAM, 0, 1, ErrorCode.PROTOCOL_ERROR.to_bytes(4, "big"))]
    connection.receive(head(3, ends=True))
    assert other.ended
    assert connection.error is None


@pytest.mark.parametrize("name", BROKEN_BODIES)
def test_a_malformed_body_costs_its_stream(name: str) -> None:
    octets, words = BROKEN_BODIES[name]
    connection, stream = opened()
    connection.receive(octets)
    assert type(stream.error) is ChunkedEncodingError
    assert words in str(stream.error)
    assert connection.error is None


# -- broken rules: the connection's fault

BROKEN: dict[str, tuple[bytes, int, str]] = {
    "a frame that is too large": (frames.HEAD.pack(1, 0, 0, 0, 1)[:3] + b"\0\0\0\0\0\1", 0, ""),
    "DATA of no stream": (data(0, b"x"), ErrorCode.PROTOCOL_ERROR, "DATA"),
    "DATA of an idle stream": (data(5, b"x"), ErrorCode.PROTOCOL_ERROR, "never opened"),
    "HEADERS of the server's": (head(2), ErrorCode.PROTOCOL_ERROR, "server's own"),
    "HEADERS of no stream": (head(0), ErrorCode.PROTOCOL_ERROR, "HEADERS"),
    "padding": (frame(0, 8, 1, b"\x05abcd"), ErrorCode.PROTOCOL_ERROR, "padding"),
    "padding of nothing": (frame(0, 8, 1), ErrorCode.PROTOCOL_ERROR, "padding"),
    "priority cut": (frame(1, 0x24, 1, b"abc"), ErrorCode.FRAME_SIZE_ERROR, "short"),
    "SETTINGS of a stream": (frame(4, 0, 1), ErrorCode.PROTOCOL_ERROR, "SETTINGS"),
    "SETTINGS cut": (frame(4, 0, 0, b"abc"), ErrorCode.FRAME_SIZE_ERROR, "SETTINGS"),
    "SETTINGS acknowledged": (frame(4, 1, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR, "SETTINGS"),
    "a push allowed": (frames.settings([(2, 1)]), ErrorCode.PROTOCOL_ERROR, "pushes"),
    "a window too large": (
        frames.settings([(4, 1 << 31)]), ErrorCode.FLOW_CONTROL_ERROR, "window"),
    "frames too small": (frames.settings([(5, 100)]), ErrorCode.PROTOCOL_ERROR, "100 bytes"),
    "PING of a stream": (frame(6, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR, "PING"),
    "PING cut": (frame(6, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR, "PING"),
    "GOAWAY of a stream": (frame(7, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR, "GOAWAY"),
    "GOAWAY cut": (frame(7, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR, "GOAWAY"),
    "RST_STREAM of no stream": (frames.reset(0, 0), ErrorCode.PROTOCOL_ERROR, "RST_STREAM"),
    "RST_STREAM of an idle one": (frames.reset(7, 0), ErrorCode.PROTOCOL_ERROR, "never opened"),
    "RST_STREAM cut": (frame(3, 0, 1, b"abc"), ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM"),
    "WINDOW_UPDATE cut": (frame(8, 0, 0, b"abc"), ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE"),
    "WINDOW_UPDATE by 0": (frames.window_update(0, 0), ErrorCode.PROTOCOL_ERROR, "by 0"),
    "WINDOW_UPDATE too large": (
        frames.window_update(0, (1 << 31) - 1), ErrorCode.FLOW_CONTROL_ERROR, "window"),
    "WINDOW_UPDATE of an idle one": (
        frames.window_update(7, 1), ErrorCode.PROTOCOL_ERROR, "never opened"),
    "PRIORITY of no stream": (frame(2, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR, "PRIORITY"),
    "PRIORITY cut": (frame(2, 0, 1, bytes(4)), ErrorCode.FRAME_SIZE_ERROR, "PRIORITY"),
    "a push": (frame(5, 4, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE"),
    "CONTINUATION of nothing": (frame(9, 4, 1), ErrorCode.PROTOCOL_ERROR, "CONTINUATION"),
    "fields broken off": (frame(1, 0, 1, b"\x88") + frame(6, 0, 0, bytes(8)),
                          ErrorCode.PROTOCOL_ERROR, "broken off"),
    "fields of another stream": (frame(1, 0, 1, b"\x88") + frame(9, 4, 3),
                                 ErrorCode.PROTOCOL_ERROR, "broken off"),
    "HPACK": (frame(1, 4, 1, b"\x80"), ErrorCode.COMPRESSION_ERROR, "HPACK"),
    "HPACK's table": (frame(1, 4, 1, b"\x3f\xe2\x1f\x88"), ErrorCode.COMPRESSION_ERROR, "HPACK"),
}  # fmt: skip
BROKEN["a frame that is too large"] = (
    b"\x00\x40\x01\x00\x00\x00\x00\x00\x01", ErrorCode.FRAME_SIZE_ERROR, "16,384",
)  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_costs_the_connection(name: str) -> None:
    octets, code, words = BROKEN[name]
    connection, stream = opened()
    assert connection.receive(octets) == [stream]
    assert isinstance(connection.error, ProtocolError)
    assert words in str(connection.error)
    assert str(stream.error) == str(connection.error)
    assert sent(connection)[-1] == (Kind.GOAWAY, 0, 0, bytes(4) + code.to_bytes(4, "big"))
    assert connection.room() == 0
    assert connection.receive(head(1)) == []


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1"),
        (b"HTT", "HTTP/1.1"),
        (frames.ping(bytes(8)), "expected SETTINGS"),
        (frame(4, 1, 0), "expected SETTINGS"),
        (b"\x15\x03\x01\x00\x02\x02\x46\x00\x00", "a frame"),
    ],
)
def test_what_is_no_http_2(octets: bytes, words: str) -> None:
    connection = Connection()
    get(connection)
    connection.receive(octets)
    assert words in str(connection.error)


# -- floods

FLOODS: dict[str, tuple[bytes, str]] = {
    "pings": (frames.ping(bytes(8)), "PING frames"),
    "ping acknowledgements": (frames.ping(bytes(8), True), "PING acknowledgements"),
    "settings": (SETTINGS, "SETTINGS frames"),
    "large settings": (frames.settings([(99, 1)] * 2700), "SETTINGS frames"),
    "settings acknowledgements": (frame(4, 1, 0), "SETTINGS acknowledgements"),
    "empty DATA": (data(1, b""), "empty DATA frames"),
    "DATA of padding": (frame(0, 8, 1, b"\xff" + bytes(255)), "empty DATA frames"),
    "window updates": (frames.window_update(0, 1), "WINDOW_UPDATE frames"),
    "window updates of a stream": (frames.window_update(1, 1), "WINDOW_UPDATE frames"),
    "window updates of an ended one": (frames.window_update(3, 1), "WINDOW_UPDATE frames"),
    "priorities": (frame(2, 0, 1, bytes(5)), "PRIORITY frames"),
    "unknown frames": (frame(99, 0, 0), "unknown types"),
    "large unknown frames": (frame(99, 0, 0, bytes(16_384)), "unknown types"),
    "resets": (frames.reset(3, 0), "streams that are over"),
    "heads of an ended stream": (head(3), "streams that are over"),
    "DATA of an ended stream": (data(3, b"x"), "stream that was over"),
    "goodbyes": (frames.go_away(1 << 30, 0), "GOAWAY frames"),
    "empty CONTINUATION": (frame(9, 0, 5), "CONTINUATION frames"),
    "CONTINUATION": (frame(9, 0, 5, b"\x00" * 16_384), "CONTINUATION frames"),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_the_connection(name: str) -> None:
    octets, words = FLOODS[name]
    connection, stream = opened()
    get(connection)
    get(connection)
    connection.take()
    connection.receive(head(1) + head(3, ends=True))
    if "CONTINUATION" in name:
        connection.receive(frame(1, 0, 5))
    count = 0
    while connection.error is None and count < 10_000:
        connection.receive(octets, now=count / 1000)
        count += 1
    assert connection.error is not None
    assert words in str(connection.error)
    assert count * len(octets) <= 10_000_000
    assert stream.error is not None
    assert connection.pending < 1_000_000
    assert sent(connection)[-1][0] == Kind.GOAWAY


def test_what_comes_once_in_a_while_is_no_flood() -> None:
    connection, _ = opened()
    for minute in range(5000):
        connection.receive(frames.ping(bytes(8)), now=minute * 60.0)
        connection.receive(frames.window_update(0, 1))
        connection.take()
    assert connection.error is None


def test_fields_that_decode_to_too_much() -> None:
    connection, _ = opened()
    block = encode_fields([(":status", "200")]) + b"\x90" * 1100
    connection.receive(frame(1, 4, 1, block))
    assert "too large" in str(connection.error)


# -- with another's peer


def peer(**settings: int) -> h2.connection.H2Connection:
    made = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    if settings:
        made.local_settings = h2.settings.Settings(
            client=False,
            initial_values={getattr(h2.settings.SettingCodes, k): v for k, v in settings.items()},
        )
    made.initiate_connection()
    return made


def talk(
    client: Connection,
    server: h2.connection.H2Connection,
    on: Callable[[h2.events.Event], None] = lambda event: None,
) -> None:
    """Carry bytes both ways until neither has any left."""
    while True:
        there = client.take()
        if there:
            for event in server.receive_data(there):
                on(event)
        back = server.data_to_send()
        if back:
            client.receive(back)
        if not there and not back and not client.pending:
            return


def test_a_hundred_exchanges_with_another_s_peer() -> None:
    client, server = Connection(), peer()
    seen: list[dict[bytes, bytes]] = []

    def on(event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            assert event.headers is not None
            seen.append(dict(event.headers))  # type: ignore[arg-type]
            assert event.stream_id is not None
            server.send_headers(event.stream_id, [(":status", "200"), ("x", "y" * 10)])
            server.send_data(event.stream_id, b"z" * 100, end_stream=True)

    for _ in range(2):
        streams = [get(client) for _ in range(50)]
        talk(client, server, on)
        assert all(stream.ended for stream in streams)
        assert {client.read(stream, 1000) for stream in streams} == {b"z" * 100}
    assert len(seen) == 100
    assert seen[0][b":authority"] == b"a.test"
    assert seen[0][b"user-agent"] == b"x"
    assert client.served == 100


def test_a_large_body_from_another_s_peer() -> None:
    client, server = Connection(), peer()
    body = bytes(range(256)) * 20_000
    left = [body]
    started: list[bool] = []

    def on(event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            assert event.stream_id is not None
            server.send_headers(event.stream_id, [(":status", "200")])
            started.append(True)
        while left[0] and started:
            size = min(server.local_flow_control_window(1), 16_384, len(left[0]))
            if size <= 0:
                break
            server.send_data(1, left[0][:size], end_stream=size == len(left[0]))
            left[0] = left[0][size:]

    stream = get(client)
    got = []
    while not stream.ended or stream.held:
        assert stream.error is None
        talk(client, server, on)
        got.append(client.read(stream, 10_000))
    assert b"".join(got) == body


def test_an_upload_to_another_s_peer() -> None:
    client, server = Connection(), peer(INITIAL_WINDOW_SIZE=1000)
    got = []

    def on(event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            assert event.data is not None
            assert event.flow_controlled_length is not None
            got.append(event.data)
            server.acknowledge_received_data(event.flow_controlled_length, 1)
        elif isinstance(event, h2.events.StreamEnded):
            server.send_headers(1, [(":status", "201")], end_stream=True)

    talk(client, server)
    stream = get(client, "POST", ends=False)
    body = bytes(200_000)
    at = 0
    while not stream.sent:
        at += client.send_data(stream, body[at:], True)
        talk(client, server, on)
    assert b"".join(got) == body
    assert stream.ended
    assert client.streams == {}
