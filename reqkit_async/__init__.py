"""reqkit_async: very many HTTP requests at once, on a pool of greenlets.

>>> import reqkit_async
>>> requests = [reqkit_async.get(url) for url in ()]
>>> reqkit_async.map(requests, size=50)
[]

Nothing is patched, and nothing needs to be: sockets, TLS, names and waiting are gevent's own on
the way of these requests, and those of the rest of the process stay as they are.
"""

from __future__ import annotations

from reqkit import Request, Response, Session, Timeouts, exceptions, session

from .api import delete, get, head, options, patch, post, put, request, send
from .batches import Pool, imap, imap_enumerated, imap_unordered, map
from .crawl import (
    Crawl,
    CrawlStats,
    NotAStore,
    RobotsUnreachable,
    StoreError,
    StoreInUse,
    StoreTooNew,
)  # fmt: skip
from .downloads import DownloadItem, download
from .network.dns import Resolver, set_resolver
from .stats import Stats, summarise

#: What grequests calls an unsent request.
AsyncRequest = Request

__all__ = [
    "AsyncRequest", "Crawl", "CrawlStats", "DownloadItem", "NotAStore", "Pool", "Request",
    "Resolver", "Response", "RobotsUnreachable", "Session", "Stats", "StoreError", "StoreInUse",
    "StoreTooNew", "Timeouts", "delete", "download", "exceptions", "get", "head", "imap",
    "imap_enumerated", "imap_unordered", "map", "options", "patch", "post", "put", "request",
    "send", "session", "set_resolver", "summarise",
]  # fmt: skip


def __dir__() -> list[str]:
    """Return the names that are for users."""
    return sorted(__all__)
