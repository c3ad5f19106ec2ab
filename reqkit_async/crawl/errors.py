"""What goes wrong with a crawl itself, rather than with one of its pages."""

from __future__ import annotations

from reqkit._pickling import PickledAlone
from reqkit.exceptions import ConnectionError, RequestException

__all__ = [
    "CrawlRedirectError",
    "NotAStore",
    "RobotsUnreachable",
    "StoreError",
    "StoreInUse",
    "StoreTooNew",
]


class StoreError(PickledAlone, Exception):
    """A crawl's store cannot be opened, read or written; the message says what to do.

    What was committed before is still there. A crawl may be begun again once the cause is gone.
    """


class NotAStore(StoreError, ValueError):
    """The file is something else, and was left as it is."""


class StoreTooNew(StoreError):
    """The store was written by a newer version, and was left as it is."""


class StoreInUse(StoreError):
    """Another crawl has the store open. Safe to try again when that one has ended."""


class RobotsUnreachable(ConnectionError):
    """A page was not asked for, as its robots.txt could not be had.

    Safe to try again later: ``crawl.again(state="failed")``.

    Source: RFC 9309 section 2.3.1.4
    """


class CrawlRedirectError(RequestException):
    """A page redirects to where a crawler cannot go."""
