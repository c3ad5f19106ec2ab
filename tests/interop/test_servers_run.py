"""The distribution's servers run and do what the tests against them rely on."""

from __future__ import annotations

import pytest

from servers.clients import ask, basic, connected, fetch, over, socks4, socks5
from servers.daemons import DOCUMENTS, REALM, Daemon
from servers.proxies import Proxy
from servers.scripted import ScriptedServer
from servers.tls import Authority


def test_nginx_serves_files(nginx: Daemon, authority: Authority) -> None:
    with connected(nginx()) as client:
        assert ask(client, "/small.txt").body == DOCUMENTS["small.txt"]
        part = ask(client, "/big.bin", headers={"Range": "bytes=1000-1009"})
        assert (part.status, part.body) == (206, DOCUMENTS["big.bin"][1000:1010])
        zipped = ask(client, "/words.json", headers={"Accept-Encoding": "gzip"})
        assert zipped.headers["Content-Encoding"] == "gzip"
        assert ask(client, "/redirect/").headers["Location"] == "/small.txt"
        assert ask(client, "/dav/new", method="PUT", body=b"put").status == 201
        assert ask(client, "/dav/new").body == b"put"
    secure = fetch(nginx.secure("/small.txt"), authority.trusting())
    assert secure.body == DOCUMENTS["small.txt"]


def test_apache_wants_basic(apache: Daemon) -> None:
    assert fetch(apache("/small.txt")).status == 200
    assert fetch(apache("/basic/small.txt")).status == 401
    got = fetch(apache("/basic/small.txt"), headers={"Authorization": basic()})
    assert (got.status, got.body) == (200, DOCUMENTS["small.txt"])


def test_apache_wants_digest(apache: Daemon) -> None:
    got = fetch(apache("/digest/small.txt"))
    challenge = got.headers["WWW-Authenticate"]
    assert got.status == 401
    assert challenge.startswith(f'Digest realm="{REALM}", nonce=')
    assert "algorithm=MD5" in challenge
    assert 'qop="auth"' in challenge


def test_squid_wants_a_password(squid: Proxy, echo: ScriptedServer) -> None:
    with connected(squid.url) as client:
        got = ask(client, echo("/"))
        assert got.status == 407
        assert got.headers["Proxy-Authenticate"] == f'Basic realm="{REALM}"'
        got = ask(client, echo("/in"), headers={"Proxy-Authorization": basic()})
        assert got.json()["target"] == "/in"
    assert len(echo.requests) == 1


def test_squid_tunnels(squid: Proxy, echo_secure: ScriptedServer, authority: Authority) -> None:
    with connected(echo_secure.url, authority.trusting()) as client:
        target = client.host, client.port
        client.host, client.port = squid.host, squid.port
        client.set_tunnel(*target, headers={"Proxy-Authorization": basic()})
        assert ask(client, "/tunnelled").json()["target"] == "/tunnelled"


def test_microsocks_wants_a_password(microsocks: Proxy, echo: ScriptedServer) -> None:
    with pytest.raises(ConnectionError):
        socks5(microsocks.port, ("localhost", echo.port))
    sock = socks5(microsocks.port, ("localhost", echo.port), credentials=True)
    assert over(sock, "/in").json()["target"] == "/in"


def test_dante_speaks_both_versions(dante: Proxy, echo: ScriptedServer) -> None:
    assert over(socks5(dante.port, (echo.host, echo.port)), "/5").json()["target"] == "/5"
    assert over(socks4(dante.port, (echo.host, echo.port)), "/4").json()["target"] == "/4"
