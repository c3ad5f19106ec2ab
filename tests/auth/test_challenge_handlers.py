"""Auth handlers of the kind that Kerberos needs, written as those for requests are.

Such a handler registers a response hook on the prepared request, answers a 401 by sending it again
through ``response.connection``, and checks the server's own proof on the answer to that.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.auth import AuthBase
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]

TICKET = base64.b64encode(b"ticket").decode()
PROOF = base64.b64encode(b"the server's proof").decode()


class Refused(reqkit.RequestException):
    """The server could not prove who it is."""


class Negotiating(AuthBase):
    """One leg, and a proof of the server's on what follows it."""

    def __init__(self) -> None:
        self.asked = 0
        self.proved = 0
        self._position: Any = None

    def __call__(self, r: Any) -> Any:
        r.register_hook("response", self.handle_response)
        try:
            self._position = r.body.tell()
        except AttributeError:
            self._position = None
        return r

    def handle_response(self, response: Any, **kwargs: Any) -> Any:
        if response.status_code == 401:
            return self.authenticate_user(response, **kwargs)
        self.authenticate_server(response)
        return response

    def authenticate_user(self, response: Any, **kwargs: Any) -> Any:
        if "negotiate" not in response.headers.get("www-authenticate", "").lower():
            return response
        if response.request.headers.get("Authorization"):
            return response  # it was refused: no second ticket
        self.asked += 1
        if self._position is not None:
            response.request.body.seek(self._position)
        response.request.headers["Authorization"] = f"Negotiate {TICKET}"
        response.content  # noqa: B018 reads it, so that the connection can be used again
        response.raw.release_conn()
        again = response.connection.send(response.request, **kwargs)
        again.history.append(response)
        self.authenticate_server(again)
        return again

    def authenticate_server(self, response: Any) -> None:
        given = response.headers.get("www-authenticate", "").partition(" ")[2]
        if response.status_code < 400 and given:
            if given != PROOF:
                raise Refused("the server's proof is wrong", response=response)
            self.proved += 1
            response.request.deregister_hook("response", self.handle_response)


def negotiating(connection: Connection, proof: str = PROOF) -> None:
    """Want a ticket with each request."""
    while (request := connection.recv_request()) is not None:
        if request.get("Authorization") == f"Negotiate {TICKET}":
            fields = [("WWW-Authenticate", f"Negotiate {proof}")]
            connection.send(answer(200, b"for " + request.body, fields))
        else:
            connection.send(answer(401, b"who?", [("WWW-Authenticate", "Negotiate")]))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("body", ["bytes", "file", "none"])
def test_a_ticket_is_sent_over_the_same_connection(
    body: str, stream: bool, send: Any, scripted: Scripted, session: reqkit.Session
) -> None:
    server = scripted(negotiating)
    auth = Negotiating()
    data: Any = {"bytes": b"me", "file": io.BytesIO(b"me"), "none": None}[body]
    seen: list[Any] = []
    response = send(
        server("/a"), session=session, auth=auth, data=data, stream=stream,
        hooks={"response": seen.append},
    )  # fmt: skip
    assert response.content == (b"for " if data is None else b"for me")
    assert [one.status_code for one in response.history] == [401]
    assert seen == [response]
    assert (auth.asked, auth.proved) == (1, 1)
    assert server.connections_opened == 1


def test_a_server_that_cannot_prove_itself_fails_the_request(scripted: Scripted) -> None:
    server = scripted(lambda connection: negotiating(connection, "d3Jvbmc="))
    with pytest.raises(Refused) as caught:
        reqkit.get(server(), auth=Negotiating())
    assert caught.value.response.status_code == 200
    (entry,) = reqkit_async.map([reqkit_async.get(server(), auth=Negotiating())])
    assert isinstance(entry.error, Refused)


def test_a_ticket_that_is_refused_is_sent_once(send: Any, scripted: Scripted) -> None:
    refusal = answer(401, b"no", [("WWW-Authenticate", "Negotiate")])
    server = scripted([refusal, refusal])
    auth = Negotiating()
    assert send(server(), auth=auth).status_code == 401
    assert auth.asked == 1
    assert len(server.requests) == 2


def test_each_request_of_a_batch_has_its_ticket(scripted: Scripted) -> None:
    server = scripted(negotiating)
    auth = Negotiating()
    requests = [reqkit_async.post(server(), data=b"me", auth=auth) for _ in range(10)]
    assert [r.text for r in reqkit_async.map(requests, size=3)] == ["for me"] * 10
    assert (auth.asked, auth.proved) == (10, 10)
