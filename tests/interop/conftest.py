"""Fixtures for the servers that the distribution ships.

Where one is not installed its tests are skipped, but under CI (the environment's ``CI``) they
fail: there, leaving them out must not look like passing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from servers.daemons import (
    Daemon,
    Missing,
    start_apache,
    start_dante,
    start_microsocks,
    start_nginx,
    start_squid,
)
from servers.http2_daemons import STARTERS
from servers.proxies import Proxy
from servers.tls import Authority

HERE = Path(__file__).parent

Running = TypeVar("Running", Daemon, Proxy)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, before `-m` selects."""
    here = f"{HERE}{os.sep}"
    for item in items:
        if str(item.path).startswith(here):
            item.add_marker("interop")


@pytest.fixture(scope="session")
def public_folder() -> Iterator[Path]:
    """A folder that servers which give up root's rights can enter."""
    folder = Path(tempfile.mkdtemp(prefix="interop-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def _run(start: Callable[[], Running]) -> Iterator[Running]:
    try:
        server = start()
    except Missing as missing:
        if os.environ.get("CI"):
            pytest.fail(f"{missing}, and CI must have it", pytrace=False)
        pytest.skip(str(missing))
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def nginx(clean_environment: None, public_folder: Path, authority: Authority) -> Iterator[Daemon]:
    """nginx over http and https (see `start_nginx`)."""
    yield from _run(lambda: start_nginx(public_folder / "nginx", authority.ca))


@pytest.fixture(scope="session")
def apache(clean_environment: None, public_folder: Path) -> Iterator[Daemon]:
    """Apache with areas behind Basic and Digest (see `start_apache`)."""
    yield from _run(lambda: start_apache(public_folder / "apache"))


@pytest.fixture(scope="session")
def squid(clean_environment: None, public_folder: Path) -> Iterator[Proxy]:
    """squid with password auth."""
    yield from _run(lambda: start_squid(public_folder / "squid"))


@pytest.fixture(scope="session")
def open_squid(clean_environment: None, public_folder: Path) -> Iterator[Proxy]:
    """squid for all."""
    yield from _run(lambda: start_squid(public_folder / "open-squid", auth=False))


@pytest.fixture(scope="session")
def microsocks(clean_environment: None, public_folder: Path) -> Iterator[Proxy]:
    """microsocks: SOCKS5 with password auth."""
    yield from _run(lambda: start_microsocks(public_folder / "microsocks"))


@pytest.fixture(scope="session")
def dante(clean_environment: None, public_folder: Path) -> Iterator[Proxy]:
    """dante: SOCKS 4 and 5 without auth."""
    yield from _run(lambda: start_dante(public_folder / "dante"))


@pytest.fixture(scope="session")
def http2_server(
    clean_environment: None, public_folder: Path, authority: Authority
) -> Iterator[Callable[[str], Daemon]]:
    """Return a server of HTTP/2 by its name (see `http2_daemons`), started when first asked for."""
    started: dict[str, Daemon] = {}

    def start(name: str) -> Daemon:
        if name not in started:
            try:
                started[name] = STARTERS[name](public_folder / f"http2-{name}", authority.ca)
            except Missing as missing:
                if os.environ.get("CI"):
                    pytest.fail(f"{missing}, and CI must have it", pytrace=False)
                pytest.skip(str(missing))
        return started[name]

    yield start
    for server in started.values():
        server.stop()
