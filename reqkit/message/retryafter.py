"""Retry-After: for how long a server wants to be left alone.

Source: RFC 9110 section 10.2.3
"""

from __future__ import annotations

import re
from typing import Final

from .dates import seconds_of

__all__ = ["LONGEST_RETRY_AFTER", "retry_after", "too_long"]

#: A Retry-After of more than this many seconds (a year) counts as this many.
LONGEST_RETRY_AFTER: Final = 366 * 86400.0

_SECONDS: Final = re.compile(r"-?[0-9]+(\.[0-9]*)?")


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds that a Retry-After asks to wait.

    Args:
        value: the header's value: seconds, or a date.
        now: the time as of ``time.time()``, that a date is compared with.

    Returns:
        seconds, 0 for what lies in the past, at most `LONGEST_RETRY_AFTER`; None where the value
        is missing or neither of the two.

    Source:
        RFC 9110 section 10.2.3
    """
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        return min(max(float(value), 0.0), LONGEST_RETRY_AFTER)
    date = seconds_of(value)
    if date is None:
        return None
    return min(max(date - now, 0.0), LONGEST_RETRY_AFTER)


def too_long(asked: float, most: float) -> str:
    """Say that a server wants to be left alone for longer than is waited for."""
    return (
        f"it asks to be left alone for {asked:.0f} s (Retry-After), which is longer than"
        f" config['retry_after_max'] ({most:g} s), and it is not waited for so long"
    )
