"""The rounds: all clients in turn, again and again, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import metadata

from reqkit._version import __version__

from .peers import PEERS, REQKIT, Peer
from .results import CaseResults, Results, Run
from .scenarios import Case
from .servers import ROOT, Servers

__all__ = ["present", "run_all"]

#: Seconds that one client may take.
_PATIENCE = 180


def present() -> tuple[dict[str, Peer], dict[str, str], list[str]]:
    """Return the peers that are installed, all versions, and what to say about the others."""
    found: dict[str, Peer] = {}
    versions = {"reqkit": __version__}
    missing: list[str] = []
    for peer in PEERS.values():
        try:
            versions |= peer.versions()
        except metadata.PackageNotFoundError as error:
            missing.append(f"{peer.title} is left out: {error.name} is not installed")
        else:
            found[peer.key] = peer
    return found, versions, missing


def run_all(
    cases: Iterable[Case],
    peers: dict[str, Peer],
    servers: Servers,
    results: Results,
    files: int,
    quick: bool,
    tell: Callable[[str], None],
) -> None:
    """Run every case for as many rounds as the results say, and put the figures there.

    Args:
        cases: what to run; rounds go over all of them, one case after another.
        peers: who can take part.
        servers: running ones.
        results: where the figures go; what is left out is named there.
        files: how many files may be open.
        quick: do a twentieth of the work.
        tell: called with a line about each run.
    """
    left = []
    for case in cases:
        if case.site and not servers.has(case.site):
            results.missing.append(f"{case.name} is left out: {servers.missing}")
        elif case.files > files:
            results.missing.append(
                f"{case.name} is left out: it needs {case.files:,} open files, {files:,} are"
                " allowed (ulimit -n)"
            )
        else:
            left.append(case)
            results.cases[case.name] = CaseResults(case.unit, case.title)
    for number in range(1, results.rounds + 1):
        for case in left:
            for key in PEERS:
                if key in case.peers and key in peers:
                    _run_once(case, peers[key], servers, results.cases[case.name], quick)
                    tell(_line(number, case, key, results.cases[case.name]))


def _run_once(case: Case, peer: Peer, servers: Servers, results: CaseResults, quick: bool) -> None:
    client = "importing" if case.action == "import" else peer.client
    job = json.dumps(case.job(peer, servers, quick))
    environment = _environment(peer.way)
    command = [sys.executable, "-m", f"benchmarks.clients.{client}", job]
    run: Run | None = None
    try:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        results.failures[peer.key] = f"took more than {_PATIENCE} s"
    else:
        if done.returncode:
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            results.failures[peer.key] = lines[-1]
        else:
            run = Run(**json.loads(done.stdout.splitlines()[-1]))
    results.runs.setdefault(peer.key, []).append(run)


def _environment(way: str) -> dict[str, str]:
    """Return the environment without what would send requests elsewhere."""
    found = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy")
        and name not in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")
    }
    found["REQKIT_NO_EXTENSIONS"] = "1" if way == "pure" else "0"
    return found


def _line(number: int, case: Case, peer: str, results: CaseResults) -> str:
    value = results.values(peer)[-1]
    figure = results.failures[peer][:100] if value is None else f"{value:,.5g} {case.unit.value}"
    ours = results.values(REQKIT)[-1:] or [None]
    ratio = ""
    if peer != REQKIT and value is not None and ours[0] is not None and peer != "bare":
        ratio = f"  ({results.ratios(peer)[-1]:.2f})"
    return f"round {number}  {case.name:16} {PEERS[peer].title:26} {figure}{ratio}"
