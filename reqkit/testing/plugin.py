"""Fixtures for pytest, which finds them by an entry point: ``reqkit_router``, ``reqkit_recording``.

Nothing of reqkit's is imported before a test asks for one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .recording import Recording
    from .router import Router

__all__ = ["reqkit_recording", "reqkit_router"]


@pytest.fixture
def reqkit_router() -> Iterator[Router]:
    """A `reqkit.testing.Router` in place of the network, for the test's time."""
    from .router import Router

    with Router() as router:
        yield router


@pytest.fixture
def reqkit_recording(request: pytest.FixtureRequest) -> Iterator[Recording]:
    """A `reqkit.testing.Recording`, in ``recordings/MODULE/TEST.json`` beside the test's file."""
    from .recording import Recording

    module = Path(str(request.path))
    name = "".join(sign if sign.isalnum() or sign in "-_." else "_" for sign in request.node.name)
    with Recording(module.parent / "recordings" / module.stem / f"{name}.json") as recording:
        yield recording
