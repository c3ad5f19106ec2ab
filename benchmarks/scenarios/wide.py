"""Many https hosts with one request each: TLS settings, connecting and hand-shakes.

Everybody trusts a CA bundle of the usual size. Making the client counts, since nothing of it is
used twice but what the client itself shares among hosts.
"""

from __future__ import annotations

from .. import servers
from ..results import Unit
from .case import Case

__all__ = ["CASES"]

CASES = (
    Case(
        "wide",
        f"one 1 KB answer from each of {servers.HOSTS} https hosts, 50 at a time",
        "fetch",
        count=servers.HOSTS,
        expect=servers.SMALL,
        unit=Unit.PROCESSOR,
        site="hosts",
        cold=True,
        warm=0,
        peers={
            "reqkit": 1.0,
            "pycurl": 1.0,
            "aiohttp": 1.0,
            "geventhttpclient": 1.0,
            "httpx": 1.0,
            "grequests": 1.0,
            "grequests-plain": 0.25,
        },
    ),
)
