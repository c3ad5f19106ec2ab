"""Multipart bodies: ``multipart/form-data``, with files that are read while they are sent."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from ...exceptions import InvalidHeader, UnrewindableBodyError
from ..multimapping import flat_pairs, pairs_of
from .lengths import content_length
from .pieces import pieces
from .positions import Positions, ReadOnce, locked, rewind
from .sources import FileAt, Restartable, refuse_unreadable

__all__ = ["MultipartStream", "encode_multipart"]

#: Bodies of bytes are put together up to this size; larger ones are not copied. Files are read at
#: once up to this size in all: what signs bodies, or looks at them afterwards, wants bytes.
_SMALL: Final = 1024 * 1024

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LINE_BREAK_OR_NUL: Final = re.compile(r"[\r\n\0]")
_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
# As browsers write names (the HTML standard, "multipart form data").
_ESCAPES: Final = {10: "%0A", 13: "%0D", 34: "%22"}


class _Source(NamedTuple):
    """A file or an iterable that is a part's content."""

    name: str
    body: Any
    length: int | None
    start: int | ReadOnce | None


def encode_multipart(
    data: Any, files: Any, boundary: str | None = None, positions: Positions | None = None
) -> tuple[Any, str]:
    """Return a multipart body, and its content type.

    Small files are read now, and left where they stood; larger ones while they are sent.

    Args:
        data: the fields, a mapping or pairs or None; they come first.
        files: a mapping or pairs. A value is a file, bytes or str (the file's name is then its
            ``name``, else the field's), a `pathlib.Path`, whose file is opened when it is sent and
            closed after, or a tuple ``(filename, content[, content_type[,
            headers]])``, whose filename may be None; or a list of such values. Contents that are
            iterables of bytes are taken too. None is left out.
        boundary: what parts them; a random one where it is None.
        positions: where the files stood when the same was asked before; is added to.

    Returns: bytes where all is at hand and small; else a `MultipartStream`.

    Raises:
        TypeError: a content is of a kind that cannot be sent.
        ValueError: an item is not a pair, or text that UTF-8 cannot express.
        InvalidHeader: a header of a part cannot be sent, or the boundary is none.

    Source: RFC 7578; RFC 2046 section 5.1.1; the HTML standard, "multipart form data".
    """
    if boundary is None:
        boundary = os.urandom(16).hex()
    elif not _BOUNDARY.fullmatch(boundary):
        raise InvalidHeader(
            f"the boundary of the multipart body is {boundary[:80]!r}: expected 1 to 70 letters,"
            " digits, spaces and '()+_,-./:=?, not ending in a space"
        )
    if positions is None:
        positions = Positions()
    segments: list[bytes | _Source] = []
    for name, value in flat_pairs(data or {}, "data"):
        segments.append(_head(boundary, _text(name), None, None, None))
        segments.append(value if isinstance(value, bytes) else _utf8(str(value), "data"))
        segments.append(b"\r\n")
    room = _SMALL
    for name, value in _each_file(files):
        field = _text(name)
        filename, content, content_type, headers = _file_of(field, value)
        if content is None:
            continue
        segments.append(_head(boundary, field, filename, content_type, headers))
        segment = _content(field, content, positions)
        if isinstance(segment, _Source) and segment.length is not None and segment.length <= room:
            segment = _read_now(segment)
            room -= len(segment) if isinstance(segment, bytes) else 0
        segments.append(segment)
        segments.append(b"\r\n")
    segments.append(b"--" + boundary.encode("ascii") + b"--\r\n")
    content_type = f"multipart/form-data; boundary={boundary}"
    merged = _merged(segments)
    if len(merged) == 1 and isinstance(merged[0], bytes):
        return merged[0], content_type
    return MultipartStream(merged, content_type), content_type


def _merged(segments: list[bytes | _Source]) -> list[bytes | _Source]:
    """Put neighbouring bytes together, so that they are sent at once, unless they are large."""
    merged: list[bytes | _Source] = []
    near: list[bytes] = []
    size = 0

    def flush() -> None:
        if near:
            merged.append(b"".join(near))
            near.clear()

    for segment in segments:
        if isinstance(segment, _Source):
            flush()
            merged.append(segment)
            size = 0
            continue
        if near and size + len(segment) > _SMALL:
            flush()
            size = 0
        near.append(segment)
        size += len(segment)
    flush()
    return merged


def _each_file(files: Any) -> Iterator[tuple[Any, Any]]:
    for name, value in pairs_of(files, "files"):
        # A list may be one file's (filename, content), as in requests, or several files.
        several = (
            isinstance(value, list)
            and value
            and not isinstance(value[0], (str, bytes))
            and value[0] is not None
        )
        for one in value if several else (value,):
            yield name, one


def _file_of(field: str, value: Any) -> tuple[str | None, Any, Any, Any]:
    """Return filename, content, content type and headers of what was given as a file."""
    if not isinstance(value, (tuple, list)):
        return _guessed_name(value) or field, value, None, None
    if not 2 <= len(value) <= 4:
        raise ValueError(
            f"files[{field!r}] is a {type(value).__name__} of {len(value)}: expected"
            " (filename, content), with a content type and headers after it if wanted"
        )
    filename, content, content_type, headers = (*value, None, None)[:4]
    if filename is not None:
        filename = _text(filename)
    return filename, content, content_type, headers


def _guessed_name(file: Any) -> str | None:
    name = getattr(file, "name", None)
    if isinstance(file, os.PathLike):
        name = os.fspath(file)
    # A file made of a descriptor has a number for its name, standard input '<stdin>'.
    if not isinstance(name, (str, bytes)) or not name:
        return None
    name = os.path.basename(os.fsdecode(name))
    return None if name.startswith("<") and name.endswith(">") else name


def _content(field: str, content: Any, positions: Positions) -> bytes | _Source:
    if isinstance(content, (bytes, bytearray, memoryview)):
        return bytes(content)
    if isinstance(content, str):
        return _utf8(content, f"files[{field!r}]")
    if isinstance(content, (bool, int, float)):
        return str(content).encode("ascii")
    if isinstance(content, os.PathLike):
        file = FileAt(os.fspath(content), f"files[{field!r}]")
        # A size of 0 may stand for one that is not known, as in /proc.
        return _Source(field, file, file.len, None) if file.len else file.content()
    start: int | ReadOnce | None = None
    if hasattr(content, "read") or isinstance(content, Iterable):
        start = positions.of(content)
    refuse_unreadable(content, f"files[{field!r}]")
    if type(content) is io.BytesIO and content.getbuffer().nbytes <= _SMALL:
        # It is in memory already. Its position is left, so that it can be sent again.
        return content.getvalue()[start if isinstance(start, int) else content.tell() :]
    if hasattr(content, "read") or (
        isinstance(content, Iterable) and not isinstance(content, Mapping)
    ):
        return _Source(field, content, content_length(content, start), start)
    raise TypeError(
        f"files[{field!r}] is a {type(content).__name__}: expected an open file, a path, bytes,"
        " str, an iterable of bytes, or a tuple (filename, content)"
    )


def _read_now(source: _Source) -> bytes | _Source:
    """Return the content of a small file, or the source where it is to be read when it is sent.

    Files of other kinds may show how far the upload has come, and so are read only then.
    """
    file = source.body
    if isinstance(file, FileAt):
        read = file.content()
        return read if len(read) == source.length else source
    if not isinstance(file, io.IOBase) or not isinstance(source.start, int):
        return source
    with locked(file):
        file.seek(source.start)
        content: bytes | str = file.read()
        file.seek(source.start)
    data = _utf8(content, f"files[{source.name!r}]") if isinstance(content, str) else content
    return bytes(data) if len(data) == source.length else source


def _head(
    boundary: str, field: str, filename: str | None, content_type: Any, headers: Any
) -> bytes:
    """Return what comes before a part's content."""
    disposition = f'form-data; name="{_parameter(field)}"'
    if filename is not None:
        disposition += f'; filename="{_parameter(filename)}"'
    lines = [f"--{boundary}", f"Content-Disposition: {disposition}"]
    if content_type:
        lines.append(f"Content-Type: {_checked(field, 'Content-Type', content_type)}")
    for name, value in pairs_of(headers or {}, f"the headers of files[{field!r}]"):
        name = _text(name)
        # The disposition is ours, and a content type given by itself counts for more.
        known = name.lower()
        if known == "content-disposition" or (known == "content-type" and content_type):
            continue
        if value is not None:
            lines.append(f"{name}: {_checked(field, name, value)}")
    return _utf8("\r\n".join([*lines, "", ""]), "files")


def _parameter(text: str) -> str:
    if "\0" in text:
        raise InvalidHeader(f"the name {text!r} in a multipart body has a NUL: take it out")
    return text.translate(_ESCAPES)


def _checked(field: str, name: str, value: Any) -> str:
    """Return a header's value, if it is one: it comes from the user, and goes out as it is."""
    if not isinstance(value, (str, bytes)):
        raise InvalidHeader(
            f"files[{field!r}]: the value of the header {name!r} is a {type(value).__name__}:"
            " expected str"
        )
    text = _text(value)
    if not _TOKEN.fullmatch(name) or _LINE_BREAK_OR_NUL.search(text):
        raise InvalidHeader(
            f"files[{field!r}]: the header {name!r}: {text!r} cannot be sent: a name is letters,"
            " digits and hyphens, and a value has no line break and no NUL"
        )
    return text


def _text(name: Any) -> str:
    if isinstance(name, bytes):
        # What is not UTF-8 comes back as the same bytes in _utf8().
        return name.decode("utf-8", "surrogateescape")
    return str.__str__(str(name))


def _utf8(text: str, argument: str) -> bytes:
    try:
        # File names that are not UTF-8 are str with such escapes: the bytes are sent as they are.
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{argument} has text with a lone surrogate at position {error.start}, which UTF-8"
            " cannot express: give bytes"
        ) from error


class MultipartStream(Restartable):
    """A multipart body whose files are read while it is sent, in constant memory.

    Each iteration gives the whole body: files are read from where they stood at first. Reading
    blocks as the files do.
    """

    def __init__(self, segments: list[bytes | _Source], content_type: str) -> None:
        self.content_type = content_type
        self._segments = segments
        self._begun = False
        self._len: int | None = 0
        for segment in segments:
            size = len(segment) if isinstance(segment, bytes) else segment.length
            self._len = None if self._len is None or size is None else self._len + size

    @property
    def len(self) -> int | None:
        """Its length in bytes; None where that of a part is not known."""
        return self._len

    @property
    def restarts(self) -> bool:
        """Whether all its parts can be read once more."""
        return all(
            isinstance(one, bytes) or not isinstance(one.start, ReadOnce) for one in self._segments
        )

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over its pieces, from the start.

        Raises:
            UnrewindableBodyError: it was begun before, and a part can be read only once.
            RequestException: a part is shorter than it was when the request was made.
        """
        again, self._begun = self._begun, True
        for segment in self._segments:
            if isinstance(segment, bytes):
                yield segment
                continue
            if not isinstance(segment.start, ReadOnce):
                # The first time too: it may have been read, or be in two parts.
                rewind(segment.body, segment.start)
            elif again or segment.start.begun:
                raise UnrewindableBodyError(
                    f"the multipart body must be sent again, and the content of {segment.name!r}"
                    f" (a {type(segment.body).__name__}) can be read only once: give bytes, or a"
                    " file that can be sought"
                )
            yield from pieces(segment.body, segment.length, segment.start)

    def __repr__(self) -> str:
        size = "length not known" if self._len is None else f"{self._len} bytes"
        return f"<MultipartStream [{size}]>"
