"""What a user may say about TLS: a value to compare by, and checks of what was said. Pure."""

from __future__ import annotations

import os
import ssl
from typing import Any, Literal, NamedTuple

from ...base.redact import redacted
from ...exceptions import SSLError
from ...message.environment import names_ca_bundle

__all__ = ["TlsSettings", "blamed", "check_cert", "check_verify"]


class TlsSettings(NamedTuple):
    """What makes one TLS connection differ from another. Hashable: a part of a pool's key.

    Attributes:
        verify: True for certifi's bundle, False for no check, or a CA file or folder.
        cert: the client's certificate: a file, ``(cert, key)`` or ``(cert, key, password)``.
        context: a context to use instead of one of ours; it is never changed. Its CAs, certificate
            and options count; whether the server is verified is said by ``verify``, as in
            ``requests``. CA files that ``verify`` names take the place of its CAs, as the usual
            ones do where it has none, and ``cert`` that of its certificate; its own certificate
            does not go along with others' CAs.
        server_hostname: the name to ask for (SNI) and to check, where it is not the URL's host.
        assert_hostname: another name to look for in the certificate; False: do not look.
        assert_fingerprint: the SHA-1 or SHA-256 of the certificate in hex; takes the place of the
            check of the name.
        minimum_version: the lowest `ssl.TLSVersion`; None: TLS 1.2.
        maximum_version: the highest `ssl.TLSVersion`.
        ciphers: OpenSSL's cipher list, for TLS 1.2 and lower.
        http2: whether the server is offered HTTP/2 (ALPN, RFC 7301).
    """

    verify: bool | str = True
    cert: str | tuple[str, ...] | None = None
    context: ssl.SSLContext | None = None
    server_hostname: str | None = None
    assert_hostname: str | Literal[False] | None = None
    assert_fingerprint: str | None = None
    minimum_version: int | None = None
    maximum_version: int | None = None
    ciphers: str | None = None
    http2: bool = False

    def __repr__(self) -> str:
        """Show what was set, without the key's password."""
        shown = []
        for name, value in self._asdict().items():
            if name == "cert" and isinstance(value, tuple) and len(value) > 2:
                value = (*value[:2], "***")
            if value != self._field_defaults[name]:
                shown.append(f"{name}={value!r}")
        return f"TlsSettings({', '.join(shown)})"


def blamed(keyword: str, path: str) -> str:
    """Return what names a file: the argument, or the environment's variable that has it."""
    variable = names_ca_bundle(path) if keyword == "verify" else None
    return keyword if variable is None else f"the environment's {variable}"


def check_verify(verify: Any) -> bool | str:
    """Return what ``verify=`` was given, once it is known to be usable.

    Meant for the moment of the call: nothing has been sent then.

    Raises:
        SSLError: it is no bool, or the file or folder is not there.
    """
    if verify is True or verify is False:
        return bool(verify)
    if not isinstance(verify, (str, bytes, os.PathLike)) or not verify:
        raise SSLError(
            f"verify is {redacted(verify)}: expected True, False, or the path of a CA file or"
            " folder"
        )
    path = os.fsdecode(verify)
    if not os.path.exists(path):
        raise SSLError(
            f"{blamed('verify', path)} names {path!r}, which does not exist:"
            " expected a file of CA certificates (PEM) or a folder of them"
        )
    return path


def check_cert(cert: Any) -> str | tuple[str, ...] | None:
    """Return what ``cert=`` was given, as strings, once its files are known to be there.

    What is in them is looked at when a connection needs them.

    Raises:
        SSLError: it is neither a path nor ``(cert, key)``, or a file is not there.
    """
    if cert is None:
        return None
    if isinstance(cert, (str, bytes, os.PathLike)):
        return _existing(cert, "certificate")
    if not isinstance(cert, (tuple, list)) or not 1 <= len(cert) <= 3:
        kind = f"a {type(cert).__name__}"  # not its value: a password may be among it
        raise SSLError(f"cert is {kind}: expected a path, (cert, key), or (cert, key, password)")
    path = _existing(cert[0], "certificate")
    key = _existing(cert[1], "key") if len(cert) > 1 and cert[1] is not None else path
    if len(cert) < 3 or cert[2] is None:
        return (path, key)
    password = cert[2].decode() if isinstance(cert[2], bytes) else cert[2]
    if not isinstance(password, str):
        raise SSLError("cert: the key's password (the third entry) has to be a string")
    return (path, key, password)


def _existing(path: Any, what: str) -> str:
    if not isinstance(path, (str, bytes, os.PathLike)) or not path:
        raise SSLError(f"cert: the {what} is {path!r}: expected the path of a PEM file")
    text = os.fsdecode(path)
    # A folder is none; that matters, and is said, once there is TLS.
    if not os.path.isfile(text) and not os.path.isdir(text):
        raise SSLError(f"cert: the {what} {text!r} is not there: expected the path of a PEM file")
    return text
