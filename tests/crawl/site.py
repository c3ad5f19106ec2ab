"""Sites to be crawled: what was asked for is kept, and an answer may be anything."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from servers.wsgi import WSGIServer


class Answer:
    """What a site answers: a status, fields, and a body."""

    def __init__(
        self,
        body: str | bytes = "",
        status: int = 200,
        kind: str = "text/html; charset=utf-8",
        **fields: str,
    ) -> None:
        self.body = body.encode() if isinstance(body, str) else body
        self.status = status
        self.fields = {"Content-Type": kind} if kind else {}
        self.fields |= {name.replace("_", "-"): value for name, value in fields.items()}


Answering = Callable[[str, dict[str, str]], "Answer | None"]


def linked(title: object, links: Iterable[str], more: str = "") -> Answer:
    """Make a page with links."""
    tags = "".join(f'<a href="{link}">there</a>\n' for link in links)
    return Answer(f"<html><head><title>{title}</title></head><body>{tags}{more}</body></html>")


class Site(WSGIServer):
    """A site on loopback.

    Args:
        answer: makes an answer of a path with its query, and of the request's fields; None is 404.

    Attributes:
        asked: what was asked for, in order: moment, path, fields.
        most: how many requests were answered at a time, at most.
    """

    def __init__(self, answer: Answering) -> None:
        super().__init__(self._application)
        self._answering = answer
        self._guard = threading.Lock()
        self._active = 0
        self.most = 0
        self.asked: list[tuple[float, str, dict[str, str]]] = []

    def _application(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if environ.get("QUERY_STRING"):
            path += "?" + environ["QUERY_STRING"]
        fields = {
            name[5:].replace("_", "-").title(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        with self._guard:
            self.asked.append((time.monotonic(), path, fields))
            self._active += 1
            self.most = max(self.most, self._active)
        try:
            answer = self._answering(path, fields)
        finally:
            with self._guard:
                self._active -= 1
        if answer is None:
            answer = Answer("nothing here", 404, "text/plain")
        fields_out = [*answer.fields.items(), ("Content-Length", str(len(answer.body)))]
        start_response(f"{answer.status} Said", fields_out)
        return [answer.body]

    def counts(self) -> Counter[str]:
        """Return how often each path was asked for."""
        return Counter(path for _, path, _ in self.asked)

    def pages(self) -> Counter[str]:
        """Return how often each path was asked for, but for robots.txt."""
        found = self.counts()
        del found["/robots.txt"]
        return found


def tree(count: int) -> Answering:
    """Return a site of so many pages, each with links to two more, back, and to itself."""

    def answer(path: str, fields: dict[str, str]) -> Answer | None:
        name, _, number = path.rpartition("/")
        if name != "/page" or not number.isdigit() or int(number) >= count:
            return None
        n = int(number)
        links = [f"/page/{k}" for k in (2 * n + 1, 2 * n + 2) if k < count]
        return linked(f"page {n}", [*links, f"{n // 2}", "#top", f"/page/{n}#here"])

    return answer
