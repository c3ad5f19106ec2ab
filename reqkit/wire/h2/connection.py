"""A client's connection: what arrives becomes facts of its streams, what is asked becomes frames.

Sans-IO: `Connection.receive` takes bytes as they come and returns the streams that have changed;
`Connection.take` returns what is to be sent. Whoever owns the socket calls both; nothing here
waits, and one thread or greenlet at a time may call.

Its parts: `state` is what it knows, `sending` turns what is asked for into frames, `answers` and
`control` take those of the peer.

A fault of a stream's ends that stream; one of the connection's ends all of them, after a GOAWAY
that says why. What costs us work without bringing an answer on is paid from a `floods.Balance`.

Source: RFC 9113.
"""

from __future__ import annotations

from ...exceptions import ChunkedEncodingError, ProtocolError
from . import frames
from .answers import DATA_EARNS, HEAD_EARNS, MAX_INTERIM, Answers
from .control import Control
from .faults import Fault
from .floods import Flood
from .frames import HEAD, ErrorCode, Flag, Kind, kind_name, pack_head
from .hpack import HpackError, ListTooLarge
from .sending import Sending
from .state import LAST_ID, MAX_BLOCK, MAX_FIELDS, MAX_FRAME
from .streams import Stream

__all__ = ["MAX_BLOCK", "MAX_FIELDS", "MAX_INTERIM", "Connection"]

_DATA = Kind.DATA
_HEADERS = Kind.HEADERS
_PADDED = Flag.PADDED
_END_STREAM = Flag.END_STREAM
_END_HEADERS = Flag.END_HEADERS
#: Bytes of a frame that is looked for more of its like after.
_LONG = 1024
#: What has arrived is copied as a whole, up to so many bytes, where it begins with a frame of no
#: more than so many times 256.
_COPIED = 65_536
_SMALL = 16


class Connection(Sending, Answers, Control):
    """One connection, as a client has it.

    Attributes:
        streams: those that are not over, by number.
        error: why it cannot be used any more, or None.
        leaving: no stream may be opened any more: the peer said GOAWAY, or it has ended.
        ready: whether the peer's settings have come.
        leaves: whether the peer has said GOAWAY.
        goodbye: what it has said with that, where it was an error.
        most_streams: how many streams the peer allows at a time.
        served: answers whose head came over it.
        pending: bytes that `take` would return.
    """

    __slots__ = ()

    error: ProtocolError | None
    leaving: bool
    served: int

    def __repr__(self) -> str:
        state = "leaving" if self.leaving else "open"
        if self.error is not None:
            state = f"failed: {self.error}"
        return f"<h2 Connection, {len(self.streams)} of {self.most_streams} streams, {state}>"

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
        # Small frames are cut from bytes sooner than from a view; large ones are copied once.
        size = len(buffer)
        small = 1 < size <= _COPIED and not buffer[0] and buffer[1] < _SMALL
        return self._receive(buffer.tobytes() if small else buffer, now)

    def _receive(self, data: bytes | memoryview, now: float | None) -> list[Stream]:
        if now is not None:
            self._balance.pass_time(now)
        if self.error is None:
            try:
                self._read_frames(data)
            except Fault as broken:
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
            raise Fault(
                ErrorCode.PROTOCOL_ERROR,
                "the server speaks HTTP/1.1 and not HTTP/2: config={'http2': False}",
            )
        while size - at >= 9:
            high, low, kind, flags, number = unpack(data, at)
            length = high << 8 | low
            stop = at + 9 + length
            if length > MAX_FRAME:
                raise Fault(
                    ErrorCode.FRAME_SIZE_ERROR,
                    f"a frame ({kind_name(kind)}) of {length:,} bytes: at most {MAX_FRAME:,} were"
                    " allowed",
                )
            if stop > size:
                break
            start = at + 9
            at = stop
            number &= LAST_ID  # RFC 9113 section 4.1: the bit before it says nothing
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
                    stream.room -= length
                    if stream.left > 0:
                        stream.left -= length
                    if stream.gathered is None:
                        stream.pieces.append(bytes(data[start:stop]))
                    else:
                        stream.gathered.write(data[start:stop])
                    stream.held += length
                    if flags & _END_STREAM:
                        self._finish(stream)
                    else:
                        if length >= _LONG:
                            at = self._take_alike(stream, data, at, length)
                            length *= (at - start + 9) // (length + 9)
                        if stream.held >= stream.gathers_at:
                            stream.gather()
                        if stream.whole:
                            self._read_at_once(stream, length)
                        if not stream.stirred:
                            stream.stirred = True
                            self._stirred.append(stream)
                    counted += length
                else:
                    self._add_data(stream, flags, bytes(data[start:stop]), length)
            elif kind == _HEADERS:
                if flags == _END_HEADERS and type(data) is bytes:
                    begins = start - 9
                    at = self._take_answers(data, begins)
                    if at > begins:
                        continue
                    at = stop
                self._headers(number, flags, bytes(data[start:stop]))
            else:
                self._other(kind, flags, number, bytes(data[start:stop]))
        self._rest = bytes(data[at:]) if at < size else b""
        if counted:
            self._count(counted)
            self._balance.earn(DATA_EARNS)

    def _take_answers(self, data: bytes, at: int) -> int:
        """Take answers to GETs that are two frames each: the head, and the whole of a body.

        Most small ones come so. What a head says is known before that it is one of these is, so
        one that was read before costs nothing else here; one that was not is read as any other.

        Args:
            data: what has arrived.
            at: where a frame of HEADERS begins, of no more than a block of fields.

        Returns:
            Where the last of them ends, or where a head does whose body goes on otherwise; where it
            began, if there is none.
        """
        streams, heads, stirred = self.streams, self._heads, self._stirred
        size = len(data)
        unpack = HEAD.unpack_from
        answers = counted = 0
        while size - at >= 18:
            high, low, kind, flags, number = unpack(data, at)
            start = at + 9
            stop = start + (high << 8 | low)
            if kind != _HEADERS or flags != _END_HEADERS or size - stop < 9:
                break
            stream = streams.get(number)
            if stream is None or stream.head is not None or stream.method != "GET":
                break
            block = data[start:stop]
            head = heads.get(block)
            if head is None:
                if stop - start > MAX_FRAME:
                    break
                self._fields(number, flags, block)
                at = stop
                head = stream.head
                if head is None:
                    continue
            else:
                answers += 1
            length = head.length
            end = stop + 9 + length
            if (
                not 0 < length <= MAX_FRAME
                or end > size
                or not stream.sent
                or length > stream.room
                or data[stop : stop + 9]
                != pack_head(length >> 8, length & 0xFF, _DATA, _END_STREAM, number)
            ):
                if at != stop:
                    answers -= 1
                break
            # What `_fields` and `_add_data` do with what is as it should be.
            stream.head = head
            stream.size = stream.held = length
            stream.left = 0
            stream.pieces.append(data[stop + 9 : end])
            stream.ended = True
            del streams[number]
            if not stream.stirred:
                stream.stirred = True
                stirred.append(stream)
            counted += length
            at = end
        if counted:
            self.served += answers
            self._count(counted)
            self._balance.earn(answers * HEAD_EARNS + DATA_EARNS)
        return at

    @staticmethod
    def _take_alike(stream: Stream, data: bytes | memoryview, at: int, length: int) -> int:
        """Take the frames of a body that begin with the same bytes as the one before.

        Most of a large body comes so.

        Args:
            stream: whose.
            data: what has arrived.
            at: where the one before ends; it was a frame of DATA without padding or an end.
            length: of its payload.

        Returns:
            Where the last of them ends, none that the stream has no room for among them.
        """
        begun, step = at, length + 9
        head = data[at - step : at - length]
        most = stream.room if stream.left < 0 else min(stream.room, stream.left)
        end = min(len(data), at + most // length * step)
        pieces, place = stream.pieces, stream.gathered
        while (stop := at + step) <= end and data[at : at + 9] == head:
            if place is None:
                pieces.append(bytes(data[at + 9 : stop]))
            else:
                place.write(data[at + 9 : stop])
            at = stop
        taken = (at - begun) // step * length
        stream.room -= taken
        if stream.left > 0:
            stream.left -= taken
        stream.held += taken
        return at

    def _take_first(self, kind: int, flags: int) -> None:
        if kind != Kind.SETTINGS or flags & Flag.ACK:
            raise Fault(
                ErrorCode.PROTOCOL_ERROR,
                f"the server's first frame is {kind_name(kind)}: expected SETTINGS; does it speak"
                " HTTP/2?",
            )
        self._first = False

    def amid(self, stream: Stream) -> bool:
        """Tell whether a part of a frame of a stream's has come, and the rest has not."""
        rest = self._rest
        return len(rest) >= 9 and HEAD.unpack_from(rest)[4] & LAST_ID == stream.id

    def end(self, why: str = "the server closed the connection") -> list[Stream]:
        """Take note that the connection has ended.

        Returns:
            The streams that were not over: they are now.
        """
        if self.error is None:
            if self._first and self._rest:
                why += " in the middle of its first frame; does it speak HTTP/2?"
            self.error = ProtocolError(why)
        why = self.goodbye or why
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
