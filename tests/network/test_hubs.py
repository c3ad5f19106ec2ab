"""Turns of the loop that long work gives way to."""

from __future__ import annotations

import time

import gevent
import pytest

from reqkit_async.network import GEVENT
from reqkit_async.network.hubs import next_turn


def work_until(moment: float) -> None:
    while time.monotonic() < moment:
        pass


@pytest.mark.parametrize("give_way", [next_turn, GEVENT.pause])
def test_a_timer_whose_time_has_come_is_seen_within_two_turns(give_way: object) -> None:
    assert callable(give_way)
    fired: list[str] = []
    timer = gevent.get_hub().loop.timer(0.001)
    timer.start(fired.append, "timer", update=True)
    work_until(time.monotonic() + 0.002)
    give_way()
    give_way()
    timer.close()
    assert fired == ["timer"]


def test_others_that_are_always_ready_do_not_hold_it_up() -> None:
    turns = 0

    def busy() -> None:
        nonlocal turns
        while True:
            gevent.sleep(0)
            turns += 1

    others = [gevent.spawn(busy) for _ in range(3)]
    for _ in range(20):
        next_turn()
    gevent.killall(others)
    assert turns >= 20


def test_who_waits_for_a_turn_can_be_stopped() -> None:
    waiting = gevent.spawn(next_turn)
    gevent.sleep(0)
    waiting.kill()
    assert waiting.dead
    next_turn()
