"""Tables for URLs: what they become, what is read from them, and what is refused."""

from __future__ import annotations

import pickle
import traceback
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from reqkit.exceptions import InvalidURL, MissingSchema, URLRequired
from reqkit.message.urls import (
    Target,
    encode_params,
    join,
    prepare_url,
    requote,
    same_origin,
    suggestion,
    without_password,
    without_secrets,
)
from reqkit.message.urls.targets import _normalised, _parsed


class Named:
    """An object whose ``str()`` is a URL."""

    def __str__(self) -> str:
        return "http://example.org/named"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.org", "http://example.org/"),
        ("http://example.org/a/b?c=d", "http://example.org/a/b?c=d"),
        (b"http://example.org/a", "http://example.org/a"),
        ("http://example.org/é".encode(), "http://example.org/%C3%A9"),
        (Named(), "http://example.org/named"),
        (" \n\thttp://example.org/", "http://example.org/"),
        ("HTTPS://Example.ORG/A", "https://example.org/A"),
        ("http://example.org?q", "http://example.org/?q"),
        ("http://example.org#f", "http://example.org/#f"),
        ("http://example.org/?#", "http://example.org/"),
        ("http://example.org/a?b?c?", "http://example.org/a?b?c?"),
        ("http://example.org/a b\t", "http://example.org/a%20b%09"),
        ('http://example.org/"<>[]^`{|}\\', "http://example.org/%22%3C%3E%5B%5D%5E%60%7B%7C%7D%5C"),
        ("http://example.org/%7euser/%2fx", "http://example.org/~user/%2Fx"),
        ("http://example.org/100%", "http://example.org/100%25"),
        ("http://example.org/%zz%20", "http://example.org/%25zz%20"),
        ("http://example.org/a/./b/../c", "http://example.org/a/c"),
        ("http://example.org/a/%2e%2E/c", "http://example.org/c"),
        ("http://example.org/../..", "http://example.org/"),
        ("http://example.org/.well-known/x", "http://example.org/.well-known/x"),
        ("http://example.org//a//", "http://example.org//a//"),
        ("http://example.org/a;p=1?x=./../y", "http://example.org/a;p=1?x=./../y"),
        ("http://example.org/#a b/%7e", "http://example.org/#a%20b/~"),
        ("http://example.org:80/", "http://example.org:80/"),
        ("http://example.org:/", "http://example.org/"),
        ("http://example.org:0080/", "http://example.org:80/"),
        ("http://ジェーピーニック.jp", "http://xn--hckqz9bzb1cyrb.jp/"),
        ("http://xn--n3h.net/", "http://xn--n3h.net/"),
        ("http://straße.de/straße", "http://xn--strae-oqa.de/stra%C3%9Fe"),
        ("http://Königsgäßchen.de:8080/", "http://xn--knigsgchen-b4a3dun.de:8080/"),
        (
            "http://[1200:0000:AB00:1234:0000:2552:7777:1313]:12345/",
            "http://[1200:0000:ab00:1234:0000:2552:7777:1313]:12345/",
        ),
        ("http://u:p@example.org/", "http://u:p@example.org/"),
        ("http://u:p@ss w:d@example.org/", "http://u:p%40ss%20w:d@example.org/"),
        ("http://@example.org/", "http://example.org/"),
        ("http+unix://%2Fvar%2Frun%2Fsocket/path%7E", "http+unix://%2Fvar%2Frun%2Fsocket/path~"),
        ("HTTP+UNIX://%2Fvar%2Frun%2Fsocket/p q", "http+unix://%2Fvar%2Frun%2Fsocket/p%20q"),
        ("mailto:user@example.org", "mailto:user@example.org"),
        ("data:SSDimaUgUHl0aG9uIQ==", "data:SSDimaUgUHl0aG9uIQ=="),
        ("localhost:3128", "localhost:3128"),
        ("10.122.1.1:3128/", "10.122.1.1:3128/"),
    ],
)
def test_the_url(url: Any, expected: str) -> None:
    assert prepare_url(url).url == expected
    assert prepare_url(expected).url == expected


def test_a_very_long_url_is_prepared_too() -> None:
    long = "http://example.org/" + "a" * 5000
    assert prepare_url(long).path == "/" + "a" * 5000


@pytest.mark.parametrize(
    ("url", "host", "port", "authority", "path", "userinfo"),
    [
        ("http://h/p?q#f", "h", 80, "h", "/p?q", None),
        ("https://h", "h", 443, "h", "/", None),
        ("https://h:443/", "h", 443, "h", "/", None),
        ("https://h:80/", "h", 80, "h:80", "/", None),
        ("http://h:0/", "h", 0, "h:0", "/", None),
        ("http://h:65535/", "h", 65535, "h:65535", "/", None),
        ("http://[::1]/", "::1", 80, "[::1]", "/", None),
        ("http://[FE80::1%25eth0]:81/", "fe80::1%eth0", 81, "[fe80::1]:81", "/", None),
        ("http://[::ffff:1.2.3.4]/", "::ffff:1.2.3.4", 80, "[::ffff:1.2.3.4]", "/", None),
        ("http://127.1/", "127.1", 80, "127.1", "/", None),
        ("http://0x7f000001/", "0x7f000001", 80, "0x7f000001", "/", None),
        ("http://2130706433/", "2130706433", 80, "2130706433", "/", None),
        ("http://a_b.example./", "a_b.example.", 80, "a_b.example.", "/", None),
        ("http://u:p%3A%C3%A9@h/", "h", 80, "h", "/", ("u", "p:é")),
        ("http://u:%E9@h/", "h", 80, "h", "/", ("u", "é")),
        ("http://u@h/", "h", 80, "h", "/", ("u", "")),
        ("http://:p@h/", "h", 80, "h", "/", ("", "p")),
        ("http://:@h/", "h", 80, "h", "/", None),
        ("http://a@b@c/", "c", 80, "c", "/", ("a@b", "")),
        ("http://good.example:80@evil.example/", "evil.example", 80, "evil.example", "/",
         ("good.example", "80")),
        ("http://evil.example#@good.example/", "evil.example", 80, "evil.example", "/", None),
        ("http://evil.example?@good.example/", "evil.example", 80, "evil.example",
         "/?@good.example/", None),
    ],
)  # fmt: skip
def test_what_is_read_from_it(
    url: str, host: str, port: int, authority: str, path: str, userinfo: Any
) -> None:
    target = prepare_url(url)
    assert target.scheme == url.partition(":")[0]
    assert (target.host, target.port, target.authority) == (host, port, authority)
    assert (target.path, target.userinfo) == (path, userinfo)
    assert target.origin == (target.scheme, host, port)


def test_another_scheme_is_left_to_its_adapter() -> None:
    assert prepare_url("Mailto:me@example.org", {"a": "b"}) == Target(
        "Mailto:me@example.org", "mailto", "", 0, "", "", None, ("mailto", "", 0)
    )
    unix = prepare_url("http+unix://u:p@%2Fsock:8/x?y#z", {"key": "value"})
    assert unix.url == "http+unix://u:p@%2Fsock:8/x?y&key=value#z"
    assert unix.path == "/x?y&key=value"
    assert (unix.host, unix.port, unix.userinfo) == ("%2Fsock", 8, ("u", "p"))


@pytest.mark.parametrize("url", [None, "", "   ", b""])
def test_no_url(url: Any) -> None:
    with pytest.raises(URLRequired, match="expected one such as"):
        prepare_url(url)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("example.org/x", "https://example.org/x"),
        ("//host/x", "https://host/x"),
        ("httpbin.org:80/get", "http://httpbin.org:80/get"),
        ("http-server:443/", "https://http-server:443/"),
        ("://host", "https://host"),
        ("example.org/a:b", "https://example.org/a:b"),
    ],
)
def test_a_missing_scheme_is_named_with_what_was_meant(url: str, meant: str) -> None:
    with pytest.raises(MissingSchema) as caught:
        prepare_url(url)
    assert repr(url) in str(caught.value)
    assert f"perhaps you meant {meant!r}" in str(caught.value)


@pytest.mark.parametrize("url", ["/only/a/path", "two words", "?q", "\u200bhttp://h/"])
def test_a_missing_scheme_with_nothing_to_suggest(url: str) -> None:
    with pytest.raises(MissingSchema, match="has no scheme: expected it to start with") as caught:
        prepare_url(url)
    assert "perhaps" not in str(caught.value) or "http" in url


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("localhost:3128", "http://localhost:3128"),
        ("10.122.1.1:3128/", "http://10.122.1.1:3128/"),
        ("example.org:443", "https://example.org:443"),
        ("htps://example.org/", "https://example.org/"),
        ("hhtp://example.org/", "http://example.org/"),
        ("u:secret@example.org/", None),
        ("htp://u:secret@example.org/", "http://u:***@example.org/"),
        ("mailto:me@example.org", None),
        ("ftp://example.org/", None),
        ("https://example.org/", None),
    ],
)
def test_suggestions(url: str, meant: str | None) -> None:
    assert suggestion(url) == meant


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("http://", "has no host"),
        ("http:///x", "has no host"),
        ("http:example.org", "has no host"),
        ("https:/example.org", "has no host"),
        ("http://u:p@/", "it has no host"),
        ("http://:80/", "it has no host"),
        ("http+unix:///x", "has no host"),
        ("http://h:65536/", "its port is no number from 0 to 65535"),
        ("http://h:-1/", "its port is no number"),
        ("http://h:8o/", "its port is no number"),
        ("http://h:\uff18\uff10/", "its port is no number"),
        ("http+x://h:8o/", "its port is no number"),
        ("http://h:80:80/", "its host has colons"),
        ("http://::1/", "write an IPv6 address in brackets"),
        ("http://[::1/", "no closing bracket"),
        ("http://[::1]x/", "expected an IPv6 address in brackets"),
        ("http://[::1]:99999999/", "expected an IPv6 address in brackets"),
        ("http://[v1.a]/", "expected an IPv6 address in brackets"),
        ("http://[::999.1.1.1]/", "is not an IPv6 address"),
        ("http://a b/", "a host cannot have ' '"),
        ("http://a\tb/", r"a host cannot have '\\t'"),
        ("http:// /", "a host cannot have ' '"),
        ("http://a<b/", "a host cannot have '<'"),
        ("http://a|b/", r"a host cannot have '\|'"),
        ("http://a%20b/", "a host cannot have '%'"),
        ("http://a%zz/", "a host cannot have '%'"),
        ("http://a%0db/", "a host cannot have '%'"),
        ("http://*.example.org/", r"cannot start with '\*'"),
        ("http://*", r"cannot start with '\*'"),
        (b"http://.example.org", r"cannot start with '\.'"),
        ("http://a..b/", "empty label"),
        ("http://a../", "empty label"),
        (f"http://{'a' * 64}.org/", "too long"),
        (f"http://{'ab.' * 85}/", "too long"),
        ("http://☃.net/", "not a name that IDNA can express"),
        (f"http://{'ü' * 64}.de/", "not a name that IDNA can express"),
        ("http://exämple℀.org/", "not a name that IDNA can express"),
        ("http://\udc80/", "cannot be sent to"),
        ("http://good\\@evil/", "backslash after its host"),
        ("http://good\\evil/", "backslash after its host"),
        ("http://h/a\r\nX: y", r"has a '\\r' at position 10: percent-encode it"),
        ("http://h/\n", r"has a '\\n' at position 9: strip it"),
        ("http://h/?\0", r"has a '\\x00' at position 10"),
        ("http://u\r\n:p@h/", r"has a '\\r'"),
        ("mailto:a\r\nb", r"has a '\\r'"),
        (b"http://h/\xff", "bytes that are not UTF-8"),
    ],
)
@pytest.mark.parametrize("encode", [True, False])
def test_what_cannot_be_sent(url: Any, text: str, encode: bool) -> None:
    with pytest.raises(InvalidURL, match=text):
        prepare_url(url, encode=encode)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:s3cret@h:99999/",
        "http://user:s3c/ret@h/",
        "http://user:s3c?ret@h/",
        "http://user:s3c#ret@h/",
        "http://user:s3c\\ret@h/",
        "http://user:s3cret@/x",
        "http://user:s3cret@a b/",
        "http://user:s3cret@☃/",
        "http://user:s3cret@h/\n",
        "http:/user:s3cret@h/",
        "http:user:s3cret@h/",
        "user:s3cret@h/x/?y",
        "//user:s3cret@h/x",
        "http+unix://user:s3cret@h:x/",
        b"http://user:s3cret@h/\xff",
        "http://user:s3c\u2028ret@[::1/",
    ],
)
def test_a_password_is_in_no_error(url: Any) -> None:
    # Some are no error here, but one of whoever has no adapter for them.
    text = without_password(url)
    try:
        prepare_url(url)
    except ValueError as error:
        text += "".join(traceback.format_exception(error))
    assert "s3c" not in text
    assert "ret@" not in text


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://user:pass@host/x", "http://user:***@host/x"),
        ("http://user:p@s@host/x?a:b@c", "http://user:***@host/x?a:b@c"),
        ("http://user@host/", "http://user@host/"),
        ("http://user:@host/", "http://user:***@host/"),
        ("http://host:80/@scope/x", "http://host:80/@scope/x"),
        ("http://[::1]:80/a@b", "http://[::1]:80/a@b"),
        ("http://host/a:b@c", "http://host/a:b@c"),
        ("http://host/", "http://host/"),
        ("http://http://u:p@host", "http://http:***@host"),
        ("http://u:p/w@host/", "http://u:***@host/"),
        (b"http://u:p\xff@host/", "http://u:***@host/"),
        (None, "None"),
        ("", ""),
    ],
)
def test_without_password(url: Any, expected: str) -> None:
    assert without_password(url) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://user:pass@host/x?token=1&page=2", "http://user:***@host/x?token=***&page=2"),
        (
            "http://host/?page=2&api_key=1#access_token=2",
            "http://host/?page=2&api_key=***#access_token=***",
        ),
        (
            "http://host/?X-Amz-Signature=1&X-Amz-Date=2",
            "http://host/?X-Amz-Signature=***&X-Amz-Date=2",
        ),
        ("http://host/?page=2&tokens", "http://host/?page=2&tokens"),
        ("http://host/token=1", "http://host/token=1"),
        (b"http://host/?CLIENT_SECRET=1", "http://host/?CLIENT_SECRET=***"),
        (None, "None"),
    ],
)
def test_without_secrets(url: Any, expected: str) -> None:
    assert without_secrets(url) == expected


@pytest.mark.parametrize(
    ("url", "params", "expected"),
    [
        ("http://h/", None, "/"),
        ("http://h/", {}, "/"),
        ("http://h/", {"a": None}, "/"),
        ("http://h/", {"a": "b c", "d": ["1", 2]}, "/?a=b+c&d=1&d=2"),
        ("http://h/?x=1", [("a", "b"), ("a", "c")], "/?x=1&a=b&a=c"),
        ("http://h/?x=1#f", {"a": "#"}, "/?x=1&a=%23"),
        ("http://h/?", {"a": "b"}, "/?a=b"),
        ("http://h/?x=1?", {"a": "b"}, "/?x=1?&a=b"),
        ("http://h", "a=b&c", "/?a=b&c"),
        ("http://h", b"a=%C3%A9", "/?a=%C3%A9"),
        ("http://h", "a=ü x%7e%2f&b[]=100%#", "/?a=%C3%BC%20x~%2f&b[]=100%25%23"),
        ("http://h", "", "/"),
    ],
)
def test_params(url: str, params: Any, expected: str) -> None:
    target = prepare_url(url, params)
    assert target.path == expected
    assert target.url == "http://h" + expected + ("#f" if "#" in url else "")


@pytest.mark.parametrize(
    ("params", "error", "text"),
    [
        (5, TypeError, "params is a int"),
        (["ab"], ValueError, "params: item 0 is a str"),
        (b"\xff", ValueError, "params is bytes that are not UTF-8"),
    ],
)
def test_params_that_cannot_be_encoded(params: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        prepare_url("http://h/", params)


def test_encode_params() -> None:
    assert encode_params(None) == ""
    assert encode_params("a b") == "a b"
    assert encode_params(b"a") == "a"
    assert encode_params({"a": 1}) == "a=1"


@pytest.mark.parametrize(
    ("url", "params", "shown", "sent"),
    [
        ("http://H/a/../%7e{}|", None, "http://h/a/../%7e{}|", "/a/../%7e{}|"),
        ("http://h/é?ü#ä", None, "http://h/é?ü#ä", "/é?ü"),
        ("http://h", None, "http://h/", "/"),
        ("http://h?x", None, "http://h/?x", "/?x"),
        ("http://h/?", None, "http://h/?", "/?"),
        ("http://h/?", {"a": "b c"}, "http://h/?a=b+c", "/?a=b+c"),
        ("http://h/%zz#f", "é='x'", "http://h/%zz?é='x'#f", "/%zz?é='x'"),
        ("http://straße.de/ß", None, "http://xn--strae-oqa.de/ß", "/ß"),
    ],
)
def test_as_it_was_given(url: str, params: Any, shown: str, sent: str) -> None:
    target = prepare_url(url, params, encode=False)
    assert target.url == shown
    assert target.path.encode("latin-1") == sent.encode("utf-8")


@pytest.mark.parametrize("bad", [" ", "\t", "\x7f", "\x01"])
def test_as_it_was_given_has_no_spaces(bad: str) -> None:
    with pytest.raises(InvalidURL, match="encode_uri=True"):
        prepare_url(f"http://h/a{bad}b", encode=False)
    with pytest.raises(InvalidURL, match="encode_uri=True"):
        prepare_url("http://h/", f"a={bad}b", encode=False)


def test_as_it_was_given_has_no_surrogates() -> None:
    with pytest.raises(InvalidURL, match="lone surrogate"):
        prepare_url("http://h/\udcff", encode=False)


def test_a_target_can_be_pickled() -> None:
    target = prepare_url("http://u:p@h/x")
    assert pickle.loads(pickle.dumps(target)) == target


def test_same_origin() -> None:
    one = prepare_url("http://h/a")
    assert same_origin(one, prepare_url("http://u:p@H:80/b"))
    for other in ("https://h/a", "http://h:81/a", "http://i/a", "https://h:80/"):
        assert not same_origin(one, prepare_url(other))


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        # The examples of RFC 3986 section 5.4, base http://a/b/c/d;p?q
        ("g:h", "g:h"),
        ("g", "http://a/b/c/g"),
        ("./g", "http://a/b/c/g"),
        ("g/", "http://a/b/c/g/"),
        ("/g", "http://a/g"),
        ("//g", "http://g"),
        ("?y", "http://a/b/c/d;p?y"),
        ("g?y", "http://a/b/c/g?y"),
        ("#s", "http://a/b/c/d;p?q#s"),
        ("g#s", "http://a/b/c/g#s"),
        ("g?y#s", "http://a/b/c/g?y#s"),
        (";x", "http://a/b/c/;x"),
        ("g;x", "http://a/b/c/g;x"),
        ("", "http://a/b/c/d;p?q"),
        (".", "http://a/b/c/"),
        ("./", "http://a/b/c/"),
        ("..", "http://a/b/"),
        ("../g", "http://a/b/g"),
        ("../..", "http://a/"),
        ("../../g", "http://a/g"),
        ("../../../g", "http://a/g"),
        ("/./g", "http://a/g"),
        ("/../g", "http://a/g"),
        ("g.", "http://a/b/c/g."),
        ("..g", "http://a/b/c/..g"),
        ("./../g", "http://a/b/g"),
        ("g/./h", "http://a/b/c/g/h"),
        ("g/../h", "http://a/b/c/h"),
        ("g;x=1/../y", "http://a/b/c/y"),
        ("g?y/../x", "http://a/b/c/g?y/../x"),
        ("http:g", "http://a/b/c/g"),
        ("HTTP:/g", "http://a/g"),
        # What servers send beside that.
        ("https://i/x y", "https://i/x%20y"),
        (" /g\t", "http://a/g"),
        ("/\xc3\xa9?\xe9", "http://a/%C3%A9?%E9"),
        ("/\u4e2d", "http://a/%E4%B8%AD"),
        ("http://stra\xc3\x9fe.de/", "http://straße.de/"),
        ("http://stra\xdfe.de/", "http://straße.de/"),
        ("/a%20b%zz", "http://a/a%20b%zz"),
        ("?", "http://a/b/c/d;p?"),
        ("#", "http://a/b/c/d;p?q#"),
        ("//i:80/x", "http://i:80/x"),
        ("\\\\i\\x", "http://a/b/c/\\\\i\\x"),
    ],
)
def test_join(location: str, expected: str) -> None:
    assert join("http://a/b/c/d;p?q", location) == expected


@pytest.mark.parametrize(
    ("base", "location", "expected"),
    [
        ("http://a/b#f", "/c", "http://a/c#f"),
        ("http://a/b#f", "http://i/c", "http://i/c#f"),
        ("http://a/b#f", "/c#g", "http://a/c#g"),
        ("http://a/b#f", "/c#", "http://a/c#"),
        ("http://a/b#f", "", "http://a/b#f"),
        ("http://u:p@a/b", "/c", "http://u:p@a/c"),
        ("http://a", "c", "http://a/c"),
        ("https://a/b", "http:/c", "http:/c"),
        ("http://a", "", "http://a"),
    ],
)
def test_join_with_other_bases(base: str, location: str, expected: str) -> None:
    assert join(base, location) == expected


@pytest.mark.parametrize("location", ["/a\r\nb", "http://h/\0", "/\né"])
def test_line_breaks_in_a_location_are_refused_in_the_end(location: str) -> None:
    with pytest.raises(InvalidURL):
        prepare_url(join("http://a/b", location))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com/fiz?buz=%25ppicture", "http://example.com/fiz?buz=%25ppicture"),
        ("http://example.com/fiz?buz=%ppicture", "http://example.com/fiz?buz=%25ppicture"),
        ("http://example.com/a b/é?[x]#y", "http://example.com/a%20b/%C3%A9?[x]#y"),
        ("/%7e%41%2f%", "/~A%2f%25"),
    ],
)
def test_requote(url: str, expected: str) -> None:
    assert requote(url) == expected


@given(st.text())
def test_requote_twice_changes_nothing_more(text: str) -> None:
    once = requote(text)
    assert once.isascii()
    assert requote(once) == once


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("\uff27\uff4f.example", "go.example"),
        ("www.foo\u3002bar.com", "www.foo.bar.com"),
        ("a\uff0eb\uff61c.example", "a.b.c.example"),
        ("B\xdcCHER.example", "xn--bcher-kva.example"),
        ("stra\xdfe.de", "xn--strae-oqa.de"),
        ("\u03b2\u03cc\u03bb\u03bf\u03c2.com", "xn--nxasmm1c.com"),
        ("exa\xadmple.org", "example.org"),
        ("\uff11\uff12\uff17.0.0.1", "127.0.0.1"),
        ("_dmarc.b\xfccher.example", "_dmarc.xn--bcher-kva.example"),
        ("a_b.b\xfccher.example.", "a_b.xn--bcher-kva.example."),
        ("\u2460.example", "1.example"),
        ("xn--bcher-kva.\u4f8b\u5b50", "xn--bcher-kva.xn--fsqu00a"),
        ("\u1e9e.example", "xn--zca.example"),
    ],
)
def test_names_are_mapped_as_uts_46_says(given: str, host: str) -> None:
    for place in (f"http://{given}/", f"http://u:p@{given}:81/x", f"https://{given}"):
        assert prepare_url(place).host == host


@pytest.mark.parametrize(
    "given",
    [
        "a\uff0fb.org", "a\uff1a80", "a\uff20b.org", "a\uff03b", "a\uff1fb", "a\uff05b", "a\u2100b",
        "\u2603.net", "a\u200db.org", "\xfc" * 70, "a\uff3cb", "\uff3b::1\uff3d", "a\u2024b",
        "\u2026.org", "a\u3000b.org", "\xad.org", "a\u3002\u3002b", "\u200b",
    ],
)  # fmt: skip
def test_names_that_are_none(given: str) -> None:
    with pytest.raises(InvalidURL):
        host = prepare_url(f"http://{given}/").host
        assert host in ("a.b",)  # U+2024 is a dot to the mapping
        raise InvalidURL


schemes = st.sampled_from(["http", "https", "HTTP"])
hosts = st.sampled_from(["h", "Example.org", "127.0.0.1", "[::1]", "[FE80::a]", "bücher.de"])
userinfos = st.one_of(
    st.just(""), st.text("ab:%41é @!", min_size=1, max_size=8).map(lambda s: s + "@")
)
ports = st.sampled_from(["", ":", ":80", ":443", ":8080", ":080"])
rests = st.one_of(
    st.just(""),
    st.text("ab09-._~!$&'()*+,;=:@/?#%2eEF[]{}\"<>^`|\\ \té", max_size=20).map(lambda s: "/" + s),
    st.text("ab./", max_size=12).map(lambda s: "/" + s),
    st.text("ab&=%/?", max_size=12).map(lambda s: "?" + s),
)
urls = st.builds("{}://{}{}{}{}".format, schemes, userinfos, hosts, ports, rests)


@given(urls)
@example("http://h/a?")
@example("http://h/%2e%2e/x")
@example("http://h/a/.%2e/x")
@example("http://h/%41")
@example("http://h/%2f")
def test_the_fast_and_the_slow_way_agree(url: str) -> None:
    fast = _parsed(url)
    assert fast == _normalised(url)
    # What is shown can be given again, and means the same.
    assert prepare_url(fast.url) == fast
    assert _normalised(fast.url) == fast
    assert fast.url.isascii()


@given(urls)
def test_what_is_read_is_what_urllib3_reads(url: str) -> None:
    target, parsed = prepare_url(url), parse_url(url)
    assert (parsed.host or "").strip("[]") == target.host
    assert (parsed.port or {"http": 80, "https": 443}[target.scheme]) == target.port


@pytest.mark.parametrize("scheme", ["http", "https", "http+unix"])
def test_a_lone_surrogate_in_the_userinfo_is_no_bare_error(scheme: str) -> None:
    target = prepare_url(f"{scheme}://user:p\udcb0@h/")
    assert target.url == f"{scheme}://user:p%ED%B2%B0@h/"
    assert target.userinfo == ("user", "p\xed\xb2\xb0")


@given(st.text(max_size=30), st.booleans())
@example("0", True)
def test_any_text_is_a_target_or_an_error_of_ours(rest: str, encode: bool) -> None:
    for start in ("", "http://", "http://h", "http://h/", "http://u:"):
        try:
            target = prepare_url(start + rest, encode=encode)
        except (URLRequired, MissingSchema, InvalidURL):
            continue
        if target.scheme in ("http", "https"):
            assert target.path.startswith("/")
            assert not set(target.path + target.host + target.authority) & set("\r\n\0 \t")
            target.path.encode("latin-1")
            assert target.host
            assert target.authority.isascii()


@given(st.text("abc.%-", max_size=9), st.text(max_size=30))
@pytest.mark.parametrize("shape", ["http://{}:{}@h/", "{}:{}@h", "//{}:{}@h/x", "http:/{}:{}@h"])
def test_no_password_is_ever_shown(shape: str, user: str, rest: str) -> None:
    assert "s3cret" not in without_password(shape.format(user, "s3cret" + rest))
