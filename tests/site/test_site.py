"""The pages of the documentation, built strictly, and opened in a browser."""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.processes import PATIENCE

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, built: a warning is a failure."""
    pytest.importorskip("mkdocs")
    folder = tmp_path_factory.mktemp("site") / "built"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return folder


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves files, and writes no lines of it."""

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def url(site: Path) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_every_page_is_whole(site: Path, url: str, browser: Any) -> None:
    """No error, no request elsewhere, and each link on it leads somewhere."""
    complaints: list[str] = []
    elsewhere: list[str] = []
    links: set[str] = set()
    page = browser.new_page()
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: (
            request.url.startswith((url, "data:", "blob:")) or elsewhere.append(request.url)
        ),
    )
    pages = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    assert len(pages) > 20
    for name in pages:
        if name == "404.html":
            continue
        page.goto(f"{url}/{name}")
        assert page.title(), name
        links |= set(page.eval_on_selector_all("a[href]", "found => found.map(one => one.href)"))
    assert (complaints, elsewhere) == ([], [])
    missing = []
    for link in sorted(links):
        if not link.startswith(url):
            continue
        path, _, fragment = link.removeprefix(url).lstrip("/").partition("#")
        target = site / (path or "index.html")
        if target.is_dir():
            target = target / "index.html"
        if not target.exists() or (
            fragment and f'id="{fragment}"' not in target.read_text(encoding="utf-8")
        ):
            missing.append(link)
    assert missing == []
    page.close()


@pytest.mark.parametrize("words", ["per_host", "retry", "Recording"])
def test_search_finds(url: str, browser: Any, words: str) -> None:
    page = browser.new_page()
    page.goto(f"{url}/index.html")
    page.fill("input[name=query]", words)
    # The page looks at what is typed when a key comes up, which filling alone does not bring: where
    # its index was loaded before, nothing would be searched for.
    page.press("input[name=query]", "End")
    found = page.locator(".md-search-result__item").filter(has_text=words)
    found.first.wait_for(state="visible", timeout=PATIENCE * 1000)
    assert words.lower() in found.first.inner_text().lower()
    page.close()


@pytest.mark.parametrize("width", [1200, 375])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off(url: str, browser: Any, width: int, scheme: str) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for name in ("index.html", "tasks/list.html", "reference/reqkit.html"):
        page.goto(f"{url}/{name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
