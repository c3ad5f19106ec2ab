"""Put small changes into the code at random, one at a time, and see whether a test notices.

``tox -e mutants`` runs it; it takes minutes for each change, and is no part of CI. The changes are
Cosmic Ray's, a sample of them by seed, made in a copy of the project. For each that no test has
noticed, its file, line and difference are printed: a test is to be written for it, unless nobody
could see it (a message's wording, a limit that is as good one higher).

    tox -e mutants                                  8 changes to each floor
    tox -e mutants -- --each 20 --seed 2 transport  20 others to one

It exits with 1 where fewer are noticed than ``--least`` (95 of a hundred).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("reqkit", "reqkit_async", "tests", "docs", "examples", "benchmarks")
FILES = ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "CHANGELOG.md", "tox.ini")

#: The floors, with the tests that are the first to notice.
FLOORS = {
    "transport": ("reqkit/transport", "tests/transport tests/safety"),
    "sessions": ("reqkit/sessions", "tests/sessions tests/auth"),
    "message": ("reqkit/message", "tests/message tests/sessions"),
    "pool": ("reqkit_async/pool", "tests/pool"),
    "network": ("reqkit_async/network", "tests/network tests/pool"),
}

#: Changes that cannot be seen: annotations are not evaluated.
_UNSEEN = (r"core/ReplaceBinaryOperator_BitOr_.*",)
#: Seconds after which a change is taken for noticed: it made something wait for ever.
_LONGEST = 1500


def copy_of_the_project(folder: Path) -> Path:
    copy = folder / "project"
    copy.mkdir()
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyc", ".*")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in FILES:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, copy / name)
    return copy


def config_of(copy: Path, floor: str) -> Path:
    """Write Cosmic Ray's configuration for a floor."""
    module, first = FLOORS[floor]
    pytest = f"{shlex.quote(sys.executable)} -m pytest -x -q -p no:cacheprovider --no-header"
    quick = "-m 'not slow and not interop and not compat'"
    rest = " ".join(f"--ignore={name}" for name in first.split())
    # The neighbouring tests first; all others only where these have noticed nothing.
    chain = f"{pytest} {quick} {first} && {pytest} {quick} {rest} tests"
    path = copy / f"{floor}.toml"
    lines = [
        "[cosmic-ray]",
        f"module-path = {json.dumps(module)}",
        f"timeout = {_LONGEST}",
        "excluded-modules = []",
        f"test-command = {json.dumps('sh -c ' + shlex.quote(chain))}",
        "[cosmic-ray.distributor]",
        'name = "local"',
        "[cosmic-ray.filters.operators-filter]",
        f"exclude-operators = {json.dumps(list(_UNSEEN))}",
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def leave(session: Path, most: int, seed: str) -> None:
    """Leave so many of a session's changes, chosen by a seed."""
    from cosmic_ray.work_db import WorkDB, use_db
    from cosmic_ray.work_item import WorkItem

    with use_db(session, WorkDB.Mode.open) as work:
        items: list[WorkItem] = sorted(
            work.pending_work_items, key=lambda item: repr(item.mutations)
        )
        kept = random.Random(seed).sample(items, min(most, len(items)))
        work.clear()
        for item in kept:
            work.add_work_item(item)


def run(copy: Path, floor: str, most: int, seed: int) -> tuple[int, list[str]]:
    """Try some changes of a floor.

    Returns:
        how many, and those that were not noticed.
    """
    from cosmic_ray.work_db import WorkDB, use_db
    from cosmic_ray.work_item import TestOutcome

    config, session = config_of(copy, floor), copy / f"{floor}.sqlite"

    def ray(*arguments: str) -> None:
        # The copy's packages, and not those that are installed.
        environment = {**os.environ, "PYTHONPATH": str(copy), "REQKIT_NO_EXTENSIONS": "1"}
        subprocess.run(
            [sys.executable, "-m", "cosmic_ray.cli", *arguments],
            cwd=copy, env=environment, check=True,
        )  # fmt: skip

    ray("init", str(config), str(session))
    subprocess.run(
        [sys.executable, "-m", "cosmic_ray.tools.filters.operators_filter", str(session),
         str(config)], cwd=copy, check=True,
    )  # fmt: skip
    leave(session, most, f"{seed} {floor}")
    ray("exec", str(config), str(session))
    tried, survived = 0, []
    with use_db(session, WorkDB.Mode.open) as work:
        for _, result in work.completed_work_items:
            tried += 1
            if result.test_outcome is TestOutcome.SURVIVED:
                survived.append(result.diff or "")
    return tried, survived


def main(arguments: Iterable[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("floors", nargs="*", default=[], metavar="FLOOR", help=", ".join(FLOORS))
    parser.add_argument("--each", type=int, default=8, help="changes to each floor")
    parser.add_argument("--seed", type=int, default=1, help="which ones")
    parser.add_argument("--least", type=float, default=95, help="of a hundred, to be noticed")
    options = parser.parse_args(list(arguments))
    wrong = [floor for floor in options.floors if floor not in FLOORS]
    if wrong:
        parser.error(f"there is no floor {wrong[0]!r}: they are {', '.join(FLOORS)}")
    tried = unnoticed = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of_the_project(Path(folder))
        for floor in options.floors or FLOORS:
            count, survived = run(copy, floor, options.each, options.seed)
            tried += count
            unnoticed += len(survived)
            print(f"{floor}: {count - len(survived)} of {count} noticed", flush=True)
            for difference in survived:
                print(difference, flush=True)
    rate = 100 * (tried - unnoticed) / tried if tried else 100.0
    print(f"in all: {tried - unnoticed} of {tried} noticed ({rate:.0f} %)")
    return 0 if rate >= options.least else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
