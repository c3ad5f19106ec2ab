"""The fixtures for pytest, in a pytest of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

CODE = """
import reqkit

def test_router(reqkit_router):
    reqkit_router.get("https://api.example/").answer(200, "there")
    assert reqkit.get("https://api.example/").text == "there"

def test_unexpected(reqkit_router):
    try:
        reqkit.get("https://api.example/")
    except reqkit.RequestException:
        pass

def test_recording(reqkit_recording):
    assert reqkit_recording.recording
"""


def test_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(CODE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "3 passed, 1 error" in ended.stdout, ended.stdout
    assert "no route was made for it" in ended.stdout
    written = tmp_path / "recordings" / "test_it" / "test_recording.json"
    assert written.exists()


def test_pytest_finds_them() -> None:
    [found] = entry_points(group="pytest11", name="reqkit")
    assert found.value == "reqkit.testing.plugin"
