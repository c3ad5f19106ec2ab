"""Stopping: within half a second, at any moment; nothing half-read is used, no place is lost."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import gevent
import gevent.event
import pytest

import reqkit
import reqkit_async
from reqkit.exceptions import RequestCancelled, TotalTimeout
from reqkit.timeouts import clock
from reqkit_async.pool import stopping
from reqkit_async.pool.stop_reasons import TimeLimit
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.waiting import SOON, until

Start = Callable[..., ScriptedServer]


def stuck(connection: Connection) -> None:
    """Get stuck at the moment that the path names."""
    while (request := connection.recv_request()) is not None:
        kind = request.target.rpartition("/")[2]
        if kind == "head":
            connection.send(b"HTTP/1.1 200 O")
        elif kind == "body":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        elif kind == "chunk":
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
        elif kind != "wait":
            connection.send(answer(200, request.target.encode()))
            continue
        connection.wait_closed()
        return


def settled(pool: reqkit_async.Pool) -> bool:
    workers = pool._workers
    hosts = workers.limits._hosts.values()
    return (
        not workers._greenlets
        and not workers.active
        and not workers.batches
        and workers._timer is None
        and not workers._later
        and all(not host.active for host in hosts)
    )


MOMENTS = ["wait", "head", "body", "chunk"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_gevent_timeout_in_the_caller(moment: str, scripted: Start) -> None:
    server = scripted(stuck)
    hooks: list[Any] = []
    pool = reqkit_async.Pool(4)
    requests = [reqkit_async.get(server(f"/{moment}"), callback=hooks.append) for _ in range(9)]
    began = time.monotonic()
    with pytest.raises(gevent.Timeout), gevent.Timeout(0.2):
        pool.map(requests)
    assert time.monotonic() - began < 0.2 + SOON
    assert [type(response.error) for response in hooks] == [RequestCancelled] * 4
    server.wait_for_no_connections()
    until(lambda: settled(pool))


@pytest.mark.parametrize("moment", MOMENTS)
def test_killing_the_greenlet_that_maps(moment: str, scripted: Start) -> None:
    server = scripted(stuck)
    hooks: list[Any] = []
    requests = [reqkit_async.get(server(f"/{moment}"), callback=hooks.append) for _ in range(4)]
    caller = gevent.spawn(reqkit_async.map, requests)
    until(lambda: len(server.requests) == 4)
    began = time.monotonic()
    caller.kill()
    assert time.monotonic() - began < SOON
    assert [type(response.error) for response in hooks] == [RequestCancelled] * 4
    server.wait_for_no_connections()


@pytest.mark.parametrize("moment", MOMENTS)
def test_kill_closes_what_is_in_flight(moment: str, scripted: Start) -> None:
    server = scripted(stuck)
    pool = reqkit_async.Pool(3, per_host=3)
    handles = [pool.spawn(reqkit_async.get(server(f"/{moment}"))) for _ in range(10)]
    until(lambda: len(server.requests) == 3)
    assert repr(pool) == "<Pool size=3 active=3 waiting=7 done=0 failed=0>"
    began = time.monotonic()
    pool.kill()
    assert time.monotonic() - began < SOON
    assert [type(handle.get().error) for handle in handles] == [RequestCancelled] * 10
    server.wait_for_no_connections()
    assert len(server.requests) == 3
    until(lambda: settled(pool))
    # It can be used again.
    assert pool.map([reqkit_async.get(server("/fine"))])[0].text == "/fine"


def test_leaving_a_pool_by_an_exception_kills(scripted: Start) -> None:
    server = scripted(stuck)
    with pytest.raises(KeyError), reqkit_async.Pool(2) as pool:
        handle = pool.spawn(reqkit_async.get(server("/wait")))
        until(lambda: server.requests)
        raise KeyError("mine")
    assert isinstance(handle.get().error, RequestCancelled)


def test_kill_from_a_hook(scripted: Start) -> None:
    server = scripted(stuck)
    pool = reqkit_async.Pool(3)

    def hook(response: Any) -> None:
        until(lambda: len(server.requests) == 3)
        pool.kill()

    handles = [pool.spawn(reqkit_async.get(server("/wait"))) for _ in range(2)]
    last = pool.spawn(reqkit_async.get(server("/fine"), callback=hook))
    with gevent.Timeout(10):
        assert last.get().ok
        assert [type(handle.get().error) for handle in handles] == [RequestCancelled] * 2
    until(lambda: settled(pool))


def test_a_spawned_request_is_stopped_by_its_handle(scripted: Start) -> None:
    server = scripted(stuck)
    pool = reqkit_async.Pool(1)
    first, second = (pool.spawn(reqkit_async.get(server("/wait"))) for _ in range(2))
    third = reqkit_async.send(reqkit_async.get(server("/wait")), pool)
    until(lambda: server.requests)
    pool.stop(second)
    assert isinstance(second.get().error, RequestCancelled)
    third.kill()
    assert not first.ready()
    pool.stop(first)
    assert isinstance(first.get().error, RequestCancelled)
    with gevent.Timeout(10):
        assert pool.join()
    assert len(server.requests) == 1


def test_what_is_spawned_keeps_to_the_pools_timeout(scripted: Start) -> None:
    server = scripted(stuck)
    hooks: Counter[Any] = Counter()
    pool = reqkit_async.Pool(2, timeout=0.2)
    began = time.monotonic()
    handles = [
        pool.spawn(reqkit_async.get(server("/wait"), callback=lambda r: hooks.update([r.url])))
        for _ in range(5)
    ]
    assert pool.join()
    assert 0.2 <= time.monotonic() - began < 0.2 + SOON
    assert [type(handle.get().error) for handle in handles] == [TotalTimeout] * 5
    assert hooks == {server("/wait"): 5}
    assert pool.spawn(reqkit_async.get(server("/fine"))).get(timeout=10).ok


def test_nothing_is_left_over(scripted: Start) -> None:
    """Neither timers nor greenlets: the hub has nothing more to do."""
    server = scripted(stuck)
    with reqkit.Session() as session:
        pool = reqkit_async.Pool(2, session=session, rate=5, retries=2)
        requests = [reqkit_async.get(server("/wait")) for _ in range(5)]
        requests += [reqkit_async.get("http://127.0.0.1:1/") for _ in range(5)]
        pool.map(requests, timeout=0.3)
        for _ in pool.imap_unordered([reqkit_async.get(server("/fine"))] * 5):
            break
        pool.map([reqkit_async.get("http://127.0.0.1:1/")], timeout=0.1)
    until(lambda: settled(pool))
    server.wait_for_no_connections()
    assert gevent.wait(timeout=5)


@pytest.mark.parametrize("limits", [{}, {"per_host": 4}])
def test_five_hundred_kills_at_random_moments(limits: Any, scripted: Start) -> None:
    """After each of them the connections, the places and the hooks are all in order."""

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            body = request.target.encode() * 50
            whole = answer(200, body)
            cut = len(request.target) * 37 % len(whole)
            connection.send(whole[:cut])
            connection.pause(0.0005)
            connection.send(whole[cut:])

    server = scripted(handler)
    chance = random.Random(20260)
    pool = reqkit_async.Pool(6, **limits)
    hooks: Counter[int] = Counter()
    entries: Counter[int] = Counter()

    def counted(number: int) -> Callable[[Any], None]:
        def hook(response: Any) -> None:
            hooks[number] += 1
            if response.error is None:
                assert response.content == response.request.path_url.encode() * 50

        return hook

    with reqkit.Session() as session:
        number = 0
        for _ in range(250):
            requests = []
            for _ in range(8):
                path = "/" + "x" * chance.randrange(1, 40) + str(number)
                requests.append(
                    reqkit_async.get(server(path), callback=counted(number), session=session)
                )
                number += 1
            way = chance.randrange(4)
            moment = chance.random() * 0.006
            if way == 0:
                caller = gevent.spawn(pool.map, requests)
                gevent.sleep(moment)
                caller.kill()
            elif way == 1:
                handles = [pool.spawn(request) for request in requests]
                gevent.sleep(moment)
                pool.kill()
                assert all(handle.ready() for handle in handles)
            elif way == 2:
                found = pool.map(requests, timeout=max(moment, 0.0001))
                entries.update(range(number - 8, number))
                assert len(found) == 8
            else:
                taken = chance.randrange(1, 8)
                for index, _ in pool.imap_enumerated(iter(requests)):
                    entries[number - 8 + index] += 1
                    taken -= 1
                    if not taken:
                        break
            if way % 2:
                # No half-read connection, no lost place.
                plain = pool.map(
                    [reqkit_async.get(server(f"/plain{n}"), session=session) for n in range(7)]
                )
                assert [response.text for response in plain] == [
                    f"/plain{n}" * 50 for n in range(7)
                ]
        assert set(hooks.values()) == {1}
        assert set(entries) <= set(hooks)
        until(lambda: settled(pool))
    server.wait_for_no_connections()


# -- the deadline, where very many never started


@pytest.mark.parametrize("limits", [{}, {"per_host": 1}])
def test_each_that_never_started_has_an_entry_of_its_own(limits: Any, scripted: Start) -> None:
    url = scripted(stuck)("/").replace("://", "://me:secret@")
    requests = [reqkit_async.get(f"{url}{number}/wait") for number in range(3000)]
    pool = reqkit_async.Pool(2, timeout=0.2, **limits)
    found = pool.map(requests)
    errors = [response.error for response in found]
    assert {type(error) for error in errors} == {TotalTimeout}
    assert len(set(map(id, errors))) == len(set(map(id, found))) == 3000
    assert [request.response for request in requests] == found
    never = list(zip(requests, found, errors, strict=True))[2:]
    assert all(error.request is request for request, _, error in never)
    assert all(response.request is request for request, response, _ in never)
    assert {error.phase for _, _, error in never} == {"wait"}
    shown = url.replace("secret", "***")
    assert [str(error) for _, _, error in never] == [
        f"GET {shown}{number}/wait: the batch's timeout ran out before its turn came"
        for number in range(2, 3000)
    ]
    again = pickle.loads(pickle.dumps(errors[-1]))
    assert (type(again), str(again), again.args) == (TotalTimeout, str(errors[-1]), (str(again),))
    assert again.phase == "wait"
    assert pool.stats.requests == 3000
    assert pool.stats.errors == {"TotalTimeout": 3000}


def test_the_hooks_of_what_never_started_run_once_whatever_they_do(scripted: Start) -> None:
    url = scripted(stuck)("/wait")
    calls: Counter[int] = Counter()

    def hook(number: int, behave: Callable[[], Any]) -> Callable[[Any], Any]:
        def called(response: Any) -> Any:
            assert isinstance(response.error, TotalTimeout)
            calls[number] += 1
            return behave()

        return called

    kinds: list[Callable[[], Any]] = [
        lambda: None,
        lambda: "mine",
        lambda: [][0],
        lambda: gevent.sleep(0),
        lambda: gevent.event.Event().wait(),
    ]
    requests: list[Any] = []
    for number in range(600):
        behave = kinds[4] if number % 60 == 0 else kinds[number % 4]
        requests += [
            reqkit_async.get(url, callback=hook(number, behave)),
            reqkit_async.get(url),
        ]
    requests += ["no request"] * 2
    handled: list[Any] = []

    def handler(request: Any, error: Any) -> None:
        handled.append(request)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = reqkit_async.map(requests, size=3, timeout=0.2)
        assert calls == Counter(range(600))
        for number, entry in enumerate(found[:1200:2]):
            if number % 4 == 1:
                assert entry == "mine"
            else:
                assert isinstance(entry.error, TotalTimeout)
                assert len(entry.hook_errors) == (number % 4 == 2)
        assert {type(entry.error) for entry in found[1:1200:2]} == {TotalTimeout}
        assert "timeout ran out" in str(found[-1].error)
        # And what the exception handler makes of them is the entry, None too.
        calls.clear()
        found = reqkit_async.map(requests, size=3, timeout=0.2, exception_handler=handler)
    assert calls == Counter(range(600))
    assert Counter(map(repr, found)) == {"None": 1052, "'mine'": 150}
    assert len(handled) == 1052


@pytest.mark.parametrize("size", [1, 2])
def test_the_handler_is_asked_once_where_a_hook_outlasts_the_stop(
    size: int, scripted: Start
) -> None:
    """A hook that cannot be stopped keeps nobody: its entry is made without it, and only once."""
    url = scripted(stuck)("/wait")
    release, left = gevent.event.Event(), gevent.event.Event()

    def hook(response: Any) -> None:
        try:
            release.wait()
        except BaseException:
            release.wait()
        gevent.spawn(left.set)  # when the rest of the greenlet that is here has run

    handled: list[Any] = []

    def handler(request: Any, error: Any) -> str:
        handled.append(request)
        return "handled"

    # With one place, the second one never starts.
    requests = [reqkit_async.get(url), reqkit_async.get(url, callback=hook)]
    found = reqkit_async.map(requests, size=size, timeout=0.1, exception_handler=handler)
    assert found == ["handled"] * 2
    assert Counter(map(id, handled)) == Counter(map(id, requests))
    release.set()
    assert left.wait(20)
    assert Counter(map(id, handled)) == Counter(map(id, requests))


def test_the_handler_sees_the_deadline_where_a_hook_has_swallowed_it(scripted: Start) -> None:
    """And what it returns is the entry, of a request that had failed already, too."""

    def leave(connection: Connection) -> None:
        connection.recv_request()

    def swallow(response: Any) -> None:
        with contextlib.suppress(BaseException):
            gevent.event.Event().wait()

    handled: list[type] = []

    def handler(request: Any, error: Any) -> str:
        handled.append(type(error))
        return "handled"

    url = scripted(leave)()
    requests = [reqkit_async.get(url, callback=swallow) for _ in range(4)]
    found = reqkit_async.map(requests, timeout=0.2, exception_handler=handler)
    assert found == ["handled"] * 4
    assert handled == [TotalTimeout] * 4


def test_others_get_their_turn_while_very_many_entries_are_made(
    scripted: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However slow the machine: once that is over, what is left is made at once.
    monkeypatch.setattr(stopping, "GRACE", 60.0)
    pool = reqkit_async.Pool(2, timeout=0.2)
    requests = [reqkit_async.get(scripted(stuck)("/wait"))] * 5000
    seen: set[int] = set()

    def look() -> None:
        while pool.stats.requests < 5000:
            seen.add(pool.stats.requests)
            gevent.sleep(0)

    looking = gevent.spawn(look)
    assert len(pool.map(requests)) == 5000
    looking.join()
    assert any(2 < count < 5000 for count in seen)


def test_raise_errors_at_the_deadline(scripted: Start) -> None:
    server = scripted(stuck)
    requests = [reqkit_async.get(server("/wait")) for _ in range(2000)]
    with pytest.raises(TotalTimeout):
        reqkit_async.map(requests, size=2, timeout=0.2, raise_errors=True)


def test_progress_counts_what_never_started(scripted: Start) -> None:
    server = scripted(stuck)
    requests = [reqkit_async.get(server("/wait")) for _ in range(50)]
    received: list[Any] = []
    reqkit_async.map(
        requests, size=2, timeout=0.2, progress=lambda done, total: received.append((done, total))
    )
    assert received == [(number, 50) for number in range(1, 51)]


def test_one_timer_serves_many_functions_until_it_has_rung(monkeypatch: Any) -> None:
    made: list[Any] = []

    class Counted(gevent.Timeout):
        def start(self) -> None:
            made.append(self)
            super().start()

    monkeypatch.setattr(gevent, "Timeout", Counted)
    ran: list[int] = []
    never = gevent.event.Event()
    with TimeLimit(clock() + 0.05) as time_limit:
        for number in range(100):
            assert time_limit.run(None, ran.append, number) is None
        assert len(made) == 1
        assert time_limit.run("stopped", never.wait) == "stopped"
        assert time_limit.run("raised", ran.pop, "no index") == "raised"
        assert time_limit.run("stopped", never.wait) == "stopped"
        assert len(made) == 2
        assert time_limit.run("stopped", lambda: "result") == "result"
        assert len(made) == 3
    assert ran == list(range(100))
    assert not any(timer.pending for timer in made)


def test_an_interrupt_while_hooks_of_the_unsent_run(scripted: Start) -> None:
    server = scripted(stuck)
    calls: Counter[int] = Counter()

    def hook(number: int) -> Callable[[Any], None]:
        def called(response: Any) -> None:
            calls[number] += 1
            if number == 50:
                os.kill(os.getpid(), signal.SIGINT)
                for _ in range(1000):
                    pass  # here, between two of these

        return called

    pool = reqkit_async.Pool(3, timeout=0.2)
    requests = [reqkit_async.get(server("/wait"), callback=hook(n)) for n in range(100)]
    with pytest.raises(KeyboardInterrupt):
        pool.map(requests)
    assert calls == Counter(range(100))
    until(lambda: settled(pool))
    assert pool.map([reqkit_async.get(server("/fine"))])[0].ok


PROGRAM = """
    import sys, time
    import gevent
    import reqkit_async

    url = sys.argv[1]
    hooks = []
    def callback(response):
        hooks.append(type(response.error).__name__)

    requests = [reqkit_async.get(url, callback=callback) for _ in range(20)]
    try:
        if sys.argv[2] == "map":
            reqkit_async.map(requests, size=5)
        else:
            list(reqkit_async.imap(requests, size=5))
    except KeyboardInterrupt:
        print(hooks)
"""


@pytest.mark.parametrize("function", ["map", "imap"])
def test_an_interrupt_stops_all(function: str, scripted: Start) -> None:
    server = scripted(stuck)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), server("/body"), function],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            server.wait_for_requests(5)
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0, errors
    assert output.strip() == str(["RequestCancelled"] * 5), errors
    server.wait_for_no_connections()
    assert len(server.requests) == 5


def test_an_interrupt_in_a_hook_reaches_the_main_greenlet(scripted: Start) -> None:
    server = scripted(stuck)

    def interrupting(response: Any) -> None:
        if response.error is None:
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass  # here, between two of these

    hooks: list[Any] = []
    pool = reqkit_async.Pool(3)
    requests = [reqkit_async.get(server("/wait"), callback=hooks.append) for _ in range(2)]
    requests.append(reqkit_async.get(server("/fine"), callback=interrupting))
    with pytest.raises(KeyboardInterrupt):
        pool.map(requests)
    assert [type(response.error) for response in hooks] == [RequestCancelled] * 2
    until(lambda: settled(pool))
    assert pool.map([reqkit_async.get(server("/fine"))])[0].ok
