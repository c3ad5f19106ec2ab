from __future__ import annotations

import itertools
import math
from collections.abc import Hashable
from typing import Any

import pytest

from reqkit_async.pool.limits import (
    LONGEST_RETRY_AFTER,
    HostLimits,
    HostQueue,
    parse_rate,
    retry_after,
)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        (5, 5.0),
        (0.5, 0.5),
        ("5/s", 5.0),
        ("5/sec", 5.0),
        ("30/min", 0.5),
        ("100/h", 100 / 3600),
        ("100/hour", 100 / 3600),
        ("86400/day", 1.0),
        ("2/10s", 0.2),
        (" 1.5 / 3 SEC ", 0.5),
    ],
)
def test_rates(rate: Any, expected: float) -> None:
    assert parse_rate(rate) == pytest.approx(expected)


@pytest.mark.parametrize(
    "rate",
    [
        0,
        -1,
        True,
        math.inf,
        math.nan,
        "",
        "5",
        "5/",
        "/s",
        "0/s",
        "5/0s",
        "5/week",
        "-1/s",
        [],
        "x",
    ],
)
def test_bad_rates(rate: Any) -> None:
    with pytest.raises(ValueError, match=r"rate is .*expected .*'30/min'") as caught:
        HostLimits(rate=rate)
    assert repr(rate) in str(caught.value)


@pytest.mark.parametrize("per_host", [0, -1, 1.5, True, "2"])
def test_bad_per_host(per_host: Any) -> None:
    with pytest.raises(ValueError, match=r"per_host is .*expected"):
        HostLimits(per_host=per_host)


@pytest.mark.parametrize("delay", [-1, math.nan, math.inf, True, "2"])
def test_bad_delay(delay: Any) -> None:
    with pytest.raises(ValueError, match=r"delay is .*expected"):
        HostLimits(delay=delay)


def test_no_limits_keep_nothing() -> None:
    limits = HostLimits()
    for number in range(1000):
        host = f"h{number}"
        assert limits.ready_at(host, 5.0) == 5.0
        limits.started(host, 5.0)
        assert limits.ready_at(host, 5.0) == 5.0
        limits.ended(host)
    assert len(limits) == 0


def test_per_host_counts_each_host() -> None:
    limits = HostLimits(per_host=2)
    limits.started("a", 0)
    assert limits.ready_at("a", 0) == 0
    limits.started("a", 0)
    assert limits.ready_at("a", 0) == math.inf
    assert limits.ready_at("b", 0) == 0
    limits.ended("a")
    assert limits.ready_at("a", 1) == 1


def test_a_rate_spaces_evenly_and_saves_nothing_up() -> None:
    limits = HostLimits(rate=10)
    limits.started("a", 0)
    assert limits.ready_at("a", 0) == pytest.approx(0.1)
    # Long unused: the next two are spaced all the same.
    limits.started("a", 50)
    assert limits.ready_at("a", 50) == pytest.approx(50.1)


def test_late_timers_do_not_lower_the_rate() -> None:
    limits = HostLimits(rate=10)
    now = 0.0
    starts = []
    for _ in range(101):
        now = max(now, limits.ready_at("a", now)) + 0.002
        limits.started("a", now)
        starts.append(now)
    assert starts[-1] - starts[0] == pytest.approx(10, abs=0.05)
    assert min(b - a for a, b in itertools.pairwise(starts)) > 0.089


def test_delay_is_at_least() -> None:
    limits = HostLimits(delay=2, rate=10)
    limits.started("a", 0.0)
    assert limits.ready_at("a", 0.0) == 2
    limits.started("a", 2.004)
    assert limits.ready_at("a", 2.004) == pytest.approx(4.004)


def test_hold() -> None:
    limits = HostLimits()
    limits.hold("a", 30, now=0)
    limits.hold("a", 20, now=0)
    assert limits.ready_at("a", 1) == 30
    assert limits.ready_at("b", 1) == 1
    assert limits.ready_at("a", 31) == 31


@pytest.mark.parametrize("arguments", [{"rate": 10}, {"delay": 1}, {"per_host": 1}])
def test_endless_hosts_take_bounded_memory(arguments: dict[str, Any]) -> None:
    limits = HostLimits(**arguments)
    for number in range(50_000):
        now = number * 0.01  # a hundred hosts a second
        limits.started(number, now)
        limits.ended(number)
        limits.hold(number, now + 1, now)
    assert len(limits) < 600


def test_the_queue_is_first_in_first_out_for_a_host() -> None:
    queue: HostQueue[int] = HostQueue(HostLimits())
    for number in range(5):
        queue.push("a", number)
    assert len(queue) == 5
    assert [queue.pop_ready(0) for _ in range(6)] == [*(("a", n) for n in range(5)), None]
    assert len(queue) == 0


def test_hosts_take_turns() -> None:
    queue: HostQueue[str] = HostQueue(HostLimits())
    for host in "abc":
        for number in range(2):
            queue.push(host, f"{host}{number}")
    assert [queue.pop_ready(0) for _ in range(6)] == [
        ("a", "a0"),
        ("b", "b0"),
        ("c", "c0"),
        ("a", "a1"),
        ("b", "b1"),
        ("c", "c1"),
    ]


def test_a_full_host_holds_up_no_other() -> None:
    queue: HostQueue[int] = HostQueue(HostLimits(per_host=2))
    for number in range(1000):
        queue.push("slow", number)
    for number in range(10):
        queue.push("fast", number)
    assert queue.pop_ready(0) == ("slow", 0)
    assert queue.pop_ready(0) == ("fast", 0)
    assert queue.pop_ready(0) == ("slow", 1)
    assert queue.pop_ready(0) == ("fast", 1)
    assert queue.pop_ready(0) is None
    assert queue.next_time() == math.inf
    for number in range(2, 10):
        queue.ended("fast")
        assert queue.next_time() == -math.inf
        assert queue.pop_ready(0) == ("fast", number)
    queue.ended("slow")
    assert queue.pop_ready(0) == ("slow", 2)
    assert queue.pop_ready(0) is None


def test_the_next_time() -> None:
    queue: HostQueue[str] = HostQueue(HostLimits(rate=1))
    assert queue.next_time() == math.inf
    queue.push("a", "a0")
    queue.push("a", "a1")
    queue.push("b", "b0")
    assert queue.next_time() == -math.inf
    assert queue.pop_ready(10.0) == ("a", "a0")
    assert queue.pop_ready(10.5) == ("b", "b0")
    assert queue.pop_ready(10.9) is None
    assert queue.next_time() == pytest.approx(11.0)
    assert queue.pop_ready(11.0) == ("a", "a1")


def test_a_rate_counts_over_empty_lines() -> None:
    queue: HostQueue[str] = HostQueue(HostLimits(rate=1))
    queue.push("a", "a0")
    assert queue.pop_ready(0) == ("a", "a0")
    queue.push("a", "a1")
    assert queue.pop_ready(0.5) is None
    assert queue.next_time() == pytest.approx(1.0)


def test_a_hold_puts_off_what_was_due() -> None:
    queue: HostQueue[str] = HostQueue(HostLimits(rate=1))
    queue.push("a", "a0")
    queue.push("a", "a1")
    assert queue.pop_ready(0) == ("a", "a0")
    queue.hold("a", 60, now=0)
    assert queue.pop_ready(2) is None
    assert queue.next_time() == 60
    assert queue.pop_ready(60) == ("a", "a1")


def test_drain() -> None:
    queue: HostQueue[str] = HostQueue(HostLimits(per_host=1, rate=1))
    for host in "abc":
        queue.push(host, f"{host}0")
        queue.push(host, f"{host}1")
    assert queue.pop_ready(0) == ("a", "a0")
    assert queue.pop_ready(0) == ("b", "b0")
    assert sorted(queue.drain()) == ["a1", "b1", "c0", "c1"]
    assert len(queue) == 0
    assert queue.pop_ready(100) is None
    assert queue.next_time() == math.inf
    queue.ended("a")
    queue.push("a", "a2")
    assert queue.pop_ready(100) == ("a", "a2")


class CountingLimits(HostLimits):
    asked = 0

    def ready_at(self, host: Hashable, now: float) -> float:
        self.asked += 1
        return super().ready_at(host, now)


def test_a_host_that_may_not_start_is_not_looked_at() -> None:
    limits = CountingLimits(delay=1000)
    queue: HostQueue[int] = HostQueue(limits)
    for number in range(2000):
        queue.push(number, 0)
        queue.push(number, 1)
    for _ in range(2000):
        assert queue.pop_ready(0) is not None
    limits.asked = 0
    queue.push("new", 2)
    assert queue.pop_ready(1) == ("new", 2)
    for _ in range(100):
        assert queue.pop_ready(1) is None
    assert limits.asked <= 2


WHEN = 1_445_412_480.0  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("120", 120.0),
        (" 3 ", 3.0),
        ("1.5", 1.5),
        ("0", 0.0),
        ("-5", 0.0),
        ("9" * 400, LONGEST_RETRY_AFTER),
        ("99999999999", LONGEST_RETRY_AFTER),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:28:30 -0000", 30.0),
        ("Wednesday, 21-Oct-15 07:28:30 GMT", 30.0),
        ("Wed Oct 21 07:28:30 2015", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 9999 07:28:30 GMT", LONGEST_RETRY_AFTER),
        ("Wed, 99 Oct 2015 07:28:30 GMT", None),
        ("1e5", None),
        ("nan", None),
        ("٣", None),
    ],
)
def test_retry_after(value: str | None, expected: float | None) -> None:
    assert retry_after(value, WHEN) == expected
