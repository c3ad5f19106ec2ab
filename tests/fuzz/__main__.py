"""Fuzz one target: ``python -m fuzz TARGET`` in ``tests/``. See README.md beside this."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import mutating


def main() -> int:
    """Run; the exit status is 0 where nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("target", help="a name in fuzz.targets.TARGETS")
    parser.add_argument("--seconds", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--engine", choices=("atheris", "plain"), help="default: what is there")
    parser.add_argument("--seed", type=int, default=0, help="of the plain engine's choices")
    parser.add_argument("--work", type=Path, help="a folder for what atheris finds on the way")
    parser.add_argument("files", nargs="*", type=Path, help="run these once instead: findings")
    given = parser.parse_args()

    atheris: Any = None
    if given.engine != "plain" and not given.files:
        with contextlib.suppress(ImportError):
            atheris = importlib.import_module("atheris")
        if atheris is None and given.engine == "atheris":
            parser.error("atheris is not installed")
    if atheris is None:
        targets = importlib.import_module("fuzz.targets")
    else:
        with atheris.instrument_imports(include=["reqkit"]):
            targets = importlib.import_module("fuzz.targets")
    if given.target not in targets.TARGETS:
        parser.error(f"no target {given.target!r}: expected one of {', '.join(targets.TARGETS)}")
    target: Callable[[bytes], None] = targets.TARGETS[given.target]
    if given.files:
        for path in given.files:
            target(path.read_bytes())
        return 0
    if atheris is not None:
        _run_atheris(atheris, target, given, targets.CORPUS / given.target)
        return 0
    return _run_plain(target, given, [path.read_bytes() for path in targets.seeds(given.target)])


def _run_atheris(atheris: Any, target: Callable[[bytes], None], given: Any, corpus: Path) -> None:
    """Hand over to libFuzzer, which ends the process itself."""
    work: Path = given.work or Path("fuzz-work")
    found = work / given.target
    found.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={int(given.seconds)}", "-max_len=4096", "-timeout=20",
        "-rss_limit_mb=2048", f"-artifact_prefix={work}/{given.target}-", "-print_final_stats=1",
        str(found), str(corpus),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *options], target)
    atheris.Fuzz()


def _run_plain(target: Callable[[bytes], None], given: Any, seeds: list[bytes]) -> int:
    """Mutate the seeds by chance alone, which finds less but runs anywhere."""
    chance = random.Random(given.seed)
    ends = time.monotonic() + given.seconds
    runs = 0
    while time.monotonic() < ends:
        data = mutating.mutated(seeds, chance)
        runs += 1
        try:
            target(data)
        except Exception:
            path = Path(f"{given.target}-finding-{given.seed}-{runs}")
            path.write_bytes(data)
            print(f"{runs} executions; the last one failed, its data is in {path}", file=sys.stderr)
            raise
    print(f"{given.target}: {runs} executions, nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
