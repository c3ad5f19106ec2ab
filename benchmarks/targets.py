"""What has to come out, as ratios to the peers and as limits, and whether it did."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from .peers import PEERS, REQKIT
from .results import Results, ratios

__all__ = ["LIMITS", "TARGETS", "Limit", "Target", "Verdict", "verdicts"]


@dataclass(frozen=True)
class Target:
    """How many times as good as a peer reqkit has to be, as the median of all rounds.

    Attributes:
        case: the case's name.
        peer: the key of the peer to compare with.
        at_least: the ratio that has to be reached.
        aim: the ratio that would be better still.
        other: another case, where it is its figure that counts.
    """

    case: str
    peer: str
    at_least: float
    aim: float | None = None
    other: str | None = None


@dataclass(frozen=True)
class Limit:
    """What reqkit's own figure in a case may be at most."""

    case: str
    at_most: float


@dataclass(frozen=True)
class Verdict:
    """One target or limit beside what was measured; `measured` is None where nothing was."""

    case: str
    against: str
    wanted: str
    measured: float | None
    reached: bool


TARGETS = (
    Target("real", "bare", 0.39),
    Target("real", "reqkit-pure", 1.15),
    Target("real", "pycurl", 0.65),
    Target("real", "aiohttp", 2.2),
    Target("real", "geventhttpclient", 2.5),
    Target("real-seq", "requests", 10),
    Target("small", "reqkit-pure", 0.95),
    Target("tls", "reqkit-pure", 0.95),
    Target("seq", "reqkit-pure", 0.95),
    Target("small", "bare", 0.45, aim=0.6),
    Target("small", "grequests", 12),
    Target("small", "geventhttpclient", 2.5),
    Target("small", "aiohttp", 2),
    Target("small", "pycurl", 0.5),
    Target("tls", "grequests", 8),
    Target("tls", "geventhttpclient", 1.7),
    Target("tls", "aiohttp", 1.5),
    Target("wide", "grequests-plain", 25),
    Target("wide", "aiohttp", 1.2),
    Target("wide", "pycurl", 0.7),
    Target("json", "grequests", 4),
    Target("json", "geventhttpclient", 1.3),
    Target("json", "aiohttp", 1.2),
    Target("seq", "bare", 0.4),
    Target("seq", "requests", 12),
    Target("seq", "httpx", 3),
    Target("seq", "geventhttpclient", 1.2),
    Target("oneshot", "requests", 14),
    Target("oneshot", "httpx", 20),
    Target("big", "bare", 0.8),
    Target("big", "requests", 1),
    Target("many-1000", REQKIT, 1, other="many-100"),
    Target("many-5000", REQKIT, 1, other="many-100"),
)

LIMITS = (Limit("memory-finished", 3 * 1024),)


def measure(target: Target, results: Results) -> list[float]:
    """Return a target's ratios, round by round; none where the case or a peer did not run."""
    case, other = results.cases.get(target.case), results.cases.get(target.other or target.case)
    if case is None or other is None:
        return []
    return ratios(case.values(REQKIT), other.values(target.peer), case.unit.more_is_better)


def verdicts(results: Results) -> list[Verdict]:
    """Hold the results against the targets and limits of the cases that ran."""
    found = []
    for target in TARGETS:
        if target.case not in results.cases:
            continue
        measured = measure(target, results)
        ratio = statistics.median(measured) if measured else None
        found.append(
            Verdict(
                target.case,
                target.other or PEERS[target.peer].title,
                f"≥ {target.at_least:g}" + (f" (aim {target.aim:g})" if target.aim else ""),
                ratio,
                ratio is not None and ratio >= target.at_least,
            )
        )
    for limit in LIMITS:
        if limit.case not in results.cases:
            continue
        case = results.cases[limit.case]
        median = case.median(REQKIT)
        found.append(
            Verdict(
                limit.case,
                case.unit.value,
                f"≤ {limit.at_most:,.0f}",
                median,
                median is not None and median <= limit.at_most,
            )
        )
    return found
