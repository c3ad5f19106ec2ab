"""The jar as a dict, and what comes as cookies."""

from __future__ import annotations

import copy
import http.client
import http.cookiejar
import io
import pickle
import threading
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from http.cookies import SimpleCookie
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from urllib3 import HTTPHeaderDict

from reqkit import cookies
from reqkit.cookies import (
    CookieConflictError,
    CookieJar,
    MockRequest,
    MockResponse,
    create_cookie,
)
from reqkit.exceptions import InvalidHeader


@pytest.fixture
def jar() -> CookieJar:
    jar = CookieJar()
    jar.set("a", "1")
    jar.set("b", "2", domain="x.de", path="/p")
    jar.set("c", "3", domain="y.de")
    return jar


@pytest.fixture
def conflict(jar: CookieJar) -> CookieJar:
    jar.set("b", "4", domain="y.de")
    return jar


def test_a_jar_is_a_dict_of_names_to_values(jar: CookieJar) -> None:
    assert jar["a"] == "1"
    assert jar.get("b") == "2"
    assert jar.get("nothing") is None
    assert jar.get("nothing", "default") == "default"
    assert jar.keys() == list(jar.iterkeys()) == ["a", "b", "c"]
    assert jar.values() == list(jar.itervalues()) == ["1", "2", "3"]
    assert jar.items() == list(jar.iteritems()) == [("a", "1"), ("b", "2"), ("c", "3")]
    assert dict(jar) == dict(jar.items()) == jar.get_dict() == {"a": "1", "b": "2", "c": "3"}
    assert jar == {"a": "1", "b": "2", "c": "3"}
    assert jar != {"a": "1"}
    assert len(jar) == 3
    assert jar
    assert not CookieJar()


def test_changing_it(jar: CookieJar) -> None:
    jar["d"] = "4"
    jar["a"] = "one"
    assert jar.get_dict(domain="") == {"a": "one", "d": "4"}
    del jar["b"]
    del jar["nothing"]
    jar["c"] = None
    assert jar.pop("d") == "4"
    assert jar.setdefault("a", "two") == "one"
    assert jar.popitem() == ("a", "one")
    assert not jar
    with pytest.raises(KeyError):
        jar.popitem()
    with pytest.raises(KeyError):
        jar.pop("a")


def test_what_is_in_it(jar: CookieJar) -> None:
    assert "a" in jar
    assert "nothing" not in jar
    for cookie in jar:
        assert jar.__contains__(cookie)
    assert jar.__contains__(create_cookie("a", "1"))
    for other in (1, create_cookie("a", "other"), create_cookie("a", "1", domain="x.de")):
        assert not jar.__contains__(other)


def test_a_name_of_several_cookies(conflict: CookieJar) -> None:
    with pytest.raises(CookieConflictError, match="2 cookies are named 'b'") as caught:
        conflict["b"]
    assert isinstance(caught.value, RuntimeError)
    with pytest.raises(CookieConflictError):
        conflict.get("b")
    assert "b" in conflict
    assert conflict.get("b", domain="y.de") == "4"
    assert conflict.get("b", path="/p") == "2"
    assert conflict.get("b", domain="y.de", path="/p") is None
    conflict.set("b", None, domain="y.de")
    assert conflict["b"] == "2"
    del conflict["b"]
    assert "b" not in conflict


def test_a_missing_name_says_what_was_asked(jar: CookieJar) -> None:
    with pytest.raises(KeyError, match="nothing"):
        jar["nothing"]


def test_domains_and_paths(conflict: CookieJar) -> None:
    assert conflict.list_domains() == ["", "x.de", "y.de"]
    assert conflict.list_paths() == ["/", "/p"]
    assert conflict.multiple_domains()
    assert not cookies.to_jar({"a": "1", "b": "2"}).multiple_domains()
    assert conflict.get_dict(domain="y.de") == {"c": "3", "b": "4"}
    assert conflict.get_dict(path="/p") == {"b": "2"}
    assert conflict.get_dict("x.de", "/") == {}


def test_a_host_without_dots_answers_to_the_names_of_both() -> None:
    jar = CookieJar()
    jar.store(["a=1"], "http://localhost/")
    assert jar.get("a", domain="localhost") == jar.get("a", domain="localhost.local") == "1"
    assert jar.list_domains() == ["localhost"]


def test_clear(conflict: CookieJar) -> None:
    with pytest.raises(KeyError):
        conflict.clear("nowhere.de")
    with pytest.raises(KeyError):
        conflict.clear("y.de", "/", "a")
    with pytest.raises(ValueError, match="domain"):
        conflict.clear(path="/")
    conflict.set("e", "5", domain="y.de", path="/e")
    conflict.clear("y.de", "/", "b")
    conflict.clear("y.de", "/")
    assert conflict.keys() == ["a", "b", "e"]
    conflict.clear("y.de")
    assert conflict.list_domains() == ["", "x.de"]
    conflict.clear()
    assert list(conflict) == []
    assert len(conflict) == 0


def test_session_and_ended_cookies_can_be_cleared(jar: CookieJar) -> None:
    jar.set_cookie(create_cookie("old", "1", expires=1, discard=False))
    jar.set_cookie(create_cookie("kept", "1", expires=2**40, discard=False))
    jar.clear_expired_cookies()
    assert "old" not in jar
    jar.clear_session_cookies()
    assert jar.keys() == ["kept"]


def test_the_repr_has_no_values() -> None:
    jar = cookies.to_jar({"name": "secret"})
    jar.set("other", "secret", domain="h.de")
    for text in (repr(jar), str(jar), f"{jar}"):
        assert "name" in text
        assert "h.de" in text
        assert "secret" not in text


def test_update_takes_jars_mappings_and_keywords(jar: CookieJar) -> None:
    other = CookieJar()
    other.update(jar)
    other.update({"a": None, "d": "4"}, e="5")
    assert other.get_dict() == {"b": "2", "c": "3", "d": "4", "e": "5"}
    assert other.list_domains() == ["x.de", "y.de", ""]
    next(iter(other)).value = "changed"
    assert jar["b"] == "2"


def by_pickle(jar: CookieJar) -> CookieJar:
    return pickle.loads(pickle.dumps(jar))  # type: ignore[no-any-return]


@pytest.mark.parametrize("twin_of", [by_pickle, copy.deepcopy, CookieJar.copy, cookies.to_jar])
def test_copies_are_whole_and_their_own(
    conflict: CookieJar, twin_of: Callable[[CookieJar], CookieJar]
) -> None:
    twin = twin_of(conflict)
    assert [vars(cookie) for cookie in twin] == [vars(cookie) for cookie in conflict]
    twin.set("new", "1")
    twin.clear("x.de")
    assert len(conflict) == 4
    assert twin.keys() == ["a", "c", "b", "new"]
    assert type(twin.get_policy()) is type(conflict.get_policy())


def test_values_of_other_types() -> None:
    jar = cookies.to_jar({"i": 1, "f": 1.5, "s": "x", "n": None})
    assert jar.items() == [("i", "1"), ("f", "1.5"), ("s", "x")]
    for bad in (b"secret", ["secret"], object()):
        with pytest.raises(TypeError, match="'tasty'") as caught:
            jar.set("tasty", bad)
        assert "secret" not in str(caught.value)
    with pytest.raises(TypeError, match="expected a str"):
        cookies.to_jar({1: "x"})  # type: ignore[dict-item]


@pytest.mark.parametrize("name", ["", "a=b", "a;b", "a\r\nb", "a\0"])
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidHeader, match="cannot be named"):
        create_cookie(name, "x")


def test_an_unknown_keyword_names_the_nearest() -> None:
    with pytest.raises(TypeError, match="did you mean 'domain'"):
        CookieJar().set("a", "1", domian="h.de")
    with pytest.raises(TypeError, match="expected version, port"):
        create_cookie("a", "1", zzz=1)


def test_a_made_cookie_has_the_fields_that_are_known() -> None:
    cookie = create_cookie("a", "1", domain=".h.de", expires=5, secure=True, path=None)
    assert (cookie.domain, cookie.path, cookie.version) == (".h.de", "/", 0)
    assert cookie.domain_specified
    assert cookie.domain_initial_dot
    assert not cookie.port_specified
    assert cookie.has_nonstandard_attr("HttpOnly")
    plain = create_cookie("a", None)
    assert not plain.domain_specified
    assert plain.value is None


def test_morsels() -> None:
    simple = SimpleCookie()
    simple.load('a=1; Path=/x; Domain=h.de; Secure; HttpOnly; Max-Age=100; b="x\\073y"')
    simple["e"] = "1"
    simple["e"]["expires"] = "Wed, 21 Oct 2065 07:28:00 GMT"
    jar = cookies.to_jar(simple)
    by_name = {cookie.name: cookie for cookie in jar}
    a = by_name["a"]
    assert (a.value, a.path, a.domain, a.secure) == ("1", "/x", "h.de", True)
    assert a.expires is not None
    assert not a.discard
    assert a.has_nonstandard_attr("HttpOnly")
    assert by_name["e"].expires == 3023335680
    assert (by_name["e"].path, by_name["e"].domain) == ("/", "")
    # A value that cannot be sent goes in the coded form, which was made for that.
    assert by_name["b"].value == '"x\\073y"'
    single = CookieJar()
    single.set("ignored", simple["a"])
    assert single.keys() == ["a"]


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [
        ("max-age", "soon", TypeError),
        ("expires", "someday", ValueError),
        ("expires", 100, TypeError),
    ],
)
def test_a_morsel_with_a_bad_end(key: str, value: Any, error: type[Exception]) -> None:
    simple = SimpleCookie({"a": "1"})
    simple["a"][key] = value
    with pytest.raises(error, match=f"{value}"):
        cookies.to_jar(simple)


@pytest.mark.parametrize("bad", ["a=secret", [("a", "secret")], 1])
def test_what_is_no_cookies(bad: Any) -> None:
    with pytest.raises(TypeError, match=f"cookies is a {type(bad).__name__}") as caught:
        cookies.to_jar(bad)
    assert "secret" not in str(caught.value)


def test_to_jar_makes_one_of_its_own(jar: CookieJar) -> None:
    assert len(cookies.to_jar(None)) == 0
    given = {"a": "1"}
    made = cookies.to_jar(given)
    made["b"] = "2"
    assert given == {"a": "1"}
    theirs = http.cookiejar.MozillaCookieJar()
    theirs.set_policy(http.cookiejar.DefaultCookiePolicy(blocked_domains=["h.de"]))
    theirs.set_cookie(create_cookie("a", "1", domain="h.de"))
    mine = cookies.to_jar(theirs)
    assert mine.header_for("http://h.de/") is None
    mine.clear()
    assert len(theirs) == 1


def test_names_left_out(jar: CookieJar) -> None:
    assert cookies.left_out({"a": None, "b": "", "c": 0}) == {"a"}
    jar.set_cookie(create_cookie("novalue", None))
    assert cookies.left_out(jar) == cookies.left_out(None) == cookies.left_out({}) == frozenset()


@pytest.mark.parametrize("make", [CookieJar, http.cookiejar.CookieJar])
def test_merging(make: Callable[[], http.cookiejar.CookieJar], jar: CookieJar) -> None:
    into = make()
    assert cookies.cookiejar_from_dict({"a": "first", "z": "1"}, into) is into
    assert cookies.merge_cookies(into, {"a": "second", "y": "2"}) is into
    assert {cookie.name: cookie.value for cookie in into} == {"a": "first", "z": "1", "y": "2"}
    cookies.merge_cookies(into, jar)
    cookies.merge_cookies(into, None)
    assert sorted(f"{c.name}{c.domain}={c.value}" for c in into) == [
        "a=1",
        "bx.de=2",
        "cy.de=3",
        "y=2",
        "z=1",
    ]
    cookies.cookiejar_from_dict({"a": "third"}, into)
    cookies.remove_cookie_by_name(into, "b", domain="x.de")
    assert {c.name: c.value for c in into} == {"a": "third", "c": "3", "y": "2", "z": "1"}


def test_merging_into_what_is_no_jar() -> None:
    with pytest.raises(ValueError, match="not a dict"):
        cookies.merge_cookies({}, {"a": "1"})  # type: ignore[type-var]


def test_our_cookies_can_be_saved_and_loaded_by_the_standard_library(tmp_path: Path) -> None:
    file = tmp_path / "cookies.txt"
    jar = CookieJar()
    jar.store(["a=1; Max-Age=1000", "b=2; Max-Age=1000; Domain=h.de"], "http://www.h.de/")
    saved = http.cookiejar.MozillaCookieJar(str(file))
    for cookie in jar:
        saved.set_cookie(cookie)
    saved.save()
    loaded = http.cookiejar.MozillaCookieJar(str(file))
    loaded.load()
    for kept in (loaded, cookies.to_jar(loaded)):
        header = cookies.header_for(kept, "http://www.h.de/")
        assert header is not None
        assert sorted(header.split("; ")) == ["a=1", "b=2"]
        assert cookies.header_for(kept, "http://x.www.h.de/") == "b=2"


def test_a_jar_of_the_standard_library_keeps_our_rules() -> None:
    theirs = http.cookiejar.CookieJar()
    values = ["a=1", "b=2; Domain=com", "c=3; Secure", "d=4; Max-Age=0", "\x00"]
    cookies.store(theirs, values, "http://localhost/")
    cookies.store(theirs, ["e=5; Domain=com", "f=6; Domain=h.com"], "http://h.com/")
    assert sorted((c.name, c.domain) for c in theirs) == [("a", "localhost.local"), ("f", ".h.com")]
    assert cookies.header_for(theirs, "http://localhost/") == "a=1"
    assert cookies.header_for(theirs, "http://x.localhost/") is None
    cookies.store(theirs, ["a=; Max-Age=0", "nothing=; Max-Age=0"], "http://localhost/")
    assert cookies.header_for(theirs, "http://localhost/") is None
    over = cookies.to_jar({"f": "call"})
    assert cookies.header_for(theirs, "http://h.com/", over=over) == "f=call"
    assert cookies.header_for(theirs, "http://h.com/", without={"f"}) is None


def raw_of(kind: str) -> Any:
    pairs = [("Set-Cookie", "a=1"), ("X", "y"), ("set-cookie", "b=2, c; Path=/")]
    if kind == "email":
        message = Message()
        for name, value in pairs:
            message[name] = value
        return message
    if kind == "http.client":
        text = "".join(f"{name}: {value}\r\n" for name, value in pairs) + "\r\n"
        return http.client.parse_headers(io.BytesIO(text.encode()))
    return HTTPHeaderDict(pairs)


@pytest.mark.parametrize("kind", ["email", "http.client", "urllib3"])
@pytest.mark.parametrize("make", [CookieJar, http.cookiejar.CookieJar])
def test_plugins_extract_cookies(make: Callable[[], http.cookiejar.CookieJar], kind: str) -> None:
    headers = raw_of(kind)
    request = SimpleNamespace(url="http://127.0.0.1/x/", headers={"Host": "h.de"})
    for response in (
        SimpleNamespace(headers=headers),
        SimpleNamespace(_original_response=SimpleNamespace(msg=headers)),
    ):
        jar = make()
        cookies.extract_cookies_to_jar(jar, request, response)
        assert cookies.header_for(jar, "http://h.de/x/") == "a=1; b=2, c"
        assert cookies.get_cookie_header(jar, request) == "a=1; b=2, c"
        request_with = SimpleNamespace(url=request.url, headers={"Host": "h.de", "Cookie": "x"})
        assert cookies.get_cookie_header(jar, request_with) is None


def test_extracting_from_or_into_nothing() -> None:
    request = SimpleNamespace(url="http://h.de/", headers=None)
    jar = CookieJar()
    cookies.extract_cookies_to_jar(None, request, SimpleNamespace(headers=raw_of("email")))
    for response in (None, SimpleNamespace(), SimpleNamespace(headers={})):
        cookies.extract_cookies_to_jar(jar, request, response)
    assert not jar
    cookies.extract_cookies_to_jar(jar, request, SimpleNamespace(headers={"Set-Cookie": "a=1, b"}))
    assert jar["a"] == "1, b"


def test_urllib_can_use_the_jar() -> None:
    jar = CookieJar()
    request = urllib.request.Request("http://h.de/")
    jar.extract_cookies(MockResponse(raw_of("email")), request)
    jar.add_cookie_header(request)
    assert request.get_header("Cookie") == "a=1; b=2, c"
    again = urllib.request.Request("http://h.de/", headers={"Cookie": "x=1"})
    jar.add_cookie_header(again)
    assert again.get_header("Cookie") == "x=1"


def test_the_stand_ins_say_what_a_request_says() -> None:
    mock = MockRequest(SimpleNamespace(url="https://h.de:81/x?y", headers={"Host": b"i.de"}))
    assert (mock.type, mock.get_type()) == ("https", "https")
    assert mock.host == mock.get_host() == mock.origin_req_host == "i.de"
    assert mock.get_full_url() == "https://i.de/x?y"
    assert mock.unverifiable
    assert mock.has_header("Host")
    assert not mock.has_header("Cookie")
    assert mock.get_header("Cookie", "default") == "default"
    mock.add_unredirected_header("Cookie", "a=1")
    assert mock.has_header("Cookie")
    assert mock.get_new_headers() == {"Cookie": "a=1"}
    with pytest.raises(NotImplementedError):
        mock.add_header("Cookie", "a=1")
    assert MockResponse(raw_of("email")).getheaders("X") == ["y"]


def test_threads_can_share_it() -> None:
    jar = CookieJar()
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait(10)
        for i in range(200):
            jar.store([f"n{i % 7}={number}"], f"http://h{number}.de/")
            jar.header_for(f"http://h{(number + 1) % 4}.de/")
            jar.set(f"n{i % 7}", None)
            list(jar)
            pickle.dumps(jar)

    with ThreadPoolExecutor(4) as threads:
        jobs = [threads.submit(work, number) for number in range(4)]
    assert [job.exception() for job in jobs] == [None] * 4
