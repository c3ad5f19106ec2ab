"""The store's file: made whole or not at all, opened by one crawl, left alone where it is none."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from crawl.conftest import FAST
from crawl.site import Answer, Site, tree

import reqkit
import reqkit_async
from reqkit_async.crawl import locking, schema
from reqkit_async.crawl.store import Store
from reqkit_async.crawl.turns import Turn
from servers.processes import environment

Crawling = Callable[..., reqkit_async.Crawl]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def other_database(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE mine (value)")
        db.commit()


def newer(path: Path) -> None:
    reqkit_async.Crawl(path).close()
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda path: path.write_text("dear diary"), reqkit_async.NotAStore, "no store of a crawl"),
        (lambda path: path.write_bytes(b"\0" * 5000), reqkit_async.NotAStore, "left as it is"),
        (
            lambda path: path.write_bytes(b"SQLite format 3\0" + b"\1" * 200),
            reqkit_async.NotAStore, "no store",
        ),
        (other_database, reqkit_async.NotAStore, "another file"),
        (newer, reqkit_async.StoreTooNew, "version 99"),
        (lambda path: path.mkdir(), reqkit_async.NotAStore, "folder"),
    ],
)  # fmt: skip
def test_what_is_no_store_is_left_as_it_is(
    store: Path, make: Callable[[Path], Any], error: type[Exception], says: str
) -> None:
    make(store)
    before = {} if store.is_dir() else contents(store.parent)
    with pytest.raises(error, match=says) as caught:
        reqkit_async.Crawl(store)
    assert str(store) in str(caught.value)
    assert isinstance(caught.value, reqkit_async.StoreError)
    assert ({} if store.is_dir() else contents(store.parent)) == before


def test_an_empty_file_becomes_a_store(store: Path) -> None:
    store.touch()
    with reqkit_async.Crawl(store) as crawl:
        assert crawl.stats.known == 0
    assert [path.name for path in store.parent.iterdir()] == [store.name]


def test_a_second_crawl_is_told_whose_the_store_is(store: Path) -> None:
    with reqkit_async.Crawl(store) as crawl:
        crawl.add("http://127.0.0.1/")
        with pytest.raises(reqkit_async.StoreInUse, match=f"process {os.getpid()}"):
            reqkit_async.Crawl(store)
        program = f"import reqkit_async; reqkit_async.Crawl({str(store)!r})"
        ended = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, env=environment(), text=True
        )
        assert "StoreInUse" in ended.stderr
        assert f"(process {os.getpid()})" in ended.stderr
        assert crawl.add("http://127.0.0.1/2")
    with reqkit_async.Crawl(store) as crawl:
        assert crawl.stats.known == 2


def test_others_read_it_while_a_crawl_runs(
    crawling: Crawling, site: Callable[..., Site], store: Path
) -> None:
    pages = site(tree(20))
    with crawling() as crawl:
        crawl.add(pages("/page/0"), context={"from": "seed"})
        for number, response in enumerate(crawl):
            if number == 10:
                with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as db:
                    done = db.execute("SELECT count(*) FROM urls WHERE state='done'").fetchone()
                    first = db.execute("SELECT * FROM urls WHERE depth=0")
                    names = [column[0] for column in first.description]
                    [row] = first.fetchall()
                    items = db.execute("SELECT count(*) FROM items").fetchone()
                assert done == (10,)
                assert items == (10,)
            crawl.keep(response.url)
            crawl.follow(response)
    found = dict(zip(names, row, strict=True))
    assert found["url"] == pages("/page/0")
    assert found["context"] == '{"from":"seed"}'
    assert (found["state"], found["status"], found["attempts"]) == ("done", 200, 1)
    assert found["type"] == "text/html; charset=utf-8"


READ_ONLY = """
import os, sys, reqkit_async
if os.geteuid() == 0:  # who may write to all files
    os.setgid(65534)
    os.setuid(65534)
try:
    reqkit_async.Crawl(sys.argv[1])
except reqkit_async.StoreError as error:
    print(error)
"""


def test_a_file_that_cannot_be_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        store = folder / "site.crawl"
        reqkit_async.Crawl(store).close()
        store.chmod(0o444)
        before = contents(folder)
        ended = subprocess.run(
            [sys.executable, "-c", READ_ONLY, str(store)],
            capture_output=True, env=environment(), text=True,
        )  # fmt: skip
        assert "read-only" in ended.stdout, ended.stderr
        assert contents(folder) == before


def test_a_file_that_may_not_be_written(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reqkit_async.Crawl(store).close()
    before = contents(store.parent)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(reqkit_async.StoreError, match="read-only"):
        reqkit_async.Crawl(store)
    assert contents(store.parent) == before


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(reqkit_async.StoreError, match=r"needs a folder"):
        reqkit_async.Crawl(tmp_path / "no" / "such.crawl")


class FullAfter:
    """A connection whose disk is full from some statement on."""

    def __init__(self, db: sqlite3.Connection, statements: int) -> None:
        self._db = db
        self.left = statements

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def _count(self, statement: str) -> None:
        if statement.startswith(("INSERT", "UPDATE", "COMMIT")):
            self.left -= 1
            if self.left < 0:
                raise sqlite3.OperationalError("database or disk is full")

    def execute(self, statement: str, *arguments: Any) -> Any:
        self._count(statement)
        return self._db.execute(statement, *arguments)

    def executemany(self, statement: str, *arguments: Any) -> Any:
        self._count(statement)
        return self._db.executemany(statement, *arguments)


def fill(store: Store, statements: int) -> None:
    """Have a store's disk be full after so many more statements that write."""
    db: Any = FullAfter(getattr(store._db, "_db", store._db), statements)
    store._db = store._writer._db = store._writer._inserter._db = db


@pytest.mark.parametrize("statements", range(12))
def test_a_full_disk_undoes_the_turn_and_is_an_error(
    crawling: Crawling, site: Callable[..., Site], statements: int
) -> None:
    pages = site(tree(7))
    with crawling(size=2) as crawl:
        crawl.add(pages("/page/0"))
        with pytest.raises(reqkit_async.StoreError, match="make room on the disk"):
            for response in crawl:
                if response.url.endswith("/2"):
                    fill(crawl._store, statements)
                crawl.keep(response.url)
                crawl.follow(response)
        fill(crawl._store, 1000)
    with crawling() as crawl:
        before = sorted(crawl.items())
        assert len(set(before)) == len(before)
        for response in crawl:
            crawl.keep(response.url)
            crawl.follow(response)
        assert sorted(crawl.items()) == [pages(f"/page/{n}") for n in range(7)]


def test_the_totals_are_what_is_there(crawling: Crawling, site: Callable[..., Site]) -> None:
    pages = site(tree(40))
    with crawling() as crawl:
        crawl.add(pages("/page/0"))
        crawl.add(pages("/none"))
        for response in crawl:
            crawl.keep(1)
            crawl.follow(response)
        found = crawl.stats
        states = [known.state for known in crawl.urls()]
        assert (found.done, found.failed, found.queued) == (40, 1, 0)
        assert found.known == len(states) == 41
        assert found.items == 41
    with crawling() as crawl:
        assert (crawl.stats.done, crawl.stats.failed, crawl.stats.queued) == (40, 1, 0)
        assert crawl.again() == 1
        assert (crawl.stats.failed, crawl.stats.queued) == (0, 1)
        assert [response.status_code for response in crawl] == [404]
        assert crawl.again("done") == 40
        assert len(list(crawl)) == 40
        assert pages.pages()["/page/7"] == 2
        assert [known.url for known in crawl.failed()] == [pages("/none")]


def test_urls_with_one_fingerprint_are_told_apart(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reqkit_async.crawl.store.fingerprint", lambda url, kind=0: 7)
    with reqkit_async.Crawl(store) as crawl:
        urls = [f"http://a.example/{n}" for n in range(50)]
        assert all(crawl.add(url) for url in urls)
        assert not any(crawl.add(url) for url in urls)
        assert [known.url for known in crawl.urls()] == urls
        assert not any(crawl.add(url) for url in urls)


def test_a_turn_is_written_whole_or_not_at_all(store: Path) -> None:
    opened = Store(store)
    turn = Turn(None)
    sound = (0, 0, 0, False, 0, None, None)
    no_number: Any = (0, 0, object(), False, 0, None, None)
    turn.adds["http://a.example/"] = (1, "http://a.example/", "http://a.example", sound)
    turn.items.append("1")
    turn.adds["http://b.example/"] = (2, "http://b.example/", "http://b.example", no_number)
    with pytest.raises(reqkit_async.StoreError):
        opened.commit(turn, None)
    assert opened.known == 0
    assert list(opened.rows("SELECT * FROM page")) == []
    assert list(opened.rows("SELECT * FROM host")) == []
    del turn.adds["http://b.example/"]
    opened.commit(turn, None)
    assert opened.known == 1
    opened.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": 0}, "size"),
        ({"size": True}, "size"),
        ({"agent": "bot\r\nX: y"}, "agent"),
        ({"agent": "bot\x7f"}, "agent"),
        ({"agent": "bøt"}, "agent"),
        ({"agent": " "}, "agent"),
        ({"allow": "("}, "allow"),
        ({"deny": ["a", "*"]}, "deny"),
        ({"deny": 3}, "deny"),
        ({"deny": b"x"}, "deny"),
        ({"within": "planet"}, "within"),
        ({"delay": -1}, "delay"),
        ({"delay": "soon"}, "auto"),
        ({"per_host": None}, "per_host"),
        ({"retries": -1}, "retries"),
        ({"depth": -1}, "depth"),
        ({"pages": 0}, "pages"),
        ({"revisit": "day"}, "revisit"),
        ({"page_timeout": "long"}, "page_timeout"),
        ({"session": 3}, "session"),
        ({"canonical": "lower"}, "canonical"),
        ({"archive": "pages.zip"}, "archive"),
    ],
)
def test_a_wrong_argument_makes_no_file(store: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        reqkit_async.Crawl(store, **options)
    assert list(store.parent.iterdir()) == []


@pytest.mark.parametrize(
    "value", [{1, 2}, object(), float("nan"), b"bytes", {"a": {"b": 1j}}, [[float("inf")]]]
)
def test_what_json_has_not_is_refused(store: Path, value: Any) -> None:
    with reqkit_async.Crawl(store) as crawl:
        with pytest.raises(ValueError, match="JSON"):
            crawl.add("http://a.example/", context=value)
        with pytest.raises(ValueError, match="JSON"):
            crawl.keep(value)
        assert crawl.stats.known == 0


@pytest.mark.parametrize(
    "url",
    ["", "a.example", "ftp://a.example/", "http://", "http://a b/", "http://me:pass@a.example/"],
)
def test_what_cannot_be_crawled_is_refused(store: Path, url: str) -> None:
    with reqkit_async.Crawl(store) as crawl:
        with pytest.raises(ValueError, match="URL") as caught:
            crawl.add(url)
        assert "pass@" not in str(caught.value)
        assert crawl.stats.known == 0


@pytest.mark.parametrize("url", [3, None, b"http://a.example/"])
def test_what_is_no_text_is_refused(store: Path, url: Any) -> None:
    with reqkit_async.Crawl(store) as crawl:
        crawl.add("http://a.example/")
        for give in (crawl.add, crawl.add_sitemap):
            if url is not None or give == crawl.add:
                with pytest.raises(TypeError, match="expected the text of a URL"):
                    give(url)
        for read in (crawl.follow, crawl.links, crawl.tree):
            with pytest.raises(TypeError, match="what the loop has handed over"):
                read(url)
        assert [known.url for known in crawl.urls()] == ["http://a.example/"]


def test_another_thread_is_refused(store: Path) -> None:
    import threading

    with reqkit_async.Crawl(store, **FAST) as crawl:
        errors: list[Exception] = []

        def work() -> None:
            try:
                crawl.add("http://a.example/")
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert "thread" in str(errors[0])


def test_a_closed_crawl_says_so(store: Path) -> None:
    with reqkit_async.Crawl(store) as crawl:
        pass
    with pytest.raises(reqkit_async.StoreError, match="closed"):
        crawl.add("http://a.example/")
    crawl.close()


def test_the_schema_has_a_version(store: Path) -> None:
    reqkit_async.Crawl(store).close()
    with contextlib.closing(sqlite3.connect(store)) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (schema.APPLICATION_ID,)
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def test_a_store_of_an_older_version_is_brought_up_to_date(
    store: Path, site: Callable[..., Site]
) -> None:
    pages = site(tree(9))
    with reqkit_async.Crawl(store, pages=4, **FAST) as crawl:
        crawl.add(pages("/page/0"))
        for response in crawl:
            crawl.keep(response.url)
            crawl.follow(response)
    with contextlib.closing(sqlite3.connect(store)) as db:  # as version 1 had it
        db.executescript(
            "DROP VIEW urls; ALTER TABLE page DROP COLUMN seconds; ALTER TABLE totals DROP COLUMN"
            " seconds; CREATE VIEW urls AS SELECT id, url FROM page; PRAGMA user_version = 1;"
        )
    with reqkit_async.Crawl(store, **FAST) as crawl:
        for response in crawl:
            crawl.keep(response.url)
            crawl.follow(response)
        assert sorted(crawl.items()) == sorted(pages(f"/page/{n}") for n in range(9))
        latency = crawl.figures()["pages"]["latency"]
        assert sum(count for *_, count in latency["histogram"]) == 5  # of the others it is gone
    with contextlib.closing(sqlite3.connect(store)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
        assert db.execute("SELECT count(*) FROM urls WHERE seconds > 0").fetchone() == (5,)


@pytest.mark.parametrize("in_file", [True, False])
def test_figures_are_of_all_runs(store: Path, site: Callable[..., Site], in_file: bool) -> None:
    failing = {"/page/3"}

    def answer(path: str, fields: dict[str, str]) -> Any:
        if path in failing:
            failing.remove(path)
            return Answer(status=503, Retry_After="0")
        return tree(12)(path, fields)

    pages = site(answer)
    busy = []
    opened = raised = 0
    crawls = 3 if in_file else 1

    def bad(response: Any) -> None:
        raise KeyError(response.url)

    for run in range(crawls):
        with (
            pytest.warns(reqkit.HookWarning, match="KeyError"),
            reqkit.Session(hooks={"response": bad}) as session,
            reqkit_async.Crawl(store if in_file else None, session=session, **FAST) as crawl,
        ):
            crawl.add(pages("/page/0"))
            for number, response in enumerate(crawl):
                crawl.follow(response)
                if number == 3 and run < crawls - 1:
                    break
            busy.append(crawl.stats.busy_seconds)
            if run == crawls - 1:
                figures = crawl.figures()["pages"]
        opened += crawl.stats.requests.connections
        raised += crawl.stats.requests.hook_errors
    assert busy == sorted(busy)
    assert busy[0] > 0
    assert figures["seconds"] == busy[-1]
    assert figures["requests"] == 12
    assert figures["connections"] == opened >= crawls
    assert figures["hook_errors"] == raised >= 12
    assert figures["retries"] >= 1
    assert sum(count for *_, count in figures["latency"]["histogram"]) == 12
    assert len(figures["slowest"]) == 12
    assert figures["rate"] == pytest.approx(12 / busy[-1])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 12 MB, where the system lets this process have one."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this process may not mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path, site: Callable[..., Site]) -> None:
    pages = site(tree(60))
    path, archive = small_disk / "site.crawl", small_disk / "site.warc"
    runs = 0
    while True:
        runs += 1
        filler = small_disk / "filler"
        try:
            with reqkit_async.Crawl(path, archive=archive, **FAST) as crawl:
                if runs == 1:
                    space = os.statvfs(small_disk)
                    room = space.f_bavail * space.f_frsize - 150_000
                    filler.write_bytes(b"x" * max(room, 0))
                crawl.add(pages("/page/0"))
                for response in crawl:
                    crawl.keep({"url": response.url, "text": "x" * 500})
                    crawl.follow(response)
            break
        except reqkit_async.StoreError as error:
            assert runs == 1, error
            assert "make room" in str(error)
            filler.unlink()
    assert runs == 2
    with reqkit_async.Crawl(path, archive=archive, **FAST) as crawl:
        assert sorted(item["url"] for item in crawl.items(every=True)) == sorted(
            pages(f"/page/{n}") for n in range(60)
        )
    check = [sys.executable, "-m", "warcio.cli", "check", str(archive)]
    assert subprocess.run(check, capture_output=True).returncode == 0


HALF = {"text": "half of \ud83d"}


def test_half_of_a_surrogate_pair_is_kept_and_exported(
    store: Path, tmp_path: Path, site: Callable[..., Site]
) -> None:
    pages = site(tree(1))
    with reqkit_async.Crawl(store, **FAST) as crawl:
        crawl.add(pages("/page/0"), context=HALF)
        for response in crawl:
            assert response.context == HALF
            crawl.keep(HALF | {"more": [HALF]})
        assert list(crawl.items()) == [HALF | {"more": [HALF]}]
        for name in ("items.jsonl", "items.csv", "items.parquet"):
            if name.endswith("parquet"):
                pytest.importorskip("pyarrow")
            assert crawl.export(tmp_path / name) == 1
    (line,) = (tmp_path / "items.jsonl").read_text("utf-8").splitlines()
    assert json.loads(line) == HALF | {"more": [HALF]}
    assert '"""half of \\ud83d"""' in (tmp_path / "items.csv").read_text("utf-8")


@pytest.mark.parametrize(
    "options",
    [{"depth": 1 << 62}, {"priority": 1 << 62}, {"priority": -(1 << 80)}, {"priority": 10**400}],
)
def test_what_a_store_cannot_count_is_refused(store: Path, options: dict[str, Any]) -> None:
    with reqkit_async.Crawl(store) as crawl:
        crawl.add("http://example/")
        response = reqkit.Response()
        response.url = "http://example/"
        for call in (crawl.add, crawl.follow):
            given: Any = "http://example/2" if call == crawl.add else response
            with pytest.raises(ValueError, match="expected"):
                call(given, **options)
        assert crawl.add("http://example/3", depth=(1 << 62) - 1, priority=-(1 << 62) + 1)
        assert crawl.add("http://example/4", priority=1e300)
        assert crawl.stats.known == 0
        assert len(list(crawl.urls())) == 3


def test_a_file_system_without_locks_is_named(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(code: int) -> Callable[[int, int], None]:
        def flock(file: int, how: int) -> None:
            raise OSError(code, os.strerror(code))

        return flock

    with monkeypatch.context() as patched:
        patched.setattr("fcntl.flock", refuse(errno.ENOLCK))
        with pytest.raises(
            reqkit_async.StoreError, match=r"cannot be locked: .*has locks"
        ) as raised:
            reqkit_async.Crawl(store)
        assert type(raised.value) is reqkit_async.StoreError
        patched.setattr("fcntl.flock", refuse(errno.EACCES))
        with pytest.raises(reqkit_async.StoreInUse):
            reqkit_async.Crawl(store)
    reqkit_async.Crawl(store).close()


def test_a_lock_needs_no_room_on_the_disk(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(locking, "os", SimpleNamespace(**(vars(os) | {"write": full})))
        lock = locking.Lock(store)
        with pytest.raises(reqkit_async.StoreInUse):
            locking.Lock(store)
        lock.release()
