"""Unsent requests, made of a function's arguments: by the hundred thousand, for batches."""

from __future__ import annotations

from typing import Any, Final

from ..message.request import NO_ARGUMENTS
from .session import Request, Session, request_after_hooks

__all__ = ["request_of"]

_new: Final = object.__new__


def request_of(method: str, url: Any, keywords: dict[str, Any]) -> Request:
    """Make an unsent request of a function's arguments; its ``args`` hooks run now.

    Args:
        method: ``GET``, ``POST``, ….
        url: where to.
        keywords: the other arguments, ``session`` and ``callback`` among them.
    """
    if not keywords:
        return plain_request(method, url, None)
    session: Session | None = keywords.get("session")
    if isinstance(session, Session) and len(keywords) == 1 and not session._hooks:
        return plain_request(method, url, session)
    if session is not None and not hasattr(session, "attempt"):
        raise TypeError(
            f"session is of type {type(session).__name__}: expected a reqkit.Session, or None"
        )
    callback = keywords.get("callback")
    if callback is not None and not callable(callback):
        raise TypeError(
            f"callback is of type {type(callback).__name__}: expected a function that takes the"
            " response"
        )
    if "hooks" in keywords or (session is not None and session._hooks):
        args = {"method": method, "url": url, **keywords}
        args.pop("session", None)
        return request_after_hooks(session, args, args.pop("callback", None))
    if session is not None and len(keywords) == 1:
        return plain_request(method, url, session)
    return Request(method, url, **keywords)


def plain_request(method: str, url: Any, session: Any) -> Request:
    """Make a request that says nothing beside its method and URL: as the class does, but sooner.

    Batches have them by the hundred thousand.
    """
    request = _new(Request)
    request.method = method
    request.url = url
    request.session = session
    request._response = None
    request._arguments = NO_ARGUMENTS
    return request
