"""Bearer tokens that run out: one new one for all who need it, and each message once more."""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from reqkit.auth import HTTPBearerAuth
from servers.http2 import Http2Server
from servers.http2 import Request as Http2Request
from servers.messages import Received, answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority
from servers.waiting import until

Scripted = Callable[..., ScriptedServer]
N = 12


class Issuer:
    """A server that takes one token alone, and issues new ones at ``/token``.

    Where ``together`` is given, a token is issued once so many requests were refused.
    """

    def __init__(self, together: int = 0) -> None:
        self.valid = "none yet"
        self.issued = 0
        self.refused = 0
        self.together = together
        self.bodies: list[bytes] = []
        self._changed = threading.Condition()

    def handle(self, connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            connection.send(self.answer_to(request))

    def answer_to(self, request: Received) -> bytes:
        with self._changed:
            if request.target == "/token":
                assert self._changed.wait_for(lambda: self.refused >= self.together, 20)
                self.issued += 1
                self.valid = f"t{self.issued}"
                return answer(200, self.valid.encode())
            if request.get("Authorization") != f"Bearer {self.valid}":
                self.refused += 1
                self._changed.notify_all()
                return answer(401, b"no", [("WWW-Authenticate", 'Bearer error="invalid_token"')])
            self.bodies.append(request.body)
            return answer(200, request.as_json())


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def server(issuer: Issuer) -> Iterator[ScriptedServer]:
    with ScriptedServer(issuer.handle) as server:
        yield server


def refreshed_at(server: ScriptedServer, token: str | None = None) -> HTTPBearerAuth:
    return HTTPBearerAuth(token, refresh=lambda: reqkit.post(server("/token")).text)


def test_a_token_is_asked_for_where_there_is_none(server: ScriptedServer, issuer: Issuer) -> None:
    auth = refreshed_at(server)
    for _ in range(3):
        assert reqkit.get(server("/"), auth=auth).status_code == 200
    assert (issuer.issued, issuer.refused, auth.token) == (1, 0, "t1")


def test_a_401_has_a_new_one_asked_for(server: ScriptedServer, issuer: Issuer) -> None:
    with reqkit.Session(auth=refreshed_at(server, "old")) as session:
        response = session.post(server("/"), data=b"body")
        assert response.status_code == 200
        assert [one.status_code for one in response.history] == [401]
        assert response.request.headers["Authorization"] == "Bearer t1"
        issuer.valid = "gone"
        assert session.get(server("/")).status_code == 200
    assert (issuer.issued, issuer.refused) == (2, 2)
    assert issuer.bodies == [b"body", b""]
    assert server.connections_opened <= 2  # the token's, and one that is kept


def test_once_more_and_not_again(server: ScriptedServer, issuer: Issuer) -> None:
    asked: list[int] = []

    def wrong() -> str:
        asked.append(1)
        return f"wrong{len(asked)}"

    response = reqkit.get(server("/"), auth=HTTPBearerAuth("old", wrong))
    assert (response.status_code, len(asked), issuer.refused) == (401, 1, 2)


def test_without_refresh_a_401_is_the_answer(server: ScriptedServer, issuer: Issuer) -> None:
    assert reqkit.get(server("/"), auth=HTTPBearerAuth("old")).status_code == 401
    assert issuer.refused == 1


def test_many_threads_ask_once() -> None:
    issuer = Issuer(together=N)
    with ScriptedServer(issuer.handle) as server, ThreadPoolExecutor(N) as threads:
        auth = refreshed_at(server, "old")
        answers = list(threads.map(lambda _: reqkit.get(server("/"), auth=auth), range(N)))
    assert [one.status_code for one in answers] == [200] * N
    assert (issuer.issued, issuer.refused) == (1, N)


def test_many_greenlets_ask_once() -> None:
    issuer = Issuer(together=N)
    with ScriptedServer(issuer.handle) as server:
        auth = refreshed_at(server, "old")
        requests = [reqkit_async.post(server("/"), data=b"x", auth=auth) for _ in range(N)]
        answers = reqkit_async.map(requests, size=N, timeout=30)
    assert [one.status_code for one in answers] == [200] * N
    assert (issuer.issued, issuer.refused) == (1, N)


def test_greenlets_without_a_token_wait_for_the_first(server: ScriptedServer) -> None:
    """The function that asks lets the others run, and each of them come to wait."""
    auth = HTTPBearerAuth(refresh=lambda: reached() or reqkit.post(server("/token")).text)

    def reached() -> None:
        until(lambda: auth._running is not None and len(auth._running.waiting) == N - 1)

    answers = reqkit_async.map([reqkit_async.get(server("/"), auth=auth)] * N, size=N, timeout=30)
    assert [one.status_code for one in answers] == [200] * N
    assert auth.token == "t1"


def test_batches_in_several_threads_and_blocking_code_ask_once() -> None:
    issuer = Issuer(together=3 * N)
    with ScriptedServer(issuer.handle) as server, ThreadPoolExecutor(N + 2) as threads:
        auth = refreshed_at(server, "old")

        def batch() -> list[Any]:
            requests = [reqkit_async.get(server("/"), auth=auth) for _ in range(N)]
            return reqkit_async.map(requests, size=N, timeout=30)

        running = [threads.submit(batch) for _ in range(2)]
        running += [threads.submit(lambda: [reqkit.get(server("/"), auth=auth)]) for _ in range(N)]
        answers = [one for each in running for one in each.result()]
    assert [one.status_code for one in answers] == [200] * (3 * N)
    assert (issuer.issued, issuer.refused) == (1, 3 * N)


def test_a_stopped_refresh_is_taken_over(server: ScriptedServer, issuer: Issuer) -> None:
    calls: list[int] = []

    def refresh() -> str:
        calls.append(1)
        if len(calls) == 1:
            gevent.event.Event().wait()  # for ever
        return reqkit.post(server("/token")).text

    auth = HTTPBearerAuth(refresh=refresh)
    first = reqkit_async.send(reqkit_async.get(server("/"), auth=auth))
    until(lambda: calls)
    second = reqkit_async.send(reqkit_async.get(server("/"), auth=auth))
    until(lambda: auth._running is not None and auth._running.waiting)
    first.kill()
    assert second.get().status_code == 200
    assert (len(calls), issuer.issued) == (2, 1)


def test_blocking_code_never_waits_for_a_greenlet_of_its_own_thread(
    server: ScriptedServer, issuer: Issuer
) -> None:
    """It would for ever: it asks for itself."""
    begun: list[Any] = []

    def refresh() -> str:
        begun.append(1)
        if len(begun) == 1:
            until(lambda: len(begun) == 2)
        return reqkit.post(server("/token")).text

    auth = HTTPBearerAuth(refresh=refresh)
    batch = gevent.spawn(reqkit_async.map, [reqkit_async.get(server("/"), auth=auth)], timeout=30)
    until(lambda: begun)
    assert reqkit.get(server("/"), auth=auth).status_code == 200
    [entry] = batch.get()
    assert entry.status_code == 200
    assert len(begun) == 2


@pytest.mark.parametrize("many", [False, True])
def test_a_refresh_that_raises_is_the_requests_error(server: ScriptedServer, many: bool) -> None:
    def refresh() -> str:
        raise KeyError("access_token of s3cret")

    auth = HTTPBearerAuth("old", refresh)
    if many:
        errors = [r.error for r in reqkit_async.map([reqkit_async.get(server("/"), auth=auth)] * 3)]
    else:
        with pytest.raises(reqkit.RequestException) as caught:
            reqkit.get(server("/"), auth=auth)
        errors = [caught.value]
    for error in errors:
        assert type(error) is reqkit.RequestException
        assert "refresh raised KeyError" in str(error)
        assert "s3cret" not in str(error)
        assert type(error.__cause__) is KeyError


def test_those_who_wait_for_a_refresh_that_raises_have_its_error(server: ScriptedServer) -> None:
    calls: list[int] = []

    def refresh() -> str:
        calls.append(1)
        until(lambda: auth._running is not None and len(auth._running.waiting) == 3)
        return reqkit.post(server("/"), config={"danger_mode": True}).text  # refused

    auth = HTTPBearerAuth(refresh=refresh)
    entries = reqkit_async.map([reqkit_async.get(server("/"), auth=auth)] * 4, timeout=30)
    assert len(calls) == 1
    assert len({str(entry.error) for entry in entries}) == 1
    assert "refresh raised HTTPError" in str(entries[0].error)
    assert len({id(entry.error) for entry in entries}) == 4


@pytest.mark.parametrize("given", [None, 7, "", "two words", b"\xff", "Bearer x"])
def test_what_is_no_token_is_said(server: ScriptedServer, given: Any) -> None:
    with pytest.raises(reqkit.RequestException, match="refresh returned what is none"):
        reqkit.get(server("/"), auth=HTTPBearerAuth(refresh=lambda: given))


def test_a_refresh_that_needs_itself_is_an_error(server: ScriptedServer) -> None:
    auth = HTTPBearerAuth(refresh=lambda: session.post(server("/token")).text)
    with (
        reqkit.Session(auth=auth) as session,
        pytest.raises(reqkit.RequestException, match="same auth"),
    ):
        session.get(server("/"))


def test_who_waits_keeps_the_total_limit(server: ScriptedServer) -> None:
    go_on = threading.Event()
    begun = threading.Event()

    def refresh() -> str:
        begun.set()
        assert go_on.wait(20)
        return "t"

    auth = HTTPBearerAuth(refresh=refresh)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(reqkit.get, server("/"), auth=auth)
        assert begun.wait(20)
        with pytest.raises(reqkit.TotalTimeout) as caught:
            reqkit.get(server("/"), auth=auth, timeout=reqkit.Timeouts(total=0.5))
        assert caught.value.phase == "wait"
        go_on.set()
        assert first.result().status_code == 401


def test_another_origin_gets_no_token_and_no_refresh(
    server: ScriptedServer, issuer: Issuer
) -> None:
    heads: list[Received] = []

    def elsewhere(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            heads.append(request)
            connection.send(answer(401))

    with ScriptedServer(elsewhere) as other:

        def redirects(connection: Connection) -> None:
            while connection.recv_request() is not None:
                connection.send(answer(302, b"", [("Location", other("/"))]))

        with ScriptedServer(redirects) as first:
            response = reqkit.get(first("/"), auth=refreshed_at(server, "mine"))
    assert response.status_code == 401
    assert [head.get("Authorization") for head in heads] == [None]
    assert issuer.issued == 0
    assert [one.get("Authorization") for one in first.requests] == ["Bearer mine"]


def test_a_header_of_somebody_elses_is_left_alone(server: ScriptedServer, issuer: Issuer) -> None:
    def other(prepared: Any) -> None:
        prepared.headers["Authorization"] = "Basic bWU6"

    response = reqkit.get(
        server("/"), auth=refreshed_at(server, "old"), hooks={"pre_request": other}
    )
    assert (response.status_code, issuer.issued) == (401, 0)


def test_bodies_are_rewound(server: ScriptedServer, issuer: Issuer) -> None:
    file = io.BytesIO(b"..the file")
    file.seek(2)
    reqkit.post(server("/"), data=file, auth=refreshed_at(server, "old")).raise_for_status()
    files = {"f": ("f.txt", io.BytesIO(b"content"))}
    reqkit.post(server("/"), files=files, auth=refreshed_at(server, "old")).raise_for_status()
    assert issuer.bodies[0] == b"the file"
    assert b"content" in issuer.bodies[1]
    with pytest.raises(reqkit.UnrewindableBodyError):
        reqkit.post(server("/"), data=iter([b"once"]), auth=refreshed_at(server, "old"))


def a_token() -> str:
    return "t"


def test_a_bearer_auth_travels() -> None:
    auth = HTTPBearerAuth("first", a_token)
    twin = pickle.loads(pickle.dumps(auth))
    assert (twin.token, twin.refresh) == ("first", a_token)
    assert twin != auth
    assert twin._token_after("first", None) == "t"
    assert (twin.token, auth.token) == ("t", "first")
    assert len({auth, twin, HTTPBearerAuth("first")}) == 3
    assert "first" not in repr(auth)


@pytest.mark.parametrize("arguments", [(), (None, None), (None, "t"), (7,), ("t", 7)])
def test_wrong_arguments(arguments: Any) -> None:
    with pytest.raises(TypeError):
        HTTPBearerAuth(*arguments)


PATCHED = """
import gevent.monkey
gevent.monkey.patch_all()
import gevent, reqkit, sys, threading
from gevent.threadpool import ThreadPool
from reqkit.auth import HTTPBearerAuth

url, n = sys.argv[1], int(sys.argv[2])


def refresh():
    with reqkit.Session() as session:  # closed in its thread, before that ends
        return session.post(url + "/token").text


def get():
    with reqkit.Session(auth=auth) as session:
        return session.get(url).status_code


auth = HTTPBearerAuth("old", refresh)
threads = ThreadPool(2)
natives = [threads.spawn(get) for _ in range(2)]
greenlets = [gevent.spawn(get) for _ in range(n - 2)]
print({one.get() for one in natives + greenlets})
threads.kill()
"""


def test_patched_greenlets_and_native_threads_ask_once() -> None:
    issuer = Issuer(together=N)
    with ScriptedServer(issuer.handle) as server:
        ended = subprocess.run(
            [sys.executable, "-c", PATCHED, server.url, str(N)],
            capture_output=True, text=True, timeout=180,
        )  # fmt: skip
    assert (ended.stdout, ended.stderr) == ("{200}\n", "")
    assert (issuer.issued, issuer.refused) == (1, N)


def test_by_http2_greenlets_of_one_connection_ask_once(
    authority: Authority, ca_bundle: str
) -> None:
    refused: list[str] = []
    both = threading.Condition()

    def handle(request: Http2Request) -> None:
        with both:
            if request.path == "/token":
                assert both.wait_for(lambda: len(refused) == N, 20)
                request.answer(b"new")
            elif request.get("authorization") != "Bearer new":
                refused.append(request.path)
                both.notify_all()
                request.answer(b"no", 401)
            else:
                request.read()
                request.answer(request.body)

    with (
        Http2Server(handle, tls=authority.server()) as server,
        reqkit.Session(verify=ca_bundle) as plain,
        reqkit.Session(verify=ca_bundle) as session,
    ):

        def refresh() -> str:
            [answered] = reqkit_async.map([reqkit_async.get(server("/token"), session=plain)])
            return answered.text

        session.auth = HTTPBearerAuth("old", refresh)
        requests = [
            reqkit_async.post(server("/"), data=b"x" * n, session=session) for n in range(N)
        ]
        entries = reqkit_async.map(requests, size=N, timeout=30)
        assert [entry.content for entry in entries] == [b"x" * n for n in range(N)]
        assert {entry.version for entry in entries} == {20}
        assert len(refused) == N
        assert len(server.peers) == 2
