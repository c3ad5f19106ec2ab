"""reqkit: `reqkit_async.imap_unordered` for many at a time, `reqkit` for one after another.

Where the answers are to be kept, `reqkit_async.map`.
"""

from __future__ import annotations

from collections.abc import Iterable

import reqkit
import reqkit_async

from .harness import CHUNK, DOCUMENT, HEADERS, Client, Job, main


class Reqkit(Client):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.session = reqkit.session(headers=HEADERS)
        if job.bundle:
            self.session.verify = job.bundle

    def close(self) -> None:
        self.session.close()

    def _each_of(self, unsent: Iterable[reqkit.Request]) -> Iterable[reqkit.Response]:
        for response in reqkit_async.imap_unordered(unsent, size=self.job.size):
            if response.error is not None:
                raise response.error
            yield response

    def fetch(self, urls: Iterable[str]) -> None:
        session = self.session
        for response in self._each_of(reqkit_async.get(url, session=session) for url in urls):
            self.check(response.status_code, len(response.content))

    def parse(self, urls: Iterable[str]) -> None:
        session = self.session
        for response in self._each_of(reqkit_async.get(url, session=session) for url in urls):
            self.check_document(response.status_code, response.json())

    def post(self, urls: Iterable[str]) -> None:
        session = self.session
        unsent = (reqkit_async.post(url, json=DOCUMENT, session=session) for url in urls)
        for response in self._each_of(unsent):
            self.check_document(response.status_code, response.json())

    def each(self, urls: Iterable[str]) -> None:
        for url in urls:
            response = self.session.get(url)
            self.check(response.status_code, len(response.content))

    def oneshot(self, urls: Iterable[str]) -> None:
        for url in urls:
            response = reqkit.get(url, headers=HEADERS)
            self.check(response.status_code, len(response.content))

    def stream(self, urls: Iterable[str]) -> None:
        for url in urls:
            length = 0
            with self.session.get(url, stream=True) as response:
                for piece in response.iter_content(CHUNK):
                    length += len(piece)
            self.check(response.status_code, length)

    def hold(self, urls: Iterable[str]) -> list[reqkit.Response]:
        session = self.session
        unsent = [reqkit_async.get(url, session=session) for url in urls]
        answers = reqkit_async.map(unsent, size=self.job.size)
        for response in answers:
            if response.error is not None:
                raise response.error
            self.check(response.status_code, len(response.content))
        return answers

    def unsent(self, urls: Iterable[str]) -> list[reqkit.Request]:
        return [reqkit_async.get(url) for url in urls]

    def lazily(self, urls: Iterable[str]) -> None:
        unsent = (reqkit_async.get(url, session=self.session) for url in urls)
        for response in reqkit_async.imap(unsent, size=self.job.size):
            self.check(response.status_code, len(response.content))


if __name__ == "__main__":
    main(Reqkit)
