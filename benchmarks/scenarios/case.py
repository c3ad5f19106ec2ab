"""One case: what each peer is told to do, and how much of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..peers import Peer
from ..results import Unit
from ..servers import Servers

__all__ = ["Case"]


@dataclass(frozen=True)
class Case:
    """A job for every peer.

    Attributes:
        name: what targets and files call it.
        title: what tables call it.
        action: the client's method that does it.
        count: how many requests; about a second's worth for the fastest.
        peers: who takes part, and what share of `count` is enough for it: figures are rates, and
            nobody wants to wait for the slowest.
        site: ``http``, ``https``, ``hosts`` (https, each request to another host), ``waiting``,
            or empty where no server is needed.
        path: what is asked for.
        expect: bytes of each body, or rows of each document.
        size: requests at a time.
        warm: requests made before the clock starts.
        cold: the client is made (session, TLS settings, CA bundle) while the clock runs.
        distinct: each URL differs from the others in its query.
        unit: what is measured.
        files: how many files the client has open.
        modules: by peer, what to import.
    """

    name: str
    title: str
    action: str
    count: int
    peers: Mapping[str, float]
    site: str = "http"
    path: str = "/small.txt"
    expect: int = 0
    size: int = 50
    warm: int = 200
    cold: bool = False
    distinct: bool = False
    unit: Unit = Unit.RATE
    files: int = 0
    modules: Mapping[str, str] = field(default_factory=dict)

    def job(self, peer: Peer, servers: Servers, quick: bool) -> dict[str, Any]:
        """Return what the peer's client is told, ready for JSON."""
        # What a few hundred answers weigh is lost in what the process had free before.
        share = self.peers[peer.key] * (1 if not quick else 0.3 if self.unit is Unit.HELD else 0.05)
        count = max(round(self.count * share), min(self.size, self.count), 1)
        job: dict[str, Any] = {
            "action": self.action,
            "way": peer.way,
            "count": count,
            "expect": self.expect,
            "size": self.size,
            "warm": min(self.warm, count),
            "cold": self.cold,
            "distinct": self.distinct,
            "bundle": str(servers.bundle) if self.site in ("https", "hosts") else None,
            "urls": [],
            "module": self.modules.get(peer.key, ""),
        }
        if self.site == "hosts":
            job["urls"] = servers.hosts(self.path)[:count]
        elif self.site:
            job["urls"] = [servers.url(self.site, self.path)]
        return job
