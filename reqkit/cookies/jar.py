"""The jar as users know it: a dictionary of names to values.

Two kinds of cookies are in it. Those of an answer, and those made with a domain, go where their
domain says. Those made without one (``jar.set(name, value)``, a dict) are *unbound*: their domain
is ``""``, and they go to the origin of the first request of a chain alone (``bound_to`` of
`CookieJar.header_for`).
"""

from __future__ import annotations

import contextlib
import copy
import http.cookiejar
from collections.abc import Iterator, MutableMapping
from http.cookiejar import Cookie
from http.cookies import Morsel
from typing import Any

from .._pickling import PickledAlone
from .conversion import create_cookie, morsel_to_cookie
from .storage import CookieStorage

__all__ = ["CookieConflictError", "CookieJar", "remove_cookie_by_name"]


class CookieConflictError(PickledAlone, RuntimeError):
    """Several cookies have the name. Ask for one with ``jar.get(name, domain=, path=)``."""


class CookieJar(CookieStorage, MutableMapping[str, str | None]):  # type: ignore[misc]
    """Cookies, with the interface of a dict and of `http.cookiejar.CookieJar`.

    Iterating gives the `http.cookiejar.Cookie` objects, oldest first. Safe to share between
    threads. Pickles with its policy, and with each cookie's scope.

    Args:
        policy: asked, beyond the rules that are always kept, for each cookie that comes or goes.
    """

    __module__ = "reqkit.cookies"

    def get(
        self,
        name: str,
        default: Any = None,
        domain: str | None = None,
        path: str | None = None,
    ) -> Any:
        """Return the value of a cookie, or the default.

        Raises:
            CookieConflictError: several have the name; give the domain, the path, or both.
        """
        try:
            return self._only(name, domain, path).value
        except KeyError:
            return default

    def set(self, name: str, value: Any, **kwargs: Any) -> Cookie | None:
        """Put a cookie in, and return it.

        Args:
            name: its name.
            value: text or a number; a `http.cookies.Morsel` brings its own name and attributes;
                None removes the cookies of the name.
            **kwargs: ``domain path secure expires rest ...``, as `create_cookie` takes them.
                Without a domain the cookie is unbound: it goes to the first request's origin.

        Raises:
            InvalidHeader: the name or the value cannot be sent.
            TypeError: the value is none of these, or a keyword is unknown.
        """
        if value is None:
            remove_cookie_by_name(self, name, kwargs.get("domain"), kwargs.get("path"))
            return None
        if isinstance(value, Morsel):
            cookie = morsel_to_cookie(value)
        else:
            cookie = create_cookie(name, value, **kwargs)
        self.set_cookie(cookie)
        return cookie

    def __getitem__(self, name: str) -> str | None:
        """Return a cookie's value.

        Raises:
            KeyError: there is none of the name.
            CookieConflictError: there are several; use `get` with a domain or a path.
        """
        return self._only(name, None, None).value

    def __setitem__(self, name: str, value: Any) -> None:
        """Put an unbound cookie in, as `set` does."""
        self.set(name, value)

    def __delitem__(self, name: str) -> None:
        """Remove all cookies of the name; no error where there is none."""
        remove_cookie_by_name(self, name)

    def __contains__(self, item: object) -> bool:
        """Tell whether there is a cookie of this name, or this very cookie."""
        if isinstance(item, Cookie):
            with self._cookies_lock:
                there = self._cookies.get(item.domain, {}).get(item.path, {}).get(item.name)
            return there is not None and there.value == item.value
        return any(cookie.name == item for cookie in self)

    def iterkeys(self) -> Iterator[str]:
        """Iterate over the names, each as often as cookies have it."""
        for cookie in self:
            yield cookie.name

    def itervalues(self) -> Iterator[str | None]:
        """Iterate over the values."""
        for cookie in self:
            yield cookie.value

    def iteritems(self) -> Iterator[tuple[str, str | None]]:
        """Iterate over pairs of name and value."""
        for cookie in self:
            yield cookie.name, cookie.value

    def keys(self) -> list[str]:  # type: ignore[override]
        """Return the names, each as often as cookies have it."""
        return list(self.iterkeys())

    def values(self) -> list[str | None]:  # type: ignore[override]
        """Return the values."""
        return list(self.itervalues())

    def items(self) -> list[tuple[str, str | None]]:  # type: ignore[override]
        """Return pairs of name and value, which ``dict`` takes."""
        return list(self.iteritems())

    def popitem(self) -> tuple[str, str | None]:
        """Remove the oldest cookie and return its name and value.

        Raises:
            KeyError: the jar is empty.
        """
        with self._cookies_lock:
            for cookie in self:
                self.clear(cookie.domain, cookie.path, cookie.name)
                return cookie.name, cookie.value
        raise KeyError("the cookie jar is empty")

    def update(self, other: Any = (), /, **kwargs: Any) -> None:
        """Put in copies of a jar's cookies, each with its scope, or a mapping's, unbound."""
        if isinstance(other, http.cookiejar.CookieJar):
            for cookie in other:
                self.set_cookie(copy.copy(cookie))
            other = ()
        super().update(other, **kwargs)

    def copy(self) -> CookieJar:
        """Return a jar with copies of the cookies, and the same policy."""
        twin = type(self)()
        twin.set_policy(self._policy)
        twin.update(self)
        return twin

    def list_domains(self) -> list[str]:
        """Return the domains, each once; "" is that of the unbound cookies."""
        return list(dict.fromkeys(cookie.domain for cookie in self))

    def list_paths(self) -> list[str]:
        """Return the paths, each once."""
        return list(dict.fromkeys(cookie.path for cookie in self))

    def multiple_domains(self) -> bool:
        """Tell whether the cookies have more than one domain."""
        return len(self.list_domains()) > 1

    def get_dict(self, domain: str | None = None, path: str | None = None) -> dict[str, str | None]:
        """Return names and values as a dict, of one domain, one path, or all."""
        return {c.name: c.value for c in self if _is_of(c, domain, path)}

    def _only(self, name: str, domain: str | None, path: str | None) -> Cookie:
        found = [c for c in self if c.name == name and _is_of(c, domain, path)]
        if not found:
            asked = {"domain": domain, "path": path}
            where = "".join(f", {key}={value!r}" for key, value in asked.items() if value)
            raise KeyError(f"name={name!r}{where}")
        if len(found) > 1:
            places = ", ".join(f"{c.domain or '(no domain)'}{c.path}" for c in found)
            raise CookieConflictError(
                f"{len(found)} cookies are named {name!r} ({places}):"
                " ask for one with get(name, domain=..., path=...)"
            )
        return found[0]


def remove_cookie_by_name(
    cookiejar: http.cookiejar.CookieJar,
    name: str,
    domain: str | None = None,
    path: str | None = None,
) -> None:
    """Remove a jar's cookies of a name, of all domains and paths or of those given."""
    for cookie in list(cookiejar):
        if cookie.name == name and _is_of(cookie, domain, path):
            with contextlib.suppress(KeyError):  # another thread was faster
                cookiejar.clear(cookie.domain, cookie.path, cookie.name)


def _is_of(cookie: Cookie, domain: str | None, path: str | None) -> bool:
    if path is not None and cookie.path != path:
        return False
    # http.cookiejar, and so requests, knows a host without dots as "localhost.local".
    return (
        domain is None
        or cookie.domain == domain
        or ("." not in cookie.domain and f"{cookie.domain}.local" == domain)
    )
