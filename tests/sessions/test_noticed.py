"""What small changes of the code went unnoticed by all other tests."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from reqkit.adapters import HTTPAdapter
from reqkit.network import current
from reqkit.wire.h1.connection import Connection as Wire
from reqkit.wire.h1.exchange import ConnectionGone
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]
Send = Callable[..., reqkit.Response]


# -- the URL that a hook has set


def goes_to(url: str) -> Any:
    def hook(prepared: reqkit.PreparedRequest) -> None:
        prepared.url = url

    return {"pre_request": hook}


class Named(HTTPAdapter):
    """Notes what it was asked to send."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[str | None] = []

    def send(self, request: reqkit.PreparedRequest, *args: Any, **keywords: Any) -> reqkit.Response:
        self.sent.append(request.url)
        return super().send(request, *args, **keywords)


def test_the_adapter_is_that_of_the_url_that_a_hook_has_set(
    echo: ScriptedServer, send: Send
) -> None:
    other = Named()
    with reqkit.Session() as session:
        session.mount(f"http://localhost:{echo.port}", other)
        url = f"http://localhost:{echo.port}/hooked"
        send(echo("/given"), session=session, hooks=goes_to(url))
    assert other.sent == [url]
    assert [received.target for received in echo.requests] == ["/hooked"]


def test_the_proxies_are_those_of_the_url_that_a_hook_has_set(
    echo: ScriptedServer, scripted: Scripted, send: Send
) -> None:
    proxy = scripted([answer(200, b"by the proxy")])
    proxies = {"http://localhost": proxy()}
    url = f"http://localhost:{echo.port}/hooked"
    assert send(echo("/given"), proxies=proxies, hooks=goes_to(url)).text == "by the proxy"
    assert proxy.requests[0].target == url
    proxies = {"http://127.0.0.1": proxy()}
    assert send(echo("/given"), proxies=proxies, hooks=goes_to(url)).status_code == 200
    assert len(proxy.requests) == 1


def test_cookies_are_kept_for_the_url_that_a_hook_has_set(scripted: Scripted, send: Send) -> None:
    server = scripted([answer(200, b"", [("Set-Cookie", "a=1")]), answer(200), answer(200)])
    with reqkit.Session() as session:
        url = f"http://localhost:{server.port}/hooked"
        send(server("/given"), session=session, hooks=goes_to(url))
        send(server("/"), session=session)
        send(url, session=session)
    assert [received.get("Cookie") for received in server.requests] == [None, None, "a=1"]


# -- redirects one by one


@pytest.mark.parametrize("most", [0, 1, 3])
def test_resolve_redirects_ends_at_max_redirects(scripted: Scripted, most: int) -> None:
    def round_and_round(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(302, b"", [("Location", "/")]))

    server = scripted(round_and_round)
    with reqkit.Session(config={"max_redirects": most}) as session:
        response = session.get(server(), allow_redirects=False)
        steps = session.resolve_redirects(response, response.request)
        with pytest.raises(reqkit.TooManyRedirects):
            list(steps)
    assert len(server.requests) == most + 1


# -- connections that end


def test_a_streamed_body_is_sent_whole_on_a_new_connection(scripted: Scripted) -> None:
    """The kept connection took all of it, and was closed without an answer."""

    def serve(connection: Connection) -> None:
        if connection.number == 1:
            assert connection.recv_request() is not None
            connection.send(answer(200, b"first"))
            assert connection.recv_request() is not None
            return
        received = connection.recv_request()
        assert received is not None
        connection.send(answer(200, str(len(received.body)).encode()))

    server = scripted(serve)
    body = io.BytesIO(b"x" * 300_000)
    body.seek(10)
    with reqkit.Session() as session:
        assert session.get(server()).text == "first"
        assert session.put(server(), data=body).text == "299990"
    assert server.connections_opened == 2


class Lying:
    """A stream that cannot be written to, and on which something lies to be read."""

    def __init__(self, lies: bytes, fault: OSError) -> None:
        self.lies = lies
        self.fault = fault
        self.closed = False

    def send_all(self, data: Any, timeout: float | None) -> None:
        raise self.fault

    def receive(self, most: int, timeout: float | None) -> bytes:
        data, self.lies = self.lies[:most], self.lies[most:]
        return data

    receive_next = receive

    def is_readable(self) -> bool:
        return bool(self.lies)

    def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize("fault", [BrokenPipeError(), ConnectionResetError()])
def test_what_lies_on_a_kept_connection_is_not_taken_for_the_answer(fault: OSError) -> None:
    stale = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    stream: Any = Lying(stale, fault)
    wire = Wire(stream, "key")
    wire.served = 1
    with pytest.raises(ConnectionGone) as caught:
        wire.send(b"GET / HTTP/1.1\r\n\r\n", None, False, None, None)
    assert caught.value.unsent is isinstance(fault, BrokenPipeError)
    assert stream.lies == stale


def test_an_upload_to_a_server_that_closes(scripted: Scripted, send: Send) -> None:
    """It is the connection that broke, at sending; not an answer that is no HTTP."""

    def handler(connection: Connection) -> None:
        connection.recv_head()
        connection.reset()

    with pytest.raises(reqkit.ConnectionError) as caught:
        send(
            scripted(handler)(), data=b"x" * 30_000_000, headers={"A": "b"},
            hooks={"pre_request": lambda prepared: setattr(prepared, "method", "POST")},
        )  # fmt: skip
    assert type(caught.value) is reqkit.ConnectionError
    assert isinstance(caught.value.__cause__, (BrokenPipeError, ConnectionResetError))
    assert not caught.value.before_sending


def test_an_answer_before_the_body_was_read_is_the_answer(scripted: Scripted, send: Send) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_head()
        connection.send(answer(413, b"too large", [("Connection", "close")]))
        connection.sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while connection.recv_some():
                pass

    response = send(
        scripted(handler)(), data=b"x" * 30_000_000,
        hooks={"pre_request": lambda prepared: setattr(prepared, "method", "POST")},
    )  # fmt: skip
    assert (response.status_code, response.text) == (413, "too large")


# -- pools


def test_join_raises_at_the_first_failure(scripted: Scripted, closed_port: int) -> None:
    """It does not wait for what is still under way."""

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.wait_closed()  # never answers

    server = scripted(handler)
    pool = reqkit_async.Pool(raise_errors=True)
    pool.spawn(reqkit_async.get(server(), timeout=60))
    gevent.get_hub().threadpool.apply(server.wait_for_requests, (1,))
    pool.spawn(reqkit_async.get(f"http://127.0.0.1:{closed_port}/"))
    with gevent.Timeout(30), pytest.raises(reqkit.ConnectionError, match=str(closed_port)):
        pool.join()
    with gevent.Timeout(30):
        assert pool.join()  # told once, and nothing is left


def test_a_stop_with_nothing_to_wait_for_returns_at_once(echo: ScriptedServer) -> None:
    pool = reqkit_async.Pool()
    switched: list[int] = []
    gevent.spawn(switched.append, 1)
    pool.kill()
    assert switched == []  # it did not even let others run
    pool.spawn(reqkit_async.get(echo()))
    assert pool.join()
    pool.kill()
    assert len(echo.requests) == 1


def test_what_stops_a_worker_ends_silently(
    scripted: Scripted, capfd: pytest.CaptureFixture[str]
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.wait_closed()

    server = scripted(handler)
    pool = reqkit_async.Pool()
    pool.spawn(reqkit_async.get(server()))
    gevent.get_hub().threadpool.apply(server.wait_for_requests, (1,))
    pool.kill()
    responses = reqkit_async.map([reqkit_async.get(server())], timeout=0.05)
    assert isinstance(responses[0].error, reqkit.exceptions.TotalTimeout)
    gevent.sleep(0)
    assert capfd.readouterr() == ("", "")


def test_a_cleared_pool_counts_none(echo: ScriptedServer) -> None:
    adapter = HTTPAdapter()
    with reqkit.Session() as session:
        session.mount("http://", adapter)
        session.get(echo()).close()
        pool = adapter.poolmanager.pool(current())
        assert len(pool) == 1
        pool.clear()
        assert len(pool) == 0
        session.get(echo())
        assert len(pool) == 1


# -- bodies


@pytest.mark.parametrize("way", ["read", "read1", "stream", "readinto", "readlines"])
def test_a_broken_body_read_by_raw(scripted: Scripted, send: Send, way: str) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"x" * 100)[:-40])

    raw = send(scripted(handler)(), stream=True).raw
    read = {
        "read": lambda: raw.read(),
        "read1": lambda: [raw.read1(1000) for _ in range(9)],
        "stream": lambda: list(raw.stream(1000)),
        "readinto": lambda: raw.readinto(bytearray(1000)),
        "readlines": lambda: raw.readlines(),
    }[way]
    with pytest.raises(reqkit.ChunkedEncodingError, match="60 of 100 bytes"):
        read()


def test_a_resumed_downloads_error_has_the_history(scripted: Scripted, tmp_path: Path) -> None:
    data = b"x" * 1000
    tag = ("ETag", '"v"')

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.target == "/start":
                connection.send(answer(302, b"", [("Location", "/file")]))
            elif request.get("Range") is None:
                broken = not (tmp_path / "f.part").exists()
                whole = answer(200, data, [tag])
                connection.send(whole[:-500] if broken else whole)
                if broken:
                    return
            else:
                rest = answer(206, data[500:], [tag, ("Content-Range", "bytes 500-999/1000")])
                connection.send(rest[:-100])
                return

    server = scripted(handler)
    for status in (200, 206):
        with pytest.raises(reqkit.ChunkedEncodingError) as caught:
            reqkit.get(server("/start")).download(tmp_path / "f", resume=True)
        response = caught.value.response
        assert response.status_code == status
        assert [step.status_code for step in response.history] == [302]
