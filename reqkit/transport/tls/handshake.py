"""Beginning TLS on a stream: the handshake, and the checks of the certificate."""

from __future__ import annotations

import ssl
from collections.abc import Hashable

from ...network import Stream
from .certificates import check_fingerprint, check_name
from .client import TlsClient
from .contexts import client_for
from .settings import TlsSettings
from .stream import TlsStream

__all__ = ["secure"]


def secure(
    stream: Stream,
    settings: TlsSettings,
    host: str,
    port: int,
    timeout: float | None,
    via: Hashable = None,
    client: TlsClient | None = None,
) -> TlsStream:
    """Begin TLS on a stream: the handshake, and the checks of the certificate. Blocks.

    Args:
        stream: connected to the server; still the caller's to close when this raises.
        settings: what to verify, and how.
        host: the URL's host: a name or an address, without brackets.
        port: the URL's port.
        timeout: seconds for the whole handshake.
        via: what else must be the same for a session to be resumed, as the proxy.
        client: the settings', where they were looked up already.

    Raises:
        SSLError: the settings name files that cannot be used.
        ssl.SSLError: the handshake failed, or the certificate is not good.
        TimeoutError: it took longer than ``timeout``.
        OSError: the connection broke.
    """
    if client is None:
        client = client_for(settings)
    name = settings.server_hostname or host
    # RFC 6066 section 3: no trailing dot in SNI. A zone is of this machine only.
    name = name.partition("%")[0].strip("[]") if ":" in name else name.rstrip(".")
    key = (host, port, name, via)
    secured = client.wrap(stream, name, key, settings.http2)
    try:
        secured.handshake(timeout)
        if settings.assert_fingerprint is not None:
            check_fingerprint(secured.tls, settings.assert_fingerprint)
        elif settings.assert_hostname and settings.verify:
            check_name(secured.tls, settings.assert_hostname)
    except ssl.SSLError:
        client.sessions.drop(key)
        raise
    return secured
