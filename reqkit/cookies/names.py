"""What `reqkit.cookies` has, from where it lies: imported when the first cookie is."""

from __future__ import annotations

from .conversion import cookie_header, create_cookie, morsel_to_cookie
from .cookie import Cookie
from .jar import CookieConflictError, CookieJar, remove_cookie_by_name
from .merging import (
    add_dict_to_cookiejar,
    cookiejar_from_dict,
    dict_from_cookiejar,
    extract_cookies_to_jar,
    get_cookie_header,
    header_for,
    left_out,
    merge_cookies,
    set_cookie_values,
    store,
    to_jar,
)
from .parsing import parse_date
from .policy import MockRequest, MockResponse
from .scope import Origin, Place, Target

__all__ = [
    "Cookie",
    "CookieConflictError",
    "CookieJar",
    "MockRequest",
    "MockResponse",
    "Origin",
    "Place",
    "RequestsCookieJar",
    "Target",
    "add_dict_to_cookiejar",
    "cookie_header",
    "cookiejar_from_dict",
    "create_cookie",
    "dict_from_cookiejar",
    "extract_cookies_to_jar",
    "get_cookie_header",
    "header_for",
    "left_out",
    "merge_cookies",
    "morsel_to_cookie",
    "parse_date",
    "remove_cookie_by_name",
    "set_cookie_values",
    "store",
    "to_jar",
]

#: The name that users of ``requests`` know.
RequestsCookieJar = CookieJar
