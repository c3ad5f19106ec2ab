"""Numbers for people."""

from __future__ import annotations

import time
from typing import Any

__all__ = ["NONE", "bytes_text", "count_text", "moment_text", "percent_text", "seconds_text"]

#: Stands where there is nothing to tell.
NONE = "\N{EN DASH}"


def count_text(value: float | None) -> str:
    """Return a number with its thousands told apart."""
    if value is None:
        return NONE
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if value >= 10 else f"{value:.2g}"


def seconds_text(value: Any) -> str:
    """Return a span of time in the unit that it is read best in."""
    if value is None:
        return NONE
    seconds = float(value)
    if seconds == 0:
        return "0"
    if seconds < 0.001:
        return f"{_short(seconds * 1e6)} µs"
    if seconds < 1:
        return f"{_short(seconds * 1e3)} ms"
    if seconds < 120:
        return f"{_short(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 120:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 72:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def _short(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    text = f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return text.rstrip("0").rstrip(".")


def bytes_text(value: float | None) -> str:
    """Return a number of bytes."""
    if value is None:
        return NONE
    size = float(value)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:,.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def percent_text(part: float, whole: float) -> str:
    """Return how much of a whole a part is; never 0 % or 100 % where it is not quite that."""
    if not whole:
        return NONE
    share = 100 * part / whole
    if part and share < 0.1:
        return "< 0.1 %"
    if part != whole and share > 99.9:
        return "> 99.9 %"
    return f"{share:.1f} %" if share % 1 else f"{share:.0f} %"


def moment_text(seconds: float | None) -> str:
    """Return a moment, in UTC."""
    if seconds is None:
        return NONE
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
