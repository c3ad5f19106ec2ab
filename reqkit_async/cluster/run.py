"""A run: workers, from their first hello to their last word, and what is given to them.

Requests are pulled as there is room, given to a worker (the least loaded one, or that which their
host belongs to, where hosts have limits), and their entries handed over as they come back. What
was with a worker that is lost is sent elsewhere, where that does no harm.
"""

from __future__ import annotations

import itertools
import pickle
import secrets
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent.event import Event

from reqkit import Response
from reqkit._version import __version__
from reqkit.exceptions import UnpicklableError, WorkerLost
from reqkit.message.request import NO_ARGUMENTS
from reqkit.network import use
from reqkit.sessions.outcome import failed_response
from reqkit.timeouts import clock

from ..network import GEVENT
from ..network.hubs import next_turn
from ..pool.batch import Batch, Job
from ..pool.cancellation import GRACE, TimeLimit, cancelled
from ..pool.exits import SYSTEM_ERRORS
from ..pool.interruption import interrupt
from ..pool.iterated import IteratedBatch
from ..pool.limits import HostLimits
from ..pool.sending import Sender, handler_of
from ..pool.workers import host_of
from ..stats import Stats
from .channel import Channel, Listener
from .executors import Tasks
from .figures import Figures, add_figures
from .hosts import HostTable
from .lending import Loans
from .pickling import Packer, cannot_travel, unpack_entry
from .remote import WINDOW, Remote
from .worker import Ticket, serve

__all__ = ["Run", "Settings"]

#: Seconds that the first worker may take to come.
FIRST_HELLO = 30.0
#: Seconds that the others may take after that; who comes later gets a share, too.
MORE_HELLOS: Final = 1.0
#: Seconds that workers may take to end.
LAST_WORDS: Final = 0.4
#: RFC 9110 section 9.2.2.
_IDEMPOTENT: Final = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))
#: Seconds after which making many entries lets others run.
_TURN: Final = 0.005


class Settings:
    """What a pool says of all its runs.

    Args:
        size: requests in flight at most, in each worker; None leaves it to them.
        per_host, rate, delay: limits of hosts, over the whole run.
        policy: of retries.
    """

    def __init__(self, size: int | None, per_host: Any, rate: Any, delay: Any, policy: Any) -> None:
        self.size = size
        self.per_host = per_host
        self.rate = rate
        self.delay = delay
        self.policy = policy

    def table(self) -> HostTable[Job] | None:
        """Return what knows which worker a host belongs to; None where hosts have no limits."""
        if self.per_host is None and self.rate is None and not self.delay:
            return None
        limits = HostLimits(self.per_host, self.rate, self.delay)
        spacing = max(limits.interval, limits.delay)
        # So many of a host's are with its worker that it is never idle: half a second's.
        most = 4 * (self.size or WINDOW * 8)
        if limits.per_host is not None:
            most = min(most, 4 * limits.per_host)
        if spacing:
            most = min(most, 2 + int(0.5 / spacing))
        return HostTable(most, spacing)


class Run:
    """One run on an executor.

    Args:
        tasks: what its workers do.
        settings: the pool's.
        sender: makes entries here.
        stats: the pool's.

    Attributes:
        remotes: the workers that are there.
        closed: whether it is over.
        dead: whether nothing is sent any more, as all workers are gone.
    """

    def __init__(self, tasks: Tasks, settings: Settings, sender: Sender, stats: Stats) -> None:
        self.remotes: list[Remote] = []
        self.closed: bool = False
        self.dead: bool = False
        self._tasks = tasks
        self._settings = settings
        self._sender = sender
        self._stats = stats
        self._hub = gevent.get_hub()
        self._packer = Packer(tasks.by_value)
        key = secrets.token_bytes(32)
        self._listener = Listener(key, tasks.toward, self._met)
        self._ticket = Ticket(self._listener.addresses, key)
        self._numbers = itertools.count()
        self._batches: dict[Batch, int] = {}
        #: What wakes the greenlet that pulls from a batch.
        self._wakes: dict[Batch, Event] = {}
        self._everything: dict[Batch, bool] = {}
        self._table = settings.table()
        self._loans = None if self._table is None else Loans(self._table)
        self._holds: dict[str, float] = {}
        #: What waits here for hosts that are held back, and what will wake it.
        self._waiting: dict[str, deque[Job]] = {}
        self._waits: list[Any] = []
        #: What lost workers had: those that they had not begun, and the others.
        self._again: deque[Job] = deque()
        self._suspects: deque[Job] = deque()
        self._lost_once: set[Job] = set()
        self._suspects_out: set[Job] = set()
        self._cleared = 0
        #: Whether requests are given out.
        self._open = False
        self._came = 0
        self._left = 0
        self._failure: BaseException | None = None
        self._timer: Any = None
        self._over = Event()
        self._first: dict[int, bytes] = {}
        self._policy = self._session = -1

    # -- the beginning ----------------------------------------------------------------------

    def start(self) -> None:
        """Submit the tasks, and let workers come.

        Raises:
            UnpicklableError: the pool's session or retries cannot travel.
            WorkerLost: the executor takes no tasks.
        """
        self._policy = self._number("retries", self._settings.policy)
        self._session = self._number("session", self._sender.session)
        try:
            self._tasks.start(serve, self._ticket, self._task_ended)
        except Exception as error:
            raise WorkerLost(
                f"the executor ({self._kind()}) takes no tasks: {type(error).__name__}: {error};"
                " give one that is not shut down or broken"
            ) from error
        # After the tasks: a process that was forked for one has nothing of this to run.
        self._listener.start()
        self._set_timer(FIRST_HELLO, self._nobody_came)

    def _kind(self) -> str:
        return type(self._tasks.executor).__name__

    def _number(self, name: str, thing: Any) -> int:
        try:
            number = self._packer.number_of(thing)
        except Exception as error:
            raise cannot_travel(f"{name}= ({type(thing).__name__})", error) from error
        assert number is not None
        self._first[number] = self._packer.shared[number]
        return number

    def _met(self, channel: Channel) -> None:
        """Have a worker that came do its part. Runs in a greenlet of its own."""
        remote: Remote | None = None
        try:
            for messages in channel.receive():
                for message in messages:
                    if remote is not None:
                        getattr(self, "_take_" + message[0])(remote, *message[1:])
                        continue
                    remote = self._hello(channel, *message[1:])
                    if remote is None:
                        return
                self.deal()
        finally:
            channel.close()
            if remote is not None:
                self._lose(remote)

    def _hello(
        self, channel: Channel, version: str, python: str, host: str, pid: int, now: float
    ) -> Remote | None:
        place = f"process {pid} on {host}"
        if version != __version__:
            self._failure = WorkerLost(
                f"the worker in {place} (Python {python}) has reqkit {version}, and this is"
                f" {__version__}: install one and the same"
            )
        if self.closed or version != __version__:
            channel.post(("end",))
            channel.send_now()
            return None
        shift = clock() - now
        settings = self._settings
        remote = Remote(channel, place)
        remote.known.update(self._first)
        self.remotes.append(remote)
        remote.tell("setup", self._first, {
            "size": settings.size, "per_host": settings.per_host, "rate": settings.rate,
            "delay": settings.delay, "policy": self._policy, "session": self._session,
            # Processes of one machine have one clock: what is left is how long the hello took.
            "shift": 0.0 if channel.local or abs(shift) < 1.0 else shift,
        })  # fmt: skip
        for name, left in self.held().items():
            remote.tell("hold", name, left)
        channel.send_now()
        return remote

    def _take_ready(self, remote: Remote, size: int) -> None:
        remote.size = size
        self._came += 1
        if self._table is not None:
            self._table.add(remote)
        if self._open:
            self._set_bounds()
        elif self._came >= self._tasks.count:
            self._start_giving()
        elif self._came == 1:
            self._set_timer(MORE_HELLOS, self._start_giving)

    def _start_giving(self) -> None:
        self._stop_timer()
        self._open = True
        self._set_bounds()
        self.deal()

    def _set_bounds(self) -> None:
        """Have the callers' iterables be pulled from as far ahead as these workers allow."""
        size = sum(remote.size for remote in self.remotes)
        if size:
            for batch in self._batches:
                if isinstance(batch, IteratedBatch):
                    batch._bound = WINDOW * size

    def _nobody_came(self) -> None:
        self._stop_timer()
        self._fail_all(
            WorkerLost(
                f"no worker of the executor ({self._kind()}) has come within {FIRST_HELLO:g} s: are"
                " all of them busy, or can they not reach this machine?"
            )
        )

    def _task_ended(self, error: BaseException | None) -> None:
        """Note that a task has ended. Runs in the hub."""
        self._left += 1
        if error is not None and self._failure is None:
            self._failure = error
        if self.closed:
            self._see_to_end()
        elif not self._tasks.pending and not self.remotes:
            # What says so may have overtaken the workers' last words.
            self._set_timer(0.1, self._check_gone)

    def _check_gone(self) -> None:
        self._stop_timer()
        if self.closed or self.dead or self.remotes:
            return
        failure = self._failure
        error = WorkerLost(
            f"{'all workers are gone' if self._came else 'no worker has come'} of the executor"
            f" ({self._kind()})" + (f": {type(failure).__name__}: {failure}" if failure else "")
        )
        error.__cause__ = failure
        self._fail_all(error)

    def _set_timer(self, seconds: float, function: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = self._hub.loop.timer(seconds)
        self._timer.start(function, update=True)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None

    # -- giving -----------------------------------------------------------------------------

    def add(self, batch: Batch) -> None:
        """Take requests from a batch, too."""
        self._batches[batch] = next(self._numbers)
        wake = self._wakes[batch] = Event()
        self._set_bounds()
        gevent.spawn(self._deal, batch, wake)

    def remove(self, batch: Batch) -> None:
        """Take no more requests from a batch."""
        number = self._batches.pop(batch, None)
        wake = self._wakes.pop(batch, None)
        self._everything.pop(batch, None)
        if wake is not None:
            wake.set()
        for remote in self.remotes:
            if number in remote.batches:
                remote.batches.discard(number)
                remote.tell("forget", number)

    def deal(self) -> None:
        """Give out what may be given out. Never blocks."""
        if not self._open or self.closed or self.dead:
            return
        while self._again and (remote := self._with_room()) is not None:
            self._place(self._again.popleft(), remote)
        # One of these may be what has killed its worker: few at first, so that it takes few
        # others along, and more as they do no harm.
        while (
            self._suspects
            and len(self._suspects_out) < 1 + self._cleared // 8
            and (remote := self._with_room()) is not None
        ):
            job = self._suspects.popleft()
            self._suspects_out.add(job)
            self._place(job, remote)
        if self._table is not None:
            for remote in self.remotes:
                self._pump(remote)
        for wake in self._wakes.values():
            wake.set()

    def _deal(self, batch: Batch, wake: Event) -> None:
        """Pull from a batch as there is room. Runs the caller's iterable, which may wait."""
        with use(GEVENT):
            while batch in self._wakes and not self.closed:
                wake.clear()
                try:
                    self._deal_some(batch)
                except SYSTEM_ERRORS as raised:  # of the iterable
                    interrupt(batch, raised)
                wake.wait()

    def _deal_some(self, batch: Batch) -> None:
        while self._open and not self.dead and batch.ready:
            remote = self._with_room()
            if remote is None:
                break
            job = batch.pull()
            if job is None:
                break
            self._place(job, remote)

    def _with_room(self) -> Remote | None:
        """Return the worker that has most room, or None."""
        best: Remote | None = None
        most = 0
        for remote in self.remotes:
            room = remote.room()
            if room > most:
                best, most = remote, room
        return best

    def _place(self, job: Job, remote: Remote) -> None:
        """Give a job to a worker: its host's, where hosts have limits."""
        if self.dead:
            self._give_up(job)  # the iterable has waited meanwhile
        elif self._table is None:
            if self._holds and self._keep_waiting(job):
                return
            # The iterable may have waited, and the worker be gone meanwhile.
            if remote not in self.remotes:
                self._again.append(job)
                self.deal()
            else:
                self._give(job, remote)
        else:
            owner: Any = self._table.push(self._host_of(job), job, clock())
            if owner is not None:
                self._pump(owner)

    def _keep_waiting(self, job: Job) -> bool:
        """Have a job wait here for its host, where that is held back; tell whether it is."""
        host = self._host_of(job)
        left = self._holds.get(host, 0.0) - clock()
        if left <= 0:
            return False
        if host not in self._waiting:
            self._waiting[host] = deque()
            self._waits.append(gevent.spawn_later(left, self._release, host))
        self._waiting[host].append(job)
        return True

    def _release(self, host: str) -> None:
        """Give out what has waited for a host."""
        self._waits = [wait for wait in self._waits if not wait.dead]
        self._again.extend(self._waiting.pop(host, ()))
        self.deal()

    def _pump(self, remote: Remote) -> None:
        """Give a worker what waits for its hosts."""
        table = self._table
        assert table is not None
        if not remote.size:
            return
        now = clock()
        while remote.room() > 0:
            popped = table.pop(remote, now)
            if popped is None:
                if remote.out or not table.share(remote):
                    return
                continue
            job, host, pause = popped
            if pause > 0:
                remote.tell("hold", host, pause)
            if not self._give(job, remote):
                table.ended(host, now)

    def _host_of(self, job: Job) -> str:
        host: str | None = job.host
        if host is None:
            host = job.host = host_of(job.request, self._sender.session)
        return host

    def _give(self, job: Job, remote: Remote) -> bool:
        """Give a job to a worker; tell whether that went well."""
        request = job.request
        try:
            packed, used = self._packer.pack(request)
        except UnpicklableError as error:
            self._suspects_out.discard(job)
            self._conclude_soon(job, error)
            return False
        batch = self._introduce(remote, job.batch, used)
        number = next(self._numbers)
        # Those are asked about that must not be sent twice, or may be what kills workers.
        marked = job in self._lost_once or str(request.method).upper() not in _IDEMPOTENT
        prefetch = None if job.prefetch == job.batch.options.prefetch else job.prefetch
        remote.out[number] = job
        remote.give(batch, (number, packed, prefetch, marked))
        job.batch.running.add(job)
        job.started = True
        job.pending = []  # its hooks are the worker's
        return True

    def _introduce(self, remote: Remote, batch: Batch, used: set[int] | None) -> int:
        """Have a worker know a batch, and what is shared; return the batch's number."""
        if used:
            for shared in used - remote.known:
                remote.known.add(shared)
                remote.tell("share", shared, self._packer.shared[shared])
        number = self._batches[batch]
        if number not in remote.batches:
            remote.batches.add(number)
            left = None if batch.ends is None else max(batch.ends - clock(), 0.0)
            remote.tell("batch", number, batch.options.prefetch, left)
        return number

    # -- what workers say -------------------------------------------------------------------

    def _take_entries(
        self, remote: Remote, entries: list[Any], figures: Figures, held_back: int
    ) -> None:
        add_figures(self._stats, figures)
        remote.held_back = held_back
        remote.count(len(entries))
        for number, packed in entries:
            job = remote.out.pop(number, None)
            if job is None:
                continue
            self._forget(remote, number, job)
            if job in self._suspects_out:
                self._suspects_out.discard(job)
                self._cleared += 1
            if job.done:
                job.batch.running.discard(job)
                continue
            entry: Any
            try:
                entry = unpack_entry(packed, job.request._arguments.context)
            except UnpicklableError as error:
                error.request = job.request
                entry = failed_response(job.request, error)
            self._hand_over(job, entry)

    def _take_began(self, remote: Remote, number: int) -> None:
        remote.began.add(number)

    def _take_held_back(self, remote: Remote, count: int) -> None:
        remote.held_back = count

    def _take_hold(self, remote: Remote, host: str, seconds: float) -> None:
        """Have all workers leave a host alone that has asked for it."""
        now = clock()
        if len(self._holds) > 1000:
            self._holds = {name: until for name, until in self._holds.items() if until > now}
        self._holds[host] = max(self._holds.get(host, 0.0), now + seconds)
        if self._table is not None:
            self._table.hold(host, now + seconds)
        for other in self.remotes:
            if other is not remote:
                other.tell("hold", host, seconds)

    def _take_ask(self, remote: Remote, wanted: int, host: str) -> None:
        """Have a message of a worker's get its turn at a host that may be another one's."""
        if self._loans is not None:
            self._loans.ask(remote, wanted, host)

    def _take_lent(self, remote: Remote, number: int) -> None:
        if self._loans is not None:
            self._loans.lent(number)

    def _take_set_out(self, remote: Remote, wanted: int) -> None:
        if self._loans is not None:
            self._loans.set_out(remote, wanted)

    def _take_left(self, remote: Remote, wanted: int) -> None:
        if self._loans is not None:
            self._loans.left(remote, wanted)

    def held(self) -> dict[str, float]:
        """Return the hosts that a Retry-After holds back, and for how many seconds."""
        now = clock()
        return {name: until - now for name, until in self._holds.items() if until > now}

    def _take_exited(
        self, remote: Remote, number: int | None, code: Any, interrupted: bool, index: int | None
    ) -> None:
        """Have what a hook wanted to end end: its call; all calls, where the worker ends, too."""
        for batch, own in list(self._batches.items()):
            if number in (None, own):
                error = KeyboardInterrupt() if interrupted else SystemExit(code)
                interrupt(batch, error, None if index is None else remote.out.get(index))
        if number is not None:
            return  # the worker is told to stop that call, and goes on
        for job in remote.out.values():
            job.batch.running.discard(job)
            if not job.done:
                self._conclude_soon(job, cancelled(job.request))
        remote.out.clear()

    def _take_dropped(self, remote: Remote, number: int) -> None:
        job = remote.out.pop(number, None)
        if job is not None:
            self._forget(remote, number, job)
            job.batch.running.discard(job)
            if not job.done:
                job.batch.drop(job)

    def _take_stopped(self, remote: Remote, number: int) -> None:
        """Let go of what a worker had of a batch that was stopped, and never began."""
        for index, job in list(remote.out.items()):
            if self._batches.get(job.batch) != number:
                continue
            del remote.out[index]
            self._forget(remote, index, job)
            if job.done:
                job.batch.running.discard(job)
            elif self._everything.get(job.batch):
                reason = job.batch.reason or cancelled
                self._conclude_soon(job, reason(job.request, False, None))
            else:
                job.batch.running.discard(job)
                job.batch.drop(job)
                job.batch.changed.set()

    def _forget(self, remote: Remote, number: int, job: Job) -> None:
        remote.began.discard(number)
        if number in remote.only_hooks:
            remote.only_hooks.discard(number)
        elif self._table is not None and job.host is not None:
            self._table.ended(job.host, clock())

    # -- entries ----------------------------------------------------------------------------

    def _hand_over(self, job: Job, entry: Any) -> None:
        """Hand an entry over that came from a worker."""
        error = getattr(entry, "error", None)
        if isinstance(entry, Response):
            job.request.response = entry
        self._lost_once.discard(job)
        if error is not None:
            job.error = error
            if handler_of(job) is not None and not job.batch.options.raise_errors:
                # It may take any time, and others wait for what else this worker says.
                gevent.spawn(self._handle, job, entry, error)
                return
        self._finish(job, entry)

    def _finish(self, job: Job, entry: Any) -> None:
        """Hand an entry over to its call. The caller's progress is told of it."""
        batch = job.batch
        batch.running.discard(job)
        try:
            batch.finish(job, entry)
        except SYSTEM_ERRORS as raised:
            interrupt(batch, raised, job)
        if batch.stopped:
            batch.changed.set()

    def _handle(self, job: Job, entry: Any, error: Any) -> None:
        """Ask the exception handler for an entry."""
        job.greenlet = gevent.getcurrent()
        try:
            with use(GEVENT):
                entry = self._sender._handled(job, entry, error)
        except SYSTEM_ERRORS as raised:
            interrupt(job.batch, raised, job)
        finally:
            job.greenlet = None
            self._finish(job, entry)

    def _conclude_soon(self, job: Job, error: Any) -> None:
        """Have an entry be made here, of a request that no worker will answer."""
        job.batch.running.add(job)
        gevent.spawn(self._conclude, job, error)

    def _conclude(self, job: Job, error: Any) -> None:
        batch = job.batch
        job.greenlet = gevent.getcurrent()
        try:
            with use(GEVENT), TimeLimit(clock() + GRACE) as time_limit:
                self._sender.conclude_unsent(job, error, time_limit)
        except SYSTEM_ERRORS as raised:
            interrupt(batch, raised, job)
        finally:
            job.greenlet = None
            batch.running.discard(job)
            batch.changed.set()

    # -- stopping ---------------------------------------------------------------------------

    def stop(self, batch: Batch, reason: str, everything: bool) -> None:
        """Have the workers stop what they have of a batch. Never blocks."""
        number = self._batches.get(batch)
        self._everything[batch] = everything
        for remote in self.remotes:
            if number in remote.batches:
                remote.tell("stop", number, reason, everything)
                remote.channel.send_now()

    def cancel(self, wanted: Callable[[Job], bool]) -> None:
        """Have the workers stop single requests. Never blocks."""
        for remote in self.remotes:
            for number, job in remote.out.items():
                if wanted(job):
                    remote.tell("cancel", self._batches[job.batch], number)

    def take_out(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Remove jobs from wherever they wait here, and return them."""
        out: list[Job] = []
        for name in ("_again", "_suspects"):
            waiting: deque[Job] = getattr(self, name)
            out += [job for job in waiting if wanted(job)]
            setattr(self, name, deque(job for job in waiting if not wanted(job)))
        for host, waiting in self._waiting.items():
            out += [job for job in waiting if wanted(job)]
            self._waiting[host] = deque(job for job in waiting if not wanted(job))
        if self._table is not None:
            out += self._table.take_out(wanted)
        return out

    # -- lost workers -----------------------------------------------------------------------

    def _lose(self, remote: Remote) -> None:
        """See to what was with a worker that is gone."""
        self.remotes.remove(remote)
        if self.closed:
            self._see_to_end()
        out, remote.out = remote.out, {}
        if self._table is not None:
            self._table.remove(remote, clock())
        if self._loans is not None:
            self._loans.lose(remote)
        if self._open and not self.closed:
            self._set_bounds()
        for number, job in out.items():
            self._suspects_out.discard(job)
            job.batch.running.discard(job)
            if not job.done:
                self._recover(job, remote, number)
        if out:
            self._cleared = 0
        if not self.remotes and not self.closed and not self.dead:
            if self._tasks.pending:
                # Some executors begin a task anew whose worker is gone.
                self._set_timer(FIRST_HELLO, self._check_gone)
            else:
                self._set_timer(0.1, self._check_gone)
        self.deal()

    def _recover(self, job: Job, remote: Remote, number: int) -> None:
        """Have a request sent elsewhere whose worker is gone, or end."""
        batch = job.batch
        if batch.stopped:
            reason = batch.reason or cancelled
            self._conclude_soon(job, reason(job.request, True, None))
            return
        idempotent = str(job.request.method).upper() in _IDEMPOTENT
        began = number in remote.began
        if not idempotent and not remote.channel.local:
            began = True  # its machine may be gone, with what it was about to say
        if number in remote.only_hooks:
            self._give_up(job, remote)
        elif job in self._lost_once:
            if began:
                self._give_up(job, remote)  # its hooks may be what has killed them
            else:
                self._suspects.append(job)
        elif idempotent:
            self._lost_once.add(job)
            self._suspects.append(job)
        elif began:
            self._fail_elsewhere(job, remote)
        else:
            self._again.append(job)

    def _fail_elsewhere(self, job: Job, remote: Remote) -> None:
        """End a request that was lost with its worker; its hooks run in another one."""
        error = self._lost(job, remote)
        request = job.request
        others = [other for other in self.remotes if other.size]
        if not others or (request._arguments is NO_ARGUMENTS and request.session is None
                          and self._sender.session is None):  # fmt: skip
            self._conclude_soon(job, error)
            return
        other = min(others, key=lambda remote: len(remote.out))
        packed, used = self._packer.pack(request)
        batch = self._introduce(other, job.batch, used)
        number = next(self._numbers)
        other.out[number] = job
        other.only_hooks.add(number)
        other.tell("fail", batch, number, packed, pickle.dumps(error, 5))
        job.batch.running.add(job)

    def _lost(self, job: Job, remote: Remote | None) -> WorkerLost:
        where = "its workers" if remote is None else f"its worker ({remote.place})"
        again = "; it was sent twice" if remote is not None and job in self._lost_once else ""
        error = WorkerLost(
            f"{job.request.describe()}: {where} died before it was answered{again}; it may have"
            " reached the server"
        )
        error.request = job.request
        return error

    def _give_up(self, job: Job, remote: Remote | None = None) -> None:
        """End a request that no worker is left for. None of its hooks run."""
        job.pending = []
        self._conclude_soon(job, self._lost(job, remote))

    def _fail_all(self, error: WorkerLost) -> None:
        """End all that is left: no worker is."""
        self.dead = True
        if self._failure is None:
            self._failure = error
        for job in self.take_out(lambda job: True):
            self._give_up(job)
        for batch in list(self._batches):
            if isinstance(batch, IteratedBatch):
                # What was given out has its entries, then this comes out.
                batch.error = error
                batch._iterator = None
                batch.changed.set()
            elif not self._came:
                batch.failure = error
                batch.changed.set()
            if not isinstance(batch, IteratedBatch):
                gevent.spawn(self._give_up_rest, batch, error)

    def _give_up_rest(self, batch: Batch, error: WorkerLost) -> None:
        """Make the entries of what was never pulled."""
        until = clock() + _TURN
        while batch in self._batches and (job := batch.pull()) is not None:
            job.pending = []
            lost = WorkerLost(f"{job.request.describe()}: not sent: {error}")
            lost.request = job.request
            batch.running.add(job)
            self._conclude(job, lost)
            if clock() > until:
                next_turn()
                until = clock() + _TURN

    # -- the end ----------------------------------------------------------------------------

    def end(self) -> None:
        """End: nobody is listened to, and workers are told. Never blocks."""
        if self.closed:
            return
        self.closed = True
        self._stop_timer()
        self._listener.close()
        self._tasks.close()
        gevent.killall(self._waits, block=False)
        for wake in self._wakes.values():
            wake.set()
        for remote in self.remotes:
            remote.tell("end")
            remote.channel.send_now()
        if self.remotes:
            self._set_timer(LAST_WORDS, self._cut_off)
        self._see_to_end()

    def _cut_off(self) -> None:
        """Hang up on workers that do not end: they notice."""
        self._stop_timer()
        for remote in self.remotes:
            remote.channel.hang_up()

    def _see_to_end(self) -> None:
        if not self.remotes:
            self._stop_timer()
            if self._left >= self._came or not self._tasks.tells:
                self._over.set()

    def wait(self) -> None:
        """Wait until no worker does anything for it any more, for half a second at most."""
        self._over.wait(LAST_WORDS + 0.05)
