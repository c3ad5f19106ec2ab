"""grequests: `imap` with one session for all requests, or `map` as people use it, with none.

What it is given as one session keeps as many connections as there are places, which its own
documentation does not say but speed asks for.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# First: it patches the standard library.
import grequests  # isort: skip
import requests
from requests.adapters import HTTPAdapter

from .harness import DOCUMENT, HEADERS, Client, Job, main


class Grequests(Client):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.keywords: dict[str, Any] = {}
        if job.way == "session":
            session = requests.Session()
            adapter = HTTPAdapter(pool_maxsize=job.size, pool_connections=max(10, len(job.urls)))
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            session.headers.update(HEADERS)
            self.keywords["session"] = session
        else:
            self.keywords["headers"] = HEADERS
        if job.bundle:
            self.keywords["verify"] = job.bundle

    def _map(self, unsent: Iterable[Any]) -> list[Any]:
        answers: list[Any] = grequests.map(unsent, size=self.job.size, exception_handler=_fail)
        return answers

    def _each_of(self, unsent: Iterable[Any]) -> Iterable[Any]:
        if self.job.way != "session":
            return self._map(unsent)
        answers: Iterable[Any] = grequests.imap(unsent, size=self.job.size, exception_handler=_fail)
        return answers

    def fetch(self, urls: Iterable[str]) -> None:
        for response in self._each_of(grequests.get(url, **self.keywords) for url in urls):
            self.check(response.status_code, len(response.content))

    def parse(self, urls: Iterable[str]) -> None:
        for response in self._each_of(grequests.get(url, **self.keywords) for url in urls):
            self.check_document(response.status_code, response.json())

    def post(self, urls: Iterable[str]) -> None:
        unsent = (grequests.post(url, json=DOCUMENT, **self.keywords) for url in urls)
        for response in self._each_of(unsent):
            self.check_document(response.status_code, response.json())

    def hold(self, urls: Iterable[str]) -> list[Any]:
        answers = self._map([grequests.get(url, **self.keywords) for url in urls])
        for response in answers:
            self.check(response.status_code, len(response.content))
        return answers

    def unsent(self, urls: Iterable[str]) -> list[Any]:
        return [grequests.get(url, **self.keywords) for url in urls]

    def lazily(self, urls: Iterable[str]) -> None:
        unsent = (grequests.get(url, **self.keywords) for url in urls)
        for response in grequests.imap(unsent, size=self.job.size, exception_handler=_fail):
            self.check(response.status_code, len(response.content))


def _fail(_: object, error: Exception) -> None:
    raise error


if __name__ == "__main__":
    main(Grequests)
