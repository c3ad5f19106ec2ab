"""`sys.exit` and interrupts in the user's code end one call; threads keep to pools of their own."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gevent
import gevent.pool
import pytest
from gevent.event import Event

import reqkit
import reqkit_async
from servers.handlers import at_once
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.waiting import SOON, until

Start = Callable[..., ScriptedServer]
OK = answer(200, b"ok")


# -- sys.exit, and interrupts


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("way", ["map", "imap", "imap_unordered", "join", "iterable"])
def test_the_first_of_several_ends_one_call_alone(
    scripted: Start, way: str, kind: type[BaseException], capfd: pytest.CaptureFixture[str]
) -> None:
    server = scripted(at_once)

    def leave(response: Any) -> None:
        raise kind("from a hook")

    def asked() -> Iterator[reqkit.Request]:
        yield reqkit_async.get(server())
        raise kind("from an iterable")

    for _ in range(3):
        requests = [reqkit_async.get(server(), callback=leave) for _ in range(6)]
        with pytest.raises(kind):
            if way == "map":
                reqkit_async.map(requests)
            elif way == "iterable":
                list(reqkit_async.imap(asked()))
            elif way == "join":
                with reqkit_async.Pool(3) as pool:
                    for request in requests:
                        pool.spawn(request)
            else:
                list(getattr(reqkit_async, way)(requests))
        found = reqkit_async.map([reqkit_async.get(server()) for _ in range(5)])
        assert [one.status_code for one in found] == [200] * 5
        gevent.idle()
    assert "Traceback" not in capfd.readouterr().err


def test_a_caller_in_the_body_of_its_loop_is_reached(scripted: Start) -> None:
    server = scripted(at_once)
    count = 0

    def leave(response: Any) -> None:
        nonlocal count
        count += 1
        if count > 1:
            raise SystemExit(3)

    began = time.monotonic()
    with pytest.raises(SystemExit):
        for _ in reqkit_async.imap([reqkit_async.get(server(), callback=leave)] * 4, size=1):
            gevent.event.Event().wait()  # for ever
    assert time.monotonic() - began < SOON
    assert reqkit_async.map([reqkit_async.get(server())])[0].ok


# -- what is sent by itself

NOBODY = "Nobody has waited for that request"


@pytest.fixture(params=[SystemExit, KeyboardInterrupt])
def leave(request: pytest.FixtureRequest) -> Callable[..., None]:
    def leave(*what: Any) -> None:
        raise request.param(3)

    return leave


def wait_by(way: str, waited: list[Any]) -> None:
    """Wait for greenlets or handles in one of the ways that there are."""
    if way == "joinall":
        gevent.joinall(waited)
    elif way == "raising":
        gevent.joinall(waited, raise_error=True)
    elif way == "wait":
        gevent.wait(waited)
    elif way == "iwait":
        list(gevent.iwait(waited))
    elif way == "late":
        until(lambda: all(one.ready() for one in waited))
        waited[2].get()
    else:
        getattr(waited[0], way)()


@pytest.mark.parametrize("through", [None, gevent.pool.Pool, reqkit_async.Pool])
@pytest.mark.parametrize("way", ["get", "join", "joinall", "raising", "wait", "iwait", "late"])
def test_who_waits_for_a_send_gets_its_exit_and_nobody_else(
    scripted: Start, leave: Any, way: str, through: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    server = scripted(at_once)
    pool = None if through is None else through(6)
    sent = [reqkit_async.send(reqkit_async.get(server(), callback=leave), pool) for _ in range(6)]
    with pytest.raises((SystemExit, KeyboardInterrupt)) as raised:
        wait_by(way, sent)
    assert raised.value.args == (3,)
    assert all(one.ok for one in reqkit_async.map([server()] * 5))
    until(lambda sent=sent: all(one.ready() for one in sent))
    [first] = [one for one in sent if one.exit.taken]
    assert type(first.exception) is raised.type
    assert (first.exc_info[0], first.successful()) == (raised.type, False)
    with pytest.raises(raised.type):
        first.get()
    gevent.sleep(0)  # links of what has ended are called
    del sent, first, raised, pool
    gc.collect()
    told = capfd.readouterr().err
    assert (told.count(NOBODY), "Traceback" in told) == (5, False)


@pytest.mark.parametrize("where", ["callback", "exception_handler", "response", "pre_request"])
@pytest.mark.parametrize("spawns", [False, True])
def test_an_exit_that_nobody_waits_for_is_told_of_once(
    scripted: Start, leave: Any, where: str, spawns: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    server = scripted(at_once)
    is_hook = where in ("response", "pre_request")
    arguments: Any = {"hooks": {where: leave}} if is_hook else {where: leave}
    url = "http://user:secret@127.0.0.1:1/" if where == "exception_handler" else server()
    request = reqkit_async.get(url, **arguments)
    pool = reqkit_async.Pool(3)
    sent: Any = pool.spawn(request) if spawns else reqkit_async.send(request)
    until(sent.ready)
    assert all(one.ok for one in reqkit_async.map([server()] * 5))
    gevent.sleep(0)
    del sent, pool
    gc.collect()
    told = capfd.readouterr().err
    assert (told.count(NOBODY), told.count("\n"), "secret" in told) == (1, 1, False)


def stuck_or_fine(connection: Connection) -> None:
    while (request := connection.recv_request()) is not None:
        if request.target == "/stuck":
            connection.server.stopping.wait()
            return
        connection.send(OK)


@pytest.mark.parametrize("way", ["get", "wait", "join", "leaving", "kill"])
def test_who_waits_for_what_was_spawned_gets_its_exit(
    scripted: Start, leave: Any, way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    server = scripted(stuck_or_fine)
    pool = reqkit_async.Pool(3)
    url = server() + ("stuck" if way == "kill" else "")
    handles = [pool.spawn(reqkit_async.get(url, callback=leave)) for _ in range(6)]
    if way == "kill":
        until(lambda: len(server.requests) == 3)
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        if way == "leaving":
            with pool:
                pass
        else:
            getattr(handles[0] if way in ("get", "wait") else pool, way)()
    assert all(one.ok for one in reqkit_async.map([server()] * 5))
    assert all(one.ok for one in pool.map([server()] * 5))
    if way in ("get", "wait"):
        with contextlib.suppress(SystemExit, KeyboardInterrupt):
            pool.join()  # which is of the others, and may be the first to hear of them
    assert pool.join()
    del handles, pool
    gc.collect()
    assert capfd.readouterr().err == ""


def test_progress_of_what_was_spawned_ends_its_join(scripted: Start, leave: Any) -> None:
    server = scripted(at_once)
    pool = reqkit_async.Pool(3, progress=leave)
    handles = [pool.spawn(server()) for _ in range(6)]
    with pytest.raises((SystemExit, KeyboardInterrupt)):
        pool.join()
    assert all(one.ok for one in reqkit_async.map([server()] * 5))
    assert sum(handle.ready() for handle in handles) > 0


def test_a_loop_that_is_left_tells_of_exits_of_hooks(
    scripted: Start, leave: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """They are of requests that the leaving stops: nobody is in the call any more."""
    server = scripted(stuck_or_fine)
    asked = [server(), *[reqkit_async.get(server() + "stuck", callback=leave)] * 3]
    for response in reqkit_async.imap_unordered(asked):
        assert response.ok
        until(lambda: len(server.requests) == 4)
        break
    assert all(one.ok for one in reqkit_async.map([server()] * 5))
    gc.collect()
    told = capfd.readouterr().err
    assert (told.count("\n"), "Traceback" in told) == (1, False)


SIGNALLED = """
import os, signal, sys
import gevent, reqkit_async
url, kind, way = sys.argv[1:]
if kind == "SIGTERM":
    signal.signal(signal.SIGTERM, lambda *what: sys.exit(7))
def hook(response):
    os.kill(os.getpid(), getattr(signal, kind))
    sum(range(10))
request = reqkit_async.get(url, callback=hook)
pool = reqkit_async.Pool(2)
sent = pool.spawn(request) if way == "spawn" else reqkit_async.send(request)
try:
    gevent.sleep(60)
except BaseException as error:
    print(repr(error), flush=True)
"""


@pytest.mark.parametrize("way", ["spawn", "send"])
@pytest.mark.parametrize(
    ("kind", "raised"), [("SIGINT", "KeyboardInterrupt()"), ("SIGTERM", "SystemExit(7)")]
)
def test_what_a_signals_handler_raises_is_for_the_program(
    scripted: Start, kind: str, raised: str, way: str
) -> None:
    """Whatever greenlet it has come in."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, scripted(at_once)(), kind, way],
        capture_output=True,
        text=True,
        timeout=180,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    )
    assert (done.stdout, done.stderr) == (raised + "\n", "")


PROGRAM = """
import os, signal, sys, time
import gevent, reqkit_async
url = sys.argv[1]
def asked():
    while True:
        yield reqkit_async.get(url)
def begin():
    print("begun", flush=True)
try:
    gevent.spawn_later(0.3, begin)
    {way}
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    "way",
    [
        "[None for one in reqkit_async.imap(asked())]",
        "reqkit_async.map([reqkit_async.get(url + 'stuck')] * 3)",
        "[gevent.sleep(1) for one in reqkit_async.imap(asked())]",
    ],
    ids=["busy", "waiting", "elsewhere"],
)
def test_an_interrupt_prints_no_traceback_of_greenlets(scripted: Start, way: str) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.target == "/stuck":
                connection.server.stopping.wait()
                return
            connection.send(OK)

    server = scripted(handler)
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM.format(way=way)), server()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler) and None,
    ) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
        os.kill(program.pid, signal.SIGINT)
        out, err = program.communicate(timeout=180)
    assert (out, err) == ("interrupted\n", "")


# -- threads


def test_a_pool_is_the_threads_that_uses_it_first(scripted: Start) -> None:
    server = scripted(at_once)
    pool = reqkit_async.Pool(2)
    endings: list[Any] = []
    begun = threading.Barrier(3)

    def fetch() -> None:
        begun.wait()
        for _ in range(3):
            try:
                found = pool.map([reqkit_async.get(server()) for _ in range(5)])
                endings.append([one.status_code for one in found])
            except RuntimeError as error:
                endings.append("another thread's" in str(error))

    threads = [threading.Thread(target=fetch) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(map(str, endings)) == ["True"] * 6 + ["[200, 200, 200, 200, 200]"] * 3


@pytest.mark.parametrize(
    "use",
    [
        lambda pool, handle, url: pool.map([reqkit_async.get(url)]),
        lambda pool, handle, url: list(pool.imap([reqkit_async.get(url)])),
        lambda pool, handle, url: pool.spawn(reqkit_async.get(url)),
        lambda pool, handle, url: pool.join(),
        lambda pool, handle, url: pool.kill(),
        lambda pool, handle, url: pool.stop(handle),
        lambda pool, handle, url: handle.get(),
        lambda pool, handle, url: handle.wait(),
    ],
    ids=["map", "imap", "spawn", "join", "kill", "stop", "get", "wait"],
)
def test_each_use_in_another_thread_is_an_error(scripted: Start, use: Any) -> None:
    def slow(connection: Connection) -> None:
        if connection.recv_request() is not None:
            opened.wait(30)
            connection.send(OK)

    opened = threading.Event()
    server = scripted(slow)
    pool = reqkit_async.Pool(2)
    handle = pool.spawn(reqkit_async.get(server()))
    with ThreadPoolExecutor(1) as elsewhere:
        error = elsewhere.submit(use, pool, handle, server()).exception(30)
    opened.set()
    assert type(error) is RuntimeError
    assert "belongs to the thread that uses it first" in str(error)
    assert handle.get().status_code == 200


@pytest.mark.parametrize("way", ["map", "imap", "join", "get", "send-get", "send-join"])
def test_waiting_for_what_never_comes_says_so(scripted: Start, way: str) -> None:
    server = scripted(at_once)
    never = Event()
    request = reqkit_async.get(server(), callback=lambda response: never.wait())
    pool = reqkit_async.Pool(2)
    with pytest.raises(RuntimeError, match="this would wait for ever") as caught:
        if way == "map":
            pool.map([request])
        elif way == "imap":
            list(pool.imap([request]))
        elif way.startswith("send"):
            getattr(reqkit_async.send(request), way[5:])()
        else:
            handle = pool.spawn(request)
            pool.join() if way == "join" else handle.get()
    assert caught.value.__suppress_context__
    never.set()
    pool.kill()


# -- hooks that raise, and bars


@pytest.mark.filterwarnings("ignore::reqkit.exceptions.HookWarning")
@pytest.mark.parametrize("way", ["map", "imap", "imap_unordered", "imap_enumerated", "spawn"])
def test_raise_errors_counts_a_hook_that_raises(scripted: Start, way: str) -> None:
    server = scripted(at_once)
    calls = 0

    def broken(response: Any) -> None:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError("a hook of the user's")

    asked = [reqkit_async.get(server(), callback=broken) for _ in range(300)]
    with pytest.raises(ZeroDivisionError, match="a hook of the user's"):
        if way == "spawn":
            with reqkit_async.Pool(2, raise_errors=True) as pool:
                for request in asked:
                    pool.spawn(request)
        else:
            list(getattr(reqkit_async, way)(asked, size=2, raise_errors=True))
    assert calls < 20


@pytest.mark.parametrize("way", ["map", "imap", "spawn"])
@pytest.mark.parametrize("total", [None, 5])
def test_tqdms_own_bar(scripted: Start, way: str, total: int | None) -> None:
    tqdm = pytest.importorskip("tqdm")
    server = scripted(at_once)

    class Bar(tqdm.tqdm):  # type: ignore[misc]
        monitor_interval = 0

    with open(os.devnull, "w") as nowhere:
        bar = Bar(total=total, file=nowhere)
        asked = [reqkit_async.get(server()) for _ in range(5)]
        if way == "spawn":
            with reqkit_async.Pool(2, progress=bar) as pool:
                for request in asked:
                    pool.spawn(request)
        else:
            assert len(list(getattr(reqkit_async, way)(asked, progress=bar))) == 5
        assert bar.n == 5


@pytest.mark.parametrize("pool", [None, gevent.pool.Pool, reqkit_async.Pool])
@pytest.mark.parametrize("way", ["get", "join"])
def test_who_waits_for_what_another_thread_sends_is_told(
    scripted: Start, pool: Any, way: str
) -> None:
    def slow(connection: Connection) -> None:
        if connection.recv_request() is not None:
            opened.wait(30)
            connection.send(OK)

    opened = threading.Event()
    server = scripted(slow)
    sending = reqkit_async.send(server(), pool=None if pool is None else pool(2))
    until(lambda: server.connections_opened)
    with ThreadPoolExecutor(1) as elsewhere:
        error = elsewhere.submit(getattr(sending, way)).exception(30)
        opened.set()
        assert type(error) is RuntimeError
        assert "another thread" in str(error)
        assert sending.get().status_code == 200
        # What has ended, all may ask.
        assert elsewhere.submit(lambda: sending.get().text).result(30) == "ok"
