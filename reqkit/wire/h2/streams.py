"""One stream: a request and its answer on a connection that has many. Facts alone; sans-IO.

The connection writes here what frames say, and whoever sent the request reads it. Nothing here
knows of frames or bytes of the wire.

Source: RFC 9113 section 5.
"""

from __future__ import annotations

import sys
from io import BytesIO
from typing import Any, Final

from ..h1.head import AnswerHead
from .frames import ErrorCode, code_name

__all__ = ["NARROW", "WIDE", "Stream"]

#: Bytes that a peer may send of a body before they are read: RFC 9113's own initial window.
NARROW: Final = 65_535
#: The same for a body that somebody waits for the whole of.
WIDE: Final = 1_048_576
#: Bodies that are kept until they are whole, and larger than this but no larger than that, are
#: gathered in one place once such a part of them has come.
_SMALL: Final = 65_536
_LARGE: Final = 67_108_864
_TRUSTED: Final = 8
NEVER: Final = sys.maxsize


class Stream:
    """A request and its answer.

    Attributes:
        id: its number.
        method: the request's.
        head: the answer's head, once it is there.
        ended: whether the answer's last byte has arrived, read or not.
        sent: whether the request's last byte was handed over.
        error: what ended it before its time, or None.
        code: the error code with which the peer ended it, or None.
        lost: it was cut off, by the peer or with the connection; nothing was wrong with its answer.
        unprocessed: the peer has surely not acted on the request: it may be sent again.
        held: bytes of the body that have arrived and were not read.
        room: bytes of the body that the peer may still send, as far as this stream goes.
        credit: bytes that were read, and not given back to the peer yet.
        window: bytes that may be sent to the peer, as far as this stream goes. May be below 0.
        wide: whether its window was widened.
        whole: whether its body is kept until it is whole.
        pieces: the bytes that are held, unless they are gathered.
        gathered: the bytes that are held, of a large body that is kept until it is whole.
        gathers_at: how many bytes are to be held when a place for all is made.
        left: bytes of the body that are still to come, -1 where the head does not say.
        size: the body's length, as the head says it.
        interim: how many 1xx answers came.
        stirred: whether it is among those that `Connection.receive` has yet to return.
        waiter: whoever waits for it. For the transport.
    """

    __slots__ = (
        "code",
        "credit",
        "ended",
        "error",
        "gathered",
        "gathers_at",
        "head",
        "held",
        "id",
        "interim",
        "left",
        "lost",
        "method",
        "pieces",
        "room",
        "sent",
        "size",
        "stirred",
        "unprocessed",
        "waiter",
        "whole", "wide",
        "window",
    )  # fmt: skip

    def __init__(self, number: int, method: str, window: int, sent: bool) -> None:
        self.id: int = number
        self.method: str = method
        self.window: int = window
        self.sent: bool = sent
        self.head: AnswerHead | None = None
        self.ended: bool = False
        self.error: Exception | None = None
        self.code: int | None = None
        self.lost: bool = False
        self.unprocessed: bool = False
        self.held: int = 0
        self.room: int = NARROW
        self.credit: int = 0
        self.wide: bool = False
        self.whole: bool = False
        self.left: int = -1
        self.size: int = -1
        self.interim: int = 0
        self.stirred: bool = False
        self.waiter: Any = None
        self.pieces: list[bytes] = []
        self.gathered: BytesIO | None = None
        self.gathers_at: int = NEVER

    def __repr__(self) -> str:
        if self.error is not None:
            state = f"failed: {self.error}"
        elif self.ended:
            state = "ended"
        else:
            state = "waiting" if self.head is None else f"receiving, {self.held} bytes held"
        return f"<Stream {self.id} {self.method}, {state}>"

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.ended or self.error is not None

    def add(self, data: bytes) -> None:
        """Take bytes of the body."""
        self.held += len(data)
        if self.gathered is None:
            self.pieces.append(data)
            if self.held >= self.gathers_at:
                self.gather()
        else:
            self.gathered.write(data)

    def keep_whole(self) -> None:
        """Keep the body until it is whole."""
        self.whole = True
        if _SMALL < self.size <= _LARGE:
            self.gathers_at = self.size // _TRUSTED
            if self.held >= self.gathers_at:
                self.gather()

    def gather(self) -> None:
        """Write what has come, and what will, to one place, from where it is not copied again.

        Not before a part of the body is there: by a length alone nobody makes us give memory away.
        """
        self.gathered = place = BytesIO()
        self.gathers_at = NEVER
        place.seek(self.size - 1)
        place.write(b"\0")
        place.seek(0)
        place.write(b"".join(self.pieces))
        self.pieces.clear()

    def take(self, most: int) -> bytes:
        """Return bytes of the body that have arrived, up to so many; none where there are none."""
        pieces = self.pieces
        held = self.held
        if not held:
            return b""
        if held <= most:
            return self.take_all()
        if self.gathered is not None:
            data = self._all_gathered()
            pieces.extend(data[start : start + _SMALL] for start in range(0, held, _SMALL))
        # Taken out at once: one by one from the front, a body in frames of a byte each would take
        # the square of its length.
        left, count = most, 0
        for piece in pieces:
            if len(piece) > left:
                break
            left -= len(piece)
            count += 1
        out = pieces[:count]
        if left:
            piece = pieces[count]
            out.append(piece[:left])
            pieces[count] = piece[left:]
        del pieces[:count]
        self.held = held - most
        return b"".join(out)

    def take_all(self) -> bytes:
        """Return all bytes of the body that have arrived."""
        if self.gathered is not None:
            data = self._all_gathered()
        else:
            pieces = self.pieces
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
        self.held = 0
        return data

    def _all_gathered(self) -> bytes:
        place, self.gathered = self.gathered, None
        assert place is not None
        place.truncate(self.held)
        return place.getvalue()

    def drop(self) -> None:
        """Forget what was not read."""
        self.pieces.clear()
        self.gathered = None
        self.held = 0

    def ending(self) -> str:
        """Say how the peer has ended it."""
        code = self.code
        if code is None:
            return "the connection ended"
        hint = _HINTS.get(code)
        text = f"the server ended the stream ({code_name(code)})"
        return f"{text}: {hint}" if hint else text


_HINTS: Final = {
    ErrorCode.REFUSED_STREAM: "it has not acted on the request",
    ErrorCode.HTTP_1_1_REQUIRED: "it asks for HTTP/1.1: config={'http2': False}",
    ErrorCode.ENHANCE_YOUR_CALM: "it was asked too much: send less at a time",
    ErrorCode.INTERNAL_ERROR: "it had a fault of its own",
}
