"""A connection in memory: what is sent goes to the routes, and what they answer comes back.

It stands where a socket's stream would (`reqkit.network.Stream`), so all above it is the real
thing. TLS is passed over: the files and settings are checked as ever, then the stream is told which
they are.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..network import numeric_address
from .answers import END, Pause, Step
from .calls import Call
from .requests import RequestReader, SentRequest
from .socks import SocksPeer

if TYPE_CHECKING:
    from ..network import Network
    from ..transport.tls.settings import TlsSettings

__all__ = ["MemoryStream"]


class MemoryStream:
    """One connection to a stood-in server, or to a proxy on the way to it.

    Args:
        answers: returns the steps that answer a call.
        network: the real network, whose way of waiting is used for pauses.
        host, port: where the connection leads.
    """

    def __init__(
        self, answers: Callable[[Call], list[Step]], network: Network, host: str, port: int
    ) -> None:
        self._answers = answers
        self._network = network
        self._host = host
        self._port = port
        self._tls: TlsSettings | None = None
        self._proxy: str | None = None
        #: While a SOCKS proxy is asked for the connection.
        self._socks: SocksPeer | None = None
        #: Whether the proxy was told an address in place of the name.
        self._by_address = False
        self._begun = False
        self._reader = RequestReader()
        self._steps: deque[Step] = deque()
        self._closed = False
        self._ended = False

    def begin_tls(self, settings: TlsSettings) -> MemoryStream:
        """Take note of the settings, in place of a handshake."""
        self._tls = settings
        return self

    def _asked(self, request: SentRequest) -> None:
        """Put what answers a request behind what is still to be read."""
        if request.method == "CONNECT":
            host, _, port = request.target.rpartition(":")
            self._proxy = f"{self._host}:{self._port}"
            self._host, self._port = host.strip("[]"), int(port)
            self._tls = None
            self._steps.append(b"HTTP/1.1 200 Connection established\r\n\r\n")
            return
        proxy = self._proxy
        if request.target.startswith("/") or request.target == "*":
            scheme, usual = ("http", 80) if self._tls is None else ("https", 443)
            host = f"[{self._host}]" if ":" in self._host else self._host
            if self._by_address:  # the name is what the message says
                host = (request.get("host") or host).partition(":")[0]
            place = host if self._port == usual else f"{host}:{self._port}"
            url = f"{scheme}://{place}{'' if request.target == '*' else request.target}"
        else:  # a proxy is asked for the whole URL (RFC 9112 section 3.2.2)
            url = request.target
            proxy = f"{self._host}:{self._port}"
        call = Call(request.method, url, request.pairs, request.body, self._tls, proxy)
        self._steps.extend(self._answers(call))

    # -- what `reqkit.network.Stream` asks for ------------------------------------------------

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        """Take what is sent; never waits."""
        if self._closed or self._ended:
            raise BrokenPipeError(errno.EPIPE, "the stood-in server has closed the connection")
        if not self._begun:
            self._begun = True
            if SocksPeer.begins(bytes(data[:1])):
                self._socks = SocksPeer()
        if self._socks is not None:
            data = self._take_socks(self._socks, bytes(data))
        for request in self._reader.feed(data):
            self._asked(request)

    def _take_socks(self, peer: SocksPeer, data: bytes) -> bytes:
        """Have the proxy answer, and return what comes after that."""
        answer = peer.feed(data)
        if answer:
            self._steps.append(answer)
        if peer.place is None:
            return b""
        self._socks = None
        self._proxy = f"{self._host}:{self._port}"
        self._host, self._port = peer.place
        self._by_address = numeric_address(*peer.place) is not None
        return peer.rest

    def wait_readable(self, timeout: float | None) -> None:
        """Wait for as long as the answer is put off."""
        while self._steps and isinstance(self._steps[0], Pause):
            pause = self._steps[0]
            if timeout is not None and pause > timeout:
                self._network.sleep(timeout)
                self._steps[0] = Pause(pause - timeout)
                raise TimeoutError(errno.ETIMEDOUT, "the answer is put off for longer")
            # Before it is over: whoever stops the wait finds it still to be waited for.
            self._network.sleep(pause)
            self._steps.popleft()

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Return bytes of the answer."""
        if self._closed:
            raise OSError(errno.EBADF, "the stream is closed")
        while True:
            self.wait_readable(timeout)
            step = self._steps[0] if self._steps else END
            if isinstance(step, bytes):
                if len(step) > most:
                    self._steps[0] = step[most:]
                    return step[:most]
                self._steps.popleft()
                if step:
                    return step
            elif isinstance(step, Exception):
                self._steps.popleft()
                self._ended = True
                raise step
            else:
                self._ended = True
                return b""

    def receive_next(self, most: int, timeout: float | None) -> bytes:
        """As `receive`."""
        return self.receive(most, timeout)

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """As `receive`, into a buffer."""
        data = self.receive(len(buffer), timeout)
        buffer[: len(data)] = data
        return len(data)

    def is_readable(self) -> bool:
        """Tell whether bytes or an end are there."""
        return self._closed or self._ended or bool(self._steps)

    def close(self) -> None:
        """Close it."""
        self._closed = True
        self._steps.clear()
