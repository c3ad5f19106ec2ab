"""The list of requests' tests that are left out, and why: see left_out.txt."""

from __future__ import annotations

import socket
from pathlib import Path

LIST = Path(__file__).with_name("left_out.txt")
KINDS = ("private part of requests", "contract", "needs")


def read(path: Path = LIST) -> dict[str, str]:
    """Return the reason of each entry: a test's id, with or without parameters, or a file."""
    entries: dict[str, str] = {}
    reason = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.strip()
        if line.startswith("["):
            reason = line.removeprefix("[").removesuffix("]")
            assert reason.startswith(KINDS), f"no known kind of reason: {reason}"
        elif line and not line.startswith("#"):
            assert reason, f"{line} has no reason"
            assert line not in entries, f"{line} is listed twice"
            entries[line] = reason
    return entries


def entry_of(test: str, entries: dict[str, str]) -> str | None:
    """Return the entry that a test's id falls under, if there is one."""
    file, _, _ = test.partition("::")
    for name in (test, test.partition("[")[0], file):
        if name in entries:
            return name
    return None


def counts(reason: str) -> bool:
    """Tell whether a reason holds on this machine."""
    if reason.startswith("needs tarpit"):
        return _answers("10.255.255.1", 80)
    if reason.startswith("needs dns"):
        try:
            socket.getaddrinfo("httpbin.org", 80)
        except OSError:
            return True
        return False
    return True


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1).close()
    except TimeoutError:
        return False
    except OSError:
        pass  # refused, or no way there: at once either way
    return True
