"""The unsent request: what the user wants, still to be changed, sent once or many times."""

from __future__ import annotations

import copyreg
import traceback
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .._pickling import can_be_pickled, portable_values
from ..hooks import Hook, Hooks
from .arguments import NO_ARGUMENTS, Arguments
from .keywords import UNSET, unknown
from .placeholders import NO_JSON, RESPONSE_ATTRIBUTES, ResponseAttribute
from .urls import without_secrets

if TYPE_CHECKING:
    from typing_extensions import Never

    from .._types import (
        Auth,
        Cert,
        ConfigDict,
        Cookies,
        Data,
        Files,
        Headers,
        HooksDict,
        Params,
        Proxies,
        SessionLike,
        Timeout,
        Url,
        Verify,
    )
    from .response import Response

__all__ = ["NO_ARGUMENTS", "UnsentRequest"]


class _Setting:
    """An attribute of a request that is a part of what it says."""

    __slots__ = ("name",)

    def __set_name__(self, kind: type[UnsentRequest], name: str) -> None:
        self.name: str = name

    def __get__(self, request: UnsentRequest | None, kind: type[UnsentRequest]) -> Any:
        return self if request is None else getattr(request._arguments, self.name)

    def __set__(self, request: UnsentRequest, value: Any) -> None:
        setattr(request._own_arguments(), self.name, value)


class _Json(_Setting):
    """A request's JSON."""

    __slots__ = ()

    def __get__(self, request: UnsentRequest | None, kind: type[UnsentRequest]) -> Any:
        if request is None:
            return self
        value = request._arguments.json
        return NO_JSON if value is None else value

    def __set__(self, request: UnsentRequest, value: Any) -> None:
        request._own_arguments().json = None if value is NO_JSON else value


class UnsentRequest:
    """What a request asks for, still to be changed; it knows nothing of how it is sent."""

    __slots__ = ("__dict__", "__weakref__", "_arguments", "_response", "method", "session", "url")

    #: A response, or a weak reference to one that keeps the request itself.
    _response: Any
    #: Shared by many: `_own_arguments` returns one to be changed.
    _arguments: Arguments
    #: The `Session` that it is sent through, or None for one of its own.
    session: Any

    allow_redirects: _Setting = _Setting()
    auth: _Setting = _Setting()
    callback: _Setting = _Setting()
    cert: _Setting = _Setting()
    config: _Setting = _Setting()
    #: Any object of the caller's: sent nowhere, and the response's `context` too.
    context: _Setting = _Setting()
    #: The request's own cookies: a dictionary or a jar, or None.
    cookies: _Setting = _Setting()
    data: _Setting = _Setting()
    exception_handler: _Setting = _Setting()
    files: _Setting = _Setting()
    json: _Json = _Json()
    prefetch: _Setting = _Setting()
    proxies: _Setting = _Setting()
    timeout: _Setting = _Setting()
    verify: _Setting = _Setting()

    def __init__(
        self,
        method: str | None = None,
        url: Url | None = None,
        headers: Headers = None,
        files: Files = None,
        data: Data = None,
        params: Params = None,
        auth: Auth = None,
        cookies: Cookies = None,
        hooks: HooksDict | None = None,
        json: Any = None,
        *,
        timeout: Timeout = UNSET,
        allow_redirects: bool | None = None,
        proxies: Proxies = None,
        verify: Verify = None,
        cert: Cert = None,
        config: ConfigDict | None = None,
        prefetch: bool | None = None,
        stream: bool | None = None,
        session: SessionLike | None = None,
        callback: Hook | None = None,
        context: Any = None,
        exception_handler: Callable[[Any, Exception], Any] | None = None,
        **others: Never,
    ) -> None:
        if others:
            raise unknown("Request", others)
        if json is NO_JSON:  # another request's
            json = None
        self.method: str | None = method
        self.url: Url | None = url
        self.session = session
        self._response = None
        if (
            headers is None and files is None and data is None and params is None and auth is None
            and cookies is None and hooks is None and json is None and timeout is UNSET
            and allow_redirects is None and proxies is None and verify is None and cert is None
            and config is None and prefetch is None and stream is None and callback is None
            and context is None and exception_handler is None
        ):  # fmt: skip
            self._arguments = NO_ARGUMENTS
            return
        arguments = self._arguments = Arguments()
        # What is changed here later is no business of the caller's dictionaries.
        arguments.headers = headers if headers is None else _own(headers)
        arguments.files = files if files is None else _own(files)
        arguments.data = data.copy() if type(data) is dict else data
        arguments.params = params if params is None else _own(params)
        arguments.auth = auth
        arguments.cookies = cookies if cookies is None else _own(cookies)
        arguments.hooks = None if hooks is None else Hooks(hooks)
        arguments.hook_errors = arguments.positions = None
        arguments.json = json
        arguments.timeout = timeout
        arguments.allow_redirects = allow_redirects
        arguments.proxies = proxies if proxies is None else _own(proxies)
        arguments.verify = verify
        arguments.cert = cert
        arguments.config = config if config is None else _own(config)
        if stream is not None:  # what is neither True nor False is refused when it is sent
            prefetch = not stream if stream in (True, False) else stream
        arguments.prefetch = prefetch
        arguments.callback = callback
        arguments.context = context
        arguments.exception_handler = exception_handler

    def _own_arguments(self) -> Arguments:
        """Return what the request says, to be changed."""
        arguments = self._arguments
        if arguments is NO_ARGUMENTS:
            arguments = self._arguments = arguments.copy()
        return arguments

    @property
    def response(self) -> Response | None:
        """The `Response` of the last time that it was sent, or None."""
        kept = self._response
        return kept() if type(kept) is weakref.ref else kept

    @response.setter
    def response(self, value: Any) -> None:
        self._response = value

    # Dictionaries are made when they are asked for: a hundred thousand unsent requests are light.

    @property
    def headers(self) -> Any:
        """The request's own headers, a dictionary."""
        if self._arguments.headers is None:
            self._own_arguments().headers = {}
        return self._arguments.headers

    @headers.setter
    def headers(self, value: Any) -> None:
        self._own_arguments().headers = value

    @property
    def params(self) -> Any:
        """The query: a dictionary, a list of pairs, or a str."""
        if self._arguments.params is None:
            self._own_arguments().params = {}
        return self._arguments.params

    @params.setter
    def params(self, value: Any) -> None:
        self._own_arguments().params = value

    @property
    def hooks(self) -> Hooks:
        """The request's own hooks: a list for each name."""
        hooks = self._arguments.hooks
        if hooks is None:
            hooks = self._own_arguments().hooks = Hooks()
        return hooks

    @hooks.setter
    def hooks(self, value: Any) -> None:
        self._own_arguments().hooks = None if value is None else Hooks(value)

    @property
    def stream(self) -> bool | None:
        """Whether the body is left unread: the contrary of ``prefetch``."""
        return None if self.prefetch is None else not self.prefetch

    @stream.setter
    def stream(self, value: bool | None) -> None:
        self.prefetch = None if value is None else not value

    def register_hook(self, event: str, hook: Any) -> None:
        """Add a hook, or several.

        Raises:
            ValueError: there is no hook of that name, or it cannot be called.
        """
        self.hooks.register(event, hook)

    def deregister_hook(self, event: str, hook: Hook) -> bool:
        """Remove a hook; tell whether it was there."""
        return self.hooks.deregister(event, hook)

    @property
    def exception(self) -> Exception | None:
        """Why it failed when it was last sent: the ``error`` of its response, or None."""
        error: Exception | None = getattr(self.response, "error", None)
        return error

    @property
    def traceback(self) -> str | None:
        """The traceback of ``exception``, as text."""
        error = self.exception
        if error is None:
            return None
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))

    def _unanswered(self) -> UnsentRequest:
        """Return the same request without its response, for what the response keeps."""
        twin: UnsentRequest = object.__new__(type(self))
        twin.method = self.method
        twin.url = self.url
        twin.session = self.session
        twin._response = None
        twin._arguments = self._arguments
        if self.__dict__:
            twin.__dict__.update(self.__dict__)
        return twin

    def __repr__(self) -> str:
        return f"<Request [{self.method}]>"

    def describe(self) -> str:
        """Return method and URL, without secrets, for messages."""
        return f"{self.method} {without_secrets(str(self.url))}"

    def _bare(self, url: Any) -> UnsentRequest:
        """Return a request of this package's own class, with this one's method alone."""
        kind = next(kind for kind in type(self).__mro__ if kind.__module__.startswith("reqkit."))
        bare: UnsentRequest = object.__new__(kind)
        bare.method = self.method if isinstance(self.method, str) else None
        bare.url = url
        bare.session = bare.response = None
        bare._arguments = NO_ARGUMENTS
        return bare

    def _without_secrets(self) -> UnsentRequest:
        """Return a copy that an error may be pickled with."""
        return self._bare(without_secrets(self.url) if isinstance(self.url, str) else None)

    def _portable(self) -> UnsentRequest:
        """Return a copy with what of it can be pickled, its session left out.

        What stays behind is what the request of a failed response may have: a hook, an open file,
        an auth object.
        """
        kept = self._bare(self.url if can_be_pickled(self.url) else str(self.url))
        arguments = self._arguments
        if arguments is not NO_ARGUMENTS:
            for name in Arguments.__slots__:
                value = getattr(arguments, name)
                if (
                    value is not getattr(NO_ARGUMENTS, name)
                    and name != "hook_errors"
                    and can_be_pickled(value)
                ):
                    setattr(kept._own_arguments(), name, value)
        if own := self.__dict__:
            kept.__dict__.update(portable_values(own))
        return kept

    def __reduce__(self) -> tuple[Any, ...]:
        # The answer stays behind: it may hold a connection.
        given = {
            name: value
            for name in Arguments.__slots__
            if (value := getattr(self._arguments, name)) is not getattr(NO_ARGUMENTS, name)
            and name not in ("hook_errors", "positions")
        }
        state = {"method": self.method, "url": self.url, "session": self.session, **self.__dict__}
        # Named as users import it: a pickle of one version is read by the next.
        return copyreg.__newobj__, (type(self),), (state, given)  # type: ignore[attr-defined]

    def __setstate__(self, state: tuple[dict[str, Any], dict[str, Any]]) -> None:
        self.response = None
        self._arguments = NO_ARGUMENTS
        own, given = state
        for name, value in own.items():
            setattr(self, name, value)
        for name, value in given.items():
            setattr(self._own_arguments(), name, value)


for _name in RESPONSE_ATTRIBUTES:
    setattr(UnsentRequest, _name, ResponseAttribute(_name))


def _own(given: Any) -> Any:
    """Return a copy of a plain dictionary, what an iterator gives, and anything else as it is.

    A request that is sent again says the same again.
    """
    if type(given) is dict:
        return given.copy()
    return list(given) if hasattr(given, "__next__") else given
