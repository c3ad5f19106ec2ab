"""Fixtures for crawls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from crawl.site import Answering, Site

import reqkit_async

#: As fast as it goes: for what is not about manners.
FAST: dict[str, Any] = {"per_host": 50, "delay": 0}


@pytest.fixture
def site() -> Iterator[Callable[[Answering], Site]]:
    """Start sites: ``site(answer)``."""
    with ExitStack() as stack:

        def start(answer: Answering) -> Site:
            return stack.enter_context(Site(answer))

        yield start


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Where a store may be made."""
    return tmp_path / "site.crawl"


@pytest.fixture
def crawling(store: Path) -> Callable[..., reqkit_async.Crawl]:
    """Open a crawl on one store, as fast as it goes: ``crawling(size=3)``."""

    def open_crawl(**options: Any) -> reqkit_async.Crawl:
        return reqkit_async.Crawl(store, **(FAST | options))

    return open_crawl
