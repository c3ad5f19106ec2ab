"""Many hosts on the usual ports, played by two local servers.

Names and ports are mapped by a network of the tests' own, so that tests can tell http on port 80
from https on port 443, and one host from another, as URLs have them.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import reqkit
from reqkit.network import Address, StdlibNetwork, network
from reqkit_async.network import GEVENT

from .messages import Received, answer
from .scripted import Connection, ScriptedServer
from .tls import Authority

#: An answer, or what makes one of the request.
Answer = bytes | Callable[[Received], bytes]


class Town(StdlibNetwork):
    """All names lead to two servers: ports 443 and 8443 to the one with TLS."""

    def __init__(self, plain: ScriptedServer, secure: ScriptedServer, bundle: str) -> None:
        self.plain = plain
        self.secure = secure
        self.bundle = bundle
        #: Path to the answer; what is not there is a 200.
        self.answers: dict[str, Answer] = {}

    def scope(self) -> Any:
        return id(self)

    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        server = self.secure if port in (443, 8443) else self.plain
        return [Address(socket.AF_INET, ("127.0.0.1", server.port))]

    def redirect(self, location: str, status: int = 302, path: str = "/start") -> None:
        """Have a path lead elsewhere."""
        self.answers[path] = answer(status, b"moved", [("Location", location)])

    def serve(self, connection: Connection) -> None:
        """Be the server of both."""
        while (request := connection.recv_request()) is not None:
            found = self.answers.get(request.target.partition("?")[0], answer(200, b"ok"))
            data = found if isinstance(found, bytes) else found(request)
            if request.method == "HEAD":
                data = data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            connection.send(data)

    def clear(self) -> None:
        """Forget the answers and what arrived."""
        self.answers.clear()
        self.plain.requests.clear()
        self.secure.requests.clear()

    @property
    def hops(self) -> list[Received]:
        """What arrived: first what came by http, then what came by https."""
        return self.plain.requests + self.secure.requests

    def all_hops(self, path: str) -> list[Received]:
        """Return the messages for a path."""
        return [hop for hop in self.hops if hop.target.partition("?")[0] == path]

    def hop(self, path: str) -> Received:
        """Return the one message for a path."""
        (found,) = self.all_hops(path)
        return found

    def get(self, url: str = "http://a.example/start", **keywords: Any) -> reqkit.Response:
        """Ask with a session of its own."""
        method = keywords.pop("method", "GET")
        with reqkit.Session(verify=self.bundle) as session:
            for name, value in keywords.pop("session_cookies", {}).items():
                session.cookies.set(name, value)
            answered: reqkit.Response = session.request(method, url, **keywords)
            return answered


class Loopback(StdlibNetwork):
    """All names are this machine's, at their own ports."""

    def scope(self) -> Any:
        return id(self)

    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        if ":" in host:
            return [Address(socket.AF_INET6, ("::1", port, 0, 0))]
        return [Address(socket.AF_INET, ("127.0.0.1", port))]


@contextmanager
def built(authority: Authority) -> Iterator[Town]:
    """Start a town's two servers; `used` has tests live in it."""

    def serve(connection: Connection) -> None:
        made[0].serve(connection)

    made: list[Town] = []
    tls = authority.server(
        "a.example", "b.example", "sub.a.example", "other.a.example", "127.0.0.1"
    )
    with ScriptedServer(serve) as plain, ScriptedServer(serve, tls=tls) as secure:
        made.append(Town(plain, secure, str(authority.bundle)))
        yield made[0]


@contextmanager
def resolving(by: StdlibNetwork) -> Iterator[None]:
    """Have the blocking client and greenlets look names up in a network of the tests'."""
    with pytest.MonkeyPatch.context() as patch, network.use(by):
        patch.setattr(GEVENT, "resolve", by.resolve)
        yield


@contextmanager
def used(town: Town) -> Iterator[Town]:
    """Have the blocking client and greenlets find a town's hosts, and nothing else."""
    with resolving(town):
        yield town
        town.clear()
