"""Killed at any moment: no page is lost, no item is there twice, and little is asked for again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import warcio.cli
from crawl.site import Answer, Site, linked, tree
from warcio.archiveiterator import ArchiveIterator

import reqkit_async
from servers.processes import environment

# Of moments, and of what SQLite has kept.
pytestmark = pytest.mark.once

PROGRAM = Path(__file__).with_name("program.py")
PAGES = 150
SIZE = 8
#: Seconds for one run that is not killed.
PATIENCE = 120


class Victims:
    """Runs crawls of a site, and ends them while the site answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "site.crawl"
        self.archive = folder / "site.warc.gz"
        self.handed = folder / "handed.txt"
        self.kills = 0
        self._answer = tree(PAGES)
        self._guard = threading.Lock()
        self._left = 0
        self._victim = 0
        self._known = threading.Event()
        self._errors = folder / "errors.txt"
        with self._errors.open("wb") as errors:
            self._forks = subprocess.Popen(
                [sys.executable, str(PROGRAM)],
                env=environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self.site = Site(self._answered)

    def _answered(self, path: str, fields: dict[str, str]) -> Answer | None:
        with self._guard:
            if self._left and path != "/robots.txt":
                self._left -= 1
                if not self._left:
                    self._known.wait(PATIENCE)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(self._victim, signal.SIGKILL)
        if path == "/page/5":
            return Answer("", 301, Location="/page/old")
        if path == "/page/old":
            return linked("moved", ["/page/11", "/page/12", "/page/2"])
        return self._answer(path, fields)

    def run(self, kill: tuple[str, int] | None) -> int:
        """Run the crawl once; return its status."""
        options: dict[str, Any] = {"size": SIZE, "archive": str(self.archive)}
        if kill is not None and kill[0] != "fetch":
            options["kill"] = kill
        self._known.clear()
        with self._guard:
            self._left = kill[1] if kill is not None and kill[0] == "fetch" else 0
        self._tell([str(self.store), self.site("/page/0"), str(self.handed), options])
        self._victim = int(self._heard())
        self._known.set()
        try:
            status = int(self._heard())
        finally:
            with self._guard:
                self._left = 0
        self._victim = 0
        if status == -signal.SIGKILL:
            self.kills += 1
        else:
            assert status == 0, self._errors.read_text()
        return status

    def _tell(self, what: object) -> None:
        assert self._forks.stdin is not None
        self._forks.stdin.write(json.dumps(what) + "\n")
        self._forks.stdin.flush()

    def _heard(self) -> str:
        assert self._forks.stdout is not None
        limit = threading.Timer(PATIENCE, self.close)
        limit.start()
        try:
            line = self._forks.stdout.readline()
        finally:
            limit.cancel()
        assert line, f"no answer within {PATIENCE} s: {self._errors.read_text()}"
        return line

    def close(self) -> None:
        """End what starts crawls, and the one that runs."""
        with self._forks:
            self._forks.kill()
        if self._victim:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._victim, signal.SIGKILL)

    def check(self) -> None:
        """See that all is there, and once."""
        pages = {f"/page/{n}" for n in range(PAGES)} | {"/page/old"}
        handed = {self.site(path) for path in pages - {"/page/5"}}
        with contextlib.closing(sqlite3.connect(self.store)) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            states = dict(db.execute("SELECT url, state FROM urls").fetchall())
            items = [json.loads(text) for (text,) in db.execute("SELECT item FROM every_item")]
        assert states == {self.site(path): "done" for path in pages}
        assert Counter(item["url"] for item in items) == Counter(handed)
        asked = self.site.pages()
        assert set(asked) == pages
        assert sum(asked.values()) <= len(pages) + SIZE * self.kills
        lines = Counter(self.handed.read_text().split())
        assert set(lines) == handed
        assert sum(lines.values()) <= len(handed) + self.kills
        with self.archive.open("rb") as file:
            kept = [
                record.rec_headers.get_header("WARC-Target-URI")
                for record in ArchiveIterator(file, check_digests="raise")
                if record.rec_type == "response" and record.content_stream().read() is not None
            ]
        assert Counter(kept) == Counter(self.site(path) for path in pages)
        with pytest.raises(SystemExit) as ended:
            warcio.cli.main(["check", str(self.archive)])
        assert ended.value.code == 0


@pytest.fixture
def victims(tmp_path: Path) -> Iterator[Victims]:
    made = Victims(tmp_path)
    with made.site:
        try:
            yield made
        finally:
            made.close()


def moments(seed: int, count: int) -> list[tuple[str, int]]:
    """Return moments at which a crawl is ended, some of each kind."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        where = ("fetch", "body", "commit", "archive")[number % 4]
        most = {"fetch": 12, "body": 10, "commit": 90, "archive": 12}[where]
        found.append((where, chance.randint(1, most)))
    return found


def killed_and_ended(victims: Victims, seed: int, count: int) -> int:
    """Kill a crawl so often, let it end, and check what it has come to; return how often it was."""
    for moment in moments(seed, count):
        if victims.run(moment) == 0:
            break
    assert victims.kills == count
    assert victims.run(None) == 0
    victims.check()
    # There is nothing left to do.
    before = len(victims.site.asked)
    assert victims.run(None) == 0
    assert len(victims.site.asked) == before
    return victims.kills


def test_killed_at_eight_moments(victims: Victims) -> None:
    assert killed_and_ended(victims, 1, 8) == 8


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 27))
def test_killed_at_two_hundred_moments(victims: Victims, seed: int) -> None:
    assert killed_and_ended(victims, seed, 8) == 8


def test_the_same_as_without_a_kill(victims: Victims) -> None:
    assert victims.run(None) == 0
    victims.check()
    with reqkit_async.Crawl(victims.store, archive=victims.archive) as crawl:
        assert list(crawl) == []
        assert crawl.stats.done == PAGES + 1
