"""Decoding what unfolds to very much keeps time limits, and lets other greenlets run."""

from __future__ import annotations

import functools
import gzip
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from reqkit.message.content.codings import brotli_module, zstd_module
from reqkit.message.content.lines import decode_pieces
from servers.messages import answer
from servers.scripted import PATIENCE, Connection, ScriptedServer
from servers.waiting import SOON

Start = Callable[..., ScriptedServer]
SIZE = 400_000_000


@functools.cache
def bomb(coding: str) -> bytes:
    """Return a small body that takes seconds to be decoded."""
    if coding == "br":
        packer = brotli_module().Compressor(quality=3)
        pieces = [packer.process(bytes(10_000_000)) for _ in range(SIZE // 10_000_000)]
        return b"".join((*pieces, packer.finish()))
    if coding == "zstd":
        module = zstd_module()
        packer = module.ZstdCompressor()
        pieces = [packer.compress(bytes(10_000_000)) for _ in range(SIZE // 10_000_000)]
        return b"".join((*pieces, packer.flush()))
    if coding == "gzip, gzip":
        return gzip.compress(bomb("gzip"))
    if coding == "gzip, br":
        packed: bytes = brotli_module().compress(bomb("gzip"), quality=3)
        return packed
    # What can be decoded by itself can be repeated, and packed once.
    block = bytes(10_000_000)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    body = piece * (SIZE // len(block)) + packer.flush()
    if coding == "deflate":
        # Of zeros, the sum (RFC 1950) has but their count.
        return b"\x78\x9c" + body + (SIZE % 65521 << 16 | 1).to_bytes(4, "big")
    check = 0
    for _ in range(SIZE // len(block)):
        check = zlib.crc32(block, check)
    return gzip.compress(b"")[:10] + body + struct.pack("<LL", check, SIZE)


CODINGS = ["br", "zstd", "gzip", "deflate", "gzip, gzip", "gzip, br"]


def serve(coding: str) -> Callable[[Connection], None]:
    data = bomb(coding)

    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, data, [("Content-Encoding", coding)]))

    return handler


def needs(coding: str) -> None:
    for name, module in (("br", brotli_module()), ("zstd", zstd_module())):
        if name in coding and module is None:
            pytest.skip(f"{name} is not installed")


@pytest.mark.parametrize("coding", CODINGS)
def test_a_batchs_deadline(scripted: Start, coding: str) -> None:
    needs(coding)
    server = scripted(serve(coding))
    began = time.monotonic()
    (entry,) = reqkit_async.map([reqkit_async.get(server())], timeout=0.05)
    assert isinstance(entry.error, reqkit.TotalTimeout)
    assert time.monotonic() - began < SOON


@pytest.mark.parametrize("coding", CODINGS)
def test_a_limit_of_the_callers_own_in_patched_code(scripted: Start, coding: str) -> None:
    needs(coding)
    server = scripted(serve(coding))
    program = """
import gevent.monkey
gevent.monkey.patch_all()
import sys, gevent, reqkit
response = reqkit.get(sys.argv[1])
try:
    with gevent.Timeout(0.05):
        response.content
except gevent.Timeout:
    print("stopped")
"""
    ran = subprocess.run(
        [sys.executable, "-c", program, server()],
        capture_output=True,
        text=True,
        timeout=PATIENCE * 3,
    )
    assert (ran.stdout, ran.stderr) == ("stopped\n", "")


def read_whole(response: reqkit.Response) -> None:
    response.content  # noqa: B018 reads it


def read_pieces(response: reqkit.Response) -> None:
    for _ in response.iter_content(1000):
        pass


def read_raw(response: reqkit.Response) -> None:
    while response.raw.read(1_000_000, decode_content=True):
        pass


def read_lines(response: reqkit.Response) -> None:
    for _ in response.iter_lines():
        pass


@pytest.mark.parametrize("read", [read_whole, read_pieces, read_raw, read_lines])
@pytest.mark.parametrize("coding", ["br", "gzip"])
def test_a_total_limit_in_blocking_code(
    scripted: Start, coding: str, read: Callable[..., None]
) -> None:
    needs(coding)
    server = scripted(serve(coding))
    response = reqkit.get(server(), timeout=reqkit.Timeouts(total=PATIENCE))
    # What is left of it now, however long the head took on a busy machine.
    response.request._policy.deadline.at = time.monotonic() + 0.05
    began = time.monotonic()
    with pytest.raises(reqkit.TotalTimeout) as caught:
        read(response)
    assert time.monotonic() - began < SOON
    assert caught.value.phase == "receive"


@pytest.mark.parametrize("prefetch", [True, False])
def test_other_greenlets_run_meanwhile(scripted: Start, prefetch: bool) -> None:
    server = scripted(serve("gzip"))
    turns = 0

    def others() -> None:
        nonlocal turns
        while True:
            gevent.sleep(0)
            turns += 1

    (response,) = reqkit_async.map([reqkit_async.get(server("/first"))], prefetch=False)
    other = gevent.spawn(others)
    gevent.sleep(0)
    before = turns
    if prefetch:
        sent = reqkit_async.send(reqkit_async.get(server()))
        response = sent.get()
    assert sum(map(len, response.iter_content(1_000_000))) == SIZE
    other.kill()
    assert turns - before > 3


def test_what_is_decoded_in_steps_is_all_of_it(scripted: Start) -> None:
    body = bytes(range(256)) * 20_000
    for coding, packed in (
        ("gzip", gzip.compress(body)),
        ("deflate", zlib.compress(body)),
        ("gzip", gzip.compress(body[:1_000_000]) + gzip.compress(body[1_000_000:])),
        ("gzip, gzip", gzip.compress(gzip.compress(body))),
    ):
        server = scripted([answer(200, packed, [("Content-Encoding", coding)])])
        assert reqkit.get(server()).content == body


@pytest.mark.parametrize("piece", [1, 1000])
def test_an_endless_run_of_utf_7_is_read_in_proportion_to_its_length(piece: int) -> None:
    text = "a\u00e9\u4e2d\u00e9 + b" * 3
    packed = text.encode("utf-7")
    cut = [packed[at : at + piece] for at in range(0, len(packed), piece)]
    assert "".join(decode_pieces(cut, "utf-7")) == packed.decode("utf-7")
    times = []
    for count in (200, 1600):
        pieces = [b"+" + b"AGEA" * 2500] + [b"AGEA" * 2500] * count
        began = time.process_time()
        assert len("".join(decode_pieces(pieces, "utf-7"))) > 0
        times.append(time.process_time() - began)
    # Eight times as much: 64 times as long, did it take the square.
    assert times[1] < times[0] * 30


def test_pace_asks_the_clock_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from reqkit.message.content import pace
    from reqkit.timeouts import Deadline

    now = 0.0
    monkeypatch.setattr(pace, "clock", lambda: now)
    paused: list[Any] = []
    made = pace.Pace(Deadline(1.0, lambda: now), lambda: paused.append(now))
    made()
    assert paused == []
    now = 0.5
    made()
    made()
    assert paused == [0.5]
    now = 1.0
    with pytest.raises(reqkit.TotalTimeout):
        made()


READERS: dict[str, Callable[[Any], Any]] = {
    "content": lambda response: response.content,
    "pieces": lambda response: list(response.iter_content(1000)),
    "large pieces": lambda response: list(response.iter_content(10**9)),
    "text pieces": lambda response: list(response.iter_content(10**9, decode_unicode=True)),
    "lines": lambda response: list(response.iter_lines()),
    "raw decoded": lambda response: response.raw.read(decode_content=True),
    "raw pieces": lambda response: list(response.raw.stream(10**9, decode_content=True)),
    "raw": lambda response: response.raw.read(),
    "raw into": lambda response: response.raw.readinto(bytearray(10_000)),
    "raw lines": lambda response: list(response.raw),
}


@pytest.mark.parametrize("way", READERS)
@pytest.mark.parametrize("coding", ["", "gzip, gzip", "gzip"])
def test_the_largest_size_holds_however_the_body_is_read(
    scripted: Start, coding: str, way: str
) -> None:
    """Hardly more than that is unfolded, whatever is asked for at once."""
    encoded = way in ("raw", "raw into", "raw lines")
    content = bytes(3000 if encoded or not coding else 50_000_000)
    fields = [("Content-Type", "text/plain; charset=utf-8")]
    if coding:
        fields.append(("Content-Encoding", coding))
        if not encoded:  # as it comes it is larger than what is allowed
            for _ in coding.split(", "):
                content = gzip.compress(content, 1)

    def handler(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, content, fields))

    config = {"max_content_size": 2000}
    with reqkit.get(scripted(handler)(), config=config) as response:
        tracemalloc.start()
        try:
            with pytest.raises(reqkit.ContentTooLarge, match=r"max_content_size \(2000 bytes\)"):
                READERS[way](response)
            assert tracemalloc.get_traced_memory()[1] < 5_000_000
        finally:
            tracemalloc.stop()
