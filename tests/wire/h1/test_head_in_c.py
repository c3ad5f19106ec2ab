"""The reader of heads in C: it says what Python's says, is built cleanly, and may be left out."""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest
from hostile.cases import load

import reqkit
from fuzz.mutating import mutated
from fuzz.targets import seeds
from fuzz.wire_targets import readers
from reqkit.wire.h1 import well_formed
from reqkit.wire.h1.answer import LOOKED_FOR, ONCE, STRICT_FIELDS, STRICT_HEAD, AnswerHead
from servers.processes import alone

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "reqkit/wire/h1/_head.c"
BUILT = importlib.util.find_spec("reqkit.wire.h1._head") is not None
COMPILER = shutil.which("gcc") or shutil.which("clang")

needs_it = pytest.mark.skipif(not BUILT, reason="reqkit was built without its extension")
needs_compiler = pytest.mark.skipif(
    COMPILER is None and "CI" not in os.environ, reason="needs gcc or clang"
)


@pytest.fixture
def in_c() -> ModuleType:
    return importlib.import_module("reqkit.wire.h1._head")


def corpus() -> list[bytes]:
    """Return heads: the seeds of fuzzing, and what hostile servers send, up to the empty line."""
    heads = [path.read_bytes() for name in ("readers", "head", "answer") for path in seeds(name)]
    for case in load().values():
        for given in case.answers:
            data = b"".join(given.segments)
            end = data.find(b"\r\n\r\n") + 4
            heads.append(data[: end if end > 3 else len(data)][:2000])
    return sorted(set(heads))


def answer(*lines: bytes) -> bytes:
    return b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"", b""))


def test_the_extension_is_there_where_it_should_be() -> None:
    """What CI runs is what it says that it runs."""
    wanted = os.environ.get("REQKIT_NO_EXTENSIONS", "0") in ("", "0")
    if "CI" in os.environ and sysconfig.get_config_var("Py_GIL_DISABLED") != 1:
        assert BUILT
    assert reqkit.__extensions__ == (("head",) if BUILT and wanted else ())


@pytest.mark.parametrize(
    ("value", "wanted"), [(None, True), ("0", True), ("", True), ("1", False), ("yes", False)]
)
def test_the_extension_can_be_switched_off(value: str | None, wanted: bool, tmp_path: Path) -> None:
    code = (
        "import reqkit\n"
        "from reqkit.wire.h1 import connection, head, well_formed\n"
        "assert connection.read_next.__module__ == head.read_sound.__module__\n"
        "print(reqkit.__extensions__, head.read_sound is well_formed.read_sound)\n"
    )
    environment = {key: text for key, text in os.environ.items() if key != "REQKIT_NO_EXTENSIONS"}
    if value is not None:
        environment["REQKIT_NO_EXTENSIONS"] = value
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,  # where the package is the one that is installed
    )
    expected = "('head',) False" if BUILT and wanted else "() True"
    assert (ended.stderr, ended.stdout.strip()) == ("", expected)


# -- it says what Python's says


@pytest.mark.parametrize("name", sorted(LOOKED_FOR | ONCE))
def test_each_watched_field(name: str) -> None:
    for spelled in (name, name.upper(), name.title(), name.swapcase()):
        line = spelled.encode()
        once, twice = answer(line + b": \t a  b \t"), answer(line + b":1", line.lower() + b": 2")
        readers(once)
        readers(twice)
        assert (well_formed.read_sound(twice) is None) == (name in ONCE)
    for near in (name[:-1], name + "x", "x" + name, name.replace("-", "_") + "_"):
        readers(answer(near.encode() + b": 1", near.encode() + b": 2"))


def alike(data: bytes) -> bool:
    """Read a head by each of the readers, all of which must say the same."""
    readers(data)
    return True


def test_every_byte_in_every_place() -> None:
    whole = b"HTTP/1.1 200 OK\r\nDate: x\r\nSet-Cookie: abcdefghij\r\nB: 0123456789abcdef\r\n\r\n"
    for at in range(len(whole)):
        assert all(alike(whole[:at] + bytes((byte,)) + whole[at + 1 :]) for byte in range(256))
        assert alike(whole[:at])
        assert alike(whole[:at] + whole[at + 1 :])


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_the_limits(more: int) -> None:
    readers(answer(*[b"A: b"] * (STRICT_FIELDS + more)))
    filling = STRICT_HEAD - len(answer(b"A: ")) + more
    for block in (answer(b"A: " + b"x" * filling), answer(b"Set-Cookie: " + b"x" * (filling - 9))):
        readers(block)
        assert (well_formed.read_sound(block) is None) == (more > 0)


def test_values_of_every_length_and_place() -> None:
    for length in range(40):
        for odd in (b"", b"\t", b"\x7f", b"\x1f", b"\x80", b"\xff", b"\0", b"\r", b"\n"):
            for place in range(0, length, 3):
                value = bytes(range(0x40, 0x40 + length))
                assert alike(answer(b"Location:" + value[:place] + odd + value[place:]))


def test_mutated_heads() -> None:
    assert mutate(20_000, 1) == 20_000


@pytest.mark.slow
@needs_it
def test_very_many_mutated_heads() -> None:
    assert mutate(300_000, 2) == 300_000


def mutate(many: int, seed: int) -> int:
    """Read so many mutated heads; return how many all readers read alike."""
    chance = random.Random(seed)
    heads = corpus()
    assert len(heads) > 200
    for _ in range(many):
        data = mutated(heads, chance)
        try:
            readers(data)
        except AssertionError as error:
            raise AssertionError(f"found: {data!r}") from error
    return many


# -- it is built cleanly, and keeps nothing


@needs_it
@pytest.mark.parametrize("wrong", [None, "HTTP/1.1 200 OK\r\n\r\n", bytearray(b"x"), 5])
def test_what_is_no_bytes(in_c: ModuleType, wrong: object) -> None:
    with pytest.raises(TypeError):
        in_c.read_sound(wrong)


@needs_it
def test_what_it_makes_is_a_head_as_any_other(in_c: ModuleType) -> None:
    block = answer(b"Content-Length: 5", b"X: y")
    head = in_c.read_sound(block)
    assert type(head) is AnswerHead
    assert head.fields == [("Content-Length", "5"), ("X", "y")]
    assert head.known is not in_c.read_sound(block).known
    assert repr(head) == "<AnswerHead 200, 2 fields>"


@needs_it
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([b"Content-Length: 5"], 5),
        ([b"Content-Length: 0"], 0),
        ([b"Content-Length:\t007 "], 7),
        ([b"Content-Length: 5", b"Connection: keep-alive"], 5),
        ([b"Content-Length: " + b"9" * 18], 10**18 - 1),
        ([b"Content-Length: " + b"9" * 19], -1),
        ([b"Content-Length: 5", b"Connection: close"], -1),
        ([b"Content-Length: 5", b"Connection: Keep-Alive"], -1),
        ([b"Content-Length: 5", b"Connection: keep-alive", b"Connection: close"], -1),
        ([b"Content-Length: 5", b"Transfer-Encoding: chunked"], -1),
        ([b"Content-Length: 5, 5"], -1),
        ([b"Content-Length: +5"], -1),
        ([b"Content-Length:"], -1),
        ([b"Date: x"], -1),
        ([], -1),
    ],
)
def test_a_plain_length_is_told(in_c: ModuleType, lines: list[bytes], expected: int) -> None:
    assert in_c.read_next(answer(*lines) + b"body").length == expected
    for status in (b"100", b"199", b"204", b"304"):
        assert in_c.read_next(answer(*lines).replace(b"200", status)).length == -1
    old = answer(*lines).replace(b"HTTP/1.1", b"HTTP/1.0")
    kept = expected if b"Connection: keep-alive" in lines else -1
    assert in_c.read_next(old).length == kept


def test_an_extension_of_another_version_is_left_out(tmp_path: Path) -> None:
    code = (
        "import sys, types\n"
        "sys.modules['reqkit.wire.h1._head'] = types.ModuleType('_head')\n"
        "from reqkit.wire.h1 import reader, well_formed\n"
        "print(reader.EXTENSIONS, reader.read_next is well_formed.read_next)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert (ended.stderr, ended.stdout.strip()) == ("", "() True")


KEPT = """
    import sys
    import tracemalloc
    from reqkit.wire.h1 import _head

    def answer(*lines):
        return b"\\r\\n".join((b"HTTP/1.1 200 OK", *lines, b"", b""))

    good = answer(b"Set-Cookie: a=b", b"Set-Cookie: c=d", b"Location: /x", b"Date: x")
    twice = answer(b"Date: a", b"Date: b")
    bad = [good[:-1], good.replace(b"Date", b"D te"), twice, b""]

    def all_of_them():
        for _ in range(int(sys.argv[1])):
            _head.read_sound(good)
            _head.read_next(good + b"body")
            for block in bad:
                assert _head.read_sound(block) is None
                assert _head.read_next(block) is None

    all_of_them()
    tracemalloc.start()
    all_of_them()
    before = tracemalloc.get_traced_memory()[0]
    all_of_them()
    print(tracemalloc.get_traced_memory()[0] - before)
"""


@needs_it
def test_the_extension_keeps_nothing() -> None:
    rounds = 3000
    # The smallest object takes 16 bytes; one that is kept each time makes 48,000.
    assert int(alone(KEPT, str(rounds))) < rounds * 16 // 4


WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wstrict-prototypes", "-Werror"]


@needs_compiler
def test_the_extension_compiles_without_a_warning(tmp_path: Path) -> None:
    assert COMPILER
    include = sysconfig.get_paths()["include"]
    limited = ["-DPy_LIMITED_API=0x030A0000", f"-I{include}"]
    for level in ("-O0", "-O3"):
        subprocess.run(
            [COMPILER, level, *WARNINGS, *limited, "-c", SOURCE, "-o", tmp_path / "module.o"],
            check=True,
        )
        strict = ["-std=c99", "-Wpedantic", "-Wconversion", "-DSCAN_ALONE", "-Wno-unused-function"]
        subprocess.run(
            [COMPILER, level, *WARNINGS, *strict, "-c", SOURCE, "-o", tmp_path / "scan.o"],
            check=True,
        )


@needs_compiler
@pytest.mark.once
def test_the_extension_stays_within_its_bytes(tmp_path: Path) -> None:
    """Under sanitizers, in memory of just the size of each head, and of each of its beginnings."""
    assert COMPILER
    program = tmp_path / "scan_alone"
    sanitizers = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    source = Path(__file__).with_name("c") / "scan_alone.c"
    subprocess.run(
        [COMPILER, *sanitizers, *WARNINGS, f"-I{SOURCE.parent}", source, "-o", program],
        check=True,
    )
    chance = random.Random(3)
    heads = corpus()
    heads += [mutated(heads, chance) for _ in range(3000)]
    heads.append(answer(*[b"Set-Cookie: b"] * STRICT_FIELDS))
    heads.append(answer(b"A: " + b"x" * (STRICT_HEAD - len(answer(b"A: ")))))
    fed = b"".join(b"%d\n%b" % (len(head), head) for head in heads)
    ended = subprocess.run([program], input=fed, capture_output=True)
    assert (ended.returncode, ended.stderr) == (0, b"")
    # As many as Python takes, of all beginnings.
    usual_ones = 0
    for head in heads:
        # A beginning has a head only from the end of its empty line on.
        first = head.find(b"\r\n\r\n") + 4
        ends = range(first, len(head) + 1) if len(head) <= 4096 else [len(head)]
        if first > 3 and well_formed.read_next(head) is not None:
            usual_ones += len(ends)
    assert int(ended.stdout) == usual_ones > 500


@needs_it
@needs_compiler
@pytest.mark.skipif(sys.platform != "linux", reason="the sanitizer is loaded as Linux has it")
def test_the_module_under_sanitizers(tmp_path: Path) -> None:
    """The same for what it does with Python's objects, each in memory of its own."""
    assert COMPILER
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    built = tmp_path / f"_head{suffix}"
    include = sysconfig.get_paths()["include"]
    sanitizers = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(
        [
            COMPILER, "-shared", "-fPIC", *sanitizers, *WARNINGS, "-DPy_LIMITED_API=0x030A0000",
            f"-I{include}", SOURCE, "-o", built,
        ],
        check=True,
    )  # fmt: skip
    library = subprocess.run(
        [COMPILER, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    ).stdout.strip()
    code = f"""
import importlib.machinery, importlib.util, random, sys
sys.path.insert(0, {str(ROOT / "tests")!r})
import reqkit.wire.h1
spec = importlib.util.spec_from_file_location("reqkit.wire.h1._head", {str(built)!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sys.modules["reqkit.wire.h1._head"] = reqkit.wire.h1._head = module
from fuzz import wire_targets
from fuzz.mutating import mutated
from fuzz.targets import seeds
assert wire_targets.in_c is module
heads = [path.read_bytes() for name in ("readers", "head", "answer") for path in seeds(name)]
chance = random.Random(4)
for _ in range(3000):
    wire_targets.readers(mutated(heads, chance))
for wrong in (None, "x"):
    try:
        module.read_sound(wrong)
    except TypeError:
        continue
    raise AssertionError
del wire_targets.in_c, sys.modules["reqkit.wire.h1._head"], reqkit.wire.h1._head, module, spec
print("sound")
"""
    environment = {
        **os.environ,
        "LD_PRELOAD": library,
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
    }
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert (ended.stderr, ended.stdout) == ("", "sound\n")
