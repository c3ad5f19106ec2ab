"""Few descriptors and many hosts: idle connections give way, and no batch ends for want of one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from servers.processes import start_on_free_port

# Of what the system allows.
pytestmark = pytest.mark.once

SERVER = Path(__file__).parents[1] / "servers" / "fast_main.py"

#: Each name is looked up with files open, as the system's look-ups have.
PROLOGUE = """
import collections, os, resource, socket, sys, time
import reqkit, reqkit_async

PORT, LIMIT = int(sys.argv[1]), int(sys.argv[2])

def look_up(host, port, *rest):
    try:
        with open(os.devnull), open(os.devnull):
            time.sleep(0.002)
    except OSError:
        raise socket.gaierror(socket.EAI_AGAIN, "no file") from None
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", PORT))]

socket.getaddrinfo = look_up
resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT))

def urls(count):
    return [f"http://host-{number}.test:{PORT}/" for number in range(count)]

def endings(found):
    return dict(collections.Counter(str(one.error or one.status_code) for one in found))
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    program, port = start_on_free_port(
        lambda port, folder: [sys.executable, SERVER, str(port), "20"],
        tmp_path_factory.mktemp("fast"),
    )
    with program:
        yield port


def run(port: int, limit: int, code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(code), str(port), str(limit)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("limit", "size", "hosts"),
    [
        (64, None, 200),
        (64, 100, 200),
        (128, 40, 250),
        (256, None, 400),
        (256, 150, 400),
        (1024, 600, 1500),
    ],
)
def test_a_batch_over_many_hosts(port: int, limit: int, size: Any, hosts: int) -> None:
    output = run(
        port,
        limit,
        f"""
        print(endings(reqkit_async.map(map(reqkit_async.get, urls({hosts})), size={size})))
        """,
    )
    assert output == str({"200": hosts})


def test_several_pools_and_sessions_at_once(port: int) -> None:
    output = run(
        port,
        96,
        """
        import gevent
        def batch(number):
            session = reqkit.Session()
            mine = [url.replace("host", f"of-{number}") for url in urls(60)]
            return reqkit_async.map(
                [reqkit_async.get(url, session=session) for url in mine], size=30
            )
        batches = [gevent.spawn(batch, number) for number in range(4)]
        print(endings(entry for one in batches for entry in one.get()))
        """,
    )
    assert output == str({"200": 240})


@pytest.mark.parametrize("threads", [1, 8])
def test_blocking_sessions_over_many_hosts(port: int, threads: int) -> None:
    output = run(
        port,
        64,
        f"""
        from concurrent.futures import ThreadPoolExecutor
        session = reqkit.Session()
        with ThreadPoolExecutor({threads}) as pool:
            print(endings(pool.map(session.get, urls(200))))
        """,
    )
    assert output == str({"200": 200})


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_no_descriptor_left_is_named_as_that(port: int, scheme: str) -> None:
    output = run(
        port,
        64,
        f"""
        # What is imported late is imported now; and no connection is left that could give way.
        once = {{"config": {{"keep_alive": False}}}}
        reqkit_async.map([reqkit_async.get(urls(1)[0], **once)])
        reqkit.get(urls(1)[0], **once).close()
        taken = []
        try:
            while True:
                taken.append(open(os.devnull))
        except OSError:
            pass
        url = urls(2)[1].replace("http:", "{scheme}:")
        def failure(send):
            try:
                send()
            except reqkit.RequestException as error:
                return type(error).__name__, "too many open files" in str(error)
        print(failure(lambda: reqkit.get(url, timeout=0.1)))
        del taken[-3:]
        hold = []
        def send():
            entry, = reqkit_async.map([reqkit_async.get(url, timeout=0.1)])
            raise entry.error
        import gevent
        gevent.get_hub()
        while len(os.listdir("/proc/self/fd")) <= 64 - 1:
            hold.append(open(os.devnull))
        print(failure(send))
        """,
    )
    assert output.splitlines() == ["('ConnectionError', True)"] * 2


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_as_many_at_once_as_asked_for_where_there_is_room(port: int) -> None:
    output = run(
        port,
        1024,
        """
        print([reqkit_async.Pool(size)._workers.most for size in (None, 10, 300)])
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 1024))
        print(reqkit_async.Pool(100)._workers.most < 50, reqkit_async.Pool(10)._workers.most)
        """,
    )
    assert output.splitlines() == ["[100, 10, 300]", "True 10"]


#: Files that are opened on the way, where all descriptors are taken.
FILES = """
import pathlib, tempfile

folder = pathlib.Path(tempfile.mkdtemp())
(folder / "sent").write_bytes(b"x")

def upload(session):
    return session.post(urls(1)[0], files={"f": folder / "sent"}).ok

def download(session):
    return session.get(urls(1)[0]).download(folder / "file").name

def crawl(session):
    with reqkit_async.Crawl(folder / "store.crawl"):
        return True

def with_none_left(what, kept, free):
    with reqkit.Session() as session:
        for number in range(kept):
            session.get(f"http://host-{number}.test:{PORT}/").content
        taken = []
        try:
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            pass
        for _ in range(free):
            os.close(taken.pop())
        try:
            return what(session)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        finally:
            for number in taken:
                os.close(number)

with reqkit.Session() as first:
    first.get(urls(1)[0]).content
"""


def test_files_are_opened_where_idle_connections_can_give_way(port: int) -> None:
    code = FILES + ("print([with_none_left(what, 12, 3) for what in (upload, download, crawl)])\n")
    assert run(port, 64, code) == "[True, 'file', True]"


def test_a_file_that_cannot_be_opened_is_named_as_that(port: int) -> None:
    """A netrc is not taken for none, and a store not for a full disk."""
    code = FILES + (
        "from reqkit.base import file_descriptors\n"
        "file_descriptors._PATIENCE = 0.05\n"
        "os.environ['NETRC'] = str(folder / 'sent')\n"
        "print(with_none_left(lambda session: session.get(urls(1)[0]), 0, 0))\n"
        "del os.environ['NETRC']\n"
        "print(with_none_left(crawl, 0, 0))\n"
        "print(with_none_left(crawl, 0, 2))\n"
        "print(with_none_left(upload, 0, 0))\n"
    )
    told = run(port, 64, code).splitlines()
    assert len(told) == 4
    assert told[0].startswith("RequestException: http://host-0.test")
    assert all("oo many open files" in line for line in told)
    assert not any("disk" in line or "written to" in line for line in told)


@pytest.mark.parametrize("size", [None, 40])
def test_downloads_take_no_more_than_there_are(port: int, size: int | None) -> None:
    code = f"""
    import pathlib, tempfile
    found = reqkit_async.download(urls(80), tempfile.mkdtemp(), size={size})
    print(sum(isinstance(one, pathlib.Path) for one in found))
    """
    assert run(port, 64, textwrap.dedent(code)) == "80"
