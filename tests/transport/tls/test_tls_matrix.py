"""Whom TLS trusts, and what becomes of a connection that breaks: tables, for both clients.

Every refusal is an `SSLError` (or, where the network failed, a `ConnectionError`) that names the
host and says what to do, and the server has seen nothing of the request.
"""

from __future__ import annotations

import pickle
import re
import ssl
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import reqkit
from reqkit.exceptions import ChunkedEncodingError, ConnectionError, SSLError
from servers.messages import answer, chunks
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority
from servers.town import Loopback, resolving

Start = Callable[..., ScriptedServer]
Send = Callable[..., reqkit.Response]


@pytest.fixture
def loopback() -> Iterator[None]:
    """Every name leads here."""
    with resolving(Loopback()):
        yield


def serving(connection: Connection) -> None:
    while connection.recv_request() is not None:
        assert connection.tls is not None
        connection.send(answer(200, (connection.tls.version() or "").encode()))


# -- certificates


class Certificate(NamedTuple):
    """A server's certificate, the host that is asked for, and what is said of it (None: good)."""

    make: Callable[[Authority], ssl.SSLContext]
    host: str
    message: str | None


def for_names(*names: str) -> Callable[[Authority], ssl.SSLContext]:
    return lambda authority: authority.server(*names)


def crafted(**options: Any) -> Callable[[Authority], ssl.SSLContext]:
    return lambda authority: authority.crafted(**options)[0]


NAME = "for other names: is the host in the URL right"
ADDRESS = "for other addresses: is the host in the URL right"
TRUST = "give the CA that signed it with verify=PATH"

CERTIFICATES: Mapping[str, Certificate] = {
    "good": Certificate(Authority.server, "localhost", None),
    "upper case": Certificate(Authority.server, "LOCALHOST", None),
    "dot at the end": Certificate(Authority.server, "localhost.", None),
    "IPv4": Certificate(Authority.server, "127.0.0.1", None),
    "IPv6": Certificate(Authority.server, "[::1]", None),
    "IPv6, long": Certificate(Authority.server, "[0:0:0:0:0:0:0:1]", None),
    "by an authority below": Certificate(lambda one: one.below(True), "localhost", None),
    # Time
    "expired": Certificate(Authority.expired, "localhost", "operator has to renew it"),
    "not yet valid": Certificate(Authority.not_yet_valid, "localhost", "this machine's clock"),
    # Names and addresses
    "other name": Certificate(Authority.wrong_name, "localhost", NAME),
    "other name, for an address": Certificate(Authority.wrong_name, "127.0.0.1", ADDRESS),
    "name above": Certificate(for_names("a.example"), "sub.a.example", NAME),
    "name below": Certificate(for_names("sub.a.example"), "a.example", NAME),
    "other address": Certificate(for_names("127.0.0.2"), "127.0.0.1", ADDRESS),
    "other IPv6 address": Certificate(for_names("::2"), "[::1]", ADDRESS),
    "address as a name": Certificate(crafted(names=("127.0.0.1",)), "127.0.0.1", ADDRESS),
    "name for an address": Certificate(for_names("localhost"), "127.0.0.1", ADDRESS),
    "address for a name": Certificate(for_names("127.0.0.1"), "localhost", NAME),
    "international": Certificate(for_names("xn--bcher-kva.example"), "bücher.example", None),
    "several": Certificate(for_names("b.example", "a.example"), "a.example", None),
    # RFC 9525 section 6.3: a star is one whole label, the first
    "star": Certificate(for_names("*.a.example"), "sub.a.example", None),
    "star, upper case": Certificate(for_names("*.A.example"), "SUB.a.example", None),
    "star for nothing": Certificate(for_names("*.a.example"), "a.example", NAME),
    "star for two": Certificate(for_names("*.a.example"), "x.sub.a.example", NAME),
    "star in a label": Certificate(crafted(names=("s*.a.example",)), "sub.a.example", NAME),
    "star in the middle": Certificate(crafted(names=("x.*.example",)), "x.a.example", NAME),
    "star alone": Certificate(crafted(names=("*",)), "localhost", NAME),
    "star for all of a label": Certificate(crafted(names=("*.example",)), "a.example", NAME),
    "star for an address": Certificate(crafted(names=("*.0.0.1",)), "127.0.0.1", ADDRESS),
    "star for an encoded name": Certificate(
        for_names("*.a.example"), "xn--bcher-kva.a.example", None
    ),
    "star within an encoded name": Certificate(
        crafted(names=("xn--b*.a.example",)), "xn--bcher-kva.a.example", NAME
    ),
    "NUL": Certificate(crafted(names=("localhost\0.evil.example",)), "localhost", NAME),
    # RFC 9525 section 2: the common name does not count, with other names or without
    "common name alone": Certificate(crafted(common_name="localhost"), "localhost", NAME),
    "common name besides": Certificate(
        crafted(common_name="localhost", names=("a.example",)), "localhost", NAME
    ),
    "common name, an address": Certificate(
        crafted(common_name="127.0.0.1"), "127.0.0.1", ADDRESS
    ),
    # Who signed it, and for what
    "signed by itself": Certificate(
        crafted(self_signed=True, names=("localhost",)), "localhost", "give it .* verify=PATH"
    ),
    "chain cut short": Certificate(lambda one: one.below(False), "localhost", TRUST),
    "for clients": Certificate(
        crafted(names=("localhost",), for_servers=False), "localhost", "not issued for servers"
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CERTIFICATES)
def test_certificates(
    loopback: None, kind: str, scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    make, host, message = CERTIFICATES[kind]
    server = scripted(serving, tls=make(authority), host="::1" if "[" in host else "127.0.0.1")
    url = f"https://{host}:{server.port}/"
    with reqkit.Session(verify=ca_bundle) as session:
        if message is None:
            assert send(url, session=session).ok
            return
        with pytest.raises(SSLError, match=message) as caught:
            send(url, session=session)
        error = caught.value
        assert type(error) is SSLError
        assert host.strip("[]").lower() in str(error).lower()
        assert f"https://{host}:{server.port}/".lower() in str(error).lower()
        assert error.before_sending
        assert isinstance(error.__cause__, ssl.SSLError)
        assert error.request is not None
        assert error.response is None
        # It can cross processes, as responses do.
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        assert not server.requests
        # What is wrong with it is no matter where nothing is verified, for that request alone.
        assert send(url, session=session, verify=False).ok
        with pytest.raises(SSLError, match=message):
            send(url, session=session)
        assert len(server.requests) == 1


def test_what_the_error_says_to_do_helps(
    scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    context, path = authority.crafted(self_signed=True, names=("localhost",))
    server = scripted(serving, tls=context)
    url = f"https://localhost:{server.port}/"
    with pytest.raises(SSLError, match="give it"):
        send(url, verify=ca_bundle)
    assert send(url, verify=path).ok


def test_another_authority_of_the_same_name(
    scripted: Start, authority: Authority, other_authority: Authority, send: Send
) -> None:
    server = scripted(serving, tls=authority.server())
    with pytest.raises(SSLError, match="verify=PATH"):
        send(server(), verify=str(other_authority.bundle))
    assert not server.requests


# -- versions

V = ssl.TLSVersion


@pytest.mark.parametrize(
    ("least", "most", "spoken"),
    [
        (V.TLSv1_2, V.TLSv1_3, "TLSv1.3"),
        (V.TLSv1_2, V.TLSv1_2, "TLSv1.2"),
        (V.TLSv1_3, V.TLSv1_3, "TLSv1.3"),
        (V.TLSv1, V.TLSv1_1, None),
        (V.TLSv1, V.TLSv1, None),
    ],
)
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_versions(
    least: ssl.TLSVersion,
    most: ssl.TLSVersion,
    spoken: str | None,
    scripted: Start,
    authority: Authority,
    ca_bundle: str,
    send: Send,
) -> None:
    context = authority.old_protocol() if spoken is None else authority.server()
    context.maximum_version = most
    context.minimum_version = least
    server = scripted(serving, tls=context)
    url = f"https://localhost:{server.port}/"
    if spoken is not None:
        assert send(url, verify=ca_bundle).text == spoken
        return
    # Not verifying is no reason to speak what is broken.
    for verify in (ca_bundle, False):
        with pytest.raises(SSLError, match=r"TLS 1\.2 and later") as caught:
            send(url, verify=verify)
        assert f"localhost:{server.port}" in str(caught.value)
    assert not server.requests


def test_no_common_cipher(
    scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    context = authority.server()
    context.maximum_version = V.TLSv1_2
    context.set_ciphers("AES256-SHA256:@SECLEVEL=0")  # no certificate of theirs can serve it
    server = scripted(serving, tls=context)
    with pytest.raises(SSLError, match="no common cipher"):
        send(f"https://localhost:{server.port}/", verify=ca_bundle)


# -- a client's certificate


def own(authority: Authority, other: Authority, folder: Path) -> Mapping[str, Any]:
    """Return what can be given as ``cert``."""
    from cryptography.hazmat.primitives import serialization as forms

    cert, key = authority.client("ann@example.org")
    _, other_key = authority.client()
    private = forms.load_pem_private_key(Path(key).read_bytes(), None)
    locked = folder / "locked.key"
    encryption = forms.BestAvailableEncryption(b"hush")
    locked.write_bytes(
        private.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, encryption)
    )
    garbage = folder / "garbage.pem"
    garbage.write_text("no certificate")
    return {
        "none": None,
        "right": (cert, key),
        "in one file": authority.client_in_one("ann@example.org"),
        "locked": (cert, str(locked)),
        "locked, wrong password": (cert, str(locked), "wrong-hush"),
        "locked, right password": (cert, str(locked), "hush"),
        "of another authority": other.client("ann@example.org"),
        "without its key": cert,
        "another's key": (cert, other_key),
        "garbage": str(garbage),
        "not there": str(folder / "nothing.pem"),
    }


#: What is said (None: it is good), and whether anything is sent for it.
CLIENTS: Mapping[str, tuple[str | None, bool]] = {
    "none": (r"give cert=\(CERT, KEY\)|\(cert=\(CERT, KEY\)\)", True),
    "right": (None, True),
    "in one file": (None, True),
    "locked": ("is encrypted", False),
    "locked, wrong password": ("password", False),
    "locked, right password": (None, True),
    "of another authority": ("check cert=", True),
    "without its key": ("PEM", False),
    "another's key": ("the key that belongs to it", False),
    "garbage": ("PEM", False),
    "not there": ("is not there", False),
}


@pytest.mark.parametrize("version", [V.TLSv1_2, V.TLSv1_3])
@pytest.mark.parametrize("given", CLIENTS)
def test_clients_certificates(
    given: str,
    version: ssl.TLSVersion,
    scripted: Start,
    authority: Authority,
    other_authority: Authority,
    ca_bundle: str,
    tmp_path: Path,
    send: Send,
) -> None:
    context = authority.wants_client_certificate()
    context.minimum_version = context.maximum_version = version
    server = scripted(serving, tls=context)
    cert = own(authority, other_authority, tmp_path)[given]
    message, spoken_to = CLIENTS[given]
    url = f"https://localhost:{server.port}/"
    if message is None:
        assert send(url, verify=ca_bundle, cert=cert).ok
    else:
        with pytest.raises(SSLError, match=message) as caught:
            send(url, verify=ca_bundle, cert=cert)
        assert "hush" not in str(caught.value)
        if spoken_to:
            assert f"localhost:{server.port}" in str(caught.value)
        assert not server.requests
    assert bool(server.connections_opened) is spoken_to


# -- settings that change while connections are kept


#: What each request says, and which connection it gets (0: it is refused). Those that say the same
#: share one; no other two do.
CHANGES: tuple[tuple[dict[str, str], int], ...] = (
    ({"verify": "off"}, 1),
    ({}, 0),
    ({"verify": "on"}, 0),
    ({"verify": "ours"}, 2),
    ({"verify": "off"}, 1),
    ({"verify": "other"}, 0),
    ({"verify": "ours", "cert": "ann"}, 3),
    ({"verify": "ours", "cert": "bob"}, 4),
    ({"verify": "ours"}, 2),
    ({"verify": "off", "cert": "ann"}, 5),
    ({"verify": "ours", "cert": "ann"}, 3),
    ({"verify": "copy"}, 6),
    ({"verify": "other", "cert": "ann"}, 0),
    ({"verify": "on", "cert": "ann"}, 0),
    ({"verify": "off"}, 1),
    ({"verify": "ours", "cert": "bob"}, 4),
)


@pytest.mark.parametrize("where", ["call", "session", "session's attributes"])
def test_no_connection_serves_other_settings(
    where: str,
    scripted: Start,
    authority: Authority,
    other_authority: Authority,
    tmp_path: Path,
    session: reqkit.Session,
    send: Send,
) -> None:
    numbers: dict[int, int] = {}

    def telling(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, b"%d" % connection.number))

    context = authority.server()
    context.verify_mode = ssl.CERT_OPTIONAL
    authority.ca.configure_trust(context)
    server = scripted(telling, tls=context)
    copy = tmp_path / "copy.pem"
    copy.write_bytes(authority.bundle.read_bytes())
    means: dict[str, Any] = {
        "off": False, "on": True, "ours": str(authority.bundle), "copy": str(copy),
        "other": str(other_authority.bundle),
        "ann": authority.client("ann@example.org"), "bob": authority.client("bob@example.org"),
    }  # fmt: skip
    for message, expected in CHANGES:
        keywords = {name: means[value] for name, value in message.items()}
        if where != "call":
            session.verify = keywords.pop("verify", None)
            session.cert = keywords.pop("cert", None)
        if not expected:
            with pytest.raises(SSLError):
                send(server(), session=session, **keywords)
            continue
        number = int(send(server(), session=session, **keywords).text)
        assert numbers.setdefault(expected, number) == number, message
    assert len(set(numbers.values())) == len(numbers) == 6


# -- handshakes that break


def cutting(upstream: ScriptedServer, most: int, reset: bool) -> Callable[[Connection], None]:
    """Pass a handshake on to a server, and break it off after so many bytes of the server's."""

    def handler(connection: Connection) -> None:
        if most:
            connection.relay("127.0.0.1", upstream.port, most)
        else:
            connection.recv_some()
        if reset:
            connection.reset()

    return handler


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("most", [0, 1, 4, 5, 6, 40, 90, 130, 400, 700])
@pytest.mark.parametrize("version", [V.TLSv1_2, V.TLSv1_3])
def test_a_handshake_that_is_cut_off(
    version: ssl.TLSVersion,
    most: int,
    reset: bool,
    scripted: Start,
    authority: Authority,
    ca_bundle: str,
    send: Send,
) -> None:
    context = authority.server()
    context.minimum_version = context.maximum_version = version
    server = scripted(serving, tls=context)
    between = scripted(cutting(server, most, reset))
    url = f"https://localhost:{between.port}/"
    with pytest.raises(ConnectionError, match="during TLS") as caught:
        send(url, verify=ca_bundle)
    assert type(caught.value) in (SSLError, ConnectionError)
    assert f"localhost:{between.port}" in str(caught.value)
    assert caught.value.before_sending
    assert not server.requests


def record(kind: int, data: bytes) -> bytes:
    return bytes((kind, 3, 3)) + len(data).to_bytes(2, "big") + data


PLAIN = "is it plain http"
CHECK = "is the port right"

#: What comes in place of a handshake, and what is said of it.
GARBAGE: Mapping[str, tuple[bytes, str]] = {
    "plain http": (answer(400), PLAIN),
    "HTML": (b"<html></html>", PLAIN),
    "mail": (b"220 mail.example ESMTP ready\r\n", PLAIN),
    "ssh": (b"SSH-2.0-OpenSSH_9.6\r\n", PLAIN),
    "zeros": (bytes(100), PLAIN),
    "ones": (b"\xff" * 100, PLAIN),
    "SSL 2": (b"\x80\x2e\x01\x00\x02" + bytes(60), PLAIN),
    "too long a record": (record(22, b"")[:3] + b"\xff\xff" + bytes(90), PLAIN),
    "unsound handshake": (record(22, b"\x02\x00\x00\x00"), CHECK),
    "data before a handshake": (record(23, b"abcd"), CHECK),
    "alert: handshake failure": (record(21, b"\x02\x28"), "no common cipher"),
    "alert: version": (record(21, b"\x02\x46"), r"TLS 1\.2 and later"),
    "alert: unknown name": (record(21, b"\x02\x70"), "is the host in the URL right"),
    "alert: internal error": (record(21, b"\x02\x50"), "fault of its own"),
    "alert: access denied": (record(21, b"\x02\x31"), CHECK),
    "alert: end": (record(21, b"\x01\x00"), "closed the connection during TLS"),
    "nothing": (b"", "closed the connection during TLS"),
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_in_place_of_a_handshake(
    kind: str, scripted: Start, ca_bundle: str, send: Send
) -> None:
    data, message = GARBAGE[kind]

    def handler(connection: Connection) -> None:
        connection.recv_some()
        connection.send(data)
        if data:
            connection.wait_closed()

    server = scripted(handler)
    for verify in (ca_bundle, False):
        with pytest.raises(SSLError, match=message) as caught:
            send(f"https://localhost:{server.port}/", verify=verify)
        assert f"localhost:{server.port}" in str(caught.value)
        assert caught.value.before_sending
        server.wait_for_no_connections()


@pytest.mark.parametrize("alert", [True, False], ids=["alert", "none"])
def test_tls_where_plain_http_is_expected(
    alert: bool, scripted: Start, ca_bundle: str, send: Send
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_some()
        if alert:
            connection.send(record(21, b"\x02\x46"))
            connection.wait_closed()

    with pytest.raises(ConnectionError, match="https" if alert else "without an answer") as caught:
        send(scripted(handler)())
    assert not isinstance(caught.value, SSLError)


# -- where a body ends

WHOLE = "whole"
#: A reset may overtake what was sent before it: the head too.
RESET = (ChunkedEncodingError, ConnectionError)

#: What comes, how it ends (politely: with a close_notify), and what that is.
ENDS: Mapping[str, tuple[bytes, str, Any]] = {
    "length": (answer(200, b"0123456789"), "cut", WHOLE),
    "length, short": (answer(200, b"0123456789")[:-1], "cut", ChunkedEncodingError),
    "length, short, politely": (answer(200, b"0123456789")[:-1], "close", ChunkedEncodingError),
    "length, short, reset": (answer(200, b"0123456789")[:-1], "reset", RESET),
    "chunked": (
        answer(200, fields=[("Transfer-Encoding", "chunked")], length=False)
        + chunks([b"01234", b"56789"]), "cut", WHOLE,
    ),
    "chunked, no last chunk": (
        answer(200, fields=[("Transfer-Encoding", "chunked")], length=False)
        + chunks([b"01234", b"56789"])[:-5], "cut", ChunkedEncodingError,
    ),
    "chunked, no last chunk, politely": (
        answer(200, fields=[("Transfer-Encoding", "chunked")], length=False)
        + chunks([b"01234", b"56789"])[:-5], "close", ChunkedEncodingError,
    ),
    "until close, politely": (answer(200, length=False) + b"0123456789", "close", WHOLE),
    # As in browsers and in requests: too many servers end so. Only TLS could tell.
    "until close": (answer(200, length=False) + b"0123456789", "cut", WHOLE),
    "until close, reset": (
        answer(200, length=False) + b"0123456789", "reset", RESET,
    ),
    "head": (answer(200, b"0123456789")[:20], "cut", reqkit.ProtocolError),
    "head, politely": (answer(200, b"0123456789")[:20], "close", reqkit.ProtocolError),
    "nothing": (b"", "cut", reqkit.ProtocolError),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_where_a_body_ends(
    end: str, scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    data, how, expected = ENDS[end]

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(data)
        getattr(connection, how)()

    server = scripted(handler, tls=authority.server())
    if expected is WHOLE:
        assert send(server(), verify=ca_bundle, prefetch=True).content == b"0123456789"
        return
    with pytest.raises(expected) as caught:
        send(server(), verify=ca_bundle, prefetch=True)
    assert re.search(r"https://127\.0\.0\.1:\d+/", str(caught.value))
    assert isinstance(caught.value, reqkit.RequestException)
