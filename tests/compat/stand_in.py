"""A pytest plugin: ``import requests`` gives reqkit, and the tests of left_out.txt are not run.

Only the names are put where they are expected; what requests has and reqkit has not is missing
here too, so that a test which needs it fails. Packages that requests hands on (in its ``packages``)
are the exception.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
import urllib.parse
from collections import Counter
from pathlib import Path
from typing import Any

import charset_normalizer
import idna
import pytest
import urllib3
from left_out import counts, entry_of, read

import reqkit
import reqkit.api
import reqkit.sessions
import reqkit.status_codes

#: The modules of requests that reqkit has by the same name.
SAME = (
    "adapters", "api", "auth", "cookies", "exceptions", "hooks", "sessions", "status_codes",
    "structures",
)  # fmt: skip

#: What requests' tests call by a private name, and reqkit has by another.
PRIVATE: dict[str, dict[str, Any]] = {
    "auth": {"_basic_auth_str": reqkit.auth.basic_header},
    "sessions": {"SessionRedirectMixin": reqkit.Session},
}


def _module(name: str, doc: str, **names: Any) -> types.ModuleType:
    module = types.ModuleType(name, doc)
    module.__dict__.update(names)
    sys.modules[name] = module
    return module


def install() -> None:
    """Put the names into `sys.modules`."""
    assert "requests" not in sys.modules, "requests was imported before the stand-in"
    top = _module("requests", "reqkit, by the name that the tests know.", __path__=[])
    top.__dict__.update({name: getattr(reqkit, name) for name in reqkit.__all__})
    for name in SAME:
        original = sys.modules[f"reqkit.{name}"]
        # A module of its own where a test names a private part: reqkit's is left as it is.
        extra = PRIVATE.get(name)
        if extra is None:
            module = sys.modules[f"requests.{name}"] = original
        else:
            module = _module(f"requests.{name}", "", **{**vars(original), **extra})
        setattr(top, name, module)
    top.models = _module(  # type: ignore[attr-defined]
        "requests.models",
        "Where requests keeps its classes.",
        Request=reqkit.Request,
        PreparedRequest=reqkit.PreparedRequest,
        Response=reqkit.Response,
        urlencode=urllib.parse.urlencode,
    )
    for name in ("compat", "utils"):
        setattr(top, name, importlib.import_module(f"reqkit.{name}"))
        sys.modules[f"requests.{name}"] = getattr(top, name)
    _module("requests._internal_utils", "", unicode_is_ascii=reqkit.utils.unicode_is_ascii)
    packages = {"urllib3": urllib3, "idna": idna, "chardet": charset_normalizer}
    top.packages = _module(  # type: ignore[attr-defined]
        "requests.packages", "What requests is built on.", __path__=[], **packages
    )
    for name, package in packages.items():
        for loaded in [key for key in sys.modules if key == name or key.startswith(f"{name}.")]:
            sys.modules[f"requests.packages.{loaded}"] = sys.modules[loaded]
        sys.modules[f"requests.packages.{name}"] = package


install()

#: Run what is left out instead of the rest: to see which of it would pass now.
REVERSED = bool(os.environ.get("REQKIT_LEFT_OUT_ONLY"))

_left_out: Counter[str] = Counter()
_met: set[str] = set()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import a file that is left out as a whole."""
    if collection_path.is_dir():
        return None
    name = collection_path.relative_to(config.rootpath).as_posix()
    reason = read().get(name)
    if reason is None:
        return None
    _met.add(name)
    _left_out[f"{reason} ({name})"] += 1
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is listed."""
    listed = read()
    holds = {reason: counts(reason) for reason in set(listed.values())}
    kept, dropped = [], []
    for item in items:
        entry = entry_of(item.nodeid, listed)
        out = False
        if entry is not None:
            _met.add(entry)
            out = holds[listed[entry]]
            _left_out[listed[entry]] += out
        (dropped if out != REVERSED else kept).append(item)
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what was left out, and which entries no test has fallen under."""
    terminalreporter.section("left out")
    for reason, number in _left_out.items():
        if number:
            terminalreporter.write_line(f"{number:3} {reason}")
    for entry in sorted(set(read()) - _met):
        terminalreporter.write_line(f"no such test in this version of requests: {entry}")
