"""URLs as a crawl knows them: one form for each page, links joined, and bounds on both. Pure.

The canonical form is what `reqkit.message.urls.prepare_url` makes of a URL, without a fragment and
without the scheme's own port. Nearly all links are in it already, but for being relative; these
take the short ways below, and only the others the long one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from hashlib import blake2b
from struct import Struct
from typing import Final

from reqkit.exceptions import InvalidURL
from reqkit.message.urls import prepare_url, without_secrets

__all__ = [
    "DEEP", "Base", "Joiner", "canonical", "fingerprint", "host_of", "normal_path", "origin_of",
    "trap_in",
]  # fmt: skip

# What a path or a query may have, and escapes in normal form: as in `reqkit.message.urls.targets`.
_PLAIN: Final = r"[!$&-;=?-Z_a-z~]"
_ESCAPE: Final = r"%(?:[0189A-F][0-9A-F]|2[0-9A-CF]|3[A-F]|[46]0|5[B-E]|7[BCDF])"
_normal = re.compile(
    rf"(?:http://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?!:80/)(?::[1-9][0-9]{{0,4}})?"
    rf"|https://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?!:443/)(?::[1-9][0-9]{{0,4}})?)"
    rf"/{_PLAIN}*(?:{_ESCAPE}{_PLAIN}*)*"
).fullmatch
#: Matches the path and query of a canonical URL, from a place on; but ``/.`` is not looked for.
normal_path: Callable[..., re.Match[str] | None] = re.compile(
    rf"/{_PLAIN}*(?:{_ESCAPE}{_PLAIN}*)*(?<!\?)"
).fullmatch
_number = Struct("<q").unpack
_scheme = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:").match
_SPACES: Final = "\t\n\f\r "
_inner_breaks = re.compile(r"[\t\n\r]").sub

#: Links of one page that are remembered with what they mean.
_REMEMBERED: Final = 30_000
#: A segment that a path has more often is what a trap makes (``/a/b/a/b/a/b/a/b/``).
_MOST_REPEATS: Final = 4
#: Slashes of a URL up to which its path cannot be such a one.
DEEP: Final = _MOST_REPEATS + 2
#: A path with more segments is, too.
_MOST_SEGMENTS: Final = 40


def canonical(url: str) -> str:
    """Return the one form of a URL that all its spellings have. Never blocks.

    Scheme and host in lower case, no default port, no dot segments, escapes as RFC 3986 section
    6.2.2 has them, no fragment, no empty query.

    Raises:
        InvalidURL: it cannot be sent to; it is not http(s); or it has a user or a password.
        MissingSchema, URLRequired: see `reqkit.message.urls.prepare_url`.
        TypeError: it is no text.
    """
    if not isinstance(url, str):
        raise TypeError(f"url is {url!r}: expected the text of a URL")
    if _normal(url) is not None and "/." not in url and url[-1] != "?" and ".." not in url:
        return url
    target = prepare_url(url.partition("#")[0] if "#" in url else url)
    if target.scheme not in ("http", "https"):
        raise InvalidURL(
            f"URL {without_secrets(url)!r} cannot be crawled: expected http:// or https://"
        )
    if target.userinfo is not None:
        raise InvalidURL(
            f"URL {without_secrets(url)!r} has a user or a password, which a store would keep and"
            " show: give them as session=reqkit.Session(auth=...)"
        )
    return f"{target.scheme}://{target.authority}{target.path}"


def origin_of(url: str) -> str:
    """Return scheme, host and port of a canonical URL: all before its path."""
    return url[: url.index("/", 8)]


def host_of(url: str) -> str:
    """Return the name of a canonical URL's host, without port; IPv6 without brackets."""
    place = url.split("/", 3)[2]
    if place[0] == "[":
        return place[1 : place.index("]")]
    return place.partition(":")[0]


def fingerprint(url: str, kind: int = 0) -> int:
    """Return 64 bits that stand for a URL: its key in the store's index."""
    number: int = _number(blake2b(url.encode(), digest_size=8).digest())[0]
    return number ^ kind


def trap_in(url: str, longest: int) -> str | None:
    """Return the name of the bound that a canonical URL goes beyond; None where it is none.

    Args:
        url: the URL.
        longest: characters that it may have.
    """
    if len(url) > longest:
        return "url length"
    if url.count("/") > DEEP:
        segments = url.partition("?")[0].split("/")[3:]
        if len(segments) > _MOST_SEGMENTS:
            return "path segments"
        if len(segments) > _MOST_REPEATS:
            counts = Counter(segments)
            # Numbers stand for positions (tiles, dates), and may well be equal.
            if any(
                count > _MOST_REPEATS and segment and not segment.isdigit()
                for segment, count in counts.items()
            ):
                return "repeated segments"
    return None


class Base:
    """What links of a page are relative to.

    Attributes:
        url: an absolute URL.
        scheme, origin, directory, path: its beginnings, up to ``:``, the path, the last ``/`` of
            the path, and the query.
    """

    __slots__ = ("directory", "origin", "path", "scheme", "url")

    def __init__(self, url: str) -> None:
        self.url: str = url
        self.scheme: str = url[: url.index(":") + 1]
        self.path: str = url.partition("#")[0].partition("?")[0]
        slash = self.path.find("/", 8)
        self.origin: str = self.path if slash < 0 else self.path[:slash]
        self.directory: str = (
            self.path + "/" if slash < 0 else self.path[: self.path.rindex("/") + 1]
        )


class Joiner:
    """Joins links to their pages and makes them canonical; remembers what it has made.

    Attributes:
        further: what a user does to canonical URLs beyond that, or None.
    """

    def __init__(self, further: Callable[[str], str] | None = None) -> None:
        self.further: Callable[[str], str] | None = further
        self._memos: dict[str, dict[str, str | None]] = {}
        self._size = 0

    def canonical(self, url: str) -> str:
        """Return a URL's canonical form, the user's further form included."""
        url = canonical(url)
        further = self.further
        if further is None:
            return url
        given = further(url)
        if not isinstance(given, str):
            raise TypeError(f"canonical= returned {given!r} for {url!r}: expected a URL")
        return canonical(given)

    def join(self, base: Base, link: str) -> str | None:
        """Return what a link means, in canonical form; None for what is no http(s) page.

        Browsers' rules count: spaces around it and line breaks in it are left out, a backslash is
        a slash. A link within the page is None.

        Source: RFC 3986 section 5.2; WHATWG URL section 4.4
        """
        memo = self._memos.get(base.directory)
        if memo is None:
            memo = self._memos[base.directory] = {}
        try:
            return memo[link]
        except KeyError:
            pass
        found = self._join(base, link)
        # What has no path of its own depends on more than the directory.
        if link[:1] not in ("", "?", "#", " "):
            if self._size >= _REMEMBERED:
                self._memos = {base.directory: memo}
                memo.clear()
                self._size = 0
            self._size += 1
            memo[link] = found
        return found

    def _join(self, base: Base, link: str) -> str | None:
        link = link.strip(_SPACES)
        if link[:1] == "#":
            return None
        if "#" in link:
            link = link.partition("#")[0]
        if "\n" in link or "\t" in link or "\r" in link:
            link = _inner_breaks("", link)
        if not link:
            return None
        first = link[0]
        if first == "?":
            url = base.path + link
        elif first in "/\\":
            url = base.scheme + link if link[1:2] in ("/", "\\") else base.origin + link
        elif (found := _scheme(link)) is not None:
            scheme = found.group().lower()
            if scheme not in ("http:", "https:"):
                return None
            rest = link[found.end() :]
            if rest[:1] in ("/", "\\"):
                url = scheme + "//" + rest.lstrip("/\\")
            elif scheme == base.scheme:
                url = base.directory + rest
            else:
                url = scheme + "//" + rest
        else:
            url = _under(base.directory, link)
        if "\\" in url:
            path, mark, query = url.partition("?")
            url = path.replace("\\", "/") + mark + query
        try:
            return self.canonical(url)
        except (InvalidURL, ValueError):
            return None


def _under(directory: str, link: str) -> str:
    """Join a relative path, taking dot segments at its beginning out."""
    while link[:1] == ".":
        if link.startswith("../"):
            slash = directory.rfind("/", 8, -1)
            if slash >= 0:
                directory = directory[: slash + 1]
            link = link[3:]
        elif link.startswith("./"):
            link = link[2:]
        else:
            break
    return directory + link
