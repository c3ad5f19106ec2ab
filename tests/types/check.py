"""Have mypy and pyright look at the uses in this folder, and at how complete the types are.

    python tests/types/check.py

Each line of mistakes.py after its names has to be found by both; none of right.py may be. Pyright's
``--verifytypes`` has to know all types of both packages. Ends with 1 where anything is otherwise.
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


def completeness(package: str) -> tuple[float, list[str]]:
    """Return how much of a package pyright knows the types of, and what it does not know."""
    command = [sys.executable, "-m", "pyright", "--verifytypes", package, "--ignoreexternal"]
    command += ["--outputjson", "--pythonpath", sys.executable]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    found = json.loads(ended.stdout)["typeCompleteness"]
    unknown = [
        f"{symbol['name']}: {one['message']}"
        for symbol in found["symbols"]
        if not symbol["isTypeKnown"] or symbol["isTypeAmbiguous"]
        for one in symbol["diagnostics"]
    ]
    return found["completenessScore"], unknown


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
        score, unknown = completeness(package)
        print(*unknown, f"{package}: the types of {score:.1%} are known", sep="\n")
        wrong = wrong or score < 1
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
