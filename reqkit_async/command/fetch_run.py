"""`reqkit fetch`: a list of URLs on a pool, a record for each of them as they end."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent

from reqkit import Request, Response, Session
from reqkit.exceptions import RequestException
from reqkit.sessions.unsent import request_of

from ..batches import Pool
from ..downloads.naming import Names
from ..stats import Stats
from .inputs import Item
from .interrupts import Interrupts
from .journal import Done, Journal, Output, ended_at, final_records
from .records import Recorder, failure, line_of, plain_line
from .screen import Screen

__all__ = ["FetchRun", "count_record"]


@dataclass
class FetchRun:
    """What is to be fetched, how, and where results go.

    Attributes:
        items: the input.
        session: what counts for all requests.
        pool: sends them.
        screen: tells people.
        method: of each request.
        data: the body of each request.
        folder: where bodies go; None where they are only counted.
        checksum: which of the input's fields has a file's SHA-256.
        retries: how often a body that broke off is gone on with.
        journal: the JSONL file, or None.
        output: the JSONL on standard output, or None.
        resume: skip what the journal has already.
        failed: with ``resume``, fetch failures again.
        spread: whether the pool's requests are sent by workers elsewhere.
        counts: whether there is to be a report.
    """

    items: Iterator[Item]
    session: Session
    pool: Pool
    screen: Screen
    method: str = "GET"
    data: bytes | None = None
    folder: Path | None = None
    checksum: str | None = None
    retries: int = 0
    journal: Journal | None = None
    output: Output | None = None
    resume: bool = False
    failed: bool = False
    spread: bool = False
    counts: bool = False
    #: Of this run's records, where they are counted.
    stats: Stats = field(default_factory=Stats)
    _pending: dict[int, tuple[Item, bool]] = field(default_factory=dict)
    _names: Names = field(default_factory=Names)
    _done: Done | None = None
    _index: int = 0
    #: Lines of this turn of the loop.
    _lines: list[bytes] = field(default_factory=list)
    #: What has ended this before its time: a full disk, a closed pipe.
    trouble: OSError | None = None

    @property
    def hooked(self) -> bool:
        """Whether records are made by a hook, where the requests are sent.

        So must be what goes to a file; and what comes from afar is smaller than a response.
        """
        return self.folder is not None or self.spread

    def run(self) -> int:
        """FetchRun all, and return the exit status. Blocks, others run meanwhile."""
        if self.resume and self.journal is not None:
            self._done = self._read_journal(self.journal)
        interrupts = Interrupts(self.pool.kill)
        self.stats.start()
        entries: Any = self.pool.imap_enumerated(self._requests(interrupts), prefetch=False)
        try:
            with interrupts, self.screen.watching(self.pool):
                for index, entry in entries:
                    self._take(index, entry)
        except OSError as error:
            if error is not self.trouble:
                raise
        finally:
            self._flush()
            entries.close()
            self.stats.stop()
            self.stats.connections = self.pool.stats.connections
            self.stats.retries = self.pool.stats.retries
        if interrupts.signal is not None:
            return interrupts.status
        if self.trouble is not None:
            return 141 if self.trouble.errno == errno.EPIPE else 1
        return 1 if self.screen.failed else 0

    def final_stats(self) -> Stats:
        """Return the figures of all that the journal has, or else of this run."""
        if self.journal is None or not (self.resume or self.trouble):
            return self.stats
        stats = Stats()
        for record in final_records(self.journal):
            count_record(stats, record)
        return stats

    def _read_journal(self, journal: Journal) -> Done:
        done = Done(self.failed)
        for record in journal.records():
            done.add(record)
            if record.get("file"):
                self._names.reserve(Path(record["file"]).name)
        return done

    def _requests(self, interrupts: Interrupts) -> Iterator[Request]:
        """Yield the requests of the input, as there is room for them."""
        hooked = self.hooked
        keywords: dict[str, Any] = {} if self.data is None else {"data": self.data}
        for item in self.items:
            if interrupts.signal is not None:
                return
            again = None if self._done is None else self._done.take(item.fields)
            if again is True:
                self.screen.skipped()
                continue
            if item.url is None:
                self._write(failure(item, again=again is False))
                continue
            self._pending[self._index] = item, again is False
            self._index += 1
            if hooked:
                keywords["callback"] = self._recorder(item, again is False).take
            yield request_of(self.method, item.url, dict(keywords))

    def _recorder(self, item: Item, again: bool) -> Recorder:
        if self.folder is None:
            return Recorder(item, again=again)
        assert item.url is not None
        path = self.folder / self._names.name_for(item.url)
        checksum = item.fields.get(self.checksum) if self.checksum is not None else None
        return Recorder(item, path, str(checksum) if checksum else None, self.retries, again)

    def _take(self, index: int, entry: Any) -> None:
        """Write what became of a request."""
        item, again = self._pending.pop(index)
        if isinstance(entry, Response):
            if not self.hooked:
                line = None if again else plain_line(item, entry)
                if line is not None and not self.screen.shows_results:
                    self._put(line)
                    if self.counts:
                        self.stats.add(entry)
                    self.screen.count(entry._received)
                    return
                entry = Recorder(item, again=again).take(entry)
            else:
                # It was stopped while its body was read, or could not come out of its worker.
                error = entry.error or RequestException(f"{item.url}: there is no record")
                entry = failure(item, error, again)
        error_type = (entry["error"] or {}).get("type")
        if error_type != "RequestCancelled":  # which is to be done when this is run again
            self._write(entry)

    def _write(self, record: dict[str, Any]) -> None:
        self._put(line_of(record))
        if self.counts:
            count_record(self.stats, record)
        self.screen.tell(record)

    def _put(self, line: bytes) -> None:
        if self.trouble is not None:
            raise self.trouble
        if self.journal is not None:
            # All lines of a turn of the loop are written together, as that is much cheaper.
            if not self._lines:
                gevent.get_hub().loop.run_callback(self._flush)
            self._lines.append(line)
        if self.output is not None:
            try:
                self.output.write(line)
            except OSError as error:
                self.trouble = error
                raise

    def _flush(self) -> None:
        """Write what has ended in this turn of the loop. Runs in the hub; never raises."""
        lines, self._lines = self._lines, []
        if not lines or self.trouble is not None:
            return
        assert self.journal is not None
        before = self.journal.written
        try:
            self.journal.write(b"".join(lines))
        except OSError as error:
            self.trouble = error
            self.screen.forget(len(lines) - (self.journal.written - before))
            gevent.spawn(self.pool.kill)  # nothing more can be kept


def count_record(stats: Stats, record: dict[str, Any]) -> None:
    """Count a record in figures."""
    error = record["error"] or {}
    stats.record(
        record["status"],
        error.get("type"),
        latency=record["seconds"],
        size=record["bytes"],
        url=record["url"],
        message=error.get("message", ""),
        when=ended_at(record),
    )
