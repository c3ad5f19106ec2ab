"""A response that is closed while another thread waits for its body, which is told at once."""

from __future__ import annotations

import gzip
import os
import random
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reqkit
from reqkit.adapters import HTTPAdapter
from reqkit.network.forking import forks
from reqkit.network.streams import PolledStream
from reqkit.transport.exchange import Body
from servers.messages import answer, chunks
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Scripted = Callable[..., ScriptedServer]


def lines_of(response: reqkit.Response) -> Any:
    return list(response.iter_lines())


def pieces_of(response: reqkit.Response) -> Any:
    return list(response.iter_content(10))


def raw_of(response: reqkit.Response) -> Any:
    return response.raw.read()


def content_of(response: reqkit.Response) -> Any:
    return response.content


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Is set where a thread is about to wait for a plain socket."""
    event = threading.Event()
    usual = PolledStream._wait

    def wait(self: PolledStream, poller: Any, timeout: float | None) -> None:
        event.set()
        usual(self, poller, timeout)

    monkeypatch.setattr(PolledStream, "_wait", wait)
    return event


@pytest.mark.parametrize("read", [content_of, pieces_of, lines_of, raw_of])
@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
@pytest.mark.parametrize("secure", [False, True])
def test_the_reader_is_told(
    scripted: Scripted, authority: Authority, waits: threading.Event, secure: bool, framing: str,
    read: Callable[[reqkit.Response], Any],
) -> None:  # fmt: skip
    def half(connection: Connection) -> None:
        while connection.recv_request() is not None:
            if framing == "length":
                connection.send(answer(200, b"half of it")[:-5])
            elif framing == "chunked":
                field = [("Transfer-Encoding", "chunked")]
                connection.send(answer(200, b"4\r\nhalf\r\n", field, length=False))
            else:
                connection.send(answer(200, b"half", length=False))
            connection.wait_closed()

    server = scripted(half, tls=authority.server() if secure else None)
    outcome: list[Any] = []
    with reqkit.Session(verify=str(authority.bundle) if secure else None) as session:
        session.mount(server(), HTTPAdapter(pool_maxsize=1, pool_block=True))
        for _ in range(2):  # and its place in the pool is free again
            response = session.get(server(), timeout=20)

            def reads(response: reqkit.Response = response) -> None:
                try:
                    outcome.append(read(response))
                except reqkit.RequestException as error:
                    outcome.append(error)

            waits.clear()
            thread = threading.Thread(target=reads)
            thread.start()
            assert waits.wait(20)
            response.close()
            thread.join(20)
            assert not thread.is_alive()
            assert isinstance(outcome[-1], reqkit.exceptions.ChunkedEncodingError), outcome
            assert "closed" in str(outcome[-1])
    assert server.connections_opened == 2


def long_answer(connection: Connection) -> None:
    """Send a body in pieces, and never its end."""
    request = connection.recv_request()
    assert request is not None
    body = random.Random(1).randbytes(300_000)
    fields = [("Transfer-Encoding", "chunked")]
    if request.target == "/gzip":
        fields.append(("Content-Encoding", "gzip"))
        body = gzip.compress(body)
    connection.send(answer(200, chunks([body]), fields, length=False)[:-1000])
    connection.wait_closed()


@pytest.mark.parametrize("path", ["/", "/gzip"])
@pytest.mark.parametrize("how", ["content", "download"])
def test_what_is_closed_between_reads_is_not_the_whole(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, how: str
) -> None:
    server = scripted(long_answer)
    usual = Body.read
    target = tmp_path / "file"
    reads: list[int] = []
    with reqkit.Session() as session:
        response = session.get(server(path))

        def read(self: Body, most: int, within: float | None = None) -> bytes:
            data = usual(self, most, within)
            reads.append(len(data))
            if len(reads) == 3:
                response.close()
            return data

        monkeypatch.setattr(Body, "read", read)
        with pytest.raises(reqkit.exceptions.ChunkedEncodingError, match="closed"):
            response.content if how == "content" else response.download(target)
    assert not target.exists()


@pytest.mark.parametrize("path", ["/", "/gzip"])
@pytest.mark.parametrize("size", [None, 1000])
def test_who_iterates_may_close_at_a_piece(scripted: Scripted, path: str, size: int | None) -> None:
    server = scripted(long_answer)
    with reqkit.Session() as session:
        response = session.get(server(path))
        seen = 0
        for _ in response.iter_content(size):
            seen += 1
            response.close()
        assert seen >= 1
        with pytest.raises(reqkit.exceptions.StreamConsumedError):
            response.content  # noqa: B018 reads it


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_child_that_closes_does_not_end_its_parents_wait(waits: threading.Event) -> None:
    """The thread that waited is the parent's: in the child nobody is to be woken."""
    ours, theirs = socket.socketpair()
    stream = PolledStream(ours)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(stream.receive(100, 20)))
    thread.start()
    assert waits.wait(20)
    stream._waits_in = forks.count  # whether it has come so far or not
    child = os.fork()
    if child == 0:
        try:
            stream.close()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    theirs.sendall(b"still there")
    thread.join(20)
    assert got == [b"still there"]
    stream.close()
    theirs.close()
