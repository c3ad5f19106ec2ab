"""Every case of the corpus, through a session and through ``reqkit_async.map``.

Either way ends as the case says. The connection is used again only where the case says so, a plain
request through the same session gets the answer that is its own, and every socket is closed.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reqkit
import reqkit_async
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

from .cases import FUNCTIONS, Case, evaluate, load, read_file

CASES = load()

#: Bytes that a client may take of an answer that never ends, before it must have left. What the
#: sockets' own buffers hold is among them.
MOST_TAKEN = 64 << 20

Way = Callable[[reqkit.Session, Case, str], Any]


def options_of(case: Case) -> dict[str, Any]:
    timeout = reqkit.Timeouts(connect=20, read=case.timeout, total=case.total)
    auth = reqkit.auth.HTTPDigestAuth("user", "secret") if case.digest else None
    return {"timeout": timeout, "config": case.config, "auth": auth}


def take(case: Case, response: reqkit.Response) -> tuple[int | None, bytes, int]:
    """Return the status, the body and its size; a streamed body is counted and not kept."""
    if case.read == "stream":
        size = sum(map(len, response.iter_content(10_000)))
        return response.status_code, b"", size
    if case.read == "look":
        # All that is read out of fields and bodies; none of it fails for what a server sent.
        assert isinstance(response.links, dict)
        assert isinstance(response.text, str)
        assert isinstance(response.apparent_encoding, str)
        assert len(response.cookies) <= 256
        assert repr(response.headers)
        with contextlib.suppress(reqkit.exceptions.JSONDecodeError):
            response.json()
    return response.status_code, response.content, len(response.content)


def by_session(session: reqkit.Session, case: Case, url: str) -> reqkit.Response:
    response: reqkit.Response = session.request(
        case.method, url, prefetch=case.read != "stream", allow_redirects=True, **options_of(case)
    )
    return response


def by_map(session: reqkit.Session, case: Case, url: str) -> reqkit.Response:
    request = reqkit_async.request(
        case.method, url, session=session, allow_redirects=True, **options_of(case)
    )
    [response] = reqkit_async.map([request], prefetch=case.read != "stream")
    assert isinstance(response, reqkit.Response)
    if response.error is not None:
        raise response.error
    return response


class Server:
    """Gives a case's answers one by one, then a plain one to each request that follows."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.answers = list(case.answers)
        self.taken = 0
        #: Set by the test: the client is done with the case.
        self.done = threading.Event()
        #: Set by the server: what comes late is under way.
        self.sent_late = threading.Event()

    def __call__(self, connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if not self.answers:
                body = f"plain {request.target}".encode()
                connection.send(answer(200, b"" if request.method == "HEAD" else body))
                continue
            given = self.answers.pop(0)
            for number, segment in enumerate(given.segments):
                if number:
                    connection.pause(0.002)
                connection.send(segment)
            while given.endless:
                connection.send(given.endless)
                self.taken += len(given.endless)
                assert self.taken < MOST_TAKEN, "the client takes an endless answer for ever"
            if given.late:
                connection.wait(self.done)
                connection.send(given.late)
                self.sent_late.set()
            if given.then == "reset":
                connection.reset()
            elif given.then == "end":
                connection.end()
                connection.wait_closed()
            if given.then != "keep":
                return


def open_sockets() -> int:
    """Count the process's sockets."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += stat.S_ISSOCK(os.stat(f"/proc/self/fd/{name}").st_mode)
        except OSError:
            continue
    return count


@contextlib.contextmanager
def memory_within(most: int | None) -> Iterator[None]:
    if most is None:
        yield
        return
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        yield
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak:,} bytes at the peak"


def check_ending(session: reqkit.Session, case: Case, url: str, way: Way) -> None:
    """Send the case's request and compare how it ends."""
    got: Any = None
    error: Exception | None = None
    with memory_within(case.memory):
        try:
            response = way(session, case, url)
            got = take(case, response)
        except reqkit.RequestException as fault:
            error = fault
    if case.error:
        assert type(error).__name__ == case.error, f"{error!r}, {str(got)[:200]}"
        text = str(error)
        assert [word for word in [url, *case.words] if word not in text] == [], text
        return
    if error is not None:
        raise error
    expected = len(case.body) if case.size is None else case.size
    assert got == (case.status, b"" if case.read == "stream" else case.body, expected)
    assert not [name for name in case.without if name in response.headers]


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """Have made what is made once, sockets of the event loop among them."""
    with ScriptedServer.echo() as server:
        reqkit_async.map([reqkit_async.get(server("/"))])
        with reqkit.Session() as session:
            session.get(server("/"))


@pytest.mark.parametrize("way", [by_session, by_map], ids=["core", "async"])
@pytest.mark.parametrize("name", CASES)
def test_case(name: str, way: Way) -> None:
    case = CASES[name]
    sockets = open_sockets()
    script = Server(case)
    with ScriptedServer(script) as server, reqkit.Session(config={"trust_env": False}) as session:
        check_ending(session, case, server("/case"), way)
        server.wait_for_requests(1)  # whose time may be over before the server has seen it
        asked = server.requests[-1].connection
        script.done.set()
        if any(one.late for one in case.answers):
            assert script.sent_late.wait(20)
        plain = way(session, Case("", ""), server("/plain"))
        assert (plain.status_code, plain.content) == (200, b"plain /plain")
        assert plain.headers == {"Content-Length": "12"}
        assert len(server.requests) == len(case.answers) + 1
        if case.reused is not None:
            assert (server.requests[-1].connection == asked) is case.reused
        # The one that the plain answer came on is kept; all others are closed by now.
        server.wait_until(lambda server: server.connections_open <= 1)
        session.close()
        server.wait_for_no_connections()
    # What earlier tests left for the collector may be closed meanwhile.
    assert open_sockets() <= sockets


def test_a_fault_that_came_with_the_head_is_for_who_reads_the_body() -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n"
    with ScriptedServer.answers([data]) as server, reqkit.Session() as session:
        response = session.get(server("/"))
        assert response.status_code == 200
        with pytest.raises(reqkit.ChunkedEncodingError, match="a chunk begins with b'x"):
            _ = response.content
        server.wait_for_no_connections()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", b""),
        (r"a\r\n\t\0\\\{\}\xff", b"a\r\n\t\0\\{}\xff"),
        ("{3*ab}c{2*{2*x}y}", b"abababcxxyxxy"),
        ("{half abcd}", b"ab"),
        ("{sized ab}", b"Content-Length: 2\r\n\r\nab"),
        ("{chunked ab}", b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
        ("{gzip {3*a}}", FUNCTIONS["gzip"](b"aaa")),
    ],
)
def test_bytes_of_a_text(text: str, expected: bytes) -> None:
    assert evaluate(text) == expected


@pytest.mark.parametrize("text", [r"\q", "\\", "{", "}", "{nothing x}", "\xe9"])
def test_no_bytes_of_a_text(text: str) -> None:
    with pytest.raises(ValueError):
        evaluate(text)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("> x", "expected 'case: NAME' first"),
        ("case: a\nabout: b\n", "one 'expect'"),
        ("case: a\nexpect: 200\n", "an 'about'"),
        ("case: a\nfoo\n", "no such line"),
        ("case: a\nfoo: x\n", "no such line"),
        ("case: a\nthen: leave\n", "expected keep"),
    ],
)
def test_no_case(tmp_path: Any, text: str, fault: str) -> None:
    path = tmp_path / "group.txt"
    path.write_text(text)
    with pytest.raises(ValueError, match=fault):
        list(read_file(path))
