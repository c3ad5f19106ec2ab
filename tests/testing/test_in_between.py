"""What comes in between: signals' handlers that send, answers that are none, while one records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import reqkit
from reqkit import testing
from servers.messages import answer
from servers.scripted import ScriptedServer

Start = Callable[..., ScriptedServer]


def test_a_handler_may_send_while_a_router_is_at_work() -> None:
    with testing.Router() as router:
        router.get("http://a.example/").answer(200, "ok")
        with router._lock:  # as a signal's handler finds it
            assert reqkit.get("http://a.example/").text == "ok"


@pytest.mark.parametrize(
    ("body", "fields", "error"),
    [
        (b"no size\r\n", [("Transfer-Encoding", "chunked")], reqkit.ChunkedEncodingError),
        (b"no gzip", [("Content-Encoding", "gzip")], reqkit.ContentDecodingError),
    ],
)
def test_an_answer_that_cannot_be_read_is_left_out_of_a_recording(
    scripted: Start,
    tmp_path: Path,
    body: bytes,
    fields: list[tuple[str, str]],
    error: type[Exception],
) -> None:
    broken = answer(200, body, fields, length=error is reqkit.ContentDecodingError)
    server = scripted([broken, answer(200, b"good")])
    path = tmp_path / "recording.json"
    with testing.Recording(path) as recording:
        with pytest.raises(error, match=server("/broken")):
            reqkit.get(server("/broken"), prefetch=True)
        assert reqkit.get(server("/good")).text == "good"
    assert [one["request"]["url"] for one in recording.exchanges] == [server("/good")]
    server.wait_for_no_connections()
