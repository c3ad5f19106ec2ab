"""`python -m benchmarks.command`: ``reqkit fetch`` of a list of URLs, beside `reqkit_async.map`.

nginx serves one file of 1 KB under 10,000 URLs. ``map`` is a script that reads the list and calls
`reqkit_async.map`, 50 at a time; ``fetch`` is the installed command, which writes a line of JSON
for each. In turn, each in a process of its own, on one core; nginx has the other one.

The seconds are those of whole processes, their beginning and their imports included, by the clock
and of the processor.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from . import machine
from .crawling import serve

_MAP = """
import sys
import reqkit_async
urls = [line.strip() for line in open(sys.argv[1])]
assert all(r.status_code == 200 for r in reqkit_async.map(urls, size=50))
"""


def _spent(command: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds by the clock, and of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run what the command line asks for, and print the ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.command", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    client, server = machine.cores()
    machine.pin(client)
    with tempfile.TemporaryDirectory(prefix="command-") as name:
        folder = Path(name)
        (folder / "pages").mkdir()
        (folder / "pages" / "small.txt").write_bytes(os.urandom(512).hex().encode())
        nginx, origin = serve(folder / "pages", folder, server)
        urls = folder / "urls.txt"
        urls.write_text("".join(f"{origin}/small.txt?{n}\n" for n in range(given.count)))
        fetch = [
            str(Path(sys.executable).with_name("reqkit")), "fetch", "--from", str(urls),
            "--jsonl", str(folder / "out.jsonl"), "--overwrite",
        ]  # fmt: skip
        ratios = []
        try:
            for number in range(given.rounds + 1):
                mapped = _spent([sys.executable, "-c", _MAP, str(urls)])
                fetched = _spent(fetch)
                if number:  # the first ones find nothing in any cache
                    ratios.append([a / b for a, b in zip(mapped, fetched, strict=True)])
                    print(
                        "map {:.2f} s ({:.2f} of the processor)".format(*mapped),
                        "fetch {:.2f} s ({:.2f})".format(*fetched),
                        sep=", ", file=sys.stderr, flush=True,
                    )  # fmt: skip
        finally:
            nginx.terminate()
            nginx.wait()
    wall, processor = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"fetch at {wall:.2f} of map's speed by the clock, {processor:.2f} by the processor")


if __name__ == "__main__":
    main()
