"""The pools of an adapter: one for each network and scope that sends through it."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from typing import Any

from ..network import Network
from .pools import ConnectionPool

__all__ = ["PoolManager"]


class PoolManager:
    """An adapter's pools, one for each network and scope.

    Args:
        num_pools: how many hosts' connections are kept.
        maxsize: how many connections are kept for each host.
        block: never use more than ``maxsize`` connections to one host at once: wait.
        **connection_pool_kw: what each connection is made with: ``source_address
            socket_options ssl_context server_hostname assert_hostname assert_fingerprint
            ssl_minimum_version ssl_maximum_version ciphers``.
    """

    def __init__(
        self,
        num_pools: int = 10,
        maxsize: int = 10,
        block: bool = False,
        **connection_pool_kw: Any,
    ) -> None:
        self.num_pools: int = num_pools
        self.maxsize: int = maxsize
        self.block = block
        self.connection_pool_kw = connection_pool_kw
        self.pools: dict[Hashable, ConnectionPool] = {}

    def pool(self, network: Network) -> ConnectionPool:
        """Return the pool of the calling code's network and scope."""
        scope = network.scope()
        pool = self.pools.get(scope)
        if pool is None:
            me = weakref.ref(self)

            def forget(closed: ConnectionPool) -> None:
                manager = me()
                if manager is not None and manager.pools.get(scope) is closed:
                    del manager.pools[scope]

            made = ConnectionPool(network, self.num_pools, self.maxsize, self.block, forget)
            pool = self.pools.setdefault(scope, made)
            if pool is made:
                network.tend(made)  # which closes it when its thread ends
        return pool

    def resize(self, num_pools: int, maxsize: int) -> None:
        """Change how much is kept from now on."""
        self.num_pools = num_pools
        self.maxsize = maxsize
        for pool in list(self.pools.values()):
            pool.most_keys = num_pools
            pool.most_each = maxsize

    def clear(self) -> None:
        """Close all idle connections of this scope; forget the pools of others' networks."""
        pools, self.pools = self.pools, {}
        for pool in pools.values():
            pool.close()
