"""`reqkit.testing.Recording`: real exchanges to a file, and answers from it."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit import testing
from servers.http2 import Http2Server, Peer
from servers.messages import answer
from servers.scripted import ScriptedServer
from servers.tls import Authority
from servers.wsgi import WSGIServer

Send = Callable[..., reqkit.Response]


def use(server: WSGIServer) -> list[Any]:
    with reqkit.Session() as session:
        session.post(server("/post"), json={"name": "Ada", "password": "hunter2"})
        found = [
            session.get(server("/get?token=hunter2&x=1"), auth=("me", "hunter2")).json(),
            session.get(server("/gzip")).json()["gzipped"],
            session.get(server("/stream/3")).text,
            session.get(server("/bytes/64?seed=1")).content,
            session.get(server("/status/418")).status_code,
        ]
        [entry] = reqkit_async.map([reqkit_async.get(server("/get?n=7"))])
        return [found[0]["args"]["x"], *found[1:], entry.json()["args"]]


def test_what_was_recorded_is_answered(httpbin: WSGIServer, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "exchanges.json"
    with testing.Recording(path) as recording:
        first = use(httpbin)
        assert recording.recording
    assert len(json.loads(path.read_text())["exchanges"]) == 7
    with testing.Recording(path, record=False) as recording:
        assert use(httpbin) == first
        assert not recording.recording


def test_over_tls(httpbin_secure: WSGIServer, tmp_path: Path, ca_bundle: str, send: Send) -> None:
    for _ in range(2):
        with testing.Recording(tmp_path / "r.json"):
            response = send(httpbin_secure("/get?a=b"), verify=ca_bundle)
            assert response.json()["args"] == {"a": "b"}


def test_secrets_are_not_written(httpbin: WSGIServer, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with testing.Recording(path, hide=["X-Ours"]):
        use(httpbin)
        with reqkit.Session() as session:
            session.get(httpbin("/cookies/set/session/hunter2"))
            session.get(httpbin("/get"), headers={"X-Ours": "hunter2", "X-Api-Key": "hunter2"})
            session.post(httpbin("/post"), data={"access_token": "hunter2", "a": "b"})
            session.get(httpbin("/bearer"), auth=reqkit.auth.HTTPBearerAuth("hunter2"))
    text = path.read_text()
    assert "hunter2" not in text
    assert "Ada" in text
    assert "(hidden)" in text


def test_the_file_can_be_read_by_people(
    scripted: Callable[..., ScriptedServer], tmp_path: Path
) -> None:
    body = gzip.compress("naïve".encode())
    server = scripted(
        [
            b"HTTP/1.1 200 Fine\r\nContent-Encoding: gzip\r\nContent-Type: text/plain\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        ]
    )
    with testing.Recording(tmp_path / "r.json"):
        reqkit.get(server("/a"), prefetch=True)
    [exchange] = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["exchanges"]
    assert exchange["answer"] == {
        "status": 200,
        "reason": "Fine",
        "headers": [["Content-Type", "text/plain"]],
        "body": "naïve",
    }
    assert exchange["request"]["method"] == "GET"


def test_what_is_not_recorded_is_an_error(httpbin: WSGIServer, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    with testing.Recording(path):
        reqkit.get(httpbin("/get?a=1"))
        reqkit.post(httpbin("/post"), data=b"one")
    with pytest.raises(AssertionError, match="no answer for"), testing.Recording(path):
        with pytest.raises(testing.UnexpectedRequest, match=r"nearest is GET .*/get\?a=1"):
            reqkit.get(httpbin("/get?a=2"))
        with pytest.raises(testing.UnexpectedRequest, match="another body"):
            reqkit.post(httpbin("/post"), data=b"two")
        assert reqkit.get(httpbin("/get?a=1")).ok
        with pytest.raises(testing.UnexpectedRequest, match="answered already"):
            reqkit.get(httpbin("/get?a=1"))


def test_a_failed_test_writes_nothing(httpbin: WSGIServer, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), testing.Recording(tmp_path / "r.json"):
        reqkit.get(httpbin("/get"))
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_was_not_read_breaks_off(
    scripted: Callable[..., ScriptedServer], tmp_path: Path
) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\n" + b"x" * 200_000
    server = scripted([answer])
    with testing.Recording(tmp_path / "r.json"), reqkit.get(server("/")) as response:
        assert next(response.iter_content(10)) == b"x" * 10
    with testing.Recording(tmp_path / "r.json"):
        response = reqkit.get(server("/"), prefetch=False)
        with pytest.raises(reqkit.ChunkedEncodingError):
            response.content  # noqa: B018


def test_recording_anew(httpbin: WSGIServer, tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    for number in range(2):
        with testing.Recording(path, record=True):
            reqkit.get(httpbin(f"/get?n={number}"))
    assert "n=1" in path.read_text()
    assert "n=0" not in path.read_text()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"reqkit_recording": 99, "exchanges": []}'])
def test_a_file_that_is_no_recording(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"r\.json"), testing.Recording(path):
        pass
    assert path.read_text() == content
    with pytest.raises(FileNotFoundError), testing.Recording(tmp_path / "none", record=False):
        pass


class BothWires(Http2Server):
    """Speaks HTTP/2, and HTTP/1.1 with who does not ask for it; answers with the body that came."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(lambda request: request.answer(request.read()), tls=tls)
        self.by_http1 = 0

    def _serve(self, sock: Any) -> None:
        assert self.tls is not None
        with self.tls.wrap_socket(sock, server_side=True) as wrapped:
            if wrapped.selected_alpn_protocol() == "h2":
                peer = Peer(self, wrapped, len(self.peers) + 1)
                self.peers.append(peer)
                peer.run()
                return
            with wrapped.makefile("rb") as file:
                while line := file.readline():
                    length = 0
                    while (line := file.readline()) != b"\r\n":
                        name, _, value = line.partition(b":")
                        length = int(value) if name.lower() == b"content-length" else length
                    self.by_http1 += 1
                    wrapped.sendall(answer(200, file.read(length)))


@pytest.mark.parametrize("http2", [None, "auto", True, False])
def test_where_servers_speak_http2(
    authority: Authority, ca_bundle: str, tmp_path: Path, http2: Any
) -> None:
    """It is recorded by HTTP/1.1, whatever was spoken before, and answered from the file."""
    n = 8
    config: Any = {} if http2 is None else {"http2": http2}
    usual = 11 if http2 is False else 20
    shown: list[Any] = []
    with (
        BothWires(authority.server()) as server,
        reqkit.Session(verify=ca_bundle, config=config) as session,
    ):
        [before] = reqkit_async.map([reqkit_async.get(server("/a"), session=session)])
        for record in (True, False):
            with testing.Recording(tmp_path / "r.json", record=record):
                requests = [
                    reqkit_async.post(server(f"/{k}"), data=b"x" * k, session=session)
                    for k in range(n)
                ]
                entries = [
                    *reqkit_async.map(requests, size=4), session.get(server("/b"), prefetch=True),
                ]  # fmt: skip
                shown.append([(entry.error, entry.version, entry.content) for entry in entries])
        [after] = reqkit_async.map([reqkit_async.get(server("/c"), session=session)])
    assert (before.version, after.version) == (usual, usual)
    assert shown[0] == [(None, 11, b"x" * k) for k in range(n)] + [(None, 11, b"")]
    assert shown[1] == shown[0]
    assert server.by_http1 == n + 1 + (2 if http2 is False else 0)  # none for what was replayed
