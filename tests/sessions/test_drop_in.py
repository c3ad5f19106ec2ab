"""What programs and plugins written for requests use: names, adapters, subclasses, stepping."""

from __future__ import annotations

import io
import json
import pickle
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from urllib3.util import Retry

import reqkit
from reqkit.adapters import BaseAdapter, HTTPAdapter
from reqkit.structures import CaseInsensitiveDict
from servers.messages import Received, answer
from servers.proxies import Proxy
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Scripted = Callable[..., ScriptedServer]


@pytest.fixture
def session() -> Iterator[reqkit.Session]:
    with reqkit.Session() as made:
        yield made


def test_dispatch_hook_takes_a_dictionary_of_hooks() -> None:
    def cut(text: str, **kwargs: Any) -> str:
        return text[1:]

    dispatch = reqkit.hooks.dispatch_hook
    assert dispatch("response", {"response": cut}, "data") == "ata"
    assert dispatch("response", {"response": [cut, cut]}, "data") == "ta"
    assert dispatch("response", {}, "data") == "data"
    assert dispatch("response", cut, "data") == "ata"  # type: ignore[arg-type]


# -- adapters -----------------------------------------------------------------------------------


def test_an_adapters_arguments(scripted: Scripted, session: reqkit.Session) -> None:
    server = scripted([answer(503), answer(503), answer(200, b"ok")])
    retry = Retry(total=3, status_forcelist=[503], backoff_factor=0)
    adapter = HTTPAdapter(max_retries=retry, pool_connections=3, pool_maxsize=4, pool_block=True)
    session.mount("http://", adapter)
    assert session.get_adapter(server()) is adapter
    assert session.get(server()).content == b"ok"
    assert len(server.requests) == 3


def test_adapters_can_be_set_at_once() -> None:
    session = reqkit.Session()
    mine = HTTPAdapter()
    session.adapters = {"http://": mine}
    session.mount("https://", HTTPAdapter())
    assert session.get_adapter("http://h/") is mine
    assert list(session.adapters) == ["https://", "http://"]


class OwnManager(HTTPAdapter):
    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        super().__init__()

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **kw: Any
    ) -> None:
        self.poolmanager = urllib3.PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, **self.settings, **kw
        )


def test_a_subclass_with_urllib3s_manager_and_a_context(
    scripted: Scripted, authority: Authority, session: reqkit.Session
) -> None:
    def handler(connection: Connection) -> None:
        assert connection.recv_request() is not None
        assert connection.tls is not None
        connection.send(answer(200, str(connection.tls.version()).encode()))

    context = authority.trusting()
    server = scripted(handler, tls=authority.server())
    session.mount("https://", OwnManager(ssl_context=context))
    assert session.get(server()).content == b"TLSv1.3"
    maximum = {"ssl_maximum_version": ssl.TLSVersion.TLSv1_2}
    session.mount("https://", OwnManager(**maximum))
    assert session.get(server(), verify=str(authority.bundle)).content == b"TLSv1.2"


def test_a_subclass_with_a_source_address(scripted: Scripted, session: reqkit.Session) -> None:
    def handler(connection: Connection) -> None:
        assert connection.recv_request() is not None
        connection.send(answer(200, connection.sock.getpeername()[0].encode()))

    server = scripted(handler)
    session.mount("http://", OwnManager(source_address=("127.0.0.5", 0)))
    assert session.get(server()).content == b"127.0.0.5"


class DefaultTimeout(HTTPAdapter):
    """As recipes have it: a time limit where the call says none."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout = timeout
        self.timeouts: list[Any] = []
        super().__init__()

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        self.timeouts.append(kwargs.get("timeout"))
        if kwargs.get("timeout") is None and self.timeout is not None:
            kwargs["timeout"] = self.timeout
        return super().send(request, *args, **kwargs)


def test_an_adapter_that_sets_a_default_timeout(
    scripted: Scripted, session: reqkit.Session
) -> None:
    def silent(connection: Connection) -> None:
        connection.recv_request()
        connection.wait_closed()

    adapter = DefaultTimeout(0.05)
    session.mount("http://", adapter)
    with pytest.raises(reqkit.exceptions.ReadTimeout):
        session.get(scripted(silent)())
    assert adapter.timeouts == [None]


def test_an_adapter_is_told_the_timeout_as_it_was_given(
    echo: ScriptedServer, session: reqkit.Session
) -> None:
    adapter = DefaultTimeout(None)
    session.mount("http://", adapter)
    session.get(echo())
    session.get(echo(), timeout=5)
    session.get(echo(), timeout=(3, 4))
    session.get(echo(), timeout=reqkit.Timeouts(connect=1, read=2, total=9))
    session.timeout = 7
    session.get(echo())
    assert adapter.timeouts == [None, 5, (3, 4), (1, 2), 7]


def test_a_limit_that_an_adapter_passes_on_as_none_counts(
    scripted: Scripted, session: reqkit.Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    plain = HTTPAdapter._deliver

    def spy(self: Any, request: Any, limits: Any, *rest: Any) -> Any:
        seen.append((limits.connect, limits.read))
        return plain(self, request, limits, *rest)

    monkeypatch.setattr(HTTPAdapter, "_deliver", spy)
    session.mount("http://", DefaultTimeout(None))
    session.get(scripted([answer(200)])())
    assert seen == [(10.0, 60.0)]


class Stamped(HTTPAdapter):
    def add_headers(self, request: Any, **kwargs: Any) -> None:
        request.headers["X-Stamp"] = f"{sorted(kwargs)}"

    def request_url(self, request: Any, proxies: Any) -> str:
        return "/base" + super().request_url(request, proxies)

    def build_response(self, req: Any, resp: Any) -> Any:
        response = super().build_response(req, resp)
        response.stamp = "mine"
        return response


def test_the_steps_of_an_adapter_that_count_for_the_wire(
    echo: ScriptedServer, session: reqkit.Session
) -> None:
    session.mount("http://", Stamped())
    response = session.get(echo("/a?b=c"))
    assert response.stamp == "mine"
    assert response.json()["target"] == "/base/a?b=c"
    assert response.url == echo("/a?b=c")
    assert response.elapsed.total_seconds() > 0
    (sent,) = echo.requests
    assert sent.get("X-Stamp") == "['cert', 'proxies', 'stream', 'timeout', 'verify']"


def test_a_wrong_encoding_that_an_adapter_puts_on_a_redirect(
    scripted: Scripted, session: reqkit.Session
) -> None:
    class Wrong(HTTPAdapter):
        def build_response(self, req: Any, resp: Any) -> Any:
            response = super().build_response(req, resp)
            if response.status_code == 302:
                response.headers["content-encoding"] = "gzip"
            return response

    server = scripted([answer(302, b"no gzip", [("Location", "/b")]), answer(200, b"ok")])
    session.mount("http://", Wrong())
    assert session.get(server("/a")).content == b"ok"


def test_what_a_pool_manager_says_may_change_between_messages(
    scripted: Scripted, authority: Authority, session: reqkit.Session
) -> None:
    class HostHeader(HTTPAdapter):
        def send(self, request: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            keywords = self.poolmanager.connection_pool_kw
            keywords["assert_hostname"] = request.headers.get("Host")
            return super().send(request, **kwargs)

    server = scripted([answer(200), answer(200)], tls=authority.server())
    session.mount("https://", HostHeader())
    session.verify = str(authority.bundle)
    assert session.get(server(), headers={"Host": "localhost"}).ok
    with pytest.raises(reqkit.exceptions.SSLError, match=r"other\.example"):
        session.get(server(), headers={"Host": "other.example"})


def test_the_steps_that_have_to_do_with_proxies(
    scripted: Scripted, authority: Authority, session: reqkit.Session
) -> None:
    class Marked(HTTPAdapter):
        def proxy_headers(self, proxy: str) -> dict[str, str]:
            return {**super().proxy_headers(proxy), "X-Proxy": "1"}

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            return super().proxy_manager_for(proxy, ssl_context=context, **kwargs)

    def proxy(connection: Connection) -> None:
        assert connection.recv_request() is not None
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.start_tls(authority.server())
        assert connection.recv_request() is not None
        connection.send(answer(200, b"through"))

    context = authority.trusting()
    server = scripted(proxy)
    session.mount("https://", Marked())
    url = f"http://u:p@{server.netloc}"
    assert session.get("https://localhost/", proxies={"https": url}).content == b"through"
    connect, inner = server.requests
    assert (connect.method, connect.get("X-Proxy")) == ("CONNECT", "1")
    assert connect.get("Proxy-Authorization") == "Basic dTpw"
    assert inner.get("X-Proxy") is inner.get("Proxy-Authorization") is None


def test_proxy_managers_are_cleared_with_the_adapter() -> None:
    adapter = HTTPAdapter()
    manager = adapter.proxy_manager_for("http://proxy.example:3128")
    assert adapter.proxy_manager_for("http://proxy.example:3128") is manager
    cleared: list[bool] = []
    manager.clear = lambda: cleared.append(True)
    adapter.close()
    assert cleared == [True]


def test_request_url_of_a_message_that_is_forwarded() -> None:
    adapter = HTTPAdapter()
    prepared = reqkit.Request("GET", "http://u:p@h.example:81//a?b#c").prepare()
    assert adapter.request_url(prepared, {}) == "//a?b"
    whole = adapter.request_url(prepared, {"http": "http://proxy.example"})
    assert whole == "http://h.example:81//a?b"
    assert adapter.request_url(prepared, {"http": "socks5://proxy.example"}) == "//a?b"


# -- adapters that send through urllib3's pools --------------------------------------------------


class UnixConnection(urllib3.connection.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(20)
        self.sock.connect(self.path)


class UnixPool(urllib3.connectionpool.HTTPConnectionPool):
    def __init__(self, path: str) -> None:
        super().__init__("localhost")
        self.path = path

    def _new_conn(self) -> Any:
        return UnixConnection(self.path)


class UnixAdapter(HTTPAdapter):
    """As the adapters that speak over a Unix socket."""

    def __init__(self, path: str) -> None:
        self.path = path
        super().__init__()

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        return UnixPool(self.path)


class OldUnixAdapter(UnixAdapter):
    get_connection_with_tls_context = HTTPAdapter.get_connection_with_tls_context

    def get_connection(self, url: str, proxies: Any = None) -> Any:
        return UnixPool(self.path)


@pytest.fixture
def unix_server(tmp_path: Path) -> Iterator[tuple[str, list[bytes]]]:
    """Answers each connection's one request with what was asked for, and closes."""
    path = str(tmp_path / "s")
    got: list[bytes] = []
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()

    def serve() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                data = b""
                while b"\r\n\r\n" not in data:
                    piece = sock.recv(65536)
                    if not piece:
                        break
                    data += piece
                got.append(data)
                if data.startswith(b"GET /cut"):
                    continue
                fields = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Connection", "close")]
                sock.sendall(answer(200, data.split(b" ")[1], fields))

    thread = threading.Thread(target=serve)
    thread.start()
    yield path, got
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(20)


@pytest.mark.parametrize("kind", [UnixAdapter, OldUnixAdapter])
def test_an_adapter_with_pools_of_its_own(
    kind: Any, unix_server: tuple[str, list[bytes]], session: reqkit.Session
) -> None:
    path, got = unix_server
    session.mount("http+unix://", kind(path))
    response = session.get("http+unix://socket/images/json", params={"all": 1}, auth=("u", "p"))
    assert response.text == "/images/json?all=1"
    assert response.cookies.get_dict() == {"a": "1", "b": "2"}
    assert b"\r\nAuthorization: Basic dTpw\r\n" in got[0]
    assert session.post("http+unix://socket/x", data=b"abc", prefetch=True).content == b"/x"
    with pytest.raises(reqkit.ConnectionError):
        session.get("http+unix://socket/cut")


class Unchecked(HTTPAdapter):
    """As those that have a word with urllib3's pool before it connects."""

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        super().cert_verify(conn=conn, url=url, verify=verify, cert=cert)
        conn.assert_hostname = "localhost"


def test_an_adapter_that_has_a_say_in_urllib3s_verification(
    scripted: Scripted, authority: Authority, session: reqkit.Session
) -> None:
    wrong = scripted([answer(200, b"ok")] * 2, tls=authority.server())
    session.mount("https://", Unchecked())
    session.verify = str(authority.bundle)
    with session.get(wrong(), stream=True) as response:
        assert response.raw.read() == b"ok"
    session.verify = True
    with pytest.raises(reqkit.exceptions.SSLError):
        session.get(wrong())


def test_such_an_adapter_through_a_proxy(http_proxy: Proxy, echo: ScriptedServer) -> None:
    class Keyed(HTTPAdapter):
        keys = 0

        def build_connection_pool_key_attributes(
            self, request: Any, verify: Any, cert: Any = None
        ) -> Any:
            Keyed.keys += 1
            return super().build_connection_pool_key_attributes(request, verify, cert)

    with reqkit.Session(proxies={"http": http_proxy.url}) as session:
        session.mount("http://", Keyed())
        assert session.get(echo("/through")).json()["target"] == "/through"
        assert Keyed.keys == 1
        session.proxies = {"http": f"socks5://{http_proxy.netloc}"}
        with pytest.raises(reqkit.exceptions.InvalidSchema, match="Keyed"):
            session.get(echo())


def test_a_pool_manager_of_an_unusual_kind(echo: ScriptedServer, session: reqkit.Session) -> None:
    class Counting(urllib3.PoolManager):
        asked = 0

        def connection_from_host(self, *args: Any, **kwargs: Any) -> Any:
            Counting.asked += 1
            return super().connection_from_host(*args, **kwargs)

    class Own(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            self.poolmanager = Counting()

    session.mount("http://", Own())
    assert session.get(echo("/x")).json()["target"] == "/x"
    assert Counting.asked == 1


# -- adapters that make their own responses ------------------------------------------------------


class ByHand(BaseAdapter):
    def __init__(self, make: Callable[[Any], Any]) -> None:
        self.make = make
        self.closed = False

    def send(self, request: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        return self.make(request)

    def close(self) -> None:
        self.closed = True


def raw_of(body: bytes, *fields: tuple[str, str]) -> urllib3.HTTPResponse:
    headers = urllib3.HTTPHeaderDict(fields)
    return urllib3.HTTPResponse(
        io.BytesIO(body), headers=headers, status=200, reason="Fine", preload_content=False
    )


def test_a_response_made_by_hand_of_bytes(session: reqkit.Session) -> None:
    def make(request: Any) -> reqkit.Response:
        response = reqkit.Response()
        response.status_code = 200
        response.headers["Content-Type"] = "text/plain; charset=utf-8"
        response.raw = io.BytesIO("é\nb\n".encode())
        return response

    adapter = ByHand(make)
    session.mount("mock://", adapter)
    response = session.get("mock://thing/path")
    assert (response.url, response.request.url) == ("mock://thing/path",) * 2
    assert response.text == "é\nb\n"
    assert list(session.get("mock://thing").iter_lines(decode_unicode=True)) == ["é", "b"]
    session.close()
    assert adapter.closed


def test_a_response_made_of_urllib3s(session: reqkit.Session) -> None:
    import gzip

    fields = [("Content-Encoding", "gzip"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; Path=/")]
    helper = HTTPAdapter()
    session.mount(
        "http://", ByHand(lambda r: helper.build_response(r, raw_of(gzip.compress(b"x"), *fields)))
    )
    response = session.get("http://mock.example/")
    assert response.content == b"x"
    assert (response.status_code, response.reason) == (200, "Fine")
    assert response.headers["set-cookie"] == "a=1, b=2; Path=/"
    assert session.cookies.get_dict() == {"a": "1", "b": "2"}
    assert pickle.loads(pickle.dumps(response)).content == b"x"


def test_another_librarys_response(session: reqkit.Session) -> None:
    class Theirs:
        status_code = 302
        reason = "Found"
        headers = CaseInsensitiveDict({"Location": "/next"})
        encoding = "koi8-r"
        url = None
        raw = io.BytesIO(b"\xc1")
        _content = False

    class Second(Theirs):
        status_code = 200
        raw = io.BytesIO(b"\xc1")

    answers = iter((Theirs(), Second()))
    session.mount("http://", ByHand(lambda request: next(answers)))
    response = session.get("http://mock.example/")
    assert type(response) is reqkit.Response
    assert response.url == "http://mock.example/next"
    assert [one.status_code for one in response.history] == [302]
    assert response.text == "а"  # noqa: RUF001 a Cyrillic one


def test_an_adapter_that_returns_no_response(session: reqkit.Session) -> None:
    session.mount("mock://", ByHand(lambda request: "text"))
    with pytest.raises(TypeError, match="ByHand returned a str: expected a Response"):
        session.get("mock://thing")


@pytest.mark.parametrize(
    ("fault", "ours"),
    [
        (urllib3.exceptions.ProtocolError("x"), reqkit.exceptions.ChunkedEncodingError),
        (urllib3.exceptions.DecodeError("x"), reqkit.exceptions.ContentDecodingError),
        (urllib3.exceptions.SSLError("x"), reqkit.exceptions.SSLError),
        (TimeoutError("x"), reqkit.exceptions.ConnectionError),
        (ConnectionResetError("x"), reqkit.exceptions.ChunkedEncodingError),
    ],
)
def test_a_foreign_bodys_errors_are_ours(fault: Exception, ours: type[Exception]) -> None:
    class Broken:
        def stream(self, size: int, decode_content: bool = False) -> Iterator[bytes]:
            yield b"a"
            raise fault

        def close(self) -> None:
            pass

    response = reqkit.Response()
    response.raw = Broken()
    with pytest.raises(ours) as caught:
        _ = response.content
    assert caught.value.__cause__ is fault


def test_raw_is_closed_with_the_response(scripted: Scripted) -> None:
    def half(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"", [("Content-Length", "10")], length=False) + b"half")
        connection.wait_closed()

    server = scripted([answer(200, b"whole")])
    with reqkit.get(server()) as response:
        pass
    assert response.raw.closed
    assert response.content == b"whole"  # it had arrived
    with reqkit.get(scripted(half)()) as response:
        raw = response.raw
    assert raw.closed
    assert response.raw is raw


# -- subclasses of Session -----------------------------------------------------------------------


class Steps(reqkit.Session):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Any] = []

    def prepare_request(self, request: Any) -> Any:
        self.calls.append("prepare_request")
        request.headers["X-Prepared"] = "1"
        return super().prepare_request(request)

    def merge_environment_settings(self, *args: Any) -> Any:
        self.calls.append("merge_environment_settings")
        return super().merge_environment_settings(*args)

    def send(self, request: Any, **kwargs: Any) -> Any:
        self.calls.append(("send", sorted(kwargs)))
        kwargs.setdefault("timeout", 5)
        return super().send(request, **kwargs)

    def get_adapter(self, url: str) -> Any:
        self.calls.append("get_adapter")
        return super().get_adapter(url)


def test_a_session_whose_steps_are_its_own(echo: ScriptedServer) -> None:
    seen: list[Any] = []
    with Steps() as session:
        session.hooks["response"] = seen.append
        response = session.post(echo(), data={"a": "b"}, cookies={"c": "d"})
        assert seen == [response]
    assert session.calls == [
        "prepare_request",
        "merge_environment_settings",
        ("send", ["allow_redirects", "cert", "proxies", "stream", "verify"]),
        "get_adapter",
    ]
    (sent,) = echo.requests
    assert (sent.get("X-Prepared"), sent.get("Cookie"), sent.body) == ("1", "c=d", b"a=b")


class OnlySend(reqkit.Session):
    def send(self, request: Any, **kwargs: Any) -> Any:
        self.keywords = kwargs
        return super().send(request, **kwargs)


def test_a_session_whose_send_is_its_own(scripted: Scripted) -> None:
    server = scripted([answer(302, b"", [("Location", "/b")])] * 2 + [answer(404)])
    with OnlySend() as session:
        response = session.get(server("/a"), cookies={"c": "d"}, allow_redirects=False, timeout=3)
        assert response.status_code == 302
        assert session.keywords["timeout"] == 3
        assert session.keywords["allow_redirects"] is False
        assert session.keywords["verify"] is True
        assert session.get(server("/a"), cookies={"c": "d"}).status_code == 404
        with pytest.raises(reqkit.exceptions.MissingSchema):
            session.get("nowhere")
    assert [one.get("Cookie") for one in server.requests] == ["c=d"] * 3


class OnlyGetAdapter(reqkit.Session):
    def get_adapter(self, url: str) -> Any:
        self.asked = url
        return super().get_adapter(url)


def test_a_session_whose_choice_of_an_adapter_is_its_own(echo: ScriptedServer) -> None:
    with OnlyGetAdapter() as session:
        assert session.get(echo("/a")).status_code == 200
        assert session.asked == echo("/a")
    with reqkit.Session() as plain:
        assert plain.get(echo("/a")).status_code == 200


def test_config_of_a_call_reaches_a_send_of_ones_own(scripted: Scripted) -> None:
    with OnlySend() as session, pytest.raises(reqkit.HTTPError) as caught:
        session.get(scripted([answer(404)])(), config={"danger_mode": True})
    assert caught.value.response.status_code == 404


class KeepsAuth(reqkit.Session):
    """As recipes have it for sites that log in on another host."""

    trusted: str

    def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
        if self.trusted not in prepared_request.url:
            super().rebuild_auth(prepared_request, response)


class NeverStrips(reqkit.Session):
    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        return False


def test_auth_goes_on_where_a_subclass_says_so(scripted: Scripted) -> None:
    other = scripted([answer(200)] * 3)
    first = scripted([answer(302, b"", [("Location", other("/b"))])] * 3)
    with KeepsAuth() as keeps:
        keeps.trusted = other.netloc
        keeps.get(first("/a"), auth=("u", "p"))
        keeps.trusted = "elsewhere.example"
        keeps.get(first("/a"), auth=("u", "p"))
    with NeverStrips() as never:
        never.get(first("/a"), headers={"Authorization": "by hand"})
    got = [request.get("Authorization") for request in other.requests]
    assert got == ["Basic dTpw", None, "by hand"]


@pytest.mark.parametrize(("entry", "expected"), [("default", None), ("machine 127.0.0.1", "new")])
def test_rebuilt_auth_leaves_netrcs_default_entry_alone(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str, expected: Any
) -> None:
    """It is for what was asked for, not for where a server leads to."""

    class Rebuilds(reqkit.Session):
        def rebuild_auth(self, prepared_request: Any, response: Any) -> None:
            super().rebuild_auth(prepared_request, response)

    path = tmp_path / "netrc"
    path.write_text(f"{entry} login new password word\n")
    monkeypatch.setenv("NETRC", str(path))
    other = scripted([answer(200)])
    first = scripted([answer(302, b"", [("Location", other("/b"))])])
    with Rebuilds() as session:
        session.get(first("/a"), auth=("first", "word"))
    [sent] = other.requests
    wanted = None if expected is None else reqkit.auth.basic_header(expected, "word")
    assert sent.get("Authorization") == wanted


def test_a_subclass_finds_redirects_and_methods(scripted: Scripted) -> None:
    class Finds(reqkit.Session):
        def get_redirect_target(self, resp: Any) -> Any:
            return resp.headers.get("X-Go") or super().get_redirect_target(resp)

        def rebuild_method(self, prepared_request: Any, response: Any) -> None:
            pass

    server = scripted([
        answer(200, b"", [("X-Go", "/b")]), answer(302, b"", [("Location", "/c")]), answer(200),
    ])  # fmt: skip
    with Finds() as session:
        response = session.post(server("/a"), data=b"x")
    assert [one.status_code for one in response.history] == [200, 302]
    assert [(one.method, one.target) for one in server.requests] == [
        ("POST", "/a"), ("POST", "/b"), ("POST", "/c"),
    ]  # fmt: skip
    assert server.requests[2].get("Content-Length") == "0"


# -- stepping -----------------------------------------------------------------------------------


def test_stepping_by_next_and_by_resolve_redirects(
    scripted: Scripted, session: reqkit.Session
) -> None:
    hops = [answer(302, b"", [("Location", "/b")]), answer(303, b"", [("Location", "/c")])]
    server = scripted([*hops, answer(200, b"end"), hops[0], hops[1], answer(200, b"end")])
    response = session.post(server("/a"), data=b"x", allow_redirects=False)
    targets = []
    while response.next is not None:
        targets.append((response.next.method, response.next.path_url))
        response = session.send(response.next, allow_redirects=False)
    assert targets == [("GET", "/b"), ("GET", "/c")]
    assert response.content == b"end"
    prepared = session.prepare_request(reqkit.Request("GET", server("/a")))
    first = session.send(prepared, allow_redirects=False)
    steps = list(session.resolve_redirects(first, prepared))
    assert [one.status_code for one in steps] == [303, 200]


def test_prepare_settings_and_send(echo: ScriptedServer, session: reqkit.Session) -> None:
    session.headers["X-Own"] = "1"
    prepared = session.prepare_request(reqkit.Request("POST", echo(), json={"a": 1}))
    prepared.headers["X-More"] = "2"
    settings = session.merge_environment_settings(prepared.url or "", {}, None, None, None)
    assert sorted(settings) == ["cert", "proxies", "stream", "verify"]
    received = session.send(prepared, **settings).json()
    assert json.loads(received["body"]) == {"a": 1}
    names = dict(received["fields"])
    assert (names["X-Own"], names["X-More"]) == ("1", "2")


@pytest.mark.parametrize(
    ("url", "header"), [("http://h.example/", "Basic dTpw"), ("https://h.example/", None)]
)
def test_rebuild_proxies(
    url: str, header: str | None, monkeypatch: pytest.MonkeyPatch, session: reqkit.Session
) -> None:
    monkeypatch.setenv("all_proxy", "http://u:p@proxy.example:3128")
    prepared = reqkit.Request("GET", url).prepare()
    scheme = url.partition(":")[0]
    found = session.rebuild_proxies(prepared, {})
    assert found == {scheme: "http://u:p@proxy.example:3128"}
    assert prepared.headers.get("Proxy-Authorization") == header


def test_a_request_without_a_method_is_prepared_and_not_sent(session: reqkit.Session) -> None:
    request = reqkit.Request()
    request.url = "http://h.example/"
    request.data = {"a": "b"}
    assert request.prepare().body == "a=b"
    with pytest.raises(reqkit.exceptions.InvalidHeader, match="no method"):
        request.send()


def test_conflicting_lengths_are_an_invalid_header(scripted: Scripted) -> None:
    bad = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy"
    with pytest.raises(reqkit.exceptions.InvalidHeader) as caught:
        reqkit.get(scripted([bad])())
    assert isinstance(caught.value, reqkit.exceptions.ProtocolError)


def test_the_document_of_a_json_error_that_is_no_text(scripted: Scripted) -> None:
    response = reqkit.get(scripted([answer(200, b"\x81\x00\xff")])())
    with pytest.raises(reqkit.exceptions.JSONDecodeError) as caught:
        response.json()
    assert caught.value.doc == response.text


def test_a_multipart_body_is_bytes_and_outlives_its_file(
    echo: ScriptedServer, tmp_path: Path, session: reqkit.Session
) -> None:
    path = tmp_path / "f.txt"
    path.write_text("text")
    with open(path) as file:
        prepared = session.prepare_request(reqkit.Request("POST", echo(), files={"f": file}))
    assert isinstance(prepared.body, bytes)
    again = pickle.loads(pickle.dumps(prepared))
    assert again.body == prepared.body
    session.send(again)
    sent: Received = echo.requests[0]
    assert sent.get("Content-Length") == str(len(prepared.body))
    assert b"\r\n\r\ntext\r\n" in sent.body
