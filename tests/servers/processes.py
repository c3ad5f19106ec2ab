"""Servers that are programs: started in the foreground, awaited at their port, ended by handle."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

#: Seconds that a program has to start listening, or to end when told.
PATIENCE = 60.0


class StartError(RuntimeError):
    """The program ended, or did not listen in time; its log is in the message."""


def free_port() -> int:
    """Return a port that nothing listens on, for programs that cannot be given port 0."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def environment() -> dict[str, str]:
    """Return this process's environment without what would send a program through a proxy."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("COV_", "COVERAGE_"))
    }


def alone(code: str, *arguments: str) -> str:
    """Run code in a Python of its own, which must not complain; return what it prints.

    For what is measured of a whole process: in the suite's own, other tests' threads, modules that
    something imports for the first time, and the measuring of coverage count in.
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        env=environment(),
        # Where `servers` is, and the tree's own package is not.
        cwd=Path(__file__).parents[1],
        timeout=PATIENCE * 5,
    )
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout + ended.stderr
    return ended.stdout


class Program:
    """A running program with a group of its own, so that its children end with it."""

    def __init__(self, command: Sequence[str | Path], folder: Path) -> None:
        self.folder = folder
        #: What it wrote to its standard output and error.
        self.log_path = folder / "output.log"
        self.command = [str(word) for word in command]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=environment(),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def log(self) -> str:
        """Return all that it has written so far."""
        return self.log_path.read_text(errors="replace")

    def wait_for(self, ready: Callable[[], bool], what: str) -> None:
        """Ask until it is ready; an early end or too long a wait stops it and raises."""
        limit = time.monotonic() + PATIENCE
        while not ready():
            # Waiting for the program's end is the pause between two questions.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
            if self._process.poll() is not None or time.monotonic() > limit:
                self.stop()
                state = f"status {self._process.returncode}"
                raise StartError(f"{self.command[0]}: no {what} ({state})\n{self.log()}")

    def wait_for_port(self, port: int) -> None:
        """Wait until something takes connections on this port of loopback."""
        self.wait_for(lambda: listens(port), f"listener on port {port}")

    def stop(self) -> None:
        """End it and its children: politely, then not."""
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Whoever of its group is left behind.
            self._signal(signal.SIGKILL)
            self._process.wait()

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


def listens(port: int) -> bool:
    """Tell whether a connection to this port of loopback is taken."""
    with socket.socket() as sock:
        sock.settimeout(PATIENCE)
        return sock.connect_ex(("127.0.0.1", port)) == 0


def start_on_free_port(
    build: Callable[[int, Path], Sequence[str | Path]], folder: Path, tries: int = 3
) -> tuple[Program, int]:
    """Start a program that must be told its port; another port where one was taken meanwhile.

    ``build`` gets the port and an empty folder, writes what the program needs there, and returns
    the command.
    """
    for attempt in range(1, tries + 1):
        own = folder / f"try-{attempt}"
        own.mkdir(parents=True)
        for path in (folder, own):
            # Programs that give up root's rights must still get in.
            path.chmod(0o755)
        port = free_port()
        program = Program(build(port, own), own)
        try:
            program.wait_for_port(port)
        except StartError:
            if attempt == tries:
                raise
        else:
            return program, port
    raise AssertionError("unreachable: the last try returns or raises")
