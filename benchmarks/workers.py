"""`python -m benchmarks.workers`: what it takes to have a batch sent by an executor's workers.

For each kind of work: the processor's time for each request in one process, in the worker and in
the caller of a batch over one worker; and the wall time of a batch over two workers beside that of
two processes which do half of it each, knowing nothing of each other. All take turns, and the
median of the rounds counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import reqkit_async

from .servers import Servers

SIZE = 50


def parse(response: Any) -> int:
    """What a crawler does."""
    return len(response.json())


def length(response: Any) -> int:
    """Reduce a large body."""
    return len(response.content)


def busy(response: Any) -> None:
    """Take a millisecond of the processor."""
    ends = time.thread_time() + 0.001
    while time.thread_time() < ends:
        pass


#: Name: what is fetched, the hook, how many.
WORK: dict[str, tuple[str, Callable[[Any], Any] | None, int]] = {
    "1 KB": ("small", None, 10_000),
    "13 KB of gzipped JSON, parsed in the hook": ("json", parse, 4_000),
    "1 KB, a hook of 1 ms": ("small", busy, 1_500),
}


def here(url: str, hook: Any, count: int) -> float:
    """Do the work in the process that this runs in; return the processor's time."""
    began = time.process_time()
    for entry in reqkit_async.imap_unordered(requests(url, hook, count), size=SIZE):
        check(entry)
    return time.process_time() - began


def requests(url: str, hook: Any, count: int) -> Any:
    return (reqkit_async.get(url, callback=hook) for _ in range(count))


def check(entry: Any) -> None:
    error = getattr(entry, "error", None)
    if error is not None:
        raise error


def over(executor: Any, url: str, hook: Any, count: int) -> float:
    """Do the work by the workers; return the caller's processor time."""
    began = time.process_time()
    for entry in reqkit_async.imap_unordered(
        requests(url, hook, count), size=SIZE, executor=executor
    ):
        check(entry)
    return time.process_time() - began


def measure(url: str, hook: Any, count: int, rounds: int) -> dict[str, float]:
    """Return the figures of one kind of work."""
    context = get_context("spawn")
    found: dict[str, list[float]] = {"one": [], "worker": [], "caller": [], "wall": []}
    with (
        ProcessPoolExecutor(1, mp_context=context) as single,
        ProcessPoolExecutor(2, mp_context=context) as pair,
    ):
        for number in range(rounds + 1):
            one = single.submit(here, url, hook, count).result()
            before = single.submit(time.process_time).result()
            caller = over(single, url, hook, count)
            worker = single.submit(time.process_time).result() - before
            began = time.perf_counter()
            halves = [pair.submit(here, url, hook, count // 2) for _ in range(2)]
            for half in halves:
                half.result()
            bare = time.perf_counter() - began
            began = time.perf_counter()
            over(pair, url, hook, count)
            together = time.perf_counter() - began
            if number:  # the first one starts processes, and fills caches
                found["one"].append(one / count * 1e6)
                found["worker"].append(worker / one)
                found["caller"].append(caller / one)
                found["wall"].append(bare / together)
    return {name: median(values) for name, values in found.items()}


def main() -> int:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each runs (5)")
    parser.add_argument("--part", type=float, default=1.0, help="how much of the work (1.0)")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
        Servers(Path(folder), None) as servers,
    ):
        urls = {"small": servers.url("http"), "json": servers.url("http", "/rows.json")}
        print("| work | one process, µs | worker | caller | two workers against two processes |")
        print("| --- | --- | --- | --- | --- |")
        for name, (what, hook, count) in WORK.items():
            figures = measure(urls[what], hook, int(count * asked.part), asked.rounds)
            print(
                f"| {name} | {figures['one']:.0f} | {figures['worker']:.2f} |"
                f" {figures['caller']:.2f} | {figures['wall']:.2f} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
