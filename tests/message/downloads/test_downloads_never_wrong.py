"""A download is the file that was asked for, or an error: never another, never a part of it."""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import os
import threading
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import reqkit
import reqkit_async
from reqkit.message.downloads import naming
from reqkit.message.downloads import partial as partials
from reqkit.message.downloads.partial import Partial
from reqkit.message.downloads.ranges import asked_for, content_range
from servers.messages import Received, answer
from servers.scripted import Connection, ScriptedServer

Scripted = Callable[..., ScriptedServer]

DATA = bytes(range(256)) * 400
TAG = [("ETag", '"v1"')]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file to be written, in a folder of its own."""
    folder = tmp_path / "downloads"
    folder.mkdir()
    return folder / "file.bin"


def left(path: Path) -> list[str]:
    return sorted(os.listdir(path.parent))


def answering(scripted: Scripted, make: Callable[[Received], bytes]) -> ScriptedServer:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            connection.send(make(request))

    return scripted(handler)


def ranged(request: Received, data: bytes = DATA, total: str | None = None) -> bytes:
    """Answer as a server that knows ranges."""
    wanted = request.get("Range")
    if wanted is None:
        return answer(200, data, TAG)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    size = len(data)
    start = int(first) if first else max(size - int(last), 0)
    end = int(last) if first and last and int(last) < size else size - 1
    if start >= size:
        return answer(416, b"no", [("Content-Range", f"bytes */{size}")])
    where = f"bytes {start}-{end}/{size if total is None else total}"
    return answer(206, data[start : end + 1], [*TAG, ("Content-Range", where)])


def breaks_off(
    scripted: Scripted, path: Path, at: int = 1000, data: bytes = DATA
) -> ScriptedServer:
    """Have a download break off, and return its server, which then gives what is asked for."""

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            whole = ranged(request)
            if len(connection.server.requests) == 1:
                connection.send(whole[: whole.index(b"\r\n\r\n") + 4 + at])
                return
            connection.send(whole)

    server = scripted(handler)
    with pytest.raises(reqkit.ChunkedEncodingError):
        reqkit.get(server("/file.bin")).download(path)
    return server


# -- the caller's own Range


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("heeds", [True, False])
@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=5-9", DATA[5:10]),
        ("bytes=0-0", DATA[:1]),
        ("bytes=100-", DATA[100:]),
        ("bytes=0-", DATA),
        ("bytes=-7", DATA[-7:]),
        ("bytes=5-999999999", DATA[5:]),
        ("bytes=-999999999", DATA),
    ],
)
def test_just_that_part_is_saved(
    scripted: Scripted, path: Path, wanted: str, expected: bytes, heeds: bool, resume: bool
) -> None:
    server = answering(scripted, ranged if heeds else lambda request: answer(200, DATA, TAG))
    for _ in range(2):
        response = reqkit.get(server(), headers={"Range": wanted})
        assert response.download(path, resume=resume).read_bytes() == expected
    assert left(path) == ["file.bin"]


def test_a_part_and_the_whole_never_meet(scripted: Scripted, path: Path) -> None:
    """What is left of the one is no part of the other."""
    server = breaks_off(scripted, path)
    response = reqkit.get(server("/file.bin"), headers={"Range": "bytes=5-9"})
    assert response.download(path, resume=True).read_bytes() == DATA[5:10]


@pytest.mark.parametrize(
    ("wanted", "where"),
    [
        ("bytes=5-9", "bytes 0-4/102400"),
        ("bytes=5-9", "bytes 5-8/102400"),
        ("bytes=5-9", "bytes 5-10/102400"),
        ("bytes=5-", "bytes 5-9/102400"),
        ("bytes=5-", "bytes 5-9/*"),
        ("bytes=-5", "bytes 0-4/102400"),
        ("bytes=5-9", None),
        ("bytes=5-9", "bytes */102400"),
        ("bytes=5-9", "bytes 9-5/102400"),
        ("bytes=5-9", "lines 5-9/102400"),
        ("bytes=5-9,20-24", "bytes 5-9/102400"),
        ("lines=5-9", "bytes 5-9/102400"),
    ],
)
def test_a_206_is_believed_as_far_as_it_matches(
    scripted: Scripted, path: Path, wanted: str, where: str | None
) -> None:
    fields = [*TAG, *([("Content-Range", where)] if where else [])]
    server = scripted([answer(206, DATA[5:10], fields)])
    with pytest.raises(reqkit.HTTPError, match="nothing was written"):
        reqkit.get(server(), headers={"Range": wanted}).download(path)
    assert left(path) == []


@pytest.mark.parametrize(
    "fields", [[("Transfer-Encoding", "chunked")], [("Content-Encoding", "gzip")]]
)
def test_the_last_bytes_of_what_tells_no_length(
    scripted: Scripted, path: Path, fields: Any
) -> None:
    if fields[0][0] == "Transfer-Encoding":
        body = answer(200, b"3\r\nabc\r\n0\r\n\r\n", fields, length=False)
    else:
        body = answer(200, gzip.compress(b"abc"), fields)
    with pytest.raises(reqkit.HTTPError, match="cannot be told"):
        reqkit.get(scripted([body])(), headers={"Range": "bytes=-2"}).download(path)
    assert left(path) == []


def test_a_part_beyond_the_end(scripted: Scripted, path: Path) -> None:
    server = answering(scripted, ranged)
    with pytest.raises(reqkit.HTTPError, match="416"):
        reqkit.get(server(), headers={"Range": "bytes=999999-"}).download(path)
    whole = answering(scripted, lambda request: answer(200, b"short"))
    with pytest.raises(reqkit.HTTPError, match="cannot be told"):
        reqkit.get(whole(), headers={"Range": "bytes=10-"}).download(path)
    assert left(path) == []


# -- answers that are not the file


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    "where", ["bytes 0-4/*", "bytes 0-4/102400", "bytes 5-9/102400", None, "bytes */5"]
)
def test_a_part_that_nobody_asked_for(
    scripted: Scripted, path: Path, where: str | None, resume: bool
) -> None:
    path.write_bytes(b"before")
    fields = [("Content-Range", where)] if where else []
    with pytest.raises(reqkit.HTTPError, match="206"):
        reqkit.get(scripted([answer(206, b"abcde", fields)])()).download(path, resume=resume)
    assert path.read_bytes() == b"before"
    assert left(path) == ["file.bin"]


def test_a_206_that_has_all_is_the_file(scripted: Scripted, path: Path) -> None:
    server = scripted([answer(206, b"abcde", [("Content-Range", "bytes 0-4/5")])])
    assert reqkit.get(server()).download(path).read_bytes() == b"abcde"


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (204, []), (205, []), (304, []), (300, []), (302, [("Location", "/x")]),
        (301, [("Location", "/x")]), (308, [("Location", "/x")]), (303, []), (404, []), (500, []),
    ],
)  # fmt: skip
def test_what_is_not_the_file_replaces_no_file(
    scripted: Scripted, path: Path, status: int, fields: Any, prefetch: bool, resume: bool
) -> None:
    path.write_bytes(b"before")
    body = b"" if status in (204, 304) else b"moved"
    server = scripted([answer(status, body, fields, length=bool(body))])
    response = reqkit.get(server(), allow_redirects=False, prefetch=prefetch)
    with pytest.raises(reqkit.HTTPError, match=str(status)) as caught:
        response.download(path, resume=resume)
    assert caught.value.response is response
    assert path.read_bytes() == b"before"
    assert left(path) == ["file.bin"]


def test_the_answer_to_a_head_is_no_file(echo: ScriptedServer, path: Path) -> None:
    with pytest.raises(reqkit.HTTPError, match="HEAD"):
        reqkit.head(echo()).download(path)
    assert left(path) == []


@pytest.mark.parametrize("status", [204, 304])
def test_what_is_not_the_file_on_resuming(scripted: Scripted, path: Path, status: int) -> None:
    server = breaks_off(scripted, path)
    response = reqkit.get(server("/file.bin"))
    response.connection = Sender([answer(status, b"", length=False)], scripted)
    with pytest.raises(reqkit.HTTPError, match=str(status)):
        response.download(path, resume=True)
    assert path.with_name("file.bin.part").read_bytes() == DATA[:1000]


class Sender:
    """Sends what a download asks for again to another server."""

    def __init__(self, answers: list[bytes], scripted: Scripted) -> None:
        self.server = scripted(answers)

    def send(self, message: reqkit.PreparedRequest) -> reqkit.Response:
        message.url = self.server()
        with reqkit.Session() as session:
            return session.send(message, allow_redirects=False, prefetch=True)


@pytest.mark.parametrize(
    ("status", "where"),
    [
        (206, "bytes 1000-1999/*"), (206, "bytes 999-102399/102400"), (206, None),
        (206, "bytes 0-102399/102400"), (206, "bytes 1000-1999"), (416, "bytes */1"), (416, None),
    ],
)  # fmt: skip
def test_a_rest_that_does_not_match_is_not_put_after_what_is_there(
    scripted: Scripted, path: Path, status: int, where: str | None
) -> None:
    server = breaks_off(scripted, path)
    response = reqkit.get(server("/file.bin"))
    fields = [*TAG, *([("Content-Range", where)] if where else [])]
    response.connection = Sender(
        [answer(status, b"wrong" * 200, fields), answer(200, DATA, TAG)], scripted
    )
    assert response.download(path, resume=True).read_bytes() == DATA


def test_a_post_is_not_sent_again(scripted: Scripted, path: Path) -> None:
    breaks_off(scripted, path)
    server = scripted([answer(200, DATA, TAG)])
    response = reqkit.post(server("/file.bin"), data=b"buy")
    assert response.download(path, resume=True).read_bytes() == DATA
    assert len(server.requests) == 1


# -- the files beside


def forged(path: Path, part: bytes) -> None:
    """Put files beside that look as like a download's own as a server can make them."""
    real = path.with_name("real")
    real.mkdir()
    other = real / path.name
    beside = path.with_name(path.name + ".part")
    beside.write_bytes(part)
    note = path.with_name(path.name + ".part.version")
    lines = ["reqkit download 1", "note 1", f"part {beside.stat().st_ino}", "x", '"v1"', ""]
    note.write_text("\n".join(lines))
    assert not other.exists()
    real.rmdir()


@pytest.mark.parametrize("resume", [False, True])
def test_files_that_a_server_named_so_are_left_alone(
    scripted: Scripted, path: Path, resume: bool
) -> None:
    server = answering(scripted, ranged)
    evil = {"file.bin.part": b"evil", "file.bin.part.version": b'"v1"'}
    for name, data in evil.items():
        reqkit.get(scripted([answer(200, data)])(f"/{name}")).download(path.parent)
    reqkit.get(server("/file.bin")).download(path.parent, resume=resume)
    assert path.read_bytes() == DATA
    for name, data in evil.items():
        assert path.with_name(name).read_bytes() == data
    assert left(path) == ["file.bin", *evil]


def test_a_note_that_was_forged_vouches_for_nothing(scripted: Scripted, path: Path) -> None:
    server = answering(scripted, ranged)
    forged(path, b"evil")
    reqkit.get(server("/file.bin")).download(path, resume=True)
    assert path.read_bytes() == DATA
    assert path.with_name("file.bin.part").read_bytes() == b"evil"


def test_a_note_of_another_part(scripted: Scripted, path: Path) -> None:
    """The note is ours, and the part beside it is not any more."""
    server = breaks_off(scripted, path)
    part = path.with_name("file.bin.part")
    other = path.with_name("other")
    other.write_bytes(b"evil" * 10)
    os.replace(other, part)
    reqkit.get(server("/file.bin")).download(path, resume=True)
    assert path.read_bytes() == DATA
    assert part.read_bytes() == b"evil" * 10


@pytest.mark.parametrize("resume", [False, True])
def test_two_urls_do_not_meet_in_one_part(scripted: Scripted, path: Path, resume: bool) -> None:
    breaks_off(scripted, path)
    other = DATA[::-1]
    server = answering(scripted, lambda request: ranged(request, other))
    assert reqkit.get(server("/file.bin")).download(path, resume=resume).read_bytes() == other
    assert all(request.get("Range") is None for request in server.requests)
    assert left(path) == ["file.bin"]


@pytest.mark.parametrize("same_url", [False, True])
def test_two_at_once_to_one_place(scripted: Scripted, path: Path, same_url: bool) -> None:
    half = threading.Barrier(2)
    contents = {"/a": b"a" * 200_000, "/b": b"b" * 200_000}

    def handler(connection: Connection) -> None:
        request = connection.recv_request()
        assert request is not None
        data = contents[request.target]
        whole = answer(200, data, TAG)
        connection.send(whole[:-100_000])
        half.wait(20)  # both have begun
        connection.send(whole[-100_000:])

    server = scripted(handler)
    urls = [server("/a"), server("/a" if same_url else "/b")]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda url: reqkit.get(url).download(path, resume=True), urls))
    assert path.read_bytes() in contents.values()
    assert left(path) == ["file.bin"]


@pytest.mark.parametrize("kind", ["fifo", "folder"])
@pytest.mark.parametrize("suffix", [".part", ".part.version"])
@pytest.mark.parametrize("resume", [False, True])
def test_what_is_no_file_in_the_place_of_one(
    scripted: Scripted, path: Path, kind: str, suffix: str, resume: bool
) -> None:
    place = path.with_name(path.name + suffix)
    if kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
    server = answering(scripted, ranged)
    assert reqkit.get(server("/file.bin")).download(path, resume=resume).read_bytes() == DATA
    assert left(path) == ["file.bin", place.name]


@pytest.mark.parametrize("junk", [b"\n", b'"v1"\n', b'"v1"\r\nX: y', b"\0", b"\xff" * 100_000, b""])
def test_a_note_that_is_none_of_ours_prevents_nothing(
    scripted: Scripted, path: Path, junk: bytes
) -> None:
    server = breaks_off(scripted, path)
    path.with_name("file.bin.part.version").write_bytes(junk)
    for _ in range(2):
        path.unlink(missing_ok=True)
        reqkit.get(server("/file.bin")).download(path, resume=True)
        assert path.read_bytes() == DATA


@pytest.mark.parametrize("tag", ['"\xe9"', '"' + "x" * 9000 + '"'])
def test_odd_validators(scripted: Scripted, path: Path, tag: str) -> None:
    """What cannot go into a field is not asked for."""

    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            whole = answer(200, DATA, [("ETag", tag)])
            if len(connection.server.requests) == 1:
                connection.send(whole[:-1000])
                return
            connection.send(whole)

    server = scripted(handler)
    with pytest.raises(reqkit.ChunkedEncodingError):
        reqkit.get(server("/file.bin")).download(path)
    assert reqkit.get(server("/file.bin")).download(path, resume=True).read_bytes() == DATA


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
@pytest.mark.parametrize("resume", [False, True])
def test_what_is_no_file_is_not_replaced_by_one(
    scripted: Scripted, path: Path, kind: str, resume: bool
) -> None:
    server = answering(scripted, ranged)
    place: Path = path
    into = path
    if kind == "fifo":
        os.mkfifo(place)
    elif kind == "device":
        place = Path("/dev/null")
        into = path
        into.symlink_to(place)  # so that a fault costs no machine its /dev/null
    else:
        place.mkdir()
        into = path.parent  # which gets a file of that name
    with pytest.raises(OSError, match=r"no file|a folder in the file's place"):
        reqkit.get(server("/file.bin")).download(into, resume=resume)
    assert left(path) == ["file.bin"]
    assert not place.is_file()
    assert path.is_symlink() == (kind == "device")


def test_a_path_that_ends_as_a_folders_is_one(scripted: Scripted, path: Path) -> None:
    server = answering(scripted, ranged)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        reqkit.get(server("/file.bin")).download(f"{path.parent}/new/")
    written = reqkit.get(server("/file.bin")).download(f"{path.parent}/")
    assert written == path
    assert reqkit.get(server("/file.bin")).download(os.fsencode(path)) == path
    assert left(path) == ["file.bin"]


@pytest.mark.parametrize("tries", [1, 3])
def test_a_full_disk_leaves_a_part_that_is_gone_on_with(
    scripted: Scripted, path: Path, tries: int
) -> None:
    resource = pytest.importorskip("resource")
    server = answering(scripted, ranged)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        for _ in range(tries):
            with pytest.raises(OSError):
                reqkit.get(server("/file.bin")).download(path, resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left(path) == ["file.bin.part", "file.bin.part.version"]
    kept = path.with_name("file.bin.part").stat().st_size
    assert 0 < kept <= 50_000
    assert reqkit.get(server("/file.bin")).download(path, resume=True).read_bytes() == DATA
    assert server.requests[-1].get("Range") == f"bytes={kept}-"
    assert left(path) == ["file.bin"]


@pytest.mark.parametrize("at", [0, 500, 994])
@pytest.mark.parametrize("how", ["over", "anew"])
def test_a_part_that_was_written_over_is_not_gone_on_with(
    scripted: Scripted, path: Path, at: int, how: str
) -> None:
    server = breaks_off(scripted, path)
    part = path.with_name("file.bin.part")
    before = part.stat()
    data = bytearray(part.read_bytes())
    data[at : at + 6] = b"edited"
    if how == "over":
        with open(part, "r+b") as file:
            file.write(data)
    else:
        part.write_bytes(data)
    os.utime(part, ns=(before.st_atime_ns, before.st_mtime_ns + 1_000_000_000))
    assert part.stat().st_size == before.st_size
    assert reqkit.get(server("/file.bin")).download(path, resume=True).read_bytes() == DATA
    assert server.requests[-1].get("Range") is None
    assert left(path) == ["file.bin"]


@pytest.mark.parametrize("then", ["taken", "removed"])
def test_a_part_that_goes_while_it_is_opened_is_not_written_to(
    scripted: Scripted, path: Path, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    """Another process may end its download between the part's being opened and locked."""
    server = breaks_off(scripted, path)
    part, note = path.with_name("file.bin.part"), path.with_name("file.bin.part.version")
    theirs = path.with_name("theirs")
    real = partials._lock
    meanwhile = [True]

    def late(descriptor: int) -> bool:
        if meanwhile:
            meanwhile.clear()
            if then == "taken":
                part.rename(theirs)
            else:
                part.unlink()
            note.unlink()
        return real(descriptor)

    monkeypatch.setattr(partials, "_lock", late)
    assert reqkit.get(server("/file.bin")).download(path).read_bytes() == DATA
    assert left(path) == ["file.bin", *(["theirs"] if then == "taken" else [])]
    if then == "taken":
        assert theirs.read_bytes() == DATA[:1000]


def test_a_part_that_goes_before_it_is_opened_prevents_nothing(
    scripted: Scripted, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = breaks_off(scripted, path)
    real = partials._state
    looked: list[Path] = []

    def seen_before(place: Path) -> Any:
        state = real(place)
        looked.append(place)
        if len(looked) == 2:
            path.with_name("file.bin.part").unlink()
            path.with_name("file.bin.part.version").unlink()
        return state

    monkeypatch.setattr(partials, "_state", seen_before)
    assert reqkit.get(server("/file.bin")).download(path).read_bytes() == DATA
    assert left(path) == ["file.bin"]


def test_a_child_process_holds_no_part(scripted: Scripted, path: Path) -> None:
    """What is open is open in a child, too: the lock must go with the download all the same."""
    server = breaks_off(scripted, path)
    inherited: list[int] = []

    def fork(done: int, total: int | None) -> None:
        part = path.with_name("file.bin.part").stat().st_ino
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                if os.fstat(int(name)).st_ino == part:
                    inherited.append(os.dup(int(name)))  # as a child's copy: the same open file
        raise KeyboardInterrupt

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("there is no /proc")
    with pytest.raises(KeyboardInterrupt):
        reqkit.get(server("/file.bin")).download(path, resume=True, progress=fork)
    assert inherited
    try:
        assert reqkit.get(server("/file.bin")).download(path, resume=True).read_bytes() == DATA
    finally:
        for descriptor in inherited:
            os.close(descriptor)
    assert server.requests[-1].get("Range") == "bytes=1000-"
    assert left(path) == ["file.bin"]


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_a_name_that_no_file_can_have(scripted: Scripted, path: Path, name: str) -> None:
    server = answering(scripted, ranged)
    with pytest.raises(ValueError, match="no file can have"):
        reqkit.get(server("/file.bin")).download(path.parent / name)
    assert left(path) == []


@pytest.mark.parametrize("status", [600, 999])
def test_what_is_no_status_is_no_file(scripted: Scripted, path: Path, status: int) -> None:
    with pytest.raises(reqkit.HTTPError, match="not the file"):
        reqkit.get(
            scripted([b"HTTP/1.1 %d no\r\nContent-Length: 2\r\n\r\nno" % status])()
        ).download(path)
    assert left(path) == []


def test_nothing_is_left_of_a_download_that_had_no_byte(scripted: Scripted, path: Path) -> None:
    def handler(connection: Connection) -> None:
        connection.recv_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    with pytest.raises(reqkit.ChunkedEncodingError):
        reqkit.get(scripted(handler)()).download(path)
    response = reqkit.get(scripted([answer(200, b"abc")])())
    list(response.iter_content(1))
    with pytest.raises(reqkit.exceptions.StreamConsumedError):
        response.download(path)
    assert left(path) == []


def test_an_empty_file_is_a_file(scripted: Scripted, path: Path) -> None:
    assert reqkit.get(scripted([answer(200, b"")])()).download(path).read_bytes() == b""
    assert left(path) == ["file.bin"]


def test_a_name_that_leaves_no_room(scripted: Scripted, path: Path) -> None:
    written = reqkit.get(scripted([answer(200, b"x")])("/" + "n" * 300)).download(path.parent)
    assert written.read_bytes() == b"x"
    assert written.name == "n" * 200


# -- what is compressed in itself

INSIDE = b"what is in it " * 100
GZIP = gzip.compress(INSIDE, mtime=0)


def labelled(coding: str, data: bytes, kind: str = "application/octet-stream") -> bytes:
    return answer(200, data, [("Content-Encoding", coding), ("Content-Type", kind), *TAG])


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
@pytest.mark.parametrize("name", ["a.tar.gz", "a.tgz", "A.TAR.GZ", "a.gz", "a.svgz"])
def test_what_is_compressed_by_its_name_is_saved_as_it_came(
    scripted: Scripted, path: Path, name: str, coding: str, resume: bool
) -> None:
    server = scripted([labelled(coding, GZIP)])
    written = reqkit.get(server(f"/{name}?x=1")).download(path.parent, resume=resume)
    assert (written.name, written.read_bytes()) == (name, GZIP)


@pytest.mark.parametrize(
    "kind", ["application/gzip", "application/x-gzip; x=y", "Application/X-Compressed-Tar"]
)
def test_what_is_compressed_by_its_media_type(scripted: Scripted, path: Path, kind: str) -> None:
    server = scripted([labelled("gzip", GZIP, kind)])
    assert reqkit.get(server("/archive")).download(path).read_bytes() == GZIP


def test_a_file_named_as_what_is_in_it_is_decoded(scripted: Scripted, path: Path) -> None:
    server = scripted([labelled("gzip", GZIP)] * 2)
    plain = path.with_name("a.tar")
    assert reqkit.get(server("/a.tar.gz")).download(plain).read_bytes() == INSIDE
    assert reqkit.get(server("/a.tgz")).download(plain).read_bytes() == INSIDE


@pytest.mark.parametrize("name", ["a.txt", "a.tar", "a", "gz", "a.gz.txt"])
def test_what_is_not_is_decoded(scripted: Scripted, path: Path, name: str) -> None:
    server = scripted([labelled("gzip", GZIP)])
    assert reqkit.get(server(f"/{name}")).download(path.parent).read_bytes() == INSIDE


def test_a_zip_that_was_encoded_on_the_way_is_decoded(scripted: Scripted, path: Path) -> None:
    zipped = b"PK\x03\x04" + INSIDE
    server = scripted([labelled("gzip", gzip.compress(zipped)), labelled("gzip", zipped)])
    for _ in range(2):  # the second says that it is encoded, and is not
        assert reqkit.get(server("/a.zip")).download(path.parent).read_bytes() == zipped


@pytest.mark.parametrize("decode", [True, False])
@pytest.mark.parametrize("name", ["a.tar.gz", "a.txt"])
def test_decode_says_otherwise(scripted: Scripted, path: Path, name: str, decode: bool) -> None:
    server = scripted([labelled("gzip", GZIP)])
    written = reqkit.get(server(f"/{name}")).download(path.parent, decode=decode)
    assert written.read_bytes() == (INSIDE if decode else GZIP)


@pytest.mark.parametrize("bad", [1, "yes", 0])
def test_decode_is_true_or_false(scripted: Scripted, path: Path, bad: Any) -> None:
    with pytest.raises(TypeError, match="decode is"):
        reqkit.get(scripted([answer(200, b"x")])()).download(path, decode=bad)


def test_what_was_decoded_already_is_asked_for_again(scripted: Scripted, path: Path) -> None:
    server = scripted([labelled("x-gzip", GZIP)] * 4)
    response = reqkit.get(server("/a.tar.gz"), prefetch=True)
    assert response.content == INSIDE
    assert response.download(path.parent).read_bytes() == GZIP
    [response] = reqkit_async.map([reqkit_async.get(server("/a.tar.gz"))])
    assert response.download(path.parent).read_bytes() == GZIP
    posted = reqkit.post(scripted([labelled("gzip", GZIP)])("/a.tar.gz"), prefetch=True)
    with pytest.raises(reqkit.RequestException, match="prefetch=False"):
        posted.download(path.parent)


def test_an_archive_that_broke_off_goes_on(scripted: Scripted, path: Path) -> None:
    data = gzip.compress(os.urandom(5000), mtime=0)

    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            plain = ranged(request, data)
            whole = plain.replace(b"\r\n", b"\r\nContent-Encoding: x-gzip\r\n", 1)
            if len(connection.server.requests) == 1:
                connection.send(whole[: whole.index(b"\r\n\r\n") + 4 + 3000])
                return
            connection.send(whole)

    server = scripted(handler)
    with pytest.raises(reqkit.ChunkedEncodingError):
        reqkit.get(server("/a.tar.gz")).download(path.parent)
    written = reqkit.get(server("/a.tar.gz")).download(path.parent, resume=True)
    assert written.read_bytes() == data
    assert server.requests[-1].get("Range") == "bytes=3000-"


@pytest.mark.parametrize(
    ("name", "coding", "data"),
    [
        ("a.zst", "zstd", b"\x28\xb5\x2f\xfd" + INSIDE),
        ("a.br", "br", INSIDE),
        ("a.bz2", "gzip", bz2.compress(INSIDE)),
        ("a.Z", "compress", b"\x1f\x9d" + INSIDE),
        ("a.gz", "deflate", GZIP),
    ],
)
def test_other_kinds(scripted: Scripted, path: Path, name: str, coding: str, data: bytes) -> None:
    server = scripted([labelled(coding, data)])
    assert reqkit.get(server(f"/{name}")).download(path.parent).read_bytes() == data


def test_the_length_of_what_is_decoded_is_not_the_files(scripted: Scripted, path: Path) -> None:
    seen: list[Any] = []
    server = scripted([labelled("deflate", zlib.compress(INSIDE)), labelled("gzip", GZIP)])
    reqkit.get(server("/a")).download(path, progress=lambda done, total: seen.append(total))
    assert set(seen) == {None}
    seen.clear()
    written = path.with_name("a.gz")
    reqkit.get(server("/a.gz")).download(written, progress=lambda done, total: seen.append(total))
    assert set(seen) == {len(GZIP)}


# -- the pure parts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bytes 0-4/5", (0, 4, 5)), ("bytes 0-4/*", (0, 4, None)), ("bytes */5", (None, None, 5)),
        ("BYTES 1-2/9", (1, 2, 9)), ("bytes=1-2/9", (1, 2, 9)), ("bytes 4-0/5", None),
        ("bytes 0-5/5", None), ("bytes 0-4", None), ("", None), ("bytes -1-4/5", None),
        ("bytes 0-4/5, 0-4/5", None), ("bytes \u0660-4/5", None), ("bytes 0-0/0", None),
    ],
)  # fmt: skip
def test_content_range(text: str, expected: Any) -> None:
    assert content_range(text) == expected


def test_asked_for() -> None:
    assert asked_for(None) is None
    for text in ("bytes=", "bytes=-", "bytes=5-4", "bytes=a-", "x", "bytes=1-2,3-4"):
        asked = asked_for(text)
        assert asked is not None
        assert asked.bounds(100) is None


def test_a_note_that_cannot_be_written_leaves_no_part_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Partial, version: str | None) -> None:
        self._note.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Partial, "_write_note", full)
        with pytest.raises(OSError, match="No space left"):
            Partial(tmp_path / "a", "what")
    assert list(tmp_path.iterdir()) == []
    partial = Partial(tmp_path / "a", "what")
    assert partial.path == tmp_path / "a.part"
    partial.close()


def test_a_name_of_any_length_is_cut_in_a_few_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = 0
    encode = os.fsencode

    def counted(text: str) -> bytes:
        nonlocal looked
        looked += 1
        return encode(text)

    monkeypatch.setattr(naming.os, "fsencode", counted)
    response = reqkit.Response(200, url="http://a.example/" + "\u20ac" * 100_000)
    assert len(encode(naming.file_for(response, str(tmp_path)).name)) <= 200
    assert looked < 1000
