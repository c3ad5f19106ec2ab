"""TLS as a user sees it: what ``verify`` and ``cert`` say counts for each request by itself.

Everything runs twice: through the blocking client, and through greenlets.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
import pytest

import reqkit
import reqkit_async
from reqkit.adapters import HTTPAdapter
from reqkit.auth import HTTPDigestAuth
from reqkit.exceptions import ConnectTimeout, SSLError, TotalTimeout
from reqkit.transport.tls.stream import TlsStream
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority
from servers.wsgi import WSGIServer

Start = Callable[..., ScriptedServer]
Send = Callable[..., reqkit.Response]


def cooperating(url: str, session: reqkit.Session) -> reqkit.Response:
    [response] = reqkit_async.map([reqkit_async.get(url, session=session)])
    assert isinstance(response, reqkit.Response)
    return response


def facts(connection: Connection) -> None:
    """Answer each request with the number of its connection and whether TLS was resumed."""
    while connection.recv_request() is not None:
        assert connection.tls is not None
        resumed = connection.tls.session_reused
        connection.send(answer(200, f"{connection.number} {resumed}".encode()))


def failed(server: ScriptedServer, send: Send, **keywords: Any) -> SSLError:
    """Send a request that TLS refuses; see that the server never saw it."""
    before = len(server.requests)
    with pytest.raises(SSLError) as caught:
        send(f"https://localhost:{server.port}/", **keywords)
    assert type(caught.value) is SSLError
    assert len(server.requests) == before
    return caught.value


# -- each request by itself


def test_a_connection_made_without_verifying_never_serves_one_that_verifies(
    echo_secure: ScriptedServer, ca_bundle: str, session: reqkit.Session, send: Send
) -> None:
    url = echo_secure()
    assert send(url, session=session, verify=False).json()["connection"] == 1
    assert send(url, session=session, verify=False).json()["connection"] == 1

    with pytest.raises(SSLError):
        send(url, session=session)
    with pytest.raises(SSLError):
        send(url, session=session, verify=True)
    assert len(echo_secure.requests) == 2

    trusted = send(url, session=session, verify=ca_bundle).json()["connection"]
    assert trusted > 1
    # All of them are kept, each for its own.
    assert send(url, session=session, verify=False).json()["connection"] == 1
    assert send(url, session=session, verify=ca_bundle).json()["connection"] == trusted


def test_nor_where_the_adapter_is_asked_itself(echo_secure: ScriptedServer, ca_bundle: str) -> None:
    adapter = HTTPAdapter()
    prepared = reqkit.Request("GET", echo_secure()).prepare()
    assert adapter.send(prepared, verify=False).json()["connection"] == 1
    with pytest.raises(SSLError):
        adapter.send(prepared)
    assert adapter.send(prepared, verify=ca_bundle).json()["connection"] == 3
    assert adapter.send(prepared, verify=Path(ca_bundle)).json()["connection"] == 3
    assert adapter.send(prepared, verify=os.fsencode(ca_bundle)).json()["connection"] == 3
    adapter.close()


def test_what_a_session_says_can_change_at_any_time(
    echo_secure: ScriptedServer, ca_bundle: str, session: reqkit.Session, send: Send
) -> None:
    session.verify = False
    assert send(echo_secure(), session=session).ok
    session.verify = True
    failed(echo_secure, send, session=session)
    session.verify = ca_bundle
    assert send(echo_secure(), session=session).ok
    # The call comes before the session.
    failed(echo_secure, send, session=session, verify=True)
    session.verify = certifi.where()
    failed(echo_secure, send, session=session)
    assert send(echo_secure(), session=session, verify=ca_bundle).ok


def test_a_redirect_is_verified_as_the_call_says(
    scripted: Start, echo_secure: ScriptedServer, ca_bundle: str, send: Send
) -> None:
    server = scripted([answer(302, fields=[("Location", echo_secure("/there"))])] * 2)
    assert send(server(), verify=ca_bundle).json()["target"] == "/there"
    with pytest.raises(SSLError, match=r"127\.0\.0\.1"):
        send(server())
    assert len(echo_secure.requests) == 1


# -- the environment


@pytest.mark.parametrize("name", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_the_environment_names_the_bundle(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    session: reqkit.Session,
    send: Send,
) -> None:
    failed(echo_secure, send)
    monkeypatch.setenv(name, ca_bundle)
    assert send(echo_secure()).ok
    assert send(echo_secure(), session=session).ok
    # True is the default, and means what the default means.
    assert send(echo_secure(), verify=True).ok
    session.verify = True
    assert send(echo_secure(), session=session).ok
    monkeypatch.delenv(name)
    failed(echo_secure, send)


def test_requests_comes_before_curl(
    monkeypatch: pytest.MonkeyPatch, echo_secure: ScriptedServer, ca_bundle: str, send: Send
) -> None:
    monkeypatch.setenv("CURL_CA_BUNDLE", ca_bundle)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    failed(echo_secure, send)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_bundle)
    monkeypatch.setenv("CURL_CA_BUNDLE", certifi.where())
    assert send(echo_secure()).ok


@pytest.mark.parametrize("where", ["call", "session"])
def test_what_is_given_comes_before_the_environment(
    where: str,
    monkeypatch: pytest.MonkeyPatch,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    session: reqkit.Session,
    send: Send,
) -> None:
    def received(verify: Any) -> dict[str, Any]:
        if where == "call":
            return {"verify": verify}
        session.verify = verify
        return {"session": session}

    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    assert send(echo_secure(), **received(False)).ok
    assert send(echo_secure(), **received(ca_bundle)).ok
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_bundle)
    failed(echo_secure, send, **received(certifi.where()))
    # Not even looked at.
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/no/such/bundle.pem")
    assert send(echo_secure(), **received(ca_bundle)).ok
    assert send(echo_secure(), **received(False)).ok


def test_without_trust_the_environment_says_nothing(
    monkeypatch: pytest.MonkeyPatch, echo_secure: ScriptedServer, ca_bundle: str, send: Send
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_bundle)
    error = failed(echo_secure, send, config={"trust_env": False})

    assert "could not be verified" in str(error)


def test_a_bundle_of_the_environment_that_is_not_there_is_named(
    monkeypatch: pytest.MonkeyPatch, echo_secure: ScriptedServer, send: Send
) -> None:
    monkeypatch.setenv("CURL_CA_BUNDLE", "/no/such/bundle.pem")
    error = failed(echo_secure, send)
    assert "'/no/such/bundle.pem'" in str(error)
    assert echo_secure.connections_opened == 0


def test_the_environment_does_not_lead_to_a_connection_that_another_bundle_made(
    monkeypatch: pytest.MonkeyPatch,
    echo_secure: ScriptedServer,
    ca_bundle: str,
    session: reqkit.Session,
    send: Send,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_bundle)
    assert send(echo_secure(), session=session).json()["connection"] == 1
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certifi.where())
    failed(echo_secure, send, session=session)


# -- forms


def test_a_folder_of_authorities(
    authority: Authority, tmp_path: Path, echo_secure: ScriptedServer, send: Send
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("the openssl program, which names the files of such a folder, is not there")
    hashed = subprocess.run(
        [openssl, "x509", "-subject_hash", "-noout", "-in", str(authority.bundle)],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    failed(echo_secure, send, verify=tmp_path)
    shutil.copy(authority.bundle, tmp_path / f"{hashed}.0")
    os.utime(tmp_path, ns=(1, 1))  # a folder that changed is another one
    assert send(echo_secure(), verify=str(tmp_path)).ok
    assert send(echo_secure(), verify=tmp_path).ok


def test_a_path_of_any_kind(echo_secure: ScriptedServer, ca_bundle: str, send: Send) -> None:
    for form in (ca_bundle, Path(ca_bundle), os.fsencode(ca_bundle)):
        assert send(echo_secure(), verify=form).json()["connection"] == 1, form


@pytest.mark.parametrize(
    ("verify", "message"),
    [
        ("/no/such/file.pem", "'/no/such/file.pem', which does not exist"),
        ("", "verify is ''"),
        (0, "verify is 0"),
        (1, "verify is 1"),
        (["a"], r"verify is a list"),
        (3.5, "verify is 3.5"),
    ],
)
def test_what_verify_cannot_be(
    verify: Any, message: str, echo_secure: ScriptedServer, session: reqkit.Session, send: Send
) -> None:
    with pytest.raises(SSLError, match=message):
        send(echo_secure(), verify=verify)
    with pytest.raises(SSLError, match=message):
        session.verify = verify
    # Plain http does not need it, but a mistake is told all the same.
    with pytest.raises(SSLError, match=message):
        send("http://127.0.0.1:9/", verify=verify)
    assert echo_secure.connections_opened == 0


def test_a_bundle_that_holds_none(tmp_path: Path, echo_secure: ScriptedServer, send: Send) -> None:
    (tmp_path / "bundle.pem").write_text("no certificates")
    error = failed(echo_secure, send, verify=tmp_path / "bundle.pem")
    assert "bundle.pem" in str(error)
    assert error.request is not None


# -- what is refused: see test_tls_matrix too


def test_a_handshake_that_never_ends(scripted: Start, send: Send) -> None:
    def mute(connection: Connection) -> None:
        connection.wait_closed()

    server = scripted(mute)
    url = f"https://127.0.0.1:{server.port}/"
    with pytest.raises(ConnectTimeout, match="TLS"):
        send(url, timeout=(0.1, 20))
    with pytest.raises(TotalTimeout) as caught:
        send(url, timeout=reqkit.Timeouts(total=0.1))
    assert caught.value.phase == "tls"
    server.wait_for_no_connections()


def test_refused_in_safe_mode(echo_secure: ScriptedServer, send: Send) -> None:
    response = send(echo_secure(), config={"safe_mode": True})
    assert isinstance(response.error, SSLError)
    assert not response.ok


# -- a client's certificate


@pytest.mark.parametrize("form", ["one file", "pair", "list", "paths", "session", "none", "both"])
def test_a_clients_certificate(
    form: str,
    scripted: Start,
    authority: Authority,
    ca_bundle: str,
    session: reqkit.Session,
    send: Send,
) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            assert connection.tls is not None
            received: Any = connection.tls.getpeercert()
            names = [name for _, name in received.get("subjectAltName", ())]
            connection.send(answer(200, ",".join(names).encode()))

    server = scripted(handler, tls=authority.wants_client_certificate())
    cert, key = authority.client("ann@example.org")
    session.verify = ca_bundle
    if form == "none":
        with pytest.raises(SSLError, match="client's certificate"):
            send(server(), session=session)
        return
    if form == "both":
        # A connection made as one client never serves another.
        other = authority.client("bob@example.org")
        for _ in range(2):
            assert send(server(), session=session, cert=(cert, key)).text == "ann@example.org"
            assert send(server(), session=session, cert=other).text == "bob@example.org"
        assert server.connections_opened == 2
        return
    given: Any = (cert, key)
    if form == "one file":
        given = authority.client_in_one("ann@example.org")
    elif form == "list":
        given = [cert, key]
    elif form == "paths":
        given = (Path(cert), Path(key))
    if form == "session":
        session.cert = given
        assert send(server(), session=session).text == "ann@example.org"
    else:
        assert send(server(), session=session, cert=given).text == "ann@example.org"


@pytest.mark.parametrize(
    ("cert", "message"),
    [
        ("/no/such.pem", "'/no/such.pem' is not there"),
        (("/no/such.pem", "/no/such.key"), "'/no/such.pem' is not there"),
        ({"cert": "x"}, "cert is a dict"),
        (5, "cert is a int"),
        (("a", "b", "c", "d"), "cert is a tuple"),
    ],
)
def test_what_a_certificate_cannot_be(
    cert: Any, message: str, echo_secure: ScriptedServer, session: reqkit.Session, send: Send
) -> None:
    with pytest.raises(SSLError, match=message):
        send(echo_secure(), cert=cert, verify=False)
    with pytest.raises(SSLError, match=message):
        session.cert = cert
    assert echo_secure.connections_opened == 0


# -- contexts and sessions


def test_one_context_serves_all_connections_with_the_same_settings(
    monkeypatch: pytest.MonkeyPatch,
    scripted: Start,
    authority: Authority,
    tmp_path: Path,
    send: Send,
) -> None:
    bundle = tmp_path / "ca.pem"  # one that nobody has used
    shutil.copy(authority.bundle, bundle)
    loaded: list[Any] = []
    load = ssl.SSLContext.load_verify_locations

    def counted(self: Any, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
        loaded.append(cafile)
        load(self, cafile, capath, cadata)

    servers = [scripted(facts, tls=authority.server()) for _ in range(3)]
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    for server in servers:
        for _ in range(2):
            headers = {"Connection": "close"}
            with reqkit.Session() as own:
                assert send(server(), verify=bundle, headers=headers, session=own).ok
    assert [server.connections_opened for server in servers] == [2, 2, 2]
    assert loaded == [str(bundle)]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed(
    version: ssl.TLSVersion,
    scripted: Start,
    authority: Authority,
    ca_bundle: str,
    send: Send,
) -> None:
    context = authority.server()
    context.maximum_version = version
    server = scripted(facts, tls=context)
    seen = [send(server(), verify=ca_bundle, config={"keep_alive": False}).text for _ in range(3)]
    assert seen == ["1 False", "2 True", "3 True"]
    # Never from not verifying to verifying.
    assert send(server(), verify=False).text == "4 False"


def test_fifty_greenlets_resume_one_session(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(facts, tls=authority.server())
    with reqkit.Session(verify=ca_bundle, config={"keep_alive": False}) as session:
        requests = [reqkit_async.get(server(), session=session) for _ in range(51)]
        assert reqkit_async.map(requests[:1])[0].text == "1 False"
        texts = [response.text for response in reqkit_async.map(requests[1:], size=50)]
    assert {text.split()[1] for text in texts} == {"True"}
    assert len(set(texts)) == 50


# -- adapters of the user's own


class Pinned(HTTPAdapter):
    """As in the documentation of many: a context, or whatever connections are to be made with."""

    def __init__(self, **tls: Any) -> None:
        self.tls = tls
        super().__init__()

    def init_poolmanager(
        self, connections: int, maxsize: int, block: bool = False, **keywords: Any
    ) -> None:
        super().init_poolmanager(connections, maxsize, block=block, **self.tls, **keywords)


class OldPinned(HTTPAdapter):
    """The same in the way that makes urllib3's own manager."""

    def __init__(self, **tls: Any) -> None:
        self.tls = tls
        super().__init__()

    def init_poolmanager(self, *args: Any, **keywords: Any) -> None:
        import urllib3

        self.poolmanager = urllib3.PoolManager(num_pools=10, maxsize=10, **self.tls)


def fingerprint(server: ScriptedServer, kind: str) -> str:
    pem = ssl.get_server_certificate((server.host, server.port))
    return hashlib.new(kind, ssl.PEM_cert_to_DER_cert(pem)).hexdigest()


@pytest.mark.parametrize("adapter", [Pinned, OldPinned])
def test_a_context_of_the_users(
    adapter: Any,
    scripted: Start,
    authority: Authority,
    session: reqkit.Session,
    send: Send,
) -> None:
    server = scripted(facts, tls=authority.server())
    context = authority.trusting()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    session.mount("https://", adapter(ssl_context=context))
    assert send(server(), session=session).ok
    old = authority.server()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(SSLError):
        send(scripted(facts, tls=old)(), session=session)
    # The context trusts nobody else; and it is as it was.
    with pytest.raises(SSLError):
        send(scripted(facts, tls=authority.wrong_name())(), session=session)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("adapter", [Pinned, OldPinned])
@pytest.mark.parametrize("kind", ["sha1", "sha256"])
def test_a_certificate_is_pinned(
    kind: str,
    adapter: Any,
    scripted: Start,
    other_authority: Authority,
    send: Send,
) -> None:
    server = scripted(facts, tls=other_authority.wrong_name())
    digits = fingerprint(server, kind)
    spelled = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).upper()
    other = scripted(facts, tls=other_authority.server())
    for given in (digits, spelled):
        with reqkit.Session(verify=str(other_authority.bundle)) as session:
            session.mount("https://", adapter(assert_fingerprint=given))
            # A fingerprint says who it is: the name is not looked at, the authority is.
            assert send(server(), session=session).ok
            with pytest.raises(SSLError, match="fingerprint"):
                send(other(), session=session)
            with pytest.raises(SSLError, match="fingerprint"):
                send(other(), session=session, verify=False)
            assert not other.requests


def test_another_name_is_looked_for(
    scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    server = scripted(facts, tls=authority.wrong_name())
    failed(server, send, verify=ca_bundle)

    def sent(**tls: Any) -> reqkit.Response:
        with reqkit.Session(verify=ca_bundle) as session:
            session.mount("https://", Pinned(**tls))
            return send(f"https://localhost:{server.port}/", session=session)

    assert sent(assert_hostname="elsewhere.example").ok
    assert sent(assert_hostname=False).ok
    assert server.connections[-1].server_name == "localhost"
    assert sent(server_hostname="elsewhere.example").ok
    assert server.connections[-1].server_name == "elsewhere.example"
    with pytest.raises(SSLError, match=r"'other\.example'"):
        sent(assert_hostname="other.example")


def test_the_name_is_told_and_an_address_is_not(
    scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    server = scripted(facts, tls=authority.server())
    assert send(f"https://localhost:{server.port}/", verify=ca_bundle).ok
    assert send(f"https://127.0.0.1:{server.port}/", verify=ca_bundle).ok
    assert [one.server_name for one in server.connections] == ["localhost", None]


def test_a_server_that_speaks_none_of_the_protocols_says_so(scripted: Start, send: Send) -> None:
    """RFC 7301 section 3.2: by an alert, which Python's ssl has no name for."""

    def refuse(connection: Connection) -> None:
        connection.sock.recv(65536)
        connection.send(b"\x15\x03\x03\x00\x02\x02\x78")
        connection.wait_closed()

    server = scripted(refuse)
    for http2 in (True, False):
        url = server().replace("http://", "https://")
        with pytest.raises(SSLError, match="none of the protocols that it was offered"):
            send(url, config={"http2": http2})


def test_an_alert_tells_more_than_the_reset_that_follows_it(
    monkeypatch: pytest.MonkeyPatch,
    scripted: Start,
    authority: Authority,
    ca_bundle: str,
    send: Send,
) -> None:
    server = scripted(facts, tls=authority.wants_client_certificate())

    def too_late(self: TlsStream, data: bytes, timeout: float | None) -> None:
        server.wait_until(lambda server: bool(server.handshake_errors))
        raise ConnectionResetError

    # In TLS 1.3 the client's handshake is over before the server has looked at its certificate.
    monkeypatch.setattr(TlsStream, "send_all", too_late)
    with pytest.raises(SSLError, match="it asks for a client's certificate"):
        send(server(), verify=ca_bundle)


# -- with the rest of the client


def test_an_auth_that_answers_goes_on_with_the_environments_bundle(
    monkeypatch: pytest.MonkeyPatch, httpbin_secure: WSGIServer, ca_bundle: str, send: Send
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ca_bundle)
    auth = HTTPDigestAuth("ann", "hush")
    assert send(httpbin_secure("/digest-auth/auth/ann/hush"), auth=auth).ok


def test_httpbin(httpbin_secure: WSGIServer, ca_bundle: str, session: reqkit.Session) -> None:
    session.verify = ca_bundle
    responses = reqkit_async.map(
        [
            reqkit_async.get(httpbin_secure("/gzip"), session=session),
            reqkit_async.post(httpbin_secure("/post"), data={"a": "b"}, session=session),
            reqkit_async.get(httpbin_secure("/redirect/3"), session=session),
            reqkit_async.get(httpbin_secure("/bytes/300000"), session=session),
            reqkit_async.get(httpbin_secure("/cookies/set/a/b"), session=session),
        ]
    )
    assert [response.status_code for response in responses] == [200] * 5
    assert responses[0].json()["gzipped"] is True
    assert responses[1].json()["form"] == {"a": "b"}
    assert len(responses[3].content) == 102400  # httpbin's limit
    assert session.cookies["a"] == "b"
    assert session.get(httpbin_secure("/cookies")).json() == {"cookies": {"a": "b"}}


def test_threads_and_greenlets_share_what_was_trusted_and_no_connection(
    scripted: Start, authority: Authority, ca_bundle: str
) -> None:
    server = scripted(facts, tls=authority.server())
    seen: list[str] = []
    with reqkit.Session(verify=ca_bundle) as session:
        seen.append(session.get(server()).text)
        seen.append(cooperating(server(), session).text)
        thread = threading.Thread(target=lambda: seen.append(cooperating(server(), session).text))
        thread.start()
        thread.join()
        seen.append(session.get(server()).text)
    # A connection for each network and hub; the first one's session is resumed by the others.
    assert seen == ["1 False", "2 True", "3 True", "1 False"]
