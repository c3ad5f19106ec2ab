"""The command `reqkit`: lists of URLs in files, results in files; and a crawler.

What it knows: files, terminals, signals and exit statuses. What is sent and how is a `Pool`'s and
a `Crawl`'s.

Stands on: batches, crawl, downloads, report, stats.
Begin reading at `program` (what can be said), then `fetch` and `crawl` (what is done).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

_NEEDED = frozenset(("click", "rich"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command, and return its exit status.

    Args:
        arguments: those after the command's name; None for the process's.
    """
    try:
        from .program import run
    except ModuleNotFoundError as error:
        if error.name not in _NEEDED:
            raise
        print(
            "reqkit: the command needs click and rich: pip install 'reqkit[cli]'", file=sys.stderr
        )
        return 2
    return run(arguments)
