"""``retries=``: which requests are sent again, when, and that waiting holds no place."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent
import pytest
from urllib3.util import Retry

import reqkit
import reqkit_async
from reqkit.exceptions import ConnectionError, ReadTimeout
from reqkit.transport.retrying import asked_for
from reqkit_async.pool import retries as policies
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.waiting import SOON

Start = Callable[..., ScriptedServer]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "_FIRST", 0.01)


def failing(times: int, fail: Callable[[Connection], Any]) -> Callable[[Connection], None]:
    """Return a handler that fails so many times, and answers then."""
    left = [times]

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if left[0]:
                left[0] -= 1
                if fail(connection) is not None:
                    return
            else:
                connection.send(answer(200, request.body or b"fine"))

    return handler


def status(code: int, *fields: tuple[str, str]) -> Callable[[Connection], Any]:
    return lambda connection: connection.send(answer(code, b"", fields))


def reset(connection: Connection) -> bool:
    connection.reset()
    return True


def close(connection: Connection) -> bool:
    connection.close()
    return True


@pytest.mark.parametrize("fail", [status(429), status(502), status(503), status(504), reset, close])
@pytest.mark.parametrize("function", [reqkit_async.map, reqkit_async.imap])
def test_what_an_int_counts(impatient: None, function: Any, fail: Any, scripted: Start) -> None:
    server = scripted(failing(2, fail))
    hooks: list[Any] = []
    (found,) = function([reqkit_async.get(server(), callback=hooks.append)], retries=2)
    assert found.text == "fine"
    assert found.retries == 2
    assert hooks == [found]
    assert len(server.requests) == 3
    assert reqkit_async.summarise([found]).retries == 2


@pytest.mark.parametrize(
    ("method", "code"), [("POST", 503), ("PATCH", 503), ("GET", 500), ("GET", 404)]
)
def test_what_it_does_not(impatient: None, method: str, code: int, scripted: Start) -> None:
    server = scripted(failing(1, status(code)))
    (found,) = reqkit_async.map([reqkit_async.request(method, server())], retries=5)
    assert found.status_code == code
    assert len(server.requests) == 1


def test_used_up_the_last_one_is_the_entry(impatient: None, scripted: Start) -> None:
    server = scripted(failing(100, status(503)))
    pool = reqkit_async.Pool(retries=2)
    found = pool.map(
        [
            reqkit_async.get(server()),
            reqkit_async.get(server(), config={"danger_mode": True}),
            reqkit_async.get("http://127.0.0.1:1/"),
        ]
    )
    assert [one.status_code for one in found] == [503, None, None]
    assert found[1].error.response.status_code == 503
    assert isinstance(found[2].error, ConnectionError)
    assert found[2].retries == 2
    assert pool.stats.retries == 6
    assert pool.stats.requests == 3
    assert len(server.requests) == 6


def test_nothing_is_retried_by_default(scripted: Start) -> None:
    server = scripted(failing(1, status(503)))
    assert reqkit_async.map([reqkit_async.get(server())])[0].status_code == 503


def test_a_body_is_sent_again_whole(impatient: None, scripted: Start, tmp_path: Any) -> None:
    path = tmp_path / "body"
    path.write_bytes(b"0123456789")
    for data, again in ((b"bytes", True), (path.open("rb"), True), (iter([b"gone"]), False)):
        server = scripted(failing(1, status(503)))
        (found,) = reqkit_async.map([reqkit_async.put(server(), data=data)], retries=1)
        assert len(server.requests) == 1 + again
        assert {request.body for request in server.requests} <= {b"bytes", b"0123456789", b"gone"}
        assert found.status_code == (200 if again else 503)
        if hasattr(data, "close"):
            data.close()


def test_back_off_holds_no_place(scripted: Start) -> None:
    order: list[str] = []

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            order.append(request.target)
            first = request.target == "/again" and order.count("/again") == 1
            connection.send(answer(503 if first else 200))

    server = scripted(handler)
    urls = ["/again", "/1", "/2", "/3"]
    pool = reqkit_async.Pool(1, retries=1)
    found = pool.map([reqkit_async.get(server(url)) for url in urls])
    assert order == ["/again", "/1", "/2", "/3", "/again"]
    assert all(found)


def test_a_policy_of_urllib3s(scripted: Start) -> None:
    server = scripted(failing(2, status(418)))
    policy = Retry(5, status_forcelist=[418], backoff_factor=0.01, allowed_methods=None)
    (found,) = reqkit_async.map([reqkit_async.post(server(), data=b"x")], retries=policy)
    assert found.status_code == 200
    assert len(server.requests) == 3
    assert policy.total == 5


def test_a_retry_after_is_waited_for(scripted: Start) -> None:
    server = scripted(failing(1, status(503, ("Retry-After", "1"))))
    began = time.monotonic()
    assert reqkit_async.map([reqkit_async.get(server())], retries=1)[0].ok
    assert time.monotonic() - began >= 1.0


@pytest.mark.parametrize(
    "settings", [{"timeout": 50}, {"each": reqkit.Timeouts(total=50)}], ids=["batch", "request"]
)
def test_a_retry_after_beyond_the_deadline_ends_it_at_once(settings: Any, scripted: Start) -> None:
    server = scripted(failing(1, status(503, ("Retry-After", "60"))))
    each = settings.pop("each", None)
    request = reqkit_async.get(server(), **({"timeout": each} if each else {}))
    began = time.monotonic()
    (found,) = reqkit_async.map([request], retries=3, **settings)
    assert time.monotonic() - began < SOON
    assert found.status_code == 503


def test_a_total_limit_counts_over_all_attempts(scripted: Start) -> None:
    # Two attempts at once, and then a wait of 20 s, which each attempt's own limit would allow.
    policy = Retry(total=3, status_forcelist=[503], backoff_factor=10)
    server = scripted(failing(100, status(503)))
    request = reqkit_async.get(server(), timeout=reqkit.Timeouts(total=15))
    (found,) = reqkit_async.map([request], retries=policy)
    assert found.status_code == 503
    assert len(server.requests) == 2


def test_a_read_timeout_is_not_an_ints_matter(impatient: None, scripted: Start) -> None:
    def silent(connection: Connection) -> None:
        connection.recv_request()
        connection.wait_closed()

    server = scripted(silent)
    (found,) = reqkit_async.map([reqkit_async.get(server(), timeout=(30, 0.05))], retries=3)
    assert isinstance(found.error, ReadTimeout)
    assert len(server.requests) == 1


def test_very_many_retries_have_a_bounded_pause() -> None:
    error = ConnectionError("refused")
    error.before_sending = True
    again = policies.BackOff(5, used=2000).after("GET", "/", None, error, 0.0)
    assert again is not None
    assert 30 <= again[0] <= 60
    assert all(0.25 * 2**used <= policies.back_off(used) <= 0.5 * 2**used for used in range(7))


class OwnReading(Retry):
    """Reads the field in its own way."""

    def get_retry_after(self, response: Any) -> float | None:
        return 7.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0), (" 2 ", 2.0), ("0.25", 0.25), ("1.", 1.0), ("0", 0.0), ("-1", 0.0),
        ("soon", None), ("1, 5", None), ("", None),
        ("\u0663", None), ("9" * 30, 50.0), ("9" * 5000, 50.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0), ("Thu, 01 Jan 1970 00:00:40 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 50.0), ("Fri, 31 Dec 99999 23:59:59 GMT", None),
    ],
)  # fmt: skip
def test_a_retry_after_means_one_and_the_same(value: str, seconds: float | None) -> None:
    """In blocking code, and in a batch."""
    response = reqkit.Response(503, "")
    response.headers["Retry-After"] = value
    policy = Retry(3, status_forcelist=[503], backoff_factor=0)
    policy.retry_after_max = 50
    assert asked_for(policy, response, 60.0) == seconds
    tried = policies.policy_of(policy)
    assert tried is not None
    if seconds != 50.0:
        waits = tried.after("GET", "http://a.test/", response, None, 60.0)
        assert waits is not None
        assert waits[0] == (seconds or 0.0)
    assert asked_for(policy.new(respect_retry_after_header=False), response, 60.0) is None
    assert asked_for(OwnReading(3), response, 60.0) == 7.0


def test_a_retry_that_does_not_respect_it_is_not_held_back(scripted: Start) -> None:
    server = scripted(failing(2, status(503, ("Retry-After", "3600"))))
    policy = Retry(3, status_forcelist=[503], respect_retry_after_header=False)
    with gevent.Timeout(30, RuntimeError("it is held back")):
        (found,) = reqkit_async.map([server()], retries=policy)
    assert found.ok
    # A number says nothing of that.
    server = scripted(failing(1, status(503, ("Retry-After", "1"))))
    began = time.monotonic()
    asked = reqkit_async.get(server(), config={"max_retries": 2})
    reqkit_async.map([asked, server()], size=1)
    assert time.monotonic() - began >= 1.0
