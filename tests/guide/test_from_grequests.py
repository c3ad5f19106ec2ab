"""Scripts that were written for grequests run with ``import reqkit_async as grequests``.

Each test is one thing that its users do, written as they write it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import gevent
import gevent.pool
import pytest

import reqkit
import reqkit_async as grequests
from servers.counting import CountingServer
from servers.handlers import silent
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Start = Callable[..., ScriptedServer]
Count = Callable[..., CountingServer]


def paths(connection: Connection) -> None:
    """Answer each request with its method and path; ``/500`` with that status."""
    while (request := connection.recv_request()) is not None:
        status = 500 if request.target == "/500" else 200
        connection.send(answer(status, f"{request.method} {request.target}".encode()))


@pytest.fixture
def server(scripted: Start) -> ScriptedServer:
    return scripted(paths)


@pytest.fixture
def nobody(closed_port: int) -> str:
    """A URL that refuses connections."""
    return f"http://127.0.0.1:{closed_port}/"


# -- making requests


@pytest.mark.parametrize("name", ["get", "options", "post", "put", "patch", "delete"])
def test_the_verbs(name: str, server: ScriptedServer) -> None:
    (response,) = grequests.map([getattr(grequests, name)(server("/a"))])
    assert response.text == f"{name.upper()} /a"


def test_head_has_no_body(server: ScriptedServer) -> None:
    (response,) = grequests.map([grequests.head(server("/a"))])
    assert (response.status_code, response.text) == (200, "")
    assert response.headers["Content-Length"] == "7"


@pytest.mark.parametrize("make", [grequests.request, grequests.AsyncRequest])
def test_a_request_by_its_method(make: Any, server: ScriptedServer) -> None:
    request = make("PUT", server("/a"), data={"b": "c"}, headers={"X-A": "d"})
    assert isinstance(request, grequests.AsyncRequest)
    assert (request.method, request.url, request.response) == ("PUT", server("/a"), None)
    assert grequests.map([request])[0].text == "PUT /a"
    assert request.response.request.body == "b=c"
    assert server.requests[0].get("X-A") == "d"


def test_the_words_of_requests(echo: ScriptedServer) -> None:
    request = grequests.post(
        echo("/a"),
        params={"p": "1"},
        json={"j": 2},
        headers={"X-A": "b"},
        cookies={"c": "d"},
        auth=("ann", "secret"),
        timeout=(5, 30),
        allow_redirects=False,
        proxies={},
        verify=True,
        cert=None,
        stream=False,
    )
    (response,) = grequests.map([request])
    sent = response.json()
    assert (sent["method"], sent["target"], sent["body"]) == ("POST", "/a?p=1", '{"j": 2}')
    fields = dict(sent["fields"])
    assert fields["X-A"] == "b"
    assert fields["Cookie"] == "c=d"
    assert fields["Authorization"].startswith("Basic ")


def test_a_file_is_sent(echo: ScriptedServer) -> None:
    (response,) = grequests.map([grequests.post(echo(), files={"f": ("n.txt", b"content")})])
    assert 'filename="n.txt"' in response.json()["body"]


def test_verify_false(echo_secure: ScriptedServer, authority: Authority) -> None:
    refused, taken, known = grequests.map(
        [
            grequests.get(echo_secure()),
            grequests.get(echo_secure(), verify=False),
            grequests.get(echo_secure(), verify=str(authority.bundle)),
        ]
    )
    assert isinstance(refused.error, reqkit.SSLError)
    assert (taken.status_code, known.status_code) == (200, 200)


# -- map


def test_map_of_a_generator(server: ScriptedServer, nobody: str) -> None:
    urls = [server("/0"), server("/1"), nobody, server("/500")]
    rs = (grequests.get(u) for u in urls)
    responses = grequests.map(rs)
    assert [bool(r) for r in responses] == [True, True, False, False]
    assert [r.text for r in responses if r] == ["GET /0", "GET /1"]
    assert [r.status_code for r in responses] == [200, 200, None, 500]


def test_map_with_all_its_keywords(counting_server: Count) -> None:
    server = counting_server(3, rounds=True)
    responses = grequests.map(
        [grequests.get(server()) for _ in range(6)],
        stream=False,
        size=3,
        exception_handler=lambda request, exception: None,
        gtimeout=30,
    )
    assert [r.status_code for r in responses] == [200] * 6
    assert server.peak == 3


def test_a_handler_makes_the_entry(server: ScriptedServer, nobody: str, scripted: Start) -> None:
    received: list[tuple[str, type[Any]]] = []

    def exception_handler(request: Any, exception: Any) -> str | None:
        received.append((request.url, type(exception)))
        return "refused" if isinstance(exception, reqkit.ConnectionError) else None

    slow = scripted(silent)
    reqs = [
        grequests.get(slow("/slow"), timeout=(30, 0.05)),
        grequests.get(nobody),
        grequests.get(server("/500")),
    ]
    responses = grequests.map(reqs, exception_handler=exception_handler)
    assert responses[:2] == [None, "refused"]
    assert responses[2].status_code == 500
    assert sorted(received) == sorted(
        [(slow("/slow"), reqkit.ReadTimeout), (nobody, reqkit.ConnectionError)]
    )


def test_gtimeout(scripted: Start) -> None:
    slow = scripted(silent)
    reqs = [grequests.get(slow()) for _ in range(3)]
    responses = grequests.map(reqs, gtimeout=0.1)
    assert [bool(response) for response in responses] == [False] * 3
    assert all(isinstance(response.error, reqkit.TotalTimeout) for response in responses)
    received = grequests.map(reqs, gtimeout=0.1, exception_handler=lambda request, error: error)
    assert [type(error) for error in received] == [reqkit.TotalTimeout] * 3


def test_stream_and_size_by_position_are_told_apart(server: ScriptedServer) -> None:
    reqs = [grequests.get(server())]
    with pytest.raises(ValueError, match="size is False"):
        grequests.map(reqs, False, 10)  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [True, False])
def test_stream(stream: bool, scripted: Start) -> None:
    body = b"x" * 200_000
    server = scripted([answer(200, body)])
    request = grequests.get(server())
    (response,) = grequests.map([request], stream=stream)
    assert (response.body_size == len(body)) is not stream
    assert response.content == body


# -- imap


def test_imap(server: ScriptedServer, nobody: str) -> None:
    urls = [server(f"/{n}") for n in range(4)]
    reqs = [grequests.get(url) for url in [*urls, nobody]]
    texts = [resp.text for resp in grequests.imap(reqs, stream=False, size=2) if resp]
    assert sorted(texts) == ["GET /0", "GET /1", "GET /2", "GET /3"]
    found = list(grequests.imap(reqs, size=2, exception_handler=lambda request, error: "failed"))
    assert found.count("failed") == 1
    assert len(found) == 5


def test_imap_enumerated(server: ScriptedServer, nobody: str) -> None:
    rs = [grequests.get(server(f"/{n}")) for n in range(4)]
    rs.append(grequests.get(nobody))
    found = dict(grequests.imap_enumerated(rs, size=5))
    assert sorted(found) == [0, 1, 2, 3, 4]
    assert [found[n].text for n in range(4)] == [f"GET /{n}" for n in range(4)]
    assert not found[4]
    found = dict(grequests.imap_enumerated(rs, size=5, exception_handler=lambda request, e: None))
    assert found[4] is None


# -- hooks, callbacks, sessions


@pytest.mark.parametrize("way", ["callback", "hook", "list"])
def test_what_runs_for_each_response(way: str, server: ScriptedServer) -> None:
    seen: list[tuple[str, bool]] = []

    def print_url(r: Any, *args: Any, **kwargs: Any) -> None:
        seen.append((r.url, {"timeout", "verify", "cert", "proxies", "stream"} <= set(kwargs)))

    given: dict[str, dict[str, Any]] = {
        "callback": {"callback": print_url},
        "hook": {"hooks": {"response": print_url}},
        "list": {"hooks": {"response": [print_url]}},
    }
    urls = [server(f"/{n}") for n in range(3)]
    grequests.map([grequests.get(u, **given[way]) for u in urls], size=2)
    assert sorted(seen) == [(url, True) for url in urls]


def test_a_hook_may_put_something_on_the_response(server: ScriptedServer) -> None:
    def parse(response: Any, **kwargs: Any) -> Any:
        response.data = response.text.split()
        return response

    (response,) = grequests.map([grequests.get(server("/a"), hooks={"response": parse})])
    assert response.data == ["GET", "/a"]


def test_a_session(echo: ScriptedServer) -> None:
    session = grequests.Session()
    session.headers.update({"X-A": "b"})
    session.cookies.set("c", "d")
    session.mount("http://", reqkit.adapters.HTTPAdapter(pool_maxsize=2, max_retries=1))
    rs = [grequests.get(echo(f"/{n}"), session=session) for n in range(4)]
    for response in grequests.map(rs, size=2):
        fields = dict(response.json()["fields"])
        assert (fields["X-A"], fields["Cookie"]) == ("b", "c=d")
    assert echo.connections_opened <= 2
    session.close()


# -- one request by itself


def test_send_and_join(server: ScriptedServer) -> None:
    reqs = [grequests.get(server(f"/{n}")) for n in range(3)]
    gevent.joinall([grequests.send(r) for r in reqs], raise_error=True)
    assert [r.response.text for r in reqs if r.response] == ["GET /0", "GET /1", "GET /2"]
    pool = gevent.pool.Pool(2)
    again = [grequests.get(server(f"/{n}")) for n in range(3)]
    jobs = [grequests.send(r, pool, stream=True) for r in again]
    gevent.joinall(jobs, raise_error=True)
    assert [r.response.text for r in again if r.response] == ["GET /0", "GET /1", "GET /2"]


@pytest.mark.parametrize("keywords", [{}, {"stream": True}, {"stream": False}])
def test_a_request_sends_itself(keywords: dict[str, bool], scripted: Start) -> None:
    body = b"x" * 200_000
    request = grequests.get(scripted([answer(200, body)])())
    request.send(**keywords)
    assert request.response is not None
    assert (request.response.body_size == len(body)) is (keywords.get("stream") is False)
    assert request.response.content == body


def test_what_a_failed_request_knows(server: ScriptedServer, nobody: str) -> None:
    good, bad = grequests.get(server()), grequests.get(nobody)
    assert (bad.exception, bad.traceback) == (None, None)
    grequests.map([good, bad])
    assert (good.exception, good.traceback) == (None, None)
    assert isinstance(bad.exception, reqkit.ConnectionError)
    assert bad.response is not None
    assert bad.exception is bad.response.error
    assert bad.traceback is not None
    assert bad.traceback == "".join(traceback.format_exception(bad.exception))
    assert "ConnectionError: http://127.0.0.1" in bad.traceback


def test_the_names_that_are_imported() -> None:
    from reqkit_async import (
        AsyncRequest,
    )

    assert AsyncRequest is reqkit.Request
