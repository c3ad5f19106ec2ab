"""Reports: what figures become, without a browser."""

from __future__ import annotations

import html
import json
import random
import re
import sys
import xml.etree.ElementTree as tree
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import reqkit_async
from reqkit_async.report import write_crawl_report, write_stats_report
from reqkit_async.report.formatting import (
    bytes_text,
    count_text,
    moment_text,
    percent_text,
    seconds_text,
)
from reqkit_async.stats import Stats
from servers.scripted import ScriptedServer

#: What a hostile server, or a hostile list, may say.
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp; $x_1$ \\frac12 {{ 7*7 }}"


def several(count: int = 1000, hosts: int = 40) -> Stats:
    """Return figures of made-up requests."""
    chance = random.Random(1)
    stats = Stats()
    for number in range(count):
        status = chance.choices([200, 301, 404, 503, None], [90, 3, 4, 1, 2])[0]
        stats.record(
            status,
            None if status else chance.choice(["ReadTimeout", "ConnectionError"]),
            chance.lognormvariate(-2, 1) if status else None,
            chance.randrange(10_000),
            url=f"https://host{chance.randrange(hosts)}.example/{number}",
            message="" if status else "it broke",
            when=1_700_000_000 + number * 3600 / count,
        )
    stats._seconds = 3600.0
    return stats


class Page(HTMLParser):
    """What a page has: its tags, texts, ids and addresses."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text("utf-8")
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.text = ""
        self.feed(self.source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            assert not name.startswith("on"), (tag, name)
            if name == "id":
                self.ids.append(value or "")
            if name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster"):
                self.addresses.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_report_needs_nothing_else(tmp_path: Path) -> None:
    page = Page(several().report(tmp_path / "r.html"))
    assert "script" not in page.tags
    assert {each for each in page.addresses if not each.startswith("#")} == {"data:,"}
    assert "@import" not in page.source
    assert re.findall(r"url\((?!#)", page.source) == []
    assert len(page.ids) == len(set(page.ids))
    assert {each[1:] for each in page.addresses if each.startswith("#")} <= set(page.ids)


def test_figures_are_those_of_the_stats(tmp_path: Path) -> None:
    stats = several()
    text = " ".join(Page(stats.report(tmp_path / "r.html")).text.split())
    assert "1,000 requests" in text
    assert f"failed {stats.failed:,}" in text
    for status, times in stats.statuses.items():
        assert re.search(rf"{status} [A-Z][a-zA-Z ]+ {times} ", text), status
    for name, times in stats.errors.items():
        assert f"{name} · {times} " in text
    assert f"half within {seconds_text(stats.latency.p50)}" in text
    [first, *_] = stats.as_dict()["hosts"]
    assert f"{first['host']} {first['requests']}" in text
    assert seconds_text(stats.latency.max) in text


def test_pictures_have_texts(tmp_path: Path) -> None:
    page = Page(several().report(tmp_path / "r.html"))
    assert page.tags.count("svg") == page.tags.count("figcaption") == 3
    assert page.source.count('aria-hidden="true"') == 3
    assert page.tags.count("details") >= 3  # each picture's table
    for svg in re.findall(r"<svg.*?</svg>", page.source, re.DOTALL):
        tree.fromstring(svg)
        assert re.findall(r"#0102\w\w", svg) == []  # all colours are the page's
        assert "var(--" in svg


def test_what_others_say_is_text(tmp_path: Path) -> None:
    stats = Stats()
    stats.record(None, "ReadTimeout", url=f"http://h.example/{HOSTILE}", message=HOSTILE)
    stats.record(200, latency=1.0, url=f"http://{HOSTILE}/")
    stats.record(999, latency=2.0, url="http://h.example/", message=HOSTILE)
    stats.record(404, HOSTILE, latency=2.0, url="http://h.example/")
    page = Page(stats.report(tmp_path / "r.html"))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert HOSTILE in page.text
    assert html.escape("<script>") in page.source
    notebook = stats._repr_html_()
    assert "<script" not in notebook


def test_what_others_say_is_text_for_crawls_too(tmp_path: Path) -> None:
    figures = crawl_figures()
    figures["store"] = HOSTILE
    figures["bounds"] = {HOSTILE: {"times": 1, "example": HOSTILE}}
    figures["types"] = [{"type": HOSTILE, "pages": 1, "bytes": 3}]
    figures["states"] = {HOSTILE: 3}
    figures["broken"] = [{"url": HOSTILE, "status": 404, "error": HOSTILE, "found_on": HOSTILE}]
    page = Page(write_crawl_report(figures, tmp_path / "c.html"))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert page.text.count(HOSTILE) >= 6


def crawl_figures() -> dict[str, Any]:
    return {
        "store": "docs.crawl", "known": 1200, "done": 1000, "failed": 30, "refused": 20,
        "queued": 150, "items": 1030, "bytes": 5_000_000, "held": {}, "bounds": {},
        "states": {"done": 1000, "failed": 30, "refused": 20, "queued": 150},
        "depths": dict(enumerate([1, 40, 800, 359])), "types": [], "broken": [],
        "pages": several().as_dict(),
    }  # fmt: skip


def test_a_crawls_page(tmp_path: Path) -> None:
    page = Page(write_crawl_report(crawl_figures(), tmp_path / "c.html"))
    text = " ".join(page.text.split())
    assert "1,200 URLs known, 1,000 done, 150 still to do" in text
    assert "0: 1, 1: 40, 2: 800, 3: 359." in text
    assert len(page.ids) == len(set(page.ids))


def test_json_keeps_all_that_a_page_needs(tmp_path: Path) -> None:
    stats = several()
    figures = json.loads(json.dumps(stats.as_dict()))
    direct = stats.report(tmp_path / "a.html").read_text()
    assert write_stats_report(figures, tmp_path / "b.html").read_text() == direct
    assert write_stats_report(stats, tmp_path / "c.html").read_text() == direct


@pytest.mark.parametrize(
    "made",
    [
        [],
        [(200, None, 0.0)],
        [(200, None, 0.1)],
        [(None, "ReadTimeout", None)],
        [(200, None, 1e-9), (200, None, 1e5)],
        [(status, None, 0.1) for status in range(100, 1000)],
        [(None, f"Error{number}", None) for number in range(300)],
    ],
    ids=["none", "no time", "one", "only failures", "far apart", "any status", "many kinds"],
)
def test_odd_figures(tmp_path: Path, made: list[tuple[Any, Any, Any]]) -> None:
    stats = Stats()
    for status, error, latency in made:
        stats.record(status, error, latency, url="http://h.example/")
    path = stats.report(tmp_path / "r.html")
    assert path.stat().st_size < 500_000
    stats._repr_html_()


def test_a_report_is_replaced_when_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.html"
    path.write_text("before")
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "")))
    with pytest.raises(OSError):
        several(10).report(path)
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["r.html"]


def test_without_the_extra_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install 'reqkit\[cli\]'"):
        several(3).report(tmp_path / "r.html")
    assert "<table>" in several(3)._repr_html_()


def test_drawing_changes_no_settings(tmp_path: Path) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    known = "matplotlib.pyplot" in sys.modules
    several().report(tmp_path / "r.html")
    assert dict(matplotlib.rcParams) == before
    assert ("matplotlib.pyplot" in sys.modules) is known


@pytest.mark.slow
def test_a_million_requests_take_half_a_megabyte(tmp_path: Path) -> None:
    stats = several(1_000_000, hosts=50_000)
    assert stats.report(tmp_path / "r.html").stat().st_size < 500_000
    assert len(json.dumps(stats.as_dict())) < 100_000


def test_pools_show_themselves(echo: ScriptedServer) -> None:
    with reqkit_async.Pool(2) as pool:
        pool.map([reqkit_async.get(echo("/"))])
        shown = pool._repr_html_()
    assert "1 (0 failed)" in shown
    assert "&lt;Pool size=2" in shown


def test_crawls_show_themselves(echo: ScriptedServer) -> None:
    with reqkit_async.Crawl(robots=False) as crawl:
        crawl.add(echo("/"))
        for _ in crawl:
            pass
        shown = crawl._repr_html_()
        figures = json.loads(json.dumps(crawl.figures()))
    assert "&lt;Crawl &#x27;in memory&#x27; done=1" in shown
    assert (figures["done"], figures["pages"]["statuses"]) == (1, {"200": 1})


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "\u2013"), (0, "0"), (1.5e-6, "1.5 µs"), (0.0123, "12.3 ms"), (0.5, "500 ms"),
        (1.234, "1.23 s"), (119, "119 s"), (120, "2 min"), (3725, "62 min 5 s"),
        (7260, "2 h 1 min"), (10 * 86400 + 3600, "10 days 1 h"),
    ],
)  # fmt: skip
def test_seconds(seconds: float | None, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(0, 0, "\u2013"), (1, 10_000, "< 0.1 %"), (9_999, 10_000, "> 99.9 %"), (1, 4, "25 %"),
     (1, 3, "33.3 %"), (0, 5, "0 %"), (5, 5, "100 %")],
)  # fmt: skip
def test_percent(part: int, whole: int, text: str) -> None:
    assert percent_text(part, whole) == text


def test_other_numbers() -> None:
    assert [count_text(value) for value in (None, 1234567, 12.34, 0.125)] == [
        "\u2013", "1,234,567", "12.3", "0.12",
    ]  # fmt: skip
    assert [bytes_text(value) for value in (None, 999, 1500, 2.5e9, 3e15)] == [
        "\u2013", "999 B", "1.5 kB", "2.5 GB", "3,000.0 TB",
    ]  # fmt: skip
    assert moment_text(0) == "1970-01-01 00:00:00 UTC"
