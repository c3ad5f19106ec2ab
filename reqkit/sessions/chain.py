"""One request on its way: its messages, from the first to the last answer.

What counts for the request (the call's settings on top of the session's) is put together and
checked before anything is sent; redirects and auth challenges then make further messages of the
first, with the cookies, the auth and the proxy that may go where each one goes.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Protocol

from .. import cookies as jars
from ..adapters import HTTPAdapter
from ..base.logs import INFO, logger
from ..base.redact import redacted
from ..exceptions import (
    ConnectionError,
    RequestException,
    RetryError,
    Timeout,
    TooManyRedirects,
)
from ..hooks import Hooks, dispatch_hook, takes_keywords
from ..message import environment
from ..message.config import Settings
from ..message.conversion import adopted_response
from ..message.credentials import auth_of
from ..message.keywords import UNSET
from ..message.policy import Policy
from ..message.prepare import PreparedRequest
from ..message.proxies import names_proxies
from ..message.request import NO_ARGUMENTS, UnsentRequest
from ..message.response import Response
from ..message.urls import DEFAULT_PORTS, Target, without_secrets
from ..network import current, use
from ..timeouts import Deadline
from .mounting import Mounting
from .options import CallOptions, timeouts_for_adapter
from .redirects import drain as drain_body
from .redirects import forsake, may_keep_auth, next_message

__all__ = ["CallConnection", "Chain", "ChainedSession"]

_NONE: Final[frozenset[str]] = frozenset()


class Gate(Protocol):
    """Lets messages through."""

    #: How often the request was sent before.
    retries: int

    def pass_to(self, host: str, deadline: Deadline | None) -> None:
        """Wait until a message may go to a host."""


class Chain:
    """One request on its way.

    While its messages are sent it is the ``connection`` of their responses, so that what an auth
    handler sends is a part of it.

    Args:
        options: what counts for it.
        request: the request.
        prefetch: read the body, whatever the request says.
        deadline: of an exchange that this is a part of.

    Raises:
        TypeError: a setting is wrong.
    """

    __slots__ = (
        "_auth",
        "_bound_to",
        "_first",
        "allow_redirects",
        "cookies",
        "errors",
        "gate",
        "options",
        "policy",
        "prefetch",
        "prepared",
        "removed",
    )  # fmt: skip

    def __init__(
        self,
        options: CallConnection,
        request: UnsentRequest,
        prefetch: bool | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        self.options: CallConnection = options
        #: The message that the user made, once it is prepared.
        self.prepared: PreparedRequest | None = None
        #: The cookies of this call alone.
        self.cookies: jars.CookieJar | None = None
        #: The names of the session's cookies that this call leaves out.
        self.removed: frozenset[str] = _NONE
        #: What hooks raised before there was a response to keep it.
        self.errors: list[Exception] | None = None
        #: Has each message wait for its turn at its host, in a batch that has limits.
        self.gate: Gate | None = None
        if deadline is None and options.timeouts.total is not None:
            deadline = Deadline(options.timeouts.total, options.network.clock)
        arguments = request._arguments
        if prefetch is None:
            prefetch = arguments.prefetch
            if prefetch is None:
                prefetch = options.session.prefetch
        if prefetch is not False and prefetch not in (True, False):
            raise TypeError(f"prefetch (or stream) is {redacted(prefetch)}: expected True or False")
        self.prefetch: bool = prefetch
        follow = arguments.allow_redirects
        if follow is None:
            follow = request.method == "GET" or not _is_head(request.method)
        elif follow not in (True, False):
            raise TypeError(f"allow_redirects is {redacted(follow)}: expected True or False")
        self.allow_redirects: bool = follow
        self.policy: Policy | None = None
        if deadline is not None or options.has_policy:
            self.policy = options.policy(deadline)
        #: What belongs to the origin of the first message, and which one that is.
        self._auth: Any = None
        self._first: Target | None = None
        #: The origin that cookies without a domain belong to, where it is not the first message's:
        #: one that goes on with another chain, step by step, is not the first.
        self._bound_to: tuple[str, str, int] | None = None

    @classmethod
    def further(cls, options: CallConnection, prepared: PreparedRequest) -> Chain:
        """Make what sends a further message after a request has been answered.

        One that was made by hand, or for another session, is under the rules of this call.
        """
        chain = cls(options, UnsentRequest(prepared.method, prepared.url))
        given = prepared._policy
        if given is not None and given.allow_address is options.allow_address:
            chain.policy = given  # the call's own
        elif given is not None:
            policy = chain.policy = chain.policy or options.policy(None)
            policy.deadline = given.deadline
            if options.allow_address is None:
                policy.allow_address = given.allow_address
        credentials = prepared._credentials
        if credentials is not None and credentials.jars is not None:
            chain.cookies = credentials.jars[1]
            chain.removed = credentials.left_out
        return chain

    def keywords(self) -> dict[str, Any]:
        """Return what hooks that take keywords, and auth handlers, are told."""
        return self.options.keywords(self.prefetch)

    def run(self, prepared: PreparedRequest) -> Response:
        """Send a message and those that its answers ask for. Blocks. Runs no response hook.

        Raises:
            RequestException: the request failed.
        """
        if prepared._credentials is None:
            self._first = prepared._target or prepared.target
            response = self._send_one(prepared, None)
        else:
            self._begin(prepared)
            response = self._answered(prepared)
        status = response.status_code
        if status != 200 and status is not None and 300 <= status < 400 and response.is_redirect:
            response = self._redirect(response)
        if self.prefetch:
            response._load()
        return response

    def _redirect(self, response: Response) -> Response:
        """Follow a redirect, or leave it to the user."""
        if self.allow_redirects:
            return self._follow(response)
        response._next = self.next_message
        return response

    def _begin(self, prepared: PreparedRequest) -> None:
        self._first = prepared._target or prepared.target
        credentials = prepared._credentials
        if credentials is not None:
            self._auth = credentials.auth
            self._bound_to = credentials.bound_to
            if self.cookies is None and credentials.jars is not None:
                self.cookies = credentials.jars[1]
                self.removed = credentials.left_out

    def _follow(self, response: Response) -> Response:
        history: list[Response] = []
        most = self.options.config.max_redirects
        followed = 0
        while True:
            history.extend(response.history)
            response.history = history  # where there is no next message, for good reasons or bad
            try:
                message = self.next_message(response)
            except BaseException as error:  # a step of the user's may raise anything, or be stopped
                if isinstance(error, RequestException):
                    with contextlib.suppress(RequestException):
                        drain_body(response)  # which the error has, but for its connection
                forsake(response, error)
                raise
            if message is None:
                return response
            drain_body(response)
            followed += 1
            if followed > most:
                assert self._first is not None
                raise TooManyRedirects(
                    f"{without_secrets(self._first.url)}: more than {most} redirects; raise"
                    " config['max_redirects'] if that is right",
                    response=response,
                )
            response.history = list(history)
            history.append(response)
            if logger.isEnabledFor(INFO):
                logger.log(
                    INFO,
                    "%s %s redirects (%s) to %s",
                    response.request.method,
                    without_secrets(response.url or ""),
                    response.status_code,
                    without_secrets(message.url or ""),
                )
            response = self._answered(message)

    def follow_stepwise(
        self, response: Response, request: PreparedRequest, unsent: bool = False
    ) -> Iterator[Any]:
        """Follow the redirects of an answer one by one. Blocks for each.

        Args:
            response: the answer.
            request: the chain's first message.
            unsent: yield the next message alone, without sending it.

        Yields:
            each answer.
        """
        self._begin(request)
        history: list[Response] = []
        most = self.options.config.max_redirects
        while (message := self.next_message(response)) is not None:
            if unsent:
                yield message
                return
            drain_body(response)
            history.append(response)
            if len(history) > most:
                raise TooManyRedirects(
                    f"{without_secrets(request.url or '')}: more than {most} redirects; raise"
                    " config['max_redirects'] if that is right",
                    response=response,
                )
            response = self._answered(message)
            response.history = list(history)
            if self.prefetch:
                response.content  # noqa: B018 reads it
            yield response

    def next_message(self, response: Response) -> PreparedRequest | None:
        """Make the message that an answer asks for, with the cookies and auth that may go there.

        Raises:
            InvalidURL, InvalidSchema: it points to what is no http(s) URL.
            UnrewindableBodyError: the body must be sent again and cannot be.
        """
        message = self._redirected(response)
        if message is None:
            return None
        sent = response.request
        first = self._first if self._first is not None else sent.target
        bound_to = self._bound_to or first.origin
        message._own_credentials.bound_to = bound_to
        if self.gate is not None:
            message._attempt += self.gate.retries  # of the whole request, and this a part of it
        self.options.session._write_cookies(message, self.cookies, bound_to, self.removed)
        self._write_auth(message, response, first)
        return message

    def _redirected(self, response: Response) -> PreparedRequest | None:
        """Make the message that an answer asks for, without cookies and auth."""
        return next_message(response, response.request)

    def _write_auth(self, message: PreparedRequest, response: Response, first: Target) -> None:
        """Apply the auth that may go where a message goes."""
        after = message.target
        same_site = may_keep_auth(first, after)
        auth = self._auth if same_site else None
        # What was set by hand, and may go there, comes before what the server says.
        if auth is None and not self.options.asked and "authorization" not in message.headers:
            auth = self._auth_found(response.request.target, after, first)
        if auth is not None:
            message.apply_auth(auth)

    def _auth_found(self, before: Target, after: Target, first: Target) -> Any:
        """Return the auth that nobody gave: the Location's own, or that of netrc."""
        found = after.userinfo
        # netrc knows no schemes and ports: a host's entry counts where other auth would go on.
        if (
            found is None
            and self.options.config.trust_env
            and after.host != first.host
            and (after.host != before.host or may_keep_auth(before, after))
        ):
            # Its default entry is for what was asked for, not for where a server leads to.
            found = environment.netrc_credentials(after.host, default=False)
        return auth_of(found)

    def _answered(self, prepared: PreparedRequest) -> Response:
        """Send one message, and have its auth object answer the server's challenge."""
        response = self._send_one(prepared, None)
        auths = prepared._own_credentials.auth_hooks
        if auths:
            response.connection = self  # what they send is a part of this
            keywords = self.keywords()
            keywords["stream"] = True
            for hook in tuple(auths):
                # An auth that fails is the request's failure, not a warning: it is no observer.
                extra = keywords if takes_keywords(hook) else {}
                try:
                    result = hook(response, **extra)
                except BaseException as error:  # of the user's auth, or a kill
                    forsake(response, error)
                    raise
                if result is not None and result is not response:
                    response = result
        return response

    def send(self, request: PreparedRequest, **keywords: Any) -> Response:
        """Send a further message the way that the first went, over its network too. Blocks.

        Args:
            request: the message.
            **keywords: ``timeout verify cert proxies stream``; ``timeout``, ``verify`` and
                ``cert`` count in place of the first's; ``stream=False`` reads the body.

        Raises:
            RequestException: it failed.
        """
        with use(self.options.network):  # who resumes a download may be in a greenlet of their own
            response = self._send_one(request, keywords)
            if not keywords.get("stream", True):
                response.content  # noqa: B018 reads it
            return response

    def drain(self, response: Response) -> None:
        """Read the body of a challenge as far as the connection is worth it; nobody asks for it."""
        drain_body(response)

    def close(self) -> None:
        """Do nothing: connections are the session's."""

    def _send_one(self, prepared: PreparedRequest, keywords: Mapping[str, Any] | None) -> Response:
        """Send one message through its adapter: hooks before and after, cookies taken."""
        hooks = prepared._hooks
        if hooks is not None and hooks["pre_request"]:
            prepared = self._hooked("pre_request", hooks, prepared)
        options = self.options
        config = options.config
        target = prepared._target
        if target is None or target.url is not prepared.url:
            target = prepared.target  # a hook or an auth has changed the URL
        if config.verbose is not None:
            options.tell(prepared)
        prepared._policy = self.policy
        verify, cert, timeouts = options.verify, options.cert, options.timeouts
        proxies = None
        if options.proxies or names_proxies() or target.scheme not in DEFAULT_PORTS:
            proxies = options.proxies_for(target)
        session = options.session
        adapter = session._adapter_for(target)
        usual = type(adapter) is HTTPAdapter
        if keywords:
            verify = keywords.get("verify", verify)
            cert = keywords.get("cert", cert)
            timeouts = keywords.get("timeout", timeouts)
        if not usual:
            timeouts = timeouts_for_adapter(prepared, timeouts, self.policy)
        if verify is None or verify is True:
            # True says that it is to be verified; by which bundle, the environment may.
            verify = True
            if config.trust_env and (target.scheme == "https" or proxies):
                verify = environment.ca_bundle() or True
        if self.gate is not None:
            self.gate.pass_to(target.host, None if self.policy is None else self.policy.deadline)
        response: Response | None = None
        try:
            response = adapter.send(
                prepared, stream=True, timeout=timeouts, verify=verify, cert=cert, proxies=proxies
            )
            if not usual:
                response = adopted_response(response, prepared, adapter)
            response.connection = options
            response.max_content_size = config.max_content_size
            if hooks is not None and hooks["post_request"]:
                response.request = self._hooked("post_request", hooks, prepared)
            if config.store_cookies:
                fields = response._fields
                if fields is None or "set-cookie" in fields:
                    values = response.set_cookies()
                    if values:
                        jars.store(session.cookies, values, target, over=self.cookies)
            return response
        except BaseException as error:  # of adapters, hooks and cookie policies, or a kill
            if isinstance(response, Response):
                forsake(response, error)
            elif (
                isinstance(error, (ConnectionError, Timeout, RetryError))
                and hooks is not None
                and hooks["post_request"]
                and not error.before_sending
            ):
                self._hooked("post_request", hooks, prepared)  # it was sent, for all that
            raise

    def _hooked(self, name: str, hooks: Hooks, prepared: PreparedRequest) -> PreparedRequest:
        if self.errors is None:
            self.errors = []
        result = dispatch_hook(name, hooks[name], prepared, self.errors, **self.keywords())
        return result if isinstance(result, PreparedRequest) else prepared


def _is_head(method: Any) -> bool:
    """Tell whether a method is HEAD, however it is spelled by who asks."""
    text = method.decode("latin-1") if isinstance(method, bytes) else method
    return isinstance(text, str) and str.upper(text) == "HEAD"


class CallConnection(CallOptions):
    """The options of a call and its session: the ``connection`` of its responses.

    What is sent there goes the way that the call went, so that hooks, cookies, proxies and limits
    count for it too.
    """

    __slots__ = ("__weakref__",)

    session: ChainedSession

    def send(self, request: PreparedRequest, **keywords: Any) -> Response:
        """Send a further message the way that the call went, over its network too. Blocks.

        Args:
            request: the message.
            **keywords: ``timeout verify cert proxies stream``; ``timeout``, ``verify`` and
                ``cert`` count in place of the call's; ``stream=False`` reads the body.

        Raises:
            RequestException: it failed.
        """
        return self.session._chain_class.further(self, request).send(request, **keywords)

    def close(self) -> None:
        """Do nothing: connections are the session's."""


class ChainedSession(Mounting):
    """A session, as far as chains know it."""

    #: What sends its requests.
    _chain_class: ClassVar[type[Chain]] = Chain
    #: Whether the options of calls that say nothing themselves are worth keeping.
    _keeps_connection = True

    def _connection_for(self, request: UnsentRequest, config: Settings) -> CallConnection:
        """Return the options of a request: those of this session, where it says nothing itself.

        Raises:
            RequestException, ValueError, TypeError: a setting is wrong.
        """
        arguments = request._arguments
        if (
            (
                arguments is not NO_ARGUMENTS
                and (
                    arguments.timeout is not UNSET
                    or arguments.verify is not None
                    or arguments.cert is not None
                    or arguments.proxies
                    or arguments.config
                    or arguments.auth is not None
                )
            )
            or self.proxies
            or self.auth is not None
            or not self._keeps_connection
        ):
            return CallConnection(self, request, config)
        kept = self._connection  # weakly: what holds the session would keep its sockets open
        connection: CallConnection | None = None if kept is None else kept()
        # What else it was made of lets go of it when it is set.
        if (
            connection is None
            or connection.config is not config
            or connection.network is not current()
        ):
            connection = CallConnection(self, request, config)
            self._connection = weakref.ref(connection)
            if not connection.says_as(self):  # another thread has set one of these meanwhile
                self._connection = None
        return connection
