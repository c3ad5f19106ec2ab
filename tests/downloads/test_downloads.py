"""`download`: many files to a folder, checked, gone on with, one path or error for each."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from reqkit_async.downloads import downloading, files
from reqkit_async.network import hubs
from reqkit_async.pool import retries
from servers.messages import Received, answer
from servers.scripted import Connection, ScriptedServer
from servers.waiting import until


def content(name: str) -> bytes:
    return (name.encode() * 20_000)[:20_000]


def digest(name: str) -> str:
    return hashlib.sha256(content(name)).hexdigest()


class Shelf:
    """A server of files, each of which may break off some times; heeds Range and If-Range."""

    def __init__(self) -> None:
        self.breaks: dict[str, int] = {}
        #: What a Content-Range says to be the first byte, in place of the true one.
        self.lies: dict[str, int] = {}
        #: Files that are sent whole, whatever is asked for.
        self.whole: set[str] = set()
        self.asked: list[tuple[str, str | None]] = []
        self.lock = threading.Lock()

    def handle(self, connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            data, whole = self.answer_to(request)
            if request.target.startswith("/slow"):
                connection.send(data[: len(data) // 2])
                connection.wait_closed()
                return
            connection.send(data)
            if not whole:
                return

    def answer_to(self, request: Received) -> tuple[bytes, bool]:
        name = request.target.partition("?")[0].strip("/").rpartition("/")[2]
        with self.lock:
            asked = request.get("Range")
            self.asked.append((name, asked))
            if request.target.startswith("/to/"):
                self.asked.pop()
                return answer(302, b"", [("Location", f"/{name}")]), True
            if name == "gone":
                return answer(404, b"no"), True
            body, status = content(name), 200
            fields = [("ETag", f'"{name}"')]
            heeded = name not in self.whole and request.get("If-Range") == f'"{name}"'
            if asked is not None and heeded:
                first = int(asked.removeprefix("bytes=").removesuffix("-"))
                if first == len(body):
                    size = ("Content-Range", f"bytes */{first}")
                    return answer(416, b"", [*fields, size]), True
                told = self.lies.get(name, first)
                fields.append(("Content-Range", f"bytes {told}-{len(body) - 1}/{len(body)}"))
                body, status = body[first:], 206
            data = answer(status, body, fields)
            if self.breaks.get(name, 0) > 0 and (status == 206 or not asked):
                self.breaks[name] -= 1
                return data[: len(data) - len(body) // 2], False
            return data, True


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def server(shelf: Shelf) -> Iterator[ScriptedServer]:
    with ScriptedServer(shelf.handle) as server:
        yield server


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait before a file is gone on with."""
    monkeypatch.setattr(retries, "_FIRST", 0.01)


def test_one_path_for_each_in_order(server: ScriptedServer, tmp_path: Path) -> None:
    names = [f"f{n}.bin" for n in range(30)]
    seen: list[tuple[int, int | None]] = []
    folder = tmp_path / "new" / "folder"
    paths = reqkit_async.download(
        (server(f"/{name}") for name in names), folder, size=7,
        progress=lambda done, total: seen.append((done, total)),
    )  # fmt: skip
    assert paths == [folder / name for name in names]
    assert [path.read_bytes() for path in paths if isinstance(path, Path)] == [
        content(name) for name in names
    ]
    assert seen == [(n, 30) for n in range(1, 31)]
    assert sorted(os.listdir(folder)) == sorted(names)
    assert {one.get("Accept-Encoding") for one in server.requests} == {"identity"}


def test_errors_have_their_places(server: ScriptedServer, tmp_path: Path, closed_port: int) -> None:
    items: list[Any] = [
        server("/a"), server("/gone"), f"http://127.0.0.1:{closed_port}/b", "nowhere", server("/c"),
    ]  # fmt: skip
    found = reqkit_async.download(items, tmp_path)
    assert [type(entry).__name__ for entry in found[1:4]] == [
        "HTTPError", "ConnectionError", "MissingSchema",
    ]  # fmt: skip
    assert [found[0], found[4]] == [tmp_path / "a", tmp_path / "c"]
    assert sorted(os.listdir(tmp_path)) == ["a", "c"]


def test_raise_errors_stops_the_rest(shelf: Shelf, server: ScriptedServer, tmp_path: Path) -> None:
    with pytest.raises(reqkit.HTTPError):
        reqkit_async.download([server("/slow"), server("/gone")], tmp_path, raise_errors=True)


def test_what_breaks_off_is_gone_on_with(
    shelf: Shelf, server: ScriptedServer, tmp_path: Path
) -> None:
    shelf.breaks = {"twice": 2}
    [path] = reqkit_async.download(
        [{"url": server("/twice"), "sha256": digest("twice")}], tmp_path, retries=3
    )
    assert isinstance(path, Path)
    assert path.read_bytes() == content("twice")
    ranges = [asked for name, asked in shelf.asked if asked is not None]
    assert ranges[0] == "bytes=10000-"
    assert os.listdir(tmp_path) == ["twice"]


def test_without_retries_the_next_call_goes_on(
    shelf: Shelf, server: ScriptedServer, tmp_path: Path
) -> None:
    shelf.breaks = {"once": 1}
    [error] = reqkit_async.download([server("/once")], tmp_path)
    assert isinstance(error, reqkit.ChunkedEncodingError)
    assert not (tmp_path / "once").exists()
    [path] = reqkit_async.download([server("/once")], tmp_path)
    assert path == tmp_path / "once"
    assert (tmp_path / "once").read_bytes() == content("once")
    assert shelf.asked == [("once", None), ("once", "bytes=10000-")]  # one request for the rest


@pytest.mark.parametrize("checked", [False, True])
@pytest.mark.parametrize("through", ["nothing", "session", "params", "redirect"])
def test_the_rest_costs_one_request(
    shelf: Shelf, server: ScriptedServer, tmp_path: Path, through: str, checked: bool
) -> None:
    request: Any = server("/once")
    if through == "session":
        session = reqkit.Session(base_url=server("/"), params={"a": "b c"})
        request = reqkit_async.get("once", session=session)
    elif through == "params":
        request = reqkit_async.get(server("/once"), params={"a": "ü"}, headers=[("X-A", "1")])
    elif through == "redirect":
        request = server("/to/once")
    item = {"url": request, "name": "f", "sha256": digest("once") if checked else None}
    shelf.breaks = {"once": 2}
    for _ in range(2):
        [error] = reqkit_async.download([item], tmp_path)  # type: ignore[list-item]
        assert isinstance(error, reqkit.ChunkedEncodingError)
    [path] = reqkit_async.download([item], tmp_path)  # type: ignore[list-item]
    assert path == tmp_path / "f"
    assert (tmp_path / "f").read_bytes() == content("once")
    assert shelf.asked == [("once", None), ("once", "bytes=10000-"), ("once", "bytes=15000-")]
    assert os.listdir(tmp_path) == ["f"]


def test_a_part_that_is_whole_already(shelf: Shelf, server: ScriptedServer, tmp_path: Path) -> None:
    shelf.breaks = {"once": 1}
    reqkit_async.download([server("/once")], tmp_path)
    with open(tmp_path / "once.part", "ab") as file:
        file.write(content("once")[10_000:])
    [path] = reqkit_async.download([server("/once")], tmp_path)
    assert path == tmp_path / "once"
    assert (tmp_path / "once").read_bytes() == content("once")
    assert shelf.asked == [("once", None), ("once", "bytes=20000-")]


@pytest.mark.parametrize("way", ["whole", "lies", "changed"])
def test_what_is_no_rest_is_not_put_after_a_part(
    shelf: Shelf, server: ScriptedServer, tmp_path: Path, way: str
) -> None:
    shelf.breaks = {"once": 1}
    reqkit_async.download([server("/once")], tmp_path)
    if way == "changed":
        with open(tmp_path / "once.part", "r+b") as file:
            file.truncate(5000)
        [path] = reqkit_async.download([server("/once")], tmp_path)
        asked = [None, "bytes=5000-"]
    elif way == "whole":
        shelf.whole = {"once"}
        [path] = reqkit_async.download([server("/once")], tmp_path)
        asked = [None, "bytes=10000-"]
    else:
        shelf.lies = {"once": 3}
        [path] = reqkit_async.download([server("/once")], tmp_path)
        asked = [None, "bytes=10000-", None]
    assert path == tmp_path / "once"
    assert (tmp_path / "once").read_bytes() == content("once")
    assert [one for _, one in shelf.asked] == asked


def test_a_range_of_the_callers_own_is_left_alone(
    shelf: Shelf, server: ScriptedServer, tmp_path: Path
) -> None:
    shelf.breaks = {"once": 1}
    reqkit_async.download([server("/once")], tmp_path)
    request = reqkit_async.get(server("/once"), headers={"range": "bytes=19990-"})
    [path] = reqkit_async.download([request], tmp_path)
    assert path == tmp_path / "once"
    assert (tmp_path / "once").read_bytes() == content("once")[19_990:]
    assert [one for _, one in shelf.asked] == [None, "bytes=19990-"]


def test_a_request_for_the_rest_waits_for_its_turn(
    shelf: Shelf, server: ScriptedServer, tmp_path: Path
) -> None:
    # Its part is known only by the answer: a hook has made the message another.
    def elsewhere(message: Any) -> None:
        message.url = server("/other?x")

    def request() -> Any:
        return reqkit_async.get(server("/other"), hooks={"pre_request": elsewhere})

    shelf.breaks = {"other": 1}
    reqkit_async.download([request()], tmp_path)
    shelf.asked.clear()
    started = reqkit.timeouts.clock()
    found = reqkit_async.download([request(), server("/b")], tmp_path, delay=0.3)
    assert reqkit.timeouts.clock() - started > 0.59  # three messages, one after the other
    assert found == [tmp_path / "other", tmp_path / "b"]
    assert (tmp_path / "other").read_bytes() == content("other")
    assert [asked for name, asked in shelf.asked if name == "other"] == [None, "bytes=10000-"]


def test_a_retry_does_not_wait_for_the_end_of_others(
    shelf: Shelf, server: ScriptedServer, tmp_path: Path
) -> None:
    shelf.breaks = {"once": 1}
    call = gevent.spawn(
        reqkit_async.download, [server("/slow"), server("/once")], tmp_path, retries=2
    )
    until(lambda: (tmp_path / "once").exists())
    assert not call.dead
    call.kill()


def test_retries_used_up_say_so(shelf: Shelf, server: ScriptedServer, tmp_path: Path) -> None:
    shelf.breaks = {"never": 9}
    [error] = reqkit_async.download([server("/never")], tmp_path, retries=2)
    assert isinstance(error, reqkit.ChunkedEncodingError)
    assert "tried 3 times" in str(error)


def test_checksums_and_sizes(server: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"what was there")
    found = reqkit_async.download(
        [
            {"url": server("/good"), "sha256": digest("good").upper(), "size": 20_000},
            {"url": server("/bad"), "sha256": digest("good")},
            {"url": server("/long"), "size": 3},
            {"url": server("/old"), "sha256": digest("good")},
        ],
        tmp_path,
    )
    assert found[0] == tmp_path / "good"
    assert [type(entry) for entry in found[1:]] == [reqkit.ChecksumError] * 3
    assert f"its SHA-256 is {digest('bad')}, not {digest('good')}" in str(found[1])
    assert "its size is 20000 bytes, not 3" in str(found[2])
    assert sorted(os.listdir(tmp_path)) == ["good", "old"]
    assert (tmp_path / "old").read_bytes() == b"what was there"


def test_what_is_there_is_not_asked_for(
    shelf: Shelf, server: ScriptedServer, tmp_path: Path
) -> None:
    urls = [server("/a"), server("/b"), server("/c")]
    for sums in (
        {url: digest(url[-1]) for url in urls},
        [digest("a"), None, digest("c")],
    ):
        shelf.asked.clear()
        reqkit_async.download(urls, tmp_path, sha256=sums)
        (tmp_path / "c").write_bytes(b"changed")
    assert sorted(name for name, _ in shelf.asked) == ["b", "c"]


def test_what_was_stopped_while_it_was_checked_is_not_asked_for_again(
    shelf: Shelf, server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []

    def stopped(path: Path) -> str:
        checked.append(path.name)
        raise gevent.GreenletExit

    items: list[Any] = [{"url": server(f"/{n}"), "sha256": digest(n)} for n in "ab"]
    with monkeypatch.context() as patched:
        patched.setattr(files, "digest_of", stopped)
        for item in items:
            reqkit_async.download([item], tmp_path, timeout=1)
    assert checked == ["a.part", "b.part"]
    assert not (tmp_path / "a").exists()
    with open(tmp_path / "b.part", "r+b") as file:
        file.write(b"edited")
    os.utime(tmp_path / "b.part", (1, 1))
    shelf.asked.clear()
    found = reqkit_async.download(items, tmp_path)
    assert found == [tmp_path / "a", tmp_path / "b"]
    assert [(tmp_path / n).read_bytes() for n in "ab"] == [content(n) for n in "ab"]
    assert shelf.asked == [("b", None)]
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_what_is_checked_takes_no_place_of_another_file(
    server: ScriptedServer, tmp_path: Path
) -> None:
    """Only a part is written to until it is known to be the file."""
    mine = {f"a{suffix}": b"mine" for suffix in ("", ".unchecked", ".new", ".tmp", ".part")}
    for name, data in mine.items():
        (tmp_path / name).write_bytes(data)
    wrong: list[Any] = [{"url": server("/a"), "sha256": digest("b"), "name": "a"}]
    [error] = reqkit_async.download(wrong, tmp_path)
    assert isinstance(error, reqkit.exceptions.ChecksumError)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == mine
    reqkit_async.download([{"url": server("/a"), "sha256": digest("a")}], tmp_path)
    mine["a"] = content("a")
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == mine


def test_two_calls_at_once_that_check_the_same_files(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = threading.Barrier(2)
    real = files.digest_of

    def together(path: Path) -> str:
        both.wait(20)  # each has its own part now
        return real(path)

    monkeypatch.setattr(files, "digest_of", together)
    item: Any = {"url": server("/a"), "sha256": digest("a")}
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda _: reqkit_async.download([item], tmp_path), "xy"))
    assert found == [[tmp_path / "a"]] * 2
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == content("a")


def test_equal_names_get_numbers(server: ScriptedServer, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    items: list[Any] = [
        server("/x/data.tar.gz"), server("/y/data.tar.gz"), server("/x/data.tar.gz"),
        {"url": server("/z"), "name": "data-2.tar.gz"}, server("/a"), server("/..%2f..%2fetc"),
    ]  # fmt: skip
    found = reqkit_async.download(items, tmp_path)
    assert [path.name for path in found if isinstance(path, Path)] == [
        "data.tar.gz", "data-3.tar.gz", "data-4.tar.gz", "data-2.tar.gz", "a-2", "_.._etc",
    ]  # fmt: skip
    assert {path.parent for path in found if isinstance(path, Path)} == {tmp_path}
    assert (tmp_path / "data-2.tar.gz").read_bytes() == content("z")


@pytest.mark.parametrize(
    ("items", "keywords", "kind", "words"),
    [
        ("http://h.example/", {}, TypeError, "items is one str"),
        ([3], {}, TypeError, r"items\[0\]: 3 is no request"),
        ([{"name": "x"}], {}, TypeError, "has no 'url'"),
        ([{"url": "http://h.example/", "sha265": "x"}], {}, TypeError, "did you mean 'sha256'"),
        ([{"url": "http://h.example/", "name": "../x"}], {}, ValueError, "the name is '../x'"),
        ([{"url": "http://h.example/", "name": "x.part"}], {}, ValueError, "the name is"),
        ([{"url": "http://h.example/", "name": 3}], {}, TypeError, "the name is a int"),
        ([{"url": "http://h.example/", "sha256": "beef"}], {}, ValueError, "64 hexadecimal"),
        ([{"url": "http://h.example/", "size": "9"}], {}, ValueError, "a number of bytes"),
        ([{"url": "http://h.example/", "name": n} for n in "aA"], {}, ValueError, "another item"),
        ([reqkit_async.post("http://h.example/")], {}, ValueError, "is a POST"),
        (["http://h.example/"], {"sha256": "x"}, TypeError, "sha256 is a str"),
        (["http://h.example/"], {"sha256": []}, ValueError, "0 checksums for 1 items"),
        (["http://h.example/"], {"timeout": -1}, ValueError, "timeout is -1"),
        (["http://h.example/"], {"size": 0}, ValueError, "size is 0"),
        (["http://h.example/"], {"retries": "x"}, ValueError, "retries is 'x'"),
        (["http://h.example/"], {"retires": 3}, TypeError, "did you mean 'retries'"),
        (["http://h.example/"], {"exception_handler": 3}, ValueError, "exception_handler is 3"),
        (["http://h.example/"], {"raise_errors": 3}, TypeError, "raise_errors is 3"),
        (["http://h.example/"], {"executor": None}, TypeError, "belong to one process"),
    ],
)
def test_wrong_arguments(
    items: Any, keywords: Any, kind: type[Exception], words: str, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=words):
        reqkit_async.download(items, tmp_path / "none", **keywords)
    assert not (tmp_path / "none").exists()


def test_the_timeout_ends_what_has_not_ended(
    shelf: Shelf, server: ScriptedServer, tmp_path: Path
) -> None:
    with gevent.Timeout(20):
        found = reqkit_async.download(
            [server("/a"), server("/slow"), server("/slow?2")], tmp_path, timeout=2.5, size=2
        )
    assert found[0] == tmp_path / "a"
    assert [type(entry) for entry in found[1:]] == [reqkit.TotalTimeout] * 2
    assert (tmp_path / "slow.part").stat().st_size > 0


def test_a_killed_call_stops_what_is_in_flight(
    shelf: Shelf, server: ScriptedServer, tmp_path: Path
) -> None:
    call = gevent.spawn(reqkit_async.download, [server("/slow")], tmp_path)
    until(lambda: (tmp_path / "slow.part").exists() and (tmp_path / "slow.part").stat().st_size)
    call.kill()
    server.wait_until(lambda server: not server.connections_open)
    assert not (tmp_path / "slow").exists()


def test_limits_hooks_and_requests(server: ScriptedServer, tmp_path: Path) -> None:
    called: list[Any] = []
    session = reqkit.Session(headers={"X-Session": "1"})
    request = reqkit_async.get(
        server("/a"), headers={"X-Own": "2"}, session=session, callback=called.append
    )
    found = reqkit_async.download([request, request, server("/b")], tmp_path, per_host=1)
    assert [entry.name for entry in found if isinstance(entry, Path)] == ["a", "a-2", "b"]
    assert len(called) == 2
    assert {one.get("X-Session") for one in server.requests if one.target == "/a"} == {"1"}
    assert request.prefetch is None
    assert request.callback == called.append
    assert request.headers == {"X-Own": "2"}


def test_an_exception_handler_gives_the_entries(
    server: ScriptedServer, tmp_path: Path, closed_port: int
) -> None:
    seen: list[tuple[str, str]] = []

    def handler(request: reqkit.Request, error: Exception) -> str:
        seen.append((str(request.url), type(error).__name__))
        return f"no {request.context}"

    def bad(request: reqkit.Request, error: Exception) -> None:
        raise LookupError("oh")

    gone, sums = server("/gone"), {server("/a"): digest("b")}
    own = reqkit_async.get(gone, exception_handler=lambda request, error: None)
    wrong = reqkit_async.get(gone, exception_handler=bad)
    items: list[Any] = [
        server("/c"), reqkit_async.get(gone, context=1), own, server("/a"), "nowhere",
        f"http://127.0.0.1:{closed_port}/b", wrong,
    ]  # fmt: skip
    with pytest.warns(RuntimeWarning, match="exception_handler raised LookupError: oh"):
        found = reqkit_async.download(
            items, tmp_path, sha256=sums, exception_handler=handler, size=1
        )
    assert found[:6] == [tmp_path / "c", "no 1", None, "no None", "no None", "no None"]
    assert isinstance(found[6], reqkit.HTTPError)
    assert sorted(seen) == sorted(
        [(gone, "HTTPError"), (server("/a"), "ChecksumError"), ("nowhere", "MissingSchema"),
         (f"http://127.0.0.1:{closed_port}/b", "ConnectionError")]
    )  # fmt: skip


def test_an_exception_handler_is_asked_at_the_deadline(
    server: ScriptedServer, tmp_path: Path
) -> None:
    def handler(request: reqkit.Request, error: Exception) -> str:
        return type(error).__name__

    with gevent.Timeout(20):
        found = reqkit_async.download(
            [server("/slow"), server("/slow?2")], tmp_path, timeout=0.5, size=1,
            exception_handler=handler,
        )  # fmt: skip
        assert found == ["TotalTimeout"] * 2
        found = reqkit_async.download(
            [server("/slow")], tmp_path, timeout=0.5,
            exception_handler=lambda request, error: gevent.sleep(60),
        )  # fmt: skip
    assert [type(entry) for entry in found] == [reqkit.TotalTimeout]


def test_raise_errors_asks_no_exception_handler(server: ScriptedServer, tmp_path: Path) -> None:
    def handler(request: reqkit.Request, error: Exception) -> None:
        raise AssertionError

    with pytest.raises(reqkit.HTTPError):
        reqkit_async.download(
            [server("/gone")], tmp_path, raise_errors=True, exception_handler=handler
        )


def test_nothing_is_wanted(tmp_path: Path) -> None:
    assert reqkit_async.download([], tmp_path / "none") == []
    assert not (tmp_path / "none").exists()


def test_others_run_while_files_that_are_there_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (downloading, files):
        monkeypatch.setattr(module, "in_turns", partial(hubs.in_turns, seconds=0))
    names = [f"f{number}" for number in range(20)]
    for name in names:
        (tmp_path / name).write_bytes(content(name))
    turns = []

    def count() -> None:
        while True:
            turns.append(1)
            hubs.next_turn()

    counting = gevent.spawn(count)
    items = [{"url": f"http://127.0.0.1:1/{name}", "sha256": digest(name)} for name in names]
    try:
        paths = reqkit_async.download(items, tmp_path)
    finally:
        counting.kill()
    assert paths == [tmp_path / name for name in names]
    assert len(turns) >= 4 * len(names) - 4  # checked, named, looked for, read


def test_a_deadline_counts_while_files_are_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    late = threading.Event()

    def is_there(file: files.File, session: Any) -> bool:
        read.append(file.path.name)
        late.set()
        return True

    monkeypatch.setattr(files.File, "is_there", is_there)
    monkeypatch.setattr(downloading, "_passed", lambda ends: late.is_set())
    items = []
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"x")
        items.append({"url": f"http://127.0.0.1:1/{name}", "sha256": digest(name)})
    first, second = reqkit_async.download(items, tmp_path, timeout=60)
    assert (first, read) == (tmp_path / "a", ["a"])
    assert type(second) is reqkit.exceptions.TotalTimeout
