"""What went wrong, in our words: the one table from other packages' errors to reqkit's.

The floors below raise what socket, ssl and the resolver raise; users' own adapters may raise
urllib3's. `translate` turns any of these into an error of `reqkit.exceptions` that says what
failed, for which URL, and what to do about it. The original is for the caller to chain as its
``__cause__``; its own text, which may quote a URL with a password, is never copied.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import ssl
from typing import TYPE_CHECKING, Final, NamedTuple

from ..base.deferred import DeferredModule, is_imported
from ..base.file_descriptors import TOO_MANY
from ..exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    ConnectTimeout,
    ContentDecodingError,
    InvalidHeader,
    InvalidProxyURL,
    InvalidSchema,
    InvalidURL,
    ProtocolError,
    ProxyError,
    ReadTimeout,
    RequestException,
    RetryError,
    SSLError,
    UnrewindableBodyError,
)
from .routes import Proxy, authority

if TYPE_CHECKING:
    import http.client as http_client

    from urllib3 import exceptions as urllib3
else:
    http_client = DeferredModule("http.client")
    urllib3 = DeferredModule("urllib3.exceptions")

__all__ = ["translate"]

#: The phases before anything of the request was sent.
_OPENING: Final = frozenset({"dns", "connect", "tls"})

#: What an operating system's error means, and what to do about it.
_ERRNO: Final = {
    errno.ECONNREFUSED: "refused the connection: is it running, and is the port right?",
    errno.ECONNRESET: "reset the connection",
    errno.ECONNABORTED: "broke off the connection",
    errno.EPIPE: "has closed the connection",
    errno.ENOTCONN: "has closed the connection",
    errno.ESHUTDOWN: "has closed the connection",
    errno.EHOSTUNREACH: "cannot be reached: there is no route to it",
    errno.ENETUNREACH: "cannot be reached: this machine has no route to its network",
    errno.ENETDOWN: "cannot be reached: this machine's network is down",
}

#: The same, where it is this machine and not the server.
_ERRNO_HERE: Final = {
    errno.EMFILE: TOO_MANY,
    errno.ENFILE: "this machine has too many open files: use fewer connections at a time",
    errno.ENOBUFS: "this machine is out of buffers for sockets: use fewer connections at a time",
    errno.ENOMEM: "this machine is out of memory",
    errno.EADDRNOTAVAIL: (
        "this machine has no such source address, or no free port left: check source_address, and"
        " reuse connections"
    ),
    errno.EADDRINUSE: "the source address and port are in use already: let the port be 0",
    errno.EACCES: "this machine does not permit it: a firewall, or a reserved address or port",
    errno.EPERM: "this machine does not permit it: a firewall, or a reserved address or port",
    errno.EAFNOSUPPORT: "this machine does not have this kind of address (IPv6, perhaps)",
    errno.EBADF: "the connection was closed meanwhile, on this side",
}

_GAI: Final = {
    "EAI_NONAME": "there is no such name: check its spelling",
    "EAI_NODATA": "the name has no address: check its spelling",
    "EAI_AGAIN": "the name server did not answer: try again later, or check the network",
    "EAI_FAIL": "the name server failed",
    "EAI_FAMILY": "the name has no address of this kind",
    "EAI_MEMORY": "this machine is out of memory",
    "EAI_SERVICE": "the port cannot be looked up",
}
_GAI_BY_CODE: Final = {
    getattr(socket, name): text for name, text in _GAI.items() if hasattr(socket, name)
}

#: OpenSSL's reasons, by a part of their name; the first that fits counts.
_TLS_REASONS: Final = (
    ("WRONG_VERSION_NUMBER", "the port answers, but not with TLS: is it plain http://?"),
    ("HTTP_REQUEST", "the port answers, but not with TLS: is it plain http://?"),
    ("UNKNOWN_PROTOCOL", "the port answers, but not with TLS: is it plain http://?"),
    ("PACKET_LENGTH_TOO_LONG", "the port answers, but not with TLS: is it plain http://?"),
    ("RECORD_LAYER_FAILURE", "the port answers, but not with TLS: is it plain http://?"),
    ("CERTIFICATE_REQUIRED", "it asks for a client's certificate: give cert=(CERT, KEY)"),
    ("ALERT_UNKNOWN_CA", "it does not trust the client's certificate: check cert="),
    ("ALERT_BAD_CERTIFICATE", "it does not take the client's certificate: check cert="),
    ("ALERT_CERTIFICATE", "it does not take the client's certificate: check cert="),
    ("PROTOCOL_VERSION", "it speaks no TLS version that is allowed here (TLS 1.2 and later)"),
    ("UNSUPPORTED_PROTOCOL", "it speaks no TLS version that is allowed here (TLS 1.2 and later)"),
    (
        "HANDSHAKE_FAILURE",
        "it found no common cipher, or misses a client's certificate (cert=(CERT, KEY))",
    ),
    (
        "NO_APPLICATION_PROTOCOL",
        "it speaks none of the protocols that it was offered (ALPN): HTTP/1.1, and HTTP/2 where"
        " config['http2'] allows that",
    ),
    ("UNRECOGNIZED_NAME", "it does not know this host name: is the host in the URL right?"),
    ("ALERT_INTERNAL_ERROR", "it had a fault of its own: its log tells which"),
    ("DH_KEY_TOO_SMALL", "its key is too short to be safe"),
    ("EE_KEY_TOO_SMALL", "its key is too short to be safe"),
    ("UNEXPECTED_EOF", "it closed the connection during TLS"),
    ("EOF", "it closed the connection during TLS"),
)

#: X509_V_ERR codes of OpenSSL, and what to do.
_VERIFY_CODES: Final = {
    2: "give the CA that signed it with verify=PATH",
    9: "is this machine's clock right?",
    10: "the server's operator has to renew it (is this machine's clock right?)",
    18: "if it is the one expected, give it (or its CA) with verify=PATH",
    19: "if its CA is the one expected, give it with verify=PATH",
    20: "give the CA that signed it with verify=PATH; the server may also fail to send its chain",
    21: "give the CA that signed it with verify=PATH; the server may also fail to send its chain",
    26: "it was not issued for servers: the server's operator has to get another",
    62: "the certificate is for other names: is the host in the URL right?",
    64: "the certificate is for other addresses: is the host in the URL right?",
}


class _Failure(NamedTuple):
    """Where it happened: all that the messages are made of."""

    phase: str
    host: str
    port: int
    url: str
    proxy: Proxy | None
    limit: float | None = None

    @property
    def peer(self) -> str:
        """Who is on the other side."""
        if self.proxy is not None:
            return f"the proxy {self.proxy.url}"
        return f"the server at {authority(self.host, self.port)}"

    @property
    def name(self) -> str:
        """Whose name is looked up or checked."""
        return self.host if self.proxy is None else self.proxy.host

    def say(self, what: str) -> str:
        return f"{self.url}: {what}"

    def broken(self) -> type[RequestException]:
        """The class for a connection that could not be made, or that broke."""
        if self.phase == "receive":
            return ChunkedEncodingError
        if self.proxy is not None and self.phase in _OPENING:
            return ProxyError
        return ConnectionError


def translate(
    error: BaseException,
    *,
    phase: str,
    host: str,
    port: int,
    url: str,
    proxy: Proxy | None = None,
    limit: float | None = None,
) -> RequestException | None:
    """Return reqkit's error for another package's; never raises.

    Args:
        error: what was raised.
        phase: what was going on: ``dns connect tls send wait receive``.
        host: the server's; a name or an address.
        port: the server's.
        url: what was asked for, without its password.
        proxy: the proxy, where it is the proxy that was spoken to.
        limit: seconds that the connect or read timeout allows, where that is known.

    Returns:
        the error to raise ``from`` this one; the error itself where it is one of ours; None where
        it is no failure of a request (a bug, an interrupt).
    """
    if isinstance(error, RequestException):
        return error
    where = _Failure(phase, host, port, url, proxy, limit)
    if is_imported("urllib3.exceptions") and isinstance(error, urllib3.HTTPError):
        return _of_urllib3(error, where)
    if is_imported("http.client") and isinstance(error, http_client.HTTPException):
        return _of_http_client(error, where)
    if isinstance(error, ssl.SSLError):
        return _of_tls(error, where)
    if isinstance(error, TimeoutError):
        return _of_timeout(where)
    if isinstance(error, (socket.gaierror, socket.herror)):
        why = _GAI_BY_CODE.get(error.errno or 0, error.strerror or "the look-up failed")
        return where.broken()(where.say(f"the name {where.name!r} was not found: {why}"))
    if isinstance(error, OSError):
        return _of_system(error, where)
    if isinstance(error, UnicodeError) and phase in _OPENING:
        # From the idna codec: a label that is empty, too long, or of forbidden characters.
        return InvalidURL(
            where.say(f"{where.name!r} cannot be a host's name: check its labels and their length")
        )
    return None


def _of_timeout(where: _Failure) -> RequestException:
    seconds = "" if where.limit is None else f" of {where.limit:g} s"
    if where.phase == "dns":
        return ConnectTimeout(
            where.say(
                f"looking up the name {where.name!r} took longer than the connect timeout{seconds};"
                " allow more with timeout=(CONNECT, READ)"
            )
        )
    if where.phase in _OPENING:
        doing = "TLS with" if where.phase == "tls" else "connecting to"
        return ConnectTimeout(
            where.say(
                f"{doing} {where.peer} took longer than the connect timeout{seconds}; allow"
                " more with timeout=(CONNECT, READ)"
            )
        )
    did = "took no bytes" if where.phase == "send" else "sent nothing"
    return ReadTimeout(
        where.say(
            f"{where.peer} {did} for as long as the read timeout{seconds}; allow more"
            " with timeout=(CONNECT, READ)"
        )
    )


def _of_system(error: OSError, where: _Failure) -> RequestException:
    # One that the user's code has made may have anything for its number.
    number = error.errno if isinstance(error.errno, int) else None
    if number in _ERRNO_HERE:
        # Whose fault it is does not depend on a proxy.
        kind = ChunkedEncodingError if where.phase == "receive" else ConnectionError
        return kind(where.say(_ERRNO_HERE[number]))
    if number in _ERRNO:
        text = f"{where.peer} {_ERRNO[number]}"
        if where.phase == "tls":
            text += " during TLS"
        elif where.phase == "wait":
            text += " before it answered"
        elif where.phase == "receive":
            text += " before the end of the body"
        return where.broken()(where.say(text))
    why = type(error).__name__ if number or not error.strerror else error.strerror
    if number:
        with contextlib.suppress(ValueError, OverflowError):  # no number of the system's
            why = os.strerror(number)
    return where.broken()(where.say(f"the connection to {where.peer} failed: {why}"))


def _of_tls(error: ssl.SSLError, where: _Failure) -> RequestException:
    kind = ProxyError if where.proxy is not None and where.phase in _OPENING else SSLError
    if isinstance(error, ssl.SSLCertVerificationError):
        text = getattr(error, "verify_message", "") or "it was refused"
        hint = _VERIFY_CODES.get(getattr(error, "verify_code", -1))
        return kind(
            where.say(
                f"the certificate of {where.name!r} could not be verified:"
                f" {text.rstrip('.')}" + (f"; {hint}" if hint else "")
            )
        )
    # Only OpenSSL's own errors have a reason; those that Python raises do not.
    reason = getattr(error, "reason", None) or ""
    if not reason and isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):
        reason = "EOF"
    # Python has no name for some of OpenSSL's reasons, and gives their text alone: it is looked at,
    # and never shown.
    known = reason or str(error.args[-1] if error.args else "").upper().replace(" ", "_")
    for part, hint in _TLS_REASONS:
        if part in known:
            return kind(where.say(f"TLS with {where.peer} failed: {hint}"))
    # Never the error's own text where it has no reason: it may be anybody's.
    text = reason or type(error).__name__
    return kind(
        where.say(
            f"TLS with {where.peer} failed: {text}; is the port right, and does nothing between"
            " here and there change what is sent?"
        )
    )


def _of_http_client(error: BaseException, where: _Failure) -> RequestException:
    if isinstance(error, OSError):  # RemoteDisconnected
        return _of_system(error, where)
    if isinstance(error, http_client.IncompleteRead):
        return _incomplete(where)
    if isinstance(error, http_client.InvalidURL):
        return InvalidURL(where.say("the URL cannot be sent as it is"))
    kind = ChunkedEncodingError if where.phase == "receive" else ProtocolError
    return kind(where.say(f"the answer of {where.peer} breaks HTTP's rules"))


def _incomplete(where: _Failure) -> RequestException:
    return ChunkedEncodingError(where.say(f"{where.peer} broke off before the end of the body"))


def _inner(error: BaseException) -> BaseException | None:
    """Return the error that one of urllib3's was made of."""
    reason = getattr(error, "reason", None) or getattr(error, "original_error", None)
    for one in (reason, *reversed(error.args), error.__cause__):
        if isinstance(one, BaseException) and one is not error:
            return one
    return None


@functools.cache
def _urllib3_table() -> tuple[tuple[type[Exception], type[RequestException], str], ...]:
    """Return urllib3's errors that mean one thing, whatever they were made of.

    Subclasses come first.
    """
    return (
        (
            urllib3.ProxySchemeUnknown,
            InvalidProxyURL,
            "the proxy's URL has no scheme that is known",
        ),
        (urllib3.URLSchemeUnknown, InvalidSchema, "the URL's scheme is not known"),
        (urllib3.LocationValueError, InvalidURL, "the URL cannot be read"),
        (urllib3.InvalidHeader, InvalidHeader, "a header cannot be sent, or read, as it is"),
        (urllib3.UnrewindableBodyError, UnrewindableBodyError, "the body cannot be sent again"),
        (urllib3.ResponseError, RetryError, "the retries for the status are used up"),
        (
            urllib3.DecodeError,
            ContentDecodingError,
            "the body is not what its Content-Encoding says",
        ),
        (urllib3.ClosedPoolError, ConnectionError, "the pool of connections was closed"),
        (
            urllib3.EmptyPoolError,
            ConnectionError,
            "no connection of the pool came free in time; raise pool_maxsize",
        ),
    )


def _of_urllib3(error: urllib3.HTTPError, where: _Failure) -> RequestException:
    for kind, ours, text in _urllib3_table():
        if isinstance(error, kind):
            return ours(where.say(text))
    inner = _inner(error)
    if isinstance(error, urllib3.ProxyError):
        return ProxyError(where.say(_detail_of(inner, where) or f"{where.peer} failed"))
    if isinstance(error, urllib3.MaxRetryError):
        known = None if inner is None else translate(inner, **where._asdict())
        return known or ConnectionError(where.say("the retries are used up"))
    if isinstance(error, urllib3.SSLError):
        if isinstance(inner, ssl.SSLError):
            return _of_tls(inner, where)
        return SSLError(where.say(f"TLS with {where.peer} failed"))
    if isinstance(error, urllib3.ReadTimeoutError):
        phase = "wait" if where.phase in _OPENING else where.phase
        return _of_timeout(where._replace(phase=phase))
    if isinstance(error, urllib3.NewConnectionError):  # a ConnectTimeoutError too, in urllib3
        opening = where._replace(phase="connect")
        if isinstance(inner, OSError) and not isinstance(inner, TimeoutError):
            return translate(inner, **opening._asdict()) or _lost(opening)
        if isinstance(error, urllib3.NameResolutionError):
            return opening.broken()(
                where.say(f"the name {where.name!r} was not found: check its spelling")
            )
        return _lost(opening)
    if isinstance(error, urllib3.ConnectTimeoutError):
        return _of_timeout(where._replace(phase="connect"))
    if isinstance(error, urllib3.TimeoutError):
        return _of_timeout(where)
    return _of_protocol(error, inner, where)


def _of_protocol(
    error: urllib3.HTTPError, inner: BaseException | None, where: _Failure
) -> RequestException:
    if isinstance(error, http_client.IncompleteRead) or isinstance(
        inner, http_client.IncompleteRead
    ):
        return _incomplete(where)
    if isinstance(inner, (OSError, http_client.HTTPException, urllib3.HTTPError)):
        known = translate(inner, **where._asdict())
        if known is not None:
            return known
    if isinstance(error, urllib3.ProtocolError):
        kind = ChunkedEncodingError if where.phase == "receive" else ProtocolError
        return kind(where.say(f"the answer of {where.peer} breaks HTTP's rules"))
    return _lost(where)


def _lost(where: _Failure) -> RequestException:
    return where.broken()(where.say(f"the connection to {where.peer} failed"))


def _detail_of(inner: BaseException | None, where: _Failure) -> str | None:
    known = None if inner is None else translate(inner, **where._asdict())
    return None if known is None else str(known).removeprefix(f"{where.url}: ")
