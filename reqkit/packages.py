"""Packages that programs written for ``requests`` take from its ``packages``: the very ones.

``from reqkit.packages import urllib3`` and ``reqkit.packages.urllib3.disable_warnings()`` work;
an import of what is below it (``requests.packages.urllib3.util.retry``) is one of ``urllib3``.
"""

from __future__ import annotations

import urllib3

__all__ = ["urllib3"]
