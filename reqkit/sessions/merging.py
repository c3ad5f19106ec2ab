"""From a request to the message that is sent: a session's defaults merged with what it says."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

from .. import cookies as jars
from ..exceptions import InvalidHeader
from ..hooks import Hook, Hooks, merge_hooks
from ..message import environment
from ..message.bodies import Positions
from ..message.config import Config, Settings
from ..message.credentials import auth_of
from ..message.headers import merge_headers
from ..message.keywords import merge
from ..message.policy import Policy
from ..message.prepare import PreparedRequest
from ..message.request import UnsentRequest
from ..message.urls import Target, prepare_url, with_base
from ..structures import CaseInsensitiveDict
from .defaults import FIRST_TIME, Defaults, is_jar

Pairs = tuple[tuple[str, str], ...]

__all__ = ["Merging"]


@functools.cache
def _untouched() -> Settings:
    """Return the settings of sessions whose own were never asked for."""
    return Config().settings()


#: A session's headers with a call's on top: most calls of a program give the same ones.
_merged: dict[Any, Pairs] = {}
#: Bodies that are no files.
_PLAIN: Final = frozenset((bytes, str, dict, list, tuple, type(None)))
#: How many are remembered, and up to how many characters.
_MOST_MERGED: Final = 256
_LONGEST_MERGED: Final = 1024


def _merged_pairs(default: Pairs, given: Any) -> Pairs:
    """Return a session's headers with a call's on top.

    Raises:
        InvalidHeader: a name or a value is neither str nor bytes.
    """
    key: Any = None
    if type(given) is dict:
        key = (default, *given.items())
        try:
            return _merged[key]
        except KeyError:
            pass
        except TypeError:  # there is a value that is no text: it is refused below
            key = None
    pairs: Pairs = merge_headers(CaseInsensitiveDict.of_pairs(default), given).pairs()
    if (
        key is not None
        and sum([len(name) + len(value) for name, value in pairs]) <= _LONGEST_MERGED
    ):
        if len(_merged) >= _MOST_MERGED:
            _merged.clear()
        _merged[key] = pairs
    return pairs


class Merging(Defaults):
    """How a session makes messages of requests."""

    #: The pairs of the base headers and of this session's, and what they make together.
    _merged: tuple[Pairs, Pairs, Pairs] | None

    def _settings(self, given: Mapping[str, Any] | None = None) -> Settings:
        """Return the settings that count for a call, with its own on top."""
        config = self._config
        if given is not None:
            return (Config() if config is None else config).merged(given).settings()
        return _untouched() if config is None else config.settings()

    def _default_pairs(self, config: Settings) -> Pairs:
        """Return the base headers with this session's on top: the same until either changes."""
        # What `pairs` would return, without the calls: this is asked for each message.
        base = config.base_headers._pairs
        if base is None:
            base = config.base_headers.pairs()
        headers = self._headers
        if headers is None:
            return base
        own = headers._pairs
        if own is None:
            own = headers.pairs()
        if not own:
            return base
        merged = self._merged
        if merged is None or merged[0] is not base or merged[1] is not own:
            pairs = merge_headers(config.base_headers, headers).pairs()
            merged = self._merged = (base, own, pairs)
        return merged[2]

    def _target_of(self, request: UnsentRequest, encode: bool) -> Target:
        """Return where a request goes, with the session's base and parameters."""
        params = request._arguments.params
        if self.params:
            params = merge(self.params, params)
        elif params:
            params = merge(None, params)
        url = request.url
        if self._base_url is not None:
            url = with_base(self._base_url, url)
        return prepare_url(url, params, encode)

    def _prepare(
        self,
        request: UnsentRequest,
        config: Settings,
        to_send: bool = True,
        policy: Policy | None = None,
    ) -> PreparedRequest:
        """Make the message of a request.

        Args:
            request: the request.
            config: what counts for it.
            to_send: whether it is to be sent, and needs a method.
            policy: what it is sent under, which an auth that waits may want to know.
        """
        method = request.method
        if method is None and to_send:
            raise InvalidHeader("no method was given: expected a name such as 'GET'")
        arguments = request._arguments
        if self.params or arguments.params or self._base_url is not None:
            target = self._target_of(request, config.encode_uri)
        else:
            target = prepare_url(request.url, None, config.encode_uri)
        pairs = self._default_pairs(config)
        if arguments.headers:
            pairs = _merged_pairs(pairs, arguments.headers)
        prepared = PreparedRequest(
            "GET", target, pairs, policy, config.encode_uri, arguments.context
        )
        if method != "GET":
            prepared.prepare_method(method)
        if not config.keep_alive and "connection" not in prepared.headers:
            prepared.headers["Connection"] = "close"
        if self._cookies is not None or arguments.cookies is not None:
            given = _given_cookies(arguments.cookies)
            self._write_cookies(prepared, given, target.origin, jars.left_out(arguments.cookies))
        data = arguments.data
        if data is not None or arguments.files or arguments.json is not None:
            positions = arguments.positions
            if positions is None and (arguments.files or type(data) not in _PLAIN):
                with FIRST_TIME:  # there is something to be read: from where it stands now
                    positions = arguments.positions = arguments.positions or Positions()
            prepared.encode_body(data, arguments.files, arguments.json, positions)
        elif method != "GET" and prepared.method != "HEAD":
            prepared.prepare_content_length(None)
        if self._hooks or arguments.hooks or arguments.callback is not None:
            prepared._hooks = self._hooks_for(request)
        if (
            arguments.auth is not None
            or self.auth is not None
            or target.userinfo is not None
            or (config.trust_env and environment.has_netrc())
        ):
            auth = self._auth_for(request, target, config)
            if auth is not None:
                prepared.apply_auth(auth)
        return prepared

    def _auth_for(self, request: UnsentRequest, target: Target, config: Settings) -> Any:
        """Return the auth that counts: the call's, the session's, the URL's, netrc's."""
        auth = request._arguments.auth
        if auth is None:
            auth = self.auth
        if auth is None:
            auth = target.userinfo
            if auth is not None and auth[0] and not auth[1] and config.trust_env:
                # The user whose password netrc is asked for.
                auth = environment.netrc_credentials(target.host, auth[0]) or auth
        if auth is None and config.trust_env:
            auth = environment.netrc_credentials(target.host)
            if auth is not None and (
                _has_authorization(request, self) or "authorization" in config.base_headers
            ):
                auth = None  # set by hand
        return None if auth is None else auth_of(auth)

    def _write_cookies(
        self,
        prepared: PreparedRequest,
        given: jars.CookieJar | None,
        bound_to: tuple[str, str, int],
        removed: frozenset[str] = frozenset(),
    ) -> None:
        """Write the Cookie header from the session's jar and the call's, unless set by hand.

        Args:
            prepared: the message.
            given: the call's cookies.
            bound_to: the origin that cookies without a domain belong to.
            removed: the names of the session's cookies that the call leaves out.
        """
        jar = self._cookies
        if given is None and not removed and (jar is None or not len(jar)):
            return
        if jar is None:
            jar = jars.CookieJar()
        prepared.write_cookies(jar, given, bound_to, removed)

    def _hooks_for(self, request: UnsentRequest) -> Hooks | None:
        """Return the session's and the request's hooks, the callback last."""
        hooks: Hooks | None = None
        arguments = request._arguments
        if self._hooks or arguments.hooks:
            hooks = merge_hooks(self._hooks, arguments.hooks)
        if arguments.callback is not None:
            hooks = hooks or Hooks()
            hooks.register("response", arguments.callback)
        return hooks

    def _response_hooks(self, request: UnsentRequest) -> list[Hook]:
        """Return the response hooks alone, of a request that was never prepared."""
        arguments = request._arguments
        callback = arguments.callback
        if arguments.hooks or not (callback is None or callable(callback)):
            hooks = self._hooks_for(request)
            return [] if hooks is None else hooks["response"]
        found = list(self._hooks["response"]) if self._hooks else []
        if callback is not None:
            found.append(callback)
        return found


def _given_cookies(cookies: Any) -> jars.CookieJar | None:
    if cookies is None:
        return None
    if isinstance(cookies, Mapping) and not is_jar(cookies):
        cookies = {name: value for name, value in cookies.items() if value is not None}
    return jars.to_jar(cookies)


def _has_authorization(request: UnsentRequest, session: Merging) -> bool:
    """Tell whether an Authorization header was set by hand."""
    for headers in (request._arguments.headers, session._headers):
        if headers:
            names = (
                headers.keys() if isinstance(headers, Mapping) else [pair[0] for pair in headers]
            )
            if any(
                (name.decode("latin-1") if isinstance(name, bytes) else name).lower()
                == "authorization"
                for name in names
            ):
                return True
    return False
