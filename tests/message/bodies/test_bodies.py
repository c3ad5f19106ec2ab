"""Bodies: what data, json and files mean together, and how it is sent, and sent again."""

from __future__ import annotations

import codecs
import collections
import gzip
import io
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reqkit.exceptions import (
    ConnectionError,
    InvalidJSONError,
    RequestException,
    UnrewindableBodyError,
)
from reqkit.message.bodies import (
    Encoded,
    ReadOnce,
    content_length,
    encode_body,
    pieces,
    position,
    positions,
    rewind,
)
from reqkit.message.bodies.sources import PIECE

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
NOTHING = Encoded(None, None, 0)


class Reader:
    """What has ``read()`` and nothing else."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self._file.read(size)


class Sized(Reader):
    """What tells its length as requests-toolbelt's encoders do."""

    @property
    def len(self) -> int:
        return len(self._file.getvalue())


class Chunks:
    """An iterable of bytes that tells its length, as upload recipes have it."""

    def __init__(self, *chunks: bytes, length: int | None = None) -> None:
        self.chunks = chunks
        self.length = sum(map(len, chunks)) if length is None else length

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)


class Once(Chunks):
    """The same, of what can be read but once."""

    def __init__(self, *chunks: bytes) -> None:
        super().__init__(*chunks)
        self.left = iter(chunks)

    def __iter__(self) -> Iterator[bytes]:
        yield from self.left


class Pipe(io.BytesIO):
    """A file that cannot be sought."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError("no position")


class Async:
    def __aiter__(self) -> Any:
        return self


def generated(*chunks: bytes) -> Iterator[bytes]:
    yield from chunks


@pytest.mark.parametrize(
    ("data", "json", "expected"),
    [
        (None, None, NOTHING),
        ({}, None, NOTHING),
        ([], None, NOTHING),
        ("", None, NOTHING),
        (b"", None, NOTHING),
        ({"a": "b c", "d": ["1", 2, None], "e": None}, None, Encoded("a=b+c&d=1&d=2", FORM, 13)),
        ([("a", 1), ("a", 2)], None, Encoded("a=1&a=2", FORM, 7)),
        ((("a", "é"),), None, Encoded("a=%C3%A9", FORM, 8)),
        ({"a": 1}.items(), None, Encoded("a=1", FORM, 3)),
        ({"a": None}, None, Encoded("", FORM, 0)),
        ("é", None, Encoded("é", None, 2)),
        (b"\xff", None, Encoded(b"\xff", None, 1)),
        (bytearray(b"ab"), None, Encoded(b"ab", None, 2)),
        (memoryview(b"abcd").cast("H"), None, Encoded(b"abcd", None, 4)),
        (None, {"a": [1, "é", None]}, Encoded(b'{"a": [1, "\\u00e9", null]}', JSON, 26)),
        (None, [], Encoded(b"[]", JSON, 2)),
        (None, {}, Encoded(b"{}", JSON, 2)),
        (None, 0, Encoded(b"0", JSON, 1)),
        (None, "", Encoded(b'""', JSON, 2)),
        (None, False, Encoded(b"false", JSON, 5)),
        ({}, [1], Encoded(b"[1]", JSON, 3)),
        (b"", [1], Encoded(b"[1]", JSON, 3)),
        ({"a": 1}, [1], Encoded("a=1", FORM, 3)),
        ("x", [1], Encoded("x", None, 1)),
    ],
)
def test_bodies_at_hand(data: Any, json: Any, expected: Encoded) -> None:
    assert encode_body(data, json, None) == expected
    assert encode_body(data, json, {}) == expected


def test_what_may_change_is_copied() -> None:
    data = bytearray(b"before")
    body = encode_body(data).body
    data[:] = b"after!"
    assert body == b"before"


@pytest.mark.parametrize(
    ("data", "length"),
    [
        (io.BytesIO(b"abc"), 3),
        (io.BytesIO(), 0),
        (Reader(b"abc"), None),
        (Sized(b"abc"), 3),
        (Pipe(b"abc"), None),
        (generated(b"abc"), None),
        (Chunks(b"abc", b"d"), 4),
        (collections.deque([b"abc", b"d"]), None),
        (io.StringIO("aé"), 3),
    ],
)
def test_streams_are_left_for_later(data: Any, length: int | None) -> None:
    assert encode_body(data, [1], None) == Encoded(data, None, length)
    sent = b"".join(pieces(data, length))
    assert length is None or len(sent) == length


@pytest.mark.parametrize("data", [5, 0, False, 1.5, object(), Path("x"), len])
def test_data_of_an_unknown_kind_is_refused(data: Any) -> None:
    with pytest.raises(TypeError, match=f"data is a {type(data).__name__}: expected a dictionary"):
        encode_body(data)


def test_what_cannot_be_read_here_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="async iterable"):
        encode_body(Async())
    closed = io.BytesIO(b"x")
    closed.close()
    with pytest.raises(ValueError, match="data is a closed BytesIO"):
        encode_body(closed)
    with (
        open(tmp_path / "new", "wb") as writing,
        pytest.raises(ValueError, match="opened for writing only: open it with 'rb'"),
    ):
        encode_body(writing)
    with pytest.raises(ValueError, match="lone surrogate at position 1"):
        encode_body("a\ud800")


@pytest.mark.parametrize("data", ["text", b"bytes", bytearray(b"x")])
def test_a_string_does_not_go_with_files(data: Any) -> None:
    with pytest.raises(ValueError, match="Data must not be a string"):
        encode_body(data, None, {"f": b"x"})


def test_a_stream_does_not_go_with_files() -> None:
    for data in (io.BytesIO(b"x"), generated(b"x")):
        with pytest.raises(ValueError, match="to be streamed, with files"):
            encode_body(data, None, {"f": b"x"})


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": -math.inf}])
def test_json_has_no_nan(value: Any) -> None:
    with pytest.raises(InvalidJSONError, match="no NaN, no infinity"):
        encode_body(None, value)


def test_json_has_no_circles_and_no_objects() -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(InvalidJSONError, match="Circular"):
        encode_body(None, circle)
    with pytest.raises(TypeError, match=r"json: .*set.*: expected dictionaries, lists"):
        encode_body(None, {"a": {1}})


class TestLength:
    @pytest.mark.parametrize(
        ("body", "length"),
        [
            (None, 0),
            (b"abc", 3),
            (bytearray(b"abc"), 3),
            (memoryview(b"abcd").cast("H"), 4),
            ("aé", 3),
        ],
    )
    def test_of_what_is_at_hand(self, body: Any, length: int) -> None:
        assert content_length(body) == length

    def test_of_files_counts_from_where_they_stand(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"0123456789")
        with open(path, "rb") as buffered, open(path, "rb", buffering=0) as raw:
            for file in (buffered, raw):
                file.read(4)
                assert content_length(file) == 6
                assert file.tell() == 4
                file.seek(0, os.SEEK_END)
                assert content_length(file) == 0
                file.seek(20)
                assert content_length(file) == 0

    def test_of_temporary_files(self) -> None:
        with tempfile.TemporaryFile() as plain, tempfile.SpooledTemporaryFile() as spooled:
            for file in (plain, spooled):
                file.write(b"0123456789")
                file.seek(2)
                assert content_length(file) == 8
                assert b"".join(pieces(file, 8)) == b"23456789"

    def test_of_text_files_is_that_of_their_utf8(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes("é\r\n".encode("latin-1"))
        with open(path, encoding="latin-1") as text, tempfile.TemporaryFile("w+") as temporary:
            temporary.write("aé")
            temporary.seek(1)
            for file, sent in ((text, "é\n"), (temporary, "é")):
                length = content_length(file)
                assert length == len(sent.encode())
                assert b"".join(pieces(file, length)) == sent.encode()

    def test_of_text_that_cannot_be_read_twice_is_not_known(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes("é\r\n".encode("latin-1"))
        receiver, sender = os.pipe()
        os.write(sender, b"piped")
        os.close(sender)
        with (
            codecs.getreader("latin-1")(open(path, "rb")) as reader,
            open(receiver, encoding="ascii") as pipe,
        ):
            for file, sent in ((reader, "é\r\n"), (pipe, "piped")):
                assert content_length(file) is None
                assert b"".join(pieces(file)) == sent.encode()

    def test_of_text_that_is_not_in_its_charset_is_not_known(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"\xff")
        with open(path, encoding="ascii") as text:
            assert content_length(text) is None

    def test_of_text_in_memory_is_that_of_its_bytes(self) -> None:
        text = io.StringIO("aéé")
        text.read(1)
        assert content_length(text) == 4
        assert b"".join(pieces(text, 4)) == "éé".encode()

    def test_of_a_compressed_file_is_that_of_what_it_reads(self, tmp_path: Path) -> None:
        path = tmp_path / "file.gz"
        path.write_bytes(gzip.compress(b"x" * 1000))
        with gzip.open(path) as file:
            file.read(1)
            assert content_length(file) == 999
            assert b"".join(pieces(file, 999)) == b"x" * 999

    @pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="has no /proc")
    def test_of_a_file_that_only_looks_empty_is_not_known(self) -> None:
        with open("/proc/self/status", "rb") as file:
            assert content_length(file) is None
            assert b"".join(pieces(file)).startswith(b"Name:")

    def test_of_a_pipe_is_not_known(self) -> None:
        reading, writing = os.pipe()
        with open(reading, "rb") as source, open(writing, "wb") as sink:
            sink.write(b"abc")
            sink.close()
            assert content_length(source) is None
            assert isinstance(position(source), ReadOnce)
            assert b"".join(pieces(source)) == b"abc"

    def test_of_what_has_a_descriptor_only(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"0123456789")

        class Described(Reader):
            def fileno(self) -> int:
                return descriptor.fileno()

        with open(path, "rb") as descriptor:
            assert content_length(Described(b"0123456789")) == 10
        assert content_length(Described(b"")) is None

    @pytest.mark.parametrize("broken", ["seek", "tell", "seekable"])
    def test_of_a_file_that_fails_when_asked_is_not_known(self, broken: str) -> None:
        def fail(*args: Any) -> Any:
            raise OSError("no")

        file = io.BytesIO(b"abc")
        reader = type("Broken", (io.BytesIO,), {broken: fail})(b"abc")
        assert content_length(file) == 3
        assert content_length(reader) is None

    def test_of_what_is_half_read_and_tells_its_length(self) -> None:
        class Both(io.BytesIO):
            def __len__(self) -> int:
                return len(self.getvalue())

        both = Both(b"0123456789")
        both.read(3)
        assert content_length(both) == 7

    @pytest.mark.parametrize("received", ["5", -1, None, len])
    def test_a_length_that_is_no_number_is_not_believed(self, received: Any) -> None:
        reader = Reader(b"abc")
        reader.len = received  # type: ignore[attr-defined]
        assert content_length(reader) is None


class TestPieces:
    @pytest.mark.parametrize(
        ("body", "expected"),
        [
            (None, []),
            (b"", []),
            (b"abc", [b"abc"]),
            (bytearray(b"abc"), [b"abc"]),
            (memoryview(b"abc"), [b"abc"]),
            ("é", ["é".encode()]),
            ([b"a", "é", b"", bytearray(b"c"), memoryview(b"d")], [b"a", "é".encode(), b"c", b"d"]),
            (generated(b"", b"a", b""), [b"a"]),
            (io.BytesIO(b"x" * (PIECE + 1)), [b"x" * PIECE, b"x"]),
            (Reader(b"ab"), [b"ab"]),
            (io.StringIO("é"), ["é".encode()]),
        ],
    )
    def test_are_bytes(self, body: Any, expected: list[bytes]) -> None:
        got = list(pieces(body))
        assert got == expected
        assert all(type(piece) is bytes for piece in got)

    def test_of_a_file_that_grew_are_those_announced(self) -> None:
        asked: list[int] = []

        class Watched(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                asked.append(size or 0)
                return super().read(size)

        assert b"".join(pieces(Watched(b"0123456789"), 4)) == b"0123"
        assert asked == [4]

    @pytest.mark.parametrize(
        "body", [io.BytesIO(b"abc"), [b"abc"], generated(b"a", b"bc"), b"abc", io.StringIO("abc")]
    )
    def test_fewer_than_announced_are_an_error(self, body: Any) -> None:
        sending = pieces(body, 4)
        with pytest.raises(RequestException, match="ended after 3 of the 4 bytes"):
            for _ in sending:
                pass

    @pytest.mark.parametrize("body", [[b"ab", b"cd"], generated(b"abc", b"d"), b"abcd"])
    def test_more_than_announced_are_never_given(self, body: Any) -> None:
        got = b""
        with pytest.raises(RequestException, match="has more than the 3 bytes"):
            for piece in pieces(body, 3):
                got += piece
        assert len(got) <= 3

    def test_a_reader_that_gives_more_than_asked_for(self) -> None:
        class Greedy(Reader):
            def read(self, size: int) -> bytes:
                return b"x" * (size + 1)

        with pytest.raises(RequestException, match="more than the 3 bytes"):
            list(pieces(Greedy(b""), 3))

    def test_text_that_grew_is_cut(self) -> None:
        assert b"".join(pieces(io.StringIO("ééé"), 4)) == "éé".encode()

    def test_the_rest_of_a_generator_runs(self) -> None:
        done = []

        def body() -> Iterator[bytes]:
            yield b"abc"
            done.append(True)

        assert list(pieces(body(), 3)) == [b"abc"]
        assert done

    @pytest.mark.parametrize("item", [5, None, ("a", "b")])
    def test_other_items_are_refused(self, item: Any) -> None:
        with pytest.raises(TypeError, match=f"gave a {type(item).__name__}: expected bytes or str"):
            list(pieces([item]))

    def test_other_bodies_are_refused(self) -> None:
        with pytest.raises(TypeError, match="the body is a int"):
            list(pieces(5))
        with pytest.raises(ValueError, match="lone surrogate"):
            list(pieces(["\ud800"]))

    def test_errors_of_a_file_are_not_those_of_the_connection(self) -> None:
        class Broken(Reader):
            def read(self, size: int) -> bytes:
                raise BrokenPipeError("gone")

        with pytest.raises(RequestException, match="BrokenPipeError: gone") as caught:
            list(pieces(Broken(b"")))
        assert not isinstance(caught.value, BrokenPipeError)
        assert isinstance(caught.value.__cause__, BrokenPipeError)

    @pytest.mark.parametrize("error", [ConnectionError("ours"), ZeroDivisionError("theirs")])
    def test_other_errors_come_out_as_they_are(self, error: Exception) -> None:
        def body() -> Iterator[bytes]:
            yield b"abc"
            raise error

        with pytest.raises(type(error)) as caught:
            list(pieces(body()))
        assert caught.value is error

    def test_a_file_that_does_not_wait_is_refused(self) -> None:
        class Raw(Reader):
            def read(self, size: int) -> Any:
                return None

        with pytest.raises(RequestException, match="non-blocking"):
            list(pieces(Raw(b"")))


class TestAgain:
    @pytest.mark.parametrize(
        "body",
        [
            None,
            b"abc",
            "abc",
            [b"a", b"b"],
            collections.deque([b"a"]),
            memoryview(b"a"),
            io.BytesIO(b"abc"),
            io.StringIO("abc"),
            Chunks(b"a", b"b"),
        ],
    )
    def test_what_can_be_sent_again(self, body: Any) -> None:
        start = position(body)
        assert not isinstance(start, ReadOnce)
        length = content_length(body)
        if isinstance(body, (list, collections.deque)):
            assert length is None
        first = list(pieces(body, length))
        rewind(body, start)
        assert list(pieces(body, length)) == first

    def test_a_file_goes_back_to_where_it_stood(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(b"0123456789")
        with open(path, "rb") as file:
            file.read(4)
            start = position(file)
            assert start == 4
            list(pieces(file))
            rewind(file, start)
            assert file.read() == b"456789"

    @pytest.mark.parametrize(
        ("body", "why"),
        [
            (generated(b"a"), "an iterable can be read only once: give bytes"),
            (map(bytes, []), "an iterable can be read only once"),
            (Reader(b"a"), "it cannot be sought"),
            (Pipe(b"a"), "it cannot be sought"),
        ],
    )
    def test_what_cannot_be_sent_again(self, body: Any, why: str) -> None:
        start = position(body)
        assert isinstance(start, ReadOnce)
        rewind(body, start)  # nothing was read yet
        assert not list(pieces(body, None, start)) or start.begun
        with pytest.raises(UnrewindableBodyError, match=why) as caught:
            rewind(body, start)
        assert f"(a {type(body).__name__})" in str(caught.value)
        assert "allow_redirects=False" in str(caught.value)

    def test_a_file_closed_meanwhile(self) -> None:
        file = io.BytesIO(b"abc")
        start = position(file)
        file.close()
        with pytest.raises(UnrewindableBodyError, match="keep the file open"):
            rewind(file, start)

    def test_what_promised_to_start_anew_and_did_not(self) -> None:
        body = Once(b"abc")
        start, length = position(body), content_length(body)
        assert b"".join(pieces(body, length)) == b"abc"
        rewind(body, start)
        with pytest.raises(RequestException, match="ended after 0 of the 3 bytes"):
            list(pieces(body, length))


@given(st.lists(st.binary(max_size=5)), st.integers(0, 30))
def test_pieces_keep_to_what_was_announced(chunks: list[bytes], length: int) -> None:
    whole = b"".join(chunks)
    bodies: list[Iterable[bytes] | io.BytesIO] = [chunks, io.BytesIO(whole)]
    for body in bodies:
        got = b""
        try:
            for piece in pieces(body, length):
                got += piece
        except RequestException:
            assert len(whole) != length
        else:
            assert len(got) == length
        assert whole.startswith(got)
        assert len(got) <= length


def test_nothing_is_kept_of_a_file_that_was_read() -> None:
    body = io.BytesIO(b"x" * 100_000)
    with positions.locked(body):
        with positions.locked(body):
            assert len(positions._being_read) == 1
        assert len(positions._being_read) == 1
    assert not positions._being_read
