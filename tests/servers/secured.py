"""A client's side of TLS, for tests of its streams: connected to a scripted server."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from reqkit.network.streams import StdlibStream
from reqkit.transport.tls.handshake import secure
from reqkit.transport.tls.settings import TlsSettings
from reqkit.transport.tls.stream import TlsStream

from .scripted import Connection, ScriptedServer

SECONDS = 20.0


def plain(server: ScriptedServer, kind: type[StdlibStream] = StdlibStream) -> StdlibStream:
    """Connect to a server."""
    sock = socket.create_connection((server.host, server.port), SECONDS)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return kind(sock)


@contextlib.contextmanager
def secured(
    server: ScriptedServer, settings: TlsSettings, host: str = "localhost", **more: Any
) -> Iterator[TlsStream]:
    """Connect to a server, and speak TLS there."""
    below = plain(server)
    try:
        stream = secure(below, settings, host, server.port, more.pop("timeout", SECONDS))
    except BaseException:
        below.close()
        raise
    try:
        yield stream
    finally:
        stream.close()


def exactly(stream: TlsStream, size: int) -> bytes:
    """Receive so many bytes."""
    data = b""
    while len(data) < size:
        piece = stream.receive(size - len(data), SECONDS)
        assert piece, f"ended after {len(data)} bytes"
        data += piece
    return data


def echo(connection: Connection) -> None:
    """Send back whatever comes."""
    while data := connection.recv_some():
        connection.send(data)
