"""One batch over the workers of an executor: processes, threads, other machines.

The caller pulls requests and gives each to a worker (`dispatch`), hands over what comes back
(`entries`), and sees to what was with lost ones (`recovery`); `run` holds that together. A worker
is one long `task`, which sends them on a pool of its own (`worker`). Between them is a `channel`;
`pickling` says what goes over it, `hosts` which worker a host belongs to, where hosts have limits.

Stands on: pool, network, stats.
Begin with `pool.spread_pool`, which turns a pool into one of this kind.
"""
