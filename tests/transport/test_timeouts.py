"""Time limits of every form, and the total one in each phase, against servers that trickle."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from urllib3.util import Retry
from urllib3.util import Timeout as Urllib3Timeout

import reqkit
from reqkit import Timeouts
from servers.handlers import silent
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]

#: Seconds that a limit under test lasts, and after which its test has failed.
SHORT = 0.3
LONG = 15.0


def total(seconds: float = SHORT) -> Timeouts:
    return Timeouts(total=seconds)


def trickle(connection: Connection, data: bytes) -> None:
    """Send one byte at a time, over and over, until the client leaves."""
    while True:
        for byte in data:
            connection.send(bytes([byte]))
            connection.pause(SHORT / 10)


@contextlib.contextmanager
def unreachable() -> Iterator[str]:
    """Give the URL of a listener with no place left: connecting to it never ends."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as sock, contextlib.ExitStack() as stack:
        for _ in range(3):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/"


# -- the forms


@pytest.mark.parametrize(
    ("given", "connect", "read", "whole"),
    [
        (3, 3, 3, None),
        (0.5, 0.5, 0.5, None),
        ((1, 2), 1, 2, None),
        ([1, 2], 1, 2, None),
        ((None, 2), None, 2, None),
        ((1, None), 1, None, None),
        (None, None, None, None),
        (Timeouts(connect=1, read=2, total=3), 1, 2, 3),
        (Timeouts(total=3), None, None, 3),
        (Urllib3Timeout(connect=1, read=2), 1, 2, None),
        (Urllib3Timeout(total=3), None, None, 3),
        (Urllib3Timeout(2), None, None, 2),
    ],
)
def test_forms(echo: ScriptedServer, given: Any, connect: Any, read: Any, whole: Any) -> None:
    limits = Timeouts.of(given)
    assert (limits.connect, limits.read, limits.total) == (connect, read, whole)
    assert reqkit.get(echo(), timeout=given).status_code == 200
    assert reqkit.Session(timeout=given).get(echo()).status_code == 200


@pytest.mark.parametrize(
    "given",
    ["3", True, -1, 0, float("nan"), (1,), (1, 2, 3), ("1", 2), (0, 1), {"connect": 1}, object()],
)
def test_what_is_no_time_limit_is_refused_at_once(echo: ScriptedServer, given: Any) -> None:
    for call in (
        lambda: reqkit.get(echo(), timeout=given),
        lambda: reqkit.Session(timeout=given),
        lambda: setattr(reqkit.Session(), "timeout", given),
    ):
        with pytest.raises(ValueError, match=r"timeout.* expected"):
            call()
    assert echo.requests == []


def test_the_call_comes_before_the_session_and_that_before_the_default(
    echo: ScriptedServer,
) -> None:
    seen: list[Any] = []

    def note(prepared: Any, timeout: Any, **others: Any) -> None:
        seen.append(timeout)

    session = reqkit.Session(hooks={"pre_request": note})
    session.get(echo())
    session.timeout = (3, 4)
    session.get(echo())
    session.get(echo(), timeout=5)
    session.get(echo(), timeout=None)
    session.timeout = None
    session.get(echo())
    # As it was given; where nobody said anything, what counts.
    assert seen[1:] == [(3, 4), 5, None, None]
    assert (seen[0].connect, seen[0].read, seen[0].total) == (10, 60, None)


# -- connect and read


def test_connect_limit() -> None:
    with unreachable() as url, pytest.raises(reqkit.ConnectTimeout, match="connect timeout") as got:
        reqkit.get(url, timeout=(SHORT, LONG))
    assert isinstance(got.value, reqkit.ConnectionError)
    assert not isinstance(got.value, reqkit.TotalTimeout)
    assert got.value.request.url == url


@pytest.mark.parametrize("timeout", [SHORT, (LONG, SHORT), Urllib3Timeout(read=SHORT)])
def test_read_limit_for_the_head(scripted: Scripted, timeout: Any) -> None:
    server = scripted(silent)
    with pytest.raises(reqkit.ReadTimeout, match="sent nothing for as long as the read timeout"):
        reqkit.get(server(), timeout=timeout)
    server.wait_for_no_connections()


def test_read_limit_for_the_body(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")
        connection.wait_closed()

    server = scripted(handler)
    response = reqkit.get(server(), timeout=(LONG, SHORT))
    with pytest.raises(reqkit.ReadTimeout) as got:
        response.content  # noqa: B018
    assert got.value.response is response
    with pytest.raises(reqkit.StreamConsumedError):
        response.content  # noqa: B018
    server.wait_for_no_connections()


def test_the_read_limit_is_for_each_wait(scripted: Scripted) -> None:
    """What goes on coming is no silence, however long it takes in all."""

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n")
        for _ in range(20):
            connection.send(b"x")
            connection.pause(0.06)

    assert reqkit.get(scripted(handler)(), timeout=(LONG, 1)).content == b"x" * 20


def test_a_slow_name_runs_into_the_connect_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_names(monkeypatch), pytest.raises(reqkit.ConnectTimeout, match="looking up"):
        reqkit.get("http://slow.invalid/", timeout=(SHORT, LONG))


# -- the total limit, phase by phase


@contextlib.contextmanager
def slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Have look-ups wait until this is left."""
    go_on = threading.Event()

    def getaddrinfo(*args: Any, **keywords: Any) -> Any:
        go_on.wait(LONG)
        raise socket.gaierror(socket.EAI_NONAME, "no")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        try:
            yield
        finally:
            go_on.set()


def total_timeout(phase: str, call: Callable[[], Any]) -> reqkit.TotalTimeout:
    with pytest.raises(reqkit.TotalTimeout, match=rf"total limit of {SHORT} s ran out") as got:
        call()
    assert got.value.phase == phase
    assert isinstance(got.value, reqkit.Timeout)
    assert got.value.request is not None
    return got.value


def test_total_in_dns(monkeypatch: pytest.MonkeyPatch) -> None:
    with slow_names(monkeypatch):
        assert total_timeout("dns", lambda: reqkit.get("http://slow.invalid/", timeout=total()))


def test_total_in_connect() -> None:
    with unreachable() as url:
        assert total_timeout("connect", lambda: reqkit.get(url, timeout=total()))
        assert total_timeout(
            "connect", lambda: reqkit.get(url, timeout=Timeouts(LONG, LONG, SHORT))
        )


def test_total_in_tls(scripted: Scripted) -> None:
    server = scripted(lambda connection: connection.wait_closed() and None)
    url = f"https://{server.netloc}/"
    assert total_timeout("tls", lambda: reqkit.get(url, verify=False, timeout=total()))
    server.wait_for_no_connections()


def test_total_in_send(scripted: Scripted) -> None:
    server = scripted(lambda connection: connection.recv_head() and connection.wait(never))
    never = threading.Event()
    data = b"x" * 50_000_000
    assert total_timeout("send", lambda: reqkit.post(server(), data=data, timeout=total()))
    assert total_timeout("send", lambda: reqkit.post(server(), data=iter([data]), timeout=total()))


def test_total_in_send_to_a_server_that_takes_little_at_a_time(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_head()
        while connection.recv_some(1000):
            connection.pause(SHORT / 10)

    server = scripted(handler)
    data = b"x" * 50_000_000
    assert total_timeout("send", lambda: reqkit.post(server(), data=data, timeout=total()))


def test_total_in_wait(scripted: Scripted) -> None:
    server = scripted(silent)
    assert total_timeout("wait", lambda: reqkit.get(server(), timeout=total()))
    assert total_timeout("wait", lambda: reqkit.Session(timeout=total()).get(server()))
    assert total_timeout("wait", lambda: reqkit.get(server(), timeout=Urllib3Timeout(total=SHORT)))
    server.wait_for_no_connections()


def test_total_against_a_trickled_head(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\n")
        trickle(connection, b"X-Field: value\r\n")

    server = scripted(handler)
    assert total_timeout("wait", lambda: reqkit.get(server(), timeout=total()))
    server.wait_for_no_connections()


def test_total_against_endless_100_continue(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        trickle(connection, b"HTTP/1.1 100 Continue\r\n\r\n")

    server = scripted(handler)
    assert total_timeout("wait", lambda: reqkit.get(server(), timeout=total()))
    server.wait_for_no_connections()


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"Content-Length: 100000", b"x"),
        (b"Transfer-Encoding: chunked", b"1\r\nx\r\n"),
        (b"Connection: close", b"x"),
    ],
)
@pytest.mark.parametrize("prefetch", [True, False])
def test_total_against_a_trickled_body(
    scripted: Scripted, head: bytes, body: bytes, prefetch: bool
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\n")
        trickle(connection, body)

    server = scripted(handler)
    error = total_timeout(
        "receive", lambda: reqkit.get(server(), timeout=total(), prefetch=prefetch).content
    )
    assert error.response.status_code == 200
    server.wait_for_no_connections()


def test_total_over_iteration(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        trickle(connection, b"line\n")

    response = reqkit.get(scripted(handler)(), timeout=total())
    assert total_timeout("receive", lambda: list(response.iter_lines()))


def test_total_over_redirects(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.pause(SHORT / 10)
            connection.send(answer(302, b"", [("Location", "/on")]))

    server = scripted(handler)
    config = {"max_redirects": 10_000}
    with pytest.raises(reqkit.TotalTimeout) as caught:
        reqkit.get(server(), timeout=total(), config=config)
    # Most of the time is spent waiting, but it may run out between two messages.
    assert caught.value.phase in ("wait", "send")
    server.wait_for_no_connections()


def test_total_over_retries(scripted: Scripted) -> None:
    answered = []

    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            if len(answered) == 3:
                connection.wait_closed()
                return
            answered.append(True)
            connection.send(answer(503))

    server = scripted(handler)
    retries = Retry(total=10_000, status_forcelist=[503])
    assert total_timeout(
        "wait", lambda: reqkit.get(server(), timeout=total(), config={"max_retries": retries})
    )
    assert answered


@pytest.mark.parametrize(
    ("retries", "fields"),
    [
        (Retry(total=5, status_forcelist=[503]), [("Retry-After", "3600")]),
        (Retry(total=5, status_forcelist=[503], backoff_factor=100), []),
    ],
)
def test_a_wait_beyond_the_deadline_ends_at_once(
    scripted: Scripted, retries: Retry, fields: list[tuple[str, str]]
) -> None:
    server = scripted([answer(503, b"", fields)] * 3)
    limit = Timeouts(total=LONG)
    with pytest.raises(reqkit.TotalTimeout) as got:
        reqkit.get(server(), timeout=limit, config={"max_retries": retries})
    assert got.value.phase == "wait"
    assert got.value.request.url == server()
    # urllib3 backs off from the second retry on.
    assert len(server.requests) == (1 if fields else 2)


def test_the_total_limit_starts_with_each_request(scripted: Scripted) -> None:
    server = scripted([answer(200, b"x")] * 2)
    session = reqkit.Session(timeout=total(LONG))
    assert session.get(server()).content == b"x"
    assert session.get(server()).content == b"x"
