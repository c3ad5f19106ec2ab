"""The seam that makes reqkit cooperative: where sockets, names, sleeping and waiting come from.

Whatever can wait goes through a `Network`. The one here is the standard library's; another package
may bring its own, and have it used by all that runs in its context with `use`.

Stands on: base.
Begin with `network.Network`; `stdlib` is the one of blocking code.
"""

from __future__ import annotations

from .addresses import Address, SocketOptions, interleave, numeric_address
from .forking import PerProcess, forks
from .lookups import no_such_name
from .network import (
    Network,
    Semaphore,
    SharedStream,
    Signal,
    Stream,
    Waiter,
    current,
    use,
)
from .racing import ATTEMPT_DELAY, new_socket
from .stdlib import StdlibNetwork

__all__ = [
    "ATTEMPT_DELAY",
    "Address",
    "Network",
    "PerProcess",
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
    "new_socket",
    "no_such_name",
    "numeric_address",
    "use",
]
