"""Reads the cases of the ``*.txt`` files beside it; README.md describes their form."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from hpack import Encoder

__all__ = ["Case", "load"]

FOLDER: Final = Path(__file__).parent
_REPEAT: Final = re.compile(r"\{(\d+)\*([0-9a-f]+)\}")
_KINDS: Final = {"DATA": 0, "HEADERS": 1, "CONTINUATION": 9}


@dataclass
class Case:
    """One case: what is sent, and how it must end."""

    name: str
    bare: bool = False
    #: Bytes, and how often they are sent.
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    #: The server closes then.
    closes: bool = False
    #: A status and a body, or an error's class and words of its text.
    status: int | None = None
    body: bytes = b""
    error: str = ""
    words: list[str] = field(default_factory=list)
    kept: bool = True


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return (
        len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload
    )


def _hex(text: str) -> bytes:
    text = _REPEAT.sub(lambda match: match[2] * int(match[1]), text)
    return bytes.fromhex(text)


def _fields(words: list[str]) -> bytes:
    pairs = [word.partition("=") if word[0] != ":" else (":", "", word) for word in words]
    rows = []
    for name, _, value in pairs:
        if name == ":":
            name, _, value = value[1:].partition("=")
            name = f":{name}"
        rows.append((name.encode(), value.encode()))
    encoder = Encoder()
    encoder.header_table_size = 0
    return encoder.encode(rows).removeprefix(b"\x20")


def _text(text: str) -> bytes:
    return b"x" * int(text[5:]) if text.startswith("size:") else text.encode()


def _octets(line: str) -> bytes:
    """Return what a line says is sent."""
    kind, _, rest = line.partition(" ")
    words = rest.split()
    if kind == "RAW":
        return _hex(rest)
    if kind == "FRAME":
        number, flags, stream, *payload = words
        return frame(int(number), int(flags), int(stream), _hex("".join(payload)))
    flags = 0
    if kind in ("SETTINGS", "PING"):
        if words and words[0] == "ack":
            flags = 1
            del words[0]
        if kind == "PING":
            return frame(6, flags, 0, (words[0] if words else "reqkit--").encode())
        payload_ = b""
        for word in words:
            setting, _, value = word.partition("=")
            payload_ += int(setting).to_bytes(2, "big") + int(value).to_bytes(4, "big")
        return frame(4, flags, 0, payload_)
    numbers = {"RST_STREAM": 3, "WINDOW_UPDATE": 8, "GOAWAY": 7}
    if kind in numbers:
        first, second = (int(word).to_bytes(4, "big") for word in words)
        if kind == "GOAWAY":
            return frame(7, 0, 0, first + second)
        return frame(numbers[kind], 0, int(words[0]), second)
    stream, words = int(words[0]), words[1:]
    flags = 0 if kind == "DATA" else 4
    padding = b""
    payload = b""
    while (words and words[0] in ("end", "open")) or (words and words[0].startswith("pad:")):
        word = words.pop(0)
        if word == "end":
            flags |= 1
        elif word == "open":
            flags &= ~4
        else:
            flags |= 8
            padding = bytes(int(word[4:]))
    payload = _text(" ".join(words)) if kind == "DATA" else _fields(words)
    if flags & 8:
        payload = bytes((len(padding),)) + payload + padding
    return frame(_KINDS[kind], flags, stream, payload)


def _cases(path: Path) -> Iterator[Case]:
    case: Case | None = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, _, rest = line.partition(" ")
        if key == "case:":
            if case is not None:
                yield case
            case = Case(f"{path.stem}: {rest}")
            continue
        assert case is not None, (path, number)
        if key == ">":
            count, _, what = rest.partition(" ")
            if rest == "CLOSE":
                case.closes = True
            elif count.isdigit():
                case.sent.append((int(count), _octets(what)))
            else:
                case.sent.append((1, _octets(rest)))
        elif key == "expect:":
            first, _, more = rest.partition(" ")
            if first.isdigit():
                case.status, case.body = int(first), _text(more)
            else:
                case.error, case.words = first, more.split()
        elif key == "connection:":
            case.kept = rest == "kept"
        elif key == "bare:":
            case.bare = rest == "yes"
        else:
            assert key == "about:", (path, number, line)
    if case is not None:
        yield case


def load() -> dict[str, Case]:
    """Return all cases by name."""
    found = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for case in _cases(path):
            assert case.name not in found, case.name
            assert case.status or case.error, case.name
            found[case.name] = case
    return found
