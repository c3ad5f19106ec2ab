"""Long work lets the event loop run: so much of it, and no more, between two of its turns."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from crawl.conftest import FAST
from crawl.site import Answer, Site, linked, tree

import reqkit_async
from reqkit_async.crawl import (
    canonical,
    driver,
    gathering,
    inserting,
    links,
    loop,
    robots,
    sitemap_reading,
    store,
)  # fmt: skip

Crawling = Callable[..., reqkit_async.Crawl]

MANY = 12_000
HOST = "http://a.example"


class Meter:
    """Counts pieces of work between two turns of the event loop.

    Attributes:
        total: how many there were.
        most: how many of them lay between two turns.
        turns: how many turns there were.
    """

    def __init__(self) -> None:
        self.total = self.most = self.turns = 0
        self._now = 0

    def count(self, pieces: int = 1) -> None:
        self.total += pieces
        self._now += pieces
        self.most = max(self.most, self._now)

    def turn(self) -> None:
        self.turns += 1
        self._now = 0

    def counting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **keywords: Any) -> Any:
            self.count()
            return function(*arguments, **keywords)

        return counted


@contextlib.contextmanager
def metered() -> Iterator[Meter]:
    """Have a meter hear of the event loop: before and after it looks at its sockets."""
    made = Meter()
    event_loop = gevent.get_hub().loop
    watchers = [event_loop.prepare(ref=False), event_loop.check(ref=False)]
    for watcher in watchers:
        watcher.start(made.turn)
    try:
        yield made
    finally:
        for watcher in watchers:
            watcher.stop()
            watcher.close()


@pytest.fixture
def meter() -> Iterator[Meter]:
    with metered() as made:
        yield made


class CountedRows:
    """A connection whose written rows are counted."""

    def __init__(self, db: Any, meter: Meter) -> None:
        self._db = db
        self._meter = meter

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    def executemany(self, statement: str, rows: Iterable[Any]) -> Any:
        rows = list(rows)
        self._meter.count(len(rows))
        return self._db.executemany(statement, rows)


def count_writing(crawl: reqkit_async.Crawl, meter: Meter) -> None:
    inserter: Any = crawl._store._writer._inserter
    inserter._db = CountedRows(inserter._db, meter)


@pytest.mark.parametrize("hosts", [1, 7, MANY])
def test_adding_very_many(
    crawling: Crawling, meter: Meter, monkeypatch: pytest.MonkeyPatch, hosts: int
) -> None:
    monkeypatch.setattr(gathering, "_LONGEST", 1e6)  # all at once, however slow the machine is
    with crawling() as crawl:
        count_writing(crawl, meter)
        for number in range(MANY):
            crawl.add(f"http://h{number % hosts}.example/{number}")
        assert len(list(crawl.urls("queued"))) == MANY
    assert meter.total == MANY
    assert meter.most <= inserting.AT_ONCE


@pytest.mark.parametrize("follow", [True, False])
def test_a_page_with_very_many_links(
    crawling: Crawling, site: Callable[..., Site], meter: Meter,
    monkeypatch: pytest.MonkeyPatch, follow: bool,
) -> None:  # fmt: skip
    # What is out of scope, or leads nowhere, takes its time, too.
    named = [f"{HOST}/{n}" for n in range(MANY)] + [f"mailto:{n}@a.example" for n in range(MANY)]
    pages = site(lambda path, _: linked(path, named) if path == "/" else None)
    monkeypatch.setattr(canonical.Joiner, "join", meter.counting(canonical.Joiner.join))
    with crawling() as crawl:
        crawl.add(pages("/"))
        for response in crawl:
            if follow:
                crawl.follow(response)
            else:
                assert len(crawl.links(response)) == MANY
    assert meter.total == 2 * MANY
    assert meter.most <= links._AT_ONCE


def test_a_turn_with_very_many_links_is_written_in_pieces(
    crawling: Crawling, site: Callable[..., Site], meter: Meter
) -> None:
    named = [f"{HOST}/{number}" for number in range(MANY)]
    pages = site(lambda path, _: linked(path, named) if path == "/" else None)
    with crawling(within=None, pages=1) as crawl:
        crawl.add(pages("/"))
        crawl._gathering.write()
        count_writing(crawl, meter)
        for response in crawl:
            crawl.follow(response)
    assert meter.total == MANY
    assert meter.most <= inserting.AT_ONCE


@pytest.mark.parametrize("host", ["", HOST])
def test_a_sitemap_with_very_many_pages(
    crawling: Crawling, site: Callable[..., Site], meter: Meter,
    monkeypatch: pytest.MonkeyPatch, host: str,
) -> None:  # fmt: skip
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        if path != "/sitemap.txt":
            return None
        named = "\n".join(f"{host or pages('')}/{number}" for number in range(MANY))
        return Answer(named, kind="text/plain")

    pages = site(answer)
    with metered() as joined, crawling(pages=1) as crawl:
        monkeypatch.setattr(canonical.Joiner, "join", joined.counting(canonical.Joiner.join))
        count_writing(crawl, meter)
        crawl.add_sitemap(pages("/sitemap.txt"))
        for _ in crawl:
            pass
        assert crawl.stats.known == (1 if host else MANY + 1)
    assert joined.total >= MANY
    assert joined.most <= sitemap_reading._LOOKED_AT
    assert meter.most <= sitemap_reading._AT_ONCE


@pytest.fixture
def large(store: Path) -> Path:
    """A store with very many pages and items."""
    with reqkit_async.Crawl(store, **FAST) as crawl:
        for number in range(MANY):
            crawl.add(f"{HOST}/{number}")
            crawl.keep({"number": number})
        crawl._gathering.write()
        crawl._store._db.execute("UPDATE page SET state=2, ended=1.5, status=200, seconds=0.1")
        crawl._store._db.execute("UPDATE totals SET done=queued, queued=0")
    return store


def test_opening_a_large_store(large: Path, meter: Meter, monkeypatch: pytest.MonkeyPatch) -> None:
    class Filter(store.BloomFilter):
        def __init__(self, keys: Iterable[int]) -> None:
            def counted() -> Iterator[int]:
                for key in keys:
                    meter.count()
                    yield key

            super().__init__(counted())

    monkeypatch.setattr(store, "BloomFilter", Filter)
    with reqkit_async.Crawl(large, **FAST) as crawl:
        assert not crawl.add(f"{HOST}/7")
    assert meter.total == MANY
    assert meter.most <= store._LOOKED_AT


def read_items(crawl: reqkit_async.Crawl, folder: Path) -> int:
    return len(list(crawl.items()))


def read_every_item(crawl: reqkit_async.Crawl, folder: Path) -> int:
    return len(list(crawl.items(every=True)))


def read_urls(crawl: reqkit_async.Crawl, folder: Path) -> int:
    return len(list(crawl.urls("done")))


def export_lines(crawl: reqkit_async.Crawl, folder: Path) -> int:
    return crawl.export(folder / "items.jsonl")


def export_table(crawl: reqkit_async.Crawl, folder: Path) -> int:
    return crawl.export(folder / "items.csv")


def count_pages(crawl: reqkit_async.Crawl, folder: Path) -> int:
    return int(crawl.figures()["pages"]["requests"])


@pytest.mark.parametrize(
    "read", [read_items, read_every_item, read_urls, export_lines, export_table, count_pages]
)
def test_reading_very_much(
    large: Path, tmp_path: Path, meter: Meter, monkeypatch: pytest.MonkeyPatch,
    read: Callable[[reqkit_async.Crawl, Path], int],
) -> None:  # fmt: skip
    with reqkit_async.Crawl(large, **FAST) as crawl:
        rows = crawl._store.rows

        def counted(*arguments: Any) -> Iterator[Any]:
            for row in rows(*arguments):
                meter.count()
                yield row

        monkeypatch.setattr(crawl._store, "rows", counted)
        assert read(crawl, tmp_path) == MANY
    assert meter.total >= MANY
    assert meter.most <= store._READ_AT_ONCE + 10


def test_queueing_very_many_again(
    large: Path, meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counted(statement: str) -> None:
        if statement.startswith("UPDATE page SET state=0"):
            meter.count(store._QUEUED_AT_ONCE)

    with reqkit_async.Crawl(large, **FAST) as crawl:
        crawl._store._db.set_trace_callback(counted)
        assert crawl.again("done") == MANY
        crawl._store._db.set_trace_callback(None)
        assert crawl.stats.queued == MANY
    assert meter.total >= MANY
    assert meter.most <= store._QUEUED_AT_ONCE


def test_a_large_page_is_parsed_in_another_thread(
    crawling: Crawling, site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = links.html_parser()
    threads: dict[bool, set[int]] = {True: set(), False: set()}

    def parsing(text: Any) -> Any:
        threads[len(text) >= links._LARGE].add(threading.get_ident())
        return parse(text)

    monkeypatch.setattr(links, "html_parser", lambda: parsing)
    padding = "x" * links._LARGE
    pages = site(lambda path, _: linked(path, ["/large"], padding if path == "/large" else ""))
    with crawling() as crawl:
        crawl.add(pages("/"))
        for response in crawl:
            crawl.follow(response)
    assert threads[False] == {threading.get_ident()}
    assert threads[True]
    assert threading.get_ident() not in threads[True]


def test_short_bodies_let_others_run_now_and_then(
    crawling: Crawling, site: Callable[..., Site], meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = site(tree(40))
    with crawling() as crawl:
        crawl.add(pages("/page/0"))
        clock = loop.clock
        past = 0.0
        monkeypatch.setattr(loop, "clock", lambda: clock() + past)
        turns = []
        for response in crawl:
            crawl.follow(response)
            past += 2 * loop._TURN  # as if the body had taken so long
            turns.append(meter.turns)
    assert len(set(turns[1:])) == 39  # the first one is measured from the beginning of the loop


def test_very_many_pages_that_robots_refuse(
    crawling: Crawling, site: Callable[..., Site], meter: Meter, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = Answer("User-agent: *\nDisallow: /no\n", kind="text/plain")
    pages = site(lambda path, _: rules if path == "/robots.txt" else linked(path, []))
    monkeypatch.setattr(robots.Rules, "allows", meter.counting(robots.Rules.allows))
    with crawling() as crawl:
        crawl.add(pages("/"), priority=1)
        for number in range(MANY):
            crawl.add(pages(f"/no/{number}"))
        assert len(list(crawl)) == 1
        assert crawl.stats.refused == MANY
    assert meter.total == MANY + 1
    assert meter.most <= driver._AT_ONCE + 1
