"""What catches crawlers: each ends by a bound, and the figures name it."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from crawl.site import Answer, Site, linked

import reqkit_async
from servers.scripted import Connection, PeerLeft, ScriptedServer, Stopped
from servers.waiting import until

Crawling = Callable[..., reqkit_async.Crawl]


def run(crawl: reqkit_async.Crawl, url: str) -> dict[str, Any]:
    crawl.add(url)
    found: dict[str, Any] = {}
    for response in crawl:
        path = "/" + crawl.visit(response).url.split("/", 3)[3]
        found[path] = response
        crawl.follow(response)
    return found


def calendar(path: str, fields: dict[str, str]) -> Answer | None:
    if path == "/robots.txt":
        return None
    day = int(path.rpartition("=")[2]) if "=" in path else 0
    return linked(f"day {day}", [f"/day?n={day + 1}", f"/day?n={day - 1}", "/"])


@pytest.mark.parametrize(
    ("options", "bound", "pages"),
    [
        ({"depth": 5}, "depth", 12),
        ({"pages": 9}, "pages", 9),
        ({"pages_per_host": 9}, "pages per host", 9),
        ({"max_url_length": 0}, "url length", 11),
        ({"deny": r"n=-?\d\d"}, "deny", 20),
    ],
)
def test_an_endless_calendar(
    crawling: Crawling, site: Callable[..., Site], options: dict[str, Any], bound: str,
    pages: int | None,
) -> None:  # fmt: skip
    days = site(calendar)
    if "max_url_length" in options:
        options = {"max_url_length": len(days("/day?n=1"))}
    with crawling(size=4, **options) as crawl:
        found = run(crawl, days("/"))
        if pages is not None:
            assert len(found) == pages
        assert bound in crawl.stats.bounds
        assert bound in str(crawl.stats)
        assert crawl.stats.bounds[bound][0] >= 1
        if bound in ("pages", "pages per host"):
            assert crawl.stats.queued
    if bound in ("pages", "pages per host"):
        with crawling(size=4, **dict.fromkeys(options, 12)) as crawl:
            assert len(run(crawl, days("/"))) == 3


def test_a_host_gets_no_page_more_while_a_turn_lasts(
    crawling: Crawling, site: Callable[..., Site]
) -> None:
    days = site(calendar)
    with crawling(size=8, per_host=8, pages_per_host=6) as crawl:
        crawl.add(days("/"))
        handed = 0
        for response in crawl:
            handed += 1
            crawl.follow(response)
            # Others come meanwhile, and wait for their own turns.
            until(lambda: sum(days.pages().values()) == min(6, crawl.stats.known))
        assert handed == 6
    assert sum(path != "/robots.txt" for _, path, _ in days.asked) == 6


def test_a_page_that_is_tried_again_counts_as_one_of_its_host(
    crawling: Crawling, site: Callable[..., Site]
) -> None:
    failing = {"/0"}

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path in failing:
            failing.remove(path)
            return Answer("later", status=503, Retry_After="0")
        return None if path == "/robots.txt" else linked(path, [])

    pages = site(answer)
    with crawling(size=4, per_host=4, pages_per_host=3) as crawl:
        for number in range(9):
            crawl.add(pages(f"/{number}"))
        assert len(list(crawl)) == 3
        assert crawl.stats.bounds["pages per host"][0] == 1
        assert crawl.stats.queued == 6
    assert pages.pages() == {"/0": 2, "/1": 1, "/2": 1}


def test_a_host_that_was_given_up_is_asked_once_more_when_told(
    crawling: Crawling, closed_port: int
) -> None:
    with crawling(retries=0, host_failures=2, robots=False, per_host=1) as crawl:
        for number in range(5):
            crawl.add(f"http://localhost:{closed_port}/{number}")
        assert len(list(crawl)) == 2
        assert len(list(crawl)) == 0
        assert crawl.again("failed") == 2
        assert len(list(crawl)) == 2


def test_session_ids(crawling: Crawling, site: Callable[..., Site]) -> None:
    numbers = itertools.count()

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/robots.txt":
            return None
        return linked(path, [f"/{n}?sid={next(numbers)}" for n in range(3)])

    pages = site(answer)
    with crawling(pages=30, size=2) as crawl:
        assert len(run(crawl, pages("/"))) == 30
        assert crawl.stats.bounds["pages"][0] == crawl.stats.queued > 30


def test_session_ids_taken_out(crawling: Crawling, site: Callable[..., Site]) -> None:
    numbers = itertools.count()

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/robots.txt":
            return None
        return linked(path, [f"/{n}?sid={next(numbers)}" for n in range(3)])

    pages = site(answer)
    with crawling(canonical=lambda url: url.partition("?sid=")[0]) as crawl:
        assert set(run(crawl, pages("/"))) == {"/", "/0", "/1", "/2"}


@pytest.mark.parametrize("link", ["more/", "again/and/", "x/../more/"])
def test_paths_that_grow(crawling: Crawling, site: Callable[..., Site], link: str) -> None:
    pages = site(lambda path, _: linked(path, [link]) if path != "/robots.txt" else None)
    with crawling() as crawl:
        assert len(run(crawl, pages("/"))) < 10
        assert crawl.stats.bounds["repeated segments"][0] >= 1


def test_growing_without_repeating(crawling: Crawling, site: Callable[..., Site]) -> None:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        return None if path == "/robots.txt" else linked(path, [f"n{path.count('/')}/"])

    pages = site(answer)
    with crawling() as crawl:
        assert len(run(crawl, pages("/"))) == 40
        assert crawl.stats.bounds["path segments"][0] == 1


def test_queries_that_grow(crawling: Crawling, site: Callable[..., Site]) -> None:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        more = "&" if "?" in path else "?"
        return None if path == "/robots.txt" else linked(path, [f"{path}{more}{'a' * 30}=1"])

    pages = site(answer)
    with crawling(max_url_length=300) as crawl:
        assert len(run(crawl, pages("/"))) < 12
        assert crawl.stats.bounds["url length"][0] == 1


def test_a_loop_of_redirects_between_hosts(crawling: Crawling, site: Callable[..., Site]) -> None:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/robots.txt":
            return None
        here = fields["Host"]
        name, port = here.split(":")
        there = f"{'localhost' if name == '127.0.0.1' else '127.0.0.1'}:{port}"
        return Answer("", status=302, Location=f"http://{there}/round")

    pages = site(answer)
    with crawling(within=None) as crawl:
        [(_, response)] = run(crawl, pages("/")).items()
        assert "TooManyRedirects" in repr(response.error)
        assert response.error.response.status_code == 302
        [failed] = crawl.failed()
        assert "TooManyRedirects" in (failed.error or "")
        assert crawl.stats.queued == 0
    assert sum(pages.pages().values()) == 11


def test_redirects_without_end(crawling: Crawling, site: Callable[..., Site]) -> None:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        number = int(path[1:] or 0) if path != "/robots.txt" else 0
        return Answer("", status=301, Location=f"/{number + 1}")

    pages = site(answer)
    with crawling(robots=False) as crawl:
        [(path, response)] = run(crawl, pages("/")).items()
        assert path == "/10"
        assert "TooManyRedirects" in repr(response.error)


def test_a_redirect_that_sets_a_cookie(crawling: Crawling, site: Callable[..., Site]) -> None:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/robots.txt":
            return None
        if "seen=1" in fields.get("Cookie", ""):
            return linked(path, [])
        if path == "/consent":
            return Answer("", status=302, Location="/", Set_Cookie="seen=1")
        return Answer("", status=302, Location="/consent")

    pages = site(answer)
    with crawling() as crawl:
        found = run(crawl, pages("/"))
        assert {path: response.status_code for path, response in found.items()} == {"/": 200}
        assert {known.url: known.status for known in crawl.urls()} == {
            pages("/"): 200, pages("/consent"): 302,
        }  # fmt: skip


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_pages_of_their_own(
    crawling: Crawling, site: Callable[..., Site], status: int
) -> None:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/":
            return linked(path, ["/a", "/b", "/out", "/new"])
        if path in ("/a", "/b"):
            return Answer("", status=status, Location="new#part")
        if path == "/out":
            return Answer("", status=status, Location="http://other.example/")
        return linked(path, []) if path == "/new" else None

    pages = site(answer)
    with crawling() as crawl:
        assert set(run(crawl, pages("/"))) == {"/", "/new"}
        known = {one.url: (one.status, one.leads_to) for one in crawl.urls()}
        assert known[pages("/a")] == known[pages("/b")] == (status, pages("/new"))
        assert crawl.stats.bounds["scope"] == (1, "http://other.example/")
    assert pages.pages()["/new"] == 1


def test_a_first_page_that_redirects_takes_the_scope_along(
    crawling: Crawling, site: Callable[..., Site]
) -> None:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/robots.txt":
            return None
        if fields["Host"].startswith("127."):
            return Answer("", 301, Location=pages("/").replace("127.0.0.1", "localhost"))
        return linked(path, ["/x"])

    pages = site(answer)
    with crawling() as crawl:
        crawl.add(pages("/"), context={"id": 7})
        found = []
        for response in crawl:
            crawl.follow(response)
            found.append((response.url, response.context, crawl.visit(response).redirects))
        there = pages("/").replace("127.0.0.1", "localhost")
        assert found == [(there, {"id": 7}, 1), (there + "x", None, 0)]


@pytest.mark.parametrize("location", ["ftp://a.example/", "http://", "javascript:x", "http://[/"])
def test_a_redirect_to_nowhere(
    crawling: Crawling, site: Callable[..., Site], location: str
) -> None:
    pages = site(lambda path, _: Answer("", 302, Location=location) if path == "/" else None)
    with crawling() as crawl:
        [response] = run(crawl, pages("/")).values()
        assert "redirects to" in str(response.error)


def endless(connection: Connection) -> None:
    """Send a body that says it has 2 GB, until the other side has enough of it."""
    connection.recv_request()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2147483648\r\n\r\n"
    try:
        connection.send(head)
        while True:
            connection.send(b"<p>more</p>" * 6000)
    except (OSError, PeerLeft, Stopped):
        pass


def test_a_body_of_two_gigabytes(
    crawling: Crawling, scripted: Callable[..., ScriptedServer]
) -> None:
    server = scripted(endless)
    with crawling(robots=False, retries=0, max_content_size=1 << 20) as crawl:
        [response] = run(crawl, server("/big")).values()
        assert "ContentTooLarge" in repr(response.error)
        [failed] = crawl.failed()
        assert (failed.error or "").startswith("ContentTooLarge")


def test_a_body_of_two_gigabytes_with_an_archive(
    crawling: Crawling, scripted: Callable[..., ScriptedServer], tmp_path: Any
) -> None:
    server = scripted(endless)
    archive = tmp_path / "x.warc.gz"
    with crawling(robots=False, retries=0, max_content_size=1 << 20, archive=archive) as crawl:
        [response] = run(crawl, server("/big")).values()
        assert "ContentTooLarge" in repr(response.error)
    assert archive.stat().st_size < 1000


def test_a_tarpit(crawling: Crawling) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(65536)
                sock.sendall(b"HTTP/1.1 200 OK\r\n")
                while not over.wait(0.02):
                    try:
                        sock.sendall(b"X: y\r\n")
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        port = listener.getsockname()[1]
        with crawling(robots=False, retries=0, page_timeout=0.4) as crawl:
            [response] = run(crawl, f"http://127.0.0.1:{port}/").values()
            assert "TotalTimeout" in repr(response.error)
        over.set()
        thread.join()


def test_a_wrong_type(crawling: Crawling, site: Callable[..., Site]) -> None:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/":
            return linked(path, ["/noise", "/zip", "/none", "/broken"])
        if path == "/noise":
            return Answer(bytes(range(256)) * 100, kind="text/html")
        if path == "/zip":
            return Answer(b'PK\x03\x04<a href="/no">', kind="application/zip")
        if path == "/none":
            return Answer(b"\x89PNG<a href='/no'>", kind="")
        if path == "/broken":
            return Answer(b"not gzip", kind="text/html", Content_Encoding="gzip")
        return None

    pages = site(answer)
    with crawling() as crawl:
        found = run(crawl, pages("/"))
        assert "/no" not in found
        assert "ContentDecodingError" in repr(found["/broken"].error)
        assert crawl.stats.failed == 1
        assert crawl.stats.done == 4


def test_deep_markup(crawling: Crawling, site: Callable[..., Site]) -> None:
    deep = "<div>" * 20_000 + '<a href="/end">x</a>'
    pages = site(lambda path, _: Answer(deep) if path == "/" else linked(path, []))
    with crawling(robots=False) as crawl:
        assert set(run(crawl, pages("/"))) == {"/", "/end"}


def test_a_page_with_very_many_links(crawling: Crawling, site: Callable[..., Site]) -> None:
    links = [f"/{n}?{'x' * (n % 7)}" for n in range(30_000)]
    pages = site(lambda path, _: linked(path, links) if path == "/" else linked(path, []))
    beats: list[str] = []

    def beat() -> None:
        while True:
            gevent.sleep(0.001)
            beats.append(state)

    state = "before"
    with crawling(robots=False, pages=20) as crawl:
        crawl.add(pages("/"))
        beating = gevent.spawn(beat)
        for number, response in enumerate(crawl):
            state = "after" if number else "following"
            crawl.follow(response)
            state = state if number else "writing"
        beating.kill()
        assert number == 19
        assert crawl.stats.known == 30_001
    # Others have run meanwhile, again and again.
    assert min(beats.count("following"), beats.count("writing")) > 10
