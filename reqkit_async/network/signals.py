"""Places for one greenlet to wait in until another, or another thread, calls it."""

from __future__ import annotations

import contextlib
import sys
from time import monotonic as clock
from typing import Any

from gevent._hub_local import get_hub_if_exists  # which makes none, as `get_hub` does
from gevent.event import Event
from gevent.hub import get_hub
from greenlet import getcurrent

from .expiries import EXPIRED, NEVER
from .hubs import current_hub, wrong_thread

__all__ = ["GeventSignal", "GeventWaiter"]


class GeventWaiter:
    """Lets one greenlet wait for a call. It belongs to the hub of its thread, and may be reused.

    A call that comes while nobody waits counts for the next wait.

    Attributes:
        called: whether it was called since the last wait.
        waiter, expires, entry, entry_at: as `reqkit_async.network.expiries.Expiring` has them.
    """

    __slots__ = (
        "__weakref__", "_due", "_expiries", "_hub", "_kept", "called", "entry", "entry_at",
        "expires", "waiter",
    )  # fmt: skip

    def __init__(self) -> None:
        self._kept = kept = current_hub()
        self._hub = kept.hub
        self._expiries = kept.expiries
        self.waiter: Any = None
        self.called: bool = False
        #: Wakes who waits, in the loop's next turn.
        self._due: Any = None
        self.entry: list[Any] | None = None
        self.entry_at: float = NEVER
        self.expires: float = NEVER

    def wait(self, timeout: float | None, ends: float = NEVER) -> bool:
        """Wait to be called; False where that took longer than ``timeout`` seconds.

        The time in which running code kept the loop from the network does not count, since whoever
        is to call could not; but for ``ends``, the moment after which nothing is waited for.
        """
        if self.called:
            self.called = False
            return True
        kept = self._kept
        expires = NEVER if timeout is None else clock() + timeout
        unlagged = expires - kept.lagged
        switch_away = self._hub.switch
        while True:
            self.expires = expires
            if expires < self.entry_at:
                self._expiries.add(self, expires)
            me = getcurrent()
            if me.parent is not self._hub and get_hub_if_exists() is not self._hub:
                raise wrong_thread()
            self.waiter = me
            try:
                woken_by = switch_away()
            finally:
                self.waiter = None
                due, self._due = self._due, None
                if due is not None:
                    due.stop()
            if woken_by is self:
                self.called = False
                return True
            if woken_by is not EXPIRED:
                raise RuntimeError(
                    f"the greenlet was switched to while it waited for an answer: got {woken_by!r}"
                )
            expires = min(unlagged + kept.lagged, ends)
            if expires <= clock():
                return False

    def call_now(self) -> None:
        """As `call`, but whoever waits goes on before this returns; from the hub itself."""
        self.called = True
        waiter = self.waiter
        if waiter is not None:
            try:
                waiter.switch(self)
            except BaseException:
                self._hub.handle_error(waiter, *sys.exc_info())

    def call(self) -> None:
        """Have the wait end, or the next one. Never blocks; from the hub's own thread."""
        self.called = True
        waiter = self.waiter
        if waiter is not None and self._due is None:
            # No function in between, in which a signal's handler might raise: nobody would wake.
            self._due = self._hub.loop.run_callback(waiter.switch, self)

    def has_come(self) -> bool:
        """Tell whether it was called, where the time is up."""
        return self.called


class GeventSignal:
    """Lets one greenlet wait for a call from whichever thread; its loop goes on meanwhile."""

    __slots__ = ("_called", "_wake", "blocks")

    def __init__(self) -> None:
        self.blocks: bool = False
        self._called = Event()
        # Also what keeps the loop from ending while there is nothing else to wait for.
        self._wake = get_hub().loop.async_()
        self._wake.start(self._called.set)

    def wait(self, timeout: float | None) -> bool:
        """Wait to be called; False where that took longer than ``timeout`` seconds."""
        return bool(self._called.wait(timeout))

    def call(self) -> None:
        """Have the wait end. Once."""
        with contextlib.suppress(Exception):  # a hub that is gone has nobody who waits
            if self._wake.loop.ptr:
                self._wake.send()

    def close(self) -> None:
        """Let go of the loop's part in it. In the thread that has made it."""
        self._wake.stop()
        self._wake.close()
