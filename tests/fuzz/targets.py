"""The targets by name: each takes any bytes, and raises where something does not hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import body_targets, http2_targets, session_targets, text_targets, wire_targets

TARGETS: dict[str, Callable[[bytes], None]] = {
    "head": wire_targets.head,
    "readers": wire_targets.readers,
    "chunks": wire_targets.chunks,
    "answer": wire_targets.answer,
    "http2": http2_targets.frames,
    "hpack": http2_targets.hpack,
    "set_cookie": text_targets.set_cookie,
    "cookie_date": text_targets.cookie_date,
    "links": text_targets.links,
    "challenges": text_targets.challenges,
    "url": text_targets.url,
    "location": text_targets.location,
    "content_type": text_targets.content_type,
    "codings": body_targets.codings,
    "charsets": body_targets.charsets,
    "guesses": body_targets.guesses,
    "lines": body_targets.lines,
    "session": session_targets.session,
}


def holds(name: str, data: bytes) -> bool:
    """Give a target some bytes: True, or it raises what is wrong."""
    TARGETS[name](data)
    return True


CORPUS = Path(__file__).with_name("corpus")


def seeds(name: str) -> list[Path]:
    """Return the files of a target's seeds, findings among them."""
    return sorted(path for path in (CORPUS / name).iterdir() if path.is_file())
