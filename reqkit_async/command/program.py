"""What can be said on the command line, and what is wrong with it."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

import reqkit
from reqkit import Request, Session, Timeouts
from reqkit.exceptions import RequestException

from ..pool.pool import Pool
from .executors import ExecutorError, executor_of
from .fetch import Fetch
from .inputs import FORMATS, InputError, count_items, read_items
from .journal import Journal, JournalError, Output
from .screen import Screen

__all__ = ["run"]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
#: RFC 9110 section 5.6.2.
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SHELLS = ("bash", "zsh", "fish")


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command with some arguments, and return its exit status."""
    try:
        status = program.main(
            None if arguments is None else list(arguments),
            prog_name="reqkit",
            standalone_mode=False,
        )
    except click.ClickException as error:
        error.show()
        return int(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        print("reqkit: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return _pipe_closed()
    if status == 141:
        return _pipe_closed()
    return status if isinstance(status, int) else 0


def _pipe_closed() -> int:
    # Python writes out what is left when it ends, and would complain of the pipe.
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    return 141


@click.group(context_settings=_CONTEXT)
@click.version_option(reqkit.__version__, prog_name="reqkit")
def program() -> None:
    """Fetch very many URLs, or crawl a site, and go on where it was interrupted.

    Results are lines of JSON. Exit status: 0 all good, 1 some failed, 2 wrong arguments,
    130 interrupted.
    """


@program.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> None:
    """Print the completion for a shell.

    \b
    bash:  eval "$(reqkit completion bash)"     in ~/.bashrc
    zsh:   eval "$(reqkit completion zsh)"      in ~/.zshrc
    fish:  reqkit completion fish | source      in ~/.config/fish/config.fish
    """  # noqa: D301
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(program, {}, "reqkit", "_REQKIT_COMPLETE").source())


@program.command(context_settings=_CONTEXT)
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option(
    "--from", "-f", "source", metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="Read URLs from a file: text (a URL a line), CSV or JSONL; - is standard input.",
)  # fmt: skip
@click.option(
    "--format", "kind", type=click.Choice(FORMATS), default="auto",
    help="What that file is; by default its name or its first line says so.",
)  # fmt: skip
@click.option("--column", metavar="NAME", help="The CSV column or JSONL key with the URL [url].")
@click.option("--size", type=click.IntRange(1), default=50, show_default=True,
              help="Requests at a time.")  # fmt: skip
@click.option("--per-host", type=click.IntRange(1), metavar="N",
              help="Requests at a time for one host.")  # fmt: skip
@click.option("--rate", metavar="RATE", help="Requests a second for one host: 5, 30/min, 100/h.")
@click.option("--delay", type=click.FloatRange(0), metavar="SECONDS",
              help="Seconds at least between two requests to one host.")  # fmt: skip
@click.option("--retries", type=click.IntRange(0), default=0, show_default=True,
              help="How often a request that failed is sent again, with back-off.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
              help="For connecting, and for each wait for bytes [10 and 60].")  # fmt: skip
@click.option("--total", type=click.FloatRange(0, min_open=True), metavar="SECONDS",
              help="For each request as a whole, its body and its retries too.")  # fmt: skip
@click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'",
              help="A header for each request; may be given several times.")  # fmt: skip
@click.option("--method", "-X", metavar="METHOD", help="GET, or POST where there is --data.")
@click.option("--data", "-d", metavar="TEXT|@FILE", help="A body for each request.")
@click.option("--proxy", metavar="URL", help="A proxy for all requests.")
@click.option("--insecure", "-k", is_flag=True, help="Do not verify certificates.")
@click.option("--http2", is_flag=False, flag_value="on", metavar="[on|off|auto|prior]",
              type=click.Choice(("on", "off", "auto", "prior")),
              help="Speak HTTP/2: on, off, auto, or prior (without TLS).")  # fmt: skip
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Save bodies in a folder; what broke off is gone on with.")  # fmt: skip
@click.option("--checksum", metavar="NAME",
              help="The input's column with each file's SHA-256.")  # fmt: skip
@click.option("--jsonl", metavar="FILE", help="Write results to a file [- : standard output].")
@click.option("--resume", is_flag=True, help="Fetch only what the --jsonl file does not have yet.")
@click.option("--failed", is_flag=True, help="With --resume: what failed, too, once more.")
@click.option("--overwrite", is_flag=True, help="Begin the --jsonl file anew.")
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write an HTML page with figures and pictures.")  # fmt: skip
@click.option("--executor", metavar="processes[:N]|dask:ADDRESS",
              help="Spread the requests over processes or machines.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="No progress and no summary.")
def fetch(urls: tuple[str, ...], **options: Any) -> int:
    """Fetch URLs, many at a time, and write a line of JSON for each as it ends.

    \b
    reqkit fetch https://example.org/ https://example.org/a
    reqkit fetch --from urls.txt --retries 3 --jsonl out.jsonl
    reqkit fetch --from urls.txt --retries 3 --jsonl out.jsonl --resume --failed
    reqkit fetch --from products.csv --column link --per-host 2 --rate 60/min --report r.html
    zcat urls.gz | reqkit fetch --from - --to pages | jq -r 'select(.ok | not) | .url'

    A record has: input (its own fields), number, url (in the end), status, ok, error (type and
    message), seconds (until the head), times, bytes, type, file and sha256 (with --to), attempts,
    ended. A status from 400 on counts as failed.
    """  # noqa: D301
    return _Fetching(urls, options).run()


class _Fetching:
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
        _check_report(options["report"])

    def run(self) -> int:
        options = self.options
        data = _data(options["data"])
        method = (options["method"] or ("GET" if data is None else "POST")).upper()
        jsonl, folder = options["jsonl"], options["folder"]
        _check_message(options, method)
        if folder is not None:
            _make(folder)
        with contextlib.ExitStack() as stack:
            session = stack.enter_context(_session(options, saving=folder is not None))
            try:
                executor = stack.enter_context(executor_of(options["executor"]))
                pool = stack.enter_context(_pool(options, session, executor))
                journal = output = None
                if jsonl not in (None, "-"):
                    journal = Journal(jsonl, options["resume"], options["overwrite"])
                    stack.callback(journal.close)
                shown = jsonl is None and sys.stdout.isatty()
                if journal is None and not shown:
                    output = Output(1)
                screen = Screen(self._total(), options["quiet"], results=shown)
                fetching = Fetch(
                    read_items(self.urls, options["source"], options["kind"], options["column"]),
                    session, pool, screen,
                    method=method, data=data, folder=folder, checksum=options["checksum"],
                    retries=options["retries"], journal=journal, output=output,
                    resume=options["resume"], failed=options["failed"],
                )  # fmt: skip
                status = fetching.run()
            except (InputError, JournalError, ExecutorError, ValueError) as error:
                raise click.UsageError(str(error)) from error
            if fetching.trouble is not None and status != 141:
                screen.say(f"reqkit: results cannot be written: {fetching.trouble.strerror}")
            self._end(fetching, screen, status)
        return status

    def _total(self) -> int | None:
        counted = count_items(self.options["source"], self.options["kind"], self.options["column"])
        return None if counted is None else len(self.urls) + counted

    def _end(self, fetching: Fetch, screen: Screen, status: int) -> None:
        what = ""
        report = self.options["report"]
        if report is not None and status != 141:
            from ..report import write_stats_report

            write_stats_report(fetching.final_stats(), report)
            what = f"report: {report}"
        if status != 141:
            screen.summary(what, interrupted=status > 128)


def _check_report(path: Path | None) -> None:
    """See that a report can be written before anything is sent."""
    if path is None:
        return
    if not path.parent.is_dir():
        raise click.UsageError(f"--report {path}: there is no folder {path.parent}")
    try:
        from ..report import check_extras

        check_extras()
    except ImportError as error:
        raise click.UsageError(str(error)) from error


def _data(text: str | None) -> bytes | None:
    if text is None:
        return None
    if not text.startswith("@"):
        return os.fsencode(text)
    try:
        return Path(text[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"--data {text} cannot be read: {error.strerror}") from error


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise click.UsageError(f"--to {folder} cannot be made: {error.strerror}") from error


def _headers(given: Sequence[str]) -> list[tuple[str, str]]:
    headers = []
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not _TOKEN.fullmatch(name.strip()):
            raise click.UsageError(f"--header {text!r}: expected 'NAME: VALUE'")
        headers.append((name.strip(), value.strip()))
    return headers


def _check_message(options: dict[str, Any], method: str) -> None:
    """See that what is the same for all requests can be sent."""
    try:
        with _session(options, saving=False) as session:
            session.prepare_request(Request(method, "http://localhost/"))
    except (ValueError, RequestException) as error:
        raise click.UsageError(str(error)) from error


def _session(options: dict[str, Any], saving: bool) -> Session:
    """Return the session of all requests.

    Raises:
        UsageError: an option is none that it takes.
    """
    headers = _headers(options["headers"])
    if saving and not any(name.lower() == "accept-encoding" for name, _ in headers):
        # Bodies are saved as they are, and gone on with by byte.
        headers.append(("Accept-Encoding", "identity"))
    # Each request by itself: no cookie of one answer goes out with another request.
    config: dict[str, Any] = {"store_cookies": False}
    if options["http2"] is not None:
        config["http2"] = {"on": True, "off": False}.get(options["http2"], options["http2"])
    timeout, total = options["timeout"], options["total"]
    connect, read = (10.0, 60.0) if timeout is None else (timeout, timeout)
    try:
        return Session(
            headers=headers,
            timeout=Timeouts(connect=connect, read=read, total=total),
            proxies={"all": options["proxy"]} if options["proxy"] else None,
            verify=False if options["insecure"] else None,
            config=config,
        )
    except (ValueError, OSError) as error:
        raise click.UsageError(str(error)) from error


@contextlib.contextmanager
def _pool(options: dict[str, Any], session: Session, executor: Any) -> Iterator[Pool]:
    settings: dict[str, Any] = {"executor": executor} if executor is not None else {}
    pool = Pool(
        options["size"],
        per_host=options["per_host"],
        rate=_rate(options["rate"]),
        delay=options["delay"],
        retries=options["retries"],
        session=session,
        prefetch=False,
        **settings,
    )
    try:
        yield pool
    finally:
        pool.kill()


def _rate(text: str | None) -> float | str | None:
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        return text
