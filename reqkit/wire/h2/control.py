"""All other frames: settings, windows, pings, and the ends of streams and connections. Sans-IO.

Source: RFC 9113 sections 6.3 to 6.9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from . import frames
from .faults import Fault, too_short
from .frames import ErrorCode, Flag, Kind, Setting, code_name, frame
from .state import LAST_ID, State

__all__ = ["Control"]

_MOST_WINDOW: Final = (1 << 31) - 1
#: Bytes of a GOAWAY's debug data that are shown.
_SHOWN: Final = 80


class Control(State):
    """What a connection does with frames that are no answer's."""

    __slots__ = ()

    window: int

    def _other(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        handle = _HANDLERS.get(kind)
        if handle is None:
            # RFC 9113 section 4.1: what is not known is passed over.
            self._balance.spend("frames of unknown types", 1 + len(payload) // 8192)
            return
        handle(self, flags, number, payload)

    def _settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "a frame (SETTINGS) of a stream")
        if flags & Flag.ACK:
            if payload:
                raise Fault(ErrorCode.FRAME_SIZE_ERROR, "a SETTINGS acknowledgement with settings")
            self._acknowledged("SETTINGS acknowledgements")
            return
        count, odd = divmod(len(payload), 6)
        if odd:
            raise Fault(ErrorCode.FRAME_SIZE_ERROR, "a SETTINGS frame of a wrong size")
        self._balance.spend("SETTINGS frames", 1 + count // 10)
        window = self._stream_window
        for start in range(0, len(payload), 6):
            setting = int.from_bytes(payload[start : start + 2], "big")
            value = int.from_bytes(payload[start + 2 : start + 6], "big")
            if setting == Setting.INITIAL_WINDOW_SIZE:
                if value > _MOST_WINDOW:
                    raise Fault(ErrorCode.FLOW_CONTROL_ERROR, "a setting: too large a window")
                window = value
            else:
                self._set(setting, value)
        if window != self._stream_window:
            # Once, whatever a frame says of it by the thousand: each time takes all streams.
            self._change_windows(window)
        self.ready = True
        self._put(frame(Kind.SETTINGS, Flag.ACK, 0))

    def _set(self, setting: int, value: int) -> None:
        if setting == Setting.MAX_CONCURRENT_STREAMS:
            self.most_streams = value
        elif setting == Setting.MAX_FRAME_SIZE:
            if not 16_384 <= value <= 16_777_215:
                raise Fault(ErrorCode.PROTOCOL_ERROR, f"a setting: frames of {value} bytes")
            self._frame_size = min(value, 65_536)
        elif setting == Setting.ENABLE_PUSH and value:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "a setting: the server asks for pushes")

    def _change_windows(self, size: int) -> None:
        """Take a new size of streams' windows: for those that are open, too (section 6.9.2)."""
        change = size - self._stream_window
        self._stream_window = size
        for stream in self.streams.values():
            stream.window += change
            if stream.window > _MOST_WINDOW:
                raise Fault(ErrorCode.FLOW_CONTROL_ERROR, "a setting: too large a window")
            if not stream.sent:
                self._stir(stream)

    def _ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "a frame (PING) of a stream")
        if len(payload) != 8:
            raise Fault(ErrorCode.FRAME_SIZE_ERROR, "a PING frame of a wrong size")
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
            raise Fault(ErrorCode.PROTOCOL_ERROR, "a frame (GOAWAY) of a stream")
        if len(payload) < 8:
            raise too_short(Kind.GOAWAY)
        self._balance.spend("GOAWAY frames")
        self.leaving = self.leaves = True
        last = int.from_bytes(payload[:4], "big") & LAST_ID
        code = int.from_bytes(payload[4:8], "big")
        text = payload[8 : 8 + _SHOWN].decode("ascii", "replace")
        why = f"the server closes the connection ({code_name(code)})"
        if text.isprintable() and text:
            why += f", saying {text!r}"
        if code != ErrorCode.NO_ERROR:
            self.goodbye = why
        for stream in [one for one in self.streams.values() if one.id > last]:
            # RFC 9113 section 6.8: these it has not acted on, and never will.
            stream.unprocessed = True
            self._lose(stream, why)

    def _reset_stream(self, flags: int, number: int, payload: bytes) -> None:
        self._check_number(number, Kind.RST_STREAM)
        if len(payload) != 4:
            raise Fault(ErrorCode.FRAME_SIZE_ERROR, "a RST_STREAM frame of a wrong size")
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
            raise Fault(ErrorCode.FRAME_SIZE_ERROR, "a WINDOW_UPDATE frame of a wrong size")
        self._balance.spend("WINDOW_UPDATE frames")
        increment = int.from_bytes(payload, "big") & _MOST_WINDOW
        if not number:
            if not increment:
                raise Fault(ErrorCode.PROTOCOL_ERROR, "a WINDOW_UPDATE by 0")
            self.window += increment
            if self.window > _MOST_WINDOW:
                raise Fault(ErrorCode.FLOW_CONTROL_ERROR, "WINDOW_UPDATE: too large a window")
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
            # RFC 9113 section 6.9.1.
            self._end(stream_, "WINDOW_UPDATE: too large a window", ErrorCode.FLOW_CONTROL_ERROR)
        elif not stream_.sent:
            self._stir(stream_)

    def _priority(self, flags: int, number: int, payload: bytes) -> None:
        if not number:
            raise Fault(ErrorCode.PROTOCOL_ERROR, "a frame (PRIORITY) of no stream")
        if len(payload) != 5:
            raise Fault(ErrorCode.FRAME_SIZE_ERROR, "a PRIORITY frame of a wrong size")
        # RFC 9113 section 5.3.2: it means nothing any more.
        self._balance.spend("PRIORITY frames")

    def _push(self, flags: int, number: int, payload: bytes) -> None:
        raise Fault(ErrorCode.PROTOCOL_ERROR, "a push (PUSH_PROMISE), which was ruled out")

    def _stray_continuation(self, flags: int, number: int, payload: bytes) -> None:
        raise Fault(ErrorCode.PROTOCOL_ERROR, "a CONTINUATION frame without what it continues")


_Handler = Callable[[Control, int, int, bytes], None]

_HANDLERS: Final[dict[int, _Handler]] = {
    Kind.PRIORITY: Control._priority,
    Kind.RST_STREAM: Control._reset_stream,
    Kind.SETTINGS: Control._settings,
    Kind.PUSH_PROMISE: Control._push,
    Kind.PING: Control._ping,
    Kind.GOAWAY: Control._go_away,
    Kind.WINDOW_UPDATE: Control._window_update,
    Kind.CONTINUATION: Control._stray_continuation,
}
