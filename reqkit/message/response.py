"""The answer: its head at once, its body when it is asked for."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from .. import cookies as jars
from .._pickling import can_be_pickled, pack_error, portable_values, unpack_error
from ..base.importing import import_late
from ..exceptions import HTTPError, RequestException, rebuild_error
from ..status_codes import reason_phrase
from ..structures import CaseInsensitiveDict
from ..wire.h1.head import AnswerHead, field_of, fields_of
from .body import ReadableBody
from .headers import announced_length
from .links import links_by_rel
from .prepare import PreparedRequest, rebuild_prepared
from .retryafter import retry_after, too_long
from .times import Times
from .urls import without_secrets

__all__ = ["Response", "restored"]

#: Statuses whose Retry-After says that the host wants to be left alone.
_HOLDING = frozenset((429, 503))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class Response(ReadableBody):
    """An answer, or, where ``error`` is set, the lack of one.

    The head is there; the body is read when ``content``, ``text``, ``json()`` or an iterator
    asks for it (unless it was prefetched), once, and kept. True in a condition where ``ok`` is.

    Attributes:
        status_code: the status, or None where the request failed.
        reason: the reason phrase.
        url: where the answer came from, after redirects.
        request: the `PreparedRequest` that it answers.
        history: the redirects and auth challenges on the way, oldest first.
        error: why the request failed (in safe mode, or in a batch), or None.
        connection: sends a prepared request the way that this one went, for auth handlers.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_cookies",
        "_head_text",
        "_headed",
        "_headers",
        "_history",
        "_hook_errors",
        "_live_times",
        "_next",
        "_sent",
        "_started",
        "_version",
        "connection",
        "error",
        "reason",
        "status_code",
    )

    __module__ = "reqkit.models"

    status_code: int | None
    reason: str | None
    error: Exception | None
    connection: Any

    def __init__(
        self,
        # What `reqkit.transport.exchange` gives, of an answer that has come.
        status: int | None = None,
        reason: str | None = None,
        url: str | None = None,
        request: Any = None,
        version: int = 11,
        text: str = "",
        fields: dict[str, str] | None = None,
        whole: bytes | None = None,
        started: float = 0.0,
        sent: float = 0.0,
        headed: float | None = None,
    ) -> None:
        self.status_code = status
        self.reason = reason
        self.url = url
        self.request = request
        self._history: list[Response] | None = None
        self.error = None
        self.connection = None
        self.max_content_size: int | None = None
        self._version = version
        self._head_text = text
        self._fields = fields
        self._headers: CaseInsensitiveDict | None = None
        self._cookies: Any = None
        self._encoding = None
        self._found_encoding = False
        self._text = None
        self._content = False
        self._whole = whole
        self._source = None
        self._raw = None
        self._streamed = False
        self._received = 0
        # The times of most answers, which came whole over a connection that was there: they
        # do without an object of their own. All others have theirs in `_live_times`.
        self._started = started
        self._sent = sent
        self._headed = headed
        self._live_times: Times | None = None
        self._next: Callable[[Response], Any] | None = None
        self._hook_errors: list[Exception] | None = None

    @property
    def _times(self) -> Times | None:
        """The moments and spans of the exchange, as far as it has come."""
        if self._headed is None:
            return self._live_times
        times = Times(self._started)
        times.sent = self._sent
        times.headed = times.received = self._headed
        return times

    @_times.setter
    def _times(self, times: Times | None) -> None:
        self._headed = None
        self._live_times = times

    @property
    def version(self) -> int | None:
        """HTTP's version, as the answer came: 10, 11 or 20; None where there is no answer."""
        return None if self.status_code is None else self._version

    # -- the head ---------------------------------------------------------------------------

    @property
    def headers(self) -> CaseInsensitiveDict:
        """The answer's fields; one that came more than once has its values joined by ', '."""
        if self._headers is None:
            headers = CaseInsensitiveDict()
            if self._fields is not None:
                for name, value in fields_of(self._head_text):
                    headers.add(name, value)
            self._headers = headers
        return self._headers

    @headers.setter
    def headers(self, value: Any) -> None:
        if not isinstance(value, CaseInsensitiveDict):
            value = CaseInsensitiveDict(value)
        self._headers = value

    def _field(self, lower_name: str) -> str | None:
        if self._headers is not None:
            given: str | None = self._headers.get(lower_name)
            return given
        fields = self._fields
        return None if fields is None else field_of(self._head_text, fields, lower_name)

    def _facts(self) -> AnswerHead | None:
        # Made anew where somebody asks: a small object for each answer that is kept is dear.
        if self._fields is None:
            return None
        return AnswerHead(
            self._version, self.status_code or 0, self.reason or "", self._head_text, self._fields
        )

    def set_cookies(self) -> list[str]:
        """Return the values of the answer's Set-Cookie fields."""
        head = self._facts()
        if head is not None:
            return head.get_all("set-cookie")
        several = getattr(getattr(self._raw, "headers", None), "getlist", None)
        if several is not None:  # urllib3's, in the hands of who made this response
            values: list[str] = several("set-cookie")
            return values
        value = self._field("set-cookie")
        return [] if value is None else [value]

    @property
    def cookies(self) -> Any:
        """The cookies that this answer set, a jar."""
        if self._cookies is None:
            jar = jars.CookieJar()
            values = self.set_cookies()
            if values and self.request is not None:
                jars.store(jar, values, self.request.target)
            self._cookies = jar
        return self._cookies

    @cookies.setter
    def cookies(self, value: Any) -> None:
        self._cookies = value

    @property
    def history(self) -> list[Response]:
        """The redirects and auth challenges on the way, oldest first."""
        if self._history is None:
            self._history = []
        return self._history

    @history.setter
    def history(self, value: list[Response]) -> None:
        self._history = value

    @property
    def hook_errors(self) -> list[Exception]:
        """What hooks raised, in the order in which they did."""
        if self._hook_errors is None:
            self._hook_errors = []
        return self._hook_errors

    def _announced_size(self) -> int | None:
        """Return the bytes of the body that came, or that are announced; None where neither is."""
        if self._whole is not None:
            return len(self._whole)
        return announced_length(self._field("content-length"), self._field("transfer-encoding"))

    @property
    def attempts(self) -> int:
        """How often the message was sent, or tried to be, until this came of it.

        Each retry counts, and each answer of an auth to a 401. What a redirect leads to is another
        message.
        """
        number: int | None = self.__dict__.get("_attempts")
        return getattr(self.request, "_attempt", 1) if number is None else number

    @property
    def context(self) -> Any:
        """The object that the request was given as its ``context``, or None."""
        if "_context" in self.__dict__:
            return self.__dict__["_context"]
        return getattr(self.request, "context", None)

    @context.setter
    def context(self, value: Any) -> None:
        self.__dict__["_context"] = value

    @property
    def ok(self) -> bool:
        """Whether there is an answer, and its status is below 400."""
        return self.error is None and self.status_code is not None and self.status_code < 400

    @property
    def is_redirect(self) -> bool:
        """Whether this is a redirect that can be followed."""
        # An empty one is none: others do not follow it either, and it would lead back here.
        return self.status_code in _REDIRECTS and bool(self._field("location"))

    @property
    def is_permanent_redirect(self) -> bool:
        """Whether this is a redirect that holds for good (301 or 308)."""
        return self.status_code in (301, 308) and bool(self._field("location"))

    @property
    def next(self) -> PreparedRequest | None:
        """The next message of a chain that was not followed, or None."""
        if self._next is None or not self.is_redirect:
            return None
        prepared: PreparedRequest = self._next(self)
        return prepared

    @property
    def links(self) -> dict[str, dict[str, str]]:
        """The Link field's links, by ``rel`` or else by URL (RFC 8288)."""
        value = self._field("link")
        return links_by_rel(value) if value else {}

    @property
    def elapsed(self) -> datetime.timedelta:
        """The time from the start of sending the last message to the end of its answer's head."""
        given = self.__dict__.get("_elapsed")
        if given is not None:
            return given  # type: ignore[no-any-return]
        times = self._times
        if times is None or times.headed is None:
            return datetime.timedelta(0)
        return datetime.timedelta(seconds=times.headed - times.started)

    @elapsed.setter
    def elapsed(self, value: datetime.timedelta) -> None:
        self.__dict__["_elapsed"] = value

    @property
    def timings(self) -> dict[str, float | None]:
        """Seconds spent on each phase of the last message: ``dns connect tls send wait receive``.

        ``wait`` ends with the head. None is for what did not happen: a connection that was there
        already, a body that was not read yet.
        """
        spans: dict[str, float | None] = dict.fromkeys(
            ("dns", "connect", "tls", "send", "wait", "receive")
        )
        times = self._times
        if times is not None:
            spans.update(dns=times.dns, connect=times.connect, tls=times.tls)
            if times.sent is not None:
                opened = (times.dns or 0.0) + (times.connect or 0.0) + (times.tls or 0.0)
                spans["send"] = max(times.sent - times.started - opened, 0.0)
                if times.headed is not None:
                    spans["wait"] = times.headed - times.sent
                    if times.received is not None:
                        spans["receive"] = times.received - times.headed
        return spans

    def download(
        self,
        path: str | os.PathLike[str],
        *,
        resume: bool = False,
        progress: Callable[[int, int | None], Any] | None = None,
        decode: bool | None = None,
    ) -> Path:
        """Write the body to a file, with constant memory. Blocks until it is whole.

        It is written to ``NAME.part`` beside the file and renamed when it is whole. What broke off
        stays there, and ``resume`` asks for the rest. With a ``Range`` of your own, just that part
        of the file is written.

        Args:
            path: the file, or a folder, which gets a file named as the last segment of the URL.
            resume: go on where an earlier try ended, unless the file has changed meanwhile.
            progress: called with the bytes written and the bytes in all (None: not known).
            decode: undo the Content-Encoding. None does so unless the file is compressed by its
                name or media type (``.tar.gz``, ``application/gzip``): that is saved as it came.

        Returns:
            the file's path.

        Raises:
            HTTPError: the status is 4xx or 5xx, or the answer is not the file (to HEAD, 204, 304,
                an unfollowed redirect, a part that nobody asked for); nothing is written.
            ChunkedEncodingError: the body broke off, or its size is not the one announced. A retry
                with ``resume`` is safe.
            RequestException: the response's ``error``, where it stands for a failed request.
            OSError: the file cannot be written.
        """
        import_late("reqkit.message.downloads")
        from .downloads import download

        return download(self, path, resume=resume, progress=progress, decode=decode)

    def _too_long_a_wait(self) -> str:
        """Say for how long the server wants to be left alone, where that is not waited for."""
        asked = retry_after(self._field("retry-after"), time.time())
        config = getattr(self.connection, "config", None)
        most = getattr(config, "retry_after_max", None)
        return f"; {too_long(asked, most)}" if asked and most is not None and asked > most else ""

    def raise_for_status(self) -> None:
        """Raise where the request failed or the status is an error.

        Raises:
            HTTPError: the status is 4xx or 5xx.
            RequestException: the request failed: its ``error``.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)  # of the time before
        status = self.status_code
        if status is not None and 400 <= status < 600:
            side = "Client" if status < 500 else "Server"
            reason: Any = self.reason or reason_phrase(status)
            if isinstance(reason, bytes):
                try:
                    reason = reason.decode("utf-8")
                except UnicodeDecodeError:
                    reason = reason.decode("latin-1")
            raise HTTPError(
                f"{status} {side} Error: {reason} for url: {without_secrets(self.url or '')}"
                + (self._too_long_a_wait() if status in _HOLDING else ""),
                response=self,
            )

    def __enter__(self) -> Response:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        if self.error is not None:
            return f"<Response [{type(self.error).__name__}]>"
        return f"<Response [{self.status_code}]>"

    def __reduce__(self) -> tuple[Any, ...]:
        if type(self) is Response:
            return restored, (self._packed(),)  # each name in a pickle is dear
        return restored, (self._packed(), type(self))

    def _packed(self) -> tuple[Any, ...]:
        """Return what another process can make this of: plain values, where the last one is None.

        Reads the body. What cannot be pickled stays behind.
        """
        content = self._content
        if content is False and not self._streamed:
            try:
                content = self.content
            except RequestException:
                content = False  # what there was of it is lost
        rare: dict[str, Any] = {}
        if self._headers is not None:
            rare["_headers"] = self._headers
        if self._history:
            rare["_history"] = self._history
        if self._cookies is not None and len(self._cookies) and can_be_pickled(self._cookies):
            rare["_cookies"] = self._cookies
        if self._hook_errors:
            rare["_hook_errors"] = [pack_error(error) for error in self._hook_errors]
        if self.attempts != 1:
            rare["_attempts"] = self.attempts
        if self._found_encoding and self._encoding is not None:
            rare["_encoding"] = self._encoding
        if own := self.__dict__:
            rare["own"] = portable_values(own)
        request = self.request
        packed_request: tuple[Any, ...] | None = None
        if type(request) is PreparedRequest:
            packed_request = request._packed()
        elif request is not None:
            portable = getattr(request, "_portable", None)
            if portable is not None:
                rare["request"] = portable()
            elif can_be_pickled(request):
                rare["request"] = request
        if self.error is not None:
            rare["error"] = self._packed_error(self.error)
        started: Any = self._started
        if self._headed is None and self._live_times is not None:
            started = self._live_times.values()
        return (
            self.status_code, self.reason, self.url, self._version, self._head_text, self._fields,
            content, started, self._sent, self._headed, packed_request, rare or None,
        )  # fmt: skip

    def _shift_times(self, seconds: float) -> None:
        """Have its moments be those of another machine's clock, which shows so much more."""
        if self._headed is not None:
            self._headed += seconds
            self._started += seconds
            if self._sent is not None:
                self._sent += seconds
        elif (times := self._live_times) is not None:
            for name in ("started", "sent", "headed", "received"):
                moment = getattr(times, name)
                if moment is not None:
                    setattr(times, name, moment + seconds)

    def _packed_error(self, error: Exception) -> tuple[Any, ...]:
        """Return what the error can be made of again: of its request it has no copy of its own."""
        if type(error).__reduce__ is not RequestException.__reduce__:
            return (pack_error(error),)
        assert isinstance(error, RequestException)
        known = error._known(of=self.request)
        if self.request is not None and error.request is self.request:
            known["request"] = True
        if error.response is not None:
            # A batch's failure has the answer in hand: with secrets, as the request's own.
            known["response"] = error.response
        return type(error), error.args, error._kept(), known

    def _without_secrets(self) -> Response:
        """Return a copy that an error may be pickled with."""
        copied = Response(self.status_code, self.reason, version=self._version)
        copied.url = None if self.url is None else without_secrets(self.url)
        shown = getattr(self.request, "_without_secrets", None)
        copied.request = None if shown is None else shown()
        copied.headers = self.headers.masked()
        copied._content = self._packed()[_CONTENT]
        copied._streamed = copied._content is False
        copied._received = self._received
        copied._history = [response._without_secrets() for response in self._history or ()] or None
        copied._times = self._times
        return copied


#: Where the body stands in what `Response._packed` returns.
_CONTENT: Final = 6


def restored(packed: tuple[Any, ...], kind: type[Response] = Response) -> Any:
    """Return a response as it was pickled."""
    started: Any
    (status, reason, url, version, text, fields, content, started, sent, headed, request, rare) = (
        packed
    )
    response = kind.__new__(kind)
    prepared = None if request is None else rebuild_prepared(request)
    moments: Times | None = None
    if isinstance(started, tuple):
        started, moments = 0.0, Times.of(started)
    Response.__init__(
        response, status, reason, url, prepared, version, text, fields, None, started, sent, headed
    )
    response._live_times = moments
    response._content = content
    if content:
        response._received = len(content)
    elif content is False:
        response._streamed = True
    if rare is not None:
        own = rare.pop("own", None)
        error = rare.pop("error", None)
        errors = rare.pop("_hook_errors", None)
        for name, value in rare.items():
            setattr(response, name, value)
        if "_encoding" in rare:
            response._found_encoding = True
        if own is not None:
            response.__dict__.update(own)
        if errors is not None:
            response._hook_errors = [unpack_error(packed) for packed in errors]
        if error is not None:
            response.error = _restored_error(response, error)
    return response


def _restored_error(response: Response, packed: tuple[Any, ...]) -> Any:
    if len(packed) == 1:
        return unpack_error(packed[0], otherwise=RequestException)
    if packed[3].get("request") is True:
        packed[3]["request"] = response.request
    return rebuild_error(*packed)
