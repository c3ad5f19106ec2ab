"""Routes in place of the network, for as long as a test runs."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from ..network import network as seam
from ..network import numeric_address
from .answers import Step
from .calls import Call, UnexpectedRequest
from .routes import Pattern, Route
from .stand_in import StandIn

__all__ = ["Router"]


class Router(StandIn):
    """Stands in for the network of the whole process: all threads, all greenlets.

    As a context manager: from its beginning to its end no request of reqkit's leaves the process,
    but to hosts in ``pass_through``. At its end it raises an `AssertionError` where a request came
    that no route was made for: the program under test may well have kept its own error to itself.
    Routers may be nested: the innermost counts. Processes that are started meanwhile have none.

    Args:
        strict: raise at the end where there were unexpected requests.
        all_called: raise at the end where a route was never called.
        hosts: name to address, for code that looks at addresses (``allow_address``); other names
            are at 203.0.113.1.
        pass_through: ``host`` or ``host:port`` that the real network is used for.
    """

    def __init__(
        self,
        *,
        strict: bool = True,
        all_called: bool = False,
        hosts: Mapping[str, str] | None = None,
        pass_through: Iterable[str] = (),
    ) -> None:
        if isinstance(pass_through, (str, bytes)) or not isinstance(pass_through, Iterable):
            raise TypeError(
                f"pass_through is a {type(pass_through).__name__}: expected a list of hosts"
            )
        pass_through = list(pass_through)
        for host in pass_through:
            if not isinstance(host, str):
                raise TypeError(f"pass_through has a {type(host).__name__}: expected hosts, as str")
        if hosts is not None and not isinstance(hosts, Mapping):
            raise TypeError(
                f"hosts is of type {type(hosts).__name__}: expected a dictionary of names and"
                " addresses"
            )
        for name, address in (hosts or {}).items():
            if not isinstance(name, str):
                raise TypeError(f"hosts has a {type(name).__name__} for a name: expected a str")
            if not isinstance(address, str) or numeric_address(address, 0) is None:
                raise ValueError(f"hosts: {name!r} is at {address!r}: expected an IP address")
        super().__init__()
        self.strict = strict
        self.all_called = all_called
        self._hosts = {name.lower(): address for name, address in (hosts or {}).items()}
        self._passing = {host.lower() for host in pass_through}
        #: The routes, in the order in which they are asked: the newest first.
        self.routes: list[Route] = []
        #: All calls that came, in their order.
        self.calls: list[Call] = []
        #: Those that no route was made for, each with its error.
        self.unexpected: list[tuple[Call, UnexpectedRequest]] = []

    # -- routes -----------------------------------------------------------------------------

    def route(self, method: str | None, url: Pattern | None = None, **match: Any) -> Route:
        """Add a route; a later one goes before an earlier one that matches, too.

        Args:
            method: ``GET``, ``POST``, …; None for any.
            url: a URL, in which ``*`` stands for anything; a compiled pattern, which is searched
                for; a function of the URL; None for any. Without a query it matches any query;
                with one, exactly this one.
            **match: what else has to hold. ``params`` (these are in the query), ``headers`` (name
                to value, compiled pattern, or None: not there), ``body`` (bytes or str),
                ``json``, ``data`` (a form), ``match`` (a function of the `Call`), ``times`` (how
                many calls it answers).

        Returns:
            the route; without further ado it answers with an empty 200.

        Raises:
            TypeError: an argument is of a wrong type.
            RequestException: the URL is none.
        """
        made = Route(method, url, **match)
        with self._lock:
            self.routes.insert(0, made)
        return made

    def get(self, url: Pattern | None = None, **match: Any) -> Route:
        """Add a route for GET; see `route`."""
        return self.route("GET", url, **match)

    def head(self, url: Pattern | None = None, **match: Any) -> Route:
        """Add a route for HEAD; see `route`."""
        return self.route("HEAD", url, **match)

    def post(self, url: Pattern | None = None, **match: Any) -> Route:
        """Add a route for POST; see `route`."""
        return self.route("POST", url, **match)

    def put(self, url: Pattern | None = None, **match: Any) -> Route:
        """Add a route for PUT; see `route`."""
        return self.route("PUT", url, **match)

    def patch(self, url: Pattern | None = None, **match: Any) -> Route:
        """Add a route for PATCH; see `route`."""
        return self.route("PATCH", url, **match)

    def delete(self, url: Pattern | None = None, **match: Any) -> Route:
        """Add a route for DELETE; see `route`."""
        return self.route("DELETE", url, **match)

    def options(self, url: Pattern | None = None, **match: Any) -> Route:
        """Add a route for OPTIONS; see `route`."""
        return self.route("OPTIONS", url, **match)

    # -- what was called --------------------------------------------------------------------

    def called(self, method: str | None = None, url: Pattern | None = None, **match: Any) -> int:
        """Return how many calls match; the arguments are those of `route`."""
        probe = Route(method, url, **match)
        with self._lock:
            calls = list(self.calls)
        return sum(not probe.differences(call) for call in calls)

    def assert_called(
        self,
        method: str | None = None,
        url: Pattern | None = None,
        *,
        count: int | None = None,
        **match: Any,
    ) -> None:
        """Assert that there were matching calls: at least one, or exactly so many.

        Raises:
            AssertionError: there were not; its text lists what was called.
        """
        found = self.called(method, url, **match)
        if found == count or (count is None and found):
            return
        wanted = "no call" if count is None else f"{found} calls, not {count},"
        raise AssertionError(
            f"{wanted} matched {Route(method, url, **match).describe()}; there were:"
            f"{_listed([call.describe() for call in self.calls])}"
        )

    def assert_all_called(self) -> None:
        """Assert that each route was called.

        Raises:
            AssertionError: some were not; its text names them.
        """
        idle = [route.describe() for route in reversed(self.routes) if not route.called]
        if idle:
            raise AssertionError(f"routes that were never called:{_listed(idle)}")

    def assert_none_unexpected(self) -> None:
        """Assert that each call had a route.

        Raises:
            AssertionError: some had none; its text names them, and the nearest routes.
        """
        if self.unexpected:
            raise AssertionError(
                "requests that no route was made for:"
                + _listed([str(error) for _, error in self.unexpected])
            )

    # -- in place of the network ------------------------------------------------------------

    def _address(self, host: str) -> str | None:
        return self._hosts.get(host.lower())

    def _passes(self, host: str, port: int) -> bool:
        host = host.lower()
        return host in self._passing or f"{host}:{port}" in self._passing

    def _answer(self, call: Call) -> list[Step]:
        with self._lock:
            routes = list(self.routes)
            self.calls.append(call)
        nearest: tuple[float, Route, list[str]] | None = None
        for route in routes:
            differences = route.differences(call)
            if not differences:
                with self._lock:
                    call.route = route
                    route.calls.append(call)
                try:
                    return route.next_answer(call).steps(call.method)
                except Exception as error:  # what is to be raised in place of an answer
                    return [error]
            alike = difflib.SequenceMatcher(None, str(route.url), call.url).ratio()
            distance = 0.5 * len(differences) + 8 * (1 - alike)
            if nearest is None or distance < nearest[0]:
                nearest = (distance, route, differences)
        text = f"{call.describe()}: no route was made for it"
        if nearest is None:
            text += ": the router has none"
        else:
            text += f"; the nearest is {nearest[1].describe()}, but {', and '.join(nearest[2])}"
        unexpected = UnexpectedRequest(text)
        with self._lock:
            self.unexpected.append((call, unexpected))
        return [unexpected]

    def __enter__(self) -> Router:
        seam.put_in_place(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._take_away()
        if kind is None and self.strict:
            self.assert_none_unexpected()
        if kind is None and self.all_called:
            self.assert_all_called()

    def __repr__(self) -> str:
        return f"<Router: {len(self.routes)} routes, {len(self.calls)} calls>"


def _listed(rows: list[str]) -> str:
    return "".join(f"\n  {row}" for row in rows) or " none"
