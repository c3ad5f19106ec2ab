"""How a type checker sees the batches: for mypy (the environment ``types``), not to be run."""

from __future__ import annotations

from collections.abc import Iterator

from typing_extensions import assert_type

import reqkit_async
from reqkit_async import Request, Response


def handler(request: Request, error: Exception) -> str:
    return f"{request.method}: {error}"


def nothing(request: Request, error: Exception) -> None:
    """Leave the failed ones out."""


def use(url: str) -> None:
    requests = [reqkit_async.get(url), reqkit_async.post(url, data=b"x", callback=print)]
    assert_type(reqkit_async.map(requests), list[Response])
    assert_type(reqkit_async.map(requests, 5, gtimeout=3, rate="5/s"), list[Response])
    assert_type(reqkit_async.map(requests, exception_handler=None), list[Response])
    assert_type(reqkit_async.map(requests, exception_handler=handler), list[Response | str])
    assert_type(reqkit_async.map(requests, 5, True, handler), list[Response | str])
    assert_type(reqkit_async.map(requests, exception_handler=nothing), list[Response | None])

    assert_type(reqkit_async.imap(iter(requests)), Iterator[Response])
    assert_type(reqkit_async.imap_unordered(requests, timeout=3), Iterator[Response])
    assert_type(reqkit_async.imap_enumerated(requests), Iterator[tuple[int, Response]])
    assert_type(reqkit_async.imap(requests, exception_handler=handler), Iterator[Response | str])
    assert_type(
        reqkit_async.imap_unordered(requests, exception_handler=handler), Iterator[Response | str]
    )
    assert_type(
        reqkit_async.imap_enumerated(requests, 2, exception_handler=handler),
        Iterator[tuple[int, Response | str]],
    )

    sending = reqkit_async.send(requests[0])
    assert_type(sending.get(timeout=1), Response)
    assert_type(sending.value, Response | None)
    sending.join()
    sending.kill()

    # A URL stands for a GET.
    assert_type(reqkit_async.map([url]), list[Response])
    reqkit_async.map([url, requests[0]])
    reqkit_async.imap([5])  # type: ignore[list-item]
