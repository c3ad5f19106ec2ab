"""Locks for a few steps that never wait: between native threads, whatever was patched.

With gevent's patches, `threading.Lock` is gevent's, which waits by switching greenlets; between
native threads that is slow, and may never end. These guard steps in which nothing switches, so
that no greenlet ever waits for one of its own thread's.
"""

from __future__ import annotations

import _thread
import os
import sys
import weakref
from collections.abc import Callable
from typing import Any, Final

__all__ = [
    "IMPORTING", "native_local", "native_lock", "native_rlock", "native_thread",
    "start_native_thread",
]  # fmt: skip


def _native(name: str) -> Any:
    monkey = sys.modules.get("gevent.monkey")
    return getattr(_thread, name) if monkey is None else monkey.get_original("_thread", name)


#: Looked up once: what is patched later was the interpreter's own by now.
_allocate_lock: Final[Any] = _native("allocate_lock")


def native_lock() -> Any:
    """Return a lock of the interpreter's own: for waiting, not for guarding."""
    return _allocate_lock()


#: The locks that guard something, by their identity.
_guards: dict[int, weakref.ref[Any]] = {}


def native_rlock() -> Any:
    """Return a lock that its holder may take again: for guarding.

    A signal's handler may send a request while it interrupts who holds this. In a forked process it
    is free, whoever held it in the parent at that moment.
    """
    lock = _native("RLock")()
    number = id(lock)
    _guards[number] = weakref.ref(lock, lambda _: _guards.pop(number, None))
    return lock


def _free_all() -> None:
    _waited.clear()
    for kept in list(_guards.values()):
        lock = kept()
        if lock is not None:
            lock._at_fork_reinit()


def start_native_thread(function: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Start a thread of the interpreter's own, which nothing waits for.

    Raises:
        RuntimeError: there can be no more of them.
    """
    _native("start_new_thread")(function, args)


def native_thread() -> int:
    """Return the number of the native thread that runs, whichever greenlet does."""
    number: int = _native("get_ident")()
    return number


def native_local() -> Any:
    """Return what has other attributes in each native thread, and ends them with it."""
    return _native("_local")()


#: Held by whatever is imported late, when it is first needed. With gevent's patches, Python's own
#: lock for a module that another native thread imports just now is gevent's too: greenlets of two
#: threads that wait for it end in a ``LoopExit``, or for ever.
IMPORTING: Final[Any] = native_rlock()

#: Seconds that a fork waits for an import of another thread's, whose module would stay half made in
#: the forked process, and its lock held for ever.
_LONGEST: Final = 10.0
_waited: list[bool] = []


def _before_fork() -> None:
    _waited.append(IMPORTING.acquire(timeout=_LONGEST))


def _after_fork() -> None:
    if _waited.pop():
        IMPORTING.release()


if hasattr(os, "register_at_fork"):
    # What another thread was about does not go on in a forked process.
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_free_all)
