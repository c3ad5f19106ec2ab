"""A worker as its caller sees it: what it has got and not answered, and what more it may get."""

from __future__ import annotations

from typing import Any, Final

from reqkit.timeouts import clock

from ..pool.batch import Job
from .channel import Channel

__all__ = ["WINDOW", "Remote"]

#: Pulled and not handed over, at most, for each place of a worker's.
WINDOW: Final = 8
#: With a worker at least, for each place: below that it would wait for what is on its way.
_LEAST: Final = 2
#: Seconds of a worker's work that are with it, where that is more.
_AHEAD: Final = 0.1
#: Seconds over which that is measured.
_MEASURED: Final = 0.05


class Remote:
    """A worker that has said hello.

    Args:
        channel: leads to it.
        place: which one it is, for messages.

    Attributes:
        channel, place: as above.
        size: requests that it has in flight at most; 0 until it has said so.
        out: what it has got and has not answered, by number, in the order of giving.
        began: the numbers of those, of the ones it was asked about, that it began to send.
        only_hooks: the numbers of those that it was to run the hooks of, and not to send.
        held_back: how many of them wait for a host, or until they are tried again.
        batches: the numbers of the batches that it knows.
        known: the numbers of what is shared that it knows.
    """

    def __init__(self, channel: Channel, place: str) -> None:
        self.channel = channel
        self.place = place
        self.size = 0
        self.out: dict[int, Job] = {}
        self.began: set[int] = set()
        self.only_hooks: set[int] = set()
        self.held_back = 0
        self.batches: set[int] = set()
        self.known: set[int] = set()
        self._items: list[tuple[Any, ...]] = []
        self._items_batch = -1
        self._rate = 0.0
        self._counted = 0
        self._since = clock()
        channel.before_sending = self._add_items

    def room(self) -> int:
        """Return how many more it may get now."""
        size = self.size
        most = WINDOW * size
        if self._rate:
            most = min(most, max(_LEAST * size, size + int(self._rate * _AHEAD)))
        else:
            most = min(most, _LEAST * size)
        return most - len(self.out) + self.held_back

    def count(self, ended: int) -> None:
        """Count what it has answered."""
        self._counted += ended
        now = clock()
        if now - self._since > _MEASURED:
            self._rate = max(self._counted / (now - self._since), self._rate / 2)
            self._counted = 0
            self._since = now

    def give(self, batch: int, item: tuple[Any, ...]) -> None:
        """Send it a request, with others, soon."""
        if batch != self._items_batch:
            self._add_items()
            self._items_batch = batch
        self._items.append(item)
        self.channel.send_soon()

    def tell(self, *message: Any) -> None:
        """Send it a message, after what was given to it before. Never blocks."""
        self._add_items()
        self.channel.post(message)

    def share(self, number: int, pickled: bytes) -> None:
        """Have it know something by a number, unless it does already. Never blocks."""
        if number not in self.known:
            self.known.add(number)
            self.tell("share", number, pickled)

    def _add_items(self) -> None:
        if self._items:
            items, self._items = self._items, []
            self.channel.post(("give", self._items_batch, items))
