"""Cookies: a jar that is a dictionary, RFC 6265's rules, and the names that plugins import.

Built on `http.cookiejar`: the cookies are its `Cookie` objects, and its jars can be given, merged
and kept. No sockets, and nothing here blocks.

Stands on: base.
Begin with `jar.CookieJar`, then `policy` and `scope`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..base.importing import import_late

if TYPE_CHECKING:
    from .names import *  # noqa: F403
    from .names import __all__ as __all__
else:
    # `http.cookiejar` brings half of the standard library's network modules: not before the first
    # cookie comes.

    def __getattr__(name: str) -> Any:
        """Import all names when the first is asked for."""
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        names = import_late(f"{__name__}.names")
        globals().update({each: getattr(names, each) for each in (*names.__all__, "__all__")})
        try:
            return globals()[name]
        except KeyError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None

    def __dir__() -> list[str]:
        return list(__getattr__("__all__"))
