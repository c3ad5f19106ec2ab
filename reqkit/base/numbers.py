"""Numbers that users give: what is one, and what a float can hold of it."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["as_float"]


def as_float(value: Any) -> float | None:
    """Return a number as a float; None for what is none, as True and False are not.

    A whole number that no float can hold is infinity: more than any limit.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
