"""What requests and responses weigh, by how much the process grows."""

from __future__ import annotations

from .. import servers
from ..results import Unit
from .case import Case

__all__ = ["CASES"]

CASES = (
    Case(
        "memory-unsent",
        "100,000 unsent requests",
        "unsent",
        count=100_000,
        distinct=True,
        warm=100,
        unit=Unit.HELD,
        peers={"reqkit": 1.0, "grequests": 1.0, "grequests-plain": 0.05},
    ),
    Case(
        "memory-finished",
        "10,000 finished responses, each beyond its body of 1 KB",
        "hold",
        count=10_000,
        expect=servers.SMALL,
        distinct=True,
        # No more than it takes to connect: what these leave free is used again, and not seen.
        warm=50,
        unit=Unit.HELD,
        peers={"reqkit": 1.0, "aiohttp": 1.0, "httpx": 0.3, "requests": 0.3, "grequests": 0.3},
    ),
    Case(
        "memory-in-flight",
        "5,000 in flight, with their connections",
        "fetch",
        count=5_000,
        expect=servers.SMALL,
        site="waiting",
        size=5_000,
        warm=0,
        distinct=True,
        files=5_100,
        unit=Unit.PEAK,
        peers=dict.fromkeys(("reqkit", "pycurl", "aiohttp", "geventhttpclient", "grequests"), 1.0),
    ),
    Case(
        "memory-imap",
        "imap over 200,000: all that the process grows by (grequests: over 10,000)",
        "lazily",
        count=200_000,
        expect=servers.SMALL,
        distinct=True,
        unit=Unit.GROWTH,
        peers={"reqkit": 1.0, "grequests": 0.05},
    ),
)
