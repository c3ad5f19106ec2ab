"""The floors of the house: nothing imports upwards or in a circle, and the core not gevent.

A floor is a folder, or a module that lies beside the folders; the plan is read off them, and off
the line "Stands on: ..." in the docstring of each folder's ``__init__``.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGES = ("reqkit", "reqkit_async")

#: Names that gather what belongs nowhere.
HEAPS = {"utils", "util", "compat", "helpers", "misc", "common"}

#: Such names that programs written for requests import, and that hand on what is elsewhere.
FACES = {"reqkit.compat", "reqkit.utils"}

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


def imports(source: str, module: str, is_package: bool, known: set[str]) -> set[str]:
    """Return the full names that a module imports: inside functions and for type checking, too.

    ``from package import name`` is the module ``package.name`` where that is one, and the package
    otherwise.
    """
    home = module.split(".") if is_package else module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(source)):
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
    paths = {name: path for package in PACKAGES for name, path in sources(package).items()}
    return {
        name: imports(path.read_text("utf-8"), name, path.name == "__init__.py", set(paths))
        for name, path in paths.items()
    }


def floor(module: str) -> str:
    """Return the floor of a module: the folder or the file of its package that it is in."""
    return ".".join(module.split(".")[:2])


def floors(edges: Graph) -> Graph:
    """Return what each floor imports of the others of its package."""
    found: Graph = {}
    for module, targets in edges.items():
        mine = found.setdefault(floor(module), set())
        package = module.split(".")[0]
        for target in targets & edges.keys():
            if target.split(".")[0] == package and floor(target) != floor(module):
                mine.add(floor(target))
    return found


def stands_on(docstring: str) -> set[str] | None:
    """Return the floors that a folder's docstring names, None where it says nothing of them."""
    match = re.search(r"^Stands on(: | nothing)([^.]*)\.", docstring, re.MULTILINE)
    if match is None:
        return None
    return set(re.findall(r"\w+", match[2])) if match[1] == ": " else set()


def is_ground(name: str, below: Graph, folders: set[str]) -> bool:
    """Tell whether a floor is a single module that stands on nothing but others of its kind."""
    return name not in folders and all(
        target.endswith(".base") or is_ground(target, below, folders) for target in below[name]
    )


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


@pytest.mark.once
def test_every_folder_says_which_floors_it_stands_on(edges: Graph) -> None:
    """More than it says is an import upwards or sideways; what it only says is no longer true."""
    below = floors(edges)
    wrong = {}
    for package in PACKAGES:
        found = {path.parent.name for path in location(package).glob("*/__init__.py")}
        folders = {f"{package}.{name}" for name in found}
        for folder in sorted(folders):
            source = location(package) / folder.split(".")[1] / "__init__.py"
            named = stands_on(ast.get_docstring(ast.parse(source.read_text("utf-8"))) or "")
            real = {
                name.split(".")[1]
                for name in below[folder]
                if name != package and not is_ground(name, below, folders)
            }
            if real != named:
                wrong[folder] = {"says": named, "imports": real}
    assert wrong == {}


def test_floors_import_nothing_in_a_circle(edges: Graph) -> None:
    assert cycle(floors(edges)) == []


def test_the_face_is_above_all(edges: Graph) -> None:
    """What users import from imports from the floors, never they from it."""
    faces = set(PACKAGES) | {f"{package}.api" for package in PACKAGES}
    found = {
        module: hit
        for module, targets in edges.items()
        if module not in faces
        and (
            hit := {each for each in targets & faces if each.split(".")[0] == module.split(".")[0]}
        )
    }
    assert found == {}


def test_nothing_imports_in_a_circle(edges: Graph) -> None:
    """Inside functions and for type checking neither: what stands above is never named below."""
    assert cycle(edges) == []


def test_nothing_is_a_heap(edges: Graph) -> None:
    found = [module for module in edges if HEAPS & set(module.split("."))]
    assert set(found) <= FACES


def test_faces_for_programs_written_for_requests_do_nothing() -> None:
    """They hand names on; what those do is done by the floors."""
    for name in sorted(FACES):
        tree = ast.parse(sources("reqkit")[name].read_text("utf-8"))
        done = [
            node
            for node in ast.walk(tree)
            if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While))
        ]
        assert done == [], name


def test_nobody_uses_these_faces(edges: Graph) -> None:
    used = FACES | {"reqkit.packages", "reqkit.drop_in"}
    assert {
        module: hit
        for module, targets in edges.items()
        if module not in FACES
        and not module.startswith("reqkit.drop_in")
        and (hit := {each for each in targets if each in used or each.startswith("reqkit.drop_in")})
    } == {}


def test_the_core_knows_neither_gevent_nor_the_async_package(edges: Graph) -> None:
    strangers = {"gevent", "greenlet", "reqkit_async"}
    assert {
        module: hit
        for module, targets in edges.items()
        if module.split(".")[0] == "reqkit"
        and (hit := {target.split(".")[0] for target in targets} & strangers)
    } == {}


def test_messages_and_the_wire_are_pure(edges: Graph) -> None:
    pure = ("reqkit.message", "reqkit.cookies", "reqkit.auth", "reqkit.wire")
    assert {
        module: hit
        for module, targets in edges.items()
        if floor(module) in pure and (hit := targets & SOCKETS)
    } == {}


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


def pages() -> Iterator[tuple[str, str]]:
    """Yield the pages that show the picture of the floors, where the tests lie in a checkout."""
    top = Path(__file__).parent.parent
    for page in ("CONTRIBUTING.md", "docs/design.md"):
        yield page, (top / page).read_text("utf-8")


def test_the_picture_has_every_folder() -> None:
    missing = [
        f"{page} does not show {package}/{path.parent.name}/"
        for page, text in pages()
        for package in PACKAGES
        for path in location(package).glob("*/__init__.py")
        if f"{path.parent.name}/" not in text
    ]
    assert missing == []


def test_the_pages_name_what_is_there() -> None:
    top = Path(__file__).parent.parent
    places = [top, *(location(package) for package in PACKAGES)]
    wrong = [
        f"{page}: {named}"
        for page, text in pages()
        for named in re.findall(r"`([a-z_0-9]+(?:/[a-z_0-9.]*)+)`", text)
        if not any((place / named).exists() or (place / f"{named}.py").exists() for place in places)
    ]
    assert wrong == []


def test_the_tests_have_the_same_folders() -> None:
    """Who changes a module finds its tests by path."""
    top = Path(__file__).parent
    without = [
        f"{package}/{folder}"
        for package in PACKAGES
        for path in location(package).rglob("__init__.py")
        if (folder := path.parent.relative_to(location(package)).as_posix()) != "."
        and not list((top / folder).rglob("test_*.py"))
    ]
    assert without == []


# The checks themselves


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import a.b, c", {"a.b", "c"}),
        ("from . import urls, Name", {"reqkit.urls", "reqkit"}),
        ("from .urls import x", {"reqkit.urls"}),
        ("from reqkit import urls", {"reqkit.urls"}),
        ("def f():\n    from .urls import x", {"reqkit.urls"}),
        ("if TYPE_CHECKING:\n    import a\nelse:\n    import b", {"a", "b"}),
        ("if typing.TYPE_CHECKING:\n    from .urls import x", {"reqkit.urls"}),
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


def test_a_circle_of_floors_is_found() -> None:
    edges: Graph = {
        "reqkit.message.body": {"reqkit.wire.h1.head"},
        "reqkit.wire.h1.head": {"reqkit.message.urls", "socket"},
        "reqkit.message.urls": set(),
    }
    assert cycle(edges) == []
    assert cycle(floors(edges)) == ["reqkit.message", "reqkit.wire", "reqkit.message"]


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("One.\n\nStands on: wire, base.\nBegin here.", {"wire", "base"}),
        ("One.\n\nStands on: wire,\nbase.", {"wire", "base"}),
        ("One.\n\nStands on nothing of ours.", set()),
        ("One.", None),
    ],
)
def test_what_a_folder_stands_on_is_read(docstring: str, expected: set[str] | None) -> None:
    assert stands_on(docstring) == expected


def test_no_cycle_is_found_where_there_is_none() -> None:
    assert cycle({"a": {"b", "c"}, "b": {"c"}, "c": {"elsewhere"}}) == []
