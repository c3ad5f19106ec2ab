"""Connecting to one of several addresses, whichever answers first (Happy Eyeballs, RFC 8305)."""

from __future__ import annotations

import _socket
import errno
import os
import selectors
import socket
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from .addresses import Address, SocketOptions
from .streams import bounded

__all__ = ["ATTEMPT_DELAY", "has_connected", "new_socket", "race"]

S = TypeVar("S", bound="_socket.socket")

#: Seconds between the starts of two connection attempts (RFC 8305 section 5).
ATTEMPT_DELAY: Final = 0.25


def new_socket(
    kind: Callable[[int, int], S],
    address: Address,
    options: SocketOptions,
    source: tuple[str, int] | None,
) -> S:
    """Make a socket of a kind for an address, with its options set."""
    sock = kind(address.family, socket.SOCK_STREAM)
    try:
        for option in options:
            sock.setsockopt(*option)
        if source is not None:
            sock.bind(source)
    except BaseException:  # a greenlet's kill, too
        sock.close()
        raise
    return sock


def has_connected(sock: socket.socket, address: Address) -> bool:
    """Tell whether a socket has connected by now. Never blocks."""
    sock.settimeout(0.0)
    return sock.connect_ex(address.sockaddr) in (0, errno.EISCONN)


def race(
    addresses: list[Address],
    timeout: float | None,
    options: SocketOptions,
    source: tuple[str, int] | None,
) -> socket.socket:
    """Start one attempt after the other, a quarter of a second apart; the first to connect wins."""
    ends = None if timeout is None else time.monotonic() + timeout
    selector = selectors.DefaultSelector()
    running: list[socket.socket] = []
    waiting = list(addresses)
    failure: OSError | None = None
    won: socket.socket | None = None
    late = False
    try:
        next_start = time.monotonic()
        while won is None:
            now = time.monotonic()
            if late:
                raise TimeoutError(errno.ETIMEDOUT, "connecting took too long")
            # Who has answered in time is looked for once more.
            late = ends is not None and now >= ends
            if waiting and not late and (now >= next_start or not running):
                try:
                    sock = new_socket(socket.socket, waiting[0], options, source)
                    running.append(sock)
                    sock.setblocking(False)
                    code = sock.connect_ex(waiting[0].sockaddr)
                    if code not in (0, errno.EINPROGRESS, errno.EWOULDBLOCK):
                        raise OSError(code, os.strerror(code))
                    selector.register(sock, selectors.EVENT_WRITE)
                except OSError as error:
                    failure = error
                    if running and running[-1] is sock:
                        running.pop().close()
                    next_start = now
                else:
                    next_start = now + ATTEMPT_DELAY
                del waiting[0]
                continue
            if not running:
                raise failure or OSError(errno.EHOSTUNREACH, "no address to connect to")
            pause = None if ends is None else max(ends - now, 0.0)
            if waiting and not late:
                pause = min(next_start - now, pause) if pause is not None else next_start - now
            for key, _ in selector.select(pause):
                tried: Any = key.fileobj
                selector.unregister(tried)
                code = tried.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code == 0:
                    won = tried
                    break
                failure = OSError(code, os.strerror(code))
                running.remove(tried)
                tried.close()
                next_start = now  # a failed attempt makes way for the next one at once
        won.settimeout(None if timeout is None else bounded(timeout))
        return won
    finally:
        selector.close()
        for sock in running:
            if sock is not won:
                sock.close()
