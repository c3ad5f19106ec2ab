"""What long runs meet: busy code, ended threads, dropped sessions: nothing kept, nothing lost."""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import socket
import sys
import threading
import time
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from reqkit.sessions.session import SingleUseSession
from reqkit_async.network import blocked_loops
from reqkit_async.network.hubs import LIBEV_LOOPS
from servers.handlers import at_once
from servers.http2 import Http2Server, Request
from servers.messages import answer
from servers.scripted import PATIENCE, Connection, ScriptedServer
from servers.tls import Authority
from servers.waiting import until

Start = Callable[..., ScriptedServer]
OK = answer(200, b"ok")


def soon(connection: Connection) -> None:
    while connection.recv_request() is not None:
        time.sleep(0.01)
        connection.send(OK)


def open_descriptors() -> dict[str, str]:
    """Return the descriptors of this process, and what each is of."""
    found = {}
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found


# -- what arrived in time has arrived, however busy the caller's code is

#: Seconds that the caller's code keeps the loop at each turn: with many ready at once, far beyond
#: the limit of each.
BUSY = 0.03
LIMIT = 0.5


def endings(found: Any) -> Counter[Any]:
    return Counter(
        one.status_code if one.error is None else type(one.error).__name__ for one in found
    )


@pytest.mark.parametrize(
    "secure",
    # Sixty handshakes with a server in this very process take their time.
    [False, pytest.param(True, marks=pytest.mark.slow)],
    ids=["http", "https"],
)
@pytest.mark.parametrize("way", ["consumer", "callback", "iterable", "send"])
def test_busy_code_of_the_callers_times_nothing_out(
    scripted: Start, authority: Authority, ca_bundle: str, way: str, secure: bool
) -> None:
    server = scripted(soon, **({"tls": authority.server()} if secure else {}))
    settings = {
        "timeout": LIMIT * 10 if secure else LIMIT,
        "verify": ca_bundle,
        "session": reqkit.Session(),
    }

    def busy(*arguments: Any) -> None:
        time.sleep(BUSY * 4 if secure else BUSY)

    if way == "callback":
        settings["callback"] = busy

    def asked() -> Iterator[reqkit.Request]:
        for number in range(60):
            if way == "iterable":
                busy()
            yield reqkit_async.get(server(f"/{number}"), **settings)

    if way == "send":
        sent = [reqkit_async.send(request) for request in asked()]
        while not all(one.ready() for one in sent):
            busy()
            gevent.sleep(0)
        assert endings(one.get() for one in sent) == {200: 60}
        return
    counted = []
    for response in reqkit_async.imap_unordered(asked(), size=30):
        if way == "consumer":
            busy()
        counted.append(response)
    assert endings(counted) == {200: 60}


def test_a_server_that_says_nothing_still_runs_out_of_time(scripted: Start) -> None:
    def silent(connection: Connection) -> None:
        connection.recv_request()
        connection.server.stopping.wait()

    server = scripted(silent)
    for response in reqkit_async.imap([reqkit_async.get(server(), timeout=(30, 0.2))] * 3):
        time.sleep(0.02)
        assert isinstance(response.error, reqkit.ReadTimeout)


def test_busy_code_in_a_slow_look_up(scripted: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    server = scripted(at_once)

    asked = gevent.event.Event()

    class Slow:
        def resolve(self, host: str, port: int) -> list[str]:
            asked.set()
            gevent.get_hub().threadpool.apply(time.sleep, (0.05,))
            return ["127.0.0.1"]

    reqkit_async.network.dns.set_resolver(Slow())
    try:
        sent = reqkit_async.send(
            reqkit_async.get(f"http://slow.test:{server.port}/", timeout=LIMIT)
        )
        assert asked.wait(PATIENCE)
        time.sleep(LIMIT * 2)
        assert sent.get().status_code == 200
    finally:
        reqkit_async.network.dns.set_resolver(None)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocked_loops, "LONG", 0.3)
    monkeypatch.setattr(blocked_loops, "_PAUSE", 0.02)


def hold(seconds: float = 0.8) -> None:
    time.sleep(seconds)  # the line


def test_code_that_keeps_the_loop_for_long_is_named(scripted: Start, watched: None) -> None:
    server = scripted(at_once)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in reqkit_async.imap([reqkit_async.get(server())]):
            hold()
        reqkit_async.map([reqkit_async.get(server(), callback=lambda response: hold())])
    _, first = inspect.getsourcelines(hold)
    assert [(one.filename, one.lineno) for one in caught] == [(__file__, first + 1)] * 2
    assert "kept all greenlets" in str(caught[0].message)


def test_a_slow_server_is_nobodys_code(scripted: Start, watched: None) -> None:
    def slow(connection: Connection) -> None:
        if connection.recv_request() is not None:
            time.sleep(0.8)
            connection.send(OK)

    server = scripted(slow)
    assert reqkit_async.map([reqkit_async.get(server())])[0].ok  # a warning would be an error
    hold()  # and nobody waits for the loop any more


class Frames:
    """Stands for `sys._current_frames`, and counts who asks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = 0
        self._real = sys._current_frames
        monkeypatch.setattr(sys, "_current_frames", self)

    def __call__(self) -> Any:
        self.asked += 1
        return self._real()


def test_nobody_asks_where_threads_are_while_a_loop_waits(
    scripted: Start, watched: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = Frames(monkeypatch)
    test_a_slow_server_is_nobodys_code(scripted, watched)
    if isinstance(gevent.get_hub().loop, LIBEV_LOOPS):
        assert not frames.asked


def test_closing_in_another_thread_asks_nobody_where_threads_are(
    scripted: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames = Frames(monkeypatch)

    def endless(connection: Connection) -> None:
        if connection.recv_request() is not None:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
            connection.wait_closed()

    server = scripted(endless)
    kept: list[Any] = []

    def fetch() -> None:
        kept.extend(reqkit_async.map([reqkit_async.get(server())] * 2, stream=True))

    for close_here in (True, False):
        thread = threading.Thread(target=fetch if close_here else kept.clear)
        if not close_here:
            fetch()
        thread.start()
        thread.join()
        kept.clear()  # of a thread that is over; or another has let go of what is this one's
        server.wait_for_no_connections()
    assert not frames.asked


# -- threads and sessions that are over


def test_connections_of_threads_that_have_ended_are_closed(scripted: Start) -> None:
    server = scripted(at_once)
    gevent.get_hub()  # has descriptors of its own, and may be this thread's first
    before = open_descriptors()

    def fetch() -> None:
        found = reqkit_async.map([reqkit_async.get(server()) for _ in range(3)])
        assert endings(found) == {200: 3}

    for _ in range(20):
        thread = threading.Thread(target=fetch)
        thread.start()
        thread.join()
    server.wait_for_no_connections()
    assert server.connections_opened == 60

    def opened_since() -> dict[str, str]:
        return {n: what for n, what in open_descriptors().items() if before.get(n) != what}

    try:
        until(lambda: not opened_since())
    except gevent.Timeout:
        raise AssertionError((opened_since(), before)) from None
    shared: Any = SingleUseSession()
    alive = {one.ident for one in threading.enumerate()}
    assert len(shared._adapters["http://"].poolmanager.pools) <= len(alive) + 1


def at_once_or_never(connection: Connection) -> None:
    while (request := connection.recv_request()) is not None:
        if request.target == "/never":
            connection.wait_closed()
            return
        connection.send(OK)


def stream_at_once_or_never(request: Request) -> None:
    if request.path == "/never":
        request.wait(lambda request: False)  # until the connection is over
    request.answer()


def answered(server: Any, **settings: Any) -> None:
    found = reqkit_async.map([reqkit_async.get(server("/"), **settings) for _ in range(3)])
    assert endings(found) == {200: 3}


def dropped_unread(server: Any, **settings: Any) -> None:
    settings["prefetch"] = False
    found = reqkit_async.map([reqkit_async.get(server("/"), **settings) for _ in range(3)])
    assert all(one.status_code == 200 for one in found)


def stopped_by_a_limit(server: Any, **settings: Any) -> None:
    answered(server, **settings)
    settings["timeout"] = (60, 0.01)
    found = reqkit_async.map([reqkit_async.get(server("/never"), **settings) for _ in range(3)])
    assert endings(found) == {"ReadTimeout": 3}


def left_in_flight(server: Any, **settings: Any) -> None:
    pool = reqkit_async.Pool(3)
    asked = len(server.requests) + 3
    for _ in range(3):
        pool.spawn(reqkit_async.get(server("/never"), **settings))
    until(lambda: len(server.requests) == asked)


def killed_in_flight(server: Any, **settings: Any) -> None:
    settings["session"] = reqkit.Session()
    request = reqkit_async.get(server("/never"), **settings)
    asked = len(server.requests) + 3
    sending = [reqkit_async.send(request) for _ in range(3)]
    until(lambda: len(server.requests) == asked)
    gevent.killall(sending)


@pytest.mark.parametrize("wire", ["http", "https", "http2"])
@pytest.mark.parametrize(
    "leaves",
    [answered, dropped_unread, stopped_by_a_limit, left_in_flight, killed_in_flight],
    ids=lambda function: function.__name__,
)
def test_nothing_stays_open_of_a_thread_that_has_ended(
    scripted: Start, authority: Authority, ca_bundle: str, wire: str, leaves: Any
) -> None:
    """Nothing of its connections, nor of its loop; whatever was still on its way."""
    with ExitStack() as stack:
        server: Any
        if wire == "http2":
            server = Http2Server(stream_at_once_or_never, tls=authority.server(), forgiving=True)
            stack.enter_context(server)
        else:
            tls = authority.server() if wire == "https" else None
            server = scripted(at_once_or_never, tls=tls)
            # Its own descriptors are all there once it has accepted somebody.
            socket.create_connection((server.host, server.port)).close()
            server.wait_until(lambda it: it.connections_opened and not it.connections_open)
        gc.collect()
        gc.disable()
        stack.callback(gc.enable)
        gevent.get_hub()
        before = open_descriptors()
        for _ in range(3):
            thread = threading.Thread(target=leaves, args=(server,), kwargs={"verify": ca_bundle})
            thread.start()
            thread.join()

    def opened_since() -> dict[str, str]:
        return {n: what for n, what in open_descriptors().items() if before.get(n) != what}

    try:
        until(lambda: not opened_since())
    except gevent.Timeout:
        raise AssertionError((opened_since(), before)) from None
    assert opened_since() == {}


@pytest.mark.parametrize("how", ["batch", "blocking", "spawned", "failed", "killed"])
def test_a_dropped_session_closes_its_connections_at_once(
    scripted: Start, closed_port: int, how: str
) -> None:
    server = scripted(at_once)
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            session = reqkit.Session()
            urls = [server()] * 3
            if how == "failed":
                urls.append(f"http://127.0.0.1:{closed_port}/")
            if how == "blocking":
                for url in urls:
                    session.get(url)
            elif how == "spawned":
                with reqkit_async.Pool(3, session=session) as pool:
                    for url in urls:
                        pool.spawn(reqkit_async.get(url))
                del pool
            elif how == "killed":
                sending = [reqkit_async.send(reqkit_async.get(urls[0], session=session))]
                gevent.sleep(0)
                gevent.killall(sending)
                del sending
            else:
                reqkit_async.map([reqkit_async.get(url, session=session) for url in urls])
            gone = weakref.ref(session)
            del session
            assert gone() is None
            server.wait_for_no_connections()
    finally:
        gc.enable()


# -- what is kept keeps nothing else


def failing(connection: Connection) -> None:
    while (request := connection.recv_request()) is not None:
        path = request.target
        if path == "/cut":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc")
            return
        if path == "/garbage":
            connection.send(b"nonsense\r\n\r\n")
            return
        if path == "/silent":
            connection.server.stopping.wait()
            return
        if path == "/loop":
            connection.send(answer(302, b"", [("Location", "/loop")]))
        elif path == "/nowhere":
            connection.send(answer(302, b"", [("Location", "ftp://nowhere/")]))
        elif path == "/gzip":
            connection.send(answer(200, b"not gzip", [("Content-Encoding", "gzip")]))
        else:
            connection.send(answer(500 if path == "/500" else 200, b"ok"))


class Failing:
    def __call__(self, prepared: Any) -> Any:
        raise ZeroDivisionError("an auth of the user's")


def raising(response: reqkit.Response) -> None:
    raise ValueError("a hook of the user's")


#: By name: the path (or a whole URL), and what the request says.
ENDINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "answer": ("/", {}),
    "unread": ("/", {"prefetch": False}),
    "bad URL": ("nonsense", {}),
    "no such name": ("http://no.such.invalid/", {}),
    "cut": ("/cut", {}),
    "garbage": ("/garbage", {}),
    "redirects": ("/loop", {"config": {"max_redirects": 2}}),
    "scheme": ("/nowhere", {}),
    "coding": ("/gzip", {}),
    "too large": ("/", {"config": {"max_content_size": 1}}),
    "danger": ("/500", {"config": {"danger_mode": True}}),
    "read timeout": ("/silent", {"timeout": 0.1}),
    "auth": ("/", {"auth": Failing()}),
    "hook": ("/", {"callback": raising}),
    "deadline": ("/silent", {}),
}


@pytest.mark.filterwarnings("ignore::reqkit.exceptions.HookWarning")
@pytest.mark.parametrize("way", ["map", "imap", "spawn", "safe"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_kept_entry_keeps_no_other_and_none_needs_the_collector(
    scripted: Start, ending: str, way: str
) -> None:
    server = scripted(failing)
    path, options = ENDINGS[ending]
    url = server(path) if path.startswith("/") else path
    deadline = 0.3 if ending == "deadline" else None
    if deadline and way == "safe":
        options = {"timeout": reqkit.Timeouts(total=0.1)}

    def fetch() -> list[Any]:
        asked = [reqkit_async.get(url, **options) for _ in range(4)]
        if way == "map":
            return reqkit_async.map(asked, size=3, timeout=deadline)
        if way == "imap":
            return list(reqkit_async.imap(asked, timeout=deadline))
        if way == "spawn":
            with reqkit_async.Pool(3, timeout=deadline) as pool:
                handles = [pool.spawn(one) for one in asked]
            return [handle.get() for handle in handles]
        session = reqkit.Session(config={"safe_mode": ending != "auth"})
        keywords = {name: value for name, value in options.items() if name != "callback"}
        if ending == "auth":
            keywords = {"config": {"safe_mode": True}}
        return [session.get(url, **keywords) for _ in asked]

    fetch()
    gc.collect()
    gc.disable()
    try:
        found = fetch()
        entries = [weakref.ref(one) for one in found]
        errors = [one.error for one in found]
        kept = found[1]
        del found
        gevent.idle()  # what was stopped ends with its greenlet
        # At once, but for what another thread has its hands on just now; the collector is off.
        until(lambda: [entry() is not None for entry in entries] == [False, True, False, False])
        assert all(error is None or error.__traceback__ is None for error in errors)
        del kept
        # Nor does the error keep its entry.
        assert [entry() for entry in entries] == [None] * 4
    finally:
        gc.enable()


def test_a_failure_in_the_users_own_code_tells_where(scripted: Start) -> None:
    (entry,) = reqkit_async.map([reqkit_async.get(scripted(failing)(), auth=Failing())])
    assert isinstance(entry.error, ZeroDivisionError)
    (note,) = entry.error.__notes__  # type: ignore[attr-defined]
    assert "in __call__" in note
    assert "ZeroDivisionError: an auth of the user's" in note


def test_raising_an_error_again_gathers_no_frames(closed_port: int) -> None:
    (entry,) = reqkit_async.map([reqkit_async.get(f"http://127.0.0.1:{closed_port}/")])
    for _ in range(3):
        with pytest.raises(reqkit.ConnectionError) as caught:
            entry.raise_for_status()
    assert len(caught.traceback) == 2
