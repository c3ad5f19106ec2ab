"""Many files to disk: on a pool, checked, gone on with where they broke off, one entry for each."""

from __future__ import annotations

import difflib
import hashlib
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, overload

import gevent

from reqkit import Request, Response, Session
from reqkit.base.redact import redacted
from reqkit.base.warn import warn
from reqkit.exceptions import (
    ChecksumError,
    ChunkedEncodingError,
    ConnectionError,
    RequestException,
    SSLError,
    Timeout,
    TotalTimeout,
)
from reqkit.hooks import dispatch_hook
from reqkit.message.download import AskAgain, Rest, rest_of, save
from reqkit.message.keywords import unknown
from reqkit.message.urls import without_secrets
from reqkit.sessions import SingleUseSession
from reqkit.timeouts import clock
from reqkit.transport.retrying import add_tries, ending_of

from ._types import Handler
from .naming import Names, is_safe
from .pool.cancellation import GRACE, TimeLimit
from .pool.options import seconds
from .pool.pool import Pool
from .pool.requests import as_request
from .progress import open_progress

if TYPE_CHECKING:
    from typing_extensions import Never, NotRequired, Required
    from urllib3.util import Retry

    from ._types import Progress

__all__ = ["DownloadItem", "download"]

_CHUNK: Final = 1 << 20
#: Seconds before a file is gone on with, doubling, and at most.
_FIRST: Final = 0.5
_LONGEST: Final = 60.0


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
_KEYWORDS: Final = (
    "sha256", "size", "per_host", "rate", "delay", "retries", "timeout", "raise_errors", "progress",
    "session", "exception_handler",
)  # fmt: skip

T = TypeVar("T")


@overload
def download(
    items: Iterable[str | Request | DownloadItem],
    folder: str | os.PathLike[str],
    *,
    sha256: Mapping[str, str] | Sequence[str | None] | None = None,
    size: int | None = 10,
    per_host: int | None = None,
    rate: float | str | None = None,
    delay: float | None = None,
    retries: int | Retry | None = None,
    timeout: float | None = None,
    raise_errors: bool = False,
    progress: Progress = None,
    session: Session | None = None,
    exception_handler: None = None,
) -> list[Path | Exception]: ...


@overload
def download(
    items: Iterable[str | Request | DownloadItem],
    folder: str | os.PathLike[str],
    *,
    sha256: Mapping[str, str] | Sequence[str | None] | None = None,
    size: int | None = 10,
    per_host: int | None = None,
    rate: float | str | None = None,
    delay: float | None = None,
    retries: int | Retry | None = None,
    timeout: float | None = None,
    raise_errors: bool = False,
    progress: Progress = None,
    session: Session | None = None,
    exception_handler: Handler[T],
) -> list[Path | T]: ...


def download(
    items: Iterable[str | Request | DownloadItem],
    folder: str | os.PathLike[str],
    *,
    sha256: Mapping[str, str] | Sequence[str | None] | None = None,
    size: int | None = 10,
    per_host: int | None = None,
    rate: float | str | None = None,
    delay: float | None = None,
    retries: int | Retry | None = None,
    timeout: float | None = None,
    raise_errors: bool = False,
    progress: Progress = None,
    session: Session | None = None,
    exception_handler: Handler[Any] | None = None,
    **others: Never,
) -> list[Any]:
    """Download many files to a folder; return one path or error for each, in their order.

    Blocks until all have ended, while other greenlets run. Each file is written beside its place
    and takes it when it is whole, and is what its checksum and size say. What broke off stays there
    as ``NAME.part``: it is gone on with by the tries that are left, or by the next call. A file
    that is there already and has the checksum is not asked for.

    Args:
        items: URLs, unsent GET requests, or dictionaries with ``url`` and, where they are known,
            ``name``, ``sha256`` and ``size``. Files are named as their URLs end, made safe; names
            that are equal get numbers, the same ones each time for the same items.
        folder: where they go; made where there is none.
        sha256: checksums of the files, a mapping from URLs or one for each item (or None); an
            item's own counts first.
        size: downloads at a time, at most; None for as many as there are descriptors for.
        per_host: as for `map`.
        rate: as for `map`.
        delay: as for `map`.
        retries: how often each file is tried again; as for `map`, and also where its body broke
            off, in which case only the rest is asked for.
        timeout: seconds for all of it: what has not ended by then is a `TotalTimeout`.
        raise_errors: raise the first failure, and stop the rest.
        progress: as for `map`, and told of each file that has ended.
        session: for items that have none.
        exception_handler: called with the request and the exception where there is no file; what it
            returns, None too, is the entry. One of the request's own goes first.
        **others: none: what is no argument is a TypeError that names the nearest one.

    Returns:
        for each item its file's `Path`, or the exception that says why there is none: an
        `HTTPError` for a status of 400 and more, a `ChecksumError`, an ``OSError`` of the disk.

    Raises:
        TypeError: an item is none, or an argument; nothing was sent.
        ValueError: a name could lie elsewhere, is wanted twice, or a checksum is none; likewise.
        OSError: the folder cannot be made.
        RequestException: the first failure, with ``raise_errors``.
    """
    if others:
        raise _unknown(others)
    if exception_handler is not None and not callable(exception_handler):
        raise ValueError(f"exception_handler is {redacted(exception_handler)}: expected a function")
    if isinstance(items, (str, bytes, Request, Mapping)):
        raise TypeError(f"items is one {type(items).__name__}: expected several, as in [item]")
    files = _files_of(list(items), Path(os.fspath(folder)), sha256)
    pool = Pool(
        size, per_host=per_host, rate=rate, delay=delay, retries=retries, session=session,
        prefetch=False,
    )  # fmt: skip
    tries = 1 + (retries if isinstance(retries, int) else _total(retries))
    ends = seconds(timeout)
    if not files:
        return []
    Path(os.fspath(folder)).mkdir(parents=True, exist_ok=True)
    batch = _Downloads(files, pool, tries, raise_errors, open_progress(progress, len(files)))
    batch.handler = exception_handler
    return batch.run(None if ends is None else clock() + ends)


def _unknown(names: Iterable[str]) -> TypeError:
    for name in names:
        if name in ("executor", "workers"):
            return TypeError(
                f"download() takes no {name}: the files, and what is noted of their parts, belong"
                " to one process; divide the items among the workers, and call it there"
            )
    return unknown("download", names, _KEYWORDS)


def _total(retries: Any) -> int:
    """Return how often what a `urllib3.util.Retry` is for may be read anew."""
    if retries is None:
        return 0
    limits = [one for one in (retries.total, retries.read) if one is not None and one is not False]
    return min((int(one) for one in limits), default=0)


# -- what is wanted --------------------------------------------------------------------------


class _File:
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

    @property
    def checked(self) -> bool:
        """Whether there is something to be checked before it takes its place."""
        return self.sha256 is not None or self.size is not None

    def is_there(self) -> bool:
        """Tell by its checksum whether what is in its place is the file. Reads it; others run."""
        try:
            if self.size is not None and self.path.stat().st_size != self.size:
                return False
            return digest_of(self.path) == self.sha256
        except OSError:
            return False  # what cannot be read is replaced, or says why it cannot

    @property
    def beside(self) -> Path:
        """Where it is written to: it is checked before it takes its place."""
        return self.path.with_name(self.path.name + ".unchecked") if self.checked else self.path

    def rest(self, session: Session | None) -> Rest | None:
        """Return what there is of it, and is to be gone on with. Sends nothing."""
        beside = self.beside
        if not self.resumes or not os.path.lexists(beside.with_name(beside.name + ".part")):
            return None
        own = self.request.session
        sender: Any = own if own is not None else session
        if sender is None:
            sender = SingleUseSession()
        fields = (self.request._arguments.headers, sender._headers)
        if any("range" in {_lower(name) for name, _ in _pairs(one)} for one in fields):
            return None  # the caller's own: just that part is wanted
        try:
            settings = sender._settings(self.request._arguments.config)
            return rest_of(beside, sender._target_of(self.request, settings.encode_uri).url)
        except Exception:  # sending it will say what is wrong
            return None

    def save(self, response: Response, rest: Rest | None) -> Path:
        """Write an answer's body, check it, and have it take its place. Blocks, others run.

        Args:
            response: the answer.
            rest: what the request has asked to go on with.

        Raises:
            AskAgain: the request has to be sent again.
            RequestException, OSError: it cannot be had, or is another file.
        """
        if not self.checked:
            if self.path.is_dir():  # which would have the file put into it
                raise IsADirectoryError(f"{self.path} is a folder: expected a place for a file")
            return save(response, self.path, rest, self.resumes)
        beside = self.beside
        if self.size is not None:
            announced = response.headers.get("content-length", "")
            coded = response.headers.get("content-encoding", "identity")
            whole = response.status_code == 200 and coded == "identity" and announced.isdecimal()
            if whole and int(announced) != self.size:
                response.close()
                raise self._wrong(f"its size is {announced} bytes, not {self.size}", response)
        save(response, beside, rest, self.resumes)
        wrong = ""
        if self.size is not None and beside.stat().st_size != self.size:
            wrong = f"its size is {beside.stat().st_size} bytes, not {self.size}"
        elif self.sha256 is not None and (found := digest_of(beside)) != self.sha256:
            wrong = f"its SHA-256 is {found}, not {self.sha256}"
        if wrong:
            beside.unlink()
            raise self._wrong(wrong, response)
        os.replace(beside, self.path)
        return self.path

    def _wrong(self, why: str, response: Response) -> ChecksumError:
        url = without_secrets(response.url or str(self.request.url))
        return ChecksumError(
            f"{url}: this is not the file that was expected: {why}; nothing was kept",
            request=response.request,
            response=response,
        )


def digest_of(path: Path) -> str:
    """Return a file's SHA-256. A large one is read in a native thread, while others run."""

    def read() -> str:
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while piece := file.read(_CHUNK):
                digest.update(piece)
        return digest.hexdigest()

    if path.stat().st_size <= _CHUNK:
        return read()
    found: str = gevent.get_hub().threadpool.apply(read)
    return found


def _files_of(items: list[Any], folder: Path, sha256: Any) -> list[_File]:
    """Check all that is wanted, and give each its place.

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
    for index, item in enumerate(items):
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
        _File(request, folder / (name or _free_name(names, request, folder)), checksum, size)
        for request, name, checksum, size in wanted
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
            " .part, .version or .unchecked"
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


# -- getting it ------------------------------------------------------------------------------


class _Downloads:
    """The files of one call, on their way."""

    def __init__(
        self, files: list[_File], pool: Pool, tries: int, raise_errors: bool, reporter: Any
    ) -> None:
        self.files = files
        self.pool = pool
        self.tries = tries
        self.raise_errors = raise_errors
        self.reporter = reporter
        self.failure: Exception | None = None
        self.handler: Callable[[Any, Any], Any] | None = None
        #: The last of what was spawned for each file.
        self.handles: dict[int, Any] = {}
        #: What waits to be tried again.
        self.later: set[Any] = set()

    def run(self, ends: float | None) -> list[Any]:
        """Have all of them end, or be stopped."""
        pool = self.pool
        try:
            there = [file for file in self.files if file.sha256 and file.path.is_file()]
            for file in self.files:
                if file not in there:
                    self._start(file)
            for file in there:  # is read while others are on their way
                if file.is_there():
                    self._ended(file, file.path)
                else:
                    self._start(file)
            while self.failure is None and not _passed(ends):
                over = pool.join(None if ends is None else max(ends - clock(), 0.0))
                if over and self.failure is None:
                    if not self.later:
                        break
                    left = None if ends is None else max(ends - clock(), 0.0)
                    gevent.wait(list(self.later), left, 1)
            if self.failure is not None:
                raise self.failure
        finally:
            gevent.killall(list(self.later), block=False)
            pool.kill()
            self._end(ends)
        return [file.entry for file in self.files]

    def _start(self, file: _File, rest: Rest | None = None) -> None:
        """Queue a file: what is missing of it, where a part of it is there."""
        if rest is None:
            rest = file.rest(self.pool.session)
        request = _with_callback(file.request, self._taker(file, rest), rest)
        self.handles[id(file)] = self.pool.spawn(request)

    def _taker(self, file: _File, rest: Rest | None) -> Callable[[Any], Any]:
        def take(response: Any) -> None:
            """Save the body: in the greenlet that sent the request, in its place of the pool."""
            try:
                if not isinstance(response, Response):
                    raise RequestException(
                        f"{without_secrets(str(file.request.url))}: a response hook has returned"
                        f" {redacted(response)} in place of the answer that is to be saved"
                    )
                if response.error is not None:
                    raise response.error
                self._ended(file, file.save(response, rest))
            except AskAgain as again:
                # Not here and now: it waits for its turn at its host, as all others.
                response.close()
                file.resumes = again.rest is not None
                self._start(file, again.rest)
            except Exception as error:
                if isinstance(response, Response):
                    response.close()
                    if response.error is None and self._again(file, error):
                        return
                self._ended(file, error)

        return take

    def _again(self, file: _File, error: Exception) -> bool:
        """Have a file gone on with, if it may be that it broke off."""
        passing = isinstance(error, (ChunkedEncodingError, ConnectionError, Timeout))
        if not passing or isinstance(error, (TotalTimeout, SSLError)):
            return False
        file.tries += 1
        if file.tries >= self.tries:
            add_tries(error, file.tries, file.last)
            return False
        file.last = ending_of(None, error)
        wait = min(_FIRST * 2 ** (file.tries - 1), _LONGEST) * (0.5 + random.random() / 2)
        timer = gevent.spawn_later(wait, self._start_later, file)
        self.later.add(timer)
        return True

    def _start_later(self, file: _File) -> None:
        self.later.discard(gevent.getcurrent())
        self._start(file)

    def _ended(self, file: _File, entry: Any, time_limit: TimeLimit | None = None) -> None:
        if file.ended:
            return
        file.ended, file.entry = True, entry
        try:
            if isinstance(entry, Exception):
                if self.raise_errors:
                    if self.failure is None:
                        self.failure = entry
                        gevent.spawn(self.pool.kill)  # which has `join` return
                elif time_limit is None:
                    self._ask_handler(file, entry)
                else:
                    time_limit.run(None, self._ask_handler, file, entry)
        finally:
            self.reporter.step()

    def _ask_handler(self, file: _File, error: Exception) -> None:
        handler = file.request._arguments.exception_handler or self.handler
        if handler is None:
            return
        try:
            file.entry = handler(file.request, error)
        except Exception as raised:
            warn(
                f"exception_handler raised {type(raised).__name__}: {raised}; the entry is the"
                " exception that it was called with",
                RuntimeWarning,
                handler,
            )

    def _end(self, ends: float | None) -> None:
        """Give each that has not ended its error."""
        late = _passed(ends)
        with TimeLimit(clock() + GRACE) as time_limit:
            for file in self.files:
                if file.ended:
                    continue
                handle = self.handles.get(id(file))
                stopped = handle.value if handle is not None and handle.ready() else None
                error = getattr(stopped, "error", None)
                if late or not isinstance(error, Exception):
                    url = without_secrets(str(file.request.url))
                    error = TotalTimeout(
                        f"{url}: the timeout for all downloads ran out before this one had ended;"
                        " what came of it is kept, and gone on with the next time",
                        phase="receive",
                    )
                self._ended(file, error, time_limit)
        self.reporter.close()


def _passed(ends: float | None) -> bool:
    return ends is not None and clock() >= ends


def _with_callback(request: Request, take: Callable[[Any], Any], rest: Rest | None) -> Request:
    """Return a copy of a request whose answer is taken after all its hooks, unread.

    Args:
        request: the request.
        take: gets the answer.
        rest: what is to be gone on with.
    """
    twin: Any = request._unanswered()
    twin._arguments = request._arguments.copy()
    before = request._arguments.callback
    twin.prefetch = False
    twin.exception_handler = None  # of the file: it is asked here
    pairs = _pairs(request._arguments.headers)
    if not any(_lower(name) == "accept-encoding" for name, _ in pairs):
        pairs.append(("Accept-Encoding", "identity"))  # what breaks off is gone on with by byte
    if rest is not None:
        pairs += rest.headers
    twin.headers = pairs

    def callback(response: Any) -> Any:
        if before is not None:
            response = dispatch_hook("response", (before,), response, [])
        take(response)
        return response

    twin.callback = callback
    sent: Request = twin
    return sent


def _pairs(headers: Any) -> list[Any]:
    return list(headers.items()) if isinstance(headers, Mapping) else list(headers or ())


def _lower(name: Any) -> str:
    return (name.decode("latin-1") if isinstance(name, bytes) else str(name)).lower()
