"""URLs as strings, and the credentials in them."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlparse, urlunparse

from ..message.environment import netrc_credentials
from ..message.urls import requote

__all__ = [
    "get_auth_from_url",
    "get_netrc_auth",
    "prepend_scheme_if_needed",
    "requote_uri",
    "unquote_unreserved",
    "urldefragauth",
]

_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?=//|[^0-9/])")


def requote_uri(uri: str) -> str:
    """Percent-encode what a URL may not have, and nothing twice."""
    return requote(uri)


def unquote_unreserved(uri: str) -> str:
    """Take out the escapes of letters, digits and ``-._~`` (RFC 3986 section 6.2.2.2)."""

    def plain(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if character in _UNRESERVED else match[0]

    return _ESCAPE.sub(plain, uri)


def get_auth_from_url(url: str) -> tuple[str, str]:
    """Return the user and password in a URL, decoded; two empty strings where there are none."""
    parts = urlparse(url)
    if parts.username is None or parts.password is None:
        return "", ""
    return unquote(parts.username), unquote(parts.password)


def urldefragauth(url: str) -> str:
    """Return a URL without its fragment and credentials."""
    scheme, netloc, path, params, query, _ = urlparse(url)
    if not netloc:  # "host/path", or "scheme:user:password@host/path"
        netloc, path = path, netloc
        netloc, slash, rest = netloc.partition("/")
        path = slash + rest
    return urlunparse((scheme, netloc.rpartition("@")[2], path, params, query, ""))


def prepend_scheme_if_needed(url: str, new_scheme: str) -> str:
    """Return a URL with a scheme: its own, or the one given."""
    if url.startswith("//"):
        return f"{new_scheme}:{url}"
    return url if _SCHEME.match(url) else f"{new_scheme}://{url}"


def get_netrc_auth(url: str, raise_errors: bool = False) -> tuple[str, str] | None:
    """Return the login and password that netrc has for a URL's host, or None.

    Args:
        url: the URL.
        raise_errors: there for programs that give it; a file that cannot be read is as none.
    """
    host = urlparse(url).hostname
    return None if not host else netrc_credentials(host)
