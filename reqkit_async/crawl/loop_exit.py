"""How a loop over a crawl was left: by ``break``, or by an exception.

A ``for`` loop tells its iterator of neither: it lets go of it. But CPython lets go of it while the
loop's frame executes an instruction, and that is known: one that takes things off the stack, or
ends a function, where the loop was left in peace; one that can raise, else.
"""

from __future__ import annotations

import dis
import sys
from types import FrameType
from typing import Final

__all__ = ["left_without_error", "position"]

_PEACEFUL: Final = (
    "POP_TOP", "POP_ITER", "END_FOR", "FOR_ITER", "POP_BLOCK", "ROT_", "SWAP", "RETURN_",
    "DELETE_", "STORE_", "INSTRUMENTED_POP", "INSTRUMENTED_RETURN", "INSTRUMENTED_FOR",
    "INSTRUMENTED_END_FOR",
)  # fmt: skip

_YIELDING: Final = ("YIELD_", "INSTRUMENTED_YIELD", "RESUME", "SEND")


def left_without_error(depth: int = 2) -> bool:
    """Tell whether an iterator that is let go of now was left by no exception.

    Args:
        depth: how many frames up the one is that lets go of it.
    """
    try:
        frame: FrameType | None = sys._getframe(depth)
    except ValueError:
        frame = None
    while frame is not None:
        last = frame.f_lasti
        if last < 0:
            return True
        name = dis.opname[frame.f_code.co_code[last]]
        if not name.startswith(_YIELDING):
            return name.startswith(_PEACEFUL)
        frame = frame.f_back  # a generator that has the loop in it is let go of: by whom?
    return True  # nobody's frame: the collector's, or the end of a thread


def position(depth: int = 2) -> tuple[int, int] | None:
    """Return where the program is: a frame, and the instruction that it executes.

    Args:
        depth: how many frames up.
    """
    try:
        frame = sys._getframe(depth)
    except ValueError:
        return None
    return id(frame), frame.f_lasti
