"""Very many requests of every kind, stopped at any moment: nothing leaks, nothing is lost.

The long ones are marked ``slow``; each has a short one beside it that always runs.
"""

from __future__ import annotations

import gc
import os
import random
import subprocess
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from servers.processes import start_on_free_port
from servers.scripted import ScriptedServer

MAIN = Path(__file__).parents[1] / "servers" / "mixed_main.py"

#: Of a hundred requests: how many, and what becomes of each. ``GET`` may be sent again on a kept
#: connection that was closed meanwhile, and so what a server does to the first try does not show.
KINDS: dict[str, tuple[int, object]] = {
    "good": (48, 200),
    "redirect": (8, 200),
    "cookie": (2, 200),
    "missing": (6, 404),
    "gzip": (9, 200),
    "chunked": (9, 200),
    "large": (4, 200),
    "close": (3, 200),
    "leave": (3, 200),
    "reset": (2, "ConnectionError"),
    "cut-head": (1, "IncompleteHead"),
    "cut-body": (2, "ChunkedEncodingError"),
    "cut-chunk": (1, "ChunkedEncodingError"),
    "garbage": (1, "ProtocolError"),
    "silent": (1, "ReadTimeout"),
}
MIX = [kind for kind, (count, _) in KINDS.items() for _ in range(count)]
assert len(MIX) == 100


def limits(kind: str) -> tuple[float, float]:
    """Return the time limits: the silent alone are given up soon."""
    return (60, 0.3 if kind == "silent" else 60)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL, with a slash, of a server that does what the path says."""
    program, port = start_on_free_port(
        lambda port, folder: [sys.executable, MAIN, str(port)], tmp_path_factory.mktemp("mixed")
    )
    with program:
        yield f"http://127.0.0.1:{port}/"


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def resident() -> int:
    """Return the bytes of this process's memory that are in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def shuffled(seed: int) -> list[str]:
    kinds = list(MIX)
    random.Random(seed).shuffle(kinds)
    return kinds


def outcome_of(response: reqkit.Response) -> object:
    if response.error is not None:
        kind = type(response.error)
        # A reset may be told apart from an end, or not, by when it comes.
        return (
            "ConnectionError"
            if kind is reqkit.ProtocolError and not _head(response)
            else (kind.__name__)
        )
    return response.status_code


def _head(response: reqkit.Response) -> bool:
    return not getattr(response.error, "no_answer", False)


def expected(count: int) -> Counter[tuple[str, object]]:
    assert count % 100 == 0
    return Counter({(kind, outcome): n * count // 100 for kind, (n, outcome) in KINDS.items()})


def kind_of(url: str) -> str:
    return url.rpartition("/")[2].partition("?")[0]


def soak_of_greenlets(url: str, count: int, size: int = 50) -> Counter[tuple[str, object]]:
    """Send so many of them with `imap_unordered`, and look at what they leave."""
    before = descriptors()
    kinds = shuffled(count)
    ended: Counter[tuple[str, object]] = Counter()
    most = 0
    warm = None
    with reqkit.Session() as session:
        requests = (
            reqkit_async.get(f"{url}{kind}", session=session, timeout=limits(kind))
            for kind in (kinds[number % 100] for number in range(count))
        )
        for number, response in enumerate(reqkit_async.imap_unordered(requests, size=size)):
            ended[kind_of(str(response.request.url)) if not response.history else "redirect",
                  outcome_of(response)] += 1  # fmt: skip
            if number % 1000 == 999:
                most = max(most, len(os.listdir("/proc/self/fd")))
                if warm is None and number >= count // 4:
                    gc.collect()
                    warm = resident()
        gc.collect()
        grown = resident() - (warm or resident())
    assert most - before <= size + 100 + 30  # in use, kept, and the loop's own
    assert descriptors() - before <= 10
    assert grown < 12_000_000
    return ended


def soak_of_threads(url: str, count: int, threads: int = 50) -> Counter[tuple[str, object]]:
    """Share one session among threads."""
    before = descriptors()
    kinds = shuffled(count + 1)
    ended: Counter[tuple[str, object]] = Counter()
    lock = threading.Lock()
    sizes: list[int] = []

    def some(start: int) -> None:
        mine: Counter[tuple[str, object]] = Counter()
        for number in range(start, count, threads):
            kind = kinds[number % 100]
            response = session.get(
                f"{url}{kind}", timeout=limits(kind), config={"safe_mode": True},
                prefetch=number % 2 == 0 or kind.startswith("cut"),
            )  # fmt: skip
            if response.ok and number % 3:
                assert len(response.content) in (200, 30_000)
            mine[kind, outcome_of(response)] += 1
        with lock:
            ended.update(mine)
            sizes.append(resident())

    with reqkit.Session() as session, ThreadPoolExecutor(threads) as pool:
        for job in [pool.submit(some, start) for start in range(threads)]:
            job.result()
    assert descriptors() - before <= 5
    assert sizes[-1] - sizes[0] < 20_000_000
    return ended


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_two_thousand_in_greenlets(mixed: str) -> None:
    assert soak_of_greenlets(mixed, 2_000) == expected(2_000)


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_five_hundred_in_fifty_threads(mixed: str) -> None:
    assert soak_of_threads(mixed, 500) == expected(500)


@pytest.mark.slow
@pytest.mark.filterwarnings("error::ResourceWarning")
def test_a_hundred_thousand_in_greenlets(mixed: str) -> None:
    assert soak_of_greenlets(mixed, 100_000, size=100) == expected(100_000)


@pytest.mark.slow
@pytest.mark.filterwarnings("error::ResourceWarning")
def test_ten_thousand_in_fifty_threads(mixed: str) -> None:
    assert soak_of_threads(mixed, 10_000) == expected(10_000)


# -- stopped at any moment


def stop_at_random(url: str, rounds: int, seed: int) -> list[int]:
    """Kill greenlets, leave loops and let deadlines pass, somewhere in an exchange.

    Returns:
        the sizes of a hundred good answers, asked for afterwards.
    """
    chance = random.Random(seed)
    before = descriptors()
    hooks: Counter[int] = Counter()

    with reqkit.Session() as session:

        def made(number: int) -> Any:
            def hook(response: Any) -> None:
                hooks[number] += 1

            kind = chance.choice(MIX)
            return reqkit_async.get(
                url + kind, session=session, timeout=limits(kind), callback=hook
            )

        for number in range(rounds):
            how = chance.randrange(4)
            moment = chance.random() * 0.01
            batch = [made(number) for _ in range(10)]
            if how == 0:
                greenlets = [reqkit_async.send(request) for request in batch]
                gevent.sleep(moment)
                for greenlet in greenlets[:: chance.randrange(1, 4)]:
                    greenlet.kill(block=False)
                gevent.joinall(greenlets)
            elif how == 1:
                entries = reqkit_async.imap_unordered(batch, size=5)
                for _ in range(chance.randrange(1, 10)):
                    next(entries)
                entries.close()
            elif how == 2:
                assert len(reqkit_async.map(batch, size=5, timeout=moment + 0.001)) == 10
                assert hooks[number] == 10
            else:
                with reqkit_async.Pool(5, session=session) as pool:
                    for request in batch:
                        pool.spawn(request)
                    gevent.sleep(moment)
                    pool.kill()
            assert hooks[number] <= 10  # once each, at most
        # What is kept is good: no answer of a stopped request is another's.
        good = reqkit_async.map(
            [reqkit_async.get(f"{url}{kind}", session=session) for kind in ["good", "large"] * 50],
            size=20,
        )
        sizes = [len(response.content) for response in good]
    assert descriptors() - before <= 10
    return sizes


@pytest.mark.parametrize("seed", [1, 2])
def test_stopped_at_random_moments(mixed: str, seed: int) -> None:
    assert stop_at_random(mixed, 40, seed) == [200, 30_000] * 50


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10, 14))
def test_stopped_very_often_at_random_moments(mixed: str, seed: int) -> None:
    assert stop_at_random(mixed, 300, seed) == [200, 30_000] * 50


# -- the collector


@pytest.mark.parametrize("kind", ["good", "gzip", "chunked", "redirect", "large", "cut-body"])
def test_a_collector_that_runs_all_the_time(mixed: str, kind: str) -> None:
    """In the middle of everything finalizers run, those of responses and connections too."""
    before = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        with reqkit.Session(config={"safe_mode": True}) as session:
            for number in range(20):
                response: Any = session.get(mixed + kind, prefetch=bool(number % 2))
                response.own = response  # only the collector can end it
                assert response.ok or number % 2
            entries = reqkit_async.map(
                [reqkit_async.get(mixed + kind, session=session) for _ in range(20)], size=5
            )
            failed = kind == "cut-body"
            assert [entry.error is not None for entry in entries] == [failed] * 20
    finally:
        gc.set_threshold(*before)


def test_a_collection_in_every_hook(mixed: str) -> None:
    def collect(message: Any) -> None:
        gc.collect()

    hooks = dict.fromkeys(("args", "pre_request", "post_request", "response"), collect)
    with reqkit.Session(hooks=hooks) as session:
        for kind in ("good", "redirect", "chunked"):
            assert session.get(mixed + kind).ok
            [entry] = reqkit_async.map([reqkit_async.get(mixed + kind, session=session)])
            assert entry.ok


# -- whole processes, where every warning is an error

DROPPED = """
    import gc, sys, threading
    import reqkit, reqkit_async

    url = sys.argv[1]
    config = {"safe_mode": True}

    def some():
        session = reqkit.Session()
        for kind in ("good", "large", "chunked", "close", "cut-body", "reset", "redirect"):
            session.get(url + kind, config=config)  # neither read nor closed, nor is the session
            reqkit.get(url + kind, config=config).content if kind != "cut-body" else None

    some()
    threads = [threading.Thread(target=some) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reqkit_async.map([reqkit_async.get(url + "large", prefetch=False) for _ in range(20)], size=5)
    for entry in reqkit_async.imap(reqkit_async.get(url + "large") for _ in range(20)):
        break
    reqkit_async.send(reqkit_async.get(url + "good"))  # never waited for
    gc.collect()
    print("ended")
"""

FORKED = """
    import os, sys, warnings
    import reqkit, reqkit_async

    # Said of any fork in a process with threads; these are idle.
    warnings.filterwarnings("ignore", ".*multi-threaded.*", DeprecationWarning)
    url = sys.argv[1]
    session = reqkit.Session()

    def use():
        assert session.get(url + "good").content == b"0123456789" * 20
        batch = [reqkit_async.get(url + kind, session=session) for kind in ("good", "large") * 20]
        sizes = [len(entry.content) for entry in reqkit_async.map(batch, size=10)]
        assert sizes == [200, 30000] * 20, sizes
        assert reqkit.get(url.replace("127.0.0.1", "localhost") + "gzip", timeout=20).ok

    use()
    half_read = session.get(url + "large")
    children = []
    for _ in range(4):
        child = os.fork()
        if not child:
            status = 1
            try:
                use()
                status = 0
            finally:
                sys.stdout.flush()
                os._exit(status)
        children.append(child)
    use()
    assert len(half_read.content) == 30000
    print(*[os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children])
"""


@pytest.mark.parametrize(
    ("program", "printed"), [(DROPPED, "ended\n"), (FORKED, "0 0 0 0\n")], ids=["dropped", "forked"]
)
def test_no_word_of_warning(mixed: str, program: str, printed: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program), mixed],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (ended.stdout, ended.stderr, ended.returncode) == (printed, "", 0)


# -- settings that change while others use them


def test_a_session_that_is_changed_while_threads_use_it(echo: ScriptedServer) -> None:
    """Each request has the old settings or the new, and none ends in another way."""
    ready = threading.Barrier(9)
    done = threading.Event()

    def requests() -> set[str]:
        ready.wait()
        seen: set[str] = set()
        for _ in range(30):
            received = session.get(echo()).json()
            seen.update(value for name, value in received["fields"] if name == "X-Now")
        return seen

    def changes() -> None:
        ready.wait()
        number = 0
        while not done.is_set():
            number += 1
            session.headers = {"X-Now": str(number)}
            session.cookies.set(f"c{number % 50}", "1")
            session.allow_address = (lambda address: True) if number % 2 else None
            session.config["keep_alive"] = bool(number % 3)
            session.hooks = {"response": lambda response: None}
            session.timeout = 20 + number % 2

    with reqkit.Session() as session, ThreadPoolExecutor(9) as pool:
        jobs: list[Any] = [pool.submit(requests) for _ in range(8)]
        changer: Callable[[], Any] = pool.submit(changes).result
        try:
            seen = set().union(*[job.result() for job in jobs])
        finally:
            done.set()
        changer()
    assert seen
