"""`imap`, `imap_unordered` and `imap_enumerated`: order, back-pressure, ends."""

from __future__ import annotations

import gc
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gevent
import gevent.event
import pytest

import reqkit_async
from reqkit.exceptions import ConnectionError, MissingSchema, RequestCancelled, TotalTimeout
from servers.counting import CountingServer
from servers.handlers import silent
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.waiting import SOON, until

Start = Callable[..., ScriptedServer]
Count = Callable[..., CountingServer]
ALL = [reqkit_async.imap, reqkit_async.imap_unordered, reqkit_async.imap_enumerated]


def paths(connection: Connection) -> None:
    while (request := connection.recv_request()) is not None:
        connection.send(answer(200, request.target.encode()))


class Pulls:
    """An endless iterable that counts what was pulled from it."""

    def __init__(self, server: ScriptedServer, **settings: Any) -> None:
        self.server = server
        self.settings = settings
        self.count = 0

    def __iter__(self) -> Iterator[Any]:
        while True:
            self.count += 1
            yield reqkit_async.get(self.server(f"/{self.count - 1}"), **self.settings)


def asked_for(target: str, server: ScriptedServer) -> bool:
    return any(request.target == target for request in server.requests)


def reversed_pairs(connection: Connection) -> None:
    """Answer ``/1`` only after ``/2`` was asked for, and so on for every odd one."""
    while (request := connection.recv_request()) is not None:
        number = int(request.target[1:])
        if number % 2 == 0:
            has_come = partial(asked_for, f"/{number + 1}")
            connection.server.wait_until(has_come)
            connection.pause(0.01)
        connection.send(answer(200, request.target.encode()))


def test_imap_keeps_the_order(scripted: Start) -> None:
    server = scripted(reversed_pairs)
    requests = [reqkit_async.get(server(f"/{number}")) for number in range(20)]
    found = [response.text for response in reqkit_async.imap(requests, size=4)]
    assert found == [f"/{number}" for number in range(20)]


def test_imap_unordered_gives_what_has_ended(scripted: Start) -> None:
    wait = threading.Event()

    def handler(connection: Connection) -> None:
        request = connection.recv_request()
        assert request is not None
        if request.target == "/0":
            connection.wait(wait)
        connection.send(answer(200, request.target.encode()))

    server = scripted(handler)
    requests = [reqkit_async.get(server(f"/{number}")) for number in range(5)]
    found = reqkit_async.imap_unordered(requests, size=2)
    four = [next(found).text for _ in range(4)]
    assert sorted(four) == ["/1", "/2", "/3", "/4"]
    wait.set()
    assert [response.text for response in found] == ["/0"]


def test_imap_enumerated_tells_which(scripted: Start) -> None:
    server = scripted(reversed_pairs)
    requests = [reqkit_async.get(server(f"/{number}")) for number in range(10)]
    found = list(reqkit_async.imap_enumerated(requests, size=2))
    assert sorted(index for index, _ in found) == list(range(10))
    assert all(response.text == f"/{index}" for index, response in found)
    assert [index for index, _ in found] != list(range(10))


@pytest.mark.parametrize("function", ALL)
def test_ten_at_a_time_unless_told_otherwise(function: Any, counting_server: Count) -> None:
    server = counting_server(10, rounds=True)
    assert len(list(function(reqkit_async.get(server()) for _ in range(30)))) == 30
    assert server.peak == 10


@pytest.mark.parametrize("function", ALL)
def test_pulls_only_as_there_is_room(function: Any, scripted: Start) -> None:
    server = scripted(paths)
    pulls = Pulls(server)
    size = 3
    taken = 0
    for _ in function(pulls, size=size):
        taken += 1
        for _ in range(taken % 3):
            gevent.idle()  # others run, and pull what they may
        assert pulls.count <= taken + 2 * size
        if taken == 40:
            break
    # Not one by one either: while the consumer was busy, the workers were not.
    assert pulls.count > taken
    server.wait_for_requests(taken)
    assert len(server.requests) <= taken + 2 * size


def test_nothing_is_pulled_before_the_first_is_asked_for(scripted: Start) -> None:
    pulls = Pulls(scripted(paths))
    found = reqkit_async.imap(pulls)
    gevent.sleep(0)
    assert pulls.count == 0
    next(found)
    found.close()  # type: ignore[attr-defined]


def test_failures_are_handed_over_like_answers(scripted: Start) -> None:
    server = scripted(paths)
    urls = [server("/0"), "nowhere", "http://127.0.0.1:1/", server("/3")]
    found = list(reqkit_async.imap(map(reqkit_async.get, urls), size=2))
    assert [type(response.error) for response in found] == [
        type(None), MissingSchema, ConnectionError, type(None),
    ]  # fmt: skip
    handled = list(
        reqkit_async.imap(
            map(reqkit_async.get, urls), exception_handler=lambda request, error: request.url
        )
    )
    assert handled[1:3] == urls[1:3]


@pytest.mark.parametrize("function", ALL)
def test_leaving_early_stops_what_is_in_flight(function: Any, scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        request = connection.recv_request()
        assert request is not None
        if request.target == "/0":
            connection.server.wait_for_requests(4)
            connection.send(answer(200))
        connection.wait_closed()

    server = scripted(handler)
    ended: list[Any] = []
    pulls = Pulls(server, callback=lambda response: ended.append(response.error))
    began = time.monotonic()
    for _ in function(pulls, size=4):
        break
    assert time.monotonic() - began < SOON
    # By now, not later: each that was started has had its hook.
    assert len(ended) in (pulls.count, pulls.count - 1)
    assert ended[0] is None
    assert {type(error) for error in ended[1:]} == {RequestCancelled}
    server.wait_for_no_connections()
    assert len(server.requests) <= pulls.count


def test_closing_the_generator_is_leaving_early(scripted: Start) -> None:
    server = scripted(paths)
    found = reqkit_async.imap(Pulls(server), size=2)
    next(found)
    found.close()  # type: ignore[attr-defined]
    with pytest.raises(StopIteration):
        next(found)


@pytest.mark.parametrize("where", ["greenlet", "hub", "thread"])
def test_a_generator_may_be_dropped_anywhere(where: str, scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.target != "/0":
                connection.wait_closed()
                return
            connection.send(answer(200))

    server = scripted(handler)
    held = [reqkit_async.imap(Pulls(server), size=3)]
    assert next(held[0]).status_code == 200
    server.wait_for_requests(2)
    if where == "greenlet":
        gevent.spawn(held.clear).join()
    elif where == "hub":
        gevent.get_hub().loop.run_callback(held.clear)
        gevent.sleep(0)
    else:
        thread = threading.Thread(target=held.clear)
        thread.start()
        thread.join()
    gc.collect()
    until(lambda: not server.connections_open)


def test_lazy_responses_that_nobody_took_are_closed(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        connection.wait_closed()

    server = scripted(handler)
    ended: list[Any] = []
    requests = [reqkit_async.get(server(), callback=ended.append) for _ in range(4)]
    found = reqkit_async.imap(requests, size=4, stream=True)
    first = next(found)
    until(lambda: len(ended) == 4)
    found.close()  # type: ignore[attr-defined]
    server.wait_until(lambda server: server.connections_open == 1)
    first.close()
    server.wait_for_no_connections()
    assert requests[1].response is not None


# -- the caller's iterable


@pytest.mark.parametrize("function", ALL)
def test_an_iterable_that_raises_comes_out_last(function: Any, scripted: Start) -> None:
    server = scripted(paths)

    def broken() -> Iterator[Any]:
        for number in range(5):
            yield reqkit_async.get(server(f"/{number}"))
        raise KeyError("mine")

    found = []
    with pytest.raises(KeyError, match="mine"):
        for entry in function(broken(), size=2):
            found.append(entry)
    assert len(found) == 5


def test_what_is_no_iterable_is_refused_at_once() -> None:
    with pytest.raises(TypeError):
        reqkit_async.imap(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"sizes.*size"):
        reqkit_async.imap([], sizes=5)


def test_what_is_no_request_comes_out_after_what_was_sent(scripted: Start) -> None:
    server = scripted(paths)
    found = reqkit_async.imap([server("/1"), reqkit_async.get(server("/2")), None, server("/3")])
    assert [next(found).text, next(found).text] == ["/1", "/2"]
    with pytest.raises(TypeError, match="None is no request"):
        next(found)
    assert len(server.requests) == 2
    with pytest.raises(TypeError, match="5 is no request"):
        next(reqkit_async.imap_unordered([5]))


def test_an_iterable_that_waits_lets_the_others_run(scripted: Start) -> None:
    server = scripted(paths)
    go_on = gevent.event.Event()
    running: list[int] = []

    def waiting() -> Iterator[Any]:
        for number in range(6):
            running.append(1)
            assert sum(running) == 1, "a generator cannot be run twice at once"
            if number == 3:
                assert go_on.wait(10)
            running.clear()
            yield reqkit_async.get(server(f"/{number}"))

    found = reqkit_async.imap(waiting(), size=4)
    assert [next(found).text for _ in range(3)] == ["/0", "/1", "/2"]
    go_on.set()
    assert [response.text for response in found] == ["/3", "/4", "/5"]


def test_an_iterable_that_waits_is_stopped_with_the_rest(scripted: Start) -> None:
    server = scripted(paths)
    left: list[str] = []

    def waiting() -> Iterator[Any]:
        try:
            yield reqkit_async.get(server("/0"))
            gevent.event.Event().wait()
            yield reqkit_async.get(server("/1"))
        finally:
            left.append("left")

    pool = reqkit_async.Pool(1)
    began = time.monotonic()
    found = list(pool.imap(waiting(), timeout=1))
    assert [response.text for response in found] == ["/0"]
    assert time.monotonic() - began < 1 + SOON
    assert left == ["left"]
    # The place that the iterable held is free again.
    assert pool.map([reqkit_async.get(server("/2"))])[0].text == "/2"


def test_imap_of_what_imap_gives(scripted: Start) -> None:
    server = scripted(paths)
    pool = reqkit_async.Pool(2)
    first = (reqkit_async.get(server(f"/{number}")) for number in range(10))
    second = (reqkit_async.get(server(f"/again{one.text}")) for one in reqkit_async.imap(first))
    with gevent.Timeout(10):
        found = [response.text for response in pool.imap(second)]
    assert found == [f"/again/{number}" for number in range(10)]


# -- the deadline


@pytest.mark.parametrize("function", ALL)
def test_the_deadline_ends_it(function: Any, scripted: Start) -> None:
    server = scripted(silent)
    pulls = Pulls(server)
    began = time.monotonic()
    found = [
        entry[1] if isinstance(entry, tuple) else entry
        for entry in function(pulls, size=3, timeout=0.6)
    ]
    assert 0.6 <= time.monotonic() - began < 0.6 + SOON
    assert [type(entry.error) for entry in found] == [TotalTimeout] * 3
    assert pulls.count == 3
    server.wait_for_no_connections()


def test_the_deadline_counts_while_the_caller_is_elsewhere(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.target != "/0":
                connection.wait_closed()
                return
            connection.send(answer(200))

    server = scripted(handler)
    found = reqkit_async.imap(Pulls(server), size=3, timeout=1)
    assert next(found).ok
    # Nobody asks for the next entry meanwhile.
    until(lambda: len(server.requests) >= 3 and server.connections_open <= 1)
    rest = list(found)
    assert {type(entry.error) for entry in rest} <= {TotalTimeout, type(None)}
    assert any(isinstance(entry.error, TotalTimeout) for entry in rest)


# -- raise_errors


def test_raise_errors_raises_in_its_turn(scripted: Start) -> None:
    server = scripted(paths)
    urls = [server("/0"), server("/1"), "nowhere", *[server("/2")] * 5]
    found = []
    with pytest.raises(MissingSchema):
        for response in reqkit_async.imap(map(reqkit_async.get, urls), size=2, raise_errors=True):
            found.append(response.text)
    assert found == ["/0", "/1"]


def test_a_short_way_through_many(scripted: Start) -> None:
    server = scripted(paths)
    requests = (reqkit_async.get(server(f"/{number}")) for number in itertools.count())
    found = itertools.islice(reqkit_async.imap(requests, size=20), 300)
    assert [response.text for response in found] == [f"/{number}" for number in range(300)]
    assert server.connections_opened <= 20
