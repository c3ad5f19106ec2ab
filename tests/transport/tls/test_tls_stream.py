"""TLS on a stream: bytes both ways, ends, limits, idle connections."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

import pytest

from reqkit.network import forks
from reqkit.network.streams import StdlibStream
from reqkit.transport.tls.handshake import secure
from reqkit.transport.tls.settings import TlsSettings
from reqkit.transport.tls.stream import TlsStream
from servers.scripted import Connection, ScriptedServer
from servers.secured import SECONDS, echo, exactly, plain, secured
from servers.tls import Authority

Start = Callable[..., ScriptedServer]


pytestmark = pytest.mark.usefixtures("no_contexts_of_other_tests")


# -- bytes ----------------------------------------------------------------------------------------


def test_large_bodies_both_ways(scripted: Start, authority: Authority, ca_bundle: str) -> None:
    server = scripted(echo, tls=authority.server())
    data = os.urandom(3_000_001)

    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        for form in (data[:1_000_000], bytearray(data[:700_001]), memoryview(data)[:16385]):
            stream.send_all(form, SECONDS)
            assert exactly(stream, len(form)) == bytes(form)


def test_what_is_large_is_sent_in_pieces(ca_bundle: str, authority: Authority) -> None:
    sizes: list[int] = []

    class Counting(StdlibStream):
        def send_all(self, data: Any, timeout: float | None) -> None:
            sizes.append(len(data))
            super().send_all(data, timeout)

    def sink(connection: Connection) -> None:
        connection.recv_exact(2_000_000)
        connection.send(b"!")

    with ScriptedServer(sink, tls=authority.server()) as server:
        opened = plain(server)  # closes its socket when it is dropped
        below = Counting(opened.sock)
        stream = secure(below, TlsSettings(verify=ca_bundle), "localhost", 1, SECONDS)
        stream.send_all(bytes(2_000_000), SECONDS)
        assert exactly(stream, 1) == b"!"
        stream.close()

    assert max(sizes) < 300_000
    assert len(sizes) < 20


def test_bytes_are_received_as_they_are_asked_for(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_exact(1)
        connection.send(b"a" * 40_000)
        connection.close()

    server = scripted(handler, tls=authority.server())
    buffer = memoryview(bytearray(30_000))

    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        stream.send_all(b"x", SECONDS)
        stream.wait_readable(SECONDS)
        assert stream.receive(3, SECONDS) == b"aaa"
        stream.wait_readable(0.001)  # there is more: nothing to wait for
        got = 3
        while got < 40_000:
            count = stream.receive_into(buffer, SECONDS)
            assert bytes(buffer[:count]) == b"a" * count
            assert count
            got += count
        assert got == 40_000
        assert stream.receive_into(buffer, SECONDS) == 0
        assert stream.receive(10, SECONDS) == b""


@pytest.mark.parametrize("politely", [True, False])
def test_an_end_is_an_end_with_and_without_close_notify(
    politely: bool, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_exact(1)
        connection.send(b"bye")
        if politely:
            connection.close()
        else:
            connection.cut()

    server = scripted(handler, tls=authority.server())

    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        stream.send_all(b"x", SECONDS)
        assert exactly(stream, 3) == b"bye"
        assert stream.receive(10, SECONDS) == b""
        assert stream.receive(10, SECONDS) == b""
        assert stream.is_readable()


def test_a_silent_server_is_a_timeout(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(Connection.wait_closed, tls=authority.server())

    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        with pytest.raises(TimeoutError):
            stream.receive(1, 0.05)
        with pytest.raises(TimeoutError):
            stream.receive_into(memoryview(bytearray(1)), 0.05)


def test_a_record_that_trickles_does_not_extend_the_limit(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    """Every byte of a record arrives in time, and the record never does."""

    def handler(connection: Connection) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server_side = authority.server().wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                server_side.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.send(outgoing.read())
                incoming.write(connection.recv_some())
        connection.send(outgoing.read())
        server_side.write(b"a" * 16000)
        for byte in outgoing.read():
            connection.send(bytes([byte]))
            connection.pause(0.02)

    server = scripted(handler)
    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        with pytest.raises(TimeoutError):
            stream.receive(1, 0.3)
        assert server.connections_open == 1


def test_a_handshake_that_trickles_does_not_extend_the_limit(
    scripted: Start, ca_bundle: str
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_some()
        connection.send(b"\x16\x03\x03\x40\x00")
        while True:
            connection.send(b"\x02")
            connection.pause(0.02)

    server = scripted(handler)
    with (
        pytest.raises(TimeoutError),
        secured(server, TlsSettings(verify=ca_bundle), timeout=0.3),
    ):
        pass


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE"),
        (b"", "EOF"),
    ],
)
def test_a_peer_that_speaks_no_tls(
    sent: bytes, reason: str, scripted: Start, ca_bundle: str
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_some()
        if sent:
            connection.send(sent)

    with (
        pytest.raises(ssl.SSLError, match=reason),
        secured(scripted(handler), TlsSettings(verify=ca_bundle)),
    ):
        pass


def test_a_forged_record_is_an_error(scripted: Start, authority: Authority, ca_bundle: str) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_exact(1)
        socket.socket.send(connection.sock, b"\x17\x03\x03\x00\x20" + bytes(32))
        connection.wait_closed()

    server = scripted(handler, tls=authority.server())
    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        stream.send_all(b"x", SECONDS)
        with pytest.raises(ssl.SSLError):
            stream.receive(1, SECONDS)
        assert stream.is_readable()
        with pytest.raises(ssl.SSLError):  # and not an end
            stream.receive(1, SECONDS)
        with pytest.raises(ssl.SSLError):
            stream.receive_into(memoryview(bytearray(1)), SECONDS)


# -- idle connections -----------------------------------------------------------------------------


def test_a_ticket_on_an_idle_connection_is_no_sign_of_death(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    context = authority.server()
    context.num_tickets = 2
    server = scripted(echo, tls=context)

    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        # TLS 1.3: the tickets are on their way once the server's handshake has ended.
        stream._inner.sock.settimeout(SECONDS)  # type: ignore[attr-defined]
        stream._inner.sock.recv(1, socket.MSG_PEEK)  # type: ignore[attr-defined]
        assert stream._inner.is_readable()

        assert not stream.is_readable()

        assert stream._offer is not None
        stream.send_all(b"x", SECONDS)
        assert exactly(stream, 1) == b"x"
        assert not stream.is_readable()


def test_bytes_on_an_idle_connection_are_seen_and_kept(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_exact(1)
        connection.send(b"first")
        connection.recv_exact(1)
        connection.send(b"unasked")
        connection.wait_closed()

    server = scripted(handler, tls=authority.server())
    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        stream.send_all(b"x", SECONDS)
        assert exactly(stream, 5) == b"first"
        assert not stream.is_readable()
        stream.send_all(b"x", SECONDS)
        stream._inner.sock.recv(1, socket.MSG_PEEK)  # type: ignore[attr-defined]

        assert stream.is_readable()
        assert stream.is_readable()

        stream.wait_readable(0.001)
        assert stream.receive(2, SECONDS) == b"un"
        buffer = memoryview(bytearray(10))
        assert stream.receive_into(buffer, SECONDS) == 5
        assert bytes(buffer[:5]) == b"asked"


@pytest.mark.parametrize("politely", [True, False])
def test_a_server_that_left_is_seen(
    politely: bool, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_exact(1)
        connection.send(b"x")
        if politely:
            connection.close()
        else:
            connection.cut()

    server = scripted(handler, tls=authority.server())
    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        stream.send_all(b"x", SECONDS)
        exactly(stream, 1)
        server.wait_for_no_connections()
        stream._inner.sock.recv(1, socket.MSG_PEEK)  # type: ignore[attr-defined]

        assert stream.is_readable()


def test_closing_says_so(scripted: Start, authority: Authority, ca_bundle: str) -> None:
    ends: list[object] = []
    done = threading.Event()

    def handler(connection: Connection) -> None:
        try:
            ends.append(connection.sock.recv(10))
        except ssl.SSLError as error:
            ends.append(error)
        done.set()

    context = authority.server()
    with secured(scripted(handler, tls=context), TlsSettings(verify=ca_bundle)) as stream:
        stream.close()
        stream.close()
        assert done.wait(SECONDS)

    assert ends == [b""]  # a close_notify; without it an SSLSocket raises or suppresses an EOF
    assert stream.tls.version() is not None


def test_a_forked_child_says_nothing_on_its_parents_connection(
    monkeypatch: pytest.MonkeyPatch, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(echo, tls=authority.server())
    sent: list[bytes] = []

    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        monkeypatch.setattr(forks, "count", forks.count + 1)
        monkeypatch.setattr(
            StdlibStream, "send_all", lambda self, data, timeout: sent.append(bytes(data))
        )
        stream.close()

    assert sent == []


def test_a_stream_below_that_cannot_be_written_to_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(echo, tls=authority.server())

    def refuse(self: StdlibStream, data: object, timeout: float | None) -> None:
        raise RuntimeError("this stream is another thread's")

    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        monkeypatch.setattr(StdlibStream, "send_all", refuse)
        stream.close()

    server.wait_for_no_connections()
    assert server.connections_opened == 1


def test_nothing_is_said_after_half_a_record(
    monkeypatch: pytest.MonkeyPatch, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(echo, tls=authority.server())
    sent: list[bytes] = []

    def too_slow(self: StdlibStream, data: bytes, timeout: float | None) -> None:
        sent.append(data)
        raise TimeoutError

    with secured(server, TlsSettings(verify=ca_bundle)) as stream:
        monkeypatch.setattr(StdlibStream, "send_all", too_slow)
        with pytest.raises(TimeoutError):
            stream.send_all(b"data", SECONDS)
        stream.close()

    assert len(sent) == 1


# -- TLS inside TLS -------------------------------------------------------------------------------


def test_tls_inside_tls(scripted: Start, authority: Authority, ca_bundle: str) -> None:
    target = scripted(echo, tls=authority.server())
    outer = scripted(
        lambda connection: connection.relay(target.host, target.port), tls=authority.server()
    )
    settings = TlsSettings(verify=ca_bundle)
    data = os.urandom(200_000)

    with secured(outer, settings) as carrier:
        stream = secure(carrier, settings, "127.0.0.1", target.port, SECONDS)
        stream.send_all(data, SECONDS)
        assert exactly(stream, len(data)) == data
        assert not stream.is_readable()
        stream.close()

    target.wait_for_no_connections()


# -- what TLS says by itself ----------------------------------------------------------------------


@pytest.mark.parametrize("into", [False, True])
def test_a_certificate_that_is_asked_for_later(
    into: bool, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    """RFC 8446 section 4.6.2: the answer goes out while the client reads."""
    subjects: list[Any] = []

    def handler(connection: Connection) -> None:
        assert connection.tls is not None
        connection.recv_exact(1)
        connection.tls.verify_client_post_handshake()
        connection.send(b"a")
        connection.recv_exact(1)
        subjects.append(connection.tls.getpeercert())
        connection.send(b"b")

    context = authority.wants_client_certificate()
    context.post_handshake_auth = True
    cert, key = authority.client("ann@example.org")
    server = scripted(handler, tls=context)

    with secured(server, TlsSettings(verify=ca_bundle, cert=(cert, key))) as stream:
        stream.send_all(b"x", SECONDS)
        if into:
            assert stream.receive_into(memoryview(bytearray(10)), SECONDS) == 1
        else:
            assert exactly(stream, 1) == b"a"
        stream.send_all(b"x", SECONDS)
        assert exactly(stream, 1) == b"b"

    assert "ann@example.org" in str(subjects)


class FakeTls:
    """A TLS object that wants to read before it writes, as when the server begins anew."""

    def __init__(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> None:
        self.incoming = incoming
        self.outgoing = outgoing

    def write(self, data: bytes) -> int:
        if not self.incoming.pending:
            self.outgoing.write(b"<handshake>")
            raise ssl.SSLWantReadError
        return self.outgoing.write(data)


class FakeStream:
    """A stream below that gives what it was given."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.sent = b""

    def send_all(self, data: bytes, timeout: float | None) -> None:
        self.sent += data

    def receive(self, most: int, timeout: float | None) -> bytes:
        return self.pieces.pop(0)


def faked(*pieces: bytes) -> tuple[TlsStream, FakeStream]:
    below: Any = FakeStream(*pieces)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    fake: Any = FakeTls(incoming, outgoing)
    return TlsStream(below, fake, incoming, outgoing), below


def test_a_handshake_that_comes_between_goes_first() -> None:
    stream, below = faked(b"<answer>")

    stream.send_all(b"data", SECONDS)

    assert below.sent == b"<handshake>data"


def test_an_end_in_the_midst_of_a_handshake_is_an_error() -> None:
    stream, below = faked(b"")

    with pytest.raises(ssl.SSLEOFError):
        stream.send_all(b"data", SECONDS)

    assert below.sent == b"<handshake>"
