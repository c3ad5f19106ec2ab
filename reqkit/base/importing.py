"""What few programs need, imported when it is first needed: whole for whoever asks, or an error.

A signal's handler that sends a request may interrupt an import, and is in the same thread: asked
again, Python gives it the module as far as it has come. So what the main thread needs, where
handlers run, is imported by another thread, and the main one waits, its handlers too.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Generic, TypeVar

from .locks import IMPORTING, native_lock, start_native_thread

__all__ = ["import_late", "load_late"]

T = TypeVar("T")

#: Seconds after which the main thread looks again, and handlers of signals run in any case.
_LOOK: Final = 0.05
#: Seconds after which it imports by itself: the other may wait for what the main thread holds.
_LONGEST: Final = 10.0


def import_late(*names: str) -> Any:
    """Import modules, and return the first.

    Raises:
        ImportError: one of them is not there.
    """
    if not all(_is_whole(name) for name in names):
        load_late(lambda: [importlib.import_module(name) for name in names])
    return importlib.import_module(names[0])


def load_late(load: Callable[[], T]) -> T:
    """Call a function that does nothing but import, and return what it does; one at a time.

    Raises:
        Exception: what it raises.
    """
    if not _is_main_thread() or _imports(sys._getframe(1)):
        with IMPORTING:
            return load()
    loading = _Loading(load)
    try:
        start_native_thread(loading.run, ())
    except RuntimeError:  # there can be no more of them
        return loading.run_here()
    return loading.wait()


class _Loading(Generic[T]):
    """A call in another thread, and what becomes of it."""

    __slots__ = ("_error", "_load", "_over", "_process", "_result")

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._process = os.getpid()
        self._result: Any = None
        self._error: BaseException | None = None
        self._over = native_lock()
        self._over.acquire()

    def run(self) -> None:
        try:
            with IMPORTING:
                self._result = self._load()
        except BaseException as error:  # raised where it is waited for
            self._error = error
        finally:
            self._over.release()

    def run_here(self) -> T:
        with IMPORTING:
            return self._load()

    def wait(self) -> T:
        left = _LONGEST
        while not self._over.acquire(timeout=_LOOK):
            left -= _LOOK
            if os.getpid() != self._process or left <= 0:
                # A forked process, which has no other thread, but what was imported until then; or
                # that one waits for an import that a greenlet of this one is in.
                return self.run_here()
        if self._error is not None:
            error, self._error = self._error, None
            try:
                raise error.with_traceback(None)
            finally:
                del error
        result: T = self._result
        return result


def _is_whole(name: str) -> bool:
    """Tell whether a module is imported, and not only begun; its package, too."""
    package = name.rpartition(".")[0]
    if package and sys.modules.get(package) is None:  # None says that there is none
        return False
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    return module is not None and not getattr(spec, "_initializing", False)


def _is_main_thread() -> bool:
    """Tell whether this is the thread that signals' handlers run in, whatever was patched."""
    number = threading.get_native_id()
    linux = sys.platform.startswith("linux")
    return number == (os.getpid() if linux else threading.main_thread().native_id)


def _imports(frame: FrameType | None) -> bool:
    """Tell whether the code that runs is part of an import, whose locks another would wait for."""
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
