"""Plugins written for requests, unchanged, with reqkit's sessions.

They import requests themselves, and so it is installed with them; what they are given is reqkit's.
Where one is not installed its tests are skipped, but under CI (the environment's ``CI``) they fail.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import importlib
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote_plus, urlsplit

import pytest

import reqkit
from servers.messages import Received, answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Scripted = Callable[..., ScriptedServer]


def plugin(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        if os.environ.get("CI"):
            pytest.fail(f"{missing}, and CI must have it", pytrace=False)
        pytest.skip(str(missing))


@pytest.fixture
def session() -> Iterator[reqkit.Session]:
    with reqkit.Session() as made:
        yield made


# -- requests-oauthlib ---------------------------------------------------------------------------

CLIENT_SECRET, TOKEN_SECRET = "client-secret-of-30-characters", "token-secret"


def oauth_endpoint() -> Any:
    """The server's side of OAuth 1: knows one client and one token, and each nonce once."""
    oauth1 = plugin("oauthlib.oauth1")

    class Validator(oauth1.RequestValidator):  # type: ignore[misc, name-defined]
        enforce_ssl = False
        dummy_client = dummy_access_token = "dummy"
        client_key_length = access_token_length = nonce_length = (3, 60)

        def __init__(self) -> None:
            super().__init__()
            self.nonces: set[str] = set()

        def validate_client_key(self, client_key: str, request: Any) -> bool:
            return client_key == "client"

        def validate_access_token(self, client_key: str, token: str, request: Any) -> bool:
            return token == "token"

        def validate_timestamp_and_nonce(
            self, client_key: str, timestamp: Any, nonce: str, *rest: Any, **more: Any
        ) -> bool:
            fresh = nonce not in self.nonces
            self.nonces.add(nonce)
            return fresh

        def validate_realms(self, *args: Any, **kwargs: Any) -> bool:
            return True

        def get_client_secret(self, client_key: str, request: Any) -> str:
            return CLIENT_SECRET

        def get_access_token_secret(self, client_key: str, token: str, request: Any) -> str:
            return TOKEN_SECRET

    return oauth1.ResourceEndpoint(Validator())


@pytest.fixture
def oauth_server(scripted: Scripted) -> ScriptedServer:
    """Answers 200 to what is signed by the right client and token, 401 to the rest."""
    endpoint = oauth_endpoint()

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            fields = dict(request.fields)
            form = "form" in fields.get("Content-Type", "")
            valid, _ = endpoint.validate_protected_resource_request(
                f"http://{fields['Host']}{request.target}",
                request.method,
                request.body.decode() if form else None,
                fields,
            )
            connection.send(answer(200 if valid else 401, request.body))

    return scripted(handler)


@pytest.mark.parametrize(
    ("method", "path", "keywords"),
    [
        ("GET", "/plain", {}),
        ("GET", "/query?a=b%20c", {"params": {"d": "é&", "a": "again"}}),
        ("POST", "/form", {"data": {"a": "b c", "é": "+"}}),
        ("POST", "/json", {"json": {"a": 1}}),
        ("PUT", "/bytes", {"data": b"\x00\xff", "headers": {"Content-Type": "image/png"}}),
        ("POST", "/file", {"files": {"f": ("n", b"content")}}),
    ],
)
def test_oauth1(
    method: str,
    path: str,
    keywords: dict[str, Any],
    oauth_server: ScriptedServer,
    session: reqkit.Session,
) -> None:
    oauth = plugin("requests_oauthlib")
    auth = oauth.OAuth1("client", CLIENT_SECRET, "token", TOKEN_SECRET)
    response = session.request(method, oauth_server(path), auth=auth, **keywords)
    assert response.status_code == 200
    sent = oauth_server.requests[0]
    assert (sent.get("Authorization") or "").startswith("OAuth ")
    assert int(sent.get("Content-Length") or 0) == len(sent.body)
    wrong = oauth.OAuth1("client", "no" + CLIENT_SECRET, "token", TOKEN_SECRET)
    assert session.request(method, oauth_server(path), auth=wrong, **keywords).status_code == 401


@pytest.mark.parametrize("kind", ["query", "body"])
def test_oauth1_signatures_in_the_query_or_the_body(
    kind: str, oauth_server: ScriptedServer, session: reqkit.Session
) -> None:
    oauth = plugin("requests_oauthlib")
    auth = oauth.OAuth1("client", CLIENT_SECRET, "token", TOKEN_SECRET, signature_type=kind)
    session.auth = auth
    response = session.post(oauth_server("/x"), data={"a": "b"})
    assert response.status_code == 200
    (sent,) = oauth_server.requests
    assert "oauth_signature=" in (sent.target if kind == "query" else sent.body.decode())
    assert sent.get("Authorization") is None


def test_oauth1_signs_each_hop_of_a_redirect(
    oauth_server: ScriptedServer, scripted: Scripted, session: reqkit.Session
) -> None:
    oauth = plugin("requests_oauthlib")
    endpoint = oauth_endpoint()
    results: list[bool] = []

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            fields = dict(request.fields)
            uri = f"http://{fields['Host']}{request.target}"
            valid, _ = endpoint.validate_protected_resource_request(
                uri, request.method, None, fields
            )
            results.append(valid)
            to = [("Location", "/b?c=d")]
            connection.send(answer(302, b"", to) if request.target == "/a" else answer(200))

    auth = oauth.OAuth1("client", CLIENT_SECRET, "token", TOKEN_SECRET)
    assert session.get(scripted(handler)("/a"), auth=auth).status_code == 200
    assert results == [True, True]


# -- requests-toolbelt ---------------------------------------------------------------------------


def test_a_multipart_encoder_is_streamed(echo: ScriptedServer, tmp_path: Path) -> None:
    toolbelt = plugin("requests_toolbelt")
    path = tmp_path / "big"
    path.write_bytes(b"0123456789" * 100_000)
    with open(path, "rb") as file:
        encoder = toolbelt.MultipartEncoder({"a": "b", "f": ("big", file, "text/plain")})
        received: list[int] = []
        monitor = toolbelt.MultipartEncoderMonitor(encoder, lambda m: received.append(m.bytes_read))
        headers = {"Content-Type": monitor.content_type}
        response = reqkit.post(echo(), data=monitor, headers=headers)
        assert response.status_code == 200
    (sent,) = echo.requests
    assert sent.get("Content-Length") == str(len(sent.body)) == str(encoder.len)
    assert sent.get("Transfer-Encoding") is None
    assert sent.get("Content-Type") == monitor.content_type
    assert b"0123456789" * 100_000 in sent.body
    assert len(received) > 10
    assert received == sorted(received)
    assert received[-1] == len(sent.body)


def test_toolbelts_auths(scripted: Scripted, session: reqkit.Session) -> None:
    plugin("requests_toolbelt")
    guess = plugin("requests_toolbelt.auth.guess")
    server = scripted([answer(401, b"", [("WWW-Authenticate", 'Basic realm="x"')]), answer(200)])
    assert session.get(server(), auth=guess.GuessAuth("u", "p")).status_code == 200
    assert server.requests[1].get("Authorization") == "Basic dTpw"


def test_toolbelts_adapters(scripted: Scripted, session: reqkit.Session) -> None:
    """They subclass requests' adapter: mounted here, they send through urllib3."""
    plugin("requests_toolbelt")
    source = plugin("requests_toolbelt.adapters.source")

    def handler(connection: Connection) -> None:
        assert connection.recv_request() is not None
        cookies = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("Connection", "close")]
        connection.send(answer(200, connection.sock.getpeername()[0].encode(), cookies))

    session.mount("http://", source.SourceAddressAdapter("127.0.0.7"))
    response = session.get(scripted(handler)())
    assert type(response) is reqkit.Response
    assert response.content == b"127.0.0.7"
    assert session.cookies.get_dict() == {"a": "1", "b": "2"}


def test_toolbelts_dump(echo: ScriptedServer, session: reqkit.Session) -> None:
    dump = plugin("requests_toolbelt.utils.dump")
    response = session.post(echo("/x"), data="body", headers={"X-A": "b"})
    text = bytes(dump.dump_all(response))
    assert b"< POST /x HTTP/1.1" in text
    assert b"< X-A: b" in text
    assert b"> HTTP/1.1 200 OK" in text


# -- requests_aws4auth ---------------------------------------------------------------------------


def signed_as_it_should(request: Received, secret: str, region: str, service: str) -> bool:
    """Check a signature of version 4, as Amazon's documents say it is made."""
    given = request.get("Authorization") or ""
    scheme, _, rest = given.partition(" ")
    parts = dict(part.strip().split("=", 1) for part in rest.split(","))
    _, day, *_ = parts["Credential"].split("/")
    split = urlsplit(request.target)
    pairs = sorted(
        tuple(quote(unquote_plus(one), safe="-_.~") for one in (pair + "=").split("=")[:2])
        for pair in split.query.split("&")
        if pair
    )
    names = parts["SignedHeaders"].split(";")
    canonical = "\n".join(
        [
            request.method,
            split.path,
            "&".join("=".join(pair) for pair in pairs),
            *(f"{name}:{request.get(name)}" for name in names),
            "",
            parts["SignedHeaders"],
            hashlib.sha256(request.body).hexdigest(),
        ]
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    moment = request.get("x-amz-date")
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    return scheme == "AWS4-HMAC-SHA256" and parts["Signature"] == signature


@pytest.mark.parametrize(
    ("method", "keywords"),
    [
        ("GET", {}),
        ("GET", {"params": {"a": "b c", "A": "~"}}),
        ("POST", {"data": {"a": "é"}}),
        ("PUT", {"data": b"\x00\xff"}),
        ("POST", {"json": {"a": [1]}}),
        ("POST", {"files": {"f": ("n", io.BytesIO(b"content"))}}),
    ],
)
def test_aws4(
    method: str, keywords: dict[str, Any], echo: ScriptedServer, session: reqkit.Session
) -> None:
    aws = plugin("requests_aws4auth")
    session.auth = aws.AWS4Auth("id", "secret", "eu-west-1", "es")
    response = session.request(method, echo("/index/_search"), **keywords)
    assert response.status_code == 200
    (sent,) = echo.requests
    assert signed_as_it_should(sent, "secret", "eu-west-1", "es")
    assert not signed_as_it_should(sent, "other", "eu-west-1", "es")


# -- requests-ntlm -------------------------------------------------------------------------------


@pytest.fixture
def ntlm_server(
    scripted: Scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ScriptedServer]:
    """A server whose connections are logged in by NTLM's three legs, each for itself."""
    spnego = plugin("spnego")
    users = tmp_path / "users"
    users.write_text("DOMAIN:user:password\n")
    monkeypatch.setenv("NTLM_USER_FILE", str(users))

    def handler(connection: Connection) -> None:
        context: Any = None
        while (request := connection.recv_request()) is not None:
            given = request.get("Authorization") or ""
            if context is not None and context.complete:
                connection.send(answer(200, b"for " + request.body))
                continue
            challenge = "NTLM"
            if given.startswith("NTLM "):
                context = context or spnego.server(protocol="ntlm", options=options)
                try:
                    token = context.step(base64.b64decode(given[5:]))
                except spnego.exceptions.SpnegoError:
                    context, token = None, None
                if context is not None and context.complete:
                    connection.send(answer(200, b"for " + request.body))
                    continue
                if token:
                    challenge += " " + base64.b64encode(token).decode()
            connection.send(answer(401, b"who?", [("WWW-Authenticate", challenge)]))

    options = spnego.NegotiateOptions.use_ntlm
    return lambda **more: scripted(handler, **more)


@pytest.mark.parametrize("stream", [True, False])
def test_ntlm_over_one_connection(
    stream: bool, ntlm_server: Callable[..., ScriptedServer], session: reqkit.Session
) -> None:
    ntlm = plugin("requests_ntlm")
    server = ntlm_server()
    session.auth = ntlm.HttpNtlmAuth("DOMAIN\\user", "password", send_cbt=False)
    seen: list[Any] = []
    session.hooks["response"] = seen.append
    response = session.post(server(), data=b"me", stream=stream)
    assert response.status_code == 200
    assert response.content == b"for me"
    assert [one.status_code for one in response.history] == [401, 401]
    assert seen == [response]
    assert session.get(server(), data=b"again").content == b"for again"
    assert server.connections_opened == 1


def test_ntlm_with_a_wrong_password(
    ntlm_server: Callable[..., ScriptedServer], session: reqkit.Session
) -> None:
    ntlm = plugin("requests_ntlm")
    auth = ntlm.HttpNtlmAuth("DOMAIN\\user", "wrong", send_cbt=False)
    response = session.get(ntlm_server()(), auth=auth)
    assert response.status_code == 401


def test_ntlm_over_tls_says_that_it_cannot_bind_to_it(
    ntlm_server: Callable[..., ScriptedServer], authority: Authority, session: reqkit.Session
) -> None:
    ntlm = plugin("requests_ntlm")
    server = ntlm_server(tls=authority.server())
    session.verify = str(authority.bundle)
    auth = ntlm.HttpNtlmAuth("DOMAIN\\user", "password")
    with pytest.warns(ntlm.requests_ntlm.NoCertificateRetrievedWarning):
        response = session.get(server(), auth=auth)
    assert response.content == b"for "


# -- adapters ------------------------------------------------------------------------------------


def test_requests_own_adapter(echo_secure: ScriptedServer, authority: Authority) -> None:
    requests = plugin("requests")
    with reqkit.Session(verify=str(authority.bundle)) as session:
        session.mount("https://", requests.adapters.HTTPAdapter())
        response = session.post(echo_secure("/x?y"), json={"a": "b"}, cookies={"c": "d"})
        assert type(response) is reqkit.Response
        assert (response.json()["target"], response.json()["body"]) == ("/x?y", '{"a": "b"}')


def test_requests_file(tmp_path: Path, session: reqkit.Session) -> None:
    files = plugin("requests_file")
    path = tmp_path / "a b.txt"
    path.write_bytes(b"text")
    session.mount("file://", files.FileAdapter())
    with session.get(path.as_uri()) as response:
        assert response.content == b"text"
    missing = session.get((tmp_path / "none").as_uri())
    assert missing.status_code == 404
    with pytest.raises(reqkit.HTTPError):
        missing.raise_for_status()


def test_requests_mock_mounted(session: reqkit.Session) -> None:
    mock = plugin("requests_mock")
    adapter = mock.Adapter()
    adapter.register_uri("GET", "mock://h/a", json={"a": 1}, headers={"X-A": "b"})
    adapter.register_uri("POST", "mock://h/b", status_code=503, text="é")
    session.mount("mock://", adapter)
    response = session.get("mock://h/a")
    assert (response.json(), response.headers["x-a"]) == ({"a": 1}, "b")
    assert session.post("mock://h/b", data="x").text == "é"
    assert [one.method for one in adapter.request_history] == ["GET", "POST"]
    assert adapter.last_request.text == "x"
