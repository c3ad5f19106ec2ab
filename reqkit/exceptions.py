"""Every error and warning that reqkit raises.

One root, `RequestException`, so that one ``except`` catches whatever the network, the server or
the arguments did wrong. Below it the classes stand in the relations that users of ``requests``
know (an ``SSLError`` is a ``ConnectionError``, a ``ConnectTimeout`` is both a ``ConnectionError``
and a ``Timeout``, a ``MissingSchema`` is a ``ValueError``). No error of urllib3, http.client,
socket or ssl leaves the package bare: it is the ``__cause__`` of one of these.

Messages name what failed, for which URL (without its password) and what to do about it.
"""

from __future__ import annotations

import json as _json
from typing import TYPE_CHECKING, Any

from ._pickling import PackedError, PickledAlone, portable_chain, portable_values, with_causes

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = [
    "AddressNotAllowed",
    "ChecksumError",
    "ChunkedEncodingError",
    "ConfigError",
    "ConnectTimeout",
    "ConnectionError",
    "ContentDecodingError",
    "ContentTooLarge",
    "HTTPError",
    "HookWarning",
    "IncompleteHead",
    "InvalidFraming",
    "InvalidHeader",
    "InvalidJSONError",
    "InvalidProxyURL",
    "InvalidSchema",
    "InvalidURL",
    "JSONDecodeError",
    "MissingSchema",
    "ProtocolError",
    "ProxyError",
    "ReadTimeout",
    "RequestCancelled",
    "RequestException",
    "RequestsDependencyWarning",
    "RequestsWarning",
    "RetryError",
    "SSLError",
    "StreamConsumedError",
    "Timeout",
    "TooManyRedirects",
    "TotalTimeout",
    "URLRequired",
    "UnpicklableError",
    "UnrewindableBodyError",
    "WorkerLost",
]


class RequestException(PickledAlone, OSError):
    """The root of all errors of a request.

    Attributes:
        request: the `PreparedRequest` (or `Request`) that failed, or None where it was never made.
        response: the `Response` in hand when it failed, or None.
        before_sending: whether no connection was made, so that nothing can have been sent.
        times: the moments of the exchange so far, where there was one.
    """

    # Most have no dictionary, then: a deadline may make a hundred thousand of them at once.
    __slots__ = ("request", "response")

    request: Any
    response: Any
    before_sending: bool = False
    times: Any = None

    def __init__(self, *args: Any, request: Any = None, response: Any = None) -> None:
        self.response = response
        self.request = request
        if request is None and response is not None:
            self.request = getattr(response, "request", None)
        super().__init__(*args)

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Make one of a text alone, at a fraction of what a call of the class costs."""
        error = cls.__new__(cls)
        error.args = (text,)
        error.request = error.response = None
        return error

    args: tuple[Any, ...]

    def _about(self, url: str) -> None:
        """Have the text begin with the URL, which the floor that raised this did not know.

        Args:
            url: what was asked for, without its secrets.
        """
        if len(self.args) == 1 and url not in (text := str(self)) and url.isprintable():
            self.args = (f"{url}: {text}",)

    def __reduce__(self) -> tuple[Any, ...]:
        known = self._known()
        causes = known.pop("causes", None)
        return rebuild_error, (type(self), self.args, self._kept(), known), causes

    def __setstate__(self, state: list[PackedError] | dict[str, Any] | None) -> None:
        # Last, after whatever others (tblib) take for the causes.
        if isinstance(state, list):
            with_causes(self, state)
        else:
            super().__setstate__(state)

    def _kept(self) -> dict[str, Any]:
        """Return the attributes of its own that can be pickled."""
        return portable_values(
            {name: value for name, value in self.__dict__.items() if name != "__notes__"}
        )

    def _known(self, of: Any = None) -> dict[str, Any]:
        """Return what it knows of its request, as it is pickled: without secrets.

        Args:
            of: a request that is there anyway, and is not to be pickled once more.
        """
        known: dict[str, Any] = {}
        for name, value in (("request", self.request), ("response", self.response)):
            if value is not None and value is not of:
                # What is not ours may be anything.
                shown = getattr(value, "_without_secrets", None)
                if shown is not None:
                    known[name] = shown()
        if self.__cause__ is not None:
            known["causes"] = portable_chain(self)
        return known

    def __copy__(self) -> Self:
        copied: Self = rebuild_error(type(self), self.args, self.__dict__, {})
        copied.request, copied.response = self.request, self.response
        copied.__cause__ = self.__cause__
        return copied

    def __deepcopy__(self, memo: Any) -> Self:
        return self.__copy__()  # a message is no part of its error


def rebuild_error(
    kind: type[RequestException],
    args: tuple[Any, ...],
    state: dict[str, Any],
    known: dict[str, Any],
) -> Any:
    """Return an error as it was pickled."""
    error = kind.__new__(kind, *args)
    RequestException.__init__(error, *args)
    error.__dict__.update(state)
    error.request = known.get("request")
    error.response = known.get("response")
    with_causes(error, known.get("causes", ()))
    return error


class HTTPError(RequestException):
    """The server answered with a 4xx or 5xx status. A retry is the caller's choice."""


class ConnectionError(RequestException):
    """The connection could not be made, or broke before the answer's head was read.

    Safe to retry for idempotent methods; the server may have acted on the request.
    """


class ProtocolError(ConnectionError):
    """The server's answer breaks HTTP's rules, so where it ends cannot be trusted.

    The connection is closed. A retry is safe for idempotent methods, and rarely helps.

    Attributes:
        no_answer: whether the connection ended before a byte of the answer: a retry may help.
    """

    no_answer: bool = False


class ProxyError(ConnectionError):
    """The proxy refused, failed, or could not be reached. The server saw nothing."""


class SSLError(ConnectionError):
    """TLS failed: a bad certificate, a wrong name, no common protocol. Nothing was sent."""


class Timeout(RequestException):
    """A time limit ran out. Catches connect, read and total limits alike."""


class ConnectTimeout(ConnectionError, Timeout):
    """No connection within the connect limit. Nothing was sent: a retry is safe."""


class ReadTimeout(Timeout):
    """The server sent nothing for as long as the read limit. It may have acted on the request."""


class TotalTimeout(Timeout):
    """The limit on the whole exchange ran out.

    Attributes:
        phase: what was going on: ``dns connect tls send wait receive``.
    """

    phase: str = "wait"

    def __init__(
        self, *args: Any, phase: str = "wait", request: Any = None, response: Any = None
    ) -> None:
        super().__init__(*args, request=request, response=response)
        if phase != "wait":
            self.phase = phase


class TooManyRedirects(RequestException):
    """The chain of redirects is longer than ``max_redirects``."""


class URLRequired(RequestException, ValueError):
    """A request was to be sent without a URL."""


class MissingSchema(RequestException, ValueError):
    """The URL has no scheme (``http://`` or ``https://``)."""


class InvalidSchema(RequestException, ValueError):
    """The URL's scheme has no adapter, or what it needs is not installed."""


class InvalidURL(RequestException, ValueError):
    """The URL cannot be sent as it is."""


class AddressNotAllowed(InvalidURL):
    """The session's ``allow_address`` refuses where the URL, or a redirect, leads to.

    No connection was made, and none is tried again: it is no failure of the network.
    """


class InvalidHeader(RequestException, ValueError):
    """A header's name or value, or a method, cannot be sent as it is."""


class InvalidFraming(ProtocolError, InvalidHeader):
    """The answer's head does not say in one plain way where its body ends."""


class InvalidProxyURL(InvalidURL):
    """The proxy's URL cannot be used."""


class ConfigError(RequestException, ValueError):
    """A key of ``config`` that is not known, or a value that it cannot take."""


class ChunkedEncodingError(RequestException):
    """The body broke off, or its framing is wrong: what was read is not all of it."""


class IncompleteHead(ProtocolError, ChunkedEncodingError):
    """The server broke off in the middle of the answer's head."""


class ContentDecodingError(RequestException):
    """The body could not be decoded as its Content-Encoding says."""


class ContentTooLarge(RequestException):
    """The decoded body is larger than ``max_content_size``. The connection was closed."""


class ChecksumError(RequestException):
    """What came is not the file that the caller's checksum or size is of. It was not kept.

    A retry is safe, and of use only where the server has another file by then.
    """


class StreamConsumedError(RequestException, TypeError):
    """The body was streamed once already, and was not kept."""


class RetryError(RequestException):
    """The retries that a `urllib3.util.Retry` allows for a status are used up."""


class UnrewindableBodyError(RequestException):
    """The body must be sent again (a 307/308, an auth challenge) and cannot be rewound."""


class WorkerLost(ConnectionError):
    """The worker of an executor that had the request is gone, or all of them are.

    Of a request, the server may have acted on it, once: a retry is safe for idempotent methods.
    Those were sent twice already, to two workers that died. Of a whole batch, no worker has come.
    """


class UnpicklableError(RequestException, TypeError):
    """A request, or what a hook made of its answer, cannot travel to or from another process.

    The text names what it was. A request that cannot travel was not sent.
    """


class RequestCancelled(RequestException):
    """The request was stopped before it ended: killed, or its batch was left early.

    It may have reached the server. A retry is safe for idempotent methods.
    """


class InvalidJSONError(RequestException):
    """A JSON error: the data given cannot be written, or the body cannot be read, as JSON."""


class JSONDecodeError(InvalidJSONError, _json.JSONDecodeError):
    """The body is not JSON. Carries ``msg doc pos lineno colno`` as the stdlib's error does."""

    def __init__(self, *args: Any, request: Any = None, response: Any = None) -> None:
        _json.JSONDecodeError.__init__(self, *args)
        InvalidJSONError.__init__(self, *self.args, request=request, response=response)

    def __reduce__(self) -> tuple[Any, ...]:
        # The text may have the URL before what the stdlib's error says.
        _, (_, args, kept, known), causes = super().__reduce__()
        details = self.msg, self.doc, self.pos
        return _rebuild_json_error, (details, args, kept, known), causes

    def __copy__(self) -> JSONDecodeError:
        copied = _rebuild_json_error(
            (self.msg, self.doc, self.pos), self.args, self.__dict__, {}
        )  # fmt: skip
        copied.request, copied.response = self.request, self.response
        copied.__cause__ = self.__cause__
        return copied


def _rebuild_json_error(
    details: tuple[str, str, int],
    args: tuple[Any, ...],
    state: dict[str, Any],
    known: dict[str, Any],
) -> JSONDecodeError:
    error = JSONDecodeError(*details, request=known.get("request"), response=known.get("response"))
    error.__dict__.update(state)
    error.args = args
    return error


class RequestsWarning(PickledAlone, Warning):
    """The root of reqkit's warnings."""


class RequestsDependencyWarning(RequestsWarning):
    """A dependency is not the one that reqkit needs."""


class HookWarning(RequestsWarning, RuntimeWarning):
    """A hook raised, or returned what cannot be used. The request went on.

    The text has the hook's name, and the traceback or what was expected.
    """
