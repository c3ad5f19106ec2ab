"""One message and its answer over one connection, with its limits, its times and its errors."""

from __future__ import annotations

import errno
import ssl
from typing import TYPE_CHECKING, Final

from ..exceptions import ChunkedEncodingError, ConnectionError, RequestException
from ..message.framing import framed_block, outgoing
from ..message.response import Response
from ..message.times import Times
from ..message.urls import without_secrets
from ..network import forks
from ..timeouts import Deadline, Timeouts, clock
from ..wire.h1.connection import Connection
from ..wire.h1.exchange import ConnectionGone, Exchanging
from ..wire.h1.head import AnswerHead, FieldBlock, write_head, write_request
from . import failures
from .h2.exchange import Exchange
from .pools import ConnectionPool

if TYPE_CHECKING:
    from ..message.prepare import PreparedRequest
    from ..message.urls import Target
    from ..network import Semaphore
    from .routes import Proxy

#: Timers may fire this much early, in seconds.
_SLACK: Final = 0.02

__all__ = ["Body", "answer_of", "answer_with", "exchange", "failure", "head_of", "times_of"]


def head_of(
    request: PreparedRequest, target: Target, forwarded: Proxy | None
) -> tuple[bytes, FieldBlock]:
    """Write a message's head.

    Args:
        request: the message.
        target: where it goes.
        forwarded: the HTTP proxy that passes the message on, if any (RFC 9112 section 3.2.2).

    Returns:
        the head, and the fields in it that the message has by itself.

    Raises:
        InvalidHeader, InvalidURL: it cannot be written.
    """
    block = framed_block(request)
    if forwarded is None and block.plain:
        return (
            write_request(request.method or "GET", target.path, target.authority, block),
            block,
        )
    headers = request.headers
    pairs = list(block.pairs)
    path = target.path
    if "host" not in headers:
        # RFC 9110 section 7.2: it goes first.
        pairs.insert(0, ("Host", target.authority))
    if forwarded is not None:
        path = f"{target.scheme}://{target.authority}{path}"
        authorization = forwarded.authorization
        if authorization and "proxy-authorization" not in headers:
            pairs.append(("Proxy-Authorization", authorization))
    elif "proxy-authorization" in headers:
        # For the proxy alone: a tunnel's or the server's peer must not see it.
        pairs = [pair for pair in pairs if pair[0].lower() != "proxy-authorization"]
    return write_head(request.method or "GET", path, pairs), block


def failure(
    error: BaseException,
    phase: str,
    request: PreparedRequest,
    proxy: Proxy | None,
    deadline: Deadline | None,
    limit: float | None = None,
) -> BaseException:
    """Return reqkit's error for what went wrong, or the error itself where it is not ours.

    Args:
        error: what was raised.
        phase: what was going on.
        request: the message.
        proxy: the proxy, where it is the proxy that was spoken to.
        deadline: of the exchange.
        limit: seconds that the read timeout allows.
    """
    url = without_secrets(request.url or "")
    if isinstance(error, RequestException):
        ours: RequestException = error
    elif isinstance(error, ConnectionGone):
        ours = _gone(error, request, url)
    elif isinstance(error, TimeoutError) and deadline is not None and deadline.passed(_SLACK):
        ours = deadline.expired(phase)
    else:
        target = request.target
        translated = failures.translate(
            error,
            phase=phase,
            host=target.host,
            port=target.port,
            url=url,
            proxy=proxy,
            limit=limit,
        )
        if translated is None:
            if getattr(error, "phase", error) is None:
                error.phase = phase  # type: ignore[attr-defined]  # what it has stopped
            return error
        ours = translated
    if ours.request is None:
        ours.request = request
        ours._about(url)
    if ours is not error:
        ours.__cause__ = error
    return ours


def _gone(error: ConnectionGone, request: PreparedRequest, url: str) -> RequestException:
    """Return the error for a message that was not acted on, or not answered, and not sent again."""
    why = f" ({error.why})" if error.why else ""
    if error.unsent and error.times > 1:
        text = (
            f"the server has not acted on the request, {error.times} times{why}: it refused it, or"
            " left before it took it. Send less at a time, or later: that does no harm"
        )
    elif error.times > 1:
        text = f"the server closed the connection without an answer, {error.times} times{why}"
    else:
        text = (
            f"the server closed the kept connection without an answer{why}. A {request.method} is"
            " not sent twice by itself, for the server may have acted on it: send it again where"
            " that does no harm"
        )
    ours = ConnectionError(f"{url}: {text}")
    ours.before_sending = error.unsent
    return ours


class Body:
    """The part of an answer's body that was not read with the head.

    Attributes:
        closed: whether it was closed before its end.
    """

    __slots__ = (
        "__weakref__",
        "_connection",
        "_deadline",
        "_failed",
        "_generation",
        "_limit",
        "_pool",
        "_request",
        "_slot",
        "_times",
        "closed",
    )

    def __init__(
        self,
        connection: Connection | Exchange,
        pool: ConnectionPool,
        slot: Semaphore | None,
        request: PreparedRequest,
        limit: float | None,
        deadline: Deadline | None,
        times: Times,
    ) -> None:
        self._connection: Connection | Exchange | None = connection
        self._failed = False
        self._generation = forks.count
        self._pool = pool
        self._slot = slot
        self._request = request
        self._limit = limit
        self._deadline = deadline
        self._times = times
        self.closed: bool = False

    def read(self, most: int, within: float | None = None) -> bytes:
        """Wait for some bytes; none mean that the body has ended. Blocks.

        Args:
            most: how many, at most.
            within: seconds to wait, where the read timeout is longer.

        Raises:
            ChunkedEncodingError: it broke off, or its framing is wrong.
            ReadTimeout: nothing came for too long; `TotalTimeout` where the total limit ran out.
            ConnectionError: the answer came to another process, of which this is a fork.
        """
        connection = self._connection
        if connection is None:
            if self._failed:
                raise self._lost()
            if self.closed:  # by another thread, or greenlet: what came is not the whole
                error = OSError(errno.EBADF, "the body was closed")
                raise failure(error, "receive", self._request, None, None)
            return b""
        limit = self._limit
        if within is not None and (limit is None or within < limit):
            limit = within
        if self._generation != forks.count:
            raise self._of_the_parent()
        try:
            data = connection.read_body(most, limit, self._deadline)
        except BaseException as error:  # a kill, too: where in the body it stopped, nobody knows
            phase = connection.phase
            self._failed = True
            self.close()
            ours = failure(error, phase, self._request, None, self._deadline, limit)
            if ours is error:
                raise
            raise ours from error
        if connection.ended and self._connection is not None:  # another thread may have closed it
            self._connection = None
            self._times.received = clock()
            self._pool.release(connection)
            if self._slot is not None:
                self._slot.release()
        return data

    def _lost(self) -> ChunkedEncodingError:
        """Return the error for who reads on after reading has failed: that was not the end."""
        url = without_secrets(self._request.url or "")
        return ChunkedEncodingError(
            f"{url}: reading the body has failed before, and the rest is lost: request it again",
            request=self._request,
        )

    def _of_the_parent(self) -> ConnectionError:
        """Let go of a connection that is another process's, and return the error that says so."""
        self._failed = True
        self.close()
        url = without_secrets(self._request.url or "")
        return ConnectionError(
            f"{url}: the body of this answer is for the process that has asked for it, and this is"
            " a fork of that: read it before the fork, or ask again here",
            request=self._request,
        )

    def expect_all(self, whole: bool) -> None:
        """Take note that all of the body is waited for: see `reqkit.message.raw.BodySource`."""
        connection = self._connection
        if type(connection) is Exchange and self._generation == forks.count:
            connection.expect_all(whole)

    def close(self) -> None:
        """Close the connection (of HTTP/2: the stream), unless the body was read whole."""
        connection = self._connection
        if connection is not None:
            self.closed = True
            self._connection = None
            connection.close()
            if self._slot is not None:
                self._slot.release()

    def __del__(self) -> None:
        # A response dropped unread: nobody can read the rest.
        connection = self._connection
        if connection is not None:
            if type(connection) is Exchange:
                connection.drop()
            self.close()


def exchange(
    connection: Exchanging,
    request: PreparedRequest,
    head: bytes,
    closes: bool,
    limits: Timeouts,
    deadline: Deadline | None,
    strict: bool = False,
) -> tuple[AnswerHead, bytes | None]:
    """Send a message and read the head of its answer. Blocks.

    The connection keeps the moments at which that was done.

    Args:
        connection: what it goes over.
        request: the message.
        head: its head, written.
        closes: whether the head says that it is the connection's last (RFC 9112 section 9.6).
        limits: time limits of each step.
        deadline: of the whole.
        strict: whether to refuse an answer for whatever HTTP's rules forbid.

    Returns:
        the head, and the whole body where it came along (None: it is to be read).

    Raises:
        ConnectionGone: the connection was kept, and the server has closed it meanwhile.
        RequestException, OSError, TimeoutError: as the wire has it.
    """
    body, chunked = (None, False) if request.body is None else outgoing(request)
    broken: OSError | None = None
    connection.sent = connection.headed = None
    if closes:  # said by config['keep_alive'] or by hand; the server may not heed it
        connection.serve_no_more()
    try:
        connection.send(head, body, chunked, limits.read, deadline)
    except ConnectionGone:
        raise
    except (BrokenPipeError, ConnectionResetError) as error:
        # A server may answer (413, 401) and close before it has read a large body: the answer
        # is what the user wants to see (RFC 9112 section 9.3.1).
        broken = error
    finally:
        if body is not None and not isinstance(body, (bytes, tuple)):
            body.close()  # and with it a file that was opened for it
    connection.sent = clock()
    try:
        answer = connection.read_head(request.method or "GET", limits.read, deadline, strict)
    except (OSError, RequestException) as error:
        # An alert of TLS (no client's certificate, say) tells more than that it closed.
        if broken is not None and not isinstance(error, (TimeoutError, ssl.SSLError)):
            raise broken from error
        raise
    connection.headed = clock()
    return answer


def times_of(connection: Exchanging, started: float, times: Times | None) -> Times:
    """Return the times of an exchange, with the moments that its connection has kept.

    Args:
        connection: what it went over.
        started: when it began.
        times: what is known already, of how the connection was opened.
    """
    if times is None:
        times = Times(started)
    times.sent = connection.sent
    times.headed = connection.headed
    return times


def answer_of(
    request: PreparedRequest,
    head: AnswerHead,
    whole: bytes,
    connection: Exchanging,
    started: float,
    times: Times | None,
) -> Response:
    """Make the `Response` of an answer that came whole.

    Args:
        request: what it answers.
        head: its head.
        whole: its body.
        connection: what it came over.
        started: when the exchange began.
        times: how the connection was opened; None where it was there already.
    """
    if times is None:
        return Response(
            head.status, head.reason, request.url, request, head.version, head.text, head.known,
            whole, started, connection.sent or started, connection.headed,
        )  # fmt: skip
    response = Response(
        head.status, head.reason, request.url, request, head.version, head.text, head.known, whole
    )
    response._live_times = times = times_of(connection, started, times)
    times.received = times.headed
    return response


def answer_with(request: PreparedRequest, head: AnswerHead, source: Body, times: Times) -> Response:
    """Make the `Response` of an answer whose body is still on its way."""
    response = Response(
        head.status, head.reason, request.url, request, head.version, head.text, head.known
    )
    response._source = source
    response._live_times = times
    return response
