"""Has the suite's servers of HTTP/1.1 asked over HTTP/2: ``pytest --over-http2``.

Before each `ScriptedServer` and `WSGIServer` stands a gateway that speaks HTTP/2 to whoever does, a
connection to the server for each stream, and hands all else on as it is. Clients are told to use
HTTP/2 without being asked for it. So tests that were written for the one wire run over the other:
those of sessions and auth, as far as they are not of HTTP/1.1 alone (`wires/only-http1.txt`). A
server that breaks off takes all streams of its client along, and connections are not counted as on
HTTP/1.1, which most tests of pools rest on.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import reqkit.message.config

from . import scripted, wsgi
from .http2 import Gone, Http2Server, Peer, Request

__all__ = ["Gateway", "install"]

_OF_CONNECTION = (b"connection", b"transfer-encoding", b"keep-alive", b"proxy-connection")
_POLL = 0.05


class Ended(Exception):
    """The server has closed before the end of its answer."""


class Answer:
    """Reads the answer of a server of HTTP/1.1, and hands it on as it comes."""

    def __init__(self, request: Request, sock: socket.socket) -> None:
        self.request = request
        self.sock = sock
        sock.settimeout(_POLL)  # there may be more descriptors than `select` takes
        self.buffer = b""
        self.begun = False

    def more(self) -> bytes:
        """Wait for bytes, for as long as the client does."""
        while True:
            try:
                return self.sock.recv(65536)
            except TimeoutError:
                if self.request.reset is not None or self.request.peer.over:
                    raise Gone from None
            except OSError:
                return b""

    def until(self, end: bytes) -> bytes:
        while end not in self.buffer:
            piece = self.more()
            if not piece:
                raise Ended
            self.buffer += piece
        found, _, self.buffer = self.buffer.partition(end)
        return found

    def head(self, status: int, fields: list[tuple[bytes, bytes]], ends: bool = False) -> None:
        rows = [(b":status", b"%d" % status)]
        rows += [field for field in fields if field[0] not in _OF_CONNECTION]
        with self.request.peer.sending() as connection:
            connection.send_headers(self.request.stream, rows, end_stream=ends)

    def relay(self) -> None:
        """Hand on all of it."""
        while True:
            first, *lines = self.until(b"\r\n\r\n").split(b"\r\n")
            status = int(first.split()[1])
            parts = [line.partition(b":") for line in lines]
            fields = [(name.strip().lower(), value.strip()) for name, _, value in parts]
            if status >= 200:
                break
            self.head(status, fields)
        self.begun = True
        named = dict(fields)
        length = named.get(b"content-length")
        if self.request.method == "HEAD" or status in (204, 304) or length == b"0":
            self.head(status, fields, ends=True)
        elif b"chunked" in named.get(b"transfer-encoding", b""):
            self.head(status, [field for field in fields if field[0] != b"content-length"])
            self.chunks()
        else:
            self.head(status, fields)
            self.body(None if length is None else int(length))

    def chunks(self) -> None:
        while size := int(self.until(b"\r\n").split(b";")[0], 16):
            self.body(size, ends=False)
            self.until(b"\r\n")
        self.request.data(b"", True)

    def body(self, left: int | None, ends: bool = True) -> None:
        piece, self.buffer = self.buffer[:left], b"" if left is None else self.buffer[left:]
        while left is None or left:
            if piece and left is not None:
                left -= len(piece)
            if piece:
                self.request.data(piece, ends and left == 0)
            if left == 0:
                return
            piece = self.more()
            if not piece and left is None:
                self.request.data(b"", True)
                return
            if not piece:
                raise Ended
            if left is not None and len(piece) > left:
                piece, self.buffer = piece[:left], piece[left:]


class Gateway(Http2Server):
    """Stands before a server of HTTP/1.1 on a port of loopback."""

    def __init__(self, behind: int, tls: Any) -> None:
        super().__init__(self.hand_on, tls=tls, forgiving=True)
        self.behind = behind
        self.spliced: list[socket.socket] = []

    def hand_on(self, request: Request) -> None:
        """Ask the server for a stream's answer."""
        body = request.read()
        lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {request.get(':authority')}"]
        lines += [f"{name}: {value}" for name, value in request.fields
                  if not name.startswith(":") and name != "content-length"]  # fmt: skip
        if body or request.get("content-length") is not None:
            lines.append(f"Content-Length: {len(body)}")
        with socket.create_connection(("127.0.0.1", self.behind)) as sock:
            with contextlib.suppress(OSError):
                sock.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            answer = Answer(request, sock)
            try:
                answer.relay()
            except Ended:
                if answer.begun:
                    request.end(2)
                else:
                    request.peer.close()
            except (ValueError, IndexError):  # it is no HTTP
                request.end(1)

    def _serve(self, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
                is_http2 = sock.selected_alpn_protocol() == "h2"
            else:
                is_http2 = sock.recv(3, socket.MSG_PEEK) == b"PRI"
        except OSError:
            sock.close()
            return
        if not is_http2:
            self.splice(sock)
            return
        with self._lock:
            peer = Peer(self, sock, len(self.peers) + 1)
            self.peers.append(peer)
        peer.run()

    def splice(self, sock: socket.socket) -> None:
        """Hand on what is no HTTP/2, as it is."""
        with (
            contextlib.suppress(OSError),
            sock,
            socket.create_connection(("127.0.0.1", self.behind)) as other,
        ):
            self.spliced += [sock, other]
            back = threading.Thread(target=_carry, args=(other, sock))
            back.start()
            _carry(sock, other)
            back.join()

    def stop(self) -> None:
        for sock in self.spliced:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        self.faults.clear()  # the server's own tell what there is to tell
        self.__exit__(None, None, None)


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        socket.socket.shutdown(target, socket.SHUT_WR)


def install() -> None:
    """Have all servers of this process asked over HTTP/2, and all clients speak it."""
    reqkit.message.config._DEFAULTS["http2"] = "prior"
    _install_scripted(scripted.ScriptedServer)
    _install_wsgi(wsgi.WSGIServer)


def _install_scripted(kind: Any) -> None:
    start, stop, start_tls = kind.start, kind.stop, scripted.Connection.start_tls

    def started(self: Any) -> Any:
        start(self)
        if self.host == "127.0.0.1":
            self.gateway = Gateway(self.port, self.tls)
            self.gateway.__enter__()
            self.port = self.gateway.port
        return self

    def stopped(self: Any) -> None:
        gateway = getattr(self, "gateway", None)
        if gateway is not None:
            gateway.stop()
        stop(self)

    def unless_done(self: Any, context: Any) -> None:
        # The gateway has spoken TLS already; a handler's own, within a tunnel, is its own.
        if context is not self.server.tls or getattr(self.server, "gateway", None) is None:
            start_tls(self, context)

    kind.start, kind.stop = started, stopped
    scripted.Connection.start_tls = unless_done  # type: ignore[method-assign]


def _install_wsgi(kind: Any) -> None:
    make, stop = kind.__init__, kind.stop

    def made(self: Any, application: Any, *arguments: Any, tls: Any = None, **others: Any) -> None:
        make(self, application, *arguments, **others)
        self.gateway = Gateway(self.port, tls)
        self.gateway.__enter__()
        self.url = self.url.replace(f":{self.port}", f":{self.gateway.port}")
        if tls is not None:
            self.url = self.url.replace("http://", "https://")
        self.port = self.gateway.port

    def stopped(self: Any) -> None:
        self.gateway.stop()
        stop(self)

    kind.__init__, kind.stop = made, stopped
