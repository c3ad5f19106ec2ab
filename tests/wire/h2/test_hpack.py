"""HPACK: RFC 7541's own examples, what breaks its rules, and the `hpack` package as an oracle."""

from __future__ import annotations

import random

import hpack
import pytest
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH

from reqkit.wire.h2 import huffman
from reqkit.wire.h2.hpack import (
    Decoder,
    HpackError,
    ListTooLarge,
    encode_fields,
    encode_integer,
    encode_string,
)

# RFC 7541 appendix C: a block, its fields, and the table's size after it. The blocks of a case
# follow one another on one connection.
REQUEST_1 = [(":method", "GET"), (":scheme", "http"), (":path", "/"),
             (":authority", "www.example.com")]  # fmt: skip
REQUEST_2 = [*REQUEST_1, ("cache-control", "no-cache")]
REQUEST_3 = [(":method", "GET"), (":scheme", "https"), (":path", "/index.html"),
             (":authority", "www.example.com"), ("custom-key", "custom-value")]  # fmt: skip
DATES = ("Mon, 21 Oct 2013 20:13:21 GMT", "Mon, 21 Oct 2013 20:13:22 GMT")
PLACE = ("location", "https://www.example.com")
ANSWER_1 = [(":status", "302"), ("cache-control", "private"), ("date", DATES[0]), PLACE]
ANSWER_2 = [(":status", "307"), *ANSWER_1[1:]]
ANSWER_3 = [(":status", "200"), ("cache-control", "private"), ("date", DATES[1]), PLACE,
            ("content-encoding", "gzip"),
            ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
            ]  # fmt: skip
EXAMPLES = {
    "C.2.1": [("400a637573746f6d2d6b65790d637573746f6d2d686561646572",
               [("custom-key", "custom-header")], 55)],
    "C.2.2": [("040c2f73616d706c652f70617468", [(":path", "/sample/path")], 0)],
    "C.2.3": [("100870617373776f726406736563726574", [("password", "secret")], 0)],
    "C.2.4": [("82", [(":method", "GET")], 0)],
    "C.3": [
        ("828684410f7777772e6578616d706c652e636f6d", REQUEST_1, 57),
        ("828684be58086e6f2d6361636865", REQUEST_2, 110),
        ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", REQUEST_3, 164),
    ],
    "C.4": [
        ("828684418cf1e3c2e5f23a6ba0ab90f4ff", REQUEST_1, 57),
        ("828684be5886a8eb10649cbf", REQUEST_2, 110),
        ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", REQUEST_3, 164),
    ],
    "C.5": [
        ("4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a3231"
         "20474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d", ANSWER_1, 222),
        ("4803333037c1c0bf", ANSWER_2, 222),
        ("88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738"
         "666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d33"
         "3630303b2076657273696f6e3d31", ANSWER_3, 215),
    ],
    "C.6": [
        ("488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863"
         "c78f0b97c8e9ae82ae43d3", ANSWER_1, 222),
        ("4883640effc1c0bf", ANSWER_2, 222),
        ("88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b3"
         "35dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007", ANSWER_3, 215),
    ],
}  # fmt: skip


@pytest.mark.parametrize("case", EXAMPLES)
def test_rfc_7541_appendix_c(case: str) -> None:
    decoder = Decoder(256 if case in ("C.5", "C.6") else 4096)
    for block, fields, size in EXAMPLES[case]:
        assert decoder.decode(bytes.fromhex(block)) == fields
        assert decoder.table_size == size
    if case in ("C.5", "C.6"):
        assert [name for name, _ in decoder.table] == ["set-cookie", "content-encoding", "date"]


@pytest.mark.parametrize(
    ("value", "bits", "octets"), [(10, 5, "0a"), (1337, 5, "1f9a0a"), (42, 8, "2a")]
)
def test_integers_of_appendix_c_1(value: int, bits: int, octets: str) -> None:
    assert encode_integer(value, bits).hex() == octets


def test_the_huffman_code_is_appendix_b() -> None:
    assert [code for code, _ in huffman._CODES] == REQUEST_CODES
    assert [length for _, length in huffman._CODES] == REQUEST_CODES_LENGTH


def test_huffman_of_every_octet_and_back() -> None:
    for octet in range(256):
        for data in (bytes((octet,)), bytes((octet,)) * 5, b"a" + bytes((octet,))):
            coded = huffman.encode(data)
            assert len(coded) == huffman.encoded_length(data)
            assert huffman.decode(coded) == data.decode("latin-1")


@pytest.mark.parametrize(
    "coded",
    [
        pytest.param("ffffffff", id="EOS"),
        pytest.param("1fff", id="eleven bits of padding"),
        pytest.param("18", id="padding of zeros"),
        pytest.param("ffff", id="padding alone, of two bytes"),
    ],
)
def test_huffman_codes_that_are_broken(coded: str) -> None:
    with pytest.raises(huffman.HuffmanError):
        huffman.decode(bytes.fromhex(coded))


def test_the_steps_of_huffman_are_bounded() -> None:
    """Whatever a server sends: a step for each node and byte, learned once."""
    for seed in range(40):
        random.seed(seed)
        data = random.randbytes(3000)
        assert huffman.decode(huffman.encode(data)) == data.decode("latin-1")
    assert huffman._steps_from.cache_info().currsize <= len(huffman._NODES) == 256
    assert len(huffman._steps_from(0)) == 256 + 1


BROKEN = {
    "index 0": "80",
    "an index of no entry": "be",
    "a name of no entry": "7f0001",
    "an integer without end": "ffffffffffff7f",
    "an integer that is cut off": "ff80",
    "a string that is cut off": "400a6375",
    "a literal that is cut off": "40",
    "a table that is too large": "3fe21f",
    "a table that changes within a block": "8220",
    "a Huffman code that is broken": "0084ffffffff00",
}


@pytest.mark.parametrize("block", BROKEN.values(), ids=BROKEN)
def test_blocks_that_are_broken(block: str) -> None:
    with pytest.raises(HpackError):
        Decoder().decode(bytes.fromhex(block))


def test_a_list_is_bounded_by_what_it_is_decoded_to() -> None:
    decoder = Decoder(4096, max_list=10_000)
    bomb = encode_entry("x", "y" * 4000)
    assert len(decoder.decode(bomb)) == 1
    with pytest.raises(ListTooLarge):
        decoder.decode(b"\xbe" * 3)


def test_the_number_of_fields_is_bounded() -> None:
    assert len(Decoder(max_fields=20).decode(b"\x82" * 20)) == 20
    with pytest.raises(ListTooLarge):
        Decoder(max_fields=20).decode(b"\x82" * 21)


def encode_entry(name: str, value: str) -> bytes:
    return b"\x40" + encode_string(name) + encode_string(value)


def test_a_table_of_size_0_keeps_nothing_and_repeats() -> None:
    decoder = Decoder(0)
    block = encode_entry("x", "y")
    for again in (block, b"\x20" + block):
        assert decoder.decode(again) == [("x", "y")]
        assert decoder.repeatable
        assert decoder.table == []
    with pytest.raises(HpackError):
        decoder.decode(b"\xbe")


def test_what_changes_the_table_does_not_repeat() -> None:
    decoder = Decoder()
    decoder.decode(encode_entry("x", "y"))
    assert not decoder.repeatable
    for block in (b"\xbe", b"\x82"):
        decoder.decode(block)
        assert decoder.repeatable
    decoder.decode(b"\x3f\x00" + b"\x82")  # a table of 31 bytes, which nothing fits in
    assert not decoder.repeatable
    assert decoder.table == []


def test_an_entry_that_is_larger_than_the_table_empties_it() -> None:
    decoder = Decoder(64)
    decoder.decode(encode_entry("a", "b"))
    assert decoder.table == [("a", "b")]
    decoder.decode(encode_entry("x", "y" * 60))
    assert decoder.table == []
    assert decoder.table_size == 0


def test_a_smaller_table_drops_the_oldest() -> None:
    decoder = Decoder(4096)
    for name in "abc":
        decoder.decode(encode_entry(name, name))
    decoder.decode(encode_integer(70, 5, 0x20))
    assert decoder.table == [("c", "c"), ("b", "b")]


def test_secrets_are_never_indexed() -> None:
    block = encode_fields(
        [("cookie", "a=b"), ("authorization", "Basic x")], frozenset(("cookie", "authorization"))
    )
    fields = hpack.Decoder().decode(block)
    assert [type(field) for field in fields] == [hpack.NeverIndexedHeaderTuple] * 2


NAMES = ["content-type", "date", "server", "x-request-id", "set-cookie", "etag", "vary", "via",
         "cache-control", "x", ":status", "content-length"]  # fmt: skip
WORDS = ["text/html; charset=utf-8", "gzip", "", "nginx/1.22.1", "max-age=0, private", "200",
         "Sat, 28 Nov 2026 12:00:00 GMT"]  # fmt: skip


def some_fields(rng: random.Random) -> list[tuple[str, str]]:
    fields = []
    for _ in range(rng.randrange(1, 12)):
        value = rng.choice(WORDS)
        kind = rng.randrange(4)
        if kind == 0:
            value = "".join(chr(rng.randrange(256)) for _ in range(rng.randrange(40)))
        elif kind == 1:
            value = f"{rng.getrandbits(rng.randrange(1, 200)):x}"
        fields.append((rng.choice(NAMES), value))
    return fields


def as_octets(fields: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in fields]


@pytest.mark.parametrize("table", [0, 200, 4096])
def test_decoding_as_another_encodes(table: int) -> None:
    rng = random.Random(table)
    encoder, decoder = hpack.Encoder(), Decoder(4096)
    encoder.header_table_size = table
    for _ in range(2000):
        fields = some_fields(rng)
        block = encoder.encode(as_octets(fields), huffman=rng.random() < 0.7)
        assert decoder.decode(block) == fields
        assert decoder.table_size == encoder.header_table._current_size


def test_another_decodes_what_is_encoded() -> None:
    rng = random.Random(7541)
    decoder = hpack.Decoder()
    ours = Decoder(0)
    for _ in range(3000):
        fields = some_fields(rng)
        block = encode_fields(fields, frozenset(("set-cookie",)))
        assert [tuple(pair) for pair in decoder.decode(block, raw=True)] == as_octets(fields)
        assert ours.decode(block) == fields
        assert ours.repeatable


def test_broken_blocks_are_refused_as_another_refuses_them() -> None:
    rng = random.Random(1)
    differing = 0
    for _ in range(2000):
        block = bytearray(hpack.Encoder().encode(as_octets(some_fields(rng))))
        for _ in range(rng.randrange(1, 4)):
            block[rng.randrange(len(block))] = rng.randrange(256)
        try:
            theirs = hpack.Decoder().decode(bytes(block), raw=True)
        except Exception:
            theirs = None
        try:
            found = as_octets(Decoder().decode(bytes(block)))
        except HpackError:
            found = None
        if theirs is None or found is None:
            # The other takes integers of any length, and names a header list limit of its own.
            differing += (theirs is None) != (found is None)
        else:
            assert [tuple(pair) for pair in theirs] == found
    assert differing < 100
