"""What very many requests cost: memory, descriptors, time."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import reqkit
import reqkit_async
from servers.messages import answer
from servers.processes import start_on_free_port
from servers.scripted import Connection, ScriptedServer
from servers.waiting import until

Start = Callable[..., ScriptedServer]
MAIN = Path(__file__).parents[1] / "servers" / "fast_main.py"


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that does nothing but answer."""
    program, port = start_on_free_port(
        lambda port, folder: [sys.executable, MAIN, str(port), "10"],
        tmp_path_factory.mktemp("fast"),
    )
    with program:
        yield f"http://127.0.0.1:{port}/"


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def test_an_unsent_request_is_at_most_a_kilobyte() -> None:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        made = [
            reqkit_async.get(f"http://127.0.0.1/{number}", params={"a": 1}, headers={"B": "c"})
            for number in range(5000)
        ]
        each = (tracemalloc.get_traced_memory()[0] - before) / len(made)
    finally:
        tracemalloc.stop()
    assert each < 1100


def test_a_finished_response_keeps_little_beyond_its_body(fast: str) -> None:
    with reqkit.Session() as session:
        requests = [reqkit_async.get(fast, session=session) for _ in range(2000)]
        reqkit_async.map(requests[:100], size=20)
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            found = reqkit_async.map(requests, size=20)
            gc.collect()
            each = (tracemalloc.get_traced_memory()[0] - before) / len(found)
        finally:
            tracemalloc.stop()
    assert each < 3000 + 100


def test_nothing_waits_for_the_collector(fast: str) -> None:
    """Finished requests are freed when they are let go of: no cycles."""
    with reqkit.Session() as session:
        list(reqkit_async.imap(reqkit_async.get(fast, session=session) for _ in range(50)))
        gc.collect()
        gc.disable()
        try:
            for _ in reqkit_async.imap(
                (reqkit_async.get(fast, session=session) for _ in range(500)), size=20
            ):
                pass
            assert gc.collect() < 100
        finally:
            gc.enable()


@pytest.mark.slow
def test_imap_over_two_hundred_thousand_is_flat(fast: str) -> None:
    """Memory after the first tenth is the memory after all."""
    total = 200_000
    count = 0
    marks: list[int] = []

    def memory() -> int:
        gc.collect()
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    with reqkit.Session() as session:
        requests = (reqkit_async.get(fast, session=session) for _ in range(total))
        for response in reqkit_async.imap(requests, size=50):
            assert response.status_code == 200
            count += 1
            if count % (total // 10) == 0:
                marks.append(memory())
    assert count == total
    # A kilobyte of each that is kept would make 180 MB.
    assert marks[-1] - marks[0] < 20_000_000


def test_descriptors_are_back_where_they_were(scripted: Start) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.target == "/cut":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
                return
            if request.target == "/slow":
                connection.wait_closed()
                return
            connection.send(answer(200, b"x" * 1000))

    server = scripted(handler)

    def run() -> None:
        with reqkit.Session() as session:
            get = reqkit_async.get
            requests = [
                get(server(path), session=session) for path in ["/", "/cut", "/", "/slow"] * 5
            ]
            reqkit_async.map(requests, size=7, timeout=0.2)
            for _ in reqkit_async.imap(requests, size=3, stream=True):
                break
        server.wait_for_no_connections()

    run()  # the hub and its threads have some of their own
    before = descriptors()
    for _ in range(3):
        run()
    # The server closes its ends in threads of its own.
    until(lambda: descriptors() <= before)
    assert server.connections_opened > 3


PROGRAM = """
    import collections, resource, sys
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    import reqkit_async

    url, size = sys.argv[1], eval(sys.argv[2])
    kinds = ["/ok", "/ok", "/reset", "/cut", "/ok", "/lazy", "/garbage", "/404"]
    requests = [
        reqkit_async.get(url + kinds[number % 8], stream=kinds[number % 8] == "/lazy")
        for number in range(2000)
    ]
    counts = collections.Counter()
    for index, response in reqkit_async.imap_enumerated(requests, size=size):
        kind = kinds[index % 8]
        outcome = type(response.error).__name__ if response.error else response.status_code
        counts[kind, outcome] += 1
        response.close()
    for key, count in sorted(counts.items(), key=str):
        print(*key, count)
"""


@pytest.mark.parametrize("size", [50, 400, None])
def test_two_thousand_mixed_requests_with_few_descriptors(
    size: int | None, scripted: Start
) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            kind = request.target
            if kind == "/reset":
                connection.reset()
                return
            if kind == "/cut":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab")
                return
            if kind == "/garbage":
                connection.send(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
                return
            connection.send(answer(404 if kind == "/404" else 200, b"x" * 2000))

    server = scripted(handler)
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), server.url, repr(size)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines() == [
        "/404 404 250",
        "/cut ChunkedEncodingError 250",
        "/garbage ProtocolError 250",
        "/lazy 200 250",
        "/ok 200 750",
        "/reset ConnectionError 250",
    ]
