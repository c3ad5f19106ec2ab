"""A body to disk: with constant memory, whole or not at all, and taken up where it broke off."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, Protocol

from ..base.redact import redacted
from ..base.warn import warn
from ..exceptions import ChunkedEncodingError, HTTPError, RequestException
from .archives import stays_compressed
from .download_path import file_for
from .partial import Partial, part_of
from .ranges import Asked, asked_for, content_range
from .urls import without_secrets

__all__ = ["AskAgain", "Rest", "download", "rest_of", "save"]


class Answer(Protocol):
    """What a download needs of a response."""

    url: str | None
    status_code: int | None
    reason: str | None
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

    @property
    def was_decoded(self) -> bool:
        """Whether the body was read and decoded already."""

    def look_ahead(self, size: int) -> bytes:
        """Return how the body begins, still encoded, without reading it."""

    def iter_encoded(self) -> Iterator[bytes]:
        """Yield the body as it came."""

    def iter_content(self, chunk_size: int | None) -> Iterator[bytes]:
        """Yield the body."""

    def raise_for_status(self) -> None:
        """Raise where the status is an error."""

    def close(self) -> None:
        """Let go of the connection."""


class Rest(NamedTuple):
    """What a request goes on with: how many bytes there are, and of which version of the file."""

    size: int
    version: str

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The fields that ask for what is left (RFC 9110 sections 14.2 and 13.1.5)."""
        return [("Range", f"bytes={self.size}-"), ("If-Range", self.version)]


class AskAgain(Exception):
    """An answer is not what its file needs: the request is to be sent once more.

    Attributes:
        rest: what it is to ask for; None for the whole file, and whatever comes is to be taken.
    """

    def __init__(self, rest: Rest | None) -> None:
        super().__init__(rest)
        self.rest: Rest | None = rest


Progress = Callable[[int, "int | None"], Any]

#: Answers without the file in them: no content, and all that point or refer elsewhere.
_WITHOUT_FILE: Final = frozenset((204, 205, 207, 208))


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
        raise response.error
    target = file_for(response, os.fsdecode(path))
    asked = asked_for(_headers_sent(response).get("range"))
    if asked is not None or _method(response) != "GET":
        resume = False  # RFC 9110 section 14.2: Range is defined for GET alone
    _check_is_file(response, asked)
    response, decodes = _decodes(response, target, decode)
    if resume and decodes:
        # A part of an encoded body could not be gone on with.
        response = _ask(response)
        decodes = _is_encoded(response)
    _check_is_file(response, asked)
    cut = _cut(response, asked, decodes)
    partial = Partial(target, _name_of(response))
    try:
        response = _resumed(response, partial, decodes) if resume else _anew(response, partial)
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
    return None if found is None else Rest(*found)


def save(response: Answer, target: Path, rest: Rest | None, resume: bool = True) -> Path:
    """Write an answer's body as `download` does, sending nothing: whoever calls has to wait for it.

    Args:
        response: the answer.
        target: the file.
        rest: what the request has asked to go on with.
        resume: whether it may be gone on with at all.

    Raises:
        AskAgain: the request has to be sent again first.
        Exception: as `download` does.
    """
    if response.error is not None:
        raise response.error
    target = file_for(response, os.fspath(target))
    if rest is not None and response.status_code in (206, 416):
        _save_rest(response, target, rest)
        return target
    asked = None if rest is not None else asked_for(_headers_sent(response).get("range"))
    _check_is_file(response, asked)
    response, decodes = _decodes(response, target, None)
    _check_is_file(response, asked)
    cut = _cut(response, asked, decodes)
    partial = Partial(target, _name_of(response, rest is not None))
    try:
        resume = resume and rest is None and asked is None and _method(response) == "GET"
        if resume and (found := _there(response, partial, decodes)) is not None:
            raise AskAgain(found)
        _fill(_anew(response, partial), partial, cut, decodes, None)
        partial.finish(target)
    finally:
        partial.close()
    return target


def _save_rest(response: Answer, target: Path, rest: Rest) -> None:
    """Write what a part goes on with after it.

    Raises:
        AskAgain: the answer is no rest of the part that is there.
    """
    partial = Partial(target, _name_of(response, ranged=True))
    try:
        there = (partial.size, partial.version) == rest  # nobody has written it meanwhile
        if not there or _is_encoded(response) or not _goes_on(response, rest):
            raise AskAgain(None)
        if response.status_code != 416:  # which says that it is there
            _fill(response, partial, None, False, None)
        partial.finish(target)
    finally:
        partial.close()


def _check_is_file(response: Answer, asked: Asked | None) -> None:
    """Raise for an answer that is not what was asked for.

    Raises:
        HTTPError: likewise.
    """
    response.raise_for_status()
    status = response.status_code or 0
    why = ""
    if _method(response) == "HEAD":
        why = "the answer to a HEAD has no body"
    elif status in _WITHOUT_FILE or 300 <= status < 400 or status >= 600:
        # RFC 9110 section 15: what is no status is to be taken for a 5xx.
        why = "that is not the file"
    elif status == 206:
        found = content_range(response.headers.get("content-range"))
        if found is None or found.first is None:
            why = "it does not say which part of the file it has"
        elif asked is None and not found.is_whole:
            why = "it has a part of the file, and nobody asked for a part"
        elif asked is not None and not asked.fits(found):
            why = f"it has another part of the file than was asked for ({asked.text})"
    if why:
        response.close()
        raise HTTPError(
            f"{without_secrets(response.url or '')}: {status} {response.reason or ''}".rstrip()
            + f": {why}; nothing was written",
            request=response.request,
            response=response,
        )


def _cut(response: Answer, asked: Asked | None, decodes: bool) -> tuple[int, int | None] | None:
    """Return which bytes of an answer are wanted, the first and the last; None for all.

    Raises:
        HTTPError: a part was asked for, the whole came, and where the part is cannot be told.
    """
    if asked is None or response.status_code == 206:
        return None
    cut = asked.bounds(_announced(response, 0, decodes))
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
    pieces = response.iter_content(None) if decodes else response.iter_encoded()
    total = _announced(response, partial.size, decodes)
    if cut is not None:
        first, last = cut
        total = None if last is None else last - first + 1
        pieces = _between(pieces, first, last)
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
    except Exception as error:
        # Telling is no part of the work: what it raises must not break the download.
        warn(
            f"progress raised {type(error).__name__}: {error}; the download goes on",
            RuntimeWarning,
        )


def _method(response: Answer) -> str:
    request = response.request
    return "GET" if request is None else request.method or "GET"


def _headers_sent(response: Answer) -> Mapping[str, str]:
    request = response.request
    return {} if request is None else request.headers


def _name_of(response: Answer, ranged: bool = False) -> str:
    """Return what tells a response's download from others.

    Args:
        response: the response.
        ranged: whether the Range that was sent is not the caller's, but that of a part.
    """
    first = response.history[0] if response.history else response
    asked = first.url if first.request is None else first.request.url
    given = None if ranged else _headers_sent(first).get("range")
    return _name(_method(first), asked, given)


def _name(method: str, url: str | None, given: str | None) -> str:
    """Return what tells a download from others: not the URL itself, which may hold secrets."""
    name = f"{method} {url} {given}"
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _decodes(response: Answer, target: Path, decode: bool | None) -> tuple[Answer, bool]:
    """Tell whether the Content-Encoding is to be undone.

    Returns:
        the answer to be read, which is another one where the first was decoded already.
    """
    if not _is_encoded(response):
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
    if _method(response) != "GET":
        raise RequestException(
            f"{without_secrets(response.url or '')}: the body was decoded when it was read, and"
            " is to be saved as it came: request it with prefetch=False, or give decode=True",
            request=response.request,
        )
    return _ask(response), False


def _last_segment(response: Answer) -> str:
    return (response.url or "").partition("?")[0].partition("#")[0].rpartition("/")[2]


def _announced(response: Answer, offset: int, decodes: bool) -> int | None:
    """Return the size that the file is to have, where the answer tells it."""
    found = content_range(response.headers.get("content-range"))
    if response.status_code == 206 and found is not None and found.first is not None:
        if offset:
            return found.size
        assert found.last is not None
        return None if decodes else found.last - found.first + 1
    length = response.headers.get("content-length", "").partition(",")[0].strip()
    if decodes or not (length.isascii() and length.isdigit()):
        return None  # the length is the encoded body's
    return offset + int(length)


def _is_encoded(response: Answer) -> bool:
    coding: str = response.headers.get("content-encoding", "identity")
    return coding.strip().lower() not in ("identity", "")


def _validator(response: Answer) -> str | None:
    """Return what tells this version of the file from others (RFC 9110 section 13.1.5)."""
    tag = response.headers.get("etag")
    if tag is not None and not tag.startswith("W/"):  # a weak one does not vouch for bytes
        return str(tag)
    modified: str | None = response.headers.get("last-modified")
    return modified if tag is None else None


def _anew(response: Answer, partial: Partial) -> Answer:
    """Have the part hold what an answer has, from its first byte."""
    partial.begin(_validator(response))
    return response


def _there(response: Answer, partial: Partial, decodes: bool) -> Rest | None:
    """Return what a part has of the very file that an answer is of; None where it has nothing."""
    size, version = partial.size, partial.version
    if not size or version is None or decodes or _validator(response) != version:
        return None
    return Rest(size, version)


def _goes_on(again: Answer, rest: Rest) -> bool:
    """Tell whether a 206 or a 416 is the answer to who has asked for the rest."""
    # A server may not heed If-Range, and send a part of another version.
    if _validator(again) not in (None, rest.version):
        return False
    found = content_range(again.headers.get("content-range"))
    if found is None or found.size is None:  # else nobody could tell whether this is all
        return False
    if again.status_code == 416:
        if found.size != rest.size:
            return False
        again.close()
        return True
    return found.first == rest.size


def _resumed(response: Answer, partial: Partial, decodes: bool) -> Answer:
    """Ask for the rest of a part.

    Returns:
        the response to read; a 416 where all is there.
    """
    rest = _there(response, partial, decodes)
    if rest is None:
        return _anew(response, partial)
    again = _ask(response, rest)
    if again.status_code not in (206, 416):
        _check_is_file(again, None)
        return _anew(again, partial)
    coding = response.headers.get("content-encoding")
    same = again.status_code == 416 or again.headers.get("content-encoding") == coding
    if same and _goes_on(again, rest):
        return again
    again.close()
    whole = _ask(response)
    _check_is_file(whole, None)
    return _anew(whole, partial)


def _ask(response: Answer, rest: Rest | None = None) -> Answer:
    """Send the request again, for the rest of the body, in the identity encoding."""
    response.close()
    if response.connection is None:
        raise RequestException(
            f"{without_secrets(response.url or '')}: this must be asked for again, and was not"
            " sent by a session (or was copied from another process): request it again",
            request=response.request,
        )
    message = response.request.copy()
    message.rewind()
    message.headers["Accept-Encoding"] = "identity"
    if rest is not None:
        message.headers.pop("Range", None)
        message.headers.update(rest.headers)
    again: Answer = response.connection.send(message)
    if again.is_redirect:
        again.close()
        raise RequestException(
            f"{without_secrets(again.url or '')} redirects ({again.status_code}) now, so that the"
            " rest cannot be had from there: request the file again",
            response=again,
        )
    again.history = list(response.history)
    return again
