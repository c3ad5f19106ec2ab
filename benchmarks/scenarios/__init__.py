"""The scenarios, by name, in the order in which they run."""

from __future__ import annotations

from . import big, importing, many, memory, payloads, real, sequences, small, wide
from .case import Case

__all__ = ["SCENARIOS", "Case"]

SCENARIOS: dict[str, tuple[Case, ...]] = {
    "real": real.REAL,
    "real-tls": real.REAL_TLS,
    "real-seq": real.REAL_SEQ,
    "small": small.SMALL,
    "tls": small.TLS,
    "wide": wide.CASES,
    "json": payloads.JSON,
    "seq": sequences.SEQ,
    "oneshot": sequences.ONESHOT,
    "post": payloads.POST,
    "big": big.CASES,
    "many": many.CASES,
    "memory": memory.CASES,
    "import": importing.CASES,
}
