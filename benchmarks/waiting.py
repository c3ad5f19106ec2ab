"""A server that waits before each answer: `python -m benchmarks.waiting SECONDS LENGTH`.

It prints its port, and runs until its standard input ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import cast


class Waiting(asyncio.Protocol):
    """One connection: every request is answered alike, after a while."""

    def __init__(self, delay: float, answer: bytes) -> None:
        self.loop = asyncio.get_running_loop()
        self.delay = delay
        self.answer = answer
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        # Only GETs come here: a request ends with its head.
        *heads, self.rest = (self.rest + data).split(b"\r\n\r\n")
        for _ in heads:
            self.loop.call_later(self.delay, self.transport.write, self.answer)


def listening() -> socket.socket:
    """Open the socket; its backlog takes thousands of clients at once."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", 0))
    sock.listen(8192)
    sock.setblocking(False)
    return sock


async def serve(delay: float, length: int) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nServer: waiting\r\nContent-Type: text/plain\r\n"
        b"Content-Length: %d\r\nConnection: keep-alive\r\n\r\n" % length
    ) + b"x" * length
    loop = asyncio.get_running_loop()
    sock = listening()
    # `start_server` would listen again, with a backlog of 100, were it not told otherwise.
    await loop.create_server(lambda: Waiting(delay, answer), sock=sock, backlog=8192)
    print(sock.getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


def main() -> None:
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve(float(sys.argv[1]), int(sys.argv[2])))


if __name__ == "__main__":
    main()
