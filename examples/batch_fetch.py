"""Fetch many pages at once, and say how it went.

    python examples/batch_fetch.py                      2,000 pages of a small site of its own
    python examples/batch_fetch.py URL URL ...          these
    python examples/batch_fetch.py --from urls.txt      one URL a line ("-" reads standard input)

Ends with 0 where every page was there, 1 where some were not, 2 for wrong arguments.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import nullcontext
from typing import TextIO

import reqkit
import reqkit_async
from _site import serve

PAGES = 2000


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fetch many pages at once.")
    parser.add_argument("urls", nargs="*", metavar="URL", help="what to fetch")
    parser.add_argument("--from", dest="file", help="a file with one URL a line, or -")
    parser.add_argument("--size", type=int, default=50, help="how many at a time (50)")
    parser.add_argument(
        "--timeout", type=float, default=30.0, help="seconds for each page in all (30)"
    )
    arguments = parser.parse_args()
    if arguments.size < 1:
        parser.error(f"--size is {arguments.size}: expected 1 or more")
    if arguments.timeout <= 0:
        parser.error(f"--timeout is {arguments.timeout}: expected seconds, above 0")
    if arguments.file and arguments.urls:
        parser.error("give URLs or --from, not both")
    if arguments.file:
        try:
            arguments.urls = read_urls(arguments.file)
        except OSError as error:
            parser.error(f"--from: {error}")
        if not arguments.urls:
            parser.error(f"--from: there is no URL in {arguments.file}")
    return arguments


def read_urls(name: str) -> list[str]:
    with nullcontext(sys.stdin) if name == "-" else open(name) as file:
        lines = [line.strip() for line in file]
    return [line for line in lines if line and not line.startswith("#")]


class ProgressLine:
    """One line that is written over on a terminal; elsewhere a line every so often."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.every = 0.1 if stream.isatty() else 2.0
        self.shown = time.monotonic()

    def __call__(self, done: int, total: int | None) -> None:
        now = time.monotonic()
        if now - self.shown < self.every and done != total:
            return
        self.shown = now
        line = f"{done:,} of {total:,} pages"
        if self.stream.isatty():
            self.stream.write(f"\r{line}" + ("\n" if done == total else ""))
        else:
            self.stream.write(f"{line}\n")
        self.stream.flush()


def show(responses: list[reqkit.Response], seconds: float) -> None:
    stats = reqkit_async.summarise(responses, seconds)
    print(f"{stats.requests:,} pages, {stats.bytes:,} bytes in {stats.seconds:.2f} s")
    print(f"{'requests a second':<18} {stats.rate:,.0f}")
    for status, count in sorted(stats.statuses.items()):
        print(f"{f'status {status}':<18} {count:,}")
    if stats.statuses:
        times = (f"p{n} {stats.latency.percentile(n) * 1000:.1f} ms" for n in (50, 90, 99))
        print(f"{'latency':<18} {'  '.join(times)}")
    print(f"{'connections used':<18} {stats.connections:,}")
    if stats.errors:
        print("failures")
        show_failures(responses)


def show_failures(responses: list[reqkit.Response]) -> None:
    kinds: dict[str, list[Exception]] = {}
    for response in responses:
        if response.error is not None:
            kinds.setdefault(type(response.error).__name__, []).append(response.error)
    for kind, errors in sorted(kinds.items(), key=lambda item: -len(item[1])):
        print(f"  {kind}: {len(errors):,}")
        for error in errors[:3]:
            print(f"    {error}")
        if len(errors) > 3:
            print(f"    ... and {len(errors) - 3:,} more")


def main() -> int:
    arguments = read_arguments()
    with nullcontext("") if arguments.urls else serve() as site:
        urls = arguments.urls or [f"{site}/page/{number}" for number in range(PAGES)]
        limits = reqkit.Timeouts(connect=10, read=30, total=arguments.timeout)
        requests = [reqkit_async.get(url, timeout=limits) for url in urls]
        began = time.perf_counter()
        responses = reqkit_async.map(
            requests, size=arguments.size, progress=ProgressLine(sys.stderr)
        )
        seconds = time.perf_counter() - began
    show(responses, seconds)
    return 0 if all(responses) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
