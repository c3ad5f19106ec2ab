"""A body to disk: with constant memory, whole or not at all, and gone on with where it broke off.

Begin with `saving.download`.
"""

from __future__ import annotations

from .resuming import AskAgain, Rest
from .saving import download, rest_of, save, take_whole

__all__ = ["AskAgain", "Rest", "download", "rest_of", "save", "take_whole"]
