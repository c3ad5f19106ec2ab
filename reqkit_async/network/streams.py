"""Streams on gevent's event loop: plain sockets, and watchers that wake the greenlet that waits.

A stream keeps the bare socket under all Python wrappers and one persistent watcher of its hub's
loop, so an exchange costs two system calls, one start and one stop of the watcher, and two
switches. Time limits cost a clock reading each: a wait only writes down when it expires, and one
timer for each hub looks at what is due (`reqkit_async.network.expiries.Expiries`).

Importing this changes nothing in the process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import weakref
from _socket import socket as PlainSocket  # never gevent's, patched or not
from time import monotonic as clock
from typing import Any, Final

# Makes none, as `get_hub` would: of a thread that ends, too, where nobody would destroy it.
from gevent._hub_local import get_hub_if_exists
from gevent.monkey import get_original
from greenlet import getcurrent

from reqkit.network import Address, SocketOptions, forks, new_socket

from .expiries import EXPIRED, NEVER
from .hubs import LIBEV_LOOPS, current_hub, next_turn, wrong_thread

__all__ = ["GeventStream", "plain_socket"]

_READ: Final = 1
_WRITE: Final = 2
#: Seconds of reading and decoding what is there at once, before other greenlets get their turn.
_LONGEST_TURN: Final = 0.02
_CONNECTING: Final = frozenset((errno.EINPROGRESS, errno.EWOULDBLOCK))

# A patched `select` has gevent's poll, which would switch greenlets.
_poll: Any = get_original("select", "poll") if hasattr(select, "poll") else None
_select: Any = get_original("select", "select")


def plain_socket(
    address: Address, options: SocketOptions, source: tuple[str, int] | None
) -> PlainSocket:
    """Make a non-blocking socket for an address, not connected yet."""
    sock = new_socket(PlainSocket, address, options, source)
    sock.setblocking(False)
    return sock


class GeventStream:
    """A stream whose waits let other greenlets run. It belongs to the hub of its thread.

    One greenlet may use it at a time. A greenlet that is killed while it waits leaves the stream
    fit to be closed.

    Args:
        sock: a connected, non-blocking, bare socket; the stream closes it.

    Attributes:
        bound: no other thread uses it; what is built upon it may rely on that.
    """

    bound: Final = True

    __slots__ = (
        "__weakref__",
        "_cancelled",
        "_expiries",
        "_generation",
        "_hub",
        "_kept",
        "_loop",
        "_poller",
        "_reads",
        "_recv",
        "_recv_into",
        "_send",
        "_switch_away",
        "_watched",
        "_woken",
        "_writes",
        "entry",
        "entry_at",
        "expires",
        "sock",
        "waiter",
    )

    def __init__(self, sock: PlainSocket) -> None:
        self._reads: Any = None  # set first, for __del__
        #: When this greenlet last had its turn.
        self._woken = 0.0
        self._writes: Any = None
        self.sock: PlainSocket = sock
        self._kept = kept = current_hub()
        self._hub = hub = kept.hub
        self._generation = kept.generation
        self._expiries = kept.expiries
        self.entry: list[Any] | None = None
        self.entry_at: float = NEVER
        self.expires: float = NEVER
        self.waiter: Any = None
        self._cancelled: Any = None
        self._watched = False
        self._poller: Any = None
        # Bound once: an exchange needs each of them. They are called by a name of the function's
        # own: what a slot holds is slow to find as a method.
        self._send = sock.send
        self._recv = sock.recv
        self._recv_into = sock.recv_into
        self._switch_away = hub.switch
        self._loop = hub.loop
        self._reads = hub.loop.io(sock.fileno(), _READ)
        kept.streams.add(self)
        # Dropped, in a circle too, it is closed without a ResourceWarning: held from outside, the
        # socket is not finalized before this.
        weakref.finalize(self, sock.close)

    def __repr__(self) -> str:
        state = "closed" if self.sock.fileno() < 0 else f"fd={self.sock.fileno()}"
        return f"<GeventStream {state}{' waiting' if self.waiter is not None else ''}>"

    # -- waiting

    def _wait(self, watcher: Any, timeout: float | None) -> None:
        """Let others run until the watcher wakes this greenlet.

        Raises:
            TimeoutError: it did not within ``timeout`` seconds.
            RuntimeError: another greenlet waits already, or the stream is another thread's.
            OSError: the stream is closed, or was while waiting.
        """
        if self.waiter is not None:
            raise RuntimeError(
                f"this connection is already used by another greenlet: {self.waiter!r}"
            )
        greenlet = getcurrent()
        # Most greenlets have their hub for a parent, which is sooner asked than what a thread's is.
        if greenlet.parent is not self._hub and get_hub_if_exists() is not self._hub:
            raise wrong_thread()
        if watcher is None:
            raise OSError(errno.EBADF, "the connection is closed")
        if timeout is None:
            self.expires = NEVER
        else:
            self.expires = expires = clock() + timeout
            if expires < self.entry_at:
                self._expiries.add(self, expires)
        self.waiter = greenlet
        try:
            watcher.start(greenlet.switch, self)
            switch_away = self._switch_away
            woken_by = switch_away()
        except BaseException:  # thrown into the greenlet: a kill, a timer of somebody's
            self.waiter = self._cancelled = None
            if self._reads is not None and self._loop.ptr:  # else close() has stopped it
                watcher.stop()
            raise
        self.waiter = None
        watcher.stop()
        self._woken = clock()
        if woken_by is not self:
            if woken_by is EXPIRED:
                raise TimeoutError(errno.ETIMEDOUT, f"nothing happened for {timeout:g} s")
            raise RuntimeError(
                f"the greenlet was switched to while it waited for a connection: got {woken_by!r}"
            )
        if self._generation != forks.count:
            # A copy of a greenlet of the parent process: what came is the parent's.
            raise _parents()

    def wait_readable(self, timeout: float | None) -> None:
        """Wait until `receive` has something to give; others run meanwhile."""
        self._wait(self._reads, timeout)

    def wait_writable(self, timeout: float | None) -> None:
        """Wait until the socket takes bytes, or has connected."""
        if self._writes is None and self._reads is not None:
            if get_hub_if_exists() is not self._hub:
                raise wrong_thread()
            self._writes = self._loop.io(self.sock.fileno(), _WRITE)
        self._wait(self._writes, timeout)

    # -- for many at a time: the loop calls, and nobody waits here

    def watch(self, call: Any) -> None:
        """Have the loop call whenever bytes are there, until `unwatch`."""
        if self._reads is None:
            raise OSError(errno.EBADF, "the connection is closed")
        if self._generation != forks.count:
            raise _parents()
        self._watched = True
        self._reads.start(call)

    def unwatch(self) -> None:
        """Take `watch` and `watch_writable` back."""
        self._watched = False
        if self._reads is not None and self._loop.ptr:
            self._reads.stop()
            if self._writes is not None:
                self._writes.stop()

    def watch_writable(self, call: Any) -> None:
        """Have the loop call whenever the socket takes bytes; None takes that back."""
        if self._reads is None:
            raise OSError(errno.EBADF, "the connection is closed")
        if self._writes is None:
            self._writes = self._loop.io(self.sock.fileno(), _WRITE)
        if call is None:
            self._writes.stop()
        else:
            self._watched = True
            self._writes.start(call)

    def is_here(self) -> bool:
        """Tell whether this is called in the thread whose loop it is."""
        return get_hub_if_exists() is self._hub and bool(self._loop.ptr)

    def soon(self, call: Any) -> Any:
        """Have the loop call once; from any greenlet, any thread and a finalizer.

        Returns:
            what has ``pending`` until then; None where there is no loop any more.
        """
        if get_hub_if_exists() is self._hub:
            if self._loop.ptr:
                return self._loop.run_callback(call)
        elif self._loop_runs():
            return self._loop.run_callback_threadsafe(call)
        return None

    def receive_now(self, buffer: memoryview) -> int | None:
        """Take what is there into a buffer; return how many bytes, 0 at the end; None: nothing."""
        if self._generation != forks.count:
            raise _parents()
        try:
            return self._recv_into(buffer)
        except BlockingIOError:
            return None

    def receive_some(self, most: int) -> bytes | None:
        """Return bytes that are there, none at the end; None where nothing is."""
        if self._generation != forks.count:
            raise _parents()
        try:
            return self._recv(most)
        except BlockingIOError:
            return None

    def send_now(self, data: bytes | memoryview) -> int:
        """Send what the socket takes at once; return how many bytes that was."""
        if self._generation != forks.count:
            raise _parents()
        try:
            return self._send(data)
        except BlockingIOError:
            return 0

    def flush_now(self) -> bool:
        """Return True: nothing that `send_now` took is kept here."""
        return True

    # -- the stream

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        """Send all of it."""
        if getcurrent().parent is not self._hub and get_hub_if_exists() is not self._hub:
            raise wrong_thread()
        send = self._send
        try:
            sent = send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send_rest(memoryview(data)[sent:], timeout)

    def _send_rest(self, rest: memoryview, timeout: float | None) -> None:
        while rest:
            self.wait_writable(timeout)
            with contextlib.suppress(BlockingIOError):
                rest = rest[self._send(rest) :]

    def receive_next(self, most: int, timeout: float | None) -> bytes:
        """As `receive`, where nothing can be there yet: waits first.

        To try costs a system call and an exception, which is more than to wait.
        """
        self._wait(self._reads, timeout)
        receive = self._recv
        try:
            return receive(most)
        except BlockingIOError:
            return self.receive(most, timeout)

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Wait for bytes and return up to ``most`` of them."""
        if clock() - self._woken > _LONGEST_TURN:
            self._let_others_run()
        while True:
            try:
                return self._recv(most)
            except BlockingIOError:
                self._wait(self._reads, timeout)

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """As `receive`, into a buffer."""
        if clock() - self._woken > _LONGEST_TURN:
            self._let_others_run()
        while True:
            try:
                return self._recv_into(buffer)
            except BlockingIOError:
                self._wait(self._reads, timeout)

    def _let_others_run(self) -> None:
        """Give way: a server that is faster than we are must not keep all others waiting."""
        if get_hub_if_exists() is self._hub and self.waiter is None:
            # Meanwhile it is waited for, as far as others are concerned: who closes it, or the
            # thread's end, must not take it for nobody's.
            self.expires = NEVER
            self.waiter = getcurrent()
            try:
                next_turn()
            finally:
                self.waiter = self._cancelled = None
        self._woken = clock()

    def lag(self) -> float:
        """Return for how many seconds, so far, running code has kept the loop from the network."""
        return self._kept.lag()

    def has_come(self) -> bool:
        """Tell whether what is waited for is there, whether or not the loop has seen it."""
        return self._is_ready(self._writes is not None and self._writes.active)

    def has_connected(self) -> bool:
        """Tell, without waiting, whether connecting has ended, well or not."""
        return self._is_ready(True)

    def _is_ready(self, to_write: bool) -> bool:
        number = self.sock.fileno()
        if number < 0:
            return False
        if _poll is None:  # Windows
            both = ([], [number]) if to_write else ([number], [])
            return any(_select(*both, [], 0))
        poller = _poll()
        poller.register(number, select.POLLOUT if to_write else select.POLLIN)
        return bool(poller.poll(0))

    def is_readable(self) -> bool:
        """Tell, without waiting or switching, whether bytes or an end are there to be read."""
        poller = self._poller
        if poller is None:
            if self._reads is None or self.sock.fileno() < 0:
                return True
            if _poll is None:  # Windows
                return self._peek()
            poller = self._poller = _poll()
            poller.register(self.sock.fileno(), select.POLLIN)
        return bool(poller.poll(0))

    def _peek(self) -> bool:
        try:
            self.sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    # -- connecting

    def connect(self, address: Address, timeout: float | None) -> None:
        """Connect the socket; closes it where that fails."""
        try:
            if not self.begin_connect(address):
                try:
                    self.wait_writable(timeout)
                except TimeoutError:
                    raise _too_slow(address, timeout) from None
                self.end_connect(address)
        except BaseException:  # a kill, too
            self.close()
            raise

    def begin_connect(self, address: Address) -> bool:
        """Begin to connect; True where that was all."""
        code = self.sock.connect_ex(address.sockaddr)
        if code and code not in _CONNECTING:
            raise _failed(code, address)
        return code == 0

    def end_connect(self, address: Address) -> None:
        """Raise what kept the socket from being connected, if anything did."""
        code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise _failed(code, address)

    def when_writable(self, callback: Any, *args: Any) -> None:
        """Have a function called in the hub, once or more, when the socket has connected."""
        if self._writes is None:
            self._writes = self._loop.io(self.sock.fileno(), _WRITE)
        self._writes.start(callback, *args)

    def cancel_when_writable(self) -> None:
        """Take `when_writable` back."""
        if self._writes is not None:
            self._writes.stop()

    # -- the end

    def close(self) -> None:
        """Close the socket; a greenlet that waits on it gets an ``OSError``.

        May be called from anywhere: another greenlet, another thread, a finalizer, after the
        hub is gone.
        """
        if self._reads is None:
            return
        try:
            if get_hub_if_exists() is self._hub or not self._loop_runs():
                self._close()
            else:
                self._close_from_another_thread()
        except Exception:  # the interpreter is going down, and parts of it are gone
            self._close_socket()

    def end(self) -> None:
        """Close the socket where something waits for it that never goes on: the thread ends."""
        writes = self._writes
        if self.waiter is not None or self._watched or (writes is not None and writes.active):
            self.waiter = None
            self._close()

    def _loop_runs(self) -> bool:
        """Tell whether the thread whose loop it is lives on."""
        return bool(self._loop.ptr) and self._kept.runs()

    def _close(self) -> None:
        waiter, self.waiter = self.waiter, None
        self._expiries.remove(self)
        self._close_watchers()
        self._close_socket()
        if waiter is not None and self._loop.ptr:
            self._cancelled = waiter
            self._loop.run_callback(self._cancel)

    def _cancel(self) -> None:
        """Wake the greenlet that waited, unless something else has. Runs in the hub."""
        waiter = self._cancelled
        if waiter is not None:
            waiter.throw(OSError(errno.EBADF, "the connection was closed by another greenlet"))

    def _close_watchers(self) -> None:
        watchers = (self._reads, self._writes)
        self._reads = self._writes = None
        # In a loop that was destroyed they are gone already; in one whose thread is over nothing
        # runs any more, and what is not started has nothing to stop.
        if self._loop.ptr:
            for watcher in watchers:
                if watcher is not None:
                    with contextlib.suppress(Exception):  # the next one is stopped, too
                        watcher.stop()
                        watcher.close()

    def _close_socket(self) -> None:
        self._poller = None
        with contextlib.suppress(OSError):
            self.sock.close()

    def _close_from_another_thread(self) -> None:
        # Another thread is not to touch the loop.
        if self.waiter is None and not self._watched and isinstance(self._loop, LIBEV_LOOPS):
            # What has not been started is no part of libev's loop, and needs no closing.
            if self.entry is not None:
                self.entry[2] = None
            self._reads = self._writes = None
            self._close_socket()
            return
        # The peer sees the end at once; the rest waits for the loop's own thread.
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self._loop.run_callback_threadsafe(self._close)

    def __del__(self) -> None:
        if self._reads is not None:
            # Left open. Nothing waits for the socket, or it would have kept this: the watchers
            # are not started, and nothing to the loop.
            with contextlib.suppress(Exception):
                if get_hub_if_exists() is self._hub:
                    self._close_watchers()


def _parents() -> OSError:
    """Return the error of a stream that a forked process has a copy of."""
    return OSError(errno.EBADF, "the connection belongs to the parent process")


def _failed(code: int, address: Address) -> OSError:
    return OSError(code, f"{os.strerror(code)} ({_spell(address)})")


def _too_slow(address: Address, timeout: float | None) -> TimeoutError:
    return TimeoutError(
        errno.ETIMEDOUT, f"connecting to {_spell(address)} took longer than {timeout:g} s"
    )


def _spell(address: Address) -> str:
    host, port, *_ = address.sockaddr
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
