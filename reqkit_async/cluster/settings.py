"""What a pool says of all its runs."""

from __future__ import annotations

from typing import Any

from ..pool.batch import Job
from ..pool.limits import HostLimits
from .hosts import HostTable
from .remote import WINDOW

__all__ = ["Settings"]


class Settings:
    """What a pool says of all its runs.

    Args:
        size: requests in flight at most, in each worker; None leaves it to them.
        per_host, rate, delay: limits of hosts, over the whole run.
        policy: of retries.
    """

    def __init__(self, size: int | None, per_host: Any, rate: Any, delay: Any, policy: Any) -> None:
        self.size = size
        self.per_host = per_host
        self.rate = rate
        self.delay = delay
        self.policy = policy

    def table(self) -> HostTable[Job] | None:
        """Return what knows which worker a host belongs to; None where hosts have no limits."""
        if self.per_host is None and self.rate is None and not self.delay:
            return None
        limits = HostLimits(self.per_host, self.rate, self.delay)
        spacing = max(limits.interval, limits.delay)
        # So many of a host's are with its worker that it is never idle: half a second's.
        most = 4 * (self.size or WINDOW * 8)
        if limits.per_host is not None:
            most = min(most, 4 * limits.per_host)
        if spacing:
            most = min(most, 2 + int(0.5 / spacing))
        return HostTable(most, spacing)
