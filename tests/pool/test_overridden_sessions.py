"""Batches whose session has a `send` of its own: their limits count for all that it sends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit_async.network.dns import set_resolver
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Start = Callable[..., ScriptedServer]


class Sends(reqkit.Session):
    """As those who add something to each message have it."""

    sent = 0

    def send(self, request: Any, **keywords: Any) -> reqkit.Response:
        self.sent += 1
        return super().send(request, **keywords)


class Loopback:
    def resolve(self, host: str, port: int) -> list[str]:
        return ["127.0.0.1"]


@pytest.fixture(autouse=True)
def names() -> Iterator[None]:
    set_resolver(Loopback())  # type: ignore[arg-type]
    yield
    set_resolver(None)


def test_a_hosts_limit_counts_where_a_redirect_leads(scripted: Start) -> None:
    lock = threading.Lock()
    now = most = 0

    def slow(connection: Connection) -> None:
        nonlocal now, most
        while connection.recv_request() is not None:
            with lock:
                now += 1
                most = max(most, now)
            connection.pause(0.02)
            with lock:
                now -= 1
            connection.send(answer(200, b"ok"))

    to = scripted(slow)("/").replace("127.0.0.1", "one.example")
    shorteners = scripted([answer(302, b"", [("Location", to)])] * 5)
    session = Sends()
    found = reqkit_async.map(
        [
            reqkit_async.get(shorteners().replace("127.0.0.1", f"s{n}.example"), session=session)
            for n in range(5)
        ],
        per_host=1,
    )
    assert [response.status_code for response in found] == [200] * 5
    assert session.sent == 5
    assert most == 1


def test_a_total_limit_counts_over_all_tries(scripted: Start) -> None:
    server = scripted([answer(503, b"", [("Retry-After", "0")])] * 50)
    deadlines = set()

    class Watched(Sends):
        def get_adapter(self, url: str) -> Any:
            adapter = super().get_adapter(url)
            return Spy(adapter)

    class Spy(reqkit.adapters.BaseAdapter):
        def __init__(self, adapter: Any) -> None:
            self.adapter = adapter

        def send(self, request: Any, *arguments: Any, **keywords: Any) -> reqkit.Response:
            deadlines.add(request._policy.deadline.at)
            response: reqkit.Response = self.adapter.send(request, *arguments, **keywords)
            return response

    [response] = reqkit_async.map(
        [
            reqkit_async.get(
                server(), session=Watched(), timeout=reqkit.Timeouts(connect=5, read=5, total=60)
            )
        ],
        retries=2,
    )
    assert response.status_code == 503
    assert len(server.requests) == 3
    assert len(deadlines) == 1
