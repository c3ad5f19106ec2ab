"""Sessions: a user's defaults, cookies and connections, and the way of one request through them.

A request passes down as `Request` → `PreparedRequest` → messages, and up as `Response`. A session
may be shared by threads and greenlets: what one request changes is its own, but for the cookies.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from ..adapters import BaseAdapter, HTTPAdapter
from ..base.redact import told
from ..exceptions import InvalidSchema, RequestException
from ..hooks import Hooks, dispatch_hook, merge_hooks
from ..message.prepare import PreparedRequest, auth_of
from ..message.request import Request
from ..message.response import Response
from ..message.settings import METHOD_KEYWORDS, UNSET, Config, unknown
from ..message.urls import Target, suggestion, without_password
from ..timeouts import DEFAULT_TIMEOUTS, Deadline
from ..transport.routes import check_proxies
from .arguments import request_after_hooks
from .chain import Chain
from .merging import Preparing
from .options import Terms, terms_of
from .overrides import STEPS, Stepping
from .result import Outcome, failed_response

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .._types import Keywords

# `merge_hooks` is looked for here by users of requests.
__all__ = ["Session", "SingleUseSession", "merge_hooks", "session"]

_PREFIXES: Final = {"http": "http://", "https": "https://"}

_SEND_KEYWORDS: Final = (
    "timeout", "verify", "cert", "proxies", "stream", "prefetch", "allow_redirects", "config",
)  # fmt: skip


class Session(Preparing, Stepping):
    """Defaults, cookies and connections that requests share.

    Every argument is an attribute that can be read and set at any time; it counts from the next
    request on. Leaving it as a context manager closes its connections.

    Args:
        headers: sent with each request; None as a value leaves a base header out.
        cookies: a dictionary or a jar; answers add to it.
        auth: a ``(user, password)`` pair (Basic), or a callable.
        timeout: as in `reqkit.request`; the default is connect 10 s, read 60 s, no total.
        proxies: scheme, ``scheme://host`` or ``all`` to a proxy's URL.
        hooks: hook name to a callable or a list.
        params: added to each URL's query.
        config: see the documentation's table.
        verify: True, False, a CA file or a folder.
        cert: a client certificate's file, or ``(cert, key)``.
        prefetch: read each body before the call returns.
        allow_address: which addresses may be connected to: see the attribute.
    """

    #: Whether what counts for its calls is worth keeping.
    _keeps_terms = True

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        cls._own_steps = frozenset(
            name for name in STEPS if getattr(cls, name) is not getattr(Session, name)
        )

    def __init__(
        self,
        headers: Any = None,
        cookies: Any = None,
        auth: Any = None,
        timeout: Any = UNSET,
        proxies: Mapping[str, str | None] | None = None,
        hooks: Mapping[str, Any] | None = None,
        params: Any = None,
        config: Mapping[str, Any] | None = None,
        verify: Any = None,
        cert: Any = None,
        prefetch: bool = False,
        *,
        allow_address: Callable[..., bool] | None = None,
        **others: Any,
    ) -> None:
        if others:
            known = (
                "headers", "cookies", "auth", "timeout", "proxies", "hooks", "params", "config",
                "verify", "cert", "prefetch", "allow_address",
            )  # fmt: skip
            raise unknown("Session", others, known)
        self._headers: Any = None
        self._cookies: Any = None
        self._hooks: Hooks | None = None
        self._config: Config | None = None
        self._allow_address = None
        self._timeouts = DEFAULT_TIMEOUTS
        self._timeout: Any = UNSET
        self._merged = None
        #: What counts for calls that say nothing themselves.
        self._terms: weakref.ref[Terms] | None = None
        self._adapters: dict[str, BaseAdapter] | None = None
        #: The adapter that nobody mounted: its pools follow `config`.
        self._own_adapter: HTTPAdapter | None = None
        self.auth = auth
        if proxies is not None:
            check_proxies(proxies)
        self.proxies = dict(proxies or {})
        self.params = dict(params) if isinstance(params, Mapping) else params or {}
        self.prefetch = prefetch
        self._verify: Any = None
        self._cert: Any = None
        if headers is not None:
            self.headers = headers
        if cookies is not None:
            self.cookies = cookies
        if timeout is not UNSET:
            self.timeout = timeout
        if hooks is not None:
            self.hooks = hooks
        if config is not None:
            self.config = config
        if verify is not None:
            self.verify = verify
        if cert is not None:
            self.cert = cert
        if allow_address is not None:
            self.allow_address = allow_address
        if auth is not None:
            auth_of(auth)

    # -- adapters ---------------------------------------------------------------------------

    @property
    def adapters(self) -> dict[str, BaseAdapter]:
        """The mounted adapters by prefix, the longest first."""
        if self._adapters is None:
            # One for both, so that limits count for both.
            config = self._settings()
            adapter = HTTPAdapter(config.pool_connections, config.pool_maxsize)
            self._adapters = {"https://": adapter, "http://": adapter}
            self._own_adapter = adapter
        return self._adapters

    @adapters.setter
    def adapters(self, value: Mapping[str, BaseAdapter]) -> None:
        self._adapters = dict(value)

    def mount(self, prefix: str, adapter: BaseAdapter) -> None:
        """Send what begins with a prefix through an adapter; the longest prefix wins.

        Raises:
            TypeError: the prefix is no str, or the adapter cannot send.
        """
        if not isinstance(prefix, str):
            raise TypeError(
                f"the prefix is a {type(prefix).__name__}: expected a str such as 'https://'"
            )
        shown = without_password(prefix)
        if isinstance(adapter, type):
            raise TypeError(
                f"the adapter for {shown!r} is a class: expected an object, {adapter.__name__}()"
            )
        if not callable(getattr(adapter, "send", None)):
            kind = "None" if adapter is None else f"a {type(adapter).__name__}"
            raise TypeError(
                f"the adapter for {shown!r} is {kind}: expected an object with send(), such as"
                " reqkit.adapters.HTTPAdapter()"
            )
        adapters = self.adapters
        adapters[prefix] = adapter
        for shorter in [key for key in adapters if len(key) < len(prefix)]:
            adapters[shorter] = adapters.pop(shorter)

    def get_adapter(self, url: str) -> BaseAdapter:
        """Return the adapter for a URL.

        Raises:
            InvalidSchema: none is mounted for it.
        """
        lowered = url.lower()
        for prefix, adapter in self.adapters.items():
            if lowered.startswith(prefix.lower()):
                return adapter
        likely = suggestion(url)
        raise InvalidSchema(
            f"{without_password(url)!r}: no adapter is mounted for it; the prefixes are"
            f" {', '.join(self.adapters)}" + (f"; perhaps you meant {likely!r}" if likely else "")
        )

    def _adapter_for(self, target: Target) -> BaseAdapter:
        adapters = self._adapters
        if adapters is None:
            adapters = self.adapters
        adapter: BaseAdapter | None = None
        # Nothing mounted: no prefix to look for.
        if len(adapters) == 2 and "https://" in adapters and "http://" in adapters:
            adapter = adapters.get(_PREFIXES.get(target.scheme, ""))
        if adapter is None:
            adapter = self.get_adapter(target.url)
        own = self._own_adapter
        # One that was mounted has its own sizes.
        if own is not None and own is adapter and self._config is not None:
            config = self._settings()
            own.resize(config.pool_connections, config.pool_maxsize)
        return adapter

    def close(self) -> None:
        """Close the connections. The session can be used again."""
        if self._adapters is not None:
            for adapter in set(self._adapters.values()):
                adapter.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- requests ---------------------------------------------------------------------------

    @overload
    def request(
        self, method: str, url: Any, params: Any = None, data: Any = None, *, json: Any = None,
        return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def request(
        self, method: str, url: Any, params: Any = None, data: Any = None, *, json: Any = None,
        return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> Request: ...  # fmt: skip
    def request(
        self,
        method: str,
        url: Any,
        params: Any = None,
        data: Any = None,
        headers: Any = None,
        cookies: Any = None,
        files: Any = None,
        auth: Any = None,
        timeout: Any = UNSET,
        allow_redirects: bool | None = None,
        proxies: Mapping[str, str | None] | None = None,
        hooks: Mapping[str, Any] | None = None,
        stream: bool | None = None,
        verify: Any = None,
        cert: Any = None,
        json: Any = None,
        *,
        config: Mapping[str, Any] | None = None,
        prefetch: bool | None = None,
        return_response: bool = True,
        **others: Any,
    ) -> Any:
        """Make a request and send it; see `reqkit.request` for the arguments. Blocks.

        Returns:
            the `Response`, or the unsent `Request` with ``return_response=False``.

        Raises:
            RequestException: as `reqkit.request` does.
        """
        if others:
            raise unknown("request", others, METHOD_KEYWORDS)
        if hooks or self._hooks:
            args = {
                "method": method, "url": url, "params": params, "data": data, "headers": headers,
                "cookies": cookies, "files": files, "auth": auth, "timeout": timeout,
                "allow_redirects": allow_redirects, "proxies": proxies, "hooks": hooks,
                "stream": stream, "verify": verify, "cert": cert, "json": json, "config": config,
                "prefetch": prefetch,
            }  # fmt: skip
            return self._hooked(args, return_response)
        request = Request(
            method, url, headers, files, data, params, auth, cookies, None, json,
            timeout=timeout, allow_redirects=allow_redirects, proxies=proxies, verify=verify,
            cert=cert, config=config, prefetch=prefetch, stream=stream, session=self,
        )  # fmt: skip
        return self.perform(request) if return_response else request

    def _hooked(self, args: dict[str, Any], return_response: bool) -> Any:
        """Run the ``args`` hooks, and make of what they leave a request."""
        request = request_after_hooks(self, args, None)
        return self.perform(request) if return_response else request

    def prepare_request(self, request: Request) -> PreparedRequest:
        """Return the exact thing that would be sent for a request. Sends nothing.

        Raises:
            RequestException: the URL, a header or another argument is wrong.
        """
        return self._prepare(request, self._settings(request.config), None)

    # -- from the message to the answer -----------------------------------------------------

    def perform(self, request: Request, prefetch: bool | None = None) -> Response:
        """Send an unsent request through this session, and keep the answer in it. Blocks.

        Args:
            request: the request; its settings come before the session's.
            prefetch: read the body before this returns, whatever the request says.

        Raises:
            RequestException: as `reqkit.request` does; none in safe mode.
        """
        outcome = Outcome(request)
        self.attempt(outcome, prefetch)
        error = outcome.error
        if error is None or (outcome.safe and isinstance(error, RequestException)):
            outcome.as_failure = True
            return self.conclude(outcome)
        if outcome.response is not None:  # in danger mode: there is an answer for the hooks
            self.conclude(outcome)
        raise error

    def attempt(
        self, outcome: Outcome, prefetch: bool | None = None, deadline: Deadline | None = None
    ) -> None:
        """Send a request, and put into its outcome how it ended; run no response hook. Blocks.

        Args:
            outcome: of the request; may be attempted again.
            prefetch: read the body, whatever the request says.
            deadline: of an exchange that this is a part of.
        """
        request = outcome.request
        outcome.response = outcome.error = None
        chain: Chain | None = None
        try:
            config = self._settings(request._said.config)
            outcome.safe = config.safe_mode
            terms = terms_of(self, request, config)
            chain = outcome.chain = Chain(terms, request, prefetch, deadline)
            chain.errors = outcome.errors
            if self._own_steps:
                response = self._by_own_steps(outcome, chain, config)
            else:
                prepared = chain.prepared = self._prepare(request, config, chain)
                response = chain.run(prepared)
            outcome.response = response
            if config.danger_mode:
                response.raise_for_status()
        except RequestException as error:
            if error.request is None:
                prepared_one = chain.prepared if chain is not None else None
                error.request = asked = prepared_one if prepared_one is not None else request
                if isinstance(asked.url, str):
                    error._about(without_password(asked.url))
            outcome.error = error
        except Exception as error:
            outcome.error = error

    def conclude(self, outcome: Outcome) -> Response:
        """Run the response hooks of an outcome, once, and return what they leave.

        A failed request's response carries the error. Runs the user's code. Where that was
        stopped, a further call runs the hooks that are left.
        """
        request = outcome.request
        chain = outcome.chain
        response = outcome.response
        if outcome.error is not None and (response is None or outcome.as_failure):
            response = failed_response(request, outcome.error, chain)
        assert response is not None
        before = outcome.errors if chain is None else chain.errors
        if before:
            response.hook_errors.extend(before)
        request.response = response
        prepared = chain.prepared if chain is not None else None
        pending = outcome.pending
        if pending is None:
            hooks = prepared._hooks if prepared is not None else self._hooks_for(request)
            if hooks is None or not hooks["response"]:
                return response
            pending = outcome.pending = list(hooks["response"])
            credentials = prepared._credentials if prepared is not None else None
            auths = None if credentials is None else credentials.auth_hooks
            if auths:
                pending[:] = [hook for hook in pending if hook not in auths]
        keywords = chain.keywords() if chain is not None else {}
        errors: list[Exception] = []
        result: Any = response
        while pending:
            result = dispatch_hook("response", (pending.pop(0),), result, errors, **keywords)
        if errors:
            kept = result if isinstance(result, Response) else response
            kept.hook_errors.extend(errors)
        request.response = result
        return result  # type: ignore[no-any-return]

    def send(self, request: PreparedRequest | Any, **keywords: Any) -> Response:
        """Send a prepared request. Blocks.

        Args:
            request: what `prepare_request` made.
            **keywords: ``timeout verify cert proxies stream prefetch allow_redirects config``;
                what is not given is the session's.

        Raises:
            ValueError: it is not a prepared request.
            RequestException: as `reqkit.request` does.
        """
        if not isinstance(request, PreparedRequest):
            hint = "; use session.prepare_request(request)" if isinstance(request, Request) else ""
            raise ValueError(f"You can only send PreparedRequests, not {told(request)}{hint}")
        for name in keywords:
            if name not in _SEND_KEYWORDS:
                raise unknown("send", [name], _SEND_KEYWORDS)
        given = Request(request.method, request.url, **keywords)
        outcome = Outcome(given)
        chain: Chain | None = None
        try:
            config = self._settings(given.config)
            outcome.safe = config.safe_mode
            chain = outcome.chain = Chain(terms_of(self, given, config), given)
            chain.prepared = request
            outcome.response = chain.run(request)
            if config.danger_mode:
                outcome.response.raise_for_status()
        except RequestException as error:
            if error.request is None:
                error.request = request
            outcome.error = error
            if not outcome.safe:
                if outcome.response is not None:
                    self.conclude(outcome)
                raise
        outcome.as_failure = True
        return self.conclude(outcome)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["_merged"] = state["_terms"] = None
        config = state.get("_config")
        if config is not None and config["verbose"] is not None:
            config = state["_config"] = config.copy()
            config["verbose"] = None  # a stream belongs to its process
        return state


def session(**defaults: Any) -> Session:
    """Make a `Session`, as the class does."""
    return Session(**defaults)


class SingleUseSession(Session):
    """A session for one request: its own cookies, the connections of all one-shot calls.

    Made by the thousand, and kept with the answers: until something is set it holds nothing.
    """

    auth = None
    params: Any = MappingProxyType({})
    proxies: Any = MappingProxyType({})
    prefetch = False
    _headers = None
    _cookies = None
    _hooks = None
    _config = None
    _timeouts = DEFAULT_TIMEOUTS
    _timeout = UNSET
    _verify = None
    _cert = None
    _merged = None
    _keeps_terms = False
    _own_adapter = None

    def __init__(self) -> None:
        pass  # all is the class's


def _share_adapters() -> None:
    adapter = HTTPAdapter(100, 10)
    SingleUseSession._adapters = {"https://": adapter, "http://": adapter}


_share_adapters()
Request.fresh_session = SingleUseSession
