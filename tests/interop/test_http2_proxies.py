"""HTTP/2 to real servers through real proxies: squid by CONNECT, dante and microsocks by SOCKS."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.event import Event

import reqkit
import reqkit_async
from reqkit.exceptions import ConnectionError, ProxyError
from servers.daemons import DOCUMENTS, Daemon, start_squid
from servers.http2_daemons import COUNTED, MOST_REQUESTS, UPLOADS, asked
from servers.proxies import USER, Proxy
from servers.waiting import until

Start = Callable[[str], Daemon]


#: A proxy's fixture, and the scheme by which it is asked.
WAYS = {
    "squid": ("squid", "http"),
    "open squid": ("open_squid", "http"),
    "dante 4": ("dante", "socks4"),
    "dante 5": ("dante", "socks5"),
    "dante 5h": ("dante", "socks5h"),
    "microsocks": ("microsocks", "socks5"),
    "microsocks h": ("microsocks", "socks5h"),
}


@pytest.fixture(params=WAYS)
def proxy(request: pytest.FixtureRequest) -> str:
    """The URL of a proxy, with what credentials it wants."""
    fixture, scheme = WAYS[request.param]
    made: Proxy = request.getfixturevalue(fixture)
    user = "" if made.userinfo is None else f"{made.userinfo}@"
    return f"{scheme}://{user}{made.netloc}"


@pytest.fixture
def session(ca_bundle: str) -> Iterator[reqkit.Session]:
    with reqkit.Session(verify=ca_bundle, config={"http2": True}) as made:
        yield made


@pytest.fixture(params=COUNTED)
def server(request: pytest.FixtureRequest, http2_server: Start) -> Daemon:
    return http2_server(request.param)


def connections(server: Daemon, before: int, count: int) -> Counter[str]:
    """Wait for so many more lines of a server's log; return how many came over each connection."""
    until(lambda: len(asked(server)) >= before + count)
    lines = asked(server)[before:]
    assert len(lines) == count
    return Counter(connection for _, _, connection in lines)


def test_fifty_at_a_time_share_one_tunnel(
    proxy: str, server: Daemon, session: reqkit.Session
) -> None:
    before = len(asked(server))
    urls = [server.secure(f"/small.txt?{number}") for number in range(MOST_REQUESTS // 2)]
    requests = [reqkit_async.get(url, session=session, proxies={"https": proxy}) for url in urls]
    responses = reqkit_async.map(requests, size=50)
    assert [response.error for response in responses if response.error is not None] == []
    assert {response.version for response in responses} == {20}
    assert {response.content for response in responses} == {DOCUMENTS["small.txt"]}
    assert len(connections(server, before, len(urls))) == 1
    opened = [response for response in responses if response.timings["connect"] is not None]
    assert len(opened) == 1


def test_what_goes_through_a_tunnel(
    proxy: str, server: Daemon, session: reqkit.Session, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.params["server"]
    path = "/dav/proxied.bin" if name == "nginx" else "/echo"
    body = bytes(range(256)) * 2000
    session.proxies = {"https": proxy}
    before = len(asked(server))

    def pieces() -> Iterator[bytes]:
        for at in range(0, len(body), 9999):
            yield body[at : at + 9999]

    def both(method: str, url: str, **keywords: Any) -> Iterator[Any]:
        made = {key: value() if callable(value) else value for key, value in keywords.items()}
        yield session.request(method, url, **made)
        made = {key: value() if callable(value) else value for key, value in keywords.items()}
        yield reqkit_async.map([reqkit_async.request(method, url, session=session, **made)])[0]

    for answer in both("GET", server.secure("/redirect/")):
        assert (answer.error, answer.version, len(answer.history)) == (None, 20, 1)
        assert answer.content == DOCUMENTS["small.txt"]
    for data in (body, pieces):
        for answer in both(UPLOADS[name], server.secure(path), data=data):
            assert (answer.error, answer.ok, answer.version) == (None, True, 20)
            if name != "nginx":
                assert answer.content == body
    for answer in both("GET", server.secure("/big.bin")):
        assert answer.content == DOCUMENTS["big.bin"]
    # One tunnel of blocking code, and one of the hub.
    assert len(connections(server, before, 10)) == 2


def test_verify_parts_tunnels(proxy: str, server: Daemon, session: reqkit.Session) -> None:
    before = len(asked(server))
    for _ in range(2):
        requests = [
            reqkit_async.get(
                server.secure("/small.txt"), session=session, proxies={"https": proxy},
                verify=verify,
            )
            for verify in (session.verify, False) * 10
        ]  # fmt: skip
        responses = reqkit_async.map(requests)
        assert [response.error for response in responses if response.error is not None] == []
    assert sorted(connections(server, before, 40).values()) == [20, 20]
    # The system's own authorities have not signed it.
    refused = reqkit_async.map(
        [
            reqkit_async.get(
                server.secure("/small.txt"), session=session, proxies={"https": proxy}, verify=True
            )
        ]
    )[0]
    assert isinstance(refused.error, reqkit.exceptions.SSLError)
    assert not isinstance(refused.error, ProxyError)


def test_a_proxy_that_refuses_a_batch_says_why(
    squid: Proxy, http2_server: Start, session: reqkit.Session
) -> None:
    url = http2_server("nginx").secure("/small.txt")
    for proxy, hint in (
        (squid.url, "give its credentials"),
        (f"http://{USER}:wrong@{squid.netloc}", "does not take the credentials"),
    ):
        requests = [
            reqkit_async.get(url, session=session, proxies={"https": proxy}) for _ in range(50)
        ]
        for response in reqkit_async.map(requests, size=50):
            assert isinstance(response.error, ProxyError)
            assert "407" in str(response.error)
            assert hint in str(response.error)
            assert "wrong" not in str(response.error)


@pytest.mark.parametrize("amid", ["downloads", "uploads"])
def test_a_proxy_that_goes_midway_and_comes_back(
    amid: str, http2_server: Start, session: reqkit.Session, public_folder: Path
) -> None:
    """Each of those under way is an entry with its error; the next ones go through the new one."""
    server = http2_server("h2o")
    proxy = start_squid(public_folder / f"leaving-{amid}", auth=False)
    keywords: dict[str, Any] = {"session": session, "proxies": {"https": proxy.url}}
    begun: list[bool] = []
    gone = Event()

    def pieces() -> Iterator[bytes]:
        yield bytes(10_000)
        begun.append(True)
        gone.wait()
        yield bytes(10_000)

    try:
        if amid == "downloads":
            requests = [reqkit_async.get(server.secure("/big.bin"), **keywords) for _ in range(50)]
            responses = reqkit_async.map(requests, size=50, prefetch=False)
            assert [one.error for one in responses if one.error is not None] == []
        else:
            requests = [
                reqkit_async.post(server.secure("/echo"), data=pieces(), **keywords)
                for _ in range(50)
            ]
            job = gevent.spawn(reqkit_async.map, requests, size=50)
            until(lambda: len(begun) == 50)
    finally:
        proxy.stop()
    gone.set()
    if amid == "downloads":
        for response in responses:
            with pytest.raises(reqkit.exceptions.ChunkedEncodingError, match="bytes came"):
                _ = response.content
    else:
        for response in job.get(timeout=60):
            assert isinstance(response.error, ConnectionError)
    [last] = reqkit_async.map([reqkit_async.get(server.secure("/small.txt"), **keywords)])
    assert isinstance(last.error, ProxyError)
    again = start_squid(public_folder / f"again-{amid}", auth=False)
    try:
        keywords["proxies"] = {"https": again.url}
        requests = [reqkit_async.get(server.secure("/small.txt"), **keywords) for _ in range(20)]
        assert [one.error for one in reqkit_async.map(requests) if one.error is not None] == []
    finally:
        again.stop()
