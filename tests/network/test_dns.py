from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

import gevent
import pytest
from gevent.event import Event

import reqkit
import reqkit_async
from reqkit.network import Address, StdlibNetwork, lookups
from reqkit_async.network import GeventNetwork, dns
from reqkit_async.network.dns import DNSCache, SystemResolver, get_resolver, set_resolver
from servers.waiting import until

LIMIT = 30.0


class Scripted:
    """A resolver that answers as it is told, once it may."""

    def __init__(self, answer: Any = None) -> None:
        self.asked: list[tuple[str, int]] = []
        self.answer = answer
        self.open = Event()
        self.open.set()

    def resolve(self, host: str, port: int) -> Sequence[Address | str]:
        self.asked.append((host, port))
        self.open.wait()
        if isinstance(self.answer, BaseException):
            raise self.answer
        if self.answer is not None:
            return self.answer  # type: ignore[no-any-return]
        return [Address(socket.AF_INET, ("192.0.2.1", port))]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


ONE = Address(socket.AF_INET, ("192.0.2.1", 80))


def test_an_answer_is_kept_for_a_while() -> None:
    clock, resolver = Clock(), Scripted()
    cache = DNSCache(resolver, keep=60, clock=clock)
    assert cache.resolve("a.test", 80, LIMIT) == [ONE]
    clock.now = 59.9
    assert cache.resolve("A.TEST", 80, LIMIT) == [ONE]
    assert resolver.asked == [("a.test", 80)]
    clock.now = 60.1
    assert cache.resolve("a.test", 80, LIMIT) == [ONE]
    assert len(resolver.asked) == 2
    cache.clear()
    assert cache.resolve("a.test", 80, LIMIT) == [ONE]
    assert len(resolver.asked) == 3


def test_an_answer_cannot_be_changed_from_outside() -> None:
    cache = DNSCache(Scripted())
    cache.resolve("a.test", 80, LIMIT).clear()
    assert cache.resolve("a.test", 80, LIMIT) == [ONE]


def test_an_answer_serves_other_ports() -> None:
    resolver = Scripted(
        [
            Address(socket.AF_INET, ("192.0.2.1", 80)),
            Address(socket.AF_INET6, ("2001:db8::1", 80, 0, 3)),
            Address(socket.AF_INET, ("192.0.2.9", 8080)),  # one of the resolver's own
            "192.0.2.4",
        ]
    )
    cache = DNSCache(resolver)
    assert [one.sockaddr[1] for one in cache.resolve("a.test", 80, LIMIT)] == [80, 80, 8080, 80]
    assert cache.resolve("a.test", 443, LIMIT) == [
        Address(socket.AF_INET, ("192.0.2.1", 443)),
        Address(socket.AF_INET6, ("2001:db8::1", 443, 0, 3)),
        Address(socket.AF_INET, ("192.0.2.9", 8080)),
        Address(socket.AF_INET, ("192.0.2.4", 443)),
    ]
    assert resolver.asked == [("a.test", 80)]


def test_the_least_recently_used_answer_goes_first() -> None:
    resolver = Scripted()
    cache = DNSCache(resolver, most=3)
    for host in ("a", "b", "c", "a", "d"):
        cache.resolve(host, 80, LIMIT)
    assert len(cache) == 3
    resolver.asked.clear()
    for host in ("a", "c", "d"):
        cache.resolve(host, 80, LIMIT)
    assert resolver.asked == []
    cache.resolve("b", 80, LIMIT)
    assert resolver.asked == [("b", 80)]


def test_look_ups_at_the_same_time_are_one() -> None:
    resolver = Scripted()
    resolver.open.clear()
    cache = DNSCache(resolver)
    asking = [gevent.spawn(cache.resolve, "a.test", 80 + n, LIMIT) for n in range(20)]
    gevent.idle()
    assert not any(each.ready() for each in asking)
    resolver.open.set()
    gevent.joinall(asking, timeout=LIMIT, raise_error=True)
    assert len(resolver.asked) == 1
    assert [each.value[0].sockaddr[1] for each in asking] == [80 + n for n in range(20)]


@pytest.mark.parametrize("leave", ["kill", "limit", "gevent.Timeout"])
def test_one_who_leaves_takes_nothing_from_the_others(leave: str) -> None:
    resolver = Scripted()
    resolver.open.clear()
    cache = DNSCache(resolver)

    def impatient() -> None:
        if leave == "limit":
            with pytest.raises(TimeoutError, match=r"'a\.test' took longer than 0\.02 s") as caught:
                cache.resolve("a.test", 80, 0.02)
            assert caught.value.errno == errno.ETIMEDOUT
        else:
            with pytest.raises(gevent.Timeout), gevent.Timeout(0.02 if leave != "kill" else None):
                cache.resolve("a.test", 80, None)

    first = gevent.spawn(impatient)
    gevent.idle()
    others = [gevent.spawn(cache.resolve, "a.test", 80, LIMIT) for _ in range(3)]
    gevent.idle()
    if leave == "kill":
        first.kill()
    first.get(timeout=LIMIT)
    assert first.ready()
    resolver.open.set()
    gevent.joinall(others, timeout=LIMIT, raise_error=True)
    assert [each.value for each in others] == [[ONE]] * 3
    assert len(resolver.asked) == 1


def test_a_slow_name_holds_back_only_its_own() -> None:
    slow = Scripted()
    slow.open.clear()

    class Mixed:
        def resolve(self, host: str, port: int) -> Sequence[Address | str]:
            return slow.resolve(host, port) if host.startswith("slow") else [ONE]

    cache = DNSCache(Mixed())
    waiting = [gevent.spawn(cache.resolve, f"slow{n}", 80, LIMIT) for n in range(300)]
    gevent.idle()
    assert cache.resolve("fast", 80, LIMIT) == [ONE]
    slow.open.set()
    gevent.joinall(waiting, timeout=LIMIT, raise_error=True)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (socket.gaierror(socket.EAI_NONAME, "no such name"), "no such name"),
        ([], "the name 'a.test' has no address"),
        (["nonsense"], "ValueError: the resolver returned 'nonsense': expected an address"),
        (UnicodeError("label too long"), "looking up 'a.test' failed: UnicodeError: label too"),
        (ZeroDivisionError("oops"), "looking up 'a.test' failed: ZeroDivisionError: oops"),
        (gevent.GreenletExit(), "looking up 'a.test' failed: GreenletExit"),
    ],
)
def test_failures_are_shared_and_not_kept(answer: Any, message: str) -> None:
    resolver = Scripted(answer)
    resolver.open.clear()
    cache = DNSCache(resolver)
    asking = [gevent.spawn(catch, cache) for _ in range(3)]
    gevent.idle()
    resolver.open.set()
    gevent.joinall(asking, timeout=LIMIT, raise_error=True)
    assert len(resolver.asked) == 1
    errors = [each.value for each in asking]
    assert len({id(error) for error in errors}) == 3
    for error in errors:
        assert type(error) is socket.gaierror
        assert message in str(error)
    resolver.answer = None
    if message == "no such name":
        cache.clear()
    assert cache.resolve("a.test", 80, LIMIT) == [ONE]


@pytest.mark.parametrize("code", [socket.EAI_NONAME, socket.EAI_NODATA])
def test_what_does_not_exist_is_remembered_for_a_short_while(
    code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(lookups, "clock", lambda: now)
    resolver = Scripted(socket.gaierror(code, "no such name"))
    cache = DNSCache(resolver)
    for _ in range(3):
        assert isinstance(catch(cache), socket.gaierror)
    assert len(resolver.asked) == 1
    now += lookups.REMEMBERED + 1
    resolver.answer = None
    assert cache.resolve("a.test", 80, LIMIT) == [ONE]


def test_blocking_code_remembers_what_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look_up(host: str, *rest: Any) -> Any:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    network = StdlibNetwork()
    for timeout in (None, LIMIT, None):
        with pytest.raises(socket.gaierror):
            network.resolve("a.test", 80, timeout)
    assert asked == ["a.test"]


@pytest.mark.parametrize("same", [True, False])
def test_given_up_look_ups_of_blocking_code_keep_few_threads(
    same: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = threading.Event()
    begun: list[str] = []

    def look_up(host: str, *rest: Any) -> Any:
        begun.append(host)
        opened.wait(LIMIT)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    network = StdlibNetwork()
    try:
        for number in range(100):
            with pytest.raises(TimeoutError):
                network.resolve("same" if same else f"host-{number}", 80, 0.001)
        assert len(begun) <= (1 if same else 32)
    finally:
        opened.set()
    assert network.resolve("good", 80, LIMIT) == [Address(socket.AF_INET, ("127.0.0.1", 80))]


def catch(cache: DNSCache) -> BaseException | None:
    try:
        cache.resolve("a.test", 80, LIMIT)
    except BaseException as error:
        return error
    return None


# -- which resolver


@pytest.fixture
def default() -> Iterator[None]:
    yield
    set_resolver(None)


@pytest.mark.usefixtures("default")
def test_set_resolver() -> None:
    network, own = GeventNetwork(), Scripted(["192.0.2.7"])
    with_own = GeventNetwork(resolver=own)
    first, second = Scripted(), Scripted(["192.0.2.2"])
    assert isinstance(get_resolver(), SystemResolver)
    set_resolver(first)
    assert get_resolver() is first
    assert network.resolve("a.test", 80, LIMIT) == [ONE]
    set_resolver(second)  # and what the first one answered is forgotten
    assert network.resolve("a.test", 80, LIMIT)[0].sockaddr == ("192.0.2.2", 80)
    assert with_own.resolve("a.test", 80, LIMIT)[0].sockaddr == ("192.0.2.7", 80)
    set_resolver(None)
    assert isinstance(get_resolver(), SystemResolver)


@pytest.mark.parametrize("resolver", [lambda host, port: [], "8.8.8.8", object()])
def test_what_is_no_resolver(resolver: Any) -> None:
    for use in (set_resolver, DNSCache, GeventNetwork):
        with pytest.raises(TypeError, match=r"resolver is .*resolve\(host, port\)"):
            use(resolver)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_numbers_are_not_looked_up(host: str) -> None:
    resolver = Scripted()
    addresses = GeventNetwork(resolver).resolve(host, 80, LIMIT)
    assert addresses[0].sockaddr[:2] == (host, 80)
    assert resolver.asked == []


# -- the system's


def test_the_system_resolver() -> None:
    addresses = GeventNetwork().resolve("localhost", 80, LIMIT)
    assert {address.sockaddr[:2] for address in addresses} <= {("127.0.0.1", 80), ("::1", 80)}
    assert addresses


def test_a_name_that_cannot_be() -> None:
    with pytest.raises(socket.gaierror):
        GeventNetwork().resolve("a" * 70 + ".test", 80, LIMIT)


def test_slow_names_in_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    opened, count = threading.Event(), threading.Semaphore(0)

    def getaddrinfo(host: str, port: int, *rest: Any) -> list[Any]:
        if host != "fast":
            count.release()
            assert opened.wait(LIMIT)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    network = GeventNetwork()
    slow = [gevent.spawn(network.resolve, f"slow{n}", 80, LIMIT) for n in range(40)]
    for _ in slow:  # all of them at a time
        until(lambda: count.acquire(blocking=False))
    assert network.resolve("fast", 80, LIMIT) == [ONE]
    with pytest.raises(TimeoutError):
        network.resolve("slow0", 80, 0.01)
    opened.set()
    gevent.joinall(slow, timeout=LIMIT, raise_error=True)
    assert [each.value for each in slow] == [[ONE]] * 40


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> lookups.LookUpThreads:
    """Give threads that coverage sees into."""
    made: Any = lookups.LookUpThreads(3)
    made.start = lambda work, arguments: threading.Thread(target=work, args=arguments).start()
    monkeypatch.setattr(dns, "_threads", lambda: made)
    found: lookups.LookUpThreads = made
    return found


def test_more_look_ups_than_threads(threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups.LookUpThreads, "IDLE", 0.01)
    lock = threading.Lock()
    two = threading.Barrier(2, timeout=LIMIT)
    peak = running = 0

    def work(number: int) -> int:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        two.wait()
        with lock:
            running -= 1
        return number

    jobs = [gevent.spawn(dns._call, work, n) for n in range(20)]
    gevent.joinall(jobs, timeout=LIMIT, raise_error=True)
    assert [job.value for job in jobs] == list(range(20))
    assert 1 < peak <= 3


def test_idle_threads_end(threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups.LookUpThreads, "IDLE", 0.01)
    for _ in range(3):
        assert dns._call(len, "four") == 4
        until(lambda: threads._count == 0)
        assert threads._idle == []


def test_an_error_in_a_thread(threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups.LookUpThreads, "IDLE", 0.01)
    with pytest.raises(ValueError, match="invalid literal"):
        dns._call(int, "four")


def test_an_answer_for_a_hub_that_is_gone() -> None:
    class Gone:
        loop = None

    job = dns._Job(len, ("four",), Gone())
    job.run()
    assert job.value == 4


def test_no_thread_to_be_had(threads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups.LookUpThreads, "IDLE", 0.5)
    real = threads.start

    def refuse(*arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    threads.start = refuse
    with pytest.raises(RuntimeError, match="can't start new thread"):
        dns._call(len, "four")
    threads.start = real
    assert dns._call(len, "four") == 4
    threads.start = refuse  # the one that is there does it
    assert dns._call(len, "four") == 4


def test_each_thread_has_its_own_answers() -> None:
    asked: list[str] = []

    class Counting:
        def resolve(self, host: str, port: int) -> list[Address]:
            asked.append(host)
            return [ONE]

    cache = DNSCache(Counting())
    for _ in range(2):
        assert cache.resolve("a.test", 80, LIMIT) == [ONE]
    assert len(asked) == 1
    thread = threading.Thread(target=cache.resolve, args=("a.test", 80, LIMIT))
    thread.start()
    thread.join(LIMIT)
    assert len(asked) == 2
    assert cache.resolve("a.test", 80, LIMIT) == [ONE]
    assert len(asked) == 2


def test_what_gevent_is_told_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    class Spy:
        def getaddrinfo(self, *arguments: Any) -> list[Any]:
            assert arguments == ("a.test", 80, 0, socket.SOCK_STREAM)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]

    monkeypatch.setattr(gevent.get_hub(), "resolver", Spy())
    assert GeventNetwork().resolve("a.test", 80, LIMIT) == [ONE]


# -- in processes of their own

SLOW = """
import sys, time, socket, threading
import gevent, gevent.monkey
{patch}
sleep = gevent.monkey.get_original("time", "sleep")
from reqkit_async.network import GeventNetwork
real = socket.getaddrinfo
def getaddrinfo(host, *rest):
    if host.startswith("slow"):
        sleep(600)  # longer than any of this may take
    return real(host, *rest)
socket.getaddrinfo = getaddrinfo
network = GeventNetwork()
def look_up():
    began = time.monotonic()
    try:
        network.resolve("slow.test", 80, 0.2)
    except TimeoutError:
        pass
    assert time.monotonic() - began < 60
    assert network.resolve("localhost", 80, 10)
"""

ENDINGS = {
    "the main thread": "look_up()",
    "another thread": """
thread = threading.Thread(target=look_up)
thread.start()
thread.join()
""",
    "a destroyed hub": """
def run():
    look_up()
    gevent.get_hub().destroy(destroy_loop=True)
thread = threading.Thread(target=run)
thread.start()
thread.join()
""",
    "a fork": """
import os
look_up()
pid = os.fork()
if not pid:
    try:
        look_up()
        os._exit(0)
    finally:
        os._exit(1)
assert os.waitpid(pid, 0)[1] == 0
""",
}


@pytest.mark.parametrize(
    ("ending", "patched", "loop"),
    [
        (ending, patched, loop)
        for ending in ENDINGS
        for patched in (False, True)
        for loop in ("libev-cext", "libuv")
        # Where threads are patched they share a hub; gevent's libuv loop is destroyed only once
        # everything that waits in it has ended, and in a forked process it spins for ever, once in
        # hundreds of times, where the parent's threads had work for it.
        if ending not in ("a destroyed hub", "a fork")
        or (loop == "libev-cext" and not (patched and ending == "a destroyed hub"))
    ],
)
def test_a_look_up_that_hangs_does_not_hold_up_the_end(
    ending: str, patched: bool, loop: str
) -> None:
    script = SLOW.format(patch="gevent.monkey.patch_all()" if patched else "") + ENDINGS[ending]
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "GEVENT_LOOP": loop},
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("resolver", ["thread", "ares", "block"])
def test_what_gevent_is_told_to_use_in_a_process(resolver: str) -> None:
    script = """
import gevent, os
from gevent.hub import get_hub
from reqkit_async.network import GeventNetwork
assert GeventNetwork().resolve("localhost", 80, 10)[0].sockaddr[1] == 80
asked = []
class Spy:
    def getaddrinfo(self, *arguments):
        asked.append(arguments)
        return [(2, 1, 6, "", ("192.0.2.1", 80))]
get_hub().resolver = Spy()
assert GeventNetwork().resolve("a.test", 80, 10)[0].sockaddr == ("192.0.2.1", 80)
assert asked == [("a.test", 80, 0, 1)]
"""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ, "GEVENT_RESOLVER": resolver},
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.usefixtures("default")
def test_an_interrupt_in_a_resolver_ends_the_batch() -> None:
    resolver = Scripted(KeyboardInterrupt())
    set_resolver(resolver)
    with pytest.raises(KeyboardInterrupt):
        reqkit_async.map(["http://a.test/", "http://b.test/"])
    resolver.answer = socket.gaierror(socket.EAI_NONAME, "no such name")
    (entry,) = reqkit_async.map(["http://c.test/"])
    assert isinstance(entry.error, reqkit.ConnectionError)
