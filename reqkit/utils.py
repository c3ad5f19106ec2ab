"""Names that programs written for ``requests`` take from its ``utils``: no more than that."""

from __future__ import annotations

from netrc import NetrcParseError, netrc
from urllib.parse import quote, unquote, urlparse, urlunparse
from urllib.request import getproxies, parse_http_list, proxy_bypass

from certifi import where as _where

from .cookies import add_dict_to_cookiejar, cookiejar_from_dict, dict_from_cookiejar
from .drop_in.bodies import (
    extract_zipped_paths,
    from_key_val_list,
    guess_filename,
    iter_slices,
    rewind_body,
    super_len,
    to_key_val_list,
    to_native_string,
    unicode_is_ascii,
)
from .drop_in.fields import (
    default_headers,
    default_user_agent,
    get_encoding_from_headers,
    get_encodings_from_content,
    guess_json_utf,
    parse_dict_header,
    parse_header_links,
    parse_list_header,
    unquote_header_value,
)
from .drop_in.fields import parse_content_type_header as _parse_content_type_header
from .drop_in.proxies import (
    address_in_network,
    dotted_netmask,
    get_environ_proxies,
    is_ipv4_address,
    is_valid_cidr,
    resolve_proxies,
    select_proxy,
    set_environ,
    should_bypass_proxies,
)
from .drop_in.urls import (
    get_auth_from_url,
    get_netrc_auth,
    prepend_scheme_if_needed,
    requote_uri,
    unquote_unreserved,
    urldefragauth,
)
from .structures import CaseInsensitiveDict

#: Where requests has the path of its CA bundle.
DEFAULT_CA_BUNDLE_PATH = _where()
#: The ports of the schemes.
DEFAULT_PORTS = {"http": 80, "https": 443}

__all__ = [
    "DEFAULT_CA_BUNDLE_PATH", "DEFAULT_PORTS", "CaseInsensitiveDict", "NetrcParseError",
    "_parse_content_type_header", "add_dict_to_cookiejar", "address_in_network",
    "cookiejar_from_dict", "default_headers", "default_user_agent", "dict_from_cookiejar",
    "dotted_netmask", "extract_zipped_paths", "from_key_val_list", "get_auth_from_url",
    "get_encoding_from_headers", "get_encodings_from_content", "get_environ_proxies",
    "get_netrc_auth", "getproxies", "guess_filename", "guess_json_utf", "is_ipv4_address",
    "is_valid_cidr", "iter_slices", "netrc", "parse_dict_header", "parse_header_links",
    "parse_http_list", "parse_list_header", "prepend_scheme_if_needed", "proxy_bypass", "quote",
    "requote_uri", "resolve_proxies", "rewind_body", "select_proxy", "set_environ",
    "should_bypass_proxies", "super_len", "to_key_val_list", "to_native_string",
    "unicode_is_ascii", "unquote", "unquote_header_value", "unquote_unreserved", "urldefragauth",
    "urlparse", "urlunparse",
]  # fmt: skip
