"""A fork in the midst of something: both processes go on, and each with connections of its own."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from servers.http2 import Gone, Http2Server, Request
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")

WHOLE = b"0123456789"
#: What the servers do: half of it, and the rest once a test says so.
Servers = dict[str, Any]


def in_child(work: Callable[[], Any]) -> Callable[[], str]:
    """Fork, and return what waits for the child and says what it has returned, or raised."""
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.alarm(60)
            try:
                said = repr(work())
            except BaseException as error:
                said = f"{type(error).__name__}: {error}"
            os.write(writes, said.encode()[:60_000])
        finally:
            os._exit(0)
    os.close(writes)

    def wait() -> str:
        with os.fdopen(reads, "rb") as pipe:
            said = pipe.read().decode()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return said

    return wait


@pytest.fixture
def servers(authority: Authority) -> Iterator[Servers]:
    """Three that send half of a body, and the rest when it is let go: by each wire."""
    let_go = threading.Event()

    def by_http1(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            data = answer(200, WHOLE)
            if request.target == "/slow":
                connection.send(data[:-5])
                connection.wait(let_go)
                data = data[-5:]
            connection.send(data)

    def by_http2(request: Request) -> None:
        if request.path != "/slow":
            request.answer(WHOLE)
            return
        request.head(200, {"content-length": "10"})
        request.data(WHOLE[:5])
        if not let_go.wait(20):
            raise Gone
        request.data(WHOLE[5:], True)

    with ExitStack() as stack:
        yield {
            "http": stack.enter_context(ScriptedServer(by_http1)),
            "https": stack.enter_context(ScriptedServer(by_http1, tls=authority.server())),
            "http2": stack.enter_context(Http2Server(by_http2, tls=authority.server())),
            "let_go": let_go,
        }
        let_go.set()


@pytest.fixture
def session(ca_bundle: str) -> Iterator[reqkit.Session]:
    with reqkit.Session(verify=ca_bundle, config={"http2": "auto"}, timeout=20) as made:
        yield made


def ask(kind: str, servers: Servers, session: reqkit.Session) -> bytes:
    config = {"http2": kind == "http2"}
    content: bytes = session.get(servers[kind]("/"), config=config).content
    return content


def half_read(
    kind: str, servers: Servers, session: reqkit.Session, batch: bool
) -> tuple[Any, Iterator[bytes]]:
    """Return a response of which half is read, and what reads the rest."""
    url = servers[kind]("/slow")
    config = {"http2": kind == "http2"}
    if batch:
        [response] = reqkit_async.map(
            [reqkit_async.get(url, session=session, config=config)], prefetch=False
        )
    else:
        response = session.get(url, config=config)
    pieces = response.iter_content(5)
    assert next(pieces) == WHOLE[:5]
    return response, pieces


@pytest.mark.parametrize("batch", [False, True], ids=["core", "batch"])
@pytest.mark.parametrize("kind", ["http", "https", "http2"])
def test_a_body_is_for_the_process_that_has_asked_for_it(
    kind: str, batch: bool, servers: Servers, session: reqkit.Session
) -> None:
    _response, pieces = half_read(kind, servers, session, batch)

    def read_on() -> Any:
        try:
            return b"".join(pieces)
        except reqkit.ConnectionError as error:
            assert "fork" in str(error)
        [again] = reqkit_async.map([reqkit_async.get(servers[kind]("/"), session=session)])
        return ask(kind, servers, session), again.content

    said = in_child(read_on)()
    assert said == repr((WHOLE, WHOLE))
    servers["let_go"].set()
    assert b"".join(pieces) == WHOLE[5:]
    assert ask(kind, servers, session) == WHOLE


@pytest.mark.parametrize("batch", [False, True], ids=["core", "batch"])
@pytest.mark.parametrize("kind", ["http", "https", "http2"])
def test_a_child_that_drops_a_body_does_no_harm(
    kind: str, batch: bool, servers: Servers, session: reqkit.Session
) -> None:
    response, pieces = half_read(kind, servers, session, batch)

    def drop() -> Any:
        response.close()
        session.close()
        return ask(kind, servers, session)

    assert in_child(drop)() == repr(WHOLE)
    servers["let_go"].set()
    assert b"".join(pieces) == WHOLE[5:]


def test_a_pool_at_work_is_its_own_process(servers: Servers, session: reqkit.Session) -> None:
    urls = [servers[kind]("/slow") for kind in ("http", "https", "http2")]
    pool = reqkit_async.Pool(size=2, session=session)
    handles = [pool.spawn(url) for url in urls]
    alone = reqkit_async.send(reqkit_async.get(urls[0], session=session))
    taken = reqkit_async.imap([servers["http"]("/"), *urls], size=2)
    assert next(taken).content == WHOLE
    with gevent.Timeout(20):
        while len(servers["http"].requests) < 3:
            gevent.sleep(0.001)

    def use() -> Any:
        calls: list[Callable[[], Any]] = [
            pool.join, pool.kill, lambda: pool.spawn(urls[0]), lambda: pool.map(urls),
            lambda: list(pool.imap(urls)), handles[0].get, handles[0].wait, alone.get, alone.join,
            lambda: next(taken),
        ]  # fmt: skip
        for call in calls:
            try:
                return call, call()
            except RuntimeError as error:
                assert "forked this one" in str(error), error
        try:
            with pool:
                raise LookupError
        except LookupError:
            pass
        with reqkit_async.Pool(size=2, session=session) as other:
            entry = other.spawn(servers["http2"]("/"))
        return entry.get().content

    said = in_child(use)()
    assert said == repr(WHOLE)
    servers["let_go"].set()
    assert pool.join(20)
    assert [handle.get().content for handle in handles] == [WHOLE] * 3
    assert alone.get().content == WHOLE
    assert len(list(taken)) == 3


def test_a_pool_with_nothing_to_do_serves_a_child(
    servers: Servers, session: reqkit.Session
) -> None:
    url = servers["http"]("/")
    pool = reqkit_async.Pool(size=2, session=session)
    assert all(pool.map([url] * 3))
    handle = pool.spawn(url)
    pool.join()

    def use() -> Any:
        further = pool.spawn(url)
        pool.join()
        return handle.get().content, further.get().content, len(pool.map([url] * 3))

    assert in_child(use)() == repr((WHOLE, WHOLE, 3))
    assert all(pool.map([url] * 3))


def test_a_fork_in_a_hook(servers: Servers, session: reqkit.Session) -> None:
    children: list[Callable[[], str]] = []
    kinds = ("http", "https", "http2")
    mine = os.getpid()

    def use() -> Any:
        contents = {ask(kind, servers, session) for kind in kinds}
        entries = reqkit_async.map([servers["http"]("/")])
        return contents | {entry.content for entry in entries}, os.getpid() != mine

    def fork(response: Any) -> None:
        children.append(in_child(use))

    hooks = {"response": fork}
    requests = [
        reqkit_async.get(servers[kind]("/"), session=session, hooks=hooks) for kind in kinds
    ]
    responses = reqkit_async.map(requests)
    assert [response.error for response in responses] == [None] * 3
    assert [response.content for response in responses] == [WHOLE] * 3
    assert session.get(servers["https"]("/"), hooks=hooks).content == WHOLE
    assert [wait() for wait in children] == [repr(({WHOLE}, True))] * 4


def test_what_waits_in_a_pool_is_not_sent_by_a_child(
    servers: Servers, session: reqkit.Session
) -> None:
    """Nor are hooks run there: what is under way, or waits for room or time, is the parent's."""
    mine, ran = os.getpid(), []

    def hook(response: Any) -> None:
        ran.append(os.getpid())

    def requests(path: str) -> list[Any]:
        url = servers["http"](path)
        own: dict[str, Any] = {"hooks": {"response": hook}, "config": {"max_retries": 2}}
        return [reqkit_async.get(url, session=session, **own) for _ in range(4)]

    pool = reqkit_async.Pool(size=2, session=session, delay=0.05, timeout=20, retries=1)
    for request in (*requests("/slow"), *requests("/")):
        pool.spawn(request)
    alone = reqkit_async.send(requests("/slow")[0])
    with gevent.Timeout(20):
        while len(servers["http"].requests) < 3:
            gevent.sleep(0.001)

    def use() -> Any:
        entries = reqkit_async.map([servers["http"]("/child")] * 5, delay=0.05)
        gevent.sleep(0.2)  # in which anything else could have been sent
        return len([entry for entry in entries if entry.ok]), [pid for pid in ran if pid != mine]

    assert in_child(use)() == repr((5, []))
    servers["let_go"].set()
    assert pool.join(20)
    assert alone.get().ok
    assert ran == [mine] * 9
    targets = [request.target for request in servers["http"].requests]
    assert sorted(targets) == ["/"] * 4 + ["/child"] * 5 + ["/slow"] * 5
