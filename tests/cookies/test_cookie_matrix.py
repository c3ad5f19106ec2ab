"""Which cookies reach whom: one table of what is set where, and of all places that it goes to.

All lines are tried with the session as it is, and with one that was pickled meanwhile, one by one
and through greenlets; what the servers have received is compared.
"""

from __future__ import annotations

import pickle
import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest

import reqkit
import reqkit_async
from servers.messages import Received, answer
from servers.scripted import Connection, ScriptedServer
from servers.town import Town

Scripted = Callable[..., ScriptedServer]


#: By letter: what is asked after a cookie was set.
PLACES: Mapping[str, str] = {
    "a": "http://a.example/",
    "p": "http://a.example:8080/",
    "s": "https://a.example/",
    "q": "https://a.example:8443/",
    "d": "http://a.example/dir",
    "e": "http://a.example/dir/page?x=/",
    "f": "http://a.example/dirty",
    "u": "http://sub.a.example/",
    "v": "https://sub.a.example/dir/",
    "x": "http://example/",
    "b": "http://b.example/",
    "n": "http://nota.example/",
    "4": "http://127.0.0.1/",
    "5": "https://127.0.0.1:8443/",
    "2": "http://127.0.0.2/",
    "0": "http://0.0.1/",
    "6": "http://[::1]:8080/",
    "7": "http://[::2]/",
    "l": "http://localhost/",
    "m": "http://x.localhost/",
}

A = "apsqdef"  # a.example, whatever the port, the scheme and the path
BELOW = A + "uv"
SAFE = "sq"
ALL = "".join(PLACES)
PAST = "Thu, 01 Jan 1970 00:00:10 GMT"
FUTURE = "Fri, 31 Dec 9999 23:59:59 GMT"


class Set(NamedTuple):
    """The place that sets a cookie, Set-Cookie, and the places that get it."""

    place: str
    text: str
    goes_to: str


COOKIES: tuple[Set, ...] = (
    # The host alone
    Set("a", "c=1", A),
    Set("p", "c=1", A),
    Set("s", "c=1", A),
    Set("u", "c=1", "uv"),
    Set("l", "c=1", "l"),
    Set("4", "c=1", "45"),
    Set("5", "c=1", "45"),
    Set("6", "c=1", "6"),
    # Domain
    Set("a", "c=1; Domain=a.example", BELOW),
    Set("a", "c=1; Domain=.A.Example", BELOW),
    Set("u", "c=1; Domain=a.example", BELOW),
    Set("u", "c=1; domain = a.example ", BELOW),
    Set("a", "c=1; Domain=b.example; Domain=a.example", BELOW),
    Set("a", "c=1; Domain=", A),
    Set("a", "c=1; Domain=sub.a.example", ""),
    Set("a", "c=1; Domain=b.example", ""),
    Set("a", "c=1; Domain=.example", ""),
    Set("a", "c=1; Domain=example", ""),
    Set("a", "c=1; Domain=example.", ""),
    Set("a", "c=1; Domain=a.example.", ""),
    Set("a", "c=1; Domain=a.example:80", ""),
    Set("n", "c=1; Domain=a.example", ""),
    Set("x", "c=1; Domain=example", "x"),
    Set("l", "c=1; Domain=localhost", "l"),
    Set("m", "c=1; Domain=localhost", ""),
    Set("4", "c=1; Domain=127.0.0.1", "45"),
    Set("4", "c=1; Domain=0.0.1", ""),
    Set("4", "c=1; Domain=.0.0.1", ""),
    Set("6", "c=1; Domain=::1", "6"),
    Set("a", "c=1; Domain=127.0.0.1", ""),
    # Path
    Set("a", "c=1; Path=/", A),
    Set("a", "c=1; Path=/dir", "de"),
    Set("a", "c=1; Path=/dir/", "e"),
    Set("a", "c=1; Path=/DIR", ""),
    Set("a", "c=1; Path=dir", A),
    Set("a", "c=1; Path=", A),
    Set("e", "c=1", "de"),
    Set("d", "c=1", A),
    Set("e", "c=1; Path=/", A),
    Set("v", "c=1; Domain=a.example", "dev"),
    # Secure, and the prefixes
    Set("s", "c=1; Secure", SAFE),
    Set("s", "c=1; secure=no", SAFE),
    Set("s", "c=1; Secure; Domain=a.example", SAFE + "v"),
    Set("5", "c=1; Secure", "5"),
    Set("a", "c=1; Secure", ""),
    Set("l", "c=1; Secure", ""),
    Set("s", "__Secure-c=1; Secure", SAFE),
    Set("s", "__Secure-c=1; Secure; Domain=a.example", SAFE + "v"),
    Set("s", "__Secure-c=1", ""),
    Set("s", "__SECURE-c=1", ""),
    Set("a", "__Secure-c=1; Secure", ""),
    Set("s", "__Host-c=1; Secure; Path=/", SAFE),
    Set("s", "__Host-c=1; Secure", ""),
    Set("s", "__Host-c=1; Secure; Path=/dir", ""),
    Set("s", "__Host-c=1; Secure; Path=/; Domain=a.example", ""),
    Set("s", "__host-c=1; Path=/", ""),
    Set("a", "__Host-c=1; Secure; Path=/", ""),
    # How long
    Set("a", "c=1; Max-Age=1000", A),
    Set("a", f"c=1; Max-Age={'9' * 900}", A),
    Set("a", "c=1; Max-Age=0", ""),
    Set("a", "c=1; Max-Age=-1", ""),
    Set("a", "c=1; Max-Age=soon", A),
    Set("a", "c=1; Max-Age=1e3", A),
    Set("a", f"c=1; Expires={FUTURE}", A),
    Set("a", f"c=1; Expires={PAST}", ""),
    Set("a", "c=1; Expires=Wednesday, 09-Nov-2999 23:12:40 GMT", A),
    Set("a", "c=1; Expires=never", A),
    Set("a", f"c=1; Max-Age=1000; Expires={PAST}", A),
    Set("a", f"c=1; Expires={FUTURE}; Max-Age=0", ""),
    # Attributes for browsers
    Set("a", "c=1; HttpOnly; SameSite=Strict; Partitioned; Unknown=; =;;", A),
    # What is no cookie
    Set("a", "", ""),
    Set("a", ";", ""),
    Set("a", "=1", ""),
    Set("a", " = ; Path=/", ""),
    Set("a", f"c={'1' * 4096}", ""),
)


def as_it_is(session: reqkit.Session) -> reqkit.Session:
    return session


def pickled(session: reqkit.Session) -> reqkit.Session:
    copied = pickle.loads(pickle.dumps(session))
    assert isinstance(copied, reqkit.Session)
    return copied


def one_by_one(session: reqkit.Session, urls: list[str], **keywords: Any) -> None:
    for url in urls:
        session.get(url, **keywords)


def greenlets(session: reqkit.Session, urls: list[str], **keywords: Any) -> None:
    asked = [reqkit_async.get(url, session=session, **keywords) for url in urls]
    reqkit_async.map(asked, raise_errors=True)


def asking(name: str, place: str) -> str:
    """Return the URL of a place with something that the server can tell the request by."""
    url = PLACES[place]
    return f"{url}{'&' if '?' in url else '?'}{name}"


def numbered_name(number: int) -> str:
    """Return the text of a line whose cookie has a name of its own."""
    return COOKIES[number].text.replace("c=", f"c{number}=", 1)


def setting(request: Received) -> bytes:
    number = request.target.rpartition("set=")[2]
    fields = [("Set-Cookie", numbered_name(int(number)))] if number.isdigit() else []
    return answer(200, b"ok", fields)


@pytest.mark.parametrize("face", [one_by_one, greenlets])
@pytest.mark.parametrize("how", [as_it_is, pickled])
def test_where_a_servers_cookie_goes(
    town: Town, face: Callable[..., None], how: Callable[[reqkit.Session], reqkit.Session]
) -> None:
    for path in ("/", "/dir", "/dir/", "/dir/page"):
        town.answers[path] = setting
    with reqkit.Session(verify=town.bundle) as session:
        asked = [asking(f"set={number}", one.place) for number, one in enumerate(COOKIES)]
        face(session, asked)
        with how(session) as asking_one:
            face(asking_one, [asking(f"at={place}", place) for place in PLACES])
    got: dict[str, str] = {str(number): "" for number in range(len(COOKIES))}
    for hop in town.hops:
        place = hop.target.rpartition("at=")[2]
        if place in PLACES:
            for pair in (hop.get("Cookie") or "c=").split("; "):
                name = pair.partition("=")[0].rpartition("c")[2]
                got[name] = got.get(name, "") + place
    found = {
        f"{number} {one.place} {one.text[:60]}": "".join(sorted(got[str(number)]))
        for number, one in enumerate(COOKIES)
    }
    assert found == {
        f"{number} {one.place} {one.text[:60]}": "".join(sorted(one.goes_to))
        for number, one in enumerate(COOKIES)
    }


#: What a user says of a cookie in the session's jar, and the places that get it.
GIVEN: Mapping[str, tuple[dict[str, Any], str]] = {
    "no domain": ({}, ALL),
    "a domain": ({"domain": "a.example"}, BELOW),
    "a domain with a dot": ({"domain": ".a.example"}, BELOW),
    "a label": ({"domain": "example"}, "x"),
    "an address": ({"domain": "127.0.0.1"}, "45"),
    "IPv6": ({"domain": "[::1]"}, "6"),
    "a path": ({"domain": "a.example", "path": "/dir"}, "dev"),
    "secure": ({"domain": "a.example", "secure": True}, SAFE + "v"),
    "secure, no domain": ({"secure": True}, "sqv5"),
    "ended": ({"domain": "a.example", "expires": 5}, ""),
}


@pytest.mark.parametrize("face", [one_by_one, greenlets])
@pytest.mark.parametrize("given", ["the call's", *GIVEN])
def test_where_a_users_cookie_goes(town: Town, given: str, face: Callable[..., None]) -> None:
    scope, goes_to = GIVEN.get(given, ({}, ALL))
    with reqkit.Session(verify=town.bundle) as session:
        keywords: dict[str, Any] = {}
        if given == "the call's":
            keywords["cookies"] = {"c": "1"}
        else:
            session.cookies.set("c", "1", **scope)
        face(session, [asking(f"at={place}", place) for place in PLACES], **keywords)
        assert given != "the call's" or not session.cookies
    got = [hop.target.rpartition("at=")[2] for hop in town.hops if hop.get("Cookie") == "c=1"]
    assert sorted(got) == sorted(goes_to)
    assert all(hop.get("Cookie") in (None, "c=1") for hop in town.hops)


# -- how many


def test_a_flood_of_cookies_is_bounded(scripted: Scripted, session: reqkit.Session) -> None:
    def flooding(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            page = request.target.removeprefix("/")
            fields = [("Set-Cookie", f"n{page}-{number}=x; Path=/") for number in range(90)]
            fields += [("Set-Cookie", bad) for bad in ("=", "a=b; Domain=com", ";")] * 30
            connection.send(answer(200, b"ok", fields))

    server = scripted(flooding)
    session.cookies.set("mine", "1")
    for page in range(6):
        assert session.get(server(f"/{page}")).ok
    names = session.cookies.keys()
    assert len(names) == 181  # 180 for a domain, the newest; and the user's own stays
    assert names[0] == "mine"
    assert names[-1] == "n5-89"
    assert not [name for name in names if name.startswith("n0")]
    # Those that go out are those that are there.
    sent = (server.requests[-1].get("Cookie") or "").split("; ")
    assert len(sent) == 181


# -- at the same time


def numbered(connection: Connection) -> None:
    while (request := connection.recv_request()) is not None:
        number = request.target.removeprefix("/")
        fields = [
            ("Set-Cookie", f"n{number}={number}; Path=/"),
            ("Set-Cookie", f"last={number}; Path=/"),
            ("Set-Cookie", "gone=x; Path=/; Max-Age=0"),
        ]
        connection.send(answer(200, number.encode(), fields))


@pytest.mark.parametrize("how", ["threads", "greenlets"])
def test_answers_at_the_same_time_lose_no_cookie(
    scripted: Scripted, session: reqkit.Session, how: str
) -> None:
    server = scripted(numbered)
    session.cookies.set("gone", "1", domain="127.0.0.1")
    wrong: list[str] = []

    def work(first: int) -> None:
        for number in range(first, first + 15):
            if session.get(server(f"/{number}")).text != str(number):
                wrong.append(str(number))

    if how == "greenlets":
        asked = [reqkit_async.get(server(f"/{number}"), session=session) for number in range(120)]
        for number, response in enumerate(reqkit_async.map(asked, size=20)):
            assert response.text == str(number)
    else:
        threads = [threading.Thread(target=work, args=(15 * at,)) for at in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
    names = session.cookies.keys()
    assert sorted(names) == sorted([*(f"n{number}" for number in range(120)), "last"])
    assert int(session.cookies["last"] or "") in range(120)
    # Whatever went out while others came in was whole.
    for request in server.requests:
        for pair in (request.get("Cookie") or "last=0").split("; "):
            name, _, value = pair.partition("=")
            assert name in ("last", "gone", f"n{value}")


def test_the_answers_of_one_call_are_not_the_others(scripted: Scripted) -> None:
    """One-shot requests share connections, and no cookies."""
    server = scripted(numbered)
    asked = [reqkit_async.get(server(f"/{number}"), cookies={"own": str(number)}) for number in
             range(40)]  # fmt: skip
    reqkit_async.map(asked, size=10, raise_errors=True)
    for number in range(5):
        reqkit.get(server(f"/{number}"), cookies={"own": str(number)})
    for request in server.requests:
        assert request.get("Cookie") == f"own={request.target.removeprefix('/')}"
