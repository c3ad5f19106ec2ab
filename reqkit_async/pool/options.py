"""The settings of one call of a pool's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from reqkit.message.settings import unknown

__all__ = ["OF_CALLS", "Call"]

#: What each call of a pool's methods may say by itself.
OF_CALLS: Final = ("prefetch", "exception_handler", "timeout", "raise_errors", "progress")


class Call:
    """The settings of one call; each is as `Pool` has it."""

    __slots__ = (*OF_CALLS, "policy")

    def __init__(self, prefetch: bool = True, policy: Any = None) -> None:
        self.prefetch = prefetch
        self.exception_handler: Callable[[Any, Any], Any] | None = None
        self.timeout: float | None = None
        self.raise_errors = False
        self.progress: Any = None
        self.policy = policy

    def with_settings(self, settings: Mapping[str, Any], function: str = "map") -> Call:
        """Return a call with some settings on top of these.

        Args:
            settings: by name; ``gtimeout`` is ``timeout``, and ``stream`` the contrary of
                ``prefetch``, where they are not None.
            function: whose they are.

        Raises:
            TypeError: there is none of that name, or one is given by both its names.
            ValueError: it cannot have that value.
        """
        call = Call()
        for name in Call.__slots__:
            setattr(call, name, getattr(self, name))
        for name, value in settings.items():
            if name in OF_CALLS:
                setattr(call, name, _seconds(value) if name == "timeout" else value)
            elif name not in ("gtimeout", "stream"):
                raise unknown(function, [name], (*OF_CALLS, "gtimeout", "stream"))
        if settings.get("gtimeout") is not None:
            if settings.get("timeout") is not None:
                raise TypeError(
                    "timeout and gtimeout are two names for one limit, and both are given:"
                    " expected one of them"
                )
            call.timeout = _seconds(settings["gtimeout"])
        if settings.get("stream") is not None:
            call.prefetch = not settings["stream"]
        handler = call.exception_handler
        if handler is not None and not callable(handler):
            raise ValueError(f"exception_handler is {handler!r}: expected a function")
        return call


def _seconds(timeout: Any) -> float | None:
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not timeout > 0:
        raise ValueError(
            f"timeout is {timeout!r}: expected the seconds that the whole batch may take, a number"
            " above 0, or None for no limit"
        )
    return None if math.isinf(timeout) else float(timeout)
