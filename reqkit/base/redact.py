"""How errors show what they were given: never more than is sure to be no secret."""

from __future__ import annotations

from typing import Any

__all__ = ["redacted"]


def redacted(value: Any) -> str:
    """Return a wrong argument for an error's text.

    What may hold something (a dictionary of headers, a pair, an object with a repr of its own) may
    hold a password: of these the type is told, and not the value.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return repr(value)
    kind = type(value).__name__
    return f"{'an' if kind[:1].lower() in 'aeiou' else 'a'} {kind}"
