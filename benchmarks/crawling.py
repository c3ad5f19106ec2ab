"""`python -m benchmarks.crawling`: crawl a documentation package, beside scrapy and a loop by hand.

nginx serves a folder of real pages (by default those of Debian's ``openjdk-17-doc``: 10,140 of
HTML). Each crawler goes through it from the first page, follows all links that stay on the host,
and keeps an item for each page: URL, title, how many links. In turn, each in a process of its own,
on one core; nginx has the other one. ``--add 1000000`` instead adds so many URLs to a store.

- ``crawl``: `reqkit_async.Crawl` with its store on disk, and the same with an archive.
- ``pool``: the bare `reqkit_async.Pool`, with the same parser, and `urljoin` and `urldefrag` by
  hand; it forgets all when it ends.
- ``scrapy``: a spider with the same parser (selectolax) and with its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import machine
from .servers import free_port, wait_for_port

FOLDER = Path("/usr/share/doc/openjdk-17-doc")
ROOT = Path(__file__).resolve().parent.parent


def crawl(url: str, pages: int, folder: Path, **more: Any) -> dict[str, Any]:
    """Crawl with `reqkit_async.Crawl`."""
    import reqkit_async

    with reqkit_async.Crawl(
        folder / "pages.crawl", size=50, per_host=50, delay=0, pages=pages, **more
    ) as crawling:
        crawling.add(url)
        longest, last = 0.0, time.monotonic()
        began = time.monotonic()
        for response in crawling:
            title = crawling.tree(response).css_first("title")
            count = crawling.follow(response)
            crawling.keep(
                {"url": response.url, "title": title.text() if title else None, "new": count}
            )
            now = time.monotonic()
            longest, last = max(longest, now - last), now
        seconds = time.monotonic() - began
        return {
            "pages": crawling.stats.done, "items": crawling.stats.items, "seconds": seconds,
            "known": crawling.stats.known,
        }  # fmt: skip


def crawl_archived(url: str, pages: int, folder: Path) -> dict[str, Any]:
    """The same, with an archive."""
    return crawl(url, pages, folder, archive=folder / "pages.warc.gz")


def pool(url: str, pages: int, folder: Path) -> dict[str, Any]:
    """Crawl with a bare pool, in memory."""
    from urllib.parse import urldefrag, urljoin, urlsplit

    from selectolax.lexbor import LexborHTMLParser

    import reqkit_async

    host = urlsplit(url).netloc
    seen = {url}
    items = []

    def arrived(response: Any) -> None:
        if not response.ok or "html" not in response.headers.get("Content-Type", ""):
            items.append({"url": response.url})
            return
        tree = LexborHTMLParser(response.content)
        title = tree.css_first("title")
        before = len(seen)
        for node in tree.css("a[href]"):
            link = urldefrag(urljoin(response.url, node.attributes["href"] or "")).url
            if link not in seen and urlsplit(link).netloc == host and link.startswith("http"):
                seen.add(link)
                if len(seen) <= pages:
                    running.spawn(reqkit_async.get(link, callback=arrived))
        items.append({"url": response.url, "title": title.text() if title else None,
                      "new": len(seen) - before})  # fmt: skip

    began = time.monotonic()
    with reqkit_async.Pool(50) as running:
        running.spawn(reqkit_async.get(url, callback=arrived))
    return {"pages": len(items), "items": len(items), "seconds": time.monotonic() - began}


def scrapy(url: str, pages: int, folder: Path, own: bool = False) -> dict[str, Any]:
    """Crawl with scrapy."""
    from urllib.parse import urlsplit

    from scrapy import Spider
    from scrapy.crawler import CrawlerProcess
    from selectolax.lexbor import LexborHTMLParser

    class Pages(Spider):  # type: ignore[misc]
        name = "pages"
        start_urls = [url]  # noqa: RUF012
        allowed_domains = [urlsplit(url).hostname]  # noqa: RUF012

        def parse(self, response: Any) -> Any:
            if b"html" not in response.headers.get("Content-Type", b""):
                yield {"url": response.url}
                return
            if own:
                title = response.css("title::text").get()
                links = response.css("a::attr(href)").getall()
            else:
                tree = LexborHTMLParser(response.body)
                node = tree.css_first("title")
                title = node.text() if node else None
                links = [node.attributes["href"] or "" for node in tree.css("a[href]")]
            yield {"url": response.url, "title": title, "new": len(links)}
            for link in links:
                if not link.startswith(("javascript:", "mailto:")):
                    yield response.follow(link, self.parse)

    process = CrawlerProcess(
        {
            "CONCURRENT_REQUESTS": 50, "CONCURRENT_REQUESTS_PER_DOMAIN": 50, "LOG_LEVEL": "ERROR",
            "CLOSESPIDER_PAGECOUNT": pages, "TELNETCONSOLE_ENABLED": False, "DOWNLOAD_DELAY": 0,
            "FEEDS": {str(folder / "items.jsonl"): {"format": "jsonlines"}}, "ROBOTSTXT_OBEY": True,
            "JOBDIR": str(folder / "job"), "RETRY_ENABLED": False,
        }
    )  # fmt: skip
    crawler = process.create_crawler(Pages)
    began = time.monotonic()
    process.crawl(crawler)
    process.start()
    stats = crawler.stats.get_stats()
    return {
        "pages": stats.get("response_received_count", 0), "seconds": time.monotonic() - began,
        "items": stats.get("item_scraped_count", 0),
    }  # fmt: skip


def scrapy_own(url: str, pages: int, folder: Path) -> dict[str, Any]:
    """The same, with scrapy's own selectors."""
    return scrapy(url, pages, folder, own=True)


CRAWLERS: dict[str, Callable[[str, int, Path], dict[str, Any]]] = {
    "crawl": crawl, "crawl-archived": crawl_archived, "pool": pool, "scrapy": scrapy,
    "scrapy-own": scrapy_own,
}  # fmt: skip
#: What share of the pages is enough for whom: figures are rates.
SHARES = {"scrapy": 0.1, "scrapy-own": 0.1}


def serve(root: Path, folder: Path, core: int | None) -> tuple[subprocess.Popen[bytes], str]:
    """Have nginx serve a folder; return its process, and where it is.

    Args:
        root: the folder.
        folder: an empty one for its own files.
        core: where it runs.
    """
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if program is None:
        raise SystemExit("nginx is not installed")
    port = free_port()
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(f"""
        {"user root root;" if os.geteuid() == 0 else ""}
        daemon off; worker_processes 1; pid {folder}/nginx.pid;
        events {{ worker_connections 1024; }}
        http {{
            access_log off; {temporary}
            types {{ text/html html; text/css css; application/javascript js; text/plain txt; }}
            keepalive_requests 10000000;
            server {{ listen 127.0.0.1:{port}; root {root}; }}
        }}
    """)
    process = subprocess.Popen(
        [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", f"{folder}/error.log"],
        preexec_fn=lambda: machine.pin(core),
    )
    wait_for_port(port, process, folder / "error.log")
    return process, f"http://127.0.0.1:{port}"


def _run(name: str, url: str, pages: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="crawling-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.crawling", "--client", name, "--url", url,
             "--pages", str(pages), "--folder", folder],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{name}: {done.stderr[-2000:]}")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found


def added(count: int) -> dict[str, Any]:
    """Add URLs to a store on disk; return the processor's time, and the most memory there was."""
    import reqkit_async

    def url(number: int) -> str:
        return f"https://docs.example/section/{number % 1000}/page-{number}.html"

    began = time.process_time()
    for number in range(count):
        url(number)
    making = time.process_time() - began
    with tempfile.TemporaryDirectory(prefix="crawling-") as folder:
        began = time.process_time()
        with reqkit_async.Crawl(Path(folder) / "pages.crawl") as crawling:
            for number in range(count):
                crawling.add(url(number))
        seconds = time.process_time() - began - making
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"a second": round(count / seconds), "microseconds": round(seconds / count * 1e6, 2),
            "MB": round(most)}  # fmt: skip


def main() -> None:
    """Run what the command line asks for, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.crawling", description=__doc__)
    parser.add_argument("--client", choices=CRAWLERS, help="be this one (for the others)")
    parser.add_argument("--url")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="the pages (for a client: own)")
    parser.add_argument("--pages", type=int, default=10_140)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--crawlers", default=",".join(CRAWLERS), help="which ones (commas)")
    parser.add_argument("--add", type=int, help="add so many URLs to a new store, and no more")
    given = parser.parse_args()
    if given.add:
        print(json.dumps(added(given.add)))
        return
    if given.client:
        print(json.dumps(CRAWLERS[given.client](given.url, given.pages, given.folder)))
        return
    client, server = machine.cores()
    machine.pin(client)
    rates: dict[str, list[float]] = {name: [] for name in given.crawlers.split(",")}
    with tempfile.TemporaryDirectory(prefix="crawling-") as folder:
        nginx, origin = serve(given.folder, Path(folder), server)
        try:
            for _ in range(given.rounds):
                for name, found in rates.items():
                    pages = max(int(given.pages * SHARES.get(name, 1)), 1)
                    figures = _run(name, f"{origin}/api/index.html", pages)
                    found.append(figures["pages"] / figures["seconds"])
                    print(name, figures, file=sys.stderr, flush=True)
        finally:
            nginx.terminate()
            nginx.wait()
    print("| crawler | pages a second | of `pool` |\n| --- | --- | --- |")
    base = statistics.median(rates["pool"]) if "pool" in rates else None
    for name, found in rates.items():
        rate = statistics.median(found)
        print(f"| {name} | {rate:,.0f} | {f'{rate / base:.2f}' if base else ''} |")


if __name__ == "__main__":
    main()
