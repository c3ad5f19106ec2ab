"""A WSGI server with kept connections, for httpbin.

The ones that come with Werkzeug and the standard library close after each answer, which would
hide how a client keeps and gives back its connections.
"""

from __future__ import annotations

import contextlib
import io
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, cast
from urllib.parse import unquote

from .tls import close_politely

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 65536

    def setup(self) -> None:
        server = cast("_Listener", self.server)
        if server.tls is not None:
            # Here, in the connection's thread: a handshake must not hold up the others.
            self.request = server.tls.wrap_socket(self.request, server_side=True)
            server.replace(self.client_address, self.request)
        super().setup()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def _answer(self) -> None:
        server = cast("_Listener", self.server)
        output = _Output(self)
        body = server.application(self._environ(self._body()), output.start)
        try:
            for piece in body:
                if piece:
                    output.write(piece)
            output.finish()
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()

    def finish(self) -> None:
        super().finish()
        if isinstance(self.request, ssl.SSLSocket):
            close_politely(self.request)

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline() not in (b"\r\n", b""):
            pass
        return body

    def _environ(self, body: bytes) -> dict[str, Any]:
        server = cast("_Listener", self.server)
        path, _, query = self.path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "REQUEST_URI": self.path,
            "RAW_URI": self.path,
            "SERVER_NAME": server.server_address[0],
            "SERVER_PORT": str(server.server_address[1]),
            "SERVER_PROTOCOL": self.request_version,
            # httpbin refuses chunked bodies unless it believes in a server that ends the input.
            "SERVER_SOFTWARE": "gunicorn/tests",
            "REMOTE_ADDR": self.client_address[0],
            "REMOTE_PORT": str(self.client_address[1]),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https" if server.tls else "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name in self.headers:
            key = name.upper().replace("-", "_")
            if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
            environ[key] = ",".join(self.headers.get_all(name, []))
        return environ

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Output:
    """Writes one answer: by length where the application gives it, in chunks otherwise."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = handler
        self._head: tuple[str, list[tuple[str, str]]] | None = None
        self._started = False
        self._chunked = False

    def start(
        self, status: str, fields: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        if exc_info is not None and self._started:
            raise exc_info[1]
        self._head = status, fields
        return self.write

    def write(self, data: bytes) -> None:
        self._begin()
        if self._handler.command == "HEAD":
            return
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self._handler.wfile.write(data)

    def finish(self) -> None:
        self._begin()
        if self._chunked and self._handler.command != "HEAD":
            self._handler.wfile.write(b"0\r\n\r\n")

    def _begin(self) -> None:
        if self._started:
            return
        assert self._head is not None, "the application did not start its answer"
        self._started = True
        status, fields = self._head
        handler = self._handler
        code, _, reason = status.partition(" ")
        names = {name.lower() for name, _ in fields}
        handler.send_response_only(int(code), reason)
        for name, value in fields:
            handler.send_header(name, value)
        for name, value in (
            ("Date", handler.date_time_string()),
            ("Server", "wsgi-tests"),
        ):
            if name.lower() not in names:
                handler.send_header(name, value)
        bodiless = code in ("204", "304")
        if "content-length" not in names and not bodiless:
            if handler.request_version == "HTTP/1.1":
                self._chunked = True
                handler.send_header("Transfer-Encoding", "chunked")
            else:
                handler.close_connection = True
        handler.end_headers()


class _Listener(socketserver.ThreadingMixIn, socketserver.TCPServer):
    allow_reuse_address = True
    request_queue_size = 1024

    def __init__(self, host: str, application: Application, tls: ssl.SSLContext | None) -> None:
        self.application = application
        self.tls = tls
        self.faults: list[BaseException] = []
        self.threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._open: dict[Any, socket.socket] = {}
        if ":" in host:
            self.address_family = socket.AF_INET6
        super().__init__((host, 0), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self.replace(client_address, request)
        # A daemon, and noted: an application that still sleeps must not hold the tests' end.
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self.threads.append(thread)
        thread.start()

    def replace(self, client_address: Any, sock: socket.socket) -> None:
        with self._lock:
            self._open[client_address] = sock

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            for address, sock in list(self._open.items()):
                if sock is request or sock.fileno() == -1:
                    del self._open[address]
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        fault = sys.exc_info()[1]
        # A client may leave, or refuse a certificate; that is its test's business.
        if fault is not None and not isinstance(fault, OSError):
            self.faults.append(fault)

    def hang_up(self) -> None:
        with self._lock:
            for sock in self._open.values():
                if sock.fileno() != -1:
                    with contextlib.suppress(OSError):  # the client was first
                        socket.socket.shutdown(sock, socket.SHUT_RDWR)


class WSGIServer:
    """Serves an application until it is stopped; ``server('/get')`` is a URL."""

    def __init__(
        self,
        application: Application,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self._listener = _Listener(host, application, tls)
        self.host = host
        self.port = int(self._listener.server_address[1])
        name = f"[{host}]" if ":" in host else host
        #: Without a slash at its end.
        self.url = f"{'https' if tls else 'http'}://{name}:{self.port}"
        self._thread = threading.Thread(
            target=self._listener.serve_forever,
            kwargs={"poll_interval": 0.05},
            name=f"wsgi-{self.port}",
        )

    def __call__(self, path: str = "/") -> str:
        return self.url + path

    def start(self) -> WSGIServer:
        """Serve in a thread; the port is listening already."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close every connection, wait a second for each, raise what the application raised."""
        self._listener.shutdown()
        self._thread.join()
        self._listener.hang_up()
        self._listener.server_close()
        for thread in self._listener.threads:
            thread.join(1)
        if self._listener.faults:
            raise self._listener.faults[0]

    def __enter__(self) -> WSGIServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
