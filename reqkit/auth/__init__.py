"""Who asks: Basic, Digest, Bearer, and what an auth of one's own is made from.

An auth is any callable that gets the prepared request and returns it, changed. See `AuthBase`.

Stands on: base.
Begin with `base.AuthBase`; `digest` is the long one.
"""

from __future__ import annotations

from .base import AuthBase
from .basic import HTTPBasicAuth, HTTPBearerAuth, HTTPProxyAuth, basic_header
from .digest import HTTPDigestAuth

__all__ = [
    "AuthBase",
    "HTTPBasicAuth",
    "HTTPBearerAuth",
    "HTTPDigestAuth",
    "HTTPProxyAuth",
    "basic_header",
]
