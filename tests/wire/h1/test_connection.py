"""One connection over a stream of memory: what is remembered of a head changes no answer."""

from __future__ import annotations

from itertools import chain, product

import pytest

from reqkit.exceptions import InvalidFraming, ProtocolError
from reqkit.wire.h1 import connection as wire
from reqkit.wire.h1.connection import Connection


class Stream:
    """Gives one piece for each read."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        pass

    def wait_readable(self, timeout: float | None) -> None:
        pass

    def receive(self, most: int, timeout: float | None) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    receive_next = receive

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        raise NotImplementedError

    def is_readable(self) -> bool:
        return bool(self.pieces)

    def close(self) -> None:
        pass


Seen = tuple[int, str, bytes, bool]


def ask(connection: Connection, method: str) -> Seen:
    """Return status, text and body of the next answer, and whether another may follow."""
    connection.send(b"", None, False, None, None)
    head, body = connection.read_head(method, None, None)
    if body is None:
        body = b"".join(iter(lambda: connection.read_body(65536, None, None), b""))
    return head.status, head.text, body, connection.is_reusable()


def length(number: int, status: bytes = b"200 OK", *lines: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Length: %d" % number, *lines, b"", b""])


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

#: What is asked, and what comes: the head, and what follows it in the same piece and later.
EXCHANGES: dict[str, tuple[str, bytes, tuple[bytes, ...]]] = {
    "five": ("GET", length(5), (b"hello",)),
    "five others": ("GET", length(5), (b"world",)),
    "five in pieces": ("GET", length(5), (b"he", b"llo")),
    "six": ("GET", length(6), (b"hello!",)),
    "none, the head alone": ("HEAD", length(5), (b"",)),
    "nothing": ("GET", length(0), (b"",)),
    "not changed": ("GET", length(5, b"304 Not Modified"), (b"",)),
    "chunks": ("GET", CHUNKED, (b"5\r\nhello\r\n0\r\n\r\n",)),
    "other chunks": ("POST", CHUNKED, (b"3\r\nyou", b"\r\n0\r\n\r\n")),
    "after an interim one": ("GET", b"HTTP/1.1 100 Continue\r\n\r\n" + length(5), (b"hello",)),
    "kept": ("GET", length(5, b"200 OK", b"Connection: keep-alive"), (b"hello",)),
}


@pytest.mark.parametrize("names", [*product(EXCHANGES, repeat=2)], ids=" then ".join)
def test_an_answer_is_read_as_by_itself(names: tuple[str, str]) -> None:
    asked = [EXCHANGES[name] for name in (*names, names[0])]
    pieces = [[head + rest[0], *rest[1:]] for _, head, rest in asked]
    alone = [
        ask(Connection(Stream(*own), "key"), method)
        for (method, _, _), own in zip(asked, pieces, strict=True)
    ]
    together = Connection(Stream(*chain.from_iterable(pieces)), "key")
    assert [ask(together, method) for method, _, _ in asked] == alone
    assert all(seen[3] for seen in alone)
    assert together.served == 3


def test_a_head_that_is_said_again_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []
    read_next = wire.read_next

    def counted(data: bytes) -> wire.AnswerHead | None:
        read.append(data)
        return read_next(data)

    monkeypatch.setattr(wire, "read_next", counted)
    one, two = length(2), length(3)
    connection = Connection(Stream(*[one + b"ab"] * 3, two + b"abc", one + b"cd"), "key")
    assert [ask(connection, "GET")[2] for _ in range(5)] == [b"ab"] * 3 + [b"abc", b"cd"]
    assert read == [one + b"ab", two + b"abc", one + b"cd"]


def test_what_is_left_over_after_a_head_said_again_is_told() -> None:
    connection = Connection(Stream(length(2) + b"ab", length(2) + b"abc"), "key")
    assert ask(connection, "GET")[3]
    assert ask(connection, "GET")[2:] == (b"ab", False)


def test_the_last_one_of_a_connection_stays_the_last() -> None:
    connection = Connection(Stream(*[length(2) + b"ab"] * 2), "key")
    assert ask(connection, "GET")[3]
    connection.serve_no_more()
    assert not ask(connection, "GET")[3]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (length(2, b"200 OK", b"Content-Length: 3"), InvalidFraming),
        (length(2)[:-2] + b" X: y\r\n\r\n", ProtocolError),
        (length(2)[:-2] + b"X: \0\r\n\r\n", ProtocolError),
    ],
)
def test_a_bad_head_is_bad_after_a_good_one(bad: bytes, error: type[Exception]) -> None:
    connection = Connection(Stream(length(2) + b"ab", bad + b"ab", bad + b"ab"), "key")
    ask(connection, "GET")
    for _ in range(2):
        with pytest.raises(error):
            ask(connection, "GET")
