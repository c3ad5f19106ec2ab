"""`Pool`: spawning and growth, joining, progress, figures, connections."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from reqkit.exceptions import HookWarning, MissingSchema
from reqkit.transport import pools
from reqkit_async.network import hubs
from servers.counting import CountingServer
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.waiting import until

Start = Callable[..., ScriptedServer]
Count = Callable[..., CountingServer]


def paths(connection: Connection) -> None:
    while (request := connection.recv_request()) is not None:
        connection.send(answer(200, request.target.encode()))


# -- growth


def test_spawn_never_blocks_and_keeps_to_the_size(counting_server: Count) -> None:
    server = counting_server(3, rounds=True)
    pool = reqkit_async.Pool(3)
    handles = [pool.spawn(reqkit_async.get(server())) for _ in range(12)]
    assert server.requests == []
    assert pool.join()
    assert [handle.get().status_code for handle in handles] == [200] * 12
    assert server.peak == 3


def test_join_waits_for_growth(scripted: Start) -> None:
    """A crawler: each page has two links, four deep."""
    server = scripted(paths)
    pages: list[str] = []

    with reqkit_async.Pool(4) as pool:

        def crawl(response: Any) -> None:
            path = response.text
            pages.append(path)
            if len(path) < 5:
                for letter in "ab":
                    pool.spawn(reqkit_async.get(server(path + letter), callback=crawl))

        pool.spawn(reqkit_async.get(server("/"), callback=crawl))
    assert len(pages) == len(set(pages)) == 31
    assert repr(pool) == "<Pool size=4 active=0 waiting=0 done=31 failed=0>"


def test_join_has_a_limit(scripted: Start) -> None:
    def silent(connection: Connection) -> None:
        connection.recv_request()
        connection.wait_closed()

    pool = reqkit_async.Pool(1)
    pool.spawn(reqkit_async.get(scripted(silent)()))
    assert pool.join(timeout=0.05) is False
    pool.kill()
    assert pool.join() is True


def test_joining_from_ones_own_hook_is_an_error(scripted: Start) -> None:
    server = scripted(paths)
    pool = reqkit_async.Pool(2)
    with pytest.warns(HookWarning, match=r"RuntimeError: join\(\)"):
        pool.map([reqkit_async.get(server(), callback=lambda response: pool.join())])


def test_two_may_join(scripted: Start) -> None:
    server = scripted(paths)
    pool = reqkit_async.Pool(2)
    for _ in range(5):
        pool.spawn(reqkit_async.get(server()))
    joined = [gevent.spawn(pool.join) for _ in range(2)]
    gevent.joinall(joined, timeout=10)
    assert [greenlet.value for greenlet in joined] == [True, True]


def test_raise_errors_comes_out_of_join(scripted: Start) -> None:
    server = scripted(paths)
    with pytest.raises(MissingSchema), reqkit_async.Pool(1, raise_errors=True) as pool:
        pool.spawn(reqkit_async.get(server()))
        pool.spawn(reqkit_async.get("nowhere"))
        pool.spawn(reqkit_async.get(server()))
    assert len(server.requests) <= 2
    assert pool.join()


def test_only_requests_are_spawned() -> None:
    with pytest.raises(TypeError, match="5 is no request"):
        reqkit_async.Pool().spawn(5)


def test_spawn_may_be_lazy(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, b"x" * 300_000))

    pool = reqkit_async.Pool(1)
    lazy = pool.spawn(reqkit_async.get(scripted(handler)()), prefetch=False).get()
    assert lazy.timings["receive"] is None
    assert len(lazy.content) == 300_000


@pytest.mark.parametrize("name", ["map", "imap", "imap_unordered", "imap_enumerated"])
def test_the_functions_and_the_methods_take_the_same(name: str, scripted: Start) -> None:
    server = scripted(paths)
    calls: list[Any] = []
    settings: dict[str, Any] = {
        "prefetch": True,
        "exception_handler": lambda request, error: None,
        "timeout": 10,
        "raise_errors": False,
        "progress": lambda done, total: calls.append((done, total)),
    }
    of_pools: dict[str, Any] = {"per_host": 2, "rate": 1000, "delay": 0.001, "retries": 1}
    requests = [reqkit_async.get(server()), reqkit_async.get("nowhere")]
    got = [
        getattr(reqkit_async, name)(requests, size=2, **settings, **of_pools),
        getattr(reqkit_async.Pool(2, **settings, **of_pools), name)(requests),
        getattr(reqkit_async.Pool(2, **of_pools), name)(requests, **settings),
    ]
    for found in map(list, got):
        assert len(found) == 2
        assert any((entry[1] if name == "imap_enumerated" else entry) is None for entry in found)
    assert calls == [(1, 2), (2, 2)] * 3


# -- progress


class Bar:
    def __init__(self) -> None:
        self.calls: list[Any] = []

    def update(self, n: int) -> None:
        self.calls.append(n)

    def close(self) -> None:
        self.calls.append("closed")


def test_progress_is_told_of_each_entry(scripted: Start) -> None:
    server = scripted(paths)
    calls: list[Any] = []
    requests = [reqkit_async.get(server()) for _ in range(3)] + [reqkit_async.get("nowhere")]

    def progress(done: int, total: int | None) -> None:
        calls.append((done, total))

    reqkit_async.map(requests, progress=progress)
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    calls.clear()
    list(reqkit_async.imap(iter(requests), progress=progress))
    assert calls == [(1, None), (2, None), (3, None), (4, None)]
    calls.clear()
    with reqkit_async.Pool(2, progress=progress) as pool:
        for request in requests:
            pool.spawn(request)
    assert calls == [(1, None), (2, None), (3, None), (4, None)]
    bar = Bar()
    reqkit_async.map(requests, progress=bar)
    assert bar.calls == [1, 1, 1, 1, "closed"]


def test_progress_that_raises_is_harmless(scripted: Start) -> None:
    server = scripted(paths)

    def broken(done: int, total: int | None) -> None:
        raise ZeroDivisionError("oops")

    with pytest.warns(RuntimeWarning, match=r"progress .*broken raised"):
        found = reqkit_async.map([reqkit_async.get(server())], progress=broken)
    assert found[0].ok


def test_progress_of_a_stopped_batch_is_whole() -> None:
    calls: list[int] = []
    requests = [reqkit_async.get("http://127.0.0.1:1/") for _ in range(5)]
    reqkit_async.map(
        requests, size=1, rate=1, timeout=0.1, progress=lambda done, total: calls.append(done)
    )
    assert calls == [1, 2, 3, 4, 5]


# -- figures


def test_stats_are_live(counting_server: Count) -> None:
    server = counting_server(2, rounds=True)
    pool = reqkit_async.Pool(2)
    seen: list[int] = []
    requests = [
        reqkit_async.get(server(), callback=lambda response: seen.append(pool.stats.requests))
        for _ in range(4)
    ]
    requests.append(reqkit_async.get("nowhere"))
    with reqkit.Session() as session:
        pool.session = session
        found = pool.map(requests)
    assert seen in ([0, 1, 2, 3], [0, 1, 2, 4], [0, 1, 3, 4])  # the fifth fails at some moment
    stats = pool.stats
    assert (stats.requests, stats.statuses, stats.errors) == (5, {200: 4}, {"MissingSchema": 1})
    assert (stats.bytes, stats.connections, len(stats.latency)) == (8, 2, 4)
    assert 0 < stats.latency.p50 <= stats.latency.max <= stats.seconds
    assert stats.rate == pytest.approx(5 / stats.seconds)
    assert repr(pool) == "<Pool size=2 active=0 waiting=0 done=5 failed=1>"
    summary = reqkit_async.summarise(found)
    assert (summary.requests, summary.statuses, summary.errors) == (
        5,
        {200: 4},
        {"MissingSchema": 1},
    )
    assert (summary.bytes, summary.connections) == (8, 2)
    assert 0 < summary.seconds <= stats.seconds
    assert "200: 4" in str(stats)


def test_stats_count_answers_whatever_hooks_make_of_them(scripted: Start) -> None:
    server = scripted(paths)
    pool = reqkit_async.Pool(2)
    found = pool.map(
        reqkit_async.get(server(f"/{n}"), callback=lambda response: {"parsed": response.text})
        for n in range(3)
    )
    assert found == [{"parsed": "/0"}, {"parsed": "/1"}, {"parsed": "/2"}]
    assert (pool.stats.statuses, pool.stats.errors) == ({200: 3}, {})


def test_seconds_run_while_something_does(scripted: Start) -> None:
    server = scripted(paths)
    pool = reqkit_async.Pool(2)
    pool.spawn(reqkit_async.get(server())).get()
    until(lambda: not pool._workers.batches)
    seconds = pool.stats.seconds
    gevent.event.Event().wait(0.01)  # as it does for nobody
    assert pool.stats.seconds == seconds


def test_repr_tells_the_state(counting_server: Count) -> None:
    server = counting_server(4)
    pool = reqkit_async.Pool(3)
    caller = gevent.spawn(pool.map, [reqkit_async.get(server()) for _ in range(10)])
    until(lambda: len(server.requests) == 3)
    assert repr(pool) == "<Pool size=3 active=3 waiting=7 done=0 failed=0>"
    reqkit.get(server())  # the fourth
    caller.join()
    assert repr(pool) == "<Pool size=3 active=0 waiting=0 done=10 failed=0>"
    assert repr(reqkit_async.Pool()) == "<Pool size=None active=0 waiting=0 done=0 failed=0>"


# -- connections


def test_connections_are_reused_across_hosts_and_calls(scripted: Start) -> None:
    servers = [scripted(paths) for _ in range(5)]
    with reqkit.Session(config={"pool_connections": 1, "pool_maxsize": 1}) as session:
        pool = reqkit_async.Pool(5, session=session)
        for _ in range(4):
            pool.map([reqkit_async.get(server()) for server in servers for _ in range(4)])
        assert [server.connections_opened <= 5 for server in servers] == [True] * 5
        before = [server.connections_opened for server in servers]
        for server in servers:
            pool.map([reqkit_async.get(server()) for _ in range(3)])
        # Three at a time need three, where the four before came one after the other.
        for server, count in zip(servers, before, strict=True):
            assert server.connections_opened <= max(count, 3)


def test_a_hundred_or_size_are_kept_idle(counting_server: Count) -> None:
    for size, kept in ((90, 90), (130, 130)):
        server = counting_server(size)
        with reqkit.Session() as session:
            reqkit_async.map([reqkit_async.get(server(), session=session) for _ in range(size)],
                             size=size)  # fmt: skip
            assert server.connections_open == kept


def test_idle_connections_are_closed_after_a_while(
    scripted: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = scripted(paths)
    now = time.monotonic()
    monkeypatch.setattr(pools, "clock", lambda: now)
    hubs.current_hub()._stop_tending()  # which tests before may have begun, by the usual pause
    monkeypatch.setattr(hubs, "_TENDING", 0.01)
    looked: list[int] = []

    def sweep(pool: Any, at: float | None = None) -> int:
        left = swept(pool, at)
        looked.append(left)
        return left

    swept = pools.ConnectionPool.sweep
    monkeypatch.setattr(pools.ConnectionPool, "sweep", sweep)
    with reqkit.Session() as session:
        reqkit_async.map([reqkit_async.get(server(), session=session)])
        until(lambda: 1 in looked)
        now += 59
        looked.clear()
        until(lambda: 1 in looked)
        assert server.connections_open == 1
        now += 2
        until(lambda: not server.connections_open)


def test_a_connection_that_the_server_has_closed_is_replaced_unseen(scripted: Start) -> None:
    def one_each(connection: Connection) -> None:
        if connection.recv_request() is not None:
            connection.send(answer(200, b"once"))
            connection.close()

    server = scripted(one_each)
    with reqkit.Session() as session:
        for _ in range(5):
            found = reqkit_async.map([reqkit_async.get(server(), session=session)] * 3, size=3)
            assert [response.text for response in found] == ["once"] * 3
    assert len(server.requests) == 15


def test_nothing_is_sent_twice_unless_it_may_be(scripted: Start) -> None:
    """The server closes a kept connection only when the next request has come."""

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200))
        connection.recv_request()

    server = scripted(handler)
    with reqkit.Session() as session:
        get, post = reqkit_async.get, reqkit_async.post
        for request in (get(server("/1")), get(server("/2"))):
            assert reqkit_async.map([request], session=session)[0].ok
        assert [request.target for request in server.requests] == ["/1", "/2", "/2"]
        (found,) = reqkit_async.map([post(server("/3"), data=b"x")], session=session)
        assert [request.target for request in server.requests].count("/3") == 1
        assert found is not None
