"""Digest auth: the password is proved, not sent.

`HTTPDigestAuth` keeps, by origin, what the server last asked for, and so it can send credentials
along at once. What these are, `digest_credentials` knows.

Source: RFC 7616.
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, Final

from ..base.locks import native_rlock
from ..exceptions import InvalidHeader
from .answering import Origin, covers, make_ready, origin_of
from .base import Message, MessageT, PasswordAuth
from .challenges import parse_params, quote
from .digest_credentials import Parameters, authorization, fresh_cnonce, usable_parameters

__all__ = ["HTTPDigestAuth"]

#: How many origins, and how many nonces' counts, one auth remembers.
MOST_ORIGINS: Final = 256
MOST_NONCES: Final = 1024

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


def _text(value: str | bytes) -> str:
    if isinstance(value, str):
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _target(url: str) -> str:
    """Return the request's target: path and query, as they stand in the URL."""
    rest = url.partition("#")[0].partition("://")[2]
    for place, character in enumerate(rest):
        if character in "/?":
            return rest[place:] if character == "/" else "/" + rest[place:]
    return "/"


def _hashable(r: Any) -> Any:
    """Return a message's body as its hash is made of it: what is read anew each time is called."""
    body = r.body
    if body is None or isinstance(body, (str, bytes, bytearray)):
        return body
    again = getattr(r, "reads_again", None)
    return r.body_pieces if again is not None and again() else body


class _Exchange:
    """The challenges to one message, or to those that it was redirected to."""

    __slots__ = ("auth", "origin")

    def __init__(self, auth: HTTPDigestAuth, origin: Origin) -> None:
        self.auth = auth
        self.origin = origin

    def handle_answer(self, response: Any, **kwargs: Any) -> Any:
        """Answer a challenge. As a ``response`` hook, it sends again, and so it may block."""
        return self.auth.handle_answer(response, self.origin, kwargs)


class HTTPDigestAuth(PasswordAuth):
    """Digest auth. One object serves any number of origins, threads and greenlets at once.

    The first request to an origin goes without credentials; its challenge is answered by sending
    it once more. From then on they go along at once, to this origin alone, for as long as the
    server takes the nonce.

    Args:
        username: str, or bytes of UTF-8 or Latin-1.
        password: the same.

    Raises:
        InvalidHeader: a control character in the user's name.
        TypeError: neither str nor bytes.
    Source: RFC 7616.
    """

    __module__ = "reqkit.auth"

    _lock: Any
    _current: dict[Origin, Parameters]
    _counts: dict[tuple[Origin, str], int]

    def __init__(self, username: str | bytes, password: str | bytes) -> None:
        super().__init__(username, password)
        if _CONTROL.search(_text(username)):
            raise InvalidHeader(
                f"the user name {username!r} has a control character (a line's end?): expected none"
            )
        self._start()

    def _start(self) -> None:
        # Held for look-ups and counting alone, never while anything waits.
        self._lock = native_rlock()
        self._current = {}
        self._counts = {}

    def __getstate__(self) -> dict[str, Any]:
        # Nonces belong to one process: two that counted the same one would repeat its counts.
        own = ("_lock", "_current", "_counts")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __call__(self, r: MessageT) -> MessageT:
        """Set the header where the origin's nonce is known, and see to its challenges.

        Does not block; the hook that it registers sends again, and does.
        """
        origin = origin_of(r.url)
        parameters = self._current.get(origin)
        header = None if parameters is None else self._header(parameters, origin, r)
        if header is not None:
            r.headers["Authorization"] = header
        # A redirected message has the hook of the one before it: one of them is enough.
        for hook in list(r.hooks.get("response") or ()):
            exchange = getattr(hook, "__self__", None)
            if isinstance(exchange, _Exchange) and exchange.auth is self:
                r.deregister_hook("response", hook)
        r.register_hook("response", _Exchange(self, origin).handle_answer)
        return r

    def handle_answer(self, response: Any, origin: Origin, kwargs: dict[str, Any]) -> Any:
        """Return the answer to the message with credentials, or this one where none is asked for.

        Sends at most twice: a nonce that was refused only because it is stale does not count as
        a try. May block, as sending does.

        Args:
            response: the answer to a message that this auth was asked for.
            origin: the one it was asked for.
            kwargs: how to send: what the adapter's ``send`` takes.

        Raises:
            UnrewindableBodyError: the body must be sent again, and cannot be.
        """
        if response.status_code is None:
            return response
        refused: list[Any] = []
        while True:
            here = origin_of(response.request.url)
            if not covers(origin, here):
                return response
            self._take_next_nonce(response, here)
            if response.status_code != 401:
                return response
            parameters = usable_parameters(_values(response.headers, "WWW-Authenticate"))
            # RFC 7616 section 3.3: a nonce that is fresh and yet refused is a wrong password.
            if parameters is None or len(refused) == 2 or (refused and not parameters.stale):
                self._forget(here)
                return response
            self._learn(parameters, here)
            again = self._again(response, parameters, here)
            if again is None:
                return response
            answer = response.connection.send(again, **kwargs)
            refused.append(response)
            answer.history.extend(refused)
            answer.request = again
            response = answer

    def _again(self, response: Any, parameters: Parameters, origin: Origin) -> Any:
        """Return the message with credentials, ready to be sent again, or None without one."""
        again = response.request.copy()
        header = self._header(parameters, origin, again)
        if header is None:
            return None
        make_ready(again, response)
        again.headers["Authorization"] = header
        return again

    def _header(self, parameters: Parameters, origin: Origin, r: Message) -> str | None:
        body = _hashable(r)
        qop = parameters.qop_for(body)
        if qop is None:
            return None
        return authorization(
            parameters,
            username=_text(self.username),
            password=_text(self.password),
            method=r.method,
            uri=_target(r.url),
            body=body,
            qop=qop,
            count=self._count(origin, parameters.nonce),
            cnonce=fresh_cnonce(),
        )

    def _count(self, origin: Origin, nonce: str) -> int:
        """Return how many requests have been sent with the nonce, this one among them."""
        key = (origin, nonce)
        with self._lock:
            count = self._counts.pop(key, 0) + 1
            self._counts[key] = count
            if len(self._counts) > MOST_NONCES:
                del self._counts[next(iter(self._counts))]
        return count

    def _learn(self, parameters: Parameters, origin: Origin) -> None:
        with self._lock:
            self._current.pop(origin, None)
            self._current[origin] = parameters
            if len(self._current) > MOST_ORIGINS:
                del self._current[next(iter(self._current))]

    def _forget(self, origin: Origin) -> None:
        with self._lock:
            self._current.pop(origin, None)

    def _take_next_nonce(self, response: Any, origin: Origin) -> None:
        """Use the nonce that the server named for the next request, if it did.

        Source: RFC 7616 section 3.5.
        """
        for value in _values(response.headers, "Authentication-Info"):
            nonce = parse_params(value).get("nextnonce")
            parameters = self._current.get(origin)
            if not nonce or parameters is None or nonce == parameters.nonce:
                continue
            with contextlib.suppress(InvalidHeader):
                quote(nonce)
                self._learn(parameters.renewed(nonce), origin)


def _values(headers: Any, name: str) -> list[str]:
    """Return the values of a field, each by itself: a fault of one is none of the next one's."""
    get_all = getattr(headers, "get_all", None)
    if get_all is not None:
        return list(get_all(name) or ())
    value = headers.get(name)
    return [] if value is None else [value]
