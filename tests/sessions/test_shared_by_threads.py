"""Threads that come between two steps of one another, and two that ask first at one time.

What another thread does there is done in the very moment by a stand-in for what runs between them.
"""

from __future__ import annotations

import functools
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
from reqkit.adapters import HTTPAdapter
from reqkit.hooks import takes_keywords
from reqkit.message import config
from reqkit.sessions import chain, defaults, mounting
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Start = Callable[..., ScriptedServer]


def between(
    monkeypatch: pytest.MonkeyPatch, place: Any, name: str, other: Callable[[], Any]
) -> None:
    """Have something done when a class is first called, before what it makes is there."""
    kind = getattr(place, name)
    calls = [other]

    def make(*arguments: Any, **keywords: Any) -> Any:
        if calls:
            calls.pop()()
        return kind(*arguments, **keywords)

    monkeypatch.setattr(place, name, make)


@pytest.mark.parametrize(
    ("place", "kind", "name"),
    [
        (defaults.jars, "CookieJar", "cookies"),
        (defaults, "CaseInsensitiveDict", "headers"),
        (defaults, "Hooks", "hooks"),
        (defaults, "Config", "config"),
        (mounting, "HTTPAdapter", "adapters"),
    ],
)
def test_who_asks_at_one_time_gets_the_same(
    monkeypatch: pytest.MonkeyPatch, place: Any, kind: str, name: str
) -> None:
    session = reqkit.Session()
    others: list[Any] = []
    between(monkeypatch, place, kind, lambda: others.append(getattr(session, name)))
    mine = getattr(session, name)
    assert len(others) == 1
    assert mine is others[0]
    assert getattr(session, name) is mine


def test_the_sessions_own_adapter_is_that_which_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    session = reqkit.Session()
    between(monkeypatch, mounting, "HTTPAdapter", lambda: session.adapters)
    assert session.adapters["https://"] is session._own_adapter


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("verify", False, True),
        ("cert", None, None),
        ("timeout", 7, 3),
        ("allow_address", None, str),
    ],
)
def test_a_default_that_is_set_meanwhile_counts(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, name: str, before: Any, after: Any
) -> None:
    if name == "cert":
        after = str(tmp_path / "cert.pem")
        (tmp_path / "cert.pem").touch()
    session = reqkit.Session()
    setattr(session, name, before)
    request = reqkit.Request("GET", "http://a.example/")
    made: list[chain.CallConnection] = []

    class Options(chain.CallConnection):
        __slots__ = ()

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            made.append(self)  # as a response keeps it
            if len(made) == 1:
                setattr(session, name, after)

    monkeypatch.setattr(chain, "CallConnection", Options)
    session._connection_for(request, session._settings())
    later = session._connection_for(request, session._settings())
    told = later.timeouts.read if name == "timeout" else getattr(later, name)
    assert (told.ask if name == "allow_address" else told) == after
    assert later is made[1] is session._connection_for(request, session._settings())


def test_a_setting_that_is_set_meanwhile_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    session = reqkit.Session(config={"max_redirects": 3})
    kept = session.config

    def change() -> None:
        kept["keep_alive"] = False

    other = threading.Thread(target=change)

    class Settings(config.Settings):
        __slots__ = ()

        def __init__(self, values: Any) -> None:
            super().__init__(values)
            if other.ident is None:
                other.start()
                other.join(0.2)  # it has to wait, if all is well

    monkeypatch.setattr(config, "Settings", Settings)
    kept.settings()
    other.join()
    assert kept.settings().keep_alive is False


def test_mounting_leaves_a_look_up_of_another_thread_alone() -> None:
    session = reqkit.Session()
    there = session.adapters
    looking = iter(there.items())
    next(looking)
    mine = HTTPAdapter()
    session.mount("http://a.example/", mine)
    assert [prefix for prefix, _ in looking] == ["http://"]
    assert list(session.adapters) == ["http://a.example/", "https://", "http://"]
    assert session.get_adapter("http://a.example/b") is mine


def test_a_body_that_another_thread_has_read_meanwhile_is_not_empty() -> None:
    class Read(reqkit.Response):
        """Has another thread read the body when its last step is looked up."""

        other: Any = None

        @property
        def _whole(self) -> Any:  # type: ignore[override]
            other, self.other = self.other, None
            if other is not None:
                other()
            return self.__dict__.get("whole")

        @_whole.setter
        def _whole(self, value: Any) -> None:
            self.__dict__["whole"] = value

    response = Read(200, fields={}, whole=b"body")
    response.other = response._load
    assert response.content == b"body"
    assert response.content == b"body"


# -- what is closed, and what is told


class Unhashable:
    """An adapter that is a value, as dataclasses are."""

    closed = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unhashable)

    __hash__ = None  # type: ignore[assignment]

    def send(self, *arguments: Any, **keywords: Any) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self.closed += 1


class Failing(Unhashable):
    def close(self) -> None:
        super().close()
        raise RuntimeError("cannot be closed")


class WithoutClose:
    def send(self, *arguments: Any, **keywords: Any) -> Any:
        raise NotImplementedError


def test_a_session_closes_each_adapter_once_whatever_kind_it_is() -> None:
    one, two, failing = Unhashable(), Unhashable(), Failing()
    session = reqkit.Session()
    for number, adapter in enumerate((one, failing, two, one, WithoutClose())):
        session.mount(f"x{number}://", adapter)  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="cannot be closed"):
        session.close()
    assert (one.closed, two.closed, failing.closed) == (1, 1, 1)


def redirects(connection: Connection) -> None:
    while (request := connection.recv_request()) is not None:
        where = {"/a": "/b", "/b": "ftp://other.example/"}.get(request.target, "/a")
        connection.send(answer(302, b"", [("Location", where)]))


def test_a_redirect_that_cannot_be_followed_has_its_history(scripted: Start) -> None:
    server = scripted(redirects)
    with pytest.raises(reqkit.InvalidSchema) as caught:
        reqkit.get(server("/a"))
    response = caught.value.response
    assert response.url == server("/b")
    assert [before.url for before in response.history] == [server("/a")]


def test_post_request_is_called_where_retries_are_used_up(scripted: Start) -> None:
    from urllib3.util import Retry

    server = scripted([answer(503, b"")] * 2)
    seen: list[Any] = []
    with pytest.raises(reqkit.RetryError):
        reqkit.get(
            server(),
            config={"max_retries": Retry(1, status_forcelist=[503])},
            hooks={"post_request": lambda prepared: seen.append(prepared.url)},
        )
    assert seen == [server("/")]


def test_an_error_of_a_prepared_request_names_its_url() -> None:
    session = reqkit.Session()
    prepared = session.prepare_request(reqkit.Request("GET", "http://u:secret@a.example/b"))
    prepared.headers["X"] = "a\nb"
    with pytest.raises(reqkit.InvalidHeader, match=r"^http://u:\*\*\*@a\.example/b: ") as caught:
        session.send(prepared)
    assert caught.value.request is prepared


class Elementwise:
    """Compares as arrays do: with each element, and so with no plain answer."""

    def __iter__(self) -> Any:
        return iter((1, 2))

    def __eq__(self, other: object) -> Any:
        raise ValueError("the truth value is ambiguous")

    __hash__ = None  # type: ignore[assignment]


def test_params_may_be_arrays() -> None:
    request = reqkit.Request("GET", "http://a.example/", params={"a": Elementwise(), "b": None})
    assert request.prepare().url == "http://a.example/?a=1&a=2"


@pytest.mark.parametrize("given", [[1], ["ab"], 7])
def test_params_that_are_no_pairs_are_named_with_a_sessions_too(given: Any) -> None:
    for session in (reqkit.Session(), reqkit.Session(params={"a": 1})):
        with pytest.raises((TypeError, ValueError), match=r"^params"):
            session.get("http://a.example/", params=given)


def test_no_proxy_has_to_be_a_text() -> None:
    given: Any = {"http": "a.example:1", "no_proxy": ["localhost"]}
    with pytest.raises(reqkit.InvalidProxyURL, match=r"'no_proxy'.*a list.*expected a str"):
        reqkit.get("http://a.example/", proxies=given)


def test_a_kept_errors_traceback_does_not_grow() -> None:
    response = reqkit.get("http://a.example:bad/", config={"safe_mode": True})

    def depth() -> int:
        with pytest.raises(reqkit.InvalidURL) as caught:
            response.json()
        return len(caught.traceback)

    assert depth() == depth() == depth()


@pytest.mark.parametrize("limit", [10**18, 10**400, float("inf")])
def test_a_limit_that_no_lock_could_be_told_is_none(limit: Any) -> None:
    assert reqkit.Timeouts(connect=limit, total=limit) == reqkit.Timeouts()


@pytest.mark.parametrize("method", ["HEAD", "head", "hEaD", b"HEAD", b"head"])
def test_a_head_follows_no_redirect_however_it_is_spelled(scripted: Start, method: Any) -> None:
    server = scripted(redirects)
    assert reqkit.request(method, server("/a")).status_code == 302
    assert len(server.requests) == 1


class Held:
    """What a hook has; and a hook itself, that takes keywords or not."""

    def __call__(self, response: Any) -> None:
        pass

    def method(self, response: Any, **keywords: Any) -> None:
        pass


class HeldWithKeywords(Held):
    def __call__(self, response: Any, **keywords: Any) -> None:  # type: ignore[override]
        pass


def _wrapped(held: Held) -> Any:
    @functools.wraps(held.method)
    def hook(*arguments: Any, **keywords: Any) -> Any:
        return held.method(*arguments, **keywords)

    return hook


@pytest.mark.parametrize(
    ("make", "takes"),
    [
        (lambda held: lambda response: held and None, False),
        (lambda held: lambda response, **keywords: held and None, True),
        (lambda held: functools.partial(lambda held, response: None, held), False),
        (lambda held: functools.partial(lambda held, response, **more: None, held), True),
        (lambda held: held, False),
        (lambda held: HeldWithKeywords(), True),
        (lambda held: held.method, True),
        (_wrapped, True),
        (lambda held: print, False),
    ],
)
def test_what_a_hook_holds_goes_with_it(make: Callable[[Held], Any], takes: bool) -> None:
    held = Held()
    hook = make(held)
    assert [takes_keywords(hook), takes_keywords(hook)] == [takes, takes]
    kept = weakref.ref(held)
    del held, hook
    gc.collect()
    assert kept() is None
