"""Redirects: where they lead, what becomes of the method, and what each hop is told.

The servers believe to be many hosts on the usual ports: names and ports are mapped to two local
servers, one of them with TLS, by a network of the tests' own.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import reqkit
from reqkit import network
from reqkit.auth import HTTPBearerAuth
from reqkit.network import Address, StdlibNetwork
from servers.messages import Received, answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Fields = list[tuple[str, str]]


class Town(StdlibNetwork):
    """All names lead to two servers: ports 443 and 8443 to the one with TLS."""

    def __init__(self, plain: ScriptedServer, secure: ScriptedServer, bundle: str) -> None:
        self.plain = plain
        self.secure = secure
        self.bundle = bundle
        #: Path to the answer; what is not there is a 200.
        self.answers: dict[str, bytes] = {}

    def scope(self) -> Any:
        return id(self)

    def resolve(self, host: str, port: int, timeout: float | None) -> list[Address]:
        server = self.secure if port in (443, 8443) else self.plain
        return [Address(socket.AF_INET, ("127.0.0.1", server.port))]

    def redirect(self, location: str, status: int = 302, path: str = "/start") -> None:
        self.answers[path] = answer(status, b"moved", [("Location", location)])

    def serve(self, connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            connection.send(self.answers.get(request.target.partition("?")[0], answer(200, b"ok")))

    @property
    def hops(self) -> list[Received]:
        """What arrived, by the order of the paths: ``/start`` comes first."""
        return self.plain.requests + self.secure.requests

    def hop(self, path: str) -> Received:
        """Return the one message for a path."""
        (found,) = [hop for hop in self.hops if hop.target.partition("?")[0] == path]
        return found

    def get(self, url: str = "http://a.example/start", **keywords: Any) -> reqkit.Response:
        method = keywords.pop("method", "GET")
        with reqkit.Session(verify=self.bundle) as session:
            for name, value in keywords.pop("session_cookies", {}).items():
                session.cookies.set(name, value)
            answered: reqkit.Response = session.request(method, url, **keywords)
            return answered


@pytest.fixture
def town(authority: Authority) -> Iterator[Town]:
    def serve(connection: Connection) -> None:
        made[0].serve(connection)

    made: list[Town] = []
    tls = authority.server("a.example", "b.example", "sub.a.example")
    with ScriptedServer(serve) as plain, ScriptedServer(serve, tls=tls) as secure:
        made.append(Town(plain, secure, str(authority.bundle)))
        with network.use(made[0]):
            yield made[0]


# What follows, and where to

#: Where from, where to; whether what was meant for the first origin may go there.
WAYS: Mapping[str, tuple[str, str, bool]] = {
    "same origin": ("http", "http://a.example/end", True),
    "same origin, port named": ("http", "http://a.example:80/end", True),
    "same origin, upper case": ("http", "HTTP://A.EXAMPLE/end", True),
    "relative": ("http", "end", True),
    "absolute path": ("http", "/end", True),
    "other port": ("http", "http://a.example:8080/end", False),
    "other host": ("http", "http://b.example/end", False),
    "host below": ("http", "http://sub.a.example/end", False),
    "host with a dot": ("http", "http://a.example./end", False),
    "IPv6 literal": ("http", "http://[::1]/end", False),
    "//host": ("http", "//b.example/end", False),
    "//same host": ("http", "//a.example/end", True),
    "host in the userinfo": ("http", "http://a.example:80@b.example/end", False),
    "to https": ("http", "https://a.example/end", True),
    "to https, other port": ("http", "https://a.example:8443/end", False),
    "to https, other host": ("http", "https://b.example/end", False),
    "https, same origin": ("https", "https://a.example/end", True),
    "https, other host": ("https", "https://b.example/end", False),
    "from https to http": ("https", "http://a.example/end", False),
}


def key_auth(prepared: reqkit.PreparedRequest) -> reqkit.PreparedRequest:
    prepared.headers["X-Api-Key"] = "k3y"
    return prepared


#: What is given, and the field that it is sent in.
GIVEN: Mapping[str, tuple[dict[str, Any], str]] = {
    "Authorization header": ({"headers": {"Authorization": "hand"}}, "Authorization"),
    "lower case": ({"headers": {"authorization": "hand"}}, "Authorization"),
    "upper case, in bytes": ({"headers": {b"AUTHORIZATION": b"hand"}}, "Authorization"),
    "twice": ({"headers": [("authorization", "a"), ("AUTHORIZATION", "b")]}, "Authorization"),
    "pair": ({"auth": ("user", "pw")}, "Authorization"),
    "bearer": ({"auth": HTTPBearerAuth("t0ken")}, "Authorization"),
    "custom auth": ({"auth": key_auth}, "X-Api-Key"),
    "Cookie header": ({"headers": {"cookie": "a=b"}}, "Cookie"),
}


@pytest.mark.parametrize("given", GIVEN)
@pytest.mark.parametrize("way", WAYS)
def test_what_was_given_for_one_origin(town: Town, way: str, given: str) -> None:
    scheme, location, at_home = WAYS[way]
    keywords, field = GIVEN[given]
    town.redirect(location)
    assert town.get(f"{scheme}://a.example/start", **keywords).status_code == 200
    before = town.hop("/start").get(field)
    assert before is not None
    # A Location's own credentials may be sent; ours may not.
    after = town.hop("/end").get(field)
    if at_home:
        assert after == before
    elif way == "host in the userinfo" and field == "Authorization" and "auth" not in keywords:
        assert after == "Basic YS5leGFtcGxlOjgw"
    else:
        assert after is None


@pytest.mark.parametrize("kind", ["cookies", "session_cookies"])
@pytest.mark.parametrize("way", WAYS)
def test_cookies_without_a_domain_stay_at_the_first_origin(town: Town, way: str, kind: str) -> None:
    scheme, location, at_home = WAYS[way]
    town.redirect(location)
    town.get(f"{scheme}://a.example/start", **{kind: {"c": "1"}})
    assert town.hop("/start").get("Cookie") == "c=1"
    # https is another origin, and cookies have no exception for it.
    expected = "c=1" if at_home and way != "to https" else None
    assert town.hop("/end").get("Cookie") == expected


@pytest.mark.parametrize("way", WAYS)
def test_a_servers_cookie_goes_by_its_own_rules(town: Town, way: str) -> None:
    scheme, location, _ = WAYS[way]
    fields = [
        ("Location", location),
        ("Set-Cookie", "host=1; Path=/"),
        ("Set-Cookie", "below=2; Domain=a.example; Path=/"),
    ]
    town.answers["/start"] = answer(302, b"", fields)
    town.get(f"{scheme}://a.example/start")
    got = town.hop("/end").get("Cookie")
    host = town.hop("/end").get("Host")
    assert host is not None
    if host.partition(":")[0] == "a.example":  # whatever the port and the scheme
        assert sorted((got or "").split("; ")) == ["below=2", "host=1"]
    elif host == "sub.a.example":
        assert got == "below=2"
    else:
        assert got is None


@pytest.mark.parametrize("way", WAYS)
def test_credentials_in_the_first_url(town: Town, way: str) -> None:
    scheme, location, at_home = WAYS[way]
    town.redirect(location)
    town.get(f"{scheme}://user:pw@a.example/start")
    sent = "Basic dXNlcjpwdw=="
    assert town.hop("/start").get("Authorization") == sent
    after = town.hop("/end").get("Authorization")
    assert (after == sent) is at_home
    if after != sent:
        assert after in (None, "Basic YS5leGFtcGxlOjgw")


@pytest.mark.parametrize("way", WAYS)
def test_netrc_counts_for_each_host_by_itself(
    town: Town, way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine a.example login a password a\nmachine b.example login b password b\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    scheme, location, at_home = WAYS[way]
    town.redirect(location)
    town.get(f"{scheme}://a.example/start")
    assert town.hop("/start").get("Authorization") == "Basic YTph"
    expected = "Basic YTph" if at_home else None
    if town.hop("/end").get("Host") == "b.example":
        expected = "Basic Yjpi"
    if way == "host in the userinfo":
        expected = "Basic YS5leGFtcGxlOjgw"
    assert town.hop("/end").get("Authorization") == expected


def test_netrc_holds_for_all_messages_to_a_host(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine b.example login b password b\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    town.redirect("http://b.example/one")
    town.redirect("/two", path="/one")
    town.redirect("http://a.example/end", path="/two")
    town.get()
    assert [hop.get("Authorization") for hop in town.hops] == [
        None, "Basic Yjpi", "Basic Yjpi", None,
    ]  # fmt: skip


def test_netrcs_default_does_not_travel(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "netrc"
    path.write_text("default login d password d\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    town.redirect("http://b.example/end")
    town.get()
    assert [hop.get("Authorization") for hop in town.hops] == ["Basic ZDpk", None]


def test_netrc_is_not_asked_again_for_another_port(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine a.example login a password a\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    town.redirect("http://a.example:8080/end")
    town.get("http://user:pw@a.example/start")
    assert [hop.get("Authorization") for hop in town.hops] == ["Basic dXNlcjpwdw==", None]


def test_netrc_does_not_count_where_auth_was_given(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "netrc"
    path.write_text("machine b.example login b password b\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    town.redirect("http://b.example/end")
    town.get(auth=("user", "pw"))
    assert town.hop("/end").get("Authorization") is None


@pytest.mark.parametrize("name", ["Host", "host", "HOST"])
@pytest.mark.parametrize("way", WAYS)
def test_a_host_by_hand_stays_at_its_host(town: Town, way: str, name: str) -> None:
    scheme, location, at_home = WAYS[way]
    town.redirect(location)
    town.get(f"{scheme}://a.example/start", headers={name: "virtual.example"})
    assert town.hop("/start").get("Host") == "virtual.example"
    after = town.hop("/end").get("Host")
    if at_home and way != "to https":  # another port is another Host
        assert after == "virtual.example"
    else:
        assert after is not None
        assert "virtual" not in after


@pytest.mark.parametrize("name", ["Proxy-Authorization", "proxy-authorization"])
@pytest.mark.parametrize("way", [way for way in WAYS if "https" not in way])
def test_a_proxy_authorization_by_hand(town: Town, way: str, name: str) -> None:
    _, location, at_home = WAYS[way]
    town.redirect(location)
    # The scripted server is the proxy: it gets absolute targets.
    town.answers = {"http://a.example/start": town.answers["/start"]}
    town.get(headers={name: "hand"}, proxies={"http": town.plain.netloc})
    first, second = town.hops
    assert first.get("Proxy-Authorization") == "hand"
    assert (second.get("Proxy-Authorization") == "hand") is at_home
    # Without a proxy nobody gets it.
    town.redirect(location)
    town.get(headers={name: "hand"})
    assert [hop.get("Proxy-Authorization") for hop in town.hops[2:]] == [None, None]


def test_what_was_given_comes_back_home_but_what_was_set_by_hand_does_not(town: Town) -> None:
    town.redirect("http://b.example/away")
    town.redirect("http://a.example/end", path="/away")
    town.get(headers={"Cookie": "by=hand"}, auth=("user", "pw"))
    assert [hop.get("Authorization") for hop in town.hops] == [
        "Basic dXNlcjpwdw==", None, "Basic dXNlcjpwdw==",
    ]  # fmt: skip
    assert [hop.get("Cookie") for hop in town.hops] == ["by=hand", None, None]


def test_a_custom_auth_is_asked_again_at_home_only(town: Town) -> None:
    asked: list[str | None] = []

    def auth(prepared: reqkit.PreparedRequest) -> reqkit.PreparedRequest:
        asked.append(prepared.url)
        prepared.headers["X-Signature"] = f"of {prepared.url}"
        return prepared

    town.redirect("/two")
    town.redirect("http://b.example/three", path="/two")
    town.get(auth=auth)
    assert asked == ["http://a.example/start", "http://a.example/two"]
    assert [hop.get("X-Signature") for hop in town.hops] == [
        "of http://a.example/start", "of http://a.example/two", None,
    ]  # fmt: skip


def test_other_headers_follow(town: Town) -> None:
    town.redirect("http://b.example/end")
    town.get(headers={"X-Trace": "1", "Accept-Language": "sv"})
    assert town.hop("/end").get("X-Trace") == "1"
    assert town.hop("/end").get("Accept-Language") == "sv"


# Methods and bodies

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
#: What each becomes; the others stay as they are.
BECOMES = {
    301: {"POST": "GET"},
    302: dict.fromkeys(set(METHODS) - {"HEAD"}, "GET"),
    303: dict.fromkeys(set(METHODS) - {"HEAD"}, "GET"),
    307: {},
    308: {},
}
DESCRIBING = (
    "Content-Type", "Content-Length", "Content-Language", "Content-Encoding",
    "Content-Disposition", "Transfer-Encoding",
)  # fmt: skip


@pytest.mark.parametrize("where", ["http://a.example/end", "http://b.example/end"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", BECOMES)
def test_methods_and_bodies(town: Town, status: int, method: str, where: str) -> None:
    town.redirect(where, status)
    if method == "HEAD":
        town.answers["/start"] = town.answers["/start"].replace(b"moved", b"")
        town.answers["/end"] = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    sent = b"" if method in ("GET", "HEAD", "OPTIONS") else b'{"a": 1}'
    own = {"Content-Language": "sv", "Content-Disposition": "inline", "X-Kept": "yes"}
    town.get(method=method, data=sent or None, headers=own, allow_redirects=True)
    first, second = town.hop("/start"), town.hop("/end")
    assert (first.method, first.body) == (method, sent)
    expected = BECOMES[status].get(method, method)
    assert second.method == expected
    assert second.get("X-Kept") == "yes"
    if status in (307, 308) or (expected == method and status == 301):
        assert second.body == sent
        assert [second.get(name) for name in DESCRIBING] == [first.get(name) for name in DESCRIBING]
    elif expected != method or status == 303:
        assert second.body == b""
        assert [name for name in second.names if name.lower().startswith("content-")] == []


@pytest.mark.parametrize("status", [301, 302, 303])
def test_a_chunked_body_is_dropped_whole(town: Town, status: int) -> None:
    town.redirect("/end", status)
    town.get(method="POST", data=iter([b"a", b"b"]))
    assert town.hop("/start").body == b"ab"
    end = town.hop("/end")
    assert (end.method, end.body, end.get("Transfer-Encoding")) == ("GET", b"", None)


@pytest.mark.parametrize("status", [307, 308])
def test_a_file_is_rewound(town: Town, status: int, tmp_path: Path) -> None:
    town.redirect("/end", status)
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.seek(4)
        town.get(method="PUT", data=file)
    assert [hop.body for hop in town.hops] == [b"456789"] * 2


@pytest.mark.parametrize("status", [307, 308])
def test_what_cannot_be_rewound_is_an_error_that_says_so(town: Town, status: int) -> None:
    town.redirect("/end", status)
    with pytest.raises(reqkit.UnrewindableBodyError, match=r"http://a\.example/start") as caught:
        town.get(method="POST", data=(piece for piece in [b"a"]))
    assert caught.value.response.status_code == status
    assert len(town.hops) == 1


# Where a Location leads

#: Location as bytes, to the Host and target of the next message.
LEADS: Mapping[bytes, tuple[str, str]] = {
    b"end": ("a.example", "/dir/end"),
    b"./end": ("a.example", "/dir/end"),
    b"../end": ("a.example", "/end"),
    b"../../../end": ("a.example", "/end"),
    b"/end": ("a.example", "/end"),
    b"?q=1": ("a.example", "/dir/start?q=1"),
    b"//b.example/end": ("b.example", "/end"),
    b"//b.example": ("b.example", "/"),
    b"http://b.example": ("b.example", "/"),
    b"http://b.example?q": ("b.example", "/?q"),
    b"http://[::1]/end": ("[::1]", "/end"),
    b"http://[::1]:8080/end": ("[::1]:8080", "/end"),
    b"http://u:p@b.example/end": ("b.example", "/end"),
    b"/a b": ("a.example", "/a%20b"),
    b"  /end  ": ("a.example", "/end"),
    b"/\xc3\xbc": ("a.example", "/%C3%BC"),  # raw UTF-8
    b"/\xfc": ("a.example", "/%FC"),  # raw Latin-1
    b"/%C3%BC?x=%2f": ("a.example", "/%C3%BC?x=%2F"),
    b"/a%0d%0ab": ("a.example", "/a%0D%0Ab"),
    b"/100%": ("a.example", "/100%25"),
    b"http://B.EXAMPLE/End": ("b.example", "/End"),
    b"http://b%C3%BC.example/": ("", ""),
    "http://bücher.example/end".encode(): ("xn--bcher-kva.example", "/end"),
    b"http:/end": ("a.example", "/end"),
    b"http:end": ("a.example", "/dir/end"),
    b"/end#fragment": ("a.example", "/end"),
}


@pytest.mark.parametrize("location", [one for one in LEADS if LEADS[one][0]])
def test_where_it_leads(town: Town, location: bytes) -> None:
    head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    town.answers["/dir/start"] = head
    if location.startswith(b"?"):  # the same path again
        with pytest.raises(reqkit.TooManyRedirects):
            town.get("http://a.example/dir/start", config={"max_redirects": 1})
    else:
        assert town.get("http://a.example/dir/start").status_code == 200
    assert (town.hops[1].get("Host"), town.hops[1].target) == LEADS[location]


def test_fragments_are_inherited(town: Town) -> None:
    town.redirect("/end")
    assert town.get("http://a.example/start#part").url == "http://a.example/end#part"
    town.redirect("/end#other")
    assert town.get("http://a.example/start#part").url == "http://a.example/end#other"


REFUSED: Mapping[bytes, type[reqkit.RequestException]] = {
    b"file:///etc/passwd": reqkit.InvalidSchema,
    b"ftp://b.example/": reqkit.InvalidSchema,
    b"javascript:alert(1)": reqkit.InvalidSchema,
    b"data:text/plain,hi": reqkit.InvalidSchema,
    b"gopher://b.example/_x": reqkit.InvalidSchema,
    b"mailto:me@b.example": reqkit.InvalidSchema,
    b"httpx://b.example/": reqkit.InvalidSchema,
    b"http://": reqkit.InvalidURL,
    b"http:///end": reqkit.InvalidURL,
    b"//": reqkit.InvalidURL,
    b"http://b.example:99999/": reqkit.InvalidURL,
    b"http://b.example:port/": reqkit.InvalidURL,
    b"http://b.example\\@a.example/": reqkit.InvalidURL,
    b"http://[::1/": reqkit.InvalidURL,
    b"http://.b.example/": reqkit.InvalidURL,
    b"http://b..example/": reqkit.InvalidURL,
    b"http://b.exa mple/": reqkit.InvalidURL,
}


@pytest.mark.parametrize("location", REFUSED)
def test_what_is_no_place_to_go_is_an_error(town: Town, location: bytes) -> None:
    town.answers["/start"] = (
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"
    )
    with pytest.raises(REFUSED[location]) as caught:
        town.get("http://user:s3cret@a.example/start")
    error = caught.value
    assert error.response.status_code == 302
    assert error.request.url == "http://user:s3cret@a.example/start"
    assert "a.example/start" in str(error)
    assert "s3cret" not in str(error)
    assert len(town.hops) == 1


@pytest.mark.parametrize("inside", [b"\r", b"\n", b"\0", b"\r\n evil"])
def test_line_breaks_inside_a_location_are_a_broken_head(town: Town, inside: bytes) -> None:
    town.answers["/start"] = (
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /a" + inside + b"b\r\n\r\n"
    )
    with pytest.raises(reqkit.ProtocolError):
        town.get()
    assert len(town.hops) == 1


def test_a_location_with_a_line_break_starts_no_other_field(town: Town) -> None:
    town.redirect("/a%0d%0aX-Evil:%201")
    town.get()
    assert town.hops[1].target == "/a%0D%0AX-Evil:%201"
    assert town.hops[1].get("X-Evil") is None


def test_two_locations_that_differ_are_no_place_to_go(town: Town) -> None:
    town.answers["/start"] = answer(302, b"", [("Location", "/a"), ("Location", "/b")])
    response = town.get()
    # Joined as a list (RFC 9110 section 5.3) they are one path, and not the second of them.
    assert response.url == "http://a.example/a,%20/b"


@pytest.mark.parametrize("status", [300, 304, 305, 306])
def test_other_statuses_are_not_followed(town: Town, status: int) -> None:
    town.answers["/start"] = (
        f"HTTP/1.1 {status} x\r\nLocation: /end\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert town.get().status_code == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_without_a_location_is_an_answer(town: Town, status: int) -> None:
    town.answers["/start"] = answer(status, b"x")
    response = town.get()
    assert response.status_code == status
    assert not response.is_redirect


# How long a chain may be


@pytest.mark.parametrize("most", [0, 1, 5])
def test_loops_end(town: Town, most: int) -> None:
    town.redirect("/start")
    with pytest.raises(reqkit.TooManyRedirects, match=f"more than {most}") as caught:
        town.get("http://u:s3cret@a.example/start", config={"max_redirects": most})
    assert len(town.hops) == most + 1
    assert caught.value.response.status_code == 302
    assert len(caught.value.response.history) == most
    assert "http://u:***@a.example/start" in str(caught.value)


def test_thirty_are_followed_by_default(town: Town) -> None:
    town.redirect("/start")
    with pytest.raises(reqkit.TooManyRedirects):
        town.get()
    assert len(town.hops) == 31


def test_so_many_as_allowed_are_followed(town: Town) -> None:
    town.redirect("/1")
    town.redirect("/end", path="/1")
    response = town.get(config={"max_redirects": 2})
    assert response.url == "http://a.example/end"
    assert [one.url for one in response.history] == [
        "http://a.example/start", "http://a.example/1",
    ]  # fmt: skip


def test_a_chain_takes_one_connection_for_each_origin(town: Town) -> None:
    town.redirect("https://a.example/1")
    town.redirect("http://a.example/2", path="/1")
    town.redirect("https://a.example/3", path="/2")
    town.get()
    assert (town.plain.connections_opened, town.secure.connections_opened) == (1, 1)


def test_the_body_of_a_redirect_can_be_read(town: Town) -> None:
    town.redirect("/end")
    assert [one.content for one in town.get().history] == [b"moved"]


def test_stepping_has_the_same_rules(town: Town) -> None:
    town.redirect("http://b.example/end", 307)
    with reqkit.Session() as session:
        first = session.post(
            "http://a.example/start", data=b"x", auth=("u", "p"), cookies={"c": "1"},
            allow_redirects=False,
        )  # fmt: skip
        message = first.next
        assert message is not None
        assert (message.method, message.url, message.body) == (
            "POST", "http://b.example/end", b"x",
        )  # fmt: skip
        assert {"authorization", "cookie"} & {name.lower() for name in message.headers} == set()
        assert session.send(message).status_code == 200
