"""A message that was changed after it was prepared has one framing: that of the body it has when
it is sent. What a server receives is one message, and the next one is the next one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.adapters import HTTPAdapter
from reqkit.exceptions import InvalidHeader
from servers.scripted import ScriptedServer

Prepared = reqkit.PreparedRequest
Change = Callable[[Prepared], Any]

#: A body that is a request of its own to whoever takes the length for something else.
INNER = b"GET /inner HTTP/1.1\r\nHost: inner\r\n\r\n"


def field(name: str, value: str | None) -> Change:
    def change(prepared: Prepared) -> None:
        if value is None:
            prepared.headers.pop(name, None)
        else:
            prepared.headers[name] = value

    return change


def body(value: Any) -> Change:
    def change(prepared: Prepared) -> None:
        prepared.body = value() if callable(value) else value

    return change


def both(*changes: Change) -> Change:
    def change(prepared: Prepared) -> None:
        for one in changes:
            one(prepared)

    return change


def method(name: str) -> Change:
    def change(prepared: Prepared) -> None:
        prepared.method = name

    return change


def read_it(prepared: Prepared) -> None:
    """Read a file as a hook does that signs the body."""
    prepared.body.read()


class Shorter(bytes):
    """Bytes that say they are none."""

    def __len__(self) -> int:
        return 0


class Longer(str):
    """Text that encodes itself as something else."""

    def encode(self, *arguments: Any) -> bytes:
        return b"x" + INNER


def generated() -> Iterator[bytes]:
    yield INNER


#: What is given, the change, and the body that a server receives.
CHANGES: dict[str, tuple[dict[str, Any], Change, bytes]] = {
    "shorter length": ({"data": INNER}, field("Content-Length", "0"), INNER),
    "longer length": ({"data": INNER}, field("content-length", "500"), INNER),
    "no number": ({"data": INNER}, field("Content-Length", "+5"), INNER),
    "two lengths": ({"data": INNER}, field("Content-Length", "36, 0"), INNER),
    "deleted": ({"data": INNER}, field("Content-Length", None), INNER),
    "deleted of a form": ({"data": {"a": "b"}}, field("Content-Length", None), b"a=b"),
    "deleted of text": ({"data": "é"}, field("Content-Length", None), b"\xc3\xa9"),
    "deleted of a file": ({"data": io.BytesIO(INNER)}, field("Content-Length", None), INNER),
    "deleted of pieces": ({"data": generated()}, field("Transfer-Encoding", None), INNER),
    "another body": ({"data": b"ab"}, body(INNER), INNER),
    "a shorter body": ({"data": INNER}, body(b"ab"), b"ab"),
    "a body where there was none": ({}, body(INNER), INNER),
    "text where there was none": ({}, body("é"), b"\xc3\xa9"),
    "a bytearray": ({}, body(lambda: bytearray(INNER)), INNER),
    "a view": ({}, body(lambda: memoryview(INNER)), INNER),
    "a file": ({"data": b"ab"}, body(lambda: io.BytesIO(INNER)), INNER),
    "pieces": ({"data": b"ab"}, both(body(generated), field("Content-Length", None)), INNER),
    "pieces with a length": (
        {"data": b"ab"}, both(body(generated), field("Content-Length", str(len(INNER)))), INNER,
    ),
    "the body taken away": ({"data": INNER}, body(None), b""),
    "an empty body": ({"data": INNER}, body(b""), b""),
    "taken away of a file": ({"data": io.BytesIO(INNER)}, body(None), b""),
    "taken away of pieces": ({"data": generated()}, body(None), b""),
    "a length without a body": ({}, field("Content-Length", "36"), b""),
    "a coding without a body": ({}, field("Transfer-Encoding", "chunked"), b""),
    "a coding": ({"data": INNER}, field("Transfer-Encoding", "chunked"), INNER),
    "a coding in capitals": ({"data": INNER}, field("TRANSFER-ENCODING", "Chunked"), INNER),
    "a coding of a file": (
        {"data": io.BytesIO(INNER)}, field("Transfer-Encoding", "chunked"), INNER,
    ),
    "a coding and a length": (
        {"data": INNER},
        both(field("Transfer-Encoding", "chunked"), field("Content-Length", "3")), INNER,
    ),
    "read by who signs it": ({"data": io.BytesIO(INNER)}, read_it, INNER),
    "bytes that say they are none": ({}, body(lambda: Shorter(INNER)), INNER),
    "text that encodes itself": ({}, body(lambda: Longer("ab")), b"ab"),
    "a GET after all": ({"data": INNER}, method("GET"), INNER),
    "a HEAD": ({"data": b"ab"}, both(method("HEAD"), body(None)), b""),
}  # fmt: skip


def by_hook(session: reqkit.Session, url: str, change: Change, **given: Any) -> reqkit.Response:
    return session.post(url, hooks={"pre_request": change}, **given)


def by_auth(session: reqkit.Session, url: str, change: Change, **given: Any) -> reqkit.Response:
    def auth(prepared: Prepared) -> Prepared:
        change(prepared)
        return prepared

    return session.post(url, auth=auth, **given)


def by_hand(session: reqkit.Session, url: str, change: Change, **given: Any) -> reqkit.Response:
    prepared = session.prepare_request(reqkit.Request("POST", url, **given))
    change(prepared)
    return session.send(prepared)


def in_a_batch(session: reqkit.Session, url: str, change: Change, **given: Any) -> reqkit.Response:
    request = reqkit_async.post(url, session=session, hooks={"pre_request": change}, **given)
    [response] = reqkit_async.map([request])
    assert isinstance(response, reqkit.Response)
    if response.error is not None:
        raise response.error
    return response


WAYS = (by_hook, by_auth, by_hand, in_a_batch)


def rewound(given: dict[str, Any]) -> dict[str, Any]:
    """Return what is given, with files and generators of its own."""
    data = given.get("data")
    if isinstance(data, io.BytesIO):
        return {"data": io.BytesIO(data.getvalue())}
    return {"data": generated()} if isinstance(data, Iterator) else given


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CHANGES)
def test_one_message_goes_out_and_the_next_is_the_next(
    echo: ScriptedServer, session: reqkit.Session, name: str, way: Any
) -> None:
    given, change, expected = CHANGES[name]
    assert way(session, echo("/odd"), change, **rewound(given)).status_code == 200
    assert session.get(echo("/after")).status_code == 200
    first, after = echo.requests
    assert (first.target, first.body) == ("/odd", expected)
    assert after.target == "/after"
    assert first.get("Transfer-Encoding") is None or first.get("Content-Length") is None
    if not expected:
        assert first.get("Content-Length") in (None, "0")
        assert first.get("Transfer-Encoding") is None


@pytest.mark.parametrize("value", ["gzip", "identity", "chunked, gzip", "chunked, chunked", "x"])
@pytest.mark.parametrize("way", WAYS)
def test_a_coding_that_tells_no_end_is_refused(
    echo: ScriptedServer, session: reqkit.Session, value: str, way: Any
) -> None:
    with pytest.raises(InvalidHeader, match="Transfer-Encoding"):
        way(session, echo(), field("Transfer-Encoding", value), data=INNER)
    assert not echo.requests


@pytest.mark.parametrize("value", ["5, 5", "-1", "0x5", "٣", "", "5 5"])
def test_a_length_that_is_none_for_pieces_is_refused(
    echo: ScriptedServer, session: reqkit.Session, value: str
) -> None:
    change = both(field("Transfer-Encoding", None), field("Content-Length", value))
    with pytest.raises(InvalidHeader, match="Content-Length"):
        by_hook(session, echo(), change, data=generated())
    assert not echo.requests


@pytest.mark.parametrize("verb", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "PUT", "FOO"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Length": "5"},
        {"content-length": "5", "Transfer-Encoding": "chunked"},
        {"Transfer-Encoding": "gzip"},
        {"Content-Length": "0"},
        {"Content-Length": "a"},
    ],
)
def test_no_body_is_announced_where_there_is_none(
    echo: ScriptedServer, send: Any, verb: str, headers: dict[str, str]
) -> None:
    with reqkit.Session() as session:
        session.request(verb, echo("/odd"), headers=headers)
        session.get(echo("/after"))
    first, after = echo.requests
    assert (first.method, first.body, after.target) == (verb, b"", "/after")
    assert first.get("Content-Length") in (None, "0")
    assert first.get("Transfer-Encoding") is None


@pytest.mark.parametrize("verb", ["GET", "HEAD", "DELETE", "OPTIONS", "POST"])
@pytest.mark.parametrize("headers", [None, {"Content-Length": "1"}, {"Content-Length": "99"}])
def test_a_body_is_announced_whatever_the_method(
    echo: ScriptedServer, session: reqkit.Session, verb: str, headers: Any
) -> None:
    session.request(verb, echo("/odd"), data=INNER, headers=headers)
    session.get(echo("/after"))
    first, after = echo.requests
    assert (first.method, first.body, after.target) == (verb, INNER, "/after")


class Unix(HTTPAdapter):
    """An adapter that has messages sent through urllib3's pools."""

    def get_connection_with_tls_context(self, *arguments: Any, **keywords: Any) -> Any:
        return super().get_connection_with_tls_context(*arguments, **keywords)


@pytest.mark.parametrize("name", CHANGES)
def test_through_pools_of_urllib3(echo: ScriptedServer, name: str) -> None:
    given, change, expected = CHANGES[name]
    with reqkit.Session() as session:
        session.mount("http://", Unix())
        assert by_hook(session, echo("/odd"), change, **rewound(given)).status_code == 200
        session.get(echo("/after"))
    first, after = echo.requests
    assert (first.target, first.body, after.target) == ("/odd", expected, "/after")


def test_what_was_put_right_is_seen_in_the_request(
    echo: ScriptedServer, session: reqkit.Session
) -> None:
    seen = []
    response = session.post(
        echo(),
        data=b"abc",
        hooks={
            "pre_request": field("Content-Length", "1"),
            "post_request": lambda sent: seen.append(sent.headers["Content-Length"]),
        },
    )
    assert response.request.headers["Content-Length"] == "3"
    assert seen == ["3"]


def test_another_body_is_framed_anew_after_a_redirect(
    scripted: Any, session: reqkit.Session
) -> None:
    from servers.messages import answer

    server = scripted([answer(307, b"", [("Location", "/end")]), answer(200), answer(200)])
    bodies = [b"first", b"the second one"]

    def change(prepared: Prepared) -> None:
        prepared.body = bodies.pop(0)

    assert session.post(server(), data=b"x", hooks={"pre_request": change}).status_code == 200
    session.get(server("/after"))
    assert [(r.target, r.body) for r in server.requests] == [
        ("/", b"first"), ("/end", b"the second one"), ("/after", b""),
    ]  # fmt: skip
