"""requests: one `Session`, or the one-shot functions."""

from __future__ import annotations

from collections.abc import Iterable

import requests

from .harness import CHUNK, HEADERS, Client, Job, main


class Requests(Client):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.session = requests.Session()
        self.session.headers.update(HEADERS)
        self.session.verify = job.bundle or True

    def close(self) -> None:
        self.session.close()

    def _get(self, url: str) -> requests.Response:
        response = self.session.get(url)
        self.check(response.status_code, len(response.content))
        return response

    def each(self, urls: Iterable[str]) -> None:
        for url in urls:
            self._get(url)

    def oneshot(self, urls: Iterable[str]) -> None:
        for url in urls:
            response = requests.get(url, headers=HEADERS)
            self.check(response.status_code, len(response.content))

    def stream(self, urls: Iterable[str]) -> None:
        for url in urls:
            length = 0
            with self.session.get(url, stream=True) as response:
                for piece in response.iter_content(CHUNK):
                    length += len(piece)
            self.check(response.status_code, length)

    def hold(self, urls: Iterable[str]) -> list[requests.Response]:
        return [self._get(url) for url in urls]


if __name__ == "__main__":
    main(Requests)
