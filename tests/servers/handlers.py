"""What scripted servers often do with a connection."""

from __future__ import annotations

from collections.abc import Callable

from .messages import Received, answer
from .scripted import Connection

__all__ = ["at_once", "proxying", "reset", "silent", "then_close"]


def silent(connection: Connection) -> None:
    """Take a request, and never answer."""
    connection.recv_request()
    connection.wait_closed()


def reset(connection: Connection) -> None:
    """Take a request, and reset the connection."""
    connection.recv_request()
    connection.reset()


def then_close(data: bytes) -> Callable[[Connection], None]:
    """Take a request, answer with these bytes, and close."""

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(data)

    return handler


def at_once(connection: Connection) -> None:
    """Answer every request with "ok"."""
    while connection.recv_request() is not None:
        connection.send(answer(200, b"ok"))


def proxying(forward: Callable[[Connection, Received], None]) -> Callable[[Connection], None]:
    """Be a proxy: tunnel what CONNECT names on this machine, forward all else."""

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.method != "CONNECT":
                forward(connection, request)
                continue
            connection.send(answer(200, length=False))
            connection.relay("127.0.0.1", int(request.target.rpartition(":")[2]))
            return

    return handler
