"""Opening connections along every kind of route, over real sockets, and how each step fails."""

from __future__ import annotations

import base64
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from reqkit import exceptions as ours
from reqkit.network.addresses import Address
from reqkit.network.network import Stream
from reqkit.network.stdlib import STDLIB, StdlibNetwork
from reqkit.timeouts import Deadline, Timeouts
from reqkit.transport.connecting import open_stream
from reqkit.transport.routes import Marks, Proxy, Route, parse_proxy
from reqkit.transport.tls.settings import TlsSettings
from servers import proxies
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority
from servers.waiting import SOON

SECONDS = 20.0
PATIENT = Timeouts(connect=SECONDS)
HURRIED = Timeouts(connect=0.15)

Start = Callable[..., ScriptedServer]


class Watching(StdlibNetwork):
    """The standard network, which keeps what it opened."""

    def __init__(self, names: dict[str, list[str]] | None = None) -> None:
        self.names = names or {}
        self.asked: list[str] = []
        self.opened: list[Any] = []

    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        self.asked.append(host)
        if host in self.names:
            found = (super(Watching, self).resolve(one, port, None) for one in self.names[host])
            return [address for addresses in found for address in addresses]
        return super().resolve(host, port, timeout)

    def connect(
        self, addresses: Sequence[Address], timeout: float | None, options: Any, source: Any
    ) -> Stream:
        stream = super().connect(addresses, timeout, options, source)
        self.opened.append(stream)
        return stream

    @property
    def all_closed(self) -> bool:
        return bool(self.opened) and all(one.sock.fileno() < 0 for one in self.opened)


def opened(
    route: Route,
    timeouts: Timeouts = PATIENT,
    deadline: Deadline | None = None,
    network: StdlibNetwork = STDLIB,
    marks: Marks | None = None,
    url: str | None = None,
) -> Stream:
    return open_stream(route, network, timeouts, deadline, marks or Marks(), url)


def failing(route: Route, kind: type[BaseException], **more: Any) -> Any:
    """Open a connection that cannot be; return the error, and see that nothing is left open."""
    network = more.setdefault("network", Watching())
    with pytest.raises(kind) as caught:
        opened(route, **more)
    assert type(caught.value) is kind
    assert "hush" not in str(caught.value)
    assert not network.opened or network.all_closed
    return caught.value


def exchanged(stream: Stream, data: bytes) -> bytes:
    stream.send_all(data, SECONDS)
    answer = b""
    while len(answer) < len(data):
        piece = stream.receive(65536, SECONDS)
        assert piece, f"ended after {answer!r}"
        answer += piece
    return answer


def works(route: Route, **more: Any) -> bool:
    """Open a connection to an echoing server and use it."""
    stream = opened(route, **more)
    try:
        return exchanged(stream, b"hello") == b"hello"
    finally:
        stream.close()


def echo(connection: Connection) -> None:
    while data := connection.recv_some():
        connection.send(data)


def mute(connection: Connection) -> None:
    connection.wait_closed()


def proxy_at(server: ScriptedServer, userinfo: str = "ann:hush", scheme: str = "http") -> Proxy:
    credentials = f"{userinfo}@" if userinfo else ""
    return parse_proxy(f"{scheme}://{credentials}127.0.0.1:{server.port}")


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# -- directly -------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_plain(host: str, scripted: Start) -> None:
    server = scripted(echo)
    marks = Marks()

    assert works(Route.to("http", host, server.port), marks=marks)

    assert marks.dns is not None
    assert marks.connect is not None
    assert marks.tls is None
    assert 0 <= marks.dns < SECONDS
    assert 0 <= marks.connect < SECONDS


def test_plain_over_ipv6() -> None:
    with ScriptedServer(echo, host="::1") as server:
        assert works(Route.to("http", "::1", server.port))


def test_secure(scripted: Start, authority: Authority, ca_bundle: str) -> None:
    server = scripted(echo, tls=authority.server())
    marks = Marks()
    settings = TlsSettings(verify=ca_bundle)

    assert works(Route.to("https", "localhost", server.port, settings), marks=marks)

    assert marks.tls is not None
    assert marks.tls > 0


def test_small_writes_are_not_held_back(scripted: Start) -> None:
    server = scripted(echo)

    stream: Any = opened(Route.to("http", "127.0.0.1", server.port))
    assert stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    stream.close()


def test_the_users_socket_options_and_source_address(scripted: Start) -> None:
    server = scripted(echo)
    route = Route.to(
        "http",
        "127.0.0.1",
        server.port,
        source=("127.0.0.1", 0),
        options=[(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)],
    )

    stream: Any = opened(route)
    assert stream.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert not stream.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    stream.close()
    elsewhere = Route.to("http", "127.0.0.1", server.port, source=("192.0.2.1", 0))
    failing(elsewhere, ours.ConnectionError)


def test_nobody_listens() -> None:
    error = failing(
        Route.to("http", "127.0.0.1", closed_port()),
        ours.ConnectionError,
        url="http://ann:***@here/path",
    )

    assert str(error).startswith("http://ann:***@here/path: the server at 127.0.0.1:")
    assert "refused the connection" in str(error)
    assert isinstance(error.__cause__, ConnectionRefusedError)


class NoNames(Watching):
    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_name_that_is_not_known() -> None:
    error = failing(Route.to("http", "no.such.name", 80), ours.ConnectionError, network=NoNames())

    assert "'no.such.name' was not found" in str(error)
    assert str(error).startswith("http://no.such.name:80: ")


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
def test_a_name_that_cannot_be(host: str) -> None:
    error = failing(Route.to("http", host, 80), ours.InvalidURL)

    assert f"{host!r} cannot be a host's name" in str(error)


@pytest.mark.parametrize(
    "host", ["", "a\r\nX: y", "a\0b", "a b", "a/b", "user@a", "a\tb", "a\x7f", "a#b", "a?b"]
)
def test_a_host_that_is_more_than_one_goes_nowhere(host: str, scripted: Start) -> None:
    server = scripted(mute)
    port = server.port

    for route in (
        Route.to("http", host, port),
        Route.to("https", host, port, None, proxy_at(server)),
        Route.to("http", host, port, None, parse_proxy(f"socks5h://127.0.0.1:{port}")),
        Route.to("http", host, port, None, parse_proxy(f"socks4a://127.0.0.1:{port}")),
        Route.to("http", "localhost", port, None, Proxy("http", host, port)),
    ):
        failing(route, ours.InvalidURL)

    assert server.connections_opened == 0


# -- certificates ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("expired", "expired"),
        ("wrong_name", "mismatch"),
        ("stranger", "certificate"),
    ],
)
def test_a_bad_certificate_is_an_error_that_names_the_host(
    kind: str,
    message: str,
    scripted: Start,
    authority: Authority,
    other_authority: Authority,
    ca_bundle: str,
) -> None:
    context = other_authority.server() if kind == "stranger" else getattr(authority, kind)()
    server = scripted(echo, tls=context)
    route = Route.to("https", "localhost", server.port, TlsSettings(verify=ca_bundle))

    error = failing(route, ours.SSLError)

    assert "the certificate of 'localhost' could not be verified" in str(error)
    assert message in str(error)
    assert isinstance(error.__cause__, ssl.SSLCertVerificationError)
    assert works(Route.to("https", "localhost", server.port, TlsSettings(verify=False)))


def test_https_where_there_is_http(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_some()
        connection.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = scripted(handler)
    error = failing(Route.to("https", "localhost", server.port), ours.SSLError)

    assert "is it plain http://?" in str(error)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_server_that_leaves_during_tls(how: str, scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_some()
        getattr(connection, how)()

    server = scripted(handler)
    kind = ours.SSLError if how == "close" else ours.ConnectionError
    error = failing(Route.to("https", "localhost", server.port), kind)

    assert "during TLS" in str(error)


def test_files_that_cannot_be_used_are_an_error(scripted: Start) -> None:
    server = scripted(mute)
    route = Route.to("https", "localhost", server.port, TlsSettings(verify="/no/such.pem"))

    error = failing(route, ours.SSLError)

    assert "'/no/such.pem'" in str(error)


# -- limits ---------------------------------------------------------------------------------------


class SlowNames(Watching):
    """Looks names up for as long as the limit, as a resolver that gets no answer."""

    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        assert timeout is not None
        threading.Event().wait(timeout)
        raise TimeoutError


class SlowSockets(Watching):
    """Connects for as long as the limit, as to a host that drops what it gets."""

    def connect(
        self, addresses: Sequence[Address], timeout: float | None, options: Any, source: Any
    ) -> Stream:
        assert timeout is not None
        threading.Event().wait(timeout)
        raise TimeoutError


SLOW = [("dns", SlowNames), ("connect", SlowSockets), ("tls", Watching)]


class StandingClock:
    """Stands still until it is told to go: what comes before takes no time, however slow."""

    def __init__(self) -> None:
        self.left: float | None = time.monotonic()
        self.behind = 0.0

    def __call__(self) -> float:
        return time.monotonic() - self.behind if self.left is None else self.left

    def go(self) -> None:
        if self.left is not None:
            self.behind = time.monotonic() - self.left
            self.left = None


def timed(network: Watching, phase: str, clock: StandingClock) -> Watching:
    """Have a clock go once a phase begins."""
    resolve, connect = network.resolve, network.connect

    def resolving(*arguments: Any) -> list[Address]:
        if phase == "dns":
            clock.go()
        return resolve(*arguments)

    def connecting(*arguments: Any) -> Stream:
        if phase == "connect":
            clock.go()
        stream = connect(*arguments)
        clock.go()
        return stream

    network.resolve, network.connect = resolving, connecting  # type: ignore[method-assign]
    return network


@pytest.mark.parametrize(("phase", "network"), SLOW)
def test_each_phase_has_the_connect_limit(
    phase: str, network: type[Watching], scripted: Start
) -> None:
    server = scripted(mute)
    route = Route.to("https", "localhost", server.port)
    marks = Marks()
    started = time.monotonic()

    error = failing(
        route,
        ours.ConnectTimeout,
        timeouts=HURRIED,
        deadline=Deadline(SECONDS),
        network=network(),
        marks=marks,
    )

    assert 0.1 < time.monotonic() - started < SOON
    assert "longer than the connect timeout" in str(error)
    assert getattr(marks, phase) > 0.1
    assert isinstance(error.__cause__, TimeoutError)


@pytest.mark.parametrize(("phase", "network"), SLOW)
@pytest.mark.parametrize("timeouts", [PATIENT, Timeouts()])
def test_each_phase_has_what_is_left_of_the_total(
    phase: str, network: type[Watching], timeouts: Timeouts, scripted: Start
) -> None:
    server = scripted(mute)
    route = Route.to("https", "localhost", server.port)
    clock = StandingClock()

    error = failing(
        route,
        ours.TotalTimeout,
        timeouts=timeouts,
        deadline=Deadline(0.15, clock),
        network=timed(network(), phase, clock),
    )

    assert error.phase == phase


def test_a_total_that_is_used_up_opens_nothing(scripted: Start) -> None:
    server = scripted(mute)
    deadline = Deadline(1.0, now=iter([0.0, 5.0, 5.0, 5.0]).__next__)

    error = failing(
        Route.to("http", "localhost", server.port), ours.TotalTimeout, deadline=deadline
    )

    assert error.phase == "dns"
    assert server.connections_opened == 0


PROXY_SCHEMES = ["http", "socks4", "socks4a", "socks5", "socks5h"]


@pytest.mark.parametrize("scheme", PROXY_SCHEMES)
def test_a_mute_proxy(scheme: str, scripted: Start) -> None:
    server = scripted(mute)
    proxy = proxy_at(server, "ann:hush", scheme)
    route = Route.to("https", "127.0.0.1", 443, None, proxy)

    error = failing(route, ours.ConnectTimeout, timeouts=HURRIED)
    assert "***@127.0.0.1" in str(error)
    late = failing(route, ours.TotalTimeout, deadline=Deadline(0.15))
    assert late.phase == "connect"


def test_an_https_proxy_that_is_mute(scripted: Start) -> None:
    server = scripted(mute)
    route = Route.to("http", "127.0.0.1", 80, None, proxy_at(server, "", "https"))

    late = failing(route, ours.TotalTimeout, deadline=Deadline(0.15))

    assert late.phase == "tls"


@pytest.mark.parametrize("data", [b"HTTP/1.1 200 OK\r\n", b"\x05"])
def test_a_proxy_that_trickles_does_not_extend_the_limit(data: bytes, scripted: Start) -> None:
    scheme = "http" if data.startswith(b"HTTP") else "socks5h"

    def handler(connection: Connection) -> None:
        connection.recv_some()
        connection.send(data)
        while scheme == "http":
            connection.pause(0.02)
            connection.send(b"X")
        mute(connection)  # of SOCKS, whose answers are short, the first byte and no other

    server = scripted(handler)
    route = Route.to("https", "127.0.0.1", 443, None, proxy_at(server, "", scheme))

    error = failing(route, ours.ConnectTimeout, timeouts=HURRIED)

    assert "took longer than the connect timeout" in str(error)


class Killed(BaseException):
    """As what kills a greenlet."""


@pytest.mark.parametrize("when", [1, 2, 3])
def test_a_killed_greenlet_leaves_nothing_open(
    when: int, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    """The wait number ``when`` never returns: for CONNECT's answer, and in each handshake."""
    target = scripted(echo, tls=authority.server())

    def handler(connection: Connection) -> None:
        connection.recv_until(b"\r\n\r\n")
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        connection.relay("127.0.0.1", target.port)

    proxy = scripted(handler, tls=authority.server())

    class Killing(Watching):
        waits = 0

        def connect(self, *args: Any) -> Stream:
            stream: Any = super().connect(*args)
            network = self

            class Inner:
                sock = stream.sock

                def receive(self, most: int, timeout: float | None) -> bytes:
                    network.waits += 1
                    if network.waits == when:
                        raise Killed
                    data: bytes = stream.receive(most, timeout)
                    return data

                def __getattr__(self, name: str) -> Any:
                    return getattr(stream, name)

            inner: Any = Inner()
            return inner  # type: ignore[no-any-return]

    network = Killing()
    settings = TlsSettings(verify=ca_bundle)
    route = Route.to(
        "https", "localhost", target.port, settings, proxy_at(proxy, "", "https"), settings
    )

    with pytest.raises(Killed):
        opened(route, network=network)

    assert network.all_closed
    proxy.wait_for_no_connections()


# -- CONNECT --------------------------------------------------------------------------------------


def tunnelling(answer: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> Callable[[Connection], None]:
    """Answer a CONNECT with this, and carry bytes if it is a 2xx."""

    def handler(connection: Connection) -> None:
        request = connection.recv_head()
        if request is None:
            return
        connection.send(answer)
        if b" 200 " in answer:
            host, _, port = request.target.rpartition(":")
            connection.relay(host.strip("[]"), int(port))
        else:
            connection.wait_closed()

    return handler


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("userinfo", ["", "ann:hush"])
def test_https_goes_by_connect(
    scheme: str, userinfo: str, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    target = scripted(echo, tls=authority.server())
    proxy = scripted(tunnelling(), tls=authority.server() if scheme == "https" else None)
    settings = TlsSettings(verify=ca_bundle)
    marks = Marks()

    assert works(
        Route.to("https", "localhost", target.port, settings, proxy_at(proxy, userinfo, scheme)),
        marks=marks,
    )

    (request,) = proxy.requests
    assert request.method == "CONNECT"
    assert request.target == f"localhost:{target.port}"
    assert request.get("Host") == f"localhost:{target.port}"
    basic = "Basic " + base64.b64encode(b"ann:hush").decode()
    assert request.get("Proxy-Authorization") == (basic if userinfo else None)
    assert marks.tls is not None
    assert target.connections[0].server_name == "localhost"


def test_an_ipv6_target_is_written_in_brackets(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    proxy = scripted(tunnelling())
    with ScriptedServer(echo, tls=authority.server(), host="::1") as target:
        settings = TlsSettings(verify=ca_bundle)
        assert works(Route.to("https", "::1", target.port, settings, proxy_at(proxy)))

        assert proxy.requests[0].target == f"[::1]:{target.port}"
        assert proxy.requests[0].get("Host") == f"[::1]:{target.port}"


def test_what_else_goes_with_connect(scripted: Start, authority: Authority, ca_bundle: str) -> None:
    target = scripted(echo, tls=authority.server())
    proxy = scripted(tunnelling())
    settings = TlsSettings(verify=ca_bundle)

    for given, expected in (
        (proxy_at(proxy)._replace(given="Bearer abc"), "Bearer abc"),
        (proxy_at(proxy, ""), None),
    ):
        assert works(
            Route.to(
                "https",
                "localhost",
                target.port,
                settings,
                given,
                proxy_headers=[("User-Agent", "test")],
            )
        )
        assert proxy.requests[-1].get("User-Agent") == "test"
        assert proxy.requests[-1].get("Proxy-Authorization") == expected
    assert works(
        Route.to(
            "https",
            "localhost",
            target.port,
            settings,
            proxy_at(proxy),
            proxy_headers=[("proxy-authorization", "Bearer mine")],
        )
    )
    assert proxy.requests[-1].all("Proxy-Authorization") == ["Bearer mine"]


def test_no_header_for_the_proxy_ends_its_line(scripted: Start) -> None:
    proxy = scripted(tunnelling())

    for given in (
        Route.to("https", "a", 1, None, proxy_at(proxy)._replace(given="x\r\nEvil: y")),
        Route.to("https", "a", 1, None, proxy_at(proxy), proxy_headers=[("X", "y\r\nEvil: z")]),
    ):
        failing(given, ours.InvalidHeader)

    assert proxy.requests == []


def test_interim_answers_to_connect_are_skipped(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    target = scripted(echo, tls=authority.server())
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    lengths = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"  # means nothing here
    proxy = scripted(tunnelling(interim + lengths))
    settings = TlsSettings(verify=ca_bundle)

    assert works(Route.to("https", "localhost", target.port, settings, proxy_at(proxy)))

    assert (proxy.connections_opened, target.connections_opened) == (1, 1)


@pytest.mark.parametrize(
    ("answer", "userinfo", "message"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "", "403 Forbidden (it does not allow"),
        (b"HTTP/1.1 407 Who\r\nContent-Length: 3\r\n\r\nabc", "", "407 Who (give its credentials"),
        (b"HTTP/1.1 407 Who\r\n\r\n", "ann:hush", "407 Who (it does not take the credentials"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "", "502 Bad Gateway (it could not reach"),
        (b"HTTP/1.0 500\r\n\r\n", "", "example.org:443: 500"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://evil/\r\n\r\n", "", "302 Found"),
        (b"SSH-2.0-OpenSSH\r\n", "", "did not answer CONNECT"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "", "looks like TLS"),
        (b"HTTP/1.1 OK\r\n\r\n", "", "did not answer CONNECT"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 20, "", "interim answers"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 400_000, "", "did not answer CONNECT"),
        (b"HTTP/1.1 200 OK\r\n\r\n\x16\x03", "", "sent 2 bytes of its own"),
    ],
)
def test_a_proxy_that_opens_no_tunnel(
    answer: bytes, userinfo: str, message: str, scripted: Start
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_head()
        connection.send(answer)
        connection.wait_closed()

    proxy = scripted(handler)
    route = Route.to("https", "example.org", 443, None, proxy_at(proxy, userinfo))

    error = failing(route, ours.ProxyError, url="https://example.org/path")

    assert str(error).startswith("https://example.org/path: the proxy http://")
    assert message in str(error)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200"])
def test_a_proxy_that_closes(sent: bytes, scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_head()
        connection.send(sent)

    proxy = scripted(handler)
    error = failing(Route.to("https", "example.org", 443, None, proxy_at(proxy)), ours.ProxyError)

    assert "closed the connection" in str(error)


@pytest.mark.parametrize("scheme", PROXY_SCHEMES)
def test_a_proxy_that_is_not_there(scheme: str) -> None:
    proxy = parse_proxy(f"{scheme}://ann:hush@127.0.0.1:{closed_port()}")

    error = failing(Route.to("https", "127.0.0.1", 443, None, proxy), ours.ProxyError)

    assert f"the proxy {scheme}://ann:***@127.0.0.1" in str(error)
    assert "refused the connection" in str(error)


def test_a_proxy_whose_name_is_not_known() -> None:
    proxy = parse_proxy("http://no.such.proxy:1")

    error = failing(
        Route.to("https", "example.org", 443, None, proxy), ours.ProxyError, network=NoNames()
    )

    assert "'no.such.proxy' was not found" in str(error)


def test_an_https_proxy_is_verified(
    scripted: Start, other_authority: Authority, ca_bundle: str
) -> None:
    proxy = scripted(tunnelling(), tls=other_authority.server())
    settings = TlsSettings(verify=ca_bundle)

    for scheme in ("http", "https"):
        route = Route.to(scheme, "example.org", 1, settings, proxy_at(proxy, scheme="https"))
        error = failing(route, ours.ProxyError)
        assert "the certificate of '127.0.0.1' could not be verified" in str(error)

    assert proxy.requests == []


def test_a_server_behind_a_proxy_is_verified(
    scripted: Start, authority: Authority, other_authority: Authority, ca_bundle: str
) -> None:
    target = scripted(echo, tls=other_authority.server())
    proxy = scripted(tunnelling())
    settings = TlsSettings(verify=ca_bundle)

    error = failing(
        Route.to("https", "localhost", target.port, settings, proxy_at(proxy)), ours.SSLError
    )

    assert "the certificate of 'localhost' could not be verified" in str(error)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_plain_http_needs_no_tunnel(
    scheme: str, scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    proxy = scripted(echo, tls=authority.server() if scheme == "https" else None)
    settings = TlsSettings(verify=ca_bundle)
    network = Watching()

    assert works(
        Route.to("http", "example.org", 80, settings, proxy_at(proxy, scheme=scheme)),
        network=network,
    )

    assert network.asked == ["127.0.0.1"]


# -- SOCKS ----------------------------------------------------------------------------------------


def socks5_server(
    method: bytes = b"\x05\x00",
    login: bytes = b"\x01\x00",
    reply: bytes = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50",
    received: list[bytes] | None = None,
) -> Callable[[Connection], None]:
    """Speak SOCKS 5 as told, and echo afterwards."""
    message = [] if received is None else received

    def handler(connection: Connection) -> None:
        count = connection.recv_exact(2)[1]
        message.append(connection.recv_exact(count))
        connection.send(method)
        if method[1:] == b"\x02":
            _, size = connection.recv_exact(2)
            user = connection.recv_exact(size)
            message.append(user + b":" + connection.recv_exact(connection.recv_exact(1)[0]))
            connection.send(login)
        head = connection.recv_exact(4)
        size = {1: 4, 4: 16}.get(head[3]) or connection.recv_exact(1)[0]
        message.append(connection.recv_exact(size) + connection.recv_exact(2))
        # What follows the reply in the same packet is the server's.
        connection.send(reply)
        echo(connection)

    return handler


@pytest.mark.parametrize(
    ("userinfo", "method", "message"),
    [
        ("", b"\x05\x00", [b"\x00"]),
        ("ann:hush", b"\x05\x00", [b"\x00\x02"]),
        ("ann:hush", b"\x05\x02", [b"\x00\x02", b"ann:hush"]),
        ("ann", b"\x05\x02", [b"\x00\x02", b"ann:"]),
        ("%C3%BC:%FF", b"\x05\x02", [b"\x00\x02", b"\xc3\xbc:\xff"]),
    ],
)
def test_socks5_logs_in(
    userinfo: str, method: bytes, message: list[bytes], scripted: Start
) -> None:
    received: list[bytes] = []
    server = scripted(socks5_server(method, received=received))

    assert works(Route.to("http", "example.org", 80, None, proxy_at(server, userinfo, "socks5h")))

    assert received == [*message, b"example.org\x00\x50"]


#: 2001:db8:: but for its last byte.
IPV6 = b"\x20\x01\x0d\xb8" + bytes(11)


@pytest.mark.parametrize(
    ("scheme", "host", "asked", "message"),
    [
        ("socks5h", "name.example", [], b"name.example\x01\xbb"),
        ("socks5h", "192.0.2.7", [], b"\xc0\x00\x02\x07\x01\xbb"),
        (
            "socks5h",
            "2001:db8::7",
            [],
            socket.inet_pton(socket.AF_INET6, "2001:db8::7") + b"\x01\xbb",
        ),
        ("socks5", "name.example", ["name.example"], b"\xc0\x00\x02\x09\x01\xbb"),
        ("socks5", "192.0.2.7", ["192.0.2.7"], b"\xc0\x00\x02\x07\x01\xbb"),
        ("socks5", "six.example", ["six.example"], IPV6 + b"\x09\x01\xbb"),
    ],
)
def test_who_looks_the_name_up(
    scheme: str, host: str, asked: list[str], message: bytes, scripted: Start
) -> None:
    received: list[bytes] = []
    server = scripted(socks5_server(received=received))
    network = Watching({"name.example": ["192.0.2.9"], "six.example": ["2001:db8::9"]})

    assert works(
        Route.to("http", host, 443, None, proxy_at(server, "", scheme)),
        network=network,
    )

    assert network.asked == [*asked, "127.0.0.1"]
    assert received[-1] == message


@pytest.mark.parametrize(
    "reply",
    [
        b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00",
        b"\x05\x00\x00\x04" + bytes(18),
        b"\x05\x00\x00\x03\x05proxy\x00\x50",
        b"\x05\x00\x00\x03\x00\x00\x50",
        b"\x05\x00\x00\x03\xff" + b"a" * 255 + b"\x00\x50",
        b"\x05\x00\x00\x03\x02\xff\xfe\x00\x50",
    ],
)
def test_replies_of_every_kind_and_what_follows_them(reply: bytes, scripted: Start) -> None:
    server = scripted(socks5_server(reply=reply + b"first"))

    stream = opened(Route.to("http", "example.org", 80, None, proxy_at(server, "", "socks5h")))
    data = b""
    while len(data) < 5:
        data += stream.receive(5 - len(data), SECONDS)

    assert data == b"first"
    assert exchanged(stream, b"hello") == b"hello"
    stream.close()


@pytest.mark.parametrize(
    ("userinfo", "answers", "message"),
    [
        ("", {"method": b"\x05\xff"}, "wants credentials"),
        ("ann:hush", {"method": b"\x05\xff"}, "takes no user and password"),
        ("", {"method": b"\x05\x02"}, "was not offered"),
        ("ann:hush", {"method": b"\x05\x01"}, "was not offered"),
        ("", {"method": b"HTTP/1.1 400"}, "does not speak SOCKS 5"),
        ("ann:hush", {"method": b"\x05\x02", "login": b"\x01\x01"}, "take the credentials"),
        ("", {"reply": b"\x05\x01\x00\x01" + bytes(6)}, "it failed"),
        ("", {"reply": b"\x05\x02\x00\x01" + bytes(6)}, "rules do not allow"),
        ("", {"reply": b"\x05\x03\x00\x00"}, "network cannot be reached"),
        ("", {"reply": b"\x05\x05\x00\x01" + bytes(6)}, "the server refused its connection"),
        ("", {"reply": b"\x05\x63\x00\x01" + bytes(6)}, "it answered 99"),
        ("", {"reply": b"\x04\x00\x00\x01" + bytes(6)}, "broke the rules"),
        ("", {"reply": b"\x05\x00\x00\x07" + bytes(6)}, "broke the rules"),
    ],
)
def test_socks5_that_opens_nothing(
    userinfo: str, answers: dict[str, bytes], message: str, scripted: Start
) -> None:
    server = scripted(socks5_server(**answers))  # type: ignore[arg-type]
    proxy = proxy_at(server, userinfo, "socks5h")

    error = failing(Route.to("https", "example.org", 443, None, proxy), ours.ProxyError)

    assert message in str(error)
    assert f"the proxy {proxy.url}" in str(error)


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_a_socks_proxy_that_closes(scheme: str, scripted: Start) -> None:
    server = scripted(lambda connection: connection.recv_exact(3) and None)
    route = Route.to("http", "127.0.0.1", 80, None, proxy_at(server, "", scheme))

    # A close with bytes unread comes as a reset.
    error = failing(route, ours.ProxyError)

    assert "closed the connection" in str(error) or "reset the connection" in str(error)


def socks4_server(reply: bytes, received: list[bytes]) -> Callable[[Connection], None]:
    def handler(connection: Connection) -> None:
        head = connection.recv_exact(8)
        received.append(head)
        received.append(connection.recv_until(b"\0"))
        if head[4:7] == bytes(3) and head[7]:
            received.append(connection.recv_until(b"\0"))
        connection.send(reply)
        echo(connection)

    return handler


GRANTED = b"\x00\x5a" + bytes(6)


@pytest.mark.parametrize(
    ("scheme", "host", "userinfo", "message"),
    [
        ("socks4", "127.0.0.1", "", [b"\x04\x01\x00\x50\x7f\x00\x00\x01", b"\0"]),
        ("socks4", "name.example", "ann", [b"\x04\x01\x00\x50\xc0\x00\x02\x09", b"ann\0"]),
        (
            "socks4a",
            "name.example",
            "ann:hush",
            [b"\x04\x01\x00\x50\x00\x00\x00\xff", b"ann\0", b"name.example\0"],
        ),
        ("socks4a", "127.0.0.1", "", [b"\x04\x01\x00\x50\x7f\x00\x00\x01", b"\0"]),
    ],
)
def test_socks4(
    scheme: str, host: str, userinfo: str, message: list[bytes], scripted: Start
) -> None:
    received: list[bytes] = []
    server = scripted(socks4_server(GRANTED, received))
    network = Watching({"name.example": ["2001:db8::9", "192.0.2.9"]})

    route = Route.to("http", host, 80, None, proxy_at(server, userinfo, scheme))
    assert works(route, network=network)

    assert received == message


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (b"\x00\x5b" + bytes(6), "rejected the request"),
        (b"\x00\x5d" + bytes(6), "another user"),
        (b"\x00\x5f" + bytes(6), "does not speak SOCKS 4"),
        (b"HTTP/1.1 400 Bad", "does not speak SOCKS 4"),
    ],
)
def test_socks4_that_opens_nothing(reply: bytes, message: str, scripted: Start) -> None:
    server = scripted(socks4_server(reply, []))
    route = Route.to("http", "127.0.0.1", 80, None, proxy_at(server, "ann:hush", "socks4"))

    assert message in str(failing(route, ours.ProxyError))


def test_socks4_knows_no_ipv6(scripted: Start) -> None:
    server = scripted(mute)
    route = Route.to("http", "::1", 80, None, proxy_at(server, "", "socks4"))

    assert "no IPv4 address" in str(failing(route, ours.ConnectionError))
    assert server.connections_opened == 0


def test_a_name_too_long_for_socks(scripted: Start) -> None:
    server = scripted(socks5_server())
    host = ".".join(["a" * 60] * 5)
    route = Route.to("http", host, 80, None, proxy_at(server, "", "socks5h"))

    assert "SOCKS takes 255" in str(failing(route, ours.InvalidURL))


def test_a_server_that_socks_has_to_find_here_and_is_not_known() -> None:
    route = Route.to("http", "no.such.name", 80, None, parse_proxy("socks5://127.0.0.1:1"))

    error = failing(route, ours.ConnectionError, network=NoNames())

    assert "'no.such.name' was not found" in str(error)
    assert "this machine looked it up" in str(error)
    assert "socks5h://" in str(error)
    assert type(error.__cause__) is socket.gaierror


@pytest.mark.parametrize("scheme", ["socks4", "socks4a", "socks5", "socks5h"])
def test_the_extra_is_named_where_it_is_missing(
    scheme: str, scripted: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    server = scripted(mute)
    route = Route.to("http", "127.0.0.1", 80, None, proxy_at(server, "ann:hush", scheme))

    error = failing(route, ours.InvalidSchema)

    assert "reqkit[socks]" in str(error)
    assert server.connections_opened == 0


def test_https_through_socks(scripted: Start, authority: Authority, ca_bundle: str) -> None:
    target = scripted(echo, tls=authority.server())

    def handler(connection: Connection) -> None:
        connection.recv_exact(3)
        connection.send(b"\x05\x00")
        connection.recv_exact(4)
        connection.recv_exact(connection.recv_exact(1)[0] + 2)
        connection.send(b"\x05\x00\x00\x01" + bytes(6))
        connection.relay("127.0.0.1", target.port)

    server = scripted(handler)
    proxy = proxy_at(server, "", "socks5h")

    assert works(Route.to("https", "localhost", target.port, TlsSettings(verify=ca_bundle), proxy))

    assert (server.connections_opened, target.connections_opened) == (1, 1)


# -- proxies that others wrote --------------------------------------------------------------------


def test_real_proxies(
    request: pytest.FixtureRequest, echo_secure: ScriptedServer, ca_bundle: str
) -> None:
    settings = TlsSettings(verify=ca_bundle)

    def asked(proxy: Proxy) -> None:
        route = Route.to("https", "127.0.0.1", echo_secure.port, settings, proxy)
        stream = opened(route)
        stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", SECONDS)
        assert stream.receive(15, SECONDS) == b"HTTP/1.1 200 OK"
        stream.close()

    open_proxy: proxies.Proxy = request.getfixturevalue("http_proxy")
    auth_proxy: proxies.Proxy = request.getfixturevalue("auth_proxy")
    socks_proxy: proxies.Proxy = request.getfixturevalue("socks_proxy")
    socks_auth_proxy: proxies.Proxy = request.getfixturevalue("socks_auth_proxy")
    socks4_proxy: proxies.Proxy = request.getfixturevalue("socks4_proxy")
    for url in (
        open_proxy.netloc,
        auth_proxy.url_with_credentials,
        socks_proxy.url,
        socks_proxy.url.replace("socks5", "socks5h"),
        socks_auth_proxy.url_with_credentials,
        socks4_proxy.url,
    ):
        asked(parse_proxy(url))
    for url, message in (
        (auth_proxy.url, "407"),
        (auth_proxy.url.replace("://", "://ann:hush@"), "407"),
        (socks_auth_proxy.url, "SOCKS|socks"),
        (socks_auth_proxy.url.replace("://", "://ann:hush@"), "socks"),
    ):
        route = Route.to("https", "127.0.0.1", echo_secure.port, settings, parse_proxy(url))
        with pytest.raises(ours.ProxyError, match=message) as caught:
            opened(route)
        assert "hush" not in str(caught.value)
