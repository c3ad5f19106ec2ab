"""What can be said on the command line, and what is wrong with it."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import reqkit

from .inputs import FORMATS

__all__ = ["run"]

_CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
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
@click.option("--http2/--no-http2", default=None,
              help="HTTP/2 alone, or not at all [where the server has it].")  # fmt: skip
@click.option("--http2-prior", is_flag=True, help="HTTP/2 without TLS, without asking.")
@click.option("--to", "folder", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Save bodies in a folder; what broke off is gone on with.")  # fmt: skip
@click.option("--max-size", type=click.IntRange(1), metavar="BYTES",
              help="Of one body at most, decoded.")  # fmt: skip
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
    from .fetch import FetchCommand

    return FetchCommand(urls, options).run()


@program.command(context_settings=_CONTEXT)
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option("--store", required=True, metavar="FILE", type=click.Path(dir_okay=False),
              help="Where the crawl lives: with the same file, it goes on.")  # fmt: skip
@click.option("--within", type=click.Choice(("host", "site", "path", "any")), default="host",
              show_default=True, help="Where links may lead.")  # fmt: skip
@click.option("--allow", multiple=True, metavar="PATTERN",
              help="Follow only links that a pattern is found in.")  # fmt: skip
@click.option("--deny", multiple=True, metavar="PATTERN",
              help="Follow no links that a pattern is found in.")  # fmt: skip
@click.option("--depth", type=click.IntRange(0), metavar="N", help="Links from the first page.")
@click.option("--pages", type=click.IntRange(1), metavar="N", help="Pages in all.")
@click.option("--pages-per-host", type=click.IntRange(1), metavar="N", help="Pages of one host.")
@click.option("--max-size", type=click.IntRange(1), default=10 * 1024 * 1024, show_default=True,
              metavar="BYTES", help="Of one page.")  # fmt: skip
@click.option("--sitemaps", is_flag=True, help="Add what the hosts' sitemaps name, too.")
@click.option("--agent", metavar="'NAME/1.0 (+URL)'",
              help="Who you are: the User-Agent, and whose rules in robots.txt count.")  # fmt: skip
@click.option("--no-robots", is_flag=True, help="Do not ask for robots.txt.")
@click.option("--size", type=click.IntRange(1), default=50, show_default=True,
              help="Requests at a time.")  # fmt: skip
@click.option("--per-host", type=click.IntRange(1), default=2, show_default=True,
              help="Requests at a time for one host.")  # fmt: skip
@click.option("--delay", metavar="SECONDS|auto", default="auto", show_default=True,
              help="Between requests to one host; auto follows how fast it answers.")  # fmt: skip
@click.option("--retries", type=click.IntRange(0), default=2, show_default=True,
              help="How often a failed page is asked for again.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(0, min_open=True), default=60.0,
              show_default=True, metavar="SECONDS", help="For one page in all.")  # fmt: skip
@click.option("--revisit", type=click.FloatRange(0), metavar="SECONDS",
              help="Ask again for pages that are older.")  # fmt: skip
@click.option("--failed", is_flag=True, help="Ask again for the pages that failed.")
@click.option("--header", "-H", "headers", multiple=True, metavar="'NAME: VALUE'",
              help="A header for each request; may be given several times.")  # fmt: skip
@click.option("--proxy", metavar="URL", help="A proxy for all requests.")
@click.option("--insecure", "-k", is_flag=True, help="Do not verify certificates.")
@click.option("--http2/--no-http2", default=None,
              help="HTTP/2 alone, or not at all [where the server has it].")  # fmt: skip
@click.option("--http2-prior", is_flag=True, help="HTTP/2 without TLS, without asking.")
@click.option("--archive", metavar="FILE", type=click.Path(dir_okay=False),
              help="Keep requests and answers as they were: .warc or .warc.gz.")  # fmt: skip
@click.option("--export", metavar="FILE", type=click.Path(dir_okay=False, allow_dash=True),
              help="Write an item for each page: .jsonl, .csv or .parquet.")  # fmt: skip
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write an HTML page with figures and pictures.")  # fmt: skip
@click.option("--quiet", "-q", is_flag=True, help="No progress and no summary.")
def crawl(urls: tuple[str, ...], **options: Any) -> int:
    """Crawl from a URL along its links, and keep an item for each page.

    \b
    reqkit crawl https://docs.example/ --store docs.crawl
    reqkit crawl https://docs.example/ --store docs.crawl --report docs.html --export docs.csv
    reqkit crawl https://a.example/ --store a.crawl --within site --depth 3 --pages 5000 \\
        --agent 'my-bot/1.0 (+https://example.org/bot)' --archive a.warc.gz

    Killed or stopped at any moment, the same command goes on where it was. An item has: url,
    status, title, depth, type, bytes, links (how many the page has), error.
    """  # noqa: D301
    from .crawl import CrawlCommand

    return CrawlCommand(urls, options).run()
