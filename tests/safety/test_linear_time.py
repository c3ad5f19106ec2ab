"""What somebody else has written is read in time that grows with its length, not with its square.

Each case is what a search takes longest for: much that begins as what is looked for does, and never
ends so. The square would keep every greenlet waiting for minutes, and no time limit is asked there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import pytest

from reqkit.drop_in.fields import get_encodings_from_content
from reqkit.message.content.charsets import apparent_encoding, decode_text
from reqkit.message.netrc_parsing import parse_netrc
from reqkit.message.raw import RawBody, WholeBody
from reqkit.wire.h2.huffman import decode, encode
from reqkit.wire.h2.streams import Stream
from reqkit_async.command.records import _type_of

#: How much more is read the second time. Reading takes about as many times as long, or the square.
_TIMES: Final = 16


def _head(value: str) -> Any:
    text = f"HTTP/1.1 200 OK\r\nContent-Type: {value}\r\n\r\n"
    return SimpleNamespace(_head_text=text, _field=lambda name: value)


def _body_of(size: int) -> Stream:
    stream = Stream(1, "GET", 0, True)
    stream.pieces = [b"x"] * size
    stream.held = size
    return stream


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda n: decode_text(b"\xff " + b"a" * n, None), id="one long word"),
        pytest.param(lambda n: decode_text(b"\xff" + b" a" * n, None), id="many short words"),
        pytest.param(lambda n: apparent_encoding(b"a" * n + b" \xff"), id="a long word before"),
        pytest.param(lambda n: _body_of(n * 10).take(n * 5), id="frames of a byte each"),
        pytest.param(lambda n: encode(b"a" * n * 10), id="a long value, encoded"),
        pytest.param(lambda n: get_encodings_from_content("<meta " * n), id="tags without an end"),
        pytest.param(lambda n: parse_netrc("machine a login b password c\n" * n), id="netrc"),
        pytest.param(lambda n: _type_of(_head("a" + " " * n + "b")), id="spaces in a Content-Type"),
    ],
)
def test_the_time_is_linear(read: Callable[[int], Any]) -> None:
    few = 500
    assert _seconds(read, few * _TIMES) < _seconds(read, few) * _TIMES * 5


def _seconds(read: Callable[[int], Any], size: int) -> float:
    """Return the least processor time of some tries: what else the machine does is not in it."""
    found = []
    for _ in range(7):
        started = time.process_time()
        read(size)
        found.append(time.process_time() - started)
    return max(min(found), 1e-5)


def test_a_type_is_told_without_the_spaces_around_it() -> None:
    assert _type_of(_head(" \ttext/plain;  charset=utf-8 \t")) == '"text/plain;  charset=utf-8"'


def test_netrc_still_tells_the_line_of_what_is_odd() -> None:
    assert parse_netrc("machine a\nlogin b\n\n# no\npassword c\nodd\n").odd == 6


@pytest.mark.parametrize("pieces", [[b"x"] * 10, [b"xxx", b"xx", b"xxxxx"], [b"x" * 10]])
def test_a_stream_gives_what_is_asked_for(pieces: list[bytes]) -> None:
    for most in range(1, 11):
        stream = Stream(1, "GET", 0, True)
        for piece in pieces:
            stream.add(piece)
        found = []
        while data := stream.take(most):
            found.append(len(data))
        assert found == [most] * (10 // most) + [10 % most] * bool(10 % most)


def test_lines_of_a_raw_body_are_not_read_byte_by_byte() -> None:
    class Counted(RawBody):
        calls = 0

        def read(self, *arguments: Any) -> bytes:
            self.calls += 1
            return super().read(*arguments)

    lines = [b"x" * 70 + b"\n"] * 2000 + [b"the last"]
    raw = Counted(WholeBody(b"".join(lines)), None, None)
    assert raw.peek() == (lines[0] * 1000)[: len(raw.peek())] != b""
    assert raw.tell() == 65536
    assert list(raw) == lines
    assert raw.calls < 2 * len(lines)
    assert raw.peek() == b""
    assert raw.closed


def test_a_long_value_is_encoded_as_a_short_one_is() -> None:
    octets = bytes(range(256)) * 3
    for size in range(len(octets)):
        assert decode(encode(octets[:size])) == octets[:size].decode("latin-1")
