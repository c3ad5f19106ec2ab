from __future__ import annotations

import os
from pathlib import Path

import pytest

from reqkit_async.downloads.naming import Names


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://h.example/a/b.txt?q=1#f", "b.txt"),
        ("http://h.example/a/b/", "b"),
        ("http://h.example/", "h.example"),
        ("http://h.example", "h.example"),
        ("http://h.example/%2e%2e", "_"),
        ("http://h.example/..%2f..%2fetc%2fpasswd", "_.._etc_passwd"),
        ("http://h.example/a%00b", "a_b"),
        ("http://h.example/a%0Ab%1b", "a_b_"),
        ("http://h.example/-rf", "_-rf"),
        ("http://h.example/.bashrc", "bashrc"),
        ("http://h.example/con.txt", "_con.txt"),
        ("http://h.example/COM%C2%B9.log", "_COM\xb9.log"),
        ("http://h.example/lpt1%20.x", "_lpt1 .x"),
        ("http://h.example/CONOUT$", "_CONOUT$"),
        ("http://h.example/concert.txt", "concert.txt"),
        ("http://h.example/a:b%5Cc", "a_b_c"),
        ("http://h.example/%E2%80%AEgpj.exe", "_gpj.exe"),
        ("http://h.example/a.part", "a.part_"),
        ("http://h.example/%ff%fe", "\ufffd\ufffd"),
        ("http://[bad/x", "download"),
        ("nonsense", "nonsense"),
        ("", "download"),
    ],
)
def test_names(url: str, name: str) -> None:
    assert Names().name_for(url) == name


def test_equal_names_are_told_apart() -> None:
    names = Names()
    made = [names.name_for(f"http://{host}.example/A.tar.gz") for host in "abc"]
    made.append(names.name_for("http://d.example/a.TAR.GZ"))
    assert made == ["A.tar.gz", "A-2.tar.gz", "A-3.tar.gz", "a-4.TAR.GZ"]


@pytest.mark.parametrize(
    "segments", [("caf%C3%A9", "cafe%CC%81"), ("CAF%C3%89", "cafe%CC%81"), ("a.x", "A.X")]
)
def test_names_that_some_file_system_takes_for_one_are_told_apart(
    segments: tuple[str, str],
) -> None:
    names = Names()
    first, second = (names.name_for(f"http://h.example/{segment}") for segment in segments)
    assert "-2" in second
    assert "-2" not in first


def test_a_name_that_looks_like_a_number_added_is_not_given_twice() -> None:
    names = Names()
    made = [names.name_for(f"http://h/{last}") for last in ("a-2.x", "a.x", "a.x", "a-2.x")]
    assert len(set(made)) == 4


def test_very_many_equal_names_take_no_longer_each() -> None:
    names = Names()
    made = {names.name_for(f"http://h/{number}/index.html") for number in range(20_000)}
    assert len(made) == 20_000


def test_reserved_names_are_not_given() -> None:
    names = Names()
    names.reserve("a.txt")
    assert names.name_for("http://h/a.txt") == "a-2.txt"


@pytest.mark.parametrize("segment", ["x" * 5000 + ".txt", "ü" * 3000, "a." + "e" * 400])
def test_long_names_can_be_files(segment: str, tmp_path: Path) -> None:
    names = Names()
    made = [names.name_for(f"http://h/{segment}{end}") for end in ("", "", "y")]
    assert len(set(made)) == 3
    for name in made:
        assert len(os.fsencode(f"{name}.part.version")) <= 255
        (tmp_path / f"{name}.part.version").write_text("")
