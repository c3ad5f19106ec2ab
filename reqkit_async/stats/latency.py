"""How long requests took, in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from itertools import repeat
from operator import truediv
from typing import Final

from reqkit.base.slotted import Slotted

from .traffic import spread

__all__ = ["EXACT", "TOLD", "Latency"]

#: Up to so many latencies are kept as they are; more are counted in classes.
EXACT: Final = 1000
#: What is told of latencies.
TOLD: Final = ("mean", "p50", "p90", "p99", "max")
# Classes are 2 % wide, so the middle of one is within 1 % of all in it.
_WIDTH: Final = 1.02
_LOG_WIDTH: Final = math.log(_WIDTH)
_SHORTEST: Final = 1e-6


class Latency(Slotted):
    """How long requests took, in seconds. Exact for few; within 1 % for many.

    Memory is bounded: a microsecond to a day makes some 1,300 classes.
    """

    __slots__ = ("_classes", "_count", "_max", "_recent", "_sum")

    def __init__(self) -> None:
        #: Those that are in no class yet: all, as long as they are few.
        self._recent: list[float] = []
        # All that is below is of those that are in classes.
        self._classes: Counter[int] = Counter()
        self._count = 0
        self._sum = 0.0
        self._max = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        recent = self._recent
        recent.append(seconds)
        if len(recent) > EXACT:
            self._classify()

    def extend(self, seconds: list[float]) -> None:
        """Count several."""
        self._recent += seconds
        if len(self._recent) > EXACT:
            self._classify()

    def _classify(self) -> None:
        """Count the recent ones in their classes; all at once, as that is much cheaper."""
        recent, self._recent = self._recent, []
        if not recent:
            return
        self._count += len(recent)
        self._sum += sum(recent)
        self._max = max(self._max, max(recent))
        if min(recent) < _SHORTEST:
            recent = [max(seconds, _SHORTEST) for seconds in recent]
        logarithms = map(math.log, map(truediv, recent, repeat(_SHORTEST)))
        self._classes.update(map(int, map(truediv, logarithms, repeat(_LOG_WIDTH))))

    def __len__(self) -> int:
        """Return how many were counted."""
        return self._count + len(self._recent)

    @property
    def mean(self) -> float:
        """The mean; 0 where there was none, as with the others."""
        return (self._sum + sum(self._recent)) / len(self) if len(self) else 0.0

    @property
    def max(self) -> float:
        """The longest."""
        return max([self._max, *self._recent])

    @property
    def p50(self) -> float:
        """Half of them took no longer."""
        return self.percentile(50)

    @property
    def p90(self) -> float:
        """Nine in ten took no longer."""
        return self.percentile(90)

    @property
    def p99(self) -> float:
        """Ninety-nine in a hundred took no longer."""
        return self.percentile(99)

    def percentile(self, percent: float) -> float:
        """Return what so many percent took no longer than."""
        if not len(self):
            return 0.0
        rank = max(math.ceil(len(self) * percent / 100), 1)
        if not self._count:
            return sorted(self._recent)[rank - 1]
        self._classify()
        for number in sorted(self._classes):
            rank -= self._classes[number]
            if rank <= 0:
                return min(_SHORTEST * math.pow(_WIDTH, number + 0.5), self._max)
        return self._max

    def merge(self, other: Latency) -> None:
        """Count what another has counted, too."""
        self._recent.extend(other._recent)
        self._classes.update(other._classes)
        self._count += other._count
        self._sum += other._sum
        self._max = max(self._max, other._max)
        if self._count or len(self._recent) > EXACT:
            self._classify()

    def histogram(self, most: int = 40) -> list[tuple[float, float, int]]:
        """Return at most so many classes: from and to (seconds), and how many lie between."""
        copy = Latency()
        copy.merge(self)
        copy._classify()
        edge = partial(math.pow, _WIDTH)
        classes = [
            (_SHORTEST * edge(number), _SHORTEST * edge(number + 1), count)
            for number, count in copy._classes.items()
        ]
        return spread(classes, most)

    def as_dict(self) -> dict[str, float]:
        """Return ``mean p50 p90 p99 max``, in seconds."""
        return {name: getattr(self, name) for name in TOLD}

    def __repr__(self) -> str:
        return (
            f"Latency(mean={self.mean:.6f}, p50={self.p50:.6f}, p90={self.p90:.6f},"
            f" p99={self.p99:.6f}, max={self.max:.6f})"
        )
