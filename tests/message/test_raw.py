"""``response.raw`` has what users of urllib3 ask of it; errors keep their response."""

from __future__ import annotations

import copy
import gzip
import io
import pickle
import shutil
from collections.abc import Callable
from typing import Any

import pytest

import reqkit
from servers.messages import answer
from servers.scripted import ScriptedServer

Scripted = Callable[..., ScriptedServer]
BODY = b"first\nsecond\nthird" * 10_000
CODED = gzip.compress(BODY)
FIELDS = [("X-A", "1"), ("X-A", "2"), ("X-B", "3")]


def fetch(scripted: Scripted, body: bytes = BODY, *more: tuple[str, str]) -> Any:
    return reqkit.get(scripted([answer(200, body, [*FIELDS, *more])])("/x?y=1"))


def test_the_head_by_the_names_of_urllib3(scripted: Scripted) -> None:
    response = fetch(scripted)
    raw = response.raw
    for headers in (raw.headers, raw.getheaders(), raw.info()):
        assert headers.getlist("x-a") == ["1", "2"]
        assert headers["X-B"] == "3"
    assert raw.getheader("x-b") == "3"
    assert raw.geturl() == raw.url == response.url


def test_tell_counts_what_came_over_the_wire(scripted: Scripted) -> None:
    raw = fetch(scripted, CODED, ("Content-Encoding", "gzip")).raw
    assert raw.tell() == 0
    assert raw.read(10, decode_content=True) == BODY[:10]
    assert 0 < raw.tell() <= len(CODED)
    assert raw.read(decode_content=True) == BODY[10:]
    assert raw.tell() == len(CODED)


def test_tell_of_what_was_read_already(scripted: Scripted) -> None:
    response = fetch(scripted)
    assert response.content == BODY
    assert response.raw.tell() == len(BODY)


def read_all(raw: Any) -> None:
    assert raw.read() == BODY


def read_piecewise(raw: Any) -> None:
    shutil.copyfileobj(raw, target := io.BytesIO())
    assert target.getvalue() == BODY


def stream(raw: Any) -> None:
    assert b"".join(raw.stream(1000)) == BODY


def drain(raw: Any) -> None:
    raw.drain_conn()


def close(raw: Any) -> None:
    raw.close()


@pytest.mark.parametrize("use", [read_all, read_piecewise, stream, drain, close])
def test_raw_is_closed_after_use(scripted: Scripted, use: Callable[[Any], None]) -> None:
    raw = fetch(scripted).raw
    assert not raw.closed
    use(raw)
    assert raw.closed
    assert raw.isclosed()
    assert raw.read() == b""
    assert raw.read(5) == b""
    raw.close()
    assert raw.closed


@pytest.mark.parametrize("look_first", [False, True])
def test_raw_is_closed_after_the_content_was_read(scripted: Scripted, look_first: bool) -> None:
    response = fetch(scripted)
    if look_first:
        assert not response.raw.closed
    assert response.content == BODY
    assert response.raw.closed
    assert response.raw.read() == b""


def test_before_its_end_it_is_open(scripted: Scripted) -> None:
    raw = fetch(scripted).raw
    for _ in range(3):
        assert raw.read(len(BODY) // 4)
        assert not raw.closed
    assert raw.read(0) == b""
    assert not raw.closed


def test_wrapped_in_other_files(scripted: Scripted) -> None:
    """These ask whether it is closed before each step, and so must be told of the end first."""
    text = io.TextIOWrapper(fetch(scripted).raw)
    assert [line.strip() for line in text] == BODY.decode().split("\n")
    buffered = io.BufferedReader(fetch(scripted).raw)
    assert b"".join(buffered) == BODY
    assert buffered.read() == b""
    unpacked = gzip.GzipFile(fileobj=fetch(scripted, CODED).raw)
    assert unpacked.read() == BODY
    assert b"".join(fetch(scripted).raw) == BODY
    assert fetch(scripted).raw.readlines() == BODY.splitlines(True)


def test_what_a_file_that_is_read_cannot(scripted: Scripted) -> None:
    raw = fetch(scripted).raw
    assert raw.readable()
    assert not raw.writable()
    assert not raw.seekable()
    for use in (lambda: raw.write(b"x"), lambda: raw.seek(0), raw.truncate, raw.fileno):
        with pytest.raises(io.UnsupportedOperation):
            use()
    assert raw.read() == BODY


@pytest.mark.parametrize(
    "carry", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_an_error_keeps_its_response(scripted: Scripted, carry: Callable[[Any], Any]) -> None:
    response = reqkit.get(scripted([answer(404, b"why", [("X-A", "1")])])("/x"))
    with pytest.raises(reqkit.HTTPError) as caught:
        response.raise_for_status()
    error = carry(caught.value)
    assert type(error) is reqkit.HTTPError
    assert str(error) == str(caught.value)
    assert error.response.status_code == 404
    assert error.response.content == b"why"
    assert error.response.headers["x-a"] == "1"
    assert error.request.url == response.url
