"""What a request says beside its method and URL."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from ..hooks import Hook, Hooks
from .bodies import Positions
from .keywords import UNSET

__all__ = ["NO_ARGUMENTS", "Arguments"]


class Arguments:
    """What a request says beside its method and URL, by the names of its attributes.

    Most requests of a batch say nothing: they share `NO_ARGUMENTS`, so that they are light and
    are told from others at one look.
    """

    __slots__ = (
        "allow_redirects", "auth", "callback", "cert", "config", "context", "cookies", "data",
        "exception_handler", "files", "headers", "hook_errors", "hooks", "json", "params",
        "positions", "prefetch", "proxies", "timeout", "verify",
    )  # fmt: skip

    allow_redirects: bool | None
    auth: Any
    callback: Hook | None
    cert: Any
    config: Mapping[str, Any] | None
    #: The caller's own: it goes nowhere.
    context: Any
    cookies: Any
    data: Any
    #: Of this request in a batch, in place of the batch's.
    exception_handler: Callable[[Any, Exception], Any] | None
    files: Any
    headers: Any
    #: What ``args`` hooks raised when the arguments were taken.
    hook_errors: list[Exception] | None
    hooks: Hooks | None
    json: Any
    params: Any
    #: Where the files that are sent stood when the request was first prepared.
    positions: Positions | None
    prefetch: bool | None
    proxies: Mapping[str, str | None] | None
    timeout: Any
    verify: Any

    def copy(self) -> Arguments:
        """Return a copy, to be changed."""
        copied = Arguments()
        for name in Arguments.__slots__:
            setattr(copied, name, getattr(self, name))
        return copied


def _no_arguments() -> Arguments:
    nothing = Arguments()
    for name in Arguments.__slots__:
        setattr(nothing, name, None)
    nothing.timeout = UNSET
    return nothing


#: Never changed.
NO_ARGUMENTS: Final = _no_arguments()
