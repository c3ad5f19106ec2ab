"""Download many files at once, to disk, with progress; what broke off is taken up again.

    python examples/download_files.py [URL ...] [--to FOLDER] [--size 8]

A body goes straight to `NAME.part`, whatever its size, and is renamed when it is whole. Run it
again after an interruption: it asks for the rest only.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from urllib.parse import urlsplit

from gevent.pool import Pool

import reqkit
import reqkit_async
from _site import serve

ATTEMPTS = 3


class Total:
    """What all downloads together have written."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}

    def of(self, url: str, done: int) -> None:
        self.done[url] = done
        if sys.stderr.isatty():
            print(f"\r{sum(self.done.values()):,} bytes", end="", file=sys.stderr)


def fetch(url: str, folder: Path, session: reqkit.Session, total: Total) -> str:
    name = Path(urlsplit(url).path).name or "index"
    for attempt in range(1, ATTEMPTS + 1):
        request = reqkit_async.get(url, session=session, stream=True)
        response: reqkit.Response = reqkit_async.send(request, stream=True).get()
        try:
            if response.error is not None:
                raise response.error
            with response:
                path = response.download(
                    folder / name, resume=True, progress=lambda done, _: total.of(url, done)
                )
            return f"{name}: {path.stat().st_size:,} bytes, attempt {attempt}"
        except reqkit.HTTPError:
            raise  # asking again would not help
        except reqkit.RequestException as error:
            print(f"{name}: attempt {attempt} failed: {error}", file=sys.stderr)
            last = error
    raise last


def main() -> int:
    parser = argparse.ArgumentParser(description="Download files.")
    parser.add_argument("urls", nargs="*", metavar="URL", help="what to download")
    parser.add_argument("--to", type=Path, help="where to (a folder that is removed at the end)")
    parser.add_argument("--size", type=int, default=8, help="how many at a time (8)")
    given = parser.parse_args()
    keep = nullcontext(given.to) if given.to else tempfile.TemporaryDirectory()
    failed = 0
    with keep as folder, nullcontext("") if given.urls else serve() as site:
        Path(folder).mkdir(parents=True, exist_ok=True)
        names = [*(f"file-{number}.bin" for number in range(10)), "broken-1.bin", "broken-2.bin"]
        urls = given.urls or [f"{site}/files/{name}" for name in names]
        pool, total, session = Pool(given.size), Total(), reqkit.Session()
        with session:
            jobs = [pool.spawn(fetch, url, Path(folder), session, total) for url in urls]
            pool.join()
        for url, job in zip(urls, jobs, strict=True):
            failed += not job.successful()
            print(job.value if job.successful() else f"{url}: {job.exception}")
        print(f"{len(urls) - failed} of {len(urls)} files, {sum(total.done.values()):,} bytes")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
