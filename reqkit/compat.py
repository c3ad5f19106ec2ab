"""Names that programs written for ``requests`` take from its ``compat``: no more than that."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping
from http import cookiejar as cookielib
from http.cookies import Morsel
from io import StringIO
from json import JSONDecodeError
from urllib.parse import (
    quote,
    quote_plus,
    unquote,
    unquote_plus,
    urldefrag,
    urlencode,
    urljoin,
    urlparse,
    urlsplit,
    urlunparse,
)
from urllib.request import (
    getproxies,
    getproxies_environment,
    parse_http_list,
    proxy_bypass,
)

builtin_str = str
str = str
bytes = bytes
basestring: tuple[type, ...] = (str, bytes)
numeric_types: tuple[type, ...] = (int, float)
integer_types: tuple[type, ...] = (int,)
is_py2 = False
is_py3 = True
is_urllib3_1 = False
has_simplejson = False

__all__ = [
    "Callable", "JSONDecodeError", "Mapping", "Morsel", "MutableMapping", "OrderedDict",
    "StringIO", "basestring", "builtin_str", "bytes", "cookielib", "getproxies",
    "getproxies_environment", "has_simplejson", "integer_types", "is_py2", "is_py3",
    "is_urllib3_1", "json", "numeric_types", "parse_http_list", "proxy_bypass",
    "quote", "quote_plus", "str", "unquote", "unquote_plus",
    "urldefrag", "urlencode", "urljoin", "urlparse", "urlsplit", "urlunparse",
]  # fmt: skip
