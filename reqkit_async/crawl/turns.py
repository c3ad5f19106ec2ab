"""What one turn of the loop brings, gathered until it takes effect all at once."""

from __future__ import annotations

from typing import Any

from reqkit import Response

from .schema import DONE, FAILED, Page

__all__ = ["Add", "End", "Shape", "Turn"]

#: What most URLs that are added after each other have alike: kind, priority, depth, seed,
#: redirects, context and found_on, as in the store.
Shape = tuple[int, Any, int, bool, int, "str | None", "int | None"]
#: A URL that is added: its fingerprint, the URL, its origin (scheme, host and port), and its shape.
Add = tuple[int, str, str, Shape]


class Turn:
    """What the body of the loop has added and kept for one page, or a program before the loop.

    Attributes:
        page: the page; None outside of the loop.
        adds: pages by URL, others by URL and kind, in their order: see `Add`.
        again: known URLs that are to be asked for once more: URL, kind, priority, depth, context,
            redirects.
        items: what was kept, as JSON.
        bounds: what was not added, by the bound's name: how often, and an example.
        hosts: the hosts of what was queued, with their highest priority; the store fills it.
        since: `Store.additions` as of the first one that was added.
    """

    __slots__ = ("adds", "again", "bounds", "hosts", "items", "page", "since")

    def __init__(self, page: Page | None) -> None:
        self.page: Page | None = page
        self.adds: dict[str | tuple[str, int], Add] = {}
        self.again: list[tuple[str, int, Any, int, str | None, int]] = []
        self.items: list[str] = []
        self.bounds: dict[str, tuple[int, str]] = {}
        self.hosts: dict[int, Any] = {}
        self.since: int = 0

    def __bool__(self) -> bool:
        return bool(self.adds or self.again or self.items or self.bounds)

    def bound(self, name: str, url: str, times: int = 1) -> None:
        """Count a URL that a bound has kept out."""
        known = self.bounds.get(name)
        self.bounds[name] = (times, url[:500]) if known is None else (known[0] + times, known[1])

    def extend(self, later: Turn) -> None:
        """Take what another one was brought, after this one."""
        for key, add in later.adds.items():
            self.adds.setdefault(key, add)
        self.again += later.again
        self.items += later.items
        for name, (times, url) in later.bounds.items():
            self.bound(name, url, times)


class End:
    """How a page has ended.

    Attributes:
        page: the page.
        state: `schema.DONE` or `schema.FAILED`.
        status, error, type, size, etag, modified: as in the store.
        leads_to: the URL that it redirects to.
        seconds: until the answer's head; None where there was none.
        archived: where its record ends in the archive.
        again: priority, depth, context and redirects, where its own turn asked for it once more.
    """

    __slots__ = (
        "again", "archived", "error", "etag", "leads_to", "modified", "page", "seconds",
        "size", "state", "status", "type",
    )  # fmt: skip

    def __init__(self, page: Page, state: int) -> None:
        self.page: Page = page
        self.state: int = state
        self.status: int | None = None
        self.error: str | None = None
        self.leads_to: str | None = None
        self.type: str | None = None
        self.size: int | None = None
        self.etag: str | None = None
        self.modified: str | None = None
        self.archived: int | None = None
        self.seconds: float | None = None
        self.again: tuple[Any, int, str | None, int] | None = None

    @classmethod
    def of(cls, page: Page, response: Response, body: bool = True) -> End:
        """Return how a page has ended, as its answer says.

        Args:
            page: the page.
            response: its answer.
            body: whether that was read.
        """
        status, error = response.status_code, response.error
        end = cls(page, DONE if error is None and status is not None and status < 400 else FAILED)
        end.status = status
        if error is not None:
            text = f"{type(error).__name__}: {error}"[:1000]
            # That of somebody's error may have half of a surrogate pair.
            end.error = text.encode("utf-8", "replace").decode()
            answer = getattr(error, "response", None)
            if answer is not None and end.status is None:
                end.status = answer.status_code
            return end
        end.seconds = response.elapsed.total_seconds()
        headers = response.headers
        end.etag = headers.get("ETag") or (page.etag if status == 304 else None)
        end.modified = headers.get("Last-Modified") or (page.modified if status == 304 else None)
        end.type = headers.get("Content-Type")
        end.size = len(response.content or b"") if body else None
        return end
