"""Bare sockets: what a loop over `sendall` and `recv` takes, that knows what will come.

Each request has the URL that it is given; all are of one host.

It parses nothing: the first answer on a connection tells how long all of them are. That is the
reference for what this machine and this server can do with Python's sockets, not a client.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import gevent
import gevent.socket

from .harness import CHUNK, HEADERS, Client, main


class Bare(Client):
    def _ask(self, url: str) -> tuple[tuple[str, int], bytes]:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        head = [f"GET {path} HTTP/1.1", f"Host: {parts.netloc}"]
        head += [f"{name}: {value}" for name, value in HEADERS.items()]
        return (parts.hostname, parts.port), "\r\n".join([*head, "", ""]).encode()

    def _loop(self, connect: Callable[[tuple[str, int]], Any], urls: Iterable[str]) -> None:
        """Ask for URLs of one host on one connection."""
        distinct = self.job.distinct
        total = 0
        sock: Any = None
        for url in urls:
            if sock is None:
                address, ask = self._ask(url)
                sock = connect(address)
                path = url.rpartition("/")[2].encode()
                before, _, after = ask.partition(path)
            elif distinct:
                ask = before + url.rpartition("/")[2].encode() + after
            sock.sendall(ask)
            answer = sock.recv(CHUNK)
            if not total:
                total = answer.index(b"\r\n\r\n") + 4 + self.job.expect
            while len(answer) < total:
                answer += sock.recv(CHUNK)
            self.check(200 if answer.startswith(b"HTTP/1.1 200 ") else None, self._body(answer))
        if sock is not None:
            sock.close()

    def _body(self, answer: bytes) -> int:
        return len(answer) - answer.index(b"\r\n\r\n") - 4

    def fetch(self, urls: Iterable[str]) -> None:
        waiting = iter(urls)
        connect = gevent.socket.create_connection
        workers = [gevent.spawn(self._loop, connect, waiting) for _ in range(self.job.size)]
        gevent.joinall(workers, raise_error=True)

    def each(self, urls: Iterable[str]) -> None:
        self._loop(socket.create_connection, urls)

    def stream(self, urls: Iterable[str]) -> None:
        buffer = bytearray(CHUNK)
        for url in urls:
            address, ask = self._ask(url)
            with socket.create_connection(address) as sock:
                sock.sendall(ask)
                got = sock.recv_into(buffer)
                end = buffer.index(b"\r\n\r\n", 0, got) + 4
                good = buffer.startswith(b"HTTP/1.1 200 ")
                length = got - end
                while length < self.job.expect:
                    got = sock.recv_into(buffer)
                    if not got:
                        break
                    length += got
            self.check(200 if good else None, length)


if __name__ == "__main__":
    main(Bare)
