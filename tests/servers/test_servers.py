"""The tests' own servers do what tests rely on."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers.clients import Got, ask, basic, connected, fetch, over, socks4, socks5
from servers.counting import CountingServer
from servers.messages import Received, answer, chunks
from servers.processes import PATIENCE, Program, StartError, listens
from servers.proxies import USER, Proxy
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority
from servers.wsgi import WSGIServer

Start = Callable[..., ScriptedServer]


def raw(server: ScriptedServer) -> socket.socket:
    """Connect to a server without TLS."""
    return socket.create_connection((server.host, server.port), timeout=PATIENCE)


def read_all(sock: socket.socket) -> bytes:
    data = b""
    while piece := sock.recv(65536):
        data += piece
    return data


# Messages


def test_received_keeps_order_case_and_doubles() -> None:
    request = Received(b"PUT /a?b HTTP/1.1\r\nhOst: x\r\nX-A: 1 \r\nx-a:2\r\n\r\n", 3)
    assert (request.method, request.target, request.version) == ("PUT", "/a?b", "HTTP/1.1")
    assert request.fields == [("hOst", "x"), ("X-A", "1"), ("x-a", "2")]
    assert request.names == ["hOst", "X-A", "x-a"]
    assert request.all("X-a") == ["1", "2"]
    assert request.get("HOST") == "x"
    assert request.get("Nothing") is None
    with pytest.raises(AssertionError, match="sent 2 times"):
        request.get("x-a")


def test_answer_and_chunks() -> None:
    assert answer(404, b"no", [("A", "b")]) == (
        b"HTTP/1.1 404 Not Found\r\nA: b\r\nContent-Length: 2\r\n\r\nno"
    )
    assert answer(200, reason="", length=False) == b"HTTP/1.1 200 \r\n\r\n"
    wire = b"4\r\nabcd\r\n1\r\ne\r\n0\r\nT: 1\r\n\r\n"
    assert chunks([b"abcd", b"", b"e"], [("T", "1")]) == wire


# ScriptedServer


def test_answers_come_in_order_on_a_kept_connection(scripted: Start) -> None:
    server = scripted([answer(200, b"one"), answer(404, b"two")])
    with connected(server.url) as client:
        assert ask(client, "/1").body == b"one"
        assert ask(client, "/2", method="POST", body=b"sent").status == 404
    server.wait_for_no_connections()
    assert [(r.target, r.body, r.connection) for r in server.requests] == [
        ("/1", b"", 1),
        ("/2", b"sent", 1),
    ]
    assert (server.connections_opened, server.peak_connections) == (1, 1)


def test_the_connection_ends_after_the_last_answer(scripted: Start) -> None:
    server = scripted([answer(200, b"only")])
    with raw(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        assert read_all(sock) == answer(200, b"only")
    assert len(server.requests) == 2


def test_chunked_bodies_are_read_whole(scripted: Start) -> None:
    server = scripted([answer(200)])
    with raw(server) as sock:
        body = chunks([b"abc", b"de"], [("Sum", "5")])
        sock.sendall(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        assert sock.recv(4096) == answer(200)
    assert server.requests[0].body == b"abcde"
    assert server.requests[0].raw_body == body


def test_pieces_of_a_request_are_put_together(scripted: Start) -> None:
    seen: list[bytes] = []

    def handler(connection: Connection) -> None:
        connection.recv_head()
        seen.append(connection.recv_exact(3))
        seen.append(connection.recv_until(b"!"))
        connection.send(answer(200))

    server = scripted(handler)
    with raw(server) as sock:
        for byte in b"GET / HTTP/1.1\r\n\r\nabcde!":
            sock.sendall(bytes([byte]))
        assert sock.recv(4096) == answer(200)
    assert seen == [b"abc", b"de!"]


def test_an_event_holds_an_answer_back(scripted: Start) -> None:
    go = threading.Event()

    def handler(connection: Connection) -> None:
        connection.recv_head()
        connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.wait(go)
        connection.send(answer(200))

    server = scripted(handler)
    with raw(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        go.set()
        assert sock.recv(4096) == answer(200)


def test_reset_is_a_reset(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_head()
        connection.reset()

    server = scripted(handler)
    with raw(server) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    server.wait_for_no_connections()


@pytest.mark.parametrize("politely", [True, False])
def test_tls_ends_with_or_without_a_notice(
    scripted: Start, authority: Authority, politely: bool
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_head()
        if politely:
            connection.close()
        else:
            connection.cut()

    server = scripted(handler, tls=authority.server())
    with authority.trusting().wrap_socket(
        raw(server), server_hostname="localhost", suppress_ragged_eofs=False
    ) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        if politely:
            assert sock.recv(1) == b""
        else:
            with pytest.raises(ssl.SSLError, match="EOF"):
                sock.recv(1)


def test_what_a_handler_raises_comes_out_when_it_stops() -> None:
    def handler(connection: Connection) -> None:
        raise ZeroDivisionError("the handler's")

    server = ScriptedServer(handler).start()
    with raw(server) as sock:
        assert sock.recv(1) == b""
    with pytest.raises(ZeroDivisionError, match="the handler's"):
        server.stop()


def test_stopping_ends_handlers_that_wait() -> None:
    ended = []

    def handler(connection: Connection) -> None:
        try:
            if connection.number == 1:
                connection.wait(threading.Event())
            elif connection.number == 2:
                connection.pause(PATIENCE * 10)
            else:
                connection.recv_head()
        finally:
            ended.append(connection.number)

    with ScriptedServer(handler) as server:
        clients = [raw(server) for _ in range(3)]
        server.wait_until(lambda server: server.connections_opened == 3)
    for client in clients:
        client.close()
    assert sorted(ended) == [1, 2, 3]
    assert server.connections_open == 0
    assert not listens(server.port)


def test_a_client_that_leaves_is_no_error() -> None:
    with ScriptedServer(lambda connection: connection.send(b"x" * (1 << 26))) as server:
        raw(server).close()
        server.wait_until(lambda server: server.connections_opened == 1)
        server.wait_for_no_connections()
        assert server.connections_opened == 1


def test_a_wait_for_what_does_not_come_tells_the_counts(scripted: Start) -> None:
    server = scripted([])
    with pytest.raises(AssertionError, match="0 requests, 0 connections opened"):
        server.wait_until(lambda server: bool(server.requests), timeout=0.01)


@pytest.mark.parametrize("secure", [False, True])
def test_echo_tells_what_it_received(
    echo: ScriptedServer, echo_secure: ScriptedServer, authority: Authority, secure: bool
) -> None:
    server = echo_secure if secure else echo
    context = authority.trusting() if secure else None
    with connected(server.url, context) as client:
        got = ask(client, "/p?q", method="POST", headers={"x-LOW": "1"}, body=b"\xff").json()
        assert ask(client, "/", method="HEAD").body == b""
    assert got["method"], got["target"] == ("POST", "/p?q")
    assert ["x-LOW", "1"] in got["fields"]
    assert got["head"].startswith("POST /p?q HTTP/1.1\r\n")
    assert got["body"].encode("latin-1") == b"\xff"
    if secure:
        facts = server.connections[0]
        assert facts.tls is not None
        # SNI carries names only, so that none is sent for an address.
        assert facts.server_name is None


def test_ipv6_and_sni(authority: Authority) -> None:
    handler = ScriptedServer.echo().handler
    with ScriptedServer(handler, host="::1") as server:
        assert fetch(server("/six")).json()["target"] == "/six"
    with ScriptedServer.echo(tls=authority.server()) as server:
        fetch(f"https://localhost:{server.port}/", authority.trusting())
        assert server.connections[0].server_name == "localhost"


def test_relay_and_tls_after_connect(authority: Authority, echo_secure: ScriptedServer) -> None:
    def proxy(connection: Connection) -> None:
        connection.recv_head()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        if connection.number == 1:
            connection.relay(echo_secure.host, echo_secure.port)
        else:
            connection.start_tls(authority.server())
            connection.recv_head()
            connection.send(answer(200, b'{"target": "mine"}'))

    with ScriptedServer(proxy) as server:
        for expected in ("/through", "mine"):
            with raw(server) as sock:
                sock.sendall(b"CONNECT x:1 HTTP/1.1\r\n\r\n")
                assert sock.recv(4096) == b"HTTP/1.1 200 OK\r\n\r\n"
                wrapped = authority.trusting().wrap_socket(sock, server_hostname="localhost")
                assert over(wrapped, "/through").json()["target"] == expected


# CountingServer


@pytest.mark.parametrize("secure", [False, True])
def test_counting_server_answers_when_all_are_there(
    counting_server: Callable[..., CountingServer], authority: Authority, secure: bool
) -> None:
    server = counting_server(
        8, tls=authority.server() if secure else None, rounds=True, body=b"all"
    )
    context = authority.trusting() if secure else None
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: fetch(server.url, context), range(16)))
    assert {(answer.status, answer.body) for answer in got} == {(200, b"all")}
    assert (server.peak, server.served, server.in_flight) == (8, 16, 0)


def test_counting_server_tells_of_too_few() -> None:
    with CountingServer(3, patience=0.2) as server, ThreadPoolExecutor(2) as pool:
        got = list(pool.map(lambda _: fetch(server.url), range(4)))
    assert {answer.status for answer in got} == {503}
    assert got[0].body == b"no more than 2 of 3 came at the same time"


def test_counting_server_opens_once(counting_server: Callable[..., CountingServer]) -> None:
    server = counting_server(2)
    with ThreadPoolExecutor(2) as pool:
        assert [got.status for got in pool.map(fetch, [server.url] * 5)] == [200] * 5
    assert server.served == 5


# TLS


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda ours, other: ours.expired(), "expired"),
        (lambda ours, other: ours.wrong_name(), "Hostname mismatch"),
        (lambda ours, other: other.server(), "unable to get local issuer|self.signed"),
    ],
)
def test_bad_certificates_are_refused(
    authority: Authority,
    other_authority: Authority,
    make: Callable[[Authority, Authority], ssl.SSLContext],
    reason: str,
) -> None:
    with ScriptedServer.echo(tls=make(authority, other_authority)) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match=reason):
            fetch(f"https://localhost:{server.port}/", authority.trusting())
        server.wait_for_no_connections()
    assert server.requests == []


def test_an_old_protocol_is_refused(authority: Authority) -> None:
    with ScriptedServer.echo(tls=authority.old_protocol()) as server:
        with pytest.raises(ssl.SSLError):
            fetch(server.url, authority.trusting())
        server.wait_for_no_connections()
    assert len(server.handshake_errors) == 1


def test_a_refused_certificate_after_connect_is_noted(
    scripted: Start, authority: Authority, other_authority: Authority
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_head()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.start_tls(other_authority.server())

    server = scripted(handler)
    with raw(server) as sock:
        sock.sendall(b"CONNECT localhost:1 HTTP/1.1\r\n\r\n")
        assert sock.recv(4096) == b"HTTP/1.1 200 OK\r\n\r\n"
        with pytest.raises(ssl.SSLCertVerificationError):
            authority.trusting().wrap_socket(sock, server_hostname="localhost")
    server.wait_for_no_connections()
    assert len(server.handshake_errors) == 1


def test_client_certificates_are_wanted(authority: Authority) -> None:
    with ScriptedServer.echo(tls=authority.wants_client_certificate()) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            fetch(server.url, authority.trusting())
        for files in (authority.client(), (authority.client_in_one(),)):
            context = authority.trusting()
            context.load_cert_chain(*files)
            assert fetch(server("/known"), context).json()["target"] == "/known"


# httpbin


@pytest.mark.parametrize("secure", [False, True])
def test_httpbin_keeps_connections(
    httpbin: WSGIServer, httpbin_secure: WSGIServer, authority: Authority, secure: bool
) -> None:
    server = httpbin_secure if secure else httpbin
    with connected(server.url, authority.trusting() if secure else None) as client:
        assert ask(client, "/get?a=%C3%A9").json()["args"] == {"a": "é"}
        first = client.sock
        posted = ask(client, "/post", method="POST", body=b'{"a": 1}').json()
        assert json.loads(posted["data"]) == {"a": 1}
        assert posted["url"] == server("/post")
        assert ask(client, "/bytes/10", method="HEAD").body == b""
        assert ask(client, "/status/204", method="PUT").status == 204
        # Without a length, so in chunks.
        streamed = ask(client, "/stream/3")
        assert streamed.headers["Transfer-Encoding"] == "chunked"
        assert len(streamed.body.splitlines()) == 3
        sent = ask(client, "/put", method="PUT", body=iter([b"ab", b"c"])).json()
        assert (sent["data"], sent["headers"]["Transfer-Encoding"]) == ("abc", "chunked")
        assert ask(client, "/redirect/1").status == 302
        assert client.sock is first


def test_httpbin_knows_basic(httpbin: WSGIServer) -> None:
    assert fetch(httpbin("/basic-auth/u/p")).status == 401
    got = fetch(httpbin("/basic-auth/u/p"), headers={"Authorization": basic("u", "p")})
    assert got.json() == {"authenticated": True, "user": "u"}


def test_a_stopped_server_is_gone(authority: Authority) -> None:
    def application(environ: object, start: Callable[..., object]) -> list[bytes]:
        start("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    with (
        WSGIServer(application, tls=authority.server()) as server,
        connected(server.url, authority.trusting()) as client,
    ):
        assert ask(client, "/").body == b"ok"
    assert not listens(server.port)
    threads = [thread for thread in threading.enumerate() if f"-{server.port}" in thread.name]
    assert threads == []


def test_what_an_application_raises_comes_out() -> None:
    def application(environ: object, start: Callable[..., object]) -> list[bytes]:
        raise ZeroDivisionError("the application's")

    server = WSGIServer(application).start()
    with pytest.raises(ConnectionError):
        fetch(server.url)
    with pytest.raises(ZeroDivisionError, match="the application's"):
        server.stop()


# Programs


def test_a_program_that_ends_early_shows_its_log(tmp_path: Path) -> None:
    program = Program(["sh", "-c", "echo cannot; exit 3"], tmp_path)
    with pytest.raises(StartError, match=r"status 3\)\ncannot"):
        program.wait_for_port(1)


def test_a_programs_children_end_with_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "held")
    program = Program(["sh", "-c", "tail -f /dev/null > held & wait"], tmp_path)
    # Opening waits for the child, and the end comes when nobody holds the other side any more.
    with (tmp_path / "held").open("rb") as held:
        program.stop()
        assert held.read() == b""


# Proxies


def test_http_proxy_forwards_and_tunnels(
    http_proxy: Proxy, echo: ScriptedServer, echo_secure: ScriptedServer, authority: Authority
) -> None:
    with connected(http_proxy.url) as client:
        assert ask(client, echo("/plain")).json()["target"] == "/plain"
    with connected(echo_secure.url, authority.trusting()) as client:
        target = client.host, client.port
        client.host, client.port = http_proxy.host, http_proxy.port
        client.set_tunnel(*target)
        assert ask(client, "/tunnelled").json()["target"] == "/tunnelled"
    http_proxy.wait_for_log(f"CONNECT {echo_secure.host}:{echo_secure.port}")


def fetch_by(proxy: Proxy, url: str, credentials: str | None = None) -> Got:
    headers = {"Proxy-Authorization": credentials} if credentials else None
    with connected(proxy.url) as client:
        return ask(client, url, headers=headers)


def test_auth_proxy_wants_credentials(auth_proxy: Proxy, echo: ScriptedServer) -> None:
    assert fetch_by(auth_proxy, echo("/")).status == 407
    assert fetch_by(auth_proxy, echo("/"), basic(password="wrong")).status == 407
    assert fetch_by(auth_proxy, echo("/in"), basic()).json()["target"] == "/in"
    assert len(echo.requests) == 1


def test_socks5(socks_proxy: Proxy, echo: ScriptedServer) -> None:
    with socks5(socks_proxy.port, ("localhost", echo.port)) as sock:
        assert over(sock, "/five").json()["target"] == "/five"
    socks_proxy.wait_for_log(f"-> localhost:{echo.port}")


def test_socks5_with_credentials(socks_auth_proxy: Proxy, echo: ScriptedServer) -> None:
    for _ in range(2):
        # Every time: a client is not remembered by its address.
        with pytest.raises(ConnectionError):
            socks5(socks_auth_proxy.port, (echo.host, echo.port))
        with socks5(socks_auth_proxy.port, (echo.host, echo.port), credentials=True) as sock:
            assert over(sock, "/five").json()["target"] == "/five"


def test_socks4(socks4_proxy: Proxy, socks4_user_proxy: Proxy, echo: ScriptedServer) -> None:
    assert over(socks4(socks4_proxy.port, (echo.host, echo.port)), "/4").status == 200
    with pytest.raises(ConnectionError):
        socks4(socks4_user_proxy.port, (echo.host, echo.port))
    assert over(socks4(socks4_user_proxy.port, (echo.host, echo.port), USER), "/4").status == 200
    assert len(echo.requests) == 2
