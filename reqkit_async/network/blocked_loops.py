"""Who keeps a thread's loop from the network for long is named in a warning, with its line.

While greenlets of a batch run, a native thread looks now and then whether each loop has turned. It
ends when there is no batch any more.
"""

from __future__ import annotations

import contextlib
import os
import sysconfig
import warnings
import weakref
from time import monotonic as clock
from types import FrameType
from typing import Any, Final

import gevent
from gevent.monkey import get_original

import reqkit
from reqkit.base.locks import native_rlock
from reqkit.network import forks

from .frames import current_frames
from .hubs import Hub, current_hub

__all__ = ["unwatch", "watch"]

#: Seconds without a turn after which the code that runs is named.
LONG: Final = 10.0
#: Seconds between two looks.
_PAUSE: Final = 1.0

_PACKAGES: Final = tuple(
    os.path.dirname(os.path.abspath(str(package.__file__))) + os.sep for package in (reqkit, gevent)
)
#: Code that runs for others: this package's, gevent's, the standard library's.
_OURS: Final = (*_PACKAGES, _PACKAGES[0].removesuffix(os.sep) + "_async" + os.sep, "<frozen ")
_STDLIB: Final = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
_SITE: Final = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")


class _Watched:
    """A loop, and what was seen of it last."""

    __slots__ = ("begun", "kept", "named", "since", "thread", "turns")

    def __init__(self, kept: Hub) -> None:
        self.kept = weakref.ref(kept)
        self.thread: int = kept.hub.thread_ident
        self.begun = 0
        self.turns = -1
        self.since = 0.0
        self.named = False

    def look(self, now: float) -> None:
        """Look whether the loop has turned since the last time; name who keeps it from that."""
        kept = self.kept()
        if kept is None:
            return
        if kept.turns != self.turns or kept.waits:
            self.turns, self.since, self.named = kept.turns, now, False
        elif now - self.since >= LONG and not self.named:
            frame = current_frames().get(self.thread)
            if frame is None or _is_waiting(frame):  # a loop that does not say that it waits
                self.since = now
            else:
                self.named = True
                _name(frame, now - self.since)


class _Watch:
    """Looks at the loops of one process."""

    def __init__(self) -> None:
        self.generation = forks.count
        self._lock = native_rlock()
        self._start: Any = get_original("_thread", "start_new_thread")
        self._sleep: Any = get_original("time", "sleep")
        self._watched: dict[Hub, _Watched] = {}
        self._runs = False

    def begin(self, kept: Hub) -> None:
        with self._lock:
            watched = self._watched.get(kept)
            if watched is None:
                watched = self._watched[kept] = _Watched(kept)
                # An interrupt in the loop goes on to the main greenlet, and is told of there.
                kept.hub.NOT_ERROR = (*type(kept.hub).NOT_ERROR, KeyboardInterrupt)
            watched.begun += 1
            if not self._runs:
                try:
                    self._start(self._run, ())
                    self._runs = True
                except RuntimeError:  # no thread left: nothing is named
                    pass

    def end(self, kept: Hub) -> None:
        with self._lock:
            watched = self._watched.get(kept)
            if watched is not None:
                watched.begun -= 1
                if not watched.begun:
                    del self._watched[kept]
                    vars(kept.hub).pop("NOT_ERROR", None)

    def _run(self) -> None:
        while True:
            self._sleep(_PAUSE)
            with self._lock:
                all_watched = list(self._watched.values())
                if not all_watched:
                    self._runs = False
                    return
            for watched in all_watched:
                with contextlib.suppress(Exception):  # watching breaks nothing
                    watched.look(clock())


_watch = _Watch()


def watch() -> Hub:
    """Have this thread's loop watched, until `unwatch` is called with what this returns."""
    global _watch
    if _watch.generation != forks.count:
        _watch = _Watch()  # a forked process has none of its parent's threads
    kept = current_hub()
    _watch.begin(kept)
    return kept


def unwatch(kept: Hub) -> None:
    """Take a `watch` back. May be called in any thread."""
    _watch.end(kept)


def _is_waiting(frame: FrameType) -> bool:
    """Tell whether the innermost code is the loop's own: it waits for the network."""
    return frame.f_globals.get("__name__") == "gevent.hub" and frame.f_code.co_name == "run"


def _name(frame: FrameType | None, seconds: float) -> None:
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith(_OURS) and (
            not file.startswith(_STDLIB) or any(part in file for part in _SITE)
        ):
            break
        frame = frame.f_back
    if frame is None:
        return
    warnings.warn_explicit(
        f"this has kept all greenlets of its thread waiting for {seconds:.0f} s: nothing is sent or"
        " received meanwhile. Let others run (gevent.sleep), do the work in a thread"
        " (gevent.get_hub().threadpool), or after the batch",
        RuntimeWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__"),
    )
