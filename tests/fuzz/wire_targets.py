"""Heads, chunks and whole answers: the same however cut, or one of the named errors."""

from __future__ import annotations

import http.client
import io
import re

from reqkit.exceptions import ChunkedEncodingError, ProtocolError
from reqkit.wire.h1 import well_formed
from reqkit.wire.h1.connection import Connection
from reqkit.wire.h1.framing import ChunkedReader, Framing, framing_of, keeps_alive
from reqkit.wire.h1.head import AnswerHead, find_end, parse_head

try:
    from reqkit.wire.h1 import _head as in_c
except ImportError:
    in_c = None

from .feeding import choices, cut, h11_answer

#: Nothing else may come out of reading an answer.
FAULTS = (ProtocolError, ChunkedEncodingError)

_NO_VALUE = re.compile(r"[\x00-\x08\n-\x1f\x7f]")
_NO_ODD_VALUE = re.compile(r"[\x00\r\n]")
_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


class FakeStream:
    """A peer that has said all that it will."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces
        self.sent = b""

    def send_all(self, data: bytes | bytearray | memoryview, timeout: float | None) -> None:
        self.sent += data

    def wait_readable(self, timeout: float | None) -> None:
        pass

    def receive(self, most: int, timeout: float | None) -> bytes:
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if len(piece) > most:
            self.pieces.insert(0, piece[most:])
        return piece[:most]

    receive_next = receive

    def receive_into(self, buffer: memoryview, timeout: float | None) -> int:
        piece = self.receive(len(buffer), timeout)
        buffer[: len(piece)] = piece
        return len(piece)

    def is_readable(self) -> bool:
        return True

    def close(self) -> None:
        self.pieces = []


def head(data: bytes) -> None:
    """Any block is a head of sound fields, or a ProtocolError; so it is after any cuts."""
    for block in (data, b"HTTP/1.1 200 OK\r\n" + data + b"\r\n\r\n"):
        try:
            strict = parse_head(block, strict=True)
        except ProtocolError as error:
            assert str(error)
            strict = None
        try:
            parsed = parse_head(block)
        except ProtocolError as error:
            assert str(error)
            assert strict is None
            continue
        _check_head(parsed)
        # What nobody minds is not odd, and the other way round.
        assert (strict is None) == bool(parsed.oddity)
        if strict is not None:
            assert (strict.text, strict.known) == (parsed.text, parsed.known)
        else:
            # What was understood is a head by itself, and means the same.
            again = parse_head(parsed.text.encode("latin-1"))
            assert (again.fields, again.known) == (parsed.fields, parsed.known)
        assert find_end(block, 0) > 0
        try:
            framing_of("GET", parsed)
        except ProtocolError as error:
            assert str(error)
        keeps_alive(parsed)


def readers(data: bytes) -> None:
    """The readers of usual heads say the same: Python's in both of its ways, and C's."""
    for block in (data, data + b"\r\n\r\n"):
        read = []
        for well_formed._strange in (0, 9):  # lines are looked up, or names alone
            read.append(_facts(well_formed.read_sound(block)))
        if in_c is not None:
            read.append(_facts(in_c.read_sound(block)))
        assert all(one == read[0] for one in read), read
        following = [well_formed.read_next(block), well_formed.read_next(block + b"\r\n\r\nX")]
        if in_c is not None:
            following += [in_c.read_next(block), in_c.read_next(block + b"\r\n\r\nX")]
            _check_length(following[2])
            assert _facts(following[0]) == _facts(following[2])
            assert _facts(following[1]) == _facts(following[3])
        if read[0] is not None:
            assert all(_facts(one) == read[0] for one in following)


def _check_length(parsed: AnswerHead | None) -> None:
    """What the reader in C says of a body is what `framing` says; it says so of most."""
    if parsed is None:
        return
    try:
        kind, length = framing_of("GET", parsed)
    except ProtocolError:
        assert parsed.length == -1
        return
    plain = kind == Framing.LENGTH and keeps_alive(parsed)
    if parsed.length >= 0:
        assert plain
        assert parsed.length == length
    elif plain:
        options = parsed.known.get("connection")
        digits = parsed.known["content-length"]
        # Left to `framing`: what few servers send.
        assert (
            options not in (None, "keep-alive")
            or len(digits) > 18
            or not digits.isdigit()
            or ("transfer-encoding" in parsed.known)
        )


def _facts(parsed: AnswerHead | None) -> tuple[object, ...] | None:
    if parsed is None:
        return None
    assert type(parsed) is AnswerHead
    known = list(parsed.known.items())
    return parsed.version, parsed.status, parsed.reason, parsed.text, known, parsed.oddity


def _check_head(parsed: AnswerHead) -> None:
    assert parsed.version in (10, 11)
    assert 100 <= parsed.status <= 999
    for name, value in parsed.fields:
        assert _NAME.fullmatch(name), name
        assert not (_NO_ODD_VALUE if parsed.oddity else _NO_VALUE).search(value), value
        assert value == value.strip(" \t")
        assert parsed.get(name.lower()) == ", ".join(parsed.get_all(name.lower()))


def _dechunk(pieces: list[bytes]) -> tuple[bytes, bool, bytes, list[tuple[str, str]]] | str:
    reader = ChunkedReader()
    body = b""
    try:
        for piece in pieces:
            body += reader.feed(piece)
    except ChunkedEncodingError as error:
        assert str(error)
        return "fault"
    if not reader.ended:
        try:
            reader.finish()
        except ChunkedEncodingError:
            pass
        else:
            raise AssertionError("a body without its end was taken for whole")
    return body, reader.ended, reader.rest, reader.trailers


def chunks(data: bytes) -> None:
    """A chunked body reads the same however it is cut, and as h11 reads it where both do."""
    whole = _dechunk([data])
    assert _dechunk(list(cut(data, choices(data)))) == whole
    assert _dechunk([data[at : at + 1] for at in range(len(data))]) == whole
    if isinstance(whole, str) or not whole[1]:
        return
    theirs = h11_answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data)
    if theirs is not None:
        assert theirs[3] == whole[0]


Answer = tuple[int, str, list[tuple[str, str]], bytes, bool, str]


def _exchange(method: str, pieces: list[bytes]) -> Answer | str:
    """Read an answer as a connection does, to the body's end."""
    connection = Connection(FakeStream(pieces), None)
    connection.send(b"x", None, False, None, None)
    try:
        parsed, body = connection.read_head(method, None, None)
        if body is None:
            body = b""
            while piece := connection.read_body(1000, None, None):
                body += piece
        assert connection.ended
    except FAULTS as error:
        assert str(error)
        assert not connection.is_reusable()
        return "fault"
    _check_head(parsed)
    reusable = connection.is_reusable() and not pieces
    assert not (reusable and parsed.oddity)
    return parsed.status, parsed.reason, parsed.fields, body, reusable, parsed.oddity


class _Socket:
    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(io.BytesIO(self.raw))


def _stdlib_body(data: bytes) -> tuple[int, bytes] | None:
    answer = http.client.HTTPResponse(_Socket(data), method="GET")  # type: ignore[arg-type]
    try:
        answer.begin()
        body = answer.read()
    except (http.client.HTTPException, ValueError):
        return None
    finally:
        answer.close()
    return answer.status, body


def answer(data: bytes) -> None:
    """An answer is the same however it is cut; h11 and http.client read it so where they do."""
    chance = choices(data)
    method = chance.choice(("GET", "GET", "GET", "HEAD", "POST"))
    whole = _exchange(method, [data] if data else [])
    assert _exchange(method, list(cut(data, chance))) == whole
    assert _exchange(method, [data[at : at + 1] for at in range(len(data))]) == whole
    if isinstance(whole, str) or method == "HEAD":
        return
    status, _, fields, body, _, oddity = whole
    theirs = h11_answer(data)
    if theirs is not None:
        assert (theirs[0], theirs[3]) == (status, body)
    # It takes an odd name for the head's end, a listed length for none, the first of several
    # lengths, 101 to 199 for answers, and chunks after a 204 or 304 for its body; after a line that
    # is no field it takes the others for none.
    usual = not oddity and all(re.fullmatch("[A-Za-z-]+", name) for name, _ in fields)
    lengths = [value for name, value in fields if name.lower() == "content-length"]
    if usual and status not in (204, 304) and len(lengths) < 2 and "," not in "".join(lengths):
        stdlib = _stdlib_body(data)
        if stdlib is not None and stdlib[0] >= 200:
            assert stdlib == (status, body)
