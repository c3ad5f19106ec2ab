"""The servers that the clients talk to: nginx over http and https, and the one that waits.

nginx has one worker, on the second core. It serves the files of `documents`, and over https under
many addresses of loopback, each of which is a host of its own to a client.
"""

from __future__ import annotations

import gzip
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import certifi
import trustme

from . import machine

#: Fields of an answer like a CDN's, beside the eight that nginx gives by itself; three of them are
#: new each time, and all are as long as ever.
REAL_FIELDS = (
    ("Cache-Control", "public, max-age=14400, stale-while-revalidate=60"),
    ("Vary", "Accept-Encoding"),
    ("Age", "1271"),
    ("X-Cache", "HIT"),
    ("X-Request-Id", "$request_id"),
    ("X-Timer", "S$msec,VS0,VE1"),
    ("Traceparent", "00-$request_id-4bf92f3577b34da6-01"),
    ("Strict-Transport-Security", "max-age=31536000; includeSubDomains; preload"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Content-Security-Policy", "default-src 'self'; img-src 'self' https://img.example"),
    ("Permissions-Policy", "geolocation=(), camera=(), microphone=()"),
    ("Alt-Svc", 'h3=":443"; ma=86400'),
)

__all__ = ["BIG", "DELAY", "HOSTS", "REAL_FIELDS", "ROWS", "SMALL", "MissingServer", "Servers"]

#: Bytes of the small answer, and of the big one.
SMALL, BIG = 1024, 100_000_000
#: Rows of the JSON document that is fetched (13 KB), and of the one that comes back from a POST.
ROWS, POSTED_ROWS = 80, 7
#: How many hosts there are for https.
HOSTS = 200
#: How long the server that waits does, in seconds.
DELAY = 0.1

ROOT = Path(__file__).resolve().parent.parent
_PATIENCE = 20


class MissingServer(Exception):
    """A server is not installed, or does not start."""


def rows(count: int) -> list[dict[str, Any]]:
    """Make the rows of a document; each takes about 150 bytes, always the same ones."""
    chance = random.Random(count)
    return [
        {
            "id": 10_000 + number,
            "name": f"number {number:04} of a series",
            "price": number * 1.25,
            "tags": ["red", "green", f"t{number % 17}"],
            "active": number % 3 == 0,
            "parent": None,
            "key": f"{chance.getrandbits(64):016x}",
            "size": number % 97,
        }
        for number in range(count)
    ]


class Servers:
    """nginx and the server that waits; both run as long as the context lasts.

    Args:
        folder: an empty folder for their files.
        core: where they run; None for anywhere.

    Attributes:
        bundle: a CA bundle of the usual size, with the authority of these servers in it.
        nginx_version: None where nginx is missing.
        missing: why nginx is, where it is.
    """

    def __init__(self, folder: Path, core: int | None) -> None:
        self.folder = folder
        self.core = core
        self.bundle = folder / "bundle.pem"
        self.nginx_version: str | None = None
        self.missing: str | None = None
        self._running: list[subprocess.Popen[Any]] = []
        self._ports: dict[str, int] = {}

    def __enter__(self) -> Servers:
        try:
            self._ports["waiting"] = self._start_waiting()
            try:
                self._start_nginx()
            except MissingServer as missing:
                self.missing = str(missing)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.terminate()
        for process in self._running:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def url(self, site: str, path: str = "/small.txt") -> str:
        """Return a URL of a site: ``http``, ``https`` or ``waiting``."""
        scheme = "https" if site == "https" else "http"
        return f"{scheme}://127.0.0.1:{self._ports[site]}{path}"

    def hosts(self, path: str = "/small.txt") -> list[str]:
        """Return one https URL for each of the many hosts."""
        return [f"https://{host}:{self._ports['https']}{path}" for host in _hosts()]

    def has(self, site: str) -> bool:
        return ("https" if site == "hosts" else site) in self._ports

    def _start_waiting(self) -> int:
        process = self._start(
            [sys.executable, "-m", "benchmarks.waiting", str(DELAY), str(SMALL)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise MissingServer("the server that waits did not start")
        return int(line)

    def _start_nginx(self) -> None:
        program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
        if program is None:
            raise MissingServer("nginx is not installed (Debian: apt install nginx-light)")
        _write_certificates(self.folder, self.bundle)
        _write_documents(self.folder / "documents")
        http, https = free_port(), free_port()
        conf = self.folder / "nginx.conf"
        conf.write_text(_nginx_conf(self.folder, http, https))
        log = self.folder / "error.log"
        process = self._start([program, "-p", self.folder, "-e", log, "-c", conf])
        _wait_until(lambda: _answers(http) and _answers(https), process, log)
        self.nginx_version = machine.nginx_version(program)
        self._ports.update(http=http, https=https)

    def _start(self, command: list[Any], **keywords: Any) -> subprocess.Popen[Any]:
        # Before it runs, so that what it starts (nginx's worker) is on that core too.
        process = subprocess.Popen(command, preexec_fn=lambda: machine.pin(self.core), **keywords)
        self._running.append(process)
        return process


def _hosts() -> list[str]:
    return [f"127.0.1.{number}" for number in range(1, HOSTS + 1)]


def _write_certificates(folder: Path, bundle: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost", "127.0.0.1", *_hosts())
    leaf.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
    bundle.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + authority.cert_pem.bytes())


def _write_documents(folder: Path) -> None:
    folder.mkdir()
    for name in ("small.txt", "real.txt"):
        (folder / name).write_bytes(b"0123456789abcde\n" * (SMALL // 16))
    document = json.dumps({"rows": rows(ROWS)}).encode()
    (folder / "rows.json").write_bytes(document)
    (folder / "rows.json.gz").write_bytes(gzip.compress(document, 6, mtime=0))
    with (folder / "big.bin").open("wb") as file:
        for _ in range(BIG // 1_000_000):
            file.write(os.urandom(1_000_000))


def _nginx_conf(folder: Path, http: int, https: int) -> str:
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    secure = "\n".join(f"listen {host}:{https} ssl;" for host in ("127.0.0.1", *_hosts()))
    fields = "\n".join(f"add_header {name} {json.dumps(value)};" for name, value in REAL_FIELDS)
    # What the document has no place for (a variable's sign, a quote) must not be in it.
    answer = json.dumps({"received": "LENGTH", "rows": rows(POSTED_ROWS)})
    answer = answer.replace("LENGTH", "$content_length")
    return f"""
    {"user root root;" if os.geteuid() == 0 else ""}
    daemon off;
    worker_processes 1;
    pid {folder}/nginx.pid;
    events {{ worker_connections 8192; }}
    http {{
        access_log off;
        {temporary}
        types {{ text/plain txt; application/json json; application/octet-stream bin; }}
        keepalive_requests 10000000;
        keepalive_timeout 300;
        open_file_cache max=100;
        ssl_session_cache shared:sessions:10m;
        server {{
            listen 127.0.0.1:{http} backlog=4096;
            {secure}
            ssl_certificate {folder}/server.pem;
            ssl_certificate_key {folder}/server.pem;
            root {folder}/documents;
            location = /real.txt {{ {fields} }}
            location = /rows.json {{ gzip_static on; }}
            location = /big.bin {{ sendfile on; }}
            location = /post {{ default_type application/json; return 200 '{answer}'; }}
        }}
    }}
    """


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def wait_for_port(port: int, process: subprocess.Popen[Any], log: Path) -> None:
    """Wait until a server listens.

    Raises:
        MissingServer: it ended, or does not.
    """
    _wait_until(lambda: _answers(port), process, log)


def _wait_until(ready: Callable[[], bool], process: subprocess.Popen[Any], log: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while not ready():
        if process.poll() is not None or time.monotonic() > end:
            output = log.read_text().strip() if log.exists() else ""
            raise MissingServer(f"nginx did not start: {output[-500:]}")
        time.sleep(0.02)
