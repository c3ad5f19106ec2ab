from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reqkit.message.links import links_by_rel, parse_links

CASES: list[tuple[str, list[dict[str, str]]]] = [
    ("", []),
    (" , ,", []),
    ("<http://a/>", [{"url": "http://a/"}]),
    ("<http://a/>;", [{"url": "http://a/"}]),
    ("<http://a/>; rel=next", [{"url": "http://a/", "rel": "next"}]),
    (
        '<http://a/1.jpeg>; rel=front; type="image/jpeg",<http://a/2.jpeg>; rel=back',
        [
            {"url": "http://a/1.jpeg", "rel": "front", "type": "image/jpeg"},
            {"url": "http://a/2.jpeg", "rel": "back"},
        ],
    ),
    # A comma and a semicolon belong to a URL, and to a quoted string.
    ("</a,b;c>; rel=x", [{"url": "/a,b;c", "rel": "x"}]),
    ('</a>; title="a, <b>; rel=no"; rel=x', [{"url": "/a", "title": "a, <b>; rel=no", "rel": "x"}]),
    (r'</a>; title="say \"hi\" \\ "', [{"url": "/a", "title": 'say "hi" \\ '}]),
    # Space anywhere, any case, single quotes.
    ("< /a > ; REL = 'next' , </b>", [{"url": "/a", "rel": "next"}, {"url": "/b"}]),
    # The first of two counts, and none takes the URL's place.
    ("</a>; rel=one; rel=two; url=/c", [{"url": "/a", "rel": "one"}]),
    # No value, an empty one, an extended one.
    (
        "</a>; crossorigin; rel=; title*=UTF-8''%e2%82%ac",
        [{"url": "/a", "crossorigin": "", "rel": "", "title*": "UTF-8''%e2%82%ac"}],
    ),
    # Relative and empty targets are left as they are.
    ("<>; rel=self", [{"url": "", "rel": "self"}]),
    # Junk is left out, and what follows is found.
    ("junk, </a>; rel=x", [{"url": "/a", "rel": "x"}]),
    ("</a> junk; rel=x, </b>", [{"url": "/a", "rel": "x"}, {"url": "/b"}]),
    ('</a>; rel="x"junk; title=t', [{"url": "/a", "rel": "x", "title": "t"}]),
    ("</a>;;; =x; rel=y", [{"url": "/a", "rel": "y"}]),
    ("</a", []),
    ("<", []),
    ('</a>; title="never closed, </b>', [{"url": "/a", "title": "never closed, </b>"}]),
    ('</a>; title="ends in \\', [{"url": "/a", "title": "ends in "}]),
]


@pytest.mark.parametrize(("value", "expected"), CASES)
def test_parse(value: str, expected: list[dict[str, str]]) -> None:
    assert parse_links(value) == expected


@given(st.text(alphabet="<>;,=\"\\ 'ab\té", max_size=40))
def test_junk_never_raises(value: str) -> None:
    for link in parse_links(value):
        assert "url" in link
    links_by_rel(value)


@given(st.text(alphabet='<>;,="\\ ab'), st.text(alphabet="abc/,;", max_size=8))
def test_a_quoted_string_and_a_target_come_back_whatever_is_in_them(title: str, url: str) -> None:
    quoted = title.replace("\\", "\\\\").replace('"', '\\"')
    value = f'<{url}>; title="{quoted}"; rel=next, </last>; rel=last'
    assert parse_links(value) == [
        {"url": url, "title": title, "rel": "next"},
        {"url": "/last", "rel": "last"},
    ]


def test_by_relation() -> None:
    found = links_by_rel('</1>; rel=next, </2>; rel="last", </3>, </4>; rel=next')
    assert found == {
        "next": {"url": "/4", "rel": "next"},
        "last": {"url": "/2", "rel": "last"},
        "/3": {"url": "/3"},
    }
    assert links_by_rel("") == {}
