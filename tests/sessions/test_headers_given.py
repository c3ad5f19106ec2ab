"""Headers as they are given: as often as given, in plain text, whatever classes they are of."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from urllib3 import HTTPHeaderDict

import reqkit
from reqkit.exceptions import InvalidHeader, RequestException
from reqkit.structures import CaseInsensitiveDict
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Send = Callable[..., reqkit.Response]
INJECTED = "x\r\nInjected: 1\r\n\r\nGET /inner HTTP/1.1\r\nHost: inner"


class Sly(str):
    """Text that becomes something else when it is written, compared or looked at."""

    __slots__ = ()

    def __str__(self) -> str:
        return INJECTED

    def __format__(self, spec: str) -> str:
        return INJECTED

    def __add__(self, other: str) -> str:
        return INJECTED + other

    def __radd__(self, other: str) -> str:
        return other + INJECTED

    def __mod__(self, other: Any) -> str:
        return INJECTED

    def lower(self) -> str:
        return "sly"

    def upper(self) -> str:
        return INJECTED

    def strip(self, *characters: Any) -> str:
        return INJECTED

    def translate(self, *table: Any) -> str:
        return INJECTED

    def encode(self, *arguments: Any) -> bytes:
        return INJECTED.encode()

    def isascii(self) -> bool:
        return True

    def isprintable(self) -> bool:
        return True

    def __contains__(self, other: object) -> bool:
        return False


def by_hook(**change: Any) -> dict[str, Any]:
    def hook(prepared: reqkit.PreparedRequest) -> None:
        for name, value in change.items():
            if name == "headers":
                prepared.headers.update(value)
            else:
                setattr(prepared, name, value)

    return {"hooks": {"pre_request": hook}}


PLACES: dict[str, dict[str, Any]] = {
    "value": {"headers": {"X-A": Sly("v")}},
    "name": {"headers": {Sly("X-A"): "v"}},
    "both": {"headers": [(Sly("X-A"), Sly("v"))]},
    "Host": {"headers": {"Host": Sly("host")}},
    "length": {"headers": {Sly("Content-Length"): "9"}},
    "coding": {"headers": {Sly("Transfer-Encoding"): "chunked"}},
    "method": {"method": Sly("PUT")},
    "value in a hook": by_hook(headers={"X-A": Sly("v")}),
    "name in a hook": by_hook(headers={Sly("X-A"): "v"}),
    "length in a hook": by_hook(headers={Sly("Content-Length"): "9"}),
    "method in a hook": by_hook(method=Sly("PUT")),
    "cookie": {"cookies": {Sly("a"): Sly("b")}},
    "auth": {"auth": (Sly("a"), Sly("b"))},
    "bearer": {"auth": reqkit.auth.HTTPBearerAuth(Sly("t"))},
    "data": {"data": Sly("body"), "method": "POST"},
    "form": {"data": {Sly("a"): Sly("b")}, "method": "POST"},
    "part": {"files": {Sly("a"): (Sly("n"), Sly("c"), Sly("text/plain"))}, "method": "POST"},
    "part's header": {"files": {"a": ("n", "c", "text/plain", {Sly("X-A"): Sly("v")})}},
    "params": {"params": {Sly("a"): Sly("b")}},
}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_checked_is_what_is_sent(
    echo: ScriptedServer, session: reqkit.Session, place: str
) -> None:
    keywords = {"method": "GET", **PLACES[place]}
    try:
        session.request(url=echo("/odd"), **keywords)
    except (RequestException, ValueError):
        assert echo.requests == []
    session.get(echo("/after"))
    *first, after = echo.requests
    assert len(first) <= 1
    assert after.target == "/after"
    for received in first:
        assert received.target.partition("?")[0] == "/odd"
        assert "Injected" not in received.names
        assert b"\r\nInjected: 1" not in received.body


@pytest.mark.parametrize("url", ["/a", "/a?b=c", "/a#b"])
def test_a_url_of_a_class_of_its_own(echo: ScriptedServer, send: Send, url: str) -> None:
    class Url(str):
        __slots__ = ()

        def __format__(self, spec: str) -> str:
            return INJECTED

        def partition(self, *arguments: Any) -> Any:
            return INJECTED, "", ""

    send(Url(echo(url)))
    assert [received.target for received in echo.requests] == [url.partition("#")[0]]


def test_to_a_proxy(http_proxy: Any, echo: ScriptedServer) -> None:
    proxies = {"all": f"http://127.0.0.1:{http_proxy.port}"}
    for name in ("X-A", "Proxy-Authorization", "Host"):
        reqkit.get(echo(), proxies=proxies, headers={name: Sly("v")})
    assert all("Injected" not in received.names for received in echo.requests)
    assert len(echo.requests) == 3


@pytest.mark.parametrize("value", [["a"], {"a": 1}, 1, None, b"a", object(), ("a",)])
def test_a_value_that_is_no_text(echo: ScriptedServer, send: Send, value: Any) -> None:
    def change(prepared: reqkit.PreparedRequest) -> None:
        prepared.headers["X-A"] = value

    with pytest.raises(InvalidHeader, match="X-A"):
        send(echo(), hooks={"pre_request": change})
    assert not echo.requests


# -- several of one name


def got(echo: ScriptedServer, name: str = "A") -> list[str]:
    return echo.requests[-1].all(name)


def test_a_name_given_several_times_is_sent_several_times(echo: ScriptedServer, send: Send) -> None:
    pairs = [("A", "1"), ("B", "x"), ("a", "2"), ("A", "3")]
    for given in (pairs, tuple(pairs), iter(pairs), [list(pair) for pair in pairs]):
        send(echo(), headers=given)
        assert got(echo) == ["1", "2", "3"]
        assert got(echo, "B") == ["x"]


def test_a_multi_dictionary(echo: ScriptedServer, send: Send) -> None:
    given = HTTPHeaderDict()
    given.add("A", "1")
    given.add("A", "2")
    send(echo(), headers=given)
    assert ", ".join(got(echo)) == "1, 2"


def test_a_dictionary_with_two_spellings_means_the_last(echo: ScriptedServer, send: Send) -> None:
    send(echo(), headers={"A": "1", "a": "2"})
    assert got(echo) == ["2"]


def test_given_headers_take_the_place_of_the_sessions(echo: ScriptedServer) -> None:
    with reqkit.Session(headers=[("A", "0"), ("C", "1"), ("C", "2")]) as session:
        session.get(echo(), headers=[("A", "1"), ("A", "2")])
        assert (got(echo), got(echo, "C")) == (["1", "2"], ["1", "2"])
        session.get(echo(), headers={"C": "3"})
        assert (got(echo), got(echo, "C")) == (["0"], ["3"])
        session.get(echo(), headers={"c": None})
        assert got(echo, "C") == []
        session.headers["C"] = "4"
        session.get(echo())
        assert got(echo, "C") == ["4"]
        session.get(echo(), headers=[("User-Agent", "x"), ("User-Agent", "y")])
        assert got(echo, "User-Agent") == ["x", "y"]


def test_over_a_redirect_and_in_a_copy(scripted: Any, echo: ScriptedServer) -> None:
    moved = scripted([answer(302, b"", [("Location", echo())])])
    pairs = [("A", "1"), ("A", "2"), ("Authorization", "a"), ("authorization", "b")]
    response = reqkit.get(moved(), headers=pairs)
    assert got(echo) == ["1", "2"]
    assert got(echo, "Authorization") == []
    assert moved.requests[0].all("Authorization") == ["a", "b"]
    again = pickle.loads(pickle.dumps(response.request))
    assert again.headers.get_all("a") == ["1", "2"]
    with reqkit.Session() as session:
        session.send(response.request.copy())
    assert got(echo) == ["1", "2"]


@pytest.mark.parametrize(
    "pairs",
    [
        [("Content-Length", "3"), ("Content-Length", "3")],
        [("Content-Length", "3"), ("content-length", "0")],
        [("Content-Length", "0"), ("Transfer-Encoding", "chunked")],
    ],
)
def test_lengths_given_several_times(
    echo: ScriptedServer, session: reqkit.Session, pairs: Any
) -> None:
    session.post(echo("/odd"), data=b"abc", headers=pairs)
    session.get(echo("/after"))
    first, after = echo.requests
    assert (first.body, after.target) == (b"abc", "/after")
    assert len(first.all("Content-Length")) + len(first.all("Transfer-Encoding")) == 1


def test_the_dictionary_itself() -> None:
    made = CaseInsensitiveDict({"A": "1"})
    made.add("a", "2")
    made.add("B", "3")
    made.add("Cookie", "a=1")
    made.add("cookie", "b=2")
    assert made["A"] == "1, 2"
    assert made["Cookie"] == "a=1; b=2"
    assert made.get_all("A") == ["1", "2"]
    assert made.get_all("B") == ["3"]
    assert made.get_all("D") == []
    assert list(made) == ["A", "B", "Cookie"]
    assert made.pairs()[:3] == (("A", "1"), ("a", "2"), ("B", "3"))
    for other in (made.copy(), pickle.loads(pickle.dumps(made)), CaseInsensitiveDict(made)):
        assert other == made
        assert other.pairs() == made.pairs()
    other = made.copy()
    other["a"] = "4"
    assert other.pairs()[0] == ("a", "4")
    assert made.get_all("A") == ["1", "2"]
    del made["A"]
    assert "A" not in dict(made.pairs())
    made.add("A", "5")
    assert made.get_all("A") == ["5"]
    other.update(CaseInsensitiveDict.of_pairs([("A", "6"), ("A", "7")]))
    assert other.get_all("A") == ["6", "7"]
    other.update({"A": "8"})
    assert other.get_all("A") == ["8"]
    other.add("A", "9")
    other.update(CaseInsensitiveDict(A="0"))
    assert other.get_all("a") == ["0"]
    other.clear()
    assert other.pairs() == ()


# -- a multipart body's boundary


@pytest.mark.parametrize(
    ("given", "announced"),
    [
        ("multipart/form-data", "multipart/form-data; boundary={}"),
        ("Multipart/Form-Data; charset=x", "Multipart/Form-Data; charset=x; boundary={}"),
        ("multipart/form-data;", "multipart/form-data; boundary={}"),
        ("multipart/related", "multipart/related; boundary={}"),
        ("multipart/form-data; boundary=mine", "multipart/form-data; boundary=mine"),
        ('multipart/form-data; boundary="a b"', 'multipart/form-data; boundary="a b"'),
    ],
)
def test_the_boundary_of_a_type_set_by_hand(
    echo: ScriptedServer, send: Send, given: str, announced: str
) -> None:
    reqkit.post(echo(), files={"f": b"data"}, headers={"content-type": given})
    received = echo.requests[0]
    boundary = received.body.partition(b"\r\n")[0].removeprefix(b"--").decode()
    assert received.get("Content-Type") == announced.format(boundary)
    assert received.body.endswith(f"--{boundary}--\r\n".encode())


@pytest.mark.parametrize("boundary", ['"é"', "x" * 71, '"a "', '""', '"a\tb"'])
def test_a_boundary_that_is_none(echo: ScriptedServer, boundary: str) -> None:
    kind = f"multipart/form-data; boundary={boundary}"
    with pytest.raises(InvalidHeader, match="boundary"):
        reqkit.post(echo(), files={"f": b"data"}, headers={"Content-Type": kind})
    assert not echo.requests


def test_another_type_set_by_hand_stays(echo: ScriptedServer) -> None:
    reqkit.post(echo(), files={"f": b"data"}, headers={"Content-Type": "x/y; boundary=z"})
    assert echo.requests[0].get("Content-Type") == "x/y; boundary=z"


# -- escapes


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("/a%20b%", "/a%20b%25"),
        ("/%zz%41%2f", "/%25zzA%2F"),
        ("/100%/%20", "/100%25/%20"),
        ("/a?b=%20%&c=%", "/a?b=%20%25&c=%25"),
        ("/é%20%", "/%C3%A9%20%25"),
        ("/%%20", "/%25%20"),
        ("/%2", "/%252"),
        ("/a%20b", "/a%20b"),
        ("/a b%20%", "/a%20b%20%25"),
    ],
)
def test_escapes_that_are_valid_stay(
    echo: ScriptedServer, send: Send, given: str, sent: str
) -> None:
    send(echo(given))
    assert echo.requests[0].target == sent


def test_so_they_do_in_a_location(scripted: Any, send: Send) -> None:
    def serve(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.target == "/":
                connection.send(answer(302, b"", [("Location", "/a%20b%?c=%20%")]))
            else:
                connection.send(answer(200))

    server = scripted(serve)
    send(server())
    assert server.requests[-1].target == "/a%20b%25?c=%20%25"
