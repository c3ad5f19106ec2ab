"""A server that does little and does it fast: the same answer to every head, kept connections.

For tests of very many requests, in a process of its own. Usage: fast_main.py PORT BODY_SIZE
"""

from __future__ import annotations

import select
import socket
import sys


def main(port: int, size: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[sock.fileno()] = sock
                poll.register(sock.fileno(), select.EPOLLIN)
                continue
            sock = connections[number]
            try:
                data = sock.recv(65536)
                if data:
                    # Heads come whole: a client sends one and waits.
                    sock.send(answer * data.count(b"\r\n\r\n"))
                    continue
            except ConnectionError:
                pass
            poll.unregister(number)
            connections.pop(number).close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
