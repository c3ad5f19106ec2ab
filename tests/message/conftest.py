"""An environment of their own for the tests of what is read from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reqkit.message import environment


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An environment that says nothing, and a home with nothing in it."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name in (
            "REQUEST_METHOD", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC",
        ):  # fmt: skip
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    environment._read_files.clear()
    yield
    environment._read_files.clear()


@pytest.fixture(params=["octets behind os.environ", "os.environ alone"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to read a variable: the quick one, and the one that always works."""
    if request.param == "os.environ alone":
        monkeypatch.setattr(environment, "_variables", lambda: None)
    elif environment._variables() is None:
        pytest.skip("os.environ has no dictionary of octets here")
