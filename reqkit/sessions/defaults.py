"""A session's defaults: attributes that can be read and set at any time, and are checked then."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from .. import cookies as jars
from ..base.locks import native_rlock
from ..base.redact import redacted
from ..exceptions import InvalidSchema
from ..hooks import Hooks
from ..message.config import Config
from ..message.headers import header_text, merge_headers
from ..message.keywords import UNSET
from ..message.urls import DEFAULT_PORTS, prepare_url
from ..structures import CaseInsensitiveDict
from ..timeouts import DEFAULT_TIMEOUTS, Timeouts
from ..transport.address_filter import AddressFilter
from ..transport.tls.settings import check_cert, check_verify

T = TypeVar("T")

__all__ = ["FIRST_TIME", "Defaults", "is_jar"]

#: Held while something is put in its place that is made when it is first asked for: of threads that
#: ask at one time each gets the same. Never held while anything waits.
FIRST_TIME: Final[Any] = native_rlock()


class Defaults:
    """What counts for each request of a session that does not say otherwise.

    Attributes:
        auth: a ``(user, password)`` pair (Basic), or a callable.
        params: added to each URL's query.
        proxies: scheme, ``scheme://host`` or ``all`` to a proxy's URL.
        prefetch: whether each body is read before the call returns.
    """

    auth: Any
    params: Any
    proxies: Any
    prefetch: bool
    _headers: CaseInsensitiveDict | None
    _cookies: Any
    _hooks: Hooks | None
    _config: Config | None
    _timeout: Any
    _timeouts: Timeouts
    _verify: Any
    _cert: Any
    _allow_address: AddressFilter | None = None
    _base_url: Any = None
    #: The options of calls that say nothing themselves, made of these: see `chain`.
    _connection: weakref.ref[Any] | None

    def _first(self, name: str, made: T) -> T:
        """Put in place what was made since it was asked for, unless another thread was faster."""
        with FIRST_TIME:
            found: T | None = getattr(self, name)
            if found is None:
                setattr(self, name, made)
            return made if found is None else found

    @property
    def base_url(self) -> Any:
        """What URLs without a scheme are joined to, or None. Its path counts as a folder."""
        return self._base_url

    @base_url.setter
    def base_url(self, value: Any) -> None:
        if value is not None:
            target = prepare_url(value)  # what is none is an error now
            if target.scheme not in DEFAULT_PORTS:
                raise InvalidSchema(
                    f"base_url has the scheme {target.scheme!r}: expected http or https"
                )
        self._base_url = value

    @property
    def headers(self) -> CaseInsensitiveDict:
        """The headers sent with each request, on top of ``config['base_headers']``."""
        headers = self._headers
        return self._first("_headers", CaseInsensitiveDict()) if headers is None else headers

    @headers.setter
    def headers(self, value: Any) -> None:
        if value is not None and not isinstance(value, Mapping):
            value = merge_headers(None, value)
        kept = CaseInsensitiveDict()
        several = isinstance(value, CaseInsensitiveDict)  # which has its names' fields in order
        for name, text in value.pairs() if several else (value or {}).items():
            # None is kept: it leaves a base header out.
            if text is not None:
                text = header_text(text, "value", name)
            name = header_text(name)
            if several and text is not None and name in kept:
                kept.add(name, text)
            else:
                kept[name] = text
        self._headers = kept

    @property
    def cookies(self) -> Any:
        """The jar of all cookies that answers have set, and those that were put in by hand."""
        cookies = self._cookies
        return self._first("_cookies", jars.CookieJar()) if cookies is None else cookies

    @cookies.setter
    def cookies(self, value: Any) -> None:
        if value is None or isinstance(value, Mapping):
            value = jars.cookiejar_from_dict(dict(value or {})) if not is_jar(value) else value
        elif not is_jar(value):
            value = jars.to_jar(value)
        self._cookies = value

    @property
    def timeout(self) -> Any:
        """The time limits, as they were given."""
        return DEFAULT_TIMEOUTS if self._timeout is UNSET else self._timeout

    @timeout.setter
    def timeout(self, value: Any) -> None:
        self._timeouts = Timeouts.of(value)
        self._timeout = value
        self._connection = None

    @property
    def hooks(self) -> Hooks:
        """The hooks: a list for each name."""
        hooks = self._hooks
        return self._first("_hooks", Hooks()) if hooks is None else hooks

    @hooks.setter
    def hooks(self, value: Any) -> None:
        self._hooks = Hooks(value)

    @property
    def config(self) -> Config:
        """The settings; see the documentation's table."""
        config = self._config
        return self._first("_config", Config()) if config is None else config

    @config.setter
    def config(self, value: Any) -> None:
        self._config = value if type(value) is Config else Config(value)

    @property
    def verify(self) -> Any:
        """What certificates are verified with: True, False, a CA file or a folder."""
        return True if self._verify is None else self._verify

    @verify.setter
    def verify(self, value: Any) -> None:
        if value is not None:
            check_verify(value)
        self._verify = value
        self._connection = None

    @property
    def cert(self) -> Any:
        """The client certificate: a file, ``(cert, key)``, or None."""
        return self._cert

    @cert.setter
    def cert(self, value: Any) -> None:
        check_cert(value)
        self._cert = value
        self._connection = None

    @property
    def allow_address(self) -> Callable[..., bool] | None:
        """What says which addresses may be connected to; None: all.

        Called with an `ipaddress.IPv4Address` or ``IPv6Address`` for each address of a host, once
        the name is looked up and before anything is sent there; on each redirect, retry and auth
        answer too. True allows it. One that takes ``**kwargs`` also gets ``host``, ``port`` and
        ``proxy`` (its URL without the password, where the address is a proxy's). It must not wait.

        Connections are kept for it alone: another one, or None, starts with new ones.
        """
        return None if self._allow_address is None else self._allow_address.ask

    @allow_address.setter
    def allow_address(self, value: Any) -> None:
        if value is not None and not callable(value):
            raise TypeError(
                f"allow_address is {redacted(value)}: expected None, or a callable that gets an"
                " address and returns True or False"
            )
        self._allow_address = None if value is None else AddressFilter(value)
        self._connection = None

    @property
    def stream(self) -> bool:
        """Whether bodies are left unread: the contrary of ``prefetch``."""
        return not self.prefetch

    @stream.setter
    def stream(self, value: bool) -> None:
        self.prefetch = not value

    @property
    def trust_env(self) -> bool:
        """``config['trust_env']``."""
        trusted: bool = self.config["trust_env"]
        return trusted

    @trust_env.setter
    def trust_env(self, value: bool) -> None:
        self.config["trust_env"] = value

    @property
    def max_redirects(self) -> int:
        """``config['max_redirects']``."""
        most: int = self.config["max_redirects"]
        return most

    @max_redirects.setter
    def max_redirects(self, value: int) -> None:
        self.config["max_redirects"] = value


def is_jar(value: Any) -> bool:
    """Tell whether it is a cookie jar, ours or the standard library's."""
    return hasattr(value, "extract_cookies")
