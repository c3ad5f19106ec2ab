"""Very many requests of every kind over threads, sessions, hosts and failures: all as it began."""

from __future__ import annotations

import gc
import os
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from safety.test_soak import MIX, limits, mixed, outcome_of, resident

import reqkit
import reqkit_async
from reqkit.network import stdlib
from reqkit_async.network import dns
from servers.waiting import until

__all__ = ["mixed"]

ROUNDS = 12
THREADS = 4
EACH = 500


def of_process() -> tuple[int, int]:
    """Return how many descriptors are open, and how many native threads there are."""
    gc.collect()
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))


def asked(base: str, seed: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give URLs and what a request says: of hundred, four that reach no server."""
    chance = random.Random(seed)
    other = base.replace("127.0.0.1", "localhost")
    for _ in range(EACH):
        dice = chance.randrange(100)
        if dice < 1:
            yield "http://127.0.0.1:1/", {}
        elif dice < 2:
            yield f"http://none-{seed}.invalid/", {"timeout": 5}
        elif dice < 3:
            yield "no URL", {}
        elif dice < 4:
            yield f"{base}missing", {"timeout": 5}
        else:
            kind = chance.choice(MIX)
            yield (base if dice % 2 else other) + kind, {"timeout": limits(kind)}


def batch(base: str, seed: int, counted: Counter[object]) -> None:
    with reqkit.Session() as session:
        requests = [
            reqkit_async.get(url, session=session, **options) for url, options in asked(base, seed)
        ]
        counted.update(map(outcome_of, reqkit_async.map(requests, size=40, retries=seed % 2)))


def stream(base: str, seed: int, counted: Counter[object]) -> None:
    session = reqkit.Session()  # dropped, not closed
    requests = (
        reqkit_async.get(url, session=session, **options) for url, options in asked(base, seed)
    )
    for entry in reqkit_async.imap_unordered(requests, size=30, per_host=25):
        counted[outcome_of(entry)] += 1


def queue(base: str, seed: int, counted: Counter[object]) -> None:
    with reqkit_async.Pool(20) as pool:
        handles = [
            pool.spawn(reqkit_async.get(url, **options)) for url, options in asked(base, seed)
        ]
    counted.update(outcome_of(handle.get()) for handle in handles)


def one_by_one(base: str, seed: int, counted: Counter[object]) -> None:
    session = reqkit.Session(config={"safe_mode": True}, prefetch=True)
    for url, options in asked(base, seed):
        counted[outcome_of(session.get(url, **options))] += 1


WAYS: tuple[Callable[..., None], ...] = (batch, stream, queue, one_by_one)


@pytest.mark.slow
def test_24_000_of_every_kind_end_as_they_began(mixed: str) -> None:
    counts: list[Counter[object]] = []

    def go(number: int) -> None:
        counted: Counter[object] = Counter()
        counts.append(counted)
        threads = [
            threading.Thread(target=way, args=(mixed, THREADS * number + index, counted))
            for index, way in enumerate(WAYS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                gevent.sleep(0.01)

    go(ROUNDS)  # what is imported late, and kept for good
    counts.clear()
    # Threads of look-ups end when they have had nothing to do for a while.
    until(lambda: not dns._threads()._count and not stdlib._look_ups()._threads._count)
    descriptors, threads = of_process()
    memory = resident()
    for number in range(ROUNDS):
        go(number)
    assert sum(sum(counted.values()) for counted in counts) == ROUNDS * THREADS * EACH
    assert {"TotalTimeout", "RequestCancelled"}.isdisjoint(set().union(*counts))
    until(lambda: of_process()[0] <= descriptors and of_process()[1] <= threads)
    assert resident() - memory < 20_000_000
