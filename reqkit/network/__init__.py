"""The seam that makes reqkit cooperative: where sockets, names, sleeping and waiting come from.

Whatever can wait goes through a `Network`. The one here is the standard library's; another package
may bring its own, and have it used by all that runs in its context with `use`.

Stands on: base.
Begin with `network.Network`.
"""

from __future__ import annotations

from .addresses import Address, SocketOptions, interleave, numeric_address
from .lookups import no_such_name
from .network import (
    Network,
    Semaphore,
    SharedStream,
    Signal,
    StdlibNetwork,
    Stream,
    Waiter,
    current,
    forks,
    use,
)
from .racing import ATTEMPT_DELAY

__all__ = [
    "ATTEMPT_DELAY",
    "Address",
    "Network",
    "Semaphore",
    "SharedStream",
    "Signal",
    "SocketOptions",
    "StdlibNetwork",
    "Stream",
    "Waiter",
    "current",
    "forks",
    "interleave",
    "no_such_name",
    "numeric_address",
    "use",
]
