"""`python -m benchmarks.heads`: what an answer's head takes to read, in C and in Python.

One kind of head has the 22 lines of the scenario `real`, three of them new each time; the other has
nine lines, and every value is new. Each reader has all the heads, round after round, in turn; the
quickest round of each counts: what disturbs a round can only add to it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from reqkit.wire.h1 import well_formed

from .servers import REAL_FIELDS

#: Heads of each kind, and rounds.
HEADS: Final = 4000
ROUNDS: Final = 15


def like_the_web(number: int) -> bytes:
    """Make a head as the scenario `real` has it."""
    identity = f"{number * 7919:032x}"
    lines = [
        "HTTP/1.1 200 OK", "Server: nginx", "Date: Sat, 31 Jan 2026 12:00:00 GMT",
        "Content-Type: text/plain", "Content-Length: 1024", "Connection: keep-alive",
        "Last-Modified: Sat, 31 Jan 2026 11:00:00 GMT", 'ETag: "697de1a0-400"',
        "Accept-Ranges: bytes",
    ]  # fmt: skip
    for name, value in REAL_FIELDS:
        value = value.replace("$request_id", identity).replace("$msec", f"{number / 1000:.3f}")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode()


def all_new(number: int) -> bytes:
    """Make a head of which every value is new."""
    lines = [f"X-Field-{field}: value-{field}-{number * 31 + field}" for field in range(8)]
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, f"Content-Length: {number}", "", ""]).encode()


def microseconds(reader: Callable[[bytes], Any], heads: Sequence[bytes]) -> float:
    """Return what a reader takes for one of the heads, in one round."""
    began = time.process_time()
    for head in heads:
        reader(head)
    return (time.process_time() - began) / len(heads) * 1e6


def main(given: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where the reader in C was not built."""
    argparse.ArgumentParser(prog="python -m benchmarks.heads", description=__doc__).parse_args(
        given
    )
    try:
        from reqkit.wire.h1 import _head
    except ImportError:
        print("the reader in C was not built: pip install .", file=sys.stderr)
        return 1
    readers: dict[str, Callable[[bytes], Any]] = {
        "Python": well_formed.read_sound,
        "C": _head.read_sound,
    }
    print(f"{'microseconds':<34}" + "".join(f"{name:>9}" for name in readers) + "    ratio")
    for title, made in (
        ("22 lines, three of them new", like_the_web),
        ("9 lines, all new", all_new),
    ):
        heads = [made(number) for number in range(HEADS)]
        assert all(reader(head) is not None for reader in readers.values() for head in heads)
        best = dict.fromkeys(readers, float("inf"))
        for _ in range(ROUNDS):
            for name, reader in readers.items():
                best[name] = min(best[name], microseconds(reader, heads))
        figures = "".join(f"{best[name]:>9.2f}" for name in readers)
        print(f"{title:<34}{figures}{best['Python'] / best['C']:>9.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
