"""The plainest clients there are, to prove servers without the product."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from .processes import PATIENCE
from .proxies import PASSWORD, USER


@dataclass
class Got:
    """An answer, read whole."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@contextmanager
def connected(
    url: str, context: ssl.SSLContext | None = None
) -> Iterator[http.client.HTTPConnection]:
    """Open a kept connection to a URL's host."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    connection = (
        http.client.HTTPSConnection(parts.hostname, parts.port, timeout=PATIENCE, context=context)
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    )
    try:
        yield connection
    finally:
        connection.close()


def ask(
    connection: http.client.HTTPConnection,
    target: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: Any = None,
) -> Got:
    """Send a request on a connection and read the answer whole."""
    connection.request(method, target, body=body, headers=dict(headers or {}))
    response = connection.getresponse()
    return Got(response.status, response.headers, response.read())


def fetch(url: str, context: ssl.SSLContext | None = None, **options: Any) -> Got:
    """Send one request on a connection of its own."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    with connected(url, context) as connection:
        return ask(connection, target, **options)


def basic(user: str = USER, password: str = PASSWORD) -> str:
    """Return the value of an Authorization field for Basic."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def socks5(port: int, target: tuple[str, int], credentials: bool = False) -> socket.socket:
    """Return a connection to the target through a SOCKS5 server (RFC 1928, RFC 1929)."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    try:
        sock.sendall(b"\x05\x01\x02" if credentials else b"\x05\x01\x00")
        _expect(sock, b"\x05\x02" if credentials else b"\x05\x00")
        if credentials:
            user, password = USER.encode(), PASSWORD.encode()
            sock.sendall(b"\x01%c%b%c%b" % (len(user), user, len(password), password))
            _expect(sock, b"\x01\x00")
        host = target[0].encode()
        sock.sendall(b"\x05\x01\x00\x03%c%b" % (len(host), host) + target[1].to_bytes(2, "big"))
        _expect(sock, b"\x05\x00\x00")
        kind = _exact(sock, 1)[0]
        size = {1: 4, 4: 16}.get(kind) or _exact(sock, 1)[0]
        _exact(sock, size + 2)
    except BaseException:
        sock.close()
        raise
    return sock


def socks4(port: int, target: tuple[str, int], user: str = "") -> socket.socket:
    """Return a connection to an IPv4 target through a SOCKS4 server."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
    try:
        where = target[1].to_bytes(2, "big") + socket.inet_aton(target[0])
        sock.sendall(b"\x04\x01" + where + user.encode() + b"\x00")
        _expect(sock, b"\x00\x5a")
        _exact(sock, 6)
    except BaseException:
        sock.close()
        raise
    return sock


def over(sock: socket.socket, target: str) -> Got:
    """Send a GET over a connected socket and read the answer; closes it."""
    connection = http.client.HTTPConnection("unused")
    connection.sock = sock
    try:
        return ask(connection, target, headers={"Connection": "close"})
    finally:
        connection.close()
        sock.close()


def _exact(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionError(f"closed after {data!r}")
        data += piece
    return data


def _expect(sock: socket.socket, data: bytes) -> None:
    got = _exact(sock, len(data))
    if got != data:
        raise ConnectionError(f"{got!r}, not {data!r}")
