"""What ``import reqkit`` brings with it, and what waits until it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

import reqkit
from reqkit.base.deferred import DeferredModule
from reqkit.message.urls.sites import UnusableSite, site_of


def printed(code: str) -> str:
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.stderr == ""
    return ended.stdout.strip()


#: Large, and needed by few programs.
SELDOM = ("urllib3", "http.cookiejar", "http.client", "email", "certifi", "inspect", "difflib")


def test_what_is_seldom_needed_is_not_imported_with_reqkit() -> None:
    loaded = f"import sys, reqkit\nprint([name for name in {SELDOM} if name in sys.modules])"
    assert printed(loaded) == "[]"


def test_it_is_there_when_it_is_asked_for() -> None:
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
