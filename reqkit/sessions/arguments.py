"""A call's arguments, made into an unsent request: here the ``args`` hooks see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..hooks import dispatch_hook, merge_hooks
from ..message.request import Request, plain_request
from ..message.settings import UNSET
from ..timeouts import DEFAULT_TIMEOUTS

if TYPE_CHECKING:
    from .session import Session

__all__ = ["request_after_hooks", "request_of"]


def request_after_hooks(session: Session | None, args: dict[str, Any], callback: Any) -> Request:
    """Make a request of what the ``args`` hooks leave of its arguments.

    Args:
        session: what it is to be sent through, and whose hooks and defaults count.
        args: the arguments.
        callback: one more response hook.
    """
    merged = merge_hooks(session._hooks if session is not None else None, args.get("hooks"))
    if merged is None or not merged["args"]:
        return Request(**args, session=session, callback=callback)
    # A hook may well change in place what it gets: not the caller's own dictionaries.
    shown = {
        name: value.copy() if type(value) is dict else value
        for name, value in args.items()
        if value is not UNSET
    }
    errors: list[Exception] = []
    told = _told_to_args_hooks(session, args)
    result = dispatch_hook("args", merged["args"], shown, errors, **told)
    request = Request(**result, session=session, callback=callback)
    if errors:
        request._say().hook_errors = errors
    return request


def _told_to_args_hooks(session: Session | None, args: dict[str, Any]) -> dict[str, Any]:
    """Return what hooks that take keywords are told, before anything else is known."""

    def one(name: str, default: Any) -> Any:
        given = args.get(name)
        if given is None and session is not None:
            given = getattr(session, name)
        return default if given is None else given

    timeout = args.get("timeout", UNSET)
    if timeout is UNSET:
        timeout = DEFAULT_TIMEOUTS if session is None else session.timeout
    prefetch = args.get("prefetch")
    stream = args.get("stream") if prefetch is None else not prefetch
    if stream is None:
        stream = session is None or session.stream
    return {
        "timeout": timeout,
        "verify": one("verify", True),
        "cert": one("cert", None),
        "proxies": one("proxies", {}),
        "stream": stream,
    }


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
