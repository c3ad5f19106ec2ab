"""What ``reqkit fetch`` does, as a process."""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reqkit_async.command import main
from servers.messages import Received, answer
from servers.scripted import Connection, ScriptedServer

from .conftest import PATIENCE, Command, Refused, Site, read_records


def urls_of(site: Site, *paths: str) -> str:
    return "".join(f"{site(path)}\n" for path in paths)


def test_urls(reqkit_command: Command, site: Site) -> None:
    ended = reqkit_command.run("fetch", site("/a"), site("/b"))
    first, second = ended.records
    assert first["input"] == {"url": site("/a")}
    assert (first["number"], first["url"], first["status"]) == (1, site("/a"), 200)
    assert (first["ok"], first["error"], first["bytes"]) == (True, None, 2)
    assert (first["type"], first["attempts"]) == ("text/plain", 1)
    assert first["seconds"] == pytest.approx(
        sum(first["times"].values()) - first["times"]["receive"], abs=1e-5
    )
    assert first["ended"].endswith("Z")
    assert second["url"] == site("/b")
    assert "2 done: 2 good, 0 failed" in ended.err


def test_a_failure_is_status_1(reqkit_command: Command, site: Site, closed_port: int) -> None:
    nobody = f"http://127.0.0.1:{closed_port}/"
    ended = reqkit_command.run(
        "fetch", site("/"), site("/status/404"), nobody, "nonsense", status=1
    )
    good, missing, refused, no_url = ended.records
    assert good["ok"]
    assert (missing["status"], missing["ok"], missing["error"]) == (404, False, None)
    assert refused["error"]["type"] == "ConnectionError"
    assert (refused["status"], refused["seconds"]) == (None, None)
    assert no_url["error"]["type"] == "MissingSchema"
    assert "4 done: 1 good, 3 failed" in ended.err


def test_all_records_have_the_same_fields(
    reqkit_command: Command, site: Site, closed_port: int
) -> None:
    """The quick way of plain answers and the others say the same things, in the same order."""
    site.answers["/moved"] = answer(302, b"", [("Location", "/there")])
    ended = reqkit_command.run(
        "fetch", site("/a"), site("/a"), site("/moved"), site("/status/500"),
        f"http://127.0.0.1:{closed_port}/", "", "--size", "1", status=1,
    )  # fmt: skip
    assert len({tuple(record) for record in ended.records}) == 1
    assert ended.records[2]["url"] == site("/there")


def test_csv_columns_come_out_again(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    with (tmp_path / "in.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "name", "link"])
        writer.writerow([7, 'a "b", ü\nc', site("/seven")])
        writer.writerow([8, "", ""])
    ended = reqkit_command.run("fetch", "--from", "in.csv", "--column", "link", status=1)
    first, second = ended.records
    assert first["input"] == {"id": "7", "name": 'a "b", ü\nc', "link": site("/seven")}
    assert second["error"] == {"type": "InputError", "message": "line 4 has nothing in 'link'"}
    assert site.paths == ["/seven"]


def test_jsonl_in_and_out(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    lines = [{"url": site("/1"), "tags": ["x", {"y": None}], "half": "\ud83d"}, {"url": 4}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    ended = reqkit_command.run("fetch", "--from", "in.jsonl", "--jsonl", "out.jsonl", status=1)
    assert ended.out == ""
    records = read_records(tmp_path / "out.jsonl")
    assert [record["input"] for record in records] == lines


def test_standard_input_is_a_stream(reqkit_command: Command, site: Site) -> None:
    """Each line is fetched as it comes, while what comes next is not there yet."""
    process = reqkit_command.start("fetch", "--from", "-", "-q", stdin=-1)
    assert process.stdin is not None
    assert process.stdout is not None
    for number in range(5):
        process.stdin.write(f"{site(f'/{number}')}\n".encode())
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["url"] == site(f"/{number}")
    process.stdin.close()
    assert process.wait(PATIENCE) == 0


def test_a_slow_input_holds_back_no_answer(reqkit_command: Command, site: Site) -> None:
    process = reqkit_command.start("fetch", "--from", "-", "-q", stdin=-1)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{site('/hang')}\n{site('/a')}\n".encode())
    process.stdin.flush()
    assert json.loads(process.stdout.readline())["url"] == site("/a")
    site.released.set()
    assert json.loads(process.stdout.readline())["url"] == site("/hang")
    process.stdin.close()
    assert process.wait(PATIENCE) == 0


def test_an_empty_input_is_all_good(reqkit_command: Command) -> None:
    assert reqkit_command.run("fetch", "--from", "-", text="# nothing\n\n").out == ""


def test_options_reach_the_server(reqkit_command: Command, echo: ScriptedServer) -> None:
    (reqkit_command.folder / "body").write_bytes(b"\x00body")
    reqkit_command.run(
        "fetch", echo("/"), "-H", "X-Team: tea: green", "-H", "X-Two:2",
        "--data", "@body", "--timeout", "5", "--total", "10",
    )  # fmt: skip
    [request] = echo.requests
    assert (request.method, request.body) == ("POST", b"\x00body")
    assert request.get("X-Team") == "tea: green"
    assert request.get("X-Two") == "2"
    reqkit_command.run("fetch", echo("/"), "--method", "head")
    assert echo.requests[1].method == "HEAD"


def test_no_cookie_of_an_answer_goes_out(reqkit_command: Command, site: Site) -> None:
    site.answers["/set"] = answer(200, b"", [("Set-Cookie", "a=b; Path=/")])
    reqkit_command.run("fetch", "--size", "1", site("/set"), site("/then"))
    assert [request.all("Cookie") for request in site.requests] == [[], []]


def test_retries(reqkit_command: Command, site: Site) -> None:
    asked = iter([503, 200])
    site.answers["/x"] = lambda connection, request: answer(
        next(asked), b"", [("Retry-After", "0")]
    )
    [record] = reqkit_command.run("fetch", site("/x"), "--retries", "2").records
    assert (record["status"], record["attempts"]) == (200, 2)


def test_time_limits(reqkit_command: Command, site: Site) -> None:
    [record] = reqkit_command.run("fetch", site("/hang"), "--total", "0.2", status=1).records
    assert record["error"]["type"] == "TotalTimeout"
    [record] = reqkit_command.run("fetch", site("/hang"), "--timeout", "0.2", status=1).records
    assert record["error"]["type"] == "ReadTimeout"


def test_verifying(reqkit_command: Command, echo_secure: ScriptedServer, ca_bundle: str) -> None:
    [record] = reqkit_command.run("fetch", echo_secure("/"), status=1).records
    assert record["error"]["type"] == "SSLError"
    [record] = reqkit_command.run("fetch", echo_secure("/"), "--insecure").records
    assert record["status"] == 200


def test_a_proxy(reqkit_command: Command, echo: ScriptedServer) -> None:
    [record] = reqkit_command.run("fetch", "http://far.example/x", "--proxy", echo.url).records
    assert record["status"] == 200
    assert echo.requests[0].target == "http://far.example/x"


def test_passwords_are_shown_nowhere_but_in_the_inputs_own_fields(
    reqkit_command: Command, site: Site
) -> None:
    url = site("/status/404").replace("http://", "http://ann:s3cret@")
    ended = reqkit_command.run("fetch", url, "--report", "r.html", status=1)
    [record] = ended.records
    assert record["input"] == {"url": url}
    del record["input"]
    assert "s3cret" not in json.dumps(record) + ended.err
    assert "s3cret" not in (reqkit_command.folder / "r.html").read_text()


# -- files ------------------------------------------------------------------------------------


def test_bodies_to_files(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    site.answers["/b/page.txt"] = answer(200, b"other")
    ended = reqkit_command.run(
        "fetch", "--size", "1", "--to", "new/pages", site("/a/page.txt"), site("/b/page.txt"),
        site("/status/404"), site("/..%2f..%2fx"), status=1,
    )  # fmt: skip
    files = [record["file"] for record in ended.records]
    assert files == ["new/pages/page.txt", "new/pages/page-2.txt", None, "new/pages/_.._x"]
    folder = tmp_path / "new/pages"
    assert sorted(os.listdir(folder)) == ["_.._x", "page-2.txt", "page.txt"]
    assert (folder / "page-2.txt").read_bytes() == b"other"
    assert ended.records[1]["sha256"] == hashlib.sha256(b"other").hexdigest()
    assert ended.records[1]["bytes"] == 5
    assert len(site.requests) == 4


def test_files_are_asked_for_as_they_are(reqkit_command: Command, site: Site) -> None:
    packed = gzip.compress(b"a" * 1000)
    site.answers["/x.tar.gz"] = answer(200, packed, [("Content-Type", "application/gzip")])
    [record] = reqkit_command.run("fetch", site("/x.tar.gz"), "--to", ".").records
    assert site.requests[0].get("Accept-Encoding") == "identity"
    assert record["sha256"] == hashlib.sha256(packed).hexdigest()


def test_checksums(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    right = hashlib.sha256(b"/a").hexdigest().upper()
    rows = f"url,sha\n{site('/a')},{right}\n{site('/b')},{right}\n{site('/c')},\n"
    (tmp_path / "in.csv").write_text(rows)
    ended = reqkit_command.run(
        "fetch", "--from", "in.csv", "--checksum", "sha", "--to", "out", status=1
    )
    assert [record["ok"] for record in ended.records] == [True, False, True]
    assert ended.records[1]["error"]["type"] == "ChecksumError"
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "c"]


def test_a_body_that_breaks_off_is_gone_on_with(
    reqkit_command: Command, site: Site, tmp_path: Path
) -> None:
    whole = bytes(range(256)) * 40
    tag = ("ETag", '"v1"')

    def serve(connection: Connection, request: Received) -> bytes | None:
        asked = request.get("Range")
        if asked is None:
            connection.send(answer(200, whole, [tag])[:-5000])
            connection.close()
            return None
        first = int(asked.removeprefix("bytes=").rstrip("-"))
        place = f"bytes {first}-{len(whole) - 1}/{len(whole)}"
        return answer(206, whole[first:], [tag, ("Content-Range", place)])

    site.answers["/big"] = serve
    [record] = reqkit_command.run("fetch", site("/big"), "--to", "d", "--retries", "1").records
    assert (tmp_path / "d/big").read_bytes() == whole
    assert record["sha256"] == hashlib.sha256(whole).hexdigest()
    [record] = reqkit_command.run("fetch", site("/big"), "--to", "e", status=1).records
    assert record["error"]["type"] == "ChunkedEncodingError"
    assert (tmp_path / "e/big.part").exists()
    assert not (tmp_path / "e/big").exists()


def test_a_file_that_cannot_be_written_is_that_ones_failure(
    reqkit_command: Command, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "d/a").mkdir(parents=True)
    ended = reqkit_command.run("fetch", site("/a"), site("/b"), "--to", "d", status=1)
    assert [record["ok"] for record in ended.records] == [False, True]


# -- going on ---------------------------------------------------------------------------------


def test_resume_fetches_only_what_is_not_done(
    reqkit_command: Command, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "u.txt").write_text(urls_of(site, "/a", "/status/500", "/a"))
    to = ("--jsonl", "o.jsonl")
    reqkit_command.run("fetch", "--from", "u.txt", *to, status=1)
    before = read_records(tmp_path / "o.jsonl")
    with (tmp_path / "u.txt").open("a") as file:
        file.write(urls_of(site, "/b", "/a"))
    ended = reqkit_command.run("fetch", "--from", "u.txt", *to, "--resume")
    assert site.paths[3:] in (["/b", "/a"], ["/a", "/b"])
    assert read_records(tmp_path / "o.jsonl")[:3] == before
    assert "2 done: 2 good" in ended.err
    assert "3 were done before" in ended.err


def test_failures_again(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    (tmp_path / "u.txt").write_text(urls_of(site, "/a", "/x"))
    site.answers["/x"] = answer(500)
    command = ("fetch", "--from", "u.txt", "--jsonl", "o.jsonl", "--report", "r.html")
    reqkit_command.run(*command, status=1)
    site.answers.clear()
    reqkit_command.run(*command, "--resume", "--failed")
    assert site.paths[2:] == ["/x"]
    last = json.loads((tmp_path / "o.jsonl").read_text().splitlines()[-1])
    assert (last["again"], last["ok"]) == (True, True)
    reqkit_command.run(*command, "--resume", "--failed")
    assert len(site.paths) == 3
    page = (tmp_path / "r.html").read_text()
    assert "<dt>requests</dt> <dd>2</dd>" in page
    assert "<p>Nothing.</p>" in page


def test_an_existing_file_is_not_written_over(
    reqkit_command: Command, site: Site, tmp_path: Path
) -> None:
    reqkit_command.run("fetch", site("/a"), "--jsonl", "o.jsonl")
    ended = reqkit_command.run("fetch", site("/b"), "--jsonl", "o.jsonl", status=2)
    assert "--resume goes on with it, --overwrite begins anew" in " ".join(ended.err.split())
    assert site.paths == ["/a"]
    reqkit_command.run("fetch", site("/b"), "--jsonl", "o.jsonl", "--overwrite")
    assert [record["url"] for record in read_records(tmp_path / "o.jsonl")] == [site("/b")]


def test_files_of_a_run_that_goes_on_get_names_of_their_own(
    reqkit_command: Command, site: Site, tmp_path: Path
) -> None:
    where = ("--to", "d", "--jsonl", "o.jsonl", "--size", "1")
    reqkit_command.run("fetch", site("/1/x"), *where)
    reqkit_command.run("fetch", site("/2/x"), site("/1/x"), *where, "--resume")
    assert (tmp_path / "d/x").read_bytes() == b"/1/x"
    assert (tmp_path / "d/x-2").read_bytes() == b"/2/x"


# -- arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fetch"], "nothing to fetch"),
        (["fetch", "--from", "none.txt"], "none.txt"),
        (["fetch", "u", "--resume"], "--resume needs the file of earlier results"),
        (["fetch", "u", "--resume", "--jsonl", "-"], "--resume needs the file"),
        (["fetch", "u", "--failed"], "--failed goes with --resume"),
        (["fetch", "u", "--overwrite"], "--overwrite begins"),
        (["fetch", "u", "--column", "x"], "go with --from"),
        (["fetch", "u", "--checksum", "x"], "--checksum goes with --to"),
        (["fetch", "u", "--header", "x"], "expected 'NAME: VALUE'"),
        (["fetch", "u", "--header", "x y: z"], "x y"),
        (["fetch", "u", "--rate", "soon"], "rate is 'soon'"),
        (["fetch", "u", "--size", "0"], "--size"),
        (["fetch", "u", "--proxy", "ftp://x"], "ftp"),
        (["fetch", "u", "--data", "@none"], "--data @none cannot be read"),
        (["fetch", "u", "--report", "none/r.html"], "there is no folder none"),
        (["fetch", "u", "--jsonl", "none/o.jsonl"], "cannot be written"),
        (["fetch", "u", "--executor", "moon"], "is no executor"),
        (["fetch", "u", "--executor", "processes:0"], "expected a number of workers"),
        (["fetch", "u", "--method", "A B"], "A B"),
        (["fetch", "u", "--sise", "3"], "--size"),
        (["fecth", "u"], "fecth"),
    ],
)
def test_wrong_arguments_are_status_2(
    arguments: list[str], message: str, refused: Refused, tmp_path: Path
) -> None:
    assert message in refused(arguments)
    assert os.listdir(tmp_path) == []


def test_a_report_is_looked_at_before_anything_is_sent(
    reqkit_command: Command, site: Site, tmp_path: Path
) -> None:
    (tmp_path / "r.html").mkdir()
    reqkit_command.run("fetch", site("/a"), "--report", "r.html", status=2)
    assert site.paths == []


def test_closed_descriptors(reqkit_command: Command, site: Site) -> None:
    """As the shell's ``>&-`` and ``<&-`` leave them."""
    for closed, arguments in ((1, [site("/a")]), (0, ["--from", "-"])):
        process = reqkit_command.start(
            "fetch", *arguments, preexec_fn=functools.partial(os.close, closed)
        )
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 2
        assert b"Error: standard " in err
        assert b"Traceback" not in err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--help"]) == 0
    out = capsys.readouterr().out
    assert "  reqkit fetch --from urls.txt --retries 3 --jsonl out.jsonl\n" in out
    assert main(["--version"]) == 0
    assert "reqkit, version" in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert "_REQKIT_COMPLETE" in capsys.readouterr().out


def test_as_a_module(reqkit_command: Command, site: Site) -> None:
    command = [sys.executable, "-m", "reqkit_async", "fetch", site("/a"), "-q"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(ended.stdout)["status"] == 200
    assert ended.stderr == ""


def test_without_the_extra_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError(name='click')")
    command = [sys.executable, "-m", "reqkit_async", "fetch", "http://h.example/"]
    ended = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)}
    )
    assert ended.returncode == 2
    assert ended.stderr == ("reqkit: the command needs click and rich: pip install 'reqkit[cli]'\n")


def test_a_body_that_is_too_large(reqkit_command: Command, site: Site, tmp_path: Path) -> None:
    site.answers["/big"] = answer(200, b"x" * 2000)
    [record] = reqkit_command.run("fetch", site("/big"), "--max-size", "1000", status=1).records
    assert record["error"]["type"] == "ContentTooLarge"
    where = ("--to", "d", "--max-size", "1000")
    [record] = reqkit_command.run("fetch", site("/big"), *where, status=1).records
    assert record["error"]["type"] == "ContentTooLarge"
    assert not (tmp_path / "d/big").exists()


def test_half_of_a_surrogate_pair_comes_out_in_a_report(
    reqkit_command: Command, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    (tmp_path / "u.jsonl").write_text('{"url": "htt\\ud83d://x"}\n')
    command = ("fetch", "--from", "u.jsonl", "--jsonl", "o.jsonl", "--report", "r.html")
    reqkit_command.run(*command, status=1)
    assert "htt?://x" in (tmp_path / "r.html").read_text("utf-8")
    reqkit_command.run(*command, "--resume", "--failed", status=1)
