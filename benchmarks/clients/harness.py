"""What every client's process does: read the job, warm up, measure, check, report.

A client is made of a `Job`, and has a method for each action it can do:

* ``fetch(urls)``: GET them, `Job.size` at a time, and check each body's length;
* ``parse(urls)``, ``post(urls)``: the same with JSON down, or up and down;
* ``each(urls)``, ``oneshot(urls)``: GET one after another, in one session or without any;
* ``stream(urls)``: GET one after another, the body in pieces of `CHUNK`;
* ``hold(urls)``: as ``fetch``, and return the answers; ``unsent(urls)``: return unsent requests;
* ``lazily(urls)``: take the answers one by one as the generator that is given is read.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..servers import POSTED_ROWS, rows

__all__ = ["CHUNK", "DOCUMENT", "HEADERS", "TIMEOUT", "Client", "Job", "WrongAnswer", "main"]

#: What every client sends.
HEADERS = {"User-Agent": "benchmark", "Accept": "*/*", "Accept-Encoding": "gzip"}
#: What is posted.
DOCUMENT = {"rows": rows(POSTED_ROWS)}
#: Bytes of the pieces of a streamed body.
CHUNK = 65536
#: Seconds; for those whose default is shorter than some of these jobs need.
TIMEOUT = 60.0


@dataclass(frozen=True)
class Job:
    """What a client is told; see `benchmarks.scenarios.case.Case`."""

    action: str
    way: str
    urls: list[str]
    count: int
    expect: int
    size: int
    warm: int
    cold: bool
    distinct: bool
    bundle: str | None
    module: str

    def targets(self, count: int, prefix: str = "") -> list[str]:
        """Return that many URLs; the prefix sets distinct ones apart from another call's."""
        if self.distinct:
            return [f"{self.urls[0]}?{prefix}{number}" for number in range(count)]
        return (self.urls * (count // len(self.urls) + 1))[:count]


class WrongAnswer(Exception):
    """An answer is not what it has to be, or not everything was answered."""


class Client:
    """What the clients have in common: the job, and a check of every answer."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.checked = 0

    def check(self, status: int | None, length: int) -> None:
        """Count an answer; its status and its body's length have to be right."""
        if status != 200 or length != self.job.expect:
            raise WrongAnswer(f"got {status} with {length} bytes, not 200 with {self.job.expect}")
        self.checked += 1

    def check_document(self, status: int | None, document: Any) -> None:
        """Count an answer by the rows of its parsed document; one that was sent has arrived."""
        if status != 200 or len(document["rows"]) != self.job.expect:
            raise WrongAnswer(f"got {status} with {document!r:.200}")
        if "received" in document and int(document["received"] or 0) < 500:
            raise WrongAnswer(f"the server received {document['received']!r} bytes")
        self.checked += 1

    def close(self) -> None:
        """End what the client has open."""


def main(make: Callable[[Job], Client]) -> None:
    """Do the job that the process was given, and print the report."""
    job = Job(**json.loads(sys.argv[1]))
    print(json.dumps(measure(make, job)))


def measure(make: Callable[[Job], Client], job: Job) -> dict[str, float]:
    """Do the job, and return a report: the fields of `benchmarks.results.Run`."""
    targets: Iterable[str] = job.targets(job.count)
    if job.action == "lazily":
        targets = (f"{job.urls[0]}?{number}" for number in range(job.count))
    client = None if job.cold else make(job)
    if client is not None and job.warm:
        # The last answers are kept until the next action, by some.
        _act(client, job.action, job.targets(job.warm, "w"))
        client.checked = 0
    gc.collect()
    before = resident("VmRSS")
    _reset_peak()
    cpu, start = _cpu(), time.perf_counter()
    if client is None:
        client = make(job)
    kept = _act(client, job.action, targets)
    seconds, used = time.perf_counter() - start, _cpu() - cpu
    peak = resident("VmHWM") - before
    gc.collect()
    held = resident("VmRSS") - before
    if job.action != "unsent" and client.checked != job.count:
        raise WrongAnswer(f"{client.checked} of {job.count} requests were answered")
    size = 0 if job.action in ("unsent", "parse", "post") else job.expect * job.count
    del kept
    client.close()
    return {
        "count": job.count,
        "size": size,
        "seconds": seconds,
        "cpu": used,
        "peak": peak,
        "held": held,
    }


def _act(client: Client, action: str, targets: Iterable[str]) -> Sequence[object] | None:
    kept: Sequence[object] | None = getattr(client, action)(targets)
    return kept


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident(name: str) -> int:
    """Return bytes in memory: ``VmRSS`` now, ``VmHWM`` at most since `_reset_peak`."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")
