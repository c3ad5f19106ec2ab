"""Fetch many pages by the workers of a Dask cluster, which parse them; small results come back.

    python examples/batch_on_dask.py                          a cluster of its own, on this machine
    python examples/batch_on_dask.py tcp://scheduler:8786     one that is there
    python examples/batch_on_dask.py --workers 4 --from urls.txt

Without --from it asks a small site of its own, which other machines cannot reach.
Ends with 0 where every page was there, 1 where some were not, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from distributed import Client, LocalCluster

import reqkit_async
from _site import serve

PAGES = 2000


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fetch many pages on a Dask cluster.")
    parser.add_argument("address", nargs="?", help="the scheduler's; left out, one of its own")
    parser.add_argument("--workers", type=int, default=2, help="of a cluster of its own (2)")
    parser.add_argument("--from", dest="file", help="a file with one URL a line")
    parser.add_argument("--size", type=int, default=50, help="how many at a time, each worker (50)")
    arguments = parser.parse_args()
    if arguments.size < 1 or arguments.workers < 1:
        parser.error("--size and --workers: expected 1 or more")
    return arguments


def urls_of(arguments: argparse.Namespace, stack: ExitStack) -> list[str]:
    if arguments.file:
        with open(arguments.file) as file:
            return [line.strip() for line in file if line.strip()]
    site = stack.enter_context(serve())
    return [f"{site}/page/{number}" for number in range(PAGES)]


def summary_of(response: Any) -> tuple[int, str, int, int]:
    """Runs in a worker: what it returns is all that travels back."""
    if response.error is not None:
        return os.getpid(), type(response.error).__name__, 0, 0
    words = len(re.findall(r"\w+", response.text))
    return os.getpid(), str(response.status_code), words, len(response.content)


def entries(
    urls: list[str], arguments: argparse.Namespace, client: Client
) -> Iterator[tuple[int, str, int, int]]:
    requests = (reqkit_async.get(url, callback=summary_of) for url in urls)
    yield from reqkit_async.imap_unordered(
        requests, size=arguments.size, retries=2, progress=True, executor=client
    )


def main() -> int:
    arguments = read_arguments()
    with ExitStack() as stack:
        scheduler = arguments.address or stack.enter_context(
            LocalCluster(n_workers=arguments.workers, threads_per_worker=1, dashboard_address=":0")
        )
        client = stack.enter_context(Client(scheduler))
        urls = urls_of(arguments, stack)
        outcomes: Counter[str] = Counter()
        workers: Counter[int] = Counter()
        words = size = 0
        for process, outcome, more_words, more_bytes in entries(urls, arguments, client):
            outcomes[outcome] += 1
            workers[process] += 1
            words += more_words
            size += more_bytes
    print(f"{len(urls):,} pages, {size:,} bytes and {words:,} words, by {len(workers)} workers")
    for outcome, times in sorted(outcomes.items()):
        print(f"{outcome:<20} {times:,}")
    return 0 if set(outcomes) == {"200"} else 1


if __name__ == "__main__":
    sys.exit(main())
