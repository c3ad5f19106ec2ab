"""The guide's examples one by one, as a reader would type them, against servers on loopback."""

from __future__ import annotations

import io
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.auth import AuthBase, HTTPBasicAuth, HTTPDigestAuth
from servers.messages import answer
from servers.proxies import Proxy
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority
from servers.wsgi import WSGIServer

Scripted = Callable[..., ScriptedServer]


# -- session objects


def test_a_session_keeps_cookies(httpbin: WSGIServer) -> None:
    s = reqkit.session()

    s.get(httpbin("/cookies/set/sessioncookie/123456789"))
    r = s.get(httpbin("/cookies"))

    assert json.loads(r.text) == {"cookies": {"sessioncookie": "123456789"}}
    s.close()


def test_a_session_has_default_data(httpbin: WSGIServer) -> None:
    headers = {"x-test": "true"}
    auth = ("user", "pass")

    with reqkit.session(auth=auth, headers=headers) as c:
        # both 'x-test' and 'x-test2' are sent
        r = c.get(httpbin("/headers"), headers={"x-test2": "true"})

    sent = r.json()["headers"]
    assert (sent["X-Test"], sent["X-Test2"]) == ("true", "true")
    assert sent["Authorization"].startswith("Basic ")
    assert headers == {"x-test": "true"}


def test_what_a_call_gives_overrides_what_the_session_has(httpbin: WSGIServer) -> None:
    with reqkit.session(headers={"x-test": "session"}, params={"a": "1", "b": "2"}) as c:
        r = c.get(httpbin("/get"), headers={"X-TEST": "call"}, params={"b": "3"})

    assert r.json()["headers"]["X-Test"] == "call"
    assert r.json()["args"] == {"a": "1", "b": "3"}


def test_none_removes_a_value_from_a_dictionary(httpbin: WSGIServer) -> None:
    with reqkit.session(headers={"x-test": "true"}, params={"a": "1", "b": "2"}) as c:
        r = c.get(httpbin("/get"), headers={"x-test": None}, params={"a": None})
        again = c.get(httpbin("/get"))

    assert "X-Test" not in r.json()["headers"]
    assert r.json()["args"] == {"b": "2"}
    assert again.json()["headers"]["X-Test"] == "true"


def test_what_a_session_has_can_be_read_and_set(httpbin: WSGIServer) -> None:
    with reqkit.session(headers={"x-test": "true"}) as s:
        assert s.headers == {"x-test": "true"}
        s.headers["x-more"] = "yes"
        s.auth = ("user", "pass")

        assert s.get(httpbin("/basic-auth/user/pass")).status_code == 200
        assert s.get(httpbin("/headers")).json()["headers"]["X-More"] == "yes"


# -- certificates


@contextmanager
def serving(context: ssl.SSLContext) -> Iterator[ScriptedServer]:
    with ScriptedServer.echo(tls=context) as server:
        yield server


def test_a_certificate_for_another_name_is_refused(authority: Authority, ca_bundle: str) -> None:
    with serving(authority.wrong_name()) as server, pytest.raises(reqkit.SSLError) as caught:
        reqkit.get(server(), verify=ca_bundle)

    assert server.host in str(caught.value)
    assert isinstance(caught.value, reqkit.exceptions.SSLError)


def test_an_unknown_authority_is_refused_with_verify_true(httpbin_secure: WSGIServer) -> None:
    with pytest.raises(reqkit.SSLError):
        reqkit.get(httpbin_secure("/get"), verify=True)


def test_verify_takes_a_bundle(httpbin_secure: WSGIServer, ca_bundle: str) -> None:
    assert repr(reqkit.get(httpbin_secure("/get"), verify=ca_bundle)) == "<Response [200]>"


def test_the_environment_names_a_bundle(
    httpbin_secure: WSGIServer, ca_bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_bundle)

    assert repr(reqkit.get(httpbin_secure("/get"))) == "<Response [200]>"


# -- the body


def test_the_body_waits_until_content_asks_for_it(scripted: Scripted) -> None:
    asked = threading.Event()

    def tarball(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"x" * 1000)[:-1000])
        connection.wait(asked)
        connection.send(b"x" * 1000)

    server = scripted(tarball)
    r = reqkit.get(server("/tarball"))  # returns although no byte of the body was sent

    assert r.status_code == 200
    asked.set()
    assert r.content == b"x" * 1000
    assert r.content is r.content


def test_prefetch_reads_the_body_at_once() -> None:
    def tarball(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"x" * 100_000))

    with ScriptedServer(tarball) as server:
        r = reqkit.get(server("/tarball"), prefetch=True)

    assert len(r.content) == 100_000  # though the server is gone


# -- configuration and keep-alive


def test_config_is_given_to_a_call_or_a_session(httpbin: WSGIServer) -> None:
    with pytest.raises(reqkit.HTTPError):
        reqkit.get(httpbin("/status/404"), config={"danger_mode": True})
    with reqkit.session(config={"safe_mode": True}) as s:
        r = s.get("http://127.0.0.1:1/")
    assert r.status_code is None
    assert isinstance(r.error, reqkit.ConnectionError)


def test_connections_are_kept_within_a_session(echo: ScriptedServer) -> None:
    with reqkit.session() as s:
        for _ in range(5):
            s.get(echo()).content  # noqa: B018 reads it
    assert echo.connections_opened == 1


def test_a_connection_is_given_back_once_its_body_is_read(scripted: Scripted) -> None:
    size = 1_000_000  # more than comes with the head

    def big(connection: Connection) -> None:
        while connection.recv_request():
            connection.send(answer(200, b"x" * size))

    server = scripted(big)
    with reqkit.session() as s:
        unread = s.get(server())
        s.get(server()).content  # noqa: B018 reads it
        assert server.connections_opened == 2
        unread.close()
        s.get(server(), prefetch=True)
        assert server.connections_opened == 2


def test_keep_alive_can_be_switched_off(echo: ScriptedServer) -> None:
    s = reqkit.session()
    s.config["keep_alive"] = False

    for _ in range(3):
        s.get(echo(), prefetch=True)

    assert echo.connections_opened == 3
    assert [request.get("Connection") for request in echo.requests] == ["close"] * 3


# -- asynchronous requests


def test_many_requests_are_sent_at_once(counting_server: Callable[..., Any]) -> None:
    server = counting_server(4)  # answers when four are in flight
    urls = [server(f"/{number}") for number in range(4)]

    rs = [reqkit_async.get(u) for u in urls]

    assert all(isinstance(r, reqkit.Request) and r.response is None for r in rs)
    assert repr(reqkit_async.map(rs)) == str(["<Response [200]>"] * 4).replace("'", "")


def test_a_request_can_be_sent_alone(httpbin: WSGIServer) -> None:
    request = reqkit_async.get(httpbin("/get"))

    response = request.send()

    assert response.status_code == 200
    assert request.response is response


def test_map_guarantees_the_response_hook(httpbin: WSGIServer) -> None:
    seen: list[int | None] = []
    hooks = {"response": lambda response: seen.append(response.status_code)}
    urls = [httpbin("/get"), httpbin("/status/404"), "http://127.0.0.1:1/"]

    responses = reqkit_async.map([reqkit_async.get(u, hooks=hooks) for u in urls])

    assert [r.status_code for r in responses] == [200, 404, None]
    assert sorted(seen, key=str) == [200, 404, None]


def test_map_takes_a_size(scripted: Scripted) -> None:
    lock = threading.Lock()
    flying = peak = 0

    def count(connection: Connection) -> None:
        nonlocal flying, peak
        while connection.recv_request():
            with lock:
                flying += 1
                peak = max(peak, flying)
            connection.pause(0.01)
            with lock:
                flying -= 1
            connection.send(answer())

    server = scripted(count)
    responses = reqkit_async.map([reqkit_async.get(server()) for _ in range(25)], size=5)

    assert [r.status_code for r in responses] == [200] * 25
    assert peak == 5


# -- hooks


def print_url(args: dict[str, Any]) -> None:
    print(args["url"])


def hack_headers(args: dict[str, Any]) -> dict[str, Any]:
    if args.get("headers") is None:
        args["headers"] = {}

    args["headers"].update({"X-Testing": "True"})

    return args


def test_an_args_hook_sees_the_arguments(
    httpbin: WSGIServer, capsys: pytest.CaptureFixture[str]
) -> None:
    r = reqkit.get(httpbin("/get"), hooks={"args": print_url})

    assert capsys.readouterr().out == httpbin("/get") + "\n"
    assert repr(r) == "<Response [200]>"


def test_an_args_hook_replaces_the_arguments(httpbin: WSGIServer) -> None:
    hooks = {"args": hack_headers}
    headers = {"yo": "dawg"}

    r = reqkit.get(httpbin("/headers"), hooks=hooks, headers=headers)

    sent = r.json()["headers"]
    assert (sent["X-Testing"], sent["Yo"]) == ("True", "dawg")


def test_hooks_run_in_their_order(httpbin: WSGIServer) -> None:
    order: list[tuple[str, str]] = []

    def note(name: str) -> Callable[[Any], None]:
        return lambda data: order.append((name, type(data).__name__))

    names = ("args", "pre_request", "post_request", "response")
    reqkit.get(httpbin("/get"), hooks={name: note(name) for name in names})

    assert order == [
        ("args", "dict"),
        ("pre_request", "PreparedRequest"),
        ("post_request", "PreparedRequest"),
        ("response", "Response"),
    ]


def test_a_hook_that_fails_is_a_warning(httpbin: WSGIServer) -> None:
    def broken(response: reqkit.Response) -> None:
        raise LookupError("no such thing")

    with pytest.warns(reqkit.HookWarning, match=r"broken.*\n(.*\n)*.*no such thing"):
        r = reqkit.get(httpbin("/get"), hooks={"response": broken}, prefetch=True)

    assert r.status_code == 200
    assert [type(error) for error in r.hook_errors] == [LookupError]


def test_what_a_response_hook_returns_takes_its_place(httpbin: WSGIServer) -> None:
    r = reqkit.get(httpbin("/get"), hooks={"response": lambda response: response.json()["url"]})

    assert r == httpbin("/get")


# -- authentication


class PizzaAuth(AuthBase):
    """Attaches HTTP Pizza Authentication to the given Request object."""

    def __init__(self, username: str) -> None:
        # setup any auth-related data here
        self.username = username

    def __call__(self, r: Any) -> Any:
        # modify and return the request
        r.headers["X-Pizza"] = self.username
        return r


def test_an_auth_of_ones_own(scripted: Scripted) -> None:
    def pizzabin(connection: Connection) -> None:
        while request := connection.recv_request():
            connection.send(answer(200 if request.get("X-Pizza") == "kenneth" else 401))

    server = scripted(pizzabin)

    assert repr(reqkit.get(server("/admin"))) == "<Response [401]>"
    assert repr(reqkit.get(server("/admin"), auth=PizzaAuth("kenneth"))) == "<Response [200]>"


def test_basic_and_digest(httpbin: WSGIServer) -> None:
    basic, digest = httpbin("/basic-auth/ann/secret"), httpbin("/digest-auth/auth/ann/secret")

    assert reqkit.get(basic, auth=("ann", "secret")).ok
    assert reqkit.get(basic, auth=HTTPBasicAuth("ann", "secret")).ok
    assert not reqkit.get(basic, auth=HTTPBasicAuth("ann", "wrong")).ok
    assert reqkit.get(digest, auth=HTTPDigestAuth("ann", "secret")).ok


# -- streaming


def test_lines_of_a_live_stream(scripted: Scripted) -> None:
    read = threading.Event()

    def stream(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connection.send(b'10\r\n{"text": "one"}\n\r\n2\r\n\r\n\r\n')
        connection.wait(read)  # the first line was read before the second is sent
        connection.send(b'10\r\n{"text": "two"}\n\r\n0\r\n\r\n')

    server = scripted(stream)
    r = reqkit.post(
        server("/1/statuses/filter.json"), data={"track": "requests"}, auth=("username", "password")
    )

    texts = []
    for line in r.iter_lines():
        if line:  # filter out keep-alive new lines
            texts.append(json.loads(line)["text"])
            read.set()

    assert texts == ["one", "two"]
    (request,) = server.requests
    assert (request.method, request.body) == ("POST", b"track=requests")
    assert (request.get("Authorization") or "").startswith("Basic ")


# -- verbose logging


def test_verbose_tells_each_request(httpbin: WSGIServer) -> None:
    stream = io.StringIO()
    my_config = {"verbose": stream}

    r = reqkit.get(httpbin("/headers"), config=my_config)

    assert repr(r) == "<Response [200]>"
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}"
    assert re.fullmatch(rf"{stamp}   GET   {httpbin('/headers')}\n", stream.getvalue())


# -- proxies


def test_proxies_of_a_call(
    httpbin: WSGIServer, httpbin_secure: WSGIServer, ca_bundle: str, http_proxy: Proxy
) -> None:
    proxies = {"http": http_proxy.netloc, "https": http_proxy.netloc}

    with reqkit.session() as s:
        assert s.get(httpbin("/get?plain=1"), proxies=proxies).ok
        assert s.get(httpbin_secure("/get"), proxies=proxies, verify=ca_bundle).ok
    # A tunnel is logged when it ends, as it does with the session.
    http_proxy.wait_for_log("/get?plain=1")
    http_proxy.wait_for_log(f"CONNECT {httpbin_secure.host}:{httpbin_secure.port}")


def test_proxies_of_the_environment(
    httpbin: WSGIServer,
    httpbin_secure: WSGIServer,
    ca_bundle: str,
    http_proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", http_proxy.netloc)
    monkeypatch.setenv("HTTPS_PROXY", http_proxy.netloc)

    with reqkit.session() as s:  # whose end is what the proxy logs
        assert s.get(httpbin("/get?from=environment")).ok
        assert s.get(httpbin_secure("/get"), verify=ca_bundle).ok
    http_proxy.wait_for_log("/get?from=environment")


# -- and what is common to all of it


def test_a_session_has_all_methods_of_the_main_api(httpbin: WSGIServer) -> None:
    with reqkit.session() as s:
        for name in ("get", "options", "head", "post", "put", "patch", "delete"):
            assert callable(getattr(reqkit, name))
            assert callable(getattr(reqkit_async, name))
            path = "/get" if name in ("options", "head") else f"/{name}"
            assert getattr(s, name)(httpbin(path)).status_code == 200


def test_a_download_is_whole(httpbin: WSGIServer, tmp_path: Path) -> None:
    path = reqkit.get(httpbin("/bytes/5000?seed=1")).download(tmp_path / "file")

    assert path.stat().st_size == 5000
