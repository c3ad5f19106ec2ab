"""The classes, where programs written for ``requests`` import them from: its ``models``."""

from __future__ import annotations

from .body import CONTENT_CHUNK_SIZE, ITER_CHUNK_SIZE
from .prepare import PreparedRequest
from .request import Request
from .response import Response

__all__ = ["CONTENT_CHUNK_SIZE", "ITER_CHUNK_SIZE", "PreparedRequest", "Request", "Response"]
