"""Dates as HTTP's fields have them.

Source: RFC 9110 section 5.6.7
"""

from __future__ import annotations

import datetime
from typing import Any

from ..base.deferred import DeferredModule

__all__ = ["seconds_of"]

_email_utils: Any = DeferredModule("email.utils")


def seconds_of(value: str) -> float | None:
    """Return a field's date in seconds since 1970; None where it is no date."""
    try:
        date: datetime.datetime = _email_utils.parsedate_to_datetime(value)
        if date.tzinfo is None:  # RFC 9110 section 5.6.7: a date is in UTC
            date = date.replace(tzinfo=datetime.timezone.utc)
        return date.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
