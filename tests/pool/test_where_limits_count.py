"""Limits count where a message goes: after redirects, at the host that asked to be left alone."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from urllib3.util import Retry

import reqkit
import reqkit_async
from reqkit.network import Address
from reqkit_async.network import dns
from servers.messages import answer
from servers.scripted import PATIENCE, Connection, ScriptedServer
from servers.waiting import SOON, until

Start = Callable[..., ScriptedServer]


@pytest.fixture(autouse=True)
def names() -> Iterator[None]:
    """All names lead here."""

    class Here:
        def resolve(self, host: str, port: int) -> list[Address]:
            return [Address(socket.AF_INET, ("127.0.0.1", port))]

    dns.set_resolver(Here())
    yield
    dns.set_resolver(None)


class Hosts:
    """What each host is asked, how many at a time, and when."""

    def __init__(self, scripted: Start, answers: dict[str, Any], busy: float = 0.0) -> None:
        self.answers = answers
        self.busy = busy
        self.now: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.times: list[tuple[str, float]] = []
        self.server = scripted(self.serve)

    def serve(self, connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            host = (request.get("host") or "").partition(":")[0]
            self.times.append((host, time.monotonic()))
            self.now[host] += 1
            self.peak[host] = max(self.peak[host], self.now[host])
            time.sleep(self.busy)
            self.now[host] -= 1
            found = self.answers.get(host, answer(200, b"ok"))
            connection.send(found(request) if callable(found) else found)

    def url(self, host: str, path: str = "/") -> str:
        return f"http://{host}:{self.server.port}{path}"

    def last(self, host: str) -> float:
        return max(when for name, when in self.times if name == host)


def shortened(scripted: Start, target: str = "target.test", busy: float = 0.02) -> Hosts:
    """Ten hosts that redirect to one."""
    hosts = Hosts(scripted, {}, busy)
    moved = answer(302, b"", [("Location", hosts.url(target))])
    hosts.answers.update({f"short-{number}.test": moved for number in range(10)})
    return hosts


def test_redirects_to_one_host_keep_its_per_host(scripted: Start) -> None:
    hosts = shortened(scripted)
    asked = [reqkit_async.get(hosts.url(f"short-{number}.test")) for number in range(10)]
    found = reqkit_async.map(asked, size=10, per_host=1)
    assert [one.status_code for one in found] == [200] * 10
    assert hosts.peak["target.test"] == 1


@pytest.mark.parametrize("limits", [{"delay": 0.05}, {"rate": 20}])
def test_redirects_to_one_host_keep_its_rate(scripted: Start, limits: Any) -> None:
    hosts = shortened(scripted, busy=0.0)
    asked = [reqkit_async.get(hosts.url(f"short-{number}.test")) for number in range(10)]
    began = time.monotonic()
    assert all(reqkit_async.map(asked, **limits))
    # From here on, not from the first on, which a busy server may see late.
    assert hosts.last("target.test") - began >= 9 * 0.05 * 0.9


def test_redirects_within_one_host_keep_its_delay(scripted: Start) -> None:
    hosts = Hosts(scripted, {})

    def twice(request: Any) -> bytes:
        if request.target == "/":
            return answer(302, b"", [("Location", "/there")])
        return answer(200, b"ok")

    hosts.answers["one.test"] = twice
    began = time.monotonic()
    assert all(reqkit_async.map([reqkit_async.get(hosts.url("one.test"))] * 3, delay=0.05))
    assert len(hosts.times) == 6
    assert hosts.last("one.test") - began >= 5 * 0.05 * 0.9


def test_who_waits_for_a_host_holds_no_slot(scripted: Start) -> None:
    hosts = shortened(scripted, busy=0.0)
    others: list[Any] = []
    all_others = threading.Event()

    def slow(request: Any) -> bytes:
        assert all_others.wait(PATIENCE)
        return answer(200, b"slow")

    def another(response: Any) -> None:
        others.append(response)
        if len(others) == 20:
            all_others.set()

    hosts.answers["target.test"] = slow
    asked = [reqkit_async.get(hosts.url(f"short-{number}.test")) for number in range(10)]
    asked += [
        reqkit_async.get(hosts.url(f"other-{number}.test"), callback=another)
        for number in range(20)
    ]
    found = reqkit_async.map(asked, size=4, per_host=1)
    assert all(found)
    assert len(others) == 20
    assert hosts.peak["target.test"] == 1


def test_at_most_size_are_in_flight_whoever_waits(scripted: Start) -> None:
    hosts = shortened(scripted, busy=0.01)
    running = peak = 0

    def begun(message: Any) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)

    def ended(message: Any) -> None:
        nonlocal running
        running -= 1

    hooks = {"pre_request": begun, "post_request": ended}
    asked = [
        reqkit_async.get(hosts.url(f"short-{number % 10}.test"), hooks=hooks)
        for number in range(40)
    ]
    pool = reqkit_async.Pool(3, per_host=2)
    assert all(pool.map(asked))
    assert pool._workers.most == 3
    assert hosts.server.peak_connections <= 13
    until(lambda: not pool._workers._greenlets)
    assert not pool._workers.limits._hosts or pool._workers.limits.per_host == 2


@pytest.mark.parametrize("stop", ["deadline", "kill", "request"])
def test_who_waits_for_a_host_can_be_stopped(scripted: Start, stop: str) -> None:
    hosts = shortened(scripted, busy=0.0)
    opened = threading.Event()

    def stuck(request: Any) -> bytes:
        opened.wait(10)
        return answer(200, b"late")

    hosts.answers["target.test"] = stuck
    hooked: list[Any] = []
    keywords: dict[str, Any] = {"callback": hooked.append}
    if stop == "request":
        keywords["timeout"] = reqkit.Timeouts(total=0.4)
    asked = [reqkit_async.get(hosts.url(f"short-{n}.test"), **keywords) for n in range(6)]
    pool = reqkit_async.Pool(6, per_host=1)
    if stop == "kill":
        gevent.spawn_later(0.4, pool.kill)
    found = pool.map(asked, timeout=0.4 if stop == "deadline" else None)
    assert len(found) == len(hooked) == 6
    assert all(one.error is not None for one in found)
    opened.set()
    until(lambda: not pool._workers._greenlets)
    assert pool._workers.most == 6
    assert pool._workers.active == 0
    assert [one.status_code for one in pool.map([reqkit_async.get(hosts.url("x.test"))])] == [200]


def test_a_hold_is_the_hosts_that_asked_for_it(scripted: Start) -> None:
    hosts = Hosts(scripted, {})
    starts = []

    def busy(request: Any) -> bytes:
        starts.append(time.monotonic())
        if len(starts) == 1:
            return answer(503, b"", [("Retry-After", "1")])
        return answer(200, b"ok")

    hosts.answers["target.test"] = busy
    hosts.answers["short.test"] = lambda request: (
        answer(302, b"", [("Location", hosts.url("target.test"))])
        if request.target == "/"
        else answer(200, b"ok")
    )
    pool = reqkit_async.Pool(1)
    assert pool.map([reqkit_async.get(hosts.url("short.test"))])[0].status_code == 503
    assert list(pool.held) == ["target.test"]  # the one that redirected is not
    assert pool.map([reqkit_async.get(hosts.url("short.test", "/else"))])[0].ok
    assert pool.map([reqkit_async.get(hosts.url("short.test"))])[0].ok
    assert starts[1] - starts[0] >= 0.9  # the other is, by a redirect, too


# -- a Retry-After of an hour


def test_a_longer_hold_than_is_allowed_is_cut_short(
    scripted: Start, caplog: pytest.LogCaptureFixture
) -> None:
    hosts = Hosts(scripted, {"slow.test": answer(429, b"", [("Retry-After", "3600")])})
    session = reqkit.Session(config={"retry_after_max": 0.2})
    asked = [reqkit_async.get(hosts.url("slow.test"), session=session) for _ in range(3)]
    began = time.monotonic()
    found = reqkit_async.map(asked, size=1)
    assert 0.35 < time.monotonic() - began < SOON
    assert [one.status_code for one in found] == [429] * 3
    with pytest.raises(reqkit.HTTPError, match=r"3600 s .*'retry_after_max'.* \(0.2 s\)"):
        found[0].raise_for_status()
    assert any("3600 s" in record.getMessage() for record in caplog.records)


def test_a_hold_is_logged(scripted: Start, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "reqkit")
    hosts = Hosts(scripted, {"slow.test": answer(503, b"", [("Retry-After", "1")])})
    reqkit_async.map([reqkit_async.get(hosts.url("slow.test"))])
    (record,) = [one for one in caplog.records if "held back" in one.getMessage()]
    assert (record.name, record.levelname) == ("reqkit", "INFO")
    assert record.getMessage().startswith("slow.test: held back for 1 s, until ")


@pytest.mark.parametrize("most", [0.5, 10])
def test_how_long_is_too_long_is_the_configs(scripted: Start, most: float) -> None:
    answers = iter([answer(503, b"", [("Retry-After", "1")]), answer(200, b"ok")])
    hosts = Hosts(scripted, {"slow.test": lambda request: next(answers)})
    session = reqkit.Session(config={"retry_after_max": most})
    asked = reqkit_async.get(hosts.url("slow.test"), session=session)
    (found,) = reqkit_async.map([asked], retries=2)
    assert found.status_code == (503 if most < 1 else 200)


# -- one meaning of retries


def blocking(url: str, **config: Any) -> Any:
    try:
        return reqkit.get(url.replace("busy.test", "127.0.0.1"), config=config)
    except reqkit.RequestException as error:
        return error


def batch(url: str, **config: Any) -> Any:
    (entry,) = reqkit_async.map([reqkit_async.get(url, config=config)])
    return entry.error or entry


def by_retries(url: str, max_retries: Any, **config: Any) -> Any:
    (entry,) = reqkit_async.map([reqkit_async.get(url, config=config)], retries=max_retries)
    return entry.error or entry


def one(url: str, **config: Any) -> Any:
    entry = reqkit_async.send(reqkit_async.get(url, config=config)).get()
    return entry.error or entry


WAYS = [blocking, batch, by_retries, one]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("raises", [True, False])
def test_a_retry_that_is_used_up_ends_in_one_way(
    scripted: Start, way: Callable[..., Any], raises: bool
) -> None:
    hosts = Hosts(scripted, {name: answer(503, b"busy") for name in ("busy.test", "127.0.0.1")})
    policy = Retry(1, status_forcelist=[503], raise_on_status=raises)
    ending = way(hosts.url("busy.test"), max_retries=policy)
    assert len(hosts.times) == 2
    if raises:
        assert type(ending) is reqkit.RetryError
        assert "answered 503 every time and the retries are used up" in str(ending)
        assert ending.response.status_code == 503
    else:
        assert ending.status_code == 503


@pytest.mark.parametrize("status", [413, 429, 503])
@pytest.mark.parametrize("after", ["0", "1", "3600"])
@pytest.mark.parametrize("way", [blocking, batch, one])
def test_a_number_in_the_config_leaves_answers_alone(
    scripted: Start, way: Callable[..., Any], after: str, status: int
) -> None:
    """It counts failed connections, whether or not an answer has a Retry-After."""
    busy = answer(status, b"busy", [("Retry-After", after)])
    hosts = Hosts(scripted, {"busy.test": busy, "127.0.0.1": busy})
    assert way(hosts.url("busy.test"), max_retries=2).status_code == status
    assert len(hosts.times) == 1


@pytest.mark.parametrize("way", WAYS)
def test_a_longer_wait_than_is_allowed_ends_a_retry_at_once(
    scripted: Start, way: Callable[..., Any]
) -> None:
    busy = answer(503, b"busy", [("Retry-After", "2")])
    hosts = Hosts(scripted, {"busy.test": busy, "127.0.0.1": busy})
    policy = Retry(3, status_forcelist=[503])
    ending = way(hosts.url("busy.test"), max_retries=policy, retry_after_max=1)
    assert len(hosts.times) == 1
    assert type(ending) is reqkit.RetryError
    assert "'retry_after_max'" in str(ending)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("retries", [3, Retry(3)])
def test_a_name_that_does_not_exist_is_looked_up_once(
    way: Callable[..., Any], retries: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def look_up(host: str, *rest: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    class Nowhere:
        def resolve(self, host: str, port: int) -> Any:
            return look_up(host)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    dns.set_resolver(Nowhere())
    name = f"none-{way.__name__}-{type(retries).__name__.lower()}.test"
    for _ in range(3):
        ending = way(f"http://{name}/", max_retries=retries)
        assert isinstance(ending, reqkit.ConnectionError)
        assert "was not found" in str(ending)
    assert asked == [name]


@pytest.mark.parametrize("way", WAYS)
def test_how_often_it_was_tried(scripted: Start, way: Callable[..., Any]) -> None:
    def gone(connection: Connection) -> None:
        connection.recv_request()

    server = scripted(gone)
    ending = way(server(), max_retries=Retry(2))
    assert isinstance(ending, reqkit.ConnectionError)
    assert str(ending).count("(tried 3 times; the try before: ProtocolError: ") == 1


def test_what_the_total_limit_cuts_off_says_how_often_it_was_tried(scripted: Start) -> None:
    count = 0

    def slow(connection: Connection) -> None:
        nonlocal count
        count += 1
        if connection.recv_request() is not None and count > 2:
            connection.server.stopping.wait(10)

    for batched in (False, True):
        count = 0
        server = scripted(slow)
        policy = Retry(5)
        asked = reqkit_async.get(
            server(), timeout=reqkit.Timeouts(total=0.5), config={"max_retries": policy}
        )
        if batched:
            error: Any = reqkit_async.map([asked])[0].error
        else:
            with pytest.raises(reqkit.TotalTimeout) as caught:
                asked.send()
            error = caught.value
        assert isinstance(error, reqkit.TotalTimeout)
        assert "(tried 3 times; the try before: ProtocolError: " in str(error)
