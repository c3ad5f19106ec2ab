"""A server of HTTP/2 that wants a client's certificate: what lacks it is named as on HTTP/1.1."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import reqkit
import reqkit_async
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority


@pytest.mark.parametrize("wire", [["http/1.1"], ["h2", "http/1.1"]])
@pytest.mark.parametrize("blocking", [True, False])
def test_the_alert_is_told(
    scripted: Callable[..., ScriptedServer], authority: Authority, wire: list[str], blocking: bool
) -> None:
    """It comes when the request is on its way: TLS 1.3 has the client go first."""
    context = authority.wants_client_certificate()
    context.set_alpn_protocols(wire)

    def never(connection: Connection) -> None:
        raise AssertionError("there was no certificate")

    server = scripted(never, tls=context)
    for _ in range(5):  # whichever of the alert and the end is seen first
        with reqkit.Session(verify=str(authority.bundle), config={"http2": True}) as session:
            if blocking:
                with pytest.raises(reqkit.exceptions.SSLError, match="client's certificate"):
                    session.get(server())
                continue
            entries = reqkit_async.map([server()] * 3, session=session)
            for entry in entries:
                assert isinstance(entry.error, reqkit.exceptions.SSLError)
                assert "client's certificate" in str(entry.error)
    assert not server.requests
