"""squid with a password, microsocks with a password, dante."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.auth import HTTPDigestAuth
from reqkit.exceptions import ProxyError
from servers.daemons import DOCUMENTS, REALM, Daemon
from servers.proxies import PASSWORD, USER, Proxy
from servers.scripted import ScriptedServer

Send = Callable[..., reqkit.Response]


def fields(response: reqkit.Response) -> dict[str, str]:
    return dict(response.json()["fields"])


def test_squid_forwards(squid: Proxy, echo: ScriptedServer, send: Send) -> None:
    proxies = {"http": squid.url_with_credentials}
    for number in range(3):
        response = send(echo(f"/{number}?a=b"), proxies=proxies)
        assert response.json()["target"] == f"/{number}?a=b"
        assert fields(response)["Host"] == echo.netloc
        assert "squid" in fields(response)["Via"]
        assert "Proxy-Authorization" not in fields(response)
    response = send(echo(), proxies={"http": squid.url})
    assert response.status_code == 407
    assert response.headers["Proxy-Authenticate"] == f'Basic realm="{REALM}"'
    wrong = {"http": f"{USER}:wrong@{squid.netloc}"}
    assert send(echo(), proxies=wrong).status_code == 407
    assert len(echo.requests) == 3


def test_squid_tunnels(
    squid: Proxy, echo_secure: ScriptedServer, ca_bundle: str, send: Send
) -> None:
    keywords: dict[str, Any] = {"verify": ca_bundle}
    proxies = {"https": squid.url_with_credentials}
    for number in range(3):
        response = send(echo_secure(f"/{number}"), proxies=proxies, **keywords)
        assert response.json()["target"] == f"/{number}"
        assert response.json()["connection"] == 1
        assert {"Via", "Proxy-Authorization"}.isdisjoint(fields(response))
    with pytest.raises(ProxyError, match=r"407.*give its credentials"):
        send(echo_secure(), proxies={"https": squid.url}, **keywords)
    with pytest.raises(ProxyError, match=r"407.*does not take the credentials") as caught:
        send(echo_secure(), proxies={"https": f"{USER}:wrong@{squid.netloc}"}, **keywords)
    assert "wrong" not in str(caught.value)
    assert len(echo_secure.requests) == 3


def test_squid_says_that_a_server_is_not_there(squid: Proxy, send: Send) -> None:
    proxies = {"all": squid.url_with_credentials}
    assert send("http://127.0.0.1:1/", proxies=proxies).status_code == 503
    with pytest.raises(ProxyError, match="503"):
        send("https://127.0.0.1:1/", proxies=proxies)


def test_squid_carries_all_kinds_of_bodies(
    squid: Proxy, nginx: Daemon, ca_bundle: str, session: reqkit.Session
) -> None:
    session.proxies = {"all": squid.url_with_credentials}
    session.verify = ca_bundle
    for url in (nginx, nginx.secure):
        assert session.get(url("/words.json")).json() == {"words": ["word"] * 2000}
        assert session.get(url("/big.bin")).content == DOCUMENTS["big.bin"]
        assert session.get(url("/redirect/")).content == DOCUMENTS["small.txt"]
        assert session.put(url("/dav/by-squid"), data=b"x" * 500_000).status_code in (201, 204)
        assert session.get(url("/dav/by-squid")).content == b"x" * 500_000


def test_digest_and_basic_through_squid(squid: Proxy, apache: Daemon, send: Send) -> None:
    proxies = {"all": squid.url_with_credentials}
    auth = HTTPDigestAuth(USER, PASSWORD)
    for _ in range(3):
        response = send(apache("/digest/small.txt"), auth=auth, proxies=proxies)
        assert response.content == DOCUMENTS["small.txt"]
    response = send(apache("/basic/small.txt"), auth=(USER, PASSWORD), proxies=proxies)
    assert response.content == DOCUMENTS["small.txt"]


def test_squid_with_many_at_once(
    squid: Proxy, echo: ScriptedServer, echo_secure: ScriptedServer, ca_bundle: str
) -> None:
    with reqkit.Session(proxies={"all": squid.url_with_credentials}, verify=ca_bundle) as session:
        requests = [
            reqkit_async.get(server(f"/{number}"), session=session)
            for number in range(100)
            for server in (echo, echo_secure)
        ]
        responses = reqkit_async.map(requests, size=20)
    targets = [response.json()["target"] for response in responses]
    assert targets == [f"/{number}" for number in range(100) for _ in range(2)]


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_microsocks(
    scheme: str,
    microsocks: Proxy,
    echo: ScriptedServer,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    send: Send,
) -> None:
    proxies = {"all": microsocks.url_with_credentials.replace("socks5:", f"{scheme}:")}
    for server in (echo, echo_secure):
        for number in range(2):
            url = f"{server.scheme}://localhost:{server.port}/{number}"
            response = send(url, proxies=proxies, verify=ca_bundle)
            assert (response.json()["target"], response.json()["connection"]) == (f"/{number}", 1)
            assert "Proxy-Authorization" not in fields(response)
    with pytest.raises(ProxyError, match="credentials"):
        send(echo(), proxies={"all": f"{scheme}://{microsocks.netloc}"})
    with pytest.raises(ProxyError, match="credentials") as caught:
        send(echo(), proxies={"all": f"{scheme}://{USER}:wrong@{microsocks.netloc}"})
    assert "wrong" not in str(caught.value)
    with pytest.raises(ProxyError, match="refused"):
        send("http://127.0.0.1:1/", proxies=proxies)


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_dante(
    scheme: str,
    dante: Proxy,
    echo: ScriptedServer,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    send: Send,
) -> None:
    proxies = {"all": f"{scheme}://{dante.netloc}"}
    for server in (echo, echo_secure):
        # Its version 4 takes addresses only.
        for host in ("127.0.0.1",) if scheme == "socks4a" else ("localhost", "127.0.0.1"):
            url = f"{server.scheme}://{host}:{server.port}/in"
            assert send(url, proxies=proxies, verify=ca_bundle).json()["target"] == "/in"
    with pytest.raises(ProxyError, match="did not connect"):
        send("http://127.0.0.1:1/", proxies=proxies)


def test_dante_with_many_at_once(dante: Proxy, nginx: Daemon, session: reqkit.Session) -> None:
    session.proxies = {"all": dante.url}
    requests = [reqkit_async.get(nginx("/big.bin"), session=session) for _ in range(40)]
    responses = reqkit_async.map(requests, size=10)
    assert all(response.content == DOCUMENTS["big.bin"] for response in responses)
