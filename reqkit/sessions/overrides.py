"""A request's steps one by one, as users of ``requests`` know them, and override them.

What a subclass of `Session` has of its own of `OVERRIDABLE` takes part in each of its requests. A
session that overrides none is asked none of them.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from ..auth import basic_header
from ..message import environment
from ..message.keywords import UNSET
from ..message.prepare import PreparedRequest
from ..message.proxies import proxies_for, select_proxy
from ..message.request import UnsentRequest
from ..message.response import Response
from ..message.urls import Target
from ..transport.routes import parse_proxy
from .chain import CallConnection, Chain
from .outcome import Outcome
from .redirects import may_keep_auth, next_message, redirect_location, redirect_method
from .sending import Sending

__all__ = ["OVERRIDABLE", "OverridableSession"]

#: What a subclass may have a say in, besides `Session.request`.
OVERRIDABLE: Final = (
    "get_adapter", "get_redirect_target", "merge_environment_settings", "prepare_request",
    "rebuild_auth", "rebuild_method", "send", "should_strip_auth",
)  # fmt: skip


#: What a subclass's `send` is a part of, in the code that runs now.
_sending: Final[contextvars.ContextVar[Chain | None]] = contextvars.ContextVar(
    "reqkit_sending", default=None
)


class OverriddenChain(Chain):
    """A chain whose session is a subclass with steps of its own."""

    __slots__ = ()

    @property
    def _session(self) -> Any:
        return self.options.session

    def run(self, prepared: PreparedRequest) -> Response:
        """As `Chain.run`; redirects are asked for one by one where a subclass finds them."""
        if "get_redirect_target" not in self._session._overridden:
            return super().run(prepared)
        self._begin(prepared)
        response = self._answered(prepared)
        if self._session.get_redirect_target(response):
            response = self._redirect(response)
        if self.prefetch:
            response._load()
        return response

    def _redirected(self, response: Response) -> PreparedRequest | None:
        session, sent = self._session, response.request
        location: str | None = None
        if "get_redirect_target" in session._overridden:
            location = session.get_redirect_target(response)
            if not location:
                return None
        message = next_message(response, sent, location)
        if message is not None and "rebuild_method" in session._overridden:
            message.method = sent.method
            session.rebuild_method(message, response)
            if message.body is None:
                message.prepare_content_length(None)
        return message

    def _write_auth(self, message: PreparedRequest, response: Response, first: Target) -> None:
        if self._session._overridden.isdisjoint(
            ("rebuild_auth", "should_strip_auth")
        ) or may_keep_auth(first, message.target):
            super()._write_auth(message, response, first)
            return
        value = response.request.headers.get("authorization")
        if value is not None:
            message.headers["Authorization"] = value
        self._session.rebuild_auth(message, response)


class OverridableSession(Sending):
    """The steps, for `Session`."""

    #: Which of `OVERRIDABLE` a subclass has of its own.
    _overridden: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        overridden = cls._overridden = frozenset(
            name
            for name in OVERRIDABLE
            if getattr(cls, name) is not getattr(OverridableSession, name)
        )
        if overridden:
            cls._chain_class = OverriddenChain
            cls._exchange = cls._exchange_overridden  # type: ignore[assignment,method-assign]
        if "get_adapter" in overridden:
            cls._asks_for_adapter = True

    def get_redirect_target(self, response: Response) -> str | None:
        """Return where a redirect points to, or None."""
        return redirect_location(response)

    def should_strip_auth(self, old_url: str, new_url: str) -> bool:
        """Tell whether auth given for one URL must not go to another."""
        old, new = PreparedRequest(), PreparedRequest()
        old.prepare_url(old_url)
        new.prepare_url(new_url)
        return not may_keep_auth(old.target, new.target)

    def rebuild_method(self, prepared_request: PreparedRequest, response: Response) -> None:
        """Set the method that follows a redirect."""
        prepared_request.method = redirect_method(prepared_request.method, response.status_code)

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """Take the Authorization header off a message to where it must not go; look in netrc."""
        headers = prepared_request.headers
        urls = (response.request.url, prepared_request.url or "")
        if "authorization" in headers and self.should_strip_auth(*urls):
            del headers["Authorization"]
        if self.trust_env:
            found = environment.netrc_credentials(prepared_request.target.host, default=False)
            if found is not None:
                prepared_request.prepare_auth(found)

    def rebuild_proxies(
        self, prepared_request: PreparedRequest, proxies: Mapping[str, str | None] | None
    ) -> dict[str, str]:
        """Return the proxies that count for a message: those given, then the environment's.

        A message that a proxy is to forward gets its credentials; one through a tunnel loses them.
        """
        target = prepared_request.target
        counting = {key: value for key, value in (proxies or {}).items() if value is not None}
        where = (target.scheme, target.host, target.port)
        if self.trust_env and select_proxy(counting, *where) is None:
            found = proxies_for(*where)
            if found is not None:
                counting[target.scheme] = found
        headers = prepared_request.headers
        headers.pop("Proxy-Authorization", None)
        proxy = select_proxy(counting, *where)
        if proxy and target.scheme == "http":
            user, password = parse_proxy(proxy)[3:5]
            if user is not None:
                headers["Proxy-Authorization"] = basic_header(user, password or "")
        return counting

    def resolve_redirects(
        self,
        response: Response,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = UNSET,
        verify: Any = None,
        cert: Any = None,
        proxies: Mapping[str, str | None] | None = None,
        yield_requests: bool = False,
        **keywords: Any,
    ) -> Iterator[Any]:
        """Follow redirects one by one, yielding each answer (or each message, unsent)."""
        given = UnsentRequest(
            request.method, request.url, timeout=timeout, verify=verify, cert=cert,
            proxies=proxies, stream=stream,
        )  # fmt: skip
        chain = self._chain_class(self._connection_for(given, self._settings()), given)
        yield from chain.follow_stepwise(response, request, yield_requests)

    def merge_environment_settings(
        self, url: str, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> dict[str, Any]:
        """Return the ``proxies stream verify cert`` that count for a URL."""
        prepared = PreparedRequest()
        prepared.prepare_url(url)
        target = prepared.target
        merged = {**(self.proxies or {}), **(proxies or {})}
        if verify is None:
            verify = self._verify
        if self.trust_env:
            where = (target.scheme, target.host, target.port)
            if select_proxy(merged, *where) is None:
                proxy = proxies_for(*where)
                if proxy is not None:
                    merged[target.scheme] = proxy
            if verify is None or verify is True:
                verify = environment.ca_bundle()
        return {
            "proxies": {key: value for key, value in merged.items() if value is not None},
            "stream": self.stream if stream is None else stream,
            "verify": True if verify is None else verify,
            "cert": self.cert if cert is None else cert,
        }

    # -- by the steps that a subclass has of its own ------------------------------------------

    def _chain_to_send(
        self, prepared: PreparedRequest, options: CallConnection, given: UnsentRequest
    ) -> Chain:
        whole = _sending.get()
        if whole is None or whole.prepared is not prepared:
            return super()._chain_to_send(prepared, options, given)
        # A part of a request whose limits count for all of it, a batch's too.
        policy = whole.policy
        chain = self._chain_class(options, given, None, None if policy is None else policy.deadline)
        chain.gate = whole.gate
        if chain.gate is not None and chain.policy is not None:
            chain.policy.retries = None
        return chain

    def _exchange_overridden(self, outcome: Outcome, chain: Chain) -> Response:
        """Send a request as a subclass has it. Blocks."""
        request, overridden = outcome.request, self._overridden
        options = chain.options
        if "prepare_request" in overridden:
            prepared = self.prepare_request(request)
        else:
            prepared = self._prepare(request, options.config, policy=chain.policy)
        chain.prepared = prepared
        prepared._attempt = 1 + outcome.retries
        if overridden.isdisjoint(("send", "merge_environment_settings")):
            return chain.run(prepared)
        settings = {
            "verify": True if options.verify is None else options.verify,
            "cert": options.cert,
            "proxies": dict(options.proxies or {}),
            "stream": not chain.prefetch,
        }
        if "merge_environment_settings" in overridden:
            settings = self.merge_environment_settings(
                prepared.url or "", settings["proxies"], settings["stream"], request.verify,
                request.cert,
            )  # fmt: skip
        timeout = self._timeout if request.timeout is UNSET else request.timeout
        if timeout is not UNSET:
            settings["timeout"] = timeout
        if request.config is not None:
            settings["config"] = request.config
        token = _sending.set(chain)
        try:
            response = self.send(prepared, allow_redirects=chain.allow_redirects, **settings)
        finally:
            _sending.reset(token)
        outcome.pending = []  # it has run the response hooks
        return response
