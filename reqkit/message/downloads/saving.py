"""A body to disk: with constant memory, whole or not at all, and taken up where it broke off."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

from ...base.redact import redacted
from ...base.warn import warn
from ...exceptions import ChecksumError, ChunkedEncodingError, HTTPError, RequestException
from ..urls import without_secrets
from .answer import Answer, announced, check_is_file, headers_sent, is_encoded, method_of
from .archives import stays_compressed
from .naming import file_for
from .partial import Partial, part_of
from .ranges import Asked, asked_for
from .resuming import AskAgain, Rest, ask_again, begin_anew, goes_on, resumed, what_is_there

__all__ = ["download", "rest_of", "save", "take_whole"]


Progress = Callable[[int, "int | None"], Any]
Check = Callable[[Path], Any]


def download(
    response: Answer,
    path: Any,
    *,
    resume: bool = False,
    progress: Progress | None = None,
    decode: bool | None = None,
) -> Path:
    """Write a response's body to a file. Blocks until it is whole.

    It is written to ``NAME.part`` beside the file (``NAME.1.part`` where a file of that name is not
    this download's), and renamed when it is whole. What broke off stays there, and ``resume`` asks
    for the rest of it: with ``Range``, and with ``If-Range`` so that a file that has changed
    meanwhile comes anew.

    With a ``Range`` of the caller's own, just that part of the file is written, whether the server
    heeds the field or not; ``resume`` then starts anew.

    Args:
        response: whose body it is; with ``resume``, what is asked for again.
        path: the file, or a folder, which gets a file named as the last segment of the URL that
            was asked for (not of one that it redirects to).
        resume: go on where the part of an earlier try ends; the identity encoding is asked for.
        progress: called with the bytes written and the bytes in all (None: not known).
        decode: undo the Content-Encoding. None does so unless the file is compressed by its name
            or media type (``.tar.gz``, ``application/gzip``): that is saved as it came.

    Returns:
        the file's path.

    Raises:
        HTTPError: the status is 4xx or 5xx, or the answer is not the file (to HEAD, 204, 304, an
            unfollowed redirect, a part that nobody asked for); nothing is written.
        ChunkedEncodingError: the body broke off, or its size is not the one announced; the part
            stays. A retry with ``resume`` is safe.
        RequestException: the response's ``error``, where it stands for a failed request.
        TypeError: ``progress`` cannot be called, or ``decode`` is neither True, False nor None.
        OSError: the file cannot be written: there is no such folder, say, or what is there is no
            file (a folder, a FIFO, a device).
    """
    given: Any = progress
    if given is not None and not callable(given):
        kind = "True" if given is True else f"a {type(given).__name__}"
        raise TypeError(f"progress is {kind}: expected a function progress(done, total)")
    if decode is not None and decode is not True and decode is not False:
        raise TypeError(f"decode is {redacted(decode)}: expected True, False or None")
    if response.error is not None:  # not that it cannot be resumed is what went wrong
        raise response.error.with_traceback(None)
    target = file_for(response, os.fsdecode(path))
    asked = asked_for(headers_sent(response).get("range"))
    if asked is not None or method_of(response) != "GET":
        resume = False  # RFC 9110 section 14.2: Range is defined for GET alone
    check_is_file(response, asked)
    response, decodes = _decodes(response, target, decode)
    if resume and decodes:
        # A part of an encoded body could not be gone on with.
        response = ask_again(response)
        decodes = is_encoded(response)
    check_is_file(response, asked)
    cut = _cut(response, asked, decodes)
    partial = Partial(target, _name_of(response))
    try:
        response = resumed(response, partial, decodes) if resume else begin_anew(response, partial)
        if response.status_code != 416:  # which says that it is there
            _fill(response, partial, cut, decodes, progress)
        partial.finish(target)
    finally:
        partial.close()
    return target


def rest_of(target: Path, url: str) -> Rest | None:
    """Return what there is already of a file, as `download` with ``resume`` has left it.

    Args:
        target: the file that is to be.
        url: of the message that asks for it.
    """
    found = part_of(target, _name("GET", url, None))
    if found is None or found.version is None:
        return None
    return Rest(found.size, found.version)


def take_whole(target: Path, url: str, check: Check) -> bool:
    """Have a part that has all of its file take that one's place. Sends nothing.

    Args:
        target: the file.
        url: of the message that has asked for it.
        check: raises where it is not the file: the part stays as it is then.

    Returns:
        whether there was such a part.
    """
    what = _name("GET", url, None)
    found = part_of(target, what)
    if found is None or not found.whole:
        return False
    partial = Partial(target, what)
    try:
        if not partial.whole:  # another one has taken it meanwhile
            return False
        check(partial.path)
        partial.finish(target)
    finally:
        partial.close()
    return True


def save(
    response: Answer,
    target: Path,
    rest: Rest | None,
    resume: bool = True,
    check: Check | None = None,
) -> Path:
    """Write an answer's body as `download` does, sending nothing: whoever calls has to wait for it.

    Args:
        response: the answer.
        target: the file.
        rest: what the request has asked to go on with.
        resume: whether it may be gone on with at all.
        check: called with the part's path when it is whole, before it takes its file's place:
            raises a `ChecksumError` where it is not the file, and nothing of it is kept then.

    Raises:
        AskAgain: the request has to be sent again first.
        Exception: as `download` does.
    """
    if response.error is not None:
        raise response.error.with_traceback(None)
    target = file_for(response, os.fspath(target))
    if rest is not None and response.status_code in (206, 416):
        _save_rest(response, target, rest, check)
        return target
    asked = None if rest is not None else asked_for(headers_sent(response).get("range"))
    check_is_file(response, asked)
    response, decodes = _decodes(response, target, None)
    check_is_file(response, asked)
    cut = _cut(response, asked, decodes)
    partial = Partial(target, _name_of(response, rest is not None))
    try:
        resume = resume and rest is None and asked is None and method_of(response) == "GET"
        if resume and (found := what_is_there(response, partial, decodes)) is not None:
            raise AskAgain(found)
        _fill(begin_anew(response, partial), partial, cut, decodes, None)
        _finish(partial, target, check)
    finally:
        partial.close()
    return target


def _save_rest(response: Answer, target: Path, rest: Rest, check: Check | None) -> None:
    """Write what a part goes on with after it.

    Raises:
        AskAgain: the answer is no rest of the part that is there.
    """
    partial = Partial(target, _name_of(response, ranged=True))
    try:
        there = (partial.size, partial.version) == rest  # nobody has written it meanwhile
        if not there or is_encoded(response) or not goes_on(response, rest):
            raise AskAgain(None)
        if response.status_code != 416:  # which says that it is there
            _fill(response, partial, None, False, None)
        _finish(partial, target, check)
    finally:
        partial.close()


def _finish(partial: Partial, target: Path, check: Check | None) -> None:
    """Have a whole part take its file's place, if it is the file."""
    if check is not None:
        partial.end()
        try:
            check(partial.path)
        except ChecksumError:
            partial.begin(None)
            raise
    partial.finish(target)


def _cut(response: Answer, asked: Asked | None, decodes: bool) -> tuple[int, int | None] | None:
    """Return which bytes of an answer are wanted, the first and the last; None for all.

    Raises:
        HTTPError: a part was asked for, the whole came, and where the part is cannot be told.
    """
    if asked is None or response.status_code == 206:
        return None
    cut = asked.bounds(announced(response, 0, decodes))
    if cut is None:
        response.close()
        raise HTTPError(
            f"{without_secrets(response.url or '')}: the server sent the whole file, and whether"
            f" {asked.text} is in it, and where, cannot be told; nothing was written",
            request=response.request,
            response=response,
        )
    return cut


def _fill(
    response: Answer,
    partial: Partial,
    cut: tuple[int, int | None] | None,
    decodes: bool,
    progress: Progress | None,
) -> None:
    """Write what there is to be read after what the part has already."""
    pieces = response.iter_whole(decodes)
    total = announced(response, partial.size, decodes)
    if cut is not None:
        first, last = cut
        total = None if last is None else last - first + 1
        pieces = _between(pieces, first, last)
    partial.go_on()
    partial.file.seek(partial.size)
    partial.file.truncate()
    done = _write(pieces, partial.file, partial.size, total, progress)
    if (total is not None and done != total) or (cut is not None and not done):
        raise ChunkedEncodingError(
            f"{without_secrets(response.url or '')}: {done} of {total} bytes came;"
            " download it again, with resume=True unless it has a Range of its own",
            request=response.request,
            response=response,
        )


def _between(pieces: Iterator[bytes], first: int, last: int | None) -> Iterator[bytes]:
    """Yield what lies between two bytes of a body, both of them included."""
    at = 0
    for piece in pieces:
        start = max(first - at, 0)
        end = len(piece) if last is None else min(last + 1 - at, len(piece))
        at += len(piece)
        if start < end:
            yield piece[start:end]
        if last is not None and at > last:
            break
    closing: Any = pieces
    closing.close()


def _write(
    pieces: Iterator[bytes],
    file: IO[bytes],
    done: int,
    total: int | None,
    progress: Progress | None,
) -> int:
    if progress is not None:
        _tell(progress, done, total)
    # As they arrive: what came before it broke off is not lost.
    for piece in pieces:
        file.write(piece)
        done += len(piece)
        if progress is not None:
            _tell(progress, done, total)
    file.flush()
    return done


def _tell(progress: Progress, done: int, total: int | None) -> None:
    try:
        progress(done, total)
    except Exception as error:  # the user's function may raise anything
        # Telling is no part of the work: what it raises must not break the download.
        warn(
            f"progress raised {type(error).__name__}: {error}; the download goes on",
            RuntimeWarning,
        )


def _name_of(response: Answer, ranged: bool = False) -> str:
    """Return what tells a response's download from others.

    Args:
        response: the response.
        ranged: whether the Range that was sent is not the caller's, but that of a part.
    """
    first = response.history[0] if response.history else response
    asked = first.url if first.request is None else first.request.url
    given = None if ranged else headers_sent(first).get("range")
    return _name(method_of(first), asked, given)


def _name(method: str, url: str | None, given: str | None) -> str:
    """Return what tells a download from others: not the URL itself, which may hold secrets."""
    name = f"{method} {url} {given}"
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _decodes(response: Answer, target: Path, decode: bool | None) -> tuple[Answer, bool]:
    """Tell whether the Content-Encoding is to be undone.

    Returns:
        the answer to be read, which is another one where the first was decoded already.
    """
    if not is_encoded(response):
        return response, False
    if decode is None:
        decode = not stays_compressed(
            target.name,
            _last_segment(response),
            response.headers.get("content-type", ""),
            None if response.was_decoded else response.look_ahead(8),
        )
    if decode or not response.was_decoded:
        return response, decode
    if method_of(response) != "GET":
        raise RequestException(
            f"{without_secrets(response.url or '')}: the body was decoded when it was read, and"
            " is to be saved as it came: request it with prefetch=False, or give decode=True",
            request=response.request,
        )
    return ask_again(response), False


def _last_segment(response: Answer) -> str:
    return (response.url or "").partition("?")[0].partition("#")[0].rpartition("/")[2]
