"""Certificates of every kind, made afresh for each run of the tests."""

from __future__ import annotations

import contextlib
import datetime
import ssl
import warnings
from pathlib import Path

import trustme

#: What the good certificates are for.
NAMES = ("localhost", "127.0.0.1", "::1")


class Authority:
    """A certificate authority with its bundle on disk, and server contexts from it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.ca = trustme.CA()
        self.folder = folder
        #: A PEM file for ``verify``.
        self.bundle = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.bundle))
        self._clients = 0

    def server(
        self,
        *names: str,
        not_before: datetime.datetime | None = None,
        not_after: datetime.datetime | None = None,
    ) -> ssl.SSLContext:
        """Make a server's context for these names, or for loopback's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        leaf = self.ca.issue_cert(*(names or NAMES), not_before=not_before, not_after=not_after)
        leaf.configure_cert(context)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def expired(self) -> ssl.SSLContext:
        """Make a server's context whose certificate was good until yesterday."""
        now = datetime.datetime.now(datetime.timezone.utc)
        day = datetime.timedelta(days=1)
        return self.server(not_before=now - 30 * day, not_after=now - day)

    def wrong_name(self) -> ssl.SSLContext:
        """Make a server's context whose certificate is for another host."""
        return self.server("elsewhere.example")

    def wants_client_certificate(self) -> ssl.SSLContext:
        """Make a server's context that takes only clients with a certificate of this authority."""
        context = self.server()
        context.verify_mode = ssl.CERT_REQUIRED
        self.ca.configure_trust(context)
        return context

    def old_protocol(self) -> ssl.SSLContext:
        """Make a server's context that speaks nothing newer than TLS 1.1."""
        context = self.server()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        return context

    def client(self, name: str = "client@example.org") -> tuple[str, str]:
        """Issue a client's certificate; return the paths of the certificate and of its key."""
        leaf = self.ca.issue_cert(name)
        self._clients += 1
        cert = self.folder / f"client-{self._clients}.pem"
        key = self.folder / f"client-{self._clients}.key"
        for blob in leaf.cert_chain_pems:
            blob.write_to_path(str(cert), append=True)
        leaf.private_key_pem.write_to_path(str(key))
        return str(cert), str(key)

    def client_in_one(self, name: str = "client@example.org") -> str:
        """Issue a client's certificate; return the path of one file with it and its key."""
        cert, key = self.client(name)
        both = Path(cert).with_suffix(".both.pem")
        both.write_bytes(Path(key).read_bytes() + Path(cert).read_bytes())
        return str(both)

    def trusting(self) -> ssl.SSLContext:
        """Make a client's context that trusts this authority alone."""
        context = ssl.create_default_context(cafile=str(self.bundle))
        # Some Pythons take an end without a close_notify for a good one; tests want to tell.
        context.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
        return context


def close_politely(sock: ssl.SSLSocket) -> None:
    """Close with a close_notify, without waiting for the other side's."""
    with contextlib.suppress(OSError, ValueError):
        sock.settimeout(0)
        sock.unwrap()
    sock.close()
