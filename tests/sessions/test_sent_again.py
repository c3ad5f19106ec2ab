"""A request that is sent again says the same again, or says that it cannot."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.exceptions import UnrewindableBodyError
from servers.scripted import ScriptedServer

WHOLE = bytes(range(256)) * 1200  # several pieces
TEXT = "aé€" * 60_000


def generated() -> Iterator[bytes]:
    yield b"first"
    yield b"second"


class Pipe:
    """What can be read but not sought."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)


def file(path: Path) -> Any:
    (path / "whole").write_bytes(WHOLE)
    return open(path / "whole", "rb")


def file_from_within(path: Path) -> Any:
    opened = file(path)
    opened.seek(1000)
    return opened


def text(path: Path) -> Any:
    (path / "text").write_text(TEXT, encoding="utf-8")
    return open(path / "text", encoding="utf-8")


def memory(path: Path) -> Any:
    return io.BytesIO(WHOLE[:50])


#: What makes a body, and what of it is received.
FILES: dict[str, tuple[Callable[[Path], Any], bytes]] = {
    "file": (file, WHOLE),
    "file from within": (file_from_within, WHOLE[1000:]),
    "text": (text, TEXT.encode()),
    "BytesIO": (memory, WHOLE[:50]),
}
ONCE: dict[str, Callable[[], Any]] = {
    "generator": generated,
    "map": lambda: map(bytes, [b"first", b"second"]),
    "pipe": lambda: Pipe(b"firstsecond"),
}


def by_send(request: reqkit.Request) -> reqkit.Response:
    return request.send()


def in_a_map(request: reqkit.Request) -> reqkit.Response:
    [response] = reqkit_async.map([request])
    assert isinstance(response, reqkit.Response)
    if response.error is not None:
        raise response.error
    return response


def by_a_session(request: reqkit.Request) -> reqkit.Response:
    with reqkit.Session() as session:
        return session.send(session.prepare_request(request), prefetch=True)


WAYS = (by_send, in_a_map, by_a_session)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_sent_from_where_it_was(
    echo: ScriptedServer, tmp_path: Path, name: str, way: Any
) -> None:
    make, expected = FILES[name]
    with make(tmp_path) as body:
        request = reqkit.Request("POST", echo(), data=body)
        for _ in range(3):
            assert way(request).status_code == 200
    assert [received.body for received in echo.requests] == [expected] * 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ONCE)
def test_what_can_be_read_but_once_is_an_error_and_never_a_shorter_body(
    echo: ScriptedServer, name: str, way: Any
) -> None:
    request = reqkit.Request("POST", echo(), data=ONCE[name]())
    assert way(request).status_code == 200
    with pytest.raises(UnrewindableBodyError, match="sent already"):
        way(request)
    assert [received.body for received in echo.requests] == [b"firstsecond"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FILES)
def test_files_of_a_multipart_body(
    echo: ScriptedServer, tmp_path: Path, name: str, way: Any
) -> None:
    make, expected = FILES[name]
    with make(tmp_path) as body:
        request = reqkit.Request("POST", echo(), files={"a": ("n", body), "b": ("m", body)})
        for _ in range(2):
            assert way(request).status_code == 200
    for received in echo.requests:
        assert received.body.count(expected) == 2


@pytest.mark.parametrize("way", WAYS)
def test_a_generator_in_a_multipart_body(echo: ScriptedServer, way: Any) -> None:
    request = reqkit.Request("POST", echo(), files={"a": ("n", generated())})
    assert way(request).status_code == 200
    with pytest.raises(UnrewindableBodyError):
        way(request)
    assert len(echo.requests) == 1


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [1, 3])
def test_one_request_several_times_in_a_batch(
    echo: ScriptedServer, tmp_path: Path, name: str, size: int
) -> None:
    make, expected = FILES[name]
    with make(tmp_path) as body:
        request = reqkit_async.post(echo(), data=body)
        responses = reqkit_async.map([request, request, request], size=size)
    assert [response.status_code for response in responses] == [200] * 3
    assert [received.body for received in echo.requests] == [expected] * 3


def test_a_generator_several_times_in_a_batch(echo: ScriptedServer) -> None:
    request = reqkit_async.post(echo(), data=generated())
    responses = reqkit_async.map([request, request, request])
    assert sorted(str(response.status_code) for response in responses) == ["200", "None", "None"]
    assert [received.body for received in echo.requests] == [b"firstsecond"]


def test_one_file_in_threads(echo: ScriptedServer, tmp_path: Path) -> None:
    with file(tmp_path) as body, reqkit.Session() as session, ThreadPoolExecutor(4) as threads:
        request = reqkit.Request("POST", echo(), data=body, session=session)
        started = threading.Barrier(4)

        def send(one: int) -> int | None:
            started.wait(20)
            return session.send(request.prepare()).status_code

        assert list(threads.map(send, range(40))) == [200] * 40
    assert [received.body for received in echo.requests] == [WHOLE] * 40


@pytest.mark.parametrize("name", FILES)
def test_a_prepared_message_twice(echo: ScriptedServer, tmp_path: Path, name: str) -> None:
    make, expected = FILES[name]
    with make(tmp_path) as body, reqkit.Session() as session:
        prepared = session.prepare_request(reqkit.Request("POST", echo(), data=body))
        for _ in range(2):
            assert session.send(prepared).status_code == 200
        assert session.send(prepared.copy()).status_code == 200
    assert [received.body for received in echo.requests] == [expected] * 3


@pytest.mark.parametrize("name", ONCE)
def test_a_prepared_message_twice_that_can_be_sent_once(echo: ScriptedServer, name: str) -> None:
    with reqkit.Session() as session:
        prepared = session.prepare_request(reqkit.Request("POST", echo(), data=ONCE[name]()))
        assert session.send(prepared).status_code == 200
        for again in (prepared, prepared.copy()):
            with pytest.raises(UnrewindableBodyError):
                session.send(again)
    assert len(echo.requests) == 1


def test_a_body_put_in_by_hand_is_sent_from_where_it_was(echo: ScriptedServer) -> None:
    with reqkit.Session() as session:
        prepared = session.prepare_request(reqkit.Request("POST", echo()))
        prepared.body = io.BytesIO(b"0123")
        prepared.body.read(1)
        for _ in range(2):
            assert session.send(prepared).status_code == 200
    assert [received.body for received in echo.requests] == [b"123"] * 2


def test_what_was_never_begun_may_still_be_sent(echo: ScriptedServer, closed_port: int) -> None:
    request = reqkit.Request("POST", f"http://127.0.0.1:{closed_port}/", data=generated())
    with pytest.raises(reqkit.ConnectionError):
        request.send()
    request.url = echo()
    assert request.send().status_code == 200
    assert [received.body for received in echo.requests] == [b"firstsecond"]


def test_a_generator_that_was_read_before(echo: ScriptedServer) -> None:
    used = generated()
    list(used)
    with pytest.raises(UnrewindableBodyError, match="read to its end already"):
        reqkit.post(echo(), data=used)


def test_a_file_closed_in_between(echo: ScriptedServer) -> None:
    body = io.BytesIO(b"abc")
    request = reqkit.Request("POST", echo(), data=body)
    assert request.send().status_code == 200
    body.close()
    with pytest.raises(UnrewindableBodyError, match="keep the file open"):
        request.send()


def test_other_data_is_other_data(echo: ScriptedServer) -> None:
    request = reqkit.Request("POST", echo(), data=io.BytesIO(b"abc"))
    request.send()
    request.data = io.BytesIO(b"defg")
    request.send()
    request.data = b"h"
    request.send()
    assert [received.body for received in echo.requests] == [b"abc", b"defg", b"h"]


@pytest.mark.parametrize("argument", ["params", "headers"])
def test_pairs_that_come_from_a_generator(echo: ScriptedServer, argument: str) -> None:
    pairs = (pair for pair in [("A", "1"), ("B", "2")])
    request = reqkit_async.get(echo(), **{argument: pairs})
    reqkit_async.map([request])
    reqkit_async.map([request])
    first, second = echo.requests
    assert (first.target, first.fields) == (second.target, second.fields)
    assert first.get("B") == "2" or first.target.endswith("?A=1&B=2")


def test_a_file_that_a_hook_reads(echo: ScriptedServer) -> None:
    body = io.BytesIO(WHOLE)
    hooks = {"pre_request": lambda prepared: prepared.body.read(10) and None}
    reqkit.post(echo(), data=body, hooks=hooks)
    assert [received.body for received in echo.requests] == [WHOLE]
