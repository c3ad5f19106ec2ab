from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest

from reqkit_async.command.journal import Done, Journal, JournalError, final_records, key_of


def record(url: str, ok: bool = True, **more: Any) -> dict[str, Any]:
    made = {"input": {"url": url}, "url": url, "ok": ok, "error": None, "status": 200}
    return {**made, "seconds": 0.1, "bytes": 1, "ended": "2026-01-31T12:00:00.000Z", **more}


def line(made: dict[str, Any]) -> bytes:
    return json.dumps(made).encode() + b"\n"


def test_what_is_there_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_bytes(line(record("a")))
    with pytest.raises(JournalError, match=r"--resume.*--overwrite"):
        Journal(str(path))
    assert path.read_bytes() == line(record("a"))
    journal = Journal(str(path), overwrite=True)
    journal.write(b"new\n")
    journal.close()
    assert path.read_bytes() == b"new\n"


@pytest.mark.parametrize("half", [b"", b"{", b'{"input": {"url"', b"x" * 200_000])
def test_half_a_line_is_dropped(tmp_path: Path, half: bytes) -> None:
    path = tmp_path / "o.jsonl"
    path.write_bytes(line(record("a")) + half)
    journal = Journal(str(path), resume=True)
    assert [each["input"]["url"] for each in journal.records()] == ["a"]
    journal.write(line(record("b")))
    journal.close()
    assert path.read_bytes() == line(record("a")) + line(record("b"))


def test_only_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    path.write_bytes(b'{"in')
    journal = Journal(str(path), resume=True)
    assert list(journal.records()) == []
    journal.close()
    assert path.read_bytes() == b""


OTHERS: list[bytes] = [
    b"no json\n", b"[1]\n", b'{"url": 1}\n', b'{"input": 3}\n', b"[" * 100_000 + b"\n",
    *(
        line(record("a") | {name: value})
        for name, values in {
            "input": (None, "a"), "ok": (None, 1), "url": (1,), "status": ("200",), "file": (3,),
            "error": (1, {}, {"type": 1, "message": 2}), "seconds": ("x", -1, 1e300, float("nan")),
            "bytes": (None, 0.5), "ended": (None, "", "soon", "9999-99-99T00:00:00.000Z"),
        }.items()
        for value in values
    ),
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS)
def test_somebody_elses_file_is_refused(tmp_path: Path, other: bytes) -> None:
    path = tmp_path / "o.jsonl"
    path.write_bytes(line(record("a")) + other)
    journal = Journal(str(path), resume=True)
    with pytest.raises(JournalError, match="line 2 is no result of reqkit fetch"):
        list(journal.records())
    journal.close()
    assert path.read_bytes() == line(record("a")) + other


def test_a_journal_is_one_processs_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "o.jsonl")
    first = Journal(path)
    with pytest.raises(JournalError, match="another process"):
        Journal(path, resume=True)
    first.close()
    Journal(path, resume=True).close()


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    journal = Journal(str(path))
    journal.write(b"x" * 60 + b"\n")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(OSError, match="too large"):
            journal.write(b"y" * 60 + b"\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"x" * 60 + b"\n"
    journal.write(b"z\n")
    journal.close()
    assert path.read_bytes() == b"x" * 60 + b"\nz\n"


def test_each_record_stands_for_one_input() -> None:
    done = Done(failed=False)
    done.add(record("a"))
    done.add(record("a", False))
    asked = [done.take({"url": url}) for url in ("a", "a", "a", "b")]
    assert asked == [True, True, None, None]


def test_failures_are_fetched_again() -> None:
    done = Done(failed=True)
    for made in (record("a"), record("a", False), record("b", False), record("b", again=True)):
        done.add(made)
    assert [done.take({"url": url}) for url in "aabb"] == [True, False, True, None]


def test_an_interrupted_second_try_loses_no_input() -> None:
    """Two equal inputs, one failed; it was fetched again, and the other one never."""
    done = Done(failed=True)
    done.add(record("a", False))
    done.add(record("a", again=True))
    assert [done.take({"url": "a"}) for _ in range(2)] == [True, None]


def test_keys_go_by_all_fields_and_not_by_their_order() -> None:
    assert key_of({"a": 1, "b": "\ud800"}) == key_of({"b": "\ud800", "a": 1})
    assert key_of({"a": 1}) != key_of({"a": "1"})


def test_figures_are_of_the_records_that_stand(tmp_path: Path) -> None:
    path = tmp_path / "o.jsonl"
    made = [
        record("a", False), record("b"), record("a", False, again=True), record("a", again=True),
        record("c", False),
    ]  # fmt: skip
    path.write_bytes(b"".join(map(line, made)))
    journal = Journal(str(path), resume=True)
    standing = [(each["input"]["url"], each["ok"]) for each in final_records(journal)]
    journal.close()
    assert sorted(standing) == [("a", True), ("b", True), ("c", False)]
