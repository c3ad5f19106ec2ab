"""The command as users have it: a process of its own, and a small site for it to fetch."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reqkit_async.command import main
from servers.messages import Received, answer
from servers.processes import environment
from servers.scripted import Connection, ScriptedServer

HERE = Path(__file__).parent

#: What is seen of the command's processes on each Python, and with the lowest dependencies.
ON_EACH = frozenset(
    {
        "test_a_failure_is_status_1", "test_a_site", "test_a_terminal_gets_progress_and_results",
        "test_as_a_module", "test_csv_columns_come_out_again", "test_going_on_after_a_kill",
        "test_jsonl_in_and_out", "test_processes", "test_standard_input_is_a_stream",
        "test_urls",
    }
)  # fmt: skip

#: Seconds after which a command that should have ended is a failure.
PATIENCE = 120.0

Answer = bytes | Callable[[Connection, Received], "bytes | None"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts the command, before `-m` selects: what it does is tested in processes.

    What it stands on, the pool, crawls and clusters, is tested without it, on each Python.
    """
    here = f"{HERE}{os.sep}"
    for item in items:
        if (
            isinstance(item, pytest.Function)
            and str(item.path).startswith(here)
            and "reqkit_command" in item.fixturenames
            and item.originalname not in ON_EACH
        ):
            item.add_marker("once")


class Site(ScriptedServer):
    """Answers by path: ``answers`` says how; else 200 with the path as its body.

    ``/status/404`` answers with that status, ``/hang`` never, until ``released`` is set.
    """

    def __init__(self) -> None:
        super().__init__(self._site)
        self.answers: dict[str, Answer] = {}
        self.released = threading.Event()

    def _site(self, connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            path = request.target
            found = self.answers.get(path)
            if found is None:
                found = self._usually(path, connection)
            data = found if isinstance(found, bytes) else found(connection, request)
            if data is None:
                return
            connection.send(data)

    def _usually(self, path: str, connection: Connection) -> bytes:
        if path.startswith("/status/"):
            return answer(int(path.rpartition("/")[2]), b"so be it")
        if path.startswith("/hang"):
            connection.wait(self.released)
        return answer(200, path.encode(), [("Content-Type", "text/plain")])

    @property
    def paths(self) -> list[str]:
        """The targets that were asked for, in their order."""
        return [request.target for request in self.requests]


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        yield server
        server.released.set()


class Command:
    """Starts ``reqkit`` in a folder of its own."""

    program = Path(sys.executable).with_name("reqkit")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[subprocess.Popen[Any]] = []

    def start(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[Any]:
        """Start it and return the process."""
        options = {
            "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
            "cwd": self.folder, "env": environment(), **options,
        }  # fmt: skip
        process = subprocess.Popen([self.program, *map(str, arguments)], **options)
        self._started.append(process)
        return process

    def run(
        self, *arguments: str | Path, status: int | None = 0, text: bytes | str | None = None
    ) -> Ended:
        """Run it to its end, with ``text`` as its standard input, and look at its status."""
        data = text.encode() if isinstance(text, str) else text
        stdin = subprocess.DEVNULL if data is None else subprocess.PIPE
        process = self.start(*arguments, stdin=stdin)
        out, err = process.communicate(data, timeout=PATIENCE)
        ended = Ended(process.returncode, out.decode(), err.decode())
        if status is not None:
            assert ended.status == status, ended
        assert "Traceback" not in ended.err, ended.err
        return ended

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait(PATIENCE)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(OSError):
                        stream.close()


class Ended:
    """What a command has written, and its status."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its standard output, by number of the input."""
        return by_number(self.out)

    def __repr__(self) -> str:
        return f"status {self.status}\n{self.out[:2000]}\n{self.err[:4000]}"


def by_number(text: str) -> list[dict[str, Any]]:
    return sorted(map(json.loads, text.splitlines()), key=lambda record: record["number"])


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a JSONL file, each line of it whole."""
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return by_number(text)


def interrupt(process: subprocess.Popen[Any], number: int = signal.SIGINT) -> None:
    os.kill(process.pid, number)


@pytest.fixture
def reqkit_command(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path)
    yield command
    command.close()


Refused = Callable[[list[str]], str]


@pytest.fixture
def refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Refused:
    """Run the command in an empty folder, see that it refuses, and return what it says of that."""
    monkeypatch.chdir(tmp_path)

    def run(arguments: list[str]) -> str:
        assert main(arguments) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert "Traceback" not in err
        return " ".join(err.split())

    return run
