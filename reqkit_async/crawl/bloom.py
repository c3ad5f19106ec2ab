"""A Bloom filter: tells most unknown URLs from known ones, without a look into the store."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

__all__ = ["MOST", "BloomFilter"]

_BYTES: Final = 1 << 24
_MASK: Final = _BYTES - 1
#: A store with more URLs does without: reading all of their keys takes too long.
MOST: Final = 2_000_000


class BloomFilter:
    """Fingerprints that may be known; those that never came are known not to be, nearly all.

    Args:
        keys: what is known already.
    """

    __slots__ = ("_bits",)

    def __init__(self, keys: Iterable[int]) -> None:
        # Fingerprints are as good as random: one bit of each is enough.
        self._bits = bits = bytearray(_BYTES)
        for key in keys:
            bits[key >> 3 & _MASK] |= 1 << (key & 7)

    def add(self, key: int) -> bool:
        """Add a fingerprint; return whether it may have been there before.

        One that is added, and does not come into the store after all, costs a look-up later on.
        """
        bits = self._bits
        place, bit = key >> 3 & _MASK, 1 << (key & 7)
        byte = bits[place]
        if byte & bit:
            return True
        bits[place] = byte | bit
        return False
