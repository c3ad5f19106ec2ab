"""Hooks, live: their order, how often they run, what they may change, and what they break."""

from __future__ import annotations

import functools
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.auth import HTTPDigestAuth
from reqkit.hooks import HOOKS, Hooks
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.wsgi import WSGIServer

Scripted = Callable[..., ScriptedServer]
OK = answer(200, b"ok")


def to(location: str, status: int = 302) -> bytes:
    return answer(status, b"", [("Location", location)])


class Seen:
    """Hooks that write down that they ran, and what they got."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.got: list[Any] = []

    def hook(self, name: str) -> Callable[[Any], None]:
        def run(data: Any) -> None:
            self.names.append(name)
            self.got.append(data)

        return run

    def hooks(self) -> dict[str, Any]:
        return {name: self.hook(name) for name in HOOKS}


# In which order, and how often


def test_the_four_run_in_order(echo: ScriptedServer) -> None:
    seen = Seen()
    response = reqkit.get(echo("/a"), params={"b": "1"}, hooks=seen.hooks())
    assert seen.names == ["args", "pre_request", "post_request", "response"]
    args, before, after, answered = seen.got
    assert (args["method"], args["url"], args["params"]) == ("GET", echo("/a"), {"b": "1"})
    assert before is after is answered.request
    assert before.url == echo("/a?b=1")
    assert answered is response


def test_pre_request_runs_before_anything_is_sent_and_post_request_after(
    echo: ScriptedServer,
) -> None:
    counts: list[int] = []

    def count(_: Any) -> None:
        counts.append(len(echo.requests))

    reqkit.get(echo(), hooks={"pre_request": count, "post_request": count})
    assert counts == [0, 1]


def test_pre_request_sees_auth_applied(echo: ScriptedServer) -> None:
    seen = Seen()
    reqkit.get(echo(), auth=("user", "pw"), hooks={"pre_request": seen.hook("pre")})
    assert seen.got[0].headers["Authorization"].startswith("Basic ")


def test_redirects_are_messages_but_not_requests(scripted: Scripted) -> None:
    server = scripted([to("/b"), to("/c", 307), OK])
    seen = Seen()
    reqkit.get(server("/a"), hooks=seen.hooks())
    assert seen.names == ["args", *["pre_request", "post_request"] * 3, "response"]
    assert [one.url for one in seen.got[1:-1:2]] == [server("/a"), server("/b"), server("/c")]


def test_auth_answers_are_messages_but_not_requests(httpbin: WSGIServer) -> None:
    seen = Seen()
    url = httpbin("/digest-auth/auth/user/pw")
    response = reqkit.get(url, auth=HTTPDigestAuth("user", "pw"), hooks=seen.hooks())
    assert response.status_code == 200
    assert seen.names == ["args", *["pre_request", "post_request"] * 2, "response"]
    first, second = seen.got[1], seen.got[3]
    assert "authorization" not in first.headers
    assert second.headers["Authorization"].startswith("Digest ")


def test_lists_run_in_their_order(echo: ScriptedServer) -> None:
    seen = Seen()
    reqkit.get(echo(), hooks={"response": [seen.hook("first"), seen.hook("second")]})
    assert seen.names == ["first", "second"]


@pytest.mark.parametrize("cut", [b"", b"HTTP/1.1 200"])
def test_post_request_runs_for_what_was_sent_and_not_answered(
    scripted: Scripted, cut: bytes
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(cut)

    seen = Seen()
    with pytest.raises(reqkit.ConnectionError):
        reqkit.get(scripted(handler)(), hooks=seen.hooks())
    assert seen.names == ["args", "pre_request", "post_request"]


def test_post_request_does_not_run_for_what_was_not_sent(closed_port: int) -> None:
    seen = Seen()
    with pytest.raises(reqkit.ConnectionError):
        reqkit.get(f"http://127.0.0.1:{closed_port}/", hooks=seen.hooks())
    assert seen.names == ["args", "pre_request"]


def test_in_safe_mode_the_response_hook_gets_the_failure(closed_port: int) -> None:
    seen = Seen()
    url = f"http://127.0.0.1:{closed_port}/"
    response = reqkit.get(url, hooks=seen.hooks(), config={"safe_mode": True})
    assert seen.names == ["args", "pre_request", "response"]
    assert seen.got[-1] is response
    assert isinstance(response.error, reqkit.ConnectionError)


def test_in_safe_mode_the_response_hook_runs_for_a_bad_url_too() -> None:
    seen = Seen()
    response = reqkit.get("nowhere", hooks=seen.hooks(), config={"safe_mode": True})
    assert seen.names == ["args", "response"]
    assert isinstance(response.error, reqkit.MissingSchema)


def test_in_danger_mode_the_response_hook_sees_the_answer_before_it_is_raised(
    scripted: Scripted,
) -> None:
    seen = Seen()
    url = scripted([answer(404)])()
    with pytest.raises(reqkit.HTTPError) as caught:
        reqkit.get(url, hooks={"response": seen.hook("response")}, config={"danger_mode": True})
    assert seen.got == [caught.value.response]


# What they may put in the place of what they got


def test_args_may_be_changed_or_replaced(echo: ScriptedServer) -> None:
    def replace(args: dict[str, Any]) -> dict[str, Any]:
        return {**args, "url": echo("/replaced"), "headers": {"X-New": "1"}}

    received = reqkit.get(echo("/"), hooks={"args": replace}).json()
    assert received["target"] == "/replaced"
    assert ["X-New", "1"] in received["fields"]


def test_args_changed_in_place_leave_the_callers_dictionaries_alone(echo: ScriptedServer) -> None:
    def change(args: dict[str, Any]) -> None:
        args["headers"]["X-New"] = "1"

    mine = {"X-Mine": "1"}
    received = reqkit.get(echo("/"), headers=mine, hooks={"args": change}).json()
    assert ["X-New", "1"] in received["fields"]
    assert mine == {"X-Mine": "1"}


def test_the_second_hook_gets_what_the_first_left(echo: ScriptedServer) -> None:
    def first(args: dict[str, Any]) -> dict[str, Any]:
        return {**args, "params": {"n": "1"}}

    def second(args: dict[str, Any]) -> dict[str, Any]:
        return {**args, "params": {"n": args["params"]["n"] + "2"}}

    received = reqkit.get(echo("/"), hooks={"args": [first, second]}).json()
    assert received["target"] == "/?n=12"


def test_pre_request_may_change_the_message(echo: ScriptedServer) -> None:
    def sign(prepared: reqkit.PreparedRequest) -> None:
        prepared.headers["X-Signed"] = "yes"

    received = reqkit.get(echo("/"), hooks={"pre_request": sign}).json()
    assert ["X-Signed", "yes"] in received["fields"]


def test_pre_request_may_replace_the_message(echo: ScriptedServer) -> None:
    other = reqkit.Request("PUT", echo("/other"), data=b"body").prepare()
    seen = Seen()
    hooks = {"pre_request": lambda prepared: other, "post_request": seen.hook("post")}
    response = reqkit.get(echo("/"), hooks=hooks)
    received = response.json()
    assert (received["method"], received["target"], received["body"]) == ("PUT", "/other", "body")
    assert response.request is other
    assert seen.got == [other]


def test_post_request_may_replace_what_the_response_tells(echo: ScriptedServer) -> None:
    def forget(prepared: reqkit.PreparedRequest) -> reqkit.PreparedRequest:
        plain = prepared.copy()
        del plain.headers["Authorization"]
        return plain

    response = reqkit.get(echo("/"), auth=("user", "pw"), hooks={"post_request": forget})
    assert "authorization" not in response.request.headers
    assert [name for name, _ in response.json()["fields"] if name == "Authorization"]


def test_response_may_be_replaced(echo: ScriptedServer) -> None:
    class Mine(reqkit.Response):
        pass

    mine = Mine()
    request = reqkit.Request("GET", echo("/"), hooks={"response": lambda response: mine})
    assert request.send() is mine
    assert request.response is mine


@pytest.mark.parametrize("name", ["pre_request", "post_request", "response"])
def test_none_replaces_nothing(echo: ScriptedServer, name: str) -> None:
    response = reqkit.get(echo("/x"), hooks={name: lambda got: None})
    assert response.json()["target"] == "/x"


# What they break


def bad_hook(_: Any) -> None:
    raise LookupError("what went wrong")


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_that_raises_is_a_warning(echo: ScriptedServer, name: str) -> None:
    with pytest.warns(reqkit.HookWarning) as warned:
        response = reqkit.get(echo(), hooks={name: bad_hook})
    assert response.status_code == 200
    assert [str(error) for error in response.hook_errors] == ["what went wrong"]
    (warning,) = warned
    text = str(warning.message)
    assert name in text
    assert "bad_hook" in text
    assert "LookupError: what went wrong" in text
    assert 'raise LookupError("what went wrong")' in text  # the traceback's line
    assert issubclass(reqkit.HookWarning, RuntimeWarning)


def test_a_hook_that_raises_does_not_stop_the_next(echo: ScriptedServer) -> None:
    seen = Seen()
    with pytest.warns(reqkit.HookWarning):
        response = reqkit.get(echo(), hooks={"response": [bad_hook, seen.hook("next")]})
    assert seen.got == [response]


def test_hook_errors_are_in_their_order_and_all_there(echo: ScriptedServer) -> None:
    def bad(name: str) -> Callable[[Any], None]:
        def fail(_: Any) -> None:
            raise LookupError(name)

        return fail

    with pytest.warns(reqkit.HookWarning) as warned:
        response = reqkit.get(echo(), hooks={name: bad(name) for name in reversed(HOOKS)})
    assert [str(error) for error in response.hook_errors] == list(HOOKS)
    assert len(warned) == 4


def test_hook_errors_of_a_failed_request(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/"
    hooks = {"args": bad_hook, "pre_request": bad_hook, "response": bad_hook}
    with pytest.warns(reqkit.HookWarning):
        response = reqkit.get(url, hooks=hooks, config={"safe_mode": True})
    assert len(response.hook_errors) == 3


def test_hook_errors_of_args_are_kept_where_the_message_was_never_made() -> None:
    with pytest.warns(reqkit.HookWarning):
        response = reqkit.get("nowhere", hooks={"args": bad_hook}, config={"safe_mode": True})
    assert len(response.hook_errors) == 1


def test_hook_errors_of_an_unsent_requests_args(echo: ScriptedServer) -> None:
    with pytest.warns(reqkit.HookWarning):
        request = reqkit_async.get(echo(), hooks={"args": bad_hook})
    for _ in range(2):
        assert len(request.send().hook_errors) == 1


def test_a_good_hook_leaves_no_hook_errors(echo: ScriptedServer) -> None:
    assert reqkit.get(echo(), hooks={"response": Seen().hook("x")}).hook_errors == []


def test_hooks_are_named_without_what_a_partial_holds(echo: ScriptedServer) -> None:
    def with_token(token: str, _: Any) -> None:
        raise LookupError

    with pytest.warns(reqkit.HookWarning) as warned:
        reqkit.get(echo(), hooks={"response": functools.partial(with_token, "s3cret")})
    text = str(warned[0].message)
    assert "with_token" in text
    assert "s3cret" not in text


def test_an_interrupt_is_no_hook_error(echo: ScriptedServer) -> None:
    def interrupt(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reqkit.get(echo(), hooks={"pre_request": interrupt})
    assert echo.requests == []


def test_warnings_as_errors_are_the_users_choice(echo: ScriptedServer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", reqkit.HookWarning)
        with pytest.raises(reqkit.HookWarning):
            reqkit.get(echo(), hooks={"response": bad_hook})


# A session's, and a call's


def test_a_calls_hook_replaces_the_sessions_of_that_name_alone(echo: ScriptedServer) -> None:
    seen = Seen()
    own = {"response": seen.hook("own"), "pre_request": seen.hook("own pre")}
    with reqkit.Session(hooks=own) as session:
        session.get(echo())
        assert seen.names == ["own pre", "own"]
        seen.names.clear()
        session.get(echo(), hooks={"response": seen.hook("call")})
        assert seen.names == ["own pre", "call"]
        seen.names.clear()
        session.get(echo())
        assert seen.names == ["own pre", "own"]


@pytest.mark.parametrize("nothing", [None, []])
def test_none_leaves_the_sessions_hook_out(echo: ScriptedServer, nothing: Any) -> None:
    seen = Seen()
    own = {"response": seen.hook("own"), "post_request": seen.hook("own post")}
    with reqkit.Session(hooks=own) as session:
        session.get(echo(), hooks={"response": nothing})
    assert seen.names == ["own post"]


def test_a_request_of_the_session_merges_too(echo: ScriptedServer) -> None:
    seen = Seen()
    with reqkit.Session(hooks={"pre_request": seen.hook("own")}) as session:
        request = reqkit.Request("GET", echo(), hooks={"response": seen.hook("its")})
        session.send(session.prepare_request(request))
    assert seen.names == ["own", "its"]


def test_an_empty_dictionary_of_hooks_says_nothing(echo: ScriptedServer) -> None:
    seen = Seen()
    with reqkit.Session(hooks={"response": seen.hook("own")}) as session:
        session.get(echo(), hooks={})
        session.get(echo(), hooks=reqkit.hooks.default_hooks())
    assert seen.names == ["own", "own"]


def test_a_sessions_args_hook_runs_for_its_methods_and_not_for_send(echo: ScriptedServer) -> None:
    seen = Seen()
    with reqkit.Session(hooks={"args": seen.hook("args")}) as session:
        session.get(echo())
        session.request("POST", echo())
        prepared = session.prepare_request(reqkit.Request("GET", echo()))
        session.send(prepared)
    assert [one["method"] for one in seen.got] == ["GET", "POST"]


def test_args_run_once_for_an_unsent_request(echo: ScriptedServer) -> None:
    seen = Seen()
    request = reqkit.get(echo(), hooks={"args": seen.hook("args")}, return_response=False)
    assert seen.names == ["args"]
    request.send()
    assert seen.names == ["args"]
    assert len(echo.requests) == 1


def test_args_run_for_the_unsent_requests_of_the_async_package(echo: ScriptedServer) -> None:
    def replace(args: dict[str, Any]) -> dict[str, Any]:
        return {**args, "url": echo("/replaced")}

    with reqkit.Session(hooks={"args": replace}) as session:
        assert reqkit_async.get(echo("/"), session=session).url == echo("/replaced")
    assert reqkit_async.get(echo("/"), hooks={"args": replace}).url == echo("/replaced")


# Keywords


@pytest.mark.parametrize("name", HOOKS)
def test_a_hook_with_keywords_is_told_how_it_is_sent(
    echo_secure: ScriptedServer, ca_bundle: str, name: str
) -> None:
    received: dict[str, Any] = {}

    def hook(data: Any, *args: Any, **keywords: Any) -> None:
        assert args == ()
        received.update(keywords)

    proxies = {"http": "127.0.0.1:9"}
    reqkit.get(echo_secure(), hooks={name: hook}, verify=ca_bundle, proxies=proxies, timeout=(3, 4))
    assert sorted(received) == ["cert", "proxies", "stream", "timeout", "verify"]
    assert received["verify"] == ca_bundle
    assert received["cert"] is None
    assert received["proxies"] == proxies
    assert received["stream"] is True
    assert reqkit.Timeouts.of(received["timeout"]) == reqkit.Timeouts(3, 4)


@pytest.mark.parametrize("name", HOOKS)
def test_keywords_have_the_sessions_settings(
    echo_secure: ScriptedServer, ca_bundle: str, name: str
) -> None:
    received: dict[str, Any] = {}

    def hook(data: Any, **keywords: Any) -> None:
        received.update(keywords)

    own = {name: hook}
    with reqkit.Session(hooks=own, verify=ca_bundle, timeout=7, prefetch=True) as session:
        session.get(echo_secure())
    assert received["verify"] == ca_bundle
    assert received["stream"] is False
    assert reqkit.Timeouts.of(received["timeout"]) == reqkit.Timeouts(7, 7)


def test_a_hook_without_keywords_gets_one_argument(echo: ScriptedServer) -> None:
    class Callable_:
        def __call__(self, response: Any) -> None:
            got.append(response)

        def method(self, response: Any, /) -> None:
            got.append(response)

    got: list[Any] = []
    thing = Callable_()
    hooks: list[Any] = [thing, thing.method, got.append, functools.partial(thing.method)]
    response = reqkit.get(echo(), hooks={"response": hooks})
    assert got == [response] * 4


# Registering


@pytest.mark.parametrize("prepared", [False, True])
def test_hooks_are_registered_and_deregistered(echo: ScriptedServer, prepared: bool) -> None:
    seen = Seen()
    one, other = seen.hook("one"), seen.hook("other")
    with reqkit.Session() as session:
        request: Any = reqkit.Request("GET", echo())
        if prepared:
            request = session.prepare_request(request)
        send = session.send if prepared else session.perform
        request.register_hook("response", one)
        request.register_hook("response", [other])
        send(request)
        assert seen.names == ["one", "other"]
        assert request.deregister_hook("response", one) is True
        assert request.deregister_hook("response", one) is False
        send(request)
    assert seen.names == ["one", "other", "other"]


@pytest.mark.parametrize("kind", [reqkit.Request, reqkit.PreparedRequest])
def test_an_unknown_name_cannot_be_registered(kind: Any) -> None:
    for method in ("register_hook", "deregister_hook"):
        with pytest.raises(ValueError, match="did you mean 'response'") as caught:
            getattr(kind(), method)("respons", print)
        for name in HOOKS:
            assert name in str(caught.value)


def test_a_pre_request_hook_may_register_a_response_hook(echo: ScriptedServer) -> None:
    seen = Seen()

    def add(prepared: reqkit.PreparedRequest) -> None:
        prepared.register_hook("response", seen.hook("added"))

    reqkit.get(echo(), hooks={"pre_request": add})
    assert seen.names == ["added"]


@pytest.mark.parametrize(
    "make",
    [
        lambda hooks: reqkit.get("http://127.0.0.1:9/", hooks=hooks),
        lambda hooks: reqkit.Session(hooks=hooks),
        lambda hooks: reqkit.Request("GET", "http://127.0.0.1:9/", hooks=hooks),
        lambda hooks: reqkit_async.get("http://127.0.0.1:9/", hooks=hooks),
        lambda hooks: reqkit.Session().hooks.update(hooks),
    ],
)
def test_an_unknown_name_is_a_value_error_at_once(make: Callable[[Any], Any]) -> None:
    with pytest.raises(ValueError, match="pre_request, post_request, response"):
        make({"before": print})


def test_response_hooks_may_send_further_messages(echo: ScriptedServer) -> None:
    def again(response: Any, **keywords: Any) -> Any:
        prepared = response.request.copy()
        prepared.url = echo("/again")
        further = response.connection.send(prepared, **keywords)
        further.history.append(response)
        return further

    response = reqkit.get(echo("/"), hooks={"response": again})
    assert response.json()["target"] == "/again"
    assert [one.json()["target"] for one in response.history] == ["/"]


def test_a_message_sent_with_stream_false_is_read(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        for body in (b"", b"second"):
            connection.recv_request()
            if body:  # the head alone first, so that the body does not come along
                head, _, rest = answer(200, body).partition(b"\r\n\r\n")
                connection.send(head + b"\r\n\r\n")
                connection.send(rest)
            else:
                connection.send(answer(200))

    read: list[bytes] = []

    def again(response: Any, **keywords: Any) -> None:
        further = response.connection.send(response.request.copy(), **{**keywords, "stream": False})
        read.append(further._content)

    server = scripted(handler)
    with reqkit.Session() as session:
        session.get(server(), hooks={"response": again})
    assert read == [b"second"]


def test_hooks_pickle_as_they_were_set() -> None:
    hooks = pickle.loads(pickle.dumps(Hooks({"response": print, "args": None})))
    assert hooks == {"args": [], "pre_request": [], "post_request": [], "response": [print]}
    assert hooks.cleared == {"args"}
