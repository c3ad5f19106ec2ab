"""The channel: who is listened to, and what is believed."""

from __future__ import annotations

import contextlib
import pickle
import socket
import struct
from collections.abc import Iterator
from typing import Any

import gevent
import gevent.socket
import pytest

from reqkit_async.cluster.channel import Channel, Listener, connect
from reqkit_async.cluster.frames import Framer, Greeting, NotOurs
from reqkit_async.cluster.task import Ticket, serve

KEY = b"k" * 32


def pair(signed: bool, key: bytes = KEY, other: bytes = KEY) -> tuple[Framer, Framer]:
    caller, worker = Greeting(key), Greeting(other)
    worker.check(caller.confirm(worker.answer(caller.challenge())))
    return caller.framer(True, signed), worker.framer(False, signed)


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_frames_come_as_they_were_sent_however_they_are_cut(signed: bool, step: int) -> None:
    payloads = [b"", b"a", b"b" * 1000, b"c" * 70_000, b"end"]
    for one, other in (pair(signed), pair(signed)[::-1]):
        data = b"".join(one.pack(payload) for payload in payloads)
        got = []
        for at in range(0, len(data), step):
            got += other.feed(data[at : at + step])
        assert got == payloads


def test_a_stranger_is_noticed_by_either_side() -> None:
    with pytest.raises(NotOurs, match="a worker that does not know"):
        pair(True, KEY, b"x" * 32)
    caller, worker = Greeting(KEY), Greeting(KEY)
    worker.answer(caller.challenge())
    with pytest.raises(NotOurs, match="a caller that does not know"):
        worker.check(b"x" * Greeting.CONFIRMATION)
    with pytest.raises(NotOurs, match="no batch"):
        worker.answer(b"HTTP/1.1 400 Bad Request\r\n".ljust(Greeting.CHALLENGE))


def test_an_answer_serves_no_other_challenge() -> None:
    first, second, worker = Greeting(KEY), Greeting(KEY), Greeting(KEY)
    reply = worker.answer(first.challenge())
    with pytest.raises(NotOurs):
        second.confirm(reply)
    # Nor does a caller's word back to it pass for a worker's.
    with pytest.raises(NotOurs):
        Greeting(KEY).confirm(first.challenge()[-32:] + first.confirm(reply))


@pytest.mark.parametrize("change", ["flipped", "twice", "left out", "back", "length"])
def test_signed_frames_are_believed_only_as_they_were_sent(change: str) -> None:
    one, other = pair(True)
    first, second = one.pack(b"first"), one.pack(b"second")
    data = {
        "flipped": first[:-1] + b"x",
        "twice": first + first,
        "left out": second,
        "back": other.pack(b"first"),
        "length": struct.pack(">Q", 1 << 41) + first[8:],
    }[change]
    with pytest.raises(NotOurs):
        list(other.feed(data))


# -- on sockets


class Bomb:
    """Unpickling it is seen."""

    exploded = False

    def __reduce__(self) -> Any:
        return _explode, ()


def _explode() -> None:
    Bomb.exploded = True


@contextlib.contextmanager
def listening(toward: str | None) -> Iterator[tuple[Listener, list[Channel]]]:
    met: list[Channel] = []
    listener = Listener(KEY, toward, met.append)
    listener.start()
    try:
        yield listener, met
    finally:
        listener.close()
        for channel in met:
            channel.close()


def reach(address: tuple[Any, ...]) -> Any:
    if address[0] == "unix":
        sock = gevent.socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.connect(address[1])
        return sock
    return gevent.socket.create_connection(address[1:])


@pytest.mark.parametrize("toward", [None, "127.0.0.1"], ids=["local", "network"])
def test_strangers_get_nothing_and_nothing_of_theirs_is_unpickled(toward: str | None) -> None:
    with listening(toward) as (listener, met):
        framer = Framer()
        for address in listener.addresses:
            for reply in (
                framer.pack(pickle.dumps([Bomb()])),
                b"x" * Greeting.ANSWER + framer.pack(pickle.dumps([Bomb()])),
                b"",
            ):
                with contextlib.closing(reach(address)) as sock:
                    sock.sendall(reply.ljust(Greeting.ANSWER, b"x"))
                    got = b""
                    with contextlib.suppress(ConnectionError):
                        while piece := sock.recv(1000):
                            got += piece
                    # The challenge, and then the end.
                    assert len(got) <= Greeting.CHALLENGE
        gevent.sleep(0)
        assert met == []
        assert not Bomb.exploded
        assert connect(listener.addresses, b"wrong" * 6) is None


@pytest.mark.parametrize("toward", [None, "127.0.0.1"], ids=["local", "network"])
def test_silent_strangers_keep_no_worker_out_and_go_with_the_run(toward: str | None) -> None:
    with listening(toward) as (listener, met), contextlib.ExitStack() as stack:
        address = listener.addresses[-1]
        strangers = [stack.enter_context(contextlib.closing(reach(address))) for _ in range(100)]
        # The last ones get the challenge, and nothing more; the first ones had to go.
        assert len(strangers[-1].recv(1000)) == Greeting.CHALLENGE
        channel = connect([address], KEY)
        assert channel is not None
        while not met:
            gevent.sleep(0.001)
        channel.close()
        listener.close()
        for stranger in strangers:
            received = 0
            with contextlib.suppress(ConnectionError):
                while piece := stranger.recv(1000):
                    received += len(piece)
            assert received <= Greeting.CHALLENGE


@pytest.mark.parametrize("toward", [None, "127.0.0.1"], ids=["local", "network"])
def test_messages_go_both_ways(toward: str | None) -> None:
    with listening(toward) as (listener, met):
        for address in listener.addresses:
            met.clear()
            channel = connect([address], KEY)
            assert channel is not None
            while not met:
                gevent.sleep(0.001)
            assert channel.local == (address[0] == "unix")
            large = b"x" * 5_000_000
            for one, other in ((channel, met[0]), (met[0], channel)):
                for number in range(100):
                    one.post(("number", number))
                one.post(("large", large))
                one.post(("end",))
                got: list[Any] = []
                for messages in other.receive():
                    got += messages
                    if got[-1] == ("end",):
                        break
                assert got == [*(("number", number) for number in range(100)), ("large", large),
                               ("end",)]  # fmt: skip
            channel.close()
            assert list(met[0].receive()) == []  # the other side is gone
            met[0].close()


def test_an_interrupt_while_a_frame_is_sent_ends_its_channel() -> None:
    """It may hit the hub, where nobody would learn of it; and what was sent, nobody knows."""
    with listening(None) as (listener, met):
        channel = connect(listener.addresses, KEY)
        assert channel is not None
        while not met:
            gevent.sleep(0.001)
        seen: list[BaseException] = []

        def interrupted() -> None:
            raise KeyboardInterrupt

        met[0].on_interrupt = seen.append
        met[0].before_sending = interrupted
        met[0].post(("lost",))
        assert list(channel.receive()) == []
        assert [type(error) for error in seen] == [KeyboardInterrupt]
        channel.close()


def test_who_comes_too_late_is_done_at_once() -> None:
    with listening("127.0.0.1") as (listener, _):
        addresses = listener.addresses
    ticket = Ticket(addresses, KEY)
    assert "kkk" not in repr(ticket)
    serve(ticket)
