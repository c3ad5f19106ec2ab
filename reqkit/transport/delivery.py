"""One message until it is answered: over a kept connection, or one that is opened for it.

A kept connection may turn out to be closed by its server: the message then goes over another, where
sending it again does no harm. What goes wrong is named here, with its times.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, Final

from ..base.logs import DEBUG, logger
from ..exceptions import ConnectTimeout, RequestException, UnrewindableBodyError
from ..message.times import Times
from ..timeouts import Deadline, Timeouts, clock
from ..wire.h1.connection import Connection
from ..wire.h1.exchange import ConnectionGone
from .exchange import Body, answer_of, answer_with, exchange, failure, head_of, times_of
from .h2.exchange import Exchange, OlderWanted
from .opening import Opener
from .pools import ONLY_11, ConnectionPool
from .retrying import IDEMPOTENT
from .routing import direct_route, without_http2
from .tracing import log_exchange, log_failure, trace_received, trace_sent

if TYPE_CHECKING:
    from ..message.prepare import PreparedRequest
    from ..message.response import Response
    from ..message.urls import Target
    from ..network import Network, Semaphore
    from .routes import Proxy, Route

__all__ = ["deliver"]

#: How often a message is sent again that servers of HTTP/2 have surely not acted on.
_MOST_UNSENT: Final = 10


def deliver(
    request: PreparedRequest,
    target: Target,
    key: Hashable,
    route: Route | None,
    http2: bool,
    keywords: Mapping[str, Any],
    pool: ConnectionPool,
    network: Network,
    limits: Timeouts,
    deadline: Deadline | None,
) -> Response:
    """Send a message and return its answer, whose body may still be on its way. Blocks.

    Args:
        request: the message.
        target: where it goes.
        key: what a connection has to serve.
        route: where to, and through what; None: `direct_route`.
        http2: whether the server is offered HTTP/2.
        keywords: what the pool manager makes each connection with.
        pool: where connections are kept.
        network: whose sockets are used.
        limits: time limits of each step.
        deadline: of the whole.

    Raises:
        RequestException: it was not answered; ``before_sending`` says whether it was sent.
    """
    forwarded = None if route is None or not route.forwarding else route.proxy
    # As HTTP/1.1 has it: what it cannot say is found out before anything is opened.
    written = None if http2 else head_of(request, target, forwarded)
    policy = request._policy
    trace = None if policy is None else policy.trace
    started = clock()
    slot = _slot_for(key, request, pool, network, limits, deadline) if pool.blocks else None
    times: Times | None = None
    connection: Connection | Exchange | None = None
    lost: ConnectionGone | None = None
    anew = False
    repeats = 0
    try:
        while True:
            if not anew:
                connection = pool.acquire(key, started if slot is None else clock())
            if connection is None:
                written = written or head_of(request, target, forwarded)
                times = Times(started)
                connection = Opener(
                    route or direct_route(target, keywords), key, request, network, pool, limits,
                    deadline, times,
                ).open(http2)  # fmt: skip
            if http2 and type(connection) is Exchange:
                head, closes = connection.head_of(request, target), False
            else:
                head, block = written or head_of(request, target, forwarded)
                closes = block.closes
            if trace is not None:
                trace_sent(trace, request, target, b"" if type(connection) is Exchange else head)
            try:
                answer, whole = exchange(
                    connection, request, head, closes, limits, deadline,
                    policy is not None and policy.strict,
                )  # fmt: skip
                if trace is not None:
                    trace_received(trace, answer)
                break
            except ConnectionGone as gone:
                connection.close()
                gone.times = repeats = repeats + 1
                if not _may_repeat(request, gone, connection, times, repeats):
                    raise
                if type(gone) is OlderWanted:
                    pool.learn(key, ONLY_11)
                    http2 = False
                    key, route = without_http2(target, route)
                # What else is kept of HTTP/1.1 may be as dead.
                anew = type(connection) is Connection
                connection, lost = None, gone
    except BaseException as error:  # a kill or an interrupt, too: nothing of it is used again
        if slot is not None:
            slot.release()
        proxy = None if route is None else route.proxy
        ours = _failure(error, request, connection, proxy, limits, deadline, started, times, lost)
        if ours is error:
            raise
        raise ours from error
    if policy is not None:
        connection.beside = policy.kept
    if whole is not None:
        response = answer_of(request, answer, whole, connection, started, times)
        pool.release(connection)
        if slot is not None:
            slot.release()
    else:
        times = times_of(connection, started, times)
        body = Body(connection, pool, slot, request, limits.read, deadline, times)
        response = answer_with(request, answer, body, times)
    if logger.isEnabledFor(DEBUG):
        try:
            new = times is not None and times.connect is not None
            log_exchange(request, response, started, new)
        except BaseException:  # of a handler or a filter of the user's: nobody gets the answer
            response.close()
            raise
    return response


def _failure(
    error: BaseException,
    request: PreparedRequest,
    connection: Connection | Exchange | None,
    proxy: Proxy | None,
    limits: Timeouts,
    deadline: Deadline | None,
    started: float,
    times: Times | None,
    lost: ConnectionGone | None,
) -> BaseException:
    """Close the connection; return what an error is to the user, with phase and times.

    Args:
        error: what was raised.
        request: the message.
        connection: what it was sent on; None: there was none yet.
        proxy: the proxy on the way.
        limits: time limits of each step.
        deadline: of the whole.
        started: when the exchange began.
        times: of opening the connection, if it was.
        lost: how a connection before has ended.
    """
    phase = "connect"
    if connection is not None:
        phase = connection.phase
        connection.close()
    ours = failure(error, phase, request, proxy, deadline, limits.read)
    if logger.isEnabledFor(DEBUG):
        log_failure(request, ours, started)
    if isinstance(ours, RequestException):
        if connection is None:
            ours.before_sending = lost is None or lost.unsent
        else:
            times = times_of(connection, started, times)
        ours.times = times or Times(started)
    return ours


def _may_repeat(
    request: PreparedRequest,
    gone: ConnectionGone,
    connection: Connection | Exchange,
    times: Times | None,
    repeats: int,
) -> bool:
    """Tell whether a message may be sent once more, that a connection has not answered.

    Args:
        request: the message.
        gone: how that ended.
        connection: what it was sent on.
        times: how that was opened; None where it was there already.
        repeats: how often it has ended so, this time too.

    Source: RFC 9112 section 9.3.1: the server had closed the kept connection. RFC 9113
    section 8.7: it has surely not acted on the request.
    """
    if type(connection) is Exchange and gone.unsent:
        if repeats > _MOST_UNSENT:
            return False
    elif repeats > 1 or (times is not None and type(connection) is Connection):
        return False
    if not gone.unsent and request.method not in IDEMPOTENT:
        return False
    try:
        request.rewind()
    except UnrewindableBodyError as error:
        error.before_sending = gone.unsent  # whoever has the body again may well send it
        raise
    return True


def _slot_for(
    key: Hashable,
    request: PreparedRequest,
    pool: ConnectionPool,
    network: Network,
    limits: Timeouts,
    deadline: Deadline | None,
) -> Semaphore:
    """Wait for a place among the connections of a pool that blocks."""
    slot = pool.slot(key)
    try:
        limit = left = limits.connect
        asked = clock() - network.lag()
        while not slot.acquire(
            timeout=left if deadline is None else deadline.left(left, "connect")
        ):
            if limit is not None:
                # Without the time in which nobody could run who would have given one back.
                left = asked + limit - (clock() - network.lag())
                if left > 0:
                    continue
            if deadline is not None and deadline.passed():
                raise deadline.expired("connect")
            raise ConnectTimeout(
                f"no connection to {request.target.host!r} came free within {limit or 0:g} s;"
                " raise pool_maxsize, or read responses sooner"
            )
    except RequestException as error:
        failure(error, "connect", request, None, deadline)
        error.before_sending = True
        raise
    return slot
