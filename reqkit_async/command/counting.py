"""Bodies that are only counted: read where they come from, to their end, and never kept.

A body that came whole with its head, as nearly all small ones do, is left as it is.
"""

from __future__ import annotations

from typing import Any

from reqkit import Response, Session
from reqkit.models import PreparedRequest
from reqkit.sessions.chain import Chain

__all__ = ["CountingSession", "counted"]


def counted(response: Any) -> int:
    """Return the decoded body's size, reading what has not come yet; it is not kept. Blocks.

    Raises:
        RequestException: it broke off, is not what its Content-Encoding says, or is too large.
    """
    if not response._streamed:
        if response._whole is not None and response._field("content-encoding") is None:
            return len(response.content)
        for _ in response.iter_content(None):
            pass
    size: int = response.body_size
    return size


class CountingChain(Chain):
    """Sends as any other, and reads the body of the last answer without keeping it."""

    __slots__ = ()

    def run(self, prepared: PreparedRequest) -> Response:
        """Send a message and those that its answers ask for, and count the body. Blocks."""
        response = super().run(prepared)
        if response._whole is None or response._field("content-encoding") is not None:
            counted(response)
        return response


class CountingSession(Session):
    """A session whose bodies are counted before its requests count as answered."""

    _chain_class = CountingChain
