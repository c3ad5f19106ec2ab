"""Turns of the loop that long work gives way to."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from _socket import socket as PlainSocket
from collections.abc import Callable

import gevent
import pytest

from reqkit_async.network import GEVENT, streams
from reqkit_async.network.hubs import next_turn
from servers.messages import answer
from servers.scripted import PATIENCE, Connection, ScriptedServer
from servers.tls import Authority


def work_until(moment: float) -> None:
    while time.monotonic() < moment:
        pass


@pytest.mark.parametrize("give_way", [next_turn, GEVENT.pause])
def test_a_timer_whose_time_has_come_is_seen_within_two_turns(give_way: object) -> None:
    assert callable(give_way)
    fired: list[str] = []
    timer = gevent.get_hub().loop.timer(0.001)
    timer.start(fired.append, "timer", update=True)
    work_until(time.monotonic() + 0.002)
    give_way()
    give_way()
    timer.close()
    assert fired == ["timer"]


def test_others_that_are_always_ready_do_not_hold_it_up() -> None:
    turns = 0

    def busy() -> None:
        nonlocal turns
        while True:
            gevent.sleep(0)
            turns += 1

    others = [gevent.spawn(busy) for _ in range(3)]
    for _ in range(20):
        next_turn()
    gevent.killall(others)
    assert turns >= 20


def test_who_waits_for_a_turn_can_be_stopped() -> None:
    waiting = gevent.spawn(next_turn)
    gevent.sleep(0)
    waiting.kill()
    assert waiting.dead
    next_turn()


def test_time_in_which_nobody_could_call_does_not_count() -> None:
    waiter = GEVENT.waiter()
    found: list[bool] = []
    waiting = gevent.spawn(lambda: found.append(waiter.wait(0.05)))
    gevent.sleep(0)
    work_until(time.monotonic() + 0.1)  # longer than the wait's limit
    # Woken by the timer, it waits on: what kept the loop is over, and the call comes now.
    for _ in range(3):
        next_turn()
    waiter.call()
    waiting.join(PATIENCE)
    assert found == [True]


def test_but_for_the_moment_after_which_nothing_is_waited_for() -> None:
    waiter = GEVENT.waiter()
    ends = time.monotonic() + 0.05
    found: list[bool] = []
    waiting = gevent.spawn(lambda: found.append(waiter.wait(0.05, ends)))
    gevent.sleep(0)
    work_until(ends + 0.05)
    waiting.join(PATIENCE)
    assert found == [False]


def test_a_wait_in_a_loop_that_is_free_ends_with_its_limit() -> None:
    began = time.monotonic()
    found: list[bool] = []
    gevent.spawn(lambda: found.append(GEVENT.waiter().wait(0.02))).join(PATIENCE)
    assert found == [False]
    assert time.monotonic() - began >= 0.02


#: Threads of gevent's pool destroy their hubs before they end.
ENDED = """
import gc, os, sys
{patch}
import gevent, reqkit, reqkit_async
from gevent.threadpool import ThreadPool

url, secure, bundle = sys.argv[1:]
kept = []

def batch():
    assert all(one.ok for one in reqkit_async.map([url, secure] * 3, session=session()))

def lazy():
    kept.append(session().get(url, stream=True))
    kept.append(session().get(secure, stream=True))

def blocking():
    kept.append(session())
    assert kept[-1].get(url).text and kept[-1].get(secure).text

def loop():
    kept.append(reqkit_async.imap([url, secure] * 20, session=session()))
    next(kept[-1])

def session():
    return reqkit.Session(verify=bundle)

def run():
    pool = ThreadPool(2)
    for each in (batch, lazy, blocking, loop):
        pool.apply(each)
    pool.kill()
    gevent.sleep(0.05)
    kept.clear()
    gc.collect()

run()
gevent.sleep(0.05)
before = os.listdir("/proc/self/fd")
for _ in range(3):
    run()
left = lambda: len(os.listdir("/proc/self/fd")) - len(before)
with gevent.Timeout(30):
    while left() > 0:
        gevent.sleep(0.01)
print("done")
"""


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
def test_threads_of_gevents_pool_end_in_silence_and_leave_nothing_open(
    scripted: Callable[..., ScriptedServer], authority: Authority, patch: str
) -> None:
    def large(connection: Connection) -> None:
        while connection.recv_request() is not None:
            connection.send(answer(200, b"x" * 300_000))

    servers = [scripted(large), scripted(large, tls=authority.server())]
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", ENDED.format(patch=patch),
         *(server() for server in servers), str(authority.bundle)],
        capture_output=True,
        text=True,
        timeout=180,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("done\n", "")


@pytest.mark.parametrize("ends", ["thread", "close"])
def test_a_stream_whose_greenlet_gives_way_is_in_use(
    ends: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A greenlet that never goes on, since its thread has ended meanwhile, keeps none open."""
    monkeypatch.setattr(streams, "next_turn", lambda: gevent.get_hub().switch())
    ours, theirs = socket.socketpair()
    theirs.settimeout(PATIENCE)
    kept: list[object] = []

    def read() -> None:
        stream = streams.GeventStream(PlainSocket(fileno=ours.detach()))
        reader = gevent.spawn(stream.receive, 1, None)  # which has not had its turn for long
        kept.extend((stream, reader))
        gevent.sleep(0)
        if ends == "close":
            stream.close()
            with pytest.raises(OSError, match="closed by another greenlet"):
                reader.get()
            kept.append("told")

    thread = threading.Thread(target=read)
    thread.start()
    assert theirs.recv(1) == b""
    thread.join()
    assert len(kept) == (3 if ends == "close" else 2)
    theirs.close()


NO_DESCRIPTORS = """
import os, resource, threading
import reqkit_async
from reqkit_async.network.hubs import current_hub

def begin():
    try:
        current_hub()
    except OSError as error:
        print(error)
    else:
        print("made")

def in_a_thread():
    thread = threading.Thread(target=begin)
    thread.start()
    thread.join()

limits = resource.getrlimit(resource.RLIMIT_NOFILE)
kept = [os.open(os.devnull, os.O_RDONLY)]
resource.setrlimit(resource.RLIMIT_NOFILE, (kept[0] + 1, limits[1]))
in_a_thread()
resource.setrlimit(resource.RLIMIT_NOFILE, limits)
in_a_thread()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits descriptors")
def test_a_thread_without_descriptors_for_a_loop_says_so() -> None:
    """libev would ask for them for ever."""
    ended = subprocess.run(
        [sys.executable, "-c", NO_DESCRIPTORS], capture_output=True, text=True, timeout=60
    )
    assert ended.stderr == ""
    refused, made = ended.stdout.splitlines()
    assert "a thread's first batch takes 4 file descriptors" in refused
    assert made == "made"
