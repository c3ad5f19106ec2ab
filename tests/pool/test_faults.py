"""A thousand requests to servers that misbehave: each has its entry, its error and its hook."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    ContentDecodingError,
    ProtocolError,
    ReadTimeout,
    SSLError,
    TotalTimeout,
)
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority
from servers.waiting import SOON

# Of amounts: each fault has tests of its own, on each Python.
pytestmark = pytest.mark.once

Start = Callable[..., ScriptedServer]

BODY = b"0123456789" * 20


def misbehave(connection: Connection) -> None:
    """Do what the path says; a connection that was kept is closed now and then."""
    served = 0
    while (request := connection.recv_request()) is not None:
        kind = request.target.split("/")[1]
        served += 1
        if kind == "good":
            connection.send(answer(200, request.target.encode() + BODY))
        elif kind == "chunked":
            whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            for piece in (whole, b"5\r\nabcde\r\n", b"3\r\nfgh\r\n0\r\n\r\n"):
                connection.send(piece)
        elif kind == "closes":
            # The answer is whole; the connection is closed without a word after it.
            connection.send(answer(200, request.target.encode() + BODY))
            return
        elif kind == "reset-before-head":
            connection.reset()
            return
        elif kind == "reset-in-head":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-")
            connection.pause(0.01)
            connection.reset()
            return
        elif kind == "reset-in-body":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            connection.pause(0.01)
            connection.reset()
            return
        elif kind == "cut-head":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-")
            return
        elif kind == "cut-body":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            return
        elif kind == "cut-chunk":
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
            return
        elif kind == "garbage":
            connection.send(bytes(range(128, 256)) + b"\r\n\r\n")
            return
        elif kind == "bad-chunk":
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n")
            return
        elif kind == "two-lengths":
            connection.send(
                b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
            )
            return
        elif kind == "bad-gzip":
            connection.send(answer(200, b"no gzip", [("Content-Encoding", "gzip")]))
        elif kind == "never":
            connection.wait_closed()
            return
        elif kind == "trickle":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while True:
                connection.send(b"x")
                connection.pause(0.02)
        if served == 7:
            return


def no_tls(connection: Connection) -> None:
    """Take a TLS greeting for a bad request, as a plain server does."""
    if connection.recv_some():
        connection.send(answer(400, b"this is not HTTP"))


#: What comes of each kind; None: a good answer.
EXPECTED: dict[str, type[Exception] | None] = {
    "good": None,
    "chunked": None,
    "closes": None,
    "reset-before-head": ConnectionError,
    "reset-in-head": ConnectionError,
    "reset-in-body": ChunkedEncodingError,
    "cut-head": ProtocolError,
    "cut-body": ChunkedEncodingError,
    "cut-chunk": ChunkedEncodingError,
    "garbage": ProtocolError,
    "bad-chunk": ChunkedEncodingError,
    "two-lengths": ProtocolError,
    "bad-gzip": ContentDecodingError,
    "never": ReadTimeout,
    "trickle": TotalTimeout,
    "bad-certificate": SSLError,
    "no-tls": SSLError,
    "refused": ConnectionError,
}
#: The good ones are as many as all the others.
WEIGHTS = [30 if error is None else 6 for error in EXPECTED.values()]


@pytest.fixture
def urls(
    scripted: Start, authority: Authority, other_authority: Authority
) -> tuple[Callable[[str, int], str], list[ScriptedServer]]:
    plain = scripted(misbehave)
    secure = scripted(misbehave, tls=authority.server())
    untrusted = scripted(misbehave, tls=other_authority.server())
    without = scripted(no_tls)

    def url(kind: str, number: int) -> str:
        if kind == "bad-certificate":
            return untrusted(f"/good/{number}")
        if kind == "no-tls":
            return without(f"/good/{number}").replace("http:", "https:")
        if kind == "refused":
            return "http://127.0.0.1:1/"
        return (plain, secure)[number % 2](f"/{kind}/{number}")

    return url, [plain, secure, untrusted, without]


def by_map(requests: list[Any]) -> list[Any]:
    return reqkit_async.map(requests, size=50)


def by_imap(requests: list[Any]) -> list[Any]:
    return list(reqkit_async.imap(iter(requests), size=50))


def by_spawn(requests: list[Any]) -> list[Any]:
    with reqkit_async.Pool(50) as pool:
        handles = [pool.spawn(request) for request in requests]
    return [handle.get() for handle in handles]


@pytest.mark.parametrize("way", [by_map, by_imap, by_spawn])
def test_a_thousand_mixed_faults(way: Any, urls: Any, ca_bundle: str) -> None:
    url, servers = urls
    chance = random.Random(way.__name__)
    kinds = chance.choices(list(EXPECTED), WEIGHTS, k=1000)
    hooks: Counter[int] = Counter()

    def counted(number: int) -> Callable[[Any], None]:
        return lambda response: hooks.update([number])

    limits = {
        "never": (5, 0.3),
        "trickle": reqkit.Timeouts(read=5, total=0.3),
    }
    with reqkit.Session(verify=ca_bundle) as session:
        requests = [
            reqkit_async.get(
                url(kind, number),
                session=session,
                callback=counted(number),
                timeout=limits.get(kind, 20),
            )
            for number, kind in enumerate(kinds)
        ]
        found = way(requests)
    assert len(found) == 1000
    assert hooks == Counter(range(1000))
    wrong = []
    for number, (kind, response) in enumerate(zip(kinds, found, strict=True)):
        expected = EXPECTED[kind]
        if expected is None:
            whole = b"abcdefgh" if kind == "chunked" else f"/{kind}/{number}".encode() + BODY
            if response.error is not None or response.content != whole:
                wrong.append((kind, repr(response.error)))
        elif not isinstance(response.error, expected):
            wrong.append((kind, repr(response.error)))
    assert Counter(wrong) == Counter()
    for server in servers:
        server.wait_for_no_connections()


def test_a_thousand_mixed_faults_and_a_deadline(urls: Any, ca_bundle: str) -> None:
    """Stopped in the middle of it all: still one entry and one hook each."""
    url, servers = urls
    kinds = random.Random(5).choices(list(EXPECTED), WEIGHTS, k=1000)
    hooks: Counter[int] = Counter()

    def counted(number: int) -> Callable[[Any], None]:
        return lambda response: hooks.update([number])

    with reqkit.Session(verify=ca_bundle) as session:
        requests = [
            reqkit_async.get(url(kind, number), session=session, callback=counted(number))
            for number, kind in enumerate(kinds)
        ]
        began = time.monotonic()
        found = reqkit_async.map(requests, size=50, timeout=0.7, retries=1)
        assert time.monotonic() - began < 0.7 + SOON
    assert len(found) == 1000
    assert hooks == Counter(range(1000))
    for kind, response in zip(kinds, found, strict=True):
        if EXPECTED[kind] is None:
            assert response.ok or isinstance(response.error, TotalTimeout), response.error
        else:
            assert not response.ok
    for server in servers:
        server.wait_for_no_connections()
