"""URLs as characters: quoting, dot segments, and how they are shown to people."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from ...base.deferred import DeferredModule
from ...base.redact import without_secret_parameters

if TYPE_CHECKING:
    import difflib
else:
    difflib = DeferredModule("difflib")

__all__ = [
    "plain_escapes",
    "requote",
    "shown",
    "suggestion",
    "without_dots",
    "without_password",
    "without_secrets",
]

#: What must not be quoted in a whole URL, beside letters, digits and ``-._~``.
_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"

_ANY_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})?")
_BEFORE_AUTHORITY: Final = re.compile(r"\s*(?:[^/\\?#@:]*:)?[/\\]+")
_AFTER_AUTHORITY: Final = re.compile(r"[/?#\\]|\Z")
_HOST_AND_PORT: Final = re.compile(r"(?:[^:]*|\[.*\])(?::[0-9]+)?", re.DOTALL)
_SCHEME: Final = re.compile(r"([A-Za-z0-9+.-]+):(//)?")
_PORT_AND_REST: Final = re.compile(r"[0-9]{1,5}(?:[/?#]|\Z)")


def requote(url: str) -> str:
    """Percent-encode what a URL may not have, and only that, whatever is encoded already.

    Text becomes UTF-8; a ``%`` that starts no escape becomes ``%25``; escapes of letters, digits
    and ``-._~`` are taken out.
    """
    return plain_escapes(quote(url, safe=_SAFE, errors="surrogatepass"))


def plain_escapes(text: str) -> str:
    """Take out the escapes of unreserved characters, and mend those that are none.

    Source: RFC 3986 section 6.2.2.2.
    """
    return _ANY_ESCAPE.sub(_unreserved, text) if "%" in text else text


def _unreserved(match: re.Match[str]) -> str:
    if match.group(1) is None:
        return "%25"
    character = chr(int(match.group(1), 16))
    if character.isascii() and (character.isalnum() or character in "-._~"):
        return character
    return match.group()


def without_dots(path: str) -> str:
    """Resolve the ``.`` and ``..`` segments of an absolute path.

    Source: RFC 3986 section 5.2.4.
    """
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments and segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def without_password(url: Any) -> str:
    """Return the URL for people to read: with ``***`` for its password.

    Takes malformed ones too: where it cannot be told what is a password, too much is left out
    rather than too little.

    Args:
        url: str, bytes, or an object whose ``str()`` is a URL.
    """
    text = url.decode("latin-1") if isinstance(url, (bytes, bytearray)) else str(url)
    if "@" not in text:
        return text
    before = _BEFORE_AUTHORITY.match(text)
    start = before.end() if before else 0
    after = _AFTER_AUTHORITY.search(text, start)
    end = after.start() if after else len(text)
    at = text.rfind("@", start, end)
    if at < 0 and not _HOST_AND_PORT.fullmatch(text, start, end):
        # What follows the colon is no port: a password with a raw '/', '?' or '#' in it.
        at = text.rfind("@", start)
    colon = text.find(":", start, at) if at >= 0 else -1
    return text if colon < 0 else f"{text[: colon + 1]}***{text[at:]}"


def without_secrets(url: Any) -> str:
    """Return the URL for people to read: with ``***`` for what in it is, or may be, a secret.

    That is its password, and what its parameters are worth whose names say that they are secrets
    (``?token=``, ``&api_key=``): errors and logs are handed on.

    Args:
        url: as for `without_password`.
    """
    return without_secret_parameters(without_password(url))


def shown(url: str) -> str:
    """Return a URL for an error's text: no secret, no control characters, not too long."""
    text = without_secrets(url)
    return repr(text if len(text) <= 300 else text[:297] + "...")


def suggestion(url: str) -> str | None:
    """Return what a URL with no scheme, or an unknown one, may have been meant as; or None.

    ``example.org/x``, ``//example.org``, ``localhost:8000`` and ``htps://example.org`` have one;
    ``mailto:me@example.org`` has none. It is for people to read: secrets are left out.
    """
    url = without_secrets(url.strip())
    match = _SCHEME.match(url)
    if match is not None and match.group(2):
        scheme = match.group(1).lower()
        near = difflib.get_close_matches(scheme, ("http", "https"), n=1, cutoff=0.7)
        return near[0] + url[match.end() - 3 :] if near and near[0] != scheme else None
    if match is not None and not _PORT_AND_REST.match(url, match.end()):
        return None
    if url.startswith("/") and not url.startswith("//"):
        return None
    bare = url.lstrip("/:")
    host = re.split(r"[/?#]", bare, maxsplit=1)[0]
    if not host or not host.isprintable() or " " in host:
        return None
    # What has a port of its own is mostly a server at hand, which rarely speaks TLS.
    scheme = "http" if match is not None and not host.endswith(":443") else "https"
    return f"{scheme}://{bare}"
