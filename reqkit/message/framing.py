"""How a message is framed: by its length, in chunks, or without a body. Asked when it is sent.

A hook, an auth object or the user's own hand may have changed the body, or a field that says where
it ends. What the two say differently is read by the server as another message, so whoever sends a
message has its fields put right first, by the body that is there at that moment.

Source: RFC 9112 section 6; RFC 9110 section 8.6.
"""

from __future__ import annotations

from typing import Any, Protocol

from ..exceptions import InvalidHeader
from ..structures import CaseInsensitiveDict
from ..wire.h1.head import FieldBlock, block_of
from . import bodies

__all__ = ["frame", "framed_block", "outgoing"]


class Message(Protocol):
    """As much of a `PreparedRequest` as is looked at here."""

    method: str | None
    body: Any
    _body_position: Any
    _length: int | None
    _measured: tuple[Any, int | None] | None
    _headers: CaseInsensitiveDict | None
    _pairs: tuple[tuple[str, str], ...]

    @property
    def headers(self) -> CaseInsensitiveDict:
        """The fields that go out."""


#: Methods that do not anticipate content: where there is none they do not say so.
_WITHOUT_BODY = ("GET", "HEAD")


def frame(request: Message) -> None:
    """Have Content-Length and Transfer-Encoding say what the body is, and the body ready to go.

    Raises:
        InvalidHeader: what was set by hand cannot be made to fit.
        UnrewindableBodyError: the body was sent before, and can be read only once.
    """
    headers = request.headers
    body = _plain(request)
    if body is None or body == b"" or body == "":
        headers.pop("Transfer-Encoding", None)  # there is nothing to be framed by it
        given = headers.get("content-length")
        if given is not None and given != "0":
            if request.method in _WITHOUT_BODY:
                del headers["Content-Length"]
            else:
                headers["Content-Length"] = "0"
        request._length = 0
        return
    streamed = not isinstance(body, (bytes, str))
    if streamed:
        measured = request._measured
        if measured is None or measured[0] is not body:
            start = request._body_position = bodies.position(body)
            measured = request._measured = (body, bodies.content_length(body, start))
        length = measured[1]
        bodies.rewind(body, request._body_position)
    else:
        length = len(body) if isinstance(body, bytes) or body.isascii() else len(body.encode())
    if "transfer-encoding" in headers:
        _check_coding(headers["Transfer-Encoding"])
        headers.pop("Content-Length", None)
        request._length = None
        return
    given = headers.get("content-length")
    if length is None:
        if given is None:
            headers["Transfer-Encoding"] = "chunked"
            request._length = None
            return
        length = _given_length(given)
    if given != str(length):
        headers["Content-Length"] = str(length)
    request._length = length


def framed_block(request: Message) -> FieldBlock:
    """Return a message's fields, which fit its body: the last thing before it is sent.

    Raises:
        InvalidHeader: a field cannot be sent, or cannot be made to fit.
        UnrewindableBodyError: the body was sent before, and can be read only once.
    """
    headers = request._headers
    block = block_of(request._pairs if headers is None else headers.pairs())
    body = request.body
    # Most messages say nothing of a body and have none; of the others, most are right.
    if (
        block.coding is not None or block.length not in (None, "0")
        if body is None
        else (
            block.coding is not None
            or not (type(body) is bytes or (type(body) is str and body.isascii()))
            or block.length != str(len(body))
        )
    ):
        frame(request)
        block = block_of(request.headers.pairs())
    return block


def outgoing(request: Message) -> tuple[Any, bool]:
    """Return what is to be sent of a message that was framed: bytes, pieces or None.

    Returns:
        the body, and whether each of its pieces is to be sent as a chunk.
    """
    body = request.body
    if body is None:
        return None, False
    if isinstance(body, str):
        body = body.encode()
    chunked = "transfer-encoding" in request.headers
    if not isinstance(body, bytes):
        length = None if chunked else request._length
        body = bodies.pieces(body, length, request._body_position)
    elif chunked:
        body = (body,) if body else ()
    return body, chunked


def _plain(request: Message) -> Any:
    """Return the body; bytes and text as they are, whatever a class of the user's says of them."""
    body = request.body
    kind = type(body)
    if body is None or kind is bytes or kind is str:
        return body
    if isinstance(body, str):
        body = request.body = str.__str__(body)
    elif isinstance(body, (bytes, bytearray, memoryview)):
        body = request.body = b"".join((body,))
    return body


def _check_coding(text: Any) -> None:
    # RFC 9112 section 6.1: without chunked at the end nothing tells where the body ends, and it is
    # applied but once.
    codings = [coding.strip().lower() for coding in str(text).split(",")]
    if codings[-1] != "chunked" or codings.count("chunked") != 1:
        raise InvalidHeader(f"Transfer-Encoding is {str(text)[:60]!r}: expected 'chunked'")


def _given_length(text: Any) -> int:
    digits = str(text).strip()
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidHeader(f"Content-Length is {digits[:60]!r}: expected a number of bytes")
    return int(digits)
