"""The plugins' tests are marked ``compat``: they need what the tox environment of that name has."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, before `-m` selects."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker("compat")
