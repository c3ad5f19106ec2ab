from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reqkit.message.content.charsets import decode_as, text_codec
from reqkit.message.content.labels import CODECS
from reqkit.message.content.lines import LineCutter, decode_pieces, exact_pieces


def _cut(whole: Any, edges: Iterable[int]) -> list[Any]:
    places = [0, *sorted(min(edge, len(whole)) for edge in edges), len(whole)]
    return [whole[start:end] for start, end in itertools.pairwise(places)]


def _lines(pieces: Iterable[Any], delimiter: Any = None, text: bool = False) -> list[Any]:
    cutter = LineCutter(delimiter, text=text)
    found = [line for piece in pieces for line in cutter.feed(piece)]
    return found + cutter.finish()


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([], []),
        ([b""], []),
        ([b"a"], [b"a"]),
        ([b"a\n"], [b"a"]),
        ([b"a\r\n"], [b"a"]),
        ([b"a\r"], [b"a"]),
        ([b"a\r", b"\n", b"b"], [b"a", b"b"]),
        ([b"a\r", b"", b"\nb"], [b"a", b"b"]),
        ([b"a\r", b"\n", b"\n"], [b"a", b""]),
        ([b"a\r\r\nb"], [b"a", b"", b"b"]),
        ([b"a\n\rb"], [b"a", b"", b"b"]),
        ([b"\n"], [b""]),
        ([b"a\n\nb"], [b"a", b"", b"b"]),
        ([b"a\x0bb\x0cc\x1cd\x85e\n"], [b"a\x0bb\x0cc\x1cd\x85e"]),
        ([b"long", b"er ", b"line\nand", b" rest"], [b"longer line", b"and rest"]),
    ],
)
def test_lines_of_bytes(pieces: list[bytes], expected: list[bytes]) -> None:
    assert _lines(pieces) == expected


def test_text_has_the_same_line_ends_as_bytes() -> None:
    text = "a\u2028b\x85c\x0bd\x0ce\x1cf\r\ng"
    assert _lines([text], text=True) == ["a\u2028b\x85c\x0bd\x0ce\x1cf", "g"]


def test_a_line_comes_as_soon_as_it_is_complete() -> None:
    cutter = LineCutter()
    assert cutter.feed(b"on") == []
    assert cutter.feed(b"e\r") == [b"one"]
    assert cutter.feed(b"\n") == []
    assert cutter.feed(b"two\nthr") == [b"two"]
    assert cutter.finish() == [b"thr"]
    assert cutter.finish() == []


def test_a_delimited_line_comes_as_soon_as_it_is_complete() -> None:
    cutter = LineCutter(b"||")
    assert cutter.feed(b"one|") == []
    assert cutter.feed(b"|two") == [b"one"]
    assert cutter.feed(b"||") == [b"two"]
    assert cutter.finish() == []


@pytest.mark.parametrize(
    ("whole", "delimiter", "expected"),
    [
        (b"a||b||c", b"||", [b"a", b"b", b"c"]),
        (b"a||b||", b"||", [b"a", b"b"]),
        (b"||||", b"||", [b"", b""]),
        (b"||a", b"||", [b"", b"a"]),
        (b"|||", b"||", [b"", b"|"]),
        (b"a\nb;c", b";", [b"a\nb", b"c"]),
        (b"aabaaabaab", b"aab", [b"", b"a", b""]),
        (b"", b"||", []),
    ],
)
def test_a_delimiter_cut_anywhere(whole: bytes, delimiter: bytes, expected: list[bytes]) -> None:
    for size in range(1, len(whole) + 2):
        pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
        assert _lines(pieces, delimiter) == expected


def test_the_delimiter_may_be_of_the_other_kind() -> None:
    assert _lines(["a", "¶b"], "¶".encode(), text=True) == ["a", "b"]
    assert _lines(["a¶b".encode()], "¶") == [b"a", b"b"]
    assert _lines([b"a\nb"], b"") == [b"a", b"b"]
    with pytest.raises(TypeError, match="delimiter is 7"):
        LineCutter(7)  # type: ignore[arg-type]


EDGES = st.lists(st.integers(0, 60), max_size=12)


@given(st.text(alphabet="ab\r\n\u2028\x85\x0b", max_size=50), EDGES)
def test_lines_are_the_same_however_cut(whole: str, edges: list[int]) -> None:
    expected = re.split("\r\n|\r|\n", whole)
    if not expected[-1]:
        del expected[-1]
    assert _lines(_cut(whole, edges), text=True) == expected
    encoded = whole.encode()
    assert _lines(_cut(encoded, edges)) == [line.encode() for line in expected]
    assert _lines(_cut(encoded, edges)) == encoded.splitlines()


@given(
    st.text(alphabet="ab;", max_size=50),
    st.text(alphabet="ab;", min_size=1, max_size=4),
    EDGES,
)
def test_delimited_lines_are_the_same_however_cut(
    whole: str, delimiter: str, edges: list[int]
) -> None:
    expected = whole.split(delimiter)
    if not expected[-1]:
        del expected[-1]
    assert _lines(_cut(whole, edges), delimiter, text=True) == expected


@given(st.binary(max_size=60), EDGES, st.integers(1, 20))
def test_exact_pieces(whole: bytes, edges: list[int], size: int) -> None:
    found = list(exact_pieces(_cut(whole, edges), size))
    assert found == [whole[at : at + size] for at in range(0, len(whole), size)]


def test_exact_pieces_of_text() -> None:
    assert list(exact_pieces(["ab", "", "cde", "f"], 4)) == ["abcd", "ef"]


def test_an_exact_piece_comes_as_soon_as_it_is_there() -> None:
    taken = []

    def source() -> Iterator[bytes]:
        for piece in (b"ab", b"cd", b"ef"):
            taken.append(piece)
            yield piece

    pieces = exact_pieces(source(), 3)
    assert taken == []
    assert next(pieces) == b"abc"
    assert taken == [b"ab", b"cd"]


@pytest.mark.parametrize("size", [0, -1, True, 1.5, None, "3"])
def test_a_bad_size_is_an_error_at_once(size: Any) -> None:
    with pytest.raises(ValueError, match="chunk_size is"):
        exact_pieces([b""], size)


@given(
    st.text(max_size=30),
    st.sampled_from(["utf-8", "utf-16", "utf-16-be", "utf-32", "utf-7", "gb18030"]),
    EDGES,
)
def test_characters_that_were_cut_are_put_together(
    text: str, encoding: str, edges: list[int]
) -> None:
    text = text.lstrip("\ufeff")
    found = list(decode_pieces(_cut(text.encode(encoding), edges), encoding))
    assert "".join(found) == text
    assert all(found)


@given(st.binary(max_size=30), EDGES)
def test_bad_bytes_are_replaced_however_cut(whole: bytes, edges: list[int]) -> None:
    expected = whole.decode("utf-8", "replace").removeprefix("\ufeff")
    assert "".join(decode_pieces(_cut(whole, edges), "utf-8")) == expected


def test_a_byte_order_mark_is_no_text() -> None:
    mark = b"\xef\xbb\xbf"
    assert list(decode_pieces([mark[:1], mark[1:], b"a", mark], "utf-8")) == ["a", "\ufeff"]
    assert list(decode_pieces([mark], "utf-8")) == []
    assert list(decode_pieces([b"+/v8"], "utf-7")) == []
    assert list(decode_pieces([b"\xff\xfea\0"], "utf-16-le")) == ["a"]


@pytest.mark.parametrize("encoding", [None, "no-such-charset", "hex", "utf-8\0", "idna"])
def test_an_unknown_charset_is_read_as_utf_8(encoding: str | None) -> None:
    assert list(decode_pieces([b"caf\xc3", b"\xa9 \xff"], encoding)) == ["caf", "é �"]


def test_a_body_that_ends_within_a_character() -> None:
    assert "".join(decode_pieces([b"a\xc3"], "utf-8")) == "a�"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
@pytest.mark.parametrize("size", [1, 3, 100])
def test_without_a_byte_order_mark(encoding: str, size: int) -> None:
    data = "añb\n".encode(f"{encoding}-le")
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert "".join(decode_pieces(pieces, encoding)) == "añb\n"


WHOLE = "héllo wörld 日本語テキスト ①㈱ Привет 中文 한글 €\r\n\u301c 𠀀 + -"
#: Bytes that begin something in one of the charsets: runs, sequences, pairs, quads.
ODD = b"\x1b$(BJ&@N.A\x8e\x8f\xa1\xfe~{}+-\xd8\xdc\0\xff\x81\x30\x0e\x0f\x80\xef\xbb\xfe"
CHARSETS = sorted({
    *CODECS.values(), "utf-7", "utf-8-sig", "utf-32", "utf-32-be", "hz", "iso2022_kr", "iso2022_jp",
    "iso2022_jp_2", "iso2022_jp_3", "johab",
})  # fmt: skip


@pytest.mark.parametrize("name", CHARSETS)
def test_what_is_broken_is_read_as_if_it_was_whole_however_cut(name: str) -> None:
    chance = random.Random(name)
    codec = text_codec(name)
    assert codec is not None
    good = WHOLE.encode(codec, "ignore")
    for turn in range(60):
        data = bytearray(good[: chance.randrange(len(good) + 1)])
        for _ in range(turn % 4):
            if data:
                data[chance.randrange(len(data))] = chance.choice((chance.randrange(256), 0x1B))
        if turn % 3 == 0:
            data = bytearray(chance.choice(ODD) for _ in range(chance.randrange(14)))
        whole = bytes(data)
        edges = [chance.randrange(len(whole) + 1) for _ in range(3)]
        expected = decode_as(whole, name)
        for cut in (edges, [], range(len(whole))):
            assert "".join(decode_pieces(_cut(whole, cut), name)) == expected, whole


@pytest.mark.parametrize(
    ("whole", "text"),
    [
        # The Encoding standard, "ISO-2022-JP decoder": the escape character alone is the error.
        (b"a\x1b(xyz", "a\ufffd(xyz"),
        (b"a\x1b", "a\ufffd"),
        (b"a\x1b$", "a\ufffd$"),
        (b"a\x1b\x1b$BF|\x1b(Bb", "a\ufffd日b"),
        (b"\x1b$BF|\x1b(\xf6llo w\x1b(Bb", "日\ufffd"),
        (b"\x1b(\xf6" + b"x" * 30, "\ufffd(\ufffd" + "x" * 30),
    ],
)
def test_what_is_no_escape_sequence(whole: bytes, text: str) -> None:
    for cut in ([], range(len(whole))):
        found = "".join(decode_pieces(_cut(whole, cut), "iso-2022-jp"))
        assert found.startswith(text), found
    assert (decode_as(whole, "iso-2022-jp") or "").startswith(text)
