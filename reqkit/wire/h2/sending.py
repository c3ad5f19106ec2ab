"""What a client asks for becomes frames: requests, their bodies, and room for answers. Sans-IO.

Source: RFC 9113 sections 5, 6.1 and 6.9.
"""

from __future__ import annotations

from . import frames
from .frames import ErrorCode, Flag, Kind, frame, pack_head
from .hpack import NO_TABLE
from .state import LAST_ID, State
from .streams import NARROW, WIDE, Stream

__all__ = ["Sending"]

_DATA = Kind.DATA
_HEADERS = Kind.HEADERS
_END_HEADERS = Flag.END_HEADERS
_WHOLE = Flag.END_STREAM | Flag.END_HEADERS


class Sending(State):
    """The half of a connection that sends."""

    __slots__ = ()

    leaving: bool
    pending: int
    window: int

    def room(self) -> int:
        """Return how many streams may be opened now."""
        return 0 if self.leaving else self.most_streams - len(self.streams)

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

    def open(self, method: str, block: bytes, ends: bool) -> Stream | None:
        """Open a stream with a request's fields.

        Args:
            method: the request's.
            block: its fields, as `fields.request_block` encodes them.
            ends: whether it has no body.

        Returns:
            The stream; None where there is no `room` for any.
        """
        streams = self.streams
        if self.leaving or len(streams) >= self.most_streams:
            return None
        number = self._next_id
        self._next_id = number + 2
        if number == 1:
            # RFC 7541 section 4.2: what we encode uses no dynamic table, whatever the peer allows.
            block = NO_TABLE + block
        elif number >= LAST_ID:
            self.leaving = True
        self._last_id = number
        size = len(block)
        if size <= self._frame_size:
            flags = _WHOLE if ends else _END_HEADERS
            self._out += (pack_head(size >> 8, size & 0xFF, _HEADERS, flags, number), block)
            self.pending += size + 9
        else:
            self._open_in_parts(number, Flag.END_STREAM if ends else 0, block)
        streams[number] = stream = Stream(number, method, self._stream_window, ends)
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
            stream.keep_whole()
            stream.credit += stream.held
        if not stream.wide and not stream.over:
            stream.wide = True
            stream.credit += WIDE - NARROW
            self._give_back(stream)

    def ping(self, data: bytes = b"reqkit--") -> None:
        """Ask the peer whether it is there."""
        self._unacked += 1
        self._put(frames.ping(data))

    def close(self) -> None:
        """Say that this side leaves (RFC 9113 section 6.8): all that are open are ended."""
        if self.error is None and not self.leaving:
            self._put(frames.go_away(0, ErrorCode.NO_ERROR))
        self.leaving = True
