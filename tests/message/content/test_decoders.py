from __future__ import annotations

import functools
import gzip
import importlib
import importlib.util
import subprocess
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reqkit.exceptions import ContentDecodingError, ContentTooLarge
from reqkit.message.content import codings, decoders
from reqkit.message.content.decoders import (
    Decoder,
    accepted_encodings,
    decode_whole,
    make_decoder,
)

TEXT = b"".join(b"line %d of a body\n" % number for number in range(4000))


def _raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": functools.partial(gzip.compress, compresslevel=6, mtime=0),
    "deflate": zlib.compress,
    "raw deflate": _raw_deflate,
}

for _module in ("brotli", "brotlicffi"):
    if importlib.util.find_spec(_module):
        ENCODERS["br"] = importlib.import_module(_module).compress
        break

ZSTD: Any = None
for _module in ("compression.zstd", "backports.zstd"):
    try:
        ZSTD = importlib.import_module(_module)
    except ImportError:
        continue
    ENCODERS["zstd"] = ZSTD.compress
    break

NAMES = list(ENCODERS)
needs_br = pytest.mark.skipif("br" not in ENCODERS, reason="no brotli package")
needs_zstd = pytest.mark.skipif(ZSTD is None, reason="no zstd package")


def _header(name: str) -> str:
    return name.removeprefix("raw ")


def _encode(names: tuple[str, ...], data: bytes) -> tuple[str, bytes]:
    for name in names:
        data = ENCODERS[name](data)
    return ", ".join(_header(name) for name in names), data


def _decoder(encoding: str) -> Decoder:
    decoder = make_decoder(encoding)
    assert decoder is not None
    return decoder


def _decode(encoding: str, pieces: list[bytes], most: int) -> bytes:
    decoder = _decoder(encoding)
    found = []
    for piece in pieces:
        found.append(decoder.decode(piece, most))
        while decoder.pending:
            found.append(decoder.decode(b"", most))
    if most >= 0:
        assert all(len(piece) <= most for piece in found)
        assert decoder.finish() == b""
    else:
        found.append(decoder.finish())
    return b"".join(found)


def _cut(whole: bytes, size: int) -> list[bytes]:
    return [whole[at : at + size] for at in range(0, len(whole), size)]


STACKS = [(name,) for name in NAMES] + [
    ("gzip", "gzip"),
    ("deflate", "gzip"),
    ("gzip", "raw deflate", "deflate", "gzip", "gzip"),
]
if "br" in ENCODERS:
    STACKS += [("gzip", "br"), ("br", "gzip"), ("br", "br")]
if "zstd" in ENCODERS:
    STACKS += [("gzip", "zstd"), ("zstd", "gzip"), ("zstd", "deflate", "zstd")]


@pytest.mark.parametrize("names", STACKS, ids=", ".join)
@pytest.mark.parametrize("most", [-1, 1000, 65536, 10**7])
@pytest.mark.parametrize("size", [61, 1000, 10**7])
def test_any_coding_however_cut_and_asked_for(names: tuple[str, ...], most: int, size: int) -> None:
    encoding, data = _encode(names, TEXT)
    assert _decode(encoding, _cut(data, size), most) == TEXT


@pytest.mark.parametrize("names", STACKS, ids=", ".join)
def test_a_whole_body(names: tuple[str, ...]) -> None:
    encoding, data = _encode(names, TEXT)
    assert decode_whole(encoding, data) == TEXT
    assert decode_whole(encoding, data, len(TEXT)) == TEXT
    with pytest.raises(ContentTooLarge, match=rf"max_content_size \({len(TEXT) - 1} "):
        decode_whole(encoding, data, len(TEXT) - 1)


@pytest.mark.parametrize("name", NAMES)
@given(
    body=st.binary(max_size=400).map(lambda body: body * 3),
    size=st.integers(1, 200),
    most=st.sampled_from([-1, 1, 7, 100, 70000]),
)
def test_any_body_however_cut_and_asked_for(name: str, body: bytes, size: int, most: int) -> None:
    data = ENCODERS[name](body)
    assert _decode(_header(name), _cut(data, size), most) == body
    assert decode_whole(_header(name), data, len(body)) == body


@pytest.mark.parametrize("name", [name for name in NAMES if name in ("gzip", "zstd")])
@given(
    bodies=st.lists(st.binary(max_size=40).map(lambda body: body * 20), max_size=5),
    size=st.integers(1, 200),
    most=st.sampled_from([-1, 1, 7, 100, 70000]),
    drained=st.booleans(),
)
def test_any_bodies_in_a_row(
    name: str, bodies: list[bytes], size: int, most: int, drained: bool
) -> None:
    data = b"".join([ENCODERS[name](body) for body in bodies])
    expected = b"".join(bodies)
    assert decode_whole(name, data) == expected
    if drained:
        assert _decode(name, _cut(data, size), most) == expected
    else:
        decoder = _decoder(name)
        found = [decoder.decode(piece, most) for piece in _cut(data, size)]
        assert b"".join([*found, decoder.finish()]) == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("length", [0, 1, 32752, 65535, 65536, 65537, 98272, 200000])
def test_lengths_around_the_libraries_blocks(name: str, length: int) -> None:
    body = b"\0" * length
    data = ENCODERS[name](body)
    for most in (1 + length // 7, 65536):
        assert _decode(_header(name), [data], most) == body


@pytest.mark.parametrize("names", STACKS, ids=", ".join)
def test_every_truncation_is_an_error(names: tuple[str, ...]) -> None:
    encoding, data = _encode(names, b"some text, and some more text")
    for end in range(1, len(data)):
        with pytest.raises(ContentDecodingError, match="broke off"):
            decode_whole(encoding, data[:end])
        with pytest.raises(ContentDecodingError, match="broke off"):
            _decode(encoding, _cut(data[:end], 5), 3)


@pytest.mark.parametrize("name", ["gzip", "deflate", "raw deflate"])
@pytest.mark.parametrize("most", [1, 7, 65536])
def test_what_follows_the_end_is_ignored_however_cut(name: str, most: int) -> None:
    data = ENCODERS[name](b"hello " * 100) + b"garbage"
    for size in range(1, len(data) + 1):
        assert _decode(_header(name), _cut(data, size), most) == b"hello " * 100


@pytest.mark.parametrize("names", STACKS, ids=", ".join)
def test_an_empty_body_is_fine(names: tuple[str, ...]) -> None:
    encoding, data = _encode(names, b"")
    assert decode_whole(encoding, b"") == decode_whole(encoding, data) == b""
    decoder = _decoder(encoding)
    assert not decoder.pending
    assert decoder.decode(b"", 10) == b""
    assert decoder.finish() == b""


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("most", [-1, 10])
def test_bad_data_is_an_error_that_names_the_coding(name: str, most: int) -> None:
    header = _header(name)
    with pytest.raises(ContentDecodingError, match=rf"\({header}\)") as caught:
        _decode(header, [b"\xff\xff\xff\xff this is plain text"], most)
    assert caught.value.__cause__ is not None
    with pytest.raises(ContentDecodingError, match=rf"\({header}\)"):
        decode_whole(header, b"\xff\xff\xff\xff this is plain text")


def test_damage_in_the_middle_and_in_the_check_sum() -> None:
    data = gzip.compress(TEXT)
    for place in (len(data) // 2, len(data) - 6):
        damaged = data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :]
        with pytest.raises(ContentDecodingError):
            decode_whole("gzip", damaged)
        with pytest.raises(ContentDecodingError):
            _decode("gzip", _cut(damaged, 50), 100)


def _member(data: bytes) -> bytes:
    """Return a gzip member: the same each time, which names of test cases are made of."""
    return gzip.compress(data, mtime=0)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("most", [-1, 2])
@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (_member(b"one, ") + _member(b"two"), b"one, two"),
        (_member(b"one, ") + _member(b"") + _member(b"two"), b"one, two"),
        (_member(b"one, ") + b"\0" * 9 + _member(b"two"), b"one, two"),
        (_member(b"one") + b"\0\0\0", b"one"),
        (_member(b"one") + b"garbage" + _member(b"two"), b"one"),
        (_member(b"one") + b"\x1f", b"one"),
        (_member(b"one") + b"\x1f\x8bx", b"one"),
    ],
    ids=range(7),  # a member has the time in it
)
def test_gzip_members_padding_and_garbage(
    data: bytes, expected: bytes, size: int, most: int
) -> None:
    assert _decode("gzip", _cut(data, size), most) == expected
    assert decode_whole("gzip", data) == expected


def test_a_second_gzip_member_that_breaks_off_is_an_error() -> None:
    data = gzip.compress(b"one") + gzip.compress(b"two")[:-3]
    with pytest.raises(ContentDecodingError, match="broke off"):
        decode_whole("gzip", data)


def test_what_follows_a_deflate_stream_is_ignored() -> None:
    for encode in (zlib.compress, _raw_deflate):
        assert decode_whole("deflate", encode(b"one") + b"garbage") == b"one"
        assert _decode("deflate", [encode(b"one"), b"garbage"], 2) == b"one"


@needs_br
def test_what_follows_a_brotli_stream_is_an_error() -> None:
    data = ENCODERS["br"](b"one")
    for pieces in ([data + b"garbage"], [data, b"garbage"]):
        for most in (-1, 1, 100):
            with pytest.raises(ContentDecodingError, match="br"):
                _decode("br", pieces, most)


@needs_zstd
@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("most", [-1, 2])
def test_zstd_frames(size: int, most: int) -> None:
    skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc"
    data = ZSTD.compress(b"one, ") + skippable + ZSTD.compress(b"") + ZSTD.compress(b"two")
    assert _decode("zstd", _cut(data, size), most) == b"one, two"
    with pytest.raises(ContentDecodingError):
        _decode("zstd", _cut(data + b"garbage", size), most)


@needs_zstd
def test_a_zstd_window_above_8_mib_is_refused() -> None:
    def encoded(window_log: int) -> bytes:
        parameters = {ZSTD.CompressionParameter.window_log: window_log}
        engine = ZSTD.ZstdCompressor(options=parameters)
        data: bytes = engine.compress(b"text") + engine.flush()
        return data

    assert decode_whole("zstd", encoded(23)) == b"text"
    with pytest.raises(ContentDecodingError, match="zstd"):
        decode_whole("zstd", encoded(24))


@pytest.mark.parametrize("names", STACKS, ids=", ".join)
def test_a_bomb_costs_no_more_than_was_asked_for(names: tuple[str, ...]) -> None:
    encoding, data = _encode(names, b"\0" * 6_000_000)
    decoder = _decoder(encoding)
    decoder.decode(data[:0])  # what is imported on the way does not count
    tracemalloc.start()
    try:
        found = len(decoder.decode(data, 10_000))
        for _ in range(50):
            found += len(decoder.decode(b"", 10_000))
        with pytest.raises(ContentTooLarge):
            decode_whole(encoding, data, 100_000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == 510_000
    assert decoder.pending
    assert peak < 2_000_000


def test_many_tiny_members_take_linear_work(monkeypatch: pytest.MonkeyPatch) -> None:
    given = 0

    class Counting:
        def __init__(self, *args: Any) -> None:
            self._engine = zlib.decompressobj(*args)

        def decompress(self, data: bytes, most: int) -> bytes:
            nonlocal given
            given += len(data)
            return self._engine.decompress(data, most)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._engine, name)

    patched = SimpleNamespace(decompressobj=Counting, error=zlib.error)
    monkeypatch.setattr(codings, "zlib", patched)
    member = gzip.compress(b"x" * 10)
    data = member * 2000
    # Each call of the library copies what it did not use: so what it is given is what it costs.
    assert _decode("gzip", [data], -1) == b"x" * 20_000
    assert given < 2000 * 1024 + 2 * len(data)
    given = 0
    assert _decode("gzip", [gzip.compress(TEXT, 0)], 1000) == TEXT
    assert given < 4 * len(TEXT)


@pytest.mark.parametrize(
    "encoding", ["gzip", "GZip", "x-gzip", " gzip ", "identity, gzip", "gzip,", ",,gzip,identity"]
)
def test_spellings(encoding: str) -> None:
    assert decode_whole(encoding, gzip.compress(b"text")) == b"text"


@pytest.mark.parametrize(
    "encoding", ["", "identity", "Identity", ",", "utf-8", "compress", "gzip, aes128gcm", "none"]
)
def test_what_is_not_known_is_passed_as_it_is(encoding: str) -> None:
    assert make_decoder(encoding) is None
    assert decode_whole(encoding, b"text") == b"text"
    assert decode_whole(encoding, b"text", 4) == b"text"
    with pytest.raises(ContentTooLarge):
        decode_whole(encoding, b"text", 3)


def test_five_codings_are_the_most() -> None:
    encoding, data = _encode(("gzip",) * 5, b"text")
    assert decode_whole(encoding + ", identity", data) == b"text"
    with pytest.raises(ContentDecodingError, match="6 content codings: expected at most 5"):
        make_decoder(", ".join(["gzip"] * 6))


def test_nothing_is_asked_for() -> None:
    decoder = _decoder("gzip")
    assert decoder.decode(gzip.compress(b"text"), 0) == b""
    assert decoder.pending
    assert decoder.decode(b"", 2) == b"te"
    assert decoder.pending
    assert decoder.finish() == b"xt"
    assert not decoder.pending


def test_input_may_come_while_output_waits() -> None:
    data = gzip.compress(TEXT)
    decoder = _decoder("gzip")
    found = b"".join([decoder.decode(piece, 10) for piece in _cut(data, 100)])
    assert TEXT.startswith(found)
    assert found + decoder.finish() == TEXT


@pytest.fixture
def no_memory() -> Iterator[None]:
    """Have the optional packages looked for anew, before and after."""
    codings._first_of.cache_clear()
    accepted_encodings.cache_clear()
    yield
    codings._first_of.cache_clear()
    accepted_encodings.cache_clear()


@pytest.mark.usefixtures("no_memory")
def test_without_the_optional_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("brotli", "brotlicffi", "compression.zstd", "backports.zstd"):
        monkeypatch.setitem(sys.modules, name, None)
    assert accepted_encodings() == "gzip, deflate"
    assert make_decoder("br") is make_decoder("zstd") is make_decoder("gzip, br") is None


@pytest.mark.usefixtures("no_memory")
def test_what_is_accepted_can_be_decoded() -> None:
    accepted = accepted_encodings()
    assert accepted.startswith("gzip, deflate")
    assert accepted.split(", ") == [name for name in ENCODERS if name != "raw deflate"]
    assert accepted_encodings() is accepted
    assert make_decoder(accepted) is not None


@needs_br
@pytest.mark.usefixtures("no_memory")
@pytest.mark.parametrize("most", [-1, 1, 1000, 10**6])
def test_brotlicffi_instead_of_brotli(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    pytest.importorskip("brotlicffi")
    monkeypatch.setitem(sys.modules, "brotli", None)
    assert codings.brotli_module().__name__ == "brotlicffi"
    body = TEXT if most != 1 else TEXT[:300]
    data = ENCODERS["br"](body)
    assert _decode("br", _cut(data, 500), most) == body
    with pytest.raises(ContentDecodingError, match="broke off"):
        decode_whole("br", data[:-1])


@needs_br
@pytest.mark.usefixtures("no_memory")
def test_a_brotli_without_limits_is_fed_a_little_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = codings.brotli_module()
    fed = []

    class Old:
        def __init__(self) -> None:
            self._engine = module.Decompressor()
            self.is_finished = self._engine.is_finished

        def decompress(self, data: bytes) -> bytes:
            fed.append(len(data))
            piece: bytes = self._engine.process(data)
            return piece

    old = SimpleNamespace(Decompressor=Old, error=module.error)
    monkeypatch.setattr(codings, "brotli_module", lambda: old)
    data = ENCODERS["br"](TEXT)
    for most in (-1, 100):
        assert _decode("br", [data], most) == TEXT
    assert max(fed) == 256


def test_the_optional_packages_are_not_imported_before_they_are_needed() -> None:
    code = (
        "import reqkit.message.content.decoders; from reqkit.message.content import codings; "
        "print(codings._first_of.cache_info().misses)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "0"


def test_the_limit_of_decode_whole_may_be_huge_or_nothing() -> None:
    data = gzip.compress(b"text")
    assert decode_whole("gzip", data, 1 << 80) == b"text"
    assert decode_whole("gzip", gzip.compress(b""), 0) == b""
    with pytest.raises(ContentTooLarge):
        decode_whole("gzip", data, 0)
    assert decoders.MAX_CODINGS == 5


def test_members_that_hold_nothing_are_bounded() -> None:
    """A few kilobytes, coded twice, could keep us busy for seconds and give nothing."""
    empty = gzip.compress(b"", mtime=0)
    few = empty * 5_000 + gzip.compress(b"abc", mtime=0) + empty * 9_000
    assert decode_whole("gzip", few) == b"abc"
    twice = gzip.compress(empty * 1_000_000)
    assert len(twice) < 100_000
    decoder = make_decoder("gzip, gzip")
    assert decoder is not None
    with pytest.raises(ContentDecodingError, match="more than 10000 empty members in a row"):
        decoder.decode(twice, 65536)
