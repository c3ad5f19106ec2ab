"""Names and values: what is taken, what is left out, and what is refused."""

from __future__ import annotations

import io
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reqkit.message.multimapping import flat_pairs, pairs_of, urlencoded


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({}, []),
        ({"a": "1", "b": "2"}, [("a", "1"), ("b", "2")]),
        ([("a", 1), ["b", 2], ("a", 3)], [("a", 1), ("b", 2), ("a", 3)]),
        ({"a": 1}.items(), [("a", 1)]),
        (iter([("a", 1)]), [("a", 1)]),
    ],
)
def test_pairs_are_taken_in_order(given_: Any, expected: list[tuple[Any, Any]]) -> None:
    assert pairs_of(given_, "params") == expected


@pytest.mark.parametrize(
    ("given_", "error", "text"),
    [
        (5, TypeError, "params is a int: expected a dictionary"),
        ("a=b", TypeError, "params is a str"),
        (["ab", "cd"], ValueError, r"item 0 is a str: expected a \(name, value\) pair"),
        ([("a", 1), ("b",)], ValueError, "item 1 is a tuple of 1"),
        ([1], ValueError, "item 0 is a int"),
        ({"a": io.BytesIO()}, TypeError, "the value of 'a' is a file: give files with files="),
        ({"a": "\ud800"}, ValueError, "lone surrogate"),
    ],
)
def test_what_is_no_pairs_is_refused(given_: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        urlencoded(given_, "params")


def test_lists_are_spread_and_none_is_left_out() -> None:
    mixed = {"a": ["1", None, 2], "b": None, "c": (), "d": bytearray(b"x"), "e": 0, "f": ""}
    assert flat_pairs(mixed, "data") == [("a", "1"), ("a", 2), ("d", b"x"), ("e", 0), ("f", "")]


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        ({"a": "b c", "d": "é&="}, "a=b+c&d=%C3%A9%26%3D"),
        ({"a": True, "b": 1.5, 3: -2}, "a=True&b=1.5&3=-2"),
        ({b"\xff": b"\x00~"}, "%FF=%00~"),
        ({"a": [[1, 2], "x"]}, "a=1&a=2&a=x"),
        ({"a[]": [1, 2]}, "a%5B%5D=1&a%5B%5D=2"),
        ({}, ""),
    ],
)
def test_urlencoded(given_: Any, expected: str) -> None:
    assert urlencoded(given_, "data") == expected


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.lists(st.tuples(texts, texts | st.binary(max_size=8) | st.integers() | st.floats())))
def test_urlencoded_agrees_with_the_standard_library(pairs: list[tuple[str, Any]]) -> None:
    assert urlencoded(pairs, "data") == urlencode(pairs)


@given(st.lists(st.tuples(texts, texts)))
def test_urlencoded_can_be_read_back(pairs: list[tuple[str, str]]) -> None:
    assert parse_qsl(urlencoded(pairs, "data"), keep_blank_values=True) == pairs
