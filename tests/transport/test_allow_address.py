"""``Session(allow_address=...)``: no packet goes to an address that it refuses."""

from __future__ import annotations

import ipaddress
import pickle
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.adapters import HTTPAdapter
from reqkit.transport.address_filter import IPAddress
from reqkit_async.network import GEVENT
from servers.messages import answer
from servers.proxies import Proxy
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]
Send = Callable[..., reqkit.Response]


def is_global(address: IPAddress) -> bool:
    return address.is_global


def anything(address: IPAddress) -> bool:
    return True


class Names:
    """What names lead to: for each look-up the next of its lists, the last one over and over."""

    def __init__(self) -> None:
        self.lists: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []

    def getaddrinfo(self, host: str, port: int, *rest: Any) -> list[Any]:
        self.asked.append(host)
        lists = self.lists[host]
        addresses = lists.pop(0) if len(lists) > 1 else lists[0]
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (one, port, 0, 0))
            if ":" in one
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port))
            for one in addresses
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """Names that this test makes up, for both networks."""
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.getaddrinfo)
    GEVENT.dns.clear()
    yield made
    GEVENT.dns.clear()


def close_each(connection: Connection) -> None:
    """Answer, and close."""
    if connection.recv_request() is not None:
        connection.send(answer(200, b"ok", [("Connection", "close")]))


# -- what is refused


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "0x7f000001",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "0x7f.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",
        "0",
    ],
)
def test_every_spelling_of_this_machine(echo: ScriptedServer, send: Send, host: str) -> None:
    url = f"http://{host}:{echo.port}/"
    with (
        reqkit.Session(allow_address=is_global) as session,
        pytest.raises(reqkit.AddressNotAllowed) as caught,
    ):
        send(url, session=session)
    assert url in str(caught.value)
    assert host.strip("[]") in str(caught.value)
    assert caught.value.before_sending
    assert echo.connections_opened == 0


@pytest.mark.parametrize(
    ("literal", "shown"),
    [
        ("[::1]", ["::1"]),
        ("[::ffff:10.1.2.3]", ["10.1.2.3"]),
        # Both: the address itself, and that of IPv4 which it leads to.
        ("[64:ff9b::10.1.2.3]", ["64:ff9b::a01:203", "10.1.2.3"]),
        ("[2002:a01:203::1]", ["2002:a01:203::1", "10.1.2.3"]),
        ("[::10.1.2.3]", ["::a01:203", "10.1.2.3"]),
        # IPv4-translated, as the mapped ones but for one zero.
        ("[::ffff:0:10.1.2.3]", ["::ffff:0:a01:203", "10.1.2.3"]),
        # ISATAP, within any prefix.
        ("[2001:db8::5efe:10.1.2.3]", ["2001:db8::5efe:a01:203", "10.1.2.3"]),
        ("[2001:db8::200:5efe:10.1.2.3]", ["2001:db8::200:5efe:a01:203", "10.1.2.3"]),
        # Teredo: the server, and the client with its bits turned.
        ("[2001:0:a01:203::f5fe:fdfb]", ["2001:0:a01:203::f5fe:fdfb", "10.1.2.3", "10.1.2.4"]),
        # NAT64 of one's own network, by prefixes of 96, 48, 56 and 64 bits.
        ("[64:ff9b:1::10.1.2.3]", ["64:ff9b:1::a01:203", "10.1.2.3"]),
        ("[64:ff9b:1:a01:2:300::]", ["64:ff9b:1:a01:2:300::", "0.0.0.0", "10.1.2.3"]),
        ("[64:ff9b:1:0a:1:203::]", ["64:ff9b:1:a:1:203::", "0.0.0.0", "10.1.2.3"]),
        ("[64:ff9b:1:0:a:102:300:0]", ["64:ff9b:1:0:a:102:300:0", "3.0.0.0", "10.1.2.3"]),
        ("[2001:db8::7]", ["2001:db8::7"]),
        ("10.1.2.3", ["10.1.2.3"]),
        # Nobody's address, by which this machine is reached.
        ("0.0.0.0", ["0.0.0.0", "127.0.0.1"]),
        ("0", ["0.0.0.0", "127.0.0.1"]),
        ("[::ffff:0.0.0.0]", ["0.0.0.0", "127.0.0.1"]),
        ("[::]", ["::", "::1"]),
    ],
)
def test_what_the_filter_is_shown(send: Send, literal: str, shown: list[str]) -> None:
    seen: list[IPAddress] = []

    def last_refused(address: IPAddress) -> bool:
        seen.append(address)
        return len(seen) < len(shown)

    with (
        reqkit.Session(allow_address=last_refused) as session,
        pytest.raises(reqkit.AddressNotAllowed),
    ):
        send(f"http://{literal}/", session=session)
    assert seen == [ipaddress.ip_address(one) for one in shown]


def test_what_the_filter_is_told(echo: ScriptedServer, send: Send) -> None:
    received: list[dict[str, Any]] = []

    def ask(address: IPAddress, **about: Any) -> bool:
        received.append(about)
        return True

    with reqkit.Session(allow_address=ask) as session:
        assert send(echo(), session=session).ok
        assert send(echo(), session=session).ok  # over the kept connection
    assert received == [{"host": "127.0.0.1", "port": echo.port, "proxy": None}]


def test_a_redirect_to_this_machine(scripted: Scripted, echo: ScriptedServer, send: Send) -> None:
    allowed = scripted([answer(302, b"", [("Location", echo("/secret"))])])

    def by_port(address: IPAddress, **about: Any) -> bool:
        return bool(about["port"] == allowed.port)

    with (
        reqkit.Session(allow_address=by_port) as session,
        pytest.raises(reqkit.AddressNotAllowed, match="/secret"),
    ):
        send(allowed(), session=session)
    assert len(allowed.requests) == 1
    assert echo.connections_opened == 0


def test_a_name_that_leads_elsewhere_the_second_time(
    scripted: Scripted, send: Send, names: Names
) -> None:
    """DNS rebinding: what is checked is what is connected to, each time."""
    server = scripted(close_each)
    names.lists["rebound.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    url = f"http://rebound.test:{server.port}/"
    refuse = ipaddress.ip_address("127.0.0.2")
    with reqkit.Session(allow_address=lambda address: address != refuse) as session:
        assert send(url, session=session).content == b"ok"
        assert names.asked == ["rebound.test"]  # once: there is no second look-up to be fooled
        GEVENT.dns.clear()
        with pytest.raises(reqkit.AddressNotAllowed, match=r"rebound\.test.*127\.0\.0\.2"):
            send(url, session=session)
    assert names.asked == ["rebound.test"] * 2
    assert server.connections_opened == 1


def test_among_several_addresses_the_allowed_ones_alone_are_tried(
    echo: ScriptedServer, closed_port: int, send: Send, names: Names
) -> None:
    names.lists["both.test"] = [["127.0.0.1", "127.0.0.3", "::1"]]
    good, bad = ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("127.0.0.3")
    with reqkit.Session(allow_address=lambda address: address == good) as session:
        assert send(f"http://both.test:{echo.port}/", session=session).ok
    assert echo.connections_opened == 1
    # Now the server is the one that may not be: the others do not answer, and it is never tried.
    with (
        reqkit.Session(allow_address=lambda address: address == bad) as session,
        pytest.raises(reqkit.ConnectionError),
    ):
        send(f"http://both.test:{echo.port}/", session=session)
    assert echo.connections_opened == 1


def test_a_refused_address_is_not_tried_again(echo: ScriptedServer) -> None:
    asked: list[IPAddress] = []

    def refuse(address: IPAddress) -> bool:
        asked.append(address)
        return False

    from urllib3.util import Retry

    for retries in (3, Retry(3, backoff_factor=0)):
        with reqkit.Session(allow_address=refuse, config={"max_retries": retries}) as session:
            with pytest.raises(reqkit.AddressNotAllowed):
                session.get(echo())
            [entry] = reqkit_async.map([reqkit_async.get(echo(), session=session)], retries=retries)
            assert isinstance(entry.error, reqkit.AddressNotAllowed)
    assert len(asked) == 4
    assert echo.connections_opened == 0


def test_safe_mode_and_what_the_error_is() -> None:
    with reqkit.Session(allow_address=is_global, config={"safe_mode": True}) as session:
        response = session.get("http://u:pw-word@127.0.0.1/")
    assert isinstance(response.error, reqkit.AddressNotAllowed)
    assert isinstance(response.error, (reqkit.InvalidURL, ValueError))
    assert not isinstance(response.error, reqkit.ConnectionError)
    assert "pw-word" not in str(response.error)


# -- filters that fail


class Rule:
    """A rule that cannot be hashed, and says what it was made with."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, verdict: Any) -> None:
        self.verdict = verdict

    def __call__(self, address: IPAddress) -> Any:
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


@pytest.mark.parametrize("verdict", [False, None, 1, "yes", LookupError("mine")], ids=repr)
def test_all_but_true_refuses(echo: ScriptedServer, send: Send, verdict: Any) -> None:
    with (
        reqkit.Session(allow_address=Rule(verdict)) as session,
        pytest.raises(reqkit.AddressNotAllowed) as caught,
    ):
        send(echo(), session=session)
    cause = caught.value.__cause__
    if isinstance(verdict, Exception):
        assert cause is verdict
    elif verdict is not False:
        assert isinstance(cause, TypeError)
        assert "True or False" in str(cause)
    assert echo.connections_opened == 0


def test_an_address_that_is_none_is_refused(send: Send, names: Names) -> None:
    names.lists["odd.test"] = [["not-an-address"]]
    with (
        reqkit.Session(allow_address=anything) as session,
        pytest.raises(reqkit.AddressNotAllowed, match="not-an-address"),
    ):
        send("http://odd.test/", session=session)


@pytest.mark.parametrize("value", [True, "10.0.0.0/8", [is_global]])
def test_what_is_no_filter(value: Any) -> None:
    with pytest.raises(TypeError, match="allow_address"):
        reqkit.Session(allow_address=value)
    session = reqkit.Session()
    with pytest.raises(TypeError, match="allow_address"):
        session.allow_address = value
    assert session.allow_address is None


# -- kept connections


@pytest.mark.parametrize("tls", [False, True])
def test_kept_connections_serve_their_own_filter_alone(
    tls: bool, echo: ScriptedServer, echo_secure: ScriptedServer, ca_bundle: str, send: Send
) -> None:
    server = echo_secure if tls else echo
    with reqkit.Session(verify=ca_bundle) as session:

        def used() -> int:
            number: int = send(server(), session=session).json()["connection"]
            return number

        assert (used(), used()) == (1, 1)
        session.allow_address = is_global
        with pytest.raises(reqkit.AddressNotAllowed):
            used()
        session.allow_address = anything
        assert (used(), used()) == (2, 2)
        session.allow_address = is_global
        with pytest.raises(reqkit.AddressNotAllowed):
            used()
        session.allow_address = None
        assert used() == 1
    assert len(server.requests) == 5


def test_two_sessions_on_one_adapter(echo: ScriptedServer) -> None:
    adapter = HTTPAdapter()
    with reqkit.Session() as free, reqkit.Session(allow_address=is_global) as bound:
        for session in (free, bound):
            session.mount("http://", adapter)
        assert free.get(echo()).ok
        with pytest.raises(reqkit.AddressNotAllowed):
            bound.get(echo())
        # A prepared message that the free one has sent is bound here, too.
        prepared = free.prepare_request(reqkit.Request("GET", echo()))
        assert free.send(prepared).ok
        with pytest.raises(reqkit.AddressNotAllowed):
            bound.send(prepared)
    assert len(echo.requests) == 2


def test_auth_answers_and_resumed_steps_are_checked(scripted: Scripted, send: Send) -> None:
    challenge = [("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')]
    server = scripted([answer(401, b"", [*challenge, ("Connection", "close")]), answer(200)])
    asked: list[IPAddress] = []

    def once(address: IPAddress) -> bool:
        asked.append(address)
        return len(asked) == 1

    auth = reqkit.auth.HTTPDigestAuth("ann", "x")
    with (
        reqkit.Session(allow_address=once, auth=auth) as session,
        pytest.raises(reqkit.AddressNotAllowed),
    ):
        send(server(), session=session)
    assert len(server.requests) == 1
    assert len(asked) == 2


# -- messages of every origin


Send2 = Callable[[reqkit.Session, reqkit.Response, reqkit.PreparedRequest], Any]


def by_the_connection(
    session: reqkit.Session, response: reqkit.Response, prepared: reqkit.PreparedRequest
) -> None:
    response.connection.send(prepared)


def by_the_session(
    session: reqkit.Session, response: reqkit.Response, prepared: reqkit.PreparedRequest
) -> None:
    session.send(prepared)


def by_its_adapter(
    session: reqkit.Session, response: reqkit.Response, prepared: reqkit.PreparedRequest
) -> None:
    session.get_adapter("http://x").send(prepared)


def by_hand(url: str) -> reqkit.PreparedRequest:
    return reqkit.Request("GET", url).prepare()


def filled_in(url: str) -> reqkit.PreparedRequest:
    prepared = reqkit.PreparedRequest()
    prepared.prepare(method="GET", url=url)
    return prepared


def of_another_session(url: str) -> reqkit.PreparedRequest:
    return reqkit.Session(allow_address=anything).prepare_request(reqkit.Request("GET", url))


def sent_by_another_session(url: str) -> reqkit.PreparedRequest:
    """What has gone out already, under another filter."""
    with reqkit.Session(allow_address=anything) as session:
        return session.get(url).request


def sent_by_nobodys(url: str) -> reqkit.PreparedRequest:
    return reqkit.get(url).request


@pytest.mark.parametrize("way", [by_the_connection, by_the_session, by_its_adapter])
@pytest.mark.parametrize(
    "make",
    [by_hand, filled_in, of_another_session, sent_by_another_session, sent_by_nobodys],
)
def test_a_message_of_any_origin(
    scripted: Scripted, echo: ScriptedServer, make: Any, way: Send2
) -> None:
    inner = make(echo())
    before = len(echo.requests)
    outer = scripted([answer(200)])

    def outer_alone(address: IPAddress, **about: Any) -> bool:
        return bool(about["port"] == outer.port)

    with reqkit.Session(allow_address=outer_alone) as session:
        response = session.get(outer())
        with pytest.raises(reqkit.AddressNotAllowed):
            way(session, response, inner)
    assert len(echo.requests) == before


@pytest.mark.parametrize("name", ["response", "pre_request", "post_request"])
def test_a_message_sent_in_a_hook(
    scripted: Scripted, echo: ScriptedServer, send: Send, name: str
) -> None:
    outer = scripted([answer(200)] * 2)
    errors: list[Exception] = []

    def outer_alone(address: IPAddress, **about: Any) -> bool:
        return bool(about["port"] == outer.port)

    with reqkit.Session(allow_address=outer_alone) as session:
        connection = session.get(outer()).connection

        def hook(subject: Any) -> None:
            with pytest.raises(reqkit.AddressNotAllowed) as caught:
                getattr(subject, "connection", connection).send(by_hand(echo()))
            errors.append(caught.value)

        send(outer(), session=session, hooks={name: hook})
    assert len(errors) == 1
    assert not echo.requests


def test_in_an_auths_hook(scripted: Scripted, echo: ScriptedServer, send: Send) -> None:
    outer = scripted([answer(200)])

    def outer_alone(address: IPAddress, **about: Any) -> bool:
        return bool(about["port"] == outer.port)

    def handle(response: reqkit.Response, **keywords: Any) -> Any:
        return response.connection.send(by_hand(echo()), **keywords)

    def auth(prepared: reqkit.PreparedRequest) -> reqkit.PreparedRequest:
        prepared.register_hook("response", handle)
        return prepared

    with (
        reqkit.Session(allow_address=outer_alone) as session,
        pytest.raises(reqkit.AddressNotAllowed),
    ):
        send(outer(), session=session, auth=auth)
    assert not echo.requests


def test_a_message_of_a_guarded_session_stays_guarded(scripted: Scripted) -> None:
    """Sent on by a response of a session that has no filter."""
    outer = scripted([answer(200)] * 3)
    allowed = [True, False]

    def once(address: IPAddress) -> bool:
        return allowed.pop(0)

    with reqkit.Session(allow_address=once) as guarded, reqkit.Session() as session:
        message = guarded.get(outer(), headers={"Connection": "close"}).request
        response = session.get(outer())
        with pytest.raises(reqkit.AddressNotAllowed):
            response.connection.send(message)


def test_a_message_by_hand_is_under_the_other_rules_too(scripted: Scripted) -> None:
    big = scripted([answer(200), answer(200, b"x" * 100)])
    with reqkit.Session(config={"max_content_size": 10}) as session:
        response = session.get(big())
        with pytest.raises(reqkit.ContentTooLarge):
            _ = response.connection.send(by_hand(big())).content


# -- proxies and adapters


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_name_behind_an_http_proxy_is_refused(
    scripted: Scripted, send: Send, scheme: str
) -> None:
    proxy = scripted([answer(200, b"from the proxy")])
    with (
        reqkit.Session(allow_address=anything, proxies={"all": proxy.url}) as session,
        pytest.raises(reqkit.AddressNotAllowed, match=r"named\.test.*socks5"),
    ):
        send(f"{scheme}://named.test/", session=session)
    assert proxy.connections_opened == 0


def test_an_address_behind_a_proxy_and_the_proxys_own(scripted: Scripted, send: Send) -> None:
    proxy = scripted([answer(200, b"from the proxy")] * 3)
    received: list[tuple[str, Any]] = []

    def ask(address: IPAddress, **about: Any) -> bool:
        received.append((str(address), about["proxy"]))
        return str(address) != "10.0.0.9"

    where = f"http://ann:word@{proxy.netloc}"
    with reqkit.Session(allow_address=ask, proxies={"http": where}) as session:
        assert send("http://192.0.2.1/", session=session).content == b"from the proxy"
        with pytest.raises(reqkit.AddressNotAllowed):
            send("http://10.0.0.9/", session=session)  # the connection to the proxy is kept
    with (
        reqkit.Session(allow_address=is_global, proxies={"http": where}) as session,
        pytest.raises(reqkit.AddressNotAllowed, match="proxy") as caught,
    ):
        send("http://8.8.8.8/", session=session)
    assert "word" not in str(caught.value)
    shown = f"http://ann:***@{proxy.netloc}"
    assert received == [("192.0.2.1", None), ("127.0.0.1", shown), ("10.0.0.9", None)]
    assert len(proxy.requests) == 1


def test_a_name_that_is_looked_up_here_for_a_socks_proxy(
    echo: ScriptedServer, socks_proxy: Proxy, send: Send, names: Names
) -> None:
    names.lists["inner.test"] = [["127.0.0.3", "127.0.0.1"]]
    url = f"http://inner.test:{echo.port}/"
    good = ipaddress.ip_address("127.0.0.1")
    with reqkit.Session(proxies={"all": socks_proxy.url}) as session:
        session.allow_address = lambda address: address == good
        assert send(url, session=session).ok
        session.allow_address = lambda address, **about: about["proxy"] is not None
        with pytest.raises(reqkit.AddressNotAllowed, match=r"inner\.test"):
            send(url, session=session)
        session.proxies = {"all": socks_proxy.url.replace("socks5", "socks5h")}
        session.allow_address = anything
        with pytest.raises(reqkit.AddressNotAllowed, match="look up"):
            send(url, session=session)
    assert len(echo.requests) == 1


def test_an_adapter_that_connects_by_itself_is_refused(echo: ScriptedServer) -> None:
    class Own(HTTPAdapter):
        def get_connection_with_tls_context(self, *args: Any, **keywords: Any) -> Any:
            return super().get_connection_with_tls_context(*args, **keywords)

    with reqkit.Session() as session:
        session.mount("http://", Own())
        assert session.get(echo()).ok
        session.allow_address = anything
        with pytest.raises(reqkit.AddressNotAllowed, match="Own"):
            session.get(echo())
    assert len(echo.requests) == 1


# -- the session


def test_a_pickled_session_keeps_its_filter(echo: ScriptedServer) -> None:
    session: reqkit.Session = pickle.loads(pickle.dumps(reqkit.Session(allow_address=is_global)))
    assert session.allow_address is is_global
    with session, pytest.raises(reqkit.AddressNotAllowed):
        session.get(echo())
    # One that cannot be pickled is not left behind in silence.
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(reqkit.Session(allow_address=lambda address: False))


def test_without_a_filter_nothing_is_different(echo: ScriptedServer) -> None:
    with reqkit.session(allow_address=None) as session:
        assert session.allow_address is None
        assert session.get(echo()).ok
        pool = session.get_adapter(echo()).poolmanager  # type: ignore[attr-defined]
        keys = [key for one in pool.pools.values() for key in one._idle]
    assert keys == [("http", "127.0.0.1", echo.port)]
