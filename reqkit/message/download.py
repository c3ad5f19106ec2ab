"""A body to disk: with constant memory, whole or not at all, and taken up where it broke off."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final, Protocol

from ..base.warn import warn
from ..exceptions import ChunkedEncodingError, RequestException
from .urls import without_password

__all__ = ["download"]

#: RFC 9110 section 14.4.
_CONTENT_RANGE: Final = re.compile(r"bytes (?:([0-9]{1,19})-([0-9]{1,19})|\*)/([0-9]{1,19}|\*)")


class Answer(Protocol):
    """What a download needs of a response."""

    url: str | None
    status_code: int | None
    error: Exception | None
    request: Any
    connection: Any

    @property
    def headers(self) -> Mapping[str, str]:
        """The head's fields, without regard to case."""

    @property
    def history(self) -> list[Any]:
        """The redirects on the way, oldest first."""

    @history.setter
    def history(self, value: list[Any]) -> None: ...

    @property
    def is_redirect(self) -> bool:
        """Whether it can be followed."""

    def iter_content(self, chunk_size: int | None) -> Iterator[bytes]:
        """Yield the body."""

    def raise_for_status(self) -> None:
        """Raise where the status is an error."""

    def close(self) -> None:
        """Let go of the connection."""


Progress = Callable[[int, "int | None"], Any]


def download(
    response: Answer,
    path: Any,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write a response's body to a file. Blocks until it is whole.

    It is written to ``NAME.part`` beside the file, and renamed when it is whole. What broke off
    stays there, and ``resume`` asks for the rest of it: with ``Range``, and with ``If-Range`` so
    that a file that has changed meanwhile comes anew.

    Args:
        response: whose body it is; with ``resume``, what is asked for again.
        path: the file, or a folder, which gets a file named as the last segment of the URL that
            was asked for (not of one that it redirects to).
        resume: go on where a ``NAME.part`` ends; the identity encoding is asked for.
        progress: called with the bytes written and the bytes in all (None: not known).

    Returns:
        the file's path.

    Raises:
        HTTPError: the status is 4xx or 5xx; nothing is written.
        ChunkedEncodingError: the body broke off, or its size is not the one announced; the part
            stays. A retry with ``resume`` is safe.
        RequestException: the response's ``error``, where it stands for a failed request.
        TypeError: ``progress`` cannot be called.
        OSError: the file cannot be written.
    """
    given: Any = progress
    if given is not None and not callable(given):
        kind = "True" if given is True else f"a {type(given).__name__}"
        raise TypeError(f"progress is {kind}: expected a function progress(done, total)")
    if response.error is not None:  # not that it cannot be resumed is what went wrong
        raise response.error
    target = _file_for(response, Path(os.fspath(path)))
    part = target.with_name(target.name + ".part")
    note = _Note(part)
    offset = 0
    if resume:
        response, offset = _resumed(response, part, note)
        if offset < 0:  # it was whole already
            response.close()
            return _finish(part, target, note, response)
    response.raise_for_status()
    total = _announced(response, offset)
    note.write(_validator(response))
    with _opened(part, new=not offset) as file:
        file.seek(offset)
        file.truncate()
        done = _write(response, file, offset, total, progress)
    if total is not None and done != total:
        raise ChunkedEncodingError(
            f"{without_password(response.url or '')}: {done} of {total} bytes came;"
            " download again with resume=True",
            request=response.request,
            response=response,
        )
    return _finish(part, target, note, response)


def _file_for(response: Answer, path: Path) -> Path:
    if not path.is_dir():
        if not path.parent.is_dir():
            raise FileNotFoundError(
                errno.ENOENT, "there is no such folder to download into", str(path.parent)
            )
        return path
    # The name that was asked for: where it redirects to is the server's choice.
    asked = response.history[0] if response.history else response
    path_part = (asked.url or "").partition("://")[2].split("?")[0].split("#")[0]
    name = path_part.partition("/")[2].rstrip("/").rpartition("/")[2]
    # A name must stay in the folder, whatever the URL says.
    name = re.sub(r"[\x00-\x1f\\/:]", "_", name)
    if name in ("", ".", ".."):
        name = "download"
    return path / name


def _opened(path: Path, new: bool) -> IO[bytes]:
    """Open a file of ours for writing; never one elsewhere that a link of its name leads to.

    In a folder that others can write to, anybody may have put a link there.
    """
    flags = os.O_WRONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    if new:
        flags |= os.O_CREAT | os.O_TRUNC
        if path.is_symlink():
            path.unlink()
    return open(os.open(path, flags, 0o666), "wb")


def _write(
    response: Answer, file: IO[bytes], done: int, total: int | None, progress: Progress | None
) -> int:
    if progress is not None:
        _tell(progress, done, total)
    # As they arrive: what came before it broke off is not lost.
    for piece in response.iter_content(None):
        file.write(piece)
        done += len(piece)
        if progress is not None:
            _tell(progress, done, total)
    file.flush()
    return done


def _tell(progress: Progress, done: int, total: int | None) -> None:
    try:
        progress(done, total)
    except Exception as error:
        # Telling is no part of the work: what it raises must not break the download.
        warn(
            f"progress raised {type(error).__name__}: {error}; the download goes on",
            RuntimeWarning,
        )


def _finish(part: Path, target: Path, note: _Note, response: Answer) -> Path:
    os.replace(part, target)
    note.remove()
    return target


def _announced(response: Answer, offset: int) -> int | None:
    """Return the size of the whole file, where the answer tells it."""
    ranged = _range_of(response)
    if ranged is not None and ranged[2] is not None:
        return ranged[2]
    length = response.headers.get("content-length")
    if length is None or _is_encoded(response) or response.request.method == "HEAD":
        return None  # the length is the encoded body's
    return offset + int(length)


def _is_encoded(response: Answer) -> bool:
    coding: str = response.headers.get("content-encoding", "identity")
    return coding.strip().lower() != "identity"


def _range_of(response: Answer) -> tuple[int | None, int | None, int | None] | None:
    match = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", "").strip())
    if match is None:
        return None
    first, last, size = match.groups()
    return (
        None if first is None else int(first),
        None if last is None else int(last),
        None if size == "*" else int(size),
    )


def _validator(response: Answer) -> str | None:
    """Return what tells this version of the file from others (RFC 9110 section 13.1.5)."""
    tag = response.headers.get("etag")
    if tag is not None and not tag.startswith("W/"):  # a weak one does not vouch for bytes
        return str(tag)
    modified: str | None = response.headers.get("last-modified")
    return modified if tag is None else None


class _Note:
    """Which version a part is of, beside it: ``NAME.part.version``."""

    __slots__ = ("_path",)

    def __init__(self, part: Path) -> None:
        self._path = part.with_name(part.name + ".version")

    def read(self) -> str | None:
        if self._path.is_symlink():
            return None
        try:
            text = self._path.read_text(encoding="latin-1")
        except OSError:
            return None
        return text or None

    def write(self, validator: str | None) -> None:
        if validator is None:
            self.remove()
        else:
            with _opened(self._path, new=True) as file:
                file.write(validator.encode("latin-1"))

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()


def _resumed(response: Answer, part: Path, note: _Note) -> tuple[Answer, int]:
    """Ask for the rest of a part.

    Returns:
        the response to read, and the bytes that are there already; -1 for all of them.
    """
    size = part.stat().st_size if part.exists() and not part.is_symlink() else 0
    version = note.read()
    if not size or version is None:
        if _is_encoded(response):
            # A part of an encoded body could not be gone on with.
            return _ask(response, None, None), 0
        return response, 0
    again = _ask(response, size, version)
    if again.status_code == 206:
        ranged = _range_of(again)
        # A server may not heed If-Range, and send a part of another version.
        changed = _validator(again) not in (None, version)
        if ranged is None or ranged[0] != size or changed or _is_encoded(again):
            again.close()
            return _ask(response, None, None), 0
        return again, size
    if again.status_code == 416:
        ranged = _range_of(again)
        again.close()
        if ranged is not None and ranged[2] == size and _validator(response) == version:
            return again, -1
        return _ask(response, None, None), 0
    return again, 0


def _ask(response: Answer, offset: int | None, version: str | None) -> Answer:
    """Send the request again, for the rest of the body, in the identity encoding."""
    response.close()
    if response.connection is None:
        raise RequestException(
            "this response cannot be resumed: it was not sent by a session", response=response
        )
    message = response.request.copy()
    message.rewind()
    message.headers["Accept-Encoding"] = "identity"
    message.headers.pop("Range", None)
    message.headers.pop("If-Range", None)
    if offset is not None and version is not None:
        # RFC 9110 section 14.2, and section 13.1.5 for If-Range.
        message.headers["Range"] = f"bytes={offset}-"
        message.headers["If-Range"] = version
    again: Answer = response.connection.send(message)
    if again.is_redirect:
        again.close()
        raise RequestException(
            f"{without_password(again.url or '')} redirects ({again.status_code}) now, so that the"
            " rest cannot be had from there: request the file again",
            response=again,
        )
    again.history = list(response.history)
    return again
