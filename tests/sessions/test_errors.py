"""Errors, live: their relations, what they carry, what they say, and that they pickle."""

from __future__ import annotations

import errno
import json
import pickle
import socket
from collections.abc import Callable
from typing import Any

import pytest
from urllib3.util import Retry

import reqkit
from reqkit import exceptions
from reqkit.adapters import HTTPAdapter
from reqkit.network import StdlibNetwork, network
from servers.handlers import reset, silent, then_close
from servers.messages import answer
from servers.proxies import Proxy
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Scripted = Callable[..., ScriptedServer]

KINDS = [
    kind
    for name in exceptions.__all__
    if issubclass(kind := getattr(exceptions, name), reqkit.RequestException)
]

#: The relations that users of requests rely on; all are `RequestException`s and ``OSError``s.
BASES: dict[str, tuple[type[BaseException], ...]] = {
    "RequestException": (OSError,),
    "HTTPError": (),
    "ConnectionError": (),
    "ProxyError": (reqkit.ConnectionError,),
    "SSLError": (reqkit.ConnectionError,),
    "Timeout": (),
    "ConnectTimeout": (reqkit.ConnectionError, reqkit.Timeout),
    "ReadTimeout": (reqkit.Timeout,),
    "TotalTimeout": (reqkit.Timeout,),
    "TooManyRedirects": (),
    "URLRequired": (),
    "MissingSchema": (ValueError,),
    "InvalidSchema": (ValueError,),
    "InvalidURL": (ValueError,),
    "InvalidHeader": (ValueError,),
    "InvalidProxyURL": (reqkit.InvalidURL, ValueError),
    "ChunkedEncodingError": (),
    "ContentDecodingError": (),
    "StreamConsumedError": (TypeError,),
    "RetryError": (),
    "UnrewindableBodyError": (),
    "InvalidJSONError": (),
    "JSONDecodeError": (reqkit.InvalidJSONError, json.JSONDecodeError, ValueError),
    "ContentTooLarge": (),
    "ChecksumError": (),
    "ConfigError": (ValueError,),
    "ProtocolError": (reqkit.ConnectionError,),
    "IncompleteHead": (reqkit.ProtocolError, reqkit.ChunkedEncodingError),
    "RequestCancelled": (),
}


@pytest.mark.parametrize("name", BASES)
def test_relations(name: str) -> None:
    kind = getattr(reqkit, name)
    assert kind is getattr(exceptions, name)
    assert issubclass(kind, (reqkit.RequestException,))
    assert issubclass(kind, OSError)
    for base in BASES[name]:
        assert issubclass(kind, base)
    others = {reqkit.ConnectionError, reqkit.Timeout, ValueError, reqkit.HTTPError}
    for other in others - set(BASES[name]) - {kind}:
        if not any(issubclass(base, other) for base in BASES[name]):
            allowed = name == "URLRequired" and other is ValueError
            assert not issubclass(kind, other) or allowed


def test_warnings_are_at_the_top_too() -> None:
    assert reqkit.HookWarning is exceptions.HookWarning
    assert issubclass(reqkit.HookWarning, RuntimeWarning)
    assert set(exceptions.__all__) <= set(reqkit.__all__)


# Pickling


def made(kind: type[reqkit.RequestException]) -> Any:
    if kind is reqkit.JSONDecodeError:
        return reqkit.JSONDecodeError("Expecting value", "doc", 1)
    return kind("what failed")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_pickles_without_secrets(kind: type[reqkit.RequestException]) -> None:
    error = made(kind)
    prepared = reqkit.Request("GET", "http://u:s3cret@h/", auth=("user", "s3cret")).prepare()
    error.request = prepared
    error.response = reqkit.Response()
    error.response.request = prepared
    error.before_sending = True
    error.extra = 5
    data = pickle.dumps(error)
    assert b"s3cret" not in data
    assert b"czNjcmV0" not in data  # in Base64
    again = pickle.loads(data)
    assert [type(again)] == [kind]
    assert (again.args, str(again)) == (error.args, str(error))
    assert (again.before_sending, again.extra) == (True, 5)
    assert again.request.url == again.response.request.url == "http://u:***@h/"
    assert again.request.headers["Authorization"] == "***"


def test_attributes_of_their_own_are_pickled() -> None:
    late = reqkit.TotalTimeout("late", phase="tls")
    assert pickle.loads(pickle.dumps(late)).phase == "tls"
    silent = reqkit.ProtocolError("silent")
    silent.no_answer = True
    assert pickle.loads(pickle.dumps(silent)).no_answer is True
    wrong = pickle.loads(pickle.dumps(reqkit.JSONDecodeError("Expecting value", "a\nb", 2)))
    assert (wrong.msg, wrong.doc, wrong.pos, wrong.lineno, wrong.colno) == (
        "Expecting value", "a\nb", 2, 2, 1,
    )  # fmt: skip


def test_a_real_one_pickles(closed_port: int) -> None:
    with pytest.raises(reqkit.ConnectionError) as caught:
        reqkit.get(f"http://u:s3cret@127.0.0.1:{closed_port}/", headers={"Cookie": "s3cret"})
    data = pickle.dumps(caught.value)
    assert b"s3cret" not in data
    again = pickle.loads(data)
    assert str(again) == str(caught.value)
    assert again.before_sending is True


def test_a_failed_response_pickles(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/"
    response = reqkit.get(url, config={"safe_mode": True})
    again = pickle.loads(pickle.dumps(response))
    assert type(again.error) is reqkit.ConnectionError
    assert not again.ok


# What each failure is, says and carries


def body_then_silence(connection: Connection) -> None:
    connection.recv_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345")
    connection.wait_closed()


OK = b"HTTP/1.1 200 OK\r\n"
#: What the server does; the keywords; the error; words of its text; before_sending, no_answer.
FAILURES: dict[str, tuple[Any, dict[str, Any], type[reqkit.RequestException], str, bool]] = {
    "no answer": (
        then_close(b""), {}, reqkit.ProtocolError, "without an answer", True,
    ),
    "head cut": (
        then_close(b"HTTP/1.1 200"), {}, reqkit.IncompleteHead, "middle of the answer's head",
        False,
    ),
    "not http": (
        then_close(b"SSH-2.0-x\r\n"), {}, reqkit.ProtocolError, "expected 'HTTP/1.'", False,
    ),
    "reset": (reset, {}, reqkit.ConnectionError, "reset the connection", False),
    "silence": (
        silent, {"timeout": (5, 0.05)}, reqkit.ReadTimeout, "sent nothing", False,
    ),
    "silence, total": (
        silent, {"timeout": reqkit.Timeouts(total=0.5)}, reqkit.TotalTimeout, "total limit", False,
    ),
    "body cut": (
        then_close(OK + b"Content-Length: 9\r\n\r\nab"), {}, reqkit.ChunkedEncodingError,
        "2 of 9 bytes", False,
    ),
    "chunks cut": (
        then_close(OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"), {},
        reqkit.ChunkedEncodingError, "last chunk is missing", False,
    ),
    "body silent": (
        body_then_silence, {"timeout": (5, 0.05)}, reqkit.ReadTimeout, "sent nothing", False,
    ),
    "bad gzip": (
        then_close(answer(200, b"not gzip", [("Content-Encoding", "gzip")])), {},
        reqkit.ContentDecodingError, "gzip", False,
    ),
    "too large": (
        then_close(answer(200, b"0123456789")), {"config": {"max_content_size": 5}},
        reqkit.ContentTooLarge, "max_content_size", False,
    ),
    "bad status": (
        then_close(answer(404, b"")), {"config": {"danger_mode": True}}, reqkit.HTTPError,
        "404 Client Error: Not Found", False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_failures_of_the_server(scripted: Scripted, name: str) -> None:
    handler, keywords, kind, words, no_answer = FAILURES[name]
    server = scripted(handler)
    url = server("/path").replace("://", "://user:s3cret@")
    with pytest.raises(reqkit.RequestException) as caught:
        reqkit.get(url, prefetch=True, **keywords)
    error = caught.value
    assert type(error) is kind
    assert words in str(error)
    assert server("/path").replace("://", "://user:***@") in str(error)
    assert error.request.url == url
    assert error.before_sending is False
    assert getattr(error, "no_answer", False) is no_answer
    assert "s3cret" not in str(error) + repr(error)


@pytest.mark.parametrize("name", ["body cut", "chunks cut", "bad gzip", "too large", "bad status"])
def test_an_answer_in_hand_is_carried(scripted: Scripted, name: str) -> None:
    handler, keywords, kind, _, _ = FAILURES[name]
    with pytest.raises(kind) as caught:
        reqkit.get(scripted(handler)(), prefetch=True, **keywords)
    assert caught.value.response.status_code in (200, 404)


@pytest.mark.parametrize("name", ["reset", "silence", "body silent"])
def test_the_cause_is_chained(scripted: Scripted, name: str) -> None:
    handler, keywords, kind, _, _ = FAILURES[name]
    with pytest.raises(kind) as caught:
        reqkit.get(scripted(handler)(), prefetch=True, **keywords)
    assert isinstance(caught.value.__cause__, OSError)
    assert not isinstance(caught.value.__cause__, reqkit.RequestException)


def test_a_refused_connection(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/"
    with pytest.raises(reqkit.ConnectionError, match="is it running") as caught:
        reqkit.get(url)
    assert type(caught.value) is reqkit.ConnectionError
    assert url in str(caught.value)
    assert caught.value.before_sending is True
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert caught.value.request.url == url


def test_a_name_that_is_none() -> None:
    class Nameless(StdlibNetwork):
        def resolve(self, host: str, port: int, timeout: float | None) -> Any:
            raise socket.gaierror(socket.EAI_NONAME, "what the system says")

    with (
        network.use(Nameless()),
        pytest.raises(reqkit.ConnectionError, match=r"nowhere\.example.*spelling") as caught,
    ):
        reqkit.get("http://nowhere.example/")
    assert caught.value.before_sending is True


def test_a_certificate_that_is_not_known(
    scripted: Scripted, authority: Authority, closed_port: int
) -> None:
    server = scripted([answer(200)], tls=authority.server())
    with pytest.raises(reqkit.SSLError, match=r"127\.0\.0\.1") as caught:
        reqkit.get(server())
    assert "verify=" in str(caught.value)
    assert caught.value.before_sending is True
    assert server.requests == []


def test_a_tls_handshake_that_never_ends(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        connection.wait_closed()

    url = scripted(handler)().replace("http", "https")
    with pytest.raises(reqkit.ConnectTimeout) as caught:
        reqkit.get(url, timeout=(0.05, 5))
    assert caught.value.before_sending is True
    with pytest.raises(reqkit.TotalTimeout) as late:
        reqkit.get(url, timeout=reqkit.Timeouts(total=0.5))
    assert (late.value.phase, late.value.before_sending) == ("tls", True)


def test_a_proxy_that_refuses(auth_proxy: Proxy, scripted: Scripted, authority: Authority) -> None:
    server = scripted([answer(200)], tls=authority.server())
    proxies = {"https": f"http://ann:s3cret@{auth_proxy.netloc}"}
    with pytest.raises(reqkit.ProxyError, match="407") as caught:
        reqkit.get(server(), proxies=proxies)
    assert caught.value.before_sending is True
    assert "s3cret" not in str(caught.value)
    assert auth_proxy.netloc in str(caught.value)
    assert server.connections_opened == 0


def test_a_proxy_that_is_not_there(closed_port: int) -> None:
    proxies = {"http": f"http://ann:s3cret@127.0.0.1:{closed_port}"}
    with pytest.raises(reqkit.ProxyError) as caught:
        reqkit.get("http://h.example/", proxies=proxies)
    assert caught.value.before_sending is True
    assert "s3cret" not in str(caught.value)


def test_a_place_in_the_pool_that_does_not_come_free(scripted: Scripted) -> None:
    with reqkit.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=1, pool_block=True))
        server = scripted(body_then_silence)
        held = session.get(server())
        for timeout in ((0.05, 5), reqkit.Timeouts(total=0.05)):
            with pytest.raises(reqkit.Timeout) as caught:
                session.get(server(), timeout=timeout)
            assert caught.value.before_sending is True
            assert server() in str(caught.value)
            assert caught.value.request.url == server()
        held.close()


def test_a_kept_connection_that_is_gone_under_a_post(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"ok"))
        connection.recv_request()  # and no answer to the second

    server = scripted(handler)
    with reqkit.Session() as session:
        session.get(server())
        with pytest.raises(reqkit.ConnectionError, match="POST is not sent twice") as caught:
            session.post(server("/second"), data=b"x")
    assert caught.value.before_sending is False
    assert server("/second") in str(caught.value)
    assert len(server.requests) == 2


def test_a_kept_connection_that_is_gone_and_cannot_be_replaced(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        if connection.number == 2:
            connection.recv_request()
            connection.reset()
            return
        connection.recv_request()
        connection.send(answer(200, b"ok"))
        connection.recv_request()

    server = scripted(handler)
    with reqkit.Session() as session:
        session.get(server())
        with pytest.raises(reqkit.ConnectionError) as caught:
            session.get(server("/second"))
    assert caught.value.before_sending is False
    assert [one.target for one in server.requests] == ["/", "/second", "/second"]


def test_what_a_lost_connection_may_have_taken_is_not_before_sending(scripted: Scripted) -> None:
    class Once(StdlibNetwork):
        made = 0

        def scope(self) -> Any:
            return id(self)

        def connect(self, *arguments: Any) -> Any:
            self.made += 1
            if self.made > 1:
                raise ConnectionRefusedError(errno.ECONNREFUSED, "no more")
            return super().connect(*arguments)

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"ok"))
        connection.recv_request()

    server = scripted(handler)
    with network.use(Once()), reqkit.Session() as session:
        session.get(server())
        with pytest.raises(reqkit.ConnectionError, match="refused") as caught:
            session.get(server("/second"))
    assert caught.value.before_sending is False
    assert len(server.requests) == 2


def test_an_idle_connection_that_has_ended_is_replaced(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"ok"))

    server = scripted(handler)
    with reqkit.Session() as session:
        for _ in range(3):
            assert session.post(server(), data=b"x").content == b"ok"
            server.wait_for_no_connections()
    assert server.connections_opened == 3


def test_retries_that_are_used_up(scripted: Scripted) -> None:
    server = scripted([answer(503)] * 3)
    retry = Retry(total=2, status_forcelist=[503], backoff_factor=0)
    with pytest.raises(reqkit.RetryError, match="503") as caught:
        reqkit.get(server("/x"), config={"max_retries": retry})
    assert server("/x") in str(caught.value)
    assert caught.value.response.status_code == 503
    assert caught.value.request.url == server("/x")


@pytest.mark.parametrize(
    ("attempt", "kind"),
    [
        (lambda: reqkit.get(None), reqkit.URLRequired),
        (lambda: reqkit.get(""), reqkit.URLRequired),
        (lambda: reqkit.get("h.example/"), reqkit.MissingSchema),
        (lambda: reqkit.get("ftp://h.example/"), reqkit.InvalidSchema),
        (lambda: reqkit.get("http://"), reqkit.InvalidURL),
        (lambda: reqkit.get("http://h.example/", headers={"a": "b\n"}), reqkit.InvalidHeader),
        (
            lambda: reqkit.get("http://h.example/", proxies={"http": "x://y"}),
            reqkit.InvalidProxyURL,
        ),
        (lambda: reqkit.get("http://h.example/", config={"x": 1}), reqkit.ConfigError),
    ],
)
def test_what_cannot_be_asked_for_carries_the_request(
    attempt: Callable[[], Any], kind: type[reqkit.RequestException]
) -> None:
    with pytest.raises(reqkit.RequestException) as caught:
        attempt()
    assert type(caught.value) is kind
    assert caught.value.request is not None
    assert caught.value.response is None


def test_a_bad_header_says_for_which_url() -> None:
    with pytest.raises(reqkit.InvalidHeader, match=r"^http://u:\*\*\*@h\.example/a: .*X-Y"):
        reqkit.get("http://u:s3cret@h.example/a", headers={"X-Y": "b\n"})


def test_a_body_that_was_streamed(scripted: Scripted) -> None:
    server = scripted([answer(200, b"ok")])
    response = reqkit.get(server())
    assert b"".join(response.iter_content(1)) == b"ok"
    with pytest.raises(reqkit.StreamConsumedError, match=server()) as caught:
        response.content  # noqa: B018
    assert caught.value.response is response
    assert caught.value.request is response.request


def test_a_body_that_is_no_json(scripted: Scripted) -> None:
    response = reqkit.get(scripted([answer(200, b"<html>")])())
    with pytest.raises(reqkit.JSONDecodeError) as caught:
        response.json()
    assert (caught.value.doc, caught.value.pos) == ("<html>", 0)
    assert caught.value.response is response


def test_raise_for_status(scripted: Scripted) -> None:
    server = scripted([answer(200), answer(301), answer(404), answer(503, reason="Gone fishing")])
    with reqkit.Session() as session:
        session.get(server()).raise_for_status()
        session.get(server()).raise_for_status()
        for text in ("404 Client Error: Not Found", "503 Server Error: Gone fishing"):
            response = session.get(server())
            with pytest.raises(reqkit.HTTPError, match=text) as caught:
                response.raise_for_status()
            assert caught.value.response is response
            assert caught.value.request is response.request


def test_nothing_of_others_comes_out_bare(scripted: Scripted) -> None:
    """Whatever bytes an answer has, the error is ours."""
    for at in range(0, 120, 7):
        whole = answer(200, b"x" * 60, [("Content-Encoding", "gzip")])
        server = scripted(then_close(whole[:at]))
        with pytest.raises(reqkit.RequestException) as caught:
            reqkit.get(server(), prefetch=True)
        assert type(caught.value).__module__ == "reqkit.exceptions"
