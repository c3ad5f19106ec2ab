"""A crawl in a process of its own, that ends by a signal where the test says.

    python program.py STORE URL HANDED '{"size": 8, "kill": ["body", 7], "archive": "x.warc.gz"}'

Each page that is handed over is a line in HANDED, written before its turn has done anything.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import reqkit_async
from reqkit_async.crawl import archive as archives


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Countdown:
    """Ends the process when it was called so often."""

    def __init__(self, left: int) -> None:
        self._left = left

    def __call__(self, *_: Any) -> None:
        self._left -= 1
        if self._left == 0:
            die()


def main() -> int:
    store, url, handed = sys.argv[1:4]
    options = json.loads(sys.argv[4])
    where, number = options.pop("kill", (None, 0))
    countdown = Countdown(number)
    if where == "archive":
        write = os.pwrite

        def half(file: int, data: Any, at: int) -> int:
            nonlocal number
            number -= 1
            if number == 0:
                write(file, data[: len(data) // 2], at)
                die()
            return write(file, data, at)

        archives.os.pwrite = half  # type: ignore[attr-defined]
    options = {"per_host": 50, "delay": 0, "page_timeout": 20} | options
    log = os.open(handed, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with reqkit_async.Crawl(store, **options) as crawl:
        if where == "commit":
            crawl._store._db.set_trace_callback(countdown)
        crawl.add(url)
        for response in crawl:
            os.write(log, f"{response.url}\n".encode())
            crawl.keep({"url": response.url, "status": response.status_code})
            if where == "body":
                countdown()
            crawl.follow(response)
    return 0


if __name__ == "__main__":
    sys.exit(main())
