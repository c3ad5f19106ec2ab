"""robots.txt: what it allows, and what is made of an answer that is none."""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from crawl.robots_cases import CASES
from crawl.site import Answer, Site, linked

import reqkit_async
from reqkit_async.crawl.robots import LARGEST, Robots, Rules, product_token
from reqkit_async.crawl.store import Store

Crawling = Callable[..., reqkit_async.Crawl]


def verdicts() -> list[tuple[str, str, str, bool, bool]]:
    found = []
    for text, agent, allowed, denied in CASES:
        rules = Rules(agent, text.replace("|", "\n").encode(), 1.0)
        for paths, expected in ((allowed, True), (denied, False)):
            for path in paths.split(" "):
                if path:
                    verdict = rules.allows(f"http://foo.bar{path}")
                    found.append((text[:200], agent, path[:100], expected, verdict))
    return found


def test_most_of_googles_public_cases() -> None:
    found = verdicts()
    wrong = [verdict for verdict in found if verdict[3] != verdict[4]]
    assert len(found) >= 136
    # What is left is how protego reads a name with a space in it.
    assert len(found) - len(wrong) >= 129, wrong


@pytest.mark.parametrize(
    ("agent", "token"),
    [
        ("my-bot/1.0 (+https://example.org/bot)", "my-bot"),
        ("Good_Bot", "Good_Bot"),
        ("bot 2", "bot"),
        ("007bot", "007bot"),
    ],
)
def test_the_name_of_a_crawler(agent: str, token: str) -> None:
    assert product_token(agent) == token


def robots(text: str | Answer, pages: int = 3) -> Callable[[str, dict[str, str]], Answer | None]:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/robots.txt":
            return text if isinstance(text, Answer) else Answer(text, kind="text/plain")
        if path == "/elsewhere":
            return Answer("User-agent: *\nDisallow: /page/1\n", kind="text/plain")
        return linked(path, [f"/page/{n}" for n in range(pages)])

    return answer


def crawled(crawl: reqkit_async.Crawl, url: str) -> dict[str, str]:
    crawl.add(url)
    for response in crawl:
        crawl.follow(response)
    return {known.url.rpartition("127.0.0.1")[2].partition("/")[2]: known.state
            for known in crawl.urls()}  # fmt: skip


ALL = {"page/0": "done", "page/1": "done", "page/2": "done"}
LEFT_OUT = {"page/0": "done", "page/1": "refused", "page/2": "done"}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("User-agent: *\nDisallow: /page/1", LEFT_OUT),
        ("User-agent: my-bot\nDisallow: /page/1\n\nUser-agent: *\nDisallow: /", LEFT_OUT),
        ("User-agent: other\nDisallow: /", ALL),
        (Answer("User-agent: *\nDisallow: /", status=404), ALL),
        (Answer("User-agent: *\nDisallow: /", status=403), ALL),
        (Answer("User-agent: *\nDisallow: /", status=401), ALL),
        (Answer("", status=301, Location="/elsewhere"), LEFT_OUT),
        (Answer("", status=302, Location="/robots.txt"), ALL),
        ("# nothing\n" * (LARGEST // 10 + 1) + "User-agent: *\nDisallow: /page/1", ALL),
        ("User-agent: *\nDisallow: /page/1\n" + "# nothing\n" * (LARGEST // 10), LEFT_OUT),
        ("\ufeffUser-agent: *\nDisallow: /page/1", LEFT_OUT),
        ("<html>it is a page</html>", ALL),
    ],
)
def test_what_an_answer_means(
    crawling: Crawling, site: Callable[..., Site], answer: Any, expected: dict[str, str]
) -> None:
    pages = site(robots(answer))
    with crawling(agent="my-bot/1.0") as crawl:
        assert crawled(crawl, pages("/page/0")) == expected
        if answer and not isinstance(answer, Answer):
            assert pages.counts()["/robots.txt"] == 1
    for _, _, fields in pages.asked:
        assert fields["User-Agent"] == "my-bot/1.0"
    refused = [path for path in ("/page/1",) if expected["page/1"] == "refused"]
    assert not any(pages.counts()[path] for path in refused)


def test_it_is_asked_for_before_anything_else_and_kept_for_the_next_run(
    crawling: Crawling, site: Callable[..., Site]
) -> None:
    pages = site(robots("User-agent: *\nDisallow: /page/2"))
    with crawling() as crawl:
        crawled(crawl, pages("/page/0"))
    assert pages.asked[0][1] == "/robots.txt"
    with crawling() as crawl:
        crawl.add(pages("/page/2?again"))
        assert list(crawl) == []
        assert crawl.stats.refused == 2
    assert pages.counts()["/robots.txt"] == 1
    with crawling(robots=False) as crawl:
        assert crawl.again("refused") == 2
        assert len(list(crawl)) == 2


def test_it_counts_for_a_day() -> None:
    store = Store(None)
    robots_of = Robots("bot", store)
    assert robots_of.of("http://a.example", 1000.0) is None
    robots_of.answered("http://a.example", 200, b"User-agent: *\nDisallow: /x", 1000.0)
    rules = robots_of.of("http://a.example", 1000.0 + 86399)
    assert rules is not None
    assert not rules.allows("http://a.example/x")
    assert robots_of.of("http://a.example", 1000.0 + 86401) is None
    # Where it cannot be had then, the one before counts.
    rules = robots_of.failed("http://a.example", 500, "status 500", 1000.0 + 86401, None)
    assert rules.error is None
    assert not rules.allows("http://a.example/x")
    store.close()


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_in_trouble_is_left_alone(
    crawling: Crawling, site: Callable[..., Site], status: int
) -> None:
    pages = site(robots(Answer("no", status=status, Retry_After="0")))
    with crawling(retries=1) as crawl:
        crawl.add(pages("/page/0"))
        [response] = crawl
        assert isinstance(response.error, reqkit_async.RobotsUnreachable)
        assert "again(state='failed')" in str(response.error)
        assert [known.url for known in crawl.failed()] == [pages("/page/0")]
    assert pages.counts() == {"/robots.txt": 2}


def test_a_server_that_recovers_is_crawled(crawling: Crawling, site: Callable[..., Site]) -> None:
    answers = [Answer("no", status=503, Retry_After="0"), Answer("", kind="text/plain")]

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        return answers.pop(0) if path == "/robots.txt" else linked(path, [])

    pages = site(answer)
    with crawling() as crawl:
        assert crawled(crawl, pages("/page/0")) == {"page/0": "done"}
    assert [path for _, path, _ in pages.asked] == ["/robots.txt", "/robots.txt", "/page/0"]


def test_one_that_never_answers_ends_in_a_failure(
    crawling: Crawling, site: Callable[..., Site]
) -> None:
    over = threading.Event()

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path == "/robots.txt":
            over.wait(30)
        return linked(path, [])

    pages = site(answer)
    with crawling(retries=0, page_timeout=0.3) as crawl:
        crawl.add(pages("/page/0"))
        [response] = crawl
        over.set()
        assert isinstance(response.error, reqkit_async.RobotsUnreachable)
        assert "Timeout" in str(response.error)
    assert pages.counts() == {"/robots.txt": 1}


def test_a_crawl_delay_is_kept(crawling: Crawling, site: Callable[..., Site]) -> None:
    pages = site(robots("User-agent: *\nCrawl-delay: 0.2", pages=4))
    with crawling(delay="auto") as crawl:
        assert len(crawled(crawl, pages("/page/0"))) == 4
        # As the store has it: a server sees some of that late.
        found = crawl._store.rows("SELECT started FROM page ORDER BY started")
        starts = [started for (started,) in found]
    assert min(b - a for a, b in pairwise(starts)) > 0.19


def test_a_crawl_delay_has_a_bound(crawling: Crawling, site: Callable[..., Site]) -> None:
    pages = site(robots("User-agent: *\nCrawl-delay: 100000"))
    with crawling(max_crawl_delay=0.05) as crawl:
        assert len(crawled(crawl, pages("/page/0"))) == 3


def test_without_robots_nobody_is_asked(crawling: Crawling, site: Callable[..., Site]) -> None:
    pages = site(robots("User-agent: *\nDisallow: /"))
    with crawling(robots=False) as crawl:
        assert crawled(crawl, pages("/page/0")) == ALL
    assert "/robots.txt" not in pages.counts()
