"""Where URLs come from: arguments, text, CSV and JSONL, files or standard input, as a stream.

What is wrong with one line is a matter of that line: it becomes an `Item` that says so, and the
rest is read on.
"""

from __future__ import annotations

import csv
import json
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from gevent.socket import wait_read

__all__ = ["FORMATS", "InputError", "Item", "count_items", "read_items"]

#: What ``--format`` may be; "auto" goes by the file's name, else by its first line.
FORMATS: Final = ("auto", "text", "csv", "jsonl")

_CHUNK: Final = 65536
#: A longer line is none that somebody wrote, and must not fill the memory.
_LONGEST_LINE: Final = 1 << 20
#: Files of more bytes are not read twice only to know how much there is to do.
_COUNTED: Final = 64 << 20
_BOM: Final = b"\xef\xbb\xbf"
_ENDINGS: Final = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "text",
}  # fmt: skip


class InputError(Exception):
    """The input as a whole cannot be read; says why and what to do."""


@dataclass(slots=True)
class Item:
    """One piece of input.

    Attributes:
        number: which one it is, from 1 on.
        url: what to fetch; None where the line has none.
        fields: the input's own fields, the URL among them.
        problem: why there is no URL.
    """

    number: int
    url: str | None
    fields: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


def read_items(
    urls: Iterable[str] = (),
    path: str | None = None,
    kind: str = "auto",
    column: str | None = None,
) -> Iterator[Item]:
    """Yield what is to be fetched, as it is read. Standard input is waited for among greenlets.

    Args:
        urls: given by themselves; they come first.
        path: a file, or ``-`` for standard input.
        kind: one of `FORMATS`.
        column: which column (CSV) or key (JSONL) has the URL; None for ``url``, in any case.

    Raises:
        InputError: the file cannot be read, or has no such column.
    """
    number = 0
    for url in urls:
        number += 1
        yield Item(number, url, {"url": url})
    if path is None:
        return
    shown = "standard input" if path == "-" else path
    lines = _numbered_lines(_pieces(path, shown), shown)
    if kind == "auto":
        kind, lines = _kind_of(path, column, lines)
    read = {"text": _from_text, "csv": _from_csv, "jsonl": _from_jsonl}[kind]
    for item in read(lines, column, shown):
        number += 1
        item.number = number
        yield item


def count_items(path: str | None, kind: str, column: str | None) -> int | None:
    """Return how many items a file has, None where that is not worth knowing or cannot be known."""
    if path is None:
        return 0
    try:
        facts = os.stat(path)
        if path == "-" or not stat.S_ISREG(facts.st_mode) or facts.st_size > _COUNTED:
            return None
        return sum(1 for _ in read_items((), path, kind, column))
    except (OSError, InputError):
        return None  # reading it says what is wrong


# -- bytes and lines --------------------------------------------------------------------------


def _pieces(path: str, shown: str) -> Iterator[bytes]:
    """Yield what a file has, as it comes."""
    try:
        descriptor = 0 if path == "-" else os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}") from error
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise InputError(f"{shown} is a folder: expected a file with URLs")
        # The flags of a pipe or a terminal are other processes', too: it stays as it is, and is
        # read when there is something to read.
        waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(descriptor)
        while True:
            if waits:
                wait_read(descriptor)
            piece = os.read(descriptor, _CHUNK)
            if not piece:
                return
            yield piece
    except OSError as error:
        raise InputError(f"{shown} cannot be read: {error.strerror}") from error
    finally:
        if path != "-":
            os.close(descriptor)


def _numbered_lines(pieces: Iterable[bytes], shown: str) -> Iterator[tuple[int, str | None]]:
    """Yield each line with its number, without its end; None for one that is too long or no UTF-8.

    Raises:
        InputError: it is UTF-16, which nothing in it could be told from.
    """
    number = 0
    for number, line in enumerate(_lines(pieces), 1):
        if line is None:
            yield number, None
            continue
        if number == 1:
            if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise InputError(f"{shown} is UTF-16 text: save it as UTF-8")
            line = line.removeprefix(_BOM)
        try:
            yield number, line.decode("utf-8")
        except UnicodeDecodeError:
            yield number, None


def _lines(pieces: Iterable[bytes]) -> Iterator[bytes | None]:
    rest = b""
    dropping = False
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if dropping or len(line) > _LONGEST_LINE:
                dropping = False
                yield None
            else:
                yield line.removesuffix(b"\r")
        if len(rest) > _LONGEST_LINE:
            rest = b""
            dropping = True
    if dropping:
        yield None
    elif rest:
        yield rest.removesuffix(b"\r")


Lines = Iterator["tuple[int, str | None]"]


def _kind_of(path: str, column: str | None, lines: Lines) -> tuple[str, Lines]:
    """Find what a file is by its name, else by its first line; that is read before it is needed."""
    kind = _ENDINGS.get(os.path.splitext(path)[1].lower())
    if kind is not None and not (kind == "text" and column is not None):
        return kind, lines
    before = []
    first = ""
    for number, line in lines:
        before.append((number, line))
        if line is not None and not _is_passed_over(line):
            first = line.lstrip()
            break
    kind = "jsonl" if first.startswith("{") else "text" if column is None else "csv"
    return kind, _again(before, lines)


def _again(before: list[tuple[int, str | None]], lines: Lines) -> Lines:
    yield from before
    yield from lines


def _is_passed_over(line: str) -> bool:
    stripped = line.strip()
    return not stripped or stripped.startswith("#")


def _unreadable(number: int) -> Item:
    return Item(
        0,
        None,
        {"line": number},
        f"line {number} is longer than {_LONGEST_LINE:,} bytes or no UTF-8",
    )


# -- formats ----------------------------------------------------------------------------------


def _from_text(lines: Lines, column: str | None, shown: str) -> Iterator[Item]:
    for number, line in lines:
        if line is None:
            yield _unreadable(number)
        else:
            url = line.strip()
            if url and not url.startswith("#"):
                yield Item(0, url, {"url": url})


def _from_jsonl(lines: Lines, column: str | None, shown: str) -> Iterator[Item]:
    for number, line in lines:
        if line is None:
            yield _unreadable(number)
            continue
        if _is_passed_over(line):
            continue
        try:
            value = json.loads(line, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            text = line.strip()
            yield Item(0, None, {"text": text[:1000]}, f"line {number} is no JSON: {error}")
            continue
        if isinstance(value, str):
            value = {column or "url": value}
        if not isinstance(value, dict):
            problem = f"line {number} is a JSON {_json_kind(value)}: expected an object or a URL"
            yield Item(0, None, {"value": value}, problem)
            continue
        yield _from_fields(value, _key_for(value, column), column, number)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON value")


def _json_kind(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value)
    return "array" if isinstance(value, list) else "number"


def _key_for(names: Iterable[str], column: str | None) -> str | None:
    """Return the name that the column has: as given, else in any case."""
    wanted = "url" if column is None else column
    several = list(names)
    if wanted in several:
        return wanted
    for name in several:
        if name.strip().lower() == wanted.strip().lower():
            return name
    return None


def _from_fields(fields: dict[str, Any], key: str | None, column: str | None, number: int) -> Item:
    url = fields.get(key) if key is not None else None
    if isinstance(url, str) and url.strip():
        return Item(0, url.strip(), fields)
    name = column or "url"
    if key is None:
        problem = f"line {number} has no {name!r}: --column names the key that has the URL"
    elif url is None or isinstance(url, str):
        problem = f"line {number} has nothing in {name!r}"
    else:
        problem = f"line {number} has no text in {name!r}"
    return Item(0, None, fields, problem)


def _from_csv(lines: Lines, column: str | None, shown: str) -> Iterator[Item]:
    at = 0  # the line that was read last
    bad = False

    def texts() -> Iterator[str]:
        nonlocal at, bad
        for number, line in lines:
            at = number
            if line is None:
                bad = True
                line = ""
            yield line + "\n"

    source = texts()
    header_line = next((line for line in source if not _is_passed_over(line)), None)
    if header_line is None:
        return
    delimiter = _delimiter(header_line)
    # Where a name of the header has a line's end in it, the rest of it is read from there.
    rows = csv.reader(_chained(header_line, source), delimiter=delimiter, strict=False)
    try:
        names = _distinct(next(rows))
    except csv.Error as error:
        raise InputError(f"{shown}: the header (line {at}) is no CSV: {error}") from error
    key = _key_for(names, column)
    if key is None:
        raise InputError(
            f"{shown} has no column {column or 'url'!r}: name the one that has the URLs by"
            f" --column; there are {', '.join(map(repr, names[:20]))}"
        )
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            bad = False
            yield Item(0, None, {"line": at}, f"line {at} is no CSV: {error}")
            continue
        if bad:
            bad = False
            yield _unreadable(at)
        elif any(cell.strip() for cell in row):
            yield _from_fields(_fields(names, row), key, column, at)


def _chained(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


def _delimiter(header: str) -> str:
    for delimiter in ",\t;":
        if delimiter in header:
            return delimiter
    return ","


def _distinct(names: list[str]) -> list[str]:
    """Return the columns' names, those that are there twice told apart, so that none is lost."""
    found: list[str] = []
    for place, name in enumerate(names, 1):
        name = name.strip() or f"column {place}"
        distinct, times = name, 1
        while distinct in found:
            times += 1
            distinct = f"{name} ({times})"
        found.append(distinct)
    return found


def _fields(names: list[str], row: list[str]) -> dict[str, Any]:
    fields: dict[str, Any] = dict(zip(names, row, strict=False))
    for name in names[len(row) :]:
        fields[name] = ""
    for place in range(len(names), len(row)):
        fields[f"column {place + 1}"] = row[place]
    return fields
