"""How many requests may be in flight where nobody says."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["places_for"]

#: Descriptors left to the rest of the program.
_SPARE: Final = 64
#: Where the system does not say how many descriptors there are.
_USUAL: Final = 256


def places_for(size: int | None) -> int:
    """Return ``size``, or how many connections there are free descriptors for.

    A batch without a size must not end in "too many open files".
    """
    if size is not None:
        return size
    try:
        import resource
    except ImportError:  # Windows
        return _USUAL
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        limit = 65536
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        used = _SPARE
    return max(limit - used - _SPARE, 1)
