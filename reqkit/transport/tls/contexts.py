"""The contexts that follow from what a user says about TLS.

One context serves all connections with the same settings: reading the CA bundle takes longer than
a request. Each context has its own store of TLS sessions, so that a session made without
verifying can never be resumed by a connection that verifies.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import sys
import warnings
from collections.abc import Hashable
from typing import TYPE_CHECKING, Final

from ...base.deferred import DeferredModule
from ...base.file_descriptors import SHORTAGES
from ...base.locks import native_rlock
from ...exceptions import SSLError
from .client import TlsClient, set_modes
from .settings import TlsSettings, blamed

if TYPE_CHECKING:
    import certifi
else:
    certifi = DeferredModule("certifi")

__all__ = ["client_for"]

#: Contexts kept. With a CA bundle one takes about a megabyte.
_MOST_CLIENTS: Final = 64

_lock = native_rlock()
_clients: dict[Hashable, TlsClient] = {}


def client_for(settings: TlsSettings) -> TlsClient:
    """Return the context for these settings with its sessions; made once, kept in a bounded cache.

    A CA file or certificate that has changed on disk counts as another one.

    Raises:
        SSLError: a file is missing or is not what it should be.
    """
    verify = settings.verify
    trusted = certifi.where() if verify is True else verify
    checks_name = bool(verify) and settings.assert_hostname is None
    checks_name = checks_name and settings.assert_fingerprint is None
    cert = (settings.cert,) if isinstance(settings.cert, str) else settings.cert
    keylog = os.environ.get("SSLKEYLOGFILE")
    key = (
        settings.context,
        trusted,
        _stamp(trusted, "verify") if trusted else None,
        cert,
        tuple(_stamp(path, "cert") for path in cert[:2]) if cert else None,
        checks_name,
        settings.minimum_version,
        settings.maximum_version,
        settings.ciphers,
        keylog,
        _trust_of(settings.context) if cert else None,
    )
    with _lock:
        client = _clients.pop(key, None)
        if client is None:
            given = settings.context
            if given is None:
                context = _new_context(settings, checks_name, keylog)
                if trusted:
                    _load_trust(context, trusted)
                if cert:
                    _load_cert(context, cert)
                client = TlsClient(context, bool(verify), checks_name)
            else:
                client = _client_with(given, settings, checks_name, trusted, cert)
        _clients[key] = client  # at the end: the first one is the one unused for longest
        if len(_clients) > _MOST_CLIENTS:
            del _clients[next(iter(_clients))]
    return client


def _stamp(path: str, keyword: str) -> tuple[int, int, int]:
    try:
        found = os.stat(path)
    except OSError as error:
        raise SSLError(
            f"{blamed(keyword, path)} names {path!r}, which cannot be read ({error.strerror}):"
            " expected a PEM file" + (" or a folder of them" if keyword == "verify" else "")
        ) from error
    return found.st_mtime_ns, found.st_size, found.st_ino


def _new_context(settings: TlsSettings, checks_name: bool, keylog: str | None) -> ssl.SSLContext:
    # Both names are looked up now: gevent's patch may have put its own class there.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion(settings.minimum_version or ssl.TLSVersion.TLSv1_2)
    if settings.maximum_version is not None:
        context.maximum_version = ssl.TLSVersion(settings.maximum_version)
    context.options |= ssl.OP_NO_COMPRESSION
    if settings.ciphers:
        try:
            context.set_ciphers(settings.ciphers)
        except ssl.SSLError as error:
            raise SSLError(
                f"ciphers is {settings.ciphers!r}: OpenSSL knows none of them"
            ) from error
    if sys.version_info >= (3, 13):
        # What ssl.create_default_context() and urllib3 set from 3.13 on.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | ssl.VERIFY_X509_STRICT
    # RFC 8446 section 4.6.2: a server may ask for the client's certificate later.
    context.post_handshake_auth = True
    wanted = ssl.CERT_REQUIRED if settings.verify else ssl.CERT_NONE
    set_modes(context, wanted, checks_name)
    # RFC 9525 section 2: the common name is not looked at.
    context.hostname_checks_common_name = False
    if keylog:
        try:
            context.keylog_filename = os.path.expandvars(keylog)
        except OSError as error:
            if error.errno in SHORTAGES:
                raise
            raise SSLError(
                f"the environment's SSLKEYLOGFILE names {keylog!r}, which cannot be written"
                f" ({error.strerror}): expected a file that keys are added to"
            ) from error
    return context


def _client_with(
    given: ssl.SSLContext,
    settings: TlsSettings,
    checks_name: bool,
    trusted: str | bool,
    cert: tuple[str, ...] | None,
) -> TlsClient:
    """Return what makes connections with a context of the user's, which is never changed.

    Its CAs and its certificate count where the call names none: those of a call would stay in it.
    """
    if not hasattr(given, "wrap_bio"):
        raise SSLError(
            f"the TLS context is {given!r}: expected an ssl.SSLContext (pyOpenSSL's cannot be used)"
        )
    verifies = bool(settings.verify)
    if not _is_plain(given):
        if cert or (trusted and settings.verify is not True):
            raise SSLError(
                f"the TLS context is a {type(given).__name__}, which connects in a way of its own:"
                " verify and cert cannot name files beside it. Load them into the context"
            )
        return TlsClient(given, verifies, checks_name, asked=True)
    context = _copy_of(given)
    set_modes(context, ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE, checks_name)
    known = _trust_of(given)
    if not cert and (not verifies or (settings.verify is True and known is not None and known[0])):
        return TlsClient(context, verifies, checks_name, lender=given)
    with contextlib.suppress(ssl.SSLError):
        context.set_ciphers(":".join(cipher["name"] for cipher in given.get_ciphers()))
    if verifies:
        authorities = given.get_ca_certs(binary_form=True) if settings.verify is True else []
        if authorities:
            context.load_verify_locations(cadata=b"".join(authorities))
        elif isinstance(trusted, str):
            _load_trust(context, trusted)
    if cert:
        _load_cert(context, cert)
    return TlsClient(context, verifies, checks_name)


def _copy_of(given: ssl.SSLContext) -> ssl.SSLContext:
    """Return a context that has of another's all that can be read of it, but for CAs."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with warnings.catch_warnings() if _has_deprecated_settings(given) else contextlib.nullcontext():
        if _has_deprecated_settings(given):  # of which its maker was told
            warnings.simplefilter("ignore", DeprecationWarning)
        context.options = given.options
        if given.protocol is ssl.PROTOCOL_TLSv1_2:
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        else:
            context.minimum_version = given.minimum_version
            context.maximum_version = given.maximum_version
    context.verify_flags = given.verify_flags
    context.post_handshake_auth = given.post_handshake_auth
    context.hostname_checks_common_name = given.hostname_checks_common_name
    return context


def _has_deprecated_settings(context: ssl.SSLContext) -> bool:
    """Tell whether a context has settings that Python warns of when they are made."""
    old = ("TLSv1", "TLSv1_1", "SSLv3")
    return (
        context.minimum_version.name in old
        or context.maximum_version.name in old
        or bool(context.options & (ssl.OP_NO_TLSv1_2 | ssl.OP_NO_TLSv1_3))
        or bool(context.options & (ssl.OP_NO_TLSv1 | ssl.OP_NO_TLSv1_1 | ssl.OP_NO_SSLv3))
    )


def _is_plain(context: ssl.SSLContext) -> bool:
    """Tell whether a context makes connections as Python's own does."""
    plain = ssl.SSLContext
    return isinstance(context, plain) and all(
        getattr(type(context), name) is getattr(plain, name)
        for name in ("wrap_bio", "verify_mode", "check_hostname")
    )


def _trust_of(context: ssl.SSLContext | None) -> tuple[int, ...] | None:
    """Return how many certificates a context trusts, and CAs; None where it cannot say."""
    if context is None:
        return None
    try:
        counts = context.cert_store_stats()
        return counts["x509"], counts["x509_ca"]
    except (NotImplementedError, AttributeError):  # one that asks the system's store
        return None


def _load_trust(context: ssl.SSLContext, path: str) -> None:
    try:
        if os.path.isdir(path):
            context.load_verify_locations(capath=path)
        else:
            context.load_verify_locations(cafile=path)
    except OSError as error:
        if error.errno in SHORTAGES:
            raise  # no fault of the file
        raise SSLError(
            f"{blamed('verify', path)} names {path!r}, which holds no CA certificates"
            f" that OpenSSL can read ({error.strerror or error}): expected PEM"
        ) from error


def _load_cert(context: ssl.SSLContext, cert: tuple[str, ...]) -> None:
    path = cert[0]
    key = cert[1] if len(cert) > 1 else path
    password = cert[2] if len(cert) > 2 else None

    def ask() -> str:
        # OpenSSL's own way is to ask on the terminal, and to wait there.
        if password is None:
            raise SSLError(f"cert: the key {key!r} is encrypted: give cert=(cert, key, password)")
        return password

    try:
        context.load_cert_chain(path, key, ask)
    except SSLError:
        raise
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
        text = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise SSLError(
            f"cert: {path!r} with the key {key!r} cannot be used ({text}): expected PEM files of"
            " a certificate and of the key that belongs to it"
            + (", and the key's own password" if password is not None else "")
        ) from error
