from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any

import pytest

from reqkit.structures import CaseInsensitiveDict, LookupDict


def test_a_name_is_found_in_any_case() -> None:
    headers = CaseInsensitiveDict({"Content-Type": "text/html"})
    assert headers["content-type"] == headers["CONTENT-TYPE"] == "text/html"
    assert headers.get("cOnTeNt-TyPe") == "text/html"
    assert "content-TYPE" in headers
    assert "content" not in headers
    number: Any = 1
    assert number not in headers
    assert headers.get("missing") is None
    assert headers.get("missing", "x") == "x"
    with pytest.raises(KeyError):
        headers["missing"]


def test_the_case_of_the_last_key_set_is_kept_and_its_place_is_the_first_ones() -> None:
    headers = CaseInsensitiveDict([("A", "1"), ("b", "2")])
    headers["a"] = "3"
    assert list(headers) == ["a", "b"]
    assert list(headers.items()) == [("a", "3"), ("b", "2")]
    assert list(headers.values()) == ["3", "2"]
    assert list(headers.lower_items()) == [("a", "3"), ("b", "2")]
    assert len(headers) == 2
    assert ("a", "3") in headers.items()
    assert ("A", "3") in headers.items()
    assert "3" in headers.values()


def test_removing() -> None:
    headers = CaseInsensitiveDict(A="1", B="2", C="3")
    del headers["a"]
    assert headers.pop("b") == "2"
    assert headers.pop("b", None) is None
    assert dict(headers) == {"C": "3"}
    headers.clear()
    assert not headers
    with pytest.raises(KeyError):
        del headers["c"]


class _OnlyKeys:
    def keys(self) -> list[str]:
        return ["X"]

    def __getitem__(self, name: str) -> str:
        return name + "!"


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ({"a": "2"}, {"a": "2"}),
        ([("a", "2"), ("B", "3")], {"a": "2", "B": "3"}),
        (CaseInsensitiveDict({"a": "2"}), {"a": "2"}),
        (_OnlyKeys(), {"A": "1", "X": "X!"}),
        ((), {"A": "1"}),
    ],
)
def test_update_takes_what_a_dict_takes(other: Any, expected: dict[str, str]) -> None:
    headers = CaseInsensitiveDict({"A": "1"})
    headers.update(other)
    assert dict(headers) == expected


def test_update_takes_names_too() -> None:
    headers = CaseInsensitiveDict()
    headers.update({"a": "1"}, A="2")
    assert dict(headers) == {"A": "2"}


@pytest.mark.parametrize("make", [lambda h: h.copy(), copy.copy, copy.deepcopy])
def test_a_copy_changes_by_itself(make: Any) -> None:
    headers = CaseInsensitiveDict({"A": "1"})
    made = make(headers)
    assert type(made) is CaseInsensitiveDict
    made["a"] = "2"
    made["b"] = "3"
    assert dict(headers) == {"A": "1"}
    assert dict(made) == {"a": "2", "b": "3"}


def test_a_subclass_copies_to_itself() -> None:
    class Special(CaseInsensitiveDict):
        pass

    assert type(Special(A="1").copy()) is Special


@pytest.mark.parametrize(
    ("other", "equal"),
    [
        ({"a": "1", "b": "2"}, True),
        ({"B": "2", "A": "1"}, True),
        (CaseInsensitiveDict({"a": "1", "B": "2"}), True),
        ({"a": "1"}, False),
        ({"a": "1", "b": "3"}, False),
        ({1: "1"}, False),
        ([("a", "1"), ("b", "2")], False),
        (None, False),
    ],
)
def test_equality(other: object, equal: bool) -> None:
    headers = CaseInsensitiveDict({"A": "1", "B": "2"})
    assert (headers == other) is equal
    assert (headers != other) is not equal


def test_a_dictionary_is_not_hashable() -> None:
    with pytest.raises(TypeError):
        hash(CaseInsensitiveDict())


def test_merging_by_bar() -> None:
    headers = CaseInsensitiveDict({"A": "1"})
    merged = headers | {"a": "2", "B": "3"}
    assert type(merged) is CaseInsensitiveDict
    assert dict(merged) == {"a": "2", "B": "3"}
    turned = {"a": "2", "B": "3"} | headers
    assert type(turned) is CaseInsensitiveDict
    assert dict(turned) == {"A": "1", "B": "3"}
    assert dict(headers) == {"A": "1"}
    same = headers
    headers |= [("C", "4")]
    assert same is headers
    assert dict(headers) == {"A": "1", "C": "4"}
    with pytest.raises(TypeError):
        headers | [("a", "1")]  # type: ignore[operator]
    with pytest.raises(TypeError):
        [("a", "1")] | headers  # type: ignore[operator]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_dictionary_pickles(protocol: int) -> None:
    headers = CaseInsensitiveDict({"A": "1", "Cookie": "c"})
    found = pickle.loads(pickle.dumps(headers, protocol))
    assert type(found) is CaseInsensitiveDict
    assert list(found.items()) == [("A", "1"), ("Cookie", "c")]


def test_the_repr_hides_what_is_secret() -> None:
    headers = CaseInsensitiveDict(
        {
            "Accept": "*/*",
            "AUTHORIZATION": "Basic s3cret",
            "Proxy-Authorization": "s3cret",
            "cookie": "s3cret",
            "Set-Cookie": "s3cret",
            "X-Cookie-Count": "2",
        }
    )
    assert repr(headers) == str(headers)
    assert repr(headers) == (
        "{'Accept': '*/*', 'AUTHORIZATION': '***', 'Proxy-Authorization': '***',"
        " 'cookie': '***', 'Set-Cookie': '***', 'X-Cookie-Count': '2'}"
    )
    assert headers["authorization"] == "Basic s3cret"


def test_a_dictionary_is_a_mapping_without_a_dict_of_its_own() -> None:
    headers = CaseInsensitiveDict()
    assert isinstance(headers, Mapping)
    assert not hasattr(headers, "__dict__")
    assert CaseInsensitiveDict(None) == {}


def test_lookup_by_item_and_attribute() -> None:
    names: Any = LookupDict("colours")
    names["red"] = 1
    names.green = 2
    assert names.red == names["red"] == 1
    assert names["green"] == names.get("green") == 2
    assert names["blue"] is None
    assert names.get("blue", 3) == 3
    assert repr(names) == "<lookup 'colours'>"
    assert "red" in dir(names)
    names.name = "shades"
    assert repr(names) == "<lookup 'shades'>"


def test_lookup_of_an_unknown_attribute_suggests_the_nearest() -> None:
    names = LookupDict("colours")
    names["green"] = 1
    with pytest.raises(AttributeError, match="no 'gren'; did you mean 'green'"):
        names.gren  # noqa: B018
    with pytest.raises(AttributeError, match=r"^_gren$"):
        names._gren  # noqa: B018
    assert not hasattr(names, "zzz")


def test_lookup_pickles_and_copies() -> None:
    names = LookupDict("colours")
    names["red"] = 1
    for found in (pickle.loads(pickle.dumps(names)), copy.deepcopy(names)):
        assert found.red == 1
        assert found.name == "colours"
