"""A context of the caller's is never changed: what a call says counts for that call alone."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
from reqkit.adapters import HTTPAdapter
from reqkit.exceptions import SSLError
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Start = Callable[..., ScriptedServer]
Send = Callable[..., reqkit.Response]


class Own(HTTPAdapter):
    """Connects with a context of the user's."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **keywords: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self.context, **keywords)


def who(connection: Connection) -> None:
    """Answer with what TLS says of the connection and of the client, and close."""
    if connection.recv_request() is None:
        return
    tls = connection.tls
    assert tls is not None
    found = tls.getpeercert()
    seen_by = {
        "client": found["subjectAltName"][0][1] if found else None,
        "resumed": tls.session_reused,
        "alpn": tls.selected_alpn_protocol(),
        "version": tls.version(),
        "cipher": tls.cipher()[0],  # type: ignore[index]
    }
    connection.send(answer(200, json.dumps(seen_by).encode(), [("Connection", "close")]))


def asks_for_certificate(authority: Authority) -> ssl.SSLContext:
    context = authority.server()
    context.verify_mode = ssl.CERT_OPTIONAL
    authority.ca.configure_trust(context)
    return context


def state(context: ssl.SSLContext) -> Any:
    return (
        context.cert_store_stats(), context.get_ca_certs(), context.verify_mode,
        context.check_hostname, context.options, context.verify_flags, context.minimum_version,
        context.maximum_version, [cipher["name"] for cipher in context.get_ciphers()],
    )  # fmt: skip


def own(context: ssl.SSLContext, **keywords: Any) -> reqkit.Session:
    session = reqkit.Session(**keywords)
    session.mount("https://", Own(context))
    return session


def seen_by(send: Send, server: ScriptedServer, session: reqkit.Session, **keywords: Any) -> Any:
    return send(server(), session=session, **keywords).json()


def test_cas_of_a_call_do_not_stay(
    scripted: Start, authority: Authority, other_authority: Authority, send: Send
) -> None:
    server = scripted(who, tls=other_authority.server())
    context = authority.trusting()
    before = state(context)
    with own(context) as session:
        for _ in range(2):
            with pytest.raises(SSLError):
                seen_by(send, server, session)
            assert seen_by(send, server, session, verify=str(other_authority.bundle))
            assert seen_by(send, server, session, verify=False)
        # What a call names is all that is trusted for it.
        with pytest.raises(SSLError):
            seen_by(send, scripted(who, tls=authority.server()), session,
                 verify=str(other_authority.bundle))  # fmt: skip
    assert state(context) == before


def test_a_certificate_of_a_call_does_not_stay(
    scripted: Start, authority: Authority, send: Send
) -> None:
    server = scripted(who, tls=asks_for_certificate(authority))
    context = authority.trusting()
    before = state(context)
    one, two = authority.client("one@example.org"), authority.client("two@example.org")
    with own(context) as session:
        for cert, name in ((one, "one"), (None, None), (two, "two"), (one, "one"), (None, None)):
            client = seen_by(send, server, session, cert=cert)["client"]
            assert client == (name and f"{name}@example.org")
    assert state(context) == before


def test_its_own_certificate_goes_along_unless_another_is_given(
    scripted: Start, authority: Authority, send: Send
) -> None:
    server = scripted(who, tls=asks_for_certificate(authority))
    context = authority.trusting()
    context.load_cert_chain(*authority.client("own@example.org"))
    other = authority.client("other@example.org")
    with own(context) as session:
        assert seen_by(send, server, session)["client"] == "own@example.org"
        assert seen_by(send, server, session, cert=other)["client"] == "other@example.org"
        assert seen_by(send, server, session)["client"] == "own@example.org"
        assert seen_by(send, server, session, verify=False)["client"] == "own@example.org"


def test_a_context_without_cas_stays_so(scripted: Start, authority: Authority, send: Send) -> None:
    server = scripted(who, tls=authority.server())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    before = state(context)
    with own(context) as session:
        for _ in range(2):
            with pytest.raises(SSLError):
                seen_by(send, server, session)
            assert seen_by(send, server, session, verify=str(authority.bundle))
    assert state(context) == before
    assert context.cert_store_stats()["x509"] == 0


def test_two_sessions_with_one_context(
    scripted: Start, authority: Authority, other_authority: Authority, send: Send
) -> None:
    server = scripted(who, tls=other_authority.server())
    context = authority.trusting()
    with own(context, verify=str(other_authority.bundle)) as one, own(context) as other:
        assert seen_by(send, server, one)
        with pytest.raises(SSLError):
            seen_by(send, server, other)


def test_what_the_context_says_counts(scripted: Start, authority: Authority, send: Send) -> None:
    server = scripted(who, tls=authority.server())
    context = authority.trusting()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384")
    cert = authority.client()
    with own(context) as session:
        for keywords in ({}, {"verify": False}, {"cert": cert}, {"verify": str(authority.bundle)}):
            found = seen_by(send, server, session, **keywords)
            assert found["version"] == "TLSv1.2"
            assert found["cipher"].endswith("AES256-GCM-SHA384")
            assert found["alpn"] == "http/1.1"


def test_sessions_are_resumed_with_it(scripted: Start, authority: Authority, send: Send) -> None:
    server = scripted(who, tls=authority.server())
    with own(authority.trusting()) as session:
        resumed = [seen_by(send, server, session)["resumed"] for _ in range(3)]
    assert resumed == [False, True, True]


def test_a_name_is_checked_with_it(scripted: Start, authority: Authority, send: Send) -> None:
    server = scripted(who, tls=authority.wrong_name())
    with own(authority.trusting()) as session:
        with pytest.raises(SSLError, match="certificate"):
            seen_by(send, server, session)
        assert seen_by(send, server, session, verify=False)


def test_cas_that_its_maker_adds_later_count(
    scripted: Start, authority: Authority, other_authority: Authority, send: Send
) -> None:
    server = scripted(who, tls=other_authority.server())
    context = authority.trusting()
    cert = authority.client()
    with own(context) as session:
        with pytest.raises(SSLError):
            seen_by(send, server, session, cert=cert)
        context.load_verify_locations(other_authority.bundle)
        assert seen_by(send, server, session)
        assert seen_by(send, server, session, cert=cert)


class Particular(ssl.SSLContext):
    """A context that connects in a way of its own, as those that ask the system's store do."""

    def wrap_bio(self, *arguments: Any, **keywords: Any) -> ssl.SSLObject:
        made.append(self)
        return super().wrap_bio(*arguments, **keywords)


made: list[Any] = []


def test_a_context_with_a_way_of_its_own(scripted: Start, authority: Authority, send: Send) -> None:
    server = scripted(who, tls=authority.server())
    context = Particular(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.bundle)
    before = state(context)
    made.clear()
    with own(context) as session:
        assert seen_by(send, server, session)
        assert seen_by(send, server, session, verify=False)
        for keywords in ({"verify": str(authority.bundle)}, {"cert": authority.client()}):
            with pytest.raises(SSLError, match="Particular"):
                seen_by(send, server, session, **keywords)
    assert len(made) == 2
    assert state(context) == before


@pytest.mark.filterwarnings("ignore:ssl:DeprecationWarning")
def test_old_settings_are_not_warned_of_again(
    scripted: Start, authority: Authority, send: Send
) -> None:
    context = authority.trusting()
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.options |= ssl.OP_NO_TLSv1_3
    with own(context) as session:
        assert seen_by(send, scripted(who, tls=authority.server()), session)["version"] == "TLSv1.2"
