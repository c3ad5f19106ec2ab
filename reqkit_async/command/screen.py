"""What people see: progress and a summary on standard error, results on a terminal.

All that comes from elsewhere (URLs, reasons, titles) is text: no markup, no codes of a terminal.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any, Final

import gevent

__all__ = ["Screen", "is_terminal", "plain", "size_text"]

#: Seconds between two drawings of the progress.
_OFTEN: Final = 0.2
#: Kinds of failures that the table in the end has.
_REASONS: Final = 8


class Screen:
    """Tells people how far it is, and in the end what came of it.

    Args:
        total: how many there will be; None where that is not known.
        quiet: say nothing but errors.
        results: show each result as a line, on a terminal.
        err: where to; None for standard error.
    """

    def __init__(
        self,
        total: int | None = None,
        quiet: bool = False,
        results: bool = False,
        err: IO[str] | None = None,
    ) -> None:
        self.total = total
        self.done: int = 0
        self.failed: int = 0
        self.passed_over: int = 0
        self.bytes: int = 0
        self._reasons: Counter[str] = Counter()
        #: Of each reason, what failed first for it, and what was said of it.
        self._examples: dict[str, tuple[str, str]] = {}
        self._quiet = quiet
        self.shows_results = results
        self._err = sys.stderr if err is None else err
        self._console: Any = None
        self._progress: Any = None
        self._task: Any = None
        self._began = self._ended = time.monotonic()

    # -- what happens -----------------------------------------------------------------------

    def skipped(self) -> None:
        """Count an input that was done before."""
        self.passed_over += 1

    def count(self, size: int) -> None:
        """Count a good result that is not shown."""
        self.done += 1
        self.bytes += size

    def forget(self, lost: int) -> None:
        """Take so many results back that could not be written."""
        self.done -= lost

    def tell(self, record: dict[str, Any]) -> None:
        """Count a result, and show it where results are shown."""
        self.done += 1
        self.bytes += record["bytes"]
        if not record["ok"]:
            self.failed += 1
            error = record["error"] or {}
            reason = error.get("type") or str(record["status"])
            self._reasons[reason] += 1
            if reason not in self._examples:
                url = record["url"] or str(record["input"])
                self._examples[reason] = url, _without(url, error.get("message", ""))
        if self.shows_results:
            self._show(record)

    def say(self, text: str) -> None:
        """Say a sentence, whatever is drawn at the moment."""
        if self._progress is not None:
            from rich.text import Text

            self._progress.console.print(Text(text))
        else:
            print(text, file=self._err, flush=True)

    # -- progress ---------------------------------------------------------------------------

    @contextlib.contextmanager
    def watching(self, pool: Any) -> Iterator[None]:
        """Show progress while this is entered, on a terminal.

        Args:
            pool: what sends, and has ``held``; where it has ``known``, that is what there is to do.
        """
        self._began = time.monotonic()
        if self._quiet or not is_terminal(self._err):
            try:
                yield
            finally:
                self._ended = time.monotonic()
            return
        self._open()
        drawing = gevent.spawn(self._draw, pool)
        try:
            yield
        finally:
            self._ended = time.monotonic()
            drawing.kill()
            self._redraw(pool)
            self._progress.stop()
            self._progress = None

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = Console(file=self._err, highlight=False)
        known = self.total is not None
        columns: list[Any] = [BarColumn() if known else SpinnerColumn()]
        columns.append(TextColumn("{task.fields[figures]}"))
        columns += [TimeElapsedColumn()]
        if known:
            columns += [TextColumn("left"), TimeRemainingColumn()]
        self._progress = Progress(
            *columns, console=console, auto_refresh=False, redirect_stdout=False,
            redirect_stderr=False, transient=False,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=self.total, figures="")
        self._progress.start()

    def _draw(self, pool: Any) -> None:
        while True:
            gevent.sleep(_OFTEN)
            self._redraw(pool)

    def _redraw(self, pool: Any) -> None:
        done = self.done + self.passed_over
        spent = max(time.monotonic() - self._began, 1e-6)
        total = getattr(pool, "known", self.total)
        of = f"/{total:,}" if total is not None else ""
        parts = [f"{done:,}{of}", f"{self.done / spent:,.0f}/s", size_text(self.bytes)]
        if self.failed:
            parts.append(f"[red]{self.failed:,} failed[/red]")
        held = pool.held
        if held:
            shown = ", ".join(plain(host) for host in list(held)[:2])
            longest = max(held.values())
            more = f" and {len(held) - 2} more" if len(held) > 2 else ""
            from rich.markup import escape

            parts.append(f"[yellow]held: {escape(shown)}{more} ({longest:.0f} s)[/yellow]")
        self._progress.update(self._task, completed=done, figures="  ".join(parts))
        self._progress.refresh()

    # -- results ----------------------------------------------------------------------------

    def _show(self, record: dict[str, Any]) -> None:
        from rich.text import Text

        error = record["error"]
        if error:
            what, style = plain(error["type"]), "red"
        else:
            what = str(record["status"])
            style = "green" if record["ok"] else "yellow"
        seconds = record["seconds"]
        spent = "" if seconds is None else f"{seconds * 1000:,.0f} ms"
        text = Text()
        text.append(f"{what:<16}", style)
        text.append(f"{spent:>10}  {size_text(record['bytes']):>9}  ")
        url = str(record["url"] or record["input"])
        text.append(plain(url))
        if error:
            text.append(f"  {plain(_without(url, error['message']))}", "dim")
        console = self._progress.console if self._progress is not None else self._out()
        console.print(text, no_wrap=True, overflow="ignore", crop=False)

    def _out(self) -> Any:
        if self._console is None:
            from rich.console import Console

            self._console = Console(file=sys.stdout, highlight=False)
        return self._console

    # -- the end ----------------------------------------------------------------------------

    def summary(self, what: str = "", interrupted: bool = False) -> None:
        """Say in a line or two what came of it."""
        if self._quiet:
            return
        spent = max(self._ended - self._began, 1e-6)
        good = self.done - self.failed
        text = f"{self.done:,} done: {good:,} good, {self.failed:,} failed"
        if not self.done and not interrupted:
            text = "nothing was left to do"
        if self._reasons:
            reasons = self._reasons.most_common(5)
            text += f" ({', '.join(f'{plain(name)}: {times:,}' for name, times in reasons)}"
            text += ", ...)" if len(self._reasons) > 5 else ")"
        if self.passed_over:
            text += f"; {self.passed_over:,} were done before"
        if self.done:
            text += f"; {size_text(self.bytes)} in {spent:,.1f} s, {self.done / spent:,.0f}/s"
        if interrupted:
            text = f"interrupted; {text}"
        if self._reasons and is_terminal(self._err):
            self._show_failures()
        self.say(text + (f"; {what}" if what else ""))

    def _show_failures(self) -> None:
        """Show a table of what failed, by its kind."""
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False)
        table.add_column("failed", style="red")
        table.add_column("times", justify="right")
        table.add_column("for example", overflow="fold")
        for reason, times in self._reasons.most_common(_REASONS):
            url, message = self._examples[reason]
            example = Text(plain(url))
            if message:
                example.append(f"\n{plain(message)}", "dim")
            table.add_row(Text(plain(reason)), f"{times:,}", example)
        Console(file=self._err, highlight=False).print(table)


def _without(url: str, message: str) -> str:
    """Return what an error says without the URL that it begins with, and that stands beside it."""
    return message.removeprefix(f"{url}: ")


def plain(text: str) -> str:
    """Return text without what a terminal would take for its own."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def size_text(size: float) -> str:
    """Return a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:,.0f} {unit}" if unit == "B" else f"{size:,.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def is_terminal(stream: Any) -> bool:
    """Tell whether a stream goes to a terminal."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False
