"""``reqkit fetch --executor``."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from reqkit_async.command import executors
from reqkit_async.command.executors import ExecutorError, executor_of
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer

from .conftest import PATIENCE, Command, Site, read_records


def write_urls(path: Path, site: Site, *paths: str) -> None:
    path.write_text("".join(f"{site(each)}\n" for each in paths))


def test_processes(reqkit_command: Command, site: Site, tmp_path: Path, closed_port: int) -> None:
    paths = [f"/{number}" for number in range(40)]
    write_urls(tmp_path / "u.txt", site, *paths, "/status/404")
    with (tmp_path / "u.txt").open("a") as file:
        file.write(f"http://127.0.0.1:{closed_port}/\nnonsense\n")
    command = ("fetch", "--from", "u.txt", "--executor", "processes:2", "--to", "d")
    ended = reqkit_command.run(*command, "--report", "r.html", "--per-host", "2", status=1)
    assert [record["number"] for record in ended.records] == list(range(1, 44))
    for path, record in zip(paths, ended.records, strict=False):
        assert (tmp_path / record["file"]).read_text() == path
    missing, refused, no_url = ended.records[40:]
    assert (missing["status"], missing["file"]) == (404, None)
    assert refused["error"]["type"] == "ConnectionError"
    assert no_url["error"]["type"] == "MissingSchema"
    assert len({tuple(record) for record in ended.records}) == 1
    assert "43 done: 40 good, 3 failed" in ended.err
    assert "<dt>requests</dt> <dd>43</dd>" in (tmp_path / "r.html").read_text()


def test_threads(reqkit_command: Command, site: Site) -> None:
    ended = reqkit_command.run("fetch", site("/a"), site("/b"), "--executor", "threads:2")
    assert [record["ok"] for record in ended.records] == [True, True]


@pytest.mark.slow
def test_a_cluster(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    paths = [f"/{number}" for number in range(40)]
    write_urls(tmp_path / "u.txt", site, *paths, "/status/404")
    # Workers outlive the requests, and a cluster takes its time to end: nothing is to be kept open.
    for path in (*paths, "/again"):
        site.answers[path] = answer(200, path.encode(), [("Connection", "close")])
    site.answers["/status/404"] = answer(404, b"", [("Connection", "close")])
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1"
    ) as cluster:
        executor = f"dask:{cluster.scheduler_address}"
        where = ("--executor", executor, "--to", tmp_path / "d", "--per-host", "3")
        ended = reqkit_command.run("fetch", "--from", "u.txt", *where, status=1)
        for path, record in zip(paths, ended.records, strict=False):
            assert (tmp_path / record["file"]).read_text() == path
        assert (ended.records[40]["status"], ended.records[40]["file"]) == (404, None)
        assert "41 done: 40 good, 1 failed (404: 1)" in ended.err
        # The cluster is somebody's, and goes on.
        ended = reqkit_command.run("fetch", site("/again"), "--executor", executor)
        assert ended.records[0]["ok"]
    assert sorted(site.paths) == sorted([*paths, "/status/404", "/again"])


def test_no_cluster_there(reqkit_command: Command) -> None:
    pytest.importorskip("distributed")
    for address in ("nonsense", "tcp://127.0.0.1:port", "moon://127.0.0.1:1"):
        executor = f"dask:{address}"
        ended = reqkit_command.run("fetch", "http://h.invalid/", "--executor", executor, status=2)
        assert f"no Dask scheduler answers at {address}" in ended.err


def test_an_address_where_nobody_listens_is_refused_soon(
    closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(executors, "_LISTENS_WITHIN", 0.2)
    # A client of Dask's would ask for so long.
    monkeypatch.setattr(executors, "_ANSWERS_WITHIN", 1000)
    address = f"dask:tcp://127.0.0.1:{closed_port}"
    with pytest.raises(ExecutorError, match="refused"), executor_of(address):
        pass


def test_a_scheduler_may_just_be_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        waits: list[float] = []

        def start(seconds: float) -> None:
            waits.append(seconds)
            sock.listen()

        monkeypatch.setattr(executors.time, "sleep", start)
        executors._see_who_listens(*sock.getsockname(), speaks=False)
        assert len(waits) == 1


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "has said nothing within 0.2 s"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "speaks another protocol"),
        (b"short", "has closed the connection"),
    ],
)
def test_what_listens_and_is_no_scheduler(
    said: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr(executors, "_ANSWERS_WITHIN", 0.2)

    def speak(connection: Connection) -> None:
        connection.send(said)
        if len(said) != 5:
            connection.recv_request()  # which never comes

    with (
        ScriptedServer(speak) as server,
        pytest.raises(ExecutorError, match=f"no Dask scheduler answers at .*: it {why}"),
        executor_of(f"dask:{server.netloc}"),
    ):
        pass


def test_interrupted_with_its_workers(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    """As a terminal does it: all processes of the group get the signal."""
    write_urls(tmp_path / "u.txt", site, *[f"/{number}" for number in range(10)], "/hang")
    process = reqkit_command.start(
        "fetch", "--from", "u.txt", "--jsonl", "o.jsonl", "--executor", "processes:2",
        start_new_session=True,
    )  # fmt: skip
    site.wait_for_requests(11)
    while (tmp_path / "o.jsonl").read_bytes().count(b"\n") != 10:
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"interrupted; 10 done: 10 good" in err
    assert b"Traceback" not in err
    assert len(read_records(tmp_path / "o.jsonl")) == 10
    assert json.loads((tmp_path / "o.jsonl").read_text().splitlines()[0])["ok"]


@pytest.mark.parametrize(
    "text", ["moon", "processes:x", "processes:-1", "threads:0", "dask", "dask:"]
)
def test_what_is_no_executor(text: str) -> None:
    with pytest.raises(ExecutorError, match="expected"), executor_of(text):
        pass
