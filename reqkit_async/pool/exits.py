"""What code of the user's has raised to end the program, until who waits for it takes it.

gevent throws each `sys.exit` and each interrupt out of a greenlet into the main one, whatever that
is doing when its turn comes. Here it belongs to who waits for the request that it ran for.
"""

from __future__ import annotations

import contextlib
import dis
import signal
from typing import Any, Final

from gevent.hub import get_hub

from reqkit import Request
from reqkit.base.redact import without_secret_parameters
from reqkit.base.tracebacks import forget_frames

__all__ = ["SYSTEM_ERRORS", "Exit", "is_signals", "note_origin"]

#: What ends the program, and is nobody's to swallow.
SYSTEM_ERRORS: Final = (KeyboardInterrupt, SystemExit)

_RAISE: Final = dis.opmap["RAISE_VARARGS"]


class Exit:
    """`sys.exit` or an interrupt in code of the user's.

    Where nobody has taken it when it goes, a line on gevent's exception stream (standard error)
    tells of it.

    Args:
        error: what was raised.
        request: what the code ran for; None where that is not known.
        quiet: whether nothing is to be told of it.
        waited_for: whether somebody waits to raise it; else its frames are let go of, and kept as
            a text.
    """

    __slots__ = ("_request", "_stream", "error", "taken")

    def __init__(
        self,
        error: BaseException,
        request: Any = None,
        quiet: bool = False,
        waited_for: bool = False,
    ) -> None:
        if not waited_for:
            forget_frames(error, tell=True)
        self.error: BaseException = error
        #: Whether somebody has raised it.
        self.taken: bool = False
        described = request.describe() if isinstance(request, Request) else "a request"
        self._request = without_secret_parameters(described)
        self._stream: Any = None if quiet else get_hub().exception_stream

    def take(self) -> BaseException:
        """Return what is to be raised, by who calls."""
        self.taken = True
        return self.error

    def __del__(self) -> None:
        if self.taken or not self._stream:
            return
        with contextlib.suppress(Exception):
            self._stream.write(
                f"reqkit: {self.error!r} was raised by code that ran for {self._request}. Nobody"
                " has waited for that request; it has ended nothing else\n"
            )


def note_origin(error: BaseException) -> None:
    """Have `is_signals` know where an error was raised, though its frames will be let go of."""
    with contextlib.suppress(Exception):  # it may have no attributes
        error._by_signal = is_signals(error)  # type: ignore[attr-defined]


def is_signals(error: BaseException) -> bool:
    """Tell whether a signal's handler has raised an error, in whatever ran: the program is meant.

    That of Python itself for Ctrl-C raises where no statement does.
    """
    noted: bool | None = getattr(error, "_by_signal", None)
    if noted is not None:
        return noted
    handlers = _handlers()
    innermost: Any = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in handlers:
            return True
        innermost, trace = trace, trace.tb_next
    if innermost is None or not isinstance(error, KeyboardInterrupt):
        return False
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    at = innermost.tb_lasti
    return at < 0 or bool(innermost.tb_frame.f_code.co_code[at] != _RAISE)


def _handlers() -> set[Any]:
    """Return the code of all signals' handlers that are the user's."""
    found = set()
    for number in signal.valid_signals():
        handler: Any = signal.getsignal(number)
        if callable(handler):
            while hasattr(handler, "func"):  # a partial function
                handler = handler.func
            # A function's own, a method's, or that of what else can be called.
            call: Any = getattr(handler, "__func__", handler)
            if not hasattr(call, "__code__"):
                call = type(handler).__call__
            code = getattr(call, "__code__", None)
            if code is not None:
                found.add(code)
    return found
