"""`python -m benchmarks.http2`: HTTP/2 beside this project's HTTP/1.1, and beside other clients.

nginx serves the same files over both. The clients run in turn, round by round, each in a process
of its own, and every answer's status and length are checked. Other clients are run by a Python that
has them: ``--python httpx=PATH``; without that, by this one, where it has them.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import trustme

CLIENTS = Path(__file__).with_name("http2_clients.py")
NAMES = ("reqkit-h1", "reqkit-h2", "libcurl", "niquests", "httpx")

#: What is fetched, how often, how many at a time, its bytes, and whether the connection is new.
SCENARIOS: dict[str, tuple[str, int, int, int, bool]] = {
    "1 KB, the same, 50 at a time": ("/same/1k", 10_000, 50, 1024, False),
    "1 KB, each differing in two fields, 50 at a time": ("/differing/1k", 10_000, 50, 1024, False),
    "the first 50 from a cold host": ("/same/1k", 50, 50, 1024, True),
    "10 MB, 4 at a time": ("/same/10m", 24, 4, 10_485_760, False),
    "1 KB, 20 at a time, nginx closing after 100": ("/short/1k", 10_000, 20, 1024, False),
}


def configuration(own: Path, port: int, pem: Path) -> str:
    temporary = "\n".join(
        f"{kind}_temp_path {own}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    server = """
    server {{
        listen 127.0.0.1:{port} ssl{http2};
        keepalive_requests {most};
        ssl_certificate {pem};
        ssl_certificate_key {pem};
        root {own}/www;
        location /same/ {{ alias {own}/www/; }}
        location /short/ {{ alias {own}/www/; }}
        location /differing/ {{
            alias {own}/www/;
            add_header X-Request-Id $request_id;
            add_header X-Connection-Requests $connection_requests;
        }}
    }}"""
    servers = "".join(
        server.format(port=port + number, http2=http2, most=most, pem=pem, own=own)
        for number, (http2, most) in enumerate(
            (("", 10_000_000), (" http2", 10_000_000), ("", 100), (" http2", 100))
        )
    )
    return f"""
daemon off;
worker_processes 1;
pid {own}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    {temporary}
    {servers}
}}
"""


def run(
    name: str,
    python: str,
    port: int,
    ca: str,
    scenario: tuple[str, int, int, int, bool],
    part: float,
) -> dict[str, Any]:
    path, count, size, length, cold = scenario
    count = max(size, int(count * part)) if not cold else count
    at = port + (0 if name == "reqkit-h1" else 1) + (2 if path.startswith("/short") else 0)
    command = [
        python, str(CLIENTS), name, f"https://localhost:{at}{path}", str(count), str(size), ca,
        str(length), "cold" if cold else "warm",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False,
        env={key: value for key, value in os.environ.items() if "CA_BUNDLE" not in key},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    found["count"] = count
    return found


def start(own: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start nginx on four ports; return it and the first of them."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(own / "ca.pem"))
    pem = own / "server.pem"
    leaf = ca.issue_cert("localhost", "127.0.0.1")
    leaf.private_key_and_cert_chain_pem.write_to_path(str(pem))
    (own / "www").mkdir()
    (own / "www" / "1k").write_bytes(os.urandom(1024))
    (own / "www" / "10m").write_bytes(os.urandom(10_485_760))
    port = random.randrange(20_000, 30_000)
    (own / "nginx.conf").write_text(configuration(own, port, pem))
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    server = subprocess.Popen(
        [nginx, "-p", str(own), "-e", "stderr", "-c", str(own / "nginx.conf")]
    )
    for _ in range(200):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port + 3)) == 0:
                return server, port
        time.sleep(0.05)
    raise RuntimeError("nginx does not answer")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.http2", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--part", type=float, default=1.0, help="of the work (1.0)")
    parser.add_argument("--python", action="append", default=[], metavar="CLIENT=PATH")
    parser.add_argument("--clients", default="reqkit-h1,reqkit-h2", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--scenarios", default="", help="numbers, from 1 (commas)")
    asked = parser.parse_args()
    pythons = dict(one.split("=", 1) for one in asked.python)
    names = asked.clients.split(",")
    chosen = [int(one) - 1 for one in asked.scenarios.split(",") if one] or range(len(SCENARIOS))
    with tempfile.TemporaryDirectory(prefix="http2-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        server, port = start(Path(folder))
        try:
            for number in chosen:
                title, scenario = list(SCENARIOS.items())[number]
                print(f"\n{title}", flush=True)
                results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
                for _ in range(asked.rounds):
                    for name in names:
                        python = pythons.get(name, sys.executable)
                        results[name].append(
                            run(name, python, port, f"{folder}/ca.pem", scenario, asked.part)
                        )
                tell(results, names)
        finally:
            server.terminate()
            server.wait()


def tell(results: dict[str, list[dict[str, Any]]], names: list[str]) -> None:
    """Print medians, and the medians of the ratios to reqkit's HTTP/2 within a round."""
    ours = results.get("reqkit-h2")
    for name in names:
        found = results[name]
        cpu = statistics.median(one["cpu"] / one["count"] * 1e6 for one in found)
        rate = statistics.median(one["count"] / one["wall"] for one in found)
        lost = sum(one["count"] - one["good"] for one in found) / sum(one["count"] for one in found)
        line = (
            f"  {name:10} {cpu:10.1f} us of processor each, {rate:9.1f} a second, {lost:.1%} lost"
        )
        if ours and name != "reqkit-h2":
            by_cpu = [(a["cpu"] / a["count"]) / (b["cpu"] / b["count"])
                      for a, b in zip(found, ours, strict=True)]  # fmt: skip
            by_wall = [(a["wall"] / a["count"]) / (b["wall"] / b["count"])
                       for a, b in zip(found, ours, strict=True)]  # fmt: skip
            line += (
                f"; HTTP/2 here is {statistics.median(by_cpu):.2f} times as fast by processor"
                f" ({min(by_cpu):.2f} to {max(by_cpu):.2f}), {statistics.median(by_wall):.2f} by"
                f" the clock ({min(by_wall):.2f} to {max(by_wall):.2f})"
            )
        print(line, flush=True)


if __name__ == "__main__":
    main()
