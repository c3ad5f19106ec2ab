"""The files that are wanted: their names, what they must be, and what is in their place."""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict

import gevent

from reqkit import Request, Response, Session
from reqkit.base.file_descriptors import with_room
from reqkit.base.redact import redacted
from reqkit.exceptions import ChecksumError
from reqkit.message.downloads import Rest, rest_of, save, take_whole
from reqkit.message.urls import without_secrets
from reqkit.sessions import SingleUseSession

from ..network.hubs import in_turns
from ..pool.requests import as_request
from .naming import Names, is_safe

if TYPE_CHECKING:
    from typing_extensions import NotRequired, Required

__all__ = ["DownloadItem", "File", "digest_of", "files_of", "header_pairs", "lower"]

#: Bytes that are read at a time, and of a file that is read at once.
_CHUNK: Final = 1 << 20


class DownloadItem(TypedDict):
    """A file that is wanted, and what is known of it."""

    #: Where it is; or an unsent request, for what needs more than a URL.
    url: Required[str | Request]
    #: What it is to be called; else as its URL's last segment says.
    name: NotRequired[str | None]
    #: The SHA-256 that it must have, in hexadecimal digits.
    sha256: NotRequired[str | None]
    #: How many bytes it must have.
    size: NotRequired[int | None]


_KEYS: Final = ("url", "name", "sha256", "size")


class File:
    """One item: its request, its place, what it must be, and what has become of it."""

    __slots__ = (
        "ended", "entry", "last", "path", "request", "resumes", "sha256", "size", "tries",
    )  # fmt: skip

    def __init__(
        self, request: Request, path: Path, sha256: str | None = None, size: int | None = None
    ) -> None:
        self.request: Request = request
        self.path: Path = path
        self.sha256: str | None = sha256
        self.size: int | None = size
        #: Its path, or why there is none, or what the exception handler has said; and whether.
        self.entry: Any = None
        self.ended: bool = False
        #: Whether a part of it may be gone on with.
        self.resumes: bool = True
        self.tries: int = 0
        self.last: str | None = None

    def is_there(self, session: Session | None) -> bool:
        """Tell by its checksum whether what is in its place is the file. Reads it; others run.

        A call that was stopped while it checked a file has left it, whole, beside its place.

        Args:
            session: for a request that has none.
        """
        with contextlib.suppress(OSError):  # what cannot be read is replaced, or says why it cannot
            fits = self.size is None or self.path.stat().st_size == self.size
            if fits and digest_of(self.path) == self.sha256:
                return True
        url = self._resumed_url(session)
        with contextlib.suppress(OSError, ChecksumError):
            return url is not None and take_whole(self.path, url, self._check)
        return False

    @property
    def has_part(self) -> bool:
        """Whether there may be a part of it."""
        return os.path.lexists(self.path.with_name(self.path.name + ".part"))

    def rest(self, session: Session | None) -> Rest | None:
        """Return what there is of it, and is to be gone on with. Sends nothing."""
        url = self._resumed_url(session)
        try:
            return None if url is None else rest_of(self.path, url)
        except Exception:  # sending it will say what is wrong
            return None

    def _resumed_url(self, session: Session | None) -> str | None:
        """Return the URL of which a part is there; None where none may be gone on with."""
        if not self.resumes or not self.has_part:
            return None
        own = self.request.session
        sender: Any = own if own is not None else session
        if sender is None:
            sender = SingleUseSession()
        fields = (self.request._arguments.headers, sender._headers)
        if any("range" in {lower(name) for name, _ in header_pairs(one)} for one in fields):
            return None  # the caller's own: just that part is wanted
        try:
            settings = sender._settings(self.request._arguments.config)
            url: str | None = sender._target_of(self.request, settings.encode_uri).url
        except Exception:  # sending it will say what is wrong
            return None
        return url

    def save(self, response: Response, rest: Rest | None) -> Path:
        """Write an answer's body, check it, and have it take its place. Blocks, others run.

        Args:
            response: the answer.
            rest: what the request has asked to go on with.

        Raises:
            AskAgain: the request has to be sent again.
            RequestException, OSError: it cannot be had, or is another file.
        """
        if self.path.is_dir():  # which would have the file put into it
            raise IsADirectoryError(f"{self.path} is a folder: expected a place for a file")
        if self.size is not None:
            announced = response.headers.get("content-length", "")
            coded = response.headers.get("content-encoding", "identity")
            whole = response.status_code == 200 and coded == "identity" and announced.isdecimal()
            if whole and int(announced) != self.size:
                response.close()
                raise self._wrong(f"its size is {announced} bytes, not {self.size}", response)
        checked = self.sha256 is not None or self.size is not None
        check = functools.partial(self._check, response=response) if checked else None
        return save(response, self.path, rest, self.resumes, check)

    def _check(self, path: Path, response: Response | None = None) -> None:
        """See whether a file is the one that is wanted. Reads it; others run.

        Raises:
            ChecksumError: it is another one.
        """
        if self.size is not None and (size := path.stat().st_size) != self.size:
            raise self._wrong(f"its size is {size} bytes, not {self.size}", response)
        if self.sha256 is not None and (found := digest_of(path)) != self.sha256:
            raise self._wrong(f"its SHA-256 is {found}, not {self.sha256}", response)

    def _wrong(self, why: str, response: Response | None) -> ChecksumError:
        url = without_secrets((response and response.url) or str(self.request.url))
        return ChecksumError(
            f"{url}: this is not the file that was expected: {why}; nothing was kept",
            request=self.request if response is None else response.request,
            response=response,
        )


def digest_of(path: Path) -> str:
    """Return a file's SHA-256. A large one is read in a native thread, while others run."""

    def read() -> str:
        digest = hashlib.sha256()
        with with_room(lambda: open(path, "rb")) as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
        return digest.hexdigest()

    if path.stat().st_size <= _CHUNK:
        return read()
    found: str = gevent.get_hub().threadpool.apply(read)
    return found


def files_of(items: list[Any], folder: Path, sha256: Any) -> list[File]:
    """Check all that is wanted, and give each its place. Others run, where it is very much.

    Raises:
        TypeError, ValueError: something is wrong with an item; the text says which.
    """
    if sha256 is not None and not isinstance(sha256, Mapping):
        if isinstance(sha256, (str, bytes)) or not isinstance(sha256, Sequence):
            raise TypeError(
                f"sha256 is a {type(sha256).__name__}: expected a mapping from URLs, or a list with"
                " one for each item"
            )
        if len(sha256) != len(items):
            raise ValueError(f"sha256 has {len(sha256)} checksums for {len(items)} items")
    wanted: list[tuple[Request, Any, Any, Any]] = []
    names = Names()
    for index, item in enumerate(in_turns(items)):
        where = f"items[{index}]"
        given: Mapping[str, Any] = item if isinstance(item, Mapping) else {"url": item}
        for key in given:
            if key not in _KEYS:
                near = difflib.get_close_matches(str(key), _KEYS, 1)
                raise TypeError(
                    f"{where} has a key {str(key)[:80]!r}: expected {', '.join(_KEYS)}"
                    + (f" (did you mean {near[0]!r}?)" if near else "")
                )
        if "url" not in given:
            raise TypeError(f"{where} has no 'url'")
        try:
            request = as_request(given["url"])
        except TypeError as error:
            raise TypeError(f"{where}: {error}; nothing was sent") from None
        if str(request.method).upper() != "GET":
            raise ValueError(f"{where} is a {request.method}: expected a GET")
        name, checksum = given.get("name"), given.get("sha256")
        if name is not None:
            _check_name(where, name)
            if not names.reserve(name):
                raise ValueError(f"{where}: another item has the name {name!r}, too")
        if checksum is None and sha256 is not None:
            by_url = isinstance(sha256, Mapping)
            checksum = sha256.get(str(request.url)) if by_url else sha256[index]
        wanted.append((request, name, _checksum(where, checksum), _size(where, given.get("size"))))
    return [
        File(request, folder / (name or _free_name(names, request, folder)), checksum, size)
        for request, name, checksum, size in in_turns(wanted)
    ]


def _free_name(names: Names, request: Request, folder: Path) -> str:
    name = names.name_for(str(request.url))
    while (folder / name).is_dir():
        name = names.name_for(str(request.url))
    return name


def _check_name(where: str, name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{where}: the name is a {type(name).__name__}: expected a str")
    if not is_safe(name):
        raise ValueError(
            f"{where}: the name is {name[:80]!r}: expected one that a file in the folder can have"
            " anywhere: without slashes, '..', control characters and the like, not ending in"
            " .part or .version"
        )


def _checksum(where: str, given: Any) -> str | None:
    if given is None or given == "":  # as a table has it where it is not known
        return None
    text = given.strip().lower() if isinstance(given, str) else ""
    if len(text) != 64 or not set(text) <= set("0123456789abcdef"):
        raise ValueError(
            f"{where}: sha256 is {redacted(given)}: expected the 64 hexadecimal digits of a SHA-256"
        )
    return text


def _size(where: str, given: Any) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise ValueError(f"{where}: size is {redacted(given)}: expected a number of bytes")
    return given


def header_pairs(headers: Any) -> list[Any]:
    """Return given headers as pairs."""
    return list(headers.items()) if isinstance(headers, Mapping) else list(headers or ())


def lower(name: Any) -> str:
    """Return a field's name in lower case, given as str or bytes."""
    return (name.decode("latin-1") if isinstance(name, bytes) else str(name)).lower()
