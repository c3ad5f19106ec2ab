"""One batch over the workers of an executor: processes, threads, other machines.

The caller pulls requests, gives each to a worker (`run`), and hands over what comes back; a worker
(`worker`) is one long task that sends them on a pool of its own. Between them is a `channel`;
`pickling` says what goes over it, `hosts` which worker a host belongs to, where hosts have limits.

Stands on: pool, network, stats.
Begin with `spread.spread_pool`, which turns a pool into one of this kind.
"""
