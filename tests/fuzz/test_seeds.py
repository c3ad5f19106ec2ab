"""Every target over its seeds, and over a few mutations of them; the fuzzing itself runs apart."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from fuzz.mutating import mutated
from fuzz.targets import CORPUS, TARGETS, holds, seeds


@pytest.mark.parametrize(
    ("name", "path"), [(name, path) for name in TARGETS for path in seeds(name)],
    ids=lambda part: part.name if isinstance(part, Path) else part,
)  # fmt: skip
def test_the_seeds(name: str, path: Path) -> None:
    assert holds(name, path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_mutations(name: str) -> None:
    chance = random.Random(name)
    start = [path.read_bytes() for path in seeds(name)]
    for _ in range(40):
        data = mutated(start, chance)
        try:
            assert holds(name, data)
        except Exception as error:  # whatever it is, what led to it is wanted
            raise AssertionError(f"found: {data!r}") from error


def test_every_folder_of_seeds_has_its_target() -> None:
    assert {path.name for path in CORPUS.iterdir() if path.is_dir()} == set(TARGETS)
