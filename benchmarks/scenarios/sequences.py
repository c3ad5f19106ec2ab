"""One request after another: in one session, and by the one-shot function.

Compared by processor time: most of the rest is the machine's waking up, which is the same for all.
"""

from __future__ import annotations

from .. import servers
from ..results import Unit
from .case import Case

__all__ = ["ONESHOT", "SEQ"]

SEQ = (
    Case(
        "seq",
        "1 KB answers over http in one session, one after another",
        "each",
        count=8_000,
        expect=servers.SMALL,
        size=1,
        unit=Unit.PROCESSOR,
        peers={
            "bare": 1.0,
            "reqkit": 1.0,
            "reqkit-pure": 1.0,
            "pycurl": 1.0,
            "aiohttp": 0.5,
            "geventhttpclient": 0.5,
            "httpx": 0.2,
            "requests": 0.2,
        },
    ),
)

ONESHOT = (
    Case(
        "oneshot",
        "1 KB answers over http by `get(url)` in a loop",
        "oneshot",
        count=5_000,
        expect=servers.SMALL,
        size=1,
        warm=10,
        unit=Unit.PROCESSOR,
        peers={"reqkit": 1.0, "httpx": 0.01, "requests": 0.1},
    ),
)
