"""URLs in one form, links joined as browsers join them, and which of them are followed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest
from crawl.conftest import FAST
from crawl.site import Answer, Site, linked
from hypothesis import given
from hypothesis import strategies as st

import reqkit_async
from reqkit.exceptions import InvalidURL
from reqkit.message.urls import join, prepare_url
from reqkit_async.crawl.canonical import Base, Joiner, canonical, host_of, origin_of, trap_in
from reqkit_async.crawl.links import robots_tags
from reqkit_async.crawl.scope import Scope

Crawling = Callable[..., reqkit_async.Crawl]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a.example/", "http://a.example/"),
        ("HTTP://A.Example", "http://a.example/"),
        ("http://a.example:80/x", "http://a.example/x"),
        ("https://a.example:443/x", "https://a.example/x"),
        ("https://a.example:80/x", "https://a.example:80/x"),
        ("http://a.example:8080/x", "http://a.example:8080/x"),
        ("http://a.example:080/x", "http://a.example/x"),
        ("http://a.example:/x", "http://a.example/x"),
        ("http://a.example/x#part", "http://a.example/x"),
        ("http://a.example/a/./b/../c", "http://a.example/a/c"),
        ("http://a.example/a/b/..", "http://a.example/a/"),
        ("http://a.example/../..", "http://a.example/"),
        ("http://a.example/x?", "http://a.example/x"),
        ("http://a.example/%7Eme/%e4", "http://a.example/~me/%E4"),
        ("http://a.example/ä b", "http://a.example/%C3%A4%20b"),
        ("http://a.example/?q=a b&x=%2f", "http://a.example/?q=a%20b&x=%2F"),
        ("http://a.example/x?a=1#b?c", "http://a.example/x?a=1"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://[2001:DB8::1]:80/x", "http://[2001:db8::1]/x"),
        (" http://a.example/x", "http://a.example/x"),
    ],
)
def test_the_canonical_form(url: str, expected: str) -> None:
    assert canonical(url) == expected
    assert canonical(expected) == expected


@given(
    st.sampled_from(
        ["http://a.example", "https://a.example:8443", "http://A.b:80", "http://[::1]"]
    ),
    st.text(st.sampled_from("ab/.%2Fe?&=#~é \\:;@"), max_size=20),
)
def test_the_short_way_and_the_long_one_agree(site: str, rest: str) -> None:
    url = f"{site}/{rest}"
    try:
        target = prepare_url(url.partition("#")[0])
    except InvalidURL:
        with pytest.raises(InvalidURL):
            canonical(url)
        return
    found = canonical(url)
    assert found == f"{target.scheme}://{target.authority}{target.path}"
    assert canonical(found) == found
    assert host_of(found) == target.host
    assert found.startswith(origin_of(found) + "/")


BASE = "http://a.example/b/c/d;p?q"


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        # RFC 3986 section 5.4, what is http(s) of it and leads to another page.
        ("g", "http://a.example/b/c/g"),
        ("./g", "http://a.example/b/c/g"),
        ("g/", "http://a.example/b/c/g/"),
        ("/g", "http://a.example/g"),
        ("//g", "http://g/"),
        ("?y", "http://a.example/b/c/d;p?y"),
        ("g?y", "http://a.example/b/c/g?y"),
        ("g#s", "http://a.example/b/c/g"),
        ("g?y#s", "http://a.example/b/c/g?y"),
        (";x", "http://a.example/b/c/;x"),
        ("g;x=1/../y", "http://a.example/b/c/y"),
        (".", "http://a.example/b/c/"),
        ("./", "http://a.example/b/c/"),
        ("..", "http://a.example/b/"),
        ("../g", "http://a.example/b/g"),
        ("../..", "http://a.example/"),
        ("../../../g", "http://a.example/g"),
        ("g.", "http://a.example/b/c/g."),
        (".g", "http://a.example/b/c/.g"),
        ("..g", "http://a.example/b/c/..g"),
        ("./../g", "http://a.example/b/g"),
        ("g/./h", "http://a.example/b/c/g/h"),
        ("g/../h", "http://a.example/b/c/h"),
        ("g?y/../x", "http://a.example/b/c/g?y/../x"),
        # What browsers make of it.
        (" g ", "http://a.example/b/c/g"),
        ("g\n/h", "http://a.example/b/c/g/h"),
        ("\\g", "http://a.example/g"),
        ("g\\h?a\\b", "http://a.example/b/c/g/h?a%5Cb"),
        ("http:g", "http://a.example/b/c/g"),
        ("HTTPS://G.example", "https://g.example/"),
        ("https:/g.example/x", "https://g.example/x"),
        ("g h", "http://a.example/b/c/g%20h"),
        # No pages, or this one.
        ("", None), ("#s", None), ("mailto:me@a.example", None), ("javascript:void(0)", None),
        ("data:text/html,x", None), ("tel:123", None), ("ftp://a.example/", None),
        ("http://", None), ("http://u:p@a.example/", None), ("//", None), ("http://a b/", None),
    ],
)  # fmt: skip
def test_joining(link: str, expected: str | None) -> None:
    joiner = Joiner()
    for _ in range(2):  # the second time it is remembered
        assert joiner.join(Base(BASE), link) == expected


@given(
    st.sampled_from([BASE, "http://a.example", "https://a.example/x/", "http://a.example/x/y?z"]),
    st.text(st.sampled_from("ab/.?=#-_"), max_size=14),
)
def test_joining_is_that_of_redirects(base: str, link: str) -> None:
    joined = join(base, link)
    found = Joiner().join(Base(base), link)
    if found is None:
        assert not link.partition("#")[0] or link.startswith("//")
    else:
        assert found == canonical(joined)


def test_a_further_form(store: Path) -> None:
    with reqkit_async.Crawl(store, canonical=lambda url: url.partition("?sid=")[0]) as crawl:
        assert crawl.add("http://a.example/x?sid=1")
        assert not crawl.add("http://a.example/x?sid=2")
        assert [known.url for known in crawl.urls()] == ["http://a.example/x"]
    with (
        reqkit_async.Crawl(store, canonical=lambda url: 3) as crawl,  # type: ignore[arg-type, return-value]
        pytest.raises(TypeError, match="expected a URL"),
    ):
        crawl.add("http://a.example/y")


@pytest.mark.parametrize(
    ("url", "bound"),
    [
        ("http://a.example/" + "x" * 2000, "url length"),
        ("http://a.example/" + "a/b/" * 5, "repeated segments"),
        ("http://a.example/" + "".join(f"{n}/" for n in range(41)), "path segments"),
        ("http://a.example/x/a/a/a/a/a", "repeated segments"),
        ("http://a.example/x/a/a/a/a", None),
        ("http://a.example/tiles/0/0/0/0/0/0.png", None),
        ("http://a.example/a?" + "/a" * 20, None),
        ("http://a.example/", None),
    ],
)
def test_traps_in_a_url(url: str, bound: str | None) -> None:
    assert trap_in(url, 2000) == bound


@pytest.mark.parametrize(
    ("within", "inside", "outside"),
    [
        (
            "host",
            ["http://docs.a.co.uk/x", "https://docs.a.co.uk:8443/"],
            ["http://a.co.uk/", "http://b.docs.a.co.uk/"],
        ),
        (
            "site",
            ["http://docs.a.co.uk/x", "http://a.co.uk/", "https://b.a.co.uk/"],
            ["http://b.co.uk/", "http://co.uk/", "http://a.uk/"],
        ),
        (
            "path",
            ["http://docs.a.co.uk/guide/x", "http://docs.a.co.uk/guide/x/y?z"],
            ["http://docs.a.co.uk/", "http://docs.a.co.uk/guides", "https://docs.a.co.uk/guide/"],
        ),
        (None, ["http://any.example/"], []),
        (lambda url: "x" in url, ["http://a/x"], ["http://a/y"]),
    ],
)
def test_scopes(within: Any, inside: list[str], outside: list[str]) -> None:
    scope = Scope(within, None, None)
    scope.begin_at("http://docs.a.co.uk/guide/index.html?a=/b/")
    assert [scope.bound_of(url) for url in inside] == [None] * len(inside)
    assert [scope.bound_of(url) for url in outside] == ["scope"] * len(outside)


def test_patterns() -> None:
    scope = Scope(None, [r"/docs/", r"\.html$"], r"private|\.pdf")
    assert scope.bound_of("http://a/docs/x") is None
    assert scope.bound_of("http://a/x.html") is None
    assert scope.bound_of("http://a/x") == "allow"
    assert scope.bound_of("http://a/docs/private") == "deny"


def test_the_scope_is_known_after_a_restart(crawling: Crawling, site: Callable[..., Site]) -> None:
    pages = site(
        lambda path, _: linked(path, ["/a", "/b", "http://other.example/"])
        if path != "/robots.txt" else None
    )  # fmt: skip
    with crawling(pages=1) as crawl:
        crawl.add(pages("/"))
        for response in crawl:
            assert crawl.follow(response) == 2
    with crawling() as crawl:  # nothing is added by hand
        for response in crawl:
            crawl.follow(response)
        assert (crawl.stats.done, crawl.stats.known) == (3, 3)
        count, example = crawl.stats.bounds["scope"]
        assert (count, example) == (3, "http://other.example/")


PAGE = """
<html><head><base href="/deep/"><meta name="robots" content="noindex"></head><body>
<a href="one">1</a> <a href="one#part">1</a> <a name="no">-</a> <a href="">-</a>
<A HREF="/Two?x=1&amp;y=2">2</A> <area href="three"> <a href='four' rel="external NoFollow">4</a>
<a href="mailto:a@b">-</a> <img src="five.png"> <link href="six.css">
</body></html>
"""


def test_links(crawling: Crawling, site: Callable[..., Site]) -> None:
    pages = site(lambda path, _: Answer(PAGE) if path == "/x/page" else None)
    with crawling() as crawl:
        crawl.add(pages("/x/page"))
        for response in crawl:
            assert crawl.links(response) == [pages("/deep/one"), pages("/Two?x=1&y=2")]
            assert crawl.links(response, nofollow=False)[-1] == pages("/deep/four")
            assert crawl.links(response, "area[href], img") == [
                pages("/deep/three"), pages("/deep/five.png"),
            ]  # fmt: skip
            assert crawl.links(response, "p a") == []
            with pytest.raises(ValueError, match="selector"):
                crawl.links(response, "a[[")
            visit = crawl.visit(response)
            assert (visit.noindex, visit.nofollow, visit.unchanged) == (True, False, False)
            assert (visit.depth, visit.found_on, visit.number) == (0, None, 1)
            assert crawl.tree(response).css_first("a").text() == "1"
            break


@pytest.mark.parametrize(
    "answer",
    [
        Answer('<a href="/y">y</a>', X_Robots_Tag="nofollow"),
        Answer('<a href="/y">y</a>', X_Robots_Tag="none"),
        Answer('<a href="/y">y</a>', X_Robots_Tag="other: noindex, reqkit: nofollow"),
        Answer('<meta name="ROBOTS" content="NOINDEX,NOFOLLOW"><a href="/y">y</a>'),
        Answer('<meta name=reqkit content=none><a href="/y">y</a>'),
    ],
)
def test_a_page_whose_links_are_not_to_be_followed(
    crawling: Crawling, site: Callable[..., Site], answer: Answer
) -> None:
    pages = site(lambda path, _: answer if path == "/" else None)
    with crawling() as crawl:
        crawl.add(pages("/"))
        for response in crawl:
            assert crawl.visit(response).nofollow
            assert crawl.follow(response) == 0
            assert crawl.links(response, nofollow=False) == [pages("/y")]


def test_fields_for_other_crawlers() -> None:
    assert robots_tags("noindex, nofollow", "bot") == {"noindex", "nofollow"}
    assert robots_tags("other: noindex, nofollow", "bot") == set()
    assert robots_tags("bot: noindex, other: nofollow", "Bot") == {"noindex"}
    assert "noindex" in robots_tags("unavailable_after: 25 Jun 2030, noindex", "bot")
    assert robots_tags(None, "bot") == set()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<a href='/ü'>x</a>".encode(), "text/html"),
        ("<a href='/ü'>x</a>".encode("latin-1"), "text/html; charset=iso-8859-1"),
        ("<a href='/ü'>x</a>".encode("utf-16"), "text/html; charset=utf-16"),
        ("<meta charset=windows-1252><a href='/ü'>x</a>".encode("cp1252"), "text/html"),
        ("<a href='/ü'>x</a>".encode(), "application/xhtml+xml"),
        ("<a href='/ü'>x</a>".encode(), ""),
    ],
)
def test_pages_in_any_charset(
    crawling: Crawling, site: Callable[..., Site], body: bytes, kind: str
) -> None:
    pages = site(lambda path, _: Answer(body, kind=kind) if path == "/" else None)
    with crawling() as crawl:
        crawl.add(pages("/"))
        for response in crawl:
            assert crawl.links(response) == [pages("/%C3%BC")]
            break


@pytest.mark.parametrize("kind", ["text/plain", "image/png", "application/pdf", "application/json"])
def test_what_is_no_page_has_no_links(
    crawling: Crawling, site: Callable[..., Site], kind: str
) -> None:
    pages = site(lambda path, _: Answer('<a href="/y">', kind=kind) if path == "/" else None)
    with crawling() as crawl:
        crawl.add(pages("/"))
        for response in crawl:
            assert crawl.links(response) == []
            assert crawl.follow(response) == 0


def test_a_page_of_another_crawl(site: Callable[..., Site]) -> None:
    pages = site(lambda path, _: linked(path, ["/y"]) if path == "/" else None)
    [response] = reqkit_async.map([reqkit_async.get(pages("/"))])
    with reqkit_async.Crawl(None, **FAST) as crawl:
        assert crawl.links(response) == [pages("/y")]
        with pytest.raises(ValueError, match="not handed over"):
            crawl.visit(response)


@pytest.mark.parametrize(("size", "switches"), [(100, False), (400_000, True)])
def test_others_run_while_a_large_page_is_parsed(
    crawling: Crawling, site: Callable[..., Site], size: int, switches: bool
) -> None:
    pages = site(lambda path, fields: linked("large", ["/x"], "x" * size))
    with crawling(robots=False, pages=1) as crawl:
        crawl.add(pages("/"))
        for response in crawl:
            ran: list[bool] = []
            gevent.spawn(ran.append, True)
            assert crawl.tree(response).css_first("title").text() == "large"
            assert bool(ran) is switches
            assert crawl.links(response) == [pages("/x")]
