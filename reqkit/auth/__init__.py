"""Who asks: Basic, Digest, Bearer, and what an auth of one's own is made from.

An auth is any callable that gets the prepared request and returns it, changed. See `AuthBase`.

Stands on: network, base.
Begin with `base.AuthBase`; `digest` is the long one, and `bearer` may have to wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.importing import import_late
from .base import AuthBase
from .basic import HTTPBasicAuth, HTTPProxyAuth, basic_header

if TYPE_CHECKING:
    from .bearer import HTTPBearerAuth
    from .digest import HTTPDigestAuth
else:

    def __getattr__(name: str) -> Any:
        """Import what few programs need when it is asked for."""
        if name not in ("HTTPBearerAuth", "HTTPDigestAuth"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        import_late(f"{__name__}.bearer", f"{__name__}.digest")
        from .bearer import HTTPBearerAuth
        from .digest import HTTPDigestAuth

        globals().update(HTTPBearerAuth=HTTPBearerAuth, HTTPDigestAuth=HTTPDigestAuth)
        return globals()[name]


__all__ = [
    "AuthBase",
    "HTTPBasicAuth",
    "HTTPBearerAuth",
    "HTTPDigestAuth",
    "HTTPProxyAuth",
    "basic_header",
]
