"""Have mypy and pyright look at the uses in this folder, and at how complete the types are.

    python tests/types/check.py

Each line of mistakes.py after its names has to be found by both; none of right.py may be. What
pyright's ``--verifytypes`` says of both packages must not fall. Ends with 1 where anything is
otherwise.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
MISTAKES, RIGHT = HERE / "mistakes.py", HERE / "right.py"


def mypy(path: Path) -> set[int]:
    """Return the lines that mypy complains of."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-error-summary"]
    ended = subprocess.run([*command, str(path)], capture_output=True, text=True, cwd=HERE)
    lines = re.findall(rf"{path.name}:(\d+): error", ended.stdout)
    if ended.returncode not in (0, 1):
        sys.exit(ended.stdout + ended.stderr)
    return {int(line) for line in lines}


def pyright(path: Path) -> set[int]:
    """Return the lines that pyright complains of."""
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable]
    ended = subprocess.run([*command, str(path)], capture_output=True, text=True, cwd=HERE)
    found = json.loads(ended.stdout)["generalDiagnostics"]
    return {one["range"]["start"]["line"] + 1 for one in found if one["severity"] == "error"}


def completeness(package: str) -> float:
    """Return how much of a package pyright knows the types of."""
    command = [sys.executable, "-m", "pyright", "--verifytypes", package, "--ignoreexternal"]
    command += ["--outputjson", "--pythonpath", sys.executable]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    score: float = json.loads(ended.stdout)["typeCompleteness"]["completenessScore"]
    return score


def seeded() -> set[int]:
    """Return the lines that have a mistake."""
    lines = MISTAKES.read_text("utf-8").splitlines()
    first = lines.index("response = reqkit.get(URL)") + 2
    return {number for number, line in enumerate(lines, 1) if number > first and line}


def main() -> int:
    """Check, and say what is wrong."""
    wanted, wrong = seeded(), False
    text = MISTAKES.read_text("utf-8").splitlines()
    for checker in (mypy, pyright):
        found = checker(MISTAKES)
        for number in sorted(wanted - found):
            wrong = True
            print(f"{checker.__name__} does not find: {text[number - 1]}")
        for number in sorted(checker(RIGHT)):
            wrong = True
            print(f"{checker.__name__} complains of right.py:{number}")
        print(f"{checker.__name__}: {len(found & wanted)} of {len(wanted)} mistakes found")
    for package in ("reqkit", "reqkit_async"):
        score = completeness(package)
        print(f"{package}: the types of {score:.1%} are known")
        wrong = wrong or score < LEAST[package]
    return int(wrong)


#: What is reached, and must not be lost.
LEAST = {"reqkit": 0.7, "reqkit_async": 0.65}

if __name__ == "__main__":
    sys.exit(main())
