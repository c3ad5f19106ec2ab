"""Who asks: Basic, Digest, Bearer, and what an auth of one's own is made from.

An auth is any callable that gets the prepared request and returns it, changed. See `AuthBase`.

Stands on: base.
Begin with `base.AuthBase`; `digest` is the long one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.locks import IMPORTING
from .base import AuthBase
from .basic import HTTPBasicAuth, HTTPBearerAuth, HTTPProxyAuth, basic_header

if TYPE_CHECKING:
    from .digest import HTTPDigestAuth
else:

    def __getattr__(name: str) -> Any:
        """Import Digest when it is asked for: it is long, and seldom used."""
        if name != "HTTPDigestAuth":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        with IMPORTING:
            from .digest import HTTPDigestAuth
        globals()[name] = HTTPDigestAuth
        return HTTPDigestAuth


__all__ = [
    "AuthBase",
    "HTTPBasicAuth",
    "HTTPBearerAuth",
    "HTTPDigestAuth",
    "HTTPProxyAuth",
    "basic_header",
]
