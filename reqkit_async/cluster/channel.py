"""How a caller and its workers reach each other: sockets of this machine, or TCP between machines.

A channel carries messages (tuples of plain values) both ways, in order. What is posted is gathered
for a moment and sent as one frame; the first after some silence goes with the loop's next turn.
That the other side is gone shows as the channel's end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket as _socket
import sys
import weakref
from collections.abc import Callable, Iterator
from pickle import dumps, loads
from time import monotonic as clock
from typing import Any, Final

import gevent
import gevent.socket
from gevent.event import Event

from ..pool.exits import SYSTEM_ERRORS
from .frames import Framer, Greeting, NotOurs

__all__ = ["Address", "Channel", "Listener", "connect"]

#: Seconds that messages are gathered for.
GATHER: Final = 0.002
#: Bytes that are received at a time.
_STEP: Final = 1 << 18
#: Seconds that a greeting, and reaching an address, may take.
_PATIENCE: Final = 10.0
#: How many may be about to greet at a time; those who have taken longest have to go.
_MOST_GREETING: Final = 64
#: TCP's own question whether the other machine is still there: the first after so many seconds of
#: silence, the next ones as many apart, and so many of them.
_ALIVE_AFTER: Final = 5
_ALIVE_TIMES: Final = 3

#: ``("unix", name)`` or ``("tcp", host, port)``.
Address = tuple[Any, ...]

#: The caller's ends. A process that is forked meanwhile must not keep them open.
_open: weakref.WeakSet[Any] = weakref.WeakSet()


def _forked() -> None:
    for sock in list(_open):
        with contextlib.suppress(OSError, AttributeError):
            os.close(sock._sock.detach())
    _open.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Channel:
    """Messages to and from the other side.

    Args:
        sock: a connected socket of gevent's, after the greeting.
        framer: makes and reads its frames.
        local: whether the other side is a process of this machine, so that what was handed to the
            kernel arrives although this process dies.
    """

    def __init__(self, sock: Any, framer: Framer, local: bool) -> None:
        self.local = local
        self.closed: bool = False
        #: Called before what was gathered goes out; may post.
        self.before_sending: Callable[[], None] | None = None
        #: Told of an interrupt that hit this in the hub, where nobody else would learn of it.
        self.on_interrupt: Callable[[BaseException], None] | None = None
        self._sock = sock
        self._framer = framer
        self._loop = gevent.get_hub().loop
        self._out: list[tuple[Any, ...]] = []
        self._timer: Any = None
        self._timed = False
        self._sent_at = 0.0
        self._writing = False
        self._written = Event()
        self._written.set()

    def post(self, message: tuple[Any, ...]) -> None:
        """Send a message soon. Never blocks."""
        self._out.append(message)
        if not self._timed:
            self.send_soon()

    def send_soon(self) -> None:
        """Send what there is to be sent, once it was gathered for a moment. Never blocks."""
        if self._timed or self.closed:
            return
        self._timed = True
        if clock() - self._sent_at > GATHER:
            # Whatever runs before the loop's next turn may have more for it.
            self._loop.run_callback(self._send_gathered)
            return
        timer = self._timer
        if timer is None:
            timer = self._timer = self._loop.timer(GATHER, ref=False)
        timer.start(self._timer_rang, update=True)

    def _timer_rang(self) -> None:
        self._timer.stop()
        self._send_gathered()

    def _send_gathered(self) -> None:
        """Send what was gathered. Runs in the hub."""
        try:
            self.send_now()
        except SYSTEM_ERRORS as error:
            self.hang_up()  # nobody knows what of it was sent
            if self.on_interrupt is None:
                raise
            self.on_interrupt(error)

    def send_now(self) -> None:
        """Send what was gathered, as far as the kernel takes it at once. Never blocks."""
        self._timed = False
        if self.closed or self._writing:
            return  # whoever writes goes on with what there is then
        frame = self._next_frame()
        if not frame:
            return
        self._sent_at = clock()
        try:
            sent = self._sock._sock.send(frame)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError:
            return  # who receives sees the end, too
        if sent < len(frame):
            self._writing = True
            self._written.clear()
            gevent.spawn(self._write, memoryview(frame)[sent:])

    def wait_sent(self) -> None:
        """Return when all that was posted is with the kernel. May block."""
        self.send_now()
        while self._writing and not self.closed:
            self._written.wait()
            self.send_now()

    def _next_frame(self) -> bytes:
        if self.before_sending is not None:
            self.before_sending()
        if not self._out:
            return b""
        out, self._out = self._out, []
        return self._framer.pack(dumps(out, 5))

    def _write(self, rest: Any) -> None:
        try:
            while len(rest):
                self._sock.sendall(rest)
                rest = self._next_frame()
        except OSError:
            pass  # as above
        finally:
            self._writing = False
            self._written.set()
            if self._out:
                self.send_soon()

    def receive(self) -> Iterator[list[tuple[Any, ...]]]:
        """Yield messages as they come, until the other side has closed or is gone. Blocks."""
        try:
            while True:
                data = self._sock.recv(_STEP)
                if not data:
                    return
                for payload in self._framer.feed(data):
                    yield loads(payload)
        except (OSError, NotOurs):
            return

    def hang_up(self) -> None:
        """Have both sides' receiving end."""
        if not self.closed:
            _shut_down(self._sock)

    def close(self) -> None:
        """Let go of the socket. Never blocks, and may be called again."""
        if self.closed:
            return
        self.hang_up()
        self.closed = True
        self._written.set()
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        self._sock.close()


class Listener:
    """Where workers find their caller.

    Args:
        key: the run's.
        toward: a host that lies in the direction of the workers; "" for any other machine, None
            for workers of this machine alone.
        met: called, in a greenlet, with the channel of each worker that knows the key.

    Attributes:
        addresses: what workers are told, in the order in which they are to try.
    """

    def __init__(self, key: bytes, toward: str | None, met: Callable[[Channel], None]) -> None:
        self.addresses: list[Address] = []
        self._key = key
        self._met = met
        self._sockets: list[Any] = []
        self._greenlets: list[Any] = []
        #: Those that have not greeted yet, in the order in which they came.
        self._greeting: dict[Any, None] = {}
        try:
            if sys.platform == "linux":
                # A name that is no file: it is gone with the process.
                name = f"\0reqkit-{os.getpid()}-{secrets.token_hex(8)}"
                self._listen(_socket.AF_UNIX, name)
                self.addresses.append(("unix", name))
            if toward is not None or not self.addresses:
                host = "127.0.0.1" if toward is None else _own_address(toward)
                family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
                port = self._listen(family, (host, 0)).getsockname()[1]
                self.addresses.append(("tcp", host, port))
        except BaseException:  # an interrupt, too, leaves no port open
            self.close()
            raise

    def _listen(self, family: int, address: Any) -> Any:
        sock = gevent.socket.socket(family, _socket.SOCK_STREAM)
        self._sockets.append(sock)
        _open.add(sock)
        sock.bind(address)
        sock.listen(128)
        return sock

    def start(self) -> None:
        """Let workers come."""
        self._greenlets = [gevent.spawn(self._accept, sock) for sock in self._sockets]

    def _accept(self, listening: Any) -> None:
        local = listening.family == _socket.AF_UNIX
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                if listening.fileno() < 0:
                    return
                gevent.sleep(0.05)  # no descriptor is left, say
                continue
            if len(self._greeting) >= _MOST_GREETING:
                slowest = next(iter(self._greeting))
                del self._greeting[slowest]
                _shut_down(slowest)
            self._greeting[sock] = None
            gevent.spawn(self._greet, sock, local)

    def _greet(self, sock: Any, local: bool) -> None:
        _open.add(sock)
        try:
            with gevent.Timeout(_PATIENCE, OSError("no greeting in time")):
                _be_quick(sock, local)
                greeting = Greeting(self._key)
                sock.sendall(greeting.challenge())
                sock.sendall(greeting.confirm(_exactly(sock, Greeting.ANSWER)))
        except (OSError, NotOurs):
            sock.close()
            return
        except BaseException:  # a kill
            sock.close()
            raise
        finally:
            self._greeting.pop(sock, None)
        if not self._sockets:  # closed meanwhile
            sock.close()
            return
        self._met(Channel(sock, greeting.framer(caller=True, signed=not local), local))

    def close(self) -> None:
        """Listen no more. Never blocks."""
        sockets, self._sockets = self._sockets, []
        for greenlet in self._greenlets:
            greenlet.kill(block=False)
        for sock in sockets:
            _shut_down(sock)  # now: the hub closes it a turn later
            sock.close()
        for sock in self._greeting:
            _shut_down(sock)


def _shut_down(sock: Any) -> None:
    """Have both sides' receiving end at once."""
    with contextlib.suppress(OSError):
        sock._sock.shutdown(_socket.SHUT_RDWR)


def connect(addresses: list[Address], key: bytes) -> Channel | None:
    """Reach the caller. Blocks.

    Returns:
        the channel; None where no address leads to it: its call is over.
    """
    for address in addresses:
        sock = None
        local = address[0] == "unix"
        try:
            with gevent.Timeout(_PATIENCE, OSError("no answer in time")):
                if local:
                    sock = gevent.socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
                    sock.connect(address[1])
                else:
                    sock = gevent.socket.create_connection(address[1:])
                _be_quick(sock, local)
                greeting = Greeting(key)
                sock.sendall(greeting.answer(_exactly(sock, Greeting.CHALLENGE)))
                greeting.check(_exactly(sock, Greeting.CONFIRMATION))
            return Channel(sock, greeting.framer(caller=False, signed=not local), local)
        except (OSError, NotOurs, AttributeError):  # AF_UNIX is not everywhere
            if sock is not None:
                sock.close()
        except BaseException:  # likewise
            if sock is not None:
                sock.close()
            raise
    return None


def _be_quick(sock: Any, local: bool) -> None:
    """Send small frames at once, and find out where the other machine is gone."""
    if local:
        return
    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", _ALIVE_AFTER),
        ("TCP_KEEPINTVL", _ALIVE_AFTER),
        ("TCP_KEEPCNT", _ALIVE_TIMES),
        # What was sent and is not acknowledged counts as silence, too; milliseconds.
        ("TCP_USER_TIMEOUT", 1000 * _ALIVE_AFTER * (_ALIVE_TIMES + 1)),
    ):
        option = getattr(_socket, name, None)
        if option is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(_socket.IPPROTO_TCP, option, value)


def _exactly(sock: Any, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("closed during the greeting")
        data += piece
    return data


def _own_address(toward: str) -> str:
    """Return this machine's address that others reach it by. Sends nothing."""
    for family, host in ((_socket.AF_INET, "192.0.2.1"), (_socket.AF_INET6, "2001:db8::1")):
        target = toward or host  # addresses of no machine: the way to anywhere
        with contextlib.suppress(OSError), _socket.socket(family, _socket.SOCK_DGRAM) as sock:
            sock.connect((target, 9))
            own: str = sock.getsockname()[0]
            return own
    return "127.0.0.1"
