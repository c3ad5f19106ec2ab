"""What runs at the same time, and how much of it: greenlets that send requests and lose none.

`batch` (with `iterated` and `spawned`) says where requests come from and where entries go,
`workers` what starts when, `sending` what becomes of one request, `limits` and `retries` when it
may go; `stop_reasons` and `stopping` stop one and all of them.

Stands on: network, report, stats. What it tells is `progress`, beside this folder.
Begin with `pool.Pool`.
"""
