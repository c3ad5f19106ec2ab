"""What a body means: its codings, its characters, its lines; the same however it was cut."""

from __future__ import annotations

from reqkit.exceptions import ContentDecodingError, ContentTooLarge
from reqkit.message.content.charsets import (
    apparent_encoding,
    decode_as,
    decode_text,
    find_encoding,
    json_encoding,
    text_codec,
)
from reqkit.message.content.decoders import decode_whole, make_decoder
from reqkit.message.content.lines import LineCutter, decode_pieces, exact_pieces

from .feeding import choices, cut

CODINGS = (
    "gzip", "deflate", "br", "zstd", "gzip, gzip", "deflate, gzip", "br, zstd", "zstd, br",
    "gzip, deflate, br, zstd, gzip", "x-gzip", "identity",
)  # fmt: skip

#: Bytes that a body may unfold to in these targets.
LIMIT = 1 << 16


def _decoded(coding: str, pieces: list[bytes], most: int) -> bytes | str:
    """Decode pieces, at most ``most`` bytes at a time; all faults are one."""
    decoder = make_decoder(coding)
    if decoder is None:
        return b"".join(pieces)
    out = bytearray()
    try:
        for piece in [*pieces, b""]:
            got = decoder.decode(piece, most)
            assert len(got) <= most
            out += got
            while decoder.pending:
                got = decoder.decode(b"", most)
                assert len(got) <= most
                out += got
                if not got:
                    break
                if len(out) > LIMIT:
                    return "too large"
            if len(out) > LIMIT:
                return "too large"
        out += decoder.finish()
    except ContentDecodingError as error:
        assert str(error)
        return "fault"
    return bytes(out)


def codings(data: bytes) -> None:
    """A coded body is the same however cut and asked for, or a ContentDecodingError.

    The first byte chooses the coding.
    """
    if not data:
        return
    coding, data = CODINGS[data[0] % len(CODINGS)], data[1:]
    chance = choices(data)
    whole = _decoded(coding, [data], 65536)
    if whole == "too large":
        try:
            decode_whole(coding, data, LIMIT)
        except ContentTooLarge:
            return
        raise AssertionError("a body beyond the limit was decoded")
    # A byte at a time is for what is small.
    most = chance.choice((1, 100, 5000)) if len(whole) < 1000 and whole != "fault" else 5000
    assert _decoded(coding, list(cut(data, chance)), most) == whole
    try:
        at_once: bytes | str = decode_whole(coding, data, LIMIT)
    except ContentDecodingError:
        at_once = "fault"
    if data:
        assert at_once == whole


def charsets(data: bytes) -> None:
    """Text never fails, whatever bytes in whatever charset. The first line is a Content-Type."""
    kind, _, content = data.partition(b"\n")
    content_type = kind.decode("latin-1")
    found = find_encoding(content, content_type)
    assert text_codec(found), found
    assert isinstance(decode_text(content, content_type), str)
    assert isinstance(decode_text(content, None, content_type), str)
    assert json_encoding(content)
    name = content_type.rpartition("=")[2]
    codec = text_codec(name)
    if codec is None:
        return
    assert decode_as(content, name) is not None
    pieces = list(cut(content, choices(data)))
    text = "".join(decode_pieces(pieces, name))
    # Multi-byte decoders of the East may differ by a replacement where they resume.
    if codec.startswith(("utf", "iso8859", "cp125", "ascii", "koi8")):
        assert text == "".join(decode_pieces([content], name))


def guesses(data: bytes) -> None:
    """What bytes look like is a charset that there is."""
    assert text_codec(apparent_encoding(data))


def lines(data: bytes) -> None:
    """Lines are the same however cut. The first line is a delimiter, where it has one."""
    first, _, body = data.partition(b"\n")
    chance = choices(data)
    pieces = list(cut(body, chance))
    cutter = LineCutter()
    got = [line for piece in pieces for line in cutter.feed(piece)] + cutter.finish()
    plain = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    assert got == (plain[:-1] if not plain[-1] else plain)
    if first:
        cutter = LineCutter(first)
        got = [line for piece in pieces for line in cutter.feed(piece)] + cutter.finish()
        plain = body.split(first)
        assert got == (plain[:-1] if not plain[-1] else plain)
    size = chance.randint(1, 20)
    exact = list(exact_pieces(pieces, size))
    assert b"".join(exact) == body
    assert all(len(piece) == size for piece in exact[:-1])
