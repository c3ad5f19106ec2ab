"""What is given as a request: an unsent one, or a URL, which stands for a GET."""

from __future__ import annotations

from typing import Any

from reqkit import Request
from reqkit.base.redact import redacted
from reqkit.sessions.unsent import plain_request

__all__ = ["as_request", "as_requests"]


def as_request(given: Any) -> Request:
    """Return the request that something stands for.

    Raises:
        TypeError: it is neither an unsent request nor a URL.
    """
    if isinstance(given, Request):
        return given
    if isinstance(given, str):
        return plain_request("GET", given, None)
    raise TypeError(
        f"{redacted(given)} is no request: expected a URL, or what reqkit_async.get(url) and the"
        " like return"
    )


def as_requests(given: list[Any]) -> list[Any]:
    """Return what a list stands for, in the list itself.

    Raises:
        TypeError: one of them is no request; its text says which.
    """
    for index, one in enumerate(given):
        if type(one) is not Request:
            try:
                given[index] = as_request(one)
            except TypeError as error:
                raise TypeError(f"requests[{index}]: {error}; nothing was sent") from None
    return given
