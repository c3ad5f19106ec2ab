"""How an auth answers who refused a message: with the message once more, to its own origin.

What an auth registers as a ``response`` hook on a message sees the answers to those that it was
redirected to as well: credentials are for the origin that they were asked for, and no other.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final
from urllib.parse import urlsplit

from ..exceptions import (
    ChunkedEncodingError,
    ConnectionError,
    ContentDecodingError,
    ContentTooLarge,
)

__all__ = ["Origin", "covers", "make_ready", "origin_of"]

Origin = tuple[str, str, int]

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def origin_of(url: str) -> Origin:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    port = parts.port
    if port is None:
        port = _DEFAULT_PORTS.get(parts.scheme, 0)
    return parts.scheme, parts.hostname or "", port


def covers(mine: Origin, other: Origin) -> bool:
    """Tell whether credentials for one origin may go to another: the same, or its https."""
    host = mine[1]
    return mine == other or (mine == ("http", host, 80) and other == ("https", host, 443))


def make_ready(again: Any, response: Any) -> None:
    """Make a copy of a refused message ready to be sent. May block: it reads the answer's body.

    Raises:
        UnrewindableBodyError: the message's body must be sent again, and cannot be.
    """
    # The connection is of use again once the body is read; a broken body only costs it. Nobody
    # has asked for it, so who sent the message knows how much of it to read.
    drain = getattr(response.connection, "drain", None)
    if drain is not None:
        drain(response)
    else:
        with contextlib.suppress(
            ChunkedEncodingError, ConnectionError, ContentDecodingError, ContentTooLarge
        ):
            _ = response.content
    response.close()
    if again.body is not None and not isinstance(again.body, (str, bytes, bytearray)):
        again.rewind()
    if hasattr(again, "take_cookies_of"):
        again.take_cookies_of(response)
        again._attempt = getattr(response, "attempts", 1) + 1
