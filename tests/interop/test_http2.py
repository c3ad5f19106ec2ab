"""HTTP/2 with servers that the distribution ships: nginx, nghttpd, apache, h2o, haproxy, caddy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from servers.daemons import DOCUMENTS, Daemon
from servers.http2_daemons import MOST_REQUESTS, STARTERS, UPLOADS, asked

Start = Callable[[str], Daemon]


@pytest.fixture(params=STARTERS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(name: str, http2_server: Start) -> Daemon:
    return http2_server(name)


@pytest.fixture
def session(ca_bundle: str) -> Iterator[reqkit.Session]:
    with reqkit.Session(verify=ca_bundle, config={"http2": True}) as made:
        yield made


def served(name: str) -> list[str]:
    return [path for path in DOCUMENTS if name != "haproxy" or len(DOCUMENTS[path]) < 15_000]


def test_documents(name: str, server: Daemon, session: reqkit.Session) -> None:
    for path in served(name):
        url = server.secure(f"/{path}")
        [response] = reqkit_async.map([reqkit_async.get(url, session=session)])
        for answer in (response, session.get(url)):
            assert answer.error is None
            assert (answer.version, answer.status_code) == (20, 200)
            assert answer.content == DOCUMENTS[path]
    assert session.head(server.secure("/small.txt")).content == b""
    assert session.get(server.secure("/no-such-file")).status_code == 404


def test_many_streams(name: str, server: Daemon, session: reqkit.Session) -> None:
    paths = served(name)
    urls = [server.secure(f"/{paths[number % len(paths)]}") for number in range(300)]
    responses = reqkit_async.map([reqkit_async.get(url, session=session) for url in urls], size=60)
    assert [response.error for response in responses if response.error is not None] == []
    assert {response.version for response in responses} == {20}
    for number, response in enumerate(responses):
        assert response.content == DOCUMENTS[paths[number % len(paths)]]


#: Servers that take fields of 18 KB, which are sent in two frames.
LARGE_FIELDS = ("nghttpd", "apache", "h2o", "caddy")


@pytest.mark.parametrize("name", LARGE_FIELDS)
def test_fields_of_several_frames(name: str, http2_server: Start, session: reqkit.Session) -> None:
    url = http2_server(name).secure("/small.txt")
    headers = {f"x-{number}": "\x80" * 300 for number in range(20)}
    requests = [reqkit_async.get(url, session=session, headers=headers) for _ in range(20)]
    for answer in (*reqkit_async.map(requests), session.get(url, headers=headers)):
        assert (answer.error, answer.version) == (None, 20)
        assert answer.content == DOCUMENTS["small.txt"]


def test_streams_that_are_stopped(name: str, server: Daemon, session: reqkit.Session) -> None:
    path = "big.bin" if name != "haproxy" else "small.txt"
    for _ in range(5):
        lazy = reqkit_async.map(
            [reqkit_async.get(server.secure(f"/{path}"), session=session) for _ in range(20)],
            prefetch=False,
        )
        for response in lazy:
            assert response.error is None
            response.close()
    [response] = reqkit_async.map([reqkit_async.get(server.secure("/small.txt"), session=session)])
    assert response.content == DOCUMENTS["small.txt"]


def test_a_thousand_of_two_thousand_streams_are_stopped(
    http2_server: Start, session: reqkit.Session
) -> None:
    """Their places and windows come back: the others, and more, go on over the one connection."""
    url = http2_server("nghttpd").secure("/big.bin")

    def fetch(count: int, prefetch: bool) -> list[Any]:
        requests = [reqkit_async.get(url, session=session) for _ in range(count)]
        found = list(reqkit_async.map(requests, size=count, prefetch=prefetch))
        assert [response.error for response in found if response.error is not None] == []
        return found

    assert len(fetch(1, True)[0].content) == len(DOCUMENTS["big.bin"])
    lazy = fetch(2000, False)
    for response in lazy[::2]:
        response.close()
    jobs = [gevent.spawn(lambda one=response: len(one.content)) for response in lazy[1:101:2]]
    gevent.joinall(jobs)
    assert {job.value for job in jobs} == {len(DOCUMENTS["big.bin"])}
    more = fetch(20, True)
    assert all(response.timings["connect"] is None for response in [*lazy, *more])


@pytest.mark.parametrize("name", UPLOADS)
@pytest.mark.parametrize("kind", ["bytes", "stream"])
def test_uploads(name: str, kind: str, http2_server: Start, session: reqkit.Session) -> None:
    server = http2_server(name)
    body = bytes(range(256)) * 8000
    path = "/dav/up.bin" if name == "nginx" else "/echo"

    def data() -> Any:
        return (
            body if kind == "bytes" else (body[at : at + 9999] for at in range(0, len(body), 9999))
        )

    [sent] = reqkit_async.map(
        [reqkit_async.request(UPLOADS[name], server.secure(path), session=session, data=data())]
    )
    for answer in (sent, session.request(UPLOADS[name], server.secure(path), data=data())):
        assert answer.error is None
        assert answer.version == 20
        assert answer.ok
        if name != "nginx":
            assert answer.content == body
    if name == "nginx":
        assert session.get(server.secure(path)).content == body


def test_nothing_is_lost_where_nginx_closes(http2_server: Start, session: reqkit.Session) -> None:
    """After `MOST_REQUESTS` requests nginx says GOAWAY, in the middle of others."""
    server = http2_server("nginx")
    for method in ("GET", "POST"):
        before = len(asked(server))
        url = server.secure("/post" if method == "POST" else "/small.txt")
        count = 10_000 if method == "GET" else 2000
        responses = reqkit_async.map(
            [
                reqkit_async.request(method, f"{url}?{number}", session=session)
                for number in range(count)
            ],
            size=20,
        )
        assert [response.error for response in responses if response.error is not None] == []
        answered = [line for line in asked(server)[before:] if line[0] == method]
        assert len(answered) == count  # none twice
        connections = Counter(line[2] for line in answered)
        assert max(connections.values()) <= MOST_REQUESTS
        assert len(connections) < 2 * count // MOST_REQUESTS
