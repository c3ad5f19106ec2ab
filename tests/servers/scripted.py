"""A raw-socket server whose connections do exactly what a test's function says.

Each connection runs the handler in a thread of its own, with a `Connection` to read and write.
What arrives is kept; what a handler raises comes out when the server stops. Waiting is for
events and counts, each with a generous limit, so nothing sleeps and nothing hangs.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from types import TracebackType

from .messages import Received, answer
from .tls import close_politely

#: Seconds after which a wait for something that must happen is a failure.
PATIENCE = 40.0


class PeerLeft(ConnectionError):
    """The client closed where a handler wanted more of it."""


class Stopped(Exception):
    """The server is stopping, and a handler was waiting."""


class Connection:
    """One accepted connection, for a handler."""

    def __init__(self, server: ScriptedServer, sock: socket.socket, number: int) -> None:
        self.server = server
        self.sock = sock
        #: 1 for the first that the server accepted.
        self.number = number
        #: What the client asked for by SNI.
        self.server_name: str | None = None
        self._buffer = bytearray()
        self._last: Received | None = None
        self._open = True

    @property
    def tls(self) -> ssl.SSLSocket | None:
        """The socket with its TLS facts (``session_reused``, ``version()``, ...), if it has any."""
        return self.sock if isinstance(self.sock, ssl.SSLSocket) else None

    def start_tls(self, context: ssl.SSLContext) -> None:
        """Begin TLS as the server; also for a CONNECT that the handler answered itself.

        A handshake that fails is in the server's ``handshake_errors``, and ends the handler.
        """
        assert not self._buffer, f"sent before TLS was agreed on: {bytes(self._buffer)!r}"
        context.sni_callback = _remember_name
        raw = self.sock
        self.sock = context.wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        _names_by_socket[self.sock] = self
        try:
            self.sock.do_handshake()
        except OSError as fault:
            self.server._refused(fault)
            raise PeerLeft(f"no TLS with connection {self.number}: {fault}") from fault
        finally:
            _names_by_socket.pop(self.sock, None)

    def recv_some(self, most: int = 65536) -> bytes:
        """Return what there is, b"" at the client's end."""
        if self._buffer:
            data = bytes(self._buffer[:most])
            del self._buffer[:most]
            return data
        return self.sock.recv(most)

    def recv_until(self, end: bytes) -> bytes:
        """Return all up to and with ``end``."""
        searched = 0
        while (at := self._buffer.find(end, searched)) < 0:
            searched = max(0, len(self._buffer) - len(end) + 1)
            self._more()
        return self._take(at + len(end))

    def recv_exact(self, size: int) -> bytes:
        """Return exactly so many bytes."""
        while len(self._buffer) < size:
            self._more()
        return self._take(size)

    def recv_head(self) -> Received | None:
        """Wait for a request's head and record it; None when the client closed before it."""
        if not self._buffer:
            with contextlib.suppress(PeerLeft):
                self._more()
            if not self._buffer:
                return None
        self._last = Received(self.recv_until(b"\r\n\r\n"), self.number)
        self.server._record(self._last)
        return self._last

    def recv_body(self) -> bytes:
        """Read the body of the last head, by chunks or by length, and record it."""
        request = self._last
        assert request is not None, "recv_head comes first"
        if "chunked" in (request.get("Transfer-Encoding") or "").lower():
            while True:
                line = self.recv_until(b"\r\n")
                size = int(line.split(b";")[0], 16)
                piece = self.recv_exact(size + 2) if size else b""
                request.raw_body += line + piece
                request.body += piece[:-2]
                if not size:
                    break
            while (line := self.recv_until(b"\r\n")) != b"\r\n":
                request.raw_body += line
            request.raw_body += line
        else:
            request.body = request.raw_body = self.recv_exact(
                int(request.get("Content-Length") or 0)
            )
        return request.body

    def recv_request(self) -> Received | None:
        """Read a head and its body; None when the client closed before it."""
        request = self.recv_head()
        if request is not None:
            self.recv_body()
        return request

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.sock.sendall(data)

    def wait(self, event: threading.Event) -> None:
        """Wait for a test's event (stopping the server sets it too, and ends the handler)."""
        with self.server._changed:
            self.server._awaited.append(event)
            if self.server.stopping.is_set():
                raise Stopped
        if not event.wait(PATIENCE):
            raise AssertionError(f"the event that connection {self.number} waits for did not come")
        if self.server.stopping.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Let time pass, for a server that is slow by intent; ends at once when it stops."""
        if self.server.stopping.wait(seconds):
            raise Stopped

    def wait_closed(self) -> bytes:
        """Read until the client closes or resets; return what else it sent."""
        data = b""
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while piece := self.recv_some():
                data += piece
        return data

    def relay(self, host: str, port: int, most: int | None = None) -> None:
        """Carry bytes to another server and back until either ends, as a proxy does.

        With ``most``, only so many bytes come back.
        """
        with (
            socket.create_connection((host, port), timeout=PATIENCE) as upstream,
            selectors.DefaultSelector() as selector,
        ):
            if self._buffer:
                upstream.sendall(self._take(len(self._buffer)))
            selector.register(self.sock, selectors.EVENT_READ, upstream)
            selector.register(upstream, selectors.EVENT_READ, self.sock)
            while True:
                for key, _ in selector.select(PATIENCE):
                    data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                    while isinstance(key.fileobj, ssl.SSLSocket) and key.fileobj.pending():
                        data += key.fileobj.recv(65536)
                    if not data:
                        return
                    if most is not None and key.fileobj is upstream:
                        data = data[:most]
                        most -= len(data)
                    key.data.sendall(data)
                    if most == 0:
                        return

    def end(self) -> None:
        """Say that no more will be sent, and go on reading."""
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close in good order: over TLS with a close_notify."""
        if isinstance(self.sock, ssl.SSLSocket):
            close_politely(self.sock)
        self.cut()

    def cut(self) -> None:
        """Close the TCP connection only: over TLS, a truncation."""
        self.sock.close()
        self.server._closed(self)

    def reset(self) -> None:
        """Close with a TCP reset: the client gets ECONNRESET."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.cut()

    def _more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise PeerLeft(f"connection {self.number} ended after {bytes(self._buffer)!r}")
        self._buffer += data

    def _take(self, size: int) -> bytes:
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


Handler = Callable[[Connection], None]

# An SNI callback is given the socket alone.
_names_by_socket: dict[ssl.SSLSocket, Connection] = {}


def _remember_name(sock: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
    connection = _names_by_socket.get(sock)  # type: ignore[call-overload]
    if connection is not None:
        connection.server_name = name


class ScriptedServer:
    """Runs ``handler`` for each connection, from `start` (or ``with``) until `stop`.

    With ``tls``, the handshake comes before the handler; one that fails is in
    ``handshake_errors`` and the handler is not run. A client that leaves early ends its handler
    quietly; anything else that a handler raises is raised by `stop`.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.handler = handler
        self.tls = tls
        self.host = host
        self.port = 0
        self.requests: list[Received] = []
        self.connections: list[Connection] = []
        self.handshake_errors: list[OSError] = []
        self.connections_open = 0
        self.peak_connections = 0
        self.stopping = threading.Event()
        self._changed = threading.Condition()
        self._awaited: list[threading.Event] = []
        self._errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    @classmethod
    def answers(
        cls, answers: Iterable[bytes], *, tls: ssl.SSLContext | None = None
    ) -> ScriptedServer:
        """Give these answers, one for each request, whatever connection it comes on.

        Connections are kept until the client closes them; after the last answer they are closed.
        """
        rest = iter(list(answers))
        lock = threading.Lock()

        def handler(connection: Connection) -> None:
            while connection.recv_request() is not None:
                with lock:
                    data = next(rest, None)
                if data is None:
                    return
                connection.send(data)

        return cls(handler, tls=tls)

    @classmethod
    def echo(cls, *, tls: ssl.SSLContext | None = None) -> ScriptedServer:
        """Answer every request with what was received, as JSON (see `Received.as_json`)."""

        def handler(connection: Connection) -> None:
            while (request := connection.recv_request()) is not None:
                data = answer(200, request.as_json(), [("Content-Type", "application/json")])
                head_only = request.method == "HEAD"
                connection.send(data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head_only else data)

        return cls(handler, tls=tls)

    @property
    def scheme(self) -> str:
        """``http`` or ``https``."""
        return "https" if self.tls else "http"

    @property
    def netloc(self) -> str:
        """The host and port as a URL has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"{self.scheme}://{self.netloc}"

    def __call__(self, path: str = "/") -> str:
        return self.url + path

    @property
    def connections_opened(self) -> int:
        """How many connections were accepted so far."""
        return len(self.connections)

    def wait_until(
        self, condition: Callable[[ScriptedServer], bool], timeout: float = PATIENCE
    ) -> None:
        """Wait until what the server has counted fulfils a condition."""
        with self._changed:
            met = self._changed.wait_for(lambda: condition(self), timeout)
        assert met, (
            f"after {timeout} seconds: {len(self.requests)} requests, {self.connections_opened} "
            f"connections opened, {self.connections_open} still open"
        )

    def wait_for_requests(self, count: int) -> None:
        """Wait until the heads of so many requests have arrived."""
        self.wait_until(lambda server: len(server.requests) >= count)

    def wait_for_no_connections(self) -> None:
        """Wait until every connection is closed."""
        self.wait_until(lambda server: not server.connections_open)

    def start(self) -> ScriptedServer:
        """Listen; connecting works when this returns."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        self._listener = socket.socket(family, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((self.host, 0))
        self._listener.listen(4096)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._waker, self._wake = socket.socketpair()
        # Here, so that all that a server has open is open once it runs.
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._waker, selectors.EVENT_READ)
        self._acceptor = threading.Thread(target=self._accept, name=f"scripted-{self.port}")
        self._acceptor.start()
        return self

    def stop(self) -> None:
        """Close everything, wait for every thread, and raise what a handler raised."""
        with self._changed:
            self.stopping.set()
            for event in self._awaited:
                event.set()
        self._wake.send(b"x")
        self._acceptor.join(PATIENCE)
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                # The base class's: an SSLSocket's own would take the TLS state from under a
                # thread that is reading.
                socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
            if thread.is_alive():
                self._errors.append(AssertionError(f"the handler in {thread.name} did not end"))
        for sock in (self._listener, self._waker, self._wake):
            sock.close()
        if self._errors:
            raise self._errors[0]

    def __enter__(self) -> ScriptedServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.stop()
        except Exception as fault:
            # The test's own failure is the one to see; the handler's is told beside it.
            if error is None:
                raise
            raise fault from error

    def _accept(self) -> None:
        with self._selector as selector:
            while not self.stopping.is_set():
                selector.select()
                with contextlib.suppress(BlockingIOError, ConnectionError):
                    while not self.stopping.is_set():
                        self._serve(self._listener.accept()[0])

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._changed:
            connection = Connection(self, sock, len(self.connections) + 1)
            self.connections.append(connection)
            self.connections_open += 1
            self.peak_connections = max(self.peak_connections, self.connections_open)
            self._changed.notify_all()
        name = f"scripted-{self.port}-{connection.number}"
        thread = threading.Thread(target=self._run, args=(connection,), name=name)
        self._threads.append(thread)
        thread.start()

    def _run(self, connection: Connection) -> None:
        try:
            if self.tls is not None:
                connection.start_tls(self.tls)
            self.handler(connection)
        except (Stopped, ConnectionError, ssl.SSLError):
            # After a handshake, a fault of TLS is the client leaving in bad order.
            pass
        except BaseException as fault:
            # What the stopping itself did to a handler's socket is no fault of the handler's.
            if not (self.stopping.is_set() and isinstance(fault, OSError)):
                with self._changed:
                    self._errors.append(fault)
        finally:
            connection.close()

    def _record(self, request: Received) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def _refused(self, fault: OSError) -> None:
        with self._changed:
            self.handshake_errors.append(fault)
            self._changed.notify_all()

    def _closed(self, connection: Connection) -> None:
        with self._changed:
            if connection._open:
                connection._open = False
                self.connections_open -= 1
                self._changed.notify_all()
