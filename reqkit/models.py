"""The classes, where programs written for ``requests`` import them from: its ``models``.

Pickles name them here, so that they are read whatever lies where.
"""

from __future__ import annotations

from .message.body import CONTENT_CHUNK_SIZE, ITER_CHUNK_SIZE
from .message.config import Config
from .message.keywords import UNSET
from .message.prepare import PreparedRequest
from .message.response import Response
from .sessions import Request

__all__ = [
    "CONTENT_CHUNK_SIZE", "ITER_CHUNK_SIZE", "UNSET", "Config", "PreparedRequest", "Request",
    "Response",
]  # fmt: skip
