"""Signals' handlers and forks that come in the middle of what locks guard."""

from __future__ import annotations

import gc
import linecache
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
from reqkit.adapters import HTTPAdapter
from reqkit.base.locks import native_rlock
from reqkit.transport import pools
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Start = Callable[..., ScriptedServer]
OK = answer(200, b"ok", [("Set-Cookie", "a=b")])


def at_once(connection: Connection) -> None:
    while connection.recv_request() is not None:
        connection.send(OK)


@pytest.fixture
def alarm() -> Any:
    """Set a handler of SIGALRM for a test."""
    before = signal.getsignal(signal.SIGALRM)
    yield lambda handler: signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_a_signals_handler_may_send_a_request(scripted: Start, alarm: Any) -> None:
    server = scripted(at_once)
    session = reqkit.Session()
    session.get(server())  # what is imported late is imported by now
    handled = 0

    def handler(*arguments: Any) -> None:
        nonlocal handled
        assert session.get(server("/handler")).text == "ok"
        handled += 1
        signal.setitimer(signal.ITIMER_REAL, 0.003)  # not while this runs

    alarm(handler)
    signal.setitimer(signal.ITIMER_REAL, 0.003)
    ends = time.monotonic() + 60
    while handled < 30 and time.monotonic() < ends:
        assert session.get(server("/")).text == "ok"
    signal.setitimer(signal.ITIMER_REAL, 0)
    assert handled >= 30


_POOLS_WORK = {
    getattr(pools.ConnectionPool, name).__code__
    for name in ("acquire", "release", "_keep", "_drop_empty")
}


@pytest.mark.parametrize("hosts", [1, 2])
def test_a_handler_in_the_middle_of_a_pools_work(scripted: Start, hosts: int) -> None:
    """At each line of it that can be reached, with one host and with two."""
    server = scripted(at_once)
    urls = [server(), server().replace("127.0.0.1", "localhost")][:hosts]
    session = reqkit.Session()
    for url in urls:
        session.get(url).close()
    code = _POOLS_WORK
    inside = False
    sent = 0

    def trace(frame: Any, event: str, argument: Any) -> Any:
        if frame.f_code in code and event == "call" and not inside:
            return line
        return None

    def line(frame: Any, event: str, argument: Any) -> Any:
        nonlocal inside, sent
        if event == "line" and not inside:
            inside = True
            sys.settrace(None)
            assert session.get(urls[-1]).text == "ok"
            sent += 1
            sys.settrace(trace)
            inside = False
        return line

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for url in urls * 3:
            assert session.get(url).text == "ok"
    finally:
        sys.settrace(before)
    assert sent > 20 * hosts
    (pool,) = session.adapters["http://"].poolmanager.pools.values()  # type: ignore[attr-defined]
    assert len(pool) == sum(map(len, pool._idle.values()))
    session.close()
    server.wait_for_no_connections()


@pytest.mark.parametrize("hosts", [1, 2])
def test_an_interrupt_in_the_middle_leaves_the_pool_fit(scripted: Start, hosts: int) -> None:
    """At the first line of its work, at the second, and so on."""
    server = scripted(at_once)
    urls = [server(), server().replace("127.0.0.1", "localhost")][:hosts]
    session = reqkit.Session()
    for url in urls:
        session.get(url)
    (pool,) = session.adapters["http://"].poolmanager.pools.values()  # type: ignore[attr-defined]
    left = 0

    def interrupt(frame: Any, event: str, argument: Any) -> Any:
        nonlocal left
        if frame.f_code not in _POOLS_WORK:
            return None
        # Between a call and what follows in `finally` no signal's handler runs, as tracing does.
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()
        if event == "line" and line != "self._busy = False":
            left -= 1
            if not left:
                raise KeyboardInterrupt
        return interrupt

    interrupted = 0
    before = sys.gettrace()
    while left <= 0:
        left = nth = interrupted + 1
        sys.settrace(interrupt)
        try:
            session.get(urls[0])
        except KeyboardInterrupt:
            interrupted = nth
        finally:
            sys.settrace(before)
        assert not pool._busy
        assert session.get(urls[0]).ok
    assert interrupted > 10
    pool.sweep()
    assert pool._count == len(pool)
    gc.collect()  # what interrupts have left to nobody
    session.close()
    server.wait_for_no_connections()


@pytest.mark.parametrize("hosts", [1, 2])
def test_closed_while_a_connection_comes_back(scripted: Start, hosts: int) -> None:
    """As another thread may do it: at the first line of that, at the second, and so on."""
    server = scripted(at_once)
    urls = [server(), server().replace("127.0.0.1", "localhost")][:hosts]
    left = closed = 0
    held: list[pools.ConnectionPool] = []

    def close(frame: Any, event: str, argument: Any) -> Any:
        nonlocal left
        if frame.f_code is not pools.ConnectionPool.release.__code__:
            return None
        if event == "line":
            left -= 1
            if not left:
                held.append(frame.f_locals["self"])  # nor is it dropped
                held[-1].close()
        return close

    before = sys.gettrace()
    while left <= 0:
        left = nth = closed + 1
        session = reqkit.Session()
        for url in urls[1:]:
            session.get(url)
        sys.settrace(close)
        try:
            session.get(urls[0])
        finally:
            sys.settrace(before)
        if left <= 0:
            closed = nth
            server.wait_for_no_connections()
        session.close()
    assert closed > 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_fork_while_another_thread_holds_a_lock(scripted: Start) -> None:
    server = scripted(at_once)
    session = reqkit.Session()
    session.get(server())
    (pool,) = session.adapters["http://"].poolmanager.pools.values()  # type: ignore[attr-defined]
    locks = [pool._lock, session.cookies._cookies_lock, native_rlock()]
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        for lock in locks:
            lock.acquire()
        held.set()
        let_go.wait(30)
        for lock in locks:
            lock.release()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    child = os.fork()
    if not child:
        code = 1
        try:
            signal.alarm(20)
            done = session.get(server()).ok and session.cookies.get("a") == "b"
            code = 0 if done and locks[2].acquire(blocking=False) else 2
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    let_go.set()
    thread.join(30)
    assert os.waitstatus_to_exitcode(status) == 0


def test_origins_that_are_gone_keep_no_slots() -> None:
    session = reqkit.Session()
    adapter = HTTPAdapter(pool_block=True, pool_maxsize=2)
    session.mount("http://", adapter)
    for port in range(1, 60):
        with pytest.raises(reqkit.ConnectionError):
            session.get(f"http://127.0.0.1:{port}/", timeout=5)
    (pool,) = adapter.poolmanager.pools.values()
    gc.collect()
    assert len(pool._slots) <= 1
