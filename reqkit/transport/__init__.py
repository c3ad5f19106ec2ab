"""How one message gets to its server and its answer back: the only floor that waits.

A message's route (`routes`) says what its connection goes through; a connection is taken from the
pool (`pools`) or made (`connecting`, `proxying`, `tls/`), and carries one exchange (`exchange`).
What goes wrong is named in one table (`failures`).

Stands on: network, message, wire, base.
Begin with `exchange`. `overrides` is for adapters written for ``requests`` alone.
"""
