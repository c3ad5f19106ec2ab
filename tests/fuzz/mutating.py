"""Mutations of seeds by chance, for where atheris is not."""

from __future__ import annotations

import random
from collections.abc import Sequence

#: What parsers of HTTP trip over.
SCRAPS = (
    b"\r\n", b"\n", b"\r", b"\0", b"\t", b" ", b":", b";", b",", b"=", b'"', b"\\", b"%", b"<",
    b">", b"/", b"?", b"#", b"@", b"..", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"0", b"-1", b"+5",
    b"0x5", b"99999999999999999999", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n", b"\r\n\r\n",
)  # fmt: skip


def mutated(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """Return a seed with a few changes: bytes taken out, put in, turned, repeated, crossed."""
    data = bytearray(chance.choice(seeds) if seeds else b"")
    for _ in range(chance.choice((1, 1, 2, 3, 5, 10))):
        at = chance.randint(0, len(data))
        stop = min(len(data), at + chance.choice((1, 1, 2, 4, 16)))
        kind = chance.randrange(6)
        if kind == 0:
            del data[at:stop]
        elif kind == 1:
            data[at:at] = chance.choice(SCRAPS)
        elif kind == 2:
            data[at:stop] = chance.randbytes(stop - at)
        elif kind == 3 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 4:
            data[at:at] = bytes(data[at:stop]) * chance.choice((1, 2, 10))
        elif seeds:
            other = chance.choice(seeds)
            start = chance.randint(0, len(other))
            data[at:stop] = other[start : start + chance.choice((4, 20, 100))]
    return bytes(data)
