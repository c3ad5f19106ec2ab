"""One big body, streamed in pieces that are dropped."""

from __future__ import annotations

from .. import servers
from ..results import Unit
from .case import Case

__all__ = ["CASES"]

_PEERS = ("bare", "reqkit", "pycurl", "aiohttp", "geventhttpclient", "httpx", "requests")

CASES = (
    Case(
        "big",
        "100 MB streamed over http, five times",
        "stream",
        count=5,
        path="/big.bin",
        expect=servers.BIG,
        size=1,
        warm=1,
        unit=Unit.MEGABYTES,
        peers=dict.fromkeys(_PEERS, 1.0),
    ),
)
