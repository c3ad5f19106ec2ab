"""Classes with slots that are pickled by every protocol."""

from __future__ import annotations

from typing import Any, SupportsIndex

__all__ = ["Slotted"]


class Slotted:
    """A class with ``__slots__``: the oldest protocols of pickle (0 and 1) know no such thing."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        """Return what is pickled: as the protocols after these have it, which they can write."""
        return super().__reduce_ex__(max(2, protocol.__index__()))
