"""Which requests a route is for, and what it answers them with."""

from __future__ import annotations

import json as _json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from ..message.keywords import UNSET
from ..message.urls import DEFAULT_PORTS, prepare_url, without_password
from .answers import Answer

if TYPE_CHECKING:
    from .calls import Call

__all__ = ["Pattern", "Route"]

#: What a URL may be matched by.
Pattern = str | re.Pattern[str] | Callable[[str], bool]

_LONGEST_SHOWN: Final = 80


class Route:
    """Requests that are alike, and their answers. Made by `Router.route` and its verbs."""

    def __init__(
        self,
        method: str | None,
        url: Pattern | None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, Any] | None = None,
        body: bytes | str | None = None,
        json: Any = UNSET,
        data: Mapping[str, Any] | None = None,
        match: Callable[[Call], bool] | None = None,
        times: int | None = None,
    ) -> None:
        if method is not None and not isinstance(method, str):
            raise TypeError(f"method is of type {type(method).__name__}: expected a str, or None")
        if url is not None and not isinstance(url, (str, re.Pattern)) and not callable(url):
            raise TypeError(
                f"url is of type {type(url).__name__}: expected a str (with * for anything), a"
                " compiled pattern, a function, or None for any"
            )
        if match is not None and not callable(match):
            raise TypeError(f"match is of type {type(match).__name__}: expected a function")
        if times is not None and (isinstance(times, bool) or not isinstance(times, int)):
            raise TypeError(f"times is {times!r}: expected a number, or None for no limit")
        for name, given in (("params", params), ("headers", headers), ("data", data)):
            if given is not None and not isinstance(given, Mapping):
                raise TypeError(
                    f"{name} is of type {type(given).__name__}: expected a dictionary of names"
                    " and values"
                )
        for name in headers or ():
            if not isinstance(name, str):
                raise TypeError(f"headers has a {type(name).__name__} for a name: expected a str")
        if body is not None and not isinstance(body, (str, bytes)):
            raise TypeError(f"body is of type {type(body).__name__}: expected bytes or a str")
        self.method: str | None = None if method is None else method.upper()
        self.url = url
        self._params = {str(k): str(v) for k, v in (params or {}).items()}
        self._headers = dict(headers or {})
        self._body = body.encode() if isinstance(body, str) else body
        self._json = json
        self._data = None if data is None else {str(k): str(v) for k, v in data.items()}
        self._match = match
        self._times = times
        self._answers: list[Answer | Callable[[Call], Answer]] = []
        self._glob: re.Pattern[str] | None = None
        self._plain = ""
        self._query: list[tuple[str, str]] | None = None
        if isinstance(url, str):
            if "*" in url:
                self._glob = re.compile(
                    ".*".join(re.escape(part) for part in url.split("*")), re.DOTALL
                )
            else:
                self._plain, self._query = _parted(url)
        #: The calls that it has answered, in their order.
        self.calls: list[Call] = []

    # -- answers ----------------------------------------------------------------------------

    def answer(self, status: Any = 200, body: Any = None, **keywords: Any) -> Route:
        """Add an answer: the first call gets the first one, and so on; the last one stays.

        Args:
            status: the status; or a whole `Answer`; or a function that makes one of the `Call`.
            body: the body.
            **keywords: as for `Answer`.

        Returns:
            the route, so that further answers can be added.
        """
        if isinstance(status, Answer) or (callable(status) and not isinstance(status, type)):
            if body is not None or keywords:
                raise TypeError("an Answer, or a function, is given alone")
            self._answers.append(status)
        else:
            self._answers.append(Answer(status, body, **keywords))
        return self

    def fail(self, error: BaseException | type[BaseException], delay: float = 0.0) -> Route:
        """Add an error in place of an answer; see `Answer`."""
        self._answers.append(Answer(error=error, delay=delay))
        return self

    @property
    def called(self) -> bool:
        """Whether it was called."""
        return bool(self.calls)

    def next_answer(self, call: Call) -> Answer:
        """Return the answer for a call that was counted already."""
        if not self._answers:
            return Answer()
        answer = self._answers[min(len(self.calls), len(self._answers)) - 1]
        if isinstance(answer, Answer):
            return answer
        made = answer(call)
        if not isinstance(made, Answer):
            raise TypeError(
                f"the function that answers {self.describe()} returned a {type(made).__name__}:"
                " expected a reqkit.testing.Answer"
            )
        return made

    # -- matching ---------------------------------------------------------------------------

    def differences(self, call: Call) -> list[str]:
        """Return what keeps a call from being this route's; none where it is."""
        found = []
        if self.method is not None and call.method != self.method:
            found.append(f"the method is {call.method}, not {self.method}")
        found.extend(self._url_differences(call))
        found.extend(self._header_differences(call))
        if self._body is not None and call.body != self._body:
            found.append(f"the body is {_shown(call.body)}, not {_shown(self._body)}")
        if self._json is not UNSET:
            try:
                given = call.json()
            except ValueError:
                found.append("the body is no JSON")
            else:
                if given != self._json:
                    found.append(
                        f"the body is {_shown(_json.dumps(given))},"
                        f" not {_shown(_json.dumps(self._json))}"
                    )
        if self._data is not None and call.form != self._data:
            found.append(f"the form has {sorted(call.form)}, or other values")
        if not found and self._match is not None and not self._match(call):
            found.append("its match= function says no")
        if not found and self._times is not None and len(self.calls) >= self._times:
            found.append(f"it has answered {self._times} times, and may no more")
        return found

    def _url_differences(self, call: Call) -> list[str]:
        found = []
        url = self.url
        if isinstance(url, re.Pattern):
            if not url.search(call.url):
                found.append(f"the URL does not match {url.pattern!r}")
        elif self._glob is not None:
            # As without an asterisk: who says nothing of a query takes any.
            without = call.url if "?" in str(url) else call.url.partition("?")[0]
            if not self._glob.fullmatch(call.url) and not self._glob.fullmatch(without):
                found.append(f"the URL does not match {url!r}")
        elif isinstance(url, str):
            plain, query = _parted(call.url)
            if plain != self._plain:
                found.append(f"the URL is {without_password(plain)}, not {self._plain}")
            if self._query and sorted(query or ()) != sorted(self._query):
                found.append("the URL has another query")
        elif url is not None and not url(call.url):
            found.append("its function for the URL says no")
        if self._params:
            given = parse_qsl(urlsplit(call.url).query, keep_blank_values=True)
            missing = [name for name, value in self._params.items() if (name, value) not in given]
            if missing:
                found.append(f"the query lacks {', '.join(missing)}, or has other values")
        return found

    def _header_differences(self, call: Call) -> list[str]:
        found = []
        headers = call.headers if self._headers else {}
        for name, wanted in self._headers.items():
            value = headers.get(name)
            if wanted is None:
                good = value is None
            elif isinstance(wanted, re.Pattern):
                good = value is not None and bool(wanted.search(value))
            else:
                good = value == str(wanted)
            if not good:
                found.append(f"header {name} is {'missing' if value is None else 'another'}")
        return found

    def describe(self) -> str:
        """Return method and URL, for messages."""
        url = self.url
        if isinstance(url, re.Pattern):
            url = f"/{url.pattern}/"
        elif url is None:
            url = "any URL"
        elif not isinstance(url, str):
            url = f"{getattr(url, '__name__', 'function')}()"
        return f"{self.method or 'any method'} {without_password(url)}"

    def __repr__(self) -> str:
        return f"<Route {self.describe()}>"


def _parted(url: str) -> tuple[str, list[tuple[str, str]] | None]:
    """Return a URL without its default port, credentials and query, and the query."""
    target = prepare_url(url)
    path, _, query = target.path.partition("?")
    scheme, host, port = target.origin
    place = f"[{host}]" if ":" in host else host
    if DEFAULT_PORTS.get(scheme) != port:
        place += f":{port}"
    return f"{scheme}://{place}{path}", (
        parse_qsl(query, keep_blank_values=True) if query else None
    )


def _shown(value: bytes | str) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
