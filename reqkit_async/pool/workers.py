"""The greenlets of a pool: which request starts next, when, and on which of them.

A worker is a greenlet that takes one request after the other until none may start; workers are
there only while there is something to do. Nothing in here waits but the workers themselves.
"""

from __future__ import annotations

import heapq
import itertools
import math
import weakref
from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Protocol

import gevent
from gevent.event import Event
from greenlet import getcurrent

from reqkit.base.tracebacks import forget_frames
from reqkit.message.urls import prepare_url, with_base
from reqkit.network import forks, use
from reqkit.timeouts import Deadline, clock

from ..network import GEVENT, blocked_loops
from ..network.expiries import AGAIN
from .batch import Batch, Job
from .exits import SYSTEM_ERRORS
from .interruption import interrupt
from .iterated import IteratedBatch
from .limits import HostLimits, HostQueue

__all__ = ["Lender", "Loan", "Workers", "host_of"]


class Loan(Protocol):
    """A message's turn at a host that is counted elsewhere."""

    #: Whether it has come.
    granted: bool

    def set_out(self) -> None:
        """Say that the message goes now. Never blocks."""

    def end(self) -> None:
        """Give it back, or wait for it no longer. Never blocks."""


class Lender(Protocol):
    """Borrows turns at hosts whose limits are counted elsewhere, and lends those counted here."""

    def borrow(self, host: str, come: Callable[[Hashable], None]) -> Loan:
        """Ask for a turn; ``come`` is called when it is there, with what it is counted by here."""

    def lend(self) -> None:
        """Lend the turns that others wait for, and that have come. They go first."""


class Workers:
    """A number of slots, and what may run in them.

    Args:
        most: requests in flight at most.
        limits: what is allowed for each host.
        limited: whether that is anything less than all.

    Attributes:
        most, limits, limited: as above.
        active: requests in flight.
        batches: where requests come from, in turn.
        send: sends a job's request; set before the first job.
        queue: jobs by host, where hosts have limits (from the first Retry-After on, too).
        on_hold: told which host an answer holds back, and for how many seconds.
        lender: asked for turns at other hosts than requests name, where those may be counted
            elsewhere.
        session: of the requests that have none.
    """

    send: Callable[[Job], None]

    def __init__(self, most: int, limits: HostLimits, limited: bool) -> None:
        self.most: int = most
        self.limited: bool = limited
        self.active: int = 0
        #: The forks before these batches: in a child process nothing of theirs is sent.
        self.generation: int = forks.count
        self.batches: deque[Batch] = deque()
        self._greenlets: set[Any] = set()
        #: The one that was started and has not run yet: it sees to the next.
        self._starting: Any = None
        self.limits: HostLimits = limits
        self.queue: HostQueue[Job] | None = HostQueue(limits) if limited else None
        #: Jobs whose back-off is over.
        self._again: deque[Job] = deque()
        #: Jobs that wait for the end of their back-off.
        self._later: list[tuple[float, int, Job]] = []
        self._numbers = itertools.count()
        self._timer: Any = None
        self._timer_at = math.inf
        self.on_hold: Callable[[str, float], None] | None = None
        self.lender: Lender | None = None
        self.session: Any = None
        #: The thread's loop, while there are feeds.
        self._watched: Any = None

    def __contains__(self, greenlet: Any) -> bool:
        """Tell whether a greenlet is one of these."""
        return greenlet in self._greenlets

    # -- what others tell -------------------------------------------------------------------

    def add(self, batch: Batch) -> None:
        """Take requests from a batch, too."""
        if self._watched is None:
            self._watched = blocked_loops.watch()
        self.generation = forks.count
        self.batches.append(batch)
        self.arrange()

    def remove(self, batch: Batch) -> None:
        """Take no more requests from a batch."""
        if batch in self.batches:
            self.batches.remove(batch)
        if not self.batches:
            self._stop_timer()
            watched, self._watched = self._watched, None
            if watched is not None:
                blocked_loops.unwatch(watched)

    def arrange(self) -> None:
        """See to it that what may start starts: at once, or when its time has come."""
        if len(self._greenlets) >= self.most or self._starting is not None:
            return  # who starts or ends looks again
        if self.generation != forks.count:
            return
        if self._has_work():
            worker = self._starting = gevent.Greenlet(self._work)
            self._greenlets.add(worker)
            # Not in the worker's own code: that does not run where it is killed before it starts.
            # Weakly: it is told a turn later, when the pool may have been dropped.
            worker.rawlink(partial(_ended, weakref.ref(self)))
            worker.start()
        elif self._later or self.queue is not None:
            self._start_timer()

    def again(self, job: Job, when: float) -> None:
        """Have a job sent once more, not before a moment."""
        heapq.heappush(self._later, (when, next(self._numbers), job))

    def hold(self, host: str, wait: float) -> None:
        """Start nothing to a host for so many seconds, because it says so."""
        self.hold_host(host, wait)
        if self.on_hold is not None:
            self.on_hold(host, wait)

    def hold_host(self, host: str, wait: float) -> None:
        """Start nothing to a host for so many seconds."""
        if self.queue is None:
            self.queue = HostQueue(self.limits)
            while self._again:
                self._enqueue(self._again.popleft())
        now = clock()
        self.queue.hold(host, now + wait, now)

    def held_back(self) -> int:
        """Return how many jobs wait for their host, or until they are tried again."""
        queue = self.queue
        return len(self._later) + (0 if queue is None else len(queue))

    @property
    def held(self) -> dict[str, float]:
        """The hosts that nothing is started to at the moment, and for how many seconds."""
        held: dict[Any, float] = self.limits.held(clock())
        return held

    def take_out(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Remove jobs from wherever they wait, and return them; those under way stay."""
        out = [job for job in self._again if wanted(job)]
        if out:
            self._again = deque(job for job in self._again if not wanted(job))
        later = [entry[2] for entry in self._later if wanted(entry[2])]
        if later:
            out += later
            self._later = [entry for entry in self._later if not wanted(entry[2])]
            heapq.heapify(self._later)
        queue = self.queue
        if queue is not None and len(queue):
            for job in list(queue.drain()):
                if job.turn is None and wanted(job):
                    out.append(job)
                else:
                    self._enqueue(job)
        return out

    def lend(self) -> bool:
        """Count the slot of the calling greenlet, if it is a worker, as free.

        A hook that sends further requests and waits for them would wait for its own slot.

        Returns:
            whether it is one; `take_back` must be called then.
        """
        me = getcurrent()
        if me not in self._greenlets:
            return False
        for batch in self.batches:
            for job in batch.running:
                if job.greenlet is me:
                    self._leave(job)
        self.most += 1
        return True

    def take_back(self) -> None:
        """Take a slot back that was lent."""
        self.most -= 1

    # -- workers ----------------------------------------------------------------------------

    def _has_work(self) -> bool:
        if self._again:
            return True
        for batch in self.batches:
            if batch.ready:
                return True
        if self._later and self._later[0][0] <= clock():
            return True
        queue = self.queue
        return queue is not None and queue.next_time() <= clock()

    def _ended(self, worker: Any) -> None:
        self._greenlets.discard(worker)
        if worker is self._starting:
            self._starting = None
        self.arrange()

    def _work(self) -> None:
        """Take one request after the other until none may start."""
        try:
            with use(GEVENT):
                self._starting = None
                if len(self.batches) > 1:
                    self.arrange()  # the iterable of one may keep this one waiting
                self._take_and_send()
        except Exception as hit:  # of a signal's handler, between two requests
            self._go_on_after(hit)
        finally:
            # Here, where what a signal's handler raises comes to who waits for the batch; the hub,
            # which has it done too, would tell of it, and go on.
            self._ended(getcurrent())

    def _take_and_send(self) -> None:
        me = getcurrent()
        send = self.send
        batches = self.batches
        while len(self._greenlets) <= self.most and self.generation == forks.count:
            try:
                # Most have one batch, no limits and nothing to do again.
                if self.queue is None and not (self._later or self._again or len(batches) != 1):
                    job = batches[0].pull()
                else:
                    job = self._take()
            except SYSTEM_ERRORS as error:  # of an iterable
                interrupt(self._puller_batch(), error)
                break
            if job is None:
                break
            batch = job.batch
            running = batch.running
            self.active += 1
            try:
                running.add(job)
                batch.taken = None
                job.greenlet = me
                job.scheduler = self
                if len(self._greenlets) < self.most:
                    self.arrange()
                send(job)
            except SYSTEM_ERRORS as error:
                interrupt(batch, error, job)
            except Exception as hit:
                # Of a signal's handler: what is a request's own is in its entry.
                if not job.started and not job.done:
                    self._enqueue(job)
                interrupt(batch, hit, job)
            except BaseException as hit:
                # Somebody's timer or kill that hit a worker: the job is settled, and the
                # others need the slot.
                forget_frames(hit)
            finally:
                self.active -= 1
                job.greenlet = job.scheduler = None
                running.discard(job)
                if job.has_slot:
                    self._leave(job)
                if job.sent:
                    job.sent = False
                    job.host = None  # another attempt begins anew
                if batch.stopped:
                    batch.changed.set()

    def _go_on_after(self, hit: Exception) -> None:
        """End the call that a worker was at work for with what has come between two requests.

        Nothing that it had in its hands is lost: it is sent by another.
        """
        for batch in self.batches:
            job, batch.taken = batch.taken, None
            if job is not None and not (job.started or job.done or self._keeps(job)):
                self._enqueue(job)
        if self.batches:
            interrupt(self.batches[0], hit)
        else:
            gevent.get_hub().handle_error(getcurrent(), type(hit), hit, hit.__traceback__)

    def _keeps(self, job: Job) -> bool:
        """Tell whether a job waits for its turn."""
        queue = self.queue
        return (
            job in self._again
            or any(entry[2] is job for entry in self._later)
            or (queue is not None and queue.holds(job))
        )

    def pass_to(self, job: Job, host: str, deadline: Deadline | None) -> None:
        """Have a message of a job that is under way wait for its turn at its host. Blocks.

        The first one has had its turn, where it goes to where the request says. Who waits holds no
        slot: neither at the host before, nor of the pool's.

        Raises:
            TotalTimeout: its turn would come after the deadline.
        """
        first, job.sent = not job.sent, True
        queue, limits = self.queue, self.limits
        if queue is None or (first and host == job.host):
            return
        lender = self.lender
        if lender is not None and host == host_of(job.request, self.session):
            lender = None  # which is counted here as long as this is under way
        now = clock()
        if (
            lender is None
            and job.has_slot
            and host == job.host
            and limits.next_message_at(host, now) <= now
        ):
            limits.next_message(host, now)
            return
        self._leave(job)
        job.host = host
        if lender is not None:
            job.loan = lender.borrow(host, partial(self._queue_turn, job))
        else:
            when = limits.ready_at(host, now)
            if when <= now:
                limits.started(host, now)
                job.has_slot = True
                return
            if deadline is not None and when >= deadline.at and when != math.inf:
                raise deadline.expired("wait")  # waiting could only end in this
        self._wait_for_turn(job, deadline)
        if job.loan is not None:
            job.loan.set_out()

    def _wait_for_turn(self, job: Job, deadline: Deadline | None) -> None:
        """Wait until a message that is under way may go on, without a slot. Blocks.

        Raises:
            TotalTimeout: its turn would come after the deadline.
        """
        queue = self.queue
        assert queue is not None
        job.turn = turn = Event()
        if job.loan is None:
            queue.push_front(job.host, job)
        self.most += 1
        self.active -= 1
        self.arrange()
        try:
            if not turn.wait(None if deadline is None else deadline.left(None, "wait")):
                assert deadline is not None
                raise deadline.expired("wait")
        finally:
            job.turn = None
            self.active += 1
            if not turn.is_set():
                loan, job.loan = job.loan, None
                if queue.remove(job.host, job) or (loan is not None and not loan.granted):
                    self.most -= 1
                if loan is not None:
                    loan.end()

    def _queue_turn(self, job: Job, host: Hashable) -> None:
        """Have a message whose borrowed turn has come wait for one of the pool's slots."""
        queue = self.queue
        assert queue is not None
        job.host = host
        queue.push_front(host, job)
        self.arrange()

    def _leave(self, job: Job) -> None:
        """Give a job's slot at its host back."""
        if job.has_slot:
            job.has_slot = False
            loan, job.loan = job.loan, None
            if loan is not None:
                loan.end()
            self.free(job.host)

    def set_out(self, host: Hashable) -> None:
        """Count the start of a message that a turn was lent to."""
        assert self.queue is not None
        self.queue.set_out(host, clock())
        if self.lender is not None:
            self.lender.lend()
        self.arrange()

    def free(self, host: Hashable) -> None:
        """Take a slot at a host back."""
        assert self.queue is not None
        self.queue.ended(host)
        if self.lender is not None:
            self.lender.lend()
        self.arrange()

    def _take(self) -> Job | None:
        """Return the next job that may start now. Runs the user's iterable, which may switch."""
        if self._later:
            now = clock()
            while self._later and self._later[0][0] <= now:
                self._enqueue(heapq.heappop(self._later)[2])
        queue = self.queue
        if queue is None:
            if self._again:
                return self._again.popleft()
            batches = self.batches
            return batches[0].pull() if len(batches) == 1 else self._pull()
        while True:
            if self.lender is not None:
                self.lender.lend()
            popped = queue.pop_ready(clock())
            if popped is not None:
                job = popped[1]
                job.has_slot = True
                if job.turn is not None:
                    # Its greenlet has waited, and goes on in the place of this one.
                    self.most -= 1
                    job.turn.set()
                    return None
                return job
            pulled = self._pull()
            if pulled is None:
                return None
            self._enqueue(pulled)

    def _puller_batch(self) -> Batch:
        """Return the batch whose iterable has just ended by an interruption."""
        for batch in self.batches:
            if isinstance(batch, IteratedBatch) and batch.over_by_error:
                return batch
        return self.batches[0]

    def _pull(self) -> Job | None:
        """Return the next job of the batches, in turn."""
        batches = self.batches
        for batch in tuple(batches):
            if batch.ready:
                # Whose turn it was comes last the next time.
                batches.remove(batch)
                batches.append(batch)
                job = batch.pull()
                if job is not None:
                    return job
        return None

    def _enqueue(self, job: Job) -> None:
        if self.queue is None:
            self._again.append(job)
        else:
            if job.host is None:
                job.host = host_of(job.request, self.session)
            self.queue.push(job.host, job)

    # -- the timer --------------------------------------------------------------------------

    def _start_timer(self) -> None:
        """Have the hub start a worker when the next job may start."""
        when = self._later[0][0] if self._later else math.inf
        if self.queue is not None:
            when = min(when, self.queue.next_time())
        if when >= self._timer_at:
            return
        self._stop_timer()
        # It rings until it was heard: a signal's handler may raise just as it does.
        self._timer = gevent.get_hub().loop.timer(max(when - clock(), 0.0), AGAIN)
        self._timer.start(self._woken, update=True)
        self._timer_at = when

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        self._timer_at = math.inf

    def _woken(self) -> None:
        self._timer_at = math.inf
        self.arrange()
        if self._timer_at == math.inf:  # else it is another
            self._stop_timer()


def _ended(workers: weakref.ref[Workers], worker: Any) -> None:
    alive = workers()
    if alive is not None:
        alive._ended(worker)


def host_of(request: Any, session: Any) -> str:
    """Return the name of a request's host: what limits are counted by. Never raises.

    Args:
        request: whatever was given for one.
        session: that it is sent by, unless it has one of its own.
    """
    try:
        own = request.session
        base = getattr(session if own is None else own, "base_url", None)
        return prepare_url(with_base(base, request.url)).host
    except Exception:  # its entry will say what is wrong with it
        return ""
