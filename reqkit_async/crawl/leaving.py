"""How a loop over a crawl was left: by ``break``, or by an exception.

A ``for`` loop tells its iterator of neither: it lets go of it. But CPython lets go of it while the
loop's frame executes an instruction, and that is known: one that takes things off the stack, or
ends a function, where the loop was left in peace; one that can raise, else.
"""

from __future__ import annotations

import dis
import sys
from typing import Final

__all__ = ["left_in_peace"]

_PEACEFUL: Final = (
    "POP_TOP", "POP_ITER", "END_FOR", "FOR_ITER", "POP_BLOCK", "ROT_", "SWAP", "RETURN_",
    "DELETE_", "STORE_", "INSTRUMENTED_POP", "INSTRUMENTED_RETURN", "INSTRUMENTED_FOR",
    "INSTRUMENTED_END_FOR",
)  # fmt: skip


def left_in_peace(depth: int = 2) -> bool:
    """Tell whether an iterator that is let go of now was left by no exception.

    Args:
        depth: how many frames up the one is that lets go of it.
    """
    try:
        frame = sys._getframe(depth)
    except ValueError:
        return True  # nobody's frame: the collector, or the end of a thread
    last = frame.f_lasti
    if last < 0:
        return True
    name = dis.opname[frame.f_code.co_code[last]]
    return name.startswith(_PEACEFUL)
