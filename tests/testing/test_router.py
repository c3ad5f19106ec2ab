"""`reqkit.testing.Router`: routes, answers, errors, and what it says of what was not expected."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit import testing
from servers.scripted import ScriptedServer

URL = "https://api.example/users/1"

Send = Callable[..., reqkit.Response]


def test_a_route_answers(send: Send) -> None:
    with testing.Router() as router:
        route = router.get(URL).answer(json={"name": "Ada"}, headers={"X-A": "b"})
        response = send(URL, headers={"X-Sent": "1"})
    assert response.json() == {"name": "Ada"}
    assert (response.status_code, response.reason, response.headers["x-a"]) == (200, "OK", "b")
    [call] = route.calls
    assert (call.method, call.url, call.headers["x-sent"]) == ("GET", URL, "1")
    assert call.headers["host"] == "api.example"
    assert response.timings["wait"] is not None


def test_nothing_is_sent_over_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError("a socket was made")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    with testing.Router() as router, reqkit.Session() as session:
        router.get("http://plain.example/")
        router.get(URL)
        assert session.get("http://plain.example/").ok
        assert session.get(URL).ok


def test_answers_come_one_after_the_other_and_the_last_one_stays() -> None:
    with testing.Router() as router:
        route = router.get(URL).answer(503).answer(202).answer(200, "end")
        assert [reqkit.get(URL).status_code for _ in range(4)] == [503, 202, 200, 200]
    assert len(route.calls) == 4


def test_retries_are_the_real_ones() -> None:
    with testing.Router() as router:
        router.get(URL).answer(503, headers={"Retry-After": "0"}).answer(200, "there")
        [response] = reqkit_async.map([reqkit_async.get(URL)], retries=1)
    assert response.text == "there"


def test_redirects_and_cookies_are_the_real_ones(send: Send) -> None:
    with testing.Router() as router, reqkit.Session() as session:
        router.get("http://old.example/a").answer(
            302, headers=[("Location", "/b"), ("Set-Cookie", "k=v"), ("Set-Cookie", "l=w")]
        )
        arrived = router.get("http://old.example/b").answer(200, "b")
        response = session.get("http://old.example/a")
    assert (response.text, [each.status_code for each in response.history]) == ("b", [302])
    assert arrived.calls[0].headers["cookie"] == "k=v; l=w"


def test_connections_are_kept_and_given_up() -> None:
    streams = []
    with testing.Router() as router, reqkit.Session() as session:
        router.get(URL).answer(200, "a").answer(200, "b").answer(200, "c", close=True).answer(200)
        connect = router._connect

        def counted(*arguments: Any) -> Any:
            streams.append(connect(*arguments))
            return streams[-1]

        router._connect = counted  # type: ignore[method-assign]
        for expected in (1, 1, 1, 2):
            session.get(URL, prefetch=True)
            assert len(streams) == expected


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        ({"body": b"\x00\xff"}, b"\x00\xff"),
        ({"body": "ä"}, "ä".encode()),
        ({"json": None}, b"null"),
        ({"html": "<p>"}, b"<p>"),
        ({"chunks": [b"a", 0.001, b"b"]}, b"ab"),
        ({"chunks": []}, b""),
        ({"raw": b"HTTP/1.0 200 fine\r\n\r\nuntil the end"}, b"until the end"),
        ({"raw": b"HTTP/1.1 103 x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz"}, b"z"),
        ({}, b""),
    ],
)
def test_bodies(send: Send, answer: dict[str, Any], content: bytes) -> None:
    with testing.Router() as router:
        router.get(URL).answer(testing.Answer(**answer))
        assert send(URL).content == content


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(send: Send, status: int) -> None:
    with testing.Router() as router:
        router.get(URL).answer(status)
        assert (send(URL).status_code, send(URL).content) == (status, b"")


def test_head_has_no_body() -> None:
    with testing.Router() as router:
        router.head(URL).answer(200, "12345")
        response = reqkit.head(URL)
    assert (response.headers["content-length"], response.content) == ("5", b"")


def test_a_length_that_does_not_fit_is_a_short_body(send: Send) -> None:
    with testing.Router() as router:
        router.get(URL).answer(200, "abc", headers={"Content-Length": "5"})
        with pytest.raises(reqkit.ChunkedEncodingError):
            send(URL, prefetch=True)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionResetError, reqkit.ConnectionError),
        (ConnectionRefusedError(111, "no"), reqkit.ConnectionError),
        (socket.gaierror(-2, "unknown"), reqkit.ConnectionError),
        (TimeoutError, reqkit.ReadTimeout),
        (reqkit.SSLError("bad certificate"), reqkit.SSLError),
        (reqkit.ConnectTimeout("late"), reqkit.ConnectTimeout),
    ],
)
def test_errors(send: Send, error: Any, expected: type[Exception]) -> None:
    with testing.Router() as router:
        router.get(URL).fail(error)
        for _ in range(2):
            with pytest.raises(expected):
                send(URL)


def test_a_delay_runs_into_the_limits(send: Send) -> None:
    with testing.Router() as router:
        router.get(URL).answer(200, delay=30)
        with pytest.raises(reqkit.ReadTimeout):
            send(URL, timeout=0.2)
        with pytest.raises(reqkit.TotalTimeout) as caught:
            send(URL, timeout=reqkit.Timeouts(total=0.3))
    assert caught.value.phase == "wait"


def test_delays_let_other_greenlets_run() -> None:
    with testing.Router() as router:
        router.get("https://many.example/*").answer(200, delay=0.2)
        requests = [reqkit_async.get(f"https://many.example/{i}") for i in range(50)]
        responses = reqkit_async.map(requests, size=50, timeout=5)
    assert [response.status_code for response in responses] == [200] * 50


def test_all_threads_are_stood_in_for() -> None:
    found: list[int | None] = []
    with testing.Router() as router:
        router.get(URL)
        threads = [
            threading.Thread(target=lambda: found.append(reqkit.get(URL).status_code))
            for _ in range(5)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [200] * 5
    assert len(router.calls) == 5


def test_bodies_that_are_sent_arrive_whole() -> None:
    with testing.Router() as router:
        route = router.post("http://up.example/")
        reqkit.post("http://up.example/", data={"a": "1", "b": "ü"})
        reqkit.post("http://up.example/", json=[1])
        reqkit.post("http://up.example/", data=(piece for piece in (b"x" * 70_000, b"y")))
        reqkit.post("http://up.example/", files={"f": ("n.txt", b"data")})
    form, data, stream, multipart = route.calls
    assert form.form == {"a": "1", "b": "ü"}
    assert data.json() == [1]
    assert stream.body == b"x" * 70_000 + b"y"
    assert b'filename="n.txt"' in multipart.body


@pytest.mark.parametrize(
    ("match", "keywords", "matches"),
    [
        ({"params": {"a": 1}}, {"params": {"a": "1", "b": "2"}}, True),
        ({"params": {"a": 1}}, {"params": {"a": "2"}}, False),
        ({"headers": {"X-K": "v"}}, {"headers": {"x-k": "v"}}, True),
        ({"headers": {"X-K": "v"}}, {}, False),
        ({"headers": {"X-K": None}}, {}, True),
        ({"headers": {"X-K": None}}, {"headers": {"x-k": "v"}}, False),
        ({"headers": {"X-K": re.compile("^v")}}, {"headers": {"x-k": "value"}}, True),
        ({"json": {"a": [1]}}, {"json": {"a": [1]}}, True),
        ({"json": {"a": [1]}}, {"json": {"a": [2]}}, False),
        ({"json": {"a": [1]}}, {"data": b"no JSON"}, False),
        ({"data": {"a": 1}}, {"data": {"a": "1"}}, True),
        ({"data": {"a": 1}}, {"data": {"a": "2"}}, False),
        ({"body": "text"}, {"data": b"text"}, True),
        ({"body": b"text"}, {"data": b"other"}, False),
        ({"match": lambda call: "z" in call.text}, {"data": b"z"}, True),
        ({"match": lambda call: "z" in call.text}, {"data": b"y"}, False),
    ],
)
def test_what_a_route_matches(match: Any, keywords: Any, matches: bool) -> None:
    with testing.Router(strict=False) as router:
        router.post(URL, **match).answer(201)
        if matches:
            assert reqkit.post(URL, **keywords).status_code == 201
        else:
            with pytest.raises(testing.UnexpectedRequest):
                reqkit.post(URL, **keywords)


@pytest.mark.parametrize(
    ("pattern", "url", "matches"),
    [
        ("http://h.example", "http://h.example/", True),
        ("http://h.example/a", "http://h.example/a?x=1", True),
        ("http://h.example/a?x=1&y=2", "http://h.example/a?y=2&x=1", True),
        ("http://h.example/a?x=1", "http://h.example/a?x=1&y=2", False),
        ("http://H.example:80/a", "http://h.example/a", True),
        ("http://h.example/a", "https://h.example/a", False),
        ("http://h.example/*.png", "http://h.example/x/y.png", True),
        ("http://h.example/*.png", "http://h.example/x/y.jpg", False),
        ("http://h.example/*.png", "http://h.example/x.png?size=2", True),
        ("*/a?x=*", "http://h.example/a?x=1&y=2", True),
        ("*/a?x=*", "http://h.example/a?y=2", False),
        ("*/a?x=1", "http://h.example/a?x=1&y=2", False),
        (re.compile(r"/\d+$"), "http://h.example/17", True),
        (re.compile(r"/\d+$"), "http://h.example/a", False),
        (lambda url: url.endswith("z"), "http://h.example/z", True),
        (lambda url: url.endswith("z"), "http://h.example/y", False),
        (None, "http://any.example/", True),
        ("http://[::1]:8080/a", "http://[::1]:8080/a", True),
    ],
)
def test_which_urls_match(pattern: Any, url: str, matches: bool) -> None:
    with testing.Router(strict=False) as router:
        router.get(pattern)
        if matches:
            assert reqkit.get(url).ok
        else:
            with pytest.raises(testing.UnexpectedRequest):
                reqkit.get(url)


def test_the_newest_route_goes_first_and_times_are_counted() -> None:
    with testing.Router() as router:
        router.get(URL).answer(200, "always")
        router.get(URL, times=1).answer(200, "once")
        assert [reqkit.get(URL).text for _ in range(3)] == ["once", "always", "always"]


def test_a_function_answers() -> None:
    def echo(call: testing.Call) -> testing.Answer:
        return testing.Answer(json={"got": call.params})

    with testing.Router() as router:
        router.get("https://echo.example/").answer(echo)
        assert reqkit.get("https://echo.example/", params={"a": "b"}).json() == {"got": {"a": "b"}}


def test_what_was_not_expected_names_the_nearest_route(send: Send) -> None:
    router = testing.Router()
    router.get("https://other.example/")
    router.post("https://api.example/users", json={"a": 1})
    with pytest.raises(AssertionError, match=r"PUT https://api\.example/users"), router:
        with pytest.raises(testing.UnexpectedRequest) as caught:
            send("https://api.example/user")
        assert "nearest is POST https://api.example/users" in str(caught.value)
        assert "the method is GET, not POST" in str(caught.value)
        [entry] = reqkit_async.map([reqkit_async.put("https://api.example/users")], retries=3)
        assert isinstance(entry.error, testing.UnexpectedRequest)
    assert len(router.calls) == 2
    assert len(router.unexpected) == 2


def test_a_password_is_not_told() -> None:
    with testing.Router(strict=False), pytest.raises(testing.UnexpectedRequest) as caught:
        reqkit.get("https://user:hunter2@api.example/")
    assert "hunter2" not in str(caught.value)


def test_calls_are_asserted() -> None:
    with testing.Router() as router:
        router.get(URL)
        idle = router.post(URL)
        reqkit.get(URL)
        reqkit.get(URL)
        assert router.called() == 2
        router.assert_called("GET", URL)
        router.assert_called("GET", URL, count=2)
        router.assert_called("POST", URL, count=0)
        with pytest.raises(AssertionError, match="2 calls, not 1"):
            router.assert_called("GET", URL, count=1)
        with pytest.raises(AssertionError, match="no call matched POST"):
            router.assert_called("POST", URL)
        with pytest.raises(AssertionError, match="POST"):
            router.assert_all_called()
        assert not idle.called
    with pytest.raises(AssertionError, match="never called"), testing.Router(all_called=True) as r:
        r.get(URL)


def test_an_exception_of_the_test_goes_first() -> None:
    with pytest.raises(ZeroDivisionError), testing.Router() as router:
        router.get(URL)
        with pytest.raises(testing.UnexpectedRequest):
            reqkit.get("https://elsewhere.example/")
        raise ZeroDivisionError


def test_tls_settings_and_proxies_are_told(ca_bundle: str) -> None:
    with testing.Router() as router:
        router.get(None)
        reqkit.get(URL, verify=False)
        reqkit.get(URL, verify=ca_bundle)
        reqkit.get(URL, proxies={"all": "http://user:pw@proxy.example:3128"})
        reqkit.get("http://plain.example/x", proxies={"all": "http://proxy.example:3128"})
        with pytest.raises(OSError, match="no-such-bundle"):
            reqkit.get(URL, verify="/no-such-bundle.pem")
    unverified, bundled, tunnelled, forwarded = router.calls
    assert unverified.tls is not None
    assert unverified.tls.verify is False
    assert bundled.tls is not None
    assert bundled.tls.verify == ca_bundle
    assert (tunnelled.proxy, tunnelled.url) == ("proxy.example:3128", URL)
    assert "proxy-authorization" not in tunnelled.headers
    assert (forwarded.proxy, forwarded.url) == ("proxy.example:3128", "http://plain.example/x")
    assert forwarded.tls is None


def test_addresses_are_looked_at() -> None:
    with (
        testing.Router(hosts={"inside.example": "10.0.0.7"}) as router,
        reqkit.Session(allow_address=lambda address: address.is_private is False) as session,
    ):
        router.get("http://outside.example/")
        with pytest.raises(reqkit.exceptions.AddressNotAllowed):
            session.get("http://inside.example/")
        with pytest.raises(reqkit.exceptions.AddressNotAllowed):
            session.get("http://127.0.0.1/")
    assert router.calls == []


def test_hosts_that_pass_through_are_real(
    scripted: Callable[..., ScriptedServer], send: Send
) -> None:
    server = scripted([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nreal"] * 2)
    with testing.Router(pass_through=["127.0.0.1"]) as router:
        router.get(URL).answer(200, "not real")
        assert send(server("/")).text == "real"
        assert send(URL).text == "not real"
    assert len(router.calls) == 1


def test_real_connections_and_others_never_meet(echo: ScriptedServer) -> None:
    with reqkit.Session() as session:
        assert session.get(echo("/")).ok
        with testing.Router() as router:
            router.get(echo("/")).answer(200, "stood in")
            assert session.get(echo("/")).text == "stood in"
        assert "stood in" not in session.get(echo("/")).text
    assert len({request.connection for request in echo.requests}) == 1  # it was kept meanwhile


def test_routers_are_nested() -> None:
    with testing.Router() as outer:
        outer.get(URL).answer(200, "outer")
        with testing.Router() as inner:
            inner.get(URL).answer(200, "inner")
            assert reqkit.get(URL).text == "inner"
        assert reqkit.get(URL).text == "outer"


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: testing.Answer("200"), ValueError, "status"),  # type: ignore[arg-type]
        (lambda: testing.Answer(100), ValueError, "raw="),
        (lambda: testing.Answer(200, {"a": 1}), TypeError, "json="),  # type: ignore[arg-type]
        (lambda: testing.Answer(200, "a", json=1), ValueError, "body and json"),
        (lambda: testing.Answer(delay=-1), ValueError, "delay"),
        (lambda: testing.Answer(error="x"), TypeError, "exception"),  # type: ignore[arg-type]
        (lambda: testing.Answer(headers={"A": "b\r\nc"}), ValueError, "CR, LF"),
        (lambda: testing.Answer(chunks=[None]), TypeError, "chunks"),  # type: ignore[list-item]
        (lambda: testing.Router(pass_through="localhost"), TypeError, "list"),
        (lambda: testing.Router(hosts={"a": "b"}), ValueError, "IP address"),
        (lambda: testing.Router().get(3), TypeError, "url"),  # type: ignore[arg-type]
        (lambda: testing.Router().get("no-url"), reqkit.MissingSchema, "no-url"),
        (lambda: testing.Router().get(URL, match=3), TypeError, "match"),
        *[
            (
                lambda name=name: testing.Router().get(URL, **{name: 3}),
                TypeError,
                f"{name} is of type int",
            )
            for name in ("params", "headers", "data", "body")
        ],
        (lambda: testing.Router().get(URL, headers={3: "a"}), TypeError, "headers has a int"),
        (lambda: testing.Answer(html=b"a"), TypeError, "html is of type bytes"),  # type: ignore[arg-type]
        (lambda: testing.Answer(chunks=b"ab"), TypeError, "chunks is of type bytes"),
        (lambda: testing.Answer(reason=3), TypeError, "reason is of type int"),  # type: ignore[arg-type]
        (lambda: testing.Router(hosts=[3]), TypeError, "hosts is of type list"),  # type: ignore[arg-type]
        (lambda: testing.Router(hosts={"a": 3}), ValueError, "IP address"),  # type: ignore[dict-item]
        (lambda: testing.Router(pass_through=[3]), TypeError, "pass_through has a int"),  # type: ignore[list-item]
    ],
)
def test_bad_arguments(make: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("user", ["", "user:s3cret@"])
@pytest.mark.parametrize("kind", ["socks5h", "socks5", "socks4a", "socks4"])
@pytest.mark.parametrize("send", [lambda requests: [requests[0].send()], reqkit_async.map])
def test_socks_proxies_are_stood_in_for(scheme: str, user: str, kind: str, send: Any) -> None:
    pytest.importorskip("socksio")
    if kind.startswith("socks4"):
        user = user.replace(":s3cret", "")  # which has none
    with testing.Router(all_called=True) as router:
        router.post(f"{scheme}://api.example/a", body=b"x" * 9).answer(200, b"here")
        proxies = {"all": f"{kind}://{user}10.0.0.7:1080"}
        url = f"{scheme}://api.example/a?b=c"
        [response] = send([reqkit_async.post(url, data=b"x" * 9, proxies=proxies)])
        assert (response.status_code, response.content) == (200, b"here")
        [call] = router.calls
    assert (call.url, call.proxy) == (url, "10.0.0.7:1080")
