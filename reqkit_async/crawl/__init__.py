"""Crawling: a loop over the pages of a site, that may be killed at any moment.

Stands on: pool, report, stats.

Begin reading at `crawl` (what users see) and `loop` (what becomes of a turn), then `driver` (what
is asked for when), `frontier` (whose turn it is) and `store` (what is written down).
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
