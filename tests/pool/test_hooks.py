"""The hook guarantee: once for each request, in the greenlet that sent it, before its entry."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import gevent
import gevent.event
import pytest
from urllib3.util import Retry

import reqkit
import reqkit_async
from reqkit.exceptions import HookWarning, HTTPError, RequestCancelled, TotalTimeout
from servers.messages import answer
from servers.scripted import PATIENCE, Connection, ScriptedServer
from servers.waiting import SOON, until

Start = Callable[..., ScriptedServer]


class Seen:
    """A hook that counts, and knows in which greenlet it ran."""

    def __init__(self) -> None:
        self.calls: Counter[Any] = Counter()
        self.errors: dict[Any, Any] = {}
        self.greenlets: set[Any] = set()

    def of(self, key: Any) -> Callable[[Any], None]:
        def hook(response: Any) -> None:
            self.calls[key] += 1
            self.errors[key] = response.error
            self.greenlets.add(gevent.getcurrent())

        return hook


def mixed(connection: Connection) -> None:
    """``/ok`` and ``/404`` are answered, ``/reset`` is reset, ``/slow`` never ends."""
    while (request := connection.recv_request()) is not None:
        if request.target == "/reset":
            connection.reset()
            return
        if request.target == "/first":
            connection.server.wait_for_requests(4)
        if request.target == "/slow":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
            connection.wait_closed()
            return
        connection.send(answer(404 if request.target == "/404" else 200, b"abcde"))


def all_kinds(server: ScriptedServer, seen: Seen) -> list[Any]:
    get = reqkit_async.get
    danger, safe = {"danger_mode": True}, {"safe_mode": True}
    kinds: list[tuple[str, Any]] = [
        (server("/ok"), {}),
        (server("/404"), {}),
        (server("/404"), {"config": danger}),
        (server("/reset"), {}),
        (server("/reset"), {"config": safe}),
        (server("/ok"), {"config": {"max_content_size": 3}}),
        ("nowhere", {}),
        ("http://127.0.0.1:1/", {}),
        (server("/ok"), {"timeout": "soon"}),
        (server("/ok"), {"headers": {"A": "b\r\nc"}}),
        (server("/ok"), {"stream": True}),
        (server("/slow"), {"timeout": reqkit.Timeouts(total=0.1)}),
    ]
    return [
        get(url, callback=seen.of(number), **settings)
        for number, (url, settings) in enumerate(kinds)
    ]


def by_map(requests: list[Any]) -> list[Any]:
    return reqkit_async.map(requests, size=4)


def by_imap(requests: list[Any]) -> list[Any]:
    return list(reqkit_async.imap(requests, size=4))


def by_unordered(requests: list[Any]) -> list[Any]:
    found = dict(reqkit_async.imap_enumerated(requests, size=4))
    return [found[index] for index in range(len(requests))]


def by_send(requests: list[Any]) -> list[Any]:
    return [greenlet.get() for greenlet in [reqkit_async.send(request) for request in requests]]


def by_spawn(requests: list[Any]) -> list[Any]:
    with reqkit_async.Pool(4) as pool:
        handles = [pool.spawn(request) for request in requests]
    return [handle.get() for handle in handles]


@pytest.mark.parametrize("way", [by_map, by_imap, by_unordered, by_send, by_spawn])
def test_once_for_each_request_however_it_ends(way: Any, scripted: Start) -> None:
    server = scripted(mixed)
    seen = Seen()
    requests = all_kinds(server, seen)
    found = way(requests)
    assert seen.calls == Counter(range(len(requests)))
    assert seen.errors == {number: response.error for number, response in enumerate(found)}
    assert isinstance(found[2].error, HTTPError)
    assert gevent.getcurrent() not in seen.greenlets
    assert [request.response for request in requests] == found
    found[10].close()


def test_before_the_entry_is_handed_over(scripted: Start) -> None:
    server = scripted(mixed)
    done: set[str] = set()

    def hook(response: Any) -> None:
        gevent.idle()
        done.add(response.url)

    requests = [reqkit_async.get(server(f"/ok?{n}"), callback=hook) for n in range(20)]
    for response in reqkit_async.imap_unordered(requests, size=5):
        assert response.url in done


def test_the_order_of_hooks_and_what_they_return(scripted: Start) -> None:
    server = scripted(mixed)
    order: list[str] = []

    def named(name: str) -> Callable[[Any], Any]:
        def hook(given: Any) -> Any:
            order.append(name)
            return f"{given if isinstance(given, str) else ''}{name}"

        return hook

    with reqkit.Session(hooks={"response": named("session")}) as session:
        get = reqkit_async.get
        requests = [
            get(server("/ok"), session=session, callback=named("callback")),
            get(
                server("/ok"),
                session=session,
                hooks={"response": [named("one"), named("two")]},
                callback=named("callback"),
            ),
        ]
        found = reqkit_async.map(requests, size=1)
    assert found == ["sessioncallback", "onetwocallback"]
    assert order == ["session", "callback", "one", "two", "callback"]
    assert [request.response for request in requests] == found


def test_what_a_hook_returns_may_be_a_response_for_a_failure(scripted: Start) -> None:
    server = scripted(mixed)
    asked: list[Any] = []

    def instead(response: Any) -> Any:
        return reqkit.get(server("/ok")) if response.error is not None else None

    (found,) = reqkit_async.map(
        [reqkit_async.get(server("/reset"), callback=instead)],
        exception_handler=lambda request, error: asked.append(error),
    )
    assert (found.text, asked) == ("abcde", [])


def test_a_hook_that_raises_warns_and_harms_nothing(scripted: Start) -> None:
    server = scripted(mixed)

    def broken(response: Any) -> None:
        raise ZeroDivisionError("oops")

    pool = reqkit_async.Pool(3)
    after: list[Any] = []
    with pytest.warns(HookWarning, match=r"broken[\s\S]*ZeroDivisionError: oops") as caught:
        found = pool.map(
            reqkit_async.get(server("/ok"), hooks={"response": [broken, after.append]})
            for _ in range(6)
        )
    assert len(caught) == 6
    assert all(found)
    assert after == found or len(after) == 6
    assert [len(response.hook_errors) for response in found] == [1] * 6
    assert pool.stats.hook_errors == 6
    assert reqkit_async.summarise(found).hook_errors == 6


@pytest.mark.parametrize("kind", [gevent.Timeout, gevent.GreenletExit, SystemError])
def test_no_place_is_lost_to_what_a_hook_raises(kind: Any, scripted: Start) -> None:
    server = scripted(mixed)

    def rude(response: Any) -> None:
        raise kind

    pool = reqkit_async.Pool(2)
    with warnings.catch_warnings(), gevent.Timeout(20):
        warnings.simplefilter("ignore")
        found = pool.map(reqkit_async.get(server("/ok"), callback=rude) for _ in range(6))
        assert len(found) == 6
        assert all(pool.map(reqkit_async.get(server("/ok")) for _ in range(6)))


def test_a_timer_of_a_hooks_own_is_an_error_in_that_hook(scripted: Start) -> None:
    server = scripted(mixed)

    def slow(response: Any) -> None:
        with gevent.Timeout(0.01):
            gevent.event.Event().wait()

    with pytest.warns(HookWarning, match="Timeout"):
        (found,) = reqkit_async.map([reqkit_async.get(server("/ok"), callback=slow)])
    assert found.ok
    assert len(found.hook_errors) == 1


# -- the deadline


@pytest.mark.parametrize("size", [2, 20])
def test_the_deadline_catches_requests_everywhere(size: int, scripted: Start) -> None:
    server = scripted(mixed)
    seen = Seen()
    urls = ["/slow", "/ok", "/slow", "/404", *["/slow"] * 8]
    requests = [
        reqkit_async.get(server(url), callback=seen.of(number)) for number, url in enumerate(urls)
    ]
    began = time.monotonic()
    found = reqkit_async.map(requests, size=size, timeout=0.3)
    assert time.monotonic() - began < SOON
    assert seen.calls == Counter(range(len(urls)))
    assert [seen.errors[number] for number in range(len(urls))] == [one.error for one in found]
    assert {type(one.error) for one in found} <= {TotalTimeout, type(None)}


def test_a_hook_that_still_runs_at_the_deadline_is_stopped(scripted: Start) -> None:
    server = scripted(mixed)
    calls: list[Any] = []
    rest: list[Any] = []
    ended: list[Any] = []

    def slow(response: Any) -> Any:
        calls.append(response)
        try:
            gevent.event.Event().wait()
        finally:
            ended.append(sys.exc_info()[0])
        return "never"

    hooks = {"response": [slow, rest.append]}
    began = time.monotonic()
    found = reqkit_async.map(
        [reqkit_async.get(server("/ok"), hooks=hooks) for _ in range(3)], timeout=0.2
    )
    assert time.monotonic() - began < SOON
    assert [type(one.error) for one in found] == [TotalTimeout] * 3
    assert len(calls) == len(ended) == 3
    # The hooks after it are no less guaranteed.
    assert [type(one.error) for one in rest] == [TotalTimeout] * 3


def test_a_hook_that_will_not_be_stopped(scripted: Start) -> None:
    server = scripted(mixed)
    calls: list[Any] = []
    let_go = gevent.event.Event()

    def stubborn(response: Any) -> Any:
        calls.append(response)
        while not let_go.is_set():
            with contextlib.suppress(BaseException):
                let_go.wait()
        return "late"

    pool = reqkit_async.Pool(2)
    began = time.monotonic()
    found = pool.map(
        [reqkit_async.get(server("/ok"), callback=stubborn) for _ in range(2)], timeout=0.2
    )
    assert time.monotonic() - began < SOON
    assert [type(one.error) for one in found] == [TotalTimeout] * 2
    let_go.set()
    assert all(pool.map([reqkit_async.get(server("/ok")) for _ in range(4)]))
    assert len(calls) == 2
    assert [type(one.error) for one in found] == [TotalTimeout] * 2
    assert pool.stats.requests == 6


def test_slow_hooks_of_requests_that_never_started(scripted: Start) -> None:
    server = scripted(mixed)
    calls: Counter[int] = Counter()

    def slow(number: int) -> Callable[[Any], None]:
        def hook(response: Any) -> None:
            calls[number] += 1
            gevent.event.Event().wait(1)  # five minutes, one after the other

        return hook

    requests = [reqkit_async.get(server("/slow"), callback=slow(n)) for n in range(300)]
    began = time.monotonic()
    found = reqkit_async.map(requests, size=5, timeout=0.2)
    assert time.monotonic() - began < SOON
    assert calls == Counter(range(300))
    assert {type(one.error) for one in found} == {TotalTimeout}


def test_in_back_off_at_the_deadline(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(503, b"", [("Retry-After", "0")]))

    server = scripted(handler)
    seen = Seen()
    policy = Retry(3, status_forcelist=[503], backoff_factor=0.2, backoff_max=0.25,
                   respect_retry_after_header=False)  # fmt: skip
    began = time.monotonic()
    found = reqkit_async.map(
        [reqkit_async.get(server(), callback=seen.of(n)) for n in range(3)],
        retries=policy,
        timeout=0.1,
    )
    assert time.monotonic() - began < SOON
    assert seen.calls == Counter(range(3))
    assert len(found) == 3


def test_an_exception_handler_that_will_not_end(scripted: Start) -> None:
    server = scripted(mixed)
    seen = Seen()
    asked: list[Any] = []

    def handler(request: Any, error: Any) -> Any:
        asked.append(error)
        gevent.event.Event().wait()

    began = time.monotonic()
    requests = [reqkit_async.get(server("/reset"), callback=seen.of(n)) for n in range(3)]
    found = reqkit_async.map(requests, timeout=0.2, exception_handler=handler)
    assert time.monotonic() - began < SOON
    assert seen.calls == Counter(range(3))
    assert [type(one.error) for one in found] == [TotalTimeout] * 3


# -- stopping


def test_an_early_exit_runs_the_hooks_of_what_was_started(scripted: Start) -> None:
    server = scripted(mixed)
    seen = Seen()
    urls = ["/first", *["/slow"] * 3, *["/ok"] * 20]
    requests = [
        reqkit_async.get(server(url), callback=seen.of(number)) for number, url in enumerate(urls)
    ]
    for _ in reqkit_async.imap(requests, size=4):
        break
    # The place of the first may have been given to the fifth.
    assert seen.calls in (Counter(range(4)), Counter(range(5)))
    assert {type(seen.errors[number]) for number in (1, 2, 3)} == {RequestCancelled}


@pytest.mark.parametrize("moment", ["wait", "receive", "hook"])
def test_a_killed_greenlet_of_send(moment: str, scripted: Start) -> None:
    calls: list[Any] = []
    inside = gevent.event.Event()

    def handler(connection: Connection) -> None:
        connection.recv_request()
        if moment == "receive":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        elif moment == "hook":
            connection.send(answer(200, b"abcde"))
        connection.wait_closed()

    def hook(response: Any) -> None:
        calls.append(response)
        if response.error is None:
            inside.set()
            gevent.event.Event().wait()

    server = scripted(handler)
    with reqkit.Session() as session:
        heads: list[Any] = []
        hooks = {"response": hook, "post_request": heads.append}
        request = reqkit_async.get(server(), hooks=hooks, session=session)
        greenlet = reqkit_async.send(request)
        if moment == "hook":
            inside.wait()
        else:
            until(lambda: heads if moment == "receive" else server.requests)
        began = time.monotonic()
        greenlet.kill()
        assert time.monotonic() - began < SOON
    assert len(calls) == 1
    assert request.response is not None
    assert isinstance(request.response.error, RequestCancelled)
    server.wait_for_no_connections()


def test_what_never_started_gets_no_hook(scripted: Start) -> None:
    server = scripted(mixed)
    seen = Seen()
    greenlet = reqkit_async.send(reqkit_async.get(server("/ok"), callback=seen.of(0)))
    greenlet.kill()
    pool = reqkit_async.Pool(1)
    handles = [
        pool.spawn(reqkit_async.get(server("/slow"), callback=seen.of(n))) for n in range(1, 4)
    ]
    until(lambda: server.requests)
    pool.kill()
    assert seen.calls == Counter([1])
    assert [type(handle.get().error) for handle in handles] == [RequestCancelled] * 3


def test_a_map_whose_pool_is_killed_elsewhere(scripted: Start) -> None:
    server = scripted(mixed)
    seen = Seen()
    pool = reqkit_async.Pool(2)
    requests = [reqkit_async.get(server("/slow"), callback=seen.of(n)) for n in range(5)]
    caller = gevent.spawn(pool.map, requests)
    until(lambda: len(server.requests) == 2)
    pool.kill()
    found = caller.get(timeout=PATIENCE)
    # Every entry that is handed over had its hooks.
    assert seen.calls == Counter(range(5))
    assert [type(one.error) for one in found] == [RequestCancelled] * 5
