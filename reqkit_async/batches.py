"""The functions that send many requests, each with a `Pool` of its own; and what a `Pool` is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from reqkit import Request, Response
from reqkit.base.importing import import_late
from reqkit.base.signatures import explicit_signature
from reqkit.message.keywords import unknown

from ._types import BatchKeywords, CallKeywords, Handler, PoolKeywords, Submitter
from .pool import pool as local

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .cluster.pool import Spread

__all__ = ["Pool", "imap", "imap_enumerated", "imap_unordered", "map"]

T = TypeVar("T")

#: Has signatures list the keywords that go on to a `Pool`.
_explicit: Final = explicit_signature(BatchKeywords, defaults={"raise_errors": False})


class Pool(local.Pool):
    """A number of places for requests in flight, and limits for each host.

    What `map` and the others are made of, to be used again, and to be added to while it runs. It
    belongs to the thread that uses it. As a context manager: leaving it waits for what was
    spawned; leaving it by an exception stops it.

    Args:
        size: requests in flight at most; None for 100, or fewer where there are not descriptors for
            as many. With an executor, for each of its workers.
        per_host: requests in flight for one host at most.
        rate: requests a second for one host, evenly spaced: a number, or text as ``"30/min"``.
        delay: seconds at least between two starts to one host.
        session: for requests that have none of their own.
        retries: how often a failed request is sent again: a number, or a `urllib3.util.Retry`.
        prefetch: read each body before its entry is handed over.
        exception_handler: called with a failed request and its error; what it returns, None too,
            is the entry.
        timeout: seconds for each call of `map` or `imap` as a whole, and for what is spawned
            from the first until all has ended.
        raise_errors: raise the first failure, and stop the rest.
        progress: True, ``"always"``, a function ``progress(done, total)``, or a tqdm-like object.
        gtimeout: another name for ``timeout``.
        stream: the contrary of ``prefetch``.
        total: how many entries there will be, for ``progress``, where that is not known: of an
            iterable without a length, and of what is spawned.
        executor: sends by its workers, in other processes or on other machines: a
            ``concurrent.futures.Executor``, a Dask ``Client``, or whatever has
            ``submit(function, *arguments)``. They are there from the first call to its end, or,
            in a ``with`` block, to the block's.
        workers: how many of them; None for all that the executor has.

    Attributes:
        stats: what was done so far, live.

    Raises:
        ValueError: one of them is no such thing.
        TypeError: ``executor`` is none.
    """

    _spread: Spread | None
    _KEYWORDS = (*local.Pool._KEYWORDS, "executor", "workers")

    @explicit_signature(PoolKeywords, defaults={"prefetch": True, "raise_errors": False})
    def __init__(
        self,
        size: int | None = None,
        *,
        executor: Submitter | None = None,
        workers: int | None = None,
        **settings: Unpack[PoolKeywords],
    ) -> None:
        super().__init__(size, **settings)
        self._spread = None
        if executor is not None:
            # What most programs do without.
            self._spread = import_late("reqkit_async.cluster.pool").spread_pool(
                self, executor, workers,
                settings.get("per_host"), settings.get("rate"), settings.get("delay"),
            )  # fmt: skip
        elif workers is not None:
            raise ValueError("workers is given without an executor: expected both, or neither")

    def __enter__(self) -> Pool:
        if self._spread is not None:
            self._spread.keep_open()
        return self

    def __exit__(self, kind: Any, *exception: object) -> None:
        try:
            super().__exit__(kind, *exception)
        finally:
            if self._spread is not None:
                self._spread.let_end()


@overload
def map(
    requests: Iterable[Request | str],
    size: int | None = None,
    prefetch: bool = True,
    exception_handler: None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> list[Response]: ...


@overload
def map(
    requests: Iterable[Request | str],
    size: int | None = None,
    prefetch: bool = True,
    *,
    exception_handler: Handler[T],
    timeout: float | None = None,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> list[Response | T]: ...


@overload
def map(
    requests: Iterable[Request | str],
    size: int | None,
    prefetch: bool,
    exception_handler: Handler[T],
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> list[Response | T]: ...


@_explicit
def map(
    requests: Iterable[Request | str],
    size: int | None = None,
    prefetch: bool = True,
    exception_handler: Handler[Any] | None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> list[Any]:
    """Send all requests, at most ``size`` at a time; return one entry for each, in their order.

    Blocks until all have ended, while other greenlets run.

    Args:
        requests: unsent requests.
        size: how many are in flight at most; None for 100, or fewer where there are not descriptors
            for as many.
        prefetch: read each body before this returns; a request's own setting comes first.
        exception_handler: called with a failed request and its error; what it returns, None too,
            is the entry.
        timeout: seconds for the whole call; what has not ended by then is stopped.
        gtimeout: another name for ``timeout``.
        stream: the contrary of ``prefetch``.
        **settings: ``raise_errors per_host rate delay retries progress session executor
            workers``: see `Pool`.

    Returns:
        responses; one that failed has its ``error`` set.

    Raises:
        RequestException: the first failure, with ``raise_errors``.
    """
    pool = _pool(
        "map", size, exception_handler, timeout, gtimeout,
        prefetch, stream, settings,
    )  # fmt: skip
    return pool.map(requests)


@overload
def imap(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[Response]: ...


@overload
def imap(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    *,
    exception_handler: Handler[T],
    timeout: float | None = None,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[Response | T]: ...


@overload
def imap(
    requests: Iterable[Request | str],
    size: int | None,
    prefetch: bool,
    exception_handler: Handler[T],
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[Response | T]: ...


@_explicit
def imap(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: Handler[Any] | None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[Any]:
    """Yield entries in the order of the requests, while others are on their way.

    Takes any iterable, an endless one too, and pulls from it only as there is room: at most
    ``size`` are in flight and ``size`` wait. Leaving the loop early stops what is in flight.

    Args:
        requests: unsent requests.
        size: how many are in flight at most.
        prefetch: as for `map`, and so are all the others.
        exception_handler: see `map`.
        timeout: see `map`.
        gtimeout: see `map`.
        stream: see `map`.
        **settings: see `map`.

    Raises:
        RequestException: the first failure, with ``raise_errors``.
        Exception: what ``requests`` raised, after what was sent before was handed over.
    """
    pool = _pool(
        "imap", size, exception_handler, timeout, gtimeout,
        prefetch, stream, settings,
    )  # fmt: skip
    return pool.imap(requests)


@overload
def imap_unordered(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[Response]: ...


@overload
def imap_unordered(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    *,
    exception_handler: Handler[T],
    timeout: float | None = None,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[Response | T]: ...


@overload
def imap_unordered(
    requests: Iterable[Request | str],
    size: int | None,
    prefetch: bool,
    exception_handler: Handler[T],
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[Response | T]: ...


@_explicit
def imap_unordered(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: Handler[Any] | None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[Any]:
    """Yield entries as they end; else as `imap`."""
    pool = _pool(
        "imap_unordered", size, exception_handler, timeout, gtimeout,
        prefetch, stream, settings,
    )  # fmt: skip
    return pool.imap_unordered(requests)


@overload
def imap_enumerated(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[tuple[int, Response]]: ...


@overload
def imap_enumerated(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    *,
    exception_handler: Handler[T],
    timeout: float | None = None,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[tuple[int, Response | T]]: ...


@overload
def imap_enumerated(
    requests: Iterable[Request | str],
    size: int | None,
    prefetch: bool,
    exception_handler: Handler[T],
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[tuple[int, Response | T]]: ...


@_explicit
def imap_enumerated(
    requests: Iterable[Request | str],
    size: int | None = 10,
    prefetch: bool = True,
    exception_handler: Handler[Any] | None = None,
    timeout: float | None = None,
    *,
    gtimeout: float | None = None,
    stream: bool | None = None,
    **settings: Unpack[BatchKeywords],
) -> Iterator[tuple[int, Any]]:
    """Yield pairs of a request's index and its entry, as they end; else as `imap`."""
    pool = _pool(
        "imap_enumerated", size, exception_handler, timeout, gtimeout,
        prefetch, stream, settings,
    )  # fmt: skip
    return pool.imap_enumerated(requests)


def _pool(
    function: str,
    size: int | None,
    exception_handler: Any,
    timeout: Any,
    gtimeout: Any,
    prefetch: bool,
    stream: bool | None,
    settings: Any,
) -> Pool:
    for name in settings:
        if name not in _SETTINGS:
            raise unknown(function, [name], dict.fromkeys(_KNOWN))
    return Pool(
        size,
        exception_handler=exception_handler,
        timeout=timeout,
        gtimeout=gtimeout,
        prefetch=prefetch,
        stream=stream,
        **settings,
    )


_SETTINGS = tuple(BatchKeywords.__annotations__)
_KNOWN = ("size", *CallKeywords.__annotations__, *_SETTINGS)
