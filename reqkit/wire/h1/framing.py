"""Where an answer's body ends: by length, by chunks, or by the connection's end. Sans-IO.

This is the boundary that request smuggling and answer splitting cross, so whatever two readers
could take in two ways is an error here, never a guess. Where the widely used clients agree on what
is against the rules, it is read as they read it, and the connection is not used again.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from ...exceptions import ChunkedEncodingError, InvalidFraming, ProtocolError
from .answer import MAX_FIELDS, MAX_HEAD, MAX_LINE, STRICT_FIELDS, STRICT_HEAD, AnswerHead
from .errors import excerpt
from .lenient import read_lenient_trailers

__all__ = ["MAX_CHUNK_LINE", "ChunkedReader", "Framing", "framing_of", "keeps_alive"]

# Bytes of a line that begins a chunk, with its extensions, which nobody is known to use.
MAX_CHUNK_LINE: Final = 4096

# Bytes of extensions that a body may carry beyond as many as it has data: without a limit, chunks
# of one byte with 4 KiB of extensions each keep a reader busy for nothing. What is as short as a
# padded size does not count.
_MAX_EXTENSIONS: Final = 65536
_FREE_EXTENSION: Final = 16

# 19 digits are 9 exabytes.
_MAX_LENGTH_DIGITS: Final = 19

# RFC 9112 section 7.1: a chunk's size with its extensions. White space after the size is not in
# the grammar, but some servers pad the size to a fixed width, and no reader takes it otherwise.
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")


class Framing:
    """The ways in which a body may end."""

    NONE: Final = 0
    LENGTH: Final = 1
    CHUNKED: Final = 2
    UNTIL_CLOSE: Final = 3


_LENGTH: Final = Framing.LENGTH
_NO_BODY: Final = (Framing.NONE, 0)
_BODILESS: Final = frozenset((204, 304))


def framing_of(method: str, head: AnswerHead, strict: bool = False) -> tuple[int, int]:
    """Tell how the body of an answer ends.

    Args:
        method: the request's method.
        head: the answer's head.
        strict: whether to refuse whatever RFC 9112 forbids.

    Returns:
        The kind (a constant of `Framing`) and the length in bytes: 0 for `NONE`, -1 where the
        head does not say.

    Raises:
        InvalidFraming: the head says it in two ways, or in none that is understood. The
            connection must not be used again.

    Source: RFC 9112 section 6.3.
    """
    status = head.status
    # Rules 1 and 2: these have no body whatever their fields say, which describe what a GET
    # would have brought, or nothing at all.
    if status < 200 or status in _BODILESS or method == "HEAD":
        return _NO_BODY
    if method == "CONNECT" and status < 300:
        return _NO_BODY
    fields = head.known
    coding = fields.get("transfer-encoding")
    length = fields.get("content-length")
    if coding is not None:
        lower = coding.lower()
        if strict:
            _check_coding(head, lower)
        if lower == "chunked":
            # Rule 3: the coding overrides the length.
            return Framing.CHUNKED, -1
        # RFC 9112 section 7 has removed it; it never meant anything.
        if lower != "identity":
            raise InvalidFraming(_coding_fault(coding))
    if length is not None:
        if len(length) <= _MAX_LENGTH_DIGITS and length.isascii() and length.isdigit():
            return _LENGTH, int(length)
        return _LENGTH, _length_of(length)
    # Rule 8.
    return Framing.UNTIL_CLOSE, -1


def _check_coding(head: AnswerHead, coding: str) -> None:
    """Refuse a coding where others may see another body."""
    # Rule 3: a usual sign of an attack.
    if "content-length" in head.known:
        raise InvalidFraming(
            "the answer has both Transfer-Encoding and Content-Length: where its body ends"
            " is ambiguous"
        )
    # RFC 9112 section 6.1: HTTP/1.0 does not know the field, so a proxy may have passed it
    # on without understanding it.
    if head.version == 10:
        raise InvalidFraming("the answer is HTTP/1.0 and has Transfer-Encoding: not trusted")
    if coding == "identity":
        raise InvalidFraming(_coding_fault(coding))


def _length_of(text: str) -> int:
    """Return the one length of a Content-Length that is a list, or raise."""
    # Rule 5: the same number said several times is one number; the texts are compared, so
    # that "5, 05" is not.
    lengths = {part.strip(" \t") for part in text.split(",")}
    shown = excerpt(text, secret=False)
    for length in lengths:
        if not (length.isascii() and length.isdigit()):
            raise InvalidFraming(f"the answer's Content-Length is {shown}: expected a plain number")
        if len(length) > _MAX_LENGTH_DIGITS:
            raise InvalidFraming(
                f"the answer's Content-Length is {shown}: more than {_MAX_LENGTH_DIGITS} digits"
            )
    if len(lengths) > 1:
        raise InvalidFraming(f"the answer has differing Content-Lengths: {shown}")
    return int(lengths.pop())


def _coding_fault(coding: str) -> str:
    """Say why a Transfer-Encoding cannot be read."""
    shown = excerpt(coding, secret=False)
    codings = [part.strip(" \t").lower() for part in coding.split(",")]
    if codings.count("chunked") > 1:
        # RFC 9112 section 6.1.
        why = "chunked may be applied only once"
    elif codings[-1] == "chunked":
        why = "only chunked is supported, without a compression of the transfer"
    else:
        why = "expected 'chunked'"
    return f"the answer's Transfer-Encoding is {shown}: {why}"


def keeps_alive(head: AnswerHead) -> bool:
    """Tell whether the head lets the connection be used again.

    The caller also rules out a body that ends with the connection (`Framing.UNTIL_CLOSE`), and
    one with bytes after its end.

    Source: RFC 9112 section 9.3.
    """
    known = head.known
    if head.oddity or ("transfer-encoding" in known and _is_doubtful(head)):
        return False
    options = known.get("connection")
    if options is None:
        return head.version != 10
    if options == "keep-alive":
        return True
    words = [option.strip(" \t") for option in options.lower().split(",")]
    if "close" in words:
        return False
    return head.version != 10 or "keep-alive" in words


def _is_doubtful(head: AnswerHead) -> bool:
    """Tell whether another reader may see the body end elsewhere than `framing_of`."""
    known = head.known
    return (
        "content-length" in known
        or head.version == 10
        or known["transfer-encoding"].lower() != "chunked"
    )


_LONG_LINE: Final = f"the line that begins a chunk is longer than {MAX_CHUNK_LINE:,} bytes"

# What a `ChunkedReader` waits for.
_SIZE: Final = 0
_DATA: Final = 1
_DATA_END: Final = 2
_TRAILERS: Final = 3
_ENDED: Final = 4
_FAILED: Final = 5


class ChunkedReader:
    """Decode a chunked body as it arrives. Sans-IO; never blocks.

    The work is linear in the bytes fed, however they are cut, and what is held between two
    calls is bounded by the longest line allowed.

    Attributes:
        ended: the last chunk and the trailer section were read.
        oddity: what a strict reader would have refused the trailers for. The connection is not to
            be used again.
        rest: what came after the end. It belongs to nobody: a connection with any is not to be
            used again.
        trailers: the trailer fields, complete once ended. They are not to be merged into the head
            (RFC 9110 section 6.5.1).

    Source: RFC 9112 section 7.1.
    """

    __slots__ = (
        "_data",
        "_extensions",
        "_held",
        "_left",
        "_lines",
        "_section",
        "_state",
        "_strict",
        "ended",
        "oddity",
        "rest",
        "trailers",
    )

    def __init__(self, strict: bool = False) -> None:
        self.ended: bool = False
        self.oddity: str = ""
        self.rest: bytes = b""
        self.trailers: list[tuple[str, str]] = []
        self._state = _SIZE
        self._left = 0  # bytes of the current chunk still to come
        self._data = 0  # bytes of all chunks whose size is known
        self._extensions = 0  # bytes of extensions so far
        self._section = bytearray()  # trailer lines so far
        self._lines = 0  # how many fields these are
        self._strict = strict
        self._held = bytearray()  # the beginning of a line whose end has not arrived

    def feed(self, data: bytes) -> bytes:
        """Take bytes as they arrived, and return the bytes of the body among them.

        Raises:
            ChunkedEncodingError: the chunks break a rule or a limit. The connection must not be
                used again; another call raises again.
        """
        pieces: list[bytes] = []
        size = len(data)
        at = 0
        state = self._state
        while at < size:
            if state == _DATA:
                stop = at + self._left
                if stop > size:
                    self._left = stop - size
                    pieces.append(data[at:])
                    at = size
                else:
                    self._left = 0
                    pieces.append(data[at:stop])
                    at = stop
                    state = _DATA_END
            elif state == _DATA_END:
                if not self._held and data.startswith(b"\r\n", at):
                    at += 2
                    state = _SIZE
                else:
                    at, state = self._end_data(data, at)
            elif state == _SIZE:
                match = None if self._held else _CHUNK_LINE.match(data, at)
                if match is None:
                    at, state = self._begin_chunk(data, at)
                else:
                    digits = match[1]
                    length = match.end() - at
                    at += length
                    state = self._size(digits, length)
            elif state == _TRAILERS:
                if not self._held and not self._section and data.startswith(b"\r\n", at):
                    at += 2
                    state = _ENDED
                    self.ended = True
                else:
                    at, state = self._trailer(data, at)
            elif state == _ENDED:
                self.rest += data[at:]
                at = size
            else:
                self._fail("an earlier fault left the body without an end")
        self._state = state
        if len(pieces) == 1:
            return pieces[0]
        return b"".join(pieces)

    def finish(self) -> None:
        """Take note that the connection has ended.

        Raises:
            ChunkedEncodingError: the body had not.
        """
        if self.ended:
            return
        if self._state == _DATA:
            missing = f"{self._left} bytes of a chunk and the last chunk are missing"
        elif self._state == _TRAILERS:
            missing = "the empty line after the last chunk is missing"
        else:
            missing = "the last chunk is missing"
        raise ChunkedEncodingError(f"the connection ended before the chunked body did: {missing}")

    def _fail(self, message: str) -> NoReturn:
        self._state = _FAILED
        self._held.clear()
        raise ChunkedEncodingError(f"the chunked body is broken: {message}")

    def _line(self, data: bytes, at: int, limit: int, fault: str) -> tuple[bytes | None, int]:
        """Return the line that ends in these bytes, or None, and the index after it."""
        held = self._held
        newline = data.find(b"\n", at, at + limit)
        stop = newline + 1 if newline >= 0 else len(data)
        if len(held) + stop - at > limit:
            self._fail(fault)
        held += data[at:stop]
        if newline < 0:
            return None, stop
        line = bytes(held)
        held.clear()
        return line, stop

    def _begin_chunk(self, data: bytes, at: int) -> tuple[int, int]:
        """Read a chunk's size where the line is cut, or broken."""
        line, at = self._line(data, at, MAX_CHUNK_LINE, _LONG_LINE)
        if line is None:
            return at, _SIZE
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            self._fail(
                f"a chunk begins with {_shown(line)}: expected its size as 1 to 16 hexadecimal"
                " digits, and CR LF"
            )
        return at, self._size(match[1], len(line))

    def _size(self, digits: bytes, length: int) -> int:
        """Take a chunk's size from a line of this length, and return the next state."""
        if length > MAX_CHUNK_LINE:
            self._fail(_LONG_LINE)
        left = self._left = int(digits, 16)
        extra = length - len(digits) - 2
        if extra > _FREE_EXTENSION:
            self._extensions += extra
            if self._extensions > _MAX_EXTENSIONS + self._data:
                self._fail(f"{self._extensions:,} bytes of chunk extensions")
        self._data += left
        return _DATA if left else _TRAILERS

    def _end_data(self, data: bytes, at: int) -> tuple[int, int]:
        """Read the CR LF after a chunk's data where it is cut, or broken."""
        stop = at + 2 - len(self._held)
        self._held += data[at:stop]
        if self._held == b"\r\n":
            self._held.clear()
            return stop, _SIZE
        if self._held != b"\r":
            self._fail(f"a chunk's data is followed by {_shown(bytes(self._held))}, not CR LF")
        return len(data), _DATA_END

    def _trailer(self, data: bytes, at: int) -> tuple[int, int]:
        """Read one line of the trailer section, and all of it where that was the last."""
        section = self._section
        # The limit is on the whole section with its empty line.
        most = STRICT_HEAD if self._strict else MAX_HEAD
        fault = f"the trailers are larger than {most:,} bytes"
        if most - len(section) > MAX_LINE:
            most = len(section) + MAX_LINE
            fault = f"a trailer line is longer than {MAX_LINE:,} bytes"
        line, at = self._line(data, at, most - len(section), fault)
        if line is None:
            return at, _TRAILERS
        if line == b"\r\n" or (line == b"\n" and not self._strict):
            self._end(line)
            return at, _ENDED
        if self._strict and not line.endswith(b"\r\n"):
            self._fail("a trailer line ends in LF instead of CR LF")
        if self._strict or b"\0" in line or b"\r" in line[:-2]:
            self._read_trailers(line)  # what is wrong is said at once
        section += line
        self._lines += line[:1] not in b" \t"
        most = STRICT_FIELDS if self._strict else MAX_FIELDS
        if self._lines > most:
            self._fail(f"more than {most:,} trailer fields")
        return at, _TRAILERS

    def _end(self, line: bytes) -> None:
        """Read the trailers, after which came this line."""
        if self._section:
            self.trailers, self.oddity = self._read_trailers(bytes(self._section))
            self._section.clear()
        if line == b"\n":
            self.oddity = self.oddity or "the trailers end in LF instead of CR LF"
        self.ended = True

    def _read_trailers(self, block: bytes) -> tuple[list[tuple[str, str]], str]:
        try:
            return read_lenient_trailers(block, self._strict)
        except ProtocolError as error:
            self._state = _FAILED
            raise ChunkedEncodingError(f"the chunked body's trailers: {error}") from error


def _shown(line: bytes) -> str:
    return repr(line) if len(line) <= 24 else f"{line[:24]!r}..."
