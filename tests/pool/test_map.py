"""`reqkit_async.map` and the making of unsent requests."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import gevent.pool
import pytest

import reqkit
import reqkit_async
import reqkit_async as grequests
from reqkit.exceptions import (
    ConnectionError,
    HookWarning,
    HTTPError,
    InvalidHeader,
    MissingSchema,
    RequestException,
    TotalTimeout,
)
from servers.counting import CountingServer
from servers.handlers import silent
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.waiting import SOON

Start = Callable[..., ScriptedServer]
Count = Callable[..., CountingServer]


def paths(connection: Connection) -> None:
    """Answer each request with its path; ``/404`` with that status."""
    while (request := connection.recv_request()) is not None:
        status = int(request.target[1:]) if request.target in ("/404", "/503") else 200
        connection.send(answer(status, request.target.encode()))


# -- unsent requests


def test_an_unsent_request_is_light() -> None:
    url = "http://127.0.0.1/"
    times = []
    for _ in range(20):
        began = time.thread_time()
        made = [reqkit_async.get(url, params={"a": 1}, timeout=3) for _ in range(1000)]
        times.append(time.thread_time() - began)
    # Ten microseconds each on a machine that does nothing else; another's work may make a round
    # slow, but not all of them.
    assert min(times) < 1000 * 30e-6
    size = sum(sys.getsizeof(part) for part in (made[0], getattr(made[0], "__dict__", {})))
    assert size < 1000
    assert made[0].session is None


@pytest.mark.parametrize(
    ("function", "method"),
    [
        (getattr(reqkit_async, name), name.upper())
        for name in ("get", "options", "head", "post", "put", "patch", "delete")
    ],
)
def test_each_verb_makes_an_unsent_request(function: Any, method: str) -> None:
    request = function("http://127.0.0.1/", headers={"A": "b"}, timeout=3)
    assert isinstance(request, reqkit.Request)
    assert (request.method, request.headers, request.response) == (method, {"A": "b"}, None)


def test_an_unknown_keyword_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match=r"header.*headers"):
        reqkit_async.get("http://127.0.0.1/", header={})


# -- order and concurrency


def test_entries_are_in_the_order_of_the_requests(scripted: Start) -> None:
    first = threading.Event()

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.target == "/0":
                connection.wait(first)
            elif request.target == "/9":
                first.set()
            connection.send(answer(200, request.target.encode()))

    server = scripted(handler)
    found = reqkit_async.map([reqkit_async.get(server(f"/{n}")) for n in range(10)], size=3)
    assert [response.text for response in found] == [f"/{n}" for n in range(10)]


def test_size_is_reached_and_never_passed(counting_server: Count) -> None:
    server = counting_server(20, rounds=True)
    found = reqkit_async.map([reqkit_async.get(server()) for _ in range(100)], size=20)
    assert [response.status_code for response in found] == [200] * 100
    assert server.peak == 20
    assert server.connections_opened == 20


def test_without_a_size_a_hundred_go_at_once(counting_server: Count) -> None:
    server = counting_server(100)
    found = reqkit_async.map(reqkit_async.get(server()) for _ in range(100))
    assert all(found)
    assert server.peak == 100


def test_nothing_to_do() -> None:
    assert reqkit_async.map([]) == []
    assert reqkit_async.map(iter(()), timeout=1) == []


def test_connections_are_shared_between_calls_and_cookies_are_not(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, b"", [("Set-Cookie", "a=b")]))

    server = scripted(handler)
    for _ in range(3):
        reqkit_async.map([reqkit_async.get(server())])
    assert server.connections_opened == 1
    assert [request.get("Cookie") for request in server.requests] == [None] * 3


def test_a_session_counts(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, b"", [("Set-Cookie", "a=b")]))

    server = scripted(handler)
    with reqkit.Session(headers={"X-Mine": "1"}) as session:
        reqkit_async.map([reqkit_async.get(server(), session=session)])
        reqkit_async.map([reqkit_async.get(server(), headers={"X-Own": "2"})], session=session)
        assert session.cookies["a"] == "b"
    first, second = server.requests
    assert (first.get("X-Mine"), first.get("Cookie")) == ("1", None)
    assert (second.get("X-Mine"), second.get("X-Own"), second.get("Cookie")) == ("1", "2", "a=b")


def test_the_same_request_may_be_sent_again(scripted: Start) -> None:
    server = scripted(paths)
    request = reqkit_async.get(server("/x"))
    found = reqkit_async.map([request] * 5, size=2)
    found += reqkit_async.map([request])
    assert [response.text for response in found] == ["/x"] * 6
    assert len(set(map(id, found))) == 6
    assert request.response is found[-1]


def test_bodies_are_prefetched_unless_someone_says_otherwise(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, b"x" * 100_000))

    server = scripted(handler)

    def read(*requests: Any, **settings: Any) -> list[bool]:
        found = reqkit_async.map(requests, **settings)
        have = [response.timings["receive"] is not None for response in found]
        for response in found:
            response.close()
        return have

    url = server()
    get = reqkit_async.get
    assert read(get(url), get(url, stream=True), get(url, prefetch=False)) == [True, False, False]
    assert read(get(url), get(url, stream=False), prefetch=False) == [False, True]
    assert read(get(url), get(url, prefetch=True), stream=True) == [False, True]


def test_an_unread_lazy_response_holds_no_place(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, b"x" * 1_000_000))

    server = scripted(handler)
    requests = [reqkit_async.get(server()) for _ in range(8)]
    found = reqkit_async.map(requests, size=2, stream=True)
    assert [len(response.content) for response in found] == [1_000_000] * 8


# -- failures


def test_failures_are_entries(scripted: Start) -> None:
    server = scripted(paths)
    requests: list[Any] = [
        reqkit_async.get(server("/1")),
        reqkit_async.get("127.0.0.1/no-scheme"),
        reqkit_async.get("http://127.0.0.1:1/"),
        reqkit_async.get(server("/404")),
        reqkit_async.get(server("/404"), config={"danger_mode": True}),
        reqkit_async.get(server("/2"), timeout="soon"),
        reqkit_async.get(server("/2"), headers={"A": 5}),
        reqkit_async.get(server("/3")),
    ]
    found = reqkit_async.map(requests, size=3)
    assert [type(response.error) for response in found] == [
        type(None), MissingSchema, ConnectionError, type(None), HTTPError, ValueError,
        InvalidHeader, type(None),
    ]  # fmt: skip
    assert [response.status_code for response in found] == [
        200, None, None, 404, None, None, None, 200,
    ]  # fmt: skip
    assert found[4].error.response.status_code == 404
    assert requests[1].response is found[1]


def test_an_exception_handler_makes_the_entries_of_failures(scripted: Start) -> None:
    server = scripted(paths)
    asked: list[Any] = []

    def handler(request: Any, error: Any) -> Any:
        asked.append((request, type(error)))
        return None if len(asked) == 1 else "instead"

    bad = [reqkit_async.get("nowhere"), reqkit_async.get("elsewhere")]
    found = reqkit_async.map(
        [bad[0], reqkit_async.get(server()), bad[1]], size=1, exception_handler=handler
    )
    assert (found[0], found[1].status_code, found[2]) == (None, 200, "instead")
    assert asked == [(bad[0], MissingSchema), (bad[1], MissingSchema)]


def test_an_exception_handler_that_raises_is_harmless() -> None:
    def handler(request: Any, error: Any) -> Any:
        raise ZeroDivisionError("oops")

    with pytest.warns(RuntimeWarning, match="exception_handler raised ZeroDivisionError: oops"):
        (entry,) = reqkit_async.map([reqkit_async.get("nowhere")], exception_handler=handler)
    assert isinstance(entry.error, MissingSchema)


def test_raise_errors_raises_the_first_and_stops_the_rest(scripted: Start) -> None:
    server = scripted(silent)
    requests = [reqkit_async.get(server()) for _ in range(3)] + [reqkit_async.get("nowhere")]
    with pytest.raises(MissingSchema):
        reqkit_async.map(requests, raise_errors=True)
    server.wait_for_no_connections()


def test_an_iterable_that_raises_comes_out(scripted: Start) -> None:
    server = scripted(paths)

    def broken() -> Iterator[Any]:
        yield reqkit_async.get(server())
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        reqkit_async.map(broken())


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"size": 0}, ValueError, "size is 0: expected"),
        ({"size": "10"}, ValueError, "size is '10': expected"),
        ({"timeout": -1}, ValueError, "timeout is -1: expected"),
        ({"timeout": "1"}, ValueError, "timeout is '1': expected"),
        ({"gtimeout": 0}, ValueError, "timeout is 0: expected"),
        ({"retries": -1}, ValueError, "retries is -1: expected"),
        ({"rate": "fast"}, ValueError, "rate is 'fast': expected"),
        ({"per_host": 0}, ValueError, "per_host is 0: expected"),
        ({"delay": -1}, ValueError, "delay is -1: expected"),
        ({"exception_handler": 5}, ValueError, "exception_handler is 5"),
        ({"progress": "yes"}, ValueError, "progress is 'yes'"),
        ({"session": "mine"}, ValueError, "session is 'mine'"),
        ({"retry": 1}, TypeError, r"retry.*retries"),
    ],
)
def test_bad_settings_are_refused_at_once(settings: Any, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        reqkit_async.map([reqkit_async.get("http://127.0.0.1:1/")], **settings)


# -- the deadline


def test_what_has_not_ended_by_the_deadline_is_stopped(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.target == "/slow":
                connection.wait_closed()
                return
            connection.send(answer(200, b"quick"))

    server = scripted(handler)
    requests = [reqkit_async.get(server("/quick"))]
    requests += [reqkit_async.get(server("/slow")) for _ in range(6)]
    began = time.monotonic()
    found = reqkit_async.map(requests, size=3, timeout=1)
    assert 1 <= time.monotonic() - began < 1 + SOON
    assert found[0].text == "quick"
    assert [type(response.error) for response in found[1:]] == [TotalTimeout] * 6
    assert "before it ended" in str(found[1].error)
    assert "before its turn came" in str(found[6].error)
    assert found[1].error.phase == "wait"
    assert [len(server.requests), len(requests)] == [4, 7]
    server.wait_for_no_connections()


def test_the_phase_of_a_body_that_was_cut_off(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        connection.wait_closed()

    server = scripted(handler)
    (found,) = reqkit_async.map([reqkit_async.get(server())], gtimeout=1)
    assert found.error.phase == "receive"


def test_the_deadlines_entries_go_to_the_exception_handler(scripted: Start) -> None:
    server = scripted(silent)
    found = reqkit_async.map(
        [reqkit_async.get(server()) for _ in range(4)],
        size=2,
        timeout=0.2,
        exception_handler=lambda request, error: (request.method, type(error)),
    )
    assert found == [("GET", TotalTimeout)] * 4


def test_a_requests_own_clock_starts_when_it_leaves_the_queue(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.pause(0.35)
            connection.send(answer(200))

    server = scripted(handler)
    limit = reqkit.Timeouts(total=1.5)
    found = reqkit_async.map([reqkit_async.get(server(), timeout=limit) for _ in range(5)], size=1)
    assert all(found)


# -- within one another


def test_map_inside_a_hook(scripted: Start) -> None:
    server = scripted(paths)

    def hook(response: Any) -> Any:
        inner = reqkit_async.map([reqkit_async.get(server(f"/in/{n}")) for n in range(3)])
        response.found = [one.text for one in inner]

    found = reqkit_async.map(
        [reqkit_async.get(server("/out"), callback=hook) for _ in range(4)], size=2
    )
    assert [response.found for response in found] == [["/in/0", "/in/1", "/in/2"]] * 4


@pytest.mark.parametrize("limits", [{}, {"per_host": 1}])
def test_a_pools_own_map_inside_a_hook(scripted: Start, limits: Any) -> None:
    server = scripted(paths)
    pool = reqkit_async.Pool(1, **limits)

    def hook(response: Any) -> Any:
        return pool.map([reqkit_async.get(server("/in"))])[0]

    with gevent.Timeout(10):
        found = pool.map([reqkit_async.get(server("/out"), callback=hook) for _ in range(3)])
    assert [response.text for response in found] == ["/in"] * 3
    assert repr(pool) == "<Pool size=1 active=0 waiting=0 done=6 failed=0>"


def test_two_greenlets_use_one_pool_at_once(counting_server: Count) -> None:
    server = counting_server(4, rounds=True)
    pool = reqkit_async.Pool(4)
    greenlets = [
        gevent.spawn(pool.map, [reqkit_async.get(server()) for _ in range(10)]) for _ in range(2)
    ]
    gevent.joinall(greenlets, raise_error=True, timeout=20)
    assert [len(greenlet.value) for greenlet in greenlets] == [10, 10]
    assert all(response for greenlet in greenlets for response in greenlet.value)
    assert server.peak == 4


# -- as grequests is used


def test_common_scripts_for_grequests(scripted: Start) -> None:
    server = scripted(paths)
    seen: list[str] = []

    def hook(response: Any, **kwargs: Any) -> None:
        seen.append(response.url)

    urls = [server(f"/{n}") for n in range(4)]
    requests = (grequests.get(url, hooks={"response": hook}) for url in urls)
    assert [response.text for response in grequests.map(requests)] == ["/0", "/1", "/2", "/3"]
    assert sorted(seen) == urls

    failed: list[Any] = []
    found = grequests.map(
        [grequests.get(urls[0]), grequests.get("http://127.0.0.1:1/")],
        stream=False,
        size=2,
        exception_handler=lambda request, exception: failed.append((request.url, exception)),
        gtimeout=10,
    )
    assert [bool(found[0]), found[1]] == [True, None]
    assert isinstance(failed[0][1], RequestException)

    with reqkit.Session() as session:
        requests = (grequests.get(url, session=session, callback=hook) for url in urls)
        assert sorted(one.text for one in grequests.imap(requests, size=3)) == [
            "/0", "/1", "/2", "/3",
        ]  # fmt: skip
    pairs = list(grequests.imap_enumerated((grequests.get(url) for url in urls), size=2))
    assert sorted((index, one.text) for index, one in pairs) == [
        (0, "/0"), (1, "/1"), (2, "/2"), (3, "/3"),
    ]  # fmt: skip

    request = grequests.request("GET", urls[0])
    grequests.send(request, gevent.pool.Pool(2)).join()
    assert request.response is not None
    assert request.response.text == "/0"
    posted = grequests.map([grequests.post(urls[1], data={"a": "b"})])[0]
    assert posted.request.method == "POST"


# -- send


def test_send_gives_a_greenlet_whose_value_is_the_response(scripted: Start) -> None:
    server = scripted(paths)
    request = reqkit_async.get(server("/1"))
    greenlet = reqkit_async.send(request)
    assert isinstance(greenlet, gevent.Greenlet)
    assert greenlet.get() is request.response
    assert request.response.text == "/1"
    failed = reqkit_async.send(reqkit_async.get("nowhere")).get()
    assert isinstance(failed.error, MissingSchema)
    assert reqkit_async.send(server("/2")).get().text == "/2"
    with pytest.raises(TypeError, match="is no request"):
        reqkit_async.send(5)  # type: ignore[arg-type]


def test_send_into_pools(counting_server: Count) -> None:
    for pool in (gevent.pool.Pool(3), reqkit_async.Pool(3)):
        server = counting_server(3, rounds=True)
        greenlets = [reqkit_async.send(reqkit_async.get(server()), pool) for _ in range(9)]
        assert all(greenlet.get() for greenlet in greenlets)
        assert server.peak == 3


def test_a_hook_error_in_send_is_visible(scripted: Start) -> None:
    server = scripted(paths)

    def hook(response: Any) -> None:
        raise ZeroDivisionError("oops")

    with pytest.warns(HookWarning, match=r"hook[\s\S]*ZeroDivisionError: oops"):
        response = reqkit_async.send(reqkit_async.get(server(), callback=hook)).get()
    assert [type(error) for error in response.hook_errors] == [ZeroDivisionError]


def test_progress_that_ends_a_worker_does_not_keep_the_caller_waiting(scripted: Any) -> None:
    server = scripted([b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"])

    def progress(done: int, total: int | None) -> None:
        raise gevent.GreenletExit

    (response,) = reqkit_async.map([reqkit_async.get(server())], progress=progress)
    assert response.status_code == 200


def test_a_server_that_is_always_faster_lets_others_run(scripted: Any) -> None:
    turns: list[int] = []

    def handler(connection: Any) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 400000000\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(4000):
                connection.send(bytes(100_000))

    server = scripted(handler)

    def read(response: Any) -> None:
        pieces = response.iter_content(65536)
        while len(turns) < 3:  # slower than the server: there is always something to be read
            sum(next(pieces))
        response.close()

    def other() -> None:
        while len(turns) < 3:
            turns.append(1)
            gevent.sleep(0)

    greenlet = gevent.spawn(other)
    request = reqkit_async.get(server(), callback=read)
    reqkit_async.map([request], prefetch=False)
    greenlet.join()
    assert len(turns) == 3
