"""What a connection knows, and the steps that all of its parts take. Sans-IO.

Source: RFC 9113.
"""

from __future__ import annotations

from typing import Final

from ...exceptions import ChunkedEncodingError, ProtocolError
from ..h1.head import AnswerHead
from . import frames
from .faults import Fault
from .floods import Balance
from .frames import PREFACE, ErrorCode, Setting, kind_name
from .hpack import MAX_TABLE, Decoder
from .repeated_fields import HeadReader
from .streams import NARROW, Stream

__all__ = ["CONNECTION_WINDOW", "LAST_ID", "MAX_BLOCK", "MAX_FIELDS", "MAX_FRAME", "State"]

#: Bytes of a frame's payload that are taken: what every peer may send (RFC 9113 section 4.2).
MAX_FRAME: Final = 16_384
#: Bytes of an answer's fields, and how many there may be.
MAX_BLOCK: Final = 307_200
MAX_FIELDS: Final = 1000
#: Bytes that all streams together may be sent before these are given back, which is at once.
CONNECTION_WINDOW: Final = 16_777_216
LAST_ID: Final = (1 << 31) - 1
#: Streams at a time, until the peer says how many: what RFC 9113 section 6.5.2 recommends.
_ASSUMED_STREAMS: Final = 100
#: Frames for each stream that this side has ended that may still have been under way.
_STRAY_FRAMES: Final = 64
#: Like no answer's.
_NO_HEAD: Final = AnswerHead(0, 0, "", "", {})


class State:
    """A connection's state: see `connection.Connection`."""

    __slots__ = (
        "_balance", "_block", "_block_flags", "_block_id", "_decoder", "_first",
        "_frame_size", "_heads", "_last_id", "_like", "_next_id", "_out", "_reader", "_rest",
        "_room", "_since", "_stirred", "_stray_frames", "_strays", "_stream_window", "_taken_id",
        "_unacked", "error", "goodbye", "leaves", "leaving", "most_streams", "pending",
        "ready", "served", "streams", "window",
    )  # fmt: skip

    error: ProtocolError | None
    leaving: bool
    pending: int

    def __init__(self) -> None:
        self.streams: dict[int, Stream] = {}
        self.error = None
        self.leaving = False
        self.leaves: bool = False
        self.goodbye: str = ""
        self.ready: bool = False
        self.most_streams: int = _ASSUMED_STREAMS
        self.served: int = 0
        #: What the peer takes: of all streams together, of each new one, in one frame.
        self.window: int = NARROW
        self._stream_window = NARROW
        self._frame_size = MAX_FRAME
        #: What the peer may still send, and what has come since that was last said.
        self._room = CONNECTION_WINDOW
        self._since = 0
        self._decoder = Decoder(MAX_TABLE, MAX_BLOCK, MAX_FIELDS)
        self._heads: dict[bytes, AnswerHead] = {}
        #: The last head of an answer to a GET that says a length.
        self._like = _NO_HEAD
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
        self._block_id = self._block_flags = 0
        self._unacked = 1
        self._out: list[bytes] = [
            PREFACE,
            frames.settings((
                (Setting.HEADER_TABLE_SIZE, 0),
                (Setting.ENABLE_PUSH, 0),
                (Setting.INITIAL_WINDOW_SIZE, NARROW),
                (Setting.MAX_HEADER_LIST_SIZE, MAX_BLOCK),
            )),
            frames.window_update(0, CONNECTION_WINDOW - NARROW),
        ]  # fmt: skip
        self.pending = sum(map(len, self._out))

    def _put(self, data: bytes) -> None:
        self._out.append(data)
        self.pending += len(data)

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

    def _give_back(self, stream: Stream) -> None:
        stream.room += stream.credit
        self._put(frames.window_update(stream.id, stream.credit))
        stream.credit = 0

    def _stir(self, stream: Stream) -> None:
        if not stream.stirred:
            stream.stirred = True
            self._stirred.append(stream)

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
            raise Fault(
                ErrorCode.FLOW_CONTROL_ERROR,
                "the server sent more than the connection's window allows",
            )
        self._since += size
        if self._since >= CONNECTION_WINDOW // 4:
            self._room += self._since
            self._put(frames.window_update(0, self._since))
            self._since = 0

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
        if not stream.stirred:
            stream.stirred = True
            self._stirred.append(stream)

    def _end(self, stream: Stream, why: str, code: int = ErrorCode.PROTOCOL_ERROR) -> None:
        """End a stream whose answer is malformed (RFC 9113 section 8.1.1)."""
        if not stream.ended:
            kind = ProtocolError if stream.head is None else ChunkedEncodingError
            stream.error = kind(f"the answer breaks HTTP/2's rules: {why}")
        self._stir(stream)
        self.reset(stream, code)

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
        raise Fault(ErrorCode.PROTOCOL_ERROR, f"a frame ({kind_name(kind)}) {why}")

    def _lose(self, stream: Stream, why: str) -> None:
        """End a stream that the peer, or the connection's end, has cut off."""
        self.streams.pop(stream.id, None)
        if stream.head is None:
            stream.error = error = ProtocolError(f"{why}, before it answered")
            error.no_answer = True
        elif not stream.ended:
            got = ""
            if stream.size >= 0:
                got = f" ({stream.size - stream.left} of {stream.size} bytes came)"
            stream.error = ChunkedEncodingError(f"the body broke off{got}: {why}")
        stream.lost = True
        self._stir(stream)
