"""Crawl a site. End it at any moment, however you like: begun again, it goes on where it was.

    python examples/crawl.py [URL] [--store site.crawl] [--depth 3] [--export pages.jsonl]

Without a URL it crawls a small site of its own, in memory. It needs the extra `crawl`.
"""

import argparse
import sys
from contextlib import nullcontext

import reqkit_async
from _site import serve


def main() -> int:
    parser = argparse.ArgumentParser(description="Crawl a site.")
    parser.add_argument("url", nargs="?", help="where to begin")
    parser.add_argument("--store", help="the file that remembers (for a URL: site.crawl)")
    parser.add_argument("--depth", type=int, default=3, help="how many links away (3)")
    parser.add_argument("--export", help="where items go in the end: .jsonl, .csv or .parquet")
    given = parser.parse_args()
    store = given.store or ("site.crawl" if given.url else None)
    with nullcontext(given.url) if given.url else serve() as site:
        options = {} if given.url else {"delay": 0}
        with reqkit_async.Crawl(store, depth=given.depth, progress=True, **options) as crawl:
            crawl.add(given.url or f"{site}/tree")
            for response in crawl:
                title = crawl.tree(response).css_first("title")
                crawl.keep({"url": response.url, "title": title.text() if title else None})
                crawl.follow(response)
            bad = [f"{page.url}: {page.error or page.status}" for page in crawl.failed()]
            print(crawl.stats, *bad, sep="\n")
            if given.export:
                print(f"{crawl.export(given.export)} items in {given.export}")
            return 0 if crawl.stats.done else 1


if __name__ == "__main__":
    sys.exit(main())
