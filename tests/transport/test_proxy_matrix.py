"""What proxies may answer, how they may fail, and who is told whose password: tables.

All through the blocking client and through greenlets. An error of a proxy is a `ProxyError` that
names the proxy without its password; the server has seen nothing of the request.
"""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.exceptions import ChunkedEncodingError, ConnectionError, ProxyError, SSLError
from servers.handlers import proxying
from servers.messages import Received, answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority
from servers.town import Loopback, resolving

# Of what proxies answer; each kind of them is used on each Python in `test_proxies_live`.
pytestmark = pytest.mark.once

Start = Callable[..., ScriptedServer]
Send = Callable[..., reqkit.Response]


def basic(userinfo: str) -> str:
    return "Basic " + base64.b64encode(userinfo.encode()).decode()


@pytest.fixture
def loopback() -> Iterator[None]:
    """Every name leads here."""
    with resolving(Loopback()):
        yield


def forward(connection: Connection, request: Received) -> None:
    """Answer in the server's place, with what was asked."""
    connection.send(answer(200, request.as_json()))


def refused(send: Send, url: str, message: str, proxy_url: str, **keywords: Any) -> ProxyError:
    """Send a request that a proxy fails; see that its error is what all of them are."""
    with pytest.raises(ProxyError, match=message) as caught:
        send(url, proxies={"all": proxy_url}, **keywords)
    error = caught.value
    assert type(error) is ProxyError
    assert error.before_sending
    assert error.response is None
    assert url in str(error)
    assert "hush" not in str(error)
    # Named, without the password.
    assert proxy_url.replace(":hush@", ":***@") in str(error)
    return error


# -- what answers CONNECT

WORKS = "works"
WORKS_ONCE = "works, and is not used again"
OK = b"HTTP/1.1 200 Connection established\r\n"
LONG = b"X: " + b"y" * 60_000 + b"\r\n"

#: The answer to CONNECT; what is said of it, or that it works.
CONNECTS: Mapping[str, tuple[bytes, str]] = {
    "200": (OK + b"\r\n", WORKS),
    "201": (b"HTTP/1.1 201 Created\r\n\r\n", WORKS),
    "204": (b"HTTP/1.1 204 No Content\r\n\r\n", WORKS),
    "299, no reason": (b"HTTP/1.1 299 \r\n\r\n", WORKS),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\n\r\n", WORKS),
    # RFC 9110 section 9.3.6: of a 2xx, lengths count for nothing.
    "2xx, Content-Length": (OK + b"Content-Length: 5\r\n\r\n", WORKS),
    "2xx, chunked": (OK + b"Transfer-Encoding: chunked\r\n\r\n", WORKS),
    "2xx, both": (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", WORKS),
    "2xx, Connection: close": (OK + b"Connection: close\r\n\r\n", WORKS),
    "2xx, cookies": (OK + b"Set-Cookie: evil=1; Domain=127.0.0.1\r\n\r\n", WORKS),
    "interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n" * 3 + OK + b"\r\n", WORKS),
    # Bytes of its own behind the head are not the server's
    "2xx, a body": (OK + b"Content-Length: 5\r\n\r\n01234", "5 bytes of its own"),
    "2xx, an answer": (OK + b"\r\n" + answer(200, b"forged"), "bytes of its own"),
    "2xx, TLS": (OK + b"\r\n\x16\x03\x03\x00\x04\x02\0\0\0", "9 bytes of its own"),
    # Refusals, with bodies too: whole, short, chunked, until it closes
    "400": (answer(400, b"bad"), "refused a tunnel.*400 Bad Request"),
    "403": (answer(403, b"<html>" * 5000), "403.*does not allow this host or port"),
    "403, short body": (answer(403, b"no")[:-1], "403"),
    "403, chunked": (
        answer(403, fields=[("Transfer-Encoding", "chunked")], length=False) + b"2\r\nno\r\n",
        "403",
    ),
    "403, until close": (answer(403, length=False) + b"no", "403"),
    "404": (answer(404), "404"),
    "405": (answer(405), "405.*makes no tunnels"),
    "407": (answer(407, b"who?"), "407.*does not take the credentials"),
    "407, Basic among others": (
        answer(407, fields=[("Proxy-Authenticate", 'Digest realm="a, b", Basic realm="c"')]),
        "407.*does not take the credentials",
    ),
    "407, other ways only": (
        answer(407, fields=[
            ("Proxy-Authenticate", 'Digest realm="basic"'), ("Proxy-Authenticate", "NTLM"),
        ]),
        "407.*offers Digest and NTLM.*by Basic",
    ),
    "429": (answer(429), "429"),
    "500": (answer(500), "500"),
    "501": (answer(501), "makes no tunnels"),
    "502": (answer(502, b"no route"), "could not reach the server"),
    "503": (answer(503), "could not reach the server"),
    "504": (answer(504), "could not reach the server in time"),
    "a reason too long": (b"HTTP/1.1 500 " + b"x" * 5000 + b"\r\n\r\n", " x{80}$"),
    # It is no server: nobody follows where it points, or switches to what it says
    "301": (answer(301, fields=[("Location", "{there}")]), "301"),
    "302": (answer(302, b"there", [("Location", "{there}")]), "302"),
    "307": (answer(307, fields=[("Location", "{there}")]), "307"),
    "300": (answer(300), "300"),
    "101": (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "did not answer CONNECT"),
    # No answer at all
    "nothing": (b"", "closed the connection"),
    "head cut off": (OK, "closed the connection"),
    "status cut off": (b"HTTP/1.1 2", "closed the connection"),
    "garbage": (b"\x00\x01\x02\x03\r\n\r\n", "did not answer CONNECT"),
    "TLS": (b"\x15\x03\x01\x00\x02\x02\x46", "did not answer CONNECT"),
    "SOCKS": (b"\x05\xff", "did not answer CONNECT"),
    "HTTP/2": (b"HTTP/2 200\r\n\r\n", "did not answer CONNECT"),
    "HTTP/0.9": (b"<html>tunnel?", "did not answer CONNECT"),
    # Heads as the web has them
    "bare LF": (b"HTTP/1.1 200 OK\n\n", WORKS_ONCE),
    "an empty line before": (b"\r\n" + OK + b"\r\n", WORKS_ONCE),
    "folded": (OK + b"X: a\r\n b\r\n\r\n", WORKS_ONCE),
    "a control": (OK + b"X: \x01\r\n\r\n", WORKS_ONCE),
    "space before the colon": (OK + b"X : a\r\n\r\n", WORKS_ONCE),
    "no field": (OK + b"tunnel open\r\nA B: c\r\n: d\r\n\r\n", WORKS_ONCE),
    "an odd interim answer": (b"HTTP/1.1 100 Continue\n\n" + OK + b"\r\n", WORKS_ONCE),
    "a long head": (OK + b"X: " + b"y" * 70_000 + b"\r\n\r\n", WORKS_ONCE),
    "many fields": (OK + b"X: y\r\n" * 300 + b"\r\n", WORKS_ONCE),
    "407, folded": (b"HTTP/1.1 407 Who\r\nX: a\r\n b\r\n\r\n", "407.*the credentials"),
    "bare LF, and bytes": (b"HTTP/1.1 200 OK\n\n\r\n", "2 bytes of its own"),
    "a NUL": (OK + b"X: \0\r\n\r\n", "did not answer CONNECT"),
    "a field too long": (OK + b"X: " + b"y" * 110_000 + b"\r\n\r\n", "did not answer CONNECT"),
    "fields too many": (OK + b"X: y\r\n" * 1001 + b"\r\n", "did not answer CONNECT"),
    "head too long": (OK + LONG * 20 + b"\r\n", "did not answer CONNECT"),
    "interim answers without end": (
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "interim answers and no final one",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CONNECTS)
def test_what_answers_connect(
    kind: str, scripted: Start, echo_secure: ScriptedServer, ca_bundle: str, send: Send
) -> None:
    data, message = CONNECTS[kind]
    elsewhere = scripted(proxying(forward))
    data = data.replace(b"{there}", elsewhere.url.encode())

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(data)
        if message in (WORKS, WORKS_ONCE):
            connection.relay("127.0.0.1", echo_secure.port)

    proxy = scripted(handler)
    proxy_url = f"http://ann:hush@{proxy.netloc}"
    with reqkit.Session(verify=ca_bundle) as session:
        if message in (WORKS, WORKS_ONCE):
            for _ in range(2):
                response = send(echo_secure(), session=session, proxies={"https": proxy_url})
                assert response.json()["target"] == "/"
                assert response.history == []
            assert proxy.connections_opened == (1 if message is WORKS else 2)
            assert not session.cookies
            if message is WORKS_ONCE:
                strictly = {"proxies": {"https": proxy_url}, "config": {"strict": True}}
                with pytest.raises(ProxyError, match="did not answer CONNECT"):
                    send(echo_secure(), session=session, **strictly)
        else:
            refused(send, echo_secure(), message, proxy_url, session=session)
            assert not echo_secure.connections_opened
            proxy.wait_for_no_connections()
            # One that failed serves nobody, and what it said is nobody's.
            refused(send, echo_secure(), message, proxy_url, session=session)
            assert proxy.connections_opened == 2
    assert not elsewhere.connections_opened
    assert all(one.get("Proxy-Authorization") is None for one in echo_secure.requests)


def test_a_head_without_end(scripted: Start, echo_secure: ScriptedServer, send: Send) -> None:
    def endless(connection: Connection) -> None:
        connection.recv_request()
        connection.send(OK)
        while True:
            connection.send(LONG)

    proxy = scripted(endless)
    assert refused(send, echo_secure(), "did not answer CONNECT", proxy.url, timeout=20)
    proxy.wait_for_no_connections()


# -- 407, and forwarded requests


def test_407_of_a_forwarding_proxy_is_an_answer(scripted: Start, send: Send) -> None:
    """With the right password the next one is answered, over a connection of its own."""

    def wanting(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.get("Proxy-Authorization") == basic("ann:right"):
                forward(connection, request)
            else:
                fields = [("Proxy-Authenticate", 'Basic realm="x"')]
                connection.send(answer(407, b"who?", fields))

    proxy = scripted(wanting)
    with reqkit.Session() as session:
        seen = []
        for userinfo in ("", "ann:wrong@", "ann:right@", "ann:wrong@", "", "ann:right@"):
            way = {"http": f"http://{userinfo}{proxy.netloc}"}
            seen.append(send("http://server.example/", session=session, proxies=way).status_code)
    assert seen == [407, 407, 200, 407, 407, 200]
    # A connection that said who it is says nothing else.
    users: dict[int, set[str | None]] = {}
    for request in proxy.requests:
        users.setdefault(request.connection, set()).add(request.get("Proxy-Authorization"))
    assert sorted(map(len, users.values())) == [1, 1, 1]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_proxy_that_hangs_up(scheme: str, reset: bool, scripted: Start, send: Send) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        if reset:
            connection.reset()

    proxy = scripted(handler)
    proxies = {"all": f"http://ann:hush@{proxy.netloc}"}
    with pytest.raises(ConnectionError) as caught:
        send(f"{scheme}://server.example/", proxies=proxies)
    assert isinstance(caught.value, ProxyError) is (scheme == "https")
    assert caught.value.before_sending is (scheme == "https")
    assert "hush" not in str(caught.value)
    assert len(proxy.requests) == 1


# -- tunnels that are cut


def cutting(upstream: int, most: int, reset: bool) -> Callable[[Connection], None]:
    """Tunnel so many bytes of the server's, and no more."""

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, length=False))
        if most:
            connection.relay("127.0.0.1", upstream, most)
        else:
            connection.recv_some()
        if reset:
            connection.reset()

    return handler


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("most", [0, 1, 5, 100, 500])
def test_a_tunnel_that_is_cut_within_tls(
    most: int, reset: bool, scripted: Start, echo_secure: ScriptedServer, ca_bundle: str, send: Send
) -> None:
    proxy = scripted(cutting(echo_secure.port, most, reset))
    with pytest.raises(ConnectionError, match="during TLS") as caught:
        send(echo_secure(), proxies={"all": proxy.url}, verify=ca_bundle)
    assert type(caught.value) in (SSLError, ConnectionError)
    assert echo_secure.netloc in str(caught.value)
    assert caught.value.before_sending
    assert not echo_secure.requests


def test_a_tunnel_that_is_cut_within_a_body(
    scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    def half(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"x" * 1000)[:-500])
        connection.cut()

    server = scripted(half, tls=authority.server())
    proxy = scripted(proxying(forward))
    with pytest.raises(ChunkedEncodingError, match=server.netloc):
        send(server(), proxies={"all": proxy.url}, verify=ca_bundle, prefetch=True)
    proxy.wait_for_no_connections()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_kept_tunnel_that_is_cut_as_the_request_arrives(
    method: str, scripted: Start, authority: Authority, ca_bundle: str, session: reqkit.Session
) -> None:
    def leaving(connection: Connection) -> None:
        connection.recv_request()
        connection.send(answer(200, b"ok"))
        if connection.number == 1:
            connection.recv_request()
            connection.cut()

    server = scripted(leaving, tls=authority.server())
    proxy = scripted(proxying(forward))
    session.verify = ca_bundle
    session.proxies = {"all": proxy.url}
    assert session.get(server()).text == "ok"
    if method == "GET":
        assert session.get(server()).text == "ok"
        assert proxy.connections_opened == 2
    else:  # nothing is sent twice that the server may have had
        with pytest.raises(ConnectionError, match="not sent twice"):
            session.post(server(), data=b"x")
        assert proxy.connections_opened == 1


# -- proxies that speak TLS


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("expired", "has to renew it"),
        ("not_yet_valid", "clock"),
        ("wrong_name", "for other names"),
        ("stranger", "verify=PATH"),
        ("old_protocol", r"TLS 1\.2 and later"),
        ("plain", "is it plain http"),
    ],
)
@pytest.mark.parametrize("target", ["http", "https"])
def test_a_proxy_that_is_not_to_be_trusted(
    target: str,
    kind: str,
    message: str,
    scripted: Start,
    authority: Authority,
    other_authority: Authority,
    ca_bundle: str,
    send: Send,
) -> None:
    def answering(connection: Connection) -> None:
        connection.recv_some()
        connection.send(answer(400))
        connection.wait_closed()

    if kind == "plain":
        proxy = scripted(answering)
    else:
        odd = other_authority.server() if kind == "stranger" else getattr(authority, kind)()
        proxy = scripted(proxying(forward), tls=odd)
    url = f"{target}://server.example/"
    with pytest.raises(ProxyError, match=message) as caught:
        send(url, proxies={"all": f"https://ann:hush@localhost:{proxy.port}"}, verify=ca_bundle)
    assert url in str(caught.value)
    assert "localhost" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert not proxy.requests


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_within_tls(
    version: ssl.TLSVersion,
    scripted: Start,
    authority: Authority,
    other_authority: Authority,
    ca_bundle: str,
    send: Send,
) -> None:
    """Each of the two is verified for itself, and each gets its own part alone."""
    outer, inner = authority.server(), authority.server()
    outer.maximum_version = version
    inner.minimum_version = inner.maximum_version = version
    proxy = scripted(proxying(forward), tls=outer)
    server = ScriptedServer.echo(tls=inner)
    stranger = scripted(proxying(forward), tls=other_authority.server())
    proxies = {"https": f"https://ann:hush@{proxy.netloc}"}
    with server:
        big = "x" * 200_000
        for _ in range(2):
            sent = send(server(f"/?{big[:5000]}"), proxies=proxies, verify=ca_bundle).json()
            assert len(sent["target"]) == 5002
        assert proxy.connections_opened == 1
        assert [one.get("Proxy-Authorization") for one in proxy.requests] == [basic("ann:hush")]
        assert all(one.get("Proxy-Authorization") is None for one in server.requests)
        with pytest.raises(SSLError) as caught:
            send(stranger(), proxies=proxies, verify=ca_bundle)
        assert type(caught.value) is SSLError  # the server's certificate, not the proxy's
        assert not stranger.requests


# -- SOCKS

REST = bytes(6)

#: Scheme and credentials; what the proxy sends after each message; what is said.
SOCKS: Mapping[str, tuple[str, list[bytes], str]] = {
    **{
        f"5: reply {number}": (
            "socks5h://", [b"\x05\x00", bytes((5, number, 0, 1)) + REST], message,
        )
        for number, message in {
            1: "it failed", 2: "rules do not allow", 3: "network cannot be reached",
            4: "server cannot be reached", 5: "refused its connection", 6: "too far away",
            7: "does not know the command", 8: "kind of address", 9: "answered 9",
            255: "answered 255",
        }.items()
    },
    "5: refusal without its rest": (
        "socks5h://", [b"\x05\x00", b"\x05\x05"], "closed the connection",
    ),
    "5: no way to log in": ("socks5h://", [b"\x05\xff"], "wants credentials"),
    "5: takes no password": ("socks5h://ann:hush@", [b"\x05\xff"], "takes no user and password"),
    "5: way not offered": ("socks5h://", [b"\x05\x02"], "not offered"),
    "5: wrong password": (
        "socks5h://ann:hush@", [b"\x05\x02", b"\x01\x01"], "take the credentials",
    ),
    "5: closes at the password": ("socks5h://ann:hush@", [b"\x05\x02", b""], "credentials right"),
    "5: version 4": ("socks5h://", [b"\x04\x5a" + REST], "does not speak SOCKS 5"),
    "5: http": ("socks5h://", [answer(400)], "does not speak SOCKS 5"),
    "5: TLS": ("socks5h://", [b"\x15\x03\x03\x00\x02\x02\x46"], "does not speak SOCKS 5"),
    "5: closes at once": ("socks5h://", [b""], "closed the connection"),
    "5: closes in the greeting": ("socks5h://", [b"\x05"], "closed the connection"),
    "5: closes after the greeting": ("socks5h://", [b"\x05\x00", b""], "closed the connection"),
    "5: closes in the reply": (
        "socks5h://", [b"\x05\x00", b"\x05\x00\x00\x01\x00"], "closed the connection",
    ),
    "5: other version in the reply": (
        "socks5h://", [b"\x05\x00", b"\x04\x00\x00\x01" + REST], "broke the rules",
    ),
    "5: unknown kind of address": (
        "socks5h://", [b"\x05\x00", b"\x05\x00\x00\x09" + REST], "broke the rules",
    ),
    **{
        f"4: reply {number:#x}": ("socks4a://", [bytes((0, number)) + REST], message)
        for number, message in {
            0x5B: "rejected the request", 0x5C: "could not ask this machine's identd",
            0x5D: "names another user",
        }.items()
    },
    "4: unknown reply": ("socks4a://", [b"\x00\x01" + REST], "does not speak SOCKS 4"),
    "4: http": ("socks4a://", [answer(400)], "does not speak SOCKS 4"),
    "4: closes": ("socks4a://", [b""], "closed the connection"),
    "4: closes in the reply": ("socks4a://", [b"\x00\x5a\x00"], "closed the connection"),
}  # fmt: skip


@pytest.mark.parametrize("target", ["http", "https"])
@pytest.mark.parametrize("kind", SOCKS)
def test_what_socks_proxies_answer(kind: str, target: str, scripted: Start, send: Send) -> None:
    scheme, pieces, message = SOCKS[kind]

    def handler(connection: Connection) -> None:
        for piece in pieces:
            connection.recv_some()
            connection.send(piece)
        if pieces[-1] and "closes" not in kind and "rest" not in kind:
            connection.wait_closed()

    proxy = scripted(handler)
    url = f"{target}://server.example/"
    assert refused(send, url, message, f"{scheme}{proxy.netloc}", timeout=20)
    proxy.wait_for_no_connections()


# -- many proxies


@pytest.mark.parametrize("face", ["core", "greenlets"])
def test_a_hundred_proxies_in_turn(
    loopback: None,
    face: str,
    scripted: Start,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    session: reqkit.Session,
) -> None:
    """They are told apart by name, port and password: what one was told, no other gets."""
    proxy = scripted(proxying(forward))
    session.verify = ca_bundle

    def way(number: int) -> str:
        # Each name is two proxies: with one password, and with another.
        return f"user{number % 50}:hush{number % 100}@p{number % 50}.example:{proxy.port}"

    def url(number: int) -> str:
        return echo_secure(f"/{number}") if number % 3 else f"http://server.example/{number}"

    numbers = range(400)
    if face == "core":
        responses = [
            session.get(url(number), proxies={"all": f"http://{way(number)}"}) for number in numbers
        ]
    else:
        responses = reqkit_async.map(
            [
                reqkit_async.get(
                    url(number), proxies={"all": f"http://{way(number)}"}, session=session
                )
                for number in numbers
            ],
            size=40,
            raise_errors=True,
        )
    tunnels: dict[int, int] = {}
    for number, response in zip(numbers, responses, strict=True):
        received = json.loads(response.content)
        assert received["target"].endswith(f"/{number}")
        fields = {name.lower(): value for name, value in received["fields"]}
        if number % 3:
            assert "proxy-authorization" not in fields
            # A tunnel that was dug with one password serves nobody with another.
            assert tunnels.setdefault(received["connection"], number % 100) == number % 100
        else:
            assert fields["proxy-authorization"] == basic(way(number).partition("@")[0])
    users: dict[int, set[str | None]] = {}
    for request in proxy.requests:
        users.setdefault(request.connection, set()).add(request.get("Proxy-Authorization"))
    assert all(len(received_by) == 1 for received_by in users.values())
    assert len(set().union(*users.values())) == 100
    assert session.proxies == {}


def test_each_hop_has_its_own_proxy_and_password(
    loopback: None, scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    """By one proxy, by the other's tunnel, directly, and by the first again."""

    def moving(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.method == "CONNECT":
                connection.send(answer(200, length=False))
                connection.relay("127.0.0.1", secure.port)
                return
            path = request.target.rpartition("/")[2]
            location = leads.get(path)
            fields = [("Location", location)] if location else []
            connection.send(answer(302 if location else 200, path.encode(), fields))

    secure = scripted(moving, tls=authority.server("secure.example"))
    first, second, direct = scripted(moving), scripted(moving), scripted(moving)
    leads = {
        "1": f"https://secure.example:{secure.port}/2",
        "2": f"http://direct.example:{direct.port}/3",
        "3": "http://out.example/4",
    }
    proxies = {
        "http": f"http://ann:one@{first.netloc}",
        "https": f"http://bob:two@{second.netloc}",
        "no_proxy": "direct.example",
    }
    response = send("http://out.example/1", proxies=proxies, verify=ca_bundle)
    assert response.text == "4"

    def records(server: ScriptedServer) -> list[tuple[str, str | None]]:
        return [(one.start_line.rpartition(" ")[0], one.get("Proxy-Authorization"))
                for one in server.requests]  # fmt: skip

    assert records(first) == [
        ("GET http://out.example/1", basic("ann:one")),
        ("GET http://out.example/4", basic("ann:one")),
    ]
    assert records(second) == [(f"CONNECT secure.example:{secure.port}", basic("bob:two"))]
    assert records(secure) == [("GET /2", None)]
    assert records(direct) == [("GET /3", None)]
