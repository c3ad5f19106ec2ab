"""Sitemaps in all their forms, and those that are traps."""

# ruff: noqa: E501 - tables

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from crawl.site import Answer, Site, linked

import reqkit_async
from reqkit_async.crawl.sitemaps import SitemapError, read_sitemap

Crawling = Callable[..., reqkit_async.Crawl]

HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n'
SET = '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'


def urlset(*urls: str) -> str:
    return HEAD + SET + "".join(f"<url><loc>{u}</loc></url>" for u in urls) + "</urlset>"


def index(*urls: str) -> str:
    inside = "".join(f"<sitemap><loc> {u}\n</loc><lastmod>x</lastmod></sitemap>" for u in urls)
    return f"{HEAD}<sitemapindex>{inside}</sitemapindex>"


RSS = "<rss><channel><link>http://a/</link><item><link>http://a/1</link></item></channel></rss>"
ATOM = (
    '<feed xmlns="http://www.w3.org/2005/Atom"><link href="http://a/"/><entry>'
    '<link rel="edit" href="http://a/e"/><link href="http://a/1"/></entry></feed>'
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (urlset("http://a/1", "http://a/2?x=1&amp;y=2"), [(0, "http://a/1"), (0, "http://a/2?x=1&y=2")]),
        (index("http://a/1.xml"), [(1, "http://a/1.xml")]),
        ("http://a/1\r\nhttps://a/2\n# no\n\nftp://a/3\nhttp://a/4", [(0, "http://a/1"), (0, "https://a/2"), (0, "http://a/4")]),
        (RSS, [(0, "http://a/1")]),
        (ATOM, [(0, "http://a/1")]),
        ("\ufeff  \n" + urlset("http://a/1").removeprefix(HEAD), [(0, "http://a/1")]),
        (urlset("<![CDATA[http://a/1]]>"), [(0, "http://a/1")]),
        (urlset("http://a/" + "x" * 5000, "http://a/1"), [(0, "http://a/1")]),
        ("", []),
        ("<html><body><a href='x'>a page</a></body></html>", []),
        ('<!DOCTYPE urlset>' + urlset("http://a/1").removeprefix(HEAD), [(0, "http://a/1")]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cut", [1, 7, 100000])
@pytest.mark.parametrize("packed", [False, True])
def test_reading(text: str, expected: list[tuple[bool, str]], cut: int, packed: bool) -> None:
    data = text.encode()
    if packed:
        data = gzip.compress(data[:20]) + gzip.compress(data[20:])
    pieces = [data[at : at + cut] for at in range(0, len(data), cut)]
    assert list(read_sitemap(pieces)) == [(bool(more), url) for more, url in expected]


def test_other_encodings() -> None:
    text = urlset("http://a/é").replace("UTF-8", "ISO-8859-1").encode("latin-1")
    assert list(read_sitemap([text])) == [(False, "http://a/é")]
    text = urlset("http://a/é").replace("UTF-8", "UTF-16").encode("utf-16")
    assert list(read_sitemap([text])) == [(False, "http://a/é")]


LAUGHS = (
    '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>'
    "<urlset><url><loc>http://a/&b;</loc></url></urlset>"
)
FILES = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><urlset><url><loc>&f;</loc></url></urlset>'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (LAUGHS, "entities"),
        (FILES, "entities"),
        (SET + "<url><loc>http://a/1</loc>", "broken"),
        (SET + "<url></loc>", "broken"),
        ("<a>" * 200, "nested"),
        ("x" * 10000, "neither"),
    ],
)
def test_what_is_refused(text: str, says: str) -> None:
    with pytest.raises(SitemapError, match=says):
        list(read_sitemap([text.encode()]))


def test_what_was_read_before_counts() -> None:
    found = []
    with pytest.raises(SitemapError):
        for _, url in read_sitemap([(urlset("http://a/1") + "<more>").encode()]):
            found.append(url)
    assert found == ["http://a/1"]


def many(count: int) -> Iterator[bytes]:
    yield (HEAD + SET).encode()
    for number in range(count):
        yield f"<url><loc>http://a.example/{number}</loc></url>".encode()
    yield b"</urlset>"


def test_memory_is_flat() -> None:
    list(read_sitemap(many(100)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_sitemap(many(10_000))) == 10_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_a_bomb_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reqkit_async.crawl.sitemaps.LARGEST", 1 << 20)
    bomb = gzip.compress(b"<urlset>" + b" " * (4 << 20))
    with pytest.raises(SitemapError, match="more than"):
        list(read_sitemap([bomb]))
    with pytest.raises(SitemapError, match="gzip"):
        list(read_sitemap([b"\x1f\x8b nothing of the kind"]))
    monkeypatch.setattr("reqkit_async.crawl.sitemaps.MOST", 10)
    with pytest.raises(SitemapError, match="URLs"):
        list(read_sitemap(many(11)))


def mapped(robots: str) -> Callable[[str, dict[str, str]], Answer | None]:
    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        host = "http://" + fields["Host"]
        xml = "application/xml"
        if path == "/robots.txt":
            return Answer(robots.replace("HOST", host), kind="text/plain")
        if path == "/sitemap.xml":
            return Answer(urlset(f"{host}/usual"), kind=xml)
        if path == "/index.xml":
            return Answer(index(f"{host}/a.xml.gz", "/b.txt", f"{host}/index.xml"), kind=xml)
        if path == "/a.xml.gz":
            packed = gzip.compress(urlset(f"{host}/1", f"{host}/2", "http://other/").encode())
            return Answer(packed, kind="application/x-gzip")
        if path == "/b.txt":
            return Answer(f"{host}/2\n{host}/3\n", kind="text/plain")
        if path == "/broken.xml":
            return Answer(SET + f"<url><loc>{host}/4</loc></url><oops", kind=xml)
        return None if path.startswith("/no") else linked(path, [])

    return answer


def visited(crawl: reqkit_async.Crawl) -> list[str]:
    return sorted("/" + response.url.split("/", 3)[3] for response in crawl)


@pytest.mark.parametrize(
    "encoding",
    ["gb2312", "Shift_JIS", "big5", "euc-kr", "koi8-r", "windows-1251", "utf-7", "ISO-8859-1"],
)
def test_encodings(encoding: str) -> None:
    title = "\u4e2d" if encoding in ("gb2312", "Shift_JIS", "big5") else "a"
    text = (
        f'<?xml version="1.0" encoding="{encoding}"?><urlset><url><title>{title}</title>'
        "<loc>http://a.example/1</loc></url></urlset>"
    )
    body = text.encode(encoding)
    for step in (1, 7, len(body)):
        pieces = [body[start : start + step] for start in range(0, len(body), step)]
        assert list(read_sitemap(pieces)) == [(False, "http://a.example/1")]


@pytest.mark.parametrize("before", ["<urlset a='", "<urlset><!-- ", "<", "<!DOCTYPE a [ <!-- "])
@pytest.mark.parametrize("encoding", ["utf-8", "gbk"])
def test_a_tag_without_end_is_not_read_to_its_end(before: str, encoding: str) -> None:
    pieces = 0

    def endless() -> Iterator[bytes]:
        nonlocal pieces
        yield f"<?xml version='1.0' encoding='{encoding}'?>{before}".encode()
        while True:
            pieces += 1
            yield b"x" * 65536

    with pytest.raises(SitemapError, match="1 MB"):
        list(read_sitemap(endless()))
    assert pieces < 20


@pytest.mark.parametrize(
    "encoding",
    [
        "nope",
        "hex",
        "rot13",
        "idna",
        "undefined",
        "unicode_escape",
        "x" * 300,
        "",
        "utf-32",
        "\xff",
    ],
)
def test_an_encoding_that_is_none(
    crawling: Crawling, site: Callable[..., Site], encoding: str
) -> None:
    body = f'<?xml version="1.0" encoding="{encoding}"?><urlset>\xe9</urlset>'.encode("latin-1")
    pages = site(lambda path, _: Answer(body) if path == "/bad.xml" else linked(path, []))
    with crawling(robots=False) as crawl:
        crawl.add_sitemap(pages("/bad.xml"))
        crawl.add(pages("/page"))
        assert visited(crawl) == ["/page"]
        [failed] = crawl.failed()
        assert "SitemapError" in (failed.error or "")


def test_an_index(crawling: Crawling, site: Callable[..., Site]) -> None:
    pages = site(mapped(""))
    with crawling() as crawl:
        assert crawl.add_sitemap(pages("/index.xml"))
        assert not crawl.add_sitemap(pages("/index.xml"))
        assert visited(crawl) == ["/1", "/2", "/3"]
        assert crawl.stats.bounds["scope"] == (1, "http://other/")
    assert set(pages.counts().values()) == {1}
    with crawling() as crawl:
        assert not crawl.add_sitemap(pages("/index.xml"))
        assert visited(crawl) == []


@pytest.mark.parametrize(
    ("robots", "expected"),
    [
        ("Sitemap: HOST/index.xml\nSitemap: /b.txt", ["/1", "/2", "/3", "/page"]),
        ("User-agent: *\nDisallow: /2\nSitemap: HOST/a.xml.gz", ["/1", "/page"]),
        ("", ["/page", "/usual"]),
        ("Sitemap: HOST/none.xml\n", ["/page"]),
    ],
)
@pytest.mark.parametrize("obey", [True, False])
def test_those_that_robots_names(
    crawling: Crawling, site: Callable[..., Site], robots: str, expected: list[str], obey: bool
) -> None:
    pages = site(mapped(robots))
    with crawling(robots=obey) as crawl:
        crawl.add(pages("/page"))
        assert crawl.add_sitemap()
        if not obey and "Disallow" in robots:
            expected = ["/1", "/2", "/page"]
        assert visited(crawl) == expected
    assert pages.counts()["/robots.txt"] == 1


def test_a_broken_one_has_failed(crawling: Crawling, site: Callable[..., Site]) -> None:
    pages = site(mapped(""))
    with crawling() as crawl:
        crawl.add_sitemap(pages("/broken.xml"))
        crawl.add_sitemap(pages("/none.xml"))
        assert visited(crawl) == ["/4"]
        [broken, missing] = crawl.failed()
        assert "broken" in (broken.error or "")
        assert missing.status == 404
        assert crawl.again() == 2


def test_without_a_host_there_is_nothing_to_ask(crawling: Crawling) -> None:
    with crawling() as crawl, pytest.raises(ValueError, match="add a page first"):
        crawl.add_sitemap()
