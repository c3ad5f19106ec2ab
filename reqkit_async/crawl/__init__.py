"""Crawling: a loop over the pages of a site, that may be killed at any moment.

Stands on: pool, report, stats.

Begin reading at `crawl` (what users see), then `driver` (what is asked for when), `store` (what is
written down) and `frontier` (whose turn it is).
"""

from __future__ import annotations

from .crawl import Crawl
from .errors import NotAStore, RobotsUnreachable, StoreError, StoreInUse, StoreTooNew
from .stats import CrawlStats
from .visits import Known, Visit

__all__ = [
    "Crawl", "CrawlStats", "Known", "NotAStore", "RobotsUnreachable", "StoreError", "StoreInUse",
    "StoreTooNew", "Visit",
]  # fmt: skip
