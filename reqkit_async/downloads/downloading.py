"""Many files to disk: on a pool, checked, gone on with where they broke off, one entry for each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

import gevent

from reqkit import Request, Response, Session
from reqkit.base.redact import redacted
from reqkit.base.warn import warn
from reqkit.exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    RequestException,
    SSLError,
    Timeout,
    TotalTimeout,
)
from reqkit.hooks import dispatch_hook
from reqkit.message.downloads import AskAgain, Rest
from reqkit.message.keywords import unknown
from reqkit.message.urls import without_secrets
from reqkit.timeouts import clock
from reqkit.transport.retrying import add_tries, ending_of

from .._types import Handler
from ..network.hubs import in_turns
from ..pool.options import check_switch, seconds
from ..pool.pool import Pool
from ..pool.retries import back_off
from ..pool.size import slots_for
from ..pool.stop_reasons import GRACE, TimeLimit
from ..progress import open_progress
from .files import DownloadItem, File, files_of, header_pairs, lower

if TYPE_CHECKING:
    from typing_extensions import Never
    from urllib3.util import Retry

    from .._types import Progress

__all__ = ["download"]

_KEYWORDS: Final = (
    "sha256", "size", "per_host", "rate", "delay", "retries", "timeout", "raise_errors", "progress",
    "session", "exception_handler",
)  # fmt: skip

#: What one takes: a connection, the partial file, and the note beside it.
_DESCRIPTORS: Final = 3

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
        size: downloads at a time, at most; None for 100, or fewer where there are not descriptors
            for as many.
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
    check_switch("raise_errors", raise_errors)
    if exception_handler is not None and not callable(exception_handler):
        raise ValueError(f"exception_handler is {redacted(exception_handler)}: expected a function")
    if isinstance(items, (str, bytes, Request, Mapping)):
        raise TypeError(f"items is one {type(items).__name__}: expected several, as in [item]")
    files = files_of(list(items), Path(os.fspath(folder)), sha256)
    if size is None or (isinstance(size, int) and size > 0):
        size = slots_for(size, _DESCRIPTORS)
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


class _Downloads:
    """The files of one call, on their way."""

    def __init__(
        self, files: list[File], pool: Pool, tries: int, raise_errors: bool, reporter: Any
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
            there = []
            for file in in_turns(self.files):
                if file.sha256 and (file.path.is_file() or file.has_part):
                    there.append(file)
                else:
                    self._start(file)
            for file in in_turns(there):  # is read while others are on their way
                if self.failure is not None or _passed(ends):
                    break
                if file.is_there(pool.session):
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

    def _start(self, file: File, rest: Rest | None = None) -> None:
        """Queue a file: what is missing of it, where a part of it is there."""
        if rest is None:
            rest = file.rest(self.pool.session)
        request = _with_callback(file.request, self._taker(file, rest), rest)
        self.handles[id(file)] = self.pool.spawn(request)

    def _taker(self, file: File, rest: Rest | None) -> Callable[[Any], Any]:
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
            except Exception as error:  # the file's entry
                if isinstance(response, Response):
                    response.close()
                    if response.error is None and self._again(file, error):
                        return
                self._ended(file, error)

        return take

    def _again(self, file: File, error: Exception) -> bool:
        """Have a file gone on with, if it may be that it broke off."""
        passing = isinstance(error, (ChunkedEncodingError, ConnectionError, Timeout))
        if not passing or isinstance(error, (TotalTimeout, SSLError)):
            return False
        file.tries += 1
        if file.tries >= self.tries:
            add_tries(error, file.tries, file.last)
            return False
        file.last = ending_of(None, error)
        timer = gevent.spawn_later(back_off(file.tries - 1), self._start_later, file)
        self.later.add(timer)
        return True

    def _start_later(self, file: File) -> None:
        self.later.discard(gevent.getcurrent())
        self._start(file)

    def _ended(self, file: File, entry: Any, time_limit: TimeLimit | None = None) -> None:
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

    def _ask_handler(self, file: File, error: Exception) -> None:
        handler = file.request._arguments.exception_handler or self.handler
        if handler is None:
            return
        try:
            file.entry = handler(file.request, error)
        except Exception as raised:  # a handler may raise anything
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
    pairs = header_pairs(request._arguments.headers)
    if not any(lower(name) == "accept-encoding" for name, _ in pairs):
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
