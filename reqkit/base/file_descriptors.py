"""How many descriptors this process has left, and what fails where it has none."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeVar

from .locks import native_lock

__all__ = [
    "SHORTAGES", "TOO_MANY", "limit", "look_up", "room", "shortage", "to_close", "with_room",
]  # fmt: skip

T = TypeVar("T")

resource: Any
try:
    import resource
except ImportError:  # Windows
    resource = None

#: What the system says where there is no descriptor left, for this process or at all.
SHORTAGES: Final = frozenset((errno.EMFILE, errno.ENFILE))
#: The same, and what to do about it.
TOO_MANY: Final = (
    "this process has too many open files: close responses, use fewer connections at a time, or"
    " raise the limit (ulimit -n)"
)
#: The least that is kept free.
_LEAST: Final = 4
#: So many connections that nobody uses are closed at once.
_AT_A_TIME: Final = 8
#: Seconds between two tries to open something, and after which a file's last one has failed.
_PAUSE: Final = 0.02
_PATIENCE: Final = 10.0
#: Seconds within which no name server has answered that it cannot.
_AT_ONCE: Final = 0.2
#: Files that a look-up may have open.
_FILES: Final = 3


def limit() -> int | None:
    """Return how many descriptors this process may have; None where that is not bounded."""
    if resource is None:
        return None
    most: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if most == resource.RLIM_INFINITY else most


def to_close(number: int) -> int:
    """Return how many should be closed, by the number of a descriptor that was just opened.

    A new one has the lowest number that is free: where that is close to the limit, all below are
    in use.
    """
    most = limit()
    if most is None:
        return 0
    spare = max(min(most * 3 // 8, 256), _LEAST)
    return spare if number >= most - spare else 0


def shortage(error: BaseException, others: int = 0) -> OSError | None:
    """Return the error that says that there is no descriptor left, or None where there are some.

    Args:
        error: what failed: it may say so itself. Where it does not (a look-up whose files could
            not be opened finds nothing), one is opened to see.
        others: how many look-ups may have been under way at that moment, and have ended since.
    """
    if isinstance(error, OSError) and error.errno in SHORTAGES:
        return error
    try:
        number = os.open(os.devnull, os.O_RDONLY)
    except OSError as failed:
        return failed if failed.errno in SHORTAGES else None
    os.close(number)
    most = limit()
    if most is not None and number >= most - min(_LEAST + others * _FILES, most * 3 // 8):
        return OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    return None


def _pause() -> None:
    """Wait a moment: this thread alone, whatever was patched."""
    lock = native_lock()
    lock.acquire()
    lock.acquire(timeout=0.05)


class _Room:
    """How room is made for a descriptor; the floor that has connections says so.

    Attributes:
        give_way: closes connections that nobody uses, so many at most; returns how many.
        sleep: waits for so many seconds; others go on meanwhile.
    """

    give_way: Callable[[int], int] = staticmethod(lambda count: 0)
    sleep: Callable[[float], Any] = staticmethod(lambda seconds: _pause())


#: The process's.
room: Final = _Room()


def with_room(
    attempt: Callable[[], T],
    patience: float = _PATIENCE,
    failed: Callable[[OSError], Any] | None = None,
) -> T:
    """Do what needs a descriptor; where there is none left, have idle connections give way.

    Where none is idle, it is waited for some to be, or to be closed. May block.

    Args:
        attempt: opens it.
        patience: seconds after which there has to be one.
        failed: gets the error of each try that there was none for; what it raises ends them.

    Raises:
        OSError: there is none left; as ``attempt`` raises.
    """
    ends: float | None = None
    while True:
        try:
            return attempt()
        except OSError as error:
            if error.errno not in SHORTAGES:
                raise
            if failed is not None:
                failed(error)
            if not room.give_way(_AT_A_TIME):
                now = monotonic()
                if ends is None:
                    ends = now + patience
                elif now > ends:
                    raise
                room.sleep(_PAUSE)


def look_up(getaddrinfo: Callable[..., Any], host: str, port: int, others: int) -> Any:
    """Look a name up. Blocks its thread.

    Args:
        getaddrinfo: the system's.
        host: the name.
        port: goes into the addresses.
        others: how many look-ups may be under way beside it.

    Raises:
        OSError: there is no descriptor left for it.
        socket.gaierror: what else the system says.
    """
    for last in (False, False, False, False, True):
        began = monotonic()
        try:
            return getaddrinfo(host, port, 0, socket.SOCK_STREAM)
        except socket.gaierror as error:
            # At once: a moment later there may be some again.
            short = shortage(error, others)
            if short is not None:
                raise short from error
            # No name server says so at once: a file could not be opened, and can be by now.
            if last or error.errno != socket.EAI_AGAIN or monotonic() - began > _AT_ONCE:
                raise
            _pause()
    raise AssertionError("unreachable: the last try returns or raises")
