"""Bodies: from what a user gives to the bytes that are sent, and their length.

`encode_body` finds out what ``data``, ``json`` and ``files`` mean together. What it gives is bytes
(str for a form, and where str was given) where all is at hand; files and iterables are read while
they are sent, by `pieces`, and made ready to be sent again by `rewind`.
"""

from __future__ import annotations

from collections.abc import ItemsView, Mapping
from typing import Any, Final, NamedTuple

from .form import encode_form
from .jsonbody import encode_json
from .lengths import content_length
from .multipart import MultipartStream, encode_multipart
from .pieces import pieces
from .positions import Positions, ReadOnce, position, rewind
from .sources import Body, Restartable, is_streamed, refuse_unreadable

__all__ = [
    "Body",
    "Encoded",
    "MultipartStream",
    "Positions",
    "ReadOnce",
    "Restartable",
    "content_length",
    "encode_body",
    "pieces",
    "position",
    "rewind",
]


class Encoded(NamedTuple):
    """A body as it is sent.

    Attributes:
        body: bytes, str (ASCII or sent as UTF-8: a form, or what was given as str, which plugins
            that sign a form look for), a file, an iterable of bytes, or None for no body.
        content_type: what it is, or None where that cannot be known.
        length: in bytes; None for a body whose length is not known: it is sent chunked.
    """

    body: Body
    content_type: str | None
    length: int | None


_FORM_KINDS: Final = (Mapping, ItemsView, list, tuple)
_NO_BODY: Final = Encoded(None, None, 0)


def encode_body(
    data: Any = None,
    json: Any = None,
    files: Any = None,
    positions: Positions | None = None,
    boundary: str | None = None,
) -> Encoded:
    """Return the body that these arguments mean together, as in ``requests``.

    ``files`` (with the fields of ``data``) make a multipart body; else ``data``, unless it is
    empty; else ``json``, unless it is None. Files and iterables are not read here, but for what
    `content_length` does to find a file's length.

    Args:
        data: a mapping or pairs (a form), str (sent as UTF-8), bytes, a file, or an iterable of
            bytes.
        json: anything that JSON can express; ``[] {} 0 ''`` and False are sent too.
        files: a mapping or pairs of names and files: see `encode_multipart`.
        positions: where files stood when the same was asked before; is added to.
        boundary: what parts a multipart body; a random one where it is None.

    Returns: the `Encoded` body. A bytearray or memoryview is copied, so that it cannot change
        before it is sent.

    Raises:
        TypeError: an argument is of a kind that cannot be sent.
        ValueError: data cannot be encoded, or does not go with files.
        InvalidHeader: a header of a multipart body's part cannot be sent.
        InvalidJSONError: JSON has no way to express a value (NaN, a circle).
    """
    if files:
        return _multipart(data, files, positions, boundary)
    if data is None:
        return _NO_BODY if json is None else _json(json)
    if isinstance(data, (bytes, bytearray, memoryview)):
        body: bytes | str = bytes(data)
    elif isinstance(data, str):
        if data:
            return Encoded(data, None, _utf8_length(data))
        body = data
    elif isinstance(data, _FORM_KINDS):
        if data:
            form = encode_form(data)
            return Encoded(form, "application/x-www-form-urlencoded", len(form))
        body = b""
    elif is_streamed(data):
        start = None if positions is None else positions.of(data)
        refuse_unreadable(data, "data")
        return Encoded(data, None, content_length(data, start))
    else:
        raise TypeError(
            f"data is a {type(data).__name__}: expected a dictionary or pairs (a form), str, bytes,"
            " an open file, or an iterable of bytes; for JSON use json="
        )
    if body:
        return Encoded(body, None, len(body))
    return _NO_BODY if json is None else _json(json)


def _multipart(data: Any, files: Any, positions: Positions | None, boundary: str | None) -> Encoded:
    if isinstance(data, (str, bytes, bytearray, memoryview)) and data:
        raise ValueError(
            f"data is a {type(data).__name__}, with files. Data must not be a string. Give a"
            " dictionary or pairs, or put it into files as (None, value)"
        )
    if not isinstance(data, _FORM_KINDS) and is_streamed(data):
        raise ValueError(
            f"data is a {type(data).__name__} to be streamed, with files: expected a dictionary or"
            " pairs; put what is streamed into files"
        )
    body, content_type = encode_multipart(data, files, boundary, positions)
    return Encoded(body, content_type, content_length(body))


def _json(value: Any) -> Encoded:
    body = encode_json(value)
    return Encoded(body, "application/json", len(body))


def _utf8_length(text: str) -> int:
    if text.isascii():
        return len(text)
    try:
        return len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ValueError(
            f"data has a lone surrogate at position {error.start}, which UTF-8 cannot express:"
            " give bytes"
        ) from error
