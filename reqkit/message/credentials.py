"""A message's auth and cookies: what a user gave, and what was written of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import cookies as jars
from ..auth import HTTPBasicAuth
from ..hooks import Hook
from ..structures import CaseInsensitiveDict

__all__ = ["Auth", "Credentials", "auth_of"]

Auth = Callable[[Any], Any]


def auth_of(auth: Any) -> Auth | None:
    """Return the callable that ``auth=`` stands for: a pair is Basic.

    Raises:
        TypeError: it is neither a pair nor callable.
    """
    if auth is None or auth is False:
        return None
    if isinstance(auth, (tuple, list)):
        if len(auth) != 2:
            raise TypeError(
                f"auth is a {type(auth).__name__} of {len(auth)}: expected a (user, password) pair"
            )
        return HTTPBasicAuth(*auth)
    if callable(auth):
        return auth  # type: ignore[no-any-return]
    raise TypeError(
        f"auth is a {type(auth).__name__}: expected a (user, password) pair, or a callable that"
        " takes the prepared request and returns it"
    )


class Credentials:
    """A message's auth and cookies: what they were made of, and what was written of them.

    Attributes:
        auth: the auth object, which may go on to where a redirect leads.
        auth_hooks: what auth objects registered: run for each answer, not once at the end.
        in_auth: whether one is at work now.
        bare: the headers before auth: what may follow a redirect.
        jars: what the Cookie header was written from: the session's jar and the call's.
        left_out: names of the session's cookies that the call leaves out.
        own_jar: a jar of this message's own, that auth handlers may add to.
        wrote_cookies: whether the Cookie header was written here, and not set by hand.
        bound_to: the origin that cookies without a domain belong to.
    """

    __slots__ = (
        "auth", "auth_hooks", "bare", "bound_to", "in_auth", "jars", "left_out", "own_jar",
        "wrote_cookies",
    )  # fmt: skip

    def __init__(self) -> None:
        self.auth: Auth | None = None
        self.auth_hooks: list[Hook] | None = None
        self.in_auth: bool = False
        self.bare: CaseInsensitiveDict | None = None
        self.jars: tuple[Any, jars.CookieJar | None] | None = None
        self.left_out: frozenset[str] = frozenset()
        self.own_jar: jars.CookieJar | None = None
        self.wrote_cookies: bool = False
        self.bound_to: tuple[str, str, int] | None = None

    def copy(self) -> Credentials:
        """Return a copy whose headers, hooks and cookies are its own."""
        copied = Credentials()
        copied.auth = self.auth
        copied.auth_hooks = None if self.auth_hooks is None else list(self.auth_hooks)
        copied.bare = None if self.bare is None else self.bare.copy()
        copied.jars = self.jars
        copied.left_out = self.left_out
        copied.own_jar = None if self.own_jar is None else self.own_jar.copy()
        copied.wrote_cookies = self.wrote_cookies
        copied.bound_to = self.bound_to
        return copied
