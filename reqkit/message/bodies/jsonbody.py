"""JSON bodies."""

from __future__ import annotations

import json
from typing import Any, Final

from ...exceptions import InvalidJSONError

__all__ = ["encode_json"]

# Made once: json.dumps() makes one for each call whose options are not the defaults.
_encode: Final = json.JSONEncoder(allow_nan=False).encode


def encode_json(value: Any) -> bytes:
    """Return a value as JSON: ASCII, with the stdlib's separators.

    Raises:
        InvalidJSONError: it has NaN, an infinity, a circle, or too many levels.
        TypeError: it has an object that JSON has no form for.

    Source: RFC 8259.
    """
    try:
        return _encode(value).encode("ascii")
    except TypeError as error:
        raise TypeError(
            f"json: {error}: expected dictionaries, lists, str, numbers, booleans and None;"
            " convert other objects first"
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidJSONError(
            f"json cannot be written as JSON: {error}: it has no NaN, no infinity, no circles"
        ) from error
