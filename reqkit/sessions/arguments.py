"""A call's arguments on the way to a request: here the ``args`` hooks see them."""

from __future__ import annotations

from typing import Any

from ..hooks import dispatch_hook, merge_hooks
from ..message.keywords import UNSET
from ..timeouts import DEFAULT_TIMEOUTS
from .defaults import Defaults

__all__ = ["after_hooks"]


def after_hooks(
    defaults: Defaults | None, args: dict[str, Any]
) -> tuple[dict[str, Any], list[Exception]]:
    """Return what the ``args`` hooks leave of a request's arguments, and what they raised.

    Args:
        defaults: of the session that it is to be sent through, whose hooks count.
        args: the arguments.
    """
    merged = merge_hooks(defaults._hooks if defaults is not None else None, args.get("hooks"))
    if merged is None or not merged["args"]:
        return args, []
    # A hook may well change in place what it gets: not the caller's own dictionaries.
    shown = {
        name: value.copy() if type(value) is dict else value
        for name, value in args.items()
        if value is not UNSET
    }
    errors: list[Exception] = []
    keywords = _hook_keywords(defaults, args)
    result = dispatch_hook("args", merged["args"], shown, errors, **keywords)
    return result, errors


def _hook_keywords(defaults: Defaults | None, args: dict[str, Any]) -> dict[str, Any]:
    """Return what hooks that take keywords are passed, before anything else is known."""

    def one(name: str, default: Any) -> Any:
        given = args.get(name)
        if given is None and defaults is not None:
            given = getattr(defaults, name)
        return default if given is None else given

    timeout = args.get("timeout", UNSET)
    if timeout is UNSET:
        timeout = DEFAULT_TIMEOUTS if defaults is None else defaults.timeout
    prefetch = args.get("prefetch")
    stream = args.get("stream") if prefetch is None else not prefetch
    if stream is None:
        stream = defaults is None or defaults.stream
    return {
        "timeout": timeout,
        "verify": one("verify", True),
        "cert": one("cert", None),
        "proxies": one("proxies", {}),
        "stream": stream,
    }
