"""Which process this is: what its parent had is no good after a fork."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["PerProcess", "forks"]

T = TypeVar("T")


class _Forks:
    """Counts the forks between this process and the first one."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count: int = 0


#: Counted in a child process, so that no connection of its parent's is used there.
forks: Final = _Forks()


def _forked() -> None:
    forks.count += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class PerProcess(Generic[T]):
    """Something that is made once in each process: a forked one has no threads of its parent's.

    Args:
        make: makes it.
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: tuple[int, T] | None = None

    def __call__(self) -> T:
        """Return the one of this process."""
        made = self._made
        if made is None or made[0] != forks.count:
            made = self._made = forks.count, self._make()
        return made[1]
