"""Messages that go to a host which belongs to another worker: by a redirect, say.

The limits of a host are kept by the worker that it belongs to. A worker whose request goes on to
another host than it names asks the caller, and the caller has the host's worker lend it a turn:
that counts the message as its own until it is given back.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Final

import gevent

from reqkit.timeouts import clock

from ..pool.workers import Workers
from .hosts import HostTable
from .remote import Remote

__all__ = ["Lending", "Loans"]


class _Loan:
    """A turn that a worker has asked for.

    Attributes:
        granted: whether it has come.
    """

    __slots__ = ("_come", "_lending", "granted", "host", "number", "own")

    def __init__(
        self, lending: Lending, number: int, host: str, come: Callable[[Hashable], None]
    ) -> None:
        self.granted: bool = False
        self.own: bool = False
        self.host: str = host
        self.number: int = number
        self._lending = lending
        self._come = come

    def come(self, own: bool) -> None:
        self.granted = True
        self.own = own
        # Where another counts it, it counts by itself here, which no limit ever keeps waiting.
        self._come(self.host if own else self)

    def set_out(self) -> None:
        """Say that its message goes now."""
        if not self.own:
            self._lending.set_out(self)

    def end(self) -> None:
        """Give it back, or wait for it no longer."""
        self._lending.end(self)


class Lending:
    """A worker's part: it borrows turns, and lends those at its own hosts.

    Args:
        workers: its pool's.
        tell: sends a message to the caller, at once. Never blocks.
    """

    def __init__(self, workers: Workers, tell: Callable[..., None]) -> None:
        self._workers = workers
        self._tell = tell
        self._numbers = itertools.count()
        self._asked: dict[int, _Loan] = {}
        #: Who waits for turns here, by host, and which turns are lent.
        self._lines: dict[str, deque[int]] = {}
        self._lent: dict[int, str] = {}
        self._timer: Any = None

    @property
    def waiting(self) -> int:
        """How many wait for a turn."""
        return sum(not loan.granted for loan in self._asked.values())

    # -- borrowing --------------------------------------------------------------------------

    def borrow(self, host: str, come: Callable[[Hashable], None]) -> _Loan:
        """Ask for a turn at a host. Never blocks.

        Args:
            host: its name.
            come: called when the turn has come, with what it is counted by here.
        """
        loan = _Loan(self, next(self._numbers), host, come)
        self._asked[loan.number] = loan
        self._tell("ask", loan.number, host)
        return loan

    def granted(self, number: int, own: bool) -> None:
        """Take a turn that has come; ``own``: the host is this worker's, which has to count it."""
        loan = self._asked.get(number)
        if loan is not None:
            loan.come(own)

    def set_out(self, loan: _Loan) -> None:
        """Have who counts a turn know that it was begun."""
        self._tell("set_out", loan.number)

    def end(self, loan: _Loan) -> None:
        """Give a turn back."""
        if self._asked.pop(loan.number, None) is not None:
            self._tell("left", loan.number)

    # -- lending ----------------------------------------------------------------------------

    def wanted(self, number: int, host: str, begun: bool) -> None:
        """Lend a turn at a host as soon as its limits allow; ``begun``: it is taken already."""
        if begun:
            self._workers.limits.started(host, clock())
            self._lent[number] = host
        else:
            self._lines.setdefault(host, deque()).append(number)
            self.lend()

    def lend(self) -> None:
        """Lend the turns that have come."""
        if not self._lines:
            return
        limits = self._workers.limits
        now = clock()
        later = math.inf
        for host, line in list(self._lines.items()):
            while line and (when := limits.ready_at(host, now)) <= now:
                number = line.popleft()
                limits.reserved(host, now)
                self._lent[number] = host
                self._tell("lent", number)
            if line:
                later = min(later, when)  # infinity: until one ends, or has begun
            else:
                del self._lines[host]
        if later < math.inf:
            self._wake_at(later)

    def begun(self, number: int) -> None:
        """Count from now on when the next one may go."""
        host = self._lent.get(number)
        if host is not None:
            self._workers.set_out(host)

    def given_back(self, number: int) -> None:
        """Take a turn back that was lent, or is not waited for any more."""
        host = self._lent.pop(number, None)
        if host is not None:
            self._workers.free(host)
            return
        for line in self._lines.values():
            if number in line:
                line.remove(number)

    def _wake_at(self, when: float) -> None:
        self.close()
        self._timer = gevent.get_hub().loop.timer(max(when - clock(), 0.0))
        self._timer.start(self._woken, update=True)

    def _woken(self) -> None:
        self.close()
        self.lend()

    def close(self) -> None:
        """Wake up no more."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None


class _Lent:
    """A turn that one worker has, or waits for, and another one counts."""

    __slots__ = ("granted", "host", "lender", "number", "remote", "wanted")

    def __init__(self, remote: Remote, wanted: int, host: str) -> None:
        self.remote = remote
        #: Its number with the one that has it.
        self.wanted = wanted
        self.host = host
        self.granted = False
        self.lender: Any = None
        #: Its number with the one that lends it; -1 where that is the same.
        self.number = -1


class Loans:
    """The caller's part: it knows whose the hosts are, and passes on what workers say.

    Args:
        table: of the hosts.
    """

    def __init__(self, table: HostTable[Any]) -> None:
        self._table = table
        self._numbers: Final = itertools.count()
        self._by_wanted: dict[tuple[Remote, int], _Lent] = {}
        self._by_number: dict[int, _Lent] = {}

    def ask(self, remote: Remote, wanted: int, host: str) -> None:
        """Have a worker get a turn at a host."""
        loan = self._by_wanted[remote, wanted] = _Lent(remote, wanted, host)
        self._place(loan)

    def lent(self, number: int) -> None:
        """Pass on that a turn has come."""
        loan = self._by_number.get(number)
        if loan is not None:
            loan.granted = True
            _say(loan.remote, "granted", loan.wanted, False)

    def set_out(self, remote: Remote, wanted: int) -> None:
        """Pass on that a message goes."""
        loan = self._by_wanted.get((remote, wanted))
        if loan is not None and loan.number in self._by_number:
            _say(loan.lender, "set_out", loan.number)

    def left(self, remote: Remote, wanted: int) -> None:
        """Take note that a worker has given a turn back, or waits for it no longer."""
        loan = self._by_wanted.pop((remote, wanted), None)
        if loan is not None:
            self._end(loan)

    def lose(self, remote: Remote) -> None:
        """See to what a lost worker has borrowed, and to what it has lent.

        Its hosts are to be others' already.
        """
        for key, loan in list(self._by_wanted.items()):
            if loan.remote is remote:
                del self._by_wanted[key]
                if loan.lender is not remote:
                    self._end(loan)
        for loan in list(self._by_wanted.values()):
            if loan.lender is remote:
                self._by_number.pop(loan.number, None)
                self._place(loan)

    def _place(self, loan: _Lent) -> None:
        lender: Any
        lender, pause = self._table.borrow(loan.host, loan.remote, clock())
        loan.lender = lender
        if pause > 0:
            lender.tell("hold", loan.host, pause)
        if lender is loan.remote and not loan.granted:
            loan.granted = True
            loan.number = -1
            _say(lender, "granted", loan.wanted, True)
        else:
            loan.number = next(self._numbers)
            self._by_number[loan.number] = loan
            _say(lender, "lend", loan.number, loan.host, loan.granted)

    def _end(self, loan: _Lent) -> None:
        self._table.ended(loan.host, clock())
        if self._by_number.pop(loan.number, None) is not None:
            _say(loan.lender, "give_back", loan.number)


def _say(remote: Remote, *message: Any) -> None:
    remote.tell(*message)
    remote.channel.send_now()
