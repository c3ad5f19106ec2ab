"""What is compared of a server's certificate beside what OpenSSL verifies."""

from __future__ import annotations

import hashlib
import ssl
from typing import Any, Final

from ...exceptions import SSLError

__all__ = ["check_fingerprint", "check_name"]

_DIGESTS: Final = {20: hashlib.sha1, 32: hashlib.sha256}


def check_fingerprint(tls: ssl.SSLObject, fingerprint: str) -> None:
    """Compare the server's certificate with a SHA-1 or SHA-256 in hex.

    Raises:
        SSLError: it is no such fingerprint.
        ssl.SSLCertVerificationError: it is another certificate's.
    """
    try:
        wanted = bytes.fromhex(fingerprint.replace(":", ""))
    except ValueError:
        wanted = b""
    digest = _DIGESTS.get(len(wanted))
    if digest is None:
        raise SSLError(
            f"assert_fingerprint is {fingerprint!r}: expected the SHA-1 or SHA-256 of the"
            " certificate: 40 or 64 hex digits"
        )
    found = digest(tls.getpeercert(True) or b"").digest()
    if found != wanted:
        raise _unverified(f"the certificate's fingerprint is {found.hex()}")


def check_name(tls: ssl.SSLObject, name: str) -> None:
    """Look for a name in the server's certificate (RFC 9525 section 6.3).

    Raises:
        ssl.SSLCertVerificationError: it is not there.
    """
    from urllib3.util.ssl_match_hostname import CertificateError, match_hostname

    certificate: Any = tls.getpeercert()
    try:
        match_hostname(certificate, name.rstrip("."))
    except (CertificateError, ValueError) as error:
        raise _unverified(f"the certificate is not valid for {name!r}") from error


def _unverified(text: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, text)
    error.verify_code = 0
    error.verify_message = text
    return error
