"""Requests before they are sent: unsent, prepared, changed, sent again; and bad input."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
import reqkit_async
from servers.messages import answer
from servers.scripted import ScriptedServer

Scripted = Callable[..., ScriptedServer]


def fields(response: reqkit.Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.json()["fields"]}


# -- Request


def test_a_request_can_be_changed_and_sent_again(echo: ScriptedServer) -> None:
    request = reqkit.Request("get", echo("/first"), params={"a": "1"}, headers={"X-A": "1"})
    assert request.response is None
    first = request.send()
    assert request.response is first
    assert (first.json()["method"], first.json()["target"]) == ("GET", "/first?a=1")
    request.method = "POST"
    request.url = echo("/second")
    request.params["b"] = "2"
    request.headers["X-A"] = "2"
    request.data = {"form": "yes"}
    request.cookies = {"c": "1"}
    request.auth = ("u", "p")
    second = request.send()
    assert request.response is second
    got = second.json()
    assert (got["method"], got["target"], got["body"]) == ("POST", "/second?a=1&b=2", "form=yes")
    head = fields(second)
    assert (head["x-a"], head["cookie"], head["authorization"]) == ("2", "c=1", "Basic dTpw")
    assert second.json() == request.send().json()


def test_changing_a_request_changes_nothing_of_the_callers() -> None:
    given: dict[str, dict[str, Any]] = {
        name: {"a": "1"} for name in ("headers", "params", "cookies", "data", "files", "proxies")
    }
    given["config"] = {"max_redirects": 1}
    request = reqkit.Request("POST", "http://x/", **given)
    for name, value in given.items():
        getattr(request, name)["b"] = "2"
        assert "b" not in value


#: What each attribute of a request can be set to.
SETTINGS: dict[str, Any] = {
    "allow_redirects": False, "auth": ("ann", "pw"), "callback": print, "cert": "/c.pem",
    "config": {"max_redirects": 1}, "cookies": {"a": "1"}, "data": b"x", "files": {"f": b"x"},
    "headers": {"X": "1"}, "hooks": {"response": print}, "json": [1], "params": {"a": "1"},
    "prefetch": True, "proxies": {"all": "http://p:1"}, "timeout": 3, "verify": False,
    "stream": True, "method": "PUT", "url": "http://other/", "session": reqkit.Session(),
}  # fmt: skip


def values_of(request: reqkit.Request) -> dict[str, Any]:
    # What is made when it is asked for comes last: nothing else must.
    return {name: getattr(request, name) for name in sorted(SETTINGS, key=MADE_LATE.__contains__)}


MADE_LATE = ("headers", "params", "hooks")


@pytest.mark.parametrize("name", SETTINGS)
def test_what_one_request_says_another_does_not(name: str) -> None:
    """Those that say nothing share that, until one is changed."""
    new = reqkit.Request()
    plain = {**dict.fromkeys(SETTINGS), "headers": {}, "params": {}, "hooks": new.hooks,
             "method": "GET", "url": "http://x/", "timeout": new.timeout}  # fmt: skip
    changed, other = (reqkit_async.get("http://x/") for _ in range(2))
    setattr(changed, name, SETTINGS[name])
    for request in (other, reqkit_async.get("http://x/"), reqkit.Request("GET", "http://x/")):
        assert values_of(request) == plain
    if name in MADE_LATE:
        other.headers["X"] = other.params["X"] = "2"
        other.register_hook("response", repr)
        assert values_of(reqkit_async.get("http://x/")) == plain
    given, received = SETTINGS[name], getattr(changed, name)
    assert received == (reqkit.Request(hooks=given).hooks if name == "hooks" else given)
    copied = pickle.loads(pickle.dumps(changed))
    assert values_of(copied).keys() == plain.keys()
    if name not in ("session", "hooks"):  # these are another's then
        assert getattr(copied, name) == received


def test_settings_of_a_request_can_be_changed(scripted: Scripted) -> None:
    server = scripted([answer(302, b"", [("Location", "/")])] * 2 + [answer(200, b"x" * 100_000)])
    request = reqkit.Request("GET", server(), allow_redirects=False)
    assert request.send().status_code == 302
    request.allow_redirects = None
    request.stream = False
    assert request.prefetch is True
    assert request.send().body_size == 100_000
    request.timeout = "never"
    with pytest.raises(ValueError, match="'never'"):
        request.send()


def test_send_takes_prefetch(scripted: Scripted) -> None:
    server = scripted([answer(200, b"x" * 100_000)] * 3)
    request = reqkit.Request("GET", server())
    assert request.send(prefetch=True).body_size == 100_000
    request.prefetch = True
    assert request.send(prefetch=False).body_size == 0
    assert request.send().body_size == 100_000


def test_a_request_goes_through_its_session(echo: ScriptedServer) -> None:
    session = reqkit.Session(headers={"X-S": "1"}, params={"s": "1"})
    request = reqkit.Request("GET", echo(), session=session)
    got = request.send()
    assert (fields(got)["x-s"], got.json()["target"]) == ("1", "/?s=1")
    prepared = request.prepare()
    assert (prepared.headers["X-S"], prepared.url) == ("1", echo("/?s=1"))
    request.session = None
    assert "x-s" not in fields(request.send())


def test_hooks_can_be_registered_on_a_request(echo: ScriptedServer) -> None:
    seen: list[Any] = []
    request = reqkit.Request("GET", echo())
    request.register_hook("response", seen.append)
    first = request.send()
    assert seen == [first]
    assert request.deregister_hook("response", seen.append)
    assert not request.deregister_hook("response", seen.append)
    request.send()
    assert seen == [first]
    with pytest.raises(ValueError, match=r"'respnse'.*args, pre_request, post_request, response"):
        request.register_hook("respnse", seen.append)


def test_a_request_can_be_pickled(echo: ScriptedServer) -> None:
    request = reqkit.Request("POST", echo("/p"), data={"a": "1"}, timeout=5)
    request.send()
    copied = pickle.loads(pickle.dumps(request))
    assert (copied.response, copied.timeout) == (None, 5)
    assert copied.send().json()["body"] == "a=1"
    assert repr(copied) == "<Request [POST]>"


# -- PreparedRequest


def test_what_is_prepared_is_exactly_what_is_sent(echo: ScriptedServer) -> None:
    session = reqkit.Session(headers={"X-S": "1"}, cookies={"c": "1"}, auth=("u", "p"))
    request = reqkit.Request("put", echo("/a b"), data={"x": "é y"}, params={"q": "ü"})
    prepared = session.prepare_request(request)
    assert echo.requests == []
    assert prepared.method == "PUT"
    assert prepared.url == echo("/a%20b?q=%C3%BC")
    assert prepared.path_url == "/a%20b?q=%C3%BC"
    assert prepared.body == "x=%C3%A9+y"
    assert repr(prepared) == "<PreparedRequest [PUT]>"
    assert session.send(prepared).request is prepared
    sent = echo.requests[0]
    assert sent.start_line == "PUT /a%20b?q=%C3%BC HTTP/1.1"
    assert sent.fields == [("Host", echo.netloc), *prepared.headers.items()]
    assert sent.body == b"x=%C3%A9+y"
    assert prepared.headers["Content-Length"] == "10"
    assert prepared.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert (prepared.headers["Cookie"], prepared.headers["Authorization"]) == ("c=1", "Basic dTpw")


def test_a_prepared_request_can_be_changed_before_it_is_sent(echo: ScriptedServer) -> None:
    prepared = reqkit.Request("POST", echo("/a"), data="before").prepare()
    prepared.url = echo("/b")
    prepared.headers["X-Late"] = "1"
    del prepared.headers["User-Agent"]
    prepared.body = "after!"
    prepared.method = "PATCH"
    got = reqkit.Session(headers={"X-S": "not for prepared ones"}).send(prepared)
    assert (got.json()["method"], got.json()["target"]) == ("PATCH", "/b")
    assert got.json()["body"] == "after!"
    assert fields(got)["x-late"] == "1"
    assert "user-agent" not in fields(got)
    assert "x-s" not in fields(got)


@pytest.mark.parametrize(
    ("keywords", "body", "kind"),
    [
        ({"data": {"a": "1"}}, "a=1", "application/x-www-form-urlencoded"),
        ({"data": [("a", "1"), ("a", "2")]}, "a=1&a=2", "application/x-www-form-urlencoded"),
        ({"data": "text"}, "text", None),
        ({"data": b"bytes"}, b"bytes", None),
        ({"json": {"a": 1}}, b'{"a": 1}', "application/json"),
        ({}, None, None),
    ],
)
def test_bodies_as_plugins_see_them(keywords: Any, body: Any, kind: str | None) -> None:
    prepared = reqkit.Request("POST", "http://x/", **keywords).prepare()
    assert prepared.body == body
    assert prepared.headers.get("Content-Type") == kind
    assert prepared.headers["Content-Length"] == str(len(body or b""))


def test_a_prepared_request_made_by_hand(echo: ScriptedServer) -> None:
    prepared = reqkit.PreparedRequest()
    prepared.prepare(
        method="post", url=echo("/x"), headers={"X-A": "1"}, data={"d": "1"}, params={"p": "1"},
        auth=("u", "p"), cookies={"c": "1"}, hooks={},
    )  # fmt: skip
    copied = prepared.copy()
    copied.headers["X-A"] = "2"
    got = reqkit.Session().send(prepared)
    assert (got.json()["target"], got.json()["body"]) == ("/x?p=1", "d=1")
    assert (fields(got)["x-a"], fields(got)["cookie"]) == ("1", "c=1")
    assert fields(got)["authorization"] == "Basic dTpw"


def test_send_takes_prepared_requests_alone(echo: ScriptedServer) -> None:
    session = reqkit.Session()
    for wrong in (reqkit.Request("GET", echo()), echo(), None):
        with pytest.raises(ValueError, match="only send PreparedRequests"):
            session.send(wrong)
    assert echo.requests == []


def test_sending_takes_the_settings_of_a_call(scripted: Scripted) -> None:
    server = scripted([answer(302, b"", [("Location", "/")]), answer(200, b"x" * 100_000)] * 2)
    session = reqkit.Session()
    prepared = reqkit.Request("GET", server()).prepare()
    assert session.send(prepared, allow_redirects=False).status_code == 302
    assert session.send(prepared, timeout=5, stream=False, verify=True).body_size == 100_000
    assert session.send(prepared, config={"keep_alive": True}).body_size == 0


# -- bad input


@pytest.mark.parametrize(
    ("url", "error", "message"),
    [
        (None, reqkit.URLRequired, "URL"),
        ("", reqkit.URLRequired, "URL"),
        ("example.org/x", reqkit.MissingSchema, r"example\.org/x.*https?://"),
        ("//example.org/x", reqkit.MissingSchema, "example.org"),
        ("htp://example.org/", reqkit.InvalidSchema, "htp"),
        ("http:///path", reqkit.InvalidURL, "http:///path"),
        ("http://", reqkit.InvalidURL, "http://"),
        ("http://host:port/", reqkit.InvalidURL, "port"),
        ("http://host:99999/", reqkit.InvalidURL, "99999"),
        ("http://[::1/", reqkit.InvalidURL, "::1"),
        ("http://.example.org/", reqkit.InvalidURL, "example"),
        ("http://*.example.org/", reqkit.InvalidURL, "example"),
        (5, reqkit.MissingSchema, "'5'"),
    ],
)
def test_a_bad_url_is_an_error_that_names_it(url: Any, error: type, message: str) -> None:
    with pytest.raises(error, match=message) as got:
        reqkit.get(url)
    assert isinstance(got.value, ValueError)
    assert got.value.request is not None


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"headers": "X-A: 1"}, reqkit.InvalidHeader, "headers is a str.*dictionary"),
        ({"headers": {"X-A": 1}}, reqkit.InvalidHeader, "'X-A'.*int.*str"),
        ({"headers": {5: "x"}}, reqkit.InvalidHeader, "name 5 is a int"),
        ({"headers": {"X A": "x"}}, reqkit.InvalidHeader, "X A"),
        ({"headers": {"X-A": "a\r\nb"}}, reqkit.InvalidHeader, "X-A"),
        ({"headers": {"": "x"}}, reqkit.InvalidHeader, "header"),
        ({"params": 5}, TypeError, "params is a int"),
        ({"params": [("a",)]}, ValueError, "params: item 0.*pair"),
        ({"data": 5}, TypeError, "data is a int.*expected"),
        ({"data": object()}, TypeError, "data is a object"),
        ({"data": {"a": io.BytesIO()}}, TypeError, "files"),
        ({"json": {"a": {1}}}, TypeError, "json"),
        ({"json": float("nan")}, reqkit.InvalidJSONError, "json"),
        ({"files": 5}, TypeError, "files"),
        ({"files": {"f": object()}}, TypeError, r"files\['f'\]"),
        ({"data": "x", "files": {"f": b"x"}}, ValueError, "with files"),
        ({"auth": "user"}, TypeError, r"auth is a str.*\(user, password\)"),
        ({"auth": ("a", "b", "c")}, TypeError, "auth is a tuple of 3"),
        ({"auth": 5}, TypeError, "auth is a int"),
        ({"auth": lambda r: None}, TypeError, "returned NoneType"),
        ({"cookies": 5}, (TypeError, ValueError), "cookies"),
        ({"cookies": "a=1"}, (TypeError, ValueError), "cookies"),
        ({"hooks": {"respons": print}}, ValueError, r"'respons'.*did you mean 'response'\?"),
        ({"hooks": {"response": 5}}, ValueError, "'response'.*5"),
        ({"verify": "/no/such/bundle"}, (OSError, ValueError), "/no/such/bundle"),
        ({"cert": "/no/such/cert"}, (OSError, ValueError), "/no/such/cert"),
        ({"cert": ("/no/such/cert", "/no/such/key")}, (OSError, ValueError), "/no/such/cert"),
        ({"cert": ("a", "b", "c", "d")}, reqkit.SSLError, "cert is a tuple"),
        ({"verify": 5}, reqkit.SSLError, "verify is 5: expected"),
        ({"proxies": {"http": "ftp://x/"}}, reqkit.InvalidProxyURL, "ftp"),
        ({"proxies": {"http": "http://"}}, reqkit.InvalidProxyURL, "http"),
        ({"proxies": "http://x:1"}, (TypeError, ValueError), "proxies"),
        ({"proxies": {"htp": "http://x:1"}}, (TypeError, ValueError), "htp"),
        ({"timeout": "5"}, ValueError, "timeout is '5'"),
        ({"config": 5}, reqkit.ConfigError, "config is 5"),
        ({"allow_redirects": "no"}, (TypeError, ValueError), "allow_redirects"),
        ({"prefetch": "no"}, (TypeError, ValueError), "prefetch"),
        ({"stream": "no"}, (TypeError, ValueError), "stream"),
    ],
)
@pytest.mark.parametrize("owner", ["function", "session"])
def test_bad_arguments_are_errors_and_nothing_is_sent(
    echo: ScriptedServer, owner: str, keywords: dict[str, Any], error: Any, message: str
) -> None:
    request = reqkit.request if owner == "function" else reqkit.Session().request
    with pytest.raises(error, match=message):
        request("POST", echo(), **keywords)
    assert echo.connections_opened == 0


@pytest.mark.parametrize("method", ["", "GET /", "G\r\nX: y", 5, None, "GÉT"])
def test_a_bad_method_is_an_error(echo: ScriptedServer, method: Any) -> None:
    with pytest.raises(reqkit.InvalidHeader, match="method"):
        reqkit.request(method, echo())
    assert echo.connections_opened == 0


@pytest.mark.parametrize(
    "setting", [{"auth": 5}, {"hooks": {"respons": print}}, {"config": {"x": 1}}, {"timeout": "5"},
                {"cookies": 5}]
)  # fmt: skip
def test_a_session_refuses_bad_settings_when_it_is_made(setting: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        reqkit.Session(**setting)


def test_a_request_tells_whether_it_was_sent(echo: ScriptedServer) -> None:
    request = reqkit.Request("GET", echo())
    assert request.sent is False
    request.send()
    assert request.sent is True
    requests = [reqkit_async.get(echo()), reqkit_async.get("nowhere"), reqkit_async.get(echo())]
    reqkit_async.map(requests[:2])
    assert [one.sent for one in requests] == [True, True, False]


def test_a_request_tells_the_path_that_it_asks_for(echo: ScriptedServer) -> None:
    request = reqkit.Request("GET", f"{echo()}a b?q=ä#f", params={"x": "1"})
    assert request.path_url == "/a%20b?q=%C3%A4&x=1"
    assert request.send().json()["target"] == request.path_url
    with reqkit.Session(base_url=echo("/v1"), params={"lang": "en"}) as session:
        request = reqkit.Request("GET", "users", params={"x": "1"}, session=session)
        assert request.path_url == "/v1/users?lang=en&x=1"
        assert request.send().json()["target"] == request.path_url
    assert reqkit.Request("GET", echo.url).path_url == "/"
    with pytest.raises(reqkit.MissingSchema):
        reqkit.Request("GET", "nowhere").path_url  # noqa: B018
