"""How many requests may be in flight where nobody says."""

from __future__ import annotations

import os
from typing import Any, Final

resource: Any
try:
    import resource
except ImportError:  # Windows
    resource = None

__all__ = ["slots_for"]

#: Descriptors left to the rest of the program.
_SPARE: Final = 64
#: Where the system does not say how many descriptors there are.
_USUAL: Final = 256
#: More at once would wait for one another: for the loop, for local ports, for the server.
_MOST: Final = 1000
#: So few slots are given unseen.
_FEW: Final = 64


def slots_for(size: int | None) -> int:
    """Return how many requests may be in flight: no more than there are descriptors for.

    A batch must not end in "too many open files".
    """
    if size is not None and size <= _FEW:
        return size
    if resource is None:
        return _USUAL if size is None else size
    most = _MOST if size is None else size
    limit: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit == resource.RLIM_INFINITY:
        return most
    try:
        used = len(os.listdir("/proc/self/fd"))
    except OSError:
        used = _SPARE
    # Part of what is used may be connections that are kept for these very requests.
    return min(most, max(limit - used - _SPARE, limit // 2, 1))
