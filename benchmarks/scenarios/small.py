"""Small answers on kept connections, many at a time: what a request costs, and nothing else."""

from __future__ import annotations

from .. import servers
from ..results import Unit
from .case import Case

__all__ = ["SMALL", "TLS"]

_PEERS = {
    "reqkit": 1.0,
    "reqkit-pure": 1.0,
    "pycurl": 1.0,
    "aiohttp": 0.5,
    "geventhttpclient": 0.5,
    "httpx": 0.05,
    "grequests": 0.1,
    "grequests-plain": 0.05,
}

SMALL = (
    Case(
        "small",
        "1 KB answers over http, 50 at a time",
        "fetch",
        count=15_000,
        expect=servers.SMALL,
        unit=Unit.PROCESSOR,
        peers={"bare": 1.0, **_PEERS},
    ),
)

TLS = (
    Case(
        "tls",
        "1 KB answers over https, 50 at a time",
        "fetch",
        count=10_000,
        expect=servers.SMALL,
        unit=Unit.PROCESSOR,
        site="https",
        peers={key: share for key, share in _PEERS.items() if key != "grequests-plain"},
    ),
)
