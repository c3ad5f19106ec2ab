"""Sessions and one-shot functions: merging, settings at any time, shared connections, adapters."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
from reqkit import testing
from reqkit.adapters import BaseAdapter, HTTPAdapter
from reqkit.sessions import merging
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]

VERBS = ("get", "options", "head", "post", "put", "patch", "delete")


def fields(response: reqkit.Response) -> dict[str, str]:
    """Return the fields that the echo server received, by their names in lower case."""
    return {name.lower(): value for name, value in response.json()["fields"]}


def target(response: reqkit.Response) -> str:
    found: str = response.json()["target"]
    return found


def redirecting(connection: Connection) -> None:
    """``/n`` redirects to ``/n-1``; ``/0`` answers with what was received."""
    while (request := connection.recv_request()) is not None:
        left = int(request.target.strip("/") or 0)
        if left:
            to = [("Location", f"/{left - 1}"), ("Set-Cookie", f"hop{left}=yes")]
            connection.send(answer(302, b"", to))
        else:
            body = b"" if request.method == "HEAD" else request.as_json()
            connection.send(answer(200, body))


# -- the functions


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("owner", ["function", "session"])
def test_each_verb_sends_its_method(echo: ScriptedServer, verb: str, owner: str) -> None:
    with reqkit.session() as session:
        function = getattr(reqkit if owner == "function" else session, verb)
        assert function(echo("/x")).status_code == 200
    assert [request.method for request in echo.requests] == [verb.upper()]
    # RFC 9110 section 8.6: where a body could be, its length is told.
    expected = None if verb in ("get", "head") else "0"
    assert echo.requests[0].get("Content-Length") == expected


def test_request_takes_any_method_and_writes_it_in_upper_case(echo: ScriptedServer) -> None:
    assert reqkit.request("purge", echo()).json()["method"] == "PURGE"
    assert reqkit.Session().request("get", echo()).json()["method"] == "GET"


@pytest.mark.parametrize(
    "call",
    [
        lambda url: reqkit.get(url, timeuot=1),
        lambda url: reqkit.request("GET", url, timeuot=1),
        lambda url: reqkit.post(url, None, None, timeuot=1),
        lambda url: reqkit.Session().get(url, timeuot=1),
        lambda url: reqkit.Session().request("GET", url, timeuot=1),
        lambda url: reqkit.Session(timeuot=1),
        lambda url: reqkit.session(timeuot=1),
        lambda url: reqkit.Request("GET", url, timeuot=1),
        lambda url: reqkit.Session().send(reqkit.Request("GET", url).prepare(), timeuot=1),
    ],
)
def test_an_unknown_keyword_is_a_type_error_with_the_nearest_name(
    echo: ScriptedServer, call: Callable[[str], Any]
) -> None:
    with pytest.raises(TypeError, match=r"'timeuot' \(did you mean 'timeout'\?\)"):
        call(echo())
    assert echo.requests == []


def test_a_sessions_method_takes_no_session() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument: 'session'") as caught:
        reqkit.Session().get("http://127.0.0.1/", session=reqkit.Session())
    assert "did you mean" not in str(caught.value)


def test_one_shot_functions_take_a_session(echo: ScriptedServer) -> None:
    with reqkit.session(headers={"X-Mine": "1"}) as session:
        assert fields(reqkit.get(echo(), session=session))["x-mine"] == "1"
        assert fields(reqkit.post(echo(), data="x", session=session))["x-mine"] == "1"


@pytest.mark.parametrize("owner", ["function", "session"])
def test_return_response_false_sends_nothing(echo: ScriptedServer, owner: str) -> None:
    session = reqkit.Session()
    get: Any = reqkit.get if owner == "function" else session.get
    request = get(echo("/later"), params={"a": 1}, return_response=False)
    assert type(request) is reqkit.Request
    assert echo.requests == []
    assert request.session is (None if owner == "function" else session)
    assert target(request.send()) == "/later?a=1"


def test_leaving_a_session_closes_its_connections(echo: ScriptedServer) -> None:
    with reqkit.session() as session:
        session.get(echo())
        assert echo.connections_open == 1
    echo.wait_for_no_connections()
    session.get(echo())  # it can be used again
    session.close()
    echo.wait_for_no_connections()


def test_a_connection_in_use_is_closed_when_it_comes_back_to_a_closed_session(
    scripted: Scripted,
) -> None:
    go_on = threading.Event()

    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, b"x" * 10).removesuffix(b"x" * 9))
            connection.wait(go_on)
            connection.send(b"x" * 9)

    server = scripted(handler)
    with reqkit.session() as session:
        response = session.get(server())
    go_on.set()
    assert response.content == b"x" * 10
    server.wait_for_no_connections()


# -- merging


def test_headers_merge_without_regard_to_case(echo: ScriptedServer) -> None:
    session = reqkit.session(headers={"X-A": "session", "x-b": "session", "USER-AGENT": "mine"})
    given = {"x-a": "call", "X-C": "call", "accept": "text/plain"}
    head = fields(session.get(echo(), headers=given))
    assert (head["x-a"], head["x-b"], head["x-c"]) == ("call", "session", "call")
    assert (head["user-agent"], head["accept"]) == ("mine", "text/plain")
    assert given == {"x-a": "call", "X-C": "call", "accept": "text/plain"}
    assert dict(session.headers) == {"X-A": "session", "x-b": "session", "USER-AGENT": "mine"}


def test_none_leaves_a_header_out_in_any_case(echo: ScriptedServer) -> None:
    session = reqkit.session(headers={"X-A": "1", "X-B": "2", "Accept": None})
    given = {"x-a": None, "USER-AGENT": None}
    head = fields(session.get(echo(), headers=given))
    assert "x-a" not in head
    assert head["x-b"] == "2"
    assert "user-agent" not in head
    assert "accept" not in head
    assert given == {"x-a": None, "USER-AGENT": None}
    assert fields(session.get(echo()))["x-a"] == "1"


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        ({"a": "1", "b": "2"}, {"b": "3"}, "/?a=1&b=3"),
        ({"a": "1", "b": "2"}, {"a": None}, "/?b=2"),
        ({"a": "1", "b": None}, None, "/?a=1"),
        ({"a": "1"}, [("a", "2"), ("a", "3")], "/?a=2&a=3"),
        ({"a": "1"}, [("b", "2"), ("a", None)], "/?b=2"),
        ({"a": "1"}, "raw=yes", "/?raw=yes"),
        ({}, {"a": ["1", "2"], "b": None}, "/?a=1&a=2"),
        ({"a": "1"}, {}, "/?a=1"),
    ],
)
def test_params_merge(echo: ScriptedServer, own: Any, given: Any, expected: str) -> None:
    before = json.dumps([own, given])
    session = reqkit.session(params=own)
    assert target(session.get(echo(), params=given)) == expected
    assert json.dumps([own, given]) == before


def test_cookies_merge(echo: ScriptedServer) -> None:
    session = reqkit.session(cookies={"a": "1", "b": "2"})
    given = {"b": "3", "c": "4"}
    sent = fields(session.get(echo(), cookies=given))["cookie"].split("; ")
    assert sorted(sent) == ["a=1", "b=3", "c=4"]
    assert given == {"b": "3", "c": "4"}
    # Those of one call do not stay.
    assert sorted(fields(session.get(echo()))["cookie"].split("; ")) == ["a=1", "b=2"]


def test_none_leaves_a_cookie_out(echo: ScriptedServer) -> None:
    session = reqkit.session(cookies={"a": "1", "b": "2"})
    assert fields(session.get(echo(), cookies={"a": None}))["cookie"] == "b=2"
    assert "cookie" not in fields(session.get(echo(), cookies={"a": None, "b": None}))
    assert len(session.cookies) == 2


def test_a_cookie_left_out_stays_so_over_redirects(scripted: Scripted) -> None:
    server = scripted(redirecting)
    session = reqkit.session(cookies={"a": "1", "b": "2"})
    session.get(server("/1"), cookies={"a": None})
    assert server.requests[0].get("Cookie") == "b=2"
    assert "a=1" not in (server.requests[1].get("Cookie") or "")


def test_a_cookie_left_out_stays_so_step_by_step(scripted: Scripted) -> None:
    class OwnSend(reqkit.Session):
        def send(self, request: Any, **keywords: Any) -> reqkit.Response:
            return super().send(request, **keywords)

    moved = [answer(302, fields=[("Location", "/next")])] * 2 + [answer()]
    for make in (reqkit.Session, OwnSend):
        server = scripted(moved)
        with make(cookies={"a": "1", "b": "2"}) as session:
            first = session.get(server(), cookies={"a": None, "c": "3"}, allow_redirects=False)
            assert first.next is not None
            assert session.send(first.next).ok
        assert [one.get("Cookie") for one in server.requests] == ["b=2; c=3"] * 3


def test_config_and_hooks_merge(echo: ScriptedServer) -> None:
    seen: list[str] = []
    session = reqkit.session(
        config={"max_redirects": 3, "base_headers": {"Accept": "a/b"}},
        hooks={
            "response": lambda r: seen.append("own"),
            "post_request": lambda r: seen.append("p"),
        },
    )
    config = {"base_headers": {"X-Base": "1", "User-Agent": None}}
    hooks = {"response": lambda r: seen.append("call")}
    head = fields(session.get(echo(), config=config, hooks=hooks))
    assert (head["accept"], head["x-base"]) == ("a/b", "1")
    assert "user-agent" not in head
    assert seen == ["p", "call"]
    assert config == {"base_headers": {"X-Base": "1", "User-Agent": None}}
    assert list(hooks) == ["response"]
    assert "X-Base" not in session.config["base_headers"]
    session.get(echo(), hooks={"response": None})
    assert seen == ["p", "call", "p"]


def test_proxies_merge(echo: ScriptedServer, scripted: Scripted) -> None:
    proxy = scripted([answer(200, b"by proxy")])
    session = reqkit.session(proxies={"http": proxy.url})
    given: dict[str, str | None] = {"http": None}
    assert session.get(echo(), proxies=given).json()["method"] == "GET"
    assert given == {"http": None}
    assert session.get("http://nowhere.invalid/").text == "by proxy"


def test_what_a_session_was_made_of_is_not_changed() -> None:
    headers, params, config = {"X-A": "1"}, {"a": "1"}, {"max_redirects": 3}
    proxies: dict[str, str | None] = {"http": "127.0.0.1:1"}
    session = reqkit.session(headers=headers, params=params, config=config, proxies=proxies)
    session.headers["X-B"] = "2"
    session.params["b"] = "2"
    session.config["max_redirects"] = 4
    session.proxies["https"] = "127.0.0.1:2"
    assert (headers, params, config) == ({"X-A": "1"}, {"a": "1"}, {"max_redirects": 3})
    assert proxies == {"http": "127.0.0.1:1"}


# -- settings count from the next request on


def test_every_attribute_can_be_read_and_set(echo: ScriptedServer) -> None:
    session = reqkit.Session()
    assert (dict(session.headers), session.params, session.proxies) == ({}, {}, {})
    assert (session.auth, session.cert, session.verify, session.prefetch) == (None,) * 2 + (
        True, False,
    )  # fmt: skip
    assert (session.timeout.connect, session.timeout.read, session.timeout.total) == (10, 60, None)
    session.headers.update({"X-A": "1"})
    session.params["p"] = "1"
    session.cookies.set("c", "1")
    session.auth = ("user", "pass")
    head = session.get(echo())
    assert target(head) == "/?p=1"
    assert fields(head)["x-a"] == "1"
    assert fields(head)["cookie"] == "c=1"
    assert fields(head)["authorization"] == "Basic dXNlcjpwYXNz"
    session.headers = {"X-B": "2"}
    session.params = {"q": "2"}
    session.cookies = {"d": "2"}
    session.auth = None
    head = session.get(echo())
    assert target(head) == "/?q=2"
    assert "x-a" not in fields(head)
    assert (fields(head)["x-b"], fields(head)["cookie"]) == ("2", "d=2")
    assert "authorization" not in fields(head)


def test_config_can_be_changed_at_any_time(echo: ScriptedServer) -> None:
    session = reqkit.Session()
    session.get(echo())
    session.config["keep_alive"] = False
    assert fields(session.get(echo()))["connection"] == "close"
    session.config.update(keep_alive=True)
    assert "connection" not in fields(session.get(echo()))
    session.config = {"base_headers": {"X-Base": "1"}}
    assert fields(session.get(echo()))["x-base"] == "1"
    session.config["base_headers"]["X-Base"] = "2"
    assert fields(session.get(echo()))["x-base"] == "2"


def test_hooks_can_be_changed_at_any_time(echo: ScriptedServer) -> None:
    seen: list[int] = []
    session = reqkit.Session()
    session.hooks["response"].append(lambda r: seen.append(1))
    session.get(echo())
    session.hooks = {"response": lambda r: seen.append(2)}
    session.get(echo())
    session.hooks["response"] = None
    session.get(echo())
    assert seen == [1, 2]


def test_prefetch_and_stream_are_one_switch(scripted: Scripted) -> None:
    body = b"x" * 100_000
    server = scripted([answer(200, body)] * 5)
    session = reqkit.Session(prefetch=True)
    assert session.stream is False
    assert session.get(server()).body_size == len(body)
    assert session.get(server(), stream=True).body_size == 0
    assert session.get(server(), prefetch=False).body_size == 0
    session.stream = True
    assert session.prefetch is False
    assert session.get(server()).body_size == 0
    assert session.get(server(), stream=False).body_size == len(body)


# -- cookies


def test_a_session_keeps_cookies_and_one_shot_calls_do_not(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            setting = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/deep")]
            connection.send(answer(200, (request.get("Cookie") or "").encode(), setting))

    server = scripted(handler)
    session = reqkit.Session()
    assert session.get(server()).cookies.get_dict() == {"a": "1", "b": "2"}
    assert session.get(server()).text == "a=1"
    assert sorted(session.get(server("/deep/x")).text.split("; ")) == ["a=1", "b=2"]
    assert reqkit.get(server()).text == ""
    assert reqkit.get(server()).text == ""
    # An unsent request without a session gets a fresh one each time.
    request = reqkit.get(server(), return_response=False)
    assert [request.send().text, request.send().text] == ["", ""]
    assert server.connections_opened == 2


def test_cookies_set_on_the_way_go_on(scripted: Scripted) -> None:
    server = scripted(redirecting)
    response = reqkit.get(server("/2"))
    assert sorted(fields(response)["cookie"].split("; ")) == ["hop1=yes", "hop2=yes"]


# -- redirects


@pytest.mark.parametrize("verb", VERBS)
def test_all_follow_redirects_but_head(scripted: Scripted, verb: str) -> None:
    server = scripted(redirecting)
    response = getattr(reqkit, verb)(server("/2"))
    followed = verb != "head"
    assert response.status_code == (200 if followed else 302)
    assert [one.status_code for one in response.history] == [302, 302] * followed
    assert response.url == server("/0" if followed else "/2")
    assert reqkit.head(server("/1"), allow_redirects=True).url == server("/0")
    assert reqkit.request("HEAD", server("/1")).status_code == 302


def test_a_redirect_can_be_stepped_through(scripted: Scripted) -> None:
    server = scripted(redirecting)
    session = reqkit.Session()
    response = session.get(server("/3"), allow_redirects=False)
    assert (response.status_code, response.is_redirect) == (302, True)
    assert not response.is_permanent_redirect
    assert response.history == []
    urls = [response.url]
    while (message := response.next) is not None:
        response = session.send(message, allow_redirects=False)
        urls.append(response.url)
    assert urls == [server(f"/{left}") for left in (3, 2, 1, 0)]
    assert (response.is_redirect, response.next) == (False, None)
    assert server.connections_opened == 1


def test_resolve_redirects_yields_each_answer(scripted: Scripted) -> None:
    server = scripted(redirecting)
    session = reqkit.Session()
    first = session.get(server("/2"), allow_redirects=False)
    steps = list(session.resolve_redirects(first, first.request))
    assert [step.url for step in steps] == [server("/1"), server("/0")]
    assert [len(step.history) for step in steps] == [1, 2]


def test_the_history_of_each_step_is_what_came_before(scripted: Scripted) -> None:
    server = scripted(redirecting)
    response = reqkit.get(server("/3"))
    assert [one.url for one in response.history] == [server(f"/{left}") for left in (3, 2, 1)]
    assert [len(one.history) for one in response.history] == [0, 1, 2]


@pytest.mark.parametrize(("status", "permanent"), [(301, True), (302, False), (303, False),
                                                   (307, False), (308, True)])  # fmt: skip
def test_redirects_are_told_apart(scripted: Scripted, status: int, permanent: bool) -> None:
    server = scripted([answer(status, b"", [("Location", "/")]), answer(status)])
    response = reqkit.get(server(), allow_redirects=False)
    assert (response.is_redirect, response.is_permanent_redirect) == (True, permanent)
    response = reqkit.get(server(), allow_redirects=False)  # without a Location
    assert (response.is_redirect, response.is_permanent_redirect) == (False, False)
    assert response.next is None


# -- explicit arguments beat the environment


def test_an_authorization_header_set_by_hand_beats_netrc(
    echo: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login net password rc\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    by_netrc = "Basic bmV0OnJj"
    assert fields(reqkit.get(echo()))["authorization"] == by_netrc
    by_hand = {"authorization": "Token t"}
    assert fields(reqkit.get(echo(), headers=by_hand))["authorization"] == "Token t"
    session = reqkit.Session(headers={"AUTHORIZATION": "Token s"})
    assert fields(session.get(echo()))["authorization"] == "Token s"
    for auth in (("a", "b"),):
        assert fields(reqkit.get(echo(), auth=auth))["authorization"] == "Basic YTpi"
        assert fields(reqkit.Session(auth=auth).get(echo()))["authorization"] == "Basic YTpi"
    assert "authorization" not in fields(reqkit.get(echo(), config={"trust_env": False}))


def test_proxies_given_beat_the_environments(
    echo: ScriptedServer, scripted: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_environment = scripted([answer(200, b"environment")] * 2)
    of_session = scripted([answer(200, b"session")])
    of_call = scripted([answer(200, b"call")])
    monkeypatch.setenv("http_proxy", of_environment.url)
    url = "http://nowhere.invalid/"
    assert reqkit.get(url).text == "environment"
    session = reqkit.Session(proxies={"http": of_session.url})
    assert session.get(url).text == "session"
    assert session.get(url, proxies={"http": of_call.url}).text == "call"
    assert reqkit.get(echo(), config={"trust_env": False}).json()["target"] == "/"


# -- shared connections


def test_one_shot_functions_share_connections(echo: ScriptedServer) -> None:
    for _ in range(5):
        assert reqkit.get(echo()).status_code == 200
    assert reqkit.post(echo(), data="x").status_code == 200
    assert echo.connections_opened == 1


def test_a_fork_starts_afresh(echo: ScriptedServer) -> None:
    session = reqkit.Session()
    session.get(echo())
    reqkit.get(echo())
    assert echo.connections_opened == 2
    child = os.fork()
    if not child:  # pragma: no cover in the child
        status = 1
        with contextlib.suppress(BaseException):
            numbers = {session.get(echo()).json()["connection"]}
            numbers.add(reqkit.get(echo()).json()["connection"])
            status = 0 if numbers == {3, 4} else 2
        os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    # The parent's go on as if nothing had been.
    assert session.get(echo()).json()["connection"] == 1
    assert reqkit.get(echo()).json()["connection"] == 2


# -- adapters


class Canned(BaseAdapter):
    """Answers without a network."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.closed = False

    def send(self, request: Any, *args: Any, **keywords: Any) -> reqkit.Response:
        response = reqkit.Response()
        response.status_code = 200
        response.url = request.url
        response.request = request
        response._content = self.text.encode()
        return response

    def close(self) -> None:
        self.closed = True


def test_the_longest_prefix_wins(echo: ScriptedServer) -> None:
    session = reqkit.Session()
    deep, shallow, other = Canned("deep"), Canned("shallow"), Canned("other")
    session.mount(echo("/a/"), shallow)
    session.mount(echo("/a/b/"), deep)
    session.mount("canned://", other)
    assert session.get(echo("/a/x")).text == "shallow"
    assert session.get(echo("/a/b/x")).text == "deep"
    assert session.get(echo("/A/b/x")).text == "deep"
    assert session.get(echo("/c")).json()["target"] == "/c"
    assert session.get_adapter("canned://x") is other
    assert list(session.adapters) == sorted(session.adapters, key=len, reverse=True)
    session.close()
    assert deep.closed and shallow.closed and other.closed


def test_a_prefix_counts_though_there_are_but_two(echo: ScriptedServer) -> None:
    session = reqkit.Session()
    session.adapters.pop("https://")
    session.mount(echo("/a"), Canned("mounted"))
    assert session.get(echo("/a")).text == "mounted"
    with pytest.raises(reqkit.InvalidSchema, match="no adapter is mounted"):
        session.get("https://127.0.0.1/")


def test_an_adapter_of_ones_own_settings(echo: ScriptedServer) -> None:
    session = reqkit.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=1, max_retries=2))
    assert session.get(echo()).status_code == 200
    adapter = session.get_adapter(echo())
    assert isinstance(adapter, HTTPAdapter)
    assert adapter.max_retries == 2


def test_a_session_can_be_pickled(echo: ScriptedServer) -> None:
    session = reqkit.Session(headers={"X-A": "1"}, params={"p": "1"}, auth=("u", "p"), timeout=5)
    session.cookies.set("c", "1")
    session.get(echo())
    copied = pickle.loads(pickle.dumps(session))
    response = copied.get(echo())
    assert target(response) == "/?p=1"
    assert (fields(response)["x-a"], fields(response)["cookie"]) == ("1", "c=1")
    assert copied.timeout == 5
    assert echo.connections_opened == 2


def test_a_session_may_be_shared_by_threads(counting_server: Callable[..., Any]) -> None:
    server = counting_server(8)
    session = reqkit.Session()
    statuses: list[int | None] = []

    def work() -> None:
        statuses.append(session.get(server()).status_code)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 8


def test_long_headers_of_calls_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody says them again, and what is remembered is memory that nobody gives back."""
    monkeypatch.setattr(merging, "_merged", {})
    session = reqkit.Session()
    for name, value in (("X-Short", "1"), ("X" * 300, "1" * 300), ("X-Long", "1" * 600)):
        for _ in range(2):
            asked = reqkit.Request("GET", "http://h/", headers={name: value})
            assert session.prepare_request(asked).headers[name] == value
    assert len(merging._merged) == 3
    long = reqkit.Request("GET", "http://h/", headers={"X" * 600: "1" * 600})
    session.prepare_request(long)
    assert len(merging._merged) == 3


def test_headers_of_calls_are_merged_each_for_itself() -> None:
    session = reqkit.Session(headers={"X-Own": "1", "X-Left": "2"})
    given: dict[str, Any] = {"x-own": "3", "X-Left": None, "X-Given": b"4"}
    first = session.prepare_request(reqkit.Request("GET", "http://h/", headers=given))
    first.headers["X-Given"] = "changed"
    again = session.prepare_request(reqkit.Request("GET", "http://h/", headers=given))
    assert again.headers["x-own"] == "3"
    assert again.headers["x-given"] == "4"
    assert "x-left" not in again.headers
    session.headers["X-Own"] = "5"
    given = {"X-Given": "6"}
    other = session.prepare_request(reqkit.Request("GET", "http://h/", headers=given))
    assert (other.headers["x-own"], other.headers["x-given"]) == ("5", "6")
    assert other.headers["x-left"] == "2"
    for wrong in ({"X-Given": 6}, {"X-Given": ["6"]}, {6: "6"}):
        for _ in range(2):  # what was refused once is refused again
            with pytest.raises(reqkit.InvalidHeader):
                session.prepare_request(
                    reqkit.Request("GET", "http://h/", headers=wrong)  # type: ignore[arg-type]
                )


@pytest.mark.parametrize(
    ("prefix", "url"),
    [
        ("https://bücher.example/", "https://xn--bcher-kva.example/x"),
        ("https://BÜCHER.example", "https://bücher.example/x"),
        ("https://xn--bcher-kva.example/", "https://bücher.example/x"),
        ("https://bücher.example:8443/", "https://bücher.example:8443/x"),
        ("https://h.example/ä/", "https://h.example/%C3%A4/x"),
    ],
)
def test_what_is_mounted_for_names_beyond_ascii_is_found(prefix: str, url: str) -> None:
    mounted: list[Any] = []

    class Mine(HTTPAdapter):
        def send(self, request: Any, *arguments: Any, **keywords: Any) -> Any:
            mounted.append(request.url)
            return super().send(request, *arguments, **keywords)

    with testing.Router() as router, reqkit.Session() as session:
        session.mount(prefix, Mine())
        router.get(url)
        router.get("https://other.example/")
        assert session.get(url).ok
        assert session.get("https://other.example/").ok
    assert mounted == [reqkit.Request("GET", url).prepare().url]
