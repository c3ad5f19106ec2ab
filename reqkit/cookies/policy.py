"""A jar's own `http.cookiejar.CookiePolicy`, and the stand-ins for what it is asked about.

It is asked after the rules of `scope`, and can only refuse more.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping
from http.cookiejar import Cookie, CookiePolicy, DefaultCookiePolicy
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from .scope import Target

__all__ = ["MockRequest", "MockResponse", "is_plain", "may_return", "may_set", "stdlib_form"]

_PLAIN_POLICY: Final = vars(DefaultCookiePolicy())


class _Message(NamedTuple):
    url: str
    headers: Mapping[str, Any]


class MockRequest:
    """A request as `http.cookiejar` and its policies know one.

    Args:
        request: anything with ``url`` and ``headers``. A Host header set by hand is the host.
    """

    def __init__(self, request: Any) -> None:
        self._r = request
        self._url: str = request.url
        self._new_headers: dict[str, str] = {}
        self.type: str = urlsplit(self._url).scheme

    def get_type(self) -> str:
        """Return the scheme."""
        return self.type

    def get_host(self) -> str:
        """Return host and port, as the URL has them."""
        return urlsplit(self.get_full_url()).netloc

    def get_origin_req_host(self) -> str:
        """Return the host again: who caused the request is not known here."""
        return self.get_host()

    def get_full_url(self) -> str:
        """Return the URL, with the host of a Host header where there is one."""
        named = self.get_header("Host")
        if not named:
            return self._url
        host = named.decode("latin-1") if isinstance(named, bytes) else str(named)
        return urlunsplit(urlsplit(self._url)._replace(netloc=host))

    def is_unverifiable(self) -> bool:
        """Return True, as ``requests`` does: no user has looked at it."""
        return True

    def has_header(self, name: str) -> bool:
        """Tell whether the request has a header, or has been given it here."""
        return self.get_header(name) is not None

    def get_header(self, name: str, default: Any = None) -> Any:
        """Return a header of the request, or one that it has been given here."""
        return (self._r.headers or {}).get(name, self._new_headers.get(name, default))

    def add_header(self, key: str, val: str) -> None:
        """Refuse: a cookie's header goes no further than its request.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("cookies are added with add_unredirected_header()")

    def add_unredirected_header(self, name: str, value: str) -> None:
        """Note a header that the request should get."""
        self._new_headers[name] = value

    def get_new_headers(self) -> dict[str, str]:
        """Return the headers that were added here."""
        return self._new_headers

    @property
    def unverifiable(self) -> bool:
        """What `is_unverifiable` says."""
        return self.is_unverifiable()

    @property
    def origin_req_host(self) -> str:
        """What `get_origin_req_host` says."""
        return self.get_origin_req_host()

    @property
    def host(self) -> str:
        """What `get_host` says."""
        return self.get_host()


class MockResponse:
    """An answer as `http.cookiejar` knows one.

    Args:
        headers: an `email.message.Message`, or whatever else has ``get_all``.
    """

    def __init__(self, headers: Any) -> None:
        self._headers = headers

    def info(self) -> Any:
        """Return the headers."""
        return self._headers

    def getheaders(self, name: str) -> Any:
        """Return the values of a header."""
        return self._headers.get_all(name, [])


def is_plain(policy: CookiePolicy) -> bool:
    """Tell whether a policy is the standard library's as it comes, so need not be asked."""
    if type(policy) is not DefaultCookiePolicy:
        return False
    state = vars(policy)
    return state == _PLAIN_POLICY or all(state.get(k) == v for k, v in _PLAIN_POLICY.items())


def stdlib_form(cookie: Cookie) -> Cookie:
    """Return the cookie as `http.cookiejar` spells it: a host without dots ends in ``.local``."""
    domain = cookie.domain
    if not domain or "." in domain:
        return cookie
    cookie = copy.copy(cookie)
    cookie.domain = (f"[{domain}]" if ":" in domain else domain) + ".local"
    return cookie


def _asked(policy: CookiePolicy, place: Target) -> Any:
    # What http.cookiejar's jars leave there for DefaultCookiePolicy before they ask it.
    policy._now = int(time.time())  # type: ignore[attr-defined]
    return MockRequest(_Message(place.url, {}))


def may_set(policy: CookiePolicy, cookie: Cookie, place: Target) -> bool:
    """Ask a jar's policy whether it takes a cookie from an answer to this URL."""
    return bool(policy.set_ok(stdlib_form(cookie), _asked(policy, place)))


def may_return(policy: CookiePolicy, cookies: list[Cookie], place: Target) -> list[Cookie]:
    """Ask a jar's policy which of these cookies it gives to this URL."""
    request = _asked(policy, place)
    given = []
    for cookie in cookies:
        form = stdlib_form(cookie)
        if (
            policy.domain_return_ok(form.domain, request)
            and policy.path_return_ok(form.path, request)
            and policy.return_ok(form, request)
        ):
            given.append(cookie)
    return given
