"""How runs end: on time, early, badly; and what becomes of each request then."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from reqkit.exceptions import WorkerLost
from reqkit.timeouts import clock
from reqkit_async.cluster import run
from reqkit_async.cluster.pool import time_to_end
from reqkit_async.pool.batch import ListBatch
from reqkit_async.pool.options import BatchOptions
from reqkit_async.progress import SILENT
from servers.in_workers import (
    die,
    die_of,
    hang,
    interrupt,
    leave,
    note,
    pid_and_status,
)
from servers.waiting import SOON

from .conftest import Site, dask_cluster, forkserver, processes

get = reqkit_async.get
post = reqkit_async.post
Make = Callable[[int], Any]


def free(executor: Any) -> None:
    """See that no task of a run is left: both workers do something else at once."""
    futures = [executor.submit(time.sleep, 0.0001 * number) for number in range(2)]
    for future in futures:
        future.result(timeout=20)


def sockets() -> set[str]:
    """Return what this process listens at, and is connected by, to workers of this machine."""
    lines = Path("/proc/self/net/unix").read_text().splitlines()
    return {line.split()[-1] for line in lines if f"@reqkit-{os.getpid()}-" in line}


def wait(condition: Callable[[], bool]) -> None:
    """Wait for something, and let greenlets run meanwhile."""
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        gevent.sleep(0.005)


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


# -- in time, and early


@contextlib.contextmanager
def begun(executor: Any, site: Site) -> Iterator[reqkit_async.Pool]:
    """A pool whose workers are there, however long that takes, and wait."""
    with reqkit_async.Pool(3, executor=executor) as pool:
        assert pool.map([get(site("/begun"))])[0].ok
        site.requests.clear()
        yield pool


def test_a_deadline_stops_all_workers(executor: Any, site: Site) -> None:
    requests = [get(site(f"/slow{number}")) for number in range(100)]
    with begun(executor, site) as pool:
        began = time.monotonic()
        entries = pool.map(requests, timeout=1)
        assert time.monotonic() - began < 1 + SOON
    assert [type(entry.error) for entry in entries] == [reqkit.TotalTimeout] * 100
    site.gate.set()
    site.wait_for_no_connections()
    assert 0 < len(site.requests) <= 6
    free(executor)


def test_at_the_deadline_what_was_begun_is_handed_over(executor: Any, site: Site) -> None:
    requests = [get(site(f"/slow{number}")) for number in range(100)]
    with begun(executor, site) as pool:
        entries = list(pool.imap_unordered(requests, timeout=1))
    assert {type(entry.error) for entry in entries} == {reqkit.TotalTimeout}
    assert len(entries) == len(site.requests) <= 6
    free(executor)


def test_a_hook_that_hangs_is_stopped_by_the_deadline(executor: Any, site: Site) -> None:
    requests = [get(site("/x"), callback=hang) for _ in range(20)]
    began = time.monotonic()
    entries = reqkit_async.map(requests, size=3, timeout=1, executor=executor)
    assert time.monotonic() - began < 1 + SOON
    assert [type(entry.error) for entry in entries] == [reqkit.TotalTimeout] * 20
    free(executor)


def test_leaving_the_loop_stops_all_workers(executor: Any, site: Site) -> None:
    def endless() -> Any:
        yield get(site("/first"))
        while True:
            yield get(site("/slow"))

    began = time.monotonic()
    for entry in reqkit_async.imap_unordered(endless(), size=3, executor=executor):
        assert entry.ok
        break
    assert time.monotonic() - began < SOON
    site.gate.set()
    # That of the first may be kept.
    site.wait_until(lambda server: server.connections_open <= 1)
    free(executor)


def test_a_request_begun_and_stopped_gets_its_hook(
    executor: Any, site: Site, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    session = reqkit.Session(headers={"X-Note": str(path)})
    with reqkit_async.Pool(2, session=session, executor=executor) as pool:
        for number in range(20):
            pool.spawn(get(site(f"/slow{number}"), callback=note))
        wait(lambda: len(site.requests) == 4)
        pool.kill()
        assert pool.stats.errors == {"RequestCancelled": 4}
    lines = path.read_text().splitlines()
    assert len(lines) == 4
    assert all(line.startswith("None RequestCancelled") for line in lines)
    free(executor)


def test_one_spawned_request_is_stopped(executor: Any, site: Site) -> None:
    with reqkit_async.Pool(1, executor=executor) as pool:
        handles = [pool.spawn(get(site(f"/slow{number}"))) for number in range(6)]
        wait(lambda: len(site.requests) == 2)
        for handle in (handles[0], handles[5]):  # one that was begun, and one that was not
            pool.stop(handle)
            assert type(handle.get(timeout=10).error) is reqkit.exceptions.RequestCancelled
        site.gate.set()
    assert [handle.get().status_code for handle in handles[1:5]] == [200] * 4


def test_an_error_in_the_callers_iterable_comes_last(executor: Any, site: Site) -> None:
    def wrong() -> Any:
        for number in range(20):
            yield get(site(f"/{number}"))
        raise KeyError("mine")

    entries = []
    with pytest.raises(KeyError, match="mine"):
        for entry in reqkit_async.imap(wrong(), size=2, executor=executor):
            entries.append(entry)
    assert [entry.status_code for entry in entries] == [200] * 20
    free(executor)


def test_a_hook_that_exits_ends_the_call(executor: Any, site: Site) -> None:
    for call in (reqkit_async.map, lambda *a, **k: list(reqkit_async.imap(*a, **k))):
        with pytest.raises(SystemExit) as caught:
            call([get(site("/x"), callback=leave) for _ in range(5)], executor=executor)
        assert caught.value.code == 3
        with pytest.raises(KeyboardInterrupt):
            call([get(site("/x"), callback=interrupt) for _ in range(5)], executor=executor)
        assert reqkit_async.map([get(site("/y"))], executor=executor)[0].ok


@pytest.mark.parametrize(
    ("what", "way"),
    [
        ("callback", "get"),
        ("callback", "join"),
        ("exception_handler", "join"),
        ("progress", "join"),
    ],
)
def test_an_exit_is_for_who_waits_for_what_was_spawned(
    executor: Any, site: Site, what: str, way: str, capfd: pytest.CaptureFixture[str]
) -> None:
    url = "http://127.0.0.1:1/" if what == "exception_handler" else site("/x")
    requests = [get(url, callback=leave if what == "callback" else None) for _ in range(5)]
    arguments = {} if what == "callback" else {what: lambda *arguments: leave(None)}
    with reqkit_async.Pool(3, executor=executor, **arguments) as pool:
        handles = [pool.spawn(request) for request in requests]
        with pytest.raises(SystemExit) as caught:
            (handles[0].get if way == "get" else pool.join)()
        assert caught.value.code == 3
        del caught
        assert reqkit_async.map([get(site("/y"))])[0].ok
        with contextlib.suppress(SystemExit):
            pool.join()  # of the others
        assert pool.join()
        pool.kill()
    del handles, pool
    gc.collect()
    assert "Traceback" not in capfd.readouterr().err


def test_an_iterable_or_a_handler_that_exits_ends_its_own_call(
    executor: Any, site: Site, closed_port: int
) -> None:
    """In whichever greenlet that is."""

    def leaving() -> Any:
        yield get(site("/x"))
        raise SystemExit(5)

    def leave_handler(request: Any, error: Any) -> None:
        raise SystemExit(5)

    dead = [get(f"http://127.0.0.1:{closed_port}/")]
    calls: list[Callable[[], Any]] = [
        lambda: list(reqkit_async.imap(leaving(), executor=executor)),
        lambda: reqkit_async.map(dead, exception_handler=leave_handler, executor=executor),
    ]
    for call in calls:

        def codes(call: Callable[[], Any] = call) -> Any:
            try:
                return call()
            except SystemExit as error:
                return error.code

        assert gevent.spawn(codes).get(timeout=20) == 5
        assert codes() == 5
    free(executor)


INTERRUPTED = """
import sys, threading, os, signal
sys.path[:0] = [{tests!r}]
import reqkit_async
from cluster.conftest import processes

if __name__ == "__main__":
    with processes() as executor:
        reqkit_async.map([{url!r}], executor=executor)
        print("ready", flush=True)
        try:
            reqkit_async.map([{slow!r}] * 50, size=3, executor=executor)
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        executor.submit(os.getpid).result(timeout=20)
        print("free", flush=True)
"""


def test_an_interrupt_of_the_terminal_ends_the_run_quietly(site: Site, tmp_path: Path) -> None:
    """All processes get it; the caller alone says so."""
    program = tmp_path / "program.py"
    program.write_text(
        INTERRUPTED.format(tests=str(Path(__file__).parent.parent), url=site("/x"),
                           slow=site("/slow"))
    )  # fmt: skip
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        site.wait_for_requests(7)
        os.killpg(process.pid, signal.SIGINT)
        out, error = process.communicate(timeout=60)
    assert (out, process.returncode) == ("interrupted\nfree\n", 0)
    assert "Traceback" not in error
    assert "Process" not in error


# -- nothing stays


@needs_linux
def test_nothing_listens_and_no_task_runs_on(executor: Any, site: Site) -> None:
    for _ in range(3):
        assert reqkit_async.map([get(site("/x"))] * 20, executor=executor)[0].ok
        assert sockets() == set()
        free(executor)
    pool = reqkit_async.Pool(executor=executor)
    with pool:
        pool.map([get(site("/x"))])
        assert len(sockets()) >= 1
    assert sockets() == set()
    free(executor)


@needs_linux
def test_threads_leave_no_descriptors(site: Site) -> None:
    """Not until the collector comes, either: their loops close what they have before they end."""
    reqkit_async.map([get(site("/x"))])
    with ThreadPoolExecutor(2) as executor:
        reqkit_async.map([get(site("/x"))] * 10, executor=executor)
    gevent.idle()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with ThreadPoolExecutor(2) as executor:
            reqkit_async.map([get(site("/x"))] * 10, executor=executor)
    wait(lambda: len(os.listdir("/proc/self/fd")) <= before)


# -- workers that are lost


def mixed(site: Site, count: int) -> list[reqkit.Request]:
    """Return requests, each fifth of which must not be sent twice."""
    return [(post if number % 5 == 0 else get)(site(f"/{number}")) for number in range(count)]


def pids_of(executor: Any, site: Site) -> list[int]:
    requests = [get(site("/pid"), callback=pid_and_status) for _ in range(200)]
    found = {pid for pid, _ in reqkit_async.map(requests, size=2, executor=executor)}
    assert os.getpid() not in found
    return sorted(found)


@pytest.mark.parametrize(
    "when",
    [
        pytest.param("first", marks=pytest.mark.slow), "middle",
        pytest.param("last", marks=pytest.mark.slow),
    ],
)  # fmt: skip
def test_each_comes_back_once_though_a_worker_is_killed(
    when: str, mortal: Make, site: Site
) -> None:
    executor = mortal(2)
    victim = pids_of(executor, site)[0]
    site.hits.clear()
    count = 1500 if when == "middle" else 300
    at = {"first": 1, "middle": count // 2, "last": count - 5}[when]
    entries: dict[int, reqkit.Response] = {}
    for index, entry in reqkit_async.imap_enumerated(mixed(site, count), size=5, executor=executor):
        assert index not in entries
        entries[index] = entry
        if len(entries) == at:
            os.kill(victim, signal.SIGKILL)
    assert sorted(entries) == list(range(count))
    lost = {index for index, entry in entries.items() if entry.error is not None}
    assert all(type(entries[index].error) is WorkerLost for index in lost)
    # None of those was lost that can be sent again, and none that cannot was sent again.
    assert {index % 5 for index in lost} <= {0}
    assert len(lost) <= 5
    assert max(site.hits.values()) <= 2
    assert max(site.hits[f"/{index}"] for index in range(0, count, 5)) == 1


def test_a_request_that_kills_its_workers_is_an_entry(mortal: Make, site: Site) -> None:
    """It kills two, and takes no other along: those that were with it are sent again."""
    executor = mortal(3)
    requests = [
        get(site("/poison" if number == 20 else f"/{number}"), callback=die_of)
        for number in range(100)
    ]
    entries = reqkit_async.map(requests, size=3, executor=executor)
    failed = [index for index, entry in enumerate(entries) if entry.error is not None]
    assert failed == [20]
    error = entries[20].error
    assert type(error) is WorkerLost
    assert "it was sent twice" in str(error)
    assert error.request is not None
    assert site.hits["/poison"] == 2
    assert max(site.hits.values()) == 2


def test_all_workers_gone_by_a_hook_that_kills_each(site: Site) -> None:
    requests = [get(site(f"/{number}"), callback=die) for number in range(30)]
    with processes() as executor:
        entries = reqkit_async.map(requests, size=3, executor=executor)
    assert [type(entry.error) for entry in entries] == [WorkerLost] * 30
    assert max(site.hits.values()) <= 2
    handed: list[Any] = []
    with processes() as executor, pytest.raises(WorkerLost, match="all workers are gone"):
        for entry in reqkit_async.imap_unordered(requests, size=3, executor=executor):
            handed.append(entry)
    assert {type(entry.error) for entry in handed} == {WorkerLost}
    with processes() as executor:
        pool = reqkit_async.Pool(3, executor=executor)
        handles = [pool.spawn(request) for request in requests]
        assert pool.join()
        assert {type(handle.get(timeout=1).error) for handle in handles} == {WorkerLost}


def test_hooks_of_what_was_lost_run_in_another_worker(
    mortal: Make, site: Site, tmp_path: Path
) -> None:
    executor = mortal(2)
    victim = pids_of(executor, site)[0]
    path = tmp_path / "notes"
    requests = [
        post(site(f"/slow{number}"), headers={"X-Note": str(path)}, callback=note)
        for number in range(4)
    ]
    with reqkit_async.Pool(2, executor=executor) as pool:
        handles = [pool.spawn(request) for request in requests]
        wait(lambda: len(site.requests) == 204)
        os.kill(victim, signal.SIGKILL)
        # They have their entries before the others are answered.
        wait(lambda: sum(handle.ready() for handle in handles) == 2)
        site.gate.set()
        entries = [handle.get(timeout=20) for handle in handles]
    assert Counter(type(entry.error) for entry in entries) == {WorkerLost: 2, type(None): 2}
    assert sorted(line.split()[1] for line in path.read_text().splitlines()) == [
        "NoneType", "NoneType", "WorkerLost", "WorkerLost",
    ]  # fmt: skip


@needs_linux
def test_a_worker_that_stands_still_keeps_nobody_from_ending(
    shared_processes: Any, site: Site
) -> None:
    """It is no dead one: what it has waits for it, but not longer than the call may take."""
    victim = pids_of(shared_processes, site)[0]
    urls = iter([site(f"/{number}") for number in range(100)])

    def requests() -> Any:
        for number, url in enumerate(urls):
            if number == 50:
                os.kill(victim, signal.SIGSTOP)
            yield get(url)

    try:
        entries = list(
            reqkit_async.imap_unordered(requests(), size=3, timeout=1, executor=shared_processes)
        )
    finally:
        os.kill(victim, signal.SIGCONT)
    assert len(entries) == 100
    assert {type(entry.error) for entry in entries} == {type(None), reqkit.TotalTimeout}
    free(shared_processes)


def test_workers_have_what_is_left_of_half_a_second_to_end() -> None:
    batch = ListBatch(BatchOptions(), [], SILENT)
    assert time_to_end(batch) == run.LAST_WORDS
    batch.stopped = True
    batch.stop_by = clock() + 0.2  # what was stopped has ended by itself
    assert 0.2 < time_to_end(batch) <= run.LAST_WORDS
    batch.stop_by = clock() - 0.1  # nothing was heard of it
    assert time_to_end(batch) < 0.1


@pytest.mark.slow
def test_workers_of_dask_that_were_started_again_get_work(site: Site) -> None:
    """Both are killed; what was with them is sent by those that come in their place."""
    with dask_cluster() as client:
        victims = pids_of(client, site)
        requests = [get(site(f"/slow{number}"), callback=pid_and_status) for number in range(40)]
        with reqkit_async.Pool(3, executor=client) as pool:
            handles = [pool.spawn(request) for request in requests]
            wait(lambda: len(site.requests) >= 200 + 6)
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            site.gate.set()
            entries = [handle.get(timeout=90) for handle in handles]
    assert [status for _, status in entries] == [200] * 40
    assert {pid for pid, _ in entries}.isdisjoint(victims)


# -- executors that do not do their part


def test_one_that_is_shut_down(site: Site) -> None:
    for executor in (ThreadPoolExecutor(1), ProcessPoolExecutor(1, mp_context=forkserver())):
        executor.shutdown()
        for call in (reqkit_async.map, lambda *a, **k: next(reqkit_async.imap(*a, **k))):
            with pytest.raises(WorkerLost, match="takes no tasks: RuntimeError: cannot schedule"):
                call([get(site("/x"))], executor=executor)
        pool = reqkit_async.Pool(executor=executor)
        with pytest.raises(WorkerLost, match="takes no tasks"):
            pool.spawn(get(site("/x")))
    assert not site.hits


def test_one_whose_workers_are_all_busy(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "FIRST_HELLO", 0.3)
    import threading

    done = threading.Event()
    with ThreadPoolExecutor(2) as executor:
        for _ in range(2):
            executor.submit(done.wait, 60)
        try:
            for call in (reqkit_async.map, lambda *a, **k: list(reqkit_async.imap(*a, **k))):
                with pytest.raises(WorkerLost, match=r"has come within 0\.3 s"):
                    call([get(site("/x"))] * 3, executor=executor)
        finally:
            done.set()
        # And what was left of that does no harm.
        assert reqkit_async.map([get(site("/x"))], executor=executor)[0].ok
    assert site.hits == {"/x": 1}


def test_one_of_two_workers_busy(site: Site) -> None:
    import threading

    done = threading.Event()
    with ThreadPoolExecutor(2) as executor:
        executor.submit(done.wait, 60)
        try:
            entries = reqkit_async.map([get(site("/x"))] * 20, executor=executor)
        finally:
            done.set()
    assert [entry.status_code for entry in entries] == [200] * 20


def test_one_whose_tasks_fail(site: Site) -> None:
    class Failing:
        def submit(self, function: Any, *arguments: Any) -> Any:
            import concurrent.futures

            future: Any = concurrent.futures.Future()
            future.set_exception(ImportError("no module named reqkit"))
            return future

    with pytest.raises(WorkerLost, match=r"no worker has come .*: ImportError: no module named"):
        reqkit_async.map([get(site("/x"))], executor=Failing(), workers=2)


def test_what_no_executor_takes_is_not_waited_for(site: Site) -> None:
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with reqkit_async.Pool(2, executor=executor) as pool:
        with pytest.raises(WorkerLost, match="takes no tasks"):
            pool.spawn(site("/x"))
        with pytest.raises(WorkerLost, match="takes no tasks"):
            pool.map([site("/x")])
    assert pool.stats.requests == pool.stats._active == 0
