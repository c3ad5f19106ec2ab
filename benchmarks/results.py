"""What the runs came to: figures by case and peer, medians, and ratios round by round."""

from __future__ import annotations

import enum
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from .peers import REQKIT

__all__ = ["CaseResults", "Results", "Run", "Unit"]


@dataclass(frozen=True)
class Run:
    """What one client's process reported.

    Attributes:
        count: requests made (things imported, for imports).
        size: bytes of all bodies.
        seconds: how long it took, without the warm-up.
        cpu: seconds of processor time in it, all threads.
        peak: bytes by which the process grew while at it, at most.
        held: bytes by which it had grown in the end, what it returned being kept.
        modules: how many modules an import loaded.
    """

    count: int
    size: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    peak: int = 0
    held: int = 0
    modules: int = 0


class Unit(enum.Enum):
    """What a case measures: its heading, and how a run's figure is found."""

    RATE = "requests/s"
    MEGABYTES = "MB/s"
    HELD = "bytes each"
    PEAK = "peak bytes each"
    GROWTH = "peak KB in all"
    MILLISECONDS = "ms"
    PROCESSOR = "CPU µs each"

    @property
    def more_is_better(self) -> bool:
        return self in (Unit.RATE, Unit.MEGABYTES)

    def of(self, run: Run) -> float:
        """Return a run's figure; never 0, so that it can be divided by."""
        return max(_FIGURES[self](run), 1e-9)


_FIGURES: dict[Unit, Callable[[Run], float]] = {
    Unit.RATE: lambda run: run.count / run.seconds,
    Unit.MEGABYTES: lambda run: run.size / run.seconds / 1e6,
    Unit.HELD: lambda run: (run.held - run.size) / run.count,
    Unit.PEAK: lambda run: run.peak / run.count,
    Unit.GROWTH: lambda run: run.peak / 1024,
    Unit.PROCESSOR: lambda run: run.cpu / run.count * 1e6,
    Unit.MILLISECONDS: lambda run: run.seconds / run.count * 1e3,
}


@dataclass
class CaseResults:
    """One case's runs: by peer, one for each round; None where a run failed.

    Attributes:
        unit: what is measured.
        title: the case in a few words.
        runs: by the peer's key.
        failures: by the peer's key, why its last failed run did.
    """

    unit: Unit
    title: str
    runs: dict[str, list[Run | None]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def values(self, peer: str) -> list[float | None]:
        return [None if run is None else self.unit.of(run) for run in self.runs.get(peer, [])]

    def median(self, peer: str) -> float | None:
        return _median(self.values(peer))

    def rate(self, peer: str) -> float | None:
        """Return the median of the requests in a second."""
        return _median(
            None if run is None else Unit.RATE.of(run) for run in self.runs.get(peer, [])
        )

    def cpu(self, peer: str) -> float | None:
        """Return the median of the processor's microseconds for each request."""
        return _median(self.processor(peer))

    def processor(self, peer: str) -> list[float | None]:
        """Return the processor's microseconds for each request, round by round."""
        return [None if run is None else Unit.PROCESSOR.of(run) for run in self.runs.get(peer, [])]

    def modules(self, peer: str) -> int:
        return max((run.modules for run in self.runs.get(peer, []) if run is not None), default=0)

    def ratios(self, peer: str) -> list[float]:
        """Return, round by round, how many times as good as this peer reqkit was."""
        return ratios(self.values(REQKIT), self.values(peer), self.unit.more_is_better)


@dataclass
class Results:
    """All of one run of the benchmarks.

    Attributes:
        machine: what it ran on.
        versions: of everything that took part.
        rounds: how many there were.
        missing: what was left out, and why.
        cases: by name, in order.
    """

    machine: dict[str, str]
    versions: dict[str, str]
    rounds: int
    missing: list[str] = field(default_factory=list)
    cases: dict[str, CaseResults] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return any(case.failures for case in self.cases.values())

    def as_json(self) -> dict[str, Any]:
        return {
            "machine": self.machine,
            "versions": self.versions,
            "rounds": self.rounds,
            "missing": self.missing,
            "cases": {name: _case_as_json(case) for name, case in self.cases.items()},
        }


def ratios(
    ours: list[float | None], theirs: list[float | None], more_is_better: bool
) -> list[float]:
    """Divide two lists of figures, round by round; rounds in which one failed are left out."""
    return [
        mine / other if more_is_better else other / mine
        for mine, other in zip(ours, theirs, strict=False)
        if mine is not None and other is not None
    ]


def _median(values: Any) -> float | None:
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None


def _case_as_json(case: CaseResults) -> dict[str, Any]:
    return {
        "title": case.title,
        "unit": case.unit.value,
        "more_is_better": case.unit.more_is_better,
        "failures": case.failures,
        "peers": {
            peer: {
                "median": case.median(peer),
                "cpu_microseconds": case.cpu(peer),
                "ratios": case.ratios(peer),
                "runs": [None if run is None else asdict(run) for run in runs],
            }
            for peer, runs in case.runs.items()
        },
    }
