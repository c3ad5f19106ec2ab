"""Certificates of every kind, made afresh for each run of the tests."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import ssl
import warnings
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

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
        self._crafted = 0

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

    def not_yet_valid(self) -> ssl.SSLContext:
        """Make a server's context whose certificate will be good from tomorrow on."""
        now = datetime.datetime.now(datetime.timezone.utc)
        day = datetime.timedelta(days=1)
        return self.server(not_before=now + day, not_after=now + 30 * day)

    def crafted(
        self,
        *,
        names: tuple[str, ...] = (),
        addresses: tuple[str, ...] = (),
        common_name: str = "somebody",
        for_servers: bool = True,
        self_signed: bool = False,
    ) -> tuple[ssl.SSLContext, Path]:
        """Make a server's context as no authority should; return it and its certificate's file."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        above = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        signer = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        assert isinstance(signer, ec.EllipticCurvePrivateKey)
        now = datetime.datetime.now(datetime.timezone.utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if self_signed else above.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    key.public_key() if self_signed else signer.public_key()
                ),
                critical=False,
            )
            .add_extension(
                x509.ExtendedKeyUsage(
                    [
                        ExtendedKeyUsageOID.SERVER_AUTH
                        if for_servers
                        else ExtendedKeyUsageOID.CLIENT_AUTH
                    ]
                ),
                critical=False,
            )
        )
        given: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        given += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        if given:
            builder = builder.add_extension(x509.SubjectAlternativeName(given), critical=False)
        made = builder.sign(key if self_signed else signer, hashes.SHA256())
        self._crafted += 1
        path = self.folder / f"crafted-{self._crafted}.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        both = path.with_suffix(".both.pem")
        both.write_bytes(
            path.read_bytes()
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(both)
        return context, path

    def below(self, whole: bool) -> ssl.SSLContext:
        """Make a server's context from an authority below; send its certificate too, or not."""
        leaf = self.ca.create_child_ca().issue_cert(*NAMES)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._crafted += 1
        path = self.folder / f"below-{self._crafted}.pem"
        chain = leaf.cert_chain_pems if whole else leaf.cert_chain_pems[:1]
        path.write_bytes(leaf.private_key_pem.bytes() + b"".join(blob.bytes() for blob in chain))
        context.load_cert_chain(path)
        return context

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
