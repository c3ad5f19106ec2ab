"""``files={"f": Path(...)}``: opened when it is sent, and closed whatever ends that."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.waiting import until
from servers.wsgi import WSGIServer

Scripted = Callable[..., ScriptedServer]
LARGE = 3 << 20
SIZES = pytest.mark.parametrize("size", [0, 5, LARGE])


def made(folder: Path, size: int, name: str = "the file.bin") -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def is_open(path: Path) -> bool:
    for one in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{one}") == str(path):
                return True
        except OSError:
            continue
    return False


@SIZES
def test_a_file_is_sent_with_its_name_and_length(
    echo: ScriptedServer, tmp_path: Path, size: int
) -> None:
    path = made(tmp_path, size)
    response = reqkit.post(echo(), files={"f": path}, data={"a": "1"}, prefetch=True)
    assert response.status_code == 200
    [request] = echo.requests
    assert request.get("Content-Length") == str(len(request.body))
    assert request.get("Transfer-Encoding") is None
    assert b'name="f"; filename="the file.bin"\r\n\r\n' + path.read_bytes() + b"\r\n--" in (
        request.body
    )
    assert not is_open(path)


@SIZES
def test_in_tuples_and_lists(echo: ScriptedServer, tmp_path: Path, size: int) -> None:
    path = made(tmp_path, size)
    files: Any = {"one": ("n.txt", path, "text/x"), "several": [path, path]}
    reqkit.put(echo(), files=files, prefetch=True)
    [request] = echo.requests
    assert request.body.count(path.read_bytes() + b"\r\n--") >= 3
    assert b'filename="n.txt"\r\nContent-Type: text/x\r\n' in request.body


@SIZES
def test_sent_again_it_is_opened_again(echo: ScriptedServer, tmp_path: Path, size: int) -> None:
    path = made(tmp_path, size)
    request = reqkit_async.post(echo(), files={"f": path})
    for content in (b"first" * size, b"and another"):
        path.write_bytes(content)
        [response] = reqkit_async.map([request])
        assert response.status_code == 200
        assert content + b"\r\n--" in echo.requests[-1].body
        assert not is_open(path)


@SIZES
def test_redirected_it_is_sent_again(httpbin: WSGIServer, tmp_path: Path, size: int) -> None:
    path = tmp_path / "text"
    path.write_text("x" * size)
    url = httpbin("/redirect-to")
    response = reqkit.post(
        url, params={"url": httpbin("/post"), "status_code": 307}, files={"f": path}
    )
    assert response.json()["files"] == {"f": "x" * size}
    assert [one.status_code for one in response.history] == [307]
    assert not is_open(path)


@pytest.mark.parametrize("many", [False, True])
def test_what_is_no_file_is_said_before_anything_is_sent(
    echo: ScriptedServer, tmp_path: Path, many: bool
) -> None:
    os.mkfifo(tmp_path / "pipe")
    kinds = {"none": FileNotFoundError, ".": ValueError, "pipe": ValueError}
    for name, kind in kinds.items():
        with pytest.raises(kind, match=r"files\['f'\]") as caught:
            if many:
                requests = [reqkit_async.post(echo(), files={"f": tmp_path / name})]
                reqkit_async.map(requests, raise_errors=True)
            else:
                reqkit.post(echo(), files={"f": tmp_path / name})
        assert str(tmp_path) in str(caught.value)
    assert echo.requests == []


def refuse(connection: Connection) -> None:
    connection.recv_head()
    connection.reset()


def answer_at_once(connection: Connection) -> None:
    connection.recv_head()
    connection.send(answer(413))
    connection.close()


def never_read(connection: Connection) -> None:
    connection.recv_head()
    connection.server.stopping.wait()


@pytest.mark.parametrize("handler", [refuse, answer_at_once, never_read])
@pytest.mark.parametrize("many", [False, True])
def test_a_file_is_closed_whatever_ends_the_sending(
    scripted: Scripted, tmp_path: Path, handler: Any, many: bool
) -> None:
    path = made(tmp_path, 64 << 20)
    url = scripted(handler)()
    if many:
        [kept] = reqkit_async.map([reqkit_async.post(url, files={"f": path}, timeout=(5, 0.3))])
    else:
        config: Any = {"safe_mode": True}
        kept = reqkit.post(url, files={"f": path}, timeout=(5, 0.3), config=config)
    assert kept.error is not None or kept.status_code == 413
    assert not is_open(path)  # though the error is kept


def test_a_file_is_closed_where_its_request_is_stopped(scripted: Scripted, tmp_path: Path) -> None:
    path = made(tmp_path, 64 << 20)
    greenlet = reqkit_async.send(reqkit_async.post(scripted(never_read)(), files={"f": path}))
    with gevent.Timeout(20):
        until(lambda: is_open(path))
    greenlet.kill()
    assert not is_open(path)


def test_what_has_become_shorter_is_an_error(echo: ScriptedServer, tmp_path: Path) -> None:
    path = made(tmp_path, LARGE)
    with reqkit.Session() as session:
        prepared = session.prepare_request(reqkit.Request("POST", echo(), files={"f": path}))
        path.write_bytes(b"short")
        with pytest.raises(reqkit.RequestException, match="ended after 5 of the 3145728 bytes"):
            session.send(prepared)
        path.unlink()
        with pytest.raises(reqkit.RequestException, match=r"reading the body .* failed"):
            session.send(prepared)
