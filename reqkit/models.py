"""The classes, where programs written for ``requests`` import them from: its ``models``."""

from __future__ import annotations

from .message.body import CONTENT_CHUNK_SIZE, ITER_CHUNK_SIZE
from .message.prepare import PreparedRequest
from .message.response import Response
from .sessions import Request

__all__ = ["CONTENT_CHUNK_SIZE", "ITER_CHUNK_SIZE", "PreparedRequest", "Request", "Response"]
