"""HPACK's Huffman code (RFC 7541 section 5.2 and appendix B). Pure; never blocks.

The code is canonical, so the lengths of its codes are all that has to be known. Decoding goes
through the code's tree a byte at a time; the steps are learned as they are met, for the bytes of
real fields are few of all that there could be.
"""

from __future__ import annotations

import functools
import sys
from typing import Any, Final

__all__ = ["HuffmanError", "decode", "encode", "encoded_length"]

#: Bits of each octet's code, and of EOS, the last one.
_LENGTHS: Final = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21,
    23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24,
    21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
)  # fmt: skip
_EOS: Final = 256
#: Bits that are put together at a time.
_PART: Final = 1024


class HuffmanError(ValueError):
    """The bytes are no Huffman code: they have the code of EOS, or end in wrong bits."""


def _canonical() -> list[tuple[int, int]]:
    """Return code and length of each symbol: of one length, codes count up with the symbols."""
    codes = [(0, 0)] * len(_LENGTHS)
    code = length = 0
    for symbol in sorted(range(len(_LENGTHS)), key=lambda symbol: (_LENGTHS[symbol], symbol)):
        code <<= _LENGTHS[symbol] - length
        length = _LENGTHS[symbol]
        codes[symbol] = (code, length)
        code += 1
    return codes


def _tree(codes: list[tuple[int, int]]) -> list[list[int]]:
    """Return the code's inner nodes: what follows a 0 and a 1, another node or ~symbol."""
    nodes = [[0, 0]]
    for symbol, (code, length) in enumerate(codes):
        at = 0
        for shift in range(length - 1, 0, -1):
            bit = code >> shift & 1
            if not nodes[at][bit]:
                nodes.append([0, 0])
                nodes[at][bit] = len(nodes) - 1
            at = nodes[at][bit]
        nodes[at][code & 1] = ~symbol
    return nodes


_CODES: Final = _canonical()
_NODES: Final = _tree(_CODES)


def _endings() -> frozenset[int]:
    """Return the nodes at which bytes may end: after up to 7 of EOS's bits, all ones."""
    found = [0]
    for _ in range(7):
        found.append(_NODES[found[-1]][1])
    return frozenset(found)


_ENDINGS: Final = _endings()


#: What each byte leads to from a node of the tree: what was decoded, and the steps from there on;
#: None where none has been learned. After those of the 256 bytes: the node.
_Steps = list[Any]


@functools.cache
def _steps_from(node: int) -> _Steps:
    """Return the steps from a node, made when first it is reached.

    There are 256 nodes, with 256 bytes each: what a peer can have us remember has an end.
    """
    return [*[None] * 256, node]


def _learn(steps: _Steps, byte: int) -> tuple[str, _Steps]:
    """Go through the tree by a byte's bits, and remember the step."""
    node: int = steps[256]
    found = ""
    for shift in range(7, -1, -1):
        node = _NODES[node][byte >> shift & 1]
        if node < 0:
            if ~node == _EOS:
                raise HuffmanError("the code of EOS is in it")
            found += chr(~node)
            node = 0
    step = steps[byte] = (sys.intern(found), _steps_from(node))
    return step


_BEGIN: Final = _steps_from(0)


def decode(data: bytes) -> str:
    """Return the text that was encoded, a character for each octet.

    Raises:
        HuffmanError: it has the code of EOS, or its padding is not up to 7 bits of that.
    """
    steps, text = _BEGIN, ""
    try:
        for byte in data:
            found, steps = steps[byte]
            text += found
    except TypeError:  # None: there is a step to be learned
        steps, text = _BEGIN, ""
        for byte in data:
            found, steps = steps[byte] or _learn(steps, byte)
            text += found
    if steps[256] not in _ENDINGS:
        raise HuffmanError("its last bits are no padding")
    return text


def encode(data: bytes) -> bytes:
    """Return the Huffman code of some octets, padded with ones to whole bytes."""
    # In parts: each step copies all the bits so far, and those of a long value (a server may set
    # very long cookies) would take the square of its length.
    out = bytearray()
    bits = length = 0
    codes = _CODES
    for byte in data:
        code, size = codes[byte]
        bits = bits << size | code
        length += size
        if length >= _PART:
            rest = length & 7
            out += (bits >> rest).to_bytes(length >> 3, "big")
            bits &= (1 << rest) - 1
            length = rest
    padding = -length % 8
    bits = bits << padding | (1 << padding) - 1
    out += bits.to_bytes((length + padding) // 8, "big")
    return bytes(out)


def encoded_length(data: bytes) -> int:
    """Return how many bytes `encode` makes of some octets."""
    lengths = _LENGTHS
    return (sum([lengths[byte] for byte in data]) + 7) // 8
