"""Bodies to disk: whole or not at all, and taken up where they broke off."""

from __future__ import annotations

import os
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import reqkit
from servers.messages import Received, answer, chunks
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]

DATA = bytes(range(256)) * 2000
HALF = len(DATA) // 2
TAG = '"v1"'


class Shop:
    """A server's handler that knows ranges: it gives one file, and notes what it was asked for.

    Attributes:
        tag, modified: the file's validators.
        cut: break the connection after so many bytes of the body, once.
        heeds: whether If-Range is looked at.
    """

    def __init__(self, data: bytes = DATA, tag: str | None = TAG) -> None:
        self.data = data
        self.tag = tag
        self.modified: str | None = None
        self.date: str | None = None
        self.cut: int | None = None
        self.heeds = True
        self.ranges = True
        self.asked: list[tuple[str | None, str | None]] = []

    def __call__(self, connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            self.asked.append((request.get("Range"), request.get("If-Range")))
            whole = self.answer(request)
            if self.cut is not None:
                start = whole.index(b"\r\n\r\n") + 4
                connection.send(whole[: start + self.cut])
                self.cut = None
                return
            connection.send(whole)

    def answer(self, request: Received) -> bytes:
        fields = [("ETag", self.tag)] if self.tag else []
        if self.modified:
            fields.append(("Last-Modified", self.modified))
        if self.date:
            fields.append(("Date", self.date))
        wanted, version = request.get("Range"), request.get("If-Range")
        if not wanted or not self.ranges:
            return answer(200, self.data, fields)
        if self.heeds and version not in (self.tag, self.modified):
            return answer(200, self.data, fields)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        size = len(self.data)
        if start >= size:
            return answer(416, b"no", [*fields, ("Content-Range", f"bytes */{size}")])
        fields.append(("Content-Range", f"bytes {start}-{size - 1}/{size}"))
        return answer(206, self.data[start:], fields)


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file to be written, in a folder of its own."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder / "file.bin"


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


def left(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent))


def broken_off(url: str, shop: Shop, path: Path, at: int = HALF) -> None:
    """Have a download break off, so that its part is there."""
    shop.cut = at
    with pytest.raises(reqkit.ChunkedEncodingError):
        reqkit.get(url).download(path)
    shop.asked.clear()


def serving(scripted: Scripted, path: Path, *answers: bytes) -> ScriptedServer:
    """Return a server that gives these answers, after one that broke off half-way."""
    given = list(answers)

    def handler(connection: Connection) -> None:
        if connection.number == 1:
            connection.recv_request()
            whole = answer(200, DATA, [("ETag", TAG)])
            connection.send(whole[: -len(DATA) + HALF])
            return
        while connection.recv_request() is not None:
            connection.send(given.pop(0))

    server = scripted(handler)
    with pytest.raises(reqkit.ChunkedEncodingError):
        reqkit.get(server()).download(path)
    return server


# -- whole


def test_a_body_is_written_beside_and_renamed(scripted: Scripted, shop: Shop, path: Path) -> None:
    seen: list[tuple[bool, bool]] = []

    def progress(done: int, total: int | None) -> None:
        seen.append((path.exists(), part_of(path).exists()))

    path.write_bytes(b"before")
    got = reqkit.get(scripted(shop)()).download(path, progress=progress)
    assert isinstance(got, Path)
    assert got == path
    assert path.read_bytes() == DATA
    assert left(path) == ["file.bin"]
    assert set(seen) == {(True, True)}  # the old file stays until the new one is whole


@pytest.mark.parametrize("prefetch", [True, False])
def test_a_path_may_be_a_str_or_a_folder(
    scripted: Scripted, shop: Shop, path: Path, prefetch: bool
) -> None:
    server = scripted(shop)
    assert reqkit.get(server(), prefetch=prefetch).download(str(path)) == path
    got = reqkit.get(server("/a/b%20c.bin?x=/y"), prefetch=prefetch).download(path.parent)
    assert got == path.parent / "b%20c.bin"
    assert got.read_bytes() == DATA
    assert reqkit.get(server("/..")).download(path.parent) == path.parent / "download"


def test_progress_is_told_in_bytes(scripted: Scripted, path: Path) -> None:
    server = scripted([
        answer(200, DATA),
        answer(200, chunks([DATA]), [("Transfer-Encoding", "chunked")], length=False),
        answer(200, b""),
    ])  # fmt: skip
    for size, total in ((len(DATA), len(DATA)), (len(DATA), None), (0, 0)):
        seen: list[tuple[int, int | None]] = []

        def progress(
            done: int, total: int | None, seen: list[tuple[int, int | None]] = seen
        ) -> None:
            seen.append((done, total))

        reqkit.get(server()).download(path, progress=progress)
        assert seen[0] == (0, total)
        assert seen[-1] == (size, total)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert {received for _, received in seen} == {total}


def test_a_progress_that_raises_is_a_warning(scripted: Scripted, shop: Shop, path: Path) -> None:
    def progress(done: int, total: int | None) -> None:
        if done:
            raise RuntimeError("no terminal")

    with pytest.warns(RuntimeWarning, match="progress raised RuntimeError: no terminal"):
        reqkit.get(scripted(shop)()).download(path, progress=progress)
    assert path.read_bytes() == DATA


def test_an_encoded_body_is_written_decoded(scripted: Scripted, path: Path) -> None:
    coded = zlib.compress(DATA)
    seen: list[int | None] = []
    server = scripted([answer(200, coded, [("Content-Encoding", "deflate")])])
    reqkit.get(server()).download(path, progress=lambda done, total: seen.append(total))
    assert path.read_bytes() == DATA
    assert set(seen) == {None}  # Content-Length is the encoded body's


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("status", [404, 500])
def test_an_error_writes_nothing(scripted: Scripted, path: Path, status: int, resume: bool) -> None:
    server = scripted([answer(status, b"not the file")] * 2)
    with pytest.raises(reqkit.HTTPError, match=str(status)):
        reqkit.get(server()).download(path, resume=resume)
    assert left(path) == []


@pytest.mark.parametrize(
    "body",
    [
        answer(200, b"x" * 999)[:-10],
        answer(200, chunks([b"x" * 999])[:-5], [("Transfer-Encoding", "chunked")], length=False),
    ],
)
def test_a_short_body_is_an_error_and_its_part_stays(
    scripted: Scripted, path: Path, body: bytes
) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(body)

    with pytest.raises(reqkit.ChunkedEncodingError):
        reqkit.get(scripted(handler)()).download(path)
    assert left(path) == ["file.bin.part", "file.bin.part.version"]


def test_memory_is_constant(scripted: Scripted, path: Path) -> None:
    size = 30_000_000

    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        piece = bytes(1_000_000)
        for _ in range(size // len(piece)):
            connection.send(piece)

    response = reqkit.get(scripted(handler)())
    tracemalloc.start()
    try:
        response.download(path)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert path.stat().st_size == size


# -- resumed


@pytest.mark.parametrize(
    ("tag", "modified", "version"),
    [
        (TAG, None, TAG),
        (None, "Wed, 01 Jan 2025 00:00:00 GMT", "Wed, 01 Jan 2025 00:00:00 GMT"),
        (TAG, "Wed, 01 Jan 2025 00:00:00 GMT", TAG),
    ],
)
def test_the_rest_is_asked_for(
    scripted: Scripted, shop: Shop, path: Path, tag: Any, modified: Any, version: str
) -> None:
    shop.tag, shop.modified = tag, modified
    server = scripted(shop)
    broken_off(server(), shop, path)
    assert part_of(path).read_bytes() == DATA[:HALF]
    seen: list[tuple[int, int | None]] = []
    session = reqkit.Session(headers={"X-Mine": "1"})
    response = session.get(server())
    response.download(path, resume=True, progress=lambda *now: seen.append(now))
    assert path.read_bytes() == DATA
    assert left(path) == ["file.bin"]
    assert shop.asked == [(None, None), (f"bytes={HALF}-", version)]
    assert server.requests[-1].get("Accept-Encoding") == "identity"
    assert server.requests[-1].get("X-Mine") == "1"
    assert seen[0] == (HALF, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))


@pytest.mark.parametrize(("tag", "asks"), [('W/"weak"', False), (None, False)])
def test_without_a_strong_validator_it_starts_anew(
    scripted: Scripted, shop: Shop, path: Path, tag: Any, asks: bool
) -> None:
    shop.tag = tag
    server = scripted(shop)
    broken_off(server(), shop, path)
    reqkit.get(server()).download(path, resume=True)
    assert path.read_bytes() == DATA
    assert any(wanted for wanted, _ in shop.asked) is asks
    assert left(path) == ["file.bin"]


NOON = "Wed, 01 Jan 2025 12:00:00 GMT"


@pytest.mark.parametrize(
    ("modified", "date", "asks"),
    [
        (NOON, "Wed, 01 Jan 2025 12:00:01 GMT", True),
        (NOON, NOON, False),  # it may have changed once more within that second
        (NOON, "Wed, 01 Jan 2025 11:00:00 GMT", False),
        ("Fri, 01 Jan 2100 00:00:00 GMT", None, False),
        ("yesterday", "Wed, 01 Jan 2025 12:00:01 GMT", False),
        (NOON, "now", False),
    ],
)
def test_a_date_vouches_once_a_second_has_passed(
    scripted: Scripted, shop: Shop, path: Path, modified: str, date: str | None, asks: bool
) -> None:
    """RFC 9110 section 8.8.2.2."""
    shop.tag, shop.modified, shop.date = None, modified, date
    server = scripted(shop)
    broken_off(server(), shop, path)
    reqkit.get(server()).download(path, resume=True)
    assert path.read_bytes() == DATA
    assert any(wanted for wanted, _ in shop.asked) is asks
    assert left(path) == ["file.bin"]


def test_a_200_starts_anew(scripted: Scripted, shop: Shop, path: Path) -> None:
    server = scripted(shop)
    broken_off(server(), shop, path)
    shop.ranges = False
    reqkit.get(server()).download(path, resume=True)
    assert path.read_bytes() == DATA
    assert shop.asked[-1] == (f"bytes={HALF}-", TAG)


@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize("longer", [True, False])
def test_another_version_comes_anew(
    scripted: Scripted, shop: Shop, path: Path, heeds: bool, longer: bool
) -> None:
    """Though the server may not heed If-Range, and send a part of the new version."""
    server = scripted(shop)
    broken_off(server(), shop, path)
    shop.tag, shop.heeds = '"v2"', heeds
    shop.data = DATA[::-1] * 2 if longer else DATA[::-1][: HALF // 2]
    reqkit.get(server()).download(path, resume=True)
    assert path.read_bytes() == shop.data
    assert left(path) == ["file.bin"]


def test_a_416_of_the_same_size_is_done(scripted: Scripted, shop: Shop, path: Path) -> None:
    server = scripted(shop)
    broken_off(server(), shop, path)
    part_of(path).write_bytes(DATA)
    assert reqkit.get(server()).download(path, resume=True) == path
    assert path.read_bytes() == DATA
    assert shop.asked == [(None, None), (f"bytes={len(DATA)}-", TAG)]
    assert left(path) == ["file.bin"]


def test_a_416_of_another_size_starts_anew(scripted: Scripted, shop: Shop, path: Path) -> None:
    server = scripted(shop)
    broken_off(server(), shop, path)
    part_of(path).write_bytes(DATA + b"more")
    reqkit.get(server()).download(path, resume=True)
    assert path.read_bytes() == DATA


def test_without_a_part_nothing_more_is_asked(scripted: Scripted, shop: Shop, path: Path) -> None:
    server = scripted(shop)
    reqkit.get(server()).download(path, resume=True)
    assert path.read_bytes() == DATA
    assert shop.asked == [(None, None)]


def test_a_download_may_break_off_more_than_once(
    scripted: Scripted, shop: Shop, path: Path
) -> None:
    server = scripted(shop)
    broken_off(server(), shop, path, 1000)
    for have in (1000, 6000):
        response = reqkit.get(server())
        shop.cut = 5000
        with pytest.raises(reqkit.ChunkedEncodingError) as got:
            response.download(path, resume=True)
        assert got.value.response.status_code == 206
        assert part_of(path).read_bytes() == DATA[: have + 5000]
    reqkit.get(server()).download(path, resume=True)
    assert path.read_bytes() == DATA


def test_the_size_is_checked(scripted: Scripted, path: Path) -> None:
    """A range that ends before the file does is not all of it."""
    some = [("ETag", TAG), ("Content-Range", f"bytes {HALF}-{HALF + 99}/{len(DATA)}")]
    server = serving(
        scripted,
        path,
        answer(200, DATA, [("ETag", TAG)]),
        answer(206, DATA[HALF : HALF + 100], some),
    )
    with pytest.raises(reqkit.ChunkedEncodingError, match=f"{HALF + 100} of {len(DATA)} bytes"):
        reqkit.get(server()).download(path, resume=True)
    assert part_of(path).read_bytes() == DATA[: HALF + 100]
    assert not path.exists()


def test_a_range_that_was_not_asked_for_starts_anew(scripted: Scripted, path: Path) -> None:
    other = [("ETag", TAG), ("Content-Range", f"bytes 5-9/{len(DATA)}")]
    whole = answer(200, DATA, [("ETag", TAG)])
    server = serving(scripted, path, whole, answer(206, DATA[5:10], other), whole)
    reqkit.get(server()).download(path, resume=True)
    assert path.read_bytes() == DATA
    assert server.requests[-1].get("Range") is None


def test_an_encoded_answer_is_asked_for_anew_in_the_identity_encoding(
    scripted: Scripted, path: Path
) -> None:
    coded = answer(200, zlib.compress(DATA), [("Content-Encoding", "deflate"), ("ETag", TAG)])
    server = scripted([coded, answer(200, DATA, [("ETag", TAG)])])
    reqkit.get(server()).download(path, resume=True)
    assert path.read_bytes() == DATA
    assert server.requests[-1].get("Accept-Encoding") == "identity"


def test_an_error_on_resuming_leaves_the_part(scripted: Scripted, shop: Shop, path: Path) -> None:
    server = scripted(shop)
    broken_off(server(), shop, path)
    response = reqkit.get(server())
    shop.answer = lambda request: answer(503)  # type: ignore[method-assign]
    with pytest.raises(reqkit.HTTPError, match="503"):
        response.download(path, resume=True)
    assert part_of(path).read_bytes() == DATA[:HALF]


def test_a_redirect_on_resuming_is_not_taken_for_the_file(
    scripted: Scripted, shop: Shop, path: Path
) -> None:
    server = scripted(shop)
    broken_off(server(), shop, path)
    response = reqkit.get(server())
    shop.answer = lambda request: answer(302, b"moved", [("Location", "/")])  # type: ignore[method-assign]
    with pytest.raises(reqkit.RequestException, match="302"):
        response.download(path, resume=True)
    assert part_of(path).read_bytes() == DATA[:HALF]
    assert not path.exists()
