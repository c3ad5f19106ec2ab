"""HTTP/2 from outside: whole requests, to servers that record what they were asked, and how."""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import h2.errors
import h2.settings
import pytest

import reqkit
import reqkit_async
from reqkit.exceptions import ChunkedEncodingError, ReadTimeout, TotalTimeout
from reqkit.wire.h2.frames import PREFACE, frame
from servers.http2 import Http2Server, Request, echo
from servers.proxies import Proxy
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority
from servers.waiting import until

Start = Callable[..., Http2Server]
Codes = h2.errors.ErrorCodes
Limits = h2.settings.SettingCodes


@pytest.fixture
def start(authority: Authority) -> Iterator[Start]:
    """Start servers of HTTP/2 over TLS."""
    with ExitStack() as stack:

        def begin(handler: Callable[[Request], Any] = echo, **options: Any) -> Http2Server:
            options.setdefault("tls", authority.server())
            return stack.enter_context(Http2Server(handler, **options))

        yield begin


@pytest.fixture
def session(ca_bundle: str) -> Iterator[reqkit.Session]:
    with reqkit.Session(verify=ca_bundle) as made:
        yield made


@pytest.fixture
def blocking(ca_bundle: str) -> Iterator[reqkit.Session]:
    """A session for blocking code that asks for HTTP/2."""
    with reqkit.Session(verify=ca_bundle, config={"http2": True}) as made:
        yield made


def batch(session: reqkit.Session, urls: list[str], size: int = 50, **keywords: Any) -> list[Any]:
    requests = [reqkit_async.get(url, session=session, **keywords) for url in urls]
    return list(reqkit_async.map(requests, size=size))


def errors(responses: list[Any]) -> list[Any]:
    return [response.error for response in responses if response.error is not None]


class Gate:
    """Holds handlers back until it is opened."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def __call__(self, request: Request) -> None:
        assert self.event.wait(20)
        echo(request)


# -- one connection for many


def test_a_cold_origin_has_one_handshake(start: Start, session: reqkit.Session) -> None:
    server = start()
    responses = batch(session, [server(f"/{number}") for number in range(50)])
    assert errors(responses) == []
    assert [response.text for response in responses] == [f"GET /{number}" for number in range(50)]
    assert {response.version for response in responses} == {20}
    assert len(server.peers) == 1
    opened = [response for response in responses if response.timings["connect"] is not None]
    assert len(opened) == 1


def test_streams_are_served_at_once(start: Start, session: reqkit.Session) -> None:
    barrier = threading.Barrier(50)

    def handler(request: Request) -> None:
        barrier.wait(20)
        echo(request)

    server = start(handler)
    assert errors(batch(session, [server()] * 50)) == []
    assert len(server.peers) == 1


def test_a_connection_is_kept_from_batch_to_batch(start: Start, session: reqkit.Session) -> None:
    server = start()
    for _ in range(3):
        assert errors(batch(session, [server()] * 5)) == []
        gevent.sleep(0)
    assert len(server.peers) == 1


def test_the_server_s_limit_of_streams_is_kept(start: Start, session: reqkit.Session) -> None:
    server = start(settings={"MAX_CONCURRENT_STREAMS": 5})
    assert errors(batch(session, [server()])) == []
    assert errors(batch(session, [server(f"/{number}") for number in range(40)], size=20)) == []
    assert server.faults == []
    assert 1 < len(server.peers) <= 8
    assert sorted(request.path for request in server.requests[1:]) == sorted(
        f"/{number}" for number in range(40)
    )


def test_a_server_that_takes_no_streams_for_a_while(
    start: Start, session: reqkit.Session, blocking: reqkit.Session
) -> None:
    """RFC 9113 section 6.5.2: what it said so over is left alone, and others are opened."""
    server = start(settings={"MAX_CONCURRENT_STREAMS": 0}, forgiving=True)
    for _ in range(2):
        requests = [reqkit_async.post(server(), data=b"x", session=session) for _ in range(20)]
        responses = reqkit_async.map(requests, size=10)
        assert errors(responses) == []
        assert {response.version for response in responses} == {20}
    for _ in range(3):
        assert blocking.post(server(), data=b"x").text == "x"
    assert len(server.requests) == 43
    # Once it takes some, they share again.
    server.settings = {Limits.MAX_CONCURRENT_STREAMS: 100}
    assert errors(batch(session, [server()])) == []
    before = len(server.peers)
    assert errors(batch(session, [server()] * 20)) == []
    assert len(server.peers) == before


def test_a_limit_of_streams_that_changes_midway(start: Start, session: reqkit.Session) -> None:
    changes = {10: 1, 60: 1000}

    def handler(request: Request) -> None:
        most = changes.get(int(request.path[1:]))
        if most is not None:
            with request.peer.sending() as connection:
                connection.update_settings({Limits.MAX_CONCURRENT_STREAMS: most})
        echo(request)

    server = start(handler, settings={"MAX_CONCURRENT_STREAMS": 90})
    assert errors(batch(session, [server("/0")])) == []
    urls = [server(f"/{number}") for number in range(1, 150)]
    responses = batch(session, urls, size=30)
    assert errors(responses) == []
    assert [response.text for response in responses] == [f"GET /{n}" for n in range(1, 150)]


@pytest.mark.parametrize("kind", ["bytes", "stream"])
@pytest.mark.parametrize("blocks", [True, False])
def test_windows_that_change_amid_an_upload(kind: str, blocks: bool) -> None:
    """From nothing, up, down below nothing, and up again: not a byte more comes than may."""
    body = bytes(range(256)) * 200
    #: What is sent at each step, and how many bytes of the body may have come then.
    steps = [
        (size_of_windows(10), 10),
        (size_of_windows(3) + size_of_windows(20), 20),
        (size_of_windows(0) + frame(8, 0, 3, bytes((0, 0, 0, 25))), 25),
        (size_of_windows(70_000), len(body)),
    ]
    came = bytearray()

    def handler(connection: Connection) -> None:
        connection.recv_until(PREFACE)
        # Before these settings have come, a client may send more.
        connection.send(size_of_windows(0))
        sent, ended = 0, False
        while not ended:
            head = connection.recv_exact(9)
            payload = connection.recv_exact(int.from_bytes(head[:3], "big"))
            number = int.from_bytes(head[5:], "big")
            if (head[3], number) == (1, 1):
                connection.send(frame(1, 5, 1, b"\x89"))
            elif head[3] == 0:
                came.extend(payload)
                ended = bool(head[4] & 1)
            before = steps[sent - 1][1] if sent else 0
            if number == 3 and sent < len(steps) and len(came) >= before:
                assert len(came) == before
                connection.send(steps[sent][0])
                sent += 1
        connection.send(frame(1, 5, 3, b"\x89"))
        connection.wait_closed()

    data: Any = body
    if kind == "stream":
        data = (body[start : start + 999] for start in range(0, len(body), 999))
    with ScriptedServer(handler) as server, reqkit.Session(config={"http2": "prior"}) as session:
        if blocks:
            assert session.get(server()).status_code == 204
            assert session.post(server(), data=data).status_code == 204
        else:
            assert errors(batch(session, [server()])) == []
            request = reqkit_async.post(server(), data=data, session=session)
            [response] = reqkit_async.map([request])
            assert (response.error, response.status_code) == (None, 204)
    assert bytes(came) == body


def size_of_windows(size: int) -> bytes:
    """Return the settings that say how large the windows of streams are."""
    return frame(4, 0, 0, b"\0\4" + size.to_bytes(4, "big"))


def test_origins_and_settings_have_connections_of_their_own(
    start: Start, session: reqkit.Session
) -> None:
    server, other = start(), start()
    batch(session, [server(), other()])
    batch(session, [server()], verify=False)
    assert (len(server.peers), len(other.peers)) == (2, 1)


def test_servers_without_it_are_spoken_to_as_ever(
    echo_secure: ScriptedServer, session: reqkit.Session
) -> None:
    responses = batch(session, [echo_secure("/x")] * 20)
    assert errors(responses) == []
    assert {response.version for response in responses} == {11}


def test_http2_false_is_heeded(start: Start, ca_bundle: str) -> None:
    # The server speaks nothing else, whatever was agreed on.
    server = start(forgiving=True)
    with reqkit.Session(verify=ca_bundle, config={"http2": False}) as session:
        assert len(errors(batch(session, [server()], timeout=20))) == 1
    assert server.requests == []


def test_blocking_code_has_it_off(echo_secure: ScriptedServer, ca_bundle: str) -> None:
    assert reqkit.get(echo_secure(), verify=ca_bundle).version == 11


def test_without_tls_by_prior_knowledge() -> None:
    with Http2Server() as server:
        config = {"http2": "prior"}
        assert reqkit.get(server("/a"), config=config).version == 20
        [response] = reqkit_async.map([reqkit_async.get(server("/b"), config=config)])
        assert (response.version, response.text) == (20, "GET /b")


@pytest.mark.parametrize("allow", [None, lambda address: True])
def test_prior_knowledge_is_of_its_call_alone(allow: Any) -> None:
    with Http2Server(forgiving=True) as server, reqkit.Session(allow_address=allow) as session:
        assert session.get(server("/a"), config={"http2": "prior"}).version == 20
        with pytest.raises(reqkit.ConnectionError):
            session.get(server("/b"), config={"http2": False})


def test_prior_knowledge_that_is_wrong_is_said(echo: ScriptedServer) -> None:
    with pytest.raises(reqkit.exceptions.ProtocolError, match=r"HTTP/1\.1 and not HTTP/2"):
        reqkit.get(echo(), config={"http2": "prior"})


def test_connection_close_goes_by_http_1(ca_bundle: str, echo_secure: ScriptedServer) -> None:
    [response] = reqkit_async.map(
        [reqkit_async.get(echo_secure(), verify=ca_bundle, config={"keep_alive": False})]
    )
    assert response.version == 11


# -- what goes out


def test_the_fields_that_go_out(start: Start, session: reqkit.Session) -> None:
    server = start()
    batch(
        session,
        [server("/a?b=c")],
        headers={"X-Odd": "y", "Host": "named.test", "Cookie": "a=b", "Connection": "x-hop",
                 "X-Hop": "z"},
        auth=("user", "secret"),
    )  # fmt: skip
    [request] = server.requests
    names = [name for name, _ in request.fields]
    assert names[:4] == [":method", ":scheme", ":authority", ":path"]
    assert request.get(":authority") == "named.test"
    assert request.get(":scheme") == "https"
    assert request.path == "/a?b=c"
    assert request.get("x-odd") == "y"
    assert {"connection", "host", "x-hop", "transfer-encoding"}.isdisjoint(names)
    assert request.never == {"cookie", "authorization"}


@pytest.mark.parametrize("kind", ["bytes", "stream", "large", "empty"])
@pytest.mark.parametrize("blocks", [True, False])
def test_uploads(start: Start, ca_bundle: str, kind: str, blocks: bool) -> None:
    server = start()
    body = {"bytes": b"abc", "stream": b"x" * 150_000, "large": bytes(500_000), "empty": b""}[kind]
    data: Any = body
    if kind == "stream":
        data = (body[at : at + 1000] for at in range(0, len(body), 1000))
    if blocks:
        response = reqkit.post(server(), data=data, verify=ca_bundle, config={"http2": True})
    else:
        [response] = reqkit_async.map([reqkit_async.post(server(), data=data, verify=ca_bundle)])
    assert response.error is None
    assert response.content == (body or b"POST /")
    [request] = server.requests
    assert request.get("transfer-encoding") is None
    assert request.get("content-length") == (None if kind == "stream" else str(len(body)))


@pytest.mark.parametrize("blocks", [True, False])
@pytest.mark.parametrize(
    ("change", "sent"),
    [
        ({"headers": {"Content-Length": "1"}}, b"abc"),
        ({"headers": {"Content-Length": "99"}}, b"abc"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, b"abc"),
        ({"body": b"other"}, b"other"),
        ({"body": None}, b""),
        ({"body": None, "headers": {"Content-Length": "5"}}, b""),
    ],
)
def test_a_message_changed_by_a_hook(
    start: Start, ca_bundle: str, change: Any, sent: bytes, blocks: bool
) -> None:
    """A length that does not fit is smuggled on where somebody passes it on as HTTP/1.1."""

    def hook(prepared: reqkit.PreparedRequest) -> None:
        prepared.headers.update(change.get("headers", {}))
        prepared.body = change.get("body", prepared.body)

    server = start()
    keywords: Any = {"data": b"abc", "verify": ca_bundle, "hooks": {"pre_request": hook}}
    if blocks:
        response = reqkit.post(server(), config={"http2": True}, **keywords)
    else:
        [response] = reqkit_async.map([reqkit_async.post(server(), **keywords)])
    assert response.error is None
    [request] = server.requests
    assert bytes(request.body) == sent
    assert request.get("content-length") in (str(len(sent)), None)
    assert request.get("transfer-encoding") is None


def test_uploads_share_a_connection(start: Start, session: reqkit.Session) -> None:
    server = start()
    bodies = [bytes([number]) * 200_000 for number in range(10)]
    requests = [reqkit_async.post(server(), data=body, session=session) for body in bodies]
    assert [response.content for response in reqkit_async.map(requests)] == bodies
    assert len(server.peers) == 1


@pytest.mark.parametrize("blocks", [True, False])
def test_an_answer_before_the_upload_s_end(start: Start, ca_bundle: str, blocks: bool) -> None:
    def handler(request: Request) -> None:
        request.wait(lambda request: request.body)
        request.answer(b"too large", 413)
        request.end(Codes.NO_ERROR)

    server = start(handler, gives_back=False)
    body = bytes(1_000_000)
    if blocks:
        response = reqkit.post(server(), data=body, verify=ca_bundle, config={"http2": True})
    else:
        [response] = reqkit_async.map([reqkit_async.post(server(), data=body, verify=ca_bundle)])
    assert response.error is None
    assert (response.status_code, response.text) == (413, "too large")


def test_a_body_sent_twice_is_rewound(start: Start, session: reqkit.Session) -> None:
    def handler(request: Request) -> None:
        request.read()
        if request.path == "/a":
            request.answer(b"", 307, {"location": "/b"})
        else:
            echo(request)

    server = start(handler)
    [response] = reqkit_async.map([reqkit_async.post(server("/a"), data=b"abc", session=session)])
    assert (response.text, len(response.history)) == ("abc", 1)
    assert len(server.peers) == 1


# -- what stops, stops alone


def test_streams_that_are_stopped_cost_themselves_alone(
    start: Start, session: reqkit.Session
) -> None:
    gate = Gate()

    def handler(request: Request) -> None:
        if request.path == "/slow":
            request.wait(lambda request: request.reset is not None)
        else:
            echo(request)

    server = start(handler)
    slow = [
        reqkit_async.send(reqkit_async.get(server("/slow"), session=session)) for _ in range(20)
    ]
    until(lambda: len(server.requests) == 20)
    gevent.killall(slow)
    assert errors(batch(session, [server()] * 20)) == []
    assert len(server.peers) == 1
    server.wait_until(lambda server: len(server.resets) == 20 or gevent.sleep(0))
    assert set(server.resets) == {Codes.CANCEL}
    gate.event.set()


def test_a_timeout_is_of_one_stream(start: Start, session: reqkit.Session) -> None:
    def handler(request: Request) -> None:
        if request.path == "/slow":
            request.wait(lambda request: request.reset is not None)
        else:
            echo(request)

    server = start(handler)
    slow = reqkit_async.get(server("/slow"), session=session, timeout=(10, 0.3))
    quick = [reqkit_async.get(server(), session=session) for _ in range(5)]
    responses = reqkit_async.map([slow, *quick])
    assert isinstance(responses[0].error, ReadTimeout)
    assert errors(responses[1:]) == []
    total = reqkit_async.get(server("/slow"), session=session, timeout=reqkit.Timeouts(total=0.3))
    [response] = reqkit_async.map([total])
    assert isinstance(response.error, TotalTimeout)
    assert response.error.phase == "wait"
    assert errors(batch(session, [server()])) == []


@pytest.mark.parametrize("blocks", [True, False], ids=["blocking", "greenlets"])
@pytest.mark.parametrize("part", ["head", "body"])
def test_a_frame_that_comes_slowly_is_no_silence(part: str, blocks: bool) -> None:
    """As on HTTP/1.1, where bytes that come extend a read's limit."""

    def handler(connection: Connection) -> None:
        connection.recv_until(PREFACE)
        connection.send(frame(4, 0, 0))
        if part == "head":
            slow = frame(1, 5, 1, b"\x88" + 5 * b"\0\1x\1y")
        else:
            connection.send(frame(1, 4, 1, b"\x88"))
            slow = frame(0, 1, 1, 20 * b"x")
        step = len(slow) // 4 + 1
        for at in range(0, len(slow), step):
            connection.pause(0.3)
            connection.send(slow[at : at + step])
        connection.wait_closed()

    with ScriptedServer(handler) as server, reqkit.Session(config={"http2": "prior"}) as session:
        request = reqkit_async.get(server(), session=session, timeout=(10, 1.0))
        if blocks:
            assert session.get(server(), timeout=(10, 1.0), prefetch=True).ok
        else:
            [response] = reqkit_async.map([request])
            assert response.error is None


@pytest.mark.parametrize("blocks", [True, False], ids=["blocking", "greenlets"])
def test_pings_alone_are_silence(blocks: bool) -> None:
    left = threading.Event()

    def handler(connection: Connection) -> None:
        connection.recv_until(PREFACE)
        connection.send(frame(4, 0, 0))
        with contextlib.suppress(OSError):
            while not left.is_set():
                connection.send(frame(6, 0, 0, b"12345678"))
                connection.pause(0.05)

    with ScriptedServer(handler) as server, reqkit.Session(config={"http2": "prior"}) as session:
        if blocks:
            with pytest.raises(ReadTimeout):
                session.get(server(), timeout=(10, 0.4))
        else:
            request = reqkit_async.get(server(), session=session, timeout=(10, 0.4))
            assert isinstance(reqkit_async.map([request])[0].error, ReadTimeout)
        left.set()


def test_a_silent_connection_is_not_used_again(start: Start, session: reqkit.Session) -> None:
    released = threading.Event()

    def handler(request: Request) -> None:
        if request.path == "/silent":
            released.wait(20)
        echo(request)

    server = start(handler)
    assert errors(batch(session, [server("/warm")])) == []
    [response] = batch(session, [server("/silent")], timeout=(10, 0.2))
    assert isinstance(response.error, ReadTimeout)
    assert errors(batch(session, [server("/other")])) == []
    assert len(server.peers) == 2
    released.set()


def test_an_unread_body_holds_back_nobody(start: Start, session: reqkit.Session) -> None:
    def handler(request: Request) -> None:
        request.answer(bytes(300_000) if request.path == "/large" else b"ok")

    server = start(handler)
    requests = [reqkit_async.get(server("/large"), session=session) for _ in range(10)]
    unread = reqkit_async.map(requests, prefetch=False)
    assert errors(unread) == []
    assert [response.text for response in batch(session, [server()] * 20)] == ["ok"] * 20
    assert len(server.peers) == 1
    assert server.peers[0].windows.get(1, 0) == 0  # nothing of a body that nobody reads
    assert len(unread[0].content) == 300_000
    unread[1].close()
    assert sum(map(len, unread[2].iter_content(1000))) == 300_000
    del unread, requests
    gc.collect()
    assert errors(batch(session, [server()])) == []
    server.wait_until(lambda server: len(server.resets) == 8 or gevent.sleep(0))
    assert len(server.peers) == 1


class Endless:
    """Answers ``/endless`` until the client has had enough, and tells when that was."""

    def __call__(self, request: Request) -> None:
        if request.path == "/endless":
            request.head()
            while True:
                request.data(bytes(10_000))  # raises when the stream is reset
        elif request.path == "/silent":
            request.wait(lambda request: request.reset is not None)
        else:
            request.answer(b"ok")


@pytest.mark.parametrize("end", ["close", "drop", "leave the loop", "leave the block"])
def test_an_unread_body_in_blocking_code_costs_its_stream(
    start: Start, blocking: reqkit.Session, end: str
) -> None:
    server = start(Endless())
    for number in range(1, 31):
        response = blocking.get(server("/endless"), stream=True)
        if end == "close":
            response.close()
        elif end == "leave the loop":
            for piece in response.iter_content(100_000):
                assert len(piece) == 100_000
                break
            del piece
        elif end == "leave the block":
            with response:
                assert response.raw.read(5) == bytes(5)
        del response
        server.wait_until(lambda server, number=number: len(server.resets) == number)
        assert blocking.get(server()).text == "ok"
    assert len(server.peers) == 1
    assert set(server.resets) == {Codes.CANCEL}


def test_a_timeout_in_blocking_code(start: Start, blocking: reqkit.Session) -> None:
    server = start(Endless())
    assert blocking.get(server()).text == "ok"
    # Nothing at all has come: the connection may be dead.
    with pytest.raises(ReadTimeout):
        blocking.get(server("/silent"), timeout=(10, 0.2))
    assert blocking.get(server()).text == "ok"
    assert len(server.peers) == 2
    # The server is there, and the answer takes too long as a whole.
    with pytest.raises(TotalTimeout):
        blocking.get(server("/endless"), timeout=reqkit.Timeouts(total=1), prefetch=True)
    assert blocking.get(server()).text == "ok"
    assert len(server.peers) == 2
    server.wait_until(lambda server: len(server.resets) == 1)


def test_a_body_closed_while_it_is_read_in_blocking_code(
    start: Start, blocking: reqkit.Session
) -> None:
    """As another thread does it: nobody else gets a connection that bytes may be lost of."""
    server = start(Endless())
    response = blocking.get(server("/endless"), stream=True)
    connection = response._source._connection._connection
    stream = connection.stream

    class Closing:
        def __getattr__(self, name: str) -> Any:
            if name == "receive_next":
                response.close()
            return getattr(stream, name)

    connection.stream = Closing()
    with pytest.raises(reqkit.RequestException):
        while response.raw.read(100_000):
            pass
    assert blocking.get(server()).text == "ok"
    assert len(server.peers) == 2


def test_a_prefetched_body_has_a_wide_window(start: Start, session: reqkit.Session) -> None:
    server = start(lambda request: request.answer(bytes(2_000_000)))
    [response] = batch(session, [server()])
    assert len(response.content) == 2_000_000
    assert server.peers[0].windows[1] >= 1 << 20


def test_a_body_that_breaks_off_costs_its_stream(start: Start, session: reqkit.Session) -> None:
    def handler(request: Request) -> None:
        if request.path == "/broken":
            request.head(200, {"content-length": "10"})
            request.data(b"abc")
            request.end(Codes.INTERNAL_ERROR)
        else:
            echo(request)

    server = start(handler)
    broken, *others = batch(session, [server("/broken"), *[server()] * 5])
    assert isinstance(broken.error, ChunkedEncodingError)
    assert "3 of 10 bytes" in str(broken.error)
    assert errors(others) == []
    assert len(server.peers) == 1


# -- servers that leave


def leaving(after: int) -> Callable[[Request], None]:
    """Serve so many requests of each connection, then say GOAWAY and close when they are done."""

    def handler(request: Request) -> None:
        peer = request.peer
        number = (request.stream + 1) // 2
        if number > after:
            return  # said to be not processed
        if number == after:
            peer.go_away(request.stream)
        echo(request)
        with peer.changed:
            served = peer.pongs = peer.pongs + 1
        if served == after:
            peer.leave()

    return handler


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_is_lost_or_sent_twice_where_servers_leave(
    start: Start, session: reqkit.Session, method: str
) -> None:
    acted: list[str] = []
    serve = leaving(10)

    def handler(request: Request) -> None:
        if (request.stream + 1) // 2 <= 10:
            acted.append(request.path)
        serve(request)

    server = start(handler)
    requests = [
        reqkit_async.request(method, server(f"/{number}"), session=session, data=b"x")
        for number in range(200)
    ]
    responses = reqkit_async.map(requests, size=15)
    assert errors(responses) == []
    assert sorted(acted) == sorted(f"/{number}" for number in range(200))


def test_blocking_code_goes_on_where_servers_leave(start: Start, blocking: reqkit.Session) -> None:
    server = start(leaving(3))
    for number in range(10):
        assert blocking.post(server(f"/{number}"), data=b"x").text == "x"
    assert len(server.peers) == 4


def test_a_refused_stream_is_sent_again(start: Start, session: reqkit.Session) -> None:
    refused: set[str] = set()

    def handler(request: Request) -> None:
        if request.path not in refused:
            refused.add(request.path)
            request.end(Codes.REFUSED_STREAM)
        else:
            echo(request)

    server = start(handler)
    requests = [reqkit_async.post(server(f"/{n}"), data=b"x", session=session) for n in range(10)]
    assert errors(reqkit_async.map(requests)) == []
    assert len(server.requests) == 20


@pytest.mark.parametrize("blocks", [True, False])
def test_a_body_that_is_gone_and_was_not_acted_on(
    start: Start, session: reqkit.Session, blocking: reqkit.Session, blocks: bool
) -> None:
    """A generator is read once; that the server has done nothing is told by the error."""

    def handler(request: Request) -> None:
        request.wait(lambda request: request.body)
        request.peer.go_away(0)
        request.peer.leave()

    server = start(handler)
    pieces = (bytes(1000) for _ in range(500))
    if blocks:
        with pytest.raises(reqkit.exceptions.UnrewindableBodyError) as caught:
            blocking.post(server(), data=pieces)
        error: Any = caught.value
    else:
        request = reqkit_async.post(server(), data=pieces, session=session)
        [response] = reqkit_async.map([request])
        error = response.error
    assert isinstance(error, reqkit.exceptions.UnrewindableBodyError)
    assert error.before_sending
    assert len(server.requests) == 1


@pytest.mark.parametrize("blocks", [True, False])
def test_a_stream_that_is_refused_for_ever_is_an_error(
    start: Start, ca_bundle: str, blocks: bool
) -> None:
    server = start(lambda request: request.end(Codes.REFUSED_STREAM))
    if blocks:
        with pytest.raises(reqkit.exceptions.ConnectionError) as caught:
            reqkit.get(server(), verify=ca_bundle, config={"http2": True})
        error: Any = caught.value
    else:
        [response] = reqkit_async.map([reqkit_async.get(server(), verify=ca_bundle)])
        error = response.error
    assert isinstance(error, reqkit.exceptions.ConnectionError)
    assert error.before_sending
    assert "not acted on the request, 11 times" in str(error)
    assert len(server.requests) == 11


@pytest.mark.parametrize("how", ["close", "leave", "reset", "cancel"])
def test_what_ends_before_an_answer_counts_for_retries(
    start: Start, session: reqkit.Session, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """As resets do on HTTP/1.1: idempotent requests go again, others are an entry at once."""
    monkeypatch.setattr("reqkit_async.pool.retries._FIRST", 0.001)

    def handler(request: Request) -> None:
        if len(server.requests) > 2:
            echo(request)
        elif how in ("close", "leave"):
            getattr(request.peer, how)()
        else:
            request.end(Codes.INTERNAL_ERROR if how == "reset" else Codes.CANCEL)

    server = start(handler)
    [response] = reqkit_async.map([reqkit_async.get(server("/x"), session=session)], retries=2)
    assert (response.error, response.content) == (None, b"GET /x")
    assert len(server.requests) == 3
    server.requests.clear()
    post = reqkit_async.post(server("/x"), data=b"x", session=session)
    [response] = reqkit_async.map([post], retries=2)
    assert isinstance(response.error, reqkit.exceptions.ConnectionError)
    assert len(server.requests) == 1


def test_a_get_goes_again_and_a_post_does_not(start: Start, session: reqkit.Session) -> None:
    """The server closes while it has requests that it may have acted on."""
    closed = threading.Event()

    def handler(request: Request) -> None:
        if request.path == "/warm" or closed.is_set():
            echo(request)
            return
        with request.peer.changed:
            if len(request.peer.requests) == 3 and not closed.is_set():
                closed.set()
                request.peer.close()

    server = start(handler)
    assert errors(batch(session, [server("/warm")])) == []
    get = reqkit_async.get(server("/get"), session=session)
    post = reqkit_async.post(server("/post"), data=b"x", session=session)
    got, posted = reqkit_async.map([get, post])
    assert (got.error, got.text) == (None, "GET /get")
    assert isinstance(posted.error, reqkit.exceptions.ConnectionError)
    assert [request.path for request in server.requests].count("/post") == 1


@pytest.mark.parametrize("blocks", [True, False])
def test_why_a_server_leaves_is_told(
    start: Start, session: reqkit.Session, blocking: reqkit.Session, blocks: bool
) -> None:
    """As some do where a message's fields are larger than they take."""

    def handler(request: Request) -> None:
        request.peer.go_away(request.stream, Codes.ENHANCE_YOUR_CALM)
        request.peer.leave()

    server = start(handler)
    for method, times in (("GET", 2), ("POST", 1)):
        if blocks:
            with pytest.raises(reqkit.exceptions.ConnectionError) as caught:
                blocking.request(method, server())
            error: Any = caught.value
        else:
            request = reqkit_async.request(method, server(), session=session)
            [response] = reqkit_async.map([request])
            error = response.error
        assert type(error) is reqkit.exceptions.ConnectionError
        assert "(the server closes the connection (ENHANCE_YOUR_CALM))" in str(error)
        assert ("is not sent twice" in str(error)) is (times == 1)
        assert ("2 times" in str(error)) is (times == 2)
        assert len(server.requests) == times
        server.requests.clear()


def test_http_1_where_the_server_asks_for_it(authority: Authority, ca_bundle: str) -> None:
    seen: list[str] = []

    def handler(request: Request) -> None:
        seen.append(request.path)
        request.end(Codes.HTTP_1_1_REQUIRED)

    with (
        Http2Server(handler, tls=authority.server(), forgiving=True) as server,
        reqkit.Session(verify=ca_bundle) as session,
    ):
        [response] = reqkit_async.map(
            [reqkit_async.post(server("/x"), data=b"x", session=session, timeout=5)]
        )
        # It is no server of HTTP/1.1: that it was asked as one is what is to be seen.
        assert response.error is not None
        assert seen == ["/x"]
        assert len(server.peers) == 2


def test_pings_are_answered(start: Start, session: reqkit.Session) -> None:
    def handler(request: Request) -> None:
        with request.peer.sending() as connection:
            connection.ping(b"12345678")
        with request.peer.changed:
            request.peer.changed.wait_for(lambda: request.peer.pongs, 20)
        echo(request)

    server = start(handler)
    assert errors(batch(session, [server()])) == []
    assert server.peers[0].pongs == 1


def test_an_idle_connection_that_was_closed_is_replaced(
    start: Start, session: reqkit.Session, blocking: reqkit.Session
) -> None:
    server = start()
    post = reqkit_async.post(server(), data=b"x", session=session)
    for expected in (1, 2):
        assert reqkit_async.map([post])[0].text == "x"
        assert len(server.peers) == expected
        server.peers[-1].close()
        gevent.idle()  # the end of it is seen
    for expected in (3, 4):
        assert blocking.post(server(), data=b"x").text == "x"
        assert len(server.peers) == expected
        server.peers[-1].close()


# -- beside greenlets


def test_threads_share_a_session(start: Start, blocking: reqkit.Session) -> None:
    server = start()
    seen: list[str] = []

    def run() -> None:
        for number in range(20):
            seen.append(blocking.get(server(f"/{number}")).text)

    threads = [threading.Thread(target=run) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(seen) == sorted(f"GET /{number}" for number in range(20) for _ in range(5))
    assert len(server.peers) <= 5


def test_greenlets_of_several_threads(start: Start, session: reqkit.Session) -> None:
    server = start()
    failed: list[Any] = []

    def run() -> None:
        failed.extend(errors(batch(session, [server()] * 20)))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failed == []
    assert len(server.peers) == 3  # each hub has its own


def test_a_child_process_begins_anew(start: Start, session: reqkit.Session) -> None:
    server = start()
    assert errors(batch(session, [server("/parent")] * 3)) == []
    child = os.fork()
    if not child:
        code = 1
        try:
            code = len(errors(batch(session, [server("/child")] * 3)))
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert errors(batch(session, [server("/after")] * 3)) == []
    assert len(server.peers) == 2


def held_open(gate: Gate) -> Callable[[Request], None]:
    """Return a handler whose answers end once a gate opens."""

    def handler(request: Request) -> None:
        if request.path != "/open":
            echo(request)
            return
        request.head(200)
        request.data(b"begun")
        assert gate.event.wait(20)
        request.data(b", ended", True)

    return handler


def in_a_child(act: Callable[[], Any]) -> None:
    """Do something in a forked process."""
    child = os.fork()
    if not child:
        code = 1
        try:
            act()
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("way", ["closed", "dropped", "the loop goes on"])
def test_a_child_process_leaves_the_parent_s_streams_alone(
    way: str, start: Start, session: reqkit.Session
) -> None:
    gate = Gate()
    server = start(held_open(gate))
    request = reqkit_async.get(server("/open"), session=session)
    kept = [reqkit_async.send(request, prefetch=False).get()]
    request.response = None

    def act() -> None:
        if way == "closed":
            kept[0].close()
        elif way == "dropped":
            kept.clear()
            gc.collect()
        gevent.sleep(0.1)

    if way == "the loop goes on":
        gate.event.set()  # what comes now is not the child's to read
    in_a_child(act)
    gate.event.set()
    assert kept[0].text == "begun, ended"
    assert errors(batch(session, [server("/after")] * 3)) == []
    assert len(server.peers) == 1


@pytest.mark.parametrize("way", ["closed", "dropped"])
def test_a_child_process_leaves_a_blocking_stream_alone(
    way: str, start: Start, blocking: reqkit.Session
) -> None:
    gate = Gate()
    server = start(held_open(gate))
    kept = [blocking.get(server("/open"))]

    def act() -> None:
        if way == "closed":
            kept[0].close()
        else:
            kept.clear()
            gc.collect()

    in_a_child(act)
    gate.event.set()
    assert kept[0].text == "begun, ended"
    assert blocking.get(server("/after")).ok
    assert len(server.peers) == 1


def test_a_server_is_told_at_once_of_what_is_stopped(start: Start, session: reqkit.Session) -> None:
    """Whatever the thread does next, and does not wait in its loop for."""
    gate = Gate()
    server = start(gate)
    greenlet = reqkit_async.send(reqkit_async.get(server("/stopped"), session=session))
    until(lambda: server.requests)
    greenlet.kill()
    [peer], [request] = server.peers, server.requests
    with peer.changed:  # which waits for another thread, and not in the loop
        assert peer.changed.wait_for(lambda: request.reset is not None, 20)
    gate.event.set()
    assert errors(batch(session, [server("/after")] * 3)) == []
    assert len(server.peers) == 1


def test_responses_are_pickled(start: Start, session: reqkit.Session) -> None:
    server = start()
    [response] = batch(session, [server("/x")])
    copied = pickle.loads(pickle.dumps(response))
    assert (copied.version, copied.text, copied.status_code) == (20, "GET /x", 200)


def test_sessions_that_are_dropped_close_their_connections(start: Start, ca_bundle: str) -> None:
    server = start()
    session = reqkit.Session(verify=ca_bundle)
    assert errors(batch(session, [server()] * 3)) == []
    del session
    gc.collect()
    [peer] = server.peers
    with peer.changed:
        assert peer.changed.wait_for(lambda: peer.over, 20)


def test_nothing_keeps_the_loop_once_all_is_answered(start: Start, session: reqkit.Session) -> None:
    server = start()
    assert errors(batch(session, [server()] * 3)) == []
    assert gevent.wait(timeout=20)  # else it would be False: something is waited for


# -- through proxies


def test_through_a_tunnel(
    start: Start, session: reqkit.Session, http_proxy: Proxy, socks_proxy: Proxy
) -> None:
    server = start()
    for proxy in (http_proxy, socks_proxy):
        responses = batch(session, [server()] * 10, proxies={"https": proxy.url})
        assert errors(responses) == []
        assert {response.version for response in responses} == {20}
    assert len(server.peers) == 2


def test_a_body_is_read_in_its_own_thread_or_is_an_error(
    start: Start, session: reqkit.Session
) -> None:
    """As on HTTP/1.1; the thread has ended, and with it the hub that the connection belongs to."""

    def never(request: Request) -> None:
        request.head(200, {"content-length": "5"})
        request.wait(lambda request: request.reset is not None)

    server = start(never)
    found: list[Any] = []

    def ask() -> None:
        request = reqkit_async.get(server(), session=session)
        found.extend(reqkit_async.map([request], prefetch=False))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(20)
    with pytest.raises((RuntimeError, reqkit.RequestException)) as caught:
        _ = found[0].content
    assert type(caught.value) is RuntimeError
    assert "another thread's gevent hub" in str(caught.value)
