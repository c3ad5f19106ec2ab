"""The prepared request: the exact thing that goes out, with method, URL, headers and body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import cookies as jars
from .._pickling import can_be_pickled, portable_values
from ..exceptions import InvalidHeader
from ..hooks import Hook, Hooks
from ..structures import CaseInsensitiveDict
from . import bodies, urls
from .content.charsets import parse_content_type
from .credentials import Auth, Credentials, auth_of
from .framing import frame
from .headers import merge_headers
from .policy import Policy
from .urls import Target, without_secrets

__all__ = [
    "PreparedRequest",
]


class PreparedRequest:
    """The exact message to be sent.

    Made by `Request.prepare` or `Session.prepare_request`. Auth and ``pre_request`` hooks may
    change it: ``method url headers body hooks`` are what goes out.
    """

    __module__ = "reqkit.models"

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_attempt",
        "_body_position",
        "_credentials",
        "_encode",
        "_headers",
        "_hooks",
        "_length",
        "_measured",
        "_pairs",
        "_policy",
        "_target",
        "body",
        "context",
        "method",
        "url",
    )

    method: str | None
    url: str | None
    body: Any
    #: Any object of the caller's, from the unsent request: it goes nowhere.
    context: Any

    def __init__(
        self,
        # What `reqkit.sessions.merging` gives.
        method: str | None = None,
        target: Target | None = None,
        pairs: tuple[tuple[str, str], ...] = (),
        policy: Policy | None = None,
        encode: bool = True,
        context: Any = None,
    ) -> None:
        self.method = method
        self.url = None if target is None else target.url
        self._headers: CaseInsensitiveDict | None = None
        #: The headers, until somebody looks at them: most messages have their session's.
        self._pairs: tuple[tuple[str, str], ...] = pairs
        self.body = None
        self.context = context
        self._hooks: Hooks | None = None
        #: Most messages have neither auth nor cookies: `_own_credentials` makes them.
        self._credentials: Credentials | None = None
        self._body_position: Any = None
        #: How many bytes of a streamed body are sent; None for what is sent chunked.
        self._length: int | None = None
        #: The body that `_body_position` is of, and its length; None where that is not known.
        self._measured: tuple[Any, int | None] | None = None
        self._target: Target | None = target
        self._encode = encode
        self._policy: Policy | None = policy
        #: The number of the try that it is sent for.
        self._attempt = 1

    @property
    def headers(self) -> CaseInsensitiveDict:
        """The fields that go out, but for Host, unless it was set by hand."""
        if self._headers is None:
            self._headers = CaseInsensitiveDict.of_pairs(self._pairs)
        return self._headers

    @headers.setter
    def headers(self, value: Any) -> None:
        self._headers = value if type(value) is CaseInsensitiveDict else CaseInsensitiveDict(value)

    @property
    def _own_credentials(self) -> Credentials:
        """The message's auth and cookies."""
        if self._credentials is None:
            self._credentials = Credentials()
        return self._credentials

    def prepare(
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
        encode_uri: bool = True,
    ) -> None:
        """Fill in everything, in the order in which the parts need each other.

        Raises:
            RequestException: an argument cannot be sent; nothing was.
        """
        self._encode = encode_uri
        self.prepare_method(method)
        self.prepare_url(url, params)
        self.prepare_headers(headers)
        if cookies is not None:
            self.prepare_cookies(cookies)
        if data is not None or files or json is not None:
            self.prepare_body(data, files, json)
        elif self.method not in ("GET", "HEAD"):
            self.prepare_content_length(None)
        if hooks:
            self.prepare_hooks(hooks)
        # Last: it may sign all the rest.
        self.prepare_auth(auth, url)

    def prepare_method(self, method: str | bytes | None) -> None:
        """Set the method, in upper case."""
        if method is None:
            self.method = None
            return
        if isinstance(method, bytes):
            method = method.decode("latin-1")
        if type(method) is not str and isinstance(method, str):
            method = str.__str__(method)
        if not isinstance(method, str):
            raise InvalidHeader(f"the method is {method!r}: expected a name such as 'GET'")
        if method not in _METHODS:
            if not _is_token(method):
                raise InvalidHeader(
                    f"the method is {method[:60]!r}: expected a name such as 'GET',"
                    " of letters, digits and !#$%&'*+-.^_`|~"
                )
            method = method.upper()
        self.method = method

    def prepare_url(self, url: Any, params: Any = None) -> None:
        """Set the URL, with a query added.

        Raises:
            InvalidURL: or `MissingSchema`, `URLRequired`.
        """
        target = urls.prepare_url(url, params, self._encode)
        self._target = target
        self.url = target.url

    def prepare_headers(self, headers: Any) -> None:
        """Set the headers.

        Raises:
            InvalidHeader: a name or value cannot be sent.
        """
        self.headers = merge_headers(None, headers)

    def prepare_body(self, data: Any, files: Any = None, json: Any = None) -> None:
        """Set the body, and the headers that tell its type and length."""
        self.encode_body(data, files, json, None)

    def encode_body(
        self, data: Any, files: Any, json: Any, positions: bodies.Positions | None
    ) -> None:
        """Set the body, and the headers that tell its type and length.

        Args:
            data: as in `reqkit.request`.
            files: likewise.
            json: likewise.
            positions: where files stood when the same were prepared before; is added to.
        """
        given = self.headers.get("content-type") if files else None
        kind, parameters = parse_content_type(given) if given else ("", {})
        named = parameters.get("boundary") if kind.startswith("multipart/") else None
        encoded = bodies.encode_body(data, json, files, positions, named)
        self.body = encoded.body
        self._length = encoded.length
        self._measured = (encoded.body, encoded.length)
        start = bodies.position(encoded.body)
        if positions is not None and encoded.body is data:
            start = positions.of(data)
        self._body_position = start
        if encoded.content_type:
            if "content-type" not in self.headers:
                self.headers["Content-Type"] = encoded.content_type
            elif kind.startswith("multipart/") and named is None:
                # RFC 2046 section 5.1.1: without its boundary nobody can read it.
                boundary = encoded.content_type.partition(";")[2].strip()
                self.headers["Content-Type"] = f"{(given or '').rstrip(' ;')}; {boundary}"
        if encoded.body is None:
            self.prepare_content_length(None)
        else:
            frame(self)

    def prepare_content_length(self, body: Any) -> None:
        """Set Content-Length (or Transfer-Encoding) to fit a body."""
        if body is not None:
            measured = self._measured
            if measured is not None and measured[0] is body and body is self.body:
                length = measured[1]  # it may have been read meanwhile: it is sent from its start
            else:
                length = bodies.content_length(body)
            self._length = length
            if length is not None:
                self.headers["Content-Length"] = str(length)
                self.headers.pop("Transfer-Encoding", None)
        elif "transfer-encoding" in self.headers:
            del self.headers["Transfer-Encoding"]  # there is nothing to be framed by it
            self.prepare_content_length(None)
        # RFC 9110 section 8.6: a method that anticipates content says that there is none; one that
        # does not, has no length either.
        elif self.method not in ("GET", "HEAD"):
            self.headers["Content-Length"] = "0"
        elif self.headers.get("content-length", "0") != "0":
            del self.headers["Content-Length"]

    def prepare_cookies(self, cookies: Any) -> None:
        """Set the Cookie header from a dictionary or a jar, unless it was set by hand."""
        jar = cookies if isinstance(cookies, jars.CookieJar) else jars.to_jar(cookies)
        self.write_cookies(jar, None, None)

    def write_cookies(
        self,
        jar: Any,
        given: jars.CookieJar | None,
        bound_to: tuple[str, str, int] | None,
        removed: frozenset[str] = frozenset(),
    ) -> None:
        """Set the Cookie header, unless it was set by hand.

        Args:
            jar: the session's jar.
            given: the call's, which goes first.
            bound_to: the origin that cookies without a domain belong to.
            removed: names that are left out.
        """
        credentials = self._own_credentials
        credentials.jars = (jar, given)
        credentials.left_out = removed
        credentials.own_jar = None
        credentials.bound_to = bound_to
        if "cookie" not in self.headers:
            value = jars.header_for(
                jar, self.target, bound_to=bound_to, over=given, without=removed
            )
            if value is not None:
                self.headers["Cookie"] = value
                credentials.wrote_cookies = True

    @property
    def _cookies(self) -> jars.CookieJar:
        """A jar of this message's own, that auth handlers may add to."""
        credentials = self._own_credentials
        own = credentials.own_jar
        if own is None:
            jar, given = credentials.jars or (None, None)
            own = (
                jars.CookieJar()
                if jar is None
                else jar.copy()
                if type(jar) is jars.CookieJar
                else jars.to_jar(jar)
            )
            if given is not None:
                own = jars.merge_cookies(own, given)
            credentials.own_jar = own
        return own

    @_cookies.setter
    def _cookies(self, value: jars.CookieJar) -> None:
        self._own_credentials.own_jar = value

    def take_cookies_of(self, response: Any) -> None:
        """Send the cookies that an answer set along with this message, which answers it."""
        values = response.set_cookies()
        if values:
            jar = self._cookies
            jars.store(jar, values, response.request.target)
            credentials = self._own_credentials
            if credentials.wrote_cookies:
                self.headers.pop("Cookie", None)
                credentials.wrote_cookies = False
            self.write_cookies(jar, None, credentials.bound_to)

    def prepare_auth(self, auth: Any, url: Any = "") -> None:
        """Let an auth object, or else the URL's credentials, change the message."""
        if auth is None and self.target.userinfo is not None:
            auth = self.target.userinfo
        called = auth_of(auth)
        if called is not None:
            self.apply_auth(called)

    def apply_auth(self, auth: Auth) -> None:
        """Have an auth object change the message.

        Raises:
            TypeError: it does not return the prepared request.
        """
        credentials = self._own_credentials
        credentials.auth = auth
        credentials.bare = self.headers.copy()
        credentials.in_auth = True
        try:
            result = auth(self)
        finally:
            credentials.in_auth = False
        if not isinstance(result, PreparedRequest):
            raise TypeError(
                f"auth {type(auth).__name__} returned {type(result).__name__}:"
                " expected the prepared request that it got (return r)"
            )
        if result is not self:
            for name in PreparedRequest.__slots__:
                if name not in ("__dict__", "__weakref__", "_credentials"):
                    setattr(self, name, getattr(result, name))
            # Its cookies, too; not its auth, which is this one.
            others = result._own_credentials
            for name in ("in_auth", "jars", "left_out", "own_jar", "wrote_cookies", "bound_to"):
                setattr(credentials, name, getattr(others, name))
        if self.body is not None and "transfer-encoding" not in self.headers:
            self.prepare_content_length(self.body)

    def prepare_hooks(self, hooks: Mapping[str, Any] | None) -> None:
        """Set the hooks."""
        self._hooks = Hooks(hooks) if hooks else None

    @property
    def hooks(self) -> Hooks:
        """The hooks: a list for each name."""
        if self._hooks is None:
            self._hooks = Hooks()
        return self._hooks

    @hooks.setter
    def hooks(self, value: Any) -> None:
        self._hooks = Hooks(value) if value else None

    def register_hook(self, event: str, hook: Any) -> None:
        """Add a hook, or several. Those of an auth object run for each answer to this message."""
        self.hooks.register(event, hook)
        credentials = self._credentials
        if credentials is not None and credentials.in_auth and event == "response":
            if credentials.auth_hooks is None:
                credentials.auth_hooks = []
            credentials.auth_hooks.extend([hook] if callable(hook) else hook)

    def deregister_hook(self, event: str, hook: Hook) -> bool:
        """Remove a hook; tell whether it was there."""
        auth_hooks = None if self._credentials is None else self._credentials.auth_hooks
        if event == "response" and auth_hooks and hook in auth_hooks:
            auth_hooks.remove(hook)
        return self.hooks.deregister(event, hook)

    @property
    def target(self) -> Target:
        """The parts of the URL, as it is now."""
        target = self._target
        if target is None or target.url is not self.url:
            target = self._target = urls.prepare_url(self.url, None, self._encode)
            self.url = target.url
        return target

    @property
    def path_url(self) -> str:
        """The path and the query, as they go out."""
        return self.target.path

    def rewind(self) -> None:
        """Make the body ready to be sent again.

        Raises:
            UnrewindableBodyError: it cannot be; the text says why.
        """
        if self.body is not None:
            bodies.rewind(self.body, self._body_position)

    def reads_again(self) -> bool:
        """Tell whether the body can be read more than once."""
        if self._measured is None or self._measured[0] is not self.body:
            frame(self)
        return not isinstance(self._body_position, bodies.ReadOnce)

    def body_pieces(self) -> Iterator[bytes]:
        """Read the body, as it is sent, and leave it to be sent. Blocks as reading it does."""
        measured = self._measured
        known = measured is not None and measured[0] is self.body
        length = measured[1] if measured is not None and known else None
        return bodies.pieces(self.body, length, self._body_position if known else None)

    def copy(self) -> PreparedRequest:
        """Return a copy whose headers, hooks and cookies are its own."""
        copied = PreparedRequest()
        for name in _COPIED:
            setattr(copied, name, getattr(self, name))
        copied.headers = self.headers.copy()
        copied._hooks = None if self._hooks is None else self._hooks.copy()
        if self._credentials is not None:
            copied._credentials = self._credentials.copy()
        return copied

    def __repr__(self) -> str:
        return f"<PreparedRequest [{self.method}]>"

    def describe(self) -> str:
        """Return method and URL, without a password, for messages."""
        return f"{self.method} {without_secrets(self.url or '')}"

    def __reduce__(self) -> tuple[Any, ...]:
        return rebuild_prepared, (self._packed(),)

    def _packed(self) -> tuple[Any, ...]:
        """Return what another process can make this message of: plain values, for most."""
        headers = self._headers
        body = self.body
        own = self.__dict__
        return (
            self.method,
            self.url,
            self._pairs if headers is None else headers.pairs(),
            body if isinstance(body, (bytes, str)) else None,
            self._encode,
            self._length,
            portable_values(own) if own else None,
            self.context if can_be_pickled(self.context) else None,
        )

    def _without_secrets(self) -> PreparedRequest:
        """Return a copy that an error may be pickled with."""
        copied = PreparedRequest()
        copied.method = self.method
        copied.url = without_secrets(self.url) if isinstance(self.url, str) else None
        # What others are for, nobody knows: a token, maybe.
        copied.headers = CaseInsensitiveDict.of_pairs(
            (name, value if name.lower() in _HARMLESS else "***")
            for name, value in self.headers.masked().items()
        )
        copied.body = self.body if isinstance(self.body, (bytes, str)) else None
        return copied


def rebuild_prepared(packed: tuple[Any, ...]) -> PreparedRequest:
    """Return a message as it was pickled."""
    prepared = PreparedRequest()
    (
        prepared.method, prepared.url, prepared._pairs, prepared.body, prepared._encode,
        prepared._length, own, prepared.context,
    ) = packed  # fmt: skip
    if own is not None:
        prepared.__dict__.update(own)
    return prepared


_COPIED = (
    "method", "url", "body", "context", "_target", "_encode", "_body_position", "_length",
    "_measured", "_policy",
)  # fmt: skip
#: Headers of requests that hold no secret (lower case).
_HARMLESS = frozenset(
    (
        "accept", "accept-encoding", "accept-language", "cache-control", "connection",
        "content-encoding", "content-length", "content-type", "expect", "host", "if-match",
        "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "range",
        "transfer-encoding", "user-agent",
    )
)  # fmt: skip
_METHODS = frozenset(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE"))
_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _is_token(text: str) -> bool:
    """Tell whether it is a token (RFC 9110 section 5.6.2)."""
    return bool(text) and _TOKEN.issuperset(text)
