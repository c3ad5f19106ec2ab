"""The engines of the content codings: gzip, deflate, br, zstd, one way to drive them all.

An engine does one step at a time: some input, and room for so much output. It keeps no input that
it did not use; who drives it (`decoders`) gives that again. The libraries of br and
zstd are optional, and imported when first needed.

Source: RFC 9110 section 8.4, RFC 1950-1952, RFC 7932, RFC 8878, RFC 9659
"""

from __future__ import annotations

import functools
import sys
import zlib
from collections.abc import Callable
from typing import Any, Final, Protocol

from ...base.importing import import_late

__all__ = [
    "MAKERS",
    "PORTION",
    "WHOLE",
    "Brotli",
    "Coding",
    "Deflate",
    "Gzip",
    "Zstd",
    "brotli_module",
    "zstd_module",
]

#: The most that is decoded, or handed to a library, at once where the output is limited: libraries
#: copy the input that they did not get to, so that a large one, decoded in small steps, would be
#: copied over and over.
PORTION: Final = 65536

#: As much as there is.
WHOLE: Final = sys.maxsize


class Coding(Protocol):
    """One coding's engine, for one body."""

    name: str
    #: What its library raises for bad data.
    errors: tuple[type[Exception], ...]
    #: The most bytes that one step may be given.
    portion: int
    #: How many bytes at the end of its input the last step found to be of no use to it: of what
    #: it was given, or, where that was nothing, of what it was given before.
    left: int
    #: Whether the next step may give output without input; it is then given none.
    held: bool

    @property
    def complete(self) -> bool:
        """Whether the body may end here."""

    def step(self, data: bytes, room: int) -> bytes:
        """Decode some bytes into at most ``room``, which is above 0, or -1 for no bound."""


class Gzip:
    """gzip: one member or several (RFC 1952 section 2.2); what follows that is none is ignored."""

    __slots__ = ("_garbage", "_prefix", "_zlib", "held", "left")

    name = "gzip"
    errors: tuple[type[Exception], ...] = (zlib.error,)
    portion = WHOLE

    # ID1 ID2 CM (RFC 1952 section 2.3.1): 8 is the only method there is.
    _MAGIC = b"\x1f\x8b\x08"

    def __init__(self) -> None:
        self._zlib: Any = zlib.decompressobj(31)
        self._prefix = b""
        self._garbage = False
        self.left: int = 0
        self.held: bool = False

    @property
    def complete(self) -> bool:
        """Whether all members begun have ended."""
        return self._zlib is None

    def step(self, data: bytes, room: int) -> bytes:
        """Decode some bytes into at most ``room``."""
        if self._zlib is None:
            data = self._next_member(data)
            if not data:
                self.left = 0
                return b""
        engine = self._zlib
        chunk: bytes = engine.decompress(data, room if room > 0 else 0)
        if engine.eof:
            self.left = len(engine.unused_data)
            self.held = False
            self._zlib = None
        else:
            self.left = len(engine.unconsumed_tail)
            # zlib may have taken all input and still owe the rest of a long match.
            self.held = not self.left and len(chunk) == room
        return chunk

    def _next_member(self, data: bytes) -> bytes:
        """Return what to decode next, or nothing: padding, garbage, too little to tell."""
        if self._garbage:
            return b""
        # Zeros fill up blocks on tapes, and got into HTTP from there.
        data = (self._prefix + data).lstrip(b"\0")
        self._prefix = b""
        if data.startswith(self._MAGIC):
            self._zlib = zlib.decompressobj(31)
            return data
        if self._MAGIC.startswith(data):
            self._prefix = data
        else:
            self._garbage = True
        return b""


class Deflate:
    """deflate: zlib's format as RFC 9110 section 8.4.1.2 says, or the bare one that many send."""

    __slots__ = ("_eof", "_prefix", "_zlib", "held", "left")

    name = "deflate"
    errors: tuple[type[Exception], ...] = (zlib.error,)
    portion = WHOLE

    def __init__(self) -> None:
        self._zlib: Any = None
        self._prefix = b""
        self._eof = False
        self.left: int = 0
        self.held: bool = False

    @property
    def complete(self) -> bool:
        """Whether the stream has ended."""
        return self._eof

    def step(self, data: bytes, room: int) -> bytes:
        """Decode some bytes into at most ``room``."""
        if self._eof:
            # What follows the end is ignored: left for another step, it would come for ever.
            self.left = 0
            return b""
        if self._zlib is None:
            data = self._prefix + data
            if len(data) < 2:
                self._prefix = data
                return b""
            # RFC 1950 section 2.2: method 8, and both bytes a multiple of 31. A bare stream that
            # begins like this would be a stored block with its padding bits set: none does.
            wrapped = data[0] & 0x0F == 8 and data[0] < 0x80 and (data[0] << 8 | data[1]) % 31 == 0
            self._zlib = zlib.decompressobj(15 if wrapped else -15)
        engine = self._zlib
        chunk: bytes = engine.decompress(data, room if room > 0 else 0)
        self._eof = engine.eof
        self.left = len(engine.unconsumed_tail)
        self.held = not self._eof and not self.left and len(chunk) == room
        return chunk


class Brotli:
    """br (RFC 7932). A stream ends by itself, and bytes after its end are an error."""

    __slots__ = (
        "_at",
        "_engine",
        "_full",
        "_kept",
        "_limits",
        "_process",
        "errors",
        "held",
        "left",
        "portion",
    )

    name = "br"

    def __init__(self, module: Any) -> None:
        self._engine: Any = module.Decompressor()
        self._process = getattr(self._engine, "process", None) or self._engine.decompress
        # Before 1.2 the libraries had no limit on the output of a call. All that can be done
        # there is to feed them a little at a time: a bound on what honest data unfolds to, not
        # on what hostile data may.
        self._limits = hasattr(self._engine, "can_accept_more_data")
        self.errors: tuple[type[Exception], ...] = (module.error,)
        self.portion: int = WHOLE if self._limits else 256
        # What came beyond the room of a step, and how much of it was given since.
        self._kept = b""
        self._at = 0
        self._full = False
        self.left: int = 0
        self.held: bool = False

    @property
    def complete(self) -> bool:
        """Whether the stream has ended, and was given out."""
        finished: bool = self._engine.is_finished()
        return finished and not self._kept

    def step(self, data: bytes, room: int) -> bytes:
        """Decode some bytes into at most ``room``."""
        if self._kept:
            end = len(self._kept) if room < 0 else self._at + room
            chunk = self._kept[self._at : end]
            self._at += len(chunk)
            if self._at >= len(self._kept):
                self._kept = b""
        elif room < 0 or not self._limits:
            chunk = self._process(data)
            self._full = False
        else:
            limit = min(room, PORTION)
            chunk = self._process(data, output_buffer_limit=limit)
            # Having reached the limit, brotli says that it can take more though it still owes
            # output, and does not count as finished until that is fetched.
            self._full = len(chunk) >= limit and not self._engine.is_finished()
        # The limit is rounded up to whole blocks, of 32 KiB and more.
        if 0 <= room < len(chunk):
            self._kept, self._at = chunk, room
            chunk = chunk[:room]
        self.held = bool(
            self._kept or self._full or (self._limits and not self._engine.can_accept_more_data())
        )
        return chunk


class Zstd:
    """zstd: one frame or several (RFC 8878 section 3)."""

    __slots__ = ("_engine", "_module", "errors", "held", "left")

    name = "zstd"
    portion = WHOLE

    def __init__(self, module: Any) -> None:
        self._module = module
        self.errors: tuple[type[Exception], ...] = (module.ZstdError, EOFError)
        self._engine = self._new_engine()
        self.left: int = 0
        self.held: bool = False

    def _new_engine(self) -> Any:
        # RFC 9659 section 3: as a content coding, windows are at most 8 MiB. Without it a frame
        # could ask for 128 MiB.
        largest = self._module.DecompressionParameter.window_log_max
        return self._module.ZstdDecompressor(options={largest: 23})

    @property
    def complete(self) -> bool:
        """Whether all frames begun have ended."""
        eof: bool = self._engine.eof
        return eof

    def step(self, data: bytes, room: int) -> bytes:
        """Decode some bytes into at most ``room``."""
        if self._engine.eof:
            self._engine = self._new_engine()
        engine = self._engine
        chunk: bytes = engine.decompress(data, room)
        self.left = len(engine.unused_data) if engine.eof else 0
        self.held = not engine.eof and not engine.needs_input
        return chunk


@functools.cache
def _first_of(*names: str) -> Any:
    """Import the first of some modules that is installed; None where there is none."""
    for name in names:
        try:
            return import_late(name)
        except ImportError:
            continue
    return None


def brotli_module() -> Any:
    """Return the module that decodes br, or None."""
    return _first_of("brotli", "brotlicffi")


def zstd_module() -> Any:
    """Return the module that decodes zstd, or None."""
    return _first_of("compression.zstd", "backports.zstd")


def _make_brotli() -> Coding | None:
    module = brotli_module()
    if module is None:
        return None
    return Brotli(module)


def _make_zstd() -> Coding | None:
    module = zstd_module()
    if module is None:
        return None
    return Zstd(module)


#: What makes the engine of a coding; it makes None where the coding's library is not there.
MAKERS: Final[dict[str, Callable[[], Coding | None]]] = {
    "gzip": Gzip,
    "x-gzip": Gzip,  # RFC 9110 section 8.4.1.3: the same
    "deflate": Deflate,
    "br": _make_brotli,
    "zstd": _make_zstd,
}
