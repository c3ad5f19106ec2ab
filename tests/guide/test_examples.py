"""Each example in a process of its own, as a user would start it: what it says, and how it ends."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from servers.messages import answer
from servers.scripted import PATIENCE, Connection, ScriptedServer
from servers.wsgi import WSGIServer

# Whole programs: what they stand on is tested on each Python.
pytestmark = pytest.mark.once

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *arguments: object, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(
        command, input=given, capture_output=True, text=True, timeout=300, encoding="utf-8"
    )


def test_batch_fetch_fetches_2000_pages() -> None:
    done = run("batch_fetch.py")

    assert done.returncode == 0, done.stderr
    assert re.search(r"^2,000 pages, [\d,]+ bytes in [\d.]+ s$", done.stdout, re.M)
    assert re.search(r"^requests a second +[\d,]+$", done.stdout, re.M)
    assert re.search(r"^status 200 +2,000$", done.stdout, re.M)
    assert re.search(r"^latency +p50 [\d.]+ ms  p90 [\d.]+ ms  p99 [\d.]+ ms$", done.stdout, re.M)
    used = re.search(r"^connections used +(\d+)$", done.stdout, re.M)
    assert used is not None
    assert 1 <= int(used[1]) <= 50
    assert done.stderr.endswith("2,000 of 2,000 pages\n")


def test_batch_on_dask_fetches_2000_pages_by_two_workers() -> None:
    pytest.importorskip("distributed")
    done = run("batch_on_dask.py")

    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^2,000 pages, [\d,]+ bytes and [\d,]+ words, by 2 workers$", done.stdout, re.M
    )
    assert re.search(r"^200 +2,000$", done.stdout, re.M)


def test_batch_fetch_takes_urls_and_lists_failures(httpbin: WSGIServer) -> None:
    refused = "http://ann:secret@127.0.0.1:1/"
    done = run("batch_fetch.py", httpbin("/get"), httpbin("/status/404"), refused, "nowhere")

    assert done.returncode == 1
    assert re.search(r"^status 404 +1$", done.stdout, re.M)
    assert re.search(r"^  ConnectionError: 1$", done.stdout, re.M)
    assert re.search(r"^  MissingSchema: 1$", done.stdout, re.M)
    assert "secret" not in done.stdout + done.stderr


def test_batch_fetch_reads_urls_from_a_file(httpbin: WSGIServer, tmp_path: Path) -> None:
    lines = f"# pages\n{httpbin('/get?a')}\n\n{httpbin('/get?b')}\n"
    (tmp_path / "urls.txt").write_text(lines)

    from_file = run("batch_fetch.py", "--from", tmp_path / "urls.txt", "--size", 2)
    from_input = run("batch_fetch.py", "--from", "-", given=lines)

    for done in (from_file, from_input):
        assert done.returncode == 0, done.stderr
        assert re.search(r"^status 200 +2$", done.stdout, re.M)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--size", "0"], "--size is 0"),
        (["--timeout", "-1"], "--timeout is -1"),
        (["--from", "/does/not/exist"], "/does/not/exist"),
        (["--from", "-"], "no URL"),
        (["--from", "-", "http://127.0.0.1/"], "not both"),
    ],
)
def test_batch_fetch_refuses_wrong_arguments(arguments: list[str], text: str) -> None:
    done = run("batch_fetch.py", *arguments)

    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def wait_until_asleep(pid: int) -> None:
    """Wait until a process waits for something, where the system tells."""
    status = Path(f"/proc/{pid}/stat")
    ends = time.monotonic() + PATIENCE
    while status.exists() and status.read_text().rpartition(")")[2].split()[0] != "S":
        assert time.monotonic() < ends, "it does not come to rest"
        time.sleep(0.005)


def test_batch_fetch_stops_when_it_is_interrupted() -> None:
    def hang(connection: Connection) -> None:
        connection.recv_request()
        connection.wait_closed()

    with ScriptedServer(hang) as server:
        command = [sys.executable, str(EXAMPLES / "batch_fetch.py"), server()]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            server.wait_for_requests(1)
            wait_until_asleep(process.pid)  # in the middle of its own steps gevent shows where
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=PATIENCE)
        server.wait_for_no_connections()

    assert process.returncode == 130
    assert "Traceback" not in errors


def figure(done: subprocess.CompletedProcess[str], name: str) -> int:
    found = re.search(rf"^{name} +(\d+)$", done.stdout, re.M)
    assert found is not None, done.stdout + done.stderr
    return int(found[1])


def test_crawl_finds_every_page_once() -> None:
    done = run("crawl.py")

    assert done.returncode == 0, done.stderr
    # 1 + 3 + 9 + 27 pages, and a link that leads nowhere.
    assert (figure(done, "done"), figure(done, "failed"), figure(done, "items")) == (40, 1, 41)
    assert re.search(r"/missing: 404$", done.stdout, re.M)
    assert figure(done, "kept out: scope") == 40


def test_crawl_goes_no_deeper_than_told() -> None:
    done = run("crawl.py", "--depth", 1)

    assert done.returncode == 0, done.stderr
    assert figure(done, "known") == 4


def test_crawl_goes_on_where_it_was(tmp_path: Path) -> None:
    items = tmp_path / "items.jsonl"
    arguments = ("--store", tmp_path / "site.crawl", "--export", items)
    with WSGIServer(_two_pages) as server:
        first = run("crawl.py", server("/"), *arguments)
        again = run("crawl.py", server("/"), *arguments)

    assert first.returncode == again.returncode == 0, first.stderr + again.stderr
    assert figure(first, "done") == figure(again, "done") == 2
    assert again.stdout.endswith(f"2 items in {items}\n")
    assert len(items.read_text().splitlines()) == 2


def _two_pages(environ: Any, start_response: Any) -> list[bytes]:
    status = "404 None" if environ["PATH_INFO"] == "/robots.txt" else "200 OK"
    start_response(status, [("Content-Type", "text/html")])
    return [b"<title>Tea</title><a href='/more'>more</a>"]


def test_crawl_says_when_the_first_page_is_bad(tmp_path: Path) -> None:
    done = run("crawl.py", "http://127.0.0.1:1/", "--store", tmp_path / "site.crawl")

    assert done.returncode == 1
    assert "robots.txt of its host could not be had" in done.stdout


def test_stream_lines_follows_all_streams() -> None:
    done = run("stream_lines.py")

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("600 lines of 20 streams\n")
    assert "grüße" in done.stdout
    # Together, not one after the other: all have begun before one is in its last third.
    numbers = [line.split()[1] for line in done.stdout.splitlines()[:-1]]
    assert max(at for at, number in enumerate(numbers) if number == "0") < numbers.index("20")


def test_stream_lines_leaves_early() -> None:
    done = run("stream_lines.py", "--lines", 5)

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("100 lines of 20 streams\n")


def test_stream_lines_fails_where_a_stream_cannot_be_followed() -> None:
    done = run("stream_lines.py", "http://127.0.0.1:1/")

    assert done.returncode == 1
    assert "refused the connection" in done.stderr


def test_download_files_takes_up_what_broke_off(tmp_path: Path) -> None:
    done = run("download_files.py", "--to", tmp_path / "files")

    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("12 of 12 files, 12,000,000 bytes\n")
    assert re.search(r"^broken-1\.bin: 1,000,000 bytes, attempt 2$", done.stdout, re.M)
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "files").iterdir()}
    assert len(sizes) == 12
    assert set(sizes.values()) == {1_000_000}


def test_download_files_does_not_ask_again_for_what_is_not_there(tmp_path: Path) -> None:
    with ScriptedServer.answers([answer(404)]) as server:
        done = run("download_files.py", server("/gone.bin"), "--to", tmp_path)

    assert done.returncode == 1
    assert "404" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_post_many_posts_all_and_tries_again() -> None:
    done = run("post_many.py")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("200 of 200 items posted\n")
    assert re.search(r"^retries +11$", done.stdout, re.M)  # ten times busy, one "slower, please"


def test_post_many_says_when_the_token_is_wrong() -> None:
    done = run("post_many.py", "--token", "guess", "--items", 5)

    assert done.returncode == 1
    assert "0 of 5 items posted" in done.stdout
    assert "a token is wanted" in done.stdout
    assert "guess" not in done.stdout + done.stderr
