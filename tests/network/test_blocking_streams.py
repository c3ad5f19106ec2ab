"""Streams on the standard library's sockets: what is sent and received, and the limits of waits."""

from __future__ import annotations

import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from reqkit.network.streams import PolledStream, StdlibStream, stream_on

#: Seconds; of what is expected to happen, and of what is expected not to.
LIMIT = 30.0
SHORT = 0.02

Pair = tuple[StdlibStream, socket.socket]


@pytest.fixture(params=[StdlibStream, PolledStream])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(LIMIT)
    stream: StdlibStream = request.param(ours)
    try:
        yield stream, theirs
    finally:
        stream.close()
        theirs.close()


def test_plain_sockets_are_polled_where_there_is_need() -> None:
    class Other(socket.socket):
        pass

    with socket.socket() as plain, Other() as other:
        assert type(stream_on(plain)) is PolledStream
        assert plain.gettimeout() == 0.0
        assert type(stream_on(other)) is StdlibStream


def test_what_is_there_is_received(pair: Pair) -> None:
    stream, peer = pair
    for limit in (None, 5, 0.5, 5):
        peer.send(b"piece")
        assert stream.receive(3, limit) == b"pie"
        buffer = bytearray(9)
        assert stream.receive_into(memoryview(buffer), limit) == 2
        assert buffer[:2] == b"ce"
    peer.close()
    assert stream.receive_next(3, LIMIT) == b""


@pytest.mark.parametrize("limit", [SHORT, 1e-7])
def test_a_limit_ends_a_wait(pair: Pair, limit: float) -> None:
    stream, peer = pair
    for _ in range(2):
        with pytest.raises(TimeoutError):
            stream.receive(1, limit)
        with pytest.raises(TimeoutError):
            stream.receive_into(memoryview(bytearray(1)), limit)
    # And is over with it.
    late = threading.Timer(5 * SHORT, peer.send, [b"late"])
    late.start()
    assert stream.receive(9, None) == b"late"
    late.join()


def test_a_limit_of_nothing_is_not_to_wait() -> None:
    ours, theirs = socket.socketpair()
    stream = PolledStream(ours)
    with theirs:
        with pytest.raises(TimeoutError):
            stream.receive(1, 0.0)
        theirs.send(b"x")
        assert stream.receive(1, 0.0) == b"x"
    stream.close()


@pytest.mark.parametrize("limit", [86400.0 * 30, 1e10, 1e300, float("inf")])
def test_a_limit_may_be_longer_than_the_system_knows(pair: Pair, limit: float) -> None:
    stream, peer = pair
    late = threading.Timer(SHORT, peer.sendall, [b"late"])
    late.start()
    assert stream.receive_next(9, limit) == b"late"
    late.join()

    def take() -> None:
        left = 5_000_000
        while left:
            left -= len(peer.recv(left))

    taking = threading.Thread(target=take)
    taking.start()
    stream.send_all(bytes(5_000_000), limit)
    taking.join()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="POSIX has it")
@pytest.mark.parametrize("way", ["receive", "receive_next", "receive_into", "send_all"])
def test_signals_do_not_extend_a_limit(way: str, pair: Pair) -> None:
    stream, _ = pair
    rang: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda *about: rang.append(1))
    signal.setitimer(signal.ITIMER_REAL, SHORT, SHORT)
    try:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            if way == "send_all":
                stream.send_all(bytes(10_000_000), 10 * SHORT)
            elif way == "receive_into":
                stream.receive_into(memoryview(bytearray(1)), 10 * SHORT)
            else:
                getattr(stream, way)(1, 10 * SHORT)
        assert time.monotonic() - began < LIMIT
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(rang) > 1


def test_much_is_sent_as_it_is_taken(pair: Pair) -> None:
    stream, peer = pair
    data = bytes(range(256)) * 20_000
    taken = bytearray()

    def take() -> None:
        while piece := peer.recv(100_000):
            taken.extend(piece)

    taking = threading.Thread(target=take)
    taking.start()
    stream.send_all(data, LIMIT)
    stream.send_all(memoryview(data), None)
    stream.close()
    taking.join()
    assert taken == data * 2


def test_what_nobody_takes_ends_at_the_limit(pair: Pair) -> None:
    stream, peer = pair
    with pytest.raises(TimeoutError):
        stream.send_all(bytes(10_000_000), SHORT)
    with pytest.raises(TimeoutError):
        stream.send_all(b"more", SHORT)
    # A limit on sending is none on receiving.
    peer.send(b"x")
    assert stream.receive(1, None) == b"x"


def test_a_peer_that_has_gone(pair: Pair) -> None:
    stream, peer = pair
    peer.close()
    with pytest.raises(BrokenPipeError):
        stream.send_all(b"x", LIMIT)
    with pytest.raises(BrokenPipeError):
        stream.send_all(bytes(10_000_000), LIMIT)
    assert stream.is_readable()
    stream.close()
    stream.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        stream.receive(1, LIMIT)


def test_a_peer_that_goes_while_it_is_sent_to(pair: Pair) -> None:
    stream, peer = pair
    leaving = threading.Thread(target=lambda: (peer.recv(10), peer.close()))
    leaving.start()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        stream.send_all(bytes(10_000_000), LIMIT)
    leaving.join()
