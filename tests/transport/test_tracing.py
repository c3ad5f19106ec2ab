"""What is told of an exchange: the logger ``reqkit``, ``config['trace']``, ``verbose=True``."""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
from collections.abc import Callable

import pytest
import urllib3

import reqkit
from reqkit import testing
from reqkit.base.redact import without_secret_parameters
from reqkit.timeouts import clock
from reqkit.transport import tracing
from servers.scripted import ScriptedServer

Send = Callable[..., reqkit.Response]
URL = "https://api.example/"


def test_a_line_for_each_exchange(echo: ScriptedServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "reqkit"), reqkit.Session() as session:
        for _ in range(2):
            session.get(echo("/a?b=c"), prefetch=True)
    first, second = [record.getMessage() for record in caplog.records]
    assert first.startswith(f"GET {echo('/a?b=c')} 200 in ")
    assert "ms, " in first
    assert " bytes, attempt 1, new connection, HTTP/1.1" in first
    assert " bytes, attempt 1, kept connection, HTTP/1.1" in second


def test_a_line_for_each_failure(send: Send, caplog: pytest.LogCaptureFixture) -> None:
    with testing.Router() as router, caplog.at_level(logging.DEBUG, "reqkit"):
        router.get(URL).fail(ConnectionResetError)
        with pytest.raises(reqkit.ConnectionError):
            send(URL)
    [record] = caplog.records
    assert "failed after" in record.getMessage()
    assert record.getMessage().endswith("attempt 1: ConnectionError")


@pytest.mark.parametrize("fails", [False, True])
def test_times_are_in_milliseconds(
    send: Send, fails: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracing, "clock", lambda: clock() + 2)
    with testing.Router() as router, caplog.at_level(logging.DEBUG, "reqkit"):
        route = router.get(URL)
        if fails:
            route.fail(ConnectionResetError)
            with pytest.raises(reqkit.ConnectionError):
                send(URL)
        else:
            route.answer(200)
            send(URL)
    found = re.search(r" (?:in|after) (\d+) ms", caplog.records[0].getMessage())
    assert found is not None
    assert 2000 <= int(found[1]) < 60_000


def test_redirects_are_told_of(send: Send, caplog: pytest.LogCaptureFixture) -> None:
    with testing.Router() as router, caplog.at_level(logging.INFO, "reqkit"):
        router.get(URL).answer(200)
        router.get("http://old.example/").answer(302, headers={"Location": URL})
        send("http://old.example/")
    [record] = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage() == f"GET http://old.example/ redirects (302) to {URL}"


def test_the_log_is_silent_unless_configured() -> None:
    code = (
        "import reqkit; from reqkit import testing\n"
        "with testing.Router() as router:\n"
        "    router.get().answer(302, headers={'Location': '/'}).answer(200)\n"
        "    reqkit.get('https://api.example/a')\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


SECRET_FIELDS = dict.fromkeys(
    ["X-Api-Key", "Auth", "X-Auth-Token", "X-CSRF-Token", "apikey", "X-Amz-Security-Token"],
    "hunter2",
)


def test_heads_as_they_went_over_the_wire(send: Send) -> None:
    stream = io.StringIO()
    with testing.Router() as router:
        router.get(URL).answer(
            404,
            "no",
            headers=[
                ("X-Session-Id", "hunter2"),
                ("Set-Cookie", "a=hunter2"),
                ("Set-Cookie", "b=hunter2"),
                ("X", "y"),
            ],
        )
        send(
            URL,
            params={"q": "1"},
            auth=("me", "hunter2"),
            headers={"X-Own": "z", "Cookie": "c=hunter2", **SECRET_FIELDS},
            config={"trace": stream},
        )
    sent, received = stream.getvalue().split("\n>\n")
    lines = sent.split("\n")
    assert lines[:2] == ["> GET /?q=1 HTTP/1.1", "> Host: api.example"]
    assert {"> X-Own: z", "> Authorization: ***", "> Cookie: ***"} <= set(lines)
    assert received.split("\n") == [
        "< HTTP/1.1 404 Not Found", "< X-Session-Id: ***", "< Set-Cookie: ***",
        "< Set-Cookie: ***", "< X: y",
        "< Content-Type: text/plain; charset=utf-8", "< Content-Length: 2", "<", "",
    ]  # fmt: skip
    assert "hunter2" not in stream.getvalue()


def test_standard_error(send: Send, capsys: pytest.CaptureFixture[str]) -> None:
    with testing.Router() as router:
        router.get(URL)
        send(URL, config={"verbose": True})
        assert capsys.readouterr().err.endswith(f"   GET   {URL}\n")
        send(URL, config={"trace": True})
        assert capsys.readouterr().err.startswith("> GET / HTTP/1.1\n")
        send(URL, config={"trace": False, "verbose": None})
    assert capsys.readouterr() == ("", "")


def test_parameters_that_are_secrets_are_not_shown(
    send: Send, caplog: pytest.LogCaptureFixture
) -> None:
    trace = io.StringIO()
    query = "page=1&access_token=s3cret&api-key=s3cret;sig=s3cret&Key=s3cret&monkey=7#token=s3cret"
    with testing.Router() as router, caplog.at_level(logging.DEBUG, "reqkit"):
        router.get("https://h.example/a").answer(302, headers={"Location": f"/b?{query}"})
        router.get("https://h.example/b").answer(503).answer(200)
        url = f"https://h.example/a?{query}"
        retry = urllib3.Retry(1, status_forcelist=[503])
        send(url, config={"trace": trace, "max_retries": retry}, headers={"Referer": url})
    shown = caplog.text + trace.getvalue()
    assert "s3cret" not in shown
    assert "page=1&access_token=***&api-key=***;sig=***&Key=***&monkey=7" in shown
    assert any("retry 1" in record.getMessage() for record in caplog.records)
    assert any("redirects" in record.getMessage() for record in caplog.records)


def test_a_long_query_is_looked_through_in_linear_time() -> None:
    for text in ("?" + "token" * 5_000, "?" + "a" * 50_000 + "=1", "?token" * 5_000):
        assert without_secret_parameters(text + "&x=1") == text + "&x=1"
