"""Who takes part: the peers, the module that drives each, and what has to be installed for it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

__all__ = ["PEERS", "REQKIT", "Peer"]


@dataclass(frozen=True)
class Peer:
    """One way to make requests.

    Attributes:
        key: what cases call it.
        title: what tables call it.
        client: the module of `benchmarks.clients` that drives it.
        needs: the distributions that have to be there.
        way: which of the module's ways, where it has several.
    """

    key: str
    title: str
    client: str
    needs: tuple[str, ...] = ()
    way: str = ""

    def versions(self) -> dict[str, str]:
        """Return the versions of what it needs.

        Raises:
            PackageNotFoundError: one of them is not installed.
        """
        return {name: metadata.version(name) for name in self.needs}


#: The key of the peer that the others are compared with.
REQKIT = "reqkit"

#: By key, in the order in which they run and are shown.
PEERS = {
    peer.key: peer
    for peer in (
        Peer("bare", "bare sockets", "bare", ("gevent",)),
        Peer(REQKIT, "reqkit", "reqkit", ("gevent", "urllib3")),
        Peer("reqkit-pure", "reqkit without its extension", "reqkit", ("gevent",), "pure"),
        Peer("pycurl", "libcurl multi (pycurl)", "pycurl", ("pycurl",)),
        Peer("aiohttp", "aiohttp + uvloop", "aiohttp", ("aiohttp", "uvloop")),
        Peer("geventhttpclient", "geventhttpclient", "geventhttpclient", ("geventhttpclient",)),
        Peer("httpx", "httpx", "httpx", ("httpx", "uvloop")),
        Peer("requests", "requests", "requests", ("requests",)),
        Peer("grequests", "grequests, one session", "grequests", ("grequests",), "session"),
        Peer("grequests-plain", "grequests, as people use it", "grequests", ("grequests",)),
    )
}
