"""A run: workers, from their first hello to their last word, and what they say in between.

What is given to them is the dispatcher's (`dispatch`), what becomes of lost ones' requests the
recovery's (`recovery`), and entries are made by `entries`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent.event import Event

from reqkit import Session
from reqkit._version import __version__
from reqkit.exceptions import WorkerLost
from reqkit.timeouts import clock

from ..pool.batch import Batch, Job
from ..pool.exits import SYSTEM_ERRORS
from ..pool.interruption import interrupt
from ..pool.sending import Sender
from ..pool.stop_reasons import cancelled
from ..stats import Stats
from .channel import Channel, Listener
from .dispatch import Dispatcher
from .entries import Entries
from .executors import Tasks
from .pickling import Packer, cannot_travel
from .recovery import Recovery
from .remote import Remote
from .settings import Settings
from .stats import Figures, add_figures
from .task import Ticket, serve

__all__ = ["Run"]

#: Seconds that the first worker may take to come.
FIRST_HELLO = 30.0
#: Seconds that the others may take after that; who comes later gets a share, too.
MORE_HELLOS: Final = 1.0
#: Seconds that workers may take to end.
LAST_WORDS: Final = 0.4


class Run:
    """One run on an executor.

    Args:
        tasks: what its workers do.
        settings: the pool's.
        sender: makes entries here.
        stats: the pool's.
    """

    def __init__(self, tasks: Tasks, settings: Settings, sender: Sender, stats: Stats) -> None:
        self._tasks = tasks
        self._settings = settings
        self._sender = sender
        self._stats = stats
        self._hub = gevent.get_hub()
        self._packer = Packer(tasks.by_value)
        self._entries = Entries(sender)
        self._dispatcher = Dispatcher(self._packer, settings.table(), self._entries, sender.session)
        self._recovery = Recovery(self._dispatcher, self._entries, sender.session is not None)
        key = secrets.token_bytes(32)
        self._listener = Listener(key, tasks.toward, self._met)
        self._ticket = Ticket(self._listener.addresses, key)
        #: Of the batches that are stopped: whether what was never begun has entries, too.
        self._everything: dict[Batch, bool] = {}
        self._came = 0
        self._left = 0
        self._failure: BaseException | None = None
        self._timer: Any = None
        self._over = Event()
        self._within = LAST_WORDS
        #: What each worker gets first, pickled: the pool's session, and its retries.
        self._first: dict[int, bytes] = {}
        self._policy = self._session = -1

    @property
    def closed(self) -> bool:
        """Whether it is over."""
        return self._dispatcher.closed

    @property
    def dead(self) -> bool:
        """Whether nothing is sent any more, as all workers are gone."""
        return self._dispatcher.dead

    @property
    def active(self) -> int:
        """Requests that are with workers."""
        active = 0
        for remote in self._dispatcher.remotes:
            active += len(remote.out)
        return active

    def held(self) -> dict[str, float]:
        """Return the hosts that a Retry-After holds back, and for how many seconds."""
        return self._dispatcher.holds.left()

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
        except Exception as error:  # each executor has errors of its own
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
            number = self._packer.number_of(thing, always=True)
        except Exception as error:  # pickling runs code of the user's
            raise cannot_travel(f"{name}= ({type(thing).__name__})", error) from error
        assert number is not None
        self._first[number] = self._packer.shared[number]
        return number

    def use_session(self, session: Session | None) -> None:
        """Have workers send by another session what they have not begun. Never blocks.

        Raises:
            UnpicklableError: it cannot travel; the one before counts.
        """
        if self.closed or session is self._dispatcher.session:
            return
        self._session = number = self._number("session", session)
        self._dispatcher.session = session
        self._recovery.has_session = session is not None
        for remote in self._dispatcher.remotes:
            remote.share(number, self._packer.shared[number])
            remote.tell("use_session", number)

    def _met(self, channel: Channel) -> None:
        """Have a worker that came do its part. Runs in a greenlet of its own."""
        remote: Remote | None = None
        channel.on_interrupt = self._interrupted
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
        except SYSTEM_ERRORS as error:
            self._interrupted(error)
        finally:
            channel.close()
            if remote is not None:
                self._lose(remote)

    def _interrupted(self, error: BaseException) -> None:
        """End a call by an interrupt that hit code which serves all of them."""
        for batch in self._dispatcher.batches:
            interrupt(batch, error)
            return
        self._hub.handle_system_error(type(error), error)

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
        self._dispatcher.remotes.append(remote)
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
        self._dispatcher.add_worker(remote)
        if self._dispatcher.open:
            self._dispatcher.set_bounds()
        elif self._came >= self._tasks.count:
            self._start_giving()
        elif self._came == 1:
            self._set_timer(MORE_HELLOS, self._start_giving)

    def _start_giving(self) -> None:
        self._stop_timer()
        self._dispatcher.open = True
        self._dispatcher.set_bounds()
        self.deal()

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
        elif not self._tasks.pending and not self._dispatcher.remotes:
            # What says so may have overtaken the workers' last words.
            self._set_timer(0.1, self._check_gone)

    def _check_gone(self) -> None:
        self._stop_timer()
        if self.closed or self.dead or self._dispatcher.remotes:
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

    # -- batches ----------------------------------------------------------------------------

    def add(self, batch: Batch) -> None:
        """Take requests from a batch, too."""
        self._dispatcher.add(batch)

    def remove(self, batch: Batch) -> None:
        """Take no more requests from a batch."""
        self._everything.pop(batch, None)
        self._dispatcher.remove(batch)

    def deal(self) -> None:
        """Give out what may be given out. Never blocks."""
        self._dispatcher.deal()

    def take_out(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Remove jobs from wherever they wait here, and return them."""
        return self._dispatcher.take_out(wanted)

    # -- what workers say -------------------------------------------------------------------

    def _take_entries(
        self, remote: Remote, entries: list[Any], figures: Figures, held_back: int
    ) -> None:
        add_figures(self._stats, figures)
        remote.held_back = held_back
        self._dispatcher.take_entries(remote, entries)

    def _take_began(self, remote: Remote, number: int) -> None:
        remote.began.add(number)

    def _take_held_back(self, remote: Remote, count: int) -> None:
        remote.held_back = count

    def _take_hold(self, remote: Remote, host: str, seconds: float) -> None:
        self._dispatcher.hold(remote, host, seconds)

    def _take_ask(self, remote: Remote, wanted: int, host: str) -> None:
        """Have a message of a worker's get its turn at a host that may be another one's."""
        if self._dispatcher.loans is not None:
            self._dispatcher.loans.ask(remote, wanted, host)

    def _take_lent(self, remote: Remote, number: int) -> None:
        if self._dispatcher.loans is not None:
            self._dispatcher.loans.lent(number)

    def _take_set_out(self, remote: Remote, wanted: int) -> None:
        if self._dispatcher.loans is not None:
            self._dispatcher.loans.set_out(remote, wanted)

    def _take_left(self, remote: Remote, wanted: int) -> None:
        if self._dispatcher.loans is not None:
            self._dispatcher.loans.left(remote, wanted)

    def _take_exited(
        self, remote: Remote, number: int | None, code: Any, interrupted: bool, index: int | None
    ) -> None:
        """Have what a hook wanted to end end: its call; all calls, where the worker ends, too."""
        for batch, own in list(self._dispatcher.batches.items()):
            if number in (None, own):
                error = KeyboardInterrupt() if interrupted else SystemExit(code)
                interrupt(batch, error, None if index is None else remote.out.get(index))
        if number is not None:
            return  # the worker is told to stop that call, and goes on
        for job in remote.out.values():
            job.batch.running.discard(job)
            if not job.done:
                self._entries.fail(job, cancelled(job.request))
        remote.out.clear()

    def _take_dropped(self, remote: Remote, number: int) -> None:
        job = remote.out.pop(number, None)
        if job is not None:
            self._dispatcher.returned(remote, number, job)
            job.batch.running.discard(job)
            if not job.done:
                job.batch.drop(job)

    def _take_stopped(self, remote: Remote, number: int) -> None:
        """Let go of what a worker had of a batch that was stopped, and never began."""
        for index, job in list(remote.out.items()):
            if self._dispatcher.batches.get(job.batch) != number:
                continue
            del remote.out[index]
            self._dispatcher.returned(remote, index, job)
            if job.done:
                job.batch.running.discard(job)
            elif self._everything.get(job.batch):
                reason = job.batch.reason or cancelled
                self._entries.fail(job, reason(job.request, False, None))
            else:
                job.batch.running.discard(job)
                job.batch.drop(job)
                job.batch.changed.set()

    # -- stopping ---------------------------------------------------------------------------

    def stop(self, batch: Batch, reason: str, everything: bool) -> None:
        """Have the workers stop what they have of a batch. Never blocks."""
        number = self._dispatcher.batches.get(batch)
        self._everything[batch] = everything
        for remote in self._dispatcher.remotes:
            if number in remote.batches:
                remote.tell("stop", number, reason, everything)
                remote.channel.send_now()

    def cancel(self, wanted: Callable[[Job], bool]) -> None:
        """Have the workers stop single requests. Never blocks."""
        for remote in self._dispatcher.remotes:
            for number, job in remote.out.items():
                if wanted(job):
                    remote.tell("cancel", self._dispatcher.batches[job.batch], number)

    # -- lost workers -----------------------------------------------------------------------

    def _lose(self, remote: Remote) -> None:
        """See to what was with a worker that is gone."""
        dispatcher = self._dispatcher
        dispatcher.remove_worker(remote)
        if self.closed:
            self._see_to_end()
        elif dispatcher.open:
            dispatcher.set_bounds()
        self._recovery.recover(remote)
        if not dispatcher.remotes and not self.closed and not self.dead:
            # Some executors begin a task anew whose worker is gone.
            self._set_timer(FIRST_HELLO if self._tasks.pending else 0.1, self._check_gone)
        dispatcher.deal()

    def _fail_all(self, error: WorkerLost) -> None:
        """End all that is left: no worker is."""
        if self._failure is None:
            self._failure = error
        self._recovery.fail_all(error, self._came > 0)

    # -- the end ----------------------------------------------------------------------------

    def end(self, within: float = LAST_WORDS) -> None:
        """End: nobody is listened to, and workers are told. Never blocks.

        Args:
            within: seconds that workers may take to end.
        """
        if self.closed:
            return
        self._within = within
        self._dispatcher.close()
        self._stop_timer()
        self._listener.close()
        self._tasks.close()
        for remote in self._dispatcher.remotes:
            remote.tell("end")
            remote.channel.send_now()
        if self._dispatcher.remotes:
            self._set_timer(within, self._cut_off)
        self._see_to_end()

    def _cut_off(self) -> None:
        """Hang up on workers that do not end: they notice."""
        self._stop_timer()
        for remote in self._dispatcher.remotes:
            remote.channel.hang_up()

    def _see_to_end(self) -> None:
        if not self._dispatcher.remotes:
            self._stop_timer()
            if self._left >= self._came or not self._tasks.tells:
                self._over.set()

    def wait(self) -> None:
        """Wait until no worker does anything for it any more, for half a second at most."""
        self._over.wait(self._within + 0.05)
