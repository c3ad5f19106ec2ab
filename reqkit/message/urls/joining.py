"""What a Location means: references, resolved against the URL that was asked."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from .targets import prepare_url
from .text import without_dots

__all__ = ["join", "with_base"]

_COLON_FIRST: Final = re.compile(r"[^/?#]*:")
_HAS_SCHEME: Final = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://")

_PARTS: Final = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#\\]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL
)


class _Parts(NamedTuple):
    """The five parts of a reference (RFC 3986 section 3); None is a part that is not there."""

    scheme: str | None
    authority: str | None
    path: str
    query: str | None
    fragment: str | None


def _parts(url: str) -> _Parts:
    match = _PARTS.match(url)
    if match is None:
        raise AssertionError("unreachable: the expression matches every text")
    return _Parts(*match.groups())


def with_base(base_url: Any, url: Any) -> Any:
    """Return a URL, joined to a base where it has no scheme.

    The base's path is a folder, whether it ends in a slash or not: ``users`` below
    ``https://api.example/v1`` is ``https://api.example/v1/users``, and ``/users`` is
    ``https://api.example/users`` (RFC 3986 section 5.2). What begins with ``//`` is another host's,
    and is left as it is: no scheme is made up for it.
    """
    if base_url is None or url is None:
        return url
    text = url.decode("utf-8", "replace") if isinstance(url, (bytes, bytearray)) else str(url)
    if _HAS_SCHEME.match(text) or text.startswith("//"):
        return url
    base = prepare_url(base_url)
    path, _, _ = base.path.partition("?")
    folder = base.url.partition("#")[0].partition("?")[0]
    # As a Location is read: bytes as Latin-1 characters; and a colon in it begins no scheme.
    text = text.encode("utf-8", "surrogatepass").decode("latin-1")
    if _COLON_FIRST.match(text):
        text = f"./{text}"
    return join(folder if path.endswith("/") else f"{folder}/", text)


def join(base: str, location: str) -> str:
    """Return what a Location means for the URL that it answers. Never blocks.

    What a server sends raw (spaces, text as UTF-8 or in another charset) is percent-encoded byte
    by byte, so that it gets back what it sent. CR, LF and NUL stay, for `prepare_url` to refuse.

    Args:
        base: the URL of the request, absolute.
        location: the field's value, its bytes as Latin-1 characters; or text.

    Returns: an absolute URL, not prepared yet. It has base's fragment if location has none.

    Source: RFC 3986 section 5.2; RFC 9110 section 10.2.2.
    """
    origin = _parts(base)
    given = _parts(location.strip(" \t"))
    scheme, authority = origin.scheme, given.authority
    path, query = _quoted(given.path), _quoted(given.query or "")
    asks = given.query is not None
    if authority is not None:
        authority = _host_text(authority)
        scheme = given.scheme or scheme
    elif given.scheme is not None and given.scheme.lower() != (scheme or "").lower():
        scheme = given.scheme
    else:
        # No scheme; or the same one and no '//', which old servers mean as no scheme
        # (RFC 3986 section 5.2.2).
        authority = origin.authority
        if not path:
            path = origin.path
            if not asks:
                query, asks = origin.query or "", origin.query is not None
        elif path[0] != "/":
            path = f"{origin.path.rpartition('/')[0]}/{path}"
        if path:
            path = without_dots(path)
    # "the redirection inherits the fragment" where there is none: RFC 9110 section 10.2.2.
    fragment = origin.fragment if given.fragment is None else _quoted(given.fragment)
    return (
        (f"{scheme}:" if scheme else "")
        + (f"//{authority}" if authority is not None else "")
        + path
        + (f"?{query}" if asks else "")
        + (f"#{fragment}" if fragment is not None else "")
    )


def _quoted(text: str) -> str:
    """Percent-encode, byte for byte, what no URL in a field may have."""
    if text.isascii() and text.isprintable() and " " not in text:
        return text
    try:
        octets = text.encode("latin-1")
    except UnicodeEncodeError:
        octets = text.encode("utf-8", "surrogatepass")
    return "".join(
        chr(octet) if 0x20 < octet < 0x7F or octet in b"\r\n\0" else f"%{octet:02X}"
        for octet in octets
    )


def _host_text(authority: str) -> str:
    """Return an authority as text; what is not ASCII in it can only be UTF-8."""
    try:
        return authority if authority.isascii() else authority.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return authority
