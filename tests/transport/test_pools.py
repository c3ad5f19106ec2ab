"""Connections that are kept: how many, for whom, and which are never used again."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
from reqkit.adapters import HTTPAdapter
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]


def serving(connection: Connection) -> None:
    while connection.recv_request() is not None:
        connection.send(answer(200, b"ok"))


def in_hand(session: reqkit.Session, url: str, count: int) -> list[reqkit.Response]:
    """Get so many responses whose bodies are still on their way."""
    return [session.get(url) for _ in range(count)]


def slow(*releases: threading.Event) -> Callable[[Connection], None]:
    """Send bodies of ``/slow`` in two parts, the second when released (``/slow/1``: by another)."""

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            data = answer(200, b"body")
            if not request.target.startswith("/slow"):
                connection.send(data)
                continue
            connection.send(data[:-2])
            connection.wait(releases[int(request.target.removeprefix("/slow").strip("/") or 0)])
            connection.send(data[-2:])

    return handler


def test_one_after_the_other_uses_one_connection(scripted: Scripted) -> None:
    server = scripted(serving)
    with reqkit.Session() as session:
        for _ in range(20):
            assert session.get(server()).text == "ok"
    assert server.connections_opened == 1


@pytest.mark.parametrize("size", [1, 3])
def test_pool_maxsize_is_how_many_are_kept_for_a_host(scripted: Scripted, size: int) -> None:
    release, later = threading.Event(), threading.Event()
    server = scripted(slow(release, later))
    with reqkit.Session(config={"pool_maxsize": size}) as session:
        responses = in_hand(session, server("/slow"), 5)
        assert server.connections_opened == 5  # more may be in use than are kept
        release.set()
        assert [response.text for response in responses] == ["body"] * 5
        server.wait_until(lambda server: server.connections_open == size)
        session.config["pool_maxsize"] = 5
        again = in_hand(session, server("/slow/1"), 5)
        assert server.connections_opened == 5 + (5 - size)
        later.set()
        assert [response.text for response in again] == ["body"] * 5
        session.get(server())
        assert server.connections_open == 5
        session.config["pool_maxsize"] = 1
        session.get(server())
        server.wait_until(lambda server: server.connections_open == 1)


def test_pool_connections_is_how_many_hosts_are_kept(scripted: Scripted) -> None:
    servers = [scripted(serving) for _ in range(4)]
    with reqkit.Session(config={"pool_connections": 2}) as session:
        for server in servers:
            session.get(server())
        for server in servers[:2]:
            server.wait_for_no_connections()
        for server in servers[2:]:
            session.get(server())
            assert server.connections_opened == 1
        session.get(servers[0]())
        servers[2].wait_for_no_connections()  # the one that was idle for longest
        assert servers[3].connections_open == 1


def test_what_a_call_says_counts_when_its_connection_comes_back(scripted: Scripted) -> None:
    servers = [scripted(serving) for _ in range(3)]
    release, later = threading.Event(), threading.Event()
    crowded = scripted(slow(release, later))
    with reqkit.Session() as session:
        responses = in_hand(session, crowded("/slow"), 3)
        release.set()
        assert [response.text for response in responses] == ["body"] * 3
        for server in servers:
            session.get(server())
        assert session.get(crowded(), config={"pool_maxsize": 2}).text == "body"
        crowded.wait_until(lambda server: server.connections_open == 2)
        # A body that is read later gives its connection back later.
        lazy = session.get(crowded("/slow/1"), config={"pool_maxsize": 1})
        assert crowded.connections_open == 2
        later.set()
        assert lazy.text == "body"
        crowded.wait_until(lambda server: server.connections_open == 1)
        assert [server.connections_open for server in servers] == [1, 1, 1]
        session.get(servers[2](), config={"pool_connections": 2})
        for server in servers[:2]:
            server.wait_for_no_connections()
        assert (crowded.connections_open, servers[2].connections_open) == (1, 1)
        # The next calls are not bound by it, and the settings are as they were.
        session.get(servers[0]())
        session.get(servers[1]())
        assert [server.connections_open for server in servers] == [1, 1, 1]
        assert session.config["pool_maxsize"] == 10
        assert session.config["pool_connections"] == 100


def test_the_one_shot_functions_count_it_too(scripted: Scripted) -> None:
    release = threading.Event()
    server = scripted(slow(release))
    responses = [reqkit.get(server("/slow")) for _ in range(3)]
    release.set()
    assert [response.text for response in responses] == ["body"] * 3
    assert reqkit.get(server(), config={"pool_maxsize": 1}).text == "body"
    server.wait_until(lambda server: server.connections_open == 1)


def test_the_sizes_can_be_changed_where_something_else_is_mounted(scripted: Scripted) -> None:
    release = threading.Event()
    server = scripted(slow(release))
    with reqkit.Session() as session:
        session.mount("http://elsewhere.example/", HTTPAdapter())
        responses = in_hand(session, server("/slow"), 3)
        release.set()
        assert [response.text for response in responses] == ["body"] * 3
        session.config["pool_maxsize"] = 1
        session.get(server())
        server.wait_until(lambda server: server.connections_open == 1)


def test_a_mounted_adapter_keeps_its_own_sizes(scripted: Scripted) -> None:
    release = threading.Event()
    server = scripted(slow(release))
    with reqkit.Session(config={"pool_maxsize": 1}) as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=3))
        responses = in_hand(session, server("/slow"), 3)
        release.set()
        assert [response.text for response in responses] == ["body"] * 3
        session.get(server())
        assert server.connections_open == 3
        assert pickle.loads(pickle.dumps(session)).config["pool_maxsize"] == 1


def test_hosts_do_not_share_connections(scripted: Scripted) -> None:
    server = scripted(serving)
    with reqkit.Session() as session:
        assert session.get(server()).text == "ok"
        assert session.get(f"http://localhost:{server.port}/").text == "ok"
        assert session.get(server()).text == "ok"
    assert server.connections_opened == 2


def test_pool_block_waits_for_a_place(scripted: Scripted) -> None:
    release = threading.Event()
    server = scripted(slow(release))
    with reqkit.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=1, pool_block=True))
        response = session.get(server("/slow"))
        with pytest.raises(reqkit.ConnectTimeout, match=r"came free within 0\.1 s"):
            session.get(server(), timeout=0.1)
        with pytest.raises(reqkit.TotalTimeout) as got:
            session.get(server(), timeout=reqkit.Timeouts(total=0.1))
        assert got.value.phase == "connect"
        results: list[Any] = []
        thread = threading.Thread(target=lambda: results.append(session.get(server()).text))
        thread.start()
        release.set()
        assert response.text == "body"
        thread.join()
        assert results == ["body"]
        assert server.peak_connections == 1
        session.get(server("/slow")).close()  # a place is given back when it is closed too
        assert session.get(server()).text == "body"


# -- what is never used again


def closing(connection: Connection) -> None:
    """Close after each answer, without having said so."""
    connection.recv_request()
    connection.send(answer(200, b"ok"))


def test_a_connection_that_the_server_closed_is_replaced_unseen(scripted: Scripted) -> None:
    server = scripted(closing)
    with reqkit.Session() as session:
        for method in ("GET", "POST", "PUT", "GET", "DELETE"):
            assert session.request(method, server(), data="x").text == "ok"
            server.wait_for_no_connections()
    assert server.connections_opened == 5


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
def test_a_connection_closed_as_the_request_arrives(scripted: Scripted, method: str) -> None:
    """Nothing is sent twice unless it is idempotent."""

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"ok"))
        if connection.number == 1:
            connection.recv_request()

    server = scripted(handler)
    with reqkit.Session() as session:
        assert session.get(server()).text == "ok"
        if method == "POST":
            with pytest.raises(reqkit.ConnectionError):
                session.post(server(), data="x")
            assert len(server.requests) == 2
        else:
            assert session.request(method, server(), data="x").text == "ok"
            assert [request.method for request in server.requests] == ["GET", method, method]


@pytest.mark.parametrize(
    "data",
    [
        answer(200, b"ok") + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        answer(200, b"ok", [("Connection", "close")]),
        answer(200, b"ok").replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_what_must_not_be_kept(scripted: Scripted, data: bytes) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(data)

    server = scripted(handler)
    with reqkit.Session() as session:
        for _ in range(3):
            assert session.get(server()).text == "ok"
            server.wait_for_no_connections()
    assert server.connections_opened == 3


def test_a_half_read_connection_is_never_used_again(scripted: Scripted) -> None:
    release = threading.Event()
    server = scripted(slow(release))
    with reqkit.Session() as session:
        response = session.get(server("/slow"))
        assert next(response.iter_content(1)) == b"b"
        del response
        assert session.get(server()).text == "body"
        with pytest.raises(reqkit.ReadTimeout):
            session.get(server("/slow"), timeout=(5, 0.1), prefetch=True)
        assert session.get(server()).text == "body"
        release.set()


def test_a_session_that_is_dropped_closes_its_connections(scripted: Scripted) -> None:
    server = scripted(serving)
    session = reqkit.Session()
    assert session.get(server()).text == "ok"
    del session
    server.wait_for_no_connections()
