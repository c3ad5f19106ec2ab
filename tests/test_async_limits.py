"""`per_host`, `rate`, `delay` and Retry-After, seen from the servers' side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import gevent
import pytest

import reqkit_async
from reqkit.exceptions import TotalTimeout
from servers.counting import CountingServer
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Start = Callable[..., ScriptedServer]
Count = Callable[..., CountingServer]

#: Seconds by which a timer may be early, and the server's clock readings late.
SLACK = 0.02


class Times:
    """A handler that writes down when each request arrived."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def __call__(self, connection: Connection) -> None:
        while connection.recv_request() is not None:
            self.at.append(time.monotonic())
            connection.send(answer(200))

    def gaps(self) -> list[float]:
        return [after - before for before, after in pairwise(sorted(self.at))]


def test_per_host(counting_server: Count) -> None:
    server = counting_server(3, rounds=True)
    found = reqkit_async.map([reqkit_async.get(server()) for _ in range(30)], size=20, per_host=3)
    assert all(found)
    assert server.peak == 3


def test_a_slow_host_does_not_starve_a_fast_one(scripted: Start) -> None:
    """A thousand for the slow host come first; the ten for the fast one are through at once."""
    go_on = threading.Event()

    def slow(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.wait(go_on)
            connection.send(answer(200))

    slow_server = scripted(slow)
    fast_server = scripted(Times())
    ended: list[Any] = []

    def fast(response: Any) -> None:
        ended.append(len(slow_server.requests))
        if len(ended) == 10:
            go_on.set()  # the slow ones have answered none so far

    slow_url = slow_server().replace("127.0.0.1", "localhost")
    requests = [reqkit_async.get(slow_url) for _ in range(1000)]
    requests += [reqkit_async.get(fast_server(), callback=fast) for _ in range(10)]
    found = reqkit_async.map(requests, size=20, per_host=4)
    assert all(found)
    assert len(ended) == 10
    assert max(ended) <= 4


def test_a_host_is_its_name_whatever_the_port(counting_server: Count) -> None:
    one, other = counting_server(1), counting_server(1)
    running = 0
    peak = 0

    def before(prepared: Any) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)

    def after(response: Any) -> None:
        nonlocal running
        running -= 1

    requests = [
        reqkit_async.get(server(), hooks={"pre_request": before, "response": after})
        for server in (one, other) * 5
    ]
    assert all(reqkit_async.map(requests, size=10, per_host=1))
    assert peak == 1


@pytest.mark.parametrize("rate", [20, "20/s", "1200/min"])
def test_rate_is_evenly_spaced(rate: Any, scripted: Start) -> None:
    times = Times()
    server = scripted(times)
    assert all(reqkit_async.map([reqkit_async.get(server())] * 8, size=8, rate=rate))
    assert min(times.gaps()) > 0.05 - SLACK
    assert max(times.at) - min(times.at) >= 7 * 0.05 - SLACK


def test_delay(scripted: Start) -> None:
    times = Times()
    server = scripted(times)
    assert all(reqkit_async.imap([reqkit_async.get(server())] * 5, size=5, delay=0.06))
    assert min(times.gaps()) > 0.06 - SLACK


def test_rate_is_each_hosts_own(scripted: Start) -> None:
    times = [Times(), Times()]
    servers = [scripted(one) for one in times]
    urls = [servers[0](), servers[1]().replace("127.0.0.1", "localhost")]
    began = time.monotonic()
    assert all(reqkit_async.map([reqkit_async.get(url) for url in urls * 5], size=8, rate=20))
    assert time.monotonic() - began < 2 * 4 * 0.05 + 0.15
    assert all(min(one.gaps()) > 0.05 - SLACK for one in times)


def test_one_that_waits_for_its_rate_holds_no_place(scripted: Start) -> None:
    """With one place and one request a minute, the other host is served meanwhile."""
    server = scripted(Times())
    slow = [reqkit_async.get(server()) for _ in range(3)]
    fast_url = server().replace("127.0.0.1", "localhost")
    pool = reqkit_async.Pool(1, rate="1/min")
    handles = [pool.spawn(request) for request in slow]
    assert handles[0].get(timeout=10).ok
    other = pool.spawn(reqkit_async.get(fast_url))
    assert other.get(timeout=10).ok
    assert not handles[1].ready()
    pool.kill()


def test_retry_after_holds_a_host_back(scripted: Start) -> None:
    at: list[float] = []

    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            at.append(time.monotonic())
            if len(at) == 1:
                connection.send(answer(429, b"", [("Retry-After", "1")]))
            else:
                connection.send(answer(200))

    server = scripted(handler)
    other = scripted(Times())
    other_url = other().replace("127.0.0.1", "localhost")
    requests = [reqkit_async.get(server()) for _ in range(4)] + [reqkit_async.get(other_url)]
    began = time.monotonic()
    done: list[float] = []
    requests[4].register_hook("response", lambda response: done.append(time.monotonic() - began))
    assert len(reqkit_async.map(requests, size=1)) == 5
    assert done[0] < 0.9  # another host's was not held back
    assert at[1] - at[0] >= 1 - SLACK


def test_the_deadline_counts_while_a_host_is_held_back(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(503, b"", [("Retry-After", "3600")]))

    server = scripted(handler)
    began = time.monotonic()
    found = reqkit_async.map([reqkit_async.get(server())] * 3, size=1, timeout=0.2)
    assert time.monotonic() - began < 0.7
    assert [one.status_code for one in found] == [503, None, None]
    assert [type(one.error) for one in found[1:]] == [TotalTimeout] * 2


def test_hosts_in_turn_with_a_bounded_queue(counting_server: Count) -> None:
    """An endless feed with limits is pulled from no further than there is room."""
    server = counting_server(1)
    pulled = 0

    def endless() -> Any:
        nonlocal pulled
        while True:
            pulled += 1
            yield reqkit_async.get(server())

    taken = 0
    for _ in reqkit_async.imap_unordered(endless(), size=4, per_host=1):
        taken += 1
        assert pulled <= taken + 8
        if taken == 20:
            break
    gevent.sleep(0)
    assert pulled <= taken + 8
