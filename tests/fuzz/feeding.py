"""What targets share: cuts and choices that follow from the data, and peers to agree with.

The cuts come from a checksum of the data, not from bytes of it: so every seed and every finding
is just what a server would send.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator

import h11


def choices(data: bytes) -> random.Random:
    """Return a source of choices that is the same for the same data."""
    return random.Random(zlib.crc32(data))


def cut(data: bytes, chance: random.Random) -> Iterator[bytes]:
    """Yield the data in pieces: often few, sometimes single bytes."""
    most = chance.choice((1, 2, 3, 7, 64, 1024, 65536))
    at = 0
    while at < len(data):
        size = chance.randint(1, most)
        yield data[at : at + size]
        at += size


def h11_answer(data: bytes) -> tuple[int, bytes, list[tuple[bytes, bytes]], bytes] | None:
    """Read an answer with h11: status, reason, fields, body; None where it would not."""
    client = h11.Connection(h11.CLIENT, max_incomplete_event_size=200_000)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "h")]))
    client.send(h11.EndOfMessage())
    body = b""
    head: h11.Response | None = None
    ended = False
    try:
        client.receive_data(data)
        while True:
            event = client.next_event()
            if event is h11.NEED_DATA:
                if ended:
                    return None
                client.receive_data(b"")
                ended = True
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                return head.status_code, head.reason, list(head.headers.raw_items()), body
            elif not isinstance(event, h11.InformationalResponse):
                return None
    except h11.RemoteProtocolError:
        return None
