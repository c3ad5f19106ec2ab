"""The unsent request: what the user wants, still to be changed, sent once or many times."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from .._pickling import can_be_pickled, portable_values
from ..hooks import Hook, Hooks
from .bodies import Positions
from .settings import UNSET, unknown
from .urls import without_password

if TYPE_CHECKING:
    from .response import Response

__all__ = ["NOTHING_SAID", "Said", "UnsentRequest"]

#: What is asked of a request by who forgot to send it.
_OF_ANSWERS: Final = (
    "content", "history", "iter_content", "iter_lines", "ok", "raise_for_status", "reason",
    "status_code", "text",
)  # fmt: skip


class _OfAnswers:
    """Says of what an answer has, that a request has none of it: it was not sent yet.

    A ``__getattr__`` would do the same, and make each look-up of what is there several times
    slower.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, request: Any, kind: type[UnsentRequest]) -> Any:
        raise AttributeError(
            f"{kind.__name__!r} object has no attribute {self.name!r}: it is an unsent request."
            " Send it, with send() or reqkit_async.map(), and ask the response",
            name=self.name,
            obj=request,
        )


class Said:
    """What a request says beside its method and URL, by the names of its attributes.

    Most requests of a batch say nothing: they share `NOTHING_SAID`, so that they are light and
    are told from others at one look.
    """

    __slots__ = (
        "allow_redirects", "auth", "callback", "cert", "config", "cookies", "data", "files",
        "headers", "hook_errors", "hooks", "json", "params", "positions", "prefetch", "proxies",
        "timeout", "verify",
    )  # fmt: skip

    allow_redirects: bool | None
    auth: Any
    callback: Hook | None
    cert: Any
    config: Mapping[str, Any] | None
    cookies: Any
    data: Any
    files: Any
    headers: Any
    #: What ``args`` hooks raised when the arguments were taken.
    hook_errors: list[Exception] | None
    hooks: Hooks | None
    json: Any
    params: Any
    #: Where the files that are sent stood when the request was first prepared.
    positions: Positions | None
    prefetch: bool | None
    proxies: Mapping[str, str | None] | None
    timeout: Any
    verify: Any

    def copy(self) -> Said:
        """Return a copy, to be changed."""
        copied = Said()
        for name in Said.__slots__:
            setattr(copied, name, getattr(self, name))
        return copied


def _nothing_said() -> Said:
    nothing = Said()
    for name in Said.__slots__:
        setattr(nothing, name, None)
    nothing.timeout = UNSET
    return nothing


#: Never changed.
NOTHING_SAID: Final = _nothing_said()


class _Setting:
    """An attribute of a request that is a part of what it says."""

    __slots__ = ("name",)

    def __set_name__(self, kind: type[UnsentRequest], name: str) -> None:
        self.name = name

    def __get__(self, request: UnsentRequest | None, kind: type[UnsentRequest]) -> Any:
        return self if request is None else getattr(request._said, self.name)

    def __set__(self, request: UnsentRequest, value: Any) -> None:
        setattr(request._say(), self.name, value)


class UnsentRequest:
    """What a request asks for, still to be changed; it knows nothing of how it is sent."""

    __slots__ = ("__dict__", "__weakref__", "_said", "method", "response", "session", "url")

    #: The `Response` of the last time that it was sent, or None.
    response: Response | None
    #: Shared by many: `_say` returns one to be changed.
    _said: Said

    allow_redirects = _Setting()
    auth = _Setting()
    callback = _Setting()
    cert = _Setting()
    config = _Setting()
    #: The request's own cookies: a dictionary or a jar, or None.
    cookies = _Setting()
    data = _Setting()
    files = _Setting()
    json = _Setting()
    prefetch = _Setting()
    proxies = _Setting()
    timeout = _Setting()
    verify = _Setting()

    def __init__(
        self,
        method: str | None = None,
        url: Any = None,
        headers: Any = None,
        files: Any = None,
        data: Any = None,
        params: Any = None,
        auth: Any = None,
        cookies: Any = None,
        hooks: Any = None,
        json: Any = None,
        *,
        timeout: Any = UNSET,
        allow_redirects: bool | None = None,
        proxies: Mapping[str, str | None] | None = None,
        verify: Any = None,
        cert: Any = None,
        config: Mapping[str, Any] | None = None,
        prefetch: bool | None = None,
        stream: bool | None = None,
        session: Any = None,
        callback: Hook | None = None,
        **others: Any,
    ) -> None:
        if others:
            raise unknown("Request", others)
        self.method = method
        self.url = url
        self.session = session
        self.response = None
        if (
            headers is None and files is None and data is None and params is None and auth is None
            and cookies is None and hooks is None and json is None and timeout is UNSET
            and allow_redirects is None and proxies is None and verify is None and cert is None
            and config is None and prefetch is None and stream is None and callback is None
        ):  # fmt: skip
            self._said = NOTHING_SAID
            return
        said = self._said = Said()
        # What is changed here later is no business of the caller's dictionaries.
        said.headers = headers if headers is None else _own(headers)
        said.files = files if files is None else _own(files)
        said.data = data.copy() if type(data) is dict else data
        said.params = params if params is None else _own(params)
        said.auth = auth
        said.cookies = cookies if cookies is None else _own(cookies)
        said.hooks = None if hooks is None else Hooks(hooks)
        said.hook_errors = said.positions = None
        said.json = json
        said.timeout = timeout
        said.allow_redirects = allow_redirects
        said.proxies = proxies if proxies is None else _own(proxies)
        said.verify = verify
        said.cert = cert
        said.config = config if config is None else _own(config)
        if stream is not None:  # what is neither True nor False is refused when it is sent
            prefetch = not stream if stream in (True, False) else stream
        said.prefetch = prefetch
        said.callback = callback

    def _say(self) -> Said:
        """Return what the request says, to be changed."""
        said = self._said
        if said is NOTHING_SAID:
            said = self._said = said.copy()
        return said

    # Dictionaries are made when they are asked for: a hundred thousand unsent requests are light.

    @property
    def headers(self) -> Any:
        """The request's own headers, a dictionary."""
        if self._said.headers is None:
            self._say().headers = {}
        return self._said.headers

    @headers.setter
    def headers(self, value: Any) -> None:
        self._say().headers = value

    @property
    def params(self) -> Any:
        """The query: a dictionary, a list of pairs, or a str."""
        if self._said.params is None:
            self._say().params = {}
        return self._said.params

    @params.setter
    def params(self, value: Any) -> None:
        self._say().params = value

    @property
    def hooks(self) -> Hooks:
        """The request's own hooks: a list for each name."""
        hooks = self._said.hooks
        if hooks is None:
            hooks = self._say().hooks = Hooks()
        return hooks

    @hooks.setter
    def hooks(self, value: Any) -> None:
        self._say().hooks = None if value is None else Hooks(value)

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

    def __repr__(self) -> str:
        return f"<Request [{self.method}]>"

    def describe(self) -> str:
        """Return method and URL, without a password, for messages."""
        return f"{self.method} {without_password(str(self.url))}"

    def _bare(self, url: Any) -> UnsentRequest:
        """Return a request of this package's own class, with this one's method alone."""
        kind = next(kind for kind in type(self).__mro__ if kind.__module__.startswith("reqkit."))
        bare: UnsentRequest = object.__new__(kind)
        bare.method = self.method if isinstance(self.method, str) else None
        bare.url = url
        bare.session = bare.response = None
        bare._said = NOTHING_SAID
        return bare

    def _without_secrets(self) -> UnsentRequest:
        """Return a copy that an error may be pickled with."""
        return self._bare(without_password(self.url) if isinstance(self.url, str) else None)

    def _portable(self) -> UnsentRequest:
        """Return a copy with what of it can be pickled, its session left out.

        What stays behind is what the request of a failed response may have: a hook, an open file,
        an auth object.
        """
        kept = self._bare(self.url if can_be_pickled(self.url) else str(self.url))
        said = self._said
        if said is not NOTHING_SAID:
            for name in Said.__slots__:
                value = getattr(said, name)
                if (
                    value is not getattr(NOTHING_SAID, name)
                    and name != "hook_errors"
                    and can_be_pickled(value)
                ):
                    setattr(kept._say(), name, value)
        if own := self.__dict__:
            kept.__dict__.update(portable_values(own))
        return kept

    def __reduce__(self) -> tuple[Any, ...]:
        # The answer stays behind: it may hold a connection.
        said = {
            name: value
            for name in Said.__slots__
            if (value := getattr(self._said, name)) is not getattr(NOTHING_SAID, name)
            and name not in ("hook_errors", "positions")
        }
        state = {"method": self.method, "url": self.url, "session": self.session, **self.__dict__}
        return _rebuild, (type(self), state, said)


for _name in _OF_ANSWERS:
    setattr(UnsentRequest, _name, _OfAnswers(_name))


def _own(given: Any) -> Any:
    """Return a copy of a plain dictionary, what an iterator gives, and anything else as it is.

    A request that is sent again says the same again.
    """
    if type(given) is dict:
        return given.copy()
    return list(given) if hasattr(given, "__next__") else given


def _rebuild(
    kind: type[UnsentRequest], state: dict[str, Any], said: dict[str, Any]
) -> UnsentRequest:
    request = kind.__new__(kind)
    request.response = None
    request._said = NOTHING_SAID
    for name, value in state.items():
        setattr(request, name, value)
    for name, value in said.items():
        setattr(request._say(), name, value)
    return request
