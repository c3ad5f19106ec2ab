"""Follow many live streams at once: each line is handled as soon as it is there.

    python examples/stream_lines.py [URL ...] [--lines N]

Every stream has a greenlet that loops over `iter_lines()`; while one waits, the others run.
"""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import nullcontext

import gevent

import reqkit
import reqkit_async
from _site import serve

STREAMS = 20


def follow(url: str, most: int | None, counts: dict[str, int]) -> None:
    # A stream may say nothing for long: no limit on reading, and a short one on connecting.
    request = reqkit_async.get(url, stream=True, timeout=(5, None))
    response: reqkit.Response = reqkit_async.send(request, stream=True).get()
    if response.error is not None:
        raise response.error
    with response:  # left early, the connection is closed
        response.raise_for_status()
        for line in response.iter_lines(decode_unicode=True):
            if not line:  # an empty line says that the stream is still there
                continue
            handle(url, line)
            counts[url] = counts.get(url, 0) + 1
            if counts[url] == most:
                break


def handle(url: str, line: str) -> None:
    message = json.loads(line)
    if message["number"] % 10 == 0:
        print(f"{url}: {message['number']:>3} {message['text']}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Follow streams of JSON lines.")
    parser.add_argument("urls", nargs="*", metavar="URL", help="what to follow")
    parser.add_argument("--lines", type=int, help="leave each stream after so many lines")
    given = parser.parse_args()
    counts: dict[str, int] = {}
    with nullcontext("") if given.urls else serve() as site:
        urls = given.urls or [f"{site}/live/{number}" for number in range(STREAMS)]
        followers = [gevent.spawn(follow, url, given.lines, counts) for url in urls]
        gevent.joinall(followers)
    print(f"{sum(counts.values())} lines of {len(counts)} streams")
    failed = [follower.exception for follower in followers if follower.exception is not None]
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
