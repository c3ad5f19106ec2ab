"""One request of a pool: sent, put off, stopped or settled; its hooks run exactly once."""

from __future__ import annotations

import time
from typing import Any, Final, Protocol

import gevent
from greenlet import getcurrent

from reqkit import Request, Response, Session
from reqkit.exceptions import RequestException, TotalTimeout
from reqkit.hooks import warn_of
from reqkit.network import use
from reqkit.notices import notify
from reqkit.outcome import Outcome, failed_response
from reqkit.settings import UNSET
from reqkit.timeouts import Deadline, Timeouts, clock
from reqkit.urls import without_password
from reqkit.wording import told

from .calls import Call
from .feeds import Job, Listed
from .limits import retry_after
from .network import GEVENT
from .progress import SILENT
from .stats import Stats
from .stopping import GRACE, Stop, cancelled, within

__all__ = ["Sender", "check_request", "send_here"]

#: Statuses whose Retry-After says that the host wants to be left alone.
_HOLDING: Final = frozenset((429, 503))


class Places(Protocol):
    """What a `Sender` tells of hosts and times."""

    def hold(self, job: Job, wait: float) -> None:
        """Start nothing to a job's host for so many seconds."""

    def again(self, job: Job, when: float) -> None:
        """Have a job sent once more, not before a moment."""


class Sender:
    """Sends requests and makes their entries.

    Args:
        session: for requests that have none of their own.
        stats: counts what has ended.
        places: is told of hosts to hold back and of jobs to be sent again; None where neither
            can be.
    """

    def __init__(self, session: Session | None, stats: Stats, places: Places | None) -> None:
        self.session = session
        self._stats = stats
        self._places = places

    def send(self, job: Job) -> None:
        """Send a job's request, and settle what becomes of it; or put it off to be sent again.

        Whatever is thrown into it, the request has its hooks and its entry when this ends.

        Raises:
            BaseException: what was thrown into it, unless it is a `Stop`.
        """
        request: Any = job.request
        if not isinstance(request, Request):
            self.conclude_unsent(job, check_request(request), GRACE)
            return
        outcome = Outcome(request)
        outcome.as_failure = True
        if job.outcome is not None and job.outcome.chain is not None:
            outcome.errors = job.outcome.chain.errors  # of hooks, at the attempts before
        job.outcome = outcome
        job.started = True
        session: Any = request.session
        if session is None:
            session = self._session_for(request)
        if job.policy is not None and job.deadline is None:
            job.deadline = _deadline_of(request, session)
        try:
            session.attempt(outcome, job.prefetch if request.prefetch is None else None,
                            job.deadline)  # fmt: skip
            if job.stop is not None:
                raise job.stop  # which the user's code has swallowed
            if self._places is not None:
                response = outcome.response
                if response is not None and response.status_code in _HOLDING:
                    self._heed(job, response)
                if job.policy is not None and self._put_off(job, outcome):
                    return
            entry = self._conclude(job, outcome, session)
            if job.stop is not None:
                raise job.stop
        except BaseException as stop:
            self._stopped(job, outcome, session, stop)
            if not isinstance(stop, (Stop, Exception)):
                raise
            return
        self._settle(job, outcome, entry)

    def conclude_unsent(self, job: Job, error: Exception, seconds: float) -> None:
        """Make the entry of a request that is not to be sent, or whose greenlet is held up.

        What hooks have not begun to run run here.

        Args:
            job: the job.
            error: why.
            seconds: for each hook, at most.
        """
        request: Any = job.request
        if not isinstance(request, Request):
            request = Request(None, repr(request)[:100])
            session = Session()
        else:
            session = self._session_for(request)
        outcome = job.outcome
        if outcome is None:
            outcome = job.outcome = Outcome(request)
            outcome.as_failure = True
        self._fail(job, outcome, session, error, clock() + seconds)

    # -- before the entry -------------------------------------------------------------------

    def _session_for(self, request: Request) -> Session:
        session = request.session
        if session is None:
            session = self.session
            if session is None:
                session = Request.fresh_session()
        made: Session = session
        return made

    def _heed(self, job: Job, response: Response) -> None:
        """Hold a host back where its answer asks for that (RFC 9110 section 10.2.3)."""
        wait = retry_after(response.headers.get("retry-after"), time.time())
        if wait and self._places is not None:
            self._places.hold(job, wait)

    def _put_off(self, job: Job, outcome: Outcome) -> bool:
        """Have a request sent again later, where its retries allow that."""
        request, response, error = job.request, outcome.response, outcome.error
        if job.feed.stopped or isinstance(error, TotalTimeout):
            return False
        # In danger mode an answer is an error, too.
        again = job.policy.after(
            str(request.method).upper(), str(request.url), response,
            error if response is None else None, time.time(),
        )  # fmt: skip
        if again is None:
            return False
        wait, policy = again
        when = clock() + wait
        for ends in (job.feed.ends, job.deadline.at if job.deadline is not None else None):
            if ends is not None and when >= ends:
                return False  # waiting could only end in the deadline's error
        prepared = outcome.chain.prepared if outcome.chain is not None else None
        if prepared is not None and prepared.body is not None:
            try:
                prepared.rewind()
            except RequestException:
                return False
        if response is not None:
            response.close()
        job.policy = policy
        job.retries += 1
        self._stats.retries += 1
        assert self._places is not None
        self._places.again(job, when)
        return True

    # -- hooks and entries ------------------------------------------------------------------

    def _conclude(self, job: Job, outcome: Outcome, session: Session) -> Any:
        """Run the hooks, and ask the exception handler; return the entry."""
        response: Any = outcome.response
        if job.retries and response is not None:
            response.retries = job.retries
        try:
            entry: Any = session.conclude(outcome)
        except gevent.Timeout as own:
            # A hook's own, which it has not caught: an error in a hook, as any other.
            chain = outcome.chain
            if chain is not None:
                chain.errors = [*(chain.errors or ()), own]
            warn_of("response", _the_hook, own)
            return self._conclude(job, outcome, session)
        if job.retries and isinstance(entry, Response):
            entry.retries = job.retries  # type: ignore[attr-defined]
        error = getattr(entry, "error", None)
        return entry if error is None else self._handled(job, entry, error)

    def _handled(self, job: Job, entry: Any, error: Any) -> Any:
        """Ask the exception handler for the entry of a failed request."""
        call = job.feed.call
        handler = call.exception_handler
        if handler is None or call.raise_errors:
            return entry
        try:
            return handler(job.request, error)
        except Exception as raised:
            notify(
                f"exception_handler raised {type(raised).__name__}: {raised}; the entry is the"
                " failed response",
                RuntimeWarning,
                handler,
            )
            return entry

    def _stopped(self, job: Job, outcome: Outcome, session: Session, stop: BaseException) -> None:
        """Settle a request whose greenlet something was thrown into."""
        error: Exception
        if isinstance(stop, Exception):
            error = stop  # an argument that cannot even be failed with
        elif isinstance(stop, Stop) and job.feed.reason is not None:
            error = job.feed.reason(job, stop.phase)
        else:
            error = cancelled(job)
            if not isinstance(stop, Stop):
                error.__cause__ = stop
        ends = clock() + GRACE
        if job.feed.stopped:
            ends = min(ends, job.feed.stop_by)
        self._fail(job, outcome, session, error, ends)

    def _fail(
        self, job: Job, outcome: Outcome, session: Session, error: Exception, ends: float
    ) -> None:
        """Settle a request as failed. What hooks are left run, and have some time for it."""
        if outcome.response is not None:
            outcome.response.close()
        if job.done:
            return
        chain = outcome.chain
        if isinstance(error, RequestException) and error.request is None:
            prepared = chain.prepared if chain is not None else None
            error.request = prepared if prepared is not None else outcome.request
        outcome.error, outcome.response = error, None
        if chain is None and outcome.pending is None and not _has_hooks(outcome.request, session):
            # No code of the user's runs; and a deadline may find very many that never started.
            entry: Any = session.conclude(outcome)
        else:
            entry = failed_response(outcome.request, error, chain)
        try:
            if outcome.request.response is not entry:
                entry = self._hooked(outcome, session, entry, ends)
            handled = getattr(entry, "error", None)
            if handled is not None and job.feed.call.exception_handler is not None:
                entry = within(ends - clock(), entry, self._handled, job, entry, handled)
        finally:
            if not job.done and isinstance(entry, Response):
                outcome.request.response = entry
            self._settle(job, outcome, entry)

    def _hooked(self, outcome: Outcome, session: Session, failed: Response, ends: float) -> Any:
        """Run the hooks of a failed request, and return what they leave of its response."""
        while True:
            left = len(outcome.pending) if outcome.pending is not None else -1
            entry: Any = within(ends - clock(), None, session.conclude, outcome)
            if entry is not None:
                return entry
            if not outcome.pending or len(outcome.pending) == left:
                return failed
            # It was one hook that was stopped, and there are more.

    def _settle(self, job: Job, outcome: Outcome, entry: Any) -> None:
        """Count how a request has ended, and hand its entry over."""
        if job.done:
            return
        response = outcome.response
        if entry is response and response is not None and outcome.error is None:
            self._stats.add(response)
        else:
            self._count(outcome, entry)
        job.feed.finish(job, entry)

    def _count(self, outcome: Outcome, entry: Any) -> None:
        # What a hook or the exception handler made of it may be anything.
        response = outcome.response
        hooked = entry if isinstance(entry, Response) else response
        errors = hooked._hook_errors if hooked is not None else None
        if outcome.error is None and response is not None:
            self._stats.add(response, errors)
        else:
            name = type(outcome.error).__name__
            self._stats.record(None, name, hook_errors=len(errors) if errors else 0)


def send_here(request: Request, prefetch: bool) -> Any:
    """Send a request in the greenlet that calls, and return its entry. Blocks.

    Stopping the greenlet stops the request.
    """
    feed = Listed(Call(prefetch), [request], SILENT)
    job = feed.pull()
    assert job is not None
    job.greenlet = getcurrent()
    with use(GEVENT):
        Sender(None, Stats(), None).send(job)
    return feed.entries[0]


def check_request(given: Any) -> TypeError:
    """Return the error that says that something is no request."""
    what = without_password(repr(given))[:100] if isinstance(given, str) else told(given)
    return TypeError(f"{what} is no request: make one with reqkit_async.get(url) and the like")


def _has_hooks(request: Request, session: Session) -> bool:
    return bool(session._hooks or request._hooks or request.callback is not None)


def _the_hook() -> None:
    """Stand for the hook that a `gevent.Timeout` came out of."""


def _deadline_of(request: Request, session: Session) -> Deadline | None:
    timeout = request.timeout
    try:
        limits = session._timeouts if timeout is UNSET else Timeouts.of(timeout)
    except ValueError:
        return None  # its entry will say so
    return None if limits.total is None else Deadline(limits.total)
