"""Bodies and files, their lengths and names."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from ..base.warn import warn
from ..exceptions import RequestsWarning, UnrewindableBodyError
from ..message.bodies import rewind

__all__ = [
    "extract_zipped_paths",
    "from_key_val_list",
    "guess_filename",
    "iter_slices",
    "rewind_body",
    "super_len",
    "to_key_val_list",
    "to_native_string",
    "unicode_is_ascii",
]

_Slices = TypeVar("_Slices", str, bytes)

#: Where members of archives were extracted to by this process: by archive, member and its time.
_extracted: dict[tuple[str, str, int], str] = {}


def super_len(o: Any) -> int:
    """Return how many bytes or items are left to be read; 0 where nothing tells."""
    total: int | None = None
    if isinstance(o, str):
        o = o.encode()
    if hasattr(o, "__len__"):
        total = len(o)
    elif hasattr(o, "len"):
        total = o.len
    elif hasattr(o, "fileno"):
        # A member of an archive has a descriptor's method, and no descriptor.
        with contextlib.suppress(io.UnsupportedOperation, AttributeError):
            total = os.fstat(o.fileno()).st_size
        if total is not None and "b" not in getattr(o, "mode", "b"):
            warn(
                "a file opened in text mode: its length in bytes may be another; open it as 'rb'",
                RequestsWarning,
            )
    done = 0
    if hasattr(o, "tell"):
        try:
            done = o.tell()
        except OSError:
            # Where it stands cannot be told: as if all of it had been read.
            return 0
        if total is None and hasattr(o, "seek"):
            with contextlib.suppress(OSError):
                o.seek(0, 2)
                total = o.tell()
                o.seek(done or 0)
    return max(0, (total or 0) - done)


def rewind_body(prepared_request: Any) -> None:
    """Put the body of a prepared request back to where it began.

    Raises:
        UnrewindableBodyError: it cannot be.
    """
    position = getattr(prepared_request, "_body_position", None)
    if not isinstance(position, int):
        raise UnrewindableBodyError("the body has no position to be put back to")
    rewind(prepared_request.body, position)


def guess_filename(obj: Any) -> str | bytes | None:
    """Return the last part of a file's name, or None where it has none."""
    name = getattr(obj, "name", None)
    if isinstance(name, (str, bytes)) and name and name[:1] not in ("<", b"<"):
        last: str | bytes = os.path.basename(name)
        return last
    return None


def iter_slices(string: _Slices, slice_length: int | None) -> Iterator[_Slices]:
    """Yield pieces of a text or of bytes; all of it at once without a length."""
    size = len(string) if slice_length is None or slice_length <= 0 else slice_length
    for start in range(0, len(string), size or 1):
        yield string[start : start + size]


def to_key_val_list(value: Any) -> list[tuple[Any, Any]] | None:
    """Return a mapping or pairs as a list of pairs.

    Raises:
        ValueError: it is neither.
    """
    if value is None:
        return None
    if isinstance(value, (str, bytes, bool, int)):
        raise ValueError("a single value is no list of pairs: expected a mapping or pairs")
    return list(value.items() if isinstance(value, Mapping) else value)


def from_key_val_list(value: Any) -> dict[Any, Any] | None:
    """Return pairs as a dictionary.

    Raises:
        ValueError: they are none.
    """
    pairs = to_key_val_list(value)
    return None if pairs is None else dict(pairs)


def to_native_string(string: str | bytes, encoding: str = "ascii") -> str:
    """Return a text as a str."""
    return string if isinstance(string, str) else string.decode(encoding)


def unicode_is_ascii(u_string: str) -> bool:
    """Tell whether a text is ASCII alone."""
    return u_string.isascii()


def extract_zipped_paths(path: str) -> str:
    """Return the path of a file inside a zip archive, extracted to a temporary file.

    Its name is one that nobody can foresee, and so can have put another file there before. A path
    that exists, or leads into no archive, comes back as it is.
    """
    if os.path.exists(path):
        return path
    archive, member = os.path.split(path)
    while archive and not os.path.exists(archive):
        shorter, last = os.path.split(archive)
        if not last:
            break
        archive, member = shorter, f"{last}/{member}"
    if not zipfile.is_zipfile(archive):
        return path
    with zipfile.ZipFile(archive) as opened:
        if member not in opened.namelist():
            return path
        of = (os.path.abspath(archive), member, os.stat(archive).st_mtime_ns)
        known = _extracted.get(of)
        if known is None or not os.path.exists(known):
            handle, known = tempfile.mkstemp(suffix="-" + member.rpartition("/")[2])
            with os.fdopen(handle, "wb") as file:
                file.write(opened.read(member))
            _extracted[of] = known
    return known
