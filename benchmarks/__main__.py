"""`python -m benchmarks [SCENARIO…]`: run scenarios, print the tables."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from . import machine, table, targets
from .peers import PEERS
from .plot import draw
from .results import Results
from .rounds import present, run_all
from .scenarios import SCENARIOS
from .servers import Servers


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="How fast reqkit is, beside bare sockets and its peers.",
    )
    parser.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help=f"of {', '.join(SCENARIOS)}; all if none"
    )
    parser.add_argument("--rounds", type=int, default=5, help="how often each client runs (5)")
    parser.add_argument("--peers", metavar="KEYS", help=f"only these (commas): {', '.join(PEERS)}")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the work")
    parser.add_argument("--check", action="store_true", help="fail where a target is not reached")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the medians")
    parsed = parser.parse_args(given)
    for name in parsed.scenarios:
        if name not in SCENARIOS:
            parser.error(f"{name!r} is no scenario: expected some of {', '.join(SCENARIOS)}")
    for key in (parsed.peers or "").split(",") if parsed.peers else ():
        if key not in PEERS:
            parser.error(f"{key!r} is no peer: expected some of {', '.join(PEERS)}")
    if parsed.rounds < 1:
        parser.error(f"--rounds is {parsed.rounds}: expected 1 or more")
    return parsed


def main() -> int:
    """Run what the command line asks for.

    Returns:
        the exit status: 1 with ``--check`` where a target is not reached or a client failed.
    """
    asked = arguments()
    client_core, server_core = machine.cores()
    files = machine.raise_open_files()
    peers, versions, missing = present()
    if asked.peers:
        peers = {key: peer for key, peer in peers.items() if key in asked.peers.split(",")}
    about = machine.describe(client_core, server_core)
    # The clients inherit this, and nothing else happens here while one of them runs.
    machine.pin(client_core)
    results = Results(about, versions, asked.rounds, missing)
    cases = [case for name in asked.scenarios or SCENARIOS for case in SCENARIOS[name]]
    with (
        tempfile.TemporaryDirectory(prefix="benchmarks-") as folder,
        Servers(Path(folder), server_core) as servers,
    ):
        if servers.nginx_version:
            results.versions["nginx"] = servers.nginx_version
        run_all(cases, peers, servers, results, files, asked.quick, _tell)
    print(table.render(results))
    if asked.json:
        asked.json.write_text(json.dumps(results.as_json(), indent=1) + "\n")
    if asked.plot:
        asked.plot.write_text(draw(results))
    short = results.failed or any(not found.reached for found in targets.verdicts(results))
    return 1 if asked.check and (short or results.missing) else 0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
