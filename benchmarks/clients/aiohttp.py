"""aiohttp on uvloop: one `ClientSession`, as many connections as there are places."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

import aiohttp

from .asynchronous import AsyncClient
from .harness import CHUNK, DOCUMENT, HEADERS, main


class Aiohttp(AsyncClient):
    async def opening(self) -> None:
        bundle = self.job.bundle
        connector = aiohttp.TCPConnector(
            limit=self.job.size,
            ssl=ssl.create_default_context(cafile=bundle) if bundle else True,
        )
        self.session = aiohttp.ClientSession(connector=connector, headers=HEADERS)

    async def closing(self) -> None:
        await self.session.close()

    async def _get(self, url: str) -> aiohttp.ClientResponse:
        async with self.session.get(url) as response:
            self.check(response.status, len(await response.read()))
        return response

    async def _get_document(self, url: str) -> None:
        async with self.session.get(url) as response:
            self.check_document(response.status, await response.json())

    async def _post(self, url: str) -> None:
        async with self.session.post(url, json=DOCUMENT) as response:
            self.check_document(response.status, await response.json())

    async def _stream(self, url: str) -> None:
        length = 0
        async with self.session.get(url) as response:
            async for piece in response.content.iter_chunked(CHUNK):
                length += len(piece)
        self.check(response.status, length)

    def fetch(self, urls: Iterable[str]) -> None:
        self.at_once(self._get, urls)

    def parse(self, urls: Iterable[str]) -> None:
        self.at_once(self._get_document, urls)

    def post(self, urls: Iterable[str]) -> None:
        self.at_once(self._post, urls)

    def each(self, urls: Iterable[str]) -> None:
        self.in_turn(self._get, urls)

    def stream(self, urls: Iterable[str]) -> None:
        self.in_turn(self._stream, urls)

    def hold(self, urls: Iterable[str]) -> list[aiohttp.ClientResponse]:
        kept: list[aiohttp.ClientResponse] = []

        async def keep(url: str) -> None:
            kept.append(await self._get(url))

        self.at_once(keep, urls)
        return kept


if __name__ == "__main__":
    main(Aiohttp)
