"""Where a pool's requests come from, and where what becomes of them goes.

A `Batch` is one call of `map` or `imap`, or the queue of what was spawned. It is pulled from by the
pool's workers, one at a time, and only as there is room for what comes of it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from gevent.event import AsyncResult, Event

from reqkit import Request, Response
from reqkit.exceptions import RequestException
from reqkit.network import forks
from reqkit.sessions.outcome import Outcome
from reqkit.timeouts import Deadline

from ..progress import SILENT, Reporter
from .exits import Exit
from .options import BatchOptions

__all__ = ["Batch", "Job", "ListBatch", "QueuedBatch", "Reason"]

#: Makes the error of a request that is stopped: of the request, whether it was ever sent, and the
#: phase that it was in.
Reason = Callable[[Any, bool, "str | None"], RequestException]


class Job(Outcome):
    """One request in a pool, and how its attempt that runs, or ran last, has ended.

    Attributes:
        request: what is sent; whatever was given, until it is known to be a request.
        index: its place in its batch.
        batch: where it came from.
        host: the name of the host that its message goes to, where hosts have limits; or what
            it is counted by instead.
        loan: the turn at a host that is counted elsewhere, while it has one or waits for it.
        scheduler: the pool's, while it is in flight.
        sent: whether a message of this attempt has had its turn.
        turn: set when its next message may go, while it waits for that.
        last: how the attempt before has ended.
        has_slot: whether it holds a slot of its host's.
        policy: what is left of its retries.
        prefetch: whether its body is read, unless the request says otherwise.
        deadline: of the request itself, over all its attempts.
        greenlet: the one that runs it now.
        stop: what was thrown into it.
        handle: gets the entry, where it was spawned.
        started: whether it was ever sent.
        done: whether its entry was made.
        handled: whether the exception handler was asked for its entry.
    """

    __slots__ = (
        "batch",
        "deadline",
        "done",
        "greenlet",
        "handle",
        "handled",
        "has_slot",
        "host",
        "index",
        "last",
        "loan",
        "policy",
        "prefetch",
        "scheduler",
        "sent",
        "started",
        "stop",
        "turn",
    )  # fmt: skip

    #: Shadows the slot: always so in a batch.
    as_failure = True

    request: Request
    response: Response | None
    error: Exception | None
    chain: Any
    errors: list[Exception] | None
    pending: list[Any] | None
    handle: AsyncResult[Any] | None
    has_slot: bool
    sent: bool
    started: bool
    done: bool
    handled: bool

    def __init__(self, request: Request, index: int, batch: Batch) -> None:
        # What an outcome has, set here: one call less for each request.
        self.request = request
        self.response = self.error = self.chain = self.errors = self.pending = None
        self.safe = False
        self.retries: int = 0
        self.index: int = index
        self.batch: Batch = batch
        options = batch.options
        self.policy: Any = options.policy
        self.prefetch: bool = options.prefetch
        self.host: Any = None
        self.loan: Any = None
        self.deadline: Deadline | None = None
        self.greenlet: Any = None
        self.stop: BaseException | None = None
        self.handle = None
        self.has_slot = self.sent = self.started = self.done = self.handled = False
        self.scheduler: Any = None
        self.turn: Event | None = None
        self.last: str | None = None

    def pass_to(self, host: str, deadline: Deadline | None) -> None:
        """Wait until its next message may go to a host. Blocks; first ones have had their turn.

        Raises:
            TotalTimeout: that would be after the deadline.
        """
        scheduler = self.scheduler
        if scheduler is not None and scheduler.queue is not None:
            scheduler.pass_to(self, host, deadline)


def failure_of(job: Job, entry: Any) -> BaseException | None:
    """Return why a request has failed, or what a hook of its has raised; None where all is well."""
    error: BaseException | None = getattr(entry, "error", None)
    if error is None:
        for one in (entry, job.response):
            errors = one._hook_errors if isinstance(one, Response) else None
            if errors:
                return errors[0]
    return error


class Failed:
    """Stands for an entry that is to be raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException = error


class Batch:
    """Requests, and what becomes of them.

    Attributes:
        options: the settings.
        error: what the caller's iterable raised.
        failure: the first failure, where it is to be raised.
        waiter: the greenlet that waits for this, and raises what interrupts it.
        interruption: what is to end the call: `sys.exit` or an interrupt in code of the user's.
        interrupted: whether there was any.
        on_interruption: is told of it, and what it ran for, where it ends more than the call.
        closed: whether the call has ended.
        ends: the moment of the call's deadline, in monotonic seconds, or None.
        hub: the gevent hub that the call belongs to.
        generation: the forks before it began: a child process has a copy that never goes on.
        timer: the deadline's.
        stopped: whether nothing more of it is to be started.
        reason: makes the error of what is stopped.
        stop_by: the moment by which what was stopped has to have ended.
        running: the jobs that greenlets run now.
        taken: the job that was pulled last, until a greenlet runs it: where what pulled it is cut
            short, it is to be found here.
        unsent: jobs that get hooks and an entry, and are not to be sent any more.
        puller: the greenlet that runs the caller's iterable now.
        outstanding: jobs pulled whose entry was not made.
        changed: set whenever there is something new to see for who waits for this batch.
    """

    outstanding: int

    def __init__(self, options: BatchOptions) -> None:
        self.options = options
        self.error: BaseException | None = None
        self.failure: BaseException | None = None
        self.waiter: Any = None
        self.interruption: Exit | None = None
        self.on_interruption: Callable[[BaseException, Job | None], None] | None = None
        self.interrupted = self.closed = False
        self.ends: float | None = None
        self.hub: Any = None
        self.generation: int = forks.count
        self.timer: Any = None
        self.stopped = False
        self.reason: Reason | None = None
        self.stop_by: float = 0.0
        self.running: set[Job] = set()
        self.taken: Job | None = None
        self.unsent: deque[Job] = deque()
        self.puller: Any = None
        self.outstanding = 0
        self.changed: Event = Event()

    @property
    def ready(self) -> bool:
        """Whether a request can be pulled now."""
        raise NotImplementedError

    def pull(self) -> Job | None:
        """Take the next request; None where there is none, or no room."""
        raise NotImplementedError

    @property
    def over(self) -> bool:
        """Whether nothing is left to be waited for."""
        raise NotImplementedError

    @property
    def waiting(self) -> int:
        """How many known requests are not in flight and have no entry."""
        return self.outstanding - len(self.running)

    def keep_rest(self) -> None:
        """Have the known requests that were never pulled get hooks and an entry."""

    def drop_rest(self) -> None:
        """Let go of the known requests that were never pulled: they get no hooks, and no entry."""

    @property
    def has_unsent(self) -> bool:
        """Whether there are requests that get hooks and an entry, and are not to be sent."""
        return bool(self.unsent)

    def next_unsent(self) -> Job | None:
        """Take one of these."""
        return self.unsent.popleft() if self.unsent else None

    def finish(self, job: Job, entry: Any) -> None:
        """Take a job's entry; the first one counts.

        A signal's handler may raise wherever a function is called: it is taken in one go, or not at
        all, and then may be once more.
        """
        if not job.done:
            self._put(job, entry)

    def drop(self, job: Job) -> None:
        """Let go of a job that was never started: it gets no hooks, and no entry."""
        job.done = True
        self.outstanding -= 1
        if not self.outstanding:
            self.changed.set()

    def _put(self, job: Job, entry: Any) -> None:
        """Take a job's entry, and mark the job as done."""
        raise NotImplementedError


class QueuedBatch(Batch):
    """Requests that are put into a queue, one by one, while others of it are on their way."""

    outstanding: int
    taken: Job | None

    def __init__(self, options: BatchOptions) -> None:
        super().__init__(options)
        self._queue: deque[Job] = deque()

    @property
    def ready(self) -> bool:
        """Whether something is queued."""
        return bool(self._queue)

    def pull(self) -> Job | None:
        """Take the next request."""
        if not self._queue:
            return None
        job = self.taken = self._queue[0]
        del self._queue[0]
        return job

    def put(self, job: Job) -> None:
        """Queue a request."""
        self.outstanding += 1
        self._queue.append(job)

    @property
    def over(self) -> bool:
        """Whether nothing is left to be waited for."""
        return not self.outstanding

    def keep_rest(self) -> None:
        """Have all that is queued get hooks and an entry."""
        self.unsent.extend(self._queue)
        self._queue.clear()

    def drop_rest(self) -> None:
        """Let go of all that is queued."""
        queue, self._queue = self._queue, deque()
        for job in queue:
            self.drop(job)

    def take_out(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Remove jobs from the queue, and return them."""
        out = [job for job in self._queue if wanted(job)]
        self._queue = deque(job for job in self._queue if not wanted(job))
        return out


class ListBatch(Batch):
    """The requests of `map`: all known, all entries wanted, in order."""

    taken: Job | None

    def __init__(self, options: BatchOptions, requests: list[Any], reporter: Reporter) -> None:
        super().__init__(options)
        #: Whether code of the user's learns of each failure, beside hooks.
        self.tells_of_failures: bool = (
            reporter is not SILENT or options.exception_handler is not None
        )
        self.entries: list[Any] = [None] * len(requests)
        self._requests = requests
        self._pulled = 0
        self._left = len(requests)
        self._raising = options.raise_errors
        self._reporter = reporter

    @property
    def ready(self) -> bool:
        """Whether a request can be pulled now."""
        return self._pulled < len(self._requests) and not self.stopped and not self.interrupted

    def pull(self) -> Job | None:
        """Take the next request."""
        index = self._pulled
        if self.stopped or self.interrupted or index >= len(self._requests):
            return None
        job = Job(self._requests[index], index, self)
        self.taken = job
        self._pulled = index + 1
        return job

    @property
    def over(self) -> bool:
        """Whether all have their entries."""
        return not self._left

    @property
    def waiting(self) -> int:
        """How many are not in flight and have no entry."""
        return self._left - len(self.running)

    def drop_rest(self) -> None:
        """Let go of the requests that were never pulled."""
        self._left -= len(self._requests) - self._pulled
        self._pulled = len(self._requests)

    def drop(self, job: Job) -> None:
        """Let go of a job that was never started: it gets no hooks, and no entry."""
        job.done = True
        self._left -= 1

    @property
    def has_unsent(self) -> bool:
        """Whether there are requests that get hooks and an entry, and are not to be sent."""
        return bool(self.unsent) or (self.stopped and self._pulled < len(self._requests))

    def next_unsent(self) -> Job | None:
        """Take one of these: what was never pulled comes last."""
        if self.unsent:
            return self.unsent.popleft()
        index = self._pulled
        if not self.stopped or index >= len(self._requests):
            return None
        self._pulled = index + 1
        return Job(self._requests[index], index, self)

    def fail_rest(
        self, fail: Callable[[Any], Response | None], most: int
    ) -> tuple[int, Response | None]:
        """Take the entries of requests that were never pulled, one after the other.

        Args:
            fail: returns a request's entry, or None: no further ones, then.
            most: how many, at most.

        Returns:
            how many there were, and the last one.
        """
        first = index = self._pulled
        requests, entries = self._requests, self.entries
        end = min(first + most, len(requests))
        last: Response | None = None
        try:
            while index < end:
                entry = fail(requests[index])
                if entry is None:
                    break
                entries[index] = last = entry
                index += 1
        finally:
            self._pulled = index
            self._left -= index - first
        if last is not None and self._raising and self.failure is None:
            self.failure = entries[first].error
        if not self._left or self.failure is not None:
            self.changed.set()
        return index - first, last

    def finish(self, job: Job, entry: Any) -> None:
        """Take a job's entry; the first one counts."""
        if job.done:
            return
        if self._raising and self.failure is None:
            self.failure = failure_of(job, entry)
        job.done = True
        self.entries[job.index] = entry
        left = self._left = self._left - 1
        if not left or self.failure is not None:
            self.changed.set()
        # Last: it is the user's code, and whatever it raises must not keep the caller waiting.
        reporter = self._reporter
        if reporter is not SILENT:
            reporter.step()
