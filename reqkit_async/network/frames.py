"""Where each thread is just now, told without a deadlock of CPython 3.11's."""

from __future__ import annotations

import gc
import operator
import sys
from types import FrameType
from typing import Any, Final

__all__ = ["current_frames"]

#: CPython 3.11.0 to 3.11.8 make the frames' objects while they hold a lock of the interpreter's.
#: The collector may run meanwhile, and with it a finalizer or callback that gives the GIL away: to
#: a thread which ends, and waits for that lock without giving the GIL back (python/cpython#106883).
_LOCKS_WHILE_IT_COLLECTS: Final = (
    sys.implementation.name == "cpython"
    and sys.version_info[:2] == (3, 11)
    and sys.version_info[2] <= 8
)


def current_frames() -> dict[int, FrameType]:
    """Return what `sys._current_frames` does: the frame of each thread that has one, by its id."""
    if _LOCKS_WHILE_IT_COLLECTS:
        return _without_collecting()
    return sys._current_frames()


def _without_collecting() -> dict[int, FrameType]:
    """Have the collector off meanwhile, if it was on.

    No other thread sees that, nor switches it itself in between: a thread gives the GIL away after
    a call of a function, and these are called by `map`, in C. `gc.enable` is called before the next
    such moment.
    """
    call: Any = vars(operator)["call"]  # from Python 3.11 on
    frames: dict[int, FrameType]
    collected = gc.isenabled()
    try:
        collects, _, frames = map(call, (gc.isenabled, gc.disable, sys._current_frames))
    except BaseException:  # an audit hook's
        if collected:
            gc.enable()
        raise
    if collects:
        gc.enable()
    return frames
