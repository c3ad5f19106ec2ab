"""A client's connection: what arrives becomes facts of its streams, what is asked becomes frames.

Sans-IO: `Connection.receive` takes bytes as they come and returns the streams that have changed;
`Connection.take` returns what is to be sent. Whoever owns the socket calls both; nothing here
waits, and one thread or greenlet at a time may call.

The peer is asked to do without the dynamic table of HPACK (a setting): then equal answers are equal
bytes, and a head that was read once is not read again. Some use it all the same (h2o does), so it
is kept, and what was read is forgotten whenever it changes.

A fault of a stream's ends that stream; one of the connection's ends all of them, after a GOAWAY
that says why. What costs us work without bringing an answer on is paid from a `floods.Balance`.

Source: RFC 9113.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ...exceptions import ChunkedEncodingError, ProtocolError
from ..h1.framing import Framing, framing_of
from ..h1.head import AnswerHead
from . import frames
from .fields import HeadReader, check_trailers, head_of_fields
from .floods import Balance, Flood
from .frames import HEAD, PREFACE, ErrorCode, Flag, Kind, Setting, code_name, frame, kind_name
from .hpack import MAX_TABLE, NO_TABLE, Decoder, HpackError, ListTooLarge, Pair
from .streams import NARROW, WIDE, Stream

__all__ = ["MAX_BLOCK", "MAX_FIELDS", "MAX_INTERIM", "Connection"]

#: Bytes of a frame's payload that are taken: what every peer may send (RFC 9113 section 4.2).
_MAX_FRAME: Final = 16_384
#: Bytes of an answer's fields, and how many there may be.
MAX_BLOCK: Final = 307_200
MAX_FIELDS: Final = 1000
#: Interim answers that are skipped before the peer is taken for hostile.
MAX_INTERIM: Final = 32
#: Bytes that all streams together may be sent before these are given back, which is at once.
_CONNECTION_WINDOW: Final = 16_777_216
_MOST_WINDOW: Final = (1 << 31) - 1
_LAST_ID: Final = (1 << 31) - 1
#: Streams at a time, until the peer says how many: what RFC 9113 section 6.5.2 recommends.
_ASSUMED_STREAMS: Final = 100
#: Heads that are remembered, and bytes of their blocks.
_REMEMBERED: Final = 64
_REMEMBERED_LENGTH: Final = 2048
#: What an answer's head, and a piece of a body, earn: see `floods`.
_HEAD_EARNS: Final = 10
_DATA_EARNS: Final = 1
#: Frames for each stream that this side has ended that may still have been under way, and below
#: how many bytes of a body one is counted: larger ones are few.
_STRAY_FRAMES: Final = 64
_SMALL: Final = 256
#: Bytes of a GOAWAY's debug data that are shown.
_SHOWN: Final = 80

_DATA: Final = Kind.DATA
_HEADERS: Final = Kind.HEADERS
_PADDED: Final = Flag.PADDED
_END_STREAM: Final = Flag.END_STREAM


class _Fault(Exception):
    """The peer breaks a rule that the whole connection depends on."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Connection:
    """One connection, as a client has it.

    Attributes:
        streams: those that are not over, by number.
        error: why it cannot be used any more, or None.
        leaving: no stream may be opened any more: the peer said GOAWAY, or `retire` was called.
        ready: whether the peer's settings have come.
        leaves: whether the peer has said GOAWAY.
        most_streams: how many streams the peer allows at a time.
        served: answers whose head came over it.
        pending: bytes that `take` would return.
    """

    __slots__ = (
        "_balance", "_block", "_block_flags", "_block_frames", "_block_id", "_decoder", "_first",
        "_frame_size", "_heads", "_last_id", "_next_id", "_out", "_reader", "_rest", "_room",
        "_since", "_stirred", "_stray_frames", "_strays", "_stream_window", "_taken_id", "_unacked",
        "error", "leaves", "leaving", "most_streams", "pending", "ready", "served", "streams",
        "window",
    )  # fmt: skip

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        self.error: ProtocolError | None = None
        self.leaving = False
        self.leaves = False
        self.ready = False
        self.most_streams = _ASSUMED_STREAMS
        self.served = 0
        #: What the peer takes: of all streams together, of each new one, in one frame.
        self.window = NARROW
        self._stream_window = NARROW
        self._frame_size = _MAX_FRAME
        #: What the peer may still send, and what has come since that was last said.
        self._room = _CONNECTION_WINDOW
        self._since = 0
        self._decoder = Decoder(MAX_TABLE, MAX_BLOCK, MAX_FIELDS)
        self._heads: dict[bytes, AnswerHead] = {}
        self._reader = HeadReader(MAX_BLOCK)
        self._balance = Balance()
        #: Bytes and frames that may still come for streams that we have ended: they were under way.
        self._strays = self._stray_frames = 0
        self._next_id = 1
        self._last_id = 0
        self._taken_id = 0
        self._rest = b""
        self._first = True
        self._stirred: list[Stream] = []
        #: A block of fields that goes on in CONTINUATION frames.
        self._block: bytearray | None = None
        self._block_id = self._block_flags = self._block_frames = 0
        self._unacked = 1
        self._out: list[bytes] = [
            PREFACE,
            frames.settings((
                (Setting.HEADER_TABLE_SIZE, 0),
                (Setting.ENABLE_PUSH, 0),
                (Setting.INITIAL_WINDOW_SIZE, NARROW),
                (Setting.MAX_HEADER_LIST_SIZE, MAX_BLOCK),
            )),
            frames.window_update(0, _CONNECTION_WINDOW - NARROW),
        ]  # fmt: skip
        self.pending = sum(map(len, self._out))

    def __repr__(self) -> str:
        state = "leaving" if self.leaving else "open"
        if self.error is not None:
            state = f"failed: {self.error}"
        return f"<h2 Connection, {len(self.streams)} of {self.most_streams} streams, {state}>"

    # -- out --------------------------------------------------------------------------------

    def room(self) -> int:
        """Return how many streams may be opened now."""
        if self.leaving or self.error is not None or self._next_id >= _LAST_ID:
            return 0
        return self.most_streams - len(self.streams)

    def take(self) -> bytes:
        """Return what is to be sent, once."""
        out = self._out
        if not out:
            return b""
        data = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        self.pending = 0
        self._taken_id = self._last_id
        return data

    def _put(self, data: bytes) -> None:
        self._out.append(data)
        self.pending += len(data)

    def open(self, method: str, block: bytes, ends: bool) -> Stream:
        """Open a stream with a request's fields.

        Args:
            method: the request's.
            block: its fields, as `fields.request_block` encodes them.
            ends: whether it has no body.
        """
        assert self.room() > 0, "no stream may be opened"
        number = self._next_id
        self._next_id = number + 2
        if not self._last_id:
            # RFC 7541 section 4.2: what we encode uses no dynamic table, whatever the peer allows.
            block = NO_TABLE + block
        self._last_id = number
        flags = Flag.END_STREAM if ends else 0
        size = len(block)
        if size <= self._frame_size:
            self._out.append(
                HEAD.pack(size >> 8, size & 0xFF, _HEADERS, flags | Flag.END_HEADERS, number)
                + block
            )
            self.pending += size + 9
        else:
            self._open_in_parts(number, flags, block)
        stream = Stream(number, method, self._stream_window, ends)
        self.streams[number] = stream
        return stream

    def _open_in_parts(self, number: int, flags: int, block: bytes) -> None:
        most = self._frame_size
        kind = _HEADERS
        for start in range(0, len(block), most):
            if start + most >= len(block):
                flags |= Flag.END_HEADERS
            self._put(frame(kind, flags, number, block[start : start + most]))
            kind, flags = Kind.CONTINUATION, 0

    def send_data(self, stream: Stream, data: bytes | memoryview, ends: bool) -> int:
        """Send bytes of a request's body, as far as the windows allow.

        Args:
            stream: the request's.
            data: the bytes.
            ends: whether they are the last ones.

        Returns:
            How many were taken. The end has been sent where that is all of them.
        """
        size = len(data)
        most = min(size, stream.window, self.window)
        if stream.over or (most <= 0 < size):
            return 0
        at = 0
        while True:
            step = min(most - at, self._frame_size)
            last = ends and at + step == size
            self._put(
                frame(_DATA, Flag.END_STREAM if last else 0, stream.id, bytes(data[at : at + step]))
            )
            at += step
            if at >= most:
                break
        stream.window -= at
        self.window -= at
        self._balance.earn(4 + at // 2048)
        if last:
            self._sent(stream)
        return at

    def _sent(self, stream: Stream) -> None:
        stream.sent = True
        if stream.ended:
            self.streams.pop(stream.id, None)

    def reset(self, stream: Stream, code: int = ErrorCode.CANCEL) -> None:
        """End a stream that is not over; what is still under way for it is thrown away."""
        if self.streams.pop(stream.id, None) is None:
            return
        if stream.error is None and not stream.ended:
            stream.error = ChunkedEncodingError("the stream was ended on this side")
        self._strays += max(stream.room, 0)
        self._stray_frames += _STRAY_FRAMES
        if self.error is None:
            self._put(frames.reset(stream.id, code))

    def read(self, stream: Stream, most: int) -> bytes:
        """Return bytes of an answer's body that have arrived, and let the peer send as many."""
        data = stream.take(most)
        if data and not stream.over:
            stream.credit += len(data)
            if stream.credit >= (WIDE if stream.wide else NARROW) // 2:
                self._give_back(stream)
        return data

    def _read_at_once(self, stream: Stream, size: int) -> None:
        """Let the peer send on, for what has come need not be read first."""
        stream.credit += size
        if stream.credit >= WIDE // 2:
            self._give_back(stream)

    def widen(self, stream: Stream, whole: bool = False) -> None:
        """Let the peer send more of a body, all of which is waited for.

        Args:
            stream: the answer's.
            whole: the body is kept until it is whole, and then taken by `Stream.take_all`.
        """
        if whole and not stream.whole:
            stream.whole = True
            stream.credit += stream.held
        if not stream.wide and not stream.over:
            stream.wide = True
            stream.credit += WIDE - NARROW
            self._give_back(stream)

    def _give_back(self, stream: Stream) -> None:
        stream.room += stream.credit
        self._put(frames.window_update(stream.id, stream.credit))
        stream.credit = 0

    def ping(self, data: bytes = b"reqkit--") -> None:
        """Ask the peer whether it is there."""
        self._unacked += 1
        self._put(frames.ping(data))

    def retire(self) -> None:
        """Open no stream any more; those that are open go on."""
        self.leaving = True

    def close(self) -> None:
        """Say that this side leaves (RFC 9113 section 6.8): all that are open are ended."""
        if self.error is None and not self.leaving:
            self._put(frames.go_away(0, ErrorCode.NO_ERROR))
        self.leaving = True

    # -- in ---------------------------------------------------------------------------------

    def receive(self, data: bytes, now: float | None = None) -> list[Stream]:
        """Take bytes as they arrived.

        Args:
            data: the bytes.
            now: the time, in seconds of any clock that does not go back.

        Returns:
            The streams that have something new to say, each once.
        """
        return self._receive(self._rest + data if self._rest else data, now)

    def rest_into(self, buffer: memoryview) -> int:
        """Put what is kept of a frame at the beginning of a buffer; return how many bytes.

        What is received then follows it there, and `receive_buffer` takes both.
        """
        rest = self._rest
        buffer[: len(rest)] = rest
        return len(rest)

    def receive_buffer(self, buffer: memoryview, now: float) -> list[Stream]:
        """As `receive`, of what `rest_into` has begun. The buffer is not kept."""
        return self._receive(buffer, now)

    def _receive(self, data: bytes | memoryview, now: float | None) -> list[Stream]:
        if now is not None:
            self._balance.pass_time(now)
        if self.error is None:
            try:
                self._read_frames(data)
            except _Fault as broken:
                self._fail(broken.code, str(broken))
            except Flood as flood:
                self._fail(
                    ErrorCode.ENHANCE_YOUR_CALM,
                    f"the server floods the connection: {flood} that bring no answer on",
                )
            except HpackError as error:
                large = isinstance(error, ListTooLarge)
                fault = "is too large" if large else "is broken"
                self._fail(
                    ErrorCode.ENHANCE_YOUR_CALM if large else ErrorCode.COMPRESSION_ERROR,
                    f"a block of fields (HPACK) {fault}: {error}",
                )
        stirred = self._stirred
        if stirred:
            self._stirred = []
            for stream in stirred:
                stream.stirred = False
        return stirred

    def _read_frames(self, data: bytes | memoryview) -> None:
        """Read all frames that are whole, and keep the rest."""
        at, size = 0, len(data)
        counted = 0
        unpack = HEAD.unpack_from
        streams = self.streams
        if self._first and size and data[:5] == b"HTTP/"[:size]:
            raise _Fault(
                ErrorCode.PROTOCOL_ERROR,
                "the server speaks HTTP/1.1 and not HTTP/2: config={'http2': False}",
            )
        while size - at >= 9:
            high, low, kind, flags, number = unpack(data, at)
            length = high << 8 | low
            stop = at + 9 + length
            if length > _MAX_FRAME:
                raise _Fault(
                    ErrorCode.FRAME_SIZE_ERROR,
                    f"a frame ({kind_name(kind)}) of {length:,} bytes: at most {_MAX_FRAME:,} were"
                    " allowed",
                )
            if stop > size:
                break
            start = at + 9
            at = stop
            number &= _LAST_ID  # RFC 9113 section 4.1: the bit before it says nothing
            if self._first:
                self._take_first(kind, flags)
            if self._block is not None:
                self._continue(kind, flags, number, bytes(data[start:stop]))
            elif kind == _DATA:
                stream = streams.get(number)
                if stream is None or flags & _PADDED:
                    self._data(number, flags, bytes(data[start:stop]))
                elif (
                    0 < length <= stream.room
                    and (length <= stream.left or stream.left < 0)
                    and stream.head is not None
                    and not stream.ended
                ):
                    # What `_add_data` does with bytes that are as they should be.
                    counted += length
                    stream.room -= length
                    if stream.left > 0:
                        stream.left -= length
                    stream.pieces.append(bytes(data[start:stop]))
                    stream.held += length
                    if stream.whole:
                        self._read_at_once(stream, length)
                    if flags & _END_STREAM:
                        self._finish(stream)
                    elif not stream.stirred:
                        stream.stirred = True
                        self._stirred.append(stream)
                else:
                    self._add_data(stream, flags, bytes(data[start:stop]), length)
            elif kind == _HEADERS:
                self._headers(number, flags, bytes(data[start:stop]))
            else:
                self._other(kind, flags, number, bytes(data[start:stop]))
        self._rest = bytes(data[at:]) if at < size else b""
        if counted:
            self._count(counted)
            self._balance.earn(_DATA_EARNS)

    def _take_first(self, kind: int, flags: int) -> None:
        if kind != Kind.SETTINGS or flags & Flag.ACK:
            raise _Fault(
                ErrorCode.PROTOCOL_ERROR,
                f"the server's first frame is {kind_name(kind)}: expected SETTINGS; does it speak"
                " HTTP/2?",
            )
        self._first = False

    def _stir(self, stream: Stream) -> None:
        if not stream.stirred:
            stream.stirred = True
            self._stirred.append(stream)

    # -- fields

    def _headers(self, number: int, flags: int, payload: bytes) -> None:
        if flags & (Flag.PADDED | Flag.PRIORITY):
            payload = _unpadded(payload, flags)
            if flags & Flag.PRIORITY:
                if len(payload) < 5:
                    raise _too_short(_HEADERS)
                payload = payload[5:]
        self._check_number(number, _HEADERS)
        if flags & Flag.END_HEADERS:
            self._fields(number, flags, payload)
        else:
            self._block = bytearray(payload)
            self._block_id, self._block_flags, self._block_frames = number, flags, 1

    def _continue(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        block = self._block
        assert block is not None
        if kind != Kind.CONTINUATION or number != self._block_id:
            raise _Fault(
                ErrorCode.PROTOCOL_ERROR,
                f"a block of fields was broken off by a frame ({kind_name(kind)})",
            )
        self._balance.spend("CONTINUATION frames")
        block += payload
        if len(block) > MAX_BLOCK:
            raise _Fault(
                ErrorCode.ENHANCE_YOUR_CALM,
                f"a block of fields of more than {MAX_BLOCK:,} bytes, in CONTINUATION frames",
            )
        if flags & Flag.END_HEADERS:
            self._block = None
            self._fields(number, self._block_flags, bytes(block))

    def _fields(self, number: int, flags: int, block: bytes) -> None:
        """Take a block of fields: an answer's head, or its trailers."""
        stream = self.streams.get(number)
        ends = bool(flags & Flag.END_STREAM)
        if stream is None or stream.head is not None or stream.ended:
            fields = self._decoded(block)
            if stream is None or stream.ended:
                self._stray()
                if stream is not None:
                    self._end(stream, "it sent fields after the answer's end")
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
            try:
                head = None if self._decoder.has_table else self._reader.read(block)
                if head is None:
                    # The table is decoded to its end, whatever the fields are.
                    head = head_of_fields(self._decoded(block))
            except ProtocolError as error:
                self._end(stream, str(error))
                return
            if self._decoder.repeatable and len(block) <= _REMEMBERED_LENGTH:
                if len(self._heads) >= _REMEMBERED:
                    self._heads.clear()
                self._heads[block] = head
        if head.status < 200:
            self._interim(stream, head, ends)
            return
        try:
            kind, length = framing_of(stream.method, head)
        except ProtocolError as error:
            self._end(stream, str(error))
            return
        stream.head = head
        self.served += 1
        self._balance.earn(_HEAD_EARNS)
        if kind == Framing.LENGTH:
            stream.left = stream.size = length
        elif kind == Framing.NONE:
            stream.left = 0
        if ends:
            self._finish(stream)
        else:
            self._stir(stream)

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

    # -- bodies

    def _data(self, number: int, flags: int, payload: bytes) -> None:
        """Take a DATA frame that is padded, or of no stream that is open."""
        self._check_number(number, _DATA)
        size = len(payload)
        if flags & Flag.PADDED:
            payload = _unpadded(payload, flags)
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
            raise _Fault(
                ErrorCode.STREAM_CLOSED, "bytes of a body came for a stream that was over (DATA)"
            )
        if size < _SMALL:
            self._stray()

    def _stray(self) -> None:
        """Take note of a frame for a stream that is over: it may have been under way."""
        if self._stray_frames > 0:
            self._stray_frames -= 1
        else:
            self._balance.spend("frames of streams that are over")

    def _count(self, size: int) -> None:
        """Count bytes against the connection's window, and give it back: nobody waits for it."""
        self._room -= size
        if self._room < 0:
            raise _Fault(
                ErrorCode.FLOW_CONTROL_ERROR,
                "the server sent more than the connection's window allows",
            )
        self._since += size
        if self._since >= _CONNECTION_WINDOW // 4:
            self._room += self._since
            self._put(frames.window_update(0, self._since))
            self._since = 0

    def _add_data(self, stream: Stream, flags: int, data: bytes, size: int) -> None:
        self._count(size)
        stream.room -= size
        if stream.room < 0:
            raise _Fault(
                ErrorCode.FLOW_CONTROL_ERROR, "the server sent more than a stream's window allows"
            )
        if stream.ended:
            self._end(stream, "it sent bytes after the answer's end")
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
            self._balance.earn(_DATA_EARNS)
        elif not flags & Flag.END_STREAM:
            self._balance.spend("empty DATA frames")
        if flags & Flag.END_STREAM:
            self._finish(stream)
        else:
            self._stir(stream)

    def _finish(self, stream: Stream) -> None:
        """Take note of an answer's end."""
        if stream.left > 0:
            got = stream.size - stream.left
            # What came is handed out before this is: see `Stream.error`.
            stream.error = ChunkedEncodingError(
                f"the body broke off: {got} of {stream.size} bytes came before the server ended it"
            )
        stream.ended = True
        if stream.sent:
            del self.streams[stream.id]
        self._stir(stream)

    def _end(self, stream: Stream, why: str) -> None:
        """End a stream whose answer is malformed (RFC 9113 section 8.1.1)."""
        if not stream.ended:
            kind = ProtocolError if stream.head is None else ChunkedEncodingError
            stream.error = kind(f"the answer breaks HTTP/2's rules: {why}")
        self._stir(stream)
        self.reset(stream, ErrorCode.PROTOCOL_ERROR)

    # -- all other frames

    def _check_number(self, number: int, kind: int) -> None:
        """Refuse a stream that this side has not opened (RFC 9113 section 5.1)."""
        if number & 1 and number <= self._last_id:
            return
        if not number:
            why = "of no stream"
        elif number & 1:
            why = "of a stream that was never opened"
        else:
            why = "of a stream of the server's own"
        raise _Fault(ErrorCode.PROTOCOL_ERROR, f"a frame ({kind_name(kind)}) {why}")

    def _other(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        handle = _HANDLERS.get(kind)
        if handle is None:
            # RFC 9113 section 4.1: what is not known is passed over.
            self._balance.spend("frames of unknown types", 1 + len(payload) // 8192)
            return
        handle(self, flags, number, payload)

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, "a frame (SETTINGS) of a stream")
        if flags & Flag.ACK:
            if payload:
                raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "a SETTINGS acknowledgement with settings")
            self._acknowledged("SETTINGS acknowledgements")
            return
        count, odd = divmod(len(payload), 6)
        if odd:
            raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "a SETTINGS frame of a wrong size")
        self._balance.spend("SETTINGS frames", 1 + count // 10)
        for start in range(0, len(payload), 6):
            self._set(
                int.from_bytes(payload[start : start + 2], "big"),
                int.from_bytes(payload[start + 2 : start + 6], "big"),
            )
        self.ready = True
        self._put(frame(Kind.SETTINGS, Flag.ACK, 0))

    def _set(self, setting: int, value: int) -> None:
        if setting == Setting.MAX_CONCURRENT_STREAMS:
            self.most_streams = value
        elif setting == Setting.INITIAL_WINDOW_SIZE:
            if value > _MOST_WINDOW:
                raise _Fault(ErrorCode.FLOW_CONTROL_ERROR, "a setting: too large a window")
            # RFC 9113 section 6.9.2: it counts for the streams that are open, too.
            change = value - self._stream_window
            self._stream_window = value
            for stream in self.streams.values():
                stream.window += change
                if stream.window > _MOST_WINDOW:
                    raise _Fault(ErrorCode.FLOW_CONTROL_ERROR, "a setting: too large a window")
                if not stream.sent:
                    self._stir(stream)
        elif setting == Setting.MAX_FRAME_SIZE:
            if not 16_384 <= value <= 16_777_215:
                raise _Fault(ErrorCode.PROTOCOL_ERROR, f"a setting: frames of {value} bytes")
            self._frame_size = min(value, 65_536)
        elif setting == Setting.ENABLE_PUSH and value:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, "a setting: the server asks for pushes")

    def _ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, "a frame (PING) of a stream")
        if len(payload) != 8:
            raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "a PING frame of a wrong size")
        if flags & Flag.ACK:
            self._acknowledged("PING acknowledgements")
            return
        self._balance.spend("PING frames")
        self._put(frames.ping(payload, ack=True))

    def _acknowledged(self, what: str) -> None:
        if self._unacked:
            self._unacked -= 1
        else:
            self._balance.spend(what)

    def _go_away(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, "a frame (GOAWAY) of a stream")
        if len(payload) < 8:
            raise _too_short(Kind.GOAWAY)
        self._balance.spend("GOAWAY frames")
        self.leaving = self.leaves = True
        last = int.from_bytes(payload[:4], "big") & _LAST_ID
        code = int.from_bytes(payload[4:8], "big")
        text = payload[8 : 8 + _SHOWN].decode("ascii", "replace")
        why = f"the server closes the connection ({code_name(code)})"
        if text.isprintable() and text:
            why += f", saying {text!r}"
        for stream in [one for one in self.streams.values() if one.id > last]:
            # RFC 9113 section 6.8: these it has not acted on, and never will.
            stream.unprocessed = True
            self._lose(stream, why)

    def _reset_stream(self, flags: int, number: int, payload: bytes) -> None:
        self._check_number(number, Kind.RST_STREAM)
        if len(payload) != 4:
            raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "a RST_STREAM frame of a wrong size")
        stream = self.streams.get(number)
        if stream is None:
            self._stray()
            return
        stream.code = code = int.from_bytes(payload, "big")
        if stream.ended:
            # RFC 9113 section 8.1: the answer is whole, and the rest of the request not wanted.
            del self.streams[number]
            self._stir(stream)
            return
        if code == ErrorCode.REFUSED_STREAM and stream.head is None:
            stream.unprocessed = True
        self._lose(stream, stream.ending())

    def _window_update(self, flags: int, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "a WINDOW_UPDATE frame of a wrong size")
        self._balance.spend("WINDOW_UPDATE frames")
        increment = int.from_bytes(payload, "big") & _MOST_WINDOW
        if not number:
            if not increment:
                raise _Fault(ErrorCode.PROTOCOL_ERROR, "a WINDOW_UPDATE by 0")
            self.window += increment
            if self.window > _MOST_WINDOW:
                raise _Fault(ErrorCode.FLOW_CONTROL_ERROR, "WINDOW_UPDATE: too large a window")
            for stream in self.streams.values():
                if not stream.sent:
                    self._stir(stream)
            return
        self._check_number(number, Kind.WINDOW_UPDATE)
        stream_ = self.streams.get(number)
        if stream_ is None:
            return
        if not increment:
            self._end(stream_, "a WINDOW_UPDATE by 0")
            return
        stream_.window += increment
        if stream_.window > _MOST_WINDOW:
            self._end(stream_, "WINDOW_UPDATE: too large a window")
        elif not stream_.sent:
            self._stir(stream_)

    def _priority(self, flags: int, number: int, payload: bytes) -> None:
        if not number:
            raise _Fault(ErrorCode.PROTOCOL_ERROR, "a frame (PRIORITY) of no stream")
        if len(payload) != 5:
            raise _Fault(ErrorCode.FRAME_SIZE_ERROR, "a PRIORITY frame of a wrong size")
        # RFC 9113 section 5.3.2: it means nothing any more.
        self._balance.spend("PRIORITY frames")

    def _push(self, flags: int, number: int, payload: bytes) -> None:
        raise _Fault(ErrorCode.PROTOCOL_ERROR, "a push (PUSH_PROMISE), which was ruled out")

    def _stray_continuation(self, flags: int, number: int, payload: bytes) -> None:
        raise _Fault(ErrorCode.PROTOCOL_ERROR, "a CONTINUATION frame without what it continues")

    # -- the end

    def _lose(self, stream: Stream, why: str) -> None:
        """End a stream that the peer, or the connection's end, has cut off."""
        self.streams.pop(stream.id, None)
        if stream.head is None:
            stream.error = ProtocolError(f"{why}, before it answered")
        elif not stream.ended:
            got = ""
            if stream.size >= 0:
                got = f" ({stream.size - stream.left} of {stream.size} bytes came)"
            stream.error = ChunkedEncodingError(f"the body broke off{got}: {why}")
        stream.lost = True
        self._stir(stream)

    def end(self, why: str = "the server closed the connection") -> list[Stream]:
        """Take note that the connection has ended.

        Returns:
            The streams that were not over: they are now.
        """
        if self.error is None:
            if self._first and self._rest:
                why += " in the middle of its first frame; does it speak HTTP/2?"
            self.error = ProtocolError(why)
        for stream in list(self.streams.values()):
            # What was never sent was not acted on.
            stream.unprocessed = stream.id > self._taken_id
            self._lose(stream, why)
        self.leaving = True
        return self.receive(b"")

    def _fail(self, code: int, why: str) -> None:
        """End all: the peer has broken a rule."""
        text = f"the server breaks HTTP/2's rules: {why}"
        if code == ErrorCode.ENHANCE_YOUR_CALM:
            text = f"the server was too much for HTTP/2's limits here: {why}"
        self._rest = b""
        self._block = None
        self._put(frames.go_away(0, code))
        self.error = ProtocolError(text)
        self.leaving = True
        for stream in list(self.streams.values()):
            del self.streams[stream.id]
            if not stream.ended:
                kind = ProtocolError if stream.head is None else ChunkedEncodingError
                stream.error = kind(text)
            self._stir(stream)


def _unpadded(payload: bytes, flags: int) -> bytes:
    """Return a payload without its padding (RFC 9113 section 6.1)."""
    if not flags & Flag.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise _Fault(ErrorCode.PROTOCOL_ERROR, "a frame with more padding than it has bytes")
    return payload[1 : len(payload) - payload[0]]


def _too_short(kind: int) -> _Fault:
    return _Fault(ErrorCode.FRAME_SIZE_ERROR, f"a frame ({kind_name(kind)}) that is too short")


_Handler = Callable[[Connection, int, int, bytes], None]

_HANDLERS: Final[dict[int, _Handler]] = {
    Kind.PRIORITY: Connection._priority,
    Kind.RST_STREAM: Connection._reset_stream,
    Kind.SETTINGS: Connection._settings,
    Kind.PUSH_PROMISE: Connection._push,
    Kind.PING: Connection._ping,
    Kind.GOAWAY: Connection._go_away,
    Kind.WINDOW_UPDATE: Connection._window_update,
    Kind.CONTINUATION: Connection._stray_continuation,
}
