"""Crawl a site: every page that can be reached from the first, each of them once.

    python examples/crawl.py [URL] [--depth 3] [--per-host 4] [--delay 0.0]

Stays on the first page's host. Pages that a page links to are queued from its response hook, so
the crawl grows while it runs, and ends when nothing is left.
"""

from __future__ import annotations

import argparse
import re
import sys
from contextlib import nullcontext
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

import reqkit
import reqkit_async
from _site import serve

HREF = re.compile(r"""<a\s[^>]*?href\s*=\s*["']([^"']*)""", re.IGNORECASE)


class Crawl:
    def __init__(self, start: str, depth: int, **limits: Any) -> None:
        self.host = urlsplit(start).netloc
        self.depth = depth
        self.seen: set[str] = set()
        self.bad: list[str] = []
        self.session = reqkit.Session(headers={"User-Agent": "reqkit-example-crawler"})
        with self.session, reqkit_async.Pool(session=self.session, **limits) as self.pool:
            self.visit(start, 0)
        # Leaving the pool has waited for all that was queued.

    def visit(self, url: str, depth: int) -> None:
        url = urldefrag(url).url
        if url not in self.seen and urlsplit(url).netloc == self.host:
            self.seen.add(url)
            self.pool.spawn(
                reqkit_async.get(url, callback=lambda response: self.arrived(response, depth))
            )

    def arrived(self, response: reqkit.Response, depth: int) -> None:
        if not response:
            self.bad.append(f"{response.url}: {response.error or response.status_code}")
        elif depth < self.depth and "html" in response.headers.get("Content-Type", ""):
            for link in HREF.findall(response.text):
                self.visit(urljoin(response.url or "", link), depth + 1)


def main() -> int:
    parser = argparse.ArgumentParser(description="Crawl a site.")
    parser.add_argument("url", nargs="?", help="where to begin")
    parser.add_argument("--depth", type=int, default=3, help="how many links away (3)")
    parser.add_argument("--per-host", type=int, default=4, help="requests at a time (4)")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds between two starts (0)")
    given = parser.parse_args()
    with nullcontext() if given.url else serve() as site:
        start = given.url or f"{site}/tree"
        crawl = Crawl(start, given.depth, size=20, per_host=given.per_host, delay=given.delay)
    print(f"{len(crawl.seen)} pages of {crawl.host}, {len(crawl.bad)} of them bad")
    print(*(f"  {line}" for line in sorted(crawl.bad)), sep="\n")
    print(crawl.pool.stats)
    return 1 if len(crawl.bad) == len(crawl.seen) else 0


if __name__ == "__main__":
    sys.exit(main())
