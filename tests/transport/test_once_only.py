"""Connections and their places: closed or given back once, whatever fails beside the exchange."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reqkit
from reqkit.adapters import HTTPAdapter
from reqkit.network import current
from reqkit.transport.failures import translate
from reqkit.transport.pools import ConnectionPool
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Start = Callable[..., ScriptedServer]


class Stream:
    """A stream for ``trace`` whose second head cannot be written."""

    def __init__(self, error: Exception, at: int = 2) -> None:
        self.error = error
        self.left = at

    def write(self, text: str) -> None:
        self.left -= 1
        if not self.left:
            raise self.error


@pytest.mark.parametrize("body", [b"", b"a body that is still on its way"])
@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize(
    ("error", "kind"),
    [(ValueError("closed"), ValueError), (BrokenPipeError(32, "gone"), reqkit.RequestException)],
)
def test_a_trace_that_fails_keeps_no_place(
    scripted: Start, at: int, error: Exception, kind: type[Exception], body: bytes
) -> None:
    def handle(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, body)[: -len(body) or None])
            if body:
                connection.wait_closed()

    server = scripted(handle)
    session = reqkit.Session()
    adapter = HTTPAdapter(pool_maxsize=1, pool_block=True)
    session.mount("http://", adapter)
    with pytest.raises(kind) as caught:
        session.get(server(), config={"trace": Stream(error, at)})
    if kind is not ValueError:
        assert not isinstance(caught.value, reqkit.ConnectionError)  # no fault of the server's
        assert "config['trace']" in str(caught.value)
    [pool] = adapter.poolmanager.pools.values()
    # The error keeps the frames of the failed exchange, and with them the place.
    assert [slot._value for slot in pool._slots.values()] == [1]
    assert len(pool) == 0
    server.wait_for_no_connections()


def test_reading_on_after_a_failure_is_no_end(scripted: Start) -> None:
    def handle(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"0123456789")[:-5])
        connection.wait_closed()

    server = scripted(handle)
    raw = reqkit.get(server(), timeout=(10, 0.05)).raw
    assert raw.read(5) == b"01234"
    for _ in range(2):
        with pytest.raises((reqkit.ReadTimeout, reqkit.ChunkedEncodingError)) as caught:
            raw.read(5)
    assert isinstance(caught.value, reqkit.ChunkedEncodingError)
    assert server("/") in str(caught.value)


def test_a_body_that_was_closed_is_not_at_its_end(scripted: Start) -> None:
    response = reqkit.get(scripted([answer(200, b"x" * 300_000)])())
    source = response._source
    assert source is not None
    response.close()
    with pytest.raises(reqkit.ChunkedEncodingError):
        source.read(5)


@pytest.mark.parametrize("number", ["text", 10**30, -5, None, (1,)])
def test_any_oserror_has_a_name(number: Any) -> None:
    error = translate(OSError(number, "b"), phase="send", host="a.example", port=1, url="u")
    assert isinstance(error, reqkit.ConnectionError)
    assert str(error).startswith("u: the connection to the server at a.example:1 failed: ")


def test_a_length_that_does_not_count_may_be_any(
    scripted: Start, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    def handle(connection: Connection) -> None:
        connection.recv_request()
        fields = [("Transfer-Encoding", "chunked"), ("Content-Length", "9" * 5000)]
        connection.send(
            answer(200, b"", fields, length=False) + b"4\r\nbody\r\n0\r\n"
        )  # not whole yet
        connection.wait(logged)
        connection.send(b"\r\n")

    logged = threading.Event()
    server = scripted(handle)
    with caplog.at_level(logging.DEBUG, "reqkit"):
        response = reqkit.get(server())
    logged.set()
    [record] = caplog.records
    assert "unknown bytes" in record.getMessage()
    assert response.download(tmp_path / "file").read_bytes() == b"body"


class Key:
    """A key whose look-ups are counted: at one of them, a signal's handler comes in between."""

    def __init__(self, at: int, handle: Callable[[], Any]) -> None:
        self.left = at
        self.handle = handle

    def __hash__(self) -> int:
        self.left -= 1
        if not self.left:
            self.handle()
        return 1

    def __eq__(self, other: object) -> bool:
        return self is other


class Idle:
    """A connection, as far as a pool asks it."""

    beside = None
    idle_since = 0.0

    def __init__(self, key: Any) -> None:
        self.key = key

    def is_reusable(self) -> bool:
        return True

    def close(self) -> None:
        pass


@pytest.mark.parametrize("at", range(1, 8))
def test_a_pool_that_a_signals_handler_clears_in_the_middle(at: int) -> None:
    pool = ConnectionPool(current(), 10, 10)
    key = Key(99, pool.clear)
    for one in ("another", key):
        pool.release(Idle(one))  # type: ignore[arg-type]
    key.left = at
    pool.release(Idle(key))  # type: ignore[arg-type]
    assert len(pool) <= 3


def test_a_key_log_that_cannot_be_written_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "no such folder" / "keys"
    monkeypatch.setenv("SSLKEYLOGFILE", str(path))
    with pytest.raises(reqkit.SSLError, match="SSLKEYLOGFILE names") as caught:
        reqkit.get("https://127.0.0.1:1/")
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("size", [0, -1])
def test_a_pool_that_nobody_would_get_a_connection_of(size: int) -> None:
    with pytest.raises(reqkit.ConfigError, match=f"pool_maxsize is {size}, with pool_block"):
        HTTPAdapter(pool_maxsize=size, pool_block=True)
    HTTPAdapter(pool_maxsize=0)  # none is kept


def test_retries_that_are_no_number_are_named() -> None:
    session = reqkit.Session()
    session.mount("http://", HTTPAdapter(max_retries="three"))
    with pytest.raises(reqkit.ConfigError, match="max_retries is 'three'"):
        session.get("http://a.example/")


def test_an_encoding_that_is_no_name_counts_as_not_given(scripted: Start) -> None:
    response = reqkit.get(scripted([answer(200, "\xe9".encode())])())
    response.encoding = 5  # type: ignore[assignment]
    assert response.text == "\xe9"
    assert list(response.iter_lines(decode_unicode=True)) == ["\xe9"]
