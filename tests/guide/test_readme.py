"""What README and the guides show is run, so that it stays true.

The ``python`` blocks of a page run one after the other, as one program. A line that is an
expression and ends in ``# -> something`` must give that, as ``repr`` writes it. The hosts, the
proxy and the file that the pages name are replaced by those of this machine.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import reqkit
from servers.messages import answer
from servers.proxies import Proxy
from servers.scripted import Connection, ScriptedServer
from servers.wsgi import WSGIServer

# What is shown is the same on each Python.
pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")])

#: The file of that name which pages read.
ROWS = """\
id,url
1,https://httpbin.example/get
2,http://127.0.0.1:1/
3,https://httpbin.example/status/404
4,https://httpbin.example/get?page=4
"""

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
_EXPECTED = re.compile(r"# -> (.+)$")
_LINK = re.compile(r"\]\(([^)#:]+)\)")


def lines_for_ever(connection: Connection) -> None:
    """Answer with JSON lines, then stay silent."""
    connection.recv_request()
    connection.send(answer(200, b'\n{"number": 1}\n\n{"number": 2}\n', length=False))
    connection.wait_closed()


@pytest.fixture(scope="module")
def some_docs() -> Iterator[str]:
    """A site of four pages, and a file that is none."""
    links = "".join(f'<a href="{name}">{name}</a>' for name in ("guide", "tea", "water", "x.pdf"))

    def answer_page(environ: Any, start_response: Any) -> list[bytes]:
        name = environ["PATH_INFO"][1:] or "docs"
        if name not in ("docs", "guide", "tea", "water"):
            start_response("404 None", [("Content-Type", "text/plain")])
            return [b""]
        start_response("200 OK", [("Content-Type", "text/html")])
        return [f"<title>{name.title()}</title>{links if name != 'water' else ''}".encode()]

    with WSGIServer(answer_page) as server:
        yield server("").rstrip("/")


@pytest.fixture
def replaced(
    httpbin: WSGIServer,
    httpbin_secure: WSGIServer,
    ca_bundle: str,
    http_proxy: Proxy,
    socks_proxy: Proxy,
    scripted: Callable[..., ScriptedServer],
    some_docs: str,
) -> dict[str, str]:
    """What stands in the pages, and what it is here."""
    return {
        "https://httpbin.example": httpbin.url,
        "https://internal.example": httpbin_secure.url,
        "https://docs.example": some_docs,
        "https://stream.example": scripted(lines_for_ever).url,
        "/path/to/ca.pem": ca_bundle,
        "10.10.1.10:3128": http_proxy.netloc,
        "10.10.1.10:1080": socks_proxy.netloc,
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_what_happens(
    page: Path, replaced: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = ROWS.replace("https://httpbin.example", replaced["https://httpbin.example"])
    (tmp_path / "rows.csv").write_text(rows)
    text = page.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "__page__"}
    for match in _BLOCK.finditer(text):
        code = match[1]
        for shown, here in replaced.items():
            code = code.replace(shown, here)
        # Blank lines before it: a traceback then has the page's line numbers.
        start = text.count("\n", 0, match.start(1))
        shown = "\n" * start + code
        assert differences(shown, str(page), names) == []


def differences(code: str, name: str, names: dict[str, Any]) -> list[str]:
    """Run statements one by one, and return where one is not what it is said to be."""
    found = []
    lines = code.splitlines()
    for statement in ast.parse(code, name).body:
        expected = _EXPECTED.search(lines[(statement.end_lineno or 1) - 1])
        if isinstance(statement, ast.Expr) and expected:
            expression = compile(ast.Expression(statement.value), name, "eval")
            result = repr(eval(expression, names))
            if result != expected[1]:
                found.append(f"{name}:{statement.lineno}: {result}, not {expected[1]}")
        else:
            exec(compile(ast.Module([statement], []), name, "exec"), names)
    return found


@pytest.mark.parametrize("page", sorted([*PAGES, *ROOT.glob("*.md")]), ids=lambda page: page.name)
def test_links_lead_to_files(page: Path) -> None:
    links = _LINK.findall(page.read_text(encoding="utf-8"))

    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_configuration_page_has_every_key() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| `([a-z0-9_]+)` \|", text, re.M)

    assert shown == list(reqkit.Session().config)


def test_the_errors_page_has_every_class() -> None:
    text = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    tree = text.split("```text\n")[1].split("```")[0]

    assert set(re.findall(r"^ *(\w+)", tree, re.M)) == set(reqkit.exceptions.__all__)
