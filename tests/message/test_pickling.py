"""Answers and errors travel: what they know comes along; what cannot be pickled stays behind."""

from __future__ import annotations

import copy
import copyreg
import io
import pickle
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.auth import AuthBase
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]
PROTOCOLS = range(2, pickle.HIGHEST_PROTOCOL + 1)


def travelled(thing: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(thing, protocol))


class LocalAuth(AuthBase):
    """Holds what cannot be pickled."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __call__(self, r: Any) -> Any:
        r.headers["X-Auth"] = "yes"
        return r


def head_of(response: reqkit.Response) -> dict[str, Any]:
    names = (
        "status_code", "reason", "url", "ok", "encoding", "content", "text", "elapsed", "timings",
        "links", "is_redirect", "is_permanent_redirect", "body_size",
    )  # fmt: skip
    return {name: getattr(response, name) for name in names} | {
        "headers": dict(response.headers),
        "cookies": response.cookies.get_dict(),
        "method": response.request.method,
        "sent": dict(response.request.headers),
        "asked": response.request.url,
        "body": response.request.body,
        "set": response.set_cookies(),
    }


FIELDS = [
    ("Content-Type", "text/html; charset=utf-8"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"),
    ("Link", "</x>; rel=next"), ("X-Twice", "1"), ("X-Twice", "2"),
]  # fmt: skip


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("looked_at", [False, True], ids=["as it came", "looked at"])
@pytest.mark.parametrize("prefetch", [False, True])
def test_an_answer_is_the_same_afterwards(
    scripted: Scripted, protocol: int, looked_at: bool, prefetch: bool
) -> None:
    server = scripted([answer(200, "é".encode(), FIELDS), answer(200, "é".encode(), FIELDS)])
    with reqkit.Session() as session:
        for _ in range(2):  # the second comes over a connection that is kept
            response = session.post(
                server("/a?b=c"), data={"x": "y"}, cookies={"mine": "1"}, auth=("u", "p"),
                prefetch=prefetch,
            )  # fmt: skip
            if looked_at:
                head_of(response)
            other = travelled(response, protocol)
            assert head_of(other) == head_of(response)
            assert head_of(travelled(other, protocol)) == head_of(response)


def test_what_was_changed_by_hand_stays_changed(scripted: Scripted) -> None:
    response = reqkit.get(scripted([answer(200, "é".encode("latin-1"), FIELDS)])())
    response.headers["X-Mine"] = "1"
    del response.headers["X-Twice"]
    response.encoding = "latin-1"
    response.reason = "Fine"
    response.tag = ["mine"]  # type: ignore[attr-defined]
    response.lock = threading.Lock()  # type: ignore[attr-defined]
    response.request.note = "mine"
    response.request.lock = threading.Lock()
    other = travelled(response)
    assert (other.text, other.reason, other.tag) == ("é", "Fine", ["mine"])
    assert other.headers == response.headers
    assert other.request.note == "mine"
    assert not hasattr(other, "lock")
    assert not hasattr(other.request, "lock")


def test_an_answer_whose_body_breaks_off_travels_without_it(scripted: Scripted) -> None:
    def broken(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    response = reqkit.get(scripted(broken)())
    other = travelled(response)
    assert (other.status_code, other.headers["Content-Length"]) == (200, "10")
    with pytest.raises(reqkit.StreamConsumedError):
        other.content  # noqa: B018


def test_an_answer_that_was_streamed_or_closed_travels_without_its_body(
    scripted: Scripted,
) -> None:
    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + b"x" * 100000)

    server = scripted(handler)
    streamed = reqkit.get(server())
    assert sum(map(len, streamed.iter_content())) == 100000
    closed = reqkit.get(server())
    closed.close()
    for response in (streamed, closed):
        other = travelled(response)
        assert other.status_code == 200
        with pytest.raises(reqkit.StreamConsumedError):
            other.content  # noqa: B018


@pytest.mark.parametrize(
    "keywords",
    [
        {"hooks": {"response": lambda response: None}},
        {"callback": lambda response: None},
        {"auth": LocalAuth()},
        {"data": io.BytesIO(b"x")},
        {"data": (piece for piece in (b"x",))},
        {"json": {"key": threading.Lock()}},
        {"headers": {"X": threading.Lock()}},
        {"session": reqkit.Session(hooks={"response": lambda response: None})},
    ],
    ids=lambda keywords: next(iter(keywords)),
)
def test_what_cannot_be_pickled_never_prevents_it(
    keywords: dict[str, Any], closed_port: int
) -> None:
    """A failed request, one that was never sent, and a whole batch of both."""
    url = f"http://127.0.0.1:{closed_port}/"
    entries = reqkit_async.map(
        [
            reqkit_async.post(url, **keywords),
            reqkit_async.post("no scheme", **keywords),
            reqkit_async.get(url),
        ]
    )
    others = travelled(entries)
    for entry, other in zip(entries, others, strict=True):
        assert type(other.error) is type(entry.error)
        assert str(other.error) == str(entry.error)
        assert (other.url, other.request.method) == (entry.url, entry.request.method)
        assert (other.status_code, bool(other), other.content) == (None, False, None)


def test_the_error_of_an_entry_is_that_of_its_request(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/"
    headers = {"Authorization": "Bearer s3cret"}
    (entry,) = reqkit_async.map([reqkit_async.get(url, headers=headers)])
    assert entry.error is not None
    other = travelled(entry)
    assert other.error.request is other.request
    assert other.request.headers["Authorization"] == "Bearer s3cret"
    assert type(other.error.__cause__) is type(entry.error.__cause__)
    assert other.error.before_sending is True
    assert other.timings == entry.timings


def test_what_hooks_raised_is_counted_afterwards(scripted: Scripted) -> None:
    class Local(Exception):
        pass

    def wrong(response: reqkit.Response) -> None:
        raise ValueError("wrong")

    def local(response: reqkit.Response) -> None:
        raise Local("local")

    with pytest.warns(reqkit.HookWarning):
        response = reqkit.get(scripted([answer(200)])(), hooks={"response": [wrong, local]})
    first, second = travelled(response).hook_errors
    assert (type(first), str(first)) == (ValueError, "wrong")
    assert type(second) is RuntimeError
    assert str(second).endswith("Local: local")


# -- errors


def test_an_http_error_keeps_its_answer(scripted: Scripted) -> None:
    server = scripted([answer(404, b"no such thing", [("Set-Cookie", "a=s3cret")])])
    with pytest.raises(reqkit.HTTPError) as caught:
        reqkit.get(
            server(), headers={"Authorization": "s3cret"}, config={"danger_mode": True}
        ).raise_for_status()
    error = caught.value
    data = pickle.dumps(error)
    assert b"s3cret" not in data
    other = pickle.loads(data)
    assert (type(other), str(other)) == (reqkit.HTTPError, str(error))
    assert other.response.status_code == 404
    assert other.response.content == b"no such thing"
    assert other.response.headers["Content-Length"] == "13"
    assert (other.request.method, other.request.url) == ("GET", server())
    for copied in (copy.copy(error), copy.deepcopy(error)):
        assert copied.response is error.response
        assert copied.request is error.request
        assert (copied.args, copied.__cause__) == (error.args, error.__cause__)


def test_a_wrong_json_body_keeps_its_answer(scripted: Scripted) -> None:
    response = reqkit.get(scripted([answer(200, b"<html>")])())
    with pytest.raises(reqkit.JSONDecodeError) as caught:
        response.json()
    error = caught.value
    other = travelled(error)
    assert (str(other), other.doc, other.pos) == (str(error), "<html>", 0)
    assert other.response.content == b"<html>"
    copied = copy.copy(error)
    assert (copied.response, str(copied), copied.doc) == (response, str(error), "<html>")


def test_times_phase_and_causes_come_along() -> None:
    error = reqkit.TotalTimeout("late", phase="tls")
    deepest = ssl.SSLError(1, "wrong")
    middle = OSError(5, "input")
    middle.__cause__ = deepest
    error.__cause__ = middle
    other = travelled(error)
    assert other.phase == "tls"
    assert (type(other.__cause__), other.__cause__.args) == (OSError, (5, "input"))
    assert type(other.__cause__.__cause__) is ssl.SSLError


def test_a_cause_that_cannot_be_pickled_is_told() -> None:
    class Local(Exception):
        pass

    error = reqkit.ConnectionError("broken")
    error.__cause__ = Local("why")
    error.__cause__.__cause__ = reqkit.ReadTimeout("slow")
    other = travelled(error)
    assert type(other.__cause__) is RuntimeError
    assert str(other.__cause__).endswith("Local: why")
    assert type(other.__cause__.__cause__) is reqkit.ReadTimeout


class Demanding(Exception):
    """Takes other arguments than it says it was made of."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def test_a_cause_that_cannot_be_made_again_is_told() -> None:
    error = reqkit.ConnectionError("broken")
    error.__cause__ = Demanding("not", "now")
    other = travelled(error)
    assert (type(other), str(other)) == (reqkit.ConnectionError, "broken")
    assert repr(other.__cause__) == repr(RuntimeError("Demanding: not now"))


def test_causes_that_go_in_a_circle() -> None:
    error = reqkit.ConnectionError("one")
    error.__cause__ = OSError("two")
    error.__cause__.__cause__ = error
    assert str(travelled(error).__cause__) == "two"


# -- whatever else is installed


def all_kinds() -> list[type[Exception]]:
    """Return all classes of errors and warnings that users meet."""
    modules = (reqkit.exceptions, reqkit_async.crawl, reqkit.cookies)
    found = [getattr(module, name) for module in modules for name in module.__all__]
    return sorted(
        {kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception)},
        key=lambda kind: kind.__name__,
    )


@pytest.fixture
def tblib_installed() -> Iterator[None]:
    """Have all exceptions pickled with causes, contexts and tracebacks, as Dask has them."""
    support = pytest.importorskip("tblib.pickling_support")
    before = copyreg.dispatch_table.copy()
    support.install()
    try:
        yield
    finally:
        copyreg.dispatch_table.clear()
        copyreg.dispatch_table.update(before)


@pytest.mark.usefixtures("tblib_installed")
@pytest.mark.parametrize("kind", all_kinds(), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_errors_are_pickled_as_they_are_alone(kind: type[Exception], protocol: int) -> None:
    arguments = ("wrong", "s", 0) if issubclass(kind, reqkit.JSONDecodeError) else ("wrong",)
    error = kind(*arguments)
    try:
        try:
            raise LookupError("s3cret", threading.Lock())
        except LookupError:
            raise error from UnicodeEncodeError("ascii", "s3cret", 0, 1, "not now")
    except kind:
        pass
    data = pickle.dumps([error], protocol)
    assert b"s3cret" not in data
    assert b"test_pickling" not in data  # no frames
    (other,) = pickle.loads(data)
    assert (type(other), other.args, str(other)) == (kind, error.args, str(error))
    assert other.__context__ is other.__traceback__ is None
    assert copy.copy(error).args == error.args
    # What it has itself is there as ever.
    assert isinstance(error.__cause__, UnicodeError)
    assert isinstance(error.__context__, LookupError)
    assert error.__traceback__ is not None
    assert "s3cret" in "".join(traceback.format_exception(kind, error, error.__traceback__))


@pytest.mark.usefixtures("tblib_installed")
def test_an_error_has_its_causes_and_messages_whatever_is_installed(scripted: Scripted) -> None:
    response = reqkit.get(scripted([answer(404, b"no", [])])(), headers={"Authorization": "s3cret"})
    error = reqkit.HTTPError("wrong", response=response)
    middle = OSError(5, "input")
    middle.__context__ = LookupError("s3cret", threading.Lock())
    middle.__cause__ = reqkit.ReadTimeout("slow")
    middle.__cause__.__cause__ = Demanding("not", "now")
    error.__cause__ = middle
    data = pickle.dumps(error)
    assert b"s3cret" not in data
    other = pickle.loads(data)
    assert (str(other), other.response.content, other.request.method) == ("wrong", b"no", "GET")
    first = other.__cause__
    assert (type(first), first.args, first.__context__) == (OSError, (5, "input"), None)
    assert (type(first.__cause__), str(first.__cause__)) == (reqkit.ReadTimeout, "slow")
    assert str(first.__cause__.__cause__) == "Demanding: not now"


def test_an_error_that_is_not_ours_in_an_entry() -> None:
    class Local(Exception):
        pass

    response = reqkit.Response()
    response.error = Local("what")
    other = travelled(response)
    assert isinstance(other.error, reqkit.RequestException)
    assert str(other.error).endswith("Local: what")


def test_a_small_answer_is_a_small_pickle(scripted: Scripted) -> None:
    """Many in one pickle share what is the same in all of them."""
    server = scripted([answer(200, b"x" * 1000, FIELDS)] * 50)
    responses = reqkit_async.map([reqkit_async.get(server()) for _ in range(50)], size=1)
    assert all(response.ok for response in responses)
    assert len(pickle.dumps(responses[-1], 5)) < 2000
    assert len(pickle.dumps(responses, 5)) < 50 * 1400
