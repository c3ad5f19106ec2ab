"""What ``import reqkit`` brings with it, and what waits until it is asked for."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

import reqkit
from reqkit.base.deferred import DeferredModule
from reqkit.message.urls.sites import UnusableSite, site_of
from servers.messages import answer
from servers.scripted import Connection, ScriptedServer


def printed(code: str) -> str:
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr == ""
    return ended.stdout.strip()


#: Large, and needed by few programs.
SELDOM = ("urllib3", "http.cookiejar", "http.client", "email", "certifi", "inspect", "difflib")


def test_what_is_seldom_needed_is_not_imported_with_reqkit() -> None:
    loaded = f"import sys, reqkit\nprint([name for name in {SELDOM} if name in sys.modules])"
    assert printed(loaded) == "[]"


def test_a_deferred_module_is_there_when_it_is_asked_for() -> None:
    assert (
        printed(
            "import reqkit, sys\n"
            "from reqkit.adapters import Retry\n"
            "from reqkit.auth import HTTPDigestAuth\n"
            "from reqkit.cookies import *\n"
            "import urllib3\n"
            "print(Retry is urllib3.Retry, HTTPDigestAuth('u', 'p').username, CookieJar())\n"
            "print('CookieJar' in dir(reqkit.cookies), reqkit.cookies.CookieJar is CookieJar)"
        )
        == "True u <CookieJar[]>\nTrue True"
    )


@pytest.mark.parametrize("module", ["adapters", "auth", "cookies"])
def test_a_name_that_is_nowhere_is_an_attribute_error(module: str) -> None:
    with pytest.raises(AttributeError, match=rf"'reqkit.{module}' has no attribute 'nowhere'"):
        getattr(getattr(reqkit, module), "nowhere")  # noqa: B009


def test_a_deferred_module_asks_the_module_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import json

    deferred = DeferredModule("json")
    assert deferred.dumps is json.dumps
    monkeypatch.setattr(json, "dumps", len)
    assert deferred.dumps is len
    with pytest.raises(AttributeError, match="nowhere"):
        deferred.nowhere  # noqa: B018


def test_threads_that_ask_at_once_get_a_whole_module() -> None:
    assert (
        printed(
            "import threading\n"
            "from reqkit.base.deferred import DeferredModule\n"
            "urllib3 = DeferredModule('urllib3')\n"
            "start, found = threading.Barrier(8), []\n"
            "def ask():\n"
            "    start.wait()\n"
            "    found.append((urllib3.util.Retry(3).total, urllib3.HTTPHeaderDict.__name__))\n"
            "threads = [threading.Thread(target=ask) for _ in range(8)]\n"
            "for thread in threads: thread.start()\n"
            "for thread in threads: thread.join()\n"
            "print(set(found), len(found))"
        )
        == "{(3, 'HTTPHeaderDict')} 8"
    )


@pytest.mark.parametrize(
    "place",
    [
        "h", "H.Example", "a-b.c_d", "127.0.0.1", "127.1", "h:80", "h:0", "h:65535", "h:65536",
        "h:00080", "h:99999", "a..b", ".", "h.", "-h", "1.2.3.4:443", "h:", "h:x", "x" * 300,
    ],
)  # fmt: skip
def test_plain_sites_are_read_as_urllib3_reads_them(place: str) -> None:
    try:
        parsed = parse_url(f"http://{place}")
    except LocationParseError:
        with pytest.raises(UnusableSite):
            site_of(f"http://{place}")
        return
    try:
        site = site_of(f"http://{place}")
    except UnusableSite:
        return  # there are rules beyond urllib3's
    assert (site.host, site.port) == (parsed.host, 80 if parsed.port is None else parsed.port)


#: Everything that a request may need, asked for in a handler that interrupts each import of it.
INTERRUPTED = """
import os, signal, sys, tempfile, traceback
import reqkit
{first}
url = sys.argv[1]

def send():
    config = {{"max_retries": 1}}
    with reqkit.Session(proxies={{"http": url}}, config=config) as session:
        response = session.get("http://b\\u00fccher.example/", cookies={{"a": "b"}})
        assert response.text == "caf\\u00e9", response.text
        assert response.cookies["k"] == "v"
        assert session.get(url + "b", auth=reqkit.auth.HTTPDigestAuth("u", "p")).text == "text"
        assert session.get(url + "none").raise_for_status is not None
        with tempfile.TemporaryDirectory() as folder:
            session.get(url + "b").download(os.path.join(folder, "name"))
        try:
            session.get(url + "cut").content
        except reqkit.exceptions.RequestException:
            pass
        try:
            session.get(url, no_such_keyword=1)
        except TypeError:
            pass

def rings(*what):
    heard.append(True)
    send()

class Finder:
    def find_spec(self, name, path=None, target=None):
        names.append(name)
        if len(names) == moment:
            os.kill(os.getpid(), signal.SIGUSR1)
        return None

names, heard = [], []
signal.signal(signal.SIGUSR1, rings)
sys.meta_path.insert(0, Finder())
for moment in range(3, 70, 13):
    child = os.fork()
    if not child:
        try:
            send()
            while not heard and len(names) >= moment:
                pass
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, moment
print("done")
"""


@pytest.mark.parametrize(
    "first",
    [
        "",
        # A hub imports what it needs, of gevent's, when it is made.
        "import gevent, reqkit_async; gevent.get_hub()",
        "import gevent.monkey; gevent.monkey.patch_all(); gevent.get_hub()",
    ],
    ids=["plain", "beside gevent", "patched"],
)
def test_a_signals_handler_never_sees_a_module_that_is_half_there(
    scripted: Callable[..., ScriptedServer], first: str
) -> None:
    def handler(connection: Connection) -> None:
        while (request := connection.recv_request()) is not None:
            if request.target.endswith("/cut"):
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")
                return
            if request.target.endswith("/b"):
                connection.send(answer(200, b"text", [("Content-Type", "text/html")]))
                continue
            fields = [("Set-Cookie", "k=v"), ("Content-Type", "text/plain; charset=cp1250")]
            connection.send(answer(200, "caf\u00e9".encode("cp1250"), fields))

    server = scripted(handler)
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED.format(first=first), server()],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (ended.stdout, ended.stderr) == ("done\n", "")


def test_what_imports_late_says_what_is_wrong_in_the_main_thread_and_others() -> None:
    for where in ("ask()", "thread = threading.Thread(target=ask); thread.start(); thread.join()"):
        assert (
            printed(
                "import threading\n"
                "from reqkit.base.importing import import_late, load_late\n"
                "def ask():\n"
                "    try:\n"
                "        import_late('json', 'no_such_module')\n"
                "    except ImportError as error:\n"
                "        print(error)\n"
                "    try:\n"
                "        load_late(lambda: 1 / 0)\n"
                "    except ZeroDivisionError as error:\n"
                "        print(error)\n"
                f"{where}"
            )
            == "No module named 'no_such_module'\ndivision by zero"
        )


def test_a_module_that_sends_while_it_is_imported_waits_for_nobody(tmp_path: Path) -> None:
    """Another thread would wait for locks of the import that this one is in."""
    (tmp_path / "sends.py").write_text(
        "import reqkit.base.importing as importing\n"
        "importing._LONGEST = 1e9\n"
        "import_late = importing.import_late\n"
        "import_late('needs')\n"
        "done = True\n"
    )
    (tmp_path / "needs.py").write_text("import sends\n")
    assert printed(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\nimport sends, needs") == ""


def test_a_fork_waits_for_what_is_imported_just_then(tmp_path: Path) -> None:
    """The forked process would have half a module, and nobody who goes on with it."""
    (tmp_path / "slow_module.py").write_text(
        "import os, signal, time\n"
        "os.kill(os.getpid(), signal.SIGUSR1)\n"
        "while not os.path.exists('forks'): time.sleep(0.01)\n"
        "whole = True\n"
    )
    program = f"""
import os, signal, sys
os.chdir({str(tmp_path)!r})
sys.path.insert(0, ".")
from reqkit.base.importing import import_late

def forks(*what):
    global child
    open("forks", "w").close()
    child = os.fork()
    if not child:
        os._exit(not import_late("slow_module").whole)

signal.signal(signal.SIGUSR1, forks)
import_late("slow_module")
print(os.waitpid(child, 0)[1])
"""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, timeout=60
    )
    assert (ended.stdout, ended.stderr) == ("0\n", "")
