"""The archive: what went over the wire, that other tools read, in step with the store."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crawl.site import Answer, Site, linked, tree
from warcio.archiveiterator import ArchiveIterator

import reqkit_async
from reqkit_async.crawl.archive import _records
from reqkit_async.crawl.schema import Page
from servers.scripted import ScriptedServer

Crawling = Callable[..., reqkit_async.Crawl]


def records(path: Path) -> list[tuple[str, str, bytes, bytes]]:
    """Read an archive with warcio: type, URL, head, body, as they lie in it."""
    found = []
    with path.open("rb") as file:
        for record in ArchiveIterator(file, no_record_parse=True):
            url = record.rec_headers.get_header("WARC-Target-URI")
            head, _, body = record.raw_stream.read().partition(b"\r\n\r\n")
            found.append((record.rec_type, url, head, body))
    return found


def check(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "warcio.cli", "check", str(path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["x.warc", "x.warc.gz"])
def test_requests_and_answers_as_they_were(
    crawling: Crawling, scripted: Callable[..., ScriptedServer], tmp_path: Path, name: str
) -> None:
    head = b"HTTP/1.1 200 Fine\r\nx-Odd:  two  spaces\r\nContent-Length: 5\r\nX-ODD: 2\r\n\r\n"
    server = scripted([head + b"tea\r\n"])
    archive = tmp_path / name
    with crawling(robots=False, archive=archive, agent="bot/1") as crawl:
        crawl.add(server("/a?b=c"))
        [response] = crawl
        assert response.content == b"tea\r\n"
    check(archive)
    about, answer, request = records(archive)
    assert about[0] == "warcinfo"
    assert answer == (
        "response", server("/a?b=c"), head.removesuffix(b"\r\n\r\n"), b"tea\r\n",
    )  # fmt: skip
    assert request[:2] == ("request", server("/a?b=c"))
    assert request[2].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert b"User-Agent: bot/1" in request[2]
    [sent] = server.requests
    assert sent.head.rstrip(b"\r\n") == request[2]


def test_bodies_stay_encoded(
    crawling: Crawling, scripted: Callable[..., ScriptedServer], tmp_path: Path
) -> None:
    packed = gzip.compress(b"<title>tea</title>" * 50)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Type: text/html\r\n"
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (packed[:20], packed[20:]))
    server = scripted([head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"])
    archive = tmp_path / "x.warc.gz"
    with crawling(robots=False, archive=archive) as crawl:
        crawl.add(server("/"))
        [response] = crawl
        assert crawl.tree(response).css_first("title").text() == "tea"
    check(archive)
    with archive.open("rb") as file:
        [body] = [
            record.content_stream().read()
            for record in ArchiveIterator(file)
            if record.rec_type == "response"
        ]
    assert body == b"<title>tea</title>" * 50


def test_an_answer_by_http2(tmp_path: Path) -> None:
    page = Page(1, "https://a.example/", 0, 1, 0, 0, 0, 0, 1, 0, None, None, None, None, None)
    text = "HTTP/2 200 OK\r\ncontent-type: text/html\r\n\r\n"
    path = tmp_path / "x.warc"
    path.write_bytes(_records(False, page, b"GET / HTTP/1.1\r\n\r\n", text, 200, "OK", b"tea"))
    check(path)
    with path.open("rb") as file:
        answer = next(iter(ArchiveIterator(file)))
        assert answer.rec_headers.get_header("WARC-Protocol") == "h2"
        assert answer.http_headers.get_statuscode() == "200"
        assert answer.http_headers.get_header("content-type") == "text/html"
        assert answer.content_stream().read() == b"tea"


def test_redirects_failures_and_large_bodies(
    crawling: Crawling, site: Callable[..., Site], tmp_path: Path
) -> None:
    large = "<p>more</p>" * 20_000

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/":
            return linked(path, ["/moved", "/none", "/large", "/empty"])
        if path == "/moved":
            return Answer("", 301, Location="/")
        if path == "/empty":
            return Answer("", 204, kind="")
        return Answer(large) if path == "/large" else None

    pages = site(answer)
    archive = tmp_path / "x.warc.gz"
    with crawling(archive=archive) as crawl:
        crawl.add(pages("/"))
        for response in crawl:
            crawl.follow(response)
    check(archive)
    found = {url: body for kind, url, _, body in records(archive) if kind == "response"}
    assert set(found) == {pages(path) for path in ("/", "/moved", "/none", "/large", "/empty")}
    assert found[pages("/large")] == large.encode()
    assert found[pages("/none")] == b"nothing here"


def test_an_unchanged_page_is_a_revisit(
    crawling: Crawling, site: Callable[..., Site], tmp_path: Path
) -> None:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if "If-None-Match" in fields:
            return Answer("", 304, ETag='"1"', kind="")
        return None if path == "/robots.txt" else Answer("tea", ETag='"1"')

    pages = site(answer)
    archive = tmp_path / "x.warc.gz"
    for _ in range(2):
        with crawling(archive=archive, revisit=0) as crawl:
            crawl.add(pages("/"))
            assert len(list(crawl)) == 1
    check(archive)
    kinds = [kind for kind, _, _, _ in records(archive)]
    assert kinds == ["warcinfo", "response", "request", "revisit", "request"]


def archived(crawling: Crawling, url: str, archive: Path) -> list[str]:
    with crawling(archive=archive) as crawl:
        crawl.add(url)
        found = []
        for response in crawl:
            crawl.keep(response.url)
            crawl.follow(response)
            found.append(response.url)
    return found


def test_what_the_store_does_not_know_is_cut(
    crawling: Crawling, site: Callable[..., Site], tmp_path: Path
) -> None:
    pages = site(tree(5))
    archive = tmp_path / "x.warc.gz"
    assert len(archived(crawling, pages("/page/0"), archive)) == 5
    whole = archive.read_bytes()
    archive.write_bytes(whole + b"half a record")
    assert archived(crawling, pages("/page/0"), archive) == []
    assert archive.read_bytes() == whole


def test_what_an_archive_has_lost_is_asked_for_again(
    crawling: Crawling, site: Callable[..., Site], tmp_path: Path
) -> None:
    pages = site(tree(12))
    archive = tmp_path / "x.warc.gz"
    assert len(archived(crawling, pages("/page/0"), archive)) == 12
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) * 2 // 3])
    again = archived(crawling, pages("/page/0"), archive)
    assert 0 < len(again) < 12
    check(archive)
    kept = [url for kind, url, _, _ in records(archive) if kind == "response"]
    assert sorted(kept) == sorted(pages(f"/page/{n}") for n in range(12))
    with crawling(archive=archive) as crawl:
        assert sorted(crawl.items(every=True)) == sorted(kept)
        assert (crawl.stats.done, crawl.stats.items) == (12, 12)


def test_a_file_that_is_not_this_stores(crawling: Crawling, tmp_path: Path, store: Path) -> None:
    archive = tmp_path / "x.warc.gz"
    archive.write_bytes(b"somebody's")
    with pytest.raises(reqkit_async.NotAStore, match="not this store's"):
        crawling(archive=archive)
    assert archive.read_bytes() == b"somebody's"
    with pytest.raises(ValueError, match=r"\.warc"):
        crawling(archive=tmp_path / "x.zip")
    crawling(archive=tmp_path / "y.warc").close()
    with pytest.raises(reqkit_async.NotAStore, match=r"y\.warc"):
        crawling(archive=tmp_path / "z.warc")
    with (
        reqkit_async.Crawl(tmp_path / "other.crawl") as other,
        pytest.raises(reqkit_async.StoreError),
    ):
        other._store.set("archive", "y.warc")
        with crawling(archive=tmp_path / "y.warc"):
            reqkit_async.Crawl(tmp_path / "third.crawl", archive=tmp_path / "y.warc")


def test_a_full_disk_undoes_the_turn(
    crawling: Crawling, site: Callable[..., Site], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = site(tree(6))
    archive = tmp_path / "x.warc.gz"
    from reqkit_async.crawl import archive as module

    write = module.os.pwrite
    left = 4

    def full(file: int, data: Any, at: int) -> int:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(28, "No space left on device")
        if left == 0:
            return write(file, data[:10], at)
        return write(file, data, at)

    with monkeypatch.context() as patch:
        patch.setattr(module.os, "pwrite", full)
        with pytest.raises(reqkit_async.StoreError, match="make room"):
            archived(crawling, pages("/page/0"), archive)
    check(archive)
    archived(crawling, pages("/page/0"), archive)
    check(archive)
    kept = [url for kind, url, _, _ in records(archive) if kind == "response"]
    assert sorted(kept) == sorted(pages(f"/page/{n}") for n in range(6))
    with crawling(archive=archive) as crawl:
        assert sorted(crawl.items()) == sorted(kept)


ITEMS = [
    {"url": "http://a/", "title": "Tea, \"green\"\n", "links": 3, "ok": True, "size": 1.5},
    {"url": "http://b/", "title": None, "links": 0, "tags": ["x", "ü"], "ok": False, "size": 2},
    {"url": "http://c/", "more": {"a": 1}, "links": 7, "mixed": 1},
    {"url": "http://d/", "mixed": "text"},
]  # fmt: skip


@pytest.fixture
def kept(crawling: Crawling) -> Any:
    with crawling() as crawl:
        for item in ITEMS:
            crawl.keep(item)
        yield crawl


def test_export_to_jsonl(kept: reqkit_async.Crawl, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    assert kept.export(path) == 4
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == ITEMS
    kept.keep("anything")
    assert kept.export(path) == 5


def test_export_to_csv(kept: reqkit_async.Crawl, tmp_path: Path) -> None:
    import csv

    path = tmp_path / "items.csv"
    assert kept.export(path) == 4
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["url", "title", "links", "ok", "size", "tags", "more", "mixed"]
    assert rows[0]["title"] == 'Tea, "green"\n'
    assert (rows[0]["ok"], rows[1]["ok"], rows[2]["ok"]) == ("true", "false", "")
    assert json.loads(rows[1]["tags"]) == ["x", "ü"]


def test_export_to_parquet(kept: reqkit_async.Crawl, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "items.parquet"
    assert kept.export(path) == 4
    rows = parquet.read_table(path).to_pylist()
    assert [row["url"] for row in rows] == [item["url"] for item in ITEMS]
    assert [row["links"] for row in rows] == [3, 0, 7, None]
    assert [row["ok"] for row in rows] == [True, False, None, None]
    assert [row["size"] for row in rows] == [1.5, 2.0, None, None]
    assert json.loads(rows[1]["tags"]) == ["x", "ü"]
    assert [row["mixed"] for row in rows] == [None, None, "1", "text"]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.xlsx", "x"])
def test_what_cannot_be_exported_leaves_the_file(
    kept: reqkit_async.Crawl, tmp_path: Path, name: str
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow.parquet")
    path = tmp_path / name
    path.write_text("before")
    kept.keep(["no dictionary"])
    with pytest.raises(ValueError, match=r"jsonl"):
        kept.export(path)
    assert path.read_text() == "before"
    assert not list(tmp_path.glob("*.part"))
