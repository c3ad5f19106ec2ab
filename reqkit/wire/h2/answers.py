"""Frames of answers: heads, bodies, trailers. Sans-IO.

The peer is asked to do without the dynamic table of HPACK (a setting): then equal answers are equal
bytes, and a head that was read once is not read again. Some use it all the same (h2o does), so it
is kept, and what was read is forgotten whenever it changes.

Source: RFC 9113 sections 6.1, 6.2, 6.10 and 8.1.
"""

from __future__ import annotations

from typing import Final

from ...exceptions import ProtocolError
from ..h1.framing import Framing, framing_of
from ..h1.head import AnswerHead
from .faults import Fault, too_short, unpadded
from .fields import check_trailers, head_of_fields
from .frames import ErrorCode, Flag, Kind, kind_name
from .hpack import Pair
from .state import MAX_BLOCK, State
from .streams import NARROW, Stream

__all__ = ["DATA_EARNS", "HEAD_EARNS", "MAX_INTERIM", "Answers"]

#: Interim answers that are skipped before the peer is taken for hostile.
MAX_INTERIM: Final = 32
#: Heads that are remembered, and bytes of their blocks.
_REMEMBERED: Final = 64
_REMEMBERED_LENGTH: Final = 2048
#: What an answer's head, and a piece of a body, earn: see `floods`.
HEAD_EARNS: Final = 10
DATA_EARNS: Final = 1
#: Below how many bytes of a body a stray frame is counted: larger ones are few.
_SMALL: Final = 256

_DATA: Final = Kind.DATA
_HEADERS: Final = Kind.HEADERS
# Looked up in a class they cost a head a tenth more.
_END_STREAM: Final = Flag.END_STREAM
_END_HEADERS: Final = Flag.END_HEADERS
_SETS_APART: Final = Flag.PADDED | Flag.PRIORITY


class Answers(State):
    """The half of a connection that reads answers."""

    __slots__ = ()

    served: int

    def _headers(self, number: int, flags: int, payload: bytes) -> None:
        if flags & _SETS_APART:
            payload = unpadded(payload, flags)
            if flags & Flag.PRIORITY:
                if len(payload) < 5:
                    raise too_short(_HEADERS)
                payload = payload[5:]
        if number not in self.streams:
            self._check_number(number, _HEADERS)
        if flags & _END_HEADERS:
            self._fields(number, flags, payload)
        else:
            self._block = bytearray(payload)
            self._block_id, self._block_flags = number, flags

    def _continue(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        block = self._block
        assert block is not None
        if kind != Kind.CONTINUATION or number != self._block_id:
            raise Fault(
                ErrorCode.PROTOCOL_ERROR,
                f"a block of fields was broken off by a frame ({kind_name(kind)})",
            )
        self._balance.spend("CONTINUATION frames")
        block += payload
        if len(block) > MAX_BLOCK:
            raise Fault(
                ErrorCode.ENHANCE_YOUR_CALM,
                f"a block of fields of more than {MAX_BLOCK:,} bytes, in CONTINUATION frames",
            )
        if flags & Flag.END_HEADERS:
            self._block = None
            self._fields(number, self._block_flags, bytes(block))

    def _fields(self, number: int, flags: int, block: bytes) -> None:
        """Take a block of fields: an answer's head, or its trailers."""
        stream = self.streams.get(number)
        ends = bool(flags & _END_STREAM)
        if stream is None or stream.head is not None or stream.ended:
            fields = self._decoded(block)
            if stream is None or stream.ended:
                self._stray()
                if stream is not None:
                    # RFC 9113 section 5.1: half-closed (remote).
                    self._end(
                        stream, "it sent fields after the answer's end", ErrorCode.STREAM_CLOSED
                    )
            elif not ends:
                self._end(stream, "it sent fields in the middle of the answer's body")
            else:
                try:
                    check_trailers(fields)
                except ProtocolError as error:
                    self._end(stream, f"the body's trailers: {error}")
                else:
                    self._finish(stream)
            return
        head = self._heads.get(block)
        if head is None:
            repeatable = not self._decoder.has_table
            try:
                head = self._reader.read(block) if repeatable else None
                if head is None:
                    # The table is decoded to its end, whatever the fields are.
                    head = head_of_fields(self._decoded(block))
                    repeatable = self._decoder.repeatable
            except ProtocolError as error:
                self._end(stream, str(error))
                return
            if repeatable and len(block) <= _REMEMBERED_LENGTH:
                if len(self._heads) >= _REMEMBERED:
                    self._heads.clear()
                self._heads[block] = head
        if head.status < 200:
            self._interim(stream, head, ends)
            return
        like = self._like
        if stream.method == "GET" and (
            head.length >= 0 or (head.status == like.status and head.known == like.known)
        ):
            # As was found before, for it or for one that says the same of that.
            if head.length < 0:
                head.length = like.length
            stream.left = stream.size = head.length
        else:
            try:
                kind, length = framing_of(stream.method, head)
            except ProtocolError as error:
                self._end(stream, str(error))
                return
            if kind == Framing.LENGTH:
                stream.left = stream.size = length
                if stream.method == "GET":
                    head.length = length
                    self._like = head
            elif kind == Framing.NONE:
                stream.left = 0
        stream.head = head
        self.served += 1
        self._balance.earn(HEAD_EARNS)
        if ends:
            self._finish(stream)
        elif not stream.stirred:
            stream.stirred = True
            self._stirred.append(stream)

    def _decoded(self, block: bytes) -> list[Pair]:
        fields = self._decoder.decode(block)
        if not self._decoder.repeatable:
            self._heads.clear()  # equal bytes may mean something else from now on
        return fields

    def _interim(self, stream: Stream, head: AnswerHead, ends: bool) -> None:
        """Pass over a 1xx answer (RFC 9110 section 15.2)."""
        stream.interim += 1
        if head.status == 101:
            # RFC 9113 section 8.6.
            self._end(stream, "the server switched protocols (101), which HTTP/2 does not have")
        elif ends:
            self._end(stream, "an interim (1xx) answer ended the stream")
        elif stream.interim > MAX_INTERIM:
            self._end(stream, f"the server sent more than {MAX_INTERIM} interim (1xx) answers")
        else:
            self._balance.spend("interim (1xx) answers")

    def _data(self, number: int, flags: int, payload: bytes) -> None:
        """Take a DATA frame that is padded, or of no stream that is open."""
        self._check_number(number, _DATA)
        size = len(payload)
        if flags & Flag.PADDED:
            payload = unpadded(payload, flags)
        stream = self.streams.get(number)
        if stream is not None:
            stream.credit += size - len(payload)
            self._add_data(stream, flags, payload, size)
            if not stream.over and stream.credit >= NARROW // 2:
                self._give_back(stream)  # nobody reads padding
            return
        self._count(size)
        self._strays -= size
        if self._strays < 0:
            raise Fault(
                ErrorCode.STREAM_CLOSED, "bytes of a body came for a stream that was over (DATA)"
            )
        if size < _SMALL:
            self._stray()

    def _add_data(self, stream: Stream, flags: int, data: bytes, size: int) -> None:
        self._count(size)
        stream.room -= size
        if stream.room < 0:
            raise Fault(
                ErrorCode.FLOW_CONTROL_ERROR, "the server sent more than a stream's window allows"
            )
        if stream.ended:
            self._end(stream, "it sent bytes after the answer's end", ErrorCode.STREAM_CLOSED)
            return
        if stream.head is None:
            self._end(stream, "it sent bytes of a body (DATA) before the answer's head")
            return
        if data:
            length = len(data)
            if stream.size < 0 <= stream.left:
                self._end(stream, f"an answer to {stream.method} with {stream.head.status} has no"
                          " body, and bytes of one came")  # fmt: skip
                return
            if stream.left >= 0:
                if length > stream.left:
                    self._end(
                        stream,
                        f"the body has more than the {stream.size} bytes that Content-Length says",
                    )
                    return
                stream.left -= length
            stream.add(data)
            self._balance.earn(DATA_EARNS)
        elif not flags & Flag.END_STREAM:
            self._balance.spend("empty DATA frames")
        if flags & Flag.END_STREAM:
            self._finish(stream)
        else:
            self._stir(stream)
