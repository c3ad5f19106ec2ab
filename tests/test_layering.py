"""The floors of the house: nothing imports upwards or in a circle, and the core not gevent.

The tables below are the plan of the house. A new module gets its floor there first.
"""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

# The transport stands above the messages: it takes a prepared request and gives a response, and
# these need nothing of it.
GROUND, WIRE, MESSAGE, TRANSPORT, SESSION, FACE = range(6)

#: Module or sub-package (with all in it) to floor; "" is the package's own ``__init__``.
CORE: Mapping[str, int] = {
    "": FACE,
    "api": FACE,
    "sessions": SESSION,
    "arguments": SESSION,
    "defaults": SESSION,
    "outcome": SESSION,
    "stepping": SESSION,
    "verbs": SESSION,
    "chain": SESSION,
    "preparing": SESSION,
    "terms": SESSION,
    "redirects": SESSION,
    "settings": MESSAGE,
    "environment": MESSAGE,
    "request": MESSAGE,
    "prepare": MESSAGE,
    "response": MESSAGE,
    "foreign": MESSAGE,
    "models": MESSAGE,
    "body": MESSAGE,
    "download": MESSAGE,
    "hooks": MESSAGE,
    "auth": MESSAGE,
    "cookies": MESSAGE,
    "bodies": MESSAGE,
    "content": MESSAGE,
    "urls": MESSAGE,
    "links": MESSAGE,
    "pairs": MESSAGE,
    "raw": MESSAGE,
    "addresses": TRANSPORT,
    "adapters": TRANSPORT,
    "adapter_steps": TRANSPORT,
    "exchange": TRANSPORT,
    "retrying": TRANSPORT,
    "routes": TRANSPORT,
    "proxying": TRANSPORT,
    "pools": TRANSPORT,
    "connecting": TRANSPORT,
    "tls": TRANSPORT,
    "tls_settings": TRANSPORT,
    "tls_stream": TRANSPORT,
    "network": TRANSPORT,
    "blocking": TRANSPORT,
    "failures": TRANSPORT,
    "wire": WIRE,
    "exceptions": GROUND,
    "dependencies": GROUND,
    "structures": GROUND,
    "status_codes": GROUND,
    "locks": GROUND,
    "notices": GROUND,
    "wording": GROUND,
    "timeouts": GROUND,
    "_types": GROUND,
    "_version": GROUND,
}

PARTS, DISPATCH, ASYNC_API, ASYNC_FACE = range(4)

ASYNC: Mapping[str, int] = {
    "": ASYNC_FACE,
    "api": ASYNC_API,
    "batches": ASYNC_API,
    "dispatch": DISPATCH,
    "halting": DISPATCH,
    "workers": DISPATCH,
    "sending": DISPATCH,
    "_types": PARTS,
    "stopping": PARTS,
    "calls": PARTS,
    "feeds": PARTS,
    "places": PARTS,
    "retries": PARTS,
    "limits": PARTS,
    "network": PARTS,
    "dns": PARTS,
    "streams": PARTS,
    "hubs": PARTS,
    "progress": PARTS,
    "stats": PARTS,
}

TABLES = {"reqkit": CORE, "reqkit_async": ASYNC}

#: Names that gather what belongs nowhere.
HEAPS = {"utils", "util", "compat", "helpers", "misc", "common"}

#: What the message floor and the pure part of the wire have no business with.
SOCKETS = {"socket", "ssl", "select", "selectors", "socketserver", "asyncio", "http.client"}

Graph = dict[str, set[str]]


def location(package: str) -> Path:
    """Return the folder of the package that the tests run against."""
    spec = importlib.util.find_spec(package)
    assert spec is not None, package
    assert spec.submodule_search_locations, package
    return Path(next(iter(spec.submodule_search_locations)))


def sources(package: str) -> dict[str, Path]:
    """Return every module of a package by its full name."""
    folder = location(package)
    found = {}
    for path in folder.rglob("*.py"):
        parts = [package, *path.relative_to(folder).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path
    return found


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what can run: all but the bodies of ``if TYPE_CHECKING``."""
    yield node
    if isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING":
        children: list[ast.AST] = list(node.orelse)
    else:
        children = list(ast.iter_child_nodes(node))
    for child in children:
        yield from statements(child)


def imports(source: str, module: str, is_package: bool, known: set[str]) -> set[str]:
    """Return the full names that a module imports when it runs, inside functions too.

    ``from package import name`` is the module ``package.name`` where that is one, and the package
    otherwise.
    """
    home = module.split(".") if is_package else module.split(".")[:-1]
    found = set()
    for node in statements(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = home[: len(home) - node.level + 1] if node.level else []
            origin = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                found.add(inner if inner in known else origin)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = ast.unparse(node.func).split(".")[-1]
            if called in ("import_module", "__import__"):
                found.add(str(node.args[0].value))
    return found


def graph() -> Graph:
    """Return what each module of both packages imports."""
    paths = {name: path for package in TABLES for name, path in sources(package).items()}
    return {
        name: imports(path.read_text("utf-8"), name, path.name == "__init__.py", set(paths))
        for name, path in paths.items()
    }


def floor(module: str) -> int | None:
    """Return the floor of one of our modules, None where no table has it."""
    package, _, rest = module.partition(".")
    return TABLES[package].get(rest.partition(".")[0])


def climbs(edges: Graph) -> list[str]:
    """Return the imports that go up within a package."""
    found = []
    for module, targets in sorted(edges.items()):
        for target in sorted(targets & edges.keys()):
            mine, theirs = floor(module), floor(target)
            same_package = module.split(".")[0] == target.split(".")[0]
            if same_package and mine is not None and theirs is not None and theirs > mine:
                found.append(f"{module} imports {target}")
    return found


def cycle(edges: Graph) -> list[str]:
    """Return a circle of imports, or nothing."""
    done: set[str] = set()

    def visit(module: str, trail: list[str]) -> list[str]:
        if module in trail:
            return [*trail[trail.index(module) :], module]
        if module in done:
            return []
        for target in sorted(edges.get(module, set()) & edges.keys()):
            circle = visit(target, [*trail, module])
            if circle:
                return circle
        done.add(module)
        return []

    for module in sorted(edges):
        circle = visit(module, [])
        if circle:
            return circle
    return []


@pytest.fixture(scope="module")
def edges() -> Graph:
    return graph()


def test_every_module_has_a_floor(edges: Graph) -> None:
    assert [module for module in edges if floor(module) is None] == []


def test_nothing_imports_upwards(edges: Graph) -> None:
    assert climbs(edges) == []


def test_nothing_imports_in_a_circle(edges: Graph) -> None:
    assert cycle(edges) == []


def test_nothing_is_a_heap(edges: Graph) -> None:
    assert [module for module in edges if HEAPS & set(module.split("."))] == []


def test_the_core_knows_neither_gevent_nor_the_async_package(edges: Graph) -> None:
    strangers = {"gevent", "greenlet", "reqkit_async"}
    assert {
        module: hit
        for module, targets in edges.items()
        if module.split(".")[0] == "reqkit"
        and (hit := {target.split(".")[0] for target in targets} & strangers)
    } == {}


def test_messages_are_pure(edges: Graph) -> None:
    found = {}
    for module, targets in edges.items():
        package, _, rest = module.partition(".")
        if package != "reqkit":
            continue
        if floor(module) == MESSAGE:
            ours = {
                target for target in targets & edges.keys() if floor(target) in (TRANSPORT, WIRE)
            }
            ours.discard("reqkit.wire.head")  # an answer has one; it is pure, as looked at below
        elif rest in ("wire.head", "wire.framing"):
            ours = set()
        else:
            continue
        if bad := ours | (targets & SOCKETS):
            found[module] = bad
    assert found == {}


def test_importing_the_core_does_not_import_gevent() -> None:
    modules = sorted(sources("reqkit"))
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}:\n"
        "    importlib.import_module(name)\n"
        "print(sorted({'gevent', 'greenlet', 'reqkit_async'} & sys.modules.keys()))\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.stderr, ended.stdout) == ("", "[]\n")


# The checks themselves


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a.b, c", {"a.b", "c"}),
        ("from . import urls, Name", {"reqkit.urls", "reqkit"}),
        ("from .urls import x", {"reqkit.urls"}),
        ("from reqkit import urls", {"reqkit.urls"}),
        ("def f():\n    from .urls import x", {"reqkit.urls"}),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b"}),
        ("if typing.TYPE_CHECKING:\n    from .urls import x", set()),
        ("try:\n    import a\nexcept ImportError:\n    import b", {"a", "b"}),
        ("importlib.import_module('gevent')", {"gevent"}),
        ("__import__('gevent')", {"gevent"}),
    ],
)
def test_imports_are_found(source: str, expected: set[str]) -> None:
    assert imports(source, "reqkit.prepare", False, {"reqkit", "reqkit.urls"}) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from . import digest", {"reqkit.auth.digest"}),
        ("from .digest import x", {"reqkit.auth.digest"}),
        ("from ..urls import x", {"reqkit.urls"}),
        ("from .. import urls", {"reqkit.urls"}),
    ],
)
def test_imports_of_a_package_are_relative_to_itself(source: str, expected: set[str]) -> None:
    known = {"reqkit.auth", "reqkit.auth.digest", "reqkit.urls"}
    assert imports(source, "reqkit.auth", True, known) == expected


def test_climbing_is_found() -> None:
    edges: Graph = {
        "reqkit.exceptions": {"reqkit.wire.head"},
        "reqkit.wire.head": {"reqkit.exceptions", "socket"},
        "reqkit": {"reqkit.exceptions"},
    }
    assert climbs(edges) == ["reqkit.exceptions imports reqkit.wire.head"]
    assert cycle(edges) == ["reqkit.exceptions", "reqkit.wire.head", "reqkit.exceptions"]


def test_no_cycle_is_found_where_there_is_none() -> None:
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": {"elsewhere"}}) == []
