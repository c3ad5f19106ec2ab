"""One request of a pool: sent, put off, stopped or settled; its hooks run exactly once."""

from __future__ import annotations

import datetime
import time
import weakref
from collections.abc import Callable
from typing import Any, Final, Protocol

import gevent
from greenlet import getcurrent

from reqkit import Request, Response, Session
from reqkit.base.logs import INFO, WARNING, logger
from reqkit.base.redact import without_secret_parameters
from reqkit.base.tracebacks import forget_frames
from reqkit.base.warn import warn
from reqkit.exceptions import RequestException, RetryError, TotalTimeout
from reqkit.hooks import dispatch_hook, warn_of
from reqkit.message.keywords import UNSET
from reqkit.message.request import NO_ARGUMENTS, UnsentRequest
from reqkit.message.retryafter import retry_after, too_long
from reqkit.message.urls import prepare_url
from reqkit.network import forks, use
from reqkit.sessions import SingleUseSession
from reqkit.sessions.outcome import failed_response
from reqkit.timeouts import Deadline, Timeouts, clock
from reqkit.transport.retrying import add_tries, ending_of

from ..network import GEVENT
from ..progress import SILENT
from ..stats import Stats
from .batch import Job, ListBatch
from .exits import SYSTEM_ERRORS, note_origin
from .options import BatchOptions
from .retries import RetryPolicy, policy_of_config
from .stop_reasons import GRACE, Stop, TimeLimit, cancelled

__all__ = ["Sender", "handler_of", "send_here"]

_NOTHING: Final = object()
#: For what has no session, and is not sent.
_NOBODYS: Final[Session] = SingleUseSession()
#: Statuses whose Retry-After says that the host wants to be left alone.
_HOLDING: Final = frozenset((429, 503))


class Scheduler(Protocol):
    """What a `Sender` tells of hosts and times: the workers."""

    def hold(self, host: str, wait: float) -> None:
        """Start nothing to a host for so many seconds."""

    def again(self, job: Job, when: float) -> None:
        """Have a job sent once more, not before a moment."""


class Sender:
    """Sends requests and makes their entries.

    Args:
        session: for requests that have none of their own.
        stats: counts what has ended.
        scheduler: is told of hosts to hold back and of jobs to be sent again; None where neither
            can be.
    """

    def __init__(self, session: Session | None, stats: Stats, scheduler: Scheduler | None) -> None:
        self.session = session
        self._stats = stats
        # Weakly, since it sends by this: a pool that is dropped goes at once.
        self._scheduler_ref = None if scheduler is None else weakref.ref(scheduler)

    @property
    def _scheduler(self) -> Scheduler | None:
        return None if self._scheduler_ref is None else self._scheduler_ref()

    def send(self, job: Job) -> None:
        """Send a job's request, and settle what becomes of it; or put it off to be sent again.

        Whatever is thrown into it, the request has its hooks and its entry when this ends.

        Raises:
            BaseException: what was thrown into it, unless it is a `Stop`.
        """
        request: Any = job.request
        session: Any = request.session
        try:
            if not job.started:
                job.started = True
                if request._arguments.hook_errors is not None:
                    job.errors = list(request._arguments.hook_errors)
            elif job.chain is not None:
                job.errors = job.chain.errors  # of hooks, at the attempts before
                job.chain = None
            if session is None:
                session = self._session_for(request)
            # Sessions and arguments may be classes of the user's, which raise anything.
            if (
                job.policy is None
                and not job.retries
                and self._scheduler_ref is not None
                and (request._arguments is not NO_ARGUMENTS or session._config is not None)
            ):
                job.policy = _policy_of(request, session)
            if job.policy is not None and job.deadline is None:
                job.deadline = _deadline_of(request, session)
            prefetch = job.prefetch if request._arguments.prefetch is None else None
            session.attempt(job, prefetch, job.deadline)
            if job.batch.generation != forks.count:
                return  # a copy in a child process: hooks run, and the entry is made, in the parent
            if job.stop is not None:
                raise job.stop  # which the user's code has swallowed
            response: Any = job.response
            if response is not None and response.status_code in _HOLDING:
                self._hold_host(job, response)
            if job.policy is not None:
                if self._put_off(job):
                    return
                if job.retries and response is not None:
                    response.retries = job.retries
            if job.retries and job.error is not None:
                add_tries(job.error, job.retries + 1, job.last)
            try:
                entry: Any = session.conclude(job)
            except gevent.Timeout as own:
                entry = self._conclude_again(job, session, own)
            plain = entry is response and entry.error is None
            if not plain:
                if job.stop is not None:
                    raise job.stop  # a hook has: the exception handler is to see the stop's error
                entry = self._considered(job, entry)
            if job.stop is not None:
                raise job.stop
        except BaseException as stop:  # whatever was thrown into it: the request gets its entry
            session = _NOBODYS if session is None else session
            try:
                self._stopped(job, session, stop)
            except Exception as another:  # which a signal's handler has raised, just here
                self._stopped(job, session, another)
                raise
            if not isinstance(stop, (Stop, Exception)):
                raise
            forget_frames(stop)  # which hold the job, and the job its stop
            return
        try:
            if plain and not job.done:
                self._stats.add(entry)
                job.batch.finish(job, entry)
            else:
                self._settle(job, entry)
        except BaseException:  # of a signal's handler: the entry is there all the same
            job.batch.finish(job, entry)
            raise

    def fail_rest(self, batch: ListBatch, most: int) -> bool:
        """Make the entries of requests that were never pulled, where no code of the user's runs.

        A deadline may find very many of these. Never blocks.

        Args:
            batch: their batch, which was stopped.
            most: how many, at most.

        Returns:
            whether there were any; where there were none, the next one needs a job.
        """
        if batch.tells_of_failures:
            return False
        reason = batch.reason or cancelled
        session = self.session
        others_quiet = session is None or not session._hooks

        def fail(request: Any) -> Response | None:
            own = request.session
            arguments = request._arguments
            if (
                arguments.callback is not None
                or arguments.hooks
                or arguments.hook_errors
                or arguments.exception_handler is not None
                or not (others_quiet if own is None else not own._hooks)
            ):
                return None
            return _unsent(request, reason(request, False, None))

        count, last = batch.fail_rest(fail, most)
        if last is not None:
            self._stats.fail(type(last.error).__name__, count, last, last.error)
        return count > 0

    def conclude_unsent(self, job: Job, error: Any, time_limit: TimeLimit) -> None:
        """Make the entry of a request that is not to be sent, or whose greenlet is held up.

        What hooks have not begun to run run here.

        Args:
            job: the job.
            error: why.
            time_limit: what they run on.
        """
        request: Any = job.request
        if job.done:
            return
        if not isinstance(request, Request):
            job.error = error
            failed = failed_response(Request(None, repr(request)[:100]), error)
            self._settle(job, self._after_failure(job, failed, time_limit))
            return
        session = request.session
        if session is None:
            session = self.session if self.session is not None else _NOBODYS
        if job.started:
            self._fail(job, session, error, time_limit)
        else:
            self._fail_unsent(job, session, error, time_limit)

    # -- before the entry -------------------------------------------------------------------

    def _session_for(self, request: Request) -> Session:
        session = request.session
        if session is None:
            session = self.session
            if session is None:
                session = SingleUseSession()
        made: Session = session
        return made

    def _hold_host(self, job: Job, response: Response) -> None:
        """Hold a host back where its answer asks for that (RFC 9110 section 10.2.3)."""
        wait = retry_after(response._field("retry-after"), time.time())
        scheduler = self._scheduler
        if not wait or scheduler is None or not (job.policy is None or job.policy.respects):
            return
        try:
            # Who said so: it may have been a redirect's target.
            host = prepare_url(response.url).host
        except RequestException:
            return
        most = _longest(job)
        if wait > most:
            logger.log(WARNING, "%s: %s", host, too_long(wait, most))
            wait = most
            if not wait:
                return
        until = datetime.datetime.now() + datetime.timedelta(seconds=wait)
        logger.log(INFO, "%s: held back for %.0f s, until %s", host, wait, f"{until:%H:%M:%S}")
        scheduler.hold(host, wait)

    def _put_off(self, job: Job) -> bool:
        """Have a request sent again later, where its retries allow that."""
        request, response, error = job.request, job.response, job.error
        if job.batch.stopped or isinstance(error, TotalTimeout):
            return False
        try:
            # In danger mode an answer is an error, too.
            again = job.policy.after(
                str(request.method).upper(), str(request.url), response,
                error if response is None else None, time.time(), _longest(job),
            )  # fmt: skip
        except RetryError as used_up:
            job.error = used_up
            return False
        if again is None:
            return False
        wait, policy = again
        when = clock() + wait
        for ends in (job.batch.ends, job.deadline.at if job.deadline is not None else None):
            if ends is not None and when >= ends:
                return False  # waiting could only end in the deadline's error
        prepared = job.chain.prepared if job.chain is not None else None
        if prepared is not None and prepared.body is not None:
            try:
                prepared.rewind()
            except RequestException:
                return False
        if response is not None:
            response.close()
        job.policy = policy
        job.last = ending_of(response, error)
        job.retries += 1
        self._stats.retries += 1
        if logger.isEnabledFor(INFO):
            logger.log(
                INFO, "%s: retry %d in %.1f s, after %s",
                request.describe(), job.retries, wait,
                without_secret_parameters(job.last or ""),
            )  # fmt: skip
        scheduler = self._scheduler
        assert scheduler is not None
        scheduler.again(job, when)
        return True

    # -- hooks and entries ------------------------------------------------------------------

    def _conclude_again(self, job: Job, session: Session, own: Any) -> Any:
        """Run the hooks that are left where one has not caught a timer of its own."""
        # An error in a hook, as any other.
        chain = job.chain
        if chain is not None:
            chain.errors = [*(chain.errors or ()), own]
        warn_of("response", _a_hook, own)
        try:
            return session.conclude(job)
        except gevent.Timeout as another:
            return self._conclude_again(job, session, another)

    def _considered(self, job: Job, entry: Any) -> Any:
        """Return the entry for what is no plain answer: the exception handler is asked."""
        if job.retries and isinstance(entry, Response):
            entry.retries = job.retries  # type: ignore[attr-defined]
        error = getattr(entry, "error", None)
        return entry if error is None else self._ask_handler(job, entry, error)

    def _ask_handler(self, job: Job, entry: Any, error: Any) -> Any:
        """Ask the exception handler for the entry of a failed request: once, as its hooks run.

        Where its greenlet was held up by them past the time that stopping may take, another has
        made its entry meanwhile, or was stopped in the handler.
        """
        handler = handler_of(job)
        if handler is None or job.batch.options.raise_errors or job.handled or job.done:
            return entry
        job.handled = True
        try:
            return handler(job.request, error)
        except Exception as raised:  # a handler may raise anything
            warn(
                f"exception_handler raised {type(raised).__name__}: {raised}; the entry is the"
                " failed response",
                RuntimeWarning,
                handler,
            )
            return entry

    def _stopped(self, job: Job, session: Session, stop: BaseException) -> None:
        """Settle a request whose greenlet something was thrown into."""
        error: Exception
        if isinstance(stop, Exception):
            error = stop  # an argument that cannot even be failed with
        elif isinstance(stop, Stop) and job.batch.reason is not None:
            error = job.batch.reason(job.request, True, stop.phase)
        else:
            error = cancelled(job.request)
            if isinstance(stop, SYSTEM_ERRORS):
                note_origin(stop)
            if not isinstance(stop, Stop):
                error.__cause__ = stop
        ends = clock() + GRACE
        if job.batch.stopped:
            ends = min(ends, job.batch.stop_by)
        with TimeLimit(ends) as time_limit:
            self._fail(job, session, error, time_limit)

    def _fail(self, job: Job, session: Session, error: Exception, time_limit: TimeLimit) -> None:
        """Settle a request as failed. What hooks are left run, and have some time for it."""
        if job.response is not None:
            job.response.close()
        if job.done:
            return
        request, chain = job.request, job.chain
        if isinstance(error, RequestException) and error.request is None:
            prepared = chain.prepared if chain is not None else None
            error.request = prepared if prepared is not None else request
        if job.retries:
            add_tries(error, job.retries + 1, job.last)
        job.error, job.response = error, None
        entry: Any = _NOTHING
        try:
            entry = self._hooked(job, session, time_limit)
            entry = self._after_failure(job, entry, time_limit)
        finally:
            if entry is _NOTHING:
                entry = failed_response(request, error, chain)
            self._settle_failure(job, entry)

    def _fail_unsent(
        self, job: Job, session: Session, error: RequestException, time_limit: TimeLimit
    ) -> None:
        """Settle a request that was never sent: as `_fail`, in as little as very many ask for."""
        request = job.request
        response = _unsent(request, error)
        job.error = error
        entry: Any = response
        try:
            errors = list(request._arguments.hook_errors or ())
            pending = job.pending
            if pending is None:
                pending = job.pending = session._response_hooks(request)
            while pending:
                hook = pending.pop(0)
                entry = time_limit.run(response, dispatch_hook, "response", (hook,), entry, errors)
            if errors:
                (entry if isinstance(entry, Response) else response).hook_errors.extend(errors)
            entry = self._after_failure(job, entry, time_limit)
        finally:
            self._settle_failure(job, entry)

    def _hooked(self, job: Job, session: Session, time_limit: TimeLimit) -> Any:
        """Run the hooks of a failed request, and return what they leave of its response."""
        while True:
            left = len(job.pending) if job.pending is not None else -1
            entry: Any = time_limit.run(None, session.conclude, job)
            if entry is not None:
                return entry
            if not job.pending or len(job.pending) == left:
                assert job.error is not None
                return failed_response(job.request, job.error, job.chain)
            # It was one hook that was stopped, and there are more.

    def _after_failure(self, job: Job, entry: Any, time_limit: TimeLimit) -> Any:
        """Ask the exception handler for what hooks have left of a failure."""
        if handler_of(job) is not None:
            error = getattr(entry, "error", None)
            if error is not None:
                return time_limit.run(entry, self._ask_handler, job, entry, error)
        return entry

    def _settle_failure(self, job: Job, entry: Any) -> None:
        """Count a failed request, and hand its entry over."""
        if job.done:
            return
        # What a hook or the exception handler made of it may be anything.
        if isinstance(entry, Response):
            if job.request.response is not entry:
                job.request.response = entry
            if entry._hook_errors:
                self._stats.hook_errors += len(entry._hook_errors)
        self._stats.fail(type(job.error).__name__, 1, job.request, job.error)
        job.batch.finish(job, entry)

    def _settle(self, job: Job, entry: Any) -> None:
        """Count how a request has ended, and hand its entry over."""
        if job.done:
            return
        response = job.response
        if entry is response and response is not None and job.error is None:
            self._stats.add(response)
        else:
            self._count(job, entry)
        job.batch.finish(job, entry)

    def _count(self, job: Job, entry: Any) -> None:
        # What a hook or the exception handler made of it may be anything.
        response = job.response
        hooked = entry if isinstance(entry, Response) else response
        errors = hooked._hook_errors if hooked is not None else None
        if job.error is None and response is not None:
            self._stats.add(response, errors)
        else:
            self._stats.fail(type(job.error).__name__, 1, job.request, job.error)
            self._stats.hook_errors += len(errors) if errors else 0


def send_here(request: Request, prefetch: bool) -> Any:
    """Send a request in the greenlet that calls, and return its entry. Blocks.

    Stopping the greenlet stops the request.
    """
    batch = ListBatch(BatchOptions(prefetch), [request], SILENT)
    job = batch.pull()
    assert job is not None
    batch.taken = None
    job.greenlet = getcurrent()
    try:
        with use(GEVENT):
            Sender(None, Stats(), None).send(job)
    except SYSTEM_ERRORS:
        raise
    except BaseException as stop:
        # The entry's error has come of it, and would be kept by the frames that it came through.
        forget_frames(stop)
        batch = job = request = None  # type: ignore[assignment]
        raise stop.with_traceback(None)  # noqa: B904  # the very one
    return batch.entries[0]


def handler_of(job: Job) -> Callable[[Any, Any], Any] | None:
    """Return what is asked for the entry of a job that fails: the request's own goes first."""
    own = job.request._arguments.exception_handler
    return job.batch.options.exception_handler if own is None else own


def _unsent(request: UnsentRequest, error: RequestException) -> Response:
    """Return the failed response of a request that was never sent; the request keeps it."""
    error.request = request
    response = failed_response(request, error, has_request=True)
    request._response = weakref.ref(response)  # else the two would keep each other
    return response


def _a_hook() -> None:
    """Stand for the hook that a `gevent.Timeout` came out of."""


def _policy_of(request: Request, session: Session) -> RetryPolicy | None:
    """Return what ``config['max_retries']`` allows: the pool tries again, and no other."""
    given = request._arguments.config
    try:
        retries = session._settings(given).max_retries
    except RequestException:
        return None  # its entry will say so
    return policy_of_config(retries) if retries else None


def _longest(job: Job) -> float:
    """Return the seconds that a Retry-After may hold a host, or a retry, back."""
    chain = job.chain
    most: float = 300.0 if chain is None else chain.options.config.retry_after_max
    return most


def _deadline_of(request: Request, session: Session) -> Deadline | None:
    timeout = request._arguments.timeout
    try:
        limits = session._timeouts if timeout is UNSET else Timeouts.of(timeout)
    except ValueError:
        return None  # its entry will say so
    return None if limits.total is None else Deadline(limits.total)
