"""How fast reqkit is, beside the bare sockets and its peers: `python -m benchmarks`.

A *scenario* (`scenarios/`) is one or more *cases*; a case is a job that every one of its *peers*
(`peers.py`) does in a process of its own (`clients/`), in turn, for several rounds (`rounds.py`),
against servers on the other core (`servers.py`). What came of it is a `Results` (`results.py`),
printed by `table.py`, drawn by `plot.py`, and held against what is wanted (`targets.py`).
"""
