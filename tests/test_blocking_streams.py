"""Streams on the standard library's sockets: what is sent and received, and the limits of waits."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Iterator

import pytest

from reqkit.blocking import KernelTimedStream, StdlibStream, stream_on

#: Seconds; of what is expected to happen, and of what is expected not to.
LIMIT = 20.0
SHORT = 0.02

Pair = tuple[StdlibStream, socket.socket]

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere Python keeps the limits")


@pytest.fixture(params=[StdlibStream, pytest.param(KernelTimedStream, marks=linux)])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    theirs.settimeout(LIMIT)
    stream: StdlibStream = request.param(ours)
    try:
        yield stream, theirs
    finally:
        stream.close()
        theirs.close()


@linux
def test_the_kernel_keeps_the_limits_of_plain_sockets() -> None:
    class Other(socket.socket):
        pass

    with socket.socket() as plain, Other() as other:
        assert type(stream_on(plain)) is KernelTimedStream
        assert plain.gettimeout() is None  # which polls before each call, else
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


@linux
def test_limits_that_the_kernel_knows_otherwise() -> None:
    ours, theirs = socket.socketpair()
    stream = KernelTimedStream(ours)
    with theirs:
        with pytest.raises(TimeoutError):
            stream.receive(1, 0.0)  # which is no limit to it
        for limit in (1e12, float("inf")):
            theirs.send(b"x")
            assert stream.receive(1, limit) == b"x"
    stream.close()


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
