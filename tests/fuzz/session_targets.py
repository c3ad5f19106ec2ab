"""A whole session over a network that there is not: any bytes are answers, or named errors."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import threading
from collections.abc import Hashable, Sequence
from typing import Any

import reqkit
from reqkit.network import Address, SocketOptions, network

from .feeding import choices, cut
from .wire_targets import FakeStream

#: Stands between what is sent for one request and for the next.
NEXT = b"\n----\n"

HOST = "h.example"
PASSWORD = "secret-word"
COOKIE = "secret-cookie"
_SECRETS = (base64.b64encode(f"user:{PASSWORD}".encode()), PASSWORD.encode(), COOKIE.encode())

_HEAD = re.compile(
    rb"(GET|POST|HEAD) [!-~]+ HTTP/1\.1\r\n(?:[!#-'*+.^_`|~0-9A-Za-z-]+: ?[^\r\n\0]*\r\n)*\r\n"
)

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"


class Wire(FakeStream):
    """A connection: for each head that is sent, it gives the next part."""

    def __init__(self, net: FakeNetwork, address: tuple[str, int]) -> None:
        super().__init__([])
        self.net = net
        self.address = address
        self.ended = False
        self.closed = False

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        assert not self.closed
        data = bytes(data)
        if data.startswith(b"\x16\x03"):
            # TLS: there is nothing here that could speak it.
            self.ended = True
            return
        self.net.check(data, self.address)
        if not self.net.parts:
            self.ended = True
            return
        self.pieces += cut(self.net.parts.pop(0), self.net.chance)

    def receive(self, most: int, timeout: float | None) -> bytes:
        assert not self.closed
        self.ended = self.ended or not self.pieces
        return super().receive(most, timeout)

    receive_next = receive

    def is_readable(self) -> bool:
        return self.ended or bool(self.pieces)

    def close(self) -> None:
        self.closed = True


class FakeNetwork:
    """A network of one server that answers for every host."""

    most_idle: int | None = None
    multiplexes = False

    def __init__(self, parts: list[bytes], data: bytes) -> None:
        self.parts = parts
        self.chance = choices(data)
        self.wires: list[Wire] = []
        self.now = 0.0

    def check(self, data: bytes, address: tuple[str, int]) -> None:
        """What goes out is one sound head, and no secret of another origin's."""
        assert _HEAD.fullmatch(data), data
        if address != (HOST, 80):
            assert not any(secret in data for secret in _SECRETS), (address, data)

    def scope(self) -> Hashable:
        return id(self)

    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        return [Address(socket.AF_INET, (host, port))]

    def connect(
        self,
        addresses: Sequence[Address],
        timeout: float | None,
        options: SocketOptions,
        source: tuple[str, int] | None,
    ) -> Wire:
        wire = Wire(self, addresses[0].sockaddr)
        self.wires.append(wire)
        return wire

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def semaphore(self, places: int) -> Any:
        return threading.BoundedSemaphore(places)

    def clock(self) -> float:
        self.now += 1e-6
        return self.now

    def pause(self) -> None:
        pass

    def lag(self) -> float:
        return 0.0

    def tend(self, tended: Any) -> bool:
        return False


def session(data: bytes) -> None:
    """Any answers are followed, decoded and read, or end in an error of ours.

    The parts between `NEXT` answer one request each. What goes out meanwhile is sound, no secret
    goes elsewhere, and the request after that gets the answer that is its own.
    """
    parts = data.split(NEXT)
    net = FakeNetwork(parts[:8], data)
    chance = choices(data)
    auth: Any = chance.choice(
        (None, ("user", PASSWORD), reqkit.auth.HTTPDigestAuth("user", PASSWORD))
    )
    config = {"max_redirects": 6, "max_content_size": 1 << 20, "trust_env": False}
    with network.use(net), reqkit.Session(config=config) as made:
        try:
            response = made.get(
                f"http://{HOST}/", auth=auth, cookies={"c": COOKIE}, prefetch=chance.random() < 0.5
            )
            _look_at(response, chance.random())
        except reqkit.RequestException as error:
            assert str(error)
            if error.response is not None:
                error.response.close()
            for secret in (PASSWORD, COOKIE):
                assert secret not in str(error)
        net.parts = [GOOD]
        again = made.get(f"http://{HOST}/again")
        assert again.status_code == 200
        assert again.content == b"good"
        assert again.headers == {"Content-Length": "4"}
    assert all(wire.closed for wire in net.wires)


def _look_at(response: reqkit.Response, choice: float) -> None:
    """Use all that a response has."""
    assert isinstance(response.status_code, int)
    with contextlib.closing(response):
        assert repr(response)
        assert isinstance(response.links, dict)
        assert isinstance(list(response.headers.items()), list)
        if choice < 0.3:
            pieces = list(response.iter_content(100))
            assert all(len(piece) == 100 for piece in pieces[:-1])
        elif choice < 0.5:
            list(response.iter_lines(decode_unicode=choice < 0.4))
        else:
            assert isinstance(response.text, str)
            with contextlib.suppress(reqkit.exceptions.JSONDecodeError):
                response.json()
        with contextlib.suppress(reqkit.HTTPError):
            response.raise_for_status()
