"""One turn of the loop is one transaction, however the body ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import gevent
import pytest
from crawl.conftest import FAST
from crawl.site import Answer, Site, linked, tree

import reqkit
import reqkit_async
from reqkit.sessions.outcome import failed_response
from reqkit_async.crawl import archive, committing, driver
from reqkit_async.crawl.schema import PAGE, SITEMAP, Page
from reqkit_async.crawl.turns import End, Turn
from servers.processes import environment
from servers.waiting import SOON

Crawling = Callable[..., reqkit_async.Crawl]


class Wrong(Exception):
    """What a body raises."""


@pytest.fixture
def pages(site: Callable[..., Site]) -> Site:
    return site(tree(15))


def states(crawl: reqkit_async.Crawl) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for known in crawl.urls():
        found.setdefault(known.state, []).append(known.url)
    return found


def test_a_body_that_raises_undoes_its_turn_and_comes_out(crawling: Crawling, pages: Site) -> None:
    with pytest.raises(Wrong), crawling() as crawl:
        crawl.add(pages("/page/0"))
        for response in crawl:
            crawl.keep({"url": response.url})
            crawl.follow(response)
            if response.url == pages("/page/0"):
                raise Wrong
    with crawling() as crawl:
        assert list(crawl.items()) == []
        assert states(crawl) == {"queued": [pages("/page/0")]}
        for response in crawl:
            crawl.keep({"url": response.url})
            crawl.follow(response)
            assert crawl.visit(response).attempts == 1 + (response.url == pages("/page/0"))
        assert sorted(item["url"] for item in crawl.items()) == sorted(
            pages(f"/page/{n}") for n in range(15)
        )
    assert pages.pages() == {f"/page/{n}": 1 + (n == 0) for n in range(15)}


def test_an_exception_that_is_caught_outside_of_the_loop_undoes_its_turn(
    crawling: Crawling, pages: Site
) -> None:
    handed = []
    with crawling() as crawl:
        crawl.add(pages("/page/0"))
        while True:
            try:
                for response in crawl:
                    handed.append(response.url)
                    crawl.keep(response.url)
                    crawl.follow(response)
                    if handed.count(response.url) < 2:
                        raise Wrong
                break
            except Wrong:
                assert sorted(crawl.items()) == sorted({u for u in handed if handed.count(u) == 2})
        assert sorted(crawl.items()) == sorted(pages(f"/page/{n}") for n in range(15))
    assert sorted(handed) == sorted(2 * [pages(f"/page/{n}") for n in range(15)])


def leave_by_break(crawl: reqkit_async.Crawl) -> None:
    for response in crawl:
        crawl.keep(response.url)
        crawl.follow(response)
        break


def leave_by_return(crawl: reqkit_async.Crawl) -> Any:
    for response in crawl:
        crawl.keep(response.url)
        crawl.follow(response)
        return response.status_code
    return None


def leave_by_break_in_an_if(crawl: reqkit_async.Crawl) -> None:
    for response in crawl:
        with contextlib.suppress(KeyError):
            crawl.keep(response.url)
            crawl.follow(response)
            if response.ok:
                break


def leave_a_slice(crawl: reqkit_async.Crawl) -> None:
    for response in islice(crawl, 1):
        crawl.keep(response.url)
        crawl.follow(response)


def leave_by_next(crawl: reqkit_async.Crawl) -> None:
    response = next(iter(crawl))
    crawl.keep(response.url)
    crawl.follow(response)


def leave_a_generator(crawl: reqkit_async.Crawl) -> None:
    def pages() -> Any:
        for response in crawl:
            crawl.keep(response.url)
            crawl.follow(response)
            yield response

    for _ in pages():
        break


LEAVING = [
    leave_by_break, leave_by_return, leave_by_break_in_an_if, leave_a_slice, leave_a_generator,
    leave_by_next,
]  # fmt: skip


@pytest.mark.parametrize("leave", LEAVING)
def test_leaving_the_loop_ends_the_turn(
    crawling: Crawling, pages: Site, leave: Callable[[reqkit_async.Crawl], None]
) -> None:
    with crawling() as crawl:
        crawl.add(pages("/page/0"))
        leave(crawl)
        assert list(crawl.items()) == [pages("/page/0")]
        assert states(crawl)["done"] == [pages("/page/0")]
        # And it goes on.
        for response in crawl:
            crawl.keep(response.url)
            crawl.follow(response)
        assert len(list(crawl.items())) == 15
    assert set(pages.pages().values()) == {1}


def raise_at_once(crawl: reqkit_async.Crawl) -> None:
    for response in crawl:
        crawl.keep(response.url)
        raise Wrong


def raise_in_a_call(crawl: reqkit_async.Crawl) -> None:
    def work() -> None:
        raise Wrong

    for response in crawl:
        crawl.keep(response.url)
        work()


def raise_in_an_expression(crawl: reqkit_async.Crawl) -> None:
    for response in crawl:
        crawl.keep(response.url)
        try:
            len(1 / (response.status_code - 200))  # type: ignore[arg-type, operator]
        except ZeroDivisionError as error:
            raise Wrong from error


def raise_in_a_with(crawl: reqkit_async.Crawl) -> None:
    for response in crawl:
        with contextlib.suppress(KeyError):
            crawl.keep(response.url)
            raise Wrong


def raise_after_finally(crawl: reqkit_async.Crawl) -> None:
    for response in crawl:
        try:
            crawl.keep(response.url)
            raise Wrong
        finally:
            crawl.follow(response)


def raise_by_timeout(crawl: reqkit_async.Crawl) -> None:
    for response in crawl:
        crawl.keep(response.url)
        with gevent.Timeout(0.01, Wrong):
            gevent.sleep(30)


RAISING = [
    raise_at_once, raise_in_a_call, raise_in_an_expression, raise_in_a_with, raise_after_finally,
    raise_by_timeout,
]  # fmt: skip


@pytest.mark.parametrize("leave", RAISING)
def test_an_exception_undoes_the_turn(
    crawling: Crawling, pages: Site, leave: Callable[[reqkit_async.Crawl], None]
) -> None:
    with crawling() as crawl:
        crawl.add(pages("/page/0"))
        with pytest.raises(Wrong):
            leave(crawl)
        assert list(crawl.items()) == []
        assert "done" not in states(crawl)
        leave_by_break(crawl)
        assert list(crawl.items()) == [pages("/page/0")]


def test_a_page_taken_by_hand_is_done_when_the_crawl_is_closed(
    crawling: Crawling, pages: Site
) -> None:
    with crawling() as crawl:
        crawl.add(pages("/page/0"))
        loop = iter(crawl)
        response = next(loop)
        crawl.keep(response.url)
    with crawling() as crawl:
        assert list(crawl.items()) == [pages("/page/0")]


def test_a_deadline_ends_the_loop_and_loses_nothing(
    crawling: Crawling, site: Callable[..., Site]
) -> None:
    let_go = threading.Event()

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/slow":
            let_go.wait(60)
        return linked(path, ["/slow", "/quick"]) if path != "/robots.txt" else None

    pages = site(answer)
    began = time.monotonic()
    with crawling(timeout=3) as crawl:
        crawl.add(pages("/"))
        for response in crawl:
            crawl.keep(response.url)
            crawl.follow(response)
    assert time.monotonic() - began < SOON
    let_go.set()
    with crawling() as crawl:
        known = {known.url: known.state for known in crawl.urls()}
        assert known == {pages("/"): "done", pages("/quick"): "done", pages("/slow"): "queued"}
        for response in crawl:
            crawl.keep(response.url)
        assert sorted(crawl.items()) == sorted(map(pages, ("/", "/quick", "/slow")))


INTERRUPTED = """
import sys, reqkit_async, time
with reqkit_async.Crawl(sys.argv[1], per_host=50, delay=0) as crawl:
    crawl.add(sys.argv[2])
    for response in crawl:
        crawl.keep(response.url)
        crawl.follow(response)
        if len(sys.argv) > 3:
            print("in the body", flush=True)
            time.sleep(60)
"""


@pytest.mark.parametrize("where", ["the body", "a fetch"])
def test_an_interrupt_ends_it_within_half_a_second(
    store: Path, site: Callable[..., Site], where: str
) -> None:
    let_go = threading.Event()
    reached, asked = os.pipe()

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/robots.txt":
            return None
        if path == "/slow":
            os.write(asked, b"x")
            let_go.wait(60)
        return linked(path, ["/slow"])

    pages = site(answer)
    more = ["x"] if where == "the body" else []
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(store), pages("/"), *more],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        if where == "the body":
            process.stdout.readline()
        else:
            os.read(reached, 1)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, errors = process.communicate(timeout=60)
        # Half a second, and what the interpreter takes to end on a busy machine.
        assert time.monotonic() - began < SOON
    let_go.set()
    assert b"KeyboardInterrupt" in errors
    os.close(reached)
    os.close(asked)
    with reqkit_async.Crawl(store, **FAST) as crawl:
        if where == "the body":
            assert list(crawl.items()) == []
            assert states(crawl) == {"queued": [pages("/")]}
        else:
            assert list(crawl.items()) == [pages("/")]
            assert states(crawl) == {"done": [pages("/")], "queued": [pages("/slow")]}


def test_added_and_kept_outside_of_the_loop(crawling: Crawling, pages: Site) -> None:
    with crawling() as crawl:
        assert crawl.add(pages("/page/14"), context={"n": [1, None, "ü"]}, priority=3)
        assert not crawl.add(pages("/page/14#here"))
        crawl.keep("before")
        [response] = crawl
        assert response.context == {"n": [1, None, "ü"]}
        assert not crawl.add(pages("/page/14"))
        assert crawl.add(pages("/page/14"), again=True)
        [response] = crawl
        assert response.context is None
        assert crawl.visit(response).number == 2
        crawl.keep("after")
    with crawling() as crawl:
        assert list(crawl.items()) == ["before", "after"]
        assert not crawl.add(pages("/page/14"))


def test_a_crawl_in_memory(pages: Site) -> None:
    with reqkit_async.Crawl(None, **FAST) as crawl:
        crawl.add(pages("/page/0"))
        for response in crawl:
            crawl.keep(response.url)
            crawl.follow(response)
        assert len(list(crawl.items())) == 15


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_a_hook_that_exits_ends_the_loop_and_nothing_else(
    crawling: Crawling, pages: Site, kind: type[BaseException]
) -> None:
    left: list[str] = []

    def leave(response: Any) -> None:
        if response.url.endswith("/page/3") and not left:
            left.append(response.url)
            raise kind(3)

    with (
        reqkit.Session(hooks={"response": leave}) as session,
        crawling(session=session) as crawl,
    ):
        crawl.add(pages("/page/0"))
        with pytest.raises(kind) as raised:
            for response in crawl:
                crawl.follow(response)
        assert raised.value.args == (3,)
        gevent.sleep(0.02)  # nothing comes of it here
        for response in crawl:
            crawl.follow(response)
        assert crawl.stats.done >= 14


@pytest.mark.parametrize("count", [1, 2500])
def test_turns_that_are_open_at_once_add_a_url_once(crawling: Crawling, count: int) -> None:
    urls = [f"http://example/{number}" for number in range(count)]
    with crawling() as crawl:
        admission, committer = crawl._runtime.admission, crawl._runtime.committer
        turns = Turn(None), Turn(None), Turn(None)
        for turn in turns:
            for url in urls:
                assert admission.admit(turn, url)
                assert admission.admit(turn, url, SITEMAP)
        for turn in reversed(turns):
            committer.commit(turn, None)
        assert sorted(known.url for known in crawl.urls()) == sorted(urls * 2)
        assert crawl.stats.known == crawl.stats.queued == 2 * count


def test_what_is_added_while_a_turn_is_written_is_not_lost(
    crawling: Crawling, pages: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = iter(range(1000))

    def add_another() -> None:
        assert crawl.add(pages(f"/late/{next(late)}"))

    monkeypatch.setattr(committing, "let_others_run", add_another)
    many = [pages(f"/{number}") for number in range(2500)]
    with crawling(pages=1) as crawl:
        for url in many:
            crawl.add(url)
        assert len(list(crawl.urls())) == 2500  # three late ones are gathered meanwhile
        assert len(list(crawl.urls())) == 2503
        for _ in crawl:
            for url in many:
                crawl.add(url + "?")
                crawl.add(url + "?2")
        assert len(list(crawl.urls())) == 5006
    with crawling() as crawl:
        assert crawl.stats.known == len({known.url for known in crawl.urls()}) == 5006


def test_what_was_gathered_and_cannot_be_written_is_kept(
    crawling: Crawling, monkeypatch: pytest.MonkeyPatch
) -> None:
    with crawling() as crawl:
        crawl.add("http://example/1")
        crawl.keep("kept")
        with monkeypatch.context() as patched:
            commit = crawl._store.commit

            def fail(turn: Any, end: Any) -> None:
                crawl.add("http://example/2")
                crawl.add("http://example:7/mailto:")
                crawl._gathering.turn.bound("scope", "http://example/3")
                crawl.keep("kept, too")
                raise reqkit_async.StoreError("no room")

            patched.setattr(crawl._store, "commit", fail)
            with pytest.raises(reqkit_async.StoreError, match="no room"):
                list(crawl.urls())
            assert commit is not crawl._store.commit
        assert [known.url for known in crawl.urls()] == [
            "http://example/1", "http://example/2", "http://example:7/mailto:"
        ]  # fmt: skip
        assert list(crawl.items()) == ["kept", "kept, too"]
        assert crawl.stats.bounds == {"scope": (1, "http://example/3")}


def test_an_interrupt_at_the_end_loses_nothing_that_was_added(
    crawling: Crawling, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(driver: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(driver.Driver, "stop", stop)
        crawl = crawling()
        crawl.add("http://example/1")
        with pytest.raises(KeyboardInterrupt):
            crawl.close()
    with crawling() as crawl:
        assert [known.url for known in crawl.urls()] == ["http://example/1"]


@pytest.mark.parametrize("where", ["redirect", "sitemap", "robots", "record"])
def test_a_loop_after_a_fault_goes_on(
    where: str, crawling: Crawling, site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/moved":
            return Answer(status=302, Location="/there")
        if path == "/map.xml":
            return Answer(f"<urlset><url><loc>{pages('/there')}</loc></url></urlset>")
        return None if path == "/robots.txt" else linked(path, [])

    pages = site(answer)
    faults = iter([reqkit_async.StoreError("no room")])

    def failing(function: Any) -> Any:
        def first(*arguments: Any, **keywords: Any) -> Any:
            for fault in faults:
                raise fault
            return function(*arguments, **keywords)

        return first

    holder, name = {
        "redirect": (driver.Redirects, "follow"),
        "sitemap": (driver.SitemapReader, "read"),
        "robots": (driver, "ask_robots"),
        "record": (archive, "_records"),
    }[where]
    monkeypatch.setattr(holder, name, failing(getattr(holder, name)))
    with crawling(archive=tmp_path / "site.warc") as crawl:
        crawl.add(pages("/moved"))
        crawl.add(pages("/here"))
        crawl.add_sitemap(pages("/map.xml"))
        seen: list[str] = []
        with pytest.raises(reqkit_async.StoreError, match="no room"):
            for response in crawl:
                seen.append(response.url)
        for response in crawl:
            seen.append(response.url)
        assert sorted(seen) == [pages("/here"), pages("/there")]
        assert (crawl.stats.done, crawl.stats.queued, crawl.stats.in_flight) == (4, 0, 0)


def test_an_errors_text_is_kept_whatever_it_has() -> None:
    request = reqkit_async.get("http://example/")
    response = failed_response(request, reqkit.RequestException("half of \ud83d"))
    page = Page(1, "http://example/", PAGE, 1, 0, 0, 1, 0, 1, 0, None, None, None, None, None)
    assert End.of(page, response).error == "RequestException: half of ?"
