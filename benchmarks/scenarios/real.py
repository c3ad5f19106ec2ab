"""Answers as the web has them: 22 lines of head, three of them new each time, to a new URL each.

Where a server says the same again, as in `small`, a client may get by with less. Compared by
processor time, which says the same on a busy machine.
"""

from __future__ import annotations

from dataclasses import replace

from .. import servers
from ..results import Unit
from .case import Case

__all__ = ["REAL", "REAL_SEQ", "REAL_TLS"]

_PEERS = {
    "reqkit": 1.0,
    "reqkit-pure": 1.0,
    "pycurl": 1.0,
    "aiohttp": 0.5,
    "geventhttpclient": 0.5,
    "httpx": 0.05,
    "grequests": 0.1,
}

_CASE = Case(
    "real",
    "1 KB answers with 22 lines of head, three of them new, over http, 50 at a time",
    "fetch",
    count=15_000,
    expect=servers.SMALL,
    path="/real.txt",
    distinct=True,
    unit=Unit.PROCESSOR,
    peers={"bare": 1.0, **_PEERS},
)

REAL = (_CASE,)

REAL_TLS = (
    replace(
        _CASE,
        name="real-tls",
        title=_CASE.title.replace("http,", "https,"),
        count=10_000,
        site="https",
        peers=_PEERS,
    ),
)

REAL_SEQ = (
    replace(
        _CASE,
        name="real-seq",
        title="the same in one session, one after another",
        action="each",
        count=8_000,
        size=1,
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
