"""Redirects: each leads to a page of its own, and the page that redirects has ended."""

from __future__ import annotations

from typing import Any, Final

from reqkit import Response
from reqkit.exceptions import RequestException, TooManyRedirects

from .admission import Admission
from .canonical import Base
from .committing import Committer
from .errors import CrawlRedirectError
from .schema import PAGE, Page
from .store import Store
from .turns import End, Turn

__all__ = ["Redirects", "redirects"]

#: Redirects one after the other.
_MOST: Final = 10
_STATUSES: Final = frozenset((301, 302, 303, 307, 308))


def redirects(response: Response) -> bool:
    """Tell whether an answer leads elsewhere."""
    return response.status_code in _STATUSES and bool(response.headers.get("location"))


class Redirects:
    """Queues what pages redirect to.

    Args:
        store: knows where they lead.
        admission: puts URLs into turns.
        committer: has turns take effect.
    """

    def __init__(self, store: Store, admission: Admission, committer: Committer) -> None:
        self._store = store
        self._admission = admission
        self._committer = committer

    def follow(self, page: Page, response: Response) -> RequestException | None:
        """Queue what a page redirects to, and end the page; or return why it cannot be followed."""
        admission = self._admission
        location = response.headers.get("location") or ""
        target = admission.joiner.join(Base(page.url), location)
        if target is None:
            return CrawlRedirectError(
                f"{page.url} redirects to {location[:200]!r}, which is no page that can be asked"
                " for"
            )
        if page.redirects >= _MOST:
            return TooManyRedirects(
                f"{page.url} is the end of {_MOST} redirects, and redirects to {target}: one of"
                " them leads back, or they lead on without end"
            )
        turn = Turn(page)
        end = End.of(page, response)
        end.leads_to = target
        if page.seed:
            admission.scope.begin_at(target, False)
        known: Any = None
        if not admission.admit(
            turn, target, PAGE, page.priority, page.depth, bool(page.seed), page.redirects + 1,
            page.context, page.id, not page.seed,
        ) and not turn.bounds:  # fmt: skip
            known = self._store.find(target)
        if known is not None and self._leads_back(known[0], page.id):
            turn.again.append(
                (target, PAGE, page.priority, page.depth, page.context, page.redirects + 1)
            )
        self._committer.commit(turn, end)
        return None

    def _leads_back(self, first: int, page: int) -> bool:
        """Tell whether one page redirects, in some steps, to another one."""
        current: int | None = first
        for _ in range(_MOST + 1):
            if current == page:
                return True
            if current is None:
                return False
            current = self._store.leads_to(current)
        return True
