"""Imports: `python -X importtime` in fresh processes, the middle one of which counts."""

from __future__ import annotations

import json
import re
import subprocess
import sys

_LINE = re.compile(r"import time:\s+\d+ \|\s+(\d+) \| ( *)(\S+)")
_TIMES = 3


def measure(module: str) -> tuple[float, int]:
    """Return the seconds that an import takes, and how many modules it loads."""
    output = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", f"import {module}"],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    lines = [found.groups() for found in map(_LINE.fullmatch, output.splitlines()) if found]
    # A module comes after those that it imports, which are further in.
    at = max(number for number, line in enumerate(lines) if line[1:] == ("", module))
    loaded = 1
    while at - loaded >= 0 and lines[at - loaded][1]:
        loaded += 1
    return int(lines[at][0]) / 1e6, loaded


def main() -> None:
    module = json.loads(sys.argv[1])["module"]
    measure(module)  # compiles what is not compiled yet
    seconds, modules = sorted(measure(module) for _ in range(_TIMES))[_TIMES // 2]
    print(json.dumps({"count": 1, "seconds": seconds, "cpu": seconds, "modules": modules}))


if __name__ == "__main__":
    main()
