"""Crawls in processes of their own, that end by a signal where the test says.

For each line of its input, ``[STORE, URL, HANDED, {"size": 8, "kill": ["body", 7], "archive":
"x.warc.gz"}]``, it forks a process that crawls, writes that one's id, and how it has ended. What a
crawl needs is imported once for all of them; neither a loop nor a thread is there before.

Each page that is handed over is a line in HANDED, written before its turn has done anything.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from typing import Any

import reqkit_async
from reqkit_async.crawl import archive as archives

#: What the first crawl in a process would import.
NEEDED = (
    "brotli", "encodings.idna", "gevent.pool", "gevent.queue", "gevent.threadpool", "gzip",
    "inspect", "selectolax.lexbor", "warcio.archiveiterator", "warcio.recordbuilder",
    "warcio.warcwriter",
)  # fmt: skip


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


def crawl_once(store: str, url: str, handed: str, options: dict[str, Any]) -> None:
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


def main() -> None:
    for name in NEEDED:
        importlib.import_module(name)
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
            crawl_once(*json.loads(line))
            return
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
