"""Which links belong to a crawl."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from reqkit.base.importing import import_late

from .canonical import host_of

__all__ = ["Scope", "patterns"]

_KNOWN: Final = ("host", "site", "path")


class Scope:
    """Where links may lead.

    Args:
        within: ``"host"`` for the hosts that the crawl began with; ``"site"`` for their registrable
            domains; ``"path"`` for the folders that it began in; a function of a URL; None for
            anywhere.
        allow: regular expressions; a link that none is found in is left out.
        deny: regular expressions; a link that one is found in is left out.

    Raises:
        ValueError: one of them is no such thing.
        ImportError: ``"site"`` needs the package publicsuffixlist.
    """

    def __init__(self, within: Any, allow: Any, deny: Any) -> None:
        self._allow = patterns("allow", allow)
        self._deny = patterns("deny", deny)
        self._chosen: Callable[[str], Any] | None = None
        self._places: set[str] = set()
        #: Scheme, host and port of URLs that `begin_at` has nothing more to learn of; each by
        #: itself, so that there is one text of each.
        self.begun: dict[str, str] = {}
        #: Scheme, host and port of what the crawl begins with.
        self._origins: set[str] = set()
        self._trusted: set[str] = set()
        self._place_of: Callable[[str], str] | None = None
        self._prefixes: tuple[str, ...] = ()
        self._by_path = bool(within == "path")
        if within == "host":
            self._place_of = host_of
        elif within == "site":
            self._place_of = _site_of()
        elif callable(within):
            self._chosen = within
        elif within is not None and within != "path":
            raise ValueError(
                f"within is {within!r}: expected one of {', '.join(map(repr, _KNOWN))}, a function"
                " of a URL, or None for anywhere"
            )

    @property
    def needs_pages(self) -> bool:
        """Whether more than the hosts of the first pages has to be known."""
        return self._by_path

    def begin_at(self, url: str, trusted: bool = True) -> None:
        """Count a canonical URL as one that the crawl begins with.

        Args:
            url: the URL.
            trusted: whether its origin gets the session's credentials.
        """
        origin = url[: url.index("/", 8)]
        if origin in self._trusted:
            if not self._by_path:
                return
        elif trusted:
            self._trusted.add(origin)
            if not self._by_path:
                self.begun[origin] = origin
        if self._place_of is not None:
            if origin not in self._origins:
                self._origins.add(origin)
                self._places.add(self._place_of(url))
        elif self._by_path:
            prefix = url.partition("?")[0]
            prefix = prefix[: prefix.rindex("/") + 1]
            if not url.startswith(self._prefixes or ("\0",)):
                self._prefixes = (*self._prefixes, prefix)

    def begin_anew(self, urls: Iterable[str]) -> None:
        """Count these, and only these, as what the crawl begins with."""
        self._prefixes = ()
        for url in urls:
            self.begin_at(url, False)

    def trusts(self, url: str) -> bool:
        """Tell whether what a canonical URL is asked of gets the session's credentials.

        Those of an origin count over TLS, too, on the default ports, as along a redirect.
        """
        origin = url[: url.index("/", 8)]
        return origin in self._trusted or (
            origin.startswith("https:") and f"http{origin[5:]}" in self._trusted
        )

    def bound_of(self, url: str) -> str | None:
        """Return the name of the bound that keeps a canonical URL out; None for none."""
        if self._place_of is not None:
            if self._place_of(url) not in self._places:
                return "scope"
        elif self._by_path:
            if not url.startswith(self._prefixes or ("\0",)):
                return "scope"
        elif self._chosen is not None and not self._chosen(url):
            return "scope"
        if self._deny and any(pattern.search(url) for pattern in self._deny):
            return "deny"
        if self._allow and not any(pattern.search(url) for pattern in self._allow):
            return "allow"
        return None


def patterns(name: str, given: Any) -> list[re.Pattern[str]]:
    """Return regular expressions that were given as one, or as several.

    Raises:
        ValueError: one is none.
    """
    if given is None:
        return []
    alone = isinstance(given, (str, re.Pattern)) or not isinstance(given, Iterable)
    several: Iterable[Any] = [given] if alone else given
    made = []
    for pattern in several:
        try:
            made.append(re.compile(pattern))
        except (re.error, TypeError, RecursionError, OverflowError) as error:
            raise ValueError(
                f"{name} has {pattern!r}, which is no regular expression: {error}"
            ) from error
        if not isinstance(made[-1].pattern, str):
            raise ValueError(f"{name} has {pattern!r}: expected a regular expression for text")
    return made


def _site_of() -> Callable[[str], str]:
    try:
        PublicSuffixList = import_late("publicsuffixlist").PublicSuffixList
    except ImportError as error:
        raise ImportError(
            "within=\"site\" needs publicsuffixlist: pip install 'reqkit[crawl]'"
        ) from error
    known = PublicSuffixList()
    sites: dict[str, str] = {}

    def site_of(url: str) -> str:
        host = host_of(url)
        site = sites.get(host)
        if site is None:
            if len(sites) > 10_000:
                sites.clear()
            numeric = host.replace(".", "").isdigit() or ":" in host
            site = sites[host] = host if numeric else (known.privatesuffix(host) or host)
        return site

    return site_of
