from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reqkit_async.command.inputs import InputError, Item, count_items, read_items

U = "http://one.example/"
V = "http://two.example/"


def items(tmp_path: Path, name: str, data: bytes, **options: Any) -> list[Item]:
    path = tmp_path / name
    path.write_bytes(data)
    return list(read_items((), str(path), **options))


def urls(found: list[Item]) -> list[str | None]:
    return [item.url for item in found]


@pytest.mark.parametrize(
    "data",
    [
        f"{U}\n{V}\n",
        f"{U}\n{V}",
        f"{U}\r\n{V}\r\n",
        f"\ufeff{U}\n{V}\n",
        f"# a list\n\n  {U}  \n   # more\n\t\n{V}\n\n",
    ],
    ids=["plain", "no end", "CRLF", "BOM", "comments and blanks"],
)
def test_text(tmp_path: Path, data: str) -> None:
    found = items(tmp_path, "urls.txt", data.encode())
    assert urls(found) == [U, V]
    assert [item.number for item in found] == [1, 2]
    assert found[0].fields == {"url": U}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 65536])
def test_lines_are_the_same_however_they_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("reqkit_async.command.inputs._CHUNK", size)
    found = items(tmp_path, "u", f"\ufeff{U}\r\nhttp://ü.example/\r\n\r\n{V}".encode())
    assert urls(found) == [U, "http://ü.example/", V]


def test_a_bad_line_is_that_lines_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reqkit_async.command.inputs._LONGEST_LINE", 40)
    data = f"{U}\nhttp://\xff.example/\n{'x' * 100}\n{V}\n".encode("latin-1")
    found = items(tmp_path, "u.txt", data)
    assert urls(found) == [U, None, None, V]
    assert [item.problem is None for item in found] == [True, False, False, True]
    assert "line 3" in str(found[2].problem)


def test_a_line_without_end_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reqkit_async.command.inputs._LONGEST_LINE", 1000)
    monkeypatch.setattr("reqkit_async.command.inputs._CHUNK", 100)
    assert urls(items(tmp_path, "u.txt", b"x" * 5000)) == [None]
    assert urls(items(tmp_path, "u.txt", b"x" * 5000 + b"\n" + U.encode())) == [None, U]


def test_utf_16_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="UTF-16"):
        items(tmp_path, "u.txt", U.encode("utf-16"))


def test_csv_keeps_other_columns(tmp_path: Path) -> None:
    data = f'\ufeffid,Name,URL\r\n1,"A, b",{U}\r\n\r\n2,"line\nbreak",{V}\r\n'
    found = items(tmp_path, "a.csv", data.encode())
    assert urls(found) == [U, V]
    assert found[0].fields == {"id": "1", "Name": "A, b", "URL": U}
    assert found[1].fields["Name"] == "line\nbreak"


@pytest.mark.parametrize("delimiter", ["\t", ";", ","])
def test_csv_with_other_delimiters(tmp_path: Path, delimiter: str) -> None:
    data = f"id{delimiter}link\n7{delimiter}{U}\n"
    [item] = items(tmp_path, "a.csv", data.encode(), column="link")
    assert (item.url, item.fields) == (U, {"id": "7", "link": U})


def test_csv_rows_that_do_not_fit_lose_nothing(tmp_path: Path) -> None:
    found = items(tmp_path, "a.csv", f"url,x,x\n{U}\n{V},1,2,3,4\n".encode())
    assert found[0].fields == {"url": U, "x": "", "x (2)": ""}
    assert found[1].fields == {
        "url": V, "x": "1", "x (2)": "2", "column 4": "3", "column 5": "4",
    }  # fmt: skip


def test_csv_rows_without_a_url(tmp_path: Path) -> None:
    found = items(tmp_path, "a.csv", f"id,url\n1,\n2\n3,{U}\n".encode())
    assert urls(found) == [None, None, U]
    assert found[0].problem == "line 2 has nothing in 'url'"


def test_csv_without_the_column_names_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'url'.*--column.*'id', 'link'"):
        items(tmp_path, "a.csv", b"id,link\n1,2\n")


def test_an_unclosed_quote_ends_in_a_clear_failure(tmp_path: Path) -> None:
    rows = f'id,url\n1,"{U}\n' + f"2,{V}\n" * 20_000
    found = items(tmp_path, "a.csv", rows.encode())
    assert found[0].url is None
    assert "is no CSV" in str(found[0].problem)
    assert urls(found[-100:]) == [V] * 100


def test_jsonl(tmp_path: Path) -> None:
    data = f'{{"url": "{U}", "n": [1, {{"a": null}}]}}\n\n"{V}"\n{{"URL": "{U}"}}\n'
    found = items(tmp_path, "a.jsonl", data.encode())
    assert urls(found) == [U, V, U]
    assert found[0].fields == {"url": U, "n": [1, {"a": None}]}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"url": ', "line 1 is no JSON"),
        ("[1]", "line 1 is a JSON array: expected an object or a URL"),
        ("17", "line 1 is a JSON number"),
        ("true", "line 1 is a JSON True"),
        ('{"a": 1}', "line 1 has no 'url'"),
        ('{"url": 3}', "line 1 has no text in 'url'"),
        ('{"url": null}', "line 1 has nothing in 'url'"),
        ('{"url": "x", "n": NaN}', "NaN is no JSON value"),
        ("[" * 100_000, "line 1 is no JSON"),
    ],
)
def test_jsonl_lines_that_are_wrong(tmp_path: Path, line: str, problem: str) -> None:
    found = items(tmp_path, "a.jsonl", f'{line}\n{{"url": "{U}"}}\n'.encode())
    assert urls(found) == [None, U]
    assert problem in str(found[0].problem)


@pytest.mark.parametrize(
    ("name", "data", "column", "expected"),
    [
        ("list", f"# c\n{U}\n", None, [U]),
        ("list", f'\n{{"url": "{U}"}}\n', None, [U]),
        ("list", f"id,link\n1,{U}\n", "link", [U]),
        ("list.txt", f'{{"link": "{U}"}}\n', "link", [U]),
        ("list.TSV", f"id\turl\n1\t{U}\n", None, [U]),
        ("list.ndjson", f'"{U}"\n', None, [U]),
        ("empty", "", None, []),
        ("empty.csv", "", None, []),
        ("list", "# only this\n", None, []),
    ],
)
def test_the_kind_is_found(
    tmp_path: Path, name: str, data: str, column: str | None, expected: list[str]
) -> None:
    assert urls(items(tmp_path, name, data.encode(), column=column)) == expected


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read: No such file"):
        list(read_items((), str(tmp_path / "none")))
    with pytest.raises(InputError, match="is a folder"):
        list(read_items((), str(tmp_path)))


def test_counting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "u.txt"
    path.write_text(f"# x\n{U}\n\n{V}\n")
    assert count_items(str(path), "auto", None) == 2
    assert count_items("-", "auto", None) is None
    assert count_items(None, "auto", None) == 0
    monkeypatch.setattr("reqkit_async.command.inputs._COUNTED", 3)
    assert count_items(str(path), "auto", None) is None
