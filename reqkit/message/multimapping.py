"""Names and values as users give them: a mapping, or pairs, whose values may be lists.

Query strings, forms and multipart bodies take them in the same words, with the same errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode

__all__ = ["flat_pairs", "pairs_of", "urlencoded"]

_plain = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch


def pairs_of(given: Any, argument: str) -> list[tuple[Any, Any]]:
    """Return the pairs of a mapping, or of an iterable of pairs, in their order.

    Args:
        given: a mapping, or an iterable of ``(name, value)`` tuples or lists.
        argument: what the user calls it, for the error's text.

    Raises:
        TypeError: it is neither.
        ValueError: an item is not a pair.
    """
    if isinstance(given, Mapping):
        return list(given.items())
    if not isinstance(given, Iterable) or isinstance(given, (str, bytes, bytearray, memoryview)):
        raise TypeError(
            f"{argument} is a {type(given).__name__}:"
            " expected a dictionary or a list of (name, value) pairs"
        )
    pairs = []
    for index, item in enumerate(given):
        # A two-letter string unpacks as a pair too, and is never meant as one.
        if not isinstance(item, (tuple, list)) or len(item) != 2:
            raise ValueError(
                f"{argument}: item {index} is a {type(item).__name__}"
                f"{_size(item)}: expected a (name, value) pair"
            )
        pairs.append((item[0], item[1]))
    return pairs


def _size(item: Any) -> str:
    return f" of {len(item)}" if isinstance(item, (tuple, list)) else ""


def flat_pairs(given: Any, argument: str) -> list[tuple[Any, Any]]:
    """Return one pair for each value: lists are spread out, and None values left out.

    Args:
        given: a mapping or an iterable of pairs; a value that can be iterated over (other than
            str and bytes) stands for several values of that name.
        argument: what the user calls it, for the error's text.

    Raises:
        TypeError: it is no such thing, or a value is a file.
        ValueError: an item is not a pair.
    """
    flat: list[tuple[Any, Any]] = []
    for name, values in pairs_of(given, argument):
        if isinstance(values, (str, bytes)):
            flat.append((name, values))
        elif isinstance(values, (bytearray, memoryview)):
            flat.append((name, bytes(values)))
        elif hasattr(values, "read"):
            raise TypeError(
                f"{argument}: the value of {name!r} is a file: give files with files={{...}}"
            )
        elif hasattr(values, "__iter__"):
            flat += [(name, value) for value in values if value is not None]
        elif values is not None:
            flat.append((name, values))
    return flat


def _quoted(item: Any) -> str:
    # Most need no quoting, and finding that out is much faster than quoting.
    if type(item) is str and _plain(item):
        return item
    return quote_plus(item if isinstance(item, (str, bytes)) else str(item))


def urlencoded(given: Any, argument: str) -> str:
    """Return pairs as ``application/x-www-form-urlencoded``, text being UTF-8.

    Numbers and the like are written as ``str()`` has them; a space becomes ``+``.

    Args:
        given: a mapping or an iterable of pairs.
        argument: what the user calls it, for the error's text.

    Raises:
        TypeError: it is no such thing, or a value is a file.
        ValueError: an item is not a pair, or text that UTF-8 cannot express.

    Source: the WHATWG URL standard, section 5.2.
    """
    pairs = flat_pairs(given, argument)
    try:
        if all(isinstance(value, (str, bytes, int, float)) for _, value in pairs):
            return "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in pairs])
        # Lists within lists are spread out too, as in requests.
        return urlencode(pairs, doseq=True)
    except UnicodeEncodeError:
        raise ValueError(
            f"{argument}: a name or a value has a lone surrogate, which UTF-8 cannot express:"
            " give bytes instead"
        ) from None  # it has the text with it
