"""A SOCKS proxy's side of the wire, for connections in memory. Pure.

Source: RFC 1928, RFC 1929; SOCKS4 and SOCKS4a have no RFC.
"""

from __future__ import annotations

import socket

__all__ = ["SocksPeer"]

_METHODS_NONE, _METHODS_PASSWORD = 0, 2


class SocksPeer:
    """Answers a client that asks for a connection, and lets everybody in.

    Attributes:
        place: the host and port that were asked for, once they were.
        rest: what came after that.
    """

    def __init__(self) -> None:
        self.place: tuple[str, int] | None = None
        self.rest: bytes = b""
        self._buffer = b""
        self._greeted = False
        self._wants_password = False

    @staticmethod
    def begins(data: bytes) -> bool:
        """Tell whether this is how a client of SOCKS begins, and not one of HTTP."""
        return data[:1] in (b"\x04", b"\x05")

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they arrive, and return what is answered."""
        self._buffer += data
        answer = b""
        while self.place is None and (step := self._step()) is not None:
            reply, used = step
            answer += reply
            self._buffer = self._buffer[used:]
        if self.place is not None:
            self.rest, self._buffer = self._buffer, b""
        return answer

    def _step(self) -> tuple[bytes, int] | None:
        """Return an answer, and how many bytes it is to; None where more is needed."""
        data = self._buffer
        if data[:1] == b"\x04" and not self._greeted:
            return self._socks4(data)
        if self._wants_password:  # RFC 1929 section 2
            if len(data) < 2 or len(data) < 3 + data[1]:
                return None
            end = 3 + data[1] + data[2 + data[1]]
            if len(data) < end:
                return None
            self._wants_password = False
            return b"\x01\x00", end
        if not self._greeted:  # RFC 1928 section 3
            if len(data) < 2 or len(data) < 2 + data[1]:
                return None
            self._greeted = True
            self._wants_password = _METHODS_PASSWORD in data[2 : 2 + data[1]]
            method = _METHODS_PASSWORD if self._wants_password else _METHODS_NONE
            return bytes((5, method)), 2 + data[1]
        return self._socks5(data)

    def _socks5(self, data: bytes) -> tuple[bytes, int] | None:
        # RFC 1928 section 4: version, command, reserved, kind of address, address, port.
        if len(data) < 5:
            return None
        kind = data[3]
        start, size = (5, data[4]) if kind == 3 else (4, 16 if kind == 4 else 4)
        end = start + size
        if len(data) < end + 2:
            return None
        address = data[start:end]
        host = address.decode("latin-1") if kind == 3 else _text(address)
        self.place = host, int.from_bytes(data[end : end + 2], "big")
        return b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", end + 2

    def _socks4(self, data: bytes) -> tuple[bytes, int] | None:
        end = data.find(b"\0", 8)
        if end < 0:
            return None
        host = _text(data[4:8])
        if data[4:7] == b"\0\0\0" and data[7]:  # SOCKS4a: the name comes after the user
            start, end = end + 1, data.find(b"\0", end + 1)
            if end < 0:
                return None
            host = data[start:end].decode("latin-1")
        self.place = host, int.from_bytes(data[2:4], "big")
        return b"\x00\x5a" + bytes(6), end + 1


def _text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6 if len(address) == 16 else socket.AF_INET, address)
