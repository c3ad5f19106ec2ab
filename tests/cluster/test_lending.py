"""Hosts that requests come to by redirects: they may belong to another worker."""

from __future__ import annotations

import itertools
import os
import signal
import time
from collections import Counter
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from reqkit_async.cluster.hosts import HostTable
from reqkit_async.pool.limits import HostLimits
from servers.in_workers import leave
from servers.messages import answer

from .conftest import Site, processes

get = reqkit_async.get
#: Where the redirects lead, and how many hosts redirect there.
TARGET, FROM = 200, 12


@pytest.fixture(params=["threads", "processes"])
def workers(request: pytest.FixtureRequest) -> Any:
    """Two workers."""
    return request.getfixturevalue(f"shared_{request.param}")


def redirects(site: Site, count: int, *, first: int = 0) -> list[Any]:
    """Return requests for many hosts, which all redirect to one."""
    where = [("Location", site.host_url(TARGET, "/end"))]
    requests = []
    for number in range(first, first + count):
        site.special[f"/go{number}"] = lambda hit: answer(302, b"", where)
        requests.append(get(site.host_url(1 + number % FROM, f"/go{number}")))
    return requests


def target(site: Site) -> str:
    return site.host_url(TARGET).partition("//")[2].partition(":")[0]


@pytest.mark.parametrize("most", [1, 3])
def test_a_host_that_many_redirect_to(workers: Any, site: Site, most: int) -> None:
    site.during = lambda request: time.sleep(0.005)
    requests = redirects(site, 60) + [get(site.host_url(TARGET, f"/{n}")) for n in range(40)]
    entries = reqkit_async.map(requests, size=10, per_host=most, executor=workers)
    assert [entry.status_code for entry in entries] == [200] * 100
    assert [len(entry.history) for entry in entries] == [1] * 60 + [0] * 40
    assert max(site.peak.values()) == site.peak[target(site)] == most


def test_there_and_back_again(workers: Any, site: Site) -> None:
    """Each hop at a host that may be another worker's, and the last one at the first."""
    site.during = lambda request: time.sleep(0.002)
    requests = []
    for number in range(60):
        home, away = 1 + number % 5, 100 + number % 7
        for here, to in (
            (f"/a{number}", site.host_url(away, f"/b{number}")),
            (f"/b{number}", site.host_url(away, f"/c{number}")),
            (f"/c{number}", site.host_url(home, f"/d{number}")),
        ):
            site.special[here] = lambda hit, to=to: answer(307, b"", [("Location", to)])
        requests.append(get(site.host_url(home, f"/a{number}")))
    entries = reqkit_async.map(requests, size=8, per_host=2, executor=workers)
    assert [(entry.status_code, len(entry.history)) for entry in entries] == [(200, 3)] * 60
    assert max(site.peak.values()) <= 2


@pytest.mark.parametrize("limit", [{"rate": 20}, {"delay": 0.05}])
def test_rates_and_delays_count_there_too(workers: Any, site: Site, limit: dict[str, Any]) -> None:
    requests = redirects(site, 10) + [get(site.host_url(TARGET, f"/{n}")) for n in range(5)]
    began = time.monotonic()
    entries = reqkit_async.map(requests, size=10, executor=workers, **limit)
    assert [entry.status_code for entry in entries] == [200] * 15
    # From here on, not from the first on, which a busy server may see late.
    assert max(site.starts[target(site)]) - began >= 14 * 0.05 * 0.9


def test_who_waits_for_a_turn_is_stopped(workers: Any, site: Site) -> None:
    site.special["/end"] = lambda hit: (site.gate.wait(20), answer(200, b"end"))[1]
    limited = {"size": 10, "per_host": 1, "executor": workers}
    entries = reqkit_async.map(redirects(site, 12), timeout=0.7, **limited)
    assert {type(entry.error) for entry in entries} == {reqkit.TotalTimeout}
    entries = reqkit_async.map(
        [
            get(request.url, timeout=reqkit.Timeouts(total=0.7))
            for request in redirects(site, 12, first=20)
        ],
        **limited,
    )
    assert {type(entry.error) for entry in entries} == {reqkit.TotalTimeout}
    with reqkit_async.Pool(**limited) as pool:
        handles = [pool.spawn(request) for request in redirects(site, 12, first=40)]
        gevent.sleep(0)
        for handle in handles:
            handle.cancel()
        site.gate.set()
        entries = pool.map(redirects(site, 12, first=60))
        assert [entry.status_code for entry in entries] == [200] * 12


def test_turns_of_a_lost_worker(site: Site) -> None:
    """In the middle, one is killed that lends turns, and has borrowed some."""
    requests = redirects(site, 60)
    with processes(3) as executor:
        hits = itertools.count()

        def during(request: Any) -> None:
            time.sleep(0.002)
            if next(hits) == 40:
                os.kill(next(iter(executor._processes)), signal.SIGKILL)

        site.during = during
        entries = reqkit_async.map(requests, size=5, per_host=1, executor=executor)
    assert Counter(entry.status_code for entry in entries) == {200: 60}


def test_a_sessions_base_url_says_which_host_it_is(workers: Any, site: Site) -> None:
    site.during = lambda request: time.sleep(0.002)
    with (
        reqkit.Session(base_url=site.host_url(5)) as session,
        reqkit_async.Pool(10, per_host=2, session=session, executor=workers) as pool,
    ):
        site.special["/held"] = lambda hit: answer(503, b"", [("Retry-After", "1")])
        assert [entry.ok for entry in pool.map([get(f"/{n}") for n in range(40)])] == [True] * 40
        assert max(site.peak.values()) == 2
        assert pool.map([get("/held")])[0].status_code == 503
        assert list(pool.held) == ["127.0.0.6"]


def test_a_hook_that_exits_ends_no_other_call(executor: Any, site: Site) -> None:
    with reqkit_async.Pool(5, executor=executor) as pool:
        other = gevent.spawn(pool.map, [get(site(f"/slow{number}")) for number in range(4)])
        assert pool.map([get(site("/"))])[0].ok  # it has begun
        with pytest.raises(SystemExit) as raised:
            pool.map([get(site(f"/x{number}"), callback=leave) for number in range(4)])
        assert raised.value.code == 3
        site.gate.set()
        assert [entry.status_code for entry in other.get(timeout=20)] == [200] * 4
        assert pool.map([get(site("/"))])[0].ok


def test_hosts_are_borrowed_from_their_workers() -> None:
    table: HostTable[str] = HostTable(10, 0.5)
    table.add("w1")
    table.add("w2")
    assert table.borrow("new", "w2", 0.0) == ("w2", 0.0)
    assert table.borrow("new", "w1", 0.0) == ("w2", 0.0)
    table.ended("new", 1.0)
    table.ended("new", 1.0)
    # Nothing of it is out: its worker has to know how long to leave it alone.
    assert table.borrow("new", "w1", 1.2) == ("w2", pytest.approx(0.3))
    table.remove("w2", 2.0)
    assert table.borrow("new", "w1", 2.0) == ("w1", 0.5)


def test_a_turn_that_is_lent_keeps_others_waiting_until_it_is_begun() -> None:
    limits = HostLimits(rate=10)
    limits.reserved("h", 0.0)
    assert limits.ready_at("h", 5.0) == float("inf")
    limits.set_out("h", 5.0)
    assert limits.ready_at("h", 5.0) == pytest.approx(5.1)
    limits.ended("h")
    limits.reserved("h", 6.0)
    limits.ended("h")  # given back unused
    assert limits.ready_at("h", 6.0) == 6.0
