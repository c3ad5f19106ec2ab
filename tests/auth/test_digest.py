"""Digest: the RFCs' examples, and whole exchanges with a server that checks each proof."""

from __future__ import annotations

import copy
import hashlib
import io
import pickle
import re
import threading
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import pytest

from reqkit.auth import HTTPDigestAuth, digest_credentials
from reqkit.auth import digest as digest_module
from reqkit.auth.digest_credentials import Parameters, authorization, usable_parameters
from reqkit.exceptions import ChunkedEncodingError, ReadTimeout, UnrewindableBodyError

HAS_SHA512_256 = "sha512_256" in hashlib.algorithms_available

MUFASA = (
    'realm="http-auth@example.org", qop="auth, auth-int",'
    ' nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",'
    ' opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
RFC_2617_NONCE = 'realm="testrealm@host.com", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093"'


def parameters_of(value: str) -> Parameters:
    parameters = usable_parameters([value])
    assert parameters is not None
    return parameters


def proof(value: str, **facts: Any) -> str:
    parameters = parameters_of(value)
    given = {
        "username": "u",
        "password": "p",
        "method": "GET",
        "uri": "/",
        "body": None,
        "count": 1,
        "cnonce": "0a4f113b",
        **facts,
    }
    return authorization(parameters, qop=parameters.qop_for(given["body"]) or "", **given)


def fields(header: str) -> dict[str, str]:
    """Read an Authorization header apart; deliberately not with the code that is tested."""
    assert header.startswith("Digest ")
    found = re.findall(r'([a-z*]+)=(?:"((?:[^"\\]|\\.)*)"|([^,\s"]+))', header[7:])
    names = [name for name, _, _ in found]
    assert len(names) == len(set(names))
    return {name: re.sub(r"\\(.)", r"\1", quoted) or bare for name, quoted, bare in found}


@pytest.mark.parametrize(
    ("value", "facts", "expected"),
    [
        pytest.param(
            f"Digest {MUFASA}, algorithm=MD5",
            {"username": "Mufasa", "password": "Circle of Life", "uri": "/dir/index.html",
             "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"},
            "8ca523f5e9506fed4657c9700eebdbec",
            id="RFC 7616 section 3.9.1, MD5",
        ),
        pytest.param(
            f"Digest {MUFASA}, algorithm=SHA-256",
            {"username": "Mufasa", "password": "Circle of Life", "uri": "/dir/index.html",
             "cnonce": "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"},
            "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            id="RFC 7616 section 3.9.1, SHA-256",
        ),
        pytest.param(
            f'Digest {RFC_2617_NONCE}, qop="auth,auth-int"',
            {"username": "Mufasa", "password": "Circle Of Life", "uri": "/dir/index.html"},
            "6629fae49393a05397450978507c4ef1",
            id="RFC 2617 section 3.5",
        ),
        pytest.param(
            f"Digest {RFC_2617_NONCE}",
            {"username": "Mufasa", "password": "CircleOfLife", "uri": "/dir/index.html"},
            "1949323746fe6a43ef61f9606e7febea",
            id="RFC 2069 section 2.4, with its erratum",
        ),
    ],
)  # fmt: skip
def test_examples_of_the_rfcs(value: str, facts: dict[str, Any], expected: str) -> None:
    assert fields(proof(value, **facts))["response"] == expected


@pytest.mark.skipif(not HAS_SHA512_256, reason="this OpenSSL has no SHA-512/256")
def test_example_with_sha_512_256_and_userhash() -> None:
    # RFC 7616 section 3.9.2; the hashes are those of erratum 4897 (the RFC's cut SHA-512 short).
    header = proof(
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256,'
        ' nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",'
        ' opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true',
        # Decomposed: the RFC wants the composed form (NFC) to be hashed.
        username="Ja\u0308søn Doe",
        password="Secret, or not?",
        uri="/doe.json",
        cnonce="NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
    )
    assert fields(header) == {
        "username": "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b",
        "realm": "api@example.org",
        "uri": "/doe.json",
        "algorithm": "SHA-512-256",
        "nonce": "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
        "nc": "00000001",
        "cnonce": "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        "qop": "auth",
        "response": "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5",
        "opaque": "HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS",
        "userhash": "true",
    }


def test_what_is_quoted_and_what_is_not() -> None:
    # RFC 7616 section 3.4.6
    header = proof('Digest realm="r", nonce="n", qop="auth", algorithm="md5", opaque=""')
    assert re.fullmatch(
        r'Digest username="u", realm="r", nonce="n", uri="/", algorithm=md5, qop=auth,'
        r' nc=00000001, cnonce="0a4f113b", response="[0-9a-f]{32}", opaque=""',
        header,
    )


def test_the_old_form_has_neither_count_nor_cnonce() -> None:
    # RFC 2617 section 3.2.2
    assert set(fields(proof('Digest realm="r", nonce="n"'))) == {
        "username", "realm", "nonce", "uri", "response",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("username", "name", "value"),
    [
        ("plain", "username", "plain"),
        ("a:b c", "username", "a:b c"),
        ("", "username", ""),
        ("Jäsøn Doe", "username*", "UTF-8''J%C3%A4s%C3%B8n%20Doe"),
        ('say "hi"', "username*", "UTF-8''say%20%22hi%22"),
        ("a\\b", "username*", "UTF-8''a%5Cb"),
        ("a\r\nX: y", "username*", "UTF-8''a%0D%0AX%3A%20y"),
        ("it's*(%)", "username", "it's*(%)"),
        ("ü'*%", "username*", "UTF-8''%C3%BC%27%2A%25"),
    ],
)
def test_how_the_name_is_sent(username: str, name: str, value: str) -> None:
    header = proof('Digest realm="r", nonce="n", qop=auth', username=username)
    got = fields(header)
    assert got[name] == value
    assert len({"username", "username*"} & set(got)) == 1
    a1 = hashlib.md5(f"{username}:r:p".encode()).hexdigest()
    a2 = hashlib.md5(b"GET:/").hexdigest()
    assert (
        got["response"] == hashlib.md5(f"{a1}:n:00000001:0a4f113b:auth:{a2}".encode()).hexdigest()
    )


def test_what_the_server_says_is_echoed_escaped() -> None:
    header = proof('Digest realm="a \\"b\\" \\\\ c", nonce="n\\"", opaque="o, p=\\"q"')
    assert 'realm="a \\"b\\" \\\\ c"' in header
    assert 'nonce="n\\""' in header
    assert 'opaque="o, p=\\"q"' in header


@pytest.mark.parametrize(
    ("realm", "octets"),
    [
        # UTF-8 that was read as Latin-1, Latin-1, and UTF-8 that was read as such.
        ("Caf\u00c3\u00a9", "Café".encode()),
        ("Café", b"Caf\xe9"),
        ("5€", "5€".encode()),
    ],
)
def test_a_realm_is_hashed_as_the_octets_that_came(realm: str, octets: bytes) -> None:
    got = fields(proof(f'Digest realm="{realm}", nonce="n"'))
    assert got["realm"] == realm
    a1 = hashlib.md5(b"u:" + octets + b":p").hexdigest()
    a2 = hashlib.md5(b"GET:/").hexdigest()
    assert got["response"] == hashlib.md5(f"{a1}:n:{a2}".encode()).hexdigest()


def test_a_hash_that_the_platform_lacks_is_left_out() -> None:
    assert digest_credentials._hash("no such hash") is None


def test_a_target_that_is_no_ascii_goes_as_its_octets() -> None:
    got = fields(proof('Digest realm="r", nonce="n"', uri="/ü"))
    assert got["uri"].encode("latin-1") == "/ü".encode()
    a1, a2 = hashlib.md5(b"u:r:p").hexdigest(), hashlib.md5("GET:/ü".encode()).hexdigest()
    assert got["response"] == hashlib.md5(f"{a1}:n:{a2}".encode()).hexdigest()


@pytest.mark.parametrize(
    "value",
    [
        'Basic realm="r", nonce="n"',
        'Digest nonce="n"',
        'Digest realm="r"',
        'Digest realm="r", nonce=""',
        'Digest realm="r", nonce="n", algorithm=CRC32',
        'Digest realm="r", nonce="n", algorithm=MD5-sess-sess',
        'Digest realm="r", nonce="n", algorithm=\u017fHA',
        'Digest realm="r", nonce="n", qop="auth-conf"',
        'Digest realm="r", nonce="n\r\nX: y"',
        'Digest realm="r\x00", nonce="n"',
        'Digest realm="r", nonce="n", opaque="\n"',
        "Digest",
        "Digest abc==",
        "",
    ],
)
def test_challenges_that_cannot_be_answered(value: str) -> None:
    assert usable_parameters([value]) is None


@pytest.mark.parametrize(
    ("algorithms", "chosen"),
    [
        (["MD5"], "MD5"),
        (["MD5", "SHA-256"], "SHA-256"),
        (["SHA-256", "MD5"], "SHA-256"),
        (["MD5", "SHA"], "SHA"),
        (["SHA-256-sess", "SHA-256"], "SHA-256-sess"),
        (["sha-256", "SHA-256-SESS"], "sha-256"),
        (["MD5-sess", "CRC32", "SHA-256"], "SHA-256"),
        pytest.param(
            ["MD5", "SHA-256", "SHA-512-256", "SHA-512"],
            "SHA-512-256",
            marks=pytest.mark.skipif(not HAS_SHA512_256, reason="no SHA-512/256"),
        ),
    ],
)
@pytest.mark.parametrize("joined", [True, False])
def test_the_strongest_hash_wins(algorithms: list[str], chosen: str, joined: bool) -> None:
    every = [f'Digest realm="r", nonce="n", algorithm={name}' for name in algorithms]
    parameters = usable_parameters([", ".join(every)] if joined else every)
    assert parameters is not None
    assert parameters.algorithm == chosen


@pytest.mark.parametrize(
    ("qop", "body", "expected"),
    [
        ("", None, ""),
        (', qop=""', None, ""),
        (", qop=auth", io.BytesIO(), "auth"),
        (', qop="auth-int,auth"', b"x", "auth"),
        (', qop="AUTH , auth-conf"', b"x", "auth"),
        (", qop=auth-int", b"x", "auth-int"),
        (", qop=auth-int", "x", "auth-int"),
        (", qop=auth-int", None, "auth-int"),
        (", qop=auth-int", io.BytesIO(b"x"), None),
        (", qop=auth-int", iter([b"x"]), None),
    ],
)
def test_the_quality_of_protection(qop: str, body: Any, expected: str | None) -> None:
    assert parameters_of('Digest realm="r", nonce="n"' + qop).qop_for(body) == expected


# --- Whole exchanges -----------------------------------------------------------------------------


class Headers(dict[str, str]):
    """Header fields, looked up without regard to case."""

    def __init__(self, given: dict[str, str] | None = None) -> None:
        super().__init__()
        for name, value in (given or {}).items():
            self[name] = value

    def __setitem__(self, name: str, value: str) -> None:
        super().__setitem__(name.lower(), value)

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return super().__contains__(str(name).lower())

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


class Message:
    def __init__(self, method: str, url: str, body: Any = None) -> None:
        self.method = method
        self.url = url
        self.body = body
        self.headers = Headers()
        self.hooks: dict[str, list[Callable[..., Any]]] = {"response": []}
        self.rewound = 0
        self.took: list[Any] = []

    def register_hook(self, event: str, hook: Callable[..., Any]) -> None:
        self.hooks[event].append(hook)

    def deregister_hook(self, event: str, hook: Callable[..., Any]) -> bool:
        self.hooks[event].remove(hook)
        return True

    def copy(self) -> Message:
        other = Message(self.method, self.url, self.body)
        other.headers = Headers(self.headers)
        other.hooks = {name: list(hooks) for name, hooks in self.hooks.items()}
        return other

    def rewind(self) -> None:
        if not hasattr(self.body, "seek"):
            raise UnrewindableBodyError("the body is a generator")
        self.body.seek(0)
        self.rewound += 1

    def take_cookies_of(self, response: Any) -> None:
        self.took.append(response)


class Answer:
    def __init__(self, server: Server, request: Message, status: int, headers: Headers) -> None:
        self.connection = server
        self.request = request
        self.status_code: int | None = status
        self.headers = headers
        self.history: list[Any] = []
        self.was_read = self.was_closed = False
        self.fault: Exception | None = None

    @property
    def content(self) -> bytes:
        self.was_read = True
        if self.fault:
            raise self.fault
        return b"who are you?"

    def close(self) -> None:
        self.was_closed = True


class Server:
    """Asks for Digest, and checks each proof. `send` is what a connection of a response has."""

    users: ClassVar = {"u": "p", "Jäsøn": "£"}

    def __init__(self, **challenge: str) -> None:
        self.challenge = {"qop": "auth", "algorithm": "MD5", **challenge}
        self.made = 0
        self.live: dict[str, int] = {}
        self.seen: list[dict[str, str] | None] = []
        self.kwargs: list[dict[str, Any]] = []
        self.always: dict[str, str] | None = None
        self.next_nonce: str | None = None
        self.lock = threading.Lock()

    def new_nonce(self) -> str:
        with self.lock:
            self.made += 1
            nonce = f"nonce-{self.made}"
            self.live[nonce] = 0
        return nonce

    def send(self, request: Message, **kwargs: Any) -> Answer:
        self.kwargs.append(kwargs)
        if hasattr(request.body, "read"):
            assert request.body.read() == b"whole", "the body was not rewound"
        header = request.headers.get("Authorization")
        got = fields(header) if header else None
        self.seen.append(got)
        stale = got is not None and got["nonce"] not in self.live
        if got and not stale and self.always is None and self.proves(got, request):
            headers = Headers()
            if self.next_nonce:
                self.live[self.next_nonce] = 0
                headers["Authentication-Info"] = f'nextnonce="{self.next_nonce}", qop=auth'
            return Answer(self, request, 200, headers)
        params = {"realm": "r", "nonce": self.new_nonce(), **self.challenge}
        if stale:
            params["stale"] = "true"
        params.update(self.always or {})
        text = ", ".join(f'{name}="{value}"' for name, value in params.items() if value)
        return Answer(self, request, 401, Headers({"WWW-Authenticate": "Digest " + text}))

    def proves(self, got: dict[str, str], request: Message) -> bool:
        algorithm = self.challenge["algorithm"].upper()
        name = {"MD5": "md5", "SHA": "sha1", "SHA-256": "sha256", "SHA-512-256": "sha512_256"}
        digest = name[algorithm.removesuffix("-SESS")]

        def hexed(*parts: str | bytes) -> str:
            octets = [part.encode() if isinstance(part, str) else part for part in parts]
            return hashlib.new(digest, b":".join(octets)).hexdigest()

        user = got.get("username") or unquote(got["username*"].removeprefix("UTF-8''"))
        if got.get("userhash") == "true":
            user = next(known for known in self.users if hexed(known, "r") == user)
        a1 = hexed(user, "r", self.users[user])
        if algorithm.endswith("-SESS"):
            a1 = hexed(a1, got["nonce"], got["cnonce"])
        parts = urlsplit(request.url)
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        assert got["uri"] == target
        a2 = hexed(request.method, target)
        if got.get("qop") == "auth-int":
            a2 = hexed(request.method, target, hexed(request.body or b""))
        if not self.challenge["qop"]:
            assert "qop" not in got
            return got["response"] == hexed(a1, got["nonce"], a2)
        with self.lock:
            if int(got["nc"], 16) <= self.live[got["nonce"]] and not self.out_of_order:
                return False
            self.live[got["nonce"]] += 1
        want = hexed(a1, got["nonce"], got["nc"], got["cnonce"], got["qop"], a2)
        return got["response"] == want

    out_of_order = False

    def talk(self, auth: HTTPDigestAuth, url: str, method: str = "GET", body: Any = None) -> Answer:
        """Send a message as a session does: auth, the wire, the response hooks."""
        message = Message(method, url, body)
        assert auth(message) is message
        return self.dispatch(self.send(message))

    def dispatch(self, answer: Answer) -> Answer:
        for hook in list(answer.request.hooks["response"]):
            answer = hook(answer, timeout=3, stream=True) or answer
        return answer


HOST = "http://h.example"


@pytest.mark.parametrize("qop", ["auth", "auth-int", "auth,auth-int", ""])
@pytest.mark.parametrize(
    "algorithm",
    ["MD5", "MD5-sess", "SHA", "SHA-256", "SHA-256-SESS"]
    + ["SHA-512-256", "SHA-512-256-sess"] * HAS_SHA512_256,
)
@pytest.mark.parametrize("userhash", ["true", "false"])
@pytest.mark.parametrize(
    ("user", "password"), [("u", "p"), ("Jäsøn", "£"), (b"u", b"p"), (b"J\xe4s\xf8n", b"\xa3")]
)
def test_an_exchange(
    qop: str, algorithm: str, userhash: str, user: str | bytes, password: str | bytes
) -> None:
    server = Server(qop=qop, algorithm=algorithm, userhash=userhash, charset="UTF-8", opaque="o")
    auth = HTTPDigestAuth(user, password)
    first = server.talk(auth, HOST + "/a/b?c=d&e", "POST", b"body")
    assert first.status_code == 200
    (refused,) = first.history
    assert refused.status_code == 401
    assert refused.was_read
    assert refused.was_closed
    assert first.request is not refused.request
    assert "Authorization" not in refused.request.headers
    assert first.request.took == [refused]
    # From now on the proof goes along at once.
    second = server.talk(auth, HOST)
    assert second.status_code == 200
    assert second.history == []
    assert len(server.seen) == 3
    assert server.kwargs == [{}, {"timeout": 3, "stream": True}, {}]


def test_counts_and_cnonces() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    for _ in range(12):
        assert server.talk(auth, HOST).status_code == 200
    sent = [got for got in server.seen if got]
    assert [got["nc"] for got in sent] == [f"{count:08x}" for count in range(1, 13)]
    assert sent[9]["nc"] == "0000000a"
    assert len({got["cnonce"] for got in sent}) == 12
    assert {got["nonce"] for got in sent} == {"nonce-1"}


def test_a_session_keeps_its_cnonce() -> None:
    # RFC 7616 section 3.4.2: a server may compute a session's A1 once only.
    server, auth = Server(algorithm="SHA-256-sess"), HTTPDigestAuth("u", "p")
    for _ in range(3):
        assert server.talk(auth, HOST).status_code == 200
    assert len({got["cnonce"] for got in server.seen if got}) == 1
    server.live.clear()
    assert server.talk(auth, HOST).status_code == 200
    assert len({got["cnonce"] for got in server.seen if got}) == 2


def test_a_wrong_password_is_tried_once() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "wrong")
    for _ in range(2):
        answer = server.talk(auth, HOST)
        assert answer.status_code == 401
        assert len(answer.history) == 1
    # Nothing that was refused goes along the next time.
    assert [got is not None for got in server.seen] == [False, True, False, True]


def test_a_stale_nonce_is_not_a_failed_try() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    server.talk(auth, HOST)
    server.live.clear()
    answer = server.talk(auth, HOST)
    assert answer.status_code == 200
    assert [got and got["nonce"] for got in server.seen] == [
        None, "nonce-1", "nonce-1", "nonce-2",
    ]  # fmt: skip
    assert [got and got["nc"] for got in server.seen][-1] == "00000001"


def test_a_nonce_that_is_stale_at_once_gets_one_more_try() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    real = server.new_nonce

    def stillborn() -> str:
        nonce = real()
        if server.made == 1:
            server.live.clear()
        return nonce

    server.new_nonce = stillborn  # type: ignore[method-assign]
    answer = server.talk(auth, HOST)
    assert answer.status_code == 200
    assert [old.status_code for old in answer.history] == [401, 401]
    assert len(server.seen) == 3


@pytest.mark.parametrize("always", [{"stale": "true"}, {"stale": "true", "nonce": "same"}])
def test_a_server_that_never_has_enough_is_left(always: dict[str, str]) -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    server.always = always
    answer = server.talk(auth, HOST)
    assert answer.status_code == 401
    assert len(server.seen) == 3
    assert len(answer.history) == 2


def test_a_fresh_nonce_after_a_stale_one_that_is_refused() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    server.talk(auth, HOST)
    server.live.clear()
    auth.password = "changed"
    answer = server.talk(auth, HOST)
    assert answer.status_code == 401
    assert len(server.seen) == 4


def test_a_nonce_that_expired_without_a_word_is_replaced() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    server.talk(auth, HOST)
    server.live.clear()
    server.challenge["stale"] = ""

    real = server.send

    def mute(request: Message, **kwargs: Any) -> Answer:
        answer = real(request, **kwargs)
        value = answer.headers.get("WWW-Authenticate")
        if value:
            answer.headers["WWW-Authenticate"] = value.replace(', stale="true"', "")
        return answer

    server.send = mute  # type: ignore[method-assign]
    assert server.talk(auth, HOST).status_code == 200


def test_next_nonce_is_taken() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    server.next_nonce = "n2"
    server.talk(auth, HOST)
    server.next_nonce = None
    server.talk(auth, HOST)
    assert server.seen[-1] is not None
    assert (server.seen[-1]["nonce"], server.seen[-1]["nc"]) == ("n2", "00000001")
    # The same one named again does not start its count anew.
    server.next_nonce = "n2"
    server.talk(auth, HOST)
    server.talk(auth, HOST)
    assert [got["nc"] for got in server.seen[2:] if got] == [
        "00000001", "00000002", "00000003",
    ]  # fmt: skip


def test_a_next_nonce_that_would_break_the_header_is_not() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    server.next_nonce = "n\x002"
    server.talk(auth, HOST)
    server.talk(auth, HOST)
    assert server.seen[-1] is not None
    assert server.seen[-1]["nonce"] == "nonce-1"


@pytest.mark.parametrize(
    "other",
    ["http://h.example:8080/", "http://other.example/", "http://sub.h.example/", "https://h.example/"],
)  # fmt: skip
def test_the_proof_goes_to_its_origin_alone(other: str) -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    server.talk(auth, HOST)
    server.seen.clear()
    assert server.talk(auth, other).status_code == 200
    assert server.seen[0] is None
    # Each origin has its own.
    server.seen.clear()
    server.talk(auth, other)
    server.talk(auth, "HTTP://H.Example:80/x")
    assert None not in server.seen
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("first", "then", "answered"),
    [
        ("http://h.example/", "http://evil.example/", False),
        ("http://h.example/", "http://h.example:8080/", False),
        ("https://h.example/", "http://h.example/", False),
        ("http://h.example:8080/", "https://h.example/", False),
        ("http://h.example/", "https://h.example:8443/", False),
        ("http://h.example/", "http://h.example/there", True),
        # As a redirect's auth may go: the same host, now by https.
        ("http://h.example/", "https://h.example/", True),
    ],
)
def test_a_challenge_from_elsewhere_is_not_answered(first: str, then: str, answered: bool) -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    message = auth(Message("GET", first))
    # A redirect's message is a copy, hooks and all.
    redirected = message.copy()
    redirected.url = then
    answer = server.dispatch(server.send(redirected))
    assert answer.status_code == (200 if answered else 401)
    assert len(server.seen) == (2 if answered else 1)


def test_a_message_that_is_asked_twice_has_one_hook() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "wrong")

    def stays(response: Any, **kwargs: Any) -> None:
        return None

    message = Message("GET", HOST)
    message.register_hook("response", stays)
    message = auth(auth(message))
    assert len(message.hooks["response"]) == 2
    assert message.hooks["response"][0] is stays
    # Another auth's hook is not ours to take away.
    HTTPDigestAuth("u", "wrong")(message)
    assert len(message.hooks["response"]) == 3
    del message.hooks["response"][2]
    server.dispatch(server.send(message))
    assert len(server.seen) == 2


def test_a_file_is_rewound() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    body = io.BytesIO(b"whole")
    answer = server.talk(auth, HOST, "PUT", body)
    assert answer.status_code == 200
    assert answer.request.rewound == 1


def test_a_body_that_cannot_be_rewound_is_an_error() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    with pytest.raises(UnrewindableBodyError):
        server.talk(auth, HOST, "PUT", iter([b"gone"]))
    assert len(server.seen) == 1


def test_a_stream_cannot_be_hashed_so_the_challenge_stands() -> None:
    server, auth = Server(qop="auth-int"), HTTPDigestAuth("u", "p")
    answer = server.talk(auth, HOST, "PUT", io.BytesIO(b"whole"))
    assert answer.status_code == 401
    assert not answer.was_closed
    # What can be hashed is sent with proof, at once; the stream still goes without.
    assert server.talk(auth, HOST, "PUT", b"x").status_code == 200
    server.seen.clear()
    server.talk(auth, HOST, "PUT", io.BytesIO(b"whole"))
    assert server.seen == [None]


@pytest.mark.parametrize(
    ("status", "value"),
    [(200, 'Digest realm="r", nonce="n"'), (403, 'Digest realm="r", nonce="n"'), (401, None),
     (401, 'Basic realm="r"'), (401, 'Digest realm="r", nonce="n", algorithm=CRC32')],
)  # fmt: skip
def test_other_answers_are_let_through(status: int, value: str | None) -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    message = auth(Message("GET", HOST))
    headers = Headers({"WWW-Authenticate": value} if value else {})
    answer = Answer(server, message, status, headers)
    assert server.dispatch(answer) is answer
    assert not answer.was_read
    assert server.seen == []


def test_a_failed_request_is_let_through() -> None:
    auth = HTTPDigestAuth("u", "p")
    message = auth(Message("GET", HOST))
    failed = Answer(Server(), message, 401, Headers())
    failed.status_code = None
    failed.request = None  # type: ignore[assignment]
    assert message.hooks["response"][0](failed) is failed


def test_a_challenge_whose_body_breaks_off_is_answered() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    broken = server.send(auth(Message("GET", HOST)))
    broken.fault = ChunkedEncodingError("broken off")
    answer = server.dispatch(broken)
    assert answer.status_code == 200
    assert broken.was_closed


def test_a_limit_that_runs_out_meanwhile_comes_through() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    slow = server.send(auth(Message("GET", HOST)))
    slow.fault = ReadTimeout("too slow")
    with pytest.raises(ReadTimeout):
        server.dispatch(slow)


def test_a_message_without_our_method_for_cookies() -> None:
    class Foreign(Message):
        take_cookies_of = property()

        def copy(self) -> Message:
            other = Foreign(self.method, self.url, self.body)
            other.hooks = {name: list(hooks) for name, hooks in self.hooks.items()}
            return other

    server, auth = Server(), HTTPDigestAuth("u", "p")
    assert server.dispatch(server.send(auth(Foreign("GET", HOST)))).status_code == 200


def test_one_auth_in_many_threads_never_repeats_a_count() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    server.out_of_order = True
    server.talk(auth, HOST)
    start = threading.Barrier(8)
    statuses: list[int | None] = []

    def work() -> None:
        start.wait(10)
        for _ in range(100):
            statuses.append(server.talk(auth, HOST).status_code)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 800
    counts = sorted(int(got["nc"], 16) for got in server.seen if got)
    assert counts == list(range(1, 802))


def test_two_challenges_with_one_nonce_share_its_count() -> None:
    # A server may hand the same nonce to all who ask within a second.
    server, auth = Server(), HTTPDigestAuth("u", "p")
    server.challenge["nonce"] = "shared"
    server.live["shared"] = 0
    first, second = (auth(Message("GET", HOST)) for _ in range(2))
    answers = [server.send(first), server.send(second)]
    assert [server.dispatch(answer).status_code for answer in answers] == [200, 200]
    assert [got["nc"] for got in server.seen if got] == ["00000001", "00000002"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_module, "MOST_ORIGINS", 3)
    monkeypatch.setattr(digest_module, "MOST_NONCES", 5)
    server, auth = Server(), HTTPDigestAuth("u", "p")
    for number in range(20):
        assert server.talk(auth, f"http://h{number}.example/").status_code == 200
    assert len(auth._current) == 3
    assert len(auth._counts) == 5
    server.seen.clear()
    server.talk(auth, "http://h19.example/")
    server.talk(auth, "http://h0.example/")
    assert [got is not None for got in server.seen] == [True, False, True]


def test_a_copy_starts_without_nonces() -> None:
    server, auth = Server(), HTTPDigestAuth("u", "p")
    server.talk(auth, HOST)
    for other in (pickle.loads(pickle.dumps(auth)), copy.deepcopy(auth)):
        server.seen.clear()
        assert server.talk(other, HOST).status_code == 200
        assert server.seen[0] is None


def test_the_hook_pickles_with_its_message() -> None:
    auth = HTTPDigestAuth("u", "p")
    (hook,) = auth(Message("GET", HOST)).hooks["response"]
    other = pickle.loads(pickle.dumps(hook))
    server, message = Server(), Message("GET", HOST)
    message.register_hook("response", other)
    assert server.dispatch(server.send(message)).status_code == 200


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://h", "/"),
        ("http://h?a=b", "/?a=b"),
        ("http://h/p?", "/p?"),
        ("http://h/p?q=/x?y#f", "/p?q=/x?y"),
        ("http://h#f", "/"),
        ("http://[::1]:80/p", "/p"),
        ("http://h//p", "//p"),
        ("http://h/a?u=http://x/", "/a?u=http://x/"),
    ],
)
def test_the_target(url: str, target: str) -> None:
    assert digest_module._target(url) == target
