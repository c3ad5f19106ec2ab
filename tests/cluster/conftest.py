"""Executors of each kind, and a site that counts what comes."""

from __future__ import annotations

import contextlib
import multiprocessing
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest

from servers.in_workers import get_ready
from servers.messages import Received, answer
from servers.scripted import Connection, ScriptedServer


class Site(ScriptedServer):
    """Answers by path, and counts by path and by host.

    ``/slow...`` waits for `gate`, ``/status/N`` has that status, ``/big`` a megabyte, and all else
    a short body; what `special` has for a path comes before.
    """

    def __init__(self) -> None:
        super().__init__(self._answer_all, host="0.0.0.0")
        self.gate = threading.Event()
        self.hits: Counter[str] = Counter()
        self.starts: dict[str, list[float]] = {}
        self.in_flight: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self.special: dict[str, Callable[[int], bytes]] = {}
        #: Called with each request while it is in flight.
        self.during: Callable[[Received], None] = lambda request: None

    def host_url(self, number: int, path: str = "/") -> str:
        """Return a URL of one of 250 hosts."""
        return f"http://127.0.0.{number + 1}:{self.port}{path}"

    def __call__(self, path: str = "/") -> str:
        return self.host_url(0, path)

    def _answer_all(self, connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            host = (request.get("Host") or "").partition(":")[0]
            with self._changed:
                self.hits[request.target] += 1
                hit = self.hits[request.target]
                self.starts.setdefault(host, []).append(time.monotonic())
                self.in_flight[host] += 1
                self.peak[host] = max(self.peak[host], self.in_flight[host])
                self._changed.notify_all()
            if request.target.startswith("/slow"):
                self.gate.wait(20)
            self.during(request)
            data = self._answer_of(request, hit)
            with self._changed:
                self.in_flight[host] -= 1
            connection.send(data)

    def _answer_of(self, request: Received, hit: int) -> bytes:
        path = request.target
        if path in self.special:
            return self.special[path](hit)
        if path.startswith("/status/"):
            return answer(int(path.rpartition("/")[2]), b"status")
        if path == "/big":
            return answer(200, b"x" * 1_000_000)
        return answer(200, f"{request.method} {path}".encode(), [("X-Path", path)])

    def stop(self) -> None:
        """Let go of all that wait, then stop."""
        self.gate.set()
        super().stop()


@pytest.fixture
def site() -> Iterator[Site]:
    """A site of the test's own."""
    with Site() as server:
        yield server


def forkserver() -> Any:
    """Return a way to start processes that is quick, and inherits nothing."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["reqkit_async.cluster.task", "servers.in_workers"])
    return context


def processes(workers: int = 2) -> ProcessPoolExecutor:
    """Return a pool of processes."""
    return ProcessPoolExecutor(workers, mp_context=forkserver())


#: Clusters look at themselves so often that one of two workers which has nothing to do takes a
#: sixth of a processor, as long as the tests run: nobody asks for what they see.
UNWATCHED = {
    "distributed.admin.system-monitor.gil.enabled": False,
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "1s",
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.worker.profile.enabled": False,
}


@contextlib.contextmanager
def dask_cluster(workers: int = 2, **settings: Any) -> Iterator[Any]:
    """Yield a client of a cluster of this machine's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("distributed")
        import dask
        from distributed import Client, LocalCluster

        with (
            dask.config.set(UNWATCHED),
            LocalCluster(
                n_workers=workers, dashboard_address=":0", silence_logs=50,
                **{"threads_per_worker": 1, **settings},
            ) as cluster,
            Client(cluster) as client,
        ):  # fmt: skip
            yield client


@pytest.fixture(scope="session")
def shared_threads() -> Iterator[Any]:
    """Two threads for all tests that leave them as they were."""
    with ThreadPoolExecutor(2) as executor:
        yield executor


@pytest.fixture(scope="session")
def shared_processes() -> Iterator[Any]:
    """Two processes, likewise."""
    with processes() as executor:
        # Started, and with all imported: tests with deadlines begin at once.
        for future in [executor.submit(get_ready) for _ in range(2)]:
            future.result(timeout=60)
        yield executor


@pytest.fixture(scope="session")
def shared_dask() -> Iterator[Any]:
    """A cluster of two processes, likewise."""
    with dask_cluster() as client:
        client.run(get_ready)
        yield client


@pytest.fixture(params=["threads", "processes", "dask"])
def executor(request: pytest.FixtureRequest) -> Any:
    """Two workers of each kind."""
    return request.getfixturevalue(f"shared_{request.param}")


@pytest.fixture(params=["processes", "dask"])
def apart(request: pytest.FixtureRequest) -> Any:
    """Two workers that are other processes."""
    return request.getfixturevalue(f"shared_{request.param}")


# A cluster of its own for each test takes seconds; those of `executor` are used on each Python.
@pytest.fixture(params=["processes", pytest.param("dask", marks=pytest.mark.once)])
def mortal(request: pytest.FixtureRequest) -> Iterator[Callable[[int], Any]]:
    """Makes an executor whose workers may be killed, with so many of them."""
    with contextlib.ExitStack() as stack:

        def make(workers: int) -> Any:
            if request.param == "processes":
                return stack.enter_context(processes(workers))
            return stack.enter_context(dask_cluster(workers))

        yield make
