"""What tests of TLS share."""

from __future__ import annotations

import pytest

from reqkit.transport.tls import contexts


@pytest.fixture
def no_contexts_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin with no context made."""
    monkeypatch.setattr(contexts, "_clients", {})
