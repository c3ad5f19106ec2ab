"""A fast server that misbehaves as the path says, for soaks, in a process of its own.

Usage: mixed_main.py PORT
"""

from __future__ import annotations

import gzip
import select
import socket
import struct
import sys

BODY = b"0123456789" * 20
#: More than comes along with the head, and less than what a socket takes at once.
LARGE = b"x" * 30_000


def whole(body: bytes, *fields: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *fields]
    return b"\r\n".join([*lines, b"", b""]) + body


#: What comes after a slash: what is sent, and whether the connection is then ``kept``, ``closed``
#: or ``reset``.
ANSWERS: dict[bytes, tuple[bytes, str]] = {
    b"good": (whole(BODY), "kept"),
    b"redirect": (whole(b"moved", b"Location: /good", status=b"302 Found"), "kept"),
    b"cookie": (whole(BODY, b"Set-Cookie: a=b; Path=/cookie"), "kept"),
    b"missing": (whole(b"no", status=b"404 Not Found"), "kept"),
    b"gzip": (whole(gzip.compress(BODY), b"Content-Encoding: gzip"), "kept"),
    b"chunked": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"64\r\n" + BODY[:100] + b"\r\n64\r\n" + BODY[100:] + b"\r\n0\r\n\r\n", "kept",
    ),
    b"large": (whole(LARGE), "kept"),
    b"close": (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, "closed"),
    b"leave": (whole(BODY), "closed"),
    b"reset": (b"", "reset"),
    b"cut-head": (b"HTTP/1.1 200 OK\r\nContent-Le", "closed"),
    b"cut-body": (b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n" + BODY, "closed"),
    b"cut-chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nabc", "closed"),
    b"garbage": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "closed"),
    b"silent": (b"", "kept"),
}  # fmt: skip


def serve(sock: socket.socket) -> bool:
    """Answer what has come; False where the connection is at its end."""
    data = sock.recv(65536)
    if not data:
        return False
    # Heads come whole, without bodies: a client sends one and waits.
    for head in data.split(b"\r\n\r\n")[:-1]:
        kind = head.split(b" ", 2)[1].split(b"/", 2)[1]
        answer, then = ANSWERS[kind]
        sock.sendall(answer)
        if then != "kept":
            if then == "reset":
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
    return True


def main(port: int) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=4096)
    listener.setblocking(False)
    poll = select.epoll()
    poll.register(listener.fileno(), select.EPOLLIN)
    connections: dict[int, socket.socket] = {}
    while True:
        for number, _ in poll.poll():
            if number == listener.fileno():
                sock, _ = listener.accept()
                sock.settimeout(30)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connections[sock.fileno()] = sock
                poll.register(sock.fileno(), select.EPOLLIN)
                continue
            try:
                if serve(connections[number]):
                    continue
            except OSError:
                pass
            poll.unregister(number)
            connections.pop(number).close()


if __name__ == "__main__":
    main(int(sys.argv[1]))
