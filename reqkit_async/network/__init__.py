"""gevent's side of the network seam: sockets, names and waiting that let other greenlets run.

Stands on nothing of this package.
Begin with `network.GeventNetwork`.
"""

from __future__ import annotations

from .network import GEVENT, GeventNetwork, GeventStream

__all__ = ["GEVENT", "GeventNetwork", "GeventStream"]
