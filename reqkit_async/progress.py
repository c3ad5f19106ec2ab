"""Telling how far a batch is: a bar on the terminal, a function, or a tqdm-like object."""

from __future__ import annotations

import sys
import traceback
import weakref
from collections.abc import Callable
from typing import Any

from reqkit.base.importing import import_late
from reqkit.base.warn import warn

__all__ = ["Reporter", "open_progress"]


class Reporter:
    """Told of each entry; this one tells nobody.

    What the user's own function or object raises becomes a ``RuntimeWarning``: it harms nothing.
    """

    __slots__ = ()

    def step(self) -> None:
        """Count an entry."""

    def close(self) -> None:
        """End; may be called again."""


#: For who wants to know nothing.
SILENT = Reporter()


class _CallReporter(Reporter):
    """Calls ``progress(done, total)``."""

    __slots__ = ("_call", "_done", "_total")

    def __init__(self, call: Callable[[int, int | None], Any], total: int | None) -> None:
        self._call = call
        self._done = 0
        self._total = total

    def step(self) -> None:
        self._done += 1
        try:
            self._call(self._done, self._total)
        except Exception as error:  # somebody's function
            _warn(self._call, error)


class _BarReporter(Reporter):
    """Moves a tqdm or what is like one."""

    __slots__ = ("__weakref__", "_bar")

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def step(self) -> None:
        if self._bar is not None:
            try:
                self._bar.update(1)
            except Exception as error:  # somebody's bar
                _warn(self._bar, error)

    def close(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            try:
                bar.close()
            except Exception as error:  # somebody's bar
                _warn(bar, error)


def _warn(culprit: Any, error: Exception) -> None:
    name = getattr(culprit, "__qualname__", None) or type(culprit).__name__
    text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    warn(f"progress {name} raised:\n{text}", RuntimeWarning, culprit)


def open_progress(progress: Any, total: int | None) -> Reporter:
    """Return what is to be told of each entry.

    Args:
        progress: None or False for nothing; True for a tqdm bar on stderr if that is a terminal,
            and in notebooks; ``"always"`` for one in any case; a callable, called as
            ``progress(done, total)``; or a tqdm-like object, whose ``update(1)`` and, in the end,
            ``close()`` are called.
        total: how many entries there will be; None where that is not known.

    Raises:
        ImportError: a bar is wanted, and tqdm is not installed.
        ValueError: it is none of these.
    """
    if progress is None or progress is False:
        return SILENT
    # A bar may not let itself be compared.
    if progress is True or (isinstance(progress, str) and progress == "always"):
        notebook = _in_notebook()
        if progress is True and not notebook and not _is_terminal(sys.stderr):
            return SILENT
        bar = _tqdm(notebook)(total=total, file=sys.stderr, unit="req", dynamic_ncols=True)
        reporter = _BarReporter(bar)
        # One that is open when the interpreter ends is closed before: tqdm does so when modules
        # are gone already, and CPython 3.13 crashes in that.
        weakref.finalize(reporter, bar.close)
        return reporter
    # A class has these too, and is to be called; an object that has them may be callable as well.
    if not isinstance(progress, type) and all(
        callable(getattr(progress, name, None)) for name in ("update", "close")
    ):
        return _BarReporter(progress)
    if callable(progress):
        return _CallReporter(progress, total)
    raise ValueError(
        f"progress is {progress!r}: expected True, 'always', False, None, a function"
        " progress(done, total), or an object with update(n) and close()"
    )


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # None under pythonw; closed
        return False


def _in_notebook() -> bool:
    """Tell whether this is a kernel of Jupyter's, which shows bars of its own."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return hasattr(get_ipython(), "kernel") if get_ipython is not None else False


def _tqdm(notebook: bool) -> Any:
    try:
        # In a notebook a widget, or text where there are none.
        tqdm = import_late("tqdm.auto" if notebook else "tqdm").tqdm
    except ImportError as error:
        raise ImportError(
            "progress=True needs tqdm: pip install 'reqkit[progress]',"
            " or give a function progress(done, total)"
        ) from error
    # Without the monitor: a native thread that would be left behind.
    return type("Bar", (tqdm,), {"monitor_interval": 0})
