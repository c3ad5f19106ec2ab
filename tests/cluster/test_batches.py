"""Batches over the workers of an executor: what comes of them is what one process gives."""

from __future__ import annotations

import itertools
import os
import pickle
import threading
from collections import Counter
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import gevent
import pytest

import reqkit
import reqkit_async
from reqkit_async.cluster import channel, pickling
from servers.in_workers import (
    CountedSession,
    Reply,
    be_busy,
    context_of,
    error_name,
    fail,
    length,
    nested_deeply,
    note,
    pid_and_status,
    reply,
    unpicklable,
)

from .conftest import Site

get = reqkit_async.get


def shown(entry: Any) -> dict[str, Any]:
    """Return what users see of an entry."""
    if not isinstance(entry, reqkit.Response):
        return {"entry": entry}
    return {
        "status": entry.status_code,
        "url": entry.url,
        "content": entry.content,
        "headers": dict(entry.headers),
        "asked": (entry.request.method, entry.request.url),
        "history": [before.status_code for before in entry.history],
        "error": type(entry.error),
        "hook_errors": [repr(error) for error in entry.hook_errors],
        "kept": entry.headers.get("X-Path"),
    }


def moved(where: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()


def mixed(site: Site, closed_port: int) -> list[reqkit.Request]:
    """Return requests of all kinds."""
    return [
        *(get(site(f"/{number}")) for number in range(20)),
        get(site("/status/404")),
        reqkit_async.post(site("/data"), data={"a": "b"}),
        reqkit_async.put(site("/json"), json={"a": [1, 2]}),
        get(site("/query"), params={"q": "é"}, headers={"X-Mine": "1"}, cookies={"c": "d"}),
        get(site("/moved")),
        get(site("/big"), callback=length),
        get(f"http://127.0.0.1:{closed_port}/"),
        get("no scheme"),
        get(site("/x"), timeout="long"),
        get(site("/y"), config={"danger_mode": True}),
        reqkit_async.head(site("/head")),
    ]


def test_map_gives_what_one_process_gives(executor: Any, site: Site, closed_port: int) -> None:
    site.special["/moved"] = lambda hit: moved("/new")
    site.special["/head"] = lambda hit: b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    expected = reqkit_async.map(mixed(site, closed_port), size=5)
    requests = mixed(site, closed_port)
    entries = reqkit_async.map(requests, size=5, executor=executor)
    assert [shown(entry) for entry in entries] == [shown(entry) for entry in expected]
    for request, entry in zip(requests, entries, strict=True):
        assert request.response is entry or not isinstance(entry, reqkit.Response)


@pytest.mark.parametrize("prefetch", [True, False])
def test_bodies_come_along_whether_asked_for_or_not(
    executor: Any, site: Site, prefetch: bool
) -> None:
    [entry] = reqkit_async.map([get(site("/big"))], prefetch=prefetch, executor=executor)
    assert entry.content == b"x" * 1_000_000
    assert entry.elapsed.total_seconds() > 0


def test_the_three_iterators(executor: Any, site: Site) -> None:
    urls = [site(f"/{number}") for number in range(60)]
    together = {"size": 3, "executor": executor}
    in_order = [entry.url for entry in reqkit_async.imap(map(get, urls), **together)]
    assert in_order == urls
    any_order = [entry.url for entry in reqkit_async.imap_unordered(map(get, urls), **together)]
    assert sorted(any_order) == sorted(urls)
    pairs = list(reqkit_async.imap_enumerated(map(get, urls), **together))
    assert {index: entry.url for index, entry in pairs} == dict(enumerate(urls))


def test_a_pool_is_used_again_and_again(executor: Any, site: Site) -> None:
    with reqkit_async.Pool(3, executor=executor) as pool:
        first = pool.map([get(site("/1"))] * 10)
        handles = [pool.spawn(get(site(f"/{number}"))) for number in range(20)]
        pool.join()
        second = list(pool.imap(get(site(f"/{number}")) for number in range(10)))
        assert all(entry.ok for entry in [*first, *second])
        assert [handle.get().url for handle in handles] == [site(f"/{i}") for i in range(20)]
        assert (pool.stats.requests, pool.stats.statuses, pool.stats.errors) == (40, {200: 40}, {})
        assert pool.stats.bytes == sum(len(entry.content) for entry in [*first, *second]) + sum(
            len(handle.get().content) for handle in handles
        )
        assert len(pool.stats.latency) == 40
    assert "active=0 waiting=0 done=40" in repr(pool)


def test_a_pool_without_a_block_begins_and_ends_by_itself(executor: Any, site: Site) -> None:
    pool = reqkit_async.Pool(3, executor=executor)
    for _ in range(3):
        handle = pool.spawn(get(site("/x")))
        assert pool.join()
        assert handle.get().ok
        assert pool.map([get(site("/y"))])[0].ok


def test_no_requests_at_all(executor: Any) -> None:
    assert reqkit_async.map([], executor=executor) == []
    assert list(reqkit_async.imap([], executor=executor)) == []


def test_all_workers_take_part(executor: Any, site: Site) -> None:
    together = Counter[str]()

    def during(request: Any) -> None:
        together["in"] += 1
        site.wait_until(lambda server: together["in"] >= 4)

    site.during = during
    entries = reqkit_async.map([get(site("/x")) for _ in range(4)], size=2, executor=executor)
    assert all(entry.ok for entry in entries)


def test_some_of_the_workers(apart: Any, site: Site) -> None:
    requests = [get(site("/x"), callback=pid_and_status) for _ in range(50)]
    entries = reqkit_async.map(requests, size=2, executor=apart, workers=1)
    assert len({pid for pid, _ in entries}) == 1


# -- hooks


def test_hooks_run_in_the_workers_and_their_answers_travel(apart: Any, site: Site) -> None:
    requests = [get(site("/x"), callback=pid_and_status) for _ in range(40)]
    entries = reqkit_async.map(requests, size=2, executor=apart)
    pids = {pid for pid, status in entries if status == 200}
    assert len(entries) == 40
    assert os.getpid() not in pids
    replies = reqkit_async.map([get(site("/x"), callback=reply)], executor=apart)
    assert replies == [Reply(200)]


def test_hooks_run_once_for_each_whatever_becomes_of_it(
    executor: Any, site: Site, closed_port: int, tmp_path: Any
) -> None:
    path = tmp_path / "notes"
    urls = [site("/a"), site("/status/500"), f"http://127.0.0.1:{closed_port}/", "no scheme"] * 5
    requests = [get(url, headers={"X-Note": str(path)}, callback=note) for url in urls]
    session = reqkit.Session(headers={"X-Note": str(path)}, hooks={"response": note})
    requests += [get(url, session=session) for url in urls if url != "no scheme"]
    with reqkit_async.Pool(2, executor=executor) as pool:
        entries = pool.map(requests)
    # What was never prepared has no headers that a hook could read the file's name of.
    notes = Counter(path.read_text().splitlines())
    prepared = Counter(
        f"{entry.status_code} {type(entry.error).__name__} {entry.url}"
        for entry in entries
        if entry.url != "no scheme"
    )
    assert {line: count for line, count in notes.items() if "no scheme" not in line} == prepared


def test_a_hook_that_raises_is_kept_as_its_error(apart: Any, site: Site) -> None:
    [entry] = reqkit_async.map([get(site("/x"), callback=fail)], executor=apart)
    assert entry.ok
    assert [repr(error) for error in entry.hook_errors] == ['ValueError("the hook\'s own")']


def test_what_was_reduced_in_a_hook_does_not_travel(
    apart: Any, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def loads(payload: bytes) -> Any:
        sizes.append(len(payload))
        return pickle.loads(payload)

    monkeypatch.setattr(channel, "loads", loads)
    requests = [get(site("/big"), callback=length) for _ in range(20)]
    assert reqkit_async.map(requests, size=2, executor=apart) == [1_000_000] * 20
    assert sum(sizes) < 20_000


def test_what_stays_with_the_caller(executor: Any, site: Site, closed_port: int) -> None:
    """The exception handler, progress, and errors that are raised."""
    seen: list[tuple[int, int | None]] = []
    dead = f"http://127.0.0.1:{closed_port}/"
    entries = reqkit_async.map(
        [get(site("/x")), get(dead), get("no scheme")],
        exception_handler=lambda request, error: (os.getpid(), request.url, type(error)),
        progress=lambda done, total: seen.append((done, total)),
        executor=executor,
    )
    assert entries[0].ok
    assert entries[1] == (os.getpid(), dead, reqkit.ConnectionError)
    assert entries[2] == (os.getpid(), "no scheme", reqkit.exceptions.MissingSchema)
    assert seen == [(1, 3), (2, 3), (3, 3)]
    with pytest.raises(reqkit.ConnectionError):
        reqkit_async.map([get(dead)] * 3, executor=executor, raise_errors=True)
    with pytest.raises(reqkit.ConnectionError):
        list(reqkit_async.imap([get(dead)] * 3, executor=executor, raise_errors=True))


# -- what travels


@pytest.mark.parametrize("name", ["threads", "processes", "dask"])
def test_a_session_travels_once_for_each_run(
    name: str, request: pytest.FixtureRequest, site: Site
) -> None:
    executor = request.getfixturevalue(f"shared_{name}")
    session = CountedSession(headers={"X-Session": "yes"}, cookies={"s": "1"})
    before = CountedSession.pickles
    requests = [get(site(f"/{number}"), session=session) for number in range(100)]
    entries = reqkit_async.map(requests, size=5, executor=executor)
    assert all(entry.ok for entry in entries)
    assert CountedSession.pickles == before + 1
    assert {received.get("X-Session") for received in site.requests} == {"yes"}
    assert {received.get("Cookie") for received in site.requests} == {"s=1"}
    with reqkit_async.Pool(5, session=session, executor=executor) as pool:
        assert all(entry.ok for entry in pool.map([get(site("/x")) for _ in range(50)]))
    assert CountedSession.pickles == before + 2


def test_lambdas_and_closures_travel_by_cloudpickle(executor: Any, site: Site) -> None:
    pytest.importorskip("cloudpickle")
    number = 7
    requests = [
        get(site("/x"), callback=lambda response: number + response.status_code),
        get(site("/x"), hooks={"response": lambda response: {"a": response.status_code}}),
    ]
    assert reqkit_async.map(requests, executor=executor) == [207, {"a": 200}]


def test_a_lambda_without_cloudpickle_is_named(
    shared_processes: Any, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pickling, "_cloudpickle", lambda: None)
    entries = reqkit_async.map(
        [get(site("/x"), callback=lambda response: None), get(site("/y"))],
        executor=shared_processes,
    )
    assert type(entries[0].error) is reqkit.exceptions.UnpicklableError
    assert "its callback (test_a_lambda" in str(entries[0].error)
    assert "<lambda>) cannot be pickled" in str(entries[0].error)
    assert "cloudpickle" in str(entries[0].error)
    assert entries[1].ok
    assert site.hits == {"/y": 1}


@pytest.mark.parametrize("part", ["data", "json", "auth", "context"])
def test_what_cannot_travel_is_named_and_not_sent(executor: Any, site: Site, part: str) -> None:
    lock = unpicklable(reqkit.Response())
    keywords: dict[str, Any] = {
        "data": {"data": (piece for piece in (b"x",))},
        "json": {"json": {"a": lock}},
        "auth": {"auth": lambda request, lock=lock: request},
        "context": {"headers": {"X": lock}},
    }[part]
    [entry] = reqkit_async.map([reqkit_async.post(site("/x"), **keywords)], executor=executor)
    assert type(entry.error) is reqkit.exceptions.UnpicklableError
    assert f"its {next(iter(keywords))} (" in str(entry.error)
    assert entry.error.request is not None
    assert not site.hits
    with pytest.raises(reqkit.exceptions.UnpicklableError, match="session="):
        session = reqkit.Session(hooks={"response": lambda response, lock=lock: None})
        reqkit_async.map([get(site("/x"))], session=session, executor=executor)
    assert not site.hits


def test_a_hooks_answer_that_cannot_travel_is_named(executor: Any, site: Site) -> None:
    [entry, other] = reqkit_async.map(
        [get(site("/x"), callback=unpicklable), get(site("/y"))], executor=executor
    )
    assert type(entry.error) is reqkit.exceptions.UnpicklableError
    assert "what a response hook returned (a lock) cannot be pickled" in str(entry.error)
    assert other.ok


def test_a_hooks_answer_that_pickle_gives_up_on_is_named(executor: Any, site: Site) -> None:
    [entry, other] = reqkit_async.map(
        [get(site("/x"), callback=nested_deeply), get(site("/y"))], executor=executor
    )
    assert type(entry.error) is reqkit.exceptions.UnpicklableError
    assert "what a response hook returned (a list) cannot be pickled" in str(entry.error)
    assert entry.error.request is not None
    assert other.ok


def test_what_is_no_request_is_an_error(executor: Any, site: Site) -> None:
    with pytest.raises(TypeError, match="is no request"):
        reqkit_async.map([get(site("/x")), 3], executor=executor)  # type: ignore[list-item]
    assert not site.hits
    assert [entry.ok for entry in reqkit_async.map([site("/x")], executor=executor)] == [True]


def test_a_context_is_the_very_object_afterwards(
    executor: Any, site: Site, closed_port: int
) -> None:
    site.special["/moved"] = lambda hit: moved("/new")
    urls = [site("/x"), site("/moved"), f"http://127.0.0.1:{closed_port}/", "no scheme"]
    contexts = [Reply(number) for number in range(len(urls))]
    requests = [get(url, context=one) for url, one in zip(urls, contexts, strict=True)]
    entries = reqkit_async.map(requests, executor=executor)
    for entry, one in zip(entries, contexts, strict=True):
        assert entry.context is one
        assert all(before.context is one for before in entry.history)
    requests = [get(site("/x"), context=number, callback=context_of) for number in range(5)]
    assert reqkit_async.map(requests, executor=executor) == [0, 1, 2, 3, 4]


def test_a_requests_own_handler_stays_with_the_caller(executor: Any, closed_port: int) -> None:
    dead = f"http://127.0.0.1:{closed_port}/"
    lock = threading.Lock()
    requests = [get(dead, exception_handler=lambda request, error: (lock, request.url))]
    assert reqkit_async.map(requests, executor=executor) == [(lock, dead)]


# -- back-pressure


def test_no_more_is_pulled_than_there_is_room_for(executor: Any, site: Site) -> None:
    pulled = itertools.count()
    last = 0

    def endless() -> Any:
        nonlocal last
        for last in pulled:
            yield get(site(f"/{last}"))

    size = 3
    entries = reqkit_async.imap_unordered(endless(), size=size, executor=executor)
    for handed in range(1, 200):
        assert next(entries).ok
        # One more is at hand than was given out, or about to be.
        assert last + 1 - handed <= 8 * size * 2 + 1
    entries.close()  # type: ignore[attr-defined]


def test_a_slow_iterable_is_followed(executor: Any, site: Site) -> None:
    """Each request waits for the answer to the one before it."""
    answered: list[reqkit.Response] = []

    def one_after_another() -> Any:
        for number in range(5):
            yield get(site(f"/{number}"))
            while len(answered) <= number:
                gevent.sleep(0.001)

    for entry in reqkit_async.imap(one_after_another(), executor=executor):
        answered.append(entry)
    assert [entry.status_code for entry in answered] == [200] * 5


# -- executors


class Plain:
    """No executor of the standard library's: it has ``submit``, and that is all."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, function: Any, *arguments: Any) -> Any:
        return Handle(self._executor.submit(function, *arguments))


class Handle:
    """What a plain executor gives: nothing to be asked of."""

    def __init__(self, future: Future[Any]) -> None:
        self._future = future


def test_whatever_has_submit_will_do(shared_processes: Any, site: Site) -> None:
    plain = Plain(shared_processes)
    entries = reqkit_async.map([get(site("/x"))] * 30, size=3, executor=plain, workers=2)
    assert all(entry.ok for entry in entries)
    with pytest.raises(ValueError, match="a Plain does not say how many it has"):
        reqkit_async.map([get(site("/x"))], executor=plain)


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_however_they_are_started(method: str, site: Site) -> None:
    import multiprocessing
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads and fork, from 3.12 on
        context = multiprocessing.get_context(method)
        # A batch before that: the forked ones have a parent with a hub.
        assert reqkit_async.map([get(site("/x"))])[0].ok
        with ProcessPoolExecutor(2, mp_context=context) as executor:
            for _ in range(2):
                requests = [get(site("/x"), callback=pid_and_status) for _ in range(40)]
                entries = reqkit_async.map(requests, size=2, executor=executor)
                assert {status for _, status in entries} == {200}
                assert os.getpid() not in {pid for pid, _ in entries}


def test_dask_in_this_process_with_several_threads(site: Site) -> None:
    from .conftest import dask_cluster

    with dask_cluster(1, processes=False, threads_per_worker=3) as client:
        for workers in (None, 3):
            requests = [get(site("/x"), callback=pid_and_status) for _ in range(40)]
            entries = reqkit_async.map(requests, size=2, executor=client, workers=workers)
            assert entries == [(os.getpid(), 200)] * 40


@pytest.mark.parametrize(
    ("executor", "workers", "error", "text"),
    [
        (5, None, TypeError, "executor is 5"),
        (ThreadPoolExecutor, None, TypeError, "executor is <class"),
        ("processes", None, TypeError, "executor is 'processes'"),
        (ThreadPoolExecutor(1), 0, ValueError, "workers is 0"),
        (ThreadPoolExecutor(1), True, ValueError, "workers is True"),
        (None, 2, ValueError, "workers is given without an executor"),
    ],
    ids=["number", "class", "name", "none", "true", "alone"],
)
def test_wrong_arguments(executor: Any, workers: Any, error: type[Exception], text: str) -> None:
    for call in (reqkit_async.map, reqkit_async.imap, reqkit_async.imap_unordered):
        with pytest.raises(error, match=text):
            call([get("http://h/")], executor=executor, workers=workers)
    with pytest.raises(error, match=text):
        reqkit_async.Pool(executor=executor, workers=workers)


def test_a_failed_entry_tells_why_everywhere(apart: Any, closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}/"
    [entry] = reqkit_async.map([get(url)], executor=apart)
    [expected] = reqkit_async.map([get(url)])
    assert str(entry.error) == str(expected.error)
    assert entry.error.before_sending
    assert type(entry.error.__cause__) is type(expected.error.__cause__)
    assert entry.error.request is entry.request
    assert reqkit_async.map([get(url, callback=error_name)], executor=apart) == ["ConnectionError"]


def test_busy_hooks(apart: Any, site: Site) -> None:
    entries = reqkit_async.map(
        [get(site("/x"), callback=be_busy) for _ in range(200)], size=20, executor=apart
    )
    assert all(entry.ok for entry in entries)


def test_a_method_that_is_none_is_its_requests_failure(site: Site, executor: Any) -> None:
    odd: Any = ["GET"]
    requests = [reqkit_async.request(odd, site("/odd")), get(site("/x"))]
    entries = reqkit_async.map(requests, executor=executor, timeout=20)
    assert type(entries[0].error) is reqkit.exceptions.InvalidHeader
    assert (entries[1].status_code, site.hits) == (200, {"/x": 1})


class _Undecided:
    """Has no truth, as an array of several numbers."""

    def __bool__(self) -> bool:
        raise ValueError("which of them?")


@pytest.mark.parametrize("look", [_Undecided(), None])
def test_what_cannot_travel_is_its_requests_failure(
    look: Any, site: Site, shared_threads: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if look is None:  # whatever else looking at it may raise
        monkeypatch.setattr(pickling, "_name_of", lambda value: 1 / 0)
    context = {"array": look, "lock": threading.Lock()}
    requests = [get(site("/a"), context=context), get(site("/b"))]
    entries = reqkit_async.map(requests, executor=shared_threads, timeout=20)
    assert type(entries[0].error) is reqkit.exceptions.UnpicklableError
    assert entries[0].context is context
    assert (entries[1].status_code, site.hits) == (200, {"/b": 1})


def test_a_timer_that_hits_the_progress_costs_no_worker(site: Site, shared_threads: Any) -> None:
    told = []

    def progress(done: int, total: int | None) -> None:
        told.append(done)
        if done == 2:
            raise gevent.Timeout(5)

    requests = [reqkit_async.post(site(f"/{number}")) for number in range(20)]
    pool = reqkit_async.Pool(2, executor=shared_threads, progress=progress)
    entries = pool.map(requests)
    assert [entry.status_code for entry in entries] == [200] * 20
    assert sorted(told) == list(range(1, 21))
    assert set(site.hits.values()) == {1}


def test_a_session_that_is_set_while_workers_run(site: Site, executor: Any) -> None:
    def sent(pool: reqkit_async.Pool) -> list[str | None]:
        entries = pool.map([get(site("/x"))] * 4)
        return [entry.request.headers.get("X-Mine") for entry in entries]

    with reqkit_async.Pool(2, executor=executor) as pool:
        assert sent(pool) == [None] * 4
        for name in ("one", "two"):
            with reqkit.Session(headers={"X-Mine": name}) as session:
                pool.session = session
                assert sent(pool) == [name] * 4
        session = reqkit.Session(auth=threading.Lock().acquire)
        with pytest.raises(reqkit.exceptions.UnpicklableError, match="session="):
            pool.session = session
        assert sent(pool) == ["two"] * 4
        pool.session = None
        assert sent(pool) == [None] * 4
