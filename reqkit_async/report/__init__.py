"""Pages that one can look at: figures and pictures in one HTML file that needs nothing else.

What it knows: how plain figures, as `Stats.as_dict` and a crawl's store give them, become a page.
It knows nothing of pools and requests.

Stands on nothing of ours.
Begin reading at `page`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

__all__ = ["check_extras", "write_crawl_report", "write_stats_report"]


def check_extras() -> None:
    """See that what reports are made with is installed.

    Raises:
        ImportError: it is not; says what to do.
    """
    try:
        import jinja2
        import matplotlib
    except ImportError as error:
        raise ImportError(
            "reports need jinja2 and matplotlib: pip install 'reqkit[cli]'"
        ) from error
    del jinja2, matplotlib


def write_stats_report(stats: Any, path: str | os.PathLike[str]) -> Path:
    """Write the report of a batch; return its path.

    Args:
        stats: a `Stats`, or what its ``as_dict()`` gave.
        path: the file; what is there is replaced when the new one is whole.

    Raises:
        ImportError: the extra ``cli`` is not installed.
        OSError: the file cannot be written.
    """
    check_extras()
    from .page import stats_page

    figures = stats if isinstance(stats, dict) else stats.as_dict()
    return _write(Path(os.fspath(path)), stats_page(figures))


def write_crawl_report(crawl: Any, path: str | os.PathLike[str]) -> Path:
    """Write the report of a crawl; return its path.

    Args:
        crawl: a `Crawl`, or the figures that its ``figures()`` gave.
        path: as for `write_stats_report`, and so is what is raised.
    """
    check_extras()
    from .page import crawl_page

    figures = crawl if isinstance(crawl, dict) else crawl.figures()
    return _write(Path(os.fspath(path)), crawl_page(figures))


def _write(path: Path, text: str) -> Path:
    beside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        # Half of a surrogate pair, out of somebody's JSON, is no text in UTF-8.
        beside.write_text(text, encoding="utf-8", errors="replace")
        os.replace(beside, path)
    except BaseException:  # an interrupt, too
        beside.unlink(missing_ok=True)
        raise
    return path
