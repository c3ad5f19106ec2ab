"""What comes over a connection of HTTP/2: the same however cut, or errors by name; and HPACK."""

from __future__ import annotations

import hpack as oracle

from reqkit.exceptions import ChunkedEncodingError, ProtocolError
from reqkit.wire.h1.head import block_of
from reqkit.wire.h2.connection import Connection
from reqkit.wire.h2.fields import request_block
from reqkit.wire.h2.frames import PREFACE, settings
from reqkit.wire.h2.hpack import Decoder, HpackError, encode_fields

from .feeding import choices, cut

_FIELDS = block_of((("Accept", "*/*"),))
#: The most that may be waiting to be said in answer to what came.
_MOST_PENDING = 200_000


def _connection() -> Connection:
    """Return a connection with three requests: a GET, a HEAD, and a POST under way."""
    connection = Connection()
    connection.receive(settings(()))
    for method, ends in (("GET", True), ("HEAD", True), ("POST", False)):
        connection.open(method, request_block(method, "https", "h", "/", _FIELDS), ends)
    assert connection.take().startswith(PREFACE)
    return connection


def frames(data: bytes) -> None:
    """Any bytes end streams as they say, or the connection by name; so they do after any cuts."""
    seen = []
    for pieces in ([data], list(cut(data, choices(data)))):
        connection = _connection()
        streams = list(connection.streams.values())
        for piece in pieces:
            for stream in connection.receive(piece):
                assert stream in streams
        assert connection.pending < _MOST_PENDING
        if connection.error is not None:
            assert type(connection.error) is ProtocolError
            assert str(connection.error)
            assert not connection.streams
            assert connection.room() == 0
        outcomes = []
        for stream in streams:
            assert stream.error is None or type(stream.error) in (
                ProtocolError, ChunkedEncodingError,
            )  # fmt: skip
            assert stream.error is None or str(stream.error)
            assert stream.ended or stream.error is not None or stream.id in connection.streams
            head = stream.head
            body = stream.take(1 << 30)
            if stream.ended and stream.error is None and stream.size >= 0:
                assert len(body) == stream.size
            outcomes.append((
                None if head is None else (head.status, head.text), body, stream.ended,
                str(stream.error), stream.unprocessed, stream.window,
            ))  # fmt: skip
            if head is not None:
                _check_head(head.text)
        connection.end()
        assert not connection.streams
        seen.append((outcomes, str(connection.error)))
    assert seen[0] == seen[1]


def _check_head(text: str) -> None:
    assert text.startswith("HTTP/2 ")
    assert text.endswith("\r\n\r\n")
    for line in text[:-4].split("\r\n")[1:]:
        name, colon, value = line.partition(":")
        assert colon
        assert name == name.lower()
        assert not set(value) & set("\0\r\n")


def hpack(data: bytes) -> None:
    """Any block decodes as another decodes it, or breaks a rule; what was decoded encodes."""
    for table in (0, 4096):
        decoder = Decoder(table)
        try:
            fields = decoder.decode(data)
        except HpackError as error:
            assert str(error)
            continue
        assert decoder.table_size <= table
        assert Decoder(table).decode(data) == fields
        if decoder.repeatable:
            assert decoder.decode(data) == fields
        assert Decoder(0).decode(encode_fields(fields)) == fields
        if table:
            other = oracle.Decoder()
            other.max_allowed_table_size = table
            theirs = other.decode(data, raw=True)
            assert [
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in fields
            ] == [(bytes(name), bytes(value)) for name, value in theirs]
