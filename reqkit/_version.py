"""The version, in one place: packaging reads it from here without importing reqkit."""

from __future__ import annotations

from typing import Final

__all__ = ["__version__"]

#: PEP 440.
__version__: Final = "0.1.0"
