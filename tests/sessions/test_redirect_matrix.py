"""What each hop of a redirect receives, for every way to go and everything that can be given.

The tables are the contract; what the servers have recorded is compared with them, field by field.
All of it is sent through the blocking client, through greenlets, and step by step.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import reqkit
import reqkit_async
from reqkit.auth import HTTPBearerAuth, HTTPDigestAuth, HTTPProxyAuth
from servers.messages import Received, answer
from servers.town import Town


def basic(userinfo: str) -> str:
    return "Basic " + base64.b64encode(userinfo.encode()).decode()


# -- where to, and what may go there


class Way(NamedTuple):
    """From where to where, and what follows: see `WAYS`."""

    start: str
    location: str
    follows: str


#: What follows there:
#: A  auth, and what is set by hand: Authorization, Cookie (Proxy-Authorization: to a proxy);
#: C  cookies without a domain, the call's and the session's;
#: D  the session's cookie for a.example and all below it;
#: H  Host set by hand.
WAYS: Mapping[str, Way] = {
    # The same origin, however it is written
    "same origin": Way("http://a.example", "http://a.example/end", "ACDH"),
    "port named": Way("http://a.example", "http://a.example:80/end", "ACDH"),
    "port named before": Way("http://a.example:80", "http://a.example/end", "ACDH"),
    "upper case": Way("http://a.example", "HTTP://A.EXAMPLE/end", "ACDH"),
    "escaped": Way("http://a.example", "http://a.example/%65nd", "ACDH"),
    "relative": Way("http://a.example", "end", "ACDH"),
    "absolute path": Way("http://a.example", "/end", "ACDH"),
    "dots": Way("http://a.example", "../.././end", "ACDH"),
    "//same host": Way("http://a.example", "//a.example/end", "ACDH"),
    "same port": Way("http://a.example:8080", "http://a.example:8080/end", "ACDH"),
    "https": Way("https://a.example", "https://a.example/end", "ACDH"),
    "https, port named": Way("https://a.example", "https://a.example:443/end", "ACDH"),
    "https, relative": Way("https://a.example", "/end", "ACDH"),
    "https, //same host": Way("https://a.example", "//a.example/end", "ACDH"),
    "with credentials": Way("http://a.example", "http://eve:x@a.example/end", "ACDH"),
    "IPv6 literal": Way("http://[::1]", "http://[::1]/end", "ACH"),
    "IPv4 literal": Way("http://127.0.0.1", "http://127.0.0.1/end", "ACH"),
    # Another port
    "other port": Way("http://a.example", "http://a.example:8080/end", "D"),
    "back to the usual port": Way("http://a.example:8080", "http://a.example/end", "D"),
    "https, other port": Way("https://a.example", "https://a.example:8443/end", "D"),
    # Another host
    "other host": Way("http://a.example", "http://b.example/end", ""),
    "//other host": Way("http://a.example", "//b.example/end", ""),
    "https, other host": Way("https://a.example", "https://b.example/end", ""),
    "host below": Way("http://a.example", "http://sub.a.example/end", "D"),
    "host above": Way("http://sub.a.example", "http://a.example/end", "D"),
    "host beside": Way("http://sub.a.example", "http://other.a.example/end", "D"),
    "longer name": Way("http://a.example", "http://aa.example/end", ""),
    "host with a dot": Way("http://a.example", "http://a.example./end", ""),
    "to an IPv6 literal": Way("http://a.example", "http://[::1]/end", ""),
    "to an IPv4 literal": Way("http://localhost", "http://127.0.0.1/end", ""),
    "from an IPv4 literal": Way("http://127.0.0.1", "http://localhost/end", ""),
    "other IPv4 literal": Way("http://127.0.0.1", "http://127.0.0.2/end", ""),
    "other IPv6 literal": Way("http://[::1]", "http://[::2]/end", ""),
    "host in the userinfo": Way("http://a.example", "http://a.example:80@b.example/end", ""),
    # Another scheme
    "to https": Way("http://a.example", "https://a.example/end", "AD"),
    "to https, ports named": Way("http://a.example:80", "https://a.example:443/end", "AD"),
    "to https, other port": Way("http://a.example", "https://a.example:8443/end", "D"),
    "from a port to https": Way("http://a.example:8080", "https://a.example/end", "D"),
    "to https, other host": Way("http://a.example", "https://b.example/end", ""),
    "to http": Way("https://a.example", "http://a.example/end", "D"),
    "to http, other port": Way("https://a.example", "http://a.example:8080/end", "D"),
    "from a port to http": Way("https://a.example:8443", "http://a.example/end", "D"),
    "to http, other host": Way("https://a.example", "http://b.example/end", ""),
}

#: What else a Location says: the credentials in it are for where it leads, if there are no others.
NETRC_AUTH: Mapping[str, str] = {
    "host in the userinfo": basic("a.example:80"),
    "with credentials": basic("eve:x"),
}

#: Whether a 301, 302, ... makes a GET of a POST, and drops its body, or repeats it.
STATUSES: Mapping[int, bool] = {301: False, 302: False, 303: False, 307: True, 308: True}

BODY = b'{"a": 1}'
DESCRIBING = {
    "Content-Type": "application/json", "Content-Language": "sv", "Content-Location": "/here",
}  # fmt: skip


class Profile(NamedTuple):
    """What is given with a request, and what of it the first hop gets."""

    keywords: Mapping[str, Any]
    #: Authorization, as the first hop gets it; "Digest" stands for any of them.
    authorization: str | None
    #: Cookie set by hand.
    cookie: str | None = None
    host: str | None = None
    #: A field that a custom auth sets.
    own: str | None = None
    userinfo: str = ""
    #: Whether ``auth=`` was given: then credentials in a Location do not count.
    asked: bool = True


def key_auth(prepared: reqkit.PreparedRequest) -> reqkit.PreparedRequest:
    prepared.headers["X-Api-Key"] = "k3y"
    return prepared


HAND = {"Authorization": "hand", "Cookie": "by=hand", "Host": "virtual.example"}

PROFILES: Mapping[str, Profile] = {
    "nothing": Profile({}, None, asked=False),
    "cookies": Profile({"cookies": {"call": "1"}}, None, asked=False),
    "pair": Profile({"auth": ("user", "pw"), "cookies": {"call": "1"}}, basic("user:pw")),
    "bearer": Profile({"auth": HTTPBearerAuth("t0ken")}, "Bearer t0ken"),
    "digest": Profile({"auth": HTTPDigestAuth("user", "pw")}, "Digest"),
    "custom": Profile({"auth": key_auth}, None, own="k3y"),
    "session's auth": Profile({"session": {"auth": ("user", "pw")}}, basic("user:pw")),
    "session's header": Profile(
        {"session": {"headers": {"Authorization": "hand"}}}, "hand", asked=False
    ),
    "base header": Profile(
        {"config": {"base_headers": {"Authorization": "hand"}}}, "hand", asked=False
    ),
    "URL": Profile({}, basic("user:pw"), userinfo="user:pw@", asked=False),
    "by hand": Profile(
        {"headers": HAND}, "hand", cookie="by=hand", host="virtual.example", asked=False
    ),
    "proxy's, by hand": Profile(
        {"headers": {"Proxy-Authorization": "hand"}, "auth": HTTPProxyAuth("user", "pw")}, None
    ),
}


def core(session: reqkit.Session, requests: list[tuple[str, Any]]) -> list[reqkit.Response]:
    return [session.post(url, **keywords) for url, keywords in requests]


def greenlets(session: reqkit.Session, requests: list[tuple[str, Any]]) -> list[reqkit.Response]:
    return reqkit_async.map(
        [reqkit_async.post(url, session=session, **keywords) for url, keywords in requests],
        raise_errors=True,
    )


def steps(session: reqkit.Session, requests: list[tuple[str, Any]]) -> list[reqkit.Response]:
    answers = []
    for url, keywords in requests:
        first = session.post(url, allow_redirects=False, **keywords)
        message = first.next
        assert message is not None
        answers.append(session.send(message, allow_redirects=False))
    return answers


def challenging(then: bytes) -> Callable[[Received], bytes]:
    """Want Digest auth, and answer who has it."""
    fields = [("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')]

    def answered(request: Received) -> bytes:
        if (request.get("Authorization") or "").startswith("Digest "):
            return then
        return answer(401, b"", fields)

    return answered


def same(hop: Received, name: str) -> str | None:
    """Return a field's value; where it was sent several times, each time the same."""
    values = set(hop.all(name))
    assert len(values) <= 1
    return values.pop() if values else None


def got(hop: Received) -> dict[str, Any]:
    """Return what the tables speak of, of what arrived."""
    authorization = same(hop, "Authorization")
    if authorization is not None and authorization.startswith("Digest "):
        assert f'uri="{hop.target}"' in authorization
        authorization = "Digest"
    return {
        "method": hop.method,
        "body": hop.body,
        "Authorization": authorization,
        "Cookie": sorted((same(hop, "Cookie") or "").split("; ")),
        "Host": hop.get("Host"),
        "Proxy-Authorization": hop.get("Proxy-Authorization"),
        "X-Api-Key": hop.get("X-Api-Key"),
        "X-Trace": hop.get("X-Trace"),
        "content": {
            name.title(): value
            for name, value in hop.fields
            if name.lower().startswith(("content-", "transfer-"))
        },
    }


def expected(profile: Profile, url: str, follows: str, netrc: str | None, repeats: bool) -> Any:
    """Return what a hop must get, by the tables."""
    scheme, _, rest = url.partition("://")
    authority = rest.rpartition("@")[2].partition("/")[0].lower()
    authority = authority.removesuffix(":443" if scheme.lower() == "https" else ":80")
    auth = profile.authorization if "A" in follows else None
    if auth is None and not profile.asked:
        auth = netrc
    if "A" in follows and profile.cookie:
        cookies = [profile.cookie]
    else:
        cookies = ["session=2"] if "C" in follows else []
        if "C" in follows and "cookies" in profile.keywords:
            cookies.append("call=1")
        if "D" in follows:
            cookies.append("wide=3")
    host = profile.host if "H" in follows and profile.host else authority
    length = {"Content-Length": str(len(BODY))}
    return {
        "method": "POST" if repeats else "GET",
        "body": BODY if repeats else b"",
        "Authorization": auth,
        "Cookie": sorted(cookies) or [""],
        "Host": host,
        "Proxy-Authorization": None,  # there is no proxy to have it
        "X-Api-Key": profile.own if "A" in follows else None,
        "X-Trace": "1",
        "content": {**DESCRIBING, **length} if repeats else {},
    }


#: The faces share what decides; these show that they do.
SHARED = ("pair", "digest", "by hand")


def faces() -> Iterator[Any]:
    for given in PROFILES:
        yield pytest.param(given, core, id=f"{given}-core")
        for face in (greenlets, steps):
            marks = () if given in SHARED else (pytest.mark.slow,)
            yield pytest.param(given, face, id=f"{given}-{face.__name__}", marks=marks)


@pytest.mark.once
@pytest.mark.parametrize(("given", "face"), list(faces()))
@pytest.mark.parametrize("way", WAYS)
def test_what_each_hop_receives(town: Town, way: str, given: str, face: Any) -> None:
    start, location, follows = WAYS[way]
    profile = PROFILES[given]
    keywords = dict(profile.keywords)
    wide = {"cookies": {}, "verify": town.bundle, **keywords.pop("session", {})}
    keywords["headers"] = {"X-Trace": "1", **DESCRIBING, **keywords.get("headers", {})}
    keywords["data"] = BODY
    scheme, _, rest = start.partition("://")
    requests = []
    digest = profile.authorization == "Digest"
    for status in STATUSES:
        moved = answer(status, b"moved", [("Location", location + f"?{status}")])
        path = f"/dir/{status}/start"
        town.answers[path] = challenging(moved) if digest else moved
        requests.append((f"{scheme}://{profile.userinfo}{rest}{path}", keywords))
    if digest:
        for path in ("/end", *[f"/dir/{status}/end" for status in STATUSES]):
            town.answers[path] = challenging(answer(200, b"ok"))
    with reqkit.Session(**wide) as session:
        session.cookies.set("session", "2")
        session.cookies.set("wide", "3", domain=".a.example")
        responses = face(session, requests)

    # Nobody answers a challenge of where the auth may not go.
    answered = 401 if digest and "A" not in follows else 200
    assert [response.status_code for response in responses] == [answered] * len(STATUSES)
    at_start = "ACDH" if ".example" in start else "ACH"
    for status, repeats in STATUSES.items():
        before = town.all_hops(f"/dir/{status}/start")[-1]
        assert got(before) == expected(profile, start, at_start, None, True)
        # The auth is that of all these tests: one to which this origin is new is challenged first.
        after = [hop for hop in town.hops if hop.target.endswith(f"end?{status}")][-1]
        url = location if "://" in location else f"{scheme}:{location}"
        if "//" not in location:
            url = start
        assert got(after) == expected(profile, url, follows, NETRC_AUTH.get(way), repeats)


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "hand", "cookie": "by=hand", "host": "virtual.example"},
        {"AUTHORIZATION": "hand", "COOKIE": "by=hand", "HOST": "virtual.example"},
        {b"AuthorizatioN": b"hand", b"CookiE": b"by=hand", b"HosT": b"virtual.example"},
        [(name, value) for name, value in HAND.items() for _ in range(2)],
        [pair for name, value in HAND.items() for pair in ((name, value), (name.lower(), value))],
    ],
    ids=["lower", "upper", "bytes", "twice", "twice, in two spellings"],
)
@pytest.mark.parametrize("way", ["same origin", "other port", "other host", "to https", "to http"])
def test_however_it_is_spelled(town: Town, way: str, headers: Any) -> None:
    start, location, follows = WAYS[way]
    town.redirect(location)
    town.get(f"{start}/start", headers=headers)
    before, after = got(town.hop("/start")), got(town.hop("/end"))
    named = location.partition("://")[2].partition("/")[0]
    assert {name: before[name] for name in HAND} == {**HAND, "Cookie": ["by=hand"]}
    assert {name: after[name] for name in HAND} == {
        "Authorization": "hand" if "A" in follows else None,
        "Cookie": ["by=hand"] if "A" in follows else [""],
        "Host": "virtual.example" if "H" in follows else named,
    }


@pytest.mark.parametrize("name", ["Proxy-Authorization", "PROXY-authorization"])
@pytest.mark.parametrize("way", [way for way in WAYS if "https" not in "".join(WAYS[way][:2])])
def test_what_is_for_a_proxy(town: Town, way: str, name: str) -> None:
    """Set by hand it goes to the proxy for the first origin; what a proxy's URL says, to it."""
    start, location, follows = WAYS[way]
    moved = answer(307, b"moved", [("Location", location)])
    # The scripted server is the proxy: it gets absolute targets.
    town.answers[f"{start.removesuffix(':80')}/start"] = moved
    town.get(f"{start}/start", headers={name: "hand"}, proxies={"http": town.plain.netloc})
    first, second = town.hops
    assert first.get("Proxy-Authorization") == "hand"
    assert (second.get("Proxy-Authorization") == "hand") is ("A" in follows)
    town.get(f"{start}/start", proxies={"http": f"ann:hush@{town.plain.netloc}"})
    fields = [hop.get("Proxy-Authorization") for hop in town.hops[2:]]
    assert fields == [basic("ann:hush")] * 2


# -- cookies of servers


@pytest.mark.parametrize("way", WAYS)
def test_a_servers_cookie_goes_by_its_own_rules(town: Town, way: str) -> None:
    start, location, follows = WAYS[way]
    above = start.partition("://")[2].partition(":8")[0] if "[" not in start else "[::1]"
    fields = [
        ("Location", location),
        ("Set-Cookie", "host=1; Path=/"),
        ("Set-Cookie", "below=2; Domain=a.example; Path=/"),
        ("Set-Cookie", "away=3; Path=/elsewhere"),
        ("Set-Cookie", "safe=4; Secure; Path=/"),
    ]
    town.answers["/start"] = answer(302, b"", fields)
    town.get(f"{start}/start")
    end = town.hop("/end")
    host = (end.get("Host") or "").removesuffix(":8080").removesuffix(":8443")
    cookies = []
    if "D" in follows:
        cookies.append("below=2")
    if host == above:  # whatever the port and the scheme
        cookies.append("host=1")
    if "D" in follows and start.startswith("https") and end in town.secure.requests:
        cookies.append("safe=4")
    assert sorted((end.get("Cookie") or "").split("; ")) == (sorted(cookies) or [""])


# -- netrc


NETRC = """
machine a.example login a password a
machine b.example login b password b
machine 127.0.0.1 login four password four
"""
OF_HOST = {"a.example": basic("a:a"), "b.example": basic("b:b"), "127.0.0.1": basic("four:four")}


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def written(text: str) -> None:
        path = tmp_path / "netrc"
        path.write_text(text)
        path.chmod(0o600)
        monkeypatch.setenv("NETRC", str(path))

    return written


@pytest.mark.parametrize("way", WAYS)
def test_netrc_counts_for_each_host_by_itself(
    town: Town, way: str, netrc: Callable[[str], None]
) -> None:
    start, location, follows = WAYS[way]
    netrc(NETRC)
    town.redirect(location)
    town.get(f"{start}/start")
    first, second = town.hop("/start"), town.hop("/end")
    host = (first.get("Host") or "").partition(":8")[0]
    there = (second.get("Host") or "").partition(":8")[0]
    assert first.get("Authorization") == OF_HOST.get(host)
    wanted: str | None
    if "A" in follows and host in OF_HOST:
        wanted = OF_HOST[host]
    elif way in NETRC_AUTH:
        wanted = NETRC_AUTH[way]
    else:  # netrc knows no ports: another one of the same host is not for it to vouch for
        wanted = OF_HOST.get(there) if there != host else None
    assert second.get("Authorization") == wanted


def test_netrc_holds_for_all_messages_to_a_host(town: Town, netrc: Callable[[str], None]) -> None:
    netrc("machine b.example login b password b\n")
    town.redirect("http://b.example/one")
    town.redirect("/two", path="/one")
    town.redirect("http://a.example/end", path="/two")
    town.get()
    assert [hop.get("Authorization") for hop in town.hops] == [
        None, basic("b:b"), basic("b:b"), None,
    ]  # fmt: skip


#: A second hop, to a host that netrc knows, and a third; whether its entry goes there too.
NETRC_ONWARD = {
    "same origin": ("https://b.example/one", "https://b.example/end", True),
    "to https": ("http://b.example/one", "https://b.example/end", True),
    "to http": ("https://b.example/one", "http://b.example/end", False),
    "to another port": ("http://b.example/one", "http://b.example:8080/end", False),
}


@pytest.mark.parametrize("way", NETRC_ONWARD)
def test_netrc_vouches_for_no_lesser_place_of_a_host(
    town: Town, way: str, netrc: Callable[[str], None]
) -> None:
    """It knows no schemes and ports: where other auth would stay behind, so does this."""
    one, end, goes_on = NETRC_ONWARD[way]
    netrc("machine b.example login b password b\n")
    town.redirect(one)
    town.redirect(end, path="/one")
    town.get()
    assert town.hop("/start").get("Authorization") is None
    assert town.hop("/one").get("Authorization") == basic("b:b")
    assert town.hop("/end").get("Authorization") == (basic("b:b") if goes_on else None)


def test_netrcs_default_does_not_travel(town: Town, netrc: Callable[[str], None]) -> None:
    netrc("default login d password d\n")
    town.redirect("http://b.example/end")
    town.get()
    assert [hop.get("Authorization") for hop in town.hops] == [basic("d:d"), None]


def test_netrc_is_not_asked_again_for_another_port(
    town: Town, netrc: Callable[[str], None]
) -> None:
    netrc("machine a.example login a password a\n")
    town.redirect("http://a.example:8080/end")
    town.get("http://user:pw@a.example/start")
    assert [hop.get("Authorization") for hop in town.hops] == [basic("user:pw"), None]


def test_netrc_does_not_count_where_auth_was_given(
    town: Town, netrc: Callable[[str], None]
) -> None:
    netrc("machine b.example login b password b\n")
    town.redirect("http://b.example/end")
    town.get(auth=("user", "pw"))
    assert town.hop("/end").get("Authorization") is None


# -- methods and bodies


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "LINK")
#: What each becomes; the others stay as they are.
BECOMES: Mapping[int, Mapping[str, str]] = {
    301: {"POST": "GET"},
    302: {name: "GET" for name in METHODS if name != "HEAD"},
    303: {name: "GET" for name in METHODS if name != "HEAD"},
    307: {},
    308: {},
}


@pytest.mark.parametrize("face", [core, greenlets, steps])
@pytest.mark.parametrize("where", ["http://a.example/end", "http://b.example/end"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", BECOMES)
def test_methods_and_bodies(town: Town, status: int, method: str, where: str, face: Any) -> None:
    town.redirect(where, status)
    sent = b"" if method in ("GET", "HEAD", "OPTIONS") else BODY
    keywords: dict[str, Any] = {
        "data": sent or None, "headers": {"X-Trace": "1", **DESCRIBING},
    }  # fmt: skip
    with reqkit.Session() as session:
        if face is core:
            session.request(method, "http://a.example/start", allow_redirects=True, **keywords)
        elif face is greenlets:
            request = reqkit_async.request(
                method, "http://a.example/start", allow_redirects=True, session=session, **keywords
            )
            reqkit_async.map([request], raise_errors=True)
        else:
            first = session.request(
                method, "http://a.example/start", allow_redirects=False, **keywords
            )
            assert first.next is not None
            session.send(first.next)
    before, after = got(town.hop("/start")), got(town.hop("/end"))
    assert (before["method"], before["body"]) == (method, sent)
    expected = BECOMES[status].get(method, method)
    dropped = status in (301, 302, 303) and (expected != method or status == 303)
    # HEAD has no body to drop: what describes one is the user's own.
    wanted = {} if dropped else before["content"]
    assert (after["method"], after["body"]) == (expected, b"" if dropped else sent)
    assert (after["content"], after["X-Trace"]) == (wanted, "1")


# -- round and round


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("given", ["pair", "bearer", "custom", "URL", "by hand"])
def test_a_loop_of_two_hosts_tells_the_second_nothing(town: Town, given: str, status: int) -> None:
    profile = PROFILES[given]
    town.redirect("http://b.example/there", status)
    town.redirect("http://a.example/start", status, path="/there")
    with reqkit.Session(config={"max_redirects": 6}) as session:
        session.cookies.set("session", "2")
        with pytest.raises(reqkit.TooManyRedirects):
            session.post(f"http://{profile.userinfo}a.example/start", data=BODY, **profile.keywords)
    here, there = town.all_hops("/start"), town.all_hops("/there")
    assert (len(here), len(there)) == (4, 3)
    for hop in there:
        received = got(hop)
        assert (received["Authorization"], received["X-Api-Key"], received["Cookie"]) == (
            None,
            None,
            [""],
        )
        assert received["Host"] == "b.example"
    for number, hop in enumerate(here):
        received = got(hop)
        # What was set by hand does not come back.
        if given == "by hand" and number:
            assert (received["Authorization"], received["Cookie"]) == (None, ["session=2"])
        else:
            assert received["Authorization"] == profile.authorization
            assert received["X-Api-Key"] == profile.own
    repeated = STATUSES[status]
    assert {hop.method for hop in (*here[1:], *there)} == {"POST" if repeated else "GET"}
    assert {hop.body for hop in (*here[1:], *there)} == {BODY if repeated else b""}


# -- step by step, and then on


def by_send(session: reqkit.Session, first: reqkit.Response) -> reqkit.Response:
    assert first.next is not None
    return session.send(first.next)


def by_two_steps(session: reqkit.Session, first: reqkit.Response) -> reqkit.Response:
    assert first.next is not None
    second = session.send(first.next, allow_redirects=False)
    return by_send(session, second)


def by_resolving(session: reqkit.Session, first: reqkit.Response) -> reqkit.Response:
    *_, last = session.resolve_redirects(first, first.request)
    assert isinstance(last, reqkit.Response)
    return last


def by_resolving_the_rest(session: reqkit.Session, first: reqkit.Response) -> reqkit.Response:
    assert first.next is not None
    second = session.send(first.next, allow_redirects=False)
    return by_resolving(session, second)


ONWARD = {
    "stay away": ("http://b.example/one", "/end", False),
    "on to another": ("http://b.example/one", "http://sub.a.example/end", False),
    "to another port": ("http://a.example:8080/one", "/end", False),
    "to plain http": ("http://b.example:8080/one", "http://b.example/end", False),
    "stay at home": ("/one", "http://a.example/end", True),
}


@pytest.mark.parametrize("given", ["pair", "custom", "digest", "URL", "session's auth", "by hand"])
@pytest.mark.parametrize("onward", [by_send, by_two_steps, by_resolving, by_resolving_the_rest])
@pytest.mark.parametrize("way", ONWARD)
def test_who_steps_takes_nothing_along_either(
    town: Town, way: str, onward: Callable[..., reqkit.Response], given: str
) -> None:
    """The chain has one first origin, though it is sent by several calls."""
    location, then, at_home = ONWARD[way]
    profile = PROFILES[given]
    keywords = {"cookies": {"call": "1"}, **profile.keywords}
    moved = answer(302, b"", [("Location", location)])
    digest = given == "digest"
    town.answers["/start"] = challenging(moved) if digest else moved
    town.redirect(then, path="/one")
    with reqkit.Session(**keywords.pop("session", {})) as session:
        session.cookies.set("session", "2")
        url = f"http://{profile.userinfo}a.example/start"
        first = session.get(url, allow_redirects=False, **keywords)
        assert onward(session, first).ok
    for path in ("/one", "/end"):
        hop = got(town.hop(path))
        assert hop["Authorization"] == (profile.authorization if at_home else None)
        assert hop["X-Api-Key"] == (profile.own if at_home else None)
        cookies = [profile.cookie] if profile.cookie else ["call=1", "session=2"]
        assert hop["Cookie"] == (cookies if at_home else [""])
