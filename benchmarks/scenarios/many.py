"""Very many at a time, from a server that waits before it answers."""

from __future__ import annotations

from .. import servers
from .case import Case

__all__ = ["CASES"]


def _case(size: int, count: int) -> Case:
    return Case(
        f"many-{size}",
        f"{size:,} at a time, each answered after {servers.DELAY * 1000:.0f} ms",
        "fetch",
        count=count,
        expect=servers.SMALL,
        site="waiting",
        size=size,
        warm=0,
        files=size + 100,
        # The slower ones spend longer than the server waits where there are many at a time.
        peers={
            "reqkit": 1.0,
            "pycurl": 1.0,
            "aiohttp": 1.0,
            "geventhttpclient": 1.0,
            "grequests": 0.25 if size >= 1000 else 1.0,
        },
    )


CASES = (_case(10, 150), _case(100, 1_500), _case(1000, 15_000), _case(5000, 30_000))
