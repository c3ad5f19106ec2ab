"""`per_host`, `rate`, `delay` and Retry-After, seen from the servers' side."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest

import reqkit_async
from reqkit.exceptions import TotalTimeout
from servers.counting import CountingServer
from servers.messages import answer
from servers.scripted import PATIENCE, Connection, ScriptedServer
from servers.waiting import SOON

Start = Callable[..., ScriptedServer]
Count = Callable[..., CountingServer]

#: Seconds by which a clock's readings may differ between two threads.
SLACK = 0.001


class Times:
    """A handler that writes down when each request arrived."""

    def __init__(self) -> None:
        self.at: list[float] = []

    def __call__(self, connection: Connection) -> None:
        while connection.recv_request() is not None:
            self.at.append(time.monotonic())
            connection.send(answer(200))

    def are_spaced(self, began: float, seconds: float) -> bool:
        """Tell whether none came before its time; that some come late is the machine's."""
        return all(
            at >= began + number * seconds - SLACK for number, at in enumerate(sorted(self.at))
        )


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
    began = time.monotonic()
    assert all(reqkit_async.map([reqkit_async.get(server())] * 8, size=8, rate=rate))
    assert len(times.at) == 8
    assert times.are_spaced(began, 0.05)


def test_delay(scripted: Start) -> None:
    times = Times()
    server = scripted(times)
    began = time.monotonic()
    assert all(reqkit_async.imap([reqkit_async.get(server())] * 5, size=5, delay=0.06))
    assert len(times.at) == 5
    assert times.are_spaced(began, 0.06)


def test_rate_is_each_hosts_own(scripted: Start) -> None:
    server = scripted(Times())
    urls = [server(), server().replace("127.0.0.1", "localhost")]
    requests = [reqkit_async.get(url) for url in urls]
    assert all(reqkit_async.map(requests, rate="1/min", timeout=PATIENCE))


def test_a_request_that_waits_for_its_rate_holds_no_slot(scripted: Start) -> None:
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
    assert len(reqkit_async.map([reqkit_async.get(server()) for _ in range(4)], size=1)) == 4
    assert at[1] - at[0] >= 1 - SLACK


def test_retry_after_holds_no_other_host_back(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(429, b"", [("Retry-After", "3600")]))

    pool = reqkit_async.Pool(1)
    url = scripted(handler)()
    held = [pool.spawn(reqkit_async.get(url)) for _ in range(2)]
    other = scripted(Times())().replace("127.0.0.1", "localhost")
    assert pool.spawn(reqkit_async.get(other)).get(timeout=PATIENCE).ok
    assert [each.ready() for each in held] == [True, False]
    pool.kill()


def test_the_deadline_counts_while_a_host_is_held_back(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(503, b"", [("Retry-After", "3600")]))

    server = scripted(handler)
    began = time.monotonic()
    found = reqkit_async.map([reqkit_async.get(server())] * 3, size=1, timeout=1)
    assert time.monotonic() - began < 1 + SOON
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
