"""nginx: kept connections, gzip, ranges, chunks, validators, uploads, TLS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.exceptions import SSLError
from servers.daemons import DOCUMENTS, Daemon
from servers.tls import Authority

Send = Callable[..., reqkit.Response]


def test_a_connection_is_kept(nginx: Daemon, session: reqkit.Session, send: Send) -> None:
    seen = [send(nginx("/facts"), session=session).text.split()[:2] for _ in range(5)]
    assert len({connection for connection, _ in seen}) == 1
    assert [count for _, count in seen] == ["1", "2", "3", "4", "5"]
    # Bodies of every framing leave it fit for the next.
    for path in ("/big.bin", "/words.json", "/redirect/", "/no-such-file", "/small.txt"):
        assert send(nginx(path), session=session).content
        send(nginx("/small.txt"), session=session, headers={"Range": "bytes=0-9"})
    received = send(nginx("/facts"), session=session).text.split()
    assert received[0] == seen[0][0]
    assert received[1] == "17"  # a redirect is two


def test_a_batch_uses_few_connections(nginx: Daemon, session: reqkit.Session) -> None:
    requests = [reqkit_async.get(nginx("/facts"), session=session) for _ in range(300)]
    responses = reqkit_async.map(requests, size=10)
    connections = {response.text.split()[0] for response in responses}
    assert [response.status_code for response in responses] == [200] * 300
    assert len(connections) <= 10


def test_without_keeping(nginx: Daemon, send: Send) -> None:
    seen = {send(nginx("/facts"), config={"keep_alive": False}).text for _ in range(3)}
    assert len(seen) == 3


def test_gzip_comes_in_chunks(nginx: Daemon, send: Send) -> None:
    response = send(nginx("/words.json"))
    assert response.headers["Content-Encoding"] == "gzip"
    assert response.headers["Transfer-Encoding"] == "chunked"
    assert response.content == DOCUMENTS["words.json"]
    assert response.json() == {"words": ["word"] * 2000}
    plain = send(nginx("/words.json"), headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert plain.content == DOCUMENTS["words.json"]


def test_a_lazy_body(nginx: Daemon, session: reqkit.Session) -> None:
    for _ in range(2):
        response = session.get(nginx("/big.bin"))
        pieces = list(response.iter_content(100_000))
        assert b"".join(pieces) == DOCUMENTS["big.bin"]
        assert {len(piece) for piece in pieces[:-1]} == {100_000}
        response = session.get(nginx("/small.txt"))
        assert list(response.iter_lines()) == [b"small"] * 170
    assert session.get(nginx("/facts")).text.split()[1] == "5"


def test_a_range(nginx: Daemon, send: Send) -> None:
    response = send(nginx("/big.bin"), headers={"Range": "bytes=1000-1999"})
    assert response.status_code == 206
    assert response.headers["Content-Range"] == f"bytes 1000-1999/{len(DOCUMENTS['big.bin'])}"
    assert response.content == DOCUMENTS["big.bin"][1000:2000]
    several = send(nginx("/big.bin"), headers={"Range": "bytes=0-1,4-5"})
    assert several.headers["Content-Type"].startswith("multipart/byteranges")
    beyond = send(nginx("/big.bin"), headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416


def test_what_has_not_changed_is_not_sent_again(nginx: Daemon, send: Send) -> None:
    first = send(nginx("/small.txt"))
    for headers in (
        {"If-None-Match": first.headers["ETag"]},
        {"If-Modified-Since": first.headers["Last-Modified"]},
    ):
        again = send(nginx("/small.txt"), headers=headers)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]


def test_head(nginx: Daemon, session: reqkit.Session) -> None:
    response = session.head(nginx("/big.bin"))
    assert response.headers["Content-Length"] == str(len(DOCUMENTS["big.bin"]))
    assert response.content == b""
    assert session.head(nginx("/redirect/")).status_code == 302
    assert session.get(nginx("/facts")).text.split()[1] == "3"


def test_a_download(nginx: Daemon, tmp_path: Path, session: reqkit.Session) -> None:
    received: list[tuple[int, int | None]] = []

    def progress(done: int, total: int | None) -> None:
        received.append((done, total))

    path = session.get(nginx("/big.bin")).download(tmp_path / "big.bin", progress=progress)
    size = len(DOCUMENTS["big.bin"])
    assert path.read_bytes() == DOCUMENTS["big.bin"]
    assert received[-1] == (size, size)
    assert [each.name for each in tmp_path.iterdir()] == ["big.bin"]


@pytest.mark.parametrize("path", ["/big.bin", "/words.json"])
def test_a_download_is_resumed(
    path: str, nginx: Daemon, tmp_path: Path, session: reqkit.Session
) -> None:
    name = path.strip("/")
    document = DOCUMENTS[name]

    class Interrupted(BaseException):
        pass

    def interrupt(done: int, total: int | None) -> None:
        if done >= 1000:
            raise Interrupted

    with pytest.raises(Interrupted):
        session.get(nginx(path)).download(tmp_path / name, resume=True, progress=interrupt)
    part = tmp_path / f"{name}.part"
    kept = part.read_bytes()
    assert kept
    assert document.startswith(kept)
    assert not (tmp_path / name).exists()
    if len(kept) == len(document):
        # It had come whole with the head: cut it, as a process that ends would.
        kept = kept[:1000]
        part.write_bytes(kept)

    ranges: list[Any] = []

    def note(prepared: reqkit.PreparedRequest) -> None:
        ranges.append(prepared.headers.get("Range"))

    session.hooks = {"pre_request": note}
    begun: list[int] = []
    session.get(nginx(path)).download(
        tmp_path / name, resume=True, progress=lambda done, total: begun.append(done)
    )
    assert (tmp_path / name).read_bytes() == document
    assert ranges[-1] == f"bytes={len(kept)}-"
    assert begun[0] >= len(kept)
    assert not part.exists()


def test_uploads(nginx: Daemon, session: reqkit.Session, tmp_path: Path) -> None:
    big = bytes(range(256)) * 20_000
    assert session.put(nginx("/dav/bytes"), data=big).status_code == 201
    assert session.get(nginx("/dav/bytes")).content == big
    (tmp_path / "file").write_bytes(big)
    with (tmp_path / "file").open("rb") as file:
        assert session.put(nginx("/dav/file"), data=file).status_code == 201
    assert session.get(nginx("/dav/file")).content == big
    pieces = (big[at : at + 7000] for at in range(0, len(big), 7000))
    assert session.put(nginx("/dav/pieces"), data=pieces).status_code == 201
    assert session.get(nginx("/dav/pieces")).content == big
    assert session.delete(nginx("/dav/pieces")).status_code == 204
    assert session.get(nginx("/dav/pieces")).status_code == 404


def test_a_body_too_large_is_an_answer(nginx: Daemon, send: Send, session: reqkit.Session) -> None:
    response = session.put(nginx("/dav/too-large"), data=b"x" * (65 * 1024 * 1024))
    assert response.status_code == 413
    assert send(nginx("/facts"), session=session).ok


def test_tls(nginx: Daemon, ca_bundle: str, session: reqkit.Session, send: Send) -> None:
    session.verify = ca_bundle
    for _ in range(2):
        assert send(nginx.secure("/big.bin"), session=session).content == DOCUMENTS["big.bin"]
        assert send(nginx.secure("/words.json"), session=session).json()
    assert send(nginx.secure("/facts"), session=session).text.split()[1] == "5"
    with pytest.raises(SSLError, match="'localhost'"):
        send(nginx.secure("/facts"), verify=True)
    with pytest.raises(SSLError, match="is it plain http"):
        send(nginx("/facts").replace("http:", "https:"))


def test_tls_sessions_are_resumed(
    nginx: Daemon, authority: Authority, tmp_path: Path, send: Send
) -> None:
    bundle = tmp_path / "ca.pem"  # one of which nobody has a session yet
    bundle.write_bytes(authority.bundle.read_bytes())
    keywords: dict[str, Any] = {"verify": bundle, "config": {"keep_alive": False}}
    seen = [send(nginx.secure("/facts"), **keywords).text.split()[2] for _ in range(4)]
    assert seen == [".", "r", "r", "r"]


@pytest.mark.parametrize("form", ["one file", "pair", "none", "another's"])
def test_a_clients_certificate(
    form: str,
    nginx: Daemon,
    authority: Authority,
    other_authority: Authority,
    ca_bundle: str,
    send: Send,
) -> None:
    given: Any = None
    if form == "one file":
        given = authority.client_in_one()
    elif form == "pair":
        given = authority.client()
    elif form == "another's":
        given = other_authority.client()
    response = send(nginx.secure_for_clients("/facts"), cert=given, verify=ca_bundle)
    if form in ("one file", "pair"):
        assert response.text.split()[-1] == "SUCCESS"
    else:
        # nginx makes the handshake, and says it in HTTP.
        assert response.status_code == 400
        assert "SSL certificate" in response.text


def test_many_over_tls_at_once(nginx: Daemon, ca_bundle: str, session: reqkit.Session) -> None:
    session.verify = ca_bundle
    requests = [reqkit_async.get(nginx.secure("/big.bin"), session=session) for _ in range(40)]
    responses = reqkit_async.map(requests, size=20)
    assert all(response.content == DOCUMENTS["big.bin"] for response in responses)
