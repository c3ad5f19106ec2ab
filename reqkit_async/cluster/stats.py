"""Figures of what workers did: taken out there as plain values, and counted here."""

from __future__ import annotations

from typing import Any

from ..stats import Stats

__all__ = ["Figures", "Recorder", "add_figures", "take_figures"]

#: Counts, statuses, errors, latencies, answers whose details are to be counted, other details.
Figures = tuple[
    tuple[int, int, int, int, int], dict[int, int], dict[str, int], list[float],
    list[tuple[Any, ...]], list[tuple[Any, ...]],
]  # fmt: skip


class Recorder:
    """Takes the place of a worker's `Traffic`: keeps what the caller's is to count."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def add(self, *details: Any) -> None:
        """Keep what `Traffic.add` is told."""
        self.calls.append(("add", *details))

    def add_unsent(self, *details: Any) -> None:
        """Keep what `Traffic.add_unsent` is told."""
        self.calls.append(("add_unsent", *details))

    def add_answers(self, *details: Any) -> None:
        """Keep what `Traffic.add_answers` is told."""
        self.calls.append(("add_answers", *details))


def take_figures(stats: Stats, recorder: Recorder, shift: float) -> Figures:
    """Take what was counted since the last time out of figures.

    Args:
        stats: a worker's, with the recorder in it.
        recorder: that one.
        shift: seconds that the caller's clock is ahead.
    """
    # All but what those have come to that are in ``seen``, which is counted where it is sent to.
    counts = stats._requests, stats._bytes, stats.connections, stats.retries, stats.hook_errors
    seen, stats._seen = stats._seen, []
    if shift:
        seen = [
            (url, started + shift, headed + shift, status, size)
            for url, started, headed, status, size in seen
        ]
    figures = (
        counts, stats._statuses, stats.errors, stats._latency._recent, seen, recorder.calls
    )  # fmt: skip
    stats._requests = stats._bytes = stats.connections = stats.retries = stats.hook_errors = 0
    stats._statuses = {}
    stats.errors = {}
    stats._latency._recent = []
    recorder.calls = []
    return figures


def add_figures(stats: Stats, figures: Figures) -> None:
    """Count what was taken out of a worker's."""
    counts, statuses, errors, latencies, seen, calls = figures
    requests, size, connections, retries, hook_errors = counts
    stats._requests += requests
    stats._bytes += size
    stats.connections += connections
    stats.retries += retries
    stats.hook_errors += hook_errors
    for status, times in statuses.items():
        stats._statuses[status] = stats._statuses.get(status, 0) + times
    for name, times in errors.items():
        stats.errors[name] = stats.errors.get(name, 0) + times
    stats._latency.extend(latencies)
    stats.extend(seen)
    for name, *details in calls:
        getattr(stats._traffic, name)(*details)
