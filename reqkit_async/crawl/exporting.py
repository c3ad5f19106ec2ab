"""Items to files: JSONL, CSV and Parquet, in memory that stays flat; whole or not at all."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from reqkit.base.importing import import_late

__all__ = ["check_export", "export"]

#: Items that become one piece of a Parquet file.
_ROWS: Final = 5000

Items = Callable[[], Iterator[Any]]


def export(items: Items, path: str | os.PathLike[str]) -> int:
    """Write items to a file, by its name's ending.

    Args:
        items: called once or twice; yields them.
        path: ends in ``.jsonl``, ``.csv`` or ``.parquet``; what is there is replaced.

    Returns: how many there were.

    Raises:
        ValueError: it ends otherwise, or items are no dictionaries (CSV, Parquet).
        ImportError: Parquet needs pyarrow.
        OSError: it cannot be written; what was there is as it was.
    """
    target = Path(path)
    write = _writer_for(target)
    part = target.with_name(target.name + ".part")
    try:
        count = write(items, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return count


def check_export(path: str | os.PathLike[str]) -> None:
    """See that items can be exported to a file of this name, before there are any.

    Raises:
        ValueError: it ends otherwise.
        ImportError: Parquet needs pyarrow.
    """
    if _writer_for(Path(path)) is _parquet:
        _pyarrow()


def _writer_for(path: Path) -> Callable[[Items, Path], int]:
    writers: dict[str, Callable[[Items, Path], int]] = {
        ".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet,
    }  # fmt: skip
    write = writers.get(path.suffix.lower())
    if write is None:
        raise ValueError(
            f"export to {os.fspath(path)!r}: expected a name that ends in {', '.join(writers)}"
        )
    return write


def _jsonl(items: Items, path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for item in items():
            line = json.dumps(item, ensure_ascii=False)
            if not _is_text(line):
                line = json.dumps(item)  # which has escapes for that
            file.write(line + "\n")
            count += 1
    return count


def _rows(items: Items) -> Iterator[dict[str, Any]]:
    for number, item in enumerate(items(), 1):
        if not isinstance(item, dict):
            raise ValueError(
                f"item {number} is {str(item)[:60]!r}, and a table needs dictionaries: export to"
                " .jsonl, which takes anything"
            )
        yield item


def _csv(items: Items, path: Path) -> int:
    names: dict[str, None] = {}
    for row in _rows(items):
        names.update(dict.fromkeys(row))
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(map(_cell, names))
        for row in _rows(items):
            writer.writerow([_cell(row.get(name)) for name in names])
            count += 1
    return count


def _cell(value: Any) -> Any:
    """Return a value as CSV has it: lists and dictionaries as JSON, None as nothing."""
    if isinstance(value, (dict, list)):
        text = json.dumps(value, ensure_ascii=False)
        return text if _is_text(text) else json.dumps(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if not isinstance(value, str) or _is_text(value) else json.dumps(value)


def _is_text(value: str) -> bool:
    """Tell whether UTF-8 has a text: half of a surrogate pair, out of somebody's JSON, is none."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _parquet(items: Items, path: Path) -> int:
    pyarrow, parquet = _pyarrow()
    kinds: dict[str, set[str]] = {}
    for row in _rows(items):
        for name, value in row.items():
            if value is not None:
                kinds.setdefault(name, set()).add(type(value).__name__)
            else:
                kinds.setdefault(name, set())
    columns = {name: _column(pyarrow, found) for name, found in kinds.items()}
    schema = pyarrow.schema([(name, kind) for name, (kind, _) in columns.items()])
    count = 0
    with parquet.ParquetWriter(path, schema) as writer:
        for rows in _several(_rows(items)):
            table = {
                name: [convert(row.get(name)) for row in rows]
                for name, (_, convert) in columns.items()
            }
            writer.write_table(pyarrow.table(table, schema=schema))
            count += len(rows)
    return count


def _column(pyarrow: Any, kinds: set[str]) -> tuple[Any, Callable[[Any], Any]]:
    """Return a column's type, and what makes values fit: text, where they are of several kinds."""
    if kinds == {"bool"}:
        return pyarrow.bool_(), _same
    if kinds == {"int"}:
        return pyarrow.int64(), _whole
    if kinds and kinds <= {"int", "float"}:
        return pyarrow.float64(), _number
    return pyarrow.string(), _text


def _same(value: Any) -> Any:
    return value


def _whole(value: Any) -> Any:
    if value is not None and not -(1 << 63) <= value < 1 << 63:
        raise ValueError(
            f"{value} is more than a column of whole numbers can have: keep it as text"
        )
    return value


def _number(value: Any) -> Any:
    return None if value is None else float(value)


def _text(value: Any) -> Any:
    if value is None or (isinstance(value, str) and _is_text(value)):
        return value
    return json.dumps(value)


def _several(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    piece: list[dict[str, Any]] = []
    for row in rows:
        piece.append(row)
        if len(piece) >= _ROWS:
            yield piece
            piece = []
    if piece:
        yield piece


def _pyarrow() -> tuple[Any, Any]:
    try:
        pyarrow, parquet = import_late("pyarrow"), import_late("pyarrow.parquet")
    except ImportError as error:
        raise ImportError(
            "export to .parquet needs pyarrow: pip install 'reqkit[parquet]'"
        ) from error
    return pyarrow, parquet
