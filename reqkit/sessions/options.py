"""What counts for a call beside its message: its own settings on top of its session's, checked."""

from __future__ import annotations

import datetime
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ..message import environment
from ..message.prepare import Policy, PreparedRequest
from ..message.request import NOTHING_SAID
from ..message.settings import UNSET, Settings
from ..message.urls import DEFAULT_PORTS, Target, without_password
from ..network import Network, current
from ..timeouts import DEFAULT_TIMEOUTS, Deadline, Timeouts
from ..transport.routes import check_proxies
from ..transport.tls.contexts import check_cert, check_verify

if TYPE_CHECKING:
    from ..message.request import Request
    from ..message.response import Response
    from .session import Session

__all__ = ["Terms", "terms_of", "timeouts_to_tell"]

#: What a call may say of the connections that are kept: it counts when its own come back.
_POOL_SIZES: Final = frozenset(("pool_connections", "pool_maxsize"))


class Terms:
    """What counts for a call. Not changed once made: calls that say nothing have the same.

    It is the ``connection`` of their responses: what is sent there goes the way that the call
    went, so that hooks, cookies, proxies and limits count for it too.

    Args:
        session: whose defaults, cookies and adapters count.
        request: the request; its settings come before the session's.
        config: the merged ``config``.

    Raises:
        RequestException, ValueError, TypeError: a setting is wrong.
    """

    __slots__ = (
        "__weakref__", "allow_address", "asked", "cert", "config", "has_policy", "kept", "network",
        "own_steps", "proxies", "session", "timeouts", "verify",
    )  # fmt: skip

    #: Makes what sends a further message; the module of chains puts it here.
    sender: ClassVar[Callable[[Terms, PreparedRequest], Any]]

    def __init__(self, session: Session, request: Request, config: Settings) -> None:
        self.session = session
        #: What a subclass of the session has its own of.
        self.own_steps = session._own_steps
        self.config = config
        said = request._said
        timeout = said.timeout
        self.timeouts = session._timeouts if timeout is UNSET else Timeouts.of(timeout)
        verify = said.verify
        if verify is None:
            verify = session._verify
        if verify is not None and verify is not True:
            check_verify(verify)
        self.verify = verify
        cert = said.cert
        if cert is None:
            cert = session._cert
        if cert is not None:
            check_cert(cert)
        self.cert = cert
        self.proxies: Mapping[str, str | None] | None = session.proxies or None
        if self.proxies:
            check_proxies(self.proxies)
        if said.proxies:
            check_proxies(said.proxies)
            self.proxies = {**(self.proxies or {}), **said.proxies}
        self.kept: tuple[int, int] | None = None
        if said.config and not _POOL_SIZES.isdisjoint(said.config):
            self.kept = (config.pool_connections, config.pool_maxsize)
        self.allow_address = session._allow_address
        #: Whether an exchange without a deadline needs a policy.
        self.has_policy = bool(
            config.max_retries
            or config.max_content_size is not None
            or self.kept is not None
            or self.allow_address is not None
        )
        #: Whether auth was given, so that credentials found elsewhere do not count.
        self.asked = said.auth is not None or session.auth is not None
        self.network: Network = current()

    def policy(self, deadline: Deadline | None) -> Policy:
        """Return what counts for an exchange under a deadline."""
        config = self.config
        return Policy(
            deadline, config.max_retries, config.max_content_size, None, self.kept,
            self.allow_address,
        )  # fmt: skip

    def keywords(self, prefetch: bool) -> dict[str, Any]:
        """Return what hooks that take keywords, and auth handlers, are told."""
        proxies = self.proxies or {}
        return {
            "timeout": self.timeouts,
            "verify": True if self.verify is None else self.verify,
            "cert": self.cert,
            "proxies": {key: value for key, value in proxies.items() if value is not None},
            "stream": not prefetch,
        }

    def proxies_for(self, target: Target) -> dict[str, str] | None:
        """Return the proxies that count for a message: those given, else the environment's."""
        given = self.proxies
        trusts = self.config.trust_env
        if (
            not given
            and target.scheme in DEFAULT_PORTS
            and not (trusts and environment.names_proxies())
        ):
            return None
        if given:
            proxy = environment.select_proxy(given, target.scheme, target.host, target.port)
            if proxy is not None:  # an empty one says: directly
                return {target.scheme: proxy} if proxy else None
        if trusts:
            proxy = environment.proxies_for(target.scheme, target.host, target.port)
            if proxy is not None:
                return {target.scheme: proxy}
        return None

    def tell(self, prepared: PreparedRequest) -> None:
        """Write a line about a message to the ``verbose`` stream."""
        now = datetime.datetime.now().isoformat(timespec="microseconds")
        url = without_password(prepared.url or "")
        self.config.verbose.write(f"{now}   {prepared.method}   {url}\n")

    # -- as the connection of responses -----------------------------------------------------

    def send(self, request: PreparedRequest, **keywords: Any) -> Response:
        """Send a further message the way that the call went, over its network too. Blocks.

        Args:
            request: the message.
            **keywords: ``timeout verify cert proxies stream``; ``timeout``, ``verify`` and
                ``cert`` count in place of the call's; ``stream=False`` reads the body.

        Raises:
            RequestException: it failed.
        """
        response: Response = Terms.sender(self, request).send(request, **keywords)
        return response

    def close(self) -> None:
        """Do nothing: connections are the session's."""


def timeouts_to_tell(prepared: PreparedRequest, timeouts: Any, policy: Policy | None) -> Any:
    """Return time limits as adapters of the user's expect them; None where none were given.

    What such an adapter then passes on as None are the limits that count here.
    """
    if type(timeouts) is not Timeouts:
        return timeouts
    policy = policy or Policy()
    prepared._policy = Policy(
        policy.deadline, policy.retries, policy.max_content_size, timeouts, policy.kept,
        policy.allow_address,
    )  # fmt: skip
    if timeouts is DEFAULT_TIMEOUTS:
        return None
    pair = (timeouts.connect, timeouts.read)
    return pair[0] if pair[0] == pair[1] else pair


def terms_of(session: Session, request: Request, config: Settings) -> Terms:
    """Return the terms of a request: those of its session, where it says nothing itself.

    Raises:
        RequestException, ValueError, TypeError: a setting is wrong.
    """
    said = request._said
    if (
        (
            said is not NOTHING_SAID
            and (
                said.timeout is not UNSET
                or said.verify is not None
                or said.cert is not None
                or said.proxies
                or said.config
                or said.auth is not None
            )
        )
        or session.proxies
        or session.auth is not None
        or not session._keeps_terms
    ):
        return Terms(session, request, config)
    kept = session._terms  # weakly: what holds the session would keep its connections open
    terms = None if kept is None else kept()
    if (
        terms is None
        or terms.config is not config
        or terms.timeouts is not session._timeouts
        or terms.verify is not session._verify
        or terms.cert is not session._cert
        or terms.allow_address is not session._allow_address
        or terms.network is not current()
    ):
        terms = Terms(session, request, config)
        session._terms = weakref.ref(terms)
    return terms
