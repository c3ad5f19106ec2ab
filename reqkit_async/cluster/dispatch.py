"""Which request goes to which worker, and when.

Requests are pulled as there is room, and given to the worker that has most of it, or, where hosts
have limits, to the one that their host belongs to.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import gevent
from gevent.event import Event

from reqkit import Session
from reqkit.exceptions import UnpicklableError
from reqkit.network import use
from reqkit.timeouts import clock
from reqkit.transport.retrying import IDEMPOTENT

from ..network import GEVENT
from ..pool.batch import Batch, Job
from ..pool.exits import SYSTEM_ERRORS
from ..pool.interruption import interrupt
from ..pool.iterated import IteratedBatch
from ..pool.workers import host_of
from .entries import Entries
from .held_hosts import Holds
from .hosts import HostTable
from .lending import Loans
from .pickling import Packer
from .remote import WINDOW, Remote
from .suspects import Suspects

__all__ = ["Dispatcher", "is_idempotent"]

#: Pulled for one worker at most before the others are looked at, once all are busy.
_MOST_IN_A_ROW: Final = 8


class Dispatcher:
    """Pulls from batches, and gives what comes to workers.

    Args:
        packer: makes messages of requests.
        table: whose hosts are; None where they have no limits.
        entries: makes those of what cannot be given out.
        session: of requests that have none.

    Attributes:
        session: as above.
        remotes: the workers that are there.
        batches: the batches that are pulled from, with their numbers.
        suspects: what was lost with a worker, and waits to be sent again.
        holds: the hosts that are left alone.
        loans: the turns at hosts that workers lend each other; None without limits.
        open: whether requests are given out.
        dead: whether nothing is sent any more, as all workers are gone.
        closed: whether the run is over.
    """

    def __init__(
        self,
        packer: Packer,
        table: HostTable[Job] | None,
        entries: Entries,
        session: Session | None,
    ) -> None:
        self.remotes: list[Remote] = []
        self.batches: dict[Batch, int] = {}
        self.suspects: Suspects = Suspects()
        self.holds: Holds = Holds(self._release)
        self.loans: Loans | None = None if table is None else Loans(table)
        self.open: bool = False
        self.dead: bool = False
        self.closed: bool = False
        self._packer = packer
        self._table = table
        self._entries = entries
        self.session: Session | None = session
        self._numbers: Iterator[int] = itertools.count()
        #: What wakes the greenlet that pulls from a batch.
        self._wakes: dict[Batch, Event] = {}
        #: What lost workers had and had not begun.
        self._again: deque[Job] = deque()

    # -- workers ----------------------------------------------------------------------------

    def add_worker(self, remote: Remote) -> None:
        """Let a worker that is ready have hosts."""
        if self._table is not None:
            self._table.add(remote)

    def remove_worker(self, remote: Remote) -> None:
        """Let others have the hosts of a worker that is gone."""
        self.remotes.remove(remote)
        if self._table is not None:
            self._table.remove(remote, clock())
        if self.loans is not None:
            self.loans.lose(remote)

    def set_bounds(self) -> None:
        """Have the callers' iterables be pulled from as far ahead as these workers allow."""
        size = sum(remote.size for remote in self.remotes)
        if size:
            for batch in self.batches:
                if isinstance(batch, IteratedBatch):
                    batch._bound = WINDOW * size

    # -- batches ----------------------------------------------------------------------------

    def add(self, batch: Batch) -> None:
        """Take requests from a batch, too."""
        self.batches[batch] = next(self._numbers)
        wake = self._wakes[batch] = Event()
        self.set_bounds()
        gevent.spawn(self._pull, batch, wake)

    def remove(self, batch: Batch) -> None:
        """Take no more requests from a batch."""
        number = self.batches.pop(batch, None)
        wake = self._wakes.pop(batch, None)
        if wake is not None:
            wake.set()
        for remote in self.remotes:
            if number in remote.batches:
                remote.batches.discard(number)
                remote.tell("forget", number)

    def close(self) -> None:
        """Give out nothing more. Never blocks."""
        self.closed = True
        self.holds.close()
        for wake in self._wakes.values():
            wake.set()

    def deal(self) -> None:
        """Give out what may be given out. Never blocks."""
        if not self.open or self.closed or self.dead:
            return
        while self._again and (remote := self._with_room()) is not None:
            self._place(self._again.popleft(), remote)
        while self.suspects.ready() and (remote := self._with_room()) is not None:
            self._place(self.suspects.pop(), remote)
        if self._table is not None:
            for remote in self.remotes:
                self._pump(remote)
        for wake in self._wakes.values():
            wake.set()

    def put_back(self, jobs: Iterable[Job]) -> None:
        """Have jobs be given out before others; `deal` sees to it."""
        self._again.extend(jobs)

    def take_out(self, wanted: Callable[[Job], bool]) -> list[Job]:
        """Remove jobs from wherever they wait here, and return them."""
        out = [job for job in self._again if wanted(job)]
        self._again = deque(job for job in self._again if not wanted(job))
        out += self.suspects.take_out(wanted)
        out += self.holds.take_out(wanted)
        if self._table is not None:
            out += self._table.take_out(wanted)
        return out

    def _pull(self, batch: Batch, wake: Event) -> None:
        """Pull from a batch as there is room. Runs the caller's iterable, which may wait."""
        with use(GEVENT):
            while batch in self._wakes and not self.closed:
                wake.clear()
                try:
                    self._pull_some(batch)
                except (*SYSTEM_ERRORS, Exception) as raised:  # of the iterable; a signal's handler
                    interrupt(batch, raised)
                wake.wait()

    def _pull_some(self, batch: Batch) -> None:
        while self.open and not self.dead and batch.ready:
            remote = self._with_room()
            if remote is None or not self._pull_for(remote, batch):
                break

    def _pull_for(self, remote: Remote, batch: Batch) -> bool:
        """Pull from a batch for a worker that has room; tell whether there may be more."""
        # One by one, until each worker has something to do.
        idle = len(remote.out) < remote.size
        for _ in range(1 if idle else min(remote.room(), _MOST_IN_A_ROW)):
            job = batch.pull()
            if job is None:
                return False
            batch.taken = None
            self._place(job, remote)
        return True

    def _with_room(self) -> Remote | None:
        """Return the worker that has most room, or None."""
        best: Remote | None = None
        most = 0
        for remote in self.remotes:
            room = remote.room()
            if room > most:
                best, most = remote, room
        return best

    # -- jobs -------------------------------------------------------------------------------

    def _place(self, job: Job, remote: Remote) -> None:
        """Give a job to a worker: its host's, where hosts have limits."""
        if self.dead:
            self._entries.give_up(job)  # the iterable has waited meanwhile
        elif self._table is None:
            if self.holds and self.holds.keep_waiting(job, self._host_of(job)):
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

    def _release(self, jobs: deque[Job]) -> None:
        """Give out what has waited for a host."""
        self._again.extend(jobs)
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
            host = job.host = host_of(job.request, self.session)
        return host

    def _give(self, job: Job, remote: Remote) -> bool:
        """Give a job to a worker; tell whether that went well."""
        request = job.request
        batch = job.batch
        try:
            packed, used = self._packer.pack(request)
        except UnpicklableError as error:
            self.suspects.answered(job)
            self._entries.fail(job, error)
            return False
        batch_number = self.batches[batch]
        if used or batch_number not in remote.batches:
            self._introduce(remote, batch, used)
        # Those are asked about that must not be sent twice, or may be what kills workers.
        marked = not is_idempotent(request) or job in self.suspects
        prefetch = None if job.prefetch == batch.options.prefetch else job.prefetch
        number = next(self._numbers)
        remote.out[number] = job
        remote.give(batch_number, (number, packed, prefetch, marked))
        batch.running.add(job)
        job.started = True
        job.pending = []  # its hooks are the worker's
        return True

    def _introduce(self, remote: Remote, batch: Batch, used: set[int] | None) -> None:
        """Have a worker know a batch, and what is shared."""
        if used:
            for shared in used:
                remote.share(shared, self._packer.shared[shared])
        number = self.batches[batch]
        if number not in remote.batches:
            remote.batches.add(number)
            left = None if batch.ends is None else max(batch.ends - clock(), 0.0)
            remote.tell("batch", number, batch.options.prefetch, left)

    def give_failed(self, job: Job, remote: Remote, pickled_error: bytes) -> None:
        """Have a worker run the hooks of a request that is not to be sent any more."""
        try:
            packed, used = self._packer.pack(job.request)
        except UnpicklableError as error:  # the caller has changed it since it was sent
            self._entries.fail(job, error)
            return
        self._introduce(remote, job.batch, used)
        number = next(self._numbers)
        remote.out[number] = job
        remote.only_hooks.add(number)
        remote.tell("fail", self.batches[job.batch], number, packed, pickled_error)
        job.batch.running.add(job)

    # -- what workers say of them -----------------------------------------------------------

    def take_entries(self, remote: Remote, entries: list[tuple[int, Any]]) -> None:
        """Hand over what a worker has answered."""
        remote.count(len(entries))
        out, suspects, take = remote.out, self.suspects, self._entries.take
        for number, packed in entries:
            job = out.pop(number, None)
            if job is None:
                continue
            self.returned(remote, number, job)
            if suspects:
                suspects.answered(job)
            if job.done:
                job.batch.running.discard(job)
            else:
                take(job, packed)

    def returned(self, remote: Remote, number: int, job: Job) -> None:
        """Note that a job is not with its worker any more."""
        if remote.began:
            remote.began.discard(number)
        if number in remote.only_hooks:
            remote.only_hooks.discard(number)
        elif self._table is not None and job.host is not None:
            self._table.ended(job.host, clock())

    def hold(self, remote: Remote, host: str, seconds: float) -> None:
        """Have all workers leave a host alone that has asked one for it."""
        until = self.holds.hold(host, seconds)
        if self._table is not None:
            self._table.hold(host, until)
        for other in self.remotes:
            if other is not remote:
                other.tell("hold", host, seconds)


def is_idempotent(request: Any) -> bool:
    """Tell whether a request may be sent twice (RFC 9110 section 9.2.2)."""
    method = request.method
    if not isinstance(method, str):
        return False  # whatever was given for one: sending it will say so
    return method in IDEMPOTENT or method.upper() in IDEMPOTENT
