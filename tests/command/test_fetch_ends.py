"""How ``reqkit fetch`` ends before its time, and what it shows where."""

from __future__ import annotations

import gzip
import json
import os
import pty
import re
import resource
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from servers.messages import answer
from servers.processes import environment

from .conftest import PATIENCE, Command, Site, interrupt, read_records


def write_urls(site: Site, path: Path, count: int, hangs_from: int) -> None:
    kinds = ("/good", "/hang")
    paths = [f"{kinds[number >= hangs_from]}/{number}" for number in range(count)]
    path.write_text("".join(f"{site(each)}\n" for each in paths))


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[bytes], site: Site) -> None:
    """Wait until so many results are written, and the server holds back what is left."""
    site.wait_for_requests(count + 1)
    while not path.exists() or path.read_bytes().count(b"\n") < count:
        assert process.poll() is None
        select.select([], [], [], 0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_was_done_is_kept(
    reqkit_command: Command, site: Site, tmp_path: Path, number: int
) -> None:
    write_urls(site, tmp_path / "u.txt", 40, hangs_from=30)
    to = ("--from", "u.txt", "--jsonl", "o.jsonl", "--report", "r.html", "--size", "5")
    process = reqkit_command.start("fetch", *to)
    wait_for_lines(tmp_path / "o.jsonl", 30, process, site)
    interrupt(process, number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + number
    assert b"interrupted; 30 done: 30 good" in err
    assert b"Traceback" not in err
    records = read_records(tmp_path / "o.jsonl")
    assert len(records) == 30
    assert all(record["ok"] for record in records)
    assert "<dt>requests</dt> <dd>30</dd>" in (tmp_path / "r.html").read_text()
    # And it goes on.
    site.released.set()
    reqkit_command.run("fetch", *to, "--resume")
    records = read_records(tmp_path / "o.jsonl")
    assert [record["input"]["url"] for record in records] == (
        (tmp_path / "u.txt").read_text().split()
    )


def test_interrupted_while_it_waits_for_its_input(reqkit_command: Command, site: Site) -> None:
    process = reqkit_command.start("fetch", "--from", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{site('/a')}\n".encode())
    process.stdin.flush()
    process.stdout.readline()
    interrupt(process)
    assert process.wait(PATIENCE) == 130
    assert process.stderr is not None
    assert b"interrupted; 1 done" in process.stderr.read()


def test_going_on_after_a_kill(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    """Each input has one record in the end, and no file is half of one."""
    write_urls(site, tmp_path / "u.txt", 60, hangs_from=40)
    to = ("--from", "u.txt", "--jsonl", "o.jsonl", "--to", "d", "--size", "5")
    process = reqkit_command.start("fetch", *to)
    wait_for_lines(tmp_path / "o.jsonl", 40, process, site)
    process.kill()
    process.wait(PATIENCE)
    with (tmp_path / "o.jsonl").open("ab") as file:
        file.write(b'{"input": {"url": "half of a li')
    site.released.set()
    before = len(site.requests)
    reqkit_command.run("fetch", *to, "--resume")
    records = read_records(tmp_path / "o.jsonl")
    assert sorted(record["input"]["url"] for record in records) == sorted(
        (tmp_path / "u.txt").read_text().split()
    )
    assert len(site.requests) - before == 20
    for record in records:
        path = "/" + record["url"].split("/", 3)[3]
        assert (tmp_path / record["file"]).read_text() == path


def test_a_closed_pipe_ends_it_quietly(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    """As ``reqkit fetch ... | head -1`` does."""
    write_urls(site, tmp_path / "u.txt", 3000, hangs_from=3000)
    process = reqkit_command.start("fetch", "--from", "u.txt", "--report", "r.html")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["ok"]
    process.stdout.close()
    assert process.wait(PATIENCE) == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert len(site.requests) < 3000


def test_an_input_without_end(reqkit_command: Command, site: Site) -> None:
    """As ``yes URL | reqkit fetch --from - | head -200`` does."""
    endless = subprocess.Popen(["yes", site("/a")], stdout=subprocess.PIPE)
    process = reqkit_command.start("fetch", "--from", "-", stdin=endless.stdout)
    try:
        assert endless.stdout is not None
        assert process.stdout is not None
        endless.stdout.close()
        numbers = {json.loads(process.stdout.readline())["number"] for _ in range(200)}
        assert len(numbers) == 200
        # No more is read ahead than there is room for.
        assert max(numbers) <= 200 + 2 * 50
        process.stdout.close()
        assert process.wait(PATIENCE) == 141
    finally:
        endless.kill()
        endless.wait()


def test_a_reader_that_is_slow_holds_it_back_and_loses_nothing(
    reqkit_command: Command, site: Site, tmp_path: Path
) -> None:
    write_urls(site, tmp_path / "u.txt", 600, hangs_from=600)
    process = reqkit_command.start("fetch", "--from", "u.txt", "-q", "--size", "10")
    assert process.stdout is not None
    # A pipe has room for 64 KiB: some 170 lines; what is asked for stays near that.
    site.wait_for_requests(150)
    lines = process.stdout.read().splitlines()
    assert len(lines) == len({json.loads(line)["number"] for line in lines}) == 600
    assert process.wait(PATIENCE) == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
@pytest.mark.parametrize("where", ["standard output", "a file"])
def test_a_full_disk(reqkit_command: Command, site: Site, tmp_path: Path, where: str) -> None:
    write_urls(site, tmp_path / "u.txt", 100, hangs_from=100)
    if where == "standard output":
        with open("/dev/full", "wb") as full:
            process = reqkit_command.start("fetch", "--from", "u.txt", stdout=full)
            _, err = process.communicate(timeout=PATIENCE)
        reason = "No space left on device"
    else:
        process = reqkit_command.start(
            "fetch", "--from", "u.txt", "--jsonl", "o.jsonl", preexec_fn=_small_files
        )
        _, err = process.communicate(timeout=PATIENCE)
        reason = "File too large"
        records = read_records(tmp_path / "o.jsonl")  # whole lines
        assert 0 < len(records) < 100
    assert process.returncode == 1
    assert f"reqkit: results cannot be written: {reason}" in err.decode()
    assert "Traceback" not in err.decode()
    if where == "a file":
        reqkit_command.run("fetch", "--from", "u.txt", "--jsonl", "o.jsonl", "--resume")
        assert len(read_records(tmp_path / "o.jsonl")) == 100


def _small_files() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (8000, resource.RLIM_INFINITY))


# -- terminals --------------------------------------------------------------------------------


class Terminal:
    """A terminal of its own for a command, and what it has shown."""

    def __init__(self, command: Command, *arguments: str, **variables: str) -> None:
        ours, theirs = pty.openpty()
        self.process = command.start(
            *arguments, stdout=theirs, stderr=theirs, stdin=theirs, start_new_session=True,
            env={**environment(), "TERM": "xterm-256color", "COLUMNS": "100", **variables},
        )  # fmt: skip
        os.close(theirs)
        self._ours = ours
        self.shown = ""

    def read_until(self, met: Callable[[str], bool]) -> None:
        """Read until a condition is met, or the command has ended."""
        while not met(self.shown):
            ready, _, _ = select.select([self._ours], [], [], PATIENCE)
            assert ready, self.shown
            try:
                data = os.read(self._ours, 65536)
            except OSError:  # the command has ended
                break
            if not data:
                break
            self.shown += data.decode(errors="replace")

    def end(self) -> int:
        self.read_until(lambda shown: False)
        os.close(self._ours)
        return self.process.wait(PATIENCE)


CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def test_a_terminal_gets_progress_and_results(reqkit_command: Command, site: Site) -> None:
    terminal = Terminal(reqkit_command, "fetch", site("/a"), site("/status/404"), site("/hang"))
    terminal.read_until(lambda shown: "2/3" in shown)
    assert "1 failed" in CODES.sub("", terminal.shown)
    site.released.set()
    assert terminal.end() == 1
    shown = CODES.sub("", terminal.shown)
    assert re.search(rf"200 +\S+ ms +2 B +{re.escape(site('/a'))}", shown)
    assert re.search(rf"404 +\S+ ms +8 B +{re.escape(site('/status/404'))}", shown)
    assert "3 done: 2 good, 1 failed (404: 1)" in shown
    assert "\x1b[32m200" in terminal.shown  # green
    # What failed, as a table.
    assert re.search(rf"failed +times +for example\s+404 +1 +{site('/status/404')}", shown)


def test_no_color(reqkit_command: Command, site: Site) -> None:
    terminal = Terminal(reqkit_command, "fetch", site("/a"), site("/status/404"), NO_COLOR="1")
    assert terminal.end() == 1
    assert re.findall(r"\x1b\[[0-9;]*3[0-7]m", terminal.shown) == []


def test_hosts_that_are_held_back_are_shown(reqkit_command: Command, site: Site) -> None:
    from servers.messages import answer

    site.answers["/busy"] = answer(429, b"", [("Retry-After", "100")])
    terminal = Terminal(
        reqkit_command, "fetch", site("/busy"), site("/a"), site("/b"), "--size", "1"
    )
    terminal.read_until(lambda shown: "held: 127.0.0.1" in shown)
    interrupt(terminal.process)
    assert terminal.end() == 130


def test_a_terminal_is_told_nothing_in_its_own_codes(reqkit_command: Command, site: Site) -> None:
    evil = "\x1b]0;owned\x07[bold]x[/bold]"
    terminal = Terminal(reqkit_command, "fetch", evil)
    assert terminal.end() == 1
    assert "\x1b]0" not in terminal.shown
    assert "[bold]x[/bold]" in CODES.sub("", terminal.shown)


def test_a_pipe_gets_no_codes(reqkit_command: Command, site: Site) -> None:
    ended = reqkit_command.run("fetch", site("/a"), site("/status/500"), status=1)
    assert "\x1b" not in ended.out + ended.err
    assert ended.err.count("\n") == 1
    assert reqkit_command.run("fetch", site("/a"), "--quiet").err == ""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
@pytest.mark.parametrize("where", [(), ("--executor", "threads:1"), ("--to", "d")])
def test_bodies_are_not_held_in_memory(
    reqkit_command: Command, site: Site, tmp_path: Path, where: tuple[str, ...]
) -> None:
    size = 32 << 20
    zeros = gzip.compress(bytes(size), 9)  # some 32 KB: some of these come whole with the head
    plain = answer(200, bytes(size))
    for number in range(8):
        site.answers[f"/plain{number}"] = plain
        site.answers[f"/zeros{number}"] = answer(200, zeros, [("Content-Encoding", "gzip")])
    (tmp_path / "u.txt").write_text("".join(f"{site(path)}\n" for path in site.answers))
    with open(tmp_path / "o.jsonl", "wb") as out:
        process = reqkit_command.start("fetch", "--from", "u.txt", "-q", *where, stdout=out)
        # Of its own memory alone: what a process "used" by wait4() is also what began it.
        peak = 0
        while process.poll() is None:
            found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
            peak = max(peak, int(found[1]) if found else 0)
            time.sleep(0.01)
    assert process.returncode == 0
    records = read_records(tmp_path / "o.jsonl")
    assert [record["bytes"] for record in records] == [size] * 16
    assert 0 < peak < 200 << 10, peak


def test_a_disk_that_is_full_for_a_while_loses_no_whole_line(
    reqkit_command: Command, site: Site, tmp_path: Path
) -> None:
    """A file system's limit on one file stands for a full disk."""
    write_urls(site, tmp_path / "u.txt", 400, hangs_from=400)
    to = ("fetch", "--from", "u.txt", "--jsonl", "o.jsonl", "--report", "r.html")
    limit = 65536

    def bounded() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    process = reqkit_command.start(*to, preexec_fn=bounded)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert b"results cannot be written: File too large" in err
    before = read_records(tmp_path / "o.jsonl")
    assert 0 < len(before) < 400
    assert f"{len(before)} done: {len(before)} good, 0 failed".encode() in err
    assert f"<dt>requests</dt> <dd>{len(before)}</dd>" in (tmp_path / "r.html").read_text()
    # The next line would have been too long.
    longest = max(map(len, (tmp_path / "o.jsonl").read_bytes().splitlines()))
    assert (tmp_path / "o.jsonl").stat().st_size > limit - 2 * longest
    reqkit_command.run(*to, "--resume")
    assert [record["number"] for record in read_records(tmp_path / "o.jsonl")] == [*range(1, 401)]
    assert len(set(site.paths)) == 400


def test_what_a_server_says_is_one_line_and_no_terminal_code(
    reqkit_command: Command, site: Site, tmp_path: Path
) -> None:
    kind = "text/x; a=\x9b31m\x85\u00fc"
    odd = "\u2028\u202e\x9b"
    fields = [("Content-Type", kind)]
    site.answers["/a"] = answer(200, b"a", fields)
    site.answers["/b"] = answer(404, b"b", fields)
    (tmp_path / "u.jsonl").write_text(
        "".join(json.dumps({"url": site(path), "name": odd}) + "\n" for path in ("/a", "/b"))
    )
    records = reqkit_command.run("fetch", "--from", "u.jsonl", status=1).records
    assert [record["type"] for record in records] == [kind, kind]
    assert [record["input"]["name"] for record in records] == [odd, odd]
    out = reqkit_command.run("fetch", "--from", "u.jsonl", status=1).out
    assert "\u00fc" in out  # what is only a letter stays one
    assert not set(out) & set(odd + "\x85")
    assert len(out.splitlines()) == 2
