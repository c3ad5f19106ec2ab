"""Faults that the whole connection depends on, and what of a frame's payload is no padding."""

from __future__ import annotations

from .frames import ErrorCode, Flag, kind_name

__all__ = ["Fault", "too_short", "unpadded"]


class Fault(Exception):
    """The peer breaks a rule that the whole connection depends on."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def unpadded(payload: bytes, flags: int) -> bytes:
    """Return a payload without its padding (RFC 9113 section 6.1)."""
    if not flags & Flag.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise Fault(ErrorCode.PROTOCOL_ERROR, "a frame with more padding than it has bytes")
    return payload[1 : len(payload) - payload[0]]


def too_short(kind: int) -> Fault:
    """Return the fault of a frame that has less than it must."""
    return Fault(ErrorCode.FRAME_SIZE_ERROR, f"a frame ({kind_name(kind)}) that is too short")
