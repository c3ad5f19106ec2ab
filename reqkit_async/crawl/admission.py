"""Which URLs come into the store: known ones do not, nor what goes beyond a bound."""

from __future__ import annotations

import math
from typing import Any, Final

from .canonical import DEEP, Joiner, fingerprint, normal_path, trap_in
from .schema import PAGE
from .scope import Scope
from .store import Store
from .turns import Shape, Turn

__all__ = ["Admission"]

#: What a URL is that a program gives without a word about it.
_SEED: Final[Shape] = (PAGE, 0, 0, True, 0, None, None)
#: Sitemaps that lead to sitemaps, one after the other.
_NESTED: Final = 5


class Admission:
    """Puts URLs into a turn, once each.

    Args:
        store: what is known.
        joiner: makes URLs canonical.
        scope: where links may lead.
        depth: links from the first page at most; None for any number.
        longest: characters of a URL.
    """

    def __init__(
        self, store: Store, joiner: Joiner, scope: Scope, depth: int | None, longest: int
    ) -> None:
        self.joiner = joiner
        self.scope = scope
        self._deepest = math.inf if depth is None else depth
        self._store = store
        self._longest = longest

    def admit(
        self,
        turn: Turn,
        url: str,
        kind: int = PAGE,
        priority: Any = 0,
        depth: int = 0,
        seed: bool = False,
        redirects: int = 0,
        context: str | None = None,
        found_on: int | None = None,
        scoped: bool = False,
    ) -> bool:
        """Add a canonical URL that is not known and within the bounds.

        Args:
            turn: what it is added to.
            url: the URL.
            kind: as in the store, and so are the following.
            priority: see there.
            depth: see there.
            seed: see there.
            redirects: see there.
            context: see there.
            found_on: see there.
            scoped: whether it has to be in the scope.

        Returns: whether it was added.
        """
        store = self._store
        key = (url, kind) if kind else url
        if key in turn.adds or (not kind and url in store.recent):
            return False
        bound = self.scope.bound_of(url) if scoped else None
        if bound is None:
            number = fingerprint(url, kind)
            if (store.filter is None or store.filter.add(number)) and store.has(number, url, kind):
                return False
            if len(url) > self._longest or url.count("/") > DEEP:
                bound = trap_in(url, self._longest)
            if bound is None and depth > (_NESTED if kind else self._deepest):
                bound = "depth"
        if bound is not None:
            turn.bound(bound, url)
            return False
        if not turn.adds:
            turn.since = store.additions
        turn.adds[key] = (
            number, url, url[: url.index("/", 8)],
            (kind, priority, depth, seed, redirects, context, found_on),
        )  # fmt: skip
        return True

    def admit_plain(self, turn: Turn, url: Any) -> bool | None:
        """Add the URL of a page that a program gives, by the shortest way.

        A million of them are added at a time. Nearly all are canonical as they are given, and of an
        origin that was there before.

        Args:
            turn: what it is added to.
            url: the URL, as it is given.

        Returns: whether it was added; None where this way does not lead, and nothing was done.
        """
        if not isinstance(url, str):
            return None
        origin = self.scope.begun.get(url[: url.find("/", 8)])
        if (
            origin is None
            or normal_path(url, len(origin)) is None
            or "/." in url
            or self.joiner.further is not None
        ):
            return None
        adds = turn.adds
        if url in adds:
            return False
        number = fingerprint(url)
        store = self._store
        known = store.filter
        if (known is None or known.add(number)) and (url in store.recent or store.has(number, url)):
            return False
        if len(url) > self._longest or url.count("/") > DEEP:
            bound = trap_in(url, self._longest)
            if bound is not None:
                turn.bound(bound, url)
                return False
        if not adds:
            turn.since = store.additions
        adds[url] = (number, url, origin, _SEED)
        return True
