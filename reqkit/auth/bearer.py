"""Bearer auth (RFC 6750): a token, and how a new one is had when it is no longer taken.

However many greenlets and threads find at one time that a new token is needed, it is asked for
once: the others wait for it, each as its network waits, and no lock is held meanwhile.
"""

from __future__ import annotations

import contextvars
import re
from collections.abc import Callable
from typing import Any, Final

from ..base.locks import native_rlock, native_thread
from ..exceptions import InvalidHeader, RequestException
from ..network import Signal, current, forks
from .answering import Origin, covers, make_ready, origin_of
from .base import AuthBase, MessageT

__all__ = ["HTTPBearerAuth"]

# RFC 6750 section 2.1 has a token68 here. Issuers also hand out tokens with '|' or ':', and so
# whatever is visible, and no space, is taken: it cannot break the header.
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


class _Refresh:
    """A call of the user's function, and those who wait for what it returns.

    Attributes:
        thread: the native thread that it runs in.
        generation: the forks before it: none goes on in a child process.
        ended: whether it has; with neither token nor error it was stopped, and another must ask.
    """

    __slots__ = ("ended", "error", "generation", "thread", "token", "waiting")

    def __init__(self) -> None:
        self.thread: int = native_thread()
        self.generation: int = forks.count
        self.ended: bool = False
        self.token: str | None = None
        self.error: Exception | None = None
        self.waiting: list[Signal] = []


#: Those that the code that runs now is a part of.
_within: Final[contextvars.ContextVar[tuple[_Refresh, ...]]] = contextvars.ContextVar(
    "reqkit_refreshing", default=()
)


class _Exchange:
    """A message that went out with a token; its answer may say that the token is no longer good."""

    __slots__ = ("auth", "origin", "token")

    def __init__(self, auth: HTTPBearerAuth, origin: Origin, token: str) -> None:
        self.auth = auth
        self.origin = origin
        self.token = token

    def handle_answer(self, response: Any, **kwargs: Any) -> Any:
        """Send again with a new token after a 401. As a ``response`` hook, it may block."""
        if response.status_code != 401:
            return response
        request = response.request
        if not covers(self.origin, origin_of(request.url)):
            return response
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return response  # it went with somebody else's
        again = request.copy()
        make_ready(again, response)
        policy = getattr(request, "_policy", None)
        token = self.auth._token_after(self.token, None if policy is None else policy.deadline)
        again.headers["Authorization"] = f"Bearer {token}"
        answer = response.connection.send(again, **kwargs)
        answer.history.append(response)
        answer.request = again
        return answer


class HTTPBearerAuth(AuthBase):
    """Bearer auth: a token that is worth what its holder may do. It shows in no repr.

    With ``refresh`` one object serves any number of greenlets, threads and sessions: when a new
    token is needed, one of them asks for it, and the others wait for that one. The message that was
    refused is sent once more with the new token, to its own origin.

    Args:
        token: what the issuer gave: visible ASCII, without spaces and without ``Bearer``. None has
            ``refresh`` asked before the first message.
        refresh: called without arguments where there is no token, and when an answer is a 401; it
            returns the new token. It may send requests, but none with this auth: in a batch they
            go over the batch's network, and others run meanwhile. What it raises is the error of
            those requests that wait for it, as the cause of a `RequestException`; the next request
            asks again.

    Attributes:
        token: the one in use; may be set.

    Raises:
        InvalidHeader: the token is empty, or has a space, a line's end or a non-ASCII character.
        TypeError: it is neither str nor bytes, or ``refresh`` cannot be called.
    Source: RFC 6750 sections 2.1 and 3.
    """

    __module__ = "reqkit.auth"

    token: str | None
    refresh: Callable[[], str | bytes] | None
    _lock: Any
    _running: _Refresh | None

    def __init__(
        self,
        token: str | bytes | None = None,
        refresh: Callable[[], str | bytes] | None = None,
    ) -> None:
        if refresh is not None and not callable(refresh):
            raise TypeError(
                f"refresh is of {type(refresh)}: expected a function that returns a new token"
            )
        if token is None and refresh is not None:
            self.token = None
        else:
            self.token = _text(token)
            _header(self.token)
        self.refresh = refresh
        self._start()

    def _start(self) -> None:
        # Held for a look at what is under way, never while anything waits.
        self._lock = native_rlock()
        self._running = None

    def __getstate__(self) -> dict[str, Any]:
        own = ("_lock", "_running")
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.refresh = None
        self.__dict__.update(state)
        self._start()

    def __call__(self, r: MessageT) -> MessageT:
        """Set the Authorization header, and see to a 401. Blocks where a token is asked for first.

        Raises:
            RequestException: ``refresh`` failed, which is its cause.
            TotalTimeout: the message's total limit ran out while another asked for the token.
        """
        token = self.token
        if self.refresh is None:
            r.headers["Authorization"] = _header(token)
            return r
        if token is None:
            policy = getattr(r, "_policy", None)
            token = self._token_after(None, None if policy is None else policy.deadline)
        r.headers["Authorization"] = _header(token)
        # A redirected message has the hook of the one before it: one of them is enough.
        for hook in list(r.hooks.get("response") or ()):
            exchange = getattr(hook, "__self__", None)
            if isinstance(exchange, _Exchange) and exchange.auth is self:
                r.deregister_hook("response", hook)
        r.register_hook("response", _Exchange(self, origin_of(r.url), token).handle_answer)
        return r

    def _token_after(self, refused: str | None, deadline: Any) -> str:
        """Return a token that came after one that was refused. Blocks.

        Raises:
            RequestException: it cannot be had.
            TotalTimeout: the deadline has passed.
        """
        while True:
            with self._lock:
                token = self.token
                if token is not None and token != refused:
                    return token
                run, signal = self._joined()
            if signal is None:
                return self._asked(run)
            self._wait(run, signal, deadline)
            if run.error is not None:
                raise RequestException(str(run.error)) from run.error.__cause__
            if run.token is not None:
                return run.token

    def _joined(self) -> tuple[_Refresh, Signal | None]:
        """Return the refresh under way, and a place to wait in for it; or one to begin, and None.

        Raises:
            RequestException: it is the refresh itself that asks.
        """
        run = self._running
        if run is None or run.generation != forks.count:
            run = self._running = _Refresh()
            return run, None
        if run in _within.get():
            raise RequestException(
                "the refresh of a HTTPBearerAuth sends a request with this same auth, which waits"
                " for it: send it with auth= of its own, through another session"
            )
        signal = current().signal()
        if signal.blocks and run.thread == native_thread():
            # A greenlet of this thread asks, and could not go on while this waits: ask beside it.
            signal.close()
            return _Refresh(), None
        run.waiting.append(signal)
        return run, signal

    def _wait(self, run: _Refresh, signal: Signal, deadline: Any) -> None:
        try:
            if not run.ended:
                left = None if deadline is None else deadline.left(None, "wait")
                if not signal.wait(left) and not run.ended:
                    raise deadline.expired("wait")
        finally:
            with self._lock:
                if signal in run.waiting:
                    run.waiting.remove(signal)
                signal.close()

    def _asked(self, run: _Refresh) -> str:
        """Ask the user's function for a token, and tell those who wait."""
        within = _within.set((*_within.get(), run))
        try:
            run.token = self._refreshed()
            return run.token
        except Exception as error:  # the user's function may raise anything
            run.error = error
            raise
        finally:
            _within.reset(within)
            with self._lock:
                run.ended = True
                if run.token is not None:
                    self.token = run.token
                if self._running is run:
                    self._running = None
                for signal in run.waiting:
                    signal.call()
                run.waiting.clear()

    def _refreshed(self) -> str:
        refresh = self.refresh
        assert refresh is not None
        begins = "a new bearer token could not be had, and the request goes without an answer: "
        try:
            given = refresh()
        except Exception as error:  # the user's function may raise anything
            # What others say may hold the secrets that the user's function works with.
            text = f": {error}" if isinstance(error, RequestException) else ""
            raise RequestException(
                f"{begins}refresh raised {type(error).__name__}{text}"
            ) from error
        try:
            token = _text(given)
            _header(token)
        except (TypeError, InvalidHeader) as error:
            raise RequestException(f"{begins}refresh returned what is none: {error}") from error
        return token

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        if self.refresh is not None or other.refresh is not None:
            return self is other
        return self.token == other.token

    def __hash__(self) -> int:
        if self.refresh is not None:
            return id(self) >> 4
        return hash((type(self), self.token))

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _text(token: Any) -> str:
    if not isinstance(token, (str, bytes)):
        raise TypeError(f"the token is of {type(token)}: expected a str or bytes")
    return token if isinstance(token, str) else token.decode("latin-1")


def _header(token: Any) -> str:
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        size = f"{len(token)} characters" if isinstance(token, str) else f"of {type(token)}"
        raise InvalidHeader(
            f"the bearer token ({size}) is not one: expected visible ASCII without spaces, line"
            " ends or the word 'Bearer'; strip() what is read from a file"
        )
    return "Bearer " + token
