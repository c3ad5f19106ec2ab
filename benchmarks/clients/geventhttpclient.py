"""geventhttpclient: one `HTTPClient` for each host, and as many greenlets as there are places.

All hosts share one TLS context, which it would otherwise make for each.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import gevent
import gevent.ssl
from geventhttpclient import HTTPClient

from .harness import CHUNK, DOCUMENT, HEADERS, TIMEOUT, Client, Job, main


class Geventhttpclient(Client):
    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self.clients: dict[str, HTTPClient] = {}
        self.keywords: dict[str, Any] = {
            "headers": HEADERS,
            "concurrency": job.size,
            "connection_timeout": TIMEOUT,
            "network_timeout": TIMEOUT,
        }
        if job.bundle:
            context = gevent.ssl.create_default_context(cafile=job.bundle)
            # Called with `cafile`, which the context has been given already.
            self.keywords["ssl_context_factory"] = lambda cafile=None: context

    def close(self) -> None:
        for client in self.clients.values():
            client.close()

    def _client(self, url: str) -> tuple[HTTPClient, str]:
        """Return the client of a URL's host, and the URL's path."""
        origin, slash, path = url.partition("://")[2].partition("/")
        client = self.clients.get(origin)
        if client is None:
            parts = urlsplit(url)
            client = self.clients[origin] = HTTPClient(
                parts.hostname, port=parts.port, ssl=parts.scheme == "https", **self.keywords
            )
        return client, slash + path

    def _get(self, url: str) -> None:
        client, path = self._client(url)
        response = client.get(path)
        self.check(response.status_code, len(response.read()))

    def _get_document(self, url: str) -> None:
        client, path = self._client(url)
        response = client.get(path)
        body = response.read()
        if response.get("content-encoding") == "gzip":
            body = zlib.decompress(body, 31)
        self.check_document(response.status_code, json.loads(body))

    def _post(self, url: str) -> None:
        client, path = self._client(url)
        body = json.dumps(DOCUMENT).encode()
        response = client.post(path, body, {"Content-Type": "application/json"})
        self.check_document(response.status_code, json.loads(response.read()))

    def _at_once(self, act: Callable[[str], None], urls: Iterable[str]) -> None:
        waiting = iter(urls)

        def work() -> None:
            for url in waiting:
                act(url)

        gevent.joinall([gevent.spawn(work) for _ in range(self.job.size)], raise_error=True)

    def fetch(self, urls: Iterable[str]) -> None:
        self._at_once(self._get, urls)

    def parse(self, urls: Iterable[str]) -> None:
        self._at_once(self._get_document, urls)

    def post(self, urls: Iterable[str]) -> None:
        self._at_once(self._post, urls)

    def each(self, urls: Iterable[str]) -> None:
        for url in urls:
            self._get(url)

    def stream(self, urls: Iterable[str]) -> None:
        for url in urls:
            client, path = self._client(url)
            response = client.get(path)
            length = 0
            while piece := response.read(CHUNK):
                length += len(piece)
            self.check(response.status_code, length)


if __name__ == "__main__":
    main(Geventhttpclient)
