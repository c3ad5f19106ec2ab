"""Figures of a batch: counts, bytes, rate and latency, live and in bounded memory."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic, time
from typing import Any, Final

from reqkit.base.slotted import Slotted

from .latency import TOLD, Latency
from .traffic import Traffic

__all__ = ["Stats", "summarise"]

#: Answers whose details wait to be counted, all at once, as that is cheaper.
_WAITING: Final = 1000


class Stats(Slotted):
    """What a batch, or a pool, has done so far. ``str()`` gives a small table.

    Attributes:
        requests: how many have ended.
        statuses: status code to how many.
        errors: name of the error's class to how many.
        bytes: of decoded bodies.
        latency: `Latency` of those that were answered, in seconds.
        connections: how many were opened.
        retries: how many attempts were made anew.
        hook_errors: how many hooks raised.
        traffic: `Traffic`: when requests ended, by host, the slowest, examples of failures.

    Two can be added, such as those of several batches: ``seconds`` are those of both together.
    """

    __slots__ = (
        "_active",
        "_both",
        "_busy_since",
        "_bytes",
        "_clock",
        "_epoch",
        "_latency",
        "_requests",
        "_seconds",
        "_seen",
        "_statuses",
        "_traffic",
        "connections",
        "errors",
        "hook_errors",
        "retries",
    )

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        # These four, and `_traffic`, without the answers that wait in `_seen`.
        self._requests = 0
        self._statuses: dict[int, int] = {}
        self._bytes = 0
        self._latency = Latency()
        self.errors: dict[str, int] = {}
        self.connections: int = 0
        self.retries: int = 0
        self.hook_errors: int = 0
        self._clock = clock
        #: What added to a moment of the clock makes it a time of the epoch.
        self._epoch = time() - clock()
        self._traffic = Traffic()
        #: Answers that are not counted yet: URL, start, head, status, bytes.
        self._seen: list[tuple[Any, float, float, Any, int]] = []
        #: Requests with an error and a status from 400 on, which count as one failure.
        self._both = 0
        self._active = 0
        self._busy_since = 0.0
        self._seconds = 0.0

    def start(self) -> None:
        """Count a piece of work that begins: while there is one, `seconds` runs."""
        if not self._active:
            self._busy_since = self._clock()
        self._active += 1

    def stop(self) -> None:
        """Count a piece of work that has ended."""
        self._active -= 1
        if not self._active:
            self._seconds += self._clock() - self._busy_since

    def record(
        self,
        status: int | None,
        error: str | None = None,
        latency: float | None = None,
        size: int = 0,
        hook_errors: int = 0,
        *,
        url: str | None = None,
        message: str = "",
        when: float | None = None,
    ) -> None:
        """Count a request that has ended.

        Args:
            status: of the answer; None where there was none.
            error: name of the error's class, where it failed.
            latency: seconds until the answer; None where there was none.
            size: bytes of the decoded body.
            hook_errors: how many hooks raised.
            url: where the answer came from, or what was asked for.
            message: the error's, or the answer's reason.
            when: when it ended, of ``time.time()``; None for now.
        """
        self._requests += 1
        if status is not None:
            self._statuses[status] = self._statuses.get(status, 0) + 1
        if error is not None:
            self.errors[error] = self.errors.get(error, 0) + 1
            self._both += status is not None and status >= 400
        if latency is not None:
            self._latency.add(latency)
        self._bytes += size
        self.hook_errors += hook_errors
        when = time() if when is None else when
        self._traffic.add(url, when, latency, status, size, error, message)

    def fail(self, error: str, times: int, request: Any = None, cause: Any = None) -> None:
        """Count requests that have failed without an answer.

        Args:
            error: name of the error's class.
            times: how many.
            request: one of them, or what stood in its place.
            cause: its error.
        """
        self._requests += times
        self.errors[error] = self.errors.get(error, 0) + times
        url, message = getattr(request, "url", None), _text_of(cause)
        if times == 1:
            self._traffic.add(url, time(), None, None, 0, error, message)
        else:
            self._traffic.add_unsent(error, times, time(), url, message)

    def add(self, response: Any, hook_errors: list[Exception] | None = None) -> None:
        """Count a response that a request has ended in.

        Args:
            response: the response.
            hook_errors: what hooks raised, where that is not kept in the response itself.

        Raises:
            AttributeError: it is no response.
        """
        headed = response._headed
        if headed is not None and response.error is None:
            # All that most have; it is counted for many at once, which is much cheaper.
            seen = self._seen
            seen.append(
                (
                    response.url,
                    response._started,
                    headed,
                    response.status_code,
                    response._received,
                )
            )
            if len(seen) > _WAITING:
                self._count()
        else:
            self._add_unusual(response, response.error)
        if response._history:
            for before in response._history:
                if before._times is not None and before._times.connect is not None:
                    self.connections += 1
        errors = response._hook_errors or hook_errors
        if errors:
            self.hook_errors += len(errors)

    def extend(self, seen: list[tuple[Any, float, float, Any, int]]) -> None:
        """Count answers that another process has sent: URL, start, head, status, bytes of each."""
        self._seen += seen
        if len(self._seen) > _WAITING:
            self._count()

    def _add_unusual(self, response: Any, error: Exception | None) -> None:
        """Count what most have not: an error, a connection of their own."""
        status = response.status_code
        self._requests += 1
        if status is not None:
            self._statuses[status] = self._statuses.get(status, 0) + 1
        self._bytes += response._received
        if error is not None:
            name = type(error).__name__
            self.errors[name] = self.errors.get(name, 0) + 1
            self._both += isinstance(status, int) and status >= 400
        times = response._times
        latency = None
        if times is not None:
            if error is None and times.headed is not None:
                latency = times.headed - times.started
                self._latency.add(latency)
            if times.connect is not None:
                self.connections += 1
        self._traffic.add(
            response.url, time(), latency, status, response._received,
            None if error is None else type(error).__name__,
            _text_of(response.reason if error is None else error),
        )  # fmt: skip

    def _count(self) -> None:
        """Count the answers that wait for it."""
        seen, self._seen = self._seen, []
        self._requests += len(seen)
        statuses = self._statuses
        for status, times in Counter([answer[3] for answer in seen]).items():
            statuses[status] = statuses.get(status, 0) + times
        self._bytes += sum([answer[4] for answer in seen])
        self._latency.extend([answer[2] - answer[1] for answer in seen])
        self._traffic.add_answers(seen, self._epoch)

    @property
    def requests(self) -> int:
        """How many have ended."""
        return self._requests + len(self._seen)

    @property
    def statuses(self) -> dict[int, int]:
        """Status code to how many."""
        if self._seen:
            self._count()
        return self._statuses

    @property
    def bytes(self) -> int:
        """Bytes of decoded bodies."""
        if self._seen:
            self._count()
        return self._bytes

    @property
    def latency(self) -> Latency:
        """Seconds that those took which were answered."""
        if self._seen:
            self._count()
        return self._latency

    @property
    def traffic(self) -> Traffic:
        """When requests ended, at which hosts, the slowest, and examples of failures."""
        if self._seen:
            self._count()
        return self._traffic

    @property
    def failed(self) -> int:
        """How many had no answer, or one with a status from 400 on."""
        bad = sum(times for status, times in self.statuses.items() if status >= 400)
        return bad + sum(self.errors.values()) - self._both

    def __add__(self, other: Any) -> Stats:
        if not isinstance(other, Stats):
            return NotImplemented
        total = Stats()
        for one in (self, other):
            total._requests += one.requests
            total._bytes += one.bytes
            total.connections += one.connections
            total.retries += one.retries
            total.hook_errors += one.hook_errors
            total._both += one._both
            for status, times in one.statuses.items():
                total._statuses[status] = total._statuses.get(status, 0) + times
            for name, times in one.errors.items():
                total.errors[name] = total.errors.get(name, 0) + times
            total._latency.merge(one.latency)
            total._traffic.merge(one.traffic)
            total._seconds += one.seconds
        return total

    def __radd__(self, other: Any) -> Stats:
        return self + Stats() if other == 0 else NotImplemented  # for `sum`

    def as_dict(self) -> dict[str, Any]:
        """Return all figures as what JSON can hold, in bounded size.

        Beside the attributes: ``failed`` (errors, and statuses from 400 on), ``latency`` with its
        ``histogram`` (lists of from, to, how many), and what `traffic` tells: ``timeline hosts
        hosts_seen examples slowest``. Times are in seconds, moments in seconds since the epoch.
        """
        return {
            "requests": self.requests,
            "failed": self.failed,
            "statuses": dict(sorted(self.statuses.items())),
            "errors": dict(sorted(self.errors.items())),
            "bytes": self.bytes,
            "seconds": self.seconds,
            "rate": self.rate,
            "latency": {
                **self.latency.as_dict(),
                "histogram": [list(entry) for entry in self.latency.histogram()],
            },
            "connections": self.connections,
            "retries": self.retries,
            "hook_errors": self.hook_errors,
            **self.traffic.as_dict(),
        }

    def report(self, path: str | os.PathLike[str]) -> Path:
        """Write an HTML page with figures and pictures, which needs nothing else; return its path.

        Raises:
            ImportError: the extra ``cli`` is not installed.
            OSError: the file cannot be written.
        """
        from ..report import write_stats_report

        return write_stats_report(self, path)

    def _repr_html_(self) -> str:
        from ..report.notebook import stats_html

        return stats_html(self.as_dict())

    @property
    def seconds(self) -> float:
        """How long something was going on."""
        if self._active:
            return self._seconds + self._clock() - self._busy_since
        return self._seconds

    @property
    def rate(self) -> float:
        """Requests a second; 0 where the time is not known."""
        seconds = self.seconds
        return self.requests / seconds if seconds > 0 else 0.0

    def __str__(self) -> str:
        latency = self.latency
        rows = [
            ("requests", f"{self.requests:,}"),
            ("statuses", _spell(self.statuses)),
            ("errors", _spell(self.errors)),
            ("bytes", f"{self.bytes:,}"),
            ("seconds", f"{self.seconds:.2f}"),
            ("rate", f"{self.rate:,.1f}/s"),
            (
                "latency",
                "  ".join(f"{name} {getattr(latency, name) * 1000:.1f} ms" for name in TOLD),
            ),
            ("connections", f"{self.connections:,}"),
            ("retries", f"{self.retries:,}"),
            ("hook errors", f"{self.hook_errors:,}"),
        ]
        return "\n".join(f"{name:<12} {text}" for name, text in rows)

    def __repr__(self) -> str:
        return (
            f"<Stats requests={self.requests} errors={sum(self.errors.values())}"
            f" seconds={self.seconds:.2f} rate={self.rate:.1f}/s>"
        )

    def __getstate__(self) -> dict[str, Any]:
        # As it stands.
        if self._seen:
            self._count()
        state = {name: getattr(self, name) for name in self.__slots__ if name not in _OWN}
        return {**state, "_traffic": self._traffic, "_seconds": self.seconds}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__()  # type: ignore[misc]
        for name, value in state.items():
            setattr(self, name, value)


#: What means nothing to another process.
_OWN: Final = frozenset(
    ("_active", "_busy_since", "_clock", "_epoch", "_seconds", "_seen", "_traffic")
)


def _text_of(value: Any) -> str:
    """Return what an error or a reason says; never raises, as an error of somebody's may."""
    if value is None:
        return ""
    try:
        return str(value)
    except Exception:  # the `__str__` of an error of somebody's
        return ""


def _spell(counts: dict[Any, int]) -> str:
    if not counts:
        return "none"
    return "  ".join(f"{key}: {counts[key]:,}" for key in sorted(counts, key=str))


def summarise(responses: Iterable[Any], seconds: float | None = None) -> Stats:
    """Count what came of a batch.

    Never reads a body: ``bytes`` are of those that have been read.

    Args:
        responses: what `map` or `imap` gave. An entry that is no response (an
            ``exception_handler`` made it) is counted as an error by its class's name, and None
            as ``None``.
        seconds: how long the batch took; what ``seconds`` and ``rate`` are to say. Left out, it
            is the time from the first request's start to the last one's end, where the responses
            know it, else 0.
    """
    stats = Stats()
    first, last = math.inf, -math.inf
    for response in responses:
        try:
            stats.add(response)
        except AttributeError:
            stats.record(None, "None" if response is None else type(response).__name__)
            continue
        stats.retries += response.__dict__.get("retries", 0)  # a pool's wrote it down
        times = response._times
        if times is not None:
            first = min(first, times.started)
            last = max(last, times.received or times.headed or times.started)
    if seconds is None:
        seconds = max(last - first, 0.0) if last > first else 0.0
    stats._seconds = float(seconds)
    return stats
