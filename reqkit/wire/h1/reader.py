"""Which reader of usual heads is in use: the one in C where it was built, else Python's.

They give the same. ``REQKIT_NO_EXTENSIONS=1`` in the environment, when this is imported, leaves the
one in C out; when reqkit is built, it is not made.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from . import usual
from .answer import AnswerHead

__all__ = ["EXTENSIONS", "read_usual"]


def _choose() -> tuple[Callable[[bytes], AnswerHead | None], tuple[str, ...]]:
    if os.environ.get("REQKIT_NO_EXTENSIONS", "0") in ("", "0"):
        try:
            from . import _head
        except ImportError:
            pass
        else:
            return _head.read_usual, ("head",)
    return usual.read_usual, ()


_chosen: Final = _choose()

#: Read a sound head; None for any other: see `usual.read_usual`.
read_usual: Final = _chosen[0]
#: What is in use that was compiled: ``("head",)``, or nothing.
EXTENSIONS: Final = _chosen[1]
