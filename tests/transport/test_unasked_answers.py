"""An answer that a broken or hostile server sends before it is asked is never the next request's.

A kept connection is looked at before it is used. What comes after that look and before the request
has arrived cannot be told from the request's answer: the documentation says so.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import pytest

import reqkit
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Start = Callable[..., ScriptedServer]
Send = Callable[..., reqkit.Response]

EVIL = answer(200, b"evil")

#: What comes unasked.
PUSHED: Mapping[str, bytes] = {
    "an answer": EVIL,
    "two answers": EVIL * 2,
    "an answer without end": answer(200, b"evil", length=False),
    "a byte": b"H",
    "an empty line": b"\r\n",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a time-out": answer(408, b"you were slow", [("Connection", "close")]),
    "an end": b"",
}

WAYS = ("plain", "tls", "forwarded", "tunnel")


@pytest.mark.parametrize("pushed", PUSHED)
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("way", WAYS)
def test_unasked_bytes_cost_the_connection(
    way: str,
    method: str,
    pushed: str,
    scripted: Start,
    authority: Authority,
    ca_bundle: str,
    session: reqkit.Session,
) -> None:
    pushing = PUSHED[pushed]
    found = run(way, method, pushing, scripted, authority, ca_bundle, session, session.request)
    assert found == [f"2 {method}".encode()] * 2


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("way", WAYS)
def test_unasked_bytes_cost_the_connection_with_greenlets_too(
    way: str,
    method: str,
    scripted: Start,
    authority: Authority,
    ca_bundle: str,
    session: reqkit.Session,
) -> None:
    import reqkit_async

    def sending(method: str, url: str, **keywords: Any) -> reqkit.Response:
        asked = reqkit_async.request(method, url, session=session, **keywords)
        [response] = reqkit_async.map([asked], raise_errors=True)
        assert isinstance(response, reqkit.Response)
        return response

    found = run(way, method, EVIL, scripted, authority, ca_bundle, session, sending)
    assert found == [f"2 {method}".encode()] * 2


def run(
    way: str,
    method: str,
    pushed: bytes,
    scripted: Start,
    authority: Authority,
    ca_bundle: str,
    session: reqkit.Session,
    sending: Callable[..., reqkit.Response],
) -> list[bytes]:
    """Have a connection pushed to; return what the two requests after that are answered."""
    read, sent = threading.Event(), threading.Event()
    context = authority.server()

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.method == "CONNECT":
                connection.send(answer(200, length=False))
                connection.start_tls(context)
                continue
            connection.send(answer(200, f"{connection.number} {request.method}".encode()))
            if connection.number == 1:
                connection.wait(read)  # what comes with an answer is another test
                if pushed:
                    connection.send(pushed)
                else:
                    connection.end()
                sent.set()
                connection.wait_closed()

    server = scripted(handler, tls=context if way == "tls" else None)
    url = server()
    session.verify = ca_bundle
    if way in ("forwarded", "tunnel"):
        session.proxies = {"all": server.url}
        url = f"{'https' if way == 'tunnel' else 'http'}://localhost/"
    assert sending("GET", url).content == b"1 GET"
    read.set()
    assert sent.wait(20)
    found = [sending(method, url).content for _ in range(2)]
    assert server.connections_opened == 2
    # The first connection carried one request, and nothing after it.
    carried = [one.connection for one in server.requests if one.method != "CONNECT"]
    assert carried == [1, 2, 2]
    return found


def test_unasked_bytes_that_were_read_with_the_body(scripted: Start, send: Send) -> None:
    """Whichever way the bytes were cut: the connection ends where its answer ends."""
    chunked = (
        answer(200, fields=[("Transfer-Encoding", "chunked")], length=False)
        + b"4\r\ngood\r\n0\r\n\r\n"
    )
    for good in (answer(200, b"good"), chunked):
        for cut in (10, len(good) - 3, len(good), len(good) + 5):
            parts = [(good + EVIL)[:cut], (good + EVIL)[cut:]]
            went = [threading.Event(), threading.Event()]

            def handler(
                connection: Connection,
                parts: list[bytes] = parts,
                went: list[threading.Event] = went,
            ) -> None:
                connection.recv_request()
                if connection.number > 1:
                    connection.send(answer(200, b"next"))
                    return
                for part, event in zip(parts, went, strict=True):
                    connection.send(part)
                    event.set()
                connection.wait_closed()

            server = scripted(handler)
            with reqkit.Session() as session:
                assert send(server(), session=session, prefetch=True).content == b"good"
                assert went[1].wait(20)
                assert send(server(), session=session, prefetch=True).content == b"next"
                assert server.connections_opened == 2
