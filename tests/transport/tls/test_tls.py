"""TLS over real sockets: contexts, checks of certificates, sessions."""

from __future__ import annotations

import contextlib
import gc
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reqkit.exceptions import SSLError
from reqkit.network.streams import StdlibStream
from reqkit.transport.tls import contexts
from reqkit.transport.tls.contexts import client_for
from reqkit.transport.tls.handshake import secure
from reqkit.transport.tls.sessions import SessionCache
from reqkit.transport.tls.settings import TlsSettings
from reqkit.transport.tls.stream import TlsStream
from servers.scripted import Connection, ScriptedServer
from servers.secured import SECONDS, echo, exactly, plain, secured
from servers.tls import Authority

Start = Callable[..., ScriptedServer]


pytestmark = pytest.mark.usefixtures("no_contexts_of_other_tests")


# -- contexts -------------------------------------------------------------------------------------


def context_for(settings: TlsSettings) -> ssl.SSLContext:
    return client_for(settings).context


def test_one_context_serves_all_connections_with_the_same_settings(ca_bundle: str) -> None:
    settings = TlsSettings(verify=ca_bundle)

    context = context_for(settings)

    assert context_for(TlsSettings(verify=ca_bundle)) is context
    assert context_for(settings._replace(server_hostname="other.example")) is context
    assert context_for(settings._replace(verify=False)) is not context
    assert context_for(settings._replace(assert_hostname=False)) is not context
    assert context_for(settings._replace(ciphers="ECDHE+AESGCM")) is not context


def test_threads_that_come_at_once_get_one_context() -> None:
    found: list[ssl.SSLContext] = []
    barrier = threading.Barrier(8)

    def look() -> None:
        barrier.wait(SECONDS)
        found.append(context_for(TlsSettings()))

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)

    assert len(found) == 8
    assert len(set(map(id, found))) == 1


def test_a_default_context_is_safe() -> None:
    context = context_for(TlsSettings())

    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.options & ssl.OP_NO_COMPRESSION
    assert not context.hostname_checks_common_name
    assert context.cert_store_stats()["x509_ca"] > 50
    strict = bool(context.verify_flags & ssl.VERIFY_X509_STRICT)
    assert strict is (sys.version_info >= (3, 13))


def test_a_context_that_does_not_verify() -> None:
    context = context_for(TlsSettings(verify=False))

    assert context.verify_mode is ssl.CERT_NONE
    assert not context.check_hostname


def test_versions_and_ciphers_can_be_set() -> None:
    settings = TlsSettings(
        minimum_version=ssl.TLSVersion.TLSv1_3, maximum_version=ssl.TLSVersion.TLSv1_3
    )

    context = context_for(settings)

    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    assert context.maximum_version is ssl.TLSVersion.TLSv1_3
    with pytest.raises(SSLError, match="ciphers is 'NO_SUCH'"):
        context_for(TlsSettings(ciphers="NO_SUCH"))


def test_a_bundle_that_changed_counts(tmp_path: Path, authority: Authority) -> None:
    bundle = tmp_path / "ca.pem"
    shutil.copy(authority.bundle, bundle)
    settings = TlsSettings(verify=str(bundle))
    before = context_for(settings)
    assert context_for(settings) is before

    bundle.write_bytes(bundle.read_bytes() * 2 + b"\n")

    assert context_for(settings) is not before


def test_contexts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contexts, "_MOST_CLIENTS", 3)
    kept = context_for(TlsSettings(verify=False))
    for size in range(10):
        context_for(TlsSettings(verify=False, ciphers=":".join(["ECDHE+AESGCM"] * (size + 1))))
        assert context_for(TlsSettings(verify=False)) is kept

    assert len(contexts._clients) == 3


def test_a_bundle_that_is_none_is_named(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("no certificates here")

    with pytest.raises(SSLError, match=r"ca\.pem.*holds no CA certificates"):
        context_for(TlsSettings(verify=str(bundle)))
    bundle.unlink()
    with pytest.raises(SSLError, match=r"ca\.pem.*cannot be read"):
        context_for(TlsSettings(verify=str(bundle)))


def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path, authority: Authority) -> None:
    cert, _ = authority.client()
    _, other_key = authority.client()
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("no certificate")

    with pytest.raises(SSLError, match="belongs to it"):
        context_for(TlsSettings(cert=(cert, other_key)))
    with pytest.raises(SSLError, match="belongs to it"):
        context_for(TlsSettings(cert=str(rubbish)))
    with pytest.raises(SSLError, match=r"cert names '/no/such\.pem'"):
        context_for(TlsSettings(cert="/no/such.pem"))


def test_an_encrypted_key_is_never_asked_for(tmp_path: Path, authority: Authority) -> None:
    from cryptography.hazmat.primitives import serialization as forms

    cert, key = authority.client()
    private = forms.load_pem_private_key(Path(key).read_bytes(), None)
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        private.private_bytes(
            forms.Encoding.PEM,
            forms.PrivateFormat.PKCS8,
            forms.BestAvailableEncryption(b"hush"),
        )
    )

    with pytest.raises(SSLError, match="is encrypted"):
        context_for(TlsSettings(cert=(cert, str(locked))))
    with pytest.raises(SSLError) as caught:
        context_for(TlsSettings(cert=(cert, str(locked), "wrong-hush")))
    assert "hush" not in str(caught.value)
    context_for(TlsSettings(cert=(cert, str(locked), "hush")))


def test_a_context_is_made_whenever_gevent_patches() -> None:
    program = """
import reqkit.transport.tls.contexts as tls
from reqkit.transport.tls.settings import TlsSettings
before = tls.client_for(TlsSettings()).context
import gevent.monkey
gevent.monkey.patch_all()
import ssl
after = tls.client_for(TlsSettings(minimum_version=ssl.TLSVersion.TLSv1_3)).context
assert type(after) is ssl.SSLContext and type(after).__module__.startswith("gevent")
assert after.minimum_version is ssl.TLSVersion.TLSv1_3
bio = ssl.MemoryBIO(), ssl.MemoryBIO()
for context in (before, after):
    context.wrap_bio(*bio, server_hostname="localhost")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stderr


def test_secrets_are_logged_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted: Start, authority: Authority
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    server = scripted(echo, tls=authority.server())

    with secured(server, TlsSettings(verify=str(authority.bundle))) as stream:
        stream.send_all(b"x", SECONDS)
        exactly(stream, 1)

    assert "SECRET" in (tmp_path / "keys").read_text()


# -- who the server is ----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "localhost.", "127.0.0.1"])
def test_a_good_certificate(
    host: str, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(echo, tls=authority.server())

    with secured(server, TlsSettings(verify=ca_bundle), host) as stream:
        stream.send_all(b"hello", SECONDS)
        assert exactly(stream, 5) == b"hello"
        assert stream.tls.selected_alpn_protocol() == "http/1.1"

    named = server.connections[0].server_name
    assert (named or "").lower() == ("" if host[0].isdigit() else "localhost")


def test_an_ipv6_address_is_checked(authority: Authority, ca_bundle: str) -> None:
    with ScriptedServer(echo, tls=authority.server(), host="::1") as server:
        for host in ("::1", "[::1]", "::1%lo"):
            with secured(server, TlsSettings(verify=ca_bundle), host) as stream:
                stream.send_all(b"x", SECONDS)
                assert exactly(stream, 1) == b"x"


def test_a_folder_of_authorities(
    tmp_path: Path, scripted: Start, authority: Authority, other_authority: Authority
) -> None:
    for one in (authority, other_authority):
        subject = subprocess.run(
            ["openssl", "x509", "-hash", "-noout", "-in", str(one.bundle)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        number = len(list(tmp_path.glob(f"{subject}.*")))
        shutil.copy(one.bundle, tmp_path / f"{subject}.{number}")
    server = scripted(echo, tls=authority.server())

    with secured(server, TlsSettings(verify=str(tmp_path))) as stream:
        stream.send_all(b"x", SECONDS)
        assert exactly(stream, 1) == b"x"


@pytest.mark.parametrize(
    ("kind", "host", "code"),
    [
        ("expired", "localhost", 10),
        ("wrong_name", "localhost", 62),
        ("wrong_name", "127.0.0.1", 64),
        ("stranger", "localhost", None),
    ],
)
def test_a_bad_certificate(
    kind: str,
    host: str,
    code: int | None,
    scripted: Start,
    authority: Authority,
    other_authority: Authority,
    ca_bundle: str,
) -> None:
    context = other_authority.server() if kind == "stranger" else getattr(authority, kind)()
    server = scripted(echo, tls=context)

    with (
        pytest.raises(ssl.SSLCertVerificationError) as caught,
        secured(server, TlsSettings(verify=ca_bundle), host),
    ):
        pass
    if code is not None:
        assert caught.value.verify_code == code
    # The server is told why, before the connection ends.
    server.wait_until(lambda one: len(one.handshake_errors) == 1)
    assert isinstance(server.handshake_errors[0], ssl.SSLError)

    with secured(server, TlsSettings(verify=False), host) as stream:
        stream.send_all(b"x", SECONDS)
        assert exactly(stream, 1) == b"x"


def test_another_name_can_be_asked_for(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(echo, tls=authority.wrong_name())
    settings = TlsSettings(verify=ca_bundle, server_hostname="elsewhere.example")

    with secured(server, settings):
        pass
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        secured(server, settings._replace(server_hostname="third.example")),
    ):
        pass

    assert server.connections[0].server_name == "elsewhere.example"


def test_another_name_can_be_looked_for(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(echo, tls=authority.wrong_name())
    settings = TlsSettings(verify=ca_bundle, assert_hostname="elsewhere.example")

    for _ in range(2):  # the second one resumes
        with secured(server, settings) as stream:
            stream.send_all(b"x", SECONDS)
            exactly(stream, 1)
    assert stream.session_reused
    for name in ("third.example", "127.0.0.1"):
        with (
            pytest.raises(ssl.SSLCertVerificationError, match="not valid for"),
            secured(server, settings._replace(assert_hostname=name)),
        ):
            pass

    assert server.connections[0].server_name == "localhost"


def test_the_name_need_not_be_looked_for(
    scripted: Start, authority: Authority, other_authority: Authority, ca_bundle: str
) -> None:
    settings = TlsSettings(verify=ca_bundle, assert_hostname=False)

    with secured(scripted(echo, tls=authority.wrong_name()), settings):
        pass
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        secured(scripted(echo, tls=other_authority.server()), settings),
    ):
        pass


@pytest.mark.parametrize("digest", ["sha1", "sha256"])
@pytest.mark.parametrize("verify", [True, False])
def test_a_certificate_can_be_pinned(
    digest: str, verify: bool, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    import hashlib

    server = scripted(echo, tls=authority.wrong_name())
    with secured(server, TlsSettings(verify=False)) as stream:
        certificate = stream.tls.getpeercert(True)
    assert certificate is not None
    pin = hashlib.new(digest, certificate).hexdigest()
    coloned = ":".join(pin[at : at + 2] for at in range(0, len(pin), 2)).upper()
    settings = TlsSettings(verify=ca_bundle if verify else False)

    for good in (pin, coloned):
        with secured(server, settings._replace(assert_fingerprint=good)):
            pass
    wrong = pin[:-1] + ("0" if pin[-1] != "0" else "1")
    with (
        pytest.raises(ssl.SSLCertVerificationError, match="fingerprint"),
        secured(server, settings._replace(assert_fingerprint=wrong)),
    ):
        pass
    with (
        pytest.raises(SSLError, match="40 or 64 hex digits"),
        secured(server, settings._replace(assert_fingerprint="nonsense")),
    ):
        pass


def test_a_clients_certificate(scripted: Start, authority: Authority, ca_bundle: str) -> None:
    server = scripted(echo, tls=authority.wants_client_certificate())
    cert, key = authority.client("ann@example.org")
    settings = TlsSettings(verify=ca_bundle)

    for with_cert in ((cert, key), authority.client_in_one("ann@example.org")):
        with secured(server, settings._replace(cert=with_cert)) as stream:
            stream.send_all(b"x", SECONDS)
            assert exactly(stream, 1) == b"x"
    with (
        pytest.raises(ssl.SSLError, match=r"(?i)certificate.required|handshake"),
        secured(server, settings) as stream,
    ):
        stream.receive(1, SECONDS)  # TLS 1.3 tells after the handshake


def test_no_common_version(scripted: Start, authority: Authority, ca_bundle: str) -> None:
    server = scripted(echo, tls=authority.old_protocol())

    with pytest.raises(ssl.SSLError), secured(server, TlsSettings(verify=ca_bundle)):
        pass


# -- a context of the user's own ------------------------------------------------------------------


def test_a_users_context_counts_with_its_authorities(
    scripted: Start, authority: Authority, other_authority: Authority
) -> None:
    context = authority.trusting()

    with secured(scripted(echo, tls=authority.server()), TlsSettings(context=context)):
        pass
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        secured(scripted(echo, tls=other_authority.server()), TlsSettings(context=context)),
    ):
        pass
    # It trusts what its maker chose, and not the whole world's authorities in addition.
    assert context.cert_store_stats()["x509"] == 1


def test_a_users_context_without_authorities_gets_the_usual_ones(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert context_for(TlsSettings(context=bare)).cert_store_stats()["x509_ca"] > 50
    assert bare.cert_store_stats()["x509"] == 0

    named = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    settings = TlsSettings(context=named, verify=ca_bundle)
    with secured(scripted(echo, tls=authority.server()), settings):
        pass


def test_verify_counts_for_a_users_context_too(
    scripted: Start, authority: Authority, other_authority: Authority
) -> None:
    server = scripted(echo, tls=other_authority.server())
    verifying = authority.trusting()
    careless = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    careless.load_verify_locations(authority.bundle)

    for _ in range(2):
        with secured(server, TlsSettings(context=verifying, verify=False)) as stream:
            stream.send_all(b"x", SECONDS)
            exactly(stream, 1)
    assert stream.session_reused
    for context in (verifying, careless):
        with (
            pytest.raises(ssl.SSLCertVerificationError),
            secured(server, TlsSettings(context=context)),
        ):
            pass
    # Lent only: the user's own settings are as they were.
    assert (verifying.verify_mode, verifying.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert (careless.verify_mode, careless.check_hostname) == (ssl.CERT_NONE, False)


def test_a_context_that_is_none_is_refused() -> None:
    with pytest.raises(SSLError, match=r"expected an ssl\.SSLContext"):
        context_for(TlsSettings(context=object()))  # type: ignore[arg-type]


# -- sessions -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(
    version: ssl.TLSVersion, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(echo, tls=authority.server())
    settings = TlsSettings(verify=ca_bundle, maximum_version=version)
    reused = []

    for _ in range(3):
        with secured(server, settings) as stream:
            stream.send_all(b"x", SECONDS)
            exactly(stream, 1)
            reused.append(stream.session_reused)
            assert stream.session is not None

    assert reused == [False, True, True]
    assert len(client_for(settings).sessions) == 1


def test_a_session_never_leads_from_not_verifying_to_verifying(
    scripted: Start, other_authority: Authority, ca_bundle: str
) -> None:
    server = scripted(echo, tls=other_authority.server())

    with secured(server, TlsSettings(verify=False)) as stream:
        stream.send_all(b"x", SECONDS)
        exactly(stream, 1)

    with (
        pytest.raises(ssl.SSLCertVerificationError),
        secured(server, TlsSettings(verify=ca_bundle)),
    ):
        pass


def test_a_session_is_for_one_place(scripted: Start, authority: Authority, ca_bundle: str) -> None:
    server = scripted(echo, tls=authority.server())
    settings = TlsSettings(verify=ca_bundle)

    def reused(host: str, via: object = None) -> bool:
        below = plain(server)
        stream = secure(below, settings, host, server.port, SECONDS, via)
        stream.send_all(b"x", SECONDS)
        exactly(stream, 1)
        stream.close()
        return stream.session_reused

    assert [reused("localhost"), reused("localhost")] == [False, True]
    assert [reused("127.0.0.1"), reused("127.0.0.1")] == [False, True]
    assert [reused("localhost", "proxy"), reused("localhost", "proxy")] == [False, True]


class Bound(StdlibStream):
    """A stream that one thread uses alone, as gevent's."""

    bound = True


@contextlib.contextmanager
def bound(server: ScriptedServer, settings: TlsSettings) -> Iterator[TlsStream]:
    below = plain(server, Bound)
    stream = secure(below, settings, "localhost", server.port, SECONDS)
    try:
        yield stream
    finally:
        stream.close()


def greet(stream: TlsStream) -> None:
    stream.send_all(b"x", SECONDS)
    exactly(stream, 1)


def test_a_session_is_copied_when_one_asks(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(echo, tls=authority.server())
    settings = TlsSettings(verify=ca_bundle)

    with bound(server, settings) as stream:
        greet(stream)
        [place] = client_for(settings).sessions._places.values()
        assert place.session is None
        with bound(server, settings) as other:
            assert other.session_reused
        assert place.session is not None
        assert place.source is None


def test_the_session_of_another_threads_own_connection_is_copied_once_it_is_closed(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(echo, tls=authority.server())
    settings = TlsSettings(verify=ca_bundle)
    reused: list[bool] = []

    def elsewhere() -> None:
        with bound(server, settings) as other:
            reused.append(other.session_reused)

    def in_a_thread() -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    with bound(server, settings) as stream:
        greet(stream)
        in_a_thread()
    in_a_thread()
    assert reused == [False, True]


def test_the_session_of_a_failed_connection_is_not_resumed(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_exact(1)
        connection.send(b"x")
        connection.recv_exact(1)
        socket.socket.send(connection.sock, b"\x17\x03\x03\x00\x20" + bytes(32))
        connection.wait_closed()

    server = scripted(handler, tls=authority.server())
    settings = TlsSettings(verify=ca_bundle)
    for _ in range(2):
        with bound(server, settings) as stream:
            assert not stream.session_reused
            stream.send_all(b"x", SECONDS)
            exactly(stream, 1)
            stream.send_all(b"x", SECONDS)
            with pytest.raises(ssl.SSLError):
                stream.receive(1, SECONDS)


def test_a_session_keeps_no_dropped_stream(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(echo, tls=authority.server())
    settings = TlsSettings(verify=ca_bundle)
    below = plain(server, Bound)
    stream = secure(below, settings, "localhost", server.port, SECONDS)
    greet(stream)
    dropped = weakref.ref(below)

    del stream, below
    gc.collect()

    assert dropped() is None
    server.wait_for_no_connections()
    with secured(server, settings) as other:
        assert other.session_reused


def test_sessions_are_bounded() -> None:
    cache = SessionCache(most=2)
    one: Any = object()
    for key in "abac":
        cache.offer(key, lambda: one)

    assert len(cache) == 2
    assert cache.get("a") is cache.get("c") is one
    assert cache.get("b") is None
    cache.drop("a")
    cache.drop("a")
    assert cache.get("a") is None
