"""A call of ``reqkit fetch``: from its arguments to what they ask for."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import click

from reqkit import Session
from reqkit.exceptions import RequestException

from .counting import CountingSession
from .executors import ExecutorError, executor_of
from .fetch_run import FetchRun
from .inputs import InputError, count_items, read_items
from .journal import Journal, JournalError, Output
from .options import check_message, check_report, data_of, make_folder, pool_of, session_of
from .screen import Screen, is_terminal

__all__ = ["FetchCommand"]


class FetchCommand:
    """A call of ``reqkit fetch``: its arguments checked, and what they ask for opened."""

    def __init__(self, urls: tuple[str, ...], options: dict[str, Any]) -> None:
        self.urls = urls
        self.options = options
        source, jsonl = options["source"], options["jsonl"]
        if not urls and source is None:
            raise click.UsageError("nothing to fetch: give URLs, or a file of them by --from")
        if options["resume"] and jsonl in (None, "-"):
            raise click.UsageError("--resume needs the file of earlier results: --jsonl FILE")
        if options["failed"] and not options["resume"]:
            raise click.UsageError("--failed goes with --resume")
        if options["overwrite"] and (options["resume"] or jsonl in (None, "-")):
            raise click.UsageError("--overwrite begins a --jsonl FILE anew, without --resume")
        if options["checksum"] and options["folder"] is None:
            raise click.UsageError("--checksum goes with --to DIR")
        if source is None and (options["column"] or options["kind"] != "auto"):
            raise click.UsageError("--column and --format go with --from FILE")
        check_report(options["report"])

    def run(self) -> int:
        """Fetch all, write what was asked for, and return the exit status."""
        options = self.options
        data = data_of(options["data"])
        method = (options["method"] or ("GET" if data is None else "POST")).upper()
        jsonl, folder = options["jsonl"], options["folder"]
        check_message(options, method)
        if folder is not None:
            make_folder(folder)
        with contextlib.ExitStack() as stack:
            counts = folder is None and options["executor"] is None
            kind = CountingSession if counts else Session
            session = stack.enter_context(session_of(options, folder is not None, kind))
            try:
                executor = stack.enter_context(executor_of(options["executor"]))
                pool = stack.enter_context(pool_of(options, session, executor))
                journal = output = None
                if jsonl not in (None, "-"):
                    journal = Journal(jsonl, options["resume"], options["overwrite"])
                    stack.callback(journal.close)
                shown = jsonl is None and is_terminal(sys.stdout)
                if journal is None and not shown:
                    output = _standard_output()
                screen = Screen(self._total(), options["quiet"], results=shown)
                run = FetchRun(
                    read_items(self.urls, options["source"], options["kind"], options["column"]),
                    session, pool, screen,
                    method=method, data=data, folder=folder, checksum=options["checksum"],
                    retries=options["retries"], journal=journal, output=output,
                    spread=executor is not None, resume=options["resume"], failed=options["failed"],
                    counts=options["report"] is not None,
                )  # fmt: skip
                status = run.run()
            except (InputError, JournalError, ExecutorError) as error:
                raise click.UsageError(str(error)) from error
            except RequestException as error:  # all workers of an executor are gone
                screen.say(f"reqkit: {error}")
                status = 1
            if run.trouble is not None and status != 141:
                screen.say(f"reqkit: results cannot be written: {run.trouble.strerror}")
            return self._end(run, screen, status)

    def _total(self) -> int | None:
        """Return how many inputs there are, where that is to be shown."""
        if self.options["quiet"] or not is_terminal(sys.stderr):
            return None
        counted = count_items(self.options["source"], self.options["kind"], self.options["column"])
        return None if counted is None else len(self.urls) + counted

    def _end(self, run: FetchRun, screen: Screen, status: int) -> int:
        """Write the report, say what came of it, and return the exit status."""
        what = ""
        report = self.options["report"]
        if report is not None and status != 141:
            from ..report import write_stats_report

            try:
                write_stats_report(run.final_stats(), report)
                what = f"report: {report}"
            except OSError as error:
                screen.say(f"reqkit: --report {report} cannot be written: {error.strerror}")
                status = status or 1
        if status != 141:
            screen.summary(what, interrupted=status > 128)
        return status


def _standard_output() -> Output:
    try:
        return Output(1)
    except OSError as error:
        raise click.UsageError(
            "standard output is closed: --jsonl FILE writes to a file"
        ) from error
