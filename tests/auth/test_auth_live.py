"""Auth against servers that check it: who is asked, what goes where, digest to the letter."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import reqkit
from reqkit.auth import AuthBase, HTTPBasicAuth, HTTPBearerAuth, HTTPDigestAuth, HTTPProxyAuth
from servers.messages import Received, answer
from servers.scripted import Connection, ScriptedServer
from servers.wsgi import WSGIServer

Scripted = Callable[..., ScriptedServer]


def basic(user: str, password: str, charset: str = "latin-1") -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode(charset)).decode()


def sent(response: reqkit.Response, name: str = "Authorization") -> str | None:
    values = [value for key, value in response.json()["fields"] if key.lower() == name.lower()]
    assert len(values) < 2
    return values[0] if values else None


# Basic, Bearer, the proxy's, and what one writes oneself


def test_a_pair_is_basic(echo: ScriptedServer, httpbin: WSGIServer) -> None:
    assert sent(reqkit.get(echo(), auth=("user", "pass"))) == basic("user", "pass")
    pair: Any = ["user", "pass"]
    assert sent(reqkit.get(echo(), auth=pair)) == basic("user", "pass")
    assert reqkit.get(httpbin("/basic-auth/u/p"), auth=("u", "p")).status_code == 200
    assert reqkit.get(httpbin("/basic-auth/u/p"), auth=("u", "x")).status_code == 401


def test_names_beyond_latin_1_go_as_utf_8(echo: ScriptedServer) -> None:
    assert sent(reqkit.get(echo(), auth=("é", "ü"))) == basic("é", "ü")
    assert sent(reqkit.get(echo(), auth=("é", "€"))) == basic("é", "€", "utf-8")


def test_the_classes(echo: ScriptedServer) -> None:
    assert sent(reqkit.get(echo(), auth=HTTPBasicAuth("u", "p"))) == basic("u", "p")
    assert sent(reqkit.get(echo(), auth=HTTPBearerAuth("t0ken"))) == "Bearer t0ken"


def test_proxy_auth_goes_to_a_proxy_alone(echo: ScriptedServer) -> None:
    auth = HTTPProxyAuth("u", "p")
    response = reqkit.get(echo(), auth=auth)
    assert response.request.headers["Proxy-Authorization"] == basic("u", "p")
    assert sent(response, "Proxy-Authorization") is None
    by_proxy = reqkit.get("http://somewhere.example/", auth=auth, proxies={"http": echo.netloc})
    assert sent(by_proxy, "Proxy-Authorization") == basic("u", "p")
    assert by_proxy.json()["target"] == "http://somewhere.example/"


def test_any_callable_is_an_auth(echo: ScriptedServer) -> None:
    def sign(prepared: reqkit.PreparedRequest) -> reqkit.PreparedRequest:
        prepared.headers["X-Signature"] = f"{prepared.method} {prepared.url} {prepared.body!r}"
        return prepared

    response = reqkit.post(echo("/a"), data=b"body", auth=sign)
    assert sent(response, "X-Signature") == f"POST {echo('/a')} b'body'"


def test_an_auth_may_change_the_body(echo: ScriptedServer) -> None:
    class Sign(AuthBase):
        def __call__(self, r: Any) -> Any:
            r.body = r.body + "&signature=1"
            return r

    echoed = reqkit.post(echo(), data={"a": "1"}, auth=Sign()).json()
    assert echoed["body"] == "a=1&signature=1"
    assert ["Content-Length", "15"] in echoed["fields"]


def test_an_auth_that_returns_nothing_is_named(echo: ScriptedServer) -> None:
    def forgets(prepared: reqkit.PreparedRequest) -> None:
        return None

    with pytest.raises(TypeError, match=r"return r"):
        reqkit.get(echo(), auth=forgets)
    assert echo.connections_opened == 0


# Which auth counts


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A netrc with a login for 127.0.0.1."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login nick password from-netrc\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    yield path


def with_userinfo(server: ScriptedServer, userinfo: str = "ulla:from%2Durl") -> str:
    return f"{server.scheme}://{userinfo}@{server.netloc}/"


def test_credentials_in_the_url(echo: ScriptedServer) -> None:
    response = reqkit.get(with_userinfo(echo, "u%40x:p%3A%2F"))
    assert sent(response) == basic("u@x", "p:/")
    assert "@" not in response.json()["head"]


def test_netrc_counts_where_nothing_is_given(echo: ScriptedServer, netrc: Path) -> None:
    assert sent(reqkit.get(echo())) == basic("nick", "from-netrc")
    assert sent(reqkit.get(echo(), config={"trust_env": False})) is None
    assert sent(reqkit.get(f"http://localhost:{echo.port}/")) is None


def test_what_beats_what(echo: ScriptedServer, netrc: Path) -> None:
    with reqkit.Session(auth=("sam", "from-session")) as session:
        url = with_userinfo(echo)
        assert sent(session.get(url, auth=("carl", "call"))) == basic("carl", "call")
        assert sent(session.get(url)) == basic("sam", "from-session")
        session.auth = None
        assert sent(session.get(url)) == basic("ulla", "from-url")
        assert sent(session.get(echo())) == basic("nick", "from-netrc")


def basic_of(echo: ScriptedServer) -> str | None:
    value = echo.requests[-1].get("Authorization")
    return None if value is None else base64.b64decode(value.removeprefix("Basic ")).decode()


def test_a_user_in_the_url_chooses_the_password(echo: ScriptedServer, netrc: Path) -> None:
    netrc.write_text(
        "machine 127.0.0.1 login ann password 1\nmachine 127.0.0.1 login bob password 2\n"
    )
    url = echo().removeprefix("http://")
    for user, expected in (
        ("", "ann:1"), ("bob@", "bob:2"), ("ann@", "ann:1"), ("bob:mine@", "bob:mine"),
        ("eve@", "eve:"),
    ):  # fmt: skip
        reqkit.get(f"http://{user}{url}")
        assert basic_of(echo) == expected
    reqkit.get(f"http://bob@{url}", config={"trust_env": False})
    assert basic_of(echo) == "bob:"


@pytest.mark.parametrize("given", [{"headers": {"Authorization": "mine"}}, {}])
def test_the_default_entry_does_not_go_to_where_a_server_leads(
    scripted: Any, echo: ScriptedServer, netrc: Path, given: Any
) -> None:
    netrc.write_text("default login any password secret\n")
    location = echo().replace("127.0.0.1", "localhost")
    moved = scripted([answer(302, b"", [("Location", location)])])
    assert reqkit.get(moved(), **given).status_code == 200
    assert moved.requests[0].get("Authorization") is not None
    assert echo.requests[0].get("Authorization") is None
    netrc.write_text("machine localhost login l password p\n")
    moved = scripted([answer(302, b"", [("Location", location)])])
    assert reqkit.get(moved(), **given).status_code == 200
    assert basic_of(echo) == "l:p"


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION"])
@pytest.mark.parametrize("where", ["call", "session", "base_headers"])
def test_an_authorization_by_hand_beats_netrc(
    echo: ScriptedServer, netrc: Path, name: str, where: str
) -> None:
    with reqkit.Session() as session:
        given: Any = None
        if where == "session":
            session.headers[name] = "Custom x"
        elif where == "base_headers":
            session.config["base_headers"] = {name: "Custom x"}
        else:
            given = {name: "Custom x"}
        assert sent(session.get(echo(), headers=given)) == "Custom x"


def test_netrc_is_not_asked_for_what_is_not_the_parsed_host(
    echo: ScriptedServer, netrc: Path
) -> None:
    netrc.write_text("machine evil.example login nick password from-netrc\n")
    # The userinfo names another host; the host is the one after the last @.
    with_name = f"http://evil.example%2F:80@{echo.netloc}/"
    assert sent(reqkit.get(with_name)) == basic("evil.example/", "80")
    assert sent(reqkit.get(echo("/evil.example"))) is None
    assert sent(reqkit.get(echo(), headers={"Host": "evil.example"})) is None


# Digest, at httpbin


@pytest.mark.parametrize("qop", ["auth", "auth-int"])
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256", "SHA-512"])
def test_digest_at_httpbin(httpbin: WSGIServer, qop: str, algorithm: str) -> None:
    url = httpbin(f"/digest-auth/{qop}/user/pass/{algorithm}")
    auth = HTTPDigestAuth("user", "pass")
    with reqkit.Session(auth=auth) as session:
        assert session.get(url).status_code == 200
        assert session.get(url).status_code == 200
    assert reqkit.get(url, auth=HTTPDigestAuth("user", "wrong")).status_code == 401


# Digest, at a server that forgives nothing

ALGORITHMS = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}


class Strict:
    """A server's side of RFC 7616, written anew, which takes each count of a nonce once.

    Args:
        algorithm: with ``-sess`` or without.
        qop: what is offered.
        uses: after so many a nonce is stale.
        next_nonce: name the next nonce in each answer.
    """

    def __init__(
        self, algorithm: str = "SHA-256", qop: str = "auth", uses: int = 10**9,
        next_nonce: bool = False,
    ) -> None:  # fmt: skip
        self.algorithm = algorithm
        self.qop = qop
        self.uses = uses
        self.next_nonce = next_nonce
        self.faults: list[str] = []
        self.counts: dict[str, list[int]] = {}
        self._lock = threading.Lock()

    def serve(self, connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            connection.send(self.judge(request))

    def judge(self, request: Received) -> bytes:
        header = request.get("Authorization")
        with self._lock:
            if header is None:
                return self.challenge()
            fault, stale = self.check(request, header)
            if fault:
                self.faults.append(fault)
                return answer(400, fault.encode())
            if stale:
                return self.challenge(stale=True)
            echoed = []
            if self.next_nonce:
                echoed.append(("Authentication-Info", f'nextnonce="{self.nonce()}"'))
            return answer(200, request.body or b"ok", echoed)

    def nonce(self) -> str:
        nonce = secrets.token_hex(8)
        self.counts[nonce] = []
        return nonce

    def challenge(self, stale: bool = False) -> bytes:
        value = (
            f'Digest realm="a, \\"realm\\"", nonce="{self.nonce()}", qop="{self.qop}",'
            f' algorithm={self.algorithm}, opaque="o=1"' + (", stale=TRUE" if stale else "")
        )
        return answer(401, b"who are you?", [("WWW-Authenticate", value)])

    def check(self, request: Received, header: str) -> tuple[str, bool]:
        scheme, _, rest = header.partition(" ")
        pairs = re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,]+))', rest)
        got = {name: re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in pairs}
        if (scheme, got["username"], got["realm"], got["opaque"], got["algorithm"]) != (
            "Digest", "user", 'a, "realm"', "o=1", self.algorithm,
        ):  # fmt: skip
            return f"wrong facts: {header}", False
        if got["uri"] != request.target:
            return f"uri {got['uri']}, not {request.target}", False
        if got["qop"] not in self.qop.split(","):
            return f"qop {got['qop']} was not offered", False
        counts = self.counts.get(got["nonce"])
        if counts is None:
            return f"nonce {got['nonce']} was never given", False
        count = int(got["nc"], 16)
        if len(got["nc"]) != 8 or count in counts:
            return f"count {got['nc']} came before", False
        counts.append(count)
        if got["response"] != self.proof(request, got):
            return "wrong response", False
        return "", count > self.uses

    def proof(self, request: Received, got: dict[str, str]) -> str:
        name = self.algorithm.removesuffix("-sess")

        def digest(text: str) -> str:
            return ALGORITHMS[name](text.encode("latin-1")).hexdigest()

        first = digest(f'user:a, "realm":pass')  # noqa: F541 as it is written in the RFC
        if name != self.algorithm:
            first = digest(f"{first}:{got['nonce']}:{got['cnonce']}")
        second = f"{request.method}:{request.target}"
        if got["qop"] == "auth-int":
            second += ":" + digest(request.body.decode("latin-1"))
        return digest(
            f"{first}:{got['nonce']}:{got['nc']}:{got['cnonce']}:{got['qop']}:{digest(second)}"
        )


@pytest.mark.parametrize("algorithm", ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"])
@pytest.mark.parametrize("qop", ["auth", "auth-int", "auth,auth-int"])
def test_digest_to_the_letter(scripted: Scripted, algorithm: str, qop: str) -> None:
    strict = Strict(algorithm, qop)
    server = scripted(strict.serve)
    auth = HTTPDigestAuth("user", "pass")
    with reqkit.Session(auth=auth) as session:
        statuses = [
            session.get(server("/a?b=c;d&e=%20")).status_code,
            session.post(server("/p"), data=b"body").status_code,
            session.put(server("/q"), data={"a": "ü"}).status_code,
        ]
    assert (statuses, strict.faults) == ([200] * 3, [])
    # One challenge: from then on the proof goes along at once.
    assert len(server.requests) == 4
    assert list(strict.counts.values()) == [[1, 2, 3]]


@pytest.mark.parametrize(
    "others",
    [
        [("WWW-Authenticate", 'Basic realm="x')],
        [("WWW-Authenticate", "Negotiate"), ("www-authenticate", 'NTLM "\\')],
    ],
)
def test_a_broken_challenge_takes_nothing_from_the_next_field(
    scripted: Scripted, others: list[tuple[str, str]]
) -> None:
    challenge = ("WWW-Authenticate", 'Digest realm="r", nonce="n", qop="auth"')
    server = scripted([answer(401, fields=[*others, challenge]), answer(200)])
    assert reqkit.get(server(), auth=HTTPDigestAuth("ann", "secret")).status_code == 200
    assert (server.requests[1].get("Authorization") or "").startswith("Digest ")


def text_file(path: Path) -> Any:
    (path / "t").write_text("aü" * 50_000, "utf-8")
    return (path / "t").open(encoding="utf-8")


def file_from_within(path: Path) -> Any:
    (path / "f").write_bytes(b"0123456789" * 50_000)
    opened = (path / "f").open("rb")
    opened.seek(5)
    return opened


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (lambda path: io.BytesIO(b"x" * 200_000), b"x" * 200_000),
        (file_from_within, (b"0123456789" * 50_000)[5:]),
        (text_file, ("aü" * 50_000).encode()),
    ],
)
@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256-sess"])
def test_a_file_is_hashed_and_sent(
    scripted: Scripted, tmp_path: Path, algorithm: str, make: Any, body: bytes
) -> None:
    strict = Strict(algorithm, "auth-int")
    server = scripted(strict.serve)
    auth = HTTPDigestAuth("user", "pass")
    with make(tmp_path) as file, reqkit.Session(auth=auth) as session:
        request = reqkit.Request("PUT", server("/q"), data=file, session=session)
        assert [request.send().status_code for _ in range(2)] == [200, 200]
        files = {"a": ("n", io.BytesIO(b"z" * 1_500_000)), "b": ("m", b"y" * 2_000_000)}
        assert session.post(server("/m"), files=files).status_code == 200
    assert strict.faults == []
    assert [received.body for received in server.requests[:3]] == [body] * 3
    assert b"z" * 1_500_000 in server.requests[3].body


def test_what_can_be_read_but_once_is_not_hashed(scripted: Scripted) -> None:
    strict = Strict("MD5", "auth-int")
    server = scripted(strict.serve)
    response = reqkit.put(server(), data=iter([b"x"]), auth=HTTPDigestAuth("user", "pass"))
    assert response.status_code == 401
    assert len(server.requests) == 1


def test_the_challenge_is_in_the_history(scripted: Scripted) -> None:
    server = scripted(Strict().serve)
    response = reqkit.get(server(), auth=HTTPDigestAuth("user", "pass"))
    assert [one.status_code for one in response.history] == [401]
    assert response.history[0].content == b"who are you?"
    assert response.request.headers["Authorization"].startswith("Digest ")
    assert "authorization" not in response.history[0].request.headers


def test_a_challenge_costs_no_connection(scripted: Scripted) -> None:
    server = scripted(Strict().serve)
    with reqkit.Session(auth=HTTPDigestAuth("user", "pass")) as session:
        for _ in range(3):
            session.get(server()).content  # noqa: B018 reads it
    assert server.connections_opened == 1


def test_a_stale_nonce_is_replaced_without_a_word(scripted: Scripted) -> None:
    strict = Strict(uses=2)
    server = scripted(strict.serve)
    with reqkit.Session(auth=HTTPDigestAuth("user", "pass")) as session:
        statuses = [session.get(server()).status_code for _ in range(7)]
    assert (statuses, strict.faults) == ([200] * 7, [])
    # Each nonce serves twice and is refused once.
    assert list(strict.counts.values()) == [[1, 2, 3], [1, 2, 3], [1, 2, 3], [1]]


def test_the_next_nonce_is_used(scripted: Scripted) -> None:
    strict = Strict(next_nonce=True)
    server = scripted(strict.serve)
    with reqkit.Session(auth=HTTPDigestAuth("user", "pass")) as session:
        statuses = [session.get(server()).status_code for _ in range(3)]
    assert (statuses, strict.faults) == ([200] * 3, [])
    assert list(strict.counts.values()) == [[1], [1], [1], []]


@pytest.mark.parametrize("uses", [10**9, 7])
def test_one_auth_serves_many_threads(scripted: Scripted, uses: int) -> None:
    strict = Strict(uses=uses)
    server = scripted(strict.serve)
    auth = HTTPDigestAuth("user", "pass")
    with reqkit.Session(auth=auth) as session, ThreadPoolExecutor(8) as threads:
        statuses = list(
            threads.map(lambda n: session.get(server(f"/{n}"), timeout=15).status_code, range(80))
        )
    assert strict.faults == []
    if uses == 10**9:
        assert statuses == [200] * 80
    else:
        # A nonce may go stale under a message more often than it is tried again.
        assert set(statuses) <= {200, 401}
        assert statuses.count(200) > 40


def test_a_wrong_password_is_asked_about_once(scripted: Scripted) -> None:
    def refuse(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(Strict().challenge())

    server = scripted(refuse)
    response = reqkit.get(server(), auth=HTTPDigestAuth("user", "wrong"))
    assert response.status_code == 401
    assert len(server.requests) == 2


@pytest.mark.parametrize("qop", ["auth", "auth-int"])
def test_uploads_are_sent_anew(scripted: Scripted, qop: str, tmp_path: Path) -> None:
    strict = Strict(qop="auth" if qop == "auth" else "auth,auth-int")
    server = scripted(strict.serve)
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.seek(3)
        response = reqkit.post(server(), data=file, auth=HTTPDigestAuth("user", "pass"))
        assert response.content == b"3456789"
    files = {"f": ("f.txt", io.BytesIO(b"of a form"))}
    response = reqkit.post(server(), files=files, auth=HTTPDigestAuth("user", "pass"))
    assert b"of a form" in response.content
    assert [len(one.body) for one in server.requests[2:]] == [len(response.content)] * 2
    assert strict.faults == []


def test_an_upload_that_cannot_be_sent_anew_is_an_error_that_says_so(scripted: Scripted) -> None:
    server = scripted(Strict().serve)
    pieces = (piece for piece in [b"a", b"b"])
    with pytest.raises(reqkit.UnrewindableBodyError, match="again") as caught:
        reqkit.post(server(), data=pieces, auth=HTTPDigestAuth("user", "pass"))
    assert server() in str(caught.value)
    assert caught.value.request.method == "POST"


def test_cookies_of_a_challenge_go_along_with_the_proof(scripted: Scripted) -> None:
    strict = Strict()

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            judged = strict.judge(request)
            head, _, body = judged.partition(b"\r\n\r\n")
            connection.send(head + b"\r\nSet-Cookie: seen=1\r\n\r\n" + body)

    server = scripted(handler)
    reqkit.get(server(), auth=HTTPDigestAuth("user", "pass"), cookies={"mine": "2"})
    assert [one.get("Cookie") for one in server.requests] == ["mine=2", "mine=2; seen=1"]


def test_digest_is_for_one_origin(scripted: Scripted) -> None:
    other = scripted([answer(401, b"", [("WWW-Authenticate", 'Digest realm="r", nonce="n"')])])
    strict = Strict()

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            judged = strict.judge(request)
            if judged.startswith(b"HTTP/1.1 200"):
                judged = answer(302, b"", [("Location", other("/away"))])
            connection.send(judged)

    server = scripted(handler)
    response = reqkit.get(server(), auth=HTTPDigestAuth("user", "pass"))
    assert response.status_code == 401
    assert [one.get("Authorization") for one in other.requests] == [None]
    assert strict.faults == []


def test_digest_follows_redirects_at_home(scripted: Scripted) -> None:
    strict = Strict()

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            judged = strict.judge(request)
            if judged.startswith(b"HTTP/1.1 200") and request.target == "/a":
                judged = answer(302, b"", [("Location", "/b")])
            connection.send(judged)

    server = scripted(handler)
    response = reqkit.get(server("/a"), auth=HTTPDigestAuth("user", "pass"))
    assert (response.status_code, strict.faults) == (200, [])
    assert [one.target for one in server.requests] == ["/a", "/a", "/b"]
    assert [one.status_code for one in response.history] == [401, 302]


def test_challenges_do_not_count_as_redirects(scripted: Scripted) -> None:
    strict = Strict()

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            judged = strict.judge(request)
            if judged.startswith(b"HTTP/1.1 200") and request.target == "/a":
                judged = answer(302, b"", [("Location", "/b")])
            connection.send(judged)

    server = scripted(handler)
    auth = HTTPDigestAuth("user", "pass")
    response = reqkit.get(server("/a"), auth=auth, config={"max_redirects": 1})
    assert response.status_code == 200


# Auth plugins, as they are written for requests


class Handshake(AuthBase):
    """Answers a challenge in two legs on one connection, as NTLM and Negotiate do."""

    def __init__(self) -> None:
        self.answers = 0

    def __call__(self, r: Any) -> Any:
        r.headers["Connection"] = "Keep-Alive"
        r.register_hook("response", self.handle)
        return r

    def handle(self, response: Any, **kwargs: Any) -> Any:
        self.answers += 1
        if response.status_code != 401:
            return response
        response.content  # noqa: B018 so that the connection is free
        response.raw.release_conn()
        first = response.request.copy()
        first.headers["Authorization"] = "Legs hello"
        second_answer = response.connection.send(first, **dict(kwargs, stream=False))
        second_answer.content  # noqa: B018
        second_answer.raw.release_conn()
        second = second_answer.request.copy()
        token = second_answer.headers["WWW-Authenticate"].partition(" ")[2]
        second.headers["Authorization"] = f"Legs {token}-signed"
        last = second_answer.connection.send(second, **kwargs)
        last.history.append(response)
        last.history.append(second_answer)
        return last


def legs(connection: Connection) -> None:
    """Tell who it is by the connection alone, as NTLM servers do."""
    token = f"nonce{connection.number}"
    known = False
    while (request := connection.recv_request()) is not None:
        authorization = request.get("Authorization")
        known = known or authorization == f"Legs {token}-signed"
        if known:
            connection.send(answer(200, request.body or b"in"))
        else:
            value = f"Legs {token}" if authorization == "Legs hello" else "Legs"
            connection.send(answer(401, b"out" * 100, [("WWW-Authenticate", value)]))


def test_a_handshake_over_one_connection(scripted: Scripted) -> None:
    server = scripted(legs)
    auth = Handshake()
    seen: list[Any] = []
    with reqkit.Session(auth=auth, hooks={"response": seen.append}) as session:
        response = session.post(server(), data=b"body")
        assert response.content == b"body"
        assert [one.status_code for one in response.history] == [401, 401]
        assert seen == [response]
        assert auth.answers == 1
        session.get(server())
    assert server.connections_opened == 1
    assert [one.get("Authorization") for one in server.requests] == [
        None, "Legs hello", "Legs nonce1-signed", None,
    ]  # fmt: skip


def test_a_plugins_hook_runs_for_each_answer_to_it(scripted: Scripted) -> None:
    server = scripted([answer(302, b"", [("Location", "/b")]), answer(200, b"ok")])
    auth = Handshake()
    reqkit.get(server("/a"), auth=auth)
    assert auth.answers == 2


def test_a_plugins_failure_is_the_requests_failure(scripted: Scripted) -> None:
    class Fails(AuthBase):
        def __call__(self, r: Any) -> Any:
            r.register_hook("response", self.handle)
            return r

        def handle(self, response: Any, **kwargs: Any) -> Any:
            raise reqkit.RequestException("no ticket")

    server = scripted([answer(200, b"ok")])
    with pytest.raises(reqkit.RequestException, match="no ticket") as caught:
        reqkit.get(server(), auth=Fails())
    assert caught.value.request.url == server()


def test_a_plugins_hook_without_keywords(scripted: Scripted) -> None:
    got: list[Any] = []

    class Looks(AuthBase):
        def __call__(self, r: Any) -> Any:
            r.register_hook("response", self.look)
            return r

        def look(self, response: Any) -> None:
            got.append(response)

    response = reqkit.get(scripted([answer(200, b"ok")])(), auth=Looks())
    assert got == [response]


class RequestsDigest(AuthBase):
    """A challenge's answer by the methods that requests' own digest auth calls."""

    def __call__(self, r: Any) -> Any:
        self.position = r.body.tell() if hasattr(r.body, "tell") else None
        r.register_hook("response", self.handle_401)
        r.register_hook("response", self.handle_redirect)
        self.redirects = 0
        return r

    def handle_redirect(self, r: Any, **kwargs: Any) -> None:
        self.redirects += r.is_redirect

    def handle_401(self, r: Any, **kwargs: Any) -> Any:
        if not 400 <= r.status_code < 500:
            return r
        if self.position is not None:
            r.request.body.seek(self.position)
        r.content  # noqa: B018
        r.close()
        prep = r.request.copy()
        reqkit.cookies.extract_cookies_to_jar(prep._cookies, r.request, r.raw)
        prep.prepare_cookies(prep._cookies)
        prep.headers["Authorization"] = "Answer"
        answered = r.connection.send(prep, **kwargs)
        answered.history.append(r)
        answered.request = prep
        return answered


def test_the_way_of_requests_own_digest(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.get("Authorization"):
                connection.send(answer(200, request.body))
            else:
                connection.send(answer(401, b"x" * 500, [("Set-Cookie", "leg=1")]))

    server = scripted(handler)
    with reqkit.Session() as session:
        response = session.post(server(), data=io.BytesIO(b"upload"), auth=RequestsDigest())
    assert response.content == b"upload"
    assert [one.get("Cookie") for one in server.requests] == [None, "leg=1"]
    assert server.connections_opened == 1


def test_auth_shows_in_no_repr() -> None:
    for auth in (
        HTTPBasicAuth("user", "s3cret"), HTTPProxyAuth("user", "s3cret"),
        HTTPDigestAuth("user", "s3cret"), HTTPBearerAuth("s3cret"),
    ):  # fmt: skip
        assert "s3cret" not in repr(auth) + str(auth)
