"""When requests ended, at which hosts, how slow the slowest were, and examples of what failed.

What a report shows beside plain counts. Memory is bounded, however many requests there are.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from typing import Any, Final

from reqkit.base.slotted import Slotted
from reqkit.message.urls import without_secrets

__all__ = ["Hosts", "Timeline", "Traffic"]

#: Spans of a timeline at most; then they are made twice as wide.
_SPANS: Final = 512
_NARROWEST: Final = 0.125
#: Hosts that are kept by name at most; then the half with the fewest requests is put together.
_HOSTS: Final = 2000
#: Kinds of failures, and examples for each of them.
_KINDS: Final = 100
_EXAMPLES: Final = 3
_SLOWEST: Final = 20
#: Of a URL or a message, as many characters.
_LONGEST: Final = 500


class Timeline(Slotted):
    """How many requests ended, and how many of them failed, by spans of time.

    Attributes:
        width: of a span, in seconds.
    """

    __slots__ = ("_spans", "width")

    def __init__(self) -> None:
        self.width: float = _NARROWEST
        #: Number of the span since the epoch, to how many ended and failed in it.
        self._spans: dict[int, list[int]] = {}

    def add(self, when: float, failed: bool = False, times: int = 1) -> None:
        """Count a request that ended at a time of ``time.time()``, or several."""
        number = int(when / self.width)
        span = self._spans.get(number)
        if span is None:
            span = self._spans[number] = [0, 0]
            if len(self._spans) > 1:
                self._fit()
                # What was just counted may be in a wider span now.
                span = self._spans[int(when / self.width)]
        span[0] += times
        if failed:
            span[1] += times

    def _fit(self) -> None:
        while max(self._spans) - min(self._spans) >= _SPANS:
            self._widen()

    def _widen(self) -> None:
        self.width *= 2
        spans: dict[int, list[int]] = {}
        for number, (ended, failed) in self._spans.items():
            span = spans.setdefault(number // 2, [0, 0])
            span[0] += ended
            span[1] += failed
        self._spans = spans

    def merge(self, other: Timeline) -> None:
        """Count what another has counted, too."""
        while self.width < other.width:
            self._widen()
        for number, (ended, failed) in other._spans.items():
            span = self._spans.setdefault(int(number * other.width / self.width), [0, 0])
            span[0] += ended
            span[1] += failed
        if self._spans:
            self._fit()

    def as_dict(self) -> dict[str, Any]:
        """Return ``from`` (seconds since the epoch), ``width``, and lists ``ended``, ``failed``."""
        if not self._spans:
            return {"from": None, "width": self.width, "ended": [], "failed": []}
        first, last = min(self._spans), max(self._spans)
        spans = [self._spans.get(number, (0, 0)) for number in range(first, last + 1)]
        return {
            "from": first * self.width,
            "width": self.width,
            "ended": [span[0] for span in spans],
            "failed": [span[1] for span in spans],
        }


class Hosts(Slotted):
    """Figures by host: exact for as many as are kept by name, the rest put together."""

    __slots__ = ("_hosts", "_names", "others", "others_hosts")

    def __init__(self) -> None:
        #: Name to requests, failed, bytes, and of latencies the number, the sum and the longest.
        self._hosts: dict[str, list[float]] = {}
        self._names: dict[str, str] = {}
        self.others: list[float] = [0, 0, 0, 0, 0.0, 0.0]
        #: How often a host was put to the others.
        self.others_hosts: int = 0

    def add(self, url: str, failed: bool, size: int, seconds: float | None) -> None:
        """Count a request that has ended."""
        host = self.figures(url)
        host[0] += 1
        host[1] += failed
        host[2] += size
        if seconds is not None:
            host[3] += 1
            host[4] += seconds
            if seconds > host[5]:
                host[5] = seconds

    def figures(self, url: str) -> list[float]:
        """Return the figures of a URL's host: good until another host's are asked for."""
        parts = url.split("/", 3)
        authority = parts[2] if len(parts) > 2 else ""
        name = self._names.get(authority)
        if name is None:
            name = self._name(authority)
        host = self._hosts.get(name)
        if host is None:
            if len(self._hosts) >= _HOSTS:
                self._put_together()
            host = self._hosts[name] = [0, 0, 0, 0, 0.0, 0.0]
        return host

    def add_unsent(self, times: int) -> None:
        """Count requests that were never sent, so that nobody asked for their hosts."""
        figures = self._hosts.setdefault("(not sent)", [0, 0, 0, 0, 0.0, 0.0])
        figures[0] += times
        figures[1] += times

    def _name(self, authority: str) -> str:
        """Return a host's name of what stands in its place in a URL."""
        name = authority.partition("?")[0].partition("#")[0].rpartition("@")[2].lower()
        name = (name or "(none)")[:260]
        if len(self._names) >= 2 * _HOSTS:
            self._names.clear()
        self._names[authority] = name
        return name

    def _put_together(self) -> None:
        fewest = sorted(self._hosts, key=lambda name: self._hosts[name][0])[: _HOSTS // 2]
        for name in fewest:
            _sum(self.others, self._hosts.pop(name))
        self.others_hosts += len(fewest)

    def merge(self, other: Hosts) -> None:
        """Count what another has counted, too."""
        for name, figures in other._hosts.items():
            _sum(self._hosts.setdefault(name, [0, 0, 0, 0, 0.0, 0.0]), figures)
        _sum(self.others, other.others)
        self.others_hosts += other.others_hosts
        while len(self._hosts) > _HOSTS:
            self._put_together()

    def as_dicts(self, most: int) -> list[dict[str, Any]]:
        """Return the hosts with the most requests; ``host`` None is all the others."""
        ordered = sorted(self._hosts.items(), key=lambda entry: (-entry[1][0], entry[0]))
        rest = list(self.others)
        for _, figures in ordered[most:]:
            _sum(rest, figures)
        found = [_host_dict(name, figures) for name, figures in ordered[:most]]
        if rest[0]:
            found.append(_host_dict(None, rest))
        return found

    def __len__(self) -> int:
        """Return how many hosts there are; at least, where some were put together."""
        return len(self._hosts) + self.others_hosts


def _sum(figures: list[float], more: list[float]) -> None:
    longest = max(figures[5], more[5])
    figures[:] = map(sum, zip(figures, more, strict=True))
    figures[5] = longest


def _host_dict(name: str | None, figures: list[float]) -> dict[str, Any]:
    requests, failed, size, answered, seconds, longest = figures
    return {
        "host": name,
        "requests": requests,
        "failed": failed,
        "bytes": size,
        "mean": seconds / answered if answered else None,
        "max": longest if answered else None,
    }


class Traffic(Slotted):
    """All of these, fed by `add`.

    Attributes:
        timeline: a `Timeline`.
        hosts: `Hosts`.
        examples: a failure's kind (an error's class, or a status) to pairs of URL and message.
        slowest: triples of seconds, URL and status; the slowest first in `as_dict`.
    """

    __slots__ = ("examples", "hosts", "slowest", "timeline")

    def __init__(self) -> None:
        self.timeline: Timeline = Timeline()
        self.hosts: Hosts = Hosts()
        self.examples: dict[str, list[tuple[str, str]]] = {}
        self.slowest: list[tuple[float, str, int]] = []

    def add(
        self,
        url: Any,
        when: float,
        seconds: float | None,
        status: int | None,
        size: int,
        error: str | None = None,
        message: str = "",
    ) -> None:
        """Count a request that has ended.

        Args:
            url: where the answer came from, or what was asked for.
            when: the time of its end, of ``time.time()``.
            seconds: until the answer; None where there was none.
            status: of the answer; None where there was none.
            size: bytes of the body.
            error: the name of the error's class, where it failed.
            message: the error's, or the answer's reason.
        """
        failed = error is not None or (status is not None and status >= 400)
        url = url if isinstance(url, str) else ""
        self.timeline.add(when, failed)
        self.hosts.add(url, failed, size, seconds)
        if failed:
            self._add_example(error or str(status), url, message)
        if seconds is not None:
            slowest = self.slowest
            if len(slowest) < _SLOWEST:
                heapq.heappush(slowest, (seconds, _short(url), status or 0))
            elif seconds > slowest[0][0]:
                heapq.heapreplace(slowest, (seconds, _short(url), status or 0))

    def add_answers(
        self, answers: Iterable[tuple[Any, float, float, Any, int]], epoch: float
    ) -> None:
        """Count answers as `add` does, many at once, in a third of its time.

        Args:
            answers: of each the URL, when it was asked for, when its head had come, the status,
                and bytes of the body.
            epoch: what added to these moments makes them times of ``time.time()``.
        """
        timeline, hosts, slowest = self.timeline, self.hosts, self.slowest
        add, width = timeline.add, timeline.width
        when, number, ended = 0.0, -1, 0  # the last span, and how many ended in it, not counted yet
        site, figures = "?", [0.0]  # what the last URL began with, and its host's figures
        for url, started, headed, status, size in answers:
            if type(status) is not int or status >= 400 or type(url) is not str:
                self.add(url, epoch + headed, headed - started, status, size)
                site = "?"
                continue
            seconds = headed - started
            if int((epoch + headed) / width) != number:
                if ended:
                    add(when, times=ended)
                    ended = 0
                width = timeline.width
                number = int((epoch + headed) / width)
            when = epoch + headed
            ended += 1
            if not url.startswith(site):
                site = url[: url.find("/", 8) + 1] or "?"
                figures = hosts.figures(url)
            figures[0] += 1
            figures[2] += size
            figures[3] += 1
            figures[4] += seconds
            if seconds > figures[5]:
                figures[5] = seconds
            if len(slowest) < _SLOWEST:
                heapq.heappush(slowest, (seconds, _short(url), status))
            elif seconds > slowest[0][0]:
                heapq.heapreplace(slowest, (seconds, _short(url), status))
        if ended:
            add(when, times=ended)

    def add_unsent(self, error: str, times: int, when: float, url: Any, message: str) -> None:
        """Count requests that were never sent; one of them is an example."""
        self.timeline.add(when, True, times)
        self.hosts.add_unsent(times)
        self._add_example(error, url if isinstance(url, str) else "", message)

    def _add_example(self, kind: str, url: str, message: str) -> None:
        examples = self.examples.get(kind)
        if examples is None:
            if len(self.examples) >= _KINDS:
                return
            examples = self.examples[kind] = []
        if len(examples) < _EXAMPLES:
            examples.append((_short(url), message[:_LONGEST]))

    def merge(self, other: Traffic) -> None:
        """Count what another has counted, too."""
        self.timeline.merge(other.timeline)
        self.hosts.merge(other.hosts)
        for kind, examples in other.examples.items():
            for url, message in examples:
                self._add_example(kind, url, message)
        self.slowest = heapq.nlargest(_SLOWEST, [*self.slowest, *other.slowest])
        heapq.heapify(self.slowest)

    def as_dict(self, hosts: int = 30) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        return {
            "timeline": self.timeline.as_dict(),
            "hosts": self.hosts.as_dicts(hosts),
            "hosts_seen": len(self.hosts),
            "examples": {
                kind: [{"url": url, "message": message} for url, message in examples]
                for kind, examples in self.examples.items()
            },
            "slowest": [
                {"seconds": seconds, "url": url, "status": status or None}
                for seconds, url, status in sorted(self.slowest, reverse=True)
            ],
        }


def _short(url: str) -> str:
    url = without_secrets(url)
    return url if len(url) <= _LONGEST else url[: _LONGEST - 1] + "…"


def spread(
    classes: Iterable[tuple[float, float, int]], most: int
) -> list[tuple[float, float, int]]:
    """Put classes (from, to, how many) together, so that there are at most so many, alike wide.

    Widths are alike by their logarithms, as those of `Latency`'s classes are.
    """
    ordered = sorted(classes)
    if not ordered:
        return []
    first, last = ordered[0][0], ordered[-1][1]
    ratio = math.log(last / first) / most
    counts = [0] * most
    for low, high, count in ordered:
        middle = math.sqrt(low * high)
        counts[min(int(math.log(middle / first) / ratio), most - 1)] += count
    edges = [first * math.exp(ratio * number) for number in range(most + 1)]
    return list(zip(edges, edges[1:], counts, strict=False))
