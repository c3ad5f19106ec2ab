"""Figures of a batch: counts, rate, latency, hosts and failures, live and in bounded memory.

What it knows: what is counted of a request that has ended.

Stands on: report.
Begin reading at `stats.Stats`; `latency` and `traffic` keep what is more than a number.
"""

from __future__ import annotations

from .latency import Latency
from .stats import Stats, summarise

__all__ = ["Latency", "Stats", "summarise"]
