"""Every case of the corpus, through a session and through ``reqkit_async.map``.

Either way ends as the case says. The connection is used again only where the case says so, and a
plain request through the same session gets the answer that is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.wire.h2.connection import Connection as Wire
from reqkit.wire.h2.frames import PREFACE
from servers.scripted import Connection, ScriptedServer

from .cases import Case, frame, load

CASES = load()
#: What a flood may take of a client.
MOST_FRAMES, MOST_BYTES = 10_000, 10_000_000

#: Bytes that are sent at a time, or a frame more.
LUMP = 32_768

Way = Callable[[reqkit.Session, str], reqkit.Response]

SETTINGS = frame(4, 0, 0, b"")


def by_session(session: reqkit.Session, url: str) -> reqkit.Response:
    response: reqkit.Response = session.get(url, prefetch=True)
    return response


def by_map(session: reqkit.Session, url: str) -> reqkit.Response:
    [response] = reqkit_async.map([reqkit_async.get(url, session=session)])
    assert isinstance(response, reqkit.Response)
    if response.error is not None:
        raise response.error
    return response


class Server:
    """Gives the first request a case's frames, and all others plain answers."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.began = False
        self.asked: list[int] = []

    def __call__(self, connection: Connection) -> None:
        if connection.recv_until(PREFACE) != PREFACE:
            return
        first = not self.began
        self.began = True
        if not (first and self.case.bare):
            connection.send(SETTINGS)
        while (number := self.request(connection)) is not None:
            self.asked.append(connection.number)
            if first:
                first = False
                for octets in self.lumps():
                    connection.send(octets)
                if self.case.closes:
                    connection.end()
                    connection.wait_closed()
                    return
            else:
                connection.send(frame(1, 4, number, b"\x88") + frame(0, 1, number, b"plain"))

    def lumps(self) -> Iterator[bytes]:
        """Yield what is sent at a time: what follows an answer is there when it was read."""
        lump = bytearray()
        for count, octets in self.case.sent:
            for _ in range(count):
                lump += octets
                if len(lump) >= LUMP:
                    yield bytes(lump)
                    lump.clear()
        yield bytes(lump)

    def request(self, connection: Connection) -> int | None:
        """Read frames up to a request's fields; return its stream, None at the connection's end."""
        while True:
            try:
                head = connection.recv_exact(9)
                connection.recv_exact(int.from_bytes(head[:3], "big"))
            except ConnectionError:
                return None
            if head[3] == 1:
                return int.from_bytes(head[5:], "big")


@pytest.mark.parametrize("way", [by_session, by_map], ids=["core", "async"])
@pytest.mark.parametrize("name", CASES)
def test_case(name: str, way: Way) -> None:
    case = CASES[name]
    script = Server(case)
    config = {"trust_env": False, "http2": "prior"}
    with ScriptedServer(script) as server, reqkit.Session(config=config) as session:
        url = server("/case")
        if case.error:
            with pytest.raises(reqkit.RequestException) as caught:
                way(session, url)
            error = caught.value
            kinds = [kind.__name__ for kind in type(error).__mro__]
            assert case.error in kinds, repr(error)
            assert [word for word in [url, *case.words] if word not in str(error)] == [], str(error)
        else:
            response = way(session, url)
            assert (response.status_code, response.content) == (case.status, case.body)
        plain = way(session, server("/plain"))
        assert (plain.status_code, plain.content) == (200, b"plain")
        if way is by_map:
            assert (script.asked[-1] == script.asked[0]) is case.kept
        server.wait_until(lambda server: server.connections_open <= 1)
        session.close()
        server.wait_for_no_connections()


@pytest.mark.parametrize("name", [name for name in CASES if not CASES[name].kept])
def test_what_it_takes_to_end_a_connection(name: str) -> None:
    case = CASES[name]
    wire = Wire()
    if not case.bare:
        wire.receive(SETTINGS)
    wire.open("GET", b"\x82", True)
    frames = size = 0
    for count, octets in case.sent:
        for _ in range(count):
            if wire.error is not None:
                break
            wire.receive(octets, frames / 10_000)
            frames += 1
            size += len(octets)
    if case.closes:
        wire.end()
    assert wire.error is not None
    assert frames <= MOST_FRAMES
    assert size <= MOST_BYTES
    assert wire.pending <= 1_000_000
    assert wire.streams == {}


@pytest.mark.parametrize("name", [name for name in CASES if not CASES[name].kept])
def test_the_streams_beside_it_end_too(name: str) -> None:
    """Whatever it is that ends a connection: none of those on it is left without an end."""
    case = CASES[name]
    wire = Wire()
    if not case.bare:
        wire.receive(SETTINGS)
    streams = [wire.open("GET", b"\x82", ends) for ends in (True, True, False, True)]
    wire.take()
    # One has begun its answer by then, and one has come to its end.
    begun = b"" if case.bare else frame(1, 4, 3, b"\x88") + frame(1, 5, 7, b"\x89")
    stirred = wire.receive(begun)
    for count, octets in case.sent:
        for _ in range(count):
            if wire.error is None:
                stirred += wire.receive(octets, 1.0)
    stirred += wire.end()
    assert wire.streams == {}
    assert wire.open("GET", b"\x82", True) is None
    for stream in streams:
        assert stream is not None
        assert stream in stirred
        assert stream.ended or stream.error is not None
    if not case.bare and wire.error is not None:
        assert streams[-1] is not None
        assert streams[-1].ended
        assert streams[-1].error is None


def test_settings_by_the_thousand_are_not_paid_for_by_each_stream() -> None:
    """A frame of 2,730 settings takes the streams that are open once, and what it says last."""
    wire = Wire()
    wire.receive(SETTINGS + frame(4, 0, 0, b"\0\3\0\0\xff\xff"))
    touched = 0

    class Counted(int):
        def __add__(self, other: int) -> Counted:
            nonlocal touched
            touched += 1
            return Counted(int(self) + other)

    streams: list[Any] = [wire.open("POST", b"\x83", False) for _ in range(100)]
    for stream in streams:
        stream.window = Counted(stream.window)
    wire.receive(frame(4, 0, 0, (b"\0\4\0\0\0\0" + b"\0\4\0\0\0\x09") * 1365))
    assert wire.error is None
    assert {stream.window for stream in streams} == {9}
    assert touched == 100


def test_an_error_never_shows_what_a_server_sent_in_a_cookie() -> None:
    def handler(connection: Connection) -> None:
        connection.recv_until(PREFACE)
        connection.send(SETTINGS)
        Server(Case("")).request(connection)
        block = b"\x88\x0f\x28\x07se\x00cret"
        connection.send(frame(1, 5, 1, block))
        Server(Case("")).request(connection)

    with ScriptedServer(handler) as server:
        [response] = reqkit_async.map([reqkit_async.get(server(), config={"http2": "prior"})])
        error: Any = response.error
        assert "NUL" in str(error)
        assert "cret" not in str(error)
