"""Reads the cases of the ``*.txt`` files beside it; README.md describes their form."""

from __future__ import annotations

import functools
import gzip
import importlib
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

__all__ = ["Answer", "Case", "evaluate", "load", "read_file"]

FOLDER: Final = Path(__file__).parent

_ESCAPES: Final = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0"}
_REPEAT: Final = re.compile(r"([0-9]+)\*")


@dataclass
class Answer:
    """What the server sends for one request."""

    segments: list[bytes] = field(default_factory=lambda: [b""])
    #: Sent over and over until the client leaves.
    endless: bytes = b""
    #: ``keep`` the connection open, ``close`` it, ``reset`` it, or ``end`` only what is sent.
    then: str = "keep"
    #: Sent once the client is done with the answer, before it asks for anything else.
    late: bytes = b""


@dataclass
class Case:
    """One case: what is asked and answered, and how it must end."""

    name: str
    about: str = ""
    method: str = "GET"
    #: The read limit, and the total one; seconds.
    timeout: float = 20.0
    total: float | None = None
    config: dict[str, Any] = field(default_factory=dict)
    #: Whether credentials for Digest go along.
    digest: bool = False
    #: ``whole``; ``stream``: piece by piece, keeping none; ``look``: all that is in it too.
    read: str = "whole"
    answers: list[Answer] = field(default_factory=lambda: [Answer()])
    #: A status, and the body or its size; or an error's class, and words of its text.
    status: int | None = None
    body: bytes = b""
    size: int | None = None
    error: str = ""
    words: list[str] = field(default_factory=list)
    #: None where it depends on how the bytes arrive.
    reused: bool | None = False
    #: Names of fields that must not be among the answer's.
    without: list[str] = field(default_factory=list)
    #: Bytes that the client may hold at its peak, where that is measured.
    memory: int | None = None


def _compressor(name: str) -> Callable[[bytes], bytes]:
    if name == "br":
        return functools.partial(importlib.import_module("brotli").compress, quality=5)
    try:
        module = importlib.import_module("compression.zstd")
    except ImportError:
        module = importlib.import_module("backports.zstd")
    compress: Callable[[bytes], bytes] = module.compress
    return compress


def _raw_deflate(data: bytes) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(data) + engine.flush()


def _sized(data: bytes) -> bytes:
    return b"Content-Length: %d\r\n\r\n%b" % (len(data), data)


def _chunked(data: bytes) -> bytes:
    last = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
    return b"Transfer-Encoding: chunked\r\n\r\n" + last + b"0\r\n\r\n"


FUNCTIONS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": functools.partial(gzip.compress, compresslevel=6, mtime=0),
    "deflate": zlib.compress,
    "rawdeflate": _raw_deflate,
    "br": lambda data: _compressor("br")(data),
    "zstd": lambda data: _compressor("zstd")(data),
    "half": lambda data: data[: len(data) // 2],
    "sized": _sized,
    "chunked": _chunked,
}


@functools.lru_cache(maxsize=64)
def _applied(name: str, text: str) -> bytes:
    return FUNCTIONS[name](evaluate(text))


def evaluate(text: str) -> bytes:
    r"""Return the bytes that a text of a case stands for: ``a\r\n{3*x}`` is ``a``, CR LF, ``xxx``.

    Raises:
        ValueError: it is not in the form that README.md describes.
    """
    out = bytearray()
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\\":
            escape = text[at + 1 : at + 2]
            if escape == "x":
                out += bytes.fromhex(text[at + 2 : at + 4])
                at += 4
                continue
            if escape not in _ESCAPES and (escape == "" or escape not in "\\{}"):
                raise ValueError(f"no escape: {text[at : at + 2]!r} in {text!r}")
            out += _ESCAPES.get(escape) or escape.encode("ascii")
            at += 2
        elif char == "{":
            end = _closing(text, at)
            out += _braces(text[at + 1 : end])
            at = end + 1
        elif char == "}":
            raise ValueError(f"a brace that closes nothing in {text!r}")
        else:
            out += char.encode("ascii")
            at += 1
    return bytes(out)


def _closing(text: str, start: int) -> int:
    depth = 0
    at = start
    while at < len(text):
        if text[at] == "\\":
            at += 1
        elif text[at] == "{":
            depth += 1
        elif text[at] == "}":
            depth -= 1
            if not depth:
                return at
        at += 1
    raise ValueError(f"a brace is not closed in {text!r}")


def _braces(inner: str) -> bytes:
    repeat = _REPEAT.match(inner)
    if repeat:
        return evaluate(inner[repeat.end() :]) * int(repeat[1])
    name, _, rest = inner.partition(" ")
    if name not in FUNCTIONS:
        raise ValueError(f"{name!r} is none of {', '.join(FUNCTIONS)}")
    return _applied(name, rest)


def read_file(path: Path) -> Iterator[Case]:
    """Yield the cases of one file.

    Raises:
        ValueError: a line is not in the form that README.md describes.
    """
    case: Case | None = None
    for number, line in enumerate(path.read_text("ascii").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            if line.startswith("case: "):
                if case is not None:
                    yield _checked(case)
                case = Case(line[6:])
            elif case is None:
                raise ValueError("expected 'case: NAME' first")
            else:
                _read_line(case, line)
        except ValueError as error:
            raise ValueError(f"{path.name}:{number}: {error}") from error
    if case is not None:
        yield _checked(case)


def _read_line(case: Case, line: str) -> None:
    answer = case.answers[-1]
    if line.startswith(("> ", "* ")):
        if line[0] == ">":
            answer.segments[-1] += evaluate(line[2:])
        else:
            answer.endless += evaluate(line[2:])
        return
    if line == "cut":
        answer.segments.append(b"")
        return
    if line == "next":
        case.answers.append(Answer())
        return
    key, colon, value = line.partition(": ")
    if not colon:
        raise ValueError(f"no such line: {line!r}")
    if key == "then":
        if value not in ("keep", "close", "reset", "end"):
            raise ValueError(f"then: {value!r}: expected keep, close, reset or end")
        answer.then = value
    elif key == "late":
        answer.late += evaluate(value)
    elif key == "expect":
        _read_expectation(case, value)
    else:
        _read_setting(case, key, value)


def _read_expectation(case: Case, value: str) -> None:
    first, _, rest = value.partition(" ")
    if first.isdigit():
        case.status = int(first)
        if rest.startswith("size "):
            case.size = int(rest[5:])
        else:
            case.body = evaluate(rest)
    else:
        kind, *words = (part.strip() for part in value.split("|"))
        case.error, case.words = kind, words


def _read_setting(case: Case, key: str, value: str) -> None:
    if key == "config":
        name, _, number = value.partition("=")
        case.config[name] = int(number)
    elif key in ("timeout", "total"):
        setattr(case, key, float(value))
    elif key == "memory":
        case.memory = int(value.replace("_", ""))
    elif key == "reused":
        case.reused = {"yes": True, "no": False, "either": None}[value]
    elif key == "without":
        case.without.append(value)
    elif key == "about":
        case.about = f"{case.about} {value}".strip()
    elif key == "read":
        if value not in ("whole", "stream", "look"):
            raise ValueError(f"read: {value!r}: expected whole, stream or look")
        case.read = value
    elif key == "auth":
        if value != "digest":
            raise ValueError(f"auth: {value!r}: expected digest")
        case.digest = True
    elif key == "method":
        case.method = value
    else:
        raise ValueError(f"no such line: {key!r}")


def _checked(case: Case) -> Case:
    if (case.status is None) == (not case.error):
        raise ValueError(f"case {case.name!r}: expected one 'expect'")
    if not case.about:
        raise ValueError(f"case {case.name!r}: expected an 'about'")
    return case


def load() -> dict[str, Case]:
    """Return all cases by ``FILE/NAME``."""
    found: dict[str, Case] = {}
    for path in sorted(FOLDER.glob("*.txt")):
        for case in read_file(path):
            name = f"{path.stem}/{case.name}"
            if name in found:
                raise ValueError(f"two cases are called {name!r}")
            found[name] = case
    return found
