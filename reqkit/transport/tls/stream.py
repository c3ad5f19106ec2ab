"""TLS over any `Stream`, spoken in memory: whichever network carries it, one implementation.

OpenSSL reads and writes two memory buffers; this moves the bytes between them and the stream
below. Nothing here knows about sockets, so TLS inside TLS (https through an https proxy) is one
of these on top of another.
"""

from __future__ import annotations

import contextlib
import errno
import ssl
from collections.abc import Callable
from typing import Any, Final

from ...network import Stream, forks
from ...timeouts import clock
from .sessions import Resumable, SessionSource

__all__ = ["TlsStream"]

#: The most that one record holds (RFC 8446 section 5.1).
_RECORD: Final = 16384
#: Asked of the network at once.
_CHUNK: Final = 65536
#: Encrypted at once, so that a large body is never in memory twice.
_PIECE: Final = 262144
#: How often an idle connection is read before it is taken for one that never stops.
_IDLE_READS: Final = 16


class TlsStream:
    """A stream of bytes inside TLS. Errors of TLS are ``ssl.SSLError``.

    Args:
        inner: the stream that carries the records; closed with this one.
        tls: the client's end, made with the two buffers.
        incoming: what ``tls`` reads.
        outgoing: what ``tls`` writes.
        offer: gets what returns the session to resume, once, when the first bytes have been read:
            TLS 1.3 sends it after the handshake.
    """

    __slots__ = (
        "_ended",
        "_failed",
        "_generation",
        "_incoming",
        "_inner",
        "_kept",
        "_midway",
        "_offer",
        "_outgoing",
        "_resumable",
        "_unsent",
        "bound",
        "tls",
    )

    def __init__(
        self,
        inner: Stream,
        tls: ssl.SSLObject,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        offer: Callable[[SessionSource], None] | None = None,
    ) -> None:
        self.tls: ssl.SSLObject = tls
        self._inner = inner
        self._incoming = incoming
        self._outgoing = outgoing
        self._offer = offer
        self._resumable: Resumable | None = None
        #: Decrypted by `is_readable`, and not handed out yet.
        self._kept = b""
        #: Encrypted by `send_now`, and not taken by the stream below yet.
        self._unsent: memoryview | None = None
        self._ended = False
        #: TLS broke: nothing that comes can be trusted, and no end is a good one.
        self._failed = False
        #: A send has begun and not ended: where in a record it stopped, nobody knows.
        self._midway = False
        self._generation = forks.count
        #: Used by the thread that made it alone.
        self.bound: bool = bool(getattr(inner, "bound", False))

    @property
    def protocol(self) -> str | None:
        """The protocol that the handshake has settled on (ALPN, RFC 7301), or None."""
        return self.tls.selected_alpn_protocol()

    @property
    def session(self) -> ssl.SSLSession | None:
        """The session as it is now, which another connection may resume."""
        return self.tls.session

    @property
    def session_reused(self) -> bool:
        """Whether the handshake resumed a session."""
        return bool(self.tls.session_reused)

    def handshake(self, timeout: float | None) -> None:
        """Do the handshake. Blocks.

        Args:
            timeout: seconds for all of it.

        Raises:
            ssl.SSLError: the two could not agree, or the certificate is not good.
            TimeoutError: it took longer.
        """
        ends, before, lag = self._limited(timeout)
        inner = self._inner
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                done = False
            except ssl.SSLError:
                self._send_now()  # the alert that tells the server why
                raise
            else:
                done = True
            sent = self._outgoing.pending
            if sent:
                self._flush(_left(ends, lag() - before))
            if done:
                return
            if sent:  # the answer to it is not there yet
                inner.wait_readable(_left(ends, lag() - before))
            data = inner.receive(_CHUNK, _left(ends, lag() - before))
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        """Encrypt and send all of it. The limit is for each wait until the peer takes more."""
        size = len(data)
        if size <= _RECORD:
            # One record: OpenSSL takes it whole.
            self._encrypt(data, timeout)
            self._flush(timeout)
            return
        view = memoryview(data).cast("B")
        size = len(view)
        outgoing = self._outgoing
        sent = 0
        while sent < size:
            sent += self._encrypt(view[sent : sent + _RECORD], timeout)
            if outgoing.pending >= _PIECE:
                self._flush(timeout)
        if outgoing.pending:
            self._flush(timeout)

    def _encrypt(self, data: bytes | bytearray | memoryview, timeout: float | None) -> int:
        while True:
            try:
                return self.tls.write(data)
            except ssl.SSLWantReadError:
                # The server began a new handshake (TLS 1.2), which goes first.
                self._flush(timeout)
                if not self._pull(timeout):
                    raise ssl.SSLEOFError(
                        ssl.SSL_ERROR_EOF, "the connection ended within a handshake"
                    ) from None

    def wait_readable(self, timeout: float | None) -> None:
        """Wait, where it is cheaper than to try first, until `receive` has something to give."""
        if not (self._kept or self._incoming.pending or self.tls.pending()):
            self._inner.wait_readable(timeout)

    def receive_next(self, most: int, timeout: float | None) -> bytes:
        """As `wait_readable` and then `receive`."""
        here = self._kept or self._incoming.pending or self.tls.pending() or self._ended
        if not here and self._pull(timeout, self._inner.receive_next):
            found = self._decrypt(min(most, _RECORD), timeout)
            if found is not None:
                return found
        return self.receive(most, timeout)

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Wait for bytes and return up to ``most`` of them; none mean that the peer has ended.

        The limit is for the whole call: bytes of a record that come one by one do not extend it.
        An end without TLS's own sign for it (close_notify) counts as an end, as in browsers: the
        framing of HTTP says whether something is missing.
        """
        if self._kept:
            data, self._kept = self._kept[:most], self._kept[most:]
            return data
        if most > _RECORD:
            most = _RECORD
        if self._incoming.pending or self.tls.pending():
            found = self._decrypt(most, timeout)
            if found is not None:
                return found
        ends, before, lag = self._limited(timeout)
        wait = timeout
        while not self._ended and self._pull(wait):
            found = self._decrypt(most, wait)
            if found is not None:
                return found
            wait = _left(ends, lag() - before)
        return b""

    def _limited(self, timeout: float | None) -> tuple[float | None, float, Callable[[], float]]:
        """Return when a limit runs out, the lag by now, and what tells how it has grown."""
        if timeout is None:
            return None, 0.0, _no_lag
        lag: Callable[[], float] = getattr(self._inner, "lag", _no_lag)
        return clock() + timeout, lag(), lag

    def lag(self) -> float:
        """Return for how many seconds, so far, nobody could look at the stream below."""
        lag: Callable[[], float] = getattr(self._inner, "lag", _no_lag)
        return lag()

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        """As `receive`, into a buffer, of as many records as are there; return how many bytes."""
        size = len(buffer)
        if self._kept:
            data = self.receive(size, timeout)
            buffer[: len(data)] = data
            return len(data)
        ends, before, lag = self._limited(timeout)
        wait = timeout
        tls, incoming = self.tls, self._incoming
        filled = 0
        while not self._ended:
            while filled < size and (incoming.pending or tls.pending()):
                try:
                    count = tls.read(size - filled, buffer[filled:])
                except ssl.SSLWantReadError:
                    break
                except ssl.SSLError:
                    self._fail()
                    self._check_open()
                    raise
                if not count:
                    self._ended = True
                    return filled
                filled += int(count)
            if self._outgoing.pending:
                self._flush(wait)
            if filled:
                if self._offer is not None:
                    self._remember()
                return filled
            if not self._pull(wait):
                break
            wait = _left(ends, lag() - before)
        return filled

    # -- for many at a time: see `reqkit.network.SharedStream`

    def watch(self, call: Callable[[], Any]) -> None:
        """Have something called whenever records are there, until `unwatch`."""
        below: Any = self._inner
        below.watch(call)

    def unwatch(self) -> None:
        """Take `watch` and `watch_writable` back."""
        below: Any = self._inner
        below.unwatch()

    def watch_writable(self, call: Callable[[], Any] | None) -> None:
        """Have something called whenever more can be sent; None takes that back."""
        below: Any = self._inner
        below.watch_writable(call)

    def is_here(self) -> bool:
        """Tell whether what runs now may call the others of these."""
        below: Any = self._inner
        return bool(below.is_here())

    def soon(self, call: Callable[[], Any]) -> Any:
        """Have something called once, after what runs now; from anywhere."""
        below: Any = self._inner
        return below.soon(call)

    def receive_now(self, buffer: memoryview) -> int | None:
        """Decrypt what is there into a buffer; return how many bytes that was, 0 at the end.

        None where no record is whole. What TLS has to say itself goes out with the next `send_now`
        or `flush_now`.
        """
        if self._failed:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "TLS has failed on this connection already")
        if self._kept:
            kept, self._kept = self._kept[: len(buffer)], self._kept[len(buffer) :]
            buffer[: len(kept)] = kept
            return len(kept)
        incoming = self._incoming
        read = self.tls.read
        below: Any = self._inner
        most = len(buffer)
        filled = 0
        count: Any
        while not self._ended:
            while filled < most and (incoming.pending or self.tls.pending()):
                try:
                    count = read(most - filled, buffer[filled:] if filled else buffer)
                except ssl.SSLWantReadError:
                    break
                except ssl.SSLError:
                    self._fail()
                    raise
                if not count:
                    self._ended = True
                    break
                filled += count
            if filled or self._ended:
                break
            # What is encrypted takes the place of what will not be.
            count = below.receive_now(buffer)
            if count is None:
                return None
            if count:
                incoming.write(buffer[:count])
            else:
                self._ended = True
        if filled and self._offer is not None:
            self._remember()
        return filled

    def receive_some(self, most: int) -> bytes | None:
        """Return decrypted bytes that are there, none at the end; None where no record is whole."""
        buffer = bytearray(min(most, _CHUNK))
        count = self.receive_now(memoryview(buffer))
        return None if count is None else bytes(buffer[:count])

    def send_now(self, data: bytes | memoryview) -> int:
        """Encrypt bytes and send what can be sent at once; return how many were encrypted."""
        if not self.flush_now():
            return 0
        view = memoryview(data)
        size = min(len(view), _PIECE)
        taken = 0
        try:
            while taken < size:
                taken += self.tls.write(view[taken : min(taken + _RECORD, size)])
        except ssl.SSLWantReadError:
            pass  # the server began a new handshake (TLS 1.2), which goes first
        self.flush_now()
        return taken

    def flush_now(self) -> bool:
        """Send on what was encrypted; tell whether all of it is gone."""
        below: Any = self._inner
        unsent = self._unsent
        while True:
            if unsent is None:
                if not self._outgoing.pending:
                    self._midway = False
                    return bool(below.flush_now())
                unsent = memoryview(self._outgoing.read())
                self._midway = True
            sent = below.send_now(unsent)
            if sent < len(unsent):
                self._unsent = unsent[sent:]
                return False
            self._unsent = unsent = None

    def is_readable(self) -> bool:
        """Tell, without waiting, whether decrypted bytes or an end are there to be read.

        Session tickets and key updates come on idle connections too: they are taken in, and are
        no sign of life or death.
        """
        try:
            for _ in range(_IDLE_READS):
                if self._kept or self._ended or self._failed:
                    return True
                if self._incoming.pending or self.tls.pending():
                    data = self._decrypt(_RECORD, 0.0)
                    if data is not None:
                        self._kept = data
                        return True
                if not self._inner.is_readable():
                    return False
                self._pull(0.0)
        except OSError:  # ssl.SSLError is one
            self._fail()
        return True

    def close(self) -> None:
        """Close it and the stream below. Never raises, never waits, and may be called again."""
        try:
            # A forked child must not write to its parent's connection.
            if self._generation == forks.count:
                self._generation = -1
                if not self._midway:
                    # RFC 8446 section 6.1: say so before closing. The server's own close_notify
                    # is not waited for: that is the SSLWantReadError.
                    with contextlib.suppress(OSError, ValueError):
                        self.tls.unwrap()
                    self._send_now()
                if self._resumable is not None:
                    self._resumable.thread = None
        finally:
            self._inner.close()

    def _pull(
        self,
        timeout: float | None,
        receive: Callable[[int, float | None], bytes] | None = None,
    ) -> bool:
        """Feed what the network has, by another way to receive if it is given; False at its end."""
        if self._failed:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "TLS has failed on this connection already")
        data = (receive or self._inner.receive)(_CHUNK, timeout)
        self._check_open()
        if data:
            self._incoming.write(data)
            return True
        self._ended = True
        return False

    def _check_open(self) -> None:
        """Raise an error where another thread has closed it: what comes then is no end of a body.

        It is the peer's answer to the end that was said.
        """
        if self._generation < 0:
            raise OSError(errno.EBADF, "the connection is closed") from None

    def _decrypt(self, most: int, timeout: float | None) -> bytes | None:
        """Return decrypted bytes, none at the end; None where a whole record is not there yet."""
        try:
            data = self.tls.read(most)
        except ssl.SSLWantReadError:
            if self._outgoing.pending:
                self._flush(timeout)
            return None
        except ssl.SSLError:
            self._fail()
            self._check_open()
            raise
        if self._outgoing.pending:
            self._flush(timeout)
        if not data:
            self._ended = True
        elif self._offer is not None:
            self._remember()
        return data

    def _flush(self, timeout: float | None) -> None:
        """Send what TLS has written: data, or an answer that it gives by itself."""
        self._midway = True
        self._inner.send_all(self._outgoing.read(), timeout)
        self._midway = False

    def _send_now(self) -> None:
        """Send what TLS has written if that can be done at once; never raises."""
        # A stream that belongs to another thread's hub, or that is waited for, may raise anything.
        with contextlib.suppress(Exception):
            if self.bound:
                self.flush_now()  # which does not ask whose thread it is: this one may end
            elif self._outgoing.pending:
                self._inner.send_all(self._outgoing.read(), 0.0)

    def _fail(self) -> None:
        self._failed = True
        if self._resumable is not None:
            # RFC 8446 section 6.2: no session of a connection that failed is to be resumed.
            self._resumable.tls = None

    def _remember(self) -> None:
        offer, self._offer = self._offer, None
        if offer is None:
            return
        resumable = Resumable(self.tls)
        if self.bound:
            self._resumable = resumable
            offer(resumable)
            return
        # Any thread may work on this connection when the session is asked for.
        session = resumable()
        if session is not None:
            offer(lambda: session)


def _left(ends: float | None, lag: float) -> float | None:
    """Return what is left of a limit.

    Args:
        ends: when it would have run out; None where there is none.
        lag: seconds since then in which nobody could look at the network.
    """
    if ends is None:
        return None
    left = ends - clock() + lag
    if left <= 0:
        raise TimeoutError("the TLS peer was too slow")
    return left


def _no_lag() -> float:
    return 0.0
