"""A cookie of the standard library's kind, whose value does not show."""

from __future__ import annotations

import http.cookiejar

__all__ = ["Cookie"]


class Cookie(http.cookiejar.Cookie):
    """A `http.cookiejar.Cookie` that tells its name, and where it goes, and not its value."""

    __module__ = "reqkit.cookies"

    def __repr__(self) -> str:
        port = f":{self.port}" if self.port else ""
        return f"<Cookie {self.name}=*** for {self.domain or '(no domain)'}{port}{self.path}>"

    __str__ = __repr__
