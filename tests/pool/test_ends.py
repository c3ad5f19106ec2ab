"""What nobody reads to its end: dropped in a circle, or there still when the interpreter ends.

Its connection is closed, and nothing is said about it: each in a process of its own, in which
every warning is an error, and what is said on stderr a failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from servers.messages import answer
from servers.scripted import Connection, ScriptedServer
from servers.tls import Authority

Start = Callable[..., ScriptedServer]

PATCH = "import gevent.monkey; gevent.monkey.patch_all()\n"
START = """
import gc, itertools, sys, threading
import reqkit, reqkit_async
gc.collect()
gc.disable()
URL, BUNDLE = sys.argv[1:]
def several(number):
    return [reqkit_async.get(URL, verify=BUNDLE) for _ in range(number)]
"""


def run(script: str, *arguments: str, **environment: str) -> tuple[str, int]:
    """Run a script; return what it complained of, and its exit status."""
    ended = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-W", "error", "-W", "ignore:Monkey-patching ssl",
         "-c", script, *arguments],
        capture_output=True, text=True, timeout=180, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    return ended.stderr, ended.returncode


def quick(connection: Connection) -> None:
    while connection.recv_request() is not None:
        connection.send(answer(200))


HALF_READ = {
    "imap": "found = reqkit_async.imap(several(5), size=3); next(found)",
    "endless": """
        requests = (reqkit_async.get(URL) for _ in itertools.count())
        found = reqkit_async.imap_unordered(requests, size=3)
        next(found)
    """,
    "one in another": """
        inner = reqkit_async.imap(several(5), size=2)
        found = reqkit_async.imap((reqkit_async.get(URL) for _ in inner), size=2)
        next(found)
    """,
    "in a circle": """
        class Owner: pass
        owner = Owner()
        owner.me = owner
        owner.found = reqkit_async.imap(several(5), size=3)
        next(owner.found)
    """,
    "unread answers": """
        found = reqkit_async.imap(several(5), size=3, stream=True)
        response = next(found)
    """,
    "dropped after greenlet's end": """
        held.append(reqkit_async.imap(several(5), size=3))
        next(held[0])
    """,
}


@pytest.mark.parametrize(
    ("what", "patched"), [*((what, False) for what in HALF_READ), ("imap", True)]
)
def test_half_read_when_the_interpreter_ends(what: str, patched: bool, scripted: Start) -> None:
    # What is registered first is called last.
    first = "import atexit\nheld = []\natexit.register(held.clear)\n" + PATCH * patched
    assert run(first + START + textwrap.dedent(HALF_READ[what]), scripted(quick)(), "") == ("", 0)


def test_a_bar_that_is_open_when_the_interpreter_ends(scripted: Start) -> None:
    body = """
        import io
        sys.stderr, seen = io.StringIO(), sys.stderr
        found = reqkit_async.imap(several(5), size=3, progress="always")
        next(found)
    """
    assert run(START + textwrap.dedent(body), scripted(quick)(), "") == ("", 0)


def unfinished(connection: Connection) -> None:
    connection.recv_request()
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
    connection.wait_closed()


ANSWER = """
response = {}
response.me = response
assert response.error is None
"""
UNREAD = {
    "core": ANSWER.format("reqkit.get(URL, stream=True, verify=BUNDLE)"),
    "batch": ANSWER.format("reqkit_async.map(several(1), stream=True)[0]"),
}
THEN = {
    "collected": "del response; gc.collect()",
    "left": "",
    "left in a circle": "del response",
    "read in part": "pieces = response.iter_content(2); next(pieces); response.pieces = pieces\n"
    "del response, pieces; gc.collect()",
    "collected in another thread": "del response; thread = threading.Thread(target=gc.collect)\n"
    "thread.start(); thread.join()",
}


@pytest.mark.parametrize("then", THEN)
@pytest.mark.parametrize(
    ("what", "loop"), [("core", ""), ("batch", "libev-cext"), ("batch", "libuv")]
)
def test_unread_answers(
    what: str, then: str, loop: str, scripted: Start, authority: Authority
) -> None:
    environment = {"GEVENT_LOOP": loop} if loop else {}
    server = scripted(unfinished, tls=authority.server())
    script = START + UNREAD[what] + THEN[then]
    assert run(script, server(), str(authority.bundle), **environment) == ("", 0)
    server.wait_for_no_connections()
