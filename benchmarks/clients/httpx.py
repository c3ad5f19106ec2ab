"""httpx: `AsyncClient` on uvloop for many at a time, `Client` for one after another."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

import httpx

from .asynchronous import AsyncClient
from .harness import CHUNK, DOCUMENT, HEADERS, TIMEOUT, main


class Httpx(AsyncClient):
    async def opening(self) -> None:
        size, bundle = self.job.size, self.job.bundle
        verify = ssl.create_default_context(cafile=bundle) if bundle else True
        limits = httpx.Limits(max_connections=size, max_keepalive_connections=size)
        self.client = httpx.Client(headers=HEADERS, verify=verify)
        self.many = httpx.AsyncClient(
            headers=HEADERS, verify=verify, limits=limits, timeout=TIMEOUT
        )

    async def closing(self) -> None:
        self.client.close()
        await self.many.aclose()

    async def _get(self, url: str) -> httpx.Response:
        response = await self.many.get(url)
        self.check(response.status_code, len(response.content))
        return response

    async def _get_document(self, url: str) -> None:
        response = await self.many.get(url)
        self.check_document(response.status_code, response.json())

    async def _post(self, url: str) -> None:
        response = await self.many.post(url, json=DOCUMENT)
        self.check_document(response.status_code, response.json())

    def fetch(self, urls: Iterable[str]) -> None:
        self.at_once(self._get, urls)

    def parse(self, urls: Iterable[str]) -> None:
        self.at_once(self._get_document, urls)

    def post(self, urls: Iterable[str]) -> None:
        self.at_once(self._post, urls)

    def each(self, urls: Iterable[str]) -> None:
        for url in urls:
            response = self.client.get(url)
            self.check(response.status_code, len(response.content))

    def oneshot(self, urls: Iterable[str]) -> None:
        for url in urls:
            response = httpx.get(url, headers=HEADERS)
            self.check(response.status_code, len(response.content))

    def stream(self, urls: Iterable[str]) -> None:
        for url in urls:
            length = 0
            with self.client.stream("GET", url) as response:
                for piece in response.iter_bytes(CHUNK):
                    length += len(piece)
            self.check(response.status_code, length)

    def hold(self, urls: Iterable[str]) -> list[httpx.Response]:
        kept: list[httpx.Response] = []

        async def keep(url: str) -> None:
            kept.append(await self._get(url))

        self.at_once(keep, urls)
        return kept


if __name__ == "__main__":
    main(Httpx)
