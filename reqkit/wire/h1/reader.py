"""Which reader of usual heads is in use: the one in C where it was built, else Python's.

They give the same. ``REQKIT_NO_EXTENSIONS=1`` in the environment, when this is imported, leaves the
one in C out; when reqkit is built, it is not made.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from . import well_formed
from .answer import AnswerHead

__all__ = ["EXTENSIONS", "read_next", "read_sound"]


_Reader = Callable[[bytes], "AnswerHead | None"]


def _choose() -> tuple[_Reader, _Reader, tuple[str, ...]]:
    if os.environ.get("REQKIT_NO_EXTENSIONS", "0") in ("", "0"):
        try:
            from ._head import read_next, read_sound
        except ImportError:  # it was not built, or from another version's source
            pass
        else:
            return read_sound, read_next, ("head",)
    return well_formed.read_sound, well_formed.read_next, ()


_chosen: Final = _choose()

#: Read a sound head; None for any other: see `well_formed.read_sound`.
read_sound: Final = _chosen[0]
#: Read the sound head that bytes begin with: see `well_formed.read_next`.
read_next: Final = _chosen[1]
#: What is in use that was compiled: ``("head",)``, or nothing.
EXTENSIONS: Final = _chosen[2]
