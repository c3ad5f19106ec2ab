"""Where a body stands before it is sent, and how it is made ready to be sent again.

A file is sent from where it stood when the request was made, each time that it is sent: what reads
it meanwhile (a hook, another message that is sent at the same time) changes nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from typing import Any, Final

from ...base.locks import native_rlock
from ...exceptions import UnrewindableBodyError
from .sources import Restartable

__all__ = [
    "Positions", "ReadOnce", "announced_length", "locked", "position", "rewind", "seekable", "tell",
]  # fmt: skip


class ReadOnce:
    """The position of a body that can be read but once. Shared by all messages that have the body.

    Attributes:
        begun: whether some of it may have been read.
    """

    __slots__ = ("begun",)

    def __init__(self) -> None:
        self.begun: bool = False


def position(body: Any) -> int | ReadOnce | None:
    """Return what `rewind` needs to know to have a body sent again.

    Returns: a file's position; None for what starts anew by itself (bytes, collections); a
        `ReadOnce` for what can be read but once.
    """
    if type(body) is bytes:  # as most are
        return None
    if isinstance(body, Restartable):
        return None if body.restarts else ReadOnce()
    if hasattr(body, "read"):
        start = tell(body)
        return ReadOnce() if start is None or not seekable(body) else start
    if body is None or isinstance(body, (str, memoryview, Collection)):
        return None
    # An iterable of a known length may start anew; if it does not, `pieces` finds it too short.
    again = not hasattr(body, "__next__") and announced_length(body) is not None
    return None if again else ReadOnce()


class Positions:
    """Where the bodies of one request stood when it was first prepared.

    A request that is prepared again has them where they were, and not where sending has left them.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: list[tuple[Any, int | ReadOnce | None]] = []

    def of(self, body: Any) -> int | ReadOnce | None:
        """Return a body's position, and have the body stand there.

        Raises:
            UnrewindableBodyError: it was sent already, and cannot be read again.
        """
        with locked(body):
            for known, start in self._known:
                if known is body:
                    rewind(body, start)
                    return start
            start = position(body)
            self._known.append((body, start))
            return start


def rewind(body: Any, position: int | ReadOnce | None) -> None:
    """Make a body ready to be sent again.

    Args:
        body: the body.
        position: what `position` said before it was sent.

    Raises:
        UnrewindableBodyError: it cannot be; the text says why, and what to do.
    """
    if position is None:
        return
    kind = type(body).__name__
    if isinstance(position, ReadOnce):
        if not position.begun:
            return
        if isinstance(body, Restartable):
            why = "a part of it can be read only once"
        elif hasattr(body, "read"):
            why = "it cannot be sought (no seek(), or a pipe)"
        else:
            why = "an iterable can be read only once"
        raise UnrewindableBodyError(
            f"the body (a {kind}) was sent already, must be sent again (for a redirect, an auth"
            " challenge or a retry, or since the request is), and"
            f" {why}: give bytes, or a file that can be sought; or do without the redirect"
            " (allow_redirects=False)"
        )
    try:
        with locked(body):
            if tell(body) != position:
                body.seek(position)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UnrewindableBodyError(
            f"the body (a {kind}) must be sent again, and going back to {position} in it failed:"
            f" {error}: keep the file open, or give bytes"
        ) from error


def tell(body: Any) -> int | None:
    """Return where a file stands, or None where it cannot say."""
    try:
        start = body.tell()
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    return start if isinstance(start, int) else None


def seekable(body: Any) -> bool:
    """Tell whether a file can be sought."""
    if not hasattr(body, "seek"):
        return False
    asked = getattr(body, "seekable", None)
    try:
        return bool(asked()) if callable(asked) else True
    except (OSError, ValueError):
        return False


def announced_length(body: Any) -> int | None:
    """Return the length that a body tells of itself; None where it tells none."""
    length = getattr(body, "len", None)
    if hasattr(body, "__len__") and (hasattr(body, "read") or not isinstance(body, Collection)):
        length = len(body)
    return length if isinstance(length, int) and length >= 0 else None


#: Files that are read just now, with a lock for each and how many want it: one message's position
#: must not become another's between a seek and a read. Its holder's greenlets may pass.
_being_read: Final[dict[int, list[Any]]] = {}
_guard: Final[Any] = native_rlock()


@contextlib.contextmanager
def locked(body: Any) -> Iterator[None]:
    """Have a file to oneself: no other thread seeks or reads it here meanwhile."""
    key = id(body)
    with _guard:
        entry = _being_read.setdefault(key, [native_rlock(), 0])
        entry[1] += 1
    try:
        with entry[0]:
            yield
    finally:
        with _guard:
            entry[1] -= 1
            if not entry[1]:
                _being_read.pop(key, None)
