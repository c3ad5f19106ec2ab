"""Many files to disk: on a pool, checked, gone on with where they broke off.

What it knows: names that are safe anywhere, sizes and checksums, and which parts may be
gone on with.

Stands on: pool, network.
Begin reading at `downloading.download`.
"""

from __future__ import annotations

from .downloading import download
from .files import DownloadItem

__all__ = ["DownloadItem", "download"]
