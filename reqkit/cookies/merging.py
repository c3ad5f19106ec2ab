"""What comes as cookies made into a jar, and jars of others used by the rules of ours."""

from __future__ import annotations

import contextlib
import http.cookiejar
import time
from collections.abc import Collection, Iterable, Mapping
from http.cookiejar import Cookie
from http.cookies import Morsel
from typing import Any, TypeVar

from .conversion import create_cookie, morsel_to_cookie
from .jar import CookieJar
from .policy import MockRequest, stdlib_form
from .scope import Origin, Target, domains_of, place_of

__all__ = [
    "cookiejar_from_dict",
    "extract_cookies_to_jar",
    "get_cookie_header",
    "header_for",
    "left_out",
    "merge_cookies",
    "set_cookie_values",
    "store",
    "to_jar",
]

_Jar = TypeVar("_Jar", bound=http.cookiejar.CookieJar)


def to_jar(cookies: Mapping[str, Any] | http.cookiejar.CookieJar | None) -> CookieJar:
    """Make a jar of one's own of whatever ``cookies=`` may be given. What is given stays as it is.

    Args:
        cookies: a mapping of names to values (None leaves the name out: see `left_out`), to
            `http.cookies.Morsel` too; any `http.cookiejar.CookieJar`, whose policy comes along;
            or None.

    Raises:
        InvalidHeader: a cookie cannot be sent.
        TypeError: it is none of these.
    """
    if cookies is None:
        return CookieJar()
    if isinstance(cookies, http.cookiejar.CookieJar):
        if isinstance(cookies, CookieJar):
            return cookies.copy()
        jar = CookieJar(_policy_of(cookies))
        jar.update(cookies)
        return jar
    jar = CookieJar()
    cookiejar_from_dict(cookies, jar)
    return jar


def left_out(cookies: Any) -> frozenset[str]:
    """Return the names that a call's cookies leave out: those that are None in its mapping."""
    if not cookies or isinstance(cookies, http.cookiejar.CookieJar):
        return frozenset()
    return frozenset(name for name, value in cookies.items() if value is None)


def dict_from_cookiejar(cj: Iterable[Cookie]) -> dict[str, str | None]:
    """Return names and values of a jar's cookies, whatever their domains and paths.

    Args:
        cj: any `http.cookiejar.CookieJar`. Of cookies with the same name the last one counts.
    """
    return {cookie.name: cookie.value for cookie in cj}


def add_dict_to_cookiejar(cj: Any, cookie_dict: Mapping[str, Any] | None) -> Any:
    """Put a mapping's cookies into a jar; `cookiejar_from_dict` in the order of ``requests``."""
    return cookiejar_from_dict(cookie_dict, cj)


def cookiejar_from_dict(
    cookie_dict: Mapping[str, Any] | None,
    cookiejar: Any = None,
    overwrite: bool = True,
) -> Any:
    """Put a mapping's cookies into a jar, unbound, and return the jar.

    Args:
        cookie_dict: names and values; one that is None is left out.
        cookiejar: any `http.cookiejar.CookieJar`; None for a new `CookieJar`.
        overwrite: whether a name that the jar has already is put in.

    Raises:
        InvalidHeader: a cookie cannot be sent.
        TypeError: it is no mapping.
    """
    jar = CookieJar() if cookiejar is None else cookiejar
    if cookie_dict is None:
        return jar
    if not isinstance(cookie_dict, Mapping):
        # The cookies themselves are secrets, so the type alone is named.
        raise TypeError(
            f"cookies is a {type(cookie_dict).__name__}: expected a dict of names to values, or a"
            " CookieJar"
        )
    there = set() if overwrite else {cookie.name for cookie in jar}
    for name, value in cookie_dict.items():
        if value is None or name in there:
            continue
        jar.set_cookie(
            morsel_to_cookie(value) if isinstance(value, Morsel) else create_cookie(name, value)
        )
    return jar


def merge_cookies(cookiejar: _Jar, cookies: Any) -> _Jar:
    """Add cookies to a jar and return it; a mapping's never replace the jar's.

    Args:
        cookiejar: any `http.cookiejar.CookieJar`.
        cookies: a mapping, or another jar, whose cookies do replace the same ones.

    Raises:
        InvalidHeader: a cookie cannot be sent.
        ValueError: the first is no jar.
    """
    if not isinstance(cookiejar, http.cookiejar.CookieJar):
        raise ValueError(
            f"cookies can be merged into a CookieJar only, not a {type(cookiejar).__name__}"
        )
    if not isinstance(cookies, http.cookiejar.CookieJar):
        cookiejar_from_dict(cookies, cookiejar, overwrite=False)
    else:
        for cookie in to_jar(cookies):
            cookiejar.set_cookie(cookie)
    return cookiejar


def header_for(
    jar: http.cookiejar.CookieJar,
    target: str | Target,
    *,
    bound_to: Origin | None = None,
    over: CookieJar | None = None,
    without: Collection[str] = (),
) -> str | None:
    """Do what `CookieJar.header_for` does, for any jar: its policy is asked too."""
    if not isinstance(jar, CookieJar):
        target = place_of(target)
        jar = _view(jar, target)
    return jar.header_for(target, bound_to=bound_to, over=over, without=without)


def store(
    jar: http.cookiejar.CookieJar,
    set_cookie_values: Iterable[str],
    target: str | Target,
    *,
    over: CookieJar | None = None,
) -> None:
    """Do what `CookieJar.store` does, for any jar: its policy is asked too.

    A jar that is not ours gets its cookies as the standard library would spell them.
    """
    if isinstance(jar, CookieJar):
        jar.store(set_cookie_values, target, over=over)
        return
    place = place_of(target)
    now = time.time()
    for cookie in _view(jar, place).admitted(set_cookie_values, place, now):
        form = stdlib_form(cookie)
        if cookie.is_expired(int(now)):
            with contextlib.suppress(KeyError):  # nothing to delete
                jar.clear(form.domain, form.path, form.name)
        else:
            jar.set_cookie(form)
        if over:
            over.discard_unbound(cookie.name)


def _view(jar: http.cookiejar.CookieJar, place: Target) -> CookieJar:
    """Return a jar of ours with those cookies of another's that may concern a URL."""
    view = CookieJar(_policy_of(jar))
    near = {domain for domain, _ in domains_of(place.host)}
    for cookie in list(jar):
        if cookie.domain in near:
            view.set_cookie(cookie)
    return view


def _policy_of(jar: http.cookiejar.CookieJar) -> http.cookiejar.CookiePolicy | None:
    # http.cookiejar has no public way to it.
    return getattr(jar, "_policy", None)


def set_cookie_values(headers: Any) -> list[str]:
    """Return the Set-Cookie values of a raw answer's headers, each by itself.

    Args:
        headers: with ``getlist`` (urllib3), ``get_all`` (email, http.client), or a mapping.
    """
    if headers is None:
        return []
    for method in ("getlist", "get_all"):
        ask = getattr(headers, method, None)
        if ask is not None:
            return list(ask("set-cookie") or ())
    value = headers.get("Set-Cookie")
    return [] if value is None else [value]


def extract_cookies_to_jar(
    jar: http.cookiejar.CookieJar | None, request: Any, response: Any
) -> None:
    """Take an answer's cookies into a jar, as plugins written for ``requests`` have it done.

    Args:
        jar: any `http.cookiejar.CookieJar`; None does nothing.
        request: with ``url`` and ``headers``: the message that was answered. A Host header set by
            hand is the host.
        response: a raw answer, with ``headers``; none, or one without, does nothing.
    """
    if jar is None or not getattr(request, "url", None):
        return
    headers = getattr(response, "headers", None)
    if headers is None:
        headers = getattr(getattr(response, "_original_response", None), "msg", None)
    values = set_cookie_values(headers)
    if values:
        store(jar, values, MockRequest(request).get_full_url())


def get_cookie_header(jar: http.cookiejar.CookieJar, request: Any) -> str | None:
    """Return the Cookie header that a request gets from a jar, or None.

    Args:
        jar: any `http.cookiejar.CookieJar`.
        request: with ``url`` and ``headers``. One with a Cookie header gets no other.

    Raises:
        InvalidHeader: a cookie cannot be sent as it is.
    """
    asked = MockRequest(request)
    if asked.has_header("Cookie"):
        return None
    return header_for(jar, asked.get_full_url())
