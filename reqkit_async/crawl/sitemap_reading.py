"""Sitemaps of a crawl: which there are, and that their pages are queued."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from reqkit import Response
from reqkit.exceptions import RequestException

from .admission import Admission
from .canonical import Base, origin_of
from .committing import Committer
from .pausing import with_pauses
from .robots import Rules
from .schema import DONE, FAILED, PAGE, SITEMAP, Page
from .sitemaps import SitemapError, read_sitemap
from .turns import End, Turn

__all__ = ["SitemapReader"]

#: URLs of a sitemap that are written together.
_AT_ONCE: Final = 1000
#: What a sitemap names that is looked at before others run, whether it is new or not.
_LOOKED_AT: Final = 1000


class SitemapReader:
    """Queues what sitemaps name.

    Args:
        admission: puts URLs into turns.
        committer: has turns take effect.
    """

    def __init__(self, admission: Admission, committer: Committer) -> None:
        self._admission = admission
        self._committer = committer

    def name(self, page: Page, rules: Rules) -> None:
        """Queue the sitemaps that a robots.txt names, or the usual one where it names none."""
        turn = Turn(page)
        end = End(page, FAILED if rules.error else DONE)
        end.error = rules.error
        named = [] if rules.error else rules.sitemaps or [f"{origin_of(page.url)}/sitemap.xml"]
        for url in named:
            target = self._admission.joiner.join(Base(page.url), url)
            if target is not None:
                self._admission.admit(turn, target, SITEMAP, page.priority, found_on=page.id)
        self._committer.commit(turn, end)

    def read(self, page: Page, response: Response, wake: Callable[[], None]) -> None:
        """Queue what a sitemap names. Blocks: runs in a greenlet of its own.

        Args:
            page: the sitemap.
            response: its answer; it is closed.
            wake: called when there is something new in the queue.
        """
        end = End.of(page, response, body=False)
        joiner, admit = self._admission.joiner, self._admission.admit
        base = Base(page.url)
        turn = Turn(page)
        try:
            if end.state == DONE and end.status == 200:
                entries = read_sitemap(response.iter_content(65536))
                for further, url in with_pauses(entries, _LOOKED_AT):
                    target = joiner.join(base, url)
                    if target is None:
                        continue
                    if further:
                        admit(turn, target, SITEMAP, page.priority, page.depth + 1,
                              found_on=page.id)  # fmt: skip
                    else:
                        admit(turn, target, PAGE, page.priority, found_on=page.id, scoped=True)
                    if len(turn.adds) >= _AT_ONCE:
                        self._committer.commit(turn, None)
                        turn = Turn(page)
                        wake()
        except (SitemapError, RequestException) as error:
            end.state = FAILED
            end.error = f"{type(error).__name__}: {error}"[:1000]
        finally:
            response.close()
        self._committer.commit(turn, end)
