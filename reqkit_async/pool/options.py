"""The options of one batch: what a call of a pool's methods may say by itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

from reqkit.base.numbers import as_float
from reqkit.base.redact import redacted
from reqkit.message.keywords import unknown

__all__ = ["BATCH_OPTIONS", "BatchOptions", "check_switch", "seconds"]

#: What each call of a pool's methods may say by itself.
BATCH_OPTIONS: Final = (
    "prefetch", "exception_handler", "timeout", "raise_errors", "progress", "total",
)  # fmt: skip


class BatchOptions:
    """The options of one batch; each is as `Pool` has it."""

    __slots__ = (*BATCH_OPTIONS, "policy")

    def __init__(self, prefetch: bool = True, policy: Any = None) -> None:
        self.prefetch = prefetch
        self.exception_handler: Callable[[Any, Any], Any] | None = None
        self.timeout: float | None = None
        self.raise_errors = False
        self.progress: Any = None
        #: How many entries there will be, where the iterable does not say.
        self.total: int | None = None
        self.policy = policy

    def with_settings(self, settings: Mapping[str, Any], function: str = "map") -> BatchOptions:
        """Return these options with some settings on top.

        Args:
            settings: by name; ``gtimeout`` is ``timeout``, and ``stream`` the contrary of
                ``prefetch``, where they are not None.
            function: whose they are.

        Raises:
            TypeError: there is none of that name, or one is given by both its names, or one is
                neither True nor False and has to be.
            ValueError: it cannot have that value.
        """
        options = BatchOptions()
        for name in BatchOptions.__slots__:
            setattr(options, name, getattr(self, name))
        for name, value in settings.items():
            if name in BATCH_OPTIONS:
                setattr(options, name, seconds(value) if name == "timeout" else value)
            elif name not in ("gtimeout", "stream"):
                raise unknown(function, [name], (*BATCH_OPTIONS, "gtimeout", "stream"))
        if settings.get("gtimeout") is not None:
            if settings.get("timeout") is not None:
                raise TypeError(
                    "timeout and gtimeout are two names for one limit, and both are given:"
                    " expected one of them"
                )
            options.timeout = seconds(settings["gtimeout"])
        if settings.get("stream") is not None:
            options.prefetch = not settings["stream"]
        for name in ("prefetch", "raise_errors", "stream"):
            check_switch(name, settings.get(name))
        total = options.total
        if total is not None and (
            isinstance(total, bool) or not isinstance(total, int) or total < 0
        ):
            raise ValueError(
                f"total is {total!r}: expected how many entries there will be, or None where"
                " that is not known"
            )
        handler = options.exception_handler
        if handler is not None and not callable(handler):
            raise ValueError(f"exception_handler is {handler!r}: expected a function")
        return options


def check_switch(name: str, value: Any) -> None:
    """Refuse what does not say whether something is to be.

    Raises:
        TypeError: it is neither True, False nor None.
    """
    if value is not None and value not in (True, False):
        raise TypeError(f"{name} is {redacted(value)}: expected True or False")


def seconds(timeout: Any) -> float | None:
    """Return what the whole batch may take; None for no limit.

    Raises:
        ValueError: it is no number of seconds.
    """
    if timeout is None:
        return None
    number = as_float(timeout)
    if number is None or not number > 0:
        raise ValueError(
            f"timeout is {timeout!r}: expected the seconds that the whole batch may take, a number"
            " above 0, or None for no limit"
        )
    return None if math.isinf(number) else number
