"""What ``reqkit crawl`` does, as a process."""

from __future__ import annotations

import gzip
import json
import os
import re
import signal
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from warcio.archiveiterator import ArchiveIterator

from reqkit_async.command import main
from reqkit_async.crawl.archive import _warcio
from servers.messages import Received, answer
from servers.scripted import Connection

from .conftest import PATIENCE, Answer, Command, Refused, Site, interrupt

HTML = [("Content-Type", "text/html; charset=utf-8")]
#: No wait between two pages: there is one host, and it is ours.
QUICK = ("--delay", "0", "--no-robots")


def link(site: Site, path: str, *targets: str, title: str = "A &amp; B") -> None:
    links = "".join(f'<a href="{target}">x</a>' for target in targets)
    body = f"<title>{title}</title>{links}".encode()
    site.answers[path] = answer(200, body, HTML)


def tree(site: Site, width: int = 5) -> list[str]:
    """Make a site: a first page, so many below it, and as many below each of these."""
    first = [f"/{number}" for number in range(width)]
    link(site, "/", *first)
    paths = ["/", *first]
    for path in first:
        below = [f"{path}/{number}" for number in range(width)]
        link(site, path, "/", *below)
        paths += below
    for path in paths:
        if path not in site.answers:
            link(site, path, "/")
    return paths


def slow_after(site: Site, count: int, data: Answer) -> Answer:
    """Hold answers back from some request on, until the site lets go."""

    def serve(connection: Connection, request: Received) -> bytes:
        if len(site.requests) > count:
            connection.wait(site.released)
        assert isinstance(data, bytes)
        return data

    return serve


def items(store: Path) -> list[dict[str, Any]]:
    with sqlite3.connect(store) as opened:
        found = [json.loads(text) for (text,) in opened.execute("SELECT item FROM items")]
    opened.close()
    return sorted(found, key=lambda item: item["url"])


def test_a_site(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    link(site, "/", "/a", "/status/404", "http://elsewhere.invalid/", "/text", title="\n One \n")
    link(site, "/a", "/", "/b?x=1")
    ended = reqkit_command.run(
        "crawl", site("/"), "--store", "s", "--report", "r.html", *QUICK, status=1
    )
    found = {item["url"].removeprefix(site.url): item for item in items(tmp_path / "s")}
    assert sorted(found) == ["/", "/a", "/b?x=1", "/status/404", "/text"]
    assert found["/"] == {
        "url": site("/"), "status": 200, "title": "One", "depth": 0, "type": HTML[0][1],
        "bytes": found["/"]["bytes"], "links": 4, "error": None,
    }  # fmt: skip
    assert found["/a"]["title"] == "A & B"
    assert (found["/b?x=1"]["depth"], found["/b?x=1"]["title"]) == (2, None)
    assert (found["/status/404"]["status"], found["/status/404"]["links"]) == (404, 0)
    assert "5 done: 4 good, 1 failed (404: 1)" in ended.err
    assert "kept out by scope: 1" in ended.err
    page = (tmp_path / "r.html").read_text()
    assert "<dt>known</dt> <dd>5</dd>" in page
    assert site("/status/404") in page


def test_run_again_it_goes_on(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    paths = tree(site)
    reqkit_command.run("crawl", site("/"), "--store", "s", "--pages", "7", *QUICK)
    assert len(items(tmp_path / "s")) == 7
    reqkit_command.run("crawl", site("/"), "--store", "s", *QUICK)
    assert [item["url"] for item in items(tmp_path / "s")] == sorted(map(site, paths))
    assert sorted(site.paths) == sorted(paths)
    ended = reqkit_command.run("crawl", site("/"), "--store", "s", *QUICK)
    assert "nothing was left to do" in ended.err
    assert sorted(site.paths) == sorted(paths)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_and_started_again(
    reqkit_command: Command, site: Site, tmp_path: Path, number: int
) -> None:
    paths = tree(site)
    for path in paths:
        site.answers[path] = slow_after(site, 12, site.answers[path])
    command = (
        "crawl", site("/"), "--store", "s", "--report", "r.html", *QUICK, "--per-host", "4",
        "--size", "4",
    )  # fmt: skip
    process = reqkit_command.start(*command)
    site.wait_for_requests(13)
    interrupt(process, number)
    _, err = process.communicate(timeout=PATIENCE)
    if number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode == 128 + number
        assert b"interrupted" in err
        assert b"Traceback" not in err
        assert (tmp_path / "r.html").exists()
    site.released.set()
    reqkit_command.run(*command)
    assert [item["url"] for item in items(tmp_path / "s")] == sorted(map(site, paths))


def test_failed_pages_again(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    link(site, "/", "/x")
    site.answers["/x"] = answer(404)
    reqkit_command.run("crawl", site("/"), "--store", "s", *QUICK, status=1)
    link(site, "/x")
    reqkit_command.run("crawl", site("/"), "--store", "s", *QUICK, status=1)
    reqkit_command.run("crawl", site("/"), "--store", "s", *QUICK, "--failed")
    assert [item["status"] for item in items(tmp_path / "s")] == [200, 200]


def test_scope_and_manners(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    tree(site, 3)
    site.answers["/robots.txt"] = answer(200, b"User-agent: my-bot\nDisallow: /2\n")
    reqkit_command.run(
        "crawl", site("/"), "--store", "s", "--delay", "0", "--deny", "/1(/|$)", "--depth", "2",
        "--agent", "my-bot/1.0 (+https://example.org/bot)", "-H", "X-Team: tea",
    )  # fmt: skip
    assert sorted(site.paths) == ["/", "/0", "/0/0", "/0/2", "/robots.txt"]
    assert site.requests[1].get("User-Agent") == "my-bot/1.0 (+https://example.org/bot)"
    assert site.requests[1].get("X-Team") == "tea"


@pytest.mark.parametrize("name", ["items.jsonl", "items.csv", "-"])
def test_export(reqkit_command: Command, site: Site, tmp_path: Path, name: str) -> None:
    paths = tree(site, 2)
    ended = reqkit_command.run("crawl", site("/"), "--store", "s", "--export", name, *QUICK)
    text = ended.out if name == "-" else (tmp_path / name).read_text()
    for path in paths:
        assert site(path) in text
    if name != "items.csv":
        assert sorted(json.loads(line)["url"] for line in text.splitlines()) == sorted(
            map(site, paths)
        )


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
def test_an_archive_of_killed_crawls_is_whole(
    reqkit_command: Command, site: Site, tmp_path: Path, name: str
) -> None:
    paths = tree(site)
    for path in paths:
        site.answers[path] = slow_after(site, 12, site.answers[path])
    command = ("crawl", site("/"), "--store", "s", "--archive", name, *QUICK)
    process = reqkit_command.start(*command)
    site.wait_for_requests(13)
    process.kill()
    process.communicate(timeout=PATIENCE)
    site.released.set()
    reqkit_command.run(*command)
    with open(tmp_path / name, "rb") as file:
        found = [
            record.rec_headers.get_header("WARC-Target-URI")
            for record in ArchiveIterator(file)
            if record.rec_type == "response"
        ]
    assert sorted(found) == sorted(map(site, paths))
    # A store has one archive.
    other = reqkit_command.run(*command, "--archive", "other.warc", status=2)
    assert f"has its pages in the archive {name}" in " ".join(other.err.split())


def test_sitemaps(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    link(site, "/")
    link(site, "/hidden")
    link(site, "/deep")
    named = f"<urlset><url><loc>{site('/hidden')}</loc></url></urlset>"
    more = gzip.compress(f"{site('/deep')}\nhttp://elsewhere.invalid/\n".encode())
    index = f"<sitemapindex><sitemap><loc>{site('/more.txt.gz')}</loc></sitemap></sitemapindex>"
    robots = f"Sitemap: {site('/map.xml')}\nSitemap: {site('/index.xml')}\n"
    site.answers["/robots.txt"] = answer(200, robots.encode())
    site.answers["/map.xml"] = answer(200, named.encode(), [("Content-Type", "text/xml")])
    site.answers["/index.xml"] = answer(200, index.encode(), [("Content-Type", "text/xml")])
    site.answers["/more.txt.gz"] = answer(200, more)
    quick = ("--delay", "0")
    ended = reqkit_command.run("crawl", site("/"), "--store", "s", *quick, "--sitemaps")
    expected = sorted(map(site, ["/", "/hidden", "/deep"]))
    assert [item["url"] for item in items(tmp_path / "s")] == expected
    assert "3 done: 3 good" in ended.err
    reqkit_command.run("crawl", site("/"), "--store", "s", *quick, "--sitemaps")
    assert len(site.paths) == 7  # these three, robots.txt, and three sitemaps


def test_other_bounds_and_settings(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    tree(site, 3)
    site.answers["/0"] = answer(200, b"x" * 5000, HTML)
    tries = []

    def at_last(connection: Connection, request: Received) -> bytes:
        tries.append(request)
        return answer(503 if len(tries) == 1 else 200, b"", [("Retry-After", "0")])

    site.answers["/1"] = at_last
    site.answers["/2"] = lambda connection, request: connection.wait(site.released)  # type: ignore[func-returns-value]
    ended = reqkit_command.run(
        "crawl", site("/"), "--store", "s", *QUICK, "--size", "4", "--max-size", "2000",
        "--pages-per-host", "9", "--retries", "1", "--timeout", "1.5", "--allow", r"/\d$",
        "--within", "any", "--per-host", "4", status=1,
    )  # fmt: skip
    found = {item["url"].removeprefix(site.url): item for item in items(tmp_path / "s")}
    assert sorted(found) == ["/", "/0", "/1", "/2"]
    assert found["/0"]["error"].startswith("ContentTooLarge")
    assert (found["/1"]["status"], len(tries)) == (200, 2)
    assert found["/2"]["error"].startswith("TotalTimeout")
    assert "2 good, 2 failed" in ended.err


def test_older_pages_once_more(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    body = b'<title>first</title><a href="/x">x</a>'
    site.answers["/"] = answer(200, body, [*HTML, ("ETag", '"one"')])
    link(site, "/x", title="x")
    command = ("crawl", site("/"), "--store", "s", *QUICK)
    reqkit_command.run(*command)

    def unchanged(connection: Connection, request: Received) -> bytes:
        assert request.get("If-None-Match") == '"one"'
        return answer(304)

    site.answers["/"] = unchanged
    link(site, "/x", title="second")
    reqkit_command.run(*command, "--revisit", "86400")
    assert len(site.paths) == 2
    reqkit_command.run(*command, "--revisit", "0")
    assert sorted(site.paths) == ["/", "/", "/x", "/x"]
    first, second = items(tmp_path / "s")
    assert second["title"] == "second"
    assert (first["title"], first["links"]) == ("first", 1)  # as it was


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["crawl"], "Missing argument 'URL...'"),
        (["crawl", "http://h.invalid/"], "Missing option '--store'"),
        (["crawl", "nonsense", "--store", "s"], "nonsense"),
        (["crawl", "http://h.invalid/", "--store", "s", "--delay", "soon"], "--delay 'soon'"),
        (["crawl", "http://h.invalid/", "--store", "s", "--export", "x.txt"], "--export x.txt"),
        (["crawl", "http://h.invalid/", "--store", "s", "--allow", "("], "allow"),
        (["crawl", "http://h.invalid/", "--store", "s", "--report", "no/r.html"], "no folder no"),
        (["crawl", "http://h.invalid/", "--store", "no/s"], "no/s"),
    ],
)
def test_wrong_arguments_are_status_2(arguments: list[str], message: str, refused: Refused) -> None:
    assert message in refused(arguments)


def test_a_file_that_is_no_store_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s").write_text("my thesis")
    assert main(["crawl", "http://h.invalid/", "--store", "s"]) == 2
    assert (tmp_path / "s").read_text() == "my thesis"
    assert os.listdir(tmp_path) == ["s"]
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ([], "protego"),
        (["--no-robots"], "selectolax.lexbor"),
        (["--within", "site"], "publicsuffixlist"),
        (["--archive", "a.warc"], "warcio.warcwriter"),
        (["--export", "e.parquet"], "pyarrow"),
    ],
)
def test_what_is_not_installed_is_named(
    options: list[str],
    missing: str,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    refused: Refused,
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    _warcio.cache_clear()
    said = refused(["crawl", site("/"), "--store", "s", "-q", *options])
    assert re.search(r"needs \w+: pip install 'reqkit\[(crawl|parquet)\]'", said)
    assert site.requests == []
