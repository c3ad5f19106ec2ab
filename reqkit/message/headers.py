"""A session's headers and a call's as one, and the text of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..exceptions import InvalidHeader
from ..structures import CaseInsensitiveDict

__all__ = ["announced_length", "header_text", "merge_headers"]

#: Digits of a length: 19 are 9 exabytes. Python reads 4,300, and raises for more.
_MOST_DIGITS: Final = 19


def announced_length(length: str | None, coding: str | None) -> int | None:
    """Return how long an answer says that its body is; None where it does not, or not plainly.

    Args:
        length: its Content-Length.
        coding: its Transfer-Encoding, which counts for more (RFC 9112 section 6.3).
    """
    if length is None or (coding is not None and coding.strip().lower() != "identity"):
        return None
    plain = len(length) <= _MOST_DIGITS and length.isascii() and length.isdigit()
    return int(length) if plain else None


def header_text(name: Any, what: str = "name", owner: Any = None) -> str:
    """Return a header's name or value as a str.

    Raises:
        InvalidHeader: it is neither str nor bytes.
    """
    if type(name) is str:
        return name
    if isinstance(name, str):
        return str.__str__(name)  # whatever a class of the user's makes of it when it is joined
    if isinstance(name, bytes):
        return name.decode("latin-1")
    # A value is not shown: it may be a secret.
    of = f" of {owner!r}" if owner is not None else f" {name!r}"
    raise InvalidHeader(
        f"the header {what}{of} is a {type(name).__name__}: expected str or bytes; write it as a"
        " str"
    )


def merge_headers(
    own: Mapping[str, Any] | None, given: Mapping[Any, Any] | Iterable[tuple[Any, Any]] | None
) -> CaseInsensitiveDict:
    """Merge headers without regard to case; None as a value leaves one out.

    Raises:
        InvalidHeader: a name or a value is neither str nor bytes.
    """
    merged = CaseInsensitiveDict()
    if isinstance(own, CaseInsensitiveDict):
        merged = own.copy()
    elif own:
        _put(merged, own)
    if given:
        _put(merged, given)
    for name in [name for name, value in merged.items() if value is None]:
        del merged[name]
    return merged


#: What a request may have once (RFC 9112 sections 3.2 and 6.3): of several, the last one is meant.
_ONCE: Final = frozenset(("content-length", "host", "transfer-encoding"))


def _put(merged: CaseInsensitiveDict, given: Any) -> None:
    """Put headers in, in place of those of their names; a name given several times, each time."""
    if isinstance(given, CaseInsensitiveDict):
        given = given.pairs()
    mapping = isinstance(given, Mapping)
    pairs: Any = given.items() if mapping else given
    seen: set[str] = set()
    try:
        for name, value in pairs:
            name = header_text(name)
            # A dictionary that has a name in two spellings means the last one, as ever.
            key = name if mapping else name.lower()
            if value is None:
                merged.pop(name, None)
            elif key in seen and name in merged and name.lower() not in _ONCE:
                merged.add(name, header_text(value, "value", name))
            else:
                merged[name] = header_text(value, "value", name)
            seen.add(key)
    except (TypeError, ValueError) as error:
        if isinstance(error, InvalidHeader):
            raise
        raise InvalidHeader(
            f"headers is a {type(given).__name__}: expected a dictionary of names and values, or"
            " pairs"
        ) from error
