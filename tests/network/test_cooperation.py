"""Many requests at once without patching anything, with everything patched, and wherever they run.

That requests run at the same time is shown by servers that answer none until so many are there,
never by a clock.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import gevent.lock
import pytest
import urllib3
from urllib3.util import Retry

import reqkit
import reqkit_async
from reqkit.adapters import HTTPAdapter
from reqkit.base.dependencies import check_urllib3
from reqkit.exceptions import RequestsDependencyWarning
from reqkit.network.streams import stream_on
from reqkit.transport.tls.stream import TlsStream
from reqkit_async.network.streams import GeventStream
from servers.counting import CountingServer
from servers.messages import answer
from servers.proxies import Proxy
from servers.scripted import PATIENCE, Connection, ScriptedServer
from servers.tls import Authority

Start = Callable[..., ScriptedServer]
Count = Callable[..., CountingServer]

PARTIES = 20


def sent_together(url: str, count: int = PARTIES, **keywords: Any) -> set[object]:
    """Send so many requests, all in flight at once; return what different endings they have."""
    requests = [reqkit_async.get(url, **keywords) for _ in range(count)]
    responses = reqkit_async.map(requests, size=count)
    return {response.error or (response.status_code, response.text) for response in responses}


# -- every way to a server


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "way", ["direct", "http_proxy", "auth_proxy", "socks_proxy", "socks_auth_proxy", "socks4_proxy"]
)
def test_at_once(
    scheme: str,
    way: str,
    request: pytest.FixtureRequest,
    counting_server: Count,
    authority: Authority,
    ca_bundle: str,
) -> None:
    server = counting_server(PARTIES, tls=authority.server() if scheme == "https" else None)
    keywords: dict[str, Any] = {"verify": ca_bundle}
    if way != "direct":
        proxy: Proxy = request.getfixturevalue(way)
        url = proxy.url if proxy.userinfo is None else proxy.url_with_credentials
        keywords["proxies"] = {"all": url}
    assert sent_together(server(), **keywords) == {(200, "ok")}
    assert server.peak == PARTIES
    assert server.connections_opened == PARTIES
    if way != "http_proxy" and way != "auth_proxy":
        # They are kept, and serve again.
        assert sent_together(server(), **keywords) == {(200, "ok")}
        assert server.connections_opened == PARTIES


#: Each request makes a connection of its own, instead of waiting for what one server speaks.
ALONE = {"http2": False}


def test_handshakes_at_once(scripted: Start, authority: Authority, ca_bundle: str) -> None:
    """No handshake is answered before all have begun."""
    barrier = threading.Barrier(PARTIES)

    def handler(connection: Connection) -> None:
        barrier.wait(PATIENCE)
        connection.start_tls(authority.server())
        connection.recv_request()
        connection.send(answer(200, b"ok"))

    server = scripted(handler)
    url = f"https://127.0.0.1:{server.port}/"
    assert sent_together(url, verify=ca_bundle, config=ALONE) == {(200, "ok")}


def test_conversations_with_proxies_at_once(
    scripted: Start, echo_secure: ScriptedServer, ca_bundle: str
) -> None:
    barrier = threading.Barrier(PARTIES)

    def handler(connection: Connection) -> None:
        request = connection.recv_request()
        assert request is not None
        barrier.wait(PATIENCE)
        connection.send(answer(200, length=False))
        connection.relay("127.0.0.1", echo_secure.port)

    proxies = {"https": scripted(handler).url}
    requests = [
        reqkit_async.get(echo_secure(), proxies=proxies, verify=ca_bundle, config=ALONE)
        for _ in range(PARTIES)
    ]
    assert all(response.ok for response in reqkit_async.map(requests, size=PARTIES))


def test_bodies_at_once(scripted: Start) -> None:
    """No body ends before all have begun; and uploads neither."""
    barrier = threading.Barrier(PARTIES)

    def handler(connection: Connection) -> None:
        connection.recv_head()
        connection.send(answer(200, fields=[("Content-Length", "2")], length=False) + b"o")
        barrier.wait(PATIENCE)
        connection.send(b"k")

    assert sent_together(scripted(handler)()) == {(200, "ok")}

    def taking(connection: Connection) -> None:
        connection.recv_head()
        barrier.wait(PATIENCE)  # more is on its way than the buffers between us hold
        connection.recv_body()
        connection.send(answer(200, b"ok"))

    url = scripted(taking)()
    big = b"x" * 8_000_000
    requests = [reqkit_async.post(url, data=big) for _ in range(PARTIES)]
    assert all(response.ok for response in reqkit_async.map(requests, size=PARTIES))


@pytest.fixture
def resolver() -> Iterator[Callable[[Any], None]]:
    yield reqkit_async.set_resolver
    reqkit_async.set_resolver(None)


class Together:
    """Knows no name before so many are asked for."""

    def __init__(self, parties: int) -> None:
        self.left = parties
        self.all_there = gevent.event.Event()
        self.asked: list[str] = []

    def resolve(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        self.left -= 1
        if not self.left:
            self.all_there.set()
        if not self.all_there.wait(PATIENCE):
            raise OSError(f"{self.left} more should have asked")
        return ["127.0.0.1"]


def test_names_are_looked_up_at_once(
    resolver: Callable[[Any], None], counting_server: Count
) -> None:
    server = counting_server(PARTIES)
    asked = Together(PARTIES)
    resolver(asked)
    requests = [
        reqkit_async.get(f"http://host{number}.example:{server.port}/") for number in range(PARTIES)
    ]
    responses = reqkit_async.map(requests, size=PARTIES)
    assert [response.error for response in responses] == [None] * PARTIES
    assert sorted(asked.asked) == sorted(f"host{number}.example" for number in range(PARTIES))


def test_the_systems_look_ups_run_beside_each_other(
    monkeypatch: pytest.MonkeyPatch, counting_server: Count
) -> None:
    """What blocks a thread blocks one of its own."""
    server = counting_server(PARTIES)
    barrier = threading.Barrier(PARTIES)
    found = socket.getaddrinfo("127.0.0.1", server.port, 0, socket.SOCK_STREAM)

    def slow(*args: Any) -> Any:
        barrier.wait(PATIENCE)
        return found

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    requests = [
        reqkit_async.get(f"http://slow{number}.example:{server.port}/") for number in range(PARTIES)
    ]
    responses = reqkit_async.map(requests, size=PARTIES)
    assert [response.error for response in responses] == [None] * PARTIES


def test_a_slow_name_holds_back_its_own_alone(
    resolver: Callable[[Any], None], echo: ScriptedServer
) -> None:
    others_done = gevent.event.Event()

    class Slow:
        def resolve(self, host: str, port: int) -> list[str]:
            if host == "slow.example" and not others_done.wait(PATIENCE):
                raise OSError("the others did not get through")
            return ["127.0.0.1"]

    resolver(Slow())
    urls = [f"http://slow.example:{echo.port}/"]
    urls += [f"http://fast{number}.example:{echo.port}/" for number in range(30)]
    ended = 0
    for response in reqkit_async.imap_unordered(map(reqkit_async.get, urls), size=3):
        assert response.error is None
        ended += 1
        if ended == 30:
            others_done.set()
    assert ended == 31


def test_a_back_off_lets_others_through(scripted: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(seconds: float) -> None:
        raise AssertionError("the thread would have slept")

    monkeypatch.setattr(time, "sleep", refuse)
    seen: list[str] = []

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            seen.append(request.target)
            again = request.target == "/a" and seen.count("/a") == 1
            connection.send(answer(503 if again else 200))

    server = scripted(handler)
    urls = [server("/a"), server("/b"), server("/c")]
    # The dispatcher's: a place is free meanwhile.
    responses = reqkit_async.map(map(reqkit_async.get, urls), size=1, retries=1)
    assert [response.status_code for response in responses] == [200] * 3
    assert seen == ["/a", "/b", "/c", "/a"]

    # A request's own, of the core: its greenlet waits, the thread does not.
    seen.clear()
    config = {"max_retries": Retry(total=1, status_forcelist=[503], backoff_factor=0.1)}
    requests = [reqkit_async.get(url, config=config) for url in urls]
    responses = reqkit_async.map(requests, size=3)
    assert [response.status_code for response in responses] == [200] * 3
    assert seen.count("/a") == 2


def test_waiting_for_a_connection_lets_others_through(counting_server: Count) -> None:
    server = counting_server(2, rounds=True)
    with reqkit.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=2, pool_block=True))
        assert sent_together(server(), session=session) == {(200, "ok")}
        assert server.connections_opened == 2


# -- in processes of their own

SCRIPT = """
import sys
{first}
HTTP, HTTPS, PLAIN, BUNDLE = sys.argv[1:5]
N = {parties}

def outcomes(responses):
    return [(each.status_code, each.text) if each.error is None else repr(each.error)
            for each in responses]

def batch(count=N, urls=None):
    # Both of them: each batch is together, or fails.
    for url in urls or (HTTP, HTTPS):
        requests = [reqkit_async.get(url, verify=BUNDLE) for _ in range(count)]
        found = outcomes(reqkit_async.map(requests, size=count))
        assert found == [(200, "ok")] * count, found
    return count

def core(count=N):
    import gevent
    with reqkit.Session(verify=BUNDLE) as session:
        for url in (HTTP, HTTPS):
            sending = [gevent.spawn(session.get, url) for _ in range(count)]
            gevent.joinall(sending)
            assert outcomes(each.value for each in sending) == [(200, "ok")] * count, sending

def main():
{body}

if __name__ == "__main__":
    main()
    print("done")
"""

IMPORTS = "import reqkit, reqkit_async"
PATCH = "import gevent.monkey; gevent.monkey.patch_all()"

#: What is done, where nothing is patched.
PLACES = {
    "main thread": "batch()",
    "another thread": """
        import threading
        thread = threading.Thread(target=batch)
        thread.start()
        thread.join()
    """,
    "two hubs at once": """
        import threading
        threads = [threading.Thread(target=batch, args=(N // 2,)) for _ in range(2)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
    """,
    "main and another": """
        import threading
        thread = threading.Thread(target=batch, args=(N // 2,))
        thread.start()
        batch(N // 2)
        thread.join()
    """,
    "after a fork": """
        import os
        batch()
        pid = os.fork()
        if not pid:
            try:
                batch()
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 0
        batch()
    """,
    "on both sides of a fork": """
        import os
        batch()
        pid = os.fork()
        try:
            batch(N // 2)
            assert pid == 0 or os.waitpid(pid, 0)[1] == 0
        finally:
            if not pid:
                os._exit(sys.exc_info()[0] is not None)
    """,
    "spawned": """
        import multiprocessing
        process = multiprocessing.get_context("spawn").Process(target=batch)
        process.start()
        process.join()
        assert process.exitcode == 0
    """,
    "forked by multiprocessing": """
        import multiprocessing
        batch()
        process = multiprocessing.get_context("fork").Process(target=batch)
        process.start()
        process.join()
        assert process.exitcode == 0
    """,
    "ThreadPoolExecutor": """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(2) as executor:
            for _ in range(2):
                assert list(executor.map(batch, [N // 2, N // 2])) == [N // 2] * 2
    """,
    "ProcessPoolExecutor": """
        from concurrent.futures import ProcessPoolExecutor
        import multiprocessing
        for method in ("spawn", "fork"):
            context = multiprocessing.get_context(method)
            with ProcessPoolExecutor(2, mp_context=context) as executor:
                assert list(executor.map(batch, [N // 2, N // 2])) == [N // 2] * 2
    """,
    "a greenlet of the user's": """
        import gevent
        sending = [gevent.spawn(batch, N // 2) for _ in range(2)]
        gevent.joinall(sending, raise_error=True)
    """,
    "after blocking calls": """
        for url in (PLAIN, PLAIN):
            assert reqkit.get(url).ok
        batch()
        assert reqkit.get(PLAIN).ok
    """,
}

#: When everything is patched.
ORDERS = {
    "before": f"{PATCH}; {IMPORTS}",
    "after reqkit": f"import reqkit; {PATCH}; import reqkit_async",
    "after both": f"{IMPORTS}; {PATCH}",
    "after use": (
        f"{IMPORTS}\nassert reqkit.get(sys.argv[3]).ok\n"
        f"assert reqkit_async.map([reqkit_async.get(sys.argv[3])])[0].ok\n{PATCH}"
    ),
}

PATCHED = {
    "greenlets": "batch(); core(); batch()",
    "core first": "core(); batch(); core()",
    "in threads": PLACES["two hubs at once"],
    "core in threads": """
        from concurrent.futures import ThreadPoolExecutor
        with reqkit.Session(verify=BUNDLE) as session, ThreadPoolExecutor(N) as executor:
            for url in (HTTP, HTTPS):
                found = outcomes(executor.map(session.get, [url] * N))
                assert found == [(200, "ok")] * N, found
    """,
    "in native threads": """
        from gevent.threadpool import ThreadPool
        pool = ThreadPool(2)
        assert pool.map(batch, [N // 2, N // 2]) == [N // 2] * 2
    """,
    "core in native threads": """
        from gevent.threadpool import ThreadPool
        pool = ThreadPool(N - 1)
        with reqkit.Session(verify=BUNDLE) as session:
            for url in (HTTP, HTTPS) * 2:
                sending = [pool.spawn(session.get, url) for _ in range(N - 1)]
                found = outcomes([session.get(url), *(each.get() for each in sending)])
                assert found == [(200, "ok")] * N, found
    """,
}

# What gevent says of patching after others' imports, and newer Pythons of forking with threads.
QUIET = ["-W", "ignore:Monkey-patching ssl", "-W", "ignore::DeprecationWarning"]


def run_in_a_process(
    folder: Path,
    body: str,
    counting_server: Count,
    authority: Authority,
    plain: ScriptedServer,
    first: str = IMPORTS,
    **environment: str,
) -> list[CountingServer]:
    """Run a script; return the servers that it asked, over http and over https."""
    servers = [
        counting_server(PARTIES, rounds=True),
        counting_server(PARTIES, rounds=True, tls=authority.server()),
    ]
    script = folder / "script.py"  # a file: what spawned processes import
    script.write_text(
        SCRIPT.format(
            first=first, parties=PARTIES, body=textwrap.indent(textwrap.dedent(body), "    ")
        )
    )
    urls = [*(server() for server in servers), plain()]
    ended = subprocess.run(
        [sys.executable, *QUIET, str(script), *urls, str(authority.bundle)],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, **environment},
        check=False,
    )
    assert (ended.stderr, ended.stdout, ended.returncode) == ("", "done\n", 0)
    return servers


@pytest.mark.parametrize("place", PLACES)
def test_wherever_it_runs(
    place: str,
    tmp_path: Path,
    counting_server: Count,
    authority: Authority,
    echo: ScriptedServer,
) -> None:
    servers = run_in_a_process(tmp_path, PLACES[place], counting_server, authority, echo)
    assert [server.peak for server in servers] == [PARTIES] * 2


@pytest.mark.parametrize(
    "order",
    [
        "before",
        pytest.param("after reqkit", marks=pytest.mark.once),
        "after both",
        pytest.param("after use", marks=pytest.mark.once),
    ],
)
@pytest.mark.parametrize("what", PATCHED)
def test_when_all_is_patched(
    what: str,
    order: str,
    tmp_path: Path,
    counting_server: Count,
    authority: Authority,
    echo: ScriptedServer,
) -> None:
    servers = run_in_a_process(
        tmp_path, PATCHED[what], counting_server, authority, echo, ORDERS[order]
    )
    assert [server.peak for server in servers] == [PARTIES] * 2


def test_what_was_kept_before_patching_is_not_used_after(
    scripted: Start, authority: Authority
) -> None:
    """A connection that blocks the thread would hold up all the others."""
    barrier = threading.Barrier(PARTIES)

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.target == "/together":
                barrier.wait(PATIENCE)
            connection.send(answer(200, str(connection.number).encode()))

    server = scripted(handler, tls=authority.server())
    assert run(
        f"""
        import gevent, gevent.monkey, reqkit, reqkit_async
        session = reqkit.Session(verify={str(authority.bundle)!r})
        def ask():
            return session.get({server("/together")!r}).text
        assert session.get({server("/alone")!r}).text == "1"
        assert session.get({server("/alone")!r}).text == "1"
        gevent.monkey.patch_all()
        sending = [gevent.spawn(ask) for _ in range({PARTIES})]
        gevent.joinall(sending, raise_error=True)
        assert "1" not in [each.value for each in sending]
        session.close()
        """
    ) == ("", 0)


@pytest.mark.parametrize("order", ["never", "before", "after both"])
def test_with_libuv(
    order: str,
    tmp_path: Path,
    counting_server: Count,
    authority: Authority,
    echo: ScriptedServer,
) -> None:
    body = """
        import gevent
        assert "libuv" in type(gevent.get_hub().loop).__module__
        batch()
    """
    first = ORDERS.get(order, IMPORTS)
    servers = run_in_a_process(
        tmp_path, body, counting_server, authority, echo, first, GEVENT_LOOP="libuv"
    )
    assert [server.peak for server in servers] == [PARTIES] * 2


# -- importing


@pytest.mark.parametrize(
    "imports",
    [
        "reqkit_async",
        "reqkit, reqkit_async",
        "reqkit_async, reqkit",
        "gevent, reqkit_async",
        "reqkit_async, gevent, reqkit",
        "urllib3, ssl, socket, reqkit_async",
    ],
)
def test_importing_changes_nothing(imports: str) -> None:
    script = f"""
        import os, queue, select, selectors, signal, socket, ssl, subprocess, sys, threading, time
        import _thread
        def identities():
            return {{
                f"{{module.__name__}}.{{name}}": id(value)
                for module in (os, queue, select, selectors, signal, socket, ssl, subprocess,
                               threading, time, _thread)
                for name, value in vars(module).items() if not name.startswith("__")
            }}
        before, running = identities(), threading.enumerate()
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGCHLD)]
        main = threading.main_thread(), threading.current_thread(), threading.get_ident()
        import {imports}
        after = identities()
        changed = {{name for name in before if before[name] != after.get(name)}}
        # A registry that functions are added to is no change of behaviour.
        assert changed == set(), changed
        assert threading.enumerate() == running
        assert main == (
            threading.main_thread(), threading.current_thread(), threading.get_ident()
        )
        assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGCHLD)]
        from gevent import monkey
        from gevent._hub_local import get_hub_if_exists
        assert not monkey.saved, monkey.saved
        assert get_hub_if_exists() is None
        assert type(socket.socket(socket.AF_INET)).__module__ == "socket"
    """
    assert run(script) == ("", 0)


def test_sending_patches_nothing(echo: ScriptedServer) -> None:
    assert run(
        f"""
        import socket, ssl, threading, time
        before = (socket.socket, ssl.SSLContext, time.sleep, threading.Lock, threading.local)
        import reqkit_async
        from gevent import monkey
        assert reqkit_async.map([reqkit_async.get({echo()!r})])[0].ok
        assert before == (
            socket.socket, ssl.SSLContext, time.sleep, threading.Lock, threading.local
        )
        assert not monkey.saved
        """
    ) == ("", 0)


def test_the_core_alone_needs_no_gevent(echo: ScriptedServer) -> None:
    assert run(
        f"""
        import sys
        sys.modules["gevent"] = None  # not to be had
        import reqkit
        assert reqkit.get({echo()!r}).ok
        assert [name for name in sys.modules if name.startswith(("gevent.", "greenlet"))] == []
        """
    ) == ("", 0)


def run(script: str) -> tuple[str, int]:
    """Run a script; return what it complained of, and its exit status."""
    ended = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", *QUIET, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return ended.stderr, ended.returncode


# -- one session for all


def streams(session: reqkit.Session) -> list[str]:
    """Return the kinds of the streams that a session keeps, what carries TLS for TLS."""
    kinds = []
    for adapter in {id(each): each for each in session.adapters.values()}.values():
        assert isinstance(adapter, HTTPAdapter)
        for pool in adapter.poolmanager.pools.values():
            for kept in pool._idle.values():
                for connection in kept:
                    stream = connection.stream
                    while isinstance(stream, TlsStream):
                        stream = stream._inner
                    kinds.append(type(stream).__name__)
    return sorted(kinds)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_session_serves_blocking_code_and_greenlets_in_turn(
    scheme: str, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            number = request.target.strip("/")
            received = {"connection": connection.number, "cookies": request.get("Cookie") or ""}
            fields = [("Set-Cookie", f"c{number}=v{number}")]
            connection.send(answer(200, json.dumps(received).encode(), fields))

    server = scripted(handler, tls=authority.server() if scheme == "https" else None)
    used: dict[str, set[int]] = {"blocking": set(), "greenlets": set(), "thread": set()}
    cookies: list[str] = []

    def note(way: str, response: reqkit.Response) -> None:
        received = response.json()
        used[way].add(received["connection"])
        cookies.append(received["cookies"])

    with reqkit.Session(verify=ca_bundle) as session:

        def cooperating(way: str, number: int) -> None:
            request = reqkit_async.get(server(f"/{number}"), session=session)
            note(way, reqkit_async.map([request])[0])

        for number in range(0, 12, 3):
            note("blocking", session.get(server(f"/{number}")))
            cooperating("greenlets", number + 1)
            # Blocking, although in a greenlet: nothing is patched.
            blocking = gevent.spawn(session.get, server(f"/{number + 2}"))
            note("blocking", blocking.get())
        thread = threading.Thread(target=cooperating, args=("thread", 12))
        thread.start()
        thread.join()
        with socket.socket() as sock:
            blocking_stream = type(stream_on(sock)).__name__
        assert set(streams(session)) == {blocking_stream, GeventStream.__name__}
        assert streams(session).count(blocking_stream) == 1
        # One jar for all of them.
        assert len(session.cookies) == 13
    assert {way: len(numbers) for way, numbers in used.items()} == dict.fromkeys(used, 1)
    assert len(set.union(*used.values())) == 3
    for number, sent in enumerate(cookies):
        pairs = set(sent.split("; ")) - {""}
        assert pairs == {f"c{earlier}=v{earlier}" for earlier in range(number)}
    server.wait_for_no_connections()


def test_two_hundred_greenlets_share_a_session(scripted: Start) -> None:
    """Each gets its own answer, and sends what is its own and the session's, nobody else's."""
    gate = threading.Barrier(200)

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            gate.wait(PATIENCE)
            connection.send(answer(200, request.as_json()))

    server = scripted(handler)
    with reqkit.Session(
        headers={"X-All": "all"}, cookies={"all": "yes"}, params={"s": "1"}
    ) as session:
        requests = [
            reqkit_async.post(
                server(f"/{number}"),
                data=f"body {number}",
                params={"n": str(number)},
                headers={"X-Number": str(number), "X-All": None if number % 2 else "mine"},
                cookies={"number": str(number)},
                auth=(f"user{number}", f"secret{number}"),
                session=session,
            )
            for number in range(200)
        ]
        for _ in range(2):
            for number, response in enumerate(reqkit_async.map(requests, size=200)):
                assert response.error is None
                received = response.json()
                fields = {name.lower(): value for name, value in received["fields"]}
                assert received["target"] == f"/{number}?s=1&n={number}"
                assert received["body"] == f"body {number}"
                assert fields["x-number"] == str(number)
                assert fields.get("x-all") == (None if number % 2 else "mine")
                assert set(fields["cookie"].split("; ")) == {"all=yes", f"number={number}"}
                secret = base64.b64encode(f"user{number}:secret{number}".encode()).decode()
                assert fields["authorization"] == f"Basic {secret}"
        assert session.headers == {"X-All": "all"}
        assert dict(session.cookies) == {"all": "yes"}
    assert server.peak_connections == 200


def test_greenlets_in_many_threads_share_a_session(
    counting_server: Count, authority: Authority, ca_bundle: str
) -> None:
    server = counting_server(PARTIES, tls=authority.server(), rounds=True)
    failures: list[BaseException] = []
    with reqkit.Session(verify=ca_bundle) as session:

        def work() -> None:
            try:
                for _ in range(3):
                    assert sent_together(server(), PARTIES // 4, session=session) == {(200, "ok")}
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []
    assert server.connections_opened == PARTIES


def test_a_plain_context_serves_both(counting_server: Count, authority: Authority) -> None:
    """A user's ``ssl.SSLContext``, the standard library's, does not make greenlets wait in turn."""
    context = authority.trusting()
    assert type(context) is ssl.SSLContext

    class Own(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **keywords: Any) -> None:
            super().init_poolmanager(*args, ssl_context=context, **keywords)

    server = counting_server(PARTIES, tls=authority.server())
    with reqkit.Session() as session:
        session.mount("https://", Own())
        assert sent_together(server(), session=session) == {(200, "ok")}
        assert session.get(server()).ok


# -- urllib3's place taken


@pytest.mark.parametrize("version", ["2.12.900", "2.13.911", "2.14.905.dev0"])
def test_urllib3_future_is_named(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib3, "__version__", version)
    with pytest.warns(RequestsDependencyWarning, match=rf"{version}, is urllib3-future"):
        check_urllib3()


@pytest.mark.parametrize("version", ["2.7.0", "2.90.0", "2.9.1", "2.7.90", ""])
def test_urllib3_itself_is_not(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(urllib3, "__version__", version)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_urllib3()


def test_urllib3_future_is_named_when_reqkit_is_imported() -> None:
    script = "import urllib3; urllib3.__version__ = '2.12.905'\nimport reqkit\nimport reqkit"
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=180, check=False
    )
    assert ended.returncode == 0
    assert ended.stderr.count("RequestsDependencyWarning") == 1
    assert "pip install --force-reinstall 'urllib3>=2.7,<3'" in ended.stderr
    # It names the line that imports.
    assert ended.stderr.startswith("<string>:2:")
