"""How many requests may be in flight."""

from __future__ import annotations

import os
from typing import Final

from reqkit.base import file_descriptors

__all__ = ["slots_for"]

#: Descriptors left to the rest of the program, at most.
_SPARE: Final = 64
#: Where nobody says how many.
_USUAL: Final = 100
#: So few slots are given unseen, where there are so many descriptors.
_FEW: Final = 64
_PLENTY: Final = 512


def slots_for(size: int | None, each: int = 1) -> int:
    """Return how many requests may be in flight: no more than there are descriptors for.

    A batch must not end in "too many open files".

    Args:
        size: what was asked for.
        each: the descriptors that one takes.
    """
    most = _USUAL if size is None else size
    limit = file_descriptors.limit()
    if limit is None or (most * each <= _FEW and limit >= _PLENTY):
        return most
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        used = _SPARE
    # Part of what is used may be connections that are kept for these very requests.
    room = max(limit - used - min(_SPARE, limit * 3 // 8), limit // 2)
    return min(most, max(room // each, 1))
