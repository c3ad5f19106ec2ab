"""Uploads of every form, as a server receives them, and sent again where they must be."""

from __future__ import annotations

import gzip
import io
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import reqkit
from servers.messages import Received, answer
from servers.scripted import Connection, ScriptedServer
from servers.wsgi import WSGIServer

Scripted = Callable[..., ScriptedServer]

BIG = bytes(range(256)) * 1000


def generated(*pieces: Any) -> Iterator[Any]:
    yield from pieces


class Reader:
    """What has ``read()`` and nothing else."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


def post(scripted: Scripted, **keywords: Any) -> Received:
    server = scripted([answer(200)])
    assert reqkit.post(server(), **keywords).status_code == 200
    return server.requests[0]


# -- the forms


@pytest.mark.parametrize(
    ("data", "body", "kind"),
    [
        (b"\x00\xff", b"\x00\xff", None),
        (bytearray(b"ab"), b"ab", None),
        ("é", "é".encode(), None),
        ({"a": "b c", "d": ["1", "2"], "e": None}, b"a=b+c&d=1&d=2", "form"),
        ([("a", "1"), ("a", "é")], b"a=1&a=%C3%A9", "form"),
        (BIG, BIG, None),
        ("x" * 100_000, b"x" * 100_000, None),
        ({}, b"", None),
        ("", b"", None),
    ],
)
def test_data_at_hand(scripted: Scripted, data: Any, body: bytes, kind: str | None) -> None:
    got = post(scripted, data=data)
    assert got.body == body
    assert got.get("Content-Length") == str(len(body))
    assert got.get("Transfer-Encoding") is None
    assert got.get("Content-Type") == (kind and "application/x-www-form-urlencoded")


def test_json(scripted: Scripted) -> None:
    got = post(scripted, json={"a": [1, "é", None]})
    assert got.body == b'{"a": [1, "\\u00e9", null]}'
    assert got.get("Content-Type") == "application/json"
    got = post(scripted, json=[], headers={"content-type": "application/x+json"})
    assert (got.body, got.get("Content-Type")) == (b"[]", "application/x+json")


def test_files_are_streamed_with_their_length(scripted: Scripted, tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(BIG)
    with path.open("rb") as file:
        got = post(scripted, data=file)
        assert (got.body, got.get("Content-Length")) == (BIG, str(len(BIG)))
        file.seek(1000)
        got = post(scripted, data=file)
        assert (got.body, got.get("Content-Length")) == (BIG[1000:], str(len(BIG) - 1000))
    got = post(scripted, data=io.BytesIO(b"abc"))
    assert (got.body, got.get("Content-Length")) == (b"abc", "3")
    got = post(scripted, data=io.StringIO("é"))
    assert (got.body, got.get("Content-Length")) == ("é".encode(), "2")
    packed = tmp_path / "file.gz"
    packed.write_bytes(gzip.compress(b"unpacked"))
    with gzip.open(packed) as file:
        assert post(scripted, data=file).body == b"unpacked"


@pytest.mark.parametrize(
    ("make", "body"),
    [
        (lambda: generated(b"one", b"", "twó", b"three"), "onetwóthree".encode()),
        (lambda: iter([b"x" * 100_000] * 3), b"x" * 300_000),
        (lambda: Reader(BIG), BIG),
        (lambda: generated(), b""),
    ],
)
def test_what_has_no_known_length_is_chunked(
    scripted: Scripted, make: Callable[[], Any], body: bytes
) -> None:
    got = post(scripted, data=make())
    assert got.body == body
    assert got.get("Transfer-Encoding") == "chunked"
    assert got.get("Content-Length") is None
    assert got.raw_body.endswith(b"0\r\n\r\n")


def test_a_generator_is_read_while_it_is_sent(scripted: Scripted) -> None:
    arrived = threading.Event()

    def handler(connection: Connection) -> None:
        connection.recv_head()
        assert connection.recv_until(b"first\r\n").endswith(b"first\r\n")
        arrived.set()
        connection.recv_until(b"0\r\n\r\n")
        connection.send(answer(200))

    def pieces() -> Iterator[bytes]:
        yield b"first"
        assert arrived.wait(20)
        yield b"second"

    assert reqkit.post(scripted(handler)(), data=pieces()).status_code == 200


def test_a_length_given_by_hand_counts(scripted: Scripted) -> None:
    got = post(scripted, data=generated(b"ab", b"c"), headers={"Content-Length": "3"})
    assert (got.body, got.get("Transfer-Encoding")) == (b"abc", None)
    for pieces, message in (((b"ab",), "ended after 2 of the 3"), ((b"abcd",), "more than the 3")):
        server = scripted([answer(200)])
        with pytest.raises(reqkit.RequestException, match=message):
            reqkit.post(server(), data=generated(*pieces), headers={"Content-Length": "3"})
        server.wait_for_no_connections()


@pytest.mark.parametrize(
    "files",
    [
        {"f": ("name.txt", b"content", "text/x", {"X-Part": "1"})},
        [("f", ("name.txt", io.BytesIO(b"content"), "text/x", {"X-Part": "1"}))],
        {"f": ("name.txt", generated(b"con", b"tent"), "text/x", {"X-Part": "1"})},
    ],
)
def test_multipart(scripted: Scripted, files: Any) -> None:
    got = post(scripted, data={"a": ["1", "2"]}, files=files)
    kind = got.get("Content-Type")
    assert kind is not None
    assert kind.startswith("multipart/form-data; boundary=")
    boundary = kind.partition("boundary=")[2].encode()
    parts = got.body.split(b"--" + boundary)
    assert (parts[0], parts[-1]) == (b"", b"--\r\n")
    assert b'name="a"\r\n\r\n1\r\n' in parts[1]
    assert b'name="a"\r\n\r\n2\r\n' in parts[2]
    assert b'name="f"; filename="name.txt"' in parts[3]
    assert b"X-Part: 1" in parts[3]
    assert parts[3].endswith(b"\r\n\r\ncontent\r\n")


def test_httpbin_understands_all_of_it(httpbin: WSGIServer, tmp_path: Path) -> None:
    url = httpbin("/post")
    path = tmp_path / "some file.txt"
    path.write_bytes(b"from a file")
    assert reqkit.post(url, data={"a": ["1", "ü"]}).json()["form"] == {"a": ["1", "ü"]}
    assert reqkit.post(url, json={"a": 1}).json()["json"] == {"a": 1}
    assert reqkit.post(url, data=generated(b"a", b"b")).json()["data"] == "ab"
    with path.open("rb") as file:
        got = reqkit.post(url, files={"f": file, "g": "text"}, data={"x": "y"}).json()
    assert got["files"] == {"f": "from a file", "g": "text"}
    assert got["form"] == {"x": "y"}
    with path.open("rb") as file:
        assert reqkit.put(httpbin("/put"), data=file).json()["data"] == "from a file"


# -- sent again


def redirecting(status: int) -> Callable[[Connection], None]:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            at_end = request.target == "/end"
            connection.send(answer(200 if at_end else status, b"", [("Location", "/end")]))

    return handler


class Pipe(io.BytesIO):
    """A file that cannot be sought."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise OSError("no position")


def started() -> io.BytesIO:
    file = io.BytesIO(b"read,rest")
    file.seek(5)
    return file


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize(
    ("keywords", "body"),
    [
        ({"data": b"bytes"}, b"bytes"),
        ({"data": {"a": "1"}}, b"a=1"),
        ({"json": [1]}, b"[1]"),
        ({"data": started()}, b"rest"),
        ({"data": io.BytesIO(BIG)}, BIG),
    ],
)
def test_a_body_is_rewound_for_307_and_308(
    scripted: Scripted, status: int, keywords: dict[str, Any], body: bytes
) -> None:
    for value in keywords.values():
        if isinstance(value, io.BytesIO):
            value.seek(5 if body == b"rest" else 0)
    server = scripted(redirecting(status))
    assert reqkit.post(server(), **keywords).status_code == 200
    assert [(request.method, request.body) for request in server.requests] == [("POST", body)] * 2


@pytest.mark.parametrize("status", [307, 308])
def test_a_multipart_body_is_sent_again(scripted: Scripted, status: int) -> None:
    server = scripted(redirecting(status))
    file = io.BytesIO(BIG)
    assert reqkit.post(server(), files={"f": file}, data={"a": "1"}).status_code == 200
    first, second = server.requests
    assert first.body == second.body
    assert BIG in second.body
    assert first.get("Content-Type") == second.get("Content-Type")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: generated(b"once"), "an iterable can be read only once"),
        (lambda: Pipe(b"once"), "cannot be sought"),
        (lambda: Reader(b"once"), "cannot be sought"),
    ],
)
def test_what_cannot_be_rewound_is_an_error_that_says_so(
    scripted: Scripted, make: Callable[[], Any], message: str
) -> None:
    server = scripted(redirecting(307))
    with pytest.raises(reqkit.UnrewindableBodyError, match=message) as got:
        reqkit.post(server(), data=make())
    assert got.value.request is not None
    assert len(server.requests) == 1
    response = reqkit.post(server(), data=make(), allow_redirects=False)
    assert response.status_code == 307


def test_a_body_is_rewound_for_a_digest_challenge(httpbin: WSGIServer) -> None:
    auth = reqkit.auth.HTTPDigestAuth("user", "pass")
    url = httpbin("/digest-auth/auth/user/pass")
    response = reqkit.get(url, auth=auth, data=started())
    assert response.status_code == 200
    with pytest.raises(reqkit.UnrewindableBodyError):
        reqkit.get(url, auth=reqkit.auth.HTTPDigestAuth("user", "pass"), data=generated(b"once"))


@pytest.mark.parametrize(
    ("status", "method", "after"),
    [
        (301, "POST", "GET"), (301, "PUT", "PUT"), (302, "POST", "GET"), (302, "PUT", "GET"),
        (303, "POST", "GET"), (303, "DELETE", "GET"),
    ],
)  # fmt: skip
def test_other_redirects_change_the_method_and_drop_the_body(
    scripted: Scripted, status: int, method: str, after: str
) -> None:
    server = scripted(redirecting(status))
    assert reqkit.request(method, server(), data="body").status_code == 200
    second = server.requests[1]
    assert second.method == after
    if after == "GET":
        assert second.body == b""
        assert second.get("Content-Length") is None
        assert second.get("Content-Type") is None


def test_an_early_answer_to_a_large_body_is_seen(scripted: Scripted) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_head()
        connection.send(answer(413, b"too large", [("Connection", "close")]))
        connection.wait_closed()

    server = scripted(handler)
    response = reqkit.post(server(), data=b"x" * 3_000_000)
    assert (response.status_code, response.text) == (413, "too large")


def test_a_body_that_fails_while_it_is_sent_leaves_no_connection(scripted: Scripted) -> None:
    def failing() -> Iterator[bytes]:
        yield b"first"
        raise RuntimeError("the user's own")

    def reading() -> Iterator[bytes]:
        yield b"first"
        raise OSError("disk")

    server = scripted([answer(200)])
    with pytest.raises(RuntimeError, match="the user's own"):
        reqkit.post(server(), data=failing())
    with pytest.raises(reqkit.RequestException, match=r"reading the body.*disk"):
        reqkit.post(server(), data=reading())
    server.wait_for_no_connections()


def test_memory_is_constant_while_a_file_is_sent(scripted: Scripted, tmp_path: Path) -> None:
    size = 30_000_000
    path = tmp_path / "big"
    with path.open("wb") as file:
        os.truncate(file.fileno(), size)
    received = [0]

    def handler(connection: Connection) -> None:
        connection.recv_head()
        while received[0] < size:
            received[0] += len(connection.recv_some())
        connection.send(answer(200))

    server = scripted(handler)
    with path.open("rb") as file:
        tracemalloc.start()
        try:
            assert reqkit.post(server(), data=file).status_code == 200
            assert tracemalloc.get_traced_memory()[1] < 2_000_000
        finally:
            tracemalloc.stop()
    assert received == [size]
