"""What counts for a call beside its message: its own settings on top of its session's, checked."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from ..message.config import Settings
from ..message.keywords import UNSET
from ..message.policy import Policy
from ..message.prepare import PreparedRequest
from ..message.proxies import names_proxies, proxies_for, select_proxy
from ..message.request import UnsentRequest
from ..message.urls import DEFAULT_PORTS, Target, without_secrets
from ..network import Network, current
from ..timeouts import DEFAULT_TIMEOUTS, Deadline, Timeouts
from ..transport.routes import check_proxies
from ..transport.tls.settings import check_cert, check_verify
from .defaults import Defaults

if TYPE_CHECKING:
    from ..transport.address_filter import AddressFilter

__all__ = ["CallOptions", "timeouts_for_adapter"]

#: What a call may say of the connections that are kept: it counts when its own come back.
_POOL_SIZES: Final = frozenset(("pool_connections", "pool_maxsize"))


class CallOptions:
    """What counts for a call. Not changed once made: calls that say nothing share them.

    Args:
        defaults: the session's.
        request: the request; its settings come before the session's.
        config: the merged ``config``.

    Raises:
        RequestException, ValueError, TypeError: a setting is wrong.
    """

    __slots__ = (
        "allow_address", "asked", "cert", "config", "given_timeout", "has_policy", "kept",
        "network", "proxies", "session", "timeouts", "verify",
    )  # fmt: skip

    def __init__(self, defaults: Defaults, request: UnsentRequest, config: Settings) -> None:
        self.session: Defaults = defaults
        self.config: Settings = config
        arguments = request._arguments
        timeout = arguments.timeout
        self.timeouts: Timeouts = defaults._timeouts if timeout is UNSET else Timeouts.of(timeout)
        #: The time limits as they were given, which hooks are told.
        self.given_timeout: Any = defaults._timeout if timeout is UNSET else timeout
        verify = arguments.verify
        if verify is None:
            verify = defaults._verify
        if verify is not None and verify is not True:
            check_verify(verify)
        self.verify = verify
        cert = arguments.cert
        if cert is None:
            cert = defaults._cert
        if cert is not None:
            check_cert(cert)
        self.cert: Any | None = cert
        self.proxies: Mapping[str, str | None] | None = defaults.proxies or None
        if self.proxies:
            check_proxies(self.proxies)
        if arguments.proxies:
            check_proxies(arguments.proxies)
            self.proxies = {**(self.proxies or {}), **arguments.proxies}
        self.kept: tuple[int, int] | None = None
        if arguments.config and not _POOL_SIZES.isdisjoint(arguments.config):
            self.kept = (config.pool_connections, config.pool_maxsize)
        self.allow_address: AddressFilter | None = defaults._allow_address
        #: Whether an exchange without a deadline needs a policy.
        self.has_policy: bool = bool(
            config.max_retries
            or config.max_content_size is not None
            or self.kept is not None
            or self.allow_address is not None
            or config.strict
            or config.http2 != "auto"
            or config.trace is not None
        )
        #: Whether auth was given, so that credentials found elsewhere do not count.
        self.asked: bool = arguments.auth is not None or defaults.auth is not None
        self.network: Network = current()

    def says_as(self, defaults: Defaults) -> bool:
        """Tell whether these still are a session's own, of a call that says nothing itself."""
        return (
            self.timeouts is defaults._timeouts
            and self.verify is defaults._verify
            and self.cert is defaults._cert
            and self.allow_address is defaults._allow_address
        )

    def policy(self, deadline: Deadline | None) -> Policy:
        """Return what counts for an exchange under a deadline."""
        config = self.config
        return Policy(
            deadline, config.max_retries, config.max_content_size, None, self.kept,
            self.allow_address, config.strict, config.http2, config.trace,
            config.retry_after_max,
        )  # fmt: skip

    def keywords(self, prefetch: bool) -> dict[str, Any]:
        """Return what hooks that take keywords, and auth handlers, are told."""
        proxies = self.proxies or {}
        return {
            "timeout": self.timeouts if self.given_timeout is UNSET else self.given_timeout,
            "verify": True if self.verify is None else self.verify,
            "cert": self.cert,
            "proxies": {key: value for key, value in proxies.items() if value is not None},
            "stream": not prefetch,
        }

    def proxies_for(self, target: Target) -> dict[str, str] | None:
        """Return the proxies that count for a message: those given, else the environment's."""
        given = self.proxies
        trusts = self.config.trust_env
        if not given and target.scheme in DEFAULT_PORTS and not (trusts and names_proxies()):
            return None
        if given:
            proxy = select_proxy(given, target.scheme, target.host, target.port)
            if proxy is not None:  # an empty one says: directly
                return {target.scheme: proxy} if proxy else None
        if trusts:
            proxy = proxies_for(target.scheme, target.host, target.port)
            if proxy is not None:
                return {target.scheme: proxy}
        return None

    def tell(self, prepared: PreparedRequest) -> None:
        """Write a line about a message to the ``verbose`` stream."""
        now = datetime.datetime.now().isoformat(timespec="microseconds")
        url = without_secrets(prepared.url or "")
        self.config.verbose.write(f"{now}   {prepared.method}   {url}\n")


def timeouts_for_adapter(prepared: PreparedRequest, timeouts: Any, policy: Policy | None) -> Any:
    """Return time limits as adapters of the user's expect them; None where none were given.

    What such an adapter then passes on as None are the limits that count here.
    """
    if type(timeouts) is not Timeouts:
        return timeouts
    prepared._policy = Policy() if policy is None else copy.copy(policy)
    prepared._policy.timeouts = timeouts
    if timeouts is DEFAULT_TIMEOUTS:
        return None
    pair = (timeouts.connect, timeouts.read)
    return pair[0] if pair[0] == pair[1] else pair
