"""Sessions: a user's defaults, cookies and connections, and the way of one request through them.

A request passes down as `Request` → `PreparedRequest` → messages, and up as `Response`. A session
may be shared by threads and greenlets: what one request changes is its own, but for the cookies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, overload

from .._types import SessionKeywords
from ..adapters import HTTPAdapter
from ..base.signatures import explicit_signature
from ..hooks import Hooks, merge_hooks
from ..message.config import Config
from ..message.credentials import auth_of
from ..message.keywords import METHOD_KEYWORDS, UNSET, unknown
from ..message.prepare import PreparedRequest
from ..message.request import UnsentRequest
from ..message.response import Response
from ..timeouts import DEFAULT_TIMEOUTS
from ..transport.routes import check_proxies
from .arguments import after_hooks
from .overrides import OverridableSession
from .verbs import Verbs

if TYPE_CHECKING:
    from typing_extensions import Never, Unpack

    from .._types import (
        Auth,
        Cert,
        ConfigDict,
        Cookies,
        Data,
        Files,
        Headers,
        HooksDict,
        Keywords,
        Params,
        Proxies,
        Timeout,
        Url,
        Verify,
    )

# `merge_hooks` is looked for here by users of requests.
__all__ = [
    "Request",
    "Session",
    "SingleUseSession",
    "merge_hooks",
    "request_after_hooks",
    "session",
]


class Session(OverridableSession, Verbs["Request"]):
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
        base_url: what URLs without a scheme are joined to: ``users`` and ``/users``.
        allow_address: which addresses may be connected to: see the attribute.
    """

    __module__ = "reqkit.sessions"

    @explicit_signature()
    def __init__(
        self,
        headers: Headers = None,
        cookies: Cookies = None,
        auth: Auth = None,
        timeout: Timeout = UNSET,
        proxies: Proxies = None,
        hooks: HooksDict | None = None,
        params: Params = None,
        config: ConfigDict | None = None,
        verify: Verify = None,
        cert: Cert = None,
        prefetch: bool = False,
        *,
        base_url: Url | None = None,
        allow_address: Callable[..., bool] | None = None,
        **others: Never,
    ) -> None:
        if others:
            known = (
                "headers", "cookies", "auth", "timeout", "proxies", "hooks", "params", "config",
                "verify", "cert", "prefetch", "base_url", "allow_address",
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
        self._connection = None
        self._adapters = None
        self._own_adapter = None
        self.auth = auth
        if proxies is not None:
            check_proxies(proxies)
        self.proxies: Any = dict(proxies or {})
        self.params: Any = dict(params) if isinstance(params, Mapping) else params or {}
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
        if base_url is not None:
            self.base_url = base_url
        if allow_address is not None:
            self.allow_address = allow_address
        if auth is not None:
            auth_of(auth)

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @overload
    def request(
        self, method: str, url: Url, params: Params = None, data: Data = None, *,
        json: Any = None, return_response: Literal[True] = True, **keywords: Unpack[Keywords],
    ) -> Response: ...  # fmt: skip
    @overload
    def request(
        self, method: str, url: Url, params: Params = None, data: Data = None, *,
        json: Any = None, return_response: Literal[False], **keywords: Unpack[Keywords],
    ) -> Request: ...  # fmt: skip
    def request(
        self,
        method: str,
        url: Url,
        params: Params = None,
        data: Data = None,
        headers: Headers = None,
        cookies: Cookies = None,
        files: Files = None,
        auth: Auth = None,
        timeout: Timeout = UNSET,
        allow_redirects: bool | None = None,
        proxies: Proxies = None,
        hooks: HooksDict | None = None,
        stream: bool | None = None,
        verify: Verify = None,
        cert: Cert = None,
        json: Any = None,
        *,
        config: ConfigDict | None = None,
        prefetch: bool | None = None,
        context: Any = None,
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
                "prefetch": prefetch, "context": context,
            }  # fmt: skip
            return self._hooked(args, return_response)
        request = Request(
            method, url, headers, files, data, params, auth, cookies, None, json,
            timeout=timeout, allow_redirects=allow_redirects, proxies=proxies, verify=verify,
            cert=cert, config=config, prefetch=prefetch, stream=stream, session=self,
            context=context,
        )  # fmt: skip
        return self.perform(request) if return_response else request

    def _hooked(self, args: dict[str, Any], return_response: bool) -> Any:
        """Run the ``args`` hooks, and make of what they leave a request."""
        request = request_after_hooks(self, args)
        return self.perform(request) if return_response else request

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state["_merged"] = state["_connection"] = None
        config = state.get("_config")
        if config is not None and not (config["verbose"] is config["trace"] is None):
            config = state["_config"] = config.copy()
            config["verbose"] = config["trace"] = None  # a stream belongs to its process
        return state


@explicit_signature(SessionKeywords, defaults={"timeout": UNSET, "prefetch": False})
def session(**defaults: Unpack[SessionKeywords]) -> Session:
    """Make a `Session`, as the class does."""
    return Session(**defaults)


class SingleUseSession(Session):
    """A session for one request: its own cookies, the connections of all one-shot calls.

    Made by the thousand, and kept with the answers: until something is set it holds nothing.
    """

    __module__ = "reqkit.sessions"

    auth: Any = None
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
    _keeps_connection = False
    _own_adapter = None

    def __init__(self) -> None:
        pass  # all is the class's


def _share_adapters() -> None:
    adapter = HTTPAdapter(100, 10)
    SingleUseSession._adapters = {"https://": adapter, "http://": adapter}


_share_adapters()


class Request(UnsentRequest):
    """A request that was not sent yet.

    Every argument is an attribute that can be read and set until it is sent; nothing is looked
    at, and nothing costs more than keeping it, before then.

    Args:
        method: ``GET``, ``POST``, …; written in upper case when it is sent.
        url: where to, with its scheme.
        headers, files, data, params, auth, cookies, hooks, json: as in `reqkit.request`.
        session: whose defaults, cookies and connections count; None for those of a one-shot call.
        callback: one more ``response`` hook, after the request's and the session's.
        **settings: ``timeout allow_redirects proxies verify cert config prefetch stream context``,
            as in `reqkit.request`.

    Raises:
        TypeError: an argument that does not exist; the text has the nearest one.
    """

    __slots__ = ()
    __module__ = "reqkit.models"

    def _session(self) -> Any:
        return self.session if self.session is not None else SingleUseSession()

    @property
    def sent(self) -> bool:
        """Whether it was sent, and has a response: of a failed one, too."""
        return self._response is not None

    @property
    def path_url(self) -> str:
        """The path and the query, as they would go out.

        Raises:
            InvalidURL: the URL is wrong; or one of its kind.
        """
        session = self._session()
        path: str = session._target_of(self, session._settings(self.config).encode_uri).path
        return path

    def prepare(self) -> PreparedRequest:
        """Return the exact thing that would be sent. Sends nothing.

        Raises:
            RequestException: the URL, a header or another argument is wrong.
        """
        prepared: PreparedRequest = self._session().prepare_request(self)
        return prepared

    def send(self, prefetch: bool | None = None, *, stream: bool | None = None) -> Response:
        """Send it through its session, and keep the answer as ``response``. Blocks.

        Args:
            prefetch: True reads the body before this returns; None leaves it to the request.
            stream: the contrary of ``prefetch``.

        Returns:
            the `Response`; whoever gets it reads or closes it.

        Raises:
            RequestException: as `reqkit.request` does.
        """
        if stream is not None:
            prefetch = not stream
        response: Response = self._session().perform(self, prefetch=prefetch)
        return response


def request_after_hooks(
    session: Session | None, args: dict[str, Any], callback: Any = None
) -> Request:
    """Make a request of what the ``args`` hooks leave of its arguments.

    Args:
        session: what it is to be sent through, and whose hooks and defaults count.
        args: the arguments.
        callback: one more response hook.
    """
    args, errors = after_hooks(session, args)
    request = Request(**args, session=session, callback=callback)
    if errors:
        request._own_arguments().hook_errors = errors
    return request
