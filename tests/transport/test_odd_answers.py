"""Answers as the web has them, as users see them; the corpus of `tests/hostile` has the bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import reqkit
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Start = Callable[..., ScriptedServer]
Send = Callable[..., reqkit.Response]

TWICE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: 17\r\n"
    b'ETag: "one"\r\nLast-Modified: Sat, 28 Nov 2026 12:00:00 GMT\r\n'
    b"Content-Type: application/json; charset=utf-8\r\nContent-Length: 17\r\n"
    b'etag: "one"\r\nLast-Modified:Sat, 28 Nov 2026 12:00:00 GMT\r\nVia: a\r\nVia: a\r\n\r\n'
    b'{"a": "caf\xc3\xa9"   }'
)
ODD = (
    b"\r\nHTTP/1.1 200 OK\nContent-Length : 5\r\nX-Folded: a,\r\n  b\nno field\nodd name: c\n"
    b"X-Control: \x01\n\nhello"
)


def in_pieces(data: bytes, size: int) -> Callable[[Connection], None]:
    """Answer with these bytes, some at a time, then plainly."""

    def handler(connection: Connection) -> None:
        if connection.number == 1:
            connection.recv_request()
            for at in range(0, len(data), size):
                connection.send(data[at : at + size])
                connection.pause(0.001)
        while connection.recv_request() is not None:
            connection.send(answer(200, b"plain"))

    return handler


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_an_answer_is_read_however_it_is_cut(
    secure: bool, size: int, scripted: Start, authority: Authority, ca_bundle: str, send: Send
) -> None:
    server = scripted(in_pieces(ODD, size), tls=authority.server() if secure else None)
    with reqkit.Session(verify=ca_bundle) as session:
        response = send(server(), session=session)
        assert response.content == b"hello"
        assert list(response.headers.items()) == [
            ("Content-Length", "5"), ("X-Folded", "a, b"), ("X-Control", "\x01")
        ]  # fmt: skip
        assert send(server(), session=session).content == b"plain"
        assert send(server(), session=session).content == b"plain"
    assert [request.connection for request in server.requests] == [1, 2, 2]


def test_a_field_that_stands_twice_with_one_value_has_that_value(
    scripted: Start, send: Send, tmp_path: Path
) -> None:
    server = scripted(in_pieces(TWICE, 1000))
    response = send(server())
    assert response.json() == {"a": "caf\xe9"}
    assert response.encoding == "utf-8"
    assert response.headers["ETag"] == '"one"'
    assert response.headers["Content-Length"] == "17"
    assert response.headers["Last-Modified"] == "Sat, 28 Nov 2026 12:00:00 GMT"
    assert response.headers["Via"] == "a, a"
    server = scripted(in_pieces(TWICE, 1000))
    path = reqkit.get(server("/a.json")).download(tmp_path / "a.json")
    assert path.read_bytes() == TWICE[-17:]


@pytest.mark.parametrize("message", ["session", "call"])
def test_strict(message: str, scripted: Start, send: Send) -> None:
    server = scripted(in_pieces(ODD, 1000))
    config = {"strict": True}
    with reqkit.Session(config=config if message == "session" else {}) as session:
        with pytest.raises(reqkit.exceptions.ProtocolError, match="begins with"):
            send(server(), session=session, config=config if message == "call" else {})
        assert send(server(), session=session).content == b"plain"
