"""An answer that nobody gets, since an error ended its request: its connection goes at once.

The error is kept all the while, as people do who collect them.
"""

from __future__ import annotations

import http.cookiejar
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.sessions import redirects
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]


def endless(connection: Connection) -> None:
    """Answer with the beginning of a body; what the path says goes into the head."""
    request = connection.recv_request()
    assert request is not None
    name, _, value = request.target.lstrip("/").partition("=")
    lines = [(name, value)] if value else []
    status = 302 if name == "Location" else 200
    connection.send(answer(status, b"x" * 2000, fields=lines)[:-1000])
    connection.wait_closed()


def leave(*arguments: Any, **keywords: Any) -> None:
    raise KeyboardInterrupt


def fail(*arguments: Any, **keywords: Any) -> None:
    raise LookupError("of the user's")


class Challenged(reqkit.auth.AuthBase):
    """Has a function answer the server's challenge."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, request: Any) -> Any:
        request.register_hook("response", self.function)
        return request


class Refusing(http.cookiejar.DefaultCookiePolicy):
    def set_ok(self, cookie: Any, request: Any) -> bool:
        raise LookupError("of the user's")


class Overriding(reqkit.Session):
    def rebuild_auth(self, *arguments: Any) -> None:
        super().rebuild_auth(*arguments)


@contextmanager
def failing_log() -> Iterator[None]:
    log = logging.getLogger("reqkit")
    level = log.level
    log.addFilter(fail)
    log.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        log.removeFilter(fail)
        log.setLevel(level)


class Unwritable:
    """Takes no line of an answer's."""

    def write(self, text: str) -> None:
        if text.startswith("<"):
            raise LookupError("of the user's")


def of_a_call(session: reqkit.Session, url: str, **keywords: Any) -> None:
    session.get(url, **keywords)


def of_a_message(session: reqkit.Session, url: str, **keywords: Any) -> None:
    config = keywords.pop("config", None)
    session.send(session.prepare_request(reqkit.Request("GET", url, **keywords)), config=config)


def of_an_unsent_request(session: reqkit.Session, url: str, **keywords: Any) -> None:
    reqkit_async.get(url, session=session, prefetch=False, **keywords).send()


@pytest.mark.parametrize("kind", [reqkit.Session, Overriding])
@pytest.mark.parametrize("send", [of_a_call, of_a_message, of_an_unsent_request])
@pytest.mark.parametrize(
    ("path", "keywords", "expected"),
    [
        ("", {"hooks": {"response": leave}}, KeyboardInterrupt),
        ("", {"hooks": {"post_request": leave}}, KeyboardInterrupt),
        ("", {"hooks": {"response": fail}}, reqkit.HookWarning),
        ("", {"hooks": {"post_request": fail}}, reqkit.HookWarning),
        ("", {"auth": Challenged(leave)}, KeyboardInterrupt),
        ("", {"auth": Challenged(fail)}, LookupError),
        ("", {"config": {"trace": Unwritable()}}, LookupError),
        ("Location=ftp://x/", {}, reqkit.exceptions.InvalidSchema),
        ("Location=http://[x", {}, reqkit.exceptions.InvalidURL),
        ("Set-Cookie=a=b", {}, LookupError),
        ("log", {}, LookupError),
    ],
)
def test_its_connection_goes(
    scripted: Scripted,
    kind: type[reqkit.Session],
    send: Callable[..., None],
    path: str,
    keywords: dict[str, Any],
    expected: type[BaseException],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(redirects, "_LONGEST_DRAIN", 0.02)
    server = scripted(endless)
    with kind() as session, warnings.catch_warnings():
        warnings.simplefilter("error", reqkit.HookWarning)
        if "Cookie" in path:
            session.cookies.set_policy(Refusing())
        with pytest.raises(expected) as kept:
            if path == "log":
                with failing_log():
                    send(session, server("/"), **keywords)
            else:
                send(session, server("/" + path), **keywords)
        server.wait_for_no_connections()
        assert kept.value is not None


def test_an_answer_of_the_error_is_there_to_be_read(scripted: Scripted) -> None:
    """An auth's error may have the answer; that of a redirect has it whole where it is small."""

    def telling(response: reqkit.Response, **keywords: Any) -> None:
        raise reqkit.HTTPError("no", response=response)

    moved = answer(302, b"elsewhere", fields=[("Location", "ftp://x/")])
    server = scripted([moved, answer(401, b"why not")])
    with reqkit.Session() as session:
        with pytest.raises(reqkit.exceptions.InvalidSchema) as refused:
            session.get(server())
        with pytest.raises(reqkit.HTTPError) as caught:
            session.get(server(), auth=Challenged(telling))
        assert refused.value.response is not None
        assert refused.value.response.text == "elsewhere"
        assert caught.value.response is not None
        assert caught.value.response.text == "why not"


@pytest.mark.parametrize("timeout", [None, 100])
@pytest.mark.parametrize("status", [302, 401])
def test_a_silent_body_is_not_waited_for(
    scripted: Scripted, status: int, timeout: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody asks for it: a new connection is made sooner."""
    monkeypatch.setattr(redirects, "_LONGEST_DRAIN", 0.02)
    fields = [("Location", "/"), ("WWW-Authenticate", 'Digest realm="r", nonce="n"')]

    def silent(connection: Connection) -> None:
        connection.recv_request()
        if connection.number == 1:
            connection.send(answer(status, b"body", fields)[:-3])
        else:
            connection.send(answer(200, b"end"))
        connection.wait_closed()

    server = scripted(silent)
    with reqkit.Session() as session:
        auth = reqkit.auth.HTTPDigestAuth("ann", "secret")
        assert session.get(server(), auth=auth, timeout=timeout).text == "end"
    assert len(server.requests) == 2
