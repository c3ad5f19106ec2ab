"""One request on its way: its messages, from the first to the last answer.

What counts for the request (the call's settings on top of the session's) is put together and
checked before anything is sent; redirects and auth challenges then make further messages of the
first, with the cookies, the auth and the proxy that may go where each one goes.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from . import environment
from .adapters import HTTPAdapter
from .cookies import store
from .exceptions import ConnectionError, RequestException, Timeout, TooManyRedirects, TotalTimeout
from .foreign import taken
from .hooks import Hooks, dispatch_hook, takes_keywords
from .network import current, use
from .prepare import Policy, PreparedRequest, auth_of
from .redirects import may_keep_auth, next_message
from .response import Response
from .routes import check_proxies
from .settings import UNSET, Settings
from .timeouts import DEFAULT_TIMEOUTS, Deadline, Timeouts, clock
from .tls import check_cert, check_verify
from .urls import DEFAULT_PORTS, Target, without_password
from .wire.head import AnswerHead
from .wording import told

if TYPE_CHECKING:
    from .cookies import CookieJar
    from .request import Request
    from .sessions import Session

__all__ = ["Chain"]

#: Bytes of a redirect's body that are read so that its connection can be kept.
_MOST_DRAINED: Final = 256 * 1024
#: What a call may say of the connections that are kept: it counts when its own come back.
_POOL_SIZES: Final = frozenset(("pool_connections", "pool_maxsize"))
#: Seconds after which that is given up: a new connection is made sooner.
_LONGEST_DRAIN: Final = 1.0


class Chain:
    """What counts for one request, and the sending of its messages.

    It is the ``connection`` of their responses: an auth handler's further messages go through
    `send`, so that hooks, cookies, proxies and limits count for them too.

    Args:
        session: whose defaults, cookies and adapters count.
        request: the request; its settings come before the session's.
        config: the merged ``config``.
        prefetch: read the body, whatever the request says.
        deadline: of an exchange that this is a part of.

    Raises:
        RequestException, ValueError, TypeError: a setting is wrong.
    """

    __slots__ = (
        "_asked",
        "_auth",
        "_bound_to",
        "_first",
        "_network",
        "allow_redirects",
        "cert",
        "config",
        "cookies",
        "deadline",
        "errors",
        "policy",
        "prefetch",
        "prepared",
        "proxies",
        "removed",
        "session",
        "timeouts",
        "verify",
    )

    def __init__(
        self,
        session: Session,
        request: Request,
        config: Settings,
        prefetch: bool | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        self.session = session
        self.config = config
        #: The message that the user made, once it is prepared.
        self.prepared: PreparedRequest | None = None
        #: The cookies of this call alone.
        self.cookies: CookieJar | None = None
        #: The names of the session's cookies that this call leaves out.
        self.removed: frozenset[str] = frozenset()
        #: What hooks raised before there was a response to keep it.
        self.errors: list[Exception] | None = None
        timeout = request.timeout
        timeouts = session._timeouts if timeout is UNSET else Timeouts.of(timeout)
        self.timeouts = timeouts
        if deadline is None and timeouts.total is not None:
            deadline = Deadline(timeouts.total, current().clock)
        self.deadline = deadline
        verify = request.verify
        if verify is None:
            verify = session._verify
        if verify is not None and verify is not True:
            check_verify(verify)
        self.verify = verify
        cert = request.cert
        if cert is None:
            cert = session._cert
        if cert is not None:
            check_cert(cert)
        self.cert = cert
        self.proxies: Mapping[str, str | None] | None = session.proxies or None
        if self.proxies:
            check_proxies(self.proxies)
        if request.proxies:
            check_proxies(request.proxies)
            self.proxies = {**(self.proxies or {}), **request.proxies}
        if prefetch is None:
            prefetch = request.prefetch
        if prefetch is None:
            prefetch = session.prefetch
        if prefetch is not False and prefetch not in (True, False):
            raise TypeError(f"prefetch (or stream) is {told(prefetch)}: expected True or False")
        self.prefetch = prefetch
        follow = request.allow_redirects
        if follow is None:
            follow = request.method not in ("HEAD", "head", "Head")
        elif follow not in (True, False):
            raise TypeError(f"allow_redirects is {told(follow)}: expected True or False")
        self.allow_redirects = follow
        limit = config.max_content_size
        retries = config.max_retries
        kept: tuple[int, int] | None = None
        if request.config and not _POOL_SIZES.isdisjoint(request.config):
            kept = (config.pool_connections, config.pool_maxsize)
        self.policy: Policy | None = None
        allow = session._allow_address
        if (
            deadline is not None
            or retries
            or limit is not None
            or kept is not None
            or allow is not None
        ):
            self.policy = Policy(deadline, retries, limit, None, kept, allow)
        #: Whether auth was given, so that credentials found elsewhere do not count.
        self._asked = request.auth is not None or session.auth is not None
        self._auth: Any = None
        self._first: Target | None = None
        #: The origin that cookies without a domain belong to.
        self._bound_to: tuple[str, str, int] = ("", "", 0)
        self._network = current()

    def keywords(self) -> dict[str, Any]:
        """Return what hooks that take keywords, and auth handlers, are told."""
        proxies = self.proxies or {}
        return {
            "timeout": self.timeouts,
            "verify": True if self.verify is None else self.verify,
            "cert": self.cert,
            "proxies": {key: value for key, value in proxies.items() if value is not None},
            "stream": not self.prefetch,
        }

    def run(self, prepared: PreparedRequest) -> Response:
        """Send a message and those that its answers ask for. Blocks. Runs no response hook.

        Raises:
            RequestException: the request failed.
        """
        self._begin(prepared)
        response = (
            self._send_one(prepared, None)
            if prepared._auth_hooks is None
            else self._answered(prepared)
        )
        status = response.status_code
        if (status is not None and 300 <= status < 400 and response.is_redirect) or (
            self.session._own_steps and self._points_on(response)
        ):
            if self.allow_redirects:
                response = self._follow(response)
            else:
                response._next = self.next_message
        if self.prefetch:
            response.content  # noqa: B018 reads it
        return response

    def _begin(self, prepared: PreparedRequest) -> None:
        """Note what belongs to the origin of the chain's first message, and which one that is."""
        self._first = first = prepared._target or prepared.target
        self._auth = prepared._auth
        # A message that goes on with another chain, step by step, is not the first.
        self._bound_to = prepared._bound_to or first.origin
        if self.cookies is None and prepared._jars is not None:
            self.cookies = prepared._jars[1]
            self.removed = prepared._left_out

    def _follow(self, response: Response) -> Response:
        history: list[Response] = []
        most = self.config.max_redirects
        followed = 0
        while True:
            history.extend(response.history)
            message = self.next_message(response)
            if message is None:
                response.history = history
                return response
            self.drain(response)
            followed += 1
            if followed > most:
                response.history = history
                assert self._first is not None
                raise TooManyRedirects(
                    f"{without_password(self._first.url)}: more than {most} redirects; raise"
                    " config['max_redirects'] if that is right",
                    response=response,
                )
            response.history = list(history)
            history.append(response)
            response = self._answered(message)

    def steps(
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
        most = self.config.max_redirects
        while (message := self.next_message(response)) is not None:
            if unsent:
                yield message
                return
            self.drain(response)
            history.append(response)
            if len(history) > most:
                raise TooManyRedirects(
                    f"{without_password(request.url or '')}: more than {most} redirects; raise"
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
        sent = response.request
        steps = self.session._own_steps
        location: str | None = None
        if "get_redirect_target" in steps:
            location = self.session.get_redirect_target(response)
            if not location:
                return None
        message = next_message(response, sent, location)
        if message is None:
            return None
        if "rebuild_method" in steps:
            message.method = sent.method
            self.session.rebuild_method(message, response)
            if message.body is None:
                message.prepare_content_length(None)
        first = self._first if self._first is not None else sent.target
        after = message.target
        message._bound_to = self._bound_to
        self.session._write_cookies(message, self.cookies, self._bound_to, self.removed)
        at_home = may_keep_auth(first, after)
        if not at_home and not steps.isdisjoint(("rebuild_auth", "should_strip_auth")):
            self._rebuild_auth(message, response)
            return message
        auth = self._auth if at_home else None
        # What was set by hand, and may go there, comes before what the server says.
        if auth is None and not self._asked and "authorization" not in message.headers:
            auth = self._auth_found(sent.target, after, first)
            if not at_home and auth is not None and auth == self._auth:
                auth = None  # netrc's default entry: the first origin had it already
        if auth is not None:
            message.apply_auth(auth)
        return message

    def _auth_found(self, before: Target, after: Target, first: Target) -> Any:
        """Return the auth that nobody gave: the Location's own, or that of netrc."""
        found = after.userinfo
        # netrc knows no schemes and ports: a host's entry counts where other auth would go on.
        if (
            found is None
            and self.config.trust_env
            and after.host != first.host
            and (after.host != before.host or may_keep_auth(before, after))
        ):
            found = environment.netrc_credentials(after.host)
        return auth_of(found)

    def _points_on(self, response: Response) -> bool:
        return "get_redirect_target" in self.session._own_steps and bool(
            self.session.get_redirect_target(response)
        )

    def _rebuild_auth(self, message: PreparedRequest, response: Response) -> None:
        """Leave it to a subclass of the session whether auth goes on to another origin."""
        sent = response.request
        value = sent.headers.get("authorization")
        if value is not None:
            message.headers["Authorization"] = value
        self.session.rebuild_auth(message, response)

    def drain(self, response: Response) -> None:
        """Read the body of a redirect or a challenge, so that the connection is kept. Blocks.

        It is not decoded, and a large or slow one is not worth it: its connection is closed.
        """
        source = response._source
        if response._whole is not None or source is None:
            return
        parts: list[bytes] = []
        size = 0
        ends = clock() + _LONGEST_DRAIN
        try:
            while size <= _MOST_DRAINED and clock() < ends:
                data = source.read(65536)
                if not data:
                    response._whole = b"".join(parts)
                    response._source = None
                    return
                parts.append(data)
                size += len(data)
        except TotalTimeout:
            raise  # the next message would have no time either
        except RequestException:
            pass  # its head has said where to go
        response.close()
        response._streamed = True

    def _answered(self, prepared: PreparedRequest) -> Response:
        """Send one message, and have its auth object answer the server's challenge."""
        response = self._send_one(prepared, None)
        auths = prepared._auth_hooks
        if auths:
            keywords = self.keywords()
            keywords["stream"] = True
            for hook in tuple(auths):
                # An auth that fails is the request's failure, not a warning: it is no observer.
                told = keywords if takes_keywords(hook) else {}
                result = hook(response, **told)
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
        with use(self._network):  # who resumes a download may be in a greenlet of their own
            response = self._send_one(request, keywords)
            if not keywords.get("stream", True):
                response.content  # noqa: B018 reads it
            return response

    def close(self) -> None:
        """Do nothing: connections are the session's."""

    def _send_one(self, prepared: PreparedRequest, keywords: Mapping[str, Any] | None) -> Response:
        """Send one message through its adapter: hooks before and after, cookies taken."""
        hooks = prepared._hooks
        if hooks is not None and hooks["pre_request"]:
            prepared = self._hooked("pre_request", hooks, prepared)
        config = self.config
        target = prepared._target
        if target is None or target.url is not prepared.url:
            target = prepared.target  # a hook or an auth has changed the URL
        if config.verbose is not None:
            self._tell(prepared)
        prepared._policy = self.policy
        verify, cert, timeouts = self.verify, self.cert, self.timeouts
        if keywords:
            verify = keywords.get("verify", verify)
            cert = keywords.get("cert", cert)
            timeouts = keywords.get("timeout", timeouts)
        trusts = config.trust_env
        proxies = None
        if (
            self.proxies
            or (trusts and environment.names_proxies())
            or target.scheme not in DEFAULT_PORTS
        ):
            proxies = self._proxies_for(target)
        if verify is None or verify is True:
            # True says that it is to be verified; by which bundle, the environment may.
            verify = True
            if trusts and (target.scheme == "https" or proxies):
                verify = environment.ca_bundle() or True
        adapter = self.session._adapter_for(target)
        usual = type(adapter) is HTTPAdapter
        if not usual:
            timeouts = self._as_told(prepared, timeouts)
        try:
            response = adapter.send(
                prepared, stream=True, timeout=timeouts, verify=verify, cert=cert, proxies=proxies
            )
        except (ConnectionError, Timeout) as error:
            if hooks is not None and hooks["post_request"] and not error.before_sending:
                self._hooked("post_request", hooks, prepared)  # it was sent, for all that
            raise
        if not usual:
            response = taken(response, prepared, adapter)
        response.connection = self
        response.max_content_size = config.max_content_size
        if hooks is not None and hooks["post_request"]:
            response.request = self._hooked("post_request", hooks, prepared)
        if config.store_cookies:
            head = response._head
            if type(head) is not AnswerHead or "set-cookie" in head.index:
                values = response.set_cookies()
                if values:
                    store(self.session.cookies, values, target, over=self.cookies)
        return response

    def _as_told(self, prepared: PreparedRequest, timeouts: Any) -> Any:
        """Return time limits as adapters of the user's expect them; None where none were given.

        What such an adapter then passes on as None are the limits that count here.
        """
        if type(timeouts) is not Timeouts:
            return timeouts
        policy = self.policy or Policy()
        prepared._policy = Policy(
            policy.deadline,
            policy.retries,
            policy.max_content_size,
            timeouts,
            policy.kept,
            policy.allow_address,
        )
        if timeouts is DEFAULT_TIMEOUTS:
            return None
        pair = (timeouts.connect, timeouts.read)
        return pair[0] if pair[0] == pair[1] else pair

    def _tell(self, prepared: PreparedRequest) -> None:
        now = datetime.datetime.now().isoformat(timespec="microseconds")
        url = without_password(prepared.url or "")
        self.config.verbose.write(f"{now}   {prepared.method}   {url}\n")

    def _hooked(self, name: str, hooks: Hooks, prepared: PreparedRequest) -> PreparedRequest:
        if self.errors is None:
            self.errors = []
        result = dispatch_hook(name, hooks[name], prepared, self.errors, **self.keywords())
        return result if isinstance(result, PreparedRequest) else prepared

    def _proxies_for(self, target: Target) -> dict[str, str] | None:
        """Return the proxies that count for a message: those given, else the environment's."""
        given = self.proxies
        if given:
            proxy = environment.select_proxy(given, target.scheme, target.host, target.port)
            if proxy is not None:  # an empty one says: directly
                return {target.scheme: proxy} if proxy else None
        if self.config.trust_env:
            proxy = environment.proxies_for(target.scheme, target.host, target.port)
            if proxy is not None:
                return {target.scheme: proxy}
        return None
