"""How one message gets to its server and its answer back: the only floor that waits.

A message's route (`routing`, `routes`) says what its connection goes through. It is delivered
(`delivery`) over a connection that is taken from the pool (`pools`) or made (`opening`,
`connecting`, `proxying`, `tls/`), and that carries one exchange (`exchange`).
What goes wrong is named in one table (`failures`).

Stands on: network, message, wire, base.
Begin with `delivery`. `overrides` is for adapters written for ``requests`` alone.
"""
