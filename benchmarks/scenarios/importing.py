"""What an import takes, in time and in modules."""

from __future__ import annotations

from ..results import Unit
from .case import Case

__all__ = ["CASES"]


def _case(name: str, title: str, modules: dict[str, str]) -> Case:
    return Case(
        name,
        title,
        "import",
        count=1,
        site="",
        size=1,
        unit=Unit.MILLISECONDS,
        peers=dict.fromkeys(modules, 1.0),
        modules=modules,
    )


CASES = (
    _case(
        "import",
        "`import reqkit` and its likes",
        {"reqkit": "reqkit", "httpx": "httpx", "requests": "requests"},
    ),
    _case(
        "import-async",
        "`import reqkit_async` and its likes",
        {
            "reqkit": "reqkit_async",
            "pycurl": "pycurl",
            "aiohttp": "aiohttp",
            "geventhttpclient": "geventhttpclient",
            "grequests": "grequests",
        },
    ),
)
