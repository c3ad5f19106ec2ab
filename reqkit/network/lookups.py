"""Look-ups of names in native threads: few of them, shared by all who ask for the same name.

The system's ``getaddrinfo`` has no time limit, and cannot be stopped: who has waited long enough
leaves it to itself. So that names that never answer cost no thread for each time that they are
asked for, the threads are bounded, and what nobody waits for any more is not begun.
"""

from __future__ import annotations

import copy
import errno
import socket
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Final, Protocol

from ..base.file_descriptors import limit
from ..base.locks import native_lock, native_rlock, start_native_thread
from ..timeouts import clock

__all__ = [
    "NO_SUCH_NAME", "REMEMBERED", "LookUpThreads", "Remembered", "SharedLookUps", "no_such_name",
]  # fmt: skip

#: What the system says of names that do not exist, or have no address: it will say so again.
NO_SUCH_NAME: Final = frozenset(
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
)
#: Seconds for which that is remembered.
REMEMBERED: Final = 10.0
#: So many of these are remembered.
_MOST: Final = 1000


def no_such_name(error: BaseException | None) -> bool:
    """Tell whether a look-up has said that there is no such name."""
    return isinstance(error, socket.gaierror) and error.errno in NO_SUCH_NAME


class Job(Protocol):
    """What a native thread is to do."""

    def run(self) -> None:
        """Do it. Never raises."""


class LookUpThreads:
    """Native threads, started as they are needed, ended when they have had nothing to do.

    They are no reason for the process to stay: an interpreter that ends does not wait for them.

    Args:
        most: so many at a time; where there are few descriptors, fewer: each has some files open.
    """

    #: Seconds that a thread waits for the next look-up.
    IDLE: Final = 5.0

    start: Callable[[Callable[..., Any], tuple[Any, ...]], None] = staticmethod(start_native_thread)

    def __init__(self, most: int) -> None:
        self.most: int = min(most, max((limit() or 1 << 20) // 8, 4))
        # A signal's handler may look a name up, too.
        self._lock = native_rlock()
        self._jobs: deque[Job] = deque()
        self._idle: list[Any] = []  # a locked lock for each thread that waits
        self._count = 0

    def submit(self, job: Job) -> None:
        """Have a job done when a thread is free. Never blocks.

        Raises:
            RuntimeError: no thread can be started, and there is none.
        """
        with self._lock:
            self._jobs.append(job)
            if self._idle:
                self._idle.pop().release()
                return
            if self._count >= self.most:
                return
            self._count += 1
        try:
            self.start(self._work, ())
        except RuntimeError:
            with self._lock:
                self._count -= 1
                if not self._count:
                    self._jobs.remove(job)
                    raise
        except BaseException:  # an interrupt: nobody knows whether one was started
            with self._lock:
                self._count -= 1
            raise

    def take_back(self, job: Job) -> bool:
        """Let a job be, unless it was begun; tell whether it was not."""
        with self._lock:
            if job not in self._jobs:
                return False
            self._jobs.remove(job)
            return True

    def _work(self) -> None:
        waiting = native_lock()
        waiting.acquire()
        while True:
            with self._lock:
                job = self._jobs.popleft() if self._jobs else None
                if job is None:
                    self._idle.append(waiting)
            if job is not None:
                job.run()
                job = None  # and what it holds
                continue
            if not waiting.acquire(timeout=self.IDLE):
                with self._lock:
                    if waiting in self._idle:
                        self._idle.remove(waiting)
                        self._count -= 1
                        return
                waiting.acquire()  # released in between: there is a job


class _LookUp:
    """One look-up, and those who wait for it."""

    def __init__(self, owner: SharedLookUps, key: Hashable, function: Callable[[], Any]) -> None:
        self.owner = owner
        self.key = key
        self.function = function
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended = False
        self.waiting: list[Any] = []  # a locked lock for each

    def run(self) -> None:
        try:
            self.value = self.function()
        except BaseException as error:  # raised where it is waited for
            self.error = error
        self.owner.end(self)


class SharedLookUps:
    """Look-ups for callers who block, each for as long as its own limit.

    Args:
        most: so many run at a time.
    """

    def __init__(self, most: int) -> None:
        self._threads = LookUpThreads(most)
        self._lock = native_rlock()
        self._running: dict[Hashable, _LookUp] = {}

    def call(self, key: Hashable, function: Callable[[], Any], timeout: float) -> Any:
        """Return what a function returns; who asks for the same key meanwhile shares it. Blocks.

        Raises:
            TimeoutError: it took longer.
            Exception: what it raised.
        """
        done = native_lock()
        done.acquire()
        mine = _LookUp(self, key, function)
        look_up = mine
        submitted = False
        try:
            with self._lock:
                look_up = self._running.setdefault(key, mine)
                look_up.waiting.append(done)
            if look_up is mine:
                try:
                    self._threads.submit(look_up)
                except RuntimeError as error:
                    look_up.error = OSError(errno.EAGAIN, f"looking up failed: {error}")
                    self.end(look_up)
            submitted = True
            in_time = done.acquire(timeout=min(timeout, 1e6))
        finally:
            with self._lock:
                if done in look_up.waiting:
                    look_up.waiting.remove(done)
                # One that was begun goes on, for who asks later.
                if not (look_up.waiting or look_up.ended) and self._threads.take_back(look_up):
                    self._running.pop(key, None)
            if not submitted and look_up is mine:
                # Interrupted: nobody may ever do it, and those who ask for the name must not wait.
                look_up.error = OSError(errno.EAGAIN, "looking up was interrupted: ask again")
                self.end(look_up)
        if not in_time:
            raise TimeoutError(errno.ETIMEDOUT, "looking up took too long")
        if look_up.error is not None:
            # One each: a raised error gathers its own traceback.
            raise copy.copy(look_up.error) from look_up.error.__cause__
        return look_up.value

    def end(self, look_up: _LookUp) -> None:
        """Wake who waits for a look-up that has ended."""
        with self._lock:
            look_up.ended = True
            if self._running.get(look_up.key) is look_up:
                del self._running[look_up.key]
            for done in look_up.waiting:
                done.release()
            look_up.waiting.clear()


class Remembered:
    """Names that do not exist, for a short while."""

    def __init__(self) -> None:
        self._names: dict[Hashable, tuple[float, tuple[Any, ...]]] = {}

    def check(self, key: Hashable) -> None:
        """Raise what was said of a name, if that was just now."""
        kept = self._names.get(key)
        if kept is not None:
            if clock() < kept[0]:
                raise socket.gaierror(*kept[1])
            self._names.pop(key, None)

    def add(self, key: Hashable, error: BaseException) -> None:
        """Remember what was said of a name."""
        if no_such_name(error):
            if len(self._names) >= _MOST:
                self._names.pop(next(iter(list(self._names)), None), None)
            self._names[key] = (clock() + REMEMBERED, error.args)
