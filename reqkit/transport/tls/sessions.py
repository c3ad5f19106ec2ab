"""TLS sessions that the next connection to the same place may resume."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Hashable
from typing import Final

from ...base.locks import native_rlock

__all__ = ["Resumable", "SessionCache", "SessionSource"]

#: Places whose TLS sessions are kept for one context; with its connection's end, which it is kept
#: in until it is asked for, one takes about 40 KB.
_MOST_SESSIONS: Final = 250

#: Returns a TLS session to resume, or None where there is none (yet). Never blocks.
SessionSource = Callable[[], "ssl.SSLSession | None"]

_lock = native_rlock()


class SessionCache:
    """TLS sessions to resume, by where they came from. Bounded: the oldest goes first.

    A connection that one thread has for its own offers its session, which is copied when another
    connection asks for it, and no sooner: to OpenSSL that is work as reading the certificate was,
    and most are never asked for.
    """

    __slots__ = ("_most", "_places")

    def __init__(self, most: int = _MOST_SESSIONS) -> None:
        self._most = most
        self._places: dict[Hashable, _Place] = {}

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: Hashable) -> ssl.SSLSession | None:
        """Return the newest session for this place, or None. It may be used more than once."""
        place = self._places.get(key)
        if place is None:
            return None
        source = place.source
        if source is not None:
            fresh = source()
            if fresh is not None:
                place.session = fresh
                if place.source is source:  # another thread may have offered meanwhile
                    place.source = None
        return place.session

    def offer(self, key: Hashable, source: SessionSource) -> None:
        """Note where a session can be had, in the place of the one before once it was.

        Args:
            key: where the connection leads.
            source: returns the session, None where there is none (yet); kept for as long.
        """
        with _lock:
            place = self._places.pop(key, None)
            if place is None:
                place = _Place()
            place.source = source
            self._places[key] = place
            if len(self._places) > self._most:
                del self._places[next(iter(self._places))]

    def drop(self, key: Hashable) -> None:
        """Forget a session that did not serve."""
        with _lock:
            self._places.pop(key, None)


class _Place:
    __slots__ = ("session", "source")

    def __init__(self) -> None:
        self.session: ssl.SSLSession | None = None
        self.source: SessionSource | None = None


class Resumable:
    """Gives the session of a connection, open or closed; holds nothing of the stream below.

    Attributes:
        thread: the only one that may ask, as the connection is its own: in another, OpenSSL may
            replace the session while it is copied. None: the connection is closed.
    """

    __slots__ = ("thread", "tls")

    def __init__(self, tls: ssl.SSLObject) -> None:
        self.tls: ssl.SSLObject | None = tls
        self.thread: int | None = threading.get_native_id()

    def __call__(self) -> ssl.SSLSession | None:
        """Return the session, or None where there is none to resume."""
        tls = self.tls
        if tls is None or self.thread not in (None, threading.get_native_id()):
            return None
        session = tls.session
        # In TLS 1.3 only a ticket can be resumed (RFC 8446 section 4.6.1); before, an id can.
        if session is not None and (
            session.has_ticket or (session.id and tls.version() != "TLSv1.3")
        ):
            return session
        return None
