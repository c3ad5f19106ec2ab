"""What a server sees of a crawl: how much at a time, how soon, and what it says to that."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from crawl.site import Answer, Site, linked, tree

import reqkit
import reqkit_async
from reqkit_async.crawl import robots
from reqkit_async.crawl.frontier import Frontier
from reqkit_async.crawl.schema import Page
from servers.waiting import until

Crawling = Callable[..., reqkit_async.Crawl]


def run(crawl: reqkit_async.Crawl, url: str) -> list[Any]:
    crawl.add(url)
    found = []
    for response in crawl:
        found.append(response)
        crawl.follow(response)
    return found


def starts(crawl: reqkit_async.Crawl) -> list[float]:
    """Return when pages were asked for, as the store has it: servers see some of that late."""
    return [when for (when,) in crawl._store.rows("SELECT started FROM page ORDER BY started")]


class Together:
    """Pages that are answered when so many are asked for at a time, or none more will be."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count)

    def __call__(self, path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/robots.txt":
            return None
        if path != "/":
            self._barrier.wait(20)
        return linked(path, [f"/{n}" for n in range(12)])


@pytest.mark.parametrize("per_host", [1, 2, 4])
def test_so_many_at_a_time(crawling: Crawling, site: Callable[..., Site], per_host: int) -> None:
    pages = site(Together(per_host))
    with crawling(per_host=per_host) as crawl:
        assert len(run(crawl, pages("/"))) == 13
    assert pages.most == per_host


def test_size_bounds_what_is_out(crawling: Crawling, site: Callable[..., Site]) -> None:
    pages = site(tree(40))
    with crawling(size=3) as crawl:
        crawl.add(pages("/page/0"))
        for number, response in enumerate(crawl, 1):
            crawl.follow(response)
            others = min(2, crawl.stats.queued - 1)
            until(lambda n=number, k=others: sum(pages.pages().values()) == n + k)
            assert crawl.stats.in_flight <= 3
    assert pages.most <= 3


def test_a_delay_between_two_starts(crawling: Crawling, site: Callable[..., Site]) -> None:
    pages = site(tree(5))
    with crawling(delay=0.15) as crawl:
        assert len(run(crawl, pages("/page/0"))) == 5
        assert min(b - a for a, b in pairwise(starts(crawl))) > 0.14


def test_the_delay_follows_how_fast_a_host_answers(
    crawling: Crawling, site: Callable[..., Site]
) -> None:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path != "/robots.txt":
            time.sleep(0.2)
        return linked(path, [f"/{n}" for n in range(4)])

    pages = site(answer)
    with crawling(delay="auto", per_host=10, robots=False) as crawl:
        assert len(run(crawl, pages("/"))) == 5
        [line] = crawl._frontier.lines()
        assert line.gap >= 0.2
        assert min(b - a for a, b in pairwise(starts(crawl))) > 0.19


def test_a_first_page_is_asked_for_alone(crawling: Crawling, site: Callable[..., Site]) -> None:
    asked = threading.Event()

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path != "/robots.txt" and not asked.is_set():
            time.sleep(0.1)
            asked.set()
            assert len(pages.pages()) == 1
        return linked(path, [])

    pages = site(answer)
    with crawling(delay="auto", per_host=10) as crawl:
        for number in range(5):
            crawl.add(pages(f"/{number}"))
        assert len(list(crawl)) == 5


def test_retry_after_holds_its_host(crawling: Crawling, site: Callable[..., Site]) -> None:
    answers = [Answer("later", status=503, Retry_After="2")]

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/page/1" and answers:
            return answers.pop()
        return tree(7)(path, fields)

    pages = site(answer)
    with crawling() as crawl:
        held: list[dict[str, float]] = []
        crawl.add(pages("/page/0"))
        found = []
        for response in crawl:
            crawl.follow(response)
            found.append(response.status_code)
            held.append(crawl.stats.held)
        assert found == [200] * 7
        assert crawl.stats.failed == 0
    counts = pages.pages()
    assert counts["/page/1"] == 2
    moments = [moment for moment, path, _ in pages.asked if path == "/page/1"]
    assert moments[1] - moments[0] > 1
    # What lies behind it on that host has waited, too.
    assert min(moment for moment, path, _ in pages.asked if path == "/page/3") > moments[0] + 1
    assert any("127.0.0.1" in hosts for hosts in held)


@pytest.mark.parametrize(
    ("status", "retry", "times"),
    [(503, "0", 3), (429, "0", 3), (503, "100000", 1), (500, "0", 1), (404, "", 1), (502, "0", 3)],
)
def test_failures_are_tried_again(
    crawling: Crawling, site: Callable[..., Site], status: int, retry: str, times: int
) -> None:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/bad":
            return Answer("no", status=status, **({"Retry_After": retry} if retry else {}))
        return linked(path, ["/bad"]) if path == "/" else None

    pages = site(answer)
    with crawling(retries=2) as crawl:
        found = {response.url: response.status_code for response in run(crawl, pages("/"))}
        assert found == {pages("/"): 200, pages("/bad"): status}
        [failed] = crawl.failed()
        assert (failed.url, failed.status, failed.attempts) == (pages("/bad"), status, times)
        assert failed.found_on == pages("/")
    assert pages.pages()["/bad"] == times


def test_a_host_that_cannot_be_reached_is_given_up(
    crawling: Crawling, closed_port: int, site: Callable[..., Site]
) -> None:
    pages = site(tree(3))
    with crawling(retries=0, host_failures=3, robots=False, per_host=1) as crawl:
        for number in range(20):
            crawl.add(f"http://localhost:{closed_port}/{number}")
        found = run(crawl, pages("/page/0"))
        assert Counter(response.status_code for response in found) == {None: 3, 200: 3}
        assert crawl.stats.queued == 17
        assert crawl.stats.bounds["unreachable host"] == (1, "localhost")
        [failed, *_] = crawl.failed()
        assert "ConnectionError" in (failed.error or "")
    with crawling(host_failures=None, retries=0, robots=False) as crawl:
        assert len(list(crawl)) == 17


def test_credentials_and_agent(crawling: Crawling, site: Callable[..., Site]) -> None:
    pages = site(tree(3))
    with (
        reqkit.Session(headers={"X-Team": "tea"}, auth=("me", "secret")) as session,
        crawling(session=session, agent="my-bot/2") as crawl,
    ):
        run(crawl, pages("/page/0"))
        assert session.get(pages("/page/0")).ok
    *crawled, last = pages.asked
    assert {fields["User-Agent"] for _, _, fields in crawled} == {"my-bot/2"}
    assert last[2]["User-Agent"].startswith("reqkit/")
    assert all(fields["X-Team"] == "tea" for _, _, fields in crawled)
    assert all("Authorization" in fields for _, path, fields in crawled if path != "/robots.txt")


def test_other_hosts_get_no_credentials(crawling: Crawling, site: Callable[..., Site]) -> None:
    other = site(tree(1))
    there = other("/page/0").replace("127.0.0.1", "localhost")
    pages = site(lambda path, _: linked(path, [there]) if path == "/" else None)
    with (
        reqkit.Session(auth=("me", "secret"), headers={"Cookie": "a=b"}) as session,
        crawling(session=session, within=None) as crawl,
    ):
        assert len(run(crawl, pages("/"))) == 2
    assert all("Authorization" in fields and "Cookie" in fields
               for _, path, fields in pages.asked if path == "/")  # fmt: skip
    [(_, _, fields)] = [one for one in other.asked if one[1] == "/page/0"]
    assert "Authorization" not in fields
    assert "Cookie" not in fields


class Queued:
    """The frontier's store, in memory."""

    def __init__(self, pages: list[tuple[int, int]]) -> None:
        self.pages = [
            Page(n, f"http://h{host}/{n}", 0, host, priority, 0, 0, 0, 0, 0, None, None, None, None,
                 None)
            for n, (host, priority) in enumerate(pages)
        ]  # fmt: skip
        self.taken: set[int] = set()

    def queued(self, host: int, most: int) -> list[Page]:
        left = [page for page in self.pages if page.host == host and page.id not in self.taken]
        return sorted(left, key=lambda page: (-page.priority, page.id))[:most]

    def next_host(self, after: int) -> int | None:
        left = [page.host for page in self.pages if page.id not in self.taken and page.host > after]
        return min(left, default=None)

    def hosts_ahead(self, most: int) -> list[int]:
        return [page.host for page in self.pages if page.priority > 0 and page.id not in self.taken]

    def host(self, id: int) -> tuple[str, int]:
        return f"h{id}", 0


def order(store: Queued) -> list[tuple[int, int]]:
    frontier = Frontier(store)
    found = []
    now = 0.0
    while not frontier.empty:
        given = frontier.next(now)
        now += 1
        if given is None:
            continue
        line, page = given
        frontier.take(line, page)
        store.taken.add(page.id)
        frontier.started(line, now)
        frontier.ended(line)
        found.append((page.host, page.id))
    return found


def test_by_priority_then_first_come_first_served_hosts_in_turn() -> None:
    store = Queued([(1, 0), (1, 0), (1, 0), (2, 0), (2, 5), (3, 0), (1, 9), (3, -1)])
    found = [page for _, page in order(store)]
    assert found[:2] == [6, 4]
    assert found[-1] == 7
    assert sorted(found[2:5]) == [0, 3, 5]  # the first of each host
    assert found[5:7] == [1, 2]


def test_a_host_has_its_pages_in_order() -> None:
    found = order(Queued([(1 + n % 7, 0) for n in range(700)]))
    for host in range(1, 8):
        mine = [page for its, page in found if its == host]
        assert mine == sorted(mine)
    assert len(found) == 700
    # In turn: none waits for more than a round.
    for host in range(1, 8):
        places = [place for place, (its, _) in enumerate(found) if its == host]
        assert max(b - a for a, b in pairwise(places)) <= 13


def test_more_hosts_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reqkit_async.crawl.frontier._WINDOW", 5)
    monkeypatch.setattr("reqkit_async.crawl.frontier._SHARE", 3)
    found = order(Queued([(1 + n % 40, 0) for n in range(400)]))
    assert len(found) == 400
    last = {host: place for place, (host, _) in enumerate(found)}
    first = {host: place for place, (host, _) in reversed(list(enumerate(found)))}
    # None had all of its pages before another had its first.
    assert max(first.values()) < min(last.values()) + 200


def test_a_slow_host_holds_up_nobody(crawling: Crawling, site: Callable[..., Site]) -> None:
    over = threading.Event()

    def slow(path: str, fields: dict[str, str]) -> Answer | None:
        if path != "/robots.txt":
            over.wait(20)
        return linked(path, [])

    sleepy, quick = site(slow), site(tree(30))
    with crawling(per_host=2) as crawl:
        for number in range(10):
            crawl.add(sleepy(f"/{number}").replace("127.0.0.1", "localhost"))
        crawl.add(quick("/page/0"))
        done = 0
        for response in crawl:
            crawl.follow(response)
            done += 1
            if done == 30:
                until(lambda: sum(sleepy.pages().values()) == 2)  # its name may be looked up yet
                over.set()
        assert done == 40


def test_progress(crawling: Crawling, site: Callable[..., Site], capsys: Any) -> None:
    pages = site(tree(7))
    seen: list[tuple[int, int]] = []
    with crawling(progress=lambda stats: seen.append((stats.done, stats.known))) as crawl:
        run(crawl, pages("/page/0"))
    assert seen[-1] == (7, 7)
    assert [done for done, _ in seen] == list(range(1, 8))
    with crawling(progress="always") as crawl:
        assert crawl.again("done") == 7
        assert len(list(crawl)) == 7
    assert "7 done, 0 queued, 7 known, 0 failed" in capsys.readouterr().err
    with pytest.raises(ValueError, match="progress"):
        crawling(progress=3)


def test_a_progress_that_raises_harms_nothing(
    crawling: Crawling, site: Callable[..., Site]
) -> None:
    pages = site(tree(1))

    def bad(stats: Any) -> None:
        raise KeyError("oops")

    with crawling(progress=bad) as crawl, pytest.warns(RuntimeWarning, match="oops"):
        run(crawl, pages("/page/0"))


def test_revisiting(store: Path, crawling: Crawling, site: Callable[..., Site]) -> None:
    versions = {"/": 1, "/same": 1}

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path not in versions:
            return None
        tag = f'"{versions[path]}"'
        if fields.get("If-None-Match") == tag:
            return Answer("", status=304, ETag=tag, kind="")
        page = linked(path, versions, more=f"version {versions[path]}")
        page.fields["ETag"] = tag
        page.fields["Last-Modified"] = "Sat, 01 Jan 2022 00:00:00 GMT"
        return page

    pages = site(answer)

    def once(**options: Any) -> dict[str, bool]:
        seen = {}
        with crawling(**options) as crawl:
            crawl.add(pages("/"))
            for response in crawl:
                seen["/" + response.url.split("/", 3)[3]] = crawl.visit(response).unchanged
                if not crawl.visit(response).unchanged:
                    crawl.keep({"url": response.url, "text": crawl.tree(response).text().strip()})
                    crawl.follow(response)
        return seen

    assert once() == {"/": False, "/same": False}
    assert once(revisit=3600) == {}
    versions["/"] = 2
    assert once(revisit=0) == {"/": False, "/same": True}
    [_, _, *last] = [fields for _, path, fields in pages.asked if path != "/robots.txt"]
    assert all(fields["If-Modified-Since"].startswith("Sat, 01 Jan 2022") for fields in last)
    with crawling() as crawl:
        assert sorted(item["text"][-9:] for item in crawl.items()) == ["version 1", "version 2"]
        assert len(list(crawl.items(every=True))) == 3
        assert {known.status for known in crawl.urls()} == {200, 304}
    assert once(revisit=0) == {"/": True, "/same": True}


@pytest.mark.parametrize("size", [100, 2000])
def test_a_large_robots_file_is_read_in_another_thread(
    crawling: Crawling, site: Callable[..., Site], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "User-agent: *\nDisallow: /page/2$\n" + f"Disallow: /{'x' * 30}*y$\n" * (size - 2)
    large = len(text) > 16 * 1024
    threads: list[int] = []
    parse = robots._parse

    def counted(text: bytes) -> Any:
        threads.append(threading.get_ident())
        return parse(text)

    monkeypatch.setattr(robots, "_parse", counted)
    pages = site(
        lambda path, fields: (
            Answer(text, kind="text/plain") if path == "/robots.txt" else tree(3)(path, fields)
        )
    )
    for run in range(2):  # the second one has the file from its store
        with crawling(revisit=0) as crawl:
            crawl.add(pages("/page/0"))
            for response in crawl:
                crawl.follow(response)
            assert [known.url for known in crawl.urls("refused")] == [pages("/page/2")]
        assert len(threads) == run + 1
    assert [thread != threading.get_ident() for thread in threads] == [large] * 2
    assert pages.counts() == {"/robots.txt": 1, "/page/0": 2, "/page/1": 2}
