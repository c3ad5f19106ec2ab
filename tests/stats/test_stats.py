from __future__ import annotations

import json
import pickle
import random
import threading
from typing import Any

import pytest

import reqkit_async
from reqkit import Response
from reqkit.message.times import Times
from reqkit_async.stats import Latency, Stats, summarise
from servers.scripted import Connection, ScriptedServer


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_empty() -> None:
    stats = Stats()
    assert (stats.requests, stats.bytes, stats.seconds, stats.rate) == (0, 0, 0, 0)
    latency = stats.latency
    assert (latency.mean, latency.p50, latency.p90, latency.p99, latency.max) == (0, 0, 0, 0, 0)
    assert "requests     0" in str(stats)


def test_counts() -> None:
    stats = Stats()
    stats.record(200, latency=0.1, size=10)
    stats.record(200, latency=0.3, size=5, hook_errors=2)
    stats.record(404, "HTTPError", latency=0.2)
    stats.record(None, "ReadTimeout")
    assert stats.requests == 4
    assert stats.statuses == {200: 2, 404: 1}
    assert stats.errors == {"HTTPError": 1, "ReadTimeout": 1}
    assert stats.bytes == 15
    assert stats.hook_errors == 2
    assert len(stats.latency) == 3
    assert stats.latency.mean == pytest.approx(0.2)


def test_few_latencies_are_exact() -> None:
    latency = Latency()
    for number in random.Random(1).sample(range(1, 101), 100):
        latency.add(number / 100)
    assert (latency.p50, latency.p90, latency.p99, latency.max) == (0.5, 0.9, 0.99, 1.0)


@pytest.mark.parametrize("scale", [1e-7, 1e-4, 1.0, 3600.0])
def test_many_latencies_are_within_a_hundredth(scale: float) -> None:
    chance = random.Random(2)
    values = [chance.lognormvariate(0, 1.5) * scale for _ in range(20_000)]
    latency = Latency()
    for value in values:
        latency.add(value)
    values.sort()
    for percent in (1, 50, 90, 99, 100):
        exact = values[max(len(values) * percent // 100, 1) - 1]
        assert latency.percentile(percent) == pytest.approx(exact, rel=0.0101, abs=2e-6)
    assert latency.max == values[-1]
    assert latency.mean == pytest.approx(sum(values) / len(values))


def test_memory_is_bounded() -> None:
    latency = Latency()
    chance = random.Random(3)
    for _ in range(100_000):
        latency.add(10 ** chance.uniform(-8, 5))
    assert len(latency._classes) < 1400
    assert len(latency._recent) <= 1001
    assert len(latency) == 100_000


def test_looking_at_latencies_changes_none() -> None:
    chance = random.Random(4)
    looked_at, left_alone = Latency(), Latency()
    for number in range(1, 3501):
        value = chance.uniform(0.001, 2)
        looked_at.add(value)
        left_alone.add(value)
        assert len(looked_at) == number
        if not number % 7:
            assert looked_at.p50 <= looked_at.p90 <= looked_at.max
    for percent in (0, 1, 50, 90, 100):
        assert looked_at.percentile(percent) == left_alone.percentile(percent)
    assert looked_at.max == left_alone.max
    assert looked_at.mean == pytest.approx(left_alone.mean)
    # A thousand are exact, one more is not.
    few = Latency()
    for number in range(1000):
        few.add(number / 1000)
    assert few.p50 == 0.499
    few.add(1.0)
    assert few.p50 == pytest.approx(0.5, rel=0.0101)


def test_seconds_run_while_something_does() -> None:
    clock = Clock()
    stats = Stats(clock)
    clock.now += 5
    assert stats.seconds == 0
    stats.start()
    clock.now += 1
    stats.start()
    clock.now += 1
    assert stats.seconds == 2
    stats.stop()
    clock.now += 1
    stats.stop()
    clock.now += 10
    assert stats.seconds == 3
    stats.record(200)
    stats.start()
    clock.now += 1
    assert stats.seconds == 4
    assert stats.rate == 0.25


def test_the_table() -> None:
    stats = Stats()
    stats.record(200, None, 0.25, 1_000_000)
    stats.record(503, None, 0.25)
    stats.record(None, "ReadTimeout")
    lines = str(stats).splitlines()
    assert len({line.index(line[13:]) for line in lines}) == 1  # aligned
    assert "statuses     200: 1  503: 1" in lines
    assert "errors       ReadTimeout: 1" in lines
    assert "bytes        1,000,000" in lines
    assert any(line.startswith("latency      mean 250.0 ms  p50 250.0 ms") for line in lines)


def test_repr() -> None:
    stats = Stats()
    stats.record(None, "ReadTimeout")
    assert repr(stats) == "<Stats requests=1 errors=1 seconds=0.00 rate=0.0/s>"
    assert repr(stats.latency).startswith("Latency(mean=0.000000,")


def test_pickles_as_it_stands() -> None:
    clock = Clock()
    stats = Stats(clock)
    stats.start()
    stats.record(200, None, 0.25, 7)
    clock.now += 2
    copy = pickle.loads(pickle.dumps(stats))
    clock.now += 2
    assert (copy.requests, copy.bytes, copy.seconds, copy.latency.p50) == (1, 7, 2.0, 0.25)
    assert stats.seconds == 4
    copy.start()
    copy.stop()


def response(status: int | None, times: Times | None = None, size: int = 100) -> Response:
    made = Response()
    made.status_code = status
    made._times = times
    made._received = size
    return made


def times(started: float, headed: float | None, **others: float) -> Times:
    made = Times(started)
    made.headed = headed
    for name, value in others.items():
        setattr(made, name, value)
    return made


def test_summarise() -> None:
    redirected = response(200, times(10.0, 10.5))
    redirected.history = [response(302, times(9.0, 9.5, connect=0.01)), response(302)]
    redirected.hook_errors.append(ValueError())
    failed = response(None, size=0)
    failed.error = OSError("x")
    again = response(200, times(10.0, 10.5, connect=0.01))
    again.retries = 2  # type: ignore[attr-defined]
    stats = summarise(
        iter([again, redirected, failed, None, ValueError("from an exception_handler"), "instead"]),
        seconds=3,
    )
    assert stats.requests == 6
    assert stats.statuses == {200: 2}
    assert stats.errors == {"OSError": 1, "None": 1, "ValueError": 1, "str": 1}
    assert stats.bytes == 200
    assert stats.connections == 2
    assert stats.retries == 2
    assert stats.hook_errors == 1
    assert (stats.seconds, stats.rate) == (3, 2)
    assert stats.latency.max == 0.5


def test_summarise_finds_the_seconds() -> None:
    found = [
        response(200, times(10.0, 10.2)),
        response(200, times(11.0, 11.5, received=12.0)),
    ]
    assert summarise(found).seconds == 2.0
    assert summarise([response(200)]).seconds == 0
    assert summarise([]).requests == 0


# -- when, where, and what failed --------------------------------------------------------------


def test_as_dict_is_json_and_bounded() -> None:
    stats = Stats()
    for number in range(20_000):
        status = (200, 404, None)[number % 3]
        stats.record(
            status, None if status else f"Error{number % 500}", number / 1000 if status else None,
            10, url=f"http://ann:secret@host{number % 5000}.example/{number}", message="m" * 5000,
            when=1_700_000_000 + number,
        )  # fmt: skip
    figures = stats.as_dict()
    text = json.dumps(figures)
    assert len(text) < 600_000
    assert "secret" not in text
    assert figures["requests"] == 20_000
    assert figures["failed"] == stats.failed == 13_333
    assert sum(figures["timeline"]["ended"]) == 20_000
    assert sum(figures["timeline"]["failed"]) == 13_333
    assert len(figures["timeline"]["ended"]) <= 512
    assert sum(host["requests"] for host in figures["hosts"]) == 20_000
    assert sum(count for _, _, count in figures["latency"]["histogram"]) == len(stats.latency)
    assert [entry["seconds"] for entry in figures["slowest"][:2]] == [19.999, 19.998]
    assert all(len(examples) <= 3 for examples in figures["examples"].values())


def test_an_error_with_a_status_is_one_failure() -> None:
    stats = Stats()
    stats.record(500, "HTTPError")
    stats.record(200, "ContentDecodingError")
    stats.record(404)
    stats.record(200)
    assert (stats.failed, stats.as_dict()["failed"]) == (3, 3)


def test_two_can_be_added() -> None:
    first, second = Stats(), Stats()
    for number in range(1500):
        first.record(200, latency=0.1, size=2, url="http://a.example/", when=1000.0 + number)
    second.record(503, "RetryError", 9.0, url="http://b.example/", message="why", when=9e8)
    second.connections, second.retries, second.hook_errors = 3, 4, 5
    first._seconds, second._seconds = 10.0, 2.0
    total = first + second
    assert (total.requests, total.failed, total.bytes, total.seconds) == (1501, 1, 3000, 12.0)
    assert (total.connections, total.retries, total.hook_errors) == (3, 4, 5)
    assert total.statuses == {200: 1500, 503: 1}
    assert total.errors == {"RetryError": 1}
    assert (len(total.latency), total.latency.max) == (1501, 9.0)
    figures = total.as_dict()
    assert sum(figures["timeline"]["ended"]) == 1501
    assert [host["host"] for host in figures["hosts"]] == ["a.example", "b.example"]
    assert figures["examples"] == {"RetryError": [{"url": "http://b.example/", "message": "why"}]}
    assert first.requests == 1500
    assert sum([first, second]).as_dict() == figures
    with pytest.raises(TypeError):
        first + 1  # type: ignore[operator]


def test_most_frequent_hosts_keep_their_names() -> None:
    stats = Stats()
    for number in range(10_000):
        stats.record(200, url=f"http://host{number}.example/")
        stats.record(200, url="http://ALL.example:8080?q")
    figures = stats.as_dict()
    assert figures["hosts"][0]["host"] == "all.example:8080"
    assert figures["hosts"][0]["requests"] == 10_000
    assert figures["hosts"][-1]["host"] is None
    assert figures["hosts_seen"] == 10_001


def test_batches_tell_of_hosts_and_failures(closed_port: int, echo: ScriptedServer) -> None:
    with reqkit_async.Pool(3) as pool:
        pool.map([*[reqkit_async.get(echo(f"/{number}")) for number in range(5)],
                  reqkit_async.get(f"http://127.0.0.1:{closed_port}/x")])  # fmt: skip
        figures = pool.stats.as_dict()
    assert {host["host"]: host["requests"] for host in figures["hosts"]} == {
        f"127.0.0.1:{echo.port}": 5, f"127.0.0.1:{closed_port}": 1,
    }  # fmt: skip
    [example] = figures["examples"]["ConnectionError"]
    assert example["url"].endswith("/x")
    assert sum(figures["timeline"]["ended"]) == 6
    copy = pickle.loads(pickle.dumps(pool.stats))
    assert copy.as_dict() == figures


def test_what_was_never_sent_is_counted(scripted: Any) -> None:
    held = threading.Event()

    def hang(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.wait(held)

    server = scripted(hang)
    pool = reqkit_async.Pool(1, timeout=0.2)
    pool.map([reqkit_async.get(server(f"/{number}")) for number in range(50)])
    held.set()
    figures = pool.stats.as_dict()
    assert figures["failed"] == sum(figures["timeline"]["failed"]) == 50
    assert sum(host["requests"] for host in figures["hosts"]) == 50


class Wordless(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def test_what_cannot_be_told_is_counted_all_the_same() -> None:
    stats = Stats()
    stats.fail("Wordless", 1, object(), Wordless())
    response = Response(200, "OK", b"bytes", started=1.0, headed=2.0)
    response.url = b"http://bytes.example/"
    stats.add(response)
    assert stats.as_dict()["requests"] == 2
