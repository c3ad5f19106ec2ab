"""A server of HTTP/2 whose streams do what a test's function says; `h2` speaks the protocol.

Each connection has a thread that reads, and each request a thread for its handler. What arrives is
kept and counted, what a handler raises comes out when the server stops, and waiting is for events
and counts with a generous limit.
"""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any
from urllib.parse import unquote_to_bytes

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from .scripted import PATIENCE

__all__ = ["Http2Server", "Peer", "Request", "echo", "wsgi"]


class Gone(Exception):
    """The client has ended the stream or the connection, or the server stops."""


class Request:
    """One request, for its handler.

    Attributes:
        fields: as they came, pseudo-fields too.
        never: names of fields that came as never to be indexed.
        body: what has come of the body.
        ended: the client has sent its last byte.
        reset: the error code that the client has ended the stream with, or None.
    """

    def __init__(self, peer: Peer, stream: int, fields: list[tuple[str, str]], never: set[str]):
        self.peer = peer
        self.stream = stream
        self.fields = fields
        self.never = never
        self.body = b""
        self.ended = False
        self.reset: int | None = None

    def get(self, name: str) -> str | None:
        return next((value for key, value in self.fields if key == name), None)

    @property
    def method(self) -> str:
        return self.get(":method") or ""

    @property
    def path(self) -> str:
        return self.get(":path") or ""

    def wait(self, true: Callable[[Request], Any]) -> None:
        """Wait until something is true of the request."""
        with self.peer.changed:
            if not self.peer.changed.wait_for(lambda: true(self) or self.peer.over, PATIENCE):
                raise AssertionError("nothing came in time")
            if not true(self):
                raise Gone

    def read(self) -> bytes:
        """Wait for the whole body."""
        self.wait(lambda request: request.ended)
        return self.body

    def head(
        self, status: int = 200, fields: Mapping[str, str] | None = None, ends: bool = False
    ) -> None:
        """Send a head."""
        rows = [(":status", str(status)), *(fields or {}).items()]
        with self.peer.sending() as connection:
            connection.send_headers(self.stream, rows, end_stream=ends)

    def data(self, data: bytes, ends: bool = False) -> None:
        """Send bytes of the body, as the client's windows allow."""
        while True:
            with self.peer.changed:
                room = self._room()
                while data and not room:
                    if not self.peer.changed.wait(PATIENCE) or self.peer.over:
                        raise Gone
                    room = self._room()
                piece, data = data[:room], data[room:]
                with self.peer.sending() as connection:
                    connection.send_data(self.stream, piece, end_stream=ends and not data)
            if not data:
                return

    def _room(self) -> int:
        if self.reset is not None:
            raise Gone
        connection = self.peer.connection
        try:
            window = connection.local_flow_control_window(self.stream)
        except h2.exceptions.ProtocolError:
            raise Gone from None
        return max(0, min(window, connection.max_outbound_frame_size))

    def answer(
        self, body: bytes = b"ok", status: int = 200, fields: Mapping[str, str] | None = None
    ) -> None:
        """Send a whole answer."""
        given = {"content-length": str(len(body)), **(fields or {})}
        self.head(status, given, ends=not body)
        if body:
            self.data(body, True)

    def end(self, code: int) -> None:
        """End the stream with an error code."""
        with self.peer.sending() as connection:
            connection.reset_stream(self.stream, code)


Handler = Callable[[Request], Any]


class Peer:
    """One accepted connection.

    Attributes:
        number: 1 for the first that the server accepted.
        requests: by stream.
        windows: what the client's WINDOW_UPDATE frames gave, by stream; 0 is the connection's.
        gone_away: the client said GOAWAY, with this code.
    """

    def __init__(self, server: Http2Server, sock: Any, number: int) -> None:
        self.server = server
        self.sock = sock
        self.number = number
        self.changed = threading.Condition(threading.RLock())
        self.requests: dict[int, Request] = {}
        self.windows: dict[int, int] = {}
        self.pongs = 0
        self.gone_away: int | None = None
        self.over = False
        config = h2.config.H2Configuration(
            client_side=False, header_encoding="latin-1", validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )  # fmt: skip
        self.connection = h2.connection.H2Connection(config)

    @contextlib.contextmanager
    def sending(self) -> Any:
        """Have what is said to the connection sent."""
        with self.changed:
            if self.over:
                raise Gone
            try:
                yield self.connection
            except h2.exceptions.ProtocolError as fault:
                raise Gone(str(fault)) from fault
            self.flush()

    def flush(self) -> None:
        data = self.connection.data_to_send()
        if data:
            try:
                self.sock.sendall(data)
            except OSError:
                raise Gone from None

    def raw(self, octets: bytes) -> None:
        """Send bytes as they are."""
        with self.changed:
            self.flush()
            self.sock.sendall(octets)

    def go_away(self, last: int, code: int = 0) -> None:
        """Say GOAWAY, and serve no stream above ``last``."""
        from h2.errors import ErrorCodes

        self.raw(
            b"\0\0\x08\x07\0\0\0\0\0"
            + last.to_bytes(4, "big")
            + ErrorCodes(code).to_bytes(4, "big")
        )

    def close(self) -> None:
        """Cut the connection; whoever reads from it closes the socket."""
        with self.changed:
            self.over = True
            self.changed.notify_all()
        with contextlib.suppress(OSError):
            # A TLS socket's own would have what is sent afterwards go out in the clear.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def leave(self) -> None:
        """Close as servers should: nothing more is sent, and what comes is thrown away."""
        with self.changed:
            self.flush()
            self.over = True
            self.changed.notify_all()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self.sock, socket.SHUT_WR)

    def run(self) -> None:
        try:
            with self.changed:
                self.connection.initiate_connection()
                if self.server.settings:
                    # They count once the client has acknowledged them, as they may.
                    self.connection.update_settings(self.server.settings)
                self.flush()
            while True:
                data = self.sock.recv(65536)
                if not data:
                    return
                if self.over:
                    continue
                with self.changed:
                    for event in self.connection.receive_data(data):
                        self._take(event)
                    self.flush()
                    self.changed.notify_all()
        except (OSError, Gone, h2.exceptions.ProtocolError) as fault:
            if isinstance(fault, h2.exceptions.ProtocolError) and not self.server.forgiving:
                self.server.faults.append(fault)
        finally:
            self.close()
            self.sock.close()

    def _take(self, event: Any) -> None:
        if isinstance(event, h2.events.RequestReceived):
            rows = [(str(name), str(value)) for name, value in event.headers or ()]
            never = {str(one[0]) for one in event.headers or () if not getattr(one, "indexable", 1)}
            request = Request(self, event.stream_id or 0, rows, never)
            self.requests[request.stream] = request
            self.server.begin(request)
        elif isinstance(event, h2.events.DataReceived):
            request = self.requests[event.stream_id or 0]
            request.body += event.data or b""
            if self.server.gives_back:
                self.connection.acknowledge_received_data(
                    event.flow_controlled_length or 0, request.stream
                )
        elif isinstance(event, h2.events.StreamEnded):
            self.requests[event.stream_id or 0].ended = True
        elif isinstance(event, h2.events.StreamReset):
            self.requests[event.stream_id or 0].reset = int(event.error_code or 0)
            self.server.take_reset(int(event.error_code or 0))
        elif isinstance(event, h2.events.WindowUpdated):
            number = event.stream_id or 0
            self.windows[number] = self.windows.get(number, 0) + (event.delta or 0)
        elif isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.gone_away = int(event.error_code or 0)


def echo(request: Request) -> None:
    """Answer with the method and the path, or with the body."""
    body = request.read() or f"{request.method} {request.path}".encode()
    request.answer(b"" if request.method == "HEAD" else body)


class Http2Server:
    """Listens on a port of loopback; a context manager.

    Args:
        handler: what is done with each request, in a thread of its own.
        tls: a server's context; None: without TLS.
        settings: HTTP/2's, by name.
        gives_back: give windows back as bodies arrive.
        forgiving: what clients say that is no HTTP/2 is no fault.

    Attributes:
        peers: all connections, in order.
        requests: all requests, in order.
        resets: codes that streams were ended with by clients.
        most_at_once: the most requests that were being handled at once.
    """

    def __init__(
        self,
        handler: Handler = echo,
        tls: ssl.SSLContext | None = None,
        settings: Mapping[str, int] | None = None,
        gives_back: bool = True,
        forgiving: bool = False,
    ) -> None:
        self.forgiving = forgiving
        self.handler = handler
        self.tls = tls
        if tls is not None:
            tls.set_alpn_protocols(["h2", "http/1.1"])
        self.settings = {
            getattr(h2.settings.SettingCodes, name): value
            for name, value in (settings or {}).items()
        }
        self.gives_back = gives_back
        self.peers: list[Peer] = []
        self.requests: list[Request] = []
        self.resets: list[int] = []
        self.faults: list[Exception] = []
        self.most_at_once = 0
        self._running = 0
        self._lock = threading.Condition()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self._socket.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._stopping = False

    def __call__(self, path: str = "/") -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}{path}"

    def __enter__(self) -> Http2Server:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping = True
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for peer in self.peers:
            peer.close()
        for thread in self._threads:
            thread.join(PATIENCE)
        if error is None and self.faults:
            raise self.faults[0]

    def _start(self, run: Callable[..., Any], *arguments: Any) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping:
            try:
                sock, _ = self._socket.accept()
            except OSError:
                return
            self._start(self._serve, sock)

    def _serve(self, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is not None:
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:
                sock.close()
                return
        with self._lock:
            peer = Peer(self, sock, len(self.peers) + 1)
            self.peers.append(peer)
        peer.run()

    def begin(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)
            self._lock.notify_all()
        self._start(self._handle, request)

    def _handle(self, request: Request) -> None:
        with self._lock:
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
            self._lock.notify_all()
        try:
            self.handler(request)
        except Gone:
            pass
        except Exception as fault:
            self.faults.append(fault)
        finally:
            with self._lock:
                self._running -= 1

    def take_reset(self, code: int) -> None:
        """Take note that a client has ended a stream."""
        with self._lock:
            self.resets.append(code)
            self._lock.notify_all()

    def wait_until(self, true: Callable[[Http2Server], Any]) -> None:
        """Wait until something is true of the server: asked whenever a request or a reset comes."""
        with self._lock:
            assert self._lock.wait_for(lambda: true(self), PATIENCE)


def wsgi(app: Any) -> Handler:
    """Return a handler that answers as a WSGI application does."""

    def handler(request: Request) -> None:
        body = request.read()
        path, _, query = request.path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": request.path,
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": str(request.peer.server.port),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "HTTP_HOST": request.get(":authority"),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.input_terminated": True,
        }
        for name, value in request.fields:
            if name.startswith(":"):
                continue
            key = name.upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        if body:
            environ.setdefault("CONTENT_LENGTH", str(len(body)))
        head: list[Any] = []

        def start_response(status: str, fields: Any, exc_info: Any = None) -> None:
            head[:] = [int(status.split()[0]), fields]

        pieces = app(environ, start_response)
        try:
            sent = False
            for piece in pieces:
                if not sent:
                    sent = True
                    _send_head(request, head)
                if piece and request.method != "HEAD":
                    request.data(piece)
            if not sent:
                _send_head(request, head)
            request.data(b"", True)
        finally:
            getattr(pieces, "close", lambda: None)()

    return handler


def _send_head(request: Request, head: list[Any]) -> None:
    status, fields = head
    rows = [(":status", str(status))]
    rows += [(name.lower(), value) for name, value in fields if name.lower() not in _HOP]
    with request.peer.sending() as connection:
        connection.send_headers(request.stream, rows)


_HOP = ("connection", "transfer-encoding", "keep-alive")
