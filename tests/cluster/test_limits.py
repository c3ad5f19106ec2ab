"""Limits over all workers of a run, as the server sees them."""

from __future__ import annotations

import time
from typing import Any

import gevent
import pytest

import reqkit_async
from servers.messages import answer

from .conftest import Site

get = reqkit_async.get


@pytest.fixture(params=["threads", "processes"])
def workers(request: pytest.FixtureRequest) -> Any:
    """Two workers."""
    return request.getfixturevalue(f"shared_{request.param}")


def test_per_host_is_that_of_the_run(workers: Any, site: Site) -> None:
    site.during = lambda request: time.sleep(0.01)
    requests = [get(site.host_url(number % 3, f"/{number}")) for number in range(90)]
    entries = reqkit_async.map(requests, size=10, per_host=2, executor=workers)
    assert [entry.status_code for entry in entries] == [200] * 90
    assert dict(site.peak) == {f"127.0.0.{number}": 2 for number in (1, 2, 3)}


def test_both_workers_get_hosts(shared_processes: Any, site: Site) -> None:
    from servers.in_workers import pid_and_status

    requests = [
        get(site.host_url(number % 8, f"/{number}"), callback=pid_and_status)
        for number in range(160)
    ]
    entries = reqkit_async.map(requests, size=10, per_host=2, executor=shared_processes)
    by_host: dict[int, set[int]] = {}
    for number, (pid, _) in enumerate(entries):
        by_host.setdefault(number % 8, set()).add(pid)
    assert len({pid for pids in by_host.values() for pid in pids}) == 2


@pytest.mark.parametrize("limit", [{"rate": 20}, {"delay": 0.05}, {"rate": "1200/min"}])
def test_rates_and_delays_are_those_of_the_run(
    workers: Any, site: Site, limit: dict[str, Any]
) -> None:
    requests = [get(site(f"/{number}")) for number in range(15)]
    began = time.monotonic()
    entries = reqkit_async.map(requests, size=10, executor=workers, **limit)
    assert [entry.status_code for entry in entries] == [200] * 15
    [starts] = site.starts.values()
    # From here on, not from the first on, which a busy server may see late.
    assert max(starts) - began >= 14 * 0.05 * 0.9


def test_one_slow_host_does_not_starve_the_others(workers: Any, site: Site) -> None:
    slow = [get(site.host_url(9, f"/slow{number}")) for number in range(200)]
    quick = [get(site.host_url(number % 5, f"/{number}")) for number in range(50)]
    entries = reqkit_async.imap_unordered(slow[:30] + quick, size=5, per_host=1, executor=workers)
    for _ in range(50):
        assert "/slow" not in next(entries).url
    site.gate.set()
    assert all("/slow" in entry.url for entry in entries)
    with reqkit_async.Pool(5, per_host=1, executor=workers) as pool:
        site.gate.clear()
        handles = [pool.spawn(request) for request in slow + quick]
        for handle in handles[200:]:
            assert handle.get(timeout=20).ok
        site.gate.set()


@pytest.mark.parametrize("limits", [{}, {"per_host": 3}], ids=["without limits", "with limits"])
def test_a_host_that_asks_for_it_is_left_alone_by_all(
    workers: Any, site: Site, limits: dict[str, Any]
) -> None:
    site.special["/held"] = lambda hit: answer(429, b"", [("Retry-After", "1")])
    answered: list[Any] = []

    def one_first() -> Any:
        yield get(site("/held"))
        while not answered:
            gevent.sleep(0.001)
        for number in range(20):
            yield get(site(f"/{number}"))

    for entry in reqkit_async.imap_unordered(one_first(), size=5, executor=workers, **limits):
        answered.append(entry)
    assert [entry.status_code for entry in answered] == [429] + [200] * 20
    [starts] = site.starts.values()
    first, *others = sorted(starts)
    assert min(others) - first >= 0.95


def test_others_go_on_while_a_host_is_held_back(workers: Any, site: Site) -> None:
    site.special["/held"] = lambda hit: answer(503, b"", [("Retry-After", "200")])
    with reqkit_async.Pool(3, executor=workers) as pool:
        assert pool.map([get(site("/held"))])[0].status_code == 503
        assert 100 < pool.held["127.0.0.1"] <= 200
        held = [pool.spawn(get(site(f"/{number}"))) for number in range(100)]
        others = [pool.spawn(get(site.host_url(1, f"/{number}"))) for number in range(100)]
        for handle in others:
            assert handle.get(timeout=20).ok
        assert not any(handle.ready() for handle in held)
        pool.kill()
    assert sum(site.hits.values()) == 101


def test_retries_are_made_in_the_workers(workers: Any, site: Site) -> None:
    site.special["/flaky"] = lambda hit: answer(200 if hit == 2 else 503, b"")
    with reqkit_async.Pool(3, retries=2, executor=workers) as pool:
        [entry] = pool.map([get(site("/flaky"))])
        assert (entry.status_code, entry.retries) == (200, 1)
        assert pool.stats.retries == 1
