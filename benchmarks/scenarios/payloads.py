"""JSON: a gzipped document that is parsed, and documents up and down."""

from __future__ import annotations

from .. import servers
from ..results import Unit
from .case import Case

__all__ = ["JSON", "POST"]

_PEERS = {
    "reqkit": 1.0,
    "pycurl": 1.0,
    "aiohttp": 1.0,
    "geventhttpclient": 1.0,
    "httpx": 0.1,
    "grequests": 0.2,
}

JSON = (
    Case(
        "json",
        "13 KB of JSON, sent gzipped and parsed, 50 at a time",
        "parse",
        count=5_000,
        path="/rows.json",
        expect=servers.ROWS,
        unit=Unit.PROCESSOR,
        peers=_PEERS,
    ),
)

POST = (
    Case(
        "post",
        "1 KB of JSON up, 1 KB of JSON down and parsed, 50 at a time",
        "post",
        count=8_000,
        path="/post",
        expect=servers.POSTED_ROWS,
        unit=Unit.PROCESSOR,
        peers=_PEERS,
    ),
)
