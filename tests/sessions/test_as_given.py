"""Hooks are told what was given as it was given; who forgets to send is told so."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import urllib3

import reqkit
import reqkit_async
from servers.scripted import ScriptedServer

Send = Callable[..., reqkit.Response]


@pytest.mark.parametrize(
    "timeout", [3, 3.5, (3, 4), reqkit.Timeouts(total=9), urllib3.Timeout(7), None]
)
@pytest.mark.parametrize("name", ["pre_request", "response"])
@pytest.mark.parametrize("by_session", [False, True])
def test_hooks_get_the_timeout_as_it_was_given(
    echo: ScriptedServer, send: Send, timeout: Any, name: str, by_session: bool
) -> None:
    received: list[Any] = []

    def hook(subject: Any, **keywords: Any) -> None:
        received.append(keywords["timeout"])

    own = {"timeout": timeout} if by_session else {}
    with reqkit.Session(**own) as session:
        call = {} if by_session else {"timeout": timeout}
        send(echo(), session=session, hooks={name: hook}, **call)
    assert len(received) == 1
    assert received[0] is timeout


def test_auth_handlers_send_with_it(echo: ScriptedServer, send: Send) -> None:
    received: list[Any] = []

    def handle(response: reqkit.Response, **keywords: Any) -> Any:
        received.append(keywords["timeout"])
        return response.connection.send(response.request.copy(), **keywords)

    def auth(prepared: reqkit.PreparedRequest) -> reqkit.PreparedRequest:
        prepared.register_hook("response", handle)
        return prepared

    assert send(echo(), auth=auth, timeout=20).status_code == 200
    assert received == [20]
    assert len(echo.requests) == 2


@pytest.mark.parametrize("make", [reqkit_async.get, lambda url: reqkit.Request("GET", url)])
def test_json_of_what_was_not_sent(echo: ScriptedServer, make: Any) -> None:
    request = make(echo())
    with pytest.raises(TypeError, match=r"unsent request: send it"):
        request.json()
    assert not request.json
    assert request.json == None  # noqa: E711 as code written for requests asks
    assert repr(request.json) == "None"
    for again in (copy.copy(request.json), pickle.loads(pickle.dumps(request.json))):
        assert again is request.json
    assert hash(request.json) == hash(None)
    other = reqkit.Request("POST", echo(), json=request.json)
    other.send()
    assert echo.requests[-1].body == b""
    other.json = request.json
    other.send()
    assert echo.requests[-1].body == b""
    other.json = {"a": 1}
    other.send()
    assert (other.json, echo.requests[-1].body) == ({"a": 1}, b'{"a": 1}')
