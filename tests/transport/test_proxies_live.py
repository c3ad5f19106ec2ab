"""Proxies as a user sees them, through the blocking client and through greenlets.

Where what a proxy is told matters, it is a scripted one, which keeps all of it; where it matters
that others take what we say, it is a real one.
"""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import sys
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.auth import HTTPDigestAuth, HTTPProxyAuth
from reqkit.exceptions import (
    ConnectTimeout,
    InvalidProxyURL,
    InvalidSchema,
    ProxyError,
    ReadTimeout,
    SSLError,
    TotalTimeout,
)
from servers.handlers import proxying
from servers.messages import Received, answer
from servers.proxies import PASSWORD, USER, Proxy
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority
from servers.wsgi import WSGIServer

Start = Callable[..., ScriptedServer]
Send = Callable[..., reqkit.Response]

#: ``ann:hush`` as a field has it.
SECRET = "Basic YW5uOmh1c2g="


def forward(connection: Connection, request: Received) -> None:
    """Answer in the server's place, with what was asked."""
    noted = {"via": connection.server.port, **json.loads(request.as_json())}
    connection.send(answer(200, json.dumps(noted).encode()))


@pytest.fixture
def proxy(scripted: Start) -> ScriptedServer:
    return scripted(proxying(forward))


@pytest.fixture
def other_proxy(scripted: Start) -> ScriptedServer:
    return scripted(proxying(forward))


def noted(response: reqkit.Response, name: str) -> list[str]:
    """Return the values of a field that the answering end has seen."""
    return [value for key, value in response.json()["fields"] if key.lower() == name.lower()]


def targets(server: ScriptedServer) -> list[str]:
    return [f"{request.method} {request.target}" for request in server.requests]


# -- which proxy: what is given


@pytest.mark.parametrize("key", ["http", "http://server.example", "all", "all://server.example"])
@pytest.mark.parametrize("form", ["{netloc}", "http://{netloc}", "HTTP://{netloc}/", "//{netloc}"])
def test_http_is_forwarded(key: str, form: str, proxy: ScriptedServer, send: Send) -> None:
    proxies = {key: form.format(netloc=proxy.netloc)}
    response = send("http://server.example/path?a=b#c", proxies=proxies)
    # The proxy looks the name up: nobody knows it here.
    assert targets(proxy) == ["GET http://server.example/path?a=b"]
    assert noted(response, "Host") == ["server.example"]
    assert noted(response, "Proxy-Authorization") == []
    assert response.url == "http://server.example/path?a=b#c"


@pytest.mark.parametrize("key", ["https", "https://localhost", "all", "all://localhost"])
def test_https_goes_by_connect(
    key: str,
    proxy: ScriptedServer,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    send: Send,
) -> None:
    url = f"https://localhost:{echo_secure.port}/in"
    response = send(url, proxies={key: proxy.netloc}, verify=ca_bundle)
    assert targets(proxy) == [f"CONNECT localhost:{echo_secure.port}"]
    assert proxy.requests[0].get("Host") == f"localhost:{echo_secure.port}"
    assert response.json()["target"] == "/in"
    assert noted(response, "Host") == [f"localhost:{echo_secure.port}"]


def test_the_narrower_key_counts(
    proxy: ScriptedServer, other_proxy: ScriptedServer, echo: ScriptedServer, send: Send
) -> None:
    proxies: dict[str, Any] = {
        "all": other_proxy.url, "http": other_proxy.url, "http://server.example": proxy.url,
        "http://127.0.0.1": None, "https": "http://127.0.0.1:1",
    }  # fmt: skip
    assert send("http://server.example/", proxies=proxies).json()["via"] == proxy.port
    assert send("http://SERVER.example:81/", proxies=proxies).json()["via"] == proxy.port
    assert send("http://else.example/", proxies=proxies).json()["via"] == other_proxy.port
    assert "via" not in send(echo(), proxies=proxies).json()


def test_the_call_is_merged_with_the_session(
    proxy: ScriptedServer,
    other_proxy: ScriptedServer,
    echo: ScriptedServer,
    session: reqkit.Session,
    send: Send,
) -> None:
    session.proxies = {"http": proxy.url, "https": "http://127.0.0.1:1"}
    given: dict[str, Any] = {"http://server.example": other_proxy.url}
    assert send("http://server.example/", session=session).json()["via"] == proxy.port
    response = send("http://server.example/", session=session, proxies=given)
    assert response.json()["via"] == other_proxy.port
    response = send("http://else.example/", session=session, proxies=given)
    assert response.json()["via"] == proxy.port
    # None leaves the session's out.
    assert "via" not in send(echo(), session=session, proxies={"http": None}).json()
    assert session.proxies == {"http": proxy.url, "https": "http://127.0.0.1:1"}
    assert given == {"http://server.example": other_proxy.url}
    session.proxies["http"] = other_proxy.url
    assert send("http://else.example/", session=session).json()["via"] == other_proxy.port
    session.proxies = {}
    assert "via" not in send(echo(), session=session).json()


@pytest.mark.parametrize(
    ("proxy_url", "message"),
    [
        ("htp://127.0.0.1:1", "did you mean http://"),
        ("ftp://127.0.0.1:1", "scheme"),
        ("http://127.0.0.1:99999", "port"),
        ("http://ann:hush@", "host"),
        ("http://ann:hu/sh@127.0.0.1:1", "%2F"),
        ("http://a b:1", "space"),
        ("http://127.0.0.1:1\r\nX: y", "control character"),
        (5, "is a int"),
    ],
)
def test_what_cannot_be_a_proxy(
    proxy_url: Any, message: str, echo: ScriptedServer, session: reqkit.Session, send: Send
) -> None:
    with pytest.raises(InvalidProxyURL, match=message) as caught:
        send(echo(), proxies={"http": proxy_url})
    assert "hush" not in str(caught.value)
    assert "sh@" not in str(caught.value)
    session.proxies = {"all": proxy_url}
    with pytest.raises(InvalidProxyURL, match=message):
        send(echo(), session=session)
    assert not echo.connections_opened


def test_a_proxy_of_the_environment_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch, echo: ScriptedServer, send: Send
) -> None:
    monkeypatch.setenv("http_proxy", "htp://ann:hush@127.0.0.1:1")
    with pytest.raises(InvalidProxyURL, match="did you mean") as caught:
        send(echo())
    assert "hush" not in str(caught.value)
    assert not echo.connections_opened


# -- which proxy: what the environment says


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_the_environment_names_the_proxy(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    proxy: ScriptedServer,
    other_proxy: ScriptedServer,
    echo: ScriptedServer,
    session: reqkit.Session,
    send: Send,
) -> None:
    monkeypatch.setenv(name, proxy.netloc)
    assert send("http://server.example/").json()["via"] == proxy.port
    assert send("http://server.example/", session=session).json()["via"] == proxy.port
    # What is given comes first, also where it says that there is none.
    given = {"http": other_proxy.url}
    assert send("http://server.example/", proxies=given).json()["via"] == other_proxy.port
    assert "via" not in send(echo(), proxies={"http": None}).json()
    assert "via" not in send(echo(), proxies={"all": ""}).json()
    assert "via" not in send(echo(), config={"trust_env": False}).json()
    session.trust_env = False
    assert "via" not in send(echo(), session=session).json()
    session.trust_env = True
    session.proxies = {"all": other_proxy.url}
    response = send("http://server.example/", session=session)
    assert response.json()["via"] == other_proxy.port


@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
def test_the_environment_names_the_proxy_for_https(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    proxy: ScriptedServer,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    send: Send,
) -> None:
    monkeypatch.setenv(name, proxy.url)
    assert send(echo_secure(), verify=ca_bundle).ok
    assert targets(proxy) == [f"CONNECT {echo_secure.netloc}"]


def test_lower_case_comes_first_and_the_scheme_before_all(
    monkeypatch: pytest.MonkeyPatch,
    proxy: ScriptedServer,
    other_proxy: ScriptedServer,
    send: Send,
) -> None:
    for name in ("all_proxy", "ALL_PROXY", "HTTP_PROXY"):
        monkeypatch.setenv(name, other_proxy.url)
    monkeypatch.setenv("http_proxy", proxy.url)
    assert send("http://server.example/").json()["via"] == proxy.port
    monkeypatch.setenv("http_proxy", "")
    assert send("http://server.example/").json()["via"] == other_proxy.port


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("*", True),
        ("localhost", True),
        ("LOCALHOST", True),
        (".localhost", True),
        ("example.org, localhost", True),
        ("localhost:{port}", True),
        ("localhost:1", False),
        ("host", False),
        ("local", False),
        ("localhost.example", False),
        ("127.0.0.0/8", False),  # the name is not looked up
        ("", False),
    ],
)
@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY", "the key"])
def test_who_goes_without(
    name: str,
    no_proxy: str,
    direct: bool,
    monkeypatch: pytest.MonkeyPatch,
    proxy: ScriptedServer,
    echo: ScriptedServer,
    send: Send,
) -> None:
    no_proxy = no_proxy.format(port=echo.port)
    keywords: dict[str, Any] = {}
    if name == "the key":
        keywords["proxies"] = {"http": proxy.url, "no_proxy": no_proxy}
    else:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv(name, no_proxy)
    response = send(f"http://localhost:{echo.port}/", **keywords)
    assert ("via" in response.json()) is not direct


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:{port}", True),
        ("127.0.0.1:1", False),
        ("127.0.0.0/8", True),
        ("10.0.0.0/8 127.0.0.0/31", True),
        ("10.0.0.0/8", False),
        ("0.0.1", False),
        ("localhost", False),
    ],
)
def test_which_addresses_go_without(
    no_proxy: str,
    direct: bool,
    monkeypatch: pytest.MonkeyPatch,
    proxy: ScriptedServer,
    echo: ScriptedServer,
    send: Send,
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", no_proxy.format(port=echo.port))
    assert ("via" in send(echo()).json()) is not direct


def test_no_proxy_of_one_kind_does_not_count_for_the_other(
    monkeypatch: pytest.MonkeyPatch, proxy: ScriptedServer, send: Send
) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    given = {"http": proxy.url}
    assert send("http://server.example/", proxies=given).json()["via"] == proxy.port


@pytest.mark.parametrize("where", ["environment", "call"])
def test_each_message_of_a_chain_is_asked_for(
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    scripted: Start,
    echo: ScriptedServer,
    send: Send,
) -> None:
    """Out by the proxy, home directly, and out again."""

    def redirecting(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.target.startswith("http://out.example/"):
                location = f"http://localhost:{direct.port}/"
                connection.send(answer(302, fields=[("Location", location)]))
            else:
                forward(connection, request)

    proxy = scripted(redirecting)
    direct = scripted([answer(302, fields=[("Location", "http://again.example/")])])
    keywords: dict[str, Any] = {}
    url = proxy.url.replace("//", "//ann:hush@")
    if where == "environment":
        monkeypatch.setenv("HTTP_PROXY", url)
        monkeypatch.setenv("NO_PROXY", "localhost")
    else:
        keywords["proxies"] = {"http": url, "no_proxy": "localhost"}

    response = send("http://out.example/", **keywords)

    assert targets(proxy) == ["GET http://out.example/", "GET http://again.example/"]
    assert targets(direct) == ["GET /"]
    assert [request.get("Proxy-Authorization") for request in proxy.requests] == [SECRET, SECRET]
    assert direct.requests[0].get("Proxy-Authorization") is None
    assert len(response.history) == 2


# -- who one is to the proxy


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_credentials_go_to_the_proxy_alone(
    scheme: str,
    proxy: ScriptedServer,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    send: Send,
) -> None:
    proxies = {"all": f"http://ann:hush@{proxy.netloc}"}
    url = "http://server.example/" if scheme == "http" else echo_secure()
    for _ in range(2):
        response = send(url, proxies=proxies, verify=ca_bundle)
        assert "Proxy-Authorization" not in response.request.headers
    assert {request.get("Proxy-Authorization") for request in proxy.requests} == {SECRET}
    assert proxy.connections_opened == 1
    assert all(request.get("Proxy-Authorization") is None for request in echo_secure.requests)


@pytest.mark.parametrize(
    ("userinfo", "plain"),
    [
        ("ann:hush", b"ann:hush"),
        ("ann:", b"ann:"),
        ("ann", b"ann:"),
        ("a%40b:c%2Fd%3Ae%25", b"a@b:c/d:e%"),
        ("j%C3%BCrgen:gr%C3%BC%C3%9F", "jürgen:grüß".encode()),
    ],
)
def test_credentials_of_every_kind(
    userinfo: str, plain: bytes, proxy: ScriptedServer, send: Send
) -> None:
    proxies = {"http": f"{userinfo}@{proxy.netloc}"}  # without a scheme too
    [field] = noted(send("http://server.example/", proxies=proxies), "Proxy-Authorization")
    assert base64.b64decode(field.removeprefix("Basic ")) == plain


@pytest.mark.parametrize("how", ["header", "auth", "session"])
def test_a_header_set_by_hand_goes_to_the_proxy_alone(
    how: str,
    proxy: ScriptedServer,
    echo: ScriptedServer,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    session: reqkit.Session,
    send: Send,
) -> None:
    keywords: dict[str, Any] = {"session": session, "verify": ca_bundle}
    if how == "header":
        keywords["headers"] = {"proxy-authorization": SECRET}
    elif how == "auth":
        keywords["auth"] = HTTPProxyAuth("ann", "hush")
    else:
        session.headers["Proxy-Authorization"] = SECRET
    session.proxies = {"all": proxy.url}
    assert noted(send("http://server.example/", **keywords), "Proxy-Authorization") == [SECRET]
    assert send(echo_secure(), **keywords).ok
    assert proxy.requests[-1].method == "CONNECT"
    assert proxy.requests[-1].get("Proxy-Authorization") == SECRET
    session.proxies = {}
    assert send(echo(), **keywords).ok
    assert send(echo_secure(), **keywords).ok
    for server in (echo, echo_secure):
        assert all(request.get("Proxy-Authorization") is None for request in server.requests)


def test_a_hand_set_header_does_not_follow_to_another_host(
    scripted: Start, echo: ScriptedServer, send: Send
) -> None:
    def redirecting(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(302, fields=[("Location", echo("/there"))]))

    proxy = scripted(redirecting)
    response = send(
        "http://server.example/",
        proxies={"http://server.example": proxy.url},
        headers={"Proxy-Authorization": SECRET},
    )
    assert response.json()["target"] == "/there"
    assert proxy.requests[0].get("Proxy-Authorization") == SECRET
    assert noted(response, "Proxy-Authorization") == []


def test_a_proxy_that_wants_other_credentials(
    scripted: Start, echo_secure: ScriptedServer, send: Send
) -> None:
    def refusing(connection: Connection) -> None:
        while connection.recv_request() is not None:
            fields = [("Proxy-Authenticate", 'Basic realm="x"')]
            connection.send(answer(407, b"no", fields))

    proxy = scripted(refusing)
    # Forwarded, the answer is the user's to see.
    response = send("http://server.example/", proxies={"http": proxy.url})
    assert (response.status_code, response.text) == (407, "no")
    # There is no server's answer without a tunnel.
    with pytest.raises(ProxyError, match=r"407.*give its credentials") as caught:
        send(echo_secure(), proxies={"https": proxy.url})
    assert caught.value.before_sending
    with pytest.raises(ProxyError, match=r"407.*does not take the credentials") as caught:
        send(echo_secure(), proxies={"https": f"http://ann:hush@{proxy.netloc}"})
    assert "hush" not in str(caught.value)
    assert f"http://ann:***@{proxy.netloc}" in str(caught.value)
    assert not echo_secure.connections_opened
    proxy.wait_until(lambda server: server.connections_open <= 1)


# -- real proxies


def test_a_real_proxy(
    http_proxy: Proxy, httpbin: WSGIServer, httpbin_secure: WSGIServer, ca_bundle: str, send: Send
) -> None:
    proxies = {"http": http_proxy.netloc, "https": http_proxy.url}
    assert send(httpbin("/get?a=b"), proxies=proxies).json()["args"] == {"a": "b"}
    assert len(send(httpbin("/bytes/100000"), proxies=proxies).content) == 100000
    assert send(httpbin("/stream/3"), proxies=proxies).text.count("\n") == 3
    response = send(httpbin("/redirect/2"), proxies=proxies)
    assert response.ok
    assert len(response.history) == 2
    assert send(httpbin_secure("/gzip"), proxies=proxies, verify=ca_bundle).json()["gzipped"]


def test_a_real_proxy_with_a_password(
    auth_proxy: Proxy, httpbin: WSGIServer, httpbin_secure: WSGIServer, ca_bundle: str, send: Send
) -> None:
    proxies = {"all": auth_proxy.url_with_credentials}
    for url in (httpbin("/headers"), httpbin_secure("/headers")):
        response = send(url, proxies=proxies, verify=ca_bundle)
        assert "Proxy-Authorization" not in response.json()["headers"]
    by_hand = {"auth": HTTPProxyAuth(USER, PASSWORD), "proxies": {"all": auth_proxy.url}}
    assert send(httpbin("/headers"), **by_hand).ok
    assert send(httpbin_secure("/headers"), verify=ca_bundle, **by_hand).ok
    wrong = {"all": f"http://{USER}:wrong@{auth_proxy.netloc}"}
    assert send(httpbin("/get"), proxies=wrong).status_code == 407
    with pytest.raises(ProxyError, match="407") as caught:
        send(httpbin_secure("/get"), proxies=wrong, verify=ca_bundle)
    assert "wrong" not in str(caught.value)


def test_digest_through_a_tunnel(
    auth_proxy: Proxy, httpbin: WSGIServer, httpbin_secure: WSGIServer, ca_bundle: str, send: Send
) -> None:
    proxies = {"all": auth_proxy.url_with_credentials}
    for server in (httpbin, httpbin_secure):
        for algorithm in ("MD5", "SHA-256"):
            response = send(
                server(f"/digest-auth/auth/ann/hush/{algorithm}"),
                auth=HTTPDigestAuth("ann", "hush"),
                proxies=proxies,
                verify=ca_bundle,
            )
            assert response.json()["authenticated"] is True
            assert "Proxy-Authorization" not in response.request.headers


# -- SOCKS


SOCKS = [
    ("socks_proxy", "socks5"),
    ("socks_proxy", "socks5h"),
    ("socks_auth_proxy", "socks5"),
    ("socks_auth_proxy", "socks5h"),
    ("socks4_proxy", "socks4"),
    ("socks4_proxy", "socks4a"),
    ("socks4_user_proxy", "socks4"),
    ("socks4_user_proxy", "socks4a"),
]


@pytest.mark.parametrize(("fixture", "scheme"), SOCKS)
def test_socks(
    fixture: str,
    scheme: str,
    request: pytest.FixtureRequest,
    echo: ScriptedServer,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    send: Send,
) -> None:
    through: Proxy = request.getfixturevalue(fixture)
    userinfo = f"{through.userinfo}@" if through.userinfo else ""
    proxies = {"all": f"{scheme}://{userinfo}{through.netloc}"}
    for server in (echo, echo_secure):
        # This server's version 4 takes addresses only.
        for host in ("127.0.0.1",) if scheme == "socks4a" else ("localhost", "127.0.0.1"):
            url = f"{server.scheme}://{host}:{server.port}/in"
            numbers = []
            for _ in range(2):
                response = send(url, proxies=proxies, verify=ca_bundle)
                assert response.json()["target"] == "/in"
                assert noted(response, "Host") == [f"{host}:{server.port}"]
                assert noted(response, "Proxy-Authorization") == []
                numbers.append(response.json()["connection"])
            assert numbers[0] == numbers[1]


def test_socks_wants_a_password(socks_auth_proxy: Proxy, echo: ScriptedServer, send: Send) -> None:
    with pytest.raises(ProxyError, match="credentials"):
        send(echo(), proxies={"http": socks_auth_proxy.url})
    with pytest.raises(ProxyError, match="credentials") as caught:
        send(echo(), proxies={"http": f"socks5://ann:wrong@{socks_auth_proxy.netloc}"})
    assert "wrong" not in str(caught.value)
    assert not echo.connections_opened


@pytest.mark.parametrize(
    ("scheme", "asked"),
    [("socks5", False), ("socks5h", True), ("socks4", False), ("socks4a", True)],
)
def test_who_looks_the_name_up(
    scheme: str, asked: bool, scripted: Start, echo: ScriptedServer, send: Send
) -> None:
    seen: list[bytes] = []

    def socks(connection: Connection) -> None:
        if scheme.startswith("socks5"):
            connection.recv_exact(3)
            connection.send(b"\x05\x00")
            connection.recv_exact(3)
            [kind] = connection.recv_exact(1)
            size = 4 if kind == 1 else connection.recv_exact(1)[0] if kind == 3 else 16
            seen.append(connection.recv_exact(size))
            connection.recv_exact(2)
            connection.send(b"\x05\x00\x00\x01" + bytes(6))
        else:
            address = connection.recv_exact(8)[4:]
            connection.recv_until(b"\x00")
            named = address[:3] == bytes(3)
            seen.append(connection.recv_until(b"\x00")[:-1] if named else address)
            connection.send(b"\x00\x5a" + bytes(6))
        connection.relay("127.0.0.1", echo.port)

    proxy = scripted(socks)
    proxies = {"http": f"{scheme}://{proxy.netloc}"}
    assert send(f"http://localhost:{echo.port}/", proxies=proxies).ok
    if asked:
        assert seen == [b"localhost"]
    else:
        assert seen[0] in (socket.inet_aton("127.0.0.1"), socket.inet_pton(socket.AF_INET6, "::1"))


@pytest.mark.parametrize("where", ["call", "environment"])
def test_the_extra_is_named_where_it_is_missing(
    where: str, monkeypatch: pytest.MonkeyPatch, echo: ScriptedServer, send: Send
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    keywords: dict[str, Any] = {}
    if where == "environment":
        monkeypatch.setenv("ALL_PROXY", "socks5h://ann:hush@127.0.0.1:1")
    else:
        keywords["proxies"] = {"all": "socks5h://ann:hush@127.0.0.1:1"}
    with pytest.raises(InvalidSchema, match=r"reqkit\[socks\]") as caught:
        send(echo(), **keywords)
    assert "hush" not in str(caught.value)


# -- https to the proxy


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_spoken_to_over_tls(
    scheme: str,
    monkeypatch: pytest.MonkeyPatch,
    scripted: Start,
    authority: Authority,
    other_authority: Authority,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    send: Send,
) -> None:
    proxy = scripted(proxying(forward), tls=authority.server())
    url = "http://server.example/" if scheme == "http" else echo_secure("/in")
    proxies = {"all": proxy.url.replace("//", "//ann:hush@")}
    for _ in range(2):
        assert send(url, proxies=proxies, verify=ca_bundle).ok
    assert proxy.connections_opened == 1
    assert proxy.requests[0].get("Proxy-Authorization") == SECRET
    # It is verified as the server is.
    with pytest.raises(ProxyError, match="certificate"):
        send(url, proxies=proxies)
    with pytest.raises(ProxyError, match="certificate"):
        send(url, proxies=proxies, verify=str(other_authority.bundle))
    assert send(url, proxies=proxies, verify=False).ok
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_bundle)
    assert send(url, proxies=proxies).ok


def test_the_server_behind_a_tunnel_is_verified(
    proxy: ScriptedServer, scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    server = scripted([b""], tls=authority.wrong_name())
    url = f"https://localhost:{server.port}/"
    with pytest.raises(SSLError, match="'localhost'"):
        send(url, proxies={"https": proxy.url}, verify=ca_bundle)
    assert not server.requests


def test_verify_counts_for_each_request_through_a_proxy(
    proxy: ScriptedServer, echo_secure: ScriptedServer, ca_bundle: str, send: Send
) -> None:
    proxies = {"https": proxy.url}
    assert send(echo_secure(), proxies=proxies, verify=False).json()["connection"] == 1
    with pytest.raises(SSLError):
        send(echo_secure(), proxies=proxies)
    assert send(echo_secure(), proxies=proxies, verify=ca_bundle).json()["connection"] == 3
    assert send(echo_secure(), proxies=proxies, verify=False).json()["connection"] == 1


def test_sessions_are_resumed_through_a_tunnel(
    proxy: ScriptedServer, scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    def facts(connection: Connection) -> None:
        while connection.recv_request() is not None:
            assert connection.tls is not None
            connection.send(answer(200, str(connection.tls.session_reused).encode()))

    server = scripted(facts, tls=authority.server())
    keywords: dict[str, Any] = {"verify": ca_bundle, "config": {"keep_alive": False}}
    seen = [send(server(), proxies={"all": proxy.url}, **keywords).text for _ in range(3)]
    assert seen == ["False", "True", "True"]


# -- connections


def test_one_connection_serves_all_that_a_proxy_forwards(proxy: ScriptedServer, send: Send) -> None:
    proxies = {"http": proxy.url}
    for host in ("a.example", "b.example:8080", "c.example", "a.example"):
        assert send(f"http://{host}/", proxies=proxies).ok
    assert proxy.connections_opened == 1


def test_a_tunnel_serves_its_own_server_only(
    proxy: ScriptedServer, scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    servers = [scripted(proxying(forward), tls=authority.server()) for _ in range(2)]
    for _ in range(2):
        for server in servers:
            for path in ("/", "/more"):
                response = send(server(path), proxies={"all": proxy.url}, verify=ca_bundle)
                assert response.json()["via"] == server.port
    assert proxy.connections_opened == 2
    # Neither do those made directly.
    assert send(servers[0](), verify=ca_bundle).ok
    assert servers[0].connections_opened == 2
    assert proxy.connections_opened == 2


def test_who_one_is_decides_which_connection_it_is(
    proxy: ScriptedServer, echo_secure: ScriptedServer, ca_bundle: str, send: Send
) -> None:
    """A proxy may take the credentials of a connection's first request for all that follow."""
    users: dict[int, set[str | None]] = {}
    for _ in range(2):
        for userinfo in ("ann:one@", "ann:two@", "bob:one@", ""):
            proxies = {"all": f"http://{userinfo}{proxy.netloc}"}
            assert send("http://server.example/", proxies=proxies).ok
            assert send(echo_secure(), proxies=proxies, verify=ca_bundle).ok
    for request in proxy.requests:
        users.setdefault(request.connection, set()).add(request.get("Proxy-Authorization"))
    assert all(len(each) == 1 for each in users.values())
    assert proxy.connections_opened == 8


def test_many_proxies_in_turn_and_no_connection_crosses(
    scripted: Start, echo_secure: ScriptedServer, ca_bundle: str, session: reqkit.Session
) -> None:
    proxies = [scripted(proxying(forward)) for _ in range(10)]
    session.verify = ca_bundle
    requests = []
    for number in range(200):
        proxy = proxies[number % 10]
        user = f"user{number % 20}:hush"
        url = f"http://server.example/{number}" if number % 3 else echo_secure(f"/{number}")
        way = {"all": proxy.url.replace("//", f"//{user}@")}
        requests.append(reqkit_async.get(url, proxies=way, session=session))
    responses = reqkit_async.map(requests, size=20)
    for number, response in enumerate(responses):
        received_by = response.json()
        assert received_by["target"].endswith(f"/{number}")
        if number % 3:
            assert received_by["via"] == proxies[number % 10].port
    for at, proxy in enumerate(proxies):
        sent_to: dict[int, set[str | None]] = {}
        for request in proxy.requests:
            sent_to.setdefault(request.connection, set()).add(request.get("Proxy-Authorization"))
        assert all(len(users) == 1 for users in sent_to.values()), sent_to
        expected = {
            "Basic " + base64.b64encode(f"user{number}:hush".encode()).decode()
            for number in (at, at + 10)
        }
        assert set().union(*sent_to.values()) == expected
    methods = Counter(request.method for proxy in proxies for request in proxy.requests)
    assert methods["GET"] == sum(1 for number in range(200) if number % 3)
    # Tunnels were used again.
    assert methods["CONNECT"] <= 40
    # The session's own proxies were not touched.
    assert session.proxies == {}


def test_a_kept_tunnel_that_was_closed_is_made_anew(
    scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    proxy = scripted(proxying(forward))

    def once(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"once"))

    server = scripted(once, tls=authority.server())
    for count in (1, 2, 3):
        assert send(server(), proxies={"all": proxy.url}, verify=ca_bundle).text == "once"
        server.wait_for_no_connections()
        assert proxy.connections_opened == count


# -- failures, and how long things may take


def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("scheme", ["http", "https", "socks4", "socks5", "socks5h"])
@pytest.mark.parametrize("target", ["http", "https"])
def test_a_proxy_that_is_not_there(scheme: str, target: str, send: Send) -> None:
    proxies = {"all": f"{scheme}://ann:hush@127.0.0.1:{unused_port()}"}
    with pytest.raises(ProxyError, match="refused the connection") as caught:
        send(f"{target}://127.0.0.1:1/", proxies=proxies)
    assert isinstance(caught.value, reqkit.ConnectionError)
    assert caught.value.before_sending
    assert caught.value.request.url == f"{target}://127.0.0.1:1/"
    assert "hush" not in str(caught.value)
    assert "hush" not in repr(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https", "socks4", "socks5"])
def test_a_mute_proxy_in_the_way_of_https(scheme: str, scripted: Start, send: Send) -> None:
    def mute(connection: Connection) -> None:
        connection.wait_closed()

    proxy = scripted(mute)
    keywords = {"proxies": {"https": f"{scheme}://{proxy.netloc}"}}
    with pytest.raises(ConnectTimeout, match="the proxy"):
        send("https://127.0.0.1:1/", timeout=(0.1, 20), **keywords)
    with pytest.raises(TotalTimeout) as caught:
        send("https://127.0.0.1:1/", timeout=reqkit.Timeouts(total=0.1), **keywords)
    assert caught.value.phase == ("tls" if scheme == "https" else "connect")
    proxy.wait_for_no_connections()


def test_a_mute_proxy_in_the_way_of_http(scripted: Start, send: Send) -> None:
    def mute(connection: Connection) -> None:
        connection.wait_closed()

    proxy = scripted(mute)
    proxies = {"http": proxy.url}
    with pytest.raises(ReadTimeout):
        send("http://server.example/", timeout=(20, 0.1), proxies=proxies)
    with pytest.raises(TotalTimeout) as caught:
        send("http://server.example/", timeout=reqkit.Timeouts(total=0.1), proxies=proxies)
    assert caught.value.phase == "wait"
    proxy.wait_for_no_connections()


def test_a_server_behind_a_tunnel_that_says_nothing(
    proxy: ScriptedServer, scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    def mute(connection: Connection) -> None:
        connection.recv_request()
        connection.wait_closed()

    server = scripted(mute, tls=authority.server())
    keywords: dict[str, Any] = {"proxies": {"all": proxy.url}, "verify": ca_bundle}
    with pytest.raises(ReadTimeout):
        send(server(), timeout=(20, 0.1), **keywords)
    with pytest.raises(TotalTimeout) as caught:
        send(server(), timeout=reqkit.Timeouts(total=0.3), **keywords)
    assert caught.value.phase == "wait"
    unsecured = scripted(mute)
    with pytest.raises(TotalTimeout) as caught:
        url = f"https://localhost:{unsecured.port}/"
        send(url, timeout=reqkit.Timeouts(total=0.1), **keywords)
    assert caught.value.phase == "tls"
    proxy.wait_for_no_connections()


def test_the_phases_are_timed(
    proxy: ScriptedServer, echo_secure: ScriptedServer, ca_bundle: str, send: Send
) -> None:
    keywords: dict[str, Any] = {"proxies": {"all": proxy.url}, "verify": ca_bundle}
    first = send(echo_secure(), **keywords)
    assert all(first.timings[name] is not None for name in ("connect", "tls", "send", "wait"))
    second = send(echo_secure(), **keywords)
    assert [second.timings[name] for name in ("dns", "connect", "tls")] == [None] * 3


def test_an_upload_through_proxies(
    proxy: ScriptedServer, echo_secure: ScriptedServer, ca_bundle: str, session: reqkit.Session
) -> None:
    session.verify = ca_bundle
    session.proxies = {"all": proxy.url}
    big = b"x" * 1_000_000
    for url in ("http://server.example/", echo_secure()):
        sent = session.post(url, data=big).json()
        assert sent["body"] == big.decode()
        sent = session.post(url, data=iter([b"a", b"b"])).json()
        assert sent["body"] == "ab"


def test_lazy_bodies_through_a_tunnel(
    proxy: ScriptedServer, httpbin_secure: WSGIServer, ca_bundle: str, session: reqkit.Session
) -> None:
    session.verify = ca_bundle
    session.proxies = {"all": proxy.url}
    for _ in range(3):
        response = session.get(httpbin_secure("/stream-bytes/90000?chunk_size=1000"))
        assert sum(map(len, response.iter_content(700))) == 90000
    assert proxy.connections_opened == 1
    session.get(httpbin_secure("/stream-bytes/90000?chunk_size=1000")).close()
    proxy.wait_for_no_connections()


def test_threads_share_proxies_safely(
    proxy: ScriptedServer, other_proxy: ScriptedServer, session: reqkit.Session
) -> None:
    wrong: list[Any] = []

    def work(via: ScriptedServer) -> None:
        for number in range(25):
            response = session.get(f"http://server.example/{number}", proxies={"http": via.url})
            if response.json()["via"] != via.port:
                wrong.append(response.json())

    threads = [
        threading.Thread(target=work, args=(via,)) for via in (proxy, other_proxy) for _ in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(proxy.requests) == len(other_proxy.requests) == 100
    assert proxy.connections_opened <= 4


def test_no_context_is_made_for_plain_http(
    monkeypatch: pytest.MonkeyPatch, proxy: ScriptedServer, send: Send
) -> None:
    def refuse(*args: Any, **keywords: Any) -> None:
        raise AssertionError("a context was made")

    monkeypatch.setattr(ssl, "SSLContext", refuse)
    assert send("http://server.example/", proxies={"all": proxy.url}).ok


# -- zones of IPv6


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_is_told_no_zone(scripted: Any, scheme: str) -> None:
    """It is the name of an interface of this machine (RFC 6874 section 4)."""
    proxy = scripted([answer(502, b"no")] * 2)
    with contextlib.suppress(reqkit.ProxyError):
        reqkit.get(f"{scheme}://[fe80::1%25eth7]/x", proxies={"all": proxy()})
    [received] = proxy.requests
    assert b"eth7" not in received.head
    assert b"fe80::1" in received.head


def test_a_socks_proxy_is_told_no_zone() -> None:
    from reqkit.transport.proxying import without_zone

    assert without_zone("fe80::1%eth7") == "fe80::1"
    assert without_zone("a%b") == "a%b"
