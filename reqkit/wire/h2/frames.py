"""Frames of HTTP/2: their types, flags, codes, and how they are written. Pure; never blocks.

Source: RFC 9113 sections 4 to 7.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import Final

__all__ = [
    "HEAD", "PREFACE", "ErrorCode", "Flag", "Kind", "Setting", "code_name", "frame", "go_away",
    "kind_name", "pack_head", "ping", "reset", "settings", "window_update",
]  # fmt: skip

#: What a client says first (RFC 9113 section 3.4).
PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

#: A frame's head: length (of three bytes: the upper two, the lower one), kind, flags, stream.
HEAD: Final = Struct(">HBBBL")
#: Looked up here once.
pack_head: Final[Callable[..., bytes]] = HEAD.pack
_WORD: Final = Struct(">L")
_SETTING: Final = Struct(">HL")
_TWO_WORDS: Final = Struct(">LL")


class Kind:
    """The types of frames (RFC 9113 section 6)."""

    DATA: Final = 0
    HEADERS: Final = 1
    PRIORITY: Final = 2
    RST_STREAM: Final = 3
    SETTINGS: Final = 4
    PUSH_PROMISE: Final = 5
    PING: Final = 6
    GOAWAY: Final = 7
    WINDOW_UPDATE: Final = 8
    CONTINUATION: Final = 9


class Flag:
    """The flags of frames."""

    ACK: Final = 0x1
    END_STREAM: Final = 0x1
    END_HEADERS: Final = 0x4
    PADDED: Final = 0x8
    PRIORITY: Final = 0x20


class Setting:
    """The settings (RFC 9113 section 6.5.2)."""

    HEADER_TABLE_SIZE: Final = 1
    ENABLE_PUSH: Final = 2
    MAX_CONCURRENT_STREAMS: Final = 3
    INITIAL_WINDOW_SIZE: Final = 4
    MAX_FRAME_SIZE: Final = 5
    MAX_HEADER_LIST_SIZE: Final = 6


class ErrorCode:
    """Why a stream or a connection is ended (RFC 9113 section 7)."""

    NO_ERROR: Final = 0
    PROTOCOL_ERROR: Final = 1
    INTERNAL_ERROR: Final = 2
    FLOW_CONTROL_ERROR: Final = 3
    SETTINGS_TIMEOUT: Final = 4
    STREAM_CLOSED: Final = 5
    FRAME_SIZE_ERROR: Final = 6
    REFUSED_STREAM: Final = 7
    CANCEL: Final = 8
    COMPRESSION_ERROR: Final = 9
    CONNECT_ERROR: Final = 10
    ENHANCE_YOUR_CALM: Final = 11
    INADEQUATE_SECURITY: Final = 12
    HTTP_1_1_REQUIRED: Final = 13


_CODES: Final = {code: name for name, code in vars(ErrorCode).items() if not name.startswith("_")}
_KINDS: Final = {kind: name for name, kind in vars(Kind).items() if not name.startswith("_")}


def code_name(code: int) -> str:
    """Return an error code as it is called, or its number."""
    return _CODES.get(code, f"error code {code}")


def kind_name(kind: int) -> str:
    """Return a frame's type as it is called, or its number."""
    return _KINDS.get(kind, f"type {kind}")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    size = len(payload)
    return pack_head(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: Iterable[tuple[int, int]]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(Kind.SETTINGS, 0, 0, b"".join([_SETTING.pack(*value) for value in values]))


def window_update(stream: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame."""
    return frame(Kind.WINDOW_UPDATE, 0, stream, _WORD.pack(increment))


def reset(stream: int, code: int) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(Kind.RST_STREAM, 0, stream, _WORD.pack(code))


def go_away(last: int, code: int, why: bytes = b"") -> bytes:
    """Return a GOAWAY frame: the last stream of the peer's that was seen to, and why."""
    return frame(Kind.GOAWAY, 0, 0, _TWO_WORDS.pack(last, code) + why)


def ping(data: bytes, ack: bool = False) -> bytes:
    """Return a PING frame of 8 bytes."""
    return frame(Kind.PING, Flag.ACK if ack else 0, 0, data)
