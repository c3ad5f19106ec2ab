"""The client's end of TLS: a context, and the streams and sessions that are made with it."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Hashable, Iterator
from functools import partial
from typing import Final

from ...base.locks import native_rlock
from ...network import Stream
from .sessions import SessionCache
from .stream import TlsStream

__all__ = ["TlsClient", "set_modes"]

#: What is offered to servers, the best first.
_HTTP1: Final = ["http/1.1"]
_HTTP2: Final = ["h2", "http/1.1"]

#: Held while a context has modes and offers that the next connection need not have.
_changing = native_rlock()


class TlsClient:
    """A context, and the sessions made with it.

    Args:
        context: what connections are made with.
        verifies: whether certificates are.
        checks_name: whether the name in them is.
        lender: a context of the user's whose CAs and certificate count in place of the other's. It
            is never changed.
        asked: whether the context is of a kind of the user's, which makes connections in a way of
            its own: its modes are set for the moment only.
    """

    __slots__ = (
        "_asked", "_lender", "_offers", "checks_name", "context", "sessions", "verifies",
    )  # fmt: skip

    def __init__(
        self,
        context: ssl.SSLContext,
        verifies: bool,
        checks_name: bool,
        lender: ssl.SSLContext | None = None,
        asked: bool = False,
    ) -> None:
        self.context: ssl.SSLContext = context
        self.sessions: SessionCache = SessionCache()
        self.verifies: bool = verifies
        self.checks_name: bool = checks_name
        self._lender = lender
        self._asked = asked
        #: What the context offers now (ALPN, RFC 7301).
        self._offers: list[str] | None = None

    def wrap(self, stream: Stream, name: str, key: Hashable, http2: bool = False) -> TlsStream:
        """Make the TLS stream, offering HTTP/2 or not; the handshake is still to come."""
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = self.sessions.get(key)
        # As bytes, an ASCII name is spared Python's codec for international ones.
        asked = name.encode() if name.isascii() else name
        offers = _HTTP2 if http2 else _HTTP1
        lender = self._lender
        # OpenSSL copies what is offered, too, into the connection when it is made.
        with _changing, self._modes() if self._asked else contextlib.nullcontext():
            if offers is not self._offers and not self._asked:
                self.context.set_alpn_protocols(offers)
                self._offers = offers
            tls = self.context.wrap_bio(
                incoming, outgoing, False, asked, session if lender is None else None
            )
        if lender is not None:
            # Modes, versions and offers are the connection's by now: OpenSSL takes the store of
            # CAs and the certificate from here, and nothing else.
            tls.context = lender
            if session is not None:
                tls.session = session
        return TlsStream(stream, tls, incoming, outgoing, partial(self.sessions.offer, key))

    @contextlib.contextmanager
    def _modes(self) -> Iterator[None]:
        # OpenSSL copies both modes into the connection when it is made, so a user's context has
        # to have ours for that long only; afterwards it is again what the user made it.
        context = self.context
        before = (context.verify_mode, context.check_hostname)
        wanted = ssl.CERT_REQUIRED if self.verifies else ssl.CERT_NONE
        try:
            set_modes(context, wanted, self.checks_name)
            yield
        finally:
            set_modes(context, *before)


def set_modes(context: ssl.SSLContext, mode: ssl.VerifyMode, checks_name: bool) -> None:
    """Have a context verify certificates, and the name in them, or not."""
    # A context never lets a name be checked while nothing is verified: hence the order.
    if not checks_name and context.check_hostname:
        context.check_hostname = False
    if context.verify_mode != mode:
        context.verify_mode = mode
    if checks_name and not context.check_hostname:
        context.check_hostname = True
