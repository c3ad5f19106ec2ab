"""Warnings, shown at the line of the user's that they are about."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, Final

__all__ = ["warn"]

_HERE: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
#: What stands between the user's line and ours: this package, and the one beside it.
_OURS: Final = (_HERE, _HERE.removesuffix(os.sep) + "_async" + os.sep)


def warn(
    message: str | Warning,
    category: type[Warning] | None = None,
    about: Callable[..., Any] | None = None,
) -> None:
    """Give a warning at the user's line that led here.

    In a greenlet or thread of ours there is none: there it is the first line of the function that
    the warning is about.

    Args:
        message: the text, or the warning itself.
        category: the warning's class, where the message is a text.
        about: a function of the user's.
    """
    level = _users_level()
    code = getattr(getattr(about, "__func__", about), "__code__", None)
    if level is None and isinstance(code, CodeType):
        kind: Any = category or type(message)
        names = getattr(about, "__globals__", {})
        seen = names.setdefault("__warningregistry__", {})
        where = (code.co_filename, code.co_firstlineno, names.get("__name__"))
        warnings.warn_explicit(message, kind, *where, seen)
        return
    warnings.warn(message, category, stacklevel=(level or 1) + 1)


def _users_level() -> int | None:
    """Return how many frames above the caller the user's line is; None where it has none."""
    frame: FrameType | None = sys._getframe(2)
    level = 1
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_OURS) and not _is_runner(frame):
            return level
        frame = frame.f_back
        level += 1
    return None


def _is_runner(frame: FrameType) -> bool:
    """Tell whether a frame only runs what others gave it: the standard library's, or gevent's."""
    name = frame.f_globals.get("__name__", "")
    return name.partition(".")[0] in ("concurrent", "contextlib", "gevent", "threading")
